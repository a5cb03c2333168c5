/* SPDX-License-Identifier: BSD-3-Clause */
/* Collections in order: the elements of a list, named by positions (crdt/list_position.h), or of a
 * stream, named by what they are (crdt/xstream.h).
 *
 * A plain element, one register and nothing else, lives in the collection's ordered map. One that
 * is more than that lives as an entry in the collection's table, as an element of a hash does, and
 * the map holds its place: its name with SEQUENCE_INTRICATE and no value. So the map is the order
 * of all elements, and its count is that of the list.
 *
 * Code that knows only tables works on an element between collection_before(), which moves it into
 * the table, and collection_after(), which moves it back if it is plain. sequence_apply() and
 * store/lists.c have shorter ways for plain ones. For the files of store/ only. */
#ifndef STORE_SEQUENCE_H
#define STORE_SEQUENCE_H

#include "store/elements.h"
#include "store/mutate.h"

/* Of an element of the map: it is in the table. */
enum { SEQUENCE_INTRICATE = 1 };

/* May these elements, which are plain, be packed? */
bool sequence_fits_packed(const struct store *store, const struct ordered_map *map);
/* Moves the element of that name into the table, if it is plain. */
void sequence_promote(const struct store *store, struct collection *collection, struct slice name);
/* After the element at `key` changed in the table, was added there or went: puts the map right. */
void sequence_demote(const struct key *key);
/* Applies a change of the element at `place`, which is sound, and notes it; the owner is not
 * finished. OUT_OF_MEMORY: nothing changed. */
enum store_status sequence_apply(struct store *store, const struct key *place,
                                 const struct change *change);
/* Removes the plain elements that the writer of a DELETE with this stamp had seen. */
void sequence_delete_seen(struct store *store, struct collection *collection, uint64_t stamp);
/* Notes the stamps of all plain elements. */
void sequence_note(struct collection *collection);
/* Stamps of plain elements of that slot get slot 0; false: not all, since memory is out. */
bool sequence_retire(struct collection *collection, unsigned slot);
/* Puts an element that was read, as an entry, into a collection that nobody has adopted; the entry
 * moves in. False, with nothing changed, when there is one of its name. */
bool sequence_add(const struct store *store, struct collection *collection, struct entry *entry);
/* Can an element of a list or stream have this name? */
bool sequence_name_is_valid(enum value_type type, struct slice name);
/* Can the entry be an element of one? */
bool sequence_element_is_sound(enum value_type type, const struct entry *entry);
/* The plain element at the cursor as an entry by itself, for entry_free(). */
struct entry *sequence_entry(const struct ordered_map_cursor *cursor);
/* The entry of the element at the cursor, which is intricate. */
struct entry *sequence_intricate(const struct store *store, struct collection *collection,
                                 const struct ordered_map_cursor *cursor);
/* Shows the element at the cursor; its name lies there. */
void sequence_view(const struct store *store, struct collection *collection,
                   const struct ordered_map_cursor *cursor, struct element *element);
/* Calls `each` for all elements in order. */
void sequence_each(const struct store *store, struct collection *collection, element_fn each,
                   void *udata);
void sequence_check(const struct store *store, const struct collection *collection);

#endif
