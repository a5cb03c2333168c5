/* SPDX-License-Identifier: BSD-3-Clause */
/* Records between nodes: streaming, relays, reconnects, gaps, slow readers, limits, leaving; and a
 * random history in which links come and go. */
#include "mesh_world.h"

static struct mesh_stats stats_of(const struct world_node *node) {
    struct mesh_stats stats;
    mesh_get_stats(node->mesh, &stats);
    return stats;
}

static uint64_t sum_gaps(const struct world *world) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < world->count; i++) {
        sum += stats_of(&world->nodes[i]).gaps;
    }
    return sum;
}

/* Every change is applied once by everybody. */
static void assert_applied(const struct world *world, uint64_t changes) {
    for (unsigned i = 0; i < world->count; i++) {
        assert_int_equal(world->nodes[i].changes_applied, changes);
    }
}

static void test_two_nodes_stream(void **state) {
    (void)state;
    struct world *world = world_started(2, 1);
    assert_true(world_links(world, 3000));
    world_write(&world->nodes[0], 1, 11);
    /* One batch there and nothing else is needed. */
    world_run_ms(world, 15);
    assert_true(world_is_equal(world));
    world_write(&world->nodes[1], 2, 22);
    assert_true(world_converges(world, 20));
    assert_applied(world, 2);
    world_run_ms(world, 50);
    unsigned self = world->nodes[0].replicas.self;
    assert_int_equal(
        mesh_acknowledged_count(world->nodes[0].mesh, world->nodes[0].context.stamps[self]), 1);
    /* An idle round carries no records. */
    uint64_t data = world->frames_by_type[MESH_FRAME_DATA];
    world_run_ms(world, 5000);
    assert_int_equal(world->frames_by_type[MESH_FRAME_DATA], data);
    assert_int_equal(stats_of(&world->nodes[0]).duplicates, 0);
    assert_true(world->nodes[0].settles > 0);
    world_free(world);
}

static void test_five_nodes_write_all(void **state) {
    (void)state;
    struct world *world = world_started(5, 2);
    assert_true(world_links(world, 5000));
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 5; i++) {
            world_write(&world->nodes[i], round, round * 10 + i);
        }
        world_step(world);
    }
    assert_true(world_converges(world, 1000));
    assert_applied(world, 250);
    assert_int_equal(sum_gaps(world), 0);
    world_free(world);
}

static unsigned acknowledged(const struct world_node *node) {
    return mesh_acknowledged_count(node->mesh, node->context.stamps[node->replicas.self]);
}

/* Under a stream of changes few are acknowledged, and all of them soon after it ends; who asks is
 * told at once. */
static void test_acks_are_few(void **state) {
    (void)state;
    enum { STEPS = 500, STEP_US = 200 };
    struct world *world = world_started(3, 20);
    struct world_node *writer = &world->nodes[0];
    assert_true(world_links(world, 3000));
    world_run_ms(world, 1000);
    uint64_t acks = stats_of(writer).acks_in;
    for (unsigned i = 0; i < STEPS; i++) {
        world_write(writer, i % 8, i);
        world_step_us(world, STEP_US);
    }
    world_run_ms(world, 40);
    assert_int_equal(acknowledged(writer), 2);
    /* A hundred milliseconds, two peers. */
    assert_in_range(stats_of(writer).acks_in - acks, 2, 2 * (STEPS * STEP_US / 5000 + 10));
    unsigned steps[2] = {0};
    for (unsigned is_asked = 0; is_asked < 2; is_asked++) {
        world_run_ms(world, 50);
        uint64_t pings = world->frames_by_type[MESH_FRAME_PING];
        /* What follows an acknowledgement closely has to wait for the next one. */
        world_write(writer, 1, 1);
        while (acknowledged(writer) < 2) {
            world_step_us(world, STEP_US);
        }
        world_write(writer, 1, 2);
        for (; acknowledged(writer) < 2; steps[is_asked]++) {
            world_step_us(world, STEP_US);
            if (is_asked) {
                mesh_ask_for_acks(writer->mesh);
            }
        }
        /* It is asked for once. */
        assert_in_range(world->frames_by_type[MESH_FRAME_PING] - pings, is_asked ? 2 : 0, 8);
    }
    assert_true(steps[1] + 5 < steps[0]);
    world_free(world);
}

/* Links that want the same, a part of it, or more send what is wanted, whatever they share: one has
 * read up to somewhere else, one packs its frames, one also gets another author's records. */
static void test_shared_frames(void **state) {
    (void)state;
    struct world *world = world_new(4, 21);
    for (unsigned i = 0; i < 4; i++) {
        world->nodes[i].settings.max_frame_bytes = 4096;
        world->nodes[i].settings.compression = i == 0 ? MESH_COMPRESSION_YES : MESH_COMPRESSION_NO;
        world_start(world, i);
    }
    assert_true(world_links(world, 3000));
    mesh_cut(world->nodes[1].mesh, "10.0.0.3:7000");
    uint64_t changes = 0;
    for (unsigned i = 0; i < 600; i++) {
        world->is_deaf[3] = i % 50 < 20;
        for (unsigned w = 0; w < 3; w++) {
            if (prng_below(&world->prng, 3) != 0) {
                world_write_sized(&world->nodes[w], (unsigned)prng_below(&world->prng, 64), 1, i,
                                  10 + (size_t)prng_below(&world->prng, i % 100 == 0 ? 9000 : 300));
                changes++;
            }
        }
        if (i % 3 == 2) {
            world_step(world);
        }
    }
    world->is_deaf[3] = false;
    assert_true(world_converges(world, 20000));
    assert_true(changes > 0);
    assert_int_equal(sum_gaps(world), 0);
    world_free(world);
}

/* Two nodes far apart pack what they send, once enough round trips have told so. Near ones that
 * were slow to answer at first do not: the shortest round trip is the network's. */
static void test_what_is_packed_unasked(void **state) {
    (void)state;
    for (unsigned is_far = 0; is_far <= 1; is_far++) {
        struct world *world = world_new(2, 31);
        world->delay_us = 20000;
        for (unsigned i = 0; i < 2; i++) {
            world->nodes[i].settings.compression = MESH_COMPRESSION_AUTO;
            world_start(world, i);
        }
        assert_true(world_links(world, 3000));
        struct mesh_stats before, after;
        for (unsigned round = 0; round < 2; round++) {
            mesh_get_stats(world->nodes[1].mesh, &before);
            world_write_sized(&world->nodes[0], round, 1, 1, 8000);
            assert_true(world_converges(world, 1000));
            mesh_get_stats(world->nodes[1].mesh, &after);
            uint64_t bytes = after.bytes_in - before.bytes_in;
            bool is_packed = is_far != 0 && round == 1;
            assert_in_range(bytes, is_packed ? 0 : 8000, is_packed ? 4000 : 20000);
            uint64_t pings = world->frames_by_type[MESH_FRAME_PING];
            world->delay_us = is_far != 0 ? 20000 : 200;
            for (unsigned i = 0; i < 25000; i++) {
                world_step_us(world, 200);
            }
            /* Only the far ones ask more often. */
            uint64_t asked = world->frames_by_type[MESH_FRAME_PING] - pings;
            assert_in_range(asked, round == 0 && is_far ? 10 : 1, round == 0 && is_far ? 20 : 8);
        }
        world_free(world);
    }
}

/* A and C are cut from each other: B brings the records of each to the other, asked to do so, and
 * stops when they are linked again. */
static void test_relay(void **state) {
    (void)state;
    struct world *world = world_started(3, 3);
    assert_true(world_links(world, 3000));
    mesh_cut(world->nodes[0].mesh, world->nodes[2].address);
    world_run_ms(world, 500);
    assert_int_equal(world_links_up(&world->nodes[0]), 1);
    for (unsigned i = 0; i < 20; i++) {
        world_write(&world->nodes[0], i, i);
        world_write(&world->nodes[2], i, i + 100);
        world_step(world);
    }
    assert_true(world_converges(world, 5000));
    assert_true(stats_of(&world->nodes[1]).records_relayed > 0);
    /* Once subscribed, it is as fast as the links. */
    world_write(&world->nodes[0], 30, 1);
    assert_true(world_converges(world, 40));
    mesh_heal(world->nodes[0].mesh, world->nodes[2].address);
    assert_true(world_links(world, 12000));
    world_run_ms(world, 3000);
    uint64_t relayed = stats_of(&world->nodes[1]).records_relayed;
    world_write(&world->nodes[0], 31, 1);
    assert_true(world_converges(world, 40));
    world_run_ms(world, 1000);
    assert_int_equal(stats_of(&world->nodes[1]).records_relayed, relayed);
    assert_applied(world, 42);
    assert_int_equal(sum_gaps(world), 0);
    world_free(world);
}

static void test_reconnect(void **state) {
    (void)state;
    struct world *world = world_started(2, 4);
    assert_true(world_links(world, 3000));
    uint64_t written = 0;
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 30; i++, written += 2) {
            world_write(&world->nodes[0], i, round * 100 + i);
            world_write(&world->nodes[1], i, round * 100 + i);
            world_step(world);
            if (i == 10 + round) {
                world_reset(world, 0, 1);
            }
        }
    }
    assert_true(world_converges(world, 5000));
    assert_true(world->nodes[0].changes_applied <= written);
    assert_int_equal(sum_gaps(world), 0);
    world_free(world);
}

/* A partition without a sign: silence ends the links, and all flows again after it. */
static void test_partition(void **state) {
    (void)state;
    struct world *world = world_started(3, 5);
    assert_true(world_links(world, 3000));
    world_block(world, 0, 1, true);
    world_block(world, 0, 2, true);
    for (unsigned i = 0; i < 40; i++) {
        world_write(&world->nodes[i % 3], i, i);
        world_run_ms(world, 1000);
    }
    assert_false(world_is_equal(world));
    assert_int_equal(world_links_up(&world->nodes[0]), 0);
    assert_false(stats_of(&world->nodes[0]).has_quorum);
    assert_int_equal(world_said(&world->nodes[0], "fewer than half"), 1);
    assert_true(stats_of(&world->nodes[1]).has_quorum);
    world_block(world, 0, 1, false);
    world_block(world, 0, 2, false);
    assert_true(world_converges(world, 15000));
    world_run_ms(world, 5000);
    assert_true(stats_of(&world->nodes[0]).has_quorum);
    world_free(world);
}

/* A DATA frame vanishes on the way: what follows is a gap, which is asked for. */
static void test_gap(void **state) {
    (void)state;
    struct world *world = world_started(2, 6);
    assert_true(world_links(world, 3000));
    world->drop_data_from = 1;
    world_write(&world->nodes[0], 1, 1);
    world_run_ms(world, 100);
    assert_int_equal(world->drop_data_from, 0);
    assert_false(world_is_equal(world));
    world_write(&world->nodes[0], 2, 2);
    world_run_ms(world, 20);
    assert_true(stats_of(&world->nodes[1]).gaps > 0);
    assert_true(world_converges(world, 200));
    /* And if nothing follows, the digests show what is missing. */
    world->drop_data_from = 1;
    world_write(&world->nodes[0], 3, 3);
    assert_true(world_converges(world, 6000));
    world_free(world);
}

/* What was written after seeing B's change waits for it at C, while others pass. */
static void test_early_records_wait(void **state) {
    (void)state;
    struct world *world = world_started(3, 7);
    assert_true(world_links(world, 3000));
    /* B's record to C is lost; A has seen it, and writes after it. */
    world_write(&world->nodes[1], 1, 1);
    uint64_t sent = 0;
    for (struct mesh_link *link = world->nodes[1].mesh->links; link != NULL; link = link->next) {
        if (link->peer.node[15] == 2) {
            unsigned self = world->nodes[1].replicas.self;
            streamer_slot(link, self)->sent_ticks =
                stamp_ticks(world->nodes[1].context.stamps[self]);
            sent++;
        }
    }
    assert_int_equal(sent, 1);
    world_run_ms(world, 100);
    world_write(&world->nodes[0], 2, 2);
    world_run_ms(world, 100);
    struct mesh_stats stats = stats_of(&world->nodes[2]);
    assert_true(stats.early > 0);
    assert_int_equal(stats.waiting_records, 1);
    assert_int_equal(world->nodes[2].cells[0][2].ticks, 0);
    /* Longer than the patience, and A is asked for B's record. */
    assert_true(world_converges(world, 3000));
    assert_int_equal(stats_of(&world->nodes[2]).waiting_records, 0);
    assert_int_equal(stats_of(&world->nodes[2]).waiting_bytes, 0);
    assert_applied(world, 2);
    world_free(world);
}

/* A wrote after it had seen what B wrote, C has the one and not the other, and both are gone for
 * good: what waits at C goes when they are forgotten. */
static void test_early_records_end(void **state) {
    (void)state;
    struct world *world = world_started(3, 9);
    assert_true(world_links(world, 3000));
    world_block(world, 1, 2, true);
    world_write(&world->nodes[1], 1, 1);
    world_run_ms(world, 30);
    world_write(&world->nodes[0], 2, 2);
    world_run_ms(world, 30);
    assert_int_equal(stats_of(&world->nodes[2]).waiting_records, 1);
    world_stop(world, 0);
    world_stop(world, 1);
    world_run_ms(world, 60000);
    /* Either may come back with what is missing. */
    assert_int_equal(stats_of(&world->nodes[2]).waiting_records, 1);
    assert_true(mesh_forget(world->nodes[2].mesh, world->nodes[0].node_id));
    assert_true(mesh_forget(world->nodes[2].mesh, world->nodes[1].node_id));
    world_run_ms(world, 60000);
    assert_int_equal(stats_of(&world->nodes[2]).waiting_records, 0);
    assert_int_equal(stats_of(&world->nodes[2]).waiting_bytes, 0);
    world_free(world);
}

/* Waiting records have a limit, beyond which they are dropped and asked for again. */
static void test_waiting_is_bounded(void **state) {
    (void)state;
    struct world *world = world_new(3, 8);
    world->nodes[2].settings.max_waiting_bytes = 2000;
    for (unsigned i = 0; i < 3; i++) {
        world_start(world, i);
    }
    assert_true(world_links(world, 3000));
    world_block(world, 1, 2, true);
    world_write(&world->nodes[1], 1, 1);
    world_run_ms(world, 100);
    for (unsigned i = 0; i < 60; i++) {
        world_write_sized(&world->nodes[0], 2 + i, 1, i, 200);
        world_step(world);
        assert_true(stats_of(&world->nodes[2]).waiting_bytes <= 2000);
    }
    world_run_ms(world, 50);
    assert_true(stats_of(&world->nodes[2]).waiting_dropped > 0);
    assert_true(world_converges(world, 30000));
    assert_int_equal(stats_of(&world->nodes[2]).waiting_bytes, 0);
    world_free(world);
}

/* A peer that reads nothing costs its place in the log and one output buffer. */
static void test_slow_reader(void **state) {
    (void)state;
    struct world *world = world_new(3, 9);
    for (unsigned i = 0; i < 3; i++) {
        world->nodes[i].settings.compression = MESH_COMPRESSION_NO;
        world_start(world, i);
    }
    assert_true(world_links(world, 3000));
    world->is_deaf[2] = true;
    size_t most = 0;
    for (unsigned i = 0; i < 800; i++) {
        world_write_sized(&world->nodes[0], i % 200, 4, i, 4000);
        if (i % 8 == 7) {
            world_step(world);
        }
        for (struct mesh_link *link = world->nodes[0].mesh->links; link; link = link->next) {
            most = link_out_bytes(link) > most ? link_out_bytes(link) : most;
        }
    }
    assert_true(most >= MESH_LINK_OUT_BYTES_MAX / 2);
    assert_true(most <= MESH_LINK_OUT_BYTES_MAX + (256 << 10));
    /* Nobody else waits for it. */
    world_run_ms(world, 300);
    assert_memory_equal(world->nodes[0].cells, world->nodes[1].cells,
                        sizeof(world->nodes[0].cells));
    world->is_deaf[2] = false;
    assert_true(world_converges(world, 20000));
    /* What waited for it was coalesced: it did not take all 3,200 changes. */
    assert_true(stats_of(&world->nodes[0]).changes_coalesced > 0);
    assert_true(world->nodes[2].changes_applied < 3200);
    world_free(world);
}

/* A value much longer than a frame arrives whole, and other frames pass between its pieces. */
static void test_large_record(void **state) {
    (void)state;
    struct world *world = world_started(2, 10);
    assert_true(world_links(world, 3000));
    world_write_sized(&world->nodes[0], 1, 1, 7, 8 << 20);
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[0], 2 + i, i);
    }
    assert_true(world_converges(world, 2000));
    assert_true(world->frames_by_type[MESH_FRAME_DATA] > 100);
    world_free(world);
}

/* The log no longer reaches back to what the peer has: who lags joins. */
static void test_lost(void **state) {
    (void)state;
    struct world *world = world_started(2, 11);
    assert_true(world_links(world, 3000));
    world_write(&world->nodes[0], 1, 1);
    assert_true(world_converges(world, 100));
    world_block(world, 0, 1, true);
    world_run_ms(world, 20000);
    for (unsigned i = 0; i < 20; i++) {
        world_write(&world->nodes[0], i, i);
    }
    world_trim(&world->nodes[0], 5);
    world_block(world, 0, 1, false);
    world_run_ms(world, 10000);
    assert_true(world->frames_by_type[MESH_FRAME_LOST] > 0);
    assert_true(mesh_is_joining(world->nodes[1].mesh));
    assert_false(mesh_is_joining(world->nodes[0].mesh));
    assert_int_equal(world->nodes[1].generations, 0);
    world_free(world);
}

/* Reaching back with the log is enough: nobody joins. */
static void test_not_lost(void **state) {
    (void)state;
    struct world *world = world_started(2, 12);
    assert_true(world_links(world, 3000));
    world_write(&world->nodes[0], 1, 1);
    world_write(&world->nodes[1], 1, 1);
    assert_true(world_converges(world, 100));
    world_reset(world, 0, 1);
    world_block(world, 0, 1, true);
    for (unsigned i = 0; i < 20; i++) {
        world_write(&world->nodes[0], i, i);
    }
    world_trim(&world->nodes[0], 20);
    world_block(world, 0, 1, false);
    assert_true(world_converges(world, 10000));
    assert_int_equal(world->frames_by_type[MESH_FRAME_LOST], 0);
    assert_false(mesh_is_joining(world->nodes[1].mesh));
    world_free(world);
}

/* What the peers lack lies behind much that they have, in a file that takes long to read. They go
 * on asking for it meanwhile, which must not begin the reading anew. B has a link with A, C gets
 * A's records from B, who reads its own file. */
static void test_much_to_pass_over(void **state) {
    (void)state;
    struct world *world = world_started(3, 14);
    assert_true(world_links(world, 3000));
    mesh_cut(world->nodes[0].mesh, world->nodes[2].address);
    world_run_ms(world, 500);
    world_write(&world->nodes[0], 1, 1);
    assert_true(world_converges(world, 5000));
    for (unsigned i = 0; i < 2; i++) {
        world_block(world, 1, 2 * i, true);
    }
    world_run_ms(world, 20000);
    for (unsigned i = 0; i < 20; i++) {
        world_write(&world->nodes[0], i, i);
    }
    for (unsigned i = 0; i < 2; i++) {
        world->nodes[i].passing_ms = 8000;
        world_block(world, 1, 2 * i, false);
    }
    assert_true(world_links_up(&world->nodes[2]) == 0);
    assert_true(world_converges(world, 40000));
    for (unsigned i = 0; i < 3; i++) {
        assert_false(mesh_is_joining(world->nodes[i].mesh));
    }
    world_free(world);
}

/* Data without room: links wait, and nothing is lost. */
static void test_busy(void **state) {
    (void)state;
    struct world *world = world_started(2, 13);
    assert_true(world_links(world, 3000));
    world->nodes[1].is_busy = true;
    for (unsigned i = 0; i < 400; i++) {
        world_write_sized(&world->nodes[0], i % 250, 3, i, 5000);
        world_step(world);
    }
    world_run_ms(world, 20000); /* longer than silence may be */
    assert_int_equal(world->nodes[1].changes_applied, 0);
    assert_int_equal(world_links_up(&world->nodes[1]), 1);
    world->nodes[1].is_busy = false;
    assert_true(world_converges(world, 10000));
    world_free(world);
}

static void test_restart(void **state) {
    (void)state;
    struct world *world = world_started(3, 14);
    assert_true(world_links(world, 3000));
    world_write(&world->nodes[1], 1, 1);
    world_write(&world->nodes[0], 1, 1);
    assert_true(world_converges(world, 100));
    world_restart(world, 1);
    world_write(&world->nodes[1], 2, 2);
    world_write(&world->nodes[0], 2, 2);
    assert_true(world_converges(world, 8000));
    assert_true(world_links(world, 8000));
    world_free(world);
}

/* What only a node knows whose process ended: another one has it, and passes it on. */
static void test_author_is_gone(void **state) {
    (void)state;
    struct world *world = world_started(3, 15);
    assert_true(world_links(world, 3000));
    world_block(world, 0, 2, true);
    world_write(&world->nodes[0], 1, 1);
    world_run_ms(world, 50);
    world_stop(world, 0);
    assert_true(world_converges(world, 8000));
    assert_true(world->nodes[2].cells[0][1].ticks != 0);
    world_free(world);
}

static void test_leave(void **state) {
    (void)state;
    struct world *world = world_started(3, 16);
    assert_true(world_links(world, 3000));
    world_run_ms(world, 5000);
    world_write(&world->nodes[2], 1, 1);
    unsigned calls = 0;
    while (!mesh_leave(world->nodes[2].mesh)) {
        assert_true(calls++ < 1000);
        world_step(world);
    }
    assert_true(calls > 0);
    assert_true(world_is_equal(world));
    world_stop(world, 2);
    world_run_ms(world, 3000);
    assert_true(stats_of(&world->nodes[0]).has_quorum);
    assert_int_equal(mesh_alive_count(world->nodes[0].mesh), 1);
    assert_false(mesh_is_replica_alive(world->nodes[0].mesh, 3, 60000));
    /* With nothing to write to anybody: that it leaves was sent before it is done. Left running it
     * stays away for a while, comes again, and can leave again. */
    for (int i = 0; i < 2; i++) {
        assert_false(mesh_leave(world->nodes[1].mesh));
        world_run_ms(world, 1000);
        assert_true(mesh_leave(world->nodes[1].mesh));
        world_run_ms(world, 7000);
        assert_int_equal(mesh_alive_count(world->nodes[0].mesh), 0);
        world_run_ms(world, 20000);
        assert_int_equal(mesh_alive_count(world->nodes[0].mesh), 1);
    }
    world_free(world);
}

/* A forgotten node is told so, and comes again in a new generation, joining. */
static void test_forget(void **state) {
    (void)state;
    struct world *world = world_started(3, 17);
    assert_true(world_links(world, 3000));
    world_run_ms(world, 5000);
    assert_false(mesh_forget(world->nodes[0].mesh, world->nodes[2].node_id));
    world_block(world, 0, 2, true);
    world_block(world, 1, 2, true);
    world_run_ms(world, 40000);
    assert_true(mesh_forget(world->nodes[0].mesh, world->nodes[2].node_id));
    world_run_ms(world, 5000);
    uint64_t old = world->nodes[2].generation;
    world_block(world, 0, 2, false);
    world_block(world, 1, 2, false);
    world_run_ms(world, 15000);
    assert_true(world->nodes[2].generation > old);
    assert_true(mesh_is_joining(world->nodes[2].mesh));
    world_free(world);
}

/* A node whose data were taken back to an old copy goes on in a new generation. */
static void test_old_copy(void **state) {
    (void)state;
    struct world *world = world_started(2, 18);
    assert_true(world_links(world, 3000));
    world_write(&world->nodes[0], 1, 1);
    assert_true(world_converges(world, 100));
    world_stop(world, 0);
    struct world_node *node = &world->nodes[0];
    unsigned self = node->replicas.self;
    uint64_t written = stamp_ticks(node->context.stamps[self]);
    node->context.stamps[self] = 0;
    node->log_base = node->log_count;
    memset(node->cells, 0, sizeof(node->cells));
    node->clock_ticks = 0;
    world_start(world, 0);
    world_run_ms(world, 5000);
    assert_true(node->generations >= 1);
    assert_true(node->replicas.self != self);
    world_write(node, 2, 2);
    assert_true(world_converges(world, 8000));
    assert_int_equal(node->cells[0][1].ticks, written);
    world_free(world);
}

static void test_check(void **state) {
    (void)state;
    struct world *world = world_started(3, 19);
    struct buffer lines = {0};
    assert_true(world_links(world, 3000));
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[i % 3], i, i);
    }
    assert_true(world_converges(world, 1000));
    mesh_check_begin(world->nodes[0].mesh);
    assert_false(mesh_check_done(world->nodes[0].mesh, 1000, &lines));
    world_run_ms(world, 100);
    assert_true(mesh_check_done(world->nodes[0].mesh, 1000, &lines));
    assert_non_null(strstr(buffer_text(&lines), "10.0.0.1:17001 equal\n"));
    assert_non_null(strstr(buffer_text(&lines), "10.0.0.2:17001 equal\n"));
    world->nodes[2].cells[1][7].value ^= 1;
    buffer_clear(&lines);
    mesh_check_begin(world->nodes[0].mesh);
    world_run_ms(world, 100);
    assert_true(mesh_check_done(world->nodes[0].mesh, 1000, &lines));
    assert_non_null(strstr(buffer_text(&lines), "10.0.0.1:17001 equal\n"));
    assert_non_null(
        strstr(buffer_text(&lines), "10.0.0.2:17001 DIFFERENT in 1 of 256 ranges: 7\n"));
    buffer_deinit(&lines);
    world_free(world);
}

/* Links come and go at random while all write; in the end all have all. */
static void random_history(uint64_t seed) {
    unsigned count = 2 + (unsigned)(seed % 4);
    struct world *world = world_started(count, seed);
    world->delay_us = 500 + prng_below(&world->prng, 30000);
    assert_true(world_links(world, 15000));
    for (unsigned i = 0; i < 600; i++) {
        unsigned a = (unsigned)prng_below(&world->prng, count);
        unsigned b = (unsigned)prng_below(&world->prng, count);
        switch (prng_below(&world->prng, 40)) {
        case 0:
            world_reset(world, a, b);
            break;
        case 1:
            if (a != b) {
                world_block(world, a, b, true);
            }
            break;
        case 2:
            world_block(world, a, b, false);
            break;
        case 3:
            world->is_deaf[a] = !world->is_deaf[a];
            break;
        case 4:
            world->drop_data_from = 1 + a;
            break;
        case 5:
            world->nodes[a].is_busy = !world->nodes[a].is_busy;
            break;
        default:
            world_write_sized(&world->nodes[a], (unsigned)prng_below(&world->prng, 30),
                              1 + (unsigned)prng_below(&world->prng, 5), i, 20);
        }
        world_run_ms(world, prng_below(&world->prng, 60));
    }
    for (unsigned a = 0; a < count; a++) {
        world->is_deaf[a] = false;
        world->nodes[a].is_busy = false;
        for (unsigned b = 0; b < count; b++) {
            if (a != b) {
                world_block(world, a, b, false);
            }
        }
    }
    world->drop_data_from = 0;
    assert_true(world_converges(world, 60000));
    world_run_ms(world, 2000);
    for (unsigned a = 0; a < count; a++) {
        assert_int_equal(stats_of(&world->nodes[a]).waiting_bytes, 0);
        assert_int_equal(world->nodes[a].generations, 0);
    }
    world_free(world);
}

/* The fewest digests that a node gets in 20 rounds when its only link is one with a hub. */
static uint64_t fewest_digests(uint64_t full_links) {
    enum { ROUNDS = 20 };
    struct world *world = world_new(WORLD_NODES_MAX, 77);
    for (unsigned i = 0; i < world->count; i++) {
        world->nodes[i].settings.full_links = full_links;
        for (unsigned other = 1; other < world->count && i > 0; other++) {
            world->is_blocked[i][other] = i != other;
        }
    }
    for (unsigned i = 0; i < world->count; i++) {
        world_start(world, i);
    }
    world_run_ms(world, 5000);
    assert_int_equal(world_links_up(&world->nodes[0]), world->count - 1);
    uint64_t before[WORLD_NODES_MAX], fewest = UINT64_MAX;
    for (unsigned i = 1; i < world->count; i++) {
        before[i] = stats_of(&world->nodes[i]).digests_in;
    }
    world_run_ms(world, (uint64_t)ROUNDS * 1000);
    for (unsigned i = 1; i < world->count; i++) {
        uint64_t count = stats_of(&world->nodes[i]).digests_in - before[i];
        fewest = count < fewest ? count : fewest;
    }
    world_free(world);
    return fewest;
}

/* In a mesh too large for links between all, a node hears as often as it speaks, though the hub
 * would choose it less often. */
static void test_digests_are_answered(void **state) {
    (void)state;
    assert_in_range(fewest_digests(4), 18, 30);
    assert_in_range(fewest_digests(32), 1, 17);
}

static void test_random_histories(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "links", 1);
    for (unsigned i = 0; i < 40; i++) {
        uint64_t seed = prng_next(&prng);
        printf("history %u, seed %" PRIu64 "\n", i, seed);
        (void)fflush(stdout);
        random_history(seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_nodes_stream),
        cmocka_unit_test(test_five_nodes_write_all),
        cmocka_unit_test(test_acks_are_few),
        cmocka_unit_test(test_shared_frames),
        cmocka_unit_test(test_what_is_packed_unasked),
        cmocka_unit_test(test_relay),
        cmocka_unit_test(test_reconnect),
        cmocka_unit_test(test_partition),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_early_records_wait),
        cmocka_unit_test(test_early_records_end),
        cmocka_unit_test(test_waiting_is_bounded),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_large_record),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_not_lost),
        cmocka_unit_test(test_much_to_pass_over),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_author_is_gone),
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_old_copy),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_digests_are_answered),
        cmocka_unit_test(test_random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
