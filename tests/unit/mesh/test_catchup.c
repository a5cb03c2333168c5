/* SPDX-License-Identifier: BSD-3-Clause */
/* Catching up: who joins, parts from several peers at once, peers that die, stall or say "again",
 * and that nobody takes a snapshot who could be served by a log. */
#include "catchup_world.h"

/* ---- who joins, and who need not ---- */

static void fresh_nodes_begin(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sides[i].begins, 0);
        assert_int_equal(stats_of(world, i).syncs_snapshot, 0);
    }
    world_free(world);
}

static void a_node_that_reaches_nobody_begins(void **state) {
    (void)state;
    struct world *world = world_new(2, 2);
    memset(sides, 0, sizeof(sides));
    start(world, 0);
    world_run_ms(world, 1000);
    assert_true(mesh_is_joining(world->nodes[0].mesh));
    assert_true(becomes_ready(world, 0, 3000));
    world_free(world);
}

/* Mesh row 3: inside the log, changes; outside, a snapshot. */
static void logs_serve_who_is_inside(void **state) {
    (void)state;
    struct world *world = begin_world(3, 2, 3);
    write_all(world, 2, 50, 1);
    start(world, 2);
    assert_true(mesh_is_joining(world->nodes[2].mesh));
    assert_true(becomes_ready(world, 2, 5000));
    assert_true(world_is_equal(world));
    assert_int_equal(sides[2].begins, 0);
    assert_int_equal(stats_of(world, 2).syncs_log, 1);
    assert_int_equal(stats_of(world, 2).syncs_snapshot, 0);
    world_free(world);
}

/* Mesh rows 12 and 13. */
static void a_snapshot_comes_from_several(void **state) {
    (void)state;
    struct world *world = begin_world(4, 3, 4);
    write_all(world, 3, 200, 1);
    for (unsigned i = 0; i < 3; i++) {
        world_trim(&world->nodes[i], 5);
        sides[i].reads = 30;
    }
    start(world, 3);
    for (unsigned i = 0; i < 50; i++) { /* the others go on */
        assert_true(mesh_is_joining(world->nodes[3].mesh));
        world_write(&world->nodes[i % 3], i, 1000 + i);
        world_step(world);
    }
    assert_true(becomes_ready(world, 3, 20000));
    assert_true(world_converges(world, 3000));
    assert_int_equal(sides[3].begins, 1);
    assert_int_equal(stats_of(world, 3).syncs_snapshot, 1);
    assert_int_equal(stats_of(world, 3).parts_in, CATCHUP_PARTS);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(sides[i].served > CATCHUP_PARTS / 10);
        assert_int_equal(stats_of(world, i).parts_out, sides[i].served);
        assert_true(stats_of(world, i).syncs_served > 0);
    }
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[i % 4], i, 5000 + i);
        world_step(world);
    }
    assert_true(world_converges(world, 3000));
    assert_int_equal(stats_of(world, 3).syncs_snapshot, 1);
    world_free(world);
}

/* A step is one way: of 256 small parts most are asked for while others are on their way. */
static void small_parts_do_not_wait_for_each_other(void **state) {
    (void)state;
    struct world *world = begin_world(2, 1, 8);
    write_all(world, 1, 200, 1);
    world_trim(&world->nodes[0], 5);
    start(world, 1);
    while (sides[0].served == 0) {
        world_step(world);
    }
    unsigned steps = 0;
    while (mesh_is_joining(world->nodes[1].mesh)) {
        world_step(world);
        steps++;
    }
    assert_int_equal(stats_of(world, 1).parts_in, CATCHUP_PARTS);
    assert_in_range(steps, 1, CATCHUP_PARTS / 2);
    assert_true(world_converges(world, 3000));
    world_free(world);
}

/* Between regions a round trip is longer than a part takes: so many are under way that the link is
 * not idle. */
static void large_parts_fill_a_long_link(void **state) {
    (void)state;
    struct world *world = begin_world(2, 1, 8);
    write_all(world, 1, 200, 1);
    world_trim(&world->nodes[0], 5);
    sides[0].reads = 20;
    world->delay_us = 40000;
    start(world, 1);
    while (sides[0].served == 0) {
        world_step(world);
    }
    uint64_t begin_us = world->now_us;
    while (mesh_is_joining(world->nodes[1].mesh)) {
        world_step(world);
    }
    assert_int_equal(stats_of(world, 1).parts_in, CATCHUP_PARTS);
    /* With two under way it would be 256 / 2 round trips. */
    assert_in_range(world->now_us - begin_us, 1, (uint64_t)CATCHUP_PARTS / 6 * 2 * world->delay_us);
    assert_true(world_converges(world, 3000));
    world_free(world);
}

static void a_serving_peer_dies(void **state) {
    (void)state;
    struct world *world = begin_world(3, 2, 5);
    write_all(world, 2, 200, 1);
    for (unsigned i = 0; i < 2; i++) {
        world_trim(&world->nodes[i], 5);
        sides[i].reads = 100;
    }
    start(world, 2);
    while (sides[1].served < 5) {
        world_step(world);
    }
    world_stop(world, 1);
    assert_true(becomes_ready(world, 2, 60000));
    assert_true(stats_of(world, 2).parts_resumed > 0);
    assert_true(world_converges(world, 3000));
    world_free(world);
}

static void a_stalled_peer_is_passed_over(void **state) {
    (void)state;
    struct world *world = begin_world(3, 2, 6);
    write_all(world, 2, 100, 1);
    world_trim(&world->nodes[0], 5);
    world_trim(&world->nodes[1], 5);
    sides[1].is_stalled = true;
    start(world, 2);
    assert_true(becomes_ready(world, 2, 20000));
    assert_int_equal(sides[1].served, 0);
    assert_true(sides[0].served >= CATCHUP_PARTS);
    assert_true(world_converges(world, 3000));
    world_free(world);
}

static void a_cancelled_walk_is_asked_for_again(void **state) {
    (void)state;
    struct world *world = begin_world(2, 1, 7);
    write_all(world, 1, 100, 1);
    world_trim(&world->nodes[0], 5);
    sides[0].again_count = 20;
    start(world, 1);
    assert_true(becomes_ready(world, 1, 20000));
    assert_true(world_converges(world, 3000));
    world_free(world);
}

/* Away for too long; its own log still has what only it knows. */
static void the_lagging_side_joins(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 8);
    write_all(world, 3, 50, 1);
    mesh_cut(world->nodes[2].mesh, "ALL");
    world_run_ms(world, 200);
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[i % 2], i, 900 + i);
        world_step(world);
    }
    world_write(&world->nodes[2], 200, 77);
    world_trim(&world->nodes[0], 5);
    world_trim(&world->nodes[1], 5);
    mesh_heal(world->nodes[2].mesh, "ALL");
    assert_true(world_converges(world, 20000));
    assert_int_equal(sides[2].begins, 1);
    assert_false(sides[2].rebased);
    assert_int_equal(sides[0].begins + sides[1].begins, 0);
    assert_true(world->nodes[0].cells[2][200].value != 0);
    assert_int_equal(world->nodes[2].generations, 0);
    world_free(world);
}

/* Neither log reaches the other side's place: one of them joins and merges what only it knew. Then
 * it has all, and the other one takes that over. */
static void one_of_two_merges(void **state) {
    (void)state;
    struct world *world = begin_world(2, 2, 9);
    write_all(world, 2, 50, 1);
    mesh_cut(world->nodes[1].mesh, "ALL");
    world_run_ms(world, 200);
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[0], i, 900 + i);
        world_write(&world->nodes[1], i % 70, 1900 + i);
        world_step(world);
    }
    world_trim(&world->nodes[0], 5);
    world_trim(&world->nodes[1], 5);
    mesh_heal(world->nodes[1].mesh, "ALL");
    /* There is nobody else to wait for. */
    assert_true(world_converges(world, 2 * CATCHUP_SURE_MS + 8000));
    assert_int_equal(sides[0].begins, 1);
    assert_int_equal(sides[1].begins, 1);
    assert_false(sides[0].merged); /* it has more keys */
    assert_true(sides[1].merged);
    assert_false(sides[0].rebased || sides[1].rebased);
    assert_int_equal(world->nodes[1].generations, 0);
    /* And life goes on. */
    assert_true(world_links(world, 5000));
    world_write(&world->nodes[1], 5, 1);
    world_write(&world->nodes[0], 6, 1);
    assert_true(world_converges(world, 3000));
    world_free(world);
}

/* Likewise, and the larger one of the two has restarted, and waits for what no log brings: it
 * serves nobody meanwhile, so that the smaller one would have nothing to merge. All are not
 * joining, since somebody else is ready, who has not heard of it. */
static void who_waits_merges(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 15);
    write_all(world, 3, 50, 1);
    mesh_cut(world->nodes[1].mesh, "ALL");
    world_run_ms(world, 200);
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[0], i % 50, 900 + i);
        world_write(&world->nodes[1], i % 50, 1900 + i);
        world_step(world);
    }
    world_trim(&world->nodes[0], 5);
    world_trim(&world->nodes[1], 5);
    world_block(world, 1, 2, true);
    world_stop(world, 1);
    start(world, 1);
    assert_true(becomes_ready(world, 1, 2 * CATCHUP_MERGE_MS));
    assert_true(sides[1].merged);
    assert_int_equal(sides[0].begins + sides[2].begins, 0);
    world_block(world, 1, 2, false);
    assert_true(world_converges(world, 2 * CATCHUP_MERGE_MS));
    assert_false(sides[0].merged || sides[2].merged);
    world_free(world);
}

/* The log of one peer does not serve. That of another, which lives but is not linked yet, does. */
static void who_is_not_linked_yet_is_waited_for(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 10);
    write_all(world, 3, 20, 1);
    mesh_cut(world->nodes[1].mesh, "ALL");
    world_run_ms(world, 200);
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[0], i, 900 + i);
        world_step(world);
    }
    world_trim(&world->nodes[0], 5);
    world_block(world, 1, 2, true);
    mesh_heal(world->nodes[1].mesh, "ALL");
    while (world_links_up(&world->nodes[1]) < 1) {
        world_step(world);
    }
    world_run_ms(world, 2 * CATCHUP_SURE_MS);
    assert_int_equal(sides[1].begins, 0);
    world_block(world, 1, 2, false);
    assert_true(world_converges(world, 10000));
    assert_int_equal(sides[1].begins, 0);
    world_free(world);
}

/* Parts that it merged showed what nobody has any more: merging again would keep it. */
static void who_merged_what_is_lost_compares(void **state) {
    (void)state;
    struct world *world = begin_world(2, 2, 9);
    write_all(world, 2, 50, 1);
    mesh_cut(world->nodes[1].mesh, "ALL");
    world_run_ms(world, 200);
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[0], i, 900 + i);
        world_write(&world->nodes[1], i % 70, 1900 + i);
        world_step(world);
    }
    world_trim(&world->nodes[0], 5);
    world_trim(&world->nodes[1], 5);
    sides[1].lacks = true;
    mesh_heal(world->nodes[1].mesh, "ALL");
    for (unsigned i = 0; i < 100 && !sides[1].merged; i++) {
        world_run_ms(world, CATCHUP_MERGE_MS / 50);
    }
    assert_true(sides[1].merged);
    world_run_ms(world, CATCHUP_SOURCELESS_MS - 1000);
    assert_int_equal(sides[1].begins, 1);
    assert_false(becomes_ready(world, 1, 500));
    assert_true(becomes_ready(world, 1, 5000 + CATCHUP_REBASE_MAX_MS));
    assert_true(sides[1].rebased);
    assert_false(sides[0].rebased);
    world_free(world);
}

/* ---- patience ---- */

/* Every record of node 0 vanishes on its way meanwhile. */
static void step_without_records(struct world *world) {
    world->drop_data_from = 1;
    world_step(world);
}

/* Node 0 alone has a key, and node 2, which starts, hears of it; node 1 lacks it. Node 2 has data
 * of an earlier life, or is fresh. */
static struct world *begin_with_a_key_that_does_not_come(bool is_fresh, uint64_t seed) {
    struct world *world = begin_world(3, is_fresh ? 2 : 3, seed);
    if (!is_fresh) {
        write_all(world, 3, 1, 1);
        world_stop(world, 2);
    }
    world_block(world, 0, 1, true);
    world_write(&world->nodes[0], 9, 9);
    if (!is_fresh) {
        (void)data_new_generation(&world->nodes[2], world->nodes[2].generation + 1);
    }
    start(world, 2);
    const struct mesh *mesh = world->nodes[2].mesh;
    uint64_t ref = world->nodes[0].replicas.slots[world->nodes[0].replicas.self].ref;
    for (unsigned slot = 0; mesh->catchup.goal->stamps[slot] == 0 || slot == 0;) {
        step_without_records(world);
        assert_true(mesh_is_joining(mesh));
        slot = replicas_find(&world->nodes[2].replicas, ref);
    }
    while (world_links_up(&world->nodes[2]) < 2) {
        step_without_records(world);
    }
    assert_true(mesh_is_joining(mesh));
    return world;
}

static bool is_joining_after(struct world *world, uint64_t ms) {
    uint64_t end_us = world->nodes[2].mesh->catchup.started_us + ms * 1000;
    while (world->now_us < end_us) {
        step_without_records(world);
    }
    return mesh_is_joining(world->nodes[2].mesh);
}

/* Who has what others lack is gone: a fresh node waits half a minute for it to come back, one with
 * data not at all. */
static void who_had_more_is_gone(void **state) {
    (void)state;
    for (unsigned is_fresh = 0; is_fresh < 2; is_fresh++) {
        struct world *world = begin_with_a_key_that_does_not_come(is_fresh, 11);
        world_stop(world, 0);
        assert_int_equal(is_joining_after(world, CATCHUP_ALONE_MS + 500), is_fresh);
        assert_int_equal(is_joining_after(world, CATCHUP_MERGE_MS - 100), is_fresh);
        assert_false(is_joining_after(world, CATCHUP_MERGE_MS + 100));
        assert_int_equal(world->nodes[2].cells[0][9].ticks, 0);
        assert_int_equal(sides[2].begins, 0);
        world_free(world);
    }
}

/* Only a joiner has it, which may itself wait for this node: likewise half a minute, with data or
 * without. */
static void only_a_joiner_has_more(void **state) {
    (void)state;
    for (unsigned is_fresh = 0; is_fresh < 2; is_fresh++) {
        struct world *world = begin_with_a_key_that_does_not_come(is_fresh, 12);
        struct catchup *other = &world->nodes[0].mesh->catchup;
        other->state = CATCHUP_WAITING;
        other->is_fresh = true;
        other->goal = memory_alloc_zero(sizeof(*other->goal));
        for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
            other->goal->stamps[slot] = stamp_make(STAMP_TICKS_ACCEPTED_MAX, slot);
        }
        uint64_t end_us =
            world->nodes[2].mesh->catchup.started_us + (CATCHUP_MERGE_MS - 100) * UINT64_C(1000);
        while (world->now_us < end_us) {
            other->started_us = world->now_us; /* as long as this one may wait */
            step_without_records(world);
            assert_true(mesh_is_joining(world->nodes[2].mesh));
        }
        assert_true(mesh_is_joining(world->nodes[0].mesh));
        assert_false(is_joining_after(world, CATCHUP_MERGE_MS + 100));
        assert_true(mesh_is_joining(world->nodes[0].mesh));
        world_free(world);
    }
}

/* Who has it is there, and no joiner: it is waited for as long as it takes. */
static void what_a_peer_has_is_waited_for(void **state) {
    (void)state;
    for (unsigned is_fresh = 0; is_fresh < 2; is_fresh++) {
        struct world *world = begin_with_a_key_that_does_not_come(is_fresh, 13);
        assert_true(is_joining_after(world, 2 * CATCHUP_MERGE_MS));
        world->drop_data_from = 0;
        assert_true(becomes_ready(world, 2, 5000));
        assert_true(world->nodes[2].cells[0][9].ticks != 0);
        world_free(world);
    }
}

/* A node has retired a replica, as all have, and has a slot for it again, with nothing seen: the
 * peer has seen all of it, but there is nothing to wait for. */
static void what_was_retired_is_not_waited_for(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 31);
    write_all(world, 3, 5, 1);
    world_run_ms(world, 3000);
    struct world_node *node = &world->nodes[0], *peer = &world->nodes[1];
    uint64_t ref = world->nodes[2].replicas.slots[world->nodes[2].replicas.self].ref;
    struct replica_id id = node->replicas.slots[replicas_find(&node->replicas, ref)].id;
    world_stop(world, 2);
    world_run_ms(world, 40000);
    assert_true(mesh_forget(node->mesh, world->nodes[2].node_id));
    assert_true(mesh_forget(peer->mesh, world->nodes[2].node_id));
    world_run_ms(world, 20000);
    const struct retired_replica *retired = replicas_find_retired(&node->replicas, ref);
    assert_non_null(retired);
    assert_true(retired->ticks > 0);
    assert_int_equal(replicas_find(&peer->replicas, ref), 0);

    unsigned slot = replicas_add(&node->replicas, &id);
    assert_int_equal(node->context.stamps[slot], 0);
    struct mesh_link *link = node->mesh->links;
    membership_note_retired(&node->mesh->membership, &node->replicas,
                            &(struct stream_mark){.ref = ref, .ticks = retired->ticks},
                            link->member);
    catchup_wait(link);
    assert_true(mesh_is_joining(node->mesh));
    assert_true(becomes_ready(world, 0, 5000));

    /* More than was retired is waited for: somebody has it. */
    membership_note_seen(link->member, stamp_make(retired->ticks + 1, slot));
    catchup_wait(link);
    assert_false(becomes_ready(world, 0, 2000));
    world_free(world);
}

/* The peer had more of a life and told so, then it took over a state without that. */
static void what_a_peer_dropped_is_not_waited_for(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 32);
    write_all(world, 3, 5, 1);
    world_run_ms(world, 3000);
    struct world_node *node = &world->nodes[0];
    struct mesh_link *link = node->mesh->links, *back;
    struct world_node *peer = &world->nodes[link->peer.node[15]];
    for (back = peer->mesh->links; back->peer.node[15] != 0; back = back->next) {
    }
    unsigned index = 3 - peer->index; /* of the third */
    unsigned slot = replicas_find(
        &node->replicas, world->nodes[index].replicas.slots[world->nodes[index].replicas.self].ref);
    uint64_t ticks = stamp_ticks(node->context.stamps[slot]);
    membership_note_seen(link->member, stamp_make(ticks + 1, slot));
    catchup_wait(link);
    assert_false(becomes_ready(world, 0, 5000));
    handshake_send_context(back);
    assert_true(becomes_ready(world, 0, 1000));
    assert_true(stamp_ticks(member_seen(link->member, slot)) == ticks);
    /* But nobody else is to make again what an author has dropped, and makes again itself. */
    assert_true(stamp_ticks(member_has_had(link->member, slot)) == ticks + 1);
    world_free(world);
}

/* ---- joiners that wait for each other ---- */

enum rank { BY_ID, BY_KEYS, BY_COMPANY, BY_ID_AS_ALONE };

/* All three begin to join at the same moment, and were told by one another what each has to give:
 * as much, so that the ids rank them 0, 1, 2, or node 0 more keys or company than the others.
 * AS_ALONE: they had all lost and forgotten each other, were alone when they told it, and are going
 * to compare.
 */
static struct world *begin_tied(enum rank rank, uint64_t seed) {
    struct world *world = begin_world(3, 3, seed);
    write_all(world, 3, 20, 1);
    world_run_ms(world, 3000);
    for (unsigned i = 0; i < 3; i++) {
        for (struct mesh_link *link = world->nodes[i].mesh->links; link; link = link->next) {
            int more = i == 0 ? -1 : link->peer.node[15] == 0 ? 1 : 0;
            link->peer_members = catchup_company(link) + (uint64_t)(rank == BY_COMPANY ? more : 0);
            link->peer_keys = data_keys(&world->nodes[i]) + (uint64_t)(rank == BY_KEYS ? more : 0);
            link->told_members = catchup_company(link);
            link->told_keys = data_keys(&world->nodes[i]);
            if (rank == BY_ID_AS_ALONE) {
                link->told_members = link->peer_members = 1;
            }
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        struct mesh *mesh = world->nodes[i].mesh;
        if (rank == BY_ID_AS_ALONE) {
            mesh->was_forgotten = true;
            catchup_tick(mesh);
        } else {
            catchup_consider(mesh->links, true, false);
        }
        assert_int_equal(world->nodes[i].mesh->catchup.state, CATCHUP_PULLING);
    }
    return world;
}

/* Until one of them is ready; which one, and after how many milliseconds. */
static unsigned first_ready(struct world *world, uint64_t *ms) {
    uint64_t begin_us = world->now_us;
    for (;;) {
        world_step(world);
        *ms = (world->now_us - begin_us) / 1000;
        assert_true(*ms < 20000);
        for (unsigned i = 0; i < 3; i++) {
            if (!mesh_is_joining(world->nodes[i].mesh)) {
                return i;
            }
        }
    }
}

static void the_best_joiner_gives(void **state) {
    (void)state;
    for (unsigned rank = BY_ID; rank <= BY_COMPANY; rank++) {
        struct world *world = begin_tied(rank, 14);
        unsigned best = rank == BY_ID ? 2 : 0;
        uint64_t ms;
        assert_int_equal(first_ready(world, &ms), best);
        assert_in_range(ms, CATCHUP_TIED_MS, CATCHUP_TIED_MS + 200);
        for (unsigned i = 0; i < 3; i++) {
            assert_true(mesh_is_joining(world->nodes[i].mesh) == (i != best));
        }
        /* The others take what it has before their own time comes. */
        for (unsigned i = 0; i < 3; i++) {
            assert_true(becomes_ready(world, i, 10000));
            assert_int_equal(sides[i].begins, i != best);
            assert_int_equal(world_said(&world->nodes[i], "has the most to give"), i == best);
        }
        assert_true(world_is_equal(world));
        world_free(world);
    }
}

/* Each has company by now that none had when they told each other: nevertheless one gives, and not
 * all at once. The others hear of it before their time comes, though they ask for no parts yet. */
static void one_joiner_gives_of_all_that_were_alone(void **state) {
    (void)state;
    struct world *world = begin_tied(BY_ID_AS_ALONE, 33);
    uint64_t ms;
    assert_int_equal(first_ready(world, &ms), 2);
    /* That all join they know by pings. */
    assert_in_range(ms, CATCHUP_TIED_MS, CATCHUP_TIED_MS + MESH_PING_MS + 200);
    world_run_ms(world, 3 * CATCHUP_TIED_MS);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(world_said(&world->nodes[i], "has the most to give"), i == 2);
    }
    world_free(world);
}

/* Who has taken over some parts already has nothing whole to give: the next one does, in its time.
 */
static void the_next_joiner_gives(void **state) {
    (void)state;
    struct world *world = begin_tied(BY_ID, 15);
    struct mesh *best = world->nodes[2].mesh;
    streamer_pause(best);
    sync_begin_(&world->nodes[2], MESH_JOIN_TAKE);
    best->catchup.has_begun = best->catchup.has_sync = true;
    uint64_t ms;
    assert_int_equal(first_ready(world, &ms), 1);
    assert_in_range(ms, 2 * CATCHUP_TIED_MS, 2 * CATCHUP_TIED_MS + 200);
    assert_true(becomes_ready(world, 0, 10000));
    assert_true(becomes_ready(world, 2, 10000));
    assert_int_equal(sides[1].begins, 0);
    assert_true(world_is_equal(world));
    world_free(world);
}

/* Some parts fit, the others do not, however often: then it merges. */
static void who_is_refused_again_merges(void **state) {
    (void)state;
    struct world *world = begin_world(2, 1, 16);
    write_all(world, 1, 100, 1);
    world_trim(&world->nodes[0], 5);
    sides[1].refuses = true;
    start(world, 1);
    assert_true(becomes_ready(world, 1, 3 * CATCHUP_REFUSED_MS));
    assert_int_equal(sides[1].begins, 3);
    assert_true(sides[1].merged);
    assert_false(sides[1].rebased);
    assert_true(world_converges(world, 3000));
    world_free(world);
}

/* Nodes 0 and 1 join, and each is the only one who has what the other one needs; node 2 is ready
 * and lacks both. A joiner serves nobody: after a while what node 2 has is taken. */
static void joiners_that_need_each_other_end(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 17);
    write_all(world, 3, 20, 1);
    world_run_ms(world, 3000);
    for (unsigned i = 0; i < 2; i++) {
        struct mesh *mesh = world->nodes[i].mesh;
        struct mesh_link *link = link_to(world, i, 1 - i);
        unsigned slot = replicas_find(&world->nodes[i].replicas, link->member->ref);
        uint64_t more = stamp_make(STAMP_TICKS_ACCEPTED_MAX, slot);
        membership_note_seen(link->member, more);
        catchup_consider(mesh->links, true, false);
        assert_int_equal(mesh->catchup.state, CATCHUP_PULLING);
        assert_true(mesh->catchup.needed->stamps[slot] == more);
    }
    run_until(world, 0, CATCHUP_JOINER_MS + CATCHUP_SOURCELESS_MS - 100);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(mesh_is_joining(world->nodes[i].mesh));
        assert_int_equal(sides[i].begins, 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_true(becomes_ready(world, i, 2000));
        assert_int_equal(sides[i].begins, 1);
    }
    assert_true(sides[2].served >= 2 * CATCHUP_PARTS);
    assert_true(world_is_equal(world));
    world_free(world);
}

/* ---- nonsense ---- */

static void nonsense_ends_the_link(void **state) {
    (void)state;
    static const struct {
        enum mesh_frame type;
        struct slice payload;
        bool is_nonsense;
    } frames[] = {
        {MESH_FRAME_PART_PULL, {"\x05\x03", 2}, true},         /* no power of two */
        {MESH_FRAME_PART_PULL, {"\x08\x08", 2}, true},         /* no such part */
        {MESH_FRAME_PART_PULL, {"\x00\x80\x80\x08", 4}, true}, /* too many */
        {MESH_FRAME_PART_PULL, {"\x01", 1}, true},             /* cut short */
        {MESH_FRAME_PART_DATA, {"\xff\xff\x03", 3}, true},     /* no such part */
        {MESH_FRAME_PART_DATA, {"", 0}, true},                 /* cut short */
        {MESH_FRAME_PART_DATA,
         {"\x01"
          "abc",
          4},
         false},                                       /* of a part called off */
        {MESH_FRAME_PART_END, {"\x01\x00", 2}, false}, /* likewise */
        {MESH_FRAME_PART_BEGIN, {"\x01", 1}, false},   /* likewise */
    };
    struct world *world = begin_world(2, 2, 10);
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        struct mesh_link *link = world->nodes[0].mesh->links;
        assert_int_equal(catchup_frame(link, frames[i].type, frames[i].payload),
                         !frames[i].is_nonsense);
        catchup_link_closed(link);
    }
    world_free(world);
}

#define LIFE "\x01\x02\x03\x04\x05\x06\x07\x08"
#define NOBODY "\x00\x00\x00\x00\x00\x00\x00\x00"
#define BEYOND "\xff\xff\xff\xff\xff\xff\xff\x7f"

static void nonsense_about_ends_ends_the_link(void **state) {
    (void)state;
    static const struct {
        struct slice payload;
        bool is_nonsense;
    } frames[] = {
        {{"\x00\x00", 2}, false},
        {{"\x01" LIFE "\x05\x06" LIFE "\x04\x01" LIFE LIFE "\x07", 38}, false},
        {{"", 0}, true},
        {{"\x00\x00\x00", 3}, true},                             /* more than it says */
        {{"\x02" LIFE "\x05\x06" LIFE "\x04\x00", 21}, true},    /* less */
        {{"\x01" NOBODY "\x05\x06" LIFE "\x04\x00", 21}, true},  /* no life */
        {{"\x00\x01" NOBODY LIFE "\x07", 19}, true},             /* no maker */
        {{"\x01" LIFE "\x05\x06" LIFE "\x04", 20}, true},        /* cut short */
        {{"\x81\x20", 2}, true},                                 /* too many */
        {{"\x00\x81\x40", 3}, true},                             /* likewise */
        {{"\x01" LIFE BEYOND "\x06" LIFE "\x04\x00", 28}, true}, /* beyond all ticks */
        {{"\x00\x01" LIFE LIFE BEYOND, 26}, true},               /* likewise */
    };
    struct world *world = begin_world(2, 2, 11);
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        assert_int_equal(catchup_ends_frame(world->nodes[0].mesh->links, frames[i].payload),
                         !frames[i].is_nonsense);
    }
    assert_int_equal(world->nodes[0].replicas.ended_count, 1);
    assert_int_equal(world->nodes[0].replicas.ended[0].ticks, 5);
    assert_int_equal(world->nodes[0].replicas.ended[0].made_ticks, 6);
    assert_int_equal(world->nodes[0].replicas.ended[0].made_from_ticks, 4);
    assert_true(replicas_maker_saw(&world->nodes[0].replicas, UINT64_C(0x0807060504030201),
                                   UINT64_C(0x0807060504030201), 7));
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_nodes_begin),
        cmocka_unit_test(a_node_that_reaches_nobody_begins),
        cmocka_unit_test(logs_serve_who_is_inside),
        cmocka_unit_test(a_snapshot_comes_from_several),
        cmocka_unit_test(small_parts_do_not_wait_for_each_other),
        cmocka_unit_test(large_parts_fill_a_long_link),
        cmocka_unit_test(a_serving_peer_dies),
        cmocka_unit_test(a_stalled_peer_is_passed_over),
        cmocka_unit_test(a_cancelled_walk_is_asked_for_again),
        cmocka_unit_test(the_lagging_side_joins),
        cmocka_unit_test(one_of_two_merges),
        cmocka_unit_test(who_waits_merges),
        cmocka_unit_test(who_is_not_linked_yet_is_waited_for),
        cmocka_unit_test(who_merged_what_is_lost_compares),
        cmocka_unit_test(who_had_more_is_gone),
        cmocka_unit_test(only_a_joiner_has_more),
        cmocka_unit_test(what_a_peer_has_is_waited_for),
        cmocka_unit_test(what_was_retired_is_not_waited_for),
        cmocka_unit_test(what_a_peer_dropped_is_not_waited_for),
        cmocka_unit_test(the_best_joiner_gives),
        cmocka_unit_test(one_joiner_gives_of_all_that_were_alone),
        cmocka_unit_test(the_next_joiner_gives),
        cmocka_unit_test(who_is_refused_again_merges),
        cmocka_unit_test(joiners_that_need_each_other_end),
        cmocka_unit_test(nonsense_about_ends_ends_the_link),
        cmocka_unit_test(nonsense_ends_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
