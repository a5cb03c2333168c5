/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/sync_elements.h"

#include "store/collection.h"
#include "store/sequence.h"
#include "store/xstreams.h"

struct collection_merge {
    const struct state_merge *merge;
    unsigned db;
    struct collection *here;
    struct store *staged;
    struct collection *there; /* NULL: there is none */
    bool only_new;            /* of what is there, look at what is not here */
    bool is_done;
};

static uint64_t *find(const struct store *store, struct collection *collection, unsigned db,
                      struct slice name, struct key *key) {
    *key = collection_key(store, collection, db, name);
    return mutate_slot(store, key);
}

static bool merge_deep(struct collection_merge *walk, const struct key *here_key, uint64_t *here,
                       const struct key *there_key, uint64_t *there) {
    struct store *store = walk->merge->store;
    uint64_t our_stamp = here != NULL ? ((struct entry *)table_item(*here))->stamp : 0;
    uint64_t their_stamp = there != NULL ? ((struct entry *)table_item(*there))->stamp : 0;
    uint64_t stamp = replicas_compare_stamps(&store->replicas, our_stamp, their_stamp) > 0
                         ? our_stamp
                         : their_stamp;
    struct contested *theirs =
        there != NULL ? contested_open(walk->staged, there_key, there) : NULL;
    struct contested *ours = contested_open(store, here_key, here);
    state_merge_retire(walk->merge, ours, walk->staged, theirs);
    bool is_done = state_merge_elements(walk->merge, ours, theirs);
    (void)contested_close(store, here_key, stamp);
    return is_done;
}

static bool merge_name(struct collection_merge *walk, struct slice name) {
    struct store *store = walk->merge->store;
    struct key here_key, there_key = {0};
    uint64_t *here = find(store, walk->here, walk->db, name, &here_key), *there = NULL;
    if (walk->there != NULL) {
        there = find(walk->staged, walk->there, walk->db, name, &there_key);
    }
    if (walk->only_new && here != NULL) {
        return true;
    }
    bool is_done = true;
    enum state_merge_quick quick =
        state_merge_quick(walk->merge, here != NULL ? table_item(*here) : NULL,
                          there != NULL ? table_item(*there) : NULL);
    if (quick == STATE_MERGE_KEEP) {
        return true;
    }
    collection_before(store, &here_key);
    if (quick == STATE_MERGE_DROP) {
        mutate_remove(store, &here_key, here);
    } else {
        is_done = merge_deep(walk, &here_key, here, &there_key, there);
    }
    collection_after(store, &here_key, 0);
    return is_done;
}

static void merge_visit(struct store *store, struct collection *collection, struct entry *element,
                        void *udata) {
    struct collection_merge *walk = (struct collection_merge *)udata;
    struct buffer name = {0};
    (void)store;
    (void)collection;
    buffer_append_slice(&name, entry_key(element));
    if (!merge_name(walk, name.size > 0 ? buffer_slice(&name) : slice_make("", 0))) {
        walk->is_done = false;
    }
    buffer_deinit(&name);
}

/* Are these two one element that is plain on both sides? */
static bool is_same_plain(const struct ordered_map_cursor *here,
                          const struct ordered_map_cursor *there) {
    return here->element.flags == 0 && there->element.flags == 0 &&
           here->element.stamp == there->element.stamp;
}

/* Merges the elements of a list or stream that `of`, one of the sides, has: each goes through the
 * table for that. */
static void merge_sequence(struct collection_merge *walk, const struct collection *of) {
    struct store *store = walk->merge->store;
    struct ordered_map_cursor cursor, other;
    char name[ORDERED_MAP_NAME_BYTES_MAX];
    struct slice bytes = slice_make(name, 0);
    bool is_there = ordered_map_first(of->map, &cursor);
    while (is_there) {
        memcpy(name, cursor.element.name.data, cursor.element.name.size);
        bytes.size = cursor.element.name.size;
        const struct collection *beside = of == walk->here ? walk->there : walk->here;
        bool is_both = beside != NULL && ordered_map_find(beside->map, bytes, &other);
        if ((is_both && is_same_plain(&cursor, &other)) || (is_both && walk->only_new)) {
            is_there = ordered_map_next(of->map, &cursor);
            continue;
        }
        struct key here = collection_key(store, walk->here, walk->db, bytes);
        sequence_promote(store, walk->here, bytes);
        if (walk->there != NULL) {
            sequence_promote(walk->staged, walk->there, bytes);
        }
        walk->is_done &= merge_name(walk, bytes);
        if (mutate_slot(store, &here) != NULL) {
            sequence_demote(&here); /* it was left as it is */
        }
        is_there = ordered_map_lower_bound(of->map, bytes, &cursor);
        if (is_there && slice_equal(cursor.element.name, bytes)) {
            is_there = ordered_map_next(of->map, &cursor);
        }
    }
}

static void merge_side(struct collection_merge *walk, struct collection *of) {
    if (collection_is_sequence(of->type)) {
        merge_sequence(walk, of);
    } else {
        collection_walk(walk->merge->store, of, merge_visit, walk);
    }
}

bool sync_merge_collections(const struct state_merge *merge, unsigned db, struct contested *here,
                            struct store *staged, struct contested *there) {
    struct collection_merge walk = {.merge = merge, .db = db, .staged = staged, .is_done = true};
    for (unsigned type = VALUE_HASH; type < VALUE_TYPES_COUNT; type++) {
        walk.here = contested_find_collection(here, (enum value_type)type);
        walk.there = there != NULL ? contested_find_collection(there, (enum value_type)type) : NULL;
        if (walk.here == NULL && walk.there == NULL) {
            continue;
        }
        if (walk.here == NULL) {
            walk.here = collection_new(merge->store, (enum value_type)type, here->database);
            contested_add_collection(here, walk.here);
        }
        xstream_pending_drop(walk.here);
        walk.only_new = false;
        merge_side(&walk, walk.here);
        if (walk.there != NULL) {
            walk.only_new = true;
            merge_side(&walk, walk.there);
        }
    }
    return walk.is_done;
}
