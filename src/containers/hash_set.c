/* SPDX-License-Identifier: BSD-3-Clause */
#include "containers/hash_set.h"

#include "base/memory.h"

enum { CAPACITY_MIN = 64 };

void hash_set_init(struct hash_set *set, size_t count_max) {
    *set = (struct hash_set){.count_max = count_max};
}

void hash_set_deinit(struct hash_set *set) {
    memory_free(set->cells);
    set->cells = NULL;
}

/* The cell that has it, or where it belongs. */
static uint64_t *find_cell(const struct hash_set *set, uint64_t hash) {
    for (size_t at = hash >> 1;; at++) {
        uint64_t *cell = &set->cells[at & (set->capacity - 1)];
        if (*cell == 0 || *cell == hash) {
            return cell;
        }
    }
}

static void grow(struct hash_set *set) {
    struct hash_set old = *set;
    set->capacity = old.capacity == 0 ? CAPACITY_MIN : 2 * old.capacity;
    set->cells = memory_alloc_zero(set->capacity * sizeof(set->cells[0]));
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.cells[i] != 0) {
            *find_cell(set, old.cells[i]) = old.cells[i];
        }
    }
    memory_free(old.cells);
}

void hash_set_add(struct hash_set *set, uint64_t hash) {
    if (set->is_full || hash_set_has(set, hash)) {
        return;
    }
    if (set->count == set->count_max) {
        set->is_full = true;
        return;
    }
    if (set->count >= set->capacity / 4 * 3) {
        grow(set);
    }
    *find_cell(set, hash | 1) = hash | 1;
    set->count++;
}

bool hash_set_has(const struct hash_set *set, uint64_t hash) {
    return !set->is_full && set->capacity > 0 && *find_cell(set, hash | 1) != 0;
}
