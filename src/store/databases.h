/* SPDX-License-Identifier: BSD-3-Clause */
/* The order of the databases: which one a client finds under which index.
 *
 * A database has a number that never changes; changes and state name it by that. The list of
 * numbers by index is one register, and the last writer wins: SWAPDB exchanges two of the list and
 * writes the whole of it. So what is written at the same time as a swap goes to the database that
 * its writer meant, and two concurrent swaps end in one of two orders everywhere.
 *
 *   order: numbers (varint each), from index 0 on; the databases behind it have their number's
 *          place */
#ifndef STORE_DATABASES_H
#define STORE_DATABASES_H

#include "store/store.h"

/* Appends the present order. */
void databases_put_order(const struct store *store, struct buffer *out);
/* Is it an order of this store's databases? */
bool databases_check_order(const struct store *store, struct slice order);
/* Takes over an order that was checked, written with `stamp`: the greatest stamp wins. */
void databases_take_order(struct store *store, uint64_t stamp, struct slice order);
/* Puts the databases of a store aside into the order of `other`, so that a key has one index. */
void databases_follow_order(struct store *store, const struct store *other);
/* Applies a recorded SWAP; MALFORMED when it has no order. */
enum store_status databases_apply_swap(struct store *store, const struct change *change);

#endif
