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

static inline uint64_t hash_bytes(struct hash_seed seed, struct slice bytes) {
    static const uint64_t odd1 = 0x9E3779B97F4A7C15ULL, odd2 = 0xD6E8FEB86659FD93ULL;
    const char *at = bytes.data;
    size_t left = bytes.size;
    uint64_t state = seed.a ^ (bytes.size * odd1);
    while (left > 16) {
        state = hash_fold(hash_load64(at) ^ seed.b, hash_load64(at + 8) ^ state);
        at += 16;
        left -= 16;
    }
    uint64_t low = 0, high = 0;
    if (left >= 8) {
        low = hash_load64(at);
        high = hash_load64(at + left - 8);
    } else if (left >= 4) {
        low = hash_load32(at);
        high = hash_load32(at + left - 4);
    } else if (left > 0) {
        low = (uint64_t)(uint8_t)at[0] << 16 | (uint64_t)(uint8_t)at[left / 2] << 8 |
              (uint8_t)at[left - 1];
    }
    state = hash_fold(low ^ seed.b ^ odd2, high ^ state);
    return hash_fold(state ^ odd1, seed.a ^ odd2);
}

#endif
