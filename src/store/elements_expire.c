/* SPDX-License-Identifier: BSD-3-Clause */
/* Fields of hashes whose time has come. Hashes that have an expiring field are in a list of the
 * store; each is walked to its end, by the marks of its table, before the next one. */
#include "store/elements_internal.h"
#include "store/mutate.h"
#include "store/notify.h"

enum {
    EXPIRE_PLACES = 16,      /* of hashes, in a call */
    EXPIRE_BUCKETS = 64,     /* at a place */
    EXPIRE_FIELDS_MAX = 256, /* of a place; what is more waits for the next pass */
};

struct expired_fields {
    const struct store *store;
    struct buffer names; /* length and bytes of each */
    unsigned count;
};

static void expired_visit(void *item, void *udata) {
    struct expired_fields *fields = (struct expired_fields *)udata;
    const struct entry *entry = (const struct entry *)item;
    if (fields->count < EXPIRE_FIELDS_MAX && !entry_is_hidden(entry) &&
        mutate_is_expired(fields->store, entry) && mutate_may_expire(fields->store, entry)) {
        struct slice name = entry_key(entry);
        buffer_append(&fields->names, &name.size, sizeof(name.size));
        buffer_append_slice(&fields->names, name);
        fields->count++;
    }
}

/* Removes the fields of that hash, which may be gone then; returns how many. */
static unsigned remove_expired(struct store *store, const struct collection *collection,
                               const struct expired_fields *fields) {
    struct key owner = collection_owner(store, collection);
    struct buffer owner_name = {0};
    struct elements_writer writer;
    unsigned removed = 0;
    bool is_expired;
    buffer_append_slice(&owner_name, owner.name);
    owner.name = owner_name.size > 0 ? buffer_slice(&owner_name) : slice_make("", 0);
    /* It may lie behind a value of another type, or its key may have expired by now. */
    if (elements_open(store, &owner, collection->type, &writer) == STORE_OK &&
        !writer.is_key_fresh) {
        for (size_t at = 0; at < fields->names.size;) {
            size_t size;
            memcpy(&size, fields->names.data + at, sizeof(size));
            at += sizeof(size);
            (void)element_delete(&writer, slice_make(fields->names.data + at, size));
            at += size;
        }
        elements_close(&writer);
        removed = fields->count;
        store_notify(store, NOTIFY_HASH, "hexpired", &owner);
        if (!store_holds(store, &owner, &is_expired)) {
            store_notify(store, NOTIFY_GENERIC, "del", &owner);
        }
    }
    store_end_unit(store); /* opening it may have removed the key */
    buffer_deinit(&owner_name);
    return removed;
}

uint64_t elements_expire_some(struct store *store, bool *pass_done) {
    uint64_t removed = 0;
    *pass_done = store->expiring == NULL;
    for (unsigned i = 0; i < EXPIRE_PLACES && !*pass_done; i++) {
        struct collection *collection =
            store->expiring_next != NULL ? store->expiring_next : store->expiring;
        struct expired_fields fields = {.store = store};
        struct keyspace *space = &collection->space;
        space->expire_position = table_walk_marked(&space->table, space->expire_position,
                                                   EXPIRE_BUCKETS, expired_visit, &fields);
        /* One hash after the other, and each to its end. */
        bool is_last = space->expire_position == 0 && collection->next_expiring == NULL;
        store->expiring_next = space->expire_position == 0 ? collection->next_expiring : collection;
        if (fields.count > 0) {
            removed += remove_expired(store, collection, &fields);
        }
        buffer_deinit(&fields.names);
        *pass_done = is_last || store->expiring == NULL;
    }
    return removed;
}
