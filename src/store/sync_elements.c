/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/sync_elements.h"

#include "store/collection.h"

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
        walk.only_new = false;
        collection_walk(merge->store, walk.here, merge_visit, &walk);
        if (walk.there != NULL) {
            walk.only_new = true;
            collection_walk(merge->store, walk.there, merge_visit, &walk);
        }
    }
    return walk.is_done;
}
