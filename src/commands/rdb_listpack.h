/* SPDX-License-Identifier: BSD-3-Clause */
/* A listpack: byte strings and integers in one run of bytes, which can be walked both ways.
 *
 *   u32 bytes of all | u16 entries (65535: count them) | entry... | 255
 *   entry: encoding, with the length of a string or the integer | string | back length
 *
 *   0IIIIIII                        an integer of 7 bits, not negative
 *   10LLLLLL                        a string below 64 bytes
 *   110IIIII IIIIIIII               a signed integer of 13 bits
 *   1110LLLL LLLLLLLL               a string below 4096 bytes
 *   11110000 and 32 bits            a string
 *   11110001, 010, 011, 100         a signed integer of 16, 24, 32, 64 bits
 *
 * Header, lengths of 32 bits and integers of 16 bits and more are little endian. The back length
 * is the entry's size so far, in groups of 7 bits from the highest down, all but the first with
 * the top bit set, so that it is read backwards. (antirez, "Listpack specification", 2017.) */
#ifndef COMMANDS_RDB_LISTPACK_H
#define COMMANDS_RDB_LISTPACK_H

#include "base/buffer.h"
#include "commands/rdb_packed.h"

enum {
    RDB_LISTPACK_HEAD_BYTES = 6,
    RDB_LISTPACK_ENTRY_EXTRA_BYTES_MAX = 10, /* what an entry takes beside its string */
};

/* ---- reading ---- */

/* Checks that `bytes` are one whole listpack; tells where its entries are and how many. */
bool rdb_listpack_check(struct slice bytes, struct slice *entries, uint64_t *count);
/* The same of one that was checked, in O(1); false when its head does not tell how many. */
bool rdb_listpack_open(struct slice bytes, struct slice *entries, uint64_t *count);
/* Reads one entry from the front of `entries`; false when it is malformed. */
bool rdb_listpack_take(struct slice *entries, struct rdb_packed_item *item);

/* ---- writing ---- */

/* Appends an entry; bytes that spell an integer as Redis would are written as one. */
void rdb_listpack_put(struct buffer *out, struct slice bytes);
void rdb_listpack_put_integer(struct buffer *out, int64_t integer);
/* Appends room for the header; then put entries. */
void rdb_listpack_begin(struct buffer *out);
/* Fills in the header of the listpack that began at `start`, and appends its end. All of it must
 * be below 4 GiB. */
void rdb_listpack_end(struct buffer *out, size_t start, uint64_t count);

#endif
