/* SPDX-License-Identifier: BSD-3-Clause */
/* Records that were joined on the way (crdt/coalesce.h) make the same state as the records
 * themselves: two writers that hear of each other now and then, one reader that gets their records
 * one by one, and one that gets them joined as far as its context allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "crdt/coalesce.h"
#include "crdt/hyperloglog.h"
#include "unit/seed.h"
#include "unit/store/streams.h"

enum {
    WRITERS = 2,
    PLAIN = 2,
    JOINING = 3,
    NODES = 4,
    RECORDS_MAX = 128,
    KEYS = 3,
    LONG_BYTES = 2 * ENTRY_INLINE_VALUE_BYTES_MAX,
};

static struct node_store nodes[NODES];
static struct buffer records[WRITERS][RECORDS_MAX];
static unsigned records_count[WRITERS], delivered[WRITERS][NODES];
static struct coalescer coalescer;
static uint64_t changes_in, changes_out, joined_count;
static unsigned kinds_seen[CHANGE_MORE + 1], fresh_count;

static int setup(void **state) {
    (void)state;
    memset(records_count, 0, sizeof(records_count));
    memset(delivered, 0, sizeof(delivered));
    for (unsigned i = 0; i < NODES; i++) {
        streams_init(&nodes[i], i, NODES);
    }
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (unsigned i = 0; i < NODES; i++) {
        streams_deinit(&nodes[i]);
    }
    for (unsigned writer = 0; writer < WRITERS; writer++) {
        for (unsigned i = 0; i < records_count[writer]; i++) {
            buffer_deinit(&records[writer][i]);
        }
    }
    coalescer_deinit(&coalescer);
    return 0;
}

static void note_kinds(struct slice bytes) {
    struct stream_record record;
    struct change_reader reader;
    struct change change;
    assert_true(stream_record_take(bytes, &record));
    assert_true(change_reader_init(&reader, record.batch, 1));
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        kinds_seen[change.kind]++;
        fresh_count += change.is_fresh;
    }
}

/* What the writer has done becomes a record. */
static void collect(unsigned writer) {
    store_end_unit(&nodes[writer].store);
    if (nodes[writer].store.journal.bytes.size == 0) {
        return;
    }
    assert_true(records_count[writer] < RECORDS_MAX);
    struct buffer *record = &records[writer][records_count[writer]++];
    *record = (struct buffer){0};
    streams_collect(&nodes[writer], NODES, record);
    note_kinds(buffer_slice(record));
    delivered[writer][writer]++;
}

/* ---- deliveries ---- */

static bool deliver_one(unsigned writer, unsigned reader) {
    unsigned *at = &delivered[writer][reader];
    if (writer == reader || *at == records_count[writer]) {
        return false;
    }
    enum receive_status status = streams_take(&nodes[reader], buffer_slice(&records[writer][*at]));
    assert_true(status == RECEIVE_OK || status == RECEIVE_EARLY);
    *at += status == RECEIVE_OK;
    return status == RECEIVE_OK;
}

/* Would the reader find the record's marks covered? */
static bool has_marks(unsigned reader, struct slice bytes) {
    const struct store *store = &nodes[reader].store;
    struct stream_record record;
    struct stream_mark mark;
    assert_true(stream_record_take(bytes, &record));
    while (stream_mark_next(&record.marks, &mark)) {
        unsigned slot = replicas_find(&store->replicas, mark.ref);
        if (mark.ticks > stamp_ticks(store->context.stamps[slot])) {
            return false;
        }
    }
    return true;
}

static bool deliver_joined(unsigned writer, unsigned reader) {
    struct slice slices[RECORDS_MAX];
    size_t count = 0;
    unsigned *at = &delivered[writer][reader];
    while (*at + count < records_count[writer] &&
           has_marks(reader, buffer_slice(&records[writer][*at + count]))) {
        slices[count] = buffer_slice(&records[writer][*at + count]);
        count++;
    }
    if (count == 0) {
        return false;
    }
    struct buffer out = {0};
    struct coalesce_result result;
    coalescer_join(&coalescer, slices, count, &out, &result);
    changes_in += result.changes_in;
    changes_out += result.changes_out;
    if (result.is_joined) {
        joined_count += result.taken > 1;
        assert_int_equal(streams_take(&nodes[reader], buffer_slice(&out)), RECEIVE_OK);
        *at += (unsigned)result.taken;
    } else {
        for (size_t i = 0; i < result.taken; i++) {
            assert_true(deliver_one(writer, reader));
        }
    }
    buffer_deinit(&out);
    return true;
}

static void deliver_all(unsigned reader) {
    for (bool has_moved = true; has_moved;) {
        has_moved = false;
        for (unsigned writer = 0; writer < WRITERS; writer++) {
            while (reader == JOINING ? deliver_joined(writer, reader)
                                     : deliver_one(writer, reader)) {
                has_moved = true;
            }
        }
    }
}

static void assert_same(unsigned one, unsigned other) {
    uint8_t digests[2][20];
    store_check(&nodes[one].store);
    store_check(&nodes[other].store);
    store_digest(&nodes[one].store, digests[0]);
    store_digest(&nodes[other].store, digests[1]);
    assert_memory_equal(digests[0], digests[1], sizeof(digests[0]));
}

static void deliver_to_readers(void) {
    deliver_all(PLAIN);
    deliver_all(JOINING);
    assert_same(PLAIN, JOINING);
}

static void settle(unsigned node) {
    struct store *store = &nodes[node].store;
    struct context frontier = store->context;
    (void)store_settle(store, &frontier, 1000);
    assert_int_equal(store->unsettled_count, 0);
}

/* All have everything, and everybody knows: all are equal, settled or not. */
static void converge(void) {
    deliver_to_readers();
    for (unsigned writer = 0; writer < WRITERS; writer++) {
        deliver_all(writer);
        assert_same(writer, PLAIN);
    }
    settle(JOINING);
    assert_same(JOINING, PLAIN);
    settle(PLAIN);
    assert_same(JOINING, PLAIN);
}

/* ---- random writers ---- */

static void raise_register(struct store *store, const struct key *key, uint64_t element) {
    struct entry_scratch scratch;
    struct buffer value = {0};
    struct entry *entry = store_peek(store, key);
    if (entry != NULL) {
        buffer_append_slice(&value, entry_value(entry, &scratch));
    } else {
        hyperloglog_init(&value);
    }
    struct hyperloglog_place place = hyperloglog_place(slice_make(&element, sizeof(element)));
    uint8_t pair[3] = {(uint8_t)place.index, (uint8_t)(place.index >> 8), (uint8_t)place.rank};
    if (value.size > 0 && hyperloglog_check(buffer_slice(&value)) == HYPERLOGLOG_OK &&
        hyperloglog_raise(&value, place, 0) == HYPERLOGLOG_RAISED) {
        assert_int_equal(
            strings_set_registers(store, key, buffer_slice(&value),
                                  entry != NULL ? slice_make(pair, 3) : (struct slice){0}),
            STORE_OK);
    }
    buffer_deinit(&value);
}

static void write_random(struct prng *prng, unsigned writer) {
    static const char *const values[] = {"0", "10", "-3", "2.5", "text", ""};
    static char long_value[LONG_BYTES];
    struct store *store = &nodes[writer].store;
    char name = (char)('a' + prng_below(prng, KEYS));
    struct key key = store_key(store, (unsigned)prng_below(prng, 2), slice_make(&name, 1));
    uint64_t time = UINT64_C(1900000000000) + prng_below(prng, 100);
    int64_t integer;
    long double number;
    store_set_now(store, store->now_ms + (int64_t)prng_below(prng, 3));
    switch (prng_below(prng, 20)) {
    case 0:
    case 1:
    case 2: {
        static const uint64_t expiries[] = {0, 0, STRINGS_KEEP_EXPIRY, 1};
        uint64_t expiry = expiries[prng_below(prng, 4)];
        assert_int_equal(strings_set(store, &key, slice_of(values[prng_below(prng, 6)]),
                                     expiry == 1 ? time : expiry),
                         STORE_OK);
        break;
    }
    case 3:
    case 4:
        memset(long_value, (int)('a' + prng_below(prng, 26)), sizeof(long_value));
        assert_int_equal(strings_set(store, &key, slice_make(long_value, sizeof(long_value)), 0),
                         STORE_OK);
        break;
    case 5:
        (void)store_delete(store, &key);
        break;
    case 6:
    case 7:
        (void)store_expire(store, &key, prng_below(prng, 3) == 0 ? 0 : time);
        break;
    case 8:
    case 9:
    case 10: {
        /* Behind the header of a HyperLogLog, so that long strings are edited. */
        uint64_t offset = prng_below(prng, 3) == 0 ? 0 : HYPERLOGLOG_HEADER_BYTES;
        assert_int_equal(
            strings_patch(store, &key, offset + prng_below(prng, 4), SLICE("12"), NULL), STORE_OK);
        break;
    }
    case 11:
        raise_register(store, &key, prng_below(prng, 40));
        break;
    case 12:
        if (prng_below(prng, 8) == 0) {
            store_swap(store, 0, 1);
        } else if (prng_below(prng, 8) == 0) {
            (void)(key.name.data[0] == 'a' ? store_flush_all(store) : store_flush(store, key.db));
        }
        break;
    case 13:
        /* Halves and quarters: sums of them are exact in any order. */
        (void)strings_add_float(store, &key, (long double)prng_below(prng, 9) / 4, &number);
        break;
    default:
        (void)strings_add_integer(store, &key, (int64_t)prng_below(prng, 9) - 4, &integer);
    }
    if (prng_below(prng, 4) != 0) {
        store_end_unit(store);
    }
}

static void random_history(struct prng *prng) {
    uint64_t hears = 1 + prng_below(prng, 40); /* the less, the longer the runs that are joined */
    for (unsigned step = 0; step < 60; step++) {
        unsigned writer = prng_below(prng, 3) == 0;
        for (uint64_t n = 1 + prng_below(prng, 6); n > 0; n--) {
            write_random(prng, writer);
        }
        collect(writer);
        for (uint64_t n = prng_below(prng, hears) == 0 ? prng_below(prng, 6) : 0; n > 0; n--) {
            unsigned reader = (unsigned)prng_below(prng, WRITERS);
            (void)deliver_one(1 - reader, reader);
        }
        if (prng_below(prng, 20) == 0) {
            deliver_to_readers();
        }
    }
    converge();
}

static void test_random_histories(void **state) {
    struct prng prng;
    seed_prng(&prng, "joined_records", 1);
    changes_in = changes_out = joined_count = 0;
    for (unsigned round = 0; round < 300; round++) {
        assert_int_equal(setup(state), 0);
        random_history(&prng);
        assert_int_equal(teardown(state), 0);
    }
    printf("%" PRIu64 " changes became %" PRIu64 ", %" PRIu64 " runs were joined, %u fresh\n",
           changes_in, changes_out, joined_count, fresh_count);
    /* It was about something. */
    assert_true(joined_count > 500);
    assert_true(changes_out < changes_in * 9 / 10);
    assert_true(fresh_count > 0);
    for (unsigned kind = CHANGE_SET; kind < CHANGE_MORE; kind++) {
        assert_true(kinds_seen[kind] > 0);
    }
}

/* ---- one by one ---- */

static struct key key_at(unsigned node) {
    return store_key(&nodes[node].store, 0, SLICE("k"));
}

/* The first increment of a key that is gone takes away the expiry that somebody gave it meanwhile;
 * the second, which is all that is sent, does so in its place. */
static void test_fresh_counters_stay_fresh(void **state) {
    (void)state;
    struct key here = key_at(0), there = key_at(1);
    int64_t integer;
    assert_int_equal(strings_set(&nodes[0].store, &here, SLICE("v"), 0), STORE_OK);
    collect(0);
    assert_true(deliver_one(0, 1));
    deliver_to_readers();
    assert_true(store_expire(&nodes[1].store, &there, UINT64_C(1900000000000)));
    collect(1);
    assert_true(store_delete(&nodes[0].store, &here));
    collect(0);
    assert_true(deliver_one(1, 0));
    deliver_to_readers();
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(strings_add_integer(&nodes[0].store, &here, 1, &integer), STORE_OK);
        collect(0);
    }
    converge();
    for (unsigned node = 0; node < NODES; node++) {
        struct key key = key_at(node);
        assert_int_equal(entry_expire_unix_ms(store_peek(&nodes[node].store, &key)), 0);
    }
}

/* A fresh increment spares the expiry that its writer had not heard of, though a later one of the
 * same counter has. */
static void test_fresh_counters_take_only_what_was_seen(void **state) {
    (void)state;
    struct key here = key_at(0), there = key_at(1);
    int64_t integer;
    assert_int_equal(strings_set(&nodes[0].store, &here, SLICE("v"), 0), STORE_OK);
    collect(0);
    assert_true(deliver_one(0, 1));
    assert_true(store_delete(&nodes[0].store, &here));
    collect(0);
    assert_true(store_expire(&nodes[1].store, &there, UINT64_C(1900000000000)));
    collect(1);
    deliver_to_readers();
    assert_int_equal(strings_add_integer(&nodes[0].store, &here, 1, &integer), STORE_OK);
    collect(0);
    assert_true(deliver_one(1, 0));
    assert_int_equal(strings_add_integer(&nodes[0].store, &here, 1, &integer), STORE_OK);
    collect(0);
    converge();
    for (unsigned node = 0; node < NODES; node++) {
        struct key key = key_at(node);
        assert_true(entry_expire_unix_ms(store_peek(&nodes[node].store, &key)) != 0);
    }
}

/* Values that go on in a second change are joined, replaced and edited as others are. */
static void test_long_values(void **state) {
    (void)state;
    struct key key = key_at(0);
    size_t size = CHANGE_VALUE_BYTES_MAX + 1000;
    char *value = memory_alloc(size);
    unsigned more_before = kinds_seen[CHANGE_MORE];
    for (unsigned i = 0; i < 2; i++) {
        memset(value, (int)('a' + i), size);
        assert_int_equal(strings_set(&nodes[0].store, &key, slice_make(value, size), 0), STORE_OK);
        collect(0);
        assert_int_equal(strings_patch(&nodes[0].store, &key, size - 5, SLICE("123456"), NULL),
                         STORE_OK);
        assert_true(store_expire(&nodes[0].store, &key, UINT64_C(1900000000000) + i));
        collect(0);
    }
    memory_free(value);
    assert_int_equal(kinds_seen[CHANGE_MORE] - more_before, 2);
    struct key other = store_key(&nodes[0].store, 0, SLICE("other"));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(strings_set(&nodes[0].store, &other, SLICE("1"), 0), STORE_OK);
        collect(0);
    }
    changes_in = changes_out = 0;
    deliver_to_readers();
    assert_true(changes_out < changes_in);
    converge();
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories),
        TEST(test_fresh_counters_stay_fresh),
        TEST(test_fresh_counters_take_only_what_was_seen),
        TEST(test_long_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
