/* SPDX-License-Identifier: BSD-3-Clause */
/* Random draws for the load generator: numbers below a limit, a one-to-one scattering of indexes,
 * and ranks of a Zipf distribution. Everything follows from the caller's seed. */
#ifndef BENCH_DRAW_H
#define BENCH_DRAW_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Keys and values draw from generators of their own: the sequence of keys is then the same against
 * every server, however many values it makes us send. */
struct prng {
    uint64_t state;
};

static inline uint64_t prng_next(struct prng *prng) {
    uint64_t z = (prng->state += 0x9e3779b97f4a7c15ull); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static inline uint64_t prng_below(struct prng *prng, uint64_t limit) {
    return (uint64_t)(((unsigned __int128)prng_next(prng) * limit) >> 64);
}

/* Scatters 0..count-1 over itself, one to one: the multiplier is a prime above every count. */
static inline uint64_t scatter(uint64_t index, uint64_t count) {
    return (uint64_t)(((unsigned __int128)index * 1000000000039ull) % count);
}

/* Draws ranks with probability proportional to 1 / (rank + 1)^s by Walker's alias method. */
struct zipf {
    uint64_t count;
    double *threshold;
    uint32_t *alias;
};

/* Prepares draws of the ranks 0..count-1; false when memory is short. */
static inline bool zipf_init(struct zipf *zipf, uint64_t count, double exponent) {
    zipf->count = count;
    zipf->threshold = calloc(count, sizeof(double));
    zipf->alias = calloc(count, sizeof(uint32_t));
    uint32_t *small = calloc(count, sizeof(uint32_t));
    uint32_t *large = calloc(count, sizeof(uint32_t));
    if (zipf->threshold == NULL || zipf->alias == NULL || small == NULL || large == NULL) {
        free(small);
        free(large);
        return false;
    }
    uint64_t small_count = 0, large_count = 0;
    double sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        zipf->threshold[i] = pow((double)(i + 1), -exponent);
        sum += zipf->threshold[i];
    }
    for (uint64_t i = 0; i < count; i++) {
        zipf->threshold[i] *= (double)count / sum;
        if (zipf->threshold[i] < 1) {
            small[small_count++] = (uint32_t)i;
        } else {
            large[large_count++] = (uint32_t)i;
        }
    }
    while (small_count > 0 && large_count > 0) {
        uint32_t poor = small[--small_count];
        uint32_t rich = large[large_count - 1];
        zipf->alias[poor] = rich;
        zipf->threshold[rich] -= 1 - zipf->threshold[poor];
        if (zipf->threshold[rich] < 1) {
            large_count--;
            small[small_count++] = rich;
        }
    }
    while (large_count > 0) {
        zipf->threshold[large[--large_count]] = 1;
    }
    while (small_count > 0) {
        zipf->threshold[small[--small_count]] = 1;
    }
    free(small);
    free(large);
    return true;
}

static inline uint64_t zipf_draw(const struct zipf *zipf, struct prng *prng) {
    uint64_t rank = prng_below(prng, zipf->count);
    double coin = (double)(prng_next(prng) >> 11) * 0x1.0p-53;
    return coin < zipf->threshold[rank] ? rank : zipf->alias[rank];
}

#endif
