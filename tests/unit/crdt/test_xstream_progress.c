/* SPDX-License-Identifier: BSD-3-Clause */
/* What a group has delivered, as a set of entries: all small states, in pairs and triples, against
 * the union of the sets; bytes there and back; folding; and which origin an entry has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/codec.h"
#include "crdt/xstream_progress.h"
#include "unit/seed.h"

/* A state: how far the floor is and each origin was read, from 0 to LEVELS - 1. Of one origin more
 * nothing is ever told. */
enum { ORIGINS = 2, LEVELS = 4, STATES = LEVELS * LEVELS * LEVELS };

static struct xstream_id id_of(unsigned level) {
    return (struct xstream_id){level / 2, level};
}

static void make(struct xstream_progress *progress, unsigned state) {
    *progress = (struct xstream_progress){0};
    for (unsigned origin = 0; origin < ORIGINS; origin++, state /= LEVELS) {
        xstream_progress_reach(progress, 7 * origin, id_of(state % LEVELS));
    }
    xstream_progress_raise_floor(progress, id_of(state));
    xstream_progress_check(progress);
}

/* A bit for each entry that was delivered. */
static unsigned set_of(const struct xstream_progress *progress) {
    unsigned set = 0;
    for (unsigned origin = 0; origin <= ORIGINS; origin++) {
        for (unsigned level = 1; level < LEVELS; level++) {
            if (xstream_progress_has(progress, 7 * origin, id_of(level))) {
                set |= 1U << (origin * LEVELS + level);
            }
        }
    }
    return set;
}

/* The join of both, as a node makes it of what elements say. */
static void join(struct xstream_progress *progress, const struct xstream_progress *other) {
    struct buffer bytes = {0};
    xstream_progress_put(&bytes, other);
    xstream_progress_join(progress, XSTREAM_ID_MAX, buffer_slice(&bytes));
    xstream_progress_check(progress);
    buffer_deinit(&bytes);
}

static void require_same_bytes(const struct xstream_progress *a, const struct xstream_progress *b) {
    struct buffer bytes[2] = {{0}, {0}};
    xstream_progress_put(&bytes[0], a);
    xstream_progress_put(&bytes[1], b);
    require(slice_equal(buffer_slice(&bytes[0]), buffer_slice(&bytes[1])));
    buffer_deinit(&bytes[0]);
    buffer_deinit(&bytes[1]);
}

static void joining_is_the_union(void **state) {
    (void)state;
    for (unsigned i = 0; i < STATES; i++) {
        for (unsigned j = 0; j < STATES; j++) {
            struct xstream_progress a, b, both, other;
            make(&a, i);
            make(&b, j);
            make(&both, i);
            make(&other, j);
            join(&both, &b);
            join(&other, &a);
            require(set_of(&both) == (set_of(&a) | set_of(&b)));
            require_same_bytes(&both, &other);
            require(xstream_progress_covers(&both, &a) && xstream_progress_covers(&both, &b));
            require(xstream_progress_covers(&a, &b) == ((set_of(&b) & ~set_of(&a)) == 0));
            join(&both, &b); /* again */
            require_same_bytes(&both, &other);
            xstream_progress_deinit(&a);
            xstream_progress_deinit(&b);
            xstream_progress_deinit(&both);
            xstream_progress_deinit(&other);
        }
    }
}

static void joining_is_associative(void **state) {
    (void)state;
    for (unsigned i = 0; i < STATES * STATES * STATES; i++) {
        struct xstream_progress a, b, left, right;
        make(&a, i % STATES);
        make(&b, i / STATES % STATES);
        make(&left, i % STATES);
        make(&right, i / STATES / STATES);
        join(&left, &b);
        join(&left, &right);
        join(&right, &b);
        join(&right, &a);
        require_same_bytes(&left, &right);
        xstream_progress_deinit(&a);
        xstream_progress_deinit(&b);
        xstream_progress_deinit(&left);
        xstream_progress_deinit(&right);
    }
}

static void a_name_alone_is_a_floor(void **state) {
    (void)state;
    struct xstream_progress progress = {0};
    xstream_progress_join(&progress, id_of(2), SLICE(""));
    require(xstream_progress_is_plain(&progress, id_of(2)));
    require(!xstream_progress_is_plain(&progress, id_of(3)));
    require(xstream_progress_has(&progress, 99, id_of(2)));
    require(!xstream_progress_has(&progress, 99, id_of(3)));
    xstream_progress_reach(&progress, 99, id_of(3));
    require(!xstream_progress_is_plain(&progress, id_of(2)));
    xstream_progress_deinit(&progress);
}

/* What is cut off, or longer than a number, is as if it were not there. */
static void nonsense_is_absent(void **state) {
    (void)state;
    struct xstream_progress progress;
    struct buffer bytes = {0};
    make(&progress, 2 + 3 * LEVELS);
    xstream_progress_put(&bytes, &progress);
    for (size_t size = 0; size <= bytes.size; size++) {
        struct xstream_progress read = {0};
        xstream_progress_join(&read, XSTREAM_ID_MIN, slice_make(bytes.data, size));
        xstream_progress_check(&read);
        require(xstream_progress_covers(&progress, &read));
        require(xstream_progress_covers(&read, &progress) == (size == bytes.size));
        xstream_progress_deinit(&read);
    }
    struct xstream_progress read = {0};
    static const char LONG[] = "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF";
    xstream_progress_join(&read, XSTREAM_ID_MIN, slice_of(LONG));
    require(xstream_progress_is_plain(&read, XSTREAM_ID_MIN));
    xstream_progress_deinit(&progress);
    /* Origins that fall, and too many. */
    xstream_progress_join(&read, XSTREAM_ID_MIN, SLICE("\1\0\7\2\0\6\2\0\10\2\0"));
    require(xstream_progress_has(&read, 7, (struct xstream_id){2, 0}));
    require(!xstream_progress_has(&read, 6, (struct xstream_id){2, 0}));
    require(!xstream_progress_has(&read, 8, (struct xstream_id){2, 0}));
    xstream_progress_deinit(&read);
    buffer_clear(&bytes);
    buffer_append(&bytes, "\0\0", 2);
    for (uint64_t i = 0; i < XSTREAM_PROGRESS_TAKEN_MAX + 1; i++) {
        codec_put_varint(&bytes, i);
        buffer_append(&bytes, "\1\0", 2);
    }
    xstream_progress_join(&read, XSTREAM_ID_MIN, buffer_slice(&bytes));
    require(xstream_progress_has(&read, XSTREAM_PROGRESS_TAKEN_MAX - 1, (struct xstream_id){1, 0}));
    require(!xstream_progress_has(&read, XSTREAM_PROGRESS_TAKEN_MAX, (struct xstream_id){1, 0}));
    xstream_progress_deinit(&read);
    buffer_deinit(&bytes);
}

/* ---- folding ---- */

static bool is_even(void *udata, uint64_t origin) {
    (*(unsigned *)udata)++;
    return origin % 2 == 0;
}

static void folding_skips_nothing(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "folding_skips_nothing", 0);
    for (unsigned part = 0; part < 300; part++) {
        struct xstream_progress progress = {0}, before = {0};
        unsigned asked = 0;
        unsigned origins = 1 + (unsigned)prng_below(&prng, 300);
        struct xstream_id all = {500, 0};
        for (unsigned i = 0; i < origins; i++) {
            struct xstream_id id = {1 + prng_below(&prng, 1000), prng_below(&prng, 3)};
            uint64_t origin = prng_below(&prng, 1000);
            xstream_progress_reach(&progress, origin, id);
            xstream_progress_reach(&before, origin, id);
        }
        size_t count = progress.reached.size / sizeof(struct xstream_reached);
        require(xstream_progress_is_full(&progress) == (count > XSTREAM_PROGRESS_ORIGINS_MAX));
        xstream_progress_fold(&progress, all, is_even, &asked);
        xstream_progress_check(&progress);
        require(!xstream_progress_is_full(&progress));
        require(xstream_progress_covers(&progress, &before));
        /* Nothing above that id, where somebody may have entries that nobody delivered, is new. */
        require(xstream_id_compare(progress.floor, all) <= 0);
        size_t kept = progress.reached.size / sizeof(struct xstream_reached);
        require(count > XSTREAM_PROGRESS_ORIGINS_MAX / 2 ? kept <= count : kept == count);
        xstream_progress_deinit(&progress);
        xstream_progress_deinit(&before);
    }
}

static void many_old_origins_leave_room(void **state) {
    (void)state;
    struct xstream_progress progress = {0};
    unsigned asked = 0;
    for (unsigned i = 0; i < 10000; i++) {
        struct xstream_id id = {i + 1, 0};
        xstream_progress_reach(&progress, 2 * (uint64_t)i + 1, id);
        if (xstream_progress_is_full(&progress)) {
            xstream_progress_fold(&progress, id, is_even, &asked);
        }
    }
    require(progress.reached.size / sizeof(struct xstream_reached) <= XSTREAM_PROGRESS_ORIGINS_MAX);
    require(asked < 30000);
    require(progress.floor.ms >= 10000 - XSTREAM_PROGRESS_ORIGINS_MAX);
    xstream_progress_deinit(&progress);
    /* Where all can write, none is folded, and they are asked seldom. */
    asked = 0;
    for (unsigned i = 0; i < 10000; i++) {
        struct xstream_id id = {i + 1, 0};
        xstream_progress_reach(&progress, 2 * (uint64_t)i, id);
        if (xstream_progress_is_full(&progress)) {
            xstream_progress_fold(&progress, id, is_even, &asked);
        }
    }
    require(progress.reached.size / sizeof(struct xstream_reached) == 10000);
    require(asked < 30000);
    xstream_progress_deinit(&progress);
}

/* ---- origins ---- */

static void an_entry_tells_its_origin(void **state) {
    (void)state;
    static const struct xstream_id ID = {5, UINT64_C(0x123456789ABCDEF0)};
    struct buffer value = {0};
    codec_put_varint(&value, 1);
    codec_put_slice(&value, SLICE("field"));
    require(xstream_origin(ID, buffer_slice(&value)) == 0x9ABCDEF0); /* cut off: the bits */
    codec_put_slice(&value, SLICE("a value"));
    require(xstream_origin(ID, buffer_slice(&value)) == 0x9ABCDEF0);
    codec_put_u64(&value, UINT64_C(0xFEDCBA9876543210));
    require(xstream_origin(ID, buffer_slice(&value)) == UINT64_C(0xFEDCBA9876543210));
    struct xstream_fields fields;
    require(xstream_fields_init(&fields, buffer_slice(&value)) == 1);
    buffer_append_byte(&value, 'x');
    require(xstream_origin(ID, buffer_slice(&value)) == 0x9ABCDEF0);
    require(xstream_origin(ID, SLICE("")) == 0x9ABCDEF0);
    buffer_deinit(&value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joining_is_the_union),      cmocka_unit_test(joining_is_associative),
        cmocka_unit_test(a_name_alone_is_a_floor),   cmocka_unit_test(nonsense_is_absent),
        cmocka_unit_test(folding_skips_nothing),     cmocka_unit_test(many_old_origins_leave_room),
        cmocka_unit_test(an_entry_tells_its_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
