/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot of one node of merge_world.h while all goes on: what the walk emits, some at a time,
 * loaded into a new store, is what a copy made at its beginning says, elements, stamps and what is
 * hidden included. */
#ifndef TESTS_UNIT_STORE_RUNNING_SNAPSHOT_H
#define TESTS_UNIT_STORE_RUNNING_SNAPSHOT_H

#include "store/sequence.h"
#include "store/snapshot_walk.h"
#include "store/state.h"
#include "unit/store/merge_world.h"

struct running_snapshot {
    bool is_running;
    unsigned node;
    struct snapshot_walk walk;
    struct buffer bytes; /* what it emitted */
    uint64_t pieces_count;
    uint8_t digest[20];
    uint64_t sum;
    unsigned long long whole_count, cancelled_count, in_pieces_count; /* of all that ended */
};

static inline void running_snapshot_flush(void *udata) {
    (void)udata;
}

static inline void running_snapshot_emit(void *udata, unsigned db, const struct entry *entry) {
    struct running_snapshot *snapshot = (struct running_snapshot *)udata;
    state_encode(&snapshot->bytes, snapshot->walk.store, db, entry, running_snapshot_flush, NULL);
}

static inline void running_snapshot_piece(void *udata, struct slice piece, bool is_first) {
    struct running_snapshot *snapshot = (struct running_snapshot *)udata;
    buffer_append_slice(&snapshot->bytes, piece);
    snapshot->pieces_count += is_first;
}

/* ---- the sum over all that a store knows, in whatever order ---- */

struct state_sum {
    const struct store *store;
    unsigned db;
    uint64_t sum;
};

static inline void state_sum_add(struct state_sum *sum, unsigned salt, const struct entry *entry,
                                 bool is_head) {
    static const struct hash_seed SEED = {0x9216D5D98979FB1BULL, 0xD1310BA698DFB5ACULL};
    struct buffer bytes = {0};
    enum entry_kind kind = entry_kind(entry);
    if (is_head && (kind == ENTRY_PACKED || kind == ENTRY_COLLECTION)) {
        /* Packed or not: that is no matter of what there is. */
        uint64_t words[] = {salt, entry->stamp, entry_expire_unix_ms(entry),
                            entry_expire_stamp(entry)};
        buffer_append(&bytes, "0123456789abc", 13);
        buffer_append(&bytes, words, sizeof(words));
        buffer_append_slice(&bytes, entry_key(entry));
    } else if (is_head) {
        state_encode_head(&bytes, sum->store, salt, entry, running_snapshot_flush, NULL);
    } else {
        state_encode(&bytes, sum->store, salt, entry, running_snapshot_flush, NULL);
    }
    /* When it was used last is no part of it. */
    memset(bytes.data + 1 + 1 + 8, 0, 3);
    sum->sum += hash_bytes(SEED, buffer_slice(&bytes));
    buffer_deinit(&bytes);
}

static inline void state_sum_element(void *item, void *udata) {
    state_sum_add((struct state_sum *)udata, 100, (const struct entry *)item, false);
}

static inline void state_sum_collection(struct state_sum *sum,
                                        const struct collection *collection) {
    struct ordered_map_cursor cursor;
    uint64_t position = 0;
    do {
        position = table_walk(&collection->space.table, position, state_sum_element, sum);
    } while (position != 0);
    for (bool is_there = ordered_map_first(collection->map, &cursor); is_there;
         is_there = ordered_map_next(collection->map, &cursor)) {
        if (cursor.element.flags == 0) {
            struct entry *entry = sequence_entry(&cursor);
            state_sum_element(entry, sum);
            entry_free(entry);
        }
    }
}

static inline void state_sum_visit(void *item, void *udata) {
    struct state_sum *sum = (struct state_sum *)udata;
    const struct entry *entry = (const struct entry *)item;
    state_sum_add(sum, sum->db, entry, true);
    if (entry_kind(entry) == ENTRY_PACKED) {
        struct collection *collection =
            collection_from_packed(sum->store, entry_packed(entry), sum->db);
        state_sum_collection(sum, collection);
        collection_free(collection);
    } else if (entry_kind(entry) == ENTRY_COLLECTION) {
        state_sum_collection(sum, entry_collection(entry));
    } else if (entry_kind(entry) == ENTRY_CONTESTED) {
        for (const struct collection *collection = entry_contested(entry)->collections;
             collection != NULL; collection = collection->next) {
            state_sum_collection(sum, collection);
        }
    }
}

static inline uint64_t state_sum(const struct store *store) {
    struct state_sum sum = {.store = store};
    for (unsigned db = 0; db < store->dbs_count; db++) {
        sum.db = store->dbs[db].number;
        uint64_t position = 0;
        do {
            position = table_walk(&store->dbs[db].table, position, state_sum_visit, &sum);
        } while (position != 0);
    }
    return sum.sum;
}

/* ---- loading ---- */

/* Loads a node's state into a new store, in which nothing is packed, and compares its digest.
 * Returns the sum. */
static inline uint64_t running_snapshot_load(const struct store *store, struct slice bytes,
                                             const uint8_t digest[20]) {
    struct store again;
    struct store_opts opts = {.dbs_count = store->dbs_count, .seed = 77};
    uint8_t after[20];
    store_init(&again, &opts);
    for (unsigned type = 0; type < VALUE_TYPES_COUNT; type++) {
        again.packing[type] = (struct store_packing){0};
    }
    for (unsigned slot = 1; slot < store->replicas.slots_count; slot++) {
        if (store->replicas.slots[slot].ref != 0) {
            require(replicas_add_at(&again.replicas, slot, &store->replicas.slots[slot].id));
        }
    }
    again.replicas.self = store->replicas.self;
    again.is_alone = false;
    store_set_now(&again, store->now_ms);
    while (bytes.size > 0) {
        require(state_load(&again, &bytes) == STORE_OK);
    }
    again.context = store->context;
    again.clock = store->clock;
    store_check(&again);
    store_digest(&again, after);
    require(memcmp(digest, after, 20) == 0);
    uint64_t sum = state_sum(&again);
    store_deinit(&again);
    return sum;
}

static inline struct slice running_snapshot_bytes(const struct buffer *bytes) {
    return bytes->size > 0 ? buffer_slice(bytes) : SLICE("");
}

struct whole_state {
    const struct store *store;
    struct buffer bytes;
    unsigned db;
};

static inline void whole_state_visit(void *item, void *udata) {
    struct whole_state *whole = (struct whole_state *)udata;
    state_encode(&whole->bytes, whole->store, whole->db, (const struct entry *)item,
                 running_snapshot_flush, NULL);
}

/* The state of a node, all at once, loaded again shows the same. Returns the sum. */
static inline uint64_t running_snapshot_check_state(const struct store *store) {
    struct whole_state whole = {.store = store};
    uint8_t digest[20];
    for (unsigned db = 0; db < store->dbs_count; db++) {
        whole.db = store->dbs[db].number;
        uint64_t position = 0;
        do {
            position = table_walk(&store->dbs[db].table, position, whole_state_visit, &whole);
        } while (position != 0);
    }
    store_digest(store, digest);
    uint64_t sum = running_snapshot_load(store, running_snapshot_bytes(&whole.bytes), digest);
    buffer_deinit(&whole.bytes);
    return sum;
}

/* ---- the walk ---- */

/* Each key once, as it was when the walk began. */
static inline void running_snapshot_end(struct running_snapshot *snapshot,
                                        const struct store *store) {
    if (!snapshot->is_running) {
        return;
    }
    bool is_done = snapshot->walk.is_done;
    snapshot_walk_end(&snapshot->walk);
    snapshot->is_running = false;
    if (is_done) {
        uint64_t sum = running_snapshot_load(store, running_snapshot_bytes(&snapshot->bytes),
                                             snapshot->digest);
        require(sum == snapshot->sum);
        snapshot->whole_count++;
        snapshot->in_pieces_count += snapshot->pieces_count > 0;
    } else {
        snapshot->cancelled_count++;
    }
    buffer_deinit(&snapshot->bytes);
}

/* Begins one of that node, or goes on with the one that runs, of whatever node. `elements_max`:
 * larger collections go out in pieces. */
static inline void running_snapshot_step(struct running_snapshot *snapshot, struct world *world,
                                         unsigned node, uint64_t elements_max, unsigned work) {
    if (snapshot->is_running) {
        if (snapshot_walk_step(&snapshot->walk, work)) {
            running_snapshot_end(snapshot, &world->nodes[snapshot->node].store);
        }
        return;
    }
    struct store *store = &world->nodes[node].store;
    snapshot->is_running = true;
    snapshot->node = node;
    snapshot->bytes = (struct buffer){0};
    snapshot->pieces_count = 0;
    store->elements_a_step = elements_max;
    store_digest(store, snapshot->digest);
    snapshot->sum = running_snapshot_check_state(store);
    snapshot_walk_begin(&snapshot->walk, store, running_snapshot_emit, snapshot);
    snapshot_walk_take_pieces(&snapshot->walk, running_snapshot_piece);
}

/* Goes on to the end. */
static inline void running_snapshot_finish(struct running_snapshot *snapshot, struct world *world) {
    while (snapshot->is_running) {
        running_snapshot_step(snapshot, world, 0, 0, 100);
    }
}

#endif
