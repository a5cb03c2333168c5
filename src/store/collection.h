/* SPDX-License-Identifier: BSD-3-Clause */
/* A collection: the elements of a hash, set or sorted set that is not packed, each an entry of its
 * own in a table of its own.
 *
 * A key holds an OR-Map of elements as a database holds an OR-Map of keys, so an element is a
 * struct entry and its place a struct key with `in` set: what strings.c, merge.c and contested.c do
 * with a key they do with a field of a hash. A set member is a register without bytes, a sorted
 * set's member a register that is a number, with parts of counters where it was incremented.
 *
 * What a collection adds is done around each change of an element: collection_before() and
 * collection_after(). They hand the owner's entry to running walks, keep the order index, and note
 * stamps. collection_finish() then puts the owner right: a collection without elements goes, one
 * whose elements all are hidden hides its key, a small plain one is packed.
 *
 * Invariants, checked by collection_check():
 *   I1  each stamp of an element is at or below `newest` of its slot.
 *   I2  the order index holds the visible elements of a sorted set, under their scores; or it is
 *       stale, and empty.
 *   I3  a collection under an ENTRY_COLLECTION has a visible element.
 *   I4  contested_count is the number of contested elements.
 *   I5  the map of a list or stream holds all its elements in order: those that are plain, and the
 * places of those that are in the table (sequence.h). */
#ifndef STORE_COLLECTION_H
#define STORE_COLLECTION_H

#include "containers/order_tree.h"
#include "containers/ordered_map.h"
#include "store/store.h"

/* No more elements are packed, whatever the options say. */
enum { COLLECTION_PACKED_MAX = 1024 };

/* The greatest stamp of one slot that an element has, or once had. */
struct collection_newest {
    unsigned slot;
    uint64_t stamp;
    uint64_t unnamed; /* likewise, of changes that `recent` does not have */
};

/* Which elements of a large collection with counters were changed last: a ring. So who deletes what
 * another node still counts in need not look at all of it. */
struct collection_recent {
    unsigned capacity, count, next;
    bool is_naming; /* what is noted now is going to be in it */
    struct collection_change {
        uint64_t hash; /* of the element */
        uint64_t stamp;
    } changes[];
};

/* What every command looks at comes first: store/prefetch.h. */
struct collection {
    struct entry *entry;     /* of its key: COLLECTION, or CONTESTED */
    struct collection *next; /* of another type, under the same contested key */
    unsigned database;       /* number (not index) of its database */
    enum value_type type;
    bool is_key_fresh;     /* its next recorded change says that there was no value */
    bool may_have_parts;   /* an element was incremented: there may be parts of it */
    bool has_parts_of_all; /* not only of the replica in `parts_slot` */
    bool is_large;         /* it outgrew the packed form, and keeps this one */
    bool has_text;         /* SET: it was no set of integers when it was packed */
    bool is_kept;          /* for `walks` alone: its key is gone */
    bool is_expiring;      /* in store->expiring while an element has an expiry */
    unsigned parts_slot;   /* whose part was noted first */
    unsigned newest_count;
    struct collection_newest *newest;
    struct collection_recent *recent; /* mostly NULL */
    struct ordered_map *map;          /* LIST, STREAM */
    /* By which snapshot walks its elements are, or were, told in pieces (snapshot_elements.h). */
    struct snapshot_elements *walks;
    struct keyspace space; /* the elements */
    uint64_t contested_count;
    uint64_t listed_count;   /* of them, in store->unsettled */
    struct grave *grave;     /* what a DELETE left untouched of what was here before: graves.h */
    struct grave *lies_in;   /* it was deleted itself */
    struct order_tree order; /* SORTED_SET */
    bool is_order_stale;  /* it is empty, and not kept up, until it is read: collection_order() */
    uint64_t takes_count; /* CHANGE_TAKE of elements, one after another: collection_note_take() */
    /* Between collection_before() and collection_after(): what the order has for the element that
     * changes, which may be freed meanwhile; NULL: nothing. */
    const struct entry *indexed;
    double indexed_score;
    /* STREAM: what this node alone knows, by the names of elements (xstreams.h): when consumers
     * were seen, and from where on groups look for entries that they have not delivered. */
    struct ordered_map *seen;
    struct xstream_pending_index *pending;    /* STREAM; mostly NULL: xstream_pending.c */
    struct collection_retirement *retirement; /* of a slot, half way: retire.c */
    struct collection *previous_expiring, *next_expiring;
};

/* Are values of that type kept in order, in a map (sequence.h)? */
static inline bool collection_is_sequence(enum value_type type) {
    return type == VALUE_LIST || type == VALUE_STREAM;
}

/* ---- lifecycle ---- */

/* An empty one, under no key. */
struct collection *collection_new(const struct store *store, enum value_type type, unsigned number);
/* Frees it with its elements, of which none is listed as unsettled: collection_detach(). On any
 * thread. */
void collection_free(struct collection *collection);
/* Its place has gone, and it is detached: frees it, in the background where it is large, and not
 * before walks have it. */
void collection_release(struct store *store, struct collection *collection);
/* Forgets it in the store's lists and counts, before it is freed or moves to another store. */
void collection_detach(struct store *store, struct collection *collection);
/* Puts it into the store's list of those whose elements expire, or takes it out. */
void collection_set_expiring(struct store *store, struct collection *collection, bool is_expiring);
/* Takes in the elements of a collection that was built outside of the store's tables: lists what is
 * contested, builds the order index. Its key is in the table. */
void collection_adopt(struct store *store, struct collection *collection);
/* Puts an element that has come into the order of a sorted set, where that is kept up. */
void collection_index(struct collection *collection, struct entry *element);

/* The place of the element of that name. `db` is the index of the owner's database. */
struct key collection_key(const struct store *store, struct collection *collection, unsigned db,
                          struct slice name);
/* The place of its key; the name lies in the entry. */
struct key collection_owner(const struct store *store, const struct collection *collection);

/* ---- around each change of an element ---- */

/* Hands the owner's entry to running walks, before anything of it changes. */
void collection_before_owner(struct store *store, struct collection *collection);
/* The same, and the element of that name, which changes or goes in the map. */
void collection_before_element(struct store *store, struct collection *collection,
                               struct slice name);
/* Before the element at `key` may change, be added, or go by what knows only tables; the walks are
 * not told: mutate_before() does that once it is certain. */
void collection_prepare(struct store *store, const struct key *key);
/* The same where it is certain. */
void collection_before(struct store *store, const struct key *key);
/* After it; `stamp` is that of the change, 0: it only settled, or nothing changed. */
void collection_after(struct store *store, const struct key *key, uint64_t stamp);
/* The same for who knows the element, or that it is gone (NULL). */
void collection_after_element(struct store *store, const struct key *key, struct entry *element,
                              uint64_t stamp);
/* Is nothing of it contested by other types, or told to a walk before it changes? Not of lists and
 * streams. */
bool collection_is_plain(const struct store *store, const struct collection *collection);
/* And may the element, which is there, be deleted as what follows does? */
bool collection_may_delete_plain(const struct store *store, const struct collection *collection,
                                 const struct entry *element);
/* Deletes such an element as collection_delete_plain() does, after it was taken out of the order of
 * its sorted set. */
void collection_delete_unordered(struct store *store, const struct key *key, uint64_t *slot);
/* Deletes the element at `slot` as store_delete() does, with all that is to be done around it, if
 * all is plain; false, with nothing done, if not. `key->name` may lie in the element. */
bool collection_delete_plain(struct store *store, const struct key *key, uint64_t *slot);
/* After one or more changes of elements: the owner may be removed, hidden, or packed, and
 * `collection` freed. `stamp` is that of the last change, 0: nothing but settling happened. */
void collection_finish(struct store *store, struct collection *collection, uint64_t stamp);

/* May elements have parts of counters of others than the replica in `slot`? */
bool collection_has_parts_beside(const struct collection *collection, unsigned slot);
/* Had the writer in slot `author` seen all stamps that its elements may have? */
bool collection_is_seen(const struct store *store, const struct collection *collection,
                        unsigned author);
/* Appends the hashes (u64) of all elements that may have a stamp that `has_seen` denies, and
 * perhaps of others; false: they are not known. */
typedef bool (*collection_seen_fn)(const void *udata, uint64_t stamp);
bool collection_find_unseen(const struct collection *collection, collection_seen_fn has_seen,
                            const void *udata, struct buffer *hashes);
/* The slot of the element with that hash, or NULL. */
uint64_t *collection_find_hash(const struct store *store, const struct collection *collection,
                               uint64_t hash);
/* Had the writer in slot `author` seen all of it, and is nothing of it left by a DELETE? */
bool collection_is_covered(const struct store *store, const struct collection *collection,
                           unsigned author);
/* Applies a DELETE with this stamp to all elements; the collection may be empty then, and the owner
 * is not finished. */
void collection_delete_seen(struct store *store, struct collection *collection, uint64_t stamp);
/* Calls `each` for all elements; it may change or remove the one that it is given. */
void collection_walk(struct store *store, struct collection *collection,
                     void (*each)(struct store *store, struct collection *collection,
                                  struct entry *element, void *udata),
                     void *udata);
/* Stamps of that slot are going to be settled, one after another. */
void collection_note_settled(struct collection *collection, unsigned slot);
/* All its stamps of that slot have been settled. */
void collection_retire_slot(struct collection *collection, unsigned slot);
/* Records, as DELETE and SET must first, what is here of others' parts of counters: a TAKE for each
 * element. What takes them off here is the change that follows, and that must not fail. */
void collection_take(struct store *store, struct collection *collection);
/* May a recorded TAKE of that element change anything, which its author's next change, in the same
 * unit, would not? */
bool collection_needs_take(const struct store *store, struct collection *collection,
                           struct slice name, unsigned author);
/* A recorded TAKE of an element is about to be applied. Where many come one after another, they
 * come before a DELETE of all, and the order of a sorted set is not kept up meanwhile. */
void collection_note_take(struct collection *collection);
/* Notes all stamps of the element, and whose parts it has. */
void collection_note_element(struct collection *collection, const struct entry *element);
/* Notes that stamps up to that one may occur. */
void collection_note(struct collection *collection, uint64_t stamp);
/* Makes a packed collection a table, as an entry of its key in the same place. The key's slot in
 * its table is `slot`. Returns the collection. */
struct collection *collection_unpack(struct store *store, const struct key *key, uint64_t *slot);
/* A packed element of a collection of that type as an entry, which is the caller's. */
struct entry *collection_packed_entry(const struct store *store, enum value_type type,
                                      const struct packed_element *element);
/* The collection made of packed elements, under no key. */
struct collection *collection_from_packed(const struct store *store, struct slice packed,
                                          unsigned number);

/* ---- reading ---- */

/* All elements, hidden ones included. */
static inline uint64_t collection_count(const struct collection *collection) {
    return collection_is_sequence(collection->type) ? ordered_map_count(collection->map)
                                                    : collection->space.table.count;
}
/* Has it no element, and nothing that may still become one? */
static inline bool collection_is_empty(const struct collection *collection) {
    return collection_count(collection) == 0 && collection->grave == NULL;
}
/* Elements that are not hidden; expired ones count. */
static inline uint64_t collection_visible_count(const struct collection *collection) {
    if (collection_is_sequence(collection->type)) {
        return ordered_map_count(collection->map); /* none is ever hidden */
    }
    return collection->space.table.count - collection->space.hidden_count;
}
/* Forgets the order of a sorted set until it is read. All elements are about to change: taking each
 * out of its place in the order, and putting it into another, would cost more than all else. */
void collection_drop_order(struct collection *collection);
/* Makes the order of a sorted set anew: collection_order(). */
void collection_make_order(struct collection *collection);
/* The order of a sorted set, by scores. */
static inline struct order_tree *collection_order(struct collection *collection) {
    if (unlikely(collection->is_order_stale)) {
        collection_make_order(collection);
    }
    return &collection->order;
}
/* The score of a sorted set's element. */
double collection_score(const struct entry *element);
/* The greatest stamp of its visible elements: walks all. */
uint64_t collection_newest_visible(const struct store *store, const struct collection *collection);

/* ---- introspection ---- */

/* Estimated from about `samples` elements, where there are more. */
uint64_t collection_memory_bytes(const struct collection *collection, uint64_t samples);
/* Asserts that the stamp of an element was noted. */
void collection_check_note(const struct collection *collection, uint64_t stamp);
void collection_check(const struct store *store, const struct collection *collection);

#endif
