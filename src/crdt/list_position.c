/* SPDX-License-Identifier: BSD-3-Clause */
#include "crdt/list_position.h"

#include <assert.h>

#include "base/check.h"

enum {
    ROOT_TICKS_BYTES = 7,
    REF_BYTES = 8,
    ROOT_RIGHT = 2, /* the first two bits */
    ROOT_LEFT = 1,

    CHILD_RIGHT = 1, /* the first two bits */
    CHILD_LEFT = 2,
    CHILD_SIDE_SHIFT = 6,
    CHILD_SAME_REF = 0x20,
    CHILD_SIZE_SHIFT = 2,
    CHILD_SIZE_MASK = 7,
    CHILD_BITS_UNUSED = 3,

    INDEX_SMALL = 0x80,
    INDEX_SMALL_COUNT = 64,
    INDEX_MIDDLE = 0xC0,
    INDEX_MIDDLE_COUNT = 1 << 13,
    INDEX_LARGE = 0xE0,
    INDEX_LARGE_BYTES_MIN = 2,
    INDEX_LARGE_BYTES_MAX = 7,

    TICKS_BITS = 64 - STAMP_SLOT_BITS,
    /* A child and its index, or an index, at the end of a position. */
    SEGMENT_BYTES_MAX = 1 + 7 + REF_BYTES + 1 + INDEX_LARGE_BYTES_MAX,
};

/* Own indexes stay within the ticks; others' have one bit more. */
#define INDEX_MAX ((int64_t)1 << (TICKS_BITS + 1))

static_assert(TICKS_BITS + 2 == 8 * ROOT_TICKS_BYTES, "two bits before the ticks");
static_assert(ROOT_TICKS_BYTES + REF_BYTES == LIST_POSITION_ROOT_BYTES, "they are the root");
static_assert(1 + INDEX_LARGE_BYTES_MAX == LIST_POSITION_INDEX_BYTES_MAX, "the longest");
static_assert(LIST_POSITION_INDEX_BYTES_MAX == sizeof(uint64_t), "one is written as a number");
static_assert(LIST_POSITION_ROOT_BYTES >= sizeof(uint64_t), "one is read as a number");

/* ---- numbers ---- */

static size_t put_big_endian(char *out, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; i++) {
        out[i] = (char)(value >> (8 * (size - 1 - i)));
    }
    return size;
}

static uint64_t get_big_endian(const char *at, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | (uint8_t)at[i];
    }
    return value;
}

static size_t bytes_needed(uint64_t value) {
    return (71 - (size_t)__builtin_clzll(value | 1)) / 8;
}

static inline uint64_t load_big_endian(const char *bytes) {
    uint64_t number;
    memcpy(&number, bytes, sizeof(number));
    return __builtin_bswap64(number);
}

static inline void store_big_endian(char *out, uint64_t number) {
    number = __builtin_bswap64(number);
    memcpy(out, &number, sizeof(number));
}

/* All of LIST_POSITION_INDEX_BYTES_MAX is written, as one number; returns how many bytes count. */
static size_t put_index(char *out, int64_t index) {
    uint64_t number = index < 0 ? (uint64_t)(-1 - index) : (uint64_t)index, word;
    size_t size;
    if (number < INDEX_SMALL_COUNT) {
        size = 1;
        word = (INDEX_SMALL + number) << 56;
    } else if (number < INDEX_SMALL_COUNT + INDEX_MIDDLE_COUNT) {
        size = 2;
        word = (((uint64_t)INDEX_MIDDLE << 8) + number - INDEX_SMALL_COUNT) << 48;
    } else {
        size_t bytes = bytes_needed(number);
        size = 1 + bytes;
        word = (uint64_t)(INDEX_LARGE + bytes) << 56 | number
                                                           << (8 * (INDEX_LARGE_BYTES_MAX - bytes));
    }
    store_big_endian(out, index < 0 ? ~word : word);
    return size;
}

/* Reads an index from the front of `bytes`; false when malformed. There is one way to write one.
 * A root lies before it: so the eight bytes that end with it are there. */
static bool take_index(struct slice *bytes, int64_t *index) {
    if (bytes->size == 0) {
        return false;
    }
    uint8_t flip = (uint8_t)bytes->data[0] < INDEX_SMALL ? 0xFF : 0;
    uint8_t head = (uint8_t)bytes->data[0] ^ flip;
    size_t size = head < INDEX_MIDDLE  ? 1
                  : head < INDEX_LARGE ? 2
                                       : 1 + (size_t)(head - INDEX_LARGE);
    if (size > 1 + INDEX_LARGE_BYTES_MAX || size > bytes->size) {
        return false;
    }
    uint64_t number = load_big_endian(bytes->data + size - sizeof(number));
    number = (flip != 0 ? ~number : number) & (((uint64_t)1 << (8 * (size - 1))) - 1);
    if (head < INDEX_MIDDLE) {
        number = head - INDEX_SMALL;
    } else if (head < INDEX_LARGE) {
        number += ((uint64_t)(head - INDEX_MIDDLE) << 8) + INDEX_SMALL_COUNT;
    } else if (size <= INDEX_LARGE_BYTES_MIN || bytes_needed(number) != size - 1 ||
               number < INDEX_SMALL_COUNT + INDEX_MIDDLE_COUNT || number > INDEX_MAX) {
        return false;
    }
    *index = flip != 0 ? -1 - (int64_t)number : (int64_t)number;
    *bytes = slice_skip(*bytes, size);
    return true;
}

/* ---- paths ---- */

/* The end of a path. */
struct place {
    struct slice bytes;
    size_t index_at; /* where the last index begins */
    int64_t index;
    uint64_t ticks, ref; /* of its run */
};

bool list_position_root(struct slice bytes, struct list_position_root *root) {
    if (bytes.size < LIST_POSITION_ROOT_BYTES) {
        return false;
    }
    /* What is behind the ticks is there, too. */
    uint64_t number = load_big_endian(bytes.data) >> (8 * (REF_BYTES - ROOT_TICKS_BYTES));
    uint64_t side = number >> TICKS_BITS;
    root->is_right = side == ROOT_RIGHT;
    root->ticks = (side == ROOT_LEFT ? ~number : number) & STAMP_TICKS_MAX;
    root->ref = load_big_endian(bytes.data + ROOT_TICKS_BYTES);
    return (side == ROOT_LEFT || side == ROOT_RIGHT) && root->ref != 0;
}

void list_position_put_root(char *out, const struct list_position_root *root) {
    uint64_t number = root->is_right
                          ? (uint64_t)ROOT_RIGHT << TICKS_BITS | root->ticks
                          : (uint64_t)ROOT_LEFT << TICKS_BITS | (~root->ticks & STAMP_TICKS_MAX);
    store_big_endian(out, number << (8 * (REF_BYTES - ROOT_TICKS_BYTES)));
    store_big_endian(out + ROOT_TICKS_BYTES, root->ref);
}

size_t list_position_put_index_at(char *out, const struct list_position_root *root,
                                  uint64_t ticks) {
    int64_t since = (int64_t)(ticks - root->ticks);
    return put_index(out, root->is_right ? since : -since);
}

static bool take_root(struct slice *bytes, struct place *place) {
    struct list_position_root root;
    if (!list_position_root(*bytes, &root)) {
        return false;
    }
    place->ticks = root.ticks;
    place->ref = root.ref;
    *bytes = slice_skip(*bytes, LIST_POSITION_ROOT_BYTES);
    return true;
}

/* `place` is that of the run around, and becomes the child's. */
static bool take_child(struct slice *bytes, struct place *place) {
    unsigned head = (uint8_t)bytes->data[0], side = head >> CHILD_SIDE_SHIFT;
    size_t size = head >> CHILD_SIZE_SHIFT & CHILD_SIZE_MASK;
    bool is_same = (head & CHILD_SAME_REF) != 0;
    if ((side != CHILD_RIGHT && side != CHILD_LEFT) || (head & CHILD_BITS_UNUSED) != 0 ||
        size == 0 || bytes->size < 1 + size + (is_same ? 0 : REF_BYTES)) {
        return false;
    }
    uint64_t ticks = get_big_endian(bytes->data + 1, size);
    if (ticks > STAMP_TICKS_MAX || bytes_needed(ticks) != size) {
        return false;
    }
    place->ticks = (place->ticks + ticks) & STAMP_TICKS_MAX;
    *bytes = slice_skip(*bytes, 1 + size);
    if (!is_same) {
        uint64_t ref = get_big_endian(bytes->data, REF_BYTES);
        *bytes = slice_skip(*bytes, REF_BYTES);
        if (ref == place->ref || ref == 0) {
            return false;
        }
        place->ref = ref;
    }
    return true;
}

static bool place_read(struct slice bytes, struct place *place) {
    struct slice rest = bytes;
    place->bytes = bytes;
    if (bytes.size > LIST_POSITION_BYTES_MAX || !take_root(&rest, place)) {
        return false;
    }
    for (;;) {
        place->index_at = bytes.size - rest.size;
        if (!take_index(&rest, &place->index)) {
            return false;
        }
        if (rest.size == 0) {
            return true;
        }
        if (!take_child(&rest, place)) {
            return false;
        }
    }
}

bool list_position_is_valid(struct slice bytes) {
    struct place place;
    return place_read(bytes, &place);
}

/* ---- positions in the making ---- */

/* Appends at most SEGMENT_BYTES_MAX bytes to the first `kept` ones of `from`, or nothing (false).
 */
static bool position_begin(struct list_position *position, struct slice from, size_t kept) {
    if (kept + SEGMENT_BYTES_MAX > LIST_POSITION_BYTES_MAX) {
        return false;
    }
    memcpy(position->bytes, from.data, kept);
    position->size = kept;
    return true;
}

static bool position_is_between(const struct list_position *position, struct slice left,
                                struct slice right) {
    struct slice bytes = list_position_slice(position);
    return slice_compare(left, bytes) < 0 && (right.size == 0 || slice_compare(bytes, right) < 0);
}

static bool position_in_run(struct list_position *position, const struct place *place,
                            int64_t index) {
    if (!position_begin(position, place->bytes, place->index_at)) {
        return false;
    }
    position->size += put_index(position->bytes + position->size, index);
    return true;
}

static void position_at_root(struct list_position *position, bool is_right, uint64_t ticks,
                             uint64_t ref) {
    struct list_position_root root = {.is_right = is_right, .ticks = ticks, .ref = ref};
    list_position_put_root(position->bytes, &root);
    position->size = LIST_POSITION_ROOT_BYTES;
    position->size += put_index(position->bytes + position->size, 0);
}

/* The first position of a run that hangs on that side of `place`. */
static bool position_beside(struct list_position *position, const struct place *place,
                            unsigned side, uint64_t ticks, uint64_t ref) {
    /* Left of an element is behind the index before it, and all that hangs right of that. */
    int64_t index = side == CHILD_LEFT ? place->index - 1 : place->index;
    if (index < -INDEX_MAX || !position_in_run(position, place, index) ||
        position->size + SEGMENT_BYTES_MAX > LIST_POSITION_BYTES_MAX) {
        return false;
    }
    uint64_t since = (ticks - place->ticks) & STAMP_TICKS_MAX;
    size_t size = bytes_needed(since);
    bool is_same = ref == place->ref;
    char *at = position->bytes + position->size;
    *at++ = (char)(side << CHILD_SIDE_SHIFT | (is_same ? CHILD_SAME_REF : 0) |
                   size << CHILD_SIZE_SHIFT);
    at += put_big_endian(at, since, size);
    at += is_same ? 0 : put_big_endian(at, ref, REF_BYTES);
    at += put_index(at, 0);
    position->size = (size_t)(at - position->bytes);
    return true;
}

/* ---- own runs ---- */

void list_positions_init(struct list_positions *positions, uint64_t ref) {
    require(ref != 0);
    memset(positions, 0, sizeof(*positions));
    positions->ref = ref;
}

static size_t run_slot(uint64_t ticks) {
    return (size_t)((ticks * UINT64_C(0x9E3779B97F4A7C15)) >> 32) % LIST_POSITION_RUNS_COUNT;
}

/* Which indexes of the run may have been used before `ticks`. */
static void run_bounds(const struct list_positions *positions, uint64_t run_ticks, uint64_t ticks,
                       int64_t *first, int64_t *last) {
    size_t slot = run_slot(run_ticks);
    if (positions->runs[slot].ticks == run_ticks) {
        *first = positions->runs[slot].first;
        *last = positions->runs[slot].last;
    } else {
        *last = (int64_t)(ticks - 1 - run_ticks); /* I1 */
        *first = -*last;
    }
}

static void run_note(struct list_positions *positions, uint64_t run_ticks, int64_t first,
                     int64_t last) {
    size_t slot = run_slot(run_ticks);
    positions->runs[slot].ticks = run_ticks;
    positions->runs[slot].first = first;
    positions->runs[slot].last = last;
}

/* Rules 1 and 2: goes on in the run of `place`. */
static bool position_goes_on(struct list_positions *positions, uint64_t ticks,
                             const struct place *place, bool is_right, struct slice left,
                             struct slice right, bool is_whole, struct list_position *position) {
    if (place->bytes.size == 0 || place->ref != positions->ref || place->ticks >= ticks ||
        (is_right ? place->index < 0 : place->index > 0)) {
        return false;
    }
    int64_t first, last;
    run_bounds(positions, place->ticks, ticks, &first, &last);
    if (is_whole && (is_right ? right : left).size == 0) {
        *(is_right ? &last : &first) = place->index;
    }
    *(is_right ? &last : &first) += is_right ? 1 : -1;
    int64_t index = is_right ? last : first;
    if (!position_in_run(position, place, index)) {
        return false;
    }
    /* At an end there is only `place` beside it. */
    bool is_at_end = (is_right ? right : left).size == 0;
    if (is_at_end ? index == place->index || (index > place->index) != is_right
                  : !position_is_between(position, left, right)) {
        return false;
    }
    run_note(positions, place->ticks, first, last);
    return true;
}

/* Rule 4. */
static bool position_hangs(const struct list_positions *positions, uint64_t ticks,
                           const struct place *left, const struct place *right,
                           struct list_position *position) {
    struct slice a = left->bytes, b = right->bytes;
    bool is_own_left = a.size > 0 && left->ref == positions->ref;
    bool is_own_right = b.size > 0 && right->ref == positions->ref;
    bool is_below = b.size > a.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
    /* What hangs left of the next index begins with the same bytes, but does not hang on `left`. */
    bool is_right_of =
        is_below && (a.size == 0 || (uint8_t)b.data[a.size] >> CHILD_SIDE_SHIFT == CHILD_RIGHT);
    bool is_same_run = a.size > 0 && left->index >= 0 && b.size >= left->index_at &&
                       memcmp(a.data, b.data, left->index_at) == 0;
    if (is_right_of || is_same_run || (is_own_right && !is_own_left)) {
        bool fits = position_beside(position, right, CHILD_LEFT, ticks, positions->ref);
        if (fits && position_is_between(position, a, b)) {
            return true;
        }
        /* Left may itself hang left of right, behind the place that this run would have. */
        if (is_right_of) {
            return false;
        }
    }
    return position_beside(position, left, CHILD_RIGHT, ticks, positions->ref);
}

enum list_position_status list_position_between(struct list_positions *positions, uint64_t ticks,
                                                struct slice left, struct slice right,
                                                bool is_whole, struct list_position *position) {
    struct place a = {.bytes = left}, b = {.bytes = right};
    require(ticks > 0 && ticks <= STAMP_TICKS_MAX);
    require(left.size == 0 || place_read(left, &a));
    require(right.size == 0 || place_read(right, &b));
    require(left.size == 0 || right.size == 0 || slice_compare(left, right) < 0);
    struct list_position made; /* left or right may lie in `position` */
    bool is_made = position_goes_on(positions, ticks, &a, true, left, right, is_whole, &made) ||
                   position_goes_on(positions, ticks, &b, false, left, right, is_whole, &made);
    if (!is_made) {
        if (left.size == 0 || right.size == 0) {
            position_at_root(&made, right.size == 0, ticks, positions->ref);
            is_made = position_is_between(&made, left, right);
        }
        if (!is_made && !position_hangs(positions, ticks, &a, &b, &made)) {
            return LIST_POSITION_TOO_LONG;
        }
        run_note(positions, ticks, 0, 0);
        ensure(position_is_between(&made, left, right));
    }
    position->size = made.size;
    memcpy(position->bytes, made.bytes, made.size);
    return LIST_POSITION_OK;
}

/* The greatest index that takes as many bytes as that one, which is not negative. */
static int64_t index_as_long(int64_t index) {
    if (index < INDEX_SMALL_COUNT) {
        return INDEX_SMALL_COUNT - 1;
    }
    if (index < INDEX_SMALL_COUNT + INDEX_MIDDLE_COUNT) {
        return INDEX_SMALL_COUNT + INDEX_MIDDLE_COUNT - 1;
    }
    int64_t greatest = ((int64_t)1 << (8 * bytes_needed((uint64_t)index))) - 1;
    return greatest < INDEX_MAX ? greatest : INDEX_MAX;
}

bool list_position_run_begin(struct list_position_run *run, struct list_positions *positions,
                             struct slice position) {
    struct place place;
    if (!place_read(position, &place) || place.ref != positions->ref || place.index < 0) {
        return false;
    }
    size_t slot = run_slot(place.ticks);
    if (positions->runs[slot].ticks != place.ticks || positions->runs[slot].last != place.index) {
        return false;
    }
    run->last = &positions->runs[slot].last;
    run->index_max = index_as_long(place.index);
    run->position.size = position.size;
    memcpy(run->position.bytes, position.data, position.size);
    bytes_increment(run->position.bytes, run->position.size);
    return true;
}
