/* SPDX-License-Identifier: BSD-3-Clause */
/* A set of hashes, for what is asked so seldom that two with one hash do not matter: the things
 * themselves are not kept. At most `count_max`; with more it is full, and has nothing. Each takes
 * up to 32 bytes. One array of cells with linear probing, at most three quarters full. */
#ifndef CONTAINERS_HASH_SET_H
#define CONTAINERS_HASH_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash_set {
    uint64_t *cells;                   /* 0: empty */
    size_t capacity, count, count_max; /* capacity is a power of 2, or 0 */
    bool is_full;
};

/* An empty set without memory. */
void hash_set_init(struct hash_set *set, size_t count_max);
void hash_set_deinit(struct hash_set *set);
void hash_set_add(struct hash_set *set, uint64_t hash);
bool hash_set_has(const struct hash_set *set, uint64_t hash);

#endif
