/* SPDX-License-Identifier: BSD-3-Clause */
/* Stories of how the mesh behaves: links, deaths, clocks, quorums. */
#include "sim/sim_story.h"

static void m1_readable_within_a_batch(struct story *story) {
    start(story, 3);
    wait_ms(story, 2000);
    (void)say(story, A, "SET k 1");
    wait_ms(story, 10);
    expect_all(story, "GET k", "1");
    uint64_t records = stats_of(story, A).records_out;
    wait_ms(story, 5000);
    if (stats_of(story, A).records_out != records) {
        sim_fail(&story->world, "an idle round carries data");
    }
}

static void m3_inside_the_log_only_changes(struct story *story) {
    start(story, 3);
    (void)say(story, A, "SET k 1");
    agree(story);
    sim_kill(at(story, C));
    (void)say(story, A, "SET k 2");
    restart(story, C);
    agree(story);
    expect_all(story, "GET k", "2");
    if (stats_of(story, C).syncs_snapshot != 0) {
        sim_fail(&story->world, "a snapshot was taken where the log would do");
    }
}

static void m6_dead_within_ten_seconds(struct story *story) {
    start(story, 3);
    wait_ms(story, 10000);
    sim_lose_power(at(story, C));
    wait_ms(story, 12000);
    if (state_of(story, A, MESH_ALIVE) != 1 || state_of(story, A, MESH_DEAD) != 1) {
        sim_fail(&story->world, "A takes %u for alive, %u for dead", state_of(story, A, MESH_ALIVE),
                 state_of(story, A, MESH_DEAD));
    }
}

static void m6_bad_links_are_no_death(struct story *story) {
    start(story, 3);
    wait_ms(story, 5000);
    for (unsigned i = 0; i < 30; i++) {
        sim_path(&story->world, A, B)->delay_us = i % 2 * 900000;
        sim_path(&story->world, C, B)->delay_us = (i + 1) % 2 * 900000;
        wait_ms(story, 1000);
        if (state_of(story, A, MESH_DEAD) + state_of(story, B, MESH_DEAD) +
                state_of(story, C, MESH_DEAD) >
            0) {
            sim_fail(&story->world, "somebody was taken for dead");
        }
    }
}

static void m7_two_clusters(struct story *story) {
    sim_configure(at(story, C), "mesh-cluster-id other\n");
    sim_start(at(story, A));
    sim_start(at(story, B));
    sim_start(at(story, C));
    link_all(story, 2);
    (void)say(story, A, "SET k 1");
    (void)say(story, C, "SET z 1");
    wait_ms(story, 10000);
    expect(story, C, "EXISTS k", "0");
    expect(story, A, "EXISTS z", "0");
    if (stats_of(story, C).refused[MESH_REASON_CLUSTER] == 0 &&
        stats_of(story, A).refused[MESH_REASON_CLUSTER] == 0) {
        sim_fail(&story->world, "nobody counted the refusal");
    }
}

static void m11_the_clock_goes_back_an_hour(struct story *story) {
    start(story, 3);
    (void)say(story, A, "SET k 1");
    sim_kill(at(story, A));
    for (unsigned i = 0; i < 3; i++) {
        at(story, i)->clock_offset_ms = -3600 * 1000;
    }
    restart(story, A);
    (void)say(story, A, "SET k 2");
    agree(story);
    expect_all(story, "GET k", "2");
}

static void m13_after_a_sync_come_changes(struct story *story) {
    sim_start(at(story, A));
    sim_start(at(story, B));
    link_all(story, 2);
    for (unsigned i = 0; i < 50; i++) {
        char command[32];
        (void)snprintf(command, sizeof(command), "SET k%u %u", i, i);
        (void)say(story, A, command);
    }
    sim_start(at(story, C));
    link_all(story, 3);
    agree(story);
    expect(story, C, "DBSIZE", "50");
    uint64_t snapshots = stats_of(story, C).syncs_snapshot;
    for (unsigned i = 0; i < 100; i++) {
        char command[32];
        (void)snprintf(command, sizeof(command), "SET l%u %u", i, i);
        (void)say(story, i % 2, command);
    }
    agree(story);
    expect(story, C, "DBSIZE", "150");
    if (stats_of(story, C).syncs_snapshot != snapshots) {
        sim_fail(&story->world, "another snapshot was taken");
    }
}

static void m14_a_quorum_of_peers(struct story *story) {
    for (unsigned i = 0; i < 5; i++) {
        sim_configure(at(story, i), "mesh-min-peers-to-write 2\n");
    }
    start(story, 5);
    for (unsigned a = 0; a < 2; a++) {
        for (unsigned b = 2; b < 5; b++) {
            cut(story, a, b);
        }
    }
    wait_ms(story, 20000);
    expect_error(story, A, "SET k 1", "NOQUORUM");
    (void)say(story, D, "SET k 2");
    together(story);
    link_all(story, 5);
    (void)say(story, A, "SET k 3");
    agree(story);
    expect_all(story, "GET k", "3");
}

static void m18_a_clock_five_minutes_ahead(struct story *story) {
    at(story, C)->clock_offset_ms = 300000;
    sim_start(at(story, A));
    sim_start(at(story, B));
    sim_start(at(story, C));
    link_all(story, 2);
    (void)say(story, C, "SET k 1");
    wait_ms(story, 5000);
    (void)say(story, A, "SET a 1");
    expect(story, A, "EXISTS k", "0");
    if (stats_of(story, A).refused[MESH_REASON_CLOCK] == 0 &&
        stats_of(story, C).refused[MESH_REASON_CLOCK] == 0) {
        sim_fail(&story->world, "nobody counted the refusal");
    }
    int64_t ahead_ms = stamp_unix_ms(stamp_make(at(story, A)->node->store.clock.ticks, 0)) -
                       sim_unix_ms(at(story, A));
    if (ahead_ms > 6000) {
        sim_fail(&story->world, "A's clock followed: %lld ms ahead", (long long)ahead_ms);
    }
}

static const struct story_row rows[] = {
    STORY(m1_readable_within_a_batch),
    STORY(m3_inside_the_log_only_changes),
    STORY(m6_dead_within_ten_seconds),
    STORY(m6_bad_links_are_no_death),
    STORY(m7_two_clusters),
    STORY(m11_the_clock_goes_back_an_hour),
    STORY(m13_after_a_sync_come_changes),
    {"m14_a_quorum_of_peers", m14_a_quorum_of_peers, 5},
    STORY(m18_a_clock_five_minutes_ahead),
};

const struct story_list sim_stories_mesh = {rows, sizeof(rows) / sizeof(rows[0])};
