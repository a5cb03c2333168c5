/* SPDX-License-Identifier: BSD-3-Clause */
/* A ziplist, what Redis packed small collections in before listpacks. We only read them.
 *
 *   u32 bytes of all | u32 offset of the last entry | u16 entries (65535: count them) | entry... |
 *   255
 *   entry: size of the entry before it | encoding, with the length or integer | string
 *
 * The size before is one byte below 254, or 254 and 32 bits; 0 for the first entry. Encodings:
 *
 *   00LLLLLL                         a string below 64 bytes
 *   01LLLLLL LLLLLLLL                a string below 16384 bytes
 *   10000000 and 32 bits big endian  a string
 *   11000000, 11010000, 11100000     a signed integer of 16, 32, 64 bits
 *   11110000, 11111110               of 24, of 8 bits
 *   1111IIII                         0 to 12, as 0001 to 1101
 *
 * All other numbers are little endian. */
#ifndef COMMANDS_RDB_ZIPLIST_H
#define COMMANDS_RDB_ZIPLIST_H

#include "commands/rdb_packed.h"

/* Checks that `bytes` are one whole ziplist; tells where its entries are and how many. */
bool rdb_ziplist_check(struct slice bytes, struct slice *entries, uint64_t *count);
/* Reads one entry from the front of `entries`; false when it is malformed. */
bool rdb_ziplist_take(struct slice *entries, struct rdb_packed_item *item);

#endif
