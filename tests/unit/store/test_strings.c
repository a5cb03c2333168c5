/* SPDX-License-Identifier: BSD-3-Clause */
/* The string mutators one by one: which kind of entry and which change each makes. (test_store.c
 * has the random histories of all of them.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/store/history.h"

static struct store store;

static int setup(void **state) {
    (void)state;
    struct store_opts opts = {.dbs_count = 2, .seed = 1};
    store_init(&store, &opts);
    store.journal.is_on = true;
    store_set_now(&store, INT64_C(1800000000000));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    store_check(&store);
    store_deinit(&store);
    return 0;
}

static struct key name(const char *text) {
    return store_key(&store, 0, slice_of(text));
}

static void set(const char *text, struct slice value) {
    struct key key = name(text);
    assert_int_equal(strings_set(&store, &key, value, 0), STORE_OK);
}

static void assert_value(const char *text, enum entry_kind kind, const char *value) {
    struct key key = name(text);
    struct entry *entry = store_peek(&store, &key);
    struct entry_scratch scratch;
    assert_non_null(entry);
    assert_int_equal(entry_kind(entry), kind);
    assert_true(slice_equal(entry_value(entry, &scratch), slice_of(value)));
}

/* The changes recorded since the last call are one unit of these kinds. */
static void assert_unit(const enum change_kind *kinds, unsigned count) {
    struct change_reader reader;
    struct change change;
    store_end_unit(&store);
    assert_true(change_reader_init(&reader, buffer_slice(&store.journal.bytes), 1));
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(change_reader_next(&reader, &change), CHANGE_OK);
        assert_int_equal(change.kind, kinds[i]);
        assert_int_equal(change.goes_on, i + 1 < count);
    }
    assert_int_equal(change_reader_next(&reader, &change), CHANGE_END);
    change_writer_clear(&store.journal);
}

#define ASSERT_UNIT(...)                                                                           \
    assert_unit((const enum change_kind[]){__VA_ARGS__},                                           \
                sizeof((enum change_kind[]){__VA_ARGS__}) / sizeof(enum change_kind))

static void canonical_integers_are_integers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum entry_kind kind;
    } cases[] = {{"0", ENTRY_INTEGER},
                 {"-1", ENTRY_INTEGER},
                 {"00", ENTRY_BYTES},
                 {"+1", ENTRY_BYTES},
                 {"-0", ENTRY_BYTES},
                 {"1.0", ENTRY_BYTES},
                 {"", ENTRY_BYTES},
                 {"9223372036854775807", ENTRY_INTEGER},
                 {"-9223372036854775808", ENTRY_INTEGER},
                 {"9223372036854775808", ENTRY_BYTES}};
    for (unsigned i = 0; i < 10; i++) {
        set("k", slice_of(cases[i].text));
        assert_value("k", cases[i].kind, cases[i].text);
    }
}

static void counters_begin_where_they_are(void **state) {
    (void)state;
    struct key fresh = name("fresh"), given = name("given"), timed = name("timed");
    int64_t result;
    assert_int_equal(strings_add_integer(&store, &fresh, 5, &result), STORE_OK);
    assert_value("fresh", ENTRY_COUNTER, "5");
    ASSERT_UNIT(CHANGE_COUNTER);
    set("given", SLICE("10"));
    ASSERT_UNIT(CHANGE_SET);
    assert_int_equal(strings_add_integer(&store, &given, -3, &result), STORE_OK);
    assert_int_equal(result, 7);
    assert_value("given", ENTRY_COUNTER_REGISTER, "7");
    ASSERT_UNIT(CHANGE_COUNTER);
    /* The expiry stays. */
    assert_int_equal(strings_set(&store, &timed, SLICE("1"), (uint64_t)store.now_ms + 10),
                     STORE_OK);
    assert_int_equal(strings_add_integer(&store, &timed, 1, &result), STORE_OK);
    assert_int_equal(entry_expire_unix_ms(store_peek(&store, &timed)), store.now_ms + 10);
    ASSERT_UNIT(CHANGE_SET_EXPIRING, CHANGE_COUNTER);
    /* An expired key is absent: that is recorded before. */
    store_set_now(&store, store.now_ms + 10);
    assert_int_equal(strings_add_integer(&store, &timed, 1, &result), STORE_OK);
    assert_int_equal(result, 1);
    assert_value("timed", ENTRY_COUNTER, "1");
    ASSERT_UNIT(CHANGE_DELETE, CHANGE_COUNTER);
}

static void what_fails_changes_nothing(void **state) {
    (void)state;
    set("text", SLICE("abc"));
    set("max", SLICE("9223372036854775807"));
    set("float", SLICE("1e4932"));
    ASSERT_UNIT(CHANGE_SET, CHANGE_SET, CHANGE_SET);
    struct key word = name("text"), max = name("max"), real = name("float");
    int64_t result;
    long double sum;
    assert_int_equal(strings_add_integer(&store, &word, 1, &result), STORE_NOT_INTEGER);
    assert_int_equal(strings_add_integer(&store, &max, 1, &result), STORE_OVERFLOW);
    assert_int_equal(strings_add_float(&store, &word, 1, &sum), STORE_NOT_FLOAT);
    assert_int_equal(strings_add_float(&store, &real, 1e4932L, &sum), STORE_NOT_FINITE);
    assert_int_equal(store.journal.bytes.size, 0);
    assert_value("text", ENTRY_BYTES, "abc");
    assert_value("max", ENTRY_INTEGER, "9223372036854775807");
    assert_value("float", ENTRY_BYTES, "1e4932");
}

/* The part alone may leave the range while the sum is in it: it begins anew from a register. */
static void a_part_that_outgrows_its_range(void **state) {
    (void)state;
    struct key key = name("k");
    int64_t result;
    set("k", SLICE("-9223372036854775808"));
    assert_int_equal(strings_add_integer(&store, &key, INT64_MAX, &result), STORE_OK);
    assert_int_equal(strings_add_integer(&store, &key, INT64_MAX, &result), STORE_OK);
    assert_int_equal(result, INT64_MAX - 1);
    assert_value("k", ENTRY_INTEGER, "9223372036854775806");
    ASSERT_UNIT(CHANGE_SET, CHANGE_COUNTER, CHANGE_SET_KEEPING);
    assert_int_equal(strings_add_integer(&store, &key, -6, &result), STORE_OK);
    assert_value("k", ENTRY_COUNTER_REGISTER, "9223372036854775800");
}

/* As INCRBYFLOAT's documentation has it. */
static void floats_as_documented(void **state) {
    (void)state;
    struct key key = name("k");
    long double sum;
    int64_t result;
    set("k", SLICE("10.50"));
    assert_int_equal(strings_add_float(&store, &key, 0.1L, &sum), STORE_OK);
    assert_value("k", ENTRY_FLOAT_COUNTER, "10.6");
    set("k", SLICE("5.0e3"));
    assert_int_equal(strings_add_float(&store, &key, 2.0e2L, &sum), STORE_OK);
    assert_value("k", ENTRY_FLOAT_COUNTER, "5200");
    /* An integer command may follow while the value is whole. */
    assert_int_equal(strings_add_integer(&store, &key, 5, &result), STORE_OK);
    assert_int_equal(result, 5205);
    assert_value("k", ENTRY_FLOAT_COUNTER, "5205");
    assert_int_equal(strings_add_float(&store, &key, 0.5L, &sum), STORE_OK);
    assert_int_equal(strings_add_integer(&store, &key, 5, &result), STORE_NOT_INTEGER);
    /* And from a counter. */
    struct key counter = name("counter");
    assert_int_equal(strings_add_integer(&store, &counter, 3, &result), STORE_OK);
    assert_int_equal(strings_add_float(&store, &counter, 0.14L, &sum), STORE_OK);
    assert_value("counter", ENTRY_FLOAT_COUNTER, "3.14");
}

/* A fraction that the value has swallowed may not come back: INCR's reply is the value. */
static void large_floats_count_exactly(void **state) {
    (void)state;
    struct key key = name("k");
    long double sum;
    int64_t result;
    set("k", SLICE("-0.25"));
    assert_int_equal(strings_add_float(&store, &key, -4611686018427387060.0L, &sum), STORE_OK);
    assert_value("k", ENTRY_FLOAT_COUNTER, "-4611686018427387060.25");
    set("k", SLICE("-0.25"));
    assert_int_equal(strings_add_float(&store, &key, -9223372036854775000.0L, &sum), STORE_OK);
    assert_value("k", ENTRY_FLOAT_COUNTER, "-9223372036854775000");
    assert_int_equal(strings_add_integer(&store, &key, INT64_MAX, &result), STORE_OK);
    assert_int_equal(result, 807);
    struct entry_scratch scratch;
    assert_true(slice_equal(entry_value(store_peek(&store, &key), &scratch), SLICE("807")));
}

static void patches_extend_with_zeros(void **state) {
    (void)state;
    struct key key = name("k");
    struct entry_scratch scratch;
    uint64_t size;
    assert_int_equal(strings_patch(&store, &key, 3, SLICE("ab"), &size), STORE_OK);
    assert_int_equal(size, 5);
    assert_true(slice_equal(entry_value(store_peek(&store, &key), &scratch), SLICE("\0\0\0ab")));
    ASSERT_UNIT(CHANGE_SET_KEEPING);
    /* A small value that grows large is patched; what it was need not be said again. */
    assert_int_equal(strings_patch(&store, &key, ENTRY_INLINE_VALUE_BYTES_MAX, SLICE("z"), &size),
                     STORE_OK);
    assert_int_equal(size, ENTRY_INLINE_VALUE_BYTES_MAX + 1);
    assert_int_equal(entry_kind(store_peek(&store, &key)), ENTRY_LARGE);
    ASSERT_UNIT(CHANGE_PATCH);
    struct slice value = entry_value(store_peek(&store, &key), &scratch);
    assert_memory_equal(value.data, "\0\0\0ab\0", 6);
    assert_int_equal(value.data[ENTRY_INLINE_VALUE_BYTES_MAX], 'z');
    /* Far out in a large one, a bit costs a few bytes of record. */
    assert_int_equal(strings_patch(&store, &key, 100 << 20, SLICE("!"), &size), STORE_OK);
    assert_int_equal(size, (100 << 20) + 1);
    assert_true(store.journal.bytes.size < 40);
    ASSERT_UNIT(CHANGE_PATCH);
}

/* A value beyond the longest change is cut into a unit of several. */
static void very_large_values_are_cut(void **state) {
    (void)state;
    size_t size = (size_t)CHANGE_VALUE_BYTES_MAX + 10;
    char *bytes = memory_alloc(size);
    memset(bytes, 'v', size);
    struct store_opts opts = {.dbs_count = 2, .seed = 2};
    struct store replica;
    store_init(&replica, &opts);
    set("big", slice_make(bytes, size));
    store_end_unit(&store);
    history_replay(&replica, buffer_slice(&store.journal.bytes), STAMP_SLOT_SELF);
    assert_true(history_digests_equal(&store, &replica));
    ASSERT_UNIT(CHANGE_SET, CHANGE_MORE);
    struct key big = name("big"), other = store_key(&store, 1, SLICE("other"));
    assert_int_equal(strings_patch(&store, &big, 5, slice_make(bytes, size), NULL), STORE_OK);
    store_end_unit(&store);
    history_replay(&replica, buffer_slice(&store.journal.bytes), STAMP_SLOT_SELF);
    assert_true(history_digests_equal(&store, &replica));
    ASSERT_UNIT(CHANGE_PATCH, CHANGE_PATCH);
    assert_int_equal(store_rename(&store, &big, &other), STORE_OK);
    store_end_unit(&store);
    history_replay(&replica, buffer_slice(&store.journal.bytes), STAMP_SLOT_SELF);
    assert_true(history_digests_equal(&store, &replica));
    ASSERT_UNIT(CHANGE_SET, CHANGE_MORE, CHANGE_DELETE);
    store_check(&replica);
    store_deinit(&replica);
    memory_free(bytes);
}

/* Changes that no writer makes are refused, and the store stays sound. */
static void malformed_changes_are_refused(void **state) {
    (void)state;
    set("text", SLICE("abc"));
    uint64_t stamp = stamp_make(store.clock.ticks + 10, 2);
    const struct change changes[] = {
        {.kind = CHANGE_COUNTER, .stamp = stamp, .key = SLICE("text"), .total = 1},
        {.kind = CHANGE_FLOAT_COUNTER, .stamp = stamp, .key = SLICE("text"), .value = SLICE("1")},
        {.kind = CHANGE_FLOAT_COUNTER, .stamp = stamp, .key = SLICE("no"), .value = SLICE("x")},
        {.kind = CHANGE_REGISTERS, .stamp = stamp, .key = SLICE("no"), .value = SLICE("\0\0\1")},
        {.kind = CHANGE_REGISTERS, .stamp = stamp, .key = SLICE("text"), .value = SLICE("\0\0\1")},
        {.kind = CHANGE_PATCH,
         .stamp = stamp,
         .key = SLICE("no"),
         .offset = UINT64_MAX - 1,
         .value = SLICE("abc")},
        {.kind = CHANGE_SET, .stamp = stamp, .db = 2, .key = SLICE("no"), .value = SLICE("x")},
        {.kind = CHANGE_FLUSH, .stamp = stamp, .db = 65535},
        {.kind = CHANGE_SWAP, .stamp = stamp, .value = SLICE("\2")},
        {.kind = CHANGE_SWAP, .stamp = stamp, .value = SLICE("\1")},
        {.kind = CHANGE_SWAP, .stamp = stamp, .value = SLICE("\0\0")},
        {.kind = CHANGE_SWAP, .stamp = stamp, .value = SLICE("\1\0\2")},
    };
    for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        assert_int_equal(store_apply(&store, &changes[i]), STORE_MALFORMED);
        assert_false(context_covers(&store.context, stamp));
    }
    assert_int_equal(store_count(&store, 0), 1);
    assert_value("text", ENTRY_BYTES, "abc");
}

/* Whether the patch was settled before the raise came or not. No command patches nothing; a peer
 * might. */
static void a_patch_of_nothing_makes_a_string(void **state) {
    (void)state;
    struct store_opts opts = {.dbs_count = 1, .seed = 1};
    struct store mesh;
    store_init(&mesh, &opts);
    mesh.is_alone = false;
    struct replica_id id = {.generation = 1};
    unsigned slot = replicas_add(&mesh.replicas, &id);
    struct change change = {.kind = CHANGE_PATCH, .stamp = stamp_make(10, slot), .key = SLICE("k")};
    assert_int_equal(store_apply(&mesh, &change), STORE_OK);
    change.kind = CHANGE_REGISTERS;
    change.stamp = stamp_make(11, slot);
    assert_int_equal(store_apply(&mesh, &change), STORE_OK);
    store_check(&mesh);
    struct key key = store_key(&mesh, 0, SLICE("k"));
    struct entry_scratch scratch;
    assert_int_equal(entry_value(store_peek(&mesh, &key), &scratch).size, 0);
    store_deinit(&mesh);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(canonical_integers_are_integers),
        TEST(counters_begin_where_they_are),
        TEST(what_fails_changes_nothing),
        TEST(a_part_that_outgrows_its_range),
        TEST(floats_as_documented),
        TEST(large_floats_count_exactly),
        TEST(patches_extend_with_zeros),
        TEST(very_large_values_are_cut),
        TEST(malformed_changes_are_refused),
        TEST(a_patch_of_nothing_makes_a_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
