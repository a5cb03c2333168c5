/* SPDX-License-Identifier: BSD-3-Clause */
/* Variable-length integers: seven bits a byte, low bits first, the high bit set on all but the
 * last byte (LEB128). Signed numbers are folded so that small magnitudes stay short (zigzag). */
#ifndef BASE_VARINT_H
#define BASE_VARINT_H

#include "base/slice.h"

enum { VARINT_BYTES_MAX = 10 };

/* Writes `value` at `at`, which has VARINT_BYTES_MAX bytes of room; returns the bytes used. */
static inline size_t varint_put(char *at, uint64_t value) {
    size_t size = 0;
    while (value >= 0x80) {
        at[size++] = (char)(value | 0x80);
        value >>= 7;
    }
    at[size++] = (char)value;
    return size;
}

/* Reads a number from the front of `bytes` and skips it. False, with `bytes` unchanged, when it
 * is cut short or does not fit 64 bits. */
static inline bool varint_take(struct slice *bytes, uint64_t *value) {
    uint64_t result = 0;
    for (size_t i = 0; i < bytes->size && i < VARINT_BYTES_MAX; i++) {
        uint8_t byte = (uint8_t)bytes->data[i];
        if (i == VARINT_BYTES_MAX - 1 && byte > 1) {
            return false;
        }
        result |= (uint64_t)(byte & 0x7F) << (7 * i);
        if ((byte & 0x80) == 0) {
            *value = result;
            *bytes = slice_skip(*bytes, i + 1);
            return true;
        }
    }
    return false;
}

/* Reads a number that varint_put() has written here: never one from outside. */
static inline uint64_t varint_take_own(const char **at) {
    const uint8_t *byte = (const uint8_t *)*at;
    uint64_t value = *byte & 0x7F;
    for (unsigned shift = 7; (*byte++ & 0x80) != 0; shift += 7) {
        value |= (uint64_t)(*byte & 0x7F) << shift;
    }
    *at = (const char *)byte;
    return value;
}

static inline uint64_t varint_zigzag(int64_t value) {
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t varint_unzigzag(uint64_t value) {
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* Reads a length and that many bytes. False when cut short. */
static inline bool varint_take_slice(struct slice *bytes, struct slice *out) {
    struct slice rest = *bytes;
    uint64_t size;
    if (!varint_take(&rest, &size) || size > rest.size) {
        return false;
    }
    *out = slice_make(rest.data, (size_t)size);
    *bytes = slice_skip(rest, (size_t)size);
    return true;
}

#endif
