/* SPDX-License-Identifier: BSD-3-Clause */
/* A collection and its packed form: from the one to the other, and what becomes of a key after
 * changes of its elements. A small plain collection is packed when a writer is done with it. One
 * that was too large for that once stays a table, so that it does not go back and forth. */
#include "store/collection.h"

#include <stdlib.h>

#include "crdt/packed_list.h"
#include "store/mutate.h"
#include "store/sequence.h"

/* ---- packing ---- */

struct integers_walk {
    bool are_integers;
};

static void integers_visit(void *item, void *udata) {
    int64_t integer;
    ((struct integers_walk *)udata)->are_integers &=
        number_parse_integer(entry_key((const struct entry *)item), &integer);
}

static bool are_integers(const struct collection *collection) {
    struct integers_walk walk = {.are_integers = true};
    uint64_t position = 0;
    do {
        position = table_walk(&collection->space.table, position, integers_visit, &walk);
    } while (position != 0 && walk.are_integers);
    return walk.are_integers;
}

/* Are there more elements than are packed? Of a set of integers more are. */
static bool is_beyond_packing(const struct store *store, const struct collection *collection) {
    const struct store_packing *packing = &store->packing[collection->type];
    uint64_t count = collection->space.table.count;
    if (collection->type == VALUE_LIST) {
        return count == 0 && collection->map != NULL &&
               !sequence_fits_packed(store, collection->map);
    }
    return count > COLLECTION_PACKED_MAX ||
           (count > packing->entries_max &&
            !(collection->type == VALUE_SET && count <= packing->integers_max &&
              !collection->has_text && are_integers(collection)));
}

static int compare_packed(const void *a, const void *b) {
    return packed_compare((const struct packed_element *)a, (const struct packed_element *)b);
}

/* Can it be packed, and did it never grow too large for that? */
static bool is_packable(const struct store *store, const struct collection *collection) {
    return collection->type != VALUE_STREAM && !collection->is_large && collection->walks == NULL &&
           collection->contested_count == 0 && !collection->may_have_parts &&
           collection->space.table.marked_count == 0 && collection->entry != NULL &&
           entry_kind(collection->entry) == ENTRY_COLLECTION &&
           !is_beyond_packing(store, collection);
}

struct pack_walk {
    struct packed_element elements[COLLECTION_PACKED_MAX];
    char texts[COLLECTION_PACKED_MAX][NUMBER_INTEGER_BYTES_MAX]; /* of values that are integers */
    unsigned count;
    bool is_plain;
    bool has_scores;
};

/* A plain element's value; `text` has room for an integer. */
static struct slice packed_value(const struct entry *entry, char *text) {
    int64_t integer;
    if (entry_kind(entry) == ENTRY_INTEGER && entry_integer(entry, &integer)) {
        return slice_make(text, number_format_integer(text, integer));
    }
    return entry_value(entry, NULL);
}

static void pack_visit(void *item, void *udata) {
    struct pack_walk *walk = (struct pack_walk *)udata;
    const struct entry *entry = (const struct entry *)item;
    enum entry_kind kind = entry_kind(entry);
    /* An expiry that is "never" has a stamp of its own, and has to be kept. */
    walk->is_plain &= (kind == ENTRY_BYTES || kind == ENTRY_INTEGER) &&
                      (entry->meta & (ENTRY_HAS_EXPIRY | ENTRY_HAS_EXPIRY_STAMP)) == 0 &&
                      walk->count < COLLECTION_PACKED_MAX;
    if (!walk->is_plain) {
        return;
    }
    struct packed_element *element = &walk->elements[walk->count];
    *element = (struct packed_element){.name = entry_key(entry), .stamp = entry->stamp};
    if (walk->has_scores) {
        element->score = collection_score(entry);
    } else {
        element->value = packed_value(entry, walk->texts[walk->count]);
    }
    walk->count++;
}

/* Puts an entry with these packed elements in the place of the collection's, which is freed. */
static void replace_by_packed(struct store *store, struct collection *collection,
                              struct slice packed) {
    struct entry *old = collection->entry;
    struct key owner = collection_owner(store, collection);
    uint64_t *slot = mutate_slot(store, &owner);
    struct entry_parts parts;
    entry_take_apart(old, &parts);
    parts.kind = ENTRY_PACKED;
    parts.bytes = packed;
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    collection_detach(store, collection);
    table_replace(slot, entry);
    entry_free(old);
}

static void pack_list(struct store *store, struct collection *collection) {
    struct packed_list list = {.authors = store->replicas.authors, .map = collection->map};
    struct buffer packed = {0};
    if (collection->space.table.count == 0) {
        packed_list_put(&packed, &list);
        replace_by_packed(store, collection, buffer_slice(&packed));
        buffer_deinit(&packed);
    }
}

static void pack(struct store *store, struct collection *collection) {
    if (collection->type == VALUE_LIST) {
        pack_list(store, collection);
        return;
    }
    struct pack_walk *walk = memory_alloc_zero(sizeof(*walk));
    uint64_t position = 0;
    walk->is_plain = true;
    walk->has_scores = collection->type == VALUE_SORTED_SET;
    do {
        position = table_walk(&collection->space.table, position, pack_visit, walk);
    } while (position != 0);
    if (walk->is_plain) {
        struct packed_builder builder = {0};
        struct buffer packed = {0};
        if (walk->has_scores) {
            qsort(walk->elements, walk->count, sizeof(walk->elements[0]), compare_packed);
        }
        packed_build_begin(&builder, collection->type, walk->elements[0].stamp);
        for (unsigned i = 0; i < walk->count; i++) {
            packed_build_add(&builder, &walk->elements[i]);
        }
        packed_build_put(&builder, &packed);
        buffer_deinit(&builder.elements);
        if (collection->has_text) {
            packed.data[0] = (char)(packed.data[0] | PACKED_HAS_TEXT);
        }
        replace_by_packed(store, collection, buffer_slice(&packed));
        buffer_deinit(&packed);
    }
    memory_free(walk);
}

struct entry *collection_packed_entry(const struct store *store, enum value_type type,
                                      const struct packed_element *element) {
    char text[64];
    struct entry_parts parts = {.kind = ENTRY_BYTES,
                                .stamp = element->stamp,
                                .key = element->name,
                                .access = mutate_first_access(store),
                                .bytes = element->value};
    if (type == VALUE_SORTED_SET) {
        parts.bytes = slice_make(text, number_format_double(text, element->score));
    }
    if (parts.bytes.size > 0 && number_parse_integer(parts.bytes, &parts.integer)) {
        parts.kind = ENTRY_INTEGER;
    }
    if (parts.bytes.size > ENTRY_INLINE_VALUE_BYTES_MAX) {
        parts.kind = ENTRY_LARGE;
        parts.large = large_string_copy(parts.bytes);
        require(parts.large != NULL);
    }
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    return entry;
}

static void put_packed_element(const struct store *store, struct collection *collection,
                               const struct packed_element *element) {
    struct entry *entry = collection_packed_entry(store, collection->type, element);
    table_insert(&collection->space.table, hash_bytes(store->element_seed, element->name), entry,
                 false);
    collection_index(collection, entry);
    collection_note(collection, element->stamp);
}

struct collection *collection_from_packed(const struct store *store, struct slice packed,
                                          unsigned number) {
    struct collection *collection = collection_new(store, packed_type(packed), number);
    if (collection->type == VALUE_LIST) {
        struct packed_list list;
        packed_list_open(&list, store->replicas.authors, packed, false);
        collection->map = list.map;
        sequence_note(collection);
        return collection;
    }
    struct packed_reader reader;
    struct packed_element element;
    packed_reader_init(&reader, packed);
    collection->has_text = packed_has_text(packed);
    table_expect(&collection->space.table, reader.count);
    while (packed_next(&reader, &element)) {
        put_packed_element(store, collection, &element);
    }
    return collection;
}

struct collection *collection_unpack(struct store *store, const struct key *key, uint64_t *slot) {
    struct entry *old = table_item(*slot);
    struct entry_parts parts;
    entry_take_apart(old, &parts);
    parts.kind = ENTRY_COLLECTION;
    parts.collection = collection_from_packed(store, parts.bytes, store->dbs[key->db].number);
    parts.bytes = (struct slice){0};
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    table_replace(slot, entry);
    entry_free(old);
    return parts.collection;
}

/* ---- the owner ---- */

/* The key of the owner, with a name of its own. */
static struct key own_owner(const struct store *store, const struct collection *collection,
                            struct buffer *name) {
    struct key key = collection_owner(store, collection);
    buffer_append_slice(name, key.name);
    key.name = name->size > 0 ? buffer_slice(name) : slice_make("", 0);
    return key;
}

void collection_finish(struct store *store, struct collection *collection, uint64_t stamp) {
    struct entry *entry = collection->entry;
    collection->is_key_fresh = false;
    if (likely(entry_kind(entry) == ENTRY_COLLECTION && collection_visible_count(collection) > 0)) {
        if (stamp != 0 && !store->uses_lfu) {
            entry_set_access(entry, mutate_first_access(store));
        }
        collection->is_large = collection->is_large || is_beyond_packing(store, collection);
        if (is_packable(store, collection)) {
            pack(store, collection);
        }
        return;
    }
    struct buffer name = {0};
    struct key owner = own_owner(store, collection, &name);
    uint64_t *slot = mutate_slot(store, &owner);
    ensure(slot != NULL);
    if (store->is_alone) {
        mutate_remove(store, &owner, slot);
        buffer_deinit(&name);
        return;
    }
    (void)contested_open(store, &owner, slot);
    (void)contested_close(store, &owner, stamp);
    buffer_deinit(&name);
}
