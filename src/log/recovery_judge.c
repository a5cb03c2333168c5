/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the chain of segments stops to make sense: the trace of a crash, which is cut off or set
 * aside, or damage, which stops the start? recovery.h has the cases.
 *
 * What decides is whether anything behind was ever promised to be durable. No fsync of a segment
 * counts before it says that its predecessor is durable (I5), so one that does not say so may
 * go. */
#include "log/recovery_internal.h"

static enum log_status set_aside(struct recovery *recovery, uint64_t sequence, const char *why) {
    char name[DIRECTORY_NAME_BYTES], lost[DIRECTORY_NAME_BYTES];
    directory_segment_name(name, sequence);
    if (recovery->is_dry) {
        recovery_say(recovery, LOG_LEVEL_WARNING, "%s is of no use: %s.", name, why);
        return LOG_OK;
    }
    enum disk_status status = directory_set_aside(recovery->disk, name, lost);
    if (status != DISK_OK) {
        return recovery_disk_failed(recovery, name, status);
    }
    recovery_say(recovery, LOG_LEVEL_WARNING, "%s is of no use: %s. It was renamed to %s.", name,
                 why, lost);
    return LOG_OK;
}

enum log_status recovery_set_aside_from(struct recovery *recovery,
                                        const struct directory_files *segments, size_t first,
                                        const char *why) {
    for (size_t i = first; i < segments->count; i++) {
        enum log_status status = set_aside(recovery, segments->files[i].sequence, why);
        if (status != LOG_OK) {
            return status;
        }
        recovery->segments_count--;
        recovery->segments_bytes -= segments->files[i].bytes;
    }
    return LOG_OK;
}

/* Cuts what is behind the last good record, if it is the trace of a crash. */
static enum log_status cut_tail(struct recovery *recovery, struct recovery_source *source,
                                const struct recovery_tail *tail) {
    uint64_t file_bytes = source->reader.file_bytes;
    if (tail->read == RECORD_READ_END) {
        return LOG_OK;
    }
    uint64_t found;
    enum record_read read = record_reader_search(&source->reader, &found);
    if (read != RECORD_READ_OK) {
        return recovery_unread(recovery, source, read);
    }
    if (found < file_bytes) {
        return recovery_unread(recovery, source, RECORD_READ_BAD);
    }
    uint64_t torn_bytes = file_bytes - tail->offset;
    recovery->found.torn_bytes += torn_bytes;
    recovery_say(recovery, LOG_LEVEL_WARNING,
                 "%s/%s ends with an unfinished record at offset %llu: %llu bytes %s.",
                 recovery->disk->path, source->name, (unsigned long long)tail->offset,
                 (unsigned long long)torn_bytes, recovery->is_dry ? "would be cut off" : "cut off");
    if (recovery->is_dry) {
        return LOG_OK;
    }
    struct disk *disk = recovery->disk;
    struct disk_file *file;
    enum disk_status status = disk->methods->open(disk, source->name, DISK_UPDATE, &file);
    if (status == DISK_OK) {
        status = disk->methods->truncate(disk, file, tail->offset);
        if (status == DISK_OK) {
            status = disk->methods->sync(disk, file);
        }
        disk->methods->close(disk, file);
    }
    return status == DISK_OK ? LOG_OK : recovery_disk_failed(recovery, source->name, status);
}

/* Does the segment say that the one before it is durable? */
static bool says_previous_synced(struct recovery_source *source) {
    struct record record;
    bool says = false;
    while (!says && record_reader_next(&source->reader, &record) == RECORD_READ_OK) {
        says = record.type == RECORD_PREVIOUS_SYNCED;
    }
    return says;
}

/* Is there any whole record in it? One that has none holds nothing that could be missed. */
static enum log_status has_records(struct recovery *recovery, struct recovery_source *source,
                                   bool *has) {
    uint64_t found;
    source->reader.offset = 0;
    source->reader.window_offset = source->reader.window_bytes = 0;
    enum record_read read = record_reader_search(&source->reader, &found);
    *has = found < source->reader.file_bytes;
    return read == RECORD_READ_OK ? LOG_OK : recovery_unread(recovery, source, read);
}

enum promise { PROMISE_NONE, PROMISE_NONE_IF_LAST, PROMISE_NONE_NOR_AFTER, PROMISE_MADE };

/* What one segment, whose predecessor is cut or missing, was to anybody. */
static enum log_status judge_segment(struct recovery *recovery, uint64_t sequence,
                                     enum promise *promise) {
    struct recovery_source source;
    struct record_segment_header header;
    bool is_torn, has = true;
    *promise = PROMISE_MADE;
    enum log_status status = recovery_open(recovery, &source, sequence, false);
    if (status != LOG_OK) {
        return status;
    }
    status = recovery_read_segment_header(recovery, &source, &header, &is_torn);
    if (status == LOG_DAMAGED && is_torn) {
        status = has_records(recovery, &source, &has);
        *promise = has ? PROMISE_MADE : PROMISE_NONE;
    } else if (status == LOG_OK && header.start == RECORD_START_SNAPSHOT) {
        *promise = PROMISE_NONE_NOR_AFTER; /* I4 */
    } else if (status == LOG_OK && header.start == RECORD_START_CONTINUES) {
        /* I5: no fsync of it counts before it says that its predecessor is durable, and none
         * continues it before that. */
        *promise = says_previous_synced(&source) ? PROMISE_MADE : PROMISE_NONE_IF_LAST;
    } else if (status == LOG_DAMAGED) {
        status = LOG_OK;
    }
    recovery_close(recovery, &source);
    return status;
}

/* Can all segments from `first` on be set aside, since nothing in them was ever durable or
 * acknowledged as durable? */
static enum log_status judge_rest(struct recovery *recovery, const struct directory_files *segments,
                                  size_t first, bool *is_promised) {
    bool must_end = false;
    *is_promised = false;
    for (size_t i = first; i < segments->count && !*is_promised; i++) {
        enum promise promise;
        enum log_status status = judge_segment(recovery, segments->files[i].sequence, &promise);
        if (status != LOG_OK) {
            return status;
        }
        if (promise == PROMISE_NONE_NOR_AFTER) {
            break;
        }
        *is_promised = promise == PROMISE_MADE || (promise == PROMISE_NONE_IF_LAST && must_end);
        must_end = must_end || promise == PROMISE_NONE_IF_LAST;
    }
    return LOG_OK;
}

enum log_status recovery_judge_tail(struct recovery *recovery,
                                    const struct directory_files *segments, size_t index,
                                    struct recovery_source *source,
                                    const struct recovery_tail *tail) {
    bool is_promised;
    enum log_status status = judge_rest(recovery, segments, index + 1, &is_promised);
    if (status == LOG_OK && is_promised) {
        return recovery_unread(recovery, source, tail->read);
    }
    if (status == LOG_OK) {
        status = cut_tail(recovery, source, tail);
    }
    if (status == LOG_OK) {
        status = recovery_set_aside_from(recovery, segments, index + 1,
                                         "it goes on from something that never became durable");
    }
    return status;
}

enum log_status recovery_judge_stranger(struct recovery *recovery,
                                        const struct directory_files *segments, size_t index,
                                        enum log_status status, bool is_torn) {
    struct buffer error = recovery->error;
    recovery->error = (struct buffer){0};
    bool is_promised;
    enum log_status judged = judge_rest(recovery, segments, index, &is_promised);
    if (judged == LOG_OK && !is_promised) {
        buffer_deinit(&error);
        if (is_torn) {
            recovery->found.torn_bytes += segments->files[index].bytes;
        }
        return recovery_set_aside_from(recovery, segments, index,
                                       is_torn
                                           ? "it was just being begun"
                                           : "it goes on from something that never became durable");
    }
    if (judged == LOG_OK) {
        buffer_deinit(&recovery->error);
        recovery->error = error;
        return status;
    }
    buffer_deinit(&error);
    return judged;
}
