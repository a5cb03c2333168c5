/* SPDX-License-Identifier: BSD-3-Clause */
/* A star first takes nothing; when what follows fails, it takes one byte more and all after it is
 * tried anew. When a later star is reached, whatever could be won by moving an earlier one can be
 * won by moving the later one too, so one remembered place is enough and no recursion is needed. */
#include "base/glob.h"

static inline uint8_t fold(uint8_t byte, bool nocase) {
    return nocase && byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

/* Matches `byte` against the class after the '[' at pattern[at]; *next is the place after it. */
static bool class_match(struct slice pattern, size_t at, uint8_t byte, bool nocase, size_t *next) {
    const uint8_t *bytes = (const uint8_t *)pattern.data;
    bool is_negated = at < pattern.size && bytes[at] == '^';
    bool found = false;
    at += is_negated;
    while (at < pattern.size && bytes[at] != ']') {
        if (bytes[at] == '\\' && at + 1 < pattern.size) {
            found |= fold(bytes[at + 1], nocase) == byte;
            at += 2;
        } else if (at + 2 < pattern.size && bytes[at + 1] == '-') {
            uint8_t low = fold(bytes[at], nocase);
            uint8_t high = fold(bytes[at + 2], nocase);
            found |= low <= high ? byte >= low && byte <= high : byte >= high && byte <= low;
            at += 3;
        } else {
            found |= fold(bytes[at], nocase) == byte;
            at++;
        }
    }
    *next = at < pattern.size ? at + 1 : at;
    return found != is_negated;
}

/* Matches one byte of text against the element at pattern[at], which is not a star. */
static inline bool element_match(struct slice pattern, size_t at, uint8_t byte, bool nocase,
                                 size_t *next) {
    uint8_t element = (uint8_t)pattern.data[at];
    byte = fold(byte, nocase);
    switch (element) {
    case '?':
        *next = at + 1;
        return true;
    case '[':
        return class_match(pattern, at + 1, byte, nocase, next);
    case '\\':
        if (at + 1 < pattern.size) {
            at++;
            element = (uint8_t)pattern.data[at];
        }
        break;
    }
    *next = at + 1;
    return fold(element, nocase) == byte;
}

bool glob_match(struct slice pattern, struct slice text, bool nocase) {
    if (text.size == 0) {
        return pattern.size == 0;
    }
    size_t at = 0;               /* in the pattern */
    unsigned stars = 0;          /* runs of stars met */
    size_t here = 0;             /* in the text */
    size_t star_next = SIZE_MAX; /* in the pattern, after the last star met */
    size_t star_taken = 0;       /* where in the text that star ends for now */
    while (here < text.size) {
        size_t next = 0;
        if (at < pattern.size && pattern.data[at] == '*') {
            /* Neighbours count as one, as they do for Redis. */
            stars += at == 0 || pattern.data[at - 1] != '*';
            if (stars > GLOB_STARS_MAX) {
                return false;
            }
            star_next = ++at;
            star_taken = here;
            if (star_next == pattern.size) {
                return true;
            }
        } else if (at < pattern.size &&
                   element_match(pattern, at, (uint8_t)text.data[here], nocase, &next)) {
            at = next;
            here++;
        } else if (star_next != SIZE_MAX) {
            at = star_next;
            here = ++star_taken;
        } else {
            return false;
        }
    }
    while (at < pattern.size && pattern.data[at] == '*') {
        at++;
    }
    return at == pattern.size;
}

bool glob_is_literal(struct slice pattern) {
    for (size_t i = 0; i < pattern.size; i++) {
        char byte = pattern.data[i];
        if (byte == '*' || byte == '?' || byte == '[' || byte == '\\') {
            return false;
        }
    }
    return true;
}
