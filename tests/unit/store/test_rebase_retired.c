/* SPDX-License-Identifier: BSD-3-Clause */
/* Rebasing where the mesh has settled, folded or retired what it had seen meanwhile: what was seen
 * there and removed is told from what never came, by the log or by what is older than what. */
#include "unit/store/sync_world.h"

/* The mesh has folded what it saw of a part together with somebody else's: only the log of who
 * comes back knows what it saw. */
static void what_was_folded_with_others(bool has_log, const char *expected) {
    setup(3);
    unsigned forgotten = peers[2].author, ended = peers[0].author;
    add(2, "c", 1);
    add_field(2, "f", 1);
    deliver_all();
    add(2, "c", 2);
    add_field(2, "f", 2);
    add(0, "c", 4);
    add_field(0, "f", 4);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver(0, 1);
    for (unsigned i = 0; i < 2; i++) {
        settle_and_retire(&peers[i], forgotten);
        settle_and_retire(&peers[i], ended);
    }
    add(1, "c", 16);
    add_field(1, "f", 16);
    reads_history = has_log;
    rejoin(2, 1);
    reads_history = false;
    deliver_all();
    check_equal();
    expect_all("c", expected);
    for (unsigned i = 0; i < peers_count; i++) {
        expect_field(i, "f", expected);
    }
    teardown();
}

static void the_log_tells_what_was_folded(void **state) {
    (void)state;
    what_was_folded_with_others(true, "23");
}

/* Nothing counts twice. */
static void without_a_log_what_is_unclear_is_left_out(void **state) {
    (void)state;
    what_was_folded_with_others(false, "21");
}

/* Somebody was retired of whom the forgotten one had not seen all. So what is settled and newer
 * might be that one's; what was removed before it was forgotten stays removed only by its log. */
static void removed_though_settled(bool has_log) {
    setup(3);
    unsigned ended = peers[0].author;
    set(0, "first", "1");
    deliver_all();
    set(1, "gone", "1");
    add_field(1, "gone", 1);
    set(1, "stays", "1");
    deliver_all();
    set(0, "unseen", "1");
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    unsigned writer = peers[1].author;
    collect(&peers[1]);
    begin_life(&peers[1], 61);
    deliver(0, 1);
    deliver(1, 0);
    for (unsigned i = 0; i < 2; i++) {
        settle_and_retire(&peers[i], ended);
        settle_and_retire(&peers[i], writer);
    }
    delete (2, "gone");
    delete_field(2, "gone");
    reads_history = has_log;
    rejoin(2, 1);
    reads_history = false;
    deliver_all();
    check_equal();
    expect_all("unseen", "1");
    expect_all("stays", "1");
    expect_all("gone", has_log ? NULL : "1");
    assert_int_equal(has_field(1, "gone"), !has_log);
    teardown();
}

static void the_log_tells_what_was_removed(void **state) {
    (void)state;
    removed_though_settled(true);
}

/* Nothing unseen is destroyed. */
static void without_a_log_what_is_unclear_stays(void **state) {
    (void)state;
    removed_though_settled(false);
}

/* By the clocks of all, after the beginning. */
static void pass_seconds(unsigned seconds) {
    for (unsigned i = 0; i < peers_count; i++) {
        collect(&peers[i]);
        store_set_now(&peers[i].store, NOW_MS + (int64_t)seconds * 1000);
    }
}

/* Two nodes are new, and what the one has written the mesh and the other one have. So both of these
 * have seen something that is newer than all of a life that the mesh has retired, and of which the
 * new one has never heard. What that life wrote was not seen there and removed. */
static void what_is_older_than_a_new_node_stays(void **state) {
    (void)state;
    setup(4);
    unsigned ended = peers[0].author;
    set(0, "old", "1");
    add_field(0, "f", 1);
    deliver(0, 1);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver(0, 1);
    settle_and_retire(&peers[0], ended);
    settle_and_retire(&peers[1], ended);
    pass_seconds(60);
    set(2, "new", "1");
    for (unsigned i = 0; i < 4; i++) {
        deliver(2, i);
    }
    rejoin(3, 1);
    deliver(3, 1);
    for (unsigned i = 1; i < 4; i += 2) {
        expect(i, "old", "1");
        expect(i, "new", "1");
        expect_field(i, "f", "1");
    }
    teardown();
}

/* A life that wrote nothing was retired here and has a slot there. It has one here again then, with
 * nothing to have seen: a stamp without ticks would make digests that peers refuse. */
static void a_life_without_changes_leaves_no_stamp(void **state) {
    (void)state;
    setup(2);
    set(1, "k", "1");
    begin_life(&peers[0], 60);
    struct retired_replica retired = {.ref = authors[peers[0].author].ref};
    replicas_note_retired(&peers[1].store.replicas, &retired);
    join(&peers[1], &peers[0], SYNC_MERGE);
    unsigned slot = replicas_find(&peers[1].store.replicas, retired.ref);
    assert_int_not_equal(slot, 0);
    assert_int_equal(peers[1].store.context.stamps[slot], 0);
    teardown();
}

/* As what_is_older_than_a_new_node_stays(), of a life that has a generation of later than it began,
 * since a clock was ahead and put right. */
static void what_is_older_than_a_generation_stays(void **state) {
    (void)state;
    setup(4);
    peers[0].store.now_ms += 31001;
    begin_life(&peers[0], 0);
    peers[0].store.now_ms -= 31001;
    unsigned ended = peers[0].author;
    set(0, "old", "1");
    deliver(0, 1);
    pass_seconds(40);
    set(0, "k", "1");
    deliver(0, 1);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "2");
    deliver(0, 1);
    settle_and_retire(&peers[0], ended);
    settle_and_retire(&peers[1], ended);
    pass_seconds(60);
    set(2, "new", "1");
    for (unsigned i = 0; i < 4; i++) {
        deliver(2, i);
    }
    rejoin(3, 1);
    deliver(3, 1);
    for (unsigned i = 1; i < 4; i += 2) {
        expect(i, "old", "1");
        expect(i, "new", "1");
    }
    teardown();
}

/* The forgotten one has never heard of a life that began while it was away. So it did see what is
 * older than that, and the log need not tell. */
static void what_is_older_than_an_unheard_life_was_seen(void **state) {
    (void)state;
    setup(3);
    unsigned ended = peers[1].author;
    set(1, "gone", "1");
    add_field(1, "gone", 1);
    add_field(1, "f", 1);
    deliver_all();
    begin_life(&peers[1], 60);
    set(1, "k", "1");
    deliver_all();
    for (unsigned i = 0; i < 3; i++) {
        settle_and_retire(&peers[i], ended);
    }
    pass_seconds(20);
    set(1, "k", "2");
    deliver_all();
    delete (2, "gone");
    delete_field(2, "gone");
    pass_seconds(60);
    collect(&peers[0]);
    begin_life(&peers[0], 61);
    unsigned unheard = peers[0].author;
    set(0, "new", "1");
    deliver(0, 1);
    collect(&peers[0]);
    begin_life(&peers[0], 62);
    set(0, "k", "3");
    deliver(0, 1);
    settle_and_retire(&peers[0], unheard);
    settle_and_retire(&peers[1], unheard);
    rejoin(2, 1);
    deliver_all();
    check_equal();
    expect_all("gone", NULL);
    expect_all("new", "1");
    assert_false(has_field(1, "gone"));
    teardown();
}

static void retire(unsigned peer, unsigned author) {
    struct store *store = &peers[peer].store;
    unsigned slot = replicas_find(&store->replicas, authors[author].ref);
    for (unsigned i = 0; i < 100 && !store_retire_some(store, slot, &store->context, 1000); i++) {
        collect(&peers[peer]);
    }
    assert_int_equal(replicas_find(&store->replicas, authors[author].ref), 0);
}

/* The mesh has folded what it had of a forgotten one's part into a register whose author lives, so
 * that the register has the ticks of the part. It is not one that was seen here and removed. */
static void what_a_part_was_folded_into(bool has_log, const char *other) {
    setup(3);
    unsigned old = peers[2].author;
    set(0, "c", "1000");
    set(0, "other", "1000");
    deliver_all();
    for (unsigned i = 0; i < 3; i++) {
        add(i, "c", 1);
        add(i, "other", 1);
    }
    deliver_all();
    add(2, "c", 30);
    add(2, "other", 30);
    retire(0, old);
    retire(1, old);
    add(0, "c", 100);
    set(0, "other", "2000");
    deliver(0, 1);
    expect(1, "c", "1103");
    reads_history = has_log;
    rebase(2, 1, -1);
    reads_history = false;
    deliver_all();
    check_equal();
    expect_all("c", "1133");
    expect_all("other", other);
    teardown();
}

static void what_a_part_was_folded_into_stays(void **state) {
    (void)state;
    what_a_part_was_folded_into(false, "2000"); /* unclear: how much of 31 was seen */
    what_a_part_was_folded_into(true, "2030");
}

/* A life was retired where some parts came from, and not where others did. Who wrote there had seen
 * all of it and tells so no more: what it deletes is gone also where its entry is not settled yet.
 */
static void what_is_retired_at_some_was_seen(void **state) {
    (void)state;
    enum { KEYS = 40 };
    char name[16];
    setup(4);
    unsigned ended = peers[0].author;
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "k%u", i);
        set(0, name, "v");
    }
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    deliver(0, 1);
    deliver(0, 2);
    set(1, "told", "1");
    deliver(1, 2);
    settle_and_retire(&peers[1], ended);
    collect(&peers[3]);
    struct sync *sync = sync_begin(&peers[3].store, SYNC_TAKE, NULL, NULL);
    for (unsigned part = 0; part < PARTS; part++) {
        assert_int_equal(pull(sync, &peers[1 + part % 2], part, NULL, false), SYNC_OK);
    }
    finish(sync, &peers[3]);
    deliver_all();
    assert_true(sync_is_caught_up(sync));
    assert_true(sync_reissue_some(sync, 1000));
    sync_free(sync);
    check_equal();
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "k%u", i);
        expect_all(name, "v");
        delete (1, name);
    }
    deliver_all();
    check_equal();
    teardown();
}

/* Both sides have forgotten each other, retired the other's life as they knew it, and gone on in
 * it. What that wrote after its end is not something that was seen and is gone. */
static void what_was_written_after_its_author_was_retired_stays(void **state) {
    (void)state;
    setup(2);
    unsigned first = peers[0].author, second = peers[1].author;
    for (unsigned i = 0; i < 2; i++) {
        add(i, "c", 1);
        add(i, "sum", 1);
        set(i, i == 0 ? "zero" : "one", "old");
    }
    deliver_all();
    retire(1, first);
    retire(0, second);
    add(0, "c", 100);
    add(0, "sum", 100);
    set(0, "zero", "new");
    set(0, "three", "new");
    add(1, "c", 10);
    set(1, "one", "new");
    collect(&peers[0]);
    begin_life(&peers[0], 80);
    retire(0, first);
    rebase(1, 0, -1);
    deliver(1, 0);
    check_equal();
    expect_all("sum", "102");
    expect_all("zero", "new");
    expect_all("three", "new");
    expect_all("one", "new");
    expect_all("c", "102"); /* unclear: how much of 11 was folded */
    teardown();
}

/* Likewise, of several values that were set at once and had not settled when it was cut off. */
static void a_part_above_siblings_is_told_apart(void **state) {
    (void)state;
    setup(3);
    unsigned old = peers[2].author;
    set(0, "c", "1000");
    set(1, "c", "2000");
    deliver_all();
    add(2, "c", 1);
    deliver_all();
    add(2, "c", 30);
    for (unsigned i = 0; i < 2; i++) {
        claim(&peers[i]);
    }
    peers[2].claim = peers[0].claim;
    for (unsigned i = 0; i < 2; i++) {
        settle(i);
        retire(i, old);
    }
    struct key key = key_of(0, "c");
    int64_t before = 0, after = 0;
    assert_true(entry_integer(store_peek(&peers[0].store, &key), &before));
    assert_true(before == 1001 || before == 2001);
    rebase(2, 1, -1);
    deliver_all();
    check_equal();
    assert_true(entry_integer(store_peek(&peers[0].store, &key), &after));
    assert_int_equal(after, before + 30);
    teardown();
}

/* Likewise, where it cannot be told what of the part is new, since a text hides it here. */
static void what_an_unclear_part_was_folded_into_stays(void **state) {
    (void)state;
    setup(3);
    unsigned old = peers[2].author;
    set(0, "c", "1000");
    deliver_all();
    set(1, "c", "abc");
    collect(&peers[1]);
    set(1, "c", "7");
    for (unsigned i = 0; i < 10; i++) {
        add(2, "c", 1); /* later than the 7 by clock, which it has not seen */
    }
    deliver(2, 0);
    deliver(2, 1);
    deliver(1, 0);
    add(2, "c", 30);
    assert_true(deliver_one(&peers[2], peers[1].author));
    expect(2, "c", "abc");
    retire(0, old);
    retire(1, old);
    expect(1, "c", "17");
    rebase(2, 1, -1);
    deliver_all();
    check_equal();
    expect_all("c", "17");
    teardown();
}

/* The peer has retired a life of which the joiner has the slot: who takes over the joiner's state
 * has to know that keys are without it. */
static void what_is_retired_in_parts_is_noted(void **state) {
    (void)state;
    setup(2);
    unsigned old = peers[0].author;
    add(0, "c", 1);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver_all();
    retire(1, old);
    deliver(peers[1].author, 0);
    assert_int_not_equal(replicas_find(&peers[0].store.replicas, authors[old].ref), 0);
    assert_null(replicas_find_retired(&peers[0].store.replicas, authors[old].ref));
    join(&peers[0], &peers[1], SYNC_TAKE);
    assert_int_not_equal(replicas_find(&peers[0].store.replicas, authors[old].ref), 0);
    assert_non_null(replicas_find_retired(&peers[0].store.replicas, authors[old].ref));
    expect_all("c", "1");
    teardown();
}

/* Two have forgotten a third one, and who compares had seen more of that. The state that it stands
 * on is without it, so it has not seen it any more. */
static void what_was_seen_of_a_forgotten_one_is_not_told(void **state) {
    (void)state;
    setup(3);
    unsigned old = peers[2].author;
    set(2, "k", "1");
    deliver_all();
    set(2, "k", "2");
    deliver(2, 1);
    settle_and_retire(&peers[0], old);
    settle_and_retire(&peers[1], old);
    uint64_t ref = authors[old].ref;
    uint64_t ticks = replicas_find_retired(&peers[0].store.replicas, ref)->ticks;
    assert_true(replicas_find_retired(&peers[1].store.replicas, ref)->ticks > ticks);
    begin_life(&peers[1], 60);
    join(&peers[1], &peers[0], SYNC_REBASE);
    assert_true(replicas_find_retired(&peers[1].store.replicas, ref)->ticks == ticks);
    teardown();
}

/* The peer is about to retire a life that all have seen. It keeps a part of that above a register
 * that not all have seen, and the joiner has the part without the register. */
static void a_part_stays_above_what_is_unseen(void **state) {
    (void)state;
    setup(3);
    unsigned old = peers[2].author;
    set(0, "c", "1000");
    collect(&peers[0]);
    add(2, "c", 30);
    add_field(2, "f", 30);
    deliver(2, 0);
    deliver(2, 1);
    collect(&peers[2]);
    begin_life(&peers[2], 60);
    struct store *store = &peers[0].store;
    unsigned slot = replicas_find(&store->replicas, authors[old].ref);
    struct context frontier = store->context;
    frontier.stamps[store->replicas.self] = 0;
    for (unsigned i = 0; i < 10; i++) {
        assert_false(store_retire_some(store, slot, &frontier, 1000));
        collect(&peers[0]);
    }
    assert_non_null(replicas_find_retired(&store->replicas, authors[old].ref));
    expect(1, "c", "30");
    join(&peers[1], &peers[0], SYNC_MERGE);
    expect(1, "c", "1030");
    expect_field(1, "f", "30");
    deliver_all();
    expect_all("c", "1030");
    check_equal();
    retire(0, old);
    retire(1, old);
    check_equal();
    teardown();
}

/* Likewise, where the mesh has folded it together with one of which the forgotten one never heard.
 */
static void a_part_was_folded_with_an_unseen_one(void **state) {
    (void)state;
    setup(3);
    unsigned ended = peers[0].author, forgotten = peers[2].author;
    add(0, "c", 1);
    deliver(0, 1);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver(0, 1);
    add(2, "c", 32);
    deliver(2, 0);
    deliver(2, 1);
    collect(&peers[2]);
    begin_life(&peers[2], 61);
    add(2, "c", 4);
    for (unsigned i = 0; i < 2; i++) {
        settle_and_retire(&peers[i], ended);
        settle_and_retire(&peers[i], forgotten);
    }
    expect(1, "c", "33");
    rejoin(2, 1);
    deliver_all();
    check_equal();
    expect_all("c", "37");
    teardown();
}

/* Likewise, but the mesh has folded the beginning of a part that goes on here. What of that is new
 * is told by the difference of the registers, without a log: none of it counts twice. */
static void a_part_was_folded_with_the_beginning_of_one(void **state) {
    (void)state;
    setup(3);
    unsigned ended = peers[0].author, forgotten = peers[2].author;
    add(2, "c", 32);
    deliver(2, 0);
    deliver(2, 1);
    add(0, "c", 1);
    deliver(0, 1);
    deliver(0, 2);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver(0, 1);
    add(2, "c", 4);
    collect(&peers[2]);
    begin_life(&peers[2], 61);
    for (unsigned i = 0; i < 2; i++) {
        settle_and_retire(&peers[i], ended);
        settle_and_retire(&peers[i], forgotten);
    }
    expect(1, "c", "33");
    rejoin(2, 1);
    deliver_all();
    check_equal();
    expect_all("c", "37");
    teardown();
}

/* Both sides have folded a part, and the mesh a lower one, too, of which the forgotten one never
 * heard: both numbers have one stamp. */
static void both_have_folded_and_the_mesh_more(void **state) {
    (void)state;
    setup(3);
    unsigned ended = peers[0].author, forgotten = peers[2].author;
    add(0, "c", 1);
    add_field(0, "f", 1);
    deliver(0, 1);
    collect(&peers[0]);
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver(0, 1);
    add(2, "c", 32);
    add_field(2, "f", 32);
    deliver(2, 0);
    deliver(2, 1);
    collect(&peers[2]);
    begin_life(&peers[2], 61);
    settle_and_retire(&peers[2], forgotten);
    add(2, "c", 4);
    add_field(2, "f", 4);
    for (unsigned i = 0; i < 2; i++) {
        settle_and_retire(&peers[i], ended);
        settle_and_retire(&peers[i], forgotten);
    }
    expect(1, "c", "33");
    expect(2, "c", "36");
    rejoin(2, 1);
    deliver_all();
    check_equal();
    expect_all("c", "37");
    expect_field(0, "f", "37");
    teardown();
}

/* The mesh has seen a part and deleted it, and has retired its author. What the forgotten one has
 * written below the part has not been seen. */
static void what_was_written_below_a_deleted_part_stays(void **state) {
    (void)state;
    setup(3);
    unsigned old = peers[0].author;
    set(2, "c", "1000");
    collect(&peers[2]);
    add(0, "c", 30);
    deliver(0, 1);
    deliver(0, 2);
    expect(2, "c", "1030");
    begin_life(&peers[0], 60);
    set(0, "k", "1");
    deliver(0, 1);
    delete (1, "c");
    deliver(1, 0);
    settle_and_retire(&peers[0], old);
    settle_and_retire(&peers[1], old);
    rejoin(2, 1);
    deliver_all();
    check_equal();
    expect_all("c", "1000");
    teardown();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_part_was_folded_into_stays),
        cmocka_unit_test(what_is_retired_at_some_was_seen),
        cmocka_unit_test(what_was_written_after_its_author_was_retired_stays),
        cmocka_unit_test(a_part_above_siblings_is_told_apart),
        cmocka_unit_test(what_an_unclear_part_was_folded_into_stays),
        cmocka_unit_test(the_log_tells_what_was_folded),
        cmocka_unit_test(without_a_log_what_is_unclear_is_left_out),
        cmocka_unit_test(the_log_tells_what_was_removed),
        cmocka_unit_test(without_a_log_what_is_unclear_stays),
        cmocka_unit_test(what_is_older_than_a_new_node_stays),
        cmocka_unit_test(what_is_older_than_a_generation_stays),
        cmocka_unit_test(a_life_without_changes_leaves_no_stamp),
        cmocka_unit_test(what_is_older_than_an_unheard_life_was_seen),
        cmocka_unit_test(what_is_retired_in_parts_is_noted),
        cmocka_unit_test(what_was_seen_of_a_forgotten_one_is_not_told),
        cmocka_unit_test(a_part_stays_above_what_is_unseen),
        cmocka_unit_test(a_part_was_folded_with_an_unseen_one),
        cmocka_unit_test(a_part_was_folded_with_the_beginning_of_one),
        cmocka_unit_test(both_have_folded_and_the_mesh_more),
        cmocka_unit_test(what_was_written_below_a_deleted_part_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
