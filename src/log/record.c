/* SPDX-License-Identifier: BSD-3-Clause */
#include "log/record.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "log/log.h"

static const char SEGMENT_MAGIC[8] = {'S', 'T', 'A', 'R', 'S', 'E', 'G', 'M'};
static const char SNAPSHOT_MAGIC[8] = {'S', 'T', 'A', 'R', 'S', 'N', 'A', 'P'};

/* ---- headers ----
 *
 *   offset  segment                        snapshot
 *   0       "STARSEGM"                     "STARSNAP"
 *   8       format version u32             format version u32
 *   12      start u16, databases - 1 u16   databases u32
 *   16      node id, 16 bytes              node id, 16 bytes
 *   32      generation u64                 generation u64
 *   40      sequence u64                   sequence u64
 *   48      ticks u64                      ticks u64
 *   56      previous header's CRC u32      hash seed, 2 u64
 *   60      CRC-32C u32 of all before
 *   72                                     entries u64
 *   80                                     created, Unix ms u64
 *   88                                     zero u32
 *   92                                     CRC-32C u32 of all before
 */

static void put_common(char *at, const char magic[8], uint32_t word, const uint8_t *node_id,
                       uint64_t generation, uint64_t sequence, uint64_t ticks) {
    memcpy(at, magic, 8);
    record_put32(at + 8, RECORD_FORMAT_VERSION);
    record_put32(at + 12, word);
    memcpy(at + 16, node_id, RECORD_NODE_ID_BYTES);
    record_put64(at + 32, generation);
    record_put64(at + 40, sequence);
    record_put64(at + 48, ticks);
}

static enum record_header_status check_common(const char *at, const char magic[8], size_t size) {
    if (memcmp(at, magic, 8) != 0) {
        return RECORD_HEADER_FOREIGN;
    }
    /* The checksum first: a version that was hit by a flipped bit is damage, not a version. Its
     * place is part of what every version keeps. */
    if (crc32c(0, slice_make(at, size - 4)) != record_take32(at + size - 4)) {
        return RECORD_HEADER_BAD;
    }
    uint32_t version = record_take32(at + 8);
    return version >= RECORD_FORMAT_VERSION_MIN && version <= RECORD_FORMAT_VERSION
               ? RECORD_HEADER_OK
               : RECORD_HEADER_VERSION;
}

void record_put_segment_header(char at[RECORD_SEGMENT_HEADER_BYTES],
                               struct record_segment_header *header) {
    require(header->dbs_count >= 1);
    require(header->dbs_count <= CHANGE_DATABASES_MAX);
    put_common(at, SEGMENT_MAGIC, (uint32_t)header->start | (header->dbs_count - 1) << 16,
               header->node_id, header->generation, header->sequence, header->ticks);
    record_put32(at + 56, header->previous_crc);
    header->crc = crc32c(0, slice_make(at, 60));
    record_put32(at + 60, header->crc);
}

enum record_header_status record_take_segment_header(const char at[RECORD_SEGMENT_HEADER_BYTES],
                                                     struct record_segment_header *header) {
    enum record_header_status status = check_common(at, SEGMENT_MAGIC, RECORD_SEGMENT_HEADER_BYTES);
    if (status != RECORD_HEADER_OK) {
        return status;
    }
    uint32_t word = record_take32(at + 12);
    uint32_t start = word & 0xFFFF;
    header->dbs_count = (word >> 16) + 1;
    if (start > RECORD_START_EMPTY) {
        return RECORD_HEADER_BAD;
    }
    header->start = (enum record_segment_start)start;
    memcpy(header->node_id, at + 16, RECORD_NODE_ID_BYTES);
    header->generation = record_take64(at + 32);
    header->sequence = record_take64(at + 40);
    header->ticks = record_take64(at + 48);
    header->previous_crc = record_take32(at + 56);
    header->crc = record_take32(at + 60);
    return RECORD_HEADER_OK;
}

void record_put_snapshot_header(char at[RECORD_SNAPSHOT_HEADER_BYTES],
                                const struct record_snapshot_header *header) {
    put_common(at, SNAPSHOT_MAGIC, header->dbs_count, header->node_id, header->generation,
               header->sequence, header->ticks);
    record_put64(at + 56, header->hash_seed[0]);
    record_put64(at + 64, header->hash_seed[1]);
    record_put64(at + 72, header->entries_count);
    record_put64(at + 80, (uint64_t)header->created_unix_ms);
    record_put32(at + 88, 0);
    record_put32(at + 92, crc32c(0, slice_make(at, 92)));
}

enum record_header_status record_take_snapshot_header(const char at[RECORD_SNAPSHOT_HEADER_BYTES],
                                                      struct record_snapshot_header *header) {
    enum record_header_status status =
        check_common(at, SNAPSHOT_MAGIC, RECORD_SNAPSHOT_HEADER_BYTES);
    if (status != RECORD_HEADER_OK) {
        return status;
    }
    header->dbs_count = record_take32(at + 12);
    memcpy(header->node_id, at + 16, RECORD_NODE_ID_BYTES);
    header->generation = record_take64(at + 32);
    header->sequence = record_take64(at + 40);
    header->ticks = record_take64(at + 48);
    header->hash_seed[0] = record_take64(at + 56);
    header->hash_seed[1] = record_take64(at + 64);
    header->entries_count = record_take64(at + 72);
    header->created_unix_ms = (int64_t)record_take64(at + 80);
    return header->ticks < STAMP_TICKS_MAX && header->dbs_count >= 1 &&
                   header->dbs_count <= CHANGE_DATABASES_MAX
               ? RECORD_HEADER_OK
               : RECORD_HEADER_BAD;
}

const char *record_header_status_text(enum record_header_status status) {
    switch (status) {
    case RECORD_HEADER_OK:
        return "the header is good";
    case RECORD_HEADER_FOREIGN:
        return "the file does not begin as such a file does";
    case RECORD_HEADER_VERSION:
        return "the file has a format version that this server does not know";
    case RECORD_HEADER_BAD:
        return "the header's checksum is wrong";
    }
    return "unknown";
}

/* ---- records ---- */

uint32_t record_crc(enum record_type type, struct slice payload) {
    char head[5];
    record_put32(head, (uint32_t)payload.size);
    head[4] = (char)type;
    return crc32c(crc32c(0, slice_make(head, sizeof(head))), payload);
}

uint32_t record_finish(char *at, enum record_type type, size_t payload_bytes) {
    require(payload_bytes <= LOG_RECORD_BYTES_MAX);
    uint32_t crc = record_crc(type, slice_make(at + RECORD_HEADER_BYTES, payload_bytes));
    record_put32(at, (uint32_t)payload_bytes);
    record_put32(at + 4, crc);
    at[8] = (char)type;
    return crc;
}

void record_append_pieces(struct buffer *out, enum record_type type, struct slice head,
                          struct slice rest) {
    require(head.size + rest.size <= LOG_RECORD_BYTES_MAX);
    char *at = buffer_reserve(out, RECORD_HEADER_BYTES + head.size + rest.size);
    if (head.size > 0) {
        memcpy(at + RECORD_HEADER_BYTES, head.data, head.size);
    }
    if (rest.size > 0) {
        memcpy(at + RECORD_HEADER_BYTES + head.size, rest.data, rest.size);
    }
    (void)record_finish(at, type, head.size + rest.size);
    out->size += RECORD_HEADER_BYTES + head.size + rest.size;
}

void record_append(struct buffer *out, enum record_type type, struct slice payload) {
    record_append_pieces(out, type, payload, (struct slice){0});
}
