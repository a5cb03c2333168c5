/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/seen_changes.h"

#include "base/buffer.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/memory.h"
#include "containers/hash_set.h"

struct seen_changes {
    uint64_t ticks_min;
    struct hash_set hashes;
    struct buffer scratch;
};

struct seen_changes *seen_changes_new(uint64_t ticks_min) {
    struct seen_changes *seen = memory_alloc_zero(sizeof(*seen));
    seen->ticks_min = ticks_min;
    hash_set_init(&seen->hashes, SEEN_CHANGES_MAX);
    return seen;
}

void seen_changes_free(struct seen_changes *seen) {
    if (seen == NULL) {
        return;
    }
    hash_set_deinit(&seen->hashes);
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
    return hash_bytes(SEED, buffer_slice(bytes));
}

static bool puts_something(enum change_kind kind) {
    return change_has_key(kind) && kind != CHANGE_DELETE && kind != CHANGE_TAKE &&
           kind != CHANGE_MORE;
}

void seen_changes_note(struct seen_changes *seen, const struct stream_record *record) {
    struct change_reader reader;
    struct change change;
    if (seen->hashes.is_full || record->last_ticks <= seen->ticks_min ||
        !change_reader_init(&reader, record->batch, 1)) {
        return;
    }
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        uint64_t ticks = stamp_ticks(change.stamp);
        if (ticks <= seen->ticks_min || !puts_something(change.kind)) {
            continue;
        }
        struct seen_place place = {
            .number = change.db, .type = change.type, .key = change.key, .element = change.element};
        hash_set_add(&seen->hashes, hash_of(seen, &place, ticks));
    }
}

bool seen_changes_has(struct seen_changes *seen, const struct seen_place *place, uint64_t ticks) {
    return hash_set_has(&seen->hashes, hash_of(seen, place, ticks));
}
