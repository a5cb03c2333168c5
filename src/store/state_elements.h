/* SPDX-License-Identifier: BSD-3-Clause */
/* The elements of a contested entry (contested.h) as bytes: the body of its state (state.h). For
 * the files of store/ only.
 *
 *   elements: element... | end byte
 *   element:  tag byte | stamp (8 bytes) | by tag
 *
 *   tag            then
 *   1 BYTES        value
 *   2 LARGE        size (varint) | first bytes of the value
 *   3 NUMBER       float
 *   4 PATCH        offset (varint) | bytes
 *   5 RAISE        pairs
 *   6 PART         start ticks (varint) | total, off (zigzag) | off_seen, off_by (8 bytes each)
 *   7 FLOAT_PART   start ticks (varint) | total, off (floats) | off_seen, off_by (8 bytes each)
 *   8 EXPIRY       Unix ms (varint)
 *   9 MORE         offset (varint) | bytes: of the LARGE register with this stamp
 *   10 ABOUT       flags (varint; 1: the edits are in the register's bytes): the last element; the
 *                  ticks of its stamp are the horizon
 *
 * The end byte is 0, or 15 where the elements go on in the next piece, or 14 where collections come
 * in pieces after them. Registers and edits come in the order of their stamps. */
#ifndef STORE_STATE_ELEMENTS_H
#define STORE_STATE_ELEMENTS_H

#include "store/contested.h"

/* Where elements are written, and how a new piece is begun. */
struct state_elements_writer {
    struct buffer *out;
    size_t piece_offset; /* where in `out` the piece begins */
    bool has_elements;   /* in this piece */
    /* Hands on what is in `out`, and appends the head of another piece. */
    void (*next_piece)(struct state_elements_writer *writer);
    unsigned db;
    struct slice key;
    void (*flush)(void *udata);
    void *udata;
};

enum state_elements_end {
    STATE_ELEMENTS_END,
    STATE_ELEMENTS_BATCH, /* a batch of a collection's elements follows */
    STATE_ELEMENTS_GO_ON, /* in the next piece */
};

void state_elements_put(struct state_elements_writer *writer, const struct contested *contested);
/* Reads elements from the front of `bytes`, which it skips, and adds them to `contested`; with
 * NULL it looks only where they end. What is shown
 * is not computed. MALFORMED or OUT_OF_MEMORY: some may have been added. */
enum store_status state_elements_take(const struct store *store, const uint16_t *slots,
                                      struct slice *bytes, struct contested *contested,
                                      enum state_elements_end *end);

#endif
