/* SPDX-License-Identifier: BSD-3-Clause */
/* What changes from peers tell (store/notify.h), in random histories of three nodes: a key that
 * shows something else after a record has an event, of the right kind where it came or went; and
 * one that shows the same has none, but for a SET of the value that was there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/mutate.h"
#include "store/notify.h"
#include "unit/store/merge_world.h"

enum { ALL_CLASSES = 0x3ffc, STEPS = 60, HISTORIES = 400 };
static const uint64_t NOW = UINT64_C(1800000000000);
static struct world world;

/* What a record told of each key. */
struct told {
    unsigned count, sets, news, long_edits;
    const char *last; /* but for "new" */
};
static struct told told[WORLD_KEYS];

static void hear(void *udata, uint32_t class_bit, const char *event, const struct key *key) {
    (void)udata;
    assert_int_not_equal(class_bit & ALL_CLASSES, 0);
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        if (!slice_equal(key->name, slice_of(world_names[i]))) {
            continue;
        }
        if (strcmp(event, "new") == 0) {
            told[i].news++;
            continue;
        }
        told[i].count++;
        told[i].sets += strcmp(event, "set") == 0;
        told[i].long_edits += strcmp(event, "setrange") == 0 || strcmp(event, "pfadd") == 0;
        told[i].last = event;
    }
}

struct shown {
    bool is_there;
    uint64_t expire_unix_ms;
    struct buffer value;
};

static void look(unsigned node, unsigned i, struct shown *shown) {
    struct store *store = &world.nodes[node].store;
    struct key key = world_key(&world, node, i);
    struct entry_scratch scratch;
    const uint64_t *slot = mutate_slot(store, &key);
    const struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    *shown = (struct shown){0};
    if (entry != NULL && !entry_is_hidden(entry)) {
        shown->is_there = true;
        shown->expire_unix_ms = entry_expire_unix_ms(entry);
        buffer_append_slice(&shown->value, entry_value(entry, &scratch));
    }
}

static void command(struct prng *prng, unsigned node) {
    static char large[5000];
    struct store *store = &world.nodes[node].store;
    struct key key = world_key(&world, node, (unsigned)prng_below(prng, WORLD_KEYS));
    struct key other = world_key(&world, node, (unsigned)prng_below(prng, WORLD_KEYS));
    char digit[1] = {(char)('0' + prng_below(prng, 4))};
    int64_t result;
    long double float_result;
    switch (prng_below(prng, 10)) {
    case 0:
        (void)strings_set(store, &key, slice_make(digit, 1), 0);
        break;
    case 1:
        (void)strings_set(store, &key, slice_make(digit, 1), STRINGS_KEEP_EXPIRY);
        break;
    case 2:
        (void)strings_set(store, &key, slice_make(digit, 1), NOW + 10000 + prng_below(prng, 3));
        break;
    case 3:
        memset(large, digit[0], sizeof(large));
        (void)strings_set(store, &key, slice_make(large, sizeof(large)), 0);
        break;
    case 4:
        (void)store_delete(store, &key);
        break;
    case 5:
        (void)strings_add_integer(store, &key, 1 + (int64_t)prng_below(prng, 5), &result);
        break;
    case 6:
        (void)strings_add_float(store, &key, 0.5L, &float_result);
        break;
    case 7:
        (void)strings_patch(store, &key, 4000 + prng_below(prng, 1000), slice_make(digit, 1), NULL);
        break;
    case 8:
        (void)store_expire(store, &key, prng_below(prng, 2) * (NOW + 20000));
        break;
    case 9:
        if (key.hash != other.hash) {
            (void)store_rename(store, &key, &other);
        }
        break;
    }
    world_end(&world, node);
}

static bool is_equal(const struct shown *a, const struct shown *b) {
    return a->is_there == b->is_there && a->expire_unix_ms == b->expire_unix_ms &&
           slice_equal(buffer_slice(&a->value), buffer_slice(&b->value));
}

static uint64_t silent_count, told_count;

/* One record, and what it told. */
static void deliver(unsigned author, unsigned reader) {
    struct shown before[WORLD_KEYS], after;
    memset(told, 0, sizeof(told));
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        look(reader, i, &before[i]);
    }
    world.nodes[reader].store.notify_classes = ALL_CLASSES;
    bool was_new = world_deliver(&world, author, reader);
    world.nodes[reader].store.notify_classes = 0;
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        look(reader, i, &after);
        if (!is_equal(&before[i], &after)) {
            assert_true(was_new);
            assert_true(told[i].count > 0);
            told_count++;
        } else if (told[i].count > 0) {
            assert_true(told[i].sets > 0 || told[i].long_edits > 0);
        } else {
            silent_count++;
        }
        if (before[i].is_there && !after.is_there) {
            assert_string_equal(told[i].last, "del");
        }
        if (!before[i].is_there && after.is_there) {
            assert_true(told[i].news > 0);
        }
        if (before[i].is_there && after.is_there) {
            /* Nothing went in between, whatever was taken off. */
            assert_int_equal(told[i].last != NULL && strcmp(told[i].last, "del") == 0, false);
        }
        buffer_deinit(&after.value);
        buffer_deinit(&before[i].value);
    }
}

static void test_random_histories(void **state) {
    (void)state;
    struct prng prng;
    for (unsigned history = 0; history < HISTORIES; history++) {
        seed_prng(&prng, "notify", history);
        world_init(&world);
        for (unsigned i = 0; i < WORLD_NODES; i++) {
            world.nodes[i].store.notify = hear;
        }
        for (unsigned step = 0; step < STEPS; step++) {
            unsigned node = (unsigned)prng_below(&prng, WORLD_NODES);
            if (prng_below(&prng, 3) == 0) {
                command(&prng, node);
            } else {
                deliver((unsigned)prng_below(&prng, WORLD_NODES), node);
            }
            if (prng_below(&prng, 8) == 0) {
                world_hear(&world, node, (unsigned)prng_below(&prng, WORLD_NODES));
                world_settle(&world, node);
            }
        }
        world_converge(&world);
        world_deinit(&world);
    }
    /* Both happened, often. */
    assert_true(told_count > 1000);
    assert_true(silent_count > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_histories)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
