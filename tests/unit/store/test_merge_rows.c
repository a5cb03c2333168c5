/* SPDX-License-Identifier: BSD-3-Clause */
/* What concurrent commands converge to, row by row. A and B are nodes 0 and 1, C is node 2; what
 * stands between two deliveries is concurrent. At the end of each row all nodes are equal, as the
 * law says, before and after settling (world_converge()). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/store/merge_world.h"

enum { A, B, C };
static const uint64_t NOW = UINT64_C(1800000000000);
static struct world world;

static int setup(void **state) {
    (void)state;
    world_init(&world);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    world_deinit(&world);
    return 0;
}

static void set(unsigned node, const char *value) {
    struct key key = world_key(&world, node, 0);
    assert_int_equal(strings_set(&world.nodes[node].store, &key, slice_of(value), 0), STORE_OK);
    world_end(&world, node);
}

static void set_expiring(unsigned node, const char *value, uint64_t expire_unix_ms) {
    struct key key = world_key(&world, node, 0);
    assert_int_equal(strings_set(&world.nodes[node].store, &key, slice_of(value), expire_unix_ms),
                     STORE_OK);
    world_end(&world, node);
}

static bool del(unsigned node) {
    struct key key = world_key(&world, node, 0);
    bool was_there = store_delete(&world.nodes[node].store, &key);
    world_end(&world, node);
    return was_there;
}

static enum store_status add(unsigned node, int64_t delta) {
    struct key key = world_key(&world, node, 0);
    int64_t result;
    enum store_status status = strings_add_integer(&world.nodes[node].store, &key, delta, &result);
    world_end(&world, node);
    return status;
}

static void add_float(unsigned node, long double delta) {
    struct key key = world_key(&world, node, 0);
    long double result;
    assert_int_equal(strings_add_float(&world.nodes[node].store, &key, delta, &result), STORE_OK);
    world_end(&world, node);
}

static void patch(unsigned node, uint64_t offset, const char *bytes) {
    struct key key = world_key(&world, node, 0);
    assert_int_equal(strings_patch(&world.nodes[node].store, &key, offset, slice_of(bytes), NULL),
                     STORE_OK);
    world_end(&world, node);
}

static void expire(unsigned node, uint64_t expire_unix_ms) {
    struct key key = world_key(&world, node, 0);
    assert_true(store_expire(&world.nodes[node].store, &key, expire_unix_ms));
    world_end(&world, node);
}

static void raise_registers(unsigned node, uint64_t element) {
    struct key key = world_key(&world, node, 0);
    struct store *store = &world.nodes[node].store;
    struct entry_scratch scratch;
    struct buffer value = {0};
    struct entry *entry = store_peek(store, &key);
    if (entry != NULL) {
        buffer_append_slice(&value, entry_value(entry, &scratch));
    } else {
        hyperloglog_init(&value);
    }
    struct hyperloglog_place place = hyperloglog_place(slice_make(&element, sizeof(element)));
    assert_int_equal(hyperloglog_raise(&value, place, 3000), HYPERLOGLOG_RAISED);
    assert_int_equal(strings_set_registers(store, &key, buffer_slice(&value), (struct slice){0}),
                     STORE_OK);
    buffer_deinit(&value);
    world_end(&world, node);
}

static void deliver(unsigned author, unsigned reader) {
    while (world_deliver(&world, author, reader)) {
    }
}

/* The key's value, as text; NULL when absent. */
static const char *value_at(unsigned node, unsigned k) {
    static char text[64];
    struct key key = world_key(&world, node, k);
    struct entry_scratch scratch;
    struct entry *entry = store_peek(&world.nodes[node].store, &key);
    if (entry == NULL) {
        return NULL;
    }
    struct slice value = entry_value(entry, &scratch);
    assert_true(value.size < sizeof(text));
    memcpy(text, value.data, value.size);
    text[value.size] = 0;
    return text;
}

static void assert_all(const char *value) {
    world_converge(&world);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        if (value == NULL) {
            assert_null(value_at(node, 0));
        } else {
            assert_non_null(value_at(node, 0));
            assert_string_equal(value_at(node, 0), value);
        }
    }
}

static void assert_expiry(uint64_t expire_unix_ms) {
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        struct key key = world_key(&world, node, 0);
        struct entry *entry = store_peek(&world.nodes[node].store, &key);
        assert_non_null(entry);
        assert_int_equal(entry_expire_unix_ms(entry), expire_unix_ms);
    }
}

/* A write at this node comes later by the clock than anything so far. */
static void later(unsigned node) {
    for (unsigned i = 0; i < WORLD_NODES; i++) {
        hybrid_clock_observe(&world.nodes[node].store.clock, world.nodes[i].store.clock.ticks);
    }
}

static void row_S1(void **state) {
    (void)state;
    set(A, "a");
    later(B);
    set(B, "b");
    assert_all("b");
    assert_int_equal(world.conflicts[A], 1);
    assert_int_equal(world.conflicts[B], 1);
}

static void row_S2(void **state) {
    (void)state;
    set(A, "a");
    set(B, "b");
    assert_int_equal(world.nodes[A].store.clock.ticks, world.nodes[B].store.clock.ticks);
    assert_all(world.nodes[A].ref > world.nodes[B].ref ? "a" : "b");
}

static void row_S3(void **state) {
    (void)state;
    store_set_now(&world.nodes[A].store, (int64_t)NOW + 3600000);
    set(A, "a");
    deliver(A, B);
    set(B, "b");
    assert_all("b");
}

static void row_S4(void **state) {
    (void)state;
    set(A, "base");
    world_deliver_all(&world);
    patch(A, 4, "x");
    later(B);
    patch(B, 4, "y");
    assert_all("basey");
}

static void row_S5(void **state) {
    (void)state;
    struct key key = world_key(&world, A, 0);
    struct buffer bitmap = {0};
    memset(buffer_reserve(&bitmap, 1 << 20), 0, 1 << 20);
    bitmap.size = 1 << 20;
    assert_int_equal(strings_set(&world.nodes[A].store, &key, buffer_slice(&bitmap), 0), STORE_OK);
    world_end(&world, A);
    world_deliver_all(&world);
    patch(A, 0, "\x40");
    patch(B, 1000000, "\x80");
    world_converge(&world);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        key = world_key(&world, node, 0);
        struct entry *entry = store_peek(&world.nodes[node].store, &key);
        assert_int_equal(entry_kind(entry), ENTRY_LARGE);
        assert_int_equal(entry_value_bytes(entry), 1 << 20);
        assert_int_equal(entry_large(entry)->bytes[0], '\x40');
        assert_int_equal(entry_large(entry)->bytes[1000000], '\x80');
    }
    buffer_deinit(&bitmap);
}

static void row_S6(void **state) {
    (void)state;
    set(A, "1");
    world_deliver_all(&world);
    set(A, "2");
    later(B);
    assert_true(del(B));
    assert_all("2");
}

static void row_S7(void **state) {
    (void)state;
    set(A, "1");
    world_deliver_all(&world);
    assert_true(del(A));
    assert_true(del(B));
    assert_all(NULL);
}

/* SET NX is a SET for who finds nothing there. */
static void row_S8(void **state) {
    (void)state;
    assert_null(value_at(A, 0));
    assert_null(value_at(B, 0));
    set(A, "a");
    later(B);
    set(B, "b");
    assert_all("b");
}

static void row_S9(void **state) {
    (void)state;
    set_expiring(A, "w", NOW + 100000);
    assert_true(world_deliver(&world, A, B));
    assert_string_equal(value_at(B, 0), "w");
    assert_all("w");
    assert_expiry(NOW + 100000);
}

static void row_S10(void **state) {
    (void)state;
    for (unsigned order = 0; order < 6; order++) {
        world_deinit(&world);
        world_init(&world);
        set(A, "1");
        set(B, "2");
        deliver(B, C);
        assert_true(del(C));
        deliver(order % 3, (order + 1) % 3);
        deliver((order + 2) % 3, order % 3);
        assert_all("1");
    }
}

static void row_S11(void **state) {
    (void)state;
    set(A, "1");
    later(B);
    set(B, "2");
    deliver(A, B);
    deliver(B, A);
    deliver(B, C);
    assert_true(del(C));
    deliver(A, C);
    for (unsigned node = A; node <= B; node++) {
        for (unsigned of = A; of <= C; of++) {
            world_hear(&world, node, of);
        }
        world_settle(&world, node);
        assert_int_equal(world.nodes[node].store.unsettled_count, 1);
    }
    assert_all("1");
}

static void row_C1(void **state) {
    (void)state;
    assert_int_equal(add(A, 7), STORE_OK);
    assert_int_equal(add(B, 3), STORE_OK);
    assert_all("10");
}

static void row_C2(void **state) {
    (void)state;
    set(A, "10");
    world_deliver_all(&world);
    assert_int_equal(add(A, -3), STORE_OK);
    assert_int_equal(add(B, 6), STORE_OK);
    assert_all("13");
}

static void row_C3(void **state) {
    (void)state;
    set(A, "10");
    world_deliver_all(&world);
    set(A, "100");
    assert_int_equal(add(B, 5), STORE_OK);
    assert_all("105");
}

static void row_C4(void **state) {
    (void)state;
    assert_int_equal(add(A, 10), STORE_OK);
    world_deliver_all(&world);
    assert_true(del(A));
    assert_int_equal(add(B, 5), STORE_OK);
    assert_all("5");
}

static void row_C5(void **state) {
    (void)state;
    assert_int_equal(add(C, 10), STORE_OK);
    world_deliver_all(&world);
    set(A, "100");
    assert_int_equal(add(C, 7), STORE_OK);
    later(B);
    set(B, "200");
    assert_all("207");
}

static void row_C6(void **state) {
    (void)state;
    set(A, "10");
    world_deliver_all(&world);
    set(A, "abc");
    assert_int_equal(add(B, 1), STORE_OK);
    assert_all("abc");
    assert_int_equal(world.conflicts[A], 1);
    assert_int_equal(world.conflicts[B], 1);
    assert_int_equal(add(B, 1), STORE_NOT_INTEGER);
    set(B, "5");
    assert_all("5");
}

static void row_C7(void **state) {
    (void)state;
    set(A, "0");
    world_deliver_all(&world);
    add_float(A, 0.1L);
    add_float(B, 0.2L);
    assert_all("0.3");
}

static void row_C8(void **state) {
    (void)state;
    set(A, "0");
    world_deliver_all(&world);
    assert_int_equal(add(A, 1), STORE_OK);
    world_deliver_all(&world);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(streams_take(&world.nodes[B],
                                      buffer_slice(&world.records[A][world.records_count[A] - 1])),
                         RECEIVE_DUPLICATE);
    }
    assert_all("1");
}

static void row_C11(void **state) {
    (void)state;
    set(A, "9223372036854775806");
    world_deliver_all(&world);
    assert_int_equal(add(A, 1), STORE_OK);
    assert_int_equal(add(A, 1), STORE_OVERFLOW);
    assert_int_equal(add(B, 1), STORE_OK);
    assert_all("9223372036854775807");
}

static void assert_registers(unsigned count) {
    world_converge(&world);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        struct key key = world_key(&world, node, 0);
        struct entry_scratch scratch;
        struct entry *entry = store_peek(&world.nodes[node].store, &key);
        uint64_t estimate;
        assert_non_null(entry);
        assert_int_equal(hyperloglog_count(entry_value(entry, &scratch), &estimate),
                         HYPERLOGLOG_OK);
        assert_int_equal(estimate, count);
    }
}

static void row_P1(void **state) {
    (void)state;
    raise_registers(A, 1);
    raise_registers(B, 2);
    assert_registers(2);
}

static void row_P2(void **state) {
    (void)state;
    raise_registers(A, 1);
    world_deliver_all(&world);
    raise_registers(A, 2);
    assert_true(del(B));
    assert_registers(1);
}

static void row_T1(void **state) {
    (void)state;
    set(A, "v");
    world_deliver_all(&world);
    expire(B, NOW + 50000);
    later(A);
    expire(A, NOW + 10000);
    assert_all("v");
    assert_expiry(NOW + 50000);
}

static void row_T2(void **state) {
    (void)state;
    set_expiring(A, "v", NOW + 20000);
    world_deliver_all(&world);
    expire(B, 0);
    later(A);
    expire(A, NOW + 50000);
    assert_all("v");
    assert_expiry(0);
}

static void row_T3(void **state) {
    (void)state;
    set(A, "v");
    expire(A, NOW + 50000);
    world_deliver_all(&world);
    expire(B, NOW + 10000);
    assert_all("v");
    assert_expiry(NOW + 10000);
}

/* With a string: what is added to a key while its expiry removes it elsewhere has no expiry. */
static void row_T4(void **state) {
    (void)state;
    assert_int_equal(add(A, 10), STORE_OK);
    expire(A, NOW + 10);
    world_deliver_all(&world);
    assert_int_equal(add(B, 5), STORE_OK);
    store_set_now(&world.nodes[A].store, (int64_t)NOW + 20);
    assert_null(value_at(A, 0));
    world_end(&world, A);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        store_set_now(&world.nodes[node].store, (int64_t)NOW + 20);
    }
    assert_all("5");
    assert_expiry(0);
}

static void row_T5(void **state) {
    (void)state;
    set_expiring(A, "v", NOW + 5000);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        store_set_now(&world.nodes[node].store, (int64_t)NOW + 2000);
    }
    assert_all("v");
    assert_expiry(NOW + 5000);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        store_set_now(&world.nodes[node].store, (int64_t)NOW + 5000);
        assert_null(value_at(node, 0));
    }
}

static void row_K3(void **state) {
    (void)state;
    set(A, "v");
    world_deliver_all(&world);
    struct key from = world_key(&world, A, 0), to = world_key(&world, A, 1);
    assert_int_equal(store_rename(&world.nodes[A].store, &from, &to), STORE_OK);
    world_end(&world, A);
    set(B, "9");
    assert_all("9");
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        assert_string_equal(value_at(node, 1), "v");
    }
}

static void row_K4(void **state) {
    (void)state;
    set(A, "old");
    world_deliver_all(&world);
    assert_int_equal(store_flush_all(&world.nodes[A].store), 1);
    world_end(&world, A);
    struct key key = world_key(&world, B, 1);
    assert_int_equal(strings_set(&world.nodes[B].store, &key, SLICE("1"), 0), STORE_OK);
    world_end(&world, B);
    assert_all(NULL);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        assert_string_equal(value_at(node, 1), "1");
    }
}

static void row_K10(void **state) {
    (void)state;
    assert_false(del(A));
    assert_int_equal(world.records_count[A], 0);
    assert_int_equal(store_flush(&world.nodes[A].store, 0), 0);
    assert_int_equal(world.records_count[A], 0);
    assert_all(NULL);
}

/* A contested key copied or renamed onto itself: nothing happens, nothing is recorded. */
static void row_onto_itself(void **state) {
    (void)state;
    set(A, "here");
    set(B, "there");
    deliver(B, A);
    struct key key = world_key(&world, A, 0);
    struct store *store = &world.nodes[A].store;
    char shown[8];
    assert_true(snprintf(shown, sizeof(shown), "%s", value_at(A, 0)) > 0);
    assert_int_equal(entry_kind(store_peek(store, &key)), ENTRY_CONTESTED);
    unsigned records_count = world.records_count[A];
    assert_int_equal(store_copy(store, &key, &key), STORE_OK);
    world_end(&world, A);
    assert_int_equal(store_rename(store, &key, &key), STORE_OK);
    world_end(&world, A);
    assert_int_equal(world.records_count[A], records_count);
    assert_all(shown);
}

/* A large value is begun by an edit where a counter was deleted, whose parts are hidden there. */
static void row_edit_of_hidden(void **state) {
    (void)state;
    static char bytes[ENTRY_INLINE_VALUE_BYTES_MAX + 2];
    memset(bytes, 'x', sizeof(bytes) - 1);
    assert_int_equal(add(A, 1), STORE_OK);
    assert_int_equal(add(B, 2), STORE_OK);
    deliver(B, A);
    assert_true(del(A));
    struct key key = world_key(&world, A, 0);
    struct store *store = &world.nodes[A].store;
    assert_null(store_peek(store, &key));
    assert_non_null(mutate_slot(store, &key));
    uint64_t size;
    assert_int_equal(strings_patch(store, &key, 0, slice_of(bytes), &size), STORE_OK);
    world_end(&world, A);
    world_converge(&world);
    for (unsigned node = A; node <= C; node++) {
        struct entry_scratch scratch;
        key = world_key(&world, node, 0);
        struct entry *entry = store_peek(&world.nodes[node].store, &key);
        assert_non_null(entry);
        assert_true(slice_equal(entry_value(entry, &scratch), slice_of(bytes)));
    }
}

/* Commands copy what entry_value() gives, wherever it lies. */
static void row_empty(void **state) {
    (void)state;
    set(A, "");
    set(B, "");
    deliver(A, B);
    deliver(B, A);
    for (unsigned node = A; node <= B; node++) {
        struct entry_scratch scratch;
        struct key key = world_key(&world, node, 0);
        const struct entry *entry = store_peek(&world.nodes[node].store, &key);
        assert_int_equal(entry_kind(entry), ENTRY_CONTESTED);
        assert_non_null(entry_value(entry, &scratch).data);
    }
    assert_all("");
}

int main(void) {
#define ROW(name) cmocka_unit_test_setup_teardown(row_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(S1),          ROW(S2),    ROW(S3),
        ROW(S4),          ROW(S5),    ROW(S6),
        ROW(S7),          ROW(S8),    ROW(S9),
        ROW(S10),         ROW(S11),   ROW(C1),
        ROW(C2),          ROW(C3),    ROW(C4),
        ROW(C5),          ROW(C6),    ROW(C7),
        ROW(C8),          ROW(C11),   ROW(P1),
        ROW(P2),          ROW(T1),    ROW(T2),
        ROW(T3),          ROW(T4),    ROW(T5),
        ROW(K3),          ROW(K4),    ROW(K10),
        ROW(onto_itself), ROW(empty), ROW(edit_of_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
