/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes one snapshot file from a walk over the store, a few entries at a time.
 *
 * The owner's thread encodes entries into blocks; a lane of the disk compresses and writes them. At
 * most SNAPSHOT_WRITER_FLIGHT_BYTES_MAX wait for the disk, then the walk pauses; only what writes
 * to the store hand over ahead of the walk comes on top.
 *
 *   IDLE -> WALKING -> FINISHING -> DONE
 *              |           |
 *              +-> ENDING <+  -> FAILED or CANCELLED
 *
 * In ENDING the file is removed and the blocks under way come home. From DONE, FAILED and CANCELLED
 * snapshot_writer_reset() leads back to IDLE. */
#ifndef LOG_SNAPSHOT_WRITER_H
#define LOG_SNAPSHOT_WRITER_H

#include "base/disk.h"
#include "log/directory.h"
#include "log/record.h"
#include "store/snapshot_walk.h"

enum {
    SNAPSHOT_WRITER_BLOCK_BYTES = 256 << 10,
    SNAPSHOT_WRITER_FLIGHT_BYTES_MAX = 8 << 20,
    SNAPSHOT_WRITER_SYNC_BYTES = 16 << 20, /* fsync along the way, so that the last one is short */
};

enum snapshot_writer_state {
    SNAPSHOT_WRITER_IDLE,
    SNAPSHOT_WRITER_WALKING,
    SNAPSHOT_WRITER_FINISHING,
    SNAPSHOT_WRITER_ENDING,
    SNAPSHOT_WRITER_DONE,
    SNAPSHOT_WRITER_FAILED,    /* disk_status says why */
    SNAPSHOT_WRITER_CANCELLED, /* by its owner, or by a flush or swap of databases */
};

/* The file, touched by the lane's jobs alone while they are under way. */
struct snapshot_file {
    struct disk *disk;
    struct disk_file *file; /* NULL: not open */
    uint64_t offset;
    uint64_t synced_offset;
    uint32_t crc;            /* over the checksums of the records */
    enum disk_status status; /* of the first job that failed; those after it do nothing */
    bool compresses;
    char tmp_name[DIRECTORY_NAME_BYTES];
    char name[DIRECTORY_NAME_BYTES];
};

struct snapshot_block; /* a job with its bytes */

struct snapshot_writer {
    enum snapshot_writer_state state;
    struct store *store;
    struct snapshot_walk walk;
    bool is_walk_attached;
    struct snapshot_file file;
    struct snapshot_block *filling;
    struct snapshot_block *spare; /* list of blocks to be used again */
    unsigned spare_count;
    unsigned jobs_count; /* under way */
    uint64_t flight_bytes;
    uint64_t entries_count;
    bool is_cancelled;
    enum disk_status disk_status;
};

/* A zeroed struct is IDLE. Begins a snapshot of the store as it is now; `header` comes with the
 * identity, sequence and time, the rest is filled in. The struct stays where it is until it is IDLE
 * again. */
void snapshot_writer_begin(struct snapshot_writer *writer, struct disk *disk, struct store *store,
                           struct record_snapshot_header *header, bool compresses);
/* Goes on for about `entries_min` entries. True when another call would find work at once. */
bool snapshot_writer_step(struct snapshot_writer *writer, unsigned entries_min);
/* Gives it up: WALKING and FINISHING become ENDING, and CANCELLED once the jobs are home. A file
 * that was just completed stays: then DONE follows. */
void snapshot_writer_cancel(struct snapshot_writer *writer);
/* Is this a job of a snapshot writer? */
bool snapshot_writer_owns(const struct disk_job *job);
/* The disk is done with a job of this writer. */
void snapshot_writer_done(struct snapshot_writer *writer, struct disk_job *job);
/* DONE, FAILED, CANCELLED -> IDLE; frees what it holds. */
void snapshot_writer_reset(struct snapshot_writer *writer);

static inline bool snapshot_writer_has_ended(const struct snapshot_writer *writer) {
    return writer->state >= SNAPSHOT_WRITER_DONE;
}

/* The first record of a snapshot: the table of replicas and the context (replicas_record.h), and
 * keys for each database.
 *   replicas | databases (varint) | (number varint, keys varint)... */
void snapshot_contents_put(const struct store *store, struct buffer *out);

#endif
