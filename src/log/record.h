/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes of segments and snapshots: a header, then records. docs/log-format.md tells it at
 * length.
 *
 *   record:  payload length u32 | CRC-32C u32 of length, type and payload | type u8 | payload
 *
 * All numbers of fixed size are little endian. A type that a reader does not know is damage. */
#ifndef LOG_RECORD_H
#define LOG_RECORD_H

#include "base/buffer.h"

enum {
    RECORD_HEADER_BYTES = 9,
    RECORD_FORMAT_VERSION = 6,
    RECORD_FORMAT_VERSION_MIN =
        4, /* is read, too: it knows no departed lives; 5 not when they left */
    RECORD_NODE_ID_BYTES = 16,
    RECORD_SEGMENT_HEADER_BYTES = 64,
    RECORD_SNAPSHOT_HEADER_BYTES = 96,
    /* A compressed record holds whole records; LZ4 cannot shrink by more than this factor. */
    RECORD_LZ4_FACTOR_MAX = 255,
};

enum record_type {
    RECORD_STREAM = 1,          /* segment: changes of one replica (crdt/stream.h) */
    RECORD_PREVIOUS_SYNCED = 2, /* segment: the segment before is durable to its seal; no payload */
    RECORD_SEAL = 3,            /* segment: its end; one byte of record_seal_flags */
    RECORD_LZ4 = 4,             /* either: unpacked length u32 | LZ4 block of whole records */
    RECORD_CONTENTS = 5,        /* snapshot: replicas, context and key counts; its first record */
    RECORD_ENTRIES = 6,         /* snapshot: pieces of state (store/state.h) */
    RECORD_END = 7,      /* snapshot: entries u64 | CRC-32C u32 over the CRCs of its records */
    RECORD_REPLICAS = 8, /* segment: who is who (replicas_record.h); its first record, and again
                            before the first record that needs a change of it */
};
enum { RECORD_TYPE_LAST = RECORD_REPLICAS, RECORD_END_PAYLOAD_BYTES = 12 };

enum record_seal_flags {
    RECORD_SEAL_VOID_UNIT = 1, /* the unit that was open here never became whole: readers drop it */
};

/* What the state before a segment is. */
enum record_segment_start {
    RECORD_START_SNAPSHOT = 0,  /* that of the snapshot with its number */
    RECORD_START_CONTINUES = 1, /* that after the segment before */
    RECORD_START_EMPTY = 2,     /* no key at all */
};

struct record_segment_header {
    enum record_segment_start start;
    uint8_t node_id[RECORD_NODE_ID_BYTES];
    uint64_t generation;
    uint64_t sequence;
    uint64_t ticks;        /* of the clock when it was begun */
    uint32_t dbs_count;    /* 1 to 65536 */
    uint32_t previous_crc; /* CONTINUES: the header checksum of the segment before */
    uint32_t crc;          /* of this header; filled in by both directions */
};

struct record_snapshot_header {
    uint8_t node_id[RECORD_NODE_ID_BYTES];
    uint64_t generation;
    uint64_t sequence;
    uint64_t ticks;
    uint64_t hash_seed[2];  /* loading with the same seed inserts in table order */
    uint64_t entries_count; /* when it was begun; exact, since it is the state of that moment */
    int64_t created_unix_ms;
    uint32_t dbs_count;
};

enum record_header_status {
    RECORD_HEADER_OK,
    RECORD_HEADER_FOREIGN, /* the magic is another one */
    RECORD_HEADER_VERSION, /* a format that this code does not know */
    RECORD_HEADER_BAD,     /* the checksum is wrong, or a field makes no sense */
};

void record_put_segment_header(char at[RECORD_SEGMENT_HEADER_BYTES],
                               struct record_segment_header *header);
enum record_header_status record_take_segment_header(const char at[RECORD_SEGMENT_HEADER_BYTES],
                                                     struct record_segment_header *header);
void record_put_snapshot_header(char at[RECORD_SNAPSHOT_HEADER_BYTES],
                                const struct record_snapshot_header *header);
enum record_header_status record_take_snapshot_header(const char at[RECORD_SNAPSHOT_HEADER_BYTES],
                                                      struct record_snapshot_header *header);
/* Words for a status that is not OK. */
const char *record_header_status_text(enum record_header_status status);

/* Appends a whole record. */
void record_append(struct buffer *out, enum record_type type, struct slice payload);
/* The same, of a payload in two pieces. */
void record_append_pieces(struct buffer *out, enum record_type type, struct slice head,
                          struct slice rest);
/* Fills in the RECORD_HEADER_BYTES at `at`, which the payload of `payload_bytes` follows; returns
 * the checksum. */
uint32_t record_finish(char *at, enum record_type type, size_t payload_bytes);
/* The checksum of a record. */
uint32_t record_crc(enum record_type type, struct slice payload);

static inline void record_put32(char *at, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        at[i] = (char)(value >> (8 * i));
    }
}

static inline void record_put64(char *at, uint64_t value) {
    record_put32(at, (uint32_t)value);
    record_put32(at + 4, (uint32_t)(value >> 32));
}

static inline uint32_t record_take32(const char *at) {
    const unsigned char *byte = (const unsigned char *)at;
    return (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 |
           (uint32_t)byte[3] << 24;
}

static inline uint64_t record_take64(const char *at) {
    return (uint64_t)record_take32(at) | (uint64_t)record_take32(at + 4) << 32;
}

#endif
