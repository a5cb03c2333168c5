/* SPDX-License-Identifier: BSD-3-Clause */
/* Emptying databases.
 *
 * A flush is a DELETE of every key that its writer had seen something of. Nearly always that is all
 * there is, and the table goes as a whole, in the background. What is not covered, or leaves a
 * ghost behind, is picked out first and then merged key by key.
 *
 * A local flush first takes off, as each DELETE does, what is here of others' counters. */
#include "base/prefetch.h"
#include "store/merge.h"
#include "store/sync.h"

enum { AHEAD_MIN = 64, AHEAD_MAX = AHEAD_MIN + 4096 /* a bucket has eight and what spills over */ };

/* Entries that are fetched ahead of their visit. */
struct flush_ahead {
    size_t count;
    void *items[AHEAD_MAX];
};

/* Entries found in a walk. */
struct flush_walk {
    struct store *store;
    unsigned author;
    uint64_t stamp; /* of the flush */
    struct entry **entries;
    size_t count, capacity;
};

static void flush_note(struct flush_walk *walk, struct entry *entry) {
    if (walk->count == walk->capacity) {
        walk->capacity = walk->capacity == 0 ? 64 : 2 * walk->capacity;
        walk->entries = memory_resize(walk->entries, walk->capacity * sizeof(walk->entries[0]));
    }
    walk->entries[walk->count++] = entry;
}

static void flush_fetch(void *item, void *udata) {
    struct flush_ahead *ahead = (struct flush_ahead *)udata;
    require(ahead->count < AHEAD_MAX);
    prefetch(item);
    ahead->items[ahead->count++] = item;
}

static void flush_walk_all(struct flush_walk *walk, unsigned db, table_visit_fn visit) {
    struct flush_ahead *ahead = memory_alloc(sizeof(*ahead));
    uint64_t position = 0;
    do {
        ahead->count = 0;
        do {
            position = table_walk(&walk->store->dbs[db].table, position, flush_fetch, ahead);
        } while (position != 0 && ahead->count < AHEAD_MIN);
        for (size_t i = 0; i < ahead->count; i++) {
            visit(ahead->items[i], walk);
        }
    } while (position != 0);
    memory_free(ahead);
}

/* Came the entry with a part of a snapshot in which the flush has had its effect already? */
static bool flush_has_part(const struct flush_walk *walk, const struct entry *entry) {
    const struct store *store = walk->store;
    return unlikely(store->sync != NULL) &&
           sync_covers(store->sync, store_hash(store, entry_key(entry)), walk->stamp);
}

static void flush_visit_kept(void *item, void *udata) {
    struct flush_walk *walk = (struct flush_walk *)udata;
    struct entry *entry = (struct entry *)item;
    if (!strings_is_covered(walk->store, entry, walk->author) || flush_has_part(walk, entry)) {
        flush_note(walk, entry);
    }
}

static void flush_visit_intricate(void *item, void *udata) {
    struct flush_walk *walk = (struct flush_walk *)udata;
    if (merge_is_intricate(walk->store, (const struct entry *)item)) {
        flush_note(walk, (struct entry *)item);
    }
}

/* Frees a table with its entries in the background; none of them is contested. */
static void flush_table(struct store *store, unsigned db) {
    struct keyspace *keyspace = &store->dbs[db];
    struct table *table = memory_alloc(sizeof(*table));
    *table = keyspace->table;
    table_init(&keyspace->table, table->hash, table->udata);
    keyspace->expire_position = 0;
    keyspace->average_ttl_ms = 0;
    store->stats.dirty += table->count;
    if (store->free_later != NULL && table->count > 0) {
        store->free_later(store->udata, mutate_free_table, table);
    } else {
        mutate_free_table(table);
    }
}

/* Lists no collection of the database any more as one with expiring elements. */
static void flush_unlist_expiring(struct store *store, unsigned db) {
    unsigned number = store->dbs[db].number;
    for (struct collection *collection = store->expiring; collection != NULL;) {
        struct collection *next = collection->next_expiring;
        if (collection->database == number) {
            collection_set_expiring(store, collection, false);
        }
        collection = next;
    }
}

static void relist(struct store *store, struct collection *collection) {
    collection_set_expiring(store, collection, collection->space.table.marked_count > 0);
}

static void flush_relist_expiring(struct store *store, struct entry *entry) {
    if (entry_kind(entry) == ENTRY_COLLECTION) {
        relist(store, entry_collection(entry));
    } else if (entry_kind(entry) == ENTRY_CONTESTED) {
        for (struct collection *collection = entry_contested(entry)->collections;
             collection != NULL; collection = collection->next) {
            relist(store, collection);
        }
    }
}

/* Empties a database as far as the writer had seen it. */
static void flush_database(struct store *store, unsigned db, const struct change *change) {
    struct flush_walk walk = {
        .store = store, .author = stamp_slot(change->stamp), .stamp = change->stamp};
    struct table *table = &store->dbs[db].table;
    if (!store->is_alone) {
        flush_walk_all(&walk, db, flush_visit_kept);
    }
    for (size_t i = 0; i < walk.count; i++) {
        struct key key = store_key(store, db, entry_key(walk.entries[i]));
        table_remove(table, key.hash, mutate_slot(store, &key));
    }
    flush_unlist_expiring(store, db);
    if (table->count > 0) {
        flush_table(store, db);
    }
    for (size_t i = 0; i < walk.count; i++) {
        uint64_t hash = store_hash(store, entry_key(walk.entries[i]));
        table_insert(table, hash, walk.entries[i], entry_expire_unix_ms(walk.entries[i]) != 0);
        flush_relist_expiring(store, walk.entries[i]);
    }
    for (size_t i = 0; i < walk.count; i++) {
        if (flush_has_part(&walk, walk.entries[i])) {
            continue;
        }
        struct key key = store_key(store, db, entry_key(walk.entries[i]));
        enum store_status status = merge_apply(store, &key, change);
        ensure(status == STORE_OK);
    }
    memory_free(walk.entries);
}

void flush_apply(struct store *store, const struct change *change) {
    unsigned first = change->kind == CHANGE_FLUSH ? change->db : 0;
    unsigned end = change->kind == CHANGE_FLUSH ? change->db + 1 : store->dbs_count;
    snapshot_walk_cancel_all(store->walk);
    for (unsigned db = first; db < end; db++) {
        if (store->dbs[db].table.count > 0) {
            mutate_touch_all(store, db, STORE_TOUCH_ALL_LEAVE);
            flush_database(store, db, change);
        }
    }
}

/* Takes off the parts of others in a database that this node is about to flush. */
static void flush_take(struct store *store, unsigned db) {
    struct flush_walk walk = {.store = store};
    if (store->is_alone) {
        return;
    }
    flush_walk_all(&walk, db, flush_visit_intricate);
    for (size_t i = 0; i < walk.count; i++) {
        struct buffer name = {0};
        buffer_append_slice(&name, entry_key(walk.entries[i]));
        struct key key =
            store_key(store, db, name.size > 0 ? buffer_slice(&name) : slice_make("", 0));
        if (!merge_delete_untold(store, &key)) {
            merge_take(store, &key);
        }
        buffer_deinit(&name);
    }
    memory_free(walk.entries);
}

static uint64_t flush_local(struct store *store, enum change_kind kind, unsigned first,
                            unsigned end) {
    uint64_t count = 0;
    for (unsigned db = first; db < end; db++) {
        count += store->dbs[db].table.count - store->dbs[db].hidden_count;
    }
    if (count == 0) {
        return 0;
    }
    snapshot_walk_cancel_all(store->walk);
    for (unsigned db = first; db < end; db++) {
        flush_take(store, db);
    }
    struct change change = {.kind = kind, .db = first, .stamp = mutate_stamp(store)};
    flush_apply(store, &change);
    mutate_record(store, NULL, &change);
    return count;
}

uint64_t store_flush(struct store *store, unsigned db) {
    return flush_local(store, CHANGE_FLUSH, db, db + 1);
}

uint64_t store_flush_all(struct store *store) {
    uint64_t count = flush_local(store, CHANGE_FLUSH_ALL, 0, store->dbs_count);
    store->stats.flushes_all += count > 0;
    return count;
}

/* ---- not a change ---- */

static void flush_visit_any(void *item, void *udata) {
    flush_note((struct flush_walk *)udata, (struct entry *)item);
}

void store_take_out_all(struct store *store) {
    snapshot_walk_cancel_all(store->walk);
    for (unsigned db = 0; db < store->dbs_count; db++) {
        struct flush_walk walk = {.store = store};
        flush_walk_all(&walk, db, flush_visit_any);
        for (size_t i = 0; i < walk.count; i++) {
            struct key key = store_key(store, db, entry_key(walk.entries[i]));
            mutate_remove(store, &key, mutate_slot(store, &key));
        }
        memory_free(walk.entries);
    }
}
