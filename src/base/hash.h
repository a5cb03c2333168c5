/* SPDX-License-Identifier: BSD-3-Clause */
/* A keyed 64-bit hash for tables whose keys come from clients.
 *
 * Words of the input are folded by full 64x64->128-bit multiplications (the "folded multiply"
 * construction); the seed is secret, so a client cannot choose colliding keys. All bits of the
 * result are usable, which the ordered table relies on. Not a cryptographic hash, and never part
 * of what leaves a node. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"

struct hash_seed {
    uint64_t a, b;
};

static inline uint64_t hash_fold(uint64_t x, uint64_t y) {
    __uint128_t product = (__uint128_t)x * y;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_load64(const char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static inline uint64_t hash_load32(const char *at) {
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static const uint64_t HASH_ODD1 = 0x9E3779B97F4A7C15ULL, HASH_ODD2 = 0xD6E8FEB86659FD93ULL;

/* The last 16 bytes at most, as two words. */
static inline void hash_load_rest(const char *at, size_t left, uint64_t *low, uint64_t *high) {
    *low = *high = 0;
    if (left >= 8) {
        *low = hash_load64(at);
        *high = hash_load64(at + left - 8);
    } else if (left >= 4) {
        *low = hash_load32(at);
        *high = hash_load32(at + left - 4);
    } else if (left > 0) {
        *low = (uint64_t)(uint8_t)at[0] << 16 | (uint64_t)(uint8_t)at[left / 2] << 8 |
               (uint8_t)at[left - 1];
    }
}

static inline uint64_t hash_end(struct hash_seed seed, uint64_t state, uint64_t low,
                                uint64_t high) {
    state = hash_fold(low ^ seed.b ^ HASH_ODD2, high ^ state);
    return hash_fold(state ^ HASH_ODD1, seed.a ^ HASH_ODD2);
}

static inline uint64_t hash_bytes(struct hash_seed seed, struct slice bytes) {
    const char *at = bytes.data;
    size_t left = bytes.size;
    uint64_t state = seed.a ^ (bytes.size * HASH_ODD1), low, high;
    while (left > 16) {
        state = hash_fold(hash_load64(at) ^ seed.b, hash_load64(at + 8) ^ state);
        at += 16;
        left -= 16;
    }
    hash_load_rest(at, left, &low, &high);
    return hash_end(seed, state, low, high);
}

/* hash_bytes() with three seeds, in the time of one: each waits for its multiplications. */
static inline void hash_bytes_thrice(const struct hash_seed seeds[3], struct slice bytes,
                                     uint64_t hashes[3]) {
    const char *at = bytes.data;
    size_t left = bytes.size;
    uint64_t length = bytes.size * HASH_ODD1, low, high;
    uint64_t x = seeds[0].a ^ length, y = seeds[1].a ^ length, z = seeds[2].a ^ length;
    while (left > 16) {
        low = hash_load64(at);
        high = hash_load64(at + 8);
        x = hash_fold(low ^ seeds[0].b, high ^ x);
        y = hash_fold(low ^ seeds[1].b, high ^ y);
        z = hash_fold(low ^ seeds[2].b, high ^ z);
        at += 16;
        left -= 16;
    }
    hash_load_rest(at, left, &low, &high);
    hashes[0] = hash_end(seeds[0], x, low, high);
    hashes[1] = hash_end(seeds[1], y, low, high);
    hashes[2] = hash_end(seeds[2], z, low, high);
}

#endif
