/* SPDX-License-Identifier: BSD-3-Clause */
/* Merging two states of one key, element by element: the rule of sync.h.
 *
 * An element is known by its stamp, in whatever role: settling folds edits into a register, which
 * then has the stamp of one of them. Where one side has a stamp as a register and the other as an
 * edit, the register is the folded form and holds what the other side has in pieces, so it wins;
 * edits of the other side that the folding side had seen are in it.
 *
 * Parts of a counter are known by their replica: of one start, the newer total and the larger
 * observed taking-off count; of two starts, the newer.
 *
 * A stamp whose replica was retired has slot 0 and its ticks alone. It is the same element as one
 * with these ticks and a slot. Whether the other side had seen it cannot be told from a context,
 * but from the lists of retired replicas: where one side has retired a replica that the other one
 * has not seen all of, what is newer than that may be of it. `settled_ticks_here` and
 * `settled_ticks_there` are the ticks up to which all that is settled was seen. */
#ifndef STORE_STATE_MERGE_H
#define STORE_STATE_MERGE_H

#include "store/contested.h"
#include "store/store.h"

struct state_merge {
    struct store *store;             /* whose replicas order stamps */
    const struct context *seen_here; /* CB */
    uint64_t settled_ticks_here;     /* of what is settled there; UINT64_MAX: all was seen here */
    const uint64_t *seen_there;      /* CX, by slot; 0 beyond */
    unsigned seen_there_count;
    uint64_t settled_ticks_there; /* and the other way round */
    bool has_unseen_there;        /* something is settled there that was perhaps not seen here */
    const bool *is_retired_there; /* by slot, STAMP_SLOTS_COUNT */
};

/* Do the stamps name one element? */
bool state_merge_is_same(uint64_t a, uint64_t b);
bool state_merge_has_register(const struct contested *contested, uint64_t stamp);
bool state_merge_has_edit(const struct contested *contested, uint64_t stamp);
bool state_merge_covers_here(const struct state_merge *merge, uint64_t stamp);
bool state_merge_covers_there(const struct state_merge *merge, uint64_t stamp);

enum { STATE_MERGE_STAMPS_MAX = 3 };
/* The stamps of the elements of a compact entry; returns how many. 0 for others, which have to be
 * spelled out. */
unsigned state_merge_stamps(const struct entry *entry, uint64_t stamps[STATE_MERGE_STAMPS_MAX]);

enum state_merge_quick {
    STATE_MERGE_KEEP, /* what is here, if anything */
    STATE_MERGE_TAKE, /* what is there */
    STATE_MERGE_DROP, /* what is here goes, and nothing comes */
    STATE_MERGE_DEEP, /* state_merge_elements() has to look */
};
/* What becomes of two entries of one key, if that can be told at a glance; either may be NULL. */
enum state_merge_quick state_merge_quick(const struct state_merge *merge, const struct entry *here,
                                         const struct entry *there);
/* Do they have the same elements, as far as can be told at a glance? */
bool state_merge_is_equal(const struct entry *a, const struct entry *b);
/* What is retired on one side only was seen by both sides, and looks alike once it is on both:
 * before they are merged. A part only where the other side has the register that it becomes: who is
 * about to retire it may have it above one that the other has not seen. `there`, in the store
 * `staged`, may be NULL. */
void state_merge_retire(const struct state_merge *merge, struct contested *here,
                        struct store *staged, struct contested *there);
/* Merges the elements of `there` (NULL: the key is absent there) into `here`. False when memory is
 * out: `here` may then have a part of them. */
bool state_merge_elements(const struct state_merge *merge, struct contested *here,
                          const struct contested *there);
/* Is each stamp of the entry, of that store, at or below `seen` for its slot? */
bool state_merge_entry_is_covered(const struct store *store, const struct entry *entry,
                                  const uint64_t *seen, unsigned seen_count);

#endif
