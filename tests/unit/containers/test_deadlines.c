/* SPDX-License-Identifier: BSD-3-Clause */
/* Deadlines: random additions and removals against a search through all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "containers/deadlines.h"
#include "unit/seed.h"

static void test_order(void **state) {
    (void)state;
    struct deadlines deadlines = {0};
    struct deadline late = {0}, early = {0}, same = {0}, never = {0};
    assert_null(deadlines_first(&deadlines));
    deadlines_add(&deadlines, &late, UINT64_MAX);
    deadlines_add(&deadlines, &early, 5);
    deadlines_add(&deadlines, &same, 5);
    assert_ptr_equal(deadlines_first(&deadlines), &early);
    deadlines_remove(&deadlines, &never);
    deadlines_remove(&deadlines, &early);
    deadlines_remove(&deadlines, &early);
    assert_int_equal(early.place, 0);
    assert_ptr_equal(deadlines_first(&deadlines), &same);
    deadlines_remove(&deadlines, &same);
    assert_ptr_equal(deadlines_first(&deadlines), &late);
    deadlines_check(&deadlines);
    deadlines_remove(&deadlines, &late);
    assert_null(deadlines_first(&deadlines));
    deadlines_deinit(&deadlines);
}

enum { ITEMS = 300, STEPS = 100000, TIMES = 50 };

static const struct deadline *earliest(const struct deadline *items) {
    const struct deadline *first = NULL;
    for (unsigned i = 0; i < ITEMS; i++) {
        const struct deadline *item = &items[i];
        if (item->place != 0 && (first == NULL || item->at_us < first->at_us ||
                                 (item->at_us == first->at_us && item->order < first->order))) {
            first = item;
        }
    }
    return first;
}

static void test_random(void **state) {
    (void)state;
    static struct deadline items[ITEMS];
    struct deadlines deadlines = {0};
    struct prng prng;
    seed_prng(&prng, "deadlines", 1);
    for (unsigned step = 0; step < STEPS; step++) {
        /* Few times, so that many are equal; by turns it fills and empties. */
        struct deadline *item = &items[prng_below(&prng, ITEMS)];
        if (item->place != 0) {
            deadlines_remove(&deadlines, item);
        } else if (prng_below(&prng, 10) < (step / 5000 % 2 == 0 ? 9U : 2U)) {
            deadlines_add(&deadlines, item, prng_below(&prng, TIMES));
        }
        assert_ptr_equal(deadlines_first(&deadlines), earliest(items));
        if (step % 100 == 0) {
            deadlines_check(&deadlines);
        }
    }
    while (deadlines.count > 0) {
        struct deadline *first = deadlines_first(&deadlines);
        assert_ptr_equal(first, earliest(items));
        deadlines_remove(&deadlines, first);
    }
    deadlines_deinit(&deadlines);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
