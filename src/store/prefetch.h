/* SPDX-License-Identifier: BSD-3-Clause */
/* Asks the processor for what a command is going to read, one pointer after the other. Each stage
 * reads what the one before has asked for; so it pays to do each for many commands before the next
 * one is begun. These are hints: nothing depends on them, and nothing is changed.
 *
 *   1  store_prefetch()            the bucket of the key
 *   2  store_prefetch_entry()      its entry
 *   3  store_prefetch_value()      the collection, if it is one
 *   4  collection_prefetch()       its map, or the directory of its table
 *   5  collection_prefetch_place() the ends of the map, or the bucket of an element
 *   6  collection_prefetch_entry() the element's entry
 *   7  collection_prefetch_merge() what concurrent writers left of it, if it is contested
 *   8  contested_prefetch()        registers and parts of that */
#ifndef STORE_PREFETCH_H
#define STORE_PREFETCH_H

#include "store/collection.h"
#include "store/contested.h"

static inline void store_prefetch(const struct store *store, unsigned db, uint64_t hash) {
    table_prefetch(&store->dbs[db].table, hash);
}

static inline void store_prefetch_entry(const struct store *store, unsigned db, uint64_t hash) {
    const void *entry = table_probable_item(&store->dbs[db].table, hash);
    if (entry != NULL) {
        prefetch_lines(entry, 2);
    }
}

/* The collection under the key, if there probably is one, else NULL. */
static inline const struct collection *store_prefetch_value(const struct store *store, unsigned db,
                                                            uint64_t hash) {
    const struct entry *entry = table_probable_item(&store->dbs[db].table, hash);
    if (entry == NULL || entry_kind(entry) != ENTRY_COLLECTION) {
        return NULL;
    }
    const struct collection *collection = entry_collection(entry);
    prefetch_lines(collection, 3);
    return collection;
}

static inline void collection_prefetch(const struct collection *collection) {
    prefetch(collection->newest);
    if (collection_is_sequence(collection->type)) {
        prefetch_lines(collection->map, 3);
    } else {
        prefetch(collection->space.table.directory);
    }
}

/* `hash` is that of the name of an element, NULL: none is asked for. */
static inline void collection_prefetch_place(const struct collection *collection,
                                             const uint64_t *hash) {
    if (collection_is_sequence(collection->type)) {
        ordered_map_prefetch_ends(collection->map);
    } else if (hash != NULL) {
        table_prefetch(&collection->space.table, *hash);
    }
}

static inline void collection_prefetch_entry(const struct collection *collection, uint64_t hash) {
    const void *entry = collection_is_sequence(collection->type)
                            ? NULL
                            : table_probable_item(&collection->space.table, hash);
    if (entry != NULL) {
        prefetch(entry);
    }
}

/* NULL: the element is not contested, as far as can be told. */
static inline const struct contested *collection_prefetch_merge(const struct collection *collection,
                                                                uint64_t hash) {
    const struct entry *entry = collection_is_sequence(collection->type)
                                    ? NULL
                                    : table_probable_item(&collection->space.table, hash);
    if (entry == NULL || entry_kind(entry) != ENTRY_CONTESTED) {
        return NULL;
    }
    const struct contested *contested = entry_contested(entry);
    prefetch_lines(contested, 4);
    return contested;
}

static inline void contested_prefetch(const struct contested *contested) {
    enum { PARTS_MAX = 2 };
    size_t parts = contested->parts_count < PARTS_MAX ? contested->parts_count : PARTS_MAX;
    prefetch_lines(contested->parts, (unsigned)((parts * sizeof(contested->parts[0]) + 63) / 64));
    prefetch(contested->registers);
}

#endif
