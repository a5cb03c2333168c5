/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC-32C: the vectors of RFC 3720, both ways of computing it against each other, and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "unit/seed.h"

static void known_vectors(void **state) {
    (void)state;
    char bytes[32];
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(crc32c(0, slice_make(bytes, 32)), 0x8A9136AA);
    memset(bytes, 0xFF, sizeof(bytes));
    assert_int_equal(crc32c(0, slice_make(bytes, 32)), 0x62A8AB43);
    for (int i = 0; i < 32; i++) {
        bytes[i] = (char)i;
    }
    assert_int_equal(crc32c(0, slice_make(bytes, 32)), 0x46DD794E);
    for (int i = 0; i < 32; i++) {
        bytes[i] = (char)(31 - i);
    }
    assert_int_equal(crc32c(0, slice_make(bytes, 32)), 0x113FDB5C);
    assert_int_equal(crc32c(0, SLICE("123456789")), 0xE3069283);
    assert_int_equal(crc32c_portable(0, SLICE("123456789")), 0xE3069283);
    assert_int_equal(crc32c(0, SLICE("")), 0);
}

static void both_ways_agree_in_any_pieces(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "both_ways_agree_in_any_pieces", 0);
    /* Long ones are computed in three lanes. */
    static char bytes[5000];
    for (unsigned i = 0; i < 3000; i++) {
        for (unsigned j = 0; j < 100; j++) {
            bytes[prng_below(&prng, sizeof(bytes))] = (char)prng_next(&prng);
        }
        size_t begin = prng_below(&prng, 20), size = prng_below(&prng, sizeof(bytes) - begin);
        size_t cut = prng_below(&prng, size + 1);
        struct slice whole = slice_make(bytes + begin, size);
        uint32_t crc = crc32c(0, whole);
        require(crc == crc32c_portable(0, whole));
        uint32_t first = crc32c(0, slice_make(whole.data, cut));
        require(crc == crc32c(first, slice_skip(whole, cut)));
        require(crc == crc32c_portable(first, slice_skip(whole, cut)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_vectors),
        cmocka_unit_test(both_ways_agree_in_any_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
