/* SPDX-License-Identifier: BSD-3-Clause */
/* Increments that somebody has made again, and that had been taken off here.
 *
 * A node that was forgotten makes again what the mesh lacks of a counter: increments of a life that
 * has ended (LIFE_END, crdt/change.h), now his own. Another one may have had these as they were,
 * and have taken them off: by a DEL or SET that the maker has not heard of. Merged, the counter
 * would have them again. The log of this node has both, the life's increments between where they
 * were made again from and up to, and the TAKE; and the maker's mark says whether it knew of that.
 * What it did not know is to be taken off of the maker's part (rebase_numbers.c).
 *
 * Amounts are long doubles, which hold any 64-bit integer exactly where they have 64 bits of
 * mantissa or more; elsewhere integers beyond 2^53 that were made again stay. */
#ifndef STORE_MADE_COUNTERS_H
#define STORE_MADE_COUNTERS_H

#include "crdt/replica.h"
#include "crdt/stream.h"
#include "store/seen_changes.h"

/* More parts of counters are not noted: then nothing is known. Each takes up to 300 bytes. */
enum { MADE_COUNTERS_MAX = 1 << 20 };

struct made_counters;

struct made_counters *made_counters_new(void);
void made_counters_free(struct made_counters *made); /* NULL is let be */
/* Notes the increments in a record of `life`, which has ended. Records of one life come in their
 * order. What is in one that goes across the ticks it was made again from, or up to, is not known:
 * changes before and after may have been joined. */
void made_counters_note(struct made_counters *made, const struct stream_record *record,
                        const struct replica *life);
/* Notes one part that a TAKE at `place` names, of `life`; `is_known`: the maker had seen it. */
void made_counters_note_take(struct made_counters *made, const struct seen_place *place,
                             const struct replica *life, const struct change_take *take,
                             bool is_known);
/* How much of what `maker_ref` made again there was taken off, and it did not know; false: nothing,
 * or it is not known. `made` may be NULL. */
bool made_counters_find(struct made_counters *made, const struct seen_place *place,
                        uint64_t maker_ref, long double *amount);

#endif
