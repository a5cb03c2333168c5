/* SPDX-License-Identifier: BSD-3-Clause */
/* The hash: it depends on all bytes, the length and the seed, reads no byte too many, changes about
 * half of its bits with each bit of the input, and spreads common keys evenly over its top bits,
 * which choose places in the ordered table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "unit/seed.h"

static const struct hash_seed SEED = {0x0123456789ABCDEFULL, 0xFEDCBA9876543210ULL};

static uint64_t hash_exact(struct hash_seed seed, const char *bytes, size_t size) {
    char *block = memory_alloc(size);
    memcpy(block, bytes, size);
    uint64_t hash = hash_bytes(seed, slice_make(block, size));
    memory_free(block);
    return hash;
}

/* Over all lengths and input bits, each output bit flips about half the time. */
static void each_bit_changes_half(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "each_bit_changes_half", 0);
    for (size_t size = 1; size <= 40; size++) {
        unsigned flips[64] = {0}, trials = 0;
        for (unsigned round = 0; round < 16; round++) {
            char bytes[40];
            for (size_t i = 0; i < size; i++) {
                bytes[i] = (char)prng_next(&prng);
            }
            uint64_t hash = hash_exact(SEED, bytes, size);
            for (size_t bit = 0; bit < 8 * size; bit++) {
                bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
                uint64_t difference = hash ^ hash_exact(SEED, bytes, size);
                bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
                assert_int_not_equal(difference, 0);
                for (unsigned i = 0; i < 64; i++) {
                    flips[i] += difference >> i & 1;
                }
                trials++;
            }
        }
        for (unsigned i = 0; i < 64; i++) {
            double share = (double)flips[i] / trials;
            assert_true(share > 0.28 && share < 0.72);
        }
    }
}

static void seeds_and_lengths_count(void **state) {
    (void)state;
    static const char zeros[80];
    uint64_t hashes[81];
    for (size_t size = 0; size <= 80; size++) {
        hashes[size] = hash_exact(SEED, zeros, size);
        for (size_t i = 0; i < size; i++) {
            assert_int_not_equal(hashes[i], hashes[size]);
        }
        struct hash_seed other = {SEED.a + 1, SEED.b};
        assert_int_not_equal(hash_exact(other, zeros, size), hashes[size]);
        other = (struct hash_seed){SEED.a, SEED.b ^ 1};
        assert_int_not_equal(hash_exact(other, zeros, size), hashes[size]);
    }
}

/* Keys as people name them: over 1024 ranges of the top bits, as even as chance has it. */
static void common_keys_spread_evenly(void **state) {
    (void)state;
    enum { KEYS = 200000, RANGES = 1024 };
    static const char *const formats[] = {
        "%u", "key:%u", "user:%08u:name", "%012u", "session:{%u}:a-rather-long-tail-of-text", "%x"};
    for (unsigned f = 0; f < 6; f++) {
        static unsigned counts[RANGES], low_counts[RANGES];
        memset(counts, 0, sizeof(counts));
        memset(low_counts, 0, sizeof(low_counts));
        for (unsigned i = 0; i < KEYS; i++) {
            char text[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            int size = snprintf(text, sizeof(text), formats[f], i);
#pragma GCC diagnostic pop
            uint64_t hash = hash_bytes(SEED, slice_make(text, (size_t)size));
            counts[hash >> 54]++;
            low_counts[hash % RANGES]++;
        }
        double expected = (double)KEYS / RANGES, chi = 0, low_chi = 0;
        for (unsigned i = 0; i < RANGES; i++) {
            chi += (counts[i] - expected) * (counts[i] - expected) / expected;
            low_chi += (low_counts[i] - expected) * (low_counts[i] - expected) / expected;
        }
        /* 1023 on average, with a deviation of 45. */
        printf("%s: %.0f %.0f\n", formats[f], chi, low_chi);
        assert_true(chi < 1300 && low_chi < 1300);
    }
}

static int compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* All keys of up to two bytes, and words that differ in few places: none collide. */
static void near_keys_do_not_collide(void **state) {
    (void)state;
    size_t count = 0;
    uint64_t *hashes = memory_alloc(400000 * sizeof(uint64_t));
    char bytes[64];
    for (unsigned i = 0; i < 256; i++) {
        bytes[0] = (char)i;
        hashes[count++] = hash_exact(SEED, bytes, 1);
        for (unsigned j = 0; j < 256; j++) {
            bytes[1] = (char)j;
            hashes[count++] = hash_exact(SEED, bytes, 2);
        }
    }
    for (unsigned size = 3; size < 64; size++) {
        for (unsigned i = 0; i < size; i++) {
            for (unsigned j = i + 1; j < size; j++) {
                memset(bytes, 'a', sizeof(bytes));
                bytes[i] = 'b';
                bytes[j] = 'c';
                hashes[count++] = hash_exact(SEED, bytes, size);
            }
        }
    }
    qsort(hashes, count, sizeof(uint64_t), compare);
    for (size_t i = 1; i < count; i++) {
        require(hashes[i - 1] != hashes[i]);
    }
    memory_free(hashes);
}

/* Three seeds at once give what each gives alone, at every length. */
static void thrice_is_three_times_once(void **state) {
    (void)state;
    static const struct hash_seed seeds[3] = {{1, 2}, {3, 4}, {5, 6}};
    char bytes[100];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(i * 37 + 11);
    }
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        uint64_t hashes[3];
        hash_bytes_thrice(seeds, slice_make(bytes, size), hashes);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(hashes[i], hash_bytes(seeds[i], slice_make(bytes, size)));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bit_changes_half),      cmocka_unit_test(seeds_and_lengths_count),
        cmocka_unit_test(common_keys_spread_evenly),  cmocka_unit_test(near_keys_do_not_collide),
        cmocka_unit_test(thrice_is_three_times_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
