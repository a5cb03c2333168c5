/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a frame of the mesh ends (proto/frame.h), for faults that hit whole frames. */
#ifndef TESTS_SIM_SIM_FRAME_H
#define TESTS_SIM_SIM_FRAME_H

#include "base/slice.h"

enum {
    SIM_FRAME_HEADER_BYTES = 10,
    SIM_FRAME_TYPE_AT = 8,
    SIM_FRAME_FLAGS_AT = 9,
    SIM_FRAME_FLAG_MORE = 2,
};

/* The size of the frame that `bytes` begin with, 0 while its header is not whole. */
static inline size_t sim_frame_size(struct slice bytes) {
    if (bytes.size < SIM_FRAME_HEADER_BYTES) {
        return 0;
    }
    const uint8_t *at = (const uint8_t *)bytes.data;
    uint32_t size =
        (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    return SIM_FRAME_HEADER_BYTES + (size_t)size;
}

/* Is it a whole payload, and of a kind whose loss the protocol has to notice and make good?
 * `open_types` remembers payloads that came in pieces. */
static inline bool sim_frame_may_fail(struct slice frame, const uint8_t *kinds, size_t kinds_count,
                                      uint64_t *open_types) {
    uint8_t type = (uint8_t)frame.data[SIM_FRAME_TYPE_AT];
    uint64_t bit = (uint64_t)1 << (type & 63);
    bool has_more = (frame.data[SIM_FRAME_FLAGS_AT] & SIM_FRAME_FLAG_MORE) != 0;
    bool is_piece = has_more || (*open_types & bit) != 0;
    *open_types = has_more ? *open_types | bit : *open_types & ~bit;
    return !is_piece && memchr(kinds, type, kinds_count) != NULL;
}

#endif
