/* SPDX-License-Identifier: BSD-3-Clause */
/* crc64() against the published check value, against a checksum made bit by bit, and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc64.h"
#include "base/prng.h"

static uint64_t naive_crc64(uint64_t crc, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? UINT64_C(0x95AC9329AC4BC9B5) : 0);
        }
    }
    return crc;
}

static void check_value(void **state) {
    (void)state;
    assert_true(crc64(0, SLICE("123456789")) == UINT64_C(0xE9C6D914C4B8D9CA));
    assert_true(crc64(0, SLICE("")) == 0);
    /* The footer of the empty string as Redis 7.0 dumps it. */
    assert_true(crc64(0, SLICE("\0\0\x0A\0")) == UINT64_C(0xDAA27F0F405C9B5D));
}

static void every_size_and_alignment(void **state) {
    (void)state;
    uint8_t bytes[96];
    struct prng prng;
    prng_init(&prng, 7);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)prng_next(&prng);
    }
    for (size_t from = 0; from < 9; from++) {
        for (size_t size = 0; from + size <= sizeof(bytes); size++) {
            uint64_t expected = naive_crc64(0, bytes + from, size);
            assert_true(crc64(0, slice_make(bytes + from, size)) == expected);
            uint64_t first = crc64(0, slice_make(bytes + from, size / 3));
            struct slice rest = slice_make(bytes + from + size / 3, size - size / 3);
            assert_true(crc64(first, rest) == expected);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_value),
        cmocka_unit_test(every_size_and_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
