/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this room share: the struct behind log.h and the calls between its parts.
 *
 *   log.c            lifecycle, options, the tick, who gets a finished job, statistics
 *   log_identity.c   node.state: who this node is, and when it becomes another replica
 *   log_append.c     own changes and others' records, into segment and ring
 *   log_segment.c    writing, rotation, fsync, and what happens when they fail
 *   log_span.c       what is known of the segments on disk
 *   log_stream.c     reading the log for peers, from the ring and from segments
 *   log_snapshot.c   when snapshots begin and what their end means
 *   log_recovery.c   reading a directory back
 *   log_offline.c    --check and --repair
 *
 * States of the writing side, with the log on:
 *
 *   segment != NULL                 the usual
 *   + write_status != DISK_OK       bytes wait in `pending`; tried again every 100 ms
 *   segment == NULL, needs_chain    no segment: it was switched on while another snapshot still
 *                                   ran, or the last one broke; bytes are dropped, since the
 *                                   snapshot that begins with the next segment will hold them
 *   is_chain_broken                 a failed fsync, or too much was pending: what is on disk is not
 *                                   known to be what was written, until a snapshot is durable (I6)
 */
#ifndef LOG_LOG_STATE_H
#define LOG_LOG_STATE_H

#include "log/change_counts.h"
#include "log/log.h"
#include "log/node_file.h"
#include "log/log_stream.h"
#include "log/record.h"
#include "log/replicas_record.h"
#include "log/ring.h"
#include "log/snapshot_writer.h"

enum {
    LOG_RETRY_US = 100 * 1000,          /* between two tries to write */
    LOG_SYNC_INTERVAL_US = 1000 * 1000, /* of `everysec` */
    LOG_ROTATE_RETRY_US = 1000 * 1000,  /* when no new segment can be made */
    LOG_CHAIN_RETRY_US = 100 * 1000,
    LOG_SNAPSHOT_RETRY_US = 1000 * 1000, /* for a required one; doubled each time */
    LOG_SNAPSHOT_RETRY_US_MAX = 30 * 1000 * 1000,
    LOG_PENDING_BYTES_MAX = 64 << 20, /* while writing fails; beyond it the chain is broken */
    LOG_PENDING_KEEP_BYTES = 4 << 20, /* a larger buffer is given back once it is empty */
    LOG_HELD_SLOTS_MAX = 256,         /* of retired replicas; beyond it a snapshot sets them free */
    LOG_CLOCK_AHEAD_MS = 10 * 1000,   /* how far the ceiling of node.state runs ahead */
    LOG_READ_BYTES = 256 << 10,       /* of a segment, for a stream, by one job */
    LOG_READS_MAX = 8,                /* streams that may have such bytes at a time */
    LOG_READ_IDLE_US = 1000 * 1000,   /* after which others may have a stream's turn */
};

struct log_segment {
    struct disk_file *file; /* NULL: there is none */
    uint64_t sequence;
    uint64_t bytes;       /* written; what the file has beyond them is overwritten */
    uint64_t first_bytes; /* with which it began: header and table of replicas */
    uint32_t header_crc;
    bool is_name_synced;    /* the directory has it durably */
    uint64_t table_version; /* of the table of replicas that it tells last; self, is_alone then */
    unsigned self;
    bool is_alone;
    uint64_t departed_version; /* likewise; also while there is none, and a snapshot is to tell */
};

/* Where a record lies in a segment. */
struct log_place {
    uint64_t position, offset;
};

/* A segment that streams may read: log_span.c. */
struct log_span {
    uint64_t sequence;
    bool continues;    /* the segment before it leads up to it */
    bool has_position; /* of this life */
    bool has_end;      /* closed with all of it written (or the last one of the lives before) */
    bool is_cut;       /* given up with some of it unwritten */
    uint64_t first_position, end_position;
    uint64_t bytes;               /* of the file, once it is closed */
    struct ring_context *context; /* before its first record */
    struct log_place *places;     /* rising; some, so that a position is found without a scan */
    size_t places_count;
};

/* An fsync; embedded in the log, one for each purpose. */
struct log_sync {
    struct disk_job job;
    struct disk *disk;
    struct disk_file *file;
    bool syncs_directory;
    bool closes;           /* the lane closes the file afterwards */
    bool closes_when_done; /* the owner does: it gave the segment up meanwhile */
    uint64_t position;     /* what is durable once it is done */
    uint64_t started_us;
    bool is_running;
};

struct log_node_job {
    struct disk_job job;
    struct disk *disk;
    struct buffer text;
    uint64_t ceiling_ticks; /* what log->node becomes once the file is there */
    bool is_durable;
    bool is_running;
};

/* Removes what a snapshot made superfluous. */
struct log_removal {
    struct disk_job job;
    struct disk *disk;
    uint64_t snapshot_sequence;
    uint64_t retention_bytes;
    uint64_t removed_segments, removed_segment_bytes; /* the result */
    uint64_t removed_sequence_max;
    bool is_running;
    bool is_wanted_again;
};

enum log_snapshot_phase {
    LOG_SNAPSHOT_NONE,
    LOG_SNAPSHOT_WAITING, /* for the disk to finish with the last rotation or snapshot */
    LOG_SNAPSHOT_RUNNING,
};

/* Where recovery ended, for the first segment of this life. */
struct log_chain_end {
    uint64_t snapshot_sequence; /* 0: none */
    uint64_t segment_sequence;  /* 0: no segment was replayed */
    uint64_t segment_bytes;
    uint32_t segment_header_crc;
    bool is_sealed;
    bool has_open_unit;
    bool has_own_open_unit;
};

struct log_read; /* a job that reads a segment for a stream */

struct log {
    struct log_opts opts;
    struct disk *disk;
    struct store *store;
    struct node_file node;
    char node_id[2 * RECORD_NODE_ID_BYTES + 1];
    bool is_open;
    bool is_started;
    bool is_on;
    int64_t unix_ms;
    uint64_t monotonic_us;

    /* The chain of segments. */
    uint64_t newest_sequence;
    struct log_segment segment;
    bool needs_chain;
    uint64_t chain_sequence; /* the segment that needed a snapshot last */
    bool is_chain_broken;
    uint64_t chain_retry_us;
    uint64_t rotate_retry_us;
    struct buffer pending;
    uint64_t position, written_position, synced_position, failed_position;
    uint64_t broken_position; /* acknowledged when the chain broke, or the end was lost */
    enum disk_status write_status;
    uint64_t write_retry_us;
    struct log_sync sync;    /* of the current segment */
    struct log_sync closing; /* of the one before it */
    uint64_t sync_started_us;
    bool was_sync_delayed;

    /* Recording: log_append.c. */
    struct context logged;                   /* of all that was appended */
    uint64_t logged_refs[STAMP_SLOTS_COUNT]; /* whose slots these are */
    uint64_t logged_version;                 /* of the table that logged_refs was taken from */
    uint64_t stream_position;    /* bytes of stream records so far, as the ring counts them */
    bool has_gap;                /* there was a time without recording */
    struct change_counts counts; /* while there is a ring */
    struct buffer head;          /* of an own record, while it is made */
    struct ring ring;
    struct log_span *spans; /* rising sequences */
    size_t spans_count, spans_capacity;
    struct log_stream *streams;
    unsigned reads_count;
    uint64_t disk_reads;
    bool is_suspended;
    bool is_ring_resumed; /* suspended, but for the ring */
    bool is_held;         /* the store is no state that a snapshot could have: log_hold() */
    bool resumes_on;      /* the log is to be on after the suspension */

    /* Snapshots. */
    enum log_snapshot_phase snapshot_phase;
    struct snapshot_writer writer;
    bool snapshot_is_required;
    bool snapshot_starts_over; /* once the writer has given up the present one */
    bool is_snapshot_given_up; /* by log_snapshot_cancel() */
    uint64_t snapshot_sequence_running;
    uint64_t snapshot_position; /* log_position() when it began */
    uint64_t snapshot_closed_bytes;
    uint64_t snapshot_table_version; /* of the table of replicas that it has */
    unsigned held_count;             /* slots of retired replicas that the log still needs */
    uint64_t snapshot_retry_us, snapshot_retry_wait_us;
    uint64_t snapshot_started_us;
    struct log_removal removal;

    struct log_node_job node_job;
    struct log_chain_end end;

    /* Statistics not derived from the above. */
    struct log_stats stats;
    uint64_t closed_bytes_total; /* of segments closed in this life, and found at its start */
    uint64_t closed_bytes_base;  /* the same when the newest snapshot began */
    struct buffer error;
};

void log_say(struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Keeps the words for log_error() and returns `status`. */
enum log_status log_fail(struct log *log, enum log_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline void log_set_now(struct log *log, int64_t unix_ms, uint64_t monotonic_us) {
    log->unix_ms = unix_ms;
    log->monotonic_us = monotonic_us;
}
/* Blocks for one job and handles it; false when none is under way. */
bool log_wait_for_disk(struct log *log);

/* ---- log_identity.c ---- */

/* A new id and generation 1. */
void log_identity_new(struct log *log);
/* Decides which replica this life is, says so in node.state, and in the store. */
enum log_status log_identity_begin(struct log *log, bool is_on);
enum disk_status log_identity_replace_file(struct log *log);
/* Moves the ceiling before the stamps reach it, and tells the file when `always` comes or goes. */
void log_identity_keep(struct log *log);
void log_identity_job_done(struct log *log);

/* ---- log_append.c ---- */

/* Takes note of slots that changed hands: what was known of the replica before is void. */
void log_sync_replicas(struct log *log);
/* Switches the store's journal on or off, as log and ring want it. */
void log_update_recording(struct log *log);
/* Is the table that the current segment tells last the one that the store has now? */
bool log_segment_table_is_new(const struct log *log);
/* Appends a REPLICAS record. */
void log_put_replicas(struct log *log, struct buffer *out);

/* ---- log_span.c ---- */

/* The current segment has just begun; it `continues` the one before. */
void log_span_begin(struct log *log, bool continues);
/* The current segment ends with what was written of it. */
void log_span_end(struct log *log);
/* The next record will be at `offset` of the current segment. */
void log_span_note(struct log *log, uint64_t offset);
void log_span_clear_slot(struct log *log, unsigned slot);
/* Files up to that one were removed. */
void log_span_forget(struct log *log, uint64_t sequence_max);
void log_span_deinit(struct log *log);
struct log_span *log_span_find(const struct log *log, uint64_t sequence);
/* The one of this life that has the position, or NULL. */
struct log_span *log_span_at(const struct log *log, uint64_t position);
bool log_span_is_current(const struct log *log, const struct log_span *span);
/* Looks at the first records of the segments that recovery ended with, and of those before them. */
void log_span_survey(struct log *log);

/* ---- log_stream.c ---- */

bool log_stream_owns(const struct disk_job *job);
void log_stream_read_done(struct log *log, struct disk_job *job);
/* The records of all streams lie behind a gap from now on. */
void log_stream_lose_all(struct log *log);
/* Drops what the ring has beyond its limit, but for what the streams have yet to read. */
void log_trim_ring(struct log *log);

/* ---- log_segment.c ---- */

static inline bool log_has_segment(const struct log *log) {
    return log->segment.file != NULL;
}
/* Makes segment newest+1 the current one; there is none, or it was taken over by the caller. */
enum disk_status log_segment_create(struct log *log, uint64_t sequence,
                                    enum record_segment_start start, uint32_t previous_crc,
                                    struct log_segment *segment);
/* Tries to write what is pending. */
void log_segment_write_pending(struct log *log);
/* Seals the current segment and begins the next. The caller has seen that nothing is pending and
 * that the last closing is done. */
enum disk_status log_segment_rotate(struct log *log);
void log_segment_rotate_if_full(struct log *log);
/* Starts an fsync if there is something to sync and nothing in the way. */
void log_segment_start_sync(struct log *log);
/* Says in the segment that the one before it is durable: from here on damage there is damage, and
 * no longer the trace of a power loss. */
void log_segment_note_previous_synced(struct log *log);
void log_segment_sync_done(struct log *log, struct log_sync *sync);
/* What is on disk is no longer known: the next segment begins with a snapshot. */
void log_segment_break_chain(struct log *log, const char *why);
/* Begins a segment and the snapshot it needs, if both are possible now; there is no segment. OK,
 * with needs_chain still set, when it has to wait. */
enum disk_status log_segment_begin_chain(struct log *log);
/* Writes, seals, fsyncs and closes the current segment, blocking. */
enum disk_status log_segment_finish(struct log *log);
/* Forgets the current segment as it is. */
void log_segment_abandon(struct log *log);

/* ---- log_snapshot.c ---- */

/* Gives a running one up and begins anew, or ends, once its jobs are home. */
void log_snapshot_stop(struct log *log, bool starts_over);
/* Begins what waits to begin; sees to the end of what has ended. */
void log_snapshot_advance(struct log *log);
/* A walk of the store as it is now, as snapshot `sequence`; the writer is idle. */
void log_snapshot_start_walk(struct log *log, uint64_t sequence);
void log_snapshot_removal_done(struct log *log);
void log_snapshot_remove_old(struct log *log);

#endif
