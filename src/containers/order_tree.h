/* SPDX-License-Identifier: BSD-3-Clause */
/* The order of a sorted set: a B+tree of (score, item) that counts what lies below each node.
 *
 * Items are ordered by score, then by name: bytes, then size. The name is the item's own business:
 * the tree asks for it through a callback, and only where two scores are equal. Scores are any
 * doubles but NaN; -0.0 and 0.0 are equal.
 *
 *   inner   +-----------+----------+---------------+--------------+
 *           | scores .. | items .. | item counts.. | children ..  |   up to 63 children
 *           +-----------+----------+---------------+--------------+
 *             \____________________/ first pair of each child
 *   leaf    +---------------------------------+
 *           | (score, item) (score, item) ... |                       up to 63 pairs
 *           +---------------------------------+
 *
 * A node is a block that grows and shrinks by the allocator's size classes, so nodes may be far
 * from full without costing much: about 19 bytes an item after insertions in any order, 17 when
 * they came in order, and a set of a few items is one small block. A full node splits in halves,
 * but at either end of the tree it stays full and the new item begins a node of its own.
 *
 * Nodes have no links to their neighbours: a cursor knows its rank, and at the end of a leaf it
 * goes down from the root to the next rank, once for some 40 items.
 *
 * Invariants, checked by order_tree_check():
 *   I1  pairs rise strictly.
 *   I2  an inner node has, for each child, its first pair and the number of items below it.
 *   I3  all leaves are at one level; a root that is not a leaf has at least two children.
 *   I4  no node is empty, and two neighbours with one parent have more than
 *       ORDER_TREE_MERGE_MAX entries together.
 *
 * I4 gives each two neighbours 32 entries or more, so k levels of inner nodes have at least
 * 2 * 16^k items below them and ORDER_TREE_HEIGHT_MAX is never reached.
 *
 * The tree owns its nodes, never the items. One thread at a time. */
#ifndef CONTAINERS_ORDER_TREE_H
#define CONTAINERS_ORDER_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    ORDER_TREE_NODE_MAX = 63,   /* entries of a node */
    ORDER_TREE_MERGE_MAX = 31,  /* neighbours with no more than this together become one */
    ORDER_TREE_HEIGHT_MAX = 16, /* levels of inner nodes */
};

/* The name of an item: compared where scores are equal. */
typedef struct slice (*order_name_fn)(const void *item);

struct order_pair {
    double score;
    void *item;
};

struct order_node;

struct order_tree {
    struct order_node *root; /* NULL when empty */
    uint64_t count;
    uint64_t memory_bytes; /* of all nodes */
    unsigned height;       /* levels of inner nodes; 0 when the root is a leaf */
    order_name_fn name;
};

/* A place in the order, valid until the tree changes. `pair` is NULL at the end, where rank is the
 * number of items; only `pair` and `rank` are for the owner to read. */
struct order_cursor {
    const struct order_tree *tree;
    const struct order_node *leaf;
    const struct order_pair *pair;
    uint64_t rank;
};

/* Where to stand relative to what is sought: before all that is not below it, or after all that
 * equals it. So a range begins by ORDER_AT if its lower bound belongs to it, else by ORDER_AFTER;
 * it ends, exclusively, at the rank found by ORDER_AFTER if its upper bound belongs to it, else by
 * ORDER_AT. */
enum order_side { ORDER_AT, ORDER_AFTER };

/* ---- lifecycle ---- */

/* An empty tree; takes no memory. */
void order_tree_init(struct order_tree *tree, order_name_fn name);
/* Frees the nodes; the items stay the caller's. The tree is empty then and may be used again. */
void order_tree_deinit(struct order_tree *tree);
/* Fills an empty tree with pairs that rise strictly. O(count), and nearly all nodes are full. */
void order_tree_build(struct order_tree *tree, const struct order_pair *pairs, uint64_t count);

/* ---- reads, each O(log n) ---- */

/* The rank of the item with this score and name, from 0; false when there is none. */
bool order_tree_rank(const struct order_tree *tree, double score, struct slice name,
                     uint64_t *rank);
/* The pair at `rank`, or NULL when rank is not below the count. Valid until the tree changes. */
const struct order_pair *order_tree_at(const struct order_tree *tree, uint64_t rank);
/* The first item at or after (score, name), or after it. */
struct order_cursor order_tree_seek(const struct order_tree *tree, double score, struct slice name,
                                    enum order_side side);
/* The first item whose score is at least `score`, or above it. */
struct order_cursor order_tree_seek_score(const struct order_tree *tree, double score,
                                          enum order_side side);
/* The first item whose name is at least `name`, or above it, in a tree where names rise as items
 * do: because all scores are equal, or otherwise. Where they do not, some item or the end. */
struct order_cursor order_tree_seek_name(const struct order_tree *tree, struct slice name,
                                         enum order_side side);
/* The item at `rank`; the end when rank is not below the count. */
struct order_cursor order_tree_seek_rank(const struct order_tree *tree, uint64_t rank);

/* To the next item, or to the end from the last one. Not to be called at the end. */
void order_cursor_next(struct order_cursor *cursor);
/* To the item before, from the end to the last one; false, with nothing moved, at the first. */
bool order_cursor_previous(struct order_cursor *cursor);

/* ---- changes, each O(log n) ---- */

/* Adds an item; none with its score and name may be there. */
void order_tree_insert(struct order_tree *tree, double score, void *item);
/* Takes the item with this score and name out and returns it; NULL when there is none. `name` may
 * be the item's own, and the item must still be readable. */
void *order_tree_remove(struct order_tree *tree, double score, struct slice name);
/* Puts `item` in the place of the one with this score and name, which is returned: for an item
 * that moves. The old one must still be readable, so free it afterwards. NULL, with nothing
 * changed, when there is none. */
void *order_tree_replace(struct order_tree *tree, double score, struct slice name, void *item);
/* The same for an item that is known to be there under this score and name: it is told by its
 * address and need not be readable any more. */
void *order_tree_remove_known(struct order_tree *tree, double score, struct slice name,
                              const void *item);
void *order_tree_replace_known(struct order_tree *tree, double score, struct slice name,
                               const void *old, void *item);

typedef void (*order_visit_fn)(void *item, double score, void *udata);

/* Takes out the items with ranks in [from, to), clipped to the count, in O(k + log n), and calls
 * `visit`, unless NULL, for each in order; it may free the item but not touch the tree. Returns how
 * many went. */
uint64_t order_tree_remove_ranks(struct order_tree *tree, uint64_t from, uint64_t to,
                                 order_visit_fn visit, void *udata);

/* ---- introspection ---- */

/* Bytes of all nodes, as the allocator counts them. */
static inline uint64_t order_tree_memory_bytes(const struct order_tree *tree) {
    return tree->memory_bytes;
}
/* Walks everything and asserts I1 to I4. */
void order_tree_check(const struct order_tree *tree);

#endif
