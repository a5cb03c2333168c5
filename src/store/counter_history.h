/* SPDX-License-Identifier: BSD-3-Clause */
/* What counters had been at an earlier moment, as the log tells it.
 *
 * A part of a counter is a total. When a node that was forgotten comes back, the mesh has seen a
 * part up to some moment and folded it away; only who knows the total of that moment can tell how
 * much of the newest one the mesh lacks (rebase.h). The records of the log have that: the newest
 * total before the moment, or else the first one after it, less what it had grown by. So it is
 * enough if the log reaches back to the moment. */
#ifndef STORE_COUNTER_HISTORY_H
#define STORE_COUNTER_HISTORY_H

#include "crdt/stream.h"

struct counter_history;

/* The part of one replica in one counter. */
struct counter_place {
    uint64_t ref;         /* the replica's */
    unsigned number;      /* of the database (not its index) */
    enum value_type type; /* of the collection whose element it is; VALUE_STRING: of the key */
    struct slice key, element;
    uint64_t start_ticks;
};

struct counter_total {
    bool is_float;
    int64_t total;
    long double float_total;
};

struct counter_history *counter_history_new(void);
void counter_history_free(struct counter_history *history); /* NULL is let be */
/* Notes what a record tells of totals at `ticks_max`. Records of one replica come in their order,
 * with one and the same `ticks_max`. Nothing is known of a replica whose first record begins beyond
 * that, or of which one goes beyond it that began before: totals between the two may have been
 * joined into the last one. */
void counter_history_note(struct counter_history *history, const struct stream_record *record,
                          uint64_t ticks_max);
/* The total at that moment; false: it is not known. */
bool counter_history_find(struct counter_history *history, const struct counter_place *place,
                          struct counter_total *total);

#endif
