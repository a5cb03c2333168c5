/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "store/seen_changes.h"

enum { TICKS_MIN = 50 };

static struct seen_changes *seen;

static int setup(void **state) {
    (void)state;
    seen = seen_changes_new(TICKS_MIN);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    seen_changes_free(seen);
    return 0;
}

static void note(const struct change *changes, unsigned count) {
    struct change_writer writer = {.is_on = true};
    for (unsigned i = 0; i < count; i++) {
        change_writer_add(&writer, &changes[i]);
        change_writer_end_unit(&writer);
    }
    struct stream_record record = {.ref = 7,
                                   .last_ticks = stamp_ticks(changes[count - 1].stamp),
                                   .batch = buffer_slice(&writer.bytes)};
    seen_changes_note(seen, &record);
    buffer_deinit(&writer.bytes);
}

static void what_puts_something_is_noted(void **state) {
    (void)state;
    const struct change changes[] = {
        {.kind = CHANGE_SET, .stamp = stamp_make(50, 1), .key = SLICE("early")},
        {.kind = CHANGE_SET, .stamp = stamp_make(60, 1), .key = SLICE("k"), .value = SLICE("v")},
        {.kind = CHANGE_SET,
         .stamp = stamp_make(70, 1),
         .type = VALUE_SET,
         .key = SLICE("s"),
         .element = SLICE("m")},
        {.kind = CHANGE_COUNTER, .stamp = stamp_make(80, 1), .db = 3, .key = SLICE("c")},
        {.kind = CHANGE_DELETE, .stamp = stamp_make(90, 1), .key = SLICE("k")},
        {.kind = CHANGE_FLUSH_ALL, .stamp = stamp_make(95, 1)},
    };
    note(changes, sizeof(changes) / sizeof(changes[0]));
    struct seen_place place = {.key = SLICE("k")};
    assert_true(seen_changes_has(seen, &place, 60));
    assert_false(seen_changes_has(seen, &place, 61));
    assert_false(seen_changes_has(seen, &place, 90));
    place.key = SLICE("early");
    assert_false(seen_changes_has(seen, &place, 50));
    place.key = SLICE("c");
    assert_false(seen_changes_has(seen, &place, 80));
    place.number = 3;
    assert_true(seen_changes_has(seen, &place, 80));
    place = (struct seen_place){.type = VALUE_SET, .key = SLICE("s"), .element = SLICE("m")};
    assert_true(seen_changes_has(seen, &place, 70));
    place.element = SLICE("n");
    assert_false(seen_changes_has(seen, &place, 70));
}

static void many_are_found_again(void **state) {
    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < 5000; i++) {
            char name[16];
            struct slice key = slice_make(name, (size_t)snprintf(name, sizeof(name), "k%u", i));
            if (pass == 0) {
                const struct change change = {
                    .kind = CHANGE_SET, .stamp = stamp_make(100 + i, 1), .key = key};
                note(&change, 1);
            } else {
                struct seen_place place = {.key = key};
                assert_true(seen_changes_has(seen, &place, 100 + i));
                assert_false(seen_changes_has(seen, &place, 101 + i));
            }
        }
    }
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_puts_something_is_noted),
        TEST(many_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
