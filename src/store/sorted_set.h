/* SPDX-License-Identifier: BSD-3-Clause */
/* The order of a sorted set, over both of its forms: by rank, by score and by name.
 *
 * Every range is one of ranks, which take O(log n) to find and to begin at, and nothing to count;
 * a packed set is small and is read through. What is read here is valid until the key changes. */
#ifndef STORE_SORTED_SET_H
#define STORE_SORTED_SET_H

#include "store/elements.h"

/* Ranks in [from, to); empty when to is not above from. */
struct rank_range {
    uint64_t from, to;
};

static inline uint64_t rank_range_count(struct rank_range range) {
    return range.to > range.from ? range.to - range.from : 0;
}

struct score_range {
    double min, max; /* no NaN */
    bool is_min_exclusive, is_max_exclusive;
};

enum name_limit { NAME_LOWEST, NAME_INCLUSIVE, NAME_EXCLUSIVE, NAME_HIGHEST };

struct name_range {
    struct slice min, max;
    enum name_limit min_limit, max_limit;
};

struct rank_range sorted_set_by_score(const struct elements *elements,
                                      const struct score_range *range);
/* For a set in which names rise as members do: because all scores are equal, or otherwise. Where
 * they do not, some range. */
struct rank_range sorted_set_by_name(const struct elements *elements,
                                     const struct name_range *range);
/* Rank and score of the member of that name; false when there is none. */
bool sorted_set_rank(const struct store *store, const struct elements *elements, struct slice name,
                     uint64_t *rank, double *score);

/* Going from rank to rank. */
struct sorted_set_walk {
    struct rank_range range; /* what is still to come */
    bool is_backward;
    struct collection *collection;
    struct order_cursor cursor;
    struct slice packed;
    struct packed_reader reader;
    uint32_t offsets[COLLECTION_PACKED_MAX]; /* of packed members, when going backward */
};

/* The members with ranks in `range`, clipped to what is there; the last one first if
 * `is_backward`. */
void sorted_set_walk_init(struct sorted_set_walk *walk, const struct elements *elements,
                          struct rank_range range, bool is_backward);
/* False at the end. */
bool sorted_set_walk_next(struct sorted_set_walk *walk, struct slice *name, double *score);
/* The member at `rank`, which is below the count. */
void sorted_set_at(const struct elements *elements, uint64_t rank, struct slice *name,
                   double *score);

typedef void (*sorted_set_removed_fn)(void *udata, struct slice name, double score);
/* Removes the members with ranks in `range`, clipped, and calls `removed`, unless NULL, for each
 * before it goes, the last one first if `is_backward`. Returns how many there were. */
uint64_t sorted_set_remove(struct elements_writer *writer, struct rank_range range,
                           bool is_backward, sorted_set_removed_fn removed, void *udata);

#endif
