/* SPDX-License-Identifier: BSD-3-Clause */
/* Contexts against the sets of stamps that they stand for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "crdt/context.h"
#include "unit/seed.h"

static void a_context_is_the_highest_of_each_slot(void **state) {
    (void)state;
    enum { SLOTS = 6 };
    struct prng prng;
    seed_prng(&prng, "a_context_is_the_highest_of_each_slot", 0);
    static struct context context, again;
    uint64_t highest[SLOTS] = {0};
    for (unsigned i = 0; i < 20000; i++) {
        unsigned slot = (unsigned)prng_below(&prng, SLOTS);
        uint64_t ticks = prng_below(&prng, 1 + i);
        uint64_t stamp = stamp_make(ticks, slot);
        bool is_covered =
            slot == STAMP_SLOT_SETTLED || (highest[slot] > 0 && ticks <= highest[slot]);
        /* Ticks begin at 1: a stamp of 0 ticks names no change. */
        if (ticks > 0) {
            assert_int_equal(context_covers(&context, stamp), is_covered);
        }
        if (prng_below(&prng, 2) == 0 && ticks > 0) {
            context_add(&context, stamp);
            assert_true(context_covers(&context, stamp));
            /* Again changes nothing. */
            again = context;
            context_add(&again, stamp);
            assert_memory_equal(&again, &context, sizeof(context));
            if (ticks > highest[slot]) {
                highest[slot] = ticks;
            }
        }
    }
    assert_int_equal(context.stamps[STAMP_SLOT_SETTLED], 0);
}

static void no_order_matters(void **state) {
    (void)state;
    enum { STAMPS = 500 };
    struct prng prng;
    seed_prng(&prng, "no_order_matters", 0);
    static struct context forth, back;
    uint64_t stamps[STAMPS];
    for (unsigned i = 0; i < STAMPS; i++) {
        stamps[i] = prng_next(&prng);
        context_add(&forth, stamps[i]);
    }
    for (unsigned i = STAMPS; i > 0; i--) {
        context_add(&back, stamps[i - 1]);
    }
    assert_memory_equal(&forth, &back, sizeof(forth));
    for (unsigned i = 0; i < STAMPS; i++) {
        assert_true(context_covers(&forth, stamps[i]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_context_is_the_highest_of_each_slot),
        cmocka_unit_test(no_order_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
