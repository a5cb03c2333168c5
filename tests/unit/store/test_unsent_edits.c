/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/varint.h"
#include "store/unsent_edits.h"

enum { REF = 77, OTHER_REF = 78, TICKS_MIN = 100 };

static struct unsent_edits *edits;

static int setup(void **state) {
    (void)state;
    edits = unsent_edits_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unsent_edits_free(edits);
    return 0;
}

/* Notes a record with one change. */
static void note(uint64_t ref, uint64_t previous_ticks, const struct change *change) {
    struct change_writer writer = {.is_on = true};
    change_writer_add(&writer, change);
    change_writer_end_unit(&writer);
    struct stream_record record = {.ref = ref,
                                   .previous_ticks = previous_ticks,
                                   .last_ticks = stamp_ticks(change->stamp),
                                   .batch = buffer_slice(&writer.bytes)};
    unsent_edits_note(edits, &record, TICKS_MIN);
    buffer_deinit(&writer.bytes);
}

static struct change change_of(enum change_kind kind, uint64_t ticks, struct slice key) {
    return (struct change){.kind = kind, .stamp = stamp_make(ticks, 1), .db = 3, .key = key};
}

static void patch(uint64_t ref, uint64_t ticks, struct slice key, uint64_t offset,
                  struct slice bytes) {
    struct change change = change_of(CHANGE_PATCH, ticks, key);
    change.offset = offset;
    change.value = bytes;
    note(ref, ticks - 1, &change);
}

static bool finds(struct slice key) {
    struct slice patches, pairs;
    return unsent_edits_find(edits, 3, key, &patches, &pairs);
}

static void those_after_the_limit_in_their_order(void **state) {
    (void)state;
    struct slice patches, pairs, bytes = {0};
    uint64_t offset = 0;
    patch(REF, 99, SLICE("k"), 1, SLICE("seen"));
    assert_false(finds(SLICE("k")));
    patch(REF, 101, SLICE("k"), 7, SLICE("first"));
    patch(REF, 102, SLICE("k"), 5, SLICE("second"));
    struct change registers = change_of(CHANGE_REGISTERS, 103, SLICE("h"));
    registers.value = SLICE("abc");
    note(REF, 102, &registers);
    registers.stamp = stamp_make(104, 1);
    registers.value = SLICE("def");
    note(REF, 103, &registers);
    assert_true(unsent_edits_find(edits, 3, SLICE("k"), &patches, &pairs));
    assert_int_equal(pairs.size, 0);
    assert_true(varint_take(&patches, &offset) && varint_take_slice(&patches, &bytes));
    assert_int_equal(offset, 7);
    assert_true(slice_equal(bytes, SLICE("first")));
    assert_true(varint_take(&patches, &offset) && varint_take_slice(&patches, &bytes));
    assert_int_equal(offset, 5);
    assert_true(slice_equal(bytes, SLICE("second")));
    assert_int_equal(patches.size, 0);
    assert_true(unsent_edits_find(edits, 3, SLICE("h"), &patches, &pairs));
    assert_int_equal(patches.size, 0);
    assert_true(slice_equal(pairs, SLICE("abcdef")));
    assert_false(unsent_edits_find(edits, 2, SLICE("k"), &patches, &pairs));
    assert_false(unsent_edits_find(NULL, 3, SLICE("k"), &patches, &pairs));
}

/* What was written in another way is another value, before or after. */
static void not_of_what_was_written_otherwise(void **state) {
    (void)state;
    static const enum change_kind others[] = {CHANGE_SET, CHANGE_SET_EXPIRING, CHANGE_DELETE,
                                              CHANGE_COUNTER};
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct change other = change_of(others[i], 102, SLICE("k"));
        other.start_ticks = 102;
        for (unsigned order = 0; order < 2; order++) {
            struct change seen = change_of(CHANGE_SET, 100, SLICE("k"));
            note(REF, 99, &seen);
            if (order == 1) {
                note(REF, 100, &other);
            }
            patch(REF, 103, SLICE("k"), 0, SLICE("x"));
            if (order == 0) {
                other.stamp = stamp_make(104, 1);
                note(REF, 103, &other);
            }
            patch(REF, 104, SLICE("other"), 0, SLICE("x"));
            assert_false(finds(SLICE("k")));
            assert_true(finds(SLICE("other")));
            unsent_edits_free(edits);
            edits = unsent_edits_new();
        }
    }
    struct change expire = change_of(CHANGE_EXPIRE, 102, SLICE("k"));
    patch(REF, 101, SLICE("k"), 0, SLICE("x"));
    note(REF, 101, &expire);
    assert_true(finds(SLICE("k")));
    struct change field = change_of(CHANGE_SET, 104, SLICE("k"));
    field.type = VALUE_HASH;
    field.element = SLICE("f");
    note(REF, 103, &field);
    assert_false(finds(SLICE("k")));
}

static void not_of_a_database_that_was_emptied(void **state) {
    (void)state;
    struct slice patches, pairs;
    struct change flush = change_of(CHANGE_FLUSH, 101, SLICE(""));
    struct change there = change_of(CHANGE_PATCH, 103, SLICE("k"));
    there.db = 4;
    there.value = SLICE("x");
    note(REF, 99, &flush);
    patch(REF, 102, SLICE("k"), 0, SLICE("x"));
    note(REF, 102, &there);
    assert_false(finds(SLICE("k")));
    assert_true(unsent_edits_find(edits, 4, SLICE("k"), &patches, &pairs));
    flush.kind = CHANGE_FLUSH_ALL;
    flush.stamp = stamp_make(104, 1);
    note(REF, 103, &flush);
    assert_false(unsent_edits_find(edits, 4, SLICE("k"), &patches, &pairs));
}

static void nothing_where_the_log_begins_later(void **state) {
    (void)state;
    patch(REF, 101, SLICE("k"), 0, SLICE("x"));
    assert_true(finds(SLICE("k")));
    patch(OTHER_REF, 103, SLICE("other"), 0, SLICE("x")); /* one at 102 may have been lost */
    assert_false(finds(SLICE("k")));
    assert_false(finds(SLICE("other")));
}

static void many_keys_and_too_many_bytes(void **state) {
    (void)state;
    enum { KEYS = 5000, BYTES = 1 << 20 };
    char name[16];
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        patch(REF, 101 + i, slice_make(name, strlen(name)), i, SLICE("x"));
    }
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        assert_true(finds(slice_make(name, strlen(name))));
    }
    char *bytes = memory_alloc_zero(BYTES);
    for (unsigned i = 0; i < UNSENT_EDITS_BYTES_MAX / BYTES; i++) {
        patch(REF, 101 + KEYS + i, SLICE("k"), i, slice_make(bytes, BYTES));
    }
    assert_false(finds(SLICE("k")));
    assert_false(finds(SLICE("0")));
    memory_free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(those_after_the_limit_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(not_of_what_was_written_otherwise, setup, teardown),
        cmocka_unit_test_setup_teardown(not_of_a_database_that_was_emptied, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_where_the_log_begins_later, setup, teardown),
        cmocka_unit_test_setup_teardown(many_keys_and_too_many_bytes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
