/* SPDX-License-Identifier: BSD-3-Clause */
/* A node that joins writes nothing, not even that a key has expired: what it has may be old, and of
 * the new value, which lives on, it has not heard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "node/node_mesh.h"
#include "store/strings.h"
#include "unit/node/two_nodes.h"

enum { EXPIRES_MS = 20, RUN_STEPS = 10000 /* half a second */ };

static void put_expiring(struct side *side) {
    struct store *store = &side->node->store;
    struct key key = store_key(store, 0, SLICE("k"));
    assert_int_equal(
        strings_set(store, &key, SLICE("v"), (uint64_t)side->world->now_ms + EXPIRES_MS), STORE_OK);
}

static uint64_t entries(const struct side *side) {
    return side->node->store.dbs[0].table.count;
}

static void run(struct world *world, unsigned steps) {
    for (unsigned i = 0; i < steps; i++) {
        (void)step(world, (struct slice){0});
    }
}

static void what_expires_stays_while_a_node_joins(void **state) {
    (void)state;
    struct world *world = begin_apart(true);
    struct node *joiner = world->sides[1].node;
    put_expiring(&world->sides[0]);
    put_expiring(&world->sides[1]);
    run(world, RUN_STEPS);
    assert_int_equal(entries(&world->sides[0]), 0);
    assert_true(node_mesh_is_joining(joiner));
    assert_int_equal(entries(&world->sides[1]), 1);
    for (unsigned i = 0; node_mesh_is_joining(joiner); i++) {
        assert_true(i < 100 * RUN_STEPS);
        (void)step(world, (struct slice){0});
    }
    run(world, RUN_STEPS);
    assert_int_equal(entries(&world->sides[1]), 0);
    end(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_expires_stays_while_a_node_joins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
