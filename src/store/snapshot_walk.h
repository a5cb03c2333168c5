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
 * Collections with many elements go out in pieces, if the walk's owner takes these: see
 * snapshot_elements.h. So neither a step nor a write in front of the walk has to encode much.
 *
 * FLUSHALL, FLUSHDB and SWAPDB end a walk before its time: `is_cancelled` is set, and its owner
 * begins anew. */
#ifndef STORE_SNAPSHOT_WALK_H
#define STORE_SNAPSHOT_WALK_H

#include "store/store.h"

/* Gets each entry once, with the number of its database (keyspace.number, not the index). May not
 * change the store. */
typedef void (*snapshot_emit_fn)(void *udata, unsigned db, const struct entry *entry);
/* Gets a piece of state (state.h) of an entry that goes out in pieces; they come in the order in
 * which they are to be loaded, mixed with those of other entries. */
typedef void (*snapshot_piece_fn)(void *udata, struct slice piece, bool is_first);

struct snapshot_elements;

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
    snapshot_piece_fn piece; /* NULL: collections are emitted as a whole, however large */
    void *udata;
    /* Collections that go out in pieces: some of it is still to come, or just to be remembered. */
    struct snapshot_elements *open, *ended;
    uint64_t work; /* done so far, about as many small entries or elements */
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
/* At the beginning: large collections are wanted in pieces. */
void snapshot_walk_take_pieces(struct snapshot_walk *walk, snapshot_piece_fn piece);
/* Goes on for as much as `work_min` small entries, or elements, or to the end; true when it is
 * through or cancelled. */
bool snapshot_walk_step(struct snapshot_walk *walk, unsigned work_min);
/* Detaches from the store, done or not. */
void snapshot_walk_end(struct snapshot_walk *walk);

/* Called by mutators before they change or remove an entry of the database at index `db`: tells all
 * walks of the store, of which `walk` is the first. */
void snapshot_walk_before_change(struct snapshot_walk *walk, unsigned db, uint64_t hash,
                                 const struct entry *entry);
/* Ends all of them before their time, and lets go of what they keep: whole databases are about to
 * go or to swap. */
void snapshot_walk_cancel_all(struct snapshot_walk *walk);

#endif
