/* SPDX-License-Identifier: BSD-3-Clause */
#include "log/replicas_record.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/mutation.h"
#include "base/varint.h"
#include "log/record.h"
#include "store/databases.h"

static_assert((int)RECORD_NODE_ID_BYTES == (int)REPLICA_NODE_ID_BYTES, "one kind of node id");

enum {
    FLAG_ALONE = 1,
    FLAG_ENDED = 2,
    FLAG_BORN = 4,
    FLAG_DEPARTED = 8,
    FLAG_NOTED = 16,
    FLAG_MAKERS = 32,
    FLAGS_ALL = 63
};

/* ---- writing ---- */

static void put_marks(struct buffer *out, const struct replica *replica) {
    uint64_t count = 0;
    for (unsigned slot = 0; slot < replica->mark_count; slot++) {
        count += replica->mark[slot] != 0;
    }
    codec_put_varint(out, count);
    for (unsigned slot = 0; slot < replica->mark_count; slot++) {
        if (replica->mark[slot] != 0) {
            codec_put_varint(out, slot);
            codec_put_varint(out, stamp_ticks(replica->mark[slot]));
        }
    }
}

static void put_order(struct buffer *out, const struct store *store) {
    bool is_by_number = true;
    for (unsigned db = 0; db < store->dbs_count; db++) {
        is_by_number = is_by_number && store->dbs[db].number == db;
    }
    codec_put_u64(out, store->order_stamp);
    struct buffer order = {0};
    if (!is_by_number || store->order_stamp != 0) {
        databases_put_order(store, &order);
    }
    codec_put_varint(out, order.size);
    buffer_append_slice(out, buffer_slice(&order));
    buffer_deinit(&order);
}

static void put_departed(struct buffer *out, const struct replicas *replicas) {
    codec_put_varint(out, replicas->departed_count);
    for (size_t i = 0; i < replicas->departed_count; i++) {
        const struct departed_life *life = &replicas->departed[i];
        buffer_append(out, life->id.node, REPLICA_NODE_ID_BYTES);
        codec_put_varint(out, life->id.generation);
        codec_put_varint(out, life->is_forgotten ? 0 : life->left_ticks + 1);
    }
    for (size_t i = 0; i < replicas->departed_count; i++) {
        codec_put_varint(out, replicas->departed[i].unix_ms);
    }
}

static unsigned count_present(const struct replicas *replicas) {
    unsigned count = 0;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        count += replicas->slots[slot].ref != 0;
    }
    return count;
}

uint64_t replicas_record_known_count(const struct replicas *replicas) {
    return count_present(replicas) + replicas->retired_count;
}

void replicas_record_put(struct buffer *out, const struct store *store,
                         const struct context *context, bool has_marks) {
    const struct replicas *replicas = &store->replicas;
    static const struct replica unmarked;
    bool has_ended = replicas->ended_count > 0, has_born = replicas->retired_count > 0;
    bool has_departed = replicas->departed_count > 0;
    buffer_append_byte(
        out,
        (uint8_t)((store->is_alone ? FLAG_ALONE : 0) | (has_ended ? FLAG_ENDED | FLAG_MAKERS : 0) |
                  (has_born ? FLAG_BORN : 0) | (has_departed ? FLAG_DEPARTED | FLAG_NOTED : 0)));
    codec_put_varint(out, count_present(replicas));
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        const struct replica *replica = &replicas->slots[slot];
        if (replica->ref == 0) {
            continue;
        }
        codec_put_varint(out, slot);
        buffer_append(out, replica->id.node, REPLICA_NODE_ID_BYTES);
        codec_put_varint(out, replica->id.generation);
        codec_put_varint(out, stamp_ticks(context->stamps[slot]));
        put_marks(out, has_marks ? replica : &unmarked);
    }
    codec_put_varint(out, replicas->self);
    codec_put_varint(out, replicas->retired_count);
    for (size_t i = 0; i < replicas->retired_count; i++) {
        codec_put_u64(out, replicas->retired[i].ref);
        codec_put_varint(out, replicas->retired[i].ticks);
    }
    put_order(out, store);
    if (has_ended) {
        replicas_put_ends(out, replicas);
    }
    for (size_t i = 0; i < replicas->retired_count; i++) {
        codec_put_varint(out, replicas->retired[i].born_ticks);
    }
    if (has_departed) {
        put_departed(out, replicas);
    }
}

/* ---- reading ---- */

static bool take_slot(struct slice *bytes, unsigned *slot) {
    uint64_t value;
    if (!varint_take(bytes, &value) || value == STAMP_SLOT_SETTLED || value >= STAMP_SLOTS_COUNT) {
        return false;
    }
    *slot = (unsigned)value;
    return true;
}

static bool take_ticks(struct slice *bytes, uint64_t *ticks) {
    return varint_take(bytes, ticks) && *ticks <= STAMP_TICKS_ACCEPTED_MAX;
}

static bool take_node_and_generation(struct slice *bytes, struct replica_id *id) {
    if (bytes->size < REPLICA_NODE_ID_BYTES) {
        return false;
    }
    memcpy(id->node, bytes->data, REPLICA_NODE_ID_BYTES);
    *bytes = slice_skip(*bytes, REPLICA_NODE_ID_BYTES);
    return varint_take(bytes, &id->generation);
}

static bool take_entry(struct slice *bytes, struct replicas_record_entry *entry) {
    if (!take_slot(bytes, &entry->slot) || !take_node_and_generation(bytes, &entry->id) ||
        !take_ticks(bytes, &entry->ticks) || !varint_take(bytes, &entry->marks_count)) {
        return false;
    }
    entry->ref = replica_ref(&entry->id);
    struct slice rest = *bytes;
    for (uint64_t i = 0; i < entry->marks_count; i++) {
        unsigned slot;
        uint64_t ticks;
        if (!take_slot(&rest, &slot) || !take_ticks(&rest, &ticks)) {
            return false;
        }
    }
    entry->marks = slice_make(bytes->data, bytes->size - rest.size);
    *bytes = rest;
    return true;
}

bool replicas_record_next_retired(struct slice *retired, struct slice *born,
                                  struct retired_replica *replica) {
    replica->born_ticks = 0;
    return codec_take_u64(retired, &replica->ref) && take_ticks(retired, &replica->ticks) &&
           (born->size == 0 || take_ticks(born, &replica->born_ticks));
}

bool replicas_record_next_departed(struct slice *departed, struct slice *noted,
                                   struct departed_life *life) {
    uint64_t word;
    *life = (struct departed_life){0};
    if (!take_node_and_generation(departed, &life->id) || !varint_take(departed, &word) ||
        (noted->size > 0 && !varint_take(noted, &life->unix_ms))) {
        return false;
    }
    life->is_forgotten = word == 0;
    life->left_ticks = word == 0 ? 0 : word - 1;
    return life->left_ticks <= STAMP_TICKS_ACCEPTED_MAX;
}

static bool take_ends(struct slice *bytes, struct replicas_record *record) {
    record->ends = *bytes;
    return replicas_take_ends(bytes, record->has_makers, NULL);
}

static bool take_departed(struct slice *bytes, bool has_noted, struct replicas_record *record) {
    if (!varint_take(bytes, &record->departed_count) ||
        record->departed_count > REPLICA_DEPARTED_MAX) {
        return false;
    }
    struct slice rest = *bytes, nothing = {0};
    for (uint64_t i = 0; i < record->departed_count; i++) {
        struct departed_life life;
        if (!replicas_record_next_departed(&rest, &nothing, &life)) {
            return false;
        }
    }
    record->departed = slice_make(bytes->data, bytes->size - rest.size);
    *bytes = rest;
    for (uint64_t i = 0; i < record->departed_count && has_noted; i++) {
        uint64_t unix_ms;
        if (!varint_take(&rest, &unix_ms)) {
            return false;
        }
    }
    record->noted = slice_make(bytes->data, bytes->size - rest.size);
    *bytes = rest;
    return true;
}

static bool take_born(struct slice *bytes, struct replicas_record *record) {
    struct slice rest = *bytes;
    for (uint64_t i = 0; i < record->retired_count; i++) {
        uint64_t ticks;
        if (!take_ticks(&rest, &ticks)) {
            return false;
        }
    }
    record->born = slice_make(bytes->data, bytes->size - rest.size);
    *bytes = rest;
    return true;
}

static bool take_rest(struct slice *bytes, struct replicas_record *record) {
    uint64_t self;
    if (!varint_take(bytes, &self) || self == STAMP_SLOT_SETTLED || self >= STAMP_SLOTS_COUNT ||
        !varint_take(bytes, &record->retired_count) ||
        record->retired_count > REPLICA_RETIRED_MAX) {
        return false;
    }
    record->self = (unsigned)self;
    struct slice rest = *bytes, no_born = {0};
    for (uint64_t i = 0; i < record->retired_count; i++) {
        struct retired_replica replica;
        if (!replicas_record_next_retired(&rest, &no_born, &replica) || replica.ref == 0) {
            return false;
        }
    }
    record->retired = slice_make(bytes->data, bytes->size - rest.size);
    *bytes = rest;
    return codec_take_u64(bytes, &record->order_stamp) &&
           stamp_ticks(record->order_stamp) <= STAMP_TICKS_ACCEPTED_MAX &&
           varint_take_slice(bytes, &record->order);
}

bool replicas_record_take(struct slice *bytes, struct replicas_record *record) {
    uint64_t count;
    *record = (struct replicas_record){0};
    if (bytes->size == 0 || (bytes->data[0] & ~FLAGS_ALL) != 0) {
        return false;
    }
    record->is_alone = (bytes->data[0] & FLAG_ALONE) != 0;
    bool has_ended = (bytes->data[0] & FLAG_ENDED) != 0;
    bool has_born = (bytes->data[0] & FLAG_BORN) != 0;
    bool has_departed = (bytes->data[0] & FLAG_DEPARTED) != 0;
    bool has_noted = (bytes->data[0] & FLAG_NOTED) != 0;
    record->has_makers = (bytes->data[0] & FLAG_MAKERS) != 0;
    *bytes = slice_skip(*bytes, 1);
    if (!varint_take(bytes, &count) || count >= STAMP_SLOTS_COUNT) {
        return false;
    }
    record->entries = memory_alloc_zero((count + 1) * sizeof(record->entries[0]));
    bool is_good = true;
    for (uint64_t i = 0; i < count && is_good; i++) {
        is_good = take_entry(bytes, &record->entries[i]) &&
                  (i == 0 || record->entries[i].slot > record->entries[i - 1].slot);
        record->count++;
    }
    if (!is_good || !take_rest(bytes, record) || (has_ended && !take_ends(bytes, record)) ||
        (has_born && !take_born(bytes, record)) ||
        (has_departed && !take_departed(bytes, has_noted, record))) {
        replicas_record_deinit(record);
        return false;
    }
    return true;
}

void replicas_record_deinit(struct replicas_record *record) {
    memory_free(record->entries);
    *record = (struct replicas_record){0};
}

/* ---- into the store ---- */

static bool record_has_retired(const struct replicas_record *record, uint64_t ref) {
    struct slice retired = record->retired, born = record->born;
    struct retired_replica replica;
    while (replicas_record_next_retired(&retired, &born, &replica)) {
        if (replica.ref == ref) {
            return true;
        }
    }
    return false;
}

static const struct replicas_record_entry *entry_at(const struct replicas_record *record,
                                                    unsigned slot) {
    for (unsigned i = 0; i < record->count; i++) {
        if (record->entries[i].slot == slot) {
            return &record->entries[i];
        }
    }
    return NULL;
}

/* A lone node's own life takes the place of the one before: nobody has seen that. */
static bool is_lone_renaming(const struct replicas_record *record,
                             const struct replicas *replicas) {
    return record->count == 1 && record->retired_count == 0 &&
           replicas_record_known_count(replicas) == 1 &&
           record->entries[0].slot == replicas->slots_count - 1;
}

/* Is each replica that the store knows where it was, or retired? Those stay here, too, with their
 * slot, which nobody gets before a snapshot is without them: what was settled then is not settled
 * here. They are retired again in due course. */
static bool has_place_for_all(const struct replicas_record *record,
                              const struct replicas *replicas) {
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        uint64_t ref = replicas->slots[slot].ref;
        const struct replicas_record_entry *entry = entry_at(record, slot);
        bool is_there =
            ref == 0 || (entry != NULL ? entry->ref == ref : record_has_retired(record, ref));
        if (!is_there) {
            return false;
        }
    }
    return true;
}

static const char *take_table(const struct replicas_record *record, struct store *store) {
    static const char *const mismatch = "its table of replicas is not the one that was before it";
    struct replicas *replicas = &store->replicas;
    if (record->count > 0 && entry_at(record, record->self) == NULL) {
        return "its table of replicas lacks the node itself";
    }
    if (is_lone_renaming(record, replicas)) {
        replicas_rename(replicas, record->self, &record->entries[0].id);
        replicas->self = record->self;
        return NULL;
    }
    replicas->self = record->self;
    if (!has_place_for_all(record, replicas)) {
        return mismatch;
    }
    for (unsigned i = 0; i < record->count; i++) {
        if (!replicas_add_at(replicas, record->entries[i].slot, &record->entries[i].id)) {
            return mismatch;
        }
    }
    struct slice retired = record->retired, born = record->born;
    struct retired_replica replica;
    while (replicas_record_next_retired(&retired, &born, &replica)) {
        replicas_note_retired(replicas, &replica);
    }
    struct slice ends = record->ends;
    bool is_good = ends.size == 0 || replicas_take_ends(&ends, record->has_makers, replicas);
    ensure(is_good);
    return NULL;
}

/* All of them, as they were then: one that came back is departed no more. */
static void take_over_departed(const struct replicas_record *record, struct replicas *replicas) {
    struct slice departed = record->departed, noted = record->noted;
    struct departed_life life;
    replicas_clear_departed(replicas);
    while (replicas_record_next_departed(&departed, &noted, &life)) {
        replicas_note_departed(replicas, &life);
    }
}

const char *replicas_record_apply(const struct replicas_record *record, struct store *store) {
    const char *why = take_table(record, store);
    if (why != NULL) {
        return why;
    }
    take_over_departed(record, &store->replicas);
    /* What comes next was applied in this way when it was recorded. */
    store->is_alone = record->is_alone && replicas_record_known_count(&store->replicas) <= 1;
    if (record->order_stamp > store->order_stamp) {
        if (!databases_check_order(store, record->order)) {
            return "its order of databases goes beyond `databases`";
        }
        databases_take_order(store, record->order_stamp, record->order);
    }
    return NULL;
}

const char *replicas_record_load(const struct replicas_record *record, struct store *store) {
    const char *why = replicas_record_apply(record, store);
    for (unsigned i = 0; i < record->count && why == NULL; i++) {
        const struct replicas_record_entry *entry = &record->entries[i];
        if (entry->ticks > 0 && !mutation(LOST_CONTEXT)) {
            context_add(&store->context, stamp_make(entry->ticks, entry->slot));
        }
        hybrid_clock_observe(&store->clock, entry->ticks);
        struct slice marks = entry->marks;
        for (uint64_t j = 0; j < entry->marks_count; j++) {
            unsigned slot;
            uint64_t ticks;
            if (!take_slot(&marks, &slot) || !take_ticks(&marks, &ticks)) {
                impossible("the marks were read before");
            }
            replicas_raise_mark(&store->replicas, entry->slot, stamp_make(ticks, slot));
        }
    }
    return why;
}
