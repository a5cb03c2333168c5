/* SPDX-License-Identifier: BSD-3-Clause */
/* Values that somebody has made again, and that this node had seen as they were.
 *
 * What is made again has another stamp than the change that it was (rebase.h). Who had seen that
 * change, and deleted or overwritten what it put, would take it for something that it never saw.
 * Its log has the change, of a life that has ended, up to where it was made again (LIFE_END,
 * crdt/change.h): so what the mesh shows at that place with that value was seen here. Somebody may
 * have put the very same there once more meanwhile; that cannot be told from it. */
#ifndef STORE_MADE_AGAIN_H
#define STORE_MADE_AGAIN_H

#include "crdt/stream.h"
#include "store/seen_changes.h"

/* More are not noted: then nothing is known to be made again. Each takes up to 32 bytes. */
enum { MADE_AGAIN_MAX = 8 << 20 };

struct made_again;

struct made_again *made_again_new(void);
void made_again_free(struct made_again *made); /* NULL is let be */
/* Notes what a record of a replica put that ended at `ended_ticks` and was made again up to
 * `made_ticks`. */
void made_again_note(struct made_again *made, const struct stream_record *record,
                     uint64_t ended_ticks, uint64_t made_ticks);
/* Was that value noted there? `made` may be NULL. */
bool made_again_has(struct made_again *made, const struct seen_place *place, struct slice value);

#endif
