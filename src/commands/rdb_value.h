/* SPDX-License-Identifier: BSD-3-Clause */
/* The serialised form of one value, as DUMP gives it and RESTORE takes it: what a Redis RDB file
 * holds for the value, followed by a footer.
 *
 *   type byte (0: string) | value | RDB version (16 bits) | CRC-64 of all before it (64 bits)
 *
 * Numbers of the footer are little endian. A string begins with one byte whose top two bits choose:
 *
 *   00LLLLLL                       a length below 64, the bytes follow
 *   01LLLLLL LLLLLLLL              a length below 16384
 *   10000000 32 bits big endian    a length; 10000001 has 64 bits
 *   11000000 8 bits                a signed integer in decimal
 *   11000001 16 bits, 11000010 32 bits   likewise, little endian
 *   11000011 length length bytes   LZF: compressed size, original size, compressed bytes
 *
 * We write version 10, since a server refuses versions above its own and nothing we write needs
 * more: Redis 7.0 and all later ones read it. */
#ifndef COMMANDS_RDB_VALUE_H
#define COMMANDS_RDB_VALUE_H

#include "base/buffer.h"

enum {
    RDB_VALUE_STRING = 0,
    RDB_VALUE_VERSION_WRITTEN = 10,
    RDB_VALUE_VERSION_READ_MAX = 12, /* of Redis 7.4, where strings are the same */
    RDB_VALUE_FOOTER_BYTES = 10,
};

/* ---- writing ---- */

void rdb_value_put_length(struct buffer *out, uint64_t length);
/* Appends a string in its shortest form; compression is tried where `compress`. */
void rdb_value_put_string(struct buffer *out, struct slice bytes, bool compress);
/* Appends the footer for all of `out`. */
void rdb_value_put_footer(struct buffer *out);

/* ---- reading ---- */

enum rdb_value_status {
    RDB_VALUE_OK,
    RDB_VALUE_BAD_FOOTER,    /* too short, a newer version, or a wrong checksum */
    RDB_VALUE_MALFORMED,     /* the bytes are not what they claim to be */
    RDB_VALUE_OUT_OF_MEMORY, /* to expand a compressed string */
};

/* A string that was read: a part of what it was read from, or made for it. */
struct rdb_value_string {
    struct slice bytes;
    char *owned;     /* expanded bytes, or NULL */
    char digits[24]; /* of an integer */
};

/* Checks the footer and cuts it off `payload`. */
enum rdb_value_status rdb_value_check_footer(struct slice *payload);
/* Reads a length from the front of `bytes` and skips it; false when there is none. */
bool rdb_value_take_length(struct slice *bytes, uint64_t *length);
/* Reads a string of at most `bytes_max` bytes from the front of `bytes` and skips it. The result
 * may point into `bytes` and into `*string` itself; whatever comes out, deinit it. */
enum rdb_value_status rdb_value_take_string(struct slice *bytes, uint64_t bytes_max,
                                            struct rdb_value_string *string);
void rdb_value_string_deinit(struct rdb_value_string *string);

#endif
