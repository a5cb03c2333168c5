/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/dump_stream.h"

#include <stdlib.h>

#include "base/codec.h"
#include "commands/stream_help.h"

static struct rdb_stream_id to_rdb(struct xstream_id id) {
    return (struct rdb_stream_id){.ms = id.ms, .sequence = id.sequence};
}

static struct xstream_id from_rdb(struct rdb_stream_id id) {
    return (struct xstream_id){.ms = id.ms, .sequence = id.sequence};
}

/* ---- writing ---- */

static void write_entries(struct xstream_view view, struct rdb_writer *writer) {
    struct xstream_cursor cursor;
    struct buffer slices = {0};
    for (bool is_there = xstream_seek(view, XSTREAM_ID_MIN, &cursor); is_there;
         is_there = xstream_next(&cursor)) {
        struct xstream_fields fields;
        struct slice pair[2];
        uint64_t count = xstream_fields_init(&fields, xstream_value(&cursor));
        buffer_clear(&slices);
        while (xstream_fields_next(&fields, &pair[0], &pair[1])) {
            buffer_append(&slices, pair, sizeof(pair));
        }
        if (count > 0) { /* else no writer of ours made it */
            rdb_writer_entry(writer, to_rdb(cursor.name.id),
                             (const struct slice *)(const void *)slices.data, (size_t)count);
        }
    }
    buffer_deinit(&slices);
}

static struct slice label_of(const struct xstream_cursor *consumer) {
    return consumer->name.consumer;
}

/* Of what is pending, by consumer, the part of the one with that label, from *at on, which moves
 * behind it. What is before it belongs to nobody. */
static size_t part_of(const struct buffer *gathered, size_t count, struct slice label, size_t *at) {
    while (*at < count &&
           slice_compare(stream_pending_at(gathered, *at)->pending.consumer, label) < 0) {
        (*at)++;
    }
    size_t begin = *at;
    while (*at < count && slice_equal(stream_pending_at(gathered, *at)->pending.consumer, label)) {
        (*at)++;
    }
    return *at - begin;
}

static int compare_ids(const void *a, const void *b) {
    return xstream_id_compare(((const struct stream_pending *)a)->id,
                              ((const struct stream_pending *)b)->id);
}

/* Leaves of `gathered`, which is by consumer, what belongs to a consumer of the group, by id;
 * returns how many consumers there are. */
static uint64_t keep_owned(struct xstream_view view, const struct xstream_label *group,
                           const struct buffer *gathered, struct buffer *owned) {
    struct xstream_cursor cursor;
    size_t at = 0, count = gathered->size / sizeof(struct stream_pending);
    uint64_t consumers_count = 0;
    for (bool is_there = xstream_seek_consumer(view, group, &cursor); is_there;
         is_there = xstream_next(&cursor)) {
        size_t part = part_of(gathered, count, label_of(&cursor), &at);
        if (part > 0) {
            buffer_append(owned, stream_pending_at(gathered, at - part),
                          part * sizeof(struct stream_pending));
        }
        consumers_count++;
    }
    if (owned->size > 0) {
        qsort(owned->data, owned->size / sizeof(struct stream_pending),
              sizeof(struct stream_pending), compare_ids);
    }
    return consumers_count;
}

static void write_consumers(struct xstream_view view, const struct xstream_label *group,
                            const struct buffer *gathered, struct rdb_writer *writer) {
    struct xstream_cursor cursor;
    char text[XSTREAM_LABEL_BYTES_MAX];
    size_t at = 0, count = gathered->size / sizeof(struct stream_pending);
    for (bool is_there = xstream_seek_consumer(view, group, &cursor); is_there;
         is_there = xstream_next(&cursor)) {
        struct xstream_consumer consumer;
        size_t part = part_of(gathered, count, label_of(&cursor), &at);
        xstream_consumer_here(&cursor, &consumer);
        struct rdb_consumer one = {
            .name = xstream_label_decode(label_of(&cursor), text),
            .seen_unix_ms = (int64_t)consumer.seen_unix_ms,
            .active_unix_ms = consumer.active_unix_ms,
            .pending_count = part,
        };
        rdb_writer_consumer(writer, &one);
        for (size_t i = at - part; i < at; i++) {
            rdb_writer_consumer_pending(writer, to_rdb(stream_pending_at(gathered, i)->id));
        }
    }
}

static void write_group(struct xstream_view view, const struct xstream_group *group,
                        struct rdb_writer *writer) {
    char text[XSTREAM_LABEL_BYTES_MAX];
    struct buffer gathered = {0}, owned = {0};
    (void)stream_gather_pending(view, &group->label, &gathered);
    stream_sort_pending(&gathered);
    struct rdb_group told = {
        .name = xstream_label_decode(xstream_label_slice(&group->label), text),
        .last_id = to_rdb(group->last_id),
        .entries_read = group->entries_read,
        .consumers_count = keep_owned(view, &group->label, &gathered, &owned),
    };
    told.pending_count = owned.size / sizeof(struct stream_pending);
    rdb_writer_group(writer, &told);
    for (size_t i = 0; i < told.pending_count; i++) {
        const struct stream_pending *one = stream_pending_at(&owned, i);
        struct rdb_pending pending = {
            .id = to_rdb(one->id),
            .delivered_unix_ms = (int64_t)one->pending.delivered_unix_ms,
            .deliveries_count = one->pending.deliveries_count,
        };
        rdb_writer_group_pending(writer, &pending);
    }
    write_consumers(view, &group->label, &gathered, writer);
    buffer_deinit(&gathered);
    buffer_deinit(&owned);
}

void dump_stream_write(const struct store *store, const struct elements *elements,
                       struct rdb_writer *writer) {
    struct xstream_view view = xstream_of(store, elements);
    struct xstream_facts facts;
    struct xstream_group group;
    xstream_facts(view, &facts);
    struct rdb_stream stream = {.last_id = to_rdb(facts.last_id),
                                .deleted_id_max = to_rdb(facts.deleted_id_max),
                                .entries_added = facts.entries_added};
    rdb_writer_begin_stream(writer);
    write_entries(view, writer);
    for (bool is_there = xstream_next_group(view, true, &group); is_there;
         is_there = xstream_next_group(view, false, &group)) {
        stream.groups_count++;
    }
    rdb_writer_stream(writer, &stream);
    for (bool is_there = xstream_next_group(view, true, &group); is_there;
         is_there = xstream_next_group(view, false, &group)) {
        write_group(view, &group, writer);
    }
}

/* ---- reading ---- */

struct stream_restore {
    struct elements_writer writer;
    struct buffer fields;
    struct xstream_label group, consumer;
    bool is_old; /* of a Redis before 7.0 */
};

static enum store_status restore_entry(struct stream_restore *restore,
                                       const struct rdb_entry *entry) {
    struct rdb_entry_fields fields = entry->fields;
    struct slice name, value;
    buffer_clear(&restore->fields);
    codec_put_varint(&restore->fields, fields.left);
    while (rdb_entry_fields_next(&fields, &name, &value)) {
        codec_put_slice(&restore->fields, name);
        codec_put_slice(&restore->fields, value);
    }
    if (restore->fields.size + XSTREAM_ORIGIN_BYTES > ORDERED_MAP_VALUE_BYTES_MAX) {
        return STORE_OUT_OF_MEMORY;
    }
    return xstream_add(&restore->writer, from_rdb(entry->id), &restore->fields);
}

static enum store_status restore_facts(struct stream_restore *restore,
                                       const struct rdb_stream *stream) {
    struct xstream_new_facts facts = {
        .last_id = from_rdb(stream->last_id),
        .has_entries_added = stream->entries_added > stream->length,
        .entries_added = stream->entries_added,
        .deleted_id_max = from_rdb(stream->deleted_id_max),
    };
    facts.has_deleted_id_max = xstream_id_compare(facts.deleted_id_max, XSTREAM_ID_MIN) > 0;
    return xstream_set_facts(&restore->writer, &facts);
}

static enum store_status restore_group(struct stream_restore *restore,
                                       const struct rdb_group *told) {
    struct xstream_group group = {.last_id = from_rdb(told->last_id),
                                  .entries_read = told->entries_read};
    bool is_name = xstream_label_encode(told->name, &group.label);
    ensure(is_name); /* the reader has seen to it */
    restore->group = group.label;
    if (restore->is_old) {
        struct xstream_facts facts;
        xstream_facts(xstream_of_writer(&restore->writer), &facts);
        group.entries_read = xstream_entries_up_to(&facts, group.last_id);
    }
    return xstream_set_group(&restore->writer, &group, XSTREAM_FROM_ID);
}

static enum store_status restore_consumer(struct stream_restore *restore,
                                          const struct rdb_consumer *told) {
    struct xstream_consumer consumer = {.seen_unix_ms = (uint64_t)told->seen_unix_ms,
                                        .active_unix_ms = told->active_unix_ms};
    bool is_name = xstream_label_encode(told->name, &restore->consumer);
    ensure(is_name);
    return xstream_set_consumer(&restore->writer, &restore->group, &restore->consumer, &consumer);
}

static enum store_status restore_pending(struct stream_restore *restore,
                                         const struct rdb_pending *told) {
    struct xstream_pending pending = {
        .delivered_unix_ms = (uint64_t)told->delivered_unix_ms,
        .deliveries_count = told->deliveries_count,
        .consumer = xstream_label_slice(&restore->consumer),
    };
    return xstream_set_pending(&restore->writer, &restore->group, from_rdb(told->id), &pending);
}

static enum store_status restore_item(struct stream_restore *restore, const struct rdb_item *item) {
    switch (item->kind) {
    case RDB_ITEM_ENTRY:
        return restore_entry(restore, &item->entry);
    case RDB_ITEM_STREAM:
        return restore_facts(restore, &item->stream);
    case RDB_ITEM_GROUP:
        return restore_group(restore, &item->group);
    case RDB_ITEM_CONSUMER:
        return restore_consumer(restore, &item->consumer);
    case RDB_ITEM_PENDING:
        return restore_pending(restore, &item->pending);
    case RDB_ITEM_STRING:
    case RDB_ITEM_ELEMENT:
    case RDB_ITEM_MEMBER:
    case RDB_ITEM_FIELD:
    case RDB_ITEM_SCORED:
        break;
    }
    impossible("a stream has no such items");
}

enum store_status dump_stream_read(struct store *store, const struct key *key,
                                   struct rdb_reader *reader) {
    struct stream_restore restore = {.is_old = reader->type == RDB_TYPE_STREAM_LISTPACKS};
    struct rdb_item item;
    (void)store_delete(store, key);
    enum store_status status = elements_open(store, key, VALUE_STREAM, &restore.writer);
    ensure(status == STORE_OK);
    while (status == STORE_OK && rdb_reader_next(reader, &item)) {
        status = restore_item(&restore, &item);
    }
    elements_close(&restore.writer);
    buffer_deinit(&restore.fields);
    if (status != STORE_OK) {
        (void)store_delete(store, key);
    }
    return status;
}
