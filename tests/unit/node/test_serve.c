/* SPDX-License-Identifier: BSD-3-Clause */
/* A node that hands its state to one that joins does so in slices: as much as it can while nobody
 * asks it for anything, a frame now and then while requests come in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/node/two_nodes.h"

enum {
    KEYS = 400,
    VALUE_BYTES = 10000,
    FRAME_BYTES = 8 << 10,
    OVERHEAD_BYTES = 1 << 10, /* of what else goes to a peer in a step */
    STEPS_MAX = 100000,
};

/* The first has some megabytes, and the second begins to pull them. */
static struct world *begin_joining(void) {
    struct world *world = begin_apart(true);
    struct buffer input = {0};
    for (unsigned i = 0; i < KEYS; i++) {
        buffer_clear(&input);
        buffer_printf(&input, "SET k%u ", i);
        for (unsigned j = 0; j < VALUE_BYTES; j++) {
            buffer_append_byte(&input, 'v');
        }
        buffer_append_slice(&input, SLICE("\r\n"));
        (void)step(world, buffer_slice(&input));
    }
    buffer_deinit(&input);
    link_both(world);
    for (unsigned i = 0; world->moved_bytes < FRAME_BYTES / 2; i++) {
        require(i < STEPS_MAX);
        (void)step(world, (struct slice){0});
    }
    return world;
}

static bool has_joined(const struct world *world) {
    return world->sides[1].node->store.dbs[0].table.count >= KEYS;
}

static void a_busy_node_serves_now_and_then(void **state) {
    (void)state;
    struct world *world = begin_joining();
    unsigned steps = 0, pauses = 0, long_slices = 0;
    world->output_us = 80; /* longer than a step */
    while (!has_joined(world)) {
        (void)step(world, SLICE("GET k\r\n"));
        long_slices += world->moved_bytes > FRAME_BYTES + OVERHEAD_BYTES;
        pauses += world->moved_bytes < OVERHEAD_BYTES;
        require(++steps < STEPS_MAX);
    }
    assert_true(pauses >= steps / 3);
    assert_true(long_slices < steps / 20); /* only when nothing had been asked for before */
    end(world);
}

/* So many steps of that length, each with that input, take all over. */
static unsigned steps_to_join(uint64_t step_us, struct slice input) {
    struct world *world = begin_joining();
    unsigned steps = 0;
    world->output_us = 80;
    while (!has_joined(world)) {
        world->now_us += step_us;
        (void)step(world, input);
        require(++steps < STEPS_MAX);
    }
    end(world);
    return steps;
}

/* Long turns are not to starve who joins: it gets its share of them. */
static void more_after_a_long_turn(void **state) {
    (void)state;
    assert_true(steps_to_join(2000, SLICE("GET k\r\n")) < KEYS * VALUE_BYTES / (2 * FRAME_BYTES));
}

static void an_idle_node_serves_all_the_time(void **state) {
    (void)state;
    assert_true(steps_to_join(0, (struct slice){0}) < KEYS * VALUE_BYTES / (2 * FRAME_BYTES));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_node_serves_now_and_then),
        cmocka_unit_test(more_after_a_long_turn),
        cmocka_unit_test(an_idle_node_serves_all_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
