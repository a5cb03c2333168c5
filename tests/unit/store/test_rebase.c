/* SPDX-License-Identifier: BSD-3-Clause */
/* Rebasing: who was forgotten takes the state of the mesh, and makes again what only it knew, once.
 * What others deliver is left to them, and the originals are void wherever they come. */
#include "base/codec.h"
#include "crdt/hyperloglog.h"
#include "unit/store/sync_world.h"

/* K2: away past every limit, with one write of its own. */
static void the_forgotten_keep_what_is_theirs(void **state) {
    (void)state;
    setup(3);
    set(0, "k", "old");
    set(0, "kept", "1");
    deliver_all();
    delete (0, "k");
    deliver(0, 1);
    set(2, "z", "mine");
    set(2, "kept", "2");
    rejoin(2, 1);
    expect(2, "k", NULL);
    deliver_all();
    check_equal();
    expect_all("k", NULL);
    expect_all("z", "mine");
    expect_all("kept", "2");
    /* The old life has left nothing behind that the others do not know. */
    unsigned slot = replicas_find(&peers[2].store.replicas, authors[2].ref);
    unsigned there = replicas_find(&peers[1].store.replicas, authors[2].ref);
    assert_int_equal(stamp_ticks(peers[2].store.context.stamps[slot]),
                     stamp_ticks(peers[1].store.context.stamps[there]));
    teardown();
}

static void unsent_increments_count_once(void **state) {
    (void)state;
    setup(3);
    set(0, "c", "100");
    add(2, "own", 1);
    deliver_all();
    add(2, "c", 10);
    deliver_all();
    add(2, "c", 5);
    add(2, "own", 4);
    add(0, "c", 1000);
    add(0, "own", 100);
    deliver(0, 1);
    rejoin(2, 1);
    add(1, "c", 10000);
    deliver_all();
    check_equal();
    expect_all("c", "11115");
    expect_all("own", "105");
    teardown();
}

static void add_field_float(unsigned peer, const char *field, long double delta) {
    struct elements_writer writer;
    struct key key = key_of(peer, "hash");
    long double result;
    assert_int_equal(elements_open(&peers[peer].store, &key, VALUE_HASH, &writer), STORE_OK);
    assert_int_equal(element_add_float(&writer, slice_of(field), delta, &result), STORE_OK);
    elements_close(&writer);
    store_end_unit(&peers[peer].store);
}

/* What the mesh lacks of a float may be a whole number. */
static void unsent_increments_of_floats_count(void **state) {
    (void)state;
    setup(3);
    add_field_float(0, "f", 0.25L);
    deliver_all();
    add_field_float(2, "f", 3);
    add_field_float(0, "f", 100);
    deliver(0, 1);
    rejoin(2, 1);
    deliver_all();
    check_equal();
    for (unsigned i = 0; i < peers_count; i++) {
        expect_field(i, "f", "103.25");
    }
    teardown();
}

static void unsent_deletes_and_expiries_are_made_again(void **state) {
    (void)state;
    setup(2);
    set(0, "gone", "1");
    set(0, "short", "1");
    set(0, "same", "1");
    set(0, "newer", "1");
    deliver_all();
    delete (1, "gone");
    expire(1, "short", (uint64_t)NOW_MS + 5000);
    set(1, "same", "2");
    delete (1, "newer");
    set(0, "same", "2");
    set(0, "newer", "2"); /* had not seen the delete */
    rejoin(1, 0);
    deliver_all();
    check_equal();
    expect_all("gone", NULL);
    expect_all("same", "2");
    expect_all("newer", "2");
    struct key key = key_of(0, "short");
    assert_int_equal(entry_expire_unix_ms(store_peek(&peers[0].store, &key)), NOW_MS + 5000);
    teardown();
}

/* What another one, who lives, has changed beyond the mesh's state is left to him; so is what that
 * superseded. */
static void what_others_deliver_is_theirs(void **state) {
    (void)state;
    setup(3);
    add(0, "c", 1);
    set(0, "k", "1");
    expire(0, "k", (uint64_t)NOW_MS + 5000);
    deliver_all();
    add(0, "c", 2);
    set(0, "k", "2");
    deliver(0, 2);
    rebase(2, 1, -1);
    expect(2, "c", "1");
    expect(2, "k", "1");
    deliver_all();
    check_equal();
    expect_all("c", "3");
    expect_all("k", "2");
    teardown();
}

/* Of a part that its writer goes on with, and has yet to deliver, something was taken off here: so
 * it is, whatever the writer does. */
static void what_was_taken_off_of_anothers_part_stays_so(void **state) {
    (void)state;
    for (unsigned is_deleted = 0; is_deleted < 2; is_deleted++) {
        setup(3);
        add(0, "c", 1);
        deliver_all();
        if (is_deleted) {
            delete (2, "c");
        } else {
            set(2, "c", "0");
        }
        add(0, "c", 2);
        deliver(0, 2);
        expect(2, "c", "2");
        rebase(2, 1, -1);
        expect(2, "c", is_deleted ? NULL : "0");
        deliver_all();
        check_equal();
        expect_all("c", "2");
        teardown();
    }
}

/* Peer 2 was forgotten, and makes again what the mesh lacks of it. Peer 3 was out of reach, and has
 * the originals. */
static void originals_come_late(void) {
    setup(4);
    add(2, "c", 1);
    add_field(2, "f", 1);
    deliver_all();
    add(2, "c", 2);
    collect(&peers[2]);
    add(2, "c", 4);
    add_field(2, "f", 2);
    set(2, "k", "2");
    deliver(2, 3);
    expect(3, "c", "7");
    add(3, "c", 8);
    set(3, "own", "3");
    collect(&peers[3]);
    rebase(2, 1, -1);
    expect(2, "c", "7");
    deliver(2, 0);
    deliver(2, 1);
}

static void what_is_made_again_is_void_elsewhere(void **state) {
    (void)state;
    originals_come_late();
    expect(1, "c", "7");
    assert_false(store_has_void(&peers[1].store));
    assert_false(store_has_void(&peers[2].store));
    /* Whoever hears of the end first takes no originals, and those who built on them do not wait.
     */
    deliver(3, 0);
    expect(0, "c", "15");
    expect(0, "own", "3");
    assert_false(store_has_void(&peers[0].store));
    /* Who has them gives them up, and keeps what is its own. */
    deliver(2, 3);
    assert_true(store_has_void(&peers[3].store));
    join(&peers[3], &peers[1], SYNC_TAKE);
    assert_false(store_has_void(&peers[3].store));
    expect(3, "c", "15");
    deliver_all();
    check_equal();
    expect_all("c", "15");
    expect_all("k", "2");
    expect_all("own", "3");
    for (unsigned i = 0; i < peers_count; i++) {
        expect_field(i, "f", "3");
    }
    teardown();
}

/* It hears of the end by the state that it takes over. */
static void parts_tell_of_ends(void **state) {
    (void)state;
    originals_come_late();
    join(&peers[3], &peers[0], SYNC_TAKE);
    assert_false(store_has_void(&peers[3].store));
    deliver_all();
    check_equal();
    expect_all("c", "15");
    teardown();
}

/* Its log does not reach back: it makes again what is its own, and not what another one did. */
static void who_compares_leaves_out_what_is_void(void **state) {
    (void)state;
    originals_come_late();
    rebase(3, 0, -1);
    assert_false(store_has_void(&peers[3].store));
    deliver_all();
    check_equal();
    expect_all("c", "15");
    expect_all("own", "3");
    teardown();
}

/* A part that shows what is void does not fit, and merging would keep it. */
static void what_is_void_is_not_taken_over(void **state) {
    (void)state;
    originals_come_late();
    struct sync *sync = sync_begin(&peers[0].store, SYNC_TAKE, NULL, NULL);
    assert_int_equal(pull(sync, &peers[3], 0, NULL, false), SYNC_OK);
    assert_true(sync_part_has_void(sync, 0));
    sync_free(sync);
    struct buffer header = {0};
    struct context context;
    deliver(2, 3);
    sync = sync_begin(&peers[3].store, SYNC_MERGE, NULL, NULL);
    struct part_source *source = part_open(&peers[0].store, 0, PARTS, &header);
    assert_int_equal(sync_part_begin(sync, 0, PARTS, buffer_slice(&header)), SYNC_OK);
    assert_false(sync_part_has_void(sync, 0));
    assert_false(sync_part_fits(sync, 0, &context));
    part_close(source);
    sync_free(sync);
    /* Parts that came before it was known. */
    sync = sync_begin(&peers[1].store, SYNC_TAKE, NULL, NULL);
    replicas_drop_ended(&peers[1].store.replicas, authors[2].ref);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[3], part, NULL, false), SYNC_OK);
        replicas_drop_ended(&peers[1].store.replicas, authors[2].ref);
    }
    assert_true(sync_is_sound(sync));
    sync_free(sync);
    sync = sync_begin(&peers[1].store, SYNC_TAKE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[part == 0 ? 3 : 0], part, NULL, false), SYNC_OK);
    }
    assert_false(sync_is_sound(sync));
    sync_free(sync);
    buffer_deinit(&header);
    teardown();
}

/* Somebody overwrote the counter, and had seen what is void: all of the part that is not goes. */
static void who_saw_what_is_void_takes_the_rest(void **state) {
    (void)state;
    originals_come_late();
    set(3, "c", "100");
    collect(&peers[3]);
    deliver(3, 1);
    expect(1, "c", "106"); /* what was made again has not been seen by it */
    deliver(2, 3);
    join(&peers[3], &peers[0], SYNC_TAKE);
    deliver_all();
    check_equal();
    expect_all("c", "106");
    teardown();
}

/* The state may become another one before anybody was told of the end: then there is none. */
static void an_end_that_was_not_told_is_taken_back(void **state) {
    (void)state;
    setup(2);
    add(0, "c", 1);
    deliver_all();
    add(0, "c", 2);
    collect(&peers[0]);
    unsigned old = authors_count;
    begin_life(&peers[0], 99);
    struct sync *sync = sync_begin(&peers[0].store, SYNC_REBASE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[1], part, NULL, false), SYNC_OK);
    }
    finish(sync, &peers[0]);
    assert_int_equal(peers[0].store.replicas.ended_count, 1);
    peers[0].store.sync = NULL;
    struct sync *anew = sync_begin(&peers[0].store, SYNC_TAKE, NULL, NULL);
    sync_keep_rebase(anew, sync);
    assert_int_equal(peers[0].store.replicas.ended_count, 0);
    sync_free(sync);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(anew, &peers[1], part, NULL, false), SYNC_OK);
    }
    finish(anew, &peers[0]);
    assert_true(sync_reissue_some(anew, 1000));
    sync_free(anew);
    assert_int_equal(authors_count, old + 1);
    expect(0, "c", "3");
    teardown();
}

/* It compares once more before it has made anything again, by the parts of somebody with another
 * hash seed: what was found the first time is made again, and what is found only now, too. */
static void what_was_kept_is_compared_again(void **state) {
    (void)state;
    enum { KEYS = 40 };
    setup(2);
    set(0, "settled", "1");
    deliver_all();
    char name[16];
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "own%u", i);
        set(0, name, "mine");
    }
    add_field(0, "f", 5);
    begin_life(&peers[0], 98);
    struct sync *sync = sync_begin(&peers[0].store, SYNC_REBASE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[1], part, NULL, false), SYNC_OK);
    }
    finish(sync, &peers[0]);
    expect(0, "own3", NULL);
    struct hash_seed seed = {.a = 4711, .b = 815};
    assert_true(sync_take_seed(&peers[1].store, seed));
    set(1, "own7", "theirs");
    peers[0].store.sync = NULL;
    set(0, "later", "mine");
    begin_life(&peers[0], 97);
    struct sync *anew = sync_begin(&peers[0].store, SYNC_REBASE, NULL, NULL);
    sync_keep_rebase(anew, sync);
    sync_free(sync);
    assert_true(sync_take_seed(&peers[0].store, seed));
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(anew, &peers[1], part, NULL, false), SYNC_OK);
    }
    finish(anew, &peers[0]);
    assert_true(sync_reissue_some(anew, 1000));
    sync_free(anew);
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "own%u", i);
        expect(0, name, i == 7 ? "theirs" : "mine"); /* that came later, and is not to be undone */
    }
    expect(0, "later", "mine");
    expect(0, "settled", "1");
    expect_field(0, "f", "5");
    store_check(&peers[0].store);
    teardown();
}

/* Likewise where the databases were swapped meanwhile: the first joining ends with that, and what
 * is kept of it lies by the order before. */
static void what_was_kept_follows_a_swap(void **state) {
    (void)state;
    setup(2);
    set(0, "settled", "1");
    deliver_all();
    set(0, "own", "mine");
    store_swap(&peers[1].store, 0, 1);
    store_end_unit(&peers[1].store);
    begin_life(&peers[0], 98);
    struct sync *sync = sync_begin(&peers[0].store, SYNC_REBASE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[1], part, NULL, false), SYNC_OK);
    }
    finish(sync, &peers[0]);
    peers[0].store.sync = NULL;
    set(0, "later", "mine");
    begin_life(&peers[0], 97);
    struct sync *anew = sync_begin(&peers[0].store, SYNC_REBASE, NULL, NULL);
    sync_keep_rebase(anew, sync);
    sync_free(sync);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(anew, &peers[1], part, NULL, false), SYNC_OK);
    }
    finish(anew, &peers[0]);
    assert_true(sync_reissue_some(anew, 1000));
    sync_free(anew);
    expect(0, "later", "mine");
    struct store *store = &peers[0].store;
    struct key own = store_key(store, 1, SLICE("own"));
    assert_non_null(store_peek(store, &own));
    store_check(store);
    teardown();
}

static enum sync_fate make_again(void *udata, uint64_t stamp) {
    (void)udata;
    (void)stamp;
    return SYNC_REISSUE;
}

/* Peers 0 and 1 deliver what they wrote. */
static enum sync_fate make_again_but_of_two(void *udata, uint64_t stamp) {
    const struct peer *peer = (const struct peer *)udata;
    uint64_t ref = peer->store.replicas.slots[stamp_slot(stamp)].ref;
    return ref == authors[0].ref || ref == authors[1].ref ? SYNC_DROP : SYNC_REISSUE;
}

static sync_fate_fn fate = make_again;

/* As rebase(), of one who makes again what others wrote, too. */
static void rebase_all(unsigned to, unsigned from, bool has_log) {
    collect(&peers[to]);
    begin_life(&peers[to], 200 + authors_count);
    struct sync *sync = sync_begin(&peers[to].store, SYNC_REBASE, fate, &peers[to]);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[from], part, NULL, false), SYNC_OK);
        assert_false(sync_part_has_void(sync, part));
    }
    assert_true(sync_is_sound(sync));
    reads_history = has_log;
    finish(sync, &peers[to]);
    reads_history = false;
    assert_true(sync_is_caught_up(sync));
    assert_true(sync_reissue_some(sync, 1000));
    sync_free(sync);
    collect(&peers[to]);
}

/* Peer 3 is gone. Peer 2 was forgotten, and makes again what only it has of peer 3, which comes
 * back later: its life was ended by another one, who did not have all of it. `is_folded`: the mesh
 * has retired that life by then. */
static void another_one_makes_it_again(bool is_folded, bool wrote_more) {
    setup(4);
    unsigned gone = peers[3].author;
    add(3, "c", 1);
    add_field(3, "f", 1);
    add(3, "unfolded", 1);
    deliver_all();
    add(3, "c", 2);
    collect(&peers[3]);
    add(3, "c", 4);
    add(3, "later", 1);
    add_field(3, "f", 2);
    set(3, "k", "old");
    deliver(3, 2);
    if (wrote_more) {
        collect(&peers[3]);
        add(3, "c", 8);
        add(3, "later", 2);
        add_field(3, "f", 4);
        set(3, "k", "new");
        add(3, "own", 1);
    }
    collect(&peers[3]);
    add(0, "unfolded", 8);
    deliver(0, 1);
    deliver(0, 2);
    rebase_all(2, 1, true);
    expect(2, "c", "7");
    deliver(2, 1);
    deliver(2, 0);
    expect(1, "c", "7");
    expect(1, "later", "1");
    if (is_folded) {
        settle_and_retire(&peers[0], gone);
        settle_and_retire(&peers[1], gone);
        settle_and_retire(&peers[2], gone);
    }
    if (wrote_more) {
        /* By the state that it is going to take over, as by the stream. */
        struct sync *sync = sync_begin(&peers[3].store, SYNC_TAKE, NULL, NULL);
        struct buffer header = {0};
        struct context context;
        struct part_source *source = part_open(&peers[1].store, 0, PARTS, &header);
        assert_int_equal(sync_part_begin(sync, 0, PARTS, buffer_slice(&header)), SYNC_OK);
        assert_false(sync_part_fits(sync, 0, &context)); /* what it wrote would be lost */
        part_close(source);
        buffer_deinit(&header);
        sync_free(sync);
        rebase_all(3, 1, true);
    } else {
        join(&peers[3], &peers[1], SYNC_TAKE);
        begin_life(&peers[3], 300); /* what it wrote in the one before would be void */
    }
    assert_false(store_has_void(&peers[3].store));
    deliver_all();
    check_equal();
    expect_all("c", wrote_more ? "15" : "7");
    expect_all("later", wrote_more ? "3" : "1");
    expect_all("k", wrote_more ? "new" : "old");
    expect_all("own", wrote_more ? "1" : NULL);
    expect_all("unfolded", "9");
    for (unsigned i = 0; i < peers_count; i++) {
        expect_field(i, "f", wrote_more ? "7" : "3");
    }
    add(3, "c", 16);
    add(2, "c", 32);
    deliver_all();
    check_equal();
    expect_all("c", wrote_more ? "63" : "55");
    teardown();
}

static void who_was_taken_for_gone_comes_back(void **state) {
    (void)state;
    another_one_makes_it_again(false, false);
    another_one_makes_it_again(true, false);
}

static void who_was_taken_for_gone_has_more(void **state) {
    (void)state;
    another_one_makes_it_again(false, true);
    another_one_makes_it_again(true, true);
}

static void no_life_ends_itself(void **state) {
    (void)state;
    setup(2);
    deliver_all();
    struct store *store = &peers[0].store;
    unsigned author = replicas_add(&store->replicas, &authors[1].id);
    const uint64_t refs[] = {authors[1].ref, 0, authors[0].ref};
    for (unsigned i = 0; i < 3; i++) {
        struct buffer value = {0};
        codec_put_u64(&value, refs[i]);
        codec_put_varint(&value, 5);
        codec_put_varint(&value, 6);
        struct change change = {.kind = CHANGE_LIFE_END,
                                .stamp = stamp_make(100 + i, author),
                                .value = buffer_slice(&value)};
        assert_int_equal(store_apply(store, &change), i < 2 ? STORE_MALFORMED : STORE_OK);
        buffer_deinit(&value);
    }
    assert_int_equal(store->replicas.ended_count, 1);
    assert_int_equal(store->replicas.ended[0].made_ticks, 6);
    teardown();
}

static void patch(unsigned peer, const char *name, uint64_t offset, const char *bytes) {
    struct key key = key_of(peer, name);
    assert_int_equal(strings_patch(&peers[peer].store, &key, offset, slice_of(bytes), NULL),
                     STORE_OK);
    store_end_unit(&peers[peer].store);
}

/* Patches of a large string are made again each by itself, also when it was written to meanwhile.
 */
static void unsent_patches_are_made_again(void **state) {
    (void)state;
    setup(3);
    char text[6001];
    memset(text, '.', 6000);
    text[6000] = '\0';
    set(0, "large", text);
    deliver_all();
    patch(2, "large", 100, "mine");
    patch(2, "large", 5998, "beyond");
    patch(0, "large", 200, "theirs");
    deliver(0, 1);
    patch(0, "large", 300, "late");
    rebase(2, 1, 0);
    deliver_all();
    check_equal();
    memcpy(text + 100, "mine", 4);
    memcpy(text + 200, "theirs", 6);
    memcpy(text + 300, "late", 4);
    char wanted[6100];
    (void)snprintf(wanted, sizeof(wanted), "%.5998sbeyond", text);
    expect_all("large", wanted);
    teardown();
}

static void begin_hyperloglog(unsigned peer, const char *name, unsigned index) {
    struct key key = key_of(peer, name);
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    registers[index] = 3;
    struct buffer bytes = {0};
    hyperloglog_set_registers(&bytes, registers, false, HYPERLOGLOG_SPARSE_BYTES_LIMIT);
    assert_int_equal(strings_set(&peers[peer].store, &key, buffer_slice(&bytes), 0), STORE_OK);
    buffer_deinit(&bytes);
}

/* Two that were alone have each begun one. */
static void hyperloglogs_of_both_are_joined(void **state) {
    (void)state;
    setup(2);
    set(0, "other", "1"); /* so that of two values that of peer 0 would be shown */
    begin_hyperloglog(0, "h", 7);
    begin_hyperloglog(1, "h", 9);
    rebase(1, 0, -1);
    deliver_all();
    check_equal();
    for (unsigned i = 0; i < 2; i++) {
        struct key key = key_of(i, "h");
        struct entry_scratch scratch;
        uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
        assert_int_equal(
            hyperloglog_join(registers, entry_value(store_peek(&peers[i].store, &key), &scratch)),
            HYPERLOGLOG_OK);
        assert_int_equal(registers[7], 3);
        assert_int_equal(registers[9], 3);
    }
    teardown();
}

static void claim(struct peer *peer);
static void settle(unsigned number);

static char byte_at(unsigned peer, size_t offset) {
    struct key key = key_of(peer, "large");
    struct entry_scratch scratch;
    struct slice bytes = entry_value(store_peek(&peers[peer].store, &key), &scratch);
    assert_true(offset < bytes.size);
    return bytes.data[offset];
}

/* Two were forgotten that had each patched a large string. What had been written before they have
 * settled, and the mesh has not. One of them knows of the other's patch. Each makes its own one
 * again, and not the whole value, which would supersede the other's. */
static void patches_of_two_forgotten_ones_stay(void **state) {
    (void)state;
    enum { LARGE_BYTES = 70000 };
    for (unsigned knows = 0; knows < 2; knows++) {
        struct sync *syncs[2];
        setup(3);
        patch(0, "large", LARGE_BYTES - 1, "x");
        deliver_all();
        for (unsigned i = 0; i < 3; i += 2) {
            struct context frontier = peers[i].store.context;
            while (!store_settle(&peers[i].store, &frontier, 1000)) {
            }
        }
        patch(0, "large", 291, "y");
        patch(2, "large", 194, "z");
        if (knows) {
            deliver(2, 0);
        }
        for (unsigned i = 0; i < 2; i++) {
            collect(&peers[2 * i]);
            drop_unsent(peers[2 * i].author);
            begin_life(&peers[2 * i], 100 + i);
            syncs[i] = sync_begin(&peers[2 * i].store, SYNC_REBASE, NULL, NULL);
            for (unsigned part = 0; part < PARTS; part++) {
                assert_int_equal(pull(syncs[i], &peers[1], part, NULL, false), SYNC_OK);
            }
        }
        for (unsigned i = 0; i < 2; i++) {
            finish(syncs[i], &peers[2 * i]);
            assert_true(sync_is_caught_up(syncs[i]));
            assert_true(sync_reissue_some(syncs[i], 1000));
            sync_free(syncs[i]);
        }
        deliver_all();
        check_equal();
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(byte_at(i, 291), 'y');
            assert_int_equal(byte_at(i, 194), 'z');
            assert_int_equal(byte_at(i, LARGE_BYTES - 1), 'x');
        }
        teardown();
    }
}

static void settle_alone(unsigned peer) {
    struct context frontier = peers[peer].store.context;
    collect(&peers[peer]);
    while (!store_settle(&peers[peer].store, &frontier, 1000)) {
    }
}

/* Both sides had forgotten each other, and each has settled what it had patched: no stamp tells
 * whose bytes are whose. The last patch may be one that all had seen (`is_late_seen`), or both may
 * have folded others below one and the same (`is_last_same`). */
static void patches_that_were_settled_apart_stay(void **state) {
    (void)state;
    enum { LARGE_BYTES = 70000 };
    for (unsigned round = 0; round < 3; round++) {
        bool is_late_seen = round == 1, is_last_same = round == 2;
        setup(3);
        reads_history = true;
        patch(0, "large", LARGE_BYTES - 1, "x");
        deliver_all();
        patch(1, "large", 291, "y");
        patch(2, "large", 194, "z");
        if (is_late_seen) {
            patch(0, "large", 100, "w");
            deliver(0, 1);
            deliver(0, 2);
        }
        if (is_last_same) {
            patch(1, "large", 292, "w");
            patch(2, "large", 193, "v");
        }
        settle_alone(1);
        settle_alone(2);
        rejoin(2, 1);
        deliver_all();
        check_equal();
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(byte_at(i, 291), 'y');
            assert_int_equal(byte_at(i, 194), 'z');
            assert_int_equal(byte_at(i, LARGE_BYTES - 1), 'x');
            assert_int_equal(byte_at(i, 193), is_last_same ? 'v' : 0);
            assert_int_equal(byte_at(i, 100), is_late_seen ? 'w' : 0);
        }
        teardown();
    }
    reads_history = false;
}

/* What was seen of a counter when it was deleted stays deleted, whichever side compares: of the
 * part that the mesh still has, this node has nothing any more. */
static void a_deleted_counter_keeps_what_came_later(void **state) {
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        bool is_settled = round % 2 != 0, is_set = round >= 2;
        setup(3);
        reads_history = true;
        add(0, "c", 10);
        deliver_all();
        add(0, "c", 5);
        deliver(0, 1);
        delete (2, "c");
        if (is_set) {
            set(2, "c", "100");
        }
        if (is_settled) {
            settle_alone(2);
        }
        settle_alone(1);
        rejoin(2, 1);
        deliver_all();
        check_equal();
        expect_all("c", is_set ? "105" : "5");
        teardown();
    }
    reads_history = false;
}

static void set_field(unsigned peer, const char *field, const char *value) {
    struct elements_writer writer;
    struct key key = key_of(peer, "hash");
    bool is_new;
    assert_int_equal(elements_open(&peers[peer].store, &key, VALUE_HASH, &writer), STORE_OK);
    assert_int_equal(element_set(&writer, slice_of(field), slice_of(value), false, &is_new),
                     STORE_OK);
    elements_close(&writer);
    store_end_unit(&peers[peer].store);
}

/* Others add to a number between its being compared and written again: what they added stays, and
 * what had been seen goes all the same, of strings and of fields. */
static void what_comes_before_it_is_written_again_stays(void **state) {
    (void)state;
    enum { SET_UNSEEN, SET_SEEN, DELETED };
    for (unsigned round = SET_UNSEEN; round <= DELETED; round++) {
        setup(3);
        if (round != SET_UNSEEN) {
            add(0, "c", 10);
            add_field(0, "f", 10);
            deliver_all();
        }
        if (round == DELETED) {
            delete (2, "c");
            delete_field(2, "f");
        } else {
            set(2, "c", "3");
            set_field(2, "f", "3");
        }
        add(0, "c", 5);
        add_field(0, "f", 5);
        rebase(2, 1, 0);
        deliver_all();
        check_equal();
        /* Where nothing was seen there is nothing that would tell how to go on with both. */
        const char *value = round == SET_SEEN ? "8" : "5";
        expect_all("c", value);
        for (unsigned i = 0; i < 3; i++) {
            expect_field(i, "f", value);
        }
        teardown();
    }
}

/* Peers 2 and 3 were forgotten together, and both have seen what peer 2 removed: both make that
 * again, and it goes once. What came later stays. */
static void what_two_saw_removed_goes_once(void **state) {
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        bool is_part = round == 1; /* the mesh has added to what was removed */
        setup(4);
        fate = make_again_but_of_two;
        add(0, "c", 10);
        add(1, "c", 3);
        add_field(0, "f", 20);
        add_field(1, "f", 4);
        deliver_all();
        delete (2, "c");
        delete_field(2, "f");
        deliver(2, 3);
        add(is_part ? 0 : 1, "c", 5);
        add_field(is_part ? 0 : 1, "f", 6);
        deliver(0, 1);
        deliver(1, 0);
        settle_alone(2);
        settle_alone(3);
        settle_alone(1);
        settle_alone(0);
        rebase_all(3, 1, true);
        deliver(3, 1);
        deliver(3, 0);
        rebase_all(2, 1, true);
        deliver_all();
        check_equal();
        expect_all("c", "5");
        for (unsigned i = 0; i < 4; i++) {
            expect_field(i, "f", "6");
        }
        teardown();
    }
    fate = make_again;
}

static void raise_hyperloglog(unsigned peer, const char *name, unsigned index) {
    struct key key = key_of(peer, name);
    struct buffer value = {0}, pairs = {0};
    struct entry_scratch scratch;
    struct hyperloglog_place place = {.index = index, .rank = 3};
    buffer_append_slice(&value, entry_value(store_peek(&peers[peer].store, &key), &scratch));
    assert_int_equal(hyperloglog_raise(&value, place, HYPERLOGLOG_SPARSE_BYTES_LIMIT),
                     HYPERLOGLOG_RAISED);
    hyperloglog_pair_put(&pairs, place);
    assert_int_equal(
        strings_set_registers(&peers[peer].store, &key, buffer_slice(&value), buffer_slice(&pairs)),
        STORE_OK);
    store_end_unit(&peers[peer].store);
    buffer_deinit(&value);
    buffer_deinit(&pairs);
}

static void registers_that_were_settled_apart_are_joined(void **state) {
    (void)state;
    for (unsigned has_log = 0; has_log < 2; has_log++) {
        setup(3);
        reads_history = has_log;
        begin_hyperloglog(0, "h", 7);
        store_end_unit(&peers[0].store);
        deliver_all();
        raise_hyperloglog(1, "h", 8);
        raise_hyperloglog(2, "h", 9);
        if (has_log) { /* else nothing tells of those that it is folded over */
            raise_hyperloglog(0, "h", 10);
            deliver(0, 1);
            deliver(0, 2);
        }
        settle_alone(1);
        settle_alone(2);
        rejoin(2, 1);
        deliver_all();
        check_equal();
        for (unsigned i = 0; i < 3; i++) {
            struct key key = key_of(i, "h");
            struct entry_scratch scratch;
            uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
            struct slice value = entry_value(store_peek(&peers[i].store, &key), &scratch);
            assert_int_equal(hyperloglog_join(registers, value), HYPERLOGLOG_OK);
            for (unsigned index = 7; index <= 9 + has_log; index++) {
                assert_int_equal(registers[index], 3);
            }
        }
        teardown();
    }
    reads_history = false;
}

/* Two that were alone meet: both have data, neither log reaches the other. */
static void two_that_were_alone(void **state) {
    (void)state;
    setup(2);
    char name[16], value[16];
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof(name), "k%u", i);
        (void)snprintf(value, sizeof(value), "v%u", i);
        if (i % 2 == 0 || i % 3 == 0) {
            set(i % 2, name, value);
        }
    }
    add(0, "c", 5);
    add(1, "c", 6);
    rejoin(1, 0);
    deliver_all();
    check_equal();
    expect_all("k2", "v2");
    expect_all("k3", "v3");
    expect_all("c", "11");
    teardown();
}

/* C10: an old copy of the data directory comes back; the peers know newer. */
static void an_old_copy_comes_back(void **state) {
    (void)state;
    setup(2);
    add(1, "c", 5);
    deliver_all();
    add(1, "c", 7);
    deliver_all();
    expect_all("c", "12");
    /* Peer 1 is taken back to what it was: a third store that knew only the beginning. */
    struct peer *peer = &peers[1];
    receiver_deinit(&peer->receiver);
    store_deinit(&peer->store);
    unsigned lives = authors_count;
    peer_init(peer);
    authors_count = lives; /* the same replica as before */
    peer->author = 1;
    struct key key = key_of(1, "c");
    struct store *store = &peer->store;
    int64_t result;
    assert_int_equal(store->context.stamps[store->replicas.self], 0);
    store->journal.is_on = false;
    assert_int_equal(strings_add_integer(store, &key, 5, &result), STORE_OK);
    store->journal.is_on = true;
    begin_life(peer, 50);
    join(peer, &peers[0], SYNC_TAKE);
    add(1, "c", 100);
    deliver_all();
    check_equal();
    expect_all("c", "112");
    teardown();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_forgotten_keep_what_is_theirs),
        cmocka_unit_test(patches_of_two_forgotten_ones_stay),
        cmocka_unit_test(patches_that_were_settled_apart_stay),
        cmocka_unit_test(registers_that_were_settled_apart_are_joined),
        cmocka_unit_test(a_deleted_counter_keeps_what_came_later),
        cmocka_unit_test(what_comes_before_it_is_written_again_stays),
        cmocka_unit_test(what_two_saw_removed_goes_once),
        cmocka_unit_test(unsent_increments_count_once),
        cmocka_unit_test(unsent_increments_of_floats_count),
        cmocka_unit_test(unsent_deletes_and_expiries_are_made_again),
        cmocka_unit_test(what_others_deliver_is_theirs),
        cmocka_unit_test(what_was_taken_off_of_anothers_part_stays_so),
        cmocka_unit_test(what_is_made_again_is_void_elsewhere),
        cmocka_unit_test(parts_tell_of_ends),
        cmocka_unit_test(who_compares_leaves_out_what_is_void),
        cmocka_unit_test(what_is_void_is_not_taken_over),
        cmocka_unit_test(who_saw_what_is_void_takes_the_rest),
        cmocka_unit_test(an_end_that_was_not_told_is_taken_back),
        cmocka_unit_test(what_was_kept_is_compared_again),
        cmocka_unit_test(what_was_kept_follows_a_swap),
        cmocka_unit_test(who_was_taken_for_gone_comes_back),
        cmocka_unit_test(who_was_taken_for_gone_has_more),
        cmocka_unit_test(no_life_ends_itself),
        cmocka_unit_test(unsent_patches_are_made_again),
        cmocka_unit_test(hyperloglogs_of_both_are_joined),
        cmocka_unit_test(two_that_were_alone),
        cmocka_unit_test(an_old_copy_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
