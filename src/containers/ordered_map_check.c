/* SPDX-License-Identifier: BSD-3-Clause */
/* Asserting the invariants of an ordered map, in both forms. */
#include "containers/ordered_map.h"

#include "base/check.h"
#include "base/memory.h"
#include "containers/packed_tree.h"

/* What a check found on its way. */
struct checked {
    const struct packed_tree *tree; /* NULL: a small map */
    struct packed_leaf *previous;
    uint64_t bytes;
    uint32_t name_size; /* of the last name */
    bool has_name;
    unsigned marks_count;
    char name[ORDERED_MAP_NAME_BYTES_MAX];
};

static void check_marks(struct checked *checked, const struct ordered_map_cursor *cursor) {
    for (unsigned i = 0; checked->tree != NULL && i < PACKED_MARKS_COUNT; i++) {
        const struct packed_mark *mark = &checked->tree->marks.marks[i];
        if (mark->run == cursor->run && mark->offset == cursor->end) {
            require(mark->index == cursor->next_index); /* I5 */
            require(mark->stamp == cursor->stamp);
            require(mark->name_size == cursor->name_size);
            require(memcmp(mark->name, cursor->name, mark->name_size) == 0);
            checked->marks_count++;
        }
    }
}

static void check_run(struct checked *checked, struct packed_run *run) {
    struct ordered_map_cursor cursor;
    require(!run->is_tree);
    require(run->count > 0); /* I2 */
    packed_run_begin(run, &cursor);
    check_marks(checked, &cursor);
    while (cursor.next_index < run->count) {
        packed_run_step(&cursor);
        require(cursor.end <= run->used);
        check_marks(checked, &cursor);
        struct slice name = cursor.element.name;
        require(!checked->has_name ||
                slice_compare(slice_make(checked->name, checked->name_size), name) < 0); /* I1 */
        checked->has_name = true;
        checked->name_size = cursor.name_size;
        memcpy(checked->name, name.data, name.size);
        void *block = packed_cursor_block(&cursor);
        require((block != NULL) == (cursor.element.value.size > ORDERED_MAP_INLINE_BYTES));
        require(run->is_special || (block == NULL && cursor.element.flags == 0));
        checked->bytes += block != NULL ? memory_class_bytes(cursor.element.value.size) : 0;
    }
    require(cursor.end == run->used); /* I2 */
}

static void check_leaf(struct packed_leaf *leaf, void *udata) {
    struct checked *checked = (struct checked *)udata;
    require(leaf->previous == checked->previous); /* I4 */
    require(leaf->previous == NULL || leaf->previous->next == leaf);
    require(leaf->run.used <= PACKED_LEAF_USED_MAX);
    require(sizeof(*leaf) + leaf->run.used <= leaf->capacity);
    checked->previous = leaf;
    checked->bytes += leaf->capacity;
    check_run(checked, &leaf->run);
}

void ordered_map_check(const struct ordered_map *map) {
    if (map == NULL) {
        return;
    }
    struct checked checked = {.tree = packed_map_tree(map)};
    const struct packed_tree *tree = checked.tree;
    if (tree == NULL) {
        struct packed_run *run = packed_map_run(map);
        require(run->used <= PACKED_SMALL_USED_MAX);
        checked.bytes = packed_small_bytes(run->used);
        check_run(&checked, run);
    } else {
        uint64_t bytes = packed_tree_check(tree, check_leaf, &checked); /* I3 */
        checked.bytes += bytes;
        require(checked.previous == tree->last); /* I4 */
        require(tree->last->next == NULL);
        require(tree->first->previous == NULL);
        unsigned marks = 0;
        for (unsigned i = 0; i < PACKED_MARKS_COUNT; i++) {
            marks += tree->marks.marks[i].run != NULL;
        }
        require(marks == checked.marks_count); /* I5: none lies elsewhere */
    }
    require(checked.bytes == ordered_map_memory_bytes(map)); /* I6 */
}
