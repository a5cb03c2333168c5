/* SPDX-License-Identifier: BSD-3-Clause */
/* What the encodings of state share: numbers, stamps and floats as bytes. For the files of store/
 * only. */
#ifndef STORE_STATE_CODEC_H
#define STORE_STATE_CODEC_H

#include <stdio.h>

#include "base/buffer.h"
#include "base/number.h"
#include "base/varint.h"
#include "crdt/stamp.h"

static inline void state_put64(struct buffer *out, uint64_t value) {
    buffer_append(out, &value, sizeof(value));
}

static inline void state_put_varint(struct buffer *out, uint64_t value) {
    out->size += varint_put(buffer_reserve(out, VARINT_BYTES_MAX), value);
}

static inline void state_put_slice(struct buffer *out, struct slice bytes) {
    char *at = buffer_reserve(out, VARINT_BYTES_MAX + bytes.size);
    size_t size = varint_put(at, bytes.size);
    if (bytes.size > 0) {
        memcpy(at + size, bytes.data, bytes.size);
    }
    out->size += size + bytes.size;
}

/* In hexadecimal, which is exact: a register may have more digits than number_format_float() keeps,
 * and they count in the sum. */
static inline void state_put_float(struct buffer *out, long double value) {
    char text[64];
    state_put_slice(out, slice_make(text, (size_t)snprintf(text, sizeof(text), "%La", value)));
}

static inline bool state_take64(struct slice *bytes, uint64_t *value) {
    if (bytes->size < 8) {
        return false;
    }
    memcpy(value, bytes->data, 8);
    *bytes = slice_skip(*bytes, 8);
    return true;
}

/* Gives a stamp its local slot (`slots`: state.h); false for one that nobody here can have written.
 */
static inline bool state_localize(const uint16_t *slots, uint64_t *stamp) {
    if (stamp_ticks(*stamp) > STAMP_TICKS_ACCEPTED_MAX) {
        return false;
    }
    unsigned slot = stamp_slot(*stamp);
    if (slots == NULL || slot == STAMP_SLOT_SETTLED) {
        return true;
    }
    *stamp = stamp_make(stamp_ticks(*stamp), slots[slot]);
    return slots[slot] != STAMP_SLOT_SETTLED;
}

static inline bool state_take_stamp(struct slice *bytes, const uint16_t *slots, uint64_t *stamp) {
    return state_take64(bytes, stamp) && state_localize(slots, stamp);
}

static inline bool state_take_float(struct slice *bytes, long double *value) {
    struct slice text;
    return varint_take_slice(bytes, &text) && number_parse_float(text, value);
}

#endif
