/* SPDX-License-Identifier: BSD-3-Clause */
/* Records in. */
#include "base/check.h"
#include "base/memory.h"
#include "base/varint.h"
#include "mesh/admission.h"
#include "mesh/streamer_internal.h"

enum { CLOCK_SLACK_MS = 1000 }; /* beyond max_clock_drift, for records */

enum record_fate { FATE_TAKEN, FATE_BUSY, FATE_LINK_ENDED };

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

/* May what the first record waits for be here by now? */
static bool is_missing_here(const struct mesh *mesh, const struct stream_author *author) {
    if (author->is_asking) {
        return author->is_answered;
    }
    const struct replicas *replicas = streamer_replicas(mesh);
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
        bool was_asking = author->is_asking;
        streamer_stop_asking(author);
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
        case MESH_APPLY_ASK:
            streamer_ask_questions(mesh, slot);
            return has_gone;
        case MESH_APPLY_BUSY:
            streamer->is_busy = true;
            /* It is tried again later, though it waits for no record that would tell when. */
            author->is_asking = author->is_answered = was_asking;
            return has_gone;
        case MESH_APPLY_GAP:
            mesh->stats.gaps++;
            author->is_dropped = streamer->has_dropped = true;
            streamer_drop_queue(mesh, author);
            return has_gone;
        case MESH_APPLY_UNKNOWN:
        case MESH_APPLY_MALFORMED:
            if (record->from != NULL) {
                link_close(record->from, MESH_REASON_GARBAGE, true);
            }
            author->is_dropped = streamer->has_dropped = true;
            streamer_drop_queue(mesh, author);
            return has_gone;
        }
        has_gone = true;
        author->first = record->next;
        if (author->first == NULL) {
            author->last = NULL;
        }
        author->waiting_since_us = author->first != NULL ? mesh->monotonic_us : 0;
        author->asked_rounds = 0;
        streamer->waiting_bytes -= record->size;
        streamer->waiting_records--;
        memory_free(record);
    }
    return has_gone;
}

void streamer_drain(struct mesh *mesh) {
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
            streamer_subscribe(link, slot, tail_ticks);
        }
    } else {
        enqueue(link, author, bytes, record->last_ticks);
    }
}

/* The author's slot; 0 when the record is not to be applied. */
static unsigned judge_author(struct mesh_link *link, const struct stream_record *record) {
    struct mesh *mesh = link->mesh;
    const struct replicas *replicas = streamer_replicas(mesh);
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
        if (record->last_ticks > streamer_received_ticks(mesh, slot)) {
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
    struct stream_author *author = streamer_author(mesh, slot);
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
            streamer_drain(mesh);
        }
        break;
    case MESH_APPLY_DUPLICATE:
        mesh->stats.duplicates++;
        break;
    case MESH_APPLY_GAP:
        mesh->stats.gaps++;
        streamer_subscribe(link, slot, streamer_received_ticks(mesh, slot));
        break;
    case MESH_APPLY_EARLY:
        mesh->stats.early++;
        note_missing(mesh, author, &missing);
        enqueue(link, author, bytes, record.last_ticks);
        break;
    case MESH_APPLY_ASK:
        author = streamer_author(mesh, slot);
        enqueue(link, author, bytes, record.last_ticks);
        if (author->first != NULL) {
            streamer_ask_questions(mesh, slot);
        }
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

void streamer_take_blocked(struct mesh *mesh) {
    mesh->streamer.has_blocked = false;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link->stream.blocked.size > 0 && !link->is_closing) {
            take_blocked(link);
        }
        mesh->streamer.has_blocked |= link->stream.blocked.size > 0;
    }
}
