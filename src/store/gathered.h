/* SPDX-License-Identifier: BSD-3-Clause */
/* The elements of a new hash, set or sorted set that comes with many at once, and is small enough
 * to be packed: they are put side by side here, and into the key's entry when all are there. One by
 * one, each would write those before it anew. Each is recorded as it comes.
 *
 * A writer gathers from elements_expect() on until somebody asks for more than another new element:
 * for one that is there already, for what is there, or for the key's slot. Then, and when it
 * closes, the entry gets what there is, and the writer goes on as all do. For the files of store/
 * only. */
#ifndef STORE_GATHERED_H
#define STORE_GATHERED_H

#include "store/elements_internal.h"

struct gathered;

/* The writer, whose key has no entry, gathers up to `count` elements, unless they are too few to be
 * worth it, or too many to be packed, or another writer gathers. `are_distinct`: no name comes
 * twice. */
void gathered_begin(struct elements_writer *writer, uint64_t count, bool are_distinct);
/* Adds the element, whose change shows `recorded`, if the writer gathers, it is new, and small
 * enough. False: nothing was done, and the writer does not gather any more. */
bool gathered_add(struct elements_writer *writer, struct packed_element *element,
                  struct slice recorded);
/* The writer gathers no more: puts what there is into the key's entry. */
void gathered_put(struct elements_writer *writer);
static inline void gathered_end(struct elements_writer *writer) {
    if (unlikely(writer->gathers)) {
        gathered_put(writer);
    }
}

void gathered_free(struct gathered *gathered);

#endif
