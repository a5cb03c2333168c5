/* SPDX-License-Identifier: BSD-3-Clause */
/* The packed sequences inside serialised values: a whole small collection, or a part of a list or
 * stream, as one byte string. There are four kinds:
 *
 *   listpack   since Redis 5 (streams) and 7 (the rest); rdb_listpack.h
 *   ziplist    before it; rdb_ziplist.h
 *   intset     u32 width (2, 4 or 8) | u32 count | integers, little endian, rising
 *   zipmap     before Redis 2.6: u8 count | (length key length u8-unused value unused)... | 255;
 *              a length is one byte up to 253, or 254 and 32 bits little endian; a count
 *              of 254 says nothing
 *
 * Opening one checks all of it: what is read from it afterwards is inside. An item is a byte string
 * or an integer; to Redis an integer and its decimal text are one value. */
#ifndef COMMANDS_RDB_PACKED_H
#define COMMANDS_RDB_PACKED_H

#include "base/number.h"
#include "base/slice.h"

enum rdb_packed_kind {
    RDB_PACKED_LISTPACK,
    RDB_PACKED_ZIPLIST,
    RDB_PACKED_INTSET,
    RDB_PACKED_ZIPMAP, /* keys and values are items by turns */
};

struct rdb_packed_item {
    bool is_integer;
    int64_t integer;    /* if so */
    struct slice bytes; /* if not: a part of the sequence */
};

/* A position in a sequence: copying it keeps the place. */
struct rdb_packed {
    enum rdb_packed_kind kind;
    uint8_t width;     /* of an intset's integers */
    struct slice rest; /* the items that were not read */
    uint64_t left;     /* how many they are */
};

/* Checks `bytes`, which must be one whole sequence, and puts `packed` before its first item. The
 * bytes must outlive it. */
bool rdb_packed_open(struct rdb_packed *packed, enum rdb_packed_kind kind, struct slice bytes);
/* The same for bytes of which that went well before: they need not all be looked at again. */
void rdb_packed_open_again(struct rdb_packed *packed, enum rdb_packed_kind kind,
                           struct slice bytes);
/* Reads the next item; false at the end. */
bool rdb_packed_next(struct rdb_packed *packed, struct rdb_packed_item *item);
/* Passes over `count` items; false when there are fewer. */
bool rdb_packed_skip(struct rdb_packed *packed, uint64_t count);
/* The bytes that the item stands for; an integer's are written to `digits`. */
static inline struct slice rdb_packed_text(const struct rdb_packed_item *item,
                                           char digits[NUMBER_INTEGER_BYTES_MAX]) {
    return item->is_integer ? slice_make(digits, number_format_integer(digits, item->integer))
                            : item->bytes;
}

#endif
