/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes that wait to be sent on one link, in pieces.
 *
 * Most frames are short and for one link: their bytes are copied in. What several links send is a
 * shared frame, of which each outbox holds a reference, so that a change is copied once for all
 * peers and stays in the processor's cache meanwhile.
 *
 *   pieces:  | own bytes | shared frame | own bytes | ...  */
#ifndef MESH_OUTBOX_H
#define MESH_OUTBOX_H

#include "base/buffer.h"

/* A frame with its references counted. Whoever is the only one to have one may change it. */
struct shared_frame {
    unsigned references;
    struct buffer bytes;
};

/* With one reference, the caller's, and no bytes; there is room for `bytes_expected`. */
struct shared_frame *shared_frame_new(size_t bytes_expected);
/* Gives one reference back; the last frees the frame. NULL is let be. */
void shared_frame_release(struct shared_frame *frame);

struct outbox_piece {
    struct shared_frame *frame; /* NULL: the next bytes of `own` */
    size_t size;                /* not sent yet */
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
/* The first bytes that wait, as many as lie together: empty when none do. */
struct slice outbox_next(const struct outbox *outbox);
/* So many of outbox_next() were sent. */
void outbox_sent(struct outbox *outbox, size_t size);

#endif
