/* SPDX-License-Identifier: BSD-3-Clause */
/* Rebasing collections, element by element (rebase.h).
 *
 *   here, unknown to the mesh                SET, or for a counter ADD of what is shown
 *   here and there, the mesh's was seen      SET, or ADD of the difference of numbers
 *   here and there, each unseen by the other the greater stamp: SET if it is ours
 *   not here, the mesh's was seen            DELETE: it was removed here
 *
 * A counter that the mesh has seen the beginning of tells its total and not how much of it is new:
 * it is left out and counted as unclear. */
#ifndef STORE_REBASE_ELEMENTS_H
#define STORE_REBASE_ELEMENTS_H

#include "store/sync_state.h"

/* Is one of the entries (either may be NULL) for this file? */
bool rebase_has_elements(const struct entry *here, const struct entry *there);
/* Notes what is to be made again of the elements of `here`, which the mesh has as `there`.
 * `is_ours` tells whether a change with that stamp is this node's to make again. */
void rebase_elements(struct sync *sync, const struct state_merge *merge, const struct key *key,
                     struct entry *here, struct entry *there,
                     bool (*is_ours)(const struct sync *sync, uint64_t stamp));
/* What was noted, made again; false when none is left. */
bool rebase_next_element(struct sync *sync);
void rebase_elements_deinit(struct rebase *rebase);

#endif
