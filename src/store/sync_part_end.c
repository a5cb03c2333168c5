/* SPDX-License-Identifier: BSD-3-Clause */
/* A part that came whole: it is merged, and what it tells of replicas is kept. */
#include "store/databases.h"
#include "store/sync_elements.h"
#include "store/sync_state.h"

/* ---- merging a whole part ---- */

struct state_merge sync_merge_of(struct sync *sync, const struct sync_part *part) {
    return (struct state_merge){.store = sync->store,
                                .seen_here = &sync->seen,
                                .settled_ticks_here = part->intake->settled_ticks_here,
                                .seen_there = part->context,
                                .seen_there_count = part->context_count,
                                .settled_ticks_there = part->intake->settled_ticks_there,
                                .has_unseen_there = part->intake->settled_ticks_here != UINT64_MAX,
                                .is_retired_there = part->intake->is_retired_there};
}

/* The greater of the stamps of two entries, either of which may be NULL: then it counts as 0. */
static uint64_t newer_stamp(const struct store *store, const struct entry *a,
                            const struct entry *b) {
    uint64_t a_stamp = a != NULL ? a->stamp : 0, b_stamp = b != NULL ? b->stamp : 0;
    return replicas_compare_stamps(&store->replicas, a_stamp, b_stamp) > 0 ? a_stamp : b_stamp;
}

/* Spells both sides out; `there` may be NULL. */
static bool part_merge_deep(struct sync *sync, const struct state_merge *merge,
                            const struct key *at, struct store *staged) {
    struct store *store = sync->store;
    struct key key = sync_keep_key(&sync->key_scratch, at);
    uint64_t *here = mutate_slot(store, &key);
    uint64_t *there = staged == NULL ? NULL : mutate_slot(staged, &key);
    uint64_t stamp = newer_stamp(store, here != NULL ? table_item(*here) : NULL,
                                 there != NULL ? table_item(*there) : NULL);
    struct contested *theirs = there == NULL ? NULL : contested_open(staged, &key, there);
    struct contested *ours = contested_open(store, &key, here);
    state_merge_retire(merge, ours, staged, theirs);
    bool is_done = sync_merge_collections(merge, key.db, ours, staged, theirs) &&
                   state_merge_elements(merge, ours, theirs);
    contested_close(store, &key, stamp);
    here = mutate_slot(store, &key);
    if (here != NULL && entry_kind(table_item(*here)) == ENTRY_COLLECTION) {
        collection_finish(store, entry_collection(table_item(*here)), 0);
    }
    sync->stats.keys_merged++;
    return is_done;
}

static bool part_merge_absent(struct sync *sync, struct sync_part *part, const struct key *key) {
    struct sync_intake *intake = part->intake;
    struct store *store = sync->store;
    if (mutate_slot(&intake->staged, key) != NULL) {
        return true;
    }
    uint64_t *slot = mutate_slot(store, key);
    struct state_merge merge = sync_merge_of(sync, part);
    switch (state_merge_quick(&merge, table_item(*slot), NULL)) {
    case STATE_MERGE_KEEP:
        return true;
    case STATE_MERGE_DROP:
        sync->stats.keys_removed++;
        mutate_remove(store, key, slot);
        return true;
    case STATE_MERGE_DEEP:
        return part_merge_deep(sync, &merge, key, NULL);
    case STATE_MERGE_TAKE:
        break;
    }
    impossible("there is nothing to take");
}

static bool part_merge_staged(struct sync *sync, struct sync_part *part, const struct key *key) {
    struct store *staged = &part->intake->staged, *store = sync->store;
    uint64_t *here = mutate_slot(store, key), *there = mutate_slot(staged, key);
    struct state_merge merge = sync_merge_of(sync, part);
    struct entry *theirs;
    switch (
        state_merge_quick(&merge, here != NULL ? table_item(*here) : NULL, table_item(*there))) {
    case STATE_MERGE_KEEP:
        return true;
    case STATE_MERGE_TAKE:
        theirs = sync_take_out(staged, key);
        mutate_put(store, key, here, theirs);
        mutate_after(store, key);
        return true;
    case STATE_MERGE_DEEP:
        return part_merge_deep(sync, &merge, key, staged);
    case STATE_MERGE_DROP:
        break;
    }
    impossible("what came is not dropped at a glance");
}

/* Puts an entry that came into the store, which has no such key. */
static bool part_take_staged(struct sync *sync, struct sync_part *part, const struct key *at) {
    struct store *staged = &part->intake->staged, *store = sync->store;
    struct key key = sync_keep_key(&sync->key_scratch, at);
    struct entry *entry = table_item(*mutate_slot(staged, &key));
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        return sync_copy(store, &key, entry_contested(entry), entry->stamp);
    }
    return sync_insert(store, &key, sync_take_out(staged, &key));
}

static bool part_rebase_absent(struct sync *sync, struct sync_part *part, const struct key *at) {
    struct store *staged = &part->intake->staged;
    if (mutate_slot(staged, at) != NULL) {
        return true;
    }
    struct key key = sync_keep_key(&sync->key_scratch, at);
    return rebase_key(sync, part, &key, mutate_slot(sync->store, &key), staged, NULL);
}

static bool part_rebase_staged(struct sync *sync, struct sync_part *part, const struct key *at) {
    struct store *staged = &part->intake->staged;
    struct key key = sync_keep_key(&sync->key_scratch, at);
    return rebase_key(sync, part, &key, mutate_slot(sync->store, &key), staged,
                      mutate_slot(staged, &key));
}

/* All of the part's keys change at once. False when memory is out: then some have not come. */
static bool part_merge(struct sync *sync, struct sync_part *part) {
    struct store *staged = &part->intake->staged;
    if (sync->is_direct) {
        return true;
    }
    sync_aside_lend(staged, sync->store);
    switch (sync->mode) {
    case SYNC_TAKE:
        return sync_range_walk(sync, part, sync->store, sync_range_remove) &&
               sync_range_walk(sync, part, staged, part_take_staged);
    case SYNC_MERGE:
        return sync_range_walk(sync, part, sync->store, part_merge_absent) &&
               sync_range_walk(sync, part, staged, part_merge_staged);
    case SYNC_REBASE:
        break;
    }
    return sync_range_walk(sync, part, sync->store, part_rebase_absent) &&
           sync_range_walk(sync, part, staged, part_rebase_staged);
}

/* ---- the ends of parts ---- */

static void sync_note_marks(struct sync *sync, struct sync_intake *intake) {
    for (unsigned slot = 1; slot < intake->marks_count; slot++) {
        struct sync_marks *theirs = &intake->marks[slot], *kept = &sync->marks[slot];
        if (stamp_ticks(theirs->stamp) != 0 && (kept->stamp == 0 || theirs->stamp < kept->stamp)) {
            memory_free(kept->marks);
            *kept = *theirs;
            theirs->marks = NULL;
        }
    }
}

static void sync_note_order(struct sync *sync, struct sync_intake *intake) {
    if (sync->order.size == 0 ||
        (intake->order_stamp != 0 &&
         replicas_compare_stamps(&sync->store->replicas, intake->order_stamp, sync->order_stamp) >
             0)) {
        sync->order_stamp = intake->order_stamp;
        buffer_clear(&sync->order);
        buffer_append_slice(&sync->order, buffer_slice(&intake->order));
    }
}

/* They count once all parts are in: until then the state is not one that has seen them. */
static void sync_note_retired(struct sync *sync, const struct sync_part *part) {
    const struct sync_intake *intake = part->intake;
    size_t number = (size_t)(part - sync->parts);
    for (size_t i = 0; i < intake->retired_count; i++) {
        const struct retired_replica *retired = &intake->retired[i];
        size_t at = i; /* most lists are alike */
        if (at >= sync->retired_count || sync->retired[at].replica.ref != retired->ref) {
            for (at = 0; at < sync->retired_count && sync->retired[at].replica.ref != retired->ref;
                 at++) {
            }
        }
        if (at == sync->retired_count) {
            sync->retired = memory_resize(sync->retired, (at + 1) * sizeof(sync->retired[0]));
            sync->retired[sync->retired_count++] = (struct sync_retired){
                .replica = *retired, .parts = memory_alloc_zero(sync->parts_count / 8 + 1)};
        }
        sync->retired[at].parts[number / 8] |= (uint8_t)(1 << number % 8);
    }
}

bool sync_has_retired(const struct sync_retired *retired, unsigned part) {
    return (retired->parts[part / 8] >> part % 8 & 1) != 0;
}

/* The part has seen this, though its slot may be newer than its header. */
static void part_note_seen(struct sync_part *part, unsigned slot, uint64_t stamp) {
    if (slot >= part->context_count) {
        part->context = memory_resize(part->context, (slot + 1) * sizeof(part->context[0]));
        memset(part->context + part->context_count, 0,
               (slot + 1 - part->context_count) * sizeof(part->context[0]));
        part->context_count = slot + 1;
    }
    sync_part_raise_context(part, stamp);
}

static bool all_parts_have_seen(const struct sync *sync, uint64_t stamp) {
    for (unsigned i = 0; i < sync->parts_count; i++) {
        const struct sync_part *part = &sync->parts[i];
        if (stamp_slot(stamp) >= part->context_count || part->context[stamp_slot(stamp)] < stamp) {
            return false;
        }
    }
    return true;
}

static bool all_parts_have_retired(const struct sync *sync, const struct sync_retired *retired) {
    unsigned part = 0;
    while (part < sync->parts_count && sync_has_retired(retired, part)) {
        part++;
    }
    return part == sync->parts_count;
}

/* Who compared stands on the mesh's state: what it had seen of a life before it forgot that, and
 * the mesh has not, is not here any more, and its author is to make it again. To tell of it would
 * be to be held for one that was forgotten, again and again, and to have the author leave it out.
 *
 * One that was introduced meanwhile has a slot here, which headers did not know of: what came in
 * parts is without it all the same, and whoever takes that from here has to know. Where a part had
 * not seen all of it, peers say that it lacks it, and parts are pulled anew. */
void sync_take_retired(struct sync *sync) {
    struct replicas *replicas = &sync->store->replicas;
    for (size_t i = 0; i < sync->retired_count; i++) {
        const struct sync_retired *retired = &sync->retired[i];
        if (sync->mode == SYNC_REBASE && all_parts_have_retired(sync, retired)) {
            replicas_limit_retired(replicas, &retired->replica);
        }
        unsigned slot = replicas_find(replicas, retired->replica.ref);
        if (slot == 0) {
            replicas_note_retired(replicas, &retired->replica);
            continue;
        }
        uint64_t stamp = stamp_make(retired->replica.ticks, slot);
        if (retired->replica.ticks > 0) {
            context_add(&sync->goal, stamp);
        }
        for (unsigned part = 0; part < sync->parts_count; part++) {
            if (sync_has_retired(retired, part)) {
                part_note_seen(&sync->parts[part], slot, stamp);
            }
        }
        if (all_parts_have_seen(sync, stamp)) {
            replicas_note_retired(replicas, &retired->replica);
        }
    }
}

enum sync_status sync_part_end(struct sync *sync, unsigned part_number) {
    if (part_number >= sync->parts_count || sync->parts[part_number].state != SYNC_PART_BEGUN) {
        return SYNC_MALFORMED;
    }
    struct sync_part *part = &sync->parts[part_number];
    struct sync_intake *intake = part->intake;
    if (intake->bytes.size > 0 || intake->open != NULL) {
        sync_part_reset(sync, part);
        return SYNC_MALFORMED;
    }
    bool waits = !sync->is_direct;
    for (unsigned slot = 1; slot < part->context_count; slot++) {
        context_add(&sync->goal, part->context[slot]);
    }
    sync_note_marks(sync, intake);
    sync_note_order(sync, intake);
    sync_note_retired(sync, part);
    if (!waits) {
        sync_intake_free(intake, sync->is_direct);
        part->intake = NULL;
        sync->parts_merged++;
    }
    part->state = SYNC_PART_DONE;
    sync->parts_done++;
    return SYNC_OK;
}

unsigned sync_parts_done(const struct sync *sync) {
    return sync->parts_done;
}

bool sync_merge_some(struct sync *sync) {
    require(sync->parts_done == sync->parts_count);
    for (unsigned i = 0; i < sync->parts_count; i++) {
        struct sync_part *part = &sync->parts[i];
        if (part->intake != NULL) {
            if (part_merge(sync, part)) {
                sync_intake_free(part->intake, sync->is_direct);
                part->intake = NULL;
                sync->parts_merged++;
            }
            break;
        }
    }
    return sync->parts_merged == sync->parts_count;
}
