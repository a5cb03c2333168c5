/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "store/made_counters.h"

enum { LIFE = 77, MAKER = 78, FROM = 100, MADE = 200 };

static struct made_counters *made;
static const struct replica LIFE_ENDED = {.ref = LIFE,
                                          .is_ended = true,
                                          .ended_ticks = FROM,
                                          .made_ticks = MADE,
                                          .made_from_ticks = FROM,
                                          .maker_ref = MAKER};
static const struct seen_place PLACE = {.number = 3, .key = {"c", 1}};

static int setup(void **state) {
    (void)state;
    made = made_counters_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    made_counters_free(made);
    return 0;
}

static void note_record(uint64_t previous_ticks, struct change *changes, unsigned count) {
    struct change_writer writer = {.is_on = true};
    for (unsigned i = 0; i < count; i++) {
        changes[i].db = 3;
        change_writer_add(&writer, &changes[i]);
    }
    change_writer_end_unit(&writer);
    struct stream_record record = {.ref = LIFE,
                                   .previous_ticks = previous_ticks,
                                   .last_ticks = stamp_ticks(changes[count - 1].stamp),
                                   .batch = buffer_slice(&writer.bytes)};
    made_counters_note(made, &record, &LIFE_ENDED);
    buffer_deinit(&writer.bytes);
}

static void note(uint64_t ticks, struct change change) {
    change.stamp = stamp_make(ticks, 1);
    change.key = change.key.data == NULL ? SLICE("c") : change.key;
    note_record(ticks - 1, &change, 1);
}

static struct change counter(uint64_t start_ticks, int64_t total, int64_t increment) {
    return (struct change){
        .kind = CHANGE_COUNTER, .start_ticks = start_ticks, .total = total, .increment = increment};
}

static void take(uint64_t start_ticks, uint64_t ticks, int64_t total, bool is_known) {
    struct change_take part = {
        .ref = LIFE, .start_ticks = start_ticks, .ticks = ticks, .total = total};
    made_counters_note_take(made, &PLACE, &LIFE_ENDED, &part, is_known);
}

/* 0: nothing. */
static long double amount(void) {
    long double found;
    return made_counters_find(made, &PLACE, MAKER, &found) ? found : 0;
}

static void what_the_maker_did_not_know(void **state) {
    (void)state;
    note(50, counter(50, 10, 10));    /* the mesh has this */
    note(150, counter(50, 13, 3));    /* made again */
    note(160, counter(50, 18, 5));    /* likewise */
    note(250, counter(50, 118, 100)); /* not made again */
    take(50, 150, 13, true);
    take(50, 160, 18, false);
    assert_true(amount() == 5);
    long double found;
    struct seen_place element = {
        .number = 3, .type = VALUE_HASH, .key = {"c", 1}, .element = {"f", 1}};
    assert_false(made_counters_find(made, &element, MAKER, &found));
    assert_false(made_counters_find(made, &PLACE, LIFE, &found));
    assert_false(made_counters_find(NULL, &PLACE, MAKER, &found));
}

static void no_more_than_was_made_again(void **state) {
    (void)state;
    note(150, counter(50, 13, 3));
    note(250, counter(50, 113, 100));
    take(50, 250, 113, false);
    assert_true(amount() == 3);
}

static void what_the_mesh_had_is_not_made_again(void **state) {
    (void)state;
    note(50, counter(50, 10, 10));
    take(50, 50, 10, false);
    assert_true(amount() == 0);
}

static void what_the_maker_knew(void **state) {
    (void)state;
    note(150, counter(50, 13, 3));
    take(50, 150, 13, true);
    take(50, 150, 13, false);
    assert_true(amount() == 0);
}

/* Each of a part's beginnings counts for itself, and so do parts of several lives. */
static void amounts_add_up(void **state) {
    (void)state;
    note(110, counter(110, 3, 3));
    note(120, counter(120, 4, 4));
    take(110, 110, 3, false);
    take(120, 120, 4, false);
    assert_true(amount() == 7);
}

static void its_own_removal_has_no_take(void **state) {
    (void)state;
    note(110, counter(110, 3, 3));
    note(MADE, (struct change){.kind = CHANGE_DELETE}); /* the maker knows */
    assert_true(amount() == 0);
    made_counters_free(made);
    made = made_counters_new();
    note(110, counter(110, 3, 3));
    note(MADE + 1, (struct change){.kind = CHANGE_SET, .value = SLICE("5")});
    assert_true(amount() == 3);
    made_counters_free(made);
    made = made_counters_new();
    note(110, counter(110, 3, 3));
    note(MADE + 1, (struct change){.kind = CHANGE_DELETE, .key = SLICE("another")});
    note(MADE + 2, (struct change){.kind = CHANGE_FLUSH_ALL});
    assert_true(amount() == 3);
}

static void floats(void **state) {
    (void)state;
    struct change change = {.kind = CHANGE_FLOAT_COUNTER,
                            .start_ticks = 50,
                            .value = SLICE("2.75"),
                            .float_increment = SLICE("0.5")};
    note(150, change);
    struct change_take part = {
        .ref = LIFE, .start_ticks = 50, .ticks = 150, .is_float = true, .text = SLICE("2.75")};
    made_counters_note_take(made, &PLACE, &LIFE_ENDED, &part, false);
    assert_true(amount() == 0.5L);
}

/* Increments from before and after may be one there. */
static void joined_records_tell_nothing(void **state) {
    (void)state;
    struct change across[1] = {counter(50, 13, 13)};
    across[0].key = SLICE("c");
    across[0].stamp = stamp_make(150, 1);
    note_record(40, across, 1);
    take(50, 150, 13, false);
    assert_true(amount() == 0);
    made_counters_free(made);
    made = made_counters_new();
    note(150, counter(50, 13, 3));
    across[0].stamp = stamp_make(250, 1);
    note_record(190, across, 1);
    take(50, 250, 113, false);
    assert_true(amount() == 0);
}

static void many_are_found_again(void **state) {
    (void)state;
    enum { KEYS = 5000 };
    char name[16];
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        struct change change = counter(110, i + 1, i + 1);
        change.key = slice_make(name, strlen(name));
        note(110, change);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        note(210, (struct change){.kind = CHANGE_DELETE, .key = slice_make(name, strlen(name))});
    }
    for (unsigned i = 0; i < 2 * KEYS; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        struct seen_place place = {.number = 3, .key = slice_make(name, strlen(name))};
        long double found;
        bool is_found = made_counters_find(made, &place, MAKER, &found);
        assert_int_equal(is_found, i < KEYS);
        assert_true(!is_found || found == i + 1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_the_maker_did_not_know),
        TEST(no_more_than_was_made_again),
        TEST(what_the_mesh_had_is_not_made_again),
        TEST(what_the_maker_knew),
        TEST(amounts_add_up),
        TEST(its_own_removal_has_no_take),
        TEST(floats),
        TEST(joined_records_tell_nothing),
        TEST(many_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
