/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform/counter_clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define WINDOW_NS UINT64_C(100000000)
#define ANCHOR_NS                                                                                  \
    UINT64_C(5000000) /* it is off by five microseconds then at most: RATE_ERROR_MAX */
#define RATE_ERROR_MAX 0.001
#define LOOK_TICKS_MAX UINT64_C(8192) /* of a look at both clocks that was not interrupted */
#define LOOKS_MAX 4

static uint64_t counter_ticks(void) {
#ifdef __x86_64__
    return __rdtsc();
#else
    return 0;
#endif
}

static uint64_t system_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Does the kernel go by the counter itself? It does so only where that is steady, and the same on
 * all processors. */
static bool is_trusted(void) {
#ifdef __x86_64__
    char name[16] = "";
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    if (file != NULL) {
        (void)fgets(name, sizeof(name), file);
        (void)fclose(file);
    }
    return strcmp(name, "tsc\n") == 0;
#else
    return false;
#endif
}

void counter_clock_init(struct counter_clock *clock) {
    *clock = (struct counter_clock){.has_counter = is_trusted()};
    (void)counter_clock_anchor(clock);
}

/* Two windows have to agree: one during which the machine was stopped, or the look at one of the
 * clocks interrupted, says nothing. */
static void measure(struct counter_clock *clock, uint64_t now_ns, uint64_t ticks) {
    if (clock->window_ns == 0 || ticks <= clock->window_ticks) {
        clock->window_ns = now_ns;
        clock->window_ticks = ticks;
        clock->ticks_max = 0;
        return;
    }
    if (now_ns - clock->window_ns < WINDOW_NS) {
        return;
    }
    double ns_a_tick = (double)(now_ns - clock->window_ns) / (double)(ticks - clock->window_ticks);
    double before = (double)clock->rate / 4294967296.0, change = ns_a_tick - before;
    bool agrees = change < before * RATE_ERROR_MAX && -change < before * RATE_ERROR_MAX;
    clock->rate = (uint64_t)(ns_a_tick * 4294967296.0);
    clock->ticks_max = agrees ? (uint64_t)((double)ANCHOR_NS / ns_a_tick) : 0;
    clock->window_ns = now_ns;
    clock->window_ticks = ticks;
}

uint64_t counter_clock_anchor(struct counter_clock *clock) {
    uint64_t ticks = counter_ticks();
    uint64_t now_ns = system_ns();
    if (clock->has_counter) {
        for (unsigned i = 1; i < LOOKS_MAX && counter_ticks() - ticks > LOOK_TICKS_MAX; i++) {
            ticks = counter_ticks();
            now_ns = system_ns();
        }
        clock->anchor_ns = now_ns;
        clock->anchor_ticks = ticks;
        measure(clock, now_ns, ticks);
    }
    clock->last_ns = now_ns > clock->last_ns ? now_ns : clock->last_ns;
    return clock->last_ns / 1000;
}
