/* SPDX-License-Identifier: BSD-3-Clause */
#include "crdt/replica.h"

#include <assert.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"

uint64_t replica_ref(const struct replica_id *id) {
    /* Fixed seeds: every node must come to the same name. */
    static const struct hash_seed seed = {0x13198A2E03707344ULL, 0xA4093822299F31D0ULL};
    char bytes[REPLICA_NODE_ID_BYTES + 8];
    memcpy(bytes, id->node, REPLICA_NODE_ID_BYTES);
    for (int i = 0; i < 8; i++) {
        bytes[REPLICA_NODE_ID_BYTES + i] = (char)(id->generation >> (8 * i));
    }
    uint64_t ref = hash_bytes(seed, slice_make(bytes, sizeof(bytes)));
    return ref != 0 ? ref : 1;
}

uint64_t replica_born_ticks(const struct replica_id *id) {
    uint64_t epoch = (uint64_t)STAMP_EPOCH_MS;
    uint64_t latest = (STAMP_TICKS_ACCEPTED_MAX >> STAMP_COUNTER_BITS) + epoch;
    bool is_time = (id->generation & 1) == 0;
    return is_time && id->generation > epoch && id->generation <= latest
               ? (id->generation - epoch) << STAMP_COUNTER_BITS
               : 0;
}

void replicas_init(struct replicas *replicas) {
    *replicas = (struct replicas){
        .slots_count = 1, .self = STAMP_SLOT_SELF, .authors = packed_authors_new()};
}

void replicas_deinit(struct replicas *replicas) {
    for (unsigned slot = 0; slot < replicas->slots_count && replicas->slots != NULL; slot++) {
        memory_free(replicas->slots[slot].mark);
    }
    memory_free(replicas->slots);
    memory_free(replicas->retired);
    memory_free(replicas->ended);
    memory_free(replicas->makers_seen);
    memory_free(replicas->departed);
    memory_free(replicas->index);
    packed_authors_free(replicas->authors);
    *replicas = (struct replicas){0};
}

/* ---- the index ---- */

static_assert(STAMP_SLOTS_COUNT <= UINT16_MAX, "slots fit into the index");

/* Refs are hashes already. */
static void index_put(struct replicas *replicas, unsigned slot) {
    unsigned mask = replicas->index_capacity - 1;
    unsigned at = (unsigned)replicas->slots[slot].ref & mask;
    while (replicas->index[at] != 0) {
        at = (at + 1) & mask;
    }
    replicas->index[at] = (uint16_t)slot;
    replicas->index_used++;
}

static void index_rebuild(struct replicas *replicas, unsigned capacity) {
    memory_free(replicas->index);
    replicas->index = memory_alloc_zero(capacity * sizeof(replicas->index[0]));
    replicas->index_capacity = capacity;
    replicas->index_used = 0;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (replicas->slots[slot].ref != 0) {
            index_put(replicas, slot);
        }
    }
}

static void index_add(struct replicas *replicas, unsigned slot) {
    if (2 * (replicas->index_used + 1) <= replicas->index_capacity) {
        index_put(replicas, slot);
        return;
    }
    unsigned capacity = 8;
    while (capacity < 4 * replicas->slots_count) {
        capacity *= 2;
    }
    index_rebuild(replicas, capacity);
}

/* ---- slots ---- */

static void replicas_reserve(struct replicas *replicas, unsigned slot) {
    if (slot >= replicas->slots_capacity) {
        unsigned capacity = replicas->slots_capacity == 0 ? 4 : 2 * replicas->slots_capacity;
        while (capacity <= slot) {
            capacity *= 2;
        }
        replicas->slots = memory_resize(replicas->slots, capacity * sizeof(replicas->slots[0]));
        memset(replicas->slots + replicas->slots_capacity, 0,
               (capacity - replicas->slots_capacity) * sizeof(replicas->slots[0]));
        replicas->slots_capacity = capacity;
    }
    if (slot >= replicas->slots_count) {
        replicas->slots_count = slot + 1;
    }
}

unsigned replicas_find(const struct replicas *replicas, uint64_t ref) {
    unsigned mask = replicas->index_capacity - 1, at = (unsigned)ref & mask;
    if (replicas->index_capacity == 0 || ref == 0) {
        return 0;
    }
    while (replicas->index[at] != 0) {
        if (replicas->slots[replicas->index[at]].ref == ref) {
            return replicas->index[at];
        }
        at = (at + 1) & mask;
    }
    return 0;
}

static const struct ended_replica *find_ended(const struct replicas *replicas, uint64_t ref) {
    for (size_t i = replicas->ended_count; i-- > 0;) {
        if (replicas->ended[i].ref == ref) {
            return &replicas->ended[i];
        }
    }
    return NULL;
}

/* A slot says of its replica whether it is ended, so that nobody has to look that up. */
static void mark_ended(struct replicas *replicas, unsigned slot) {
    struct replica *replica = &replicas->slots[slot];
    const struct ended_replica *ended = find_ended(replicas, replica->ref);
    replica->is_ended = ended != NULL;
    replica->ended_ticks = ended != NULL ? ended->ticks : 0;
    replica->made_ticks = ended != NULL ? ended->made_ticks : 0;
    replica->made_from_ticks = ended != NULL ? ended->made_from_ticks : 0;
    replica->maker_ref = ended != NULL ? ended->maker_ref : 0;
}

/* Likewise, whether it is noted as retired. */
static void mark_retired(struct replicas *replicas, unsigned slot) {
    struct replica *replica = &replicas->slots[slot];
    const struct retired_replica *retired = replicas_find_retired(replicas, replica->ref);
    replica->is_retired = retired != NULL;
    replica->retired_ticks = retired != NULL ? retired->ticks : 0;
}

static void replicas_put(struct replicas *replicas, unsigned slot, const struct replica_id *id,
                         uint64_t ref) {
    replicas_reserve(replicas, slot);
    require(replicas->slots[slot].ref == 0);
    replicas->slots[slot] = (struct replica){.id = *id, .ref = ref};
    index_add(replicas, slot);
    mark_ended(replicas, slot);
    mark_retired(replicas, slot);
    replicas->version++;
}

unsigned replicas_add(struct replicas *replicas, const struct replica_id *id) {
    uint64_t ref = replica_ref(id);
    unsigned slot = replicas_find(replicas, ref);
    if (slot != 0) {
        return slot;
    }
    for (slot = 1; slot < replicas->slots_count; slot++) {
        if (replicas->slots[slot].ref == 0 && replicas->slots[slot].held_version == 0) {
            break;
        }
    }
    if (slot >= STAMP_SLOTS_COUNT) {
        return 0;
    }
    replicas_put(replicas, slot, id, ref);
    return slot;
}

bool replicas_add_at(struct replicas *replicas, unsigned slot, const struct replica_id *id) {
    uint64_t ref = replica_ref(id);
    if (slot == STAMP_SLOT_SETTLED || slot >= STAMP_SLOTS_COUNT) {
        return false;
    }
    unsigned found = replicas_find(replicas, ref);
    if (found != 0) {
        return found == slot;
    }
    if (slot < replicas->slots_count && replicas->slots[slot].ref != 0) {
        return false;
    }
    replicas_put(replicas, slot, id, ref);
    return true;
}

void replicas_rename(struct replicas *replicas, unsigned slot, const struct replica_id *id) {
    require(slot < replicas->slots_count);
    replicas->slots[slot].id = *id;
    replicas->slots[slot].ref = replica_ref(id);
    index_add(replicas, slot);
    mark_ended(replicas, slot);
    mark_retired(replicas, slot);
    replicas->version++;
}

const struct retired_replica *replicas_find_retired(const struct replicas *replicas, uint64_t ref) {
    for (size_t i = replicas->retired_count; i-- > 0;) {
        if (replicas->retired[i].ref == ref) {
            return &replicas->retired[i];
        }
    }
    return NULL;
}

static void note_retired(struct replicas *replicas, const struct retired_replica *retired) {
    const struct ended_replica *ended = find_ended(replicas, retired->ref);
    uint64_t ticks = retired->ticks;
    if (ended != NULL && ticks > ended->ticks) {
        ticks = ended->ticks; /* who retired it later was somebody who had seen what is void */
    }
    for (size_t i = 0; i < replicas->retired_count; i++) {
        struct retired_replica *known = &replicas->retired[i];
        if (known->ref == retired->ref) {
            if (known->born_ticks == 0) {
                known->born_ticks = retired->born_ticks;
            }
            if (ticks > known->ticks) {
                known->ticks = ticks;
                replicas->version++;
            }
            return;
        }
    }
    if (replicas->retired_count == REPLICA_RETIRED_MAX) {
        memmove(replicas->retired, replicas->retired + 1,
                (REPLICA_RETIRED_MAX - 1) * sizeof(replicas->retired[0]));
        replicas->retired_count--;
    }
    replicas->retired = memory_resize(replicas->retired,
                                      (replicas->retired_count + 1) * sizeof(replicas->retired[0]));
    replicas->retired[replicas->retired_count++] = (struct retired_replica){
        .ref = retired->ref, .ticks = ticks, .born_ticks = retired->born_ticks};
    replicas->version++;
}

void replicas_note_retired(struct replicas *replicas, const struct retired_replica *retired) {
    unsigned slot = replicas_find(replicas, retired->ref);
    note_retired(replicas, retired);
    if (slot != 0) {
        mark_retired(replicas, slot);
    }
}

void replicas_limit_retired(struct replicas *replicas, const struct retired_replica *limit) {
    unsigned slot = replicas_find(replicas, limit->ref);
    for (size_t i = 0; i < replicas->retired_count; i++) {
        struct retired_replica *retired = &replicas->retired[i];
        if (retired->ref == limit->ref && retired->ticks > limit->ticks) {
            retired->ticks = limit->ticks;
            replicas->version++;
        }
    }
    if (slot != 0) {
        mark_retired(replicas, slot);
    }
}

/* Whoever retired it had perhaps seen more; of that nothing is to be told. */
static void ended_changed(struct replicas *replicas, uint64_t ref) {
    unsigned slot = replicas_find(replicas, ref);
    const struct ended_replica *ended = find_ended(replicas, ref);
    if (slot != 0) {
        mark_ended(replicas, slot);
    }
    for (size_t i = 0; i < replicas->retired_count && ended != NULL; i++) {
        struct retired_replica *retired = &replicas->retired[i];
        if (retired->ref == ref && retired->ticks > ended->ticks) {
            retired->ticks = ended->ticks;
        }
    }
    if (slot != 0) {
        mark_retired(replicas, slot);
    }
    replicas->version++;
}

void replicas_note_ended(struct replicas *replicas, const struct ended_replica *end) {
    for (size_t i = 0; i < replicas->ended_count; i++) {
        struct ended_replica *known = &replicas->ended[i];
        if (known->ref == end->ref) {
            bool is_news = end->ticks < known->ticks || end->made_ticks > known->made_ticks;
            known->ticks = end->ticks < known->ticks ? end->ticks : known->ticks;
            if (end->made_ticks > known->made_ticks ||
                (end->made_ticks == known->made_ticks && known->maker_ref == 0)) {
                known->made_ticks = end->made_ticks;
                known->made_from_ticks = end->made_from_ticks;
                known->maker_ref = end->maker_ref;
            }
            if (is_news) {
                ended_changed(replicas, end->ref);
            }
            return;
        }
    }
    if (replicas->ended_count == REPLICA_ENDED_MAX) {
        replicas_drop_ended(replicas, replicas->ended[0].ref);
    }
    replicas->ended =
        memory_resize(replicas->ended, (replicas->ended_count + 1) * sizeof(replicas->ended[0]));
    replicas->ended[replicas->ended_count++] = *end;
    ended_changed(replicas, end->ref);
}

void replicas_drop_ended(struct replicas *replicas, uint64_t ref) {
    for (size_t i = 0; i < replicas->ended_count; i++) {
        if (replicas->ended[i].ref == ref) {
            replicas->ended_count--;
            memmove(replicas->ended + i, replicas->ended + i + 1,
                    (replicas->ended_count - i) * sizeof(replicas->ended[0]));
            ended_changed(replicas, ref);
            return;
        }
    }
}

/* ---- departed lives ---- */

static size_t departed_place(const struct replicas *replicas, const uint8_t *node) {
    size_t place = 0;
    while (place < replicas->departed_count &&
           memcmp(replicas->departed[place].id.node, node, REPLICA_NODE_ID_BYTES) != 0) {
        place++;
    }
    return place;
}

static void departed_changed(struct replicas *replicas) {
    replicas->departed_version++;
    replicas->version++;
}

static void remove_departed(struct replicas *replicas, size_t place) {
    replicas->departed_count--;
    memmove(replicas->departed + place, replicas->departed + place + 1,
            (replicas->departed_count - place) * sizeof(replicas->departed[0]));
}

/* The oldest one that no slot of this table, and so no log, brings back. */
static size_t departed_to_drop(const struct replicas *replicas) {
    for (size_t i = 0; i < replicas->departed_count; i++) {
        if (replicas_find(replicas, replica_ref(&replicas->departed[i].id)) == 0) {
            return i;
        }
    }
    return 0;
}

const struct departed_life *replicas_find_departed(const struct replicas *replicas,
                                                   const uint8_t node[REPLICA_NODE_ID_BYTES]) {
    size_t place = departed_place(replicas, node);
    return place < replicas->departed_count ? &replicas->departed[place] : NULL;
}

void replicas_note_departed(struct replicas *replicas, const struct departed_life *departed) {
    size_t place = departed_place(replicas, departed->id.node);
    if (place < replicas->departed_count) {
        const struct departed_life *known = &replicas->departed[place];
        bool is_news = departed->id.generation > known->id.generation ||
                       (departed->id.generation == known->id.generation && !known->is_forgotten &&
                        departed->is_forgotten);
        if (!is_news) {
            return;
        }
        remove_departed(replicas, place);
    } else if (replicas->departed_count == REPLICA_DEPARTED_MAX) {
        remove_departed(replicas, departed_to_drop(replicas));
    }
    replicas->departed = memory_resize(replicas->departed, (replicas->departed_count + 1) *
                                                               sizeof(replicas->departed[0]));
    replicas->departed[replicas->departed_count++] = *departed;
    departed_changed(replicas);
}

void replicas_drop_departed(struct replicas *replicas, const struct replica_id *id) {
    size_t place = departed_place(replicas, id->node);
    if (place < replicas->departed_count &&
        replicas->departed[place].id.generation <= id->generation) {
        remove_departed(replicas, place);
        departed_changed(replicas);
    }
}

void replicas_clear_departed(struct replicas *replicas) {
    if (replicas->departed_count > 0) {
        replicas->departed_count = 0;
        departed_changed(replicas);
    }
}

/* ---- void changes ---- */

bool replicas_is_unmade(const struct replicas *replicas, uint64_t stamp) {
    return replicas_is_void(replicas, stamp) && replicas_is_of_self(replicas, stamp_slot(stamp)) &&
           stamp_ticks(stamp) > replicas->slots[stamp_slot(stamp)].made_ticks;
}

bool replicas_has_void(const struct replicas *replicas, const struct context *context) {
    for (unsigned slot = 1; slot < replicas->slots_count && replicas->ended_count > 0; slot++) {
        if (replicas_is_void(replicas, context->stamps[slot])) {
            return true;
        }
    }
    return false;
}

bool replicas_has_unmade(const struct replicas *replicas, const struct context *context) {
    for (unsigned slot = 1; slot < replicas->slots_count && replicas->ended_count > 0; slot++) {
        if (replicas_is_unmade(replicas, context->stamps[slot])) {
            return true;
        }
    }
    return false;
}

void replicas_pass_void(const struct replicas *replicas, const struct context *seen,
                        struct context *context) {
    for (unsigned slot = 1; slot < replicas->slots_count && replicas->ended_count > 0; slot++) {
        if (replicas_is_void(replicas, seen->stamps[slot])) {
            context->stamps[slot] = seen->stamps[slot];
        }
    }
}

bool replicas_clip_void(const struct replicas *replicas, struct context *context) {
    bool was_any = false;
    for (unsigned slot = 1; slot < replicas->slots_count && replicas->ended_count > 0; slot++) {
        if (replicas_is_void(replicas, context->stamps[slot])) {
            uint64_t ticks = replicas->slots[slot].ended_ticks;
            context->stamps[slot] = ticks > 0 ? stamp_make(ticks, slot) : 0;
            was_any = true;
        }
    }
    return was_any;
}

void replicas_retire(struct replicas *replicas, unsigned slot, uint64_t ticks) {
    require(slot != replicas->self);
    require(slot < replicas->slots_count);
    require(replicas->slots[slot].ref != 0);
    struct retired_replica retired = {.ref = replicas->slots[slot].ref,
                                      .ticks = ticks,
                                      .born_ticks = replica_born_ticks(&replicas->slots[slot].id)};
    replicas_note_retired(replicas, &retired);
    memory_free(replicas->slots[slot].mark);
    replicas->version++;
    replicas->slots[slot] = (struct replica){.held_version = replicas->version};
    for (unsigned other = 1; other < replicas->slots_count; other++) {
        struct replica *replica = &replicas->slots[other];
        if (slot < replica->mark_count) {
            replica->mark[slot] = 0;
        }
    }
}

unsigned replicas_release(struct replicas *replicas, uint64_t version_max) {
    unsigned held_count = 0;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        struct replica *replica = &replicas->slots[slot];
        if (replica->held_version > version_max) {
            held_count++;
        } else {
            replica->held_version = 0;
        }
    }
    return held_count;
}

void replicas_raise_mark(struct replicas *replicas, unsigned slot, uint64_t stamp) {
    require(slot < replicas->slots_count);
    struct replica *replica = &replicas->slots[slot];
    unsigned seen = stamp_slot(stamp);
    if (seen >= replica->mark_count) {
        replica->mark = memory_resize(replica->mark, (seen + 1) * sizeof(replica->mark[0]));
        memset(replica->mark + replica->mark_count, 0,
               (seen + 1 - replica->mark_count) * sizeof(replica->mark[0]));
        replica->mark_count = seen + 1;
    }
    if (stamp > replica->mark[seen]) {
        replica->mark[seen] = stamp;
    }
}

int replicas_compare_stamps(const struct replicas *replicas, uint64_t a, uint64_t b) {
    uint64_t a_ticks = stamp_ticks(a), b_ticks = stamp_ticks(b);
    if (a_ticks != b_ticks) {
        return a_ticks < b_ticks ? -1 : 1;
    }
    if (a == b) {
        return 0;
    }
    unsigned a_slot = stamp_slot(a), b_slot = stamp_slot(b);
    uint64_t a_ref =
        a_slot < replicas->slots_count && a_slot != 0 ? replicas->slots[a_slot].ref : 0;
    uint64_t b_ref =
        b_slot < replicas->slots_count && b_slot != 0 ? replicas->slots[b_slot].ref : 0;
    return a_ref < b_ref ? -1 : a_ref > b_ref;
}
