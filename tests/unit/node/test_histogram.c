/* SPDX-License-Identifier: BSD-3-Clause */
/* Histograms of durations: the buckets follow each other without gaps, and percentiles are those of
 * a sorted list, up to the width of a bucket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "node/histogram.h"
#include "unit/seed.h"

static void test_buckets(void **state) {
    (void)state;
    for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        uint64_t bound = histogram_bound_us(i);
        assert_int_equal(histogram_bucket(bound), i);
        assert_int_equal(histogram_bucket(bound + 1), i + 1);
    }
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void test_percentiles(void **state) {
    (void)state;
    enum { COUNT = 10000 };
    static uint64_t durations[COUNT];
    uint64_t buckets[HISTOGRAM_BUCKETS] = {0};
    struct prng prng;
    seed_prng(&prng, "histogram", 0);
    assert_int_equal(histogram_percentile_us(buckets, 50), 0);
    for (size_t i = 0; i < COUNT; i++) {
        durations[i] = prng_next(&prng) >> (28 + prng_below(&prng, 36));
        histogram_add(buckets, durations[i]);
    }
    assert_int_equal(histogram_count(buckets), COUNT);
    qsort(durations, COUNT, sizeof(durations[0]), compare);
    static const double percents[] = {0.01, 1, 25, 50, 75, 90, 99, 99.9, 100};
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        uint64_t exact = durations[(size_t)(percents[i] * COUNT / 100) - 1];
        uint64_t shown = histogram_percentile_us(buckets, percents[i]);
        assert_true(shown >= exact);
        assert_true(shown <= exact + exact / 4);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_percentiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
