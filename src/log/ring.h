/* SPDX-License-Identifier: BSD-3-Clause */
/* The newest records of the log in memory, for peers.
 *
 * Records lie one behind the other in chunks; none is spread over two. A place is a position: the
 * bytes of all records appended in this process before it, each counted with a length of five
 * bytes. Each chunk remembers the context at its beginning: so chunks are the checkpoints.
 *
 *   chunk  | length | record | length | record | ...  |  room |
 *
 * A length is a varint of five bytes, whatever it is: so records lie here as frames carry them, and
 * links send them from where they lie. Who does so holds the chunk, which may outlive its place in
 * the ring.
 *
 * Chunks are allocated when they are needed, so memory follows what was written. Beyond the limit
 * the oldest chunk goes (ring_trim()), and its memory is that of the next one; the newest one
 * always stays, so that one record that is larger than the limit can still be passed on. */
#ifndef LOG_RING_H
#define LOG_RING_H

#include "base/shared_block.h"
#include "base/slice.h"
#include "crdt/context.h"

enum {
    RING_CHUNK_BYTES_MAX = 256 << 10,      /* with its header */
    RING_CHUNK_BYTES_FIRST_MAX = 64 << 10, /* while there are few */
    RING_CHUNK_BYTES_MIN = 256,
    RING_LENGTH_BYTES = 5,
    RING_NEEDED_FACTOR = 2,
};

/* The entries of a context that are not 0, by slot. */
struct ring_context {
    unsigned count;
    uint64_t stamps[];
};

struct ring_chunk {
    struct shared_block shared;
    uint64_t position; /* of its first record */
    size_t size, capacity;
    uint64_t records_count;
    struct ring_context *context;
    char bytes[];
};

struct ring {
    uint64_t bytes_max; /* 0: off */
    uint64_t bytes;     /* of all chunks and their contexts */
    uint64_t records_count;
    uint64_t first_position, end_position;
    /* Chunk n is chunks[n % capacity], for first_number <= n < end_number. */
    struct ring_chunk **chunks;
    uint64_t chunks_capacity;
    uint64_t first_number, end_number;
    struct ring_chunk *spare; /* of the usual capacity, for the next chunk; or NULL */
    bool is_held;             /* nothing is dropped: ring_hold() */
};

struct ring_context *ring_context_new(const struct context *context, unsigned slots_count);
/* Is each entry at most that of `seen`, as far as `is_wanted` (NULL: all)? */
bool ring_context_is_seen(const struct ring_context *context, const struct context *seen,
                          const bool *is_wanted);

void ring_deinit(struct ring *ring);
/* Forgets all; the next record has `position`. */
void ring_clear(struct ring *ring, uint64_t position);
void ring_set_bytes_max(struct ring *ring, uint64_t bytes_max);
/* While it is held, no chunk goes for the limit's sake. */
void ring_hold(struct ring *ring, bool holds);
/* Appends a record that consists of two pieces. `context` is that before it. The caller trims. */
void ring_append(struct ring *ring, struct slice head, struct slice rest,
                 const struct context *context, unsigned slots_count);
/* Clears the slot in all contexts: its replica was retired. */
void ring_clear_slot(struct ring *ring, unsigned slot);

static inline bool ring_is_beyond_limit(const struct ring *ring) {
    return ring->bytes > ring->bytes_max && !ring->is_held;
}
/* Drops the oldest chunks beyond the limit. What lies at `needed_position` and behind it is still
 * to be read (UINT64_MAX: nothing is): that goes only beyond RING_NEEDED_FACTOR times the limit. */
void ring_trim(struct ring *ring, uint64_t needed_position);

static inline struct ring_chunk *ring_chunk(const struct ring *ring, uint64_t number) {
    return ring->chunks[number % ring->chunks_capacity];
}
static inline bool ring_covers(const struct ring *ring, uint64_t position) {
    return ring->bytes_max > 0 && position >= ring->first_position &&
           position <= ring->end_position;
}
/* The number of the chunk that has, or will have, the record at a position that the ring covers. */
uint64_t ring_find(const struct ring *ring, uint64_t position);
/* Writes, and reads, the length of a record in RING_LENGTH_BYTES. */
void ring_put_length(char *at, size_t record_bytes);
size_t ring_take_length(const char *at);
/* The record at `offset` of a chunk, and the offset behind it; false at the chunk's end. */
bool ring_record(const struct ring_chunk *chunk, size_t *offset, struct slice *record);

static inline uint64_t ring_span(size_t record_bytes) {
    return RING_LENGTH_BYTES + (uint64_t)record_bytes;
}

#endif
