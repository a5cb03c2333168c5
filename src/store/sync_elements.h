/* SPDX-License-Identifier: BSD-3-Clause */
/* Merging the collections of one key, element by element, as sync.h says of keys. */
#ifndef STORE_SYNC_ELEMENTS_H
#define STORE_SYNC_ELEMENTS_H

#include "store/sync_state.h"

/* Merges the collections of `there` (NULL: the key is absent there), which is in `staged`, into
 * those of `here`, in the database at index `db`. False when memory is out. */
bool sync_merge_collections(const struct state_merge *merge, unsigned db, struct contested *here,
                            struct store *staged, struct contested *there);

#endif
