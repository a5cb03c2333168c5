/* SPDX-License-Identifier: BSD-3-Clause */
/* A set of slices whose bytes lie elsewhere and stay there: tells which of many names have come
 * before.
 *
 * One array of cells with linear probing, at most three quarters full, grown by doubling. It has no
 * order and is not walked. Memory that runs out is not fatal, since the number of names is a
 * client's choice: the set then says `is_out_of_memory`, and what it answers means nothing. */
#ifndef CONTAINERS_SLICE_SET_H
#define CONTAINERS_SLICE_SET_H

#include "base/hash.h"

struct slice_set_cell {
    const char *data; /* NULL: empty */
    size_t size;
    uint64_t hash;
};

struct slice_set {
    struct slice_set_cell *cells;
    size_t mask;  /* cells less one; 0: none yet */
    size_t used;  /* cells that are not empty, removed ones included */
    size_t count; /* slices in the set */
    struct hash_seed seed;
    bool is_out_of_memory;
};

/* An empty set without memory. */
void slice_set_init(struct slice_set *set, struct hash_seed seed);
void slice_set_deinit(struct slice_set *set);
/* Makes room for `count` slices in all. */
void slice_set_expect(struct slice_set *set, size_t count);
/* Adds a slice; false when it is there already, or memory is out. */
bool slice_set_add(struct slice_set *set, struct slice slice);
bool slice_set_has(const struct slice_set *set, struct slice slice);
/* False when it is not there. */
bool slice_set_remove(struct slice_set *set, struct slice slice);

#endif
