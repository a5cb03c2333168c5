/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/elements_internal.h"
#include "store/merge.h"
#include "store/mutate.h"
#include "store/notify.h"

/* What is told of the elements, and to whom. */
struct moving {
    unsigned db; /* index of the new key's database */
    bool is_plain;
};

static void check_plain(struct store *store, struct collection *collection, struct entry *element,
                        void *udata) {
    struct moving *moving = (struct moving *)udata;
    enum entry_kind kind = entry_kind(element);
    (void)store, (void)collection;
    moving->is_plain &= (kind == ENTRY_BYTES || kind == ENTRY_INTEGER || kind == ENTRY_LARGE) &&
                        (element->meta & (ENTRY_HAS_EXPIRY | ENTRY_HAS_EXPIRY_STAMP)) == 0;
}

static void record_element(struct store *store, struct collection *collection,
                           struct entry *element, void *udata) {
    const struct moving *moving = (const struct moving *)udata;
    struct entry_scratch scratch;
    struct key place = collection_key(store, collection, moving->db, entry_key(element));
    element->stamp =
        mutate_record_value(store, &place, mutate_stamp(store), entry_value(element, &scratch), 0);
}

/* May the collection be put under another key as it is: does nothing but its key refer to it, and
 * is there nothing in it that would not be copied? */
static bool may_move(struct store *store, struct entry *source) {
    if (entry_kind(source) != ENTRY_COLLECTION || store->walk != NULL || store->sync != NULL) {
        return false;
    }
    struct collection *collection = entry_collection(source);
    if (collection->walks != NULL || collection->retirement != NULL ||
        collection->contested_count > 0 || collection->space.hidden_count > 0) {
        return false;
    }
    if (elements_is_silent(store)) {
        return true;
    }
    if (collection_is_sequence(collection->type) || collection->may_have_parts) {
        return false;
    }
    struct moving moving = {.is_plain = true};
    collection_walk(store, collection, check_plain, &moving);
    return moving.is_plain;
}

/* Takes the collection out of the source's entry, which goes on with an empty one. */
static struct collection *take_collection(struct store *store, const struct key *from,
                                          struct entry *source) {
    struct collection *collection = entry_collection(source);
    struct collection *empty = collection_new(store, collection->type, store->dbs[from->db].number);
    empty->entry = source;
    entry_store64(entry_body(source), (uint64_t)(uintptr_t)empty);
    return collection;
}

bool elements_rename(struct store *store, const struct key *from, const struct key *to) {
    uint64_t *target = mutate_slot(store, to);
    struct entry *source = store_peek(store, from);
    if (target != NULL && (mutate_is_invisible(store, table_item(*target)) ||
                           merge_is_intricate(store, table_item(*target)))) {
        return false; /* something of it would stay */
    }
    if (source == NULL || !may_move(store, source)) {
        return false;
    }
    uint64_t expire_unix_ms = entry_expire_unix_ms(source);
    bool replaces = store_delete(store, to);
    require(mutate_slot(store, to) == NULL);
    struct collection *collection = take_collection(store, from, source);
    collection->database = collection->space.number = store->dbs[to->db].number;
    struct entry_parts parts = {.kind = ENTRY_COLLECTION,
                                .stamp = mutate_stamp(store),
                                .key = to->name,
                                .access = mutate_first_access(store),
                                .collection = collection};
    struct entry *created = entry_new(&parts);
    require(created != NULL);
    table_insert(&store->dbs[to->db].table, to->hash, created, false);
    if (!elements_is_silent(store)) {
        struct moving moving = {.db = to->db};
        collection->is_key_fresh = !store->is_alone;
        collection->newest_count = 0;
        collection_walk(store, collection, record_element, &moving);
        collection->is_key_fresh = false;
        collection_note(collection, store->context.stamps[store->replicas.self]);
    }
    if (!replaces) {
        store_notify(store, NOTIFY_NEW, "new", to);
    }
    mutate_after(store, to);
    if (expire_unix_ms != 0) {
        (void)store_expire(store, to, expire_unix_ms);
    }
    mutate_delete(store, from, mutate_slot(store, from));
    return true;
}
