/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing elements: a writer, and its changes of packed elements and of those in a table.
 *
 * A change is done in the packed elements where it can be; else in the element's entry, by the same
 * mutators as those of keys, between what a collection adds around them (collection.h). Reading is
 * in elements_read.c, recorded changes are in elements_apply.c. */
#include "store/elements_internal.h"

#include <math.h>

#include "store/gathered.h"
#include "store/merge.h"
#include "store/notify.h"
#include "store/strings.h"

/* ---- a writer ---- */

enum store_status elements_open(struct store *store, const struct key *key, enum value_type type,
                                struct elements_writer *writer) {
    uint64_t *slot = mutate_slot(store, key);
    struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    if (entry != NULL && !entry_is_hidden(entry) && mutate_is_expired(store, entry) &&
        !store->expiry_is_paused) {
        mutate_expire(store, key, slot);
        slot = mutate_slot(store, key);
        entry = slot != NULL ? table_item(*slot) : NULL;
    }
    /* One by one: `list` is large, and has its values from packed_list_open(). */
    writer->store = store;
    writer->key = *key;
    writer->type = type;
    writer->collection = NULL;
    writer->slot = slot;
    writer->is_key_fresh = entry == NULL || entry_is_hidden(entry);
    writer->has_written = writer->has_list = writer->hides_new = writer->gathers = false;
    writer->list_stamp = writer->list_count = 0;
    if (writer->is_key_fresh) {
        return STORE_OK;
    }
    store_touch_access(store, entry);
    if (entry_type(entry) != type) {
        return STORE_WRONG_TYPE;
    }
    if (entry_kind(entry) == ENTRY_COLLECTION) {
        writer->collection = entry_collection(entry);
        writer->collection->is_key_fresh = false;
    }
    return STORE_OK;
}

uint64_t *elements_writer_slot(struct elements_writer *writer) {
    gathered_end(writer);
    uint64_t *slot = writer->slot;
    writer->slot = NULL;
    return slot != NULL ? slot : mutate_slot(writer->store, &writer->key);
}

static struct entry *writer_entry(const struct elements_writer *writer) {
    uint64_t *slot = mutate_slot(writer->store, &writer->key);
    return slot != NULL ? table_item(*slot) : NULL;
}

void elements_written(struct elements_writer *writer, struct elements *elements) {
    const struct entry *entry;
    gathered_end(writer);
    *elements = (struct elements){.type = writer->type, .collection = writer->collection};
    if (writer->has_list) {
        elements->map = writer->list.map;
        elements->count = ordered_map_count(elements->map);
    } else if (writer->collection != NULL) {
        elements->count = collection_visible_count(writer->collection);
    } else if ((entry = writer_entry(writer)) != NULL && !entry_is_hidden(entry)) {
        elements_of(entry, elements);
    }
}

/* A stamp that no walk has seen, for an entry that was not there when it began. */
static uint64_t unseen_stamp(const struct store *store) {
    return stamp_make(store->clock.ticks + 1, store->replicas.self);
}

struct collection *elements_need(struct store *store, const struct key *key, enum value_type type) {
    uint64_t *slot = mutate_slot(store, key);
    struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    unsigned number = store->dbs[key->db].number;
    if (entry == NULL) {
        struct entry_parts parts = {.kind = ENTRY_COLLECTION,
                                    .stamp = unseen_stamp(store),
                                    .key = key->name,
                                    .access = mutate_first_access(store),
                                    .collection = collection_new(store, type, number)};
        struct entry *created = entry_new(&parts);
        require(created != NULL);
        table_insert(&store->dbs[key->db].table, key->hash, created, false);
        return parts.collection;
    }
    if (entry_kind(entry) == ENTRY_PACKED && entry_type(entry) == type) {
        return collection_unpack(store, key, slot);
    }
    if (entry_kind(entry) == ENTRY_COLLECTION && entry_type(entry) == type) {
        return entry_collection(entry);
    }
    /* The walks are told of a change once one is certain; spelled out, and with an empty
     * collection, the value is what it was. */
    struct contested *contested = contested_open(store, key, slot);
    struct collection *collection = contested_find_collection(contested, type);
    if (collection == NULL) {
        collection = collection_new(store, type, number);
        contested_add_collection(contested, collection);
    }
    return collection;
}

struct collection *elements_writer_collection(struct elements_writer *writer) {
    gathered_end(writer);
    if (writer->collection == NULL) {
        writer->collection = elements_need(writer->store, &writer->key, writer->type);
        writer->collection->is_key_fresh =
            writer->is_key_fresh && !writer->has_written && !writer->store->is_alone;
    }
    return writer->collection;
}

void elements_expect(struct elements_writer *writer, uint64_t count, bool are_distinct) {
    /* If all have the same name, their table is not to be large for long. */
    enum { ROOM_MAX = 1024 };
    const struct store_packing *packing = &writer->store->packing[writer->type];
    if (!writer->is_key_fresh || writer->has_written || collection_is_sequence(writer->type)) {
        return;
    }
    if (count > packing->entries_max &&
        (writer->type != VALUE_SET || count > packing->integers_max)) {
        uint64_t room = are_distinct || count < ROOM_MAX ? count : ROOM_MAX;
        table_expect(&elements_writer_collection(writer)->space.table, room);
    } else if (writer->slot == NULL) {
        gathered_begin(writer, count, are_distinct);
    }
}

static struct key writer_place(struct elements_writer *writer, struct slice name) {
    return collection_key(writer->store, elements_writer_collection(writer), writer->key.db, name);
}

/* The stamp of the newest own change. */
static uint64_t own_stamp(const struct store *store) {
    return store->context.stamps[store->replicas.self];
}

void elements_writer_take(struct elements_writer *writer) {
    /* An entry that is no more than a collection has no other types. */
    if (!writer->has_written &&
        unlikely(entry_kind(writer->collection->entry) == ENTRY_CONTESTED)) {
        merge_take_types(writer->store, &writer->key, writer->collection);
    }
}

/* Before the element at `place` is certain to change. */
static void writer_before(struct elements_writer *writer, const struct key *place) {
    elements_writer_take(writer);
    collection_before(writer->store, place);
}

/* Taking off what there is of other types is a change of its own, which must not be made for one
 * that then finds no memory. */
static bool writer_has_room(const struct elements_writer *writer, struct slice value) {
    if (likely(value.size <= ENTRY_INLINE_VALUE_BYTES_MAX ||
               entry_kind(writer->collection->entry) != ENTRY_CONTESTED)) {
        return true;
    }
    void *probe = memory_try_alloc(2 * value.size);
    memory_free(probe);
    return probe != NULL;
}

/* Before it is to change by what may still find no memory. */
static void writer_prepare(struct elements_writer *writer, const struct key *place) {
    elements_writer_take(writer);
    collection_prepare(writer->store, place);
}

void elements_writer_supersede(struct elements_writer *writer) {
    struct store *store = writer->store;
    struct entry *entry = writer->collection->entry;
    if (unlikely(entry_kind(entry) == ENTRY_CONTESTED) && !writer->has_written) {
        /* What was here of other types, and of expiries without a value, goes as it does for those
         * who apply the change. */
        struct change change = {.stamp = own_stamp(store), .is_key_fresh = writer->is_key_fresh};
        merge_drop_types(store, entry_contested(entry), writer->collection, &change);
    }
    writer->has_written = true;
}

static void writer_after(struct elements_writer *writer, const struct key *place) {
    collection_after(writer->store, place, own_stamp(writer->store));
    elements_writer_supersede(writer);
}

/* The change that writer_prepare() was for has come to this. */
static enum store_status writer_result(struct elements_writer *writer, const struct key *place,
                                       enum store_status status) {
    if (status == STORE_OK) {
        writer_after(writer, place);
    } else {
        collection_after(writer->store, place, 0);
    }
    return status;
}

/* A key that has lost its last element is gone, and its expiry with it: that has to be said, since
 * elsewhere an element may be there that was not seen here. */
static void delete_emptied(struct elements_writer *writer) {
    uint64_t *slot = mutate_slot(writer->store, &writer->key);
    struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    if (entry != NULL && entry_is_hidden(entry) && entry_contested(entry)->expiries_count > 0) {
        merge_delete(writer->store, &writer->key);
    }
}

void elements_close(struct elements_writer *writer) {
    gathered_end(writer);
    if (writer->has_list) {
        elements_close_list(writer);
    }
    if (writer->collection != NULL) {
        bool is_emptied = collection_visible_count(writer->collection) == 0;
        collection_finish(writer->store, writer->collection,
                          writer->has_written ? own_stamp(writer->store) : 0);
        writer->collection = NULL;
        if (writer->has_written && is_emptied) {
            delete_emptied(writer);
        }
    }
    if (unlikely(writer->store->watchers_count > 0) && writer->is_key_fresh &&
        writer->has_written && writer->type == VALUE_STREAM) {
        /* It may have come with a group only, which is no change of a stream that is there. */
        mutate_touch(writer->store, &writer->key);
    }
    if (unlikely((writer->store->notify_classes & NOTIFY_NEW) != 0) && writer->is_key_fresh &&
        writer->has_written && !writer->hides_new &&
        store_peek(writer->store, &writer->key) != NULL) {
        store_notify(writer->store, NOTIFY_NEW, "new", &writer->key);
    }
}

/* ---- packed ---- */

/* May an element of that size be packed with `count` others? */
static bool fits_packed(const struct store *store, enum value_type type, uint64_t count,
                        struct slice name, struct slice value) {
    const struct store_packing *packing = &store->packing[type];
    int64_t integer;
    if (name.size > packing->bytes_max || value.size > packing->bytes_max ||
        count > COLLECTION_PACKED_MAX) {
        return false;
    }
    return count <= packing->entries_max || (type == VALUE_SET && count <= packing->integers_max &&
                                             number_parse_integer(name, &integer));
}

bool elements_fit_packed(const struct store *store, enum value_type type, struct slice packed,
                         uint64_t count, const struct packed_element *element) {
    return fits_packed(store, type, count, element->name, element->value) &&
           (type != VALUE_SET || count <= store->packing[type].entries_max || packed.size == 0 ||
            !packed_has_text(packed));
}

/* After the packed elements of the entry became others where they lie. */
static void after_overwriting(const struct store *store, struct entry *entry, uint64_t stamp) {
    entry->stamp = stamp;
    if (!store->uses_lfu) {
        entry_set_access(entry, mutate_first_access(store));
    }
}

void elements_put_packed(struct store *store, const struct key *key, uint64_t *slot,
                         struct slice packed, uint64_t stamp) {
    struct entry *old = slot != NULL ? table_item(*slot) : NULL;
    if (old != NULL && entry_overwrite_packed(old, packed)) {
        after_overwriting(store, old, stamp);
        return;
    }
    struct entry_parts parts = {.key = key->name, .access = mutate_first_access(store)};
    if (old != NULL) {
        uint64_t expire_stamp = entry_expire_stamp(old);
        bool has_own_stamp = expire_stamp != old->stamp || entry_expire_unix_ms(old) != 0;
        entry_take_apart(old, &parts);
        /* Its expiry keeps the stamp that it had, which may have been the value's. */
        parts.expire_stamp = has_own_stamp ? expire_stamp : 0;
        parts.access = store->uses_lfu ? parts.access : mutate_first_access(store);
    }
    parts.kind = ENTRY_PACKED;
    parts.stamp = stamp;
    parts.bytes = packed;
    struct entry *entry = entry_new(&parts);
    require(entry != NULL);
    if (slot == NULL) {
        table_insert(&store->dbs[key->db].table, key->hash, entry, false);
    } else {
        table_replace(slot, entry);
        entry_free(old);
    }
}

/* An empty buffer for the packed elements of the next moment: most are small, and it keeps its
 * memory. */
struct buffer *elements_begin_scratch(struct store *store) {
    buffer_clear(&store->packed_scratch);
    return &store->packed_scratch;
}

void elements_end_scratch(struct store *store) {
    enum { KEPT_BYTES_MAX = 65536 };
    if (unlikely(store->packed_scratch.capacity > KEPT_BYTES_MAX)) {
        buffer_deinit(&store->packed_scratch);
    }
}

bool elements_set_packed(struct store *store, const struct key *key, uint64_t *slot,
                         enum value_type type, const struct packed_element *old,
                         const struct packed_element *element) {
    struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    struct slice before = entry != NULL ? entry_packed(entry) : slice_make("", 0);
    uint64_t count = (entry != NULL ? packed_count(before) : 0) + (old == NULL);
    if (!elements_fit_packed(store, type, before, count, element)) {
        return false;
    }
    if (entry != NULL) {
        mutate_before(store, key, entry);
        if (store->is_alone) {
            packed_raise((char *)before.data, before.size, element->stamp);
        }
        if (old != NULL && packed_overwrite((char *)before.data, before.size, old, element)) {
            after_overwriting(store, entry, element->stamp);
            mutate_after(store, key);
            return true;
        }
    }
    struct buffer *packed = elements_begin_scratch(store);
    if (entry == NULL) {
        packed_begin_with(packed, type, element);
    } else {
        packed_put(packed, before, old, element);
    }
    elements_put_packed(store, key, slot, buffer_slice(packed), element->stamp);
    elements_end_scratch(store);
    mutate_after(store, key);
    return true;
}

bool elements_leave_expiry(const struct store *store, const struct entry *entry, uint64_t count) {
    return !store->is_alone && count == 1 &&
           (entry->meta & (ENTRY_HAS_EXPIRY | ENTRY_HAS_EXPIRY_STAMP)) != 0;
}

void elements_delete_packed(struct store *store, const struct key *key, uint64_t *slot,
                            const struct packed_range *range, uint64_t stamp) {
    const struct entry *entry = table_item(*slot);
    struct slice before = entry_packed(entry);
    if (packed_count(before) == range->count) {
        mutate_remove(store, key, slot);
        return;
    }
    struct buffer *packed = elements_begin_scratch(store);
    packed_remove(packed, before, range);
    mutate_before(store, key, entry);
    elements_put_packed(store, key, slot, buffer_slice(packed), stamp);
    elements_end_scratch(store);
    mutate_after(store, key);
}

void elements_put_list(struct store *store, const struct key *key, uint64_t *slot,
                       const struct packed_list *list, uint64_t stamp) {
    struct buffer *packed = elements_begin_scratch(store);
    packed_list_put(packed, list);
    elements_put_packed(store, key, slot, buffer_slice(packed), stamp);
    elements_end_scratch(store);
}

void elements_record_packed(struct elements_writer *writer, struct change *change) {
    struct store *store = writer->store;
    change->db = store->dbs[writer->key.db].number;
    change->key = writer->key.name;
    change->type = writer->type;
    change->is_key_fresh = writer->is_key_fresh && !writer->has_written && !store->is_alone;
    mutate_record_element(store, change);
    writer->has_written = true;
}

/* The key's entry, if the writer may still hope to find it packed. */
static bool may_be_packed(const struct elements_writer *writer, const struct entry *entry) {
    return writer->collection == NULL && !collection_is_sequence(writer->type) &&
           (entry == NULL || entry_kind(entry) == ENTRY_PACKED);
}

/* ---- setting ---- */

static bool set_packed(struct elements_writer *writer, struct packed_element *element,
                       struct slice recorded, bool *is_new) {
    struct store *store = writer->store;
    if (gathered_add(writer, element, recorded)) {
        *is_new = true;
        return true;
    }
    if (writer->collection != NULL) {
        return false;
    }
    uint64_t *slot = elements_writer_slot(writer);
    const struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    struct packed_element old;
    if (!may_be_packed(writer, entry) ||
        !fits_packed(store, writer->type, 1, element->name, element->value)) {
        return false;
    }
    *is_new = entry == NULL || !packed_find(entry_packed(entry), element->name, &old);
    if (!*is_new && store->is_alone &&
        (writer->type == VALUE_SET ||
         (writer->type == VALUE_SORTED_SET && old.score == element->score))) {
        return true;
    }
    uint64_t stamp = mutate_stamp(store);
    element->stamp = stamp;
    if (!elements_set_packed(store, &writer->key, slot, writer->type, *is_new ? NULL : &old,
                             element)) {
        return false;
    }
    struct change change = {
        .kind = CHANGE_SET, .stamp = stamp, .element = element->name, .value = recorded};
    elements_record_packed(writer, &change);
    return true;
}

/* Adds an element that the collection does not have, hidden or not; false, with nothing done: it
 * has to be done in the general way. */
static bool add_plain(struct elements_writer *writer, const struct key *place, struct slice value) {
    struct store *store = writer->store;
    if (!collection_is_plain(store, writer->collection) ||
        value.size > ENTRY_INLINE_VALUE_BYTES_MAX) {
        return false;
    }
    struct entry *element = strings_add(store, place, value);
    collection_after_element(store, place, element, element->stamp);
    writer->has_written = true;
    return true;
}

static void note_size(struct elements_writer *writer, struct slice name, struct slice value) {
    size_t bytes_max = writer->store->packing[writer->type].bytes_max;
    writer->collection->is_large |= name.size > bytes_max || value.size > bytes_max;
}

enum store_status element_set(struct elements_writer *writer, struct slice name, struct slice value,
                              bool keeps_expiry, bool *is_new) {
    struct store *store = writer->store;
    struct packed_element packed = {.name = name, .value = value};
    if (set_packed(writer, &packed, value, is_new)) {
        return STORE_OK;
    }
    struct key place = writer_place(writer, name);
    uint64_t *slot = mutate_slot(store, &place);
    *is_new = slot == NULL || mutate_is_invisible(store, table_item(*slot));
    if (!*is_new && store->is_alone && writer->type == VALUE_SET) {
        return STORE_OK;
    }
    if (slot == NULL && add_plain(writer, &place, value)) {
        note_size(writer, name, value);
        return STORE_OK;
    }
    if (!writer_has_room(writer, value)) {
        return STORE_OUT_OF_MEMORY;
    }
    writer_prepare(writer, &place);
    enum store_status status =
        strings_set(store, &place, value, keeps_expiry ? STRINGS_KEEP_EXPIRY : 0);
    if (writer_result(writer, &place, status) != STORE_OK) {
        return status;
    }
    note_size(writer, name, value);
    return status;
}

enum store_status element_set_score(struct elements_writer *writer, struct slice name, double score,
                                    bool *is_new) {
    struct store *store = writer->store;
    char text[64];
    require(!isnan(score));
    /* One zero: -0 would print as such. The sum with 0 has no sign. */
    score += 0.0;
    struct slice value = slice_make(text, 0);
    struct packed_element packed = {.name = name, .score = score};
    if (store->journal.is_on) {
        value.size = number_format_double(text, score);
    }
    if (set_packed(writer, &packed, value, is_new)) {
        return STORE_OK;
    }
    value.size = number_format_double(text, score);
    struct key place = writer_place(writer, name);
    uint64_t *slot = mutate_slot(store, &place);
    *is_new = slot == NULL || mutate_is_invisible(store, table_item(*slot));
    if (!*is_new && store->is_alone && collection_score(table_item(*slot)) == score) {
        return STORE_OK;
    }
    if (slot == NULL && add_plain(writer, &place, value)) {
        note_size(writer, name, SLICE(""));
        return STORE_OK;
    }
    writer_prepare(writer, &place);
    enum store_status status = strings_set(store, &place, value, 0);
    if (writer_result(writer, &place, status) == STORE_OK) {
        note_size(writer, name, SLICE(""));
    }
    return status;
}

/* ---- deleting ---- */

void element_take(struct elements_writer *writer, struct slice name, struct slice takes) {
    struct store *store = writer->store;
    uint64_t *key_slot = writer->collection == NULL ? elements_writer_slot(writer) : NULL;
    const struct entry *entry = key_slot != NULL ? table_item(*key_slot) : NULL;
    if (collection_is_sequence(writer->type) || (writer->collection == NULL && entry == NULL) ||
        may_be_packed(writer, entry)) {
        return; /* no counters */
    }
    struct key place = writer_place(writer, name);
    if (mutate_slot(store, &place) == NULL) {
        return;
    }
    struct change change = {
        .kind = CHANGE_TAKE, .db = place.db, .stamp = mutate_stamp(store), .value = takes};
    collection_before(store, &place);
    writer->collection->is_key_fresh = true; /* for what is recorded */
    (void)merge_write(store, &place, &change);
    writer->collection->is_key_fresh = false;
    collection_after(store, &place, change.stamp);
    elements_writer_supersede(writer);
}

bool element_delete(struct elements_writer *writer, struct slice name) {
    struct store *store = writer->store;
    uint64_t *key_slot = writer->collection == NULL ? elements_writer_slot(writer) : NULL;
    const struct entry *entry = key_slot != NULL ? table_item(*key_slot) : NULL;
    if (writer->collection == NULL && (entry == NULL || entry_is_hidden(entry))) {
        return false;
    }
    struct packed_element old;
    if (may_be_packed(writer, entry) && !packed_find(entry_packed(entry), name, &old)) {
        return false;
    }
    if (may_be_packed(writer, entry) &&
        !elements_leave_expiry(store, entry, packed_count(entry_packed(entry)))) {
        struct change change = {
            .kind = CHANGE_DELETE, .stamp = mutate_stamp(store), .element = name};
        /* Before the name goes, which may lie in the entry. */
        elements_record_packed(writer, &change);
        struct packed_range range = packed_range_of(&old);
        elements_delete_packed(store, &writer->key, key_slot, &range, change.stamp);
        return true;
    }
    struct key place = writer_place(writer, name);
    uint64_t *slot = mutate_slot(store, &place);
    bool is_sequence = collection_is_sequence(writer->type);
    if (!is_sequence && (slot == NULL || entry_is_hidden(table_item(*slot)))) {
        return false;
    }
    if (slot != NULL && collection_delete_plain(store, &place, slot)) {
        writer->has_written = true;
        return true;
    }
    struct ordered_map_cursor cursor;
    if (is_sequence && !ordered_map_find(writer->collection->map, name, &cursor)) {
        return false;
    }
    bool is_expired = slot != NULL && mutate_is_expired(store, table_item(*slot));
    struct buffer own = {0};
    buffer_append_slice(&own, name);
    place.name = own.size > 0 ? buffer_slice(&own) : slice_make("", 0);
    writer_before(writer, &place);
    (void)store_delete(store, &place);
    writer_after(writer, &place);
    buffer_deinit(&own);
    return !is_expired;
}

/* ---- adding ---- */

static bool writer_find(struct elements_writer *writer, struct slice name,
                        struct element *element) {
    struct elements elements;
    elements_written(writer, &elements);
    return elements_find(writer->store, &elements, name, element);
}

/* With no peers, a number is a register like any other. */
enum store_status element_add_integer(struct elements_writer *writer, struct slice name,
                                      int64_t delta, int64_t *result) {
    struct store *store = writer->store;
    struct element element;
    int64_t value = 0;
    if (writer_find(writer, name, &element) && !number_parse_integer(element.value, &value)) {
        return STORE_NOT_INTEGER;
    }
    if (__builtin_add_overflow(value, delta, result)) {
        return STORE_OVERFLOW;
    }
    if (store->is_alone) {
        bool is_new;
        char text[NUMBER_INTEGER_BYTES_MAX];
        return element_set(writer, name, slice_make(text, number_format_integer(text, *result)),
                           true, &is_new);
    }
    struct key place = writer_place(writer, name);
    writer_prepare(writer, &place);
    return writer_result(writer, &place, strings_add_integer(store, &place, delta, result));
}

enum store_status element_add_float(struct elements_writer *writer, struct slice name,
                                    long double delta, long double *result) {
    struct store *store = writer->store;
    struct element element;
    long double value = 0;
    if (writer_find(writer, name, &element) && !number_parse_float(element.value, &value)) {
        return STORE_NOT_FLOAT;
    }
    *result = value + delta;
    if (!isfinite(*result)) {
        return STORE_NOT_FINITE;
    }
    if (store->is_alone) {
        bool is_new;
        struct entry_scratch scratch;
        return element_set(writer, name,
                           slice_make(scratch.bytes, number_format_float(scratch.bytes, *result)),
                           true, &is_new);
    }
    struct key place = writer_place(writer, name);
    writer_prepare(writer, &place);
    return writer_result(writer, &place, strings_add_float(store, &place, delta, result));
}

enum store_status element_add_score(struct elements_writer *writer, struct slice name, double delta,
                                    double *result) {
    struct store *store = writer->store;
    struct element element;
    bool is_there = writer_find(writer, name, &element), is_new;
    *result = (is_there ? element.score : 0) + delta;
    if (isnan(*result)) {
        return STORE_NOT_FINITE;
    }
    /* What is infinite is no sum of parts. */
    if (store->is_alone || !isfinite(*result) || !isfinite(delta) ||
        (is_there && !isfinite(element.score))) {
        return element_set_score(writer, name, *result, &is_new);
    }
    struct key place = writer_place(writer, name);
    long double sum;
    writer_prepare(writer, &place);
    enum store_status status = strings_add_float(store, &place, (long double)delta, &sum);
    if (writer_result(writer, &place, status) == STORE_OK) {
        *result = collection_score(table_item(*mutate_slot(store, &place)));
    }
    return status;
}

/* ---- expiries of fields ---- */

bool element_expire(struct elements_writer *writer, struct slice name, uint64_t expire_unix_ms) {
    struct store *store = writer->store;
    struct element element;
    if (!writer_find(writer, name, &element) ||
        (expire_unix_ms == 0 && element.expire_unix_ms == 0)) {
        return false;
    }
    struct key place = writer_place(writer, name);
    writer_before(writer, &place);
    bool is_done = store_expire(store, &place, expire_unix_ms);
    writer_after(writer, &place);
    return is_done;
}
