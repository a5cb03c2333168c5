/* SPDX-License-Identifier: BSD-3-Clause */
/* Catching up by a snapshot: joining and serving, part by part.
 *
 * The state is cut into parts by hash. A joiner pulls parts from all linked peers that are ready,
 * one at a time from each; what a broken link leaves undone is pulled from somebody else. Each part
 * comes with the context it shows. */
#ifndef MESH_CATCHUP_H
#define MESH_CATCHUP_H

#include "base/buffer.h"

struct mesh;
struct mesh_link;

enum { CATCHUP_PARTS = 256 };

/* Of one link. */
struct link_catchup {
    bool is_pulling; /* a part was asked for here */
    unsigned pulled_part;
    uint64_t pulled_us; /* when its last bytes came */
    void *served;       /* the walk of a part that goes out, or NULL */
    unsigned served_part;
};

enum catchup_state { CATCHUP_IDLE, CATCHUP_WAITING, CATCHUP_PULLING, CATCHUP_ADVANCING };

struct catchup {
    enum catchup_state state;
    bool rebases;
    bool is_seed_shared; /* parts by hash, from several peers */
    unsigned parts_count, parts_done;
    uint8_t *part_states;     /* 0 open, 1 under way, 2 done */
    struct mesh_link *source; /* the only one, where seeds differ */
    uint64_t started_us;
};

/* The link's peer cannot be served by, or cannot serve us from, its log: decides who joins. */
void catchup_consider(struct mesh *mesh, struct mesh_link *link, uint64_t peer_members,
                      uint64_t peer_keys, bool is_forgotten);
/* A PART_* frame came. False: it makes no sense. */
bool catchup_frame(struct mesh_link *link, unsigned type, struct slice payload);
void catchup_link_closed(struct mesh_link *link);
/* Serves more of the parts that go out, while links have room; pulls what is to be pulled. */
void catchup_run(struct mesh *mesh);
void catchup_tick(struct mesh *mesh);
void catchup_deinit(struct mesh *mesh);

#endif
