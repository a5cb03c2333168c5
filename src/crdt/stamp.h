/* SPDX-License-Identifier: BSD-3-Clause */
/* A stamp names one change: 64 bits that serve as version, CRDT dot and last-writer clock in one.
 *
 *   | 42 bits: milliseconds since 2025-01-01 UTC | 12 bits: counter | 10 bits: slot |
 *
 * Time and counter together are the hybrid logical clock of the writer (Kulkarni et al., "Logical
 * Physical Clocks", 2014); they are called ticks here. The slot is this node's local number for the
 * writing replica, so stamps that leave the node are translated on the way. Slot 0 means settled:
 * the origin no longer matters. Stamp 0 is older than everything and means "none". */
#ifndef CRDT_STAMP_H
#define CRDT_STAMP_H

#include <stdint.h>

enum {
    STAMP_SLOT_BITS = 10,
    STAMP_COUNTER_BITS = 12,
    STAMP_SLOTS_COUNT = 1 << STAMP_SLOT_BITS,
    STAMP_SLOT_SETTLED = 0,
    STAMP_SLOT_SELF = 1, /* each node numbers its own replica 1 */
};

/* 2025-01-01T00:00:00Z in Unix milliseconds. */
#define STAMP_EPOCH_MS INT64_C(1735689600000)
#define STAMP_TICKS_MAX (UINT64_MAX >> STAMP_SLOT_BITS)
/* Ticks beyond this (some seventy years) are taken from nobody: a clock that followed them could
 * not go on. */
#define STAMP_TICKS_ACCEPTED_MAX (STAMP_TICKS_MAX / 2)

static inline uint64_t stamp_make(uint64_t ticks, unsigned slot) {
    return ticks << STAMP_SLOT_BITS | slot;
}

static inline uint64_t stamp_ticks(uint64_t stamp) {
    return stamp >> STAMP_SLOT_BITS;
}

static inline unsigned stamp_slot(uint64_t stamp) {
    return (unsigned)(stamp & (STAMP_SLOTS_COUNT - 1));
}

/* The Unix time in milliseconds that a stamp's clock shows. */
static inline int64_t stamp_unix_ms(uint64_t stamp) {
    return (int64_t)(stamp >> (STAMP_SLOT_BITS + STAMP_COUNTER_BITS)) + STAMP_EPOCH_MS;
}

#endif
