/* SPDX-License-Identifier: BSD-3-Clause */
/* Outboxes against plain buffers: what is put into several of them comes out of each in its order,
 * however it is cut; frames live until the last outbox has sent them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"
#include "mesh/outbox.h"

enum { PIECES_MAX = 5, BOXES = 3, STEPS = 20000, BYTES_MAX = 3000 };

struct model {
    struct outbox box;
    struct buffer expected; /* from `taken` on it waits */
    size_t taken;
};

static void fill(struct buffer *bytes, size_t size, struct prng *prng) {
    for (size_t i = 0; i < size; i++) {
        buffer_append_byte(bytes, (uint8_t)prng_below(prng, 256));
    }
}

static void put_own(struct model *model, struct prng *prng) {
    struct buffer *own = outbox_own(&model->box);
    size_t before = own->size;
    fill(own, (size_t)prng_below(prng, BYTES_MAX), prng);
    buffer_append(&model->expected, own->data + before, own->size - before);
    outbox_commit(&model->box);
}

/* Some bytes in the middle of a block, as records lie in the log's memory. */
static void put_block(struct model *model, struct prng *prng) {
    struct shared_frame *memory = shared_frame_new(0);
    fill(&memory->bytes, 100 + (size_t)prng_below(prng, BYTES_MAX), prng);
    struct slice bytes = slice_make(memory->bytes.data + 10, memory->bytes.size - 50);
    outbox_put_block(&model->box, &memory->shared, bytes);
    buffer_append_slice(&model->expected, bytes);
    shared_frame_release(memory);
}

static void put_frame(struct model *models, struct prng *prng) {
    struct shared_frame *frame = shared_frame_new((size_t)prng_below(prng, 100));
    fill(&frame->bytes, 1 + (size_t)prng_below(prng, BYTES_MAX), prng);
    unsigned holders = 0;
    for (unsigned i = 0; i < BOXES; i++) {
        if (prng_below(prng, 2) == 0) {
            outbox_put_frame(&models[i].box, frame);
            buffer_append_slice(&models[i].expected, buffer_slice(&frame->bytes));
            holders++;
        }
    }
    assert_int_equal(frame->shared.references, 1 + holders);
    shared_frame_release(frame);
}

/* Sends some of what waits, or all of it, some pieces at a time. */
static void take(struct model *model, struct prng *prng, bool all) {
    size_t limit = all ? SIZE_MAX : (size_t)prng_below(prng, 2 * BYTES_MAX);
    while (limit > 0) {
        struct slice pieces[PIECES_MAX];
        size_t count = outbox_pieces(&model->box, pieces, 1 + (size_t)prng_below(prng, PIECES_MAX));
        struct slice next = outbox_next(&model->box);
        if (count == 0) {
            assert_int_equal(next.size, 0);
            break;
        }
        assert_ptr_equal(next.data, pieces[0].data);
        assert_int_equal(next.size, pieces[0].size);
        size_t sent = 0;
        for (size_t i = 0; i < count && limit > 0; i++) {
            size_t size = pieces[i].size < limit ? pieces[i].size : limit;
            assert_true(model->taken + size <= model->expected.size);
            assert_memory_equal(pieces[i].data, model->expected.data + model->taken, size);
            model->taken += size;
            sent += size;
            limit -= size;
        }
        outbox_sent(&model->box, sent);
    }
    assert_int_equal(model->box.bytes, model->expected.size - model->taken);
    if (model->taken == model->expected.size) {
        buffer_clear(&model->expected);
        model->taken = 0;
    }
}

static void bytes_come_out_as_they_went_in(void **state) {
    (void)state;
    struct prng prng;
    prng_init(&prng, 1);
    struct model models[BOXES];
    memset(models, 0, sizeof(models));
    for (unsigned step = 0; step < STEPS; step++) {
        struct model *model = &models[prng_below(&prng, BOXES)];
        switch (prng_below(&prng, 5)) {
        case 0:
            put_own(model, &prng);
            break;
        case 2:
            put_block(model, &prng);
            break;
        case 1:
            put_frame(models, &prng);
            break;
        default:
            take(model, &prng, prng_below(&prng, 8) == 0);
            break;
        }
    }
    for (unsigned i = 0; i < BOXES; i++) {
        take(&models[i], &prng, i > 0); /* the first is freed with something in it */
        outbox_deinit(&models[i].box);
        assert_int_equal(outbox_next(&models[i].box).size, 0);
        buffer_deinit(&models[i].expected);
    }
}

static void frames_live_until_all_have_sent_them(void **state) {
    (void)state;
    struct outbox first = {0}, second = {0};
    struct shared_frame *frame = shared_frame_new(10);
    buffer_append_slice(&frame->bytes, SLICE("abcdef"));
    outbox_put_frame(&first, frame);
    outbox_put_frame(&second, frame);
    assert_int_equal(frame->shared.references, 3);
    /* Nothing was copied: both point at the same bytes. */
    assert_ptr_equal(outbox_next(&first).data, frame->bytes.data);
    assert_ptr_equal(outbox_next(&second).data, frame->bytes.data);
    outbox_sent(&first, 4);
    assert_int_equal(frame->shared.references, 3);
    assert_memory_equal(outbox_next(&first).data, "ef", 2);
    outbox_sent(&first, 2);
    assert_int_equal(frame->shared.references, 2);
    outbox_deinit(&second);
    assert_int_equal(frame->shared.references, 1);
    shared_frame_release(frame);
    outbox_deinit(&first);
}

/* A slow peer that is never quite served makes the memory of what it was sent not grow. */
static void sent_bytes_take_no_memory(void **state) {
    (void)state;
    struct outbox box = {0};
    struct buffer chunk = {0};
    struct prng prng;
    prng_init(&prng, 2);
    fill(&chunk, 1000, &prng);
    for (unsigned i = 0; i < 100000; i++) {
        buffer_append_slice(outbox_own(&box), buffer_slice(&chunk));
        outbox_commit(&box);
        outbox_sent(&box, i < 100 ? 1 : 1000);
    }
    assert_true(outbox_own(&box)->capacity < 2 << 20);
    assert_true(box.capacity < 64);
    outbox_deinit(&box);
    buffer_deinit(&chunk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_as_they_went_in),
        cmocka_unit_test(frames_live_until_all_have_sent_them),
        cmocka_unit_test(sent_bytes_take_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
