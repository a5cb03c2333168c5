/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/collection.h"

#include <stdlib.h>

#include "base/prefetch.h"
#include "store/graves.h"
#include "store/merge.h"
#include "store/prefetch.h"
#include "store/sequence.h"
#include "store/snapshot_elements.h"
#include "store/xstreams.h"

enum {
    COLLECTION_FREE_LATER = 256, /* with more elements: in the background */
    BUCKET_ENTRIES_MAX = 4096,   /* a bucket holds eight, and what spills over */
    RECENT_MIN = 4,              /* of collection_recent */
    RECENT_MAX = 1024,
    RECENT_PART = 16,
    WALK_ENTRIES_MIN = 48, /* gathered before they are visited */
    WALK_ENTRIES_MAX = WALK_ENTRIES_MIN + BUCKET_ENTRIES_MAX,
};

/* ---- lifecycle ---- */

static uint64_t element_hash(const void *item, const void *udata) {
    return hash_bytes(*(const struct hash_seed *)udata, entry_key((const struct entry *)item));
}

static struct slice element_name(const void *item) {
    return entry_key((const struct entry *)item);
}

struct collection *collection_new(const struct store *store, enum value_type type,
                                  unsigned number) {
    struct collection *collection = memory_alloc_zero(sizeof(*collection));
    collection->type = type;
    collection->database = number;
    collection->space.number = number;
    table_init(&collection->space.table, element_hash, &store->element_seed);
    if (type == VALUE_SORTED_SET) {
        order_tree_init(&collection->order, element_name);
    }
    if (type == VALUE_STREAM && store->pending_looks_max == 0) {
        xstream_pending_begin(collection);
    }
    return collection;
}

static void free_visit(void *item, void *udata) {
    (void)udata;
    entry_free((struct entry *)item);
}

void collection_free(struct collection *collection) {
    uint64_t position = 0;
    require(!collection->is_expiring);
    require(collection->walks == NULL);
    retire_forget_collection(collection);
    if (collection->type == VALUE_SORTED_SET) {
        order_tree_deinit(&collection->order);
    }
    ordered_map_free(&collection->map, NULL, NULL);
    ordered_map_free(&collection->seen, NULL, NULL);
    xstream_pending_drop(collection);
    do {
        position = table_walk(&collection->space.table, position, free_visit, NULL);
    } while (position != 0);
    table_deinit(&collection->space.table);
    graves_free(collection);
    memory_free(collection->recent);
    memory_free(collection->newest);
    memory_free(collection);
}

static void free_object(void *object) {
    collection_free((struct collection *)object);
}

void collection_release(struct store *store, struct collection *collection) {
    if (unlikely(collection->walks != NULL) && snapshot_elements_keep(collection)) {
        return;
    }
    if ((collection_count(collection) > COLLECTION_FREE_LATER || collection->grave != NULL) &&
        store->free_later != NULL) {
        store->free_later(store->udata, free_object, collection);
    } else {
        collection_free(collection);
    }
}

struct key collection_key(const struct store *store, struct collection *collection, unsigned db,
                          struct slice name) {
    return (struct key){
        .name = name, .hash = hash_bytes(store->element_seed, name), .db = db, .in = collection};
}

struct key collection_owner(const struct store *store, const struct collection *collection) {
    return store_key(store, store_database_index(store, collection->database),
                     entry_key(collection->entry));
}

/* ---- lists of the store ---- */

void collection_set_expiring(struct store *store, struct collection *collection, bool is_expiring) {
    if (collection->is_expiring == is_expiring) {
        return;
    }
    collection->is_expiring = is_expiring;
    if (is_expiring) {
        collection->previous_expiring = NULL;
        collection->next_expiring = store->expiring;
        if (store->expiring != NULL) {
            store->expiring->previous_expiring = collection;
        }
        store->expiring = collection;
        return;
    }
    if (store->expiring_next == collection) {
        store->expiring_next = collection->next_expiring;
    }
    if (collection->previous_expiring != NULL) {
        collection->previous_expiring->next_expiring = collection->next_expiring;
    } else {
        store->expiring = collection->next_expiring;
    }
    if (collection->next_expiring != NULL) {
        collection->next_expiring->previous_expiring = collection->previous_expiring;
    }
    collection->previous_expiring = collection->next_expiring = NULL;
}

struct element_walk {
    struct store *store;
    struct collection *collection;
    unsigned count;
    struct entry *entries[WALK_ENTRIES_MAX];
};

static void gather_visit(void *item, void *udata) {
    struct element_walk *walk = (struct element_walk *)udata;
    require(walk->count < WALK_ENTRIES_MAX);
    walk->entries[walk->count++] = (struct entry *)item;
}

/* Asks for what most visitors read, one pointer after the other, as store/prefetch.h does. */
static void prefetch_gathered(const struct element_walk *walk) {
    for (unsigned i = 0; i < walk->count; i++) {
        prefetch_lines(walk->entries[i], 2);
    }
    for (unsigned i = 0; i < walk->count; i++) {
        if (entry_kind(walk->entries[i]) == ENTRY_CONTESTED) {
            prefetch_lines(entry_contested(walk->entries[i]), 4);
        }
    }
    for (unsigned i = 0; i < walk->count; i++) {
        if (entry_kind(walk->entries[i]) == ENTRY_CONTESTED) {
            contested_prefetch(entry_contested(walk->entries[i]));
        }
    }
}

void collection_walk(struct store *store, struct collection *collection,
                     void (*each)(struct store *store, struct collection *collection,
                                  struct entry *element, void *udata),
                     void *udata) {
    struct element_walk *walk = memory_alloc(sizeof(*walk));
    uint64_t position = 0;
    walk->store = store;
    do {
        walk->count = 0;
        do {
            position = table_walk(&collection->space.table, position, gather_visit, walk);
        } while (position != 0 && walk->count < WALK_ENTRIES_MIN);
        prefetch_gathered(walk);
        for (unsigned i = 0; i < walk->count; i++) {
            each(store, collection, walk->entries[i], udata);
        }
    } while (position != 0);
    memory_free(walk);
}

static void detach_element(struct store *store, struct collection *collection,
                           struct entry *element, void *udata) {
    (void)udata;
    if (entry_kind(element) == ENTRY_CONTESTED) {
        contested_detach(store, &collection->space, entry_contested(element));
    }
}

void collection_detach(struct store *store, struct collection *collection) {
    collection_set_expiring(store, collection, false);
    if (collection->listed_count > 0) {
        collection_walk(store, collection, detach_element, NULL);
    }
    store->contested_count -= collection->contested_count;
    collection->contested_count = 0;
    collection->space.hidden_count = 0; /* whatever is hidden is contested */
    graves_detach(store, collection);
}

/* ---- what is noted of elements ---- */

static struct collection_newest *newest_of(const struct collection *collection, unsigned slot) {
    for (unsigned i = 0; i < collection->newest_count; i++) {
        if (collection->newest[i].slot == slot) {
            return &collection->newest[i];
        }
    }
    return NULL;
}

void collection_note(struct collection *collection, uint64_t stamp) {
    unsigned slot = stamp_slot(stamp);
    struct collection_newest *newest = newest_of(collection, slot);
    if (newest == NULL) {
        collection->newest = memory_resize(collection->newest, (collection->newest_count + 1) *
                                                                   sizeof(collection->newest[0]));
        newest = &collection->newest[collection->newest_count++];
        *newest = (struct collection_newest){.slot = slot};
    }
    newest->stamp = stamp > newest->stamp ? stamp : newest->stamp;
    if ((collection->recent == NULL || !collection->recent->is_naming) && stamp > newest->unnamed) {
        newest->unnamed = stamp;
    }
}

/* About a byte for each element. */
static unsigned recent_capacity(const struct collection *collection) {
    uint64_t wanted = collection_count(collection) / RECENT_PART;
    return wanted < RECENT_MIN ? RECENT_MIN : wanted > RECENT_MAX ? RECENT_MAX : (unsigned)wanted;
}

/* Makes room behind the newest if the collection has grown; it begins with the oldest. */
static struct collection_recent *recent_grow(struct collection *collection) {
    struct collection_recent *recent = collection->recent;
    unsigned capacity = recent_capacity(collection);
    if (capacity >= 2 * recent->capacity) {
        recent = memory_resize(recent, sizeof(*recent) + capacity * sizeof(recent->changes[0]));
        recent->next = recent->capacity;
        recent->capacity = capacity;
        collection->recent = recent;
    }
    return recent;
}

/* The element of that hash has got the stamp, which was noted. */
static void recent_add(struct collection *collection, uint64_t hash, uint64_t stamp) {
    struct collection_recent *recent = collection->recent;
    if (recent->next == 0 && recent->count == recent->capacity) {
        recent = recent_grow(collection);
    }
    struct collection_change *change = &recent->changes[recent->next];
    if (recent->count == recent->capacity) {
        struct collection_newest *newest = newest_of(collection, stamp_slot(change->stamp));
        if (newest != NULL && change->stamp > newest->unnamed) {
            newest->unnamed = change->stamp;
        }
    } else {
        recent->count++;
    }
    *change = (struct collection_change){.hash = hash, .stamp = stamp};
    recent->next = recent->next + 1 == recent->capacity ? 0 : recent->next + 1;
}

/* Names of changed elements are kept from when there is reason to. */
static void recent_begin(const struct store *store, struct collection *collection) {
    uint64_t count_min = store->grave_elements_min;
    if (count_min == 0 || store->is_alone || collection_is_sequence(collection->type) ||
        collection_count(collection) < count_min) {
        return;
    }
    unsigned capacity = recent_capacity(collection);
    collection->recent = memory_alloc_zero(sizeof(*collection->recent) +
                                           capacity * sizeof(collection->recent->changes[0]));
    collection->recent->capacity = capacity;
}

static int compare_hashes(const void *a, const void *b) {
    uint64_t first, second;
    memcpy(&first, a, sizeof(first));
    memcpy(&second, b, sizeof(second));
    return first < second ? -1 : first > second;
}

/* Each hash once. */
static void sort_once(struct buffer *hashes) {
    size_t size = sizeof(uint64_t), kept = 0;
    if (hashes->size == 0) {
        return;
    }
    qsort(hashes->data, hashes->size / size, size, compare_hashes);
    for (size_t at = size; at < hashes->size; at += size) {
        if (memcmp(hashes->data + kept, hashes->data + at, size) != 0) {
            kept += size;
            memmove(hashes->data + kept, hashes->data + at, size);
        }
    }
    hashes->size = kept + size;
}

bool collection_find_unseen(const struct collection *collection, collection_seen_fn has_seen,
                            const void *udata, struct buffer *hashes) {
    bool is_all_seen = true;
    for (unsigned i = 0; i < collection->newest_count; i++) {
        if (!has_seen(udata, collection->newest[i].stamp)) {
            is_all_seen = false;
            if (!has_seen(udata, collection->newest[i].unnamed)) {
                return false;
            }
        }
    }
    const struct collection_recent *recent = collection->recent;
    for (unsigned i = 0; !is_all_seen && recent != NULL && i < recent->count; i++) {
        if (!has_seen(udata, recent->changes[i].stamp)) {
            buffer_append(hashes, &recent->changes[i].hash, sizeof(recent->changes[i].hash));
        }
    }
    sort_once(hashes);
    return true;
}

struct hash_match {
    struct hash_seed seed;
    uint64_t hash;
};

static bool match_hash(const void *item, const void *udata) {
    const struct hash_match *match = (const struct hash_match *)udata;
    return hash_bytes(match->seed, entry_key((const struct entry *)item)) == match->hash;
}

uint64_t *collection_find_hash(const struct store *store, const struct collection *collection,
                               uint64_t hash) {
    struct hash_match match = {.seed = store->element_seed, .hash = hash};
    return table_find(&collection->space.table, hash, match_hash, &match);
}

void collection_note_settled(struct collection *collection, unsigned slot) {
    for (unsigned i = 0; i < collection->newest_count; i++) {
        if (collection->newest[i].slot == slot) {
            collection_note(collection, stamp_make(stamp_ticks(collection->newest[i].stamp),
                                                   STAMP_SLOT_SETTLED));
            break;
        }
    }
}

void collection_retire_slot(struct collection *collection, unsigned slot) {
    collection_note_settled(collection, slot);
    for (unsigned i = 0; i < collection->newest_count; i++) {
        if (collection->newest[i].slot == slot) {
            collection->newest[i] = collection->newest[--collection->newest_count];
            break;
        }
    }
}

double collection_score(const struct entry *element) {
    struct entry_scratch scratch;
    int64_t integer;
    long double number = 0;
    if (entry_kind(element) == ENTRY_INTEGER && entry_integer(element, &integer)) {
        return (double)integer;
    }
    if (entry_kind(element) == ENTRY_CONTESTED) {
        const struct contested *contested = entry_contested(element);
        if (contested->shown == CONTESTED_SHOWS_INTEGER) {
            return (double)contested->shown_integer;
        }
        if (contested->shown == CONTESTED_SHOWS_FLOAT) {
            return (double)contested->shown_float;
        }
    }
    /* A score was checked before it was taken in; from a peer it is a number, or counts as 0. */
    (void)number_parse_float(entry_value(element, &scratch), &number);
    return (double)number;
}

void collection_index(struct collection *collection, struct entry *element) {
    if (collection->type == VALUE_SORTED_SET && !collection->is_order_stale &&
        !entry_is_hidden(element)) {
        order_tree_insert(&collection->order, collection_score(element), element);
    }
}

/* Notes what the order has for the element that is about to change. */
static void index_note(struct collection *collection, const struct entry *element) {
    require(collection->indexed == NULL);
    if (!collection->is_order_stale && !entry_is_hidden(element)) {
        collection->indexed = element;
        collection->indexed_score = collection_score(element);
    }
}

/* Makes the order what it should be for the element of that name, which has changed, or is gone:
 * NULL. Mostly the entry is where it was, and often its score is what it was. */
static void index_update(struct collection *collection, struct slice name, struct entry *element) {
    if (collection->is_order_stale) {
        return;
    }
    struct order_tree *order = &collection->order;
    const struct entry *indexed = collection->indexed;
    double old_score = collection->indexed_score, score = 0;
    bool is_shown = element != NULL && !entry_is_hidden(element);
    collection->indexed = NULL;
    if (is_shown) {
        score = collection_score(element);
    }
    /* By their bytes: the two zeros are to be told apart. */
    bool is_same_score = is_shown && memcmp(&score, &old_score, sizeof(score)) == 0;
    if (indexed != NULL && is_same_score) {
        if (indexed != element) {
            const void *old = order_tree_replace_known(order, score, name, indexed, element);
            ensure(old == indexed);
        }
        return;
    }
    if (indexed != NULL) {
        const void *removed = order_tree_remove_known(order, old_score, name, indexed);
        ensure(removed == indexed);
    }
    if (is_shown) {
        order_tree_insert(order, score, element);
    }
}

void collection_drop_order(struct collection *collection) {
    if (collection->type == VALUE_SORTED_SET && !collection->is_order_stale) {
        order_tree_deinit(&collection->order);
        order_tree_init(&collection->order, element_name);
        collection->is_order_stale = true;
    }
}

static void index_visit(void *item, void *udata) {
    collection_index((struct collection *)udata, (struct entry *)item);
}

void collection_make_order(struct collection *collection) {
    uint64_t position = 0;
    collection->is_order_stale = false;
    while (collection_visible_count(collection) > collection->order.count) {
        position = table_walk(&collection->space.table, position, index_visit, collection);
    }
}

static void note_part(struct collection *collection, unsigned slot) {
    collection->has_parts_of_all |= collection->may_have_parts && slot != collection->parts_slot;
    collection->parts_slot = slot;
    collection->may_have_parts = true;
}

bool collection_has_parts_beside(const struct collection *collection, unsigned slot) {
    return collection->may_have_parts &&
           (collection->has_parts_of_all || collection->parts_slot != slot);
}

void collection_note_element(struct collection *collection, const struct entry *element) {
    struct entry_parts parts;
    collection_note(collection, element->stamp);
    collection_note(collection, entry_expire_stamp(element));
    switch (entry_kind(element)) {
    case ENTRY_COUNTER_REGISTER:
    case ENTRY_FLOAT_COUNTER:
        entry_take_apart(element, &parts);
        if (parts.register_stamp != 0) {
            collection_note(collection, parts.register_stamp);
        }
        note_part(collection, stamp_slot(element->stamp));
        break;
    case ENTRY_COUNTER:
        note_part(collection, stamp_slot(element->stamp));
        break;
    case ENTRY_CONTESTED:
        contested_note(entry_contested(element), collection);
        for (unsigned i = 0; i < entry_contested(element)->parts_count; i++) {
            note_part(collection, stamp_slot(entry_contested(element)->parts[i].stamp));
        }
        break;
    case ENTRY_BYTES:
    case ENTRY_INTEGER:
    case ENTRY_LARGE:
    case ENTRY_PACKED:
    case ENTRY_COLLECTION:
        break;
    }
}

/* ---- around each change ---- */

void collection_before_owner(struct store *store, struct collection *collection) {
    if (unlikely(store->walk != NULL) && collection->entry != NULL) {
        struct key owner = collection_owner(store, collection);
        mutate_before(store, &owner, collection->entry);
    }
}

void collection_before_element(struct store *store, struct collection *collection,
                               struct slice name) {
    collection_before_owner(store, collection);
    if (unlikely(collection->walks != NULL)) {
        snapshot_elements_before(collection, name);
    }
}

void collection_prepare(struct store *store, const struct key *key) {
    struct collection *collection = key->in;
    if (collection_is_sequence(collection->type)) {
        sequence_promote(store, collection, key->name);
        return;
    }
    if (collection->type == VALUE_SORTED_SET) {
        uint64_t *slot = mutate_slot(store, key);
        if (slot != NULL) {
            index_note(collection, table_item(*slot));
        }
    }
}

void collection_before(struct store *store, const struct key *key) {
    collection_before_element(store, key->in, key->name);
    collection_prepare(store, key);
}

void collection_after(struct store *store, const struct key *key, uint64_t stamp) {
    uint64_t *slot = mutate_slot(store, key);
    collection_after_element(store, key, slot != NULL ? table_item(*slot) : NULL, stamp);
    if (collection_is_sequence(key->in->type)) {
        sequence_demote(key);
    }
}

void collection_after_element(struct store *store, const struct key *key, struct entry *element,
                              uint64_t stamp) {
    struct collection *collection = key->in;
    if (collection->type == VALUE_SORTED_SET) {
        index_update(collection, key->name, element);
    }
    if (unlikely(collection->may_have_parts) && collection->recent == NULL && stamp != 0) {
        recent_begin(store, collection);
    }
    /* What only settles has no stamp that was not noted; what is merged with another state may. */
    struct collection_recent *recent = store->sync == NULL ? collection->recent : NULL;
    if (recent != NULL) {
        recent->is_naming = true;
    }
    if (element != NULL) {
        collection_note_element(collection, element);
    }
    if (stamp != 0 && collection->entry != NULL) {
        collection_note(collection, stamp);
        collection->entry->stamp = stamp;
    }
    if (recent != NULL) {
        recent->is_naming = false;
        if (stamp != 0 && element != NULL) {
            recent_add(collection, key->hash, stamp);
        }
    }
    collection_set_expiring(store, collection, collection->space.table.marked_count > 0);
}

bool collection_is_plain(const struct store *store, const struct collection *collection) {
    return store->walk == NULL && collection->walks == NULL && collection->entry != NULL &&
           entry_kind(collection->entry) == ENTRY_COLLECTION &&
           !collection_is_sequence(collection->type);
}

bool collection_may_delete_plain(const struct store *store, const struct collection *collection,
                                 const struct entry *element) {
    return collection_is_plain(store, collection) && !entry_is_hidden(element) &&
           !mutate_is_expired(store, element) && !merge_is_intricate(store, element);
}

void collection_delete_unordered(struct store *store, const struct key *key, uint64_t *slot) {
    struct collection *collection = key->in;
    mutate_delete(store, key, slot);
    uint64_t stamp = store->context.stamps[store->replicas.self];
    if (collection->recent != NULL) {
        collection->recent->is_naming = true; /* there is no element that would have it */
    }
    collection_note(collection, stamp);
    if (collection->recent != NULL) {
        collection->recent->is_naming = false;
    }
    collection->entry->stamp = stamp;
    collection_set_expiring(store, collection, collection->space.table.marked_count > 0);
}

bool collection_delete_plain(struct store *store, const struct key *key, uint64_t *slot) {
    struct collection *collection = key->in;
    const struct entry *element = table_item(*slot);
    if (!collection_may_delete_plain(store, collection, element)) {
        return false;
    }
    if (collection->type == VALUE_SORTED_SET) {
        index_note(collection, element);
        index_update(collection, key->name, NULL);
    }
    collection_delete_unordered(store, key, slot);
    return true;
}

/* ---- adopting ---- */

static void adopt_element(struct store *store, struct collection *collection, struct entry *element,
                          void *udata) {
    struct key key =
        collection_key(store, collection, *(const unsigned *)udata, entry_key(element));
    if (entry_kind(element) == ENTRY_CONTESTED) {
        struct buffer name = {0};
        buffer_append_slice(&name, key.name);
        key.name = name.size > 0 ? buffer_slice(&name) : slice_make("", 0);
        contested_adopt(store, &key, entry_contested(element));
        (void)contested_close(store, &key, 0);
        collection_after(store, &key, 0);
        buffer_deinit(&name);
        return;
    }
    collection_index(collection, element);
    collection_note_element(collection, element);
    if (collection_is_sequence(collection->type)) {
        /* A large value is whole now. */
        struct buffer name = {0};
        buffer_append_slice(&name, key.name);
        key.name = buffer_slice(&name);
        sequence_demote(&key);
        buffer_deinit(&name);
    }
}

void collection_adopt(struct store *store, struct collection *collection) {
    unsigned db = store_database_index(store, collection->database);
    collection_walk(store, collection, adopt_element, &db);
    sequence_note(collection);
    collection_set_expiring(store, collection, collection->space.table.marked_count > 0);
}

/* ---- reading ---- */

struct newest_walk {
    const struct store *store;
    uint64_t stamp;
};

/* The greatest stamp of the element's register and part. */
static uint64_t newest_value(const struct store *store, const struct entry *entry) {
    struct entry_parts parts;
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        return contested_newest_value(store, entry_contested(entry));
    }
    entry_take_apart(entry, &parts);
    return replicas_compare_stamps(&store->replicas, parts.register_stamp, entry->stamp) > 0
               ? parts.register_stamp
               : entry->stamp;
}

static void newest_visit(void *item, void *udata) {
    struct newest_walk *walk = (struct newest_walk *)udata;
    const struct entry *entry = (const struct entry *)item;
    if (!entry_is_hidden(entry)) {
        uint64_t stamp = newest_value(walk->store, entry);
        if (replicas_compare_stamps(&walk->store->replicas, stamp, walk->stamp) > 0) {
            walk->stamp = stamp;
        }
    }
}

uint64_t collection_newest_visible(const struct store *store, const struct collection *collection) {
    struct newest_walk walk = {.store = store};
    struct ordered_map_cursor cursor;
    uint64_t position = 0;
    for (bool is_there = ordered_map_first(collection->map, &cursor); is_there;
         is_there = ordered_map_next(collection->map, &cursor)) {
        if (cursor.element.flags == 0 &&
            replicas_compare_stamps(&store->replicas, cursor.element.stamp, walk.stamp) > 0) {
            walk.stamp = cursor.element.stamp;
        }
    }
    do {
        position = table_walk(&collection->space.table, position, newest_visit, &walk);
    } while (position != 0);
    return walk.stamp;
}

/* ---- introspection ---- */

struct memory_walk {
    uint64_t bytes, count;
};

static void memory_visit(void *item, void *udata) {
    struct memory_walk *walk = (struct memory_walk *)udata;
    walk->bytes += entry_memory_bytes((const struct entry *)item);
    walk->count++;
}

uint64_t collection_memory_bytes(const struct collection *collection, uint64_t samples) {
    struct memory_walk walk = {0};
    uint64_t position = 0, count = collection->space.table.count;
    do {
        position = table_walk(&collection->space.table, position, memory_visit, &walk);
    } while (position != 0 && walk.count < samples);
    uint64_t elements = walk.count > 0 ? walk.bytes * count / walk.count : 0;
    for (const struct grave *grave = collection->grave; grave != NULL; grave = grave->below) {
        elements += sizeof(*grave) + collection_memory_bytes(grave->buried, samples);
    }
    if (collection->recent != NULL) {
        elements += sizeof(*collection->recent) +
                    collection->recent->capacity * sizeof(collection->recent->changes[0]);
    }
    return sizeof(*collection) + table_memory_bytes(&collection->space.table) + elements +
           collection->newest_count * sizeof(collection->newest[0]) +
           ordered_map_memory_bytes(collection->map) + ordered_map_memory_bytes(collection->seen) +
           xstream_pending_memory_bytes(collection) +
           (collection->type == VALUE_SORTED_SET ? order_tree_memory_bytes(&collection->order) : 0);
}

struct collection_check_walk {
    const struct store *store;
    const struct collection *collection;
    uint64_t hidden_count, contested_count, listed_count, marked_count;
};

void collection_check_note(const struct collection *collection, uint64_t stamp) {
    for (unsigned i = 0; i < collection->newest_count; i++) {
        if (collection->newest[i].slot == stamp_slot(stamp)) {
            require(stamp <= collection->newest[i].stamp);
            return;
        }
    }
    require(stamp_slot(stamp) == STAMP_SLOT_SETTLED);
}

static void check_visit(void *item, void *udata) {
    struct collection_check_walk *walk = (struct collection_check_walk *)udata;
    const struct entry *entry = (const struct entry *)item;
    bool is_hidden = entry_is_hidden(entry);
    collection_check_note(walk->collection, entry->stamp);
    require(stamp_ticks(entry->stamp) <= walk->store->clock.ticks);
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        require(entry_contested(entry)->owner == walk->collection);
        contested_check(walk->store, entry);
        walk->contested_count++;
        walk->listed_count += entry_contested(entry)->is_listed;
    }
    require(entry_kind(entry) != ENTRY_COLLECTION);
    require(entry_kind(entry) != ENTRY_PACKED);
    walk->hidden_count += is_hidden;
    walk->marked_count += entry_expire_unix_ms(entry) != 0;
    if (walk->collection->type == VALUE_SORTED_SET && !walk->collection->is_order_stale &&
        !is_hidden) {
        uint64_t rank;
        bool is_there = order_tree_rank(&walk->collection->order, collection_score(entry),
                                        entry_key(entry), &rank);
        require(is_there);
        require(order_tree_at(&walk->collection->order, rank)->item == entry);
    }
}

void collection_check(const struct store *store, const struct collection *collection) {
    struct collection_check_walk walk = {.store = store, .collection = collection};
    uint64_t position = 0;
    table_check(&collection->space.table);
    do {
        position = table_walk(&collection->space.table, position, check_visit, &walk);
    } while (position != 0);
    require(walk.hidden_count == collection->space.hidden_count);
    require(walk.contested_count == collection->contested_count);
    require(walk.listed_count == collection->listed_count);
    for (const struct grave *grave = collection->grave; grave != NULL; grave = grave->below) {
        require(grave->of == collection);
        require(grave->buried->lies_in == grave);
        require(grave->buried->grave == NULL);
        table_check(&grave->buried->space.table);
    }
    require(walk.marked_count == collection->space.table.marked_count);
    require(collection->is_expiring == (walk.marked_count > 0));
    if (collection->type == VALUE_SORTED_SET) {
        order_tree_check(&collection->order);
        require(collection->order.count ==
                (collection->is_order_stale ? 0 : collection_visible_count(collection)));
    }
    if (collection_is_sequence(collection->type)) {
        sequence_check(store, collection);
    }
    if (entry_kind(collection->entry) == ENTRY_COLLECTION) {
        require(collection_visible_count(collection) > 0);
    }
}
