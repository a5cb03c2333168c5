/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"

#include <assert.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char DIGIT_PAIRS[] =
    "00010203040506070809101112131415161718192021222324252627282930313233"
    "34353637383940414243444546474849505152535455565758596061626364656667"
    "6869707172737475767778798081828384858687888990919293949596979899";

static size_t count_digits(uint64_t value) {
    size_t count = 1;
    for (; value >= 10000; value /= 10000) {
        count += 4;
    }
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

size_t number_format_unsigned(char *at, uint64_t value) {
    size_t size = count_digits(value), end = size;
    while (value >= 100) {
        end -= 2;
        memcpy(at + end, DIGIT_PAIRS + (value % 100) * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        memcpy(at, DIGIT_PAIRS + value * 2, 2);
    } else {
        at[0] = (char)('0' + value);
    }
    return size;
}

size_t number_format_integer(char *at, int64_t value) {
    if (value >= 0) {
        return number_format_unsigned(at, (uint64_t)value);
    }
    at[0] = '-';
    return 1 + number_format_unsigned(at + 1, 0 - (uint64_t)value);
}

bool number_parse_unsigned(struct slice text, uint64_t *value) {
    if (text.size == 0 || text.size > 20) {
        return false;
    }
    if (text.data[0] == '0') {
        *value = 0;
        return text.size == 1;
    }
    uint64_t result = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)(uint8_t)text.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(result, 10, &result) ||
            __builtin_add_overflow(result, digit, &result)) {
            return false;
        }
    }
    *value = result;
    return true;
}

bool number_parse_integer(struct slice text, int64_t *value) {
    bool negative = text.size > 0 && text.data[0] == '-';
    if (negative) {
        text = slice_skip(text, 1);
    }
    uint64_t magnitude;
    if (!number_parse_unsigned(text, &magnitude)) {
        return false;
    }
    if (negative) {
        if (magnitude == 0 || magnitude > (uint64_t)INT64_MAX + 1) {
            return false;
        }
        *value = (int64_t)(0 - magnitude);
        return true;
    }
    if (magnitude > INT64_MAX) {
        return false;
    }
    *value = (int64_t)magnitude;
    return true;
}

/* Copies `text` where strtold can see its end. */
static bool number_terminate(struct slice text, char *copy, size_t room) {
    if (text.size == 0 || text.size >= room || memchr(text.data, '\0', text.size) != NULL) {
        return false;
    }
    char first = text.data[0];
    if (first == ' ' || (first >= '\t' && first <= '\r')) {
        return false;
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return true;
}

/* Reads what is only digits, up to 19, maybe with a minus before and a point among them. False for
 * all else. */
static bool number_parse_plain(struct slice text, uint64_t *digits, unsigned *places,
                               bool *is_negative) {
    enum { DIGITS_MAX = 19 };
    size_t i = text.size > 0 && text.data[0] == '-';
    size_t first = i;
    bool has_point = false;
    *is_negative = i > 0;
    *digits = 0;
    *places = 0;
    if (text.size - i > DIGITS_MAX + 1) {
        return false;
    }
    for (; i < text.size; i++) {
        unsigned digit = (unsigned)(uint8_t)text.data[i] - '0';
        if (digit <= 9) {
            *digits = *digits * 10 + digit;
            *places += has_point;
        } else if (text.data[i] == '.' && !has_point && i > first && i + 1 < text.size) {
            has_point = true;
        } else {
            return false;
        }
    }
    return i > first && i - first - has_point <= DIGITS_MAX;
}

/* All of them are exact, also as doubles those that number_parse_double() takes. */
static const long double POWERS_OF_TEN[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,
                                            1e7L,  1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L,
                                            1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L};

enum { DOUBLE_DIGITS_BITS = 53 };
static_assert(DBL_MANT_DIG == DOUBLE_DIGITS_BITS, "doubles are those of IEEE 754");

/* The number that the digits are, with that many of them behind the point. Digits and power are
 * exact numbers, and dividing them rounds once, as strtold() does. False if they are not. */
static bool number_of_digits(uint64_t digits, unsigned places, long double *value) {
    if (LDBL_MANT_DIG < 64 && digits >> DOUBLE_DIGITS_BITS != 0) {
        return false;
    }
    *value = (long double)digits / POWERS_OF_TEN[places];
    return true;
}

bool number_parse_float(struct slice text, long double *value) {
    uint64_t digits;
    unsigned places;
    bool is_negative;
    if (number_parse_plain(text, &digits, &places, &is_negative) &&
        number_of_digits(digits, places, value)) {
        *value = is_negative ? -*value : *value;
        return true;
    }
    char copy[NUMBER_FLOAT_BYTES_MAX];
    if (!number_terminate(text, copy, sizeof(copy))) {
        return false;
    }
    char *end;
    errno = 0;
    long double result = strtold(copy, &end);
    if (*end != '\0' || end == copy || isnan(result) ||
        (errno == ERANGE && (isinf(result) || result == 0))) {
        return false;
    }
    *value = result;
    return true;
}

/* The same as a double. Rounding a quotient of 64 bits once more, to 53, gives what rounding the
 * exact one does, unless it seems to lie in the middle between two doubles. */
static bool double_of_digits(uint64_t digits, unsigned places, double *value) {
    if (digits >> DOUBLE_DIGITS_BITS == 0) {
        *value = (double)digits / (double)POWERS_OF_TEN[places];
        return true;
    }
    long double quotient;
    int exponent;
    if (LDBL_MANT_DIG != 64 || !number_of_digits(digits, places, &quotient)) {
        return false;
    }
    enum { REST_BITS = 64 - DOUBLE_DIGITS_BITS };
    uint64_t mantissa = (uint64_t)ldexpl(frexpl(quotient, &exponent), 64);
    *value = (double)quotient;
    return (mantissa & ((1U << REST_BITS) - 1)) != 1U << (REST_BITS - 1);
}

bool number_parse_double(struct slice text, double *value) {
    uint64_t digits;
    unsigned places;
    bool is_negative;
    if (number_parse_plain(text, &digits, &places, &is_negative) &&
        double_of_digits(digits, places, value)) {
        *value = is_negative ? -*value : *value;
        return true;
    }
    char copy[512];
    if (!number_terminate(text, copy, sizeof(copy))) {
        return false;
    }
    char *end;
    errno = 0;
    double result = strtod(copy, &end);
    if (*end != '\0' || end == copy || isnan(result) ||
        (errno == ERANGE && (isinf(result) || result == 0))) {
        return false;
    }
    *value = result;
    return true;
}

size_t number_format_float(char at[NUMBER_FLOAT_BYTES_MAX], long double value) {
    if (isinf(value)) {
        memcpy(at, value > 0 ? "inf" : "-inf", 4);
        return value > 0 ? 3 : 4;
    }
    /* Most sums of counts are whole, and need no arithmetic of long numbers. */
    if (value >= -1e18L && value <= 1e18L && (long double)(int64_t)value == value) {
        return number_format_integer(at, (int64_t)value);
    }
    int printed = snprintf(at, NUMBER_FLOAT_BYTES_MAX, "%.17Lf", value);
    size_t size = (size_t)printed;
    while (size > 0 && at[size - 1] == '0') {
        size--;
    }
    if (size > 0 && at[size - 1] == '.') {
        size--;
    }
    if (size == 2 && at[0] == '-' && at[1] == '0') {
        at[0] = '0';
        size = 1;
    }
    return size;
}

/* The decimal digits of a positive double: `digits` (no zero at either end) times ten to the power
 * of `exponent`. */
struct decimal {
    uint64_t digits;
    int exponent;
};

/* Where a double has a decimal of up to 15 digits and a few places. There is only one of that
 * length that reads back as the double, and dividing two exact numbers rounds as reading does. */
static bool decimal_short(double value, struct decimal *decimal) {
    enum { PLACES_MAX = 4 };
    double power = 1;
    for (int places = 0; places <= PLACES_MAX; places++, power *= 10) {
        double digits = rint(value * power);
        if (digits >= 1e15) {
            return false;
        }
        if (digits / power == value) {
            *decimal = (struct decimal){.digits = (uint64_t)digits, .exponent = -places};
            return true;
        }
    }
    return false;
}

static struct decimal decimal_strip(uint64_t digits, int exponent) {
    while (digits % 10 == 0 && digits != 0) {
        digits /= 10;
        exponent++;
    }
    return (struct decimal){.digits = digits, .exponent = exponent};
}

/* Between these, a double times the power of ten that gives it 17 digits is m * 5^k / 2^s, where m
 * has 53 bits, 5^k has 63 and s is positive: it is known exactly in 128 bits. */
#define DECIMAL_EXACT_MIN 1e-10
#define DECIMAL_EXACT_MAX 1e15
#define DECIMAL_DIGITS_END UINT64_C(100000000000000000) /* more than 17 digits */

__extension__ typedef unsigned __int128 uint128;

/* 5^k, as far as it has 64 bits. */
static const uint64_t FIVES[] = {UINT64_C(1),
                                 UINT64_C(5),
                                 UINT64_C(25),
                                 UINT64_C(125),
                                 UINT64_C(625),
                                 UINT64_C(3125),
                                 UINT64_C(15625),
                                 UINT64_C(78125),
                                 UINT64_C(390625),
                                 UINT64_C(1953125),
                                 UINT64_C(9765625),
                                 UINT64_C(48828125),
                                 UINT64_C(244140625),
                                 UINT64_C(1220703125),
                                 UINT64_C(6103515625),
                                 UINT64_C(30517578125),
                                 UINT64_C(152587890625),
                                 UINT64_C(762939453125),
                                 UINT64_C(3814697265625),
                                 UINT64_C(19073486328125),
                                 UINT64_C(95367431640625),
                                 UINT64_C(476837158203125),
                                 UINT64_C(2384185791015625),
                                 UINT64_C(11920928955078125),
                                 UINT64_C(59604644775390625),
                                 UINT64_C(298023223876953125),
                                 UINT64_C(1490116119384765625),
                                 UINT64_C(7450580596923828125)};

/* The multiple of `step` that is nearest to numerator / 2^shift; the even one of two. */
static uint64_t round_to(uint128 numerator, unsigned shift, uint64_t step) {
    uint64_t whole = (uint64_t)(numerator >> shift);
    uint64_t below = whole / step;
    uint128 rest = numerator - ((uint128)(below * step) << shift), half = (uint128)step << shift;
    /* Twice the rest against the step. */
    bool is_above = 2 * rest > half || (2 * rest == half && below % 2 == 1);
    return (below + is_above) * step;
}

/* The shortest of 15 to 17 digits that reads back, of a value between the limits. */
static struct decimal decimal_exact(double value) {
    int exponent;
    uint64_t mantissa = (uint64_t)ldexp(frexp(value, &exponent), DOUBLE_DIGITS_BITS);
    exponent -= DOUBLE_DIGITS_BITS; /* value = mantissa * 2^exponent */
    /* 78913 / 2^18 is log10(2), nearly: the first digit's place is that of the power of two below
     * the value, or the one before. */
    int places = 16 - (((exponent + DOUBLE_DIGITS_BITS - 1) * 78913) >> 18);
    if ((uint128)mantissa * FIVES[places] >> -(exponent + places) >= DECIMAL_DIGITS_END) {
        places--;
    }
    uint64_t five = FIVES[places];
    unsigned shift = (unsigned)-(exponent + places);
    uint128 numerator = (uint128)mantissa * five;
    /* It reads back within half of the way to the next double, which is nearer below a power of
     * two; the middle goes to the even one. All of it is told in units of 10^-places / 2^shift. */
    bool is_even = mantissa % 2 == 0;
    bool is_power = mantissa == UINT64_C(1) << (DOUBLE_DIGITS_BITS - 1);
    for (uint64_t step = 100;; step /= 10) {
        uint64_t digits = round_to(numerator, shift, step);
        uint128 decimal = (uint128)digits << shift;
        bool is_below = decimal < numerator;
        uint128 apart = 2 * (is_below ? numerator - decimal : decimal - numerator);
        apart = is_below && is_power ? 2 * apart : apart;
        if (step == 1 || apart < five || (apart == five && is_even)) {
            return decimal_strip(digits, -places);
        }
    }
}

/* The shortest of 15 to 17 digits that reads back. */
static struct decimal decimal_of(double value) {
    struct decimal decimal;
    if (value >= DECIMAL_EXACT_MIN && value < DECIMAL_EXACT_MAX) {
        return decimal_short(value, &decimal) ? decimal : decimal_exact(value);
    }
    char text[40] = "";
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    decimal.digits = 0;
    decimal.exponent = 0;
    const char *at = text;
    for (bool has_point = false; *at != 'e' && *at != '\0'; at++) {
        if (*at == '.') {
            has_point = true;
        } else {
            decimal.digits = decimal.digits * 10 + (uint64_t)(*at - '0');
            decimal.exponent -= has_point;
        }
    }
    decimal.exponent += *at == 'e' ? (int)strtol(at + 1, NULL, 10) : 0;
    return decimal_strip(decimal.digits, decimal.exponent);
}

static size_t put_zeros(char *at, int count) {
    memset(at, '0', (size_t)count);
    return (size_t)count;
}

/* Puts a point behind the first `whole` of `count` digits. */
static size_t put_pointed(char *at, const char *digits, size_t count, size_t whole) {
    memcpy(at, digits, whole);
    if (whole == count) {
        return count;
    }
    at[whole] = '.';
    memcpy(at + whole + 1, digits + whole, count - whole);
    return count + 1;
}

/* With zeros, up to seven behind and six before the digits; else with a power of ten. */
static size_t decimal_format(char *at, struct decimal decimal) {
    char digits[NUMBER_INTEGER_BYTES_MAX];
    int count = (int)number_format_unsigned(digits, decimal.digits);
    int power = decimal.exponent + count - 1; /* of the first digit */
    size_t size = 0;
    if (decimal.exponent >= 0 && decimal.exponent <= 7) {
        memcpy(at, digits, (size_t)count);
        return (size_t)count + put_zeros(at + count, decimal.exponent);
    }
    if (decimal.exponent < 0 && (decimal.exponent > -7 || (power > -4 && power < 4))) {
        if (power >= 0) {
            return put_pointed(at, digits, (size_t)count, (size_t)power + 1);
        }
        memcpy(at, "0.", 2);
        size = 2 + put_zeros(at + 2, -power - 1);
        memcpy(at + size, digits, (size_t)count);
        return size + (size_t)count;
    }
    size = put_pointed(at, digits, (size_t)count, 1);
    at[size++] = 'e';
    at[size++] = power < 0 ? '-' : '+';
    return size + number_format_unsigned(at + size, (uint64_t)(power < 0 ? -power : power));
}

size_t number_format_double(char at[64], double value) {
    if (isnan(value)) {
        memcpy(at, "nan", 3);
        return 3;
    }
    if (isinf(value)) {
        memcpy(at, value > 0 ? "inf" : "-inf", 4);
        return value > 0 ? 3 : 4;
    }
    if (value == 0) {
        memcpy(at, "-0", 2);
        return signbit(value) ? 2 : (at[0] = '0', 1);
    }
    if (fabs(value) <= 0x1p62 && value == (double)(int64_t)value) {
        return number_format_integer(at, (int64_t)value);
    }
    at[0] = '-';
    size_t sign = value < 0;
    return sign + decimal_format(at + sign, decimal_of(fabs(value)));
}
