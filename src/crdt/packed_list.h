/* SPDX-License-Identifier: BSD-3-Clause */
/* A packed list: the elements of a small list in one run of bytes.
 *
 *   packed:   head byte | count (varint) | base stamp (8 bytes) | elements
 *
 * The head is that of packed.h, with bit 7 for a list that is whole: this replica put in all of its
 * elements, and none was ever taken out. Elements are told in the order of their names, which are
 * positions (list_position.h), in one of two ways. As ordered_map_put_bytes() does, what a run of
 * pushes has in common is told once. With bit 5 as packed_told.h says: that is shorter where stamps
 * are seconds apart or replicas take turns. In either way a few bytes change when elements come and
 * go at the ends, and in the second one anywhere.
 *
 * Whoever reads or writes the latter needs the table of authors of all stores between which entries
 * move: store.replicas.authors.
 *
 * To read by index or to the left, the bytes become a map in a block of the reader's; to change in
 * other ways, one of its own. What has no such bytes (too long together, a long value, flags) is no
 * packed list. */
#ifndef CRDT_PACKED_LIST_H
#define CRDT_PACKED_LIST_H

#include "containers/ordered_map.h"
#include "crdt/packed.h"
#include "crdt/packed_told.h"

enum { PACKED_LIST_VALUE_BYTES_MAX = ORDERED_MAP_INLINE_BYTES };

/* ---- reading ---- */

/* The elements, to read while `block` lives. */
const struct ordered_map *packed_list_map(const struct packed_authors *authors, struct slice packed,
                                          struct ordered_map_block *block);
bool packed_list_is_whole(struct slice packed);
/* To read its elements as they lie, if they are told as packed_told.h says. */
static inline bool packed_list_is_told(struct slice packed) {
    return ((uint8_t)packed.data[0] & PACKED_IS_TOLD) != 0;
}
void packed_list_begin_told(struct packed_told_reader *told, const struct packed_authors *authors,
                            struct slice packed);

/* Reads elements of any packed collection, where that of a list is less common than the rest. */
struct packed_walk {
    struct packed_reader reader;
    bool is_list, is_told, is_begun;
    uint64_t left; /* of a list */
    struct ordered_map_cursor cursor;
    const struct ordered_map *map;
    struct ordered_map_block block;
    struct packed_told_reader told;
};

void packed_walk_init(struct packed_walk *walk, const struct packed_authors *authors,
                      struct slice packed);
/* False at the end. An element of a list has neither begin nor end, and its slices are valid until
 * the next one. */
bool packed_walk_next(struct packed_walk *walk, struct packed_element *element);

/* ---- changing at an end, where that is simple ---- */

/* The element at an end; false: the list has to be opened, since its elements are not told alike.
 */
bool packed_list_end(const struct packed_authors *authors, struct slice packed, bool is_first,
                     struct packed_list_end *end);
/* Appends the list with one more element beyond `end`, or, false, nothing. `raises` is said below.
 */
bool packed_list_push(struct buffer *out, struct packed_authors *authors, struct slice packed,
                      const struct packed_list_end *end, const struct ordered_map_element *element,
                      bool raises);
/* Appends the list, of more than one element, without the one at `end`, or, false, nothing. */
bool packed_list_pop(struct buffer *out, struct packed_authors *authors, struct slice packed,
                     const struct packed_list_end *end);

/* ---- changing anywhere, of lists that are told ---- */

/* The element with that index; or the first with that name or a greater one; or the end. */
void packed_list_seek(struct packed_told_place *place, const struct packed_authors *authors,
                      struct slice packed, uint64_t index);
void packed_list_find(struct packed_told_place *place, const struct packed_authors *authors,
                      struct slice packed, struct slice name);
/* packed_told_change(). The list stays whole if an element takes another one's place. */
bool packed_list_change(struct buffer *out, struct packed_authors *authors, struct slice packed,
                        struct packed_told_place *place, bool removes,
                        const struct ordered_map_element *element);

/* Says of the list, in the bytes themselves, that it is not whole any more. */
static inline void packed_list_break(char *packed) {
    packed[0] = (char)((uint8_t)packed[0] & ~PACKED_IS_WHOLE);
}

/* ---- changing ---- */

/* A packed list that is about to change. Elements may be put into its map, and taken out; those
 * that are put in get the stamp that packed_list_stamp() says. */
struct packed_list {
    struct packed_authors *authors;
    struct ordered_map *map; /* NULL: empty */
    /* All elements have one stamp: `base` in the map, and `newest` outside of it. */
    bool is_raised;
    bool is_whole;
    uint64_t base, newest;
};

/* Opens a copy of the packed elements (empty: there are none yet). `raises`: packed_raise(). */
void packed_list_open(struct packed_list *list, struct packed_authors *authors, struct slice packed,
                      bool raises);
/* The stamp in the map of an element with that stamp. */
static inline uint64_t packed_list_stamp(struct packed_list *list, uint64_t stamp) {
    list->base = list->is_raised && list->map == NULL ? stamp : list->base;
    return list->is_raised ? list->base : stamp;
}
/* An element with that stamp was put in, and fits: others follow, if they are raised. */
static inline void packed_list_raise(struct packed_list *list, uint64_t stamp) {
    list->newest = stamp;
}
/* Can it be packed? */
static inline bool packed_list_fits(const struct packed_list *list) {
    return ordered_map_fits_bytes(list->map);
}
/* Appends the packed list. */
void packed_list_put(struct buffer *out, const struct packed_list *list);
/* The map by itself, which is the caller's now, with all stamps; that of `name` is `stamp`. */
struct ordered_map *packed_list_take(struct packed_list *list, struct slice name, uint64_t stamp);
void packed_list_close(struct packed_list *list);

#endif
