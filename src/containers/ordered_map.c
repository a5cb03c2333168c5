/* SPDX-License-Identifier: BSD-3-Clause */
#include "containers/ordered_map.h"

#include <assert.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/varint.h"
#include "containers/packed_tree.h"

enum {
    LARGE_BYTES = 32 * ORDERED_MAP_LEAF_BYTES,
    LEAF_USED_FEW = PACKED_LEAF_USED_MAX / 4,
    LEAF_USED_JOINED_MAX = PACKED_LEAF_USED_MAX * 3 / 4,
    SMALL_USED_AGAIN = PACKED_SMALL_USED_MAX / 2, /* a tree below becomes a small map */
    /* What one change can bring together at most: a full leaf, an element, and another head. */
    STAGED_BYTES_MAX = 2 * PACKED_HEAD_BYTES_MAX + PACKED_TAIL_BYTES_MAX,
};

static_assert(2 * PACKED_HEAD_BYTES_MAX + PACKED_TAIL_BYTES_MAX + PACKED_LEAF_USED_MAX <
                  PACKED_RUN_BYTES_MAX,
              "a leaf that overflows is still a run");

static struct packed_marks *run_marks(struct ordered_map **map) {
    struct packed_tree *tree = packed_map_tree(*map);
    return tree != NULL ? &tree->marks : NULL;
}

/* An end of a map that has many leaves fills up, or goes: it is as large as it can be at once. */
static bool is_end_of_large(const struct packed_tree *tree, const struct packed_leaf *leaf) {
    return (leaf->previous == NULL || leaf->next == NULL) && tree->bytes >= LARGE_BYTES;
}

/* Gives the run a block for `used` bytes, at least those that it has; returns where it is now. */
static struct packed_run *run_fit(struct ordered_map **map, struct packed_run *run, size_t used) {
    struct packed_tree *tree = packed_map_tree(*map);
    if (tree != NULL) {
        struct packed_leaf *leaf = packed_run_leaf(run);
        size_t capacity = memory_class_bytes(sizeof(struct packed_leaf) + used);
        bool fits = capacity <= leaf->capacity && capacity > leaf->capacity / 2;
        if (is_end_of_large(tree, leaf)) {
            fits = capacity <= leaf->capacity;
            /* It may be longer until it is split. */
            capacity =
                capacity > ORDERED_MAP_LEAF_BYTES ? capacity : (size_t)ORDERED_MAP_LEAF_BYTES;
        }
        return fits ? run : &packed_leaf_resize(tree, leaf, capacity)->run;
    }
    run = memory_resize(run, packed_small_bytes(used));
    *map = (struct ordered_map *)(void *)run;
    return run;
}

/* Puts `size` bytes in place of those from `from` to `to`; returns the run, which may have moved.
 */
static struct packed_run *run_splice(struct ordered_map **map, struct packed_run *run,
                                     uint32_t from, uint32_t to, const char *staged, size_t size) {
    size_t used_before = run->used, rest = used_before - to, used = from + size + rest;
    require(used <= PACKED_RUN_BYTES_MAX);
    struct packed_marks *marks = run_marks(map);
    bool is_same = marks == NULL && packed_small_bytes(used) == packed_small_bytes(used_before);
    if (marks != NULL) {
        packed_marks_forget(marks, run, from);
    }
    if (used > used_before && !is_same) {
        run = run_fit(map, run, used);
    }
    char *at = packed_run_bytes(run) + from;
    memmove(at + size, packed_run_bytes(run) + to, rest);
    memcpy(at, staged, size);
    run->used = (uint32_t)used & PACKED_RUN_BYTES_MAX;
    if (used < used_before && !is_same) {
        run = run_fit(map, run, used);
    }
    return run;
}

static void run_count(struct ordered_map **map, struct packed_run *run, int64_t change) {
    struct packed_tree *tree = packed_map_tree(*map);
    if (tree != NULL) {
        packed_leaf_count(tree, packed_run_leaf(run), change);
    } else {
        run->count = (uint32_t)(run->count + change) & PACKED_RUN_BYTES_MAX;
    }
}

/* Frees the run's map, whose last element is gone. */
static void map_free_empty(struct ordered_map **map) {
    struct packed_tree *tree = packed_map_tree(*map);
    if (tree != NULL) {
        packed_tree_free(tree);
    } else {
        memory_free_sized(*map, packed_small_bytes(packed_map_run(*map)->used));
    }
    *map = NULL;
}

/* ---- splitting and joining leaves ---- */

/* Moves the elements from `index` on, or for 0 the second half of the bytes, into a new leaf
 * behind. Returns the first part, which may have moved. */
static struct packed_leaf *leaf_split(struct ordered_map **map, struct packed_leaf *leaf,
                                      uint32_t index) {
    struct packed_tree *tree = packed_map_tree(*map);
    struct ordered_map_cursor cursor;
    char head[PACKED_HEAD_BYTES_MAX];
    require(index < leaf->run.count && leaf->run.count > 1);
    packed_run_begin(&leaf->run, &cursor);
    packed_run_step(&cursor);
    do {
        packed_run_step(&cursor);
    } while (index == 0 ? cursor.next_index < leaf->run.count && cursor.end <= leaf->run.used / 2U
                        : cursor.next_index <= index);
    struct packed_key none = {.stamp = 0}, first = packed_cursor_key(&cursor);
    size_t head_size = packed_put_head(head, &none, &first, packed_cursor_control(&cursor));
    uint32_t moved = leaf->run.count - (cursor.next_index - 1);
    size_t rest = leaf->run.used - cursor.tail;
    struct packed_leaf *right = packed_leaf_new(tree, leaf, true, head_size + rest);
    memcpy(packed_run_bytes(&right->run), head, head_size);
    memcpy(packed_run_bytes(&right->run) + head_size, packed_run_bytes(&leaf->run) + cursor.tail,
           rest);
    right->run.used = (uint32_t)(head_size + rest) & PACKED_RUN_BYTES_MAX;
    right->run.is_special = leaf->run.is_special;
    packed_leaf_count(tree, right, (int64_t)moved);
    packed_leaf_count(tree, leaf, -(int64_t)moved);
    return packed_run_leaf(run_splice(map, &leaf->run, cursor.start, leaf->run.used, head, 0));
}

/* Moves all elements of the leaf behind into this one. */
static void leaf_join(struct ordered_map **map, struct packed_leaf *leaf) {
    struct packed_tree *tree = packed_map_tree(*map);
    struct packed_leaf *right = leaf->next;
    struct ordered_map_cursor last, first;
    char staged[PACKED_HEAD_BYTES_MAX + PACKED_LEAF_USED_MAX];
    packed_run_seek(&leaf->run, &tree->marks, (int64_t)leaf->run.count - 1, &last);
    packed_run_begin(&right->run, &first);
    packed_run_step(&first);
    struct packed_key last_key = packed_cursor_key(&last), first_key = packed_cursor_key(&first);
    size_t size = packed_put_head(staged, &last_key, &first_key, packed_cursor_control(&first));
    size_t rest = right->run.used - first.tail;
    require(size + rest <= sizeof(staged));
    memcpy(staged + size, packed_run_bytes(&right->run) + first.tail, rest);
    uint32_t moved = right->run.count, used = leaf->run.used;
    bool is_special = right->run.is_special;
    packed_leaf_count(tree, right, -(int64_t)moved);
    packed_leaf_drop(tree, right);
    struct packed_run *run = run_splice(map, &leaf->run, used, used, staged, size + rest);
    run->is_special |= is_special;
    packed_leaf_count(tree, packed_run_leaf(run), moved);
}

/* Makes room for an element at `index`, in the leaf's middle. Where insertions follow each other
 * the cut is at their place and what lies behind goes on to the next leaf, so that leaves become
 * full; else each part gets half of the bytes. */
static void leaf_divide(struct ordered_map **map, struct packed_leaf *leaf, uint32_t index) {
    const struct packed_mark *mark = &packed_map_tree(*map)->marks.marks[1];
    bool follows = mark->run == &leaf->run && (index == mark->index || index == mark->index + 1);
    leaf = leaf_split(map, leaf, follows ? index : 0);
    struct packed_leaf *right = leaf->next, *next = right->next;
    /* The first name there is told in other words, a little longer at most. */
    if (follows && next != NULL &&
        right->run.used + next->run.used <= PACKED_LEAF_USED_MAX - 2 * VARINT_BYTES_MAX) {
        leaf_join(map, right);
    }
}

/* Splits a leaf that has too much, joins one that has little, makes a small map of a small tree.
 * True when elements may have moved to other runs. */
static bool map_rebalance(struct ordered_map **map, struct packed_run *run) {
    struct packed_tree *tree = packed_map_tree(*map);
    if (tree == NULL) {
        if (run->used <= PACKED_SMALL_USED_MAX) {
            return false;
        }
        packed_map_to_tree(map);
        return true;
    }
    struct packed_leaf *leaf = packed_run_leaf(run), *next = leaf->next;
    bool is_changed = leaf->run.used > PACKED_LEAF_USED_MAX;
    while (is_changed && leaf != next) {
        /* A half may still have too much, since its first name is now told in full. */
        leaf = leaf->run.used > PACKED_LEAF_USED_MAX ? leaf_split(map, leaf, 0) : leaf->next;
    }
    if (is_changed || leaf->run.used > LEAF_USED_FEW) {
        return is_changed;
    }
    if (leaf->next != NULL && leaf->run.used + leaf->next->run.used <= LEAF_USED_JOINED_MAX) {
        leaf_join(map, leaf);
        is_changed = true;
    } else if (leaf->previous != NULL &&
               leaf->run.used + leaf->previous->run.used <= LEAF_USED_JOINED_MAX) {
        leaf_join(map, leaf->previous);
        is_changed = true;
    }
    if (tree->levels == 0 && tree->first->run.used <= SMALL_USED_AGAIN) {
        packed_map_to_small(map);
        is_changed = true;
    }
    return is_changed;
}

/* ---- blocks of values ---- */

static void block_free(struct ordered_map **map, const struct ordered_map_cursor *cursor) {
    void *block = packed_cursor_block(cursor);
    if (block != NULL) {
        struct packed_tree *tree = packed_map_tree(*map);
        if (tree != NULL) {
            tree->bytes -= memory_class_bytes(cursor->element.value.size);
        }
        memory_free_sized(block, cursor->element.value.size);
    }
}

bool ordered_map_copy_value(struct slice value, char **block) {
    *block = NULL;
    if (value.size > ORDERED_MAP_INLINE_BYTES) {
        require(value.size <= ORDERED_MAP_VALUE_BYTES_MAX);
        *block = memory_try_alloc(value.size);
        if (*block == NULL) {
            return false;
        }
        memcpy(*block, value.data, value.size);
    }
    return true;
}

static inline void block_count(struct ordered_map **map, const char *block, size_t size) {
    struct packed_tree *tree = packed_map_tree(*map);
    if (tree != NULL && block != NULL) {
        tree->bytes += memory_class_bytes(size);
    }
}

/* Shows flagged elements from index `from` on, up to `to`, and frees their blocks. */
static void run_release(struct ordered_map **map, struct packed_run *run, uint32_t from,
                        uint32_t to, ordered_map_visit_fn visit, void *udata) {
    if (!run->is_special) {
        return;
    }
    struct ordered_map_cursor cursor;
    packed_run_begin(run, &cursor);
    while (cursor.next_index < to) {
        packed_run_step(&cursor);
        if (cursor.next_index > from) {
            if (cursor.element.flags != 0 && visit != NULL) {
                visit(&cursor.element, udata);
            }
            block_free(map, &cursor);
        }
    }
}

/* ---- lifecycle ---- */

void ordered_map_free(struct ordered_map **map, ordered_map_visit_fn visit, void *udata) {
    ordered_map_remove_first(map, UINT64_MAX, visit, udata);
    ensure(*map == NULL);
}

/* ---- changes ---- */

/* An element on its way in: its tail is ready. */
struct incoming {
    struct packed_key key;
    uint8_t control;
    bool is_special;
    size_t tail_size;
    char tail[PACKED_TAIL_BYTES_MAX];
};

/* Puts the element between `previous` (or the beginning of the run) and `next`, which follows it in
 * its run, or is NULL at the end. False, with nothing changed, when the run would be longer than
 * `used_max`. */
static bool run_place(struct ordered_map **map, const struct incoming *incoming,
                      const struct ordered_map_cursor *previous,
                      const struct ordered_map_cursor *next, uint32_t used_max) {
    struct packed_run *run = previous->run;
    char staged[STAGED_BYTES_MAX];
    struct packed_key previous_key = packed_cursor_key(previous);
    size_t size = packed_put_head(staged, &previous_key, &incoming->key, incoming->control);
    memcpy(staged + size, incoming->tail, incoming->tail_size);
    size += incoming->tail_size;
    uint32_t from = previous->end, to = from;
    if (next != NULL) {
        /* What comes behind leans on the new element now. */
        struct packed_key next_key = packed_cursor_key(next);
        size +=
            packed_put_head(staged + size, &incoming->key, &next_key, packed_cursor_control(next));
        to = next->tail;
    }
    require(size <= sizeof(staged));
    if (run->used - (to - from) + size > used_max) {
        return false;
    }
    run = run_splice(map, run, from, to, staged, size);
    run_count(map, run, 1);
    run->is_special |= incoming->is_special;
    struct packed_marks *marks = run_marks(map);
    if (marks != NULL) {
        packed_mark_set(&marks->marks[1], previous, run);
    }
    return true;
}

/* The leaf has no room at `previous`: puts the element behind its end or before its beginning, into
 * the leaf there or one of its own. False when it belongs inside, and the leaf is now split. */
static bool leaf_overflow(struct ordered_map **map, const struct incoming *incoming,
                          const struct ordered_map_cursor *previous,
                          const struct ordered_map_cursor *next) {
    struct packed_tree *tree = packed_map_tree(*map);
    struct packed_leaf *leaf = packed_run_leaf(previous->run);
    struct ordered_map_cursor begin, first;
    if (next == NULL && leaf->next != NULL) {
        packed_run_begin(&leaf->next->run, &begin);
        (void)packed_leaf_begin(leaf->next, &first);
        if (run_place(map, incoming, &begin, &first, PACKED_LEAF_USED_MAX)) {
            return true;
        }
    }
    if (next != NULL && previous->next_index > 0) {
        leaf_divide(map, leaf, previous->next_index);
        return false;
    }
    leaf = packed_leaf_new(tree, leaf, next == NULL, incoming->tail_size);
    packed_run_begin(&leaf->run, &begin);
    bool is_placed = run_place(map, incoming, &begin, NULL, PACKED_LEAF_USED_MAX);
    ensure(is_placed);
    return true;
}

/* Finds the place in its leaf and puts the element there; false when the map took another shape
 * first. */
static bool map_place(struct ordered_map **map, const struct incoming *incoming) {
    struct packed_marks none = {.marks = {{.run = NULL}}};
    struct packed_marks *marks = run_marks(map);
    if (marks == NULL) {
        marks = &none;
    }
    struct packed_run *run = packed_map_find(*map, incoming->key.name);
    struct ordered_map_cursor next, before;
    const struct ordered_map_cursor *previous = &next;
    bool is_inside = packed_run_lower_bound(run, marks, incoming->key.name, &next);
    if (is_inside) {
        require(!slice_equal(next.element.name, incoming->key.name));
        packed_run_seek(run, marks, (int64_t)next.next_index - 2, &before);
        previous = &before;
    }
    const struct ordered_map_cursor *behind = is_inside ? &next : NULL;
    bool is_tree = marks != &none;
    if (run_place(map, incoming, previous, behind,
                  is_tree ? PACKED_LEAF_USED_MAX : PACKED_SMALL_USED_MAX)) {
        return true;
    }
    if (is_tree) {
        return leaf_overflow(map, incoming, previous, behind);
    }
    packed_map_to_tree(map);
    return false;
}

void ordered_map_insert_copied(struct ordered_map **map, const struct ordered_map_element *element,
                               char *block) {
    require(element->name.size <= ORDERED_MAP_NAME_BYTES_MAX);
    require(element->flags <= ORDERED_MAP_FLAGS_MAX);
    struct incoming incoming;
    incoming.key = (struct packed_key){.name = element->name, .stamp = element->stamp};
    char name[ORDERED_MAP_NAME_BYTES_MAX];
    if (element->name.size > 0) {
        memcpy(name, element->name.data, element->name.size); /* it may lie in what moves */
    }
    incoming.key.name.data = name;
    incoming.tail_size = packed_put_tail(incoming.tail, element, block, &incoming.control);
    incoming.is_special = element->flags != 0 || block != NULL;
    if (*map == NULL) {
        *map = memory_alloc_zero(packed_small_bytes(0));
    }
    while (!map_place(map, &incoming)) {
    }
    block_count(map, block, element->value.size);
}

bool ordered_map_insert(struct ordered_map **map, const struct ordered_map_element *element) {
    char *block;
    if (!ordered_map_copy_value(element->value, &block)) {
        return false;
    }
    ordered_map_insert_copied(map, element, block);
    return true;
}

bool ordered_map_push_copied(struct ordered_map **map, const struct ordered_map_cursor *end,
                             bool is_first, const struct ordered_map_element *element,
                             char *block) {
    /* What is more than putting bytes at the end of a run is done as for any other element. */
    if (end == NULL || element->flags != 0 || block != NULL) {
        ordered_map_insert_copied(map, element, block);
        return false;
    }
    struct incoming incoming;
    struct ordered_map_cursor begin;
    incoming.key = (struct packed_key){.name = element->name, .stamp = element->stamp};
    incoming.tail_size = packed_put_tail(incoming.tail, element, NULL, &incoming.control);
    incoming.is_special = false;
    uint32_t used_max =
        packed_map_tree(*map) != NULL ? PACKED_LEAF_USED_MAX : PACKED_SMALL_USED_MAX;
    bool is_placed;
    if (is_first) {
        packed_run_begin(end->run, &begin);
        is_placed = run_place(map, &incoming, &begin, end, used_max);
    } else {
        is_placed = run_place(map, &incoming, end, NULL, used_max);
    }
    if (!is_placed) {
        ordered_map_insert_copied(map, element, NULL);
    }
    return is_placed;
}

void ordered_map_follow(const struct ordered_map *map, struct ordered_map_cursor *end,
                        bool is_first, bool is_placed) {
    if (!is_placed) {
        bool is_there = is_first ? ordered_map_first(map, end) : ordered_map_last(map, end);
        ensure(is_there);
        return;
    }
    const struct packed_tree *tree = packed_map_tree(map);
    struct packed_run *run =
        tree == NULL ? packed_map_run(map) : &(is_first ? tree->first : tree->last)->run;
    if (is_first) {
        packed_run_begin(run, end);
    }
    end->run = run;
    packed_run_step(end);
}

bool ordered_map_push(struct ordered_map **map, struct ordered_map_cursor *end, bool is_first,
                      const struct ordered_map_element *element) {
    char *block;
    if (!ordered_map_copy_value(element->value, &block)) {
        return false;
    }
    bool is_placed = ordered_map_push_copied(map, end, is_first, element, block);
    if (end != NULL) {
        ordered_map_follow(*map, end, is_first, is_placed);
    }
    return true;
}

void ordered_map_replace_copied(struct ordered_map **map, struct ordered_map_cursor *cursor,
                                uint64_t stamp, unsigned flags, struct slice value, char *block) {
    require(flags <= ORDERED_MAP_FLAGS_MAX);
    char staged[STAGED_BYTES_MAX], tail[PACKED_TAIL_BYTES_MAX];
    uint8_t control;
    struct ordered_map_element element = {.flags = flags, .value = value};
    size_t tail_size = packed_put_tail(tail, &element, block, &control);
    size_t size = packed_put_head_again(staged, cursor, cursor->previous_stamp, stamp, control);
    memcpy(staged + size, tail, tail_size);
    size += tail_size;
    uint32_t to = cursor->end;
    if (cursor->next_index < cursor->run->count) {
        struct ordered_map_cursor next;
        packed_cursor_copy(&next, cursor);
        packed_run_step(&next);
        size += packed_put_head_again(staged + size, &next, stamp, next.stamp,
                                      packed_cursor_control(&next));
        to = next.tail;
    }
    block_free(map, cursor);
    block_count(map, block, value.size);
    cursor->run = run_splice(map, cursor->run, cursor->start, to, staged, size);
    cursor->run->is_special |= flags != 0 || block != NULL;
    packed_run_reread(cursor);
    if (map_rebalance(map, cursor->run)) {
        char name[ORDERED_MAP_NAME_BYTES_MAX];
        memcpy(name, cursor->name, cursor->name_size);
        bool is_there = ordered_map_find(*map, slice_make(name, cursor->name_size), cursor);
        ensure(is_there);
    }
}

bool ordered_map_replace(struct ordered_map **map, struct ordered_map_cursor *cursor,
                         uint64_t stamp, unsigned flags, struct slice value) {
    char *block;
    if (!ordered_map_copy_value(value, &block)) {
        return false;
    }
    ordered_map_replace_copied(map, cursor, stamp, flags, value, block);
    return true;
}

/* Takes out elements [from, to) of a run that keeps others. */
static struct packed_run *run_cut(struct ordered_map **map, struct packed_run *run, uint32_t from,
                                  uint32_t to) {
    struct packed_marks none = {.marks = {{.run = NULL}}};
    struct packed_marks *marks = run_marks(map);
    marks = marks != NULL ? marks : &none;
    struct ordered_map_cursor previous, next;
    char head[PACKED_HEAD_BYTES_MAX];
    size_t size = 0;
    uint32_t end = run->used;
    packed_run_seek(run, marks, (int64_t)from - 1, &previous);
    if (to < run->count) {
        packed_run_seek(run, marks, (int64_t)to, &next);
        struct packed_key previous_key = packed_cursor_key(&previous),
                          next_key = packed_cursor_key(&next);
        size = packed_put_head(head, &previous_key, &next_key, packed_cursor_control(&next));
        end = next.tail;
    }
    run = run_splice(map, run, previous.end, end, head, size);
    run_count(map, run, -(int64_t)(to - from));
    return run;
}

/* Takes out elements [from, to) of a run, whose blocks are free; returns the run, or another one
 * when that is gone, or NULL when the map is. */
static struct packed_run *run_remove(struct ordered_map **map, struct packed_run *run,
                                     uint32_t from, uint32_t to) {
    if (from > 0 || to < run->count) {
        return run_cut(map, run, from, to);
    }
    struct packed_tree *tree = packed_map_tree(*map);
    run_count(map, run, -(int64_t)to);
    if (tree == NULL || tree->levels == 0) {
        map_free_empty(map);
        return NULL;
    }
    struct packed_leaf *leaf = packed_run_leaf(run),
                       *other = leaf->next != NULL ? leaf->next : leaf->previous;
    packed_leaf_drop(tree, leaf);
    return &other->run;
}

static bool has_run_behind(const struct ordered_map *map, struct packed_run *run) {
    return packed_map_tree(map) != NULL && packed_run_leaf(run)->next != NULL;
}

bool ordered_map_remove(struct ordered_map **map, struct ordered_map_cursor *cursor) {
    struct packed_run *run = cursor->run;
    struct ordered_map_cursor next;
    uint32_t index = cursor->next_index - 1;
    bool is_last_of_run = cursor->next_index == run->count;
    bool has_next = !is_last_of_run || has_run_behind(*map, run);
    if (has_next) {
        packed_cursor_copy(&next, cursor);
        (void)ordered_map_next(*map, &next);
    }
    block_free(map, cursor);
    if (is_last_of_run && index > 0) {
        run = run_splice(map, run, cursor->start, run->used, "", 0);
        run_count(map, run, -1);
    } else {
        run = run_remove(map, run, index, index + 1);
    }
    bool is_moved = run != NULL && map_rebalance(map, run);
    if (!has_next) {
        return false;
    }
    if (is_moved || is_last_of_run) {
        bool is_there = ordered_map_find(*map, slice_make(next.name, next.name_size), cursor);
        ensure(is_there);
    } else {
        struct packed_marks *marks = run_marks(map);
        packed_run_seek(run, marks != NULL ? marks : PACKED_NO_MARKS, index, cursor);
    }
    return true;
}

bool ordered_map_remove_range(struct ordered_map **map, struct ordered_map_cursor *cursor,
                              uint64_t count, ordered_map_visit_fn visit, void *udata) {
    uint64_t rank = ordered_map_rank(*map, cursor);
    bool is_there = true;
    while (is_there && count > 0) {
        struct packed_run *run = cursor->run;
        uint32_t from = cursor->next_index - 1;
        uint32_t part = count < run->count - from ? (uint32_t)count : run->count - from;
        run_release(map, run, from, from + part, visit, udata);
        run = run_remove(map, run, from, from + part);
        if (run != NULL) {
            (void)map_rebalance(map, run);
        }
        count -= part;
        is_there = ordered_map_at(*map, rank, cursor);
    }
    return is_there;
}

static void map_remove_end(struct ordered_map **map, uint64_t count, bool is_first,
                           ordered_map_visit_fn visit, void *udata) {
    while (count > 0 && *map != NULL) {
        const struct packed_tree *tree = packed_map_tree(*map);
        struct packed_run *run =
            tree == NULL ? packed_map_run(*map) : &(is_first ? tree->first : tree->last)->run;
        uint32_t part = count < run->count ? (uint32_t)count : run->count;
        uint32_t from = is_first ? 0 : run->count - part;
        run_release(map, run, from, from + part, visit, udata);
        run = run_remove(map, run, from, from + part);
        count -= part;
        if (run != NULL && count == 0) {
            (void)map_rebalance(map, run);
        }
    }
}

void ordered_map_remove_first(struct ordered_map **map, uint64_t count, ordered_map_visit_fn visit,
                              void *udata) {
    map_remove_end(map, count, true, visit, udata);
}

void ordered_map_remove_last(struct ordered_map **map, uint64_t count, ordered_map_visit_fn visit,
                             void *udata) {
    map_remove_end(map, count, false, visit, udata);
}

/* ---- small maps as bytes ---- */

bool ordered_map_has_bytes(const struct ordered_map *map) {
    return map != NULL && !packed_map_run(map)->is_tree && !packed_map_run(map)->is_special;
}

bool ordered_map_fits_bytes(const struct ordered_map *map) {
    return ordered_map_has_bytes(map) &&
           packed_map_run(map)->used <= PACKED_SMALL_USED_MAX - VARINT_BYTES_MAX;
}

uint64_t ordered_map_best_base(const struct ordered_map *map) {
    require(ordered_map_has_bytes(map));
    return packed_run_best_base(packed_map_run(map));
}

void ordered_map_put_bytes(struct buffer *out, const struct ordered_map *map, uint64_t base) {
    require(ordered_map_has_bytes(map));
    packed_run_put_bytes(out, packed_map_run(map), base);
}

const struct ordered_map *ordered_map_read_bytes(struct ordered_map_block *block,
                                                 struct slice bytes, uint64_t count,
                                                 uint64_t base) {
    struct packed_run *run = (struct packed_run *)(void *)block;
    require(count <= PACKED_RUN_BYTES_MAX);
    packed_run_take_bytes(run, bytes, (uint32_t)count, base);
    return (const struct ordered_map *)(void *)run;
}

struct ordered_map *ordered_map_copy(const struct ordered_map *map) {
    require(ordered_map_has_bytes(map));
    const struct packed_run *from = packed_map_run(map);
    struct packed_run *run = memory_alloc(packed_small_bytes(from->used));
    memcpy(run, from, sizeof(*from) + from->used);
    return (struct ordered_map *)(void *)run;
}

struct ordered_map *ordered_map_take_bytes(struct slice bytes, uint64_t count, uint64_t base) {
    struct ordered_map_block block;
    return ordered_map_copy(ordered_map_read_bytes(&block, bytes, count, base));
}

/* ---- introspection ---- */

uint64_t ordered_map_memory_bytes(const struct ordered_map *map) {
    if (map == NULL) {
        return 0;
    }
    const struct packed_tree *tree = packed_map_tree(map);
    if (tree != NULL) {
        return tree->bytes;
    }
    return packed_small_bytes(packed_map_run(map)->used) +
           packed_run_block_bytes(packed_map_run(map));
}
