/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams in, and what the peers have: streamer.h has the idea. Records are taken by streamer_in.c,
 * and asked for by streamer_ask.c. */
#include "mesh/streamer.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/varint.h"
#include "mesh/mesh_state.h"
#include "mesh/streamer_internal.h"

/* Between two ACKs, each of which costs every peer a wake-up; the first after a pause goes at once.
 * Who waits for one asks for it, by a PING. */
enum { ACK_GAP_US = 5000 };

/* ---- life ---- */

void streamer_init(struct mesh *mesh) {
    mesh->streamer = (struct streamer){.out = streamer_out_new(mesh)};
}

void streamer_drop_queue(struct mesh *mesh, struct stream_author *author) {
    struct streamer *streamer = &mesh->streamer;
    while (author->first != NULL) {
        struct waiting_record *record = author->first;
        author->first = record->next;
        streamer->waiting_bytes -= record->size;
        streamer->waiting_records--;
        memory_free(record);
    }
    author->last = NULL;
    author->waiting_since_us = 0;
    streamer_stop_asking(author);
}

void streamer_deinit(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    for (unsigned slot = 0; slot < streamer->authors_count; slot++) {
        streamer_drop_queue(mesh, &streamer->authors[slot]);
    }
    ensure(streamer->waiting_bytes == 0);
    memory_free(streamer->authors);
    memory_free(streamer->told_ticks);
    streamer_out_free(streamer->out);
    *streamer = (struct streamer){0};
}

struct stream_author *streamer_author(struct mesh *mesh, unsigned slot) {
    struct streamer *streamer = &mesh->streamer;
    uint64_t ref = streamer_replicas(mesh)->slots[slot].ref;
    if (slot >= streamer->authors_count) {
        unsigned count = slot + slot / 2 + 4;
        streamer->authors = memory_resize(streamer->authors, count * sizeof(streamer->authors[0]));
        memset(streamer->authors + streamer->authors_count, 0,
               (count - streamer->authors_count) * sizeof(streamer->authors[0]));
        streamer->authors_count = count;
    }
    struct stream_author *author = &streamer->authors[slot];
    if (author->ref != ref) {
        streamer_drop_queue(mesh, author);
        *author = (struct stream_author){.ref = ref};
    }
    return author;
}

struct link_slot *streamer_slot(struct mesh_link *link, unsigned slot) {
    struct link_stream *stream = &link->stream;
    const struct replicas *replicas = streamer_replicas(link->mesh);
    require(slot < replicas->slots_count);
    if (slot >= stream->slots_count) {
        unsigned count = slot + slot / 2 + 4;
        stream->slots = memory_resize(stream->slots, count * sizeof(stream->slots[0]));
        memset(stream->slots + stream->slots_count, 0,
               (count - stream->slots_count) * sizeof(stream->slots[0]));
        stream->slots_count = count;
    }
    struct link_slot *known = &stream->slots[slot];
    if (known->ref != replicas->slots[slot].ref) {
        *known = (struct link_slot){.ref = replicas->slots[slot].ref};
    }
    return known;
}

void streamer_drop_early(struct mesh *mesh, const uint8_t *node_id, uint64_t generation) {
    struct streamer *streamer = &mesh->streamer;
    const struct replicas *replicas = streamer_replicas(mesh);
    for (unsigned slot = 1; slot < streamer->authors_count && slot < replicas->slots_count;
         slot++) {
        const struct replica *replica = &replicas->slots[slot];
        if (replica->ref != 0 && replica->id.generation < generation &&
            memcmp(replica->id.node, node_id, REPLICA_NODE_ID_BYTES) == 0) {
            streamer_drop_queue(mesh, &streamer->authors[slot]);
        }
    }
}

void streamer_forget_slot(struct mesh *mesh, unsigned slot) {
    struct streamer *streamer = &mesh->streamer;
    if (slot < streamer->authors_count) {
        streamer_drop_queue(mesh, &streamer->authors[slot]);
        streamer->authors[slot] = (struct stream_author){0};
    }
    if (slot < streamer->told_count) {
        streamer->told_ticks[slot] = 0;
    }
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (slot < link->stream.slots_count) {
            link->stream.slots[slot] = (struct link_slot){0};
        }
    }
}

bool streamer_is_node_of(const struct mesh_link *link, const struct replica *replica) {
    return memcmp(link->peer.node, replica->id.node, REPLICA_NODE_ID_BYTES) == 0;
}

void streamer_link_closed(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct streamer *streamer = &mesh->streamer;
    const struct replicas *replicas = streamer_replicas(mesh);
    const struct context *context = mesh->data.context(mesh->data.udata);
    streamer_out_stop(link);
    for (unsigned slot = 1; slot < link->stream.slots_count && slot < replicas->slots_count;
         slot++) {
        const struct link_slot *known = &link->stream.slots[slot];
        if (known->ref == 0 || known->ref != replicas->slots[slot].ref || link->member == NULL ||
            slot == replicas->self) {
            continue;
        }
        /* Who delivered this author is gone: the rest of an open unit will come with its begin. */
        if ((known->is_subscribed || streamer_is_node_of(link, &replicas->slots[slot])) &&
            streamer_received_ticks(mesh, slot) > stamp_ticks(context->stamps[slot])) {
            mesh->data.forget_unit(mesh->data.udata, slot);
        }
    }
    for (unsigned slot = 0; slot < streamer->authors_count; slot++) {
        if (streamer->authors[slot].asked == link) {
            streamer->authors[slot].asked = NULL;
            streamer->authors[slot].is_answered = true; /* by what is here */
        }
        for (struct waiting_record *record = streamer->authors[slot].first; record != NULL;
             record = record->next) {
            if (record->from == link) {
                record->from = NULL;
            }
        }
    }
    memory_free(link->stream.slots);
    buffer_deinit(&link->stream.blocked);
    link->stream = (struct link_stream){0};
}

/* ---- what the peer has ---- */

static void peer_acknowledged(struct mesh_link *link, uint64_t stamp) {
    uint64_t ticks = stamp_ticks(stamp);
    struct link_slot *known = streamer_slot(link, stamp_slot(stamp));
    if (ticks > known->acknowledged_ticks) {
        known->acknowledged_ticks = ticks;
    }
    if (ticks > known->sent_ticks) {
        known->sent_ticks = ticks;
    }
}

void streamer_peer_context(struct mesh_link *link, const struct context *context) {
    const struct replicas *replicas = streamer_replicas(link->mesh);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (replicas->slots[slot].ref != 0) {
            struct link_slot *known = streamer_slot(link, slot);
            known->sent_ticks = known->acknowledged_ticks = stamp_ticks(context->stamps[slot]);
        }
    }
    streamer_out_seek(link);
    if (link->mesh->streamer.is_paused) {
        struct buffer payload = {0};
        codec_put_varint(&payload, 0);
        link_send(link, MESH_FRAME_UNSUBSCRIBE, buffer_slice(&payload));
        buffer_deinit(&payload);
    }
}

void streamer_restart_link(struct mesh_link *link) {
    if (link->stream.state == STREAM_LOST) {
        streamer_out_seek(link);
    }
}

/* What came before a fault was seen, too. */
bool streamer_ack_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    uint64_t count, stamp;
    bool is_unknown;
    if (!varint_take(&payload, &count)) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!mesh_take_seen(&payload, streamer_replicas(mesh), &stamp, &is_unknown)) {
            return false;
        }
        if (stamp_ticks(stamp) != 0) {
            membership_note_seen(link->member, stamp);
            peer_acknowledged(link, stamp);
        }
    }
    mesh->stats.acks_in++;
    return true;
}

bool streamer_subscribe_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    const struct replicas *replicas = streamer_replicas(mesh);
    const struct context *context = mesh->data.context(mesh->data.udata);
    uint64_t count, ref, ticks;
    bool must_seek = false;
    if (!varint_take(&payload, &count)) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!codec_take_u64(&payload, &ref) || !varint_take(&payload, &ticks) || ref == 0) {
            return false;
        }
        unsigned slot = replicas_find(replicas, ref);
        if (slot == 0) {
            continue;
        }
        struct link_slot *known = streamer_slot(link, slot);
        /* A peer that waits asks again and again. To place a stream that has a file to pass over
         * first anew each time would be never to come to what is asked for. */
        must_seek = must_seek || (ticks < stamp_ticks(context->stamps[slot]) &&
                                  !streamer_out_comes_to(link, slot, ticks));
        known->is_wanted = true;
        known->sent_ticks = ticks;
    }
    if (must_seek && link->stream.state != STREAM_OFF) {
        streamer_out_seek(link);
    }
    return true;
}

bool streamer_unsubscribe_frame(struct mesh_link *link, struct slice payload) {
    const struct replicas *replicas = streamer_replicas(link->mesh);
    uint64_t count, ref;
    if (!varint_take(&payload, &count)) {
        return false;
    }
    if (count == 0) {
        streamer_out_stop(link);
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!codec_take_u64(&payload, &ref)) {
            return false;
        }
        unsigned slot = replicas_find(replicas, ref);
        if (slot != 0) {
            streamer_slot(link, slot)->is_wanted = false;
        }
    }
    return true;
}

bool streamer_lost_frame(struct mesh_link *link, struct slice payload) {
    uint64_t number, flags, owes_from = 0;
    if (!varint_take(&payload, &link->peer_members) || !varint_take(&payload, &link->peer_keys) ||
        !varint_take(&payload, &number) || !varint_take(&payload, &flags) ||
        ((flags & MESH_LOST_WAS_PUT_BACK) != 0 && !varint_take(&payload, &owes_from))) {
        return false;
    }
    if (number != link->contexts_sent) {
        return true; /* it was under way when this node told what it has by now */
    }
    link->owes_from = owes_from;
    link->was_retired = (flags & MESH_LOST_WAS_RETIRED) != 0;
    if ((flags & MESH_LOST_LOG_SERVES) != 0) {
        catchup_wait(link);
    } else {
        catchup_consider(link, (flags & MESH_LOST_LACKS_SETTLED) != 0,
                         (flags & MESH_LOST_WAS_FORGOTTEN) != 0);
    }
    return true;
}

/* ---- acknowledging ---- */

static void send_whole_ack(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct buffer payload = {0};
    link_introduce_all(link);
    mesh_put_context(&payload, streamer_replicas(mesh), mesh->data.context(mesh->data.udata));
    link_send(link, MESH_FRAME_ACK, buffer_slice(&payload));
    buffer_deinit(&payload);
    link->stream.is_ack_missed = false;
    mesh->stats.acks_out++;
}

static void acknowledge(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    const struct replicas *replicas = streamer_replicas(mesh);
    const struct context *context = mesh->data.context(mesh->data.udata);
    struct buffer entries = {0}, payload = {0};
    uint64_t count = 0;
    if (streamer->told_count < replicas->slots_count) {
        streamer->told_ticks = memory_resize(
            streamer->told_ticks, replicas->slots_count * sizeof(streamer->told_ticks[0]));
        memset(streamer->told_ticks + streamer->told_count, 0,
               (replicas->slots_count - streamer->told_count) * sizeof(streamer->told_ticks[0]));
        streamer->told_count = replicas->slots_count;
    }
    unsigned first = 0, last = 0;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        uint64_t ticks = stamp_ticks(context->stamps[slot]);
        if (slot != replicas->self && replicas->slots[slot].ref != 0 &&
            ticks > streamer->told_ticks[slot]) {
            streamer->told_ticks[slot] = ticks;
            codec_put_u64(&entries, replicas->slots[slot].ref);
            codec_put_varint(&entries, ticks);
            first = count == 0 ? slot : first;
            last = slot;
            count++;
        }
    }
    if (count > 0) {
        codec_put_varint(&payload, count);
        buffer_append_slice(&payload, buffer_slice(&entries));
    }
    for (struct mesh_link *link = mesh->links; link != NULL && count > 0; link = link->next) {
        if (!link_is_up(link)) {
            continue;
        }
        if (link_out_bytes(link) >= MESH_LINK_OUT_BYTES_MAX) {
            link->stream.is_ack_missed = true;
            continue;
        }
        for (unsigned slot = first; slot <= last; slot++) {
            if (replicas->slots[slot].ref != 0) {
                link_introduce(link, slot);
            }
        }
        link_send(link, MESH_FRAME_ACK, buffer_slice(&payload));
        mesh->stats.acks_out++;
    }
    buffer_deinit(&entries);
    buffer_deinit(&payload);
}

/* ---- turns ---- */

void streamer_run(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    if (!streamer->is_paused) {
        if (streamer->has_blocked) {
            streamer_take_blocked(mesh);
        }
        if (streamer->waiting_records > 0) {
            streamer_drain(mesh);
            streamer_ask_for_missing(mesh);
        }
    }
    if (streamer->has_moved && streamer_ack_wait_us(mesh) == 0) {
        streamer_acknowledge(mesh);
    }
}

void streamer_acknowledge(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    if (streamer->has_moved) {
        streamer->has_moved = false;
        streamer->acknowledged_us = mesh->monotonic_us;
        acknowledge(mesh);
    }
}

uint64_t streamer_ack_wait_us(const struct mesh *mesh) {
    const struct streamer *streamer = &mesh->streamer;
    uint64_t passed_us = mesh->monotonic_us - streamer->acknowledged_us;
    if (!streamer->has_moved) {
        return UINT64_MAX;
    }
    return passed_us < ACK_GAP_US ? ACK_GAP_US - passed_us : 0;
}

void streamer_ask_for_acks(struct mesh *mesh) {
    unsigned self = streamer_replicas(mesh)->self;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (!link_is_up(link)) {
            continue;
        }
        const struct link_slot *known = streamer_slot(link, self);
        if (known->acknowledged_ticks < known->sent_ticks &&
            link->stream.asked_ticks != known->sent_ticks) {
            link->stream.asked_ticks = known->sent_ticks;
            link_ping(link);
        }
    }
}

void streamer_tick(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    streamer->is_busy = false;
    streamer_run(mesh);
    if (streamer->has_dropped && !streamer->is_paused) {
        streamer_ask_for_dropped(mesh);
    }
}

void streamer_tick_link(struct mesh_link *link) {
    if (!link_is_up(link)) {
        return;
    }
    if (link->stream.is_ack_missed && link_out_bytes(link) < MESH_LINK_OUT_BYTES_MAX) {
        send_whole_ack(link);
    }
    if (link->stream.state == STREAM_LOST && link->mesh->monotonic_us >= link->stream.retry_us) {
        streamer_out_seek(link);
    }
}

/* ---- catching up by a snapshot ---- */

void streamer_pause(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    struct buffer payload = {0};
    streamer->is_paused = true;
    codec_put_varint(&payload, 0);
    for (unsigned slot = 0; slot < streamer->authors_count; slot++) {
        streamer_drop_queue(mesh, &streamer->authors[slot]);
        streamer->authors[slot].is_dropped = false;
    }
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        buffer_clear(&link->stream.blocked);
        link->stream.blocked_start = 0;
        for (unsigned slot = 0; slot < link->stream.slots_count; slot++) {
            link->stream.slots[slot].is_subscribed = false;
            link->stream.slots[slot].asked_us = 0;
        }
        if (link_is_up(link)) {
            link_send(link, MESH_FRAME_UNSUBSCRIBE, buffer_slice(&payload));
        }
    }
    buffer_deinit(&payload);
}

void streamer_resume(struct mesh *mesh) {
    mesh->streamer.is_paused = false;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link)) {
            handshake_send_context(link);
        }
    }
}
