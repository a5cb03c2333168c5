/* SPDX-License-Identifier: BSD-3-Clause */
/* The compressor remembers, by a hash of three bytes, where it saw them last, and takes the first
 * match that it finds. Bytes without a match gather as literals until a match or 32 of them. */
#include "base/lzf.h"

#include "base/check.h"

enum { LZF_HASH_BITS = 13 };

/* Where compressed bytes go, and whether they ran out of room. */
struct lzf_sink {
    char *data;
    size_t size, room;
    bool is_full;
};

static void sink_literals(struct lzf_sink *sink, const char *bytes, size_t count) {
    while (count > 0 && !sink->is_full) {
        size_t run = count < LZF_LITERALS_MAX ? count : LZF_LITERALS_MAX;
        if (sink->room - sink->size < run + 1) {
            sink->is_full = true;
            return;
        }
        sink->data[sink->size++] = (char)(run - 1);
        memcpy(sink->data + sink->size, bytes, run);
        sink->size += run;
        bytes += run;
        count -= run;
    }
}

static void sink_copy(struct lzf_sink *sink, size_t distance, size_t length) {
    require(distance >= 1 && distance <= LZF_OFFSET_MAX);
    require(length >= LZF_COPY_MIN && length <= LZF_COPY_MAX);
    if (sink->room - sink->size < 3) {
        sink->is_full = true;
        return;
    }
    size_t offset = distance - 1, extra = length - 2;
    if (extra < 7) {
        sink->data[sink->size++] = (char)(extra << 5 | offset >> 8);
    } else {
        sink->data[sink->size++] = (char)(7 << 5 | offset >> 8);
        sink->data[sink->size++] = (char)(extra - 7);
    }
    sink->data[sink->size++] = (char)(offset & 0xFF);
}

static uint32_t lzf_hash(const char *at) {
    uint32_t bytes =
        (uint32_t)(uint8_t)at[0] << 16 | (uint32_t)(uint8_t)at[1] << 8 | (uint32_t)(uint8_t)at[2];
    return bytes * UINT32_C(2654435761) >> (32 - LZF_HASH_BITS);
}

/* How many bytes at `at` equal those at `earlier`, at most `max`. */
static size_t lzf_match(const char *earlier, const char *at, size_t max) {
    size_t length = 0;
    while (length < max && earlier[length] == at[length]) {
        length++;
    }
    return length;
}

size_t lzf_compress(struct slice input, char *output, size_t room) {
    require(input.size < UINT32_MAX);
    uint32_t newest[1 << LZF_HASH_BITS] = {0}; /* position + 1 of the last sight; 0: none */
    struct lzf_sink sink = {.data = output, .room = room};
    size_t at = 0, literals = 0; /* where the pending literals begin */
    while (at + LZF_COPY_MIN <= input.size && !sink.is_full) {
        uint32_t *seen = &newest[lzf_hash(input.data + at)];
        size_t earlier = *seen;
        *seen = (uint32_t)at + 1;
        size_t length = 0;
        if (earlier > 0 && at - (earlier - 1) <= LZF_OFFSET_MAX) {
            size_t left = input.size - at;
            length = lzf_match(input.data + earlier - 1, input.data + at,
                               left < LZF_COPY_MAX ? left : LZF_COPY_MAX);
        }
        if (length < LZF_COPY_MIN) {
            at++;
            continue;
        }
        sink_literals(&sink, input.data + literals, at - literals);
        if (!sink.is_full) {
            sink_copy(&sink, at - (earlier - 1), length);
        }
        /* The end of a match often begins the next one. */
        if (at + length + LZF_COPY_MIN <= input.size) {
            newest[lzf_hash(input.data + at + length - 1)] = (uint32_t)(at + length);
        }
        at += length;
        literals = at;
    }
    sink_literals(&sink, input.data + literals, input.size - literals);
    ensure(sink.size <= room);
    return sink.is_full ? 0 : sink.size;
}

/* Copies in pieces of sixteen bytes, which may go beyond the end: there is room for one more on
 * both sides, and what is there is written later. What overlaps lies sixteen bytes apart at least.
 */
static inline void copy_pieces(char *to, const char *from, size_t size) {
    enum { PIECE = 16 };
    for (size_t at = 0; at < size; at += PIECE) {
        memcpy(to + at, from + at, PIECE);
    }
}

bool lzf_expand(struct slice input, char *output, size_t size) {
    enum { PIECE = 16 };
    const uint8_t *at = (const uint8_t *)input.data;
    const uint8_t *end = at + input.size;
    size_t made = 0;
    while (at < end) {
        size_t control = *at++, length;
        if (control < LZF_LITERALS_MAX) {
            length = control + 1;
            if (length > (size_t)(end - at) || length > size - made) {
                return false;
            }
            if (length + PIECE <= (size_t)(end - at) && length + PIECE <= size - made) {
                copy_pieces(output + made, (const char *)at, length);
            } else {
                memcpy(output + made, at, length);
            }
            at += length;
            made += length;
            continue;
        }
        length = control >> 5;
        if (end - at < (length == 7 ? 2 : 1)) {
            return false;
        }
        if (length == 7) {
            length += *at++;
        }
        length += 2;
        size_t distance = ((control & 31) << 8 | *at++) + 1;
        if (distance > made || length > size - made) {
            return false;
        }
        if (distance >= PIECE && length + PIECE <= size - made) {
            copy_pieces(output + made, output + made - distance, length);
            made += length;
            continue;
        }
        if (distance >= length) {
            memcpy(output + made, output + made - distance, length);
            made += length;
            continue;
        }
        for (; length > 0; length--, made++) {
            output[made] = output[made - distance]; /* overlapping: the copy feeds itself */
        }
    }
    return made == size;
}
