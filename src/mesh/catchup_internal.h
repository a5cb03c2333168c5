/* SPDX-License-Identifier: BSD-3-Clause */
/* Catching up, between the files that do it: catchup.h. */
#ifndef MESH_CATCHUP_INTERNAL_H
#define MESH_CATCHUP_INTERNAL_H

#include "mesh/mesh_state.h"

/* ---- catchup_decide.c: who joins, and whose state will do ---- */

/* What the link's peer has seen, less what is void. */
void catchup_seen_context(const struct mesh_link *link, struct context *seen);
/* Has this node seen all of that? What it has retired and has a slot again, since a snapshot of
 * before or a peer named it, was seen, too: no log brings that any more. */
bool catchup_has_seen(struct mesh *mesh, const struct context *wanted);
/* Has this node written what the peer has not seen, in lives of this generation or later? */
bool catchup_has_unsent(const struct mesh_link *link, uint64_t generation);
/* All that any of the linked peers has seen, those that are joining left out if so wanted. */
void catchup_seen_by_links(struct mesh *mesh, bool has_joining, struct context *all);
/* Below 0: this node has less to give than the peer, whose LOST told of it. */
int catchup_compare_with_peer(const struct mesh_link *link);
/* The same by what the two have told each other last: the peer comes to the opposite result. */
int catchup_compare_as_told(const struct mesh_link *link);

/* ---- catchup_join.c: from the decision to the end ---- */

/* Waits until what the peers have now is here: WAITING. */
void catchup_begin_waiting(struct mesh *mesh);
/* From here on only who has seen all of `needed` is asked for parts; or all of `of_one`, which may
 * be NULL, once nobody has been there for long who has that. */
void catchup_need(struct catchup *catchup, const struct context *needed,
                  const struct context *of_one);
/* Nobody has it: what is needed is `of_one`, or nothing. */
void catchup_need_less(struct catchup *catchup);
/* Anybody is asked. */
void catchup_need_nothing(struct catchup *catchup);
/* Pulls a state, in that way, from the first part on. A life whose own changes are going to be made
 * again ends. */
void catchup_begin(struct mesh *mesh, enum mesh_join mode);
/* Notes, or forgets, that this node owes it: catchup_owes_comparing(). */
void catchup_owe_comparing(struct mesh *mesh, bool owes);
/* They would hear by the next ping that this node joins no more, or compares: that is later than
 * the next of them stops joining, or begins. */
void catchup_tell_peers(struct mesh *mesh);
/* Parts came, but what they lack cannot be had from those who are asked: they are pulled again.
 * What rebasing has kept aside stays. */
void catchup_begin_anew(struct mesh *mesh);
/* Likewise, and nobody has it. What parts showed of it is in the state here: merging would leave it
 * there, and whoever pulls that state would refuse what it has not seen. */
void catchup_begin_without(struct mesh *mesh);
/* All parts are in. */
void catchup_finish_parts(struct mesh *mesh);
/* Is what the parts showed here by now? Then the node is ready. */
void catchup_try_to_end(struct mesh *mesh);
/* Goes on with what it has. */
void catchup_stop_joining(struct mesh *mesh);
/* False: what has begun has to go on. */
bool catchup_cancel_sync(struct mesh *mesh);
/* Forgets the joining. */
void catchup_become_ready(struct mesh *mesh);
double catchup_seconds_since(const struct mesh *mesh, uint64_t started_us);

/* ---- catchup_parts.c: pulling parts ---- */

/* Has the link's peer what this node joins for? */
bool catchup_has_needed(const struct mesh_link *link);
/* One to each link in turn, as long as any wants more. */
void catchup_hand_out_parts(struct mesh *mesh);
/* Whatever was asked for on the link and has not come is open again; the peer may be told. */
void catchup_give_up_parts(struct mesh_link *link, bool tells);
/* The peers whose parts fit have become joiners themselves, or are gone, and those that are ready
 * cut their parts by another seed: it is begun anew, by theirs. */
bool catchup_must_change_seed(const struct mesh *mesh);

/* ---- catchup_rebase.c: when to compare ---- */

/* Has the link's peer all that any living member has of this node's lives? Who rebases compares
 * with what the peer has; what another one has beyond would be made again and come by streams, too.
 * They tell each other. One that rebases itself has not heard of it by then. And where the peer
 * takes what lives before wrote, has it all that is here of those? */
bool catchup_knows_own_lives(const struct mesh *mesh, const struct mesh_link *link);
/* A node that was forgotten has time: others may be coming back with it, and have records of its
 * that the peers lack. What is compared before they told so would be made again, and come, too. But
 * peers may each lack what another one has, and not take it: that is not waited for forever. Nor is
 * who has died: a minute. */
bool catchup_may_compare(const struct mesh *mesh, const struct mesh_link *link);
/* Was this node put back, so that what its lives wrote before is taken by the linked peers as it
 * is, and has it written nothing since? Then it is merged, under the stamps that it has, where no
 * log brings it to them. Made again it would be something that nobody has seen: what others had
 * seen and deleted would be there again. */
bool catchup_is_put_back(const struct mesh *mesh);

#endif
