/* SPDX-License-Identifier: BSD-3-Clause */
/* Packed elements against a plain array of them: put, overwritten in place, removed, found. */
#include "base/memory.h"
#include "base/prng.h"
#include "crdt/packed.h"

#include "unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { NAMES = 40, NAME_BYTES_MAX = 300, STEPS = 20000 };

struct model_element {
    bool is_there;
    size_t name_size, value_size;
    char name[NAME_BYTES_MAX], value[NAME_BYTES_MAX];
    double score;
    uint64_t stamp;
};

struct model {
    struct model_element elements[NAMES];
    unsigned count;
    struct buffer packed;
};

/* Many names are ends of others, which a search must tell apart; one is empty. */
static void name_model(struct model *model) {
    for (unsigned i = 0; i < NAMES; i++) {
        struct model_element *element = &model->elements[i];
        element->name_size = i < NAMES / 2 ? i : i * 7;
        for (size_t at = 0; at < element->name_size; at++) {
            element->name[element->name_size - 1 - at] = (char)('a' + at % 3);
        }
    }
}

static struct packed_element model_view(const struct model_element *element) {
    return (struct packed_element){.name = slice_make(element->name, element->name_size),
                                   .value = slice_make(element->value, element->value_size),
                                   .score = element->score,
                                   .stamp = element->stamp};
}

static void check_model(const struct model *model, enum value_type type) {
    struct slice packed = buffer_slice(&model->packed);
    assert_int_equal(packed_count(packed), model->count);
    for (unsigned i = 0; i < NAMES; i++) {
        const struct model_element *element = &model->elements[i];
        struct packed_element wanted = model_view(element), found;
        assert_int_equal(packed_find(packed, wanted.name, &found), element->is_there);
        if (element->is_there) {
            assert_true(slice_equal(found.name, wanted.name));
            assert_true(type != VALUE_HASH || slice_equal(found.value, wanted.value));
            assert_true(type != VALUE_SORTED_SET || found.score == wanted.score);
            assert_true(found.stamp == wanted.stamp);
        }
    }
    struct packed_reader reader;
    struct packed_element element, last = {0};
    unsigned count = 0;
    packed_reader_init(&reader, packed);
    while (packed_next(&reader, &element)) {
        assert_true(type != VALUE_SORTED_SET || count == 0 || packed_compare(&last, &element) < 0);
        last = element;
        count++;
    }
    assert_int_equal(count, model->count);
}

/* Near others and far from them, also as far as its milliseconds go; with small counters and large
 * ones, and of few slots and many. */
static uint64_t random_stamp(struct prng *prng) {
    uint64_t ticks = (UINT64_C(1) << 44) + prng_below(prng, UINT64_C(1) << prng_below(prng, 44));
    if (prng_below(prng, 2) == 0) {
        ticks -= prng_below(prng, UINT64_C(1) << 32);
    }
    if (prng_below(prng, 2) == 0) {
        ticks &= ~UINT64_C(0xFFF) | (0xFFF >> prng_below(prng, 8));
    }
    bool is_other = prng_below(prng, 2) == 0;
    return stamp_make(
        ticks, is_other ? (unsigned)prng_below(prng, prng_below(prng, 2) == 0 ? 9 : 1024) : 1);
}

static void change_model(struct model_element *element, struct prng *prng) {
    static const double SCORES[] = {0, -1, 1.5, 1e300, -3e9, 9007199254740993.0, 17};
    if (prng_below(prng, 3) > 0) {
        element->value_size = (size_t)prng_below(prng, prng_below(prng, 10) == 0 ? 300 : 20);
    }
    for (size_t at = 0; at < element->value_size; at++) {
        element->value[at] = (char)prng_below(prng, 256);
    }
    element->score = SCORES[prng_below(prng, sizeof(SCORES) / sizeof(SCORES[0]))];
    element->stamp = random_stamp(prng);
}

static void put_model(struct model *model, struct model_element *element, struct prng *prng,
                      unsigned *overwritten) {
    struct slice packed = buffer_slice(&model->packed);
    struct packed_element old, wanted;
    struct buffer out = {0};
    bool is_there = model->count > 0 && packed_find(packed, model_view(element).name, &old);
    change_model(element, prng);
    wanted = model_view(element);
    if (is_there && packed_overwrite(model->packed.data, model->packed.size, &old, &wanted)) {
        (*overwritten)++;
        return;
    }
    if (model->count == 0) {
        packed_begin_with(&out, packed_type(packed), &wanted);
    } else {
        packed_put(&out, packed, is_there ? &old : NULL, &wanted);
    }
    buffer_deinit(&model->packed);
    model->packed = out;
    model->count += !is_there;
    element->is_there = true;
}

static void remove_model(struct model *model, struct model_element *element) {
    struct packed_element old;
    struct buffer out = {0};
    if (packed_find(buffer_slice(&model->packed), model_view(element).name, &old)) {
        struct packed_range range = packed_range_of(&old);
        packed_remove(&out, buffer_slice(&model->packed), &range);
        buffer_deinit(&model->packed);
        model->packed = out;
        model->count--;
        element->is_there = false;
    }
}

static void run_model(enum value_type type, bool is_overwritten) {
    struct prng prng;
    struct model *model = memory_alloc_zero(sizeof(*model));
    unsigned overwritten = 0;
    seed_prng(&prng, "test_packed", (uint64_t)type);
    name_model(model);
    packed_begin(&model->packed, type, stamp_make(1, 1));
    for (unsigned step = 0; step < STEPS; step++) {
        struct model_element *element = &model->elements[prng_below(&prng, NAMES)];
        if (prng_below(&prng, 3) > 0) {
            put_model(model, element, &prng, &overwritten);
        } else {
            remove_model(model, element);
        }
        if (step % 16 == 0) {
            check_model(model, type);
        }
    }
    assert_true(is_overwritten == (overwritten > STEPS / 100));
    buffer_deinit(&model->packed);
    memory_free(model);
}

static void hashes_follow_the_model(void **state) {
    (void)state;
    run_model(VALUE_HASH, true);
}

static void sets_follow_the_model(void **state) {
    (void)state;
    run_model(VALUE_SET, false);
}

static void sorted_sets_follow_the_model(void **state) {
    (void)state;
    run_model(VALUE_SORTED_SET, false);
}

/* Raised elements cost what elements of one change cost, whatever came before; stamps that differ
 * are told, and are not raised. */
static void raised_stamps_are_told_once(void **state) {
    (void)state;
    struct buffer packed = {0};
    struct packed_element old;
    static const char *const NAMES[] = {"a", "b", "c", "a"};
    for (unsigned i = 0; i < 4; i++) {
        struct buffer next = {0};
        struct packed_element element = {.name = slice_make(NAMES[i], 1),
                                         .value = SLICE("value"),
                                         .stamp = stamp_make(1000 + i * 5000000, 1)};
        if (i == 0) {
            packed_begin_with(&next, VALUE_HASH, &element);
        } else {
            packed_raise(packed.data, packed.size, element.stamp);
            bool is_there = packed_find(buffer_slice(&packed), element.name, &old);
            assert_int_equal(is_there, i == 3);
            packed_put(&next, buffer_slice(&packed), is_there ? &old : NULL, &element);
        }
        buffer_deinit(&packed);
        packed = next;
        assert_true(packed_has_one_stamp(buffer_slice(&packed)));
        assert_int_equal(packed_type(buffer_slice(&packed)), VALUE_HASH);
        for (unsigned k = 0; k <= i; k++) {
            assert_true(packed_find(buffer_slice(&packed), slice_make(NAMES[k], 1), &old));
            assert_int_equal(old.stamp, element.stamp);
        }
    }
    enum { HEAD_BYTES = 1 + 1 + 8, ELEMENT_BYTES = 1 + 1 + 1 + 5 + 1 };
    assert_int_equal(packed.size, HEAD_BYTES + 3 * ELEMENT_BYTES);
    /* In a mesh nobody raises: both ways of putting an element take the sign away. */
    struct packed_element late = {
        .name = SLICE("d"), .value = SLICE("value"), .stamp = stamp_make(7, 2)};
    struct buffer next = {0};
    packed_put(&next, buffer_slice(&packed), NULL, &late);
    assert_false(packed_has_one_stamp(buffer_slice(&next)));
    packed_raise(next.data, next.size, stamp_make(UINT64_C(1) << 40, 1));
    assert_true(packed_find(buffer_slice(&next), SLICE("d"), &old));
    assert_int_equal(old.stamp, late.stamp);
    assert_true(packed_find(buffer_slice(&packed), SLICE("b"), &old));
    late = (struct packed_element){
        .name = SLICE("b"), .value = SLICE("VALUE"), .stamp = old.stamp + (1U << STAMP_SLOT_BITS)};
    assert_true(packed_overwrite(packed.data, packed.size, &old, &late));
    assert_false(packed_has_one_stamp(buffer_slice(&packed)));
    buffer_deinit(&next);
    buffer_deinit(&packed);
}

/* Ten members of ten bytes that ten writers of three replicas put in within a minute take four
 * bytes each for who wrote them and when; so does one writer's, and what is written at once less.
 */
static void sets_of_many_writers_are_short(void **state) {
    (void)state;
    enum {
        MEMBERS = 10,
        MEMBER_BYTES = 10,
        HEAD_BYTES = 1 + 1 + 8,
        FIRST_BYTES = 1,
        TOLD_BYTES = 4
    };
    struct prng prng;
    seed_prng(&prng, "sets_of_many_writers", 0);
    for (unsigned replicas = 0; replicas < 4; replicas++) {
        struct buffer packed = {0};
        for (uint64_t i = 0; i < MEMBERS; i++) {
            char name[MEMBER_BYTES + 1];
            uint64_t ms = 1000000000 + prng_below(&prng, 60000), counter = prng_below(&prng, 1000);
            snprintf(name, sizeof(name), "member%04u", (unsigned)i);
            struct buffer next = {0};
            struct packed_element element = {
                .name = slice_make(name, MEMBER_BYTES),
                .stamp = replicas == 0 ? stamp_make((UINT64_C(1) << 40) + i, 1)
                                       : stamp_make(ms << 12 | counter, 1 + i % replicas)};
            if (i == 0) {
                packed_begin_with(&next, VALUE_SET, &element);
            } else {
                packed_put(&next, buffer_slice(&packed), NULL, &element);
            }
            buffer_deinit(&packed);
            packed = next;
        }
        size_t told = replicas == 0 ? 1 : TOLD_BYTES;
        assert_in_range(packed.size, 1,
                        HEAD_BYTES + FIRST_BYTES + (MEMBERS - 1) * told +
                            MEMBERS * (1 + MEMBER_BYTES));
        buffer_deinit(&packed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_follow_the_model),
        cmocka_unit_test(sets_follow_the_model),
        cmocka_unit_test(sorted_sets_follow_the_model),
        cmocka_unit_test(raised_stamps_are_told_once),
        cmocka_unit_test(sets_of_many_writers_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
