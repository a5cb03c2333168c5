/* SPDX-License-Identifier: BSD-3-Clause */
/* Joining: parts of the state from several stores at several moments, and streams afterwards, make
 * every store the same; nothing that was removed comes back, nothing unseen is lost. Then what
 * makes no sense. Random histories are in test_sync_histories.c. */
#include "unit/store/sync_world.h"

static void a_fresh_store_takes_all(void **state) {
    (void)state;
    setup(2);
    char name[16];
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "key:%u", i);
        if (i % 3 == 0) {
            add(0, name, i);
        } else {
            set(0, name, name);
        }
        if (i % 5 == 0) {
            expire(0, name, (uint64_t)NOW_MS + 1000000);
        }
    }
    delete (0, "key:7");
    join(&peers[1], &peers[0], SYNC_TAKE);
    check_equal();
    expect(1, "key:7", NULL);
    expect(1, "key:8", "key:8");
    add(0, "key:9", 5);
    set(1, "key:8", "newer");
    deliver_all();
    check_equal();
    expect_all("key:9", "14");
    expect_all("key:8", "newer");
    teardown();
}

static void a_large_value_comes_in_pieces(void **state) {
    (void)state;
    setup(2);
    struct key key = key_of(0, "large");
    size_t size = 70 << 20;
    char *bytes = memory_alloc_zero(size);
    for (size_t i = 0; i < size; i += 1000) {
        bytes[i] = (char)(i / 1000);
    }
    assert_int_equal(strings_set(&peers[0].store, &key, slice_make(bytes, size), 0), STORE_OK);
    memory_free(bytes);
    set(0, "small", "1");
    struct sync *sync = sync_begin(&peers[1].store, SYNC_TAKE, NULL, NULL);
    struct prng prng;
    prng_init(&prng, 1);
    for (unsigned part = 0; part < PARTS; part++) {
        struct buffer header = {0}, out = {0};
        struct part_source *source = part_open(&peers[0].store, part, PARTS, &header);
        assert_int_equal(sync_part_begin(sync, part, PARTS, buffer_slice(&header)), SYNC_OK);
        for (enum part_status end = PART_MORE; end == PART_MORE;) {
            buffer_clear(&out);
            end = part_read(source, &out, 1 << 20);
            assert_true(out.size <= 1 << 20);
            assert_int_equal(sync_part_data(sync, part, buffer_slice(&out)), SYNC_OK);
        }
        assert_int_equal(sync_part_end(sync, part), SYNC_OK);
        part_close(source);
        buffer_deinit(&header);
        buffer_deinit(&out);
    }
    finish(sync, &peers[1]);
    sync_free(sync);
    check_equal();
    teardown();
}

/* K1: a key that was deleted while the joiner was away does not come back. */
static void what_was_deleted_stays_deleted(void **state) {
    (void)state;
    setup(3);
    set(0, "k", "old");
    set(2, "mine", "1");
    deliver_all();
    delete (0, "k");
    set(0, "other", "2");
    deliver(0, 1);
    set(2, "unsent", "3");
    join(&peers[2], &peers[1], SYNC_TAKE);
    expect(2, "k", NULL);
    expect(2, "unsent", "3");
    expect(2, "other", "2");
    deliver_all();
    check_equal();
    expect_all("k", NULL);
    expect_all("unsent", "3");
    expect_all("mine", "1");
    teardown();
}

/* What the joiner deleted does not come from a peer that has not seen it. */
static void own_deletes_hold(void **state) {
    (void)state;
    setup(2);
    set(0, "k", "1");
    set(0, "n", "1");
    deliver_all();
    delete (1, "k");
    set(1, "n", "2");
    set(0, "late", "1");
    join(&peers[1], &peers[0], SYNC_TAKE);
    expect(1, "k", NULL);
    expect(1, "n", "2");
    expect(1, "late", "1");
    deliver_all();
    check_equal();
    expect_all("k", NULL);
    expect_all("n", "2");
    teardown();
}

static void increments_of_both_sides_count(void **state) {
    (void)state;
    setup(2);
    set(0, "c", "10");
    deliver_all();
    add(0, "c", 7);
    add(1, "c", 3);
    add(0, "d", 1);
    add(1, "d", 2);
    join(&peers[1], &peers[0], SYNC_TAKE);
    expect(1, "c", "20");
    expect(1, "d", "3");
    deliver_all();
    check_equal();
    expect_all("c", "20");
    expect_all("d", "3");
    teardown();
}

static void expiries_merge(void **state) {
    (void)state;
    setup(2);
    set(0, "k", "1");
    set(0, "p", "1");
    expire(0, "p", (uint64_t)NOW_MS + 9000);
    deliver_all();
    expire(0, "k", (uint64_t)NOW_MS + 5000);
    expire(1, "k", (uint64_t)NOW_MS + 7000);
    expire(0, "p", 0);
    expire(1, "p", (uint64_t)NOW_MS + 1000);
    join(&peers[1], &peers[0], SYNC_TAKE);
    deliver_all();
    check_equal();
    for (unsigned i = 0; i < 2; i++) {
        struct key key = key_of(i, "k");
        assert_int_equal(entry_expire_unix_ms(store_peek(&peers[i].store, &key)), NOW_MS + 7000);
        key = key_of(i, "p");
        assert_int_equal(entry_expire_unix_ms(store_peek(&peers[i].store, &key)), 0);
    }
    teardown();
}

/* The source of half of the parts goes, and the joiner turns to somebody who has less: what it
 * holds is what it had seen, or it would take the rest for removed. */
static void half_of_a_state_leaves_nothing_behind(void **state) {
    (void)state;
    for (unsigned joiner = 1; joiner <= 3; joiner += 2) { /* 3 has seen nothing */
        setup(4);
        char name[16];
        for (unsigned i = 0; i < 40; i++) {
            (void)snprintf(name, sizeof(name), "far:%u", i);
            set(0, name, "1");
            (void)snprintf(name, sizeof(name), "near:%u", i);
            set(2, name, "2");
        }
        if (joiner == 1) {
            set(1, "own", "3");
            deliver(2, 1);
        }
        uint64_t count = store_count(&peers[joiner].store, 0);
        collect(&peers[joiner]);
        struct sync *half = sync_begin(&peers[joiner].store, SYNC_TAKE, NULL, NULL);
        for (unsigned part = 0; part < PARTS / 2; part++) {
            assert_int_equal(pull(half, &peers[0], part, NULL, false), SYNC_OK);
        }
        struct prng prng;
        prng_init(&prng, 1);
        (void)pull(half, &peers[0], PARTS / 2, &prng, true);
        sync_abandon(half);
        sync_free(half);
        assert_int_equal(store_count(&peers[joiner].store, 0), count);
        store_check(&peers[joiner].store);
        join(&peers[joiner], &peers[2], joiner == 1 ? SYNC_MERGE : SYNC_TAKE);
        expect(joiner, "near:1", "2");
        for (unsigned i = 0; i < 40; i++) {
            (void)snprintf(name, sizeof(name), "far:%u", i);
            expect(joiner, name, NULL);
        }
        expect(joiner, "own", joiner == 1 ? "3" : NULL);
        deliver_all();
        check_equal();
        expect_all("far:1", "1");
        teardown();
    }
}

/* Parts at different contexts: a change that one part has seen is not applied twice, and one that
 * another part has not seen is applied. */
static void parts_of_different_moments(void **state) {
    (void)state;
    setup(2);
    char name[16];
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "c%u", i);
        add(0, name, 1);
    }
    struct sync *sync = sync_begin(&peers[1].store, SYNC_TAKE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[0], part, NULL, false), SYNC_OK);
        for (unsigned i = 0; i < 40; i++) {
            (void)snprintf(name, sizeof(name), "c%u", i);
            if (i % 4 == part % 4) {
                delete (0, name);
            }
            add(0, name, 1);
        }
    }
    finish(sync, &peers[1]);
    assert_false(sync_is_caught_up(sync));
    deliver_all();
    assert_true(sync_is_caught_up(sync));
    assert_true(sync_reissue_some(sync, 1));
    sync_free(sync);
    deliver_all();
    check_equal();
    teardown();
}

/* What came in parts stays when merging begins anew with somebody who knows less: it is caught up
 * with before anybody reads it, or pulls it as something that nobody had seen. */
static void what_came_before_is_caught_up_with(void **state) {
    (void)state;
    setup(4);
    char name[16];
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "k%u", i);
        set(0, name, "old");
    }
    deliver_all();
    set(2, "own", "2");
    collect(&peers[2]);
    /* The first part is older than the others. */
    struct sync *sync = sync_begin(&peers[2].store, SYNC_TAKE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[0], part, NULL, false), SYNC_OK);
        for (unsigned i = 0; part == 0 && i < 40; i++) {
            (void)snprintf(name, sizeof(name), "k%u", i);
            if (i % 4 == 0) {
                delete (0, name);
            } else {
                set(0, name, "new");
            }
        }
    }
    finish(sync, &peers[2]);
    assert_false(sync_is_caught_up(sync));
    /* The second one has seen nothing of it. Twice, since that may be begun anew as well. */
    for (unsigned i = 0; i < 2; i++) {
        struct sync *before = sync;
        peers[2].store.sync = NULL;
        sync = sync_begin(&peers[2].store, SYNC_MERGE, NULL, NULL);
        sync_keep_goal(sync, before);
        sync_free(before);
    }
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[1], part, NULL, false), SYNC_OK);
    }
    finish(sync, &peers[2]);
    assert_false(sync_is_caught_up(sync));
    deliver_all();
    assert_true(sync_is_caught_up(sync));
    assert_true(sync_reissue_some(sync, 1));
    sync_free(sync);
    join(&peers[3], &peers[2], SYNC_TAKE);
    check_equal();
    teardown();
}

static void a_flush_while_catching_up(void **state) {
    (void)state;
    setup(2);
    char name[16];
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "k%u", i);
        set(0, name, "old");
    }
    struct sync *sync = sync_begin(&peers[1].store, SYNC_TAKE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[0], part, NULL, false), SYNC_OK);
        if (part == PARTS / 2) {
            (void)store_flush(&peers[0].store, 0);
            store_end_unit(&peers[0].store);
            for (unsigned i = 0; i < 20; i++) {
                (void)snprintf(name, sizeof(name), "k%u", i);
                set(0, name, "new");
            }
        }
    }
    finish(sync, &peers[1]);
    deliver_all();
    assert_true(sync_is_caught_up(sync));
    sync_free(sync);
    check_equal();
    teardown();
}

static void another_hash_seed_is_taken_over(void **state) {
    (void)state;
    setup(2);
    struct store *store = &peers[1].store;
    assert_true(sync_take_seed(store, (struct hash_seed){5, 6}));
    set(0, "a", "1");
    set(1, "b", "2");
    set(1, "c", "3");
    expire(1, "c", (uint64_t)NOW_MS + 1000);
    struct sync *sync = sync_begin(store, SYNC_TAKE, NULL, NULL);
    struct buffer header = {0};
    struct part_source *source = part_open(&peers[0].store, 0, PARTS, &header);
    assert_int_equal(sync_part_begin(sync, 0, PARTS, buffer_slice(&header)), SYNC_MALFORMED);
    part_close(source);
    buffer_deinit(&header);
    sync_free(sync);
    assert_true(sync_take_seed(store, peers[0].store.seed));
    store_check(store);
    expect(1, "b", "2");
    expect(1, "c", "3");
    join(&peers[1], &peers[0], SYNC_TAKE);
    deliver_all();
    check_equal();
    expect_all("b", "2");
    teardown();
}

static void databases_keep_their_order(void **state) {
    (void)state;
    setup(2);
    set(0, "k", "zero");
    store_swap(&peers[0].store, 0, 1);
    store_end_unit(&peers[0].store);
    set(0, "k", "one");
    join(&peers[1], &peers[0], SYNC_TAKE);
    expect(1, "k", "one");
    deliver_all();
    check_equal();
    teardown();
}

/* ---- nonsense ---- */

/* Every header and every byte of data cut short or changed: refused or taken, never a crash, and
 * the joiner's own data stay. */
static void nonsense_is_refused(void **state) {
    (void)state;
    setup(2);
    struct prng prng;
    seed_prng(&prng, "nonsense_is_refused", 0);
    for (unsigned i = 0; i < 300; i++) {
        random_write(&peers[0], &prng);
    }
    set(1, "mine", "1");
    collect(&peers[0]);
    struct buffer header = {0}, data = {0};
    struct part_source *source = part_open(&peers[0].store, 0, 1, &header);
    while (part_read(source, &data, 4096) == PART_MORE) {
    }
    part_close(source);
    uint64_t keys = peers[1].store.dbs[0].table.count;
    unsigned refused = 0;
    for (unsigned run = 0; run < 3000; run++) {
        struct sync *sync = sync_begin(&peers[1].store, SYNC_TAKE, NULL, NULL);
        struct buffer head = {0}, bytes = {0};
        buffer_append_slice(&head, buffer_slice(&header));
        buffer_append_slice(&bytes, buffer_slice(&data));
        struct buffer *hurt = run % 2 == 0 ? &head : &bytes;
        if (run % 5 == 0) {
            hurt->size = prng_below(&prng, hurt->size);
        } else {
            hurt->data[prng_below(&prng, hurt->size)] ^= (char)(1 << prng_below(&prng, 8));
        }
        enum sync_status status = sync_part_begin(sync, 0, 1, buffer_slice(&head));
        if (status == SYNC_OK) {
            status = sync_part_data(sync, 0, buffer_slice(&bytes));
        }
        if (status == SYNC_OK && bytes.size < data.size) {
            status = sync_part_end(sync, 0);
        }
        refused += status != SYNC_OK;
        sync_free(sync);
        buffer_deinit(&head);
        buffer_deinit(&bytes);
        if (status != SYNC_OK) {
            assert_int_equal(peers[1].store.dbs[0].table.count, keys);
        }
        expect(1, "mine", "1");
    }
    assert_true(refused > 1000);
    buffer_deinit(&header);
    buffer_deinit(&data);
    teardown();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_store_takes_all),
        cmocka_unit_test(a_large_value_comes_in_pieces),
        cmocka_unit_test(what_was_deleted_stays_deleted),
        cmocka_unit_test(own_deletes_hold),
        cmocka_unit_test(increments_of_both_sides_count),
        cmocka_unit_test(expiries_merge),
        cmocka_unit_test(half_of_a_state_leaves_nothing_behind),
        cmocka_unit_test(parts_of_different_moments),
        cmocka_unit_test(what_came_before_is_caught_up_with),
        cmocka_unit_test(a_flush_while_catching_up),
        cmocka_unit_test(another_hash_seed_is_taken_over),
        cmocka_unit_test(databases_keep_their_order),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
