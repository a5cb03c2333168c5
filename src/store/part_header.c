/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/part_header.h"

#include "base/codec.h"
#include "base/varint.h"
#include "store/databases.h"

static bool take_limited(struct slice *bytes, uint64_t max, uint64_t *value) {
    return varint_take(bytes, value) && *value <= max;
}

static bool take_replica(struct slice *bytes, struct part_header_replica *replica) {
    uint64_t slot, passed, ticks;
    *replica = (struct part_header_replica){0};
    if (!take_limited(bytes, STAMP_SLOTS_COUNT - 1, &slot) || slot == STAMP_SLOT_SETTLED ||
        bytes->size < REPLICA_NODE_ID_BYTES) {
        return false;
    }
    replica->slot = (unsigned)slot;
    memcpy(replica->id.node, bytes->data, REPLICA_NODE_ID_BYTES);
    *bytes = slice_skip(*bytes, REPLICA_NODE_ID_BYTES);
    if (!varint_take(bytes, &replica->id.generation) ||
        !take_limited(bytes, STAMP_TICKS_ACCEPTED_MAX, &replica->ticks) ||
        !take_limited(bytes, STAMP_SLOTS_COUNT, &replica->marks_count)) {
        return false;
    }
    struct slice begin = *bytes;
    for (uint64_t i = 0; i < replica->marks_count; i++) {
        if (!take_limited(bytes, STAMP_SLOTS_COUNT - 1, &passed) ||
            !take_limited(bytes, STAMP_TICKS_ACCEPTED_MAX, &ticks)) {
            return false;
        }
    }
    replica->marks = slice_make(begin.data, begin.size - bytes->size);
    return true;
}

static bool header_replicas(struct part_header *header, struct slice *bytes) {
    bool is_used[STAMP_SLOTS_COUNT] = {false};
    if (!take_limited(bytes, STAMP_SLOTS_COUNT - 1, &header->replicas_count)) {
        return false;
    }
    for (uint64_t i = 0; i < header->replicas_count; i++) {
        struct part_header_replica *replica = &header->replicas[i];
        if (!take_replica(bytes, replica) || is_used[replica->slot]) {
            return false;
        }
        is_used[replica->slot] = true;
    }
    return true;
}

/* Refs, each with two ticks; what is read goes from the front of `bytes`. */
static bool take_refs(struct slice *bytes, uint64_t count, struct slice *refs) {
    uint64_t ref, ticks;
    struct slice begin = *bytes;
    for (uint64_t i = 0; i < count; i++) {
        if (!codec_take_u64(bytes, &ref) || ref == 0 ||
            !take_limited(bytes, STAMP_TICKS_ACCEPTED_MAX, &ticks) ||
            !take_limited(bytes, STAMP_TICKS_ACCEPTED_MAX, &ticks)) {
            return false;
        }
    }
    *refs = slice_make(begin.data, begin.size - bytes->size);
    return true;
}

bool part_header_take(struct part_header *header, const struct store *store, unsigned part,
                      unsigned parts_count, struct slice bytes) {
    uint64_t number;
    if (bytes.size < 1 || bytes.data[0] != PART_VERSION) {
        return false;
    }
    bytes = slice_skip(bytes, 1);
    if (!codec_take_u64(&bytes, &number) || number != store->seed.a ||
        !codec_take_u64(&bytes, &number) || number != store->seed.b ||
        !varint_take(&bytes, &number) || number != part || !varint_take(&bytes, &number) ||
        number != parts_count || !varint_take(&bytes, &number) || number != store->dbs_count ||
        !header_replicas(header, &bytes) ||
        !take_limited(&bytes, REPLICA_RETIRED_MAX, &header->retired_count) ||
        !take_refs(&bytes, header->retired_count, &header->retired)) {
        return false;
    }
    header->ends = bytes;
    if (!replicas_take_ends(&bytes, true, NULL)) {
        return false;
    }
    return take_limited(&bytes, STAMP_TICKS_ACCEPTED_MAX, &header->order_ticks) &&
           take_limited(&bytes, STAMP_SLOTS_COUNT - 1, &header->order_slot) &&
           varint_take_slice(&bytes, &header->order) && bytes.size == 0 &&
           databases_check_order(store, header->order);
}
