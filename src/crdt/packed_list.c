/* SPDX-License-Identifier: BSD-3-Clause */
#include "crdt/packed_list.h"

#include "base/check.h"
#include "base/codec.h"

/* ---- reading ---- */

const struct ordered_map *packed_list_map(const struct packed_authors *authors, struct slice packed,
                                          struct ordered_map_block *block) {
    struct packed_reader reader;
    packed_reader_init(&reader, packed);
    require(reader.type == VALUE_LIST);
    struct slice bytes = slice_skip(packed, reader.at);
    return packed_list_is_told(packed)
               ? packed_told_map(authors, bytes, reader.count, reader.base, block)
               : ordered_map_read_bytes(block, bytes, reader.count, reader.base);
}

bool packed_list_is_whole(struct slice packed) {
    return ((uint8_t)packed.data[0] & PACKED_IS_WHOLE) != 0;
}

void packed_list_begin_told(struct packed_told_reader *told, const struct packed_authors *authors,
                            struct slice packed) {
    struct packed_reader reader;
    packed_reader_init(&reader, packed);
    packed_told_begin(told, authors, slice_skip(packed, reader.at), reader.base);
}

void packed_walk_init(struct packed_walk *walk, const struct packed_authors *authors,
                      struct slice packed) {
    packed_reader_init(&walk->reader, packed);
    walk->is_begun = false;
    walk->is_list = walk->reader.type == VALUE_LIST;
    walk->left = walk->reader.count;
    walk->is_told = walk->is_list && packed_list_is_told(packed);
    if (walk->is_told) {
        packed_list_begin_told(&walk->told, authors, packed);
    } else if (walk->is_list) {
        walk->map = packed_list_map(authors, packed, &walk->block);
    }
}

bool packed_walk_next(struct packed_walk *walk, struct packed_element *element) {
    const struct ordered_map_element *read = &walk->cursor.element;
    if (!walk->is_list) {
        return packed_next(&walk->reader, element);
    }
    if (walk->left == 0) {
        return false;
    }
    if (walk->is_told) {
        packed_told_next(&walk->told);
        read = &walk->told.element;
    } else if (walk->is_begun) {
        (void)ordered_map_next(walk->map, &walk->cursor);
    } else {
        (void)ordered_map_first(walk->map, &walk->cursor);
    }
    walk->is_begun = true;
    walk->left--;
    *element =
        (struct packed_element){.name = read->name, .value = read->value, .stamp = read->stamp};
    return true;
}

/* ---- changing at an end ---- */

bool packed_list_end(const struct packed_authors *authors, struct slice packed, bool is_first,
                     struct packed_list_end *end) {
    struct packed_reader reader;
    packed_reader_init(&reader, packed);
    struct slice bytes = slice_skip(packed, reader.at);
    if (packed_list_is_told(packed)) {
        packed_told_end(authors, bytes, reader.count, reader.base, is_first, end);
        return true;
    }
    return ordered_map_bytes_end(bytes, reader.count, reader.base, is_first, &end->at);
}

/* The head byte, count and base, with room behind for the elements. */
static void put_list_head(struct buffer *out, uint8_t head, uint64_t count, uint64_t base) {
    buffer_append_byte(out, head);
    codec_put_varint(out, count);
    buffer_append(out, &base, sizeof(base));
}

static void set_base(struct buffer *out, size_t elements_at, uint64_t base) {
    memcpy(out->data + elements_at - sizeof(base), &base, sizeof(base));
}

bool packed_list_push(struct buffer *out, struct packed_authors *authors, struct slice packed,
                      const struct packed_list_end *end, const struct ordered_map_element *element,
                      bool raises) {
    struct packed_reader reader;
    struct ordered_map_element told = *element;
    packed_reader_init(&reader, packed);
    uint64_t base = reader.base;
    bool has_one_stamp = packed_has_one_stamp(packed);
    if (has_one_stamp && !raises) {
        return false;
    }
    if (has_one_stamp) {
        told.stamp = base;
    }
    size_t begin = out->size;
    put_list_head(out, (uint8_t)packed.data[0], reader.count + 1, base);
    size_t elements_at = out->size;
    struct slice bytes = slice_skip(packed, reader.at);
    if (packed_list_is_told(packed)
            ? !packed_told_push(out, authors, bytes, reader.count, end, &told, &base)
            : !ordered_map_bytes_push(out, bytes, reader.count, &end->at, &told, &base)) {
        out->size = begin;
        return false;
    }
    set_base(out, elements_at, has_one_stamp ? element->stamp : base);
    return true;
}

bool packed_list_pop(struct buffer *out, struct packed_authors *authors, struct slice packed,
                     const struct packed_list_end *end) {
    struct packed_reader reader;
    packed_reader_init(&reader, packed);
    uint64_t base = reader.base;
    size_t begin = out->size;
    put_list_head(out, (uint8_t)((uint8_t)packed.data[0] & ~PACKED_IS_WHOLE), reader.count - 1,
                  base);
    size_t elements_at = out->size;
    struct slice bytes = slice_skip(packed, reader.at);
    if (!packed_list_is_told(packed)) {
        ordered_map_bytes_pop(out, bytes, &end->at, &base);
    } else if (!packed_told_pop(out, authors, bytes, reader.count, end, &base)) {
        out->size = begin;
        return false;
    }
    set_base(out, elements_at, base);
    return true;
}

/* ---- changing anywhere ---- */

void packed_list_seek(struct packed_told_place *place, const struct packed_authors *authors,
                      struct slice packed, uint64_t index) {
    struct packed_reader reader;
    packed_reader_init(&reader, packed);
    packed_told_seek(place, authors, slice_skip(packed, reader.at), reader.count, reader.base,
                     index);
}

void packed_list_find(struct packed_told_place *place, const struct packed_authors *authors,
                      struct slice packed, struct slice name) {
    struct packed_reader reader;
    packed_reader_init(&reader, packed);
    packed_told_find(place, authors, slice_skip(packed, reader.at), reader.count, reader.base,
                     name);
}

bool packed_list_change(struct buffer *out, struct packed_authors *authors, struct slice packed,
                        struct packed_told_place *place, bool removes,
                        const struct ordered_map_element *element) {
    struct packed_reader reader;
    packed_reader_init(&reader, packed);
    uint64_t base = reader.base;
    size_t begin = out->size;
    require(packed_list_is_told(packed));
    put_list_head(out, (uint8_t)packed.data[0], reader.count - removes + (element != NULL), base);
    size_t elements_at = out->size;
    if (!packed_told_change(out, authors, slice_skip(packed, reader.at), reader.count, place,
                            removes, element, &base)) {
        out->size = begin;
        return false;
    }
    set_base(out, elements_at, base);
    if (!removes || element == NULL) {
        packed_list_break(out->data + begin);
    }
    return true;
}

/* ---- changing ---- */

void packed_list_open(struct packed_list *list, struct packed_authors *authors, struct slice packed,
                      bool raises) {
    *list = (struct packed_list){.authors = authors, .is_raised = raises, .is_whole = true};
    if (packed.size > 0) {
        struct packed_reader reader;
        packed_reader_init(&reader, packed);
        require(reader.type == VALUE_LIST);
        list->base = list->newest = reader.base;
        list->is_raised = raises && packed_has_one_stamp(packed);
        list->is_whole = packed_list_is_whole(packed);
        struct ordered_map_block block;
        list->map = ordered_map_copy(packed_list_map(authors, packed, &block));
    }
}

/* Tells the elements of the list at `begin` in the other way, if that is shorter. */
static void put_told(struct buffer *out, const struct packed_list *list, size_t begin,
                     size_t elements_at) {
    size_t told_at = out->size;
    uint64_t base;
    if (packed_told_put(out, list->authors, list->map, &base) &&
        out->size - told_at < told_at - elements_at) {
        out->data[begin] = (char)((uint8_t)out->data[begin] | PACKED_IS_TOLD);
        set_base(out, elements_at, base);
        memmove(out->data + elements_at, out->data + told_at, out->size - told_at);
        out->size -= told_at - elements_at;
    } else {
        out->size = told_at;
    }
}

void packed_list_put(struct buffer *out, const struct packed_list *list) {
    uint64_t base = list->is_raised ? list->base : ordered_map_best_base(list->map);
    uint64_t told = list->is_raised ? list->newest : base;
    unsigned head = VALUE_LIST | (list->is_raised ? PACKED_HAS_ONE_STAMP : 0U) |
                    (list->is_whole ? PACKED_IS_WHOLE : 0U);
    size_t begin = out->size;
    put_list_head(out, (uint8_t)head, ordered_map_count(list->map), told);
    size_t elements_at = out->size;
    ordered_map_put_bytes(out, list->map, base);
    /* What has one stamp, or stamps that follow each other, is told in few bytes already. */
    if (!list->is_raised && !ordered_map_bytes_are_alike(
                                slice_make(out->data + elements_at, out->size - elements_at))) {
        put_told(out, list, begin, elements_at);
    }
}

struct ordered_map *packed_list_take(struct packed_list *list, struct slice name, uint64_t stamp) {
    struct ordered_map_cursor cursor;
    bool is_there = list->is_raised && ordered_map_first(list->map, &cursor);
    while (is_there) {
        uint64_t own = slice_equal(cursor.element.name, name) ? stamp : list->newest;
        bool has_memory = ordered_map_replace(&list->map, &cursor, own, 0, cursor.element.value);
        require(has_memory); /* values are short: they need none of their own */
        is_there = ordered_map_next(list->map, &cursor);
    }
    struct ordered_map *map = list->map;
    list->map = NULL;
    return map;
}

void packed_list_close(struct packed_list *list) {
    ordered_map_free(&list->map, NULL, NULL);
}
