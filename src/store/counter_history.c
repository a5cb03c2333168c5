/* SPDX-License-Identifier: BSD-3-Clause */
/* A table by two hashes of the place, 128 bits together: the names themselves are not kept. */
#include "store/counter_history.h"

#include "base/buffer.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/number.h"

enum { SLOTS_MIN = 64 };

struct noted {
    uint64_t hash, check; /* hash 0: nothing */
    bool is_final;        /* a later one tells nothing more */
    bool is_unknown;
    struct counter_total total;
};

struct noted_replica {
    uint64_t ref;
    bool is_blurred; /* nothing is known of it */
};

struct counter_history {
    struct noted *slots;
    size_t capacity, count; /* capacity is a power of 2 */
    struct noted_replica *replicas;
    size_t replicas_count;
    struct buffer scratch;
};

struct counter_history *counter_history_new(void) {
    struct counter_history *history = memory_alloc_zero(sizeof(*history));
    history->capacity = SLOTS_MIN;
    history->slots = memory_alloc_zero(history->capacity * sizeof(history->slots[0]));
    return history;
}

void counter_history_free(struct counter_history *history) {
    if (history == NULL) {
        return;
    }
    memory_free(history->slots);
    memory_free(history->replicas);
    buffer_deinit(&history->scratch);
    memory_free(history);
}

/* The slot that has it, or where it belongs. */
static struct noted *find_slot(const struct counter_history *history, uint64_t hash,
                               uint64_t check) {
    for (size_t at = hash;; at++) {
        struct noted *noted = &history->slots[at & (history->capacity - 1)];
        if (noted->hash == 0 || (noted->hash == hash && noted->check == check)) {
            return noted;
        }
    }
}

static struct noted *find(struct counter_history *history, const struct counter_place *place,
                          uint64_t *hash, uint64_t *check) {
    static const struct hash_seed FIRST = {UINT64_C(0x8A5CD789635D2DFF),
                                           UINT64_C(0x121FD2155C472F96)};
    static const struct hash_seed SECOND = {UINT64_C(0xD6E8FEB86659FD93),
                                            UINT64_C(0xA0761D6478BD642F)};
    struct buffer *bytes = &history->scratch;
    buffer_clear(bytes);
    codec_put_u64(bytes, place->ref);
    codec_put_u64(bytes, place->start_ticks);
    codec_put_varint(bytes, place->number);
    codec_put_varint(bytes, place->type);
    codec_put_slice(bytes, place->key);
    codec_put_slice(bytes, place->element);
    *hash = hash_bytes(FIRST, buffer_slice(bytes)) | 1;
    *check = hash_bytes(SECOND, buffer_slice(bytes));
    return find_slot(history, *hash, *check);
}

static void grow(struct counter_history *history) {
    struct noted *old = history->slots;
    size_t old_capacity = history->capacity;
    history->capacity *= 2;
    history->slots = memory_alloc_zero(history->capacity * sizeof(history->slots[0]));
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].hash != 0) {
            *find_slot(history, old[i].hash, old[i].check) = old[i];
        }
    }
    memory_free(old);
}

static void note(struct counter_history *history, const struct counter_place *place,
                 const struct noted *told) {
    uint64_t hash, check;
    struct noted *noted = find(history, place, &hash, &check);
    if (noted->hash != 0 && (noted->is_final || told->is_final)) {
        noted->is_final = true;
        return; /* what there was before is what there was at that moment */
    }
    history->count += noted->hash == 0;
    *noted = *told;
    noted->hash = hash;
    noted->check = check;
    if (history->count > history->capacity / 4 * 3) {
        grow(history);
    }
}

static struct noted_replica *find_replica(const struct counter_history *history, uint64_t ref) {
    for (size_t i = 0; i < history->replicas_count; i++) {
        if (history->replicas[i].ref == ref) {
            return &history->replicas[i];
        }
    }
    return NULL;
}

static struct noted_replica *add_replica(struct counter_history *history,
                                         const struct stream_record *record, uint64_t ticks_max) {
    struct noted_replica *replica = find_replica(history, record->ref);
    if (replica == NULL) {
        history->replicas = memory_resize(history->replicas, (history->replicas_count + 1) *
                                                                 sizeof(history->replicas[0]));
        replica = &history->replicas[history->replicas_count++];
        *replica = (struct noted_replica){.ref = record->ref,
                                          .is_blurred = record->previous_ticks > ticks_max};
    }
    return replica;
}

/* What a change tells of the total at `ticks_max`; false: it is of no counter. */
static bool take_change(const struct change *change, uint64_t ticks_max, struct noted *told) {
    *told = (struct noted){.is_final = stamp_ticks(change->stamp) > ticks_max};
    if (change->kind == CHANGE_COUNTER) {
        told->total.total = change->total;
        told->is_unknown =
            told->is_final &&
            __builtin_sub_overflow(change->total, change->increment, &told->total.total);
        return true;
    }
    long double increment = 0;
    told->total.is_float = true;
    if (change->kind != CHANGE_FLOAT_COUNTER ||
        !number_parse_float(change->value, &told->total.float_total)) {
        return false;
    }
    told->is_unknown = told->is_final && !number_parse_float(change->float_increment, &increment);
    told->total.float_total -= told->is_final ? increment : 0;
    return true;
}

void counter_history_note(struct counter_history *history, const struct stream_record *record,
                          uint64_t ticks_max) {
    struct change_reader reader;
    struct change change;
    struct noted told;
    struct noted_replica *replica = add_replica(history, record, ticks_max);
    replica->is_blurred |= record->previous_ticks < ticks_max && record->last_ticks > ticks_max;
    if (replica->is_blurred || !change_reader_init(&reader, record->batch, 1)) {
        return;
    }
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        struct counter_place place = {.ref = record->ref,
                                      .number = change.db,
                                      .type = change.type,
                                      .key = change.key,
                                      .element = change.element,
                                      .start_ticks = change.start_ticks};
        /* What began later, the mesh has nothing of. */
        if (take_change(&change, ticks_max, &told) && change.start_ticks <= ticks_max) {
            note(history, &place, &told);
        }
    }
}

bool counter_history_find(struct counter_history *history, const struct counter_place *place,
                          struct counter_total *total) {
    uint64_t hash, check;
    const struct noted_replica *replica = find_replica(history, place->ref);
    if (replica == NULL || replica->is_blurred) {
        return false;
    }
    const struct noted *noted = find(history, place, &hash, &check);
    *total = noted->total;
    return noted->hash != 0 && !noted->is_unknown;
}
