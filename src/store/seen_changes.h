/* SPDX-License-Identifier: BSD-3-Clause */
/* Which elements a node had seen, as its log tells it.
 *
 * What is settled has no origin, so a context does not say whether it was seen: where the mesh has
 * retired a replica of which this node had not seen all, whatever is settled and newer may be of
 * it. When a node that was forgotten comes back, that makes the difference between what it removed
 * and what it never had (rebase.h). An element keeps the ticks of the change that put it, and the
 * log has that change if it was applied here. */
#ifndef STORE_SEEN_CHANGES_H
#define STORE_SEEN_CHANGES_H

#include "crdt/stream.h"

/* More are not noted: then nothing is known to be seen. Each takes up to 32 bytes. */
enum { SEEN_CHANGES_MAX = 8 << 20 };

struct seen_changes;

struct seen_place {
    unsigned number;      /* of the database (not its index) */
    enum value_type type; /* of the collection whose element it is; VALUE_STRING: of the key */
    struct slice key, element;
};

/* Changes up to `ticks_min` are not noted. */
struct seen_changes *seen_changes_new(uint64_t ticks_min);
void seen_changes_free(struct seen_changes *seen); /* NULL is let be */
/* Notes the changes in a record that put something. */
void seen_changes_note(struct seen_changes *seen, const struct stream_record *record);
/* Was a change with these ticks noted there? */
bool seen_changes_has(struct seen_changes *seen, const struct seen_place *place, uint64_t ticks);

#endif
