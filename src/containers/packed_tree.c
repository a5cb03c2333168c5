/* SPDX-License-Identifier: BSD-3-Clause */
#include "containers/packed_tree.h"

#include <assert.h>

#include "base/check.h"
#include "base/memory.h"

enum {
    INNER_CHILDREN_FEW = PACKED_CHILDREN_MAX / 4, /* an inner node below is joined where possible */
    INNER_CHILDREN_JOINED_MAX = PACKED_CHILDREN_MAX * 3 / 4,
    LEVELS_MAX = 16, /* of inner nodes */
};

static_assert(sizeof(struct packed_inner) == 1024, "a size class of the allocator");
static_assert(sizeof(struct packed_leaf) ==
                  offsetof(struct packed_leaf, run) + sizeof(struct packed_run),
              "a run's bytes follow it");

/* ---- inner nodes ---- */

static void set_parent(void *node, struct packed_inner *parent) {
    if (parent->level == 0) {
        ((struct packed_leaf *)node)->parent = parent;
    } else {
        ((struct packed_inner *)node)->parent = parent;
    }
}

static unsigned inner_index(const struct packed_inner *inner, const void *node) {
    unsigned last = inner->count - 1;
    if (inner->children[last].node == node) {
        return last;
    }
    unsigned i = 0;
    while (inner->children[i].node != node) {
        i++;
        require(i < last);
    }
    return i;
}

static uint64_t inner_sum(const struct packed_inner *inner, unsigned from, unsigned to) {
    uint64_t sum = 0;
    for (unsigned i = from; i < to; i++) {
        sum += inner->children[i].count;
    }
    return sum;
}

static struct packed_inner *inner_new(struct packed_tree *tree, uint32_t level) {
    struct packed_inner *inner = memory_alloc(sizeof(*inner));
    inner->parent = NULL;
    inner->level = level;
    inner->count = 0;
    tree->bytes += sizeof(*inner);
    return inner;
}

static void inner_free(struct packed_tree *tree, struct packed_inner *inner) {
    tree->bytes -= sizeof(*inner);
    memory_free_sized(inner, sizeof(*inner));
}

/* Puts a node in front of the child `index`; there is room. */
static void inner_put(struct packed_inner *inner, unsigned index, void *node, uint64_t count) {
    require(inner->count < PACKED_CHILDREN_MAX);
    memmove(&inner->children[index + 1], &inner->children[index],
            (inner->count - index) * sizeof(inner->children[0]));
    inner->children[index].node = node;
    inner->children[index].count = count;
    inner->count++;
    set_parent(node, inner);
}

static void inner_take(struct packed_inner *inner, unsigned index) {
    inner->count--;
    memmove(&inner->children[index], &inner->children[index + 1],
            (inner->count - index) * sizeof(inner->children[0]));
}

/* Moves children from `from` on to the end of another node. */
static void inner_move(struct packed_inner *source, unsigned from, struct packed_inner *target) {
    for (unsigned i = from; i < source->count; i++) {
        inner_put(target, target->count, source->children[i].node, source->children[i].count);
    }
    source->count = from;
}

/* The tree grows a root above its present one. */
static void tree_raise(struct packed_tree *tree) {
    require(tree->levels < LEVELS_MAX);
    struct packed_inner *root = inner_new(tree, tree->levels);
    inner_put(root, 0, tree->root, tree->count);
    tree->root = root;
    tree->levels++;
}

/* Makes room in a full node by moving the half of it into a new one; recursion goes up, at most
 * LEVELS_MAX deep. */
static void inner_split(struct packed_tree *tree, struct packed_inner *inner) {
    if (inner->parent == NULL) {
        tree_raise(tree);
    } else if (inner->parent->count == PACKED_CHILDREN_MAX) {
        inner_split(tree, inner->parent);
    }
    struct packed_inner *parent = inner->parent;
    unsigned index = inner_index(parent, inner), middle = PACKED_CHILDREN_MAX / 2;
    struct packed_inner *right = inner_new(tree, inner->level);
    inner_move(inner, middle, right);
    inner_put(parent, index + 1, right, inner_sum(right, 0, right->count));
    parent->children[index].count = inner_sum(inner, 0, inner->count);
}

/* Joins a node that has few children with a neighbour, where both have room in one. */
static void inner_join(struct packed_tree *tree, struct packed_inner *inner) {
    struct packed_inner *parent = inner->parent;
    if (parent == NULL || inner->count >= INNER_CHILDREN_FEW) {
        return;
    }
    unsigned index = inner_index(parent, inner), left = index > 0 ? index - 1 : index;
    if (left + 1 >= parent->count) {
        return;
    }
    struct packed_inner *a = parent->children[left].node, *b = parent->children[left + 1].node;
    if (a->count + b->count > INNER_CHILDREN_JOINED_MAX) {
        return;
    }
    inner_move(b, 0, a);
    parent->children[left].count += parent->children[left + 1].count;
    inner_take(parent, left + 1);
    inner_free(tree, b);
}

/* Takes a child without elements out of its parent, and what that leaves empty. */
static void inner_drop(struct packed_tree *tree, struct packed_inner *inner, const void *node) {
    inner_take(inner, inner_index(inner, node));
    while (inner != NULL) {
        struct packed_inner *parent = inner->parent;
        if (inner->count == 0) {
            require(parent != NULL);
            inner_take(parent, inner_index(parent, inner));
            inner_free(tree, inner);
        } else {
            inner_join(tree, inner);
        }
        inner = parent;
    }
    while (tree->levels > 0 && ((struct packed_inner *)tree->root)->count == 1) {
        struct packed_inner *root = tree->root;
        tree->root = root->children[0].node;
        tree->levels--;
        if (tree->levels == 0) {
            ((struct packed_leaf *)tree->root)->parent = NULL;
        } else {
            ((struct packed_inner *)tree->root)->parent = NULL;
        }
        inner_free(tree, root);
    }
}

/* ---- leaves ---- */

static struct packed_leaf *leaf_alloc(struct packed_tree *tree, size_t used) {
    size_t capacity = memory_class_bytes(sizeof(struct packed_leaf) + used);
    struct packed_leaf *leaf = memory_alloc(capacity);
    *leaf = (struct packed_leaf){.capacity = (uint32_t)capacity};
    tree->bytes += capacity;
    return leaf;
}

struct packed_leaf *packed_leaf_new(struct packed_tree *tree, struct packed_leaf *at,
                                    bool is_behind, size_t used) {
    if (at->parent == NULL) {
        tree_raise(tree);
    } else if (at->parent->count == PACKED_CHILDREN_MAX) {
        inner_split(tree, at->parent);
    }
    struct packed_leaf *leaf = leaf_alloc(tree, used);
    inner_put(at->parent, inner_index(at->parent, at) + is_behind, leaf, 0);
    leaf->previous = is_behind ? at : at->previous;
    leaf->next = is_behind ? at->next : at;
    *(leaf->previous != NULL ? &leaf->previous->next : &tree->first) = leaf;
    *(leaf->next != NULL ? &leaf->next->previous : &tree->last) = leaf;
    return leaf;
}

void packed_leaf_count(struct packed_tree *tree, struct packed_leaf *leaf, int64_t change) {
    leaf->run.count = (uint32_t)(leaf->run.count + change) & PACKED_RUN_BYTES_MAX;
    tree->count += (uint64_t)change;
    const void *node = leaf;
    for (struct packed_inner *inner = leaf->parent; inner != NULL; inner = inner->parent) {
        inner->children[inner_index(inner, node)].count += (uint64_t)change;
        node = inner;
    }
}

void packed_leaf_drop(struct packed_tree *tree, struct packed_leaf *leaf) {
    require(leaf->run.count == 0);
    *(leaf->previous != NULL ? &leaf->previous->next : &tree->first) = leaf->next;
    *(leaf->next != NULL ? &leaf->next->previous : &tree->last) = leaf->previous;
    inner_drop(tree, leaf->parent, leaf);
    packed_marks_move(&tree->marks, &leaf->run, NULL);
    tree->bytes -= leaf->capacity;
    memory_free_sized(leaf, leaf->capacity);
}

struct packed_leaf *packed_leaf_resize(struct packed_tree *tree, struct packed_leaf *leaf,
                                       size_t capacity) {
    struct packed_leaf *moved = memory_alloc(capacity);
    memcpy(moved, leaf, sizeof(*leaf) + leaf->run.used);
    moved->capacity = (uint32_t)capacity;
    tree->bytes += capacity - leaf->capacity;
    packed_marks_move(&tree->marks, &leaf->run, &moved->run);
    *(moved->previous != NULL ? &moved->previous->next : &tree->first) = moved;
    *(moved->next != NULL ? &moved->next->previous : &tree->last) = moved;
    if (moved->parent == NULL) {
        tree->root = moved;
    } else {
        moved->parent->children[inner_index(moved->parent, leaf)].node = moved;
    }
    memory_free_sized(leaf, leaf->capacity);
    return moved;
}

/* ---- the whole ---- */

struct packed_tree *packed_tree_new(const struct packed_run *run) {
    struct packed_tree *tree = memory_alloc_zero(sizeof(*tree));
    tree->head.is_tree = 1;
    tree->bytes = memory_class_bytes(sizeof(*tree));
    tree->count = run->count;
    struct packed_leaf *leaf = leaf_alloc(tree, run->used);
    memcpy(&leaf->run, run, sizeof(*run) + run->used);
    tree->root = tree->first = tree->last = leaf;
    return tree;
}

void packed_tree_free(struct packed_tree *tree) {
    require(tree->levels == 0);
    memory_free_sized(tree->first, tree->first->capacity);
    memory_free_sized(tree, sizeof(*tree));
}

/* ---- small maps and trees ---- */

size_t packed_small_bytes(size_t used) {
    return memory_class_bytes(sizeof(struct packed_run) + used);
}

void packed_map_to_tree(struct ordered_map **map) {
    struct packed_run *run = (struct packed_run *)(void *)*map;
    struct packed_tree *tree = packed_tree_new(run);
    tree->bytes += packed_run_block_bytes(run);
    memory_free_sized(run, packed_small_bytes(run->used));
    *map = (struct ordered_map *)(void *)tree;
}

void packed_map_to_small(struct ordered_map **map) {
    struct packed_tree *tree = (struct packed_tree *)(void *)*map;
    const struct packed_run *from = &tree->first->run;
    struct packed_run *run = memory_alloc(packed_small_bytes(from->used));
    memcpy(run, from, sizeof(*from) + from->used);
    packed_tree_free(tree);
    *map = (struct ordered_map *)(void *)run;
}

/* ---- search ---- */

static struct slice node_first_name(void *node, uint32_t level_above) {
    for (; level_above > 0; level_above--) {
        node = ((struct packed_inner *)node)->children[0].node;
    }
    return packed_run_first_name(&((struct packed_leaf *)node)->run);
}

struct packed_leaf *packed_tree_find(const struct packed_tree *tree, struct slice name) {
    if (tree->levels == 0) {
        return tree->first;
    }
    if (slice_compare(packed_run_first_name(&tree->last->run), name) <= 0) {
        return tree->last;
    }
    if (slice_compare(packed_run_first_name(&tree->first->next->run), name) > 0) {
        return tree->first;
    }
    void *node = tree->root;
    for (uint32_t level = tree->levels; level > 0; level--) {
        const struct packed_inner *inner = node;
        /* Children before `low` begin at or below the name, those from `high` on above it. */
        unsigned low = 1, high = inner->count;
        while (low < high) {
            unsigned middle = (low + high) / 2;
            if (slice_compare(node_first_name(inner->children[middle].node, level - 1), name) <=
                0) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        node = inner->children[low - 1].node;
    }
    return node;
}

struct packed_leaf *packed_tree_at(const struct packed_tree *tree, uint64_t *rank) {
    require(*rank < tree->count);
    void *node = tree->root;
    for (uint32_t level = tree->levels; level > 0; level--) {
        const struct packed_inner *inner = node;
        unsigned i = 0;
        while (*rank >= inner->children[i].count) {
            *rank -= inner->children[i].count;
            i++;
        }
        node = inner->children[i].node;
    }
    return node;
}

uint64_t packed_leaf_rank(const struct packed_leaf *leaf) {
    uint64_t rank = 0;
    const void *node = leaf;
    for (const struct packed_inner *inner = leaf->parent; inner != NULL; inner = inner->parent) {
        rank += inner_sum(inner, 0, inner_index(inner, node));
        node = inner;
    }
    return rank;
}

/* ---- introspection ---- */

/* What a check has to visit, and what it found. */
struct visit {
    packed_leaf_fn leaf;
    void *udata;
    uint64_t bytes; /* of inner nodes */
};

/* Returns the elements below. Recursion is as deep as the tree. */
static uint64_t check_node(struct visit *visit, void *node, const struct packed_inner *parent,
                           uint32_t levels) {
    if (levels == 0) {
        struct packed_leaf *leaf = node;
        require(leaf->parent == parent);
        visit->leaf(leaf, visit->udata);
        return leaf->run.count;
    }
    const struct packed_inner *inner = node;
    require(inner->parent == parent);
    require(inner->level == levels - 1);
    require(inner->count >= (parent == NULL ? 2U : 1U));
    require(inner->count <= PACKED_CHILDREN_MAX);
    visit->bytes += sizeof(*inner);
    uint64_t sum = 0;
    for (unsigned i = 0; i < inner->count; i++) {
        uint64_t count = check_node(visit, inner->children[i].node, inner, levels - 1);
        require(count == inner->children[i].count);
        sum += count;
    }
    return sum;
}

uint64_t packed_tree_check(const struct packed_tree *tree, packed_leaf_fn leaf, void *udata) {
    struct visit visit = {.leaf = leaf, .udata = udata};
    uint64_t count = check_node(&visit, tree->root, NULL, tree->levels);
    require(count == tree->count);
    return visit.bytes + memory_class_bytes(sizeof(*tree));
}
