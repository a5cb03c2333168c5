/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers and byte strings as they stand in files, frames and tokens: appended to a buffer, and
 * taken from the front of a slice. Fixed sizes are little endian; see varint.h for the others. */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include "base/buffer.h"
#include "base/varint.h"

static inline void codec_put_varint(struct buffer *out, uint64_t value) {
    out->size += varint_put(buffer_reserve(out, VARINT_BYTES_MAX), value);
}

static inline void codec_put_u64(struct buffer *out, uint64_t value) {
    char *at = buffer_reserve(out, 8);
    for (int i = 0; i < 8; i++) {
        at[i] = (char)(value >> (8 * i));
    }
    out->size += 8;
}

/* Length (varint) and bytes, as varint_take_slice() reads them. */
static inline void codec_put_slice(struct buffer *out, struct slice bytes) {
    codec_put_varint(out, bytes.size);
    buffer_append_slice(out, bytes);
}

/* False, with `bytes` unchanged, when fewer than 8 are left. */
static inline bool codec_take_u64(struct slice *bytes, uint64_t *value) {
    if (bytes->size < 8) {
        return false;
    }
    *value = 0;
    for (int i = 0; i < 8; i++) {
        *value |= (uint64_t)(uint8_t)bytes->data[i] << (8 * i);
    }
    *bytes = slice_skip(*bytes, 8);
    return true;
}

#endif
