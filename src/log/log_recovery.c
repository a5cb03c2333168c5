/* SPDX-License-Identifier: BSD-3-Clause */
#include "log/recovery.h"

#include <stdio.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "base/varint.h"
#include "log/record_reader.h"
#include "store/state.h"

enum { RECOVERING_BYTES = 64 << 10 /* between two calls of opts.recovering */ };

/* ---- words ---- */

static void say(struct recovery *recovery, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct recovery *recovery, enum log_level level, const char *format, ...) {
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

static enum log_status disk_failed(struct recovery *recovery, const char *name,
                                   enum disk_status status) {
    buffer_clear(&recovery->error);
    buffer_printf(&recovery->error, "%s/%s: %s", recovery->disk->path, name,
                  disk_status_text(status));
    return LOG_FAILED;
}

static enum log_status out_of_memory(struct recovery *recovery, const char *name) {
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

struct source {
    char name[DIRECTORY_NAME_BYTES];
    uint64_t sequence;
    bool is_snapshot;
    struct disk_file *file;
    struct record_reader reader;
};

static enum log_status source_open(struct recovery *recovery, struct source *source,
                                   uint64_t sequence, bool is_snapshot) {
    struct disk *disk = recovery->disk;
    *source = (struct source){.sequence = sequence, .is_snapshot = is_snapshot};
    if (is_snapshot) {
        directory_snapshot_name(source->name, sequence);
    } else {
        directory_segment_name(source->name, sequence);
    }
    enum disk_status status = disk->methods->open(disk, source->name, DISK_READ, &source->file);
    if (status != DISK_OK) {
        source->file = NULL;
        return disk_failed(recovery, source->name, status);
    }
    int64_t bytes = disk->methods->size(disk, source->file);
    if (bytes < 0) {
        disk->methods->close(disk, source->file);
        source->file = NULL;
        return disk_failed(recovery, source->name, (enum disk_status)bytes);
    }
    record_reader_init(&source->reader, disk, source->file, (uint64_t)bytes,
                       is_snapshot ? RECORD_SNAPSHOT_HEADER_BYTES : RECORD_SEGMENT_HEADER_BYTES);
    return LOG_OK;
}

static void source_close(struct recovery *recovery, struct source *source) {
    if (source->file != NULL) {
        record_reader_deinit(&source->reader);
        recovery->disk->methods->close(recovery->disk, source->file);
        source->file = NULL;
    }
}

/* Tells how far the reading has come, now and then; false: the caller wants no more. */
static bool goes_on(struct recovery *recovery, const struct source *source) {
    uint64_t bytes_done = recovery->finished_bytes + source->reader.offset;
    if (recovery->recovering == NULL ||
        bytes_done - recovery->progress.bytes_done < RECOVERING_BYTES) {
        return true;
    }
    recovery->progress.bytes_done = bytes_done;
    return recovery->recovering(recovery->udata, &recovery->progress);
}

/* Reads the header's bytes; CUT when the file is shorter. */
static enum record_read source_head(struct recovery *recovery, struct source *source, char *into,
                                    size_t size) {
    int64_t count = disk_read_all(recovery->disk, source->file, 0, into, size);
    if (count < 0) {
        source->reader.disk_status = (enum disk_status)count;
        return RECORD_READ_DISK;
    }
    return (size_t)count == size ? RECORD_READ_OK : RECORD_READ_CUT;
}

static enum log_status source_damaged(struct recovery *recovery, const struct source *source,
                                      uint64_t offset, const char *why) {
    return damaged(recovery, source->name, source->is_snapshot, source->sequence, offset, why);
}

/* The error for a record that could not be read. */
static enum log_status source_unread(struct recovery *recovery, const struct source *source,
                                     enum record_read read) {
    switch (read) {
    case RECORD_READ_DISK:
        return disk_failed(recovery, source->name, source->reader.disk_status);
    case RECORD_READ_MEMORY:
        return out_of_memory(recovery, source->name);
    case RECORD_READ_CUT:
        return source_damaged(recovery, source, source->reader.offset,
                              "the file ends within a record");
    case RECORD_READ_END:
        return source_damaged(recovery, source, source->reader.offset, "the end is missing");
    case RECORD_READ_BAD:
        return source_damaged(recovery, source, source->reader.offset,
                              "a record's checksum or form is wrong");
    case RECORD_READ_OK:
        break;
    }
    impossible("nothing went wrong");
}

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

/* ---- snapshots ---- */

static bool take_contents(struct recovery *recovery, struct slice bytes) {
    struct store *store = recovery->store;
    struct replicas_record replicas;
    uint64_t dbs_count;
    recovery->what = "its first record makes no sense";
    if (!replicas_record_take(&bytes, &replicas)) {
        return false;
    }
    const char *why = replicas_record_load(&replicas, store);
    replicas_record_deinit(&replicas);
    if (why != NULL) {
        recovery->what = why;
        return false;
    }
    if (!varint_take(&bytes, &dbs_count)) {
        return false;
    }
    for (uint64_t i = 0; i < dbs_count; i++) {
        uint64_t number, keys;
        if (!varint_take(&bytes, &number) || !varint_take(&bytes, &keys)) {
            return false;
        }
        if (number >= store->dbs_count) {
            recovery->what = "it has keys in a database beyond `databases`";
            return false;
        }
        /* A number from a file reserves memory only as far as the file can live up to it. */
        if (keys <= recovery->found.snapshot_bytes) {
            unsigned db = store_database_index(store, (unsigned)number);
            table_expect(&store->dbs[db].table, keys);
        }
    }
    return bytes.size == 0;
}

static enum log_status load_entries(struct recovery *recovery, const struct source *source,
                                    const struct record *record) {
    struct slice bytes = record->payload;
    while (bytes.size > 0) {
        enum store_status status = state_load(recovery->store, &bytes);
        if (status == STORE_OUT_OF_MEMORY) {
            return out_of_memory(recovery, source->name);
        }
        if (status != STORE_OK) {
            return source_damaged(recovery, source, record->offset,
                                  "the state of an entry makes no sense");
        }
    }
    return LOG_OK;
}

static uint64_t count_keys(const struct store *store) {
    uint64_t keys = 0;
    for (unsigned db = 0; db < store->dbs_count; db++) {
        keys += store_count(store, db);
    }
    return keys;
}

static enum log_status check_end(struct recovery *recovery, struct source *source,
                                 const struct record *record, uint32_t crc) {
    if (record->payload.size != RECORD_END_PAYLOAD_BYTES ||
        record_take32(record->payload.data + 8) != crc) {
        return source_damaged(recovery, source, record->offset,
                              "the sum over its records is wrong");
    }
    if (record_take64(record->payload.data) != count_keys(recovery->store)) {
        return source_damaged(recovery, source, record->offset, "the number of keys is wrong");
    }
    if (source->reader.offset != source->reader.file_bytes) {
        return source_damaged(recovery, source, source->reader.offset, "something follows its end");
    }
    return LOG_OK;
}

/* For the repair of a snapshot: moves on to the next record that can be read. */
static bool skip_bad_record(struct recovery *recovery, struct source *source,
                            enum record_read read) {
    uint64_t next;
    if (!recovery->skips_blocks || read == RECORD_READ_DISK || read == RECORD_READ_MEMORY ||
        read == RECORD_READ_END || record_reader_search(&source->reader, &next) != RECORD_READ_OK) {
        return false;
    }
    recovery->skipped_bytes += next - source->reader.offset;
    source->reader.offset = next;
    return next < source->reader.file_bytes;
}

static enum log_status load_records(struct recovery *recovery, struct source *source) {
    uint32_t crc = 0;
    bool is_first = true;
    for (;;) {
        struct record record;
        enum record_read read = record_reader_next(&source->reader, &record);
        if (read != RECORD_READ_OK) {
            if (skip_bad_record(recovery, source, read)) {
                continue;
            }
            return recovery->skips_blocks && read != RECORD_READ_DISK && read != RECORD_READ_MEMORY
                       ? LOG_OK
                       : source_unread(recovery, source, read);
        }
        enum log_status status = LOG_OK;
        if (record.type == RECORD_END) {
            return recovery->skips_blocks ? LOG_OK : check_end(recovery, source, &record, crc);
        }
        if (is_first != (record.type == RECORD_CONTENTS) && !recovery->skips_blocks) {
            return source_damaged(recovery, source, record.offset,
                                  "its records are not in their order");
        }
        if (record.type == RECORD_CONTENTS) {
            if (!take_contents(recovery, record.payload)) {
                status = source_damaged(recovery, source, record.offset, recovery->what);
            }
        } else if (record.type == RECORD_ENTRIES) {
            status = load_entries(recovery, source, &record);
        } else {
            status = source_damaged(recovery, source, record.offset,
                                    "it has a record that belongs into a segment");
        }
        if (status == LOG_DAMAGED && recovery->skips_blocks) {
            recovery->skipped_bytes += record.payload.size;
            continue;
        }
        if (status != LOG_OK) {
            return status;
        }
        is_first = false;
        if (record.is_run_start) {
            char bytes[4];
            record_put32(bytes, record.crc);
            crc = crc32c(crc, slice_make(bytes, sizeof(bytes)));
        }
        if (!goes_on(recovery, source)) {
            return LOG_STOPPED;
        }
    }
}

static enum log_status load_snapshot_from(struct recovery *recovery, struct source *source) {
    struct store *store = recovery->store;
    char head[RECORD_SNAPSHOT_HEADER_BYTES];
    enum record_read read = source_head(recovery, source, head, sizeof(head));
    if (read == RECORD_READ_DISK) {
        return disk_failed(recovery, source->name, source->reader.disk_status);
    }
    if (read == RECORD_READ_CUT && !recovery->skips_blocks) {
        return source_damaged(recovery, source, 0, "the file ends within its header");
    }
    struct record_snapshot_header header;
    enum record_header_status status =
        read == RECORD_READ_OK ? record_take_snapshot_header(head, &header) : RECORD_HEADER_BAD;
    bool is_usable = status == RECORD_HEADER_OK && header.sequence == source->sequence;
    if (!is_usable && !recovery->skips_blocks) {
        return source_damaged(recovery, source, 0,
                              status == RECORD_HEADER_OK
                                  ? "it is another snapshot than its name says"
                                  : record_header_status_text(status));
    }
    recovery->found.snapshot_sequence = source->sequence;
    recovery->found.snapshot_bytes = source->reader.file_bytes;
    if (is_usable) {
        store->seed = (struct hash_seed){header.hash_seed[0], header.hash_seed[1]};
        hybrid_clock_observe(&store->clock, header.ticks);
        recovery->last_ticks = header.ticks;
        recovery->snapshot_created_ms = header.created_unix_ms;
    }
    int64_t created_ms = recovery->snapshot_created_ms;
    store->loaded_ms = created_ms > 0 && created_ms <= store->now_ms ? created_ms : 0;
    enum log_status loaded = load_records(recovery, source);
    store->loaded_ms = 0;
    recovery->found.snapshot_keys = count_keys(store);
    return loaded;
}

enum log_status recovery_load_snapshot(struct recovery *recovery, uint64_t sequence) {
    struct source source;
    enum log_status status = source_open(recovery, &source, sequence, true);
    if (status == LOG_OK) {
        status = load_snapshot_from(recovery, &source);
    }
    recovery->finished_bytes += source.file != NULL ? source.reader.file_bytes : 0;
    source_close(recovery, &source);
    recovery->end.snapshot_sequence = sequence;
    return status;
}

/* ---- segments ---- */

/* Reads the header of a segment. `*is_torn`: it may never have been written whole. */
static enum log_status read_segment_header(struct recovery *recovery, struct source *source,
                                           struct record_segment_header *header, bool *is_torn) {
    char head[RECORD_SEGMENT_HEADER_BYTES];
    enum record_read read = source_head(recovery, source, head, sizeof(head));
    *is_torn = read == RECORD_READ_CUT;
    if (read == RECORD_READ_DISK) {
        return disk_failed(recovery, source->name, source->reader.disk_status);
    }
    if (read == RECORD_READ_CUT) {
        return source_damaged(recovery, source, 0, "the file ends within its header");
    }
    enum record_header_status status = record_take_segment_header(head, header);
    if (status != RECORD_HEADER_OK) {
        *is_torn = status != RECORD_HEADER_VERSION;
        return source_damaged(recovery, source, 0, record_header_status_text(status));
    }
    if (header->sequence != source->sequence) {
        return source_damaged(recovery, source, 0, "it is another segment than its name says");
    }
    return LOG_OK;
}

/* How the reading of a segment ended. */
struct segment_tail {
    bool is_sealed;
    enum record_read read; /* not sealed: END, CUT or BAD */
    uint64_t offset;       /* end of the last good record */
};

static enum log_status take_record(struct recovery *recovery, const struct source *source,
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
        return out_of_memory(recovery, source->name);
    }
    return status == LOG_OK ? LOG_OK
                            : source_damaged(recovery, source, record->offset, recovery->what);
}

static enum log_status replay_records(struct recovery *recovery, struct source *source,
                                      struct segment_tail *tail) {
    bool has_replicas = false;
    for (;;) {
        struct record record;
        enum record_read read = record_reader_next(&source->reader, &record);
        if (read == RECORD_READ_DISK || read == RECORD_READ_MEMORY) {
            return source_unread(recovery, source, read);
        }
        if (read != RECORD_READ_OK) {
            *tail = (struct segment_tail){.read = read, .offset = source->reader.offset};
            return LOG_OK;
        }
        recovery->found.records_count++;
        if (record.type == RECORD_SEAL) {
            if (record.payload.size != 1 ||
                (record.payload.data[0] & ~RECORD_SEAL_VOID_UNIT) != 0) {
                return source_damaged(recovery, source, record.offset, "its seal makes no sense");
            }
            if ((record.payload.data[0] & RECORD_SEAL_VOID_UNIT) != 0) {
                forget_units(recovery);
            }
            if (source->reader.offset != source->reader.file_bytes) {
                recovery->is_damaged_behind_seal = true;
                return source_damaged(recovery, source, source->reader.offset,
                                      "something follows its seal");
            }
            *tail = (struct segment_tail){.is_sealed = true, .offset = source->reader.offset};
            return LOG_OK;
        }
        enum log_status status = take_record(recovery, source, &record, &has_replicas);
        if (status != LOG_OK) {
            return status;
        }
        if (!goes_on(recovery, source)) {
            return LOG_STOPPED;
        }
    }
}

static enum log_status set_aside(struct recovery *recovery, uint64_t sequence, const char *why) {
    char name[DIRECTORY_NAME_BYTES], lost[DIRECTORY_NAME_BYTES];
    directory_segment_name(name, sequence);
    if (recovery->is_dry) {
        say(recovery, LOG_LEVEL_WARNING, "%s is of no use: %s.", name, why);
        return LOG_OK;
    }
    enum disk_status status = directory_set_aside(recovery->disk, name, lost);
    if (status != DISK_OK) {
        return disk_failed(recovery, name, status);
    }
    say(recovery, LOG_LEVEL_WARNING, "%s is of no use: %s. It was renamed to %s.", name, why, lost);
    return LOG_OK;
}

static enum log_status set_aside_from(struct recovery *recovery,
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
static enum log_status cut_tail(struct recovery *recovery, struct source *source,
                                const struct segment_tail *tail) {
    uint64_t file_bytes = source->reader.file_bytes;
    if (tail->read == RECORD_READ_END) {
        return LOG_OK;
    }
    uint64_t found;
    enum record_read read = record_reader_search(&source->reader, &found);
    if (read != RECORD_READ_OK) {
        return source_unread(recovery, source, read);
    }
    if (found < file_bytes) {
        return source_unread(recovery, source, RECORD_READ_BAD);
    }
    uint64_t torn_bytes = file_bytes - tail->offset;
    recovery->found.torn_bytes += torn_bytes;
    say(recovery, LOG_LEVEL_WARNING,
        "%s/%s ends with an unfinished record at offset %llu: %llu bytes %s.", recovery->disk->path,
        source->name, (unsigned long long)tail->offset, (unsigned long long)torn_bytes,
        recovery->is_dry ? "would be cut off" : "cut off");
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
    return status == DISK_OK ? LOG_OK : disk_failed(recovery, source->name, status);
}

/* The number of what the chain ends with so far, 0 at its beginning. */
static uint64_t chain_sequence(const struct recovery *recovery) {
    return recovery->end.segment_sequence != 0 ? recovery->end.segment_sequence
                                               : recovery->end.snapshot_sequence;
}

/* Does segment `header` go on from where the chain is? */
static enum log_status check_link(struct recovery *recovery, const struct source *source,
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
                   : source_damaged(recovery, source, 0,
                                    "it does not belong to the segment before it");
    }
    char why[128];
    if (header->start == RECORD_START_EMPTY) {
        return source_damaged(recovery, source, 0, "it begins a log of its own after another");
    }
    (void)snprintf(why, sizeof(why), "it continues segment %llu, which is missing",
                   (unsigned long long)header->sequence - 1);
    return source_damaged(recovery, source, 0, why);
}

/* Does the segment say that the one before it is durable? */
static bool says_previous_synced(struct source *source) {
    struct record record;
    bool says = false;
    while (!says && record_reader_next(&source->reader, &record) == RECORD_READ_OK) {
        says = record.type == RECORD_PREVIOUS_SYNCED;
    }
    return says;
}

/* Is there any whole record in it? One that has none holds nothing that could be missed. */
static enum log_status has_records(struct recovery *recovery, struct source *source, bool *has) {
    uint64_t found;
    source->reader.offset = 0;
    source->reader.window_offset = source->reader.window_bytes = 0;
    enum record_read read = record_reader_search(&source->reader, &found);
    *has = found < source->reader.file_bytes;
    return read == RECORD_READ_OK ? LOG_OK : source_unread(recovery, source, read);
}

enum promise { PROMISE_NONE, PROMISE_NONE_IF_LAST, PROMISE_NONE_NOR_AFTER, PROMISE_MADE };

/* What one segment, whose predecessor is cut or missing, was to anybody. */
static enum log_status judge_segment(struct recovery *recovery, uint64_t sequence,
                                     enum promise *promise) {
    struct source source;
    struct record_segment_header header;
    bool is_torn, has = true;
    *promise = PROMISE_MADE;
    enum log_status status = source_open(recovery, &source, sequence, false);
    if (status != LOG_OK) {
        return status;
    }
    status = read_segment_header(recovery, &source, &header, &is_torn);
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
    source_close(recovery, &source);
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

/* After a segment that has no seal: a torn tail, or damage? */
static enum log_status judge_tail(struct recovery *recovery, const struct directory_files *segments,
                                  size_t index, struct source *source,
                                  const struct segment_tail *tail) {
    bool is_promised;
    enum log_status status = judge_rest(recovery, segments, index + 1, &is_promised);
    if (status == LOG_OK && is_promised) {
        return source_unread(recovery, source, tail->read);
    }
    if (status == LOG_OK) {
        status = cut_tail(recovery, source, tail);
    }
    if (status == LOG_OK) {
        status = set_aside_from(recovery, segments, index + 1,
                                "it goes on from something that never became durable");
    }
    return status;
}

/* A segment that cannot be joined to the chain, as `status` and the error say: the trace of a
 * crash, or damage? */
static enum log_status judge_stranger(struct recovery *recovery,
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
        return set_aside_from(recovery, segments, index,
                              is_torn ? "it was just being begun"
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

static enum log_status replay_segment(struct recovery *recovery,
                                      const struct directory_files *segments, size_t index,
                                      struct source *source, bool *is_end) {
    struct record_segment_header header;
    bool is_torn, is_orphan = false;
    enum log_status status = read_segment_header(recovery, source, &header, &is_torn);
    if (status == LOG_OK) {
        status = check_link(recovery, source, &header, &is_orphan);
        bool skips_one = header.start == RECORD_START_CONTINUES &&
                         header.sequence == chain_sequence(recovery) + 2;
        if (status == LOG_DAMAGED && skips_one) {
            *is_end = true;
            return judge_stranger(recovery, segments, index, status, false);
        }
    } else if (status == LOG_DAMAGED && is_torn) {
        *is_end = true;
        return judge_stranger(recovery, segments, index, status, true);
    }
    if (status != LOG_OK) {
        return status;
    }
    if (is_orphan) {
        *is_end = true;
        return set_aside_from(recovery, segments, index,
                              "the snapshot that it begins with was never completed");
    }
    struct segment_tail tail = {0};
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
        status = judge_tail(recovery, segments, index, source, &tail);
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
        struct source source;
        enum log_status status = source_open(recovery, &source, segments->files[i].sequence, false);
        if (status == LOG_OK) {
            status = replay_segment(recovery, segments, i, &source, &is_end);
            recovery->finished_bytes += source.reader.file_bytes;
        }
        source_close(recovery, &source);
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
    enum log_status status = disk_status == DISK_OK ? run(recovery, &directory)
                                                    : disk_failed(recovery, ".", disk_status);
    directory_deinit(&directory);
    const struct receiver *receiver = &recovery->receiver;
    unsigned self = store->replicas.self;
    recovery->end.has_open_unit = receiver->kept_bytes > 0;
    recovery->end.has_own_open_unit =
        receiver_ticks(receiver, self) > stamp_ticks(store->context.stamps[self]);
    if (status == LOG_OK && recovery->end.has_open_unit) {
        say(recovery, LOG_LEVEL_WARNING,
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
