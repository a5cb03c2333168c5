/* SPDX-License-Identifier: BSD-3-Clause */
/* Stories of nodes that were forgotten, or put back to an old copy, and come back: what only they
 * had is there once, and what was deleted stays so. */
#include "sim/sim_story.h"

static void m16_forgotten_and_back(struct story *story) {
    start(story, 3);
    (void)say(story, C, "SET k 1");
    agree(story);
    sim_kill(at(story, C));
    wait_ms(story, 30000);
    char command[80];
    (void)snprintf(command, sizeof(command), "MESH FORGET %s", at(story, C)->node_id);
    (void)say(story, A, command);
    wait_ms(story, 5000);
    if (stats_of(story, A).members != stats_of(story, B).members) {
        sim_fail(&story->world, "A knows %u nodes, B %u", stats_of(story, A).members,
                 stats_of(story, B).members);
    }
    restart(story, C);
    (void)say(story, C, "SET k 2");
    agree(story);
    expect_all(story, "GET k", "2");
}

/* C was forgotten by A and B, and makes again what they lack of it; D was out of reach, has the
 * originals, and comes later. With `has_log` C reads in its log what A and B had folded away. */
static void originals_come_late(struct story *story, bool has_log) {
    start(story, 4);
    (void)say(story, C, "INCRBY c 1");
    (void)say(story, C, "HINCRBY h f 1");
    (void)say(story, A, "INCRBY c 1000");
    agree(story);
    wait_ms(story, 10000); /* it settles */
    cut(story, A, C);
    cut(story, B, C);
    cut(story, A, D);
    cut(story, B, D);
    (void)say(story, C, "INCRBY c 10");
    (void)say(story, C, "HINCRBY h f 2");
    (void)say(story, C, "SADD s 1");
    (void)say(story, D, "INCRBY c 100");
    wait_ms(story, 1000);
    expect(story, D, "GET c", "1111");
    cut(story, C, D);
    (void)say(story, D, "INCRBY c 100000"); /* nobody has this */
    (void)say(story, D, "HINCRBY h g 5");
    (void)say(story, D, "SADD s 2");
    if (has_log) {
        wait_ms(story, 30000);
        char command[80];
        (void)snprintf(command, sizeof(command), "MESH FORGET %s", at(story, C)->node_id);
        (void)say(story, A, command);
        wait_ms(story, 20000); /* its life is retired, its parts are folded */
        (void)say(story, A, "INCRBY c 10000");
    } else {
        sim_kill(at(story, D));
        sim_kill(at(story, C));
        wait_ms(story, 30000);
        char command[80];
        (void)snprintf(command, sizeof(command), "MESH FORGET %s", at(story, C)->node_id);
        (void)say(story, A, command);
        (void)say(story, A, "INCRBY c 10000");
        sim_start(at(story, C));
        sim_start(at(story, D));
    }
    mend(story, A, C);
    mend(story, B, C);
    wait_ms(story, 60000); /* C compares, and makes again what is new */
    if (!has_log) {        /* what D wrote, too: C has not heard it since its start */
        expect(story, A, "GET c", "11111");
        expect(story, C, "GET c", "11111");
    }
    for_pairs(story, mend);
    wait_until_ready(story, 4);
    agree(story);
    expect_all(story, "GET c", "111111");
    expect_all(story, "HGET h f", "3");
    expect_all(story, "HGET h g", "5");
    expect_all(story, "SCARD s", "2");
    (void)say(story, D, "INCRBY c 1");
    (void)say(story, C, "INCRBY c 1");
    agree(story);
    expect_all(story, "GET c", "111113");
}

static void m16_what_was_made_again_counts_once(struct story *story) {
    originals_come_late(story, true);
}

static void m16_after_a_restart_it_counts_once(struct story *story) {
    originals_come_late(story, false);
}

/* C was forgotten by A and B, and alone has seen what D has written last, when D dies. C makes that
 * known if D does not within a minute; and if D comes back even later, with more, it counts once.
 */
static void last_of_an_author(struct story *story, uint64_t comes_back_ms) {
    start(story, 4);
    (void)say(story, D, "INCRBY c 1");
    agree(story);
    for (unsigned b = C; b <= D; b++) {
        cut(story, A, b);
        cut(story, B, b);
    }
    wait_ms(story, 30000);
    char command[80];
    (void)snprintf(command, sizeof(command), "MESH FORGET %s", at(story, C)->node_id);
    (void)say(story, A, command);
    wait_ms(story, 20000);
    (void)say(story, D, "INCRBY c 10");
    (void)say(story, D, "HINCRBY h f 5");
    (void)say(story, D, "SADD s 1");
    wait_ms(story, 1000);
    expect(story, C, "GET c", "11");
    cut(story, C, D);
    (void)say(story, D, "INCRBY c 100"); /* nobody has this */
    sim_kill(at(story, D));
    for_pairs(story, mend);
    if (comes_back_ms != 0) {
        wait_ms(story, comes_back_ms);
        sim_start(at(story, D));
        wait_until_ready(story, 4);
    } else {
        wait_ms(story, 20000);
        wait_until_ready(story, 3);
    }
    agree(story);
    expect_all(story, "GET c", comes_back_ms != 0 ? "111" : "11");
    expect_all(story, "HGET h f", "5");
    expect_all(story, "SCARD s", "1");
    (void)say(story, C, "INCRBY c 1000");
    agree(story);
    expect_all(story, "GET c", comes_back_ms != 0 ? "1111" : "1011");
}

static void m16_the_last_of_who_is_gone_stays(struct story *story) {
    last_of_an_author(story, 0);
}

static void m16_the_last_of_who_comes_back_counts_once(struct story *story) {
    last_of_an_author(story, 30000);
}

static void m16_the_last_of_who_comes_late_counts_once(struct story *story) {
    last_of_an_author(story, 120000);
}

/* C has deleted what B wrote, and both forget C. It comes back to A, which has not heard of what B
 * wrote, but soon does. */
static void m16_deleted_before_the_others_had_it(struct story *story) {
    start(story, 3);
    (void)say(story, C, "SET c 1");
    agree(story);
    cut(story, A, B);
    cut(story, A, C);
    (void)say(story, B, "SET gone 1");
    (void)say(story, B, "SET stays 1");
    wait_ms(story, 1000);
    cut(story, B, C);
    (void)say(story, C, "DEL gone");
    wait_ms(story, 25000);
    char command[80];
    (void)snprintf(command, sizeof(command), "MESH FORGET %s", at(story, C)->node_id);
    (void)say(story, A, command);
    (void)say(story, B, command);
    wait_ms(story, 1000);
    mend(story, A, C);
    wait_ms(story, 22000); /* it would compare after ten seconds */
    mend(story, A, B);
    wait_ms(story, 1000);
    for_pairs(story, mend);
    wait_until_ready(story, 3);
    agree(story);
    expect_all(story, "EXISTS gone", "0");
    expect_all(story, "GET stays", "1");
}

/* C writes something and A deletes it, and B hears of neither. C is put back to the time between,
 * lacks what it has told B of, and meets B alone. What it makes again is what it wrote since, and
 * nothing of what it wrote before: B takes that as it is, and A's delete has seen it. */
static void put_back_beside_one_that_lags(struct story *story, bool has_log) {
    if (!has_log) {
        sim_configure(at(story, C), "log-retention-size 0\n");
    }
    start(story, 3);
    cut(story, A, B);
    cut(story, B, C);
    (void)say(story, A, "SET a 1");
    wait_ms(story, 500);
    (void)say(story, C, "SET gone 1");
    (void)say(story, C, "SET stays 1");
    wait_ms(story, 500);
    if (!has_log) {
        (void)say(story, C, "BGREWRITEAOF");
        wait_ms(story, 1000);
    }
    sim_disk_copy(&at(story, C)->copy, &at(story, C)->disk);
    (void)say(story, A, "DEL gone");
    (void)say(story, B, "SET b 1");
    mend(story, B, C);
    for (unsigned i = 0; i < 10000 && strcmp(say(story, C, "EXISTS b"), "1") != 0; i++) {
    }
    wait_ms(story, 20); /* it has told so; what it wrote waits at B for what A wrote */
    expect(story, B, "EXISTS stays", "0");
    cut(story, B, C);
    cut(story, A, C);
    sim_kill(at(story, C));
    sim_disk_copy(&at(story, C)->disk, &at(story, C)->copy);
    sim_start(at(story, C));
    wait_ms(story, 4000);
    expect(story, C, "MGET gone b", "1 -");
    if (has_log) {
        (void)say(story, C, "SET new 1");
    }
    mend(story, B, C);
    wait_ms(story, 30000);
    expect(story, B, "MGET stays new", has_log ? "1 1" : "1 -");
    expect(story, C, "GET b", "1");
    for_pairs(story, mend);
    wait_until_ready(story, 3);
    agree(story);
    expect_all(story, "EXISTS gone", "0");
    expect_all(story, "MGET stays a b", "1 1 1");
    expect_all(story, "EXISTS new", has_log ? "1" : "0");
}

static void m16_put_back_beside_one_that_lags(struct story *story) {
    put_back_beside_one_that_lags(story, true);
}

/* Likewise, but the log of C begins with the copy, so that B cannot have from it what C wrote
 * before, and C has written nothing since. It merges, and what it wrote keeps its stamps. */
static void m16_put_back_beside_one_that_lags_without_a_log(struct story *story) {
    put_back_beside_one_that_lags(story, false);
}

/* B has forgotten C, and settled what both had written; A is wiped, begins alone, and has more keys
 * than they. Both have to compare with it at the same time. What B has folded into one number, of
 * which C's share comes from C, and what C makes again are added up all the same. */
static void m16_two_compare_with_a_third(struct story *story) {
    start(story, 3);
    (void)say(story, C, "INCRBY c 1");
    (void)say(story, B, "INCRBY c 2");
    (void)say(story, B, "HINCRBY h f 2");
    (void)say(story, C, "HINCRBY h f 1");
    agree(story);
    sim_kill(at(story, B));
    restart(story, B);
    wait_until_ready(story, 3);
    agree(story);
    sim_kill(at(story, A));
    sim_kill(at(story, C));
    wait_ms(story, 25000);
    for (unsigned gone = A; gone <= C; gone += C - A) {
        char command[80];
        (void)snprintf(command, sizeof(command), "MESH FORGET %s", at(story, gone)->node_id);
        (void)say(story, B, command);
    }
    wait_ms(story, 3000); /* it settles, and its earlier life is retired */
    sim_kill(at(story, B));
    sim_disk_wipe(&at(story, A)->disk);
    sim_start(at(story, A));
    wait_ms(story, 5000);
    (void)say(story, A, "MSET k1 1 k2 2 k3 3 k4 4");
    sim_start(at(story, C));
    wait_ms(story, 30);
    sim_start(at(story, B));
    wait_ms(story, 30000);
    wait_until_ready(story, 3);
    agree(story);
    expect_all(story, "GET c", "3");
    expect_all(story, "HGET h f", "3");
    expect_all(story, "GET k4", "4");
}

/* A is wiped and begins alone, with more keys; for it both others have to compare. B has seen and
 * deleted what C wrote, and C has not heard of it: B compares first, whatever their ids are, since
 * C would make it again under a stamp that B's delete has not seen. */
static void who_has_deleted_compares_first(struct story *story, unsigned deletes, unsigned writes) {
    start(story, 3);
    (void)say(story, writes, "SET gone 1");
    (void)say(story, writes, "SET stays 1");
    agree(story);
    cut(story, B, C);
    sim_kill(at(story, A));
    (void)say(story, deletes, "DEL gone");
    wait_ms(story, 2000);
    sim_kill(at(story, B));
    sim_kill(at(story, C));
    sim_disk_wipe(&at(story, A)->disk);
    sim_start(at(story, A));
    wait_ms(story, 5000);
    (void)say(story, A, "MSET k1 1 k2 2 k3 3 k4 4");
    sim_start(at(story, B));
    sim_start(at(story, C));
    wait_ms(story, 2000);
    mend(story, B, C);
    wait_ms(story, 60000);
    wait_until_ready(story, 3);
    agree(story);
    expect_all(story, "EXISTS gone", "0");
    expect_all(story, "MGET stays k1 k4", "1 1 4");
}

static void m16_b_has_deleted_and_compares_first(struct story *story) {
    who_has_deleted_compares_first(story, B, C);
}

static void m16_c_has_deleted_and_compares_first(struct story *story) {
    who_has_deleted_compares_first(story, C, B);
}

/* B is put back to before its first life ended, of which A has retired two by then. Alone it begins
 * another one, takes over what A has, and deletes that. A has those lives again while it replays
 * its log: there, too, the deletes have seen what they wrote. */
static void deleted_by_one_that_was_put_back(struct story *story, bool a_restarts) {
    start(story, 2);
    (void)say(story, B, "SET before 1");
    agree(story);
    sim_disk_copy(&at(story, B)->copy, &at(story, B)->disk);
    (void)say(story, B, "INCRBY c 5");
    (void)say(story, B, "SADD s 1");
    agree(story);
    sim_kill(at(story, B));
    restart(story, B);
    (void)say(story, B, "INCRBY d 5");
    (void)say(story, B, "SADD t 1");
    agree(story);
    sim_kill(at(story, B));
    restart(story, B);
    (void)say(story, A, "SET k 1");
    agree(story);
    wait_ms(story, 60000);
    cut(story, A, B);
    sim_kill(at(story, B));
    sim_disk_copy(&at(story, B)->disk, &at(story, B)->copy);
    sim_start(at(story, B));
    wait_ms(story, 5000);
    (void)say(story, B, "SET alone 1");
    if (a_restarts) {
        sim_kill(at(story, A));
        sim_start(at(story, A));
        wait_ms(story, 5000);
    }
    mend(story, A, B);
    wait_until_ready(story, 2);
    agree(story);
    expect_all(story, "MGET c d", "5 5");
    (void)say(story, B, "DEL c d s t");
    agree(story);
    sim_kill(at(story, A));
    restart(story, A);
    agree(story);
    expect_all(story, "EXISTS c d s t", "0");
    expect_all(story, "MGET before k alone", "1 1 1");
}

static void m16_deleted_by_one_that_was_put_back(struct story *story) {
    deleted_by_one_that_was_put_back(story, false);
}

static void m16_deleted_by_one_that_was_put_back_and_taken(struct story *story) {
    deleted_by_one_that_was_put_back(story, true);
}

/* Likewise, but C has no log from before the copy, and meets A, which has seen all that C lacks.
 * A's state decides: what it has seen and does not have was deleted. */
static void m16_put_back_without_a_log(struct story *story) {
    sim_configure(at(story, C), "log-retention-size 0\n");
    start(story, 3);
    cut(story, A, B);
    cut(story, B, C);
    (void)say(story, C, "SET gone 1");
    (void)say(story, C, "SET stays 1");
    wait_ms(story, 500);
    (void)say(story, C, "BGREWRITEAOF");
    wait_ms(story, 1000);
    sim_disk_copy(&at(story, C)->copy, &at(story, C)->disk);
    (void)say(story, A, "DEL gone");
    (void)say(story, C, "SET later 1");
    wait_ms(story, 500);
    cut(story, A, C);
    sim_kill(at(story, C));
    sim_disk_copy(&at(story, C)->disk, &at(story, C)->copy);
    sim_start(at(story, C));
    wait_ms(story, 4000);
    expect(story, C, "MGET gone later", "1 -");
    (void)say(story, C, "SET new 1");
    mend(story, A, C);
    wait_ms(story, 30000);
    expect(story, C, "EXISTS gone", "0");
    for_pairs(story, mend);
    wait_until_ready(story, 3);
    agree(story);
    expect_all(story, "EXISTS gone", "0");
    expect_all(story, "MGET stays later new", "1 1 1");
}

/* A has forgotten B and retired its life, and restarts. That it had forgotten B it no longer knows,
 * but that the life was retired: what B wrote later in it is not taken, and B hears so. */
static void m16_forgotten_by_one_that_restarts(struct story *story) {
    start(story, 2);
    (void)say(story, A, "SET a 1");
    (void)say(story, B, "INCRBY c 1");
    agree(story);
    wait_ms(story, 10000);
    cut(story, A, B);
    (void)say(story, B, "INCRBY c 10");
    (void)say(story, B, "SET b 1");
    wait_ms(story, 30000);
    char command[80];
    (void)snprintf(command, sizeof(command), "MESH FORGET %s", at(story, B)->node_id);
    (void)say(story, A, command);
    wait_ms(story, 20000);
    (void)say(story, A, "INCRBY c 100");
    sim_kill(at(story, A));
    sim_start(at(story, A));
    wait_ms(story, 5000);
    mend(story, A, B);
    wait_ms(story, 1000);
    wait_until_ready(story, 2);
    agree(story);
    expect_all(story, "GET c", "111");
    expect_all(story, "GET b", "1");
}

/* A was cut off before B added something, and C after it had seen and deleted some of that. All
 * forget each other; B and C compare with A one after the other, and what the first one makes again
 * of what the second had deleted does not stay. */
static void m16_what_another_one_deletes_stays_deleted(struct story *story) {
    start(story, 3);
    for (unsigned i = 0; i < 3; i++) {
        (void)say(story, i, "CONFIG SET mesh-forget-after 2");
    }
    (void)say(story, A, "SET first 1");
    agree(story);
    cut(story, A, B);
    cut(story, A, C);
    for (unsigned i = 0; i < 40; i++) { /* so that the others compare with A */
        char command[20];
        (void)snprintf(command, sizeof(command), "SET a:%u 1", i);
        (void)say(story, A, command);
    }
    (void)say(story, B, "MSET gone 1 kept 1 over 1");
    (void)say(story, B, "SADD s gone kept");
    (void)say(story, B, "HSET h gone 1 kept 1 over 1");
    (void)say(story, B, "ZADD z 1.5 gone 2.5 kept");
    (void)say(story, C, "MSET deleted 1 also 1");
    wait_ms(story, 500);
    expect(story, C, "EXISTS gone kept over s h z", "6");
    expect(story, B, "EXISTS deleted also", "2");
    cut(story, B, C);
    (void)say(story, C, "DEL gone");
    (void)say(story, C, "SREM s gone");
    (void)say(story, C, "HDEL h gone");
    (void)say(story, C, "ZREM z gone");
    (void)say(story, C, "SET over 2");
    (void)say(story, C, "HSET h over 2");
    (void)say(story, B, "DEL deleted");
    (void)say(story, B, "SET late 1");
    wait_ms(story, 30000);
    mend(story, A, B);
    wait_ms(story, 20000);
    wait_until_ready(story, 2);
    for_pairs(story, mend);
    wait_ms(story, 20000);
    wait_until_ready(story, 3);
    agree(story);
    expect_all(story, "MGET first kept late also", "1 1 1 1");
    expect_all(story, "EXISTS gone deleted", "0");
    expect_all(story, "GET over", "2");
    expect_all(story, "SMEMBERS s", "kept");
    expect_all(story, "HMGET h gone kept over", "- 1 2");
    expect_all(story, "ZRANGE z 0 -1", "kept");
}

/* Whose id is the smallest: nobody else makes again for it what both know. */
static unsigned smallest(struct story *story) {
    unsigned found = A;
    for (unsigned i = B; i < story->world.nodes_count; i++) {
        if (strcmp(at(story, i)->node_id, at(story, found)->node_id) < 0) {
            found = i;
        }
    }
    return found;
}

/* One has deleted what it had seen of the others' increments, on its own side, and comes back to
 * one of them before the other, who was forgotten by it, compares, too. So it would make again what
 * is missing there of that one's, which is nothing; of what is there it has seen and deleted a
 * part. */
static void m16_deleted_of_one_who_compares_next(struct story *story) {
    start(story, 3);
    unsigned one = smallest(story);
    for (unsigned i = 0; i < 3; i++) {
        (void)say(story, i, "CONFIG SET mesh-forget-after 2");
        (void)say(story, i, "INCRBY c 1");
        (void)say(story, i, "INCRBYFLOAT f 1.5");
        (void)say(story, i, "HINCRBY h f 1");
        (void)say(story, i, "ZINCRBY z 1 m");
    }
    agree(story);
    wait_ms(story, 10000);
    for (unsigned i = 0; i < 3; i++) {
        if (i != one) {
            cut(story, one, i);
        }
    }
    (void)say(story, one, "DEL c f h z");
    (void)say(story, one, "INCRBY c 1000");
    unsigned other = one == A ? B : A;
    for (unsigned i = 0; i < 40; i++) { /* so that it compares with another */
        char command[20];
        (void)snprintf(command, sizeof(command), "SET b:%u 1", i);
        (void)say(story, other, command);
    }
    for (unsigned i = 0; i < 3; i++) {
        if (i != one) {
            (void)say(story, i, "INCRBY c 10");
            (void)say(story, i, "INCRBYFLOAT f 10");
            (void)say(story, i, "HINCRBY h f 10");
            (void)say(story, i, "ZINCRBY z 10 m");
        }
    }
    wait_ms(story, 20000);
    (void)say(story, one, "SET late 1"); /* so that it compares first */
    for_pairs(story, mend);
    wait_ms(story, 20000);
    wait_until_ready(story, 3);
    agree(story);
    expect_all(story, "MGET c f", "1020 20");
    expect_all(story, "HGET h f", "20");
    expect_all(story, "ZSCORE z m", "20");
}

/* B was forgotten. What all others have settled since is in their snapshots, the deletes that led
 * there are in no log any more, and they may have restarted, or B: it is B that comes back to them
 * and not they to B, and what was deleted of a counter stays deleted. */
static void forgotten_and_restarted(struct story *story, bool others_restart, bool b_restarts) {
    unsigned count = story->world.nodes_count;
    start(story, count);
    (void)say(story, A, "SET a 1");
    (void)say(story, A, "SET gone 1");
    (void)say(story, B, "INCRBY c 10");
    agree(story);
    wait_ms(story, 10000);
    for (unsigned i = 0; i < count; i++) {
        if (i != B) {
            cut(story, i, B);
        }
    }
    (void)say(story, B, "INCRBY c 5");
    (void)say(story, B, "SET b 1");
    (void)say(story, B, "SET a 2");
    wait_ms(story, 30000);
    (void)say(story, A, "DEL c gone");
    (void)say(story, A, "SET a 3");
    wait_ms(story, 500);
    char command[80];
    (void)snprintf(command, sizeof(command), "MESH FORGET %s", at(story, B)->node_id);
    (void)say(story, A, command);
    wait_ms(story, 10000);
    for (unsigned i = 0; i < count; i++) {
        if (i != B) {
            (void)say(story, i, "BGREWRITEAOF");
        }
    }
    wait_ms(story, 100);
    for (unsigned i = 0; i < count; i++) {
        if (i == B ? b_restarts : others_restart) {
            sim_kill(at(story, i));
            sim_start(at(story, i));
        }
    }
    wait_ms(story, 5000);
    for_pairs(story, mend);
    wait_ms(story, 1000);
    wait_until_ready(story, count);
    agree(story);
    expect_all(story, "GET b", "1");
    expect_all(story, "GET a", "3");
    expect_all(story, "EXISTS gone", "0");
    expect_all(story, "GET c", "5");
}

static void m16_forgotten_by_who_restarts(struct story *story) {
    forgotten_and_restarted(story, true, false);
}

static void m16_forgotten_and_restarted(struct story *story) {
    forgotten_and_restarted(story, false, true);
}

static void m16_forgotten_and_all_restarted(struct story *story) {
    forgotten_and_restarted(story, true, true);
}

/* A has not heard of what D counted, B and C have; then all are apart. C takes it off, and D some
 * of it itself, and both are gone for a while. B comes back to A first, and makes D's increments
 * again: it has heard of no removal. C, and then D, come later, and know that nothing of what was
 * taken off is to count again; what came after it does. */
static void m16_taken_off_of_what_another_makes_again(struct story *story) {
    start(story, 4);
    (void)say(story, A, "SET s 1");
    agree(story);
    for (unsigned i = B; i <= D; i++) {
        cut(story, A, i);
    }
    (void)say(story, D, "MSET none 1 other 2");
    (void)say(story, D, "INCRBY c 3");
    (void)say(story, D, "INCRBY own 3");
    (void)say(story, D, "INCRBY all 3");
    (void)say(story, D, "INCRBY set 3");
    (void)say(story, D, "INCRBYFLOAT f 1.5");
    (void)say(story, D, "HINCRBY h f 3");
    (void)say(story, D, "HINCRBY h own 3");
    (void)say(story, D, "ZINCRBY z 3 m");
    wait_ms(story, 1000);
    expect(story, B, "GET c", "3");
    for_pairs(story, cut);
    (void)say(story, C, "DEL c all f h z");
    (void)say(story, C, "SET set 50");
    (void)say(story, D, "DEL own");
    (void)say(story, D, "HDEL h own");
    wait_ms(story, 1000);
    sim_kill(at(story, C));
    sim_kill(at(story, D));
    wait_ms(story, 30000);
    for (unsigned i = B; i <= D; i++) {
        forget(story, A, i);
    }
    mend(story, A, B);
    wait_ms(story, 120000);
    expect(story, A, "MGET c own all set f", "3 3 3 3 1.5");
    (void)say(story, B, "INCRBY c 1000"); /* the same part goes on */
    (void)say(story, A, "INCRBY own 100");
    (void)say(story, B, "HINCRBY h f 1000");
    (void)say(story, B, "INCRBY set 1000");
    wait_ms(story, 1000);
    mend(story, A, C);
    mend(story, B, C);
    sim_start(at(story, C));
    wait_ms(story, 30000);
    expect(story, A, "MGET c own set", "1000 103 1050");
    expect(story, A, "EXISTS all f z", "0");
    expect(story, A, "HGET h f", "1000");
    for_pairs(story, mend);
    sim_start(at(story, D));
    wait_ms(story, 30000);
    wait_until_ready(story, 4);
    agree(story);
    expect_all(story, "MGET c own set", "1000 100 1050");
    expect_all(story, "EXISTS all f z", "0");
    expect_all(story, "HGETALL h", "f 1000");
}

static const struct story_row rows[] = {
    STORY(m16_forgotten_and_back),
    {"m16_what_was_made_again_counts_once", m16_what_was_made_again_counts_once, 4},
    {"m16_after_a_restart_it_counts_once", m16_after_a_restart_it_counts_once, 4},
    {"m16_the_last_of_who_is_gone_stays", m16_the_last_of_who_is_gone_stays, 4},
    {"m16_the_last_of_who_comes_back_counts_once", m16_the_last_of_who_comes_back_counts_once, 4},
    {"m16_the_last_of_who_comes_late_counts_once", m16_the_last_of_who_comes_late_counts_once, 4},
    STORY(m16_put_back_beside_one_that_lags),
    STORY(m16_put_back_beside_one_that_lags_without_a_log),
    STORY(m16_two_compare_with_a_third),
    STORY(m16_b_has_deleted_and_compares_first),
    STORY(m16_c_has_deleted_and_compares_first),
    STORY(m16_put_back_without_a_log),
    {"m16_deleted_by_one_that_was_put_back", m16_deleted_by_one_that_was_put_back, 2},
    {"m16_deleted_by_one_that_was_put_back_and_taken",
     m16_deleted_by_one_that_was_put_back_and_taken, 2},
    STORY(m16_deleted_before_the_others_had_it),
    {"m16_forgotten_by_one_that_restarts", m16_forgotten_by_one_that_restarts, 2},
    {"m16_what_another_one_deletes_stays_deleted", m16_what_another_one_deletes_stays_deleted, 3},
    STORY(m16_deleted_of_one_who_compares_next),
    {"m16_taken_off_of_what_another_makes_again", m16_taken_off_of_what_another_makes_again, 4},
    {"m16_forgotten_by_who_restarts", m16_forgotten_by_who_restarts, 2},
    {"m16_forgotten_and_restarted", m16_forgotten_and_restarted, 2},
    {"m16_forgotten_and_all_restarted", m16_forgotten_and_all_restarted, 2},
    {"m16_forgotten_by_two_who_restart", m16_forgotten_by_who_restarts, 3},
    {"m16_forgotten_by_two_and_all_restarted", m16_forgotten_and_all_restarted, 3},
};

const struct story_list sim_stories_forgotten = {rows, sizeof(rows) / sizeof(rows[0])};
