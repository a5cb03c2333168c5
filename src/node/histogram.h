/* SPDX-License-Identifier: BSD-3-Clause */
/* Durations of commands, counted in HISTOGRAM_BUCKETS (node.h): four buckets for each doubling, so
 * that a percentile is at most a quarter too high.
 *
 * Buckets 0 to 3 count 0 to 3 microseconds. Above, a duration with its top bit at `top` and the two
 * bits below it at `part` falls into bucket 4 * (top - 1) + part. */
#ifndef NODE_HISTOGRAM_H
#define NODE_HISTOGRAM_H

#include "node/node.h"

static inline unsigned histogram_bucket(uint64_t duration_us) {
    if (duration_us < 4) {
        return (unsigned)duration_us;
    }
    unsigned top = 63U - (unsigned)__builtin_clzll((unsigned long long)duration_us);
    unsigned bucket = 4 * (top - 1) + (unsigned)(duration_us >> (top - 2) & 3);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static inline void histogram_add(uint64_t *buckets, uint64_t duration_us) {
    buckets[histogram_bucket(duration_us)]++;
}

/* The longest duration that a bucket counts (but the last one, which counts all above, too). */
static inline uint64_t histogram_bound_us(unsigned bucket) {
    return bucket < 4 ? bucket : ((uint64_t)(bucket % 4 + 5) << (bucket / 4 - 1)) - 1;
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
