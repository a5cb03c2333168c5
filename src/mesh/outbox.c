/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh/outbox.h"

#include "base/check.h"
#include "base/memory.h"

enum {
    OWN_KEPT_BYTES_MAX = 256 << 10,  /* a buffer that grew beyond is given back when it is empty */
    OWN_MOVED_BYTES_MIN = 256 << 10, /* so many sent bytes before the rest is moved to the front */
    PIECES_MIN = 4,
};

struct shared_frame *shared_frame_new(size_t bytes_expected) {
    struct shared_frame *frame = memory_alloc_zero(sizeof(*frame));
    frame->references = 1;
    (void)buffer_reserve(&frame->bytes, bytes_expected);
    return frame;
}

void shared_frame_release(struct shared_frame *frame) {
    if (frame == NULL) {
        return;
    }
    require(frame->references > 0);
    frame->references--;
    if (frame->references == 0) {
        buffer_deinit(&frame->bytes);
        memory_free(frame);
    }
}

void outbox_deinit(struct outbox *outbox) {
    for (size_t i = 0; i < outbox->count; i++) {
        shared_frame_release(outbox->pieces[outbox->first + i].frame);
    }
    memory_free(outbox->pieces);
    buffer_deinit(&outbox->own);
    *outbox = (struct outbox){0};
}

static void add_piece(struct outbox *outbox, struct shared_frame *frame, size_t size) {
    if (outbox->first + outbox->count == outbox->capacity) {
        if (outbox->first > outbox->count) {
            memmove(outbox->pieces, outbox->pieces + outbox->first,
                    outbox->count * sizeof(outbox->pieces[0]));
            outbox->first = 0;
        } else {
            outbox->capacity = outbox->capacity == 0 ? PIECES_MIN : 2 * outbox->capacity;
            outbox->pieces =
                memory_resize(outbox->pieces, outbox->capacity * sizeof(outbox->pieces[0]));
        }
    }
    outbox->pieces[outbox->first + outbox->count++] =
        (struct outbox_piece){.frame = frame, .size = size};
    outbox->bytes += size;
}

struct buffer *outbox_own(struct outbox *outbox) {
    return &outbox->own;
}

void outbox_commit(struct outbox *outbox) {
    size_t size = outbox->own.size - outbox->own_end;
    if (size == 0) {
        return;
    }
    outbox->own_end = outbox->own.size;
    struct outbox_piece *last =
        outbox->count > 0 ? &outbox->pieces[outbox->first + outbox->count - 1] : NULL;
    if (last != NULL && last->frame == NULL) {
        last->size += size;
        outbox->bytes += size;
    } else {
        add_piece(outbox, NULL, size);
    }
}

void outbox_put_frame(struct outbox *outbox, struct shared_frame *frame) {
    require(outbox->own_end == outbox->own.size);
    frame->references++;
    add_piece(outbox, frame, frame->bytes.size);
}

struct slice outbox_next(const struct outbox *outbox) {
    if (outbox->count == 0) {
        return (struct slice){0};
    }
    const struct outbox_piece *piece = &outbox->pieces[outbox->first];
    const struct buffer *frame = piece->frame != NULL ? &piece->frame->bytes : NULL;
    return frame != NULL ? slice_make(frame->data + frame->size - piece->size, piece->size)
                         : slice_make(outbox->own.data + outbox->own_start, piece->size);
}

static void own_sent(struct outbox *outbox, size_t size) {
    struct buffer *own = &outbox->own;
    outbox->own_start += size;
    if (outbox->own_start == own->size) {
        outbox->own_start = outbox->own_end = 0;
        buffer_clear(own);
        if (own->capacity > OWN_KEPT_BYTES_MAX) {
            buffer_deinit(own);
            *own = (struct buffer){0};
        }
    } else if (outbox->own_start > OWN_MOVED_BYTES_MIN &&
               outbox->own_start >= own->size - outbox->own_start) {
        /* Moving less than was sent keeps the total linear. */
        buffer_consume(own, outbox->own_start);
        outbox->own_end -= outbox->own_start;
        outbox->own_start = 0;
    }
}

void outbox_sent(struct outbox *outbox, size_t size) {
    require(outbox->count > 0 || size == 0);
    if (size == 0) {
        return;
    }
    struct outbox_piece *piece = &outbox->pieces[outbox->first];
    require(size <= piece->size);
    piece->size -= size;
    outbox->bytes -= size;
    if (piece->frame == NULL) {
        own_sent(outbox, size);
    }
    if (piece->size > 0) {
        return;
    }
    shared_frame_release(piece->frame);
    outbox->count--;
    outbox->first = outbox->count == 0 ? 0 : outbox->first + 1;
}
