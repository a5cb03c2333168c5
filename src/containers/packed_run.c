/* SPDX-License-Identifier: BSD-3-Clause */
#include "containers/packed_run.h"

#include <assert.h>

#include "base/check.h"
#include "base/memory.h"
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
    CONTROL_EACH = 0xFF, /* of a run as bytes: each element tells its own */

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

static const char *take_name(struct ordered_map_cursor *cursor, const char *at) {
    unsigned byte = (uint8_t)*at++;
    size_t shared = byte >> NAME_SHARED_SHIFT, size;
    if (likely(shared != NAME_FREE)) {
        size = (byte & (NAME_MIDDLE_MAX - 1)) + 1;
    } else {
        shared = (size_t)varint_take_own(&at);
        size = (size_t)varint_take_own(&at);
        cursor->name_size = (uint32_t)(shared + size);
    }
    memcpy(cursor->name + shared, at, size);
    return at + size;
}

static void take_tail(struct ordered_map_cursor *cursor, const char *at, unsigned code) {
    const char *bytes = packed_run_bytes(cursor->run);
    cursor->tail = (uint32_t)(at - bytes);
    cursor->element.flags = 0;
    if (unlikely(code == CONTROL_VALUE_FLAGGED)) {
        cursor->element.flags = (uint8_t)*at & ORDERED_MAP_FLAGS_MAX;
        code = (uint8_t)*at++ >> 4;
    }
    size_t size = code >= CONTROL_VALUE_SIZED ? (size_t)varint_take_own(&at) : code;
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
    uint64_t difference = (uint64_t)varint_unzigzag(varint_take_own(at));
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
        bytes_increment(cursor->name, cursor->name_size);
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
            size = (size_t)varint_take_own(&at);
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

uint64_t ordered_map_skip_successors(struct ordered_map_cursor *cursor, uint64_t count) {
    uint32_t left = cursor->run->count - cursor->next_index;
    return skip_plain(cursor, count < left ? (uint32_t)count : left);
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

/* How many bytes of its name the element at the cursor surely has from the one before. */
static inline size_t shared_with_previous(const struct ordered_map_cursor *cursor) {
    const char *at = packed_run_bytes(cursor->run) + cursor->start;
    if (((uint8_t)at[0] & CONTROL_NAME_TOLD) == 0) {
        size_t last = cursor->name_size - 1;
        return cursor->name[last] != 0 ? last : 0; /* else there was a carry */
    }
    unsigned shared = (uint8_t)at[1] >> NAME_SHARED_SHIFT;
    return shared != NAME_FREE ? shared : 0;
}

/* Is the name at the cursor below that one? `*alike`: so many of the first bytes are the same in
 * both; on entry at most so many are, as of the element before. That mostly tells all. */
static inline bool is_below(const struct ordered_map_cursor *cursor, struct slice name,
                            size_t *alike) {
    size_t i = shared_with_previous(cursor);
    i = i < *alike ? i : *alike;
    size_t common = cursor->name_size < name.size ? cursor->name_size : name.size;
    while (i < common && cursor->name[i] == name.data[i]) {
        i++;
    }
    *alike = i;
    return i < common ? (uint8_t)cursor->name[i] < (uint8_t)name.data[i]
                      : cursor->name_size < name.size;
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
    size_t alike = 0; /* of the name here and that one, at least */
    bool is_there = false;
    while (!is_there && cursor->next_index < run->count) {
        if (cursor->next_index - marked >= MARK_EVERY) {
            packed_mark_set(&marks->marks[0], cursor, run);
            marked = cursor->next_index;
        }
        if (singly == 0 && skip_below(cursor, name, &singly)) {
            singly = 0;
            alike = 0;
        } else {
            packed_run_step(cursor);
            singly--;
            is_there = !is_below(cursor, name, &alike);
        }
    }
    return is_there;
}

struct slice packed_run_first_name(const struct packed_run *run) {
    require(run->count > 0);
    const char *at = packed_run_bytes(run) + 1;
    unsigned shared = (uint8_t)*at++ >> NAME_SHARED_SHIFT;
    require(shared == NAME_FREE);
    (void)varint_take_own(&at);
    size_t size = (size_t)varint_take_own(&at);
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

uint64_t packed_run_block_bytes(struct packed_run *run) {
    uint64_t bytes = 0;
    if (run->is_special) {
        struct ordered_map_cursor cursor;
        packed_run_begin(run, &cursor);
        while (cursor.next_index < run->count) {
            packed_run_step(&cursor);
            if (packed_cursor_block(&cursor) != NULL) {
                bytes += memory_class_bytes(cursor.element.value.size);
            }
        }
    }
    return bytes;
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

static inline bool is_successor(struct slice name, struct slice previous) {
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
    size_t common = previous.size < name.size ? previous.size : name.size;
    size_t shared = slice_shared_front(previous.data, name.data, common);
    if (previous.size == name.size && previous.size > 0 && shared < NAME_FREE) {
        size_t middle =
            common - shared - slice_shared_back(previous.data, name.data, common, shared);
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

size_t packed_put_head(char *out, const struct packed_key *previous, const struct packed_key *key,
                       uint8_t control) {
    size_t size = 1;
    out[0] = (char)control;
    /* The empty name has no successor, so the first one is told in full. */
    if (!is_successor(key->name, previous->name)) {
        out[0] = (char)(control | CONTROL_NAME_TOLD);
        size += put_name(out + size, previous->name, key->name);
    }
    return size + put_stamp(out + size, previous->stamp, key->stamp, &out[0]);
}

size_t packed_put_head_again(char *out, const struct ordered_map_cursor *cursor,
                             uint64_t previous_stamp, uint64_t stamp, uint8_t control) {
    const char *bytes = packed_run_bytes(cursor->run) + cursor->start;
    size_t size = cursor->name_end - cursor->start;
    memcpy(out, bytes, size);
    out[0] = (char)(control | ((uint8_t)bytes[0] & CONTROL_NAME_TOLD));
    return size + put_stamp(out + size, previous_stamp, stamp, &out[0]);
}

size_t packed_put_plain(char *out, const struct packed_key *previous,
                        const struct ordered_map_element *element, bool follows) {
    struct slice value = element->value;
    size_t size = 1;
    uint8_t control =
        value.size < CONTROL_VALUE_SIZED ? (uint8_t)value.size : (uint8_t)CONTROL_VALUE_SIZED;
    if (follows) {
        out[0] = (char)control;
        size += put_stamp(out + 1, previous->stamp, element->stamp, out);
    } else {
        struct packed_key key = {.name = element->name, .stamp = element->stamp};
        size = packed_put_head(out, previous, &key, control);
    }
    if (control == CONTROL_VALUE_SIZED) {
        require(value.size <= ORDERED_MAP_INLINE_BYTES);
        size += varint_put(out + size, value.size);
    }
    if (value.size > 0) {
        memcpy(out + size, value.data, value.size);
    }
    return size + value.size;
}

uint8_t packed_cursor_control(const struct ordered_map_cursor *cursor) {
    return (uint8_t)packed_run_bytes(cursor->run)[cursor->start] & CONTROL_VALUE_MASK;
}

/* ---- runs as bytes ---- */

uint64_t packed_run_best_base(const struct packed_run *run) {
    struct ordered_map_cursor cursor;
    packed_run_begin((struct packed_run *)(uintptr_t)run, &cursor);
    packed_run_step(&cursor);
    uint64_t stamp = cursor.stamp;
    if (run->count == 1) {
        return stamp;
    }
    /* The first element is then told like the second, and perhaps like all others. */
    unsigned code = (uint8_t)packed_run_bytes(run)[cursor.end] >> CONTROL_STAMP_SHIFT;
    uint64_t ticks = code <= CONTROL_STAMP_NEAR_MAX ? (uint64_t)code << PACKED_TICK_BITS
                     : code == CONTROL_STAMP_BEFORE ? -PACKED_TICK
                                                    : 0;
    return stamp - ticks;
}

/* Behind the stamp, size and value that follow a control byte which tells no name, flags or block.
 */
static inline const char *skip_after_control(const char *at, unsigned control) {
    size_t size = control & CONTROL_VALUE_MASK;
    if (control >> CONTROL_STAMP_SHIFT >= CONTROL_STAMP_TICKS) {
        (void)varint_take_own(&at);
    }
    if (size == CONTROL_VALUE_SIZED) {
        size = (size_t)varint_take_own(&at);
    }
    return at + size;
}

static bool tells_little(unsigned control) {
    return (control & (CONTROL_NAME_TOLD | CONTROL_VALUE_MASK)) <= CONTROL_VALUE_SIZED;
}

/* Do all the elements from `at` on have that control byte? */
static bool is_common_control(const char *at, const char *end, unsigned control) {
    bool is_common = tells_little(control);
    while (is_common && at < end) {
        is_common = (uint8_t)*at == control;
        at = is_common ? skip_after_control(at + 1, control) : end;
    }
    return is_common;
}

void packed_run_put_bytes(struct buffer *out, const struct packed_run *run, uint64_t base) {
    struct ordered_map_cursor first;
    char head[1 + VARINT_BYTES_MAX];
    require(!run->is_tree && !run->is_special && run->count > 0);
    packed_run_begin((struct packed_run *)(uintptr_t)run, &first);
    packed_run_step(&first);
    const char *bytes = packed_run_bytes(run), *end = bytes + run->used;
    head[0] = (char)packed_cursor_control(&first);
    size_t head_size = 1 + put_stamp(head + 1, base, first.stamp, &head[0]);
    unsigned control = (uint8_t)head[0];
    bool is_common = is_common_control(bytes + first.end, end, control);
    char *begin = buffer_reserve(out, run->used + 1 + VARINT_BYTES_MAX), *to = begin;
    *to++ = (char)(is_common ? control : CONTROL_EACH);
    to += varint_put(to, first.name_size);
    memcpy(to, first.name, first.name_size);
    to += first.name_size;
    memcpy(to, head + is_common, head_size - is_common);
    to += head_size - is_common;
    const char *at = bytes + first.tail, *next = is_common ? bytes + first.end : end;
    memcpy(to, at, (size_t)(next - at));
    to += next - at;
    while (next < end) {
        at = next + 1;
        next = skip_after_control(at, control);
        memcpy(to, at, (size_t)(next - at));
        to += next - at;
    }
    out->size += (size_t)(to - begin);
}

void packed_run_take_bytes(struct packed_run *out, struct slice bytes, uint32_t count,
                           uint64_t base) {
    const char *at = bytes.data, *end = bytes.data + bytes.size;
    char *begin = packed_run_bytes(out), *to = begin;
    unsigned control = (uint8_t)*at++;
    bool is_common = control != CONTROL_EACH;
    size_t name_size = (size_t)varint_take_own(&at);
    struct packed_key key = {.name = slice_make(at, name_size)};
    at += name_size;
    control = is_common ? control : (uint8_t)*at++;
    key.stamp = take_stamp(base, control >> CONTROL_STAMP_SHIFT, &at);
    struct packed_key none = {.stamp = 0};
    to += packed_put_head(to, &none, &key, control & CONTROL_VALUE_MASK);
    const char *next = is_common ? skip_after_control(at, control & CONTROL_VALUE_MASK) : end;
    require(next <= end);
    memcpy(to, at, (size_t)(next - at));
    to += next - at;
    /* By count: what has no value may be told in no bytes. */
    for (uint32_t i = 1; i < count && is_common; i++) {
        at = next;
        next = skip_after_control(at, control);
        require(next <= end);
        *to++ = (char)control;
        memcpy(to, at, (size_t)(next - at));
        to += next - at;
    }
    require(next == end && to - begin <= (ptrdiff_t)(ORDERED_MAP_SMALL_BYTES - sizeof(*out)));
    *out = (struct packed_run){.used = (uint32_t)(to - begin) & PACKED_RUN_BYTES_MAX,
                               .count = count & PACKED_RUN_BYTES_MAX};
}

bool ordered_map_bytes_are_alike(struct slice bytes) {
    return (uint8_t)bytes.data[0] != CONTROL_EACH;
}

/* ---- runs that are built ---- */

bool ordered_map_is_successor(struct slice name, struct slice previous) {
    return is_successor(name, previous);
}

void ordered_map_build(struct ordered_map_builder *builder, struct ordered_map_block *block) {
    struct packed_run *run = (struct packed_run *)(void *)block;
    *run = (struct packed_run){.used = 0};
    *builder = (struct ordered_map_builder){
        .run = run, .to = packed_run_bytes(run), .end = (char *)block + sizeof(*block)};
}

void ordered_map_build_add(struct ordered_map_builder *builder,
                           const struct ordered_map_element *element, bool follows) {
    enum { REST_BYTES_MAX = 1 + 1 + 3 + 3 + VARINT_BYTES_MAX + 5 };
    struct packed_key previous = {.name = builder->name, .stamp = builder->stamp};
    size_t left = (size_t)(builder->end - builder->to), size;
    if (left >= REST_BYTES_MAX + element->name.size + element->value.size) {
        size = packed_put_plain(builder->to, &previous, element, follows);
    } else {
        char staged[PACKED_HEAD_BYTES_MAX + PACKED_TAIL_BYTES_MAX];
        size = packed_put_plain(staged, &previous, element, follows);
        require(size <= left);
        memcpy(builder->to, staged, size);
    }
    builder->to += size;
    builder->name = element->name;
    builder->stamp = element->stamp;
    builder->run->count++;
}

const struct ordered_map *ordered_map_built(const struct ordered_map_builder *builder) {
    require(builder->run->count > 0);
    builder->run->used =
        (uint32_t)(builder->to - packed_run_bytes(builder->run)) & PACKED_RUN_BYTES_MAX;
    return (const struct ordered_map *)(void *)builder->run;
}

/* ---- runs as bytes: their ends ---- */

bool ordered_map_bytes_end(struct slice bytes, uint64_t count, uint64_t base, bool is_first,
                           struct ordered_map_bytes_end *end) {
    const char *at = bytes.data;
    unsigned control = (uint8_t)*at++, code = control >> CONTROL_STAMP_SHIFT;
    if (control == CONTROL_EACH) {
        return false;
    }
    size_t name_size = (size_t)varint_take_own(&at);
    memcpy(end->name, at, name_size);
    at += name_size;
    uint64_t stamp = base;
    const char *element = at, *value = at;
    size_t value_size = control & CONTROL_VALUE_MASK;
    for (uint64_t i = is_first ? count - 1 : 0; i < count; i++) {
        element = at;
        stamp = take_stamp(stamp, code, &at);
        if ((control & CONTROL_VALUE_MASK) == CONTROL_VALUE_SIZED) {
            value_size = (size_t)varint_take_own(&at);
        }
        value = at;
        at += value_size;
    }
    if (!is_first) {
        uint64_t number = count - 1;
        for (char *byte = end->name + name_size; number != 0; number >>= 8) {
            byte--;
            number += (uint8_t)*byte;
            *byte = (char)number;
        }
    }
    end->is_first = is_first;
    end->element = (struct ordered_map_element){.name = slice_make(end->name, name_size),
                                                .stamp = stamp,
                                                .value = slice_make(value, value_size)};
    end->from = (size_t)(element - bytes.data);
    end->to = (size_t)(at - bytes.data);
    return true;
}

/* The bytes up to the first element. */
static size_t put_bytes_head(char *to, unsigned control, struct slice name) {
    to[0] = (char)control;
    size_t size = 1 + varint_put(to + 1, name.size);
    memcpy(to + size, name.data, name.size);
    return size + name.size;
}

void ordered_map_bytes_pop(struct buffer *out, struct slice bytes,
                           const struct ordered_map_bytes_end *end, uint64_t *base) {
    if (!end->is_first) {
        buffer_append(out, bytes.data, end->from);
        return;
    }
    char *to = buffer_reserve(out, bytes.size + 1);
    size_t size = put_bytes_head(to, (uint8_t)bytes.data[0], end->element.name);
    bytes_increment(to, size);
    memcpy(to + size, bytes.data + end->to, bytes.size - end->to);
    out->size += size + bytes.size - end->to;
    *base = end->element.stamp;
}

bool ordered_map_bytes_push(struct buffer *out, struct slice bytes, uint64_t count,
                            const struct ordered_map_bytes_end *end,
                            const struct ordered_map_element *element, uint64_t *base) {
    enum { HEAD_BYTES_MAX = 1 + 1 + 2 * VARINT_BYTES_MAX };
    unsigned control = (uint8_t)bytes.data[0];
    size_t size = element->value.size, name_size = end->element.name.size;
    bool is_after = is_successor(end->is_first ? end->element.name : element->name,
                                 end->is_first ? element->name : end->element.name);
    char head[2 * VARINT_BYTES_MAX], told = 0;
    uint64_t first = end->is_first ? element->stamp : end->element.stamp;
    uint64_t second = end->is_first ? end->element.stamp : element->stamp;
    size_t head_size = put_stamp(head, first, second, &told);
    told =
        (char)((uint8_t)told | (size < CONTROL_VALUE_SIZED ? (unsigned)size : CONTROL_VALUE_SIZED));
    /* A first one is told as the others are, against another base. */
    if (!is_after || (uint8_t)told != control || (end->is_first && head_size > 0) ||
        sizeof(struct packed_run) + HEAD_BYTES_MAX + bytes.size + count + sizeof(head) + size +
                name_size >
            ORDERED_MAP_SMALL_BYTES) {
        return false;
    }
    if (size >= CONTROL_VALUE_SIZED) {
        head_size += varint_put(head + head_size, size);
    }
    char *to = buffer_reserve(out, bytes.size + head_size + size);
    size_t at = end->is_first ? put_bytes_head(to, control, element->name) : bytes.size;
    if (!end->is_first) {
        memcpy(to, bytes.data, bytes.size);
    }
    memcpy(to + at, head, head_size);
    if (size > 0) {
        memcpy(to + at + head_size, element->value.data, size);
    }
    at += head_size + size;
    if (end->is_first) {
        memcpy(to + at, bytes.data + end->from, bytes.size - end->from);
        at += bytes.size - end->from;
        *base = first - (second - first);
    }
    out->size += at;
    return true;
}
