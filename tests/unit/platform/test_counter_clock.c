/* SPDX-License-Identifier: BSD-3-Clause */
/* The counter's clock shows what the system's does, whether it goes by the counter or not, and
 * never goes back: also when measurements do not agree, or when the counter jumps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "platform/counter_clock.h"
#include "platform/process.h"

enum {
    ERROR_US = 10, /* of an anchor that is some milliseconds old */
    LOOK_US = 100000,
    LOOKS_MAX = 50, /* until two measurements agree, on a busy machine, too */
};

/* Compares the two for so long; returns how many looks went by the counter. */
static unsigned compare(struct counter_clock *clock, uint64_t for_us) {
    uint64_t began_us = process_monotonic_us(), before_us = began_us, last_us = 0;
    unsigned by_counter = 0;
    while (before_us - began_us < for_us) {
        uint64_t anchor_ns = clock->anchor_ns;
        uint64_t us = counter_clock_us(clock);
        uint64_t after_us = process_monotonic_us();
        assert_true(us + ERROR_US >= before_us);
        assert_true(us <= after_us + ERROR_US);
        assert_true(us >= last_us);
        by_counter += clock->anchor_ns == anchor_ns;
        last_us = us;
        before_us = after_us;
    }
    return by_counter;
}

/* Compares them until the counter is gone by, if the clock has one. */
static unsigned compare_until_used(struct counter_clock *clock) {
    unsigned by_counter = compare(clock, LOOK_US);
    for (unsigned i = 0; i < LOOKS_MAX && clock->has_counter && by_counter == 0; i++) {
        by_counter = compare(clock, LOOK_US);
    }
    return by_counter;
}

static void test_goes_with_the_system(void **state) {
    (void)state;
    struct counter_clock clock;
    counter_clock_init(&clock);
    unsigned by_counter = compare_until_used(&clock);
    assert_true(clock.has_counter == (by_counter > 0));
    clock = (struct counter_clock){.has_counter = false};
    (void)compare(&clock, 1000);
}

static void test_distrusts_what_does_not_agree(void **state) {
    (void)state;
    struct counter_clock clock;
    counter_clock_init(&clock);
    if (!clock.has_counter) {
        skip();
    }
    assert_true(compare_until_used(&clock) > 0);
    /* Somewhere in this window the machine stood still. */
    clock.window_ns -= 200000000;
    (void)counter_clock_anchor(&clock);
    assert_int_equal(clock.ticks_max, 0);
    (void)compare(&clock, 1000);
    assert_true(compare_until_used(&clock) > 0);
    /* The counter begins anew, below where it was; or it is far ahead. */
    clock.anchor_ticks += UINT64_C(1) << 50;
    (void)compare(&clock, 1000);
    clock.anchor_ticks -= UINT64_C(1) << 50;
    (void)compare(&clock, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_with_the_system),
        cmocka_unit_test(test_distrusts_what_does_not_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
