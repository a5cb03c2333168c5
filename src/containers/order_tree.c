/* SPDX-License-Identifier: BSD-3-Clause */
#include "containers/order_tree.h"

#include <assert.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

enum {
    NODE_MAX = ORDER_TREE_NODE_MAX,
    MERGE_MAX = ORDER_TREE_MERGE_MAX,
    HEIGHT_MAX = ORDER_TREE_HEIGHT_MAX,
    NODE_HALF = (NODE_MAX + 1) / 2,
    ENTRY_BYTES_LEAF = 16,
    ENTRY_BYTES_INNER = 32,
};

/* A split leaves two halves, and each has a neighbour with at least one entry: I4 holds. */
static_assert(NODE_HALF + 1 > MERGE_MAX, "a split is not undone by a merge");
static_assert(sizeof(struct order_pair) == ENTRY_BYTES_LEAF, "a leaf is an array of pairs");

/* Level 0 is the leaves. After the header, a leaf has `capacity` pairs; an inner node has four
 * arrays of `capacity` words each, so that a search reads scores only. */
struct order_node {
    uint16_t count;
    uint16_t capacity;
    uint32_t unused;
};

static_assert(sizeof(struct order_node) == 8, "63 pairs fit into 1024 bytes, 63 entries into 2048");

/* What an inner node says about one child; a leaf's entry has the first two only. */
struct entry {
    double score;
    void *item;
    uint64_t count;
    struct order_node *child;
};

static struct order_pair *node_pairs(const struct order_node *leaf) {
    return (struct order_pair *)(uintptr_t)(leaf + 1);
}

static double *node_scores(const struct order_node *inner) {
    return (double *)(uintptr_t)(inner + 1);
}

static void **node_items(const struct order_node *inner) {
    return (void **)(uintptr_t)(inner + 1 + inner->capacity);
}

static uint64_t *node_counts(const struct order_node *inner) {
    return (uint64_t *)(uintptr_t)(inner + 1 + 2 * (size_t)inner->capacity);
}

static struct order_node **node_children(const struct order_node *inner) {
    return (struct order_node **)(uintptr_t)(inner + 1 + 3 * (size_t)inner->capacity);
}

/* ---- blocks ---- */

static size_t entry_bytes(unsigned level) {
    return level == 0 ? ENTRY_BYTES_LEAF : ENTRY_BYTES_INNER;
}

static size_t node_bytes(unsigned level, unsigned capacity) {
    return memory_class_bytes(sizeof(struct order_node) + capacity * entry_bytes(level));
}

/* An empty node with room for `capacity` entries, and for more if its size class has it. */
static struct order_node *node_new(struct order_tree *tree, unsigned level, unsigned capacity) {
    require(capacity >= 1 && capacity <= NODE_MAX);
    size_t bytes = node_bytes(level, capacity);
    struct order_node *node = memory_alloc(bytes);
    size_t room = (bytes - sizeof(struct order_node)) / entry_bytes(level);
    *node = (struct order_node){.capacity = (uint16_t)(room < NODE_MAX ? room : NODE_MAX)};
    tree->memory_bytes += bytes;
    return node;
}

static void node_free(struct order_tree *tree, struct order_node *node, unsigned level) {
    size_t bytes = node_bytes(level, node->capacity);
    tree->memory_bytes -= bytes;
    memory_free_sized(node, bytes);
}

/* Copies `count` entries to another node, or within one; does not touch the nodes' counts. */
static void entries_move(struct order_node *to, unsigned to_at, const struct order_node *from,
                         unsigned from_at, unsigned count, unsigned level) {
    if (level == 0) {
        memmove(node_pairs(to) + to_at, node_pairs(from) + from_at,
                count * sizeof(struct order_pair));
        return;
    }
    size_t bytes = (size_t)count * 8;
    memmove(node_scores(to) + to_at, node_scores(from) + from_at, bytes);
    memmove(node_items(to) + to_at, node_items(from) + from_at, bytes);
    memmove(node_counts(to) + to_at, node_counts(from) + from_at, bytes);
    memmove(node_children(to) + to_at, node_children(from) + from_at, bytes);
}

/* Moves the node into a block for `capacity` entries; the old one is gone. */
static struct order_node *node_resize(struct order_tree *tree, struct order_node *old,
                                      unsigned level, unsigned capacity) {
    require(capacity >= old->count);
    struct order_node *node = node_new(tree, level, capacity);
    entries_move(node, 0, old, 0, old->count, level);
    node->count = old->count;
    node_free(tree, old, level);
    return node;
}

/* Gives back what a node with entries does not need. A quarter may lie unused, so that items that
 * come and go do not move it each time. */
static struct order_node *node_fit(struct order_tree *tree, struct order_node *node,
                                   unsigned level) {
    unsigned wanted = node->count + 2U;
    if (node->count * 4U > node->capacity * 3U ||
        node_bytes(level, wanted) >= node_bytes(level, node->capacity)) {
        return node;
    }
    return node_resize(tree, node, level, wanted);
}

/* ---- entries ---- */

static void entry_set(struct order_node *node, unsigned level, unsigned at,
                      const struct entry *entry) {
    if (level == 0) {
        node_pairs(node)[at] = (struct order_pair){.score = entry->score, .item = entry->item};
        return;
    }
    node_scores(node)[at] = entry->score;
    node_items(node)[at] = entry->item;
    node_counts(node)[at] = entry->count;
    node_children(node)[at] = entry->child;
}

/* Opens a gap at `at` and fills it; there is room. */
static void entry_insert(struct order_node *node, unsigned level, unsigned at,
                         const struct entry *entry) {
    require(node->count < node->capacity && at <= node->count);
    entries_move(node, at + 1, node, at, node->count - at, level);
    entry_set(node, level, at, entry);
    node->count++;
}

static void entry_remove(struct order_node *node, unsigned level, unsigned at) {
    require(at < node->count);
    entries_move(node, at, node, at + 1, node->count - at - 1U, level);
    node->count--;
}

static struct order_pair node_first(const struct order_node *node, unsigned level) {
    if (level == 0) {
        return node_pairs(node)[0];
    }
    return (struct order_pair){.score = node_scores(node)[0], .item = node_items(node)[0]};
}

static uint64_t counts_sum(const uint64_t *counts, unsigned count) {
    uint64_t sum = 0;
    unsigned i = 0;
    for (; i + 4 <= count; i += 4) { /* the loop that a rank spends most on */
        sum += counts[i] + counts[i + 1] + counts[i + 2] + counts[i + 3];
    }
    for (; i < count; i++) {
        sum += counts[i];
    }
    return sum;
}

/* What the parent of `node`, which is at `level`, has to say about it. */
static struct entry entry_of(struct order_node *node, unsigned level) {
    struct order_pair first = node_first(node, level);
    return (struct entry){.score = first.score,
                          .item = first.item,
                          .count =
                              level == 0 ? node->count : counts_sum(node_counts(node), node->count),
                          .child = node};
}

static void entry_set_first(struct order_node *inner, unsigned at, struct order_pair first) {
    node_scores(inner)[at] = first.score;
    node_items(inner)[at] = first.item;
}

/* ---- search ---- */

/* Which of the entries with the score sought lie on the left of the place sought. */
enum tie { TIE_NONE, TIE_NAME_BELOW, TIE_NAME_UP_TO, TIE_ALL };

struct key {
    double score;
    struct slice name;
    const void *item; /* known to have this name, which is not asked for; may be NULL */
    enum tie inner;   /* among the first pairs of children: the item sought lies in the last child
                       * whose first pair is on the left */
    enum tie leaf;
};

static struct key key_item(double score, struct slice name, enum order_side side) {
    require(score == score);
    return (struct key){.score = score,
                        .name = name,
                        .inner = TIE_NAME_UP_TO,
                        .leaf = side == ORDER_AT ? TIE_NAME_BELOW : TIE_NAME_UP_TO};
}

static bool tie_is_left(const struct order_tree *tree, const void *item, enum tie tie,
                        struct slice name, const void *known) {
    if (item == known) {
        return tie == TIE_NAME_UP_TO;
    }
    switch (tie) {
    case TIE_NONE:
        return false;
    case TIE_NAME_BELOW:
        return slice_compare(tree->name(item), name) < 0;
    case TIE_NAME_UP_TO:
        return slice_compare(tree->name(item), name) <= 0;
    case TIE_ALL:
        return true;
    }
    impossible("a tie is one of four");
}

static inline double score_at(const char *scores, size_t stride, unsigned at) {
    return *(const double *)(const void *)(scores + at * stride);
}

/* How many entries lie on the left of the key. Scores and items are `stride` bytes apart. */
static inline __attribute__((always_inline)) unsigned
entries_left(const struct order_tree *tree, const void *scores_first, const void *items_first,
             size_t stride, unsigned count, const struct key *key, enum tie tie) {
    const char *scores = scores_first, *items = items_first;
    /* By score alone, without a branch: the place is random. */
    unsigned left = 0, rest = count;
    while (rest > 1) {
        unsigned half = rest / 2;
        left += half & -(unsigned)(score_at(scores, stride, left + half - 1) < key->score);
        rest -= half;
    }
    left += rest == 1 && score_at(scores, stride, left) < key->score;
    if (left == count || score_at(scores, stride, left) != key->score) {
        return left;
    }
    /* Then among those with the score. Mostly it is one, so the end is looked for from here. */
    unsigned right = left + 1;
    for (unsigned step = 1; right < count && score_at(scores, stride, right) == key->score;) {
        step *= 2;
        right = right + step < count ? right + step : count;
    }
    while (left < right) {
        unsigned middle = left + (right - left) / 2;
        const void *item = *(void *const *)(const void *)(items + middle * stride);
        if (score_at(scores, stride, middle) == key->score &&
            tie_is_left(tree, item, tie, key->name, key->item)) {
            left = middle + 1;
        } else {
            right = middle;
        }
    }
    return left;
}

static unsigned leaf_find(const struct order_tree *tree, const struct order_node *leaf,
                          const struct key *key) {
    const struct order_pair *pairs = node_pairs(leaf);
    return entries_left(tree, &pairs->score, &pairs->item, sizeof(struct order_pair), leaf->count,
                        key, key->leaf);
}

static unsigned inner_find(const struct order_tree *tree, const struct order_node *inner,
                           const struct key *key) {
    unsigned left = entries_left(tree, node_scores(inner), node_items(inner), sizeof(double),
                                 inner->count, key, key->inner);
    return left > 0 ? left - 1 : 0;
}

/* From the root (at level `height`) to a leaf (level 0): nodes, and the entry taken in each. */
struct path {
    struct order_node *nodes[HEIGHT_MAX + 1];
    unsigned at[HEIGHT_MAX + 1];
};

/* The tree has items. In the leaf the path stands where the key belongs, maybe past the end. */
static void path_find(struct path *path, const struct order_tree *tree, const struct key *key) {
    struct order_node *node = tree->root;
    for (unsigned level = tree->height; level > 0; level--) {
        path->nodes[level] = node;
        path->at[level] = inner_find(tree, node, key);
        node = node_children(node)[path->at[level]];
    }
    path->nodes[0] = node;
    path->at[0] = leaf_find(tree, node, key);
}

/* Is there an item at the path's end with exactly this score and name? */
static bool leaf_has(const struct order_tree *tree, const struct order_node *leaf, unsigned at,
                     const struct key *key) {
    if (at == leaf->count) {
        return false;
    }
    const struct order_pair *pair = &node_pairs(leaf)[at];
    return pair->score == key->score &&
           (pair->item == key->item || slice_equal(tree->name(pair->item), key->name));
}

/* ---- lifecycle ---- */

void order_tree_init(struct order_tree *tree, order_name_fn name) {
    require(name != NULL);
    *tree = (struct order_tree){.name = name};
}

/* Frees a node and what is below it; visits the items in order. Recursion goes down the levels. */
static void subtree_free(struct order_tree *tree, struct order_node *node, unsigned level,
                         order_visit_fn visit, void *udata) {
    if (level > 0) {
        for (unsigned i = 0; i < node->count; i++) {
            subtree_free(tree, node_children(node)[i], level - 1, visit, udata);
        }
    } else if (visit != NULL) {
        for (unsigned i = 0; i < node->count; i++) {
            visit(node_pairs(node)[i].item, node_pairs(node)[i].score, udata);
        }
    }
    node_free(tree, node, level);
}

void order_tree_deinit(struct order_tree *tree) {
    if (tree->root != NULL) {
        subtree_free(tree, tree->root, tree->height, NULL, NULL);
    }
    ensure(tree->memory_bytes == 0);
    order_tree_init(tree, tree->name);
}

/* A subtree of exactly these pairs, whose children hold as many as each other; `child_room` is what
 * one child can hold. Recursion goes down the levels. */
static struct order_node *subtree_build(struct order_tree *tree, const struct order_pair *pairs,
                                        uint64_t count, unsigned level, uint64_t child_room) {
    if (level == 0) {
        struct order_node *leaf = node_new(tree, 0, (unsigned)count);
        memcpy(node_pairs(leaf), pairs, count * sizeof(struct order_pair));
        leaf->count = (uint16_t)count;
        return leaf;
    }
    unsigned children = (unsigned)((count + child_room - 1) / child_room);
    struct order_node *node = node_new(tree, level, children);
    for (unsigned i = 0; i < children; i++) {
        uint64_t share = count / (children - i);
        struct entry entry = {
            .score = pairs->score,
            .item = pairs->item,
            .count = share,
            .child = subtree_build(tree, pairs, share, level - 1, child_room / NODE_MAX)};
        entry_insert(node, level, i, &entry);
        pairs += share;
        count -= share;
    }
    return node;
}

static bool pair_is_below(const struct order_tree *tree, const struct order_pair *a,
                          const struct order_pair *b) {
    return a->score < b->score ||
           (a->score == b->score && slice_compare(tree->name(a->item), tree->name(b->item)) < 0);
}

void order_tree_build(struct order_tree *tree, const struct order_pair *pairs, uint64_t count) {
    require(tree->root == NULL);
    if (count == 0) {
        return;
    }
    require(pairs[0].score == pairs[0].score);
    for (uint64_t i = 1; i < count; i++) {
        require(pair_is_below(tree, &pairs[i - 1], &pairs[i])); /* I1 */
    }
    unsigned height = 0;
    uint64_t child_room = 1; /* a pair, then a full leaf, ... */
    while (count > child_room * NODE_MAX) {
        child_room *= NODE_MAX;
        height++;
        require(height < 10); /* 63^10 is close to 2^60 */
    }
    tree->root = subtree_build(tree, pairs, count, height, child_room);
    tree->height = height;
    tree->count = count;
}

/* ---- reads ---- */

bool order_tree_rank(const struct order_tree *tree, double score, struct slice name,
                     uint64_t *rank) {
    struct key key = key_item(score, name, ORDER_AT);
    const struct order_node *node = tree->root;
    if (node == NULL) {
        return false;
    }
    uint64_t before = 0;
    for (unsigned level = tree->height; level > 0; level--) {
        unsigned at = inner_find(tree, node, &key);
        const struct order_node *child = node_children(node)[at];
        __builtin_prefetch(child);
        before += counts_sum(node_counts(node), at);
        node = child;
    }
    unsigned at = leaf_find(tree, node, &key);
    if (!leaf_has(tree, node, at, &key)) {
        return false;
    }
    *rank = before + at;
    return true;
}

struct order_cursor order_tree_seek_rank(const struct order_tree *tree, uint64_t rank) {
    if (rank >= tree->count) {
        return (struct order_cursor){.tree = tree, .rank = tree->count};
    }
    const struct order_node *node = tree->root;
    uint64_t rest = rank;
    for (unsigned level = tree->height; level > 0; level--) {
        const uint64_t *counts = node_counts(node);
        unsigned at = 0;
        while (rest >= counts[at]) {
            rest -= counts[at++];
        }
        node = node_children(node)[at];
    }
    return (struct order_cursor){
        .tree = tree, .leaf = node, .pair = &node_pairs(node)[rest], .rank = rank};
}

const struct order_pair *order_tree_at(const struct order_tree *tree, uint64_t rank) {
    return order_tree_seek_rank(tree, rank).pair;
}

static struct order_cursor seek_key(const struct order_tree *tree, const struct key *key) {
    const struct order_node *node = tree->root;
    if (node == NULL) {
        return (struct order_cursor){.tree = tree};
    }
    uint64_t rank = 0;
    for (unsigned level = tree->height; level > 0; level--) {
        unsigned at = inner_find(tree, node, key);
        rank += counts_sum(node_counts(node), at);
        node = node_children(node)[at];
    }
    unsigned at = leaf_find(tree, node, key);
    if (at == node->count) { /* it is the first of the next leaf */
        return order_tree_seek_rank(tree, rank + at);
    }
    return (struct order_cursor){
        .tree = tree, .leaf = node, .pair = &node_pairs(node)[at], .rank = rank + at};
}

struct order_cursor order_tree_seek(const struct order_tree *tree, double score, struct slice name,
                                    enum order_side side) {
    struct key key = key_item(score, name, side);
    return seek_key(tree, &key);
}

struct order_cursor order_tree_seek_score(const struct order_tree *tree, double score,
                                          enum order_side side) {
    require(score == score);
    enum tie tie = side == ORDER_AT ? TIE_NONE : TIE_ALL;
    struct key key = {.score = score, .inner = tie, .leaf = tie};
    return seek_key(tree, &key);
}

/* How many items lie on the left of a name, if they rise by name. */
static unsigned names_left(const struct order_tree *tree, const void *items_first, size_t stride,
                           unsigned count, struct slice name, enum tie tie) {
    const char *items = items_first;
    unsigned left = 0, right = count;
    while (left < right) {
        unsigned middle = left + (right - left) / 2;
        const void *item = *(void *const *)(const void *)(items + middle * stride);
        if (tie_is_left(tree, item, tie, name, NULL)) {
            left = middle + 1;
        } else {
            right = middle;
        }
    }
    return left;
}

struct order_cursor order_tree_seek_name(const struct order_tree *tree, struct slice name,
                                         enum order_side side) {
    enum tie leaf_tie = side == ORDER_AT ? TIE_NAME_BELOW : TIE_NAME_UP_TO;
    const struct order_node *node = tree->root;
    if (node == NULL) {
        return (struct order_cursor){.tree = tree};
    }
    uint64_t rank = 0;
    for (unsigned level = tree->height; level > 0; level--) {
        unsigned left =
            names_left(tree, node_items(node), sizeof(void *), node->count, name, TIE_NAME_UP_TO);
        unsigned at = left > 0 ? left - 1 : 0;
        rank += counts_sum(node_counts(node), at);
        node = node_children(node)[at];
    }
    rank += names_left(tree, &node_pairs(node)->item, sizeof(struct order_pair), node->count, name,
                       leaf_tie);
    return order_tree_seek_rank(tree, rank);
}

void order_cursor_next(struct order_cursor *cursor) {
    require(cursor->pair != NULL);
    cursor->rank++;
    cursor->pair++;
    if (cursor->pair == node_pairs(cursor->leaf) + cursor->leaf->count) {
        *cursor = order_tree_seek_rank(cursor->tree, cursor->rank);
    }
}

bool order_cursor_previous(struct order_cursor *cursor) {
    if (cursor->rank == 0) {
        return false;
    }
    cursor->rank--;
    if (cursor->pair != NULL && cursor->pair > node_pairs(cursor->leaf)) {
        cursor->pair--;
    } else {
        *cursor = order_tree_seek_rank(cursor->tree, cursor->rank);
    }
    return true;
}

/* ---- insertion ---- */

/* An item that comes before or after all others: nodes are then left full. */
enum edge { EDGE_NONE, EDGE_FIRST, EDGE_LAST };

/* What became of a node that was full: a new neighbour at its level. */
struct split {
    struct order_node *node; /* NULL: it was not full */
    bool is_before;
};

/* Puts an entry into a node. Returns the node, which may have moved. */
static struct order_node *node_put(struct order_tree *tree, struct order_node *node, unsigned level,
                                   unsigned at, const struct entry *entry, enum edge edge,
                                   struct split *split) {
    *split = (struct split){.node = NULL};
    if (node->count < NODE_MAX) {
        if (node->count == node->capacity) {
            node = node_resize(tree, node, level, node->count + 1U);
        }
        entry_insert(node, level, at, entry);
        return node;
    }
    if ((edge == EDGE_LAST && at == NODE_MAX) || (edge == EDGE_FIRST && at == 0)) {
        /* More will follow: half the room at once, for this one node of the level. */
        split->node = node_new(tree, level, NODE_HALF - 1);
        split->is_before = at == 0;
        entry_insert(split->node, level, 0, entry);
        return node;
    }
    unsigned kept = at < NODE_HALF ? NODE_HALF - 1 : NODE_HALF;
    struct order_node *right = node_new(tree, level, NODE_HALF);
    right->count = (uint16_t)(NODE_MAX - kept);
    entries_move(right, 0, node, kept, right->count, level);
    node->count = (uint16_t)kept;
    node = node_resize(tree, node, level, NODE_HALF);
    if (at < NODE_HALF) {
        entry_insert(node, level, at, entry);
    } else {
        entry_insert(right, level, at - kept, entry);
    }
    split->node = right;
    return node;
}

/* After an item came to the path's leaf, which is `child` now: tells all nodes above. */
static void path_tell_insert(struct order_tree *tree, const struct path *path,
                             struct order_node *child, struct split split, enum edge edge) {
    bool is_first = path->at[0] == 0; /* is the new item the first below `child`? */
    for (unsigned level = 1; level <= tree->height; level++) {
        struct order_node *node = path->nodes[level];
        unsigned at = path->at[level];
        if (split.node == NULL) {
            node_children(node)[at] = child;
            node_counts(node)[at]++;
            if (is_first) {
                entry_set_first(node, at, node_first(child, level - 1));
            }
        } else {
            struct entry entry = entry_of(child, level - 1);
            entry_set(node, level, at, &entry);
            entry = entry_of(split.node, level - 1);
            node = node_put(tree, node, level, split.is_before ? at : at + 1, &entry, edge, &split);
        }
        is_first = is_first && at == 0;
        child = node;
    }
    if (split.node != NULL) {
        unsigned level = tree->height + 1;
        require(level <= HEIGHT_MAX);
        struct order_node *root = node_new(tree, level, 2);
        struct entry entry = entry_of(child, level - 1);
        entry_insert(root, level, 0, &entry);
        entry = entry_of(split.node, level - 1);
        entry_insert(root, level, split.is_before ? 0 : 1, &entry);
        tree->height = level;
        child = root;
    }
    tree->root = child;
}

static enum edge path_edge(const struct order_tree *tree, const struct path *path) {
    bool is_first = path->at[0] == 0, is_last = path->at[0] == path->nodes[0]->count;
    for (unsigned level = 1; level <= tree->height; level++) {
        is_first = is_first && path->at[level] == 0;
        is_last = is_last && path->at[level] + 1 == path->nodes[level]->count;
    }
    return is_last ? EDGE_LAST : is_first ? EDGE_FIRST : EDGE_NONE;
}

void order_tree_insert(struct order_tree *tree, double score, void *item) {
    struct key key = key_item(score, tree->name(item), ORDER_AT);
    if (tree->root == NULL) {
        tree->root = node_new(tree, 0, 1);
    }
    struct path path;
    path_find(&path, tree, &key);
    require(!leaf_has(tree, path.nodes[0], path.at[0], &key));
    enum edge edge = path.nodes[0]->count < NODE_MAX ? EDGE_NONE : path_edge(tree, &path);
    struct entry entry = {.score = score, .item = item};
    struct split split;
    struct order_node *leaf = node_put(tree, path.nodes[0], 0, path.at[0], &entry, edge, &split);
    path_tell_insert(tree, &path, leaf, split, edge);
    tree->count++;
}

/* ---- removal ---- */

static void neighbours_settle(struct order_tree *tree, struct order_node *node, unsigned level,
                              unsigned first, unsigned end);

/* Makes one child of the children at `at` and `at + 1`. Inner nodes that meet bring children of
 * theirs side by side, so these may be next. What comes of it has at least as many entries as the
 * larger of the two had, so that I4 holds for it and its neighbours if it held for them. */
static void neighbours_merge(struct order_tree *tree, struct order_node *node, unsigned level,
                             unsigned at) {
    unsigned below = level - 1;
    struct order_node *left = node_children(node)[at], *right = node_children(node)[at + 1];
    unsigned joint = left->count, count = joint + right->count;
    if (count > left->capacity) {
        left = node_resize(tree, left, below, count);
    }
    entries_move(left, joint, right, 0, right->count, below);
    left->count = (uint16_t)count;
    node_free(tree, right, below);
    if (below > 0) {
        neighbours_settle(tree, left, below, joint - 1, joint);
    }
    node_children(node)[at] = node_fit(tree, left, below);
    node_counts(node)[at] += node_counts(node)[at + 1];
    entry_remove(node, level, at + 1);
}

/* Merges, for each i in [first, end) from the right, children i and i + 1 if they are small
 * (I4). Recursion goes down the levels. */
static void neighbours_settle(struct order_tree *tree, struct order_node *node, unsigned level,
                              unsigned first, unsigned end) {
    for (unsigned at = end; at-- > first;) {
        if (at + 1 >= node->count) {
            continue;
        }
        uint64_t entries = level == 1 ? node_counts(node)[at] + node_counts(node)[at + 1]
                                      : (uint64_t)node_children(node)[at]->count +
                                            node_children(node)[at + 1]->count;
        if (entries <= MERGE_MAX) {
            neighbours_merge(tree, node, level, at);
        }
    }
}

/* Makes `node`, at level `height`, the root: without levels that have one node only (I3). */
static void tree_set_root(struct order_tree *tree, struct order_node *node) {
    while (tree->height > 0 && node->count == 1) {
        struct order_node *child = node_children(node)[0];
        node_free(tree, node, tree->height--);
        node = child;
    }
    if (node->count == 0) {
        node_free(tree, node, tree->height);
        tree->height = 0;
        tree->root = NULL;
        return;
    }
    tree->root = node_fit(tree, node, tree->height);
}

static void *tree_remove(struct order_tree *tree, const struct key *key) {
    if (tree->root == NULL) {
        return NULL;
    }
    struct path path;
    path_find(&path, tree, key);
    struct order_node *child = path.nodes[0];
    if (!leaf_has(tree, child, path.at[0], key)) {
        return NULL;
    }
    void *item = node_pairs(child)[path.at[0]].item;
    entry_remove(child, 0, path.at[0]);
    bool is_smaller = true; /* did `child` lose an entry? */
    for (unsigned level = 1; level <= tree->height; level++) {
        struct order_node *node = path.nodes[level];
        unsigned at = path.at[level], count = node->count;
        if (child->count == 0) {
            node_free(tree, child, level - 1);
            entry_remove(node, level, at);
        } else {
            child = is_smaller ? node_fit(tree, child, level - 1) : child;
            node_children(node)[at] = child;
            node_counts(node)[at]--;
            entry_set_first(node, at, node_first(child, level - 1));
        }
        if (is_smaller) {
            neighbours_settle(tree, node, level, at > 0 ? at - 1 : 0, at + 1);
        }
        is_smaller = node->count < count;
        child = node;
    }
    tree_set_root(tree, child);
    tree->count--;
    return item;
}

void *order_tree_remove(struct order_tree *tree, double score, struct slice name) {
    struct key key = key_item(score, name, ORDER_AT);
    return tree_remove(tree, &key);
}

void *order_tree_remove_known(struct order_tree *tree, double score, struct slice name,
                              const void *item) {
    struct key key = key_item(score, name, ORDER_AT);
    key.item = item;
    return tree_remove(tree, &key);
}

static void *tree_replace(struct order_tree *tree, const struct key *key, void *item) {
    if (tree->root == NULL) {
        return NULL;
    }
    struct path path;
    path_find(&path, tree, key);
    if (!leaf_has(tree, path.nodes[0], path.at[0], key)) {
        return NULL;
    }
    struct order_pair *pair = &node_pairs(path.nodes[0])[path.at[0]];
    void *old = pair->item;
    pair->item = item;
    for (unsigned level = 1; level <= tree->height && path.at[level - 1] == 0; level++) {
        node_items(path.nodes[level])[path.at[level]] = item;
    }
    return old;
}

void *order_tree_replace(struct order_tree *tree, double score, struct slice name, void *item) {
    struct key key = key_item(score, name, ORDER_AT);
    return tree_replace(tree, &key, item);
}

void *order_tree_replace_known(struct order_tree *tree, double score, struct slice name,
                               const void *old, void *item) {
    struct key key = key_item(score, name, ORDER_AT);
    key.item = old;
    return tree_replace(tree, &key, item);
}

struct removal {
    order_visit_fn visit;
    void *udata;
};

static void leaf_remove_ranks(struct order_node *leaf, unsigned from, unsigned to,
                              const struct removal *removal) {
    if (removal->visit != NULL) {
        for (unsigned i = from; i < to; i++) {
            removal->visit(node_pairs(leaf)[i].item, node_pairs(leaf)[i].score, removal->udata);
        }
    }
    entries_move(leaf, from, leaf, to, leaf->count - to, 0);
    leaf->count = (uint16_t)(leaf->count - (to - from));
}

/* Takes the items at [from, to) of a subtree, some but not all, out of it. The node does not move.
 * Children in the middle go as a whole, one at either side may stay with a part of its items; then
 * these, or those around the gap, are neighbours anew. Recursion goes down the levels. */
static void node_remove_ranks(struct order_tree *tree, struct order_node *node, unsigned level,
                              uint64_t from, uint64_t to, const struct removal *removal) {
    if (level == 0) {
        leaf_remove_ranks(node, (unsigned)from, (unsigned)to, removal);
        return;
    }
    uint64_t *counts = node_counts(node);
    struct order_node **children = node_children(node);
    unsigned first = 0;
    uint64_t before = 0; /* items before child i, as ranks were at first */
    while (before + counts[first] <= from) {
        before += counts[first++];
    }
    unsigned kept = first, i = first;
    for (; i < node->count && before < to; i++) {
        uint64_t count = counts[i];
        uint64_t child_from = from > before ? from - before : 0;
        uint64_t child_to = to - before < count ? to - before : count;
        before += count;
        if (child_to - child_from == count) {
            subtree_free(tree, children[i], level - 1, removal->visit, removal->udata);
            continue;
        }
        node_remove_ranks(tree, children[i], level - 1, child_from, child_to, removal);
        struct order_node *child = node_fit(tree, children[i], level - 1);
        struct order_pair first_pair = node_first(child, level - 1);
        struct entry entry = {.score = first_pair.score,
                              .item = first_pair.item,
                              .count = count - (child_to - child_from),
                              .child = child};
        entry_set(node, level, kept++, &entry);
    }
    entries_move(node, kept, node, i, node->count - i, level);
    node->count = (uint16_t)(node->count - (i - kept));
    neighbours_settle(tree, node, level, first > 0 ? first - 1 : 0, kept);
}

uint64_t order_tree_remove_ranks(struct order_tree *tree, uint64_t from, uint64_t to,
                                 order_visit_fn visit, void *udata) {
    if (to > tree->count) {
        to = tree->count;
    }
    if (from >= to) {
        return 0;
    }
    uint64_t count = to - from;
    if (count == tree->count) {
        subtree_free(tree, tree->root, tree->height, visit, udata);
        ensure(tree->memory_bytes == 0);
        order_tree_init(tree, tree->name);
        return count;
    }
    struct removal removal = {.visit = visit, .udata = udata};
    node_remove_ranks(tree, tree->root, tree->height, from, to, &removal);
    tree_set_root(tree, tree->root);
    tree->count -= count;
    return count;
}

/* ---- introspection ---- */

struct tally {
    uint64_t count, memory_bytes;
    const struct order_pair *last; /* the pair before, in order */
};

static void subtree_check(const struct order_tree *tree, const struct order_node *node,
                          unsigned level, struct tally *tally) {
    require(node->count > 0); /* I4 */
    require(node->count <= node->capacity && node->capacity <= NODE_MAX);
    tally->memory_bytes += node_bytes(level, node->capacity);
    if (level == 0) {
        for (unsigned i = 0; i < node->count; i++) {
            const struct order_pair *pair = &node_pairs(node)[i];
            require(pair->score == pair->score);
            require(tally->last == NULL || pair_is_below(tree, tally->last, pair)); /* I1 */
            tally->last = pair;
        }
        tally->count += node->count;
        return;
    }
    for (unsigned i = 0; i < node->count; i++) {
        const struct order_node *child = node_children(node)[i];
        uint64_t before = tally->count;
        subtree_check(tree, child, level - 1, tally);
        require(node_counts(node)[i] == tally->count - before); /* I2 */
        struct order_pair first = node_first(child, level - 1);
        require(first.item == node_items(node)[i]);
        require(first.score == node_scores(node)[i]);
        require(i == 0 || child->count + node_children(node)[i - 1]->count > MERGE_MAX); /* I4 */
    }
}

void order_tree_check(const struct order_tree *tree) {
    require(tree->height <= HEIGHT_MAX);
    if (tree->root == NULL) {
        require(tree->count == 0 && tree->height == 0 && tree->memory_bytes == 0);
        return;
    }
    require(tree->height == 0 || tree->root->count >= 2); /* I3 */
    struct tally tally = {.count = 0};
    subtree_check(tree, tree->root, tree->height, &tally);
    require(tally.count == tree->count);
    require(tally.memory_bytes == tree->memory_bytes);
}
