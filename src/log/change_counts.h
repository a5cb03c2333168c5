/* SPDX-License-Identifier: BSD-3-Clause */
/* How many changes of a replica came after a place in its stream.
 *
 * The log counts the changes of each replica that it appends, and keeps marks: what the count was
 * at the end of a record. The newest mark at or before a place answers. The newest marks are one
 * for each record, so the answer is exact for who lags by few records. Older ones are thinned out
 * until the gap between two of them is a small share of how far back they lie:
 *
 *   | where counting began | ... gaps grow with age ... | one for each record |
 *
 * Only replicas of which something was appended have marks, at most CHANGE_COUNTS_MARKS_MAX of 16
 * bytes each. */
#ifndef LOG_CHANGE_COUNTS_H
#define LOG_CHANGE_COUNTS_H

#include "crdt/stamp.h"

enum {
    CHANGE_COUNTS_MARKS_MAX = 384,
    CHANGE_COUNTS_EXACT = 128, /* the newest, which are never thinned out */
    /* A gap is at most a sixteenth of how far back it lies. Beyond some ten million changes there
     * is not room for that: then the gaps are larger. */
    CHANGE_COUNTS_SHARE_BITS = 4,
};

struct counted_changes; /* of one replica */

/* Zeroed: nothing was counted. */
struct change_counts {
    struct counted_changes **replicas; /* by slot, NULL without any */
    unsigned slots_count;
};

void change_counts_deinit(struct change_counts *counts);
/* Forgets all; or what was in the slot. */
void change_counts_clear(struct change_counts *counts);
void change_counts_clear_slot(struct change_counts *counts, unsigned slot);
/* A record of the replica `ref` in `slot` came: it went up to `previous_ticks`, and goes up to
 * `last_ticks` now, by so many changes. */
void change_counts_add(struct change_counts *counts, unsigned slot, uint64_t ref,
                       uint64_t previous_ticks, uint64_t last_ticks, uint64_t changes);
/* How many changes came after these ticks; at most those that were counted, and a little more than
 * there were where the ticks lie far back. */
uint64_t change_counts_since(const struct change_counts *counts, unsigned slot, uint64_t ref,
                             uint64_t ticks);

#endif
