/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/snapshot_walk.h"

void snapshot_walk_begin(struct snapshot_walk *walk, struct store *store, snapshot_emit_fn emit,
                         void *udata) {
    require(store->walk == NULL);
    *walk = (struct snapshot_walk){.store = store,
                                   .context = store->context,
                                   .ticks = store->clock.ticks,
                                   .emit = emit,
                                   .udata = udata};
    store->walk = walk;
}

void snapshot_walk_end(struct snapshot_walk *walk) {
    require(walk->store->walk == walk);
    walk->store->walk = NULL;
}

/* Was the entry as it is now when the walk began? */
static bool snapshot_walk_holds(const struct snapshot_walk *walk, const struct entry *entry) {
    return context_covers(&walk->context, entry->stamp) &&
           context_covers(&walk->context, entry_expire_stamp(entry));
}

static void snapshot_walk_emit(struct snapshot_walk *walk, unsigned db, const struct entry *entry) {
    if (snapshot_walk_holds(walk, entry)) {
        walk->emitted_count++;
        walk->emit(walk->udata, db, entry);
    }
}

static void snapshot_walk_visit(void *item, void *udata) {
    struct snapshot_walk *walk = (struct snapshot_walk *)udata;
    snapshot_walk_emit(walk, walk->db, (const struct entry *)item);
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
        if (walk->position == 0) {
            walk->db++;
            walk->is_done = walk->db == walk->store->dbs_count;
        }
    }
    return walk->is_done || walk->is_cancelled;
}

void snapshot_walk_before_change(struct snapshot_walk *walk, unsigned db, uint64_t hash,
                                 const struct entry *entry) {
    if (walk->is_done || walk->is_cancelled || db < walk->db ||
        (db == walk->db && table_walk_passed(hash, walk->position))) {
        return;
    }
    if (snapshot_walk_holds(walk, entry)) {
        walk->handed_over_count++;
        walk->emitted_count++;
        walk->emit(walk->udata, db, entry);
    }
}
