/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of a node's side of the mesh share: node_mesh.c and node_mesh_join.c. */
#ifndef NODE_NODE_MESH_STATE_H
#define NODE_NODE_MESH_STATE_H

#include "log/log_stream.h"
#include "node/history_read.h"
#include "node/node_mesh.h"
#include "store/receive.h"
#include "store/sync.h"

struct node_mesh {
    struct receiver receiver;
    struct sync *sync;      /* while the node joins */
    bool has_finished_sync; /* all parts are in: records are taken */
    bool is_sync_anew;      /* the one before has left something in the store, or to make again */
    enum mesh_join mode;
    bool is_log_suspended;
    bool has_failed_to_resume;    /* that was said */
    struct log_stream *rehearsal; /* the own log is read, before anything here is replaced ... */
    bool is_rehearsed;            /* ... and it has all that is to be applied to the parts */
    struct amounts remembered;    /* what its untold DELETEs took off, as long as that is here */
    struct node_replay *replay;   /* the own log is applied to the parts */
    unsigned unsound_count;       /* begun anew, since parts did not agree: sync_is_sound() */
    struct history_read
        *history;            /* or it is read, before the parts are compared with what is here */
    struct context frontier; /* that settling goes up to */
    bool settles;            /* there is more to settle below it */
    uint64_t late_us; /* when a late record was last applied, and no snapshot has been asked for
                         since; 0: none (is_late() in node_mesh.c) */
    unsigned retired_slot; /* being retired; 0: none */
    uint64_t retired_us;   /* when that was last asked for */
    uint64_t next_slice_us;
    uint64_t served_us, next_serve_us; /* when the last slice for joining peers ended */
    uint64_t served_requests;          /* how many had been executed then */
    uint64_t pushed_version;           /* of the log's streams when they were last pushed */
    uint64_t pushed_us;                /* when that was */
    uint64_t pushed_requests;          /* how many had been executed then */
    bool has_unpushed;                 /* there is more, and it waits for PUSH_GAP_US to be over */
    int64_t busy_told_ms;
    struct buffer address;
    struct node_conflict *conflicts; /* a ring of NODE_MESH_CONFLICTS_MAX */
    size_t conflicts_count, conflicts_next;
};

/* Applying the own log to the state that was taken over. */
struct node_replay {
    struct log_stream *stream;
    struct context
        before;          /* what this node had seen, and what the mesh is told until it has again */
    struct context from; /* what all parts have seen */
    /* That were applied, each behind the number of its changes and its length: the log begins with
     * them. */
    struct buffer records;
    bool is_cut;           /* too many to be kept */
    bool is_out_of_memory; /* that was said */
};

/* Own changes so far become a record, before anything else is applied. */
static inline void node_mesh_collect(struct node *node) {
    store_end_unit(&node->store);
    log_collect(node->log);
}

/* ---- node_mesh_join.c ---- */

/* The functions of serving parts and of joining. */
void node_mesh_join_fill(struct mesh_data *data);
/* While the own log is applied to what was taken over: keeps a record that was applied, which so
 * many changes of were new, for the log that begins with them. */
void node_mesh_join_keep(struct node *node, struct slice record, uint64_t changes);
/* Ends whatever is under way, without its end. */
void node_mesh_join_free(struct node_mesh *data);

#endif
