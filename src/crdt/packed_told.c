/* SPDX-License-Identifier: BSD-3-Clause */
#include "crdt/packed_told.h"

#include <assert.h>

#include "base/check.h"
#include "base/varint.h"
#include "crdt/list_position.h"

enum {
    NAME_SUCCESSOR = 0,
    NAME_ROOT = 1,
    NAME_INDEX = 2,
    NAME_FIRST_RIGHT = 1, /* of the first element */
    NAME_FIRST_LEFT = 2,
    NAME_TOLD = 3,
    NAME_OTHER_ROOT = 4, /* of the writer: told, but in one byte */
    NAME_MASK = 3,

    TOLD_BITS = 2,
    TOLD_MASK = 3,
    TOLD_REST = 0,
    TOLD_MIDDLE = 1,
    TOLD_OTHER_ROOT = 2,

    STAMP_NEXT = 0,
    STAMP_TICKS = 1,
    STAMP_NEAR = 2,
    STAMP_FAR = 3,
    STAMP_MASK = 3,
    STAMP_SHIFT = 2,

    TICKS_TWO_BYTES = 1 << 14,
    COUNTER_MASK = (1 << STAMP_COUNTER_BITS) - 1,
    NEAR_COUNTER_BITS = 8,
    NEAR_MS_BITS = 16,
    NEAR_BYTES = 3,
    FAR_COUNTER_BITS = STAMP_COUNTER_BITS,
    FAR_MS_BITS = 20,
    FAR_BYTES = 4,

    AUTHOR_SHIFT = 4,
    AUTHOR_FOLLOWS = 15,

    /* All of an element but the bytes of its name and value. */
    REST_BYTES_MAX = 1 + 3 + VARINT_BYTES_MAX + 3 + 3 + 3,
    /* In an ordered map: of an element what is not name, stamp or value; a stamp; and the head with
     * the first stamp, which is told in full. */
    RUN_REST_BYTES_MAX = 1 + 5 + 3,
    RUN_STAMP_BYTES_MAX = VARINT_BYTES_MAX,
    RUN_BEGIN_BYTES_MAX = 4 + RUN_STAMP_BYTES_MAX,
};

static_assert(NEAR_COUNTER_BITS + NEAR_MS_BITS == 8 * NEAR_BYTES, "near stamps are full");
static_assert(FAR_COUNTER_BITS + FAR_MS_BITS == 8 * FAR_BYTES, "far stamps are full");

/* ---- reading ---- */

void packed_told_begin(struct packed_told_reader *reader, const struct packed_authors *authors,
                       struct slice bytes, uint64_t base) {
    reader->authors = authors;
    reader->at = bytes.data;
    reader->end = bytes.data + bytes.size;
    uint64_t size = varint_take_own(&reader->at);
    reader->is_each_sized = size == 0;
    reader->value_size = (size_t)(size - 1);
    reader->is_begun = false;
    reader->ticks = stamp_ticks(base);
    reader->number = 0;
    reader->author = (struct packed_author){0};
    reader->element = (struct ordered_map_element){.name = {.data = reader->names[0]}};
    reader->name = reader->names[0];
    reader->other_name = reader->names[1];
}

static inline uint64_t take_apart_ticks(uint64_t previous, uint64_t told, unsigned counter_bits) {
    uint64_t ms =
        (previous >> STAMP_COUNTER_BITS) + (uint64_t)varint_unzigzag(told >> counter_bits);
    return ms << STAMP_COUNTER_BITS | (told & ((UINT64_C(1) << counter_bits) - 1));
}

static inline uint64_t take_ticks(uint64_t previous, unsigned what, const char **at) {
    uint32_t told = 0;
    switch (what >> STAMP_SHIFT & STAMP_MASK) {
    case STAMP_NEXT:
        return previous + 1;
    case STAMP_TICKS:
        return previous + (uint64_t)varint_unzigzag(varint_take_own(at));
    case STAMP_NEAR:
        memcpy(&told, *at, NEAR_BYTES);
        *at += NEAR_BYTES;
        return take_apart_ticks(previous, told, NEAR_COUNTER_BITS);
    default:
        memcpy(&told, *at, FAR_BYTES);
        *at += FAR_BYTES;
        return take_apart_ticks(previous, told, FAR_COUNTER_BITS);
    }
}

static void reader_turn_name(struct packed_told_reader *reader) {
    char *name = reader->name;
    reader->name = reader->other_name;
    reader->other_name = name;
    reader->other_size = reader->element.name.size;
}

/* The end of the list where the name's root is; some end, if it is no position. */
static inline bool is_at_right(struct slice name) {
    return name.size > 0 && ((uint8_t)name.data[0] & 0x80) != 0;
}

/* Each of these writes a name where the one before is not, and returns its size. */

static size_t take_first_name(struct packed_told_reader *reader, uint64_t base_ticks) {
    struct list_position_root root = {.is_right = (reader->what & NAME_MASK) == NAME_FIRST_RIGHT,
                                      .ticks = base_ticks,
                                      .ref = reader->author.ref};
    size_t size = (size_t)varint_take_own(&reader->at);
    reader_turn_name(reader);
    list_position_put_root(reader->name, &root);
    memcpy(reader->name + LIST_POSITION_ROOT_BYTES, reader->at, size);
    reader->at += size;
    return LIST_POSITION_ROOT_BYTES + size;
}

static size_t take_root_name(struct packed_told_reader *reader, bool is_right) {
    struct list_position_root root = {
        .is_right = is_right, .ticks = reader->ticks, .ref = reader->author.ref};
    reader_turn_name(reader);
    list_position_put_root(reader->name, &root);
    return LIST_POSITION_ROOT_BYTES +
           list_position_put_index_at(reader->name + LIST_POSITION_ROOT_BYTES, &root,
                                      reader->ticks);
}

static size_t take_index_name(struct packed_told_reader *reader) {
    struct slice previous = reader->element.name;
    struct list_position_root root;
    bool is_position = list_position_root(previous, &root);
    require(is_position);
    reader_turn_name(reader);
    memcpy(reader->name, previous.data, LIST_POSITION_ROOT_BYTES);
    return LIST_POSITION_ROOT_BYTES +
           list_position_put_index_at(reader->name + LIST_POSITION_ROOT_BYTES, &root,
                                      reader->ticks);
}

static size_t take_told_name(struct packed_told_reader *reader) {
    struct slice previous = reader->element.name;
    uint64_t number = varint_take_own(&reader->at);
    if ((number & TOLD_MASK) == TOLD_OTHER_ROOT) {
        return take_root_name(reader, !is_at_right(previous));
    }
    size_t size = (size_t)varint_take_own(&reader->at), shared = (size_t)(number >> TOLD_BITS);
    reader_turn_name(reader);
    memcpy(reader->name, previous.data, shared);
    memcpy(reader->name + shared, reader->at, size);
    reader->at += size;
    if ((number & TOLD_MASK) == TOLD_REST) {
        return shared + size;
    }
    memcpy(reader->name + shared + size, previous.data + shared + size,
           previous.size - shared - size);
    return previous.size;
}

static size_t take_name(struct packed_told_reader *reader, uint64_t base_ticks) {
    unsigned kind = reader->what & NAME_MASK;
    if (kind == NAME_TOLD) {
        return take_told_name(reader);
    }
    if (!reader->is_begun) {
        return take_first_name(reader, base_ticks);
    }
    return kind == NAME_ROOT ? take_root_name(reader, is_at_right(reader->element.name))
                             : take_index_name(reader);
}

void packed_told_next(struct packed_told_reader *reader) {
    struct ordered_map_element *element = &reader->element;
    require(reader->at < reader->end);
    unsigned what = (uint8_t)*reader->at++;
    reader->what = what;
    unsigned author = what >> AUTHOR_SHIFT;
    if (author != 0) {
        author += author == AUTHOR_FOLLOWS ? (unsigned)varint_take_own(&reader->at) : 0;
        reader->number = author;
        reader->author = packed_authors_at(reader->authors, author);
    }
    uint64_t before = reader->ticks;
    reader->ticks = take_ticks(before, what, &reader->at);
    size_t name_size = element->name.size;
    if ((what & NAME_MASK) == NAME_SUCCESSOR) {
        bytes_increment(reader->name, name_size);
    } else {
        name_size = take_name(reader, before);
    }
    size_t size = reader->is_each_sized ? (size_t)varint_take_own(&reader->at) : reader->value_size;
    element->name = slice_make(reader->name, name_size);
    element->stamp = stamp_make(reader->ticks, reader->author.slot);
    element->value = slice_make(reader->at, size);
    reader->at += size;
    reader->is_begun = true;
    require(reader->at <= reader->end);
}

const struct ordered_map *packed_told_map(const struct packed_authors *authors, struct slice bytes,
                                          uint64_t count, uint64_t base,
                                          struct ordered_map_block *block) {
    struct packed_told_reader reader;
    struct ordered_map_builder builder;
    packed_told_begin(&reader, authors, bytes, base);
    ordered_map_build(&builder, block);
    for (uint64_t i = 0; i < count; i++) {
        packed_told_next(&reader);
        ordered_map_build_add(&builder, &reader.element,
                              (reader.what & NAME_MASK) == NAME_SUCCESSOR);
    }
    ensure(reader.at == reader.end);
    return ordered_map_built(&builder);
}

/* ---- writing ---- */

/* What the next element is told against. */
struct told_writer {
    struct packed_authors *authors;
    bool is_each_sized;
    uint64_t ticks;
    unsigned number;
    struct packed_author author;
    struct slice name;
};

static size_t put_ticks(char *to, uint64_t previous, uint64_t ticks, unsigned *form) {
    uint64_t told = varint_zigzag((int64_t)(ticks - previous));
    if (ticks == previous + 1) {
        *form = STAMP_NEXT;
        return 0;
    }
    if (told >= TICKS_TWO_BYTES) {
        uint32_t counter = (uint32_t)(ticks & COUNTER_MASK);
        uint64_t ms = varint_zigzag(
            (int64_t)((ticks >> STAMP_COUNTER_BITS) - (previous >> STAMP_COUNTER_BITS)));
        if (ms >> NEAR_MS_BITS == 0 && counter >> NEAR_COUNTER_BITS == 0) {
            uint32_t number = (uint32_t)ms << NEAR_COUNTER_BITS | counter;
            *form = STAMP_NEAR;
            memcpy(to, &number, NEAR_BYTES);
            return NEAR_BYTES;
        }
        if (ms >> FAR_MS_BITS == 0) {
            uint32_t number = (uint32_t)ms << FAR_COUNTER_BITS | counter;
            *form = STAMP_FAR;
            memcpy(to, &number, FAR_BYTES);
            return FAR_BYTES;
        }
    }
    *form = STAMP_TICKS;
    return varint_put(to, told);
}

static size_t put_told_name(char *to, struct slice previous, struct slice name) {
    size_t common = previous.size < name.size ? previous.size : name.size;
    size_t shared = slice_shared_front(previous.data, name.data, common), end = name.size;
    bool is_same_size = previous.size == name.size;
    if (is_same_size) {
        end -= slice_shared_back(previous.data, name.data, common, shared);
    }
    size_t size = varint_put(to, shared << TOLD_BITS | (is_same_size ? TOLD_MIDDLE : TOLD_REST));
    size += varint_put(to + size, end - shared);
    memcpy(to + size, name.data + shared, end - shared);
    return size + end - shared;
}

/* Is that what stands behind the root in the name of an element that was put in at `ticks`? */
static bool is_index_at(struct slice rest, const struct list_position_root *root, uint64_t ticks) {
    char index[LIST_POSITION_INDEX_BYTES_MAX];
    return rest.size <= sizeof(index) && ticks >= root->ticks &&
           slice_equal(rest, slice_make(index, list_position_put_index_at(index, root, ticks)));
}

/* How the name is told, and the ref by which its author has to be called. */
static unsigned name_kind(const struct told_writer *writer,
                          const struct ordered_map_element *element, bool is_first, uint64_t *ref) {
    struct list_position_root root;
    struct slice name = element->name, previous = writer->name;
    uint64_t ticks = stamp_ticks(element->stamp);
    *ref = 0;
    if (!is_first && ordered_map_is_successor(name, previous)) {
        return NAME_SUCCESSOR;
    }
    if (!list_position_root(name, &root)) {
        return NAME_TOLD;
    }
    if (is_first) {
        *ref = root.ref;
        return root.is_right ? NAME_FIRST_RIGHT : NAME_FIRST_LEFT;
    }
    if (!is_index_at(slice_skip(name, LIST_POSITION_ROOT_BYTES), &root, ticks)) {
        return NAME_TOLD;
    }
    if (previous.size >= LIST_POSITION_ROOT_BYTES &&
        memcmp(name.data, previous.data, LIST_POSITION_ROOT_BYTES) == 0) {
        return NAME_INDEX;
    }
    if (root.ticks != ticks) {
        return NAME_TOLD;
    }
    *ref = root.ref;
    return is_at_right(name) == is_at_right(previous) ? NAME_ROOT : NAME_OTHER_ROOT;
}

/* An author that is known by its slot will do, where no ref is needed. */
static bool writer_call_author(struct told_writer *writer, uint64_t ref, unsigned slot) {
    if (writer->number != 0 && writer->author.slot == slot &&
        (ref == 0 || writer->author.ref == ref)) {
        return true;
    }
    unsigned number = packed_authors_number(writer->authors, ref, slot);
    if (number == 0) {
        return false;
    }
    writer->number = number;
    writer->author = (struct packed_author){.ref = ref, .slot = slot};
    return true;
}

/* Appends an element; of the first one the writer's ticks are the base. False: there are too many
 * authors, and `out` is to be cut. */
static bool tell(struct buffer *out, struct told_writer *writer,
                 const struct ordered_map_element *element, bool is_first) {
    uint64_t ref, ticks = stamp_ticks(element->stamp);
    unsigned kind = name_kind(writer, element, is_first, &ref), form, before = writer->number;
    struct slice name = element->name;
    if (!writer_call_author(writer, ref, stamp_slot(element->stamp))) {
        return false;
    }
    unsigned author = writer->number == before           ? 0
                      : writer->number >= AUTHOR_FOLLOWS ? AUTHOR_FOLLOWS
                                                         : writer->number;
    char *to = buffer_reserve(out, REST_BYTES_MAX + name.size + element->value.size);
    size_t size = 1;
    if (author == AUTHOR_FOLLOWS) {
        size += varint_put(to + size, writer->number - AUTHOR_FOLLOWS);
    }
    size += put_ticks(to + size, writer->ticks, ticks, &form);
    to[0] = (char)((kind == NAME_OTHER_ROOT ? NAME_TOLD : kind) | form << STAMP_SHIFT |
                   author << AUTHOR_SHIFT);
    if (kind == NAME_OTHER_ROOT) {
        to[size++] = TOLD_OTHER_ROOT;
    } else if (kind == NAME_TOLD) {
        size += put_told_name(to + size, is_first ? SLICE("") : writer->name, name);
    } else if (is_first) {
        struct slice rest = slice_skip(name, LIST_POSITION_ROOT_BYTES);
        size += varint_put(to + size, rest.size);
        memcpy(to + size, rest.data, rest.size);
        size += rest.size;
    }
    if (writer->is_each_sized) {
        size += varint_put(to + size, element->value.size);
    }
    if (element->value.size > 0) {
        memcpy(to + size, element->value.data, element->value.size);
    }
    out->size += size + element->value.size;
    writer->ticks = ticks;
    writer->name = name;
    return true;
}

/* Appends the first element, and the size that all values have. */
static bool tell_first(struct buffer *out, struct told_writer *writer,
                       const struct ordered_map_element *element, uint64_t *base) {
    struct list_position_root root;
    *base = list_position_root(element->name, &root)
                ? stamp_make(root.ticks, stamp_slot(element->stamp))
                : element->stamp;
    writer->ticks = stamp_ticks(*base);
    writer->number = 0;
    out->size += varint_put(buffer_reserve(out, VARINT_BYTES_MAX),
                            writer->is_each_sized ? 0 : element->value.size + 1);
    return tell(out, writer, element, true);
}

bool packed_told_put(struct buffer *out, struct packed_authors *authors,
                     const struct ordered_map *map, uint64_t *base) {
    struct told_writer writer = {.authors = authors};
    struct ordered_map_cursor cursor;
    char names[2][ORDERED_MAP_NAME_BYTES_MAX];
    size_t begin = out->size, value_size = 0;
    unsigned turn = 0;
    require(ordered_map_has_bytes(map));
    bool is_there = ordered_map_first(map, &cursor), is_done = true;
    for (bool is_first = true; is_there && is_done; is_first = false) {
        struct ordered_map_element element = cursor.element;
        if (is_first) {
            value_size = element.value.size;
        } else if (element.value.size != value_size && !writer.is_each_sized) {
            /* They differ: all over again. */
            writer = (struct told_writer){.authors = authors, .is_each_sized = true};
            out->size = begin;
            (void)ordered_map_first(map, &cursor);
            element = cursor.element;
            is_first = true;
        }
        /* The cursor's name goes when it moves on. */
        element.name = slice_make(names[turn], cursor.element.name.size);
        memcpy(names[turn], cursor.element.name.data, cursor.element.name.size);
        turn ^= 1;
        is_done = is_first ? tell_first(out, &writer, &element, base)
                           : tell(out, &writer, &element, false);
        is_there = ordered_map_next(map, &cursor);
    }
    if (!is_done) {
        out->size = begin;
    }
    return is_done;
}

/* ---- what the map needs ---- */

/* What the element that was read takes in the map at most, told in `told_bytes` here. */
static size_t run_bytes_of(const struct packed_told_reader *reader, size_t told_bytes) {
    size_t size = told_bytes + (reader->is_each_sized ? 0 : 2);
    if ((reader->what & NAME_MASK) != NAME_SUCCESSOR) {
        struct slice name = reader->element.name;
        size_t other_size = reader->other_size;
        size += 5 + name.size -
                slice_shared_front(reader->other_name, name.data,
                                   name.size < other_size ? name.size : other_size);
    }
    /* Its control byte is one byte, as `what` is. A difference of ticks is a byte longer than one
     * of milliseconds, and 10 bits of slots are told with it. */
    return size + 3;
}

/* What another one takes there at most. */
static size_t run_bytes_of_new(const struct ordered_map_element *element) {
    return RUN_REST_BYTES_MAX + RUN_STAMP_BYTES_MAX + element->name.size + element->value.size;
}

/* Reads `count` elements; `*begin` is where the last one lies. */
static void reader_last(struct packed_told_reader *reader, uint64_t count, const char **begin,
                        size_t *run_bytes_max) {
    *run_bytes_max = 0;
    for (uint64_t i = 0; i < count; i++) {
        *begin = reader->at;
        packed_told_next(reader);
        *run_bytes_max += run_bytes_of(reader, (size_t)(reader->at - *begin));
    }
}

/* ---- anywhere ---- */

static void place_begin(struct packed_told_place *place, const struct packed_authors *authors,
                        struct slice bytes, uint64_t base) {
    packed_told_begin(&place->reader, authors, bytes, base);
    place->index = 0;
    place->is_there = false;
    place->run_bytes_max = RUN_BEGIN_BYTES_MAX;
}

/* Notes how far it has come, and reads the next element; false at the end. */
static bool place_next(struct packed_told_place *place, struct slice bytes, uint64_t count) {
    struct packed_told_reader *reader = &place->reader;
    const char *begin = reader->at;
    place->index += place->is_there;
    place->from = (size_t)(begin - bytes.data);
    place->ticks = reader->ticks;
    place->number = reader->number;
    place->author = reader->author;
    place->name_size = reader->element.name.size;
    memcpy(place->name, reader->element.name.data, place->name_size);
    if (place->is_there) {
        place->run_bytes_max += run_bytes_of(reader, place->told_bytes);
    }
    place->is_there = place->index < count;
    if (place->is_there) {
        packed_told_next(reader);
        place->told_bytes = (size_t)(reader->at - begin);
    }
    return place->is_there;
}

void packed_told_seek(struct packed_told_place *place, const struct packed_authors *authors,
                      struct slice bytes, uint64_t count, uint64_t base, uint64_t index) {
    place_begin(place, authors, bytes, base);
    while (place_next(place, bytes, count) && place->index < index) {
    }
}

void packed_told_find(struct packed_told_place *place, const struct packed_authors *authors,
                      struct slice bytes, uint64_t count, uint64_t base, struct slice name) {
    place_begin(place, authors, bytes, base);
    while (place_next(place, bytes, count) && slice_compare(place->reader.element.name, name) < 0) {
    }
}

static bool leave_out(struct buffer *out, size_t begin) {
    out->size = begin;
    return false;
}

/* Tells an element after what the writer has told, or as the first one. */
static bool tell_on(struct buffer *out, struct told_writer *writer, bool *is_first,
                    const struct ordered_map_element *element, uint64_t *base) {
    bool was_first = *is_first;
    *is_first = false;
    return was_first ? tell_first(out, writer, element, base) : tell(out, writer, element, false);
}

bool packed_told_change(struct buffer *out, struct packed_authors *authors, struct slice bytes,
                        uint64_t count, struct packed_told_place *place, bool removes,
                        const struct ordered_map_element *element, uint64_t *base) {
    struct packed_told_reader *reader = &place->reader;
    struct told_writer writer = {.authors = authors,
                                 .is_each_sized = reader->is_each_sized,
                                 .ticks = place->ticks,
                                 .number = place->number,
                                 .author = place->author,
                                 .name = slice_make(place->name, place->name_size)};
    size_t begin = out->size;
    uint64_t read_count = place->index + place->is_there, new_base = *base;
    bool is_first = place->index == 0, has_next = place->is_there;
    require(place->is_there || !removes);
    require(count > removes || element != NULL);
    if (element != NULL && !reader->is_each_sized && reader->value_size != element->value.size) {
        return false;
    }
    if (!is_first) {
        buffer_append(out, bytes.data, place->from);
    }
    if (element != NULL && !tell_on(out, &writer, &is_first, element, &new_base)) {
        return leave_out(out, begin);
    }
    if (removes) {
        has_next = read_count < count;
        if (has_next) {
            packed_told_next(reader);
            read_count++;
        }
    }
    /* The next one leans on another one now, and what comes behind it on how its author was called.
     */
    if (has_next && (!tell_on(out, &writer, &is_first, &reader->element, &new_base) ||
                     writer.number != reader->number)) {
        return leave_out(out, begin);
    }
    buffer_append(out, reader->at, (size_t)(reader->end - reader->at));
    if (element != NULL) {
        size_t told_anew = has_next ? run_bytes_of_new(&reader->element) : 0;
        size_t rest_bytes_max;
        const char *last;
        reader_last(reader, count - read_count, &last, &rest_bytes_max);
        if (place->run_bytes_max + told_anew + rest_bytes_max + run_bytes_of_new(element) >
            ORDERED_MAP_SMALL_BYTES) {
            return leave_out(out, begin);
        }
    }
    *base = new_base;
    return true;
}

/* ---- at the ends ---- */

void packed_told_end(const struct packed_authors *authors, struct slice bytes, uint64_t count,
                     uint64_t base, bool is_first, struct packed_list_end *end) {
    struct packed_told_reader reader;
    packed_told_begin(&reader, authors, bytes, base);
    const char *begin = reader.at;
    end->run_bytes_max = 0;
    if (is_first) {
        packed_told_next(&reader);
    } else {
        reader_last(&reader, count, &begin, &end->run_bytes_max);
        end->run_bytes_max += RUN_BEGIN_BYTES_MAX;
    }
    size_t name_size = reader.element.name.size;
    memcpy(end->at.name, reader.element.name.data, name_size);
    end->author = reader.number;
    end->at.is_first = is_first;
    end->at.element = reader.element;
    end->at.element.name = slice_make(end->at.name, name_size);
    end->at.from = (size_t)(begin - bytes.data);
    end->at.to = (size_t)(reader.at - bytes.data);
}

bool packed_told_push(struct buffer *out, struct packed_authors *authors, struct slice bytes,
                      uint64_t count, const struct packed_list_end *end,
                      const struct ordered_map_element *element, uint64_t *base) {
    const struct ordered_map_element *last = &end->at.element;
    size_t begin = out->size;
    if (end->at.is_first) {
        struct packed_told_place place;
        packed_told_seek(&place, authors, bytes, count, *base, 0);
        return packed_told_change(out, authors, bytes, count, &place, false, element, base);
    }
    const char *at = bytes.data;
    uint64_t size = varint_take_own(&at);
    struct told_writer writer = {.authors = authors,
                                 .is_each_sized = size == 0,
                                 .ticks = stamp_ticks(last->stamp),
                                 .number = end->author,
                                 .author = packed_authors_at(authors, end->author),
                                 .name = last->name};
    if ((!writer.is_each_sized && size - 1 != element->value.size) ||
        end->run_bytes_max + run_bytes_of_new(element) > ORDERED_MAP_SMALL_BYTES) {
        return false;
    }
    buffer_append_slice(out, bytes);
    return tell(out, &writer, element, false) || leave_out(out, begin);
}

bool packed_told_pop(struct buffer *out, struct packed_authors *authors, struct slice bytes,
                     uint64_t count, const struct packed_list_end *end, uint64_t *base) {
    require(count > 1);
    if (!end->at.is_first) {
        buffer_append(out, bytes.data, end->at.from);
        return true;
    }
    struct packed_told_place place;
    packed_told_seek(&place, authors, bytes, count, *base, 0);
    return packed_told_change(out, authors, bytes, count, &place, true, NULL, base);
}
