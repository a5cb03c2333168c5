/* SPDX-License-Identifier: BSD-3-Clause */
/* Durations of commands by powers of two: bucket i counts those of 2^i to 2^(i+1) - 1
 * microseconds, bucket 0 also those of 0. HISTOGRAM_BUCKETS (node.h) of them. */
#ifndef NODE_HISTOGRAM_H
#define NODE_HISTOGRAM_H

#include "node/node.h"

static inline void histogram_add(uint64_t *buckets, uint64_t duration_us) {
    buckets[63 - __builtin_clzll((unsigned long long)duration_us | 1)]++;
}

/* The longest duration that bucket `index` counts. */
static inline uint64_t histogram_bound_us(unsigned index) {
    return index >= 63 ? UINT64_MAX : ((uint64_t)2 << index) - 1;
}

static inline uint64_t histogram_count(const uint64_t *buckets) {
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += buckets[i];
    }
    return count;
}

/* A duration that `percent` of those counted did not exceed, up to the width of a bucket. */
static inline uint64_t histogram_percentile_us(const uint64_t *buckets, double percent) {
    double wanted = (double)histogram_count(buckets) * percent / 100;
    uint64_t seen = 0;
    unsigned last = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (buckets[i] == 0) {
            continue;
        }
        last = i;
        seen += buckets[i];
        if ((double)seen >= wanted) {
            break;
        }
    }
    return histogram_bound_us(last);
}

#endif
