/* SPDX-License-Identifier: BSD-3-Clause */
#include "containers/ordered_map_bulk.h"

#include "base/check.h"
#include "base/memory.h"
#include "containers/packed_tree.h"

/* ---- copying ---- */

/* Behind all other leaves: one with a copy of that run. */
static void append_copy(struct packed_tree *tree, const struct packed_run *run) {
    struct packed_leaf *leaf = packed_leaf_new(tree, tree->last, true, run->used);
    memcpy(packed_run_bytes(&leaf->run), packed_run_bytes(run), run->used);
    leaf->run.used = run->used;
    packed_leaf_count(tree, leaf, run->count);
}

struct ordered_map *ordered_map_bulk_copy(const struct ordered_map *map) {
    const struct packed_tree *tree = packed_map_tree(map);
    if (tree == NULL) {
        return ordered_map_has_bytes(map) ? ordered_map_copy(map) : NULL;
    }
    for (const struct packed_leaf *leaf = tree->first; leaf != NULL; leaf = leaf->next) {
        if (leaf->run.is_special) {
            return NULL;
        }
    }
    struct packed_tree *copy = packed_tree_new(&tree->first->run);
    for (const struct packed_leaf *leaf = tree->first->next; leaf != NULL; leaf = leaf->next) {
        append_copy(copy, &leaf->run);
    }
    ensure(copy->count == tree->count);
    return (struct ordered_map *)(void *)copy;
}

/* ---- appending ---- */

/* The elements that were written into the leaf are its own from now on. */
static void settle_leaf(struct ordered_map_bulk *bulk) {
    struct packed_run *run = &bulk->leaf->run;
    run->used = (uint32_t)(bulk->to - packed_run_bytes(run)) & PACKED_RUN_BYTES_MAX;
    packed_leaf_count(bulk->tree, bulk->leaf, bulk->count);
    bulk->count = 0;
}

static void begin_leaf(struct ordered_map_bulk *bulk, struct packed_leaf *leaf) {
    char *bytes = packed_run_bytes(&leaf->run);
    bulk->leaf = leaf;
    bulk->to = bytes + leaf->run.used;
    bulk->end = bytes + PACKED_LEAF_USED_MAX;
}

void ordered_map_bulk_begin(struct ordered_map_bulk *bulk, struct ordered_map **map) {
    struct ordered_map_cursor last;
    bool is_there = ordered_map_last(*map, &last);
    require(is_there);
    if (packed_map_tree(*map) == NULL) {
        packed_map_to_tree(map);
    }
    bulk->map = map;
    bulk->tree = packed_map_tree(*map);
    bulk->count = 0;
    bulk->stamp = last.stamp;
    struct packed_leaf *leaf = bulk->tree->last;
    if (leaf->capacity < ORDERED_MAP_LEAF_BYTES) {
        leaf = packed_leaf_resize(bulk->tree, leaf, ORDERED_MAP_LEAF_BYTES);
    }
    begin_leaf(bulk, leaf);
}

void ordered_map_bulk_append(struct ordered_map_bulk *bulk,
                             const struct ordered_map_element *element) {
    struct packed_key previous = {.stamp = bulk->stamp};
    bool has_room =
        (size_t)(bulk->end - bulk->to) >= PACKED_AROUND_VALUE_BYTES_MAX + element->value.size;
    if (unlikely(!has_room)) {
        settle_leaf(bulk);
        begin_leaf(bulk, packed_leaf_new(bulk->tree, bulk->leaf, true, PACKED_LEAF_USED_MAX));
        previous.stamp = 0; /* the first one follows on nothing */
    }
    bulk->to += packed_put_plain(bulk->to, &previous, element, has_room);
    bulk->stamp = element->stamp;
    bulk->count++;
}

void ordered_map_bulk_end(struct ordered_map_bulk *bulk) {
    settle_leaf(bulk);
    size_t used = bulk->leaf->run.used;
    if (bulk->tree->levels == 0 && used <= PACKED_SMALL_USED_MAX) {
        packed_map_to_small(bulk->map);
        return;
    }
    size_t capacity = memory_class_bytes(sizeof(struct packed_leaf) + used);
    if (capacity < bulk->leaf->capacity) {
        (void)packed_leaf_resize(bulk->tree, bulk->leaf, capacity);
    }
}
