/* SPDX-License-Identifier: BSD-3-Clause */
/* Short histories, all of them: five commands of one family on one key, in turn at three nodes. For
 * each command every choice of what its node had received by then is tried, and after that several
 * orders in which the rest arrives. The end is as the law says (merge_world.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/store/merge_world.h"

enum { COMMANDS = 5, KNOWN_BITS = 8, ORDERS = 8 };
static const uint64_t NOW = UINT64_C(1800000000000);
static struct world world;

/* One command: a letter; those that find nothing to do record nothing. */
static void run_command(unsigned node, char letter, unsigned number) {
    static char large[5000];
    struct store *store = &world.nodes[node].store;
    struct key key = world_key(&world, node, 0), other = world_key(&world, node, 1);
    int64_t result;
    long double float_result;
    char digit[1] = {(char)('0' + number)};
    switch (letter) {
    case 's':
        (void)strings_set(store, &key, slice_make(digit, 1), 0);
        break;
    case 'k':
        (void)strings_set(store, &key, slice_make(digit, 1), STRINGS_KEEP_EXPIRY);
        break;
    case 'x':
        (void)strings_set(store, &key, slice_make(digit, 1), NOW + 10000 + number);
        break;
    case 'b':
        memset(large, 'a' + (int)number, sizeof(large));
        (void)strings_set(store, &key, slice_make(large, sizeof(large)), 0);
        break;
    case 'd':
        (void)store_delete(store, &key);
        break;
    case 'i':
        (void)strings_add_integer(store, &key, 1 << number, &result);
        break;
    case 'f':
        (void)strings_add_float(store, &key, 0.5L * (1 << number), &float_result);
        break;
    case 'a':
        (void)strings_patch(store, &key, 4990 + number, SLICE("WXYZ"), NULL);
        break;
    case 'e':
        (void)store_expire(store, &key, NOW + 20000 + number);
        break;
    case 'p':
        (void)store_expire(store, &key, 0);
        break;
    case 'h': {
        struct buffer value = {0}, pairs = {0};
        struct entry_scratch scratch;
        struct entry *entry = store_peek(store, &key);
        if (entry != NULL) {
            buffer_append_slice(&value, entry_value(entry, &scratch));
        } else {
            hyperloglog_init(&value);
        }
        struct hyperloglog_place place = {.index = number, .rank = number + 1};
        if (hyperloglog_check(buffer_slice(&value)) == HYPERLOGLOG_OK &&
            hyperloglog_raise(&value, place, 3000) == HYPERLOGLOG_RAISED) {
            (void)strings_set_registers(store, &key, buffer_slice(&value), buffer_slice(&pairs));
        }
        buffer_deinit(&value);
        break;
    }
    case 'l':
        (void)store_flush(store, 0);
        break;
    case 'r':
        (void)store_rename(store, &key, &other);
        break;
    default:
        impossible("a letter without a command");
    }
    world_end(&world, node);
}

/* `known` has a bit for each other node before each of the later commands: are its records of now
 * received first? */
static void run(const char *commands, unsigned known, unsigned order) {
    static const unsigned nodes[COMMANDS] = {0, 1, 2, 0, 1};
    world_init(&world);
    for (unsigned i = 0; i < COMMANDS; i++) {
        unsigned node = nodes[i];
        for (unsigned bit = 0; bit < 2 && i > 0; bit++) {
            if ((known >> (2 * (i - 1) + bit) & 1) != 0) {
                while (world_deliver(&world, (node + 1 + bit) % WORLD_NODES, node)) {
                }
            }
        }
        run_command(node, commands[i], i);
        if (i == COMMANDS / 2 && (order & 1) != 0) {
            for (unsigned pair = 0; pair < 9; pair++) {
                world_hear(&world, pair / 3, pair % 3);
            }
        }
    }
    for (unsigned i = 0; i < 24; i++) {
        unsigned reader = (i + order) % WORLD_NODES;
        (void)world_deliver(&world, (reader + 1 + (order >> 1 & 1) + i / 3 * (order >> 2)) % 3,
                            reader);
        world_settle(&world, reader);
    }
    world_converge(&world);
    world_deinit(&world);
}

static void all_orders(const char *commands) {
    printf("%s\n", commands);
    for (unsigned known = 0; known < 1U << KNOWN_BITS; known++) {
        for (unsigned order = 0; order < ORDERS; order += 3) {
            run(commands, known, order);
        }
    }
}

#define FAMILY(name, ...)                                                                          \
    static void name(void **state) {                                                               \
        (void)state;                                                                               \
        static const char *const all[] = {__VA_ARGS__};                                            \
        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {                                \
            all_orders(all[i]);                                                                    \
        }                                                                                          \
    }

FAMILY(registers, "ssdsd", "sdsks", "sxdks", "slsrd")
FAMILY(integer_counters, "iidii", "isiid", "iiisi", "idiid", "ilidi")
FAMILY(float_counters, "ffdif", "fsfid", "ifdfi")
FAMILY(edits, "baada", "babaa", "aadaa", "badia")
FAMILY(raises, "hhdhh", "hshdh", "hdhlh")
FAMILY(expiries, "xedpi", "iedei", "xeike", "sedkp")

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers),      cmocka_unit_test(integer_counters),
        cmocka_unit_test(float_counters), cmocka_unit_test(edits),
        cmocka_unit_test(raises),         cmocka_unit_test(expiries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
