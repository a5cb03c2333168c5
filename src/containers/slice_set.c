/* SPDX-License-Identifier: BSD-3-Clause */
#include "containers/slice_set.h"

#include "base/check.h"
#include "base/memory.h"

enum { SLICE_SET_CELLS_MIN = 16 };

/* In the place of what was removed, so that probing goes on behind it. */
static const char REMOVED[1];

void slice_set_init(struct slice_set *set, struct hash_seed seed) {
    *set = (struct slice_set){.seed = seed};
}

void slice_set_deinit(struct slice_set *set) {
    memory_free(set->cells);
    *set = (struct slice_set){.seed = set->seed};
}

/* A slice without bytes may point nowhere. */
static const char *cell_data(struct slice slice) {
    return slice.data != NULL ? slice.data : "";
}

static bool cell_is(const struct slice_set_cell *cell, struct slice slice, uint64_t hash) {
    return cell->hash == hash && cell->size == slice.size && cell->data != REMOVED &&
           (slice.size == 0 || memcmp(cell->data, slice.data, slice.size) == 0);
}

/* The slice's cell, or the empty one where the search ended. There is an empty one. */
static struct slice_set_cell *find_cell(const struct slice_set *set, struct slice slice,
                                        uint64_t hash) {
    size_t at = hash & set->mask;
    while (set->cells[at].data != NULL && !cell_is(&set->cells[at], slice, hash)) {
        at = (at + 1) & set->mask;
    }
    return &set->cells[at];
}

static void resize(struct slice_set *set, size_t cells_count) {
    struct slice_set_cell *old = set->cells;
    size_t old_count = old != NULL ? set->mask + 1 : 0;
    struct slice_set_cell *cells =
        cells_count <= SIZE_MAX / sizeof(*cells)
            ? (struct slice_set_cell *)memory_try_alloc_zero(cells_count * sizeof(*cells))
            : NULL;
    if (cells == NULL) {
        set->is_out_of_memory = true;
        return;
    }
    set->cells = cells;
    set->mask = cells_count - 1;
    set->used = set->count;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].data == NULL || old[i].data == REMOVED) {
            continue;
        }
        size_t at = old[i].hash & set->mask;
        while (cells[at].data != NULL) {
            at = (at + 1) & set->mask;
        }
        cells[at] = old[i];
    }
    memory_free(old);
}

/* Cells for `count` slices, at most three quarters full. */
static size_t cells_for(size_t count) {
    size_t cells = SLICE_SET_CELLS_MIN;
    while (cells / 4 * 3 < count && cells <= SIZE_MAX / 4) {
        cells *= 2;
    }
    return cells;
}

void slice_set_expect(struct slice_set *set, size_t count) {
    if (set->cells == NULL || cells_for(count) > set->mask + 1) {
        resize(set, cells_for(count));
    }
}

bool slice_set_add(struct slice_set *set, struct slice slice) {
    if (set->cells == NULL || set->used >= (set->mask + 1) / 4 * 3) {
        resize(set, cells_for(set->count + 1));
        if (set->is_out_of_memory) {
            return false;
        }
    }
    uint64_t hash = hash_bytes(set->seed, slice);
    struct slice_set_cell *cell = find_cell(set, slice, hash);
    if (cell->data != NULL) {
        return false;
    }
    *cell = (struct slice_set_cell){.data = cell_data(slice), .size = slice.size, .hash = hash};
    set->used++;
    set->count++;
    ensure(set->used <= set->mask);
    return true;
}

bool slice_set_has(const struct slice_set *set, struct slice slice) {
    return set->cells != NULL && find_cell(set, slice, hash_bytes(set->seed, slice))->data != NULL;
}

bool slice_set_remove(struct slice_set *set, struct slice slice) {
    if (set->cells == NULL) {
        return false;
    }
    struct slice_set_cell *cell = find_cell(set, slice, hash_bytes(set->seed, slice));
    if (cell->data == NULL) {
        return false;
    }
    cell->data = REMOVED;
    set->count--;
    return true;
}
