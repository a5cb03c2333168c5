/* SPDX-License-Identifier: BSD-3-Clause */
/* Stories: what concurrent operations become, one small play each, on nodes A, B and C.
 *
 * Each begins with three nodes that are linked and hold nothing. `apart` cuts all links, `together`
 * heals them and waits until all agree. Names are those of the table of concurrent operations in
 * docs/mesh.md; M is its list of how the mesh behaves. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/memory.h"
#include "mesh/mesh.h"
#include "sim/sim_main.h"

enum { A, B, C, D, E };
enum { STORY_NODES_MAX = 5, AGREE_US_MAX = 60 * 1000 * 1000 };

struct story {
    struct sim_world world;
    struct buffer text; /* the last answer */
};

/* ---- the words ---- */

static struct sim_node *at(struct story *story, unsigned node) {
    return &story->world.nodes[node];
}

static void wait_ms(struct story *story, uint64_t ms) {
    sim_run_for(&story->world, ms * SIM_MS);
}

static void configure(struct story *story, unsigned i, unsigned seeds) {
    struct sim_node *node = at(story, i);
    sim_configure(node,
                  "databases 4\nappendonly yes\nappendfsync always\nsave \"\"\n"
                  "mesh-port 17000\nmesh-announce-addr %s\n",
                  node->address);
    struct buffer line = {0};
    for (unsigned seed = 0; seed < seeds; seed++) {
        buffer_printf(&line, " %s", at(story, seed)->address);
    }
    sim_configure(node, "mesh-seeds%s\n", buffer_text(&line));
    buffer_deinit(&line);
}

static bool is_linked(struct story *story, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        struct mesh_stats stats;
        if (at(story, i)->node == NULL || at(story, i)->node->mesh == NULL) {
            return false;
        }
        mesh_get_stats(at(story, i)->node->mesh, &stats);
        if (stats.alive < count - 1 || stats.links_up < count - 1 || stats.is_joining) {
            return false;
        }
    }
    return true;
}

/* Waits until the first `count` nodes are linked with one another, and live. */
static void link_all(struct story *story, unsigned count) {
    uint64_t until_us = story->world.now_us + AGREE_US_MAX;
    while (!is_linked(story, count) && !sim_has_failed(&story->world)) {
        if (story->world.now_us > until_us) {
            sim_fail(&story->world, "the nodes do not find one another");
        }
        wait_ms(story, 100);
    }
}

static void start(struct story *story, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        sim_start(at(story, i));
    }
    link_all(story, count);
}

static void cut(struct story *story, unsigned a, unsigned b) {
    sim_network_cut(&story->world, a, b, true);
    sim_network_cut(&story->world, b, a, true);
}

static void mend(struct story *story, unsigned a, unsigned b) {
    sim_network_cut(&story->world, a, b, false);
    sim_network_cut(&story->world, b, a, false);
}

static void for_pairs(struct story *story, void (*what)(struct story *, unsigned, unsigned)) {
    for (unsigned a = 0; a < story->world.nodes_count; a++) {
        for (unsigned b = 0; b < a; b++) {
            what(story, a, b);
        }
    }
}

static void apart(struct story *story) {
    for_pairs(story, cut);
}

static void agree(struct story *story) {
    uint64_t until_us = story->world.now_us + AGREE_US_MAX;
    wait_ms(story, 3000);
    while (!sim_has_converged(&story->world) && !sim_has_failed(&story->world)) {
        if (story->world.now_us > until_us) {
            sim_fail(&story->world, "the nodes do not agree");
        }
        wait_ms(story, 500);
    }
}

static void together(struct story *story) {
    for_pairs(story, mend);
    agree(story);
}

/* A command of one word after another; errors are failures. The answer is in story->text. */
static const char *say(struct story *story, unsigned node, const char *command) {
    sim_note(&story->world, "%c: %s", 'A' + (int)node, command);
    if (!sim_has_failed(&story->world) &&
        !sim_ask(at(story, node), 0, &story->text, "%s", command)) {
        sim_fail(&story->world, "%c answers %s with an error: %s", 'A' + (int)node, command,
                 buffer_text(&story->text));
    }
    wait_ms(story, 2); /* so that stamps have an order in time */
    return buffer_text(&story->text);
}

/* What the node answers must be this; "" is null. */
static void expect(struct story *story, unsigned node, const char *command, const char *expected) {
    if (sim_has_failed(&story->world)) {
        return;
    }
    (void)sim_ask(at(story, node), 0, &story->text, "%s", command);
    if (strcmp(buffer_text(&story->text), expected) != 0) {
        sim_fail(&story->world, "%c answers %s with '%s', not '%s'", 'A' + (int)node, command,
                 buffer_text(&story->text), expected);
    }
}

static void expect_all(struct story *story, const char *command, const char *expected) {
    for (unsigned i = 0; i < story->world.nodes_count; i++) {
        if (at(story, i)->node != NULL) {
            expect(story, i, command, expected);
        }
    }
}

static void expect_error(struct story *story, unsigned node, const char *command,
                         const char *code) {
    if (!sim_has_failed(&story->world) &&
        (sim_ask(at(story, node), 0, &story->text, "%s", command) ||
         strncmp(buffer_text(&story->text), code, strlen(code)) != 0)) {
        sim_fail(&story->world, "%c answers %s with '%s', not -%s", 'A' + (int)node, command,
                 buffer_text(&story->text), code);
    }
}

static long long number(struct story *story, unsigned node, const char *command) {
    return strtoll(say(story, node, command), NULL, 10);
}

static struct mesh_stats stats_of(struct story *story, unsigned node) {
    struct mesh_stats stats = {0};
    mesh_get_stats(at(story, node)->node->mesh, &stats);
    return stats;
}

static void restart(struct story *story, unsigned node) {
    sim_start(at(story, node));
    link_all(story, story->world.nodes_count);
}

/* Waits until nobody joins any more. */
static void wait_until_ready(struct story *story, unsigned count) {
    uint64_t until_us = story->world.now_us + 2 * AGREE_US_MAX;
    while (!is_linked(story, count) && !sim_has_failed(&story->world)) {
        if (story->world.now_us > until_us) {
            sim_fail(&story->world, "somebody goes on joining");
        }
        wait_ms(story, 100);
    }
}

/* Before, A and B, after. */
static void plain(struct story *story, const char *before, const char *of_a, const char *of_b,
                  const char *asked, const char *expected) {
    start(story, 3);
    if (before != NULL) {
        (void)say(story, A, before);
        agree(story);
    }
    apart(story);
    (void)say(story, A, of_a);
    wait_ms(story, 20);
    (void)say(story, B, of_b);
    together(story);
    expect_all(story, asked, expected);
}

/* ---- strings ---- */

static void s1_the_later_set_wins(struct story *story) {
    plain(story, NULL, "SET t a", "SET t b", "GET t", "b");
}

static void s2_equal_clocks_and_one_winner(struct story *story) {
    start(story, 3);
    apart(story);
    wait_ms(story, 100);
    struct buffer other = {0};
    (void)sim_ask(at(story, A), 0, &other, "SET t a");
    (void)sim_ask(at(story, B), 0, &other, "SET t b");
    together(story);
    buffer_deinit(&other);
    const char *winner = strcmp(say(story, A, "GET t"), "a") == 0 ? "a" : "b";
    expect_all(story, "GET t", winner);
}

static void s3_what_saw_the_other_wins(struct story *story) {
    at(story, B)->clock_offset_ms = -3000;
    start(story, 3);
    (void)say(story, A, "SET t a");
    agree(story);
    (void)say(story, B, "SET t b");
    agree(story);
    expect_all(story, "GET t", "b");
}

static void s4_appends_do_not_mix(struct story *story) {
    start(story, 3);
    (void)say(story, A, "SET k base");
    agree(story);
    apart(story);
    (void)say(story, A, "APPEND k x");
    (void)say(story, B, "APPEND k y");
    together(story);
    const char *winner = strcmp(say(story, A, "GET k"), "basex") == 0 ? "basex" : "basey";
    expect_all(story, "GET k", winner);
}

static void s5_bits_of_a_large_bitmap(struct story *story) {
    plain(story, "SETBIT b 8388607 0", "SETBIT b 0 1", "SETBIT b 8000000 1",
          "MULTI;GETBIT b 0;GETBIT b 8000000;EXEC", "1 1");
}

static void s6_a_delete_had_not_seen_it(struct story *story) {
    plain(story, "SET k 1", "SET k 2", "DEL k", "GET k", "2");
}

static void s7_two_deletes(struct story *story) {
    plain(story, "SET k 1", "DEL k", "DEL k", "EXISTS k", "0");
}

static void s8_nx_is_no_lock(struct story *story) {
    plain(story, NULL, "SET k a NX", "SET k b NX", "GET k", "b");
}

static void s9_value_and_expiry_together(struct story *story) {
    start(story, 3);
    (void)say(story, A, "SET k w EX 100");
    for (unsigned i = 0; i < 100; i++) {
        wait_ms(story, 1);
        (void)sim_ask(at(story, B), 0, &story->text, "MULTI;GET k;TTL k;EXEC");
        if (strcmp(buffer_text(&story->text), "- -2") != 0 &&
            strcmp(buffer_text(&story->text), "w 100") != 0) {
            sim_fail(&story->world, "B shows %s", buffer_text(&story->text));
        }
    }
    expect_all(story, "GET k", "w");
}

static void s10_a_delete_of_one_of_two(struct story *story) {
    start(story, 3);
    apart(story);
    (void)say(story, A, "SET k 1");
    (void)say(story, B, "SET k 2");
    mend(story, B, C);
    wait_ms(story, 8000);
    expect(story, C, "GET k", "2");
    (void)say(story, C, "DEL k");
    wait_ms(story, 500);
    expect(story, C, "EXISTS k", "0");
    together(story);
    expect_all(story, "GET k", "1");
}

/* As S10, but C learns of 1 before its delete reaches anybody, and the others settle meanwhile. */
static void s11_the_strict_frontier(struct story *story) {
    start(story, 3);
    apart(story);
    (void)say(story, A, "SET k 1");
    (void)say(story, B, "SET k 2");
    mend(story, B, C);
    wait_ms(story, 8000);
    expect(story, C, "GET k", "2");
    mend(story, A, B);
    sim_path(&story->world, C, A)->delay_us = 3000000;
    sim_path(&story->world, C, B)->delay_us = 3000000;
    (void)say(story, C, "DEL k");
    mend(story, A, C);
    wait_ms(story, 20000);
    sim_path(&story->world, C, A)->delay_us = 0;
    sim_path(&story->world, C, B)->delay_us = 0;
    together(story);
    expect_all(story, "GET k", "1");
}

/* ---- counters ---- */

static void c1_increments_add_up(struct story *story) {
    plain(story, NULL, "INCRBY c 7", "INCRBY c 3", "GET c", "10");
}

static void c2_up_and_down(struct story *story) {
    plain(story, "SET c 10", "DECRBY c 3", "INCRBY c 6", "GET c", "13");
}

static void c3_set_and_increment(struct story *story) {
    plain(story, "SET c 10", "SET c 100", "INCRBY c 5", "GET c", "105");
}

static void c4_delete_and_increment(struct story *story) {
    plain(story, "SET c 10", "DEL c", "INCRBY c 5", "GET c", "5");
}

static void c5_two_sets_and_an_increment(struct story *story) {
    start(story, 3);
    (void)say(story, A, "SET c 10");
    agree(story);
    apart(story);
    (void)say(story, A, "SET c 100");
    (void)say(story, C, "INCRBY c 7");
    (void)say(story, B, "SET c 200");
    together(story);
    expect_all(story, "GET c", "207");
}

static void c6_text_over_a_counter(struct story *story) {
    plain(story, "SET c 10", "SET c abc", "INCR c", "GET c", "abc");
    if (number(story, C, "DBSIZE") != 1) {
        sim_fail(&story->world, "there is one key");
    }
}

static void c7_floats_in_one_order(struct story *story) {
    plain(story, "SET c 0", "INCRBYFLOAT c 0.1", "INCRBYFLOAT c 0.2", "GET c", "0.3");
}

static void c8_delivered_again(struct story *story) {
    story->world.frame_faults_per_10000 = 3000;
    start(story, 3);
    (void)say(story, A, "INCR c");
    for (unsigned i = 0; i < 20; i++) {
        (void)say(story, B, "INCR d");
    }
    story->world.frame_faults_per_10000 = 0;
    agree(story);
    expect_all(story, "GET c", "1");
    expect_all(story, "GET d", "20");
}

static void c9_killed_after_an_increment(struct story *story) {
    start(story, 3);
    (void)say(story, A, "SET c 5");
    (void)say(story, A, "INCRBY c 5");
    sim_kill(at(story, A));
    restart(story, A);
    (void)say(story, A, "INCRBY c 5");
    agree(story);
    expect_all(story, "GET c", "15");
}

static void c10_restored_from_an_old_copy(struct story *story) {
    start(story, 3);
    for (unsigned i = 0; i < 5; i++) {
        (void)say(story, A, "INCR c");
    }
    agree(story);
    sim_disk_copy(&at(story, A)->copy, &at(story, A)->disk);
    for (unsigned i = 0; i < 5; i++) {
        (void)say(story, A, "INCR c");
    }
    agree(story);
    sim_kill(at(story, A));
    sim_disk_copy(&at(story, A)->disk, &at(story, A)->copy);
    /* It writes before it has heard from anybody: after three seconds it begins by itself. */
    apart(story);
    sim_start(at(story, A));
    wait_ms(story, 3500);
    expect(story, A, "GET c", "5");
    (void)say(story, A, "INCR c");
    together(story);
    expect_all(story, "GET c", "11");
}

static void c11_sums_saturate(struct story *story) {
    start(story, 3);
    (void)say(story, A, "SET c 9223372036854775806");
    agree(story);
    apart(story);
    (void)say(story, A, "INCR c");
    expect_error(story, A, "INCR c", "ERR increment or decrement would overflow");
    (void)say(story, B, "INCR c");
    together(story);
    expect_all(story, "GET c", "9223372036854775807");
}

static void c12_many_increments_and_a_restart(struct story *story) {
    start(story, 3);
    for (unsigned i = 0; i < 100; i++) {
        for (unsigned node = 0; node < 3; node++) {
            if (i != 50 || node != 1) {
                (void)say(story, node, "INCR c");
            }
        }
        if (i == 50) {
            sim_kill(at(story, B));
            restart(story, B);
            (void)say(story, B, "INCR c");
        }
    }
    agree(story);
    expect_all(story, "GET c", "300");
}

/* ---- HyperLogLog ---- */

static void p1_elements_join(struct story *story) {
    plain(story, NULL, "PFADD h x", "PFADD h y", "PFCOUNT h", "2");
}

static void p2_added_beside_a_delete(struct story *story) {
    plain(story, "PFADD h e1", "PFADD h e2", "DEL h", "PFCOUNT h", "1");
    expect_all(story, "EXISTS h", "1");
}

/* ---- expiry ---- */

static void t1_the_later_expiry_wins(struct story *story) {
    plain(story, "SET k v", "EXPIRE k 1000", "EXPIRE k 5000", "GET k", "v");
    for (unsigned i = 0; i < 3; i++) {
        if (number(story, i, "TTL k") < 4900) {
            sim_fail(&story->world, "the longer expiry was lost");
        }
    }
}

static void t2_persist_is_never(struct story *story) {
    start(story, 3);
    (void)say(story, A, "SET k v EX 3000");
    agree(story);
    apart(story);
    (void)say(story, A, "EXPIRE k 5000");
    (void)say(story, B, "PERSIST k");
    together(story);
    expect_all(story, "TTL k", "-1");
}

static void t3_a_shorter_one_that_had_seen_it(struct story *story) {
    start(story, 3);
    (void)say(story, A, "SET k v EX 5000");
    agree(story);
    (void)say(story, B, "EXPIRE k 1000");
    agree(story);
    for (unsigned i = 0; i < 3; i++) {
        if (number(story, i, "TTL k") > 1000) {
            sim_fail(&story->world, "the shorter expiry was lost");
        }
    }
}

static void t5_received_late_gone_at_one_instant(struct story *story) {
    start(story, 3);
    cut(story, A, B);
    cut(story, C, B);
    (void)say(story, A, "SET k v PX 5000");
    wait_ms(story, 2000);
    for_pairs(story, mend);
    wait_ms(story, 1500);
    long long rest = number(story, B, "PTTL k");
    if (rest < 1000 || rest > 1600) {
        sim_fail(&story->world, "PTTL is %lld", rest);
    }
    wait_ms(story, (uint64_t)rest + 5);
    expect_all(story, "EXISTS k", "0");
}

/* ---- keys ---- */

static void k1_deleted_while_one_was_down(struct story *story) {
    start(story, 3);
    (void)say(story, A, "SET k v");
    agree(story);
    sim_kill(at(story, C));
    (void)say(story, A, "DEL k");
    wait_ms(story, 3000);
    restart(story, C);
    agree(story);
    expect_all(story, "EXISTS k", "0");
}

/* C was away past every limit, and it alone has something. */
static void k2_back_from_beyond_the_log(struct story *story) {
    for (unsigned i = 0; i < 3; i++) {
        sim_configure(at(story, i), "mesh-backlog-size 64kb\nlog-segment-size 64kb\n"
                                    "auto-aof-rewrite-min-size 8kb\nlog-retention-size 0\n");
    }
    start(story, 3);
    (void)say(story, A, "SET k v");
    agree(story);
    apart(story);
    (void)say(story, C, "SET z 1");
    sim_kill(at(story, C));
    mend(story, A, B);
    (void)say(story, A, "DEL k");
    char value[3100], command[3200];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (unsigned i = 0; i < 120; i++) {
        (void)snprintf(command, sizeof(command), "SET fill%u %s", i % 20, value);
        (void)say(story, i % 2, command);
        wait_ms(story, 50);
    }
    for_pairs(story, mend);
    sim_start(at(story, C));
    agree(story);
    expect_all(story, "EXISTS k", "0");
    expect_all(story, "GET z", "1");
    struct mesh_stats stats = stats_of(story, C);
    if (stats.syncs_snapshot == 0 && stats_of(story, A).syncs_snapshot == 0 &&
        stats_of(story, B).syncs_snapshot == 0) {
        sim_fail(&story->world, "nobody took a snapshot over");
    }
}

/* C was down while A and B wrote more than their logs hold, and has written what they lack; of that
 * it told B alone a bit. It takes over the state of A, and once so many parts are here its log
 * loses just that, by `lose`. What is here is merged then: nothing of what C has acknowledged is
 * gone, and nothing of what A deleted is back. */
static void the_log_is_lost_while_parts_come(struct story *story, unsigned parts,
                                             void (*lose)(struct story *story)) {
    for (unsigned i = 0; i < 2; i++) {
        sim_configure(at(story, i), "mesh-backlog-size 64kb\nlog-segment-size 64kb\n"
                                    "auto-aof-rewrite-min-size 8kb\nlog-retention-size 0\n");
    }
    start(story, 3);
    (void)say(story, A, "SET k v");
    agree(story);
    cut(story, A, B);
    cut(story, A, C);
    (void)say(story, C, "SET told 1");
    wait_ms(story, 500);
    expect(story, B, "GET told", "1");
    cut(story, B, C);
    (void)say(story, C, "SET untold 1");
    (void)say(story, C, "BGREWRITEAOF");
    wait_ms(story, 1000);
    sim_kill(at(story, C));
    wait_ms(story, 20000); /* the links end */
    (void)say(story, A, "DEL k");
    char value[3100], command[3200];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (unsigned i = 0; i < 60; i++) {
        (void)snprintf(command, sizeof(command), "SET fill%u %s", i % 20, value);
        (void)say(story, A, command);
        (void)say(story, B, command);
        wait_ms(story, 50);
    }
    mend(story, A, C);
    sim_path(&story->world, A, C)->delay_us = 50000;
    sim_start(at(story, C));
    uint64_t until_us = story->world.now_us + AGREE_US_MAX;
    while (stats_of(story, C).parts_in < parts && !sim_has_failed(&story->world)) {
        if (story->world.now_us > until_us) {
            sim_fail(&story->world, "C takes over nothing");
        }
        sim_run_for(&story->world, 10);
    }
    lose(story);
    sim_path(&story->world, A, C)->delay_us = 0;
    wait_ms(story, 20000);
    for_pairs(story, mend);
    wait_until_ready(story, 3);
    agree(story);
    expect_all(story, "EXISTS k", "0");
    expect_all(story, "GET told", "1");
    expect_all(story, "GET untold", "1");
}

static void lose_by_option(struct story *story) {
    (void)say(story, C, "CONFIG SET log-retention-size 0");
}

static void lose_by_damage(struct story *story) {
    struct sim_disk *disk = &at(story, C)->disk;
    for (unsigned i = 0; i < disk->names.count; i++) {
        struct sim_name *name = &disk->names.names[i];
        if (strstr(name->name, ".segment") != NULL) {
            struct buffer *bytes = &name->inode->bytes;
            for (size_t byte = 100; byte < bytes->size; byte += 7) {
                bytes->data[byte] = (char)(bytes->data[byte] ^ 0x55);
            }
        }
    }
}

static void k2_the_log_is_trimmed_while_parts_come(struct story *story) {
    the_log_is_lost_while_parts_come(story, 256, lose_by_option);
}

static void k2_the_log_is_damaged_while_parts_come(struct story *story) {
    the_log_is_lost_while_parts_come(story, 1, lose_by_damage);
}

static void k3_rename_beside_a_set(struct story *story) {
    plain(story, "SET k v", "RENAME k k2", "SET k 9", "MULTI;GET k;GET k2;EXEC", "9 v");
}

static void k4_flushall_beside_a_set(struct story *story) {
    plain(story, "SET a 1", "FLUSHALL", "SET b 1", "MULTI;GET a;GET b;DBSIZE;EXEC", "- 1 1");
}

static void k6_units_are_never_half_seen(struct story *story) {
    start(story, 3);
    for (unsigned i = 0; i < 30; i++) {
        char command[64];
        (void)snprintf(command, sizeof(command), "MULTI;SET x %u;SET y %u;EXEC", i, i);
        (void)say(story, i % 3, command);
        for (unsigned node = 0; node < 3; node++) {
            (void)sim_ask(at(story, node), 0, &story->text, "MULTI;GET x;GET y;EXEC");
            const char *text = buffer_text(&story->text);
            const char *blank = strchr(text, ' ');
            if (blank == NULL || strncmp(text, blank + 1, (size_t)(blank - text)) != 0) {
                sim_fail(&story->world, "half a unit: %s", text);
            }
        }
    }
    agree(story);
    expect_all(story, "MULTI;GET x;GET y;EXEC", "29 29");
}

static void on_nothing(struct sim_world *world, void *udata, uint64_t at_number,
                       const struct sim_reply *reply) {
    (void)world;
    (void)at_number;
    *(bool *)udata = reply->is_null;
}

static void k7_a_remote_change_breaks_watch(struct story *story) {
    bool is_null = false;
    start(story, 3);
    sim_call(at(story, B), 0, on_nothing, &is_null, 0, "WATCH k;MULTI;SET k 2");
    wait_ms(story, 50);
    (void)sim_ask(at(story, A), 0, &story->text, "SET k 1");
    agree(story);
    /* The same connection goes on: it is the only idle one of B's. */
    sim_call(at(story, B), 0, on_nothing, &is_null, 0, "EXEC");
    wait_ms(story, 50);
    if (!is_null) {
        sim_fail(&story->world, "EXEC was not refused");
    }
    expect_all(story, "GET k", "1");
}

static void k9_no_effect_without_its_cause(struct story *story) {
    start(story, 3);
    cut(story, A, C);
    (void)say(story, A, "SET k 1");
    wait_ms(story, 500);
    expect(story, B, "GET k", "1");
    (void)say(story, B, "SET k2 2");
    for (unsigned i = 0; i < 100; i++) {
        wait_ms(story, 50);
        (void)sim_ask(at(story, C), 0, &story->text, "MULTI;GET k2;GET k;EXEC");
        if (strcmp(buffer_text(&story->text), "2 -") == 0) {
            sim_fail(&story->world, "C shows the effect alone");
        }
    }
    /* B passes on what A cannot deliver. */
    expect(story, C, "MULTI;GET k2;GET k;EXEC", "2 1");
    together(story);
}

static void k10_nothing_is_sent_for_nothing(struct story *story) {
    start(story, 3);
    wait_ms(story, 2000);
    uint64_t before = stats_of(story, A).records_out,
             position = log_position(at(story, A)->node->log);
    (void)say(story, A, "DEL k");
    (void)say(story, A, "PERSIST k");
    (void)say(story, A, "GETDEL k");
    wait_ms(story, 1000);
    if (stats_of(story, A).records_out != before ||
        log_position(at(story, A)->node->log) != position) {
        sim_fail(&story->world, "something was recorded or sent");
    }
}

/* ---- how the mesh behaves ---- */

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

static unsigned state_of(struct story *story, unsigned node, enum mesh_state state) {
    struct mesh_stats stats = stats_of(story, node);
    return state == MESH_ALIVE ? stats.alive : state == MESH_SUSPECT ? stats.suspect : stats.dead;
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
    if (!has_log) {        /* D was heard within the last minute, and makes its own known itself */
        expect(story, A, "GET c", "11011");
        expect(story, C, "GET c", "11011");
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

/* ---- who is gone stays gone ---- */

static unsigned left_of(struct story *story, unsigned node) {
    struct mesh_stats stats = stats_of(story, node);
    return stats.members - 1 - stats.alive - stats.suspect - stats.dead;
}

/* `from` sees to it that `whom` is dead, and forgets it. */
static void forget(struct story *story, unsigned from, unsigned whom) {
    char command[80];
    for (unsigned i = 0; i < 300 && state_of(story, from, MESH_DEAD) == 0; i++) {
        wait_ms(story, 100);
    }
    (void)snprintf(command, sizeof(command), "MESH FORGET %s", at(story, whom)->node_id);
    (void)say(story, from, command);
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

/* ---- telling them ---- */

static const struct {
    const char *name;
    void (*tell)(struct story *story);
    unsigned nodes_count;
} STORIES[] = {
#define STORY(function)                                                                            \
    { #function, function, 3 }
    STORY(s1_the_later_set_wins),
    STORY(s2_equal_clocks_and_one_winner),
    STORY(s3_what_saw_the_other_wins),
    STORY(s4_appends_do_not_mix),
    STORY(s5_bits_of_a_large_bitmap),
    STORY(s6_a_delete_had_not_seen_it),
    STORY(s7_two_deletes),
    STORY(s8_nx_is_no_lock),
    STORY(s9_value_and_expiry_together),
    STORY(s10_a_delete_of_one_of_two),
    STORY(s11_the_strict_frontier),
    STORY(c1_increments_add_up),
    STORY(c2_up_and_down),
    STORY(c3_set_and_increment),
    STORY(c4_delete_and_increment),
    STORY(c5_two_sets_and_an_increment),
    STORY(c6_text_over_a_counter),
    STORY(c7_floats_in_one_order),
    STORY(c8_delivered_again),
    STORY(c9_killed_after_an_increment),
    STORY(c10_restored_from_an_old_copy),
    STORY(c11_sums_saturate),
    STORY(c12_many_increments_and_a_restart),
    STORY(p1_elements_join),
    STORY(p2_added_beside_a_delete),
    STORY(t1_the_later_expiry_wins),
    STORY(t2_persist_is_never),
    STORY(t3_a_shorter_one_that_had_seen_it),
    STORY(t5_received_late_gone_at_one_instant),
    STORY(k1_deleted_while_one_was_down),
    STORY(k2_back_from_beyond_the_log),
    STORY(k2_the_log_is_trimmed_while_parts_come),
    STORY(k2_the_log_is_damaged_while_parts_come),
    STORY(k3_rename_beside_a_set),
    STORY(k4_flushall_beside_a_set),
    STORY(k6_units_are_never_half_seen),
    STORY(k7_a_remote_change_breaks_watch),
    STORY(k9_no_effect_without_its_cause),
    STORY(k10_nothing_is_sent_for_nothing),
    STORY(m1_readable_within_a_batch),
    STORY(m3_inside_the_log_only_changes),
    STORY(m6_dead_within_ten_seconds),
    STORY(m6_bad_links_are_no_death),
    STORY(m7_two_clusters),
    STORY(m11_the_clock_goes_back_an_hour),
    STORY(m13_after_a_sync_come_changes),
    {"m14_a_quorum_of_peers", m14_a_quorum_of_peers, 5},
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
    {"m16_forgotten_by_who_restarts", m16_forgotten_by_who_restarts, 2},
    {"m16_forgotten_and_restarted", m16_forgotten_and_restarted, 2},
    {"m16_forgotten_and_all_restarted", m16_forgotten_and_all_restarted, 2},
    {"m16_forgotten_by_two_who_restart", m16_forgotten_by_who_restarts, 3},
    {"m16_forgotten_by_two_and_all_restarted", m16_forgotten_and_all_restarted, 3},
    STORY(m18_a_clock_five_minutes_ahead),
#undef STORY
};

/* In a process of its own: an assertion of a node ends only this story. */
static bool story_succeeds(size_t i, bool is_verbose) {
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        static struct story story;
        (void)alarm(60);
        sim_world_init(&story.world, 1, STORIES[i].nodes_count);
        story.world.is_verbose = is_verbose;
        for (unsigned node = 0; node < STORIES[i].nodes_count; node++) {
            configure(&story, node, STORIES[i].nodes_count);
        }
        STORIES[i].tell(&story);
        for (unsigned node = 0; node < STORIES[i].nodes_count; node++) {
            if (story.world.nodes[node].node != NULL && !sim_has_failed(&story.world)) {
                store_check(&story.world.nodes[node].node->store);
            }
        }
        bool is_good = !sim_has_failed(&story.world);
        if (!is_good) {
            (void)printf("%s: %s\n", STORIES[i].name, story.world.failure);
            (void)printf("    again: %s --stories --only %s --verbose\n", sim_program,
                         STORIES[i].name);
        }
        buffer_deinit(&story.text);
        sim_world_deinit(&story.world);
        (void)fflush(stdout);
        _exit(is_good ? 0 : 1);
    }
    int status = 0;
    bool is_over = child > 0 && waitpid(child, &status, 0) == child;
    if (is_over && WIFSIGNALED(status)) {
        (void)printf("%s: ended by signal %d\n", STORIES[i].name, WTERMSIG(status));
    }
    return is_over && status == 0;
}

int sim_stories(const char *only, bool is_verbose) {
    unsigned passed = 0, failed = 0;
    for (size_t i = 0; i < sizeof(STORIES) / sizeof(STORIES[0]); i++) {
        if (only == NULL || strstr(STORIES[i].name, only) != NULL) {
            bool is_good = story_succeeds(i, is_verbose);
            passed += is_good;
            failed += !is_good;
        }
    }
    (void)printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
