/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading the log for a peer: records from the ring in memory, and from segment files where the
 * ring no longer reaches back.
 *
 * The ring holds the newest records, own and foreign in the order of application, up to a number of
 * bytes. Checkpoints along it remember the context at their place, so that a place can be found
 * from which on everything comes that a peer lacks. Streams have no queue of their own: a slow
 * peer is a stream that stands further back, and one that the log has overtaken is LOST. */
#ifndef LOG_LOG_STREAM_H
#define LOG_LOG_STREAM_H

#include "crdt/stream.h"
#include "log/log.h"

struct log_stream;

enum log_stream_status {
    LOG_STREAM_RECORD, /* here is one */
    LOG_STREAM_END,    /* nothing more for now */
    LOG_STREAM_WAIT,   /* the disk is at work; log_stream_is_waiting() tells when it is done */
    LOG_STREAM_LOST,   /* the log does not reach back that far (any more): a snapshot is needed */
};

/* Turns the ring on with a size, or off with 0; streams that it no longer serves become LOST or go
 * on from files. */
void log_set_ring_bytes(struct log *log, uint64_t bytes);
/* Appends a foreign record that was applied just now, to ring and segments; so many of its changes
 * were new. */
void log_append_record(struct log *log, struct slice record, uint64_t changes);
/* How many changes of the stamp's replica came after it: while there is a ring, of those of this
 * life and of what it read at its start. Exact for small numbers, else a little too many. */
uint64_t log_changes_since(const struct log *log, uint64_t stamp);

/* A stream reads nothing before log_stream_seek(). All are freed before the log. */
struct log_stream *log_stream_new(struct log *log);
void log_stream_free(struct log_stream *stream);
/* Places the stream so that all records come whose author is wanted and whose last ticks are above
 * those in `seen`; others may come as well. `is_wanted` has STAMP_SLOTS_COUNT flags by slot; NULL
 * wants all. LOG_STREAM_LOST when that is impossible, else LOG_STREAM_END. */
enum log_stream_status log_stream_seek(struct log_stream *stream, const struct context *seen,
                                       const bool *is_wanted);
/* Places the stream at the oldest record from which on all can be read. LOG_STREAM_LOST when there
 * is no such place, else LOG_STREAM_END. */
enum log_stream_status log_stream_seek_oldest(struct log_stream *stream);
/* The next record; its slices, and `bytes` (the whole of it), are valid until the next call to the
 * log. Reads in small steps: what takes the disk is a job. */
enum log_stream_status log_stream_next(struct log_stream *stream, struct stream_record *record,
                                       struct slice *bytes);
/* The block in which the `bytes` that log_stream_next() gave just now lie, for who holds it; NULL
 * when they do not last. `framed` is then the record behind its length as a varint. */
struct shared_block *log_stream_block(const struct log_stream *stream, struct slice bytes,
                                      struct slice *framed);
/* After WAIT: is the disk still at work for it? */
bool log_stream_is_waiting(const struct log_stream *stream);
/* How much of the log the stream has still to read; an estimate while it reads what earlier lives
 * of this node wrote. */
uint64_t log_stream_lag_bytes(const struct log_stream *stream);
/* Moves whenever streams that are at their end may have more. */
uint64_t log_streams_version(const struct log *log);
/* Could a stream be placed for that context now? Without placing it. */
bool log_reaches_back(const struct log *log, const struct context *seen, const bool *is_wanted);

struct log_ring_stats {
    uint64_t bytes, bytes_max, records_count;
    uint64_t streams_count, disk_reads;
    int64_t oldest_unix_ms; /* stamp of the oldest record; 0: empty */
};
/* What the ring has beyond its limit since streams have yet to read it. */
uint64_t log_ring_excess_bytes(const struct log *log);
void log_get_ring_stats(const struct log *log, struct log_ring_stats *stats);

#endif
