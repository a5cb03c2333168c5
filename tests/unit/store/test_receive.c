/* SPDX-License-Identifier: BSD-3-Clause */
/* Stream records: what is whole and in order is applied, once, in one step for each unit; what is
 * early, has a gap, or makes no sense leaves the store as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/seed.h"
#include "unit/store/streams.h"

enum { NODES = 3 };
static struct node_store nodes[NODES];
static struct node_store *const a = &nodes[0], *const b = &nodes[1], *const c = &nodes[2];

static int setup(void **state) {
    (void)state;
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
    return 0;
}

static void set(struct node_store *node, const char *name, const char *value) {
    struct key key = store_key(&node->store, 0, slice_of(name));
    assert_int_equal(strings_set(&node->store, &key, slice_of(value), 0), STORE_OK);
}

static bool has(struct node_store *node, const char *name, const char *value) {
    struct key key = store_key(&node->store, 0, slice_of(name));
    const struct entry *entry = store_peek(&node->store, &key);
    struct entry_scratch scratch;
    return value == NULL
               ? entry == NULL
               : entry != NULL && slice_equal(entry_value(entry, &scratch), slice_of(value));
}

/* One record with one whole unit. */
static struct buffer write_one(struct node_store *node, const char *name, const char *value) {
    struct buffer record = {0};
    set(node, name, value);
    store_end_unit(&node->store);
    streams_collect(node, NODES, &record);
    return record;
}

static enum receive_status take(struct node_store *node, const struct buffer *record) {
    return streams_take(node, buffer_slice(record));
}

static uint64_t ticks_of(const struct node_store *node, const struct node_store *author) {
    return stamp_ticks(
        node->store.context.stamps[replicas_find(&node->store.replicas, author->ref)]);
}

/* ---- statuses ---- */

static void records_are_applied_once(void **state) {
    (void)state;
    struct buffer one = write_one(a, "k", "1"), two = write_one(a, "k", "2");
    assert_int_equal(take(b, &one), RECEIVE_OK);
    assert_true(has(b, "k", "1"));
    assert_int_equal(take(b, &one), RECEIVE_DUPLICATE);
    assert_int_equal(take(b, &two), RECEIVE_OK);
    assert_int_equal(take(b, &one), RECEIVE_DUPLICATE);
    assert_int_equal(take(b, &two), RECEIVE_DUPLICATE);
    assert_true(has(b, "k", "2"));
    assert_int_equal(b->before_count, 2);
    assert_int_equal(b->applied_count, 2);
    assert_int_equal(b->receiver.records_count, 2);
    assert_int_equal(b->receiver.changes_count, 2);
    assert_true(ticks_of(b, a) == ticks_of(a, a));
    assert_true(receiver_ticks(&b->receiver, replicas_find(&b->store.replicas, a->ref)) ==
                ticks_of(a, a));
    /* One's own come back, too. */
    assert_int_equal(take(a, &two), RECEIVE_DUPLICATE);
    buffer_deinit(&one);
    buffer_deinit(&two);
}

static void gaps_are_told(void **state) {
    (void)state;
    struct buffer one = write_one(a, "k", "1"), two = write_one(a, "k", "2");
    assert_int_equal(take(b, &two), RECEIVE_GAP);
    assert_true(has(b, "k", NULL));
    assert_int_equal(b->before_count, 0);
    assert_int_equal(take(b, &one), RECEIVE_OK);
    assert_int_equal(take(b, &two), RECEIVE_OK);
    assert_true(has(b, "k", "2"));
    buffer_deinit(&one);
    buffer_deinit(&two);
}

static void causes_come_first(void **state) {
    (void)state;
    struct buffer cause = write_one(a, "cause", "1");
    assert_int_equal(take(b, &cause), RECEIVE_OK);
    struct buffer effect = write_one(b, "effect", "2");
    assert_int_equal(take(c, &effect), RECEIVE_EARLY);
    assert_true(c->receiver.missing_ref == a->ref);
    assert_true(c->receiver.missing_ticks == ticks_of(a, a));
    assert_true(has(c, "effect", NULL));
    assert_int_equal(take(c, &cause), RECEIVE_OK);
    assert_int_equal(take(c, &effect), RECEIVE_OK);
    assert_true(has(c, "effect", "2"));
    /* The mark stands where the record said. */
    unsigned slot_a = replicas_find(&c->store.replicas, a->ref);
    unsigned slot_b = replicas_find(&c->store.replicas, b->ref);
    assert_true(replicas_has_seen(&c->store.replicas, slot_b, stamp_make(ticks_of(a, a), slot_a)));
    assert_false(
        replicas_has_seen(&c->store.replicas, slot_b, stamp_make(ticks_of(a, a) + 1, slot_a)));
    assert_false(replicas_has_seen(&c->store.replicas, slot_a, stamp_make(1, slot_b)));
    buffer_deinit(&cause);
    buffer_deinit(&effect);
}

static void authors_must_be_known(void **state) {
    (void)state;
    struct node_store stranger;
    streams_init(&stranger, 5, 6);
    struct buffer record = write_one(&stranger, "k", "1");
    assert_int_equal(take(b, &record), RECEIVE_UNKNOWN);
    struct replica_id id = streams_id(5);
    assert_true(replicas_add(&b->store.replicas, &id) != 0);
    assert_int_equal(take(b, &record), RECEIVE_OK);
    assert_true(has(b, "k", "1"));
    /* On a retired author nothing more is expected, and what had seen it is welcome. */
    struct retired_replica retired = {.ref = stranger.ref, .ticks = ticks_of(&stranger, &stranger)};
    replicas_note_retired(&c->store.replicas, &retired);
    assert_int_equal(take(c, &record), RECEIVE_DUPLICATE);
    struct buffer more = write_one(&stranger, "k", "2");
    assert_int_equal(take(c, &more), RECEIVE_UNKNOWN);
    /* Nor where it still has its slot; but for what is here beyond, as somebody's state had it. */
    replicas_note_retired(&b->store.replicas, &retired);
    assert_int_equal(take(b, &more), RECEIVE_DUPLICATE);
    assert_true(has(b, "k", "1"));
    unsigned slot = replicas_find(&b->store.replicas, stranger.ref);
    context_add(&b->store.context, stamp_make(ticks_of(&stranger, &stranger), slot));
    struct buffer most = write_one(&stranger, "k", "3");
    assert_int_equal(take(b, &most), RECEIVE_OK);
    assert_true(has(b, "k", "3"));
    buffer_deinit(&most);
    struct stream_mark mark = {.ref = stranger.ref, .ticks = ticks_of(&stranger, &stranger)};
    struct buffer seen = {0};
    set(a, "k", "3");
    store_end_unit(&a->store);
    struct stream_record head = {.ref = a->ref, .last_ticks = a->store.journal.last_ticks};
    stream_record_put_head(&seen, &head, &mark, 1);
    buffer_append_slice(&seen, buffer_slice(&a->store.journal.bytes));
    assert_int_equal(take(c, &seen), RECEIVE_OK);
    buffer_deinit(&record);
    buffer_deinit(&more);
    buffer_deinit(&seen);
    streams_deinit(&stranger);
}

/* A longer record that begins with what was seen before. */
static void records_may_overlap(void **state) {
    (void)state;
    struct buffer one = {0}, both = {0};
    set(a, "x", "1");
    store_end_unit(&a->store);
    struct stream_record head = {.ref = a->ref, .last_ticks = a->store.journal.last_ticks};
    stream_record_put_head(&one, &head, NULL, 0);
    buffer_append_slice(&one, buffer_slice(&a->store.journal.bytes));
    set(a, "y", "2");
    store_end_unit(&a->store);
    head.last_ticks = a->store.journal.last_ticks;
    stream_record_put_head(&both, &head, NULL, 0);
    buffer_append_slice(&both, buffer_slice(&a->store.journal.bytes));
    assert_int_equal(take(b, &one), RECEIVE_OK);
    set(b, "x", "later");
    assert_int_equal(take(b, &both), RECEIVE_OK);
    assert_true(has(b, "x", "later"));
    assert_true(has(b, "y", "2"));
    assert_int_equal(b->receiver.changes_count, 2);
    buffer_deinit(&one);
    buffer_deinit(&both);
}

/* ---- units ---- */

/* A unit over three records; a whole unit comes before it in the first, one after it in the last.
 */
static void write_open_unit(struct buffer records[3]) {
    set(a, "before", "0");
    store_end_unit(&a->store);
    set(a, "x", "1");
    streams_collect(a, NODES, &records[0]);
    set(a, "y", "2");
    streams_collect(a, NODES, &records[1]);
    set(a, "z", "3");
    store_end_unit(&a->store);
    set(a, "after", "4");
    store_end_unit(&a->store);
    streams_collect(a, NODES, &records[2]);
}

static void units_are_applied_whole(void **state) {
    (void)state;
    struct buffer records[3] = {{0}};
    write_open_unit(records);
    unsigned slot = replicas_find(&b->store.replicas, a->ref);
    assert_int_equal(take(b, &records[0]), RECEIVE_OK);
    assert_int_equal(take(b, &records[0]), RECEIVE_DUPLICATE);
    assert_int_equal(take(b, &records[2]), RECEIVE_GAP);
    assert_int_equal(take(b, &records[1]), RECEIVE_OK);
    assert_int_equal(take(b, &records[1]), RECEIVE_DUPLICATE);
    assert_true(has(b, "x", NULL) && has(b, "y", NULL));
    assert_true(ticks_of(b, a) == 0);
    assert_true(receiver_ticks(&b->receiver, slot) > 0);
    assert_int_equal(b->receiver.kept_bytes, records[0].size + records[1].size);
    assert_int_equal(b->applied_count, 0);
    assert_int_equal(b->before_count, 0);
    assert_int_equal(take(b, &records[2]), RECEIVE_OK);
    assert_true(has(b, "before", "0") && has(b, "x", "1") && has(b, "y", "2"));
    assert_true(has(b, "z", "3") && has(b, "after", "4"));
    assert_int_equal(b->receiver.kept_bytes, 0);
    assert_int_equal(b->before_count, 1);
    assert_true(ticks_of(b, a) == ticks_of(a, a));
    /* Passed on in order. */
    assert_int_equal(b->applied_count, 3);
    struct slice rest = buffer_slice(&b->applied);
    for (unsigned i = 0; i < 3; i++) {
        size_t size;
        memcpy(&size, rest.data, sizeof(size));
        rest = slice_skip(rest, sizeof(size));
        assert_true(slice_equal(slice_make(rest.data, size), buffer_slice(&records[i])));
        rest = slice_skip(rest, size);
        assert_int_equal(take(b, &records[i]), RECEIVE_DUPLICATE);
        buffer_deinit(&records[i]);
    }
}

static void units_can_be_forgotten(void **state) {
    (void)state;
    struct buffer records[3] = {{0}};
    write_open_unit(records);
    unsigned slot = replicas_find(&b->store.replicas, a->ref);
    assert_int_equal(take(b, &records[0]), RECEIVE_OK);
    assert_int_equal(take(b, &records[1]), RECEIVE_OK);
    receiver_forget_unit(&b->receiver, slot);
    assert_int_equal(b->receiver.kept_bytes, 0);
    assert_int_equal(take(b, &records[2]), RECEIVE_GAP);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(take(b, &records[i]), RECEIVE_OK);
    }
    assert_true(has(b, "before", "0") && has(b, "z", "3"));
    /* An open unit that stays behind is freed with the receiver; and one whose slot goes to another
     * replica is not taken for that one's. */
    set(a, "x", "5");
    struct buffer open = {0};
    streams_collect(a, NODES, &open);
    assert_int_equal(take(c, &records[0]), RECEIVE_OK);
    assert_int_equal(take(b, &open), RECEIVE_OK);
    assert_true(receiver_ticks(&b->receiver, slot) > ticks_of(b, a));
    b->store.context.stamps[slot] = 0;
    replicas_retire(&b->store.replicas, slot, 1);
    assert_int_equal(replicas_release(&b->store.replicas, UINT64_MAX), 0);
    struct replica_id id = streams_id(6);
    assert_true(replicas_add_at(&b->store.replicas, slot, &id));
    assert_true(receiver_ticks(&b->receiver, slot) == 0);
    for (unsigned i = 0; i < 3; i++) {
        buffer_deinit(&records[i]);
    }
    buffer_deinit(&open);
}

/* Open units have a limit: the one that reaches it is forgotten, and may come again later. */
static void open_units_are_bounded(void **state) {
    (void)state;
    struct buffer records[3] = {{0}}, other = {0};
    write_open_unit(records);
    set(c, "other", "1");
    streams_collect(c, NODES, &other);
    unsigned slot = replicas_find(&b->store.replicas, a->ref);
    b->receiver.kept_bytes_max = other.size + records[0].size + records[1].size - 1;
    assert_int_equal(take(b, &other), RECEIVE_OK);
    assert_int_equal(take(b, &records[0]), RECEIVE_OK);
    assert_int_equal(take(b, &records[1]), RECEIVE_FULL);
    assert_int_equal(b->receiver.kept_bytes, other.size);
    assert_true(receiver_ticks(&b->receiver, slot) == 0);
    assert_int_equal(b->applied_count, 0);
    assert_int_equal(take(b, &records[1]), RECEIVE_GAP);
    receiver_forget_unit(&b->receiver, replicas_find(&b->store.replicas, c->ref));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(take(b, &records[i]), RECEIVE_OK);
        buffer_deinit(&records[i]);
    }
    assert_true(has(b, "before", "0") && has(b, "z", "3"));
    buffer_deinit(&other);
}

/* ---- what makes no sense ---- */

static struct buffer make_record(const struct node_store *author, uint64_t previous, uint64_t last,
                                 const struct change *changes, unsigned count) {
    struct change_writer writer = {.is_on = true};
    for (unsigned i = 0; i < count; i++) {
        change_writer_add(&writer, &changes[i]);
        change_writer_end_unit(&writer);
    }
    struct buffer record = {0};
    struct stream_record head = {
        .ref = author->ref, .previous_ticks = previous, .last_ticks = last};
    stream_record_put_head(&record, &head, NULL, 0);
    buffer_append_slice(&record, buffer_slice(&writer.bytes));
    change_writer_deinit(&writer);
    return record;
}

static void assert_refused(struct buffer record) {
    uint8_t before[20], after[20];
    store_digest(&b->store, before);
    struct context context = b->store.context;
    assert_int_equal(take(b, &record), RECEIVE_MALFORMED);
    store_digest(&b->store, after);
    assert_memory_equal(before, after, sizeof(before));
    assert_memory_equal(&context, &b->store.context, sizeof(context));
    assert_int_equal(b->before_count, 0);
    assert_int_equal(b->applied_count, 0);
    buffer_deinit(&record);
}

static void malformed_records_change_nothing(void **state) {
    (void)state;
    struct key key = store_key(&b->store, 0, SLICE("here"));
    assert_int_equal(strings_set(&b->store, &key, SLICE("1"), 0), STORE_OK);
    struct change good = {
        .kind = CHANGE_SET, .stamp = stamp_make(10, 1), .key = SLICE("k"), .value = SLICE("v")};
    struct change later = good;
    later.stamp = stamp_make(20, 1);
    /* Other ticks than the head says. */
    assert_refused(make_record(a, 0, 11, &good, 1));
    assert_refused(make_record(a, 0, 9, &good, 1));
    /* Nothing in it; nothing new in it. */
    assert_refused(make_record(a, 0, 10, &good, 0));
    struct stream_record empty = {.ref = a->ref, .last_ticks = 10};
    struct buffer record = {0};
    stream_record_put_head(&record, &empty, NULL, 0);
    buffer_append_byte(&record, 10);
    assert_refused(record);
    /* Stamps that do not grow. */
    struct change twice[] = {good, good};
    assert_refused(make_record(a, 0, 10, twice, 2));
    /* Each is fine until the last change. */
    const struct change bad[] = {
        {.kind = CHANGE_SET, .db = STREAMS_DBS, .key = SLICE("k"), .value = SLICE("v")},
        {.kind = CHANGE_FLUSH, .db = STREAMS_DBS},
        {.kind = CHANGE_FLOAT_COUNTER, .key = SLICE("k"), .value = SLICE("x")},
        {.kind = CHANGE_REGISTERS, .key = SLICE("k"), .value = SLICE("ab")},
        {.kind = CHANGE_REGISTERS, .key = SLICE("k"), .value = SLICE("\0\xFF\1")},
        {.kind = CHANGE_REGISTERS, .key = SLICE("k"), .value = SLICE("\0\0\x40")},
        {.kind = CHANGE_PATCH, .key = SLICE("k"), .offset = UINT64_MAX, .value = SLICE("v")},
        /* Of the second part of a counter only the beginning; a total that is no number; nobody's.
         */
        {.kind = CHANGE_TAKE, .key = SLICE("k"), .value = SLICE("ABCDEFGH\5\0\2ABC")},
        {.kind = CHANGE_TAKE, .key = SLICE("k"), .value = SLICE("ABCDEFGH\5\1\1x")},
        {.kind = CHANGE_TAKE, .key = SLICE("k"), .value = SLICE("\0\0\0\0\0\0\0\0\5\0\2")},
        {.kind = CHANGE_SWAP, .value = SLICE("\1")},
        {.kind = CHANGE_SWAP, .value = SLICE("\1\0\2\3\4")},
        {.kind = CHANGE_SWAP, .value = SLICE("\1\0\x80")},
    };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct change changes[] = {good, bad[i]};
        changes[1].stamp = later.stamp;
        assert_refused(make_record(a, 0, 20, changes, 2));
    }
    /* Cut anywhere, and its bytes changed: refused, or good by itself. */
    struct change changes[] = {good, later};
    record = make_record(a, 0, 20, changes, 2);
    for (size_t size = 0; size < record.size; size++) {
        assert_int_equal(streams_take(b, slice_make(record.data, size)), RECEIVE_MALFORMED);
    }
    assert_int_equal(take(b, &record), RECEIVE_OK);
    assert_true(has(b, "k", "v"));
    buffer_deinit(&record);
    store_check(&b->store);
}

/* ---- databases ---- */

static void swap_at(struct node_store *node, unsigned db, unsigned other, struct buffer *record) {
    store_swap(&node->store, db, other);
    store_end_unit(&node->store);
    streams_collect(node, NODES, record);
}

static unsigned swap_conflicts;
static uint64_t swap_winner, swap_loser;
static void note_conflict(void *udata, const struct key *key, enum store_conflict conflict,
                          uint64_t winner, uint64_t loser) {
    (void)udata;
    (void)key;
    swap_conflicts += conflict == STORE_CONFLICT_SWAP;
    swap_winner = winner;
    swap_loser = loser;
}

/* What is written at the same time as a swap goes where its writer meant it to go. */
static void writes_follow_their_database(void **state) {
    (void)state;
    struct buffer swap = {0};
    swap_at(a, 0, 2, &swap);
    struct buffer write = write_one(b, "k", "zero");
    assert_int_equal(take(a, &write), RECEIVE_OK);
    assert_int_equal(take(b, &swap), RECEIVE_OK);
    for (unsigned i = 0; i < 2; i++) {
        struct key key = store_key(&nodes[i].store, 2, SLICE("k"));
        assert_non_null(store_peek(&nodes[i].store, &key));
        assert_int_equal(store_count(&nodes[i].store, 0), 0);
        assert_int_equal(store_database_index(&nodes[i].store, 0), 2);
        assert_int_equal(store_database_index(&nodes[i].store, 1), 1);
    }
    /* And writes after it: database 0 is number 2 now. */
    struct buffer after = write_one(b, "l", "two");
    assert_int_equal(take(a, &after), RECEIVE_OK);
    assert_true(has(a, "l", "two"));
    assert_int_equal(take(c, &swap), RECEIVE_OK);
    assert_int_equal(take(c, &write), RECEIVE_OK);
    assert_int_equal(take(c, &after), RECEIVE_OK);
    uint8_t digests[NODES][20];
    for (unsigned i = 0; i < NODES; i++) {
        store_digest(&nodes[i].store, digests[i]);
        assert_memory_equal(digests[i], digests[0], 20);
    }
    buffer_deinit(&swap);
    buffer_deinit(&write);
    buffer_deinit(&after);
}

static void the_last_swap_wins_as_a_whole(void **state) {
    (void)state;
    struct buffer early = {0}, late = {0};
    swap_conflicts = 0;
    for (unsigned i = 0; i < NODES; i++) {
        nodes[i].store.conflict = note_conflict;
    }
    swap_at(a, 0, 1, &early);
    store_set_now(&b->store, b->store.now_ms + 5);
    swap_at(b, 2, 3, &late);
    assert_int_equal(take(a, &late), RECEIVE_OK);
    assert_int_equal(swap_conflicts, 1);
    assert_int_equal(take(b, &early), RECEIVE_OK);
    assert_int_equal(swap_conflicts, 2);
    assert_int_equal(take(c, &early), RECEIVE_OK);
    assert_int_equal(swap_conflicts, 2);
    assert_int_equal(take(c, &late), RECEIVE_OK);
    assert_int_equal(swap_conflicts, 3);
    assert_true(replicas_compare_stamps(&c->store.replicas, swap_winner, swap_loser) > 0);
    for (unsigned i = 0; i < NODES; i++) {
        assert_int_equal(nodes[i].store.dbs[0].number, 0);
        assert_int_equal(nodes[i].store.dbs[1].number, 1);
        assert_int_equal(nodes[i].store.dbs[2].number, 3);
        assert_int_equal(nodes[i].store.dbs[3].number, 2);
        assert_int_equal(nodes[i].store.conflicts_count, 1);
    }
    /* Who has seen a swap conflicts with nobody, and builds on it. */
    struct buffer next = {0};
    swap_at(c, 0, 2, &next);
    assert_int_equal(take(a, &next), RECEIVE_OK);
    assert_int_equal(a->store.conflicts_count, 1);
    assert_int_equal(a->store.dbs[0].number, 3);
    assert_int_equal(a->store.dbs[2].number, 0);
    assert_int_equal(a->store.dbs[3].number, 2);
    buffer_deinit(&early);
    buffer_deinit(&late);
    buffer_deinit(&next);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(records_are_applied_once),
        TEST(gaps_are_told),
        TEST(causes_come_first),
        TEST(authors_must_be_known),
        TEST(records_may_overlap),
        TEST(units_are_applied_whole),
        TEST(units_can_be_forgotten),
        TEST(open_units_are_bounded),
        TEST(malformed_records_change_nothing),
        TEST(writes_follow_their_database),
        TEST(the_last_swap_wins_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
