/* SPDX-License-Identifier: BSD-3-Clause */
/* The elements of a packed list that were pushed at different times, or by several replicas.
 *
 * Such elements differ in their stamps, by seconds, and each replica's run of pushes has a position
 * of its own. But the position of a run is made at the ticks of its first element, by the replica
 * that its stamp says. So it is not told again:
 *
 *   value size (varint: the size of all, plus one; 0: they differ) | element...
 *   element:  what | [author] | stamp | name | [size (varint)] | value
 *
 *   what      bits 0-1  name: 0 the successor of the one before, 1 the first one of a run at an
 *                       end of the list, 2 a later one of the run before, 3 told
 *             bits 2-3  stamp: 0 a tick after the one before, 1 ticks, 2 near, 3 far
 *             bits 4-7  author: 0 that of the one before, 1-14 its number, 15 a number follows
 *   author    varint: the number, less 15
 *   stamp     what it is more than the one before: ticks, a zigzag varint; or apart, since counters
 *             are small: near, 3 bytes: 8 bits of counter, 16 of milliseconds; far, 4 bytes: 12 and
 *             20. Milliseconds are a zigzag difference, the counter is the one of this stamp; low
 *             bits first
 *   name      0: nothing
 *             1: nothing, since the ticks are those of the stamp, the ref is the author's, and it
 *             is at the end where the one before has its root
 *             2: nothing, since the index is as many ticks as the stamp has behind the root
 *             3: a varint whose low two bits say: 2 as 1, at the other end; or the bytes that it
 *             shares with the front of the one before, then size (varint) and bytes of what
 *             differs, 1 with the same end behind that and equally long, 0 without
 *             of the first element: 1 a root at the right end, 2 at the left one; its ticks are
 *             those of the base, the ref is the author's, and the size (varint) and bytes of all
 *             that stands behind follow
 *
 * An author is a number of packed_authors.h: the ref in a name that is not told, and the slot of
 * the stamp. `base` is kept beside the bytes, as is the count.
 *
 * A push of a replica so takes 4 bytes, or 5, and its value. */
#ifndef CRDT_PACKED_TOLD_H
#define CRDT_PACKED_TOLD_H

#include "containers/ordered_map.h"
#include "crdt/packed_authors.h"

/* Reads elements one after the other, as they lie. */
struct packed_told_reader {
    struct ordered_map_element element; /* until the next one is read */
    /* The rest is the reader's. */
    const struct packed_authors *authors;
    const char *at, *end;
    bool is_each_sized, is_begun;
    size_t value_size; /* of all, if not */
    uint64_t ticks;
    unsigned number; /* of the author */
    struct packed_author author;
    unsigned what; /* of the element */
    /* Names by turns: one that is no successor does not lie where the one before does. */
    char *name, *other_name;
    size_t other_size;
    char names[2][ORDERED_MAP_NAME_BYTES_MAX];
};

/* An element at an end of a packed list. */
struct packed_list_end {
    struct ordered_map_bytes_end at;
    unsigned author;      /* its number, where elements are told as above */
    size_t run_bytes_max; /* of the last one: what the map needs for all of them, at most */
};

/* Appends the elements of a small map without flags and long values; false, with nothing done, when
 * there are too many authors. */
bool packed_told_put(struct buffer *out, struct packed_authors *authors,
                     const struct ordered_map *map, uint64_t *base);
void packed_told_begin(struct packed_told_reader *reader, const struct packed_authors *authors,
                       struct slice bytes, uint64_t base);
/* To the next element, which is there. */
void packed_told_next(struct packed_told_reader *reader);
/* The map again, to read, in `block`. */
const struct ordered_map *packed_told_map(const struct packed_authors *authors, struct slice bytes,
                                          uint64_t count, uint64_t base,
                                          struct ordered_map_block *block);

/* The first or last element. */
void packed_told_end(const struct packed_authors *authors, struct slice bytes, uint64_t count,
                     uint64_t base, bool is_first, struct packed_list_end *end);
/* Appends the bytes with one more element beyond `end`, of `count` so far; `base` becomes theirs.
 * False, with nothing done: they have to become a map first. */
bool packed_told_push(struct buffer *out, struct packed_authors *authors, struct slice bytes,
                      uint64_t count, const struct packed_list_end *end,
                      const struct ordered_map_element *element, uint64_t *base);
/* Appends the bytes without the element at `end`, which is not the only one; likewise. */
bool packed_told_pop(struct buffer *out, struct packed_authors *authors, struct slice bytes,
                     uint64_t count, const struct packed_list_end *end, uint64_t *base);

/* ---- anywhere ---- */

/* A place in the bytes: an element, or the end. */
struct packed_told_place {
    bool is_there;
    uint64_t index;
    struct packed_told_reader reader; /* has read what is there */
    /* The rest is how the ones before were told. */
    size_t from;
    uint64_t ticks;
    unsigned number;
    struct packed_author author;
    size_t name_size;
    size_t run_bytes_max, told_bytes; /* the latter of what is there */
    char name[ORDERED_MAP_NAME_BYTES_MAX];
};

/* The element with that index, or the end. */
void packed_told_seek(struct packed_told_place *place, const struct packed_authors *authors,
                      struct slice bytes, uint64_t count, uint64_t base, uint64_t index);
/* The first element with that name or a greater one, or the end. */
void packed_told_find(struct packed_told_place *place, const struct packed_authors *authors,
                      struct slice bytes, uint64_t count, uint64_t base, struct slice name);
/* Appends the bytes without the element at the place, if it `removes` it, and with `element` before
 * it or in its stead, if that is not NULL and its name lies elsewhere; some element is left. As
 * packed_told_push(); the place is of no more use. */
bool packed_told_change(struct buffer *out, struct packed_authors *authors, struct slice bytes,
                        uint64_t count, struct packed_told_place *place, bool removes,
                        const struct ordered_map_element *element, uint64_t *base);

#endif
