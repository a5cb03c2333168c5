/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists: reading them by index, and writing them through a struct elements_writer of VALUE_LIST.
 *
 * Every write of an element is a change of its own, at the position of the element: a push SETs a
 * new position, LSET sets the register of an old one, a pop DELETEs. All changes of one writer are
 * one unit. Nothing here is O(n) but what says so. */
#ifndef STORE_LISTS_H
#define STORE_LISTS_H

#include "containers/ordered_map_bulk.h"
#include "crdt/list_position.h"
#include "store/elements.h"

enum list_end { LIST_LEFT, LIST_RIGHT };

/* A walk over a list; ends with any change of it. */
struct list_cursor {
    const struct store *store;
    struct collection *collection; /* NULL: packed */
    const struct ordered_map *map;
    struct ordered_map_cursor at;
    struct element element; /* what is here: its name is the position */
    /* Of a packed list: what is read as it lies, while it goes to the right; or the map of all. */
    struct slice packed;
    bool is_told;
    uint64_t index, count;
    struct packed_told_reader told;
    struct ordered_map_block block;
};

/* Puts the cursor on the element with that index; false when there is none. */
bool list_seek(const struct store *store, const struct elements *elements, uint64_t index,
               struct list_cursor *cursor);
/* To the element after, or before. */
bool list_step(struct list_cursor *cursor, enum list_end towards);

/* How many elements there are now. */
uint64_t list_count(struct elements_writer *writer);
/* Adds an element at an end. OUT_OF_MEMORY, NO_ROOM: nothing changed. */
enum store_status list_push(struct elements_writer *writer, enum list_end end, struct slice value);
/* The same for one value after the other, while nothing else is done with the writer and the list.
 */
struct list_pusher {
    struct elements_writer *writer;
    enum list_end end;
    bool is_there;       /* the cursor is on the element at the end */
    bool is_in_bulk;     /* pushes go on in `bulk` */
    unsigned until_bulk; /* so many more are pushed one by one before */
    struct ordered_map_cursor at;
    struct ordered_map_bulk bulk;
    struct list_position_run run;
    struct change change; /* the last one */
    uint64_t bulk_count;
};
/* `bytes`: about those of all the values that follow, and one for each; 0: not known. */
void list_push_begin(struct list_pusher *pusher, struct elements_writer *writer, enum list_end end,
                     uint64_t bytes);
enum store_status list_push_next(struct list_pusher *pusher, struct slice value);
/* After the last one, whether or not all were pushed. */
void list_push_end(struct list_pusher *pusher);
/* Removes the element at an end, which is there, after handing its value to `take`. */
void list_pop(struct elements_writer *writer, enum list_end end,
              void (*take)(void *udata, struct slice value), void *udata);
/* Adds an element so that it has that index, which is at most the count. */
enum store_status list_insert(struct elements_writer *writer, uint64_t index, struct slice value);
/* Sets the element with that index, which is below the count. */
enum store_status list_set(struct elements_writer *writer, uint64_t index, struct slice value);
/* Removes `count` elements from `index` on, which are there. */
void list_remove(struct elements_writer *writer, uint64_t index, uint64_t count);
/* Removes up to `count` elements that equal `value`, from an end on. O(n). Returns how many. */
uint64_t list_remove_value(struct elements_writer *writer, struct slice value, uint64_t count,
                           enum list_end from);

#endif
