/* SPDX-License-Identifier: BSD-3-Clause */
/* A buffer is a growable run of bytes that it owns: bytes are added at the end and consumed from
 * the front.
 *
 * A zeroed struct is a valid empty buffer without memory. Growth doubles, so appending is
 * amortised O(1); memory that runs out aborts, so whoever appends bytes of a client's choosing
 * bounds them first. One thread at a time. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdarg.h>

#include "base/slice.h"

struct buffer {
    char *data;
    size_t size;     /* bytes held, from data[0] */
    size_t capacity; /* bytes allocated */
};

void buffer_deinit(struct buffer *buffer);
/* Makes room for `extra` more bytes and returns where they go; buffer->size is unchanged. */
char *buffer_reserve_slow(struct buffer *buffer, size_t extra);
/* Drops the first `count` bytes, moving the rest to the front. */
void buffer_consume(struct buffer *buffer, size_t count);
/* Appends formatted text, without a terminator. */
void buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_vprintf(struct buffer *buffer, const char *format, va_list args);
/* Terminates the bytes (the terminator is not counted) and returns them as text. */
const char *buffer_text(struct buffer *buffer);

static inline char *buffer_reserve(struct buffer *buffer, size_t extra) {
    if (__builtin_expect(buffer->capacity - buffer->size >= extra, 1)) {
        return buffer->data + buffer->size;
    }
    return buffer_reserve_slow(buffer, extra);
}

static inline void buffer_append(struct buffer *buffer, const void *data, size_t size) {
    if (size > 0) {
        memcpy(buffer_reserve(buffer, size), data, size);
        buffer->size += size;
    }
}

static inline void buffer_append_slice(struct buffer *buffer, struct slice bytes) {
    buffer_append(buffer, bytes.data, bytes.size);
}

static inline void buffer_append_byte(struct buffer *buffer, uint8_t byte) {
    *buffer_reserve(buffer, 1) = (char)byte;
    buffer->size++;
}

/* Forgets the bytes, keeps the memory. */
static inline void buffer_clear(struct buffer *buffer) {
    buffer->size = 0;
}

static inline struct slice buffer_slice(const struct buffer *buffer) {
    return (struct slice){.data = buffer->data, .size = buffer->size};
}

#endif
