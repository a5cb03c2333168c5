/* SPDX-License-Identifier: BSD-3-Clause */
/* Rebasing: the mesh's state is taken as it is, and what this node knows beyond it is made again as
 * new changes (sync.h).
 *
 * What that is, is found key by key. Merging the entry here, less what its author delivers himself,
 * with the mesh's shows what there would be if nothing had been forgotten. Where that is what the
 * mesh shows, there is nothing to do: its other side may have been superseded, or be known. Else:
 *
 *   the key would be gone                   DELETE
 *   integers on the same register           INCREMENT by the difference: what others add meanwhile
 *                                           and what they add later both count
 *   the value would be the same             EXPIRE
 *   patches on the same register            PATCH, each of them
 *   anything else                           SET, with the expiry
 *
 * A part of a counter that the mesh has seen the beginning of but no longer has (it was taken off,
 * or folded) tells its total and not how much of it is new. The log of this node does, if it
 * reaches back to the total that the mesh saw (counter_history.h). Where the part was folded into a
 * register that both have otherwise, the difference of the registers tells. If the mesh has written
 * nothing to the key that was not seen here, the difference of the values is what is new; else the
 * part is left out and counted as unclear: nothing counts twice, and nothing deleted comes back.
 *
 * What is settled in the mesh and absent here was removed here if it was seen. Where that cannot be
 * told by contexts, the log tells (seen_changes.h); if not, it stays.
 *
 * SET, DELETE and EXPIRE are not made again when the key was written to after the mesh's state was
 * compared: that came later, and is not to be undone. */
#ifndef STORE_REBASE_H
#define STORE_REBASE_H

#include "store/contested.h"
#include "store/store.h"

struct sync;
struct sync_part;
struct rebase_item;
struct rebase_element;

enum { REBASE_ELEMENT_STORES = 3 };

struct rebase {
    struct store aside; /* values to be set, by key */
    bool has_aside;     /* it is in use */
    bool is_kept;       /* some of it was found by a joining before this one */
    /* One element at a time, under its name: here, there, and what merging makes of it. */
    struct store elements[REBASE_ELEMENT_STORES];
    bool has_elements;
    uint64_t newest_ticks; /* of the mesh's entry that is being compared; 0: there is none */
    struct rebase_item *first, *last;
    struct rebase_element *first_element, *last_element; /* rebase_elements.h */
};

struct rebase *rebase_new(void);
void rebase_free(struct rebase *rebase);
/* Decides what is to be made again of the key: `here` is its slot in the store (NULL: absent),
 * `there` the mesh's entry in `staged` (NULL: absent). Then puts the mesh's entry into the store.
 * False when memory is out. `key` outlives the entries. */
bool rebase_key(struct sync *sync, const struct sync_part *part, const struct key *key,
                uint64_t *here, struct store *staged, uint64_t *there);
/* Makes up to `keys_max` of them; true when all are. */
bool rebase_some(struct sync *sync, unsigned keys_max);

#endif
