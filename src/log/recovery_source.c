/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that are read back: opening one, and words for what is wrong with it. */
#include "log/recovery_internal.h"

#include "base/check.h"

enum { RECOVERING_BYTES = 64 << 10 /* between two calls of opts.recovering */ };

/* ---- words ---- */

void recovery_say(struct recovery *recovery, enum log_level level, const char *format, ...) {
    if (recovery->message == NULL) {
        return;
    }
    struct buffer text = {0};
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    recovery->message(recovery->udata, level, buffer_text(&text));
    buffer_deinit(&text);
}

enum log_status recovery_disk_failed(struct recovery *recovery, const char *name,
                                     enum disk_status status) {
    buffer_clear(&recovery->error);
    buffer_printf(&recovery->error, "%s/%s: %s", recovery->disk->path, name,
                  disk_status_text(status));
    return LOG_FAILED;
}

enum log_status recovery_out_of_memory(struct recovery *recovery, const char *name) {
    buffer_clear(&recovery->error);
    buffer_printf(&recovery->error, "%s/%s: out of memory", recovery->disk->path, name);
    return LOG_FAILED;
}

static enum log_status damaged(struct recovery *recovery, const char *name, bool is_snapshot,
                               uint64_t sequence, uint64_t offset, const char *why) {
    memcpy(recovery->damaged_name, name, strlen(name) + 1);
    recovery->is_snapshot_damaged = is_snapshot;
    recovery->damaged_sequence = sequence;
    recovery->damaged_offset = offset;
    buffer_clear(&recovery->error);
    buffer_printf(&recovery->error,
                  "%s/%s is damaged at offset %llu: %s. Restore the file from a copy, or run "
                  "`starling-server --repair %s`, which first tells what is lost",
                  recovery->disk->path, name, (unsigned long long)offset, why,
                  recovery->disk->path);
    return LOG_DAMAGED;
}

/* ---- an open file of the directory ---- */

enum log_status recovery_open(struct recovery *recovery, struct recovery_source *source,
                              uint64_t sequence, bool is_snapshot) {
    struct disk *disk = recovery->disk;
    *source = (struct recovery_source){.sequence = sequence, .is_snapshot = is_snapshot};
    if (is_snapshot) {
        directory_snapshot_name(source->name, sequence);
    } else {
        directory_segment_name(source->name, sequence);
    }
    enum disk_status status = disk->methods->open(disk, source->name, DISK_READ, &source->file);
    if (status != DISK_OK) {
        source->file = NULL;
        return recovery_disk_failed(recovery, source->name, status);
    }
    int64_t bytes = disk->methods->size(disk, source->file);
    if (bytes < 0) {
        disk->methods->close(disk, source->file);
        source->file = NULL;
        return recovery_disk_failed(recovery, source->name, (enum disk_status)bytes);
    }
    record_reader_init(&source->reader, disk, source->file, (uint64_t)bytes,
                       is_snapshot ? RECORD_SNAPSHOT_HEADER_BYTES : RECORD_SEGMENT_HEADER_BYTES);
    return LOG_OK;
}

void recovery_close(struct recovery *recovery, struct recovery_source *source) {
    if (source->file != NULL) {
        record_reader_deinit(&source->reader);
        recovery->disk->methods->close(recovery->disk, source->file);
        source->file = NULL;
    }
}

bool recovery_goes_on(struct recovery *recovery, const struct recovery_source *source) {
    uint64_t bytes_done = recovery->finished_bytes + source->reader.offset;
    if (recovery->recovering == NULL ||
        bytes_done - recovery->progress.bytes_done < RECOVERING_BYTES) {
        return true;
    }
    recovery->progress.bytes_done = bytes_done;
    return recovery->recovering(recovery->udata, &recovery->progress);
}

enum record_read recovery_read_head(struct recovery *recovery, struct recovery_source *source,
                                    char *into, size_t size) {
    int64_t count = disk_read_all(recovery->disk, source->file, 0, into, size);
    if (count < 0) {
        source->reader.disk_status = (enum disk_status)count;
        return RECORD_READ_DISK;
    }
    return (size_t)count == size ? RECORD_READ_OK : RECORD_READ_CUT;
}

enum log_status recovery_damaged(struct recovery *recovery, const struct recovery_source *source,
                                 uint64_t offset, const char *why) {
    return damaged(recovery, source->name, source->is_snapshot, source->sequence, offset, why);
}

enum log_status recovery_unread(struct recovery *recovery, const struct recovery_source *source,
                                enum record_read read) {
    switch (read) {
    case RECORD_READ_DISK:
        return recovery_disk_failed(recovery, source->name, source->reader.disk_status);
    case RECORD_READ_MEMORY:
        return recovery_out_of_memory(recovery, source->name);
    case RECORD_READ_CUT:
        return recovery_damaged(recovery, source, source->reader.offset,
                                "the file ends within a record");
    case RECORD_READ_END:
        return recovery_damaged(recovery, source, source->reader.offset, "the end is missing");
    case RECORD_READ_BAD:
        return recovery_damaged(recovery, source, source->reader.offset,
                                "a record's checksum or form is wrong");
    case RECORD_READ_OK:
        break;
    }
    impossible("nothing went wrong");
}

enum log_status recovery_read_segment_header(struct recovery *recovery,
                                             struct recovery_source *source,
                                             struct record_segment_header *header, bool *is_torn) {
    char head[RECORD_SEGMENT_HEADER_BYTES];
    enum record_read read = recovery_read_head(recovery, source, head, sizeof(head));
    *is_torn = read == RECORD_READ_CUT;
    if (read == RECORD_READ_DISK) {
        return recovery_disk_failed(recovery, source->name, source->reader.disk_status);
    }
    if (read == RECORD_READ_CUT) {
        return recovery_damaged(recovery, source, 0, "the file ends within its header");
    }
    enum record_header_status status = record_take_segment_header(head, header);
    if (status != RECORD_HEADER_OK) {
        *is_torn = status != RECORD_HEADER_VERSION;
        return recovery_damaged(recovery, source, 0, record_header_status_text(status));
    }
    if (header->sequence != source->sequence) {
        return recovery_damaged(recovery, source, 0, "it is another segment than its name says");
    }
    return LOG_OK;
}
