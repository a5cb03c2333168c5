/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/graves.h"

#include "store/merge.h"
#include "store/snapshot_elements.h"

enum {
    /* In a mesh that is whole the frontier has passed by then. */
    GRAVE_REST_MS = 3000,
    GATHERED_MAX = 4096, /* a bucket holds eight, and what spills over */
};

/* ---- the lists ---- */

static void link_grave(struct store *store, struct grave *grave) {
    grave->previous = NULL;
    grave->next = store->graves;
    if (store->graves != NULL) {
        store->graves->previous = grave;
    }
    store->graves = grave;
}

static void unlink_grave(struct store *store, struct grave *grave) {
    if (grave->previous != NULL) {
        grave->previous->next = grave->next;
    } else {
        store->graves = grave->next;
    }
    if (grave->next != NULL) {
        grave->next->previous = grave->previous;
    }
    grave->previous = grave->next = NULL;
}

/* ---- burying ---- */

bool graves_may_bury(const struct store *store, const struct collection *collection) {
    return store->grave_elements_min > 0 && !store->is_alone && store->sync == NULL &&
           !store->is_replaying && !collection_is_sequence(collection->type) &&
           collection_count(collection) >= store->grave_elements_min;
}

/* Puts `fresh` where `collection` is among those of its key. */
static void take_place(struct collection *fresh, struct collection *collection) {
    struct contested *contested = entry_contested(collection->entry);
    struct collection **at = &contested->collections;
    while (*at != collection) {
        require(*at != NULL);
        at = &(*at)->next;
    }
    *at = fresh;
    fresh->next = collection->next;
    fresh->entry = collection->entry;
    if (contested->shown_collection == collection) {
        contested->shown_collection = fresh;
    }
}

struct collection *graves_bury(struct store *store, struct collection *collection, uint64_t stamp) {
    struct collection *fresh = collection_new(store, collection->type, collection->database);
    struct grave *grave = memory_alloc_zero(sizeof(*grave));
    collection_before_owner(store, collection);
    take_place(fresh, collection);
    /* There may be parts as before. */
    fresh->may_have_parts = collection->may_have_parts;
    fresh->has_parts_of_all = collection->has_parts_of_all;
    fresh->parts_slot = collection->parts_slot;
    fresh->is_large = true;
    collection_set_expiring(store, collection, false);
    retire_forget_collection(collection);
    store->stats.dirty += collection_visible_count(collection);
    *grave = (struct grave){.buried = collection,
                            .of = fresh,
                            .stamp = stamp,
                            .since_ms = store->now_ms,
                            .below = collection->grave};
    for (struct grave *below = grave->below; below != NULL; below = below->below) {
        below->of = fresh;
    }
    fresh->grave = grave;
    collection->grave = NULL;
    collection->entry = NULL;
    collection->next = NULL;
    collection->lies_in = grave;
    link_grave(store, grave);
    collection_note(fresh, stamp);
    fresh->entry->stamp = stamp;
    return fresh;
}

struct entry *graves_give_back(struct store *store, struct collection *collection, uint64_t hash) {
    struct collection *buried = collection->grave->buried;
    uint64_t *slot = collection_find_hash(store, buried, hash);
    if (slot == NULL) {
        return NULL;
    }
    struct entry *entry = table_item(*slot);
    if (unlikely(buried->walks != NULL)) {
        snapshot_elements_before(buried, entry_key(entry));
    }
    bool is_contested = entry_kind(entry) == ENTRY_CONTESTED;
    bool is_listed = is_contested && entry_contested(entry)->is_listed;
    if (is_contested) {
        contested_detach(store, &buried->space, entry_contested(entry));
    }
    table_remove(&buried->space.table, hash, slot);
    table_shrink_segment(&buried->space.table, hash);
    collection_drop_order(collection);
    table_insert(&collection->space.table, hash, entry, entry_expire_unix_ms(entry) != 0);
    if (is_contested) {
        struct key key = {.name = entry_key(entry), .hash = hash, .in = collection};
        contested_adopt(store, &key, entry_contested(entry));
    }
    if (is_listed) {
        contested_requeue(store, entry_contested(entry));
    }
    collection_note_element(collection, entry);
    collection_set_expiring(store, collection, collection->space.table.marked_count > 0);
    return entry;
}

/* ---- making ghosts ---- */

/* What the DELETE left of an element: a contested one, of nothing but ghosts; or nothing. */
static struct contested *leave(struct store *store, struct grave *grave, struct entry *entry) {
    struct collection *buried = grave->buried;
    struct contested *contested;
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        contested = entry_contested(entry);
        contested_detach(store, &buried->space, contested);
    } else {
        contested = contested_spell_out_ghost(store, entry, buried->database, grave->stamp);
    }
    if (contested != NULL && contested_take_all_off(store, contested, grave->stamp)) {
        return contested;
    }
    if (contested != NULL) {
        entry = contested->entry;
    }
    entry_free(entry);
    return NULL;
}

static void put_ghost(struct store *store, struct grave *grave, struct contested *contested) {
    struct slice name = entry_key(contested->entry);
    struct key key =
        collection_key(store, grave->of, store_database_index(store, grave->of->database), name);
    table_insert(&grave->of->space.table, key.hash, contested->entry, false);
    contested_adopt(store, &key, contested);
    contested_requeue(store, contested);
    collection_note_element(grave->of, contested->entry);
}

/* Makes the ghost of the element of that hash and name; false: it is not in the grave. */
static bool open_place(struct store *store, struct grave *grave, uint64_t hash, struct slice name) {
    struct table *table = &grave->buried->space.table;
    uint64_t *slot = table_find(table, hash, mutate_match, &name);
    if (slot == NULL) {
        return false;
    }
    if (unlikely(grave->buried->walks != NULL)) {
        snapshot_elements_before(grave->buried, name);
    }
    struct entry *entry = table_item(*slot);
    table_remove(table, hash, slot);
    table_shrink_segment(table, hash);
    struct contested *contested = leave(store, grave, entry);
    if (contested != NULL) {
        put_ghost(store, grave, contested);
    }
    return true;
}

void graves_open(struct store *store, const struct key *key) {
    for (struct grave *grave = key->in->grave; grave != NULL; grave = grave->below) {
        if (open_place(store, grave, key->hash, key->name)) {
            return;
        }
    }
}

void graves_open_element(struct store *store, const struct contested *contested) {
    struct buffer name = {0};
    buffer_append_slice(&name, entry_key(contested->entry));
    struct slice bytes = name.size > 0 ? buffer_slice(&name) : slice_make("", 0);
    bool is_there =
        open_place(store, contested->owner->lies_in, hash_bytes(store->element_seed, bytes), bytes);
    ensure(is_there);
    buffer_deinit(&name);
}

/* ---- the end ---- */

/* Takes the grave out of all lists; what it holds goes in the background. */
static void close_grave(struct store *store, struct grave *grave) {
    struct collection *of = grave->of;
    struct grave **at = &of->grave;
    while (*at != grave) {
        require(*at != NULL);
        at = &(*at)->below;
    }
    *at = grave->below;
    unlink_grave(store, grave);
    collection_detach(store, grave->buried);
    collection_release(store, grave->buried);
    memory_free(grave);
    if (of->grave == NULL && collection_count(of) == 0) {
        collection_finish(store, of, 0);
    }
}

struct gathered_entries {
    struct entry *entries[GATHERED_MAX];
    unsigned count;
};

static void gather(void *item, void *udata) {
    struct gathered_entries *gathered = (struct gathered_entries *)udata;
    require(gathered->count < GATHERED_MAX);
    gathered->entries[gathered->count++] = (struct entry *)item;
}

/* Makes the ghosts of about so many elements; the grave is gone when it returns true. */
static bool open_some(struct store *store, struct grave *grave, uint64_t elements_max) {
    struct gathered_entries *gathered = memory_alloc(sizeof(*gathered));
    struct buffer name = {0};
    uint64_t count = 0;
    do {
        gathered->count = 0;
        grave->position =
            table_walk(&grave->buried->space.table, grave->position, gather, gathered);
        for (unsigned i = 0; i < gathered->count; i++) {
            buffer_clear(&name);
            buffer_append_slice(&name, entry_key(gathered->entries[i]));
            struct slice bytes = name.size > 0 ? buffer_slice(&name) : slice_make("", 0);
            (void)open_place(store, grave, hash_bytes(store->element_seed, bytes), bytes);
        }
        count += gathered->count;
    } while (grave->position != 0 && count < elements_max);
    memory_free(gathered);
    buffer_deinit(&name);
    if (grave->position != 0) {
        return false;
    }
    close_grave(store, grave);
    return true;
}

void graves_open_some(struct store *store, uint64_t elements_max) {
    if (store->graves != NULL) {
        (void)open_some(store, store->graves, elements_max);
    }
}

void graves_open_all(struct store *store) {
    while (store->graves != NULL) {
        (void)open_some(store, store->graves, UINT64_MAX);
    }
}

bool graves_settle(struct store *store, const struct context *frontier, uint64_t elements_max) {
    bool is_done = true;
    for (struct grave *grave = store->graves, *next; grave != NULL; grave = next) {
        next = grave->next;
        /* What is listed has to be taken out of the list one by one. */
        if (context_covers(frontier, grave->stamp) && grave->buried->listed_count == 0) {
            close_grave(store, grave);
        } else if (context_covers(frontier, grave->stamp) || store->opens_graves ||
                   store->now_ms - grave->since_ms >= GRAVE_REST_MS) {
            is_done = open_some(store, grave, elements_max) && is_done;
        }
    }
    store->opens_graves = store->opens_graves && store->graves != NULL;
    return is_done;
}

void graves_detach(struct store *store, struct collection *collection) {
    for (struct grave *grave = collection->grave; grave != NULL; grave = grave->below) {
        unlink_grave(store, grave);
        collection_detach(store, grave->buried);
    }
}

void graves_free(struct collection *collection) {
    while (collection->grave != NULL) {
        struct grave *grave = collection->grave;
        collection->grave = grave->below;
        collection_free(grave->buried);
        memory_free(grave);
    }
}
