/* SPDX-License-Identifier: BSD-3-Clause */
/* Deadlines: things that end at a time unless they end before, the earliest at hand.
 *
 * A binary heap of pointers to a struct deadline that lies in its owner's own struct and knows its
 * place, so that taking one out from the middle costs O(log n), too. Equal times come in the order
 * in which they were added. */
#ifndef CONTAINERS_DEADLINES_H
#define CONTAINERS_DEADLINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deadline {
    uint64_t at_us;
    uint64_t order; /* among equal times */
    size_t place;   /* in the heap, from 1 on; 0: not in it */
};

/* A zeroed one is empty. */
struct deadlines {
    struct deadline **heap;
    size_t count, capacity;
    uint64_t next_order;
};

void deadlines_deinit(struct deadlines *deadlines);
/* Adds one that is in no heap; it stays where it is in memory until it is removed. */
void deadlines_add(struct deadlines *deadlines, struct deadline *deadline, uint64_t at_us);
/* No effect on one that is not in it. */
void deadlines_remove(struct deadlines *deadlines, struct deadline *deadline);
/* The earliest, or NULL. */
static inline struct deadline *deadlines_first(const struct deadlines *deadlines) {
    return deadlines->count > 0 ? deadlines->heap[0] : NULL;
}
/* Asserts the order and that each knows its place. */
void deadlines_check(const struct deadlines *deadlines);

#endif
