/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/buffer.h"

#include <stdio.h>

#include "base/check.h"
#include "base/memory.h"

enum { BUFFER_BYTES_MIN = 64 };

void buffer_deinit(struct buffer *buffer) {
    memory_free(buffer->data);
    *buffer = (struct buffer){0};
}

char *buffer_reserve_slow(struct buffer *buffer, size_t extra) {
    require(extra <= SIZE_MAX / 2 - buffer->size);
    size_t capacity = buffer->size + extra;
    if (capacity < buffer->capacity * 2) {
        capacity = buffer->capacity * 2;
    }
    if (capacity < BUFFER_BYTES_MIN) {
        capacity = BUFFER_BYTES_MIN;
    }
    buffer->data = memory_resize(buffer->data, capacity);
    buffer->capacity = capacity;
    return buffer->data + buffer->size;
}

void buffer_consume(struct buffer *buffer, size_t count) {
    require(count <= buffer->size);
    if (count > 0 && count < buffer->size) {
        memmove(buffer->data, buffer->data + count, buffer->size - count);
    }
    buffer->size -= count;
}

void buffer_printf(struct buffer *buffer, const char *format, ...) {
    va_list args;
    va_start(args, format);
    buffer_vprintf(buffer, format, args);
    va_end(args);
}

void buffer_vprintf(struct buffer *buffer, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    size_t room = buffer->capacity - buffer->size;
    int size = vsnprintf(room > 0 ? buffer->data + buffer->size : NULL, room, format, args);
    require(size >= 0);
    if ((size_t)size >= room) {
        char *at = buffer_reserve(buffer, (size_t)size + 1);
        (void)vsnprintf(at, (size_t)size + 1, format, again);
    }
    va_end(again);
    buffer->size += (size_t)size;
}

const char *buffer_text(struct buffer *buffer) {
    *buffer_reserve(buffer, 1) = '\0';
    return buffer->data;
}
