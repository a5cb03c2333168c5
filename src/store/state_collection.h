/* SPDX-License-Identifier: BSD-3-Clause */
/* Collections as state (state.h): packed ones in their entry's body, others in pieces of their own.
 *
 *   body of PACKED:      type byte | count (varint) | element...
 *   element:             name | value (of a hash) or score (8 bytes, of a sorted set) | stamp (8)
 *   batch of elements:   type byte | flags byte (1: more batches follow in pieces, 2: is_large) |
 *                        length (4 bytes) | state of at least one element, as of keys
 *   body of COLLECTION:  batch
 *   later pieces:        kind byte 28 | database (varint) | key | batch
 *
 * A batch has about STATE_COLLECTION_BYTES, or one element that is larger. In a contested entry
 * that has collections a batch follows its elements, which end with byte 14 (state_elements.h).
 * What came of a key so far is sound without the rest. */
#ifndef STORE_STATE_COLLECTION_H
#define STORE_STATE_COLLECTION_H

#include "store/collection.h"
#include "store/state.h"

enum { STATE_COLLECTION_PIECE = 28, STATE_COLLECTION_BYTES = 64 << 10 };

void state_put_packed(struct buffer *out, const struct store *store, struct slice packed);
/* Reads the body of a PACKED entry, appending it to `packed`, with stamps made local by `slots`. */
enum store_status state_take_packed(struct slice *bytes, const struct store *store,
                                    const uint16_t *slots, struct buffer *packed);
/* The first that has elements of those that are linked from `collection` on; NULL: none has. */
const struct collection *state_filled_collection(const struct collection *collection);
/* Elements of one collection on their way out: the first batch right behind what is in `out`, the
 * body of its key so far, the others in pieces of their own. */
struct state_batches {
    struct buffer *out;
    unsigned db;
    struct slice key;
    const struct collection *collection;
    void (*flush)(void *udata); /* before each further piece */
    void *udata;
    size_t bytes_max;      /* of a batch, but for its last element; 0: STATE_COLLECTION_BYTES */
    struct buffer pending; /* elements of the next batch */
    bool is_begun;
};
/* Adds an element to the batch, after putting it away where it has enough. */
void state_batches_add(struct state_batches *batches, const struct entry *element);
/* Puts the batch away, which has an element; `goes_on`: it is not the last. */
void state_batches_put(struct state_batches *batches, bool goes_on);
/* Appends all elements of the collections that are linked from `collection` on: a batch, and then
 * pieces; `flush(udata)` is called before each of these. */
void state_put_collections(struct buffer *out, unsigned db, struct slice key,
                           const struct collection *collection, void (*flush)(void *udata),
                           void *udata);
/* Reads a batch into `piece`: its type, bytes, and whether it goes on. */
enum store_status state_take_batch(struct slice *bytes, struct state_piece *piece);
/* Reads what follows the kind byte of a later piece. */
enum store_status state_take_collection_piece(struct slice *bytes, struct state_piece *piece);
/* Can an entry be an element of a collection of that type? */
bool state_element_is_sound(enum value_type type, const struct entry *element);
/* Puts the elements of the piece into the collection, which has been adopted by nobody: they are
 * not adopted. MALFORMED, or OUT_OF_MEMORY: some may be there. */
enum store_status state_add_elements(struct collection *collection,
                                     const struct state_piece *piece);

#endif
