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

bool number_parse_float(struct slice text, long double *value) {
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
    if (value > -1e15 && value < 1e15 && value == (double)(int64_t)value) {
        return number_format_integer(at, (int64_t)value);
    }
    for (int digits = 15; digits <= 17; digits++) {
        int size = snprintf(at, 64, "%.*g", digits, value);
        if (digits == 17 || strtod(at, NULL) == value) {
            return (size_t)size;
        }
    }
    return 0;
}
