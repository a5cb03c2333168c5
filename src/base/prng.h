/* SPDX-License-Identifier: BSD-3-Clause */
/* A small pseudo-random generator whose state the caller owns: xoshiro256** seeded by splitmix64
 * (Blackman and Vigna, "Scrambled linear pseudorandom number generators"). Not for secrets. */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include <stdint.h>

struct prng {
    uint64_t state[4];
};

static inline uint64_t prng_splitmix(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

static inline void prng_init(struct prng *prng, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        prng->state[i] = prng_splitmix(&seed);
    }
}

static inline uint64_t prng_rotate(uint64_t x, int by) {
    return (x << by) | (x >> (64 - by));
}

static inline uint64_t prng_next(struct prng *prng) {
    uint64_t *s = prng->state;
    uint64_t result = prng_rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = prng_rotate(s[3], 45);
    return result;
}

/* Uniform in [0, bound), bound at least 1; the bias of the multiplication is below 2^-32 for
 * bounds below 2^32. */
static inline uint64_t prng_below(struct prng *prng, uint64_t bound) {
    return (uint64_t)(((__uint128_t)prng_next(prng) * bound) >> 64);
}

/* Uniform in [0, 1). */
static inline double prng_unit(struct prng *prng) {
    return (double)(prng_next(prng) >> 11) * 0x1.0p-53;
}

#endif
