/* SPDX-License-Identifier: BSD-3-Clause */
/* Joining, and what is void (crdt/replica.h): what is made again by whom. */
#ifndef STORE_SYNC_ENDS_H
#define STORE_SYNC_ENDS_H

#include "store/sync_state.h"

/* What the mesh lacks and this node makes again is void from now on as it was, here; elsewhere when
 * they hear of it. */
void sync_note_ends(struct sync *sync);
/* Tells the mesh; before that which is made again. */
void sync_tell_ends(struct sync *sync);

#endif
