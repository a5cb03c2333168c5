/* SPDX-License-Identifier: BSD-3-Clause */
/* The monotonic clock for a thread that looks at it after every request.
 *
 * A look at the system's clock is a tenth of a pipelined request, a read of the processor's counter
 * half of that. So the counter tells what has passed since the last look at the system's clock, the
 * anchor: the owner drops one in each turn, and the clock does so itself where none was for some
 * milliseconds. How fast the counter goes is measured all the time. Where the processor has none
 * that the kernel trusts, or two measurements do not agree, each look is one at the system's clock.
 *
 * One thread at a time. It never goes back. */
#ifndef PLATFORM_COUNTER_CLOCK_H
#define PLATFORM_COUNTER_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#ifdef __x86_64__
#include <x86intrin.h>
#endif

#include "base/check.h"

struct counter_clock {
    uint64_t anchor_ns, anchor_ticks;
    uint64_t rate;      /* nanoseconds a tick, with 32 bits behind the point */
    uint64_t ticks_max; /* an anchor holds for so long; 0: the counter is not used */
    uint64_t last_ns;
    uint64_t window_ns, window_ticks; /* where measuring the rate began */
    bool has_counter;
};

void counter_clock_init(struct counter_clock *clock);
/* Looks at the system's clock. Microseconds, as process_monotonic_us(). */
uint64_t counter_clock_anchor(struct counter_clock *clock);

static inline uint64_t counter_clock_us(struct counter_clock *clock) {
#ifdef __x86_64__
    uint64_t ticks = __rdtsc() - clock->anchor_ticks;
    if (likely(ticks < clock->ticks_max)) {
        uint64_t now_ns = clock->anchor_ns + (ticks * clock->rate >> 32);
        clock->last_ns = now_ns > clock->last_ns ? now_ns : clock->last_ns;
        return clock->last_ns / 1000;
    }
#endif
    return counter_clock_anchor(clock);
}

#endif
