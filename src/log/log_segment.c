/* SPDX-License-Identifier: BSD-3-Clause */
/* The writing side of the log: what log_append.c put into `pending` is written at the end of each
 * turn, made durable by fsyncs on a lane, and split into segments.
 *
 * Writing is by offset: what a failed or short write left behind the last good byte is overwritten
 * by the next try, and is a torn tail if there is none.
 *
 * An fsync that failed says nothing about what was written before it, and the next one may succeed
 * over a hole. So the position that is synced is not moved by a second try. Everything that was
 * written is in the store, too: a snapshot of it, in a new file, with a new segment behind it, is
 * what makes the log whole again. Until then the old segments are what a start would use, and the
 * new one would be set aside, since its snapshot is not there (I4). */
#include "log/log_state.h"

#include "base/check.h"
#include "log/directory.h"

/* ---- writing ---- */

static void write_failed(struct log *log, enum disk_status status) {
    log->stats.write_errors++;
    if (log->write_status == DISK_OK) {
        char name[DIRECTORY_NAME_BYTES];
        directory_segment_name(name, log->segment.sequence);
        log_say(log, LOG_LEVEL_WARNING,
                "Cannot write to %s/%s: %s. Writes are refused until that works again.",
                log->disk->path, name, disk_status_text(status));
    }
    log->write_status = status;
    log->write_retry_us = log->monotonic_us + LOG_RETRY_US;
}

static void write_succeeded(struct log *log) {
    if (log->write_status != DISK_OK) {
        log_say(log, LOG_LEVEL_NOTICE, "Writing the log works again.");
    }
    log->write_status = DISK_OK;
}

void log_segment_write_pending(struct log *log) {
    if (log->pending.size == 0 || !log_has_segment(log)) {
        return;
    }
    size_t written = 0;
    enum disk_status status = disk_write_all(log->disk, log->segment.file, log->segment.bytes,
                                             buffer_slice(&log->pending), &written);
    log->segment.bytes += written;
    log->written_position += written;
    buffer_consume(&log->pending, written);
    if (status != DISK_OK) {
        write_failed(log, status);
        return;
    }
    ensure(log->written_position == log->position);
    if (log->pending.capacity > LOG_PENDING_KEEP_BYTES) {
        buffer_deinit(&log->pending);
    }
    write_succeeded(log);
}

void log_write(struct log *log, uint64_t monotonic_us) {
    log->monotonic_us = monotonic_us;
    log_collect(log);
    log_trim_ring(log); /* streams have read since */
    if (!log->is_on || !log_has_segment(log)) {
        return;
    }
    if (log->write_status == DISK_OK) {
        log_segment_write_pending(log);
        log_segment_rotate_if_full(log);
    }
    if (log->opts.fsync == LOG_FSYNC_ALWAYS) {
        log_segment_start_sync(log);
    }
}

/* ---- segments ---- */

enum disk_status log_segment_create(struct log *log, uint64_t sequence,
                                    enum record_segment_start start, uint32_t previous_crc,
                                    struct log_segment *segment) {
    struct disk *disk = log->disk;
    struct record_segment_header header = {.start = start,
                                           .generation = log->node.generation,
                                           .sequence = sequence,
                                           .ticks = log->store->clock.ticks,
                                           .dbs_count = log->store->dbs_count,
                                           .previous_crc = previous_crc};
    memcpy(header.node_id, log->node.id, sizeof(header.node_id));
    struct buffer bytes = {0};
    record_put_segment_header(buffer_reserve(&bytes, RECORD_SEGMENT_HEADER_BYTES), &header);
    bytes.size = RECORD_SEGMENT_HEADER_BYTES;
    log_put_replicas(log, &bytes);
    char name[DIRECTORY_NAME_BYTES];
    directory_segment_name(name, sequence);
    *segment = (struct log_segment){.sequence = sequence,
                                    .header_crc = header.crc,
                                    .table_version = log->store->replicas.version,
                                    .departed_version = log->store->replicas.departed_version,
                                    .self = log->store->replicas.self,
                                    .is_alone = log->store->is_alone};
    enum disk_status status = disk->methods->open(disk, name, DISK_CREATE, &segment->file);
    if (status != DISK_OK) {
        segment->file = NULL;
        buffer_deinit(&bytes);
        return status;
    }
    status = disk_write_all(disk, segment->file, 0, buffer_slice(&bytes), NULL);
    segment->bytes = segment->first_bytes = bytes.size;
    buffer_deinit(&bytes);
    if (status != DISK_OK) {
        disk->methods->close(disk, segment->file);
        segment->file = NULL;
        (void)disk->methods->remove(disk, name);
        return status;
    }
    if (sequence > log->newest_sequence) {
        log->newest_sequence = sequence;
    }
    return DISK_OK;
}

static enum disk_status write_seal(struct log *log, struct log_segment *segment, uint8_t flags) {
    struct buffer seal = {0};
    record_append(&seal, RECORD_SEAL, slice_make(&flags, 1));
    enum disk_status status =
        disk_write_all(log->disk, segment->file, segment->bytes, buffer_slice(&seal), NULL);
    if (status == DISK_OK) {
        segment->bytes += seal.size;
    }
    buffer_deinit(&seal);
    return status;
}

static enum disk_status run_sync(struct disk_job *job) {
    struct log_sync *sync = (struct log_sync *)job;
    enum disk_status status = DISK_OK;
    if (sync->syncs_directory) {
        status = sync->disk->methods->sync_directory(sync->disk);
    }
    if (status == DISK_OK) {
        status = sync->disk->methods->sync(sync->disk, sync->file);
    }
    if (sync->closes) {
        sync->disk->methods->close(sync->disk, sync->file);
    }
    return status;
}

static void start_sync(struct log *log, struct log_sync *sync, const struct log_segment *segment,
                       bool closes) {
    require(!sync->is_running);
    *sync = (struct log_sync){.job = {.run = run_sync, .lane = DISK_LANE_LOG},
                              .disk = log->disk,
                              .file = segment->file,
                              .syncs_directory = !segment->is_name_synced,
                              .closes = closes,
                              .position = log->written_position,
                              .started_us = log->monotonic_us,
                              .is_running = true};
    log->disk->methods->start(log->disk, &sync->job);
}

enum disk_status log_segment_rotate(struct log *log) {
    require(log_has_segment(log));
    require(log->pending.size == 0);
    require(!log->closing.is_running); /* I5 */
    struct log_segment old = log->segment, next;
    enum disk_status status = log_segment_create(log, log->newest_sequence + 1,
                                                 RECORD_START_CONTINUES, old.header_crc, &next);
    if (status == DISK_OK) {
        /* Where the seal cannot be written whole, the next record goes over its beginning. */
        status = write_seal(log, &old, 0);
        if (status != DISK_OK) {
            char name[DIRECTORY_NAME_BYTES];
            directory_segment_name(name, next.sequence);
            log->disk->methods->close(log->disk, next.file);
            (void)log->disk->methods->remove(log->disk, name);
            log->newest_sequence = old.sequence; /* numbers have no gaps: I2 */
        }
    }
    if (status != DISK_OK) {
        log->stats.write_errors++;
        log->rotate_retry_us = log->monotonic_us + LOG_ROTATE_RETRY_US;
        return status;
    }
    start_sync(log, &log->closing, &old, true);
    log->closed_bytes_total += old.bytes;
    log->segment.bytes = old.bytes;
    log_span_end(log);
    log->segment = next;
    /* Its first record is behind no position that anybody waits for. */
    log->segment.departed_version = old.departed_version;
    log_span_begin(log, true);
    log->stats.segments_count++;
    log->stats.segments_bytes += old.bytes;
    return DISK_OK;
}

void log_segment_rotate_if_full(struct log *log) {
    if (!log_has_segment(log) || log->segment.bytes < log->opts.segment_bytes ||
        log->pending.size > 0 || log->closing.is_running ||
        log->monotonic_us < log->rotate_retry_us) {
        return;
    }
    enum disk_status status = log_segment_rotate(log);
    if (status != DISK_OK) {
        log_say(log, LOG_LEVEL_WARNING,
                "Cannot begin a new segment in %s: %s. The present one goes on.", log->disk->path,
                disk_status_text(status));
    }
}

void log_segment_abandon(struct log *log) {
    if (!log_has_segment(log)) {
        return;
    }
    log_span_end(log);
    log->closed_bytes_total += log->segment.bytes;
    log->stats.segments_bytes += log->segment.bytes;
    if (log->sync.is_running && log->sync.file == log->segment.file) {
        log->sync.closes_when_done = true;
    } else {
        log->disk->methods->close(log->disk, log->segment.file);
    }
    log->segment = (struct log_segment){0};
}

/* ---- fsync ---- */

void log_segment_start_sync(struct log *log) {
    if (!log_has_segment(log) || log->sync.is_running || log->closing.is_running ||
        log->is_chain_broken || log->written_position <= log->synced_position) {
        return;
    }
    log->sync_started_us = log->monotonic_us;
    start_sync(log, &log->sync, &log->segment, false);
}

static void count_sync(struct log *log, const struct log_sync *sync) {
    uint64_t took = log->monotonic_us > sync->started_us ? log->monotonic_us - sync->started_us : 0;
    log->stats.syncs++;
    log->stats.sync_us_last = took;
    if (took > log->stats.sync_us_max) {
        log->stats.sync_us_max = took;
    }
    log->stats.sync_status = sync->job.status;
    log->stats.sync_errors += sync->job.status != DISK_OK;
}

void log_segment_note_previous_synced(struct log *log) {
    size_t before = log->pending.size;
    record_append(&log->pending, RECORD_PREVIOUS_SYNCED, (struct slice){0});
    log->position += log->pending.size - before;
}

void log_segment_sync_done(struct log *log, struct log_sync *sync) {
    require(sync->is_running);
    sync->is_running = false;
    count_sync(log, sync);
    if (sync->closes_when_done) {
        log->disk->methods->close(log->disk, sync->file);
    }
    if (log->is_chain_broken) {
        return; /* I6: good or bad, it proves nothing now */
    }
    if (sync->job.status != DISK_OK) {
        log_segment_break_chain(log, disk_status_text(sync->job.status));
        return;
    }
    if (sync->position > log->synced_position) {
        log->synced_position = sync->position;
    }
    if (log_has_segment(log)) {
        if (sync == &log->closing) {
            log_segment_note_previous_synced(log);
            if (log->write_status == DISK_OK) {
                log_segment_write_pending(log);
            }
        } else if (sync->file == log->segment.file) {
            log->segment.is_name_synced = true;
        }
    }
    if (log->opts.fsync == LOG_FSYNC_ALWAYS) {
        log_segment_start_sync(log);
    }
}

/* ---- when all else fails ---- */

void log_segment_break_chain(struct log *log, const char *why) {
    if (log->needs_chain) {
        return; /* it begins anew anyway */
    }
    log_say(log, LOG_LEVEL_WARNING,
            "The log can no longer be relied upon (%s). Writes are refused until a new snapshot of "
            "everything is on the disk.",
            why);
    /* What is written from here on counts when the snapshot does: before, a start sets it aside. */
    log->broken_position = log_acknowledged_position(log);
    log->is_chain_broken = true;
    log->needs_chain = true;
    log->snapshot_is_required = true;
    log->chain_retry_us = log->monotonic_us;
    log->failed_position = log->position;
    /* Later replies are told apart from those in doubt. */
    log->position++;
    log->written_position = log->position;
    log_span_end(log);
    buffer_deinit(&log->pending);
    log->write_status = DISK_OK;
    log_snapshot_stop(log, true);
    /* The old segment keeps what it has, without a seal: a start may have to do with it. */
    log_segment_abandon(log);
}

enum disk_status log_segment_begin_chain(struct log *log) {
    require(log->is_on && log->needs_chain);
    require(!log_has_segment(log));
    if (log->writer.state != SNAPSHOT_WRITER_IDLE || log->sync.is_running ||
        log->store->journal.is_unit_open) {
        return DISK_OK; /* later */
    }
    log_collect(log);
    enum disk_status status =
        log_segment_create(log, log->newest_sequence + 1, RECORD_START_SNAPSHOT, 0, &log->segment);
    if (status != DISK_OK) {
        log->stats.write_errors++;
        log->chain_retry_us = log->monotonic_us + LOG_CHAIN_RETRY_US;
        return status;
    }
    log->stats.segments_count++;
    log->needs_chain = false;
    log->chain_sequence = log->segment.sequence;
    log_span_begin(log, false);
    log->written_position = log->position;
    if (!log->is_chain_broken) {
        log->synced_position = log->position; /* switched on: nothing before is its business */
    }
    log_snapshot_start_walk(log, log->segment.sequence);
    return DISK_OK;
}

enum disk_status log_segment_finish(struct log *log) {
    log_collect(log);
    while (log->sync.is_running || log->closing.is_running) {
        if (!log_wait_for_disk(log)) {
            break;
        }
    }
    if (!log_has_segment(log)) {
        return log->is_chain_broken ? DISK_IO : DISK_OK;
    }
    log_segment_write_pending(log);
    enum disk_status status = log->write_status;
    if (status == DISK_OK) {
        status = write_seal(log, &log->segment, 0);
    }
    if (status == DISK_OK && !log->segment.is_name_synced) {
        status = log->disk->methods->sync_directory(log->disk);
    }
    if (status == DISK_OK) {
        status = log->disk->methods->sync(log->disk, log->segment.file);
    }
    if (status == DISK_OK && !log->is_chain_broken) {
        log->synced_position = log->written_position;
    }
    log_segment_abandon(log);
    return status;
}

/* ---- what was reached ---- */

uint64_t log_position(const struct log *log) {
    return log->position;
}

uint64_t log_written_position(const struct log *log) {
    return log->written_position;
}

uint64_t log_synced_position(const struct log *log) {
    return log->synced_position;
}

uint64_t log_acknowledged_position(const struct log *log) {
    if (!log->is_on || (!log_has_segment(log) && !log->is_chain_broken)) {
        return LOG_POSITION_ALL;
    }
    if (log->is_chain_broken) {
        return log->broken_position;
    }
    return log->opts.fsync == LOG_FSYNC_ALWAYS ? log->synced_position : log->written_position;
}

bool log_is_in_doubt(const struct log *log, uint64_t position) {
    return position > log->broken_position && position <= log->failed_position;
}

bool log_is_on(const struct log *log) {
    return log->is_on;
}

bool log_is_failing(const struct log *log, const char **why) {
    if (!log->is_on || (log->write_status == DISK_OK && !log->is_chain_broken)) {
        return false;
    }
    if (why != NULL) {
        *why = log->is_chain_broken ? "the log on disk is in doubt until a snapshot is complete"
                                    : disk_status_text(log->write_status);
    }
    return true;
}
