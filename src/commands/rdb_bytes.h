/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers of one to eight bytes as they stand in serialised values: mostly little endian, big
 * endian where a length or a stream id is written. */
#ifndef COMMANDS_RDB_BYTES_H
#define COMMANDS_RDB_BYTES_H

#include "base/buffer.h"

static inline void rdb_put_little_endian(struct buffer *out, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) {
        buffer_append_byte(out, (uint8_t)(value >> (8 * i)));
    }
}

static inline void rdb_put_big_endian(struct buffer *out, uint64_t value, unsigned bytes) {
    for (unsigned i = bytes; i > 0; i--) {
        buffer_append_byte(out, (uint8_t)(value >> (8 * (i - 1))));
    }
}

static inline uint64_t rdb_load_little_endian(const char *at, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)(uint8_t)at[i] << (8 * i);
    }
    return value;
}

static inline uint64_t rdb_load_big_endian(const char *at, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value = value << 8 | (uint8_t)at[i];
    }
    return value;
}

/* The two's complement number in the lowest `bits` of `raw`, which has no others. */
static inline int64_t rdb_sign_extend(uint64_t raw, unsigned bits) {
    uint64_t sign = (uint64_t)1 << (bits - 1);
    return (int64_t)((raw ^ sign) - sign);
}

#endif
