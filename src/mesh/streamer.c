/* SPDX-License-Identifier: BSD-3-Clause */
/* Records in: streamer.h has the idea. */
#include "mesh/streamer.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/varint.h"
#include "mesh/admission.h"
#include "mesh/mesh_state.h"

enum {
    CLOCK_SLACK_MS = 1000,  /* beyond max_clock_drift, for records */
    STALLED_ROUNDS_MAX = 2, /* without any move, then somebody else is asked */
    /* Between two ACKs, each of which costs every peer a wake-up; the first after a pause goes at
     * once. Who waits for one asks for it, by a PING. */
    ACK_GAP_US = 5000,
};

/* A record that came too early. */
struct waiting_record {
    struct waiting_record *next;
    struct mesh_link *from; /* NULL: closed since */
    uint64_t last_ticks;
    size_t size;
    char bytes[];
};

enum record_fate { FATE_TAKEN, FATE_BUSY, FATE_LINK_ENDED };

static struct replicas *get_replicas(const struct mesh *mesh) {
    return mesh->data.replicas(mesh->data.udata);
}

static uint64_t received_ticks(const struct mesh *mesh, unsigned slot) {
    return mesh->data.received_ticks(mesh->data.udata, slot);
}

/* ---- life ---- */

void streamer_init(struct mesh *mesh) {
    mesh->streamer = (struct streamer){.out = streamer_out_new(mesh)};
}

static void drop_queue(struct mesh *mesh, struct stream_author *author) {
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
}

void streamer_deinit(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    for (unsigned slot = 0; slot < streamer->authors_count; slot++) {
        drop_queue(mesh, &streamer->authors[slot]);
    }
    ensure(streamer->waiting_bytes == 0);
    memory_free(streamer->authors);
    memory_free(streamer->told_ticks);
    streamer_out_free(streamer->out);
    *streamer = (struct streamer){0};
}

static struct stream_author *get_author(struct mesh *mesh, unsigned slot) {
    struct streamer *streamer = &mesh->streamer;
    uint64_t ref = get_replicas(mesh)->slots[slot].ref;
    if (slot >= streamer->authors_count) {
        unsigned count = slot + slot / 2 + 4;
        streamer->authors = memory_resize(streamer->authors, count * sizeof(streamer->authors[0]));
        memset(streamer->authors + streamer->authors_count, 0,
               (count - streamer->authors_count) * sizeof(streamer->authors[0]));
        streamer->authors_count = count;
    }
    struct stream_author *author = &streamer->authors[slot];
    if (author->ref != ref) {
        drop_queue(mesh, author);
        *author = (struct stream_author){.ref = ref};
    }
    return author;
}

struct link_slot *streamer_slot(struct mesh_link *link, unsigned slot) {
    struct link_stream *stream = &link->stream;
    const struct replicas *replicas = get_replicas(link->mesh);
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
    const struct replicas *replicas = get_replicas(mesh);
    for (unsigned slot = 1; slot < streamer->authors_count && slot < replicas->slots_count;
         slot++) {
        const struct replica *replica = &replicas->slots[slot];
        if (replica->ref != 0 && replica->id.generation < generation &&
            memcmp(replica->id.node, node_id, REPLICA_NODE_ID_BYTES) == 0) {
            drop_queue(mesh, &streamer->authors[slot]);
        }
    }
}

void streamer_forget_slot(struct mesh *mesh, unsigned slot) {
    struct streamer *streamer = &mesh->streamer;
    if (slot < streamer->authors_count) {
        drop_queue(mesh, &streamer->authors[slot]);
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

static bool is_node_of(const struct mesh_link *link, const struct replica *replica) {
    return memcmp(link->peer.node, replica->id.node, REPLICA_NODE_ID_BYTES) == 0;
}

void streamer_link_closed(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct streamer *streamer = &mesh->streamer;
    const struct replicas *replicas = get_replicas(mesh);
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
        if ((known->is_subscribed || is_node_of(link, &replicas->slots[slot])) &&
            received_ticks(mesh, slot) > stamp_ticks(context->stamps[slot])) {
            mesh->data.forget_unit(mesh->data.udata, slot);
        }
    }
    for (unsigned slot = 0; slot < streamer->authors_count; slot++) {
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
    const struct replicas *replicas = get_replicas(link->mesh);
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
        if (!mesh_take_seen(&payload, get_replicas(mesh), &stamp, &is_unknown)) {
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
    const struct replicas *replicas = get_replicas(mesh);
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
    const struct replicas *replicas = get_replicas(link->mesh);
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

/* ---- asking ---- */

static void send_refs(struct mesh_link *link, enum mesh_frame type, uint64_t ref, uint64_t ticks) {
    struct buffer payload = {0};
    codec_put_varint(&payload, 1);
    codec_put_u64(&payload, ref);
    if (type == MESH_FRAME_SUBSCRIBE) {
        codec_put_varint(&payload, ticks);
    }
    link_send(link, type, buffer_slice(&payload));
    buffer_deinit(&payload);
}

/* Asks for a replica's records from `ticks` on, unless that was done just now. */
static void subscribe(struct mesh_link *link, unsigned slot, uint64_t ticks) {
    struct mesh *mesh = link->mesh;
    const struct replicas *replicas = get_replicas(mesh);
    if (!link_is_up(link) || mesh->streamer.is_paused || slot == replicas->self) {
        return;
    }
    struct link_slot *known = streamer_slot(link, slot);
    uint64_t pause_us = MESH_EARLY_PATIENCE_MS * 1000ULL + 2 * link->round_trip_us;
    if (known->asked_us != 0 && mesh->monotonic_us - known->asked_us < pause_us) {
        return;
    }
    known->asked_us = mesh->monotonic_us != 0 ? mesh->monotonic_us : 1;
    if (!is_node_of(link, &replicas->slots[slot])) {
        known->is_subscribed = get_author(mesh, slot)->has_relay = true;
    }
    send_refs(link, MESH_FRAME_SUBSCRIBE, replicas->slots[slot].ref, ticks);
}

static void unsubscribe(struct mesh_link *link, unsigned slot) {
    struct link_slot *known = streamer_slot(link, slot);
    known->is_subscribed = false;
    known->asked_us = 0;
    send_refs(link, MESH_FRAME_UNSUBSCRIBE, known->ref, 0);
}

/* Has its peer more, of what is not void? */
static bool is_ahead(const struct mesh_link *link, unsigned slot, uint64_t ticks) {
    const struct replica *replica = &get_replicas(link->mesh)->slots[slot];
    return stamp_ticks(member_seen(link->member, slot)) > ticks &&
           !(replica->is_ended && ticks >= replica->ended_ticks);
}

/* A link at which the author's records above `ticks` are, the author's own before others, `but`
 * only when there is no other; NULL when there is none. */
static struct mesh_link *find_source(struct mesh *mesh, unsigned slot, uint64_t ticks,
                                     const struct mesh_link *but) {
    const struct replica *replica = &get_replicas(mesh)->slots[slot];
    struct mesh_link *found = NULL, *last = NULL;
    uint64_t count = 0;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (!link_is_up(link) || !is_ahead(link, slot, ticks)) {
            continue;
        }
        if (link == but) {
            last = link;
            continue;
        }
        if (is_node_of(link, replica)) {
            return link;
        }
        if (prng_below(&mesh->prng, ++count) == 0) {
            found = link;
        }
    }
    return found != NULL ? found : last;
}

/* ---- records ---- */

/* Far ahead of the wall clock, and of all stamps that are here already: when all clocks go back by
 * an hour, stamps go on from where they were. */
static bool is_from_future(const struct mesh *mesh, uint64_t ticks) {
    int64_t unix_ms = stamp_unix_ms(stamp_make(ticks, 0));
    if (unix_ms <= mesh->unix_ms + (int64_t)mesh->settings.max_clock_drift_ms + CLOCK_SLACK_MS) {
        return false;
    }
    const struct context *context = mesh->data.context(mesh->data.udata);
    uint64_t newest_ticks = 0;
    for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
        uint64_t seen_ticks = stamp_ticks(context->stamps[slot]);
        newest_ticks = seen_ticks > newest_ticks ? seen_ticks : newest_ticks;
    }
    return unix_ms > stamp_unix_ms(stamp_make(newest_ticks, 0)) + CLOCK_SLACK_MS;
}

/* Puts a record behind those of its author that wait; or drops it, to be asked for later. */
static void enqueue(struct mesh_link *link, struct stream_author *author, struct slice bytes,
                    uint64_t last_ticks) {
    struct mesh *mesh = link->mesh;
    struct streamer *streamer = &mesh->streamer;
    if (streamer->waiting_bytes + bytes.size > mesh->settings.max_waiting_bytes) {
        mesh->stats.waiting_dropped++;
        author->is_dropped = streamer->has_dropped = true;
        return;
    }
    struct waiting_record *record = memory_try_alloc(sizeof(*record) + bytes.size);
    if (record == NULL) {
        mesh->stats.waiting_dropped++;
        author->is_dropped = streamer->has_dropped = true;
        return;
    }
    *record = (struct waiting_record){.from = link, .last_ticks = last_ticks, .size = bytes.size};
    memcpy(record->bytes, bytes.data, bytes.size);
    if (author->last != NULL) {
        author->last->next = record;
    } else {
        author->first = record;
        author->waiting_since_us = mesh->monotonic_us;
    }
    author->last = record;
    streamer->waiting_bytes += bytes.size;
    streamer->waiting_records++;
}

static void note_missing(struct mesh *mesh, struct stream_author *author,
                         const struct stream_mark *missing) {
    if (author->missing_ref != missing->ref || author->missing_ticks != missing->ticks) {
        author->missing_ref = missing->ref;
        author->missing_ticks = missing->ticks;
        author->waiting_since_us = mesh->monotonic_us;
    }
}

static bool is_missing_here(const struct mesh *mesh, const struct stream_author *author) {
    const struct replicas *replicas = get_replicas(mesh);
    unsigned slot = replicas_find(replicas, author->missing_ref);
    if (slot == 0) {
        return replicas_find_retired(replicas, author->missing_ref) != NULL;
    }
    uint64_t stamp = stamp_make(author->missing_ticks, slot);
    return mesh->data.context(mesh->data.udata)->stamps[slot] >= stamp ||
           replicas_is_void(replicas, stamp);
}

/* Applies what waits of one author as far as it can go; true when something went. */
static bool drain_author(struct mesh *mesh, unsigned slot) {
    struct streamer *streamer = &mesh->streamer;
    bool has_gone = false;
    while (streamer->authors[slot].first != NULL && !streamer->is_busy) {
        struct stream_author *author = &streamer->authors[slot];
        struct waiting_record *record = author->first;
        struct stream_mark missing = {0};
        enum mesh_apply status =
            mesh->data.apply(mesh->data.udata, slice_make(record->bytes, record->size), &missing);
        switch (status) {
        case MESH_APPLY_OK:
            mesh->stats.records_in++;
            streamer->has_moved = true;
            break;
        case MESH_APPLY_DUPLICATE:
            mesh->stats.duplicates++;
            break;
        case MESH_APPLY_EARLY:
            note_missing(mesh, author, &missing);
            return has_gone;
        case MESH_APPLY_BUSY:
            streamer->is_busy = true;
            return has_gone;
        case MESH_APPLY_GAP:
            mesh->stats.gaps++;
            author->is_dropped = streamer->has_dropped = true;
            drop_queue(mesh, author);
            return has_gone;
        case MESH_APPLY_UNKNOWN:
        case MESH_APPLY_MALFORMED:
            if (record->from != NULL) {
                link_close(record->from, MESH_REASON_GARBAGE, true);
            }
            author->is_dropped = streamer->has_dropped = true;
            drop_queue(mesh, author);
            return has_gone;
        }
        has_gone = true;
        author->first = record->next;
        if (author->first == NULL) {
            author->last = NULL;
        }
        author->waiting_since_us = author->first != NULL ? mesh->monotonic_us : 0;
        streamer->waiting_bytes -= record->size;
        streamer->waiting_records--;
        memory_free(record);
    }
    return has_gone;
}

/* What one record lets go may be what the next waits for. */
static void drain(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    bool has_gone = true;
    while (has_gone && streamer->waiting_records > 0 && !streamer->is_busy) {
        has_gone = false;
        for (unsigned slot = 1; slot < streamer->authors_count; slot++) {
            const struct stream_author *author = &streamer->authors[slot];
            if (author->first != NULL && is_missing_here(mesh, author)) {
                has_gone = drain_author(mesh, slot) || has_gone;
            }
        }
    }
}

/* A record of an author of whom records wait already. */
static void queue_behind(struct mesh_link *link, unsigned slot, struct stream_author *author,
                         const struct stream_record *record, struct slice bytes) {
    struct mesh *mesh = link->mesh;
    uint64_t tail_ticks = author->last->last_ticks;
    if (record->last_ticks <= tail_ticks) {
        mesh->stats.duplicates++;
    } else if (record->previous_ticks > tail_ticks) {
        if (!author->is_dropped) {
            mesh->stats.gaps++;
            subscribe(link, slot, tail_ticks);
        }
    } else {
        enqueue(link, author, bytes, record->last_ticks);
    }
}

/* The author's slot; 0 when the record is not to be applied. */
static unsigned judge_author(struct mesh_link *link, const struct stream_record *record) {
    struct mesh *mesh = link->mesh;
    const struct replicas *replicas = get_replicas(mesh);
    unsigned slot = replicas_find(replicas, record->ref);
    if (slot == 0) {
        if (replicas_find_retired(replicas, record->ref) != NULL) {
            mesh->stats.duplicates++;
        } else if (replicas->slots_count < STAMP_SLOTS_COUNT) {
            link_close(link, MESH_REASON_GARBAGE, true);
        } else {
            mesh->stats.waiting_dropped++; /* no slot was free for it */
        }
        return 0;
    }
    if (slot == replicas->self) {
        if (record->last_ticks > received_ticks(mesh, slot)) {
            mesh_want_generation(mesh, 0);
        } else {
            mesh->stats.duplicates++;
        }
        return 0;
    }
    if (is_from_future(mesh, record->last_ticks)) {
        link_close(link, MESH_REASON_CLOCK, true);
        return 0;
    }
    return slot;
}

static enum record_fate take_record(struct mesh_link *link, struct slice bytes) {
    struct mesh *mesh = link->mesh;
    struct streamer *streamer = &mesh->streamer;
    struct stream_record record;
    struct stream_mark missing = {0};
    if (!stream_record_take(bytes, &record)) {
        link_close(link, MESH_REASON_GARBAGE, true);
        return FATE_LINK_ENDED;
    }
    unsigned slot = judge_author(link, &record);
    if (slot == 0 || admission_refuses(link, slot)) {
        return link->is_closing ? FATE_LINK_ENDED : FATE_TAKEN;
    }
    struct stream_author *author = get_author(mesh, slot);
    if (author->first != NULL) {
        queue_behind(link, slot, author, &record, bytes);
        return FATE_TAKEN;
    }
    switch (mesh->data.apply(mesh->data.udata, bytes, &missing)) {
    case MESH_APPLY_OK:
        mesh->stats.records_in++;
        streamer->has_moved = true;
        streamer_slot(link, slot)->asked_us = 0;
        if (streamer->waiting_records > 0) {
            drain(mesh);
        }
        break;
    case MESH_APPLY_DUPLICATE:
        mesh->stats.duplicates++;
        break;
    case MESH_APPLY_GAP:
        mesh->stats.gaps++;
        subscribe(link, slot, received_ticks(mesh, slot));
        break;
    case MESH_APPLY_EARLY:
        mesh->stats.early++;
        note_missing(mesh, author, &missing);
        enqueue(link, author, bytes, record.last_ticks);
        break;
    case MESH_APPLY_BUSY:
        streamer->is_busy = true;
        return FATE_BUSY;
    case MESH_APPLY_UNKNOWN:
    case MESH_APPLY_MALFORMED:
        link_close(link, MESH_REASON_GARBAGE, true);
        return FATE_LINK_ENDED;
    }
    return FATE_TAKEN;
}

/* Takes the records of a DATA payload from its front, which loses them. */
static enum record_fate take_records(struct mesh_link *link, struct slice *payload) {
    while (payload->size > 0) {
        struct slice rest = *payload, bytes;
        if (!varint_take_slice(&rest, &bytes)) {
            link_close(link, MESH_REASON_GARBAGE, true);
            return FATE_LINK_ENDED;
        }
        enum record_fate fate = take_record(link, bytes);
        if (fate != FATE_TAKEN) {
            return fate;
        }
        *payload = rest;
    }
    return FATE_TAKEN;
}

bool streamer_data_frame(struct mesh_link *link, struct slice payload) {
    struct streamer *streamer = &link->mesh->streamer;
    struct buffer *blocked = &link->stream.blocked;
    if (streamer->is_paused) {
        return true;
    }
    if (!streamer->is_busy && blocked->size == 0 && take_records(link, &payload) != FATE_BUSY) {
        return true;
    }
    codec_put_slice(blocked, payload);
    streamer->has_blocked = true;
    return true;
}

/* Goes on with what was blocked. */
static void take_blocked(struct mesh_link *link) {
    struct link_stream *stream = &link->stream;
    while (stream->blocked_start < stream->blocked.size && !link->mesh->streamer.is_busy) {
        struct slice all = slice_skip(buffer_slice(&stream->blocked), stream->blocked_start);
        struct slice payload;
        bool is_whole = varint_take_slice(&all, &payload);
        require(is_whole);
        enum record_fate fate = take_records(link, &payload);
        stream->blocked_start = stream->blocked.size - all.size;
        if (fate == FATE_BUSY && payload.size > 0) {
            /* What is left of this one becomes the front again. */
            char length[VARINT_BYTES_MAX];
            size_t length_bytes = varint_put(length, payload.size);
            require(stream->blocked_start >= payload.size + length_bytes);
            stream->blocked_start -= payload.size + length_bytes;
            memcpy(stream->blocked.data + stream->blocked_start, length, length_bytes);
        }
        if (link->is_closing) {
            break;
        }
    }
    if (stream->blocked_start == stream->blocked.size || link->is_closing) {
        buffer_deinit(&stream->blocked);
        stream->blocked = (struct buffer){0};
        stream->blocked_start = 0;
    }
}

static void take_all_blocked(struct mesh *mesh) {
    mesh->streamer.has_blocked = false;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link->stream.blocked.size > 0 && !link->is_closing) {
            take_blocked(link);
        }
        mesh->streamer.has_blocked |= link->stream.blocked.size > 0;
    }
}

/* ---- acknowledging ---- */

static void send_whole_ack(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct buffer payload = {0};
    link_introduce_all(link);
    mesh_put_context(&payload, get_replicas(mesh), mesh->data.context(mesh->data.udata));
    link_send(link, MESH_FRAME_ACK, buffer_slice(&payload));
    buffer_deinit(&payload);
    link->stream.is_ack_missed = false;
    mesh->stats.acks_out++;
}

static void acknowledge(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    const struct replicas *replicas = get_replicas(mesh);
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

/* What waits too long is asked for, where the record came from. */
static void ask_for_missing(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    for (unsigned slot = 1; slot < streamer->authors_count; slot++) {
        struct stream_author *author = &streamer->authors[slot];
        if (author->first == NULL ||
            mesh->monotonic_us - author->waiting_since_us < MESH_EARLY_PATIENCE_MS * 1000ULL) {
            continue;
        }
        author->waiting_since_us = mesh->monotonic_us;
        struct mesh_link *from = author->first->from;
        unsigned missing = replicas_find(get_replicas(mesh), author->missing_ref);
        if (missing == 0) {
            /* Never introduced: whoever has the record can. */
            if (from != NULL && link_is_up(from)) {
                send_refs(from, MESH_FRAME_SUBSCRIBE, author->missing_ref, 0);
            }
            continue;
        }
        if (get_author(mesh, missing)->first != NULL) {
            continue; /* it is here, and waits itself */
        }
        uint64_t ticks = received_ticks(mesh, missing);
        if (from == NULL || !link_is_up(from)) {
            from = find_source(mesh, missing, ticks, NULL);
        }
        if (from != NULL) {
            subscribe(from, missing, ticks);
        }
    }
}

/* Authors of whom something was dropped are asked for again once there is room. */
static void ask_for_dropped(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    bool has_more = false;
    for (unsigned slot = 1; slot < streamer->authors_count; slot++) {
        struct stream_author *author = &streamer->authors[slot];
        if (!author->is_dropped || author->first != NULL || author->ref == 0 ||
            streamer->waiting_bytes > mesh->settings.max_waiting_bytes / 2) {
            has_more = has_more || author->is_dropped;
            continue;
        }
        uint64_t ticks = received_ticks(mesh, slot);
        struct mesh_link *source = find_source(mesh, slot, ticks, NULL);
        if (source == NULL) {
            /* Nobody was heard to have more: whoever delivers it knows better. */
            for (source = mesh->links; source != NULL; source = source->next) {
                if (link_is_up(source) && is_node_of(source, &get_replicas(mesh)->slots[slot])) {
                    break;
                }
            }
        }
        if (source != NULL) {
            streamer_slot(source, slot)->asked_us = 0;
            subscribe(source, slot, ticks);
            author->is_dropped = false;
        }
        has_more = has_more || author->is_dropped;
    }
    streamer->has_dropped = has_more;
}

void streamer_run(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    if (!streamer->is_paused) {
        if (streamer->has_blocked) {
            take_all_blocked(mesh);
        }
        if (streamer->waiting_records > 0) {
            drain(mesh);
            ask_for_missing(mesh);
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
    unsigned self = get_replicas(mesh)->self;
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
        ask_for_dropped(mesh);
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

/* ---- relays ---- */

static struct mesh_link *find_author_link(struct mesh *mesh, unsigned slot) {
    const struct replica *replica = &get_replicas(mesh)->slots[slot];
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link) && is_node_of(link, replica)) {
            return link;
        }
    }
    return NULL;
}

static struct mesh_link *find_subscribed(struct mesh *mesh, unsigned slot) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link) && streamer_slot(link, slot)->is_subscribed) {
            return link;
        }
    }
    return NULL;
}

static void relay_slot(struct mesh *mesh, unsigned slot, uint64_t ticks, bool is_any_ahead) {
    struct stream_author *author = get_author(mesh, slot);
    bool has_moved = ticks != author->received_ticks;
    author->received_ticks = ticks;
    if (!is_any_ahead && !author->has_relay) {
        author->stalled_rounds = 0;
        return;
    }
    struct mesh_link *relay = author->has_relay ? find_subscribed(mesh, slot) : NULL;
    struct mesh_link *direct = find_author_link(mesh, slot);
    struct mesh_link *source =
        is_any_ahead && author->first == NULL ? find_source(mesh, slot, ticks, NULL) : NULL;
    author->has_relay = relay != NULL;
    if (source == NULL || has_moved) {
        author->stalled_rounds = 0;
        /* The author delivers: for a while both do, so that nothing stops in between. */
        if (relay != NULL && direct != NULL && source == NULL) {
            unsubscribe(relay, slot);
        }
        return;
    }
    author->stalled_rounds++;
    if (relay == NULL && direct == NULL) {
        subscribe(source, slot, ticks);
        author->stalled_rounds = 0;
    } else if (author->stalled_rounds >= STALLED_ROUNDS_MAX) {
        author->stalled_rounds = 0;
        if (relay != NULL) {
            source = find_source(mesh, slot, ticks, relay);
            unsubscribe(relay, slot);
        } else if (source == direct) {
            /* It was asked before, or should have sent it by itself: somebody else may do. */
            struct mesh_link *other = find_source(mesh, slot, ticks, direct);
            source = streamer_slot(direct, slot)->asked_us != 0 && other != NULL ? other : direct;
        }
        streamer_slot(source, slot)->asked_us = 0;
        subscribe(source, slot, ticks);
    }
}

/* Marks the slots of which one of `stamps` is newer than what was received. */
static void mark_ahead(const struct member_stamps *stamps, const uint64_t *received,
                       unsigned slots_count, bool *is_ahead_of) {
    for (unsigned i = 0; i < stamps->count; i++) {
        unsigned slot = stamp_slot(stamps->items[i]);
        if (slot < slots_count && stamp_ticks(stamps->items[i]) > received[slot]) {
            is_ahead_of[slot] = true;
        }
    }
}

void streamer_relay_round(struct mesh *mesh) {
    if (mesh->streamer.is_paused) {
        return;
    }
    const struct replicas *replicas = get_replicas(mesh);
    unsigned slots_count = replicas->slots_count;
    uint64_t received[STAMP_SLOTS_COUNT];
    bool is_ahead_of[STAMP_SLOTS_COUNT]; /* somebody linked is */
    memset(is_ahead_of, 0, slots_count * sizeof(is_ahead_of[0]));
    for (unsigned slot = 1; slot < slots_count; slot++) {
        received[slot] = replicas->slots[slot].ref != 0 ? received_ticks(mesh, slot) : 0;
    }
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link)) {
            mark_ahead(&link->member->seen, received, slots_count, is_ahead_of);
            if (link->member->claim != NULL) {
                mark_ahead(&link->member->claim->stamps, received, slots_count, is_ahead_of);
            }
        }
    }
    for (unsigned slot = 1; slot < slots_count; slot++) {
        const struct replica *replica = &replicas->slots[slot];
        if (replica->ref != 0 && slot != replicas->self) {
            bool is_all = replica->is_ended && received[slot] >= replica->ended_ticks;
            relay_slot(mesh, slot, received[slot], is_ahead_of[slot] && !is_all);
        }
    }
}

/* ---- catching up by a snapshot ---- */

void streamer_pause(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    struct buffer payload = {0};
    streamer->is_paused = true;
    codec_put_varint(&payload, 0);
    for (unsigned slot = 0; slot < streamer->authors_count; slot++) {
        drop_queue(mesh, &streamer->authors[slot]);
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
