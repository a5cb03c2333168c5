/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh/outbox.h"

#include "base/check.h"
#include "base/memory.h"

enum {
    OWN_KEPT_BYTES_MAX = 256 << 10,  /* a buffer that grew beyond is given back when it is empty */
    OWN_MOVED_BYTES_MIN = 256 << 10, /* so many sent bytes before the rest is moved to the front */
    PIECES_MIN = 4,
};

static void free_frame(struct shared_block *block) {
    struct shared_frame *frame = (struct shared_frame *)block; /* its first member */
    buffer_deinit(&frame->bytes);
    memory_free(frame);
}

struct shared_frame *shared_frame_new(size_t bytes_expected) {
    struct shared_frame *frame = memory_alloc_zero(sizeof(*frame));
    frame->shared = (struct shared_block){.references = 1, .free = free_frame};
    (void)buffer_reserve(&frame->bytes, bytes_expected);
    return frame;
}

void shared_frame_release(struct shared_frame *frame) {
    shared_block_release(frame != NULL ? &frame->shared : NULL);
}

void outbox_deinit(struct outbox *outbox) {
    for (size_t i = 0; i < outbox->count; i++) {
        shared_block_release(outbox->pieces[outbox->first + i].block);
    }
    memory_free(outbox->pieces);
    buffer_deinit(&outbox->own);
    *outbox = (struct outbox){0};
}

static void add_piece(struct outbox *outbox, struct shared_block *block, struct slice bytes) {
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
        (struct outbox_piece){.block = block, .bytes = bytes.data, .size = bytes.size};
    outbox->bytes += bytes.size;
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
    if (last != NULL && last->block == NULL) {
        last->size += size;
        outbox->bytes += size;
    } else {
        add_piece(outbox, NULL, slice_make(NULL, size));
    }
}

void outbox_put_frame(struct outbox *outbox, struct shared_frame *frame) {
    outbox_put_block(outbox, &frame->shared, buffer_slice(&frame->bytes));
}

void outbox_put_block(struct outbox *outbox, struct shared_block *block, struct slice bytes) {
    require(outbox->own_end == outbox->own.size);
    require(bytes.size > 0);
    add_piece(outbox, shared_block_hold(block), bytes);
}

size_t outbox_pieces(const struct outbox *outbox, struct slice *pieces, size_t pieces_max) {
    size_t count = outbox->count < pieces_max ? outbox->count : pieces_max;
    size_t own_at = outbox->own_start;
    for (size_t i = 0; i < count; i++) {
        const struct outbox_piece *piece = &outbox->pieces[outbox->first + i];
        if (piece->block != NULL) {
            pieces[i] = slice_make(piece->bytes, piece->size);
        } else {
            pieces[i] = slice_make(outbox->own.data + own_at, piece->size);
            own_at += piece->size;
        }
    }
    return count;
}

struct slice outbox_next(const struct outbox *outbox) {
    struct slice next = {0};
    (void)outbox_pieces(outbox, &next, 1);
    return next;
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
    require(size <= outbox->bytes);
    while (size > 0) {
        struct outbox_piece *piece = &outbox->pieces[outbox->first];
        size_t sent = size < piece->size ? size : piece->size;
        piece->size -= sent;
        outbox->bytes -= sent;
        size -= sent;
        if (piece->block == NULL) {
            own_sent(outbox, sent);
        } else {
            piece->bytes += sent;
        }
        if (piece->size == 0) {
            shared_block_release(piece->block);
            outbox->count--;
            outbox->first = outbox->count == 0 ? 0 : outbox->first + 1;
        }
    }
}
