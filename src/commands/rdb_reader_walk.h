/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two files of the reader share. One walk gives one item after another, or says why not;
 * the walk that checks and the walk that delivers are the same code. */
#ifndef COMMANDS_RDB_READER_WALK_H
#define COMMANDS_RDB_READER_WALK_H

#include "commands/rdb_reader.h"

enum rdb_walk {
    RDB_WALK_ITEM,
    RDB_WALK_END,
    RDB_WALK_MALFORMED,
    RDB_WALK_OUT_OF_MEMORY,
};

/* Begins a walk at the start of a stream's body. */
enum rdb_walk rdb_reader_stream_begin(struct rdb_reader *reader);
/* RDB_WALK_END once the last group was read. */
enum rdb_walk rdb_reader_stream_step(struct rdb_reader *reader, struct rdb_item *item);

/* Reads a string into `string`; RDB_WALK_ITEM when there is one. */
static inline enum rdb_walk rdb_reader_take_string(struct rdb_reader *reader,
                                                   struct rdb_value_string *string) {
    switch (rdb_value_take_string(&reader->rest, reader->bytes_max, string)) {
    case RDB_VALUE_OK:
        return RDB_WALK_ITEM;
    case RDB_VALUE_OUT_OF_MEMORY:
        return RDB_WALK_OUT_OF_MEMORY;
    case RDB_VALUE_BAD_FOOTER:
    case RDB_VALUE_MALFORMED:
        break;
    }
    return RDB_WALK_MALFORMED;
}

/* Reads a string and opens it as a packed sequence. */
static inline enum rdb_walk rdb_reader_take_packed(struct rdb_reader *reader,
                                                   enum rdb_packed_kind kind) {
    enum rdb_walk walk = rdb_reader_take_string(reader, &reader->node);
    if (walk != RDB_WALK_ITEM) {
        return walk;
    }
    if (reader->is_checked) {
        rdb_packed_open_again(&reader->packed, kind, reader->node.bytes);
        return walk;
    }
    return rdb_packed_open(&reader->packed, kind, reader->node.bytes) ? walk : RDB_WALK_MALFORMED;
}

/* Reads the number of parts that follow; each takes a byte at least. */
static inline bool rdb_reader_take_count(struct rdb_reader *reader, uint64_t part_bytes_min,
                                         uint64_t *count) {
    return rdb_value_take_length(&reader->rest, count) &&
           *count <= reader->rest.size / part_bytes_min;
}

#endif
