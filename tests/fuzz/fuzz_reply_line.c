/* SPDX-License-Identifier: BSD-3-Clause */
/* What a server answers whom keys are sent to: lines are read one after the other until there is no
 * whole one. However little of the bytes is there, what was read before is the same. */
#include "base/check.h"
#include "base/memory.h"
#include "proto/reply_line.h"

/* Reads the line at the front of a block of exactly that size. */
static enum reply_line_kind read_line(const uint8_t *data, size_t size, size_t *used) {
    char *block = memory_alloc(size > 0 ? size : 1);
    struct slice text = {0};
    if (size > 0) {
        memcpy(block, data, size);
    }
    enum reply_line_kind kind = reply_line_read(slice_make(block, size), &text, used);
    if (kind == REPLY_LINE_STATUS || kind == REPLY_LINE_ERROR) {
        require(*used >= 3 && *used <= size && text.size == *used - 3);
        require(text.data == block + 1);
        require(memchr(text.data, '\n', text.size) == NULL);
    }
    memory_free(block);
    return kind;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (size_t at = 0; at <= size;) {
        size_t used = 0, used_again = 0;
        enum reply_line_kind kind = read_line(data + at, size - at, &used);
        bool is_whole = kind == REPLY_LINE_STATUS || kind == REPLY_LINE_ERROR;
        /* A part of a line is no line, and is garbage only if the line is. */
        size_t part = is_whole ? used - 1 : (size - at) / 2;
        enum reply_line_kind earlier = read_line(data + at, part, &used_again);
        require(earlier == REPLY_LINE_PARTIAL || (!is_whole && earlier == kind));
        if (!is_whole) {
            break;
        }
        require(read_line(data + at, used, &used_again) == kind && used_again == used);
        at += used;
    }
    return 0;
}
