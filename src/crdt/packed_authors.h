/* SPDX-License-Identifier: BSD-3-Clause */
/* Authors as packed lists call them: numbers for pairs of a ref and a slot.
 *
 * An element of a list has a position, which names its replica by ref, and a stamp, which names it
 * by slot. Where many replicas push to a small list, the refs alone are as long as the values. So
 * the bytes of a packed list (packed_told.h) say a number, which stands for both.
 *
 * A number means the same as long as the table lives, whatever becomes of the replica: bytes that
 * hold it lie about anywhere. So nothing is taken back, and the table is no part of what is known
 * about replicas: neither a slot that goes to another one nor a replica that gets another name
 * changes what a list says. It fills up with the lives of replicas that push to lists, and is new
 * with each start. All stores between which entries move have the same one (replica.h). */
#ifndef CRDT_PACKED_AUTHORS_H
#define CRDT_PACKED_AUTHORS_H

#include "base/check.h"
#include "crdt/stamp.h"

enum { PACKED_AUTHORS_MAX = 4096 };

struct packed_author {
    uint64_t ref; /* 0: only the slot is meant */
    unsigned slot;
};

struct packed_authors {
    struct packed_author *authors; /* number 1 is the first */
    unsigned count, capacity;
    uint16_t *index; /* of numbers, with open addressing, at most half full; 0 is free */
    unsigned index_capacity;
};

struct packed_authors *packed_authors_new(void);
void packed_authors_free(struct packed_authors *authors);
/* The number of that pair, given now if it has none; 0 when there are too many. */
unsigned packed_authors_number(struct packed_authors *authors, uint64_t ref, unsigned slot);

static inline struct packed_author packed_authors_at(const struct packed_authors *authors,
                                                     uint64_t number) {
    require(number > 0 && number <= authors->count);
    return authors->authors[number - 1];
}

#endif
