/* SPDX-License-Identifier: BSD-3-Clause */
/* The ordered map against a naive sorted array: names that count upwards, names that are prefixes
 * of each other, long ones; values from nothing to megabytes; stamps that go up and down. Then what
 * lists and streams cost in bytes, by the map's own account and by the allocator's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#ifdef STARLING_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#include "base/check.h"
#include "base/memory.h"
#include "containers/ordered_map.h"
#include "unit/seed.h"

/* ---- the model ---- */

struct model_element {
    char *name, *value;
    size_t name_size, value_size;
    uint64_t stamp;
    unsigned flags;
};

struct pair {
    struct ordered_map *map;
    struct model_element *elements;
    size_t count, capacity;
    struct prng prng;
    unsigned shape;
    uint64_t number; /* names that count */
    uint64_t stamp;
};

enum shape {
    SHAPE_COUNTING, /* 16 bytes, big endian */
    SHAPE_PREFIXES, /* few letters, 0x00 and 0xFF among them: prefixes of each other */
    SHAPE_LONG,     /* up to the limit, with long common beginnings */
    SHAPE_WIDE,     /* values of hundreds of bytes: few to a leaf, so a deep tree */
    SHAPE_TIMES,    /* milliseconds and 0, as a stream's ids */
    SHAPE_HEAVY,    /* long names told in a few bytes, until the one before goes; large values */
    SHAPE_COUNT,
};

static char *copy_bytes(struct slice bytes) {
    char *copy = memory_alloc(bytes.size + 1);
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    return copy;
}

static struct slice model_name(const struct model_element *element) {
    return slice_make(element->name, element->name_size);
}

/* Index of the first element at or above the name. */
static size_t model_lower_bound(const struct pair *pair, struct slice name) {
    size_t low = 0, high = pair->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (slice_compare(model_name(&pair->elements[middle]), name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool model_has(const struct pair *pair, size_t index, struct slice name) {
    return index < pair->count && slice_equal(model_name(&pair->elements[index]), name);
}

static void model_free_element(struct model_element *element) {
    memory_free(element->name);
    memory_free(element->value);
}

static void model_insert(struct pair *pair, size_t index,
                         const struct ordered_map_element *element) {
    if (pair->count == pair->capacity) {
        pair->capacity = 2 * pair->capacity + 16;
        pair->elements = memory_resize(pair->elements, pair->capacity * sizeof(pair->elements[0]));
    }
    memmove(&pair->elements[index + 1], &pair->elements[index],
            (pair->count - index) * sizeof(pair->elements[0]));
    pair->elements[index] = (struct model_element){.name = copy_bytes(element->name),
                                                   .name_size = element->name.size,
                                                   .value = copy_bytes(element->value),
                                                   .value_size = element->value.size,
                                                   .stamp = element->stamp,
                                                   .flags = element->flags};
    pair->count++;
}

static void model_remove(struct pair *pair, size_t index, size_t count) {
    for (size_t i = 0; i < count; i++) {
        model_free_element(&pair->elements[index + i]);
    }
    if (count == 0) {
        return;
    }
    memmove(&pair->elements[index], &pair->elements[index + count],
            (pair->count - index - count) * sizeof(pair->elements[0]));
    pair->count -= count;
}

static void require_same(const struct model_element *model,
                         const struct ordered_map_element *element) {
    require(slice_equal(model_name(model), element->name));
    require(model->stamp == element->stamp);
    require(model->flags == element->flags);
    require(slice_equal(slice_make(model->value, model->value_size), element->value));
}

/* ---- random parts ---- */

static char random_bytes[2 << 20]; /* values are slices of it */

static void put_big_endian(char *out, uint64_t number) {
    for (int i = 0; i < 8; i++) {
        out[i] = (char)(number >> (56 - 8 * i));
    }
}

static struct slice pick_name(struct pair *pair, char *out) {
    struct prng *prng = &pair->prng;
    static const char letters[] = {0, 1, 'a', 'b', (char)0xFE, (char)0xFF};
    size_t size = 0;
    switch ((enum shape)pair->shape) {
    case SHAPE_COUNTING:
    case SHAPE_WIDE:
        memset(out, 0xAB, 8);
        if (prng_below(prng, 4) > 0) {
            put_big_endian(out + 8, ++pair->number);
        } else {
            put_big_endian(out + 8, pair->number - prng_below(prng, 1000));
        }
        return slice_make(out, 16);
    case SHAPE_PREFIXES:
        size = prng_below(prng, 8);
        for (size_t i = 0; i < size; i++) {
            out[i] = letters[prng_below(prng, sizeof(letters))];
        }
        return slice_make(out, size);
    case SHAPE_LONG:
        size = prng_below(prng, ORDERED_MAP_NAME_BYTES_MAX + 1);
        size = prng_below(prng, 2) == 0 ? size : ORDERED_MAP_NAME_BYTES_MAX;
        memset(out, 'x', size);
        for (unsigned i = 0; i < 3 && size > 0; i++) {
            out[prng_below(prng, size)] = letters[prng_below(prng, sizeof(letters))];
        }
        return slice_make(out, size);
    case SHAPE_HEAVY:
        size = ORDERED_MAP_NAME_BYTES_MAX;
        memset(out, 'x', size);
        out[3] = (char)('a' + prng_below(prng, 3));
        out[prng_below(prng, 2) == 0 ? 5 : 25] = (char)prng_below(prng, 256);
        return slice_make(out, size);
    case SHAPE_TIMES:
    case SHAPE_COUNT:
        pair->number += prng_below(prng, 3);
        put_big_endian(out, pair->number - (prng_below(prng, 5) == 0 ? 50 : 0));
        put_big_endian(out + 8, prng_below(prng, 5) == 0 ? prng_next(prng) : 0);
        return slice_make(out, 16);
    }
    return slice_make(out, 0);
}

static struct slice pick_value(struct pair *pair) {
    struct prng *prng = &pair->prng;
    size_t size = 0, kind = prng_below(prng, 1000);
    if (pair->shape == SHAPE_WIDE) {
        size = 380 + prng_below(prng, 25);
    } else if (pair->shape == SHAPE_HEAVY) {
        size = prng_below(prng, 3) == 0 ? ORDERED_MAP_INLINE_BYTES : prng_below(prng, 30);
    } else if (kind < 800) {
        size = prng_below(prng, 20);
    } else if (kind < 940) {
        size = prng_below(prng, ORDERED_MAP_INLINE_BYTES + 2);
    } else if (kind < 998) {
        size = ORDERED_MAP_INLINE_BYTES + prng_below(prng, 3000);
    } else {
        size = prng_below(prng, 1 << 20);
    }
    return slice_make(random_bytes + prng_below(prng, 1 << 20), size);
}

static uint64_t pick_stamp(struct pair *pair) {
    struct prng *prng = &pair->prng;
    switch (prng_below(prng, 8)) {
    case 0:
        return prng_next(prng);
    case 1:
        return pair->stamp -= prng_below(prng, 50) << 10;
    case 2:
        return pair->stamp += prng_below(prng, 50);
    case 3:
        return pair->stamp;
    default:
        return pair->stamp += prng_below(prng, 8) << 10;
    }
}

static unsigned pick_flags(struct pair *pair) {
    return prng_below(&pair->prng, 10) == 0 ? (unsigned)prng_below(&pair->prng, 16) : 0;
}

static void pair_init(struct pair *pair, struct prng *prng, unsigned shape) {
    *pair = (struct pair){.shape = shape, .number = UINT64_C(0x1000000FF00), .stamp = 1 << 30};
    prng_init(&pair->prng, prng_next(prng));
}

/* ---- steps on both ---- */

static void pair_insert(struct pair *pair) {
    char name[ORDERED_MAP_NAME_BYTES_MAX];
    struct ordered_map_cursor cursor;
    struct ordered_map_element element = {.name = pick_name(pair, name),
                                          .stamp = pick_stamp(pair),
                                          .flags = pick_flags(pair),
                                          .value = pick_value(pair)};
    size_t index = model_lower_bound(pair, element.name);
    bool is_there = model_has(pair, index, element.name);
    require(ordered_map_find(pair->map, element.name, &cursor) == is_there);
    if (is_there) {
        require_same(&pair->elements[index], &cursor.element);
        bool is_replaced =
            ordered_map_replace(&pair->map, &cursor, element.stamp, element.flags, element.value);
        require(is_replaced);
        model_remove(pair, index, 1);
        model_insert(pair, index, &element);
        require_same(&pair->elements[index], &cursor.element);
        require(ordered_map_rank(pair->map, &cursor) == index);
        return;
    }
    require(ordered_map_lower_bound(pair->map, element.name, &cursor) == (index < pair->count));
    if (index < pair->count) {
        require_same(&pair->elements[index], &cursor.element);
        require(ordered_map_rank(pair->map, &cursor) == index);
    }
    bool is_inserted = ordered_map_insert(&pair->map, &element);
    require(is_inserted);
    model_insert(pair, index, &element);
}

static void pair_remove(struct pair *pair) {
    if (pair->count == 0) {
        return;
    }
    size_t index = prng_below(&pair->prng, pair->count);
    size_t count = 1 + prng_below(&pair->prng, prng_below(&pair->prng, 8) == 0 ? 40 : 2);
    struct ordered_map_cursor cursor;
    bool is_there = ordered_map_at(pair->map, index, &cursor);
    require(is_there);
    for (size_t i = 0; i < count && index < pair->count; i++) {
        require_same(&pair->elements[index], &cursor.element);
        bool has_next = ordered_map_remove(&pair->map, &cursor);
        model_remove(pair, index, 1);
        require(has_next == (index < pair->count));
        if (has_next) {
            require_same(&pair->elements[index], &cursor.element);
            require(ordered_map_rank(pair->map, &cursor) == index);
        }
    }
}

/* Elements with flags that the map is about to let go of. */
struct visited {
    const struct pair *pair;
    size_t from, to; /* of the model */
    size_t flagged;
    uint64_t sum;
};

static void visit_flagged(const struct ordered_map_element *element, void *udata) {
    struct visited *visited = (struct visited *)udata;
    size_t index = model_lower_bound(visited->pair, element->name);
    require(index >= visited->from && index < visited->to);
    require_same(&visited->pair->elements[index], element);
    require(element->flags != 0);
    visited->flagged--;
}

static void pair_remove_end(struct pair *pair) {
    uint64_t count = prng_below(&pair->prng, 4);
    if (prng_below(&pair->prng, 20) == 0) {
        count = prng_below(&pair->prng, pair->count + 2);
    }
    size_t part = count < pair->count ? (size_t)count : pair->count;
    bool is_first = prng_below(&pair->prng, 2) == 0;
    struct visited visited = {.pair = pair,
                              .from = is_first ? 0 : pair->count - part,
                              .to = is_first ? part : pair->count};
    for (size_t i = visited.from; i < visited.to; i++) {
        visited.flagged += pair->elements[i].flags != 0;
    }
    (is_first ? ordered_map_remove_first : ordered_map_remove_last)(&pair->map, count,
                                                                    visit_flagged, &visited);
    require(visited.flagged == 0);
    model_remove(pair, visited.from, part);
}

static void pair_remove_range(struct pair *pair) {
    if (pair->count == 0) {
        return;
    }
    size_t index = prng_below(&pair->prng, pair->count);
    bool is_long = prng_below(&pair->prng, 20) == 0;
    uint64_t count =
        is_long ? prng_below(&pair->prng, pair->count + 2) : prng_below(&pair->prng, 5);
    size_t part = count < pair->count - index ? (size_t)count : pair->count - index;
    struct visited visited = {.pair = pair, .from = index, .to = index + part};
    struct ordered_map_cursor cursor;
    for (size_t i = visited.from; i < visited.to; i++) {
        visited.flagged += pair->elements[i].flags != 0;
    }
    bool is_there = ordered_map_at(pair->map, index, &cursor);
    require(is_there);
    bool has_next = ordered_map_remove_range(&pair->map, &cursor, count, visit_flagged, &visited);
    require(visited.flagged == 0);
    model_remove(pair, index, part);
    require(has_next == (index < pair->count));
    if (has_next) {
        require_same(&pair->elements[index], &cursor.element);
        require(ordered_map_rank(pair->map, &cursor) == index);
    }
}

static void pair_replace(struct pair *pair) {
    if (pair->count == 0) {
        return;
    }
    size_t index = prng_below(&pair->prng, pair->count);
    struct model_element *model = &pair->elements[index];
    struct ordered_map_cursor cursor;
    bool is_there = ordered_map_at(pair->map, index, &cursor);
    require(is_there);
    require_same(model, &cursor.element);
    struct slice value = pick_value(pair);
    switch (prng_below(&pair->prng, 4)) {
    case 0: /* the same value, from where it is */
        value = cursor.element.value;
        break;
    case 1: /* a part of it */
        value = slice_skip(cursor.element.value, cursor.element.value.size / 2);
        break;
    default:
        break;
    }
    struct ordered_map_element element = {.name = model_name(model),
                                          .stamp = pick_stamp(pair),
                                          .flags = pick_flags(pair),
                                          .value = value};
    model_insert(pair, index, &element);
    bool is_replaced =
        ordered_map_replace(&pair->map, &cursor, element.stamp, element.flags, element.value);
    require(is_replaced);
    model_remove(pair, index + 1, 1);
    require_same(&pair->elements[index], &cursor.element);
    require(ordered_map_rank(pair->map, &cursor) == index);
    /* The cursor goes on from there. */
    bool has_next = ordered_map_next(pair->map, &cursor);
    require(has_next == (index + 1 < pair->count));
    if (has_next) {
        require_same(&pair->elements[index + 1], &cursor.element);
    }
}

/* A few steps to either side of a random place. */
static void pair_walk(struct pair *pair) {
    struct ordered_map_cursor cursor;
    size_t index = prng_below(&pair->prng, pair->count + 1);
    require(ordered_map_at(pair->map, index, &cursor) == (index < pair->count));
    bool is_there = index < pair->count;
    bool is_forward = prng_below(&pair->prng, 2) == 0;
    for (unsigned i = 0; i < 30 && is_there; i++) {
        require_same(&pair->elements[index], &cursor.element);
        require(ordered_map_rank(pair->map, &cursor) == index);
        if (prng_below(&pair->prng, 10) == 0) {
            is_forward = !is_forward;
        }
        if (is_forward) {
            is_there = ordered_map_next(pair->map, &cursor);
            index++;
            require(is_there == (index < pair->count));
        } else {
            is_there = ordered_map_previous(pair->map, &cursor);
            require(is_there == (index > 0));
            index--;
        }
    }
}

/* Some elements at once: to the right one, and not past more bytes than it says. */
static void pair_skip(struct pair *pair) {
    if (pair->count == 0) {
        return;
    }
    size_t from = prng_below(&pair->prng, pair->count);
    size_t count = prng_below(&pair->prng, pair->count - from + 2);
    size_t end = from + count < pair->count ? from + count : pair->count;
    struct ordered_map_cursor cursor;
    uint64_t bytes_max, bytes = 0;
    bool is_there = ordered_map_at(pair->map, from, &cursor);
    require(is_there);
    require(ordered_map_skip(pair->map, &cursor, count, &bytes_max) ==
            (from + count < pair->count));
    if (from + count < pair->count) {
        require_same(&pair->elements[end], &cursor.element);
        require(ordered_map_rank(pair->map, &cursor) == end);
    }
    for (size_t i = from; i < end; i++) {
        bytes += pair->elements[i].value_size;
    }
    require(bytes <= bytes_max);
}

/* All elements, forward and backward, and each by its name and rank. */
static void pair_compare(struct pair *pair) {
    struct ordered_map_cursor cursor;
    ordered_map_check(pair->map);
    require(ordered_map_count(pair->map) == pair->count);
    require((pair->map == NULL) == (pair->count == 0));
    bool is_there = ordered_map_first(pair->map, &cursor);
    for (size_t i = 0; i < pair->count; i++) {
        require(is_there);
        require_same(&pair->elements[i], &cursor.element);
        is_there = ordered_map_next(pair->map, &cursor);
    }
    require(!is_there);
    is_there = ordered_map_last(pair->map, &cursor);
    for (size_t i = pair->count; i-- > 0;) {
        require(is_there);
        require_same(&pair->elements[i], &cursor.element);
        is_there = ordered_map_previous(pair->map, &cursor);
    }
    require(!is_there);
    for (size_t i = 0; i < pair->count; i += 1 + pair->count / 500) {
        is_there = ordered_map_find(pair->map, model_name(&pair->elements[i]), &cursor);
        require(is_there);
        require_same(&pair->elements[i], &cursor.element);
        require(ordered_map_rank(pair->map, &cursor) == i);
        is_there = ordered_map_at(pair->map, i, &cursor);
        require(is_there);
        require_same(&pair->elements[i], &cursor.element);
    }
    ordered_map_check(pair->map);
}

static void pair_deinit(struct pair *pair) {
    ordered_map_free(&pair->map, NULL, NULL);
    model_remove(pair, 0, pair->count);
    memory_free(pair->elements);
}

static void pair_step(struct pair *pair, unsigned grow_percent) {
    unsigned kind = (unsigned)prng_below(&pair->prng, 100);
    if (kind < grow_percent) {
        pair_insert(pair);
        return;
    }
    switch (prng_below(&pair->prng, 6)) {
    case 0:
        pair_remove_end(pair);
        break;
    case 5:
        pair_remove_range(pair);
        break;
    case 1:
        pair_replace(pair);
        break;
    case 2:
        pair_walk(pair);
        pair_skip(pair);
        break;
    default:
        pair_remove(pair);
        break;
    }
}

static void fill_random_bytes(struct prng *prng) {
    for (size_t i = 0; i < sizeof(random_bytes); i++) {
        random_bytes[i] = (char)prng_next(prng);
    }
}

/* ---- tests ---- */

static void maps_hold_what_the_model_holds(void **state) {
    (void)state;
    for (unsigned shape = 0; shape < SHAPE_COUNT; shape++) {
        struct prng prng;
        seed_prng(&prng, "maps_hold_what_the_model_holds", shape);
        fill_random_bytes(&prng);
        struct pair pair;
        pair_init(&pair, &prng, shape);
        static const unsigned phases[] = {90, 50, 10, 80, 40, 95, 0};
        for (unsigned phase = 0; phase < 7; phase++) {
            unsigned steps = shape == SHAPE_WIDE && phase == 5 ? 12000 : 3000;
            for (unsigned step = 0; step < steps; step++) {
                pair_step(&pair, phases[phase]);
                if (step % 100 == 0) {
                    ordered_map_check(pair.map);
                }
            }
            pair_compare(&pair);
        }
        pair_deinit(&pair);
    }
}

/* A small map that is built again from its elements, in a block or as a copy of that, is the same
 * to the byte. */
static void check_built(const struct ordered_map *map) {
    struct ordered_map_block block;
    struct ordered_map_builder builder;
    struct ordered_map_cursor cursor;
    char names[2][ORDERED_MAP_NAME_BYTES_MAX];
    unsigned turn = 0;
    struct slice previous = SLICE("");
    if (!ordered_map_has_bytes(map)) {
        return;
    }
    ordered_map_build(&builder, &block);
    for (bool is_there = ordered_map_first(map, &cursor); is_there;
         is_there = ordered_map_next(map, &cursor)) {
        struct ordered_map_element element = cursor.element;
        bool follows = ordered_map_is_successor(element.name, previous);
        turn ^= !follows;
        memcpy(names[turn], element.name.data, element.name.size);
        element.name.data = names[turn];
        ordered_map_build_add(&builder, &element, follows);
        previous = element.name;
    }
    const struct ordered_map *built = ordered_map_built(&builder);
    struct ordered_map *copy = ordered_map_copy(built);
    ordered_map_check(copy);
    assert_int_equal(ordered_map_memory_bytes(copy), ordered_map_memory_bytes(map));
    struct buffer bytes = {0}, again = {0};
    ordered_map_put_bytes(&bytes, map, 5);
    ordered_map_put_bytes(&again, copy, 5);
    assert_true(slice_equal(buffer_slice(&bytes), buffer_slice(&again)));
    buffer_deinit(&bytes);
    buffer_deinit(&again);
    ordered_map_free(&copy, NULL, NULL);
}

/* Around the sizes where a map changes its form, each step followed by a whole check. */
static void small_maps_are_sound_at_each_step(void **state) {
    (void)state;
    for (unsigned shape = 0; shape < SHAPE_COUNT; shape++) {
        struct prng prng;
        seed_prng(&prng, "small_maps_are_sound_at_each_step", shape);
        fill_random_bytes(&prng);
        for (unsigned round = 0; round < 8; round++) {
            struct pair pair;
            pair_init(&pair, &prng, shape);
            for (unsigned step = 0; step < 800; step++) {
                pair_step(&pair, step % 200 < 100 ? 70 : 25);
                pair_compare(&pair);
                check_built(pair.map);
            }
            pair_deinit(&pair);
        }
    }
}

static void empty_maps(void **state) {
    (void)state;
    struct ordered_map *map = NULL;
    struct ordered_map_cursor cursor;
    assert_int_equal(ordered_map_count(map), 0);
    assert_int_equal(ordered_map_memory_bytes(map), 0);
    assert_false(ordered_map_find(map, SLICE("a"), &cursor));
    assert_false(ordered_map_lower_bound(map, SLICE(""), &cursor));
    assert_false(ordered_map_at(map, 0, &cursor));
    assert_false(ordered_map_first(map, &cursor));
    assert_false(ordered_map_last(map, &cursor));
    ordered_map_remove_first(&map, 5, NULL, NULL);
    ordered_map_remove_last(&map, 5, NULL, NULL);
    ordered_map_free(&map, NULL, NULL);
    ordered_map_check(map);
    assert_null(map);
}

/* The empty name and the last possible ones; a successor that carries; none behind all 0xFF. */
static void names_at_the_edges(void **state) {
    (void)state;
    static const struct slice names[] = {
        {"", 0},           {"\0", 1},         {"\0\0", 2},       {"\0\xFF", 2}, {"\1\0", 2},
        {"\1\xFF\xFF", 3}, {"\2\0\0", 3},     {"\xFE\xFF", 2},   {"\xFF", 1},   {"\xFF\0", 2},
        {"\xFF\xFF", 2},   {"\xFF\xFF\0", 3}, {"\xFF\xFF\1", 3},
    };
    enum { NAMES = sizeof(names) / sizeof(names[0]) };
    for (unsigned first = 0; first < NAMES; first++) {
        struct ordered_map *map = NULL;
        struct ordered_map_cursor cursor;
        for (unsigned i = 0; i < NAMES; i++) {
            struct ordered_map_element element = {.name = names[(i * 5 + first) % NAMES],
                                                  .stamp = i};
            assert_true(ordered_map_insert(&map, &element));
            ordered_map_check(map);
        }
        for (unsigned i = 0; i < NAMES; i++) {
            assert_true(ordered_map_at(map, i, &cursor));
            assert_true(slice_equal(cursor.element.name, names[i]));
            assert_true(ordered_map_find(map, names[i], &cursor));
            assert_int_equal(ordered_map_rank(map, &cursor), i);
        }
        ordered_map_free(&map, NULL, NULL);
    }
}

/* Pushes at one end, each from where the one before left the cursor. */
static void push_many(struct prng *prng, bool is_first, unsigned count) {
    struct pair pair;
    struct ordered_map_cursor cursor;
    char name[16] = {0};
    uint64_t number = UINT64_C(1) << 32;
    pair_init(&pair, prng, (unsigned)prng_below(prng, SHAPE_COUNT));
    for (unsigned i = 0; i < count; i++) {
        uint64_t step = prng_below(prng, 8) == 0 ? 1 + prng_below(prng, 100000) : 1;
        number = is_first ? number - step : number + step;
        put_big_endian(name, number);
        struct ordered_map_element element = {.name = slice_make(name, sizeof(name)),
                                              .stamp = pick_stamp(&pair),
                                              .flags = pick_flags(&pair),
                                              .value = pick_value(&pair)};
        bool is_pushed = ordered_map_push(&pair.map, i > 0 ? &cursor : NULL, is_first, &element);
        require(is_pushed);
        if (i == 0) {
            is_pushed = ordered_map_first(pair.map, &cursor);
            require(is_pushed);
        }
        size_t index = is_first ? 0 : i;
        model_insert(&pair, index, &element);
        require_same(&pair.elements[index], &cursor.element);
        require(ordered_map_rank(pair.map, &cursor) == index);
    }
    pair_compare(&pair);
    pair_deinit(&pair);
}

static void pushes_leave_the_cursor_on_what_is_new(void **state) {
    struct prng prng;
    (void)state;
    seed_prng(&prng, "pushes_leave_the_cursor_on_what_is_new", 0);
    for (unsigned i = 0; i < 200; i++) {
        push_many(&prng, i % 2 == 0, 1 + (unsigned)prng_below(&prng, 600));
    }
}

#ifdef STARLING_JEMALLOC
/* Limits the address space to what is taken, and `extra` bytes. */
static void limit_memory(struct rlimit *before, size_t extra) {
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    require(file != NULL);
    require(fscanf(file, "%lu", &pages) == 1);
    (void)fclose(file);
    require(getrlimit(RLIMIT_AS, before) == 0);
    struct rlimit limit = {.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + extra,
                           .rlim_max = before->rlim_max};
    require(setrlimit(RLIMIT_AS, &limit) == 0);
}
#endif

/* The largest value goes in and out; where there is no memory for it, nothing changes. */
static void values_of_the_largest_size(void **state) {
    (void)state;
    struct ordered_map *map = NULL;
    struct ordered_map_element element = {.name = SLICE("a"), .value = SLICE("value")};
    struct ordered_map_cursor cursor;
    assert_true(ordered_map_insert(&map, &element));
    uint64_t bytes = ordered_map_memory_bytes(map);
    size_t huge = ORDERED_MAP_VALUE_BYTES_MAX;
    char *value = memory_try_alloc_zero(huge);
    assert_non_null(value);
    assert_true(ordered_map_find(map, SLICE("a"), &cursor));
#ifdef STARLING_JEMALLOC
    struct rlimit before;
    limit_memory(&before, 64 << 20);
    struct ordered_map_element other = {.name = SLICE("b"), .value = slice_make(value, huge)};
    bool is_replaced = ordered_map_replace(&map, &cursor, 7, 3, slice_make(value, huge));
    bool is_inserted = ordered_map_insert(&map, &other);
    struct ordered_map *empty = NULL;
    bool is_first = ordered_map_insert(&empty, &other);
    require(setrlimit(RLIMIT_AS, &before) == 0);
    assert_false(is_replaced);
    assert_false(is_inserted);
    assert_false(is_first);
    assert_null(empty);
    ordered_map_check(map);
    assert_int_equal(ordered_map_count(map), 1);
    assert_int_equal(ordered_map_memory_bytes(map), bytes);
    assert_true(ordered_map_find(map, SLICE("a"), &cursor));
    assert_true(slice_equal(cursor.element.value, SLICE("value")));
    assert_int_equal(cursor.element.stamp, 0);
#endif
    assert_true(ordered_map_replace(&map, &cursor, 1, 0, slice_make(value, huge)));
    assert_true(ordered_map_memory_bytes(map) >= huge);
    assert_int_equal(cursor.element.value.size, huge);
    ordered_map_check(map);
    assert_true(ordered_map_replace(&map, &cursor, 0, 0, SLICE("value")));
    assert_int_equal(ordered_map_memory_bytes(map), bytes);
    memory_free(value);
    ordered_map_free(&map, NULL, NULL);
}

/* ---- bytes ---- */

/* What this thread holds, as the allocator counts it; 0 where it does not. */
static uint64_t allocator_bytes(void) {
#ifdef STARLING_JEMALLOC
    uint64_t allocated = 0, freed = 0;
    size_t size = sizeof(allocated);
    require(mallctl("thread.allocated", &allocated, &size, NULL, 0) == 0);
    require(mallctl("thread.deallocated", &freed, &size, NULL, 0) == 0);
    return allocated - freed;
#else
    return 0;
#endif
}

enum filling {
    FILL_BEHIND,      /* RPUSH, XADD */
    FILL_IN_FRONT,    /* LPUSH */
    FILL_BOTH_ENDS,   /* in turn */
    FILL_DOWN_AMIDST, /* half of them in the middle of others, each before the last one */
    FILL_UP_AMIDST,   /* likewise, each behind the last one */
    FILL_SHUFFLED,
    FILLINGS,
};

/* Puts in `count` elements as lists have them: names of 18 bytes that count, values of 8 bytes,
 * stamps that rise by 1 to 4 ticks. */
static void fill(struct ordered_map **map, struct prng *prng, enum filling filling,
                 uint64_t count) {
    char name[18] = "replica 5 run 7..";
    char value[8];
    uint64_t stamp = UINT64_C(250000000) << 32 | 1, first = UINT64_C(1) << 40, end = first;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = 0;
        switch (filling) {
        case FILL_BEHIND:
        case FILLINGS:
            number = end++;
            break;
        case FILL_IN_FRONT:
            number = --first;
            break;
        case FILL_BOTH_ENDS:
            number = i % 2 == 0 ? end++ : --first;
            break;
        case FILL_DOWN_AMIDST:
        case FILL_UP_AMIDST:
            if (i < count / 2) {
                number = end++ + (i < count / 4 ? 0 : 4 * count);
            } else {
                number = end + 2 * count + (filling == FILL_UP_AMIDST ? i : -i);
            }
            break;
        case FILL_SHUFFLED:
            number = end + (i * 7919) % count; /* a prime that does not divide the count */
            break;
        }
        put_big_endian(name + 10, number);
        put_big_endian(value, prng_next(prng));
        stamp += (1 + prng_below(prng, 4)) << 10;
        struct ordered_map_element element = {
            .name = slice_make(name, 18), .stamp = stamp, .value = slice_make(value, 8)};
        bool is_inserted = ordered_map_insert(map, &element);
        require(is_inserted);
    }
}

static void lists_are_compact(void **state) {
    (void)state;
    enum { COUNT = 1000000 };
    static const struct {
        const char *name;
        double bytes_max; /* for each element */
    } rows[FILLINGS] = {
        [FILL_BEHIND] = {"behind", 10},
        [FILL_IN_FRONT] = {"in front", 10.6}, /* stamps fall */
        [FILL_BOTH_ENDS] = {"both ends", 10.6},
        [FILL_DOWN_AMIDST] = {"downwards in the middle", 11},
        [FILL_UP_AMIDST] = {"upwards in the middle", 10},
        [FILL_SHUFFLED] = {"shuffled", 24},
    };
    for (unsigned filling = 0; filling < FILLINGS; filling++) {
        struct prng prng;
        seed_prng(&prng, "lists_are_compact", filling);
        struct ordered_map *map = NULL;
        uint64_t before = allocator_bytes();
        fill(&map, &prng, (enum filling)filling, COUNT);
        uint64_t bytes = ordered_map_memory_bytes(map), real = allocator_bytes() - before;
        printf("%s: %.2f bytes for each element, %.2f of the allocator's\n", rows[filling].name,
               (double)bytes / COUNT, (double)real / COUNT);
        ordered_map_check(map);
        assert_int_equal(ordered_map_count(map), COUNT);
        assert_true((double)bytes <= rows[filling].bytes_max * COUNT);
#ifdef STARLING_JEMALLOC
        assert_int_equal(bytes, real);
#endif
        ordered_map_free(&map, NULL, NULL);
        assert_int_equal(allocator_bytes(), before);
    }
}

static void ten_elements_are_one_small_block(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "ten_elements_are_one_small_block", 0);
    for (unsigned filling = FILL_BEHIND; filling <= FILL_IN_FRONT; filling++) {
        struct ordered_map *map = NULL;
        uint64_t before = allocator_bytes();
        fill(&map, &prng, (enum filling)filling, 10);
        uint64_t bytes = ordered_map_memory_bytes(map);
        printf("ten elements: %u bytes\n", (unsigned)bytes);
        assert_true(bytes <= (filling == FILL_BEHIND ? 128 : 160));
#ifdef STARLING_JEMALLOC
        assert_int_equal(memory_usable_bytes(map), bytes);
        assert_int_equal(allocator_bytes() - before, bytes);
#else
        (void)before;
#endif
        ordered_map_free(&map, NULL, NULL);
    }
}

/* A queue keeps its size, whatever went through it; memory follows the count down. */
static void memory_follows_the_count(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "memory_follows_the_count", 0);
    for (unsigned is_reversed = 0; is_reversed < 2; is_reversed++) {
        struct ordered_map *map = NULL;
        uint64_t bytes_max = 0;
        char name[16] = "queue...";
        for (uint64_t i = 0; i < 300000; i++) {
            put_big_endian(name + 8, is_reversed ? UINT64_MAX - i : i);
            struct ordered_map_element element = {
                .name = slice_make(name, 16), .stamp = i << 10, .value = SLICE("12345678")};
            bool is_inserted = ordered_map_insert(&map, &element);
            require(is_inserted);
            if (ordered_map_count(map) > 1000) {
                (is_reversed ? ordered_map_remove_last : ordered_map_remove_first)(&map, 1, NULL,
                                                                                   NULL);
            }
            uint64_t bytes = ordered_map_memory_bytes(map);
            bytes_max = bytes > bytes_max ? bytes : bytes_max;
        }
        ordered_map_check(map);
        printf("a queue of 1,000: at most %u bytes\n", (unsigned)bytes_max);
        assert_true(bytes_max <= 16000);
        ordered_map_free(&map, NULL, NULL);
    }
    struct ordered_map *map = NULL;
    fill(&map, &prng, FILL_SHUFFLED, 100000);
    struct ordered_map_cursor cursor;
    while (ordered_map_count(map) > 50) {
        uint64_t count = ordered_map_count(map);
        for (unsigned i = 0; i < count / 2; i++) {
            bool is_there = ordered_map_at(map, prng_below(&prng, ordered_map_count(map)), &cursor);
            require(is_there);
            (void)ordered_map_remove(&map, &cursor);
        }
        ordered_map_check(map);
        count = ordered_map_count(map);
        uint64_t bytes = ordered_map_memory_bytes(map);
        printf("%u elements: %u bytes\n", (unsigned)count, (unsigned)bytes);
        assert_true(bytes <= 60 * count + 1000);
    }
    ordered_map_free(&map, NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_maps),
        cmocka_unit_test(names_at_the_edges),
        cmocka_unit_test(small_maps_are_sound_at_each_step),
        cmocka_unit_test(maps_hold_what_the_model_holds),
        cmocka_unit_test(pushes_leave_the_cursor_on_what_is_new),
        cmocka_unit_test(values_of_the_largest_size),
        cmocka_unit_test(ten_elements_are_one_small_block),
        cmocka_unit_test(lists_are_compact),
        cmocka_unit_test(memory_follows_the_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
