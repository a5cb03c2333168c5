/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/snapshot_walk.h"

#include "store/graves.h"
#include "store/snapshot_elements.h"

enum {
    /* Bytes that are as much work as a small entry. */
    WORK_BYTES = 64,
    WORK_LARGE_BYTES = 4096,
};

void snapshot_walk_begin_range(struct snapshot_walk *walk, struct store *store, uint64_t first,
                               uint64_t last, snapshot_emit_fn emit, void *udata) {
    require(first <= last);
    graves_open_all(store); /* ghosts are emitted where they belong */
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

void snapshot_walk_take_pieces(struct snapshot_walk *walk, snapshot_piece_fn piece) {
    require(walk->work == 0);
    walk->piece = piece;
}

void snapshot_walk_end(struct snapshot_walk *walk) {
    snapshot_elements_drop_all(walk);
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

/* How much there is to encode, beside the entry as such. */
static uint64_t work_of(const struct entry *entry) {
    uint64_t work = 0;
    switch (entry_kind(entry)) {
    case ENTRY_PACKED:
        return entry_packed(entry).size / WORK_BYTES;
    case ENTRY_LARGE:
        return entry_large(entry)->size / WORK_LARGE_BYTES;
    case ENTRY_COLLECTION:
        return collection_count(entry_collection(entry));
    case ENTRY_CONTESTED:
        for (const struct collection *collection = entry_contested(entry)->collections;
             collection != NULL; collection = collection->next) {
            work += collection_count(collection);
        }
        return work;
    case ENTRY_BYTES:
    case ENTRY_INTEGER:
    case ENTRY_COUNTER:
    case ENTRY_COUNTER_REGISTER:
    case ENTRY_FLOAT_COUNTER:
        break;
    }
    return 0;
}

static void snapshot_walk_emit(struct snapshot_walk *walk, unsigned db, const struct entry *entry,
                               bool is_ahead) {
    unsigned number = walk->store->dbs[db].number;
    struct collection *collection = snapshot_elements_wanted(walk, entry);
    walk->emitted_count++;
    walk->work++;
    if (collection != NULL) {
        snapshot_elements_begin(walk, number, entry, collection, is_ahead);
        return;
    }
    walk->work += work_of(entry);
    walk->emit(walk->udata, number, entry);
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
    if (snapshot_walk_holds(walk, entry) && !is_told && !snapshot_elements_have(walk, entry)) {
        snapshot_walk_emit(walk, walk->db, entry, false);
    }
}

/* Is it through? */
static bool see_to_the_end(struct snapshot_walk *walk) {
    walk->is_done = walk->db == walk->store->dbs_count && walk->open == NULL;
    return walk->is_done || walk->is_cancelled;
}

bool snapshot_walk_step(struct snapshot_walk *walk, unsigned work_min) {
    /* An empty bucket costs a little, too: it counts as an eighth of an entry. */
    uint64_t target = walk->work + work_min;
    for (uint64_t buckets = 0; !see_to_the_end(walk) && walk->work + buckets / 8 < target;) {
        if (walk->open != NULL) {
            snapshot_elements_step(walk->open);
            continue;
        }
        const struct table *table = &walk->store->dbs[walk->db].table;
        walk->position = table_walk(table, walk->position, snapshot_walk_visit, walk);
        buckets++;
        if (walk->position == 0 || walk->position > walk->last) {
            walk->position = walk->first;
            walk->db++;
        }
    }
    return see_to_the_end(walk);
}

void snapshot_walk_before_change(struct snapshot_walk *walk, unsigned db, uint64_t hash,
                                 const struct entry *entry) {
    for (; walk != NULL; walk = walk->next) {
        if (walk->is_done || walk->is_cancelled || db < walk->db || hash < walk->first ||
            hash > walk->last || (db == walk->db && table_walk_passed(hash, walk->position))) {
            continue;
        }
        if (snapshot_walk_holds(walk, entry) && !was_told(walk, db, hash, entry) &&
            !snapshot_elements_have(walk, entry)) {
            walk->handed_over_count++;
            walk->told_db = db;
            walk->told_hash = hash;
            walk->told_stamp = entry->stamp;
            snapshot_walk_emit(walk, db, entry, true);
        }
    }
}

void snapshot_walk_cancel_all(struct snapshot_walk *walk) {
    for (; walk != NULL; walk = walk->next) {
        walk->is_cancelled = true;
        snapshot_elements_drop_all(walk);
    }
}
