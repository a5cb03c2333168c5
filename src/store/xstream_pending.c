/* SPDX-License-Identifier: BSD-3-Clause */
/* What is pending in the groups of a stream, by consumer.
 *
 * A pending entry is an element named by its group and id, and its value says whose it is: by
 * consumer it is found, and counted, by looking at all of the group. Where that is many, a node
 * keeps an index, collection->pending: for each consumer how much is pending, and, for one who
 * asked, a map of the ids without values. An id takes four to six bytes there, against the twenty
 * and more of the element itself.
 *
 *   group | consumer -> count, ids
 *
 * The index is not data, and lasts no longer than it pays. It is made when a question has looked at
 * store->pending_looks_max elements in vain, and kept up with each change from then on. Ids are
 * forgotten when they changed often and nobody asked again; all is forgotten when little is
 * pending, when all of a group goes, and with the collection. What nobody asks about costs nothing.
 *
 * Invariant, checked by xstream_pending_check(): where there is an index, it counts each pending
 * entry once, for the consumer that is shown, and has its id where it has any of that consumer.
 * But for an element between sequence_promote() and sequence_demote(): so these come in pairs. */
#include <stdlib.h>

#include "store/sequence.h"
#include "store/xstreams.h"
#include "store/xstreams_internal.h"

enum {
    KEPT_PART = 4,       /* forgotten below this part of the looks that it was made for */
    UNUSED_MIN = 1024,   /* ids are kept for so many changes at least, and for so many for */
    UNUSED_FOR_EACH = 4, /* each of them */
    HOPS_MAX = 8,        /* to a pending entry this near it goes step by step */
    IS_CONSUMER = 1,     /* flag of each: the value is the address of a struct consumer */
};

struct consumer {
    uint64_t count;
    struct ordered_map *ids; /* as bytes; NULL: they are not kept */
    uint64_t unused;         /* changes of ids since somebody asked for them */
    size_t label_size;
    char label[]; /* coded */
};

struct xstream_pending_index {
    struct ordered_map *consumers; /* by the coded labels of group and consumer */
    uint64_t count;                /* of all */
};

/* ---- keeping the index ---- */

/* Where the index has an element. */
struct place {
    struct xstream_name consumer; /* the labels of both */
    size_t group_size;            /* of the group's */
    struct slice id;              /* as bytes; lies in the element's name */
};

/* The place of the element of that name and value; false: it is nothing that is pending. */
static bool place_of(struct place *place, struct slice name, struct slice value) {
    struct xstream_name_parts parts;
    struct xstream_pending pending;
    if (name.size == 0 || name.data[0] != XSTREAM_PENDING || !xstream_name_parse(name, &parts)) {
        return false;
    }
    xstream_pending_take(value, &pending);
    place->consumer.size = 0;
    xstream_name_add_label(&place->consumer, parts.group);
    xstream_name_add_label(&place->consumer, pending.consumer);
    place->group_size = parts.group.size;
    place->id = slice_skip(name, 1 + parts.group.size);
    return true;
}

static bool is_same_consumer(const struct place *place, const struct place *other) {
    return slice_equal(xstream_name_slice(&place->consumer), xstream_name_slice(&other->consumer));
}

static struct slice shown_value(const struct store *store, struct collection *collection,
                                const struct ordered_map_cursor *cursor,
                                struct entry_scratch *scratch) {
    return cursor->element.flags == 0
               ? cursor->element.value
               : entry_value(sequence_intricate(store, collection, cursor), scratch);
}

static struct consumer *consumer_of(struct slice value) {
    struct consumer *consumer;
    require(value.size == sizeof(consumer));
    memcpy(&consumer, value.data, sizeof(consumer));
    return consumer;
}

static void forget_ids(struct consumer *consumer) {
    ordered_map_free(&consumer->ids, NULL, NULL);
}

/* The ids are about to change; they may be forgotten. */
static void before_ids(struct consumer *consumer) {
    if (++consumer->unused > UNUSED_MIN + UNUSED_FOR_EACH * consumer->count) {
        forget_ids(consumer);
    }
}

/* Adds an id, mostly behind all others. */
static void add_id(struct consumer *consumer, struct slice id) {
    struct ordered_map_cursor last;
    struct ordered_map_element element = {.name = id, .value = slice_make("", 0)};
    bool is_last =
        ordered_map_last(consumer->ids, &last) && slice_compare(last.element.name, id) < 0;
    bool is_done = is_last ? ordered_map_push(&consumer->ids, &last, false, &element)
                           : ordered_map_insert(&consumer->ids, &element);
    ensure(is_done); /* it has no block of its own */
}

static void take_id_out(struct consumer *consumer, struct slice id) {
    struct ordered_map_cursor cursor;
    bool is_there = ordered_map_find(consumer->ids, id, &cursor);
    ensure(is_there);
    (void)ordered_map_remove(&consumer->ids, &cursor);
}

static struct consumer *find_consumer(const struct xstream_pending_index *index,
                                      const struct xstream_name *name,
                                      struct ordered_map_cursor *cursor) {
    return ordered_map_find(index->consumers, xstream_name_slice(name), cursor)
               ? consumer_of(cursor->element.value)
               : NULL;
}

static struct consumer *add_consumer(struct xstream_pending_index *index,
                                     const struct place *place) {
    struct slice label = slice_skip(xstream_name_slice(&place->consumer), place->group_size);
    struct consumer *consumer = memory_alloc_zero(sizeof(*consumer) + label.size);
    consumer->label_size = label.size;
    memcpy(consumer->label, label.data, label.size);
    struct ordered_map_element element = {
        .name = xstream_name_slice(&place->consumer),
        .flags = IS_CONSUMER,
        .value = slice_make((const char *)&consumer, sizeof(consumer))};
    bool is_done = ordered_map_insert(&index->consumers, &element);
    ensure(is_done); /* it has no block of its own */
    return consumer;
}

static void count_one(struct xstream_pending_index *index, struct consumer *consumer) {
    consumer->count++;
    index->count++;
}

static struct consumer *need_consumer(struct xstream_pending_index *index,
                                      const struct place *place) {
    struct ordered_map_cursor cursor;
    struct consumer *consumer = find_consumer(index, &place->consumer, &cursor);
    return consumer != NULL ? consumer : add_consumer(index, place);
}

static void add(struct xstream_pending_index *index, const struct place *place) {
    struct consumer *consumer = need_consumer(index, place);
    if (consumer->ids != NULL) {
        before_ids(consumer);
    }
    if (consumer->ids != NULL) {
        add_id(consumer, place->id);
    }
    count_one(index, consumer);
}

static void take_out(struct xstream_pending_index *index, const struct place *place) {
    struct ordered_map_cursor cursor;
    struct consumer *consumer = find_consumer(index, &place->consumer, &cursor);
    ensure(consumer != NULL);
    ensure(consumer->count > 0);
    if (consumer->ids != NULL) {
        before_ids(consumer);
    }
    if (consumer->ids != NULL) {
        take_id_out(consumer, place->id);
    }
    consumer->count--;
    index->count--;
    if (consumer->count == 0) {
        (void)ordered_map_remove(&index->consumers, &cursor);
        memory_free(consumer);
    }
}

void xstream_pending_begin(struct collection *collection) {
    collection->pending = memory_alloc_zero(sizeof(*collection->pending));
}

void xstream_pending_note(struct collection *collection, struct slice name, struct slice value) {
    struct place place;
    if (collection->pending != NULL && place_of(&place, name, value)) {
        add(collection->pending, &place);
    }
}

void xstream_pending_forget(const struct store *store, struct collection *collection,
                            const struct ordered_map_cursor *cursor) {
    struct place place;
    struct entry_scratch scratch;
    if (collection->pending == NULL ||
        !place_of(&place, cursor->element.name, shown_value(store, collection, cursor, &scratch))) {
        return;
    }
    take_out(collection->pending, &place);
    if (collection->pending->count < store->pending_looks_max / KEPT_PART) {
        xstream_pending_drop(collection);
    }
}

void xstream_pending_change(struct collection *collection, const struct ordered_map_cursor *cursor,
                            struct slice value) {
    struct place from, to;
    if (collection->pending != NULL &&
        place_of(&from, cursor->element.name, cursor->element.value) &&
        place_of(&to, cursor->element.name, value) && !is_same_consumer(&from, &to)) {
        take_out(collection->pending, &from);
        add(collection->pending, &to);
    }
}

static void free_visit(const struct ordered_map_element *element, void *udata) {
    struct consumer *consumer = consumer_of(element->value);
    (void)udata;
    forget_ids(consumer);
    memory_free(consumer);
}

static void free_index(struct xstream_pending_index *index) {
    if (index != NULL) {
        ordered_map_free(&index->consumers, free_visit, NULL);
        memory_free(index);
    }
}

void xstream_pending_drop(struct collection *collection) {
    free_index(collection->pending);
    collection->pending = NULL;
}

/* Calls `each` for all elements with that prefix that are pending, with their consumers. */
static void each_pending(struct xstream_view view, const struct xstream_name *prefix,
                         struct xstream_pending_index *index,
                         void (*each)(struct xstream_pending_index *index,
                                      struct consumer *consumer, const struct place *place)) {
    struct xstream_cursor cursor;
    struct place places[2];
    struct consumer *consumer = NULL;
    unsigned at = 0;
    for (bool is_there = xstream_seek_first(view, prefix, &cursor); is_there;
         is_there = xstream_next(&cursor)) {
        bool is_pending = place_of(&places[at], cursor.at.element.name, xstream_value(&cursor));
        ensure(is_pending);
        /* Neighbours often belong to one. */
        if (consumer == NULL || !is_same_consumer(&places[at], &places[1 - at])) {
            consumer = need_consumer(index, &places[at]);
        }
        each(index, consumer, &places[at]);
        at = 1 - at;
    }
}

static void each_counts(struct xstream_pending_index *index, struct consumer *consumer,
                        const struct place *place) {
    (void)place;
    count_one(index, consumer);
}

/* The index as it should be, without ids. */
static struct xstream_pending_index *make_index(struct xstream_view view) {
    struct xstream_pending_index *index = memory_alloc_zero(sizeof(*index));
    struct xstream_name prefix;
    xstream_name_begin(&prefix, XSTREAM_PENDING);
    each_pending(view, &prefix, index, each_counts);
    return index;
}

static void need_index(struct xstream_view view) {
    if (view.collection->pending == NULL) {
        view.collection->pending = make_index(view);
    }
}

/* Is the cursor on a consumer of the group with that label? */
static bool is_of_group(const struct ordered_map_cursor *cursor, struct slice group) {
    return cursor->element.name.size > group.size &&
           memcmp(cursor->element.name.data, group.data, group.size) == 0;
}

static void each_adds_id(struct xstream_pending_index *index, struct consumer *consumer,
                         const struct place *place) {
    (void)index;
    add_id(consumer, place->id);
}

/* Gathers the ids of all consumers of the group: if one asks, others mostly do, and it is as much
 * to look at. */
static void make_ids(struct xstream_view view, const struct xstream_label *group) {
    struct xstream_pending_index *index = view.collection->pending;
    struct ordered_map_cursor cursor;
    struct slice label = xstream_label_slice(group);
    struct xstream_name prefix;
    for (bool is_there = ordered_map_lower_bound(index->consumers, label, &cursor);
         is_there && is_of_group(&cursor, label);
         is_there = ordered_map_next(index->consumers, &cursor)) {
        struct consumer *consumer = consumer_of(cursor.element.value);
        forget_ids(consumer);
        consumer->unused = 0;
    }
    xstream_name_of_group(&prefix, XSTREAM_PENDING, group);
    each_pending(view, &prefix, index, each_adds_id);
}

/* ---- walking over what is pending for a consumer ---- */

/* The index is at an id, or not: goes to the pending entry of it. */
static bool follow_index(struct xstream_owned *owned, bool is_there) {
    struct xstream_cursor *cursor = &owned->cursor;
    struct xstream_id id;
    if (!is_there) {
        return false;
    }
    bool is_id = xstream_id_take(owned->at.element.name, &id);
    ensure(is_id);
    for (unsigned hops = 0; hops < HOPS_MAX && xstream_id_compare(cursor->name.id, id) < 0;
         hops++) {
        is_there = xstream_next(cursor);
        ensure(is_there); /* that of the id is there */
    }
    if (xstream_id_compare(cursor->name.id, id) != 0) {
        is_there = xstream_seek_pending(cursor->view, owned->group, id, cursor);
        ensure(is_there);
        ensure(xstream_id_compare(cursor->name.id, id) == 0);
    }
    xstream_pending_take(xstream_value(cursor), &owned->pending);
    return true;
}

/* The consumer in the index; NULL: nothing is pending for it. */
static struct consumer *find_labels(const struct xstream_pending_index *index,
                                    const struct xstream_label *group, struct slice consumer) {
    struct xstream_name name;
    struct ordered_map_cursor cursor;
    name.size = 0;
    xstream_name_add_label(&name, xstream_label_slice(group));
    xstream_name_add_label(&name, consumer);
    return find_consumer(index, &name, &cursor);
}

static struct consumer *owner(const struct xstream_owned *owned) {
    return find_labels(owned->cursor.view.collection->pending, owned->group, owned->consumer);
}

/* Goes to the first of the consumer's ids that is that of the entry at the cursor or greater. */
static bool seek_in_ids(struct xstream_owned *owned, struct consumer *consumer) {
    struct xstream_name name;
    name.size = 0;
    consumer->unused = 0;
    owned->ids = consumer->ids;
    xstream_name_add_id(&name, owned->cursor.name.id);
    return follow_index(owned,
                        ordered_map_lower_bound(owned->ids, xstream_name_slice(&name), &owned->at));
}

/* So many entries of others were looked at that the consumer's ids are made. */
static bool seek_by_index(struct xstream_owned *owned) {
    need_index(owned->cursor.view);
    struct consumer *consumer = owner(owned);
    if (consumer == NULL) {
        return false;
    }
    if (consumer->ids == NULL) {
        make_ids(owned->cursor.view, owned->group);
    }
    return seek_in_ids(owned, consumer);
}

/* Goes on to an entry of the consumer's; `is_there`: the cursor is on one of the group. */
static bool find_owned(struct xstream_owned *owned, bool is_there) {
    struct xstream_cursor *cursor = &owned->cursor;
    for (; is_there; is_there = xstream_next(cursor)) {
        xstream_pending_take(xstream_value(cursor), &owned->pending);
        if (slice_equal(owned->pending.consumer, owned->consumer)) {
            return true;
        }
        if (owned->looks++ == cursor->view.store->pending_looks_max) {
            return seek_by_index(owned);
        }
    }
    return false;
}

bool xstream_owned_begin(struct xstream_view view, const struct xstream_label *group,
                         const struct xstream_label *consumer, struct xstream_id id,
                         struct xstream_owned *owned) {
    owned->group = group;
    owned->consumer = xstream_label_slice(consumer);
    owned->looks = 0;
    owned->ids = NULL;
    if (!xstream_seek_pending(view, group, id, &owned->cursor)) {
        return false;
    }
    if (view.collection->pending != NULL) {
        struct consumer *consumer = owner(owned);
        if (consumer == NULL || consumer->ids != NULL) {
            return consumer != NULL && seek_in_ids(owned, consumer);
        }
    }
    return find_owned(owned, true);
}

bool xstream_owned_next(struct xstream_owned *owned) {
    return owned->ids != NULL ? follow_index(owned, ordered_map_next(owned->ids, &owned->at))
                              : find_owned(owned, xstream_next(&owned->cursor));
}

void xstream_owned_forget(struct collection *collection, const struct xstream_label *group,
                          const struct xstream_label *consumer) {
    if (collection->pending != NULL) {
        struct consumer *found =
            find_labels(collection->pending, group, xstream_label_slice(consumer));
        if (found != NULL) {
            forget_ids(found);
        }
    }
}

/* ---- how much is pending for each ---- */

static int compare_shares(const void *a, const void *b) {
    return slice_compare(((const struct xstream_share *)a)->consumer,
                         ((const struct xstream_share *)b)->consumer);
}

/* Sorts them, and makes those of one consumer one. */
static void join_shares(struct buffer *shares) {
    struct xstream_share *all = (struct xstream_share *)(void *)shares->data;
    size_t count = shares->size / sizeof(*all), joined = 0;
    qsort(all, count, sizeof(*all), compare_shares);
    for (size_t i = 0; i < count; i++) {
        if (joined > 0 && slice_equal(all[joined - 1].consumer, all[i].consumer)) {
            all[joined - 1].count += all[i].count;
        } else {
            all[joined++] = all[i];
        }
    }
    shares->size = joined * sizeof(*all);
}

/* Counts entry by entry; false: they are too many for that. */
static bool count_each(struct xstream_view view, const struct xstream_label *group,
                       struct buffer *shares) {
    struct xstream_cursor cursor;
    struct xstream_share run = {0};
    uint64_t looks = 0;
    for (bool is_there = xstream_seek_pending(view, group, XSTREAM_ID_MIN, &cursor); is_there;
         is_there = xstream_next(&cursor)) {
        struct xstream_pending pending;
        if (looks++ == view.store->pending_looks_max) {
            return false;
        }
        xstream_pending_take(xstream_value(&cursor), &pending);
        /* Neighbours often belong to one consumer. */
        if (run.count > 0 && slice_equal(run.consumer, pending.consumer)) {
            run.count++;
            continue;
        }
        if (run.count > 0) {
            buffer_append(shares, &run, sizeof(run));
        }
        run = (struct xstream_share){.consumer = pending.consumer, .count = 1};
    }
    if (run.count > 0) {
        buffer_append(shares, &run, sizeof(run));
        join_shares(shares);
    }
    return true;
}

static void count_by_index(const struct xstream_pending_index *index,
                           const struct xstream_label *group, struct buffer *shares) {
    struct ordered_map_cursor cursor;
    struct slice prefix = xstream_label_slice(group);
    for (bool is_there = ordered_map_lower_bound(index->consumers, prefix, &cursor);
         is_there && is_of_group(&cursor, prefix);
         is_there = ordered_map_next(index->consumers, &cursor)) {
        const struct consumer *consumer = consumer_of(cursor.element.value);
        struct xstream_share share = {.consumer = slice_make(consumer->label, consumer->label_size),
                                      .count = consumer->count};
        buffer_append(shares, &share, sizeof(share));
    }
}

size_t xstream_shares(struct xstream_view view, const struct xstream_label *group,
                      struct buffer *shares) {
    if (view.collection == NULL) {
        return 0;
    }
    if (view.collection->pending != NULL || !count_each(view, group, shares)) {
        buffer_clear(shares);
        need_index(view);
        count_by_index(view.collection->pending, group, shares);
    }
    return shares->size / sizeof(struct xstream_share);
}

/* ---- introspection ---- */

uint64_t xstream_pending_memory_bytes(const struct collection *collection) {
    const struct xstream_pending_index *index = collection->pending;
    struct ordered_map_cursor cursor;
    if (index == NULL) {
        return 0;
    }
    uint64_t bytes = sizeof(*index) + ordered_map_memory_bytes(index->consumers);
    for (bool is_there = ordered_map_first(index->consumers, &cursor); is_there;
         is_there = ordered_map_next(index->consumers, &cursor)) {
        const struct consumer *consumer = consumer_of(cursor.element.value);
        bytes += sizeof(*consumer) + consumer->label_size + ordered_map_memory_bytes(consumer->ids);
    }
    return bytes;
}

static void check_consumers(const struct xstream_pending_index *index,
                            const struct xstream_pending_index *expected) {
    struct ordered_map_cursor here, there;
    ordered_map_check(index->consumers);
    require(index->count == expected->count);
    require(ordered_map_count(index->consumers) == ordered_map_count(expected->consumers));
    bool is_there = ordered_map_first(expected->consumers, &there);
    for (bool is_here = ordered_map_first(index->consumers, &here); is_here;
         is_here = ordered_map_next(index->consumers, &here)) {
        require(is_there);
        require(slice_equal(here.element.name, there.element.name));
        const struct consumer *consumer = consumer_of(here.element.value);
        require(consumer->count == consumer_of(there.element.value)->count);
        if (consumer->ids != NULL) {
            ordered_map_check(consumer->ids);
            require(ordered_map_count(consumer->ids) == consumer->count);
        }
        is_there = ordered_map_next(expected->consumers, &there);
    }
}

/* Each pending entry has its id where its consumer has any: since counts are equal, these are all.
 */
static void check_ids(struct xstream_view view) {
    struct xstream_cursor cursor;
    struct ordered_map_cursor at;
    struct xstream_name prefix;
    struct place place;
    xstream_name_begin(&prefix, XSTREAM_PENDING);
    for (bool is_there = xstream_seek_first(view, &prefix, &cursor); is_there;
         is_there = xstream_next(&cursor)) {
        (void)place_of(&place, cursor.at.element.name, xstream_value(&cursor));
        const struct consumer *consumer =
            find_consumer(view.collection->pending, &place.consumer, &at);
        require(consumer != NULL);
        require(consumer->ids == NULL || ordered_map_find(consumer->ids, place.id, &at));
    }
}

void xstream_pending_check(const struct store *store, const struct collection *collection) {
    struct xstream_view view = {.store = store,
                                .collection = (struct collection *)(uintptr_t)collection};
    if (collection->pending != NULL) {
        struct xstream_pending_index *expected = make_index(view);
        check_consumers(collection->pending, expected);
        free_index(expected);
        check_ids(view);
    }
}
