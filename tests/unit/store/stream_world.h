/* SPDX-License-Identifier: BSD-3-Clause */
/* The stream under the first key of a world's nodes (merge_world.h). */
#ifndef TESTS_UNIT_STORE_STREAM_WORLD_H
#define TESTS_UNIT_STORE_STREAM_WORLD_H

#include "store/xstreams.h"
#include "unit/store/merge_world.h"

static inline void stream_open_at(struct world *world, unsigned node,
                                  struct elements_writer *writer) {
    struct key key = world_key(world, node, 0);
    require(elements_open(&world->nodes[node].store, &key, VALUE_STREAM, writer) == STORE_OK);
}

static inline void stream_close_at(struct world *world, unsigned node,
                                   struct elements_writer *writer) {
    elements_close(writer);
    world_end(world, node);
    store_check(&world->nodes[node].store);
}

static inline struct xstream_view stream_view_at(struct world *world, unsigned node) {
    struct elements elements;
    struct key key = world_key(world, node, 0);
    (void)elements_read(&world->nodes[node].store, &key, VALUE_STREAM, &elements);
    return xstream_of(&world->nodes[node].store, &elements);
}

#endif
