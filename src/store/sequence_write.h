/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing the elements of a stream through a struct elements_writer: each call stamps, applies and
 * records one change. (Lists do the same in lists.c, where they may be packed; what is removed from
 * one that is not goes this way.) Plain elements are changed in the map; what is intricate or too
 * long for one change goes the way of all elements. For the files of store/ only. */
#ifndef STORE_SEQUENCE_WRITE_H
#define STORE_SEQUENCE_WRITE_H

#include "store/elements_internal.h"
#include "store/sequence.h"

/* Adds an element of a name that is not there, and that mostly comes behind all others; or one that
 * mostly does not: to look at the last one would make the map forget where it looked before.
 * OUT_OF_MEMORY: nothing changed. Name and value do not lie in the map. */
enum store_status sequence_write_add(struct elements_writer *writer, struct slice name,
                                     struct slice value);
enum store_status sequence_write_add_inside(struct elements_writer *writer, struct slice name,
                                            struct slice value);
/* Sets the element at the cursor, which then is nowhere. */
enum store_status sequence_write_replace(struct elements_writer *writer,
                                         struct ordered_map_cursor *cursor, struct slice value);
/* Removes the element at the cursor, which then is on the next one, or nowhere (false). */
bool sequence_write_remove(struct elements_writer *writer, struct ordered_map_cursor *cursor);
/* The same for the element at the cursor and those behind it, of which there are `count` in all. */
bool sequence_write_remove_range(struct elements_writer *writer, struct ordered_map_cursor *cursor,
                                 uint64_t count);

#endif
