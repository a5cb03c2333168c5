/* SPDX-License-Identifier: BSD-3-Clause */
/* Copying collections: what is there is there under the other name, in the place of whatever was,
 * and both go their own ways; whether all of it is copied as it lies or element by element, what is
 * recorded makes the same again, and a snapshot that runs has what there was. */
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

enum { MANY = 1500, FEW = 6, TYPES_COUNT = 5 };

static const enum value_type TYPES[TYPES_COUNT] = {VALUE_HASH, VALUE_SET, VALUE_SORTED_SET,
                                                   VALUE_LIST, VALUE_STREAM};

static void begin(struct store *store, bool is_recorded) {
    struct replica_id id = {.node = {1}, .generation = 1};
    struct store_opts opts = {.dbs_count = 2, .seed = 3};
    store_init(store, &opts);
    assert_true(store_begin_replica(store, &id));
    store_set_now(store, INT64_C(1800000000000));
    store->journal.is_on = is_recorded;
}

static void digest_of(struct store *store, const struct key *key, uint8_t digest[20]) {
    assert_non_null(store_peek(store, key));
    store_value_digest(store, store_peek(store, key), digest);
}

static void assert_is(struct store *store, const struct key *key, const uint8_t expected[20]) {
    uint8_t digest[20];
    digest_of(store, key, digest);
    assert_memory_equal(digest, expected, 20);
    store_check(store);
}

/* Another store that does what was recorded is like this one. */
static void assert_replays(const struct store *store) {
    struct store other;
    struct change_reader reader;
    struct change change;
    uint8_t digests[2][20];
    begin(&other, false);
    assert_true(
        change_reader_init(&reader, buffer_slice(&store->journal.bytes), store->replicas.self));
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        assert_int_equal(store_apply(&other, &change), STORE_OK);
    }
    store_check(&other);
    store_digest(store, digests[0]);
    store_digest(&other, digests[1]);
    assert_memory_equal(digests[0], digests[1], 20);
    store_deinit(&other);
}

/* To a name that is free, then to ones that are taken, one of them in another database. */
static void copy_alone(enum value_type type, unsigned count, bool is_recorded) {
    struct store store;
    uint8_t before[20], copied[20];
    begin(&store, is_recorded);
    struct key a = store_key(&store, 0, SLICE("a")), b = store_key(&store, 0, SLICE("b"));
    struct key c = store_key(&store, 1, SLICE("c"));
    uint64_t expire_unix_ms = (uint64_t)store.now_ms + 100000;
    add_numbered(&store, &a, type, 0, count);
    assert_true(store_expire(&store, &a, expire_unix_ms));
    digest_of(&store, &a, before);
    uint64_t dirty = store.stats.dirty;
    assert_int_equal(store_copy(&store, &a, &b), STORE_OK);
    assert_true(store.stats.dirty >= dirty + count);
    store_end_unit(&store);
    assert_is(&store, &a, before);
    assert_is(&store, &b, before);
    assert_int_equal(entry_expire_unix_ms(store_peek(&store, &b)), expire_unix_ms);
    assert_true(store_peek(&store, &b)->stamp > store_peek(&store, &a)->stamp);
    /* Each by itself, from here on. */
    add_numbered(&store, &b, type, count, 3);
    assert_is(&store, &a, before);
    digest_of(&store, &b, copied);
    assert_true(store_delete(&store, &a));
    store_end_unit(&store);
    assert_is(&store, &b, copied);
    add_numbered(&store, &a, type, 0, 2);
    digest_of(&store, &a, before);
    assert_int_equal(strings_set(&store, &c, SLICE("other"), 0), STORE_OK);
    assert_int_equal(store_copy(&store, &b, &c), STORE_OK);
    assert_is(&store, &c, copied);
    assert_int_equal(store_copy(&store, &a, &b), STORE_OK);
    assert_is(&store, &b, before);
    assert_is(&store, &c, copied);
    store_end_unit(&store);
    if (is_recorded) {
        assert_replays(&store);
    }
    store_deinit(&store);
}

static void alone(void **state) {
    (void)state;
    for (unsigned i = 0; i < TYPES_COUNT; i++) {
        for (unsigned is_recorded = 0; is_recorded < 2; is_recorded++) {
            copy_alone(TYPES[i], FEW, is_recorded != 0);
            copy_alone(TYPES[i], MANY, is_recorded != 0);
        }
    }
}

/* What was copied as it lies is told by later changes as anything else is: a node that has a log
 * from then on, or a snapshot that begins then. */
static void what_comes_after(void **state) {
    (void)state;
    for (unsigned i = 0; i < TYPES_COUNT; i++) {
        struct store store;
        static struct running_snapshot snapshot;
        snapshot = (struct running_snapshot){.is_running = true};
        begin(&store, false);
        struct key a = store_key(&store, 0, SLICE("a")), b = store_key(&store, 0, SLICE("b"));
        struct key c = store_key(&store, 0, SLICE("c"));
        add_numbered(&store, &a, TYPES[i], 0, MANY);
        assert_int_equal(store_copy(&store, &a, &b), STORE_OK);
        store_end_unit(&store);
        store.journal.is_on = true;
        store.elements_a_step = 50;
        store_digest(&store, snapshot.digest);
        snapshot.sum = running_snapshot_check_state(&store);
        snapshot_walk_begin(&snapshot.walk, &store, running_snapshot_emit, &snapshot);
        snapshot_walk_take_pieces(&snapshot.walk, running_snapshot_piece);
        (void)snapshot_walk_step(&snapshot.walk, 100);
        /* Now it goes element by element. */
        assert_int_equal(store_copy(&store, &b, &c), STORE_OK);
        store_end_unit(&store);
        add_numbered(&store, &b, TYPES[i], MANY, 5);
        assert_int_equal(store_copy(&store, &b, &a), STORE_OK);
        store_end_unit(&store);
        while (!snapshot_walk_step(&snapshot.walk, 100)) {
        }
        running_snapshot_end(&snapshot, &store);
        store_check(&store);
        store_deinit(&store);
    }
}

/* ---- positions ---- */

enum { LISTS = 3, POSITIONS_MAX = 4096 };

/* The positions that a list has had since others may have seen it. */
struct positions {
    struct list_position names[POSITIONS_MAX];
    unsigned count;
};

static struct positions had[LISTS];

static void note_position(unsigned list, struct slice name, bool is_new) {
    struct positions *positions = &had[list];
    for (unsigned i = 0; i < positions->count; i++) {
        if (slice_equal(list_position_slice(&positions->names[i]), name)) {
            assert_false(is_new);
            return;
        }
    }
    assert_true(positions->count < POSITIONS_MAX);
    struct list_position *noted = &positions->names[positions->count++];
    noted->size = name.size;
    memcpy(noted->bytes, name.data, name.size);
}

static void drop_value(void *udata, struct slice value) {
    (void)udata;
    (void)value;
}

/* Pushes to the right, or pops from there, as long as two are left. */
static void change_list(struct store *store, const struct key *key, unsigned list,
                        struct prng *prng, bool is_seen) {
    struct elements_writer writer;
    bool pushes = prng_below(prng, 2) == 0;
    assert_int_equal(elements_open(store, key, VALUE_LIST, &writer), STORE_OK);
    for (uint64_t n = prng_below(prng, 8); n > 0; n--) {
        if (pushes) {
            assert_int_equal(list_push(&writer, LIST_RIGHT, SLICE("v")), STORE_OK);
            struct elements elements;
            struct list_cursor cursor;
            elements_written(&writer, &elements);
            assert_true(list_seek(store, &elements, elements.count - 1, &cursor));
            if (is_seen) {
                note_position(list, cursor.element.name, true);
            }
        } else if (list_count(&writer) > 2) {
            list_pop(&writer, LIST_RIGHT, drop_value, NULL);
        }
    }
    elements_close(&writer);
    store_end_unit(store);
    store_check(store);
}

/* Lists that are copies of one another go on in the same runs. Once others may see them, none of
 * them ever has a position again that it had. */
static void positions_are_used_once(void **state) {
    (void)state;
    for (unsigned part = 0; part < 300; part++) {
        struct store store;
        struct prng prng;
        struct key keys[LISTS];
        seed_prng(&prng, "positions_are_used_once", part);
        begin(&store, false);
        for (unsigned i = 0; i < LISTS; i++) {
            static const char *const NAMES[LISTS] = {"a", "b", "c"};
            keys[i] = store_key(&store, 0, slice_of(NAMES[i]));
            add_numbered(&store, &keys[i], VALUE_LIST, 0, 3);
            had[i].count = 0;
        }
        for (unsigned step = 0; step < 8; step++) {
            unsigned from = (unsigned)prng_below(&prng, LISTS);
            unsigned to = (from + 1 + (unsigned)prng_below(&prng, LISTS - 1)) % LISTS;
            assert_int_equal(store_copy(&store, &keys[from], &keys[to]), STORE_OK);
            store_end_unit(&store);
            unsigned list = (unsigned)prng_below(&prng, LISTS);
            change_list(&store, &keys[list], list, &prng, false);
        }
        store.is_alone = false;
        store.journal.is_on = true;
        for (unsigned i = 0; i < LISTS; i++) {
            struct elements elements;
            struct list_cursor cursor;
            elements_of(store_peek(&store, &keys[i]), &elements);
            for (bool is_there = list_seek(&store, &elements, 0, &cursor); is_there;
                 is_there = list_step(&cursor, LIST_RIGHT)) {
                note_position(i, cursor.element.name, false);
            }
        }
        for (unsigned step = 0; step < 60; step++) {
            unsigned list = (unsigned)prng_below(&prng, LISTS);
            if (prng_below(&prng, 20) == 0 && store.list_positions != NULL) {
                memory_free(store.list_positions); /* as after a start */
                store.list_positions = NULL;
            }
            change_list(&store, &keys[list], list, &prng, true);
        }
        store_deinit(&store);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone),
        cmocka_unit_test(what_comes_after),
        cmocka_unit_test(positions_are_used_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
