/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/reply_line.h"

#include <string.h>

enum reply_line_kind reply_line_read(struct slice bytes, struct slice *text, size_t *used) {
    if (bytes.size == 0) {
        return REPLY_LINE_PARTIAL;
    }
    if (bytes.data[0] != '+' && bytes.data[0] != '-') {
        return REPLY_LINE_GARBAGE;
    }
    size_t looked_at = bytes.size < REPLY_LINE_BYTES_MAX ? bytes.size : REPLY_LINE_BYTES_MAX;
    const char *end = memchr(bytes.data, '\r', looked_at);
    if (end == NULL) {
        bool is_foul =
            looked_at == REPLY_LINE_BYTES_MAX || memchr(bytes.data, '\n', looked_at) != NULL;
        return is_foul ? REPLY_LINE_GARBAGE : REPLY_LINE_PARTIAL;
    }
    size_t size = (size_t)(end - bytes.data);
    if (memchr(bytes.data, '\n', size) != NULL) {
        return REPLY_LINE_GARBAGE;
    }
    if (size + 1 == bytes.size) {
        return REPLY_LINE_PARTIAL;
    }
    if (end[1] != '\n') {
        return REPLY_LINE_GARBAGE;
    }
    *text = slice_make(bytes.data + 1, size - 1);
    *used = size + 2;
    return bytes.data[0] == '+' ? REPLY_LINE_STATUS : REPLY_LINE_ERROR;
}
