/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/request.h"

#include <stdio.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/number.h"

void request_args_deinit(struct request_args *args) {
    memory_free(args->items);
    *args = (struct request_args){0};
}

struct slice *request_args_copy(const struct slice *args, size_t args_count, size_t *bytes) {
    *bytes = args_count * sizeof(struct slice);
    for (size_t i = 0; i < args_count; i++) {
        *bytes += args[i].size;
    }
    struct slice *copy = memory_try_alloc(*bytes);
    char *at = copy != NULL ? (char *)(copy + args_count) : NULL;
    for (size_t i = 0; copy != NULL && i < args_count; i++) {
        copy[i] = slice_make(at, args[i].size);
        if (args[i].size > 0) {
            memcpy(at, args[i].data, args[i].size);
        }
        at += args[i].size;
    }
    return copy;
}

void request_parser_deinit(struct request_parser *parser) {
    memory_free(parser->saved);
    *parser = (struct request_parser){0};
}

static void request_parser_reset(struct request_parser *parser) {
    if (unlikely(parser->saved != NULL)) {
        memory_free(parser->saved);
    }
    *parser = (struct request_parser){0};
}

static void request_fail(char *error, const char *text) {
    (void)snprintf(error, REQUEST_ERROR_BYTES_MAX, "%s", text);
}

static struct slice *args_reserve(struct request_args *args, size_t extra) {
    if (unlikely(args->capacity - args->count < extra)) {
        size_t capacity =
            args->capacity * 2 > args->count + extra ? args->capacity * 2 : args->count + extra;
        capacity = capacity < 64 ? 64 : capacity;
        args->items = memory_resize(args->items, capacity * sizeof(struct slice));
        args->capacity = capacity;
    }
    return args->items + args->count;
}

/* ---- inline requests ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

/* Fewer end a word than may stand between two. */
static bool ends_word(char c) {
    return is_space(c) && c != '\v' && c != '\f';
}

/* Unescapes one double-quoted part at line[*at], after the opening quote. */
static bool inline_double_quoted(struct slice line, size_t *at, struct buffer *out) {
    for (size_t i = *at; i < line.size; i++) {
        char c = line.data[i];
        if (c == '"') {
            /* A closing quote ends the argument. */
            *at = i + 1;
            return *at == line.size || is_space(line.data[*at]);
        }
        if (c == '\\' && i + 3 < line.size && line.data[i + 1] == 'x' &&
            hex_digit(line.data[i + 2]) >= 0 && hex_digit(line.data[i + 3]) >= 0) {
            buffer_append_byte(
                out, (uint8_t)(hex_digit(line.data[i + 2]) * 16 + hex_digit(line.data[i + 3])));
            i += 3;
        } else if (c == '\\' && i + 1 < line.size) {
            static const char codes[] = "nrtba", values[] = "\n\r\t\b\a";
            char escaped = line.data[++i];
            const char *code = escaped != '\0' ? strchr(codes, escaped) : NULL;
            buffer_append_byte(out, (uint8_t)(code != NULL ? values[code - codes] : escaped));
        } else {
            buffer_append_byte(out, (uint8_t)c);
        }
    }
    return false;
}

static bool inline_single_quoted(struct slice line, size_t *at, struct buffer *out) {
    for (size_t i = *at; i < line.size; i++) {
        char c = line.data[i];
        if (c == '\'') {
            *at = i + 1;
            return *at == line.size || is_space(line.data[*at]);
        }
        if (c == '\\' && i + 1 < line.size && line.data[i + 1] == '\'') {
            c = line.data[++i];
        }
        buffer_append_byte(out, (uint8_t)c);
    }
    return false;
}

/* Splits a line into words; false when its quotes do not match. The words are first noted as
 * offsets into `scratch`, which may move while it grows. */
static bool inline_split(struct slice line, struct request_args *args, struct buffer *scratch) {
    size_t first = args->count, base = scratch->size;
    for (size_t at = 0; at < line.size;) {
        if (is_space(line.data[at])) {
            at++;
            continue;
        }
        size_t begin = scratch->size;
        bool is_word_done = false;
        while (!is_word_done) {
            char c = at < line.size ? line.data[at] : ' ';
            if (ends_word(c)) {
                is_word_done = true;
            } else if (c == '"' || c == '\'') {
                at++;
                if (!(c == '"' ? inline_double_quoted(line, &at, scratch)
                               : inline_single_quoted(line, &at, scratch))) {
                    args->count = first;
                    scratch->size = base;
                    return false;
                }
                is_word_done = true;
            } else {
                buffer_append_byte(scratch, (uint8_t)c);
                at++;
            }
        }
        *args_reserve(args, 1) = slice_make((const char *)(uintptr_t)begin, scratch->size - begin);
        args->count++;
    }
    for (size_t i = first; i < args->count; i++) {
        args->items[i].data = scratch->data + (size_t)(uintptr_t)args->items[i].data;
    }
    return true;
}

static enum request_status parse_inline(struct request_parser *parser, struct slice bytes,
                                        struct request_args *args, size_t *used,
                                        struct buffer *scratch, char *error) {
    size_t from = parser->position;
    const char *newline =
        from < bytes.size ? memchr(bytes.data + from, '\n', bytes.size - from) : NULL;
    if (newline == NULL) {
        parser->position = bytes.size;
        if (bytes.size > REQUEST_INLINE_BYTES_MAX) {
            request_fail(error, "ERR Protocol error: too big inline request");
            return REQUEST_INVALID;
        }
        return REQUEST_INCOMPLETE;
    }
    size_t size = (size_t)(newline - bytes.data);
    *used = size + 1;
    if (size > 0 && bytes.data[size - 1] == '\r') {
        size--;
    }
    size_t before = args->count;
    /* Several inline requests of one batch share the scratch: it may not move under the earlier
     * ones' arguments, so it is given its room before. */
    if (scratch->capacity - scratch->size < size + 1) {
        if (scratch->size > 0) {
            return REQUEST_AGAIN;
        }
        (void)buffer_reserve(scratch, size + 1);
    }
    if (!inline_split(slice_make(bytes.data, size), args, scratch)) {
        request_fail(error, "ERR Protocol error: unbalanced quotes in request");
        return REQUEST_INVALID;
    }
    request_parser_reset(parser);
    return args->count == before ? REQUEST_EMPTY : REQUEST_COMPLETE;
}

/* ---- arrays of bulk strings ---- */

enum line_status { LINE_OK, LINE_INCOMPLETE, LINE_TOO_LONG, LINE_BAD };

/* Reads "<number>\r\n" at bytes[at]; `*next` is what follows. */
static inline enum line_status read_number(struct slice bytes, size_t at, int64_t *value,
                                           size_t *next) {
    /* The common case: one to four digits, all there, and no zero before others. */
    size_t i = at;
    int64_t number = 0;
    while (i < bytes.size && i - at < 4 && (unsigned)(bytes.data[i] - '0') < 10) {
        number = number * 10 + (bytes.data[i] - '0');
        i++;
    }
    if (likely(i > at && i + 1 < bytes.size && bytes.data[i] == '\r' &&
               (bytes.data[at] != '0' || i == at + 1))) {
        *value = number;
        *next = i + 2;
        return LINE_OK;
    }
    const char *end = at < bytes.size ? memchr(bytes.data + at, '\r', bytes.size - at) : NULL;
    if (end == NULL) {
        return bytes.size - at > REQUEST_INLINE_BYTES_MAX ? LINE_TOO_LONG : LINE_INCOMPLETE;
    }
    size_t size = (size_t)(end - (bytes.data + at));
    if (at + size + 1 >= bytes.size) {
        return LINE_INCOMPLETE;
    }
    *next = at + size + 2;
    return number_parse_integer(slice_make(bytes.data + at, size), value) ? LINE_OK : LINE_BAD;
}

/* Puts the arguments found in this call aside, as offsets: the bytes may move before more arrive.
 */
static void save_args(struct request_parser *parser, struct slice bytes, const struct slice *found,
                      size_t found_count) {
    size_t from = parser->args_done, needed = 2 * (from + found_count);
    if (needed > parser->saved_capacity) {
        size_t capacity = parser->saved_capacity * 2 > needed ? parser->saved_capacity * 2 : needed;
        parser->saved = memory_resize(parser->saved, capacity * sizeof(size_t));
        parser->saved_capacity = capacity;
    }
    for (size_t i = 0; i < found_count; i++) {
        parser->saved[2 * (from + i)] = (size_t)(found[i].data - bytes.data);
        parser->saved[2 * (from + i) + 1] = found[i].size;
    }
    parser->args_done += (uint32_t)found_count;
}

static enum request_status parse_array_header(struct request_parser *parser, struct slice bytes,
                                              const struct request_limits *limits, size_t *used,
                                              char *error) {
    int64_t count;
    size_t next;
    switch (read_number(bytes, 1, &count, &next)) {
    case LINE_OK:
        break;
    case LINE_INCOMPLETE:
        return REQUEST_INCOMPLETE;
    case LINE_TOO_LONG:
        request_fail(error, "ERR Protocol error: too big mbulk count string");
        return REQUEST_INVALID;
    case LINE_BAD:
        request_fail(error, "ERR Protocol error: invalid multibulk length");
        return REQUEST_INVALID;
    }
    if (count > REQUEST_ARGS_MAX) {
        request_fail(error, "ERR Protocol error: invalid multibulk length");
        return REQUEST_INVALID;
    }
    if (count > REQUEST_ARGS_MAX_UNAUTHENTICATED && !limits->is_authenticated) {
        request_fail(error, "ERR Protocol error: unauthenticated multibulk length");
        return REQUEST_INVALID;
    }
    if (count <= 0) {
        *used = next;
        request_parser_reset(parser);
        return REQUEST_EMPTY;
    }
    parser->args_total = (uint32_t)count;
    parser->position = next;
    return REQUEST_COMPLETE;
}

static enum request_status parse_bulk_header(struct request_parser *parser, struct slice bytes,
                                             const struct request_limits *limits, char *error) {
    size_t at = parser->position, next;
    int64_t size;
    if (at >= bytes.size) {
        return REQUEST_INCOMPLETE;
    }
    if (bytes.data[at] != '$') {
        (void)snprintf(error, REQUEST_ERROR_BYTES_MAX, "ERR Protocol error: expected '$', got '%c'",
                       bytes.data[at]);
        return REQUEST_INVALID;
    }
    switch (read_number(bytes, at + 1, &size, &next)) {
    case LINE_OK:
        break;
    case LINE_INCOMPLETE:
        return REQUEST_INCOMPLETE;
    case LINE_TOO_LONG:
        request_fail(error, "ERR Protocol error: too big bulk count string");
        return REQUEST_INVALID;
    case LINE_BAD:
        request_fail(error, "ERR Protocol error: invalid bulk length");
        return REQUEST_INVALID;
    }
    if (size < 0 || (uint64_t)size > limits->bulk_bytes_max) {
        request_fail(error, "ERR Protocol error: invalid bulk length");
        return REQUEST_INVALID;
    }
    if (size > REQUEST_BULK_BYTES_MAX_UNAUTHENTICATED && !limits->is_authenticated) {
        request_fail(error, "ERR Protocol error: unauthenticated bulk length");
        return REQUEST_INVALID;
    }
    parser->bulk_bytes = (uint64_t)size + 1;
    parser->position = next;
    return REQUEST_COMPLETE;
}

/* Reads a length of one to three digits, "<digits>\r\n", at `at`, of which nothing is at or behind
 * `end`; returns what follows, or NULL for any other. */
static inline const char *read_short_number(const char *at, const char *end, size_t *number) {
    size_t value = (size_t)(at[0] - '0');
    const char *after = at + 1;
    if (end - at < 5 || value > 9) {
        return NULL;
    }
    for (; *after != '\r'; after++) {
        size_t digit = (size_t)(*after - '0');
        if (digit > 9 || value == 0 || after - at == 3) {
            return NULL;
        }
        value = value * 10 + digit;
    }
    *number = value;
    return after + 2;
}

/* Most requests: short, and all there. Returns the bytes used; 0, and nothing has happened, for any
 * other one. */
static size_t parse_short(struct slice bytes, const struct request_limits *limits,
                          struct request_args *args) {
    const char *end = bytes.data + bytes.size;
    size_t count = 0;
    const char *at = bytes.size > 5 ? read_short_number(bytes.data + 1, end, &count) : NULL;
    if (at == NULL || count == 0 || count > REQUEST_ARGS_MAX_UNAUTHENTICATED) {
        return 0;
    }
    struct slice *found = args_reserve(args, count);
    for (size_t i = 0; i < count; i++) {
        size_t size = 0;
        at = end - at > 5 && *at == '$' ? read_short_number(at + 1, end, &size) : NULL;
        if (at == NULL || size > limits->bulk_bytes_max || (size_t)(end - at) < size + 2) {
            return 0;
        }
        found[i] = slice_make(at, size);
        at += size + 2;
    }
    args->count += count;
    return (size_t)(at - bytes.data);
}

enum request_status request_parse(struct request_parser *parser, struct slice bytes,
                                  const struct request_limits *limits, struct request_args *args,
                                  size_t *used, struct buffer *scratch,
                                  char error[REQUEST_ERROR_BYTES_MAX]) {
    if (bytes.size == 0) {
        return REQUEST_INCOMPLETE;
    }
    if (bytes.data[0] != '*') {
        return parse_inline(parser, bytes, args, used, scratch, error);
    }
    enum request_status status;
    if (parser->args_total == 0) {
        size_t bytes_used = parse_short(bytes, limits, args);
        if (likely(bytes_used > 0)) {
            *used = bytes_used;
            return REQUEST_COMPLETE;
        }
        status = parse_array_header(parser, bytes, limits, used, error);
        if (status != REQUEST_COMPLETE) {
            return status;
        }
    }
    /* A header may claim a million arguments: room is made as they arrive. What earlier calls
     * found stays aside until all are there, so that each argument is handled once. */
    size_t found_count = 0;
    struct slice *found = args_reserve(args, 8);
    size_t room = args->capacity - args->count;
    while (parser->args_done + found_count < parser->args_total) {
        if (parser->bulk_bytes == 0) {
            status = parse_bulk_header(parser, bytes, limits, error);
            if (status != REQUEST_COMPLETE) {
                save_args(parser, bytes, found, found_count);
                return status;
            }
        }
        size_t size = (size_t)parser->bulk_bytes - 1;
        if (bytes.size - parser->position < size + 2) {
            save_args(parser, bytes, found, found_count);
            return REQUEST_INCOMPLETE;
        }
        if (unlikely(found_count == room)) {
            found = args_reserve(args, 2 * room);
            room = args->capacity - args->count;
        }
        found[found_count++] = slice_make(bytes.data + parser->position, size);
        parser->position += size + 2;
        parser->bulk_bytes = 0;
    }
    if (unlikely(parser->args_done > 0)) {
        found = args_reserve(args, parser->args_total);
        memmove(found + parser->args_done, found, found_count * sizeof(*found));
        for (size_t i = 0; i < parser->args_done; i++) {
            found[i] = slice_make(bytes.data + parser->saved[2 * i], parser->saved[2 * i + 1]);
        }
    }
    args->count += parser->args_total;
    *used = parser->position;
    request_parser_reset(parser);
    return REQUEST_COMPLETE;
}

struct request_outlook request_look_ahead(const struct request_parser *parser, struct slice bytes) {
    enum { ARGS_LOOKED_AT_MAX = 8 };
    struct request_outlook outlook = {0};
    int64_t args_left = (int64_t)parser->args_total - parser->args_done, size = 0;
    size_t at = parser->position;
    if (bytes.size == 0 || bytes.data[0] != '*' ||
        (parser->args_total == 0 && read_number(bytes, 1, &args_left, &at) != LINE_OK)) {
        return outlook;
    }
    bool has_header = parser->bulk_bytes > 0;
    for (int i = 0; i < ARGS_LOOKED_AT_MAX && args_left > 0; i++) {
        if (has_header) {
            size = (int64_t)(parser->bulk_bytes - 1);
        } else if (at >= bytes.size || bytes.data[at] != '$' ||
                   read_number(bytes, at + 1, &size, &at) != LINE_OK || size < 0) {
            return outlook;
        }
        if ((uint64_t)size + 2 > bytes.size - at) {
            outlook.missing = (size_t)size + 2 - (bytes.size - at);
            return outlook;
        }
        at += (size_t)size + 2;
        has_header = false;
        args_left--;
    }
    outlook.end = args_left == 0 ? at : 0;
    return outlook;
}
