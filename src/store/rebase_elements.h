/* SPDX-License-Identifier: BSD-3-Clause */
/* Rebasing collections, element by element (rebase.h).
 *
 *   here, unknown to the mesh                SET
 *   here and there, the mesh's was seen      SET
 *   here and there, each unseen by the other the greater stamp: SET if it is ours
 *   not here, the mesh's was seen            DELETE: it was removed here
 *
 * Counters, and whatever else is more than a plain register, are compared as keys are
 * (rebase_compare.h): copies of both sides lie under the element's name in stores aside. */
#ifndef STORE_REBASE_ELEMENTS_H
#define STORE_REBASE_ELEMENTS_H

#include "store/sync_state.h"

/* Is one of the entries (either may be NULL) for this file? */
bool rebase_has_elements(const struct entry *here, const struct entry *there);
/* Notes what is to be made again of the elements of `here`, which the mesh has as `there`.
 * False when memory is out. */
bool rebase_elements(struct sync *sync, const struct state_merge *merge, const struct key *key,
                     struct entry *here, struct entry *there);
/* What was noted, made again; false when none is left. */
bool rebase_next_element(struct sync *sync);
void rebase_elements_deinit(struct rebase *rebase);

#endif
