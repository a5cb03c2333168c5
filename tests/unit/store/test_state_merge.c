/* SPDX-License-Identifier: BSD-3-Clause */
/* State of what several nodes have written at once: loaded into a new store, in the middle of a
 * history, it makes a node that is as good as the old one, for all that comes later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/state.h"
#include "unit/seed.h"
#include "unit/store/world.h"

static void no_flush(void *udata) {
    (void)udata;
}

struct encoding {
    const struct store *store;
    struct buffer bytes;
    unsigned number;
    uint64_t contested_count;
};

static void encode_visit(void *item, void *udata) {
    struct encoding *encoding = (struct encoding *)udata;
    encoding->contested_count += entry_kind((const struct entry *)item) == ENTRY_CONTESTED;
    state_encode(&encoding->bytes, encoding->store, encoding->number, (const struct entry *)item,
                 no_flush, NULL);
}

static void encode_all(const struct store *store, struct encoding *encoding) {
    *encoding = (struct encoding){.store = store};
    state_encode_order(&encoding->bytes, store);
    for (unsigned db = 0; db < store->dbs_count; db++) {
        uint64_t position = 0;
        encoding->number = store->dbs[db].number;
        do {
            position = table_walk(&store->dbs[db].table, position, encode_visit, encoding);
        } while (position != 0);
    }
}

/* Node `i` goes on from its state: what a restart does with a snapshot. */
static uint64_t restart(struct world *world, unsigned i) {
    struct node_store *node = &world->nodes[i];
    struct encoding encoding, again;
    encode_all(&node->store, &encoding);
    struct store loaded;
    struct store_opts opts = {.dbs_count = STREAMS_DBS, .seed = 1};
    store_init(&loaded, &opts);
    loaded.seed = node->store.seed;
    loaded.is_alone = false;
    loaded.journal.is_on = true;
    store_set_now(&loaded, node->store.now_ms);
    /* What the log's table of replicas brings back. */
    for (unsigned slot = 1; slot < node->store.replicas.slots_count; slot++) {
        const struct replica *replica = &node->store.replicas.slots[slot];
        require(replicas_add_at(&loaded.replicas, slot, &replica->id));
        for (unsigned seen = 1; seen < replica->mark_count; seen++) {
            replicas_raise_mark(&loaded.replicas, slot, replica->mark[seen]);
        }
    }
    loaded.replicas.self = node->store.replicas.self;
    loaded.context = node->store.context;
    loaded.clock = node->store.clock;
    struct slice rest = buffer_slice(&encoding.bytes);
    while (rest.size > 0) {
        assert_int_equal(state_load(&loaded, &rest), STORE_OK);
    }
    store_check(&loaded);
    uint8_t digests[2][20];
    store_digest(&node->store, digests[0]);
    store_digest(&loaded, digests[1]);
    assert_memory_equal(digests[0], digests[1], sizeof(digests[0]));
    for (unsigned db = 0; db < STREAMS_DBS; db++) {
        assert_int_equal(store_visible_count(&loaded, db), store_visible_count(&node->store, db));
    }
    encode_all(&loaded, &again);
    assert_int_equal(again.contested_count, encoding.contested_count);
    buffer_deinit(&encoding.bytes);
    buffer_deinit(&again.bytes);
    store_deinit(&node->store);
    node->store = loaded;
    /* Tables know where the seed of their hash is. */
    for (unsigned db = 0; db < STREAMS_DBS; db++) {
        node->store.dbs[db].table.udata = &node->store.seed;
    }
    return encoding.contested_count;
}

static void restarts_lose_nothing(void **state) {
    (void)state;
    uint64_t contested_count = 0;
    for (unsigned part = 0; part < 200; part++) {
        struct prng prng;
        seed_prng(&prng, "restarts_lose_nothing", part);
        struct world *world = memory_alloc(sizeof(*world));
        world_init(world, prng_next(&prng));
        for (unsigned step = 0; step < 150; step++) {
            unsigned i = (unsigned)world_below(world, NODES);
            switch (world_below(world, 9)) {
            case 0:
                contested_count += restart(world, i);
                break;
            case 1:
            case 2:
            case 3:
            case 4:
                world_write_random(world, i);
                break;
            default:
                (void)world_deliver(world, (unsigned)world_below(world, NODES), i);
            }
        }
        world_deliver_all(world);
        world_assert_equal(world, 0, 1);
        world_assert_equal(world, 1, 2);
        for (unsigned i = 0; i < NODES; i++) {
            store_check(&world->nodes[i].store);
        }
        world_deinit(world);
        memory_free(world);
    }
    assert_true(contested_count > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restarts_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
