/* SPDX-License-Identifier: BSD-3-Clause */
/* For DEBUG RELOAD and LOADAOF: sends the whole store through the codec of snapshots. */
#ifndef NODE_DEBUG_RELOAD_H
#define NODE_DEBUG_RELOAD_H

#include "store/store.h"

/* Encodes all entries, empties the store without recording that, and decodes them again. Anything
 * but STORE_OK means that the codec is wrong, and data is lost. */
enum store_status debug_reload_store(struct store *store) __attribute__((warn_unused_result));

#endif
