/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of an entry as bytes, for snapshots and for sending whole entries: everything that the
 * entry knows, stamps included, so that decoding gives an equal entry.
 *
 *   kind byte (bits 0-4 entry kind, 5 expiry, 6 expiry stamp, 7 edited) | database (varint) |
 *   stamp (8 bytes) | access (3 bytes) | [expiry ms (8)] | [expiry stamp (8)] | key | body
 *
 * Key and bytes carry a length (varint). Numbers are little endian; floats are text (%La). A LARGE
 * value is its size and its bytes; one that is longer than CHANGE_VALUE_BYTES_MAX is cut into
 * parts: see state_encode(). Databases go by their numbers; the order of all of them is a piece of
 * its own. The body of a CONTESTED entry is in state_elements.h, those of PACKED and COLLECTION
 * ones in state_collection.h.
 *
 * Stamps have the slots of the node that wrote the state: another one translates them. */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include "store/store.h"

/* Appends the state of `entry`, of the database with number `db` of that store, to `out`. A very
 * large value is appended in several pieces, each of which state_load() takes by itself and in
 * order; `flush(udata)` is called between them so that the caller can write `out` away and clear
 * it. */
void state_encode(struct buffer *out, const struct store *store, unsigned db,
                  const struct entry *entry, void (*flush)(void *udata), void *udata);
/* The same without the elements of its collections, of which batches are to follow at once. */
void state_encode_head(struct buffer *out, const struct store *store, unsigned db,
                       const struct entry *entry, void (*flush)(void *udata), void *udata);
/* Appends the order of the databases; nothing while they are as they were numbered. */
void state_encode_order(struct buffer *out, const struct store *store);

/* ---- reading ---- */

enum state_piece_kind {
    STATE_PIECE_ENTRY, /* a key, as far as the piece goes */
    STATE_PIECE_PART,  /* more of a large value that an earlier piece began */
    STATE_PIECE_ORDER, /* the order of the databases */
};

/* A piece of state, read but not put anywhere. Slices point into the bytes it was read from. */
struct state_piece {
    enum state_piece_kind kind;
    unsigned db; /* number of the database, below the store's count: ENTRY, PART */
    struct slice key;
    struct entry *entry; /* ENTRY: belongs to the caller, entry_free() */
    bool goes_on;        /* ENTRY: its value lacks what later pieces bring */
    uint64_t offset;     /* PART: of a long value's bytes */
    struct slice bytes;
    bool has_elements; /* PART: `bytes` are elements of a contested entry */
    bool has_batch;    /* and then a batch of a collection's */
    /* PART: `bytes` are elements of a collection of this type (state_collection.h) */
    enum value_type type;
    bool is_large; /* of that collection */
    const struct store *store;
    const uint16_t *slots;
    uint64_t order_stamp; /* ORDER: for databases_take_order() */
    struct slice order;
};

/* Reads one piece from the front of `bytes`, which it skips. What a CONTESTED entry shows is not
 * computed; contested_close() does that, in a table. `slots` has the local slot of each
 * foreign one (STAMP_SLOTS_COUNT of them, 0 for unknown ones, [0] is not looked at); NULL: they are
 * the same. Nothing is noted as seen. MALFORMED, with `bytes` as they were, when they are not state
 * (or a stamp has an unknown slot); OUT_OF_MEMORY likewise. */
enum store_status state_decode(const struct store *store, const uint16_t *slots,
                               struct slice *bytes, struct state_piece *piece);
/* Puts a PART into the entry that it belongs to. `*goes_on`: more are to come. MALFORMED when it
 * does not fit, OUT_OF_MEMORY: the entry stays what it is for entry_free(), but is of no use. */
enum store_status state_add_part(struct entry *entry, const struct state_piece *part,
                                 bool *goes_on);
/* Reads one piece that this node wrote and puts it into the store: the key must be new, or (for a
 * later part of a large value) begun. MALFORMED, with the store as it was, when the bytes are not
 * state; OUT_OF_MEMORY likewise. The stamps are noted as seen. */
enum store_status state_load(struct store *store, struct slice *bytes);

#endif
