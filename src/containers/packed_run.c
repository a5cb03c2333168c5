/* SPDX-License-Identifier: BSD-3-Clause */
#include "containers/packed_run.h"

#include <assert.h>

#include "base/check.h"
#include "base/varint.h"

enum {
    CONTROL_VALUE_MASK = 0x0F,
    CONTROL_VALUE_SIZED = 13, /* smaller: the size itself */
    CONTROL_VALUE_BLOCK = 14,
    CONTROL_VALUE_FLAGGED = 15,
    CONTROL_NAME_TOLD = 0x10,
    CONTROL_STAMP_SHIFT = 5,
    CONTROL_STAMP_NEAR_MAX = 4, /* up to here the ticks themselves */
    CONTROL_STAMP_BEFORE = 5,   /* one tick less */
    CONTROL_STAMP_TICKS = 6,
    CONTROL_STAMP_ALL = 7,

    NAME_SHARED_SHIFT = 3,
    NAME_FREE = 31, /* in place of the shared bytes */
    NAME_MIDDLE_MAX = 8,

    /* The trailing mark stays this far behind, and moves when it is twice as far. */
    MARK_LAG = 12,
    MARK_EVERY = 16,
};

#define PACKED_TICK (UINT64_C(1) << PACKED_TICK_BITS)

static_assert(sizeof(struct packed_run) == 4, "a small map is a head of four bytes and its run");

/* ---- reading ---- */

/* Reads a number that was written by varint_put(). */
static inline uint64_t take_number(const char **at) {
    const uint8_t *byte = (const uint8_t *)*at;
    uint64_t value = *byte & 0x7F;
    for (unsigned shift = 7; (*byte++ & 0x80) != 0; shift += 7) {
        value |= (uint64_t)(*byte & 0x7F) << shift;
    }
    *at = (const char *)byte;
    return value;
}

static const char *take_name(struct ordered_map_cursor *cursor, const char *at) {
    unsigned byte = (uint8_t)*at++;
    size_t shared = byte >> NAME_SHARED_SHIFT, size;
    if (likely(shared != NAME_FREE)) {
        size = (byte & (NAME_MIDDLE_MAX - 1)) + 1;
    } else {
        shared = (size_t)take_number(&at);
        size = (size_t)take_number(&at);
        cursor->name_size = (uint32_t)(shared + size);
    }
    memcpy(cursor->name + shared, at, size);
    return at + size;
}

static inline void increment_name(struct ordered_map_cursor *cursor) {
    for (char *byte = cursor->name + cursor->name_size - 1; ++*byte == 0;) {
        byte--;
    }
}

static void take_tail(struct ordered_map_cursor *cursor, const char *at, unsigned code) {
    const char *bytes = packed_run_bytes(cursor->run);
    cursor->tail = (uint32_t)(at - bytes);
    cursor->element.flags = 0;
    if (unlikely(code == CONTROL_VALUE_FLAGGED)) {
        cursor->element.flags = (uint8_t)*at & ORDERED_MAP_FLAGS_MAX;
        code = (uint8_t)*at++ >> 4;
    }
    size_t size = code >= CONTROL_VALUE_SIZED ? (size_t)take_number(&at) : code;
    if (unlikely(code == CONTROL_VALUE_BLOCK)) {
        const char *block;
        memcpy(&block, at, sizeof(block));
        cursor->element.value = slice_make(block, size);
        at += sizeof(block);
    } else {
        cursor->element.value = slice_make(at, size);
        at += size;
    }
    cursor->end = (uint32_t)(at - bytes);
}

static inline uint64_t take_stamp(uint64_t previous, unsigned code, const char **at) {
    if (likely(code <= CONTROL_STAMP_NEAR_MAX)) {
        return previous + ((uint64_t)code << PACKED_TICK_BITS);
    }
    if (code == CONTROL_STAMP_BEFORE) {
        return previous - PACKED_TICK;
    }
    uint64_t difference = (uint64_t)varint_unzigzag(take_number(at));
    return previous + (code == CONTROL_STAMP_TICKS ? difference << PACKED_TICK_BITS : difference);
}

static inline void take_rest(struct ordered_map_cursor *cursor, const char *at, unsigned control) {
    cursor->name_end = (uint32_t)(at - packed_run_bytes(cursor->run));
    cursor->stamp = take_stamp(cursor->previous_stamp, control >> CONTROL_STAMP_SHIFT, &at);
    take_tail(cursor, at, control & CONTROL_VALUE_MASK);
    cursor->element.stamp = cursor->stamp;
    cursor->element.name = slice_make(cursor->name, cursor->name_size);
}

void packed_run_begin(struct packed_run *run, struct ordered_map_cursor *cursor) {
    cursor->run = run;
    cursor->next_index = 0;
    cursor->start = cursor->name_end = cursor->tail = cursor->end = 0;
    cursor->name_size = 0;
    cursor->stamp = cursor->previous_stamp = 0;
}

void packed_run_step(struct ordered_map_cursor *cursor) {
    require(cursor->next_index < cursor->run->count);
    const char *at = packed_run_bytes(cursor->run) + cursor->end;
    unsigned control = (uint8_t)*at++;
    cursor->start = cursor->end;
    cursor->previous_stamp = cursor->stamp;
    cursor->next_index++;
    if ((control & CONTROL_NAME_TOLD) == 0) {
        increment_name(cursor);
    } else {
        at = take_name(cursor, at);
    }
    take_rest(cursor, at, control);
}

/* Adds to the name, read as a big-endian number that stays within its size. */
static void add_to_name(struct ordered_map_cursor *cursor, int64_t number) {
    for (char *byte = cursor->name + cursor->name_size; number != 0;) {
        byte--;
        number += (uint8_t)*byte;
        *byte = (char)number;
        number >>= 8; /* rounds down */
    }
}

/* Passes over elements, at most `count`, that have no name, flags or block told; returns how many.
 * The cursor is then behind them, but only a step tells what is there. */
static uint32_t skip_plain(struct ordered_map_cursor *cursor, uint32_t count) {
    const char *bytes = packed_run_bytes(cursor->run), *end = bytes + cursor->end;
    uint64_t stamp = cursor->stamp;
    uint32_t passed = 0;
    while (passed < count) {
        const char *at = end;
        unsigned control = (uint8_t)*at++, code = control >> CONTROL_STAMP_SHIFT;
        size_t size = control & (CONTROL_NAME_TOLD | CONTROL_VALUE_MASK);
        if (size > CONTROL_VALUE_SIZED) {
            break;
        }
        stamp = take_stamp(stamp, code, &at);
        if (size == CONTROL_VALUE_SIZED) {
            size = (size_t)take_number(&at);
        }
        end = at + size;
        passed++;
    }
    cursor->end = (uint32_t)(end - bytes);
    cursor->stamp = stamp;
    cursor->next_index += passed;
    add_to_name(cursor, passed);
    return passed;
}

/* As skip_plain() and packed_run_step() until the element with that index comes next. */
static void skip_to(struct ordered_map_cursor *cursor, uint32_t index) {
    while (cursor->next_index < index) {
        if (skip_plain(cursor, index - cursor->next_index) == 0) {
            packed_run_step(cursor);
        }
    }
}

/* Passes over some elements whose names are below `name`: true. Else says how many are to be looked
 * at one by one. */
static bool skip_below(struct ordered_map_cursor *cursor, struct slice name, uint32_t *singly) {
    uint32_t left = cursor->run->count - cursor->next_index, end = cursor->end;
    uint64_t stamp = cursor->stamp;
    uint32_t passed = skip_plain(cursor, left < MARK_EVERY ? left : MARK_EVERY);
    *singly = passed + (passed == 0);
    if (passed == 0) {
        return false;
    }
    if (slice_compare(slice_make(cursor->name, cursor->name_size), name) < 0) {
        return true;
    }
    add_to_name(cursor, -(int64_t)passed);
    cursor->next_index -= passed;
    cursor->end = end;
    cursor->stamp = stamp;
    return false;
}

void packed_run_reread(struct ordered_map_cursor *cursor) {
    const char *bytes = packed_run_bytes(cursor->run);
    take_rest(cursor, bytes + cursor->name_end, (uint8_t)bytes[cursor->start]);
}

static void cursor_at_mark(struct ordered_map_cursor *cursor, struct packed_run *run,
                           const struct packed_mark *mark) {
    packed_run_begin(run, cursor);
    cursor->next_index = mark->index;
    cursor->end = mark->offset;
    cursor->stamp = mark->stamp;
    cursor->name_size = mark->name_size;
    memcpy(cursor->name, mark->name, mark->name_size);
}

void packed_run_seek(struct packed_run *run, struct packed_marks *marks, int64_t index,
                     struct ordered_map_cursor *cursor) {
    require(index < run->count);
    packed_run_begin(run, cursor);
    const struct packed_mark *best = NULL;
    for (unsigned i = 0; i < PACKED_MARKS_COUNT; i++) {
        const struct packed_mark *mark = &marks->marks[i];
        if (mark->run == run && mark->index <= index &&
            (best == NULL || mark->index > best->index)) {
            best = mark;
        }
    }
    if (best != NULL) {
        cursor_at_mark(cursor, run, best);
    }
    if (index - cursor->next_index > 2 * MARK_LAG) {
        skip_to(cursor, (uint32_t)index - MARK_LAG);
        packed_mark_set(&marks->marks[0], cursor, run);
    }
    if (index >= 0) {
        skip_to(cursor, (uint32_t)index);
        packed_run_step(cursor);
    }
}

bool packed_run_lower_bound(struct packed_run *run, struct packed_marks *marks, struct slice name,
                            struct ordered_map_cursor *cursor) {
    packed_run_begin(run, cursor);
    const struct packed_mark *best = NULL;
    for (unsigned i = 0; i < PACKED_MARKS_COUNT; i++) {
        const struct packed_mark *mark = &marks->marks[i];
        if (mark->run == run && (best == NULL || mark->index > best->index) &&
            slice_compare(slice_make(mark->name, mark->name_size), name) < 0) {
            best = mark;
        }
    }
    if (best != NULL) {
        cursor_at_mark(cursor, run, best);
    }
    uint32_t marked = cursor->next_index, singly = 0;
    bool is_there = false;
    while (!is_there && cursor->next_index < run->count) {
        if (cursor->next_index - marked >= MARK_EVERY) {
            packed_mark_set(&marks->marks[0], cursor, run);
            marked = cursor->next_index;
        }
        if (singly == 0 && skip_below(cursor, name, &singly)) {
            singly = 0;
        } else {
            packed_run_step(cursor);
            singly--;
            is_there = slice_compare(cursor->element.name, name) >= 0;
        }
    }
    return is_there;
}

struct slice packed_run_first_name(const struct packed_run *run) {
    require(run->count > 0);
    const char *at = packed_run_bytes(run) + 1;
    unsigned shared = (uint8_t)*at++ >> NAME_SHARED_SHIFT;
    require(shared == NAME_FREE);
    (void)take_number(&at);
    size_t size = (size_t)take_number(&at);
    return slice_make(at, size);
}

void packed_cursor_copy(struct ordered_map_cursor *to, const struct ordered_map_cursor *from) {
    memcpy(to, from, offsetof(struct ordered_map_cursor, name) + from->name_size);
    to->element.name.data = to->name;
}

void *packed_cursor_block(const struct ordered_map_cursor *cursor) {
    const char *bytes = packed_run_bytes(cursor->run);
    unsigned code = (uint8_t)bytes[cursor->start] & CONTROL_VALUE_MASK;
    if (code == CONTROL_VALUE_FLAGGED) {
        code = (uint8_t)bytes[cursor->tail] >> 4;
    }
    return code == CONTROL_VALUE_BLOCK ? (void *)(uintptr_t)cursor->element.value.data : NULL;
}

/* ---- marks ---- */

void packed_mark_set(struct packed_mark *mark, const struct ordered_map_cursor *cursor,
                     const struct packed_run *run) {
    if (cursor->name_size > PACKED_MARK_NAME_BYTES) {
        return;
    }
    mark->run = run;
    mark->index = cursor->next_index;
    mark->offset = cursor->end;
    mark->stamp = cursor->stamp;
    mark->name_size = cursor->name_size;
    memcpy(mark->name, cursor->name, cursor->name_size);
}

void packed_marks_forget(struct packed_marks *marks, const struct packed_run *run,
                         uint32_t offset) {
    for (unsigned i = 0; i < PACKED_MARKS_COUNT; i++) {
        /* A mark at the offset tells what is before it. */
        if (marks->marks[i].run == run && marks->marks[i].offset > offset) {
            marks->marks[i].run = NULL;
        }
    }
}

void packed_marks_move(struct packed_marks *marks, const struct packed_run *from,
                       const struct packed_run *to) {
    for (unsigned i = 0; i < PACKED_MARKS_COUNT; i++) {
        if (marks->marks[i].run == from) {
            marks->marks[i].run = to;
        }
    }
}

/* ---- writing ---- */

size_t packed_put_tail(char *out, const struct ordered_map_element *element, const void *block,
                       uint8_t *control) {
    size_t value_size = element->value.size;
    uint8_t code = block != NULL                      ? CONTROL_VALUE_BLOCK
                   : value_size < CONTROL_VALUE_SIZED ? (uint8_t)value_size
                                                      : CONTROL_VALUE_SIZED;
    size_t size = 0;
    *control = code;
    if (element->flags != 0) {
        out[size++] = (char)(element->flags | (unsigned)code << 4);
        *control = CONTROL_VALUE_FLAGGED;
    }
    if (code >= CONTROL_VALUE_SIZED) {
        size += varint_put(out + size, value_size);
    }
    if (block != NULL) {
        memcpy(out + size, &block, sizeof(block));
        return size + sizeof(block);
    }
    require(value_size <= ORDERED_MAP_INLINE_BYTES);
    if (value_size > 0) {
        memcpy(out + size, element->value.data, value_size);
    }
    return size + value_size;
}

static bool is_successor(struct slice name, struct slice previous) {
    if (name.size != previous.size) {
        return false;
    }
    size_t at = name.size;
    while (at > 0 && name.data[at - 1] == 0 && (uint8_t)previous.data[at - 1] == 0xFF) {
        at--;
    }
    return at > 0 && (uint8_t)name.data[at - 1] == (uint8_t)previous.data[at - 1] + 1 &&
           memcmp(name.data, previous.data, at - 1) == 0;
}

static size_t put_name(char *out, struct slice previous, struct slice name) {
    size_t common = previous.size < name.size ? previous.size : name.size, shared = 0;
    while (shared < common && previous.data[shared] == name.data[shared]) {
        shared++;
    }
    if (previous.size == name.size && previous.size > 0 && shared < NAME_FREE) {
        size_t end = name.size;
        while (end > shared && previous.data[end - 1] == name.data[end - 1]) {
            end--;
        }
        size_t middle = end - shared;
        require(middle > 0);
        if (middle <= NAME_MIDDLE_MAX) {
            out[0] = (char)(shared << NAME_SHARED_SHIFT | (middle - 1));
            memcpy(out + 1, name.data + shared, middle);
            return 1 + middle;
        }
    }
    size_t size = 0;
    out[size++] = (char)(NAME_FREE << NAME_SHARED_SHIFT);
    size += varint_put(out + size, shared);
    size += varint_put(out + size, name.size - shared);
    if (name.size > shared) {
        memcpy(out + size, name.data + shared, name.size - shared);
    }
    return size + name.size - shared;
}

/* Writes the stamp at `out`, and its bits into the control byte. */
static size_t put_stamp(char *out, uint64_t previous_stamp, uint64_t stamp, char *control) {
    uint64_t difference = stamp - previous_stamp;
    uint64_t code = CONTROL_STAMP_ALL;
    if (difference + PACKED_TICK == 0) {
        code = CONTROL_STAMP_BEFORE;
    } else if (difference % PACKED_TICK == 0) {
        uint64_t ticks = difference >> PACKED_TICK_BITS;
        code = ticks <= CONTROL_STAMP_NEAR_MAX ? ticks : CONTROL_STAMP_TICKS;
    }
    *control = (char)((uint8_t)*control | code << CONTROL_STAMP_SHIFT);
    if (code < CONTROL_STAMP_TICKS) {
        return 0;
    }
    int64_t number = (int64_t)difference;
    if (code == CONTROL_STAMP_TICKS) {
        number /= (int64_t)PACKED_TICK; /* exact */
    }
    return varint_put(out, varint_zigzag(number));
}

size_t packed_put_head(char *out, struct packed_key previous, struct packed_key key,
                       uint8_t control) {
    size_t size = 1;
    out[0] = (char)control;
    /* The empty name has no successor, so the first one is told in full. */
    if (!is_successor(key.name, previous.name)) {
        out[0] = (char)(control | CONTROL_NAME_TOLD);
        size += put_name(out + size, previous.name, key.name);
    }
    return size + put_stamp(out + size, previous.stamp, key.stamp, &out[0]);
}

size_t packed_put_head_again(char *out, const struct ordered_map_cursor *cursor,
                             uint64_t previous_stamp, uint64_t stamp, uint8_t control) {
    const char *bytes = packed_run_bytes(cursor->run) + cursor->start;
    size_t size = cursor->name_end - cursor->start;
    memcpy(out, bytes, size);
    out[0] = (char)(control | ((uint8_t)bytes[0] & CONTROL_NAME_TOLD));
    return size + put_stamp(out + size, previous_stamp, stamp, &out[0]);
}

uint8_t packed_cursor_control(const struct ordered_map_cursor *cursor) {
    return (uint8_t)packed_run_bytes(cursor->run)[cursor->start] & CONTROL_VALUE_MASK;
}
