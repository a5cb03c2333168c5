/* SPDX-License-Identifier: BSD-3-Clause */
/* What the mutators share: finding a slot, stamping and recording a change, putting an entry in
 * place. For the files of store/ only.
 *
 * The order in every mutator: find the slot; decide and allocate, so that failing changes nothing;
 * mutate_before(); change the entry; record; mutate_after(). */
#ifndef STORE_MUTATE_H
#define STORE_MUTATE_H

#include "store/collection.h"
#include "store/contested.h"
#include "store/graves.h"
#include "store/snapshot_walk.h"
#include "store/store.h"

static inline bool mutate_match(const void *item, const void *udata) {
    struct slice key = entry_key((const struct entry *)item);
    const struct slice *name = (const struct slice *)udata;
    return key.size == name->size && memcmp(key.data, name->data, key.size) == 0;
}

/* Where the key, or the element, is. */
static inline struct keyspace *mutate_space(const struct store *store, const struct key *key) {
    return likely(key->in == NULL) ? &store->dbs[key->db] : &key->in->space;
}

/* The slot of the key, expired or not; NULL when absent. What an element left in a grave is in its
 * place from now on. */
static inline uint64_t *mutate_slot(const struct store *store, const struct key *key) {
    if (unlikely(key->in != NULL && key->in->grave != NULL)) {
        graves_open((struct store *)store, key);
    }
    return table_find(&mutate_space(store, key)->table, key->hash, mutate_match, &key->name);
}

static inline bool mutate_is_expired(const struct store *store, const struct entry *entry) {
    uint64_t expire = entry_expire_unix_ms(entry);
    return expire != 0 && (int64_t)expire <= store->now_ms;
}

/* Is it without a value that a command may see: expired, or hidden (contested.h)? */
static inline bool mutate_is_invisible(const struct store *store, const struct entry *entry) {
    return mutate_is_expired(store, entry) || unlikely(entry_is_hidden(entry));
}

/* May this node remove what has expired, without being asked to write to it? */
static inline bool mutate_may_expire(const struct store *store, const struct entry *entry) {
    return !store->expiry_is_paused && (store->may_expire == NULL ||
                                        store->may_expire(store->udata, entry_expire_stamp(entry)));
}

/* A new stamp of this replica. */
static inline uint64_t mutate_stamp(struct store *store) {
    uint64_t stamp = stamp_make(hybrid_clock_tick(&store->clock), store->replicas.self);
    store->context.stamps[store->replicas.self] = stamp;
    return stamp;
}

/* As many new stamps, each a tick after the one before; returns the last. */
static inline uint64_t mutate_stamps(struct store *store, uint64_t count) {
    require(count > 0 && count <= STAMP_TICKS_MAX - store->clock.ticks);
    store->clock.ticks += count - 1;
    return mutate_stamp(store);
}

/* Tells running walks of the entry at `key`, or NULL, before it changes, comes or goes; of an
 * element also what it is in. From here on the change must not fail: what is told and stays as it
 * is may be told once more. Telling twice of one change does no harm. */
void mutate_tell(struct store *store, const struct key *key, const struct entry *entry);

static inline void mutate_before(struct store *store, const struct key *key,
                                 const struct entry *entry) {
    if (unlikely(store->walk != NULL)) {
        mutate_tell(store, key, entry);
    }
}

/* Tells who watches the key; for an element, its key. */
void mutate_touch(struct store *store, const struct key *key);

static inline void mutate_after(struct store *store, const struct key *key) {
    store->stats.dirty++;
    if (unlikely(store->watchers_count > 0)) {
        mutate_touch(store, key);
    }
}

/* Tells who watches that all keys leave a database, or have come into it. */
static inline void mutate_touch_all(struct store *store, unsigned db, enum store_touch touch) {
    if (store->watchers_count > 0) {
        struct key key = {.db = db};
        store->touch(store->udata, &key, touch);
    }
}

/* Had the replica in slot `author` seen `stamp` when it wrote what is being applied? */
static inline bool mutate_has_seen(const struct store *store, unsigned author, uint64_t stamp) {
    /* Without a table of replicas there is one writer only. Own changes are applied where they were
     * made: on top of all that was seen. */
    return store->is_alone || (author == store->replicas.self && likely(!store->is_replaying)) ||
           author >= store->replicas.slots_count ||
           replicas_has_seen(&store->replicas, author, stamp);
}

/* Makes the change one of the element at `key`. */
void mutate_set_element(const struct key *key, struct change *change);

/* A journal that is full is handed on before more comes into it. */
static inline void mutate_hand_on_full(struct store *store) {
    if (unlikely(store->journal.bytes.size >= CHANGE_BATCH_BYTES) && store->journal_full != NULL) {
        store->journal_full(store->udata);
    }
}

/* Records the change of the key, or element, at `key` (NULL: of none); `change->db`, an index so
 * far, becomes the database's number. */
static inline void mutate_record(struct store *store, const struct key *key,
                                 struct change *change) {
    if (store->journal.is_on) {
        change->db = store->dbs[change->db].number;
        if (unlikely(key != NULL && key->in != NULL)) {
            mutate_set_element(key, change);
        }
        mutate_hand_on_full(store);
        change_writer_add(&store->journal, change);
    }
}

/* Records a SET or DELETE of an element, as mutate_collection_change() begins it. */
static inline void mutate_record_element(struct store *store, const struct change *change) {
    if (store->journal.is_on) {
        mutate_hand_on_full(store);
        change_writer_add_element(&store->journal, change);
    }
}

/* A change of an element of the collection, without what differs from element to element. */
static inline struct change mutate_collection_change(const struct collection *collection,
                                                     enum change_kind kind) {
    return (struct change){.kind = kind,
                           .type = collection->type,
                           .db = collection->database,
                           .key = entry_key(collection->entry)};
}

/* The access field of a key that is used now for the first time. */
static inline uint32_t mutate_first_access(const struct store *store) {
    if (store->uses_lfu) {
        return (uint32_t)(store->now_ms / 60000 & 0xFFFF) << 8 | 5;
    }
    return access_now(store->now_ms);
}

/* Frees an entry; what is big goes to the background. */
void mutate_free(struct store *store, struct entry *entry);
/* Puts `entry` where `slot` has an older one, which is freed, or inserts it when slot is NULL. */
void mutate_put(struct store *store, const struct key *key, uint64_t *slot, struct entry *entry);
/* Takes the entry at `slot` out and frees it; records nothing. */
void mutate_remove(struct store *store, const struct key *key, uint64_t *slot);
/* Rebuilds the entry with another expiry, 0 for none; everything else stays. Records nothing. */
void mutate_put_expiry(struct store *store, const struct key *key, uint64_t *slot, uint64_t stamp,
                       uint64_t expire_unix_ms);
/* Removes an expired key, recording that. */
void mutate_expire(struct store *store, const struct key *key, uint64_t *slot);
/* Records that `key` now is `value`, with `expire_unix_ms` (0: none; UINT64_MAX: as it was), cut
 * into changes of bounded size; the first has `stamp`. Returns the last one's stamp. */
uint64_t mutate_record_value(struct store *store, const struct key *key, uint64_t stamp,
                             struct slice value, uint64_t expire_unix_ms);

/* Applies a change to the key, or element, at `key`, which has none of another type: store.c. */
enum store_status mutate_apply_place(struct store *store, const struct key *key,
                                     const struct change *change);
/* Can any writer have written this change of an element? */
bool elements_change_is_sound(const struct change *change);
/* Applying a change of an element: elements_apply.c. */
enum store_status elements_apply(struct store *store, const struct key *key,
                                 const struct change *change);
/* Applying a recorded change of a string: strings_apply.c. */
enum store_status strings_apply(struct store *store, const struct key *key,
                                const struct change *change);
/* Does a DELETE by this writer take away all of the entry, which is a compact one? */
bool strings_is_covered(const struct store *store, const struct entry *entry, unsigned author);
/* Does an EXPIRE by this writer supersede the only expiry of the entry, which is a compact one? */
bool strings_expiry_is_covered(const struct store *store, const struct entry *entry,
                               unsigned author);
/* Removes the key and records that; `key->name` may lie in the entry. */
void mutate_delete(struct store *store, const struct key *key, uint64_t *slot);
/* Frees a table with all its entries, of which none is listed as unsettled; on any thread. */
void mutate_free_table(void *table);
/* Applying FLUSH and FLUSH_ALL: flush.c. `change->db` is an index. */
void flush_apply(struct store *store, const struct change *change);

#endif
