/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of replicas, found by ref, against a look at every slot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "crdt/replica.h"
#include "unit/seed.h"

enum { IDS = 3000, STEPS = 30000 };

static struct replica_id id_of(unsigned number) {
    struct replica_id id = {.generation = 1 + number % 7};
    memcpy(id.node, &number, sizeof(number));
    return id;
}

static unsigned find_slowly(const struct replicas *replicas, uint64_t ref) {
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (replicas->slots[slot].ref == ref) {
            return slot;
        }
    }
    return 0;
}

/* Adds, or gives another name to, or retires a replica. */
static void change(struct replicas *replicas, struct prng *prng, unsigned at_most) {
    struct replica_id id = id_of((unsigned)prng_below(prng, IDS));
    uint64_t ref = replica_ref(&id);
    unsigned slot = find_slowly(replicas, ref);
    if (slot != 0 && slot != replicas->self) {
        replicas_retire(replicas, slot, 1);
        (void)replicas_release(replicas, replicas->version);
    } else if (slot == 0 && prng_below(prng, 4) == 0 && replicas->slots_count > 1) {
        unsigned other = 1 + (unsigned)prng_below(prng, replicas->slots_count - 1);
        if (replicas->slots[other].ref != 0) {
            replicas_rename(replicas, other, &id);
            assert_int_equal(replicas_find(replicas, ref), other);
        }
    } else if (slot == 0 && replicas->slots_count <= at_most) {
        slot = replicas_add(replicas, &id);
        assert_int_not_equal(slot, 0);
        assert_int_equal(replicas_add(replicas, &id), slot);
    }
}

static void a_replica_is_found_by_its_ref(void **state) {
    (void)state;
    for (uint64_t history = 0; history < 6; history++) {
        struct prng prng;
        struct replicas replicas;
        seed_prng(&prng, "a_replica_is_found_by_its_ref", history);
        replicas_init(&replicas);
        assert_int_equal(replicas_find(&replicas, 1), 0);
        unsigned at_most = (unsigned[]){1, 5, 17, 200, 900, STAMP_SLOTS_COUNT - 1}[history];
        for (unsigned step = 0; step < STEPS; step++) {
            change(&replicas, &prng, at_most);
            struct replica_id id = id_of((unsigned)prng_below(&prng, IDS));
            uint64_t ref = replica_ref(&id);
            assert_int_equal(replicas_find(&replicas, ref), find_slowly(&replicas, ref));
        }
        for (unsigned slot = 1; slot < replicas.slots_count; slot++) {
            if (replicas.slots[slot].ref != 0) {
                assert_int_equal(replicas_find(&replicas, replicas.slots[slot].ref), slot);
            }
        }
        replicas_deinit(&replicas);
    }
}

static void a_full_table_takes_no_more(void **state) {
    (void)state;
    struct replicas replicas;
    replicas_init(&replicas);
    for (unsigned i = 1; i < STAMP_SLOTS_COUNT; i++) {
        struct replica_id id = id_of(i);
        assert_int_equal(replicas_add(&replicas, &id), i);
    }
    struct replica_id id = id_of(STAMP_SLOTS_COUNT);
    assert_int_equal(replicas_add(&replicas, &id), 0);
    assert_int_equal(replicas_find(&replicas, replica_ref(&id)), 0);
    replicas_deinit(&replicas);
}

static void what_a_replica_wrote_after_its_end_is_void(void **state) {
    (void)state;
    struct replicas replicas;
    replicas_init(&replicas);
    struct replica_id id = {.generation = 7}, late = {.generation = 8};
    unsigned slot = replicas_add(&replicas, &id);
    uint64_t version = replicas.version;
    assert_false(replicas_is_void(&replicas, stamp_make(11, slot)));
    replicas_note_ended(&replicas, &(struct ended_replica){.ref = replica_ref(&id), .ticks = 10});
    assert_true(replicas.version > version);
    assert_true(replicas_is_void(&replicas, stamp_make(11, slot)));
    assert_false(replicas_is_void(&replicas, stamp_make(10, slot)));
    assert_false(replicas_is_void(&replicas, stamp_make(11, STAMP_SLOT_SETTLED)));
    assert_false(replicas_is_void(&replicas, stamp_make(11, STAMP_SLOTS_COUNT - 1)));
    /* Of two ends the earlier one. */
    replicas_note_ended(&replicas, &(struct ended_replica){.ref = replica_ref(&id), .ticks = 12});
    assert_true(replicas_is_void(&replicas, stamp_make(11, slot)));
    replicas_note_ended(&replicas, &(struct ended_replica){.ref = replica_ref(&id), .ticks = 5});
    assert_true(replicas_is_void(&replicas, stamp_make(6, slot)));
    assert_int_equal(replicas.ended_count, 1);
    struct context context = {0};
    context_add(&context, stamp_make(5, slot));
    assert_false(replicas_clip_void(&replicas, &context));
    context_add(&context, stamp_make(9, slot));
    assert_true(replicas_clip_void(&replicas, &context));
    assert_int_equal(context.stamps[slot], stamp_make(5, slot));
    /* A replica that gets its slot later, and one of which nothing counts. */
    replicas_note_ended(&replicas, &(struct ended_replica){.ref = replica_ref(&late), .ticks = 0});
    slot = replicas_add(&replicas, &late);
    context_add(&context, stamp_make(1, slot));
    assert_true(replicas_clip_void(&replicas, &context));
    assert_int_equal(context.stamps[slot], 0);
    replicas_drop_ended(&replicas, replica_ref(&late));
    assert_false(replicas_is_void(&replicas, stamp_make(1, slot)));
    /* Nobody tells that it had seen more before it was retired. */
    struct retired_replica retired = {.ref = replica_ref(&late), .ticks = 9};
    replicas_note_retired(&replicas, &retired);
    replicas_note_ended(&replicas, &(struct ended_replica){.ref = replica_ref(&late), .ticks = 4});
    assert_int_equal(replicas_find_retired(&replicas, replica_ref(&late))->ticks, 4);
    replicas_note_retired(&replicas, &retired);
    assert_int_equal(replicas_find_retired(&replicas, replica_ref(&late))->ticks, 4);
    for (uint64_t ref = 1; ref <= REPLICA_ENDED_MAX; ref++) {
        replicas_note_ended(&replicas, &(struct ended_replica){.ref = ref, .ticks = 1});
    }
    assert_int_equal(replicas.ended_count, REPLICA_ENDED_MAX);
    replicas_deinit(&replicas);
}

/* Generations in a mesh are times; those of lone nodes are counted. */
static void generations_tell_when_a_replica_began(void **state) {
    (void)state;
    struct replica_id id = {.generation = 1};
    assert_true(replica_born_ticks(&id) == 0);
    id.generation = (uint64_t)STAMP_EPOCH_MS + 6;
    assert_true(replica_born_ticks(&id) == 6 << STAMP_COUNTER_BITS);
    assert_true(stamp_unix_ms(stamp_make(replica_born_ticks(&id), 1)) == STAMP_EPOCH_MS + 6);
    id.generation++;
    assert_true(replica_born_ticks(&id) == 0); /* odd: no time */
    id.generation = UINT64_MAX - 1;
    assert_true(replica_born_ticks(&id) == 0);
    struct replicas replicas;
    replicas_init(&replicas);
    assert_int_equal(replicas_add(&replicas, &id), replicas.self);
    id.generation = (uint64_t)STAMP_EPOCH_MS + 6;
    unsigned slot = replicas_add(&replicas, &id);
    /* Noted by somebody who does not know it, then by somebody who does. */
    replicas_note_retired(&replicas,
                          &(struct retired_replica){.ref = replica_ref(&id), .ticks = 99999});
    assert_true(replicas.slots[slot].is_retired && replicas.slots[slot].retired_ticks == 99999);
    assert_true(replicas_find_retired(&replicas, replica_ref(&id))->born_ticks == 0);
    replicas_retire(&replicas, slot, 99999);
    assert_true(replicas_find_retired(&replicas, replica_ref(&id))->born_ticks ==
                replica_born_ticks(&id));
    slot = replicas_add(&replicas, &id);
    assert_true(replicas.slots[slot].is_retired);
    replicas_deinit(&replicas);
}

static struct departed_life departed_of(unsigned node, uint64_t generation, bool is_forgotten) {
    struct departed_life life = {.id.generation = generation,
                                 .is_forgotten = is_forgotten,
                                 .left_ticks = is_forgotten ? 0 : 1000 + generation};
    memcpy(life.id.node, &node, sizeof(node));
    return life;
}

/* Its latest life for each node; forgotten is more than left; who is here is not gone. */
static void a_node_departs_once_in_a_life(void **state) {
    (void)state;
    struct replicas replicas;
    replicas_init(&replicas);
    struct departed_life left = departed_of(7, 4, false), forgotten = departed_of(7, 4, true);
    struct departed_life earlier = departed_of(7, 2, true), later = departed_of(7, 6, false);
    assert_null(replicas_find_departed(&replicas, left.id.node));
    replicas_note_departed(&replicas, &left);
    assert_int_equal(replicas.departed_version, 1);
    replicas_note_departed(&replicas, &left);
    replicas_note_departed(&replicas, &earlier);
    assert_int_equal(replicas.departed_version, 1);
    assert_int_equal(replicas_find_departed(&replicas, left.id.node)->left_ticks, 1004);
    replicas_note_departed(&replicas, &forgotten);
    replicas_note_departed(&replicas, &left);
    assert_int_equal(replicas.departed_version, 2);
    assert_true(replicas_find_departed(&replicas, left.id.node)->is_forgotten);
    replicas_drop_departed(&replicas, &earlier.id);
    assert_int_equal(replicas.departed_count, 1);
    replicas_note_departed(&replicas, &later);
    assert_int_equal(replicas.departed_count, 1);
    assert_int_equal(replicas.departed[0].id.generation, 6);
    uint64_t version = replicas.version;
    replicas_drop_departed(&replicas, &later.id);
    assert_int_equal(replicas.departed_count, 0);
    assert_int_equal(replicas.departed_version, 4);
    assert_true(replicas.version > version);
    replicas_deinit(&replicas);
}

/* Beyond the limit the oldest goes that a log can name no more. */
static void those_with_a_slot_stay_departed(void **state) {
    (void)state;
    struct replicas replicas;
    replicas_init(&replicas);
    for (unsigned node = 1; node <= REPLICA_DEPARTED_MAX + 3; node++) {
        struct departed_life life = departed_of(node, 2, node % 2 == 0);
        if (node == 1 || node == 3) {
            assert_int_not_equal(replicas_add(&replicas, &life.id), 0);
        }
        replicas_note_departed(&replicas, &life);
    }
    assert_int_equal(replicas.departed_count, REPLICA_DEPARTED_MAX);
    for (unsigned node = 1; node <= REPLICA_DEPARTED_MAX + 3; node++) {
        bool is_dropped = node == 2 || node == 4 || node == 5;
        struct departed_life life = departed_of(node, 2, false);
        assert_int_equal(replicas_find_departed(&replicas, life.id.node) == NULL, is_dropped);
    }
    replicas_clear_departed(&replicas);
    assert_int_equal(replicas.departed_count, 0);
    replicas_deinit(&replicas);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_is_found_by_its_ref),
        cmocka_unit_test(a_full_table_takes_no_more),
        cmocka_unit_test(generations_tell_when_a_replica_began),
        cmocka_unit_test(what_a_replica_wrote_after_its_end_is_void),
        cmocka_unit_test(a_node_departs_once_in_a_life),
        cmocka_unit_test(those_with_a_slot_stay_departed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
