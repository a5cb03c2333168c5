/* SPDX-License-Identifier: BSD-3-Clause */
/* A hybrid logical clock: ticks that never repeat or go back, close to the wall clock.
 *
 * Invariant: every tick is greater than all ticks given or observed before, whatever the wall clock
 * does. More than 4,096 ticks within a millisecond borrow from the next ones. Across restarts the
 * owner restores `ticks` from what it recovered (log, snapshot, node file). */
#ifndef CRDT_HYBRID_CLOCK_H
#define CRDT_HYBRID_CLOCK_H

#include "base/check.h"
#include "base/hash.h"
#include "crdt/stamp.h"

struct hybrid_clock {
    uint64_t ticks; /* newest tick given or observed */
};

/* Takes note of the wall clock, in Unix milliseconds; once per event-loop turn is enough. */
static inline void hybrid_clock_set_wall(struct hybrid_clock *clock, int64_t unix_ms) {
    if (unix_ms > STAMP_EPOCH_MS) {
        uint64_t ticks = (uint64_t)(unix_ms - STAMP_EPOCH_MS) << STAMP_COUNTER_BITS;
        if (ticks > clock->ticks && ticks < STAMP_TICKS_MAX) {
            clock->ticks = ticks;
        }
    }
}

/* Takes note of somebody else's tick, so that ours come after it. */
static inline void hybrid_clock_observe(struct hybrid_clock *clock, uint64_t ticks) {
    if (ticks > clock->ticks) {
        clock->ticks = ticks;
    }
}

/* Goes on from somewhere within the millisecond `unix_ms`, which is the wall clock's: where, `salt`
 * and the millisecond decide. Where several keys are set as one, each has a tick of its own; if
 * such units of two nodes began at the same tick and had not the same shape, each would be the
 * later one at some keys. Nothing is done while the clock is ahead of the wall clock: that has to
 * be caught up. */
static inline void hybrid_clock_spread(struct hybrid_clock *clock, int64_t unix_ms, uint64_t salt) {
    enum { PLACES = 3 << (STAMP_COUNTER_BITS - 2) };
    uint64_t ms = clock->ticks >> STAMP_COUNTER_BITS;
    if ((int64_t)ms + STAMP_EPOCH_MS == unix_ms) {
        uint64_t place = (hash_fold(ms ^ salt, HASH_ODD1) >> 32) % PLACES;
        hybrid_clock_observe(clock, ms << STAMP_COUNTER_BITS | place);
    }
}

/* A new tick. */
static inline uint64_t hybrid_clock_tick(struct hybrid_clock *clock) {
    require(clock->ticks < STAMP_TICKS_MAX);
    return ++clock->ticks;
}

#endif
