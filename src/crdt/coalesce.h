/* SPDX-License-Identifier: BSD-3-Clause */
/* Coalescing: what waits for a slow peer is sent as its newest state.
 *
 * Consecutive records of one author are joined into one, and changes that a later change of the
 * same key supersedes are left out. The result is ONE unit, whose record names the range of ticks
 * that it covers (previous of the first, last of the last), so nothing is missing: joining units
 * shows a reader fewer states, splitting one would show a state that never was.
 *
 * Which change a later one C of the same key and author makes needless:
 *   SET, SET_EXPIRING, DELETE   all before it but TAKE: registers, edits, expiries and the author's
 *                               own part of before are all seen by C, and go when C is applied
 *   COUNTER, FLOAT_COUNTER      the one before of the same start, if nothing else of the key stands
 *                               between: a part is replaced by a newer one of the same start
 *   all others                  none. FLUSH, FLUSH_ALL and SWAP concern all keys: nothing is left
 *                               out across them.
 * TAKE concerns other replicas' parts and stays always.
 *
 * A joined record has one mark, the newest. Applied with it, a change of an earlier record would
 * supersede what its author had not yet seen when it made it. So a record with marks is joined to
 * those before it only if what is left of these are parts of counters, which supersede nothing of
 * anybody else. */
#ifndef CRDT_COALESCE_H
#define CRDT_COALESCE_H

#include "crdt/stream.h"

struct coalesce_place;

/* Zeroed: ready. Memory is kept between runs; one run at a time. */
struct coalescer {
    struct coalesce_place *places; /* hash table by key, generation-stamped */
    size_t places_capacity;
    uint32_t run; /* places of other runs are empty */
    struct coalesce_item *items;
    size_t items_count, items_capacity;
    struct buffer marks;
    struct change_writer writer;
};

struct coalesce_result {
    size_t taken;         /* records from the front that `out` stands for */
    uint64_t changes_in;  /* in them */
    uint64_t changes_out; /* left */
    bool is_joined; /* `out` is a new record; else, with taken == 1, use the record as it is */
};

void coalescer_deinit(struct coalescer *coalescer);
/* Joins as many of `records` from the front as may be: consecutive records of one author, each
 * well-formed by stream_record_take(). Appends the joined record to `out`, unless nothing was left
 * out and nothing joined. A batch that is malformed is taken as it is, by itself. */
void coalescer_join(struct coalescer *coalescer, const struct slice *records, size_t count,
                    struct buffer *out, struct coalesce_result *result);

#endif
