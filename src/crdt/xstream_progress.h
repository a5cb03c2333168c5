/* SPDX-License-Identifier: BSD-3-Clause */
/* What of a stream a group has delivered.
 *
 * On a lone node entries come in the order of their ids, and one id says it all: what is at or
 * below the last one was delivered. In a mesh an entry of another node may arrive behind entries
 * with greater ids. But the entries of one origin (a replica's; xstream.h says which an entry has)
 * arrive everywhere in the order of their ids, since nobody adds one below what he has seen. So one
 * id for each origin does, and a floor for those that are not told:
 *
 *   delivered(entry) = entry.id <= floor, or entry.id <= reached[entry.origin]
 *
 * Joining two takes the greater floor and the greater id of each origin: it is commutative,
 * associative and idempotent, and what one of both delivered, the joined one has. So whatever nodes
 * read at the same time, nothing is skipped, and nothing comes twice but what two of them took.
 *
 * The value of a group's element holds it behind a count (xstream.h): varints, and nothing at all
 * where the floor is the id in the element's name and no origin is beyond, as on a lone node:
 *
 *   floor: ms | sequence | (origin | ms | sequence)..., by rising origin, which ends where it falls
 *
 * Origins are as many as replicas wrote to the stream, and every start of a node in a mesh makes
 * one. Of more than XSTREAM_PROGRESS_ORIGINS_MAX those that can write no more are folded: the floor
 * rises over what they reached. It stays below everything that can still arrive, but for what a
 * node brings that was away until it was forgotten, and wrote before that many other replicas. */
#ifndef CRDT_XSTREAM_PROGRESS_H
#define CRDT_XSTREAM_PROGRESS_H

#include "base/buffer.h"
#include "crdt/xstream.h"

enum {
    XSTREAM_PROGRESS_ORIGINS_MAX = 64,
    /* No writer tells more, since no more can write; what a value has beyond is not read. */
    XSTREAM_PROGRESS_TAKEN_MAX = 8192,
};

struct xstream_reached {
    uint64_t origin;
    struct xstream_id id;
};

/* A zeroed struct is that of a group which has delivered nothing. */
struct xstream_progress {
    struct xstream_id floor;
    struct buffer reached; /* struct xstream_reached by origin, all above the floor */
    size_t fold_at;        /* not before so many are there; 0: XSTREAM_PROGRESS_ORIGINS_MAX */
};

void xstream_progress_deinit(struct xstream_progress *progress);
/* Joins what an element of a group says: the id of its name, and its value from behind the count
 * on. What makes no sense there counts as absent. */
void xstream_progress_join(struct xstream_progress *progress, struct xstream_id last_id,
                           struct slice value);
/* Appends what xstream_progress_join() reads. */
void xstream_progress_put(struct buffer *out, const struct xstream_progress *progress);
/* Does an element with that id say all of it by its name? */
bool xstream_progress_is_plain(const struct xstream_progress *progress, struct xstream_id last_id);

/* Was that entry delivered? */
bool xstream_progress_has(const struct xstream_progress *progress, uint64_t origin,
                          struct xstream_id id);
/* Has it delivered all that `other` has? */
bool xstream_progress_covers(const struct xstream_progress *progress,
                             const struct xstream_progress *other);

/* Notes that all of the origin up to that id is delivered. */
void xstream_progress_reach(struct xstream_progress *progress, uint64_t origin,
                            struct xstream_id id);
/* Notes that all up to that id is, whatever may come. */
void xstream_progress_raise_floor(struct xstream_progress *progress, struct xstream_id id);
/* Are there so many origins that some should be folded? */
bool xstream_progress_is_full(const struct xstream_progress *progress);
/* Folds the oldest of those that `can_write` denies. Whatever is here, up to `id`, is delivered. */
void xstream_progress_fold(struct xstream_progress *progress, struct xstream_id id,
                           bool (*can_write)(void *udata, uint64_t origin), void *udata);

/* Asserts that origins rise and ids are above the floor. */
void xstream_progress_check(const struct xstream_progress *progress);

#endif
