/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of another server: statuses, errors, what is not whole yet at every cut, and garbage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/memory.h"
#include "proto/reply_line.h"

/* Reads from a block of exactly that size, so that a sanitizer sees a look behind it. */
static enum reply_line_kind read_copy(struct slice bytes, size_t *text_size, size_t *used) {
    char *block = memory_alloc(bytes.size + 1);
    struct slice copy = slice_make(memcpy(block + 1, bytes.data, bytes.size), bytes.size);
    struct slice text = {0};
    enum reply_line_kind kind = reply_line_read(copy, &text, used);
    if (kind == REPLY_LINE_STATUS || kind == REPLY_LINE_ERROR) {
        assert_ptr_equal(text.data, copy.data + 1);
        *text_size = text.size;
    }
    memory_free(block);
    return kind;
}

static void lines(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        enum reply_line_kind kind;
        size_t text_size, used;
    } cases[] = {
        {"+OK\r\n", REPLY_LINE_STATUS, 2, 5},    {"+OK\r\n+OK\r\n", REPLY_LINE_STATUS, 2, 5},
        {"+\r\n", REPLY_LINE_STATUS, 0, 3},      {"-ERR no\r\n-", REPLY_LINE_ERROR, 6, 9},
        {"-\r\n", REPLY_LINE_ERROR, 0, 3},       {"", REPLY_LINE_PARTIAL, 0, 0},
        {"+", REPLY_LINE_PARTIAL, 0, 0},         {"-ERR", REPLY_LINE_PARTIAL, 0, 0},
        {"+OK\r", REPLY_LINE_PARTIAL, 0, 0},     {"garbage\r\n", REPLY_LINE_GARBAGE, 0, 0},
        {":1\r\n", REPLY_LINE_GARBAGE, 0, 0},    {"$2\r\nOK\r\n", REPLY_LINE_GARBAGE, 0, 0},
        {"\r\n", REPLY_LINE_GARBAGE, 0, 0},      {"+OK\n", REPLY_LINE_GARBAGE, 0, 0},
        {"+O\nK\r\n", REPLY_LINE_GARBAGE, 0, 0}, {"+OK\r+", REPLY_LINE_GARBAGE, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t text_size = 0, used = 0;
        assert_int_equal(read_copy(slice_of(cases[i].bytes), &text_size, &used), cases[i].kind);
        assert_int_equal(text_size, cases[i].text_size);
        assert_int_equal(used, cases[i].used);
    }
}

static void cuts(void **state) {
    (void)state;
    static const char LINE[] = "-LOADING Redis is loading the dataset in memory\r\n";
    size_t text_size = 0, used = 0;
    for (size_t size = 0; size < sizeof(LINE) - 1; size++) {
        assert_int_equal(read_copy(slice_make(LINE, size), &text_size, &used), REPLY_LINE_PARTIAL);
    }
}

static void long_lines(void **state) {
    (void)state;
    size_t text_size = 0, used = 0;
    char *line = memory_alloc(REPLY_LINE_BYTES_MAX + 2);
    memset(line, 'x', REPLY_LINE_BYTES_MAX + 2);
    line[0] = '-';
    struct slice whole = slice_make(line, REPLY_LINE_BYTES_MAX + 1);
    assert_int_equal(read_copy(slice_make(line, REPLY_LINE_BYTES_MAX - 1), &text_size, &used),
                     REPLY_LINE_PARTIAL);
    assert_int_equal(read_copy(slice_make(line, REPLY_LINE_BYTES_MAX), &text_size, &used),
                     REPLY_LINE_GARBAGE);
    line[REPLY_LINE_BYTES_MAX - 1] = '\r';
    line[REPLY_LINE_BYTES_MAX] = '\n';
    assert_int_equal(read_copy(whole, &text_size, &used), REPLY_LINE_ERROR);
    assert_int_equal(text_size, REPLY_LINE_BYTES_MAX - 2);
    line[REPLY_LINE_BYTES_MAX - 1] = 'x';
    line[REPLY_LINE_BYTES_MAX] = '\r';
    assert_int_equal(read_copy(whole, &text_size, &used), REPLY_LINE_GARBAGE);
    memory_free(line);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(cuts),
        cmocka_unit_test(long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
