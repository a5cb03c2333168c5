/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers and their text against the C library's functions, and at the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <math.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/number.h"
#include "unit/seed.h"

/* ---- integers ---- */

static void assert_integer(int64_t value) {
    char expected[32], text[NUMBER_INTEGER_BYTES_MAX];
    int size = snprintf(expected, sizeof(expected), "%" PRId64, value);
    require(number_format_integer(text, value) == (size_t)size);
    require(memcmp(text, expected, (size_t)size) == 0);
    int64_t parsed = ~value;
    require(number_parse_integer(slice_make(text, (size_t)size), &parsed));
    require(parsed == value);
}

static void assert_unsigned(uint64_t value) {
    char expected[32], text[NUMBER_INTEGER_BYTES_MAX];
    int size = snprintf(expected, sizeof(expected), "%" PRIu64, value);
    require(number_format_unsigned(text, value) == (size_t)size);
    require(memcmp(text, expected, (size_t)size) == 0);
    uint64_t parsed = ~value;
    require(number_parse_unsigned(slice_make(text, (size_t)size), &parsed));
    require(parsed == value);
}

static void integers_as_the_library_has_them(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "integers_as_the_library_has_them", 0);
    for (int64_t i = -11000; i <= 11000; i++) {
        assert_integer(i);
    }
    uint64_t power = 1;
    for (unsigned i = 0; i < 20; i++, power *= 10) {
        for (int64_t j = -2; j <= 2; j++) {
            assert_unsigned(power + (uint64_t)j);
            assert_integer((int64_t)(power + (uint64_t)j));
            assert_integer((int64_t)(0 - power + (uint64_t)j));
        }
    }
    assert_integer(INT64_MAX);
    assert_integer(INT64_MIN);
    assert_unsigned(UINT64_MAX);
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t value = prng_next(&prng) >> prng_below(&prng, 64);
        assert_unsigned(value);
        assert_integer((int64_t)value);
    }
}

static void integers_are_canonical(void **state) {
    (void)state;
    static const char *const refused[] = {"",
                                          "-",
                                          "+1",
                                          " 1",
                                          "1 ",
                                          "01",
                                          "-01",
                                          "-0",
                                          "00",
                                          "0x10",
                                          "1.0",
                                          "1e3",
                                          "a",
                                          "1a",
                                          "--1",
                                          "9223372036854775808",
                                          "-9223372036854775809",
                                          "18446744073709551616",
                                          "99999999999999999999",
                                          "100000000000000000000",
                                          "-99999999999999999999",
                                          "1\n"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        int64_t value = 42;
        assert_false(number_parse_integer(slice_of(refused[i]), &value));
        assert_int_equal(value, 42);
    }
    uint64_t value;
    assert_false(number_parse_unsigned(SLICE("18446744073709551616"), &value));
    assert_false(number_parse_unsigned(SLICE("-1"), &value));
    assert_false(number_parse_unsigned(SLICE("1\0"), &value));
    assert_true(number_parse_unsigned(SLICE("9223372036854775808"), &value));
    assert_int_equal(value, (uint64_t)INT64_MAX + 1);
}

/* ---- floats ---- */

static void assert_float_text(long double value, const char *expected) {
    char text[NUMBER_FLOAT_BYTES_MAX];
    size_t size = number_format_float(text, value);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(text, expected, size);
}

static void floats_in_positional_notation(void **state) {
    (void)state;
    assert_float_text(0.0L, "0");
    assert_float_text(-0.0L, "0");
    assert_float_text(1.0L, "1");
    assert_float_text(-1.0L, "-1");
    assert_float_text(10.5L, "10.5");
    assert_float_text(100.0L, "100");
    assert_float_text(0.1L, "0.1");
    assert_float_text(1e-17L, "0.00000000000000001");
    assert_float_text(4e-18L, "0");
    assert_float_text(-4e-18L, "0");
    assert_float_text(-6e-18L, "-0.00000000000000001");
    assert_float_text(3.0e3L, "3000");
    assert_float_text(5.0e3L + 200.0L, "5200");
    assert_float_text(123456789012345678.0L, "123456789012345678");
    assert_float_text(-123456789012345678.0L, "-123456789012345678");
    assert_float_text(1e18L, "1000000000000000000");
    assert_float_text(1e18L + 1, "1000000000000000001");
    assert_float_text(-1e18L - 0.5L, "-1000000000000000000.5");
    assert_float_text(1e20L, "100000000000000000000");
    assert_float_text(INFINITY, "inf");
    assert_float_text(-INFINITY, "-inf");
    char text[NUMBER_FLOAT_BYTES_MAX];
    assert_int_equal(number_format_float(text, 1e4931L), 4932);
    assert_int_equal(number_format_float(text, -1.18973149535723176502e+4932L), 4934);
}

static void random_floats_as_snprintf_has_them(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "random_floats_as_snprintf_has_them", 0);
    for (unsigned i = 0; i < 50000; i++) {
        long double value =
            (long double)(int64_t)prng_next(&prng) * powl(10, (int)prng_below(&prng, 60) - 50);
        char expected[NUMBER_FLOAT_BYTES_MAX], text[NUMBER_FLOAT_BYTES_MAX];
        size_t size = (size_t)snprintf(expected, sizeof(expected), "%.17Lf", value);
        while (expected[size - 1] == '0') {
            size--;
        }
        size -= expected[size - 1] == '.';
        expected[size] = '\0';
        const char *wanted = strcmp(expected, "-0") == 0 ? "0" : expected;
        size_t written = number_format_float(text, value);
        require(slice_equal(slice_make(text, written), slice_of(wanted)));
        long double parsed, expected_value = strtold(wanted, NULL);
        require(number_parse_float(slice_make(text, written), &parsed));
        require(parsed == expected_value);
    }
}

static void floats_that_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        long double value;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"+1", 1},
        {"1.", 1},
        {".5", 0.5L},
        {"1e3", 1000},
        {"1E-2", 0.01L},
        {"0x10", 16},
        {"0x1.8p1", 3},
        {"inf", INFINITY},
        {"-inf", -INFINITY},
        {"Infinity", INFINITY},
        {"1e-4940", 1e-4940L},
        {"007", 7},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        long double value = 42;
        assert_true(number_parse_float(slice_of(cases[i].text), &value));
        assert_true(value == cases[i].value);
    }
    static const char *const refused[] = {"",    " ",   " 1",   "\t1",    "1 ",      "1a",
                                          "a",   "nan", "-nan", "1e5000", "-1e5000", "1e-5000",
                                          "1,5", "--1", ".",    "e5"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        long double value = 42;
        double number = 42;
        assert_false(number_parse_float(slice_of(refused[i]), &value));
        assert_false(number_parse_double(slice_of(refused[i]), &number));
        assert_true(value == 42 && number == 42);
    }
    long double value;
    assert_false(number_parse_float(slice_make("1\0", 2), &value));
    /* What is longer than any number that is written. */
    static char digits[NUMBER_FLOAT_BYTES_MAX + 1];
    memset(digits, '0', sizeof(digits));
    assert_false(number_parse_float(slice_make(digits, sizeof(digits)), &value));
    assert_false(number_parse_float(slice_make(digits, NUMBER_FLOAT_BYTES_MAX), &value));
    assert_true(number_parse_float(slice_make(digits, NUMBER_FLOAT_BYTES_MAX - 1), &value));
}

/* ---- doubles ---- */

/* Short decimals are read by arithmetic: to the bit as strtod() and strtold() read them. */
static void plain_decimals_are_read_exactly(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "plain_decimals_are_read_exactly", 0);
    for (unsigned i = 0; i < 200000; i++) {
        char text[64];
        uint64_t whole = prng_next(&prng) >> (prng_below(&prng, 63) + 1);
        int size = snprintf(text, sizeof(text), "%s%llu", prng_below(&prng, 2) ? "-" : "",
                            (unsigned long long)whole);
        if (prng_below(&prng, 4) > 0) {
            size += snprintf(text + size, sizeof(text) - (size_t)size, ".%0*llu",
                             (int)prng_below(&prng, 16),
                             (unsigned long long)(prng_next(&prng) >> (prng_below(&prng, 63) + 1)));
        }
        double number = 0, wanted = strtod(text, NULL);
        long double longer = 0, longer_wanted = strtold(text, NULL);
        assert_true(number_parse_double(slice_of(text), &number));
        assert_memory_equal(&number, &wanted, sizeof(number));
        assert_true(number_parse_float(slice_of(text), &longer));
        assert_true(longer == longer_wanted);
        assert_true(signbit(longer) == signbit(longer_wanted));
    }
    static const char *const texts[] = {"0", "-0", "-0.0", "1.0", "007", "0.1", "00.10"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        double number = 42, wanted = strtod(texts[i], NULL);
        assert_true(number_parse_double(slice_of(texts[i]), &number));
        assert_memory_equal(&number, &wanted, sizeof(number));
    }
}

static void doubles_come_back(void **state) {
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1, "-1"},
        {0.1, "0.1"},
        {1e15, "1000000000000000"},
        {999999999999999, "999999999999999"},
        {4503599627370497, "4503599627370497"},
        {-4611686018427387904, "-4611686018427387904"},
        {9223372036854775808.0, "9223372036854776000"},
        {1.2345678901234567e20, "123456789012345670000"},
        {1e20, "1e+20"},
        {1.5e20, "1.5e+20"},
        {0.001, "0.001"},
        {0.000001, "0.000001"},
        {1e-7, "1e-7"},
        {-1.5e-7, "-1.5e-7"},
        {0.0001234567, "1.234567e-4"},
        {0.001234567, "0.001234567"},
        {123.45678901234567, "123.45678901234567"},
        {33140.285124, "33140.285124"},
        {1234567.125, "1234567.125"},
        {-49297.34523200001, "-4.929734523200001e+4"},
        {5e-324, "4.94065645841247e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {1.5, "1.5"},
        {1e300, "1e+300"},
        {3.14159265358979, "3.14159265358979"},
        {0.1 + 0.2, "0.30000000000000004"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
    };
    char text[64];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = number_format_double(text, cases[i].value);
        assert_int_equal(size, strlen(cases[i].text));
        assert_memory_equal(text, cases[i].text, size);
    }
    struct prng prng;
    seed_prng(&prng, "doubles_come_back", 0);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t bits = prng_next(&prng);
        double value, parsed;
        memcpy(&value, &bits, sizeof(value));
        if (i % 2 == 0) {
            value = (double)(int64_t)bits / 1024;
        }
        if (isfinite(value)) {
            size_t size = number_format_double(text, value);
            require(size <= 40);
            require(number_parse_double(slice_make(text, size), &parsed));
            require(parsed == value);
        }
    }
}

/* The digits and their exponent, as the C library has them. */
static void library_decimal(double value, char *digits, int *exponent) {
    char text[40];
    for (int count = 15; count <= 17; count++) {
        (void)snprintf(text, sizeof(text), "%.*e", count - 1, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    char *mark = strchr(text, 'e');
    *exponent = (int)strtol(mark + 1, NULL, 10);
    size_t size = 0;
    for (const char *at = text; at < mark; at++) {
        if (*at != '.') {
            digits[size++] = *at;
        }
    }
    while (size > 1 && digits[size - 1] == '0') {
        size--;
    }
    digits[size] = '\0';
}

static void assert_same_as_library(double value) {
    char text[64], wanted[40], digits[64];
    int exponent, point = -1, first = -1, count = 0, more = 0;
    if (value <= 0x1p62 && value == trunc(value)) {
        return; /* all of its digits are written */
    }
    library_decimal(value, wanted, &exponent);
    size_t size = number_format_double(text, value);
    double parsed = 0;
    assert_true(number_parse_double(slice_make(text, size), &parsed));
    assert_true(parsed == value);
    for (size_t i = 0; i < size && text[i] != 'e'; i++) {
        if (text[i] == '.') {
            point = (int)count;
        } else if (first >= 0 || text[i] != '0') {
            first = first < 0 ? count : first;
            digits[count++ - first] = text[i];
        } else {
            count++;
        }
    }
    char *mark = memchr(text, 'e', size);
    text[size] = '\0';
    more = mark != NULL ? (int)strtol(mark + 1, NULL, 10) : 0;
    int power = (point < 0 ? count : point) - 1 - first + more, size_of = count - first;
    while (size_of > 1 && digits[size_of - 1] == '0') {
        size_of--;
    }
    digits[size_of] = '\0';
    if (strcmp(digits, wanted) != 0 || power != exponent) {
        fail_msg("%.17g: %s, and not %se%d", value, text, wanted, exponent);
    }
}

static void doubles_are_as_the_library_has_them(void **state) {
    struct prng prng;
    (void)state;
    seed_prng(&prng, "doubles_are_as_the_library_has_them", 0);
    for (int exponent = -400; exponent < 300; exponent++) {
        double power = pow(2, exponent / 4.0), ten = pow(10, exponent / 8);
        for (int side = -2; side <= 2; side++) {
            double near = power, near_ten = ten;
            for (int i = 0; i < abs(side); i++) {
                near = nextafter(near, side < 0 ? 0 : INFINITY);
                near_ten = nextafter(near_ten, side < 0 ? 0 : INFINITY);
            }
            assert_same_as_library(near);
            assert_same_as_library(near_ten);
        }
    }
    for (int i = 0; i < 100000; i++) {
        double value = (double)(1 + (prng_next(&prng) >> 11));
        switch (prng_below(&prng, 3)) {
        case 0:
            value = ldexp(value, -(int)prng_below(&prng, 100));
            break;
        case 1: /* few digits */
            value = (double)(1 + prng_below(&prng, 1000000)) / pow(10, (int)prng_below(&prng, 12));
            break;
        default:
            value = ldexp(1, 40 - (int)prng_below(&prng, 80)) +
                    ldexp(1, 20 - (int)prng_below(&prng, 40));
            break;
        }
        assert_same_as_library(value);
    }
}

/* Digits that are read without the library, near the middle between two doubles as well. */
static void long_decimals_are_read_as_the_library_does(void **state) {
    struct prng prng;
    (void)state;
    seed_prng(&prng, "long_decimals_are_read_as_the_library_does", 0);
    for (int i = 0; i < 200000; i++) {
        char text[64];
        double number = 0;
        long double longer = 0;
        if (prng_below(&prng, 2) == 0) {
            /* The middle, as far as there are digits for it. */
            double value =
                1 + (double)prng_below(&prng, 1 << 20) / (1 << (1 + prng_below(&prng, 9)));
            long double middle = ((long double)value + (long double)nextafter(value, 1e30)) / 2;
            (void)snprintf(text, sizeof(text), "%.*Lf", 8 + (int)prng_below(&prng, 10), middle);
        } else {
            size_t size = 16 + prng_below(&prng, 5), point = 1 + prng_below(&prng, size - 2);
            for (size_t at = 0; at < size; at++) {
                text[at] = at == point ? '.' : (char)('0' + prng_below(&prng, 10));
            }
            text[size] = '\0';
        }
        assert_true(number_parse_double(slice_of(text), &number));
        assert_true(number_parse_float(slice_of(text), &longer));
        if (number != strtod(text, NULL) || longer != strtold(text, NULL)) {
            fail_msg("%s: %.17g %.21Lg", text, number, longer);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_as_the_library_has_them),
        cmocka_unit_test(integers_are_canonical),
        cmocka_unit_test(floats_in_positional_notation),
        cmocka_unit_test(random_floats_as_snprintf_has_them),
        cmocka_unit_test(floats_that_are_read),
        cmocka_unit_test(plain_decimals_are_read_exactly),
        cmocka_unit_test(doubles_come_back),
        cmocka_unit_test(doubles_are_as_the_library_has_them),
        cmocka_unit_test(long_decimals_are_read_as_the_library_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
