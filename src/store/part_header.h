/* SPDX-License-Identifier: BSD-3-Clause */
/* The header of a part (part.h), read. */
#ifndef STORE_PART_HEADER_H
#define STORE_PART_HEADER_H

#include "store/part.h"

struct part_header_replica {
    unsigned slot; /* of the sender */
    unsigned ours; /* ours, once it is added */
    struct replica_id id;
    uint64_t ticks;
    uint64_t marks_count;
    struct slice marks;
};

struct part_header {
    uint64_t replicas_count;
    struct part_header_replica replicas[STAMP_SLOTS_COUNT];
    uint64_t retired_count;
    struct slice retired;
    struct slice ends; /* from there on: replicas_take_ends() */
    uint64_t order_ticks, order_slot;
    struct slice order;
};

/* Reads and checks all of the header of that part for the store; false: it makes no sense. Its
 * slices lie in `bytes`. */
bool part_header_take(struct part_header *header, const struct store *store, unsigned part,
                      unsigned parts_count, struct slice bytes);

#endif
