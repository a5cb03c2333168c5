/* SPDX-License-Identifier: BSD-3-Clause */
/* Ordered maps in bulk: a copy of a whole one, and many elements one after the other at its end.
 *
 * What is done for each element there is little more than copying its value: nobody looks for its
 * place, and the counts above its leaf follow when the leaf is full. */
#ifndef CONTAINERS_ORDERED_MAP_BULK_H
#define CONTAINERS_ORDERED_MAP_BULK_H

#include "containers/ordered_map.h"

/* A copy of the map, which is not empty; NULL when it has, or had, flags or values with an
 * allocation of their own. O(bytes). */
struct ordered_map *ordered_map_bulk_copy(const struct ordered_map *map);

/* Appends to a map. From begin to end nothing else is done with it. */
struct ordered_map_bulk {
    struct ordered_map **map;
    struct packed_tree *tree;
    struct packed_leaf *leaf; /* the last one, in the block of a full one */
    char *to, *end;           /* the next element goes to `to` */
    uint32_t count;           /* of new elements in the leaf */
    uint64_t stamp;           /* of the last element */
};

/* The map is not empty. */
void ordered_map_bulk_begin(struct ordered_map_bulk *bulk, struct ordered_map **map);
/* The element has no flags, a value of ORDERED_MAP_INLINE_BYTES at most, and the name that is the
 * successor of the last one's: ordered_map_is_successor(). */
void ordered_map_bulk_append(struct ordered_map_bulk *bulk,
                             const struct ordered_map_element *element);
void ordered_map_bulk_end(struct ordered_map_bulk *bulk);

#endif
