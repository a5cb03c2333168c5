/* SPDX-License-Identifier: BSD-3-Clause */
/* What local writes of elements and recorded changes of them share. For the files of store/ only.
 */
#ifndef STORE_ELEMENTS_INTERNAL_H
#define STORE_ELEMENTS_INTERNAL_H

#include "store/elements.h"

/* Does nobody hear of changes of single elements: no log, no peer, no walk? */
static inline bool elements_is_silent(const struct store *store) {
    return store->is_alone && !store->journal.is_on && store->walk == NULL && store->sync == NULL;
}
/* The writer's collection, unpacked; what elements_need() says of absent ones holds. */
struct collection *elements_writer_collection(struct elements_writer *writer);
/* The slot of the writer's key, or NULL. */
uint64_t *elements_writer_slot(struct elements_writer *writer);
/* Before the first change of the writer is made: takes off others' parts of other types. */
void elements_writer_take(struct elements_writer *writer);
/* After each change is made and noted: what was here of other types, and of expiries without a
 * value, goes with the first one. */
void elements_writer_supersede(struct elements_writer *writer);
/* The key's collection of that type, unpacked, and added if there is none: then the key must get an
 * element before collection_finish(). `key->name` does not lie in the entry. */
struct collection *elements_need(struct store *store, const struct key *key, enum value_type type);
/* May the element be packed with `packed`, empty or that many less one? */
bool elements_fit_packed(const struct store *store, enum value_type type, struct slice packed,
                         uint64_t count, const struct packed_element *element);
/* Puts one element into the packed ones of the entry at `slot` (NULL: none yet), which are of that
 * type, in the place of `old` (NULL: it is new); false, with nothing changed, when they would be
 * too many or too large. */
bool elements_set_packed(struct store *store, const struct key *key, uint64_t *slot,
                         enum value_type type, const struct packed_element *old,
                         const struct packed_element *element);
/* Would taking out one of the entry's `count` packed elements leave an expiry behind, which may be
 * seen again with an element of somebody else? Then they have to be unpacked for it. */
bool elements_leave_expiry(const struct store *store, const struct entry *entry, uint64_t count);
/* Puts these packed elements in the place of those of the entry at `slot`, or of none. The walks
 * have been told; who watches is not. */
void elements_put_packed(struct store *store, const struct key *key, uint64_t *slot,
                         struct slice packed, uint64_t stamp);
/* An empty buffer for the packed elements of the next moment; end it after use. */
struct buffer *elements_begin_scratch(struct store *store);
void elements_end_scratch(struct store *store);
/* As elements_put_packed() for a list, which is not empty. */
void elements_put_list(struct store *store, const struct key *key, uint64_t *slot,
                       const struct packed_list *list, uint64_t stamp);
/* Records the writer's change of an element of a packed collection. */
void elements_record_packed(struct elements_writer *writer, struct change *change);
/* Packs the list again that the writer has changed, if it has. */
void elements_close_list(struct elements_writer *writer);
/* Takes these out of the packed elements; the key goes with the last one. */
void elements_delete_packed(struct store *store, const struct key *key, uint64_t *slot,
                            const struct packed_range *range, uint64_t stamp);

#endif
