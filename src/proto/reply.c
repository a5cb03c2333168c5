/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/reply.h"

#include <math.h>

void reply_simple(struct reply *reply, const char *text) {
    buffer_append_byte(reply->out, '+');
    buffer_append_slice(reply->out, slice_of(text));
    reply_raw(reply, SLICE("\r\n"));
}

static void reply_error_begin(struct reply *reply) {
    reply->errors_count++;
    reply->error_offset = reply->out->size;
    buffer_append_byte(reply->out, '-');
}

/* What is quoted cannot end the line: its own ends of lines become spaces, and those at the end go.
 */
static void reply_error_end(struct reply *reply) {
    struct buffer *out = reply->out;
    while (out->data[out->size - 1] == '\r' || out->data[out->size - 1] == '\n') {
        out->size--;
    }
    for (size_t i = reply->error_offset; i < out->size; i++) {
        if (out->data[i] == '\r' || out->data[i] == '\n') {
            out->data[i] = ' ';
        }
    }
    reply_raw(reply, SLICE("\r\n"));
}

void reply_error(struct reply *reply, const char *text) {
    reply_error_begin(reply);
    buffer_append_slice(reply->out, slice_of(text));
    reply_error_end(reply);
}

void reply_errorf(struct reply *reply, const char *format, ...) {
    reply_error_begin(reply);
    va_list args;
    va_start(args, format);
    buffer_vprintf(reply->out, format, args);
    va_end(args);
    reply_error_end(reply);
}

void reply_integer_slow(struct reply *reply, char type, int64_t value) {
    char *at = buffer_reserve(reply->out, NUMBER_INTEGER_BYTES_MAX + 3);
    size_t size = 0;
    at[size++] = type;
    size += number_format_integer(at + size, value);
    at[size++] = '\r';
    at[size++] = '\n';
    reply->out->size += size;
}

void reply_array(struct reply *reply, size_t count) {
    reply_integer_slow(reply, '*', (int64_t)count);
}

void reply_map(struct reply *reply, size_t count) {
    if (reply->protocol >= 3) {
        reply_integer_slow(reply, '%', (int64_t)count);
    } else {
        reply_array(reply, 2 * count);
    }
}

void reply_set(struct reply *reply, size_t count) {
    reply_integer_slow(reply, reply->protocol >= 3 ? '~' : '*', (int64_t)count);
}

void reply_push(struct reply *reply, size_t count) {
    reply_integer_slow(reply, reply->protocol >= 3 ? '>' : '*', (int64_t)count);
}

size_t reply_deferred_begin(struct reply *reply) {
    return reply->out->size;
}

/* Moves what was written since `begin` to make room for the header that belongs before it. */
static void reply_insert_header(struct reply *reply, size_t begin, char type, size_t count) {
    char header[NUMBER_INTEGER_BYTES_MAX + 3];
    size_t size = 0;
    header[size++] = type;
    size += number_format_unsigned(header + size, count);
    header[size++] = '\r';
    header[size++] = '\n';
    size_t tail = reply->out->size - begin;
    (void)buffer_reserve(reply->out, size);
    char *at = reply->out->data + begin;
    memmove(at + size, at, tail);
    memcpy(at, header, size);
    reply->out->size += size;
    if (reply->errors_count > 0 && reply->error_offset >= begin) {
        reply->error_offset += size;
    }
}

void reply_deferred_array(struct reply *reply, size_t begin, size_t count) {
    reply_insert_header(reply, begin, '*', count);
}

void reply_deferred_map(struct reply *reply, size_t begin, size_t count) {
    if (reply->protocol >= 3) {
        reply_insert_header(reply, begin, '%', count);
    } else {
        reply_insert_header(reply, begin, '*', 2 * count);
    }
}

void reply_deferred_set(struct reply *reply, size_t begin, size_t count) {
    reply_insert_header(reply, begin, reply->protocol >= 3 ? '~' : '*', count);
}

void reply_null(struct reply *reply) {
    reply_raw(reply, reply->protocol >= 3 ? SLICE("_\r\n") : SLICE("$-1\r\n"));
}

void reply_null_array(struct reply *reply) {
    reply_raw(reply, reply->protocol >= 3 ? SLICE("_\r\n") : SLICE("*-1\r\n"));
}

void reply_bool(struct reply *reply, bool value) {
    if (reply->protocol >= 3) {
        reply_raw(reply, value ? SLICE("#t\r\n") : SLICE("#f\r\n"));
    } else {
        reply_integer(reply, value ? 1 : 0);
    }
}

void reply_double(struct reply *reply, double value) {
    char text[64];
    size_t size = number_format_double(text, value);
    if (reply->protocol >= 3) {
        buffer_append_byte(reply->out, ',');
        buffer_append(reply->out, text, size);
        reply_raw(reply, SLICE("\r\n"));
    } else {
        reply_bulk(reply, slice_make(text, size));
    }
}

void reply_verbatim(struct reply *reply, const char format[3], struct slice text) {
    if (reply->protocol < 3) {
        reply_bulk(reply, text);
        return;
    }
    reply_integer_slow(reply, '=', (int64_t)text.size + 4);
    buffer_append(reply->out, format, 3);
    buffer_append_byte(reply->out, ':');
    buffer_append_slice(reply->out, text);
    reply_raw(reply, SLICE("\r\n"));
}

void reply_bulk_text(struct reply *reply, const char *text) {
    reply_bulk(reply, slice_of(text));
}

void reply_bulk_printf(struct reply *reply, const char *format, ...) {
    struct buffer text = {0};
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    reply_bulk(reply, buffer_slice(&text));
    buffer_deinit(&text);
}

void reply_bulk_integer(struct reply *reply, int64_t value) {
    char text[NUMBER_INTEGER_BYTES_MAX];
    reply_bulk(reply, slice_make(text, number_format_integer(text, value)));
}
