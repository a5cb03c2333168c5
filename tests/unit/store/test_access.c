/* SPDX-License-Identifier: BSD-3-Clause */
/* The clock of accesses: the field by itself for times of all sizes; that keys which nobody uses
 * for weeks and years never look fresh; clocks that go back; and what a snapshot keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/mutate.h"
#include "store/state.h"
#include "store/strings.h"
#include "unit/seed.h"

#define START_MS INT64_C(1800000000000)
#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define COARSE_TICKS (UINT64_C(1) << ACCESS_COARSE_BITS)

enum { KEYS = 300 };

static uint64_t ticks_of(int64_t ms) {
    return (uint64_t)ms >> ACCESS_TICK_BITS;
}

/* ---- the field ---- */

static void fine_and_exact(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "access", 1);
    for (unsigned i = 0; i < 100000; i++) {
        int64_t then_ms = START_MS + (int64_t)prng_below(&prng, UINT64_C(1) << 45);
        int64_t after_ms =
            (int64_t)prng_below(&prng, (uint64_t)ACCESS_AGE_MAX << ACCESS_TICK_BITS) >>
            prng_below(&prng, 28);
        uint32_t access = access_now(then_ms);
        assert_true(access < ACCESS_COARSE);
        uint64_t ticks = access_idle_ticks(access, then_ms + after_ms);
        assert_int_equal(ticks, ticks_of(then_ms + after_ms) - ticks_of(then_ms));
    }
}

/* What it says is what it was told, or a little more where that is much; and it grows with time. */
static void idle_of_all_sizes(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "access", 2);
    uint64_t most = (uint64_t)ACCESS_COARSE_UNITS_MAX << ACCESS_COARSE_BITS;
    for (unsigned i = 0; i < 100000; i++) {
        int64_t now_ms = START_MS + (int64_t)prng_below(&prng, UINT64_C(1) << 45);
        uint64_t ticks = prng_below(&prng, most) >> prng_below(&prng, 32);
        uint32_t access = access_of_idle(ticks, now_ms);
        assert_true(access <= 0xFFFFFF);
        assert_int_equal((access & ACCESS_COARSE) != 0, ticks >= ACCESS_FINE_TICKS_MAX);
        uint64_t idle = access_idle_ticks(access, now_ms);
        assert_in_range(idle, ticks, ticks < ACCESS_FINE_TICKS_MAX ? ticks : ticks + COARSE_TICKS);
        int64_t later_ms = (int64_t)prng_below(&prng, UINT64_C(1) << prng_below(&prng, 28));
        uint64_t later = access_idle_ticks(access, now_ms + later_ms);
        if (ticks + ticks_of(later_ms) + 2 * COARSE_TICKS < most) {
            assert_true(later >= idle);
            assert_true(later <= idle + ticks_of(later_ms) + 1 + COARSE_TICKS);
            assert_true(later + COARSE_TICKS >= ticks + ticks_of(later_ms));
        }
    }
    uint32_t access = access_of_idle(UINT64_MAX, START_MS);
    assert_int_equal(access_idle_ticks(access, START_MS), most);
}

/* A clock that goes back by hours makes nobody old. */
static void times_to_come(void **state) {
    (void)state;
    for (int64_t back_ms = 1; back_ms < 2 * HOUR_MS; back_ms += 77777) {
        assert_int_equal(access_idle_ticks(access_now(START_MS), START_MS - back_ms), 0);
    }
    uint32_t coarse = access_of_idle(ACCESS_FINE_TICKS_MAX, START_MS);
    assert_int_equal(access_idle_ticks(coarse, START_MS - 10 * DAY_MS), 0);
}

/* ---- keys ---- */

static void setup(struct store *store) {
    struct store_opts opts = {.dbs_count = 3, .seed = 99};
    store_init(store, &opts);
    store_set_now(store, START_MS);
    for (unsigned i = 0; i < KEYS; i++) {
        char text[16];
        int size = snprintf(text, sizeof(text), "key:%u", i);
        struct key key = store_key(store, i % 2, slice_make(text, (size_t)size));
        assert_int_equal(strings_set(store, &key, SLICE("value"), 0), STORE_OK);
    }
    store_end_unit(store);
}

static struct entry *get(struct store *store, unsigned i) {
    char text[16];
    int size = snprintf(text, sizeof(text), "key:%u", i);
    struct key key = store_key(store, i % 2, slice_make(text, (size_t)size));
    return store_peek(store, &key);
}

static void use(struct store *store, unsigned i) {
    char text[16];
    int size = snprintf(text, sizeof(text), "key:%u", i);
    struct key key = store_key(store, i % 2, slice_make(text, (size_t)size));
    assert_non_null(store_read(store, &key));
}

/* Ten years in steps of the pass that the walk takes at most; some keys are used now and then. */
static void years_go_by(void **state) {
    (void)state;
    struct store store;
    struct prng prng;
    setup(&store);
    seed_prng(&prng, "access", 3);
    int64_t used_ms[KEYS];
    for (unsigned i = 0; i < KEYS; i++) {
        used_ms[i] = START_MS;
    }
    int64_t now_ms = START_MS;
    const uint64_t most_ms = (uint64_t)ACCESS_COARSE_UNITS_MAX << ACCESS_COARSE_BITS
                                                               << ACCESS_TICK_BITS;
    assert_true(most_ms > 4 * 365 * DAY_MS);
    while (now_ms < START_MS + 10 * 365 * DAY_MS) {
        now_ms += 60 * HOUR_MS + (int64_t)prng_below(&prng, 1000);
        store_set_now(&store, now_ms);
        for (unsigned i = 0; i < KEYS; i++) {
            /* One pass: the walk goes through the buckets of each database one by one. */
            store_age_some(&store);
        }
        unsigned i = (unsigned)prng_below(&prng, KEYS / 2);
        use(&store, i);
        used_ms[i] = now_ms;
        for (i = 0; i < KEYS; i++) {
            uint64_t idle_ms = store_idle_ticks(&store, get(&store, i)) << ACCESS_TICK_BITS;
            uint64_t true_ms = (uint64_t)(now_ms - used_ms[i]);
            if (true_ms < most_ms) {
                assert_in_range(idle_ms, true_ms < 17000 ? 0 : true_ms - 17000, true_ms + 33000);
            } else {
                assert_in_range(idle_ms, most_ms, most_ms + 4 * DAY_MS);
            }
            assert_in_range(store_idle_seconds(&store, get(&store, i)), idle_ms / 1000,
                            (idle_ms + 63) / 1000);
        }
    }
    store_deinit(&store);
}

/* A key that nobody used for twenty days goes before one that was used yesterday. */
static void the_idle_go_first(void **state) {
    (void)state;
    struct store store;
    struct eviction_pool pool = {0};
    setup(&store);
    for (unsigned day = 1; day <= 20; day++) {
        store_set_now(&store, START_MS + day * DAY_MS);
        for (unsigned i = 0; i < KEYS; i++) {
            store_age_some(&store);
        }
    }
    for (unsigned i = 0; i < KEYS / 2; i++) {
        use(&store, i);
    }
    store_set_now(&store, START_MS + 21 * DAY_MS);
    unsigned fresh_gone = 0;
    for (unsigned i = 0; i < KEYS / 2; i++) {
        assert_true(store_evict(&store, &pool, EVICTION_ALL_LRU, 10));
    }
    for (unsigned i = 0; i < KEYS / 2; i++) {
        fresh_gone += get(&store, i) == NULL;
    }
    assert_in_range(fresh_gone, 0, KEYS / 10);
    store_deinit(&store);
}

/* Keys that were used a tenth of a second after one another are told apart. */
static void the_clock_is_fine(void **state) {
    (void)state;
    struct store store;
    setup(&store);
    for (unsigned i = 0; i < KEYS; i++) {
        store_set_now(&store, START_MS + 100 * (int64_t)i);
        use(&store, i);
    }
    for (unsigned i = 1; i < KEYS; i++) {
        assert_true(store_idle_ticks(&store, get(&store, i)) <
                    store_idle_ticks(&store, get(&store, i - 1)));
    }
    store_deinit(&store);
}

/* Whoever waits a second sees one, and never more than have passed and a tick. */
static void seconds_that_pass_show(void **state) {
    (void)state;
    struct store store;
    setup(&store);
    for (int64_t begin_ms = START_MS; begin_ms < START_MS + 3000; begin_ms += 7) {
        store_set_now(&store, begin_ms);
        use(&store, 0);
        for (int64_t ms = 0; ms < 5000; ms += 31) {
            store_set_now(&store, begin_ms + ms);
            uint64_t shown = store_idle_seconds(&store, get(&store, 0));
            assert_in_range(shown, (uint64_t)ms / 1000, (uint64_t)(ms + 63) / 1000);
        }
    }
    store_deinit(&store);
}

/* IDLETIME of RESTORE is shown as it was given, to the second where it is not many days. */
static void idle_seconds_are_kept(void **state) {
    (void)state;
    struct store store;
    struct prng prng;
    setup(&store);
    seed_prng(&prng, "access", 4);
    for (unsigned i = 0; i < 20000; i++) {
        store_set_now(&store, START_MS + (int64_t)prng_below(&prng, UINT64_C(1) << 40));
        uint64_t seconds = prng_below(&prng, 100000000) >> prng_below(&prng, 27);
        store_set_idle_seconds(&store, get(&store, 0), seconds);
        uint64_t shown = store_idle_seconds(&store, get(&store, 0));
        assert_in_range(shown, seconds, seconds + (seconds < 100000 ? 0 : 17));
    }
    store_set_idle_seconds(&store, get(&store, 0), UINT64_MAX);
    assert_true(store_idle_seconds(&store, get(&store, 0)) > 4 * 365 * 86400);
    store_deinit(&store);
}

/* Under LFU the bits are something else: nothing touches them. */
static void lfu_is_left_alone(void **state) {
    (void)state;
    struct store store;
    setup(&store);
    store.uses_lfu = true;
    for (unsigned i = 0; i < KEYS; i++) {
        entry_set_access(get(&store, i), 0x11111 * (i % 200));
    }
    for (unsigned i = 0; i < KEYS; i++) {
        store_age_some(&store);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        assert_int_equal(entry_access(get(&store, i)), 0x11111 * (i % 200));
    }
    store.loaded_ms = START_MS;
    assert_int_equal(store_loaded_access(&store, 0x123456), 0x123456);
    store_deinit(&store);
}

/* A snapshot that lies for long: the time it lay counts. */
static void loaded_later(void **state) {
    (void)state;
    struct store store;
    setup(&store);
    static const int64_t lay_ms[] = {0, 5000, HOUR_MS, 3 * DAY_MS, 9 * DAY_MS, 400 * DAY_MS};
    static const uint64_t idle_ticks[] = {0, 1, 100, 100000, 3000000, 50000000};
    for (size_t i = 0; i < sizeof(lay_ms) / sizeof(lay_ms[0]); i++) {
        for (size_t j = 0; j < sizeof(idle_ticks) / sizeof(idle_ticks[0]); j++) {
            uint32_t saved = access_of_idle(idle_ticks[j], START_MS);
            store.loaded_ms = START_MS;
            store_set_now(&store, START_MS + lay_ms[i]);
            uint32_t access = store_loaded_access(&store, saved);
            uint64_t expected = idle_ticks[j] + ticks_of(lay_ms[i]);
            assert_in_range(access_idle_ticks(access, store.now_ms), expected,
                            expected + 2 * COARSE_TICKS);
            /* A part of a peer's state, which is written just now. */
            store.loaded_ms = 0;
            assert_int_equal(store_loaded_access(&store, saved), saved);
        }
    }
    store_deinit(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fine_and_exact),        cmocka_unit_test(idle_of_all_sizes),
        cmocka_unit_test(times_to_come),         cmocka_unit_test(years_go_by),
        cmocka_unit_test(the_idle_go_first),     cmocka_unit_test(the_clock_is_fine),
        cmocka_unit_test(idle_seconds_are_kept), cmocka_unit_test(lfu_is_left_alone),
        cmocka_unit_test(loaded_later),          cmocka_unit_test(seconds_that_pass_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
