/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this room share: the struct behind mesh.h, links, and the frames.
 *
 *   mesh.c        lifecycle, time, gossip, settling, leaving, generations
 *   mesh_view.c   what commands ask: nodes, lags, statistics
 *   dial.c        whom to connect to and when; cuts; refusals that are remembered
 *   membership.c  who the others are, digests, contexts, the frontier (knows no link)
 *   detector.c    phi accrual
 *   link.c        one connection: bytes, frames to their handlers, ends
 *   handshake.c   who is it, and may it stay
 *   streamer.c    records in: waiting, gaps, acknowledgements, relays
 *   streamer_out.c  records out: wanted, sent, coalescing
 *   catchup.c     joining, part by part; catchup_serve.c serves
 *   mesh_check.c  MESH CHECK
 *   broadcast.c   messages for all nodes, kept nowhere
 *
 * A frame's payload, by type (varints unless said otherwise; texts with their length before them;
 * contexts are count | (ref u64, ticks)...):
 *
 *   HELLO        magic "STAR" | protocol major | minor | cluster id text | nonce (32 bytes) |
 *                node id (16) | generation | Unix ms | announce address text | databases |
 *                hash seed (16) | version text | members | keys | flags (1: has a secret,
 *                2: is joining)
 *   AUTH         HMAC-SHA256(secret, role byte | dialler's and acceptor's nonces | node ids
 *                likewise) (32 bytes)
 *   REFUSE       reason | text | generation: with FORGOTTEN, the newest known of the refused node
 *   CONTEXT      Unix ms | count | (node id 16, generation)... | context: sent by both sides once
 *                the handshake is through, the peer may stream from there on; and again whenever
 *                records are to come from there
 *   INTRODUCE    count | (node id 16, generation)...: before a ref's first use on the link
 *   DATA         (record length | record)...: stream records, crdt/stream.h
 *   ACK          context: the entries that moved; not too often, and before each PONG
 *   SUBSCRIBE    count | (ref u64, ticks: what I have)...: send me these authors' records, too
 *   UNSUBSCRIBE  count | ref u64 ...; a count of 0: send no records before my next CONTEXT
 *   DIGEST       Unix ms | membership_digest_put()
 *   LOST         living nodes | keys | number of a CONTEXT | flags: I cannot serve you by the log
 *   PART_PULL    part | parts count
 *   PART_BEGIN   part | header
 *   PART_DATA    part | bytes
 *   PART_END     part | status byte (done, again)
 *   CHECK_PULL   number | ranges
 *   CHECK        number | context | count | (u64)...
 *   LEAVE        last ticks
 *   PING, PONG   number | Unix ms | flags: I join, compare, have begun to | how much I have seen
 *   BROADCAST    broadcast.h
 *   LAG          changes: so many are here that you have not acknowledged; in gossip rounds
 *   ASK          a question about the DELETE of a stream record: store/amounts.h
 *   ANSWER       the answer, if it is known: likewise
 *   ENDS         count | (ref u64, ticks, made ticks)...: lives that are ended (catchup_void.h)
 *
 * Frames that a handshake has not yet allowed end the link; unknown types after it are skipped, so
 * that a newer minor version may have more of them. */
#ifndef MESH_MESH_STATE_H
#define MESH_MESH_STATE_H

#include "base/codec.h"
#include "base/prng.h"
#include "mesh/broadcast.h"
#include "mesh/catchup.h"
#include "mesh/membership.h"
#include "mesh/mesh.h"
#include "mesh/outbox.h"
#include "mesh/streamer.h"
#include "proto/frame.h"

enum mesh_frame {
    MESH_FRAME_HELLO = 1,
    MESH_FRAME_AUTH,
    MESH_FRAME_REFUSE,
    MESH_FRAME_CONTEXT,
    MESH_FRAME_INTRODUCE,
    MESH_FRAME_DATA,
    MESH_FRAME_ACK,
    MESH_FRAME_SUBSCRIBE,
    MESH_FRAME_UNSUBSCRIBE,
    MESH_FRAME_DIGEST,
    MESH_FRAME_LOST,
    MESH_FRAME_PART_PULL,
    MESH_FRAME_PART_BEGIN,
    MESH_FRAME_PART_DATA,
    MESH_FRAME_PART_END,
    MESH_FRAME_CHECK_PULL,
    MESH_FRAME_CHECK,
    MESH_FRAME_LEAVE,
    MESH_FRAME_PING,
    MESH_FRAME_PONG,
    MESH_FRAME_BROADCAST,
    MESH_FRAME_LAG,
    MESH_FRAME_ENDS,
    MESH_FRAME_ASK,
    MESH_FRAME_ANSWER,
};

/* Flags of LOST: the peer lacks what is settled here; it was forgotten; it lacks what may be
 * settled, and the log brings it; it was put back, so that only its lives from a generation on,
 * which follows, count as forgotten; it has more of a life than is noted here as retired. Its
 * counts are of this side; the number is that of the peer's CONTEXT that it answers. */
enum {
    MESH_LOST_LACKS_SETTLED = 1,
    MESH_LOST_WAS_FORGOTTEN = 2,
    MESH_LOST_LOG_SERVES = 4,
    MESH_LOST_WAS_PUT_BACK = 8,
    MESH_LOST_WAS_RETIRED = 16,
};

enum {
    MESH_NONCE_BYTES = 32,
    MESH_RETIRED_TOLD = 256,           /* the newest retired replicas go with a context */
    MESH_LINK_OUT_BYTES_MAX = 1 << 20, /* of pending output, then streams are not read on */
    /* Of input that waits to be parsed, then the connection is not read. */
    MESH_LINK_IN_BYTES_MAX = 4 << 20,
    MESH_HANDSHAKE_MS = 5000,
    MESH_LINK_SILENCE_MS = 15000, /* no byte for so long: the link is closed */
    MESH_PING_MS = 4000,
    MESH_EARLY_PATIENCE_MS = 500, /* before the missing records are asked for */
    MESH_CLUSTER_BYTES_MAX = 255,
    MESH_CHECK_RANGES = 256,
    MESH_CHECK_RANGES_MAX = 4096,
};

/* Steps of a handshake that were taken: bits of mesh_link.handshake. */
enum {
    HANDSHAKE_HELLO_SENT = 1,
    HANDSHAKE_HELLO_TAKEN = 2,
    HANDSHAKE_AUTH_SENT = 4,
    HANDSHAKE_AUTH_TAKEN = 8,
    HANDSHAKE_CONTEXT_SENT = 16,
    HANDSHAKE_CONTEXT_TAKEN = 32,
};

struct mesh_dial;

struct mesh_link {
    struct mesh *mesh;
    struct mesh_link *next, *previous;
    void *connection;
    enum mesh_link_state state;
    bool is_dialled;   /* by this side */
    bool is_opened;    /* there is a connection, or was */
    bool is_closing;   /* closed at the end of the turn */
    bool is_gone;      /* the host closed it: freed at the end of the turn */
    bool wants_send;   /* host.send() was called */
    bool wants_digest; /* it came up since the last gossip round */
    bool has_input;    /* in mesh->input_first */
    struct mesh_link *next_input;
    enum mesh_reason reason;
    char address[MESH_ADDRESS_BYTES]; /* dialled, or where it came from */
    struct mesh_dial *dial;           /* that it came of, or NULL */
    struct member *member;            /* once the other side's HELLO was accepted */

    /* From the other side's HELLO. */
    struct replica_id peer;
    char peer_address[MESH_ADDRESS_BYTES]; /* that it announces */
    char peer_version[32];
    const char *detail;               /* of a refusal, while it is noted; or NULL */
    uint64_t peer_members, peer_keys; /* also from LOST */
    uint64_t told_members, told_keys; /* what the peer was told of this node, likewise */
    uint64_t peer_seed[2];
    bool peer_is_joining, peer_is_rebasing;
    uint64_t contexts_sent, contexts_taken;
    bool peer_was_retired;   /* likewise: it has more of a life than is noted here as retired */
    bool was_retired;        /* the peer said so of this node, or that it had forgotten it */
    bool peer_was_forgotten; /* it was settled without it, and it may have written meanwhile */
    bool peer_is_behind;     /* it has written nothing, and must not before it has caught up */
    /* The generation from which on the peer's lives owe something here, and ours there, as it said;
     * what those before wrote is taken. 0: nothing is, or nothing is owed. admission.h */
    uint64_t peer_owes_from, owes_from;
    bool peer_lacks_retired; /* it has not seen all of a replica that has no slot here any more */

    uint8_t nonce[MESH_NONCE_BYTES], peer_nonce[MESH_NONCE_BYTES];
    unsigned handshake; /* bits */
    uint64_t opened_us, heard_us, sent_us;
    size_t leave_out_bytes;        /* to be sent until the peer was told that this node leaves */
    uint64_t asked_us;             /* when the last step of the handshake went out */
    uint64_t ping_number, ping_us; /* the newest, and when it went out; 0: answered */
    uint64_t next_ping_us;
    uint64_t digest_us;     /* when the newest digest went out */
    uint64_t round_trip_us; /* the last one */
    unsigned round_trips_count;
    uint64_t round_trip_min_us; /* what the network takes, without busy ends; 0: not known */
    int64_t clock_offset_ms;
    int64_t lag_told, lag_heard; /* in changes: told to the peer, and by it; or MESH_LAG_UNKNOWN */
    struct frame_reader in;
    struct outbox out;
    uint64_t moved_in_bytes, moved_out_bytes; /* since the last gossip round */
    struct buffer large;                      /* a DATA payload that goes out in pieces */
    size_t large_start;
    bool is_large_begun;
    struct link_stream stream;   /* streamer.h */
    struct link_catchup catchup; /* catchup.h */
    struct link_broadcast broadcast;
};

struct mesh {
    struct mesh_host host;
    struct mesh_data data;
    struct mesh_opts opts;         /* generation: the present one */
    struct mesh_settings settings; /* with copies of the strings */
    struct membership membership;
    struct streamer streamer;
    struct catchup catchup;
    struct broadcast broadcast;
    struct mesh_link *links;
    unsigned links_count;
    /* Most turns are about one link of many: what concerns it is noted, so that the others need
     * not be looked at. */
    struct mesh_link *input_first, *input_last; /* bytes came that were not looked at yet */
    unsigned closing_count;                     /* links that are closing */
    bool has_digest_wishes;                     /* a link's wants_digest may be set */
    uint64_t next_links_us;                     /* when timeouts and dials are looked at again */
    struct prng prng;
    int64_t unix_ms;
    uint64_t monotonic_us;
    uint64_t next_gossip_us;
    unsigned answers_left; /* digests that may still be answered in this round */
    struct context frontier;
    /* What a peer has to have seen that is new here, and wrote: the frontier, and what had been
     * settled here before this node took over a state in which it may not be. */
    struct context floor;
    unsigned retiring_slot; /* 0: none; what has begun is carried through */
    uint64_t retiring_ref;
    uint64_t *slot_refs; /* as they were when the table of replicas was last looked at */
    unsigned slot_refs_count;
    uint64_t slots_version;
    struct mesh_stats stats;  /* the counters of it */
    struct mesh_dials *dials; /* dial.c */
    struct mesh_check *check; /* a running MESH CHECK: mesh_check.c */
    uint64_t nonces_count;
    uint64_t generation_wanted; /* a new generation is due, at least this */
    uint64_t generation_us;     /* not to be tried before */
    unsigned depth; /* of calls into this room: links are freed at the end of the outermost */
    struct membership_opts member_opts;
    bool has_started; /* the time is known */
    bool is_leaving;
    bool is_admitted;   /* this life has caught up with somebody: admission.h */
    bool was_forgotten; /* peers forgot the last life: what only it knew is to be issued again */
    bool had_quorum;
};

/* ---- link.c ---- */

/* A part of a payload, and the block in which it lies. */
struct link_piece {
    struct shared_block *block;
    struct slice bytes;
};

struct mesh_link *link_new(struct mesh *mesh, const char *address, bool is_dialled);
/* Appends a frame to the link's output and asks the host to send. */
void link_send(struct mesh_link *link, enum mesh_frame type, struct slice payload);
/* The same for a payload that several links send: it lies in `frame` behind room for a header, and
 * is made a frame there, once, for all links that do not pack it. A long one is referred to, and
 * must not be changed while it has other references than the caller's. Not longer than
 * settings.max_frame_bytes; the type is the same each time. */
void link_send_shared(struct mesh_link *link, enum mesh_frame type, struct shared_frame *frame,
                      bool *is_sealed);
/* The same for a payload that lies in blocks which outlive this turn; they are referred to.
 * `header` has FRAME_HEADER_BYTES. */
void link_send_pieces(struct mesh_link *link, enum mesh_frame type, char *header, bool *is_sealed,
                      const struct link_piece *pieces, size_t count);
/* Appends the first piece of a long payload, which loses it; true while more is left. Until then no
 * other payload of this type may be sent. */
bool link_send_piece(struct mesh_link *link, enum mesh_frame type, struct slice *rest);
/* Goes on with link->large while there is room; true when none of it is left. */
bool link_send_large(struct mesh_link *link);
size_t link_out_bytes(const struct mesh_link *link);
/* Ends the link at the end of the turn, for a reason; a REFUSE frame goes out first if `tells`. */
void link_close(struct mesh_link *link, enum mesh_reason reason, bool tells);
/* Makes sure that the other side knows the replica in `slot`; and every one in the table. */
void link_introduce(struct mesh_link *link, unsigned slot);
void link_introduce_all(struct mesh_link *link);
/* Asks for a digest of its own on the next tick. */
static inline void link_want_digest(struct mesh_link *link) {
    link->wants_digest = link->mesh->has_digest_wishes = true;
}
/* A digest came: in a large mesh it is answered, so that who has few links hears enough. */
void mesh_answer_digest(struct mesh_link *link);
/* Parses and handles what came in. */
void links_run(struct mesh *mesh);
void link_tick(struct mesh_link *link);
/* Each gossip round: a link that moved little since the one before needs no buffers. */
void link_rest(struct mesh_link *link);
/* Asks for a PONG, which follows an ACK of all that the peer has by then. */
void link_ping(struct mesh_link *link);
static inline bool link_is_up(const struct mesh_link *link) {
    return link->state == MESH_LINK_UP && !link->is_closing && !link->is_gone;
}
/* The link of a member that is up, or NULL. */
struct mesh_link *mesh_find_link(const struct mesh *mesh, const struct member *member);
void link_note_round_trip(struct mesh_link *link, uint64_t round_trip_us);
/* The clock of the other side, told `unix_ms`, of a message that took up to `transit_us` after
 * the moment `asked_unix_ms`, at which it was asked for. False: too far off, the link closes. */
bool link_check_clock(struct mesh_link *link, int64_t peer_unix_ms, uint64_t round_trip_us);
/* Frees what was closed; called by mesh_leave_call(). */
void mesh_reap_links(struct mesh *mesh);

/* ---- handshake.c ---- */

void handshake_begin(struct mesh_link *link);
/* A HELLO, AUTH, REFUSE or CONTEXT came. False: it makes no sense. */
bool handshake_frame(struct mesh_link *link, unsigned type, struct slice payload);
/* May frames other than these four be taken? */
bool handshake_is_done(const struct mesh_link *link);
/* Sends the whole context (again). */
void handshake_send_context(struct mesh_link *link);

/* ---- dial.c ---- */

void dials_init(struct mesh *mesh);
void dials_deinit(struct mesh *mesh);
void dials_configure(struct mesh *mesh);
void dials_tick(struct mesh *mesh);
/* Are there more members than are linked with? */
bool dials_are_partial(const struct mesh *mesh);
/* The link ended, or was refused: when to try again. */
void dials_link_ended(struct mesh_link *link);
void dials_link_up(struct mesh_link *link);
bool dials_is_cut(const struct mesh *mesh, const char *address);
/* Counts a refusal, says it once for each peer and reason, and remembers it. */
void dials_note_refusal(struct mesh_link *link, enum mesh_reason reason, bool by_peer);
/* The last refusal of that address, NONE when there is none. */
enum mesh_reason dials_refusal(const struct mesh *mesh, const char *address);
void dials_visit_refused(const struct mesh *mesh,
                         void (*visit)(void *udata, const struct mesh_node_info *info),
                         void *udata);

/* ---- mesh_view.c ---- */

/* How many changes are here that the member has not acknowledged, those that it wrote left out. */
uint64_t mesh_lag_changes(const struct mesh *mesh, const struct member *member);

/* ---- mesh_check.c ---- */

bool mesh_check_pull_frame(struct mesh_link *link, struct slice payload);
bool mesh_check_frame(struct mesh_link *link, struct slice payload);
void mesh_check_link_closed(struct mesh_link *link);
void mesh_check_deinit(struct mesh *mesh);

/* ---- mesh.c ---- */

/* Around every call from outside: what happens to links in between is done at the end. */
void mesh_enter(struct mesh *mesh);
void mesh_exit(struct mesh *mesh);
static inline uint64_t mesh_now_ms(const struct mesh *mesh) {
    return mesh->monotonic_us / 1000;
}
/* A replica of this node is known to others with more than it wrote, or was forgotten by them:
 * this node goes on as a new one, at least `generation`, at the end of the turn. */
void mesh_want_generation(struct mesh *mesh, uint64_t generation);
/* The slot of a replica that was introduced; 0: it is retired, or there is no room. */
unsigned mesh_learn_replica(struct mesh *mesh, const struct replica_id *id);
/* Is this replica, by slot, one of this node's lives? */
bool mesh_is_own_slot(const struct mesh *mesh, unsigned slot);

/* Appends and reads contexts as frames have them; reading adds nothing to the table: entries of
 * unknown refs are skipped and counted in *unknown. */
void mesh_put_context(struct buffer *out, const struct replicas *replicas,
                      const struct context *context);
bool mesh_take_context(struct slice *bytes, const struct replicas *replicas,
                       struct context *context, unsigned *unknown);
/* One entry of it: its stamp, or 0 for a ref without a slot, unknown or retired. */
bool mesh_take_seen(struct slice *bytes, const struct replicas *replicas, uint64_t *stamp,
                    bool *is_unknown);
void mesh_say(struct mesh *mesh, enum mesh_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
