/* SPDX-License-Identifier: BSD-3-Clause */
/* Ids for new entries: alone as Redis gives them; in a mesh the least above the last one with a
 * count and the replica's bits, against a naive search, at the end of the numbers, too; never the
 * same ones for two replicas, and such that packed leaves tell them in few bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/check.h"
#include "containers/ordered_map.h"
#include "crdt/xstream.h"
#include "unit/seed.h"

#define REF UINT64_C(0xFEDCBA9876543210)
#define BITS UINT64_C(0x76543210)
#define STEP (UINT64_C(1) << XSTREAM_REPLICA_BITS)

static struct xstream_id make_id(uint64_t ms, uint64_t sequence) {
    return (struct xstream_id){ms, sequence};
}

static void require_next(struct xstream_id last, uint64_t ms, bool is_alone,
                         struct xstream_id wanted) {
    struct xstream_id id;
    require(xstream_id_next(last, ms, is_alone, REF, &id));
    require(xstream_id_compare(id, wanted) == 0);
}

static void alone_ids_are_redis(void **state) {
    (void)state;
    struct xstream_id id;
    require_next(make_id(0, 0), 0, true, make_id(0, 1));
    require_next(make_id(0, 0), 7, true, make_id(7, 0));
    require_next(make_id(7, 0), 7, true, make_id(7, 1));
    require_next(make_id(9, STEP - 1), 7, true, make_id(9, STEP));
    require_next(make_id(9, UINT64_MAX), 9, true, make_id(10, 0));
    require(!xstream_id_next_in(make_id(9, UINT64_MAX), 9, true, REF, &id));
    require(!xstream_id_next(XSTREAM_ID_MAX, 0, true, REF, &id));
}

static void in_a_mesh_a_count_is_above_the_bits(void **state) {
    (void)state;
    struct xstream_id id;
    require_next(make_id(0, 0), 0, false, make_id(0, STEP | BITS));
    require_next(make_id(0, 0), 7, false, make_id(7, STEP | BITS));
    require_next(make_id(7, 500), 7, false, make_id(7, STEP | BITS));
    require_next(make_id(7, STEP | BITS), 7, false, make_id(7, 2 * STEP | BITS));
    /* Behind ids of others, as near as can be. */
    require_next(make_id(7, 5 * STEP | (BITS - 1)), 7, false, make_id(7, 5 * STEP | BITS));
    require_next(make_id(7, 5 * STEP | (BITS + 1)), 7, false, make_id(7, 6 * STEP | BITS));
    require_next(make_id(9, 5 * STEP | BITS), 7, false, make_id(9, 6 * STEP | BITS));
    /* Where a client left no count, it is the next millisecond's. */
    require_next(make_id(9, UINT64_MAX), 9, false, make_id(10, STEP | BITS));
    require_next(make_id(9, 0 - STEP), 9, false, make_id(9, (0 - STEP) | BITS));
    require_next(make_id(9, (0 - STEP) | BITS), 9, false, make_id(10, STEP | BITS));
    require(!xstream_id_next_in(make_id(9, (0 - STEP) | BITS), 9, false, REF, &id));
    require(!xstream_id_next(make_id(UINT64_MAX, (0 - STEP) | BITS), 9, false, REF, &id));
}

/* A sequence whose parts are often those that matter. */
static uint64_t some_sequence(struct prng *prng, uint64_t bits) {
    uint64_t count = prng_below(prng, 2) == 0 ? prng_below(prng, 3) : 0 - 1 - prng_below(prng, 3);
    uint64_t low = prng_below(prng, 2) == 0 ? bits - 1 + prng_below(prng, 3) : prng_next(prng);
    return count << XSTREAM_REPLICA_BITS | xstream_replica_bits(low);
}

static void ids_are_the_least_that_are_left(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "ids_are_the_least_that_are_left", 0);
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t ref = prng_next(&prng), bits = xstream_replica_bits(ref);
        struct xstream_id last = {5, some_sequence(&prng, bits)}, id;
        bool is_there = xstream_id_next_in(last, 5, false, ref, &id);
        uint64_t count = last.sequence >> XSTREAM_REPLICA_BITS;
        count += xstream_replica_bits(last.sequence) >= bits;
        count += count == 0;
        require(is_there == (count < STEP));
        if (is_there) {
            require(id.ms == 5 && id.sequence == (count << XSTREAM_REPLICA_BITS | bits));
        }
    }
}

/* Seeds 710905 and 711187 of the simulator had refs that are alike in 20 bits. */
static void refs_that_are_nearly_alike_choose_other_ids(void **state) {
    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        struct xstream_id one, other;
        uint64_t ref = REF ^ (UINT64_C(1) << bit);
        require(xstream_id_next(make_id(7, 0), 8, false, REF, &one));
        require(xstream_id_next(make_id(7, 0), 8, false, ref, &other));
        for (unsigned i = 0; i < 3; i++) {
            require(xstream_id_compare(one, other) != 0);
            require(xstream_id_next(one, 8, false, REF, &one));
            require(xstream_id_next(other, 8, false, ref, &other));
        }
    }
}

/* How many bytes ten thousand names of entries are, so many in a millisecond. */
static size_t names_bytes(unsigned in_ms) {
    struct ordered_map *map = NULL;
    struct xstream_id id = {UINT64_C(1800000000000), 0};
    uint64_t ms = id.ms;
    for (unsigned i = 0; i < 10000; i++) {
        struct xstream_name name;
        ms += i % in_ms == 0;
        require(xstream_id_next(id, ms, false, REF, &id));
        xstream_name_begin(&name, XSTREAM_ENTRY);
        xstream_name_add_id(&name, id);
        struct ordered_map_element element = {.name = xstream_name_slice(&name)};
        require(ordered_map_insert(&map, &element));
    }
    size_t bytes = (size_t)ordered_map_memory_bytes(map);
    ordered_map_free(&map, NULL, NULL);
    return bytes;
}

static void names_are_told_in_few_bytes(void **state) {
    (void)state;
    require(names_bytes(1) < 33000);
    require(names_bytes(2) < 43000);
    require(names_bytes(100) < 33000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_ids_are_redis),
        cmocka_unit_test(in_a_mesh_a_count_is_above_the_bits),
        cmocka_unit_test(ids_are_the_least_that_are_left),
        cmocka_unit_test(refs_that_are_nearly_alike_choose_other_ids),
        cmocka_unit_test(names_are_told_in_few_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
