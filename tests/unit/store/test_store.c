/* SPDX-License-Identifier: BSD-3-Clause */
/* The store as a whole: random histories of all mutators against a naive model, each replayed from
 * its journal into a second store, which must come to hold the same; then single cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/store/history.h"

/* ---- random histories ---- */

struct follower {
    struct store store;
    struct store *source;
    unsigned slot;
    unsigned batches_count;
};

static void replica_init(struct follower *replica, struct store *source, unsigned slot) {
    struct store_opts opts = {.dbs_count = source->dbs_count, .seed = 77 + slot};
    *replica = (struct follower){.source = source, .slot = slot};
    store_init(&replica->store, &opts);
}

static void replica_hand_on(void *udata) {
    struct follower *replica = (struct follower *)udata;
    history_replay(&replica->store, buffer_slice(&replica->source->journal.bytes), replica->slot);
    change_writer_clear(&replica->source->journal);
    replica->batches_count++;
}

static void histories_replay_to_the_same(void **state) {
    (void)state;
    for (unsigned part = 0; part < 4; part++) {
        struct prng prng;
        seed_prng(&prng, "histories_replay_to_the_same", part);
        struct history history;
        history_init(&history, prng_next(&prng));
        struct follower replica;
        /* As after a restart, and as a peer would. */
        replica_init(&replica, &history.store, part % 2 == 0 ? STAMP_SLOT_SELF : 2);
        history.store.udata = &replica;
        history.store.journal_full = replica_hand_on;
        for (unsigned step = 0; step < 2500; step++) {
            history_step(&history);
            if (prng_below(&prng, 40) == 0) {
                replica_hand_on(&replica);
                assert_true(history_digests_equal(&history.store, &replica.store));
            }
            if (prng_below(&prng, 200) == 0) {
                history_compare(&history);
                store_check(&history.store);
                store_check(&replica.store);
            }
        }
        history_compare(&history);
        replica_hand_on(&replica);
        assert_true(history_digests_equal(&history.store, &replica.store));
        store_check(&history.store);
        store_check(&replica.store);
        store_deinit(&replica.store);
        history_deinit(&history);
    }
}

/* ---- single cases ---- */

struct observer {
    unsigned touches, all_touches;
    unsigned freed;
};

static void observe_touch(void *udata, const struct key *key, enum store_touch touch) {
    struct observer *observer = (struct observer *)udata;
    bool all = touch != STORE_TOUCH_KEY;
    assert_true(all == (key->name.size == 0));
    observer->touches += !all;
    observer->all_touches += all;
}

static void observe_free(void *udata, void (*free_fn)(void *object), void *object) {
    struct observer *observer = (struct observer *)udata;
    free_fn(object);
    observer->freed++;
}

/* Each mutator tells who watches, and counts as dirty; reads and failures do not. */
static void watchers_are_told(void **state) {
    (void)state;
    struct observer observer = {0};
    struct store_opts opts = {.dbs_count = 2, .seed = 1};
    struct store store;
    store_init(&store, &opts);
    store_set_now(&store, INT64_C(1800000000000));
    struct key key = store_key(&store, 0, SLICE("k")), to = store_key(&store, 1, SLICE("to"));
    int64_t result;
    long double sum;
    store.touch = observe_touch;
    store.udata = &observer;
    assert_int_equal(strings_set(&store, &key, SLICE("1"), 0), STORE_OK);
    assert_int_equal(observer.touches, 0);
    store.watchers_count = 1;
    assert_int_equal(strings_set(&store, &key, SLICE("2"), 0), STORE_OK);
    assert_int_equal(observer.touches, 1);
    assert_int_equal(strings_add_integer(&store, &key, 1, &result), STORE_OK);
    assert_int_equal(observer.touches, 2);
    assert_int_equal(strings_add_float(&store, &key, 0.5L, &sum), STORE_OK);
    assert_int_equal(observer.touches, 3);
    assert_int_equal(strings_patch(&store, &key, 0, SLICE("x"), NULL), STORE_OK);
    assert_int_equal(observer.touches, 4);
    assert_int_equal(store_copy(&store, &key, &to), STORE_OK);
    assert_int_equal(observer.touches, 5);
    assert_int_equal(store_rename(&store, &key, &to), STORE_OK);
    assert_int_equal(observer.touches, 7);
    assert_true(store_expire(&store, &to, (uint64_t)store.now_ms + 5));
    assert_int_equal(observer.touches, 8);
    uint64_t dirty = store.stats.dirty;
    assert_int_equal(strings_add_integer(&store, &to, 1, &result), STORE_NOT_INTEGER);
    assert_non_null(store_read(&store, &to));
    assert_null(store_read(&store, &key));
    assert_false(store_delete(&store, &key));
    assert_false(store_expire(&store, &key, 0));
    assert_int_equal(store_rename(&store, &key, &to), STORE_ABSENT);
    assert_int_equal(store_flush(&store, 0), 0);
    assert_int_equal(observer.touches, 8);
    assert_int_equal(store.stats.dirty, dirty);
    store_set_now(&store, store.now_ms + 5);
    assert_null(store_read(&store, &to));
    assert_int_equal(observer.touches, 9);
    assert_int_equal(observer.all_touches, 0);
    store_swap(&store, 0, 1);
    assert_true(observer.all_touches > 0);
    store_deinit(&store);
}

/* What is big is freed by somebody else, in one go; the rest at once. */
static void big_things_are_freed_later(void **state) {
    (void)state;
    struct observer observer = {0};
    struct store_opts opts = {.dbs_count = 1, .seed = 1};
    struct store store;
    static char bytes[9 << 20];
    store_init(&store, &opts);
    store.free_later = observe_free;
    store.udata = &observer;
    struct key big = store_key(&store, 0, SLICE("big")), small = store_key(&store, 0, SLICE("s"));
    assert_int_equal(strings_set(&store, &big, slice_make(bytes, sizeof(bytes)), 0), STORE_OK);
    assert_int_equal(strings_set(&store, &small, slice_make(bytes, 100000), 0), STORE_OK);
    assert_true(store_delete(&store, &small));
    assert_int_equal(observer.freed, 0);
    assert_int_equal(strings_set(&store, &big, SLICE("1"), 0), STORE_OK);
    assert_int_equal(observer.freed, 1);
    assert_int_equal(store_flush_all(&store), 1);
    assert_int_equal(observer.freed, 2);
    assert_int_equal(store_flush_all(&store), 0);
    assert_int_equal(observer.freed, 2);
    store_check(&store);
    store_deinit(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_replay_to_the_same),
        cmocka_unit_test(watchers_are_told),
        cmocka_unit_test(big_things_are_freed_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
