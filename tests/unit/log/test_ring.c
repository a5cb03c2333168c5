/* SPDX-License-Identifier: BSD-3-Clause */
/* The ring against a list: what it holds is the end of what was appended, whole records, within its
 * limit; positions and contexts of chunks are those of the list; memory follows what is used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"
#include "base/varint.h"
#include "log/log.h"
#include "log/ring.h"

enum { RECORDS = 3000, SLOTS = 7 };

struct appended {
    uint64_t position;
    size_t size;
    uint8_t byte;
    uint64_t context_after[SLOTS];
};

static void check_ring(const struct ring *ring, const struct appended *list, size_t count,
                       uint64_t begin) {
    uint64_t position = ring->first_position;
    size_t at = 0;
    while (at < count && list[at].position < position) {
        at++;
    }
    assert_true(at == count ? position == ring->end_position : list[at].position == position);
    uint64_t records = 0;
    for (uint64_t number = ring->first_number; number < ring->end_number; number++) {
        const struct ring_chunk *chunk = ring_chunk(ring, number);
        assert_true(chunk->position == position);
        for (unsigned slot = 1; slot < SLOTS; slot++) {
            uint64_t before = at > 0 ? list[at - 1].context_after[slot] : 0;
            assert_true(chunk->context->stamps[slot] == before);
        }
        size_t offset = 0;
        struct slice record;
        for (;;) {
            size_t start = offset;
            if (!ring_record(chunk, &offset, &record)) {
                break;
            }
            assert_true(at < count);
            assert_int_equal(record.size, list[at].size);
            assert_int_equal((uint8_t)record.data[0], list[at].byte);
            assert_int_equal((uint8_t)record.data[record.size - 1], list[at].byte);
            assert_true(ring_find(ring, position) == number);
            assert_true(position == chunk->position + start);
            position += ring_span(record.size);
            at++;
            records++;
        }
    }
    assert_int_equal(at, count);
    assert_true(records == ring->records_count);
    assert_true(position == ring->end_position);
    assert_true(ring_covers(ring, ring->end_position));
    assert_true(ring->first_position == begin || !ring_covers(ring, ring->first_position - 1));
}

static void run(uint64_t seed, uint64_t bytes_max) {
    struct prng prng;
    prng_init(&prng, seed);
    struct ring ring = {0};
    struct context context = {{0}};
    struct appended *list = memory_alloc_zero(RECORDS * sizeof(*list));
    char *bytes = memory_alloc(1 << 20);
    ring_set_bytes_max(&ring, bytes_max);
    ring_clear(&ring, 500);
    assert_int_equal(ring.bytes, 0);
    uint64_t largest = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        size_t size = 2 + (size_t)prng_below(&prng, prng_below(&prng, 50) == 0 ? 9000 : 200);
        list[i].position = ring.end_position;
        list[i].size = size;
        list[i].byte = (uint8_t)prng_next(&prng);
        largest = size > largest ? size : largest;
        memset(bytes, list[i].byte, size);
        size_t head = 1 + (size_t)prng_below(&prng, size);
        ring_append(&ring, slice_make(bytes, head), slice_make(bytes + head, size - head), &context,
                    SLOTS);
        ring_trim(&ring, UINT64_MAX);
        unsigned slot = 1 + (unsigned)prng_below(&prng, SLOTS - 1);
        context.stamps[slot] = stamp_make(i + 1, slot);
        memcpy(list[i].context_after, context.stamps, sizeof(list[i].context_after));
        assert_true(ring.bytes <= bytes_max + largest + 512);
        if (i % 97 == 0 || i + 1 == RECORDS) {
            check_ring(&ring, list, i + 1, 500);
        }
    }
    /* The limit shrinks, a slot goes, all goes. */
    ring_set_bytes_max(&ring, bytes_max / 2);
    ring_trim(&ring, UINT64_MAX);
    check_ring(&ring, list, RECORDS, 500);
    assert_true(ring.bytes <= bytes_max / 2 + largest + 512);
    ring_clear_slot(&ring, 3);
    for (uint64_t number = ring.first_number; number < ring.end_number; number++) {
        assert_true(ring_chunk(&ring, number)->context->stamps[3] == 0);
        assert_true(number == 0 || ring_chunk(&ring, number)->context->stamps[2] != 0);
    }
    uint64_t end = ring.end_position;
    ring_clear(&ring, end + 1);
    assert_true(!ring_covers(&ring, end));
    assert_true(ring_covers(&ring, end + 1));
    assert_int_equal(ring.bytes, 0);
    ring_set_bytes_max(&ring, 0);
    assert_true(!ring_covers(&ring, end + 1));
    ring_deinit(&ring);
    memory_free(bytes);
    memory_free(list);
}

static void test_against_a_list(void **state) {
    (void)state;
    static const uint64_t sizes[] = {10, 3000, 40000, 300000, 64 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            run(seed, sizes[i]);
        }
    }
}

/* A full ring turns in the same memory. */
static void test_memory_is_used_again(void **state) {
    (void)state;
    enum { RING_BYTES = 16 << 20, RECORD_BYTES = 30000 };
    struct ring ring = {0};
    struct context context = {{0}};
    char *bytes = memory_alloc_zero(RECORD_BYTES);
    ring_set_bytes_max(&ring, RING_BYTES);
    uint64_t added = 0, reused = 0;
    for (unsigned i = 0; i < 4 * RING_BYTES / RECORD_BYTES; i++) {
        const struct ring_chunk *spare = ring.spare;
        uint64_t before = ring.end_number;
        ring_append(&ring, slice_make(bytes, RECORD_BYTES), (struct slice){0}, &context, SLOTS);
        ring_trim(&ring, UINT64_MAX);
        bool is_full = ring.first_number > 100;
        if (is_full && ring.end_number > before) {
            added++;
            reused += ring_chunk(&ring, before) == spare;
        }
    }
    assert_true(added > 10);
    assert_int_equal(reused, added);
    ring_deinit(&ring);
    memory_free(bytes);
}

/* What is still to be read stays, up to a multiple of the limit. */
static void test_needed_records_stay(void **state) {
    (void)state;
    enum { RING_BYTES = 64 << 10, RECORD_BYTES = 1000 };
    struct ring ring = {0};
    struct context context = {{0}};
    char bytes[RECORD_BYTES] = {0};
    ring_set_bytes_max(&ring, RING_BYTES);
    uint64_t needed = 20 * ring_span(RECORD_BYTES);
    while (ring.end_position < RING_NEEDED_FACTOR * RING_BYTES) {
        ring_append(&ring, slice_make(bytes, RECORD_BYTES), (struct slice){0}, &context, SLOTS);
        ring_trim(&ring, needed);
        assert_true(ring.end_position < needed || ring_covers(&ring, needed));
    }
    assert_true(ring.bytes > RING_BYTES + RING_BYTES / 2);
    assert_true(ring.first_position > 0); /* nobody needs what lies before */
    for (unsigned i = 0; i < 60; i++) {
        ring_append(&ring, slice_make(bytes, RECORD_BYTES), (struct slice){0}, &context, SLOTS);
        ring_trim(&ring, needed);
        assert_true(ring.bytes <= RING_NEEDED_FACTOR * RING_BYTES + 2 * RECORD_BYTES);
    }
    assert_true(!ring_covers(&ring, needed));
    ring_trim(&ring, ring.end_position);
    assert_true(ring.bytes <= RING_BYTES);
    assert_true(ring.bytes > RING_BYTES / 2);
    ring_deinit(&ring);
}

/* Who holds a chunk goes on reading what it had, as a frame carries it: the chunk may leave the
 * ring meanwhile, but is not written to again. */
static void test_held_chunks_stay(void **state) {
    (void)state;
    enum { RING_BYTES = 8000, RECORD_BYTES = 400, RECORDS = 200 };
    struct ring ring = {0};
    struct context context = {{0}};
    char bytes[RECORD_BYTES];
    ring_set_bytes_max(&ring, RING_BYTES);
    struct held {
        struct ring_chunk *chunk;
        size_t begin, end;
        char byte;
    } held[RECORDS];
    for (unsigned i = 0; i < RECORDS; i++) {
        memset(bytes, (char)i, sizeof(bytes));
        ring_append(&ring, slice_make(bytes, 1 + i), slice_make(bytes, i), &context, SLOTS);
        ring_trim(&ring, UINT64_MAX);
        struct ring_chunk *chunk = ring_chunk(&ring, ring.end_number - 1);
        shared_block_hold(&chunk->shared);
        size_t span = (size_t)ring_span(1 + 2 * i);
        held[i] = (struct held){
            .chunk = chunk, .begin = chunk->size - span, .end = chunk->size, .byte = (char)i};
    }
    assert_true(ring.first_number > 0);
    for (unsigned i = 0; i < RECORDS; i++) {
        const char *at = held[i].chunk->bytes + held[i].begin;
        struct slice framed = slice_make(at, held[i].end - held[i].begin), record = {0};
        assert_true(varint_take_slice(&framed, &record));
        assert_int_equal(framed.size, 0);
        assert_int_equal(record.size, 1 + 2 * i);
        for (size_t b = 0; b < record.size; b++) {
            assert_int_equal(record.data[b], held[i].byte);
        }
        shared_block_release(&held[i].chunk->shared);
    }
    ring_deinit(&ring);
}

/* Lengths that a varint of five bytes may have. */
static void test_lengths(void **state) {
    (void)state;
    static const size_t LENGTHS[] = {0, 1, 127, 128, 16383, 16384, 1 << 21, LOG_RECORD_BYTES_MAX};
    for (size_t i = 0; i < sizeof(LENGTHS) / sizeof(LENGTHS[0]); i++) {
        char at[RING_LENGTH_BYTES];
        ring_put_length(at, LENGTHS[i]);
        assert_int_equal(ring_take_length(at), LENGTHS[i]);
        struct slice bytes = slice_make(at, sizeof(at));
        uint64_t value;
        assert_true(varint_take(&bytes, &value));
        assert_int_equal(value, LENGTHS[i]);
        assert_int_equal(bytes.size, 0);
    }
}

/* A large ring costs nothing before it is used, and little when little is written. */
static void test_memory_follows_use(void **state) {
    (void)state;
    struct ring ring = {0};
    struct context context = {{0}};
    ring_set_bytes_max(&ring, 1 << 30);
    assert_int_equal(ring.bytes, 0);
    char byte = 'x';
    for (int i = 0; i < 1000; i++) {
        ring_append(&ring, slice_make(&byte, 1), (struct slice){0}, &context, SLOTS);
    }
    assert_true(ring.bytes < 70000);
    ring_deinit(&ring);
}

/* A full ring takes what it counts, whatever the allocator rounds up. */
static void test_memory_is_what_is_counted(void **state) {
    (void)state;
    enum { RECORD_BYTES = 3000 };
    struct context context = {{0}};
    char *bytes = memory_alloc_zero(RECORD_BYTES);
    for (uint64_t bytes_max = 1 << 16; bytes_max <= 64 << 20; bytes_max *= 4) {
        struct ring ring = {0};
        ring_set_bytes_max(&ring, bytes_max);
        while (ring.first_number < 2 * RING_CHUNK_BYTES_MIN) {
            ring_append(&ring, slice_make(bytes, RECORD_BYTES), (struct slice){0}, &context, SLOTS);
            ring_trim(&ring, UINT64_MAX);
        }
        uint64_t taken = 0;
        for (uint64_t number = ring.first_number; number < ring.end_number; number++) {
            const struct ring_chunk *chunk = ring_chunk(&ring, number);
            taken += memory_class_bytes(sizeof(*chunk) + chunk->capacity);
        }
        assert_in_range(taken, ring.bytes / 100 * 90, ring.bytes);
        ring_deinit(&ring);
    }
    memory_free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_a_list),
        cmocka_unit_test(test_needed_records_stay),
        cmocka_unit_test(test_held_chunks_stay),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_memory_follows_use),
        cmocka_unit_test(test_memory_is_used_again),
        cmocka_unit_test(test_memory_is_what_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
