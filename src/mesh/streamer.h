/* SPDX-License-Identifier: BSD-3-Clause */
/* The streamer: stream records out to peers, and in from them.
 *
 * Out: each link has one reader of the log, a set of wanted replicas (those of this node, and what
 * the peer subscribed to) and, for each of them, the ticks up to which the peer has it or was sent
 * it. A turn reads on while the link's output has room, so a peer that does not read costs nothing
 * but its place in the log. Waiting records are coalesced (crdt/coalesce.h).
 *
 * In: a record that continues its author's stream, and whose marks are covered, is applied at once.
 * One whose marks are not covered waits in its author's queue, while records of other authors pass
 * it: the records that it waits for may come behind it on the same link, so a queue for each link
 * could wait for itself. What waits too long is asked for, where the record came from, since its
 * sender has it by definition.
 *
 * A record about which questions have to be asked (ASK) waits in the same way, for the answers of
 * whom it came from, or of somebody else who has it. Few are under way at a time.
 *
 * Relays are pulled: a replica whose author has no link that delivers it is subscribed to at one
 * linked peer that is ahead, another one when nothing moves, and no longer when the author does.
 *
 * Invariants:
 *   I1  sent_ticks of a wanted replica is at most what the log has of it, and every record between
 *       the peer's ticks and sent_ticks went into the link's output, or the stream will be placed
 *       anew before anything is sent (state STREAM_SEEK).
 *   I2  The records of an author's queue follow on one another without a gap.
 *   I3  What waits in all queues is at most settings.max_waiting_bytes. */
#ifndef MESH_STREAMER_H
#define MESH_STREAMER_H

#include "base/buffer.h"
#include "crdt/context.h"

struct mesh;
struct mesh_link;
struct streamer_out;
struct waiting_record;

/* What a link knows of one replica; by the local slot. */
struct link_slot {
    uint64_t ref;                /* a slot that was recycled begins anew */
    uint64_t sent_ticks;         /* what the peer has, or was sent */
    uint64_t acknowledged_ticks; /* what the peer said it has: CONTEXT, ACK, SUBSCRIBE, DIGEST */
    uint64_t asked_us;           /* when it was last asked for this replica; 0: not */
    bool is_wanted;              /* the peer subscribed to it */
    bool is_placed;              /* so it was placed, and none of its records were left out since */
    bool is_subscribed;          /* we did */
    bool is_introduced;          /* the peer was told of it */
};

enum link_stream_state {
    STREAM_OFF,  /* the peer takes no records: before CONTEXT, or it joins */
    STREAM_SEEK, /* to be placed before it is read */
    STREAM_READING,
    STREAM_LOST /* the log does not reach back: the peer was told */
};

/* Of one link. */
struct link_stream {
    enum link_stream_state state;
    void *reader; /* of the log */
    struct link_slot *slots;
    unsigned slots_count;
    bool is_waiting;       /* for the disk */
    bool is_behind;        /* the last push left records unread */
    bool is_ack_missed;    /* an ACK was not sent for want of room: all is told later */
    uint64_t asked_ticks;  /* of this node's records, up to which the peer was asked for an ACK */
    struct buffer blocked; /* DATA payloads, each with its length, that came while data were BUSY */
    size_t blocked_start;
    uint64_t retry_us; /* of a LOST stream: when to look again */
};

/* One author, as seen from here; by slot. */
struct stream_author {
    uint64_t ref;
    struct waiting_record *first, *last; /* its queue */
    uint64_t waiting_since_us;           /* of the first; 0: none */
    uint64_t missing_ref, missing_ticks; /* what the first waits for ... */
    bool is_asking;                      /* ... if not for answers: */
    bool is_answered;                    /* or it is to be asked again */
    struct mesh_link *asked;             /* NULL: nobody */
    struct buffer questions;             /* each with its length ... */
    size_t questions_start;              /* ... of those that are not sent yet */
    unsigned questions_open, asked_rounds;
    bool is_dropped;         /* records were dropped: to be asked for again */
    uint64_t received_ticks; /* as it was at moved_us */
    uint64_t moved_us;       /* when received_ticks last moved, or was first missed */
    bool has_relay;          /* a link's is_subscribed may be set */
    unsigned stalled_rounds; /* gossip rounds in which somebody was ahead, no move */
};

/* Of the mesh. */
struct streamer {
    struct stream_author *authors;
    unsigned authors_count;
    size_t waiting_bytes, waiting_records;
    uint64_t *told_ticks; /* by slot: what ACKs have told of my context */
    unsigned told_count;
    bool is_paused;           /* streamer_pause() */
    bool is_busy;             /* the data have no room: nothing is taken before the next tick */
    bool has_moved;           /* something was applied since the last ACK */
    uint64_t acknowledged_us; /* when that was */
    bool has_blocked;         /* a link's `blocked` may not be empty */
    bool has_dropped;         /* an author's is_dropped may be set */
    bool wants_push;          /* a link's stream may have more, though the log has not moved */
    struct streamer_out *out; /* of streamer_out.c */
};

void streamer_init(struct mesh *mesh);
void streamer_deinit(struct mesh *mesh);

/* ---- links ---- */

/* The entry of a slot, made when it is new. Valid until another slot is looked up. */
struct link_slot *streamer_slot(struct mesh_link *link, unsigned slot);
/* The peer told its whole context (CONTEXT): it is streamed to from there. */
void streamer_peer_context(struct mesh_link *link, const struct context *context);
void streamer_link_closed(struct mesh_link *link);

/* ---- frames; false: they make no sense ---- */

bool streamer_data_frame(struct mesh_link *link, struct slice payload);
bool streamer_ack_frame(struct mesh_link *link, struct slice payload);
bool streamer_subscribe_frame(struct mesh_link *link, struct slice payload);
bool streamer_unsubscribe_frame(struct mesh_link *link, struct slice payload);
bool streamer_lost_frame(struct mesh_link *link, struct slice payload);
bool streamer_ask_frame(struct mesh_link *link, struct slice payload);
bool streamer_answer_frame(struct mesh_link *link, struct slice payload);

/* ---- turns ---- */

/* After the input of a turn: applies what waited and can go, asks for what is missing, ACKs, though
 * not too often. */
void streamer_run(struct mesh *mesh);
/* Somebody asks: ACKs now what is not told yet. */
void streamer_acknowledge(struct mesh *mesh);
/* After how long streamer_run() has to be called for an ACK that is due then; UINT64_MAX: none. */
uint64_t streamer_ack_wait_us(const struct mesh *mesh);
/* Asks the peers that have not acknowledged all that they were sent of this node's records. */
void streamer_ask_for_acks(struct mesh *mesh);
/* Moves new records of the log into the links' output (streamer_out.c). */
void streamer_push(struct mesh *mesh);
/* On each tick; the second for each link, less often. */
void streamer_tick(struct mesh *mesh);
void streamer_tick_link(struct mesh_link *link);
/* Each gossip interval: subscribes where records are missing, and stops where the author delivers.
 */
void streamer_relay_round(struct mesh *mesh);

/* ---- for catch-up and mesh.c ---- */

/* Records are not taken for now: all peers are told to send none, what waits is dropped. */
void streamer_pause(struct mesh *mesh);
/* After streamer_pause(), or whenever the context has moved by other ways than records: tells all
 * peers the whole context, they stream from there. */
void streamer_resume(struct mesh *mesh);
/* Records of this link's peer begin to be wanted again, from its context: after it was LOST and
 * then found to have what it needs. */
void streamer_restart_link(struct mesh_link *link);
/* Drops records of the node's lives before `generation` that came too early: it may have begun to
 * make them again. Who has applied them delivers them, if they are still wanted. */
void streamer_drop_early(struct mesh *mesh, const uint8_t *node_id, uint64_t generation);
/* The slot was, or is to be, recycled: nothing of it stays. */
void streamer_forget_slot(struct mesh *mesh, unsigned slot);

/* ---- between streamer.c and streamer_out.c ---- */

struct streamer_out *streamer_out_new(struct mesh *mesh);
void streamer_out_free(struct streamer_out *out);
/* Each gossip round: if nothing was sent since the one before, buffers are given back. */
void streamer_out_rest(struct streamer_out *out);
/* The stream is to be placed anew before it is read on. */
void streamer_out_seek(struct mesh_link *link);
/* Is the stream on its way to the replica's records above `ticks`, since it was placed with them
 * and has not come to its end? Then it need not be placed anew for them. */
bool streamer_out_comes_to(struct mesh_link *link, unsigned slot, uint64_t ticks);
void streamer_out_stop(struct mesh_link *link);

#endif
