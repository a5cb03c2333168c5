/* SPDX-License-Identifier: BSD-3-Clause */
/* Stores that only hold entries for a while: sync_state.h. */
#include "store/sync_state.h"

struct key sync_keep_key(struct buffer *scratch, const struct key *key) {
    buffer_clear(scratch);
    buffer_append_slice(scratch, key->name);
    struct key kept = *key;
    kept.name = buffer_slice(scratch);
    return kept;
}

void sync_aside_init(struct store *aside, const struct store *store) {
    struct store_opts opts = {.dbs_count = store->dbs_count, .seed = store->seed.a};
    store_init(aside, &opts);
    replicas_deinit(&aside->replicas);
    aside->is_alone = false;
    aside->seed = store->seed;
    aside->element_seed = store->element_seed;
    aside->now_ms = store->now_ms;
    aside->expiry_is_paused = true;
    for (unsigned db = 0; db < store->dbs_count; db++) {
        aside->dbs[db].number = store->dbs[db].number;
    }
    sync_aside_lend(aside, store);
}

void sync_aside_deinit(struct store *aside) {
    aside->replicas = (struct replicas){0};
    store_deinit(aside);
}

struct entry *sync_take_out(struct store *store, const struct key *key) {
    uint64_t *slot = mutate_slot(store, key);
    struct entry *entry = table_item(*slot);
    require(entry_kind(entry) != ENTRY_CONTESTED);
    table_remove(&store->dbs[key->db].table, key->hash, slot);
    return entry;
}

bool sync_copy(struct store *store, const struct key *key, struct contested *from, uint64_t stamp) {
    static const struct context nothing; /* seen, so all is taken */
    struct state_merge merge = {.store = store, .seen_here = &nothing};
    struct contested *contested = contested_open(store, key, NULL);
    while (from->collections != NULL) {
        struct collection *collection = from->collections;
        from->collections = collection->next;
        contested_add_collection(contested, collection);
        collection_adopt(store, collection);
    }
    bool is_done = state_merge_elements(&merge, contested, from);
    contested_close(store, key, stamp);
    return is_done;
}

bool sync_insert(struct store *store, const struct key *key, struct entry *entry) {
    if (entry_kind(entry) != ENTRY_CONTESTED) {
        table_insert(&store->dbs[key->db].table, key->hash, entry,
                     entry_expire_unix_ms(entry) != 0);
        if (entry_kind(entry) == ENTRY_COLLECTION) {
            collection_adopt(store, entry_collection(entry));
            collection_finish(store, entry_collection(entry), 0);
        }
        return true;
    }
    bool is_done = sync_copy(store, key, entry_contested(entry), entry->stamp);
    entry_free(entry);
    return is_done;
}
