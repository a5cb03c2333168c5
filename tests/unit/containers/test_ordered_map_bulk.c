/* SPDX-License-Identifier: BSD-3-Clause */
/* Ordered maps in bulk: a copy holds what the map holds, and goes its own way; what was appended in
 * bulk is what was pushed one by one, before and after other changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "containers/ordered_map_bulk.h"
#include "unit/seed.h"

static char bytes[ORDERED_MAP_INLINE_BYTES + 1];

static void put_name(char name[8], uint64_t number) {
    for (int i = 0; i < 8; i++) {
        name[i] = (char)(number >> (56 - 8 * i));
    }
}

static struct slice random_value(struct prng *prng) {
    static const size_t SIZES[] = {4, 12, 13, 60, ORDERED_MAP_INLINE_BYTES};
    size_t size = SIZES[prng_below(prng, sizeof(SIZES) / sizeof(SIZES[0]))];
    return slice_make(bytes, prng_below(prng, size + 1));
}

static void push(struct ordered_map **map, const struct ordered_map_element *element) {
    struct ordered_map_cursor last;
    bool is_there = ordered_map_last(*map, &last);
    assert_true(ordered_map_push(map, is_there ? &last : NULL, false, element));
}

static void assert_same(const struct ordered_map *a, const struct ordered_map *b) {
    struct ordered_map_cursor at, other;
    bool is_there = ordered_map_first(a, &at);
    assert_int_equal(ordered_map_first(b, &other), is_there);
    while (is_there) {
        require(slice_equal(at.element.name, other.element.name));
        require(at.element.stamp == other.element.stamp);
        require(at.element.flags == other.element.flags);
        require(slice_equal(at.element.value, other.element.value));
        is_there = ordered_map_next(a, &at);
        require(ordered_map_next(b, &other) == is_there);
    }
    ordered_map_check(a);
    ordered_map_check(b);
}

/* Takes out a range, the same one of both. */
static void remove_some(struct prng *prng, struct ordered_map **a, struct ordered_map **b) {
    struct ordered_map_cursor cursor;
    uint64_t count = ordered_map_count(*a), rank = prng_below(prng, count);
    uint64_t removed = 1 + prng_below(prng, count - rank);
    removed = removed == count ? 1 : removed;
    struct ordered_map **maps[] = {a, b};
    for (unsigned i = 0; i < 2; i++) {
        assert_true(ordered_map_at(*maps[i], rank, &cursor));
        (void)ordered_map_remove_range(maps[i], &cursor, removed, NULL, NULL);
    }
}

static void appended_and_pushed(void **state) {
    (void)state;
    struct prng prng;
    for (unsigned part = 0; part < 60; part++) {
        struct ordered_map *map = NULL, *model = NULL;
        seed_prng(&prng, "appended_and_pushed", part);
        uint64_t number = prng_below(&prng, 1000), stamp = 1 << 20;
        for (unsigned step = 0; step < 12; step++) {
            char name[8];
            struct ordered_map_bulk bulk;
            struct ordered_map_element element = {.name = slice_make(name, sizeof(name))};
            uint64_t count = prng_below(&prng, 4) * prng_below(&prng, 400);
            for (uint64_t i = 0; i <= count; i++) {
                put_name(name, number++);
                stamp += prng_below(&prng, 3) == 0 ? prng_next(&prng) >> 30 : 1 << 10;
                element.stamp = stamp;
                element.value = random_value(&prng);
                push(&model, &element);
                if (i == 0) {
                    push(&map, &element);
                    ordered_map_bulk_begin(&bulk, &map);
                } else {
                    ordered_map_bulk_append(&bulk, &element);
                }
            }
            ordered_map_bulk_end(&bulk);
            assert_same(map, model);
            number += prng_below(&prng, 2) * prng_below(&prng, 1000);
            remove_some(&prng, &map, &model);
            assert_same(map, model);
        }
        ordered_map_free(&map, NULL, NULL);
        ordered_map_free(&model, NULL, NULL);
    }
}

static void copies_go_their_own_way(void **state) {
    (void)state;
    struct prng prng;
    for (unsigned part = 0; part < 60; part++) {
        struct ordered_map *map = NULL;
        seed_prng(&prng, "copies_go_their_own_way", part);
        uint64_t count = 1 + prng_below(&prng, part < 10 ? 30 : 8000);
        for (uint64_t i = 0; i < count; i++) {
            char name[8];
            put_name(name, prng_below(&prng, 2) + 2 * i);
            struct ordered_map_element element = {.name = slice_make(name, sizeof(name)),
                                                  .stamp = (i + 1) << 10,
                                                  .value = random_value(&prng)};
            push(&map, &element);
        }
        struct ordered_map *copy = ordered_map_bulk_copy(map), *again;
        assert_non_null(copy);
        assert_same(map, copy);
        struct ordered_map_cursor cursor;
        assert_true(ordered_map_at(map, prng_below(&prng, count), &cursor));
        assert_true(ordered_map_replace(&map, &cursor, 7, 0, SLICE("other")));
        again = ordered_map_bulk_copy(map);
        assert_same(map, again);
        ordered_map_free(&map, NULL, NULL);
        ordered_map_check(copy);
        assert_int_equal(ordered_map_count(copy), count);
        ordered_map_free(&copy, NULL, NULL);
        ordered_map_free(&again, NULL, NULL);
    }
}

/* What refers to something else is not copied so. */
static void blocks_and_flags_stay(void **state) {
    (void)state;
    for (unsigned are_many = 0; are_many < 2; are_many++) {
        for (unsigned is_flagged = 0; is_flagged < 2; is_flagged++) {
            struct ordered_map *map = NULL;
            for (uint64_t i = 0; i < (are_many != 0 ? 2000 : 3); i++) {
                char name[8];
                put_name(name, i);
                struct ordered_map_element element = {.name = slice_make(name, sizeof(name)),
                                                      .value = SLICE("value")};
                if (i == 2) {
                    element.flags = is_flagged;
                    element.value = is_flagged != 0 ? SLICE("") : slice_make(bytes, sizeof(bytes));
                }
                push(&map, &element);
            }
            assert_null(ordered_map_bulk_copy(map));
            ordered_map_free(&map, NULL, NULL);
        }
    }
}

/* It passes over names that follow each other, and the next one is what comes behind. */
static void successors_are_passed(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "successors_are_passed", 0);
    struct ordered_map *map = NULL;
    enum { COUNT = 3000 };
    static uint64_t numbers[COUNT];
    uint64_t number = 0, rank = 0, passed_count = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        char name[8];
        number += prng_below(&prng, 20) == 0 ? 1000 : 1;
        numbers[i] = number;
        put_name(name, number);
        struct ordered_map_element element = {.name = slice_make(name, sizeof(name)),
                                              .stamp = (i + 1) << 10,
                                              .value = random_value(&prng)};
        push(&map, &element);
    }
    struct ordered_map_cursor cursor;
    for (bool is_there = ordered_map_first(map, &cursor); is_there;) {
        char name[8];
        put_name(name, numbers[rank]);
        require(slice_equal(cursor.element.name, slice_make(name, sizeof(name))));
        uint64_t count = prng_below(&prng, 50);
        uint64_t passed = ordered_map_skip_successors(&cursor, count);
        require(passed <= count);
        rank += passed;
        passed_count += passed;
        put_name(name, numbers[rank]);
        require(numbers[rank] - numbers[rank - passed] == passed);
        require(slice_equal(slice_make(cursor.name, cursor.name_size), slice_make(name, 8)));
        is_there = ordered_map_next(map, &cursor);
        rank++;
    }
    assert_int_equal(rank, COUNT);
    assert_true(passed_count > COUNT / 2);
    ordered_map_free(&map, NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appended_and_pushed),
        cmocka_unit_test(copies_go_their_own_way),
        cmocka_unit_test(blocks_and_flags_stay),
        cmocka_unit_test(successors_are_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
