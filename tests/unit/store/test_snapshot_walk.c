/* SPDX-License-Identifier: BSD-3-Clause */
/* Snapshot walks: while one goes on in small steps, random mutators change the store. What the walk
 * emits, loaded into a new store, must be exactly what there was when it began; and with the
 * changes since then on top, exactly what there is at the end. That is how a node recovers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/lists.h"
#include "store/snapshot_walk.h"
#include "store/state.h"
#include "unit/store/history.h"

/* ---- a snapshot in memory ---- */

struct snapshot {
    struct snapshot_walk walk;
    struct buffer state;   /* what the walk emitted */
    struct buffer changes; /* batches since it began, each after its size */
    uint8_t digest[20];    /* of the store when it began */
};

static void snapshot_flush(void *udata) {
    (void)udata; /* one run of bytes will do */
}

static void snapshot_emit(void *udata, unsigned db, const struct entry *entry) {
    struct snapshot *snapshot = (struct snapshot *)udata;
    state_encode(&snapshot->state, snapshot->walk.store, db, entry, snapshot_flush, NULL);
}

/* Takes the journal's batch aside, or drops it before a walk. */
static void snapshot_take_batch(struct snapshot *snapshot, struct store *store) {
    size_t size = store->journal.bytes.size;
    if (snapshot != NULL && size > 0) {
        buffer_append(&snapshot->changes, &size, sizeof(size));
        buffer_append_slice(&snapshot->changes, buffer_slice(&store->journal.bytes));
    }
    change_writer_clear(&store->journal);
}

static void snapshot_begin(struct snapshot *snapshot, struct store *store) {
    *snapshot = (struct snapshot){0};
    snapshot_take_batch(NULL, store);
    store_digest(store, snapshot->digest);
    state_encode_order(&snapshot->state, store);
    snapshot_walk_begin(&snapshot->walk, store, snapshot_emit, snapshot);
}

static void snapshot_deinit(struct snapshot *snapshot) {
    buffer_deinit(&snapshot->state);
    buffer_deinit(&snapshot->changes);
}

static void snapshot_load(const struct snapshot *snapshot, struct store *store) {
    struct store_opts opts = {.dbs_count = HISTORY_DBS, .seed = 4711};
    store_init(store, &opts);
    struct slice rest = buffer_slice(&snapshot->state);
    while (rest.size > 0) {
        require(state_load(store, &rest) == STORE_OK);
    }
    store_check(store);
}

static void snapshot_replay(const struct snapshot *snapshot, struct store *store) {
    for (struct slice rest = buffer_slice(&snapshot->changes); rest.size > 0;) {
        size_t size;
        memcpy(&size, rest.data, sizeof(size));
        rest = slice_skip(rest, sizeof(size));
        history_replay(store, slice_make(rest.data, size), STAMP_SLOT_SELF);
        rest = slice_skip(rest, size);
    }
    store_check(store);
}

static uint64_t keys_count(const struct store *store) {
    uint64_t count = 0;
    for (unsigned db = 0; db < store->dbs_count; db++) {
        count += store_count(store, db);
    }
    return count;
}

/* ---- random ---- */

/* One walk from beginning to end; true when it came through. */
static bool walk_once(struct history *history, unsigned steps_each_max) {
    struct snapshot snapshot;
    uint64_t count = keys_count(&history->store);
    snapshot_begin(&snapshot, &history->store);
    uint64_t steps_max = history_below(history, steps_each_max + 1);
    while (!snapshot_walk_step(&snapshot.walk, (unsigned)history_below(history, 4))) {
        for (uint64_t i = history_below(history, steps_max + 1); i > 0; i--) {
            history_step(history);
            snapshot_take_batch(&snapshot, &history->store);
        }
    }
    bool is_whole = !snapshot.walk.is_cancelled;
    snapshot_walk_end(&snapshot.walk);
    /* Changes after the walk belong to the log, too. */
    for (unsigned i = 0; i < 20; i++) {
        history_step(history);
    }
    snapshot_take_batch(&snapshot, &history->store);
    if (is_whole) {
        struct store loaded;
        uint8_t digest[20];
        snapshot_load(&snapshot, &loaded);
        store_digest(&loaded, digest);
        require(memcmp(digest, snapshot.digest, sizeof(digest)) == 0);
        require(keys_count(&loaded) == count);
        require(snapshot.walk.emitted_count == count);
        snapshot_replay(&snapshot, &loaded);
        require(history_digests_equal(&loaded, &history->store));
        store_deinit(&loaded);
    }
    snapshot_deinit(&snapshot);
    return is_whole;
}

static void walks_show_the_state_at_their_beginning(void **state) {
    (void)state;
    for (unsigned part = 0; part < 4; part++) {
        struct prng prng;
        seed_prng(&prng, "walks_show_the_state_at_their_beginning", part);
        struct history history;
        history_init(&history, prng_next(&prng));
        unsigned whole = 0, cancelled = 0;
        for (unsigned walk = 0; walk < 30; walk++) {
            history.upheavals = walk % 4 == 0 ? 100 : 0;
            for (uint64_t i = prng_below(&prng, 60); i > 0; i--) {
                history_step(&history);
            }
            if (walk_once(&history, part == 0 ? 40 : 6)) {
                whole++;
            } else {
                require(history.upheavals > 0);
                cancelled++;
            }
            history_compare(&history);
        }
        assert_true(whole > 15);
        assert_true(part != 0 || cancelled > 0);
        history_deinit(&history);
    }
}

/* The same in a table of many segments: keys come and go, segments split and shrink. */
static void walks_survive_growth_and_removal(void **state) {
    (void)state;
    for (unsigned part = 0; part < 4; part++) {
        struct prng prng;
        seed_prng(&prng, "walks_survive_growth_and_removal", part);
        struct store_opts opts = {.dbs_count = HISTORY_DBS, .seed = prng_next(&prng)};
        struct store store, loaded;
        store_init(&store, &opts);
        store.journal.is_on = true;
        store_set_now(&store, INT64_C(1800000000000));
        char name[32];
        uint64_t first = 0, next = 0;
        struct snapshot snapshot = {0};
        bool is_walking = false, is_done = false;
        for (unsigned step = 0; step < 15000; step++) {
            uint64_t way = prng_below(&prng, 16);
            /* Part by part: growing, shrinking, and a window that moves on. */
            bool is_removal = part % 2 == 0 ? way < 4 : way < 7;
            uint64_t number = is_removal ? first + prng_below(&prng, next - first + 1) : next++;
            struct key key = store_key(
                &store, (unsigned)(number % 2),
                slice_make(name, (size_t)snprintf(name, sizeof(name), "%zu", (size_t)number)));
            if (is_removal) {
                (void)store_delete(&store, &key);
            } else {
                assert_int_equal(strings_set(&store, &key, slice_make(name, way), 0), STORE_OK);
            }
            if (way == 15) {
                number = prng_below(&prng, next);
                key = store_key(
                    &store, (unsigned)(number % 2),
                    slice_make(name, (size_t)snprintf(name, sizeof(name), "%zu", (size_t)number)));
                (void)store_expire(&store, &key, (uint64_t)store.now_ms + 100000);
            }
            store_end_unit(&store);
            if (part == 3 && step > 10000) {
                first = next - (next - first) * 9 / 10;
            }
            if (step == 5000) {
                snapshot_begin(&snapshot, &store);
                is_walking = true;
            }
            if (is_walking && !is_done) {
                is_done = snapshot_walk_step(&snapshot.walk, 1);
            }
            if (step == 6000) {
                store_check(&store);
            }
        }
        while (!is_done) {
            is_done = snapshot_walk_step(&snapshot.walk, 100);
        }
        assert_false(snapshot.walk.is_cancelled);
        snapshot_walk_end(&snapshot.walk);
        snapshot_take_batch(&snapshot, &store);
        uint8_t digest[20];
        snapshot_load(&snapshot, &loaded);
        store_digest(&loaded, digest);
        assert_memory_equal(digest, snapshot.digest, sizeof(digest));
        snapshot_replay(&snapshot, &loaded);
        assert_true(history_digests_equal(&loaded, &store));
        store_check(&store);
        store_deinit(&loaded);
        store_deinit(&store);
        snapshot_deinit(&snapshot);
    }
}

/* ---- ranges ---- */

enum { RANGES = 5 };

/* Bounds anywhere, also inside one bucket or around a single hash; all hashes belong to one. */
static void pick_bounds(struct prng *prng, uint64_t firsts[RANGES]) {
    firsts[0] = 0;
    for (unsigned i = 1; i < RANGES; i++) {
        uint64_t low = firsts[i - 1] + 1;
        uint64_t room = prng_below(prng, 3) == 0 ? 1000 : UINT64_MAX / RANGES - 1;
        firsts[i] = low + prng_below(prng, room);
    }
}

/* Walks over all ranges and one over all keys, begun one after another while the store changes:
 * each must show its keys as they were at its own beginning. */
static void walks_of_ranges_go_on_together(void **state) {
    (void)state;
    for (unsigned part = 0; part < 8; part++) {
        struct prng prng;
        seed_prng(&prng, "walks_of_ranges_go_on_together", part);
        struct history history;
        history_init(&history, prng_next(&prng));
        history.upheavals = 0;
        for (unsigned i = 0; i < 400; i++) {
            history_step(&history);
        }
        uint64_t firsts[RANGES], counts[RANGES + 1];
        pick_bounds(&prng, firsts);
        struct snapshot snapshots[RANGES + 1] = {0};
        struct store expected[RANGES + 1];
        for (unsigned i = 0; i <= RANGES; i++) {
            /* What the walk shall show: the state now, of its range. */
            struct snapshot now;
            struct store all;
            snapshot_begin(&now, &history.store);
            while (!snapshot_walk_step(&now.walk, 100)) {
            }
            snapshot_walk_end(&now.walk);
            snapshot_load(&now, &all);
            snapshot_deinit(&now);
            uint64_t last = i < RANGES - 1 ? firsts[i + 1] - 1 : UINT64_MAX;
            counts[i] = 0;
            for (unsigned db = 0; db < HISTORY_DBS; db++) {
                for (unsigned n = 0; n < HISTORY_NAMES; n++) {
                    struct key key = store_key(&all, db, history.names[n]);
                    uint64_t hash = store_hash(&history.store, key.name);
                    if (i < RANGES && (hash < firsts[i] || hash > last)) {
                        uint64_t *slot = mutate_slot(&all, &key);
                        if (slot != NULL) {
                            mutate_remove(&all, &key, slot);
                        }
                    }
                    counts[i] += mutate_slot(&all, &key) != NULL;
                }
            }
            expected[i] = all;
            state_encode_order(&snapshots[i].state, &history.store);
            if (i < RANGES) {
                snapshot_walk_begin_range(&snapshots[i].walk, &history.store, firsts[i], last,
                                          snapshot_emit, &snapshots[i]);
            } else {
                snapshot_walk_begin(&snapshots[i].walk, &history.store, snapshot_emit,
                                    &snapshots[i]);
            }
            for (unsigned step = 0; step < 20; step++) {
                history_step(&history);
                (void)snapshot_walk_step(&snapshots[prng_below(&prng, i + 1)].walk, 1);
            }
        }
        for (unsigned left = RANGES + 1; left > 0;) {
            history_step(&history);
            struct snapshot *snapshot = &snapshots[prng_below(&prng, RANGES + 1)];
            if (snapshot->walk.store != NULL && snapshot_walk_step(&snapshot->walk, 1)) {
                assert_false(snapshot->walk.is_cancelled);
                snapshot_walk_end(&snapshot->walk);
                snapshot->walk.store = NULL;
                left--;
            }
        }
        assert_null(history.store.walk);
        for (unsigned i = 0; i <= RANGES; i++) {
            struct store loaded;
            snapshot_load(&snapshots[i], &loaded);
            assert_true(history_digests_equal(&loaded, &expected[i]));
            assert_int_equal(snapshots[i].walk.emitted_count, counts[i]);
            store_deinit(&loaded);
            store_deinit(&expected[i]);
            snapshot_deinit(&snapshots[i]);
        }
        change_writer_clear(&history.store.journal);
        history_deinit(&history);
    }
}

/* ---- single cases ---- */

/* Memory that is out makes NULL, as it does without the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

static struct store one_store;

static struct key one_key(const char *name) {
    return store_key(&one_store, 0, slice_of(name));
}

static uint64_t one_count; /* of keys when the walk began */

static void one_begin(struct snapshot *snapshot) {
    struct store_opts opts = {.dbs_count = HISTORY_DBS, .seed = 5};
    store_init(&one_store, &opts);
    store_set_now(&one_store, INT64_C(1800000000000));
    one_store.journal.is_on = true;
    struct key key = one_key("key"), timed = one_key("timed"), large = one_key("large");
    char bytes[9000];
    memset(bytes, 'x', sizeof(bytes));
    uint64_t soon = (uint64_t)one_store.now_ms + 1000;
    assert_int_equal(strings_set(&one_store, &key, SLICE("1"), 0), STORE_OK);
    assert_int_equal(strings_set(&one_store, &timed, SLICE("1"), soon), STORE_OK);
    assert_int_equal(strings_set(&one_store, &large, slice_make(bytes, sizeof(bytes)), 0),
                     STORE_OK);
    store_end_unit(&one_store);
    one_count = 3;
    snapshot_begin(snapshot, &one_store);
}

/* Goes through the walk and compares with the state at its beginning. */
static void one_end(struct snapshot *snapshot) {
    struct store loaded;
    uint8_t digest[20];
    store_end_unit(&one_store);
    assert_true(snapshot_walk_step(&snapshot->walk, 1000));
    assert_false(snapshot->walk.is_cancelled);
    assert_int_equal(snapshot->walk.emitted_count, one_count);
    snapshot_walk_end(&snapshot->walk);
    snapshot_take_batch(snapshot, &one_store);
    snapshot_load(snapshot, &loaded);
    store_digest(&loaded, digest);
    assert_memory_equal(digest, snapshot->digest, sizeof(digest));
    snapshot_replay(snapshot, &loaded);
    assert_true(history_digests_equal(&loaded, &one_store));
    store_deinit(&loaded);
    snapshot_deinit(snapshot);
    store_deinit(&one_store);
}

/* A key that loses its expiry has no newer value: the walk must see by something else that it was
 * emitted already. */
static void losing_the_expiry_ahead_of_the_walk(void **state) {
    (void)state;
    struct snapshot snapshot;
    one_begin(&snapshot);
    struct key timed = one_key("timed");
    assert_true(store_expire(&one_store, &timed, 0));
    assert_int_equal(snapshot.walk.handed_over_count, 1);
    one_end(&snapshot);
}

static void an_expiry_that_changes_twice(void **state) {
    (void)state;
    struct snapshot snapshot;
    one_begin(&snapshot);
    struct key key = one_key("key");
    assert_true(store_expire(&one_store, &key, (uint64_t)one_store.now_ms + 500));
    assert_true(store_expire(&one_store, &key, 0));
    assert_false(store_expire(&one_store, &key, 0));
    assert_int_equal(snapshot.walk.handed_over_count, 1);
    one_end(&snapshot);
}

static void renaming_a_large_value(void **state) {
    (void)state;
    struct snapshot snapshot;
    one_begin(&snapshot);
    struct key large = one_key("large"), other = one_key("other"), key = one_key("key");
    assert_int_equal(store_rename(&one_store, &large, &other), STORE_OK);
    assert_int_equal(strings_patch(&one_store, &other, 4095, SLICE("yy"), NULL), STORE_OK);
    assert_int_equal(store_rename(&one_store, &other, &key), STORE_OK);
    assert_int_equal(snapshot.walk.handed_over_count, 2);
    one_end(&snapshot);
}

static void keys_that_come_back(void **state) {
    (void)state;
    struct snapshot snapshot;
    one_begin(&snapshot);
    int64_t result;
    struct key key = one_key("key");
    assert_true(store_delete(&one_store, &key));
    assert_int_equal(strings_add_integer(&one_store, &key, 5, &result), STORE_OK);
    assert_true(store_delete(&one_store, &key));
    assert_int_equal(strings_set(&one_store, &key, SLICE("new"), 0), STORE_OK);
    one_end(&snapshot);
}

static void a_key_that_expires_meanwhile(void **state) {
    (void)state;
    struct snapshot snapshot;
    one_begin(&snapshot);
    struct key timed = one_key("timed");
    store_set_now(&one_store, one_store.now_ms + 2000);
    assert_null(store_read(&one_store, &timed));
    one_end(&snapshot);
}

/* A write that fails for want of memory has changed nothing, and nothing may be emitted twice. */
static void a_write_that_fails_is_no_change(void **state) {
    (void)state;
    struct snapshot snapshot;
    one_begin(&snapshot);
    struct key key = one_key("key"), large = one_key("large");
    uint64_t far = UINT64_C(1) << 60;
    assert_int_equal(strings_patch(&one_store, &key, far, SLICE("a"), NULL), STORE_OUT_OF_MEMORY);
    assert_int_equal(strings_patch(&one_store, &large, far, SLICE("a"), NULL), STORE_OUT_OF_MEMORY);
    one_end(&snapshot);
}

/* Nor is one that finds no place between two elements of a list: if the walk was told of it, and
 * then of another key, it emitted the list once more when it came to it. */
static void an_insert_without_room_is_no_change(void **state) {
    (void)state;
    struct snapshot snapshot;
    one_begin(&snapshot);
    snapshot_walk_end(&snapshot.walk);
    snapshot_deinit(&snapshot);
    struct key key = one_key("list"), other = one_key("key");
    struct elements_writer writer;
    enum store_status status = STORE_OK;
    char value[100];
    memset(value, 'v', sizeof(value));
    struct replica_id id = {.node = {1}, .generation = 1};
    assert_int_equal(replicas_add(&one_store.replicas, &id), one_store.replicas.self);
    /* Each between the two before it, until there is no more room. */
    assert_int_equal(elements_open(&one_store, &key, VALUE_LIST, &writer), STORE_OK);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(list_push(&writer, LIST_RIGHT, slice_make(value, sizeof(value))),
                         STORE_OK);
    }
    uint64_t at = 0;
    for (unsigned i = 0; i < 100000 && status == STORE_OK; i++) {
        at = 1 + (i + 1) / 2;
        status = list_insert(&writer, at, SLICE("x"));
    }
    elements_close(&writer);
    assert_int_equal(status, STORE_NO_ROOM);
    store_end_unit(&one_store);
    one_count = 4;
    snapshot_begin(&snapshot, &one_store);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(elements_open(&one_store, &key, VALUE_LIST, &writer), STORE_OK);
        assert_int_equal(list_insert(&writer, at, SLICE("x")), STORE_NO_ROOM);
        elements_close(&writer);
        assert_int_equal(snapshot.walk.handed_over_count, i);
        assert_int_equal(strings_set(&one_store, &other, SLICE("new"), 0), STORE_OK);
    }
    one_end(&snapshot);
}

static void upheavals_cancel(void **state) {
    (void)state;
    for (unsigned way = 0; way < 3; way++) {
        struct snapshot snapshot;
        one_begin(&snapshot);
        if (way == 0) {
            assert_int_equal(store_flush(&one_store, 0), 3);
        } else if (way == 1) {
            assert_int_equal(store_flush_all(&one_store), 3);
        } else {
            store_swap(&one_store, 0, 1);
        }
        assert_true(snapshot.walk.is_cancelled);
        assert_true(snapshot_walk_step(&snapshot.walk, 1));
        assert_int_equal(snapshot.walk.emitted_count, 0);
        snapshot_walk_end(&snapshot.walk);
        /* Anew, and through. */
        snapshot_begin(&snapshot, &one_store);
        assert_true(snapshot_walk_step(&snapshot.walk, 1000));
        assert_false(snapshot.walk.is_cancelled);
        assert_int_equal(snapshot.walk.emitted_count, way == 2 ? 3 : 0);
        snapshot_walk_end(&snapshot.walk);
        snapshot_deinit(&snapshot);
        store_deinit(&one_store);
    }
}

/* Flushing and swapping what is empty changes nothing. */
static void empty_upheavals_do_not_cancel(void **state) {
    (void)state;
    struct snapshot snapshot;
    one_begin(&snapshot);
    assert_int_equal(store_flush(&one_store, 1), 0);
    store_swap(&one_store, 0, 0);
    assert_false(snapshot.walk.is_cancelled);
    one_end(&snapshot);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_show_the_state_at_their_beginning),
        cmocka_unit_test(walks_survive_growth_and_removal),
        cmocka_unit_test(walks_of_ranges_go_on_together),
        cmocka_unit_test(losing_the_expiry_ahead_of_the_walk),
        cmocka_unit_test(an_expiry_that_changes_twice),
        cmocka_unit_test(renaming_a_large_value),
        cmocka_unit_test(keys_that_come_back),
        cmocka_unit_test(a_key_that_expires_meanwhile),
        cmocka_unit_test(a_write_that_fails_is_no_change),
        cmocka_unit_test(an_insert_without_room_is_no_change),
        cmocka_unit_test(upheavals_cancel),
        cmocka_unit_test(empty_upheavals_do_not_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
