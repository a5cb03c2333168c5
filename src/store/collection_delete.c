/* SPDX-License-Identifier: BSD-3-Clause */
/* Deleting all of a collection at once.
 *
 * Where nobody else has counted in it and the writer had seen all, it goes as a whole
 * (collection_is_covered()). Else each element has to be looked at: what the writer had not seen
 * stays, and counters leave ghosts, which remember up to where they were taken off. There may be
 * millions, in one step. So this is the general way (merge.c) with everything left out that an
 * element has no need of, two loops that read memory ahead of themselves:
 *
 *   1  The writer notes what it had seen of others' parts, a TAKE for each element. Noting changes
 *      nothing here, since what follows takes all of it off: it has seen all that is here.
 *   2  The DELETE, here and at each reader. A contested element becomes its ghosts where it lies; a
 *      counter of one other replica becomes a ghost in the same place of the table; what leaves
 *      nothing behind is taken out. Anything else goes the general way.
 *
 * A reader has to look at a TAKE only where an increment is here that its author had not seen: the
 * DELETE takes off the others all by itself. Mostly there is none in the whole collection, which
 * its newest stamps tell. So nobody may record TAKEs of elements unless something that takes them
 * off follows in the same unit: a SET or DELETE of the key, a FLUSH, a change of another type. */
#include "store/graves.h"
#include "store/merge.h"
#include "store/sequence.h"

/* ---- is it covered? ---- */

bool collection_is_seen(const struct store *store, const struct collection *collection,
                        unsigned author) {
    for (unsigned i = 0; i < collection->newest_count; i++) {
        if (!mutate_has_seen(store, author, collection->newest[i].stamp)) {
            return false;
        }
    }
    return true;
}

bool collection_is_covered(const struct store *store, const struct collection *collection,
                           unsigned author) {
    if (collection->contested_count > 0 || collection->grave != NULL ||
        collection_has_parts_beside(collection, author)) {
        return store->is_alone;
    }
    return collection_is_seen(store, collection, author);
}

/* ---- noting what was seen ---- */

struct take_walk {
    unsigned db;
    struct buffer list; /* of one element */
};

static void take_element(struct store *store, struct collection *collection, struct entry *element,
                         void *udata) {
    struct take_walk *walk = (struct take_walk *)udata;
    if (!merge_is_intricate(store, element)) {
        return;
    }
    buffer_clear(&walk->list);
    merge_put_takes(store, &walk->list, element);
    if (walk->list.size > 0) {
        /* To be recorded, a place needs no hash. */
        struct key place = {.name = entry_key(element), .db = walk->db, .in = collection};
        struct change change = {.kind = CHANGE_TAKE,
                                .db = walk->db,
                                .stamp = mutate_stamp(store),
                                .value = buffer_slice(&walk->list)};
        mutate_record(store, &place, &change);
    }
}

void collection_take(struct store *store, struct collection *collection) {
    if (collection->contested_count > 0 ||
        collection_has_parts_beside(collection, store->replicas.self)) {
        struct take_walk walk = {.db = store_database_index(store, collection->database)};
        collection_walk(store, collection, take_element, &walk);
        buffer_deinit(&walk.list);
    }
}

bool collection_needs_take(const struct store *store, struct collection *collection,
                           struct slice name, unsigned author) {
    if (collection_is_seen(store, collection, author)) {
        return false;
    }
    struct key place = collection_key(store, collection, 0, name);
    uint64_t *slot = mutate_slot(store, &place);
    const struct entry *element = slot != NULL ? table_item(*slot) : NULL;
    if (element == NULL) {
        return false;
    }
    if (entry_kind(element) != ENTRY_CONTESTED) {
        return !mutate_has_seen(store, author, element->stamp);
    }
    const struct contested *contested = entry_contested(element);
    for (unsigned i = 0; i < contested->parts_count; i++) {
        if (!mutate_has_seen(store, author, contested->parts[i].stamp)) {
            return true;
        }
    }
    return false;
}

void collection_note_take(struct collection *collection) {
    /* Making it anew costs about what some of its elements cost that change their places. */
    enum { TAKES_MIN = 64, PART_OF_ALL = 16 };
    collection->takes_count++;
    if (collection->takes_count >= TAKES_MIN &&
        collection->takes_count >= collection_count(collection) / PART_OF_ALL) {
        collection_drop_order(collection);
    }
}

/* ---- deleting what was seen ---- */

struct delete_walk {
    const struct store *store;
    uint64_t stamp;
    unsigned author;
    unsigned db;
    struct buffer name;
    bool has_changed;
};

/* Before and after an element changes, as far as it is not the same for all. */
static void delete_tells(struct store *store, struct collection *collection,
                         struct delete_walk *walk, struct slice name) {
    walk->has_changed = true;
    store->stats.dirty++;
    if (unlikely(store->walk != NULL || collection->walks != NULL)) {
        collection_before_element(store, collection, name);
    }
    if (unlikely(store->watchers_count > 0)) {
        struct key place = {.name = name, .db = walk->db, .in = collection};
        mutate_touch(store, &place);
    }
}

/* A counter that one other replica has: true when a ghost of it is left in its place. */
static bool delete_counter(struct store *store, struct collection *collection,
                           struct entry *element, struct delete_walk *walk) {
    struct entry_parts parts;
    enum entry_kind kind = entry_kind(element);
    if ((kind != ENTRY_COUNTER && kind != ENTRY_COUNTER_REGISTER && kind != ENTRY_FLOAT_COUNTER) ||
        stamp_slot(element->stamp) == walk->author ||
        (element->meta & (ENTRY_HAS_EXPIRY | ENTRY_HAS_EXPIRY_STAMP)) != 0) {
        return false;
    }
    entry_take_apart(element, &parts);
    if (!mutate_has_seen(store, walk->author, parts.stamp) ||
        (parts.register_stamp != 0 &&
         !mutate_has_seen(store, walk->author, parts.register_stamp))) {
        return false;
    }
    delete_tells(store, collection, walk, parts.key);
    struct key place = collection_key(store, collection, walk->db, parts.key);
    contested_leave_ghost(store, &place, mutate_slot(store, &place), walk->stamp);
    return true;
}

static void delete_element(struct store *store, struct collection *collection,
                           struct entry *element, void *udata) {
    struct delete_walk *walk = (struct delete_walk *)udata;
    struct slice name = entry_key(element);
    if (entry_kind(element) == ENTRY_CONTESTED) {
        struct contested *contested = entry_contested(element);
        enum contested_rest rest = contested_rest(store, contested, walk->author);
        if (rest == CONTESTED_RESTS_AS_IT_IS) {
            return;
        }
        if (rest == CONTESTED_RESTS_IN_GHOSTS) {
            delete_tells(store, collection, walk, name);
            contested_leave_ghosts(store, &collection->space, contested, walk->stamp);
            return;
        }
    } else if (delete_counter(store, collection, element, walk)) {
        return;
    }
    buffer_clear(&walk->name);
    buffer_append_slice(&walk->name, name);
    struct key key =
        collection_key(store, collection, walk->db,
                       walk->name.size > 0 ? buffer_slice(&walk->name) : slice_make("", 0));
    struct change change = {.kind = CHANGE_DELETE, .stamp = walk->stamp};
    collection_before(store, &key);
    (void)mutate_apply_place(store, &key, &change);
    collection_after(store, &key, walk->stamp);
}

static bool author_has_seen(const void *udata, uint64_t stamp) {
    const struct delete_walk *walk = (const struct delete_walk *)udata;
    return mutate_has_seen(walk->store, walk->author, stamp);
}

/* Buries the collection; false: too much of it was not seen, or it is not known what. */
static bool bury(struct store *store, struct collection *collection, struct delete_walk *walk) {
    struct buffer hashes = {0};
    bool is_known = collection_find_unseen(collection, author_has_seen, walk, &hashes);
    if (is_known) {
        struct collection *fresh = graves_bury(store, collection, walk->stamp);
        for (size_t i = 0; i < hashes.size; i += sizeof(uint64_t)) {
            uint64_t hash;
            memcpy(&hash, hashes.data + i, sizeof(hash));
            struct entry *entry = graves_give_back(store, fresh, hash);
            if (entry != NULL) {
                delete_element(store, fresh, entry, walk);
            }
        }
    }
    buffer_deinit(&hashes);
    return is_known;
}

void collection_delete_seen(struct store *store, struct collection *collection, uint64_t stamp) {
    struct delete_walk walk = {.store = store,
                               .stamp = stamp,
                               .author = stamp_slot(stamp),
                               .db = store_database_index(store, collection->database)};
    if (graves_may_bury(store, collection) && bury(store, collection, &walk)) {
        buffer_deinit(&walk.name);
        return;
    }
    if (collection_is_sequence(collection->type)) {
        sequence_delete_seen(store, collection, stamp);
    }
    collection_drop_order(collection);
    collection_walk(store, collection, delete_element, &walk);
    buffer_deinit(&walk.name);
    if (walk.has_changed) {
        collection_note(collection, stamp);
        if (collection->entry != NULL) {
            collection->entry->stamp = stamp;
        }
    }
}
