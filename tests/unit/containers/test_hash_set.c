/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/prng.h"
#include "containers/hash_set.h"

static void what_was_added_is_there(void **state) {
    (void)state;
    enum { COUNT = 10000 };
    struct hash_set set;
    struct prng prng;
    hash_set_init(&set, COUNT);
    assert_false(hash_set_has(&set, 0));
    for (unsigned round = 0; round < 2; round++) {
        prng_init(&prng, 7);
        for (unsigned i = 0; i < COUNT; i++) {
            uint64_t hash = prng_next(&prng);
            assert_int_equal(hash_set_has(&set, hash), round);
            hash_set_add(&set, hash);
            assert_true(hash_set_has(&set, hash));
        }
        assert_int_equal(set.count, COUNT);
        assert_false(hash_set_has(&set, prng_next(&prng)));
    }
    hash_set_deinit(&set);
}

/* Better nothing than some of it. */
static void with_too_many_it_has_nothing(void **state) {
    (void)state;
    struct hash_set set;
    hash_set_init(&set, 3);
    for (uint64_t hash = 2; hash <= 6; hash += 2) {
        hash_set_add(&set, hash);
    }
    assert_true(hash_set_has(&set, 2) && hash_set_has(&set, 6) && !set.is_full);
    hash_set_add(&set, 2);
    assert_false(set.is_full);
    hash_set_add(&set, 8);
    assert_true(set.is_full);
    for (uint64_t hash = 2; hash <= 8; hash += 2) {
        assert_false(hash_set_has(&set, hash));
    }
    hash_set_deinit(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_there),
        cmocka_unit_test(with_too_many_it_has_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
