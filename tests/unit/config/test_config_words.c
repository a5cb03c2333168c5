/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines into words: quoting rules, and that whatever is quoted for a file is read back. */
#include "config_fixture.h"

#include "config/config_words.h"

/* The words with '|' between, or the status as text. */
static void check_split(struct slice line, const char *expected) {
    struct config_words words = {0};
    struct buffer joined = {0};
    switch (config_words_split(&words, line)) {
    case CONFIG_WORDS_OK:
        for (size_t i = 0; i < words.count; i++) {
            buffer_append_slice(&joined, i > 0 ? SLICE("|") : SLICE(""));
            buffer_append_slice(&joined, words.words[i]);
        }
        break;
    case CONFIG_WORDS_UNBALANCED:
        buffer_append_slice(&joined, SLICE("unbalanced"));
        break;
    case CONFIG_WORDS_TOO_MANY:
        buffer_append_slice(&joined, SLICE("too many"));
        break;
    }
    check_text_is(&joined, expected);
    buffer_deinit(&joined);
    config_words_deinit(&words);
}

static void test_split(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"   \t ", ""},
        {"port 6379", "port|6379"},
        {"  port \t 6379  ", "port|6379"},
        {"port 6379 # no comment here", "port|6379|#|no|comment|here"},
        {"a \"b c\" d", "a|b c|d"},
        {"a \"\" b", "a||b"},
        {"\"\"", ""},
        {"a 'b c'", "a|b c"},
        {"a \"\\x41\\x4a\\x6A\"", "a|AJj"},
        {"a \"\\n\\r\\t\\a\\b\"", "a|\n\r\t\a\b"},
        {"a \"\\\"\\\\\\q\"", "a|\"\\q"},
        {"a \"\\xg1\"", "a|xg1"},
        {"a '\\'x\\n'", "a|'x\\n"},
        {"a b\"c d\"", "a|bc d"},
        {"a b\\n", "a|b\\n"},
        {"a \"b", "unbalanced"},
        {"a 'b", "unbalanced"},
        {"a \"b\"c", "unbalanced"},
        {"a 'b'c", "unbalanced"},
        {"a \"b\\\"", "unbalanced"},
        {"\"", "unbalanced"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_split(slice_of(cases[i][0]), cases[i][1]);
    }
}

static void test_too_many(void **state) {
    (void)state;
    struct buffer line = {0};
    for (int i = 0; i < CONFIG_ARGUMENTS_MAX; i++) {
        buffer_append_slice(&line, SLICE("a "));
    }
    struct config_words words = {0};
    assert_int_equal(config_words_split(&words, buffer_slice(&line)), CONFIG_WORDS_OK);
    assert_int_equal(words.count, CONFIG_ARGUMENTS_MAX);
    config_words_deinit(&words);
    buffer_append_slice(&line, SLICE("b"));
    check_split(buffer_slice(&line), "too many");
    buffer_deinit(&line);
}

/* Every byte, alone and among others, survives quoting and splitting. */
static void test_quoted_is_read_back(void **state) {
    (void)state;
    char all[258];
    for (int i = 0; i < 256; i++) {
        all[i] = (char)i;
    }
    memcpy(all + 256, "4f", 2); /* hexadecimal digits right after a byte that was escaped */
    for (size_t begin = 0; begin <= sizeof(all); begin++) {
        for (size_t size = 0; size <= 3 && begin + size <= sizeof(all); size++) {
            struct buffer line = {0};
            struct config_words words = {0};
            option_append_quoted(&line, slice_make(all + begin, size));
            assert_int_equal(config_words_split(&words, buffer_slice(&line)), CONFIG_WORDS_OK);
            assert_int_equal(words.count, 1);
            assert_true(slice_equal(words.words[0], slice_make(all + begin, size)));
            config_words_deinit(&words);
            buffer_deinit(&line);
        }
    }
}

static void test_lines(void **state) {
    (void)state;
    struct slice text = SLICE("one\r\n\n  # two\nthree");
    assert_true(slice_equal(config_line_take(&text), SLICE("one\r")));
    assert_true(config_line_is_comment(config_line_take(&text)));
    struct slice comment = config_line_take(&text);
    assert_true(slice_equal(comment, SLICE("  # two")));
    assert_true(config_line_is_comment(comment));
    struct slice last = config_line_take(&text);
    assert_true(slice_equal(last, SLICE("three")));
    assert_false(config_line_is_comment(last));
    assert_int_equal(text.size, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_quoted_is_read_back),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
