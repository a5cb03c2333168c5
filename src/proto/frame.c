/* SPDX-License-Identifier: BSD-3-Clause */
#include "proto/frame.h"

#include <assert.h>
#include <lz4.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/memory.h"

enum {
    INPUT_ROOM_MIN = 16 << 10,
    INPUT_ROOM_MAX = 1 << 20,   /* made at once for a long frame, however long it claims to be */
    KEPT_BYTES_MAX = 256 << 10, /* a buffer that grew beyond gives its memory back */
    UNPACKED_LENGTH_BYTES = 4,
    LZ4_FACTOR_MAX = 255, /* no LZ4 block grows by more */
    FLAGS_KNOWN = FRAME_FLAG_LZ4 | FRAME_FLAG_MORE,
};
static_assert(FRAME_PAYLOAD_BYTES_MAX <= LZ4_MAX_INPUT_SIZE, "any payload can be packed");

/* ---- bytes ---- */

static void put32(char *at, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        at[i] = (char)(value >> (8 * i));
    }
}

static uint32_t take32(const char *at) {
    const unsigned char *byte = (const unsigned char *)at;
    return (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 |
           (uint32_t)byte[3] << 24;
}

/* Of the frame at `at`: everything but the checksum itself. */
static uint32_t frame_crc(const char *at, size_t payload_bytes) {
    uint32_t crc = crc32c(0, slice_make(at, 4));
    return crc32c(crc, slice_make(at + 8, 2 + payload_bytes));
}

/* ---- writing ---- */

/* Packs `piece` into the payload at `at`, which has room for piece.size bytes; returns the
 * payload's size, or 0 if it saves less than an eighth. */
static size_t pack(char *at, struct slice piece) {
    if (piece.size < FRAME_PACKED_BYTES_MIN) {
        return 0;
    }
    size_t room = piece.size - piece.size / 8 - UNPACKED_LENGTH_BYTES;
    int size =
        LZ4_compress_default(piece.data, at + UNPACKED_LENGTH_BYTES, (int)piece.size, (int)room);
    if (size <= 0) {
        return 0;
    }
    put32(at, (uint32_t)piece.size);
    return UNPACKED_LENGTH_BYTES + (size_t)size;
}

void frame_header_begin(char *at, uint8_t type, uint8_t flags, size_t payload_bytes) {
    require(payload_bytes <= FRAME_PAYLOAD_BYTES_MAX);
    put32(at, (uint32_t)payload_bytes);
    at[8] = (char)type;
    at[9] = (char)flags;
    put32(at + 4, frame_crc(at, 0));
}

void frame_header_add(char *at, struct slice piece) {
    put32(at + 4, crc32c(take32(at + 4), piece));
}

static void put_header(char *at, size_t payload_bytes, uint8_t type, uint8_t flags) {
    frame_header_begin(at, type, flags, payload_bytes);
    frame_header_add(at, slice_make(at + FRAME_HEADER_BYTES, payload_bytes));
}

void frame_seal(struct buffer *out, size_t begin, uint8_t type) {
    require(out->size >= begin + FRAME_HEADER_BYTES);
    size_t payload_bytes = out->size - begin - FRAME_HEADER_BYTES;
    require(payload_bytes <= FRAME_PAYLOAD_BYTES_MAX);
    put_header(out->data + begin, payload_bytes, type, 0);
}

bool frame_put_piece(struct buffer *out, uint8_t type, struct slice *rest,
                     const struct frame_opts *opts, size_t *packed) {
    require(rest->size <= FRAME_PAYLOAD_BYTES_MAX);
    size_t piece_bytes = opts->max_frame_bytes > FRAME_PIECE_BYTES_MIN ? opts->max_frame_bytes
                                                                       : FRAME_PIECE_BYTES_MIN;
    struct slice piece = *rest;
    bool has_more = piece.size > piece_bytes;
    if (has_more) {
        piece.size = piece_bytes;
    }
    char *at = buffer_reserve(out, FRAME_HEADER_BYTES + piece.size);
    char *payload = at + FRAME_HEADER_BYTES;
    size_t size = opts->compresses ? pack(payload, piece) : 0;
    uint8_t flags = has_more ? FRAME_FLAG_MORE : 0;
    if (size > 0) {
        flags |= FRAME_FLAG_LZ4;
        *packed += piece.size;
    } else {
        size = piece.size;
        if (size > 0) {
            memcpy(payload, piece.data, size);
        }
    }
    put_header(at, size, type, flags);
    out->size += FRAME_HEADER_BYTES + size;
    *rest = slice_skip(*rest, piece.size);
    return has_more;
}

size_t frame_put(struct buffer *out, uint8_t type, struct slice payload,
                 const struct frame_opts *opts) {
    size_t packed = 0;
    while (frame_put_piece(out, type, &payload, opts, &packed)) {
    }
    ensure(payload.size == 0);
    return packed;
}

/* ---- reading ---- */

void frame_reader_init(struct frame_reader *reader, uint64_t payload_bytes_max) {
    *reader = (struct frame_reader){0};
    frame_reader_set_limit(reader, payload_bytes_max);
}

void frame_reader_deinit(struct frame_reader *reader) {
    buffer_deinit(&reader->in);
    buffer_deinit(&reader->unpacked);
    for (int i = 0; i < FRAME_UNFINISHED_MAX; i++) {
        buffer_deinit(&reader->unfinished[i].bytes);
    }
    *reader = (struct frame_reader){0};
}

void frame_reader_set_limit(struct frame_reader *reader, uint64_t payload_bytes_max) {
    require(payload_bytes_max <= FRAME_PAYLOAD_BYTES_MAX);
    reader->payload_bytes_max = payload_bytes_max;
}

size_t frame_reader_memory_bytes(const struct frame_reader *reader) {
    size_t bytes = reader->in.capacity + reader->unpacked.capacity;
    for (int i = 0; i < FRAME_UNFINISHED_MAX; i++) {
        bytes += reader->unfinished[i].bytes.capacity;
    }
    return bytes;
}

/* Room for `extra` bytes more; false when memory is out. */
static bool grow(struct buffer *buffer, size_t extra) {
    if (buffer->capacity - buffer->size >= extra) {
        return true;
    }
    size_t capacity = buffer->capacity + buffer->capacity / 2;
    if (capacity < buffer->size + extra) {
        capacity = buffer->size + extra;
    }
    char *data = memory_try_resize(buffer->data, capacity);
    if (data == NULL) {
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

/* Lets go of the payload that was handed out last. */
static void release(struct frame_reader *reader) {
    if (reader->finished != NULL) {
        reader->unfinished_bytes -= reader->finished->bytes.size;
        buffer_deinit(&reader->finished->bytes);
        reader->finished->pieces_count = 0;
        reader->finished = NULL;
    }
    reader->unpacked.size = 0;
    if (reader->unpacked.capacity > KEPT_BYTES_MAX) {
        buffer_deinit(&reader->unpacked);
    }
}

/* Moves what arrived to the front of its buffer, into a smaller one if it grew large. */
static void tidy(struct frame_reader *reader) {
    struct buffer *in = &reader->in;
    size_t size = in->size - reader->begin;
    if (size == 0 && in->capacity > KEPT_BYTES_MAX) {
        buffer_deinit(in);
    } else if (reader->begin > 0) {
        memmove(in->data, in->data + reader->begin, size);
        in->size = size;
        if (in->capacity > KEPT_BYTES_MAX && size < in->capacity / 4) {
            in->capacity = size > INPUT_ROOM_MIN ? size : INPUT_ROOM_MIN;
            in->data = memory_resize(in->data, in->capacity);
        }
    }
    reader->begin = 0;
}

void frame_reader_rest(struct frame_reader *reader) {
    release(reader);
    buffer_deinit(&reader->unpacked);
    reader->unpacked = (struct buffer){0};
    if (reader->in.size == reader->begin) {
        buffer_deinit(&reader->in);
        reader->in = (struct buffer){0};
        reader->begin = 0;
    }
}

char *frame_reader_space(struct frame_reader *reader, size_t *room) {
    release(reader);
    tidy(reader);
    struct buffer *in = &reader->in;
    size_t wanted = INPUT_ROOM_MIN;
    if (in->size >= FRAME_HEADER_BYTES && reader->failure == FRAME_NONE) {
        /* The rest of a long frame: a bounded step of it. */
        uint64_t whole = FRAME_HEADER_BYTES + (uint64_t)take32(in->data);
        uint64_t missing = whole > in->size ? whole - in->size : 0;
        if (missing > wanted) {
            wanted = missing < INPUT_ROOM_MAX ? (size_t)missing : INPUT_ROOM_MAX;
        }
    }
    if (!grow(in, wanted)) {
        reader->failure = FRAME_LIMIT;
        *room = 0;
        return NULL;
    }
    *room = in->capacity - in->size;
    return in->data + in->size;
}

void frame_reader_commit(struct frame_reader *reader, size_t size) {
    require(size <= reader->in.capacity - reader->in.size);
    reader->in.size += size;
}

static enum frame_status fail(struct frame_reader *reader, enum frame_status status) {
    reader->failure = status;
    return status;
}

static struct frame_unfinished *find_unfinished(struct frame_reader *reader, uint8_t type) {
    for (int i = 0; i < FRAME_UNFINISHED_MAX; i++) {
        if (reader->unfinished[i].pieces_count > 0 && reader->unfinished[i].type == type) {
            return &reader->unfinished[i];
        }
    }
    return NULL;
}

static struct frame_unfinished *add_unfinished(struct frame_reader *reader, uint8_t type) {
    for (int i = 0; i < FRAME_UNFINISHED_MAX; i++) {
        if (reader->unfinished[i].pieces_count == 0) {
            reader->unfinished[i].type = type;
            return &reader->unfinished[i];
        }
    }
    return NULL;
}

/* Unpacks `packed` behind what `into` has. */
static enum frame_status unpack(struct slice packed, size_t unpacked_bytes, struct buffer *into) {
    if (!grow(into, unpacked_bytes)) {
        return FRAME_LIMIT;
    }
    int size = LZ4_decompress_safe(packed.data, into->data + into->size, (int)packed.size,
                                   (int)unpacked_bytes);
    if (size < 0 || (size_t)size != unpacked_bytes) {
        return FRAME_BAD;
    }
    into->size += unpacked_bytes;
    return FRAME_OK;
}

/* A frame whose checksum is right: hands out its payload, or NONE if it is but a piece. */
static enum frame_status take_frame(struct frame_reader *reader, uint8_t type, uint8_t flags,
                                    struct slice wire, struct slice *payload) {
    size_t size = wire.size;
    if ((flags & FRAME_FLAG_LZ4) != 0) {
        if (wire.size < UNPACKED_LENGTH_BYTES) {
            return FRAME_BAD;
        }
        size = take32(wire.data);
        wire = slice_skip(wire, UNPACKED_LENGTH_BYTES);
        if (size > reader->payload_bytes_max) {
            return FRAME_LIMIT;
        }
        if (size == 0 || size > (uint64_t)wire.size * LZ4_FACTOR_MAX) {
            return FRAME_BAD;
        }
        reader->unpacked_bytes += size;
    }
    struct frame_unfinished *unfinished = find_unfinished(reader, type);
    if (unfinished == NULL && (flags & FRAME_FLAG_MORE) == 0) {
        *payload = wire;
        if ((flags & FRAME_FLAG_LZ4) == 0) {
            return FRAME_OK;
        }
        enum frame_status status = unpack(wire, size, &reader->unpacked);
        *payload = buffer_slice(&reader->unpacked);
        return status;
    }
    if ((flags & FRAME_FLAG_MORE) != 0 && size == 0) {
        return FRAME_BAD;
    }
    if (size + reader->unfinished_bytes > reader->payload_bytes_max ||
        (unfinished != NULL && unfinished->pieces_count == FRAME_PIECES_MAX)) {
        return FRAME_LIMIT;
    }
    if (unfinished == NULL) {
        unfinished = add_unfinished(reader, type);
    }
    if (unfinished == NULL || !grow(&unfinished->bytes, size)) {
        return FRAME_LIMIT;
    }
    if ((flags & FRAME_FLAG_LZ4) != 0) {
        enum frame_status status = unpack(wire, size, &unfinished->bytes);
        if (status != FRAME_OK) {
            return status;
        }
    } else {
        buffer_append_slice(&unfinished->bytes, wire);
    }
    unfinished->pieces_count++;
    reader->unfinished_bytes += size;
    if ((flags & FRAME_FLAG_MORE) != 0) {
        return FRAME_NONE;
    }
    reader->finished = unfinished;
    *payload = buffer_slice(&unfinished->bytes);
    return FRAME_OK;
}

enum frame_status frame_reader_next(struct frame_reader *reader, uint8_t *type,
                                    struct slice *payload) {
    release(reader);
    while (reader->failure == FRAME_NONE) {
        size_t size = reader->in.size - reader->begin;
        if (size < FRAME_HEADER_BYTES) {
            return FRAME_NONE;
        }
        const char *at = reader->in.data + reader->begin;
        uint32_t payload_bytes = take32(at);
        if (payload_bytes > reader->payload_bytes_max) {
            return fail(reader, FRAME_LIMIT);
        }
        uint8_t flags = (uint8_t)at[9];
        if ((flags & ~FLAGS_KNOWN) != 0) {
            return fail(reader, FRAME_BAD);
        }
        if (size - FRAME_HEADER_BYTES < payload_bytes) {
            return FRAME_NONE;
        }
        if (take32(at + 4) != frame_crc(at, payload_bytes)) {
            return fail(reader, FRAME_BAD);
        }
        reader->begin += FRAME_HEADER_BYTES + payload_bytes;
        reader->frames_count++;
        *type = (uint8_t)at[8];
        enum frame_status status = take_frame(
            reader, *type, flags, slice_make(at + FRAME_HEADER_BYTES, payload_bytes), payload);
        if (status == FRAME_OK) {
            return FRAME_OK;
        }
        if (status != FRAME_NONE) {
            return fail(reader, status);
        }
    }
    return reader->failure;
}
