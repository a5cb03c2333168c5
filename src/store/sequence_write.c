/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/sequence_write.h"

#include "store/xstreams.h"

static struct key place_of(struct elements_writer *writer, struct slice name) {
    return collection_key(writer->store, elements_writer_collection(writer), writer->key.db, name);
}

/* Before the element of that name changes, which is certain. */
static void before(struct elements_writer *writer, struct slice name) {
    (void)elements_writer_collection(writer);
    elements_writer_take(writer);
    collection_before_element(writer->store, writer->collection, name);
}

static void after(struct elements_writer *writer, const struct key *place, uint64_t stamp) {
    collection_note(writer->collection, stamp);
    writer->collection->entry->stamp = stamp;
    mutate_after(writer->store, place);
    elements_writer_supersede(writer);
}

static bool is_one_change(struct slice value) {
    return value.size <= CHANGE_VALUE_BYTES_MAX;
}

/* Will a value that is more than one change find memory? It is recorded before it is put in, since
 * its stamp is that of the last change. */
static bool has_room(struct slice value) {
    if (is_one_change(value)) {
        return true;
    }
    void *probe = memory_try_alloc(2 * value.size);
    memory_free(probe);
    return probe != NULL;
}

/* What mutate_touch() needs of the name of an element that is about to go: its first byte. */
static struct slice kept_name(struct slice name, char *kind) {
    *kind = name.size > 0 ? name.data[0] : 0;
    return slice_make(kind, name.size > 0 ? 1 : 0);
}

/* Puts a new element into the map; `is_near_end`: mostly it comes behind all others. */
static void put_element(struct ordered_map **map, const struct ordered_map_element *element,
                        char *block, bool is_near_end) {
    struct ordered_map_cursor last;
    if (is_near_end && ordered_map_last(*map, &last) &&
        slice_compare(last.element.name, element->name) < 0) {
        ordered_map_push_copied(map, &last, false, element, block);
    } else {
        ordered_map_insert_copied(map, element, block);
    }
}

static enum store_status add_element(struct elements_writer *writer, struct slice name,
                                     struct slice value, bool is_near_end) {
    struct store *store = writer->store;
    struct ordered_map_element element = {.name = name, .value = value};
    char *block;
    if (!has_room(value) || !ordered_map_copy_value(value, &block)) {
        return STORE_OUT_OF_MEMORY;
    }
    before(writer, name);
    struct key place = place_of(writer, name);
    element.stamp = mutate_record_value(store, &place, mutate_stamp(store), value, 0);
    put_element(&writer->collection->map, &element, block, is_near_end);
    xstream_pending_note(writer->collection, name, value);
    after(writer, &place, element.stamp);
    return STORE_OK;
}

enum store_status sequence_write_add(struct elements_writer *writer, struct slice name,
                                     struct slice value) {
    return add_element(writer, name, value, true);
}

enum store_status sequence_write_add_inside(struct elements_writer *writer, struct slice name,
                                            struct slice value) {
    return add_element(writer, name, value, false);
}

enum store_status sequence_write_replace(struct elements_writer *writer,
                                         struct ordered_map_cursor *cursor, struct slice value) {
    struct store *store = writer->store;
    bool is_new;
    char *block;
    if (cursor->element.flags != 0 || !is_one_change(value)) {
        char name[ORDERED_MAP_NAME_BYTES_MAX];
        memcpy(name, cursor->element.name.data, cursor->element.name.size);
        return element_set(writer, slice_make(name, cursor->element.name.size), value, false,
                           &is_new);
    }
    if (!ordered_map_copy_value(value, &block)) {
        return STORE_OUT_OF_MEMORY;
    }
    struct key place = place_of(writer, cursor->element.name);
    before(writer, place.name);
    uint64_t stamp = mutate_stamp(store);
    xstream_pending_change(writer->collection, cursor, value);
    ordered_map_replace_copied(&writer->collection->map, cursor, stamp, 0, value, block);
    (void)mutate_record_value(store, &place, stamp, value, 0);
    after(writer, &place, stamp);
    return STORE_OK;
}

bool sequence_write_remove(struct elements_writer *writer, struct ordered_map_cursor *cursor) {
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
    /* Without its hash: nobody looks for it. */
    struct key place = {.name = cursor->element.name, .db = writer->key.db, .in = collection};
    before(writer, place.name);
    struct change change = {
        .kind = CHANGE_DELETE, .db = writer->key.db, .stamp = mutate_stamp(store)};
    mutate_record(store, &place, &change);
    char kind;
    place.name = kept_name(place.name, &kind);
    xstream_pending_forget(store, collection, cursor);
    bool is_there = ordered_map_remove(&collection->map, cursor);
    after(writer, &place, change.stamp);
    return is_there;
}

/* Records the removal of the element at the cursor and of those behind it whose names follow on its
 * own, `count` at most; returns how many. The cursor is then fit to go on from. */
static uint64_t record_run(struct elements_writer *writer, struct change *change,
                           struct ordered_map_cursor *cursor, uint64_t count) {
    struct store *store = writer->store;
    struct collection *collection = writer->collection;
    uint64_t recorded = 1;
    if (unlikely(collection->pending != NULL)) {
        xstream_pending_forget(store, collection, cursor);
    } else if (cursor->name_size <= CHANGE_RUN_NAME_BYTES_MAX && collection->walks == NULL) {
        recorded += ordered_map_skip_successors(cursor, count - 1);
    }
    change->stamp = mutate_stamps(store, recorded);
    change->element = slice_make(cursor->name, cursor->name_size);
    if (store->journal.is_on) {
        mutate_hand_on_full(store);
        change_writer_add_deletes(&store->journal, change, recorded);
    }
    change->is_key_fresh = false;
    return recorded;
}

/* Records the removal of plain elements from the cursor on, `count` at most, and moves it behind
 * them; returns how many. */
static uint64_t record_removals(struct elements_writer *writer, struct ordered_map_cursor *cursor,
                                uint64_t count) {
    struct store *store = writer->store;
    struct collection *collection = elements_writer_collection(writer);
    struct key place = {.db = writer->key.db, .in = collection}; /* nobody looks for it */
    uint64_t recorded = 0;
    bool is_there = true;
    char kind;
    place.name = kept_name(cursor->element.name, &kind);
    before(writer, cursor->element.name);
    struct change change = mutate_collection_change(collection, CHANGE_DELETE);
    change.is_key_fresh = collection->is_key_fresh;
    collection->is_key_fresh = false;
    while (is_there && cursor->element.flags == 0 && recorded < count) {
        if (unlikely(collection->walks != NULL)) {
            before(writer, cursor->element.name);
        }
        recorded += record_run(writer, &change, cursor, count - recorded);
        is_there = ordered_map_next(collection->map, cursor);
    }
    store->stats.dirty += recorded - 1;
    after(writer, &place, change.stamp);
    return recorded;
}

/* Where nobody hears of single elements, the `count` from the cursor on go as a whole. */
static bool remove_untold(struct elements_writer *writer, struct ordered_map_cursor *cursor,
                          uint64_t count) {
    struct store *store = writer->store;
    struct collection *collection = writer->collection;
    struct key place = {.db = writer->key.db, .in = collection};
    char kind;
    place.name = kept_name(cursor->element.name, &kind);
    uint64_t stamp = mutate_stamp(store);
    bool is_there = ordered_map_remove_range(&collection->map, cursor, count, NULL, NULL);
    store->stats.dirty += count - 1;
    after(writer, &place, stamp);
    return is_there;
}

/* Does anybody hear of each element that goes? The first is about to. */
static bool are_told(struct elements_writer *writer, struct slice first) {
    if (writer->store->journal.is_on || elements_writer_collection(writer)->pending != NULL) {
        return true;
    }
    before(writer, first);
    return writer->collection->walks != NULL || writer->collection->space.table.count > 0;
}

bool sequence_write_remove_range(struct elements_writer *writer, struct ordered_map_cursor *cursor,
                                 uint64_t count) {
    /* So many are recorded before they are gone. */
    enum { AT_ONCE = 1024 };
    struct collection *collection = elements_writer_collection(writer);
    bool is_there = true;
    if (count > 0 && !are_told(writer, cursor->element.name)) {
        return remove_untold(writer, cursor, count);
    }
    while (count > 0) {
        uint64_t removed = 1;
        require(is_there);
        if (cursor->element.flags != 0) {
            is_there = sequence_write_remove(writer, cursor);
        } else {
            uint64_t rank = ordered_map_rank(collection->map, cursor);
            removed = record_removals(writer, cursor, count < AT_ONCE ? count : AT_ONCE);
            is_there = ordered_map_at(collection->map, rank, cursor);
            ensure(is_there);
            is_there = ordered_map_remove_range(&collection->map, cursor, removed, NULL, NULL);
        }
        count -= removed;
    }
    return is_there;
}
