/* SPDX-License-Identifier: BSD-3-Clause */
/* The log: all changes in the order this node applied them, in segment files, with snapshots of the
 * whole state to begin from, and recovery from both.
 *
 * One turn of the event loop in the life of the log:
 *
 *   log_tick(now)            retries, periodic fsync, the node file
 *   ... commands ...         mutators collect a batch in store->journal
 *   log_write(now)           frames the batch, writes it to the operating system, starts an fsync
 *   replies go out           as far as log_acknowledged_position() allows
 *   log_snapshot_step(n)     while a snapshot runs and there is time
 *   log_disk_done(job)       whenever the disk hands back a job of the log's
 *
 * A position is a number of bytes of log since the process started; it only grows. A reply to a
 * write carries log_position() as it is after log_write(), and waits until the acknowledged
 * position reaches it: what was written to the operating system under `everysec` and `no`, what is
 * on the medium under `always`. So kill -9 loses nothing acknowledged under any policy.
 *
 * Files in the directory (docs/log-format.md has their layout):
 *
 *   node.state                    node id, generation, clock ceiling, clean shutdown
 *   log-<sequence>.segment        records; `sequence` in 16 hexadecimal digits
 *   snapshot-<sequence>.snapshot  the state before segment `sequence`
 *   *.tmp                         unfinished; removed at the start
 *   *.lost                        set aside by recovery or repair; never read
 *
 * Invariants:
 *   I1  Snapshot n is exactly the state before the first record of segment n, and it bears that
 *       name only once it is whole and durable.
 *   I2  Segment n either continues segment n-1 (its header says so: the state before it is the
 * state after n-1), or begins with an empty store, or needs snapshot n. I3  A new sequence number
 * is above all that exist; only a segment that begins with snapshot n, the newest file, takes its
 * number. I4  Recovery loads the newest snapshot n, then segments n, n+1, ... while each continues
 * the one before. From I1 to I3: files older than n are never replayed over it, and a log that was
 *       switched off and on again is not joined over the gap, since its next segment needs a
 *       snapshot of its own. Such a segment without its snapshot was never promised to anybody.
 *   I5  A closed segment ends with a seal. A segment is only begun when the one before the last is
 *       durable, and no fsync of it counts before the last one is.
 *   I6  After a failed fsync the synced position moves only by a new segment with a new, durable
 *       snapshot of the store.
 *
 * One thread; the struct disk runs jobs elsewhere. The core has no clock: times are handed in,
 * `unix_ms` by the wall and `monotonic_us` for intervals. */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include "base/buffer.h"
#include "base/disk.h"
#include "store/store.h"

/* A record that claims more than this is refused before anything is allocated. */
enum { LOG_RECORD_BYTES_MAX = 256 << 20 };

enum log_status {
    LOG_OK,
    LOG_BUSY,    /* a snapshot is running already */
    LOG_FAILED,  /* the disk failed; log_error() has words */
    LOG_STOPPED, /* log_recover(): its caller wanted no more */
    LOG_DAMAGED  /* files are not what they should be; log_error() names file, offset and ways on */
};

/* In the order of the words of `appendfsync`. */
enum log_fsync { LOG_FSYNC_EVERYSEC, LOG_FSYNC_ALWAYS, LOG_FSYNC_NO };

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_VERBOSE, LOG_LEVEL_NOTICE, LOG_LEVEL_WARNING };
typedef void (*log_message_fn)(void *udata, enum log_level level, const char *text);

/* How far log_recover() has come, in bytes of files. */
struct log_progress {
    uint64_t bytes_total, bytes_done;
};
/* Called by log_recover() between two records, for each 64 KiB or so that it reads; false: stop.
 * The store is whole in itself but holds only part of the data, and must not be changed. */
typedef bool (*log_recovering_fn)(void *udata, const struct log_progress *progress);

struct log_opts {
    struct disk *disk;   /* outlives the log */
    struct store *store; /* empty before log_recover(); outlives the log */
    uint64_t entropy[2]; /* random bits for a new node id */
    enum log_fsync fsync;
    uint64_t segment_bytes;
    uint64_t retention_bytes; /* closed segments that recovery does not need are kept up to this */
    bool compresses_snapshots;
    bool begins_replica;          /* there may be others: this process is a new replica */
    log_message_fn message;       /* may be NULL */
    log_recovering_fn recovering; /* may be NULL */
    void *udata;
};

struct log_recovery {
    uint64_t snapshot_sequence; /* 0: none was there */
    uint64_t snapshot_keys;     /* keys that came from it */
    uint64_t snapshot_bytes;
    uint64_t segments_count;
    uint64_t segments_bytes;
    uint64_t records_count;
    uint64_t changes_count;
    uint64_t torn_bytes; /* cut off at the end of the last segment */
};

struct log_stats {
    bool is_on;              /* appendonly */
    uint64_t segment_bytes;  /* size of the current segment */
    uint64_t segments_count; /* in the directory, the current one included */
    uint64_t segments_bytes; /* all of them */
    uint64_t current_bytes;  /* snapshot that recovery begins with, and the segments after it */
    uint64_t base_bytes;     /* the same just after the last snapshot */
    uint64_t pending_bytes;  /* framed but not yet written */
    uint64_t write_errors;
    enum disk_status write_status; /* of the last write */
    uint64_t syncs;                /* completed, failed ones included */
    uint64_t sync_errors;
    enum disk_status sync_status; /* of the last fsync */
    bool is_syncing;
    uint64_t sync_us_last, sync_us_max;
    uint64_t delayed_syncs; /* a second's fsync was due while the one before still ran */

    bool snapshot_is_running;
    bool snapshot_is_required; /* the log waits for it: switched on, or an fsync failed */
    uint64_t snapshots_done, snapshots_failed;
    enum log_status snapshot_status;    /* of the last one that ended */
    int64_t snapshot_unix_ms;           /* when the last good one was completed; 0 never */
    int64_t snapshot_ms_last;           /* how long the last one took; -1 none yet */
    int64_t snapshot_started_ms;        /* Unix time; of the running or last one */
    uint64_t snapshot_bytes;            /* size of the last good one */
    uint64_t snapshot_keys_done;        /* of the running or last one */
    uint64_t snapshot_keys_total;       /* as counted at its beginning */
    uint64_t snapshot_keys_handed_over; /* of these, written ahead because a command changed them */
    uint64_t snapshot_sequence;         /* of the newest whole one; 0 none */
    struct log_recovery recovery;       /* what the start found */
};

struct log;

/* ---- Lifecycle: new, open, recover, start, ..., close, free ---- */

struct log *log_new(const struct log_opts *opts);
/* Frees the log. Jobs still under way are waited for; nothing more is written. */
void log_free(struct log *log);
/* Locks the directory, removes *.tmp and reads node.state, or makes a new node. */
enum log_status log_open(struct log *log, int64_t unix_ms) __attribute__((warn_unused_result));
/* Fills the store, which is empty and takes over the hash seed of the snapshot, and moves its clock
 * past all that was recovered. Cuts a torn tail off, with a message. DAMAGED and FAILED leave the
 * store with whatever was read so far, and so does STOPPED, which opts.recovering asked for: the
 * caller stops. `recovery` may be NULL. */
enum log_status log_recover(struct log *log, struct log_recovery *recovery)
    __attribute__((warn_unused_result));
/* Begins to log, or not, after log_recover(): decides which replica this life is, tells the store,
 * and sets store->journal.is_on. */
enum log_status log_start(struct log *log, bool is_on, int64_t unix_ms, uint64_t monotonic_us)
    __attribute__((warn_unused_result));
/* Writes, fsyncs and seals what is there and marks a clean shutdown; a running snapshot is given
 * up. `is_complete` says that the caller leaves nothing behind that is not on disk: true with the
 * log on, or after a snapshot with no change since. Blocks. */
enum log_status log_close(struct log *log, bool is_complete, int64_t unix_ms)
    __attribute__((warn_unused_result));
/* Words for the last FAILED or DAMAGED of a call. Valid until the next call. */
const char *log_error(const struct log *log);

/* ---- Options that change at run time ---- */

/* Switching on starts a segment and a snapshot of everything: the log keeps its promises from the
 * moment that the snapshot is whole. Switching off fsyncs and closes. A running snapshot is begun
 * anew when that is needed. */
enum log_status log_set_on(struct log *log, bool is_on, int64_t unix_ms, uint64_t monotonic_us)
    __attribute__((warn_unused_result));
void log_set_fsync(struct log *log, enum log_fsync fsync);
void log_set_segment_bytes(struct log *log, uint64_t bytes);
void log_set_retention_bytes(struct log *log, uint64_t bytes);
void log_set_snapshot_compression(struct log *log, bool compresses);

/* ---- Every turn ---- */

/* Ten times a second or more: retries after errors, starts the fsync of `everysec`, keeps the clock
 * ceiling of node.state ahead, begins snapshots that are required. */
void log_tick(struct log *log, int64_t unix_ms, uint64_t monotonic_us);
/* Takes the batch out of store->journal, if there is one, and makes a stream record of it, in the
 * segment's pending bytes and the ring, without any I/O. For the middle of long units, once
 * journal.bytes reaches CHANGE_BATCH_BYTES, and before a record of another replica is applied, so
 * that its author's marks say what it had seen; log_write() does it too. log_stream.h has
 * log_append_record(), for the records of others. */
void log_collect(struct log *log);
/* At the end of a turn, before its replies: writes all that was collected to the operating system
 * and, under `always`, starts an fsync. On failure the bytes are kept and tried again. */
void log_write(struct log *log, uint64_t monotonic_us);
/* The disk is done with a job that the log had started. */
void log_disk_done(struct log *log, struct disk_job *job, int64_t unix_ms, uint64_t monotonic_us);

/* ---- What was reached ---- */

static const uint64_t LOG_POSITION_ALL = UINT64_MAX;

uint64_t log_position(const struct log *log);         /* collected */
uint64_t log_written_position(const struct log *log); /* with the operating system */
uint64_t log_synced_position(const struct log *log);  /* on the medium */
/* Replies up to this position may go out; LOG_POSITION_ALL while the log is off. */
uint64_t log_acknowledged_position(const struct log *log);
/* An fsync failed, or the log was switched off, while a write up to that position was not
 * acknowledged: it may survive or not, its reply is never sent, its client is dropped. So after
 * each log_write() and log_disk_done() drop what waits and is in doubt, and send what waits up to
 * the acknowledged position. */
bool log_is_in_doubt(const struct log *log, uint64_t position);
/* New writes are to be refused: a write or fsync failed and has not been made good yet. `why` gets
 * words; it may be NULL. */
bool log_is_failing(const struct log *log, const char **why);
bool log_is_on(const struct log *log);

/* ---- Snapshots; with the log on each one is also the rewriting of the log ---- */

/* Begins a snapshot of the state as it is now (or a moment later, if the disk still works on the
 * last rotation), between two units. BUSY when one runs, FAILED when none can be begun. */
enum log_status log_snapshot_begin(struct log *log, int64_t unix_ms, uint64_t monotonic_us)
    __attribute__((warn_unused_result));
/* Goes on for about `entries_min` entries. True when another call would find work at once; false
 * while the disk is behind, and when the walk is through. Does nothing when none runs. */
bool log_snapshot_step(struct log *log, unsigned entries_min, int64_t unix_ms,
                       uint64_t monotonic_us);
bool log_snapshot_is_running(const struct log *log);
/* Gives a running snapshot up; its file goes. One that the log requires begins again later. */
void log_snapshot_cancel(struct log *log, int64_t unix_ms, uint64_t monotonic_us);
/* SAVE: the whole thing, blocking. BUSY when one runs. */
enum log_status log_snapshot_save(struct log *log, int64_t unix_ms, uint64_t monotonic_us)
    __attribute__((warn_unused_result));

/* ---- Being somebody else, having another state ---- */

/* This node goes on as a new replica, of at least this generation; between two units. What was
 * changed before is recorded as the old one's. FAILED, with nothing changed, when node.state cannot
 * be written; or when no slot is left. Blocks for node.state. */
enum log_status log_begin_replica(struct log *log, uint64_t generation)
    __attribute__((warn_unused_result));
/* Stops recording, between two units, while the store takes over a state from elsewhere: the
 * segment is closed, the ring is emptied, streams are lost. A process that ends meanwhile leaves
 * the old state to the next start. Blocks for an fsync. */
void log_suspend(struct log *log, int64_t unix_ms, uint64_t monotonic_us);
/* While the store is being replaced the log stays what it was, for the next start and for whoever
 * reads it: no snapshot is begun, a running one is given up, and nothing is removed for a limit's
 * sake, in the directory or in the ring. */
void log_hold(struct log *log, bool holds, int64_t unix_ms, uint64_t monotonic_us);
/* Are old segments being removed, as was begun before it was held? */
bool log_is_removing(const struct log *log);
/* While it is suspended: records into the ring, which begins with what `from` has seen. */
void log_resume_ring(struct log *log, const struct context *from);
/* Would a start now bring back the present state: is no snapshot outstanding? */
bool log_is_whole(const struct log *log);
/* Records again, with the store as it is now for a beginning: as log_set_on(), if the log was on.
 * FAILED: it stays suspended. */
enum log_status log_resume_with_snapshot(struct log *log, int64_t unix_ms, uint64_t monotonic_us)
    __attribute__((warn_unused_result));

/* ---- Introspection ---- */

void log_get_stats(const struct log *log, struct log_stats *stats);
/* The node's 128-bit id as 32 hexadecimal digits, and its generation; after log_open(). */
const char *log_node_id(const struct log *log);
const uint8_t *log_node_id_bytes(const struct log *log); /* REPLICA_NODE_ID_BYTES */
uint64_t log_generation(const struct log *log);

/* ---- Offline ---- */

typedef void (*log_report_fn)(void *udata, const char *line);

/* Reads a whole data directory and reports what it finds, changing nothing. OK when a server would
 * start from it (a torn tail is reported and is no damage). Takes the lock. */
enum log_status log_check(struct disk *disk, log_report_fn report, void *udata)
    __attribute__((warn_unused_result));
/* Cuts the log at the last good record before the first damage, after reporting what is lost; files
 * that can no longer be used are renamed to *.lost. OK when a server would start now. */
enum log_status log_repair(struct disk *disk, log_report_fn report, void *udata)
    __attribute__((warn_unused_result));

#endif
