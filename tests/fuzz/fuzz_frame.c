/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames from a peer, in any cuts. Reading stays inside and within its limits; what is handed out
 * can be framed and read again, plain, packed and in pieces.
 *
 * The checksum would keep the fuzzer out: the input is a list of frames without one, and each may
 * be told to have a wrong one. Input: limit byte | (cut byte, type, flags, wrong, length u16,
 * bytes)... */
#include "base/check.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "proto/frame.h"

static void feed(struct frame_reader *reader, struct slice bytes) {
    size_t room;
    while (bytes.size > 0) {
        char *at = frame_reader_space(reader, &room);
        require(at != NULL);
        size_t size = bytes.size < room ? bytes.size : room;
        memcpy(at, bytes.data, size);
        frame_reader_commit(reader, size);
        bytes = slice_skip(bytes, size);
    }
}

static void read_again(uint8_t type, struct slice payload, bool compresses) {
    struct buffer wire = {0};
    struct frame_opts opts = {.max_frame_bytes = 4096, .compresses = compresses};
    struct frame_reader reader;
    struct slice again;
    uint8_t again_type;
    frame_put(&wire, type, payload, &opts);
    frame_reader_init(&reader, FRAME_PAYLOAD_BYTES_MAX);
    feed(&reader, buffer_slice(&wire));
    require(frame_reader_next(&reader, &again_type, &again) == FRAME_OK);
    require(again_type == type);
    require(slice_equal(again, payload));
    require(frame_reader_next(&reader, &again_type, &again) == FRAME_NONE);
    frame_reader_deinit(&reader);
    buffer_deinit(&wire);
}

/* Takes what is there; the reader holds no more than it may. */
static bool take_all(struct frame_reader *reader) {
    uint8_t type;
    struct slice payload;
    enum frame_status status;
    while ((status = frame_reader_next(reader, &type, &payload)) == FRAME_OK) {
        require(payload.size <= reader->payload_bytes_max);
        read_again(type, payload, payload.size % 2 == 0);
    }
    require(reader->unfinished_bytes <= reader->payload_bytes_max);
    require(frame_reader_memory_bytes(reader) <
            5 * (reader->payload_bytes_max + FRAME_HEADER_BYTES) + (2 << 20));
    if (status != FRAME_NONE) {
        require(frame_reader_next(reader, &type, &payload) == status);
    }
    return status == FRAME_NONE;
}

static void put32(char *at, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        at[i] = (char)(value >> (8 * i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct frame_reader reader;
    frame_reader_init(&reader, (uint64_t)64 << (data[0] % 12));
    struct slice rest = slice_make(data + 1, size - 1);
    bool is_well = true;
    while (is_well && rest.size >= 6) {
        const uint8_t *at = (const uint8_t *)rest.data;
        size_t cut = at[0], length = (size_t)at[4] | (size_t)at[5] << 8;
        size_t bytes = length < rest.size - 6 ? length : rest.size - 6;
        char *frame = memory_alloc(FRAME_HEADER_BYTES + bytes);
        put32(frame, (uint32_t)bytes);
        frame[8] = (char)at[1];
        frame[9] = (char)at[2];
        memcpy(frame + FRAME_HEADER_BYTES, at + 6, bytes);
        uint32_t crc = crc32c(0, slice_make(frame, 4));
        crc = crc32c(crc, slice_make(frame + 8, 2 + bytes));
        put32(frame + 4, at[3] > 250 ? crc + 1 : crc);
        if (at[3] == 250) {
            put32(frame, (uint32_t)length << 16);
        }
        size_t first = cut < FRAME_HEADER_BYTES + bytes ? cut : FRAME_HEADER_BYTES + bytes;
        feed(&reader, slice_make(frame, first));
        is_well = take_all(&reader);
        feed(&reader, slice_make(frame + first, FRAME_HEADER_BYTES + bytes - first));
        is_well = take_all(&reader) && is_well;
        memory_free(frame);
        rest = slice_skip(rest, 6 + bytes);
    }
    frame_reader_deinit(&reader);
    return 0;
}
