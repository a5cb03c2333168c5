/* SPDX-License-Identifier: BSD-3-Clause */
/* A table of hashes of place and value; 64 bits are enough, since few are ever asked for. */
#include "store/made_again.h"

#include "base/buffer.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/memory.h"

enum { SLOTS_MIN = 64 };

struct made_again {
    uint64_t *slots;        /* hashes; 0: empty */
    size_t capacity, count; /* capacity is a power of 2 */
    bool is_full;
    struct buffer scratch;
};

struct made_again *made_again_new(void) {
    struct made_again *made = memory_alloc_zero(sizeof(*made));
    made->capacity = SLOTS_MIN;
    made->slots = memory_alloc_zero(made->capacity * sizeof(made->slots[0]));
    return made;
}

void made_again_free(struct made_again *made) {
    if (made == NULL) {
        return;
    }
    memory_free(made->slots);
    buffer_deinit(&made->scratch);
    memory_free(made);
}

static uint64_t hash_of(struct made_again *made, const struct seen_place *place,
                        struct slice value) {
    static const struct hash_seed SEED = {UINT64_C(0xC2B2AE3D27D4EB4F),
                                          UINT64_C(0x165667B19E3779F9)};
    struct buffer *bytes = &made->scratch;
    buffer_clear(bytes);
    codec_put_varint(bytes, place->number);
    codec_put_varint(bytes, place->type);
    codec_put_slice(bytes, place->key);
    codec_put_slice(bytes, place->element);
    codec_put_slice(bytes, value);
    return hash_bytes(SEED, buffer_slice(bytes)) | 1;
}

/* The slot that has it, or where it belongs. */
static uint64_t *find_slot(const struct made_again *made, uint64_t hash) {
    for (size_t at = hash >> 1;; at++) {
        uint64_t *slot = &made->slots[at & (made->capacity - 1)];
        if (*slot == 0 || *slot == hash) {
            return slot;
        }
    }
}

static void grow(struct made_again *made) {
    uint64_t *old = made->slots;
    size_t old_capacity = made->capacity;
    made->capacity *= 2;
    made->slots = memory_alloc_zero(made->capacity * sizeof(made->slots[0]));
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i] != 0) {
            *find_slot(made, old[i]) = old[i];
        }
    }
    memory_free(old);
}

static bool puts_value(enum change_kind kind) {
    return kind == CHANGE_SET || kind == CHANGE_SET_EXPIRING || kind == CHANGE_SET_KEEPING;
}

void made_again_note(struct made_again *made, const struct stream_record *record,
                     uint64_t ended_ticks, uint64_t made_ticks) {
    struct change_reader reader;
    struct change change;
    if (made->is_full || record->last_ticks <= ended_ticks ||
        !change_reader_init(&reader, record->batch, 1)) {
        return;
    }
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        uint64_t ticks = stamp_ticks(change.stamp);
        if (ticks <= ended_ticks || ticks > made_ticks || !puts_value(change.kind)) {
            continue;
        }
        if (made->count == MADE_AGAIN_MAX) {
            made->is_full = true;
            return;
        }
        struct seen_place place = {
            .number = change.db, .type = change.type, .key = change.key, .element = change.element};
        uint64_t hash = hash_of(made, &place, change.value), *slot = find_slot(made, hash);
        made->count += *slot == 0;
        *slot = hash;
        if (made->count > made->capacity / 4 * 3) {
            grow(made);
        }
    }
}

bool made_again_has(struct made_again *made, const struct seen_place *place, struct slice value) {
    return made != NULL && !made->is_full && *find_slot(made, hash_of(made, place, value)) != 0;
}
