/* SPDX-License-Identifier: BSD-3-Clause */
/* Serving parts of the state to peers that join: catchup.h. What one peer asks for is served in
 * that order, one part at a time; parts show the state of when their turn comes. */
#ifndef MESH_CATCHUP_SERVE_H
#define MESH_CATCHUP_SERVE_H

#include "mesh/mesh_state.h"

/* Status byte of PART_END. */
enum catchup_end {
    CATCHUP_END_DONE = 0,
    CATCHUP_END_AGAIN = 1,
    CATCHUP_END_JOINING = 2, /* the peer has nothing to give yet */
};

/* Begins a frame about a part, in catchup.frame. */
struct buffer *catchup_frame_begin(struct mesh *mesh, uint64_t part);
/* A PART_PULL came. False: it makes no sense. */
bool catchup_pull_frame(struct mesh_link *link, struct slice payload);
/* Forgets what the peer asked for, and says nothing. */
void catchup_stop_serving(struct mesh_link *link);
/* This node joins: tells all peers that wait for parts. */
void catchup_serve_nobody(struct mesh *mesh);
/* Begins with parts that wait since they could not be opened. */
void catchup_serve_waiting(struct mesh *mesh);

#endif
