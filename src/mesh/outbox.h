/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes that wait to be sent on one link, in pieces.
 *
 * Most frames are short and for one link: their bytes are copied in. What several links send lies
 * in shared blocks, of which each outbox holds a reference: a frame that was made for all of them,
 * or the memory of the log itself, from where changes are not copied at all.
 *
 *   pieces:  | own bytes | of a shared block | own bytes | ...  */
#ifndef MESH_OUTBOX_H
#define MESH_OUTBOX_H

#include "base/buffer.h"
#include "base/shared_block.h"

/* A frame that is made for several links. Whoever is the only one to have one may change it. */
struct shared_frame {
    struct shared_block shared;
    struct buffer bytes;
};

/* With one reference, the caller's, and no bytes; there is room for `bytes_expected`. */
struct shared_frame *shared_frame_new(size_t bytes_expected);
/* Gives one reference back; the last frees the frame. NULL is let be. */
void shared_frame_release(struct shared_frame *frame);

struct outbox_piece {
    struct shared_block *block; /* NULL: the next bytes of `own` */
    const char *bytes;          /* not sent yet, in the block */
    size_t size;
};

/* A zeroed outbox is a valid empty one without memory. */
struct outbox {
    struct buffer own;         /* bytes that were copied in */
    size_t own_start, own_end; /* of these, the ones that wait */
    /* From first on, in the order in which they are sent. */
    struct outbox_piece *pieces;
    size_t first, count, capacity;
    size_t bytes; /* of all pieces */
};

/* Forgets what waits, and gives all memory back. */
void outbox_deinit(struct outbox *outbox);
/* Where bytes may be appended that outbox_commit() makes part of what waits. */
struct buffer *outbox_own(struct outbox *outbox);
/* What was appended to outbox_own() since the last call waits to be sent. */
void outbox_commit(struct outbox *outbox);
/* All bytes of the frame wait to be sent, too; it takes a reference. */
void outbox_put_frame(struct outbox *outbox, struct shared_frame *frame);
/* The bytes, which lie in the block, wait to be sent, too; it takes a reference. */
void outbox_put_block(struct outbox *outbox, struct shared_block *block, struct slice bytes);
/* The first bytes that wait, as many as lie together: empty when none do. */
struct slice outbox_next(const struct outbox *outbox);
/* The same, and what comes behind it: at most so many pieces; how many there are. */
size_t outbox_pieces(const struct outbox *outbox, struct slice *pieces, size_t pieces_max);
/* So many of these were sent. */
void outbox_sent(struct outbox *outbox, size_t size);

#endif
