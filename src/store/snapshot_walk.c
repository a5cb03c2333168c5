/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/snapshot_walk.h"

void snapshot_walk_begin_range(struct snapshot_walk *walk, struct store *store, uint64_t first,
                               uint64_t last, snapshot_emit_fn emit, void *udata) {
    require(first <= last);
    *walk = (struct snapshot_walk){.store = store,
                                   .next = store->walk,
                                   .context = store->context,
                                   .ticks = store->clock.ticks,
                                   .first = first,
                                   .last = last,
                                   .position = first,
                                   .emit = emit,
                                   .udata = udata};
    store->walk = walk;
}

void snapshot_walk_begin(struct snapshot_walk *walk, struct store *store, snapshot_emit_fn emit,
                         void *udata) {
    snapshot_walk_begin_range(walk, store, 0, UINT64_MAX, emit, udata);
}

void snapshot_walk_end(struct snapshot_walk *walk) {
    struct snapshot_walk **at = &walk->store->walk;
    while (*at != walk) {
        require(*at != NULL);
        at = &(*at)->next;
    }
    *at = walk->next;
    walk->next = NULL;
}

/* Was the entry as it is now when the walk began? */
static bool snapshot_walk_holds(const struct snapshot_walk *walk, const struct entry *entry) {
    return context_covers(&walk->context, entry->stamp) &&
           context_covers(&walk->context, entry_expire_stamp(entry));
}

static bool snapshot_walk_is_partial(const struct snapshot_walk *walk) {
    return walk->first != 0 || walk->last != UINT64_MAX;
}

static void snapshot_walk_emit(struct snapshot_walk *walk, unsigned db, const struct entry *entry) {
    walk->emitted_count++;
    walk->emit(walk->udata, walk->store->dbs[db].number, entry);
}

/* Several steps of one change may announce it, before the first of them leaves its stamp. */
static bool was_told(const struct snapshot_walk *walk, unsigned db, uint64_t hash,
                     const struct entry *entry) {
    return walk->handed_over_count > 0 && walk->told_db == db && walk->told_hash == hash &&
           walk->told_stamp == entry->stamp;
}

static void snapshot_walk_visit(void *item, void *udata) {
    struct snapshot_walk *walk = (struct snapshot_walk *)udata;
    const struct entry *entry = (const struct entry *)item;
    /* The bounds of a range may lie inside a bucket. */
    if (snapshot_walk_is_partial(walk)) {
        uint64_t hash = store_hash(walk->store, entry_key(entry));
        if (hash < walk->first || hash > walk->last) {
            return;
        }
    }
    bool is_told = walk->handed_over_count > 0 && walk->told_stamp == entry->stamp &&
                   was_told(walk, walk->db, store_hash(walk->store, entry_key(entry)), entry);
    if (snapshot_walk_holds(walk, entry) && !is_told) {
        snapshot_walk_emit(walk, walk->db, entry);
    }
}

bool snapshot_walk_step(struct snapshot_walk *walk, unsigned entries_min) {
    /* An empty bucket costs a little, too: it counts as an eighth of an entry. */
    uint64_t target = walk->emitted_count + entries_min;
    for (uint64_t buckets = 0; !walk->is_done && !walk->is_cancelled; buckets++) {
        if (walk->emitted_count + buckets / 8 >= target) {
            break;
        }
        const struct table *table = &walk->store->dbs[walk->db].table;
        walk->position = table_walk(table, walk->position, snapshot_walk_visit, walk);
        if (walk->position == 0 || walk->position > walk->last) {
            walk->position = walk->first;
            walk->db++;
            walk->is_done = walk->db == walk->store->dbs_count;
        }
    }
    return walk->is_done || walk->is_cancelled;
}

void snapshot_walk_before_change(struct snapshot_walk *walk, unsigned db, uint64_t hash,
                                 const struct entry *entry) {
    for (; walk != NULL; walk = walk->next) {
        if (walk->is_done || walk->is_cancelled || db < walk->db || hash < walk->first ||
            hash > walk->last || (db == walk->db && table_walk_passed(hash, walk->position))) {
            continue;
        }
        if (snapshot_walk_holds(walk, entry) && !was_told(walk, db, hash, entry)) {
            walk->handed_over_count++;
            walk->told_db = db;
            walk->told_hash = hash;
            walk->told_stamp = entry->stamp;
            snapshot_walk_emit(walk, db, entry);
        }
    }
}

void snapshot_walk_cancel_all(struct snapshot_walk *walk) {
    for (; walk != NULL; walk = walk->next) {
        walk->is_cancelled = true;
    }
}
