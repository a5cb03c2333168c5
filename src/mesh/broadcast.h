/* SPDX-License-Identifier: BSD-3-Clause */
/* Broadcasts: bytes for every node, kept nowhere.
 *
 * Each node gets a broadcast at most once. Its origin sends it to every link; what a node gets for
 * the first time it passes on to its other links only if the origin said that it has no link with
 * somebody who lives. So in a mesh of whole links a broadcast is one frame for each peer, and in
 * one of partial or cut links at most two for each link. A broadcast is known by its origin's
 * replica and a number of that; of each origin the newest BROADCAST_WINDOW numbers are remembered,
 * and older ones count as known.
 *
 * Nothing waits for a broadcast. Where a link's output is full it is dropped, and counted. One that
 * is longer than a frame goes out piece by piece, as there is room, while others wait behind it.
 *
 * A frame's payload: (origin's ref u64 | number (varint) | flags byte | bytes with their length)...
 */
#ifndef MESH_BROADCAST_H
#define MESH_BROADCAST_H

#include "base/buffer.h"

struct mesh;
struct mesh_link;

enum {
    BROADCAST_WINDOW = 4096,
    BROADCAST_BYTES_MAX = 64 << 20,        /* longer ones go to nobody */
    BROADCAST_WAITING_BYTES_MAX = 1 << 20, /* in a link, behind one that goes out in pieces */
};

/* The numbers that came from one replica: the newest, and which of those before it. */
struct broadcast_window {
    uint64_t ref; /* 0: nobody's */
    uint64_t newest;
    uint64_t seen[BROADCAST_WINDOW / 64]; /* a ring of bits */
};

/* Notes the number; false when it came before, or is too old to say. */
bool broadcast_window_add(struct broadcast_window *window, uint64_t number);

struct broadcast {
    uint64_t number;                   /* of this node's last one */
    struct buffer batch;               /* this node's own since the last push: a payload */
    uint64_t batch_count;              /* broadcasts in it */
    size_t waiting_count;              /* payloads in the queues of all links */
    bool is_relayed;                   /* there was somebody without a link when it began */
    struct buffer relay;               /* scratch */
    struct broadcast_window **windows; /* by slot; NULL where nothing came */
    unsigned windows_count;
};

struct broadcast_payload;

/* What waits in a link: the first one goes out in pieces. */
struct link_broadcast {
    struct broadcast_payload **queue;
    size_t count, capacity;
    size_t waiting_bytes; /* of all but the first */
    size_t sent;          /* of the first */
    bool is_begun;
};

void broadcast_deinit(struct mesh *mesh);
void broadcast_link_closed(struct mesh_link *link);
/* A BROADCAST frame came. False: it makes no sense. */
bool broadcast_frame(struct mesh_link *link, struct slice payload);
/* Sends what came since the last call, and goes on with what waits. After the records of this turn:
 * who hears of a write by a message shall have the write. */
void broadcast_push(struct mesh *mesh);

#endif
