/* SPDX-License-Identifier: BSD-3-Clause */
/* HyperLogLog: hashes, bytes and counts as Redis 7.0 gives them for the same elements; random
 * raises against plain registers, in both encodings; and malformed values in blocks of exactly
 * their size, so that a sanitizer sees a byte read or written outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"
#include "crdt/hyperloglog.h"

enum { REGISTERS = HYPERLOGLOG_REGISTERS_COUNT, SPARSE_MAX = 3000 };

/* ---- as Redis has it ---- */

static void elements_hash_as_in_redis(void **state) {
    (void)state;
    static const struct {
        struct slice element;
        unsigned index, rank;
    } known[] = {
        {{"", 0}, 5938, 2},
        {{"a", 1}, 12711, 2},
        {{"1", 1}, 7527, 1},
        {{"abcdefg", 7}, 5634, 2},
        {{"abcdefgh", 8}, 1383, 1},
        {{"abcdefghi", 9}, 6903, 1},
        {{"\0\xFF\x80\x7F", 4}, 11211, 1},
        {{"The quick brown fox jumps over the lazy dog", 43}, 6862, 4},
        /* Made by running the hash backwards: the greatest ranks there are. */
        {{"\xF4\x2F\xD7\x00\x8E\x52\x87\x12", 8}, 5, 51},
        {{"\xE9\x13\x2E\x1A\x88\x15\xDB\x74", 8}, 5, 50},
        {{"\x22\x95\xE7\x76\xDC\x15\xCA\x3F", 8}, 16383, 51},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct hyperloglog_place place = hyperloglog_place(known[i].element);
        assert_int_equal(place.index, known[i].index);
        assert_int_equal(place.rank, known[i].rank);
    }
}

static void add(struct buffer *value, struct slice element, size_t sparse_bytes_max) {
    enum hyperloglog_status status =
        hyperloglog_raise(value, hyperloglog_place(element), sparse_bytes_max);
    assert_true(status == HYPERLOGLOG_OK || status == HYPERLOGLOG_RAISED);
}

static void bytes_are_those_of_redis(void **state) {
    (void)state;
    struct buffer value = {0};
    hyperloglog_init(&value);
    assert_true(slice_equal(buffer_slice(&value), SLICE("HYLL\1\0\0\0\0\0\0\0\0\0\0\x80\x7F\xFF")));
    add(&value, SLICE("a"), SPARSE_MAX);
    add(&value, SLICE("b"), SPARSE_MAX);
    add(&value, SLICE("c"), SPARSE_MAX);
    struct slice expected = SLICE("HYLL\1\0\0\0\0\0\0\0\0\0\0\x80`\xF3\x80P\xB1\x84K\xFB\x80"
                                  "BZ");
    assert_true(slice_equal(buffer_slice(&value), expected));
    struct buffer text = {0};
    assert_int_equal(hyperloglog_describe(buffer_slice(&value), &text), HYPERLOGLOG_OK);
    assert_string_equal(buffer_text(&text), "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603");
    buffer_deinit(&text);
    buffer_deinit(&value);
}

static uint64_t count(const struct buffer *value) {
    uint64_t result = UINT64_MAX;
    assert_int_equal(hyperloglog_count(buffer_slice(value), &result), HYPERLOGLOG_OK);
    return result;
}

static void counts_are_those_of_redis(void **state) {
    (void)state;
    static const struct {
        unsigned added, counted;
    } known[] = {
        {1, 1},         {10, 10},         {100, 99},        {1000, 997},
        {10000, 10017}, {100000, 100039}, {300000, 298112},
    };
    struct buffer value = {0}, dense = {0};
    hyperloglog_init(&value);
    hyperloglog_init(&dense);
    assert_int_equal(hyperloglog_make_dense(&dense), HYPERLOGLOG_OK);
    assert_int_equal(count(&value), 0);
    assert_int_equal(count(&dense), 0);
    unsigned added = 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        for (; added < known[i].added; added++) {
            char text[32];
            int size = snprintf(text, sizeof(text), "element:%u", added);
            add(&value, slice_make(text, (size_t)size), SPARSE_MAX);
            add(&dense, slice_make(text, (size_t)size), SPARSE_MAX);
        }
        assert_int_equal(count(&value), known[i].counted);
        assert_int_equal(count(&dense), known[i].counted);
        uint8_t registers[REGISTERS] = {0};
        assert_int_equal(hyperloglog_join(registers, buffer_slice(&value)), HYPERLOGLOG_OK);
        assert_int_equal(hyperloglog_count_registers(registers), known[i].counted);
        assert_int_equal(hyperloglog_is_dense(buffer_slice(&value)), added > 1000);
    }
    buffer_deinit(&value);
    buffer_deinit(&dense);
}

/* ---- against plain registers ---- */

static void has_registers(const struct buffer *value, const uint8_t *registers) {
    uint8_t found[REGISTERS] = {0};
    assert_int_equal(hyperloglog_join(found, buffer_slice(value)), HYPERLOGLOG_OK);
    assert_memory_equal(found, registers, REGISTERS);
}

/* Raises random registers; `spread` bounds the indexes, so that small ones make long runs. */
static void raise_at_random(uint64_t seed, unsigned spread, unsigned ranks, size_t bytes_max) {
    struct prng prng;
    prng_init(&prng, seed);
    uint8_t registers[REGISTERS] = {0};
    struct buffer value = {0}, written = {0};
    hyperloglog_init(&value);
    unsigned base = (unsigned)prng_below(&prng, REGISTERS - spread + 1);
    for (unsigned step = 0; step < 400; step++) {
        struct hyperloglog_place place = {.index = base + (unsigned)prng_below(&prng, spread),
                                          .rank = 1 + (unsigned)prng_below(&prng, ranks)};
        bool rises = place.rank > registers[place.index];
        unsigned rank = 0;
        assert_int_equal(hyperloglog_get(buffer_slice(&value), place.index, &rank), HYPERLOGLOG_OK);
        assert_int_equal(rank, registers[place.index]);
        enum hyperloglog_status status = hyperloglog_raise(&value, place, bytes_max);
        assert_int_equal(status, rises ? HYPERLOGLOG_RAISED : HYPERLOGLOG_OK);
        if (!rises) {
            continue;
        }
        registers[place.index] = (uint8_t)place.rank;
        has_registers(&value, registers);
        /* Equal registers, equal bytes: however the value came about. */
        bool dense = hyperloglog_is_dense(buffer_slice(&value));
        hyperloglog_set_registers(&written, registers, dense, bytes_max);
        assert_true(slice_equal(buffer_slice(&written), buffer_slice(&value)));
        assert_true(dense || value.size <= bytes_max);
        uint64_t cached;
        assert_false(hyperloglog_cached(buffer_slice(&value), &cached));
    }
    buffer_deinit(&value);
    buffer_deinit(&written);
}

static void raises_equal_plain_registers(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        raise_at_random(seed, REGISTERS, 32, 1 << 20);
        raise_at_random(seed, 40, 2, 1 << 20);     /* runs that meet */
        raise_at_random(seed, 300, 1, 1 << 20);    /* long runs of one rank */
        raise_at_random(seed, 1, 63, 1 << 20);     /* ranks that need dense registers */
        raise_at_random(seed, REGISTERS, 32, 300); /* too long for sparse */
    }
}

static void long_runs_stay_whole(void **state) {
    (void)state;
    /* All registers at 1, raised from both ends towards the middle, then one amid them: the runs
     * on its sides are the longest there can be. */
    struct buffer value = {0}, written = {0};
    uint8_t registers[REGISTERS];
    memset(registers, 1, sizeof(registers));
    hyperloglog_set_registers(&value, registers, false, 1 << 20);
    assert_int_equal(value.size, HYPERLOGLOG_HEADER_BYTES + REGISTERS / 4);
    for (unsigned i = 0; i < 9; i++) {
        struct hyperloglog_place place = {.index = (i * 5003 + 8191) % REGISTERS,
                                          .rank = 2 + i % 2};
        registers[place.index] = (uint8_t)place.rank;
        assert_int_equal(hyperloglog_raise(&value, place, 1 << 20), HYPERLOGLOG_RAISED);
        hyperloglog_set_registers(&written, registers, false, 1 << 20);
        assert_true(slice_equal(buffer_slice(&written), buffer_slice(&value)));
    }
    buffer_deinit(&value);
    buffer_deinit(&written);
}

static void dense_at_the_limit(void **state) {
    (void)state;
    struct buffer value = {0};
    for (unsigned short_by = 0; short_by < 2; short_by++) {
        hyperloglog_init(&value);
        struct hyperloglog_place place = {.index = 5000, .rank = 3};
        size_t size = HYPERLOGLOG_HEADER_BYTES + 5; /* zeros, one value, zeros */
        assert_int_equal(hyperloglog_raise(&value, place, size - short_by), HYPERLOGLOG_RAISED);
        assert_int_equal(hyperloglog_is_dense(buffer_slice(&value)), short_by == 1);
        assert_int_equal(value.size, short_by == 1 ? HYPERLOGLOG_DENSE_BYTES : size);
    }
    hyperloglog_init(&value);
    struct hyperloglog_place place = {.index = 1, .rank = 32};
    assert_int_equal(hyperloglog_raise(&value, place, SPARSE_MAX), HYPERLOGLOG_RAISED);
    assert_false(hyperloglog_is_dense(buffer_slice(&value)));
    place.rank = 33;
    assert_int_equal(hyperloglog_raise(&value, place, SPARSE_MAX), HYPERLOGLOG_RAISED);
    assert_true(hyperloglog_is_dense(buffer_slice(&value)));
    buffer_deinit(&value);
}

static void the_cache(void **state) {
    (void)state;
    struct buffer value = {0};
    hyperloglog_init(&value);
    uint64_t cached;
    assert_false(hyperloglog_cached(buffer_slice(&value), &cached));
    add(&value, SLICE("a"), SPARSE_MAX);
    assert_false(hyperloglog_cached(buffer_slice(&value), &cached));
    hyperloglog_cache(value.data, UINT64_C(0x0102030405060708));
    assert_memory_equal(value.data + 8, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    assert_true(hyperloglog_cached(buffer_slice(&value), &cached));
    assert_int_equal(cached, UINT64_C(0x0102030405060708));
    add(&value, SLICE("a"), SPARSE_MAX); /* nothing rises: still right */
    assert_true(hyperloglog_cached(buffer_slice(&value), &cached));
    buffer_deinit(&value);
}

/* ---- pairs ---- */

static void pairs_join(void **state) {
    (void)state;
    struct buffer value = {0}, expected = {0}, pairs = {0};
    hyperloglog_init(&value);
    assert_false(hyperloglog_join_pairs(value.data, value.size, SLICE(""))); /* sparse */
    assert_int_equal(hyperloglog_make_dense(&value), HYPERLOGLOG_OK);
    buffer_append_slice(&expected, buffer_slice(&value));
    struct prng prng;
    prng_init(&prng, 3);
    for (unsigned i = 0; i < 2000; i++) {
        struct hyperloglog_place place = {.index = (unsigned)prng_below(&prng, REGISTERS),
                                          .rank = 1 + (unsigned)prng_below(&prng, 63)};
        if (hyperloglog_raise(&expected, place, 0) == HYPERLOGLOG_RAISED) {
            hyperloglog_pair_put(&pairs, place);
        }
    }
    for (unsigned times = 0; times < 2; times++) { /* once more changes nothing */
        assert_true(hyperloglog_join_pairs(value.data, value.size, buffer_slice(&pairs)));
        assert_true(slice_equal(buffer_slice(&value), buffer_slice(&expected)));
    }
    /* A bad pair behind good ones: nothing is done. */
    hyperloglog_init(&value);
    assert_int_equal(hyperloglog_make_dense(&value), HYPERLOGLOG_OK);
    static const struct slice bad[] = {
        {"\1\0\5\0\x40\1", 6}, /* index 16384 */
        {"\1\0\5\1\0\x40", 6}, /* rank 64 */
        {"\1\0\5\1", 4},       /* cut short */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(hyperloglog_join_pairs(value.data, value.size, bad[i]));
        assert_int_equal(count(&value), 0);
    }
    assert_false(hyperloglog_join_pairs(value.data, value.size - 1, SLICE("\1\0\5")));
    buffer_deinit(&value);
    buffer_deinit(&expected);
    buffer_deinit(&pairs);
}

static void pairs_raise_as_they_rose(void **state) {
    (void)state;
    /* What was raised step by step comes out the same, byte for byte, from the pairs alone. */
    struct buffer old = {0}, now = {0}, again = {0}, pairs = {0};
    struct prng prng;
    prng_init(&prng, 29);
    hyperloglog_init(&old);
    for (unsigned round = 0; round < 60; round++) {
        buffer_clear(&now);
        buffer_clear(&pairs);
        buffer_append_slice(&now, buffer_slice(&old));
        for (uint64_t i = 1 + prng_below(&prng, 20); i > 0; i--) {
            struct hyperloglog_place place = {
                .index = (unsigned)prng_below(&prng, round % 2 == 0 ? REGISTERS : 50),
                .rank = 1 + (unsigned)prng_below(&prng, round < 50 ? 32 : 63)};
            if (hyperloglog_raise(&now, place, SIZE_MAX) == HYPERLOGLOG_RAISED) {
                hyperloglog_pair_put(&pairs, place);
            }
        }
        assert_true(hyperloglog_raise_pairs(&again, buffer_slice(&old), buffer_slice(&pairs)));
        assert_int_equal(again.size, now.size);
        assert_memory_equal(again.data + HYPERLOGLOG_HEADER_BYTES,
                            now.data + HYPERLOGLOG_HEADER_BYTES,
                            now.size - HYPERLOGLOG_HEADER_BYTES);
        buffer_clear(&old);
        buffer_append_slice(&old, buffer_slice(&now));
    }
    assert_true(hyperloglog_is_dense(buffer_slice(&old)));
    hyperloglog_init(&old);
    assert_false(hyperloglog_raise_pairs(&again, buffer_slice(&old), SLICE("\0\x40\1")));
    assert_false(hyperloglog_raise_pairs(&again, buffer_slice(&old), SLICE("\1\1\x40")));
    assert_false(hyperloglog_raise_pairs(&again, buffer_slice(&old), SLICE("\1\1")));
    struct slice cut = slice_make(old.data, old.size - 1);
    assert_false(hyperloglog_raise_pairs(&again, cut, SLICE("\1\0\1")));
    buffer_deinit(&old);
    buffer_deinit(&now);
    buffer_deinit(&again);
    buffer_deinit(&pairs);
}

/* ---- malformed values ---- */

/* Does all there is to do with `bytes`, in blocks of exactly their size. Whatever comes of it, a
 * value that counts can be raised, and one that cannot be raised is left as it was. */
static void try_everything(struct slice bytes, unsigned index) {
    char *block = memory_alloc(bytes.size + 1);
    memcpy(block + 1, bytes.data, bytes.size);
    struct slice value = slice_make(block + 1, bytes.size);
    if (hyperloglog_check(value) == HYPERLOGLOG_OK) {
        uint8_t registers[REGISTERS] = {0};
        uint64_t number;
        unsigned rank;
        struct buffer text = {0}, copy = {0};
        bool is_sound = hyperloglog_count(value, &number) == HYPERLOGLOG_OK;
        assert_int_equal(hyperloglog_join(registers, value) == HYPERLOGLOG_OK, is_sound);
        if (!hyperloglog_is_dense(value)) {
            assert_int_equal(hyperloglog_describe(value, &text) == HYPERLOGLOG_OK, is_sound);
        }
        enum hyperloglog_status got = hyperloglog_get(value, index, &rank);
        assert_true(!is_sound || (got == HYPERLOGLOG_OK && rank == registers[index]));
        for (unsigned to = 2; to <= 50; to += 16) {
            buffer_clear(&copy);
            buffer_append_slice(&copy, value);
            struct hyperloglog_place place = {.index = index, .rank = to};
            enum hyperloglog_status status =
                hyperloglog_raise(&copy, place, to == 18 ? 0 : SPARSE_MAX);
            assert_true(!is_sound || status != HYPERLOGLOG_CORRUPTED);
            if (status == HYPERLOGLOG_CORRUPTED) {
                assert_true(slice_equal(buffer_slice(&copy), value));
            }
        }
        buffer_deinit(&text);
        buffer_deinit(&copy);
    }
    memory_free(block);
}

static void malformed_values(void **state) {
    (void)state;
    struct prng prng;
    prng_init(&prng, 17);
    struct buffer value = {0}, broken = {0};
    for (unsigned round = 0; round < 100; round++) {
        hyperloglog_init(&value);
        for (uint64_t i = prng_below(&prng, 200); i > 0; i--) {
            uint64_t element = prng_next(&prng);
            add(&value, slice_make(&element, sizeof(element)), SPARSE_MAX);
        }
        for (size_t size = 0; size <= value.size; size += 1 + round % 7) {
            try_everything(slice_make(value.data, size), (unsigned)prng_below(&prng, REGISTERS));
        }
        for (unsigned i = 0; i < 30; i++) {
            buffer_clear(&broken);
            buffer_append_slice(&broken, buffer_slice(&value));
            for (uint64_t flips = 1 + prng_below(&prng, 4); flips > 0; flips--) {
                broken.data[prng_below(&prng, broken.size)] = (char)prng_next(&prng);
            }
            if (prng_below(&prng, 4) == 0) {
                buffer_append_slice(&broken, SLICE("more"));
            }
            try_everything(buffer_slice(&broken), (unsigned)prng_below(&prng, REGISTERS));
        }
    }
    buffer_deinit(&value);
    buffer_deinit(&broken);
}

static void each_way_to_be_malformed(void **state) {
    (void)state;
#define HEADER "HYLL\1\0\0\0\0\0\0\0\0\0\0\x80"
    static const struct slice corrupted[] = {
        {HEADER, 16},                   /* no registers */
        {HEADER "\x7F", 17},            /* half an opcode */
        {HEADER "\x7F\xFE", 18},        /* one register too few */
        {HEADER "\x7F\xFF\x00", 19},    /* one too many, of rank 0 */
        {HEADER "\x7F\xFE\x81", 19},    /* one too many, by a run of two */
        {HEADER "\x7F\xFF\x7F\xFF", 20} /* twice as many */
    };
    for (size_t i = 0; i < sizeof(corrupted) / sizeof(corrupted[0]); i++) {
        uint64_t number;
        assert_int_equal(hyperloglog_check(corrupted[i]), HYPERLOGLOG_OK);
        assert_int_equal(hyperloglog_count(corrupted[i], &number), HYPERLOGLOG_CORRUPTED);
        try_everything(corrupted[i], 0);
        try_everything(corrupted[i], REGISTERS - 1);
    }
    static const struct slice foreign[] = {
        {"", 0},
        {"HYLL\1\0\0\0\0\0\0\0\0\0\0", 15},
        {"HYLX\1\0\0\0\0\0\0\0\0\0\0\x80\x7F\xFF", 18},
        {"HYLL\2\0\0\0\0\0\0\0\0\0\0\x80\x7F\xFF", 18}, /* no such encoding */
        {"HYLL\0\0\0\0\0\0\0\0\0\0\0\x80\x7F\xFF", 18}, /* dense, but short */
    };
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        assert_int_equal(hyperloglog_check(foreign[i]), HYPERLOGLOG_FOREIGN);
    }
}

static void ranks_from_outside(void **state) {
    (void)state;
    /* Dense registers may hold ranks that no element has; the estimate stays a number. */
    struct buffer value = {0};
    uint8_t registers[REGISTERS];
    for (unsigned rank = HYPERLOGLOG_RANK_MAX - 1; rank <= HYPERLOGLOG_REGISTER_MAX; rank++) {
        memset(registers, (int)rank, sizeof(registers));
        hyperloglog_set_registers(&value, registers, false, SPARSE_MAX);
        assert_true(hyperloglog_is_dense(buffer_slice(&value)));
        assert_true(count(&value) <= UINT64_C(1) << 62);
        has_registers(&value, registers);
    }
    buffer_deinit(&value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_hash_as_in_redis),
        cmocka_unit_test(bytes_are_those_of_redis),
        cmocka_unit_test(counts_are_those_of_redis),
        cmocka_unit_test(raises_equal_plain_registers),
        cmocka_unit_test(long_runs_stay_whole),
        cmocka_unit_test(dense_at_the_limit),
        cmocka_unit_test(the_cache),
        cmocka_unit_test(pairs_join),
        cmocka_unit_test(pairs_raise_as_they_rose),
        cmocka_unit_test(malformed_values),
        cmocka_unit_test(each_way_to_be_malformed),
        cmocka_unit_test(ranks_from_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
