/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers and their text, by the rules that Redis documents for its integer and float commands. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include "base/slice.h"

/* Room for any number this file writes. A long double of the largest magnitude has 4,933 digits
 * before the point. */
enum { NUMBER_INTEGER_BYTES_MAX = 24, NUMBER_FLOAT_BYTES_MAX = 5120 };

/* Writes `value` in decimal without a terminator at `at`, which has NUMBER_INTEGER_BYTES_MAX
 * bytes of room; returns the bytes used. */
size_t number_format_integer(char *at, int64_t value);
size_t number_format_unsigned(char *at, uint64_t value);
/* Reads a canonical decimal (no plus, no leading zeros, no space, no "-0"), all of `text`. */
bool number_parse_integer(struct slice text, int64_t *value);
bool number_parse_unsigned(struct slice text, uint64_t *value);
/* Reads a float as strtold does, all of `text`, no leading space; NaN is refused, infinities are
 * read. */
bool number_parse_float(struct slice text, long double *value);
bool number_parse_double(struct slice text, double *value);
/* Writes `value` in positional notation with at most 17 decimals, trailing zeros removed, as
 * INCRBYFLOAT's documentation shows; infinities as "inf" and "-inf". Returns the bytes used. */
size_t number_format_float(char at[NUMBER_FLOAT_BYTES_MAX], long double value);
/* Writes the fewest of 15 to 17 digits that read back as `value`, as Redis shows scores since 7.2:
 * integers up to 2^62 in full, other numbers with zeros or a power of ten ("0.000001", "1e-7",
 * "1.5e+20"). Returns the bytes used, at most 40. */
size_t number_format_double(char at[64], double value);

#endif
