/* SPDX-License-Identifier: BSD-3-Clause */
/* Stories of values: what concurrent operations become, one small play each. */
#include "sim/sim_story.h"

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

static void keep_short_logs(struct story *story) {
    for (unsigned i = 0; i < 3; i++) {
        sim_configure(at(story, i), "mesh-backlog-size 64kb\nlog-segment-size 64kb\n"
                                    "auto-aof-rewrite-min-size 8kb\nlog-retention-size 0\n");
    }
}

/* A and B write more than their logs keep. */
static void outgrow_the_logs(struct story *story) {
    char value[3100], command[3200];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (unsigned i = 0; i < 120; i++) {
        (void)snprintf(command, sizeof(command), "SET fill%u %s", i % 20, value);
        (void)say(story, i % 2, command);
        wait_ms(story, 50);
    }
}

/* C was away past every limit, and it alone has something. */
static void k2_back_from_beyond_the_log(struct story *story) {
    keep_short_logs(story);
    start(story, 3);
    (void)say(story, A, "SET k v");
    agree(story);
    apart(story);
    (void)say(story, C, "SET z 1");
    sim_kill(at(story, C));
    mend(story, A, B);
    (void)say(story, A, "DEL k");
    outgrow_the_logs(story);
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

/* What C's DEL took off, nobody else knows; and C's own log is applied to what the others have. */
static void h4_deleted_untold_from_beyond_the_log(struct story *story) {
    keep_short_logs(story);
    start(story, 3);
    (void)say(story, B, "HINCRBY h f 2");
    (void)say(story, A, "HINCRBY h f 4");
    (void)say(story, B, "HINCRBY h g 8");
    (void)say(story, A, "ZINCRBY z 0.5 m");
    agree(story);
    apart(story);
    (void)say(story, C, "DEL h z");
    (void)say(story, C, "HINCRBY h f 1000");
    sim_kill(at(story, C));
    mend(story, A, B);
    (void)say(story, B, "HINCRBY h f 100");
    (void)say(story, A, "ZINCRBY z 16 m");
    outgrow_the_logs(story);
    for_pairs(story, mend);
    sim_start(at(story, C));
    agree(story);
    expect_all(story, "HGETALL h", "f 1100");
    expect_all(story, "ZRANGE z 0 -1 WITHSCORES", "m 16");
    if (stats_of(story, C).syncs_snapshot == 0) {
        sim_fail(&story->world, "the log served although it could not reach back");
    }
}

/* B never hears A itself; C has asked A, and is asked by B. */
static void h4_deleted_untold_and_passed_on(struct story *story) {
    start(story, 3);
    (void)say(story, A, "HINCRBY h f 1");
    (void)say(story, B, "HINCRBY h f 2");
    (void)say(story, C, "HINCRBY h f 4");
    (void)say(story, B, "HINCRBY h g 8");
    agree(story);
    apart(story);
    (void)say(story, A, "DEL h");
    (void)say(story, B, "HINCRBY h f 100");
    (void)say(story, B, "HINCRBY h g 200");
    (void)say(story, C, "HINCRBY h f 1000");
    mend(story, A, C);
    wait_ms(story, 2000);
    expect(story, C, "HGETALL h", "f 1000");
    mend(story, B, C);
    wait_ms(story, 5000);
    expect_all(story, "MULTI;HGET h f;HGET h g;HLEN h;EXEC", "1100 200 2");
    if (stats_of(story, A).answers_out == 0 || stats_of(story, C).answers_out == 0) {
        sim_fail(&story->world, "nobody was asked");
    }
    together(story);
    agree(story);
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

static const struct story_row rows[] = {
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
    STORY(h4_deleted_untold_from_beyond_the_log),
    STORY(h4_deleted_untold_and_passed_on),
    STORY(k2_the_log_is_trimmed_while_parts_come),
    STORY(k2_the_log_is_damaged_while_parts_come),
    STORY(k3_rename_beside_a_set),
    STORY(k4_flushall_beside_a_set),
    STORY(k6_units_are_never_half_seen),
    STORY(k7_a_remote_change_breaks_watch),
    STORY(k9_no_effect_without_its_cause),
    STORY(k10_nothing_is_sent_for_nothing),
};

const struct story_list sim_stories_values = {rows, sizeof(rows) / sizeof(rows[0])};
