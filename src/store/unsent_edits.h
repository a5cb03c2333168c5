/* SPDX-License-Identifier: BSD-3-Clause */
/* Edits of strings that the mesh lacks, as the log of a node that was forgotten tells them.
 *
 * Once patches of a large string, or registers of a HyperLogLog, are settled they are bytes of the
 * value. Two sides that had forgotten each other then have one value each, made of one and the same
 * value of before, and no stamp says which bytes either has changed. The log has the edits
 * themselves, so they can be made again on what the mesh has (rebase.h). */
#ifndef STORE_UNSENT_EDITS_H
#define STORE_UNSENT_EDITS_H

#include "base/buffer.h"
#include "crdt/stream.h"

/* Of more nothing is known: their bytes are kept. */
enum { UNSENT_EDITS_BYTES_MAX = 64 << 20 };

struct unsent_edits;

struct unsent_edits *unsent_edits_new(void);
void unsent_edits_free(struct unsent_edits *edits); /* NULL is let be */
/* Notes what a record of a replica that is made again did to strings after `ticks_min`, up to which
 * the mesh has it. Records of one replica come in their order, with one and the same `ticks_min`.
 * Nothing is known of anything when the first one of a replica begins beyond that. */
void unsent_edits_note(struct unsent_edits *edits, const struct stream_record *record,
                       uint64_t ticks_min);
/* What was done to the key in that database (not its index), if nothing but edits: `patches`, each
 * an offset (varint) and bytes with their length, and `pairs` of HyperLogLog registers and ranks,
 * which are empty if there were none of them. False: nothing, something else, or not known. */
bool unsent_edits_find(const struct unsent_edits *edits, unsigned number, struct slice key,
                       struct slice *patches, struct slice *pairs);

#endif
