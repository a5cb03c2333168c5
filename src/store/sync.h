/* SPDX-License-Identifier: BSD-3-Clause */
/* Joining: taking over the state of the mesh in parts (part.h). What only the joiner knows is dealt
 * with in one of three ways, enum sync_mode:
 *
 * TAKE, the usual one. The joiner's log reaches back to what the parts show. Each part replaces
 * what is here, as it is. When all are in, sync_finish() sets the context to the minimum of the
 * parts' contexts, and the records of the log above that are applied, as any record is. So
 * nothing has to be merged but by the one rule of all merging: what the mesh has not seen it has
 * not settled either. What was here before stays in the log, and in `seen`, until that is done.
 *
 * MERGE. Neither side's log reaches back to what the other one has. For each key of a part it is
 * decided element by element (state_merge.h); CX is the context of the part, CB that of the joiner:
 *
 *   in both                              stays (as one; a folded form wins)
 *   only here, covered by CX             goes: the peer saw it, and it was removed
 *   only here, not covered by CX         stays: the peer has never seen it
 *   only there, covered by CB            not added: it was seen here, and removed
 *   only there, not covered by CB        added
 *
 * REBASE. The joiner was forgotten: the mesh has settled things that its changes had not seen. Its
 * state is dropped for the mesh's, key by key; where merging would have shown something else, that
 * difference is kept aside, and made once more as ordinary new changes when the store has caught
 * up: sync_reissue_some(). The caller begins a new replica first. Whoever has the originals and was
 * out of reach would bring them later, and they would count twice. So what is made again is void as
 * it was: the ends of its replicas go before it, with parts and snapshots, and who has more takes
 * over the state of somebody who has not (store_has_void()). A node whose own life was ended by
 * somebody else, and who has more than he made again, rebases, too.
 *
 * Parts lie aside, whole, until all are here; so it can be begun anew at any time before, in
 * another way, too. A store that has seen nothing at all takes a shorter way: entries go into its
 * tables at once, and out again when the part is interrupted, or all of it (sync_abandon()).
 *
 * Parts that were taken later have seen more: changes that come by the log or by streams afterwards
 * are applied only to keys whose part has not seen them (sync_has_seen()), until the context has
 * caught up with all parts. No snapshot walk may begin before that, since stamps ahead of the
 * context lie in the store; and nobody writes: clients are told LOADING. */
#ifndef STORE_SYNC_H
#define STORE_SYNC_H

#include "store/part.h"
#include "store/store.h"

enum sync_status {
    SYNC_OK,
    SYNC_MALFORMED, /* the bytes make no sense; the part has to be begun anew, no harm was done */
    SYNC_FULL,      /* no slots for more replicas */
    SYNC_OUT_OF_MEMORY,
};

/* When rebasing: what becomes of changes that the mesh lacks, by their author. */
enum sync_fate {
    SYNC_DROP,    /* they come by their author's stream, or somebody else makes them again */
    SYNC_REISSUE, /* this node makes them again */
};
/* The fate of what the mesh lacks of a replica that is not one of this node's own, up to `stamp`:
 * the newest of it that was seen here. */
typedef enum sync_fate (*sync_fate_fn)(void *udata, uint64_t stamp);

struct sync;
struct counter_history;
struct unsent_edits;
struct made_again;
struct made_counters;
struct seen_changes;

/* What becomes of what only this node knows. */
enum sync_mode {
    SYNC_TAKE,   /* its log has all of that: parts are taken as they are, the log is applied to them
                  */
    SYNC_MERGE,  /* it is merged, element by element */
    SYNC_REBASE, /* it is compared, and made again */
};

/* May the store take over this hash seed, or has it already? It takes it: tables are built anew.
 * False while a snapshot walk runs. */
bool sync_take_seed(struct store *store, struct hash_seed seed);

/* Begins to join; sets store->sync. Own changes so far are recorded, no walk runs. `fate` may be
 * NULL: SYNC_DROP for all. */
struct sync *sync_begin(struct store *store, enum sync_mode mode, sync_fate_fn fate, void *udata);
/* It is about to be begun anew: a store that had seen nothing is empty again. */
void sync_abandon(struct sync *sync);
/* It is begun anew: what rebasing kept aside is to be made again all the same. `before`, whose
 * store is joined by `sync` now, is freed next. */
void sync_keep_rebase(struct sync *sync, struct sync *before);
/* Likewise. What `before` has put into the store shows more than the store's context: where it is
 * not replaced, which merging does not, that has to be caught up with, too. */
void sync_keep_goal(struct sync *sync, const struct sync *before);
/* A part begins, or begins again. All parts have one `parts_count`. */
enum sync_status sync_part_begin(struct sync *sync, unsigned part, unsigned parts_count,
                                 struct slice header);
/* More of its data, cut anywhere. */
enum sync_status sync_part_data(struct sync *sync, unsigned part, struct slice bytes);
/* Its data are through: it is merged. */
enum sync_status sync_part_end(struct sync *sync, unsigned part);
/* How many parts are merged. */
unsigned sync_parts_done(const struct sync *sync);
/* Not when rebasing: may the part that has begun be taken, or merged? Not where the sender has not
 * seen all of a replica that is retired here, or has retired one that it had not seen all of.
 * `*context` is what the part shows. */
bool sync_part_fits(const struct sync *sync, unsigned part, struct context *context);
/* Does the part that has begun show what is void (crdt/replica.h)? Then it is not to be had. */
bool sync_part_has_void(const struct sync *sync, unsigned part);
/* All parts are in. False when some show what was found void later; or, when rebasing, when they
 * do not agree on what they have of a replica that is made again: then it has to be begun anew. */
bool sync_is_sound(struct sync *sync);
/* All parts are in. What all of them show. */
void sync_shown_context(const struct sync *sync, struct context *shown);
/* All parts are in. Up to which ticks all of them show the replica in `slot`; false: they differ.
 */
bool sync_shown_ticks(const struct sync *sync, unsigned slot, uint64_t *ticks);
/* When rebasing: does this node make again what the mesh lacks of the replica in `slot`? */
bool sync_makes_again(const struct sync *sync, unsigned slot);
/* All parts are in. Had the replica in slot `author` seen that stamp when it wrote its newest
 * change that all of them show? True where it is not known. */
bool sync_author_has_seen(const struct sync *sync, unsigned author, uint64_t stamp);
/* As sync_shown_ticks(), or up to where somebody else has made it again. */
bool sync_known_ticks(const struct sync *sync, unsigned slot, uint64_t *ticks);
/* Above which ticks it cannot be told of all that is settled in the parts whether it was seen here;
 * UINT64_MAX: it always can. */
uint64_t sync_unsure_ticks(const struct sync *sync);
/* When rebasing, before sync_merge_some(): what the log says. What counters were at the ticks that
 * are shown, which changes were seen above sync_unsure_ticks() (NULL: not read), and how strings
 * were edited after what is shown, and what others have made again, values and increments
 * (likewise). `sync` owns all of it from now on. */
void sync_set_history(struct sync *sync, struct counter_history *history, struct seen_changes *seen,
                      struct unsent_edits *edits, struct made_again *made,
                      struct made_counters *made_counters);
/* All parts are in: merges or rebases the next one; true when all are. Not before they are all
 * here, so that it can be begun anew as long as one is missing. */
bool sync_merge_some(struct sync *sync);
/* All parts are merged: sets the context, marks, the clock and the order of databases. With TAKE,
 * records of this node's log that are above the context are to be applied next. */
void sync_finish(struct sync *sync);
/* Has the store seen again all that it had seen before? */
bool sync_is_replayed(const struct sync *sync);
/* The log is through. */
void sync_end_replay(struct sync *sync);

/* After sync_finish(): is the change's effect in the store already, though the context does not
 * cover it yet? For a FLUSH: in all parts; else sync_covers() tells for each key. */
bool sync_has_seen(const struct sync *sync, const struct store *store, const struct change *change);
/* Has the part of the keys with this hash seen `stamp`? */
bool sync_covers(const struct sync *sync, uint64_t hash, uint64_t stamp);
/* What all parts together have seen. */
const struct context *sync_goal(const struct sync *sync);
/* Does the context cover that? */
bool sync_is_caught_up(const struct sync *sync);
/* Makes again, as local changes, what rebasing has kept aside: of at most `keys_max` keys. True
 * when all is done. Only once sync_is_caught_up(). */
bool sync_reissue_some(struct sync *sync, unsigned keys_max);
/* Ends it: store->sync is NULL again. One in which merging had begun and that was not finished
 * leaves the merged parts behind: the store must then be joined again before anybody reads it. */
void sync_free(struct sync *sync);

struct sync_stats {
    uint64_t keys_came;     /* in parts */
    uint64_t keys_merged;   /* that were here and there, and differed */
    uint64_t keys_removed;  /* that the mesh had removed */
    uint64_t keys_reissued; /* differences kept aside by rebasing */
    uint64_t keys_unclear;  /* increments that cannot be told from those known: not made again */
};
void sync_get_stats(const struct sync *sync, struct sync_stats *stats);

#endif
