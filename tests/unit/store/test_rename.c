/* SPDX-License-Identifier: BSD-3-Clause */
/* Renaming large collections: what was there is there under the other name, in the place of
 * whatever was, on all nodes; at once where nobody has to be told, or element by element. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/lists.h"
#include "store/xstreams.h"
#include "unit/store/merge_world.h"
#include "unit/store/numbered_elements.h"
#include "unit/store/running_snapshot.h"

enum { ELEMENTS = 300, TYPES_COUNT = 5 };

static const enum value_type TYPES[TYPES_COUNT] = {VALUE_HASH, VALUE_SET, VALUE_SORTED_SET,
                                                   VALUE_LIST, VALUE_STREAM};

static struct world world;

/* So that few elements are no longer packed. */
static void unpack_soon(struct store *store) {
    for (unsigned i = 0; i < TYPES_COUNT; i++) {
        store->packing[TYPES[i]].entries_max = 8;
    }
}

static void begin(struct store *store, const struct store_opts *opts) {
    struct replica_id id = {.node = {1}, .generation = 1};
    store_init(store, opts);
    assert_true(store_begin_replica(store, &id));
    store_set_now(store, INT64_C(1800000000000));
    unpack_soon(store);
}

static uint64_t count_of(struct store *store, const struct key *key) {
    struct elements elements;
    struct entry *entry = store_peek(store, key);
    if (entry == NULL) {
        return 0;
    }
    elements_of(entry, &elements);
    return elements.count;
}

static bool is_as_before(struct store *store, const struct key *key, const uint8_t before[20]) {
    uint8_t digest[20];
    store_value_digest(store, store_peek(store, key), digest);
    return memcmp(digest, before, 20) == 0;
}

/* ---- one store ---- */

/* To a name that is free, then to one that is taken, in another database; expiries go along. */
static void rename_alone(enum value_type type, bool is_recorded) {
    struct store_opts opts = {.dbs_count = 2, .seed = 3};
    struct store store;
    begin(&store, &opts);
    store.journal.is_on = is_recorded;
    struct key a = store_key(&store, 0, SLICE("a")), b = store_key(&store, 0, SLICE("b"));
    struct key c = store_key(&store, 1, SLICE("c"));
    uint8_t before[20];
    add_numbered(&store, &a, type, 0, ELEMENTS);
    assert_true(store_expire(&store, &a, (uint64_t)store.now_ms + 1000));
    store_value_digest(&store, store_peek(&store, &a), before);
    const void *collection = entry_collection(store_peek(&store, &a));
    assert_int_equal(store_rename(&store, &a, &b), STORE_OK);
    assert_null(store_peek(&store, &a));
    assert_true(is_as_before(&store, &b, before));
    assert_int_equal(entry_expire_unix_ms(store_peek(&store, &b)), (uint64_t)store.now_ms + 1000);
    bool is_moved = entry_collection(store_peek(&store, &b)) == collection;
    assert_int_equal(is_moved, !is_recorded || !collection_is_sequence(type));
    store_check(&store);
    assert_int_equal(strings_set(&store, &c, SLICE("other"), 0), STORE_OK);
    assert_int_equal(store_rename(&store, &b, &c), STORE_OK);
    assert_true(is_as_before(&store, &c, before));
    store_check(&store);
    add_numbered(&store, &c, type, ELEMENTS, 1);
    add_numbered(&store, &a, type, 0, 2);
    assert_int_equal(count_of(&store, &c), ELEMENTS + 1);
    assert_int_equal(count_of(&store, &a), 2);
    store_check(&store);
    /* Both in the place of one another. */
    assert_int_equal(store_rename(&store, &c, &a), STORE_OK);
    assert_int_equal(count_of(&store, &a), ELEMENTS + 1);
    store_set_now(&store, store.now_ms + 1000);
    assert_null(store_read(&store, &a));
    store_check(&store);
    store_deinit(&store);
}

static void alone(void **state) {
    (void)state;
    for (unsigned i = 0; i < TYPES_COUNT; i++) {
        rename_alone(TYPES[i], false);
        rename_alone(TYPES[i], true);
    }
}

/* A walk sees what there was when it began. */
static void under_a_walk(void **state) {
    (void)state;
    for (unsigned i = 0; i < TYPES_COUNT; i++) {
        struct store_opts opts = {.dbs_count = 1, .seed = 4};
        struct store store;
        static struct running_snapshot snapshot;
        snapshot = (struct running_snapshot){.is_running = true};
        begin(&store, &opts);
        struct key a = store_key(&store, 0, SLICE("a")), b = store_key(&store, 0, SLICE("b"));
        add_numbered(&store, &a, TYPES[i], 0, ELEMENTS);
        add_numbered(&store, &a, TYPES[i], ELEMENTS, 1);
        store.elements_a_step = 50;
        store_digest(&store, snapshot.digest);
        snapshot.sum = running_snapshot_check_state(&store);
        snapshot_walk_begin(&snapshot.walk, &store, running_snapshot_emit, &snapshot);
        snapshot_walk_take_pieces(&snapshot.walk, running_snapshot_piece);
        assert_int_equal(store_rename(&store, &a, &b), STORE_OK);
        store_end_unit(&store);
        while (!snapshot_walk_step(&snapshot.walk, 100)) {
        }
        running_snapshot_end(&snapshot, &store);
        assert_int_equal(count_of(&store, &b), ELEMENTS + 1);
        store_check(&store);
        store_deinit(&store);
    }
}

/* Fields that expire do so under the new name. */
static void with_fields_that_expire(void **state) {
    (void)state;
    struct store_opts opts = {.dbs_count = 1, .seed = 5};
    for (unsigned is_recorded = 0; is_recorded <= 1; is_recorded++) {
        struct store store;
        struct elements_writer writer;
        begin(&store, &opts);
        store.journal.is_on = is_recorded != 0;
        struct key a = store_key(&store, 0, SLICE("a")), b = store_key(&store, 0, SLICE("b"));
        add_numbered(&store, &a, VALUE_HASH, 0, ELEMENTS);
        assert_int_equal(elements_open(&store, &a, VALUE_HASH, &writer), STORE_OK);
        assert_true(element_expire(&writer, SLICE("element 7"), (uint64_t)store.now_ms + 50));
        elements_close(&writer);
        assert_int_equal(store_rename(&store, &a, &b), STORE_OK);
        assert_int_equal(count_of(&store, &b), ELEMENTS);
        store_check(&store);
        store_set_now(&store, store.now_ms + 50);
        for (bool is_done = false; !is_done;) {
            (void)elements_expire_some(&store, &is_done);
        }
        assert_int_equal(count_of(&store, &b), ELEMENTS - 1);
        store_check(&store);
        store_deinit(&store);
    }
}

/* ---- three nodes ---- */

static bool all_count(const char *name, uint64_t count) {
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        struct store *store = &world.nodes[node].store;
        struct key key = store_key(store, 0, slice_of(name));
        store_check(store);
        if (count_of(store, &key) != count || !world_same_digest(&world, 0, node)) {
            return false;
        }
    }
    return true;
}

/* Others have the elements under the new name, and what one of them added meanwhile under the old
 * one. What it removed meanwhile it had not seen there. */
static void on_all_nodes(void **state) {
    (void)state;
    enum { MANY = 140 };
    for (unsigned i = 0; i < 3; i++) {
        world_init(&world);
        for (unsigned node = 0; node < WORLD_NODES; node++) {
            unpack_soon(&world.nodes[node].store);
        }
        struct store *first = &world.nodes[0].store, *second = &world.nodes[1].store;
        struct key a = store_key(first, 0, SLICE("a")), b = store_key(first, 0, SLICE("b"));
        struct key other_a = store_key(second, 0, SLICE("a"));
        add_numbered(first, &a, TYPES[i], 0, MANY);
        add_numbered(first, &b, TYPES[i], 500, 3);
        world_end(&world, 0);
        world_deliver_all(&world);
        add_numbered(second, &other_a, TYPES[i], 1000, 2);
        struct elements_writer writer;
        assert_int_equal(elements_open(second, &other_a, TYPES[i], &writer), STORE_OK);
        assert_true(element_delete(&writer, SLICE("element 5")));
        elements_close(&writer);
        world_end(&world, 1);
        assert_true(elements_rename(first, &a, &b));
        world_end(&world, 0);
        assert_int_equal(count_of(first, &a), 0);
        assert_int_equal(count_of(first, &b), MANY);
        world_deliver_all(&world);
        assert_true(all_count("a", 2));
        assert_true(all_count("b", MANY));
        /* And back, where something is by now. */
        assert_int_equal(store_rename(first, &b, &a), STORE_OK);
        world_end(&world, 0);
        world_deliver_all(&world);
        assert_true(all_count("a", MANY));
        assert_true(all_count("b", 0));
        world_deinit(&world);
    }
}

/* A hash with parts of counters, or with fields that are hidden, is copied. */
static void what_is_not_plain_is_copied(void **state) {
    (void)state;
    world_init(&world);
    unpack_soon(&world.nodes[0].store);
    struct store *first = &world.nodes[0].store, *second = &world.nodes[1].store;
    struct key a = store_key(first, 0, SLICE("a")), b = store_key(first, 0, SLICE("b"));
    struct key other_a = store_key(second, 0, SLICE("a"));
    struct elements_writer writer;
    int64_t result;
    add_numbered(first, &a, VALUE_HASH, 0, 140);
    world_end(&world, 0);
    world_deliver_all(&world);
    assert_int_equal(elements_open(first, &a, VALUE_HASH, &writer), STORE_OK);
    assert_int_equal(element_add_integer(&writer, SLICE("count"), 2, &result), STORE_OK);
    elements_close(&writer);
    world_end(&world, 0);
    world_deliver_all(&world);
    assert_int_equal(elements_open(second, &other_a, VALUE_HASH, &writer), STORE_OK);
    assert_int_equal(element_add_integer(&writer, SLICE("count"), 3, &result), STORE_OK);
    elements_close(&writer);
    world_end(&world, 1);
    assert_false(elements_rename(first, &a, &b));
    assert_int_equal(store_rename(first, &a, &b), STORE_OK);
    world_end(&world, 0);
    world_deliver_all(&world);
    assert_true(all_count("b", 141));
    assert_true(all_count("a", 1)); /* what was added meanwhile */
    world_deinit(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone),
        cmocka_unit_test(under_a_walk),
        cmocka_unit_test(with_fields_that_expire),
        cmocka_unit_test(on_all_nodes),
        cmocka_unit_test(what_is_not_plain_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
