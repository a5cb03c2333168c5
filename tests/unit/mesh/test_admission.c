/* SPDX-License-Identifier: BSD-3-Clause */
/* May a life write? What was settled without it it has to have seen before its changes are taken,
 * and it gives up no replica before somebody has admitted it. State does not move in this world:
 * who has to take over another state goes on joining. */
#include "mesh/admission.h"
#include "mesh/catchup_internal.h"
#include "mesh_world.h"

static struct member *member_of(const struct world *world, unsigned at, unsigned of) {
    return membership_find(&world->nodes[at].mesh->membership, world->nodes[of].node_id);
}

static bool has_key(const struct world *world, unsigned at, unsigned author, unsigned key) {
    return world->nodes[at].cells[author][key].ticks != 0;
}

static struct mesh_link *link_of(const struct world *world, unsigned at, unsigned of) {
    return mesh_find_link(world->nodes[at].mesh, member_of(world, at, of));
}

/* Nothing passes between node 2 and the others, or all does again. */
static void part(struct world *world, bool is_parted) {
    world_block(world, 0, 2, is_parted);
    world_block(world, 1, 2, is_parted);
}

static void run_until_linked(struct world *world) {
    for (unsigned i = 0; member_of(world, 0, 2) == NULL || link_of(world, 0, 2) == NULL; i++) {
        assert_true(i < 4000);
        world_step(world);
    }
}

/* Nodes 0 and 1 have settled a key; node 2 began alone, and did not hear of it. */
static struct world *begin_apart(uint64_t seed) {
    struct world *world = world_new(3, seed);
    part(world, true);
    for (unsigned i = 0; i < 3; i++) {
        world_start(world, i);
    }
    world_run_ms(world, CATCHUP_ALONE_MS + 1000);
    assert_false(mesh_is_joining(world->nodes[2].mesh));
    world_write(&world->nodes[0], 1, 1);
    world_run_ms(world, 4000);
    struct context frontier;
    mesh_frontier(world->nodes[0].mesh, &frontier);
    assert_true(context_covers_all(&frontier, &world->nodes[0].context));
    assert_null(member_of(world, 0, 2));
    return world;
}

/* One that was never heard of owes what is settled. It wrote without having seen that: its changes
 * are not taken as they are, it has to make them again. */
static void who_was_never_heard_owes_the_frontier(void **state) {
    (void)state;
    struct world *world = begin_apart(1);
    world_write(&world->nodes[2], 2, 2);
    world_run_ms(world, 1000);
    part(world, false);
    run_until_linked(world);
    for (unsigned i = 0; i < 2; i++) {
        const struct member *member = member_of(world, i, 2);
        assert_non_null(member);
        if (member->owed != NULL) { /* the other one may be linked a moment later */
            assert_true(context_covers_all(member->owed, &world->nodes[i].mesh->floor));
        }
    }
    assert_non_null(member_of(world, 0, 2)->owed);
    world_run_ms(world, 5000);
    assert_true(mesh_is_joining(world->nodes[2].mesh));
    assert_int_equal(world_said(&world->nodes[2], "to write again what only this node knows"), 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_false(mesh_is_joining(world->nodes[i].mesh));
        assert_false(has_key(world, i, 2, 2));
    }
    world_free(world);
}

/* Where nothing is settled that it lacks nothing is owed, and its changes are taken. */
static void where_nothing_is_settled_nothing_is_owed(void **state) {
    (void)state;
    struct world *world = world_new(3, 2);
    part(world, true);
    for (unsigned i = 0; i < 3; i++) {
        world_start(world, i);
    }
    world_run_ms(world, CATCHUP_ALONE_MS + 1000);
    world_write(&world->nodes[2], 2, 2);
    world_run_ms(world, 1000);
    part(world, false);
    assert_true(world_converges(world, 10000));
    assert_true(has_key(world, 0, 2, 2));
    world_run_ms(world, 1000);
    assert_null(member_of(world, 0, 2)->owed);
    world_free(world);
}

/* One that has written nothing owes the same, and has only to wait: it hears so, catches up by the
 * logs, and is admitted. */
static void who_wrote_nothing_waits(void **state) {
    (void)state;
    struct world *world = begin_apart(3);
    part(world, false);
    run_until_linked(world);
    assert_non_null(member_of(world, 0, 2)->owed);
    world_run_ms(world, 5000);
    assert_int_equal(world_said(&world->nodes[2], "this node is behind: it catches up") > 0, 1);
    assert_int_equal(world_said(&world->nodes[2], "to write again"), 0);
    assert_false(mesh_is_joining(world->nodes[2].mesh));
    assert_true(has_key(world, 2, 0, 1));
    world_write(&world->nodes[2], 3, 3);
    assert_true(world_converges(world, 3000));
    assert_null(member_of(world, 0, 2)->owed);
    assert_true(has_key(world, 0, 2, 3));
    world_free(world);
}

/* A life that owes something is taken no records from, whoever has admitted it elsewhere; once it
 * has told that it has seen what it owes, it is. */
static void what_owes_is_not_taken(void **state) {
    (void)state;
    struct world *world = world_started(3, 4);
    assert_true(world_links(world, 5000));
    world_write(&world->nodes[0], 1, 1);
    assert_true(world_converges(world, 500));
    world_run_ms(world, 100);
    struct mesh_link *link = link_of(world, 0, 2);
    unsigned own = world->nodes[0].replicas.self;
    unsigned slot = replicas_find(&world->nodes[0].replicas, member_of(world, 0, 2)->ref);
    unsigned other = replicas_find(&world->nodes[0].replicas, member_of(world, 0, 1)->ref);
    assert_false(admission_refuses(link, slot));
    struct context owed = {0};
    context_add(&owed, world->nodes[0].context.stamps[own] + (UINT64_C(1) << STAMP_SLOT_BITS));
    membership_owe(member_of(world, 0, 2), &owed);
    assert_true(admission_refuses(link, slot));
    assert_false(admission_refuses(link, other)); /* it only passes that on */
    struct member *debtor = member_of(world, 0, 2);
    debtor->owes_from = debtor->generation + 1; /* as if this were a life before */
    assert_false(admission_refuses(link, slot));
    debtor->owes_from = debtor->generation;
    assert_true(admission_refuses(link, slot));
    world_write(&world->nodes[2], 2, 2);
    world_run_ms(world, 1500);
    assert_false(has_key(world, 0, 2, 2));
    assert_true(has_key(world, 1, 2, 2));
    /* The clock moves on, so this is beyond what is owed. */
    world_write(&world->nodes[0], 3, 3);
    world_run_ms(world, 100);
    assert_false(admission_refuses(link, slot));
    assert_null(member_of(world, 0, 2)->owed);
    assert_true(world_converges(world, 8000)); /* what was not taken comes again */
    world_free(world);
}

/* A node that was counted all the time, and comes back with an old copy of its data: it owes what
 * it had claimed to have seen, settled or not. */
static void who_was_counted_owes_its_last_claim(void **state) {
    (void)state;
    struct world *world = world_started(3, 5);
    assert_true(world_links(world, 5000));
    world_run_ms(world, 4000);
    world_write(&world->nodes[0], 1, 1);
    assert_true(world_converges(world, 500));
    world_run_ms(world, 2500); /* it claims that */
    world_stop(world, 2);
    struct world_node *node = &world->nodes[2];
    memset(&node->context, 0, sizeof(node->context));
    memset(node->cells, 0, sizeof(node->cells));
    node->log_base = node->log_count;
    (void)data_new_generation(node, node->generation + 1);
    part(world, true);
    world_start(world, 2);
    world_run_ms(world, CATCHUP_ALONE_MS + 1000);
    world_write(node, 2, 2); /* without having seen what it had seen before */
    part(world, false);
    world_run_ms(world, 15000);
    assert_non_null(link_of(world, 0, 2));
    assert_false(has_key(world, 0, 2, 2));
    assert_false(has_key(world, 1, 2, 2));
    assert_true(mesh_is_joining(node->mesh));
    world_free(world);
}

/* A life that nobody has admitted keeps the replicas of the lives before: it may yet have to
 * compare by them. Once it has all that a peer has it gives them up. */
static void who_is_not_admitted_retires_nobody(void **state) {
    (void)state;
    struct world *world = world_new(2, 6);
    struct world_node *node = &world->nodes[0];
    world_start(world, 0);
    world_run_ms(world, CATCHUP_ALONE_MS + 1000);
    world_write(node, 1, 1);
    world_restart(world, 0);
    world_run_ms(world, 20000);
    assert_false(mesh_is_joining(node->mesh));
    struct context frontier;
    mesh_frontier(node->mesh, &frontier);
    assert_true(context_covers_all(&frontier, &node->context)); /* all is settled */
    assert_int_equal(node->replicas.retired_count, 0);
    world_start(world, 1);
    assert_true(world_converges(world, 5000));
    world_run_ms(world, 20000);
    assert_int_equal(node->replicas.retired_count, 1);
    world_free(world);
}

/* One without seeds has nobody to be admitted by. */
static void who_has_no_seeds_retires(void **state) {
    (void)state;
    struct world *world = world_new(1, 7);
    struct world_node *node = &world->nodes[0];
    world_start(world, 0);
    world_write(node, 1, 1);
    world_restart(world, 0);
    world_run_ms(world, 20000);
    assert_int_equal(node->replicas.retired_count, 1);
    world_free(world);
}

/* For as long as somebody who was forgotten may come back nobody's life is retired, neither his nor
 * an earlier one of who is there. */
static void nobody_is_retired_while_one_may_come_back(void **state) {
    (void)state;
    enum { AFTER_MS = 60000 };
    struct world *world = world_new(3, 9);
    for (unsigned i = 0; i < 3; i++) {
        world->nodes[i].settings.retire_after_ms = AFTER_MS;
        world_start(world, i);
    }
    assert_true(world_links(world, 5000));
    for (unsigned i = 0; i < 3; i++) {
        world_write(&world->nodes[i], i, 1);
    }
    assert_true(world_converges(world, 500));
    world_stop(world, 2);
    world_restart(world, 1);
    world_run_ms(world, 30000);
    uint64_t before_us = world->now_us;
    for (unsigned i = 0; i < 2; i++) {
        struct mesh *mesh = world->nodes[i].mesh;
        membership_forget(&mesh->membership, member_of(world, i, 2), mesh_now_ms(mesh));
    }
    world_run_ms(world, AFTER_MS - 1000);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(world->nodes[i].replicas.retired_count, 0);
        assert_int_equal(world->nodes[i].replicas.departed_count, 1);
    }
    while (world->nodes[0].replicas.retired_count + world->nodes[1].replicas.retired_count < 4) {
        world_step(world);
        assert_true(world->now_us - before_us < 2 * AFTER_MS * UINT64_C(1000));
    }
    assert_true(world->now_us - before_us >= AFTER_MS * UINT64_C(1000));
    world_free(world);
}

/* While a peer is going to compare nobody's life is retired, but for one that others have retired:
 * else the peer would find parts of counters where they have numbers. Once it has begun none is. */
static void what_others_have_retired_is_retired_before_one_compares(void **state) {
    (void)state;
    for (unsigned has_begun = 0; has_begun < 2; has_begun++) {
        struct world *world = world_started(3, 10);
        assert_true(world_links(world, 5000));
        world_write(&world->nodes[2], 1, 1);
        assert_true(world_converges(world, 500));
        world_restart(world, 2);
        uint64_t end_us = world->now_us + UINT64_C(30000) * 1000;
        while (world->now_us < end_us) {
            world_step(world);
            for (unsigned i = 0; i < 2; i++) {
                struct member *member = member_of(world, i, 2);
                struct mesh_link *link = member != NULL ? link_of(world, i, 2) : NULL;
                if (link != NULL) {
                    link->peer_is_rebasing = i == 0 || has_begun;
                    link->catchup.compares = has_begun;
                }
            }
        }
        assert_int_equal(world->nodes[0].replicas.retired_count, !has_begun);
        assert_int_equal(world->nodes[1].replicas.retired_count, !has_begun);
        world_free(world);
    }
}

static void set_owed(struct member *member, const struct context *owed) {
    membership_admit_life(member);
    if (owed != NULL) {
        membership_owe(member, owed);
    }
}

/* The rules by themselves: what a new life owes, and who is let in by what it told. */
static void rule_by_rule(void **state) {
    (void)state;
    struct world *world = world_started(2, 8);
    assert_true(world_links(world, 5000));
    world_write(&world->nodes[0], 1, 1);
    world_write(&world->nodes[1], 1, 1);
    assert_true(world_converges(world, 500));
    struct mesh *mesh = world->nodes[0].mesh;
    struct member *member = member_of(world, 0, 1);
    struct mesh_link *link = link_of(world, 0, 1);
    const struct context all = world->nodes[0].context, none = {0};
    unsigned own = world->nodes[0].replicas.self;
    struct context settled = all, beyond = all;
    settled.stamps[own] -= UINT64_C(1) << STAMP_SLOT_BITS;
    beyond.stamps[own] += UINT64_C(1) << STAMP_SLOT_BITS;
    mesh->floor = settled;

    /* Never heard of: what is settled. */
    set_owed(member, NULL);
    admission_note_life(mesh, member, true);
    assert_memory_equal(member->owed, &settled, sizeof(settled));
    /* Known, and it claimed something: that, as far as somebody here has seen it. */
    set_owed(member, &beyond);
    admission_note_life(mesh, member, false);
    assert_memory_equal(member->owed, &all, sizeof(all));
    set_owed(member, &none);
    admission_note_life(mesh, member, true);
    assert_memory_equal(member->owed, &none, sizeof(none));
    /* Known, and it claimed nothing. */
    set_owed(member, NULL);
    admission_note_life(mesh, member, false);
    assert_null(member->owed);
    /* Forgotten: all that is here. */
    member->owes_all = true;
    admission_note_life(mesh, member, false);
    assert_false(member->owes_all);
    assert_memory_equal(member->owed, &all, sizeof(all));
    /* What this node waits for, too, though nobody who has it is linked by now. */
    catchup_begin_waiting(mesh);
    *mesh->catchup.goal = beyond;
    member->owes_all = true;
    admission_note_life(mesh, member, false);
    assert_memory_equal(member->owed, &beyond, sizeof(beyond));
    catchup_become_ready(mesh);

    static const struct {
        enum { NONE, SETTLED, ALL, BEYOND } told;
        bool is_admitted;
        unsigned unknown;
        bool is_let_in, is_behind, was_forgotten;
    } cases[] = {
        {ALL, false, 0, true, false, false},
        {BEYOND, false, 3, true, false, false},
        {SETTLED, false, 0, false, true, false},
        {SETTLED, true, 0, true, false, false}, /* somebody else has admitted it */
        {NONE, true, 0, false, true, false},    /* but it is behind what is settled here */
        {NONE, false, 0, false, true, false},
        {NONE, false, 1, false, false, true}, /* it has more, of somebody who is not known here */
        {SETTLED, false, 1, false, false, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct context *const contexts[] = {&none, &settled, &all, &beyond};
        set_owed(member, &all);
        link->peer_was_forgotten = link->peer_is_behind = false;
        admission_judge(link, contexts[cases[i].told], cases[i].unknown, cases[i].is_admitted);
        assert_int_equal(member->owed == NULL, cases[i].is_let_in);
        assert_int_equal(link->peer_is_behind, cases[i].is_behind);
        assert_int_equal(link->peer_was_forgotten, cases[i].was_forgotten);
    }
    /* It has more, of what is known here. */
    struct context more = none;
    more.stamps[own] = beyond.stamps[own];
    unsigned other = replicas_find(&world->nodes[0].replicas, member->ref);
    assert_true(all.stamps[other] != 0);
    set_owed(member, &all);
    link->peer_was_forgotten = link->peer_is_behind = false;
    admission_judge(link, &more, 0, false);
    assert_true(link->peer_was_forgotten);
    assert_false(link->peer_is_behind);
    link->peer_was_forgotten = false;
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_by_rule),
        cmocka_unit_test(who_was_never_heard_owes_the_frontier),
        cmocka_unit_test(where_nothing_is_settled_nothing_is_owed),
        cmocka_unit_test(who_wrote_nothing_waits),
        cmocka_unit_test(what_owes_is_not_taken),
        cmocka_unit_test(who_was_counted_owes_its_last_claim),
        cmocka_unit_test(who_is_not_admitted_retires_nobody),
        cmocka_unit_test(who_has_no_seeds_retires),
        cmocka_unit_test(nobody_is_retired_while_one_may_come_back),
        cmocka_unit_test(what_others_have_retired_is_retired_before_one_compares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
