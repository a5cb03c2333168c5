/* SPDX-License-Identifier: BSD-3-Clause */
#include "log/ring.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/varint.h"
#include "log/log.h"

enum {
    RING_CHUNKS_MIN = 8, /* in a full ring, so that little goes at a time */
    RING_CHUNKS_FEW = 16,
};

struct ring_context *ring_context_new(const struct context *context, unsigned slots_count) {
    require(slots_count <= STAMP_SLOTS_COUNT);
    struct ring_context *copy = memory_alloc(sizeof(*copy) + slots_count * sizeof(uint64_t));
    copy->count = slots_count;
    memcpy(copy->stamps, context->stamps, slots_count * sizeof(uint64_t));
    return copy;
}

bool ring_context_is_seen(const struct ring_context *context, const struct context *seen,
                          const bool *is_wanted) {
    for (unsigned slot = 1; slot < context->count; slot++) {
        if (context->stamps[slot] > seen->stamps[slot] && (is_wanted == NULL || is_wanted[slot])) {
            return false;
        }
    }
    return true;
}

static size_t chunk_cost(const struct ring_chunk *chunk) {
    return sizeof(*chunk) + chunk->capacity + sizeof(*chunk->context) +
           chunk->context->count * sizeof(uint64_t);
}

static size_t usual_capacity(const struct ring *ring) {
    uint64_t capacity = ring->bytes_max / RING_CHUNKS_MIN;
    uint64_t most = ring->end_number - ring->first_number < RING_CHUNKS_FEW
                        ? RING_CHUNK_BYTES_FIRST_MAX
                        : RING_CHUNK_BYTES_MAX;
    capacity = capacity < RING_CHUNK_BYTES_MIN ? RING_CHUNK_BYTES_MIN : capacity;
    /* With its header it is as long as the allocator makes it, and not a quarter longer. */
    return (size_t)(capacity > most ? most : capacity) - sizeof(struct ring_chunk);
}

void ring_put_length(char *at, size_t record_bytes) {
    for (unsigned i = 0; i < RING_LENGTH_BYTES - 1; i++) {
        at[i] = (char)(record_bytes >> (7 * i) | 0x80);
    }
    at[RING_LENGTH_BYTES - 1] = (char)(record_bytes >> (7 * (RING_LENGTH_BYTES - 1)));
}

size_t ring_take_length(const char *at) {
    return (size_t)varint_take_own(&at);
}

static void free_chunk(struct shared_block *shared) {
    memory_free(shared); /* its first member */
}

static void drop_spare(struct ring *ring) {
    if (ring->spare != NULL) {
        shared_block_release(&ring->spare->shared);
    }
    ring->spare = NULL;
}

static void drop_first(struct ring *ring) {
    struct ring_chunk *chunk = ring_chunk(ring, ring->first_number);
    ring->bytes -= chunk_cost(chunk);
    ring->records_count -= chunk->records_count;
    ring->first_position = chunk->position + chunk->size;
    ring->first_number++;
    memory_free(chunk->context);
    bool is_free = chunk->shared.references == 1; /* no link has yet to send of it */
    if (is_free && ring->spare == NULL && chunk->capacity == usual_capacity(ring)) {
        ring->spare = chunk;
    } else {
        shared_block_release(&chunk->shared);
    }
}

void ring_clear(struct ring *ring, uint64_t position) {
    while (ring->first_number < ring->end_number) {
        drop_first(ring);
    }
    drop_spare(ring);
    ring->first_position = ring->end_position = position;
}

void ring_deinit(struct ring *ring) {
    ring_clear(ring, 0);
    memory_free(ring->chunks);
    *ring = (struct ring){0};
}

static bool first_is_needed(const struct ring *ring, uint64_t needed_position) {
    const struct ring_chunk *first = ring_chunk(ring, ring->first_number);
    return first->position + first->size > needed_position &&
           ring->bytes / RING_NEEDED_FACTOR <= ring->bytes_max;
}

void ring_trim(struct ring *ring, uint64_t needed_position) {
    while (ring_is_beyond_limit(ring) && ring->end_number - ring->first_number > 1 &&
           !first_is_needed(ring, needed_position)) {
        drop_first(ring);
    }
}

void ring_set_bytes_max(struct ring *ring, uint64_t bytes_max) {
    ring->bytes_max = bytes_max;
    if (bytes_max == 0) {
        ring_clear(ring, ring->end_position);
        memory_free(ring->chunks);
        ring->chunks = NULL;
        ring->chunks_capacity = 0;
    }
    drop_spare(ring);
}

void ring_hold(struct ring *ring, bool holds) {
    ring->is_held = holds;
}

static void reserve_numbers(struct ring *ring) {
    uint64_t count = ring->end_number - ring->first_number;
    if (count < ring->chunks_capacity) {
        return;
    }
    uint64_t capacity = ring->chunks_capacity == 0 ? 16 : 2 * ring->chunks_capacity;
    struct ring_chunk **chunks = memory_alloc(capacity * sizeof(struct ring_chunk *));
    for (uint64_t number = ring->first_number; number < ring->end_number; number++) {
        chunks[number % capacity] = ring_chunk(ring, number);
    }
    memory_free(ring->chunks);
    ring->chunks = chunks;
    ring->chunks_capacity = capacity;
}

static struct ring_chunk *add_chunk(struct ring *ring, size_t span, const struct context *context,
                                    unsigned slots_count) {
    size_t capacity = usual_capacity(ring);
    struct ring_chunk *chunk = NULL;
    if (span > capacity) {
        capacity = span;
    } else if (ring->spare != NULL && ring->spare->capacity == capacity) {
        chunk = ring->spare;
        ring->spare = NULL;
    }
    if (chunk == NULL) {
        chunk = memory_alloc(sizeof(*chunk) + capacity);
    }
    *chunk = (struct ring_chunk){.shared = {.references = 1, .free = free_chunk},
                                 .position = ring->end_position,
                                 .capacity = capacity,
                                 .context = ring_context_new(context, slots_count)};
    reserve_numbers(ring);
    ring->chunks[ring->end_number++ % ring->chunks_capacity] = chunk;
    ring->bytes += chunk_cost(chunk);
    return chunk;
}

void ring_append(struct ring *ring, struct slice head, struct slice rest,
                 const struct context *context, unsigned slots_count) {
    require(ring->bytes_max > 0);
    size_t record_bytes = head.size + rest.size;
    size_t span = (size_t)ring_span(record_bytes);
    struct ring_chunk *chunk =
        ring->end_number > ring->first_number ? ring_chunk(ring, ring->end_number - 1) : NULL;
    if (chunk == NULL || chunk->capacity - chunk->size < span) {
        chunk = add_chunk(ring, span, context, slots_count);
    }
    char *at = chunk->bytes + chunk->size;
    require(record_bytes <= LOG_RECORD_BYTES_MAX);
    ring_put_length(at, record_bytes);
    memcpy(at + RING_LENGTH_BYTES, head.data, head.size);
    if (rest.size > 0) {
        memcpy(at + RING_LENGTH_BYTES + head.size, rest.data, rest.size);
    }
    chunk->size += span;
    chunk->records_count++;
    ring->records_count++;
    ring->end_position += span;
}

void ring_clear_slot(struct ring *ring, unsigned slot) {
    for (uint64_t number = ring->first_number; number < ring->end_number; number++) {
        struct ring_context *context = ring_chunk(ring, number)->context;
        if (slot < context->count) {
            context->stamps[slot] = 0;
        }
    }
}

uint64_t ring_find(const struct ring *ring, uint64_t position) {
    require(position >= ring->first_position);
    require(position <= ring->end_position);
    uint64_t low = ring->first_number, high = ring->end_number;
    while (low < high) { /* the first chunk that ends behind the position */
        uint64_t middle = low + (high - low) / 2;
        const struct ring_chunk *chunk = ring_chunk(ring, middle);
        if (chunk->position + chunk->size > position) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    /* What comes next may still go into the last one. */
    return low == ring->end_number && low > ring->first_number ? low - 1 : low;
}

bool ring_record(const struct ring_chunk *chunk, size_t *offset, struct slice *record) {
    if (*offset >= chunk->size) {
        return false;
    }
    size_t size = ring_take_length(chunk->bytes + *offset);
    *record = slice_make(chunk->bytes + *offset + RING_LENGTH_BYTES, size);
    *offset += (size_t)ring_span(size);
    return true;
}
