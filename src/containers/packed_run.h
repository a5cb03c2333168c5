/* SPDX-License-Identifier: BSD-3-Clause */
/* A packed run: the elements of one leaf of an ordered map, each told as what differs from the one
 * before it. The first follows on an empty name and stamp 0.
 *
 *   control byte | name | stamp | flags byte | size | value
 *
 *   control   bits 0-3  value: 0-12 its size; 13 a size (varint) follows; 14 a size and the
 *                       address of the value's own block follow; 15 a flags byte follows
 *             bit 4     name: 0 the successor of the one before, 1 told
 *             bits 5-7  stamp: 0-4 this many ticks after the one before, 5 a tick before it, 6 told
 *                       in ticks, 7 told in full
 *   name      told: bits 3-7 of a byte are how many bytes it shares with the one before, bits 0-2
 *             how many follow (less one); all behind them, and so the size, stays the same. Or
 *             31 in bits 3-7, then the shared bytes (varint), the size of the rest (varint), the
 *             rest.
 *   stamp     difference (zigzag varint) to the one before: of ticks, when the low
 *             PACKED_TICK_BITS bits are equal, else of all 64 bits, modulo 2^64
 *   flags     bits 0-3 the flags, bits 4-7 what bits 0-3 of the control byte would be without
 *
 * The successor of a name is the same bytes read as one big-endian number, plus 1; a name that is
 * all 0xFF has none. So ten elements that follow each other take, value apart, ten control bytes
 * and the first one's name and stamp.
 *
 * An element's value can be changed without the rest, but whoever comes after it leans on its name
 * and stamp: changes put new bytes for the head (control byte, name, stamp) of the one behind,
 * whose tail (flags, size, value) stays as it is.
 *
 * Only packed_tree.c, ordered_map.c and ordered_map_bulk.c use this. Runs hold what we wrote
 * ourselves: bytes from outside become elements first. */
#ifndef CONTAINERS_PACKED_RUN_H
#define CONTAINERS_PACKED_RUN_H

#include "containers/ordered_map.h"

/* Its bytes follow it. */
struct packed_run {
    uint32_t is_tree : 1;    /* not a run: the tree of a larger map begins so, too */
    uint32_t is_special : 1; /* an element has, or had, flags or a block of its own */
    uint32_t used : 15;      /* bytes */
    uint32_t count : 15;     /* elements */
};

enum {
    PACKED_TICK_BITS = 10,
    PACKED_RUN_BYTES_MAX = (1 << 15) - 1,
    /* control, name with three varints at most, stamp */
    PACKED_HEAD_BYTES_MAX = 1 + 1 + 3 + 3 + ORDERED_MAP_NAME_BYTES_MAX + 10,
    /* flags, size, value or address */
    PACKED_TAIL_BYTES_MAX = 1 + 5 + ORDERED_MAP_INLINE_BYTES,
    /* control, stamp, size: around a value, where the name is not told */
    PACKED_AROUND_VALUE_BYTES_MAX = 1 + 10 + 5,
    PACKED_MARK_NAME_BYTES = 40,
    PACKED_MARKS_COUNT = 2,
};

/* The state before an element: where one can begin to read. Longer names are not remembered. */
struct packed_mark {
    const struct packed_run *run; /* NULL: none */
    uint32_t index, offset;       /* of the element */
    uint64_t stamp;               /* of the one before */
    uint32_t name_size;
    char name[PACKED_MARK_NAME_BYTES];
};

/* [0] trails behind the last search, [1] is before the element put in last. */
struct packed_marks {
    struct packed_mark marks[PACKED_MARKS_COUNT];
};
/* Marks of reads in a small map, which keeps none. */
#define PACKED_NO_MARKS (&(struct packed_marks){.marks = {{.run = NULL}}})

/* What an element hands on to the next one; all zero before the first. */
struct packed_key {
    struct slice name;
    uint64_t stamp;
};

static inline struct packed_key packed_cursor_key(const struct ordered_map_cursor *cursor) {
    return (struct packed_key){.name = slice_make(cursor->name, cursor->name_size),
                               .stamp = cursor->stamp};
}

static inline char *packed_run_bytes(const struct packed_run *run) {
    return (char *)(run + 1);
}

/* ---- reading ---- */

/* Before the first element: the next step stands on it. */
void packed_run_begin(struct packed_run *run, struct ordered_map_cursor *cursor);
/* On the next element, of which there is one. */
void packed_run_step(struct ordered_map_cursor *cursor);
/* As the end of packed_run_step(), for an element whose stamp and value were written anew. */
void packed_run_reread(struct ordered_map_cursor *cursor);
/* On the element with that index; before the first for -1. Moves the trailing mark. */
void packed_run_seek(struct packed_run *run, struct packed_marks *marks, int64_t index,
                     struct ordered_map_cursor *cursor);
/* On the first element with that name or above: true. When there is none, behind the last one, fit
 * only to put one there. */
bool packed_run_lower_bound(struct packed_run *run, struct packed_marks *marks, struct slice name,
                            struct ordered_map_cursor *cursor);
/* The name of the first element, which lies in the run as it is. */
struct slice packed_run_first_name(const struct packed_run *run);
/* Sets `to` to where `from` is. */
void packed_cursor_copy(struct ordered_map_cursor *to, const struct ordered_map_cursor *from);
/* The block of the value at the cursor; NULL when it lies in the run. */
void *packed_cursor_block(const struct ordered_map_cursor *cursor);
/* Bytes of all such blocks of the run. */
uint64_t packed_run_block_bytes(struct packed_run *run);

/* ---- marks ---- */

/* Remembers the state behind the cursor's element, whose run is now at `run`. */
void packed_mark_set(struct packed_mark *mark, const struct ordered_map_cursor *cursor,
                     const struct packed_run *run);
/* The bytes of `run` from `offset` on are about to change. */
void packed_marks_forget(struct packed_marks *marks, const struct packed_run *run, uint32_t offset);
/* The run moved, or changed its name. */
void packed_marks_move(struct packed_marks *marks, const struct packed_run *from,
                       const struct packed_run *to);

/* ---- writing ---- */

/* Writes the tail of an element at `out`, which has PACKED_TAIL_BYTES_MAX; `block` is the value's
 * own, or NULL. Returns its size, and the low bits of the control byte. */
size_t packed_put_tail(char *out, const struct ordered_map_element *element, const void *block,
                       uint8_t *control);
/* Writes at `out`, which has PACKED_HEAD_BYTES_MAX, the head of an element with those low bits of
 * the control byte, behind `previous`. Returns its size. */
size_t packed_put_head(char *out, const struct packed_key *previous, const struct packed_key *key,
                       uint8_t control);
/* As packed_put_head() for the element at the cursor, whose name stays, with `stamp` behind
 * `previous_stamp`. */
size_t packed_put_head_again(char *out, const struct ordered_map_cursor *cursor,
                             uint64_t previous_stamp, uint64_t stamp, uint8_t control);
/* Writes at `out` a whole element that has no flags and no block, behind `previous`. `follows`: its
 * name is the successor of the one before, which need not be told. Returns its size. */
size_t packed_put_plain(char *out, const struct packed_key *previous,
                        const struct ordered_map_element *element, bool follows);
/* The low bits of the control byte of the element at the cursor. */
uint8_t packed_cursor_control(const struct ordered_map_cursor *cursor);

/* ---- runs as bytes: ordered_map_put_bytes() has the layout ---- */

/* Appends the bytes of a run that has no flags and blocks, and at least one element. */
void packed_run_put_bytes(struct buffer *out, const struct packed_run *run, uint64_t base);
/* Which stamp they are best told against. */
uint64_t packed_run_best_base(const struct packed_run *run);
/* Writes at `out`, which has room for ORDERED_MAP_SMALL_BYTES, the run that they are of. */
void packed_run_take_bytes(struct packed_run *out, struct slice bytes, uint32_t count,
                           uint64_t base);

#endif
