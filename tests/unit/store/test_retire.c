/* SPDX-License-Identifier: BSD-3-Clause */
/* Retiring a replica that is gone for good: its slot vanishes from a store, and nobody can tell.
 * Three nodes write random things; then one falls silent, and when all have seen what it wrote, the
 * other two retire it, each when it likes, while they go on writing: they stay equal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/lists.h"
#include "unit/seed.h"
#include "unit/store/random_elements.h"
#include "unit/store/world.h"

/* A number of a hash; most of the others are fields and elements without parts. */
static void add_to_field(struct world *world, unsigned i) {
    struct store *store = &world->nodes[i].store;
    struct key key = store_key(store, 0, SLICE("numbers"));
    char name[2] = {'n', (char)('0' + world_below(world, 6))};
    struct elements_writer writer;
    int64_t sum;
    assert_int_equal(elements_open(store, &key, VALUE_HASH, &writer), STORE_OK);
    if (world_below(world, 4) == 0) {
        (void)element_delete(&writer, slice_make(name, 2));
    } else {
        (void)element_add_integer(&writer, slice_make(name, 2), (int64_t)world_below(world, 9),
                                  &sum);
    }
    elements_close(&writer);
}

static void act(struct world *world, unsigned writers) {
    unsigned i = NODES - 1 - (unsigned)world_below(world, writers);
    if (world_below(world, 2) == 0) {
        world_write_random(world, i);
        for (unsigned writes = (unsigned)world_below(world, 4); writes > 0; writes--) {
            if (world_below(world, 3) == 0) {
                add_to_field(world, i);
            } else {
                random_elements_write(&world->nodes[i].store, 0, &world->prng);
            }
        }
        world_collect(world, i);
    } else {
        (void)world_deliver(world, (unsigned)world_below(world, NODES), i);
    }
}

/* All have seen what node 0 wrote: settles and retires it at node `i`. False when keys are in its
 * way that others have touched since and not settled. */
static bool retire(struct world *world, unsigned i, const struct context *frontier) {
    struct store *store = &world->nodes[i].store;
    struct replica_id gone = streams_id(0);
    unsigned slot = replicas_find(&store->replicas, replica_ref(&gone));
    uint64_t ticks = stamp_ticks(store->context.stamps[slot]);
    uint8_t before[20], after[20];
    store_digest(store, before);
    bool is_through = false;
    /* Collections go some elements at a time, and are written to when one is half way. */
    unsigned rounds_max =
        store->elements_a_step < 100 ? 10 + (unsigned)world_below(world, 200) : 50;
    for (unsigned rounds = 0; !is_through && rounds < rounds_max; rounds++) {
        is_through = store_retire_some(store, slot, frontier, 1 + (unsigned)world_below(world, 5));
        world_collect(world, i);
        (void)store_settle(store, frontier, 10);
        if (rounds % 8 == 0) {
            store_check(store);
        }
    }
    store_digest(store, after);
    assert_memory_equal(before, after, sizeof(before));
    if (!is_through) {
        store_check(store);
        return false;
    }
    assert_int_equal(replicas_find(&store->replicas, replica_ref(&gone)), 0);
    const struct retired_replica *retired =
        replicas_find_retired(&store->replicas, replica_ref(&gone));
    assert_non_null(retired);
    assert_true(retired->ticks == ticks);
    assert_true(store->context.stamps[slot] == 0);
    /* store_check() asserts that every stamp is covered by the context: with the slot at 0, that
     * none has it any more. */
    store_check(store);
    return true;
}

static void nobody_can_tell(void **state) {
    (void)state;
    unsigned early_count = 0;
    for (unsigned part = 0; part < 300; part++) {
        struct prng prng;
        seed_prng(&prng, "nobody_can_tell", part);
        struct world *world = memory_alloc(sizeof(*world));
        world_init(world, prng_next(&prng));
        /* A sum beyond 64 bits saturates, and where it was folded, for good. */
        world->has_no_extremes = true;
        for (unsigned i = 0; i < NODES && part % 2 == 0; i++) {
            world->nodes[i].store.elements_a_step = part / 2 % 3;
            for (unsigned type = 0; type < VALUE_TYPES_COUNT; type++) {
                world->nodes[i].store.packing[type].entries_max = part % 4;
            }
        }
        for (unsigned i = 0; i < 60; i++) {
            act(world, NODES);
        }
        world_deliver_all(world);
        world_assert_equal(world, 0, 1);
        world_assert_equal(world, 1, 2);
        /* By slot of each node: what all had seen when node 0 fell silent. */
        struct context frontiers[NODES];
        for (unsigned i = 1; i < NODES; i++) {
            frontiers[i] = world->nodes[i].store.context;
        }
        unsigned moments[NODES] = {0, (unsigned)world_below(world, 60),
                                   (unsigned)world_below(world, 60)};
        bool is_retired[NODES] = {false};
        for (unsigned step = 0; step < 60; step++) {
            for (unsigned i = 1; i < NODES; i++) {
                if (step >= moments[i] && !is_retired[i]) {
                    is_retired[i] = retire(world, i, &frontiers[i]);
                    early_count += is_retired[i];
                }
            }
            act(world, NODES - 1);
        }
        world_deliver_all(world);
        world_assert_equal(world, 1, 2);
        for (unsigned i = 1; i < NODES; i++) {
            struct context frontier = world->nodes[i].store.context;
            for (unsigned tries = 0; !is_retired[i] && tries < 50; tries++) {
                is_retired[i] = retire(world, i, &frontier);
            }
            assert_true(is_retired[i]);
        }
        world_assert_equal(world, 1, 2);
        world_deinit(world);
        memory_free(world);
    }
    assert_true(early_count > 300);
}

/* A writer that has folded a part edits what came of it; for a node that still has the part, the
 * edit stands on that. */
static void an_edit_stands_on_a_folded_part(void **state) {
    (void)state;
    struct world *world = memory_alloc(sizeof(*world));
    world_init(world, 5);
    struct store *writer = &world->nodes[1].store, *reader = &world->nodes[2].store;
    struct key key = store_key(&world->nodes[0].store, 0, SLICE("n"));
    struct key at_writer = store_key(writer, 0, SLICE("n")),
               here = store_key(reader, 0, SLICE("n"));
    int64_t result;
    uint64_t size;
    assert_int_equal(strings_add_integer(&world->nodes[0].store, &key, 818, &result), STORE_OK);
    world_collect(world, 0);
    world_deliver_all(world);
    struct context frontier = writer->context;
    assert_true(retire(world, 1, &frontier));
    assert_int_equal(strings_patch(writer, &at_writer, 6000, SLICE("end"), &size), STORE_OK);
    world_collect(world, 1);
    world_deliver_all(world);
    struct entry_scratch scratch;
    const struct entry *entry = store_peek(reader, &here);
    assert_non_null(entry);
    struct slice value = entry_value(entry, &scratch);
    assert_int_equal(value.size, 6003);
    assert_memory_equal(value.data, "818\0", 4);
    assert_memory_equal(value.data + 6000, "end", 3);
    store_check(reader);
    world_deinit(world);
    memory_free(world);
}

/* Node 0 has counted to 7 in "n", as all know. */
static struct world *begin_counted(uint64_t seed) {
    struct world *world = memory_alloc(sizeof(*world));
    world_init(world, seed);
    struct key key = store_key(&world->nodes[0].store, 0, SLICE("n"));
    int64_t result;
    assert_int_equal(strings_add_integer(&world->nodes[0].store, &key, 7, &result), STORE_OK);
    world_collect(world, 0);
    world_deliver_all(world);
    return world;
}

/* The slot is free for somebody else, whose stamps are not taken for the old ones. */
static void the_slot_is_free_again(void **state) {
    (void)state;
    struct world *world = begin_counted(5);
    struct store *other = &world->nodes[1].store;
    struct key same = store_key(other, 0, SLICE("n"));
    int64_t result;
    assert_int_equal(strings_add_integer(other, &same, 5, &result), STORE_OK);
    assert_int_equal(result, 12);
    world_collect(world, 1);
    world_deliver_all(world);
    struct context frontier = other->context;
    struct replica_id gone = streams_id(0), next = streams_id(7);
    unsigned slot = replicas_find(&other->replicas, replica_ref(&gone));
    assert_true(retire(world, 1, &frontier));
    assert_int_equal(entry_kind(store_peek(other, &same)), ENTRY_COUNTER_REGISTER);
    assert_true(replicas_add_at(&other->replicas, slot, &next));
    /* Nothing that is here was written by the new one. */
    assert_int_equal(strings_add_integer(other, &same, 1, &result), STORE_OK);
    assert_int_equal(result, 13);
    store_check(other);
    world_deinit(world);
    memory_free(world);
}

/* What a DELETE took off of a part may be asked for by who has yet to see the DELETE: the part
 * stays one until all have. */
static void what_may_be_asked_for_stays(void **state) {
    (void)state;
    struct world *world = begin_counted(6);
    struct store *other = &world->nodes[1].store;
    struct key same = store_key(other, 0, SLICE("n"));
    int64_t result;
    struct key key = store_key(&world->nodes[0].store, 0, SLICE("n"));
    assert_int_equal(strings_add_integer(&world->nodes[0].store, &key, 5, &result), STORE_OK);
    world_collect(world, 0);
    assert_true(store_delete(other, &same));
    world_collect(world, 1);
    world_deliver_all(world);
    struct replica_id gone = streams_id(0);
    struct context frontier = other->context, settled = frontier;
    unsigned slot = replicas_find(&other->replicas, replica_ref(&gone));
    settled.stamps[other->replicas.self] = 0;
    const struct entry *entry = store_peek(other, &same);
    assert_int_equal(entry_kind(entry), ENTRY_CONTESTED);
    assert_true(entry_contested(entry)->parts[0].off == 7);
    assert_false(retire(world, 1, &settled));
    entry = store_peek(other, &same);
    assert_int_equal(entry_kind(entry), ENTRY_CONTESTED);
    assert_true(contested_find_part(entry_contested(entry), slot)->off == 7);
    assert_true(retire(world, 1, &frontier));
    assert_int_equal(entry_kind(store_peek(other, &same)), ENTRY_INTEGER);
    world_deinit(world);
    memory_free(world);
}

/* It waits for a walk to end: a settled stamp would look as if it had been there before. */
static void no_slot_retires_under_a_walk(void **state) {
    (void)state;
    struct world *world = memory_alloc(sizeof(*world));
    world_init(world, 6);
    struct store *other = &world->nodes[1].store;
    world_write_random(world, 0);
    world_deliver_all(world);
    struct replica_id gone = streams_id(0);
    unsigned slot = replicas_find(&other->replicas, replica_ref(&gone));
    struct snapshot_walk walk = {.store = other};
    other->walk = &walk;
    for (unsigned i = 0; i < 100; i++) {
        assert_false(store_retire_some(other, slot, &other->context, 100));
    }
    other->walk = NULL;
    struct context frontier = other->context;
    assert_true(retire(world, 1, &frontier));
    world_deinit(world);
    memory_free(world);
}

/* Elements of a list are settled in its map, those that are more than a register in its table. */
static void lists_are_settled(void **state) {
    (void)state;
    struct world *world = memory_alloc(sizeof(*world));
    world_init(world, 7);
    struct store *store = &world->nodes[0].store, *other = &world->nodes[1].store;
    struct key key = store_key(store, 0, SLICE("l")), same = store_key(other, 0, SLICE("l"));
    struct elements_writer writer;
    struct elements elements;
    struct list_cursor cursor;
    assert_int_equal(elements_open(store, &key, VALUE_LIST, &writer), STORE_OK);
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(list_push(&writer, LIST_RIGHT, SLICE("value")), STORE_OK);
    }
    elements_close(&writer);
    world_collect(world, 0);
    world_deliver_all(world);
    assert_int_equal(elements_open(other, &same, VALUE_LIST, &writer), STORE_OK);
    assert_int_equal(list_set(&writer, 7, SLICE("other")), STORE_OK);
    assert_int_equal(list_push(&writer, LIST_LEFT, SLICE("first")), STORE_OK);
    elements_close(&writer);
    world_collect(world, 1);
    world_deliver_all(world);
    struct context frontier = other->context;
    struct replica_id gone = streams_id(0);
    unsigned slot = replicas_find(&other->replicas, replica_ref(&gone));
    assert_true(retire(world, 1, &frontier));
    assert_int_equal(elements_read(other, &same, VALUE_LIST, &elements), STORE_OK);
    assert_int_equal(elements.count, 501);
    assert_true(list_seek(other, &elements, 0, &cursor));
    for (unsigned i = 0; i < 501; i++) {
        bool is_own = i == 0 || i == 8;
        assert_int_equal(stamp_slot(cursor.at.element.stamp),
                         is_own ? other->replicas.self : STAMP_SLOT_SETTLED);
        assert_int_not_equal(stamp_slot(cursor.at.element.stamp), slot);
        assert_int_equal(list_step(&cursor, LIST_RIGHT), i < 500);
    }
    store_check(other);
    world_deinit(world);
    memory_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_can_tell),
        cmocka_unit_test(what_may_be_asked_for_stays),
        cmocka_unit_test(an_edit_stands_on_a_folded_part),
        cmocka_unit_test(the_slot_is_free_again),
        cmocka_unit_test(no_slot_retires_under_a_walk),
        cmocka_unit_test(lists_are_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
