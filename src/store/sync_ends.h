/* SPDX-License-Identifier: BSD-3-Clause */
/* Joining, and what is void (crdt/replica.h): what is made again by whom. */
#ifndef STORE_SYNC_ENDS_H
#define STORE_SYNC_ENDS_H

#include "store/sync_state.h"

/* Did this node write what is void, and nobody has made again? It has to do so itself. */
bool sync_has_unmade(const struct sync *sync);
/* Was something seen here that is void? Merging would take it for good. */
bool sync_has_void(const struct sync *sync);
/* What the mesh lacks and this node makes again is void from now on as it was, here; elsewhere when
 * they hear of it. */
void sync_note_ends(struct sync *sync);
/* Tells the mesh; before that which is made again. */
void sync_tell_ends(struct sync *sync);

#endif
