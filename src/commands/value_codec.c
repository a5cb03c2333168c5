/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/value_codec.h"

#include "commands/dump_list.h"
#include "commands/dump_stream.h"

#include "store/strings.h"

/* ---- from the store ---- */

struct dump_walk {
    struct rdb_writer *writer;
    uint64_t count;              /* of elements that are there */
    uint64_t expire_unix_ms_min; /* of fields; UINT64_MAX: none expires */
};

static void member_visit(void *udata, const struct element *element) {
    rdb_writer_member((struct rdb_writer *)udata, element->name);
}

static void dump_set(const struct store *store, const struct elements *elements,
                     struct rdb_writer *writer) {
    rdb_writer_begin_set(writer, elements->count);
    elements_each(store, elements, member_visit, writer);
}

static void scored_visit(void *udata, const struct element *element) {
    rdb_writer_scored((struct rdb_writer *)udata, element->name, element->score);
}

static void dump_sorted_set(const struct store *store, const struct elements *elements,
                            struct rdb_writer *writer) {
    rdb_writer_begin_sorted_set(writer, elements->count);
    if (elements->collection == NULL) {
        elements_each(store, elements, scored_visit, writer);
        return;
    }
    struct order_cursor cursor = order_tree_seek_rank(collection_order(elements->collection), 0);
    for (; cursor.pair != NULL; order_cursor_next(&cursor)) {
        rdb_writer_scored(writer, entry_key((const struct entry *)cursor.pair->item),
                          cursor.pair->score);
    }
}

static void count_visit(void *udata, const struct element *element) {
    struct dump_walk *walk = (struct dump_walk *)udata;
    walk->count++;
    if (element->expire_unix_ms != 0 && element->expire_unix_ms < walk->expire_unix_ms_min) {
        walk->expire_unix_ms_min = element->expire_unix_ms;
    }
}

static void field_visit(void *udata, const struct element *element) {
    rdb_writer_field((struct rdb_writer *)udata, element->name, element->value);
}

static void expiring_visit(void *udata, const struct element *element) {
    rdb_writer_field_expiring((struct rdb_writer *)udata, element->name, element->value,
                              element->expire_unix_ms);
}

/* False when all fields have expired. */
static bool dump_hash(const struct store *store, const struct elements *elements,
                      struct rdb_writer *writer) {
    struct dump_walk walk = {.count = elements->count, .expire_unix_ms_min = UINT64_MAX};
    if (elements->collection != NULL) { /* what is packed has no expiries */
        walk.count = 0;
        elements_each(store, elements, count_visit, &walk);
    }
    if (walk.count == 0) {
        return false;
    }
    if (walk.expire_unix_ms_min == UINT64_MAX) {
        rdb_writer_begin_hash(writer, walk.count);
        elements_each(store, elements, field_visit, writer);
    } else {
        rdb_writer_begin_hash_expiring(writer, walk.count, walk.expire_unix_ms_min);
        elements_each(store, elements, expiring_visit, writer);
    }
    return true;
}

bool value_dump(const struct store *store, const struct entry *entry,
                const struct rdb_writer_limits *limits, struct buffer *out) {
    struct rdb_writer writer;
    struct elements elements;
    struct entry_scratch scratch;
    bool is_written = true;
    if (entry_type(entry) != VALUE_STRING) {
        elements_of(entry, &elements);
    }
    rdb_writer_init(&writer, out, limits);
    switch (entry_type(entry)) {
    case VALUE_STRING:
        rdb_writer_string(&writer, entry_value(entry, &scratch));
        break;
    case VALUE_HASH:
        is_written = dump_hash(store, &elements, &writer);
        break;
    case VALUE_SET:
        dump_set(store, &elements, &writer);
        break;
    case VALUE_SORTED_SET:
        dump_sorted_set(store, &elements, &writer);
        break;
    case VALUE_LIST:
        dump_list_write(store, &elements, &writer);
        break;
    case VALUE_STREAM:
        dump_stream_write(store, &elements, &writer);
        break;
    case VALUE_TYPES_COUNT:
        impossible("the store has no such values");
    }
    is_written = is_written && rdb_writer_end(&writer);
    rdb_writer_deinit(&writer);
    return is_written;
}

/* ---- into the store ---- */

/* What holds values of that kind. */
static enum value_type type_of_kind(enum rdb_kind kind) {
    switch (kind) {
    case RDB_KIND_STRING:
        return VALUE_STRING;
    case RDB_KIND_HASH:
        return VALUE_HASH;
    case RDB_KIND_SET:
        return VALUE_SET;
    case RDB_KIND_SORTED_SET:
        return VALUE_SORTED_SET;
    case RDB_KIND_LIST:
        return VALUE_LIST;
    case RDB_KIND_STREAM:
        return VALUE_STREAM;
    }
    impossible("a kind without a case");
}

static enum store_status restore_field(struct elements_writer *writer,
                                       const struct rdb_item *item) {
    bool is_new;
    if (item->expire_unix_ms != 0 && (int64_t)item->expire_unix_ms <= writer->store->now_ms) {
        return STORE_OK; /* it would expire at once */
    }
    enum store_status status = element_set(writer, item->name, item->value, false, &is_new);
    if (status == STORE_OK && item->expire_unix_ms != 0) {
        (void)element_expire(writer, item->name, item->expire_unix_ms);
    }
    return status;
}

static enum store_status restore_element(struct elements_writer *writer,
                                         const struct rdb_item *item) {
    bool is_new;
    switch (item->kind) {
    case RDB_ITEM_MEMBER:
        return element_set(writer, item->name, SLICE(""), false, &is_new);
    case RDB_ITEM_SCORED:
        return element_set_score(writer, item->name, item->score, &is_new);
    case RDB_ITEM_FIELD:
        return restore_field(writer, item);
    case RDB_ITEM_STRING:
    case RDB_ITEM_ELEMENT:
    case RDB_ITEM_ENTRY:
    case RDB_ITEM_STREAM:
    case RDB_ITEM_GROUP:
    case RDB_ITEM_CONSUMER:
    case RDB_ITEM_PENDING:
        break;
    }
    impossible("a collection has no such items");
}

static enum store_status restore_elements(struct store *store, const struct key *key,
                                          struct rdb_reader *reader) {
    struct elements_writer writer;
    struct rdb_item item;
    (void)store_delete(store, key);
    enum store_status status = elements_open(store, key, type_of_kind(reader->kind), &writer);
    ensure(status == STORE_OK);
    elements_expect(&writer, reader->count, true);
    while (status == STORE_OK && rdb_reader_next(reader, &item)) {
        status = restore_element(&writer, &item);
    }
    elements_close(&writer);
    if (status != STORE_OK) {
        (void)store_delete(store, key);
    }
    return status;
}

enum store_status value_restore(struct store *store, const struct key *key,
                                struct rdb_reader *reader, uint64_t expire_unix_ms) {
    if (reader->kind == RDB_KIND_STRING) {
        struct rdb_item item;
        bool is_there = rdb_reader_next(reader, &item);
        ensure(is_there);
        return strings_set(store, key, item.name, expire_unix_ms);
    }
    enum store_status status = reader->kind == RDB_KIND_LIST ? dump_list_read(store, key, reader)
                               : reader->kind == RDB_KIND_STREAM
                                   ? dump_stream_read(store, key, reader)
                                   : restore_elements(store, key, reader);
    if (status == STORE_OK && expire_unix_ms != 0) {
        (void)store_expire(store, key, expire_unix_ms);
    }
    return status;
}
