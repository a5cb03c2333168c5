/* SPDX-License-Identifier: BSD-3-Clause */
/* The tree of a larger ordered map: leaves, linked in order, and inner nodes that count what is
 * below each child. What is inside a leaf is up to the map; the tree moves whole leaves.
 *
 * Inner nodes hold no names: a search looks at the first name of leaves, which is told in full
 * there. They split in halves, and join a neighbour when a quarter is left. Only the files
 * ordered_map*.c use this. */
#ifndef CONTAINERS_PACKED_TREE_H
#define CONTAINERS_PACKED_TREE_H

#include <assert.h>

#include "containers/packed_run.h"

enum { PACKED_CHILDREN_MAX = 63 };

struct packed_inner {
    struct packed_inner *parent; /* NULL: the root */
    uint32_t level;              /* 0: its children are leaves */
    uint32_t count;
    struct {
        void *node;
        uint64_t count; /* elements below it */
    } children[PACKED_CHILDREN_MAX];
};

struct packed_leaf {
    struct packed_inner *parent;
    struct packed_leaf *previous, *next;
    uint32_t capacity; /* bytes of this block */
    struct packed_run run;
};

struct packed_tree {
    struct packed_run head; /* is_tree */
    uint32_t levels;        /* of inner nodes */
    void *root;             /* a leaf when there are none */
    struct packed_leaf *first, *last;
    uint64_t count;
    uint64_t bytes; /* of all blocks */
    struct packed_marks marks;
};

enum {
    PACKED_LEAF_USED_MAX = ORDERED_MAP_LEAF_BYTES - sizeof(struct packed_leaf),
    PACKED_SMALL_USED_MAX = ORDERED_MAP_SMALL_BYTES - sizeof(struct packed_run),
};

static_assert(PACKED_HEAD_BYTES_MAX + PACKED_TAIL_BYTES_MAX <= PACKED_LEAF_USED_MAX,
              "any element has room in a leaf of its own");

/* The tree that the map is; NULL: it is a small one. */
static inline struct packed_tree *packed_map_tree(const struct ordered_map *map) {
    struct packed_run *head = (struct packed_run *)(uintptr_t)map;
    return head->is_tree ? (struct packed_tree *)(void *)head : NULL;
}

/* The run that a small map is. A map is a run or a tree: both begin with a head that tells. */
static inline struct packed_run *packed_map_run(const struct ordered_map *map) {
    return (struct packed_run *)(uintptr_t)map;
}

static inline struct packed_leaf *packed_run_leaf(struct packed_run *run) {
    return (struct packed_leaf *)(void *)((char *)run - offsetof(struct packed_leaf, run));
}

/* ---- lifecycle ---- */

/* A tree of one leaf with a copy of that run. */
struct packed_tree *packed_tree_new(const struct packed_run *run);
/* Frees a tree that has one leaf left, but no blocks of values. */
void packed_tree_free(struct packed_tree *tree);

/* ---- small maps and trees ---- */

/* Bytes of the block of a small map, whose run has that many. */
size_t packed_small_bytes(size_t used);
/* A small map becomes a tree of one leaf; and a tree of one leaf a small map, which has room for
 * what is in there. */
void packed_map_to_tree(struct ordered_map **map);
void packed_map_to_small(struct ordered_map **map);

/* ---- reads ---- */

/* The last leaf whose first name is at most `name`, or the first leaf. */
struct packed_leaf *packed_tree_find(const struct packed_tree *tree, struct slice name);
/* The leaf of the element with that rank, which becomes its index there. */
struct packed_leaf *packed_tree_at(const struct packed_tree *tree, uint64_t *rank);
/* How many elements are in the leaves before. */
uint64_t packed_leaf_rank(const struct packed_leaf *leaf);

/* The run that holds `name` or is to hold it. */
static inline struct packed_run *packed_map_find(const struct ordered_map *map, struct slice name) {
    const struct packed_tree *tree = packed_map_tree(map);
    if (tree == NULL) {
        return packed_map_run(map);
    }
    return &packed_tree_find(tree, name)->run;
}

/* The first element of the leaf; false: there is no leaf. */
static inline bool packed_leaf_begin(struct packed_leaf *leaf, struct ordered_map_cursor *cursor) {
    if (leaf == NULL) {
        return false;
    }
    packed_run_begin(&leaf->run, cursor);
    packed_run_step(cursor);
    return true;
}

/* ---- changes ---- */

/* An empty leaf with room for `used` bytes, behind `at` or before it. It gets elements before
 * anything else happens. */
struct packed_leaf *packed_leaf_new(struct packed_tree *tree, struct packed_leaf *at,
                                    bool is_behind, size_t used);
/* Elements came into a leaf or left it: its count and those above follow. */
void packed_leaf_count(struct packed_tree *tree, struct packed_leaf *leaf, int64_t change);
/* Frees a leaf without elements, which is not the only one. */
void packed_leaf_drop(struct packed_tree *tree, struct packed_leaf *leaf);
/* Moves the leaf into a block of another capacity. */
struct packed_leaf *packed_leaf_resize(struct packed_tree *tree, struct packed_leaf *leaf,
                                       size_t capacity);

/* ---- introspection ---- */

typedef void (*packed_leaf_fn)(struct packed_leaf *leaf, void *udata);

/* Asserts that counts, levels and parents are right, visits all leaves in order, and returns the
 * bytes of all but leaves and blocks. */
uint64_t packed_tree_check(const struct packed_tree *tree, packed_leaf_fn leaf, void *udata);

#endif
