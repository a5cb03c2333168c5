/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/lists.h"

#include "crdt/list_position.h"
#include "store/elements_internal.h"
#include "store/sequence.h"

/* ---- reading ---- */

static void show(struct list_cursor *cursor) {
    sequence_view(cursor->store, cursor->collection, &cursor->at, &cursor->element);
}

bool list_seek(const struct store *store, const struct elements *elements, uint64_t index,
               struct list_cursor *cursor) {
    cursor->store = store;
    cursor->collection = elements->collection;
    if (index >= elements->count ||
        !ordered_map_at(elements->collection->map, index, &cursor->at)) {
        return false;
    }
    show(cursor);
    return true;
}

bool list_step(struct list_cursor *cursor, enum list_end towards) {
    const struct ordered_map *map = cursor->collection->map;
    bool is_there = towards == LIST_RIGHT ? ordered_map_next(map, &cursor->at)
                                          : ordered_map_previous(map, &cursor->at);
    if (is_there) {
        show(cursor);
    }
    return is_there;
}

/* ---- writing ---- */

static struct key place_of(struct elements_writer *writer, struct slice name) {
    return collection_key(writer->store, elements_writer_collection(writer), writer->key.db, name);
}

static void before(struct elements_writer *writer) {
    (void)elements_writer_collection(writer);
    elements_writer_take(writer);
    collection_before_owner(writer->store, writer->collection);
}

static void after(struct elements_writer *writer, const struct key *place, uint64_t stamp) {
    collection_note(writer->collection, stamp);
    writer->collection->entry->stamp = stamp;
    mutate_after(writer->store, place);
    elements_writer_supersede(writer);
}

static bool has_memory(size_t size) {
    void *probe = memory_try_alloc(2 * size);
    memory_free(probe);
    return probe != NULL;
}

/* A longer value is recorded first, since its stamp is that of the last change; that it will have
 * room is seen before. */
static bool is_one_change(struct slice value) {
    return value.size <= CHANGE_VALUE_BYTES_MAX;
}

/* Puts a new element between two neighbours; empty ones are the ends. */
static enum store_status insert_between(struct elements_writer *writer, struct slice left,
                                        struct slice right, struct slice value) {
    struct store *store = writer->store;
    struct list_position position;
    if (!is_one_change(value) && !has_memory(value.size)) {
        return STORE_OUT_OF_MEMORY;
    }
    uint64_t ref = store->replicas.slots[store->replicas.self].ref;
    if (store->list_positions == NULL) {
        store->list_positions = memory_alloc(sizeof(*store->list_positions));
        list_positions_init(store->list_positions, ref);
    } else if (store->list_positions->ref != ref) {
        list_positions_init(store->list_positions, ref);
    }
    before(writer);
    uint64_t stamp = mutate_stamp(store);
    if (list_position_between(store->list_positions, stamp_ticks(stamp), left, right, &position) !=
        LIST_POSITION_OK) {
        return STORE_NO_ROOM;
    }
    struct key place = place_of(writer, list_position_slice(&position));
    struct ordered_map_element element = {.name = place.name, .stamp = stamp, .value = value};
    if (!is_one_change(value)) {
        element.stamp = mutate_record_value(store, &place, stamp, value, 0);
        bool is_done = ordered_map_insert(&writer->collection->map, &element);
        require(is_done);
    } else if (!ordered_map_insert(&writer->collection->map, &element)) {
        return STORE_OUT_OF_MEMORY;
    } else {
        (void)mutate_record_value(store, &place, stamp, value, 0);
    }
    after(writer, &place, element.stamp);
    return STORE_OK;
}

enum store_status list_push(struct elements_writer *writer, enum list_end end, struct slice value) {
    struct collection *collection = elements_writer_collection(writer);
    struct ordered_map_cursor cursor;
    struct slice none = slice_make("", 0), left = none, right = none;
    if (end == LIST_RIGHT && ordered_map_last(collection->map, &cursor)) {
        left = cursor.element.name;
    } else if (end == LIST_LEFT && ordered_map_first(collection->map, &cursor)) {
        right = cursor.element.name;
    }
    return insert_between(writer, left, right, value);
}

enum store_status list_insert(struct elements_writer *writer, uint64_t index, struct slice value) {
    struct collection *collection = elements_writer_collection(writer);
    struct ordered_map_cursor left, right;
    struct slice none = slice_make("", 0);
    bool has_left = index > 0 && ordered_map_at(collection->map, index - 1, &left);
    bool has_right = ordered_map_at(collection->map, index, &right);
    return insert_between(writer, has_left ? left.element.name : none,
                          has_right ? right.element.name : none, value);
}

enum store_status list_set(struct elements_writer *writer, uint64_t index, struct slice value) {
    struct store *store = writer->store;
    struct ordered_map_cursor cursor;
    bool is_there = ordered_map_at(elements_writer_collection(writer)->map, index, &cursor), is_new;
    ensure(is_there);
    if (cursor.element.flags != 0 || !is_one_change(value)) {
        char name[ORDERED_MAP_NAME_BYTES_MAX];
        memcpy(name, cursor.element.name.data, cursor.element.name.size);
        return element_set(writer, slice_make(name, cursor.element.name.size), value, false,
                           &is_new);
    }
    struct key place = place_of(writer, cursor.element.name);
    before(writer);
    uint64_t stamp = mutate_stamp(store);
    if (!ordered_map_replace(&writer->collection->map, &cursor, stamp, 0, value)) {
        return STORE_OUT_OF_MEMORY;
    }
    (void)mutate_record_value(store, &place, stamp, value, 0);
    after(writer, &place, stamp);
    return STORE_OK;
}

/* Removes the element at the cursor, which then is on the next one, or nowhere (false). */
static bool remove_here(struct elements_writer *writer, struct ordered_map_cursor *cursor) {
    struct store *store = writer->store;
    struct collection *collection = elements_writer_collection(writer);
    if (cursor->element.flags != 0) {
        char name[ORDERED_MAP_NAME_BYTES_MAX];
        struct slice bytes = slice_make(name, cursor->element.name.size);
        memcpy(name, cursor->element.name.data, bytes.size);
        bool is_done = element_delete(writer, bytes);
        ensure(is_done);
        return ordered_map_lower_bound(collection->map, bytes, cursor);
    }
    struct key place = place_of(writer, cursor->element.name);
    before(writer);
    struct change change = {
        .kind = CHANGE_DELETE, .db = writer->key.db, .stamp = mutate_stamp(store)};
    mutate_record(store, &place, &change);
    bool is_there = ordered_map_remove(&collection->map, cursor);
    after(writer, &place, change.stamp);
    return is_there;
}

void list_remove(struct elements_writer *writer, uint64_t index, uint64_t count) {
    struct ordered_map_cursor cursor;
    bool is_there = ordered_map_at(elements_writer_collection(writer)->map, index, &cursor);
    for (uint64_t i = 0; i < count; i++) {
        require(is_there);
        is_there = remove_here(writer, &cursor);
    }
}

uint64_t list_remove_value(struct elements_writer *writer, struct slice value, uint64_t count,
                           enum list_end from) {
    struct collection *collection = elements_writer_collection(writer);
    struct ordered_map_cursor cursor;
    struct element element;
    uint64_t removed = 0;
    bool is_there = from == LIST_LEFT ? ordered_map_first(collection->map, &cursor)
                                      : ordered_map_last(collection->map, &cursor);
    while (is_there && removed < count) {
        sequence_view(writer->store, collection, &cursor, &element);
        bool is_equal = slice_equal(element.value, value);
        if (is_equal) {
            is_there = remove_here(writer, &cursor);
            removed++;
        } else if (from == LIST_LEFT) {
            is_there = ordered_map_next(collection->map, &cursor);
        }
        if (from == LIST_RIGHT) {
            /* After a removal the cursor is on the one behind, if there is one. */
            is_there = is_equal && !is_there ? ordered_map_last(collection->map, &cursor)
                                             : ordered_map_previous(collection->map, &cursor);
        }
    }
    return removed;
}
