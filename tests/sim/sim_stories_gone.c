/* SPDX-License-Identifier: BSD-3-Clause */
/* Stories of nodes that have left or were forgotten for good: they stay gone, whoever restarts. */
#include "sim/sim_story.h"

static unsigned left_of(struct story *story, unsigned node) {
    struct mesh_stats stats = stats_of(story, node);
    return stats.members - 1 - stats.alive - stats.suspect - stats.dead;
}

static void kill_and_start(struct story *story, const unsigned *nodes, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        sim_kill(at(story, nodes[i]));
    }
    for (unsigned i = 0; i < count; i++) {
        sim_start(at(story, nodes[i]));
    }
}

/* Nobody here waits for one who is gone: none is dead, and all is settled that is written. */
static void expect_settled(struct story *story, const unsigned *nodes, unsigned count) {
    (void)say(story, nodes[0], "INCR c");
    (void)say(story, nodes[1], "INCR c");
    wait_ms(story, 12000);
    for (unsigned i = 0; i < count && !sim_has_failed(&story->world); i++) {
        struct mesh_stats stats = stats_of(story, nodes[i]);
        if (stats.dead > 0 || stats.frontier_age_ms > 0) {
            sim_fail(&story->world, "%c has %u dead, and its frontier is %lld ms old",
                     'A' + (int)nodes[i], stats.dead, (long long)stats.frontier_age_ms);
        }
    }
}

/* C is gone, A and B restart at the same time `ms` later, and no snapshot was written. */
static void gone_and_all_restarted(struct story *story, bool leaves, uint64_t ms) {
    static const unsigned rest[] = {A, B};
    start(story, 3);
    (void)say(story, A, "SADD s 1");
    (void)say(story, C, "SADD s 2");
    (void)say(story, C, "INCR c");
    agree(story);
    if (leaves) {
        (void)say(story, C, "MESH LEAVE");
    }
    sim_kill(at(story, C));
    if (!leaves) {
        forget(story, A, C);
    }
    wait_ms(story, ms);
    for (unsigned life = 0; life < 2; life++) {
        kill_and_start(story, rest, 2);
        wait_ms(story, 5000);
        expect_settled(story, rest, 2);
        if (!sim_has_failed(&story->world) &&
            (left_of(story, A) != leaves || left_of(story, B) != leaves)) {
            sim_fail(&story->world, "A knows %u that left, B %u", left_of(story, A),
                     left_of(story, B));
        }
    }
    /* In a new life it comes back, and knows what it knew. */
    restart(story, C);
    (void)say(story, C, "SREM s 2");
    (void)say(story, C, "INCR c");
    agree(story);
    expect_all(story, "SMEMBERS s", "1");
    expect_all(story, "GET c", "6");
    (void)say(story, A, "INCR c");
    static const unsigned all[] = {A, B, C};
    kill_and_start(story, all, 3);
    link_all(story, 3);
    expect_settled(story, all, 3);
    expect_all(story, "GET c", "9");
}

static void m15_left_and_all_restarted(struct story *story) {
    gone_and_all_restarted(story, true, 20000);
}

static void m15_left_and_all_restarted_at_once(struct story *story) {
    gone_and_all_restarted(story, true, 1100);
}

static void m15_forgotten_and_all_restarted(struct story *story) {
    gone_and_all_restarted(story, false, 20000);
}

static void m15_forgotten_and_all_restarted_at_once(struct story *story) {
    gone_and_all_restarted(story, false, 3000);
}

/* C leaves, and goes on all the same, out of reach; what it had counted is deleted meanwhile, and
 * that settles without it. It comes back with more, in its old life and in a new one. */
static void left_and_wrote_on(struct story *story, bool restarts) {
    start(story, 3);
    (void)say(story, C, "INCRBY c 5");
    (void)say(story, C, "SADD s 1 2");
    agree(story);
    (void)say(story, C, "MESH LEAVE");
    cut(story, A, C);
    cut(story, B, C);
    wait_ms(story, 3000);
    (void)say(story, A, "DEL c");
    (void)say(story, B, "SREM s 1");
    (void)say(story, B, "SET k 1");
    wait_ms(story, 20000);
    (void)say(story, C, "INCRBY c 100");
    (void)say(story, C, "SADD s 3");
    if (restarts) {
        kill_and_start(story, (unsigned[]){A, B, C}, 3);
        wait_ms(story, 5000);
        (void)say(story, C, "INCRBY c 1000");
        wait_ms(story, 5000);
    }
    for_pairs(story, mend);
    wait_until_ready(story, 3);
    agree(story);
    expect_all(story, "GET c", restarts ? "1100" : "100");
    expect_all(story, "GET k", "1");
    expect_all(story, "SCARD s", "2");
    expect_all(story, "SISMEMBER s 1", "0");
}

static void m15_left_and_wrote_on(struct story *story) {
    left_and_wrote_on(story, false);
}

static void m15_left_and_wrote_on_and_all_restarted(struct story *story) {
    left_and_wrote_on(story, true);
}

/* C leaves and is not stopped: it comes again, and what all write meanwhile counts. */
static void m15_left_and_stayed(struct story *story) {
    unsigned counted = 0;
    start(story, 3);
    (void)say(story, C, "INCR c");
    agree(story);
    (void)say(story, C, "MESH LEAVE");
    for (unsigned i = 0; i < 6000; i++) {
        if (sim_ask(at(story, i % 3), 0, &story->text, "INCR c")) {
            counted++;
        }
        wait_ms(story, 2);
    }
    wait_until_ready(story, 3);
    agree(story);
    char expected[16];
    (void)snprintf(expected, sizeof(expected), "%u", 1 + counted);
    expect_all(story, "GET c", expected);
    (void)say(story, C, "MESH LEAVE");
    wait_ms(story, 5000);
    if (left_of(story, A) != 1 || left_of(story, B) != 1) {
        sim_fail(&story->world, "it does not leave again");
    }
}

/* Only A has heard that C is gone when all stop: B hears it from A then. */
static void m15_one_knows_when_all_restart(struct story *story) {
    static const unsigned rest[] = {A, B};
    start(story, 3);
    (void)say(story, C, "SADD s 1");
    agree(story);
    sim_kill(at(story, C));
    wait_ms(story, 30000);
    cut(story, A, B);
    forget(story, A, C);
    wait_ms(story, 500);
    kill_and_start(story, rest, 2);
    wait_ms(story, 3000);
    for_pairs(story, mend);
    wait_ms(story, 5000);
    expect_settled(story, rest, 2);
    expect(story, B, "SMEMBERS s", "1");
}

/* A and B have no log: they write a snapshot. */
static void m15_left_where_there_is_no_log(struct story *story) {
    static const unsigned rest[] = {A, B};
    for (unsigned i = 0; i < 2; i++) {
        sim_configure(at(story, i), "appendonly no\nsave 3600 1000000\n");
    }
    start(story, 3);
    (void)say(story, C, "SADD s 1");
    agree(story);
    (void)say(story, A, "BGSAVE");
    (void)say(story, B, "BGSAVE");
    wait_ms(story, 2000);
    (void)say(story, C, "MESH LEAVE");
    sim_kill(at(story, C));
    wait_ms(story, 2000);
    kill_and_start(story, rest, 2);
    wait_ms(story, 5000);
    expect_settled(story, rest, 2);
    expect(story, A, "SCARD s", "1");
    if (left_of(story, A) != 1 || left_of(story, B) != 1) {
        sim_fail(&story->world, "it has not left");
    }
}

/* A has no room on its disk: it refuses to forget C. It hears of it from B all the same, and notes
 * it as soon as there is room. */
static void m15_no_room_to_note_who_is_gone(struct story *story) {
    static const unsigned rest[] = {A, B};
    char command[80];
    start(story, 3);
    (void)say(story, C, "SADD s 1");
    agree(story);
    (void)snprintf(command, sizeof(command), "MESH FORGET %s", at(story, C)->node_id);
    sim_kill(at(story, C));
    wait_ms(story, 30000);
    at(story, A)->disk.capacity = at(story, A)->disk.used;
    bool is_null = false;
    sim_call(at(story, A), 1, on_nothing, &is_null, 0, "SADD s 2"); /* it gets no answer yet */
    wait_ms(story, 200);
    expect_error(story, A, "SADD s 3", "MISCONF");
    expect_error(story, A, command, "MISCONF");
    (void)say(story, B, command);
    wait_ms(story, 3000);
    if (stats_of(story, A).members != 2) {
        sim_fail(&story->world, "A has not heard of it");
    }
    at(story, A)->disk.capacity = 0;
    wait_ms(story, 1000);
    cut(story, A, B);
    sim_lose_power(at(story, A));
    sim_lose_power(at(story, B));
    sim_start(at(story, A));
    wait_ms(story, 5000);
    if (stats_of(story, A).members != 2) {
        sim_fail(&story->world, "A has not noted it");
    }
    sim_start(at(story, B));
    mend(story, A, B);
    wait_ms(story, 5000);
    expect_settled(story, rest, 2);
}

/* B is put back to the time before C was gone, which was so long ago that nobody speaks of it any
 * more. It asks by speaking of C, and is told. */
static void put_back_to_before(struct story *story, bool leaves) {
    static const unsigned rest[] = {A, B};
    for (unsigned i = 0; i < 3; i++) {
        sim_configure(at(story, i), "mesh-forget-after 120\n");
    }
    start(story, 3);
    (void)say(story, C, "SADD s 1");
    agree(story);
    sim_disk_copy(&at(story, B)->copy, &at(story, B)->disk);
    if (leaves) {
        (void)say(story, C, "MESH LEAVE");
    }
    sim_kill(at(story, C));
    if (!leaves) {
        forget(story, A, C);
    }
    wait_ms(story, 70000);
    (void)say(story, B, "SADD s 2");
    wait_ms(story, 1000);
    sim_kill(at(story, B));
    sim_disk_copy(&at(story, B)->disk, &at(story, B)->copy);
    sim_start(at(story, B));
    wait_ms(story, 20000);
    expect_settled(story, rest, 2);
    expect(story, B, "SCARD s", "2");
}

static void m15_put_back_to_before_one_left(struct story *story) {
    put_back_to_before(story, true);
}

static void m15_put_back_to_before_one_was_forgotten(struct story *story) {
    put_back_to_before(story, false);
}

static const struct story_row rows[] = {
    STORY(m15_left_and_all_restarted),
    STORY(m15_left_and_all_restarted_at_once),
    STORY(m15_forgotten_and_all_restarted),
    STORY(m15_forgotten_and_all_restarted_at_once),
    STORY(m15_left_and_stayed),
    STORY(m15_left_and_wrote_on),
    STORY(m15_left_and_wrote_on_and_all_restarted),
    STORY(m15_one_knows_when_all_restart),
    STORY(m15_left_where_there_is_no_log),
    STORY(m15_no_room_to_note_who_is_gone),
    STORY(m15_put_back_to_before_one_left),
    STORY(m15_put_back_to_before_one_was_forgotten),
};

const struct story_list sim_stories_gone = {rows, sizeof(rows) / sizeof(rows[0])};
