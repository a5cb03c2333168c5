/* SPDX-License-Identifier: BSD-3-Clause */
/* What the encodings of state share: numbers, stamps and floats as bytes. For the files of store/
 * only. */
#ifndef STORE_STATE_CODEC_H
#define STORE_STATE_CODEC_H

#include <stdio.h>

#include "base/buffer.h"
#include "base/codec.h"
#include "base/number.h"
#include "base/varint.h"
#include "crdt/stamp.h"

/* In hexadecimal, which is exact: a register may have more digits than number_format_float() keeps,
 * and they count in the sum. */
static inline void state_put_float(struct buffer *out, long double value) {
    char text[64];
    codec_put_slice(out, slice_make(text, (size_t)snprintf(text, sizeof(text), "%La", value)));
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
    return codec_take_u64(bytes, stamp) && state_localize(slots, stamp);
}

static inline bool state_take_float(struct slice *bytes, long double *value) {
    struct slice text;
    return varint_take_slice(bytes, &text) && number_parse_float(text, value);
}

#endif
