/* SPDX-License-Identifier: BSD-3-Clause */
#include "containers/deadlines.h"

#include "base/check.h"
#include "base/memory.h"

enum { CAPACITY_FIRST = 16 };

void deadlines_deinit(struct deadlines *deadlines) {
    require(deadlines->count == 0);
    memory_free(deadlines->heap);
    *deadlines = (struct deadlines){0};
}

static bool is_before(const struct deadline *a, const struct deadline *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void put(struct deadlines *deadlines, size_t index, struct deadline *deadline) {
    deadlines->heap[index] = deadline;
    deadline->place = index + 1;
}

/* Both move `deadline`, for which there is a gap at `index`, to where it belongs. */
static void move_up(struct deadlines *deadlines, size_t index, struct deadline *deadline) {
    while (index > 0 && is_before(deadline, deadlines->heap[(index - 1) / 2])) {
        put(deadlines, index, deadlines->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put(deadlines, index, deadline);
}

static void move_down(struct deadlines *deadlines, size_t index, struct deadline *deadline) {
    for (size_t child; (child = 2 * index + 1) < deadlines->count; index = child) {
        if (child + 1 < deadlines->count &&
            is_before(deadlines->heap[child + 1], deadlines->heap[child])) {
            child++;
        }
        if (!is_before(deadlines->heap[child], deadline)) {
            break;
        }
        put(deadlines, index, deadlines->heap[child]);
    }
    put(deadlines, index, deadline);
}

void deadlines_add(struct deadlines *deadlines, struct deadline *deadline, uint64_t at_us) {
    require(deadline->place == 0);
    if (deadlines->count == deadlines->capacity) {
        deadlines->capacity = deadlines->capacity == 0 ? CAPACITY_FIRST : 2 * deadlines->capacity;
        deadlines->heap =
            memory_resize(deadlines->heap, deadlines->capacity * sizeof(struct deadline *));
    }
    deadline->at_us = at_us;
    deadline->order = deadlines->next_order++;
    move_up(deadlines, deadlines->count++, deadline);
}

void deadlines_remove(struct deadlines *deadlines, struct deadline *deadline) {
    if (deadline->place == 0) {
        return;
    }
    size_t index = deadline->place - 1;
    require(index < deadlines->count);
    require(deadlines->heap[index] == deadline);
    deadline->place = 0;
    struct deadline *last = deadlines->heap[--deadlines->count];
    if (last == deadline) {
        return;
    }
    if (index > 0 && is_before(last, deadlines->heap[(index - 1) / 2])) {
        move_up(deadlines, index, last);
    } else {
        move_down(deadlines, index, last);
    }
}

void deadlines_check(const struct deadlines *deadlines) {
    for (size_t i = 0; i < deadlines->count; i++) {
        require(deadlines->heap[i]->place == i + 1);
        require(i == 0 || !is_before(deadlines->heap[i], deadlines->heap[(i - 1) / 2]));
    }
}
