/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/xstreams.h"

#include "base/codec.h"
#include "store/xstreams_internal.h"

struct xstream_view xstream_of(const struct store *store, const struct elements *elements) {
    return (struct xstream_view){.store = store, .collection = elements->collection};
}

struct xstream_view xstream_of_writer(struct elements_writer *writer) {
    struct elements elements;
    elements_written(writer, &elements);
    return xstream_of(writer->store, &elements);
}

/* ---- walking ---- */

static bool has_prefix(struct slice name, const struct xstream_name *prefix) {
    return name.size >= prefix->size && memcmp(name.data, prefix->bytes, prefix->size) == 0;
}

/* Is the place that the cursor came to one that it walks over? */
static bool is_here(struct xstream_cursor *cursor, bool is_there) {
    return is_there && has_prefix(cursor->at.element.name, &cursor->prefix) &&
           xstream_name_parse(cursor->at.element.name, &cursor->name);
}

static void walk_over(struct xstream_cursor *cursor, struct xstream_view view,
                      const struct xstream_name *prefix) {
    cursor->view = view;
    xstream_name_copy(&cursor->prefix, prefix);
}

bool xstream_seek_name(struct xstream_view view, const struct xstream_name *prefix,
                       const struct xstream_name *from, struct xstream_cursor *cursor) {
    walk_over(cursor, view, prefix);
    return view.collection != NULL &&
           is_here(cursor, ordered_map_lower_bound(view.collection->map, xstream_name_slice(from),
                                                   &cursor->at));
}

/* The last one whose name is below that. */
static bool seek_before(struct xstream_view view, const struct xstream_name *prefix,
                        const struct xstream_name *name, struct xstream_cursor *cursor) {
    walk_over(cursor, view, prefix);
    if (view.collection == NULL) {
        return false;
    }
    const struct ordered_map *map = view.collection->map;
    bool is_there = ordered_map_lower_bound(map, xstream_name_slice(name), &cursor->at)
                        ? ordered_map_previous(map, &cursor->at)
                        : ordered_map_last(map, &cursor->at);
    return is_here(cursor, is_there);
}

bool xstream_seek_first(struct xstream_view view, const struct xstream_name *prefix,
                        struct xstream_cursor *cursor) {
    return xstream_seek_name(view, prefix, prefix, cursor);
}

bool xstream_seek_last(struct xstream_view view, const struct xstream_name *prefix,
                       struct xstream_cursor *cursor) {
    struct xstream_name behind;
    xstream_name_copy(&behind, prefix);
    xstream_name_pass(&behind);
    return seek_before(view, prefix, &behind, cursor);
}

/* The last one of a kind that does not belong to groups. */
static bool seek_last_of(struct xstream_view view, enum xstream_kind kind,
                         struct xstream_cursor *cursor) {
    struct xstream_name prefix;
    xstream_name_begin(&prefix, kind);
    return xstream_seek_last(view, &prefix, cursor);
}

void xstream_name_of_group(struct xstream_name *name, enum xstream_kind kind,
                           const struct xstream_label *group) {
    xstream_name_begin(name, kind);
    xstream_name_add_label(name, xstream_label_slice(group));
}

bool xstream_seek(struct xstream_view view, struct xstream_id id, struct xstream_cursor *cursor) {
    struct xstream_name prefix, from;
    xstream_name_begin(&prefix, XSTREAM_ENTRY);
    xstream_name_begin(&from, XSTREAM_ENTRY);
    xstream_name_add_id(&from, id);
    return xstream_seek_name(view, &prefix, &from, cursor);
}

bool xstream_seek_back(struct xstream_view view, struct xstream_id id,
                       struct xstream_cursor *cursor) {
    struct xstream_name prefix, behind;
    if (!xstream_id_increment(&id)) {
        return seek_last_of(view, XSTREAM_ENTRY, cursor);
    }
    xstream_name_begin(&prefix, XSTREAM_ENTRY);
    xstream_name_begin(&behind, XSTREAM_ENTRY);
    xstream_name_add_id(&behind, id);
    return seek_before(view, &prefix, &behind, cursor);
}

bool xstream_seek_pending(struct xstream_view view, const struct xstream_label *group,
                          struct xstream_id id, struct xstream_cursor *cursor) {
    struct xstream_name prefix, from;
    xstream_name_of_group(&prefix, XSTREAM_PENDING, group);
    xstream_name_of_group(&from, XSTREAM_PENDING, group);
    xstream_name_add_id(&from, id);
    return xstream_seek_name(view, &prefix, &from, cursor);
}

bool xstream_seek_consumer(struct xstream_view view, const struct xstream_label *group,
                           struct xstream_cursor *cursor) {
    struct xstream_name prefix;
    xstream_name_of_group(&prefix, XSTREAM_CONSUMER, group);
    return xstream_seek_first(view, &prefix, cursor);
}

bool xstream_next(struct xstream_cursor *cursor) {
    return is_here(cursor, ordered_map_next(cursor->view.collection->map, &cursor->at));
}

bool xstream_previous(struct xstream_cursor *cursor) {
    return is_here(cursor, ordered_map_previous(cursor->view.collection->map, &cursor->at));
}

/* The value of the element at a cursor; `scratch` has room for one that is made up. */
static struct slice value_at(struct xstream_view view, const struct ordered_map_cursor *at,
                             struct entry_scratch *scratch) {
    return at->element.flags == 0
               ? at->element.value
               : entry_value(sequence_intricate(view.store, view.collection, at), scratch);
}

struct slice xstream_value(struct xstream_cursor *cursor) {
    return value_at(cursor->view, &cursor->at, &cursor->scratch);
}

bool xstream_find_name(struct xstream_view view, const struct xstream_name *name,
                       struct xstream_cursor *cursor) {
    walk_over(cursor, view, name);
    return view.collection != NULL &&
           is_here(cursor,
                   ordered_map_find(view.collection->map, xstream_name_slice(name), &cursor->at));
}

bool xstream_has_entry(struct xstream_view view, struct xstream_id id) {
    struct ordered_map_cursor cursor;
    struct xstream_name name;
    xstream_name_begin(&name, XSTREAM_ENTRY);
    xstream_name_add_id(&name, id);
    return view.collection != NULL &&
           ordered_map_find(view.collection->map, xstream_name_slice(&name), &cursor);
}

/* ---- facts ---- */

uint64_t xstream_length(struct xstream_view view) {
    struct xstream_cursor cursor;
    if (!xstream_seek(view, XSTREAM_ID_MIN, &cursor)) {
        return 0;
    }
    const struct ordered_map *map = view.collection->map;
    return ordered_map_count(map) - ordered_map_rank(map, &cursor.at);
}

/* How many elements have names that begin so, and the ids of the first and last one. */
static void count_named(struct xstream_view view, const struct xstream_name *prefix,
                        struct xstream_pending_facts *facts) {
    struct xstream_cursor first, last;
    *facts = (struct xstream_pending_facts){0};
    if (xstream_seek_first(view, prefix, &first) && xstream_seek_last(view, prefix, &last)) {
        const struct ordered_map *map = view.collection->map;
        facts->count = ordered_map_rank(map, &last.at) - ordered_map_rank(map, &first.at) + 1;
        facts->first_id = first.name.id;
        facts->last_id = last.name.id;
    }
}

void xstream_pending_facts(struct xstream_view view, const struct xstream_label *group,
                           struct xstream_pending_facts *facts) {
    struct xstream_name prefix;
    xstream_name_of_group(&prefix, XSTREAM_PENDING, group);
    count_named(view, &prefix, facts);
}

uint64_t xstream_consumers_count(struct xstream_view view, const struct xstream_label *group) {
    struct xstream_pending_facts facts;
    struct xstream_name prefix;
    xstream_name_of_group(&prefix, XSTREAM_CONSUMER, group);
    count_named(view, &prefix, &facts);
    return facts.count;
}

struct xstream_id xstream_greatest(struct xstream_view view, enum xstream_kind kind) {
    struct xstream_cursor cursor;
    return seek_last_of(view, kind, &cursor) ? cursor.name.id : XSTREAM_ID_MIN;
}

/* The id of the entry at the cursor, if it is one. */
static bool take_entry_id(const struct ordered_map_cursor *cursor, struct xstream_id *id) {
    struct xstream_name_parts name;
    if (!xstream_name_parse(cursor->element.name, &name) || name.kind != XSTREAM_ENTRY) {
        return false;
    }
    *id = name.id;
    return true;
}

struct xstream_id xstream_last_id(struct xstream_view view) {
    struct ordered_map_cursor cursor;
    struct xstream_id entry = XSTREAM_ID_MIN, first;
    if (view.collection == NULL) {
        return entry;
    }
    /* Entries are behind all else; mostly there is nothing else. */
    const struct ordered_map *map = view.collection->map;
    if (ordered_map_last(map, &cursor) && take_entry_id(&cursor, &entry) &&
        ordered_map_first(map, &cursor) && take_entry_id(&cursor, &first)) {
        return entry;
    }
    struct xstream_id told = xstream_greatest(view, XSTREAM_LAST);
    return xstream_id_compare(told, entry) > 0 ? told : entry;
}

static void add(uint64_t *sum, uint64_t count) {
    *sum = count > INT64_MAX - *sum ? INT64_MAX : *sum + count;
}

static uint64_t trimmed_count(struct xstream_view view) {
    struct xstream_cursor cursor;
    return seek_last_of(view, XSTREAM_TRIMMED, &cursor) ? xstream_count_take(xstream_value(&cursor))
                                                        : 0;
}

/* Takes what the elements in front of all others tell; of several ids of a kind the greatest comes
 * last. */
static void take_told(struct xstream_view view, struct xstream_facts *facts) {
    struct xstream_cursor cursor;
    struct xstream_name all;
    uint64_t trimmed = 0;
    all.size = 0;
    for (bool is_there = xstream_seek_first(view, &all, &cursor);
         is_there && cursor.name.kind <= XSTREAM_REMOVED; is_there = xstream_next(&cursor)) {
        switch (cursor.name.kind) {
        case XSTREAM_LAST:
            facts->last_id = cursor.name.id;
            break;
        case XSTREAM_DELETED:
            facts->deleted_id_max = cursor.name.id;
            break;
        case XSTREAM_TRIMMED:
            trimmed = xstream_count_take(xstream_value(&cursor));
            break;
        case XSTREAM_REMOVED:
            add(&facts->entries_added, xstream_count_take(xstream_value(&cursor)));
            break;
        case XSTREAM_GROUP:
        case XSTREAM_CONSUMER:
        case XSTREAM_PENDING:
        case XSTREAM_ENTRY:
            impossible("the kind is at most that of removals");
        }
    }
    add(&facts->entries_added, trimmed);
}

void xstream_facts(struct xstream_view view, struct xstream_facts *facts) {
    struct xstream_cursor cursor;
    struct ordered_map_cursor last;
    struct xstream_id last_id;
    *facts = (struct xstream_facts){0};
    if (view.collection == NULL) {
        return;
    }
    const struct ordered_map *map = view.collection->map;
    take_told(view, facts);
    if (xstream_seek(view, XSTREAM_ID_MIN, &cursor)) {
        facts->first_id = cursor.name.id;
        facts->length = ordered_map_count(map) - ordered_map_rank(map, &cursor.at);
        add(&facts->entries_added, facts->length);
    }
    if (ordered_map_last(map, &last) && take_entry_id(&last, &last_id) &&
        xstream_id_compare(last_id, facts->last_id) > 0) {
        facts->last_id = last_id;
    }
}

int64_t xstream_entries_up_to(const struct xstream_facts *facts, struct xstream_id id) {
    int to_last = xstream_id_compare(id, facts->last_id);
    if (facts->entries_added == 0) {
        return 0;
    }
    if (to_last == 0 || (to_last < 0 && facts->length == 0)) {
        return (int64_t)facts->entries_added;
    }
    int to_first = xstream_id_compare(id, facts->first_id);
    /* In the middle nobody knows, nor if entries behind the first one were deleted. */
    if (to_last > 0 || to_first > 0 ||
        xstream_id_compare(facts->deleted_id_max, facts->first_id) >= 0) {
        return -1;
    }
    return (int64_t)(facts->entries_added - facts->length) + (to_first == 0);
}

bool xstream_has_gap_from(const struct xstream_facts *facts, struct xstream_id id) {
    return facts->length > 0 && xstream_id_compare(facts->deleted_id_max, facts->first_id) >= 0 &&
           xstream_id_compare(facts->deleted_id_max, id) >= 0;
}

/* ---- writing elements ---- */

enum store_status xstream_put(struct elements_writer *writer, const struct xstream_name *name,
                              struct slice value) {
    struct xstream_cursor cursor;
    if (!xstream_find_name(xstream_of_writer(writer), name, &cursor)) {
        return sequence_write_add_inside(writer, xstream_name_slice(name), value);
    }
    if (writer->store->is_alone && slice_equal(xstream_value(&cursor), value)) {
        return STORE_OK; /* nobody has to hear it again */
    }
    return sequence_write_replace(writer, &cursor.at, value);
}

uint64_t xstream_remove_all(struct elements_writer *writer, const struct xstream_name *prefix,
                            const struct xstream_name *except) {
    struct xstream_cursor cursor;
    struct xstream_view view = xstream_of_writer(writer);
    uint64_t removed = 0;
    bool is_there = xstream_seek_first(view, prefix, &cursor);
    if (is_there && except == NULL) {
        struct ordered_map_cursor behind;
        struct xstream_name end;
        const struct ordered_map *map = view.collection->map;
        xstream_name_copy(&end, prefix);
        xstream_name_pass(&end);
        removed = ordered_map_lower_bound(map, xstream_name_slice(&end), &behind)
                      ? ordered_map_rank(map, &behind)
                      : ordered_map_count(map);
        removed -= ordered_map_rank(map, &cursor.at);
        (void)sequence_write_remove_range(writer, &cursor.at, removed);
        return removed;
    }
    while (is_there) {
        if (slice_equal(cursor.at.element.name, xstream_name_slice(except))) {
            is_there = xstream_next(&cursor);
        } else {
            is_there = is_here(&cursor, sequence_write_remove(writer, &cursor.at));
            removed++;
        }
    }
    return removed;
}

enum store_status xstream_put_greatest(struct elements_writer *writer,
                                       const struct xstream_name *prefix, struct xstream_id id,
                                       struct slice value) {
    struct xstream_name name;
    xstream_name_copy(&name, prefix);
    xstream_name_add_id(&name, id);
    enum store_status status = xstream_put(writer, &name, value);
    if (status == STORE_OK) {
        (void)xstream_remove_all(writer, prefix, &name);
    }
    return status;
}

static enum store_status put_fact(struct elements_writer *writer, enum xstream_kind kind,
                                  struct xstream_id id, uint64_t count) {
    struct xstream_name prefix;
    char value[VARINT_BYTES_MAX];
    size_t size = kind == XSTREAM_TRIMMED ? xstream_count_put(value, count) : 0;
    xstream_name_begin(&prefix, kind);
    return xstream_put_greatest(writer, &prefix, id, slice_make(value, size));
}

void xstream_keep(struct elements_writer *writer, struct xstream_id last) {
    struct xstream_cursor cursor;
    if (!seek_last_of(xstream_of_writer(writer), XSTREAM_LAST, &cursor)) {
        (void)put_fact(writer, XSTREAM_LAST, last, 0);
    }
}

/* ---- writing entries ---- */

static uint64_t own_ref(const struct store *store) {
    return store->replicas.slots[store->replicas.self].ref;
}

bool xstream_make_id(struct elements_writer *writer, struct xstream_id last, uint64_t ms,
                     bool is_in_ms, struct xstream_id *id) {
    const struct store *store = writer->store;
    if (!is_in_ms) {
        return xstream_id_next(last, ms, store->is_alone, own_ref(store), id);
    }
    return ms >= last.ms && xstream_id_next_in(last, ms, store->is_alone, own_ref(store), id);
}

/* Do the bits of the id say that this replica chose it, and no other one? */
static bool tells_origin(const struct store *store, struct xstream_id id) {
    const struct replicas *replicas = &store->replicas;
    uint64_t bits = xstream_replica_bits(id.sequence);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        const struct replica *replica = &replicas->slots[slot];
        bool has_bits = replica->ref != 0 && xstream_replica_bits(replica->ref) == bits;
        if (has_bits != (slot == replicas->self)) {
            return false;
        }
    }
    return true;
}

enum store_status xstream_add(struct elements_writer *writer, struct xstream_id id,
                              struct buffer *value) {
    struct xstream_name name;
    if (!writer->store->is_alone && !tells_origin(writer->store, id)) {
        codec_put_u64(value, own_ref(writer->store));
    }
    xstream_name_begin(&name, XSTREAM_ENTRY);
    xstream_name_add_id(&name, id);
    enum store_status status =
        sequence_write_add(writer, xstream_name_slice(&name), buffer_slice(value));
    if (status == STORE_OK) {
        /* It is below what was read where XSETID went back. */
        xstream_unread_added(elements_writer_collection(writer), xstream_name_slice(&name));
    }
    return status;
}

/* Before the last entry is removed: what it says of the last id is said by itself. First, since a
 * stream without any element would be gone, and its expiry with it. */
static void keep_last_id(struct elements_writer *writer) {
    struct xstream_view view = xstream_of_writer(writer);
    struct xstream_id last = xstream_last_id(view);
    if (xstream_id_compare(xstream_greatest(view, XSTREAM_LAST), last) < 0) {
        (void)put_fact(writer, XSTREAM_LAST, last, 0);
    }
}

static void count_removed(struct elements_writer *writer, uint64_t count) {
    struct xstream_name name;
    struct xstream_cursor cursor;
    char value[VARINT_BYTES_MAX];
    xstream_name_begin(&name, XSTREAM_REMOVED);
    xstream_name_add_ref(&name, own_ref(writer->store));
    if (xstream_find_name(xstream_of_writer(writer), &name, &cursor)) {
        add(&count, xstream_count_take(xstream_value(&cursor)));
    }
    (void)xstream_put(writer, &name, slice_make(value, xstream_count_put(value, count)));
}

uint64_t xstream_delete(struct elements_writer *writer, const struct xstream_id *ids,
                        size_t count) {
    struct xstream_id greatest = XSTREAM_ID_MIN;
    struct xstream_id last = xstream_greatest(xstream_of_writer(writer), XSTREAM_ENTRY);
    uint64_t removed = 0;
    for (size_t i = 0; i < count; i++) {
        if (xstream_id_compare(ids[i], last) == 0) {
            keep_last_id(writer);
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct xstream_cursor cursor;
        struct xstream_name name;
        xstream_name_begin(&name, XSTREAM_ENTRY);
        xstream_name_add_id(&name, ids[i]);
        if (!xstream_find_name(xstream_of_writer(writer), &name, &cursor)) {
            continue;
        }
        (void)sequence_write_remove(writer, &cursor.at);
        greatest = xstream_id_compare(ids[i], greatest) > 0 ? ids[i] : greatest;
        removed++;
    }
    if (removed > 0) {
        if (xstream_id_compare(greatest,
                               xstream_greatest(xstream_of_writer(writer), XSTREAM_DELETED)) > 0) {
            (void)put_fact(writer, XSTREAM_DELETED, greatest, 0);
        }
        count_removed(writer, removed);
    }
    return removed;
}

/* ---- trimming ---- */

/* The rank of the first entry with that id or a greater one; entries are behind all else. */
static uint64_t rank_of(const struct ordered_map *map, struct xstream_id id) {
    struct ordered_map_cursor cursor;
    struct xstream_name name;
    xstream_name_begin(&name, XSTREAM_ENTRY);
    xstream_name_add_id(&name, id);
    return ordered_map_lower_bound(map, xstream_name_slice(&name), &cursor)
               ? ordered_map_rank(map, &cursor)
               : ordered_map_count(map);
}

/* How many of the oldest entries may go. */
static uint64_t count_exact(struct xstream_view view, const struct xstream_trim *trim) {
    uint64_t length = xstream_length(view);
    if (length == 0) {
        return 0;
    }
    const struct ordered_map *map = view.collection->map;
    uint64_t stay = trim->by == XSTREAM_TRIM_LENGTH
                        ? trim->length_max
                        : ordered_map_count(map) - rank_of(map, trim->id_min);
    return length > stay ? length - stay : 0;
}

/* The walk of count_rough(). */
struct node_walk {
    const struct ordered_map *map;
    struct store_packing node;
    struct ordered_map_cursor at; /* on the first entry of a node */
    bool is_there;
    uint64_t rank;
};

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Passes over a node of `entries_max` entries (0: any number), of which the first `left` may go;
 * returns how many it has, or 0 when some of them stay. */
static uint64_t pass_node(struct xstream_view view, struct node_walk *walk, uint64_t entries_max,
                          uint64_t left) {
    struct entry_scratch scratch;
    uint64_t bytes = 0, passed = 0, bytes_end = walk->node.bytes_max;
    uint64_t looks = entries_max > 0 ? least(entries_max, left) : left;
    /* Mostly entries are so small that it is their number that makes the node full. Their names
     * count as the first one: it is about as long as the others. */
    uint64_t name_bytes = walk->at.element.name.size;
    if (bytes_end == 0 || looks < bytes_end / name_bytes) {
        walk->is_there = ordered_map_skip(walk->map, &walk->at, looks, &bytes);
        if (bytes_end == 0 || (bytes < bytes_end && bytes + looks * name_bytes < bytes_end)) {
            return looks == entries_max || !walk->is_there ? looks : 0;
        }
        walk->is_there = ordered_map_at(walk->map, walk->rank, &walk->at);
    }
    for (bytes = 0; walk->is_there && passed < looks; passed++) {
        bytes += walk->at.element.name.size + value_at(view, &walk->at, &scratch).size;
        walk->is_there = ordered_map_next(walk->map, &walk->at);
        if (bytes >= bytes_end) {
            return passed + 1;
        }
    }
    return looks == entries_max || !walk->is_there ? looks : 0;
}

/* As count_exact(), but whole nodes, as the options about nodes have them. The first one is what
 * trimming has left of it. */
static uint64_t count_rough(struct xstream_view view, const struct xstream_trim *trim) {
    uint64_t may_go = count_exact(view, trim), taken = 0;
    struct node_walk walk = {.node = view.store->packing[VALUE_STREAM]};
    if (trim->limit > 0) {
        may_go = least(may_go, trim->limit);
    }
    if (may_go == 0) {
        return 0;
    }
    uint64_t entries_max = walk.node.entries_max, first_max = entries_max;
    if (entries_max > 0) {
        first_max -= trimmed_count(view) % entries_max;
    }
    walk.map = view.collection->map;
    walk.rank = rank_of(walk.map, XSTREAM_ID_MIN);
    walk.is_there = ordered_map_at(walk.map, walk.rank, &walk.at);
    while (walk.is_there && taken < may_go) {
        uint64_t passed =
            pass_node(view, &walk, taken == 0 ? first_max : entries_max, may_go - taken);
        if (passed == 0) {
            break;
        }
        taken += passed;
        walk.rank += passed;
    }
    return taken;
}

static void note_trimmed(struct elements_writer *writer, struct xstream_id id, uint64_t count) {
    struct xstream_cursor cursor;
    if (seek_last_of(xstream_of_writer(writer), XSTREAM_TRIMMED, &cursor)) {
        id = xstream_id_compare(id, cursor.name.id) > 0 ? id : cursor.name.id;
        add(&count, xstream_count_take(xstream_value(&cursor)));
    }
    (void)put_fact(writer, XSTREAM_TRIMMED, id, count);
}

uint64_t xstream_trim(struct elements_writer *writer, const struct xstream_trim *trim) {
    struct xstream_view view = xstream_of_writer(writer);
    uint64_t count = trim->is_rough ? count_rough(view, trim) : count_exact(view, trim);
    if (count == 0) {
        return 0;
    }
    struct xstream_cursor cursor, last;
    if (count == xstream_length(view)) {
        keep_last_id(writer);
        view = xstream_of_writer(writer);
    }
    bool is_there = xstream_seek(view, XSTREAM_ID_MIN, &cursor);
    ensure(is_there);
    const struct ordered_map *map = view.collection->map;
    walk_over(&last, view, &cursor.prefix);
    is_there = is_here(
        &last, ordered_map_at(map, ordered_map_rank(map, &cursor.at) + count - 1, &last.at));
    ensure(is_there);
    struct xstream_id trimmed = last.name.id;
    (void)sequence_write_remove_range(writer, &cursor.at, count);
    note_trimmed(writer, trimmed, count);
    return count;
}

enum store_status xstream_set_facts(struct elements_writer *writer,
                                    const struct xstream_new_facts *facts) {
    enum store_status status = put_fact(writer, XSTREAM_LAST, facts->last_id, 0);
    if (status == STORE_OK && facts->has_deleted_id_max) {
        status = put_fact(writer, XSTREAM_DELETED, facts->deleted_id_max, 0);
    }
    if (status == STORE_OK && facts->has_entries_added) {
        uint64_t length = xstream_length(xstream_of_writer(writer));
        struct xstream_name removed;
        require(facts->entries_added >= length);
        xstream_name_begin(&removed, XSTREAM_REMOVED);
        (void)xstream_remove_all(writer, &removed, NULL);
        status = put_fact(writer, XSTREAM_TRIMMED, XSTREAM_ID_MIN, facts->entries_added - length);
    }
    return status;
}
