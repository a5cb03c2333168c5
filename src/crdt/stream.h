/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream record: a batch of changes of one replica, and what makes it fit into its stream.
 *
 * The stream of a replica is all its records in order, without gaps: each says the ticks of the
 * stream's last change before it and of its own last one. What the author had seen of others is
 * told as a difference: a record's marks are the newest stamps, of those replicas whose changes the
 * author applied since its record before. So a record costs no bytes for what did not move, and a
 * reader that has all earlier records knows the author's whole context (replica.h keeps it).
 *
 * The bytes are the same in the log's memory, in its files and on the wire, whoever passes them on:
 *
 *   ref u64 | last ticks (varint) | last - previous ticks (varint) | marks (varint count) |
 *   (ref u64, ticks varint)... | batch (change.h), to the end
 *
 * A record may end inside a unit: the next one of its author goes on with it. */
#ifndef CRDT_STREAM_H
#define CRDT_STREAM_H

#include "crdt/change.h"
#include "crdt/replica.h"

struct stream_record {
    uint64_t ref;            /* the author */
    uint64_t previous_ticks; /* its last change before this record; 0: there is none */
    uint64_t last_ticks;     /* of the last change in the record */
    uint64_t marks_count;
    struct slice marks; /* for stream_mark_next() */
    struct slice batch;
};

struct stream_mark {
    uint64_t ref, ticks;
};

/* Appends everything before the batch: `record->batch` and `record->marks` are not looked at, the
 * marks are those given. */
void stream_record_put_head(struct buffer *out, const struct stream_record *record,
                            const struct stream_mark *marks, size_t marks_count);
/* Appends a whole record as it was read. */
void stream_record_put(struct buffer *out, const struct stream_record *record);
/* Reads a record; its slices point into `bytes`. False when malformed: marks are checked through,
 * the batch is not. */
bool stream_record_take(struct slice bytes, struct stream_record *record);
/* The next mark, removed from the front of `marks`; false at the end. */
bool stream_mark_next(struct slice *marks, struct stream_mark *mark);

#endif
