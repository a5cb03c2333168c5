/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/unsent_edits.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/varint.h"

enum { SLOTS_MIN = 64 };

/* What was done to one key. */
struct edited {
    uint64_t hash;
    unsigned number;
    struct buffer key, patches, pairs;
    bool is_other; /* it was written in another way, too */
};

struct unsent_edits {
    struct edited *items;
    size_t items_count;
    uint32_t *slots; /* places in `items`, and one; 0: empty */
    size_t capacity; /* a power of 2 */
    size_t bytes;
    uint64_t *refs; /* of replicas whose first record has come */
    size_t refs_count;
    unsigned *flushed; /* databases that were emptied */
    size_t flushed_count;
    bool is_unknown;
};

struct unsent_edits *unsent_edits_new(void) {
    struct unsent_edits *edits = memory_alloc_zero(sizeof(*edits));
    edits->capacity = SLOTS_MIN;
    edits->slots = memory_alloc_zero(edits->capacity * sizeof(edits->slots[0]));
    return edits;
}

static void drop_items(struct unsent_edits *edits) {
    for (size_t i = 0; i < edits->items_count; i++) {
        buffer_deinit(&edits->items[i].key);
        buffer_deinit(&edits->items[i].patches);
        buffer_deinit(&edits->items[i].pairs);
    }
    memory_free(edits->items);
    edits->items = NULL;
    edits->items_count = 0;
}

void unsent_edits_free(struct unsent_edits *edits) {
    if (edits == NULL) {
        return;
    }
    drop_items(edits);
    memory_free(edits->slots);
    memory_free(edits->refs);
    memory_free(edits->flushed);
    memory_free(edits);
}

static uint64_t hash_of(unsigned number, struct slice key) {
    static const struct hash_seed SEED = {UINT64_C(0x2545F4914F6CDD1D),
                                          UINT64_C(0x9E6C63D0876A9A47)};
    return hash_bytes(SEED, key) + number * UINT64_C(0x9E3779B97F4A7C15);
}

/* The slot that has it, or where it belongs. */
static uint32_t *find_slot(const struct unsent_edits *edits, uint64_t hash, unsigned number,
                           struct slice key) {
    for (size_t at = hash;; at++) {
        uint32_t *slot = &edits->slots[at & (edits->capacity - 1)];
        const struct edited *item = *slot == 0 ? NULL : &edits->items[*slot - 1];
        if (item == NULL || (item->hash == hash && item->number == number &&
                             slice_equal(buffer_slice(&item->key), key))) {
            return slot;
        }
    }
}

static void grow(struct unsent_edits *edits) {
    memory_free(edits->slots);
    edits->capacity *= 2;
    edits->slots = memory_alloc_zero(edits->capacity * sizeof(edits->slots[0]));
    for (size_t i = 0; i < edits->items_count; i++) {
        const struct edited *item = &edits->items[i];
        *find_slot(edits, item->hash, item->number, buffer_slice(&item->key)) = (uint32_t)i + 1;
    }
}

static struct edited *need_item(struct unsent_edits *edits, unsigned number, struct slice key) {
    uint64_t hash = hash_of(number, key);
    uint32_t *slot = find_slot(edits, hash, number, key);
    if (*slot != 0) {
        return &edits->items[*slot - 1];
    }
    if ((edits->items_count & (edits->items_count - 1)) == 0) {
        size_t capacity = edits->items_count == 0 ? 1 : 2 * edits->items_count;
        edits->items = memory_resize(edits->items, capacity * sizeof(edits->items[0]));
    }
    struct edited *item = &edits->items[edits->items_count++];
    *item = (struct edited){.hash = hash, .number = number};
    buffer_append_slice(&item->key, key);
    edits->bytes += sizeof(*item) + key.size;
    *slot = (uint32_t)edits->items_count;
    if (edits->items_count > edits->capacity / 2) {
        grow(edits);
    }
    return item;
}

static bool was_flushed(const struct unsent_edits *edits, unsigned number) {
    for (size_t i = 0; i < edits->flushed_count; i++) {
        if (edits->flushed[i] == number) {
            return true;
        }
    }
    return false;
}

static void note_flush(struct unsent_edits *edits, unsigned number) {
    if (!was_flushed(edits, number)) {
        edits->flushed =
            memory_resize(edits->flushed, (edits->flushed_count + 1) * sizeof(edits->flushed[0]));
        edits->flushed[edits->flushed_count++] = number;
    }
}

static void note_string(struct unsent_edits *edits, const struct change *change) {
    struct edited *item = need_item(edits, change->db, change->key);
    switch (change->kind) {
    case CHANGE_PATCH:
        codec_put_varint(&item->patches, change->offset);
        codec_put_slice(&item->patches, change->value);
        edits->bytes += change->value.size;
        break;
    case CHANGE_REGISTERS:
        buffer_append_slice(&item->pairs, change->value);
        edits->bytes += change->value.size;
        break;
    case CHANGE_EXPIRE:
        break;
    case CHANGE_SET:
    case CHANGE_SET_EXPIRING:
    case CHANGE_SET_KEEPING:
    case CHANGE_DELETE:
    case CHANGE_COUNTER:
    case CHANGE_FLOAT_COUNTER:
    case CHANGE_TAKE:
    case CHANGE_MORE:
        item->is_other = true;
        break;
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
    case CHANGE_SWAP:
    case CHANGE_LIFE_END:
        impossible("it has no key");
    }
}

static void note_change(struct unsent_edits *edits, const struct change *change) {
    if (change->kind == CHANGE_FLUSH) {
        note_flush(edits, change->db);
    } else if (change->kind == CHANGE_FLUSH_ALL) {
        edits->is_unknown = true;
    } else if (change_has_key(change->kind)) {
        if (change->type == VALUE_STRING) {
            note_string(edits, change);
        } else {
            need_item(edits, change->db, change->key)->is_other = true;
        }
    }
}

/* Is this the first record of its replica? */
static bool is_first(struct unsent_edits *edits, uint64_t ref) {
    for (size_t i = 0; i < edits->refs_count; i++) {
        if (edits->refs[i] == ref) {
            return false;
        }
    }
    edits->refs = memory_resize(edits->refs, (edits->refs_count + 1) * sizeof(edits->refs[0]));
    edits->refs[edits->refs_count++] = ref;
    return true;
}

void unsent_edits_note(struct unsent_edits *edits, const struct stream_record *record,
                       uint64_t ticks_min) {
    struct change_reader reader;
    struct change change;
    edits->is_unknown |= is_first(edits, record->ref) && record->previous_ticks > ticks_min;
    if (edits->is_unknown || record->last_ticks <= ticks_min ||
        !change_reader_init(&reader, record->batch, 1)) {
        return;
    }
    while (!edits->is_unknown && change_reader_next(&reader, &change) == CHANGE_OK) {
        if (stamp_ticks(change.stamp) > ticks_min) {
            note_change(edits, &change);
        }
        edits->is_unknown |= edits->bytes > UNSENT_EDITS_BYTES_MAX;
    }
    if (edits->is_unknown) {
        drop_items(edits);
    }
}

bool unsent_edits_find(const struct unsent_edits *edits, unsigned number, struct slice key,
                       struct slice *patches, struct slice *pairs) {
    if (edits == NULL || edits->is_unknown || was_flushed(edits, number)) {
        return false;
    }
    uint32_t slot = *find_slot(edits, hash_of(number, key), number, key);
    const struct edited *item = slot == 0 ? NULL : &edits->items[slot - 1];
    if (item == NULL || item->is_other || item->patches.size + item->pairs.size == 0) {
        return false;
    }
    *patches = buffer_slice(&item->patches);
    *pairs = buffer_slice(&item->pairs);
    return true;
}
