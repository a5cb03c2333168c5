/* SPDX-License-Identifier: BSD-3-Clause */
/* The set of slices against an array of flags: additions, questions and removals at random, small
 * and large, with and without room made first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/memory.h"
#include "containers/slice_set.h"
#include "unit/seed.h"

static void random_history(size_t names_count, unsigned part) {
    enum { NAME_BYTES = 9 };
    struct prng prng;
    struct slice_set set;
    seed_prng(&prng, "slice_set", part);
    slice_set_init(&set, (struct hash_seed){prng_next(&prng), prng_next(&prng)});
    char *names = memory_alloc(names_count * NAME_BYTES);
    bool *is_in = memory_alloc_zero(names_count);
    size_t count = 0;
    for (size_t i = 0; i < names_count; i++) {
        (void)snprintf(names + i * NAME_BYTES, NAME_BYTES, "%08zx", i * 2654435761U % 0xFFFFFFFF);
    }
    if (part % 2 == 0) {
        slice_set_expect(&set, prng_below(&prng, 2 * names_count));
    }
    for (size_t step = 0; step < 20 * names_count; step++) {
        size_t i = prng_below(&prng, names_count);
        /* Of the first name nothing, of the others all. */
        struct slice name = slice_make(i == 0 ? NULL : names + i * NAME_BYTES, i == 0 ? 0 : 8);
        unsigned what = (unsigned)prng_below(&prng, 5);
        if (what < 2) {
            assert_int_equal(slice_set_add(&set, name), !is_in[i]);
            count += !is_in[i];
            is_in[i] = true;
        } else if (what == 2) {
            assert_int_equal(slice_set_remove(&set, name), is_in[i]);
            count -= is_in[i];
            is_in[i] = false;
        } else {
            assert_int_equal(slice_set_has(&set, name), is_in[i]);
        }
        assert_int_equal(set.count, count);
    }
    assert_false(set.is_out_of_memory);
    slice_set_deinit(&set);
    memory_free(names);
    memory_free(is_in);
}

static void test_random(void **state) {
    (void)state;
    static const size_t COUNTS[] = {1, 2, 15, 100, 3000};
    for (unsigned i = 0; i < 2 * sizeof(COUNTS) / sizeof(COUNTS[0]); i++) {
        random_history(COUNTS[i / 2], i);
    }
}

static void test_no_memory(void **state) {
    (void)state;
    struct slice_set set;
    slice_set_init(&set, (struct hash_seed){1, 2});
    assert_false(slice_set_has(&set, SLICE("a")));
    assert_false(slice_set_remove(&set, SLICE("a")));
    slice_set_expect(&set, SIZE_MAX / 2);
    assert_true(set.is_out_of_memory);
    assert_false(slice_set_add(&set, SLICE("a")));
    slice_set_deinit(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
