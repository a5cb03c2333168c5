/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/snapshot_elements.h"

#include "store/mutate.h"
#include "store/sequence.h"

enum {
    STEP_ELEMENTS = 16,
    /* Of a batch: whoever waits for one waits for some hundred elements. */
    BATCH_BYTES = 16 << 10,
};

/* ---- names that were told ahead ---- */

struct told_name {
    size_t size;
    char bytes[];
};

static struct slice told_slice(const struct told_name *told) {
    return slice_make(told->bytes, told->size);
}

static uint64_t told_hash(const void *item, const void *udata) {
    return hash_bytes(*(const struct hash_seed *)udata, told_slice((const struct told_name *)item));
}

static bool told_match(const void *item, const void *udata) {
    return slice_equal(told_slice((const struct told_name *)item), *(const struct slice *)udata);
}

static void told_free(void *item, void *udata) {
    (void)udata;
    memory_free(item);
}

static uint64_t hash_name(const struct snapshot_elements *elements, struct slice name) {
    return hash_bytes(elements->walk->store->element_seed, name);
}

static bool was_told(const struct snapshot_elements *elements, struct slice name) {
    return elements->has_told &&
           table_find(&elements->told, hash_name(elements, name), told_match, &name) != NULL;
}

static void note_told(struct snapshot_elements *elements, struct slice name) {
    if (!elements->has_told) {
        table_init(&elements->told, told_hash, &elements->walk->store->element_seed);
        elements->has_told = true;
    }
    struct told_name *told = memory_alloc(sizeof(*told) + name.size);
    told->size = name.size;
    memcpy(told->bytes, name.data, name.size);
    table_insert(&elements->told, hash_name(elements, name), told, false);
}

static void free_told(void *object) {
    struct table *told = (struct table *)object;
    uint64_t position = 0;
    do {
        position = table_walk(told, position, told_free, NULL);
    } while (position != 0);
    table_deinit(told);
    memory_free(told);
}

/* There may be as many names as were written to meanwhile. */
static void forget_told(struct snapshot_elements *elements) {
    struct store *store = elements->walk->store;
    if (!elements->has_told) {
        return;
    }
    struct table *told = memory_alloc(sizeof(*told));
    *told = elements->told;
    elements->has_told = false;
    if (store->free_later != NULL) {
        store->free_later(store->udata, free_told, told);
    } else {
        free_told(told);
    }
}

/* ---- pieces ---- */

static void send_piece(void *udata) {
    struct snapshot_elements *elements = (struct snapshot_elements *)udata;
    struct snapshot_walk *walk = elements->walk;
    walk->piece(walk->udata, buffer_slice(&elements->out), !elements->has_piece);
    elements->has_piece = true;
    buffer_clear(&elements->out);
}

/* As it was when the walk began? */
static bool is_from_before(const struct snapshot_elements *elements, const struct entry *entry) {
    const struct context *context = &elements->walk->context;
    return context_covers(context, entry->stamp) &&
           context_covers(context, entry_expire_stamp(entry));
}

static bool tell_entry(struct snapshot_elements *elements, const struct entry *entry) {
    if (!is_from_before(elements, entry) || was_told(elements, entry_key(entry))) {
        return false;
    }
    elements->walk->work++;
    state_batches_add(&elements->batches, entry);
    return true;
}

/* The element at the cursor of a list or stream. */
static bool tell_here(struct snapshot_elements *elements, const struct ordered_map_cursor *cursor) {
    if (cursor->element.flags != 0) {
        return tell_entry(elements,
                          sequence_intricate(elements->walk->store, elements->collection, cursor));
    }
    if (!context_covers(&elements->walk->context, cursor->element.stamp) ||
        was_told(elements, cursor->element.name)) {
        return false;
    }
    struct entry *entry = sequence_entry(cursor);
    elements->walk->work++;
    state_batches_add(&elements->batches, entry);
    entry_free(entry);
    return true;
}

/* ---- lists ---- */

static struct snapshot_elements **list_of(struct snapshot_elements *elements) {
    return elements->has_ended ? &elements->walk->ended : &elements->walk->open;
}

/* At the end, so that the oldest is told first: names told ahead do not pile up. */
static void link_last(struct snapshot_elements *elements) {
    struct snapshot_elements **at = list_of(elements);
    if (*at == NULL) {
        elements->previous = elements->next = elements;
        *at = elements;
        return;
    }
    elements->next = *at;
    elements->previous = (*at)->previous;
    elements->previous->next = elements;
    (*at)->previous = elements;
}

static void unlink_here(struct snapshot_elements *elements) {
    struct snapshot_elements **at = list_of(elements);
    if (*at == elements) {
        *at = elements->next == elements ? NULL : elements->next;
    }
    elements->previous->next = elements->next;
    elements->next->previous = elements->previous;
}

static void unlink_from_collection(struct snapshot_elements *elements) {
    struct snapshot_elements **at = &elements->collection->walks;
    while (*at != elements) {
        require(*at != NULL);
        at = &(*at)->next_of_collection;
    }
    *at = elements->next_of_collection;
}

static void give_up_bytes(struct snapshot_elements *elements) {
    forget_told(elements);
    buffer_deinit(&elements->name);
    buffer_deinit(&elements->key);
    buffer_deinit(&elements->out);
    buffer_deinit(&elements->batches.pending);
}

static void free_object(void *object) {
    collection_free((struct collection *)object);
}

/* Frees what was kept only for walks, once the last of them has let go. */
static void let_go(struct store *store, struct collection *collection) {
    if (!collection->is_kept || collection->walks != NULL) {
        return;
    }
    if (store->free_later != NULL) {
        store->free_later(store->udata, free_object, collection);
    } else {
        collection_free(collection);
    }
}

static void drop(struct snapshot_elements *elements) {
    struct store *store = elements->walk->store;
    struct collection *collection = elements->collection;
    unlink_here(elements);
    unlink_from_collection(elements);
    give_up_bytes(elements);
    memory_free(elements);
    let_go(store, collection);
}

/* ---- beginning ---- */

struct collection *snapshot_elements_wanted(const struct snapshot_walk *walk,
                                            const struct entry *entry) {
    struct collection *collection = NULL;
    if (walk->piece == NULL) {
        return NULL;
    }
    if (entry_kind(entry) == ENTRY_COLLECTION) {
        collection = entry_collection(entry);
    } else if (entry_kind(entry) == ENTRY_CONTESTED) {
        collection = entry_contested(entry)->collections;
        while (collection != NULL && collection_count(collection) == 0) {
            collection = collection->next;
        }
        /* Values of two types at once are rare, and soon settled: they go out as a whole. */
        if (collection != NULL && state_filled_collection(collection->next) != NULL) {
            return NULL;
        }
    }
    return collection != NULL && collection_count(collection) > walk->store->elements_a_step
               ? collection
               : NULL;
}

static bool is_told_by(const struct snapshot_walk *walk, const struct collection *collection) {
    const struct snapshot_elements *elements = collection->walks;
    while (elements != NULL && elements->walk != walk) {
        elements = elements->next_of_collection;
    }
    return elements != NULL;
}

bool snapshot_elements_have(const struct snapshot_walk *walk, const struct entry *entry) {
    if (entry_kind(entry) == ENTRY_COLLECTION) {
        return is_told_by(walk, entry_collection(entry));
    }
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        for (const struct collection *collection = entry_contested(entry)->collections;
             collection != NULL; collection = collection->next) {
            if (is_told_by(walk, collection)) {
                return true;
            }
        }
    }
    return false;
}

void snapshot_elements_begin(struct snapshot_walk *walk, unsigned db, const struct entry *entry,
                             struct collection *collection, bool is_ahead) {
    struct snapshot_elements *elements = memory_alloc_zero(sizeof(*elements));
    elements->walk = walk;
    elements->collection = collection;
    elements->is_ahead = is_ahead;
    buffer_append_slice(&elements->key, entry_key(entry));
    struct slice key = elements->key.size > 0 ? buffer_slice(&elements->key) : slice_make("", 0);
    elements->batches = (struct state_batches){.out = &elements->out,
                                               .db = db,
                                               .key = key,
                                               .collection = collection,
                                               .flush = send_piece,
                                               .bytes_max = BATCH_BYTES,
                                               .udata = elements};
    state_encode_head(&elements->out, walk->store, db, entry, send_piece, elements);
    elements->next_of_collection = collection->walks;
    collection->walks = elements;
    link_last(elements);
}

/* ---- going on ---- */

static void step_visit(void *item, void *udata) {
    struct snapshot_elements *elements = (struct snapshot_elements *)udata;
    elements->walk->work++;
    (void)tell_entry(elements, (const struct entry *)item);
}

/* True at the end. */
static bool step_table(struct snapshot_elements *elements) {
    elements->position =
        table_walk(&elements->collection->space.table, elements->position, step_visit, elements);
    return elements->position == 0;
}

static bool step_sequence(struct snapshot_elements *elements) {
    const struct ordered_map *map = elements->collection->map;
    struct ordered_map_cursor cursor;
    struct slice name = buffer_slice(&elements->name);
    bool is_there = elements->has_name ? ordered_map_lower_bound(map, name, &cursor)
                                       : ordered_map_first(map, &cursor);
    if (is_there && elements->has_name && slice_equal(cursor.element.name, name)) {
        is_there = ordered_map_next(map, &cursor);
    }
    for (unsigned i = 0; is_there && i < STEP_ELEMENTS; i++) {
        elements->walk->work++;
        (void)tell_here(elements, &cursor);
        buffer_clear(&elements->name);
        buffer_append_slice(&elements->name, cursor.element.name);
        elements->has_name = true;
        is_there = ordered_map_next(map, &cursor);
    }
    return !is_there;
}

static void end(struct snapshot_elements *elements) {
    state_batches_put(&elements->batches, false); /* I4: it has an element */
    send_piece(elements);
    bool is_kept = elements->collection->is_kept;
    if (!elements->is_ahead || is_kept) {
        drop(elements);
        return;
    }
    unlink_here(elements);
    give_up_bytes(elements);
    elements->has_ended = true;
    link_last(elements);
}

void snapshot_elements_step(struct snapshot_elements *elements) {
    elements->walk->work++; /* empty buckets cost a little, too */
    bool is_through = collection_is_sequence(elements->collection->type) ? step_sequence(elements)
                                                                         : step_table(elements);
    if (is_through) {
        end(elements);
    }
}

static void before_in_table(struct snapshot_elements *elements, struct slice name) {
    uint64_t hash = hash_name(elements, name);
    if (table_walk_passed(hash, elements->position)) {
        return;
    }
    const uint64_t *slot =
        table_find(&elements->collection->space.table, hash, mutate_match, &name);
    if (slot != NULL && tell_entry(elements, table_item(*slot))) {
        note_told(elements, name);
    }
}

static void before_in_sequence(struct snapshot_elements *elements, struct slice name) {
    struct ordered_map_cursor cursor;
    if (elements->has_name && slice_compare(name, buffer_slice(&elements->name)) <= 0) {
        return;
    }
    if (ordered_map_find(elements->collection->map, name, &cursor) &&
        tell_here(elements, &cursor)) {
        note_told(elements, name);
    }
}

void snapshot_elements_before(struct collection *collection, struct slice name) {
    for (struct snapshot_elements *elements = collection->walks; elements != NULL;
         elements = elements->next_of_collection) {
        if (elements->has_ended) {
            continue;
        }
        if (collection_is_sequence(collection->type)) {
            before_in_sequence(elements, name);
        } else {
            before_in_table(elements, name);
        }
    }
}

/* ---- when something goes ---- */

bool snapshot_elements_keep(struct collection *collection) {
    require(!collection->is_kept);
    for (struct snapshot_elements *elements = collection->walks, *next; elements != NULL;
         elements = next) {
        next = elements->next_of_collection;
        if (elements->has_ended) {
            drop(elements);
        }
    }
    collection->is_kept = collection->walks != NULL;
    if (collection->is_kept) {
        collection->entry = NULL;
        collection->next = NULL;
    }
    return collection->is_kept;
}

void snapshot_elements_drop_all(struct snapshot_walk *walk) {
    while (walk->open != NULL) {
        drop(walk->open);
    }
    while (walk->ended != NULL) {
        drop(walk->ended);
    }
}
