/* SPDX-License-Identifier: BSD-3-Clause */
/* Active expiry: what is stale goes within a bounded number of steps, in every database, and
 * nothing else goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/elements.h"
#include "store/mutate.h"
#include "store/strings.h"
#include "unit/seed.h"

#define START_MS INT64_C(1800000000000)

static void setup_store(struct store *store, unsigned dbs_count) {
    struct store_opts opts = {.dbs_count = dbs_count, .seed = 7};
    store_init(store, &opts);
    store->journal.is_on = true;
    store_set_now(store, START_MS);
}

static void put(struct store *store, unsigned db, unsigned number, uint64_t expire_unix_ms) {
    char text[16];
    int size = snprintf(text, sizeof(text), "%u", number);
    struct key key = store_key(store, db, slice_make(text, (size_t)size));
    assert_int_equal(strings_set(store, &key, SLICE("value"), expire_unix_ms), STORE_OK);
    store_end_unit(store);
}

/* Goes on until `passes` passes are done; the number of calls that took. */
static unsigned run_passes(struct store *store, unsigned passes, unsigned buckets_max,
                           unsigned calls_max) {
    unsigned calls = 0;
    while (passes > 0) {
        uint64_t seen, before = store->stats.expire_passes;
        bool is_done;
        assert_true(calls++ < calls_max);
        (void)store_expire_some(store, buckets_max, &seen, &is_done);
        assert_int_equal(store->stats.expire_passes, before + is_done);
        passes -= is_done;
    }
    return calls;
}

static uint64_t count_all(const struct store *store) {
    uint64_t count = 0;
    for (unsigned db = 0; db < store->dbs_count; db++) {
        count += store_count(store, db);
    }
    return count;
}

static void stale_keys_go(void **state) {
    (void)state;
    static const unsigned dbs_counts[] = {1, 2, 16}, steps[] = {1, 3, 4, 100, 100000};
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned j = 0; j < 5; j++) {
            struct store store;
            setup_store(&store, dbs_counts[i]);
            for (unsigned number = 0; number < 6000; number++) {
                uint64_t expire = number % 3 == 0   ? 0
                                  : number % 3 == 1 ? (uint64_t)START_MS + 1 + number
                                                    : (uint64_t)START_MS + 100000 + number;
                put(&store, number % dbs_counts[i], number, expire);
            }
            change_writer_clear(&store.journal);
            store_set_now(&store, START_MS + 10000);
            /* Each call does something: at least a bucket, or a database, of 6000 keys. */
            /* A removal may pull a key into a bucket that the pass has left: it goes in a later
             * pass. */
            (void)run_passes(&store, 1, steps[j], 10000);
            assert_true(store.stats.expired > 1700);
            (void)run_passes(&store, 4, steps[j], 40000);
            assert_int_equal(count_all(&store), 4000);
            assert_int_equal(store.stats.expired, 2000);
            assert_int_equal(store.journal.units_count, 2000);
            store_check(&store);
            /* The rest is as it was. */
            (void)run_passes(&store, 2, steps[j], 10000);
            assert_int_equal(count_all(&store), 4000);
            assert_true(store.dbs[0].average_ttl_ms > 80000);
            assert_true(store.dbs[0].average_ttl_ms < 106000);
            store_deinit(&store);
        }
    }
}

/* All keys stale at once, and more coming while the walk goes on. */
static void stale_keys_go_while_others_come(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "stale_keys_go_while_others_come", 0);
    struct store store;
    setup_store(&store, 2);
    unsigned number = 0;
    uint64_t seen;
    bool is_done;
    for (unsigned round = 0; round < 3000; round++) {
        for (uint64_t i = prng_below(&prng, 10); i > 0; i--, number++) {
            put(&store, number % 2, number, (uint64_t)store.now_ms + 1 + prng_below(&prng, 1000));
        }
        change_writer_clear(&store.journal);
        store_set_now(&store, store.now_ms + 10);
        (void)store_expire_some(&store, 64, &seen, &is_done);
        /* About 450 keys are live at any time. */
        assert_true(count_all(&store) < 2000);
    }
    store_set_now(&store, store.now_ms + 2000);
    (void)run_passes(&store, 3, 64, 1000);
    assert_int_equal(count_all(&store), 0);
    assert_int_equal(store.stats.expired, number);
    store_check(&store);
    store_deinit(&store);
}

static void databases_without_expiries_cost_one_step(void **state) {
    (void)state;
    struct store store;
    uint64_t seen;
    bool is_done;
    setup_store(&store, 100);
    for (unsigned i = 0; i < 1000; i++) {
        put(&store, 0, i, 0);
    }
    assert_int_equal(store_expire_some(&store, 99, &seen, &is_done), 0);
    assert_false(is_done);
    assert_int_equal(store_expire_some(&store, 1, &seen, &is_done), 0);
    assert_true(is_done);
    assert_int_equal(seen, 0);
    store_deinit(&store);
}

static void a_call_without_budget_does_nothing(void **state) {
    (void)state;
    struct store store;
    uint64_t seen;
    bool is_done;
    setup_store(&store, 3);
    put(&store, 1, 1, (uint64_t)START_MS + 1);
    store_set_now(&store, START_MS + 1);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(store_expire_some(&store, 0, &seen, &is_done), 0);
        assert_false(is_done);
    }
    assert_int_equal(count_all(&store), 1);
    store_deinit(&store);
}

/* A key is there up to, not at, its time. */
static void the_moment_of_expiry(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, 1);
    put(&store, 0, 1, (uint64_t)START_MS + 5);
    struct key key = store_key(&store, 0, SLICE("1"));
    store_set_now(&store, START_MS + 4);
    assert_non_null(store_peek(&store, &key));
    store_set_now(&store, START_MS + 5);
    store.expiry_is_paused = true;
    assert_null(store_peek(&store, &key));
    assert_true(mutate_slot(&store, &key) != NULL);
    store.expiry_is_paused = false;
    assert_null(store_peek(&store, &key));
    assert_false(mutate_slot(&store, &key) != NULL);
    assert_int_equal(store.stats.expired, 1);
    store_deinit(&store);
}

static void a_time_that_has_passed_deletes(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, 1);
    put(&store, 0, 1, 0);
    struct key key = store_key(&store, 0, SLICE("1"));
    assert_true(store_expire(&store, &key, (uint64_t)START_MS));
    assert_false(mutate_slot(&store, &key) != NULL);
    assert_int_equal(store.stats.expired, 0);
    assert_false(store_expire(&store, &key, (uint64_t)START_MS + 1));
    store_deinit(&store);
}

/* Expiries at the end of time do not upset the averages. */
static void the_end_of_time(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, 1);
    for (unsigned i = 0; i < 2000; i++) {
        put(&store, 0, i, INT64_MAX - i);
    }
    (void)run_passes(&store, 5, 1000, 100);
    assert_int_equal(count_all(&store), 2000);
    assert_true(store.dbs[0].average_ttl_ms > 0);
    store_deinit(&store);
}

/* ---- other nodes' expiries ---- */

static uint64_t refused_stamp;
static bool refuse_one(void *udata, uint64_t stamp) {
    (void)udata;
    return stamp != refused_stamp;
}

/* Whoever wrote an expiry removes the key; others hide it, until they write to it themselves. */
static void others_expiries_only_hide(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, 1);
    store.may_expire = refuse_one;
    put(&store, 0, 1, START_MS + 10);
    put(&store, 0, 2, START_MS + 10);
    struct key ours = store_key(&store, 0, SLICE("1")), theirs = store_key(&store, 0, SLICE("2"));
    refused_stamp = entry_expire_stamp(store_peek(&store, &theirs));
    store_set_now(&store, START_MS + 10);
    change_writer_clear(&store.journal);
    assert_null(store_read(&store, &theirs));
    assert_null(store_peek(&store, &theirs));
    assert_int_equal(store.journal.bytes.size, 0);
    assert_int_equal(store_count(&store, 0), 2);
    (void)run_passes(&store, 3, 100, 10);
    assert_int_equal(store_count(&store, 0), 1);
    assert_int_equal(store.stats.expired, 1);
    assert_null(store_peek(&store, &ours));
    /* Nothing but an expired key is left: it is found, after some tries. */
    assert_non_null(store_random(&store, 0));
    put(&store, 0, 3, 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_true(slice_equal(entry_key(store_random(&store, 0)), SLICE("3")));
    }
    /* A write removes it first, recorded. */
    int64_t result;
    change_writer_clear(&store.journal);
    assert_int_equal(strings_add_integer(&store, &theirs, 5, &result), STORE_OK);
    assert_int_equal(result, 5);
    assert_true(entry_expire_unix_ms(store_peek(&store, &theirs)) == 0);
    store_end_unit(&store);
    struct change_reader reader;
    struct change change;
    assert_true(change_reader_init(&reader, buffer_slice(&store.journal.bytes), 1));
    assert_int_equal(change_reader_next(&reader, &change), CHANGE_OK);
    assert_int_equal(change.kind, CHANGE_DELETE);
    put(&store, 0, 4, START_MS + 20);
    struct key fourth = store_key(&store, 0, SLICE("4"));
    refused_stamp = entry_expire_stamp(store_peek(&store, &fourth));
    store_set_now(&store, START_MS + 20);
    change_writer_clear(&store.journal);
    assert_false(store_delete(&store, &fourth));
    assert_null(mutate_slot(&store, &fourth));
    assert_true(store.journal.bytes.size > 0);
    store_end_unit(&store);
    store_check(&store);
    store_deinit(&store);
}

/* ---- hidden entries ---- */

/* What has no value is there for merging only. */
/* What a node has seen says what its digest is, and not at what time it is asked: of nodes that are
 * asked one after the other, one would seem to differ. */
static void digests_do_not_look_at_the_clock(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, 1);
    put(&store, 0, 1, START_MS + 10);
    struct key key = store_key(&store, 0, SLICE("hash"));
    struct elements_writer writer;
    bool is_new;
    assert_int_equal(elements_open(&store, &key, VALUE_HASH, &writer), STORE_OK);
    assert_int_equal(element_set(&writer, SLICE("stays"), SLICE("1"), false, &is_new), STORE_OK);
    assert_int_equal(element_set(&writer, SLICE("goes"), SLICE("1"), false, &is_new), STORE_OK);
    assert_true(element_expire(&writer, SLICE("goes"), START_MS + 10));
    elements_close(&writer);
    uint8_t before[20], after[20], removed[20];
    store_digest(&store, before);
    store_set_now(&store, START_MS + 20);
    store_digest(&store, after);
    assert_memory_equal(before, after, sizeof(before));
    bool is_done = false;
    while (elements_expire_some(&store, &is_done) == 0) {
    }
    store_digest(&store, removed);
    assert_memory_not_equal(before, removed, sizeof(before));
    store_deinit(&store);
}

/* Who looks for expired fields finds that the whole key has expired: that is a unit, too. */
static void fields_of_an_expired_key_leave_no_unit_open(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, 1);
    struct key key = store_key(&store, 0, SLICE("hash"));
    struct elements_writer writer;
    bool is_new, is_done;
    assert_int_equal(elements_open(&store, &key, VALUE_HASH, &writer), STORE_OK);
    assert_int_equal(element_set(&writer, SLICE("field"), SLICE("1"), false, &is_new), STORE_OK);
    assert_true(element_expire(&writer, SLICE("field"), START_MS + 10));
    elements_close(&writer);
    assert_true(store_expire(&store, &key, START_MS + 10));
    store_end_unit(&store);
    store_set_now(&store, START_MS + 20);
    (void)elements_expire_some(&store, &is_done);
    assert_int_equal(store_count(&store, 0), 0);
    assert_false(store.journal.is_unit_open);
    store_deinit(&store);
}

static void hidden_entries_are_not_there(void **state) {
    (void)state;
    struct store store;
    setup_store(&store, 1);
    for (unsigned i = 0; i < 50; i++) {
        char text[16];
        struct contested *contested = contested_new();
        contested_add_expiry(contested, stamp_make(5, 1), START_MS + 10);
        struct entry_parts parts = {
            .kind = ENTRY_CONTESTED,
            .stamp = stamp_make(5, 1),
            .key = slice_make(text, (size_t)snprintf(text, sizeof(text), "hidden:%u", i)),
            .has_expiry = i % 2 == 0,
            .expire_unix_ms = i % 2 == 0 ? START_MS + 10 : 0,
            .contested = contested};
        struct entry *entry = entry_new(&parts);
        contested->entry = entry;
        table_insert(&store.dbs[0].table, store_hash(&store, parts.key), entry, i % 2 == 0);
        store.dbs[0].hidden_count++;
    }
    store_set_now(&store, START_MS + 10);
    struct key hidden = store_key(&store, 0, SLICE("hidden:7"));
    bool is_expired;
    uint8_t digest[20], nothing[20] = {0};
    assert_null(store_peek(&store, &hidden));
    assert_null(store_read(&store, &hidden));
    assert_false(store_holds(&store, &hidden, &is_expired));
    assert_false(store_delete(&store, &hidden));
    assert_null(store_random(&store, 0));
    assert_int_equal(store_visible_count(&store, 0), 0);
    store_digest(&store, digest);
    assert_memory_equal(digest, nothing, sizeof(digest));
    (void)run_passes(&store, 2, 100, 10);
    struct eviction_pool pool = {0};
    for (unsigned policy = EVICTION_NONE; policy <= EVICTION_VOLATILE_TTL; policy++) {
        assert_false(store_evict(&store, &pool, (enum eviction_policy)policy, 5));
    }
    assert_int_equal(store_count(&store, 0), 50);
    assert_int_equal(store.journal.bytes.size, 0);
    /* One that is not is found among them. */
    put(&store, 0, 1, START_MS + 1000);
    assert_true(slice_equal(entry_key(store_random(&store, 0)), SLICE("1")));
    assert_true(store_evict(&store, &pool, EVICTION_VOLATILE_TTL, 5));
    assert_int_equal(store_visible_count(&store, 0), 0);
    store_deinit(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stale_keys_go),
        cmocka_unit_test(stale_keys_go_while_others_come),
        cmocka_unit_test(databases_without_expiries_cost_one_step),
        cmocka_unit_test(a_call_without_budget_does_nothing),
        cmocka_unit_test(the_moment_of_expiry),
        cmocka_unit_test(a_time_that_has_passed_deletes),
        cmocka_unit_test(the_end_of_time),
        cmocka_unit_test(others_expiries_only_hide),
        cmocka_unit_test(digests_do_not_look_at_the_clock),
        cmocka_unit_test(fields_of_an_expired_key_leave_no_unit_open),
        cmocka_unit_test(hidden_entries_are_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
