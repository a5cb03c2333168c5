/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection with a peer.
 *
 * A link is made when somebody connects or this node dials, and freed at the end of the outermost
 * call in which it was closed: so every function here may close it, and its caller may still look.
 * Bytes that make no sense end this link and nothing else. */
#include <stdio.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/varint.h"
#include "mesh/catchup_void.h"
#include "mesh/mesh_state.h"

enum {
    /* Streams, acknowledgements and gossip stop at MESH_LINK_OUT_BYTES_MAX. A peer that makes this
     * node answer beyond that, and reads nothing, loses its link. */
    LINK_OUT_BYTES_LIMIT = 80 << 20,
    LINK_COMPRESSES_BYTES_MIN = 1024,
    LINK_RESTS_BYTES_MAX = 64 << 10, /* of traffic in a gossip round: then buffers are given back */
    LINK_ROUND_TRIPS_MIN =
        8, /* before the shortest one tells; then they are asked for less often */
    LINK_EARLY_PING_MS = 200,
    LINK_COMPRESSES_US_MIN = 2000, /* a round trip below that: the bytes are cheaper than LZ4 */
    LINK_SHARES_BYTES_MIN = 4096,  /* a shorter frame is copied: that is cheaper than a send */
};

/* ---- bytes ---- */

void mesh_put_context(struct buffer *out, const struct replicas *replicas,
                      const struct context *context) {
    /* What is retired here may still have a slot there: it is seen, to its last stamp. */
    size_t retired = replicas->retired_count < MESH_RETIRED_TOLD ? replicas->retired_count
                                                                 : (size_t)MESH_RETIRED_TOLD;
    uint64_t count = retired;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        count += replicas->slots[slot].ref != 0 && context->stamps[slot] != 0;
    }
    codec_put_varint(out, count);
    for (size_t i = replicas->retired_count - retired; i < replicas->retired_count; i++) {
        codec_put_u64(out, replicas->retired[i].ref);
        codec_put_varint(out, replicas->retired[i].ticks);
    }
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (replicas->slots[slot].ref != 0 && context->stamps[slot] != 0) {
            codec_put_u64(out, replicas->slots[slot].ref);
            codec_put_varint(out, stamp_ticks(context->stamps[slot]));
        }
    }
}

bool mesh_take_seen(struct slice *bytes, const struct replicas *replicas, uint64_t *stamp,
                    bool *is_unknown) {
    uint64_t ref, ticks;
    if (!codec_take_u64(bytes, &ref) || !varint_take(bytes, &ticks) || ref == 0 ||
        ticks > STAMP_TICKS_ACCEPTED_MAX) {
        return false;
    }
    unsigned slot = replicas_find(replicas, ref);
    *stamp = slot != 0 && ticks > 0 ? stamp_make(ticks, slot) : 0;
    *is_unknown = slot == 0 && replicas_find_retired(replicas, ref) == NULL;
    return true;
}

bool mesh_take_context(struct slice *bytes, const struct replicas *replicas,
                       struct context *context, unsigned *unknown) {
    uint64_t count;
    memset(context, 0, sizeof(*context));
    *unknown = 0;
    if (!varint_take(bytes, &count)) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t stamp;
        bool is_unknown;
        if (!mesh_take_seen(bytes, replicas, &stamp, &is_unknown)) {
            return false;
        }
        *unknown += is_unknown;
        context_add(context, stamp);
    }
    return true;
}

/* ---- life ---- */

struct mesh_link *link_new(struct mesh *mesh, const char *address, bool is_dialled) {
    struct mesh_link *link = memory_alloc_zero(sizeof(*link));
    link->mesh = mesh;
    link->is_dialled = is_dialled;
    link->state = is_dialled ? MESH_LINK_DIALLING : MESH_LINK_HANDSHAKE;
    link->lag_told = link->lag_heard = MESH_LAG_UNKNOWN;
    link->opened_us = link->heard_us = link->sent_us = mesh->monotonic_us;
    (void)snprintf(link->address, sizeof(link->address), "%s", address);
    frame_reader_init(&link->in, FRAME_HANDSHAKE_BYTES_MAX);
    link->next = mesh->links;
    if (link->next != NULL) {
        link->next->previous = link;
    }
    mesh->links = link;
    mesh->links_count++;
    return link;
}

/* There may be frames to take. */
static void note_input(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    if (link->has_input) {
        return;
    }
    link->has_input = true;
    if (mesh->input_first == NULL) {
        mesh->input_first = link;
    } else {
        mesh->input_last->next_input = link;
    }
    mesh->input_last = link;
}

static void forget_input(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct mesh_link *before = NULL;
    for (struct mesh_link *at = mesh->input_first; link->has_input; at = at->next_input) {
        require(at != NULL);
        if (at != link) {
            before = at;
            continue;
        }
        *(before != NULL ? &before->next_input : &mesh->input_first) = link->next_input;
        mesh->input_last = mesh->input_last == link ? before : mesh->input_last;
        link->has_input = false;
    }
}

static void link_free(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    dials_link_ended(link);
    streamer_link_closed(link);
    catchup_link_closed(link);
    mesh_check_link_closed(link);
    broadcast_link_closed(link);
    if (link->previous != NULL) {
        link->previous->next = link->next;
    } else {
        mesh->links = link->next;
    }
    if (link->next != NULL) {
        link->next->previous = link->previous;
    }
    mesh->links_count--;
    mesh->closing_count--;
    forget_input(link);
    frame_reader_deinit(&link->in);
    outbox_deinit(&link->out);
    buffer_deinit(&link->large);
    memory_free(link);
}

void mesh_reap_links(struct mesh *mesh) {
    /* Closing one may make the host close others: begins anew after each. */
    for (struct mesh_link *link = mesh->links; link != NULL && mesh->closing_count > 0;) {
        if (!link->is_gone && !link->is_closing) {
            link = link->next;
            continue;
        }
        if (!link->is_gone) {
            link->is_gone = true;
            mesh->host.close(mesh->host.udata, link);
        }
        link_free(link);
        link = mesh->links;
    }
}

static bool is_trouble(enum mesh_reason reason) {
    return reason != MESH_REASON_NONE && reason != MESH_REASON_DUPLICATE &&
           reason != MESH_REASON_LEAVING;
}

static bool is_refusal(enum mesh_reason reason) {
    return (reason >= MESH_REASON_SECRET && reason <= MESH_REASON_LIMIT) ||
           reason == MESH_REASON_TLS || reason == MESH_REASON_CERTIFICATE;
}

void link_close(struct mesh_link *link, enum mesh_reason reason, bool tells) {
    if (link->is_closing || link->is_gone) {
        return;
    }
    struct mesh *mesh = link->mesh;
    bool was_up = link->state == MESH_LINK_UP;
    if (is_refusal(reason)) {
        dials_note_refusal(link, reason, false);
    }
    if (was_up || (is_trouble(reason) && !is_refusal(reason))) {
        mesh_say(mesh, was_up && is_trouble(reason) ? MESH_LEVEL_NOTICE : MESH_LEVEL_VERBOSE,
                 "Mesh: the link with %s ends: %s",
                 link->peer_address[0] != '\0' ? link->peer_address : link->address,
                 mesh_reason_name(reason));
    }
    if (tells && link->is_opened) {
        struct buffer payload = {0};
        codec_put_varint(&payload, (uint64_t)reason);
        codec_put_slice(&payload, slice_of(mesh_reason_name(reason)));
        const struct member *known = membership_find(&mesh->membership, link->peer.node);
        codec_put_varint(&payload,
                         reason == MESH_REASON_FORGOTTEN && known != NULL ? known->generation : 0);
        link_send(link, MESH_FRAME_REFUSE, buffer_slice(&payload));
        buffer_deinit(&payload);
    }
    link->is_closing = true;
    mesh->closing_count++;
    link->reason = reason;
    link->state = is_refusal(reason) ? MESH_LINK_REFUSED : MESH_LINK_NONE;
}

struct mesh_link *mesh_accept(struct mesh *mesh, void *connection, const char *address) {
    mesh_enter(mesh);
    struct mesh_link *link = link_new(mesh, address, false);
    link->connection = connection;
    link->is_opened = true;
    mesh_exit(mesh);
    return link;
}

void mesh_link_opened(struct mesh_link *link, void *connection) {
    struct mesh *mesh = link->mesh;
    mesh_enter(mesh);
    link->connection = connection;
    if (!link->is_closing && link->state == MESH_LINK_DIALLING) {
        link->is_opened = true;
        link->state = MESH_LINK_HANDSHAKE;
        link->opened_us = link->heard_us = mesh->monotonic_us;
        handshake_begin(link);
    }
    mesh_exit(mesh);
}

void mesh_link_closed(struct mesh_link *link, enum mesh_reason reason) {
    struct mesh *mesh = link->mesh;
    mesh_enter(mesh);
    if (!link->is_closing) {
        link_close(link, reason, false);
    }
    link->is_gone = true;
    mesh_exit(mesh);
}

void mesh_link_refused(struct mesh_link *link, enum mesh_reason reason, const char *detail,
                       bool by_peer, bool tells) {
    struct mesh *mesh = link->mesh;
    mesh_enter(mesh);
    if (!link->is_closing && !link->is_gone) {
        link->detail = detail;
        if (by_peer) {
            dials_note_refusal(link, reason, true);
        }
        link_close(link, by_peer ? MESH_REASON_CLOSED : reason, tells);
        link->detail = NULL;
    }
    mesh_exit(mesh);
}

void *mesh_link_connection(const struct mesh_link *link) {
    return link->connection;
}

/* ---- bytes in ---- */

static bool is_blocked(const struct mesh_link *link) {
    return link->stream.blocked.size - link->stream.blocked_start > MESH_LINK_IN_BYTES_MAX;
}

char *mesh_link_input_space(struct mesh_link *link, size_t *room) {
    if (link->is_closing || link->is_gone || is_blocked(link)) {
        *room = 0;
        return NULL;
    }
    return frame_reader_space(&link->in, room);
}

void mesh_link_input(struct mesh_link *link, size_t size) {
    frame_reader_commit(&link->in, size);
    note_input(link);
    link->heard_us = link->mesh->monotonic_us;
    link->mesh->stats.bytes_in += size;
    link->moved_in_bytes += size;
}

static bool introduce_frame(struct mesh_link *link, struct slice payload) {
    uint64_t count;
    if (!varint_take(&payload, &count) || count > payload.size) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct replica_id id;
        if (payload.size < REPLICA_NODE_ID_BYTES) {
            return false;
        }
        memcpy(id.node, payload.data, REPLICA_NODE_ID_BYTES);
        payload = slice_skip(payload, REPLICA_NODE_ID_BYTES);
        if (!varint_take(&payload, &id.generation)) {
            return false;
        }
        unsigned slot = mesh_learn_replica(link->mesh, &id);
        if (slot != 0) {
            /* Who names it knows it. */
            streamer_slot(link, slot)->is_introduced = true;
        }
    }
    return payload.size == 0;
}

void link_note_round_trip(struct mesh_link *link, uint64_t round_trip_us) {
    link->round_trip_us = round_trip_us;
    link->round_trips_count++;
    if (link->round_trip_min_us == 0 || round_trip_us < link->round_trip_min_us) {
        link->round_trip_min_us = round_trip_us > 0 ? round_trip_us : 1;
    }
}

bool link_check_clock(struct mesh_link *link, int64_t peer_unix_ms, uint64_t round_trip_us) {
    struct mesh *mesh = link->mesh;
    int64_t half_ms = (int64_t)(round_trip_us / 2000);
    /* Compared without overflow, whatever was claimed. */
    if (peer_unix_ms < 0 || peer_unix_ms > INT64_MAX / 4) {
        link_close(link, MESH_REASON_CLOCK, true);
        return false;
    }
    int64_t offset_ms = peer_unix_ms - (mesh->unix_ms - half_ms);
    int64_t distance_ms = offset_ms < 0 ? -offset_ms : offset_ms;
    link->clock_offset_ms = offset_ms;
    if (link->member != NULL) {
        link->member->clock_offset_ms = offset_ms;
    }
    if (distance_ms > (int64_t)mesh->settings.max_clock_drift_ms + half_ms) {
        link_close(link, MESH_REASON_CLOCK, true);
        return false;
    }
    return true;
}

/* A time that came by itself: it may be old, but not from the future. */
static bool check_clock_ahead(struct mesh_link *link, uint64_t peer_unix_ms) {
    struct mesh *mesh = link->mesh;
    if (peer_unix_ms > INT64_MAX / 4 ||
        (int64_t)peer_unix_ms > mesh->unix_ms + (int64_t)mesh->settings.max_clock_drift_ms) {
        if (peer_unix_ms <= INT64_MAX / 4) {
            link->clock_offset_ms = (int64_t)peer_unix_ms - mesh->unix_ms;
        }
        link_close(link, MESH_REASON_CLOCK, true);
        return false;
    }
    return true;
}

enum { PING_IS_JOINING = 1, PING_IS_REBASING = 2, PING_IS_COMPARING = 4 }; /* flags */

static void send_ping(struct mesh_link *link, enum mesh_frame type, uint64_t number) {
    struct buffer payload = {0};
    codec_put_varint(&payload, number);
    codec_put_varint(&payload, (uint64_t)link->mesh->unix_ms);
    const struct catchup *catchup = &link->mesh->catchup;
    buffer_append_byte(&payload, (catchup_is_joining(catchup) ? PING_IS_JOINING : 0) |
                                     (catchup_is_rebasing(catchup) ? PING_IS_REBASING : 0) |
                                     (catchup->is_comparing ? PING_IS_COMPARING : 0));
    codec_put_varint(&payload, catchup_tell_rank(link));
    link_send(link, type, buffer_slice(&payload));
    buffer_deinit(&payload);
}

static bool ping_frame(struct mesh_link *link, unsigned type, struct slice payload) {
    uint64_t number, peer_unix_ms;
    if (!varint_take(&payload, &number) || !varint_take(&payload, &peer_unix_ms)) {
        return false;
    }
    unsigned flags = payload.size > 0 ? (uint8_t)payload.data[0] : 0;
    payload = slice_skip(payload, payload.size > 0);
    catchup_note_peer(link, (flags & PING_IS_JOINING) != 0, (flags & PING_IS_REBASING) != 0);
    link->catchup.compares = (flags & PING_IS_COMPARING) != 0;
    if (!varint_take(&payload, &link->catchup.rank)) {
        link->catchup.rank = 0;
    }
    if (type == MESH_FRAME_PING) {
        if (check_clock_ahead(link, peer_unix_ms)) {
            streamer_acknowledge(link->mesh);
            send_ping(link, MESH_FRAME_PONG, number);
        }
    } else if (number == link->ping_number && link->ping_us != 0) {
        link_note_round_trip(link, link->mesh->monotonic_us - link->ping_us);
        link->ping_us = 0;
        (void)link_check_clock(link, peer_unix_ms <= INT64_MAX ? (int64_t)peer_unix_ms : -1,
                               link->round_trip_us);
    }
    return true;
}

static bool digest_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    uint64_t peer_unix_ms;
    if (!varint_take(&payload, &peer_unix_ms)) {
        return false;
    }
    mesh->stats.digests_in++;
    if (!check_clock_ahead(link, peer_unix_ms)) {
        return true;
    }
    mesh_answer_digest(link);
    return membership_digest_take(&mesh->membership, link->member,
                                  mesh->data.replicas(mesh->data.udata), payload,
                                  mesh_now_ms(mesh));
}

static bool leave_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    uint64_t last_ticks;
    if (!varint_take(&payload, &last_ticks) || last_ticks > STAMP_TICKS_ACCEPTED_MAX) {
        return false;
    }
    membership_note_left(&mesh->membership, link->member, last_ticks, mesh_now_ms(mesh));
    return true;
}

static bool lag_frame(struct mesh_link *link, struct slice payload) {
    uint64_t changes;
    if (!varint_take(&payload, &changes)) {
        return false;
    }
    link->lag_heard = changes < INT64_MAX ? (int64_t)changes : INT64_MAX;
    return true;
}

/* False: the frame makes no sense. */
static bool handle_frame(struct mesh_link *link, unsigned type, struct slice payload) {
    switch (type) {
    case MESH_FRAME_HELLO:
    case MESH_FRAME_AUTH:
    case MESH_FRAME_REFUSE:
    case MESH_FRAME_CONTEXT:
        return handshake_frame(link, type, payload);
    default:
        break;
    }
    if (!handshake_is_done(link)) {
        return false;
    }
    switch (type) {
    case MESH_FRAME_INTRODUCE:
        return introduce_frame(link, payload);
    case MESH_FRAME_DATA:
        return streamer_data_frame(link, payload);
    case MESH_FRAME_ACK:
        return streamer_ack_frame(link, payload);
    case MESH_FRAME_SUBSCRIBE:
        return streamer_subscribe_frame(link, payload);
    case MESH_FRAME_UNSUBSCRIBE:
        return streamer_unsubscribe_frame(link, payload);
    case MESH_FRAME_DIGEST:
        return digest_frame(link, payload);
    case MESH_FRAME_LOST:
        return streamer_lost_frame(link, payload);
    case MESH_FRAME_PART_PULL:
    case MESH_FRAME_PART_BEGIN:
    case MESH_FRAME_PART_DATA:
    case MESH_FRAME_PART_END:
        return catchup_frame(link, type, payload);
    case MESH_FRAME_CHECK_PULL:
        return mesh_check_pull_frame(link, payload);
    case MESH_FRAME_CHECK:
        return mesh_check_frame(link, payload);
    case MESH_FRAME_LEAVE:
        return leave_frame(link, payload);
    case MESH_FRAME_PING:
    case MESH_FRAME_PONG:
        return ping_frame(link, type, payload);
    case MESH_FRAME_BROADCAST:
        return broadcast_frame(link, payload);
    case MESH_FRAME_LAG:
        return lag_frame(link, payload);
    case MESH_FRAME_ENDS:
        return catchup_ends_frame(link, payload);
    case MESH_FRAME_ASK:
        return streamer_ask_frame(link, payload);
    case MESH_FRAME_ANSWER:
        return streamer_answer_frame(link, payload);
    default:
        return true; /* of a newer minor version */
    }
}

static void link_run(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    uint64_t frames = link->in.frames_count, unpacked = link->in.unpacked_bytes;
    while (!link->is_closing && !link->is_gone) {
        uint8_t type;
        struct slice payload;
        enum frame_status status = frame_reader_next(&link->in, &type, &payload);
        if (status == FRAME_NONE) {
            break;
        }
        if (status == FRAME_LIMIT) {
            link_close(link, MESH_REASON_LIMIT, true);
        } else if (status == FRAME_BAD || !handle_frame(link, type, payload)) {
            link_close(link, MESH_REASON_GARBAGE, true);
        }
        if (is_blocked(link)) {
            note_input(link);
            break;
        }
    }
    mesh->stats.frames_in += link->in.frames_count - frames;
    mesh->stats.compressed_in_bytes += link->in.unpacked_bytes - unpacked;
    if (link->member != NULL && link_is_up(link) && link->heard_us == mesh->monotonic_us) {
        membership_sign(link->member, mesh_now_ms(mesh));
    }
}

void links_run(struct mesh *mesh) {
    struct mesh_link *next, *first = mesh->input_first;
    mesh->input_first = mesh->input_last = NULL;
    for (struct mesh_link *link = first; link != NULL; link = next) {
        next = link->next_input;
        link->next_input = NULL;
        link->has_input = false;
        link_run(link);
    }
}

/* ---- bytes out ---- */

size_t link_out_bytes(const struct mesh_link *link) {
    return link->out.bytes;
}

/* Did every round trip so far take so long that bytes are dearer than LZ4? */
static bool is_far(const struct mesh_link *link) {
    return link->round_trip_min_us >= LINK_COMPRESSES_US_MIN;
}

static struct frame_opts out_opts(const struct mesh_link *link, size_t payload_bytes) {
    const struct mesh_settings *settings = &link->mesh->settings;
    struct frame_opts opts = {.max_frame_bytes = (size_t)settings->max_frame_bytes};
    switch (settings->compression) {
    case MESH_COMPRESSION_NO:
        break;
    case MESH_COMPRESSION_YES:
        opts.compresses = true;
        break;
    case MESH_COMPRESSION_AUTO:
        opts.compresses = payload_bytes >= LINK_COMPRESSES_BYTES_MIN && is_far(link) &&
                          link->round_trips_count >= LINK_ROUND_TRIPS_MIN;
        break;
    }
    /* Nothing is unpacked, so no compression is needed, before the other side is known. */
    opts.compresses = opts.compresses && link->state == MESH_LINK_UP;
    return opts;
}

static void ask_to_send(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    if (!link->wants_send && link->is_opened && !link->is_gone && link_out_bytes(link) > 0) {
        link->wants_send = true;
        mesh->host.send(mesh->host.udata, link);
    }
}

static void frame_was_put(struct mesh_link *link) {
    link->mesh->stats.frames_out++;
    ask_to_send(link);
    if (link_out_bytes(link) > LINK_OUT_BYTES_LIMIT) {
        link_close(link, MESH_REASON_LIMIT, false);
    }
}

void link_send(struct mesh_link *link, enum mesh_frame type, struct slice payload) {
    if (link->is_closing || link->is_gone) {
        return;
    }
    struct frame_opts opts = out_opts(link, payload.size);
    require(payload.size <= FRAME_PAYLOAD_BYTES_MAX);
    struct buffer *out = outbox_own(&link->out);
    link->mesh->stats.compressed_out_bytes += frame_put(out, (uint8_t)type, payload, &opts);
    outbox_commit(&link->out);
    frame_was_put(link);
}

void link_send_shared(struct mesh_link *link, enum mesh_frame type, struct shared_frame *frame,
                      bool *is_sealed) {
    require(frame->bytes.size >= FRAME_HEADER_BYTES);
    struct slice payload = slice_skip(buffer_slice(&frame->bytes), FRAME_HEADER_BYTES);
    require(payload.size <= link->mesh->settings.max_frame_bytes);
    if (out_opts(link, payload.size).compresses) {
        link_send(link, type, payload);
        return;
    }
    if (link->is_closing || link->is_gone) {
        return;
    }
    if (!*is_sealed) {
        frame_seal(&frame->bytes, 0, (uint8_t)type);
        *is_sealed = true;
    }
    if (frame->bytes.size >= LINK_SHARES_BYTES_MIN) {
        outbox_put_frame(&link->out, frame);
    } else {
        buffer_append_slice(outbox_own(&link->out), buffer_slice(&frame->bytes));
        outbox_commit(&link->out);
    }
    frame_was_put(link);
}

void link_send_pieces(struct mesh_link *link, enum mesh_frame type, char *header, bool *is_sealed,
                      const struct link_piece *pieces, size_t count) {
    size_t payload_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        payload_bytes += pieces[i].bytes.size;
    }
    require(payload_bytes <= link->mesh->settings.max_frame_bytes);
    if (payload_bytes < LINK_SHARES_BYTES_MIN || out_opts(link, payload_bytes).compresses) {
        struct buffer payload = {0};
        (void)buffer_reserve(&payload, payload_bytes);
        for (size_t i = 0; i < count; i++) {
            buffer_append_slice(&payload, pieces[i].bytes);
        }
        link_send(link, type, buffer_slice(&payload));
        buffer_deinit(&payload);
        return;
    }
    if (link->is_closing || link->is_gone) {
        return;
    }
    if (!*is_sealed) {
        frame_header_begin(header, (uint8_t)type, 0, payload_bytes);
        for (size_t i = 0; i < count; i++) {
            frame_header_add(header, pieces[i].bytes);
        }
        *is_sealed = true;
    }
    buffer_append(outbox_own(&link->out), header, FRAME_HEADER_BYTES);
    outbox_commit(&link->out);
    for (size_t i = 0; i < count; i++) {
        outbox_put_block(&link->out, pieces[i].block, pieces[i].bytes);
    }
    frame_was_put(link);
}

bool link_send_piece(struct mesh_link *link, enum mesh_frame type, struct slice *rest) {
    struct frame_opts opts = out_opts(link, rest->size);
    size_t packed = 0;
    bool has_more = frame_put_piece(outbox_own(&link->out), (uint8_t)type, rest, &opts, &packed);
    outbox_commit(&link->out);
    link->mesh->stats.compressed_out_bytes += packed;
    link->mesh->stats.frames_out++;
    ask_to_send(link);
    return has_more;
}

bool link_send_large(struct mesh_link *link) {
    while (link->large_start < link->large.size || link->is_large_begun) {
        if (link_out_bytes(link) >= MESH_LINK_OUT_BYTES_MAX || link->is_closing) {
            return false;
        }
        struct slice rest = slice_skip(buffer_slice(&link->large), link->large_start);
        link->is_large_begun = link_send_piece(link, MESH_FRAME_DATA, &rest);
        link->large_start = link->large.size - rest.size;
    }
    if (link->large.size > 0) {
        link->large_start = 0;
        buffer_deinit(&link->large);
        link->large = (struct buffer){0};
    }
    return true;
}

struct slice mesh_link_output(const struct mesh_link *link) {
    return outbox_next(&link->out);
}

size_t mesh_link_output_pieces(const struct mesh_link *link, struct slice *pieces,
                               size_t pieces_max) {
    return outbox_pieces(&link->out, pieces, pieces_max);
}

void mesh_link_sent(struct mesh_link *link, size_t size) {
    outbox_sent(&link->out, size);
    link->leave_out_bytes -= size < link->leave_out_bytes ? size : link->leave_out_bytes;
    link->sent_us = link->mesh->monotonic_us;
    link->mesh->stats.bytes_out += size;
    link->moved_out_bytes += size;
    if (link_out_bytes(link) == 0) {
        link->wants_send = false;
    }
}

/* ---- introductions ---- */

static void introduce_range(struct mesh_link *link, unsigned begin, unsigned end) {
    const struct replicas *replicas = link->mesh->data.replicas(link->mesh->data.udata);
    struct buffer ids = {0};
    uint64_t count = 0;
    for (unsigned slot = begin; slot < end; slot++) {
        if (replicas->slots[slot].ref == 0) {
            continue;
        }
        struct link_slot *known = streamer_slot(link, slot);
        if (!known->is_introduced) {
            known->is_introduced = true;
            buffer_append(&ids, replicas->slots[slot].id.node, REPLICA_NODE_ID_BYTES);
            codec_put_varint(&ids, replicas->slots[slot].id.generation);
            count++;
        }
    }
    if (count > 0) {
        struct buffer payload = {0};
        codec_put_varint(&payload, count);
        buffer_append_slice(&payload, buffer_slice(&ids));
        link_send(link, MESH_FRAME_INTRODUCE, buffer_slice(&payload));
        buffer_deinit(&payload);
    }
    buffer_deinit(&ids);
}

void link_introduce(struct mesh_link *link, unsigned slot) {
    if (!streamer_slot(link, slot)->is_introduced) {
        introduce_range(link, slot, slot + 1);
    }
}

void link_introduce_all(struct mesh_link *link) {
    introduce_range(link, 1, link->mesh->data.replicas(link->mesh->data.udata)->slots_count);
}

/* ---- time ---- */

void link_ping(struct mesh_link *link) {
    if (link->ping_us == 0) {
        link->ping_number++;
        link->ping_us = link->mesh->monotonic_us;
    }
    send_ping(link, MESH_FRAME_PING, link->ping_number);
}

void link_tick(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    uint64_t now_us = mesh->monotonic_us;
    if (link->is_closing || link->is_gone) {
        return;
    }
    if (link->state != MESH_LINK_UP) {
        if (now_us - link->opened_us > MESH_HANDSHAKE_MS * 1000ULL) {
            link_close(link, MESH_REASON_TIMEOUT, false);
        }
        return;
    }
    /* What is not read cannot be heard. */
    if (link->stream.blocked.size > link->stream.blocked_start) {
        link->heard_us = now_us;
    }
    if (now_us - link->heard_us > MESH_LINK_SILENCE_MS * 1000ULL) {
        link_close(link, MESH_REASON_TIMEOUT, false);
        return;
    }
    if (now_us >= link->next_ping_us && link_out_bytes(link) < MESH_LINK_OUT_BYTES_MAX) {
        /* The first round trips are those of nodes that start, or are busy: a near peer looks far.
         */
        bool is_early = link->round_trips_count < LINK_ROUND_TRIPS_MIN && is_far(link);
        link->next_ping_us = now_us + (is_early ? LINK_EARLY_PING_MS : MESH_PING_MS) * 1000ULL;
        link_ping(link);
    }
}

void link_rest(struct mesh_link *link) {
    if (link->moved_out_bytes <= LINK_RESTS_BYTES_MAX && link_out_bytes(link) == 0) {
        outbox_deinit(&link->out);
    }
    if (link->moved_in_bytes <= LINK_RESTS_BYTES_MAX) {
        frame_reader_rest(&link->in);
    }
    link->moved_in_bytes = link->moved_out_bytes = 0;
}

struct mesh_link *mesh_find_link(const struct mesh *mesh, const struct member *member) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link->member == member && link_is_up(link)) {
            return link;
        }
    }
    return NULL;
}
