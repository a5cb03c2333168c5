/* SPDX-License-Identifier: BSD-3-Clause */
#include "log/snapshot_writer.h"

#include <lz4.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "base/varint.h"
#include "log/replicas_record.h"
#include "store/state.h"

enum {
    SPARE_BLOCKS_MAX = 8,
    /* A block that grew because of a long value is not kept. */
    SPARE_BLOCK_BYTES_MAX = 2 * SNAPSHOT_WRITER_BLOCK_BYTES,
};

struct snapshot_block {
    struct disk_job job;
    struct snapshot_file *file;
    struct buffer bytes;  /* a record whose header is still blank; BEGIN: the file's beginning */
    struct buffer packed; /* room for the compressed one */
    enum record_type type;
    uint64_t flight_bytes;
    uint64_t entries_count; /* END */
    struct snapshot_block *next_spare;
};

/* ---- on the lane ---- */

static enum disk_status write_bytes(struct snapshot_file *file, struct slice bytes) {
    enum disk_status status = disk_write_all(file->disk, file->file, file->offset, bytes, NULL);
    if (status == DISK_OK) {
        file->offset += bytes.size;
    }
    return status;
}

static void sum_record(struct snapshot_file *file, uint32_t record_checksum) {
    char bytes[4];
    record_put32(bytes, record_checksum);
    file->crc = crc32c(file->crc, slice_make(bytes, sizeof(bytes)));
}

/* Wraps the record into a compressed one, if that is worth unpacking it later. */
static bool pack(struct snapshot_block *block, uint32_t *record_checksum) {
    size_t raw_bytes = block->bytes.size;
    if (raw_bytes > LZ4_MAX_INPUT_SIZE || raw_bytes > UINT32_MAX) {
        return false;
    }
    size_t room = raw_bytes - raw_bytes / 8;
    buffer_clear(&block->packed);
    char *at = buffer_reserve(&block->packed, RECORD_HEADER_BYTES + 4 + room);
    int size = LZ4_compress_default(block->bytes.data, at + RECORD_HEADER_BYTES + 4, (int)raw_bytes,
                                    (int)room);
    if (size <= 0) {
        return false;
    }
    record_put32(at + RECORD_HEADER_BYTES, (uint32_t)raw_bytes);
    *record_checksum = record_finish(at, RECORD_LZ4, 4 + (size_t)size);
    block->packed.size = RECORD_HEADER_BYTES + 4 + (size_t)size;
    return true;
}

static enum disk_status write_record(struct snapshot_block *block) {
    struct snapshot_file *file = block->file;
    uint32_t checksum =
        record_finish(block->bytes.data, block->type, block->bytes.size - RECORD_HEADER_BYTES);
    struct slice bytes = buffer_slice(&block->bytes);
    if (file->compresses && block->type == RECORD_ENTRIES && pack(block, &checksum)) {
        bytes = buffer_slice(&block->packed);
    }
    enum disk_status status = write_bytes(file, bytes);
    if (status != DISK_OK) {
        return status;
    }
    sum_record(file, checksum);
    if (file->offset - file->synced_offset >= SNAPSHOT_WRITER_SYNC_BYTES) {
        file->synced_offset = file->offset;
        return file->disk->methods->sync(file->disk, file->file);
    }
    return DISK_OK;
}

static enum disk_status run_write(struct disk_job *job) {
    struct snapshot_block *block = (struct snapshot_block *)job;
    struct snapshot_file *file = block->file;
    if (file->status == DISK_OK) {
        file->status = write_record(block);
    }
    return file->status;
}

/* `bytes` has the file's header and the whole record of its contents. */
static enum disk_status run_begin(struct disk_job *job) {
    struct snapshot_block *block = (struct snapshot_block *)job;
    struct snapshot_file *file = block->file;
    file->status = file->disk->methods->open(file->disk, file->tmp_name, DISK_CREATE, &file->file);
    if (file->status != DISK_OK) {
        file->file = NULL;
        return file->status;
    }
    file->status = write_bytes(file, buffer_slice(&block->bytes));
    sum_record(file, record_take32(block->bytes.data + RECORD_SNAPSHOT_HEADER_BYTES + 4));
    return file->status;
}

static enum disk_status finish_file(struct snapshot_file *file, uint64_t entries_count) {
    char payload[RECORD_END_PAYLOAD_BYTES];
    record_put64(payload, entries_count);
    record_put32(payload + 8, file->crc);
    struct buffer end = {0};
    record_append(&end, RECORD_END, slice_make(payload, sizeof(payload)));
    enum disk_status status = write_bytes(file, buffer_slice(&end));
    buffer_deinit(&end);
    struct disk *disk = file->disk;
    if (status == DISK_OK) {
        status = disk->methods->sync(disk, file->file);
    }
    if (status == DISK_OK) {
        disk->methods->close(disk, file->file);
        file->file = NULL;
        status = disk->methods->rename(disk, file->tmp_name, file->name);
    }
    if (status == DISK_OK) {
        status = disk->methods->sync_directory(disk);
        if (status != DISK_OK) {
            /* Whole, but perhaps not there after a crash: I1 of log.h forbids the name. */
            (void)disk->methods->rename(disk, file->name, file->tmp_name);
        }
    }
    return status;
}

static enum disk_status run_finish(struct disk_job *job) {
    struct snapshot_block *block = (struct snapshot_block *)job;
    struct snapshot_file *file = block->file;
    if (file->status == DISK_OK) {
        file->status = finish_file(file, block->entries_count);
    }
    return file->status;
}

static enum disk_status run_remove(struct disk_job *job) {
    struct snapshot_file *file = ((struct snapshot_block *)job)->file;
    struct disk *disk = file->disk;
    if (file->file != NULL) {
        disk->methods->close(disk, file->file);
        file->file = NULL;
    }
    /* What cannot be removed now goes at the next start. */
    (void)disk->methods->remove(disk, file->tmp_name);
    return DISK_OK;
}

/* ---- blocks ---- */

static struct snapshot_block *take_block(struct snapshot_writer *writer) {
    struct snapshot_block *block = writer->spare;
    if (block != NULL) {
        writer->spare = block->next_spare;
        writer->spare_count--;
        buffer_clear(&block->bytes);
    } else {
        block = memory_alloc_zero(sizeof(*block));
    }
    block->file = &writer->file;
    block->entries_count = 0;
    return block;
}

static void free_block(struct snapshot_block *block) {
    buffer_deinit(&block->bytes);
    buffer_deinit(&block->packed);
    memory_free(block);
}

static void give_block_back(struct snapshot_writer *writer, struct snapshot_block *block) {
    if (writer->spare_count >= SPARE_BLOCKS_MAX || block->bytes.capacity > SPARE_BLOCK_BYTES_MAX) {
        free_block(block);
        return;
    }
    block->next_spare = writer->spare;
    writer->spare = block;
    writer->spare_count++;
}

static void start_job(struct snapshot_writer *writer, struct snapshot_block *block,
                      enum disk_status (*run)(struct disk_job *job)) {
    block->job = (struct disk_job){.run = run, .lane = DISK_LANE_BACKGROUND};
    block->flight_bytes = block->bytes.size;
    writer->flight_bytes += block->flight_bytes;
    writer->jobs_count++;
    struct disk *disk = writer->file.disk;
    disk->methods->start(disk, &block->job);
}

/* ---- the walk ---- */

static void begin_filling(struct snapshot_writer *writer) {
    struct snapshot_block *block = take_block(writer);
    block->type = RECORD_ENTRIES;
    (void)buffer_reserve(&block->bytes, SNAPSHOT_WRITER_BLOCK_BYTES + 4096);
    block->bytes.size = RECORD_HEADER_BYTES;
    writer->filling = block;
}

static void send_filling(struct snapshot_writer *writer) {
    struct snapshot_block *block = writer->filling;
    if (block != NULL && block->bytes.size > RECORD_HEADER_BYTES) {
        writer->filling = NULL;
        start_job(writer, block, run_write);
    }
}

/* Called by state_encode() between the pieces of a very long value, with the buffer that it was
 * given: the piece goes off and the buffer is replaced in place. */
static void flush_piece(void *udata) {
    struct snapshot_writer *writer = udata;
    struct snapshot_block *block = writer->filling;
    struct snapshot_block *full = take_block(writer);
    full->type = RECORD_ENTRIES;
    struct buffer swapped = full->bytes;
    full->bytes = block->bytes;
    block->bytes = swapped;
    start_job(writer, full, run_write);
    (void)buffer_reserve(&block->bytes, RECORD_HEADER_BYTES);
    block->bytes.size = RECORD_HEADER_BYTES;
}

static void emit(void *udata, unsigned db, const struct entry *entry) {
    struct snapshot_writer *writer = udata;
    if (writer->filling == NULL) {
        begin_filling(writer);
    }
    writer->entries_count++;
    state_encode(&writer->filling->bytes, writer->store, db, entry, flush_piece, writer);
    if (writer->filling->bytes.size >= SNAPSHOT_WRITER_BLOCK_BYTES) {
        send_filling(writer);
    }
}

static void emit_piece(void *udata, struct slice piece, bool is_first) {
    struct snapshot_writer *writer = udata;
    if (writer->filling == NULL) {
        begin_filling(writer);
    }
    writer->entries_count += is_first;
    buffer_append_slice(&writer->filling->bytes, piece);
    if (writer->filling->bytes.size >= SNAPSHOT_WRITER_BLOCK_BYTES) {
        send_filling(writer);
    }
}

void snapshot_contents_put(const struct store *store, struct buffer *out) {
    replicas_record_put(out, store, &store->context, true);
    char *at = buffer_reserve(out, (2 * (size_t)store->dbs_count + 1) * VARINT_BYTES_MAX);
    char *start = at;
    uint64_t dbs_count = 0;
    for (unsigned db = 0; db < store->dbs_count; db++) {
        dbs_count += store_count(store, db) != 0;
    }
    at += varint_put(at, dbs_count);
    for (unsigned db = 0; db < store->dbs_count; db++) {
        uint64_t keys = store_count(store, db);
        if (keys != 0) {
            at += varint_put(at, store->dbs[db].number);
            at += varint_put(at, keys);
        }
    }
    out->size += (size_t)(at - start);
}

void snapshot_writer_begin(struct snapshot_writer *writer, struct disk *disk, struct store *store,
                           struct record_snapshot_header *header, bool compresses) {
    require(writer->state == SNAPSHOT_WRITER_IDLE);
    *writer = (struct snapshot_writer){.state = SNAPSHOT_WRITER_WALKING, .store = store};
    writer->file = (struct snapshot_file){.disk = disk, .compresses = compresses};
    directory_snapshot_name(writer->file.name, header->sequence);
    directory_snapshot_tmp_name(writer->file.tmp_name, header->sequence);
    header->ticks = store->clock.ticks;
    header->hash_seed[0] = store->seed.a;
    header->hash_seed[1] = store->seed.b;
    header->dbs_count = store->dbs_count;
    header->entries_count = 0;
    for (unsigned db = 0; db < store->dbs_count; db++) {
        header->entries_count += store_count(store, db);
    }
    struct buffer contents = {0};
    snapshot_contents_put(store, &contents);
    struct snapshot_block *block = take_block(writer);
    char *at = buffer_reserve(&block->bytes, RECORD_SNAPSHOT_HEADER_BYTES);
    record_put_snapshot_header(at, header);
    block->bytes.size = RECORD_SNAPSHOT_HEADER_BYTES;
    record_append(&block->bytes, RECORD_CONTENTS, buffer_slice(&contents));
    buffer_deinit(&contents);
    start_job(writer, block, run_begin);
    begin_filling(writer);
    state_encode_order(&writer->filling->bytes, store);
    snapshot_walk_begin(&writer->walk, store, emit, writer);
    snapshot_walk_take_pieces(&writer->walk, emit_piece);
    writer->is_walk_attached = true;
}

static void detach_walk(struct snapshot_writer *writer) {
    if (writer->is_walk_attached) {
        snapshot_walk_end(&writer->walk);
        writer->is_walk_attached = false;
    }
}

static void settle(struct snapshot_writer *writer) {
    if (writer->state == SNAPSHOT_WRITER_ENDING && writer->jobs_count == 0) {
        writer->state = writer->is_cancelled && writer->disk_status == DISK_OK
                            ? SNAPSHOT_WRITER_CANCELLED
                            : SNAPSHOT_WRITER_FAILED;
    }
}

/* The file goes, after what is already on the lane. */
static void end(struct snapshot_writer *writer) {
    detach_walk(writer);
    writer->state = SNAPSHOT_WRITER_ENDING;
    struct snapshot_block *block = take_block(writer);
    buffer_clear(&block->bytes);
    start_job(writer, block, run_remove);
}

void snapshot_writer_cancel(struct snapshot_writer *writer) {
    if (writer->state == SNAPSHOT_WRITER_WALKING) {
        writer->is_cancelled = true;
        end(writer);
    } else if (writer->state == SNAPSHOT_WRITER_FINISHING) {
        /* Too late to stop: it may bear its name already. */
        writer->is_cancelled = true;
    }
}

bool snapshot_writer_step(struct snapshot_writer *writer, unsigned entries_min) {
    if (writer->state != SNAPSHOT_WRITER_WALKING) {
        return false;
    }
    if (writer->walk.is_cancelled) {
        writer->is_cancelled = true;
        end(writer);
        return false;
    }
    if (writer->flight_bytes >= SNAPSHOT_WRITER_FLIGHT_BYTES_MAX) {
        return false;
    }
    if (!snapshot_walk_step(&writer->walk, entries_min)) {
        return writer->flight_bytes < SNAPSHOT_WRITER_FLIGHT_BYTES_MAX;
    }
    if (writer->walk.is_cancelled) {
        writer->is_cancelled = true;
        end(writer);
        return false;
    }
    detach_walk(writer);
    send_filling(writer);
    writer->state = SNAPSHOT_WRITER_FINISHING;
    struct snapshot_block *block = take_block(writer);
    block->entries_count = writer->entries_count;
    start_job(writer, block, run_finish);
    return false;
}

bool snapshot_writer_owns(const struct disk_job *job) {
    return job->run == run_begin || job->run == run_write || job->run == run_finish ||
           job->run == run_remove;
}

void snapshot_writer_done(struct snapshot_writer *writer, struct disk_job *job) {
    struct snapshot_block *block = (struct snapshot_block *)job;
    require(block->file == &writer->file);
    require(writer->jobs_count > 0);
    writer->jobs_count--;
    writer->flight_bytes -= block->flight_bytes;
    enum disk_status status = job->status;
    bool is_finish = job->run == run_finish;
    give_block_back(writer, block);
    if (status != DISK_OK && writer->disk_status == DISK_OK) {
        writer->disk_status = status;
    }
    if (writer->state == SNAPSHOT_WRITER_WALKING || writer->state == SNAPSHOT_WRITER_FINISHING) {
        if (status != DISK_OK) {
            end(writer);
        } else if (is_finish) {
            ensure(writer->jobs_count == 0);
            writer->state = SNAPSHOT_WRITER_DONE;
        }
    }
    settle(writer);
}

void snapshot_writer_reset(struct snapshot_writer *writer) {
    require(writer->state == SNAPSHOT_WRITER_IDLE || snapshot_writer_has_ended(writer));
    require(writer->jobs_count == 0);
    if (writer->filling != NULL) {
        free_block(writer->filling);
    }
    while (writer->spare != NULL) {
        struct snapshot_block *block = writer->spare;
        writer->spare = block->next_spare;
        free_block(block);
    }
    *writer = (struct snapshot_writer){0};
}
