/* SPDX-License-Identifier: BSD-3-Clause */
/* Names lead to rows: in any case, of any length, renamed or not; names that differ in a byte do
 * not, whatever that byte is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "node/command_table.h"

static const struct command rows[] = {
    {.name = "a"},
    {.name = "ab"},
    {.name = "get"},
    {.name = "aget"},
    {.name = "fcall_ro"},
    {.name = "host:"},
    {.name = "pexpiretime"},
    {.name = "zrevrangebyscore"},
    {.name = "zrevrangebyscores"},
    {.name = "georadiusbymember_ro"},
    {.name = "georadiusbycenter_ro"}, /* the same bytes at both ends */
    {.name = "config"},
    {.name = "get", .parent = "config"},
};

static const struct command_family family = {.rows = rows, .count = sizeof(rows) / sizeof(rows[0])};

static const struct command *find(const struct command_table *table, const char *bytes,
                                  size_t size) {
    /* On the heap and without a byte behind, for sanitizers to see what is read. */
    struct buffer own = {0};
    buffer_append(&own, bytes, size);
    const struct command *row = command_table_find(table, buffer_slice(&own));
    buffer_deinit(&own);
    return row;
}

static void fill(struct command_table *table) {
    command_table_init(table);
    command_table_add(table, &family);
}

static bool is_top_level(const struct command *row) {
    return row->parent == NULL;
}

static char in_capitals(char c) {
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static void test_any_case(void **state) {
    (void)state;
    struct command_table table;
    fill(&table);
    for (size_t i = 0; i < family.count; i++) {
        char name[64];
        size_t size = strlen(rows[i].name);
        for (unsigned which = 0; which < 3; which++) {
            for (size_t at = 0; at < size; at++) {
                bool is_capital = which == 1 || (which == 2 && at % 2 == 0);
                name[at] = is_capital ? in_capitals(rows[i].name[at]) : rows[i].name[at];
            }
            const struct command *row = find(&table, name, size);
            assert_non_null(row);
            assert_true(is_top_level(row));
            assert_string_equal(row->name, rows[i].name);
        }
    }
    command_table_deinit(&table);
}

static void test_other_bytes(void **state) {
    (void)state;
    struct command_table table;
    fill(&table);
    for (size_t i = 0; i < family.count; i++) {
        char name[64];
        size_t size = strlen(rows[i].name);
        for (size_t at = 0; at < size; at++) {
            memcpy(name, rows[i].name, size);
            for (unsigned byte = 0; byte < 256; byte++) {
                name[at] = (char)byte;
                bool is_same =
                    name[at] == rows[i].name[at] || name[at] == in_capitals(rows[i].name[at]);
                assert_int_equal(find(&table, name, size) != NULL, is_same);
            }
        }
        memcpy(name, rows[i].name, size);
        for (unsigned byte = 0; byte < 256; byte += 32) {
            name[size] = (char)byte;
            assert_null(find(&table, name, size + 1));
        }
    }
    assert_null(find(&table, "", 0));
    assert_null(find(&table, "ge", 2));
    assert_null(find(&table, "georadiusbyxxxxxr_ro", 20));
    command_table_deinit(&table);
}

static void test_renamed(void **state) {
    (void)state;
    struct command_table table;
    fill(&table);
    assert_false(command_table_rename(&table, slice_of("none"), "other"));
    assert_false(command_table_rename(&table, slice_of("get"), "AGET"));
    assert_true(command_table_rename(&table, slice_of("get"), "B840-Fc02"));
    assert_null(find(&table, "get", 3));
    assert_ptr_equal(find(&table, "b840-fC02", 9), &rows[2]);
    assert_null(find(&table, "b840\rfC02", 9)); /* '-' but for the bit that tells cases apart */
    assert_true(command_table_rename(&table, slice_of("aget"), ""));
    assert_null(find(&table, "aget", 4));
    assert_null(find(&table, "", 0));
    command_table_deinit(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_case),
        cmocka_unit_test(test_other_bytes),
        cmocka_unit_test(test_renamed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
