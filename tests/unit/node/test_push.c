/* SPDX-License-Identifier: BSD-3-Clause */
/* When changes go to peers: at once after a pause, then 300 us apart, and 5 us more for each
 * request since, up to 2 ms; what waits goes without another request; and at once when it is much,
 * or while a client waits for peers. Two nodes as machines, joined by a link; the one writes, the
 * other only listens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/node/two_nodes.h"

enum {
    GAP_US = 300,
    GAP_REQUEST_US = 5,
    GAP_US_MAX = 2000,
};

/* ---- tests ---- */

static void at_once_after_a_pause(void **state) {
    (void)state;
    struct world *world = begin();
    for (unsigned i = 0; i < 50; i++) {
        assert_true(write_one(world));
        for (unsigned pause_us = STEP_US; pause_us < GAP_US + 2 * GAP_REQUEST_US;
             pause_us += STEP_US) {
            assert_false(step(world, (struct slice){0})); /* nothing is left */
        }
    }
    end(world);
}

/* Writes `count` requests in each step for a while; the shortest and longest times between pushes.
 */
static void measure(struct world *world, unsigned count, uint64_t *least_us, uint64_t *most_us) {
    struct buffer input = {0};
    for (unsigned i = 0; i < count; i++) {
        buffer_append_slice(&input, SLICE("SET k v\r\n"));
    }
    uint64_t pushed_us = 0;
    *least_us = UINT64_MAX;
    *most_us = 0;
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t now_us = world->now_us;
        if (!step(world, buffer_slice(&input))) {
            continue;
        }
        uint64_t since_us = now_us - pushed_us;
        if (pushed_us != 0) {
            *least_us = since_us < *least_us ? since_us : *least_us;
            *most_us = since_us > *most_us ? since_us : *most_us;
        }
        pushed_us = now_us;
    }
    buffer_deinit(&input);
    rest(world);
}

static void apart_under_load(void **state) {
    (void)state;
    struct world *world = begin();
    uint64_t least_us, most_us;
    /* One in each step: seven of them, which is 335 us. */
    measure(world, 1, &least_us, &most_us);
    assert_int_equal(least_us, 350);
    assert_int_equal(most_us, 350);
    /* Four, which makes 40 in 500 us. */
    measure(world, 4, &least_us, &most_us);
    assert_int_equal(least_us, 500);
    assert_int_equal(most_us, 500);
    /* So many that it reaches the greatest gap. */
    measure(world, 100, &least_us, &most_us);
    assert_int_equal(least_us, GAP_US_MAX);
    assert_int_equal(most_us, GAP_US_MAX);
    end(world);
}

/* The last of a burst does not wait for a request that never comes: the node asks to be called. */
static void what_waits_goes_by_itself(void **state) {
    (void)state;
    struct world *world = begin();
    for (unsigned i = 0; i < 50; i++) {
        assert_true(write_one(world));
        uint64_t pushed_us = world->now_us - STEP_US;
        assert_false(write_one(world));
        while (!step(world, (struct slice){0})) {
            assert_true(world->now_us - pushed_us < GAP_US_MAX);
        }
        assert_int_equal(world->now_us - STEP_US - pushed_us, GAP_US + STEP_US);
        rest(world);
    }
    end(world);
}

/* Much goes at once: it would only get cold. */
static void at_once_when_it_is_much(void **state) {
    (void)state;
    enum { VALUE_BYTES = 28000, WRITES_MAX = 5 }; /* by the clock it would be seven */
    struct world *world = begin();
    struct buffer input = {0};
    buffer_append_slice(&input, SLICE("SET k "));
    for (unsigned i = 0; i < VALUE_BYTES; i++) {
        buffer_append_byte(&input, 'v');
    }
    buffer_append_slice(&input, SLICE("\r\n"));
    assert_true(write_one(world));
    for (unsigned i = 0; i < 20; i++) {
        unsigned writes = 1;
        while (!step(world, buffer_slice(&input))) {
            writes++;
        }
        assert_true(writes <= WRITES_MAX);
    }
    buffer_deinit(&input);
    end(world);
}

/* A client that waits for peers makes all pushes go at once. */
static void at_once_for_who_waits(void **state) {
    (void)state;
    struct world *world = begin();
    assert_true(write_one(world));
    assert_false(write_one(world));
    assert_true(step(world, SLICE("SET k v\r\nWAIT 2 0\r\n"))); /* there is only one peer */
    struct client_opts opts = {.connection = world,
                               .address = "127.0.0.1:1001",
                               .local_address = "127.0.0.1:6379",
                               .is_local = true};
    const char *refusal = NULL;
    struct client *waiting = world->client;
    world->client = node_client_open(world->sides[0].node, &opts, &refusal);
    for (unsigned i = 0; i < 20; i++) {
        assert_true(write_one(world));
    }
    node_client_free(waiting);
    assert_true(!write_one(world) || !write_one(world));
    rest(world);
    end(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_once_after_a_pause),     cmocka_unit_test(apart_under_load),
        cmocka_unit_test(what_waits_goes_by_itself), cmocka_unit_test(at_once_when_it_is_much),
        cmocka_unit_test(at_once_for_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
