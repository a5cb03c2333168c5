/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"
#include "containers/ordered_map_bulk.h"
#include "crdt/packed_list.h"
#include "store/elements_internal.h"
#include "store/lists.h"
#include "store/merge.h"
#include "store/mutate.h"
#include "store/notify.h"
#include "store/sequence_write.h"
#include "store/sorted_set.h"

/* ---- element by element ---- */

struct copy_walk {
    struct elements_writer writer;
    enum store_status status;
};

static void copy_visit(void *udata, const struct element *element) {
    struct copy_walk *walk = (struct copy_walk *)udata;
    bool is_new;
    if (walk->status != STORE_OK) {
        return;
    }
    if (walk->writer.type == VALUE_STREAM) {
        walk->status = sequence_write_add(&walk->writer, element->name, element->value);
        return;
    }
    walk->status = walk->writer.type == VALUE_SORTED_SET
                       ? element_set_score(&walk->writer, element->name, element->score, &is_new)
                       : element_set(&walk->writer, element->name, element->value, false, &is_new);
    if (walk->status == STORE_OK && element->expire_unix_ms != 0) {
        (void)element_expire(&walk->writer, element->name, element->expire_unix_ms);
    }
}

/* Each member then comes behind those before. */
static void copy_in_order(const struct elements *elements, struct copy_walk *walk) {
    struct sorted_set_walk order;
    struct element element = {.score = 0};
    sorted_set_walk_init(&order, elements, (struct rank_range){0, elements->count}, false);
    while (sorted_set_walk_next(&order, &element.name, &element.score)) {
        copy_visit(walk, &element);
    }
}

/* About how many there are in the values; 0: not many. */
static uint64_t list_bytes(const struct elements *elements) {
    return elements->collection != NULL ? ordered_map_memory_bytes(elements->collection->map) : 0;
}

static void copy_list(struct store *store, const struct elements *elements,
                      struct copy_walk *walk) {
    struct list_pusher pusher;
    struct list_cursor cursor;
    struct ordered_map_cursor plain;
    list_push_begin(&pusher, &walk->writer, LIST_RIGHT, list_bytes(elements));
    if (elements->collection != NULL && elements->collection->space.table.count == 0) {
        const struct ordered_map *map = elements->collection->map;
        bool is_there = ordered_map_first(map, &plain);
        for (; is_there && walk->status == STORE_OK; is_there = ordered_map_next(map, &plain)) {
            walk->status = list_push_next(&pusher, plain.element.value);
        }
    } else {
        bool is_there = list_seek(store, elements, 0, &cursor);
        for (; is_there && walk->status == STORE_OK; is_there = list_step(&cursor, LIST_RIGHT)) {
            walk->status = list_push_next(&pusher, cursor.element.value);
        }
    }
    list_push_end(&pusher);
}

static enum store_status copy_each(struct store *store, const struct elements *elements,
                                   const struct key *to) {
    struct copy_walk walk;
    bool replaces = store_delete(store, to);
    walk.status = elements_open(store, to, elements->type, &walk.writer);
    if (walk.status != STORE_OK) {
        return walk.status; /* it has expired, and must not be removed now: a pause */
    }
    walk.writer.hides_new = replaces; /* as where a string is put in the place of another value */
    elements_expect(&walk.writer, elements->count, true);
    if (elements->type == VALUE_LIST) {
        copy_list(store, elements, &walk);
    } else if (elements->type == VALUE_SORTED_SET) {
        copy_in_order(elements, &walk);
    } else {
        elements_each(store, elements, copy_visit, &walk);
    }
    elements_close(&walk.writer);
    return walk.status;
}

/* ---- as a whole ---- */

/* A copy of a list or stream, under no key; NULL: it has to be copied element by element. */
static struct collection *copy_sequence(const struct store *store, const struct key *to,
                                        const struct collection *source) {
    if (!collection_is_sequence(source->type) || source->space.table.count > 0 ||
        source->map == NULL || ordered_map_has_bytes(source->map) ||
        store->pending_looks_max == 0) {
        return NULL;
    }
    struct ordered_map *map = ordered_map_bulk_copy(source->map);
    if (map == NULL) {
        return NULL;
    }
    struct collection *copy = collection_new(store, source->type, store->dbs[to->db].number);
    copy->map = map;
    copy->is_large = source->is_large;
    for (unsigned i = 0; i < source->newest_count; i++) {
        collection_note(copy, source->newest[i].stamp);
    }
    return copy;
}

/* Records all elements of the packed collection as those of the key; returns the last one's stamp.
 * `builder`, unless NULL, gets them with their stamps. */
static uint64_t record_packed(struct store *store, const struct key *key, struct slice packed,
                              struct packed_builder *builder) {
    char text[64];
    struct packed_reader reader;
    struct packed_element element;
    struct change change = {.kind = CHANGE_SET,
                            .db = store->dbs[key->db].number,
                            .key = key->name,
                            .is_key_fresh = !store->is_alone};
    packed_reader_init(&reader, packed);
    change.type = reader.type;
    while (packed_next(&reader, &element)) {
        change.stamp = mutate_stamp(store);
        change.element = element.name;
        change.value = element.value;
        if (reader.type == VALUE_SORTED_SET && store->journal.is_on) {
            change.value = slice_make(text, number_format_double(text, element.score));
        }
        mutate_record_element(store, &change);
        change.is_key_fresh = false;
        if (builder != NULL) {
            element.stamp = change.stamp;
            if (builder->count == 0) {
                packed_build_begin(builder, reader.type, change.stamp);
            }
            packed_build_add(builder, &element);
        }
    }
    return change.stamp;
}

/* Which way a value is copied as a whole. */
enum whole_copy {
    WHOLE_COPY_NONE,   /* it goes element by element */
    WHOLE_COPY_SILENT, /* as it lies, with its stamps */
    WHOLE_COPY_RAISED, /* as it lies, with one stamp for all */
    WHOLE_COPY_ANEW,   /* each packed element with a stamp of its own */
};

static enum whole_copy whole_copy_of(const struct store *store, const struct entry *source,
                                     const struct entry *target) {
    bool is_packed = entry_kind(source) == ENTRY_PACKED && entry_type(source) != VALUE_LIST;
    if (store->walk != NULL || store->sync != NULL ||
        (target != NULL &&
         (mutate_is_invisible(store, target) || merge_is_intricate(store, target)))) {
        return WHOLE_COPY_NONE;
    }
    if (elements_is_silent(store)) {
        return WHOLE_COPY_SILENT;
    }
    if (!is_packed) {
        return WHOLE_COPY_NONE;
    }
    if (!store->is_alone) {
        /* Of what was there something may stay. */
        return target == NULL ? WHOLE_COPY_ANEW : WHOLE_COPY_NONE;
    }
    return packed_has_one_stamp(entry_packed(source)) ? WHOLE_COPY_RAISED : WHOLE_COPY_NONE;
}

/* Copies what is packed in one go. Where nobody hears of single elements their stamps may be older
 * than the key, since nothing but a snapshot that runs asks for them; a lone node that has a log
 * raises all of them at once. False, with nothing done: it has to be done in the other way. */
static bool copy_whole(struct store *store, const struct entry *source,
                       const struct elements *elements, const struct key *to) {
    const uint64_t *target = mutate_slot(store, to);
    enum whole_copy way = whole_copy_of(store, source, target != NULL ? table_item(*target) : NULL);
    if (way == WHOLE_COPY_NONE) {
        return false;
    }
    struct entry_parts parts = {.key = to->name, .access = mutate_first_access(store)};
    struct packed_builder builder = {0};
    if (entry_kind(source) == ENTRY_PACKED) {
        parts.kind = ENTRY_PACKED;
        parts.bytes = elements->packed;
        if (elements->type == VALUE_LIST) {
            /* Two lists in the runs of one: neither tells alone which indexes are unused. */
            packed_list_break((char *)parts.bytes.data);
        }
    } else if (entry_kind(source) == ENTRY_COLLECTION) {
        parts.kind = ENTRY_COLLECTION;
        parts.collection = copy_sequence(store, to, entry_collection(source));
    }
    if (parts.bytes.size == 0 && parts.collection == NULL) {
        return false;
    }
    bool replaces = store_delete(store, to);
    require(mutate_slot(store, to) == NULL);
    if (way == WHOLE_COPY_SILENT) {
        parts.stamp = mutate_stamp(store);
    } else if (way == WHOLE_COPY_RAISED) {
        parts.stamp = record_packed(store, to, parts.bytes, NULL);
    } else {
        struct buffer *packed = elements_begin_scratch(store);
        parts.stamp = record_packed(store, to, parts.bytes, &builder);
        packed_build_put(&builder, packed);
        parts.bytes = buffer_slice(packed);
        buffer_deinit(&builder.elements);
    }
    struct entry *created = entry_new(&parts);
    require(created != NULL);
    elements_end_scratch(store);
    if (way == WHOLE_COPY_RAISED) {
        struct slice packed = entry_packed(created);
        packed_raise((char *)packed.data, packed.size, parts.stamp);
    }
    table_insert(&store->dbs[to->db].table, to->hash, created, false);
    store->stats.dirty += elements->count - 1;
    mutate_after(store, to);
    if (!replaces) {
        store_notify(store, NOTIFY_NEW, "new", to);
    }
    return true;
}

enum store_status elements_copy(struct store *store, const struct key *from, const struct key *to) {
    struct entry *source = store_peek(store, from);
    if (source == NULL) {
        return STORE_ABSENT;
    }
    struct elements elements;
    enum store_status status = STORE_OK;
    elements_of(source, &elements);
    uint64_t expire_unix_ms = entry_expire_unix_ms(source);
    if (!copy_whole(store, source, &elements, to)) {
        status = copy_each(store, &elements, to);
    }
    if (status == STORE_OK && expire_unix_ms != 0) {
        (void)store_expire(store, to, expire_unix_ms);
    }
    return status;
}
