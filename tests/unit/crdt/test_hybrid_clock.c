/* SPDX-License-Identifier: BSD-3-Clause */
/* Hybrid clocks: ticks only grow, whatever the wall clock does, and stay near it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "crdt/hybrid_clock.h"
#include "unit/seed.h"

#define START_MS INT64_C(1800000000000)

static int64_t shown_ms(uint64_t ticks) {
    return stamp_unix_ms(stamp_make(ticks, 1));
}

static void stamps_hold_time_counter_and_slot(void **state) {
    (void)state;
    struct hybrid_clock clock = {0};
    hybrid_clock_set_wall(&clock, START_MS);
    uint64_t stamp = stamp_make(hybrid_clock_tick(&clock), STAMP_SLOTS_COUNT - 1);
    assert_int_equal(stamp_unix_ms(stamp), START_MS);
    assert_int_equal(stamp_slot(stamp), STAMP_SLOTS_COUNT - 1);
    assert_int_equal(stamp_ticks(stamp), clock.ticks);
    assert_true(stamp < stamp_make(hybrid_clock_tick(&clock), 0));
}

static void ticks_grow_whatever_the_wall_does(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "ticks_grow_whatever_the_wall_does", 0);
    struct hybrid_clock clock = {0}, peer = {0};
    int64_t wall = START_MS, wall_max = START_MS;
    for (unsigned step = 0; step < 200000; step++) {
        uint64_t before = clock.ticks;
        switch (prng_below(&prng, 6)) {
        case 0:
            wall += (int64_t)prng_below(&prng, 20);
            break;
        case 1: /* an hour back, or forth */
            wall += prng_below(&prng, 2) == 0 ? -3600000 : 3600000;
            break;
        case 2:
            hybrid_clock_set_wall(&peer, wall + (int64_t)prng_below(&prng, 100));
            hybrid_clock_observe(&clock, hybrid_clock_tick(&peer));
            assert_true(clock.ticks >= peer.ticks);
            break;
        case 3: /* nonsense before the epoch */
            hybrid_clock_set_wall(&clock, (int64_t)prng_below(&prng, 1000) - 500);
            break;
        default:
            hybrid_clock_set_wall(&clock, wall);
            wall_max = wall > wall_max ? wall : wall_max;
            before = clock.ticks > before ? clock.ticks : before;
            assert_true(hybrid_clock_tick(&clock) > before);
            assert_true(clock.ticks > 0);
        }
        assert_true(clock.ticks >= before);
        assert_true(shown_ms(clock.ticks) <= wall_max + 3600000 + 200);
        wall = wall < START_MS ? START_MS : wall;
        wall_max = wall > wall_max ? wall : wall_max;
    }
}

/* More than 4096 ticks in a millisecond borrow from the next ones, and give back later. */
static void bursts_borrow_from_the_future(void **state) {
    (void)state;
    struct hybrid_clock clock = {0};
    hybrid_clock_set_wall(&clock, START_MS);
    for (unsigned i = 0; i < 10 * 4096; i++) {
        (void)hybrid_clock_tick(&clock);
    }
    assert_int_equal(shown_ms(clock.ticks), START_MS + 10);
    hybrid_clock_set_wall(&clock, START_MS + 5);
    assert_int_equal(shown_ms(clock.ticks), START_MS + 10);
    hybrid_clock_set_wall(&clock, START_MS + 11);
    assert_int_equal(shown_ms(hybrid_clock_tick(&clock)), START_MS + 11);
}

/* Units of two nodes begin apart, within the millisecond, and in no order that repeats. */
static void units_are_spread(void **state) {
    (void)state;
    unsigned apart = 0, first_is_later = 0;
    for (int64_t ms = START_MS; ms < START_MS + 1000; ms++) {
        struct hybrid_clock clocks[2] = {{0}, {0}};
        for (unsigned i = 0; i < 2; i++) {
            hybrid_clock_set_wall(&clocks[i], ms);
            uint64_t before = clocks[i].ticks;
            hybrid_clock_spread(&clocks[i], ms, 12345 + i);
            assert_true(clocks[i].ticks >= before && clocks[i].ticks < before + 3 * 1024);
            assert_int_equal(shown_ms(clocks[i].ticks), ms);
        }
        uint64_t a = clocks[0].ticks, b = clocks[1].ticks;
        apart += a > b + 10 || b > a + 10;
        first_is_later += a > b;
        hybrid_clock_spread(&clocks[0], ms, 12345); /* again: there it is already */
        assert_int_equal(clocks[0].ticks, a);
        hybrid_clock_spread(&clocks[0], ms - 1, 777); /* ahead of the wall clock */
        assert_int_equal(clocks[0].ticks, a);
    }
    assert_in_range(apart, 980, 1000);
    assert_in_range(first_is_later, 400, 600);
}

static void older_ticks_are_no_news(void **state) {
    (void)state;
    struct hybrid_clock clock = {.ticks = 100};
    hybrid_clock_observe(&clock, 99);
    hybrid_clock_observe(&clock, 0);
    assert_int_equal(clock.ticks, 100);
    hybrid_clock_observe(&clock, 101);
    assert_int_equal(hybrid_clock_tick(&clock), 102);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stamps_hold_time_counter_and_slot),
        cmocka_unit_test(ticks_grow_whatever_the_wall_does),
        cmocka_unit_test(bursts_borrow_from_the_future),
        cmocka_unit_test(units_are_spread),
        cmocka_unit_test(older_ticks_are_no_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
