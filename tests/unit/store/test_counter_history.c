/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "store/counter_history.h"

enum { REF = 77, OTHER_REF = 78, TICKS_MAX = 100 };

static struct counter_history *history;

static int setup(void **state) {
    (void)state;
    history = counter_history_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    counter_history_free(history);
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
    counter_history_note(history, &record, TICKS_MAX);
    buffer_deinit(&writer.bytes);
}

static struct change counter(uint64_t ticks, uint64_t start_ticks, int64_t total) {
    return (struct change){.kind = CHANGE_COUNTER,
                           .stamp = stamp_make(ticks, 1),
                           .key = SLICE("c"),
                           .start_ticks = start_ticks,
                           .total = total};
}

static struct counter_place place_of(uint64_t start_ticks) {
    return (struct counter_place){.ref = REF, .key = SLICE("c"), .start_ticks = start_ticks};
}

static void the_newest_total_below_the_limit(void **state) {
    (void)state;
    struct change first = counter(10, 10, 1), second = counter(100, 10, 5),
                  third = counter(110, 10, 9);
    struct counter_total total;
    struct counter_place place = place_of(10);
    assert_false(counter_history_find(history, &place, &total));
    note(REF, 0, &first);
    note(REF, 10, &second);
    note(REF, 100, &third);
    assert_true(counter_history_find(history, &place, &total));
    assert_false(total.is_float);
    assert_int_equal(total.total, 5);
}

/* The log begins after the newest change that the limit covers, or with the change after it. */
static void the_first_change_above_the_limit_tells(void **state) {
    (void)state;
    struct change above = counter(110, 10, 9), later = counter(120, 10, 20);
    struct change number = {.kind = CHANGE_FLOAT_COUNTER,
                            .stamp = stamp_make(130, 1),
                            .key = SLICE("f"),
                            .start_ticks = 10,
                            .value = SLICE("4"),
                            .float_increment = SLICE("1.5")};
    struct change joined = number, begun = counter(150, 140, 3);
    above.increment = 4;
    later.increment = 11;
    joined.key = SLICE("j");
    joined.stamp = stamp_make(140, 1);
    joined.float_increment = SLICE("");
    note(REF, 100, &above);
    note(REF, 110, &later);
    note(REF, 120, &number);
    note(REF, 130, &joined);
    note(REF, 140, &begun);
    struct counter_total total;
    struct counter_place place = place_of(10);
    assert_true(counter_history_find(history, &place, &total));
    assert_int_equal(total.total, 5);
    place.key = SLICE("f");
    assert_true(counter_history_find(history, &place, &total));
    assert_true(total.is_float && total.float_total == 2.5L);
    place.key = SLICE("j");
    assert_false(counter_history_find(history, &place, &total));
    place = place_of(140); /* the mesh has nothing of it */
    assert_false(counter_history_find(history, &place, &total));
}

/* What came between the limit and the beginning of the log is not known. */
static void a_log_that_begins_later_tells_nothing(void **state) {
    (void)state;
    struct change change = counter(110, 10, 9);
    change.increment = 4;
    note(REF, 101, &change);
    struct counter_total total;
    struct counter_place place = place_of(10);
    assert_false(counter_history_find(history, &place, &total));
}

static void places_are_told_apart(void **state) {
    (void)state;
    struct change change = counter(10, 10, 1), field = counter(20, 10, 2),
                  elsewhere = counter(30, 10, 3), later = counter(40, 40, 4);
    field.type = VALUE_HASH;
    field.element = SLICE("f");
    elsewhere.db = 1;
    note(REF, 0, &change);
    note(REF, 10, &field);
    note(REF, 20, &elsewhere);
    note(REF, 30, &later);
    note(OTHER_REF, 0, &later);
    struct counter_total total;
    struct counter_place place = place_of(10);
    assert_true(counter_history_find(history, &place, &total));
    assert_int_equal(total.total, 1);
    place.number = 1;
    assert_true(counter_history_find(history, &place, &total));
    assert_int_equal(total.total, 3);
    place = place_of(40);
    assert_true(counter_history_find(history, &place, &total));
    assert_int_equal(total.total, 4);
    place = place_of(10);
    place.type = VALUE_HASH;
    assert_false(counter_history_find(history, &place, &total));
    place.element = SLICE("f");
    assert_true(counter_history_find(history, &place, &total));
    assert_int_equal(total.total, 2);
}

static void floats_are_numbers(void **state) {
    (void)state;
    struct change change = counter(10, 10, 0);
    change.kind = CHANGE_FLOAT_COUNTER;
    change.value = SLICE("2.5");
    note(REF, 0, &change);
    struct counter_total total;
    struct counter_place place = place_of(10);
    assert_true(counter_history_find(history, &place, &total));
    assert_true(total.is_float);
    assert_true(total.float_total == 2.5L);
}

/* What was joined may have left out the total in question. */
static void a_record_on_both_sides_blurs(void **state) {
    (void)state;
    struct change before = counter(10, 10, 1), across = counter(120, 10, 9);
    struct counter_total total;
    struct counter_place place = place_of(10);
    note(REF, 0, &before);
    note(OTHER_REF, 0, &before);
    note(REF, 10, &across);
    assert_false(counter_history_find(history, &place, &total));
    place.ref = OTHER_REF;
    assert_true(counter_history_find(history, &place, &total));
}

static void many_are_found_again(void **state) {
    (void)state;
    struct counter_total total;
    struct counter_place place = place_of(10);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 5000; i++) {
            char name[16];
            struct change change = counter(10, 10, i);
            change.key = slice_make(name, (size_t)snprintf(name, sizeof(name), "c%d", i));
            place.key = change.key;
            if (pass == 0) {
                note(REF, 0, &change);
            } else {
                assert_true(counter_history_find(history, &place, &total));
                assert_int_equal(total.total, i);
            }
        }
    }
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_newest_total_below_the_limit),
        TEST(the_first_change_above_the_limit_tells),
        TEST(a_log_that_begins_later_tells_nothing),
        TEST(places_are_told_apart),
        TEST(floats_are_numbers),
        TEST(a_record_on_both_sides_blurs),
        TEST(many_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
