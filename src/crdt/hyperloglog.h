/* SPDX-License-Identifier: BSD-3-Clause */
/* HyperLogLog: counts distinct elements in 16384 registers, kept as a string.
 *
 * Each element hashes to a register's index and a rank; a register holds the greatest rank that it
 * was given. So the state is ordered by registers, two states merge by taking the greater rank of
 * each, and any order and repetition of additions or merges gives the same registers. Nothing is
 * ever taken back, so there is no tie to break and no tombstone.
 *
 * The string is that of Redis, byte for byte, so that values move between servers by DUMP or GET:
 *
 *   offset  size
 *   0       4     "HYLL"
 *   4       1     encoding: 0 dense, 1 sparse
 *   5       3     0
 *   8       8     cached count, little endian; top bit set: out of date
 *   16      n     registers
 *
 *   dense   12288 bytes: 6 bits a register, low bits first
 *   sparse  opcodes, together covering all registers:
 *           00nnnnnn             n + 1 registers of rank 0
 *           01nnnnnn nnnnnnnn    n + 1 registers of rank 0 (n: 14 bits, high byte first)
 *           1rrrrrnn             n + 1 registers of rank r + 1
 *
 * Values may come from outside, so every function here takes any bytes behind a header that
 * hyperloglog_check() has accepted, and none reads or writes out of bounds. */
#ifndef CRDT_HYPERLOGLOG_H
#define CRDT_HYPERLOGLOG_H

#include "base/buffer.h"

enum {
    HYPERLOGLOG_INDEX_BITS = 14,
    HYPERLOGLOG_REGISTERS_COUNT = 1 << HYPERLOGLOG_INDEX_BITS,
    HYPERLOGLOG_RANK_MAX = 64 - HYPERLOGLOG_INDEX_BITS + 1, /* of an element */
    HYPERLOGLOG_REGISTER_MAX = 63,                          /* what a register can hold */
    HYPERLOGLOG_HEADER_BYTES = 16,
    HYPERLOGLOG_CACHE_OFFSET = 8, /* the cached count ends the header */
    HYPERLOGLOG_DENSE_BYTES = HYPERLOGLOG_HEADER_BYTES + HYPERLOGLOG_REGISTERS_COUNT * 6 / 8,
    /* No opcode takes more than two bytes or covers less than one register. */
    HYPERLOGLOG_SPARSE_BYTES_LIMIT = HYPERLOGLOG_HEADER_BYTES + 2 * HYPERLOGLOG_REGISTERS_COUNT,
    HYPERLOGLOG_SPARSE_BYTES_MAX_DEFAULT = 3000, /* longer ones become dense; header included */
    HYPERLOGLOG_PAIR_BYTES = 3,
};

enum hyperloglog_status {
    HYPERLOGLOG_OK,        /* done; for a raise: no register rose */
    HYPERLOGLOG_RAISED,    /* a register rose */
    HYPERLOGLOG_FOREIGN,   /* the string has no such header */
    HYPERLOGLOG_CORRUPTED, /* the registers make no sense */
};

/* A register and a rank for it. */
struct hyperloglog_place {
    unsigned index;
    unsigned rank;
};

/* ---- lifecycle ---- */

/* Makes `value` the empty HyperLogLog, sparse. */
void hyperloglog_init(struct buffer *value);
/* Looks at the header: OK or FOREIGN. */
enum hyperloglog_status hyperloglog_check(struct slice value);

/* ---- reads ---- */

/* Where `element` counts. The hash is MurmurHash64A as Redis has it, so the registers are equal. */
struct hyperloglog_place hyperloglog_place(struct slice element);
bool hyperloglog_is_dense(struct slice value);
/* The rank in register `index`: OK or CORRUPTED. Sparse values are walked up to there only. */
enum hyperloglog_status hyperloglog_get(struct slice value, unsigned index, unsigned *rank);
/* Raises each of `registers` to its rank in `value`. OK or CORRUPTED. */
enum hyperloglog_status hyperloglog_join(uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT],
                                         struct slice value);
/* The estimate of how many distinct elements were added: OK or CORRUPTED. */
enum hyperloglog_status hyperloglog_count(struct slice value, uint64_t *count);
uint64_t hyperloglog_count_registers(const uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT]);
/* The cached count; false when it is out of date. */
bool hyperloglog_cached(struct slice value, uint64_t *count);
/* Appends the opcodes of a sparse value to `text`, as PFDEBUG DECODE shows them. OK or CORRUPTED.
 */
enum hyperloglog_status hyperloglog_describe(struct slice value, struct buffer *text);

/* ---- writes: each marks the cached count as out of date ---- */

/* Raises one register; a sparse value that would outgrow `sparse_bytes_max` becomes dense. OK,
 * RAISED, or CORRUPTED with `value` unchanged. */
enum hyperloglog_status hyperloglog_raise(struct buffer *value, struct hyperloglog_place place,
                                          size_t sparse_bytes_max);
/* Are these pairs, each of a register and a rank that it can hold? */
bool hyperloglog_pairs_are_sound(struct slice pairs);
/* Raises registers of the dense value at `value` to the ranks in `pairs`: 3 bytes for each, index
 * (16 bits, little endian) and rank. For changes from the log: false, with nothing changed, when
 * value or pairs make no sense. */
bool hyperloglog_join_pairs(char *value, size_t size, struct slice pairs);
/* Makes `value` what raising `pairs` in their order makes of `old`, which hyperloglog_check() has
 * accepted; sparse values stay sparse if their ranks allow, however long. False, with `value`
 * undefined, when value or pairs make no sense. */
bool hyperloglog_raise_pairs(struct buffer *value, struct slice old, struct slice pairs);
/* Appends a pair to `pairs`. */
void hyperloglog_pair_put(struct buffer *pairs, struct hyperloglog_place place);
/* Replaces `value` by one with these registers: dense if asked or if a sparse one would be longer
 * than `sparse_bytes_max` or could not hold a rank. */
void hyperloglog_set_registers(struct buffer *value,
                               const uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT], bool dense,
                               size_t sparse_bytes_max);
/* OK or CORRUPTED with `value` unchanged. */
enum hyperloglog_status hyperloglog_make_dense(struct buffer *value);
/* Puts a count into the cache of the value at `header`. It follows from the registers and so is
 * no change of the value. */
void hyperloglog_cache(char header[HYPERLOGLOG_HEADER_BYTES], uint64_t count);

#endif
