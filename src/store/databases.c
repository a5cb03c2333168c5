/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/databases.h"

#include "base/varint.h"
#include "store/mutate.h"

unsigned store_database_index(const struct store *store, unsigned number) {
    require(number < store->dbs_count);
    if (store->dbs[number].number == number) {
        return number; /* never swapped */
    }
    unsigned index = 0;
    while (store->dbs[index].number != number) {
        index++;
    }
    return index;
}

static void put_order(struct buffer *out, const unsigned *order, unsigned count) {
    while (count > 0 && order[count - 1] == count - 1) {
        count--;
    }
    for (unsigned i = 0; i < count; i++) {
        out->size += varint_put(buffer_reserve(out, VARINT_BYTES_MAX), order[i]);
    }
}

static unsigned *copy_order(const struct store *store) {
    unsigned *order = memory_alloc(store->dbs_count * sizeof(order[0]));
    for (unsigned i = 0; i < store->dbs_count; i++) {
        order[i] = store->dbs[i].number;
    }
    return order;
}

void databases_put_order(const struct store *store, struct buffer *out) {
    unsigned *order = copy_order(store);
    put_order(out, order, store->dbs_count);
    memory_free(order);
}

/* Reads an order into `order`, as long as there are databases; false when it is none. */
static bool read_order(const struct store *store, struct slice bytes, unsigned *order) {
    bool *is_used = memory_alloc_zero(store->dbs_count * sizeof(is_used[0]));
    unsigned count = 0;
    bool is_sound = true;
    while (bytes.size > 0 && is_sound) {
        uint64_t number;
        is_sound = count < store->dbs_count && varint_take(&bytes, &number) &&
                   number < store->dbs_count && !is_used[number];
        if (is_sound) {
            is_used[number] = true;
            order[count++] = (unsigned)number;
        }
    }
    for (; count < store->dbs_count && is_sound; count++) {
        is_sound = !is_used[count];
        order[count] = count;
    }
    memory_free(is_used);
    return is_sound;
}

bool databases_check_order(const struct store *store, struct slice bytes) {
    unsigned *order = memory_alloc(store->dbs_count * sizeof(order[0]));
    bool is_sound = read_order(store, bytes, order);
    memory_free(order);
    return is_sound;
}

/* A watched key changes when its database goes from an index and when another one comes there. */
static void touch_moved(struct store *store, const unsigned *before, const unsigned *after,
                        enum store_touch touch) {
    for (unsigned i = 0; i < store->dbs_count; i++) {
        if (before[i] != after[i]) {
            mutate_touch_all(store, i, touch);
        }
    }
}

/* Puts the databases into `order`. */
static void set_order(struct store *store, const unsigned *order) {
    unsigned *before = copy_order(store);
    if (memcmp(before, order, store->dbs_count * sizeof(order[0])) != 0) {
        snapshot_walk_cancel_all(store->walk);
        /* It walks by index, too. */
        store->retirement = (struct store_retirement){0};
        touch_moved(store, before, order, STORE_TOUCH_ALL_LEAVE);
        struct keyspace *dbs = memory_alloc(store->dbs_count * sizeof(dbs[0]));
        for (unsigned i = 0; i < store->dbs_count; i++) {
            dbs[i] = store->dbs[store_database_index(store, order[i])];
        }
        memcpy(store->dbs, dbs, store->dbs_count * sizeof(dbs[0]));
        memory_free(dbs);
        touch_moved(store, before, order, STORE_TOUCH_ALL_CAME);
        store->stats.dirty++;
    }
    memory_free(before);
}

void databases_take_order(struct store *store, uint64_t stamp, struct slice bytes) {
    if (replicas_compare_stamps(&store->replicas, stamp, store->order_stamp) <= 0) {
        return;
    }
    unsigned *order = memory_alloc(store->dbs_count * sizeof(order[0]));
    require(read_order(store, bytes, order));
    store->order_stamp = stamp;
    set_order(store, order);
    memory_free(order);
}

void databases_follow_order(struct store *store, const struct store *other) {
    require(store->dbs_count == other->dbs_count);
    unsigned *order = copy_order(other);
    set_order(store, order);
    memory_free(order);
}

void store_swap(struct store *store, unsigned db, unsigned other_db) {
    if (db == other_db) {
        return;
    }
    unsigned *order = copy_order(store);
    unsigned number = order[db];
    order[db] = order[other_db];
    order[other_db] = number;
    struct buffer value = {0};
    put_order(&value, order, store->dbs_count);
    struct change change = {
        .kind = CHANGE_SWAP, .stamp = mutate_stamp(store), .value = buffer_slice(&value)};
    mutate_record(store, NULL, &change);
    store->order_stamp = change.stamp;
    set_order(store, order);
    buffer_deinit(&value);
    memory_free(order);
}

enum store_status databases_apply_swap(struct store *store, const struct change *change) {
    if (!databases_check_order(store, change->value)) {
        return STORE_MALFORMED;
    }
    uint64_t before = store->order_stamp;
    bool wins = replicas_compare_stamps(&store->replicas, change->stamp, before) > 0;
    /* What its writer had seen has a smaller stamp, so a loser is always concurrent. */
    if (before != 0 && before != change->stamp &&
        (!wins || !mutate_has_seen(store, stamp_slot(change->stamp), before))) {
        store->conflicts_count++;
        if (store->conflict != NULL) {
            struct key none = {0};
            store->conflict(store->udata, &none, STORE_CONFLICT_SWAP, wins ? change->stamp : before,
                            wins ? before : change->stamp);
        }
    }
    databases_take_order(store, change->stamp, change->value);
    return STORE_OK;
}
