/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes that fail while a snapshot walk runs, at each place where memory can be out: they have
 * changed nothing, stamps included, and the walk was told of nothing. Else it emits a key twice,
 * which is a damaged snapshot: each case fails, another key is written, and it fails again, and
 * then the walk goes on and what it emitted is loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <float.h>
#include <cmocka.h>

#include "crdt/list_position.h"
#include "store/lists.h"
#include "store/sequence_write.h"
#include "store/xstreams.h"
#include "unit/store/failing_memory.h"
#include "unit/store/running_snapshot.h"

enum {
    LARGE_BYTES = 5000,   /* such a value has an allocation of its own, wherever it is */
    HUGE_BYTES = 2 << 20, /* more than what merging takes for granted */
    FAILS_FROM_BYTES = 2000,
    FEW = 5,
    MANY = 600,
    PACKED_MAX = 100,
    PIECES_FROM = 20, /* elements */
    POINTS_MAX = 20,
};

static struct world world;
static struct running_snapshot snapshot;
static char bytes[HUGE_BYTES];

static struct slice large(void) {
    return slice_make(bytes, LARGE_BYTES);
}

/* ---- a case ---- */

struct failing_case {
    /* Makes the key "a" of node 0, perhaps with the help of the others. */
    void (*prepare)(void);
    enum store_status (*write)(struct store *store, const struct key *key);
    enum store_status failure;
    bool fails_on; /* what is tried once is relied on afterwards */
};

static struct store *node_store(unsigned node) {
    return &world.nodes[node].store;
}

static struct key key_a(unsigned node) {
    return world_key(&world, node, 0);
}

static void fill(unsigned node, enum value_type type, unsigned count) {
    struct key key = key_a(node);
    struct elements_writer writer;
    bool is_new;
    assert_int_equal(elements_open(node_store(node), &key, type, &writer), STORE_OK);
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        struct slice text = slice_make(name, (size_t)snprintf(name, sizeof(name), "f%u", i));
        switch (type) {
        case VALUE_LIST:
            assert_int_equal(list_push(&writer, LIST_RIGHT, text), STORE_OK);
            break;
        case VALUE_SORTED_SET:
            assert_int_equal(element_set_score(&writer, text, i, &is_new), STORE_OK);
            break;
        case VALUE_STREAM: {
            struct buffer value = {0};
            buffer_append(&value,
                          "\x01\x01"
                          "f\x01v",
                          5);
            assert_int_equal(xstream_add(&writer, (struct xstream_id){.ms = i + 1}, &value),
                             STORE_OK);
            buffer_deinit(&value);
            break;
        }
        case VALUE_HASH:
        case VALUE_SET:
        case VALUE_STRING:
        case VALUE_TYPES_COUNT:
            assert_int_equal(element_set(&writer, text, text, false, &is_new), STORE_OK);
            break;
        }
    }
    elements_close(&writer);
    if (count <= FEW) {
        world_end(&world, node);
    } else { /* nobody else needs it */
        store_end_unit(node_store(node));
        change_writer_clear(&node_store(node)->journal);
    }
}

/* Sets one element of a hash, without its record being delivered. */
static void set_field(unsigned node, struct slice name, struct slice value) {
    struct key key = key_a(node);
    struct elements_writer writer;
    bool is_new;
    assert_int_equal(elements_open(node_store(node), &key, VALUE_HASH, &writer), STORE_OK);
    assert_int_equal(element_set(&writer, name, value, false, &is_new), STORE_OK);
    elements_close(&writer);
    world_end(&world, node);
}

/* ---- what there is ---- */

static void no_key(void) {
}

static void few_fields(void) {
    fill(0, VALUE_HASH, 3);
}

static void many_fields(void) {
    fill(0, VALUE_HASH, MANY);
}

static void large_fields(void) {
    fill(0, VALUE_HASH, 3);
    set_field(0, SLICE("f1"), large());
}

static void siblings(void) {
    fill(0, VALUE_HASH, 3);
    world_deliver_all(&world);
    set_field(1, SLICE("f1"), SLICE("theirs"));
    set_field(0, SLICE("f1"), SLICE("ours"));
    world_deliver_all(&world);
}

/* A hash that has won over a counter of another node. */
static void two_types(void) {
    struct key key = key_a(1);
    int64_t result;
    assert_int_equal(strings_add_integer(node_store(1), &key, 5, &result), STORE_OK);
    world_end(&world, 1);
    fill(0, VALUE_HASH, 3);
    world_deliver_all(&world);
}

static void few_in_list(void) {
    fill(0, VALUE_LIST, 3);
}

static void many_in_list(void) {
    fill(0, VALUE_LIST, MANY);
}

static void stream(void) {
    fill(0, VALUE_STREAM, FEW);
}

static void long_stream(void) {
    fill(0, VALUE_STREAM, MANY);
}

/* The own part of the field is as large as a number can be, what is shown is not. */
static void large_part(void) {
    struct key key = key_a(0);
    struct elements_writer writer;
    long double result, most = LDBL_MAX / 2;
    fill(0, VALUE_HASH, 3);
    char text[NUMBER_FLOAT_BYTES_MAX];
    set_field(0, SLICE("f1"), slice_make(text, number_format_float(text, -most)));
    assert_int_equal(elements_open(node_store(0), &key, VALUE_HASH, &writer), STORE_OK);
    assert_int_equal(element_add_float(&writer, SLICE("f1"), most, &result), STORE_OK);
    assert_int_equal(element_add_float(&writer, SLICE("f1"), most / 2, &result), STORE_OK);
    elements_close(&writer);
    world_end(&world, 0);
}

/* ---- writes ---- */

static enum store_status with_writer(struct store *store, const struct key *key,
                                     enum value_type type,
                                     enum store_status (*write)(struct elements_writer *writer)) {
    struct elements_writer writer;
    assert_int_equal(elements_open(store, key, type, &writer), STORE_OK);
    enum store_status status = write(&writer);
    elements_close(&writer);
    return status;
}

static enum store_status do_set_new(struct elements_writer *writer) {
    bool is_new;
    return element_set(writer, SLICE("new"), large(), false, &is_new);
}

static enum store_status do_set_old(struct elements_writer *writer) {
    bool is_new;
    return element_set(writer, SLICE("f1"), large(), true, &is_new);
}

static enum store_status do_set_huge(struct elements_writer *writer) {
    bool is_new;
    return element_set(writer, SLICE("f1"), slice_make(bytes, HUGE_BYTES), false, &is_new);
}

static enum store_status do_add_float(struct elements_writer *writer) {
    long double result;
    return element_add_float(writer, SLICE("f1"), LDBL_MAX / 2, &result);
}

static enum store_status do_list_set(struct elements_writer *writer) {
    return list_set(writer, 1, large());
}

static enum store_status do_list_insert(struct elements_writer *writer) {
    return list_insert(writer, 1, large());
}

static enum store_status do_list_push(struct elements_writer *writer) {
    return list_push(writer, LIST_LEFT, large());
}

/* Of what is in the middle of the sequence. */
static enum store_status do_replace(struct elements_writer *writer) {
    struct ordered_map_cursor cursor;
    struct elements elements;
    elements_written(writer, &elements);
    const struct ordered_map *map = elements.collection->map;
    assert_true(ordered_map_at(map, ordered_map_count(map) / 2, &cursor));
    return sequence_write_replace(writer, &cursor, large());
}

static enum store_status do_append(struct elements_writer *writer) {
    struct buffer value = {0};
    buffer_append_slice(&value, large());
    enum store_status status = xstream_add(writer, (struct xstream_id){.ms = 100000}, &value);
    buffer_deinit(&value);
    return status;
}

#define WRITE(name, type)                                                                          \
    static enum store_status write_##name(struct store *store, const struct key *key) {            \
        return with_writer(store, key, type, do_##name);                                           \
    }

WRITE(set_new, VALUE_HASH)
WRITE(set_old, VALUE_HASH)
WRITE(set_huge, VALUE_HASH)
WRITE(add_float, VALUE_HASH)
WRITE(list_set, VALUE_LIST)
WRITE(list_insert, VALUE_LIST)
WRITE(list_push, VALUE_LIST)
WRITE(replace, VALUE_STREAM)
WRITE(append, VALUE_STREAM)

/* The same from another node: a change as it comes in a record. */
static enum store_status apply(struct store *store, const struct key *key, enum value_type type,
                               struct slice element, struct slice value) {
    struct change change = {.kind = CHANGE_SET,
                            .type = type,
                            .db = store->dbs[key->db].number,
                            .stamp = stamp_make(store->clock.ticks + 1000, 2),
                            .key = key->name,
                            .element = element,
                            .value = value};
    return store_apply(store, &change);
}

static enum store_status apply_field(struct store *store, const struct key *key) {
    return apply(store, key, VALUE_HASH, SLICE("f1"), slice_make(bytes, HUGE_BYTES));
}

static enum store_status apply_new_field(struct store *store, const struct key *key) {
    return apply(store, key, VALUE_HASH, SLICE("new"), large());
}

static enum store_status apply_to_list(struct store *store, const struct key *key) {
    struct list_position position;
    struct list_positions positions;
    struct slice none = slice_make("", 0);
    list_positions_init(&positions, world.nodes[1].ref);
    assert_int_equal(
        list_position_between(&positions, store->clock.ticks + 1000, none, none, false, &position),
        LIST_POSITION_OK);
    return apply(store, key, VALUE_LIST, list_position_slice(&position), large());
}

/* More than one change can hold: on a lone node it is a block that is written in parts. */
static enum store_status patch(struct store *store, const struct key *key) {
    size_t size = CHANGE_VALUE_BYTES_MAX + 1;
    char *block = calloc(1, size);
    struct key other = world_key(&world, 0, 2);
    (void)key;
    enum store_status status = strings_patch(store, &other, 0, slice_make(block, size), NULL);
    free(block);
    return status;
}

static void lone_string(void) {
    struct key key = world_key(&world, 0, 2);
    node_store(0)->is_alone = true;
    assert_int_equal(strings_set(node_store(0), &key, SLICE("text"), 0), STORE_OK);
    store_end_unit(node_store(0));
    change_writer_clear(&node_store(0)->journal);
}

#define OUT_OF_MEMORY .failure = STORE_OUT_OF_MEMORY

static const struct failing_case cases[] = {
    {no_key, write_set_new, OUT_OF_MEMORY},
    {few_fields, write_set_new, OUT_OF_MEMORY},
    {few_fields, write_set_old, OUT_OF_MEMORY},
    {many_fields, write_set_new, OUT_OF_MEMORY},
    {many_fields, write_set_old, OUT_OF_MEMORY},
    {large_fields, write_set_old, OUT_OF_MEMORY},
    {two_types, write_set_old, OUT_OF_MEMORY, .fails_on = true},
    {siblings, write_set_huge, OUT_OF_MEMORY, .fails_on = true},
    {large_part, write_add_float, .failure = STORE_NOT_FINITE},
    {few_in_list, write_list_set, OUT_OF_MEMORY},
    {many_in_list, write_list_set, OUT_OF_MEMORY},
    {few_in_list, write_list_insert, OUT_OF_MEMORY},
    {many_in_list, write_list_insert, OUT_OF_MEMORY},
    {no_key, write_list_push, OUT_OF_MEMORY},
    {few_in_list, write_list_push, OUT_OF_MEMORY},
    {many_in_list, write_list_push, OUT_OF_MEMORY},
    {no_key, write_append, OUT_OF_MEMORY},
    {stream, write_append, OUT_OF_MEMORY},
    {long_stream, write_append, OUT_OF_MEMORY},
    {stream, write_replace, OUT_OF_MEMORY},
    {long_stream, write_replace, OUT_OF_MEMORY},
    {few_fields, apply_field, OUT_OF_MEMORY, .fails_on = true},
    {many_fields, apply_field, OUT_OF_MEMORY, .fails_on = true},
    {few_fields, apply_new_field, OUT_OF_MEMORY},
    {many_fields, apply_new_field, OUT_OF_MEMORY},
    {few_in_list, apply_to_list, OUT_OF_MEMORY},
    {many_in_list, apply_to_list, OUT_OF_MEMORY},
    {lone_string, patch, OUT_OF_MEMORY, .fails_on = true},
};

/* ---- running them ---- */

/* Lets the case fail at that point, while a walk has come `steps` far. False: there is no such
 * point, and the write was done. */
static bool fail_at(const struct failing_case *test, unsigned point, unsigned steps, bool pieces) {
    bool has_failed = false, is_refused = test->failure != STORE_OUT_OF_MEMORY;
    world_init(&world);
    struct store *store = node_store(0);
    for (unsigned i = 0; i < WORLD_NODES; i++) {
        node_store(i)->packing[VALUE_HASH] =
            (struct store_packing){.entries_max = PACKED_MAX, .bytes_max = 64};
        node_store(i)->packing[VALUE_LIST] =
            (struct store_packing){.entries_max = PACKED_MAX, .bytes_max = 8192};
    }
    struct key other = world_key(&world, 0, 1), key = key_a(0);
    assert_int_equal(strings_set(store, &other, SLICE("1"), 0), STORE_OK);
    world_end(&world, 0);
    test->prepare();
    running_snapshot_step(&snapshot, &world, 0, pieces ? PIECES_FROM : UINT64_MAX, 0);
    for (unsigned i = 0; i < steps && snapshot.is_running; i++) {
        running_snapshot_step(&snapshot, &world, 0, 0, 1);
    }
    for (unsigned i = 0; i < 2; i++) {
        uint64_t sum = state_sum(store);
        if (!is_refused) {
            failing_memory_begin(FAILS_FROM_BYTES, point, test->fails_on);
        }
        enum store_status status = test->write(store, &key);
        has_failed = is_refused || failing_memory_end() > 0;
        store_end_unit(store);
        assert_int_equal(status, has_failed ? test->failure : STORE_OK);
        if (!has_failed) {
            break;
        }
        assert_true(sum == state_sum(store));
        char text[2] = {(char)('a' + i)};
        assert_int_equal(strings_set(store, &other, slice_make(text, 1), 0), STORE_OK);
        store_end_unit(store);
    }
    store_check(store);
    running_snapshot_finish(&snapshot, &world);
    change_writer_clear(&store->journal);
    world_deinit(&world);
    return has_failed && !is_refused;
}

static void nothing_is_told_of_what_fails(void **state) {
    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct failing_case *test = &cases[i];
        for (unsigned way = 0; way < 8; way++) {
            unsigned failed = 0, steps = way % 4 * 3;
            bool pieces = way >= 4;
            while (fail_at(test, failed, steps, pieces)) {
                failed++;
                assert_true(failed < POINTS_MAX);
                if (test->fails_on) {
                    break;
                }
            }
            /* There is a point at which it fails, unless it is refused. */
            assert_true(failed > 0 || test->failure != STORE_OUT_OF_MEMORY);
        }
    }
    assert_true(snapshot.in_pieces_count > 0);
    assert_true(snapshot.whole_count > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_told_of_what_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
