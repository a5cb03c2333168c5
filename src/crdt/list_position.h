/* SPDX-License-Identifier: BSD-3-Clause */
/* List positions: the names of list elements, whose order as bytes is the order of the list.
 *
 * A list is an OR-Map from positions to registers. Between any two positions there is room for
 * another one, so elements never move, and concurrent insertions merge by themselves. Two elements
 * never have the same position, and what one replica inserts in a row stays in a row: concurrent
 * runs do not interleave (Weidner and Kleppmann, "The Art of the Fugue", 2023; the names follow
 * Weidner's position strings, with runs that grow at both ends).
 *
 * The idea: a run is what one replica inserts one after the other. It is named by its replica's ref
 * and its first ticks, and its elements by an index: 0, then 1, 2, ... to the right and -1, -2, ...
 * to the left. Runs form a tree: one begins at the root, or between two positions, beside an
 * element of another run. A position is the path to an element.
 *
 *   position: root | index | { child | index }
 *   root      56 bits, big endian: 10 and ticks (a run at the right end), or 01 and inverted ticks
 * (at the left end); then the ref, 8 bytes child     byte: bits 6-7 01 right of the position
 * before, 10 left of the next index; bit 5 the ref is that of the run around; bits 2-4 how many
 * bytes of ticks follow (1 to 7) ticks since the first ones of the run around, modulo 2^54, big
 * endian | ref, unless bit 5 index     0x80 to 0xBF: 0 to 63. 0xC0 to 0xDF and a byte: 13 bits,
 * plus 64. 0xE2 to 0xE7: the number in the 2 to 7 bytes that follow. Negative ones are the
 * complement of the bytes of -1 - index.
 *
 * So the order of a run is: what hangs left of an element, the element, what hangs right of it, the
 * next element; and the next position of a run is the one before, its last bytes read as a number,
 * plus 1, but where the index becomes longer. A position at an end of the list is 16 to 18 bytes
 * long for the first 65,536 elements of its run.
 *
 * Where a new position goes, between the visible neighbours `left` and `right`:
 *   1. left is in a run of this replica, at index 0 or more: the next unused index of the run to
 * the right, if that is before `right`.
 *   2. right is in a run of this replica, at index 0 or less: likewise to the left.
 *   3. at an end of the list: a new run at the root. Its ticks are greater than all that this
 * replica has seen, so it lies outermost. (If they are not, by somebody's mistake, rule 4.)
 *   4. a new run left of `right`, if right descends from left (that is: lies in what hangs right of
 *      it, or later in the same run), or if right is this replica's and left is not; else right of
 *      `left`.
 * So pushing at the ends never makes positions longer, whatever is popped and whoever pushes; only
 * insertions in the middle, again and again between the last two, add 4 to 14 bytes for each level.
 *
 * Positions are unique. A run's name is: its ticks are this replica's, and it uses them once.
 * Within a run, an index is used once, even if its element is gone: another node may still show it,
 * set it, or hang something beside it, and a new element at the same place would share its register
 * with a concurrent LSET of the old one: the greater stamp would hide an element that was never
 * removed. No state is needed to know what is unused, since each position costs a tick: after t
 * ticks all indexes of a run lie within -t .. t. So the index t + 1, taken at the next tick, is new
 * (I1). A table of recent runs, whose loss costs bytes and nothing else, lets a run go on with the
 * next index instead. Therefore ticks must never repeat in the life of a replica, across restarts
 * included, as stamps demand anyway.
 *
 * Runs stay in a row. Let p be an element of replica A, e the next one, which A put right behind
 * it, and f one of another replica that knew neither p nor e. By rule 1, p = (run, i) and e = (run,
 * k) with 0 <= i < k. What lies between them hangs right of (run, q) for some i <= q < k, or left
 * of (run, q + 1); so its writer knew an element of the run that is p, or came after p, or is e: f
 * is not there. By rule 4, e hangs right of p and what lies between hangs there, too, by writers
 * who knew p; or e hangs left of what descends from p, and all between descends from p as well.
 * Leftwards rule 2 is the mirror image, with 0 >= i > k. Indexes that were skipped, since their
 * elements are gone, change nothing in the argument; this is why rule 1 wants i >= 0: what lies on
 * the other side of 0 may be older than p. What remains without that promise is a turn: elements
 * put before own ones, these removed, and others appended at the list's end, which begins a new run
 * at the root.
 *
 * One table for each replica; one thread at a time. */
#ifndef CRDT_LIST_POSITION_H
#define CRDT_LIST_POSITION_H

#include <stdbool.h>

#include "base/slice.h"
#include "crdt/stamp.h"

enum {
    LIST_POSITION_BYTES_MAX = 1024,
    LIST_POSITION_RUNS_COUNT = 1024, /* recent runs that are remembered */
};

enum list_position_status {
    LIST_POSITION_OK,
    /* Some hundred insertions went between the last two each time, and the position would be longer
     * than LIST_POSITION_BYTES_MAX (or a neighbour from outside has an index at the very end). The
     * client gets an error, or the list other positions. */
    LIST_POSITION_TOO_LONG,
};

/* What this replica knows of its runs. */
struct list_positions {
    uint64_t ref; /* of the replica */
    struct {
        uint64_t ticks;               /* of the run; 0: none */
        int64_t first, last;          /* all indexes that were used lie within */
    } runs[LIST_POSITION_RUNS_COUNT]; /* by a hash of the ticks */
};

struct list_position {
    size_t size;
    char bytes[LIST_POSITION_BYTES_MAX];
};

static inline struct slice list_position_slice(const struct list_position *position) {
    return slice_make(position->bytes, position->size);
}

/* For the replica called `ref`, without remembered runs: after a start, or in a new generation. */
void list_positions_init(struct list_positions *positions, uint64_t ref);

/* Writes a new position between `left` (empty: the beginning of the list) and `right` (empty: its
 * end), two neighbours as this node shows them: valid, and left before right. `ticks` are new ones
 * of the replica, greater than in all calls before and than all it has seen: one tick for each
 * position. `is_whole`: this replica put in all elements of the list, and none was ever taken out,
 * so that at an end of the list the next index of its run is unused (I1 without ticks). On
 * LIST_POSITION_TOO_LONG nothing is written. */
enum list_position_status list_position_between(struct list_positions *positions, uint64_t ticks,
                                                struct slice left, struct slice right,
                                                bool is_whole, struct list_position *position);

/* Positions at the end of a list, one behind the other, that list_position_between() would say as
 * well. From the first one on nothing else is done with the table. */
struct list_position_run {
    int64_t *last;                 /* of the run, in the table */
    int64_t index_max;             /* up to there indexes are as long */
    struct list_position position; /* the next one, while there is one that is as long */
};

/* `position` was written last, at the end of a list. False: the next one goes another way. */
bool list_position_run_begin(struct list_position_run *run, struct list_positions *positions,
                             struct slice position);
static inline bool list_position_run_has_next(const struct list_position_run *run) {
    return *run->last < run->index_max;
}
/* The next position was used, and took a tick: on to its successor (ordered_map_is_successor()). To
 * be called behind all that reads it: what reads bytes right after a single one of them was written
 * waits for the cache. */
static inline void list_position_run_take(struct list_position_run *run) {
    ++*run->last;
    bytes_increment(run->position.bytes, run->position.size);
}

/* Are these bytes from outside a position? */
bool list_position_is_valid(struct slice bytes);

/* ---- the root of a position ---- */

enum { LIST_POSITION_ROOT_BYTES = 15, LIST_POSITION_INDEX_BYTES_MAX = 8 };

/* What its first LIST_POSITION_ROOT_BYTES bytes say. */
struct list_position_root {
    bool is_right;
    uint64_t ticks, ref;
};

/* False: it is too short for a position, or begins otherwise. */
bool list_position_root(struct slice bytes, struct list_position_root *root);
/* Writes these bytes. */
void list_position_put_root(char *out, const struct list_position_root *root);
/* Writes what stands behind the root for the element of its run that was put in at `ticks`, if the
 * run was not remembered (I1), or began then. Returns its size. */
size_t list_position_put_index_at(char *out, const struct list_position_root *root, uint64_t ticks);

#endif
