/* SPDX-License-Identifier: BSD-3-Clause */
/* Active expiry: a slow walk over the keys with an expiry, some buckets at a time.
 *
 * The table marks those keys, so the walk reads 64 bytes for each eight slots and touches no entry
 * without an expiry. Its owner (node/) decides how far it goes in a turn: further while it finds
 * much that is stale. */
#include "store/mutate.h"

enum { EXPIRY_BATCH = 64 };

/* Expiries may lie at the end of time: a longer rest counts as this, so that sums stay in range. */
#define EXPIRY_TTL_MS_MAX (INT64_MAX >> 16)

struct expiry_walk {
    struct store *store;
    struct entry *expired[EXPIRY_BATCH];
    unsigned expired_count;
    unsigned left_count; /* expired, but not for this node to remove now */
    uint64_t seen_count;
    uint64_t ttl_sum_ms;
};

static void expiry_visit(void *item, void *udata) {
    struct expiry_walk *walk = (struct expiry_walk *)udata;
    struct entry *entry = (struct entry *)item;
    if (entry_is_hidden(entry)) {
        return;
    }
    walk->seen_count++;
    if (mutate_is_expired(walk->store, entry)) {
        /* More than the batch holds wait for the next pass over this bucket; and what another
         * node's replica set to expire, for that one. */
        if (walk->expired_count < EXPIRY_BATCH && mutate_may_expire(walk->store, entry)) {
            walk->expired[walk->expired_count++] = entry;
        } else {
            walk->left_count++;
        }
        return;
    }
    uint64_t ttl_ms = entry_expire_unix_ms(entry) - (uint64_t)walk->store->now_ms;
    walk->ttl_sum_ms += ttl_ms < EXPIRY_TTL_MS_MAX ? ttl_ms : EXPIRY_TTL_MS_MAX;
}

static uint64_t expiry_remove(struct expiry_walk *walk, unsigned db) {
    for (unsigned i = 0; i < walk->expired_count; i++) {
        struct key key = store_key(walk->store, db, entry_key(walk->expired[i]));
        uint64_t *slot = mutate_slot(walk->store, &key);
        require(slot != NULL);
        mutate_expire(walk->store, &key, slot);
        /* Each removal stands for itself: a batch of them must not become one huge unit. */
        store_end_unit(walk->store);
    }
    return walk->expired_count;
}

uint64_t store_expire_some(struct store *store, unsigned buckets_max, uint64_t *volatile_seen,
                           bool *pass_done) {
    uint64_t removed = 0;
    *volatile_seen = 0;
    *pass_done = false;
    /* The database that the walk stands in is the first whose position is not 0; a pass begins
     * with all at 0, and each one that is through says so by its bit in the position's low end,
     * which positions of a table never use. */
    enum { THROUGH = 1 };
    for (unsigned db = 0; db < store->dbs_count; db++) {
        struct keyspace *keyspace = &store->dbs[db];
        if (keyspace->expire_position == THROUGH) {
            continue;
        }
        while (buckets_max > 0 && keyspace->expire_position != THROUGH) {
            struct expiry_walk walk = {.store = store};
            unsigned step = buckets_max < 4 ? buckets_max : 4;
            uint64_t position = 0;
            if (keyspace->table.marked_count == 0) {
                keyspace->average_ttl_ms = 0;
            } else {
                position = table_walk_marked(&keyspace->table, keyspace->expire_position, step,
                                             expiry_visit, &walk);
            }
            buckets_max -= keyspace->table.marked_count > 0 ? step : 1;
            removed += expiry_remove(&walk, db);
            *volatile_seen += walk.seen_count;
            uint64_t living_count = walk.seen_count - walk.expired_count - walk.left_count;
            if (living_count > 0) {
                int64_t ttl = (int64_t)(walk.ttl_sum_ms / living_count);
                keyspace->average_ttl_ms = keyspace->average_ttl_ms == 0
                                               ? ttl
                                               : (keyspace->average_ttl_ms * 49 + ttl) / 50;
            }
            keyspace->expire_position = position == 0 ? THROUGH : position;
        }
        if (keyspace->expire_position != THROUGH) {
            return removed;
        }
    }
    for (unsigned db = 0; db < store->dbs_count; db++) {
        store->dbs[db].expire_position = 0;
    }
    store->stats.expire_passes++;
    *pass_done = true;
    return removed;
}
