/* SPDX-License-Identifier: BSD-3-Clause */
/* Subscriptions: exact, then random against a table of who subscribed to what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "node/pubsub.h"
#include "unit/seed.h"

static void init(struct pubsub *pubsub) {
    pubsub_init(pubsub, (struct hash_seed){11, 22});
}

static uint64_t subscribers_of(const struct pubsub *pubsub, enum pubsub_kind kind,
                               const char *name) {
    const struct pubsub_topic *topic = pubsub_find(pubsub, kind, slice_of(name));
    return topic != NULL ? topic->subscribers_count : 0;
}

static void test_adding_and_removing(void **state) {
    (void)state;
    struct pubsub pubsub;
    struct pubsub_subscriber one = {.id = 1}, two = {.id = 2};
    init(&pubsub);
    assert_null(pubsub_find(&pubsub, PUBSUB_CHANNEL, SLICE("a")));
    assert_int_equal(pubsub_add(&pubsub, PUBSUB_CHANNEL, &one, SLICE("a")), PUBSUB_ADDED);
    assert_int_equal(pubsub_add(&pubsub, PUBSUB_CHANNEL, &one, SLICE("a")), PUBSUB_WAS_THERE);
    assert_int_equal(pubsub_add(&pubsub, PUBSUB_CHANNEL, &two, SLICE("a")), PUBSUB_ADDED);
    assert_int_equal(pubsub_add(&pubsub, PUBSUB_PATTERN, &one, SLICE("a")), PUBSUB_ADDED);
    assert_int_equal(pubsub_add(&pubsub, PUBSUB_CHANNEL, &one, SLICE("")), PUBSUB_ADDED);
    pubsub_check(&pubsub);
    assert_int_equal(subscribers_of(&pubsub, PUBSUB_CHANNEL, "a"), 2);
    assert_int_equal(subscribers_of(&pubsub, PUBSUB_PATTERN, "a"), 1);
    assert_int_equal(subscribers_of(&pubsub, PUBSUB_SHARD_CHANNEL, "a"), 0);
    assert_int_equal(pubsub_count(&pubsub, PUBSUB_CHANNEL), 2);
    assert_int_equal(pubsub_subscriber_count(&one), 3);
    assert_true(one.bytes > two.bytes);
    /* Oldest first. */
    const struct pubsub_topic *topic = pubsub_find(&pubsub, PUBSUB_CHANNEL, SLICE("a"));
    assert_ptr_equal(topic->first->subscriber, &one);
    assert_ptr_equal(topic->last->subscriber, &two);
    assert_ptr_equal(pubsub.topics[PUBSUB_CHANNEL].first, topic);
    assert_false(pubsub_remove(&pubsub, PUBSUB_SHARD_CHANNEL, &one, SLICE("a")));
    assert_false(pubsub_remove(&pubsub, PUBSUB_PATTERN, &two, SLICE("a")));
    assert_true(pubsub_remove(&pubsub, PUBSUB_CHANNEL, &one, SLICE("a")));
    assert_false(pubsub_remove(&pubsub, PUBSUB_CHANNEL, &one, SLICE("a")));
    assert_int_equal(subscribers_of(&pubsub, PUBSUB_CHANNEL, "a"), 1);
    pubsub_remove_all(&pubsub, &one);
    assert_int_equal(one.bytes, 0);
    assert_int_equal(pubsub_count(&pubsub, PUBSUB_PATTERN), 0);
    pubsub_check(&pubsub);
    pubsub_remove_all(&pubsub, &two);
    assert_int_equal(pubsub_count(&pubsub, PUBSUB_CHANNEL), 0);
    pubsub_deinit(&pubsub);
}

enum { SUBSCRIBERS = 20, NAMES = 300, STEPS = 40000 };

static void test_random(void **state) {
    (void)state;
    static bool model[PUBSUB_KINDS][SUBSCRIBERS][NAMES];
    static struct pubsub_subscriber subscribers[SUBSCRIBERS];
    struct pubsub pubsub;
    struct prng prng;
    seed_prng(&prng, "pubsub", 0);
    init(&pubsub);
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        subscribers[i].id = i + 1;
    }
    for (unsigned step = 0; step < STEPS; step++) {
        char name[16];
        unsigned who = (unsigned)prng_below(&prng, SUBSCRIBERS);
        unsigned what = (unsigned)prng_below(&prng, NAMES);
        enum pubsub_kind kind = (enum pubsub_kind)prng_below(&prng, PUBSUB_KINDS);
        (void)snprintf(name, sizeof(name), "%u", what);
        bool *is_there = &model[kind][who][what];
        switch (prng_below(&prng, 5)) {
        case 0:
        case 1:
            assert_int_equal(pubsub_add(&pubsub, kind, &subscribers[who], slice_of(name)),
                             *is_there ? PUBSUB_WAS_THERE : PUBSUB_ADDED);
            *is_there = true;
            break;
        case 2:
            assert_int_equal(pubsub_remove(&pubsub, kind, &subscribers[who], slice_of(name)),
                             *is_there);
            *is_there = false;
            break;
        case 3: {
            uint64_t count = 0;
            for (unsigned i = 0; i < SUBSCRIBERS; i++) {
                count += model[kind][i][what];
            }
            assert_int_equal(subscribers_of(&pubsub, kind, name), count);
            break;
        }
        case 4:
            if (prng_below(&prng, 100) == 0) {
                pubsub_remove_all(&pubsub, &subscribers[who]);
                for (unsigned k = 0; k < PUBSUB_KINDS; k++) {
                    memset(model[k][who], 0, sizeof(model[k][who]));
                }
                assert_int_equal(pubsub_subscriber_count(&subscribers[who]), 0);
            }
            break;
        }
        if (step % 1000 == 0) {
            pubsub_check(&pubsub);
        }
    }
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        pubsub_remove_all(&pubsub, &subscribers[i]);
    }
    pubsub_check(&pubsub);
    pubsub_deinit(&pubsub);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adding_and_removing),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
