/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes of serialised values, put together by hand. */
#ifndef TESTS_UNIT_COMMANDS_RDB_BYTES_OF_H
#define TESTS_UNIT_COMMANDS_RDB_BYTES_OF_H

#include "commands/rdb_bytes.h"
#include "commands/rdb_listpack.h"
#include "commands/rdb_value.h"

static inline unsigned hex_digit(char c) {
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

static inline void put_hex(struct buffer *out, const char *hex) {
    for (; hex[0] != '\0'; hex += 2) {
        buffer_append_byte(out, (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1])));
    }
}

static inline void put_bytes(struct buffer *out, struct slice bytes) {
    rdb_value_put_length(out, bytes.size);
    buffer_append_slice(out, bytes);
}

static inline void put_text(struct buffer *out, const char *text) {
    put_bytes(out, slice_of(text));
}

/* A string that holds a listpack of the words of `words`. */
static inline void put_listpack(struct buffer *out, const char *words) {
    struct buffer listpack = {0};
    uint64_t count = 0;
    rdb_listpack_begin(&listpack);
    while (*words != '\0') {
        size_t size = strcspn(words, " ");
        rdb_listpack_put(&listpack, slice_make(words, size));
        count++;
        words += size;
        words += *words == ' ';
    }
    rdb_listpack_end(&listpack, 0, count);
    put_bytes(out, buffer_slice(&listpack));
    buffer_deinit(&listpack);
}

static inline void put_binary_id(struct buffer *out, uint64_t ms, uint64_t sequence) {
    rdb_put_big_endian(out, ms, 8);
    rdb_put_big_endian(out, sequence, 8);
}

#endif
