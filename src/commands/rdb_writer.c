/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/rdb_writer.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/number.h"
#include "commands/rdb_bytes.h"
#include "commands/rdb_listpack.h"
#include "commands/rdb_value.h"

const struct rdb_writer_limits RDB_WRITER_LIMITS_DEFAULT = {
    .compress = true,
    .hash_listpack_entries_max = 128,
    .hash_listpack_value_bytes_max = 64,
    .zset_listpack_entries_max = 128,
    .zset_listpack_value_bytes_max = 64,
    .set_intset_entries_max = 512,
    .list_listpack_size = -2,
    .stream_node_bytes_max = 4096,
    .stream_node_entries_max = 100,
};

enum {
    LISTPACK_BYTES_MAX = 1 << 30, /* what Redis lets one grow to */
    NODE_PLAIN = 1,
    NODE_PACKED = 2,
    ENTRY_LIKE_FIRST = 2,
    SCORE_BYTES_MAX = 64,
};

/* ---- lifecycle ---- */

void rdb_writer_init(struct rdb_writer *writer, struct buffer *out,
                     const struct rdb_writer_limits *limits) {
    *writer = (struct rdb_writer){.out = out, .limits = limits};
}

void rdb_writer_deinit(struct rdb_writer *writer) {
    buffer_deinit(&writer->packed);
    buffer_deinit(&writer->names);
    buffer_deinit(&writer->other);
}

static void put_string(struct rdb_writer *writer, struct slice bytes) {
    rdb_value_put_string(writer->out, bytes, writer->limits->compress);
}

static void put_score(struct rdb_writer *writer, double score) {
    uint64_t bits;
    memcpy(&bits, &score, sizeof(bits));
    rdb_put_little_endian(writer->out, bits, 8);
}

static void put_type(struct rdb_writer *writer, enum rdb_type type) {
    buffer_append_byte(writer->out, (uint8_t)type);
}

/* A set, hash or sorted set: packed to begin with, if it is not too many. */
static void begin_collection(struct rdb_writer *writer, enum rdb_kind kind, uint64_t count,
                             uint64_t packed_count_max, enum rdb_type plain) {
    require(count > 0);
    writer->kind = kind;
    writer->count = count;
    writer->expire_unix_ms_min = 0;
    writer->packed_count = 0;
    buffer_clear(&writer->packed);
    writer->is_packed = count <= packed_count_max;
    if (!writer->is_packed) {
        put_type(writer, plain);
        rdb_value_put_length(writer->out, count);
    }
}

/* Puts the count of nodes where it belongs, before the nodes. */
static void insert_nodes_count(struct rdb_writer *writer) {
    struct buffer *out = writer->out, *length = &writer->other;
    buffer_clear(length);
    rdb_value_put_length(length, writer->nodes_count);
    (void)buffer_reserve(out, length->size);
    char *at = out->data + writer->nodes_at;
    memmove(at + length->size, at, out->size - writer->nodes_at);
    memcpy(at, length->data, length->size);
    out->size += length->size;
}

static void begin_nodes(struct rdb_writer *writer, enum rdb_kind kind, enum rdb_type type) {
    writer->kind = kind;
    put_type(writer, type);
    writer->nodes_at = writer->out->size;
    writer->nodes_count = 0;
    writer->packed_count = 0;
    writer->packed_items_count = 0;
    writer->count = 0;
    buffer_clear(&writer->packed);
}

/* ---- strings ---- */

void rdb_writer_string(struct rdb_writer *writer, struct slice bytes) {
    writer->kind = RDB_KIND_STRING;
    put_type(writer, RDB_TYPE_STRING);
    put_string(writer, bytes);
}

/* ---- lists ---- */

void rdb_writer_begin_list(struct rdb_writer *writer) {
    begin_nodes(writer, RDB_KIND_LIST, RDB_TYPE_LIST_QUICKLIST_2);
    rdb_listpack_begin(&writer->packed);
}

static void flush_list_node(struct rdb_writer *writer) {
    if (writer->packed_count == 0) {
        return;
    }
    rdb_listpack_end(&writer->packed, 0, writer->packed_count);
    rdb_value_put_length(writer->out, NODE_PACKED);
    put_string(writer, buffer_slice(&writer->packed));
    writer->nodes_count++;
    writer->packed_count = 0;
    buffer_clear(&writer->packed);
    rdb_listpack_begin(&writer->packed);
}

/* Has the node room for an element of `bytes`? As Redis judges, so that a list that was pushed at
 * its tail comes out in its nodes. */
static bool list_node_has_room(const struct rdb_writer *writer, size_t bytes) {
    enum { ENTRY_BYTES_GUESSED = 8, NODE_BYTES_MAX = 8192 };
    static const size_t BYTES_MAX[] = {4096, 8192, 16384, 32768, 65536};
    size_t size = writer->packed.size + 1 + bytes + ENTRY_BYTES_GUESSED;
    int64_t limit = writer->limits->list_listpack_size;
    if (limit >= 0) {
        return writer->packed_count < (uint64_t)limit && size <= NODE_BYTES_MAX;
    }
    return size <= BYTES_MAX[limit >= -5 ? -limit - 1 : 4];
}

void rdb_writer_element(struct rdb_writer *writer, struct slice element) {
    if (!list_node_has_room(writer, element.size)) {
        flush_list_node(writer);
    }
    if (element.size >= LISTPACK_BYTES_MAX) {
        rdb_value_put_length(writer->out, NODE_PLAIN);
        put_string(writer, element);
        writer->nodes_count++;
        return;
    }
    rdb_listpack_put(&writer->packed, element);
    writer->packed_count++;
}

static void end_list(struct rdb_writer *writer) {
    flush_list_node(writer);
    require(writer->nodes_count > 0);
    insert_nodes_count(writer);
}

/* ---- sets: `packed` has the integers so far, 8 bytes each ---- */

void rdb_writer_begin_set(struct rdb_writer *writer, uint64_t count) {
    begin_collection(writer, RDB_KIND_SET, count, writer->limits->set_intset_entries_max,
                     RDB_TYPE_SET);
}

static int64_t set_integer(const struct rdb_writer *writer, uint64_t i) {
    int64_t integer;
    memcpy(&integer, writer->packed.data + i * sizeof(integer), sizeof(integer));
    return integer;
}

static void unpack_set(struct rdb_writer *writer) {
    writer->is_packed = false;
    put_type(writer, RDB_TYPE_SET);
    rdb_value_put_length(writer->out, writer->count);
    for (uint64_t i = 0; i < writer->packed_count; i++) {
        char digits[NUMBER_INTEGER_BYTES_MAX];
        put_string(writer,
                   slice_make(digits, number_format_integer(digits, set_integer(writer, i))));
    }
}

void rdb_writer_member(struct rdb_writer *writer, struct slice member) {
    int64_t integer;
    if (writer->is_packed && number_parse_integer(member, &integer)) {
        buffer_append(&writer->packed, &integer, sizeof(integer));
        writer->packed_count++;
        return;
    }
    if (writer->is_packed) {
        unpack_set(writer);
    }
    put_string(writer, member);
}

static int compare_integers(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static void end_packed_set(struct rdb_writer *writer) {
    uint64_t count = writer->packed_count;
    qsort(writer->packed.data, (size_t)count, sizeof(int64_t), compare_integers);
    int64_t least = set_integer(writer, 0), greatest = set_integer(writer, count - 1);
    unsigned width = least >= INT16_MIN && greatest <= INT16_MAX   ? 2
                     : least >= INT32_MIN && greatest <= INT32_MAX ? 4
                                                                   : 8;
    struct buffer *intset = &writer->other;
    buffer_clear(intset);
    rdb_put_little_endian(intset, width, 4);
    rdb_put_little_endian(intset, count, 4);
    for (uint64_t i = 0; i < count; i++) {
        rdb_put_little_endian(intset, (uint64_t)set_integer(writer, i), width);
    }
    put_type(writer, RDB_TYPE_SET_INTSET);
    put_string(writer, buffer_slice(intset));
}

/* ---- hashes and sorted sets: `packed` is a listpack of pairs ---- */

static bool has_room(const struct rdb_writer *writer, size_t bytes) {
    return writer->packed.size + bytes + 2 * RDB_LISTPACK_ENTRY_EXTRA_BYTES_MAX <
           LISTPACK_BYTES_MAX;
}

/* Starts to write plainly: what was packed goes out first. */
static void unpack_pairs(struct rdb_writer *writer, enum rdb_type plain) {
    writer->is_packed = false;
    put_type(writer, plain);
    rdb_value_put_length(writer->out, writer->count);
    struct slice pairs = slice_skip(buffer_slice(&writer->packed), RDB_LISTPACK_HEAD_BYTES);
    while (pairs.size > 0) {
        struct rdb_packed_item item = {.is_integer = true};
        char digits[NUMBER_INTEGER_BYTES_MAX];
        (void)rdb_listpack_take(&pairs, &item);
        put_string(writer, rdb_packed_text(&item, digits));
        (void)rdb_listpack_take(&pairs, &item);
        if (plain == RDB_TYPE_HASH) {
            put_string(writer, rdb_packed_text(&item, digits));
            continue;
        }
        double score = (double)item.integer;
        if (!item.is_integer) {
            bool is_number = number_parse_double(item.bytes, &score);
            ensure(is_number);
        }
        put_score(writer, score);
    }
}

static void end_packed_pairs(struct rdb_writer *writer, enum rdb_type type) {
    rdb_listpack_end(&writer->packed, 0, 2 * writer->packed_count);
    put_type(writer, type);
    put_string(writer, buffer_slice(&writer->packed));
}

void rdb_writer_begin_hash(struct rdb_writer *writer, uint64_t count) {
    begin_collection(writer, RDB_KIND_HASH, count, writer->limits->hash_listpack_entries_max,
                     RDB_TYPE_HASH);
    rdb_listpack_begin(&writer->packed);
}

void rdb_writer_field(struct rdb_writer *writer, struct slice name, struct slice value) {
    uint64_t bytes_max = writer->limits->hash_listpack_value_bytes_max;
    if (writer->is_packed && name.size <= bytes_max && value.size <= bytes_max &&
        has_room(writer, name.size + value.size)) {
        rdb_listpack_put(&writer->packed, name);
        rdb_listpack_put(&writer->packed, value);
        writer->packed_count++;
        return;
    }
    if (writer->is_packed) {
        unpack_pairs(writer, RDB_TYPE_HASH);
    }
    put_string(writer, name);
    put_string(writer, value);
}

void rdb_writer_begin_hash_expiring(struct rdb_writer *writer, uint64_t count,
                                    uint64_t expire_unix_ms_min) {
    require(count > 0);
    require(expire_unix_ms_min > 0);
    writer->kind = RDB_KIND_HASH;
    writer->count = count;
    writer->is_packed = false;
    writer->expire_unix_ms_min = expire_unix_ms_min;
    put_type(writer, RDB_TYPE_HASH_METADATA);
    rdb_put_little_endian(writer->out, expire_unix_ms_min, 8);
    rdb_value_put_length(writer->out, count);
}

void rdb_writer_field_expiring(struct rdb_writer *writer, struct slice name, struct slice value,
                               uint64_t expire_unix_ms) {
    require(expire_unix_ms == 0 || expire_unix_ms >= writer->expire_unix_ms_min);
    rdb_value_put_length(writer->out,
                         expire_unix_ms == 0 ? 0 : expire_unix_ms - writer->expire_unix_ms_min + 1);
    put_string(writer, name);
    put_string(writer, value);
}

void rdb_writer_begin_sorted_set(struct rdb_writer *writer, uint64_t count) {
    begin_collection(writer, RDB_KIND_SORTED_SET, count, writer->limits->zset_listpack_entries_max,
                     RDB_TYPE_ZSET_2);
    rdb_listpack_begin(&writer->packed);
}

static void pack_score(struct rdb_writer *writer, double score) {
    char text[SCORE_BYTES_MAX];
    rdb_listpack_put(&writer->packed, slice_make(text, number_format_double(text, score)));
}

void rdb_writer_scored(struct rdb_writer *writer, struct slice member, double score) {
    require(!isnan(score));
    if (writer->is_packed && member.size <= writer->limits->zset_listpack_value_bytes_max &&
        has_room(writer, member.size + SCORE_BYTES_MAX)) {
        rdb_listpack_put(&writer->packed, member);
        pack_score(writer, score);
        writer->packed_count++;
        return;
    }
    if (writer->is_packed) {
        unpack_pairs(writer, RDB_TYPE_ZSET_2);
    }
    put_string(writer, member);
    put_score(writer, score);
}

/* ---- streams: `packed` has the entries of a node, `names` the fields of its first ---- */

static void put_binary_id(struct buffer *out, struct rdb_stream_id id) {
    rdb_put_big_endian(out, id.ms, 8);
    rdb_put_big_endian(out, id.sequence, 8);
}

static void put_id(struct buffer *out, struct rdb_stream_id id) {
    rdb_value_put_length(out, id.ms);
    rdb_value_put_length(out, id.sequence);
}

void rdb_writer_begin_stream(struct rdb_writer *writer) {
    begin_nodes(writer, RDB_KIND_STREAM, RDB_TYPE_STREAM_LISTPACKS_2);
    writer->is_too_large = false;
    writer->first_id = (struct rdb_stream_id){0, 0};
    writer->pending_left = 0;
}

/* Appends what a node's listpack has before its entries. */
static void put_node_head(const struct rdb_writer *writer, struct buffer *node) {
    rdb_listpack_begin(node);
    rdb_listpack_put_integer(node, (int64_t)writer->packed_count);
    rdb_listpack_put_integer(node, 0); /* deleted ones */
    rdb_listpack_put_integer(node, (int64_t)writer->names_count);
    buffer_append_slice(node, buffer_slice(&writer->names));
    rdb_listpack_put_integer(node, 0);
}

static void flush_stream_node(struct rdb_writer *writer) {
    if (writer->packed_count == 0) {
        return;
    }
    struct buffer *node = &writer->other;
    buffer_clear(node);
    put_binary_id(node, writer->node_id);
    put_string(writer, buffer_slice(node));
    buffer_clear(node);
    put_node_head(writer, node);
    buffer_append_slice(node, buffer_slice(&writer->packed));
    rdb_listpack_end(node, 0, writer->packed_items_count + writer->names_count + 4);
    put_string(writer, buffer_slice(node));
    writer->nodes_count++;
    writer->packed_count = 0;
    writer->packed_items_count = 0;
    buffer_clear(&writer->packed);
}

/* Has the node room for an entry of `bytes`? As Redis judges, from the node's size so far. */
static bool stream_node_has_room(struct rdb_writer *writer, size_t bytes) {
    uint64_t bytes_max = writer->limits->stream_node_bytes_max;
    uint64_t entries_max = writer->limits->stream_node_entries_max;
    buffer_clear(&writer->other);
    put_node_head(writer, &writer->other);
    size_t size = writer->other.size + writer->packed.size + 1 + bytes;
    return size < LISTPACK_BYTES_MAX && (bytes_max == 0 || size < bytes_max) &&
           (entries_max == 0 || writer->packed_count < entries_max);
}

/* Are the names those that the node has? Both are written the same way. */
static bool has_names_of_node(struct rdb_writer *writer, const struct slice *names_and_values,
                              size_t fields_count) {
    if (fields_count != writer->names_count) {
        return false;
    }
    struct buffer *names = &writer->other;
    buffer_clear(names);
    for (size_t i = 0; i < fields_count; i++) {
        rdb_listpack_put(names, names_and_values[2 * i]);
    }
    return slice_equal(buffer_slice(names), buffer_slice(&writer->names));
}

static void begin_stream_node(struct rdb_writer *writer, struct rdb_stream_id id,
                              const struct slice *names_and_values, size_t fields_count) {
    writer->node_id = id;
    writer->names_count = fields_count;
    buffer_clear(&writer->names);
    for (size_t i = 0; i < fields_count; i++) {
        rdb_listpack_put(&writer->names, names_and_values[2 * i]);
    }
}

void rdb_writer_entry(struct rdb_writer *writer, struct rdb_stream_id id,
                      const struct slice *names_and_values, size_t fields_count) {
    require(fields_count > 0);
    size_t bytes = 0, bytes_with_extra = 0;
    for (size_t i = 0; i < 2 * fields_count; i++) {
        bytes += names_and_values[i].size;
        bytes_with_extra += names_and_values[i].size + RDB_LISTPACK_ENTRY_EXTRA_BYTES_MAX;
    }
    if (bytes_with_extra > LISTPACK_BYTES_MAX) {
        writer->is_too_large = true;
        return;
    }
    if (writer->packed_count > 0 && !stream_node_has_room(writer, bytes)) {
        flush_stream_node(writer);
    }
    if (writer->packed_count == 0) {
        begin_stream_node(writer, id, names_and_values, fields_count);
    }
    if (writer->count == 0) {
        writer->first_id = id;
    }
    bool is_like_first = has_names_of_node(writer, names_and_values, fields_count);
    struct buffer *packed = &writer->packed;
    rdb_listpack_put_integer(packed, is_like_first ? ENTRY_LIKE_FIRST : 0);
    rdb_listpack_put_integer(packed, (int64_t)(id.ms - writer->node_id.ms));
    rdb_listpack_put_integer(packed, (int64_t)(id.sequence - writer->node_id.sequence));
    if (!is_like_first) {
        rdb_listpack_put_integer(packed, (int64_t)fields_count);
    }
    for (size_t i = is_like_first; i < 2 * fields_count; i += 1 + is_like_first) {
        rdb_listpack_put(packed, names_and_values[i]);
    }
    uint64_t items = is_like_first ? fields_count + 3 : 2 * fields_count + 4;
    rdb_listpack_put_integer(packed, (int64_t)items);
    writer->packed_items_count += items + 1;
    writer->packed_count++;
    writer->count++;
}

void rdb_writer_stream(struct rdb_writer *writer, const struct rdb_stream *stream) {
    flush_stream_node(writer);
    insert_nodes_count(writer);
    struct buffer *out = writer->out;
    rdb_value_put_length(out, writer->count);
    put_id(out, stream->last_id);
    put_id(out, writer->first_id);
    put_id(out, stream->deleted_id_max);
    rdb_value_put_length(out, stream->entries_added);
    rdb_value_put_length(out, stream->groups_count);
}

static void put_consumers_count(struct rdb_writer *writer) {
    if (writer->pending_left == 0) {
        rdb_value_put_length(writer->out, writer->consumers_count);
    }
}

void rdb_writer_group(struct rdb_writer *writer, const struct rdb_group *group) {
    struct buffer *out = writer->out;
    put_string(writer, group->name);
    put_id(out, group->last_id);
    rdb_value_put_length(out, (uint64_t)group->entries_read);
    rdb_value_put_length(out, group->pending_count);
    writer->pending_left = group->pending_count;
    writer->consumers_count = group->consumers_count;
    put_consumers_count(writer);
}

void rdb_writer_group_pending(struct rdb_writer *writer, const struct rdb_pending *pending) {
    require(writer->pending_left > 0);
    put_binary_id(writer->out, pending->id);
    rdb_put_little_endian(writer->out, (uint64_t)pending->delivered_unix_ms, 8);
    rdb_value_put_length(writer->out, pending->deliveries_count);
    writer->pending_left--;
    put_consumers_count(writer);
}

void rdb_writer_consumer(struct rdb_writer *writer, const struct rdb_consumer *consumer) {
    require(writer->pending_left == 0);
    put_string(writer, consumer->name);
    rdb_put_little_endian(writer->out, (uint64_t)consumer->seen_unix_ms, 8);
    rdb_value_put_length(writer->out, consumer->pending_count);
}

void rdb_writer_consumer_pending(struct rdb_writer *writer, struct rdb_stream_id id) {
    put_binary_id(writer->out, id);
}

/* ---- the end ---- */

bool rdb_writer_end(struct rdb_writer *writer) {
    if (writer->kind == RDB_KIND_LIST) {
        end_list(writer);
    } else if (writer->kind == RDB_KIND_SET && writer->is_packed) {
        end_packed_set(writer);
    } else if (writer->kind == RDB_KIND_HASH && writer->is_packed) {
        end_packed_pairs(writer, RDB_TYPE_HASH_LISTPACK);
    } else if (writer->kind == RDB_KIND_SORTED_SET && writer->is_packed) {
        end_packed_pairs(writer, RDB_TYPE_ZSET_LISTPACK);
    } else if (writer->kind == RDB_KIND_STREAM && writer->is_too_large) {
        return false;
    }
    rdb_value_put_footer_of(writer->out,
                            writer->kind == RDB_KIND_HASH && writer->expire_unix_ms_min > 0
                                ? RDB_VALUE_VERSION_EXPIRING
                                : RDB_VALUE_VERSION_WRITTEN);
    return true;
}
