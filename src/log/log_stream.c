/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: readers of the log.
 *
 *   RING   at a position of the ring
 *      |  ^
 *      v  |    the ring dropped the place; the file reached the ring again
 *   FILE   at a place in a segment, read by jobs of about LOG_READ_BYTES
 *      |
 *      v
 *   LOST   neither has the place any more
 *
 * A stream counts what it was given: `position`. In segments of earlier lives it counts from the
 * segment's beginning, and gets a real position where this life begins.
 *
 * At most LOG_READS_MAX streams have bytes from files; the others wait for their turn. A stream
 * that does not take what was read for it for a while loses its turn, and reads again later.
 *
 * I1  The place (sequence, offset, run_skip) is where the record at `offset_position` lies, and
 *     offset_position <= position: a job passes over what lies in between.
 * I2  While a stream's job runs, the stream's place and the job's fields are left alone. */
#include "log/log_stream.h"

#include "base/check.h"
#include "base/memory.h"
#include "log/directory.h"
#include "log/log_state.h"
#include "log/record_reader.h"

enum { READ_KEEP_BYTES = 4 * LOG_READ_BYTES /* a larger buffer is given back */ };

enum stream_mode { STREAM_UNPLACED, STREAM_RING, STREAM_FILE, STREAM_LOST };

struct log_read {
    struct disk_job job;
    struct disk *disk;
    struct log_stream *stream; /* NULL: it was freed while the job ran */
    bool is_running;
    bool is_done; /* there is a result: below */
    uint64_t used_us;
    /* What to read. */
    char name[DIRECTORY_NAME_BYTES];
    struct disk_file *file; /* NULL: to be opened */
    uint64_t offset, run_skip, position;
    uint64_t target_position; /* records before it are passed over */
    uint64_t bytes_limit;     /* of the current segment: what is written; UINT64_MAX: all */
    /* The result; offset, run_skip and position are then those behind it. */
    struct buffer records; /* length | record, as in the ring */
    size_t records_at;
    bool is_at_end; /* of what there is */
    bool is_bad;    /* since the bytes there are no record */
};

struct log_stream {
    struct log *log;
    struct log_stream *next, *previous;
    enum stream_mode mode;
    bool has_position;
    uint64_t position; /* of the next record */
    /* RING: a hint. */
    uint64_t chunk_number;
    size_t chunk_offset;
    struct ring_chunk *chunk; /* where the newest record lies, if it is still there; or NULL */
    /* FILE */
    uint64_t sequence, offset, run_skip, offset_position;
    struct log_read *read;
};

/* ---- on the lane ---- */

static enum disk_status open_file(struct log_read *read) {
    return read->file != NULL
               ? DISK_OK
               : read->disk->methods->open(read->disk, read->name, DISK_READ, &read->file);
}

/* Takes one record; counts runs through. */
static void take_record(struct log_read *read, const struct record *record) {
    if (record->type != RECORD_STREAM) {
        read->is_at_end = record->type == RECORD_SEAL;
        return;
    }
    if (read->position >= read->target_position) {
        char length[RING_LENGTH_BYTES];
        ring_put_length(length, record->payload.size);
        buffer_append(&read->records, length, sizeof(length));
        buffer_append_slice(&read->records, record->payload);
    }
    read->position += ring_span(record->payload.size);
}

static enum disk_status read_records(struct log_read *read, uint64_t limit) {
    struct record_reader reader;
    record_reader_init(&reader, read->disk, read->file, limit, read->offset);
    reader.window_bytes_usual = LOG_READ_BYTES;
    uint64_t skip = read->run_skip, in_run = 0;
    enum record_read status = RECORD_READ_OK;
    while (!read->is_at_end && read->records.size < LOG_READ_BYTES) {
        struct record record;
        status = record_reader_next(&reader, &record);
        if (status != RECORD_READ_OK) {
            break;
        }
        in_run = record.is_run_start ? 1 : in_run + 1;
        if (skip > 0) {
            skip--; /* of the run at the beginning, taken before */
            continue;
        }
        take_record(read, &record);
        bool is_in_run = record_reader_is_in_run(&reader);
        read->offset = is_in_run ? record.offset : reader.offset;
        read->run_skip = is_in_run ? in_run : 0;
    }
    read->is_at_end = read->is_at_end || status == RECORD_READ_END || status == RECORD_READ_CUT ||
                      status == RECORD_READ_BAD;
    read->is_bad = status == RECORD_READ_BAD;
    enum disk_status disk_status = reader.disk_status;
    record_reader_deinit(&reader);
    if (status == RECORD_READ_DISK) {
        return disk_status;
    }
    return status == RECORD_READ_MEMORY ? DISK_OTHER : DISK_OK;
}

static enum disk_status run_read(struct disk_job *job) {
    struct log_read *read = (struct log_read *)job;
    enum disk_status status = open_file(read);
    if (status != DISK_OK) {
        read->file = NULL;
        return status;
    }
    int64_t size = read->disk->methods->size(read->disk, read->file);
    if (size < 0) {
        return (enum disk_status)size;
    }
    uint64_t limit = (uint64_t)size < read->bytes_limit ? (uint64_t)size : read->bytes_limit;
    return read_records(read, limit);
}

/* ---- who may read ---- */

static void read_close(struct log_read *read) {
    if (read->file != NULL) {
        read->disk->methods->close(read->disk, read->file);
        read->file = NULL;
    }
}

static void read_free(struct log *log, struct log_read *read) {
    require(!read->is_running);
    read_close(read);
    buffer_deinit(&read->records);
    memory_free(read);
    log->reads_count--;
}

/* The stream needs none for now. */
static void release_read(struct log_stream *stream) {
    if (stream->read == NULL) {
        return;
    }
    struct log_read *read = stream->read;
    stream->read = NULL;
    if (read->is_running) {
        read->stream = NULL;
    } else {
        read_free(stream->log, read);
    }
}

/* A stream whose turn may go to another one, since it takes nothing. */
static struct log_stream *find_idle(const struct log *log) {
    for (struct log_stream *stream = log->streams; stream != NULL; stream = stream->next) {
        const struct log_read *read = stream->read;
        if (read != NULL && !read->is_running &&
            log->monotonic_us >= read->used_us + LOG_READ_IDLE_US) {
            return stream;
        }
    }
    return NULL;
}

static bool take_turn(struct log_stream *stream) {
    struct log *log = stream->log;
    if (log->reads_count >= LOG_READS_MAX) {
        struct log_stream *idle = find_idle(log);
        if (idle == NULL) {
            return false;
        }
        release_read(idle);
    }
    log->reads_count++;
    stream->read = memory_alloc_zero(sizeof(*stream->read));
    *stream->read = (struct log_read){.disk = log->disk, .stream = stream};
    return true;
}

static void start_read(struct log_stream *stream) {
    struct log *log = stream->log;
    struct log_read *read = stream->read;
    require(!read->is_running);
    directory_segment_name(read->name, stream->sequence);
    bool is_current = log_has_segment(log) && log->segment.sequence == stream->sequence;
    read->offset = stream->offset;
    read->run_skip = stream->run_skip;
    read->position = stream->offset_position;
    read->target_position = stream->position;
    read->bytes_limit = is_current ? log->segment.bytes : UINT64_MAX;
    buffer_clear(&read->records);
    if (read->records.capacity > READ_KEEP_BYTES) {
        buffer_deinit(&read->records);
    }
    read->records_at = 0;
    read->is_done = read->is_at_end = read->is_bad = false;
    read->used_us = log->monotonic_us;
    read->job = (struct disk_job){.run = run_read, .lane = DISK_LANE_BACKGROUND};
    read->is_running = true;
    log->disk_reads++;
    log->disk->methods->start(log->disk, &read->job);
}

bool log_stream_owns(const struct disk_job *job) {
    return job->run == run_read;
}

void log_stream_read_done(struct log *log, struct disk_job *job) {
    struct log_read *read = (struct log_read *)job;
    read->is_running = false;
    read->is_done = true;
    read->used_us = log->monotonic_us;
    if (read->stream == NULL) {
        read_free(log, read);
    }
}

/* ---- places ---- */

static void place_in_ring(struct log_stream *stream, uint64_t position) {
    const struct ring *ring = &stream->log->ring;
    release_read(stream);
    stream->mode = STREAM_RING;
    stream->has_position = true;
    stream->position = position;
    stream->chunk_number = ring_find(ring, position);
    stream->chunk_offset =
        stream->chunk_number < ring->end_number
            ? (size_t)(position - ring_chunk(ring, stream->chunk_number)->position)
            : 0;
}

static void place_in_span(struct log_stream *stream, const struct log_span *span) {
    stream->mode = STREAM_FILE;
    stream->sequence = span->sequence;
    stream->offset = RECORD_SEGMENT_HEADER_BYTES;
    stream->run_skip = 0;
    stream->offset_position = span->first_position;
}

/* From its first record on. */
static void place_at_span(struct log_stream *stream, const struct log_span *span) {
    place_in_span(stream, span);
    stream->has_position = span->has_position;
    stream->position = span->first_position;
}

/* Goes on from a segment at the stream's position; false when none has it. */
static bool place_in_file(struct log_stream *stream) {
    const struct log_span *span = log_span_at(stream->log, stream->position);
    if (span == NULL) {
        return false;
    }
    place_in_span(stream, span);
    for (size_t i = 0; i < span->places_count; i++) {
        if (span->places[i].position <= stream->position) {
            stream->offset = span->places[i].offset;
            stream->offset_position = span->places[i].position;
        }
    }
    return true;
}

static void lose(struct log_stream *stream) {
    release_read(stream);
    stream->mode = STREAM_LOST;
}

void log_stream_lose_all(struct log *log) {
    for (struct log_stream *stream = log->streams; stream != NULL; stream = stream->next) {
        if (stream->mode != STREAM_UNPLACED) {
            lose(stream);
        }
    }
}

/* The first place of the ring that a stream will read and that no segment has. UINT64_MAX: there is
 * none. */
static uint64_t needed_position(const struct log *log) {
    uint64_t needed = UINT64_MAX;
    for (const struct log_stream *stream = log->streams; stream != NULL; stream = stream->next) {
        if (stream->mode == STREAM_RING && stream->position < needed &&
            log_span_at(log, stream->position) == NULL) {
            needed = stream->position;
        }
    }
    return needed;
}

/* What comes from others takes room that own records need, which peers have yet to read: where two
 * sides of a partition bring each other all they did, either would lose the place and take over a
 * state instead. */
void log_trim_ring(struct log *log) {
    if (ring_is_beyond_limit(&log->ring)) {
        ring_trim(&log->ring, needed_position(log));
    }
}

/* ---- lifecycle ---- */

struct log_stream *log_stream_new(struct log *log) {
    struct log_stream *stream = memory_alloc_zero(sizeof(*stream));
    *stream = (struct log_stream){.log = log, .next = log->streams};
    if (stream->next != NULL) {
        stream->next->previous = stream;
    }
    log->streams = stream;
    return stream;
}

void log_stream_free(struct log_stream *stream) {
    if (stream == NULL) {
        return;
    }
    release_read(stream);
    if (stream->previous != NULL) {
        stream->previous->next = stream->next;
    } else {
        stream->log->streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
    memory_free(stream);
}

void log_set_ring_bytes(struct log *log, uint64_t bytes) {
    bool was_on = log->ring.bytes_max > 0;
    ring_set_bytes_max(&log->ring, bytes);
    if (bytes > 0 && !was_on) {
        ring_clear(&log->ring, log->stream_position);
    }
    log_trim_ring(log);
    log_update_recording(log);
}

/* ---- seeking ---- */

struct seek {
    const struct context *seen;
    const bool *is_wanted;
};

static bool is_needed(const struct log *log, const struct seek *seek,
                      const struct stream_record *record) {
    unsigned slot = replicas_find(&log->store->replicas, record->ref);
    return slot != 0 && (seek->is_wanted == NULL || seek->is_wanted[slot]) &&
           record->last_ticks > stamp_ticks(seek->seen->stamps[slot]);
}

/* Is all that was recorded so far seen? */
static bool is_all_seen(const struct log *log, const struct seek *seek) {
    for (unsigned slot = 1; slot < log->store->replicas.slots_count; slot++) {
        if (log->logged.stamps[slot] > seek->seen->stamps[slot] &&
            (seek->is_wanted == NULL || seek->is_wanted[slot])) {
            return false;
        }
    }
    return true;
}

/* The last chunk before which all is seen; false when there is none. Contexts only grow. */
static bool seek_chunk(const struct log *log, const struct seek *seek, uint64_t *number) {
    const struct ring *ring = &log->ring;
    uint64_t low = ring->first_number, high = ring->end_number;
    while (low < high) { /* the first chunk before which not all is seen */
        uint64_t middle = low + (high - low) / 2;
        if (ring_context_is_seen(ring_chunk(ring, middle)->context, seek->seen, seek->is_wanted)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *number = low - 1;
    return low > ring->first_number;
}

/* The position in the chunk of the first record that is needed. */
static uint64_t scan_chunk(const struct log *log, const struct seek *seek, uint64_t number) {
    const struct ring_chunk *chunk = ring_chunk(&log->ring, number);
    size_t offset = 0, at = 0;
    struct slice bytes;
    struct stream_record record;
    while (ring_record(chunk, &offset, &bytes)) {
        if (!stream_record_take(bytes, &record) || is_needed(log, seek, &record)) {
            break;
        }
        at = offset;
    }
    return chunk->position + at;
}

/* Does the segment lead up to now: by itself, by the one after it, which does if `leads_next`, or
 * by the ring? */
static bool span_leads_on(const struct log *log, size_t number, bool leads_next) {
    const struct log_span *span = &log->spans[number];
    bool leads_to_next =
        leads_next && log->spans[number + 1].continues && !span->is_cut; /* there is one */
    return log_span_is_current(log, span) || leads_to_next ||
           (span->has_end && ring_covers(&log->ring, span->end_position));
}

/* The newest segment before which all is seen, and from which all that follows can be read. */
static const struct log_span *seek_span(const struct log *log, const struct seek *seek) {
    bool leads_on = false; /* what was looked at last */
    for (size_t i = log->spans_count; i-- > 0;) {
        const struct log_span *span = &log->spans[i];
        leads_on = span_leads_on(log, i, leads_on);
        if (leads_on && ring_context_is_seen(span->context, seek->seen, seek->is_wanted)) {
            return span;
        }
    }
    return NULL;
}

enum log_stream_status log_stream_seek(struct log_stream *stream, const struct context *seen,
                                       const bool *is_wanted) {
    struct log *log = stream->log;
    struct seek seek = {.seen = seen, .is_wanted = is_wanted};
    log_sync_replicas(log);
    release_read(stream);
    stream->mode = STREAM_LOST;
    if (!log->store->journal.is_on) {
        return LOG_STREAM_LOST;
    }
    bool has_ring = log->ring.bytes_max > 0;
    uint64_t number;
    if (is_all_seen(log, &seek)) {
        stream->has_position = true;
        stream->position = log->stream_position;
        if (has_ring) {
            place_in_ring(stream, stream->position);
            return LOG_STREAM_END;
        }
        return place_in_file(stream) ? LOG_STREAM_END : LOG_STREAM_LOST;
    }
    if (has_ring && seek_chunk(log, &seek, &number)) {
        place_in_ring(stream, scan_chunk(log, &seek, number));
        return LOG_STREAM_END;
    }
    const struct log_span *span = seek_span(log, &seek);
    if (span == NULL) {
        return LOG_STREAM_LOST;
    }
    place_at_span(stream, span);
    return LOG_STREAM_END;
}

enum log_stream_status log_stream_seek_oldest(struct log_stream *stream) {
    struct log *log = stream->log;
    const struct log_span *oldest = NULL;
    bool leads_on = false;
    log_sync_replicas(log);
    release_read(stream);
    stream->mode = STREAM_LOST;
    if (!log->store->journal.is_on) {
        return LOG_STREAM_LOST;
    }
    for (size_t i = log->spans_count; i-- > 0;) {
        leads_on = span_leads_on(log, i, leads_on);
        oldest = leads_on ? &log->spans[i] : oldest;
    }
    if (oldest != NULL) {
        place_at_span(stream, oldest);
        return LOG_STREAM_END;
    }
    if (log->ring.bytes_max == 0) {
        return LOG_STREAM_LOST;
    }
    place_in_ring(stream, log->ring.first_position);
    return LOG_STREAM_END;
}

uint64_t log_streams_version(const struct log *log) {
    /* In a file they end where it is written to. None of these goes back. */
    enum { SEQUENCE_SHIFT = 44 };
    return log->stream_position + log->segment.bytes + (log->segment.sequence << SEQUENCE_SHIFT);
}

bool log_reaches_back(const struct log *log, const struct context *seen, const bool *is_wanted) {
    struct seek seek = {.seen = seen, .is_wanted = is_wanted};
    uint64_t number;
    if (!log->store->journal.is_on) {
        return false;
    }
    return is_all_seen(log, &seek) ||
           (log->ring.bytes_max > 0 && seek_chunk(log, &seek, &number)) ||
           seek_span(log, &seek) != NULL;
}

/* ---- reading ---- */

static enum log_stream_status give(struct log_stream *stream, struct slice bytes,
                                   struct stream_record *record, struct slice *out) {
    stream->position += ring_span(bytes.size);
    if (!stream_record_take(bytes, record)) {
        lose(stream); /* only a file can be damaged in such a way */
        return LOG_STREAM_LOST;
    }
    *out = bytes;
    return LOG_STREAM_RECORD;
}

/* RING: a record, END, or WAIT when the stream has gone over to another mode. */
static enum log_stream_status next_in_ring(struct log_stream *stream, struct stream_record *record,
                                           struct slice *bytes) {
    struct ring *ring = &stream->log->ring;
    if (!ring_covers(ring, stream->position)) {
        if (!place_in_file(stream)) {
            lose(stream);
        }
        return LOG_STREAM_WAIT;
    }
    if (stream->position == ring->end_position) {
        return LOG_STREAM_END;
    }
    bool is_there =
        stream->chunk_number >= ring->first_number && stream->chunk_number < ring->end_number &&
        ring_chunk(ring, stream->chunk_number)->position + stream->chunk_offset == stream->position;
    if (!is_there || stream->chunk_offset == ring_chunk(ring, stream->chunk_number)->size) {
        place_in_ring(stream, stream->position);
    }
    struct slice found;
    stream->chunk = ring_chunk(ring, stream->chunk_number);
    bool has_record = ring_record(stream->chunk, &stream->chunk_offset, &found);
    ensure(has_record);
    return give(stream, found, record, bytes);
}

/* A closed segment has been read to its end: the next one, the ring, or nothing. */
static void leave_segment(struct log_stream *stream, bool is_bad) {
    struct log *log = stream->log;
    const struct log_span *span = log_span_find(log, stream->sequence);
    const struct log_span *next = log_span_find(log, stream->sequence + 1);
    if (!stream->has_position && is_bad) {
        lose(stream);
        return;
    }
    if (!stream->has_position && span != NULL && span->has_end) {
        stream->has_position = true; /* the end of the lives before */
        stream->position = 0;
    }
    if (stream->has_position && ring_covers(&log->ring, stream->position)) {
        place_in_ring(stream, stream->position);
        return;
    }
    if (next == NULL || !next->continues ||
        (stream->has_position && next->first_position != stream->position)) {
        lose(stream);
        return;
    }
    read_close(stream->read);
    place_in_span(stream, next);
    stream->position = next->first_position;
    stream->has_position = next->has_position;
    start_read(stream);
}

/* FILE, all that was read is consumed. WAIT: look at the stream again, by now it may be in another
 * mode. */
static enum log_stream_status read_on(struct log_stream *stream) {
    struct log *log = stream->log;
    struct log_read *read = stream->read;
    bool is_partial = read->bytes_limit != UINT64_MAX;
    if (read->is_done && (read->job.status != DISK_OK || (read->is_bad && is_partial))) {
        lose(stream);
        return LOG_STREAM_WAIT;
    }
    if (!read->is_done || !read->is_at_end) {
        start_read(stream);
        return LOG_STREAM_WAIT;
    }
    bool is_current = log_has_segment(log) && log->segment.sequence == stream->sequence;
    if (is_current && read->bytes_limit == log->segment.bytes) {
        release_read(stream);
        return LOG_STREAM_END;
    }
    if (is_partial) {
        start_read(stream); /* it has grown since, or was closed */
        return LOG_STREAM_WAIT;
    }
    leave_segment(stream, read->is_bad);
    return LOG_STREAM_WAIT;
}

static enum log_stream_status next_in_file(struct log_stream *stream, struct stream_record *record,
                                           struct slice *bytes) {
    struct log *log = stream->log;
    struct log_read *read = stream->read;
    if (read != NULL && read->is_running) {
        return LOG_STREAM_WAIT;
    }
    if (read != NULL && read->is_done && read->records_at < read->records.size) {
        const char *at = read->records.data + read->records_at;
        struct slice found = slice_make(at + RING_LENGTH_BYTES, ring_take_length(at));
        read->records_at += (size_t)ring_span(found.size);
        read->used_us = log->monotonic_us;
        return give(stream, found, record, bytes);
    }
    if (read != NULL && read->is_done && read->job.status == DISK_OK) {
        ensure(read->position >= stream->position || read->is_at_end);
        stream->offset = read->offset;
        stream->run_skip = read->run_skip;
        stream->offset_position = read->position;
    }
    if (stream->has_position && ring_covers(&log->ring, stream->position)) {
        place_in_ring(stream, stream->position);
        return LOG_STREAM_WAIT;
    }
    bool is_current = log_has_segment(log) && log->segment.sequence == stream->sequence;
    if (read == NULL && is_current && stream->offset >= log->segment.bytes) {
        return LOG_STREAM_END;
    }
    if (read == NULL && !take_turn(stream)) {
        return LOG_STREAM_WAIT;
    }
    return read_on(stream);
}

enum log_stream_status log_stream_next(struct log_stream *stream, struct stream_record *record,
                                       struct slice *bytes) {
    for (;;) {
        enum log_stream_status status = LOG_STREAM_LOST;
        enum stream_mode mode = stream->mode;
        stream->chunk = NULL;
        switch (mode) {
        case STREAM_UNPLACED:
        case STREAM_LOST:
            return LOG_STREAM_LOST;
        case STREAM_RING:
            status = next_in_ring(stream, record, bytes);
            break;
        case STREAM_FILE:
            status = next_in_file(stream, record, bytes);
            break;
        }
        if (status != LOG_STREAM_WAIT || stream->mode == mode) {
            return status;
        }
    }
}

struct shared_block *log_stream_block(const struct log_stream *stream, struct slice bytes,
                                      struct slice *framed) {
    if (stream->chunk == NULL) {
        return NULL;
    }
    *framed = slice_make(bytes.data - RING_LENGTH_BYTES, (size_t)ring_span(bytes.size));
    return &stream->chunk->shared;
}

bool log_stream_is_waiting(const struct log_stream *stream) {
    const struct log *log = stream->log;
    if (stream->mode != STREAM_FILE) {
        return false;
    }
    if (stream->read != NULL) {
        return stream->read->is_running;
    }
    return log->reads_count >= LOG_READS_MAX && find_idle(log) == NULL;
}

/* ---- introspection ---- */

uint64_t log_stream_lag_bytes(const struct log_stream *stream) {
    const struct log *log = stream->log;
    if (stream->mode == STREAM_UNPLACED || stream->mode == STREAM_LOST) {
        return 0;
    }
    if (stream->has_position) {
        return log->stream_position - stream->position;
    }
    uint64_t bytes = log->stream_position;
    for (size_t i = 0; i < log->spans_count; i++) {
        const struct log_span *span = &log->spans[i];
        if (!span->has_position && span->sequence >= stream->sequence) {
            bytes += span->bytes;
        }
    }
    return bytes > stream->position ? bytes - stream->position : 0;
}

uint64_t log_ring_excess_bytes(const struct log *log) {
    return log->ring.bytes > log->ring.bytes_max ? log->ring.bytes - log->ring.bytes_max : 0;
}

void log_get_ring_stats(const struct log *log, struct log_ring_stats *stats) {
    const struct ring *ring = &log->ring;
    *stats = (struct log_ring_stats){.bytes = ring->bytes,
                                     .bytes_max = ring->bytes_max,
                                     .records_count = ring->records_count,
                                     .disk_reads = log->disk_reads};
    for (const struct log_stream *stream = log->streams; stream != NULL; stream = stream->next) {
        stats->streams_count++;
    }
    size_t offset = 0;
    struct slice bytes;
    struct stream_record record;
    if (ring->first_number < ring->end_number &&
        ring_record(ring_chunk(ring, ring->first_number), &offset, &bytes) &&
        stream_record_take(bytes, &record)) {
        stats->oldest_unix_ms = stamp_unix_ms(stamp_make(record.last_ticks, 0));
    }
}
