/* SPDX-License-Identifier: BSD-3-Clause */
/* What the fuzzers of segments and snapshots share: an input becomes a file of a data directory in
 * memory, and a start is made from it. */
#ifndef TESTS_FUZZ_LOG_FUZZ_H
#define TESTS_FUZZ_LOG_FUZZ_H

#include "log/directory.h"
#include "log/log.h"
#include "log/record.h"
#include "log/replicas_record.h"
#include "unit/log/memory_disk.h"

enum { LOG_FUZZ_REPLICAS = 3 };

/* A table of some replicas, which the records below are of. */
static inline void log_fuzz_init_store(struct store *store) {
    struct store_opts opts = {.dbs_count = 4, .seed = 3};
    store_init(store, &opts);
    for (unsigned i = 0; i < LOG_FUZZ_REPLICAS; i++) {
        struct replica_id id = {.node = {(uint8_t)(1 + i)}, .generation = 1};
        ensure(replicas_add(&store->replicas, &id) == 1 + i);
        struct departed_life departed = {.id = id, .is_forgotten = i == 1, .left_ticks = i};
        if (i > 0) {
            replicas_note_departed(&store->replicas, &departed);
        }
    }
}

/* A stream record begins with the ref of its author: one byte stands for it. */
static inline void log_fuzz_put_stream(struct buffer *file, struct slice bytes) {
    unsigned which = bytes.size > 0 ? (uint8_t)bytes.data[0] : LOG_FUZZ_REPLICAS;
    if (which >= LOG_FUZZ_REPLICAS) {
        record_append(file, RECORD_STREAM, bytes);
        return;
    }
    struct replica_id id = {.node = {(uint8_t)(1 + which)}, .generation = 1};
    char ref[8];
    record_put64(ref, replica_ref(&id));
    record_append_pieces(file, RECORD_STREAM, slice_make(ref, sizeof(ref)), slice_skip(bytes, 1));
}

/* With a first byte of 'r' the rest is the file as it stands. Otherwise it is a list of records,
 * each a type, a length of 16 bits and that many bytes, which get right checksums: so that the
 * fuzzer comes past them. */
static inline void log_fuzz_put_records(struct buffer *file, const uint8_t *data, size_t size) {
    while (size >= 3) {
        size_t length = (size_t)data[1] | (size_t)data[2] << 8;
        length = length < size - 3 ? length : size - 3;
        enum record_type type = (enum record_type)(1 + data[0] % RECORD_TYPE_LAST);
        struct slice bytes = slice_make(data + 3, length);
        if (type == RECORD_STREAM) {
            log_fuzz_put_stream(file, bytes);
        } else {
            record_append(file, type, bytes);
        }
        data += 3 + length;
        size -= 3 + length;
    }
}

/* Recovers; when that succeeds goes on from there and recovers again: the same data, or abort. */
static inline enum log_status log_fuzz_start(struct disk *disk, uint8_t digest[20]) {
    struct store store;
    struct store_opts store_opts = {.dbs_count = 4, .seed = 3};
    store_init(&store, &store_opts);
    struct log_opts opts = {.disk = disk, .store = &store, .segment_bytes = 1 << 20};
    struct log *log = log_new(&opts);
    enum log_status status = log_open(log, STAMP_EPOCH_MS);
    if (status == LOG_OK) {
        status = log_recover(log, NULL);
    }
    if (status == LOG_OK) {
        store_check(&store);
        store_digest(&store, digest);
        status = log_start(log, true, STAMP_EPOCH_MS, 0);
    }
    log_free(log);
    store_deinit(&store);
    return status;
}

static inline void log_fuzz_ignore(void *udata, const char *line) {
    (void)udata;
    (void)line;
}

static inline void log_fuzz_file(const char *name, struct slice bytes) {
    struct memory_disk *memory = memory_alloc(sizeof(*memory));
    memory_disk_init(memory, 1);
    memory_disk_put(memory, name, bytes);
    uint8_t first[20], second[20];
    if (log_fuzz_start(&memory->disk, first) == LOG_OK) {
        ensure(log_fuzz_start(&memory->disk, second) == LOG_OK);
        ensure(memcmp(first, second, sizeof(first)) == 0);
    } else {
        /* Whatever is wrong, a repair makes a directory that a server starts from. */
        ensure(log_repair(&memory->disk, log_fuzz_ignore, NULL) == LOG_OK);
        ensure(log_check(&memory->disk, log_fuzz_ignore, NULL) == LOG_OK);
    }
    memory_disk_deinit(memory);
    memory_free(memory);
}

#endif
