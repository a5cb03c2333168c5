/* SPDX-License-Identifier: BSD-3-Clause */
/* Records out. Each turn reads every link's stream as far as the link's output has room, gathers
 * what the peer wants into frames, and coalesces on the way.
 *
 * Peers that are up to date read the same records in the same turn. So what was gathered last is
 * kept until the turn ends: a link that reads the same records sends the frame that was made of
 * them. A link that reads others after some that are the same keeps those.
 *
 * Records that lie in the log's memory are sent from there. Only others are copied: those that come
 * from files, and those that are joined. A frame has records of one kind.
 *
 *   gathered:  | 0 ... gathered_count | ... kept_count |
 *                of this link           of the one before, that this one may read yet */
#include "base/check.h"
#include "base/memory.h"
#include "base/varint.h"
#include "crdt/coalesce.h"
#include "mesh/mesh_state.h"
#include "mesh/streamer.h"

enum {
    LOST_RETRY_US = 1000000,      /* acknowledgements may have moved by then */
    OUT_KEPT_BYTES_MAX = 2 << 20, /* buffers that grew beyond give their memory back */
    /* Records that are looked at for one link in one turn, unwanted ones included. */
    OUT_RECORDS_MAX = 65536,
    /* Joining costs more than all else that is done with a run: it pays where it leaves out one
     * change of so many. Of a stream without such repetitions, every so many runs the first records
     * of one are tried: one less than a power of 2. */
    OUT_JOIN_PAYS_DIVISOR = 8,
    OUT_SKIPS_MAX = 7,
    OUT_TRIED_BYTES = 8 << 10,
    OUT_PIECES_MAX = 16, /* of one frame; more of them, small ones then, are copied */
};

/* A record of the frame that is being filled. */
struct out_record {
    struct shared_block *block; /* where it lies, held; NULL: in `frame` */
    struct slice framed;        /* there, with its length; in a block */
    size_t offset, size;        /* in `frame` */
    size_t payload_end;         /* of it and those before it */
    struct stream_record head;
    unsigned slot;
};

/* The run that was joined last, for the next link that sends it, too. */
struct joined_run {
    uint64_t ref, previous_ticks, last_ticks;
    size_t count;
    struct coalesce_result result;
    struct buffer record;
};

struct streamer_out {
    struct coalescer coalescer;
    /* Room for a header, then the payload: of the records as they are, and of joined ones. Links
     * hold references until they have sent them; NULL: none yet. */
    struct shared_frame *frame, *joined_frame;
    struct out_record *gathered;
    struct slice *slices;
    size_t gathered_count, kept_count, gathered_capacity;
    struct joined_run joined;
    /* What the kept records became when they were sent: so the next link sends the same. */
    struct {
        size_t count; /* of records that it is about; 0: none */
        bool is_joined, is_sealed;
        size_t pieces_count; /* that it consists of; 0: it is a frame of its own */
        uint64_t records_out, changes_coalesced;
    } shared;
    struct link_piece pieces[OUT_PIECES_MAX];
    char header[FRAME_HEADER_BYTES];
    /* Runs to send as they are, since joining the last ones left little out; 0: try again. */
    unsigned skips_left, skips_next;
    struct context seen; /* for seeking */
    bool was_used;       /* since the last gossip round */
    bool is_wanted[STAMP_SLOTS_COUNT];
};

struct streamer_out *streamer_out_new(struct mesh *mesh) {
    struct streamer_out *out = memory_alloc_zero(sizeof(*out));
    out->coalescer.seed =
        (struct hash_seed){.a = prng_next(&mesh->prng), .b = prng_next(&mesh->prng)};
    return out;
}

static void free_buffers(struct streamer_out *out) {
    coalescer_deinit(&out->coalescer);
    shared_frame_release(out->frame);
    shared_frame_release(out->joined_frame);
    buffer_deinit(&out->joined.record);
    memory_free(out->gathered);
    memory_free(out->slices);
}

void streamer_out_free(struct streamer_out *out) {
    free_buffers(out);
    memory_free(out);
}

void streamer_out_rest(struct streamer_out *out) {
    require(out->gathered_count == 0);
    require(out->kept_count == 0);
    if (!out->was_used && out->gathered_capacity > 0) {
        struct hash_seed seed = out->coalescer.seed;
        free_buffers(out);
        *out = (struct streamer_out){.coalescer.seed = seed};
    }
    out->was_used = false;
}

void streamer_out_seek(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    if (link->stream.reader == NULL) {
        link->stream.reader = mesh->data.stream_new(mesh->data.udata);
    }
    link->stream.state = STREAM_SEEK;
    mesh->streamer.wants_push = true;
}

void streamer_out_stop(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    if (link->stream.reader != NULL) {
        mesh->data.stream_free(mesh->data.udata, link->stream.reader);
    }
    link->stream.reader = NULL;
    link->stream.state = STREAM_OFF;
    link->stream.is_behind = link->stream.is_waiting = false;
}

/* ---- placing ---- */

static bool is_sent(struct mesh_link *link, unsigned slot) {
    return streamer_slot(link, slot)->is_wanted || mesh_is_own_slot(link->mesh, slot);
}

/* Tells the peer that it has to catch up by a snapshot, or before it writes. */
static void send_lost(struct mesh_link *link, unsigned flags) {
    struct mesh *mesh = link->mesh;
    struct buffer payload = {0};
    link->told_members = catchup_company(link);
    link->told_keys = mesh->data.keys_count(mesh->data.udata);
    codec_put_varint(&payload, link->told_members);
    codec_put_varint(&payload, link->told_keys);
    codec_put_varint(&payload, link->contexts_taken);
    codec_put_varint(&payload, flags);
    if ((flags & MESH_LOST_WAS_PUT_BACK) != 0) {
        codec_put_varint(&payload, link->peer_owes_from);
    }
    link_send(link, MESH_FRAME_LOST, buffer_slice(&payload));
    buffer_deinit(&payload);
}

static void stream_lost(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    bool is_new = link->stream.state != STREAM_LOST && link->stream.retry_us == 0;
    link->stream.state = STREAM_LOST;
    link->stream.is_behind = false;
    link->stream.retry_us = mesh->monotonic_us + LOST_RETRY_US;
    if (is_new) {
        mesh_say(mesh, MESH_LEVEL_NOTICE,
                 "Mesh: the log no longer reaches back to what %s has: a snapshot is needed",
                 link->peer_address);
    }
    if (mesh->catchup.state == CATCHUP_PULLING) {
        return; /* this node takes over others' state: nobody needs its own */
    }
    bool lacks_settled = link->peer_lacks_retired || link->peer_is_behind;
    send_lost(link,
              (lacks_settled ? MESH_LOST_LACKS_SETTLED : 0U) |
                  (link->peer_was_forgotten ? MESH_LOST_WAS_FORGOTTEN : 0U) |
                  (link->peer_was_retired || link->member->came_back ? MESH_LOST_WAS_RETIRED : 0U) |
                  (link->peer_owes_from != 0 ? MESH_LOST_WAS_PUT_BACK : 0U));
}

/* False when the log does not reach back. */
static bool place_stream(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct streamer_out *out = mesh->streamer.out;
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    memset(&out->seen, 0, sizeof(out->seen));
    memset(out->is_wanted, 0, sizeof(out->is_wanted));
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (replicas->slots[slot].ref != 0) {
            out->is_wanted[slot] = is_sent(link, slot);
            out->seen.stamps[slot] = stamp_make(streamer_slot(link, slot)->sent_ticks, slot);
        }
    }
    if (link->peer_lacks_retired || link->peer_was_forgotten ||
        !mesh->data.stream_seek(mesh->data.udata, link->stream.reader, &out->seen,
                                out->is_wanted)) {
        stream_lost(link);
        return false;
    }
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (replicas->slots[slot].ref != 0) {
            streamer_slot(link, slot)->is_placed = out->is_wanted[slot];
        }
    }
    link->stream.state = STREAM_READING;
    link->stream.retry_us = 0;
    if (link->peer_is_behind) {
        send_lost(link, MESH_LOST_LACKS_SETTLED | MESH_LOST_LOG_SERVES);
    }
    return true;
}

/* ---- gathering ---- */

/* The frame, cut to `size` bytes, for more to be appended: a copy if a link has yet to send it. */
static void cut_frame(struct shared_frame **frame, size_t size) {
    struct shared_frame *old = *frame;
    if (old != NULL && old->shared.references == 1 &&
        (size > FRAME_HEADER_BYTES || old->bytes.capacity <= OUT_KEPT_BYTES_MAX)) {
        old->bytes.size = size;
        return;
    }
    *frame =
        shared_frame_new(old != NULL && old->bytes.size <= OUT_KEPT_BYTES_MAX ? old->bytes.size
                                                                              : FRAME_HEADER_BYTES);
    if (size > FRAME_HEADER_BYTES) {
        buffer_append(&(*frame)->bytes, old->bytes.data, size);
    } else {
        (*frame)->bytes.size = FRAME_HEADER_BYTES;
    }
    shared_frame_release(old);
}

/* The kept records from `count` on are held no longer. */
static void forget_kept(struct streamer_out *out, size_t count) {
    for (size_t i = count; i < out->kept_count; i++) {
        shared_block_release(out->gathered[i].block);
    }
    out->kept_count = count;
    out->shared.count = 0;
}

/* Forgets the kept records from `count` on; the frame is as after cut_frame(). */
static void keep(struct streamer_out *out, size_t count) {
    forget_kept(out, count);
    const struct out_record *last = count > 0 ? &out->gathered[count - 1] : NULL;
    cut_frame(&out->frame, last != NULL && last->block == NULL ? last->offset + last->size
                                                               : (size_t)FRAME_HEADER_BYTES);
}

/* Forgets all kept records. The frames are used again when no link has references any more. */
static void keep_none(struct streamer_out *out) {
    forget_kept(out, 0);
    struct shared_frame **frames[] = {&out->frame, &out->joined_frame};
    for (unsigned i = 0; i < 2; i++) {
        if (*frames[i] != NULL && (*frames[i])->bytes.capacity > OUT_KEPT_BYTES_MAX) {
            shared_frame_release(*frames[i]);
            *frames[i] = NULL;
        }
    }
}

static bool is_same_record(const struct out_record *kept, const struct stream_record *head,
                           unsigned slot) {
    return kept->slot == slot && kept->head.ref == head->ref &&
           kept->head.previous_ticks == head->previous_ticks &&
           kept->head.last_ticks == head->last_ticks;
}

static void gather(struct streamer_out *out, const struct stream_record *head,
                   const struct stream_bytes *bytes, unsigned slot) {
    if (out->gathered_count < out->kept_count) {
        if (is_same_record(&out->gathered[out->gathered_count], head, slot)) {
            out->gathered_count++;
            return;
        }
        keep(out, out->gathered_count);
    }
    if (out->gathered_count == 0 || out->shared.count > 0) {
        keep(out, out->gathered_count);
    }
    if (out->gathered_count == out->gathered_capacity) {
        size_t capacity = out->gathered_capacity == 0 ? 64 : 2 * out->gathered_capacity;
        out->gathered = memory_resize(out->gathered, capacity * sizeof(out->gathered[0]));
        out->slices = memory_resize(out->slices, capacity * sizeof(out->slices[0]));
        out->gathered_capacity = capacity;
    }
    struct buffer *frame = &out->frame->bytes;
    size_t before =
        out->gathered_count > 0 ? out->gathered[out->gathered_count - 1].payload_end : 0;
    struct out_record *record = &out->gathered[out->gathered_count++];
    *record = (struct out_record){.size = bytes->record.size, .head = *head, .slot = slot};
    if (bytes->block != NULL) {
        record->block = shared_block_hold(bytes->block);
        record->framed = bytes->framed;
        record->payload_end = before + bytes->framed.size;
    } else {
        codec_put_slice(frame, bytes->record);
        record->offset = frame->size - bytes->record.size;
        record->payload_end = frame->size - FRAME_HEADER_BYTES;
    }
    /* Where the marks stand in it. */
    record->head.marks.data = (const char *)(uintptr_t)(head->marks.data - bytes->record.data);
    out->kept_count = out->gathered_count;
}

/* Of the payload, as far as it was gathered. */
static size_t gathered_bytes(const struct streamer_out *out) {
    return out->gathered_count > 0 ? out->gathered[out->gathered_count - 1].payload_end : 0;
}

static bool is_gathered_in_blocks(const struct streamer_out *out) {
    return out->gathered_count > 0 && out->gathered[0].block != NULL;
}

static struct slice gathered_record(const struct streamer_out *out, size_t index) {
    const struct out_record *record = &out->gathered[index];
    return record->block != NULL
               ? slice_skip(record->framed, record->framed.size - record->size)
               : slice_make(out->frame->bytes.data + record->offset, record->size);
}

static struct slice gathered_marks(const struct streamer_out *out, size_t index) {
    const struct stream_record *head = &out->gathered[index].head;
    return slice_make(gathered_record(out, index).data + (uintptr_t)head->marks.data,
                      head->marks.size);
}

static void introduce_marks(struct mesh_link *link, struct slice marks) {
    const struct replicas *replicas = link->mesh->data.replicas(link->mesh->data.udata);
    struct stream_mark mark;
    while (stream_mark_next(&marks, &mark)) {
        unsigned slot = replicas_find(replicas, mark.ref);
        if (slot != 0) {
            link_introduce(link, slot);
        }
    }
}

/* How many records from `begin` on may be joined. One whose author had seen something new meanwhile
 * may not: what it had seen may itself have seen a record before it in the run, and would wait for
 * all of them, as they for it. That this peer has it already is no help: it passes the joined
 * record on to others as it is. */
static size_t run_length(const struct streamer_out *out, size_t begin) {
    size_t end = begin + 1;
    while (end < out->gathered_count && out->gathered[end].slot == out->gathered[begin].slot &&
           out->gathered[end].head.previous_ticks == out->gathered[end - 1].head.last_ticks &&
           out->gathered[end].head.marks_count == 0) {
        end++;
    }
    return end - begin;
}

/* ---- frames ---- */

static bool has_paid(const struct coalesce_result *result) {
    uint64_t left_out = result->is_joined ? result->changes_in - result->changes_out : 0;
    return left_out > 0 && left_out >= result->changes_in / OUT_JOIN_PAYS_DIVISOR;
}

/* Whether joining pays is seen from the first of so many records: how many of them. */
static size_t tried_count(const struct out_record *records, size_t count) {
    size_t tried = 0;
    for (size_t bytes = 0; tried < count && bytes < OUT_TRIED_BYTES; tried++) {
        bytes += records[tried].size;
    }
    return tried;
}

/* Joins the records in `slices`, unless it is not their turn, or a look at the first tells that it
 * does not pay. */
static void try_join(struct streamer_out *out, size_t begin, size_t count) {
    struct joined_run *joined = &out->joined;
    if (out->skips_left > 0) {
        out->skips_left--;
        joined->result = (struct coalesce_result){.taken = count};
        return;
    }
    bool is_look = out->skips_next > 0;
    size_t tried = is_look ? tried_count(&out->gathered[begin], count) : count;
    coalescer_join(&out->coalescer, out->slices, tried, &joined->record, &joined->result);
    bool pays = has_paid(&joined->result);
    if (is_look && tried < count) {
        buffer_clear(&joined->record);
        joined->result = (struct coalesce_result){.taken = count};
        if (pays) {
            coalescer_join(&out->coalescer, out->slices, count, &joined->record, &joined->result);
        }
    }
    out->skips_next = pays                                  ? 0
                      : out->skips_next < OUT_SKIPS_MAX / 2 ? 2 * out->skips_next + 1
                                                            : (unsigned)OUT_SKIPS_MAX;
    out->skips_left = out->skips_next;
}

/* Joins what can be of the `count` records from `begin` on; the result stays until the next. */
static const struct joined_run *join_run(struct streamer_out *out, size_t begin, size_t count) {
    struct joined_run *joined = &out->joined;
    const struct stream_record *first = &out->gathered[begin].head;
    const struct stream_record *last = &out->gathered[begin + count - 1].head;
    if (joined->count == count && joined->ref == first->ref &&
        joined->previous_ticks == first->previous_ticks && joined->last_ticks == last->last_ticks) {
        return joined;
    }
    for (size_t i = 0; i < count; i++) {
        out->slices[i] = gathered_record(out, begin + i);
    }
    buffer_clear(&joined->record);
    if (joined->record.capacity > OUT_KEPT_BYTES_MAX) {
        buffer_deinit(&joined->record);
        joined->record = (struct buffer){0};
    }
    try_join(out, begin, count);
    joined->count = count;
    joined->ref = first->ref;
    joined->previous_ticks = first->previous_ticks;
    joined->last_ticks = last->last_ticks;
    return joined;
}

/* Records that lie in blocks, one behind the other mostly, become pieces of a frame, or a frame of
 * their own if that would be too many. */
static void share_blocks(struct streamer_out *out) {
    size_t count = 0;
    for (size_t i = 0; i < out->gathered_count; i++) {
        const struct out_record *record = &out->gathered[i];
        struct link_piece *last = count > 0 ? &out->pieces[count - 1] : NULL;
        if (last != NULL && last->block == record->block &&
            last->bytes.data + last->bytes.size == record->framed.data) {
            last->bytes.size += record->framed.size;
        } else if (count < OUT_PIECES_MAX) {
            out->pieces[count++] =
                (struct link_piece){.block = record->block, .bytes = record->framed};
        } else {
            count = 0;
            break;
        }
    }
    out->shared.pieces_count = count;
    if (count == 0) {
        cut_frame(&out->frame, FRAME_HEADER_BYTES);
        for (size_t i = 0; i < out->gathered_count; i++) {
            codec_put_slice(&out->frame->bytes, gathered_record(out, i));
        }
    }
}

/* Joins what can be of the gathered records, and decides what is sent of them. */
static void share(struct streamer_out *out) {
    out->shared.count = out->gathered_count;
    out->shared.is_joined = out->shared.is_sealed = false;
    out->shared.pieces_count = 0;
    out->shared.records_out = out->shared.changes_coalesced = 0;
    for (size_t begin = 0; begin < out->gathered_count;) {
        const struct joined_run *joined = join_run(out, begin, run_length(out, begin));
        size_t end = begin + joined->result.taken;
        if (joined->result.is_joined && !out->shared.is_joined) {
            out->shared.is_joined = true;
            cut_frame(&out->joined_frame, FRAME_HEADER_BYTES);
            for (size_t i = 0; i < begin; i++) {
                codec_put_slice(&out->joined_frame->bytes, gathered_record(out, i));
            }
        }
        if (joined->result.is_joined) {
            out->shared.changes_coalesced += joined->result.changes_in - joined->result.changes_out;
            codec_put_slice(&out->joined_frame->bytes, buffer_slice(&joined->record));
            out->shared.records_out++;
        } else {
            for (size_t i = begin; i < end && out->shared.is_joined; i++) {
                codec_put_slice(&out->joined_frame->bytes, gathered_record(out, i));
            }
            out->shared.records_out += end - begin;
        }
        begin = end;
    }
    if (!out->shared.is_joined && is_gathered_in_blocks(out)) {
        share_blocks(out);
    }
}

static void send_large(struct mesh_link *link, struct slice payload) {
    require(link->large.size == 0);
    buffer_append_slice(&link->large, payload);
    (void)link_send_large(link);
}

/* Sends what share() has decided. */
static void send_shared(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct streamer_out *out = mesh->streamer.out;
    size_t max_frame_bytes = mesh->settings.max_frame_bytes;
    if (out->shared.pieces_count > 0) {
        if (gathered_bytes(out) <= max_frame_bytes) {
            link_send_pieces(link, MESH_FRAME_DATA, out->header, &out->shared.is_sealed,
                             out->pieces, out->shared.pieces_count);
        } else {
            /* It is one record, with its length as short as it came: one that just fits a payload
             * must not grow beyond it here. */
            require(out->shared.count == 1);
            require(link->large.size == 0);
            codec_put_slice(&link->large, gathered_record(out, 0));
            (void)link_send_large(link);
        }
        return;
    }
    struct shared_frame *frame = out->shared.is_joined ? out->joined_frame : out->frame;
    struct slice payload = slice_skip(buffer_slice(&frame->bytes), FRAME_HEADER_BYTES);
    if (payload.size <= max_frame_bytes) {
        link_send_shared(link, MESH_FRAME_DATA, frame, &out->shared.is_sealed);
    } else {
        send_large(link, payload);
    }
}

/* Sends what was gathered, as one DATA payload. */
static void flush(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct streamer_out *out = mesh->streamer.out;
    if (out->gathered_count == 0) {
        return;
    }
    out->was_used = true;
    for (size_t i = 0; i < out->gathered_count; i++) {
        const struct out_record *record = &out->gathered[i];
        link_introduce(link, record->slot);
        introduce_marks(link, gathered_marks(out, i));
        mesh->stats.records_relayed += !mesh_is_own_slot(mesh, record->slot);
    }
    if (out->gathered_count < out->kept_count) {
        keep(out, out->gathered_count);
    }
    if (out->shared.count == 0) {
        share(out);
    }
    ensure(out->shared.count == out->gathered_count);
    mesh->stats.records_out += out->shared.records_out;
    mesh->stats.changes_coalesced += out->shared.changes_coalesced;
    send_shared(link);
    out->gathered_count = 0;
    if (out->frame->bytes.capacity > OUT_KEPT_BYTES_MAX) {
        keep_none(out);
    }
}

/* Reads the stream until it ends or the link is full; false when it is not to be read on. */
static bool read_record(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct streamer_out *out = mesh->streamer.out;
    struct stream_record record;
    struct stream_bytes bytes;
    switch (mesh->data.stream_next(mesh->data.udata, link->stream.reader, &record, &bytes)) {
    case MESH_READ_RECORD:
        break;
    case MESH_READ_END:
        link->stream.is_behind = link->stream.is_waiting = false;
        return false;
    case MESH_READ_WAIT:
        link->stream.is_waiting = true;
        return false;
    case MESH_READ_LOST:
        /* Perhaps it can be placed anew. */
        link->stream.is_waiting = false;
        link->stream.state = STREAM_SEEK;
        return false;
    }
    link->stream.is_waiting = false;
    unsigned slot = replicas_find(mesh->data.replicas(mesh->data.udata), record.ref);
    if (slot == 0) {
        return true;
    }
    struct link_slot *known = streamer_slot(link, slot);
    if (!is_sent(link, slot)) {
        known->is_placed = known->is_placed && record.last_ticks <= known->sent_ticks;
        return true;
    }
    if (record.last_ticks <= known->sent_ticks) {
        return true;
    }
    known->sent_ticks = record.last_ticks;
    size_t bytes_max = mesh->settings.max_frame_bytes;
    bool is_other_kind =
        out->gathered_count > 0 && is_gathered_in_blocks(out) != (bytes.block != NULL);
    if (is_other_kind || gathered_bytes(out) + bytes.record.size + VARINT_BYTES_MAX > bytes_max) {
        flush(link); /* which does not move the bytes of the log */
    }
    gather(out, &record, &bytes, slot);
    if (gathered_bytes(out) >= bytes_max) {
        flush(link);
    }
    return true;
}

static void push_link(struct mesh_link *link) {
    struct link_stream *stream = &link->stream;
    if (!link_send_large(link)) {
        stream->is_behind = true;
        return;
    }
    /* While the state of others is taken over there is no log to read: that is no reason for the
     * peer to take over ours. Before, the peer may take what would have to be made again. */
    const struct catchup *catchup = &link->mesh->catchup;
    bool is_early = catchup->state == CATCHUP_PULLING && !catchup->has_sync && link->owes_from > 0;
    if (catchup_is_rebasing(catchup) && catchup->has_begun) {
        return; /* what is being compared may be made again, and must not come as it was, too */
    }
    if (stream->state == STREAM_SEEK && !is_early &&
        (catchup->state == CATCHUP_PULLING || catchup->state == CATCHUP_ADVANCING)) {
        return;
    }
    /* What was read when the stream was lost goes first; then it is placed again, once a turn. */
    if (stream->state == STREAM_SEEK && !place_stream(link)) {
        return;
    }
    for (unsigned i = 0;; i++) {
        if (i == OUT_RECORDS_MAX || link_out_bytes(link) >= MESH_LINK_OUT_BYTES_MAX ||
            link->large.size > 0) {
            stream->is_behind = true;
            break;
        }
        if (link->is_closing || !read_record(link)) {
            break;
        }
    }
    flush(link);
}

/* A stream that was read to its end has more when the log has moved. */
static bool is_at_end(const struct mesh_link *link) {
    const struct link_stream *stream = &link->stream;
    return stream->state == STREAM_READING && !stream->is_behind && !stream->is_waiting &&
           link->large.size == 0;
}

bool streamer_out_comes_to(struct mesh_link *link, unsigned slot, uint64_t ticks) {
    const struct link_slot *known = streamer_slot(link, slot);
    return link->stream.state == STREAM_READING && !is_at_end(link) && known->is_placed &&
           ticks >= known->sent_ticks;
}

void streamer_push(struct mesh *mesh) {
    bool wants_push = false;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link) &&
            (link->stream.state == STREAM_SEEK || link->stream.state == STREAM_READING)) {
            push_link(link);
            wants_push = wants_push || !is_at_end(link);
        }
    }
    mesh->streamer.wants_push = wants_push;
    keep_none(mesh->streamer.out);
}
