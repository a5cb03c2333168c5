/* SPDX-License-Identifier: BSD-3-Clause */
/* What is pending by consumer (store/xstream_pending.c): random histories on three nodes, in which
 * consumers claim from each other, also at the same time, against walks over all that is pending;
 * and when the index is made, and forgotten. store_check() compares it with the stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/collection.h"
#include "store/xstreams.h"
#include "unit/store/sequence_law.h"
#include "unit/store/stream_world.h"

enum { IDS = 40, CONSUMERS = 4, GROUPS = 2 };

static struct world world;
static struct prng prng;
static struct xstream_label groups[GROUPS], consumers[CONSUMERS];

static void begin(uint64_t looks_max) {
    world_init(&world);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        world.nodes[node].store.pending_looks_max = looks_max;
    }
    require(xstream_label_encode(SLICE("g"), &groups[0]));
    require(xstream_label_encode(SLICE("gg"), &groups[1]));
    require(xstream_label_encode(SLICE(""), &consumers[0]));
    require(xstream_label_encode(SLICE("c"), &consumers[1]));
    require(xstream_label_encode(slice_make("c\0d", 3), &consumers[2]));
    require(
        xstream_label_encode(SLICE("another consumer, whose name is a long one"), &consumers[3]));
}

static bool has_index(unsigned node) {
    return stream_view_at(&world, node).collection->pending != NULL;
}

static void set_pending(struct elements_writer *writer, unsigned group, uint64_t ms,
                        unsigned consumer) {
    struct xstream_pending pending = {.delivered_unix_ms = 7,
                                      .deliveries_count = 1 + prng_below(&prng, 3),
                                      .consumer = xstream_label_slice(&consumers[consumer])};
    require(xstream_set_pending(writer, &groups[group], (struct xstream_id){ms, 0}, &pending) ==
            STORE_OK);
}

/* ---- against walks over all ---- */

static void compare_owned(struct xstream_view view, unsigned group, unsigned consumer,
                          uint64_t from_ms) {
    struct xstream_id from = {from_ms, 0};
    struct xstream_cursor cursor;
    struct xstream_owned owned;
    bool has_owned = xstream_owned_begin(view, &groups[group], &consumers[consumer], from, &owned);
    for (bool is_there = xstream_seek_pending(view, &groups[group], from, &cursor); is_there;
         is_there = xstream_next(&cursor)) {
        struct xstream_pending pending;
        xstream_pending_take(xstream_value(&cursor), &pending);
        if (!slice_equal(pending.consumer, xstream_label_slice(&consumers[consumer]))) {
            continue;
        }
        require(has_owned);
        require(xstream_id_compare(owned.cursor.name.id, cursor.name.id) == 0);
        require(owned.pending.deliveries_count == pending.deliveries_count);
        require(slice_equal(owned.pending.consumer, pending.consumer));
        has_owned = xstream_owned_next(&owned);
    }
    require(!has_owned);
}

static void compare_shares(struct xstream_view view, unsigned group) {
    struct buffer gathered = {0};
    struct xstream_pending_facts facts;
    size_t count = xstream_shares(view, &groups[group], &gathered);
    const struct xstream_share *shares = (const struct xstream_share *)(void *)gathered.data;
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        struct xstream_cursor cursor;
        uint64_t expected = 0;
        for (bool is_there = xstream_seek_pending(view, &groups[group], XSTREAM_ID_MIN, &cursor);
             is_there; is_there = xstream_next(&cursor)) {
            struct xstream_pending pending;
            xstream_pending_take(xstream_value(&cursor), &pending);
            expected += slice_equal(pending.consumer, shares[i].consumer);
        }
        require(shares[i].count > 0);
        require(shares[i].count == expected);
        require(i == 0 || slice_compare(shares[i - 1].consumer, shares[i].consumer) < 0);
        sum += expected;
    }
    xstream_pending_facts(view, &groups[group], &facts);
    require(facts.count == sum);
    buffer_deinit(&gathered);
}

/* Asks some node. */
static void ask(unsigned node) {
    struct xstream_view view = stream_view_at(&world, node);
    unsigned group = (unsigned)prng_below(&prng, GROUPS);
    if (prng_below(&prng, 2) == 0) {
        compare_shares(view, group);
    } else {
        compare_owned(view, group, (unsigned)prng_below(&prng, CONSUMERS), prng_below(&prng, IDS));
    }
    store_check(&world.nodes[node].store);
}

/* ---- histories ---- */

static void write_some(unsigned node) {
    struct elements_writer writer;
    unsigned group = (unsigned)prng_below(&prng, GROUPS);
    unsigned consumer = (unsigned)prng_below(&prng, CONSUMERS);
    stream_open_at(&world, node, &writer);
    unsigned kind = (unsigned)prng_below(&prng, 20);
    for (unsigned i = 0; i < 4; i++) {
        struct xstream_id id = {prng_below(&prng, IDS), 0};
        if (kind < 10) {
            set_pending(&writer, group, id.ms, consumer);
        } else if (kind < 16 && xstream_of_writer(&writer).collection != NULL) {
            (void)xstream_delete_pending(&writer, &groups[group], &id, 1);
        }
    }
    if (kind == 16 || kind == 17) {
        struct xstream_view view = xstream_of_writer(&writer);
        if (view.collection != NULL) {
            struct xstream_owned owned;
            (void)xstream_delete_consumer(&writer, &groups[group], &consumers[consumer]);
            require(!xstream_owned_begin(xstream_of_writer(&writer), &groups[group],
                                         &consumers[consumer], XSTREAM_ID_MIN, &owned));
        }
    } else if (kind == 18 && xstream_of_writer(&writer).collection != NULL) {
        xstream_destroy_group(&writer, &groups[group]);
    }
    stream_close_at(&world, node, &writer);
    if (kind == 19 && prng_below(&prng, 4) == 0) {
        struct key key = world_key(&world, node, 0), to = world_key(&world, node, 1);
        struct store *store = &world.nodes[node].store;
        if (store_peek(store, &key) != NULL) {
            (void)store_rename(store, &key, &to);
            world_end(&world, node);
            (void)store_rename(store, &to, &key);
            world_end(&world, node);
            store_check(store);
        }
    }
}

static void history(void) {
    begin(prng_below(&prng, 6));
    for (unsigned i = 0; i < 300 && world.ops_count < WORLD_OPS_MAX - 200; i++) {
        unsigned node = (unsigned)prng_below(&prng, WORLD_NODES);
        switch (prng_below(&prng, 8)) {
        case 0:
        case 1:
            write_some(node);
            break;
        case 2:
        case 3:
        case 4:
            (void)world_deliver(&world, (unsigned)prng_below(&prng, WORLD_NODES), node);
            break;
        case 5:
            world_settle(&world, node);
            break;
        case 6:
            world_hear(&world, node, (unsigned)prng_below(&prng, WORLD_NODES));
            break;
        default:
            ask(node);
            break;
        }
        store_check(&world.nodes[node].store);
    }
    world_deliver_all(&world);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        for (unsigned group = 0; group < GROUPS; group++) {
            compare_shares(stream_view_at(&world, node), group);
            for (unsigned consumer = 0; consumer < CONSUMERS; consumer++) {
                compare_owned(stream_view_at(&world, node), group, consumer, 0);
            }
        }
        store_check(&world.nodes[node].store);
        require(world_same_digest(&world, 0, node));
    }
    world_deinit(&world);
}

static void random_histories(void **state) {
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        seed_prng(&prng, "random_histories", i);
        history();
    }
}

/* ---- how long it lasts ---- */

static void fill(unsigned count, unsigned consumers_count) {
    struct elements_writer writer;
    stream_open_at(&world, 0, &writer);
    for (unsigned i = 0; i < count; i++) {
        set_pending(&writer, 0, 1 + i, i % consumers_count);
    }
    elements_close(&writer);
    change_writer_clear(&world.nodes[0].store.journal);
}

/* Sets what is pending `times` times in turn, to consumers 0 and 1. */
static void change(unsigned count, unsigned times) {
    struct elements_writer writer;
    stream_open_at(&world, 0, &writer);
    for (unsigned i = 0; i < times; i++) {
        set_pending(&writer, 0, 1 + i % count, (i / count) % 2);
    }
    elements_close(&writer);
    change_writer_clear(&world.nodes[0].store.journal);
    store_check(&world.nodes[0].store);
}

static void made_where_much_is_looked_at_in_vain(void **state) {
    (void)state;
    begin(64);
    fill(64, 2);
    compare_shares(stream_view_at(&world, 0), 0);
    compare_owned(stream_view_at(&world, 0), 0, 1, 0);
    compare_owned(stream_view_at(&world, 0), 0, 2,
                  0); /* nothing is pending for it, and 64 is not too many */
    require(!has_index(0));
    fill(200, 2);
    require(!has_index(0));
    compare_owned(stream_view_at(&world, 0), 0, 2, 0);
    require(has_index(0));
    store_check(&world.nodes[0].store);
    compare_shares(stream_view_at(&world, 0), 0);
    compare_owned(stream_view_at(&world, 0), 0, 1, 100);
    world_deinit(&world);
}

static void forgotten_where_little_is_pending(void **state) {
    (void)state;
    begin(64);
    fill(100, 2);
    compare_shares(stream_view_at(&world, 0), 0);
    require(has_index(0));
    struct elements_writer writer;
    stream_open_at(&world, 0, &writer);
    for (unsigned i = 0; i < 100; i++) {
        require(has_index(0) == (100 - i >= 16));
        require(xstream_delete_pending(&writer, &groups[0], &(struct xstream_id){1 + i, 0}, 1) ==
                1);
        if (i < 99) {
            compare_shares(xstream_of_writer(&writer), 1);
        }
    }
    elements_close(&writer);
    world_deinit(&world);
}

static void ids_are_forgotten_where_nobody_asks(void **state) {
    (void)state;
    enum { COUNT = 1000, CHANGES_MAX = 20000 };
    begin(64);
    fill(COUNT, 2);
    compare_shares(stream_view_at(&world, 0), 0);
    struct collection *collection = stream_view_at(&world, 0).collection;
    uint64_t bytes_of_counts = xstream_pending_memory_bytes(collection);
    compare_owned(stream_view_at(&world, 0), 0, 1, 0);
    uint64_t bytes = xstream_pending_memory_bytes(collection);
    require(bytes > bytes_of_counts + COUNT);
    require(bytes < bytes_of_counts + 10 * COUNT);
    for (unsigned i = 0; i < 20; i++) { /* somebody asks: they stay */
        change(COUNT, COUNT);
        compare_owned(stream_view_at(&world, 0), 0, 0, 0);
        compare_owned(stream_view_at(&world, 0), 0, 1, 0);
        require(xstream_pending_memory_bytes(collection) > bytes_of_counts + COUNT);
    }
    change(COUNT, CHANGES_MAX);
    require(xstream_pending_memory_bytes(collection) <= bytes_of_counts);
    require(has_index(0));
    compare_shares(stream_view_at(&world, 0), 0);
    compare_owned(stream_view_at(&world, 0), 0, 1, 500);
    world_deinit(&world);
}

/* Of many consumers the first who asks has the ids of all gathered. */
static void many_consumers_are_one_walk(void **state) {
    (void)state;
    begin(8);
    fill(400, CONSUMERS);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        compare_owned(stream_view_at(&world, 0), 0, i, 0);
        compare_owned(stream_view_at(&world, 0), 0, i, 397);
        compare_owned(stream_view_at(&world, 0), 0, i, 500);
    }
    store_check(&world.nodes[0].store);
    struct elements_writer writer;
    stream_open_at(&world, 0, &writer);
    require(xstream_delete_consumer(&writer, &groups[0], &consumers[2]) == 100);
    elements_close(&writer);
    store_check(&world.nodes[0].store);
    compare_owned(stream_view_at(&world, 0), 0, 2, 0);
    compare_shares(stream_view_at(&world, 0), 0);
    world_deinit(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories),
        cmocka_unit_test(made_where_much_is_looked_at_in_vain),
        cmocka_unit_test(forgotten_where_little_is_pending),
        cmocka_unit_test(ids_are_forgotten_where_nobody_asks),
        cmocka_unit_test(many_consumers_are_one_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
