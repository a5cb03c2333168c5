/* SPDX-License-Identifier: BSD-3-Clause */
/* The law for lists and streams on the nodes of merge_world.h: an element shows the greatest of the
 * SETs that nobody superseded who had seen them. */
#ifndef TESTS_UNIT_STORE_SEQUENCE_LAW_H
#define TESTS_UNIT_STORE_SEQUENCE_LAW_H

#include "unit/store/running_snapshot.h"

/* ---- what survives ---- */

struct shown {
    struct slice position, value;
    const struct world_op *op;
};

struct expected {
    struct shown shown[WORLD_OPS_MAX];
    size_t count;
    const struct world_op *newest;
};

static inline bool is_of_key(const struct world_op *op, struct slice key) {
    return op->change.kind == CHANGE_FLUSH || op->change.kind == CHANGE_FLUSH_ALL ||
           slice_equal(op->change.key, key);
}

static inline bool takes(const struct world_op *op, const struct world_op *from) {
    struct slice key = from->change.key;
    enum value_type type = from->change.type;
    if (op == from || !is_of_key(op, key) || op->seen[from->author] < from->ticks ||
        op->change.kind == CHANGE_EXPIRE || op->change.kind == CHANGE_TAKE) {
        return false;
    }
    if (op->change.type != type) {
        return true; /* FLUSH, DELETE and SET have the type of strings */
    }
    return type == VALUE_STRING ? world_takes_value(op)
                                : slice_equal(op->change.element, from->change.element);
}

static inline bool takes_expiry(const struct world_op *op, const struct world_op *from) {
    return op != from && is_of_key(op, from->change.key) && op->seen[from->author] >= from->ticks &&
           (op->change.type == VALUE_STRING ? world_takes_expiry(op) : op->change.is_key_fresh);
}

static inline bool survives(const struct world *world, const struct world_op *op,
                            bool (*is_taken)(const struct world_op *, const struct world_op *)) {
    for (unsigned i = 0; i < world->ops_count; i++) {
        if (is_taken(&world->ops[i], op)) {
            return false;
        }
    }
    return true;
}

static inline int compare_shown(const void *a, const void *b) {
    return slice_compare(((const struct shown *)a)->position, ((const struct shown *)b)->position);
}

static inline void expect_type(const struct world *world, struct slice key, enum value_type type,
                               struct expected *expected) {
    expected->count = 0;
    expected->newest = NULL;
    for (unsigned i = 0; i < world->ops_count; i++) {
        const struct world_op *op = &world->ops[i];
        if (op->change.kind != CHANGE_SET || op->change.type != type || !is_of_key(op, key) ||
            !survives(world, op, takes)) {
            continue;
        }
        struct shown shown = {.position = op->change.element, .value = op->change.value, .op = op};
        size_t at = 0;
        while (at < expected->count && !slice_equal(expected->shown[at].position, shown.position)) {
            at++;
        }
        if (at == expected->count) {
            expected->shown[expected->count++] = shown;
        } else if (world_is_before(expected->shown[at].op, op)) {
            expected->shown[at] = shown;
        }
        if (expected->newest == NULL || world_is_before(expected->newest, op)) {
            expected->newest = op;
        }
    }
    qsort(expected->shown, expected->count, sizeof(expected->shown[0]), compare_shown);
}

static inline uint64_t expect_expiry(const struct world *world, struct slice key) {
    uint64_t unix_ms = 0;
    const struct world_op *best = NULL;
    for (unsigned i = 0; i < world->ops_count; i++) {
        const struct world_op *op = &world->ops[i];
        if (op->change.kind == CHANGE_EXPIRE && is_of_key(op, key) &&
            survives(world, op, takes_expiry) &&
            (best == NULL || op->change.expire_unix_ms - 1 > unix_ms - 1)) {
            best = op;
            unix_ms = op->change.expire_unix_ms;
        }
    }
    return unix_ms;
}

#endif
