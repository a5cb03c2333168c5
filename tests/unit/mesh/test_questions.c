/* SPDX-License-Identifier: BSD-3-Clause */
/* A record about which something has to be asked waits for all answers, and nothing of its author
 * passes it; whoever has the record may answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/mesh/mesh_world.h"

enum { A, B, C };

static void answers_let_a_record_go(void **state) {
    (void)state;
    struct world *world = world_started(3, 1);
    assert_true(world_links(world, 5000));
    world->nodes[B].asks = true;
    for (unsigned i = 0; i < 20; i++) {
        world_write(&world->nodes[A], i, i + 1);
        world_write(&world->nodes[C], i, i + 1);
        world_step(world);
    }
    assert_true(world_converges(world, 5000));
    /* Who delivered it was asked, for each record both questions. */
    assert_true(world->nodes[A].questions_count >= 20);
    assert_true(world->nodes[C].questions_count >= 20);
    assert_int_equal(world->nodes[B].questions_count, 0);
    world_free(world);
}

static void without_answers_it_waits_and_others_are_asked(void **state) {
    (void)state;
    struct world *world = world_started(3, 2);
    assert_true(world_links(world, 5000));
    world->nodes[B].asks = true;
    world->nodes[A].is_mute = world->nodes[C].is_mute = true;
    world_write(&world->nodes[A], 1, 10);
    world_write(&world->nodes[A], 2, 20);
    world_run_ms(world, 10000);
    assert_true(world->nodes[B].cells[A][1].value != 10);
    assert_true(world->nodes[B].cells[A][2].value != 20);
    assert_true(world->nodes[A].questions_count > WORLD_QUESTIONS); /* again and again */
    assert_true(world->nodes[C].questions_count > 0);
    uint64_t asked = world->nodes[A].questions_count;
    world_run_ms(world, 10000);
    assert_true(world->nodes[A].questions_count - asked < 20); /* but not all the time */
    world->nodes[C].is_mute = false;
    assert_true(world_converges(world, 5000));
    world_free(world);
}

static void the_link_may_go_meanwhile(void **state) {
    (void)state;
    struct world *world = world_started(3, 3);
    assert_true(world_links(world, 5000));
    world->nodes[B].asks = true;
    world->nodes[A].is_mute = true;
    world_write(&world->nodes[A], 1, 10);
    world_run_ms(world, 100);
    world_block(world, A, B, true);
    world_reset(world, A, B);
    assert_true(world_converges(world, 20000)); /* C answers, as it has it */
    world->nodes[A].is_mute = false;
    world_block(world, A, B, false);
    world_write(&world->nodes[A], 1, 11);
    assert_true(world_converges(world, 20000));
    world_free(world);
}

/* All is answered, and then it cannot be applied for a while: a full disk, say. */
static void who_is_busy_then_goes_on_later(void **state) {
    (void)state;
    struct world *world = world_started(3, 4);
    assert_true(world_links(world, 5000));
    world->nodes[B].asks = true;
    world->nodes[A].is_mute = world->nodes[C].is_mute = true;
    world_write(&world->nodes[A], 1, 10);
    world_run_ms(world, 1000);
    assert_true(world->nodes[A].questions_count > 0);
    world->nodes[B].is_busy = true;
    world->nodes[A].is_mute = world->nodes[C].is_mute = false;
    world_run_ms(world, 10000);
    assert_true(world->nodes[B].cells[A][1].value != 10);
    unsigned ends = world_said(&world->nodes[A], "garbage");
    world->nodes[B].is_busy = false;
    assert_true(world_converges(world, 10000));
    assert_int_equal(world_said(&world->nodes[A], "garbage"), ends);
    assert_int_equal(ends, 0);
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_let_a_record_go),
        cmocka_unit_test(without_answers_it_waits_and_others_are_asked),
        cmocka_unit_test(the_link_may_go_meanwhile),
        cmocka_unit_test(who_is_busy_then_goes_on_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
