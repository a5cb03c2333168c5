/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames: what nodes send each other, cut out of a stream of bytes.
 *
 *   frame:  payload length u32 | CRC-32C u32 | type u8 | flags u8 | payload
 *
 *   LZ4   the payload is: unpacked length u32 | LZ4 block
 *   MORE  the payload is a piece of a longer one: the next frame of the same type goes on with it
 *
 * All numbers are little endian. The checksum is that of length, type, flags and payload, as they
 * are on the wire. Frames of other types may come between two pieces. Each piece is packed by
 * itself.
 *
 * The reader believes no claim: a length beyond the limit ends the stream before anything is
 * allocated for it, and room for what may come is made as it comes. What the other side can make it
 * hold is one frame, the pieces of unfinished payloads, together at most `payload_bytes_max`, and
 * one unpacked payload. */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include "base/buffer.h"

enum {
    FRAME_HEADER_BYTES = 10,
    FRAME_PAYLOAD_BYTES_MAX = 256 << 20,
    FRAME_HANDSHAKE_BYTES_MAX = 4096, /* a sensible limit before the other side is known */
    FRAME_PIECE_BYTES_MIN = 4096,     /* a smaller max_frame_bytes counts as this */
    FRAME_PIECES_MAX = 1 << 16,       /* of one payload */
    FRAME_UNFINISHED_MAX = 4,         /* types with an unfinished payload at a time */
    FRAME_PACKED_BYTES_MIN = 64,      /* shorter payloads are never compressed */
};

enum frame_flag { FRAME_FLAG_LZ4 = 1, FRAME_FLAG_MORE = 2 };

/* ---- writing ---- */

struct frame_opts {
    size_t max_frame_bytes; /* longer payloads go in pieces of this */
    bool compresses;        /* pack what gets smaller by an eighth at least */
};

/* Appends `payload`, at most FRAME_PAYLOAD_BYTES_MAX of it, as one frame or as many as it needs.
 * Returns how many bytes of it were packed (their size before). */
size_t frame_put(struct buffer *out, uint8_t type, struct slice payload,
                 const struct frame_opts *opts);
/* Makes one unpacked frame in place: its payload, short enough for one, is what `out` has behind
 * `begin` and room for a header. */
void frame_seal(struct buffer *out, size_t begin, uint8_t type);
/* Makes the header of an unpacked frame whose payload is elsewhere: its pieces are added, in their
 * order, for the checksum. */
void frame_header_begin(char *at, uint8_t type, uint8_t flags, size_t payload_bytes);
void frame_header_add(char *at, struct slice piece);
/* Appends the first piece of `*rest`, which loses it, as one frame; true while more is left. Until
 * it returns false, no other payload of this type may be put. `*packed` grows as frame_put()'s
 * result. */
bool frame_put_piece(struct buffer *out, uint8_t type, struct slice *rest,
                     const struct frame_opts *opts, size_t *packed);

/* ---- reading ---- */

enum frame_status {
    FRAME_NONE,  /* wait for more bytes */
    FRAME_OK,    /* a whole payload */
    FRAME_BAD,   /* not a frame: the checksum, a flag or the packed bytes are wrong */
    FRAME_LIMIT, /* it claims or adds up to more than the limits allow, or memory is out */
};

/* An unfinished payload. */
struct frame_unfinished {
    struct buffer bytes;
    uint32_t pieces_count; /* 0: free */
    uint8_t type;
};

/* A zeroed reader has the limit 0; see frame_reader_init(). After BAD and LIMIT it says the same
 * for ever. */
struct frame_reader {
    struct buffer in; /* what arrived, from `begin` on */
    size_t begin;
    struct buffer unpacked; /* the payload last handed out, if it was packed */
    struct frame_unfinished unfinished[FRAME_UNFINISHED_MAX];
    struct frame_unfinished *finished; /* whose bytes were handed out last, or NULL */
    size_t unfinished_bytes;
    uint64_t payload_bytes_max;
    enum frame_status failure; /* NONE while all is well */
    uint64_t frames_count;
    uint64_t unpacked_bytes; /* that came packed, after unpacking */
};

void frame_reader_init(struct frame_reader *reader, uint64_t payload_bytes_max);
void frame_reader_deinit(struct frame_reader *reader);
/* Another limit, at most FRAME_PAYLOAD_BYTES_MAX, from the next frame on. */
void frame_reader_set_limit(struct frame_reader *reader, uint64_t payload_bytes_max);
/* Where bytes from the connection go, and how much room there is: 16 KiB at least, more while a
 * long frame is coming in. The payload last handed out is gone. NULL when memory is out. */
char *frame_reader_space(struct frame_reader *reader, size_t *room);
/* So many bytes were put there. */
void frame_reader_commit(struct frame_reader *reader, size_t size);
/* The next whole payload, valid until the next call of next() or space(). */
enum frame_status frame_reader_next(struct frame_reader *reader, uint8_t *type,
                                    struct slice *payload);
/* Gives back what is allocated, if no bytes wait. No payload handed out is in use. */
void frame_reader_rest(struct frame_reader *reader);
/* Bytes allocated now. */
size_t frame_reader_memory_bytes(const struct frame_reader *reader);

#endif
