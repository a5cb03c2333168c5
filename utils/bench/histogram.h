/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts of latencies in nanoseconds.
 *
 * Log-linear: exact below 2048 ns, then 1024 steps for each doubling, which keeps three significant
 * digits. The last bucket holds everything from about 18 minutes on. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <math.h>
#include <stdint.h>

#define HISTOGRAM_STEPS 1024u
#define HISTOGRAM_DOUBLINGS 30u
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * (HISTOGRAM_DOUBLINGS + 2u))

struct histogram {
    uint64_t count;
    uint64_t max;
    double sum;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline void histogram_add(struct histogram *histogram, uint64_t value, uint64_t times) {
    uint64_t bucket = value;
    if (value >= 2 * HISTOGRAM_STEPS) {
        unsigned shift = 63u - 10u - (unsigned)__builtin_clzll(value);
        bucket = (uint64_t)shift * HISTOGRAM_STEPS + (value >> shift);
    }
    if (bucket >= HISTOGRAM_BUCKETS) {
        bucket = HISTOGRAM_BUCKETS - 1;
    }
    histogram->buckets[bucket] += times;
    histogram->count += times;
    histogram->sum += (double)value * (double)times;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

/* The smallest value that at least `share` of the samples do not exceed, to the bucket's width. */
static inline uint64_t histogram_quantile(const struct histogram *histogram, double share) {
    uint64_t wanted = (uint64_t)ceil(share * (double)histogram->count);
    uint64_t seen = 0;
    for (uint64_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted && seen > 0) {
            if (i < 2 * HISTOGRAM_STEPS) {
                return i;
            }
            uint64_t shift = i / HISTOGRAM_STEPS - 1;
            uint64_t top = ((i - shift * HISTOGRAM_STEPS + 1) << shift) - 1;
            return top < histogram->max ? top : histogram->max;
        }
    }
    return 0;
}

#endif
