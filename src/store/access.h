/* SPDX-License-Identifier: BSD-3-Clause */
/* When an entry was used last, in 24 bits.
 *
 *   bit 23 clear: 23 bits of a clock of 64 ms, which comes round after six days
 *   bit 23 set:   23 bits of one of 16.4 s, which comes round after four years
 *
 * Who is used gets the first: LRU tells keys apart that were used a tenth of a second after one
 * another. What was not used for a day and a half gets the second by a walk over all keys that
 * passes each in less time than is left (store_age_some()), and what was not used for four years
 * stays at that: so no key looks fresh again. A wall clock that was set back makes what was used
 * before a time to come: the last 64th of each range is taken for that, and so for now.
 *
 * Under an LFU policy the same bits are minutes (16) and a counter (8): store.c. */
#ifndef STORE_ACCESS_H
#define STORE_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ACCESS_TICK_BITS = 6,   /* of milliseconds: a tick is 64 ms */
    ACCESS_COARSE_BITS = 8, /* of ticks: a coarse one is 16.4 s */
    ACCESS_COARSE = 1 << 23,
    ACCESS_MASK = ACCESS_COARSE - 1,
    ACCESS_AGE_MAX = ACCESS_MASK - (ACCESS_COARSE >> 6), /* what is older is to come */
    ACCESS_FINE_TICKS_MAX = 1 << 21,                     /* 37 hours; older ones may be coarse */
    ACCESS_COARSE_UNITS_MAX = ACCESS_AGE_MAX - (1 << 16) /* who is older stays at that */
};

/* The field of an entry that is used now. */
static inline uint32_t access_now(int64_t now_ms) {
    return (uint32_t)(now_ms >> ACCESS_TICK_BITS) & ACCESS_MASK;
}

/* For how many ticks it was not used. */
static inline uint64_t access_idle_ticks(uint32_t access, int64_t now_ms) {
    unsigned bits = (access & ACCESS_COARSE) != 0 ? ACCESS_COARSE_BITS : 0;
    uint32_t now = (uint32_t)(now_ms >> ACCESS_TICK_BITS >> bits);
    uint32_t age = (now - access) & ACCESS_MASK;
    return age <= ACCESS_AGE_MAX ? (uint64_t)age << bits : 0;
}

/* The field of one that was not used for so many ticks. */
static inline uint32_t access_of_idle(uint64_t ticks, int64_t now_ms) {
    uint32_t now = (uint32_t)(now_ms >> ACCESS_TICK_BITS);
    if (ticks < ACCESS_FINE_TICKS_MAX) {
        return (now - (uint32_t)ticks) & ACCESS_MASK;
    }
    now = (uint32_t)(now_ms >> ACCESS_TICK_BITS >> ACCESS_COARSE_BITS);
    uint64_t units = (ticks - 1) / (1 << ACCESS_COARSE_BITS) + 1;
    units = units < ACCESS_COARSE_UNITS_MAX ? units : ACCESS_COARSE_UNITS_MAX;
    return ACCESS_COARSE | ((now - (uint32_t)units) & ACCESS_MASK);
}

/* As it is to be kept: coarse when it was long ago. */
static inline uint32_t access_aged(uint32_t access, int64_t now_ms) {
    uint64_t ticks = access_idle_ticks(access, now_ms);
    bool is_fine = (access & ACCESS_COARSE) == 0;
    bool is_due = ticks >= ACCESS_FINE_TICKS_MAX &&
                  (is_fine || ticks >> ACCESS_COARSE_BITS > ACCESS_COARSE_UNITS_MAX);
    return is_due ? access_of_idle(ticks, now_ms) : access;
}

#endif
