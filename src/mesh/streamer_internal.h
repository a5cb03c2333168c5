/* SPDX-License-Identifier: BSD-3-Clause */
/* Records in, between the files that take them: streamer.h. */
#ifndef MESH_STREAMER_INTERNAL_H
#define MESH_STREAMER_INTERNAL_H

#include "mesh/mesh_state.h"
#include "mesh/streamer.h"

/* A record that came too early. */
struct waiting_record {
    struct waiting_record *next;
    struct mesh_link *from; /* NULL: closed since */
    uint64_t last_ticks;
    size_t size;
    char bytes[];
};

static inline struct replicas *streamer_replicas(const struct mesh *mesh) {
    return mesh->data.replicas(mesh->data.udata);
}

/* The last ticks of the author's stream that were taken. */
static inline uint64_t streamer_received_ticks(const struct mesh *mesh, unsigned slot) {
    return mesh->data.received_ticks(mesh->data.udata, slot);
}

/* ---- streamer.c ---- */

/* The entry of a slot, made when it is new. Valid until another slot is looked up. */
struct stream_author *streamer_author(struct mesh *mesh, unsigned slot);
/* Forgets what waits of the author. */
void streamer_drop_queue(struct mesh *mesh, struct stream_author *author);
/* Is the replica a life of the link's peer? */
bool streamer_is_node_of(const struct mesh_link *link, const struct replica *replica);

/* ---- streamer_in.c ---- */

/* Applies what waits and can go. What one record lets go may be what the next waits for. */
void streamer_drain(struct mesh *mesh);
/* Takes the frames that came while the data had no room. */
void streamer_take_blocked(struct mesh *mesh);

/* ---- streamer_ask.c ---- */

/* Asks for a replica's records from `ticks` on, unless that was done just now. */
void streamer_subscribe(struct mesh_link *link, unsigned slot, uint64_t ticks);
/* What waits too long is asked for, where the record came from. */
void streamer_ask_for_missing(struct mesh *mesh);
/* Asks what the author's first waiting record needs: whom it came from, or somebody else. */
void streamer_ask_questions(struct mesh *mesh, unsigned slot);
/* What it waits for, if anything, is no answer any more. */
void streamer_stop_asking(struct stream_author *author);
/* Authors of whom something was dropped are asked for again once there is room. */
void streamer_ask_for_dropped(struct mesh *mesh);

#endif
