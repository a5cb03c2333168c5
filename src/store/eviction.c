/* SPDX-License-Identifier: BSD-3-Clause */
/* Eviction: which key to give up when memory is short.
 *
 * Approximated LRU and LFU by sampling, with a pool of the best candidates of past samples, as
 * described at https://redis.io/docs/latest/develop/reference/eviction/. A candidate is remembered
 * by database and hash, not by address, so that it may vanish meanwhile. */
#include "store/mutate.h"
#include "store/notify.h"

enum {
    /* Hidden entries (contested.h) are no candidates; where there is hardly anything else, looking
     * for one ends some time. */
    EVICTION_ROUNDS_MAX = 100,
};

static bool eviction_is_volatile(enum eviction_policy policy) {
    return policy >= EVICTION_VOLATILE_LRU;
}

struct eviction_sample {
    const struct store *store;
    struct eviction_pool *pool;
    enum eviction_policy policy;
    unsigned db;
};

/* The higher, the better to evict. */
static uint64_t eviction_score(const struct store *store, enum eviction_policy policy,
                               const struct entry *entry) {
    switch (policy) {
    case EVICTION_ALL_LRU:
    case EVICTION_VOLATILE_LRU:
        return store_idle_ticks(store, entry) + 1;
    case EVICTION_ALL_LFU:
    case EVICTION_VOLATILE_LFU:
        return 256 - store_frequency(store, entry);
    case EVICTION_VOLATILE_TTL:
        return UINT64_MAX - entry_expire_unix_ms(entry);
    case EVICTION_NONE:
    case EVICTION_ALL_RANDOM:
    case EVICTION_VOLATILE_RANDOM:
        break;
    }
    return 0;
}

static void eviction_pool_drop(struct eviction_pool *pool, unsigned at) {
    pool->count--;
    memmove(pool->candidates + at, pool->candidates + at + 1,
            (pool->count - at) * sizeof(pool->candidates[0]));
}

static void eviction_visit(void *item, void *udata) {
    const struct eviction_sample *sample = (const struct eviction_sample *)udata;
    const struct entry *entry = (const struct entry *)item;
    struct eviction_pool *pool = sample->pool;
    if (entry_is_hidden(entry)) {
        return;
    }
    struct eviction_candidate candidate = {
        .score = eviction_score(sample->store, sample->policy, entry),
        .hash = store_hash(sample->store, entry_key(entry)),
        .db = sample->db,
    };
    for (unsigned i = 0; i < pool->count; i++) {
        if (pool->candidates[i].hash == candidate.hash && pool->candidates[i].db == sample->db) {
            eviction_pool_drop(pool, i);
            break;
        }
    }
    if (pool->count == EVICTION_POOL_SIZE) {
        if (candidate.score <= pool->candidates[0].score) {
            return;
        }
        eviction_pool_drop(pool, 0);
    }
    unsigned at = pool->count;
    for (; at > 0 && pool->candidates[at - 1].score > candidate.score; at--) {
        pool->candidates[at] = pool->candidates[at - 1];
    }
    pool->candidates[at] = candidate;
    pool->count++;
}

static bool eviction_match_hash(const void *item, const void *udata) {
    const struct eviction_sample *sample = (const struct eviction_sample *)udata;
    const struct entry *entry = (const struct entry *)item;
    return (!eviction_is_volatile(sample->policy) || entry_expire_unix_ms(entry) != 0) &&
           !entry_is_hidden(entry) &&
           store_hash(sample->store, entry_key(entry)) ==
               sample->pool->candidates[sample->pool->count - 1].hash;
}

/* An expired key goes as such, even while expiry is paused: who evicts needs the memory, and would
 * be offered the same key again and again. */
static void eviction_remove(struct store *store, unsigned db, const struct entry *entry) {
    struct key key = store_key(store, db, entry_key(entry));
    /* Freed at once, however large: memory that is only promised would make the caller evict more
     * than it needs. */
    store_free_later_fn free_later = store->free_later;
    store->free_later = NULL;
    if (mutate_is_expired(store, entry)) {
        mutate_expire(store, &key, mutate_slot(store, &key));
    } else {
        store_notify(store, NOTIFY_EVICTED, "evicted", &key);
        (void)store_delete(store, &key);
        store->stats.evicted++;
    }
    store->free_later = free_later;
    store_end_unit(store);
}

static bool eviction_random(struct store *store, bool only_volatile) {
    unsigned first = (unsigned)prng_below(&store->prng, store->dbs_count);
    for (unsigned i = 0; i < store->dbs_count; i++) {
        unsigned db = (first + i) % store->dbs_count;
        struct entry *entry = NULL;
        for (unsigned round = 0; round < EVICTION_ROUNDS_MAX; round++) {
            entry = table_random(&store->dbs[db].table, &store->prng, only_volatile);
            if (entry == NULL || !entry_is_hidden(entry)) {
                break;
            }
        }
        if (entry != NULL && !entry_is_hidden(entry)) {
            eviction_remove(store, db, entry);
            return true;
        }
    }
    return false;
}

bool store_evict(struct store *store, struct eviction_pool *pool, enum eviction_policy policy,
                 unsigned samples) {
    if (policy == EVICTION_NONE) {
        return false;
    }
    bool only_volatile = eviction_is_volatile(policy);
    if (policy == EVICTION_ALL_RANDOM || policy == EVICTION_VOLATILE_RANDOM) {
        return eviction_random(store, only_volatile);
    }
    struct eviction_sample sample = {.store = store, .pool = pool, .policy = policy};
    for (unsigned round = 0; round < EVICTION_ROUNDS_MAX; round++) {
        uint64_t qualified = 0;
        for (sample.db = 0; sample.db < store->dbs_count; sample.db++) {
            const struct table *table = &store->dbs[sample.db].table;
            uint64_t count =
                only_volatile ? table->marked_count : store_visible_count(store, sample.db);
            qualified += count;
            if (count > 0) {
                table_sample(table, &store->prng, only_volatile, samples, eviction_visit, &sample);
            }
        }
        if (qualified == 0) {
            pool->count = 0;
            return false;
        }
        while (pool->count > 0) {
            const struct eviction_candidate *best = &pool->candidates[pool->count - 1];
            unsigned db = best->db;
            uint64_t *slot = db < store->dbs_count ? table_find(&store->dbs[db].table, best->hash,
                                                                eviction_match_hash, &sample)
                                                   : NULL;
            pool->count--;
            if (slot != NULL) {
                eviction_remove(store, db, table_item(*slot));
                return true;
            }
        }
    }
    return false;
}
