/* SPDX-License-Identifier: BSD-3-Clause */
/* An ordered map from names (byte strings) to elements: a stamp, four flags and a value.
 *
 * The idea: a counted B+tree whose leaves are packed. An element in a leaf is told as what differs
 * from the one before it, so that names which count upwards, stamps which follow each other and
 * short values take little more than the value's bytes (packed_run.h has the layout). Inner nodes
 * count the elements below each child, so that a rank is found as a name is.
 *
 *   small map (up to ORDERED_MAP_SMALL_BYTES)     larger map
 *   owner -> [run: e0 e1 e2 ...]                  owner -> [tree] -> [inner: child, count; ...]
 *                                                             |  |      |         |
 *                                                       first |  +------|-> ... [leaf: run]
 *                                                             +-----> [leaf: run] <-> ... last
 *
 * The owner holds a pointer, NULL for the empty map, and hands over its address wherever the map
 * may change: one allocation does for a small map, and it moves. The order is that of
 * slice_compare().
 *
 * Leaves split where the insertion is: one that came last leaves the full leaf as it is, and so
 * does one that came first, so pushing at either end, or ever after the same element, gives full
 * leaves. Leaves that become small are joined with a neighbour.
 *
 * Within a leaf one can only go forward. The tree therefore remembers two places inside leaves
 * (marks) and begins at one of them where it can: pushes and pops at the end, steps back, and
 * insertions one after the other cost a few elements each instead of half a leaf. Reads move the
 * marks, and nothing else.
 *
 * Values above ORDERED_MAP_INLINE_BYTES have an allocation of their own. Their size is a client's
 * choice, so insert and replace return false when there is no memory for one, and change nothing.
 * All other blocks are at most a few KiB.
 *
 * Flags are the owner's: the map stores them, hands elements that have any to the visitor when
 * they go in bulk, and reads nothing into them. A value may so be a pointer of the owner's.
 *
 * Invariants, checked by ordered_map_check():
 *   I1  names rise strictly, inside leaves and across them.
 *   I2  each run holds exactly its count of elements in its used bytes, at least one.
 *   I3  the count beside each child is the number of elements below it; all leaves are equally
 * deep. I4  leaves are linked in order, first and last are the tree's. I5  a mark is the state of
 * its run at its place. I6  the accounted bytes are those of all blocks.
 *
 * Cost: O(log n) and half a leaf (about 100 elements) for a name or rank; O(1) at both ends, O(1)
 * for a step. One thread at a time. */
#ifndef CONTAINERS_ORDERED_MAP_H
#define CONTAINERS_ORDERED_MAP_H

#include "base/buffer.h"
#include "base/slice.h"

enum {
    /* Names are materialised in cursors, on the stack: this bounds them, and a leaf's size. */
    ORDERED_MAP_NAME_BYTES_MAX = 1024,
    ORDERED_MAP_FLAGS_MAX = 15,
    ORDERED_MAP_INLINE_BYTES = 400, /* longer values live in an allocation of their own */
    ORDERED_MAP_VALUE_BYTES_MAX = 512 << 20,
    ORDERED_MAP_SMALL_BYTES = 512, /* one block up to this */
    ORDERED_MAP_LEAF_BYTES = 2048,
};

struct ordered_map;

struct ordered_map_element {
    struct slice name;
    uint64_t stamp;
    unsigned flags; /* at most ORDERED_MAP_FLAGS_MAX */
    struct slice value;
};

/* A place in a map. `element` is what stands there: its name lives in the cursor, its value in the
 * map, and both until the map or the cursor changes. The rest is the map's. A cursor owns nothing
 * and needs no initialisation; it is not to be copied, and changes made through another cursor or
 * none invalidate it. */
struct ordered_map_cursor {
    struct ordered_map_element element;
    struct packed_run *run;
    uint32_t next_index;     /* of the element after the one here */
    uint32_t start;          /* where the element begins in its run */
    uint32_t name_end;       /* and its name ends */
    uint32_t tail;           /* where flags, size and value begin */
    uint32_t end;            /* where it ends: the next one begins */
    uint32_t name_size;      /* of `name` */
    uint64_t stamp;          /* of the element here */
    uint64_t previous_stamp; /* of the one before in its run, 0 for the first */
    char name[ORDERED_MAP_NAME_BYTES_MAX];
};

/* Called for elements with flags that go in bulk. May not touch the map. */
typedef void (*ordered_map_visit_fn)(const struct ordered_map_element *element, void *udata);

/* ---- lifecycle ---- */

/* Frees all, and leaves the empty map NULL. `visit` may be NULL. */
void ordered_map_free(struct ordered_map **map, ordered_map_visit_fn visit, void *udata);

/* ---- reads ---- */

uint64_t ordered_map_count(const struct ordered_map *map);

/* Each of these puts the cursor on an element and returns true, or returns false when there is
 * none; the cursor then stands nowhere. */

/* The element of that name. */
bool ordered_map_find(const struct ordered_map *map, struct slice name,
                      struct ordered_map_cursor *cursor);
/* The first element with that name or a greater one. */
bool ordered_map_lower_bound(const struct ordered_map *map, struct slice name,
                             struct ordered_map_cursor *cursor);
/* The element that has `rank` elements before it. */
bool ordered_map_at(const struct ordered_map *map, uint64_t rank,
                    struct ordered_map_cursor *cursor);
bool ordered_map_first(const struct ordered_map *map, struct ordered_map_cursor *cursor);
bool ordered_map_last(const struct ordered_map *map, struct ordered_map_cursor *cursor);
/* Asks the processor for both ends: a hint. */
void ordered_map_prefetch_ends(const struct ordered_map *map);
/* From the element at the cursor to the one after or before it. */
bool ordered_map_next(const struct ordered_map *map, struct ordered_map_cursor *cursor);
bool ordered_map_previous(const struct ordered_map *map, struct ordered_map_cursor *cursor);

/* From the element at the cursor to the one that is `count` behind it. `*bytes_max`: the values of
 * those that it passes, that at the cursor included, are at most so many bytes; UINT64_MAX where
 * nobody knows. O(1) for each leaf. */
bool ordered_map_skip(const struct ordered_map *map, struct ordered_map_cursor *cursor,
                      uint64_t count, uint64_t *bytes_max);

/* Passes over elements behind the one at the cursor, `count` at most, that have successive names
 * (ordered_map_is_successor()) and no flags, as far as that is cheap to know; returns how many. If
 * there were any, the cursor is fit only to go on from, with ordered_map_next(), and its `name` is
 * that of the last one. */
uint64_t ordered_map_skip_successors(struct ordered_map_cursor *cursor, uint64_t count);

/* How many elements come before the one at the cursor. */
uint64_t ordered_map_rank(const struct ordered_map *map, const struct ordered_map_cursor *cursor);

/* ---- changes ---- */

/* Adds an element, whose name is at most ORDERED_MAP_NAME_BYTES_MAX long and not in the map: the
 * owner has looked. Name and value may lie in the map or in a cursor. False when memory is out. */
bool ordered_map_insert(struct ordered_map **map, const struct ordered_map_element *element);
/* As ordered_map_insert() for an element before all others, or behind them. The cursor is on the
 * first or last element (NULL: the map is empty), and then on the new one; the name lies elsewhere.
 * When memory is out the cursor stays. */
bool ordered_map_push(struct ordered_map **map, struct ordered_map_cursor *end, bool is_first,
                      const struct ordered_map_element *element);
/* Gives the element at the cursor another stamp, flags and value; the cursor stays on it. False
 * when memory is out. What the old value points to is the owner's concern. */
bool ordered_map_replace(struct ordered_map **map, struct ordered_map_cursor *cursor,
                         uint64_t stamp, unsigned flags, struct slice value);
/* The same in two steps, for who has something to do once it is certain that there is memory. The
 * first makes a copy of a long value, and NULL for a short one; false when memory is out. What
 * follows takes the copy over and cannot fail; a copy that is not used is freed. */
bool ordered_map_copy_value(struct slice value, char **block);
void ordered_map_insert_copied(struct ordered_map **map, const struct ordered_map_element *element,
                               char *block);
/* As ordered_map_push(), but the cursor is nowhere then, until ordered_map_follow() puts it on the
 * new element: with what the push returned, and before anything else happens to the map. */
bool ordered_map_push_copied(struct ordered_map **map, const struct ordered_map_cursor *end,
                             bool is_first, const struct ordered_map_element *element, char *block);
void ordered_map_follow(const struct ordered_map *map, struct ordered_map_cursor *end,
                        bool is_first, bool is_placed);
void ordered_map_replace_copied(struct ordered_map **map, struct ordered_map_cursor *cursor,
                                uint64_t stamp, unsigned flags, struct slice value, char *block);
/* Takes out the element at the cursor, which then stands on the next one; false when there is
 * none. */
bool ordered_map_remove(struct ordered_map **map, struct ordered_map_cursor *cursor);
/* Takes out the element at the cursor and those behind it, `count` in all, or to the end; the
 * cursor then stands on the next one; false when there is none. `visit` may be NULL. O(log n) for
 * each leaf.
 */
bool ordered_map_remove_range(struct ordered_map **map, struct ordered_map_cursor *cursor,
                              uint64_t count, ordered_map_visit_fn visit, void *udata);
/* Take out the first or last `count` elements, or all. `visit` may be NULL. */
void ordered_map_remove_first(struct ordered_map **map, uint64_t count, ordered_map_visit_fn visit,
                              void *udata);
void ordered_map_remove_last(struct ordered_map **map, uint64_t count, ordered_map_visit_fn visit,
                             void *udata);

/* ---- small maps as bytes ---- */

/* A small map without flags and long values can be kept as bytes, which are shorter than its block,
 * and become the same map again. They are told against a stamp, which is to be kept with them, as
 * is the count:
 *
 *   control | name size (varint), name of the first element | element...
 *
 * Elements follow as in a run (packed_run.h), the first one without name, and its stamp as if the
 * one before had had `base`. Where all have the same control byte, and it tells nothing of names,
 * that stands in front, and is left out everywhere else; else 0xFF stands there. */

/* Can the map be told as bytes? The empty one cannot. */
bool ordered_map_has_bytes(const struct ordered_map *map);
/* And will it still be a small map when they are read again, whatever stamp its first element has
 * by then? */
bool ordered_map_fits_bytes(const struct ordered_map *map);
/* The stamp against which the map is best told. */
uint64_t ordered_map_best_base(const struct ordered_map *map);
void ordered_map_put_bytes(struct buffer *out, const struct ordered_map *map, uint64_t base);
/* A map again, with a block of its own. */
struct ordered_map *ordered_map_take_bytes(struct slice bytes, uint64_t count, uint64_t base);
/* A map again, to read, which lies in `block`. */
struct ordered_map_block {
    uint32_t words[ORDERED_MAP_SMALL_BYTES / sizeof(uint32_t)];
};
const struct ordered_map *ordered_map_read_bytes(struct ordered_map_block *block,
                                                 struct slice bytes, uint64_t count, uint64_t base);
/* A copy of such a map, with a block of its own. */
struct ordered_map *ordered_map_copy(const struct ordered_map *map);

/* Builds a small map in a block, to read, from the first element to the last; one that an owner
 * tells in bytes of its own. Elements have no flags and no long values, and all of them have room
 * in one block, as they had when they were a small map. */
struct ordered_map_builder {
    struct packed_run *run;
    char *to, *end;
    struct slice name; /* of the element that came last */
    uint64_t stamp;
};
void ordered_map_build(struct ordered_map_builder *builder, struct ordered_map_block *block);
/* `follows`: its name is the successor of the one before, and may lie in its place. Another name
 * stays where it is until the next one has come. */
void ordered_map_build_add(struct ordered_map_builder *builder,
                           const struct ordered_map_element *element, bool follows);
const struct ordered_map *ordered_map_built(const struct ordered_map_builder *builder);
/* Is it the other name, of the same size, read as one number and increased by one? */
bool ordered_map_is_successor(struct slice name, struct slice previous);

/* Do such bytes say for all elements at once how they are told? */
bool ordered_map_bytes_are_alike(struct slice bytes);

/* The first or last element of such bytes, if all elements have the same control byte: else, false,
 * they have to become a map. */
struct ordered_map_bytes_end {
    struct ordered_map_element element; /* its value lies in the bytes */
    bool is_first;
    size_t from, to; /* where it lies */
    char name[ORDERED_MAP_NAME_BYTES_MAX];
};
bool ordered_map_bytes_end(struct slice bytes, uint64_t count, uint64_t base, bool is_first,
                           struct ordered_map_bytes_end *end);
/* Appends the bytes without that element, which is not the only one; `base` becomes theirs. */
void ordered_map_bytes_pop(struct buffer *out, struct slice bytes,
                           const struct ordered_map_bytes_end *end, uint64_t *base);
/* Appends the bytes with an element more, before the first one or behind the last; false, with
 * nothing done, when it is not told as the others are, or they might be too many bytes. */
bool ordered_map_bytes_push(struct buffer *out, struct slice bytes, uint64_t count,
                            const struct ordered_map_bytes_end *end,
                            const struct ordered_map_element *element, uint64_t *base);

/* ---- introspection ---- */

/* Bytes of all blocks, as the allocator rounds them. O(1) but for small maps. */
uint64_t ordered_map_memory_bytes(const struct ordered_map *map);
/* Walks everything and asserts I1 to I6. */
void ordered_map_check(const struct ordered_map *map);

#endif
