/* SPDX-License-Identifier: BSD-3-Clause */
/* Recovery: the newest snapshot, then the records of one segment after the other. */
#include "log/recovery_internal.h"

#include <stdio.h>

#include "base/check.h"

/* ---- records ---- */

/* What stays open at the end of a life never becomes whole: of this node's own, since the rest was
 * never written; of others', since they send it again as a whole. */
static void forget_units(struct recovery *recovery) {
    for (unsigned slot = 0; slot < recovery->receiver.units_count; slot++) {
        receiver_forget_unit(&recovery->receiver, slot);
    }
}

static enum log_status take_stream(struct recovery *recovery, struct slice bytes) {
    struct store *store = recovery->store;
    switch (receiver_take(&recovery->receiver, bytes)) {
    case RECEIVE_OK:
    case RECEIVE_DUPLICATE: {
        struct stream_record record;
        if (stream_record_take(bytes, &record) && record.last_ticks > recovery->last_ticks) {
            recovery->last_ticks = record.last_ticks;
        }
        recovery->found.changes_count = recovery->receiver.changes_count;
        hybrid_clock_observe(&store->clock, recovery->last_ticks);
        return LOG_OK;
    }
    case RECEIVE_FULL:
    case RECEIVE_OUT_OF_MEMORY:
        return LOG_FAILED;
    case RECEIVE_GAP:
        recovery->what = "changes of its replica are missing before it";
        break;
    case RECEIVE_EARLY:
        recovery->what = "it comes before changes that its replica had seen";
        break;
    case RECEIVE_ASK:
        impossible("a log tells all that is to be known");
    case RECEIVE_UNKNOWN:
        recovery->what = "it is of a replica that the table of replicas lacks";
        break;
    case RECEIVE_MALFORMED:
        recovery->what = "its changes make no sense, or name a database beyond `databases`";
        break;
    }
    return LOG_DAMAGED;
}

static enum log_status take_replicas(struct recovery *recovery, struct slice bytes) {
    struct replicas_record record;
    recovery->what = "its table of replicas makes no sense";
    if (!replicas_record_take(&bytes, &record)) {
        return LOG_DAMAGED;
    }
    if (bytes.size == 0) {
        recovery->what = replicas_record_apply(&record, recovery->store);
    }
    replicas_record_deinit(&record);
    return recovery->what == NULL ? LOG_OK : LOG_DAMAGED;
}

/* ---- segments ---- */

static enum log_status take_record(struct recovery *recovery, const struct recovery_source *source,
                                   const struct record *record, bool *has_replicas) {
    enum log_status status = LOG_OK;
    if (record->type == RECORD_STREAM && !*has_replicas) {
        recovery->what = "its first record is not the table of replicas";
        status = LOG_DAMAGED;
    } else if (record->type == RECORD_STREAM) {
        status = take_stream(recovery, record->payload);
    } else if (record->type == RECORD_REPLICAS) {
        *has_replicas = true;
        status = take_replicas(recovery, record->payload);
    } else if (record->type != RECORD_PREVIOUS_SYNCED) {
        recovery->what = "it has a record that belongs into a snapshot";
        status = LOG_DAMAGED;
    }
    if (status == LOG_FAILED) {
        return recovery_out_of_memory(recovery, source->name);
    }
    return status == LOG_OK ? LOG_OK
                            : recovery_damaged(recovery, source, record->offset, recovery->what);
}

static enum log_status replay_records(struct recovery *recovery, struct recovery_source *source,
                                      struct recovery_tail *tail) {
    bool has_replicas = false;
    for (;;) {
        struct record record;
        enum record_read read = record_reader_next(&source->reader, &record);
        if (read == RECORD_READ_DISK || read == RECORD_READ_MEMORY) {
            return recovery_unread(recovery, source, read);
        }
        if (read != RECORD_READ_OK) {
            *tail = (struct recovery_tail){.read = read, .offset = source->reader.offset};
            return LOG_OK;
        }
        recovery->found.records_count++;
        if (record.type == RECORD_SEAL) {
            if (record.payload.size != 1 ||
                (record.payload.data[0] & ~RECORD_SEAL_VOID_UNIT) != 0) {
                return recovery_damaged(recovery, source, record.offset, "its seal makes no sense");
            }
            if ((record.payload.data[0] & RECORD_SEAL_VOID_UNIT) != 0) {
                forget_units(recovery);
            }
            if (source->reader.offset != source->reader.file_bytes) {
                recovery->is_damaged_behind_seal = true;
                return recovery_damaged(recovery, source, source->reader.offset,
                                        "something follows its seal");
            }
            *tail = (struct recovery_tail){.is_sealed = true, .offset = source->reader.offset};
            return LOG_OK;
        }
        enum log_status status = take_record(recovery, source, &record, &has_replicas);
        if (status != LOG_OK) {
            return status;
        }
        if (!recovery_goes_on(recovery, source)) {
            return LOG_STOPPED;
        }
    }
}

/* The number of what the chain ends with so far, 0 at its beginning. */
static uint64_t chain_sequence(const struct recovery *recovery) {
    return recovery->end.segment_sequence != 0 ? recovery->end.segment_sequence
                                               : recovery->end.snapshot_sequence;
}

/* Does segment `header` go on from where the chain is? */
static enum log_status check_link(struct recovery *recovery, const struct recovery_source *source,
                                  const struct record_segment_header *header, bool *is_orphan) {
    const struct log_chain_end *end = &recovery->end;
    *is_orphan = false;
    if (end->segment_sequence == 0 && end->snapshot_sequence == header->sequence) {
        return LOG_OK; /* I1 */
    }
    if (end->segment_sequence == 0 && end->snapshot_sequence == 0 &&
        header->start == RECORD_START_EMPTY) {
        return LOG_OK;
    }
    if (header->start == RECORD_START_SNAPSHOT) {
        *is_orphan = true; /* I4 */
        return LOG_OK;
    }
    if (header->start == RECORD_START_CONTINUES && end->segment_sequence + 1 == header->sequence) {
        return header->previous_crc == end->segment_header_crc
                   ? LOG_OK
                   : recovery_damaged(recovery, source, 0,
                                      "it does not belong to the segment before it");
    }
    char why[128];
    if (header->start == RECORD_START_EMPTY) {
        return recovery_damaged(recovery, source, 0, "it begins a log of its own after another");
    }
    (void)snprintf(why, sizeof(why), "it continues segment %llu, which is missing",
                   (unsigned long long)header->sequence - 1);
    return recovery_damaged(recovery, source, 0, why);
}

static enum log_status replay_segment(struct recovery *recovery,
                                      const struct directory_files *segments, size_t index,
                                      struct recovery_source *source, bool *is_end) {
    struct record_segment_header header;
    bool is_torn, is_orphan = false;
    enum log_status status = recovery_read_segment_header(recovery, source, &header, &is_torn);
    if (status == LOG_OK) {
        status = check_link(recovery, source, &header, &is_orphan);
        bool skips_one = header.start == RECORD_START_CONTINUES &&
                         header.sequence == chain_sequence(recovery) + 2;
        if (status == LOG_DAMAGED && skips_one) {
            *is_end = true;
            return recovery_judge_stranger(recovery, segments, index, status, false);
        }
    } else if (status == LOG_DAMAGED && is_torn) {
        *is_end = true;
        return recovery_judge_stranger(recovery, segments, index, status, true);
    }
    if (status != LOG_OK) {
        return status;
    }
    if (is_orphan) {
        *is_end = true;
        return recovery_set_aside_from(recovery, segments, index,
                                       "the snapshot that it begins with was never completed");
    }
    struct recovery_tail tail = {0};
    status = replay_records(recovery, source, &tail);
    if (status != LOG_OK) {
        return status;
    }
    recovery->found.segments_count++;
    recovery->found.segments_bytes += tail.offset;
    recovery->end.segment_sequence = header.sequence;
    recovery->end.segment_bytes = tail.offset;
    recovery->end.segment_header_crc = header.crc;
    recovery->end.is_sealed = tail.is_sealed;
    if (!tail.is_sealed) {
        *is_end = true;
        status = recovery_judge_tail(recovery, segments, index, source, &tail);
    }
    return status;
}

static enum log_status replay_chain(struct recovery *recovery,
                                    const struct directory_files *segments) {
    bool is_end = false;
    for (size_t i = 0; i < segments->count && !is_end; i++) {
        if (segments->files[i].sequence < recovery->end.snapshot_sequence) {
            continue; /* I4 */
        }
        struct recovery_source source;
        enum log_status status =
            recovery_open(recovery, &source, segments->files[i].sequence, false);
        if (status == LOG_OK) {
            status = replay_segment(recovery, segments, i, &source, &is_end);
            recovery->finished_bytes += source.reader.file_bytes;
        }
        recovery_close(recovery, &source);
        if (status != LOG_OK) {
            return status;
        }
    }
    return LOG_OK;
}

static enum log_status run(struct recovery *recovery, const struct directory *directory) {
    recovery->segments_count = directory->segments.count;
    for (size_t i = 0; i < directory->segments.count; i++) {
        recovery->segments_bytes += directory->segments.files[i].bytes;
    }
    const struct directory_file *newest =
        directory->snapshots.count > 0 ? &directory->snapshots.files[directory->snapshots.count - 1]
                                       : NULL;
    recovery->progress.bytes_total = newest != NULL ? newest->bytes : 0;
    for (size_t i = 0; i < directory->segments.count; i++) {
        const struct directory_file *segment = &directory->segments.files[i];
        recovery->progress.bytes_total +=
            newest == NULL || segment->sequence >= newest->sequence ? segment->bytes : 0;
    }
    if (newest != NULL) {
        enum log_status status = recovery_load_snapshot(recovery, newest->sequence);
        if (status != LOG_OK) {
            return status;
        }
    }
    enum log_status status = replay_chain(recovery, &directory->segments);
    if (status != LOG_OK) {
        return status;
    }
    recovery->newest_sequence = recovery->end.segment_sequence != 0
                                    ? recovery->end.segment_sequence
                                    : recovery->end.snapshot_sequence;
    return LOG_OK;
}

/* What peers lack of it is told by these counts. */
static void count_changes(void *udata, struct slice bytes) {
    struct recovery *recovery = (struct recovery *)udata;
    struct stream_record record;
    unsigned slot = stream_record_take(bytes, &record)
                        ? replicas_find(&recovery->store->replicas, record.ref)
                        : 0;
    if (slot != 0) {
        change_counts_add(recovery->counts, slot, record.ref, record.previous_ticks,
                          record.last_ticks, recovery->receiver.record_changes);
    }
}

enum log_status recovery_run(struct recovery *recovery) {
    struct store *store = recovery->store;
    bool was_paused = store->expiry_is_paused;
    store->expiry_is_paused = true;
    /* Whatever is in the log was let in once. */
    recovery->receiver =
        (struct receiver){.store = store,
                          .applied = recovery->counts != NULL ? count_changes : NULL,
                          .udata = recovery,
                          .takes_void = true,
                          .kept_bytes_max = UINT64_MAX};
    struct directory directory;
    enum disk_status disk_status = directory_read(&directory, recovery->disk);
    enum log_status status = disk_status == DISK_OK
                                 ? run(recovery, &directory)
                                 : recovery_disk_failed(recovery, ".", disk_status);
    directory_deinit(&directory);
    const struct receiver *receiver = &recovery->receiver;
    unsigned self = store->replicas.self;
    recovery->end.has_open_unit = receiver->kept_bytes > 0;
    recovery->end.has_own_open_unit =
        receiver_ticks(receiver, self) > stamp_ticks(store->context.stamps[self]);
    if (status == LOG_OK && recovery->end.has_open_unit) {
        recovery_say(recovery, LOG_LEVEL_WARNING,
                     "The log ends within a transaction, which is dropped (%llu bytes).",
                     (unsigned long long)receiver->kept_bytes);
    }
    store->expiry_is_paused = was_paused;
    hybrid_clock_observe(&store->clock, recovery->last_ticks);
    return status;
}

void recovery_deinit(struct recovery *recovery) {
    receiver_deinit(&recovery->receiver);
    buffer_deinit(&recovery->error);
}

/* ---- the call of log.h ---- */

enum log_status log_recover(struct log *log, struct log_recovery *found) {
    require(log->is_open);
    require(!log->is_started);
    struct recovery recovery = {.disk = log->disk,
                                .store = log->store,
                                .counts = log->opts.begins_replica ? &log->counts : NULL,
                                .message = log->opts.message,
                                .recovering = log->opts.recovering,
                                .udata = log->opts.udata};
    enum log_status status = recovery_run(&recovery);
    if (status == LOG_STOPPED) {
        (void)log_fail(log, status, "The reading of the data was stopped.");
    } else if (status != LOG_OK) {
        (void)log_fail(log, status, "%s", buffer_text(&recovery.error));
    }
    log->end = recovery.end;
    log->newest_sequence = recovery.newest_sequence;
    log->stats.recovery = recovery.found;
    log->stats.segments_count = recovery.segments_count;
    log->stats.segments_bytes = recovery.segments_bytes;
    log->stats.snapshot_sequence = recovery.found.snapshot_sequence;
    log->stats.snapshot_bytes = recovery.found.snapshot_bytes;
    log->stats.snapshot_unix_ms = recovery.snapshot_created_ms;
    log->closed_bytes_total = recovery.found.segments_bytes;
    log->stats.base_bytes = recovery.found.snapshot_bytes;
    if (found != NULL) {
        *found = recovery.found;
    }
    recovery_deinit(&recovery);
    return status;
}
