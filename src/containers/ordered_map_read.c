/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading an ordered map: finding by name or rank, and steps of a cursor. */
#include "containers/ordered_map.h"

#include "base/prefetch.h"
#include "containers/packed_tree.h"

uint64_t ordered_map_count(const struct ordered_map *map) {
    if (map == NULL) {
        return 0;
    }
    const struct packed_tree *tree = packed_map_tree(map);
    return tree != NULL ? tree->count : packed_map_run(map)->count;
}

bool ordered_map_lower_bound(const struct ordered_map *map, struct slice name,
                             struct ordered_map_cursor *cursor) {
    if (map == NULL) {
        return false;
    }
    struct packed_tree *tree = packed_map_tree(map);
    struct packed_run *run = packed_map_find(map, name);
    if (packed_run_lower_bound(run, tree != NULL ? &tree->marks : PACKED_NO_MARKS, name, cursor)) {
        return true;
    }
    return tree != NULL && packed_leaf_begin(packed_run_leaf(run)->next, cursor);
}

bool ordered_map_find(const struct ordered_map *map, struct slice name,
                      struct ordered_map_cursor *cursor) {
    return ordered_map_lower_bound(map, name, cursor) && slice_equal(cursor->element.name, name);
}

bool ordered_map_first(const struct ordered_map *map, struct ordered_map_cursor *cursor) {
    if (map == NULL) {
        return false;
    }
    struct packed_tree *tree = packed_map_tree(map);
    packed_run_begin(tree != NULL ? &tree->first->run : packed_map_run(map), cursor);
    packed_run_step(cursor);
    return true;
}

static void run_last(struct packed_run *run, struct packed_tree *tree,
                     struct ordered_map_cursor *cursor) {
    packed_run_seek(run, tree != NULL ? &tree->marks : PACKED_NO_MARKS, (int64_t)run->count - 1,
                    cursor);
}

bool ordered_map_at(const struct ordered_map *map, uint64_t rank,
                    struct ordered_map_cursor *cursor) {
    if (rank >= ordered_map_count(map)) {
        return false;
    }
    struct packed_tree *tree = packed_map_tree(map);
    if (tree == NULL) {
        packed_run_seek(packed_map_run(map), PACKED_NO_MARKS, (int64_t)rank, cursor);
        return true;
    }
    if (rank == 0) {
        return ordered_map_first(map, cursor);
    }
    if (rank == tree->count - 1) {
        run_last(&tree->last->run, tree, cursor);
        return true;
    }
    struct packed_leaf *leaf = packed_tree_at(tree, &rank);
    packed_run_seek(&leaf->run, &tree->marks, (int64_t)rank, cursor);
    return true;
}

bool ordered_map_last(const struct ordered_map *map, struct ordered_map_cursor *cursor) {
    if (map == NULL) {
        return false;
    }
    struct packed_tree *tree = packed_map_tree(map);
    run_last(tree != NULL ? &tree->last->run : packed_map_run(map), tree, cursor);
    return true;
}

void ordered_map_prefetch_ends(const struct ordered_map *map) {
    const struct packed_tree *tree = map != NULL ? packed_map_tree(map) : NULL;
    if (tree != NULL) {
        prefetch_lines(tree->first, 2);
        prefetch_lines(tree->last, 2);
    }
}

bool ordered_map_next(const struct ordered_map *map, struct ordered_map_cursor *cursor) {
    if (cursor->next_index < cursor->run->count) {
        packed_run_step(cursor);
        return true;
    }
    return packed_map_tree(map) != NULL &&
           packed_leaf_begin(packed_run_leaf(cursor->run)->next, cursor);
}

bool ordered_map_previous(const struct ordered_map *map, struct ordered_map_cursor *cursor) {
    struct packed_tree *tree = packed_map_tree(map);
    if (cursor->next_index > 1) {
        packed_run_seek(cursor->run, tree != NULL ? &tree->marks : PACKED_NO_MARKS,
                        (int64_t)cursor->next_index - 2, cursor);
        return true;
    }
    struct packed_leaf *leaf = tree != NULL ? packed_run_leaf(cursor->run)->previous : NULL;
    if (leaf == NULL) {
        return false;
    }
    run_last(&leaf->run, tree, cursor);
    return true;
}

bool ordered_map_skip(const struct ordered_map *map, struct ordered_map_cursor *cursor,
                      uint64_t count, uint64_t *bytes_max) {
    struct packed_tree *tree = packed_map_tree(map);
    struct packed_run *run = cursor->run;
    uint64_t index = cursor->next_index - 1 + count, bytes = 0, start = cursor->start;
    bool is_special = run->is_special;
    while (index >= run->count) {
        struct packed_leaf *next = tree != NULL ? packed_run_leaf(run)->next : NULL;
        index -= run->count;
        bytes += run->used - start;
        start = 0;
        if (next == NULL) {
            *bytes_max = is_special ? UINT64_MAX : bytes;
            return false;
        }
        run = &next->run;
        is_special |= run->is_special;
    }
    packed_run_seek(run, tree != NULL ? &tree->marks : PACKED_NO_MARKS, (int64_t)index, cursor);
    *bytes_max = is_special ? UINT64_MAX : bytes + cursor->start - start;
    return true;
}

uint64_t ordered_map_rank(const struct ordered_map *map, const struct ordered_map_cursor *cursor) {
    uint64_t before =
        packed_map_tree(map) != NULL ? packed_leaf_rank(packed_run_leaf(cursor->run)) : 0;
    return before + cursor->next_index - 1;
}
