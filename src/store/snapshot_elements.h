/* SPDX-License-Identifier: BSD-3-Clause */
/* The elements of one large collection, as a snapshot walk shows them: some at a time.
 *
 * A collection with many elements is not emitted at once. Its key is noted as emitted, with all
 * that it has beside the elements, when the walk comes to it or a write is about to change anything
 * of it. From then on the elements are walked as the keys are: those of a table by rising hash,
 * those of a list or stream by name. They go out in batches, as pieces of state
 * (state_collection.h); the first one has the key's head in front, the last one says that it is the
 * last.
 *
 * Invariants:
 *   I1  an element that was there when the snapshot walk began and has not been changed or removed
 *       since is ahead of the place that this walk has come to, or was told.
 *   I2  each is told once. Whoever changes or removes one that is ahead has it told first, as it
 *       was, and its name is kept: it may stay as it is after all.
 *   I3  elements that came or changed later are told by their stamps, as keys are, and left out.
 *   I4  a batch waits until the next element comes, so that the last one is never empty.
 *
 * A collection whose key goes meanwhile stays until it was told, out of everybody's reach. */
#ifndef STORE_SNAPSHOT_ELEMENTS_H
#define STORE_SNAPSHOT_ELEMENTS_H

#include "store/collection.h"
#include "store/contested.h"
#include "store/snapshot_walk.h"
#include "store/state_collection.h"

struct snapshot_elements {
    struct snapshot_walk *walk;
    struct collection *collection;
    struct snapshot_elements *next_of_collection; /* of another walk */
    struct snapshot_elements *previous, *next;    /* in the walk's list, open or ended */
    bool is_ahead; /* a write came before the walk: the key must not be emitted when that does */
    bool has_ended;
    bool has_piece;     /* one went out */
    uint64_t position;  /* hash from which on elements of the table are still to come */
    struct buffer name; /* LIST, STREAM: the last one that was passed */
    bool has_name;
    struct buffer key;
    struct buffer out; /* the next piece */
    struct state_batches batches;
    struct table told; /* names of elements told ahead of the walk */
    bool has_told;
};

/* Has the entry a collection that the walk wants to have in pieces? NULL: none. */
struct collection *snapshot_elements_wanted(const struct snapshot_walk *walk,
                                            const struct entry *entry);
/* Is, or was, the entry told in pieces by this walk? */
bool snapshot_elements_have(const struct snapshot_walk *walk, const struct entry *entry);
/* Begins with that collection of the entry, which is in the database with number `db`. */
void snapshot_elements_begin(struct snapshot_walk *walk, unsigned db, const struct entry *entry,
                             struct collection *collection, bool is_ahead);
/* Goes on for a few elements; frees it after the last one, if it is not to be remembered. */
void snapshot_elements_step(struct snapshot_elements *elements);
/* Before the element of that name changes, or goes: tells all walks of its collection. */
void snapshot_elements_before(struct collection *collection, struct slice name);
/* The collection is about to be freed. True: a walk needs it still, and frees it later. */
bool snapshot_elements_keep(struct collection *collection);
/* Forgets all of the walk's. */
void snapshot_elements_drop_all(struct snapshot_walk *walk);

#endif
