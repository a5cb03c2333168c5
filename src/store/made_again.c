/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/made_again.h"

#include "base/buffer.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/memory.h"
#include "containers/hash_set.h"

struct made_again {
    struct hash_set hashes;
    struct buffer scratch;
};

struct made_again *made_again_new(void) {
    struct made_again *made = memory_alloc_zero(sizeof(*made));
    hash_set_init(&made->hashes, MADE_AGAIN_MAX);
    return made;
}

void made_again_free(struct made_again *made) {
    if (made == NULL) {
        return;
    }
    hash_set_deinit(&made->hashes);
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
    return hash_bytes(SEED, buffer_slice(bytes));
}

static bool puts_value(enum change_kind kind) {
    return kind == CHANGE_SET || kind == CHANGE_SET_EXPIRING || kind == CHANGE_SET_KEEPING;
}

void made_again_note(struct made_again *made, const struct stream_record *record,
                     uint64_t ended_ticks, uint64_t made_ticks) {
    struct change_reader reader;
    struct change change;
    if (made->hashes.is_full || record->last_ticks <= ended_ticks ||
        !change_reader_init(&reader, record->batch, 1)) {
        return;
    }
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        uint64_t ticks = stamp_ticks(change.stamp);
        if (ticks <= ended_ticks || ticks > made_ticks || !puts_value(change.kind)) {
            continue;
        }
        struct seen_place place = {
            .number = change.db, .type = change.type, .key = change.key, .element = change.element};
        hash_set_add(&made->hashes, hash_of(made, &place, change.value));
    }
}

bool made_again_has(struct made_again *made, const struct seen_place *place, struct slice value) {
    return made != NULL && hash_set_has(&made->hashes, hash_of(made, place, value));
}
