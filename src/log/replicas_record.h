/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of replicas as bytes: what makes the slots and refs in stream records and in state mean
 * the same after a restart, and says where in everybody's streams the log is.
 *
 *   flags (1): bit 0 there never was a peer, and changes were applied so (store.is_alone);
 *              bit 1 ended replicas follow in the end; bit 2 and when retired ones began; bit 3
 *              and departed lives; bit 4 and when they were noted; bit 5 with the ended ones who
 *              made them again
 *   replicas (varint count): slot (varint) | node id (16) | generation (varint) |
 *                            context ticks (varint) | marks (varint count): slot, ticks (varints)
 *   self (varint slot)
 *   retired (varint count): ref u64 | ticks (varint)
 *   order stamp (8) | order of the databases (varint length, store/databases.h; empty: by number)
 *   ended (varint count): ref u64 | ticks, made ticks (varints) | maker's ref u64 | made from ticks
 *   makers (varint count): maker's ref u64 | ref u64 | ticks (varint) that he had seen of it
 *   born ticks (varint, 0 where they are not known) of each retired replica
 *   departed (varint count): node id (16) | generation (varint) | 0 forgotten, else the last ticks
 *                            before it left, and one (varint)
 *   noted (varint, Unix milliseconds, 0 where that is not known) of each departed life
 *
 * It is the payload of REPLICAS records in segments, without marks, since replaying the segment
 * brings them about, and the beginning of a snapshot's CONTENTS, with marks. */
#ifndef LOG_REPLICAS_RECORD_H
#define LOG_REPLICAS_RECORD_H

#include "store/store.h"

struct replicas_record_entry {
    struct replica_id id;
    uint64_t ref;
    unsigned slot;
    uint64_t ticks; /* all up to here comes before the record */
    uint64_t marks_count;
    struct slice marks;
};

/* Decoded; its slices point into the bytes it was read from. */
struct replicas_record {
    struct replicas_record_entry *entries; /* rising slots */
    unsigned count;
    unsigned self;
    bool is_alone;
    uint64_t retired_count;
    struct slice retired, born; /* `born` may be empty */
    bool has_makers;            /* the ends tell who made them again */
    struct slice ends;          /* from there on: replicas_take_ends(); empty: there are none */
    uint64_t departed_count;
    struct slice departed, noted; /* `noted` may be empty */
    uint64_t order_stamp;
    struct slice order;
};

/* Appends the store's table, with this context in place of the store's. */
void replicas_record_put(struct buffer *out, const struct store *store,
                         const struct context *context, bool has_marks);
/* Reads one from the front of `bytes`, which it skips; false when malformed. The caller calls
 * replicas_record_deinit() after true. */
bool replicas_record_take(struct slice *bytes, struct replicas_record *record);
void replicas_record_deinit(struct replicas_record *record);
/* The next retired replica, removed from the front of `retired` and `born`; false at the end. */
bool replicas_record_next_retired(struct slice *retired, struct slice *born,
                                  struct retired_replica *replica);
/* Likewise, of `departed` and `noted`. */
bool replicas_record_next_departed(struct slice *departed, struct slice *noted,
                                   struct departed_life *life);
/* Brings the store's table, self and order of databases up to the record, whose place in the log
 * the store has reached. NULL, or words for what does not fit. */
const char *replicas_record_apply(const struct replicas_record *record, struct store *store);
/* The same for a store that is empty, context and marks included. */
const char *replicas_record_load(const struct replicas_record *record, struct store *store);

/* Replicas that the table knows, retired ones included. */
uint64_t replicas_record_known_count(const struct replicas *replicas);

#endif
