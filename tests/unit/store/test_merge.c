/* SPDX-License-Identifier: BSD-3-Clause */
/* The laws of merging: histories of three nodes, random ones and all deliveries of short ones. All
 * nodes end equal, as the law says of the changes that were made (merge_world.h), and settling
 * shows nothing on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/store/merge_world.h"

enum { LARGE_BYTES = 5000 };
static char large_text[LARGE_BYTES];

static const uint64_t NOW = UINT64_C(1800000000000);

/* ---- random commands ---- */

static void add_element(struct store *store, const struct key *key, uint64_t element) {
    struct buffer value = {0}, pairs = {0};
    struct entry_scratch scratch;
    struct entry *entry = store_peek(store, key);
    if (entry == NULL) {
        hyperloglog_init(&value);
    } else if (hyperloglog_check(entry_value(entry, &scratch)) == HYPERLOGLOG_OK) {
        buffer_append_slice(&value, entry_value(entry, &scratch));
    } else {
        return;
    }
    struct hyperloglog_place place = hyperloglog_place(slice_make(&element, sizeof(element)));
    enum hyperloglog_status status = hyperloglog_raise(&value, place, 3000);
    if (status == HYPERLOGLOG_RAISED) {
        hyperloglog_pair_put(&pairs, place);
    }
    if (status == HYPERLOGLOG_RAISED || entry == NULL) {
        require(strings_set_registers(store, key, buffer_slice(&value), buffer_slice(&pairs)) ==
                STORE_OK);
    }
    buffer_deinit(&value);
    buffer_deinit(&pairs);
}

static void patch(struct store *store, const struct key *key, struct prng *prng) {
    static const size_t offsets[] = {0, 1, 4100, 4101, 4104, 6000};
    size_t size = 1 + prng_below(prng, 8);
    uint64_t offset = offsets[prng_below(prng, 6)];
    char bytes[8];
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)('A' + prng_below(prng, 26));
    }
    if (prng_below(prng, 3) == 0) {
        const struct entry *entry = store_peek(store, key);
        offset = entry != NULL ? entry_value_bytes(entry) : 0;
    }
    require(strings_patch(store, key, offset, slice_make(bytes, size), NULL) == STORE_OK);
}

static struct slice random_value(struct prng *prng) {
    static const char *const values[] = {"100", "7", "abc", "1.5", "", "-3", "007", "1.50"};
    unsigned pick = (unsigned)prng_below(prng, 11);
    return pick < 8 ? slice_of(values[pick])
                    : slice_make(large_text, LARGE_BYTES - prng_below(prng, 900));
}

static void increment(struct store *store, const struct key *key, struct prng *prng,
                      bool is_float) {
    static const long double floats[] = {0.1L, 0.5L, -1.25L, 3.0L};
    static const int64_t integers[] = {1, 5, -3, 1000};
    struct entry_scratch scratch;
    long double float_result;
    int64_t result;
    enum store_status status =
        is_float ? strings_add_float(store, key, floats[prng_below(prng, 4)], &float_result)
                 : strings_add_integer(store, key, integers[prng_below(prng, 4)], &result);
    if (status == STORE_OK && !is_float) {
        int64_t shown;
        require(entry_integer(store_peek(store, key), &shown) && shown == result);
    } else if (status == STORE_OK) {
        long double shown;
        require(number_parse_float(entry_value(store_peek(store, key), &scratch), &shown));
        require(fabsl(shown - float_result) < 1e-12L);
    } else {
        require(status == (is_float ? STORE_NOT_FLOAT : STORE_NOT_INTEGER));
    }
}

enum family { FAMILY_ALL, FAMILY_COUNTERS, FAMILY_FLOATS, FAMILY_EDITS, FAMILY_RAISES, FAMILIES };

/* One command of a family. */
static void command(struct world *world, unsigned node, struct prng *prng, enum family family) {
    static const char *const kinds[FAMILIES] = {"sssxkdepiiffaabbhhlrc", "sdiiiiike", "sdffffiike",
                                                "bdaaaaaabske", "dhhhhhhskel"};
    struct store *store = &world->nodes[node].store;
    struct key key = world_key(world, node, (unsigned)prng_below(prng, WORLD_KEYS));
    struct key other = world_key(world, node, (unsigned)prng_below(prng, WORLD_KEYS));
    uint64_t expire = NOW + 100000 + prng_below(prng, 5) * 1000;
    switch (kinds[family][prng_below(prng, strlen(kinds[family]))]) {
    case 's':
        require(strings_set(store, &key,
                            family == FAMILY_COUNTERS ? SLICE("50") : random_value(prng),
                            0) == STORE_OK);
        break;
    case 'x':
        require(strings_set(store, &key, random_value(prng), expire) == STORE_OK);
        break;
    case 'k':
        require(strings_set(store, &key, random_value(prng), STRINGS_KEEP_EXPIRY) == STORE_OK);
        break;
    case 'd':
        (void)store_delete(store, &key);
        break;
    case 'e':
        (void)store_expire(store, &key, expire);
        break;
    case 'p':
        (void)store_expire(store, &key, 0);
        break;
    case 'i':
        increment(store, &key, prng, false);
        break;
    case 'f':
        increment(store, &key, prng, true);
        break;
    case 'a':
        patch(store, &key, prng);
        break;
    case 'b':
        require(strings_set(store, &key, slice_make(large_text, LARGE_BYTES), 0) == STORE_OK);
        break;
    case 'h':
        add_element(store, &key, prng_below(prng, 50));
        break;
    case 'l':
        (void)store_flush(store, 0);
        break;
    case 'r':
        if (!slice_equal(key.name, other.name)) {
            (void)store_rename(store, &key, &other);
        }
        break;
    case 'c':
        if (!slice_equal(key.name, other.name)) {
            (void)store_copy(store, &key, &other);
        }
        break;
    default:
        impossible("a letter without a command");
    }
    world_end(world, node);
}

static void run_history(struct prng *prng, enum family family) {
    static struct world world;
    world_init(&world);
    unsigned steps = 3 + (unsigned)prng_below(prng, prng_below(prng, 10) == 0 ? 120 : 25);
    for (unsigned step = 0; step < steps; step++) {
        unsigned node = (unsigned)prng_below(prng, WORLD_NODES);
        uint64_t roll = prng_below(prng, 100);
        if (roll < 45) {
            command(&world, node, prng, family);
        } else if (roll < 80) {
            unsigned author = (unsigned)prng_below(prng, WORLD_NODES);
            for (uint64_t count = 1 + prng_below(prng, 3); count > 0; count--) {
                (void)world_deliver(&world, author, node);
            }
        } else if (roll < 90) {
            world_hear(&world, node, (unsigned)prng_below(prng, WORLD_NODES));
        } else {
            world_settle(&world, node);
        }
    }
    world_converge(&world);
    world_deinit(&world);
}

static void random_histories(void **state, enum family family, const char *name, unsigned count) {
    (void)state;
    memset(large_text, 'v', sizeof(large_text));
    struct prng prng;
    seed_prng(&prng, name, family);
    for (unsigned i = 0; i < count; i++) {
        struct prng one;
        prng_init(&one, prng_next(&prng));
        run_history(&one, family);
    }
}

static void histories_of_everything(void **state) {
    random_histories(state, FAMILY_ALL, "histories_of_everything", 10000);
}

static void histories_of_counters(void **state) {
    random_histories(state, FAMILY_COUNTERS, "histories_of_counters", 4000);
}

static void histories_of_floats(void **state) {
    random_histories(state, FAMILY_FLOATS, "histories_of_floats", 3000);
}

static void histories_of_edits(void **state) {
    random_histories(state, FAMILY_EDITS, "histories_of_edits", 3000);
}

static void histories_of_raises(void **state) {
    random_histories(state, FAMILY_RAISES, "histories_of_raises", 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_of_everything), cmocka_unit_test(histories_of_counters),
        cmocka_unit_test(histories_of_floats),     cmocka_unit_test(histories_of_edits),
        cmocka_unit_test(histories_of_raises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
