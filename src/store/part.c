/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/part.h"

#include "base/codec.h"
#include "base/varint.h"
#include "store/databases.h"
#include "store/snapshot_walk.h"
#include "store/state.h"

enum {
    PART_STEP_ENTRIES = 32,
    /* A buffer that one large value has blown up is given back. */
    PART_PENDING_BYTES_KEPT = 1 << 20,
    PART_LENGTH_BYTES = 4,
};

struct part_source {
    struct snapshot_walk walk;
    struct buffer pending; /* batches, the last one perhaps still open */
    size_t sent;           /* of pending */
    size_t batch;          /* where the open batch's length is; SIZE_MAX: none is open */
};

void part_range(unsigned part, unsigned parts_count, uint64_t *first, uint64_t *last) {
    require(parts_count >= 1 && parts_count <= PART_COUNT_MAX);
    require((parts_count & (parts_count - 1)) == 0);
    require(part < parts_count);
    uint64_t size =
        UINT64_MAX / parts_count; /* of a part, less one, since the count divides 2^64 */
    *first = parts_count == 1 ? 0 : part * (size + 1);
    *last = *first + size;
}

/* ---- the header ---- */

static void put_replica(struct buffer *out, const struct store *store, unsigned slot) {
    const struct replica *replica = &store->replicas.slots[slot];
    codec_put_varint(out, slot);
    buffer_append(out, replica->id.node, REPLICA_NODE_ID_BYTES);
    codec_put_varint(out, replica->id.generation);
    codec_put_varint(out, stamp_ticks(store->context.stamps[slot]));
    uint64_t count = 0;
    for (unsigned i = 1; i < replica->mark_count; i++) {
        count += replica->mark[i] != 0;
    }
    codec_put_varint(out, count);
    for (unsigned i = 1; i < replica->mark_count; i++) {
        if (replica->mark[i] != 0) {
            codec_put_varint(out, i);
            codec_put_varint(out, stamp_ticks(replica->mark[i]));
        }
    }
}

static void put_header(struct buffer *out, const struct store *store, unsigned part,
                       unsigned parts_count) {
    const struct replicas *replicas = &store->replicas;
    buffer_append_byte(out, PART_VERSION);
    codec_put_u64(out, store->seed.a);
    codec_put_u64(out, store->seed.b);
    codec_put_varint(out, part);
    codec_put_varint(out, parts_count);
    codec_put_varint(out, store->dbs_count);
    uint64_t count = 0;
    for (unsigned slot = 1; slot < replicas->slots_count && replicas->slots != NULL; slot++) {
        count += replicas->slots[slot].ref != 0;
    }
    codec_put_varint(out, count);
    for (unsigned slot = 1; slot < replicas->slots_count && replicas->slots != NULL; slot++) {
        if (replicas->slots[slot].ref != 0) {
            put_replica(out, store, slot);
        }
    }
    codec_put_varint(out, replicas->retired_count);
    for (size_t i = 0; i < replicas->retired_count; i++) {
        codec_put_u64(out, replicas->retired[i].ref);
        codec_put_varint(out, replicas->retired[i].ticks);
        codec_put_varint(out, replicas->retired[i].born_ticks);
    }
    replicas_put_ends(out, replicas);
    codec_put_varint(out, stamp_ticks(store->order_stamp));
    codec_put_varint(out, stamp_slot(store->order_stamp));
    struct buffer order = {0};
    databases_put_order(store, &order);
    codec_put_varint(out, order.size);
    buffer_append_slice(out, buffer_slice(&order));
    buffer_deinit(&order);
}

/* ---- the data ---- */

static void part_close_batch(struct part_source *source) {
    if (source->batch == SIZE_MAX) {
        return;
    }
    size_t size = source->pending.size - source->batch - PART_LENGTH_BYTES;
    require(size <= UINT32_MAX);
    for (int i = 0; i < PART_LENGTH_BYTES; i++) {
        source->pending.data[source->batch + (size_t)i] = (char)(size >> (8 * i));
    }
    source->batch = SIZE_MAX;
}

static void part_open_batch(struct part_source *source) {
    if (source->batch == SIZE_MAX) {
        source->batch = source->pending.size;
        (void)buffer_reserve(&source->pending, PART_LENGTH_BYTES);
        source->pending.size += PART_LENGTH_BYTES;
    }
}

/* Between two pieces of a large value: each goes into a batch of its own. */
static void part_next_piece(void *udata) {
    struct part_source *source = (struct part_source *)udata;
    part_close_batch(source);
    part_open_batch(source);
}

static void part_emit(void *udata, unsigned db, const struct entry *entry) {
    struct part_source *source = (struct part_source *)udata;
    part_open_batch(source);
    state_encode(&source->pending, source->walk.store, db, entry, part_next_piece, source);
    if (source->pending.size - source->batch >= PART_BATCH_BYTES) {
        part_close_batch(source);
    }
}

/* Of an entry that goes out in pieces. */
static void part_piece(void *udata, struct slice piece, bool is_first) {
    struct part_source *source = (struct part_source *)udata;
    (void)is_first;
    part_open_batch(source);
    buffer_append_slice(&source->pending, piece);
    if (source->pending.size - source->batch >= PART_BATCH_BYTES) {
        part_close_batch(source);
    }
}

struct part_source *part_open(struct store *store, unsigned part, unsigned parts_count,
                              struct buffer *header) {
    struct part_source *source = memory_alloc_zero(sizeof(*source));
    source->batch = SIZE_MAX;
    uint64_t first, last;
    part_range(part, parts_count, &first, &last);
    put_header(header, store, part, parts_count);
    snapshot_walk_begin_range(&source->walk, store, first, last, part_emit, source);
    snapshot_walk_take_pieces(&source->walk, part_piece);
    return source;
}

enum part_status part_read(struct part_source *source, struct buffer *out, size_t bytes_max) {
    struct snapshot_walk *walk = &source->walk;
    while (!walk->is_done && !walk->is_cancelled &&
           source->pending.size - source->sent < bytes_max) {
        (void)snapshot_walk_step(walk, PART_STEP_ENTRIES);
    }
    if (walk->is_cancelled) {
        return PART_AGAIN;
    }
    if (source->batch != SIZE_MAX) {
        part_close_batch(source);
    }
    size_t size = source->pending.size - source->sent;
    size = size < bytes_max ? size : bytes_max;
    buffer_append(out, source->pending.data + source->sent, size);
    source->sent += size;
    if (source->sent >= source->pending.size / 2) {
        /* What is left is little: else all that was ever sent would stay. */
        buffer_consume(&source->pending, source->sent);
        source->sent = 0;
    }
    if (source->pending.size == 0) {
        if (source->pending.capacity > PART_PENDING_BYTES_KEPT) {
            buffer_deinit(&source->pending);
            source->pending = (struct buffer){0};
        }
        buffer_clear(&source->pending);
    }
    return walk->is_done && source->pending.size == source->sent ? PART_DONE : PART_MORE;
}

void part_close(struct part_source *source) {
    snapshot_walk_end(&source->walk);
    buffer_deinit(&source->pending);
    memory_free(source);
}
