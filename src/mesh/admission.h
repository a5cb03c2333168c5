/* SPDX-License-Identifier: BSD-3-Clause */
/* Admission: may a peer's new life write?
 *
 * While a node is away, others may settle. What it writes before it has seen that would be taken as
 * if it had: a change that is concurrent with a settled one finds nothing left to be merged with.
 * So a life owes: it has to have seen all that could be settled without it, before its changes are
 * taken here.
 *
 *   - Of a node that this one counted all the time, nothing was settled that it had not claimed to
 *     have seen. Its new life owes its last claim: one that was put back to an old state lacks
 * that.
 *   - Of one that was never heard of: what is settled here. It may have begun alone, and have
 * settled what it wrote then; where two such meet, the one with less to give rebases.
 *   - Of one that had left or was forgotten: whatever anybody had when it came back. What others
 * have settled meanwhile this node had seen, since they waited for it; so what this node has seen
 * then is enough, and a peer that was admitted by another one, which says so in its CONTEXT, need
 * only have seen what is settled here.
 *
 * Who owes and has written what is not here must rebase (LOST, was forgotten); who has written
 * nothing is told to wait until it has what this node has (LOST, log serves; or lacks settled).
 *
 * Of a node that this one counted all the time only lives that began since owe something. What
 * those before wrote had seen what they claimed, and is taken as it would be from others who have
 * it; the node hears so (LOST, was put back) and waits for that before it compares. Made again it
 * would be something that nobody has seen: one who is out of reach just then may have seen what was
 * written first, and deleted it. */
#ifndef MESH_ADMISSION_H
#define MESH_ADMISSION_H

#include "crdt/context.h"
#include "mesh/mesh.h"

struct member;
struct mesh_link;

/* A life of the member begins that was not known: from within membership. `is_new`: nor was the
 * member. */
void admission_note_life(struct mesh *mesh, struct member *member, bool is_new);
/* The peer told its context, which has `unknown` replicas beyond those known here. Sets the link's
 * peer_was_forgotten and peer_is_behind. */
void admission_judge(struct mesh_link *link, const struct context *context, unsigned unknown,
                     bool is_admitted);
/* Is this replica one of the peer's, and must wait until the peer has seen what it owes? */
bool admission_refuses(struct mesh_link *link, unsigned slot);

#endif
