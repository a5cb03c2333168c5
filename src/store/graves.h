/* SPDX-License-Identifier: BSD-3-Clause */
/* Graves: the elements of a collection as they lay when a DELETE took all of it off.
 *
 * Such a DELETE leaves ghosts of counters (contested.h) until the frontier has passed it, and there
 * may be millions. So a large collection is buried as it is, in one step: the key gets an empty
 * one, which has the grave. What the DELETE's author may not have seen is given back, if it is
 * known (struct collection_recent); else nothing is buried. A ghost is made when somebody comes to
 * its place (mutate_slot()). Once the frontier has passed the DELETE, what is left goes at once, in
 * the background; if that takes long, the ghosts are made after all, some at a time, since ghosts
 * are what snapshots and other nodes get to see.
 *
 * A collection that is filled and deleted again before has a chain of graves.
 *
 * Invariants:
 *   I1  the name of an element is in its collection, or in one grave of that, never in two of them.
 *   I2  of a grave nothing is visible, and no grave is empty for long: its collection stays for it.
 *   I3  no walk begins, no state is taken over and no slot is retired while there is a grave. */
#ifndef STORE_GRAVES_H
#define STORE_GRAVES_H

#include "crdt/context.h"
#include "store/collection.h"
#include "store/contested.h"

struct grave {
    struct collection *buried; /* no key's any more; walks may be at it */
    struct collection *of;     /* whose ghosts it has */
    uint64_t stamp;            /* of the DELETE */
    int64_t since_ms;
    uint64_t position;             /* where ghosts are made of */
    struct grave *below;           /* an older one of the same collection */
    struct grave *previous, *next; /* of the store */
};

/* May a DELETE bury the collection, if its author had seen most of it? */
bool graves_may_bury(const struct store *store, const struct collection *collection);
/* Buries the collection, which is one of a contested key. Returns the one that is in its place. */
struct collection *graves_bury(struct store *store, struct collection *collection, uint64_t stamp);
/* Puts an element of the newest grave back, as it is: the DELETE's author may not have seen all of
 * it. NULL: there is none with that hash. */
struct entry *graves_give_back(struct store *store, struct collection *collection, uint64_t hash);
/* Makes the ghost of the element at `key`, if it is in a grave. */
void graves_open(struct store *store, const struct key *key);
/* Makes all ghosts. */
void graves_open_all(struct store *store);
/* Makes those of about `elements_max` elements. */
void graves_open_some(struct store *store, uint64_t elements_max);
/* Frees what the frontier has passed, and makes ghosts of what has waited long, of about
 * `elements_max` elements. True when there is nothing more to do now. */
bool graves_settle(struct store *store, const struct context *frontier, uint64_t elements_max);
/* The collection goes, or leaves the store: its graves are forgotten in the store's lists. */
void graves_detach(struct store *store, struct collection *collection);
/* Frees the graves of a collection that is detached; on any thread. */
void graves_free(struct collection *collection);
/* Makes the ghost of an element that lies in a grave. */
void graves_open_element(struct store *store, const struct contested *contested);
/* Is the element one of a grave? */
static inline bool graves_have(const struct contested *contested) {
    return contested->owner != NULL && contested->owner->lies_in != NULL;
}

#endif
