/* SPDX-License-Identifier: BSD-3-Clause */
/* Loading a snapshot; for its repair, what can still be read of it. */
#include "log/recovery_internal.h"

#include "base/crc32c.h"
#include "base/varint.h"
#include "store/state.h"

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

static enum log_status load_entries(struct recovery *recovery, const struct recovery_source *source,
                                    const struct record *record) {
    struct slice bytes = record->payload;
    while (bytes.size > 0) {
        enum store_status status = state_load(recovery->store, &bytes);
        if (status == STORE_OUT_OF_MEMORY) {
            return recovery_out_of_memory(recovery, source->name);
        }
        if (status != STORE_OK) {
            return recovery_damaged(recovery, source, record->offset,
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

static enum log_status check_end(struct recovery *recovery, struct recovery_source *source,
                                 const struct record *record, uint32_t crc) {
    if (record->payload.size != RECORD_END_PAYLOAD_BYTES ||
        record_take32(record->payload.data + 8) != crc) {
        return recovery_damaged(recovery, source, record->offset,
                                "the sum over its records is wrong");
    }
    if (record_take64(record->payload.data) != count_keys(recovery->store)) {
        return recovery_damaged(recovery, source, record->offset, "the number of keys is wrong");
    }
    if (source->reader.offset != source->reader.file_bytes) {
        return recovery_damaged(recovery, source, source->reader.offset,
                                "something follows its end");
    }
    return LOG_OK;
}

/* For the repair of a snapshot: moves on to the next record that can be read. */
static bool skip_bad_record(struct recovery *recovery, struct recovery_source *source,
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

static enum log_status load_records(struct recovery *recovery, struct recovery_source *source) {
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
                       : recovery_unread(recovery, source, read);
        }
        enum log_status status = LOG_OK;
        if (record.type == RECORD_END) {
            return recovery->skips_blocks ? LOG_OK : check_end(recovery, source, &record, crc);
        }
        if (is_first != (record.type == RECORD_CONTENTS) && !recovery->skips_blocks) {
            return recovery_damaged(recovery, source, record.offset,
                                    "its records are not in their order");
        }
        if (record.type == RECORD_CONTENTS) {
            if (!take_contents(recovery, record.payload)) {
                status = recovery_damaged(recovery, source, record.offset, recovery->what);
            }
        } else if (record.type == RECORD_ENTRIES) {
            status = load_entries(recovery, source, &record);
        } else {
            status = recovery_damaged(recovery, source, record.offset,
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
        if (!recovery_goes_on(recovery, source)) {
            return LOG_STOPPED;
        }
    }
}

static enum log_status load_snapshot_from(struct recovery *recovery,
                                          struct recovery_source *source) {
    struct store *store = recovery->store;
    char head[RECORD_SNAPSHOT_HEADER_BYTES];
    enum record_read read = recovery_read_head(recovery, source, head, sizeof(head));
    if (read == RECORD_READ_DISK) {
        return recovery_disk_failed(recovery, source->name, source->reader.disk_status);
    }
    if (read == RECORD_READ_CUT && !recovery->skips_blocks) {
        return recovery_damaged(recovery, source, 0, "the file ends within its header");
    }
    struct record_snapshot_header header;
    enum record_header_status status =
        read == RECORD_READ_OK ? record_take_snapshot_header(head, &header) : RECORD_HEADER_BAD;
    bool is_usable = status == RECORD_HEADER_OK && header.sequence == source->sequence;
    if (!is_usable && !recovery->skips_blocks) {
        return recovery_damaged(recovery, source, 0,
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
    struct recovery_source source;
    enum log_status status = recovery_open(recovery, &source, sequence, true);
    if (status == LOG_OK) {
        status = load_snapshot_from(recovery, &source);
    }
    recovery->finished_bytes += source.file != NULL ? source.reader.file_bytes : 0;
    recovery_close(recovery, &source);
    recovery->end.snapshot_sequence = sequence;
    return status;
}
