/* SPDX-License-Identifier: BSD-3-Clause */
/* Variable-length integers: every length, every cut, and numbers beyond 64 bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/varint.h"
#include "unit/seed.h"

static void round_trip(uint64_t value) {
    char bytes[VARINT_BYTES_MAX];
    size_t size = varint_put(bytes, value);
    unsigned bits = value == 0 ? 1 : 64 - (unsigned)__builtin_clzll(value);
    require(size == (bits + 6) / 7);
    for (size_t cut = 0; cut <= size; cut++) {
        char *block = memory_alloc(cut);
        memcpy(block, bytes, cut);
        struct slice rest = slice_make(block, cut);
        uint64_t read = 0;
        bool is_read = varint_take(&rest, &read);
        require(is_read == (cut == size));
        require(rest.size == (is_read ? 0 : cut));
        require(!is_read || read == value);
        memory_free(block);
    }
}

static void numbers_come_back(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "numbers_come_back", 0);
    for (unsigned shift = 0; shift < 64; shift++) {
        round_trip((UINT64_C(1) << shift) - 1);
        round_trip(UINT64_C(1) << shift);
    }
    round_trip(UINT64_MAX);
    for (unsigned i = 0; i < 20000; i++) {
        round_trip(prng_next(&prng) >> prng_below(&prng, 64));
    }
}

static void more_than_64_bits_are_refused(void **state) {
    (void)state;
    static const char *const refused[] = {"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02",
                                          "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
                                          "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x81\x01"};
    for (unsigned i = 0; i < 3; i++) {
        struct slice rest = slice_of(refused[i]);
        uint64_t value = 42;
        assert_false(varint_take(&rest, &value));
        assert_int_equal(value, 42);
        assert_ptr_equal(rest.data, refused[i]);
    }
}

static void zigzag_folds_signs(void **state) {
    (void)state;
    static const struct {
        int64_t value;
        uint64_t folded;
    } cases[] = {
        {0, 0}, {-1, 1}, {1, 2}, {-2, 3}, {INT64_MAX, UINT64_MAX - 1}, {INT64_MIN, UINT64_MAX}};
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(varint_zigzag(cases[i].value), cases[i].folded);
        assert_int_equal(varint_unzigzag(cases[i].folded), cases[i].value);
    }
}

static void slices_carry_their_length(void **state) {
    (void)state;
    struct slice rest = SLICE("\x03"
                              "abc"
                              "\x00"
                              "\x05"
                              "abc"),
                 out;
    assert_true(varint_take_slice(&rest, &out));
    assert_true(slice_equal(out, SLICE("abc")));
    assert_true(varint_take_slice(&rest, &out));
    assert_int_equal(out.size, 0);
    const char *before = rest.data;
    assert_false(varint_take_slice(&rest, &out));
    assert_ptr_equal(rest.data, before);
    rest = SLICE("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"
                 "a");
    assert_false(varint_take_slice(&rest, &out));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(more_than_64_bits_are_refused),
        cmocka_unit_test(zigzag_folds_signs),
        cmocka_unit_test(slices_carry_their_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
