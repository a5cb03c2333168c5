/* SPDX-License-Identifier: BSD-3-Clause */
/* Patterns: exact cases, random ones against a naive recursive matcher, and patterns that make
 * naive matchers exponential. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/glob.h"

static bool match(const char *pattern, const char *text) {
    return glob_match(slice_of(pattern), slice_of(text), false);
}

static void test_exact(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        const char *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", false},
        {"*", "anything", true},
        {"**", "", false},
        {"a**", "a", true},
        {"?", "", false},
        {"?", "a", true},
        {"??", "a", false},
        {"h?llo", "hello", true},
        {"h*llo", "heeello", true},
        {"h*llo", "hell", false},
        {"*a", "ba", true},
        {"*a", "ab", false},
        {"h[ae]llo", "hallo", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"h[a-b]llo", "hbllo", true},
        {"h[b-a]llo", "hallo", true},
        {"h[a-b]llo", "hcllo", false},
        {"[a-cx-z]", "y", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"\\\\", "\\", true},
        {"\\", "\\", true},
        {"a\\", "a", false},
        {"[\\]]", "]", true},
        {"[\\-]", "-", true},
        {"[abc", "b", true},
        {"[abc", "d", false},
        {"[]", "a", false},
        {"[^]", "a", true},
        {"a*b*c", "aXXbYYc", true},
        {"a*b*c", "aXXbYY", false},
        {"user:*:name", "user:1:name", true},
        {"*[0-9]", "a1b2", true},
        {"*[0-9]", "a1b", false},
        {"[a", "a", true},
        {"abc*", "ab", false},
        {"abc*", "abc", true},
        {"a**b", "ab", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (match(cases[i].pattern, cases[i].text) != cases[i].matches) {
            fail_msg("'%s' against '%s'", cases[i].pattern, cases[i].text);
        }
    }
}

static void test_case(void **state) {
    (void)state;
    assert_false(match("ABC*", "abcd"));
    assert_true(glob_match(SLICE("ABC*"), SLICE("abcd"), true));
    assert_true(glob_match(SLICE("[A-C]x"), SLICE("bX"), true));
    assert_false(glob_match(SLICE("[A-C]x"), SLICE("dX"), true));
    assert_true(glob_match(SLICE("\\A"), SLICE("a"), true));
}

static void test_bytes(void **state) {
    (void)state;
    assert_true(glob_match(slice_make("a\0*", 3), slice_make("a\0b\0c", 5), false));
    assert_false(glob_match(slice_make("a\0", 2), slice_make("a", 1), false));
    assert_true(glob_match(SLICE("[\x80-\xff]"), SLICE("\xe9"), false));
    assert_false(glob_match(SLICE("[\x80-\xff]"), SLICE("a"), false));
}

static void test_literal(void **state) {
    (void)state;
    assert_true(glob_is_literal(SLICE("maxmemory-policy")));
    assert_true(glob_is_literal(SLICE("")));
    assert_false(glob_is_literal(SLICE("a*")));
    assert_false(glob_is_literal(SLICE("a?")));
    assert_false(glob_is_literal(SLICE("[a]")));
    assert_false(glob_is_literal(SLICE("\\a")));
}

/* Whether one byte is in the class at pattern, which stands after '['; *rest is what follows. */
static bool naive_class(const char *pattern, char byte, const char **rest) {
    bool negated = *pattern == '^';
    bool found = false;
    pattern += negated;
    while (*pattern != '\0' && *pattern != ']') {
        if (*pattern == '\\' && pattern[1] != '\0') {
            found |= pattern[1] == byte;
            pattern += 2;
        } else if (pattern[1] == '-' && pattern[2] != '\0') {
            for (int c = pattern[0]; c <= pattern[2]; c++) {
                found |= c == byte;
            }
            for (int c = pattern[2]; c <= pattern[0]; c++) {
                found |= c == byte;
            }
            pattern += 3;
        } else {
            found |= *pattern++ == byte;
        }
    }
    *rest = *pattern == ']' ? pattern + 1 : pattern;
    return found != negated;
}

static bool naive(const char *pattern, const char *text) {
    const char *rest = NULL;
    if (*pattern == '\0') {
        return *text == '\0';
    }
    if (*pattern == '*') {
        return naive(pattern + 1, text) || (*text != '\0' && naive(pattern, text + 1));
    }
    if (*text == '\0') {
        return false;
    }
    if (*pattern == '[') {
        return naive_class(pattern + 1, *text, &rest) && naive(rest, text + 1);
    }
    if (*pattern == '\\' && pattern[1] != '\0') {
        return pattern[1] == *text && naive(pattern + 2, text + 1);
    }
    return (*pattern == '?' || *pattern == *text) && naive(pattern + 1, text + 1);
}

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 33;
}

static void random_text(uint64_t *seed, const char *letters, size_t size_max, char *text) {
    size_t size = next_random(seed) % (size_max + 1);
    size_t letters_count = strlen(letters);
    for (size_t i = 0; i < size; i++) {
        text[i] = letters[next_random(seed) % letters_count];
    }
    text[size] = '\0';
}

static void test_against_naive(void **state) {
    (void)state;
    uint64_t seed = 20250101;
    unsigned matches = 0;
    for (int i = 0; i < 300000; i++) {
        char pattern[16];
        char text[16];
        random_text(&seed, "aabc*?[]^-\\", 9, pattern);
        random_text(&seed, "aabc-]", 8, text);
        bool expected = *text == '\0' ? *pattern == '\0' : naive(pattern, text);
        matches += expected;
        if (match(pattern, text) != expected) {
            fail_msg("'%s' against '%s' should be %d", pattern, text, expected);
        }
    }
    assert_true(matches > 1000);
}

/* A recursive matcher needs about 2^50 steps for these; ours is done at once. */
static void test_not_exponential(void **state) {
    (void)state;
    char pattern[128];
    char text[4096];
    for (size_t i = 0; i < 100; i += 2) {
        pattern[i] = 'a';
        pattern[i + 1] = '*';
    }
    pattern[100] = 'b';
    memset(text, 'a', sizeof(text));
    assert_false(glob_match(slice_make(pattern, 101), slice_make(text, sizeof(text)), false));
    text[sizeof(text) - 1] = 'b';
    assert_true(glob_match(slice_make(pattern, 101), slice_make(text, sizeof(text)), false));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),         cmocka_unit_test(test_case),
        cmocka_unit_test(test_bytes),         cmocka_unit_test(test_literal),
        cmocka_unit_test(test_against_naive), cmocka_unit_test(test_not_exponential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
