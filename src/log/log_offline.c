/* SPDX-License-Identifier: BSD-3-Clause */
/* --check and --repair: a look at a data directory without a server.
 *
 * Both do what a start would do, into a store that is thrown away, so that they and a start never
 * disagree about what is damaged. A repair then removes the first damage and looks again:
 *   - a segment is cut at its last good record, and the segments after it are set aside, since a
 *     change without those before it would be other data. What is cut off is kept in a file. Where
 *     only a seal was hit, a new one does;
 *   - of a snapshot all blocks that can be read are kept, in a new file. */
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "base/memory.h"
#include "log/record_reader.h"
#include "log/recovery.h"

enum {
    REPAIR_STEPS_MAX = 10000,
    SEAL_BYTES = RECORD_HEADER_BYTES + 1,
    SEAL_BYTES_EQUAL_MIN = 7,
    COPY_BYTES = 1 << 20
};

struct offline {
    struct disk *disk;
    log_report_fn report;
    void *udata;
    unsigned dbs_count;
    bool is_repaired;
};

static void report(const struct offline *offline, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void report(const struct offline *offline, const char *format, ...) {
    struct buffer text = {0};
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    offline->report(offline->udata, buffer_text(&text));
    buffer_deinit(&text);
}

static void report_message(void *udata, enum log_level level, const char *text) {
    (void)level;
    report(udata, "%s", text);
}

/* ---- looking ---- */

static void see_head(struct offline *offline, const char *name, bool is_snapshot) {
    char head[RECORD_SNAPSHOT_HEADER_BYTES];
    struct disk_file *file;
    if (offline->disk->methods->open(offline->disk, name, DISK_READ, &file) != DISK_OK) {
        return;
    }
    int64_t size = disk_read_all(offline->disk, file, 0, head, sizeof(head));
    offline->disk->methods->close(offline->disk, file);
    struct record_snapshot_header snapshot = {0};
    struct record_segment_header segment = {0};
    uint32_t dbs_count = 0;
    if (is_snapshot && size == RECORD_SNAPSHOT_HEADER_BYTES &&
        record_take_snapshot_header(head, &snapshot) == RECORD_HEADER_OK) {
        dbs_count = snapshot.dbs_count;
    } else if (!is_snapshot && size >= RECORD_SEGMENT_HEADER_BYTES &&
               record_take_segment_header(head, &segment) == RECORD_HEADER_OK) {
        dbs_count = segment.dbs_count;
    }
    if (dbs_count > offline->dbs_count) {
        offline->dbs_count = dbs_count;
    }
}

/* The number of databases is an option of the server; the files tell how many they were for. */
static enum log_status see_heads(struct offline *offline) {
    struct directory directory;
    enum disk_status status = directory_read(&directory, offline->disk);
    if (status != DISK_OK) {
        directory_deinit(&directory);
        report(offline, "%s: %s", offline->disk->path, disk_status_text(status));
        return LOG_FAILED;
    }
    offline->dbs_count = 16;
    char name[DIRECTORY_NAME_BYTES];
    for (size_t i = 0; i < directory.snapshots.count; i++) {
        directory_snapshot_name(name, directory.snapshots.files[i].sequence);
        see_head(offline, name, true);
    }
    for (size_t i = 0; i < directory.segments.count; i++) {
        directory_segment_name(name, directory.segments.files[i].sequence);
        see_head(offline, name, false);
    }
    directory_deinit(&directory);
    return LOG_OK;
}

static enum log_status begin(struct offline *offline) {
    enum disk_status status = offline->disk->methods->lock(offline->disk);
    if (status != DISK_OK) {
        report(offline, "%s: %s", offline->disk->path,
               status == DISK_BUSY ? "in use by a running server" : disk_status_text(status));
        return LOG_FAILED;
    }
    return see_heads(offline);
}

static void store_begin(const struct offline *offline, struct store *store) {
    struct store_opts opts = {.dbs_count = offline->dbs_count, .seed = 1};
    store_init(store, &opts);
}

/* What a start would do. */
static enum log_status look(struct offline *offline, struct recovery *recovery,
                            struct store *store) {
    store_begin(offline, store);
    *recovery = (struct recovery){.disk = offline->disk,
                                  .store = store,
                                  .is_dry = true,
                                  .message = report_message,
                                  .udata = offline};
    return recovery_run(recovery);
}

static void look_ends(struct recovery *recovery, struct store *store) {
    recovery_deinit(recovery);
    store_deinit(store);
}

static void report_time(const struct offline *offline, uint64_t ticks) {
    time_t seconds = (time_t)(stamp_unix_ms(stamp_make(ticks, 0)) / 1000);
    struct tm utc;
    if (ticks > 0 && gmtime_r(&seconds, &utc) != NULL) {
        report(offline, "The last change before that is from %04d-%02d-%02d %02d:%02d:%02d UTC.",
               utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
               utc.tm_sec);
    }
}

static void report_found(const struct offline *offline, const struct recovery *recovery) {
    const struct log_recovery *found = &recovery->found;
    if (found->snapshot_sequence != 0) {
        report(offline, "Snapshot %llu: %llu keys, %llu bytes.",
               (unsigned long long)found->snapshot_sequence,
               (unsigned long long)found->snapshot_keys, (unsigned long long)found->snapshot_bytes);
    } else {
        report(offline, "There is no snapshot.");
    }
    report(offline, "Segments: %llu with %llu records, %llu changes, %llu bytes.",
           (unsigned long long)found->segments_count, (unsigned long long)found->records_count,
           (unsigned long long)found->changes_count, (unsigned long long)found->segments_bytes);
}

static uint64_t count_keys(const struct store *store) {
    uint64_t keys = 0;
    for (unsigned db = 0; db < store->dbs_count; db++) {
        keys += store_count(store, db);
    }
    return keys;
}

/* ---- the node file ---- */

static enum log_status check_node_file(struct offline *offline, struct node_file *node) {
    enum disk_status status;
    switch (node_file_load(node, offline->disk, &status)) {
    case NODE_FILE_OK:
    case NODE_FILE_ABSENT:
        return LOG_OK;
    case NODE_FILE_DAMAGED:
        report(offline,
               "%s is damaged. Restore it, or let --repair set it aside: the node then "
               "takes a new identity and keeps the data.",
               DIRECTORY_NODE_FILE);
        return LOG_DAMAGED;
    case NODE_FILE_DISK:
        report(offline, "%s: %s", DIRECTORY_NODE_FILE, disk_status_text(status));
        return LOG_FAILED;
    }
    return LOG_FAILED;
}

enum log_status log_check(struct disk *disk, log_report_fn report_fn, void *udata) {
    struct offline offline = {.disk = disk, .report = report_fn, .udata = udata};
    enum log_status status = begin(&offline);
    if (status != LOG_OK) {
        return status;
    }
    struct node_file node;
    enum log_status node_status = check_node_file(&offline, &node);
    struct recovery recovery;
    struct store store;
    status = look(&offline, &recovery, &store);
    report_found(&offline, &recovery);
    if (status != LOG_OK) {
        report(&offline, "%s.", buffer_text(&recovery.error));
        report_time(&offline, recovery.last_ticks);
    } else {
        report(&offline, "A start would have %llu keys.", (unsigned long long)count_keys(&store));
    }
    look_ends(&recovery, &store);
    return status != LOG_OK ? status : node_status;
}

/* ---- repairing a segment ---- */

static enum log_status disk_failed(const struct offline *offline, const char *name,
                                   enum disk_status status) {
    report(offline, "%s: %s. Nothing more was changed.", name, disk_status_text(status));
    return LOG_FAILED;
}

static enum log_status set_aside(struct offline *offline, const char *name) {
    char lost[DIRECTORY_NAME_BYTES];
    enum disk_status status = directory_set_aside(offline->disk, name, lost);
    if (status != DISK_OK) {
        return disk_failed(offline, name, status);
    }
    report(offline, "%s was renamed to %s.", name, lost);
    return LOG_OK;
}

/* Copies the bytes from `offset` on to a new file, durably. */
static enum disk_status keep_tail(struct disk *disk, struct disk_file *file, uint64_t offset,
                                  const char *tmp_name) {
    struct disk_file *copy;
    enum disk_status status = disk->methods->open(disk, tmp_name, DISK_CREATE, &copy);
    if (status != DISK_OK) {
        return status;
    }
    char *bytes = memory_alloc(COPY_BYTES);
    uint64_t done = 0;
    for (;;) {
        int64_t count = disk_read_all(disk, file, offset + done, bytes, COPY_BYTES);
        if (count <= 0) {
            status = count < 0 ? (enum disk_status)count : DISK_OK;
            break;
        }
        status = disk_write_all(disk, copy, done, slice_make(bytes, (size_t)count), NULL);
        if (status != DISK_OK) {
            break;
        }
        done += (uint64_t)count;
    }
    memory_free(bytes);
    if (status == DISK_OK) {
        status = disk->methods->sync(disk, copy);
    }
    disk->methods->close(disk, copy);
    return status;
}

static void put_seal(struct buffer *seal, bool is_unit_open) {
    uint8_t flags = is_unit_open ? RECORD_SEAL_VOID_UNIT : 0;
    record_append(seal, RECORD_SEAL, slice_make(&flags, 1));
    ensure(seal->size == SEAL_BYTES);
}

/* Do the last bytes of the file look like a seal that was hit, and not like a record cut short? */
static bool is_worn_seal(struct disk *disk, struct disk_file *file, uint64_t offset,
                         bool is_unit_open) {
    char bytes[SEAL_BYTES];
    if (disk_read_all(disk, file, offset, bytes, sizeof(bytes)) != SEAL_BYTES) {
        return false;
    }
    struct buffer seal = {0};
    put_seal(&seal, is_unit_open);
    int equal = 0;
    for (int i = 0; i < SEAL_BYTES; i++) {
        equal += bytes[i] == seal.data[i];
    }
    buffer_deinit(&seal);
    return equal >= SEAL_BYTES_EQUAL_MIN;
}

static enum disk_status write_seal(struct disk *disk, struct disk_file *file, uint64_t offset,
                                   bool is_unit_open) {
    struct buffer seal = {0};
    put_seal(&seal, is_unit_open);
    enum disk_status status = disk_write_all(disk, file, offset, buffer_slice(&seal), NULL);
    buffer_deinit(&seal);
    return status == DISK_OK ? disk->methods->sync(disk, file) : status;
}

static enum log_status set_later_segments_aside(struct offline *offline, uint64_t sequence) {
    struct directory directory;
    enum disk_status status = directory_read(&directory, offline->disk);
    enum log_status result =
        status == DISK_OK ? LOG_OK : disk_failed(offline, offline->disk->path, status);
    for (size_t i = directory.segments.count; i-- > 0 && result == LOG_OK;) {
        if (directory.segments.files[i].sequence > sequence) {
            char name[DIRECTORY_NAME_BYTES];
            directory_segment_name(name, directory.segments.files[i].sequence);
            report(offline, "Lost: %s, all its %llu bytes, since it continues what is damaged.",
                   name, (unsigned long long)directory.segments.files[i].bytes);
            result = set_aside(offline, name);
        }
    }
    directory_deinit(&directory);
    return result;
}

/* Moves the file's bytes from `offset` on into a file of their own. */
static enum disk_status cut_tail(struct offline *offline, const struct recovery *recovery,
                                 struct disk_file *file, uint64_t lost_bytes) {
    struct disk *disk = offline->disk;
    char tail_name[DIRECTORY_NAME_BYTES];
    (void)snprintf(tail_name, sizeof(tail_name), "log-%016llx.tail",
                   (unsigned long long)recovery->damaged_sequence);
    report(offline, "Lost: %s from offset %llu to its end, %llu bytes.", recovery->damaged_name,
           (unsigned long long)recovery->damaged_offset, (unsigned long long)lost_bytes);
    enum disk_status status = keep_tail(disk, file, recovery->damaged_offset, tail_name);
    if (status == DISK_OK && set_aside(offline, tail_name) != LOG_OK) {
        status = DISK_OTHER;
    }
    if (status == DISK_OK) {
        status = disk->methods->truncate(disk, file, recovery->damaged_offset);
    }
    return status == DISK_OK ? disk->methods->sync(disk, file) : status;
}

/* Cuts the segment; `*goes_on`: its changes are all there, and the next segment still fits. */
static enum log_status cut_segment(struct offline *offline, const struct recovery *recovery,
                                   bool *goes_on) {
    struct disk *disk = offline->disk;
    const char *name = recovery->damaged_name;
    uint64_t offset = recovery->damaged_offset;
    struct disk_file *file;
    *goes_on = recovery->is_damaged_behind_seal;
    enum disk_status status = disk->methods->open(disk, name, DISK_UPDATE, &file);
    if (status != DISK_OK) {
        return disk_failed(offline, name, status);
    }
    int64_t size = disk->methods->size(disk, file);
    if (size < 0) {
        status = (enum disk_status)size;
    } else if ((uint64_t)size == offset + SEAL_BYTES && !recovery->is_damaged_behind_seal &&
               is_worn_seal(disk, file, offset, recovery->end.has_open_unit)) {
        *goes_on = true;
        report(offline, "%s gets a new seal; no change is lost.", name);
        status = write_seal(disk, file, offset, recovery->end.has_open_unit);
    } else if ((uint64_t)size > offset) {
        status = cut_tail(offline, recovery, file, (uint64_t)size - offset);
    }
    disk->methods->close(disk, file);
    return status == DISK_OK ? LOG_OK : disk_failed(offline, name, status);
}

static enum log_status repair_segment(struct offline *offline, const struct recovery *recovery) {
    report_time(offline, recovery->last_ticks);
    bool goes_on = false;
    enum log_status status;
    if (recovery->damaged_offset < RECORD_SEGMENT_HEADER_BYTES) {
        report(offline, "Lost: %s, all of it.", recovery->damaged_name);
        status = set_aside(offline, recovery->damaged_name);
    } else {
        status = cut_segment(offline, recovery, &goes_on);
    }
    if (status == LOG_OK && !goes_on) {
        status = set_later_segments_aside(offline, recovery->damaged_sequence);
    }
    return status;
}

/* ---- repairing a snapshot ---- */

static enum log_status write_snapshot(struct offline *offline, struct store *store,
                                      uint64_t sequence, int64_t created_unix_ms) {
    struct node_file node;
    enum disk_status status;
    (void)node_file_load(&node, offline->disk, &status);
    struct record_snapshot_header header = {
        .generation = node.generation, .sequence = sequence, .created_unix_ms = created_unix_ms};
    memcpy(header.node_id, node.id, sizeof(header.node_id));
    struct snapshot_writer writer = {0};
    enum { REPAIR_ENTRIES = 4096 };
    snapshot_writer_begin(&writer, offline->disk, store, &header, true);
    while (!snapshot_writer_has_ended(&writer)) {
        if (!snapshot_writer_step(&writer, REPAIR_ENTRIES)) {
            struct disk_job *job = offline->disk->methods->wait(offline->disk);
            if (job != NULL) {
                snapshot_writer_done(&writer, job);
            }
        }
    }
    status = writer.disk_status;
    snapshot_writer_reset(&writer);
    return status == DISK_OK ? LOG_OK : disk_failed(offline, "the new snapshot", status);
}

/* Reads the first record of a file into `payload`, if it can be read and has that type. */
static bool read_first_record(struct disk *disk, const char *name, uint64_t offset,
                              enum record_type type, struct buffer *payload) {
    struct disk_file *file;
    if (disk->methods->open(disk, name, DISK_READ, &file) != DISK_OK) {
        return false;
    }
    int64_t bytes = disk->methods->size(disk, file);
    struct record_reader reader;
    struct record record;
    record_reader_init(&reader, disk, file, bytes > 0 ? (uint64_t)bytes : 0, offset);
    bool is_read = record_reader_next(&reader, &record) == RECORD_READ_OK && record.type == type;
    if (is_read) {
        buffer_append_slice(payload, record.payload);
    }
    record_reader_deinit(&reader);
    disk->methods->close(disk, file);
    return is_read;
}

/* Where a snapshot's table of replicas and context are lost, those serve with which the segment
 * that goes on from it begins. */
static void take_lost_table(struct offline *offline, uint64_t sequence, struct store *store) {
    char name[DIRECTORY_NAME_BYTES];
    struct buffer payload = {0};
    struct replicas_record replicas;
    directory_snapshot_name(name, sequence);
    bool has_own = read_first_record(offline->disk, name, RECORD_SNAPSHOT_HEADER_BYTES,
                                     RECORD_CONTENTS, &payload);
    directory_segment_name(name, sequence);
    if (!has_own && read_first_record(offline->disk, name, RECORD_SEGMENT_HEADER_BYTES,
                                      RECORD_REPLICAS, &payload)) {
        struct slice bytes = buffer_slice(&payload);
        if (replicas_record_take(&bytes, &replicas)) {
            (void)replicas_record_load(&replicas, store);
            replicas_record_deinit(&replicas);
        }
    }
    buffer_deinit(&payload);
}

static enum log_status repair_snapshot(struct offline *offline, const struct recovery *damaged) {
    struct store store;
    store_begin(offline, &store);
    take_lost_table(offline, damaged->damaged_sequence, &store);
    struct recovery recovery = {.disk = offline->disk, .store = &store, .skips_blocks = true};
    enum log_status status = recovery_load_snapshot(&recovery, damaged->damaged_sequence);
    if (status != LOG_OK) {
        report(offline, "%s", buffer_text(&recovery.error));
    } else {
        report(offline, "Of %s %llu keys can be read. Lost: what was in %llu bytes of it.",
               damaged->damaged_name, (unsigned long long)recovery.found.snapshot_keys,
               (unsigned long long)recovery.skipped_bytes);
        status = set_aside(offline, damaged->damaged_name);
    }
    if (status == LOG_OK) {
        status = write_snapshot(offline, &store, damaged->damaged_sequence,
                                recovery.snapshot_created_ms);
    }
    look_ends(&recovery, &store);
    return status;
}

/* ---- all of it ---- */

/* Data was lost that others may have seen: the next life is another replica. */
static enum log_status mark_repaired(struct offline *offline) {
    struct node_file node;
    enum log_status status = check_node_file(offline, &node);
    if (status == LOG_DAMAGED) {
        return set_aside(offline, DIRECTORY_NODE_FILE);
    }
    if (status != LOG_OK || !offline->is_repaired || node.ceiling_ticks == 0) {
        return status;
    }
    node.is_clean = false;
    node.is_durable = false;
    struct buffer text = {0};
    node_file_format(&node, &text);
    enum disk_status written = node_file_replace(offline->disk, buffer_slice(&text));
    buffer_deinit(&text);
    return written == DISK_OK ? LOG_OK : disk_failed(offline, DIRECTORY_NODE_FILE, written);
}

enum log_status log_repair(struct disk *disk, log_report_fn report_fn, void *udata) {
    struct offline offline = {.disk = disk, .report = report_fn, .udata = udata};
    enum log_status status = begin(&offline);
    for (int step = 0; status == LOG_OK && step < REPAIR_STEPS_MAX; step++) {
        struct recovery recovery;
        struct store store;
        status = look(&offline, &recovery, &store);
        if (status == LOG_OK) {
            report_found(&offline, &recovery);
            report(&offline, "A start now has %llu keys.", (unsigned long long)count_keys(&store));
            look_ends(&recovery, &store);
            return mark_repaired(&offline);
        }
        report(&offline, "%s.", buffer_text(&recovery.error));
        if (status == LOG_DAMAGED) {
            offline.is_repaired = true;
            /* The store is not needed for it, and may be large. */
            store_deinit(&store);
            store_begin(&offline, &store);
            status = recovery.is_snapshot_damaged ? repair_snapshot(&offline, &recovery)
                                                  : repair_segment(&offline, &recovery);
        }
        look_ends(&recovery, &store);
    }
    return status == LOG_OK ? LOG_DAMAGED : status;
}
