/* SPDX-License-Identifier: BSD-3-Clause */
/* A context is a version vector: for each slot the highest stamp seen of its replica. Streams are
 * first-in-first-out and gapless for each replica, so one stamp says it all: a stamp is covered
 * when it is at or below the context's stamp for its slot. Settled stamps are always covered. */
#ifndef CRDT_CONTEXT_H
#define CRDT_CONTEXT_H

#include <stdbool.h>
#include <string.h>

#include "crdt/stamp.h"

struct context {
    uint64_t stamps[STAMP_SLOTS_COUNT]; /* 0 where nothing was seen */
};

static inline bool context_covers(const struct context *context, uint64_t stamp) {
    unsigned slot = stamp_slot(stamp);
    return slot == STAMP_SLOT_SETTLED || stamp <= context->stamps[slot];
}

static inline void context_add(struct context *context, uint64_t stamp) {
    unsigned slot = stamp_slot(stamp);
    if (slot != STAMP_SLOT_SETTLED && stamp > context->stamps[slot]) {
        context->stamps[slot] = stamp;
    }
}

#endif
