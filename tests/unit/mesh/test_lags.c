/* SPDX-License-Identifier: BSD-3-Clause */
/* Lags in changes: what a peer has not acknowledged is counted, whoever wrote it but the peer
 * itself; it is told to the peer in each gossip round that changed it, and is 0 once all is there.
 * Where nobody has told anything yet it is unknown. */
#include "mesh_world.h"

struct seen_node {
    const struct world_node *wanted;
    struct mesh_node_info info;
    bool is_found;
};

static void see_node(void *udata, const struct mesh_node_info *info) {
    struct seen_node *seen = udata;
    if (memcmp(info->node_id, seen->wanted->node_id, REPLICA_NODE_ID_BYTES) == 0) {
        seen->info = *info;
        seen->is_found = true;
    }
}

/* What `from` says of `of`. */
static struct mesh_node_info info_of(const struct world *world, unsigned from, unsigned of) {
    struct seen_node seen = {.wanted = &world->nodes[of]};
    mesh_visit_nodes(world->nodes[from].mesh, see_node, &seen);
    assert_true(seen.is_found);
    return seen.info;
}

static struct mesh_stats stats_of(const struct world *world, unsigned index) {
    struct mesh_stats stats;
    mesh_get_stats(world->nodes[index].mesh, &stats);
    return stats;
}

static void assert_no_lags(const struct world *world) {
    for (unsigned from = 0; from < world->count; from++) {
        struct mesh_stats stats = stats_of(world, from);
        assert_int_equal(stats.lag_out_changes_max, 0);
        assert_int_equal(stats.lag_in_changes_max, 0);
        for (unsigned of = 0; of < world->count; of++) {
            struct mesh_node_info info = info_of(world, from, of);
            assert_int_equal(info.lag_out_changes, 0);
            assert_int_equal(info.lag_in_changes, 0);
        }
    }
}

static void a_cut_link(void **state) {
    (void)state;
    struct world *world = world_started(2, 1);
    assert_true(world_links(world, 3000));
    world_write(&world->nodes[0], 1, 1);
    assert_true(world_converges(world, 100));
    world_run_ms(world, 2000);
    assert_no_lags(world);
    mesh_cut(world->nodes[0].mesh, "ALL");
    world_run_ms(world, 100);
    for (unsigned i = 0; i < 50; i++) {
        world_write_sized(&world->nodes[0], i, 2, i, 8);
        world_step(world);
    }
    assert_int_equal(info_of(world, 0, 1).lag_out_changes, 100);
    assert_int_equal(stats_of(world, 0).lag_out_changes_max, 100);
    assert_int_equal(info_of(world, 0, 0).lag_out_changes, 0);
    /* Without a link it cannot be told. */
    world_run_ms(world, 2000);
    assert_int_equal(info_of(world, 1, 0).lag_in_changes, MESH_LAG_UNKNOWN);
    assert_int_equal(stats_of(world, 1).lag_in_changes_max, 0);
    mesh_heal(world->nodes[0].mesh, "ALL");
    assert_true(world_converges(world, 8000));
    world_run_ms(world, 1500);
    assert_no_lags(world);
    world_free(world);
}

static void a_peer_that_takes_nothing(void **state) {
    (void)state;
    struct world *world = world_started(3, 2);
    assert_true(world_links(world, 3000));
    world_run_ms(world, 2000);
    world->nodes[2].is_busy = true;
    for (unsigned i = 0; i < 30; i++) {
        world_write(&world->nodes[0], i, i);
        world_write(&world->nodes[1], i, i);
        world_write(&world->nodes[2], i, i);
        world_step(world);
    }
    world_run_ms(world, 1500);
    /* Of whomever it is that has them, but not of the peer itself. */
    for (unsigned from = 0; from < 2; from++) {
        assert_int_equal(info_of(world, from, 2).lag_out_changes, 60);
        assert_int_equal(info_of(world, from, 1 - from).lag_out_changes, 0);
        assert_int_equal(info_of(world, 2, from).lag_out_changes, 0);
        /* And it is told. */
        assert_int_equal(info_of(world, 2, from).lag_in_changes, 60);
        assert_int_equal(info_of(world, from, 2).lag_in_changes, 0);
    }
    assert_int_equal(stats_of(world, 2).lag_in_changes_max, 60);
    assert_int_equal(stats_of(world, 0).lag_out_changes_max, 60);
    /* What does not move is not told again. */
    uint64_t frames = world->frames_by_type[MESH_FRAME_LAG];
    world_run_ms(world, 5000);
    assert_int_equal(world->frames_by_type[MESH_FRAME_LAG], frames);
    world->nodes[2].is_busy = false;
    assert_true(world_converges(world, 3000));
    world_run_ms(world, 1500);
    assert_no_lags(world);
    assert_int_equal(world->frames_by_type[MESH_FRAME_LAG], frames + 2);
    world_free(world);
}

/* Two nodes that have nothing: what a peer has seen is known with its link, what it says of this
 * node from its first gossip round on, since it says also that nothing lacks. */
static void a_new_link(void **state) {
    (void)state;
    struct world *world = world_started(2, 5);
    assert_true(world_links(world, 3000));
    for (unsigned from = 0; from < 2; from++) {
        assert_int_equal(info_of(world, from, 1 - from).lag_out_changes, 0);
        assert_int_equal(info_of(world, from, 1 - from).lag_in_changes, MESH_LAG_UNKNOWN);
        assert_int_equal(info_of(world, from, from).lag_out_changes, 0);
        assert_int_equal(info_of(world, from, from).lag_in_changes, 0);
    }
    assert_int_equal(world->frames_by_type[MESH_FRAME_LAG], 0);
    world_run_ms(world, 2000);
    assert_no_lags(world);
    assert_int_equal(world->frames_by_type[MESH_FRAME_LAG], 2);
    world_free(world);
}

/* A node that is known by its replicas alone, from an earlier life of this one. */
static void a_peer_that_was_not_heard(void **state) {
    (void)state;
    struct world *world = world_started(2, 6);
    assert_true(world_links(world, 3000));
    world_write(&world->nodes[0], 1, 1);
    world_write(&world->nodes[1], 2, 2);
    assert_true(world_converges(world, 100));
    world_stop(world, 1);
    world_restart(world, 0);
    world_run_ms(world, 2000);
    assert_int_equal(info_of(world, 0, 1).last_heard_ms, 0);
    assert_int_equal(info_of(world, 0, 1).lag_out_changes, MESH_LAG_UNKNOWN);
    assert_int_equal(info_of(world, 0, 1).lag_in_changes, MESH_LAG_UNKNOWN);
    assert_true(data_new_generation(&world->nodes[1], world->nodes[1].generation + 1));
    world_start(world, 1);
    assert_true(world_links(world, 8000));
    assert_true(world_converges(world, 8000));
    world_run_ms(world, 1500);
    assert_no_lags(world);
    /* What it has seen stays known when it is silent, what it says does not. */
    world_stop(world, 1);
    world_write(&world->nodes[0], 3, 3);
    world_run_ms(world, 500);
    assert_int_equal(info_of(world, 0, 1).lag_out_changes, 1);
    assert_int_equal(info_of(world, 0, 1).lag_in_changes, MESH_LAG_UNKNOWN);
    world_free(world);
}

static bool retires_nothing(void *udata, unsigned slot) {
    (void)udata, (void)slot;
    return false;
}

/* A replica that the peer has retired, and this node not yet, was seen there. */
static void what_is_retired_there_does_not_lack(void **state) {
    (void)state;
    struct world *world = world_started(3, 3);
    assert_true(world_links(world, 3000));
    world_write(&world->nodes[2], 1, 1);
    assert_true(world_converges(world, 100));
    world_run_ms(world, 2500);
    world->nodes[0].mesh->data.retire = retires_nothing;
    world_restart(world, 2);
    for (unsigned i = 0; i < 4000; i++) {
        world_step(world);
        assert_int_equal(info_of(world, 0, 1).lag_out_changes, 0);
        assert_int_equal(info_of(world, 0, 1).lag_out_ms, 0);
    }
    assert_int_equal(world->nodes[0].replicas.retired_count, 0);
    assert_int_equal(world->nodes[1].replicas.retired_count, 1);
    world_free(world);
}

/* Numbers of any size are taken; what is no number ends the link. */
static void what_a_peer_may_say(void **state) {
    (void)state;
    struct world *world = world_started(2, 4);
    assert_true(world_links(world, 3000));
    world_run_ms(world, 1500);
    struct buffer payload = {0};
    codec_put_varint(&payload, UINT64_MAX);
    buffer_append_byte(&payload, 7); /* of a newer version */
    link_send(world->nodes[0].mesh->links, MESH_FRAME_LAG, buffer_slice(&payload));
    world_run_ms(world, 30);
    assert_true(info_of(world, 1, 0).lag_in_changes == INT64_MAX);
    assert_int_equal(stats_of(world, 1).refused[MESH_REASON_GARBAGE], 0);
    static const char *const nonsense[] = {"", "\x80",
                                           "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        assert_true(world_links(world, 8000));
        link_send(world->nodes[0].mesh->links, MESH_FRAME_LAG, slice_of(nonsense[i]));
        world_run_ms(world, 30);
        assert_int_equal(stats_of(world, 1).refused[MESH_REASON_GARBAGE], i + 1);
    }
    assert_int_equal(stats_of(world, 1).lag_in_changes_max, 0);
    buffer_deinit(&payload);
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_link),
        cmocka_unit_test(a_peer_that_takes_nothing),
        cmocka_unit_test(a_new_link),
        cmocka_unit_test(a_peer_that_was_not_heard),
        cmocka_unit_test(what_is_retired_there_does_not_lack),
        cmocka_unit_test(what_a_peer_may_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
