/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform/counter_clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

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

#ifdef __x86_64__
/* Does the counter go on at one rate, whatever the processor does? */
static bool is_invariant(void) {
    enum { POWER_LEAF = 0x80000007, INVARIANT = 1 << 8 };
    unsigned a, b, c, d;
    return __get_cpuid(POWER_LEAF, &a, &b, &c, &d) != 0 && (d & INVARIANT) != 0;
}
#endif

/* Does the kernel go by the counter itself? It does so only where that is steady, and the same on
 * all processors. A guest may go by the counter and what its host says of it, since it could wake
 * up on another machine, where the counter stands elsewhere, or goes faster. An anchor holds for
 * some milliseconds, so this clock is wrong by so much at most until the next one; and the rate is
 * given up once two measurements do not agree. */
static bool is_trusted(void) {
#ifdef __x86_64__
    char name[32] = "";
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    if (file != NULL) {
        (void)fgets(name, sizeof(name), file);
        (void)fclose(file);
    }
    bool is_scaled =
        strcmp(name, "kvm-clock\n") == 0 || strcmp(name, "hyperv_clocksource_tsc_page\n") == 0;
    return strcmp(name, "tsc\n") == 0 || (is_scaled && is_invariant());
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
