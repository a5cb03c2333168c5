/* SPDX-License-Identifier: BSD-3-Clause */
/* Many elements of lists and sorted sets at once: pushes and removals in bulk make the same
 * records, to the byte, and leave the same state as one by one; peers come to the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/lists.h"
#include "store/sorted_set.h"
#include "unit/seed.h"
#include "unit/store/merge_world.h"

enum { STORES = 2, VALUE_BYTES = 500 };

/* The first does one thing after the other. */
static struct store stores[STORES];
static struct world world;
static struct prng prng;
static char values[VALUE_BYTES];

static void begin(bool is_recorded, bool is_alone) {
    for (unsigned i = 0; i < STORES; i++) {
        struct store_opts opts = {.dbs_count = 1, .seed = 7};
        struct replica_id id = streams_id(0);
        store_init(&stores[i], &opts);
        store_set_now(&stores[i], INT64_C(1800000000000));
        require(store_begin_replica(&stores[i], &id));
        stores[i].journal.is_on = is_recorded;
        stores[i].is_alone = is_alone;
    }
}

static void end(void) {
    for (unsigned i = 0; i < STORES; i++) {
        store_deinit(&stores[i]);
    }
}

static void open_at(unsigned i, enum value_type type, struct elements_writer *writer) {
    struct key key = store_key(&stores[i], 0, SLICE("key"));
    require(elements_open(&stores[i], &key, type, writer) == STORE_OK);
}

static void close_at(unsigned i, struct elements_writer *writer) {
    elements_close(writer);
    store_end_unit(&stores[i]);
    store_check(&stores[i]);
}

static void compare(void) {
    uint8_t digests[STORES][20];
    for (unsigned i = 0; i < STORES; i++) {
        store_digest(&stores[i], digests[i]);
    }
    assert_memory_equal(digests[0], digests[1], 20);
    if (stores[0].journal.is_on) { /* else what nobody hears of takes one tick */
        assert_int_equal(stores[0].clock.ticks, stores[1].clock.ticks);
    }
    assert_int_equal(stores[0].stats.dirty, stores[1].stats.dirty);
    assert_int_equal(stores[0].journal.bytes.size, stores[1].journal.bytes.size);
    if (stores[0].journal.bytes.size > 0) {
        assert_memory_equal(stores[0].journal.bytes.data, stores[1].journal.bytes.data,
                            stores[0].journal.bytes.size);
    }
    for (unsigned i = 0; i < STORES; i++) {
        change_writer_clear(&stores[i].journal);
    }
}

static struct slice random_value(uint64_t *seed, bool may_be_long) {
    struct prng own;
    prng_init(&own, *seed);
    *seed = prng_next(&own);
    size_t size = prng_below(&own, 60) == 0 && may_be_long ? VALUE_BYTES : 30;
    return slice_make(values, prng_below(&own, size));
}

static uint64_t count_at(unsigned i) {
    struct elements_writer writer;
    open_at(i, VALUE_LIST, &writer);
    uint64_t count = list_count(&writer);
    elements_close(&writer);
    return count;
}

static void push_some(uint64_t count, bool may_be_long) {
    uint64_t seed = prng_next(&prng);
    enum list_end to = prng_below(&prng, 5) == 0 ? LIST_LEFT : LIST_RIGHT;
    uint64_t bytes = prng_below(&prng, 2) * count * 10;
    struct elements_writer writer;
    open_at(0, VALUE_LIST, &writer);
    uint64_t values_seed = seed;
    for (uint64_t n = 0; n < count; n++) {
        require(list_push(&writer, to, random_value(&values_seed, may_be_long)) == STORE_OK);
    }
    close_at(0, &writer);
    struct list_pusher pusher;
    open_at(1, VALUE_LIST, &writer);
    list_push_begin(&pusher, &writer, to, bytes);
    for (uint64_t n = 0; n < count; n++) {
        require(list_push_next(&pusher, random_value(&seed, may_be_long)) == STORE_OK);
    }
    list_push_end(&pusher);
    close_at(1, &writer);
}

/* In the middle, so that names do not follow each other everywhere. */
static void insert_some(void) {
    uint64_t count = count_at(0);
    for (unsigned times = 0; times < 5 && count > 0; times++) {
        uint64_t index = prng_below(&prng, count);
        for (unsigned i = 0; i < STORES; i++) {
            struct elements_writer writer;
            open_at(i, VALUE_LIST, &writer);
            require(list_insert(&writer, index, SLICE("inserted")) == STORE_OK);
            close_at(i, &writer);
        }
        count++;
    }
}

static void remove_some(void) {
    uint64_t count = count_at(0);
    if (count == 0) {
        return;
    }
    uint64_t index = prng_below(&prng, 3) * (count / 3), removed = 1 + prng_below(&prng, count);
    removed = removed < count - index ? removed : count - index;
    struct elements_writer writer;
    open_at(0, VALUE_LIST, &writer);
    for (uint64_t n = 0; n < removed; n++) {
        list_remove(&writer, index, 1);
    }
    close_at(0, &writer);
    open_at(1, VALUE_LIST, &writer);
    list_remove(&writer, index, removed);
    close_at(1, &writer);
}

static void random_lists(void **state) {
    (void)state;
    for (unsigned part = 0; part < 60; part++) {
        seed_prng(&prng, "random_lists", part);
        begin(part % 2 == 0, part % 3 > 0);
        for (unsigned step = 0; step < 12; step++) {
            push_some(prng_below(&prng, 3) * prng_below(&prng, 500), part % 4 > 1);
            compare();
            insert_some();
            compare();
            remove_some();
            compare();
        }
        end();
    }
}

/* The indexes of its run become longer on the way. */
static void a_long_list(void **state) {
    (void)state;
    seed_prng(&prng, "a_long_list", 0);
    begin(true, true);
    for (unsigned times = 0; times < 4; times++) {
        push_some(5000, false);
        compare();
    }
    remove_some();
    compare();
    end();
}

static void note_removed(void *udata, struct slice name, double score) {
    struct buffer *removed = udata;
    buffer_append_slice(removed, name);
    buffer_append(removed, &score, sizeof(score));
}

/* Ranges leave a large sorted set as its members do one by one, from both ends. */
static void ranges_of_sorted_sets(void **state) {
    (void)state;
    enum { MEMBERS = 500 };
    for (unsigned part = 0; part < 40; part++) {
        seed_prng(&prng, "ranges_of_sorted_sets", part);
        begin(part % 2 == 0, part % 3 > 0);
        for (unsigned i = 0; i < STORES; i++) {
            struct elements_writer writer;
            open_at(i, VALUE_SORTED_SET, &writer);
            for (unsigned n = 0; n < MEMBERS; n++) {
                char name[16];
                bool is_new;
                size_t size = (size_t)snprintf(name, sizeof(name), "member %u", n);
                require(element_set_score(&writer, slice_make(name, size), n * 37 % 100, &is_new) ==
                        STORE_OK);
            }
            close_at(i, &writer);
        }
        compare();
        for (uint64_t left = MEMBERS; left > 0;) {
            struct rank_range range = {.from = prng_below(&prng, left)};
            range.to = range.from + 1 + prng_below(&prng, left - range.from);
            bool is_backward = prng_below(&prng, 2) == 0;
            uint64_t count = range.to - range.from;
            struct buffer removed[STORES] = {{0}};
            struct elements_writer writer;
            open_at(0, VALUE_SORTED_SET, &writer);
            for (uint64_t n = 0; n < count; n++) {
                uint64_t rank = is_backward ? range.to - 1 - n : range.from;
                require(sorted_set_remove(&writer, (struct rank_range){rank, rank + 1}, false,
                                          note_removed, &removed[0]) == 1);
            }
            close_at(0, &writer);
            open_at(1, VALUE_SORTED_SET, &writer);
            require(sorted_set_remove(&writer, range, is_backward, note_removed, &removed[1]) ==
                    count);
            close_at(1, &writer);
            assert_int_equal(removed[0].size, removed[1].size);
            assert_memory_equal(removed[0].data, removed[1].data, removed[0].size);
            compare();
            left -= count;
            for (unsigned i = 0; i < STORES; i++) {
                buffer_deinit(&removed[i]);
            }
        }
        end();
    }
}

/* One node cuts a list while another one pushes to it and sets what goes: what was set stays, as
 * does what was pushed, and all nodes agree. */
static void cut_and_pushed_elsewhere(void **state) {
    (void)state;
    enum { COUNT = 120, FROM = 10, CUT = 100 };
    world_init(&world);
    struct store *first = &world.nodes[0].store, *second = &world.nodes[1].store;
    struct key here = store_key(first, 0, SLICE("a")), there = store_key(second, 0, SLICE("a"));
    struct elements_writer writer;
    struct list_pusher pusher;
    require(elements_open(first, &here, VALUE_LIST, &writer) == STORE_OK);
    list_push_begin(&pusher, &writer, LIST_RIGHT, 20 * COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        require(list_push_next(&pusher, slice_make(values, 20)) == STORE_OK);
    }
    list_push_end(&pusher);
    elements_close(&writer);
    world_end(&world, 0);
    world_deliver_all(&world);
    require(elements_open(second, &there, VALUE_LIST, &writer) == STORE_OK);
    require(list_set(&writer, FROM + 50, SLICE("set")) == STORE_OK);
    list_push_begin(&pusher, &writer, LIST_RIGHT, 0);
    for (unsigned i = 0; i < 30; i++) {
        require(list_push_next(&pusher, SLICE("pushed")) == STORE_OK);
    }
    list_push_end(&pusher);
    elements_close(&writer);
    world_end(&world, 1);
    require(elements_open(first, &here, VALUE_LIST, &writer) == STORE_OK);
    list_remove(&writer, FROM, CUT);
    elements_close(&writer);
    world_end(&world, 0);
    world_deliver_all(&world);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        struct store *store = &world.nodes[node].store;
        struct key key = store_key(store, 0, SLICE("a"));
        struct elements elements;
        struct list_cursor cursor;
        store_check(store);
        assert_true(world_same_digest(&world, 0, node));
        assert_int_equal(elements_read(store, &key, VALUE_LIST, &elements), STORE_OK);
        assert_int_equal(elements.count, COUNT - CUT + 1 + 30);
        assert_true(list_seek(store, &elements, FROM, &cursor));
        assert_true(slice_equal(cursor.element.value, SLICE("set")));
    }
    world_deinit(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lists),
        cmocka_unit_test(a_long_list),
        cmocka_unit_test(ranges_of_sorted_sets),
        cmocka_unit_test(cut_and_pushed_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
