/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/sequence.h"

#include "crdt/list_position.h"
#include "crdt/xstream.h"
#include "store/merge.h"
#include "store/xstreams.h"

/* ---- between map and table ---- */

/* One register, no expiry: all that the map can say. */
static bool is_plain(const struct entry *entry) {
    enum entry_kind kind = entry_kind(entry);
    return (kind == ENTRY_BYTES || kind == ENTRY_INTEGER || kind == ENTRY_LARGE) &&
           (entry->meta & (ENTRY_HAS_EXPIRY | ENTRY_HAS_EXPIRY_STAMP)) == 0;
}

struct entry *sequence_entry(const struct ordered_map_cursor *cursor) {
    struct entry_parts parts = {.kind = ENTRY_BYTES,
                                .stamp = cursor->element.stamp,
                                .key = cursor->element.name,
                                .bytes = cursor->element.value};
    if (number_parse_integer(parts.bytes, &parts.integer)) {
        parts.kind = ENTRY_INTEGER;
    } else if (parts.bytes.size > ENTRY_INLINE_VALUE_BYTES_MAX) {
        parts.kind = ENTRY_LARGE;
        parts.large = large_string_copy(parts.bytes);
        require(parts.large != NULL);
    }
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    return entry;
}

bool sequence_fits_packed(const struct store *store, const struct ordered_map *map) {
    return ordered_map_fits_bytes(map) &&
           ordered_map_count(map) <= store->packing[VALUE_LIST].entries_max;
}

static void put_in_table(const struct store *store, struct collection *collection,
                         struct entry *entry) {
    table_insert(&collection->space.table, hash_bytes(store->element_seed, entry_key(entry)), entry,
                 entry_expire_unix_ms(entry) != 0);
}

static void mark_intricate(struct collection *collection, struct ordered_map_cursor *cursor) {
    bool is_done = ordered_map_replace(&collection->map, cursor, cursor->element.stamp,
                                       SEQUENCE_INTRICATE, slice_make("", 0));
    ensure(is_done);
}

static void note_added(struct collection *collection, struct slice name) {
    if (collection->type == VALUE_STREAM && collection->seen != NULL) {
        xstream_unread_added(collection, name);
    }
}

void sequence_promote(const struct store *store, struct collection *collection, struct slice name) {
    struct ordered_map_cursor cursor;
    if (!ordered_map_find(collection->map, name, &cursor)) {
        return;
    }
    xstream_pending_forget(store, collection, &cursor);
    if (cursor.element.flags != 0) {
        return;
    }
    put_in_table(store, collection, sequence_entry(&cursor));
    mark_intricate(collection, &cursor);
}

/* `block` is the copy of a long value. */
static void put_copied(struct collection *collection, struct slice name, uint64_t stamp,
                       unsigned flags, struct slice value, char *block) {
    struct ordered_map_cursor cursor;
    if (ordered_map_find(collection->map, name, &cursor)) {
        ordered_map_replace_copied(&collection->map, &cursor, stamp, flags, value, block);
        return;
    }
    struct ordered_map_element element = {
        .name = name, .stamp = stamp, .flags = flags, .value = value};
    ordered_map_insert_copied(&collection->map, &element, block);
}

static bool put_in_map(struct collection *collection, struct slice name, uint64_t stamp,
                       unsigned flags, struct slice value) {
    char *block;
    if (!ordered_map_copy_value(value, &block)) {
        return false;
    }
    put_copied(collection, name, stamp, flags, value, block);
    return true;
}

void sequence_demote(const struct key *key) {
    struct collection *collection = key->in;
    struct table *table = &collection->space.table;
    uint64_t *slot = table_find(table, key->hash, mutate_match, &key->name);
    struct ordered_map_cursor cursor;
    if (slot == NULL) {
        if (ordered_map_find(collection->map, key->name, &cursor)) {
            (void)ordered_map_remove(&collection->map, &cursor);
        }
        return;
    }
    struct entry *entry = table_item(*slot);
    struct entry_scratch scratch;
    note_added(collection, key->name);
    xstream_pending_note(collection, key->name, entry_value(entry, &scratch));
    /* Without memory it stays in the table, where it is as good. */
    if (is_plain(entry) &&
        put_in_map(collection, entry_key(entry), entry->stamp, 0, entry_value(entry, &scratch))) {
        table_remove(table, key->hash, slot);
        table_shrink_segment(table, key->hash);
        entry_free(entry);
        return;
    }
    bool is_done = put_in_map(collection, entry_key(entry), entry->stamp, SEQUENCE_INTRICATE,
                              slice_make("", 0));
    ensure(is_done);
}

bool sequence_add(const struct store *store, struct collection *collection, struct entry *entry) {
    struct ordered_map_cursor cursor;
    struct entry_scratch scratch;
    struct slice name = entry_key(entry);
    if (ordered_map_find(collection->map, name, &cursor)) {
        return false;
    }
    xstream_pending_drop(collection);
    /* More of a large value may come: it waits in the table. */
    if (is_plain(entry) && entry_kind(entry) != ENTRY_LARGE &&
        put_in_map(collection, name, entry->stamp, 0, entry_value(entry, &scratch))) {
        entry_free(entry);
        return true;
    }
    bool is_done =
        put_in_map(collection, name, entry->stamp, SEQUENCE_INTRICATE, slice_make("", 0));
    ensure(is_done);
    put_in_table(store, collection, entry);
    return true;
}

bool sequence_name_is_valid(enum value_type type, struct slice name) {
    struct xstream_name_parts parts;
    return type == VALUE_LIST ? list_position_is_valid(name) : xstream_name_parse(name, &parts);
}

bool sequence_element_is_sound(enum value_type type, const struct entry *entry) {
    if (!sequence_name_is_valid(type, entry_key(entry))) {
        return false;
    }
    if (entry_kind(entry) != ENTRY_CONTESTED) {
        return is_plain(entry);
    }
    const struct contested *contested = entry_contested(entry);
    return contested->registers_count > 0 && contested->edits_count == 0 &&
           contested->parts_count == 0 && contested->expiries_count == 0 &&
           contested->collections == NULL;
}

/* ---- applying ---- */

/* The element at `place` has changed by the change with this stamp. */
static void after(struct store *store, const struct key *place, uint64_t stamp) {
    collection_note(place->in, stamp);
    place->in->entry->stamp = stamp;
    mutate_after(store, place);
}

enum store_status sequence_apply(struct store *store, const struct key *place,
                                 const struct change *change) {
    struct collection *collection = place->in;
    struct ordered_map_cursor cursor;
    bool is_there = ordered_map_find(collection->map, place->name, &cursor);
    bool is_in_map = is_there && cursor.element.flags == 0;
    bool has_seen =
        is_in_map && mutate_has_seen(store, stamp_slot(change->stamp), cursor.element.stamp);
    if (change->kind == CHANGE_DELETE && (!is_there || (is_in_map && !has_seen))) {
        return STORE_OK;
    }
    if (change->kind == CHANGE_DELETE && has_seen) {
        collection_before_element(store, collection, place->name);
        xstream_pending_forget(store, collection, &cursor);
        (void)ordered_map_remove(&collection->map, &cursor);
        after(store, place, change->stamp);
        return STORE_OK;
    }
    if (change->kind == CHANGE_SET && (!is_there || has_seen)) {
        char *block;
        if (!ordered_map_copy_value(change->value, &block)) {
            return STORE_OUT_OF_MEMORY;
        }
        collection_before_element(store, collection, place->name);
        if (is_there) {
            xstream_pending_change(collection, &cursor, change->value);
        } else {
            xstream_pending_note(collection, place->name, change->value);
        }
        put_copied(collection, place->name, change->stamp, 0, change->value, block);
        note_added(collection, place->name);
        after(store, place, change->stamp);
        return STORE_OK;
    }
    collection_prepare(store, place);
    enum store_status status = mutate_apply_place(store, place, change);
    if (status == STORE_OK) {
        collection_before_owner(store, collection); /* it takes a stamp, whatever happened */
    }
    collection_after(store, place, status == STORE_OK ? change->stamp : 0);
    return status;
}

void sequence_delete_seen(struct store *store, struct collection *collection, uint64_t stamp) {
    struct ordered_map_cursor cursor;
    uint64_t removed = 0;
    bool is_there = ordered_map_first(collection->map, &cursor);
    collection_before_owner(store, collection);
    xstream_pending_drop(collection);
    while (is_there) {
        if (cursor.element.flags == 0 &&
            mutate_has_seen(store, stamp_slot(stamp), cursor.element.stamp)) {
            collection_before_element(store, collection, cursor.element.name);
            is_there = ordered_map_remove(&collection->map, &cursor);
            removed++;
        } else {
            is_there = ordered_map_next(collection->map, &cursor);
        }
    }
    store->stats.dirty += removed;
    if (removed > 0 && collection->entry != NULL) {
        collection_note(collection, stamp);
        collection->entry->stamp = stamp;
    }
}

void sequence_note(struct collection *collection) {
    struct ordered_map_cursor cursor;
    for (bool is_there = ordered_map_first(collection->map, &cursor); is_there;
         is_there = ordered_map_next(collection->map, &cursor)) {
        if (cursor.element.flags == 0) {
            collection_note(collection, cursor.element.stamp);
        }
    }
}

bool sequence_retire(struct collection *collection, unsigned slot) {
    struct ordered_map_cursor cursor;
    bool are_all = true;
    for (bool is_there = ordered_map_first(collection->map, &cursor); is_there;
         is_there = ordered_map_next(collection->map, &cursor)) {
        uint64_t stamp = cursor.element.stamp;
        if (stamp_slot(stamp) == slot) {
            are_all &= ordered_map_replace(&collection->map, &cursor,
                                           stamp_make(stamp_ticks(stamp), STAMP_SLOT_SETTLED),
                                           cursor.element.flags, cursor.element.value);
        }
    }
    return are_all;
}

/* ---- reading ---- */

struct entry *sequence_intricate(const struct store *store, struct collection *collection,
                                 const struct ordered_map_cursor *cursor) {
    struct key key = collection_key(store, collection, 0, cursor->element.name);
    uint64_t *slot = mutate_slot(store, &key);
    ensure(slot != NULL);
    return table_item(*slot);
}

void sequence_view(const struct store *store, struct collection *collection,
                   const struct ordered_map_cursor *cursor, struct element *element) {
    if (cursor->element.flags != 0) {
        element_view(sequence_intricate(store, collection, cursor), VALUE_LIST, element);
        element->name = cursor->element.name;
        return;
    }
    element->name = cursor->element.name;
    element->value = cursor->element.value;
    element->score = 0;
    element->expire_unix_ms = 0;
}

void sequence_each(const struct store *store, struct collection *collection, element_fn each,
                   void *udata) {
    struct ordered_map_cursor cursor;
    for (bool is_there = ordered_map_first(collection->map, &cursor); is_there;
         is_there = ordered_map_next(collection->map, &cursor)) {
        struct element element;
        sequence_view(store, collection, &cursor, &element);
        each(udata, &element);
    }
}

/* ---- introspection ---- */

void sequence_check(const struct store *store, const struct collection *collection) {
    struct ordered_map_cursor cursor;
    uint64_t intricate_count = 0;
    ordered_map_check(collection->map);
    require(collection->space.hidden_count == 0);
    for (bool is_there = ordered_map_first(collection->map, &cursor); is_there;
         is_there = ordered_map_next(collection->map, &cursor)) {
        require(sequence_name_is_valid(collection->type, cursor.element.name));
        require(cursor.element.flags <= SEQUENCE_INTRICATE);
        if (cursor.element.flags != 0) {
            uint64_t hash = hash_bytes(store->element_seed, cursor.element.name);
            require(cursor.element.value.size == 0);
            require(table_find(&collection->space.table, hash, mutate_match,
                               &cursor.element.name) != NULL);
            intricate_count++;
        } else {
            collection_check_note(collection, cursor.element.stamp);
            require(stamp_ticks(cursor.element.stamp) <= store->clock.ticks);
        }
    }
    require(intricate_count == collection->space.table.count);
    if (collection->type == VALUE_STREAM) {
        xstream_unread_check(store, collection);
        xstream_pending_check(store, collection);
    }
}
