/* SPDX-License-Identifier: BSD-3-Clause */
/* Three nodes that write random things and hand each other their records, in any order that causes
 * allow. */
#ifndef TESTS_UNIT_STORE_WORLD_H
#define TESTS_UNIT_STORE_WORLD_H

#include "unit/store/streams.h"

enum { NODES = 3, WORLD_KEYS = 12 };

struct world {
    struct node_store nodes[NODES];
    struct prng prng;
    bool has_no_extremes;         /* sums stay in range */
    struct buffer records[NODES]; /* all of each node, each after its size */
    size_t delivered[NODES][NODES];
};

static inline void world_init(struct world *world, uint64_t seed) {
    *world = (struct world){0};
    prng_init(&world->prng, seed);
    for (unsigned i = 0; i < NODES; i++) {
        streams_init(&world->nodes[i], i, NODES);
    }
}

static inline void world_deinit(struct world *world) {
    for (unsigned i = 0; i < NODES; i++) {
        streams_deinit(&world->nodes[i]);
        buffer_deinit(&world->records[i]);
    }
}

static inline uint64_t world_below(struct world *world, uint64_t bound) {
    return prng_below(&world->prng, bound);
}

static inline void world_collect(struct world *world, unsigned i) {
    struct node_store *node = &world->nodes[i];
    store_end_unit(&node->store);
    if (node->store.journal.bytes.size > 0) {
        struct buffer record = {0};
        streams_collect(node, NODES, &record);
        buffer_append(&world->records[i], &record.size, sizeof(record.size));
        buffer_append_slice(&world->records[i], buffer_slice(&record));
        buffer_deinit(&record);
    }
}

/* Hands the next record of `from` to `to`; false when there is none, or it is too early. */
static inline bool world_deliver(struct world *world, unsigned from, unsigned to) {
    size_t *at = &world->delivered[from][to];
    if (from == to || *at == world->records[from].size) {
        return false;
    }
    size_t size;
    memcpy(&size, world->records[from].data + *at, sizeof(size));
    struct slice record = slice_make(world->records[from].data + *at + sizeof(size), size);
    enum receive_status status = streams_take(&world->nodes[to], record);
    if (status == RECEIVE_EARLY) {
        return false;
    }
    assert_int_equal(status, RECEIVE_OK);
    *at += sizeof(size) + size;
    return true;
}

static inline void world_deliver_all(struct world *world) {
    for (bool has_moved = true; has_moved;) {
        has_moved = false;
        for (unsigned from = 0; from < NODES; from++) {
            for (unsigned to = 0; to < NODES; to++) {
                while (world_deliver(world, from, to)) {
                    has_moved = true;
                }
            }
        }
    }
}

static inline void world_write_random(struct world *world, unsigned i) {
    static const char *const values[] = {"0", "10", "-3", "text", "2.5", "9223372036854775807"};
    struct store *store = &world->nodes[i].store;
    char name[16];
    struct key key =
        store_key(store, (unsigned)world_below(world, 2),
                  slice_make(name, (size_t)snprintf(name, sizeof(name), "k%u",
                                                    (unsigned)world_below(world, WORLD_KEYS))));
    int64_t integer;
    long double number;
    store_set_now(store, store->now_ms + (int64_t)world_below(world, 5));
    switch (world_below(world, 12)) {
    case 0:
    case 1:
        assert_int_equal(
            strings_set(store, &key,
                        slice_of(values[world_below(world, world->has_no_extremes ? 5 : 6)]),
                        world_below(world, 4) == 0 ? UINT64_C(1900000000000) : 0),
            STORE_OK);
        break;
    case 2:
        (void)store_delete(store, &key);
        break;
    case 3:
        (void)store_expire(store, &key, UINT64_C(1900000000000) + world_below(world, 100));
        break;
    case 4:
        (void)store_expire(store, &key, 0);
        break;
    case 5:
        assert_int_equal(strings_patch(store, &key, world_below(world, 3), SLICE("1"), NULL),
                         STORE_OK);
        break;
    case 6:
        if (world_below(world, 10) == 0) {
            store_swap(store, 0, 1);
        }
        break;
    case 7:
        /* Halves and quarters: sums of them are exact in any order. */
        (void)strings_add_float(store, &key, (long double)world_below(world, 9) / 4, &number);
        break;
    default:
        (void)strings_add_integer(store, &key, (int64_t)world_below(world, 100) - 20, &integer);
    }
    world_collect(world, i);
}

static inline void world_assert_equal(const struct world *world, unsigned a, unsigned b) {
    uint8_t digests[2][20];
    store_digest(&world->nodes[a].store, digests[0]);
    store_digest(&world->nodes[b].store, digests[1]);
    assert_memory_equal(digests[0], digests[1], sizeof(digests[0]));
}

#endif
