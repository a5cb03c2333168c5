/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of an entry as bytes, for snapshots and for sending whole entries: everything that the
 * entry knows, stamps included, so that decoding gives an equal entry.
 *
 *   kind byte (bits 0-4 entry kind, 5 expiry, 6 expiry stamp, 7 edited) | database (varint) |
 *   stamp (8 bytes) | access (3 bytes) | [expiry ms (8)] | [expiry stamp (8)] | key | body
 *
 * Key and bytes carry a length (varint). Numbers are little endian; floats are text (%La). A LARGE
 * value is its size and its bytes; one that is longer than CHANGE_VALUE_BYTES_MAX is cut into
 * parts: see state_encode(). */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include "store/store.h"

/* Called for each piece of encoded state; pieces are at most about CHANGE_VALUE_BYTES_MAX bytes. */
typedef void (*state_piece_fn)(void *udata, struct slice piece);

/* Appends the state of `entry` to `out`. A very large value is appended in several pieces, each of
 * which state_load() takes by itself and in order; `flush(udata)` is called between them so that
 * the caller can write `out` away and clear it. */
void state_encode(struct buffer *out, unsigned db, const struct entry *entry,
                  void (*flush)(void *udata), void *udata);
/* Reads one piece from the front of `bytes`, which it skips, and puts it into the store: the key
 * must be new, or (for a later part of a large value) begun. MALFORMED, with the store as it was,
 * when the bytes are not state; OUT_OF_MEMORY likewise. The stamps are noted as seen. */
enum store_status state_load(struct store *store, struct slice *bytes);

#endif
