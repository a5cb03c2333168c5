/* SPDX-License-Identifier: BSD-3-Clause */
/* Recorded changes of elements: by the one rule, at the element's place.
 *
 * A plain change of packed elements that its writer had seen is done in place. All others go to the
 * element's entry in an unpacked collection, by the same code as changes of keys. A change of an
 * element also supersedes what its writer had seen under the key of other types: to its writer the
 * key had this type, so the others had lost. */
#include "store/elements_internal.h"

#include <math.h>

#include "store/merge.h"
#include "store/sequence.h"

static bool adds_something(const struct change *change) {
    return change->kind != CHANGE_DELETE && change->kind != CHANGE_TAKE &&
           change->kind != CHANGE_MORE;
}

/* ---- packed ---- */

/* Does the key's expiry stay what it is? */
static bool leaves_expiry(const struct entry *entry, const struct change *change) {
    return !change->is_key_fresh || entry == NULL ||
           (entry->meta & (ENTRY_HAS_EXPIRY | ENTRY_HAS_EXPIRY_STAMP)) == 0;
}

/* True: it is done, or without effect. */
static bool apply_packed(struct store *store, const struct key *key, uint64_t *slot,
                         const struct change *change) {
    struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    struct packed_element old,
        element = {.name = change->element, .value = change->value, .stamp = change->stamp};
    bool is_there = entry != NULL && packed_find(entry_packed(entry), change->element, &old);
    if (is_there && !mutate_has_seen(store, stamp_slot(change->stamp), old.stamp)) {
        return change->kind == CHANGE_DELETE;
    }
    if (change->kind == CHANGE_DELETE) {
        if (is_there && elements_leave_expiry(store, entry, packed_count(entry_packed(entry)))) {
            return false;
        }
        if (is_there) {
            struct packed_range range = packed_range_of(&old);
            elements_delete_packed(store, key, slot, &range, change->stamp);
        }
        return true;
    }
    if (change->kind != CHANGE_SET || !leaves_expiry(entry, change)) {
        return false;
    }
    if (change->type == VALUE_SORTED_SET) {
        (void)number_parse_double(change->value, &element.score);
        element.value = slice_make("", 0);
    }
    return elements_set_packed(store, key, slot, change->type, is_there ? &old : NULL, &element);
}

/* Puts the bytes in the scratch buffer in the place of the entry's. */
static void put_scratch(struct store *store, const struct key *key, uint64_t *slot,
                        const struct buffer *packed, uint64_t stamp) {
    mutate_before(store, key, table_item(*slot));
    elements_put_packed(store, key, slot, buffer_slice(packed), stamp);
    elements_end_scratch(store);
    mutate_after(store, key);
}

/* Puts a new element at the end that it is beyond, as the bytes lie. False, with nothing done: it
 * belongs elsewhere, or the list has to be opened. */
static bool apply_push(struct store *store, const struct key *key, uint64_t *slot,
                       const struct change *change) {
    struct slice before = entry_packed(table_item(*slot));
    struct packed_authors *authors = store->replicas.authors;
    struct ordered_map_element element = {
        .name = change->element, .stamp = change->stamp, .value = change->value};
    struct packed_list_end end;
    if (packed_count(before) >= store->packing[VALUE_LIST].entries_max ||
        change->value.size > PACKED_LIST_VALUE_BYTES_MAX ||
        !leaves_expiry(table_item(*slot), change) ||
        !packed_list_end(authors, before, false, &end)) {
        return false;
    }
    if (slice_compare(change->element, end.at.element.name) < 0 &&
        (!packed_list_end(authors, before, true, &end) ||
         slice_compare(change->element, end.at.element.name) >= 0)) {
        return false;
    }
    struct buffer *packed = elements_begin_scratch(store);
    if (slice_equal(change->element, end.at.element.name) ||
        !packed_list_push(packed, authors, before, &end, &element, store->is_alone)) {
        return false;
    }
    /* The run of an element that was put in may have had others. */
    packed_list_break(packed->data);
    put_scratch(store, key, slot, packed, change->stamp);
    return true;
}

/* Takes out the element at an end, as the bytes lie; likewise. */
static bool apply_pop(struct store *store, const struct key *key, uint64_t *slot,
                      const struct change *change) {
    struct slice before = entry_packed(table_item(*slot));
    struct packed_authors *authors = store->replicas.authors;
    struct packed_list_end end;
    if (packed_count(before) == 1 || !packed_list_end(authors, before, true, &end) ||
        (!slice_equal(change->element, end.at.element.name) &&
         (!packed_list_end(authors, before, false, &end) ||
          !slice_equal(change->element, end.at.element.name)))) {
        return false;
    }
    struct buffer *packed = elements_begin_scratch(store);
    if (!mutate_has_seen(store, stamp_slot(change->stamp), end.at.element.stamp) ||
        !packed_list_pop(packed, authors, before, &end)) {
        return false;
    }
    put_scratch(store, key, slot, packed, change->stamp);
    return true;
}

/* Puts an element in or takes one out of a list whose elements are told, wherever it is; likewise.
 */
static bool apply_told(struct store *store, const struct key *key, uint64_t *slot,
                       const struct change *change) {
    struct slice before = entry_packed(table_item(*slot));
    struct packed_told_place place;
    struct ordered_map_element element = {
        .name = change->element, .stamp = change->stamp, .value = change->value};
    bool is_set = change->kind == CHANGE_SET;
    if (is_set && (change->value.size > PACKED_LIST_VALUE_BYTES_MAX ||
                   !leaves_expiry(table_item(*slot), change))) {
        return false;
    }
    packed_list_find(&place, store->replicas.authors, before, change->element);
    const struct ordered_map_element *found = &place.reader.element;
    bool is_there = place.is_there && slice_equal(found->name, change->element);
    if (is_there ? !mutate_has_seen(store, stamp_slot(change->stamp), found->stamp)
                 : !is_set || packed_count(before) >= store->packing[VALUE_LIST].entries_max) {
        return false;
    }
    struct buffer *packed = elements_begin_scratch(store);
    if ((!is_set && packed_count(before) == 1) ||
        !packed_list_change(packed, store->replicas.authors, before, &place, is_there,
                            is_set ? &element : NULL)) {
        return false;
    }
    put_scratch(store, key, slot, packed, change->stamp);
    return true;
}

/* In bytes as they lie, where that is simple. */
static bool apply_in_bytes(struct store *store, const struct key *key, uint64_t *slot,
                           const struct change *change) {
    if (change->kind != CHANGE_SET && change->kind != CHANGE_DELETE) {
        return false;
    }
    if (packed_list_is_told(entry_packed(table_item(*slot)))) {
        return apply_told(store, key, slot, change);
    }
    return change->kind == CHANGE_SET ? apply_push(store, key, slot, change)
                                      : apply_pop(store, key, slot, change);
}

/* As apply_packed(), for lists. */
static bool apply_packed_list(struct store *store, const struct key *key, uint64_t *slot,
                              const struct change *change) {
    const struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    struct slice packed = entry != NULL ? entry_packed(entry) : SLICE("");
    struct ordered_map_cursor cursor;
    struct packed_list list;
    if (entry != NULL && apply_in_bytes(store, key, slot, change)) {
        return true;
    }
    packed_list_open(&list, store->replicas.authors, packed, store->is_alone);
    uint64_t count = ordered_map_count(list.map);
    bool is_there = ordered_map_find(list.map, change->element, &cursor);
    bool has_seen =
        is_there && mutate_has_seen(store, stamp_slot(change->stamp), cursor.element.stamp);
    bool is_done = change->kind == CHANGE_DELETE && !has_seen;
    bool is_changed = false;
    if (change->kind == CHANGE_DELETE && has_seen && !elements_leave_expiry(store, entry, count)) {
        (void)ordered_map_remove(&list.map, &cursor);
        is_changed = true;
    } else if (change->kind == CHANGE_SET && is_there == has_seen &&
               change->value.size <= PACKED_LIST_VALUE_BYTES_MAX && leaves_expiry(entry, change)) {
        uint64_t stamp = packed_list_stamp(&list, change->stamp);
        struct ordered_map_element element = {
            .name = change->element, .stamp = stamp, .value = change->value};
        bool has_memory = is_there
                              ? ordered_map_replace(&list.map, &cursor, stamp, 0, change->value)
                              : ordered_map_insert(&list.map, &element);
        require(has_memory); /* a short value needs none of its own */
        is_changed = sequence_fits_packed(store, list.map);
        packed_list_raise(&list, change->stamp);
    }
    if (is_changed && list.map == NULL) {
        mutate_remove(store, key, slot);
    } else if (is_changed) {
        if (entry != NULL) {
            mutate_before(store, key, entry);
        }
        /* The run of an element that was put in may have had others. */
        list.is_whole = list.is_whole && is_there && change->kind == CHANGE_SET;
        elements_put_list(store, key, slot, &list, change->stamp);
        mutate_after(store, key);
    }
    packed_list_close(&list);
    return is_done || is_changed;
}

/* ---- any ---- */

/* What else the change does to the key: other types and expiries. */
static void supersede_beside(struct store *store, struct collection *collection,
                             const struct change *change, bool is_lone_take) {
    struct entry *entry = collection->entry;
    /* What one takes off before, or goes on to write, is another change's. */
    if (entry_kind(entry) == ENTRY_CONTESTED && change->kind != CHANGE_MORE &&
        (change->kind != CHANGE_TAKE || is_lone_take)) {
        merge_drop_types(store, entry_contested(entry), collection, change);
    }
}

/* As writers do: what is too long to be packed makes the collection large for good. */
static void note_size(const struct store *store, struct collection *collection,
                      const struct change *change) {
    size_t bytes_max = store->packing[change->type].bytes_max;
    bool is_register = change->kind == CHANGE_SET || change->kind == CHANGE_SET_EXPIRING ||
                       change->kind == CHANGE_SET_KEEPING;
    bool has_long_value = change->type == VALUE_HASH && change->value.size > bytes_max;
    collection->is_large |= is_register && (has_long_value || change->element.size > bytes_max);
}

/* A key that the change makes fresh, or that holds another type, is spelled out. */
static void open_where_needed(struct store *store, const struct key *key,
                              const struct change *change) {
    uint64_t *slot = mutate_slot(store, key);
    struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    if (entry == NULL || entry_kind(entry) == ENTRY_CONTESTED ||
        (leaves_expiry(entry, change) && entry_type(entry) == change->type)) {
        return;
    }
    (void)contested_open(store, key, slot);
}

/* Is there anything that the TAKE alone tells? */
static bool needs_take(const struct store *store, const struct entry *entry,
                       const struct change *change) {
    struct collection *collection = NULL;
    if (entry_kind(entry) == ENTRY_COLLECTION && entry_type(entry) == change->type) {
        collection = entry_collection(entry);
    } else if (entry_kind(entry) == ENTRY_CONTESTED) {
        collection = contested_find_collection(entry_contested(entry), change->type);
    }
    if (collection != NULL && change->is_key_fresh) {
        struct key place = collection_key(store, collection, change->db, change->element);
        return mutate_slot(store, &place) != NULL;
    }
    return collection != NULL &&
           collection_needs_take(store, collection, change->element, stamp_slot(change->stamp));
}

bool elements_change_is_sound(const struct change *change) {
    double score;
    bool is_register = change->kind == CHANGE_SET || change->kind == CHANGE_SET_EXPIRING ||
                       change->kind == CHANGE_SET_KEEPING;
    if (change->type == VALUE_STRING || change->type >= VALUE_TYPES_COUNT) {
        return false;
    }
    if (collection_is_sequence(change->type)) {
        return (change->kind == CHANGE_SET || change->kind == CHANGE_DELETE ||
                change->kind == CHANGE_MORE) &&
               sequence_name_is_valid(change->type, change->element);
    }
    return change->type != VALUE_SORTED_SET || !is_register ||
           (number_parse_double(change->value, &score) && !isnan(score));
}

enum store_status elements_apply(struct store *store, const struct key *key,
                                 const struct change *change) {
    uint64_t *slot = mutate_slot(store, key);
    struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    if (!elements_change_is_sound(change)) {
        return STORE_MALFORMED;
    }
    if (entry == NULL && !adds_something(change)) {
        return STORE_OK;
    }
    if (change->type != VALUE_STREAM &&
        (entry == NULL ||
         (entry_kind(entry) == ENTRY_PACKED && entry_type(entry) == change->type)) &&
        (change->type == VALUE_LIST ? apply_packed_list(store, key, slot, change)
                                    : apply_packed(store, key, slot, change))) {
        return STORE_OK;
    }
    struct change take;
    bool is_lone_take = change->kind == CHANGE_TAKE && change->is_key_fresh;
    if (change->kind == CHANGE_TAKE) {
        if (!needs_take(store, entry, change)) {
            return STORE_OK;
        }
        take = *change;
        take.is_key_fresh = false; /* it says something else */
        change = &take;
    }
    bool is_contested = entry != NULL && entry_kind(entry) == ENTRY_CONTESTED;
    bool had_types = is_contested && contested_has_types(entry_contested(entry));
    open_where_needed(store, key, change);
    struct collection *collection = elements_need(store, key, change->type);
    struct key place = collection_key(store, collection, key->db, change->element);
    if (change->kind == CHANGE_TAKE) {
        collection_note_take(collection);
    } else {
        collection->takes_count = 0;
    }
    enum store_status status;
    if (collection_is_sequence(change->type)) {
        status = sequence_apply(store, &place, change);
        /* Also one without an effect on the list takes its stamp, and may take other types away. */
        if (status == STORE_OK && entry_kind(collection->entry) == ENTRY_CONTESTED) {
            collection_before_owner(store, collection);
        }
    } else {
        collection_prepare(store, &place);
        status = mutate_apply_place(store, &place, change);
        if (status == STORE_OK) {
            collection_before_owner(store, collection); /* it takes a stamp, whatever happened */
        }
        collection_after(store, &place, status == STORE_OK ? change->stamp : 0);
    }
    /* What is refused leaves no trace: neither its stamp nor what it would have superseded. */
    uint64_t stamp = status == STORE_OK ? change->stamp : 0;
    if (status == STORE_OK) {
        note_size(store, collection, change);
        supersede_beside(store, collection, change, is_lone_take);
    }
    if (entry_kind(collection->entry) != ENTRY_CONTESTED) {
        collection_finish(store, collection, stamp);
        return status;
    }
    bool is_visible = contested_close(store, key, stamp);
    slot = mutate_slot(store, key);
    entry = slot != NULL ? table_item(*slot) : NULL;
    /* Alone, nobody can write concurrently with what is gone: no expiry is kept for it. */
    if (store->is_alone && !is_visible && entry != NULL) {
        mutate_remove(store, key, slot);
        return status;
    }
    if (status == STORE_OK && !had_types && entry != NULL && entry_kind(entry) == ENTRY_CONTESTED &&
        contested_has_types(entry_contested(entry)) &&
        stamp_slot(change->stamp) != store->replicas.self) {
        merge_report_types(store, key, entry_contested(entry), change->stamp);
    }
    return status;
}
