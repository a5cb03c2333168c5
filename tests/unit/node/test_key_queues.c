/* SPDX-License-Identifier: BSD-3-Clause */
/* Who waits for which keys: exact, then random against lists of numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/check.h"
#include "node/key_queues.h"
#include "unit/seed.h"

enum { PLACES_MAX = 5 };

struct waiter {
    struct key_waiter waiter; /* first, so that one address is both */
    struct key_place places[PLACES_MAX];
};

static void waiter_init(struct waiter *waiter, bool wants_any) {
    waiter->waiter = (struct key_waiter){.wants_any = wants_any, .places = waiter->places};
}

static struct hash_seed seed_of(uint64_t number) {
    return (struct hash_seed){number, 22};
}

static void add(struct key_queues *queues, struct waiter *waiter, unsigned db, const char *name) {
    struct slice bytes = slice_of(name);
    assert_true(
        key_queues_add(queues, &waiter->waiter, db, bytes, hash_bytes(queues->seed, bytes)));
}

static void mark(struct key_queues *queues, unsigned db, const char *name) {
    struct slice bytes = slice_of(name);
    key_queues_mark(queues, db, bytes, hash_bytes(queues->seed, bytes));
}

/* The next ready key has this name; NULL: there is none. */
static void expect_ready(struct key_queues *queues, const char *name) {
    const struct key_queue *queue = key_queues_begin(queues);
    if (name == NULL) {
        assert_null(queue);
        return;
    }
    assert_non_null(queue);
    assert_true(slice_equal(key_queue_name(queue), slice_of(name)));
}

static void test_order(void **state) {
    (void)state;
    struct key_queues queues;
    struct waiter one, two, three;
    key_queues_init(&queues, seed_of(1));
    waiter_init(&one, false);
    waiter_init(&two, false);
    waiter_init(&three, false);
    add(&queues, &one, 0, "a");
    add(&queues, &one, 0, "b");
    add(&queues, &one, 0, "a");
    add(&queues, &two, 0, "b");
    add(&queues, &two, 0, "c");
    add(&queues, &three, 1, "a");
    assert_int_equal(one.waiter.places_count, 2);
    assert_int_equal(key_queues_count(&queues), 4);
    assert_true(key_queues_bytes(&one.waiter) > 0);
    key_queues_check(&queues);
    mark(&queues, 0, "c");
    mark(&queues, 0, "b");
    mark(&queues, 0, "nobody");
    mark(&queues, 0, "c");
    assert_true(key_queues_has_ready(&queues));
    expect_ready(&queues, "c");
    assert_ptr_equal(key_queues_next(&queues), &two.waiter);
    assert_null(key_queues_next(&queues));
    key_queues_end(&queues);
    expect_ready(&queues, "b");
    assert_ptr_equal(key_queues_next(&queues), &one.waiter);
    /* The one who would be next goes, and so does this one: the queue stays until the end. */
    key_queues_remove(&queues, &two.waiter);
    key_queues_remove(&queues, &one.waiter);
    key_queues_check(&queues);
    assert_null(key_queues_next(&queues));
    mark(&queues, 0, "b");
    key_queues_end(&queues);
    assert_false(key_queues_has_ready(&queues));
    assert_int_equal(key_queues_count(&queues), 1);
    mark(&queues, 1, "a");
    key_queues_remove(&queues, &three.waiter);
    expect_ready(&queues, NULL);
    key_queues_deinit(&queues);
}

static void test_whole_databases(void **state) {
    (void)state;
    struct key_queues queues;
    struct waiter one, any;
    key_queues_init(&queues, seed_of(1));
    waiter_init(&one, false);
    waiter_init(&any, true);
    add(&queues, &one, 0, "x");
    add(&queues, &one, 0, "y");
    add(&queues, &any, 0, "y");
    add(&queues, &any, 0, "z");
    add(&queues, &one, 1, "x");
    assert_int_equal(queues.wants_any_count, 2);
    key_queues_mark_database(&queues, 0, true);
    expect_ready(&queues, "y");
    key_queues_end(&queues);
    expect_ready(&queues, "z");
    key_queues_end(&queues);
    expect_ready(&queues, NULL);
    key_queues_mark_database(&queues, 0, false);
    uint64_t number = queues.ready_number;
    key_queues_mark_database(&queues, 1, false);
    key_queues_unmark_after(&queues, number - 1);
    expect_ready(&queues, "x");
    key_queues_end(&queues);
    expect_ready(&queues, "y");
    key_queues_end(&queues);
    expect_ready(&queues, NULL);
    /* Under another seed all are found still. */
    key_queues_take_seed(&queues, seed_of(77));
    mark(&queues, 0, "z");
    mark(&queues, 1, "x");
    expect_ready(&queues, "z");
    key_queues_end(&queues);
    expect_ready(&queues, "x");
    key_queues_end(&queues);
    key_queues_remove(&queues, &any.waiter);
    assert_int_equal(queues.wants_any_count, 0);
    key_queues_remove(&queues, &one.waiter);
    key_queues_deinit(&queues);
}

/* ---- random ---- */

enum { WAITERS = 40, NAMES = 12, STEPS = 60000 };

/* Of each key, who waits, longest first; and the ready keys. */
struct model {
    int waiting[NAMES][WAITERS];
    unsigned waiting_count[NAMES];
    int ready[NAMES];
    unsigned ready_count;
};

static void model_remove(struct model *model, int waiter) {
    for (unsigned name = 0; name < NAMES; name++) {
        unsigned kept = 0;
        for (unsigned i = 0; i < model->waiting_count[name]; i++) {
            if (model->waiting[name][i] != waiter) {
                model->waiting[name][kept++] = model->waiting[name][i];
            }
        }
        model->waiting_count[name] = kept;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < model->ready_count; i++) {
        if (model->waiting_count[model->ready[i]] > 0) {
            model->ready[kept++] = model->ready[i];
        }
    }
    model->ready_count = kept;
}

static void model_mark(struct model *model, int name) {
    for (unsigned i = 0; i < model->ready_count; i++) {
        if (model->ready[i] == name) {
            return;
        }
    }
    if (model->waiting_count[name] > 0) {
        model->ready[model->ready_count++] = name;
    }
}

/* Key `number`: some names in two databases. */
static const char *key_name(int number, unsigned *db) {
    static char name[16];
    *db = (unsigned)number % 2;
    (void)snprintf(name, sizeof(name), "k%d", number / 2);
    return name;
}

/* Goes through one ready key, letting some go, and others who are not at their turn. */
static void serve(struct key_queues *queues, struct model *model, struct waiter *waiters,
                  struct prng *prng) {
    const struct key_queue *queue = key_queues_begin(queues);
    if (model->ready_count == 0) {
        assert_null(queue);
        return;
    }
    unsigned db;
    int name = model->ready[0];
    struct slice expected = slice_of(key_name(name, &db));
    assert_true(slice_equal(key_queue_name(queue), expected));
    assert_int_equal(queue->db, db);
    memmove(model->ready, model->ready + 1, --model->ready_count * sizeof(model->ready[0]));
    for (unsigned at = 0; at < model->waiting_count[name];) {
        int waiter = model->waiting[name][at];
        assert_ptr_equal(key_queues_next(queues), &waiters[waiter].waiter);
        unsigned before = at + 1;
        for (int i = 0; i < WAITERS; i++) {
            if (prng_below(prng, 20) == 0) {
                unsigned gone = 0;
                for (unsigned k = 0; k < before; k++) {
                    gone += model->waiting[name][k] == i;
                }
                before -= gone;
                model_remove(model, i);
                key_queues_remove(queues, &waiters[i].waiter);
            }
        }
        at = before;
    }
    assert_null(key_queues_next(queues));
    key_queues_end(queues);
}

static void test_random(void **state) {
    (void)state;
    static struct waiter waiters[WAITERS];
    static struct model model;
    struct key_queues queues;
    struct prng prng;
    seed_prng(&prng, "key_queues", 1);
    key_queues_init(&queues, seed_of(1));
    for (int i = 0; i < WAITERS; i++) {
        waiter_init(&waiters[i], i % 4 == 0);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        int waiter = (int)prng_below(&prng, WAITERS);
        int name = (int)prng_below(&prng, NAMES);
        unsigned db;
        switch (prng_below(&prng, 6)) {
        case 0:
        case 1:
            if (waiters[waiter].waiter.places_count == 0) {
                for (unsigned i = 1 + (unsigned)prng_below(&prng, PLACES_MAX); i > 0; i--) {
                    name = (int)prng_below(&prng, NAMES);
                    unsigned *count = &model.waiting_count[name];
                    if (*count == 0 || model.waiting[name][*count - 1] != waiter) {
                        model.waiting[name][(*count)++] = waiter;
                    }
                    const char *text = key_name(name, &db);
                    add(&queues, &waiters[waiter], db, text);
                }
            }
            break;
        case 2:
            model_remove(&model, waiter);
            key_queues_remove(&queues, &waiters[waiter].waiter);
            break;
        case 3:
        case 4:
            model_mark(&model, name);
            {
                const char *text = key_name(name, &db);
                mark(&queues, db, text);
            }
            break;
        default:
            serve(&queues, &model, waiters, &prng);
            break;
        }
        if (step % 1000 == 0) {
            key_queues_take_seed(&queues, seed_of(step));
        }
        if (step % 50 == 0) {
            key_queues_check(&queues);
        }
    }
    for (int i = 0; i < WAITERS; i++) {
        key_queues_remove(&queues, &waiters[i].waiter);
    }
    key_queues_deinit(&queues);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_whole_databases),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
