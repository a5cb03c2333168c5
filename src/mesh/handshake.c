/* SPDX-License-Identifier: BSD-3-Clause */
/* The handshake: who is at the other end, and may it stay.
 *
 *   dialler                       acceptor
 *   HELLO                     ->
 *                             <-  HELLO          checked on both sides: version, secret or not,
 *                                                cluster, databases, self, cut, and by the
 *                                                dialler, who knows the round trip: clock
 *   [AUTH]                    ->                 only with a secret
 *                             <-  [AUTH]
 *   CONTEXT                   ->                 now the acceptor knows the round trip, too
 *                             <-  CONTEXT
 *
 * The acceptor proves itself only to one who has: so nobody gets anything to guess a secret from.
 * The proof covers a role byte, so it cannot be sent back; both nonces, so it cannot be used
 * again; and both ids. Membership, duplicates and contexts are looked at only after the proof, so
 * who has no secret moves nothing here but a remembered refusal.
 *
 * Duplicates. Both sides may dial at once; each then sees two links with the other, and both keep
 * the one dialled by the smaller node id. Of two that the same side dialled, the dialler, who
 * alone knows their order, keeps the older and says nothing more on the newer one; so when an
 * acceptor sees a newer one come up, the older is dead at the other end and goes. */
#include <stdio.h>

#include "base/check.h"
#include "base/varint.h"
#include "mesh/admission.h"
#include "mesh/mesh_state.h"

enum {
    HELLO_HAS_SECRET = 1,
    HELLO_IS_JOINING = 2,
    CONTEXT_IS_ADMITTED = 1,
    CONTEXT_WAS_FORGOTTEN = 2, /* catchup_owes_comparing() */
    PROOF_BYTES = 32,
    PROTOCOL_MINOR = 0,
};

static bool has_secret(const struct mesh *mesh) {
    return mesh->settings.secret.size > 0;
}

static bool is_proven(const struct mesh_link *link) {
    unsigned needed = HANDSHAKE_HELLO_TAKEN;
    if (has_secret(link->mesh)) {
        needed |= HANDSHAKE_AUTH_TAKEN;
    }
    return (link->handshake & needed) == needed;
}

bool handshake_is_done(const struct mesh_link *link) {
    return link->state == MESH_LINK_UP;
}

/* ---- what this side sends ---- */

/* Not to be foreseen by those who do not know the seed. */
static void make_nonce(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    uint64_t text[4] = {++mesh->nonces_count, mesh->monotonic_us, (uint64_t)mesh->unix_ms,
                        prng_next(&mesh->prng)};
    mesh->host.hmac_sha256(mesh->host.udata, slice_make(&mesh->opts.seed, sizeof(mesh->opts.seed)),
                           slice_make(text, sizeof(text)), link->nonce);
}

static void send_hello(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct mesh_settings *settings = &mesh->settings;
    uint64_t seed[2] = {0};
    struct buffer hello = {0};
    make_nonce(link);
    mesh->data.hash_seed(mesh->data.udata, seed);
    buffer_append_slice(&hello, SLICE("STAR"));
    codec_put_varint(&hello, MESH_PROTOCOL_VERSION);
    codec_put_varint(&hello, PROTOCOL_MINOR);
    codec_put_slice(&hello, slice_of(settings->cluster_id));
    buffer_append(&hello, link->nonce, MESH_NONCE_BYTES);
    buffer_append(&hello, mesh->opts.node_id, REPLICA_NODE_ID_BYTES);
    codec_put_varint(&hello, mesh->opts.generation);
    codec_put_varint(&hello, (uint64_t)mesh->unix_ms);
    codec_put_slice(&hello, slice_of(settings->announce_address));
    codec_put_varint(&hello, mesh->data.databases_count(mesh->data.udata));
    codec_put_u64(&hello, seed[0]);
    codec_put_u64(&hello, seed[1]);
    codec_put_slice(&hello, slice_of(mesh->opts.version));
    link->told_members = mesh->membership.members_count;
    link->told_keys = mesh->data.keys_count(mesh->data.udata);
    codec_put_varint(&hello, link->told_members);
    codec_put_varint(&hello, link->told_keys);
    codec_put_varint(&hello, (has_secret(mesh) ? HELLO_HAS_SECRET : 0U) |
                                 (mesh_is_joining(mesh) ? HELLO_IS_JOINING : 0U));
    link_send(link, MESH_FRAME_HELLO, buffer_slice(&hello));
    buffer_deinit(&hello);
    link->handshake |= HANDSHAKE_HELLO_SENT;
    link->asked_us = mesh->monotonic_us;
}

/* The proof that the side which dialled, or the other one, owes. */
static void make_proof(const struct mesh_link *link, bool of_dialler, uint8_t proof[PROOF_BYTES]) {
    struct mesh *mesh = link->mesh;
    const uint8_t *nonces[2] = {link->nonce, link->peer_nonce};
    const uint8_t *ids[2] = {mesh->opts.node_id, link->peer.node};
    int dialler = link->is_dialled ? 0 : 1;
    char text[1 + 2 * MESH_NONCE_BYTES + 2 * REPLICA_NODE_ID_BYTES];
    char *at = text;
    *at++ = of_dialler ? 'D' : 'A';
    for (int i = 0; i < 2; i++, at += MESH_NONCE_BYTES) {
        memcpy(at, nonces[i ^ dialler], MESH_NONCE_BYTES);
    }
    for (int i = 0; i < 2; i++, at += REPLICA_NODE_ID_BYTES) {
        memcpy(at, ids[i ^ dialler], REPLICA_NODE_ID_BYTES);
    }
    mesh->host.hmac_sha256(mesh->host.udata, mesh->settings.secret, slice_make(text, sizeof(text)),
                           proof);
}

static void send_auth(struct mesh_link *link) {
    uint8_t proof[PROOF_BYTES];
    make_proof(link, link->is_dialled, proof);
    link_send(link, MESH_FRAME_AUTH, slice_make(proof, sizeof(proof)));
    link->handshake |= HANDSHAKE_AUTH_SENT;
    link->asked_us = link->mesh->monotonic_us;
}

void handshake_send_context(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    struct buffer payload = {0};
    uint64_t count = 0;
    codec_put_varint(&payload, (uint64_t)mesh->unix_ms);
    buffer_append_byte(&payload, (mesh->is_admitted ? CONTEXT_IS_ADMITTED : 0) |
                                     (catchup_owes_comparing(mesh) && !mesh->catchup.is_comparing
                                          ? CONTEXT_WAS_FORGOTTEN
                                          : 0));
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        count += replicas->slots[slot].ref != 0;
    }
    codec_put_varint(&payload, count);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (replicas->slots[slot].ref != 0) {
            buffer_append(&payload, replicas->slots[slot].id.node, REPLICA_NODE_ID_BYTES);
            codec_put_varint(&payload, replicas->slots[slot].id.generation);
            streamer_slot(link, slot)->is_introduced = true;
        }
    }
    mesh_put_context(&payload, replicas, mesh->data.context(mesh->data.udata));
    link_send(link, MESH_FRAME_CONTEXT, buffer_slice(&payload));
    link->contexts_sent++;
    buffer_deinit(&payload);
    link->handshake |= HANDSHAKE_CONTEXT_SENT;
    link->asked_us = mesh->monotonic_us;
}

void handshake_begin(struct mesh_link *link) {
    send_hello(link);
}

/* ---- once the other side is proven ---- */

/* Is that link in use, and lately heard? One whose peer was cut off may look up for long. */
static bool is_in_use(const struct mesh_link *link) {
    return link_is_up(link) && link->mesh->monotonic_us - link->heard_us <= MESH_PING_MS * 1500ULL;
}

/* Keeps one of several links with the same node; false when this one is the loser. Of two that
 * are coming up, both sides keep the one that the smaller node id dialled. One that is in use
 * stays: it carries broadcasts that nobody sends again. */
static bool keep_one(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    bool is_mine = memcmp(mesh->opts.node_id, link->peer.node, REPLICA_NODE_ID_BYTES) < 0;
    for (struct mesh_link *other = mesh->links; other != NULL; other = other->next) {
        if (other == link || other->is_closing || other->is_gone || other->member != link->member ||
            other->member == NULL) {
            continue;
        }
        if (is_in_use(other) && other->peer.generation == link->peer.generation) {
            link_close(link, MESH_REASON_DUPLICATE, true);
            return false;
        }
        if (other->is_dialled != link->is_dialled) {
            struct mesh_link *loser = link->is_dialled == is_mine ? other : link;
            link_close(loser, MESH_REASON_DUPLICATE, true);
            if (loser == link) {
                return false;
            }
        } else if (link->is_dialled) {
            link_close(link, MESH_REASON_DUPLICATE, true);
            return false;
        }
    }
    return true;
}

/* Membership forgets at a restart whom it had forgotten; but what was settled without the peer is
 * on disk, and a life that is noted as retired there goes on only if it was forgotten. */
static enum membership_admission admission_of(struct mesh_link *link, struct member **member) {
    struct mesh *mesh = link->mesh;
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    if (replicas_find_retired(replicas, replica_ref(&link->peer)) != NULL) {
        return MEMBERSHIP_IS_FORGOTTEN;
    }
    return membership_admit(&mesh->membership, &link->peer, slice_of(link->peer_address),
                            slice_of(link->peer_version), mesh_now_ms(mesh), member);
}

static void admit(struct mesh_link *link) {
    struct member *member = NULL;
    switch (admission_of(link, &member)) {
    case MEMBERSHIP_ADMITTED:
        break;
    case MEMBERSHIP_IS_SELF:
        link_close(link, MESH_REASON_SELF, true);
        return;
    case MEMBERSHIP_IS_OLD:
    case MEMBERSHIP_IS_LEFT:
    case MEMBERSHIP_IS_FORGOTTEN:
        link_close(link, MESH_REASON_FORGOTTEN, true);
        return;
    case MEMBERSHIP_IS_FULL:
        link_close(link, MESH_REASON_LIMIT, true);
        return;
    }
    link->member = member;
    member->clock_offset_ms = link->clock_offset_ms;
    if (keep_one(link)) {
        handshake_send_context(link);
    }
}

/* Is there a link of this pair already that this node dialled, and that will survive? */
static bool is_loser(const struct mesh_link *link) {
    const struct mesh *mesh = link->mesh;
    if (memcmp(mesh->opts.node_id, link->peer.node, REPLICA_NODE_ID_BYTES) > 0) {
        return false;
    }
    for (const struct mesh_link *other = mesh->links; other != NULL; other = other->next) {
        if (other != link && other->is_dialled && other->member != NULL && !other->is_closing &&
            !other->is_gone && other->peer.generation == link->peer.generation &&
            memcmp(other->peer.node, link->peer.node, REPLICA_NODE_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

/* The other side is who it says it is. The dialler has measured the clocks, and goes on. */
static void go_on(struct mesh_link *link) {
    frame_reader_set_limit(&link->in, FRAME_PAYLOAD_BYTES_MAX);
    if (link->is_dialled) {
        admit(link);
    } else if (is_loser(link)) {
        link_close(link, MESH_REASON_DUPLICATE, true);
    }
}

/* ---- what the other side sends ---- */

static bool take_bytes(struct slice *bytes, void *into, size_t size) {
    if (bytes->size < size) {
        return false;
    }
    memcpy(into, bytes->data, size);
    *bytes = slice_skip(*bytes, size);
    return true;
}

/* A short text that ends up in messages: what is not printable becomes a question mark. */
static bool take_text(struct slice *bytes, char *into, size_t room) {
    struct slice text;
    if (!varint_take_slice(bytes, &text) || text.size >= room) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        into[i] = c > ' ' && c < 0x7F ? c : '?';
    }
    into[text.size] = '\0';
    return true;
}

static void judge_hello(struct mesh_link *link, struct slice cluster, uint64_t databases,
                        uint64_t unix_ms, uint64_t flags) {
    struct mesh *mesh = link->mesh;
    enum mesh_reason reason = MESH_REASON_NONE;
    if (((flags & HELLO_HAS_SECRET) != 0) != has_secret(mesh)) {
        reason = MESH_REASON_SECRET;
    } else if (!slice_equal(cluster, slice_of(mesh->settings.cluster_id))) {
        reason = MESH_REASON_CLUSTER;
    } else if (memcmp(link->peer.node, mesh->opts.node_id, REPLICA_NODE_ID_BYTES) == 0) {
        reason = MESH_REASON_SELF;
    } else if (databases != mesh->data.databases_count(mesh->data.udata)) {
        reason = MESH_REASON_DATABASES;
    } else if (dials_is_cut(mesh, link->peer_address) ||
               (link->is_dialled && dials_is_cut(mesh, link->address))) {
        reason = MESH_REASON_CUT;
    }
    if (reason != MESH_REASON_NONE) {
        link_close(link, reason, true);
        return;
    }
    int64_t peer_unix_ms = unix_ms <= INT64_MAX ? (int64_t)unix_ms : -1;
    if (link->is_dialled) {
        link_note_round_trip(link, mesh->monotonic_us - link->asked_us);
        (void)link_check_clock(link, peer_unix_ms, link->round_trip_us);
        return;
    }
    /* How long the HELLO was under way is not known: it may look old, within reason. The CONTEXT
     * will tell. */
    int64_t patience_ms = MESH_HANDSHAKE_MS + (int64_t)mesh->settings.max_clock_drift_ms;
    if (peer_unix_ms < 0 || peer_unix_ms > mesh->unix_ms ||
        mesh->unix_ms - peer_unix_ms > patience_ms) {
        (void)link_check_clock(link, peer_unix_ms, 0);
    }
}

static bool hello_frame(struct mesh_link *link, struct slice payload) {
    uint64_t major, minor, unix_ms, databases, flags;
    struct slice cluster;
    if ((link->handshake & HANDSHAKE_HELLO_TAKEN) != 0 || payload.size < 4 ||
        memcmp(payload.data, "STAR", 4) != 0) {
        return false;
    }
    payload = slice_skip(payload, 4);
    if (!varint_take(&payload, &major)) {
        return false;
    }
    if (major != MESH_PROTOCOL_VERSION) {
        link_close(link, MESH_REASON_VERSION, true);
        return true;
    }
    if (!varint_take(&payload, &minor) || !varint_take_slice(&payload, &cluster) ||
        !take_bytes(&payload, link->peer_nonce, MESH_NONCE_BYTES) ||
        !take_bytes(&payload, link->peer.node, REPLICA_NODE_ID_BYTES) ||
        !varint_take(&payload, &link->peer.generation) || !varint_take(&payload, &unix_ms) ||
        !take_text(&payload, link->peer_address, sizeof(link->peer_address)) ||
        !varint_take(&payload, &databases) || !codec_take_u64(&payload, &link->peer_seed[0]) ||
        !codec_take_u64(&payload, &link->peer_seed[1]) ||
        !take_text(&payload, link->peer_version, sizeof(link->peer_version)) ||
        !varint_take(&payload, &link->peer_members) || !varint_take(&payload, &link->peer_keys) ||
        !varint_take(&payload, &flags)) {
        return false;
    }
    link->handshake |= HANDSHAKE_HELLO_TAKEN;
    link->peer_is_joining = (flags & HELLO_IS_JOINING) != 0;
    if (!link->is_dialled) {
        send_hello(link); /* refused or not: so the other side sees why by itself */
    }
    judge_hello(link, cluster, databases, unix_ms, flags);
    if (link->is_closing) {
        return true;
    }
    if (!has_secret(link->mesh)) {
        go_on(link);
    } else if (link->is_dialled) {
        send_auth(link);
    }
    return true;
}

static bool auth_frame(struct mesh_link *link, struct slice payload) {
    if (!has_secret(link->mesh) || (link->handshake & HANDSHAKE_HELLO_TAKEN) == 0 ||
        (link->handshake & HANDSHAKE_AUTH_TAKEN) != 0 || payload.size != PROOF_BYTES) {
        return false;
    }
    uint8_t proof[PROOF_BYTES];
    unsigned difference = 0;
    make_proof(link, !link->is_dialled, proof);
    for (size_t i = 0; i < PROOF_BYTES; i++) {
        difference |= (unsigned)proof[i] ^ (uint8_t)payload.data[i];
    }
    if (difference != 0) {
        link_close(link, MESH_REASON_SECRET, true);
        return true;
    }
    link->handshake |= HANDSHAKE_AUTH_TAKEN;
    if (!link->is_dialled) {
        send_auth(link);
    }
    go_on(link);
    return true;
}

static bool refuse_frame(struct mesh_link *link, struct slice payload) {
    uint64_t reason, generation;
    struct slice text;
    if (!varint_take(&payload, &reason) || reason >= MESH_REASONS_COUNT ||
        !varint_take_slice(&payload, &text) || !varint_take(&payload, &generation)) {
        return false;
    }
    if (reason == MESH_REASON_FORGOTTEN && is_proven(link)) {
        /* Peers know this life as over. What only this node knows is issued again by the next. */
        link->mesh->was_forgotten = true;
        memcpy(link->mesh->catchup.teller, link->peer.node, REPLICA_NODE_ID_BYTES);
        mesh_want_generation(link->mesh, generation + 1);
    }
    bool is_harmless = reason == MESH_REASON_DUPLICATE || reason == MESH_REASON_NONE ||
                       reason == MESH_REASON_LEAVING;
    if (!is_harmless) {
        dials_note_refusal(link, (enum mesh_reason)reason, true);
    }
    link_close(link, is_harmless ? (enum mesh_reason)reason : MESH_REASON_CLOSED, false);
    return true;
}

/* The peer knows more of this life than this node has written: it was taken back to an old state,
 * and what it writes now must not be mixed up with what it wrote then. */
static void look_for_self(struct mesh_link *link, const struct context *context) {
    struct mesh *mesh = link->mesh;
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    const struct context *own = mesh->data.context(mesh->data.udata);
    if (context->stamps[replicas->self] > own->stamps[replicas->self]) {
        mesh_want_generation(mesh, 0);
    }
}

static void come_up(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    link->state = MESH_LINK_UP;
    link_want_digest(link);
    link->next_ping_us = mesh->monotonic_us;
    membership_link_began(&mesh->membership, link->member);
    dials_link_up(link);
    for (struct mesh_link *other = mesh->links; other != NULL; other = other->next) {
        if (other != link && other->member == link->member) {
            link_close(other, MESH_REASON_DUPLICATE, true);
        }
    }
    mesh_say(mesh, MESH_LEVEL_NOTICE, "Mesh: linked with %s", link->peer_address);
}

/* Does a context, behind its count, mention the replica? */
static bool is_mentioned(struct slice context, uint64_t count, uint64_t wanted) {
    uint64_t ref, ticks;
    for (uint64_t i = 0; i < count; i++) {
        if (!codec_take_u64(&context, &ref) || !varint_take(&context, &ticks)) {
            return false;
        }
        if (ref == wanted) {
            return true;
        }
    }
    return false;
}

/* Contexts tell of the newest retired replicas, too. One that tells of few tells of all: then a
 * replica that is not mentioned has not been seen. */
static bool lacks_unmentioned(const struct replicas *replicas, struct slice context,
                              uint64_t count) {
    if (count >= MESH_RETIRED_TOLD) {
        return false;
    }
    size_t first = replicas->retired_count > MESH_RETIRED_TOLD
                       ? replicas->retired_count - MESH_RETIRED_TOLD
                       : 0;
    for (size_t i = first; i < replicas->retired_count; i++) {
        if (replicas->retired[i].ticks > 0 &&
            !is_mentioned(context, count, replicas->retired[i].ref)) {
            return true;
        }
    }
    return false;
}

/* Has anything been retired here that had written something? */
static bool has_retired(const struct replicas *replicas) {
    bool has_any = false;
    for (size_t i = replicas->retired_count; i-- > 0 && !has_any;) {
        has_any = replicas->retired[i].ticks > 0;
    }
    return has_any;
}

/* What a retired replica wrote is in no log that could be asked for it: it has no name any more.
 * Was the peer with this context there when it was seen by all? A fresh one was not, and one that
 * was put back to an earlier time knows less of it. One that knows more of it was forgotten. */
static void judge_retired(struct mesh_link *link, struct slice context) {
    const struct replicas *replicas = link->mesh->data.replicas(link->mesh->data.udata);
    const struct context *own = link->mesh->data.context(link->mesh->data.udata);
    uint64_t count, ref, ticks;
    bool is_empty = true;
    link->peer_was_forgotten = link->peer_was_retired = false;
    if (!varint_take(&context, &count)) {
        return;
    }
    link->peer_lacks_retired = lacks_unmentioned(replicas, context, count);
    for (uint64_t i = 0; i < count; i++) {
        if (!codec_take_u64(&context, &ref) || !varint_take(&context, &ticks)) {
            return;
        }
        const struct retired_replica *retired = replicas_find_retired(replicas, ref);
        link->peer_lacks_retired |= retired != NULL && ticks < retired->ticks;
        unsigned slot = replicas_find(replicas, ref);
        link->peer_was_forgotten |=
            retired != NULL && ticks > retired->ticks &&
            (slot == 0 ||
             replicas_is_beyond_retired(replicas, stamp_make(ticks, slot), own->stamps[slot]));
        is_empty = is_empty && ticks == 0;
    }
    link->peer_lacks_retired |= is_empty && has_retired(replicas);
    link->peer_was_retired = link->peer_was_forgotten;
}

static bool context_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    uint64_t unix_ms, count;
    uint8_t flags;
    if (!is_proven(link) || (link->is_dialled && link->member == NULL) ||
        !varint_take(&payload, &unix_ms) || !take_bytes(&payload, &flags, 1) ||
        !varint_take(&payload, &count) || count > payload.size) {
        return false;
    }
    bool is_first = (link->handshake & HANDSHAKE_CONTEXT_TAKEN) == 0;
    if (is_first && !link->is_dialled) {
        link_note_round_trip(link, mesh->monotonic_us - link->asked_us);
        if (!link_check_clock(link, unix_ms <= INT64_MAX ? (int64_t)unix_ms : -1,
                              link->round_trip_us)) {
            return true;
        }
        admit(link);
        if (link->is_closing) {
            return true;
        }
    }
    uint64_t newest = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct replica_id id;
        if (!take_bytes(&payload, id.node, REPLICA_NODE_ID_BYTES) ||
            !varint_take(&payload, &id.generation)) {
            return false;
        }
        if (memcmp(id.node, mesh->opts.node_id, REPLICA_NODE_ID_BYTES) == 0 &&
            id.generation > newest) {
            newest = id.generation;
        }
        unsigned slot = mesh_learn_replica(mesh, &id);
        if (slot != 0) {
            streamer_slot(link, slot)->is_introduced = true;
        }
    }
    struct context context;
    unsigned unknown;
    judge_retired(link, payload);
    if (!mesh_take_context(&payload, mesh->data.replicas(mesh->data.udata), &context, &unknown)) {
        return false;
    }
    link->handshake |= HANDSHAKE_CONTEXT_TAKEN;
    link->contexts_taken++;
    catchup_peer_is_back(link);
    if (newest > mesh->opts.generation) {
        mesh_want_generation(mesh, newest + 1);
    }
    look_for_self(link, &context);
    if ((flags & CONTEXT_WAS_FORGOTTEN) != 0) {
        link->peer_was_forgotten = true;
    } else {
        admission_judge(link, &context, unknown, (flags & CONTEXT_IS_ADMITTED) != 0);
    }
    membership_note_context(link->member, &context);
    if (is_first) {
        come_up(link);
    }
    streamer_peer_context(link, &context);
    return true;
}

bool handshake_frame(struct mesh_link *link, unsigned type, struct slice payload) {
    switch (type) {
    case MESH_FRAME_HELLO:
        return hello_frame(link, payload);
    case MESH_FRAME_AUTH:
        return auth_frame(link, payload);
    case MESH_FRAME_REFUSE:
        return refuse_frame(link, payload);
    case MESH_FRAME_CONTEXT:
        return context_frame(link, payload);
    default:
        impossible("a frame of another kind");
    }
}
