/* SPDX-License-Identifier: BSD-3-Clause */
#include "log/log_state.h"

#include "base/check.h"
#include "base/memory.h"
#include "log/directory.h"

/* ---- messages ---- */

void log_say(struct log *log, enum log_level level, const char *format, ...) {
    if (log->opts.message == NULL) {
        return;
    }
    struct buffer text = {0};
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    log->opts.message(log->opts.udata, level, buffer_text(&text));
    buffer_deinit(&text);
}

enum log_status log_fail(struct log *log, enum log_status status, const char *format, ...) {
    struct buffer text = {0};
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    (void)buffer_text(&text);
    buffer_deinit(&log->error);
    log->error = text;
    return status;
}

const char *log_error(const struct log *log) {
    return log->error.data != NULL ? log->error.data : "";
}

/* ---- lifecycle ---- */

struct log *log_new(const struct log_opts *opts) {
    require(opts->disk != NULL);
    require(opts->store != NULL);
    struct log *log = memory_alloc_zero(sizeof(*log));
    log->opts = *opts;
    log->disk = opts->disk;
    log->store = opts->store;
    log->stats.snapshot_ms_last = -1;
    return log;
}

/* Until nothing is under way; the log is no longer started, so nothing follows from it. */
static void wait_for_all(struct log *log) {
    require(!log->is_started);
    while (log_wait_for_disk(log)) {
    }
    if (snapshot_writer_has_ended(&log->writer)) {
        snapshot_writer_reset(&log->writer);
    }
    log->snapshot_phase = LOG_SNAPSHOT_NONE;
}

void log_free(struct log *log) {
    if (log == NULL) {
        return;
    }
    log->is_started = false; /* nothing begins any more */
    log_snapshot_stop(log, false);
    wait_for_all(log);
    require(log->streams == NULL);
    require(log->reads_count == 0);
    log_segment_abandon(log);
    log_span_deinit(log);
    ring_deinit(&log->ring);
    change_counts_deinit(&log->counts);
    buffer_deinit(&log->head);
    buffer_deinit(&log->pending);
    buffer_deinit(&log->error);
    memory_free(log);
}

enum log_status log_open(struct log *log, int64_t unix_ms) {
    require(!log->is_open);
    log->unix_ms = unix_ms;
    struct disk *disk = log->disk;
    enum disk_status status = disk->methods->lock(disk);
    if (status == DISK_BUSY) {
        return log_fail(log, LOG_FAILED, "the data directory %s is in use by another server",
                        disk->path);
    }
    struct directory directory = {0};
    if (status == DISK_OK) {
        status = directory_read(&directory, disk);
    }
    if (status != DISK_OK) {
        directory_deinit(&directory);
        return log_fail(log, LOG_FAILED, "the data directory %s: %s", disk->path,
                        disk_status_text(status));
    }
    for (size_t i = 0; i < directory.tmp_count; i++) {
        log_say(log, LOG_LEVEL_VERBOSE, "Removing %s, which was never completed.",
                directory.tmp_names[i]);
        (void)disk->methods->remove(disk, directory.tmp_names[i]);
    }
    bool has_data = directory.segments.count + directory.snapshots.count > 0;
    directory_deinit(&directory);
    enum node_file_status found = node_file_load(&log->node, disk, &status);
    if (found == NODE_FILE_DISK) {
        return log_fail(log, LOG_FAILED, "%s/%s: %s", disk->path, DIRECTORY_NODE_FILE,
                        disk_status_text(status));
    }
    if (found == NODE_FILE_DAMAGED) {
        return log_fail(log, LOG_DAMAGED,
                        "%s/%s is damaged. Restore the file, or remove it: the node then takes a "
                        "new identity and keeps the data",
                        disk->path, DIRECTORY_NODE_FILE);
    }
    if (found == NODE_FILE_ABSENT) {
        log_identity_new(log);
        if (has_data) {
            log_say(log, LOG_LEVEL_WARNING,
                    "%s has data but no %s: this node takes it over under a new identity.",
                    disk->path, DIRECTORY_NODE_FILE);
        }
    }
    node_file_format_id(log->node.id, log->node_id);
    log->is_open = true;
    return LOG_OK;
}

/* The last segments of the life before become durable, since it may have been killed while they
 * were in the system's memory only: the last one, and the one that was being closed (I5). The last
 * one gets the seal that a clean end would have given it. */
static enum disk_status complete_segment(struct log *log, uint64_t sequence, bool needs_seal) {
    char name[DIRECTORY_NAME_BYTES];
    directory_segment_name(name, sequence);
    struct disk *disk = log->disk;
    struct disk_file *file;
    enum disk_status status = disk->methods->open(disk, name, DISK_UPDATE, &file);
    if (status != DISK_OK) {
        return status;
    }
    if (needs_seal) {
        struct buffer seal = {0};
        uint8_t flags = log->end.has_open_unit ? RECORD_SEAL_VOID_UNIT : 0;
        record_append(&seal, RECORD_SEAL, slice_make(&flags, 1));
        status = disk_write_all(disk, file, log->end.segment_bytes, buffer_slice(&seal), NULL);
        buffer_deinit(&seal);
    }
    if (status == DISK_OK) {
        status = disk->methods->sync(disk, file);
    }
    disk->methods->close(disk, file);
    return status;
}

static enum disk_status complete_last_segments(struct log *log) {
    uint64_t last = log->end.segment_sequence;
    if (last == 0) {
        return DISK_OK;
    }
    enum disk_status status = complete_segment(log, last - 1, false);
    if (status == DISK_OK || status == DISK_NOT_FOUND) {
        status = complete_segment(log, last, !log->end.is_sealed);
    }
    return status == DISK_OK ? log->disk->methods->sync_directory(log->disk) : status;
}

/* The first segment of this life: after the last one, or with the number of the snapshot. */
static enum disk_status begin_first_segment(struct log *log) {
    enum disk_status status = complete_last_segments(log);
    if (status != DISK_OK) {
        return status;
    }
    uint64_t sequence = log->newest_sequence + 1;
    enum record_segment_start start = RECORD_START_EMPTY;
    uint32_t previous_crc = 0;
    if (log->end.segment_sequence != 0) {
        require(log->end.segment_sequence == log->newest_sequence);
        start = RECORD_START_CONTINUES;
        previous_crc = log->end.segment_header_crc;
    } else if (log->end.snapshot_sequence != 0) {
        require(log->end.snapshot_sequence == log->newest_sequence);
        sequence = log->newest_sequence;
        start = RECORD_START_SNAPSHOT;
    }
    status = log_segment_create(log, sequence, start, previous_crc, &log->segment);
    if (status == DISK_OK) {
        log->stats.segments_count++;
        log_span_begin(log, start == RECORD_START_CONTINUES);
        if (start == RECORD_START_CONTINUES) {
            log_segment_note_previous_synced(log); /* just now */
        }
    }
    return status;
}

enum log_status log_start(struct log *log, bool is_on, int64_t unix_ms, uint64_t monotonic_us) {
    require(log->is_open);
    require(!log->is_started);
    log_set_now(log, unix_ms, monotonic_us);
    enum log_status identity = log_identity_begin(log, is_on);
    if (identity != LOG_OK) {
        return identity;
    }
    log->logged = log->store->context;
    log_span_survey(log);
    enum disk_status status = is_on ? begin_first_segment(log) : DISK_OK;
    if (status != DISK_OK) {
        return log_fail(log, LOG_FAILED, "cannot write to %s: %s", log->disk->path,
                        disk_status_text(status));
    }
    log->is_on = is_on;
    log->is_started = true;
    log_update_recording(log);
    log->has_gap = !log->store->journal.is_on;
    log_segment_write_pending(log);
    log_snapshot_remove_old(log);
    return LOG_OK;
}

enum log_status log_close(struct log *log, bool is_complete, int64_t unix_ms) {
    log->unix_ms = unix_ms;
    if (!log->is_started) {
        return LOG_OK;
    }
    enum disk_status status = DISK_OK;
    is_complete = is_complete && !log->needs_chain && !log->is_chain_broken;
    log->is_started = false;
    log_snapshot_stop(log, false);
    log_collect(log);
    if (log->is_on) {
        status = log_segment_finish(log);
        log->is_on = false;
    }
    log_update_recording(log);
    wait_for_all(log);
    if (status == DISK_OK && is_complete) {
        log->node.is_clean = true;
        log->node.ceiling_ticks = log->store->clock.ticks;
        status = log_identity_replace_file(log);
    }
    return status == DISK_OK ? LOG_OK
                             : log_fail(log, LOG_FAILED, "cannot complete the log in %s: %s",
                                        log->disk->path, disk_status_text(status));
}

/* ---- switching on and off ---- */

static void switch_off(struct log *log) {
    uint64_t acknowledged = log_acknowledged_position(log);
    enum disk_status status = log_segment_finish(log);
    if (status != DISK_OK) {
        log_say(log, LOG_LEVEL_WARNING, "The log was switched off without its end on disk: %s.",
                disk_status_text(status));
        log->broken_position = acknowledged;
        log->failed_position = log->position;
        log->position++; /* later replies are told apart from those in doubt */
    }
    log->is_on = false;
    log->needs_chain = false;
    log->is_chain_broken = false;
    log->snapshot_is_required = false;
    log->write_status = DISK_OK;
    log->written_position = log->synced_position = log->position;
    buffer_deinit(&log->pending);
    log_update_recording(log);
    log_identity_keep(log);
}

static enum log_status switch_on(struct log *log) {
    log->is_on = true;
    log_update_recording(log);
    log->needs_chain = true;
    log->chain_retry_us = log->monotonic_us;
    log_snapshot_stop(log, true);
    enum disk_status status = DISK_OK;
    if (log->writer.state == SNAPSHOT_WRITER_IDLE) {
        status = log_segment_begin_chain(log);
    }
    if (status != DISK_OK) {
        log->is_on = false;
        log->needs_chain = false;
        log_update_recording(log);
        return log_fail(log, LOG_FAILED, "cannot begin a log in %s: %s", log->disk->path,
                        disk_status_text(status));
    }
    log->snapshot_is_required = true;
    return LOG_OK;
}

enum log_status log_set_on(struct log *log, bool is_on, int64_t unix_ms, uint64_t monotonic_us) {
    require(log->is_started);
    log_set_now(log, unix_ms, monotonic_us);
    if (log->is_suspended) {
        log->resumes_on = is_on;
        return LOG_OK;
    }
    if (is_on == log->is_on) {
        return LOG_OK;
    }
    if (is_on) {
        return switch_on(log);
    }
    switch_off(log);
    return LOG_OK;
}

void log_suspend(struct log *log, int64_t unix_ms, uint64_t monotonic_us) {
    require(log->is_started);
    require(!log->store->journal.is_unit_open);
    log_set_now(log, unix_ms, monotonic_us);
    log_collect(log);
    log->resumes_on = log->is_suspended ? log->resumes_on : log->is_on;
    log_snapshot_stop(log, false);
    log->is_suspended = true;
    log->is_ring_resumed = false;
    if (log->is_on) {
        switch_off(log);
    } else {
        log_update_recording(log);
    }
    log_stream_lose_all(log);
    ring_clear(&log->ring, log->stream_position);
}

void log_hold(struct log *log, bool holds, int64_t unix_ms, uint64_t monotonic_us) {
    log_set_now(log, unix_ms, monotonic_us);
    log->is_held = holds;
    ring_hold(&log->ring, holds);
    log_trim_ring(log);
    if (holds) {
        log_snapshot_stop(log, false);
    } else if (log->removal.is_wanted_again && !log->removal.is_running) {
        log_snapshot_remove_old(log);
    }
}

bool log_is_removing(const struct log *log) {
    return log->removal.is_running;
}

void log_resume_ring(struct log *log, const struct context *from) {
    require(log->is_suspended);
    require(!log->is_ring_resumed);
    log->is_ring_resumed = true;
    log->has_gap = true;
    log_update_recording(log);
    log->logged = *from;
}

bool log_is_whole(const struct log *log) {
    return !log->is_suspended && (!log->is_on || !log->snapshot_is_required);
}

enum log_status log_resume_with_snapshot(struct log *log, int64_t unix_ms, uint64_t monotonic_us) {
    require(log->is_suspended);
    log_set_now(log, unix_ms, monotonic_us);
    bool was_ring_resumed = log->is_ring_resumed;
    log->is_suspended = false;
    log->has_gap = !was_ring_resumed;
    log->is_ring_resumed = false;
    enum log_status status = LOG_OK;
    if (log->resumes_on) {
        status = switch_on(log);
    }
    if (status != LOG_OK) {
        log->is_suspended = true;
        log->is_ring_resumed = was_ring_resumed;
    }
    log_update_recording(log);
    return status;
}

/* ---- options ---- */

void log_set_fsync(struct log *log, enum log_fsync fsync) {
    log->opts.fsync = fsync;
    if (fsync == LOG_FSYNC_ALWAYS && log->is_on) {
        log_segment_start_sync(log);
    }
}

void log_set_segment_bytes(struct log *log, uint64_t bytes) {
    log->opts.segment_bytes = bytes;
}

void log_set_retention_bytes(struct log *log, uint64_t bytes) {
    bool is_less = bytes < log->opts.retention_bytes;
    log->opts.retention_bytes = bytes;
    if (is_less && log->is_started) {
        log_snapshot_remove_old(log);
    }
}

void log_set_snapshot_compression(struct log *log, bool compresses) {
    log->opts.compresses_snapshots = compresses;
}

/* ---- every turn ---- */

static void sync_every_second(struct log *log) {
    bool is_due = log->written_position > log->synced_position &&
                  log->monotonic_us - log->sync_started_us >= LOG_SYNC_INTERVAL_US;
    if (!is_due) {
        return;
    }
    if (log->sync.is_running && !log->was_sync_delayed) {
        log->stats.delayed_syncs++;
        log->was_sync_delayed = true;
        return;
    }
    if (!log->sync.is_running) {
        log->was_sync_delayed = false;
        log_segment_start_sync(log);
    }
}

void log_tick(struct log *log, int64_t unix_ms, uint64_t monotonic_us) {
    log_set_now(log, unix_ms, monotonic_us);
    if (!log->is_started) {
        return;
    }
    log_sync_replicas(log);
    if (log->is_on && log_has_segment(log)) {
        if (log->write_status != DISK_OK && monotonic_us >= log->write_retry_us) {
            log_segment_write_pending(log);
        }
        log_segment_rotate_if_full(log);
        if (log->opts.fsync == LOG_FSYNC_EVERYSEC) {
            sync_every_second(log);
        } else if (log->opts.fsync == LOG_FSYNC_ALWAYS) {
            log_segment_start_sync(log);
        }
    }
    log_snapshot_advance(log);
    log_identity_keep(log);
}

void log_disk_done(struct log *log, struct disk_job *job, int64_t unix_ms, uint64_t monotonic_us) {
    log_set_now(log, unix_ms, monotonic_us);
    if (job == &log->sync.job) {
        log_segment_sync_done(log, &log->sync);
    } else if (job == &log->closing.job) {
        log_segment_sync_done(log, &log->closing);
    } else if (job == &log->node_job.job) {
        log_identity_job_done(log);
    } else if (job == &log->removal.job) {
        log_snapshot_removal_done(log);
    } else if (log_stream_owns(job)) {
        log_stream_read_done(log, job);
    } else if (snapshot_writer_owns(job)) {
        snapshot_writer_done(&log->writer, job);
    } else {
        impossible("a job of somebody else's");
    }
    if (log->is_started) {
        log_snapshot_advance(log);
    }
}

bool log_wait_for_disk(struct log *log) {
    struct disk_job *job = log->disk->methods->wait(log->disk);
    if (job == NULL) {
        return false;
    }
    log_disk_done(log, job, log->unix_ms, log->monotonic_us);
    return true;
}

/* ---- introspection ---- */

void log_get_stats(const struct log *log, struct log_stats *stats) {
    *stats = log->stats;
    stats->is_on = log->is_on;
    stats->segment_bytes = log->segment.bytes;
    stats->segments_bytes += log->segment.bytes;
    stats->current_bytes = stats->snapshot_bytes +
                           (log->closed_bytes_total - log->closed_bytes_base) + log->segment.bytes;
    stats->pending_bytes = log->pending.size;
    stats->write_status = log->write_status;
    stats->is_syncing = log->sync.is_running || log->closing.is_running;
    stats->snapshot_is_running = log->snapshot_phase != LOG_SNAPSHOT_NONE;
    stats->snapshot_is_required = log->snapshot_is_required;
    if (log->writer.state != SNAPSHOT_WRITER_IDLE) {
        stats->snapshot_keys_done = log->writer.entries_count;
        stats->snapshot_keys_handed_over = log->writer.walk.handed_over_count;
    }
}

const char *log_node_id(const struct log *log) {
    return log->node_id;
}

const uint8_t *log_node_id_bytes(const struct log *log) {
    return log->node.id;
}

uint64_t log_generation(const struct log *log) {
    return log->node.generation;
}
