/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this room share: the struct behind mesh.h, links, and the frames.
 *
 *   mesh.c        lifecycle, ticks, dialling, what commands ask
 *   membership.c  who the others are, digests, contexts, the frontier (knows no link)
 *   detector.h    phi accrual
 *   link.c        one connection: handshake, frames to their handlers, ends
 *   streamer.c    records out (wanted, sent, coalescing) and in (waiting, gaps), acks, relays
 *   catchup.c     joining and serving, part by part
 *
 * A frame's payload, by type (varints unless said otherwise; contexts are count | (ref u64,
 * ticks)...):
 *
 *   HELLO        magic "STAR" | protocol major, minor | cluster id | nonce (32 bytes) | node id
 * (16) | generation | Unix ms | announce address | databases | hash seed (16) | version | members |
 * keys | flags (1: has a secret, 2: is joining) AUTH         HMAC-SHA256(secret, role byte | both
 * nonces | both node ids) (32 bytes) REFUSE       reason byte | text CONTEXT      refs with their
 * ids: count | (node id 16, generation)... | context: sent by both sides once the handshake is
 * through; the peer may stream from there on INTRODUCE    count | (node id 16, generation)...:
 * before a ref's first use on the link DATA         (record length | record)...: stream records,
 * crdt/stream.h ACK          context: the entries that moved SUBSCRIBE    count | (ref u64, ticks:
 * what I have)...: send me these authors' records, too UNSUBSCRIBE  count | ref u64 ... DIGEST
 * membership_digest_put() LOST         context from which my log begins | members | keys: I cannot
 * serve you by the log PART_PULL    part | parts count        PART_BEGIN  part | header PART_DATA
 * part | bytes              PART_END    part | status byte (done, again) CHECK_PULL   number |
 * ranges           CHECK       number | context | (u64)... LEAVE        last ticks PING, PONG
 * number (u64), Unix ms
 *
 * Frames that a handshake has not yet allowed end the link. */
#ifndef MESH_MESH_STATE_H
#define MESH_MESH_STATE_H

#include "base/prng.h"
#include "mesh/catchup.h"
#include "mesh/membership.h"
#include "mesh/mesh.h"
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
};

enum {
    MESH_NONCE_BYTES = 32,
    MESH_LINK_OUT_BYTES_MAX = 1 << 20, /* of pending output, then streams are not read on */
    MESH_HANDSHAKE_MS = 5000,
    MESH_LINK_SILENCE_MS = 15000, /* no byte for so long: the link is closed */
    MESH_EARLY_PATIENCE_MS = 500, /* before the missing records are asked for */
};

struct mesh_link {
    struct mesh *mesh;
    struct mesh_link *next, *previous;
    void *connection;
    enum mesh_link_state state;
    bool is_dialled; /* by this side */
    bool is_closing; /* closed at the end of the turn */
    bool wants_send; /* host.send() was called */
    bool has_input;
    enum mesh_reason reason;
    char address[MESH_ADDRESS_BYTES]; /* dialled, or where it came from */
    struct member *member;            /* once the other side's HELLO was accepted */
    uint8_t nonce[MESH_NONCE_BYTES], peer_nonce[MESH_NONCE_BYTES];
    unsigned handshake; /* bits of frames that came and went: link.c */
    uint64_t opened_us, heard_us, sent_us;
    uint64_t round_trip_us;
    int64_t clock_offset_ms;
    struct frame_reader in;
    struct buffer out;
    size_t out_start;
    bool *is_introduced; /* by slot: refs that this link's other side was told of */
    unsigned introduced_count;
    struct link_stream stream;   /* streamer.h */
    struct link_catchup catchup; /* catchup.h */
};

struct mesh {
    struct mesh_host host;
    struct mesh_data data;
    struct mesh_opts opts;
    struct mesh_settings settings; /* with copies of the strings */
    struct membership membership;
    struct streamer streamer;
    struct catchup catchup;
    struct mesh_link *links;
    struct prng prng;
    int64_t unix_ms;
    uint64_t monotonic_us;
    uint64_t next_gossip_us, next_dial_us;
    struct mesh_stats stats;
    struct mesh_dials *dials; /* seeds, met addresses, cuts: mesh.c */
    struct mesh_check *check; /* a running MESH CHECK: mesh.c */
    bool is_leaving;
};

/* ---- link.c ---- */

/* Appends a frame to the link's output and asks the host to send. */
void link_send(struct mesh_link *link, enum mesh_frame type, struct slice payload);
size_t link_out_bytes(const struct mesh_link *link);
/* Ends the link at the end of the turn, for a reason; a REFUSE frame goes out first if `tells`. */
void link_close(struct mesh_link *link, enum mesh_reason reason, bool tells);
/* Makes sure that the other side knows the replica in `slot`. */
void link_introduce(struct mesh_link *link, unsigned slot);
static inline bool link_is_up(const struct mesh_link *link) {
    return link->state == MESH_LINK_UP && !link->is_closing;
}
/* Appends and reads contexts as frames have them; reading adds nothing to the table: entries of
 * unknown refs are skipped and counted in *unknown. */
void mesh_put_context(struct buffer *out, const struct replicas *replicas,
                      const struct context *context);
bool mesh_take_context(struct slice *bytes, const struct replicas *replicas,
                       struct context *context, unsigned *unknown);
void mesh_say(struct mesh *mesh, enum mesh_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
