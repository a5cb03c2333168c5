/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/lists.h"

#include "store/elements_internal.h"
#include "store/sequence.h"
#include "store/sequence_write.h"

/* ---- reading ---- */

static void show(struct list_cursor *cursor) {
    sequence_view(cursor->store, cursor->collection, &cursor->at, &cursor->element);
}

/* Reads up to the element with that index. */
static void read_told(struct list_cursor *cursor, uint64_t index) {
    for (; cursor->index <= index; cursor->index++) {
        packed_told_next(&cursor->told);
    }
    cursor->element.name = cursor->told.element.name;
    cursor->element.value = cursor->told.element.value;
    cursor->element.score = 0;
    cursor->element.expire_unix_ms = 0;
}

bool list_seek(const struct store *store, const struct elements *elements, uint64_t index,
               struct list_cursor *cursor) {
    if (index >= elements->count) {
        return false;
    }
    cursor->store = store;
    cursor->collection = elements->collection;
    cursor->packed = elements->packed;
    cursor->is_told = elements->collection == NULL && elements->map == NULL &&
                      packed_list_is_told(elements->packed);
    if (cursor->is_told) {
        cursor->index = 0;
        cursor->count = elements->count;
        packed_list_begin_told(&cursor->told, store->replicas.authors, elements->packed);
        read_told(cursor, index);
        return true;
    }
    cursor->map = elements->collection != NULL ? elements->collection->map
                  : elements->map != NULL
                      ? elements->map
                      : packed_list_map(store->replicas.authors, elements->packed, &cursor->block);
    bool is_there = ordered_map_at(cursor->map, index, &cursor->at);
    ensure(is_there);
    show(cursor);
    return true;
}

bool list_step(struct list_cursor *cursor, enum list_end towards) {
    if (cursor->is_told && towards == LIST_RIGHT) {
        if (cursor->index == cursor->count) {
            return false;
        }
        read_told(cursor, cursor->index);
        return true;
    }
    if (cursor->is_told) {
        cursor->is_told = false;
        cursor->map =
            packed_list_map(cursor->store->replicas.authors, cursor->packed, &cursor->block);
        bool is_there = ordered_map_at(cursor->map, cursor->index - 1, &cursor->at);
        ensure(is_there);
    }
    bool is_there = towards == LIST_RIGHT ? ordered_map_next(cursor->map, &cursor->at)
                                          : ordered_map_previous(cursor->map, &cursor->at);
    if (is_there) {
        show(cursor);
    }
    return is_there;
}

/* ---- writing packed lists ---- */

/* Where the writer's elements are: in a packed list that it has opened, if that is what the key
 * holds, or nothing at all, else in the collection. */
static struct ordered_map **writer_map(struct elements_writer *writer) {
    writer->list_count = 0;
    if (writer->collection == NULL && !writer->has_list) {
        const uint64_t *slot = mutate_slot(writer->store, &writer->key);
        const struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
        if (entry == NULL || entry_kind(entry) == ENTRY_PACKED) {
            packed_list_open(&writer->list, writer->store->replicas.authors,
                             entry != NULL ? entry_packed(entry) : SLICE(""),
                             writer->store->is_alone);
            writer->has_list = true;
            writer->list_stamp = 0;
        }
    }
    return writer->has_list ? &writer->list.map : &elements_writer_collection(writer)->map;
}

/* The element of that name was changed with that stamp in the packed list. */
static void changed_list(struct elements_writer *writer, uint64_t stamp) {
    writer->list_stamp = stamp;
    mutate_after(writer->store, &writer->key);
}

/* From here on the writer's list is a collection, with the changes that were made; the last one was
 * that of `name`, empty: of none that is there. */
static void leave_packed(struct elements_writer *writer, struct slice name) {
    struct store *store = writer->store;
    struct ordered_map *map = packed_list_take(&writer->list, name, writer->list_stamp);
    uint64_t *slot = mutate_slot(store, &writer->key);
    writer->has_list = false;
    if (slot != NULL && writer->list_stamp != 0) {
        mutate_before(store, &writer->key, table_item(*slot));
    }
    struct collection *collection = elements_writer_collection(writer);
    ordered_map_free(&collection->map, NULL, NULL);
    collection->map = map;
    sequence_note(collection);
    if (writer->list_stamp != 0) {
        collection_note(collection, writer->list_stamp);
        collection->entry->stamp = writer->list_stamp;
    }
}

/* As changed_list() for one that was set or put in, which may make the list too large. */
static void set_in_list(struct elements_writer *writer, struct slice name, uint64_t stamp) {
    changed_list(writer, stamp);
    if (likely(sequence_fits_packed(writer->store, writer->list.map))) {
        packed_list_raise(&writer->list, stamp);
        return;
    }
    leave_packed(writer, name);
    writer->collection->is_large = true;
}

void elements_close_list(struct elements_writer *writer) {
    struct store *store = writer->store;
    uint64_t *slot = mutate_slot(store, &writer->key);
    writer->has_list = false;
    if (writer->list_stamp != 0) {
        if (slot != NULL) {
            mutate_before(store, &writer->key, table_item(*slot));
        }
        elements_put_list(store, &writer->key, slot, &writer->list, writer->list_stamp);
    }
    packed_list_close(&writer->list);
}

/* ---- writing at the ends of packed lists, as they lie ---- */

/* Where the entry of a packed list is that the writer has not opened; NULL: there is none. */
static uint64_t *packed_slot(struct elements_writer *writer) {
    if (writer->has_list || writer->collection != NULL) {
        return NULL;
    }
    uint64_t *slot = elements_writer_slot(writer);
    return slot != NULL && entry_kind(table_item(*slot)) == ENTRY_PACKED ? slot : NULL;
}

/* Puts the packed list there that is in the scratch buffer. */
static void put_scratch(struct elements_writer *writer, uint64_t *slot, const struct buffer *packed,
                        uint64_t stamp) {
    struct store *store = writer->store;
    mutate_before(store, &writer->key, table_item(*slot));
    elements_put_packed(store, &writer->key, slot, buffer_slice(packed), stamp);
    elements_end_scratch(store);
    mutate_after(store, &writer->key);
}

/* The element at an end of the packed list there; false: it has to be opened. */
static bool packed_end(const struct elements_writer *writer, const uint64_t *slot,
                       enum list_end end, struct packed_list_end *at) {
    return packed_list_end(writer->store->replicas.authors, entry_packed(table_item(*slot)),
                           end == LIST_LEFT, at);
}

/* False, with nothing done: the list has to be opened. */
static bool push_packed(struct elements_writer *writer, uint64_t *slot,
                        const struct packed_list_end *end,
                        const struct ordered_map_element *element) {
    struct store *store = writer->store;
    struct slice before = entry_packed(table_item(*slot));
    uint64_t count = packed_count(before);
    struct buffer *packed = elements_begin_scratch(store);
    if (count >= store->packing[VALUE_LIST].entries_max ||
        element->value.size > PACKED_LIST_VALUE_BYTES_MAX ||
        !packed_list_push(packed, store->replicas.authors, before, end, element, store->is_alone)) {
        return false;
    }
    struct change change = {.kind = CHANGE_SET,
                            .stamp = element->stamp,
                            .element = element->name,
                            .value = element->value};
    elements_record_packed(writer, &change);
    put_scratch(writer, slot, packed, element->stamp);
    writer->list_count = count + 1;
    return true;
}

/* Removes the element at the end, which is not the only one, and hands its value over; likewise. */
static bool pop_packed(struct elements_writer *writer, uint64_t *slot,
                       const struct packed_list_end *end,
                       void (*take)(void *udata, struct slice value), void *udata) {
    struct store *store = writer->store;
    struct buffer *packed = elements_begin_scratch(store);
    if (!packed_list_pop(packed, store->replicas.authors, entry_packed(table_item(*slot)), end)) {
        return false;
    }
    take(udata, end->at.element.value);
    struct change change = {
        .kind = CHANGE_DELETE, .stamp = mutate_stamp(store), .element = end->at.element.name};
    elements_record_packed(writer, &change);
    put_scratch(writer, slot, packed, change.stamp);
    writer->list_count = 0;
    return true;
}

/* Would taking out the last element leave an expiry behind? */
static bool leaves_expiry(const struct elements_writer *writer) {
    const uint64_t *slot = mutate_slot(writer->store, &writer->key);
    return slot != NULL && elements_leave_expiry(writer->store, table_item(*slot),
                                                 ordered_map_count(writer->list.map));
}

/* ---- writing ---- */

static struct key place_of(struct elements_writer *writer, struct slice name) {
    /* Without its hash: nothing here looks for it in the table. */
    return (struct key){
        .name = name, .db = writer->key.db, .in = elements_writer_collection(writer)};
}

static void before_new(struct elements_writer *writer) {
    (void)elements_writer_collection(writer);
    elements_writer_take(writer);
    collection_before_owner(writer->store, writer->collection);
}

static void before(struct elements_writer *writer, const struct ordered_map_cursor *cursor) {
    (void)elements_writer_collection(writer);
    elements_writer_take(writer);
    collection_before_element(writer->store, writer->collection, cursor->element.name);
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

static struct list_positions *positions_of(struct store *store) {
    uint64_t ref = store->replicas.slots[store->replicas.self].ref;
    if (store->list_positions == NULL) {
        store->list_positions = memory_alloc(sizeof(*store->list_positions));
        list_positions_init(store->list_positions, ref);
    } else if (store->list_positions->ref != ref) {
        list_positions_init(store->list_positions, ref);
    }
    return store->list_positions;
}

/* A place at an end of the list: on the element there, in a map, or in the bytes of a packed list
 * that is not open. */
struct list_place {
    struct ordered_map_cursor *cursor;
    bool is_followed; /* the cursor is on the new element then, else nowhere */
    uint64_t *slot;
    const struct packed_list_end *end;
};

/* Puts an element into the map; `block` is the copy of its value, if that is long. */
static void put_element(struct ordered_map **map, const struct list_place *place, bool is_first,
                        const struct ordered_map_element *element, char *block) {
    if (place != NULL && place->cursor != NULL) {
        bool is_placed = ordered_map_push_copied(map, place->cursor, is_first, element, block);
        if (place->is_followed) {
            ordered_map_follow(*map, place->cursor, is_first, is_placed);
        }
    } else {
        ordered_map_insert_copied(map, element, block);
    }
}

/* Puts a new element between two neighbours; empty ones are the ends. `place` is on the neighbour
 * of one that comes first or last, or NULL. */
static enum store_status insert_between(struct elements_writer *writer, struct slice left,
                                        struct slice right, const struct list_place *place,
                                        struct slice value) {
    struct store *store = writer->store;
    struct list_position position;
    char *block;
    if ((!is_one_change(value) && !has_memory(value.size)) ||
        !ordered_map_copy_value(value, &block)) {
        return STORE_OUT_OF_MEMORY;
    }
    if (writer->has_list && value.size > PACKED_LIST_VALUE_BYTES_MAX) {
        leave_packed(writer, SLICE(""));
    }
    bool is_packed = place != NULL && place->slot != NULL;
    bool is_whole = is_packed ? packed_list_is_whole(entry_packed(table_item(*place->slot)))
                              : writer->has_list && writer->list.is_whole;
    bool is_open = !writer->has_list && !is_packed;
    if (is_open) {
        /* Taking is a change of its own, with an earlier stamp. */
        (void)elements_writer_collection(writer);
        elements_writer_take(writer);
    }
    uint64_t stamp = mutate_stamp(store);
    if (list_position_between(positions_of(store), stamp_ticks(stamp), left, right, is_whole,
                              &position) != LIST_POSITION_OK) {
        memory_free(block);
        return STORE_NO_ROOM;
    }
    if (is_open) {
        collection_before_owner(store, writer->collection);
    }
    struct ordered_map_element element = {
        .name = list_position_slice(&position), .stamp = stamp, .value = value};
    if (is_packed && push_packed(writer, place->slot, place->end, &element)) {
        return STORE_OK;
    }
    if (is_packed) {
        (void)writer_map(writer); /* opens it */
        if (value.size > PACKED_LIST_VALUE_BYTES_MAX) {
            leave_packed(writer, SLICE(""));
            before_new(writer);
        }
    }
    if (writer->has_list) {
        element.stamp = packed_list_stamp(&writer->list, stamp);
        require(block == NULL); /* what is packed has no long values */
        put_element(&writer->list.map, place, left.size == 0, &element, NULL);
        struct change change = {
            .kind = CHANGE_SET, .stamp = stamp, .element = element.name, .value = value};
        elements_record_packed(writer, &change);
        set_in_list(writer, element.name, stamp);
        return STORE_OK;
    }
    struct key key = place_of(writer, element.name);
    element.stamp = mutate_record_value(store, &key, stamp, value, 0);
    put_element(&writer->collection->map, place, left.size == 0, &element, block);
    after(writer, &key, element.stamp);
    return STORE_OK;
}

uint64_t list_count(struct elements_writer *writer) {
    struct elements elements;
    if (writer->list_count > 0) {
        return writer->list_count;
    }
    elements_written(writer, &elements);
    return elements.count;
}

/* Puts the value at the end of the map, where the cursor is, if the map has any elements. */
static inline enum store_status push_beside(struct elements_writer *writer, enum list_end end,
                                            struct ordered_map_cursor *cursor, bool is_there,
                                            bool is_followed, struct slice value) {
    struct slice none = slice_make("", 0), beside = is_there ? cursor->element.name : none;
    struct list_place place = {.cursor = is_there ? cursor : NULL, .is_followed = is_followed};
    return insert_between(writer, end == LIST_RIGHT ? beside : none,
                          end == LIST_RIGHT ? none : beside, &place, value);
}

static bool map_end(const struct ordered_map *map, enum list_end end,
                    struct ordered_map_cursor *cursor) {
    return end == LIST_RIGHT ? ordered_map_last(map, cursor) : ordered_map_first(map, cursor);
}

enum store_status list_push(struct elements_writer *writer, enum list_end end, struct slice value) {
    struct slice none = slice_make("", 0);
    uint64_t *slot = packed_slot(writer);
    struct packed_list_end at;
    if (slot != NULL && packed_end(writer, slot, end, &at)) {
        struct list_place place = {.slot = slot, .end = &at};
        return insert_between(writer, end == LIST_RIGHT ? at.at.element.name : none,
                              end == LIST_RIGHT ? none : at.at.element.name, &place, value);
    }
    struct ordered_map_cursor cursor;
    bool is_there = map_end(*writer_map(writer), end, &cursor);
    return push_beside(writer, end, &cursor, is_there, false, value);
}

/* ---- many pushes to the right ---- */

/* A leaf of the map is made as large as it can be, and then small again: not for a few. */
enum { UNTIL_BULK = 8 };

void list_push_begin(struct list_pusher *pusher, struct elements_writer *writer, enum list_end end,
                     uint64_t bytes) {
    bool are_many = bytes > ORDERED_MAP_SMALL_BYTES;
    pusher->writer = writer;
    pusher->end = end;
    pusher->is_there = pusher->is_in_bulk = false;
    pusher->until_bulk = are_many ? 1 : UNTIL_BULK;
    /* What will be too large to be packed need not be packed at first. */
    if (writer->is_key_fresh && !writer->has_written && are_many) {
        (void)elements_writer_collection(writer);
    }
}

/* The element at the cursor was pushed last. From here on values can be appended, each with the
 * next position, if there is nothing else to be done with each. */
static void begin_bulk(struct list_pusher *pusher) {
    struct elements_writer *writer = pusher->writer;
    struct store *store = writer->store;
    struct collection *collection = writer->collection;
    pusher->until_bulk = UNTIL_BULK;
    if (pusher->end != LIST_RIGHT || writer->has_list || collection == NULL ||
        entry_kind(collection->entry) != ENTRY_COLLECTION || store->walk != NULL ||
        collection->walks != NULL ||
        !list_position_run_begin(&pusher->run, positions_of(store), pusher->at.element.name)) {
        return;
    }
    ordered_map_bulk_begin(&pusher->bulk, &collection->map);
    pusher->change = mutate_collection_change(collection, CHANGE_SET);
    pusher->bulk_count = 0;
    pusher->is_in_bulk = true;
    pusher->is_there = false; /* the cursor is not moved along */
}

static void end_bulk(struct list_pusher *pusher) {
    struct elements_writer *writer = pusher->writer;
    ordered_map_bulk_end(&pusher->bulk);
    pusher->is_in_bulk = false;
    if (pusher->bulk_count > 0) {
        struct key place = place_of(writer, pusher->change.element);
        writer->store->stats.dirty += pusher->bulk_count - 1;
        after(writer, &place, pusher->change.stamp);
    }
}

/* False, and the bulk is at its end: the value is to be pushed in another way. */
static bool push_in_bulk(struct list_pusher *pusher, struct slice value) {
    struct store *store = pusher->writer->store;
    if (value.size > ORDERED_MAP_INLINE_BYTES || !list_position_run_has_next(&pusher->run)) {
        end_bulk(pusher);
        return false;
    }
    struct ordered_map_element element = {.name = list_position_slice(&pusher->run.position),
                                          .stamp = mutate_stamp(store),
                                          .value = value};
    ordered_map_bulk_append(&pusher->bulk, &element);
    pusher->change.stamp = element.stamp;
    pusher->change.element = element.name;
    pusher->change.value = value;
    mutate_record_element(store, &pusher->change);
    list_position_run_take(&pusher->run);
    pusher->bulk_count++;
    return true;
}

enum store_status list_push_next(struct list_pusher *pusher, struct slice value) {
    struct elements_writer *writer = pusher->writer;
    if (pusher->is_in_bulk && push_in_bulk(pusher, value)) {
        return STORE_OK;
    }
    if (packed_slot(writer) != NULL) {
        return list_push(writer, pusher->end, value);
    }
    const struct ordered_map *map = *writer_map(writer);
    bool is_packed = writer->has_list;
    bool is_there = pusher->is_there || map_end(map, pusher->end, &pusher->at);
    enum store_status status = push_beside(writer, pusher->end, &pusher->at, is_there, true, value);
    /* Leaving the packed form goes over the whole map. */
    bool is_same_form = writer->has_list == is_packed;
    /* The first one into an empty map is not followed. */
    pusher->is_there = is_there && status == STORE_OK && is_same_form;
    if (pusher->is_there && --pusher->until_bulk == 0) {
        begin_bulk(pusher);
    }
    return status;
}

void list_push_end(struct list_pusher *pusher) {
    if (pusher->is_in_bulk) {
        end_bulk(pusher);
    }
}

/* ---- inside, and taking out ---- */

enum store_status list_insert(struct elements_writer *writer, uint64_t index, struct slice value) {
    const struct ordered_map *map = *writer_map(writer);
    struct ordered_map_cursor left, right;
    struct slice none = slice_make("", 0);
    bool has_left = index > 0 && ordered_map_at(map, index - 1, &left);
    bool has_right = ordered_map_at(map, index, &right);
    return insert_between(writer, has_left ? left.element.name : none,
                          has_right ? right.element.name : none, NULL, value);
}

/* As push_packed(): sets an element of a list whose elements are told. */
static bool set_packed(struct elements_writer *writer, uint64_t *slot, uint64_t index,
                       struct slice value) {
    struct store *store = writer->store;
    struct slice before = entry_packed(table_item(*slot));
    struct packed_told_place place;
    char name[ORDERED_MAP_NAME_BYTES_MAX];
    if (!packed_list_is_told(before) || value.size > PACKED_LIST_VALUE_BYTES_MAX) {
        return false;
    }
    packed_list_seek(&place, store->replicas.authors, before, index);
    struct ordered_map_element element = {.name = slice_make(name, place.reader.element.name.size),
                                          .stamp = mutate_stamp(store),
                                          .value = value};
    memcpy(name, place.reader.element.name.data, element.name.size);
    struct buffer *packed = elements_begin_scratch(store);
    if (!packed_list_change(packed, store->replicas.authors, before, &place, true, &element)) {
        return false;
    }
    struct change change = {
        .kind = CHANGE_SET, .stamp = element.stamp, .element = element.name, .value = value};
    elements_record_packed(writer, &change);
    put_scratch(writer, slot, packed, element.stamp);
    return true;
}

enum store_status list_set(struct elements_writer *writer, uint64_t index, struct slice value) {
    struct store *store = writer->store;
    struct ordered_map_cursor cursor;
    if (!store->is_alone) {
        uint64_t *slot = packed_slot(writer);
        if (slot != NULL && set_packed(writer, slot, index, value)) {
            return STORE_OK;
        }
    }
    struct ordered_map **map = writer_map(writer);
    bool is_there = ordered_map_at(*map, index, &cursor), is_new;
    ensure(is_there);
    if (writer->has_list && value.size <= PACKED_LIST_VALUE_BYTES_MAX) {
        uint64_t stamp = mutate_stamp(store);
        struct change change = {
            .kind = CHANGE_SET, .stamp = stamp, .element = cursor.element.name, .value = value};
        elements_record_packed(writer, &change);
        bool is_done =
            ordered_map_replace(map, &cursor, packed_list_stamp(&writer->list, stamp), 0, value);
        require(is_done); /* as above */
        set_in_list(writer, cursor.element.name, stamp);
        return STORE_OK;
    }
    if (writer->has_list) {
        leave_packed(writer, SLICE(""));
        is_there = ordered_map_at(writer->collection->map, index, &cursor);
        ensure(is_there);
    }
    if (cursor.element.flags != 0 || !is_one_change(value)) {
        char name[ORDERED_MAP_NAME_BYTES_MAX];
        memcpy(name, cursor.element.name.data, cursor.element.name.size);
        return element_set(writer, slice_make(name, cursor.element.name.size), value, false,
                           &is_new);
    }
    char *block;
    if (!ordered_map_copy_value(value, &block)) {
        return STORE_OUT_OF_MEMORY;
    }
    struct key place = place_of(writer, cursor.element.name);
    before(writer, &cursor);
    uint64_t stamp = mutate_stamp(store);
    ordered_map_replace_copied(&writer->collection->map, &cursor, stamp, 0, value, block);
    (void)mutate_record_value(store, &place, stamp, value, 0);
    after(writer, &place, stamp);
    return STORE_OK;
}

/* Removes the element at the cursor from the packed list; likewise. */
static bool remove_from_list(struct elements_writer *writer, struct ordered_map_cursor *cursor) {
    struct change change = {.kind = CHANGE_DELETE,
                            .stamp = mutate_stamp(writer->store),
                            .element = cursor->element.name};
    elements_record_packed(writer, &change);
    bool is_there = ordered_map_remove(&writer->list.map, cursor);
    writer->list.is_whole = false;
    if (writer->list.map != NULL) {
        changed_list(writer, change.stamp);
        return is_there;
    }
    /* The key goes, with its expiry, whatever is put in next. */
    uint64_t *slot = mutate_slot(writer->store, &writer->key);
    if (slot != NULL) {
        mutate_remove(writer->store, &writer->key, slot);
    }
    writer->list.is_raised = writer->store->is_alone;
    writer->list_stamp = 0;
    return false;
}

/* Removes the element at the cursor, which then is on the next one, or nowhere (false). */
static bool remove_here(struct elements_writer *writer, struct ordered_map_cursor *cursor) {
    if (writer->has_list && !leaves_expiry(writer)) {
        return remove_from_list(writer, cursor);
    }
    if (writer->has_list) {
        leave_packed(writer, SLICE("")); /* the map stays where it is, and the cursor on it */
    }
    return sequence_write_remove(writer, cursor);
}

void list_pop(struct elements_writer *writer, enum list_end end,
              void (*take)(void *udata, struct slice value), void *udata) {
    uint64_t *slot = packed_slot(writer);
    struct packed_list_end at;
    if (slot != NULL && packed_count(entry_packed(table_item(*slot))) > 1 &&
        packed_end(writer, slot, end, &at) && pop_packed(writer, slot, &at, take, udata)) {
        return;
    }
    const struct ordered_map *map = *writer_map(writer);
    struct ordered_map_cursor cursor;
    struct element element;
    bool is_there =
        end == LIST_RIGHT ? ordered_map_last(map, &cursor) : ordered_map_first(map, &cursor);
    require(is_there);
    sequence_view(writer->store, writer->collection, &cursor, &element);
    take(udata, element.value);
    (void)remove_here(writer, &cursor);
}

void list_remove(struct elements_writer *writer, uint64_t index, uint64_t count) {
    struct ordered_map_cursor cursor;
    bool is_there = ordered_map_at(*writer_map(writer), index, &cursor);
    if (!writer->has_list && count > 0) {
        require(is_there);
        (void)sequence_write_remove_range(writer, &cursor, count);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        require(is_there);
        is_there = remove_here(writer, &cursor);
    }
}

static uint64_t remove_value_from_left(struct elements_writer *writer, struct slice value,
                                       uint64_t count) {
    struct ordered_map **map = writer_map(writer);
    struct ordered_map_cursor cursor;
    struct element element;
    uint64_t removed = 0;
    bool is_there = ordered_map_first(*map, &cursor);
    while (is_there && removed < count) {
        sequence_view(writer->store, writer->collection, &cursor, &element);
        if (slice_equal(element.value, value)) {
            is_there = remove_here(writer, &cursor);
            map = writer_map(writer);
            removed++;
        } else {
            is_there = ordered_map_next(*map, &cursor);
        }
    }
    return removed;
}

/* Which of up to 64 elements from `index` on equal `value`: a bit for each. */
static uint64_t find_equal(struct elements_writer *writer, uint64_t index, uint64_t count,
                           struct slice value) {
    const struct ordered_map *map = *writer_map(writer);
    struct ordered_map_cursor cursor;
    struct element element;
    uint64_t found = 0;
    bool is_there = ordered_map_at(map, index, &cursor);
    for (uint64_t i = 0; i < count; i++) {
        require(is_there);
        sequence_view(writer->store, writer->collection, &cursor, &element);
        found |= (uint64_t)slice_equal(element.value, value) << i;
        is_there = ordered_map_next(map, &cursor);
    }
    return found;
}

/* Steps to the left cost more than those to the right: it goes by pieces, each read to the right.
 */
static uint64_t remove_value_from_right(struct elements_writer *writer, struct slice value,
                                        uint64_t count) {
    uint64_t removed = 0;
    for (uint64_t end = ordered_map_count(*writer_map(writer)); end > 0 && removed < count;) {
        uint64_t size = end < 64 ? end : 64;
        uint64_t found = find_equal(writer, end - size, size, value);
        for (uint64_t i = size; i > 0 && removed < count; i--) {
            if ((found >> (i - 1) & 1) != 0) {
                list_remove(writer, end - size + i - 1, 1);
                removed++;
            }
        }
        end -= size;
    }
    return removed;
}

uint64_t list_remove_value(struct elements_writer *writer, struct slice value, uint64_t count,
                           enum list_end from) {
    return from == LIST_LEFT ? remove_value_from_left(writer, value, count)
                             : remove_value_from_right(writer, value, count);
}
