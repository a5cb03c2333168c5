/* SPDX-License-Identifier: BSD-3-Clause */
/* Catching up of who was forgotten: when it may compare what it has with the state of a peer, and
 * what becomes of records that are void since. */
#include "catchup_world.h"

/* ---- who was forgotten ---- */

/* Node 2 was forgotten, and has two earlier lives; of the first node 0 has seen so much, of the
 * second node 1. */
static struct world *begin_forgotten(uint64_t seen_by_0, uint64_t seen_by_1, uint64_t seed) {
    struct world *world = begin_world(3, 3, seed);
    struct world_node *node = &world->nodes[2];
    write_all(world, 3, 20, 1);
    world_run_ms(world, 3000);
    for (unsigned i = 0; i < 2; i++) {
        struct replica_id life = {.generation = 10 + i};
        memcpy(life.node, node->node_id, sizeof(life.node));
        unsigned slot = replicas_add(&node->replicas, &life);
        uint64_t seen = i == 0 ? seen_by_0 : seen_by_1;
        if (seen != 0) {
            membership_note_seen(link_to(world, 2, i)->member, stamp_make(seen, slot));
        }
    }
    node->mesh->was_forgotten = true;
    while (node->mesh->catchup.state != CATCHUP_PULLING) {
        world_step(world);
    }
    assert_int_equal(node->mesh->catchup.mode, MESH_JOIN_REBASE);
    return world;
}

/* Nobody has more of its lives than another one: it compares once others had time to come back. */
static void who_was_forgotten_waits(void **state) {
    (void)state;
    struct world *world = begin_forgotten(0, 0, 18);
    world->nodes[2].mesh->was_forgotten = true; /* the other peer says so, too */
    run_until(world, 2, CATCHUP_REBASE_MS - 50);
    assert_int_equal(sides[2].begins, 0);
    assert_true(becomes_ready(world, 2, 1000));
    assert_true(sides[2].rebased);
    assert_true(sides[0].served > 0 && sides[1].served > 0);
    world_run_ms(world, 1000);
    assert_false(mesh_is_joining(world->nodes[2].mesh));
    assert_int_equal(sides[2].begins, 1);
    world_free(world);
}

/* It was told so and restarts before it has compared. It has heard all by then that others have
 * settled, and looks as if it had when it wrote; so it says that it owes that, and no more once it
 * is done. */
static void who_restarts_has_yet_to_compare(void **state) {
    (void)state;
    for (unsigned owes = 0; owes < 2; owes++) {
        struct world *world = begin_world(3, 3, 31);
        struct world_node *node = &world->nodes[2];
        write_all(world, 3, 20, 1);
        world_run_ms(world, 3000);
        if (owes) {
            node->mesh->was_forgotten = true;
            while (node->mesh->catchup.state != CATCHUP_PULLING) {
                world_step(world);
            }
            assert_true(catchup_owes_comparing(node->mesh));
        }
        world_stop(world, 2);
        sides[2].begins = 0;
        start(world, 2);
        assert_true(becomes_ready(world, 2, 2 * CATCHUP_REBASE_MS));
        assert_int_equal(sides[2].rebased, owes);
        assert_false(catchup_owes_comparing(node->mesh));
        assert_int_equal(sides[2].begins, owes);
        world_free(world);
    }
}

/* It compares with who has all of its lives that anybody has. */
static void who_was_forgotten_asks_who_knows_its_lives(void **state) {
    (void)state;
    struct world *world = begin_forgotten(7, 0, 19);
    run_until(world, 2, CATCHUP_REBASE_MS - 50);
    assert_int_equal(sides[2].begins, 0);
    assert_true(becomes_ready(world, 2, 1000));
    assert_true(sides[2].rebased);
    assert_int_equal(sides[0].served, CATCHUP_PARTS);
    assert_int_equal(sides[1].served, 0);
    world_free(world);
}

/* Each of its peers lacks what the other one has of its lives: that is waited for, not forever. */
static void who_was_forgotten_does_not_wait_forever(void **state) {
    (void)state;
    struct world *world = begin_forgotten(7, 7, 20);
    run_until(world, 2, CATCHUP_REBASE_MAX_MS - 50);
    assert_true(mesh_is_joining(world->nodes[2].mesh));
    assert_int_equal(sides[2].begins, 0);
    assert_true(becomes_ready(world, 2, 1000));
    assert_true(sides[2].rebased);
    world_free(world);
}

/* Node 0 was forgotten, too, and its id is smaller: it compares first, and node 2 when node 1 has
 * what node 0 has made again. */
static void the_forgotten_compare_one_after_the_other(void **state) {
    (void)state;
    struct world *world = begin_forgotten(7, 0, 21);
    world->nodes[0].mesh->was_forgotten = true;
    run_until(world, 2, CATCHUP_REBASE_MS - 50);
    assert_int_equal(sides[0].begins + sides[2].begins, 0);
    assert_true(becomes_ready(world, 0, 2000));
    assert_true(sides[0].rebased);
    assert_int_equal(sides[2].begins, 0);
    world_write(&world->nodes[0], 3, 3);
    assert_true(becomes_ready(world, 2, 3 * MESH_PING_MS));
    assert_true(sides[2].rebased);
    world_free(world);
}

/* Node 0 does not come to an end with it: that is not waited for forever. */
static void the_forgotten_do_not_wait_forever(void **state) {
    (void)state;
    struct world *world = begin_forgotten(0, 0, 26);
    world->nodes[0].mesh->was_forgotten = true;
    sides[0].lacks = true;
    world->nodes[0].mesh->data.sync_is_ready = is_never_ready;
    run_until(world, 2, CATCHUP_REBASE_MAX_MS + CATCHUP_FIRST_MS - 50);
    assert_int_equal(sides[0].begins > 0, 1);
    assert_int_equal(sides[2].begins, 0);
    assert_true(becomes_ready(world, 2, 1000));
    assert_true(sides[2].rebased);
    assert_true(mesh_is_joining(world->nodes[0].mesh));
    world_free(world);
}

/* It alone has the last that another node wrote, who is dead. That may come back and deliver it: it
 * is given a minute since it was heard. Then nobody else would make it known. */
static void who_was_forgotten_waits_for_the_dead(void **state) {
    (void)state;
    struct world *world = begin_forgotten(0, 0, 24);
    struct world_node *node = &world->nodes[2];
    const struct member *author = link_to(world, 2, 1)->member;
    unsigned slot = replicas_find(&node->replicas, author->ref);
    uint64_t last = stamp_make(stamp_ticks(node->context.stamps[slot]) + 1, slot);
    context_add(&node->context, last);
    world_stop(world, 1);
    uint64_t heard_ms = author->heard_ms;
    while (mesh_now_ms(node->mesh) - heard_ms < AWAY_MS - 50) {
        world_step(world);
    }
    assert_int_equal(author->heard_ms, heard_ms);
    assert_int_equal(sides[2].begins, 0);
    assert_true(mesh_awaits_author(node->mesh, last));
    assert_true(becomes_ready(world, 2, 1000));
    assert_true(sides[2].rebased);
    assert_false(mesh_has_author(node->mesh, last));
    world_free(world);
}

/* What only this node has of another one's changes, that one makes known itself if it lives, and
 * has them still. If it was heard within the last minute it may come back to do so. */
static void authors_make_their_changes_known(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 22);
    write_all(world, 3, 20, 1);
    const struct mesh *mesh = world->nodes[0].mesh;
    const struct member *author = link_to(world, 0, 1)->member;
    unsigned slot = replicas_find(&world->nodes[0].replicas, author->ref);
    uint64_t newest = world->nodes[0].context.stamps[slot];
    uint64_t beyond = stamp_make(stamp_ticks(newest) + 1, slot);
    uint64_t own = world->nodes[0].context.stamps[world->nodes[0].replicas.self];
    world_run_ms(world, 3000);
    assert_true(mesh_has_author(mesh, newest));
    assert_true(mesh_has_author(mesh, beyond)); /* whether it told so or not */
    assert_true(mesh_has_author(mesh, own));
    assert_false(mesh_awaits_author(mesh, newest));
    /* Of an earlier life it may have lost the end. */
    struct replica_id life = world->nodes[0].replicas.slots[slot].id;
    life.generation--;
    unsigned earlier = replicas_add(&world->nodes[0].replicas, &life);
    membership_note_seen(link_to(world, 0, 1)->member, stamp_make(5, earlier));
    assert_true(mesh_has_author(mesh, stamp_make(5, earlier)));
    assert_false(mesh_has_author(mesh, stamp_make(6, earlier)));
    world_stop(world, 1);
    uint64_t heard_ms = author->heard_ms;
    while (author->state != MEMBER_SUSPECT) {
        world_step(world);
    }
    assert_true(mesh_awaits_author(mesh, newest));
    while (author->state != MEMBER_DEAD) {
        world_step(world);
    }
    assert_false(mesh_has_author(mesh, newest));
    assert_true(mesh_awaits_author(mesh, newest));
    assert_false(mesh_awaits_author(mesh, stamp_make(6, earlier)));
    while (mesh_now_ms(mesh) - heard_ms < AWAY_MS - 50) {
        world_step(world);
    }
    assert_int_equal(author->heard_ms, heard_ms);
    assert_true(mesh_awaits_author(mesh, newest));
    world_run_ms(world, 100);
    assert_false(mesh_awaits_author(mesh, newest));
    assert_false(mesh_has_author(mesh, newest));
    assert_true(mesh_has_author(mesh, own));
    /* To node 2 that is node 0's, whose id is smaller. */
    const struct world_node *third = &world->nodes[2];
    unsigned there = replicas_find(&third->replicas, author->ref);
    assert_true(mesh_has_author(third->mesh, third->context.stamps[there]));
    assert_false(mesh_has_author(third->mesh, third->context.stamps[there] + (1 << 20)));
    /* Who is gone for good makes nothing known, however short ago it was heard. */
    struct member *other = link_to(world, 0, 2)->member;
    slot = replicas_find(&world->nodes[0].replicas, other->ref);
    newest = world->nodes[0].context.stamps[slot];
    assert_true(mesh_has_author(mesh, newest));
    membership_forget(&world->nodes[0].mesh->membership, other, mesh_now_ms(mesh));
    assert_false(mesh_has_author(mesh, newest));
    world_free(world);
}

/* ---- what is void ---- */

/* All have seen an earlier life of node 1 to its end, and that it ended before. */
static struct world *begin_void(uint64_t ticks, uint64_t *ref, uint64_t seed) {
    struct world *world = begin_world(3, 3, seed);
    write_all(world, 3, 20, 1);
    struct replica_id life = {.generation = 1};
    world_node_id(1, life.node);
    *ref = replica_ref(&life);
    for (unsigned i = 0; i < 3; i++) {
        unsigned slot = replicas_add(&world->nodes[i].replicas, &life);
        context_add(&world->nodes[i].context, stamp_make(ticks, slot));
        replicas_note_ended(&world->nodes[i].replicas,
                            &(struct ended_replica){.ref = *ref, .ticks = ticks - 1});
    }
    return world;
}

static void tell_contexts(struct world *world) {
    for (unsigned i = 0; i < 3; i++) {
        world_reset(world, i, (i + 1) % 3);
    }
    assert_true(world_links(world, 6000));
}

/* Node 1 was forgotten, and has made again what nodes 0 and 2 have of it. */
static void what_is_void_is_given_up(void **state) {
    (void)state;
    enum { TICKS = 10 };
    uint64_t ref;
    struct world *world = begin_void(TICKS, &ref, 23);
    unsigned there = replicas_find(&world->nodes[1].replicas, ref);
    world->nodes[1].context.stamps[there] = stamp_make(TICKS - 1, there);
    tell_contexts(world);
    world_run_ms(world, 5000);
    for (unsigned i = 0; i < 3; i++) {
        const struct world_node *node = &world->nodes[i];
        assert_int_equal(sides[i].begins, i != 1);
        assert_false(sides[i].rebased);
        assert_int_equal(world_said(node, "has written again what this one has"), i != 1);
        assert_false(mesh_is_joining(node->mesh));
    }
    assert_true(sides[1].served >= CATCHUP_PARTS);
    world_free(world);
}

/* The only one without what is void goes away while they take over its state: they go on as they
 * were, until it comes back. */
static void what_is_void_waits_for_who_is_without(void **state) {
    (void)state;
    enum { TICKS = 10 };
    uint64_t ref;
    struct world *world = begin_void(TICKS, &ref, 25);
    unsigned there = replicas_find(&world->nodes[1].replicas, ref);
    world->nodes[1].context.stamps[there] = stamp_make(TICKS - 1, there);
    sides[1].is_stalled = true;
    for (unsigned i = 0; i < 3; i++) {
        world_reset(world, i, (i + 1) % 3);
    }
    world_run_ms(world, 3000);
    for (unsigned i = 0; i < 3; i += 2) {
        assert_true(mesh_is_joining(world->nodes[i].mesh));
        assert_int_equal(sides[i].cancels, 0);
    }
    world_stop(world, 1);
    world_run_ms(world, 3000);
    for (unsigned i = 0; i < 3; i += 2) {
        assert_false(mesh_is_joining(world->nodes[i].mesh));
        assert_int_equal(sides[i].cancels, 1);
    }
    /* It comes back, and both give up what is void after all. */
    sides[1].is_stalled = false;
    start(world, 1);
    world_run_ms(world, 20000);
    for (unsigned i = 0; i < 3; i += 2) {
        assert_false(mesh_is_joining(world->nodes[i].mesh));
        assert_int_equal(sides[i].begins, 2);
        unsigned here = replicas_find(&world->nodes[i].replicas, ref);
        assert_true(stamp_ticks(world->nodes[i].context.stamps[here]) < TICKS);
    }
    world_free(world);
}

/* Node 1 knows of the end, and nodes 0 and 2 do not: no log brings it to them. They are told so,
 * and node 1, which they hold for forgotten, takes over nothing of theirs. */
static void who_has_what_is_void_is_told(void **state) {
    (void)state;
    enum { TICKS = 10 };
    uint64_t ref;
    struct world *world = begin_void(TICKS, &ref, 27);
    unsigned there = replicas_find(&world->nodes[1].replicas, ref);
    world->nodes[1].context.stamps[there] = stamp_make(TICKS - 1, there);
    for (unsigned i = 0; i < 3; i += 2) {
        replicas_drop_ended(&world->nodes[i].replicas, ref);
    }
    tell_contexts(world);
    struct mesh_link *link = link_to(world, 1, 0);
    assert_true(catchup_peer_has_void(link));
    catchup_consider(link, true, true);
    assert_false(mesh_is_joining(world->nodes[1].mesh));
    world_run_ms(world, 5000);
    for (unsigned i = 0; i < 3; i++) {
        const struct world_node *node = &world->nodes[i];
        assert_int_equal(sides[i].begins, i != 1);
        assert_int_equal(node->replicas.ended_count, 1);
        assert_false(mesh_is_joining(node->mesh));
        unsigned here = replicas_find(&node->replicas, ref);
        assert_true(stamp_ticks(node->context.stamps[here]) < TICKS);
    }
    assert_false(catchup_peer_has_void(link_to(world, 1, 0)));
    /* Nobody has anything void any more, and nobody is told again. */
    uint64_t frames = world->frames_by_type[MESH_FRAME_ENDS];
    assert_true(frames >= 2);
    world_run_ms(world, 5000);
    assert_int_equal(world->frames_by_type[MESH_FRAME_ENDS], frames);
    world_free(world);
}

/* It joins already, and finds that all whom it could take over from have what is void. */
static void who_joins_beside_what_is_void_stops(void **state) {
    (void)state;
    enum { TICKS = 10 };
    uint64_t ref;
    struct world *world = begin_void(TICKS, &ref, 28);
    unsigned there = replicas_find(&world->nodes[1].replicas, ref);
    world->nodes[1].context.stamps[there] = stamp_make(TICKS - 1, there);
    for (unsigned i = 0; i < 3; i += 2) {
        replicas_drop_ended(&world->nodes[i].replicas, ref);
    }
    world->nodes[1].mesh->was_forgotten = true;
    world_run_ms(world, 60);
    assert_true(mesh_is_joining(world->nodes[1].mesh));
    tell_contexts(world);
    world_run_ms(world, CATCHUP_STUCK_MS + 8000);
    assert_true(world_said(&world->nodes[1], "and take that over") > 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(mesh_is_joining(world->nodes[i].mesh));
        assert_int_equal(sides[i].begins > 0, i != 1);
    }
    world_free(world);
}

/* Nobody's state would do: they go on as they are. */
static void what_is_void_everywhere_stays(void **state) {
    (void)state;
    uint64_t ref;
    struct world *world = begin_void(10, &ref, 24);
    tell_contexts(world);
    world_run_ms(world, 1000);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sides[i].begins, 0);
        assert_false(mesh_is_joining(world->nodes[i].mesh));
    }
    world_free(world);
}

/* While the rest of a state comes by streams another peer says that its log does not serve: the
 * state is pulled again, then from him. But not if he has settled without this node: that is
 * compared, in its turn. */
static void who_was_forgotten_elsewhere_ends_first(void **state) {
    (void)state;
    struct world *world = begin_world(2, 2, 40);
    write_all(world, 2, 20, 1);
    struct mesh_link *link = link_to(world, 0, 1);
    struct catchup *catchup = &world->nodes[0].mesh->catchup;
    catchup->state = CATCHUP_ADVANCING;
    catchup_consider(link, true, true);
    assert_false(catchup->wants_anew);
    catchup_consider(link, true, false);
    assert_true(catchup->wants_anew);
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_forgotten_waits),
        cmocka_unit_test(who_restarts_has_yet_to_compare),
        cmocka_unit_test(who_was_forgotten_asks_who_knows_its_lives),
        cmocka_unit_test(who_was_forgotten_does_not_wait_forever),
        cmocka_unit_test(the_forgotten_compare_one_after_the_other),
        cmocka_unit_test(the_forgotten_do_not_wait_forever),
        cmocka_unit_test(who_was_forgotten_waits_for_the_dead),
        cmocka_unit_test(authors_make_their_changes_known),
        cmocka_unit_test(what_is_void_is_given_up),
        cmocka_unit_test(what_is_void_waits_for_who_is_without),
        cmocka_unit_test(who_has_what_is_void_is_told),
        cmocka_unit_test(who_joins_beside_what_is_void_stops),
        cmocka_unit_test(what_is_void_everywhere_stays),
        cmocka_unit_test(who_was_forgotten_elsewhere_ends_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
