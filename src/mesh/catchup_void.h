/* SPDX-License-Identifier: BSD-3-Clause */
/* What is void (crdt/replica.h), and here: a node that was forgotten has made again what only it
 * and this node knew. The state that has seen the originals is replaced by that of a peer that has
 * not; what this node's log has beyond it is applied to that, as whenever states are taken over,
 * less what is void. Or it is this node's own that others took for gone and made again: what they
 * did not have of it, this node makes again now. */
#ifndef MESH_CATCHUP_VOID_H
#define MESH_CATCHUP_VOID_H

#include "mesh/mesh_state.h"

/* A link whose peer serves parts, and has seen nothing that is void and was seen here; or NULL. */
struct mesh_link *catchup_find_without_void(const struct mesh *mesh);
/* Has the link's peer seen what is void, and this node has not? Then it is the peer that has to
 * take over the state of this one, or of another; whatever it lacks or has settled. */
bool catchup_peer_has_void(const struct mesh_link *link);
/* Tells all peers that have seen what is void which lives are ended, each of them once a second. It
 * is a change of who ended them, too, but one of a stream, which may not come to a peer that has to
 * take over a state before. */
void catchup_tell_ends(struct mesh *mesh);
/* A frame ENDS came. False: it makes no sense. */
bool catchup_ends_frame(struct mesh_link *link, struct slice payload);
/* What this node has seen, less what is void. */
void catchup_own_context(const struct mesh *mesh, struct context *own);

#endif
