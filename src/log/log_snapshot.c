/* SPDX-License-Identifier: BSD-3-Clause */
/* When snapshots begin, and what follows from their end.
 *
 * A snapshot begins with a rotation of the log, so that snapshot n and the start of segment n are
 * one moment (I1). An empty segment need not be rotated: its number will do. Once snapshot n is
 * durable it stands for everything before it, so older files may go, and whatever doubt there was
 * about them is over (I6). */
#include "log/log_state.h"
#include "store/graves.h"

#include "base/check.h"
#include "base/memory.h"
#include "log/directory.h"

/* ---- removing what is superfluous ---- */

static void remove_old_segments(struct log_removal *removal,
                                const struct directory_files *segments) {
    struct disk *disk = removal->disk;
    uint64_t kept_bytes = 0;
    bool keeps = true;
    for (size_t i = segments->count; i-- > 0;) {
        const struct directory_file *file = &segments->files[i];
        if (file->sequence >= removal->snapshot_sequence) {
            continue;
        }
        /* Kept without a gap, from the newest back. */
        keeps = keeps && kept_bytes + file->bytes <= removal->retention_bytes;
        if (keeps) {
            kept_bytes += file->bytes;
            continue;
        }
        char name[DIRECTORY_NAME_BYTES];
        directory_segment_name(name, file->sequence);
        if (disk->methods->remove(disk, name) == DISK_OK) {
            removal->removed_segments++;
            removal->removed_segment_bytes += file->bytes;
            if (file->sequence > removal->removed_sequence_max) {
                removal->removed_sequence_max = file->sequence;
            }
        }
    }
}

static enum disk_status run_removal(struct disk_job *job) {
    struct log_removal *removal = (struct log_removal *)job;
    struct disk *disk = removal->disk;
    struct directory directory;
    enum disk_status status = directory_read(&directory, disk);
    if (status == DISK_OK) {
        for (size_t i = 0; i < directory.snapshots.count; i++) {
            char name[DIRECTORY_NAME_BYTES];
            if (directory.snapshots.files[i].sequence < removal->snapshot_sequence) {
                directory_snapshot_name(name, directory.snapshots.files[i].sequence);
                (void)disk->methods->remove(disk, name);
            }
        }
        remove_old_segments(removal, &directory.segments);
        status = disk->methods->sync_directory(disk);
    }
    directory_deinit(&directory);
    return status;
}

void log_snapshot_remove_old(struct log *log) {
    if (log->stats.snapshot_sequence == 0) {
        return;
    }
    struct log_removal *removal = &log->removal;
    if (removal->is_running || log->is_held) {
        removal->is_wanted_again = true;
        return;
    }
    *removal = (struct log_removal){.job = {.run = run_removal, .lane = DISK_LANE_BACKGROUND},
                                    .disk = log->disk,
                                    .snapshot_sequence = log->stats.snapshot_sequence,
                                    .retention_bytes = log->opts.retention_bytes,
                                    .is_running = true};
    log->disk->methods->start(log->disk, &removal->job);
}

void log_snapshot_removal_done(struct log *log) {
    struct log_removal *removal = &log->removal;
    removal->is_running = false;
    log_span_forget(log, removal->removed_sequence_max);
    log->stats.segments_count -= removal->removed_segments < log->stats.segments_count
                                     ? removal->removed_segments
                                     : log->stats.segments_count;
    log->stats.segments_bytes -= removal->removed_segment_bytes < log->stats.segments_bytes
                                     ? removal->removed_segment_bytes
                                     : log->stats.segments_bytes;
    if (removal->is_wanted_again) {
        log_snapshot_remove_old(log);
    }
}

/* ---- beginning ---- */

void log_snapshot_start_walk(struct log *log, uint64_t sequence) {
    struct record_snapshot_header header = {
        .generation = log->node.generation, .sequence = sequence, .created_unix_ms = log->unix_ms};
    memcpy(header.node_id, log->node.id, sizeof(header.node_id));
    if (sequence > log->newest_sequence) {
        log->newest_sequence = sequence;
    }
    log->snapshot_phase = LOG_SNAPSHOT_RUNNING;
    log->snapshot_starts_over = false;
    log->is_snapshot_given_up = false;
    log->snapshot_sequence_running = sequence;
    log->snapshot_position = log->position;
    log->snapshot_closed_bytes = log->closed_bytes_total;
    log->snapshot_table_version = log->store->replicas.version;
    log->snapshot_started_us = log->monotonic_us;
    log->stats.snapshot_started_ms = log->unix_ms;
    snapshot_writer_begin(&log->writer, log->disk, log->store, &header,
                          log->opts.compresses_snapshots);
    log->stats.snapshot_keys_total = header.entries_count;
    log->stats.snapshot_keys_done = 0;
    log->stats.snapshot_keys_handed_over = 0;
    log_say(log, LOG_LEVEL_VERBOSE, "Snapshot %llu of %llu keys begun.",
            (unsigned long long)sequence, (unsigned long long)header.entries_count);
}

static void snapshot_failed(struct log *log, const char *why) {
    log->snapshot_phase = LOG_SNAPSHOT_NONE;
    log->stats.snapshots_failed++;
    log->stats.snapshot_status = LOG_FAILED;
    log_say(log, LOG_LEVEL_WARNING, "Snapshot in %s failed: %s.", log->disk->path, why);
    (void)log_fail(log, LOG_FAILED, "the snapshot failed: %s", why);
    if (log->snapshot_is_required) {
        uint64_t wait = 2 * log->snapshot_retry_wait_us;
        wait = wait < LOG_SNAPSHOT_RETRY_US ? LOG_SNAPSHOT_RETRY_US : wait;
        wait = wait > LOG_SNAPSHOT_RETRY_US_MAX ? LOG_SNAPSHOT_RETRY_US_MAX : wait;
        log->snapshot_retry_wait_us = wait;
        log->snapshot_retry_us = log->monotonic_us + wait;
    }
}

/* WAITING -> RUNNING, behind a segment whose first table of replicas is not older than the one that
 * the snapshot has, as soon as nothing is in the way; -> NONE when it cannot be. */
static void try_to_begin(struct log *log) {
    if (log->is_held || log->writer.state != SNAPSHOT_WRITER_IDLE ||
        log->store->journal.is_unit_open || (log->is_on && log->needs_chain) ||
        log->store->graves != NULL) {
        return;
    }
    uint64_t sequence = log->newest_sequence + 1;
    if (log->is_on) {
        log_collect(log);
        if (log->write_status == DISK_OK) {
            log_segment_write_pending(log);
        }
        if (log->write_status != DISK_OK) {
            snapshot_failed(log, disk_status_text(log->write_status));
            return;
        }
        if (log->segment.bytes > log->segment.first_bytes || !log_segment_table_is_new(log)) {
            if (log->closing.is_running) {
                return; /* I5 */
            }
            enum disk_status status = log_segment_rotate(log);
            if (status != DISK_OK) {
                snapshot_failed(log, disk_status_text(status));
                return;
            }
        }
        sequence = log->segment.sequence;
    }
    log_snapshot_start_walk(log, sequence);
}

/* ---- ends ---- */

static void snapshot_completed(struct log *log) {
    struct log_stats *stats = &log->stats;
    stats->snapshots_done++;
    stats->snapshot_status = LOG_OK;
    stats->snapshot_unix_ms = log->unix_ms;
    stats->snapshot_ms_last = log->monotonic_us > log->snapshot_started_us
                                  ? (int64_t)((log->monotonic_us - log->snapshot_started_us) / 1000)
                                  : 0;
    stats->snapshot_bytes = log->writer.file.offset;
    stats->snapshot_sequence = log->snapshot_sequence_running;
    stats->snapshot_keys_done = log->writer.entries_count;
    stats->snapshot_keys_handed_over = log->writer.walk.handed_over_count;
    log->closed_bytes_base = log->snapshot_closed_bytes;
    stats->base_bytes = stats->snapshot_bytes + (log->closed_bytes_total - log->closed_bytes_base) +
                        log->segment.bytes;
    log->snapshot_phase = LOG_SNAPSHOT_NONE;
    log_say(log, LOG_LEVEL_NOTICE, "Snapshot %llu is complete: %llu keys, %llu bytes, %lld ms.",
            (unsigned long long)stats->snapshot_sequence,
            (unsigned long long)log->writer.entries_count,
            (unsigned long long)stats->snapshot_bytes, (long long)stats->snapshot_ms_last);
    if (log->is_on && !log->needs_chain && log->snapshot_sequence_running >= log->chain_sequence) {
        if (log->is_chain_broken) {
            ensure(log->snapshot_position > log->failed_position); /* I6 */
            log_say(log, LOG_LEVEL_NOTICE, "The log is whole again.");
        }
        log->is_chain_broken = false;
        log->snapshot_is_required = false;
        log->snapshot_retry_wait_us = 0;
        if (log->snapshot_position > log->synced_position) {
            log->synced_position = log->snapshot_position;
        }
    }
    log->held_count = replicas_release(&log->store->replicas, log->snapshot_table_version);
    log_snapshot_remove_old(log);
}

static void snapshot_cancelled(struct log *log) {
    if (log->is_snapshot_given_up) {
        log->snapshot_phase = LOG_SNAPSHOT_NONE;
        log->stats.snapshots_failed++;
        log->snapshot_retry_us = log->monotonic_us + LOG_SNAPSHOT_RETRY_US;
        log_say(log, LOG_LEVEL_NOTICE, "Snapshot given up.");
        return;
    }
    /* By a flush or a swap of databases, or because the log begins anew. */
    log->snapshot_phase = LOG_SNAPSHOT_WAITING;
    log_say(log, LOG_LEVEL_VERBOSE, "The snapshot begins anew.");
}

static void see_to_the_end(struct log *log) {
    enum snapshot_writer_state state = log->writer.state;
    if (!snapshot_writer_has_ended(&log->writer)) {
        return;
    }
    require(log->snapshot_phase == LOG_SNAPSHOT_RUNNING);
    enum disk_status status = log->writer.disk_status;
    if (state == SNAPSHOT_WRITER_DONE) {
        bool starts_over = log->snapshot_starts_over;
        snapshot_completed(log);
        if (starts_over) {
            log->snapshot_phase = LOG_SNAPSHOT_WAITING;
        }
    }
    snapshot_writer_reset(&log->writer);
    if (state == SNAPSHOT_WRITER_FAILED) {
        snapshot_failed(log, disk_status_text(status));
    } else if (state == SNAPSHOT_WRITER_CANCELLED) {
        snapshot_cancelled(log);
    }
}

static void begin_chain(struct log *log) {
    enum disk_status status = log_segment_begin_chain(log);
    if (status != DISK_OK) {
        log_say(log, LOG_LEVEL_DEBUG, "Cannot begin a segment in %s: %s.", log->disk->path,
                disk_status_text(status));
    }
}

void log_snapshot_advance(struct log *log) {
    see_to_the_end(log);
    if (log->is_on && log->needs_chain && !log->is_held &&
        log->monotonic_us >= log->chain_retry_us) {
        begin_chain(log);
    }
    if (log->snapshot_phase == LOG_SNAPSHOT_NONE && log->snapshot_is_required && log->is_on &&
        !log->needs_chain && log->monotonic_us >= log->snapshot_retry_us) {
        log->snapshot_phase = LOG_SNAPSHOT_WAITING;
    }
    if (log->snapshot_phase == LOG_SNAPSHOT_NONE && log->held_count > LOG_HELD_SLOTS_MAX &&
        log->is_on && !log->needs_chain && log->monotonic_us >= log->snapshot_retry_us) {
        log->snapshot_phase = LOG_SNAPSHOT_WAITING;
    }
    if (log->snapshot_phase == LOG_SNAPSHOT_WAITING) {
        try_to_begin(log);
    }
}

/* ---- the calls of log.h ---- */

void log_snapshot_stop(struct log *log, bool starts_over) {
    if (log->snapshot_phase == LOG_SNAPSHOT_RUNNING) {
        log->snapshot_starts_over = starts_over;
        log->is_snapshot_given_up = !starts_over;
        snapshot_writer_cancel(&log->writer);
    } else if (log->snapshot_phase == LOG_SNAPSHOT_WAITING && !starts_over) {
        log->is_snapshot_given_up = true;
        snapshot_cancelled(log);
    }
}

enum log_status log_snapshot_begin(struct log *log, int64_t unix_ms, uint64_t monotonic_us) {
    log_set_now(log, unix_ms, monotonic_us);
    require(log->is_started);
    if (log->snapshot_phase != LOG_SNAPSHOT_NONE || log->is_suspended || log->is_held) {
        return LOG_BUSY;
    }
    log->snapshot_phase = LOG_SNAPSHOT_WAITING;
    try_to_begin(log);
    return log->snapshot_phase == LOG_SNAPSHOT_NONE ? LOG_FAILED : LOG_OK;
}

bool log_snapshot_step(struct log *log, unsigned entries_min, int64_t unix_ms,
                       uint64_t monotonic_us) {
    log_set_now(log, unix_ms, monotonic_us);
    if (log->snapshot_phase == LOG_SNAPSHOT_NONE) {
        return false;
    }
    if (log->snapshot_phase == LOG_SNAPSHOT_WAITING && log->store->graves != NULL) {
        graves_open_some(log->store, entries_min);
        return true;
    }
    if (log->snapshot_phase == LOG_SNAPSHOT_WAITING) {
        log_snapshot_advance(log);
    }
    bool has_more = snapshot_writer_step(&log->writer, entries_min);
    see_to_the_end(log);
    return has_more;
}

bool log_snapshot_is_running(const struct log *log) {
    return log->snapshot_phase != LOG_SNAPSHOT_NONE;
}

void log_snapshot_cancel(struct log *log, int64_t unix_ms, uint64_t monotonic_us) {
    log_set_now(log, unix_ms, monotonic_us);
    log_snapshot_stop(log, false);
}

enum log_status log_snapshot_save(struct log *log, int64_t unix_ms, uint64_t monotonic_us) {
    log_set_now(log, unix_ms, monotonic_us);
    while (log->snapshot_phase == LOG_SNAPSHOT_RUNNING && log->is_snapshot_given_up &&
           log_wait_for_disk(log)) {
    }
    enum log_status status = log_snapshot_begin(log, unix_ms, monotonic_us);
    if (status != LOG_OK) {
        return status;
    }
    enum { SAVE_ENTRIES = 4096 };
    while (log->snapshot_phase != LOG_SNAPSHOT_NONE) {
        if (!log_snapshot_step(log, SAVE_ENTRIES, unix_ms, log->monotonic_us) &&
            log->snapshot_phase != LOG_SNAPSHOT_NONE && !log_wait_for_disk(log)) {
            /* Waiting for something that only time brings, such as a new segment. */
            log_snapshot_stop(log, false);
            return log_fail(log, LOG_FAILED, "the log cannot begin a new segment now");
        }
    }
    return log->stats.snapshot_status;
}
