/* SPDX-License-Identifier: BSD-3-Clause */
/* A hybrid logical clock: ticks that never repeat or go back, close to the wall clock.
 *
 * Invariant: every tick is greater than all ticks given or observed before, whatever the wall clock
 * does. More than 4,096 ticks within a millisecond borrow from the next ones. Across restarts the
 * owner restores `ticks` from what it recovered (log, snapshot, node file). */
#ifndef CRDT_HYBRID_CLOCK_H
#define CRDT_HYBRID_CLOCK_H

#include "base/check.h"
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

/* A new tick. */
static inline uint64_t hybrid_clock_tick(struct hybrid_clock *clock) {
    require(clock->ticks < STAMP_TICKS_MAX);
    return ++clock->ticks;
}

/* Takes note of somebody else's tick, so that ours come after it. */
static inline void hybrid_clock_observe(struct hybrid_clock *clock, uint64_t ticks) {
    if (ticks > clock->ticks) {
        clock->ticks = ticks;
    }
}

#endif
