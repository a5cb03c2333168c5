/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/store.h"

#include "crdt/xstream.h"
#include "store/collection.h"
#include "store/elements.h"
#include "store/gathered.h"
#include "store/merge.h"
#include "store/mutate.h"
#include "store/notify.h"

enum {
    /* Larger values are freed in the background. */
    STORE_FREE_LATER_BYTES = 8 << 20,
    STORE_ELEMENTS_A_STEP = 256,
    STORE_PENDING_LOOKS = 64,
    LFU_INITIAL = 5,
    /* For each so many keys a bucket is looked at, ten times a second: each at least once in two
     * and a half days, where there are no more buckets than keys. */
    AGE_KEYS_A_BUCKET = 1 << 21,
};

/* ---- lifecycle ---- */

static uint64_t store_table_hash(const void *item, const void *udata) {
    return hash_bytes(*(const struct hash_seed *)udata, entry_key((const struct entry *)item));
}

void store_init(struct store *store, const struct store_opts *opts) {
    require(opts->dbs_count >= 1);
    require(opts->dbs_count <= CHANGE_DATABASES_MAX);
    *store = (struct store){.dbs_count = opts->dbs_count,
                            .is_alone = true,
                            .elements_a_step = STORE_ELEMENTS_A_STEP,
                            .pending_looks_max = STORE_PENDING_LOOKS,
                            .lfu_log_factor = 10,
                            .lfu_decay_minutes = 1};
    replicas_init(&store->replicas);
    prng_init(&store->prng, opts->seed);
    store->seed.a = prng_next(&store->prng);
    store->seed.b = prng_next(&store->prng);
    store->element_seed.a = prng_next(&store->prng);
    store->element_seed.b = prng_next(&store->prng);
    for (unsigned type = 0; type < VALUE_TYPES_COUNT; type++) {
        store->packing[type] = (struct store_packing){
            .entries_max = type == VALUE_HASH ? 512 : 128, .integers_max = 512, .bytes_max = 64};
    }
    store->dbs = memory_alloc_zero(opts->dbs_count * sizeof(store->dbs[0]));
    for (unsigned db = 0; db < opts->dbs_count; db++) {
        table_init(&store->dbs[db].table, store_table_hash, &store->seed);
        store->dbs[db].number = db;
    }
}

static void store_free_visit(void *item, void *udata) {
    (void)udata;
    entry_free((struct entry *)item);
}

void mutate_free_table(void *object) {
    struct table *table = (struct table *)object;
    uint64_t position = 0;
    do {
        position = table_walk(table, position, store_free_visit, NULL);
    } while (position != 0);
    table_deinit(table);
    memory_free(table);
}

void store_deinit(struct store *store) {
    for (struct contested *contested = store->unsettled; contested != NULL;
         contested = contested->next) {
        contested->is_listed = false;
    }
    for (struct collection *collection = store->expiring; collection != NULL;
         collection = collection->next_expiring) {
        collection->is_expiring = false;
    }
    for (unsigned db = 0; db < store->dbs_count; db++) {
        struct table *table = memory_alloc(sizeof(*table));
        *table = store->dbs[db].table;
        mutate_free_table(table);
    }
    memory_free(store->dbs);
    memory_free(store->list_positions);
    replicas_deinit(&store->replicas);
    change_writer_deinit(&store->journal);
    buffer_deinit(&store->packed_scratch);
    gathered_free(store->gathered);
    *store = (struct store){0};
}

bool store_begin_replica(struct store *store, const struct replica_id *id) {
    unsigned slot = replicas_add(&store->replicas, id);
    if (slot == 0) {
        return false;
    }
    store->replicas.self = slot;
    memory_free(store->list_positions);
    store->list_positions = NULL;
    return true;
}

void store_set_now(struct store *store, int64_t now_ms) {
    store->now_ms = now_ms;
    hybrid_clock_set_wall(&store->clock, now_ms);
}

void store_spread_unit(struct store *store) {
    const struct replicas *replicas = &store->replicas;
    if (!store->is_alone && !store->journal.is_unit_open && replicas->slots != NULL) {
        hybrid_clock_spread(&store->clock, store->now_ms, replicas->slots[replicas->self].ref);
    }
}

/* ---- what the mutators share ---- */

static void store_free_entry(void *object) {
    entry_free((struct entry *)object);
}

void mutate_tell(struct store *store, const struct key *key, const struct entry *entry) {
    if (key->in != NULL) {
        collection_before_element(store, key->in, key->name);
    } else if (entry != NULL) {
        snapshot_walk_before_change(store->walk, key->db, key->hash, entry);
    }
}

/* Is it about a consumer group of a stream? */
static bool is_of_group(const struct key *place) {
    char kind = place->in->type == VALUE_STREAM && place->name.size > 0 ? place->name.data[0] : 0;
    return kind == XSTREAM_GROUP || kind == XSTREAM_CONSUMER || kind == XSTREAM_PENDING;
}

void mutate_touch(struct store *store, const struct key *key) {
    if (key->in == NULL) {
        store->touch(store->udata, key, STORE_TOUCH_KEY);
    } else if (key->in->entry != NULL) {
        struct key owner = collection_owner(store, key->in);
        store->touch(store->udata, &owner, is_of_group(key) ? STORE_TOUCH_GROUPS : STORE_TOUCH_KEY);
    }
}

void mutate_set_element(const struct key *key, struct change *change) {
    change->type = key->in->type;
    change->is_key_fresh = key->in->is_key_fresh;
    key->in->is_key_fresh = false;
    change->element = key->name;
    change->key = entry_key(key->in->entry);
}

/* Its place in the table has gone. */
static void detach(struct store *store, struct keyspace *space, struct entry *entry) {
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        contested_detach(store, space, entry_contested(entry));
    } else if (entry_kind(entry) == ENTRY_COLLECTION) {
        collection_detach(store, entry_collection(entry));
    }
}

/* Collections go by themselves: each may be large, or needed by a walk. */
static void release_collections(struct store *store, struct contested *contested) {
    while (contested->collections != NULL) {
        struct collection *collection = contested->collections;
        contested->collections = collection->next;
        collection_release(store, collection);
    }
}

void mutate_free(struct store *store, struct entry *entry) {
    enum entry_kind kind = entry_kind(entry);
    if (unlikely(kind == ENTRY_COLLECTION)) {
        collection_release(store, entry_collection(entry));
        memory_free_sized(entry, entry_block_bytes(entry));
        return;
    }
    if (unlikely(kind == ENTRY_CONTESTED)) {
        release_collections(store, entry_contested(entry));
    }
    if (unlikely(kind == ENTRY_LARGE) && store->free_later != NULL &&
        entry_large(entry)->capacity > STORE_FREE_LATER_BYTES) {
        store->free_later(store->udata, store_free_entry, entry);
        return;
    }
    entry_free(entry);
}

void mutate_put(struct store *store, const struct key *key, uint64_t *slot, struct entry *entry) {
    struct keyspace *space = mutate_space(store, key);
    struct table *table = &space->table;
    bool is_marked = entry_expire_unix_ms(entry) != 0;
    if (slot == NULL) {
        table_insert(table, key->hash, entry, is_marked);
        if (key->in == NULL) {
            store_notify(store, NOTIFY_NEW, "new", key);
        }
        return;
    }
    struct entry *old = table_item(*slot);
    require(entry_kind(old) != ENTRY_CONTESTED);
    detach(store, space, old);
    table_mark(table, key->hash, slot, is_marked);
    table_replace(slot, entry);
    mutate_free(store, old);
}

void mutate_remove(struct store *store, const struct key *key, uint64_t *slot) {
    struct keyspace *space = mutate_space(store, key);
    struct table *table = &space->table;
    struct entry *entry = table_item(*slot);
    mutate_before(store, key, entry);
    detach(store, space, entry);
    table_remove(table, key->hash, slot);
    table_shrink_segment(table, key->hash);
    /* `key` may point into the entry: tell first, free last. */
    mutate_after(store, key);
    mutate_free(store, entry);
}

static void store_record_delete(struct store *store, const struct key *key) {
    struct change change = {
        .kind = CHANGE_DELETE, .db = key->db, .stamp = mutate_stamp(store), .key = key->name};
    mutate_record(store, key, &change);
}

void mutate_delete(struct store *store, const struct key *key, uint64_t *slot) {
    if (unlikely(merge_is_intricate(store, table_item(*slot)))) {
        merge_delete(store, key);
        return;
    }
    store_record_delete(store, key);
    mutate_remove(store, key, slot);
}

void mutate_expire(struct store *store, const struct key *key, uint64_t *slot) {
    if (key->in != NULL) {
        mutate_delete(store, key, slot);
        store->stats.expired_fields++; /* whoever works on the hash tells of it */
        return;
    }
    /* First, since `key` may lie in the entry; nobody can look in between. */
    store_notify(store, NOTIFY_EXPIRED, "expired", key);
    mutate_delete(store, key, slot);
    store->stats.expired++;
}

uint64_t mutate_record_value(struct store *store, const struct key *key, uint64_t stamp,
                             struct slice value, uint64_t expire_unix_ms) {
    if (!store->journal.is_on) {
        return stamp;
    }
    enum change_kind kind = expire_unix_ms == 0            ? CHANGE_SET
                            : expire_unix_ms == UINT64_MAX ? CHANGE_SET_KEEPING
                                                           : CHANGE_SET_EXPIRING;
    size_t first = value.size < CHANGE_VALUE_BYTES_MAX ? value.size : CHANGE_VALUE_BYTES_MAX;
    if (likely(key->in == NULL)) {
        mutate_hand_on_full(store);
        change_writer_add_value(&store->journal, kind, store->dbs[key->db].number, stamp, key->name,
                                slice_make(value.data, first), expire_unix_ms);
    } else {
        struct change change = {.kind = kind,
                                .db = key->db,
                                .stamp = stamp,
                                .key = key->name,
                                .value = slice_make(value.data, first),
                                .expire_unix_ms = expire_unix_ms};
        mutate_record(store, key, &change);
    }
    for (size_t offset = first; offset < value.size;) {
        size_t size = value.size - offset;
        size = size < CHANGE_VALUE_BYTES_MAX ? size : CHANGE_VALUE_BYTES_MAX;
        stamp = mutate_stamp(store);
        struct change more = {.kind = CHANGE_MORE,
                              .db = key->db,
                              .stamp = stamp,
                              .key = key->name,
                              .value = slice_make(value.data + offset, size)};
        mutate_record(store, key, &more);
        offset += size;
    }
    return stamp;
}

/* ---- access time and frequency ---- */

static unsigned lfu_decayed(const struct store *store, uint32_t access) {
    unsigned counter = access & 0xFF;
    uint32_t minutes = ((uint32_t)(store->now_ms / 60000) - (access >> 8)) & 0xFFFF;
    unsigned periods = store->lfu_decay_minutes > 0 ? minutes / store->lfu_decay_minutes : 0;
    return periods < counter ? counter - periods : 0;
}

/* A logarithmic counter: the higher it is, the less likely it rises
 * (https://redis.io/docs/latest/develop/reference/eviction/, "The LFU mode"). */
static unsigned lfu_increment(struct store *store, unsigned counter) {
    if (counter == 255) {
        return 255;
    }
    double above = counter > LFU_INITIAL ? counter - LFU_INITIAL : 0;
    double chance = 1.0 / (above * store->lfu_log_factor + 1);
    return prng_unit(&store->prng) < chance ? counter + 1 : counter;
}

void store_touch_access(struct store *store, struct entry *entry) {
    if (unlikely(store->no_touch)) {
        return;
    }
    if (unlikely(store->uses_lfu)) {
        unsigned counter = lfu_increment(store, lfu_decayed(store, entry_access(entry)));
        entry_set_access(entry, (uint32_t)(store->now_ms / 60000 & 0xFFFF) << 8 | counter);
        return;
    }
    uint32_t now = access_now(store->now_ms);
    if (entry_access(entry) != now) {
        entry_set_access(entry, now);
    }
}

uint64_t store_idle_ticks(const struct store *store, const struct entry *entry) {
    return access_idle_ticks(entry_access(entry), store->now_ms);
}

uint64_t store_idle_seconds(const struct store *store, const struct entry *entry) {
    /* Counted from the beginning of the tick: a second that has passed shows. */
    uint64_t ms = store_idle_ticks(store, entry) << ACCESS_TICK_BITS;
    return (ms + (uint64_t)(store->now_ms & ((1 << ACCESS_TICK_BITS) - 1))) / 1000;
}

unsigned store_frequency(const struct store *store, const struct entry *entry) {
    return lfu_decayed(store, entry_access(entry));
}

void store_set_idle_seconds(struct store *store, struct entry *entry, uint64_t seconds) {
    static const uint64_t SECONDS_MAX = UINT64_C(1) << 40; /* more than the field can say */
    if (!store->uses_lfu) {
        uint64_t ms = (seconds < SECONDS_MAX ? seconds : SECONDS_MAX) * 1000;
        uint64_t ticks = (ms + (1 << ACCESS_TICK_BITS) - 1) >> ACCESS_TICK_BITS;
        entry_set_access(entry, access_of_idle(ticks, store->now_ms));
    }
}

void store_set_frequency(struct store *store, struct entry *entry, unsigned frequency) {
    if (store->uses_lfu) {
        entry_set_access(entry,
                         (uint32_t)(store->now_ms / 60000 & 0xFFFF) << 8 | (frequency & 0xFF));
    }
}

static void age_visit(void *item, void *udata) {
    const struct store *store = (const struct store *)udata;
    struct entry *entry = (struct entry *)item;
    uint32_t access = entry_access(entry), aged = access_aged(access, store->now_ms);
    if (aged != access) {
        entry_set_access(entry, aged);
    }
}

void store_age_some(struct store *store) {
    for (unsigned db = 0; db < store->dbs_count && !store->uses_lfu; db++) {
        struct keyspace *keyspace = &store->dbs[db];
        uint64_t buckets = keyspace->table.count / AGE_KEYS_A_BUCKET + (keyspace->table.count > 0);
        for (; buckets > 0; buckets--) {
            keyspace->age_position =
                table_walk(&keyspace->table, keyspace->age_position, age_visit, store);
        }
    }
}

uint32_t store_loaded_access(const struct store *store, uint32_t access) {
    if (store->loaded_ms == 0 || store->uses_lfu) {
        return access;
    }
    uint64_t ticks = access_idle_ticks(access, store->loaded_ms);
    int64_t since_ms = store->now_ms - store->loaded_ms;
    return access_of_idle(ticks + (uint64_t)(since_ms > 0 ? since_ms : 0) / (1 << ACCESS_TICK_BITS),
                          store->now_ms);
}

/* ---- keys ---- */

struct entry *store_peek(struct store *store, const struct key *key) {
    uint64_t *slot = mutate_slot(store, key);
    if (slot == NULL) {
        return NULL;
    }
    struct entry *entry = table_item(*slot);
    if (unlikely((entry->meta & ENTRY_HAS_EXPIRY) != 0)) {
        if (entry_is_hidden(entry)) {
            return NULL;
        }
        if (mutate_is_expired(store, entry)) {
            if (mutate_may_expire(store, entry)) {
                mutate_expire(store, key, slot);
            }
            return NULL;
        }
    }
    return entry;
}

struct entry *store_read(struct store *store, const struct key *key) {
    struct entry *entry = store_peek(store, key);
    if (entry == NULL) {
        store->stats.misses++;
        store_notify(store, NOTIFY_MISS, "keymiss", key);
        return NULL;
    }
    store->stats.hits++;
    store_touch_access(store, entry);
    return entry;
}

struct entry *store_peek_to_write(struct store *store, const struct key *key) {
    struct entry *entry = store_peek(store, key);
    if (entry != NULL) {
        store_touch_access(store, entry);
    }
    return entry;
}

bool store_holds(const struct store *store, const struct key *key, bool *is_expired) {
    const uint64_t *slot = mutate_slot(store, key);
    const struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    bool is_there = entry != NULL && !entry_is_hidden(entry);
    *is_expired = is_there && mutate_is_expired(store, entry);
    return is_there;
}

bool store_delete(struct store *store, const struct key *key) {
    uint64_t *slot = mutate_slot(store, key);
    if (slot == NULL || entry_is_hidden(table_item(*slot))) {
        return false;
    }
    if (mutate_is_expired(store, table_item(*slot))) {
        /* Whose expiry it was does not matter: this is a write. */
        if (!store->expiry_is_paused) {
            mutate_expire(store, key, slot);
        }
        return false;
    }
    mutate_delete(store, key, slot);
    return true;
}

void mutate_put_expiry(struct store *store, const struct key *key, uint64_t *slot, uint64_t stamp,
                       uint64_t expire_unix_ms) {
    struct table *table = &mutate_space(store, key)->table;
    struct entry *old = table_item(*slot);
    struct entry_parts parts;
    entry_take_apart(old, &parts);
    mutate_before(store, key, old);
    parts.has_expiry = expire_unix_ms != 0;
    parts.expire_unix_ms = expire_unix_ms;
    /* The stamp stays without an expiry, too: a snapshot walk tells by it that the entry changed.
     */
    parts.expire_stamp = stamp;
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    table_mark(table, key->hash, slot, parts.has_expiry);
    table_replace(slot, entry);
    /* Not entry_free(): a large value, or a collection, has moved over. */
    memory_free_sized(old, entry_block_bytes(old));
    mutate_after(store, key);
}

bool store_expire(struct store *store, const struct key *key, uint64_t expire_unix_ms) {
    struct entry *entry = store_peek(store, key);
    if (entry == NULL || (expire_unix_ms == 0 && entry_expire_unix_ms(entry) == 0)) {
        return false;
    }
    if (expire_unix_ms != 0 && (int64_t)expire_unix_ms <= store->now_ms &&
        !store->expiry_is_paused) {
        mutate_delete(store, key, mutate_slot(store, key));
        return true;
    }
    struct change change = {.kind = CHANGE_EXPIRE,
                            .db = key->db,
                            .stamp = mutate_stamp(store),
                            .key = key->name,
                            .expire_unix_ms = expire_unix_ms};
    if (unlikely(entry_kind(entry) == ENTRY_CONTESTED)) {
        (void)merge_write(store, key, &change);
        return true;
    }
    mutate_record(store, key, &change);
    mutate_put_expiry(store, key, mutate_slot(store, key), change.stamp, expire_unix_ms);
    return true;
}

/* The parts of a copy under another name: counters become plain registers, since the name is new
 * to everybody. */
static enum store_status store_copy_parts(const struct entry *entry, struct entry_scratch *scratch,
                                          const struct key *to, struct entry_parts *parts) {
    entry_take_apart(entry, parts);
    parts->key = to->name;
    parts->expire_stamp = 0;
    switch (parts->kind) {
    case ENTRY_BYTES:
    case ENTRY_INTEGER:
        break;
    case ENTRY_COUNTER:
    case ENTRY_COUNTER_REGISTER:
        (void)entry_integer(entry, &parts->integer);
        parts->kind = ENTRY_INTEGER;
        break;
    case ENTRY_CONTESTED:
        if (entry_contested(entry)->shown == CONTESTED_SHOWS_INTEGER) {
            parts->integer = entry_contested(entry)->shown_integer;
            parts->kind = ENTRY_INTEGER;
            break;
        }
        /* fall through */
    case ENTRY_FLOAT_COUNTER:
    case ENTRY_LARGE:
        /* The text of a float can be long, too. */
        parts->bytes = entry_value(entry, scratch);
        parts->kind = ENTRY_BYTES;
        if (parts->bytes.size > ENTRY_INLINE_VALUE_BYTES_MAX) {
            parts->kind = ENTRY_LARGE;
            parts->large = large_string_copy(parts->bytes);
            if (parts->large == NULL) {
                return STORE_OUT_OF_MEMORY;
            }
        }
        break;
    case ENTRY_PACKED:
    case ENTRY_COLLECTION:
        impossible("collections are copied by elements_copy()");
    }
    return STORE_OK;
}

static bool store_same_key(const struct key *a, const struct key *b) {
    return a->db == b->db && a->hash == b->hash && slice_equal(a->name, b->name);
}

enum store_status store_copy(struct store *store, const struct key *from, const struct key *to) {
    struct entry *source = store_peek(store, from);
    if (source == NULL) {
        return STORE_ABSENT;
    }
    if (store_same_key(from, to)) {
        return STORE_OK;
    }
    if (entry_type(source) != VALUE_STRING) {
        return elements_copy(store, from, to);
    }
    struct entry_scratch scratch;
    struct entry_parts parts;
    uint64_t *slot = mutate_slot(store, to);
    if (unlikely(slot != NULL && merge_is_intricate(store, table_item(*slot)))) {
        return merge_set(store, to, entry_value(source, &scratch), entry_expire_unix_ms(source));
    }
    enum store_status status = store_copy_parts(source, &scratch, to, &parts);
    if (status != STORE_OK) {
        return status;
    }
    if (slot != NULL) {
        mutate_before(store, to, table_item(*slot));
    }
    struct entry_scratch value_scratch;
    parts.stamp = mutate_stamp(store);
    parts.stamp = mutate_record_value(store, to, parts.stamp, entry_value(source, &value_scratch),
                                      parts.expire_unix_ms);
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    mutate_put(store, to, slot, entry);
    mutate_after(store, to);
    return STORE_OK;
}

enum store_status store_rename(struct store *store, const struct key *from, const struct key *to) {
    struct entry *source = store_peek(store, from);
    if (source == NULL) {
        return STORE_ABSENT;
    }
    if (store_same_key(from, to)) {
        return STORE_OK;
    }
    if (entry_type(source) != VALUE_STRING && elements_rename(store, from, to)) {
        return STORE_OK;
    }
    uint64_t *target = mutate_slot(store, to);
    if (entry_kind(source) != ENTRY_LARGE ||
        (target != NULL && merge_is_intricate(store, table_item(*target)))) {
        enum store_status status = store_copy(store, from, to);
        if (status == STORE_OK) {
            (void)store_delete(store, from);
        }
        return status;
    }
    /* A large value changes hands: the source's entry keeps an empty one to be freed with. */
    struct large_string *empty = large_string_new(0, 0);
    require(empty != NULL);
    struct entry_parts parts;
    entry_take_apart(source, &parts);
    mutate_before(store, from, source);
    parts.key = to->name;
    parts.expire_stamp = 0;
    uint64_t *slot = mutate_slot(store, to);
    if (slot != NULL) {
        mutate_before(store, to, table_item(*slot));
    }
    parts.stamp = mutate_record_value(store, to, mutate_stamp(store),
                                      slice_make(parts.large->bytes, parts.large->size),
                                      parts.expire_unix_ms);
    entry_store64(entry_body(source), (uint64_t)(uintptr_t)empty);
    /* The walk has the old state already, and must not see the emptied one. */
    source->stamp = parts.stamp;
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    mutate_put(store, to, slot, entry);
    mutate_after(store, to);
    store_record_delete(store, from);
    mutate_remove(store, from, mutate_slot(store, from));
    return STORE_OK;
}

struct random_walk {
    const struct store *store;
    struct entry *visible, *expired; /* one of each, if there is any */
};

static void random_visit(void *item, void *udata) {
    struct random_walk *walk = (struct random_walk *)udata;
    struct entry *entry = (struct entry *)item;
    if (entry_is_hidden(entry)) {
        return;
    }
    if (mutate_is_expired(walk->store, entry)) {
        walk->expired = entry;
    } else {
        walk->visible = entry;
    }
}

/* For a database of nearly nothing but expired or hidden entries: walks from a random place on
 * until something is found. */
static struct entry *random_after_walk(struct store *store, unsigned db) {
    const struct table *table = &store->dbs[db].table;
    struct random_walk walk = {.store = store};
    uint64_t position = prng_next(&store->prng);
    /* Once to the end, and once more from the beginning. */
    for (unsigned ends = 0; ends < 2 && walk.visible == NULL;) {
        position = table_walk(table, position, random_visit, &walk);
        ends += position == 0;
    }
    return walk.visible != NULL ? walk.visible : walk.expired;
}

struct entry *store_random(struct store *store, unsigned db) {
    struct table *table = &store->dbs[db].table;
    enum { TRIES_MAX = 100 };
    for (unsigned tries = 0; store_visible_count(store, db) > 0; tries++) {
        /* While nothing may be removed, a database of only expired keys must not loop for ever. */
        if (tries > TRIES_MAX) {
            return random_after_walk(store, db);
        }
        struct entry *entry = table_random(table, &store->prng, false);
        if (!mutate_is_invisible(store, entry)) {
            return entry;
        }
        if (!entry_is_hidden(entry) && mutate_may_expire(store, entry)) {
            struct key key = store_key(store, db, entry_key(entry));
            mutate_expire(store, &key, mutate_slot(store, &key));
            tries = 0;
        }
    }
    return NULL;
}

uint64_t store_count(const struct store *store, unsigned db) {
    return store->dbs[db].table.count;
}

uint64_t store_visible_count(const struct store *store, unsigned db) {
    return store->dbs[db].table.count - store->dbs[db].hidden_count;
}
