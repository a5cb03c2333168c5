/* SPDX-License-Identifier: BSD-3-Clause */
/* A slice is a borrowed run of bytes: a pointer and a size, passed by value.
 *
 * A slice owns nothing; whoever made it says how long the bytes live. It may hold any bytes,
 * zeros included, and is not terminated. Single thread rules are those of the bytes. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data;
    size_t size;
};

/* A slice of a string literal, size known at compile time. */
#define SLICE(literal) ((struct slice){.data = (literal), .size = sizeof(literal) - 1})

static inline struct slice slice_make(const void *data, size_t size) {
    return (struct slice){.data = (const char *)data, .size = size};
}

/* The bytes of a terminated string, without its terminator. */
static inline struct slice slice_of(const char *text) {
    return (struct slice){.data = text, .size = strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Equal but for ASCII case; `lower` is already in lower case. */
static inline bool slice_is_word(struct slice a, const char *lower) {
    size_t i = 0;
    for (; i < a.size && lower[i] != '\0'; i++) {
        char c = a.data[i];
        if (c >= 'A' && c <= 'Z') {
            c = (char)(c + ('a' - 'A'));
        }
        if (c != lower[i]) {
            return false;
        }
    }
    return i == a.size && lower[i] == '\0';
}

/* Order by bytes, then by size: below, at or above zero. */
static inline int slice_compare(struct slice a, struct slice b) {
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0) {
        return order;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

/* `a` without its first `count` bytes; count is at most a.size. */
static inline struct slice slice_skip(struct slice a, size_t count) {
    return (struct slice){.data = a.data + count, .size = a.size - count};
}

#endif
