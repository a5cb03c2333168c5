/* SPDX-License-Identifier: BSD-3-Clause */
/* A node's part in the mesh: it hands its data to mesh/ (struct mesh_data, from store and log) and
 * its options (struct mesh_settings), gives it its turns, and keeps what operators ask for. */
#ifndef NODE_NODE_MESH_H
#define NODE_NODE_MESH_H

#include "node/node.h"

enum {
    NODE_MESH_PORT_OFFSET = 10000, /* from `port`, where there are seeds and no mesh-port */
    NODE_MESH_CONFLICTS_MAX = 128, /* the newest are kept for MESH CONFLICTS */
    NODE_MESH_CONFLICT_KEY_BYTES_MAX = 256,
};

struct node_mesh;

/* The port that the mesh listens on as options say; 0: no mesh. Above 65535 when there is none left
 * beside `port`. */
unsigned node_mesh_port(const struct options *options);

/* ---- lifecycle ---- */

/* After the log was started: enters the mesh if the options say so. False, with a message, when
 * that is impossible. */
bool node_mesh_start(struct node *node);
void node_mesh_free(struct node *node);
/* Options have changed: false with a reason when the mesh cannot follow. `is_checked_only` only
 * asks. */
bool node_mesh_configure(struct node *node, const struct config_change *changed,
                         bool is_checked_only, struct buffer *error, enum option_id *guilty);

/* ---- a turn; nothing happens when there is no mesh ---- */

void node_mesh_set_time(struct node *node);
void node_mesh_run(struct node *node);
void node_mesh_push(struct node *node);
/* Returns the microseconds until it wants to be called again. */
uint64_t node_mesh_tick(struct node *node);

/* ---- questions ---- */

/* Does the node take over the state of others, so that its own is not to be shown or saved? */
bool node_mesh_is_joining(const struct node *node);
/* Are clients told LOADING: for that reason, or because the node's own files are being read? */
static inline bool node_is_loading(const struct node *node) {
    return node->reading.is_on || node_mesh_is_joining(node);
}
/* Are there fewer live peers than mesh-min-peers-to-write? */
bool node_mesh_lacks_quorum(const struct node *node);
/* Peers that have acknowledged this stamp of this node's own (0: any that are linked). */
unsigned node_mesh_acknowledged_count(const struct node *node, uint64_t stamp);
/* "host:port" that others reach this node by; "" without a mesh. */
const char *node_mesh_address(const struct node *node);

struct node_conflict {
    int64_t unix_ms;
    enum store_conflict kind;
    unsigned db;
    uint64_t winner, loser;                /* stamps ... */
    struct replica_id winner_id, loser_id; /* ... and whose they are; zero when settled */
    size_t key_bytes;                      /* of the whole key, of which `key` has the beginning */
    char key[NODE_MESH_CONFLICT_KEY_BYTES_MAX];
};
/* How many conflicts are kept, and one of them: 0 is the newest. */
size_t node_mesh_conflicts_count(const struct node *node);
const struct node_conflict *node_mesh_conflict(const struct node *node, size_t index);

#endif
