/* SPDX-License-Identifier: BSD-3-Clause */
/* The serialised form of one value, as DUMP gives it and RESTORE takes it: what a Redis RDB file
 * holds for the value, followed by a footer.
 *
 *   type byte | value | RDB version (16 bits) | CRC-64 of all before it (64 bits)
 *
 * Numbers of the footer are little endian. Here are the parts that all types share: types, lengths,
 * strings and the footer. rdb_reader.h reads whole values, rdb_writer.h writes them.
 *
 * A string begins with one byte whose top two bits choose:
 *
 *   00LLLLLL                       a length below 64, the bytes follow
 *   01LLLLLL LLLLLLLL              a length below 16384
 *   10000000 32 bits big endian    a length; 10000001 has 64 bits
 *   11000000 8 bits                a signed integer in decimal
 *   11000001 16 bits, 11000010 32 bits   likewise, little endian
 *   11000011 length length bytes   LZF: compressed size, original size, compressed bytes
 *
 * We write version 10, since a server refuses versions above its own and nothing we write needs
 * more, but for hashes with fields that expire: Redis 7.0 and all later ones read it. */
#ifndef COMMANDS_RDB_VALUE_H
#define COMMANDS_RDB_VALUE_H

#include "base/buffer.h"

/* What a value is, whatever its layout. */
enum rdb_kind {
    RDB_KIND_STRING,
    RDB_KIND_LIST,
    RDB_KIND_SET,
    RDB_KIND_HASH,
    RDB_KIND_SORTED_SET,
    RDB_KIND_STREAM,
};

/* The type byte: what a value is and how it is laid out. */
enum rdb_type {
    RDB_TYPE_STRING = 0,
    RDB_TYPE_LIST = 1,
    RDB_TYPE_SET = 2,
    RDB_TYPE_ZSET = 3,
    RDB_TYPE_HASH = 4,
    RDB_TYPE_ZSET_2 = 5,
    RDB_TYPE_MODULE = 6,
    RDB_TYPE_MODULE_2 = 7,
    RDB_TYPE_HASH_ZIPMAP = 9,
    RDB_TYPE_LIST_ZIPLIST = 10,
    RDB_TYPE_SET_INTSET = 11,
    RDB_TYPE_ZSET_ZIPLIST = 12,
    RDB_TYPE_HASH_ZIPLIST = 13,
    RDB_TYPE_LIST_QUICKLIST = 14,
    RDB_TYPE_STREAM_LISTPACKS = 15,
    RDB_TYPE_HASH_LISTPACK = 16,
    RDB_TYPE_ZSET_LISTPACK = 17,
    RDB_TYPE_LIST_QUICKLIST_2 = 18,
    RDB_TYPE_STREAM_LISTPACKS_2 = 19,
    RDB_TYPE_SET_LISTPACK = 20,
    RDB_TYPE_STREAM_LISTPACKS_3 = 21,
    RDB_TYPE_HASH_METADATA_PRE_GA = 22,
    RDB_TYPE_HASH_LISTPACK_EX_PRE_GA = 23,
    RDB_TYPE_HASH_METADATA = 24,
    RDB_TYPE_HASH_LISTPACK_EX = 25,
    RDB_TYPES_COUNT,
};

enum {
    RDB_VALUE_VERSION_WRITTEN = 10,
    RDB_VALUE_VERSION_EXPIRING = 12, /* written where fields of a hash expire */
    RDB_VALUE_VERSION_READ_MAX = 12, /* of Redis 7.4 */
    RDB_VALUE_FOOTER_BYTES = 10,
};

/* ---- writing ---- */

void rdb_value_put_length(struct buffer *out, uint64_t length);
/* Appends a string in its shortest form; compression is tried where `compress`. */
void rdb_value_put_string(struct buffer *out, struct slice bytes, bool compress);
/* Appends the footer for all of `out`; of RDB_VALUE_VERSION_WRITTEN, or another version. */
void rdb_value_put_footer(struct buffer *out);
void rdb_value_put_footer_of(struct buffer *out, unsigned version);

/* ---- reading ---- */

enum rdb_value_status {
    RDB_VALUE_OK,
    RDB_VALUE_BAD_FOOTER,    /* too short, a newer version, or a wrong checksum */
    RDB_VALUE_MALFORMED,     /* the bytes are not what they claim to be */
    RDB_VALUE_OUT_OF_MEMORY, /* to expand a compressed string */
};

/* A string that was read: a part of what it was read from, or made for it. Zeroed before its first
 * use; reading the next one into it keeps its memory, so reading the same strings a second time
 * allocates nothing. */
struct rdb_value_string {
    struct slice bytes;
    char *owned; /* room for expanded bytes, or NULL */
    size_t owned_bytes;
    char digits[24]; /* of an integer */
};

/* Checks the footer and cuts it off `payload`. */
enum rdb_value_status rdb_value_check_footer(struct slice *payload);
/* Reads a length from the front of `bytes` and skips it; false when there is none. */
bool rdb_value_take_length(struct slice *bytes, uint64_t *length);
/* Reads a string of at most `bytes_max` bytes from the front of `bytes` and skips it. The result
 * may point into `bytes` and into `*string` itself; whatever comes out, deinit it in the end. */
enum rdb_value_status rdb_value_take_string(struct slice *bytes, uint64_t bytes_max,
                                            struct rdb_value_string *string);
void rdb_value_string_deinit(struct rdb_value_string *string);

#endif
