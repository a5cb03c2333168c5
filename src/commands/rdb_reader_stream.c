/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams, in the three layouts that Redis 5, 7.0 and 7.2 write:
 *
 *   nodes (count) | node... | length | last id | [first id | greatest deleted id | entries added] |
 *   groups (count) | group...
 *   node: string of 16 bytes, the node's id | string, a listpack
 *   group: name | last id | [entries read] | pending (count) | pending... | consumers (count) |
 *          consumer...
 *   pending: id of 16 bytes | u64 delivery time | deliveries
 *   consumer: name | u64 seen | [[u64 active]] | pending (count) | id of 16 bytes...
 *
 * [] since 7.0, [[]] since 7.2. Ids of 16 bytes are big endian, other ids are two lengths, times
 * are in milliseconds and little endian. A node's listpack is
 *
 *   live entries | deleted entries | F | name * F | 0 | entry...
 *   entry: flags | ms - node's ms | sequence - node's sequence | [F | name * F or] ... | items
 * before
 *
 * where flag 1 marks a deleted entry, and flag 2 one whose names are those above, so that only its
 * values follow; another one has its own count, names and values. Differences wrap around.
 *
 * What must hold: I1 the nodes' ids rise. I2 ids of live entries rise, and none is below its node's
 * id or above the stream's last. (Deleted ones need not: after XSETID went back behind one, smaller
 * ids follow it.) I3 each entry has a field. I4 all counts are right. I5 the ids that are pending
 * in a group differ, and each is with exactly one of its consumers. */
#include "commands/rdb_reader.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/memory.h"
#include "commands/rdb_bytes.h"
#include "commands/rdb_reader_walk.h"
#include "crdt/xstream.h"

enum {
    ID_BYTES = 16,
    PENDING_BYTES_MIN = ID_BYTES + 8 + 1,
    GROUP_BYTES_MIN = 5,
    CONSUMER_BYTES_MIN = 10,
    NODE_BYTES_MIN = 1 + ID_BYTES + 1,
    ENTRY_DELETED = 1,
    ENTRY_LIKE_FIRST = 2,
};

static struct rdb_stream_id load_id(const char *at) {
    return (struct rdb_stream_id){rdb_load_big_endian(at, 8), rdb_load_big_endian(at + 8, 8)};
}

static bool take_binary_id(struct slice *bytes, struct rdb_stream_id *id) {
    if (bytes->size < ID_BYTES) {
        return false;
    }
    *id = load_id(bytes->data);
    *bytes = slice_skip(*bytes, ID_BYTES);
    return true;
}

static bool take_id(struct slice *bytes, struct rdb_stream_id *id) {
    return rdb_value_take_length(bytes, &id->ms) && rdb_value_take_length(bytes, &id->sequence);
}

/* Can a group or consumer have this name? Redis bounds none; ours are parts of names. */
static bool is_name(struct slice name) {
    struct xstream_label label;
    return xstream_label_encode(name, &label);
}

/* A time at or above `least`. */
static bool take_time(struct slice *bytes, int64_t least, int64_t *unix_ms) {
    uint64_t raw;
    if (!codec_take_u64(bytes, &raw)) {
        return false;
    }
    *unix_ms = (int64_t)raw;
    return *unix_ms >= least;
}

static bool take_integer(struct rdb_packed *packed, int64_t *integer) {
    struct rdb_packed_item item;
    if (!rdb_packed_next(packed, &item) || !item.is_integer) {
        return false;
    }
    *integer = item.integer;
    return true;
}

static bool take_packed_count(struct rdb_packed *packed, uint64_t *count) {
    int64_t integer;
    if (!take_integer(packed, &integer) || integer < 0) {
        return false;
    }
    *count = (uint64_t)integer;
    return true;
}

/* ---- nodes and their entries ---- */

static enum rdb_walk open_node(struct rdb_reader *reader, bool is_first) {
    struct rdb_reader_stream *stream = &reader->stream;
    enum rdb_walk walk = rdb_reader_take_string(reader, &reader->name);
    if (walk != RDB_WALK_ITEM) {
        return walk;
    }
    if (reader->name.bytes.size != ID_BYTES) {
        return RDB_WALK_MALFORMED;
    }
    struct rdb_stream_id id = load_id(reader->name.bytes.data);
    if (!is_first && rdb_stream_id_compare(id, stream->node_id) <= 0) {
        return RDB_WALK_MALFORMED;
    }
    stream->node_id = id;
    walk = rdb_reader_take_packed(reader, RDB_PACKED_LISTPACK);
    if (walk != RDB_WALK_ITEM) {
        return walk;
    }
    struct rdb_packed *packed = &reader->packed;
    int64_t before_first;
    if (!take_packed_count(packed, &stream->live_left) ||
        !take_packed_count(packed, &stream->deleted_left) ||
        !take_packed_count(packed, &stream->first_fields_count)) {
        return RDB_WALK_MALFORMED;
    }
    stream->first_fields = *packed;
    if (!rdb_packed_skip(packed, stream->first_fields_count) ||
        !take_integer(packed, &before_first) || before_first != 0) {
        return RDB_WALK_MALFORMED;
    }
    stream->is_in_node = true;
    return RDB_WALK_ITEM;
}

/* Reads an entry, deleted or not. */
static bool take_entry(struct rdb_reader *reader, struct rdb_entry *entry, bool *is_deleted) {
    struct rdb_reader_stream *stream = &reader->stream;
    struct rdb_packed *packed = &reader->packed;
    int64_t flags, ms, sequence, items_before;
    if (!take_integer(packed, &flags) || (flags & ~(ENTRY_DELETED | ENTRY_LIKE_FIRST)) != 0 ||
        !take_integer(packed, &ms) || !take_integer(packed, &sequence)) {
        return false;
    }
    bool is_like_first = (flags & ENTRY_LIKE_FIRST) != 0;
    uint64_t fields_count = stream->first_fields_count;
    if (!is_like_first && !take_packed_count(packed, &fields_count)) {
        return false;
    }
    *is_deleted = (flags & ENTRY_DELETED) != 0;
    entry->id.ms = stream->node_id.ms + (uint64_t)ms;
    entry->id.sequence = stream->node_id.sequence + (uint64_t)sequence;
    entry->fields.is_like_first = is_like_first;
    entry->fields.left = fields_count;
    entry->fields.names = stream->first_fields;
    entry->fields.rest = *packed;
    if (fields_count == 0 || fields_count > packed->left) {
        return false;
    }
    uint64_t parts = is_like_first ? fields_count : 2 * fields_count;
    return rdb_packed_skip(packed, parts) && take_integer(packed, &items_before) &&
           (uint64_t)items_before == parts + (is_like_first ? 3 : 4);
}

/* Delivers the next live entry of the node; RDB_WALK_END when there is none. */
static enum rdb_walk step_node(struct rdb_reader *reader, struct rdb_item *item) {
    struct rdb_reader_stream *stream = &reader->stream;
    while (reader->packed.left > 0) {
        bool is_deleted;
        if (!take_entry(reader, &item->entry, &is_deleted)) {
            return RDB_WALK_MALFORMED;
        }
        uint64_t *left = is_deleted ? &stream->deleted_left : &stream->live_left;
        if (*left == 0) {
            return RDB_WALK_MALFORMED;
        }
        (*left)--;
        if (is_deleted) {
            continue;
        }
        struct rdb_stream_id id = item->entry.id;
        if (rdb_stream_id_compare(id, stream->node_id) < 0 ||
            (stream->length > 0 && rdb_stream_id_compare(id, stream->last_id) <= 0)) {
            return RDB_WALK_MALFORMED;
        }
        if (stream->length == 0) {
            stream->first_id = id;
        }
        stream->last_id = id;
        stream->length++;
        item->kind = RDB_ITEM_ENTRY;
        return RDB_WALK_ITEM;
    }
    stream->is_in_node = false;
    return stream->live_left == 0 && stream->deleted_left == 0 ? RDB_WALK_END : RDB_WALK_MALFORMED;
}

/* What stands between the nodes and the groups. */
static enum rdb_walk take_facts(struct rdb_reader *reader, struct rdb_item *item) {
    struct rdb_reader_stream *stream = &reader->stream;
    struct rdb_stream *facts = &item->stream;
    *facts = (struct rdb_stream){.first_id = stream->first_id};
    if (!rdb_value_take_length(&reader->rest, &facts->length) || facts->length != stream->length ||
        !take_id(&reader->rest, &facts->last_id)) {
        return RDB_WALK_MALFORMED;
    }
    if (stream->length > 0 && rdb_stream_id_compare(stream->last_id, facts->last_id) > 0) {
        return RDB_WALK_MALFORMED;
    }
    facts->entries_added = facts->length;
    if (reader->type != RDB_TYPE_STREAM_LISTPACKS) {
        struct rdb_stream_id told; /* we know it better */
        if (!take_id(&reader->rest, &told) || !take_id(&reader->rest, &facts->deleted_id_max) ||
            !rdb_value_take_length(&reader->rest, &facts->entries_added) ||
            facts->entries_added < facts->length || facts->entries_added > INT64_MAX) {
            return RDB_WALK_MALFORMED;
        }
    }
    if (!rdb_reader_take_count(reader, GROUP_BYTES_MIN, &stream->groups_left)) {
        return RDB_WALK_MALFORMED;
    }
    facts->groups_count = stream->groups_left;
    stream->at = RDB_AT_GROUPS;
    item->kind = RDB_ITEM_STREAM;
    return RDB_WALK_ITEM;
}

static enum rdb_walk step_nodes(struct rdb_reader *reader, struct rdb_item *item) {
    struct rdb_reader_stream *stream = &reader->stream;
    bool is_first = !stream->is_in_node; /* a node that ends is left in this loop */
    for (;; is_first = false) {
        if (stream->is_in_node) {
            enum rdb_walk walk = step_node(reader, item);
            if (walk != RDB_WALK_END) {
                return walk;
            }
        }
        if (stream->nodes_left == 0) {
            return take_facts(reader, item);
        }
        stream->nodes_left--;
        enum rdb_walk walk = open_node(reader, is_first);
        if (walk != RDB_WALK_ITEM) {
            return walk;
        }
    }
}

/* ---- groups ---- */

static int compare_pending(const void *a, const void *b) {
    return rdb_stream_id_compare(((const struct rdb_pending *)a)->id,
                                 ((const struct rdb_pending *)b)->id);
}

static bool reserve_pending(struct rdb_reader_stream *stream, uint64_t count) {
    if (count <= stream->pending_room) {
        return true;
    }
    memory_free(stream->pending);
    stream->pending_room = 0;
    stream->pending = memory_try_alloc(count * sizeof(*stream->pending));
    if (stream->pending == NULL) {
        return false;
    }
    stream->pending_room = count;
    return true;
}

/* Reads what is pending in the group, and has it in order. */
static enum rdb_walk take_group_pending(struct rdb_reader *reader, uint64_t count) {
    struct rdb_reader_stream *stream = &reader->stream;
    if (!reserve_pending(stream, count)) {
        return RDB_WALK_OUT_OF_MEMORY;
    }
    bool is_rising = true;
    for (uint64_t i = 0; i < count; i++) {
        struct rdb_pending *pending = &stream->pending[i];
        pending->is_owned = false;
        if (!take_binary_id(&reader->rest, &pending->id) ||
            !take_time(&reader->rest, 0, &pending->delivered_unix_ms) ||
            !rdb_value_take_length(&reader->rest, &pending->deliveries_count) ||
            pending->deliveries_count > INT64_MAX) {
            return RDB_WALK_MALFORMED;
        }
        is_rising = is_rising && (i == 0 || compare_pending(pending - 1, pending) < 0);
    }
    if (!is_rising) {
        qsort(stream->pending, (size_t)count, sizeof(*stream->pending), compare_pending);
        for (uint64_t i = 1; i < count; i++) {
            if (compare_pending(&stream->pending[i - 1], &stream->pending[i]) == 0) {
                return RDB_WALK_MALFORMED;
            }
        }
    }
    stream->pending_count = count;
    stream->owned_count = 0;
    return RDB_WALK_ITEM;
}

static enum rdb_walk step_groups(struct rdb_reader *reader, struct rdb_item *item) {
    struct rdb_reader_stream *stream = &reader->stream;
    if (stream->groups_left == 0) {
        stream->at = RDB_AT_END;
        return RDB_WALK_END;
    }
    stream->groups_left--;
    stream->group_number++;
    enum rdb_walk walk = rdb_reader_take_string(reader, &reader->name);
    if (walk != RDB_WALK_ITEM) {
        return walk;
    }
    struct rdb_group *group = &item->group;
    *group =
        (struct rdb_group){.name = reader->name.bytes, .entries_read = RDB_ENTRIES_READ_UNKNOWN};
    if (!is_name(group->name) || !take_id(&reader->rest, &group->last_id)) {
        return RDB_WALK_MALFORMED;
    }
    if (reader->type != RDB_TYPE_STREAM_LISTPACKS) {
        uint64_t raw;
        if (!rdb_value_take_length(&reader->rest, &raw)) {
            return RDB_WALK_MALFORMED;
        }
        group->entries_read = (int64_t)raw;
        if (group->entries_read < RDB_ENTRIES_READ_UNKNOWN) {
            return RDB_WALK_MALFORMED;
        }
    }
    if (!rdb_reader_take_count(reader, PENDING_BYTES_MIN, &group->pending_count)) {
        return RDB_WALK_MALFORMED;
    }
    walk = take_group_pending(reader, group->pending_count);
    if (walk != RDB_WALK_ITEM) {
        return walk;
    }
    if (!rdb_reader_take_count(reader, CONSUMER_BYTES_MIN, &stream->consumers_left)) {
        return RDB_WALK_MALFORMED;
    }
    group->consumers_count = stream->consumers_left;
    stream->at = RDB_AT_CONSUMERS;
    item->kind = RDB_ITEM_GROUP;
    return RDB_WALK_ITEM;
}

static enum rdb_walk step_consumers(struct rdb_reader *reader, struct rdb_item *item) {
    struct rdb_reader_stream *stream = &reader->stream;
    if (stream->consumers_left == 0) {
        stream->at = RDB_AT_GROUPS;
        return stream->owned_count == stream->pending_count ? RDB_WALK_END : RDB_WALK_MALFORMED;
    }
    stream->consumers_left--;
    enum rdb_walk walk = rdb_reader_take_string(reader, &reader->name);
    if (walk != RDB_WALK_ITEM) {
        return walk;
    }
    struct rdb_consumer *consumer = &item->consumer;
    *consumer = (struct rdb_consumer){.name = reader->name.bytes};
    if (!is_name(consumer->name) || !take_time(&reader->rest, 0, &consumer->seen_unix_ms)) {
        return RDB_WALK_MALFORMED;
    }
    consumer->active_unix_ms = consumer->seen_unix_ms;
    if (reader->type == RDB_TYPE_STREAM_LISTPACKS_3 &&
        !take_time(&reader->rest, RDB_NEVER_ACTIVE, &consumer->active_unix_ms)) {
        return RDB_WALK_MALFORMED;
    }
    if (!rdb_reader_take_count(reader, ID_BYTES, &stream->pending_left)) {
        return RDB_WALK_MALFORMED;
    }
    consumer->pending_count = stream->pending_left;
    stream->at = RDB_AT_PENDING;
    item->kind = RDB_ITEM_CONSUMER;
    return RDB_WALK_ITEM;
}

static enum rdb_walk step_pending(struct rdb_reader *reader, struct rdb_item *item) {
    struct rdb_reader_stream *stream = &reader->stream;
    if (stream->pending_left == 0) {
        stream->at = RDB_AT_CONSUMERS;
        return RDB_WALK_END;
    }
    stream->pending_left--;
    struct rdb_pending wanted = {.is_owned = false};
    if (!take_binary_id(&reader->rest, &wanted.id) || stream->pending_count == 0) {
        return RDB_WALK_MALFORMED;
    }
    struct rdb_pending *found = bsearch(&wanted, stream->pending, (size_t)stream->pending_count,
                                        sizeof(*stream->pending), compare_pending);
    if (found == NULL || found->is_owned) {
        return RDB_WALK_MALFORMED;
    }
    found->is_owned = true;
    stream->owned_count++;
    item->pending = *found;
    item->kind = RDB_ITEM_PENDING;
    return RDB_WALK_ITEM;
}

/* ---- the walk ---- */

enum rdb_walk rdb_reader_stream_begin(struct rdb_reader *reader) {
    struct rdb_reader_stream *stream = &reader->stream;
    *stream = (struct rdb_reader_stream){
        .at = RDB_AT_NODES, .pending = stream->pending, .pending_room = stream->pending_room};
    return rdb_reader_take_count(reader, NODE_BYTES_MIN, &stream->nodes_left) ? RDB_WALK_ITEM
                                                                              : RDB_WALK_MALFORMED;
}

enum rdb_walk rdb_reader_stream_step(struct rdb_reader *reader, struct rdb_item *item) {
    for (;;) {
        enum rdb_walk walk = RDB_WALK_END;
        switch (reader->stream.at) {
        case RDB_AT_NODES:
            walk = step_nodes(reader, item);
            break;
        case RDB_AT_GROUPS:
            walk = step_groups(reader, item);
            break;
        case RDB_AT_CONSUMERS:
            walk = step_consumers(reader, item);
            break;
        case RDB_AT_PENDING:
            walk = step_pending(reader, item);
            break;
        case RDB_AT_END:
            return RDB_WALK_END;
        }
        if (walk != RDB_WALK_END) {
            return walk; /* an item, or why there is none */
        }
    }
}

bool rdb_entry_fields_next(struct rdb_entry_fields *fields, struct slice *name,
                           struct slice *value) {
    struct rdb_packed_item item;
    if (fields->left == 0) {
        return false;
    }
    fields->left--;
    struct rdb_packed *names = fields->is_like_first ? &fields->names : &fields->rest;
    if (!rdb_packed_next(names, &item)) {
        return false;
    }
    *name = rdb_packed_text(&item, fields->name_digits);
    if (!rdb_packed_next(&fields->rest, &item)) {
        return false;
    }
    *value = rdb_packed_text(&item, fields->value_digits);
    return true;
}
