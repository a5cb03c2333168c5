/* SPDX-License-Identifier: BSD-3-Clause */
/* Broadcasts: the window of numbers against a set of them; whole, partial and cut links; long ones;
 * links that are full. */
#include "mesh_world.h"

static struct mesh_stats stats_of(const struct world_node *node) {
    struct mesh_stats stats;
    mesh_get_stats(node->mesh, &stats);
    return stats;
}

static void say(struct world *world, unsigned from, const char *text) {
    struct slice parts[] = {slice_of(text), SLICE("!")};
    mesh_broadcast(world->nodes[from].mesh, parts, 2);
}

/* How often a node heard a text. */
static unsigned heard(struct world *world, unsigned index, const char *text) {
    char line[64];
    unsigned count = 0;
    (void)snprintf(line, sizeof(line), "%s!\n", text);
    const char *all = buffer_text(&world->nodes[index].heard);
    for (const char *at = all; (at = strstr(at, line)) != NULL; at += strlen(line)) {
        count += at == all || at[-1] == '\n';
    }
    return count;
}

/* ---- the window ---- */

static void test_window(void **state) {
    (void)state;
    enum { NUMBERS = 40000 };
    static bool was_seen[NUMBERS + 1];
    struct broadcast_window window = {.ref = 1};
    struct prng prng;
    seed_prng(&prng, "broadcast_window", 0);
    uint64_t newest = 0, accepted = 0, refused = 0;
    for (unsigned i = 0; i < 200000; i++) {
        /* Near the newest, behind or before it, and now and then far off. */
        uint64_t reach = prng_below(&prng, 50) == 0 ? 2 * BROADCAST_WINDOW : 64;
        uint64_t number = newest + prng_below(&prng, reach / 8) + 1;
        uint64_t back = prng_below(&prng, reach);
        number = number > back ? number - back : 1;
        if (number > NUMBERS) {
            break;
        }
        bool is_old = newest >= number && newest - number >= BROADCAST_WINDOW;
        bool is_new = !is_old && !was_seen[number];
        assert_int_equal(broadcast_window_add(&window, number), is_new);
        accepted += is_new;
        refused += !is_new;
        was_seen[number] = was_seen[number] || is_new;
        newest = number > newest ? number : newest;
    }
    assert_true(accepted > 1000);
    assert_true(refused > 1000);
    assert_true(broadcast_window_add(&window, UINT64_MAX));
    assert_false(broadcast_window_add(&window, UINT64_MAX));
    assert_true(broadcast_window_add(&window, UINT64_MAX - 1));
    assert_false(broadcast_window_add(&window, 1));
}

/* ---- links ---- */

static void test_each_link_carries_one(void **state) {
    (void)state;
    struct world *world = world_started(5, 11);
    assert_true(world_links(world, 5000));
    world_run_ms(world, 3000);
    uint64_t frames = world->frames_by_type[MESH_FRAME_BROADCAST];
    say(world, 2, "hello");
    world_run_ms(world, 50);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(heard(world, i, "hello"), i != 2);
    }
    assert_int_equal(world->frames_by_type[MESH_FRAME_BROADCAST] - frames, 4);
    /* Those of one turn share a frame, and come in order. */
    say(world, 0, "one");
    say(world, 0, "two");
    world_run_ms(world, 50);
    assert_int_equal(world->frames_by_type[MESH_FRAME_BROADCAST] - frames, 8);
    assert_non_null(strstr(buffer_text(&world->nodes[4].heard), "one!\ntwo!\n"));
    assert_int_equal(stats_of(&world->nodes[0]).broadcasts_duplicate, 0);
    assert_int_equal(stats_of(&world->nodes[1]).broadcasts_relayed, 0);
    world_free(world);
}

static void test_it_comes_behind_the_write(void **state) {
    (void)state;
    struct world *world = world_started(2, 12);
    assert_true(world_links(world, 3000));
    world_run_ms(world, 1000);
    say(world, 0, "written");
    world_write(&world->nodes[0], 1, 11);
    while (heard(world, 1, "written") == 0) {
        world_step(world);
    }
    assert_true(world_is_equal(world));
    world_free(world);
}

static void test_nobody_is_there(void **state) {
    (void)state;
    struct world *world = world_started(1, 13);
    world_run_ms(world, 1000);
    say(world, 0, "alone");
    world_run_ms(world, 1000);
    assert_int_equal(stats_of(&world->nodes[0]).broadcasts_out, 0);
    assert_int_equal(stats_of(&world->nodes[0]).broadcasts_dropped, 0);
    world_free(world);
}

/* A chain: each node has links with its neighbours alone. */
static void test_chain(void **state) {
    (void)state;
    struct world *world = world_started(5, 14);
    assert_true(world_links(world, 5000));
    for (unsigned a = 0; a < 5; a++) {
        for (unsigned b = a + 2; b < 5; b++) {
            mesh_cut(world->nodes[a].mesh, world->nodes[b].address);
            mesh_cut(world->nodes[b].mesh, world->nodes[a].address);
        }
    }
    world_run_ms(world, 2000);
    for (unsigned from = 0; from < 5; from++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "from%u", from);
        uint64_t frames = world->frames_by_type[MESH_FRAME_BROADCAST];
        say(world, from, text);
        world_run_ms(world, 200);
        for (unsigned i = 0; i < 5; i++) {
            assert_int_equal(heard(world, i, text), i != from);
        }
        /* Never back to where it came from: one for each link. */
        assert_int_equal(world->frames_by_type[MESH_FRAME_BROADCAST] - frames, 4);
    }
    world_free(world);
}

/* Random cuts: once to each node that there is a way to, at most two frames for each link; what is
 * cut off hears nothing, then or later. */
static void test_random_cuts(void **state) {
    (void)state;
    enum { COUNT = 6, ROUNDS = 15 };
    struct prng prng;
    seed_prng(&prng, "broadcast_cuts", 0);
    struct world *world = world_started(COUNT, 15);
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool reaches[COUNT][COUNT] = {{false}};
        for (unsigned i = 0; i < COUNT; i++) {
            mesh_heal(world->nodes[i].mesh, "ALL");
        }
        assert_true(world_links(world, 20000));
        world_run_ms(world, 2000);
        unsigned links = 0;
        for (unsigned a = 0; a < COUNT; a++) {
            for (unsigned b = a + 1; b < COUNT; b++) {
                reaches[a][b] = reaches[b][a] = prng_below(&prng, 3) == 0;
                if (!reaches[a][b]) {
                    mesh_cut(world->nodes[a].mesh, world->nodes[b].address);
                    mesh_cut(world->nodes[b].mesh, world->nodes[a].address);
                } else {
                    links++;
                }
            }
        }
        world_run_ms(world, 100);
        for (unsigned via = 0; via < COUNT; via++) {
            for (unsigned a = 0; a < COUNT; a++) {
                for (unsigned b = 0; b < COUNT; b++) {
                    reaches[a][b] = reaches[a][b] || (reaches[a][via] && reaches[via][b]);
                }
            }
        }
        unsigned from = (unsigned)prng_below(&prng, COUNT);
        char text[16];
        (void)snprintf(text, sizeof(text), "round%u", round);
        uint64_t frames = world->frames_by_type[MESH_FRAME_BROADCAST];
        say(world, from, text);
        world_run_ms(world, 300);
        assert_true(world->frames_by_type[MESH_FRAME_BROADCAST] - frames <= (uint64_t)2 * links);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_int_equal(heard(world, i, text), i != from && reaches[from][i]);
        }
    }
    world_free(world);
}

static void test_another_life_is_another_origin(void **state) {
    (void)state;
    struct world *world = world_started(2, 16);
    assert_true(world_links(world, 3000));
    world_run_ms(world, 1000);
    say(world, 0, "before");
    world_run_ms(world, 50);
    world_restart(world, 0);
    assert_true(world_links(world, 20000));
    say(world, 0, "after");
    world_run_ms(world, 50);
    assert_int_equal(heard(world, 1, "before"), 1);
    assert_int_equal(heard(world, 1, "after"), 1);
    world_free(world);
}

/* ---- long ones, and links that are full ---- */

/* Nodes that do not compress: all bytes count. */
static struct world *world_plain(unsigned count, uint64_t seed) {
    struct world *world = world_new(count, seed);
    for (unsigned i = 0; i < count; i++) {
        world->nodes[i].settings.compression = MESH_COMPRESSION_NO;
        world_start(world, i);
    }
    assert_true(world_links(world, 3000));
    world_run_ms(world, 1000);
    return world;
}

static void say_long(struct world *world, unsigned from, size_t size, char letter) {
    char *text = memory_alloc(size);
    memset(text, letter, size);
    struct slice part = slice_make(text, size);
    mesh_broadcast(world->nodes[from].mesh, &part, 1);
    memory_free(text);
}

static void test_long_ones_go_in_pieces(void **state) {
    (void)state;
    enum { SIZE = 10 << 20 };
    struct world *world = world_plain(3, 17);
    uint64_t frames = world->frames_by_type[MESH_FRAME_BROADCAST];
    say_long(world, 0, SIZE, 'x');
    say(world, 0, "behind");
    for (unsigned i = 0; i < 20; i++) {
        world_write(&world->nodes[0], i, i);
        world_step(world);
    }
    assert_true(world_converges(world, 1000));
    world_run_ms(world, 1000);
    assert_true(world->frames_by_type[MESH_FRAME_BROADCAST] - frames >= 2 * SIZE / (64 << 10));
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(world->nodes[i].heard_count, 2);
        assert_int_equal(world->nodes[i].heard.size, SIZE + 1 + strlen("behind!\n"));
        assert_int_equal(heard(world, i, "behind"), 1);
    }
    assert_int_equal(stats_of(&world->nodes[0]).broadcasts_dropped, 0);
    assert_int_equal(stats_of(&world->nodes[0]).broadcasts_out, 4);
    /* What is too long goes to nobody. */
    say_long(world, 0, (size_t)BROADCAST_BYTES_MAX + 1, 'y');
    assert_int_equal(stats_of(&world->nodes[0]).broadcasts_dropped, 1);
    world_free(world);
}

static void test_a_full_link_drops(void **state) {
    (void)state;
    struct world *world = world_plain(3, 18);
    /* C reads nothing for a while. */
    world->is_deaf[2] = true;
    for (unsigned i = 0; i < 100; i++) {
        say_long(world, 0, 50000, 'x');
        world_step(world);
    }
    assert_true(stats_of(&world->nodes[0]).broadcasts_dropped > 20);
    for (const struct mesh_link *link = world->nodes[0].mesh->links; link != NULL;
         link = link->next) {
        assert_true(link_out_bytes(link) < 2 * (size_t)MESH_LINK_OUT_BYTES_MAX);
    }
    world_run_ms(world, 50);
    /* B got all; C gets records, and new ones, when it reads again. */
    assert_int_equal(world->nodes[1].heard_count, 100);
    world_write(&world->nodes[0], 1, 11);
    world->is_deaf[2] = false;
    assert_true(world_converges(world, 3000));
    say(world, 0, "again");
    world_run_ms(world, 100);
    assert_int_equal(heard(world, 2, "again"), 1);
    assert_true(world->nodes[2].heard_count < 100);
    world_free(world);
}

/* The same while a long one is under way: what waits behind it is bounded. */
static void test_waiting_is_bounded(void **state) {
    (void)state;
    struct world *world = world_plain(2, 19);
    world->is_deaf[1] = true;
    say_long(world, 0, 20 << 20, 'x');
    world_step(world);
    for (unsigned i = 0; i < 100; i++) {
        say_long(world, 0, 50000, 'y');
        world_step(world);
        const struct mesh_link *link = world->nodes[0].mesh->links;
        assert_true(link->broadcast.waiting_bytes <= BROADCAST_WAITING_BYTES_MAX);
    }
    uint64_t dropped = stats_of(&world->nodes[0]).broadcasts_dropped;
    assert_true(dropped > 50);
    world->is_deaf[1] = false;
    world_run_ms(world, 2000);
    assert_int_equal(world->nodes[1].heard_count, 101 - dropped);
    /* A link that goes takes what waits along. */
    world->is_deaf[1] = true;
    say_long(world, 0, 20 << 20, 'x');
    world_step(world);
    world_reset(world, 0, 1);
    world->is_deaf[1] = false;
    assert_true(world_links(world, 20000));
    assert_int_equal(world->nodes[1].heard_count, 101 - dropped);
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_each_link_carries_one),
        cmocka_unit_test(test_it_comes_behind_the_write),
        cmocka_unit_test(test_nobody_is_there),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_random_cuts),
        cmocka_unit_test(test_another_life_is_another_origin),
        cmocka_unit_test(test_long_ones_go_in_pieces),
        cmocka_unit_test(test_a_full_link_drops),
        cmocka_unit_test(test_waiting_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
