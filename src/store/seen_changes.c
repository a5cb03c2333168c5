/* SPDX-License-Identifier: BSD-3-Clause */
/* A table of hashes of place and ticks; 64 bits are enough, since few are ever asked for. */
#include "store/seen_changes.h"

#include "base/buffer.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/memory.h"

enum { SLOTS_MIN = 64 };

struct seen_changes {
    uint64_t ticks_min;
    uint64_t *slots;        /* hashes; 0: empty */
    size_t capacity, count; /* capacity is a power of 2 */
    bool is_full;
    struct buffer scratch;
};

struct seen_changes *seen_changes_new(uint64_t ticks_min) {
    struct seen_changes *seen = memory_alloc_zero(sizeof(*seen));
    seen->ticks_min = ticks_min;
    seen->capacity = SLOTS_MIN;
    seen->slots = memory_alloc_zero(seen->capacity * sizeof(seen->slots[0]));
    return seen;
}

void seen_changes_free(struct seen_changes *seen) {
    if (seen == NULL) {
        return;
    }
    memory_free(seen->slots);
    buffer_deinit(&seen->scratch);
    memory_free(seen);
}

static uint64_t hash_of(struct seen_changes *seen, const struct seen_place *place, uint64_t ticks) {
    static const struct hash_seed SEED = {UINT64_C(0xE7037ED1A0B428DB),
                                          UINT64_C(0x589965CC75374CC3)};
    struct buffer *bytes = &seen->scratch;
    buffer_clear(bytes);
    codec_put_u64(bytes, ticks);
    codec_put_varint(bytes, place->number);
    codec_put_varint(bytes, place->type);
    codec_put_slice(bytes, place->key);
    codec_put_slice(bytes, place->element);
    return hash_bytes(SEED, buffer_slice(bytes)) | 1;
}

/* The slot that has it, or where it belongs. */
static uint64_t *find_slot(const struct seen_changes *seen, uint64_t hash) {
    for (size_t at = hash >> 1;; at++) {
        uint64_t *slot = &seen->slots[at & (seen->capacity - 1)];
        if (*slot == 0 || *slot == hash) {
            return slot;
        }
    }
}

static void grow(struct seen_changes *seen) {
    uint64_t *old = seen->slots;
    size_t old_capacity = seen->capacity;
    seen->capacity *= 2;
    seen->slots = memory_alloc_zero(seen->capacity * sizeof(seen->slots[0]));
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i] != 0) {
            *find_slot(seen, old[i]) = old[i];
        }
    }
    memory_free(old);
}

static bool puts_something(enum change_kind kind) {
    return change_has_key(kind) && kind != CHANGE_DELETE && kind != CHANGE_TAKE &&
           kind != CHANGE_MORE;
}

void seen_changes_note(struct seen_changes *seen, const struct stream_record *record) {
    struct change_reader reader;
    struct change change;
    if (seen->is_full || record->last_ticks <= seen->ticks_min ||
        !change_reader_init(&reader, record->batch, 1)) {
        return;
    }
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        uint64_t ticks = stamp_ticks(change.stamp);
        if (ticks <= seen->ticks_min || !puts_something(change.kind)) {
            continue;
        }
        if (seen->count == SEEN_CHANGES_MAX) {
            seen->is_full = true;
            return;
        }
        struct seen_place place = {
            .number = change.db, .type = change.type, .key = change.key, .element = change.element};
        uint64_t hash = hash_of(seen, &place, ticks), *slot = find_slot(seen, hash);
        seen->count += *slot == 0;
        *slot = hash;
        if (seen->count > seen->capacity / 4 * 3) {
            grow(seen);
        }
    }
}

bool seen_changes_has(struct seen_changes *seen, const struct seen_place *place, uint64_t ticks) {
    return !seen->is_full && *find_slot(seen, hash_of(seen, place, ticks)) != 0;
}
