/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/sync.h"

#include "store/databases.h"
#include "store/sync_ends.h"
#include "store/sync_state.h"

/* ---- the hash seed ---- */

static uint64_t sync_table_hash(const void *item, const void *udata) {
    return hash_bytes(*(const struct hash_seed *)udata, entry_key((const struct entry *)item));
}

struct seed_move {
    struct table *to;
    struct hash_seed seed;
};

static void seed_move_visit(void *item, void *udata) {
    struct seed_move *move = (struct seed_move *)udata;
    const struct entry *entry = (const struct entry *)item;
    table_insert(move->to, hash_bytes(move->seed, entry_key(entry)), item,
                 entry_expire_unix_ms(entry) != 0);
}

bool sync_take_seed(struct store *store, struct hash_seed seed) {
    if (store->seed.a == seed.a && store->seed.b == seed.b) {
        return true;
    }
    if (store->walk != NULL) {
        return false;
    }
    for (unsigned db = 0; db < store->dbs_count; db++) {
        struct keyspace *keyspace = &store->dbs[db];
        struct table old = keyspace->table;
        table_init(&keyspace->table, sync_table_hash, &store->seed);
        struct seed_move move = {.to = &keyspace->table, .seed = seed};
        /* The new table hashes by the new seed when it splits, the old one is only read. */
        store->seed = seed;
        for (uint64_t position = 0;;) {
            position = table_walk(&old, position, seed_move_visit, &move);
            if (position == 0) {
                break;
            }
        }
        table_deinit(&old);
        keyspace->expire_position = 0;
    }
    return true;
}

/* ---- lifecycle ---- */

static void sync_touch_all(struct store *store, enum store_touch touch) {
    for (unsigned db = 0; db < store->dbs_count && store->watchers_count > 0; db++) {
        struct key key = {.db = db};
        store->touch(store->udata, &key, touch);
    }
}

static bool sync_saw_nothing(const struct store *store) {
    for (unsigned slot = 0; slot < STAMP_SLOTS_COUNT; slot++) {
        if (store->context.stamps[slot] != 0) {
            return false;
        }
    }
    for (unsigned db = 0; db < store->dbs_count; db++) {
        if (store->dbs[db].table.count > 0) {
            return false;
        }
    }
    return store->replicas.retired_count == 0;
}

struct sync *sync_begin(struct store *store, enum sync_mode mode, sync_fate_fn fate, void *udata) {
    require(store->sync == NULL);
    graves_open_all(store);
    struct sync *sync = memory_alloc_zero(sizeof(*sync));
    sync->store = store;
    sync->mode = mode;
    store->retirement = (struct store_retirement){0};
    sync->is_direct = sync_saw_nothing(store);
    sync->fate = fate;
    sync->udata = udata;
    sync->rebase = rebase_new();
    sync->seen = store->context;
    sync->marks = memory_alloc_zero(STAMP_SLOTS_COUNT * sizeof(sync->marks[0]));
    sync->fates = memory_alloc_zero(STAMP_SLOTS_COUNT * sizeof(sync->fates[0]));
    snapshot_walk_cancel_all(store->walk);
    store->is_alone = false;
    store->sync = sync;
    sync_touch_all(store, STORE_TOUCH_ALL_LEAVE);
    return sync;
}

uint64_t sync_unsure_ticks(const struct sync *sync) {
    uint64_t ticks = UINT64_MAX;
    for (unsigned i = 0; i < sync->parts_count; i++) {
        if (sync->parts[i].intake != NULL) {
            sync_lower(&ticks, sync->parts[i].intake->settled_ticks_here);
        }
    }
    return ticks;
}

void sync_set_history(struct sync *sync, struct counter_history *history, struct seen_changes *seen,
                      struct unsent_edits *edits, struct made_again *made,
                      struct made_counters *made_counters) {
    counter_history_free(sync->history);
    seen_changes_free(sync->seen_changes);
    unsent_edits_free(sync->unsent_edits);
    sync->history = history;
    sync->seen_changes = seen;
    sync->unsent_edits = edits;
    made_again_free(sync->made_again);
    sync->made_again = made;
    made_counters_free(sync->made_counters);
    sync->made_counters = made_counters;
}

void sync_abandon(struct sync *sync) {
    if (sync->is_direct && !sync->is_finished) {
        store_take_out_all(sync->store);
    }
}

void sync_keep_rebase(struct sync *sync, struct sync *before) {
    /* Nobody was told, and the mesh may have the originals by now: parts that do are as good. */
    for (size_t i = 0; i < before->ends_count; i++) {
        replicas_drop_ended(&sync->store->replicas, before->ends[i].ref);
    }
    before->ends_count = 0;
    struct rebase *rebase = sync->rebase;
    sync->rebase = before->rebase;
    sync->rebase->is_kept = true;
    before->rebase = rebase;
}

void sync_keep_goal(struct sync *sync, const struct sync *before) {
    if (before->is_direct && !before->is_finished) {
        return; /* nothing of it stayed */
    }
    sync->left = before->left;
    if (before->parts_merged > 0) {
        context_join(&sync->left, &before->goal);
    }
}

void sync_free(struct sync *sync) {
    if (sync->store->sync == sync) {
        sync->store->sync = NULL;
        sync->store->is_replaying = false;
    }
    for (unsigned i = 0; i < sync->parts_count; i++) {
        if (sync->parts[i].intake != NULL) {
            sync_intake_free(sync->parts[i].intake, sync->is_direct);
        }
        memory_free(sync->parts[i].context);
    }
    memory_free(sync->parts);
    counter_history_free(sync->history);
    seen_changes_free(sync->seen_changes);
    unsent_edits_free(sync->unsent_edits);
    made_again_free(sync->made_again);
    made_counters_free(sync->made_counters);
    for (unsigned slot = 0; slot < STAMP_SLOTS_COUNT; slot++) {
        memory_free(sync->marks[slot].marks);
    }
    memory_free(sync->marks);
    memory_free(sync->fates);
    rebase_free(sync->rebase);
    for (size_t i = 0; i < sync->retired_count; i++) {
        memory_free(sync->retired[i].parts);
    }
    memory_free(sync->retired);
    memory_free(sync->ends);
    buffer_deinit(&sync->seen_beyond);
    buffer_deinit(&sync->order);
    buffer_deinit(&sync->key_scratch);
    memory_free(sync);
}

/* ---- the end of it all ---- */

/* What all parts have seen of the replica in `slot`. */
static uint64_t sync_minimum(const struct sync *sync, unsigned slot) {
    uint64_t minimum = UINT64_MAX;
    for (unsigned i = 0; i < sync->parts_count; i++) {
        const struct sync_part *part = &sync->parts[i];
        uint64_t stamp = slot < part->context_count ? part->context[slot] : 0;
        minimum = stamp < minimum ? stamp : minimum;
    }
    return minimum;
}

void sync_shown_context(const struct sync *sync, struct context *shown) {
    require(sync->parts_count > 0);
    *shown = (struct context){0};
    for (unsigned slot = 1; slot < sync->store->replicas.slots_count; slot++) {
        shown->stamps[slot] = sync_minimum(sync, slot);
    }
}

bool sync_author_has_seen(const struct sync *sync, unsigned author, uint64_t stamp) {
    const struct sync_marks *marks = &sync->marks[author];
    unsigned slot = stamp_slot(stamp);
    return slot == author || marks->count == 0 ||
           (slot < marks->count && stamp <= marks->marks[slot]);
}

static void sync_take_marks(struct sync *sync, unsigned slot, uint64_t minimum) {
    struct replicas *replicas = &sync->store->replicas;
    struct replica *replica = &replicas->slots[slot];
    const struct sync_marks *marks = &sync->marks[slot];
    memory_free(replica->mark);
    replica->mark = NULL;
    replica->mark_count = 0;
    if (marks->stamp != minimum) {
        return; /* retired there: whoever wrote it had been seen by all */
    }
    for (unsigned seen = 1; seen < marks->count; seen++) {
        if (marks->marks[seen] != 0) {
            replicas_raise_mark(replicas, slot, marks->marks[seen]);
        }
    }
}

/* Of a replica that is retired nobody tells any more what he has seen: all of it, from where it was
 * retired on. One may have a slot here all the same, since another part named it. Then that goes
 * for what comes behind a part that lacks it and reaches as far as `minimum`. Not for one of whom
 * nothing was known there: nobody waited for him. */
static void sync_mark_retired(struct sync *sync, unsigned slot, uint64_t minimum) {
    struct replicas *replicas = &sync->store->replicas;
    for (size_t i = 0; minimum != 0 && i < sync->retired_count; i++) {
        const struct sync_retired *retired = &sync->retired[i];
        unsigned seen = replicas_find(replicas, retired->replica.ref);
        if (seen == 0 || seen == slot || retired->replica.ticks == 0) {
            continue;
        }
        for (unsigned j = 0; j < sync->parts_count; j++) {
            const struct sync_part *part = &sync->parts[j];
            if (sync_has_retired(retired, j) && slot < part->context_count &&
                part->context[slot] == minimum) {
                replicas_raise_mark(replicas, slot, stamp_make(retired->replica.ticks, seen));
            }
        }
    }
}

/* The context that all parts have, or where parts were merged, that and what was here. */
static void sync_take_context(struct sync *sync) {
    struct store *store = sync->store;
    for (unsigned slot = 1; slot < store->replicas.slots_count; slot++) {
        uint64_t minimum = sync_minimum(sync, slot);
        if (store->replicas.slots[slot].ref == 0) {
            continue;
        }
        if (sync->mode == SYNC_MERGE && minimum <= sync->seen.stamps[slot]) {
            /* Perhaps of one that was retired here, and has a slot again. */
            store->context.stamps[slot] = sync->seen.stamps[slot];
        } else {
            store->context.stamps[slot] = minimum;
            sync_take_marks(sync, slot, minimum);
            sync_mark_retired(sync, slot, minimum);
        }
        hybrid_clock_observe(&store->clock, stamp_ticks(sync->goal.stamps[slot]));
    }
}

static void sync_take_order(struct sync *sync) {
    struct store *store = sync->store;
    if (sync->mode == SYNC_MERGE) {
        if (sync->order_stamp != 0) {
            databases_take_order(store, sync->order_stamp, buffer_slice(&sync->order));
        }
        return;
    }
    /* A swap that nobody knows is gone, also where the mesh has never had one. */
    store->order_stamp = 0;
    databases_take_order(store, stamp_make(1, STAMP_SLOT_SETTLED), buffer_slice(&sync->order));
    store->order_stamp = sync->order_stamp;
}

void sync_finish(struct sync *sync) {
    struct store *store = sync->store;
    require(sync->parts_count > 0);
    require(sync->parts_merged == sync->parts_count);
    require(!sync->is_finished);
    sync->is_finished = true;
    if (sync->mode == SYNC_MERGE) {
        context_join(&sync->goal, &sync->left);
    }
    sync->left = (struct context){0};
    sync_take_retired(sync);
    sync_take_context(sync);
    sync_take_order(sync);
    sync_note_ends(sync);
    /* Its marks are others' word for it, and more than its own records have said. */
    store->replicas.tells_anew = true;
    store->is_replaying = sync->mode == SYNC_TAKE;
    sync_touch_all(store, STORE_TOUCH_ALL_CAME);
}

bool sync_is_replayed(const struct sync *sync) {
    const struct store *store = sync->store;
    for (unsigned slot = 1; slot < store->replicas.slots_count && sync->mode == SYNC_TAKE; slot++) {
        if (store->replicas.slots[slot].ref != 0 &&
            sync->seen.stamps[slot] > store->context.stamps[slot]) {
            return false;
        }
    }
    return true;
}

void sync_end_replay(struct sync *sync) {
    sync->store->is_replaying = false;
}

bool sync_part_fits(const struct sync *sync, unsigned part_number, struct context *context) {
    const struct sync_part *part = &sync->parts[part_number];
    require(part_number < sync->parts_count);
    require(part->state == SYNC_PART_BEGUN);
    /* Merging would take what is void for good; and what nobody has made again, its author has to
     * make again himself. */
    const struct replicas *replicas = &sync->store->replicas;
    if ((sync->mode == SYNC_MERGE && replicas_has_void(replicas, &sync->seen)) ||
        replicas_has_unmade(replicas, &sync->store->context)) {
        return false;
    }
    memset(context, 0, sizeof(*context));
    memcpy(context->stamps, part->context, part->context_count * sizeof(part->context[0]));
    for (unsigned slot = 1; slot < part->context_count; slot++) {
        if (part->intake->is_retired_there[slot] && sync->seen.stamps[slot] > part->context[slot]) {
            return false;
        }
    }
    return part->intake->settled_ticks_there == UINT64_MAX;
}

bool sync_covers(const struct sync *sync, uint64_t hash, uint64_t stamp) {
    if (!sync->is_finished) {
        return false;
    }
    const struct sync_part *part = &sync->parts[part_of(hash, sync->parts_count)];
    unsigned slot = stamp_slot(stamp);
    return slot < part->context_count && stamp <= part->context[slot];
}

bool sync_has_seen(const struct sync *sync, const struct store *store,
                   const struct change *change) {
    switch (change->kind) {
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
        for (unsigned i = 0; i < sync->parts_count; i++) {
            const struct sync_part *part = &sync->parts[i];
            unsigned slot = stamp_slot(change->stamp);
            if (slot >= part->context_count || change->stamp > part->context[slot]) {
                return false;
            }
        }
        return sync->is_finished;
    case CHANGE_SWAP:
    case CHANGE_LIFE_END:
        return false; /* the newest order wins anyhow, and the earliest end */
    case CHANGE_SET:
    case CHANGE_SET_EXPIRING:
    case CHANGE_SET_KEEPING:
    case CHANGE_DELETE:
    case CHANGE_EXPIRE:
    case CHANGE_COUNTER:
    case CHANGE_FLOAT_COUNTER:
    case CHANGE_PATCH:
    case CHANGE_REGISTERS:
    case CHANGE_TAKE:
    case CHANGE_MORE:
        break;
    }
    return sync_covers(sync, store_hash(store, change->key), change->stamp);
}

const struct context *sync_goal(const struct sync *sync) {
    return &sync->goal;
}

bool sync_is_caught_up(const struct sync *sync) {
    return sync->is_finished && context_covers_all(&sync->store->context, &sync->goal);
}

bool sync_reissue_some(struct sync *sync, unsigned keys_max) {
    require(sync_is_caught_up(sync));
    sync_tell_ends(sync);
    return rebase_some(sync, keys_max);
}

void sync_get_stats(const struct sync *sync, struct sync_stats *stats) {
    *stats = sync->stats;
}
