/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "store/made_again.h"

enum { REF = 77, ENDED = 100, MADE = 200 };

static struct made_again *made;

static int setup(void **state) {
    (void)state;
    made = made_again_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    made_again_free(made);
    return 0;
}

/* Notes a record with one change. */
static void note(enum change_kind kind, uint64_t ticks, struct slice key, struct slice value) {
    struct change change = {
        .kind = kind, .stamp = stamp_make(ticks, 1), .db = 3, .key = key, .value = value};
    struct change_writer writer = {.is_on = true};
    change_writer_add(&writer, &change);
    change_writer_end_unit(&writer);
    struct stream_record record = {.ref = REF,
                                   .previous_ticks = ticks - 1,
                                   .last_ticks = ticks,
                                   .batch = buffer_slice(&writer.bytes)};
    made_again_note(made, &record, ENDED, MADE);
    buffer_deinit(&writer.bytes);
}

static bool has(struct slice key, struct slice value) {
    struct seen_place place = {.number = 3, .key = key};
    return made_again_has(made, &place, value);
}

static void what_was_put_between_end_and_making(void **state) {
    (void)state;
    note(CHANGE_SET, ENDED, SLICE("before"), SLICE("1"));
    note(CHANGE_SET, ENDED + 1, SLICE("k"), SLICE("1"));
    note(CHANGE_SET, MADE, SLICE("k"), SLICE("2"));
    note(CHANGE_SET, MADE + 1, SLICE("after"), SLICE("1"));
    note(CHANGE_DELETE, ENDED + 2, SLICE("deleted"), SLICE(""));
    assert_true(has(SLICE("k"), SLICE("1")));
    assert_true(has(SLICE("k"), SLICE("2")));
    assert_false(has(SLICE("k"), SLICE("3")));
    assert_false(has(SLICE("before"), SLICE("1")));
    assert_false(has(SLICE("after"), SLICE("1")));
    assert_false(has(SLICE("deleted"), SLICE("")));
    struct seen_place element = {
        .number = 3, .type = VALUE_SET, .key = SLICE("k"), .element = SLICE("e")};
    assert_false(made_again_has(made, &element, SLICE("1")));
    assert_false(made_again_has(NULL, &element, SLICE("1")));
}

static void many_are_found_again(void **state) {
    (void)state;
    enum { KEYS = 5000 };
    char name[16];
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        note(CHANGE_SET, ENDED + 1, slice_make(name, strlen(name)), SLICE("x"));
    }
    for (unsigned i = 0; i < 2 * KEYS; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        assert_int_equal(has(slice_make(name, strlen(name)), SLICE("x")), i < KEYS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_put_between_end_and_making, setup, teardown),
        cmocka_unit_test_setup_teardown(many_are_found_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
