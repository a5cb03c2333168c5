/* SPDX-License-Identifier: BSD-3-Clause */
/* Applying stream records (crdt/stream.h) to a store: from the log's files, and from peers.
 *
 * A record is applied when it continues its author's stream without a gap and all that its author
 * had seen is here. A unit that goes on in the next record is kept until it is whole, and then
 * applied in one step; until then the context does not move. What was seen before is skipped,
 * change by change, so records may overlap. */
#ifndef STORE_RECEIVE_H
#define STORE_RECEIVE_H

#include "crdt/stream.h"
#include "store/amounts.h"
#include "store/store.h"

enum receive_status {
    RECEIVE_OK,        /* applied, or kept since its unit is not whole yet */
    RECEIVE_DUPLICATE, /* all of it was seen before */
    RECEIVE_GAP,       /* something of its author's is missing before it */
    RECEIVE_EARLY,     /* its author had seen what is not here yet: receiver->missing_ref */
    RECEIVE_ASK,       /* somebody has to be asked what it takes off: receiver->questions */
    RECEIVE_UNKNOWN,   /* its author is not in the table of replicas: introduce it first */
    RECEIVE_MALFORMED, /* the bytes make no sense; nothing of the record's unit was applied */
    RECEIVE_FULL,      /* the open units are too large: that of its author is forgotten; ask for it
                          again,      from receiver_ticks() on, when others have become whole */
    RECEIVE_OUT_OF_MEMORY,
};

/* What open units may hold together, unless the receiver says otherwise. */
#define RECEIVE_KEPT_BYTES_MAX (UINT64_C(1) << 30)

/* Gets each record once it is applied, in that order: to be logged and passed on. */
typedef void (*receive_applied_fn)(void *udata, struct slice record);

struct receive_unit; /* the records of an open unit */
struct receive_answers;

/* A zeroed struct with `store` set is ready. */
struct receiver {
    struct store *store;
    receive_applied_fn applied; /* may be NULL */
    /* Called before the first change of a record is applied: own changes that were made before are
     * to be recorded before it (log_collect()). May be NULL. */
    void (*before_apply)(void *udata);
    void *udata;
    struct receive_unit **units; /* by slot of the author */
    unsigned units_count;
    uint64_t kept_bytes;     /* of all open units */
    uint64_t kept_bytes_max; /* 0: RECEIVE_KEPT_BYTES_MAX */
    /* What untold DELETEs took off (amounts.h). Neither set: the records tell all that is to be
     * known, since they are those of a log that is read from where it began. */
    bool asks;                       /* others: with RECEIVE_ASK */
    struct amounts *remembered;      /* or this is asked alone; not owned */
    struct receive_answers *answers; /* to what was asked, by author */
    struct buffer questions;         /* after ASK, each with its length (varint) */
    bool takes_void; /* also what is void: the log has it, since it was here (crdt/replica.h) */
    uint64_t missing_ref, missing_ticks;   /* after EARLY: one replica that must come first */
    uint64_t records_count, changes_count; /* applied */
    uint64_t record_changes;               /* of them in the record that `applied` gets ... */
    unsigned record_slot;                  /* ... and its author */
};

void receiver_deinit(struct receiver *receiver);
/* Takes one record; `bytes` is the record as a whole. */
enum receive_status receiver_take(struct receiver *receiver, struct slice bytes);
/* The last ticks of the author's stream that were applied or are kept. */
uint64_t receiver_ticks(const struct receiver *receiver, unsigned slot);
/* Takes the answer to a question that RECEIVE_ASK brought up; of others it is ignored. False: it
 * makes no sense. */
bool receiver_answered(struct receiver *receiver, struct slice answer);
/* Forgets the open unit of an author: it will come again, or never be whole. */
void receiver_forget_unit(struct receiver *receiver, unsigned slot);

#endif
