/* SPDX-License-Identifier: BSD-3-Clause */
/* Eviction: each policy takes only what it may, and mostly what it should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/mutate.h"
#include "store/strings.h"
#include "unit/seed.h"

enum { DBS = 3, KEYS = 1000 };
#define START_MS INT64_C(1800000000000)

static void setup_store(struct store *store, bool uses_lfu) {
    struct store_opts opts = {.dbs_count = DBS, .seed = 99};
    store_init(store, &opts);
    store->uses_lfu = uses_lfu;
    store->journal.is_on = true;
    store_set_now(store, START_MS);
}

/* Key `i` of its database; valid until the next call. */
static struct key numbered(const struct store *store, unsigned i) {
    static char text[16];
    int size = snprintf(text, sizeof(text), "key:%u", i);
    return store_key(store, i % DBS, slice_make(text, (size_t)size));
}

static void fill(struct store *store, unsigned volatile_each) {
    for (unsigned i = 0; i < KEYS; i++) {
        struct key key = numbered(store, i);
        bool is_volatile = volatile_each > 0 && i % volatile_each == 0;
        /* The higher the number, the later it expires. */
        uint64_t expire = is_volatile ? (uint64_t)START_MS + 1000000 + i : 0;
        assert_int_equal(strings_set(store, &key, SLICE("value"), expire), STORE_OK);
        store_end_unit(store);
    }
}

static uint64_t count_all(const struct store *store) {
    uint64_t count = 0;
    for (unsigned db = 0; db < DBS; db++) {
        count += store_count(store, db);
    }
    return count;
}

static void none_takes_nothing(void **state) {
    (void)state;
    struct store store;
    struct eviction_pool pool = {0};
    setup_store(&store, false);
    fill(&store, 2);
    assert_false(store_evict(&store, &pool, EVICTION_NONE, 5));
    assert_int_equal(count_all(&store), KEYS);
    store_deinit(&store);
}

/* Volatile policies stop at the last key with an expiry, the others at the last key. */
static void policies_take_what_they_may(void **state) {
    (void)state;
    for (int policy = EVICTION_ALL_LRU; policy <= EVICTION_VOLATILE_TTL; policy++) {
        bool only_volatile = policy >= EVICTION_VOLATILE_LRU;
        struct store store;
        struct eviction_pool pool = {0};
        setup_store(&store, policy == EVICTION_ALL_LFU || policy == EVICTION_VOLATILE_LFU);
        fill(&store, 10);
        uint64_t left = KEYS;
        while (store_evict(&store, &pool, (enum eviction_policy)policy, 5)) {
            left--;
            assert_int_equal(count_all(&store), left);
            assert_false(store.journal.is_unit_open);
        }
        assert_int_equal(left, only_volatile ? KEYS - KEYS / 10 : 0);
        assert_int_equal(store.stats.evicted, KEYS - left);
        for (unsigned i = 0; i < KEYS; i++) {
            struct key key = numbered(&store, i);
            assert_int_equal(mutate_slot(&store, &key) != NULL, only_volatile && i % 10 != 0);
        }
        store_check(&store);
        store_deinit(&store);
    }
}

/* Evicts half; returns the share of those gone that were in the worse half by `is_worse`. */
static double share_of_worse(struct store *store, enum eviction_policy policy,
                             bool (*is_worse)(unsigned i)) {
    struct eviction_pool pool = {0};
    unsigned worse = 0, gone = 0;
    for (unsigned i = 0; i < KEYS / 2; i++) {
        assert_true(store_evict(store, &pool, policy, 5));
    }
    for (unsigned i = 0; i < KEYS; i++) {
        struct key key = numbered(store, i);
        if (mutate_slot(store, &key) == NULL) {
            gone++;
            worse += is_worse(i);
        }
    }
    assert_int_equal(gone, KEYS / 2);
    return (double)worse / gone;
}

static bool is_low(unsigned i) {
    return i < KEYS / 2;
}

static bool is_odd(unsigned i) {
    return i % 2 == 1;
}

static void lru_takes_the_idle(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, false);
    fill(&store, 0);
    store_set_now(&store, START_MS + 100000);
    for (unsigned i = 0; i < KEYS; i += 2) {
        struct key key = numbered(&store, i);
        assert_non_null(store_read(&store, &key));
    }
    /* Peeking is no use. */
    for (unsigned i = 1; i < KEYS; i += 2) {
        struct key key = numbered(&store, i);
        assert_non_null(store_peek(&store, &key));
    }
    double share = share_of_worse(&store, EVICTION_ALL_LRU, is_odd);
    printf("LRU: %.3f\n", share);
    assert_true(share > 0.95);
    store_deinit(&store);
}

static void lfu_takes_the_seldom_used(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, true);
    fill(&store, 0);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < KEYS; i += 2) {
            struct key key = numbered(&store, i);
            assert_non_null(store_read(&store, &key));
        }
    }
    struct key often = numbered(&store, 0);
    assert_true(store_frequency(&store, store_peek(&store, &often)) > 8);
    struct key seldom = numbered(&store, 1);
    assert_int_equal(store_frequency(&store, store_peek(&store, &seldom)), 5);
    double share = share_of_worse(&store, EVICTION_ALL_LFU, is_odd);
    printf("LFU: %.3f\n", share);
    assert_true(share > 0.95);
    store_deinit(&store);
}

static void ttl_takes_the_soonest(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, false);
    fill(&store, 1);
    double share = share_of_worse(&store, EVICTION_VOLATILE_TTL, is_low);
    printf("TTL: %.3f\n", share);
    assert_true(share > 0.85);
    store_deinit(&store);
}

static void random_takes_any(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, false);
    fill(&store, 0);
    double share = share_of_worse(&store, EVICTION_ALL_RANDOM, is_low);
    printf("random: %.3f\n", share);
    assert_true(share > 0.35 && share < 0.65);
    store_deinit(&store);
}

static void frequency_decays(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, true);
    struct key key = numbered(&store, 0);
    assert_int_equal(strings_set(&store, &key, SLICE("v"), 0), STORE_OK);
    struct entry *entry = store_peek(&store, &key);
    store_set_frequency(&store, entry, 200);
    assert_int_equal(store_frequency(&store, entry), 200);
    store_set_now(&store, START_MS + 10 * 60000);
    assert_int_equal(store_frequency(&store, entry), 190);
    store.lfu_decay_minutes = 5;
    assert_int_equal(store_frequency(&store, entry), 198);
    store.lfu_decay_minutes = 0;
    assert_int_equal(store_frequency(&store, entry), 200);
    store.lfu_decay_minutes = 1;
    store_set_now(&store, START_MS + 1000 * 60000);
    assert_int_equal(store_frequency(&store, entry), 0);
    store_set_frequency(&store, entry, 255);
    assert_non_null(store_read(&store, &key));
    assert_int_equal(store_frequency(&store, entry), 255);
    store_deinit(&store);
}

static void idle_time_counts_seconds(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, false);
    struct key key = numbered(&store, 0);
    assert_int_equal(strings_set(&store, &key, SLICE("v"), 0), STORE_OK);
    struct entry *entry = store_peek(&store, &key);
    assert_int_equal(store_idle_seconds(&store, entry), 0);
    store_set_now(&store, START_MS + 7000);
    assert_int_equal(store_idle_seconds(&store, entry), 7);
    store.no_touch = true;
    assert_non_null(store_read(&store, &key));
    assert_int_equal(store_idle_seconds(&store, entry), 7);
    store.no_touch = false;
    assert_non_null(store_read(&store, &key));
    assert_int_equal(store_idle_seconds(&store, entry), 0);
    store_set_idle_seconds(&store, entry, 12345);
    assert_int_equal(store_idle_seconds(&store, entry), 12345);
    store_deinit(&store);
}

/* Expired keys that may not be removed now still take memory. Each call that says it evicted has
 * made a key go: or else its caller would go on for ever. */
static void eviction_gets_on_while_expiry_is_paused(void **state) {
    (void)state;
    for (int policy = EVICTION_ALL_LRU; policy <= EVICTION_VOLATILE_TTL; policy++) {
        struct store store;
        struct eviction_pool pool = {0};
        setup_store(&store, false);
        fill(&store, 1);
        store_set_now(&store, START_MS + 10000000);
        store.expiry_is_paused = true;
        for (unsigned left = KEYS; left > 0; left--) {
            assert_int_equal(count_all(&store), left);
            assert_true(store_evict(&store, &pool, (enum eviction_policy)policy, 5));
        }
        assert_false(store_evict(&store, &pool, (enum eviction_policy)policy, 5));
        store_deinit(&store);
    }
}

/* The pool remembers by hash: its candidates may go, and databases may change places. */
static void candidates_may_vanish(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "candidates_may_vanish", 0);
    struct store store;
    struct eviction_pool pool = {0};
    setup_store(&store, false);
    fill(&store, 3);
    while (count_all(&store) > 0) {
        struct key key = numbered(&store, (unsigned)prng_below(&prng, KEYS));
        (void)store_delete(&store, &key);
        if (prng_below(&prng, 10) == 0) {
            store_swap(&store, (unsigned)prng_below(&prng, DBS), (unsigned)prng_below(&prng, DBS));
        }
        enum eviction_policy policy = (enum eviction_policy)(1 + prng_below(&prng, 7));
        uint64_t before = count_all(&store);
        bool is_evicted = store_evict(&store, &pool, policy, 5);
        assert_int_equal(count_all(&store), before - is_evicted);
        store_end_unit(&store);
    }
    store_deinit(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_takes_nothing),
        cmocka_unit_test(policies_take_what_they_may),
        cmocka_unit_test(lru_takes_the_idle),
        cmocka_unit_test(lfu_takes_the_seldom_used),
        cmocka_unit_test(ttl_takes_the_soonest),
        cmocka_unit_test(random_takes_any),
        cmocka_unit_test(frequency_decays),
        cmocka_unit_test(idle_time_counts_seconds),
        cmocka_unit_test(eviction_gets_on_while_expiry_is_paused),
        cmocka_unit_test(candidates_may_vanish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
