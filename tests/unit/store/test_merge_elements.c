/* SPDX-License-Identifier: BSD-3-Clause */
/* Elements of collections on three nodes, beside the law as a model: every change that was ever
 * made, with what its writer had seen. A change supersedes what its writer had seen at its place
 * (an element), a change of the key at all places under it, and a change of one type all that was
 * seen of others. Packed or not, settled or not, and through snapshots, all nodes come to what the
 * law says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "store/elements.h"
#include "store/strings.h"
#include "unit/store/merge_world.h"
#include "unit/store/running_snapshot.h"

enum { FIELDS = 3, KEYS = 2 };

static const char *const FIELD_NAMES[FIELDS] = {"x", "y", "zebra"};
static const enum value_type TYPES[] = {VALUE_HASH, VALUE_SET, VALUE_SORTED_SET};

static struct world world;
static struct prng prng;

/* ---- the law ---- */

struct place {
    struct slice key, element;
    enum value_type type;
};

static bool is_at_key(const struct world_op *op, struct slice key) {
    return op->change.kind == CHANGE_FLUSH || op->change.kind == CHANGE_FLUSH_ALL ||
           slice_equal(op->change.key, key);
}

static bool is_at(const struct world_op *op, const struct place *place) {
    return op->change.type == place->type && slice_equal(op->change.key, place->key) &&
           slice_equal(op->change.element, place->element);
}

static bool takes_value_of(const struct world_op *op, const struct place *place) {
    if (!is_at_key(op, place->key) || op->change.kind == CHANGE_TAKE) {
        return false;
    }
    if (op->change.type == VALUE_STRING) {
        return world_takes_value(op) ||
               (place->type != VALUE_STRING &&
                (op->change.kind == CHANGE_COUNTER || op->change.kind == CHANGE_FLOAT_COUNTER));
    }
    return op->change.type != place->type || (is_at(op, place) && world_takes_value(op));
}

static bool takes_expiry_of(const struct world_op *op, const struct place *place) {
    if (!is_at_key(op, place->key) || op->change.kind == CHANGE_TAKE) {
        return false;
    }
    if (op->change.type == VALUE_STRING) {
        return world_takes_expiry(op) && (place->type == VALUE_STRING || world_takes_value(op));
    }
    return place->type == VALUE_STRING
               ? op->change.is_key_fresh
               : (is_at(op, place) && world_takes_expiry(op)) || op->change.type != place->type;
}

static bool survives_at(const struct world_op *op, const struct place *place,
                        bool (*takes)(const struct world_op *, const struct place *)) {
    for (unsigned i = 0; i < world.ops_count; i++) {
        const struct world_op *other = &world.ops[i];
        if (other != op && takes(other, place) && other->seen[op->author] >= op->ticks) {
            return false;
        }
    }
    return true;
}

struct expected {
    bool is_there, is_float;
    struct slice bytes; /* of the register; "" without one */
    bool has_number;
    long double number;
    uint64_t expire_unix_ms;
    const struct world_op *newest;
};

static bool is_increment(const struct world_op *op) {
    return op->change.kind == CHANGE_COUNTER || op->change.kind == CHANGE_FLOAT_COUNTER;
}

static void expect_place(const struct place *place, struct expected *expected) {
    const struct world_op *shown = NULL, *expiry = NULL;
    long double sum = 0;
    bool has_increment = false;
    *expected = (struct expected){.bytes = SLICE("")};
    for (unsigned i = 0; i < world.ops_count; i++) {
        const struct world_op *op = &world.ops[i];
        if (!is_at(op, place)) {
            continue;
        }
        bool survives = survives_at(op, place, takes_value_of);
        if (survives && (world_is_register(op->change.kind) || is_increment(op))) {
            if (expected->newest == NULL || world_is_before(expected->newest, op)) {
                expected->newest = op;
            }
            if (is_increment(op)) {
                has_increment = true;
                expected->is_float |= op->is_float;
                sum += op->float_delta;
            } else if (shown == NULL || world_is_before(shown, op)) {
                shown = op;
            }
        }
        if ((op->change.kind == CHANGE_EXPIRE || op->change.kind == CHANGE_SET_EXPIRING) &&
            survives_at(op, place, takes_expiry_of) &&
            (expiry == NULL || op->change.expire_unix_ms - 1 > expiry->change.expire_unix_ms - 1)) {
            expiry = op;
        }
    }
    expected->is_there = shown != NULL || has_increment;
    if (shown != NULL) {
        expected->bytes = shown->change.value;
    }
    long double base = 0;
    if (has_increment && (shown == NULL || number_parse_float(expected->bytes, &base))) {
        expected->has_number = true;
        expected->number = base + sum;
    }
    expected->expire_unix_ms = expiry != NULL ? expiry->change.expire_unix_ms : 0;
}

/* ---- comparing ---- */

static void compare_bytes(const struct expected *expected, struct slice shown) {
    long double number;
    if (!expected->has_number) {
        require(slice_equal(shown, expected->bytes));
        return;
    }
    require(number_parse_float(shown, &number));
    require(fabsl(number - expected->number) <= 1e-12L * (1 + fabsl(expected->number)));
}

static void compare_element(const struct expected *expected, const struct place *place,
                            const struct element *element) {
    if (place->type == VALUE_HASH) {
        compare_bytes(expected, element->value);
        require(element->expire_unix_ms == expected->expire_unix_ms);
    } else if (place->type == VALUE_SORTED_SET) {
        long double number = expected->number;
        require(expected->has_number || number_parse_float(expected->bytes, &number));
        require(fabsl(element->score - number) <= 1e-12L * (1 + fabsl(number)));
    }
}

static void compare_key(unsigned node, unsigned k) {
    struct store *store = &world.nodes[node].store;
    struct key key = world_key(&world, node, k);
    struct place at = {.key = key.name, .type = VALUE_STRING, .element = {.data = "", .size = 0}};
    struct expected string, best = {0}, expected[3][FIELDS];
    int shown = -1; /* of TYPES */
    expect_place(&at, &string);
    best = string;
    for (unsigned t = 0; t < 3; t++) {
        for (unsigned f = 0; f < FIELDS; f++) {
            struct place place = {
                .key = key.name, .type = TYPES[t], .element = slice_of(FIELD_NAMES[f])};
            expect_place(&place, &expected[t][f]);
            if (expected[t][f].is_there &&
                (!best.is_there || world_is_before(best.newest, expected[t][f].newest))) {
                best = expected[t][f];
                shown = (int)t;
            }
        }
    }
    struct entry *entry = store_peek(store, &key);
    require((entry != NULL) == best.is_there);
    if (entry == NULL) {
        return;
    }
    require(entry_expire_unix_ms(entry) == string.expire_unix_ms);
    if (shown < 0) {
        struct entry_scratch scratch;
        require(entry_type(entry) == VALUE_STRING);
        compare_bytes(&string, entry_value(entry, &scratch));
        return;
    }
    require(entry_type(entry) == TYPES[shown]);
    struct elements elements;
    uint64_t count = 0;
    elements_of(entry, &elements);
    for (unsigned f = 0; f < FIELDS; f++) {
        struct place place = {
            .key = key.name, .type = TYPES[shown], .element = slice_of(FIELD_NAMES[f])};
        struct element element;
        bool is_there = elements_find(store, &elements, place.element, &element);
        require(is_there == expected[shown][f].is_there);
        count += is_there;
        if (is_there) {
            compare_element(&expected[shown][f], &place, &element);
        }
    }
    require(elements.count == count);
}

static void print_element(void *udata, const struct element *element) {
    printf(" %.*s=%.*s/%g/%llu", (int)element->name.size, element->name.data,
           (int)element->value.size, element->value.data, element->score,
           (unsigned long long)element->expire_unix_ms);
    (void)udata;
}

/* What was written, and what came of it: for whoever looks at a failure. */
static void print_all(void) {
    for (unsigned i = 0; i < world.ops_count; i++) {
        const struct world_op *op = &world.ops[i];
        printf("op %u node %u ticks %llx seen %llx %llx %llx kind %d%s%s type %d %.*s.%.*s %.*s "
               "%lld %llu\n",
               i, op->author, (unsigned long long)op->ticks, (unsigned long long)op->seen[0],
               (unsigned long long)op->seen[1], (unsigned long long)op->seen[2], op->change.kind,
               op->change.is_fresh ? " fresh" : "", op->change.is_key_fresh ? " key-fresh" : "",
               op->change.type, (int)op->change.key.size, op->change.key.data,
               (int)op->change.element.size, op->change.element.data, (int)op->change.value.size,
               op->change.value.data, (long long)op->change.total,
               (unsigned long long)op->change.expire_unix_ms);
    }
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        for (unsigned k = 0; k < KEYS; k++) {
            struct key key = world_key(&world, node, k);
            struct entry *entry = store_peek(&world.nodes[node].store, &key);
            printf("node %u %s:", node, world_names[k]);
            if (entry != NULL && entry_type(entry) != VALUE_STRING) {
                struct elements elements;
                elements_of(entry, &elements);
                printf(" type %d kind %d expiry %llu", elements.type, entry_kind(entry),
                       (unsigned long long)entry_expire_unix_ms(entry));
                elements_each(&world.nodes[node].store, &elements, print_element, NULL);
            } else if (entry != NULL) {
                struct entry_scratch scratch;
                struct slice value = entry_value(entry, &scratch);
                printf(" %.*s kind %d expiry %llu", (int)value.size, value.data, entry_kind(entry),
                       (unsigned long long)entry_expire_unix_ms(entry));
            }
            printf("\n");
        }
    }
    (void)fflush(stdout);
}

static void compare_all(void) {
    if (getenv("TEST_PRINT") != NULL) {
        print_all();
    }
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        store_check(&world.nodes[node].store);
        require(world_same_digest(&world, 0, node));
        for (unsigned k = 0; k < KEYS; k++) {
            compare_key(node, k);
        }
    }
}

static void check_state(unsigned node) {
    (void)running_snapshot_check_state(&world.nodes[node].store);
}

static struct running_snapshot snapshot;

static void converge(void) {
    world_deliver_all(&world);
    compare_all();
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        check_state(node);
        for (unsigned of = 0; of < WORLD_NODES; of++) {
            world_hear(&world, node, of);
        }
        world_settle(&world, node);
        world_settle(&world, node);
        require(world.nodes[node].store.unsettled_count == 0);
        require(world.nodes[node].store.dbs[0].hidden_count == 0);
        check_state(node);
    }
    compare_all();
}

/* ---- what nodes do ---- */

static void write_key(unsigned node, unsigned k) {
    struct store *store = &world.nodes[node].store;
    struct key key = world_key(&world, node, k);
    int64_t result;
    char text[32];
    switch (prng_below(&prng, 8)) {
    case 0:
    case 1:
        (void)store_delete(store, &key);
        break;
    case 2:
        (void)snprintf(text, sizeof(text), "%d", (int)prng_below(&prng, 100));
        (void)strings_set(store, &key, slice_of(text), 0);
        break;
    case 3:
        (void)strings_set(store, &key, SLICE("text"), 0);
        break;
    case 4:
    case 5:
        (void)strings_add_integer(store, &key, 1 + (int64_t)prng_below(&prng, 5), &result);
        break;
    case 6:
        (void)store_expire(store, &key, (uint64_t)store->now_ms + 1000 + prng_below(&prng, 9));
        break;
    default:
        (void)store_expire(store, &key, 0);
        break;
    }
}

static void write_element(struct elements_writer *writer, struct slice field) {
    bool is_new;
    char text[32];
    int64_t integer;
    long double number;
    double score;
    (void)snprintf(text, sizeof(text), "%d", (int)prng_below(&prng, 100));
    unsigned kind = (unsigned)prng_below(&prng, 8);
    uint64_t later = (uint64_t)writer->store->now_ms + 1000 + prng_below(&prng, 9);
    if (kind < 2) {
        (void)element_delete(writer, field);
    } else if (writer->type == VALUE_SET) {
        require(element_set(writer, field, SLICE(""), false, &is_new) == STORE_OK);
    } else if (writer->type == VALUE_SORTED_SET) {
        if (kind < 5) {
            double half = (double)prng_below(&prng, 20) / 2;
            require(element_set_score(writer, field, half, &is_new) == STORE_OK);
        } else {
            require(element_add_score(writer, field, kind == 5 ? 0.5 : 2, &score) == STORE_OK);
        }
    } else if (kind == 2) {
        (void)element_set(writer, field, SLICE("text"), prng_below(&prng, 2) == 0, &is_new);
    } else if (kind == 3) {
        (void)element_set(writer, field, slice_of(text), prng_below(&prng, 2) == 0, &is_new);
    } else if (kind == 4) {
        (void)element_expire(writer, field, prng_below(&prng, 3) == 0 ? 0 : later);
    } else if (kind == 5) {
        (void)element_add_float(writer, field, 0.25L, &number);
    } else {
        (void)element_add_integer(writer, field, 3, &integer);
    }
}

static void write_elements(unsigned node, unsigned k) {
    struct store *store = &world.nodes[node].store;
    struct key key = world_key(&world, node, k);
    struct elements_writer writer;
    enum value_type type = TYPES[prng_below(&prng, 3)];
    struct entry *entry = store_peek(store, &key);
    /* Mostly of the type that is there, else little would be written. */
    if (entry != NULL && entry_type(entry) != VALUE_STRING) {
        type = entry_type(entry);
    }
    if (elements_open(store, &key, type, &writer) != STORE_OK) {
        return;
    }
    for (unsigned i = 0, count = 1 + (unsigned)prng_below(&prng, 3); i < count; i++) {
        write_element(&writer, slice_of(FIELD_NAMES[prng_below(&prng, FIELDS)]));
    }
    elements_close(&writer);
}

static void step(void) {
    unsigned node = (unsigned)prng_below(&prng, WORLD_NODES);
    unsigned k = (unsigned)prng_below(&prng, KEYS);
    unsigned kind = (unsigned)prng_below(&prng, 100);
    if (kind < 8) {
        write_key(node, k);
        world_end(&world, node);
    } else if (kind < 45) {
        write_elements(node, k);
        world_end(&world, node);
    } else if (kind < 46) {
        (void)store_flush(&world.nodes[node].store, 0);
        world_end(&world, node);
    } else if (kind < 80) {
        (void)world_deliver(&world, (unsigned)prng_below(&prng, WORLD_NODES), node);
    } else if (kind < 90) {
        world_hear(&world, node, (unsigned)prng_below(&prng, WORLD_NODES));
    } else if (kind < 94) {
        running_snapshot_step(&snapshot, &world, node, prng_below(&prng, 4),
                              (unsigned)prng_below(&prng, 3));
    } else if (!snapshot.is_running || snapshot.node != node) {
        world_settle(&world, node);
    }
    store_check(&world.nodes[node].store);
}

static void history(void) {
    world_init(&world);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        for (unsigned t = 0; t < 3; t++) {
            world.nodes[node].store.packing[TYPES[t]].entries_max = prng_below(&prng, 4);
        }
    }
    unsigned steps = 20 + (unsigned)prng_below(&prng, 100);
    for (unsigned i = 0; i < steps; i++) {
        step();
    }
    running_snapshot_finish(&snapshot, &world);
    converge();
    world_deinit(&world);
}

static void the_law_holds(void **state) {
    (void)state;
    const char *only = getenv("TEST_PART");
    unsigned first = only != NULL ? (unsigned)atoi(only) : 0;
    for (unsigned i = first; i < (only != NULL ? first + 1 : 2000); i++) {
        seed_prng(&prng, "the_law_holds", i);
        history();
    }
    assert_true(only != NULL || snapshot.in_pieces_count > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_law_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
