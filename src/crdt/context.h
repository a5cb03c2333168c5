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

static inline bool context_is_empty(const struct context *context) {
    for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
        if (context->stamps[slot] != 0) {
            return false;
        }
    }
    return true;
}

/* Does it cover all that the other one does? Most slots are of nobody: eight of them are passed
 * over at a time. */
static inline bool context_covers_all(const struct context *context, const struct context *other) {
    for (unsigned first = 0; first < STAMP_SLOTS_COUNT; first += 8) {
        const uint64_t *stamps = other->stamps + first;
        if ((stamps[0] | stamps[1] | stamps[2] | stamps[3] | stamps[4] | stamps[5] | stamps[6] |
             stamps[7]) == 0) {
            continue;
        }
        for (unsigned slot = first; slot < first + 8; slot++) {
            if (slot != STAMP_SLOT_SETTLED && other->stamps[slot] > context->stamps[slot]) {
                return false;
            }
        }
    }
    return true;
}

/* Covers from now on what either covers. */
static inline void context_join(struct context *context, const struct context *other) {
    for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
        if (other->stamps[slot] > context->stamps[slot]) {
            context->stamps[slot] = other->stamps[slot];
        }
    }
}

/* Covers from now on what both cover. */
static inline void context_meet(struct context *context, const struct context *other) {
    for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
        if (other->stamps[slot] < context->stamps[slot]) {
            context->stamps[slot] = other->stamps[slot];
        }
    }
}

#endif
