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

/* The number that the bytes are, big-endian, becomes one more; they are not all 0xFF. */
static inline void bytes_increment(char *bytes, size_t size) {
    for (char *byte = bytes + size - 1; ++*byte == 0;) {
        byte--;
    }
}

/* How many of the first `size` bytes are the same in both, up to the first that differs. */
static inline size_t slice_shared_front(const char *a, const char *b, size_t size) {
    size_t shared = 0;
    for (uint64_t of_a, of_b; size - shared >= sizeof(of_a); shared += sizeof(of_a)) {
        memcpy(&of_a, a + shared, sizeof(of_a));
        memcpy(&of_b, b + shared, sizeof(of_b));
        if (of_a != of_b) {
            return shared + (size_t)__builtin_ctzll(of_a ^ of_b) / 8;
        }
    }
    while (shared < size && a[shared] == b[shared]) {
        shared++;
    }
    return shared;
}

/* How many of the last ones are the same, of those from `begin` on. */
static inline size_t slice_shared_back(const char *a, const char *b, size_t size, size_t begin) {
    size_t end = size;
    for (uint64_t of_a, of_b; end - begin >= sizeof(of_a); end -= sizeof(of_a)) {
        memcpy(&of_a, a + end - sizeof(of_a), sizeof(of_a));
        memcpy(&of_b, b + end - sizeof(of_b), sizeof(of_b));
        if (of_a != of_b) {
            return size - end + (size_t)__builtin_clzll(of_a ^ of_b) / 8;
        }
    }
    while (end > begin && a[end - 1] == b[end - 1]) {
        end--;
    }
    return size - end;
}

/* `a` without its first `count` bytes; count is at most a.size. */
static inline struct slice slice_skip(struct slice a, size_t count) {
    return (struct slice){.data = a.data + count, .size = a.size - count};
}

#endif
