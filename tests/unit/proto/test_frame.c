/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames: what is put comes out, whatever the cuts, pieces and packing; a flipped bit is noticed;
 * claims beyond the limits end the stream before anything is allocated for them; and memory comes
 * back after a large payload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "base/memory.h"
#include "proto/frame.h"
#include "unit/seed.h"

static const struct frame_opts PLAIN = {.max_frame_bytes = 1 << 20};
static const struct frame_opts SMALL = {.max_frame_bytes = 4096, .compresses = true};

static void put32(char *at, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        at[i] = (char)(value >> (8 * i));
    }
}

/* A frame as an independent writer would make it, to say things that frame_put() never says. */
static void put_raw(struct buffer *out, uint32_t length, uint8_t type, uint8_t flags,
                    struct slice payload) {
    char head[FRAME_HEADER_BYTES];
    put32(head, length);
    head[8] = (char)type;
    head[9] = (char)flags;
    uint32_t crc = crc32c(0, slice_make(head, 4));
    crc = crc32c(crc, slice_make(head + 8, 2));
    put32(head + 4, crc32c(crc, payload));
    buffer_append(out, head, sizeof(head));
    buffer_append_slice(out, payload);
}

/* Gives the reader bytes, as many as it has room for at a time. */
static void feed(struct frame_reader *reader, struct slice bytes) {
    while (bytes.size > 0) {
        size_t room;
        char *at = frame_reader_space(reader, &room);
        assert_non_null(at);
        assert_true(room > 0);
        size_t size = room < bytes.size ? room : bytes.size;
        memcpy(at, bytes.data, size);
        frame_reader_commit(reader, size);
        bytes = slice_skip(bytes, size);
    }
}

static void assert_next(struct frame_reader *reader, uint8_t type, struct slice expected) {
    uint8_t got;
    struct slice payload;
    assert_int_equal(frame_reader_next(reader, &got, &payload), FRAME_OK);
    assert_int_equal(got, type);
    assert_int_equal(payload.size, expected.size);
    assert_true(slice_equal(payload, expected));
}

static enum frame_status next_status(struct frame_reader *reader) {
    uint8_t type;
    struct slice payload;
    return frame_reader_next(reader, &type, &payload);
}

static void fill(struct prng *prng, struct buffer *bytes, size_t size, unsigned alphabet) {
    buffer_clear(bytes);
    char *at = buffer_reserve(bytes, size);
    for (size_t i = 0; i < size; i++) {
        at[i] = (char)prng_below(prng, alphabet);
    }
    bytes->size = size;
}

static void the_layout(void **state) {
    (void)state;
    struct buffer out = {0}, expected = {0};
    assert_int_equal(frame_put(&out, 7, SLICE("hello"), &PLAIN), 0);
    put_raw(&expected, 5, 7, 0, SLICE("hello"));
    assert_true(slice_equal(buffer_slice(&out), buffer_slice(&expected)));
    buffer_clear(&out);
    assert_int_equal(frame_put(&out, 9, (struct slice){0}, &SMALL), 0);
    assert_int_equal(out.size, FRAME_HEADER_BYTES);
    /* One that was made in place is no other. */
    buffer_clear(&out);
    buffer_append_slice(&out, SLICE("abc"));
    (void)buffer_reserve(&out, FRAME_HEADER_BYTES);
    out.size += FRAME_HEADER_BYTES;
    buffer_append_slice(&out, SLICE("hello"));
    frame_seal(&out, 3, 7);
    assert_true(slice_equal(slice_skip(buffer_slice(&out), 3), buffer_slice(&expected)));
    buffer_deinit(&out);
    buffer_deinit(&expected);
}

/* Random payloads, written with random options, arrive in random cuts. */
static void whatever_the_cuts(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "whatever_the_cuts", 1);
    enum { PAYLOADS = 40 };
    for (int round = 0; round < 60; round++) {
        struct buffer payloads[PAYLOADS] = {0}, wire = {0};
        uint8_t types[PAYLOADS];
        size_t packed = 0, frames_max = 0;
        for (int i = 0; i < PAYLOADS; i++) {
            size_t size =
                prng_below(&prng, 3) == 0 ? prng_below(&prng, 30000) : prng_below(&prng, 200);
            fill(&prng, &payloads[i], size, prng_below(&prng, 2) == 0 ? 4 : 256);
            types[i] = (uint8_t)prng_below(&prng, 20);
            struct frame_opts opts = {.max_frame_bytes = prng_below(&prng, 10000),
                                      .compresses = prng_below(&prng, 2) == 0};
            packed += frame_put(&wire, types[i], buffer_slice(&payloads[i]), &opts);
            frames_max += size / FRAME_PIECE_BYTES_MIN + 1;
        }
        struct frame_reader reader;
        frame_reader_init(&reader, 30000);
        size_t position = 0;
        int count = 0;
        uint64_t cut_max = prng_below(&prng, 3) == 0 ? 12 : 20000;
        while (position < wire.size) {
            size_t size = 1 + prng_below(&prng, cut_max);
            size = size < wire.size - position ? size : wire.size - position;
            feed(&reader, slice_make(wire.data + position, size));
            position += size;
            uint8_t type;
            struct slice payload;
            enum frame_status status;
            while ((status = frame_reader_next(&reader, &type, &payload)) == FRAME_OK) {
                assert_true(count < PAYLOADS);
                assert_int_equal(type, types[count]);
                assert_true(slice_equal(payload, buffer_slice(&payloads[count])));
                count++;
            }
            assert_int_equal(status, FRAME_NONE);
        }
        assert_int_equal(count, PAYLOADS);
        assert_int_equal(reader.unpacked_bytes, packed);
        assert_true(reader.frames_count <= frames_max);
        assert_int_equal(reader.unfinished_bytes, 0);
        frame_reader_deinit(&reader);
        for (int i = 0; i < PAYLOADS; i++) {
            buffer_deinit(&payloads[i]);
        }
        buffer_deinit(&wire);
    }
}

/* Small payloads of another type pass between the pieces of a large one. */
static void others_come_between_pieces(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "others_come_between_pieces", 1);
    struct buffer large = {0}, wire = {0};
    struct frame_reader reader;
    frame_reader_init(&reader, FRAME_PAYLOAD_BYTES_MAX);
    fill(&prng, &large, 100000, 256);
    struct slice rest = buffer_slice(&large);
    size_t packed = 0;
    int pieces = 1;
    while (frame_put_piece(&wire, 1, &rest, &SMALL, &packed)) {
        pieces++;
        frame_put(&wire, 2, SLICE("small"), &SMALL);
    }
    assert_int_equal(pieces, (100000 + 4095) / 4096);
    feed(&reader, buffer_slice(&wire));
    for (int i = 1; i < pieces; i++) {
        assert_next(&reader, 2, SLICE("small"));
    }
    assert_next(&reader, 1, buffer_slice(&large));
    assert_int_equal(next_status(&reader), FRAME_NONE);
    frame_reader_deinit(&reader);
    buffer_deinit(&large);
    buffer_deinit(&wire);
}

static void packs_only_what_pays(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "packs_only_what_pays", 1);
    struct buffer bytes = {0}, wire = {0};
    struct frame_opts opts = {.max_frame_bytes = 1 << 20, .compresses = true};
    fill(&prng, &bytes, 50000, 256);
    assert_int_equal(frame_put(&wire, 1, buffer_slice(&bytes), &opts), 0);
    assert_int_equal(wire.size, FRAME_HEADER_BYTES + 50000);
    /* A tenth of it repeats: saving that little is not worth unpacking. */
    memset(bytes.data, 'a', 5000);
    buffer_clear(&wire);
    assert_int_equal(frame_put(&wire, 1, buffer_slice(&bytes), &opts), 0);
    memset(bytes.data, 'a', 10000);
    buffer_clear(&wire);
    assert_int_equal(frame_put(&wire, 1, buffer_slice(&bytes), &opts), 50000);
    assert_true(wire.size < 50000 - 50000 / 8 + FRAME_HEADER_BYTES);
    buffer_clear(&wire);
    assert_int_equal(frame_put(&wire, 1, buffer_slice(&bytes), &PLAIN), 0);
    buffer_deinit(&bytes);
    buffer_deinit(&wire);
}

/* Every bit of a frame is guarded. */
static void flipped_bits_are_noticed(void **state) {
    (void)state;
    struct buffer wire = {0};
    frame_put(&wire, 3, SLICE("some payload, not long"), &PLAIN);
    for (size_t bit = 0; bit < wire.size * 8; bit++) {
        struct frame_reader reader;
        frame_reader_init(&reader, 1000);
        wire.data[bit / 8] = (char)(wire.data[bit / 8] ^ (1 << bit % 8));
        feed(&reader, buffer_slice(&wire));
        /* A longer length only waits for more: give it more. */
        char zeros[1000] = {0};
        feed(&reader, slice_make(zeros, sizeof(zeros)));
        enum frame_status status = next_status(&reader);
        assert_true(status == FRAME_BAD || status == FRAME_LIMIT);
        assert_int_equal(next_status(&reader), status);
        wire.data[bit / 8] = (char)(wire.data[bit / 8] ^ (1 << bit % 8));
        frame_reader_deinit(&reader);
    }
    buffer_deinit(&wire);
}

/* Row 9: a frame that claims 300 MiB, packed or not, is refused before anything is allocated. */
static void claims_are_refused_before_allocation(void **state) {
    (void)state;
    struct buffer wire = {0};
    struct frame_reader reader;
    frame_reader_init(&reader, FRAME_PAYLOAD_BYTES_MAX);
    put_raw(&wire, 300U << 20, 1, 0, SLICE("begins"));
    feed(&reader, buffer_slice(&wire));
    size_t before = frame_reader_memory_bytes(&reader);
    assert_int_equal(next_status(&reader), FRAME_LIMIT);
    assert_int_equal(frame_reader_memory_bytes(&reader), before);
    assert_true(before < 64 << 10);
    frame_reader_deinit(&reader);

    /* A claim that its block could hold: 300 MiB of zeros make 1.2 MiB. */
    char claim[4 + 64] = {0};
    put32(claim, 300U << 20);
    buffer_clear(&wire);
    struct buffer block = {0};
    buffer_append(&block, claim, 4);
    size_t block_bytes = (300U << 20) / 255 + 100;
    memset(buffer_reserve(&block, block_bytes), 0, block_bytes);
    block.size += block_bytes;
    put_raw(&wire, (uint32_t)block.size, 1, FRAME_FLAG_LZ4, buffer_slice(&block));
    frame_reader_init(&reader, FRAME_PAYLOAD_BYTES_MAX);
    feed(&reader, buffer_slice(&wire));
    before = frame_reader_memory_bytes(&reader);
    assert_int_equal(next_status(&reader), FRAME_LIMIT);
    assert_int_equal(frame_reader_memory_bytes(&reader), before);
    frame_reader_deinit(&reader);

    /* One that no block of its size can keep. */
    put32(claim, 200U << 20);
    buffer_clear(&wire);
    put_raw(&wire, sizeof(claim), 1, FRAME_FLAG_LZ4, slice_make(claim, sizeof(claim)));
    frame_reader_init(&reader, FRAME_PAYLOAD_BYTES_MAX);
    feed(&reader, buffer_slice(&wire));
    before = frame_reader_memory_bytes(&reader);
    assert_int_equal(next_status(&reader), FRAME_BAD);
    assert_int_equal(frame_reader_memory_bytes(&reader), before);
    frame_reader_deinit(&reader);
    buffer_deinit(&wire);
    buffer_deinit(&block);
}

/* A claim within the limit costs what has arrived and a bounded step more. */
static void room_grows_with_what_arrives(void **state) {
    (void)state;
    struct buffer wire = {0};
    struct frame_reader reader;
    frame_reader_init(&reader, FRAME_PAYLOAD_BYTES_MAX);
    put_raw(&wire, 200U << 20, 1, 0, SLICE("begins"));
    feed(&reader, buffer_slice(&wire));
    assert_int_equal(next_status(&reader), FRAME_NONE);
    size_t room;
    assert_non_null(frame_reader_space(&reader, &room));
    assert_true(frame_reader_memory_bytes(&reader) < 2 << 20);
    frame_reader_deinit(&reader);
    buffer_deinit(&wire);
}

static void pieces_add_up_to_a_limit(void **state) {
    (void)state;
    struct buffer wire = {0};
    struct frame_reader reader;
    /* Two unfinished payloads together. */
    char bytes[600] = {0};
    frame_reader_init(&reader, 1000);
    put_raw(&wire, 600, 1, FRAME_FLAG_MORE, slice_make(bytes, 600));
    feed(&reader, buffer_slice(&wire));
    assert_int_equal(next_status(&reader), FRAME_NONE);
    buffer_clear(&wire);
    put_raw(&wire, 600, 2, FRAME_FLAG_MORE, slice_make(bytes, 600));
    feed(&reader, buffer_slice(&wire));
    assert_int_equal(next_status(&reader), FRAME_LIMIT);
    frame_reader_deinit(&reader);

    /* Too many types at a time. */
    frame_reader_init(&reader, 1000);
    for (uint8_t type = 0; type <= FRAME_UNFINISHED_MAX; type++) {
        buffer_clear(&wire);
        put_raw(&wire, 1, type, FRAME_FLAG_MORE, SLICE("x"));
        feed(&reader, buffer_slice(&wire));
        assert_int_equal(next_status(&reader),
                         type < FRAME_UNFINISHED_MAX ? FRAME_NONE : FRAME_LIMIT);
    }
    frame_reader_deinit(&reader);

    /* Too many pieces. */
    frame_reader_init(&reader, FRAME_PAYLOAD_BYTES_MAX);
    buffer_clear(&wire);
    put_raw(&wire, 1, 1, FRAME_FLAG_MORE, SLICE("x"));
    for (int i = 0; i < FRAME_PIECES_MAX; i++) {
        feed(&reader, buffer_slice(&wire));
        assert_int_equal(next_status(&reader), FRAME_NONE);
    }
    feed(&reader, buffer_slice(&wire));
    assert_int_equal(next_status(&reader), FRAME_LIMIT);
    frame_reader_deinit(&reader);

    /* Empty pieces would go on for ever. */
    frame_reader_init(&reader, 1000);
    buffer_clear(&wire);
    put_raw(&wire, 0, 1, FRAME_FLAG_MORE, SLICE(""));
    feed(&reader, buffer_slice(&wire));
    assert_int_equal(next_status(&reader), FRAME_BAD);
    frame_reader_deinit(&reader);

    /* The limit before the other side is known. */
    frame_reader_init(&reader, FRAME_HANDSHAKE_BYTES_MAX);
    buffer_clear(&wire);
    put_raw(&wire, FRAME_HANDSHAKE_BYTES_MAX + 1, 1, 0, SLICE(""));
    feed(&reader, buffer_slice(&wire));
    assert_int_equal(next_status(&reader), FRAME_LIMIT);
    frame_reader_deinit(&reader);
    buffer_deinit(&wire);
}

static void garbage_is_bad(void **state) {
    (void)state;
    struct buffer wire = {0};
    struct frame_reader reader;
    static const struct slice packed[] = {
        {"", 0}, {"\5\0\0", 3}, {"\5\0\0\0", 4}, {"\5\0\0\0nonsense", 12}, {"\0\0\0\0x", 5}};
    for (size_t i = 0; i < sizeof(packed) / sizeof(packed[0]); i++) {
        frame_reader_init(&reader, 1000);
        buffer_clear(&wire);
        put_raw(&wire, (uint32_t)packed[i].size, 1, FRAME_FLAG_LZ4, packed[i]);
        feed(&reader, buffer_slice(&wire));
        assert_int_equal(next_status(&reader), FRAME_BAD);
        frame_reader_deinit(&reader);
    }
    for (unsigned flags = 4; flags < 256; flags *= 2) {
        frame_reader_init(&reader, 1000);
        buffer_clear(&wire);
        put_raw(&wire, 1, 1, (uint8_t)flags, SLICE("x"));
        feed(&reader, buffer_slice(&wire));
        assert_int_equal(next_status(&reader), FRAME_BAD);
        frame_reader_deinit(&reader);
    }
    buffer_deinit(&wire);
}

/* After a large payload, whole, packed or in pieces, little memory stays. */
static void memory_comes_back(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "memory_comes_back", 1);
    static const struct frame_opts all[] = {{.max_frame_bytes = 64 << 20},
                                            {.max_frame_bytes = 64 << 20, .compresses = true},
                                            {.max_frame_bytes = 1 << 20, .compresses = true}};
    struct buffer large = {0}, wire = {0};
    fill(&prng, &large, 8 << 20, 4);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct frame_reader reader;
        frame_reader_init(&reader, FRAME_PAYLOAD_BYTES_MAX);
        buffer_clear(&wire);
        frame_put(&wire, 1, buffer_slice(&large), &all[i]);
        struct slice rest = buffer_slice(&wire);
        uint8_t type;
        struct slice payload;
        bool is_there = false;
        while (rest.size > 0) {
            struct slice step = slice_make(rest.data, rest.size < 65536 ? rest.size : 65536);
            feed(&reader, step);
            rest = slice_skip(rest, step.size);
            if (frame_reader_next(&reader, &type, &payload) == FRAME_OK) {
                is_there = true;
                assert_true(slice_equal(payload, buffer_slice(&large)));
            }
        }
        assert_true(is_there);
        assert_int_equal(next_status(&reader), FRAME_NONE);
        size_t room;
        assert_non_null(frame_reader_space(&reader, &room));
        assert_true(frame_reader_memory_bytes(&reader) < 300 << 10);
        frame_reader_deinit(&reader);
    }
    buffer_deinit(&large);
    buffer_deinit(&wire);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_layout),
        cmocka_unit_test(whatever_the_cuts),
        cmocka_unit_test(others_come_between_pieces),
        cmocka_unit_test(packs_only_what_pays),
        cmocka_unit_test(flipped_bits_are_noticed),
        cmocka_unit_test(claims_are_refused_before_allocation),
        cmocka_unit_test(room_grows_with_what_arrives),
        cmocka_unit_test(pieces_add_up_to_a_limit),
        cmocka_unit_test(garbage_is_bad),
        cmocka_unit_test(memory_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
