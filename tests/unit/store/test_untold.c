/* SPDX-License-Identifier: BSD-3-Clause */
/* Deleting collections with counters without naming these: who has more asks, and the rest lies in
 * a grave until somebody comes to it. Random histories of three nodes, with records that arrive
 * late, by way of a third one, are asked about in time or not, and with snapshots in between: each
 * increment is a bit of its own, and stays if, and only if, no DELETE had seen it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/prng.h"
#include "base/varint.h"
#include "store/elements.h"
#include "store/graves.h"
#include "store/snapshot_walk.h"
#include "unit/seed.h"
#include "unit/store/streams.h"

enum { NODES = 3, FIELDS = 6, RECORDS_MAX = 400, BITS = 40 };

static struct node_store nodes[NODES];
/* The stream of each node: what it recorded itself. */
static struct buffer streams[NODES][RECORDS_MAX];
static size_t streams_count[NODES];
static size_t taken[NODES][NODES]; /* by reader and author: records that it has */

/* What is to be: bits of each field, as each node has seen them made and taken off. */
struct model {
    uint64_t made[FIELDS], off[FIELDS];
};
static struct model seen[NODES];
static struct model after[NODES][RECORDS_MAX]; /* what an author had seen with that record */
static unsigned bits_used[FIELDS];
static uint64_t asked_count, buried_count;

static struct slice field_name(unsigned field, char text[8]) {
    return slice_make(text, (size_t)snprintf(text, 8, "f%u", field));
}

static void begin(struct prng *prng) {
    uint64_t large_min = 1 + prng_below(prng, 4);
    for (unsigned i = 0; i < NODES; i++) {
        streams_init(&nodes[i], i, NODES);
        nodes[i].receiver.asks = true;
        nodes[i].store.untold_elements_min = nodes[i].store.grave_elements_min = large_min;
        nodes[i].store.elements_a_step = prng_below(prng, 3);
    }
    memset(seen, 0, sizeof(seen));
    memset(after, 0, sizeof(after));
    memset(taken, 0, sizeof(taken));
    memset(bits_used, 0, sizeof(bits_used));
}

static void end(void) {
    for (unsigned i = 0; i < NODES; i++) {
        streams_deinit(&nodes[i]);
        for (size_t j = 0; j < streams_count[i]; j++) {
            buffer_deinit(&streams[i][j]);
            streams[i][j] = (struct buffer){0};
        }
        streams_count[i] = 0;
    }
}

/* What a node has written becomes its next record. */
static void record(unsigned node) {
    store_end_unit(&nodes[node].store);
    if (nodes[node].store.journal.bytes.size == 0) {
        return;
    }
    assert_true(streams_count[node] < RECORDS_MAX);
    size_t at = streams_count[node]++;
    streams_collect(&nodes[node], NODES, &streams[node][at]);
    after[node][at] = seen[node];
    taken[node][node] = streams_count[node];
}

/* An answer tells what is taken off where it comes from. If another DELETE has been there since, it
 * is on its way, and what that takes off may go earlier, or with it. */
static bool is_right(uint64_t value, uint64_t expected, unsigned field) {
    uint64_t off = 0;
    for (unsigned i = 0; i < NODES; i++) {
        off |= seen[i].off[field];
    }
    return ((value ^ expected) & ~off) == 0;
}

/* ---- writing ---- */

static void increment(struct prng *prng, unsigned node) {
    unsigned field = (unsigned)prng_below(prng, FIELDS);
    if (bits_used[field] == BITS) {
        return;
    }
    uint64_t bit = UINT64_C(1) << bits_used[field]++;
    struct key key = store_key(&nodes[node].store, 0, SLICE("h"));
    struct elements_writer writer;
    char text[8];
    double score;
    assert_int_equal(elements_open(&nodes[node].store, &key, VALUE_SORTED_SET, &writer), STORE_OK);
    assert_int_equal(element_add_score(&writer, field_name(field, text), (double)bit, &score),
                     STORE_OK);
    elements_close(&writer);
    seen[node].made[field] |= bit;
    assert_true(is_right((uint64_t)score, seen[node].made[field] & ~seen[node].off[field], field));
}

static void note_deleted(unsigned node) {
    for (unsigned i = 0; i < FIELDS; i++) {
        seen[node].off[i] |= seen[node].made[i];
    }
}

static void delete_all(unsigned node, struct prng *prng) {
    struct store *store = &nodes[node].store;
    struct key key = store_key(store, 0, SLICE("h"));
    switch (prng_below(prng, 6)) {
    case 0:
        (void)strings_set(store, &key, SLICE("text"), 0);
        store_end_unit(store);
        (void)store_delete(store, &key);
        break;
    case 1:
        (void)store_flush_all(store);
        break;
    case 2: /* two in one unit */
        (void)store_delete(store, &key);
        note_deleted(node);
        increment(prng, node);
        (void)store_delete(store, &key);
        break;
    default:
        (void)store_delete(store, &key);
    }
    buried_count += store->graves != NULL;
    note_deleted(node);
}

/* ---- arriving ---- */

/* Asks the nodes that have the record, its author or one that passes it on. */
static void answer(unsigned node, unsigned author, size_t at, struct prng *prng) {
    unsigned source;
    do {
        source = (unsigned)prng_below(prng, NODES);
    } while (source == node || taken[source][author] <= at);
    struct slice questions = buffer_slice(&nodes[node].receiver.questions), question;
    while (varint_take_slice(&questions, &question)) {
        struct buffer bytes = {0};
        assert_true(amounts_answer(&nodes[source].store, question, &bytes));
        assert_true(bytes.size > 0);
        assert_true(receiver_answered(&nodes[node].receiver, buffer_slice(&bytes)));
        buffer_deinit(&bytes);
        asked_count++;
    }
}

static void note_applied(unsigned node, unsigned author, size_t at) {
    for (unsigned i = 0; i < FIELDS; i++) {
        seen[node].made[i] |= after[author][at].made[i];
        seen[node].off[i] |= after[author][at].off[i];
    }
}

/* The record of another node as that one passes it on, with what it has added: what its receiver
 * told last. */
static struct buffer passed_on[NODES][NODES][RECORDS_MAX];

static void keep_passed_on(unsigned node, unsigned author, size_t at) {
    struct buffer *copy = &passed_on[node][author][at];
    buffer_clear(copy);
    buffer_append_slice(copy, buffer_slice(&nodes[node].applied));
}

static void free_passed_on(void) {
    for (unsigned i = 0; i < NODES * NODES * RECORDS_MAX; i++) {
        struct buffer *copy = &passed_on[0][0][0] + i;
        buffer_deinit(copy);
        *copy = (struct buffer){0};
    }
}

static enum receive_status take_all(struct node_store *node, struct slice records) {
    enum receive_status status = RECEIVE_DUPLICATE;
    while (records.size > 0) {
        size_t size;
        memcpy(&size, records.data, sizeof(size));
        status = streams_take(node, slice_make(records.data + sizeof(size), size));
        records = slice_skip(records, sizeof(size) + size);
        if (status != RECEIVE_OK && status != RECEIVE_DUPLICATE) {
            break;
        }
    }
    return status;
}

static void arrive(unsigned node, unsigned author, struct prng *prng) {
    size_t at = taken[node][author];
    if (node == author || at == streams_count[author]) {
        return;
    }
    record(node); /* own changes first, as log_collect() does */
    unsigned relay = 3 - node - author;
    bool is_relayed = prng_below(prng, 2) == 0 && taken[relay][author] > at;
    buffer_clear(&nodes[node].applied);
    for (unsigned tries = 0;; tries++) {
        enum receive_status status =
            is_relayed ? take_all(&nodes[node], buffer_slice(&passed_on[relay][author][at]))
                       : streams_take(&nodes[node], buffer_slice(&streams[author][at]));
        if (status == RECEIVE_EARLY) {
            return;
        }
        if (status != RECEIVE_ASK) {
            assert_int_equal(status, RECEIVE_OK);
            break;
        }
        assert_true(tries < 2); /* the answers are all that was missing */
        if (prng_below(prng, 4) == 0) {
            return; /* no answer: it comes again */
        }
        answer(node, author, at, prng);
    }
    keep_passed_on(node, author, at);
    taken[node][author]++;
    note_applied(node, author, at);
}

/* ---- looking ---- */

static void check(unsigned node, bool is_exact) {
    struct store *store = &nodes[node].store;
    struct key key = store_key(store, 0, SLICE("h"));
    struct elements elements;
    bool is_there = elements_read(store, &key, VALUE_SORTED_SET, &elements) == STORE_OK;
    for (unsigned i = 0; i < FIELDS; i++) {
        struct element element;
        char text[8];
        uint64_t value = 0;
        if (is_there && elements_find(store, &elements, field_name(i, text), &element)) {
            value = (uint64_t)element.score;
        }
        uint64_t expected = seen[node].made[i] & ~seen[node].off[i];
        if (is_exact ? value != expected : !is_right(value, expected, i)) {
            fail_msg("node %u, f%u: %llx for %llx", node, i, (unsigned long long)value,
                     (unsigned long long)expected);
        }
    }
    store_check(store);
}

static void check_node(unsigned node) {
    check(node, false);
}

static void check_exactly(unsigned node) {
    check(node, true);
}

static void emit(void *udata, unsigned number, const struct entry *entry) {
    (void)number;
    (void)entry;
    ++*(unsigned *)udata;
}

/* A snapshot is walked through, and no element is in a grave meanwhile when it begins. */
static void walk_through(unsigned node) {
    struct snapshot_walk walk;
    unsigned count = 0;
    snapshot_walk_begin(&walk, &nodes[node].store, emit, &count);
    assert_null(nodes[node].store.graves);
    while (!snapshot_walk_step(&walk, 4)) {
    }
    snapshot_walk_end(&walk);
}

/* What all have seen. */
static void settle(unsigned node, struct prng *prng) {
    struct context frontier = {{0}};
    struct store *store = &nodes[node].store;
    for (unsigned author = 0; author < NODES; author++) {
        size_t least = SIZE_MAX;
        for (unsigned i = 0; i < NODES; i++) {
            least = taken[i][author] < least ? taken[i][author] : least;
        }
        struct stream_record known;
        if (least > 0) {
            assert_true(stream_record_take(buffer_slice(&streams[author][least - 1]), &known));
            unsigned slot = replicas_find(&store->replicas, known.ref);
            frontier.stamps[slot] = stamp_make(known.last_ticks, slot);
        }
    }
    /* Nothing may be under way that had not seen it: only what all have, and nobody's since. */
    for (unsigned i = 0; i < NODES; i++) {
        for (unsigned author = 0; author < NODES; author++) {
            if (taken[i][author] < streams_count[author]) {
                return;
            }
        }
    }
    if (prng_below(prng, 2) == 0) {
        store_set_now(store, store->now_ms + 4000);
    }
    (void)store_settle(store, &frontier, 1 + (unsigned)prng_below(prng, 20));
}

static void history(unsigned part) {
    struct prng prng;
    seed_prng(&prng, "untold", part);
    begin(&prng);
    unsigned steps = 20 + (unsigned)prng_below(&prng, 200);
    for (unsigned i = 0; i < steps; i++) {
        unsigned node = (unsigned)prng_below(&prng, NODES), kind = (unsigned)prng_below(&prng, 20);
        if (kind < 8) {
            increment(&prng, node);
            record(node);
        } else if (kind < 10) {
            delete_all(node, &prng);
            record(node);
        } else if (kind < 18) {
            arrive(node, (unsigned)prng_below(&prng, NODES), &prng);
        } else if (kind == 18) {
            settle(node, &prng);
        } else if (prng_below(&prng, 4) == 0) {
            walk_through(node);
        }
        check_node(node);
    }
    for (unsigned round = 0; round < 10000; round++) {
        arrive((unsigned)prng_below(&prng, NODES), (unsigned)prng_below(&prng, NODES), &prng);
    }
    uint8_t digest[20], other[20];
    for (unsigned i = 0; i < NODES; i++) {
        for (unsigned author = 0; author < NODES; author++) {
            assert_int_equal(taken[i][author], streams_count[author]);
        }
        check_exactly(i);
        store_digest(&nodes[i].store, i == 0 ? digest : other);
        assert_true(i == 0 || memcmp(digest, other, sizeof(digest)) == 0);
    }
    for (unsigned i = 0; i < NODES; i++) {
        struct context frontier = nodes[i].store.context;
        store_set_now(&nodes[i].store, nodes[i].store.now_ms + 4000);
        while (!store_settle(&nodes[i].store, &frontier, 10)) {
        }
        assert_null(nodes[i].store.graves);
        check_exactly(i);
        store_digest(&nodes[i].store, other);
        assert_memory_equal(digest, other, sizeof(digest));
    }
    end();
    free_passed_on();
}

static void random_histories(void **state) {
    (void)state;
    asked_count = buried_count = 0;
    for (unsigned i = 0; i < 300; i++) {
        history(i);
    }
    assert_true(asked_count > 100);
    assert_true(buried_count > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
