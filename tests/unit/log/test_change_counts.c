/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts of changes against a plain list: exact for the newest records, nearly so for those long
 * before, never more than was counted; slots that change hands begin anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"
#include "log/change_counts.h"
#include "unit/seed.h"

enum { SLOT = 5, REF = 77 };

/* What was counted, record by record. */
struct list {
    uint64_t *ticks, *totals; /* at the end of each record */
    size_t count;
};

static void list_init(struct list *list, size_t capacity) {
    list->ticks = memory_alloc(capacity * sizeof(uint64_t));
    list->totals = memory_alloc(capacity * sizeof(uint64_t));
    list->count = 0;
}

static void list_append(struct list *list, uint64_t ticks, uint64_t total) {
    list->ticks[list->count] = ticks;
    list->totals[list->count++] = total;
}

static void list_deinit(struct list *list) {
    memory_free(list->ticks);
    memory_free(list->totals);
}

static void check_all(const struct change_counts *counts, const struct list *list, size_t step) {
    uint64_t total = list->totals[list->count - 1];
    for (size_t i = 0; i < list->count; i += i + 1000 < list->count ? step : 1) {
        uint64_t true_count = total - list->totals[i];
        uint64_t count = change_counts_since(counts, SLOT, REF, list->ticks[i]);
        assert_true(count >= true_count);
        assert_true(count <= total);
        if (list->count - i <= CHANGE_COUNTS_EXACT) {
            assert_int_equal(count, true_count);
        } else {
            assert_true(count - true_count <= true_count >> CHANGE_COUNTS_SHARE_BITS);
        }
        /* In the middle of a record nothing of it counts as seen. */
        assert_true(change_counts_since(counts, SLOT, REF, list->ticks[i] - 1) >= count);
    }
    assert_int_equal(change_counts_since(counts, SLOT, REF, UINT64_MAX), 0);
    assert_int_equal(change_counts_since(counts, SLOT, REF, 0), total);
}

static void random_records(uint64_t changes_max) {
    enum { RECORDS = 50000 };
    struct change_counts counts = {0};
    struct list list;
    list_init(&list, RECORDS);
    struct prng prng;
    seed_prng(&prng, "change_counts", changes_max);
    uint64_t ticks = 1000, total = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        uint64_t changes = prng_below(&prng, changes_max) + (changes_max == 1);
        uint64_t previous = ticks;
        ticks += 1 + prng_below(&prng, 10);
        total += changes;
        change_counts_add(&counts, SLOT, REF, previous, ticks, changes);
        list_append(&list, ticks, total);
        if (i % 9973 == 0 || i == 200 || i + 1 == RECORDS) {
            check_all(&counts, &list, 7);
        }
    }
    list_deinit(&list);
    change_counts_deinit(&counts);
}

static void against_a_list(void **state) {
    (void)state;
    random_records(1);
    random_records(3);
    random_records(1000);
}

/* However much is counted, there is room for the newest. */
static void numbers_of_any_size(void **state) {
    (void)state;
    struct change_counts counts = {0};
    uint64_t total = 0, exact[CHANGE_COUNTS_EXACT] = {0};
    for (uint64_t i = 1; i <= 20000; i++) {
        uint64_t changes = i < 4000 ? UINT64_C(1) << (i * 48 / 4000) : i % 3;
        exact[i % CHANGE_COUNTS_EXACT] = total;
        total += changes;
        change_counts_add(&counts, 1, REF, i - 1, i, changes);
    }
    for (uint64_t i = 20000 - CHANGE_COUNTS_EXACT + 2; i <= 20000; i++) {
        assert_int_equal(change_counts_since(&counts, 1, REF, i - 1),
                         total - exact[i % CHANGE_COUNTS_EXACT]);
    }
    assert_int_equal(change_counts_since(&counts, 1, REF, 0), total);
    change_counts_deinit(&counts);
}

static void only_what_was_counted(void **state) {
    (void)state;
    struct change_counts counts = {0};
    assert_int_equal(change_counts_since(&counts, 3, REF, 0), 0);
    /* Counting begins in the middle of a stream: whoever lacks what was before lacks no less. */
    change_counts_add(&counts, 3, REF, 5000, 5010, 10);
    assert_int_equal(change_counts_since(&counts, 3, REF, 5009), 10);
    assert_int_equal(change_counts_since(&counts, 3, REF, 17), 10);
    assert_int_equal(change_counts_since(&counts, 3, REF, 5010), 0);
    /* Records that came before, or overlap. */
    change_counts_add(&counts, 3, REF, 4000, 5010, 2);
    assert_int_equal(change_counts_since(&counts, 3, REF, 0), 12);
    change_counts_add(&counts, 3, REF, 5005, 5020, 3);
    assert_int_equal(change_counts_since(&counts, 3, REF, 5010), 3);
    assert_int_equal(change_counts_since(&counts, 3, REF, 5005), 15);
    /* Another replica has nothing in that slot, and takes it over without what was there. */
    assert_int_equal(change_counts_since(&counts, 3, REF + 1, 0), 0);
    change_counts_add(&counts, 3, REF + 1, 0, 7, 1);
    assert_int_equal(change_counts_since(&counts, 3, REF + 1, 0), 1);
    assert_int_equal(change_counts_since(&counts, 3, REF, 0), 0);
    change_counts_add(&counts, 900, REF, 0, 7, 4);
    change_counts_clear_slot(&counts, 3);
    change_counts_clear_slot(&counts, 1000);
    assert_int_equal(change_counts_since(&counts, 3, REF + 1, 0), 0);
    assert_int_equal(change_counts_since(&counts, 900, REF, 0), 4);
    change_counts_clear(&counts);
    assert_int_equal(change_counts_since(&counts, 900, REF, 0), 0);
    change_counts_deinit(&counts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_a_list),
        cmocka_unit_test(numbers_of_any_size),
        cmocka_unit_test(only_what_was_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
