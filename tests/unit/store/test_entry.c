/* SPDX-License-Identifier: BSD-3-Clause */
/* Entries: every kind, with keys and values around the sizes where the layout changes, put together
 * and taken apart again; and overwriting in place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/check.h"
#include "store/entry.h"
#include "unit/seed.h"

static char text[70000];

static void assert_parts_equal(const struct entry_parts *a, const struct entry_parts *b) {
    require(a->kind == b->kind);
    require(a->stamp == b->stamp);
    require(a->flags == b->flags);
    require(a->access == b->access);
    require(slice_equal(a->key, b->key));
    require(a->has_expiry == b->has_expiry);
    require(a->expire_unix_ms == b->expire_unix_ms);
    require(a->expire_stamp == b->expire_stamp);
    require(slice_equal(a->bytes, b->bytes));
    require(a->integer == b->integer);
    require(a->start_ticks == b->start_ticks);
    require(a->total == b->total);
    require(a->register_stamp == b->register_stamp);
    require(a->float_total == b->float_total);
    require(a->float_register == b->float_register);
    require(a->large == b->large);
}

static void round_trip(const struct entry_parts *parts) {
    struct entry *entry = entry_new(parts);
    struct entry_parts again;
    require(entry != NULL);
    require((uintptr_t)entry % 16 == 0);
    entry_take_apart(entry, &again);
    assert_parts_equal(parts, &again);
    require(entry_kind(entry) == parts->kind);
    require(entry_access(entry) == parts->access);
    require(entry_expire_unix_ms(entry) == parts->expire_unix_ms);
    require(entry_expire_stamp(entry) ==
            (parts->expire_stamp != 0 ? parts->expire_stamp : parts->stamp));
    require(entry_newest_stamp(entry) ==
            (parts->expire_stamp > parts->stamp ? parts->expire_stamp : parts->stamp));
    require(entry_memory_bytes(entry) >= entry_block_bytes(entry));
    entry_set_access(entry, 0xFFFFFF);
    require(entry_access(entry) == 0xFFFFFF);
    require(entry_kind(entry) == parts->kind);
    if (parts->kind == ENTRY_BYTES) {
        struct entry_scratch scratch;
        require(slice_equal(entry_value(entry, &scratch), parts->bytes));
    }
    if (parts->kind == ENTRY_LARGE) {
        /* It stays the caller's for the next round. */
        memory_free_sized(entry, entry_block_bytes(entry));
    } else {
        entry_free(entry);
    }
}

static void all_kinds_come_back(void **state) {
    (void)state;
    static const size_t key_sizes[] = {0, 1, 16, 253, 254, 255, 256, 65535, 65536};
    static const size_t value_sizes[] = {0, 1, 252, 253, 254, 255, 256, 4000, 65535, 65536};
    struct large_string *large = large_string_new(5000, 5000);
    assert_int_equal(large->capacity, 5000);
    memset(text, 't', sizeof(text));
    for (unsigned k = 0; k < 9; k++) {
        for (unsigned expiry = 0; expiry < 4; expiry++) {
            struct entry_parts common = {
                .stamp = 1000,
                .flags = k % 2 == 0 ? ENTRY_EDITED : 0,
                .access = 0xABCDEF,
                .key = slice_make(text, key_sizes[k]),
                .has_expiry = expiry % 2 == 1,
                .expire_unix_ms = expiry % 2 == 1 ? 1800000000000 : 0,
                .expire_stamp = expiry >= 2 ? 999 + (k % 2) * 2 : 0,
            };
            struct entry_parts parts = common;
            for (unsigned v = 0; v < 10; v++) {
                parts.bytes = slice_make(text, value_sizes[v]);
                round_trip(&parts);
            }
            parts = common;
            parts.kind = ENTRY_INTEGER;
            parts.integer = INT64_MIN;
            round_trip(&parts);
            parts = common;
            parts.kind = ENTRY_COUNTER;
            parts.start_ticks = 77;
            parts.total = INT64_MAX;
            round_trip(&parts);
            parts.kind = ENTRY_COUNTER_REGISTER;
            parts.register_stamp = 55;
            parts.integer = -1;
            round_trip(&parts);
            parts = common;
            parts.kind = ENTRY_FLOAT_COUNTER;
            parts.start_ticks = 77;
            parts.register_stamp = 0;
            parts.float_total = 1.0L / 3;
            parts.float_register = -1e4000L;
            round_trip(&parts);
            parts = common;
            parts.kind = ENTRY_LARGE;
            parts.large = large;
            round_trip(&parts);
        }
    }
    large_string_free(large);
}

/* Bytes in the middle of a block that came from elsewhere; they leave it when they outgrow it. */
static void large_strings_in_a_block(void **state) {
    (void)state;
    enum { BEFORE = 13, SIZE = 7000, ROOM = 100 };
    char *block = memory_alloc(BEFORE + SIZE + ROOM);
    memset(block, 'b', BEFORE + SIZE + ROOM);
    memset(block + BEFORE, 'v', SIZE);
    struct large_string *large = large_string_adopt(block, block + BEFORE, SIZE, SIZE + ROOM);
    struct large_string *same = large;
    assert_true(large_string_reserve(&large, SIZE + ROOM));
    assert_ptr_equal(large, same);
    large_string_extend(large, SIZE + ROOM);
    assert_int_equal(large->bytes[SIZE - 1], 'v');
    assert_int_equal(large->bytes[SIZE], '\0');
    assert_true(large_string_reserve(&large, SIZE + ROOM + 1));
    large_string_extend(large, SIZE + ROOM + 1);
    assert_null(large->block);
    for (size_t i = 0; i < SIZE; i++) {
        assert_int_equal(large->bytes[i], 'v');
    }
    assert_true(large_string_reserve(&large, 100 * SIZE)); /* and grow by themselves */
    assert_int_equal(large->bytes[SIZE - 1], 'v');
    large_string_free(large);
}

/* A stamp of the expiry that equals the value's takes no place. */
static void an_equal_stamp_takes_no_place(void **state) {
    (void)state;
    struct entry_parts parts = {.stamp = 7, .key = SLICE("k"), .expire_stamp = 7};
    struct entry *entry = entry_new(&parts);
    assert_int_equal(entry->meta & (ENTRY_HAS_EXPIRY | ENTRY_HAS_EXPIRY_STAMP), 0);
    assert_int_equal(entry_expire_stamp(entry), 7);
    entry_free(entry);
}

static void a_small_entry_is_small(void **state) {
    (void)state;
    /* 12 bytes of header, key and value with a byte of length each: 48 for 16 and 8 bytes. */
    struct entry_parts parts = {
        .stamp = 7, .key = slice_make(text, 16), .bytes = slice_make(text, 8)};
    struct entry *entry = entry_new(&parts);
    assert_int_equal(entry_memory_bytes(entry), 48);
    entry_free(entry);
}

static void values_of_numbers(void **state) {
    (void)state;
    static const struct {
        enum entry_kind kind;
        int64_t integer, total;
        const char *text;
    } cases[] = {
        {ENTRY_INTEGER, -5, 0, "-5"},
        {ENTRY_COUNTER, 99, INT64_MIN, "-9223372036854775808"},
        {ENTRY_COUNTER_REGISTER, 10, -12, "-2"},
        {ENTRY_COUNTER_REGISTER, INT64_MAX, INT64_MIN, "-1"},
        /* Only a merge can bring these about. */
        {ENTRY_COUNTER_REGISTER, INT64_MAX, 1, "9223372036854775807"},
        {ENTRY_COUNTER_REGISTER, INT64_MIN, -1, "-9223372036854775808"},
    };
    for (unsigned i = 0; i < 6; i++) {
        struct entry_parts parts = {.kind = cases[i].kind,
                                    .key = SLICE("k"),
                                    .integer = cases[i].integer,
                                    .total = cases[i].total};
        struct entry *entry = entry_new(&parts);
        struct entry_scratch scratch;
        int64_t integer, expected;
        assert_true(slice_equal(entry_value(entry, &scratch), slice_of(cases[i].text)));
        assert_int_equal(entry_value_bytes(entry), strlen(cases[i].text));
        assert_true(number_parse_integer(slice_of(cases[i].text), &expected));
        assert_true(entry_integer(entry, &integer));
        assert_int_equal(integer, expected);
        entry_free(entry);
    }
    struct entry_parts parts = {.kind = ENTRY_FLOAT_COUNTER,
                                .key = SLICE("k"),
                                .float_total = 1.25L,
                                .float_register = 1.75L};
    struct entry *entry = entry_new(&parts);
    struct entry_scratch scratch;
    int64_t integer;
    assert_true(slice_equal(entry_value(entry, &scratch), SLICE("3")));
    assert_true(entry_integer(entry, &integer));
    assert_int_equal(integer, 3);
    entry_free(entry);
}

/* Whenever it says yes the value is there and everything else is as before. */
static void overwriting_in_place(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "overwriting_in_place", 0);
    for (unsigned round = 0; round < 300; round++) {
        struct entry_parts parts = {.stamp = 9,
                                    .access = 5,
                                    .key = slice_make(text, prng_below(&prng, 300)),
                                    .bytes = slice_make(text + 300, prng_below(&prng, 4001))};
        struct entry *entry = entry_new(&parts);
        for (unsigned i = 0; i < 50; i++) {
            size_t room = entry_block_bytes(entry), size = prng_below(&prng, 4001);
            if (i % 2 == 0) {
                size = parts.bytes.size + prng_below(&prng, 9) - 4;
                size = size > 4000 ? 0 : size;
            }
            char value[4001];
            memset(value, (int)i, size);
            bool same_size = size == parts.bytes.size;
            bool is_done = entry_overwrite_bytes(entry, slice_make(value, size));
            require(is_done || !same_size);
            struct entry_scratch scratch;
            require(slice_equal(entry_key(entry), parts.key));
            require(entry_block_bytes(entry) == room);
            if (is_done) {
                require(slice_equal(entry_value(entry, &scratch), slice_make(value, size)));
                parts.bytes.size = size;
            } else {
                require(entry_value_bytes(entry) == parts.bytes.size);
            }
        }
        entry_free(entry);
    }
    struct entry_parts parts = {
        .key = SLICE("k"), .bytes = SLICE("12"), .has_expiry = true, .expire_unix_ms = 5};
    struct entry *entry = entry_new(&parts);
    assert_false(entry_overwrite_bytes(entry, SLICE("34")));
    entry_free(entry);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_come_back),
        cmocka_unit_test(large_strings_in_a_block),
        cmocka_unit_test(an_equal_stamp_takes_no_place),
        cmocka_unit_test(a_small_entry_is_small),
        cmocka_unit_test(values_of_numbers),
        cmocka_unit_test(overwriting_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
