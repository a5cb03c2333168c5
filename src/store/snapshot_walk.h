/* SPDX-License-Identifier: BSD-3-Clause */
/* A walk over the store, or over the keys of a range of hashes, that yields their exact state at
 * one moment, without fork. Several walks may go on at once.
 *
 * The walk visits the databases in order and each table by rising hash, some entries at a time.
 * Invariant: every entry that was there when the walk began, and has not been changed or removed
 * since, is still ahead of it or was emitted. A write to a key ahead of the walk first emits the
 * entry as it was (snapshot_walk_before_change). Whether an entry is from before the walk is read
 * off its stamps: they are covered by the context at the beginning. So nothing is marked, nothing
 * is copied unless written to, and each key is emitted exactly once.
 *
 * FLUSHALL, FLUSHDB and SWAPDB end a walk before its time: `is_cancelled` is set, and its owner
 * begins anew. */
#ifndef STORE_SNAPSHOT_WALK_H
#define STORE_SNAPSHOT_WALK_H

#include "store/store.h"

/* Gets each entry once, with the number of its database (keyspace.number, not the index). May not
 * change the store. */
typedef void (*snapshot_emit_fn)(void *udata, unsigned db, const struct entry *entry);

struct snapshot_walk {
    struct store *store;
    struct snapshot_walk *next; /* another one over the same store */
    struct context context;     /* of the moment it shows */
    uint64_t ticks;             /* of the clock at that moment */
    uint64_t first, last;       /* hashes of the keys that belong to it, inclusive */
    unsigned db;                /* index */
    uint64_t position;          /* hash from which on the database's table is still to come */
    bool is_done;
    bool is_cancelled;
    snapshot_emit_fn emit;
    void *udata;
    uint64_t emitted_count;
    uint64_t handed_over_count; /* of these, emitted ahead because of a write */
    /* The last of those: what has not changed since is not emitted again. */
    unsigned told_db;
    uint64_t told_hash, told_stamp;
};

/* Begins a walk over all. The struct stays where it is until snapshot_walk_end(). */
void snapshot_walk_begin(struct snapshot_walk *walk, struct store *store, snapshot_emit_fn emit,
                         void *udata);
/* Begins a walk over the keys with hashes from `first` to `last`, both included. */
void snapshot_walk_begin_range(struct snapshot_walk *walk, struct store *store, uint64_t first,
                               uint64_t last, snapshot_emit_fn emit, void *udata);
/* Goes on for at least `entries_min` entries or to the end; true when it is through or cancelled.
 */
bool snapshot_walk_step(struct snapshot_walk *walk, unsigned entries_min);
/* Detaches from the store, done or not. */
void snapshot_walk_end(struct snapshot_walk *walk);

/* Called by mutators before they change or remove an entry of the database at index `db`: tells all
 * walks of the store, of which `walk` is the first. */
void snapshot_walk_before_change(struct snapshot_walk *walk, unsigned db, uint64_t hash,
                                 const struct entry *entry);
/* Ends all of them before their time: whole databases are about to go or to swap. */
void snapshot_walk_cancel_all(struct snapshot_walk *walk);

#endif
