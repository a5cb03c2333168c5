/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/sorted_set.h"

#include <math.h>

#include "base/check.h"
#include "base/prefetch.h"
#include "store/elements_internal.h"
#include "store/mutate.h"
#include "store/prefetch.h"

/* ---- packed ---- */

/* Counts the packed members before the first that `is_at_end` accepts. */
typedef bool (*packed_end_fn)(const struct packed_element *element, const void *udata);

static uint64_t packed_rank(const struct elements *elements, packed_end_fn is_at_end,
                            const void *udata) {
    struct packed_reader reader;
    struct packed_element element;
    uint64_t rank = 0;
    if (elements->packed.size == 0) {
        return 0;
    }
    packed_reader_init(&reader, elements->packed);
    while (packed_next(&reader, &element) && !is_at_end(&element, udata)) {
        rank++;
    }
    return rank;
}

struct score_end {
    double score;
    enum order_side side;
};

static bool is_score_end(const struct packed_element *element, const void *udata) {
    const struct score_end *end = (const struct score_end *)udata;
    return end->side == ORDER_AT ? element->score >= end->score : element->score > end->score;
}

struct name_end {
    struct slice name;
    enum order_side side;
};

static bool is_name_end(const struct packed_element *element, const void *udata) {
    const struct name_end *end = (const struct name_end *)udata;
    int order = slice_compare(element->name, end->name);
    return end->side == ORDER_AT ? order >= 0 : order > 0;
}

/* ---- ranges ---- */

/* How many members lie before that side of `score`. */
static uint64_t score_rank(const struct elements *elements, double score, enum order_side side) {
    if (elements->collection != NULL) {
        return order_tree_seek_score(collection_order(elements->collection), score, side).rank;
    }
    struct score_end end = {.score = score, .side = side};
    return packed_rank(elements, is_score_end, &end);
}

struct rank_range sorted_set_by_score(const struct elements *elements,
                                      const struct score_range *range) {
    require(!isnan(range->min) && !isnan(range->max));
    return (struct rank_range){
        .from = score_rank(elements, range->min, range->is_min_exclusive ? ORDER_AFTER : ORDER_AT),
        .to = score_rank(elements, range->max, range->is_max_exclusive ? ORDER_AT : ORDER_AFTER)};
}

static uint64_t name_rank(const struct elements *elements, struct slice name, enum name_limit limit,
                          enum order_side side) {
    struct name_end end = {.name = name, .side = side};
    if (limit == NAME_LOWEST || elements->count == 0) {
        return 0;
    }
    if (limit == NAME_HIGHEST) {
        return elements->count;
    }
    if (elements->collection != NULL) {
        return order_tree_seek_name(collection_order(elements->collection), name, side).rank;
    }
    return packed_rank(elements, is_name_end, &end);
}

struct rank_range sorted_set_by_name(const struct elements *elements,
                                     const struct name_range *range) {
    return (struct rank_range){
        .from = name_rank(elements, range->min, range->min_limit,
                          range->min_limit == NAME_EXCLUSIVE ? ORDER_AFTER : ORDER_AT),
        .to = name_rank(elements, range->max, range->max_limit,
                        range->max_limit == NAME_EXCLUSIVE ? ORDER_AT : ORDER_AFTER)};
}

bool sorted_set_rank(const struct store *store, const struct elements *elements, struct slice name,
                     uint64_t *rank, double *score) {
    if (elements->collection != NULL) {
        struct element element;
        if (!elements_find(store, elements, name, &element)) {
            return false;
        }
        *score = element.score;
        return order_tree_rank(collection_order(elements->collection), element.score, name, rank);
    }
    struct packed_reader reader;
    struct packed_element element;
    if (elements->packed.size == 0) {
        return false;
    }
    packed_reader_init(&reader, elements->packed);
    for (*rank = 0; packed_next(&reader, &element); *rank += 1) {
        if (slice_equal(element.name, name)) {
            *score = element.score;
            return true;
        }
    }
    return false;
}

/* ---- walking ---- */

/* Puts the reader before the first packed member of the range; going backward, notes where all of
 * them are. */
static void walk_begin_packed(struct sorted_set_walk *walk) {
    struct packed_element element;
    packed_reader_init(&walk->reader, walk->packed);
    require(walk->reader.count <= COLLECTION_PACKED_MAX);
    uint64_t skipped = walk->is_backward ? walk->range.to : walk->range.from;
    for (uint64_t rank = 0; rank < skipped; rank++) {
        walk->offsets[rank] = (uint32_t)walk->reader.at;
        (void)packed_next(&walk->reader, &element);
    }
}

void sorted_set_walk_init(struct sorted_set_walk *walk, const struct elements *elements,
                          struct rank_range range, bool is_backward) {
    walk->range = range;
    walk->range.to = range.to < elements->count ? range.to : elements->count;
    walk->is_backward = is_backward;
    walk->collection = elements->collection;
    walk->packed = elements->packed;
    if (rank_range_count(walk->range) == 0) {
        walk->range = (struct rank_range){0};
    } else if (walk->collection == NULL) {
        walk_begin_packed(walk);
    } else {
        walk->cursor = order_tree_seek_rank(collection_order(walk->collection),
                                            is_backward ? walk->range.to - 1 : walk->range.from);
    }
}

static void walk_next_packed(struct sorted_set_walk *walk, struct slice *name, double *score) {
    struct packed_element element;
    if (walk->is_backward) {
        walk->reader.at = walk->offsets[walk->range.to - 1];
    }
    bool is_there = packed_next(&walk->reader, &element);
    ensure(is_there);
    *name = element.name;
    *score = element.score;
}

bool sorted_set_walk_next(struct sorted_set_walk *walk, struct slice *name, double *score) {
    if (walk->range.from >= walk->range.to) {
        return false;
    }
    if (walk->collection == NULL) {
        walk_next_packed(walk, name, score);
    } else {
        ensure(walk->cursor.pair != NULL);
        *name = entry_key((const struct entry *)walk->cursor.pair->item);
        *score = walk->cursor.pair->score;
        if (walk->range.to - walk->range.from == 1) {
            /* The cursor need not go on. */
        } else if (walk->is_backward) {
            (void)order_cursor_previous(&walk->cursor);
        } else {
            order_cursor_next(&walk->cursor);
        }
    }
    walk->range.from += !walk->is_backward;
    walk->range.to -= walk->is_backward;
    return true;
}

void sorted_set_at(const struct elements *elements, uint64_t rank, struct slice *name,
                   double *score) {
    require(rank < elements->count);
    if (elements->collection != NULL) {
        const struct order_pair *pair = order_tree_at(collection_order(elements->collection), rank);
        *name = entry_key((const struct entry *)pair->item);
        *score = pair->score;
        return;
    }
    struct packed_reader reader;
    struct packed_element element;
    packed_reader_init(&reader, elements->packed);
    for (uint64_t i = 0; packed_next(&reader, &element) && i < rank; i++) {
    }
    *name = element.name;
    *score = element.score;
}

/* ---- removing ---- */

/* Removes them, at least one, from a packed set at once. False, with nothing done: it is not
 * packed, or an expiry would stay behind when the last one has gone. */
static bool remove_packed(struct elements_writer *writer, const struct elements *elements,
                          struct rank_range range, bool is_backward, sorted_set_removed_fn removed,
                          void *udata) {
    struct store *store = writer->store;
    uint64_t *slot = elements->collection == NULL ? elements_writer_slot(writer) : NULL;
    if (slot == NULL || (rank_range_count(range) == elements->count &&
                         elements_leave_expiry(store, table_item(*slot), 1))) {
        return false;
    }
    struct sorted_set_walk walk;
    struct slice name;
    double score;
    struct change change = {.kind = CHANGE_DELETE};
    struct packed_range bytes = {.count = rank_range_count(range)};
    sorted_set_walk_init(&walk, elements, range, is_backward);
    bytes.begin = is_backward ? walk.offsets[range.from] : walk.reader.at;
    bytes.end = walk.reader.at;
    while (sorted_set_walk_next(&walk, &name, &score)) {
        if (removed != NULL) {
            removed(udata, name, score);
        }
        change.stamp = mutate_stamp(store);
        change.element = name;
        elements_record_packed(writer, &change);
    }
    bytes.end = is_backward ? bytes.end : walk.reader.at;
    elements_delete_packed(store, &writer->key, slot, &bytes, change.stamp);
    store->stats.dirty += bytes.count - 1;
    return true;
}

/* Members that are about to go; asked for ahead, since each lies somewhere else. */
struct removal {
    const struct entry *elements[32];
    double scores[32];
    uint64_t hashes[32]; /* of their names */
    unsigned count;
    bool are_plain; /* collection_may_delete_plain() */
};

enum { REMOVAL_MAX = sizeof((struct removal){0}.elements) / sizeof(struct entry *) };

static void removal_look(struct removal *removal, const struct store *store,
                         struct collection *collection, struct rank_range range, bool is_backward) {
    struct order_cursor cursor =
        order_tree_seek_rank(collection_order(collection), is_backward ? range.to - 1 : range.from);
    uint64_t count = rank_range_count(range);
    removal->count = count < REMOVAL_MAX ? (unsigned)count : REMOVAL_MAX;
    for (unsigned i = 0; i < removal->count; i++) {
        ensure(cursor.pair != NULL);
        removal->elements[i] = (const struct entry *)cursor.pair->item;
        removal->scores[i] = cursor.pair->score;
        prefetch_lines(removal->elements[i], 2);
        if (i + 1 < removal->count && is_backward) {
            (void)order_cursor_previous(&cursor);
        } else if (i + 1 < removal->count) {
            order_cursor_next(&cursor);
        }
    }
    removal->are_plain = true;
    for (unsigned i = 0; i < removal->count; i++) {
        const struct entry *element = removal->elements[i];
        removal->hashes[i] = hash_bytes(store->element_seed, entry_key(element));
        removal->are_plain &= collection_may_delete_plain(store, collection, element);
        collection_prefetch_place(collection, &removal->hashes[i]);
    }
}

/* Removes all of them, whose ranks begin with that one, if they are plain: out of the order at
 * once. */
static void remove_plain(struct elements_writer *writer, struct removal *removal, uint64_t rank,
                         sorted_set_removed_fn removed, void *udata) {
    struct store *store = writer->store;
    struct collection *collection = writer->collection;
    uint64_t taken =
        order_tree_remove_ranks(&collection->order, rank, rank + removal->count, NULL, NULL);
    ensure(taken == removal->count);
    for (unsigned i = 0; i < removal->count; i++) {
        struct key place = {.name = entry_key(removal->elements[i]),
                            .hash = removal->hashes[i],
                            .in = collection,
                            .db = writer->key.db};
        uint64_t *slot = mutate_slot(store, &place);
        ensure(slot != NULL);
        if (removed != NULL) {
            removed(udata, place.name, removal->scores[i]);
        }
        collection_delete_unordered(store, &place, slot);
    }
    writer->has_written = true;
}

uint64_t sorted_set_remove(struct elements_writer *writer, struct rank_range range,
                           bool is_backward, sorted_set_removed_fn removed, void *udata) {
    struct elements elements;
    elements_written(writer, &elements);
    range.to = range.to < elements.count ? range.to : elements.count;
    uint64_t count = rank_range_count(range), gone = 0;
    if (count > 0 && remove_packed(writer, &elements, range, is_backward, removed, udata)) {
        return count;
    }
    while (range.from < range.to) {
        struct removal removal;
        struct collection *collection = elements_writer_collection(writer);
        removal_look(&removal, writer->store, collection, range, is_backward);
        if (removal.are_plain) {
            uint64_t rank = is_backward ? range.to - removal.count : range.from;
            remove_plain(writer, &removal, rank, removed, udata);
            gone += removal.count;
            range.to -= removal.count;
            continue;
        }
        for (unsigned i = 0; i < removal.count; i++) {
            struct slice name = entry_key(removal.elements[i]);
            if (removed != NULL) {
                removed(udata, name, removal.scores[i]);
            }
            gone += element_delete(writer, name);
        }
        range.to -= removal.count;
    }
    return gone;
}
