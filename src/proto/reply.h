/* SPDX-License-Identifier: BSD-3-Clause */
/* Replies: values as RESP2 or RESP3 bytes, appended to a buffer
 * (https://redis.io/docs/latest/develop/reference/protocol-spec/).
 *
 * One set of calls serves both protocols: what RESP2 lacks is written as it is customary there (a
 * map as a flat array, a double as a bulk string, null as $-1). A struct reply borrows its buffer.
 */
#ifndef PROTO_REPLY_H
#define PROTO_REPLY_H

#include "base/buffer.h"
#include "base/number.h"

struct reply {
    struct buffer *out;
    unsigned protocol;     /* 2 or 3 */
    unsigned errors_count; /* error replies written so far */
    size_t error_offset;   /* where the newest of them begins in `out` */
};

/* "+text\r\n"; `text` has no line breaks. */
void reply_simple(struct reply *reply, const char *text);
/* "-text\r\n": the text begins with its code word, such as "ERR syntax error". Line breaks in it
 * become spaces. */
void reply_error(struct reply *reply, const char *text);
void reply_errorf(struct reply *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void reply_integer_slow(struct reply *reply, char type, int64_t value);
/* An array, map (of `count` pairs), set or push of `count` elements: its elements follow. */
void reply_array(struct reply *reply, size_t count);
void reply_map(struct reply *reply, size_t count);
void reply_set(struct reply *reply, size_t count);
void reply_push(struct reply *reply, size_t count);
/* An array, map or set whose count is known only at its end: remember what begin returns, write the
 * elements, and call the end function with their number. */
size_t reply_deferred_begin(struct reply *reply);
void reply_deferred_array(struct reply *reply, size_t begin, size_t count);
void reply_deferred_map(struct reply *reply, size_t begin, size_t count);
void reply_deferred_set(struct reply *reply, size_t begin, size_t count);
void reply_null(struct reply *reply);       /* $-1 or _ */
void reply_null_array(struct reply *reply); /* *-1 or _ */
void reply_bool(struct reply *reply, bool value);
void reply_double(struct reply *reply, double value);
/* Text with a three-letter format such as "txt": a plain bulk string in RESP2. */
void reply_verbatim(struct reply *reply, const char format[3], struct slice text);
void reply_bulk_text(struct reply *reply, const char *text);
void reply_bulk_printf(struct reply *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void reply_bulk_integer(struct reply *reply, int64_t value);

static inline void reply_raw(struct reply *reply, struct slice bytes) {
    buffer_append_slice(reply->out, bytes);
}

static inline void reply_ok(struct reply *reply) {
    reply_raw(reply, SLICE("+OK\r\n"));
}

static inline void reply_integer(struct reply *reply, int64_t value) {
    if (value >= 0 && value <= 9) {
        char *at = buffer_reserve(reply->out, 4);
        at[0] = ':';
        at[1] = (char)('0' + value);
        at[2] = '\r';
        at[3] = '\n';
        reply->out->size += 4;
        return;
    }
    reply_integer_slow(reply, ':', value);
}

/* A bulk string. */
static inline void reply_bulk(struct reply *reply, struct slice bytes) {
    char *at = buffer_reserve(reply->out, bytes.size + NUMBER_INTEGER_BYTES_MAX + 5);
    size_t size = 0;
    at[size++] = '$';
    size += number_format_unsigned(at + size, bytes.size);
    at[size++] = '\r';
    at[size++] = '\n';
    if (bytes.size > 0) {
        memcpy(at + size, bytes.data, bytes.size);
        size += bytes.size;
    }
    at[size++] = '\r';
    at[size++] = '\n';
    reply->out->size += size;
}

#endif
