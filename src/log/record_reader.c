/* SPDX-License-Identifier: BSD-3-Clause */
#include "log/record_reader.h"

#include <lz4.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "log/log.h"

enum { WINDOW_BYTES = 1 << 20, SEARCH_BYTES_MIN = 64 << 20, SEARCH_FACTOR = 4 };

void record_reader_init(struct record_reader *reader, struct disk *disk, struct disk_file *file,
                        uint64_t file_bytes, uint64_t offset) {
    *reader = (struct record_reader){.disk = disk,
                                     .file = file,
                                     .file_bytes = file_bytes,
                                     .offset = offset,
                                     .window_offset = offset};
}

void record_reader_deinit(struct record_reader *reader) {
    memory_free(reader->window);
    buffer_deinit(&reader->run);
    *reader = (struct record_reader){0};
}

/* The usual window, or what the file has from `offset` on, but at least `size`. */
static size_t window_size(const struct record_reader *reader, uint64_t offset, size_t size) {
    size_t usual = reader->window_bytes_usual > 0 ? reader->window_bytes_usual : WINDOW_BYTES;
    uint64_t rest = reader->file_bytes > offset ? reader->file_bytes - offset : 0;
    usual = rest < usual ? (size_t)rest : usual;
    return size > usual ? size : usual;
}

/* Makes `size` bytes from `offset` on contiguous in the window. The caller knows that the file has
 * them. CUT when it has not after all: somebody truncated it meanwhile. */
static enum record_read window_fill(struct record_reader *reader, uint64_t offset, size_t size) {
    require(offset >= reader->window_offset);
    uint64_t skip = offset - reader->window_offset;
    if (skip + size <= reader->window_bytes) {
        return RECORD_READ_OK;
    }
    size_t keep = skip < reader->window_bytes ? reader->window_bytes - (size_t)skip : 0;
    size_t capacity = window_size(reader, offset, size);
    if (reader->window_capacity < capacity || reader->window == NULL) {
        char *larger = memory_try_alloc(capacity);
        if (larger == NULL) {
            return RECORD_READ_MEMORY;
        }
        if (keep > 0) {
            memcpy(larger, reader->window + skip, keep);
        }
        memory_free(reader->window);
        reader->window = larger;
        reader->window_capacity = capacity;
    } else if (keep > 0) {
        memmove(reader->window, reader->window + skip, keep);
    }
    reader->window_offset = offset;
    reader->window_bytes = keep;
    int64_t count = disk_read_all(reader->disk, reader->file, offset + keep, reader->window + keep,
                                  reader->window_capacity - keep);
    if (count < 0) {
        reader->disk_status = (enum disk_status)count;
        return RECORD_READ_DISK;
    }
    reader->window_bytes += (size_t)count;
    return reader->window_bytes >= size ? RECORD_READ_OK : RECORD_READ_CUT;
}

static bool is_known_type(unsigned char type) {
    return type >= RECORD_STREAM && type <= RECORD_TYPE_LAST;
}

/* Reads the record at the front of `bytes`, which holds all there is. */
static enum record_read take_record(struct slice bytes, enum record_type *type,
                                    struct slice *payload, uint32_t *crc) {
    if (bytes.size < RECORD_HEADER_BYTES) {
        return RECORD_READ_CUT;
    }
    uint32_t length = record_take32(bytes.data);
    unsigned char kind = (unsigned char)bytes.data[8];
    if (length > LOG_RECORD_BYTES_MAX || !is_known_type(kind)) {
        return RECORD_READ_BAD;
    }
    if (length > bytes.size - RECORD_HEADER_BYTES) {
        return RECORD_READ_CUT;
    }
    *type = (enum record_type)kind;
    *payload = slice_make(bytes.data + RECORD_HEADER_BYTES, length);
    *crc = record_take32(bytes.data + 4);
    return record_crc(*type, *payload) == *crc ? RECORD_READ_OK : RECORD_READ_BAD;
}

static enum record_read unpack_run(struct record_reader *reader, struct slice payload) {
    if (payload.size < 4) {
        return RECORD_READ_BAD;
    }
    uint32_t raw_bytes = record_take32(payload.data);
    if (raw_bytes > LOG_RECORD_BYTES_MAX || raw_bytes < RECORD_HEADER_BYTES ||
        raw_bytes / RECORD_LZ4_FACTOR_MAX > payload.size) {
        return RECORD_READ_BAD;
    }
    if (reader->run.capacity < raw_bytes) {
        buffer_deinit(&reader->run);
        reader->run.data = memory_try_alloc(raw_bytes);
        if (reader->run.data == NULL) {
            return RECORD_READ_MEMORY;
        }
        reader->run.capacity = raw_bytes;
    }
    int size = LZ4_decompress_safe(payload.data + 4, reader->run.data, (int)payload.size - 4,
                                   (int)raw_bytes);
    if (size != (int)raw_bytes) {
        buffer_clear(&reader->run);
        return RECORD_READ_BAD;
    }
    reader->run.size = raw_bytes;
    reader->run_at = 0;
    return RECORD_READ_OK;
}

static enum record_read next_in_run(struct record_reader *reader, struct record *record) {
    struct slice left = slice_skip(buffer_slice(&reader->run), reader->run_at);
    uint32_t inner_crc;
    enum record_read status = take_record(left, &record->type, &record->payload, &inner_crc);
    if (status != RECORD_READ_OK || record->type == RECORD_LZ4) {
        buffer_clear(&reader->run);
        reader->run_at = 0;
        reader->offset = reader->run_offset;
        return RECORD_READ_BAD;
    }
    record->is_run_start = reader->run_at == 0;
    record->offset = reader->run_offset;
    record->crc = reader->run_crc;
    reader->run_at += RECORD_HEADER_BYTES + record->payload.size;
    return RECORD_READ_OK;
}

/* The record at `offset` of the file, checked, with the window over it. */
static enum record_read record_at(struct record_reader *reader, uint64_t offset,
                                  enum record_type *type, struct slice *payload, uint32_t *crc) {
    uint64_t left = reader->file_bytes - offset;
    if (left < RECORD_HEADER_BYTES) {
        return RECORD_READ_CUT;
    }
    enum record_read status = window_fill(reader, offset, RECORD_HEADER_BYTES);
    if (status != RECORD_READ_OK) {
        return status;
    }
    const char *head = reader->window + (offset - reader->window_offset);
    uint32_t length = record_take32(head);
    if (length > LOG_RECORD_BYTES_MAX || !is_known_type((unsigned char)head[8])) {
        return RECORD_READ_BAD;
    }
    if (length > left - RECORD_HEADER_BYTES) {
        return RECORD_READ_CUT;
    }
    status = window_fill(reader, offset, RECORD_HEADER_BYTES + (size_t)length);
    if (status != RECORD_READ_OK) {
        return status;
    }
    head = reader->window + (offset - reader->window_offset);
    return take_record(slice_make(head, RECORD_HEADER_BYTES + (size_t)length), type, payload, crc);
}

enum record_read record_reader_next(struct record_reader *reader, struct record *record) {
    if (reader->run_at < reader->run.size) {
        return next_in_run(reader, record);
    }
    if (reader->offset >= reader->file_bytes) {
        return RECORD_READ_END;
    }
    enum record_read status =
        record_at(reader, reader->offset, &record->type, &record->payload, &record->crc);
    if (status != RECORD_READ_OK) {
        return status;
    }
    record->offset = reader->offset;
    record->is_run_start = true;
    uint64_t next = reader->offset + RECORD_HEADER_BYTES + record->payload.size;
    if (record->type == RECORD_LZ4) {
        status = unpack_run(reader, record->payload);
        if (status != RECORD_READ_OK) {
            return status;
        }
        reader->run_offset = reader->offset;
        reader->run_crc = record->crc;
        reader->offset = next;
        return next_in_run(reader, record);
    }
    reader->offset = next;
    return RECORD_READ_OK;
}

/* How many bytes were summed up to find that the bytes at `offset` are no record. */
static uint64_t record_claimed_bytes(const struct record_reader *reader, uint64_t offset) {
    const char *head = reader->window + (offset - reader->window_offset);
    uint32_t length = record_take32(head);
    return length <= LOG_RECORD_BYTES_MAX && is_known_type((unsigned char)head[8]) ? length : 0;
}

enum record_read record_reader_search(struct record_reader *reader, uint64_t *found) {
    buffer_clear(&reader->run);
    reader->run_at = 0;
    /* Bytes that look like the beginnings of long records, over and over, would make this
     * quadratic. Past the budget the answer is the careful one: yes, something follows. */
    uint64_t budget = SEARCH_BYTES_MIN + SEARCH_FACTOR * reader->file_bytes;
    for (uint64_t at = reader->offset + 1; at < reader->file_bytes; at++) {
        enum record_type type;
        struct slice payload;
        uint32_t crc;
        enum record_read status = record_at(reader, at, &type, &payload, &crc);
        if (status == RECORD_READ_OK) {
            *found = at;
            return RECORD_READ_OK;
        }
        if (status == RECORD_READ_DISK || status == RECORD_READ_MEMORY) {
            return status;
        }
        uint64_t cost = status == RECORD_READ_BAD ? record_claimed_bytes(reader, at) : 0;
        if (cost >= budget) {
            *found = at;
            return RECORD_READ_OK;
        }
        budget -= cost;
    }
    *found = reader->file_bytes;
    return RECORD_READ_OK;
}
