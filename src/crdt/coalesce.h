/* SPDX-License-Identifier: BSD-3-Clause */
/* Coalescing: what waits for a slow peer is sent as its newest state.
 *
 * Consecutive records of one author are joined into one, and changes that a later change of the
 * same key supersedes are left out. The result is ONE unit, whose record names the range of ticks
 * that it covers (previous of the first, last of the last), so nothing is missing: joining units
 * shows a reader fewer states, splitting one would show a state that never was.
 *
 * Which changes a later one C of the same place (key, or element of a key) and author makes
 * needless, from the one before it backwards to the first that is not listed: SET, SET_EXPIRING,
 * DELETE   SET*, DELETE, EXPIRE, COUNTERs, PATCH, REGISTERS: registers, edits, expiries and the
 * author's own part of before are all seen by C, and go when C is applied SET_KEEPING SET_KEEPING,
 * COUNTERs, PATCH, REGISTERS: neither touches the expiry COUNTER, FLOAT_COUNTER      its kind with
 * the same start: a part is replaced by a newer one all others                  none Nothing is
 * left out across FLUSH, FLUSH_ALL and SWAP, which concern all keys. TAKE concerns other replicas'
 * parts and stays always.
 *
 * A joined record has one mark, the newest. Applied with it, a change of an earlier record would
 * supersede what its author had not yet seen when it made it. So a record with marks is joined to
 * those before it only if what is left of these are parts of counters that are not fresh, which
 * supersede nothing of anybody else. What takes the place of a fresh change is fresh, too. */
#ifndef CRDT_COALESCE_H
#define CRDT_COALESCE_H

#include "base/hash.h"
#include "crdt/stream.h"

struct coalesce_place;
struct coalesce_item;

/* Zeroed: ready. Memory is kept between runs; one run at a time. */
struct coalescer {
    struct hash_seed seed;         /* may be set, so that nobody can choose colliding keys */
    struct coalesce_place *places; /* hash table by key: its newest change */
    size_t places_capacity;
    uint32_t run;                /* places of other runs are empty */
    struct coalesce_item *items; /* the changes in order */
    size_t items_count, items_capacity;
    struct stream_mark *marks;
    size_t marks_count, marks_capacity;
    struct change_writer writer;
};

struct coalesce_result {
    size_t taken;         /* records from the front that this is about, at least one */
    uint64_t changes_in;  /* in them */
    uint64_t changes_out; /* left */
    bool is_joined;       /* one record was appended; else they are to be used as they are */
};

void coalescer_deinit(struct coalescer *coalescer);
/* Takes as many of `records` (at least one) from the front as may be joined: consecutive records of
 * one author, each well-formed by stream_record_take(). Appends the joined record to `out` if any
 * change can be left out. A batch that is malformed is taken as it is, by itself. */
void coalescer_join(struct coalescer *coalescer, const struct slice *records, size_t count,
                    struct buffer *out, struct coalesce_result *result);

#endif
