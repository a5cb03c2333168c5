/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char DIGIT_PAIRS[] =
    "00010203040506070809101112131415161718192021222324252627282930313233"
    "34353637383940414243444546474849505152535455565758596061626364656667"
    "6869707172737475767778798081828384858687888990919293949596979899";

size_t number_format_unsigned(char *at, uint64_t value) {
    char reversed[NUMBER_INTEGER_BYTES_MAX];
    size_t start = sizeof(reversed);
    while (value >= 100) {
        start -= 2;
        memcpy(reversed + start, DIGIT_PAIRS + (value % 100) * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        start -= 2;
        memcpy(reversed + start, DIGIT_PAIRS + value * 2, 2);
    } else {
        reversed[--start] = (char)('0' + value);
    }
    size_t size = sizeof(reversed) - start;
    memcpy(at, reversed + start, size);
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

/* Reads what is only digits, up to 15 or so, maybe with a minus before and a point among them.
 * False for all else. The digits, below 2^53, and the power of ten are exact numbers, and dividing
 * them rounds once, as strtod() does. */
static bool number_parse_plain(struct slice text, uint64_t *digits, unsigned *places,
                               bool *is_negative) {
    size_t i = text.size > 0 && text.data[0] == '-';
    size_t first = i;
    bool has_point = false;
    *is_negative = i > 0;
    *digits = 0;
    *places = 0;
    if (text.size - i > 16) {
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
    return i > first && *digits < (UINT64_C(1) << 53);
}

static const double POWERS_OF_TEN[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

bool number_parse_float(struct slice text, long double *value) {
    uint64_t digits;
    unsigned places;
    bool is_negative;
    if (number_parse_plain(text, &digits, &places, &is_negative)) {
        long double magnitude = (long double)digits / (long double)POWERS_OF_TEN[places];
        *value = is_negative ? -magnitude : magnitude;
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

bool number_parse_double(struct slice text, double *value) {
    uint64_t digits;
    unsigned places;
    bool is_negative;
    if (number_parse_plain(text, &digits, &places, &is_negative)) {
        double magnitude = (double)digits / POWERS_OF_TEN[places];
        *value = is_negative ? -magnitude : magnitude;
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

/* Where a double has a decimal of up to 15 digits and 15 places. There is only one of that length
 * that reads back as the double, and dividing two exact numbers rounds as reading does. */
static bool decimal_short(double value, struct decimal *decimal) {
    double power = 1;
    for (int places = 0; places <= 15; places++, power *= 10) {
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

/* The shortest of 15 to 17 digits that reads back. */
static struct decimal decimal_of(double value) {
    struct decimal decimal;
    if (value >= 1e-6 && value < 1e15 && decimal_short(value, &decimal)) {
        return decimal;
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
    while (decimal.digits % 10 == 0 && decimal.digits != 0) {
        decimal.digits /= 10;
        decimal.exponent++;
    }
    return decimal;
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
