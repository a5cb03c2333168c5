/* SPDX-License-Identifier: BSD-3-Clause */
/* Packed lists against the map that they are of: random lists, packed and read again after each
 * step, with stamps told one by one, of several replicas, and with stamps that are raised. Then how
 * long they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "crdt/list_position.h"
#include "crdt/packed_list.h"
#include "unit/seed.h"

enum { HISTORIES = 3000, STEPS_MAX = 80, SLOTS = 4 };

static struct list_positions positions[SLOTS]; /* of the replica in each slot */
static struct packed_authors *authors;
/* What was done to bytes as they lie, told in both ways. */
static uint64_t pushes_count, told_pushes_count, told_pops_count;
static uint64_t changes_count[2][2]; /* by whether they took out and put in an element */

static void init_positions(void) {
    for (unsigned slot = 1; slot < SLOTS; slot++) {
        list_positions_init(&positions[slot], UINT64_C(0x9E3779B97F4A7C15) * slot);
    }
}

static void same_map(const struct ordered_map *a, const struct ordered_map *b) {
    struct ordered_map_cursor of_a, of_b;
    bool is_there = ordered_map_first(a, &of_a);
    assert_int_equal(ordered_map_count(a), ordered_map_count(b));
    assert_int_equal(ordered_map_first(b, &of_b), is_there);
    while (is_there) {
        assert_true(slice_equal(of_a.element.name, of_b.element.name));
        assert_true(slice_equal(of_a.element.value, of_b.element.value));
        assert_int_equal(of_a.element.stamp, of_b.element.stamp);
        assert_int_equal(of_a.element.flags, of_b.element.flags);
        is_there = ordered_map_next(a, &of_a);
        assert_int_equal(ordered_map_next(b, &of_b), is_there);
    }
}

/* One list, as it is packed and as it should be read. */
struct history {
    struct buffer packed;
    struct ordered_map *model;
    struct prng prng;
    uint64_t ticks, newest;
    bool raises, is_whole, is_at_ends;
    unsigned value_kind, others; /* of so many stamps one is another replica's; 0: none */
    uint64_t pause, pause_max;
};

static unsigned next_slot(struct history *history) {
    bool is_other = history->others > 0 && prng_below(&history->prng, history->others) == 0;
    return is_other ? 2 + (unsigned)prng_below(&history->prng, SLOTS - 2) : 1;
}

static uint64_t next_stamp(struct history *history, unsigned slot) {
    history->ticks += 1 + (prng_below(&history->prng, 3) == 0 ? history->pause : 0);
    if (history->pause_max > 0) {
        history->ticks += prng_below(&history->prng, history->pause_max);
    }
    return stamp_make(history->ticks, slot);
}

static struct slice next_value(struct history *history, char *text) {
    size_t size = history->value_kind == 0   ? 10
                  : history->value_kind == 1 ? 13 + prng_below(&history->prng, 2)
                                             : prng_below(&history->prng, 30);
    if (history->value_kind == 2 && prng_below(&history->prng, 20) == 0) {
        size = 300 + prng_below(&history->prng, 100);
    }
    memset(text, 'a' + (int)prng_below(&history->prng, 26), size);
    return slice_make(text, size);
}

/* What was put into the model under that stamp: with raised ones all the others get it, too. */
static void raise_model(struct history *history, uint64_t stamp) {
    struct ordered_map_cursor cursor;
    history->newest = stamp;
    bool is_there = history->raises && ordered_map_first(history->model, &cursor);
    while (is_there) {
        assert_true(ordered_map_replace(&history->model, &cursor, stamp, 0, cursor.element.value));
        is_there = ordered_map_next(history->model, &cursor);
    }
}

static void insert(struct history *history, struct packed_list *list) {
    char text[512];
    struct ordered_map_cursor left, right;
    struct list_position position;
    struct slice none = SLICE("");
    uint64_t count = ordered_map_count(list->map);
    uint64_t at = prng_below(&history->prng, 2) == 0 ? 0 : count;
    if (!history->is_at_ends && prng_below(&history->prng, 3) == 0) {
        at = prng_below(&history->prng, count + 1);
    }
    bool has_left = at > 0 && ordered_map_at(list->map, at - 1, &left);
    bool has_right = ordered_map_at(list->map, at, &right);
    unsigned slot = next_slot(history);
    uint64_t stamp = next_stamp(history, slot);
    if (slot != 1) {
        list->is_whole = history->is_whole = false;
    }
    if (list_position_between(
            &positions[slot], stamp_ticks(stamp), has_left ? left.element.name : none,
            has_right ? right.element.name : none, list->is_whole, &position) != LIST_POSITION_OK) {
        return;
    }
    struct ordered_map_element element = {
        .name = list_position_slice(&position), .stamp = stamp, .value = next_value(history, text)};
    assert_true(ordered_map_insert(&history->model, &element));
    element.stamp = packed_list_stamp(list, stamp);
    assert_true(ordered_map_insert(&list->map, &element));
    raise_model(history, stamp);
    packed_list_raise(list, stamp);
}

static void replace(struct history *history, struct packed_list *list) {
    char text[512];
    struct ordered_map_cursor cursor, of_model;
    uint64_t stamp = next_stamp(history, next_slot(history)),
             at = prng_below(&history->prng, ordered_map_count(list->map));
    struct slice value = next_value(history, text);
    assert_true(ordered_map_at(list->map, at, &cursor));
    assert_true(ordered_map_at(history->model, at, &of_model));
    assert_true(ordered_map_replace(&history->model, &of_model, stamp, 0, value));
    assert_true(ordered_map_replace(&list->map, &cursor, packed_list_stamp(list, stamp), 0, value));
    raise_model(history, stamp);
    packed_list_raise(list, stamp);
}

static void take(struct history *history, struct packed_list *list) {
    struct ordered_map_cursor cursor;
    uint64_t at = prng_below(&history->prng, ordered_map_count(list->map));
    assert_true(ordered_map_at(history->model, at, &cursor));
    (void)ordered_map_remove(&history->model, &cursor);
    assert_true(ordered_map_at(list->map, at, &cursor));
    (void)ordered_map_remove(&list->map, &cursor);
    list->is_whole = history->is_whole = false;
}

static void check(const struct history *history) {
    struct slice packed = buffer_slice(&history->packed);
    struct ordered_map_block block;
    struct ordered_map_cursor cursor;
    struct packed_element element;
    struct packed_walk walk;
    const struct ordered_map *map = packed_list_map(authors, packed, &block);
    ordered_map_check(map);
    same_map(map, history->model);
    assert_int_equal(packed_type(packed), VALUE_LIST);
    assert_int_equal(packed_count(packed), ordered_map_count(history->model));
    assert_int_equal(packed_list_is_whole(packed), history->is_whole);
    packed_walk_init(&walk, authors, packed);
    bool is_there = ordered_map_first(history->model, &cursor);
    while (packed_walk_next(&walk, &element)) {
        assert_true(is_there);
        assert_true(slice_equal(element.name, cursor.element.name));
        assert_true(slice_equal(element.value, cursor.element.value));
        assert_int_equal(element.stamp, cursor.element.stamp);
        is_there = ordered_map_next(history->model, &cursor);
    }
    assert_false(is_there);
}

/* Pushes or pops as the bytes lie; false: they have to be opened. */
static bool change_at_end(struct history *history) {
    char text[512];
    struct slice packed = buffer_slice(&history->packed);
    struct packed_list_end end;
    struct ordered_map_cursor cursor;
    struct list_position position;
    struct slice none = SLICE("");
    struct buffer out = {0};
    bool is_first = prng_below(&history->prng, 2) == 0, is_done = true;
    bool is_told = packed_list_is_told(packed);
    if (!packed_list_end(authors, packed, is_first, &end)) {
        return false;
    }
    uint64_t last = ordered_map_count(history->model) - 1;
    assert_true(ordered_map_at(history->model, is_first ? 0 : last, &cursor));
    assert_true(slice_equal(cursor.element.name, end.at.element.name));
    assert_true(slice_equal(cursor.element.value, end.at.element.value));
    assert_int_equal(cursor.element.stamp, end.at.element.stamp);
    if (prng_below(&history->prng, 3) == 0 && last > 0) {
        is_done = packed_list_pop(&out, authors, packed, &end);
        if (is_done) {
            (void)ordered_map_remove(&history->model, &cursor);
            history->is_whole = false;
            told_pops_count += is_told;
        }
    } else {
        uint64_t stamp = next_stamp(history, 1);
        assert_int_equal(list_position_between(&positions[1], stamp_ticks(stamp),
                                               is_first ? none : end.at.element.name,
                                               is_first ? end.at.element.name : none,
                                               packed_list_is_whole(packed), &position),
                         LIST_POSITION_OK);
        struct ordered_map_element element = {.name = list_position_slice(&position),
                                              .stamp = stamp,
                                              .value = next_value(history, text)};
        is_done = packed_list_push(&out, authors, packed, &end, &element, history->raises);
        if (is_done) {
            assert_true(ordered_map_insert(&history->model, &element));
            raise_model(history, stamp);
            pushes_count++;
            told_pushes_count += is_told;
        }
    }
    if (is_done) {
        struct buffer before = history->packed;
        history->packed = out;
        out = before;
        check(history);
    }
    buffer_deinit(&out);
    return is_done;
}

static void same_place(const struct packed_told_place *place, struct slice name, bool is_there) {
    assert_int_equal(place->is_there, is_there);
    assert_true(!is_there || slice_equal(place->reader.element.name, name));
}

/* Puts an element in, sets one or takes one out as the bytes lie, at any place; likewise. */
static bool change_anywhere(struct history *history) {
    char text[512];
    struct slice packed = buffer_slice(&history->packed), none = SLICE("");
    struct packed_told_place place, found;
    struct ordered_map_cursor left, cursor;
    struct list_position position;
    struct buffer out = {0};
    uint64_t count = ordered_map_count(history->model);
    bool removes = prng_below(&history->prng, 2) == 0;
    bool has_element = !removes || count == 1 || prng_below(&history->prng, 2) == 0;
    uint64_t at = prng_below(&history->prng, removes ? count : count + 1);
    if (!packed_list_is_told(packed)) {
        return false;
    }
    bool is_there = ordered_map_at(history->model, at, &cursor);
    bool has_left = at > 0 && ordered_map_at(history->model, at - 1, &left);
    unsigned slot = next_slot(history);
    uint64_t stamp = next_stamp(history, slot);
    struct ordered_map_element element = {.stamp = stamp, .value = next_value(history, text)};
    packed_list_seek(&place, authors, packed, at);
    same_place(&place, cursor.element.name, is_there);
    if (removes) {
        memcpy(position.bytes, cursor.element.name.data, cursor.element.name.size);
        position.size = cursor.element.name.size;
    } else if (list_position_between(
                   &positions[slot], stamp_ticks(stamp), has_left ? left.element.name : none,
                   is_there ? cursor.element.name : none, false, &position) != LIST_POSITION_OK) {
        return false;
    }
    element.name = list_position_slice(&position);
    packed_list_find(&found, authors, packed, element.name);
    same_place(&found, cursor.element.name, is_there);
    bool is_done = packed_list_change(&out, authors, packed,
                                      prng_below(&history->prng, 2) == 0 ? &place : &found, removes,
                                      has_element ? &element : NULL);
    if (is_done) {
        if (removes && has_element) {
            assert_true(ordered_map_replace(&history->model, &cursor, stamp, 0, element.value));
        } else if (removes) {
            (void)ordered_map_remove(&history->model, &cursor);
        } else {
            assert_true(ordered_map_insert(&history->model, &element));
        }
        history->is_whole = history->is_whole && removes && has_element;
        struct buffer before = history->packed;
        history->packed = out;
        out = before;
        check(history);
        changes_count[removes][has_element]++;
    }
    buffer_deinit(&out);
    return is_done;
}

/* Changes it, and packs it again; false when it has grown too large: then it is taken as a map. */
static bool step(struct history *history) {
    struct packed_list list;
    struct slice packed = history->packed.size > 0 ? buffer_slice(&history->packed) : SLICE("");
    if (packed.size > 0 && prng_below(&history->prng, 2) == 0 && change_at_end(history)) {
        return true;
    }
    if (packed.size > 0 && prng_below(&history->prng, 3) == 0 && change_anywhere(history)) {
        return true;
    }
    packed_list_open(&list, authors, packed, history->raises);
    for (uint64_t i = 0, count = 1 + prng_below(&history->prng, 3); i < count; i++) {
        uint64_t kind = prng_below(&history->prng, 10);
        if (kind < 6 || list.map == NULL) {
            insert(history, &list);
        } else if (kind < 8) {
            replace(history, &list);
        } else if (ordered_map_count(list.map) > 1) {
            take(history, &list);
        }
    }
    bool fits = packed_list_fits(&list);
    if (fits) {
        buffer_clear(&history->packed);
        packed_list_put(&history->packed, &list);
        check(history);
    } else {
        struct ordered_map *map = packed_list_take(&list, SLICE(""), history->newest);
        same_map(map, history->model);
        ordered_map_free(&map, NULL, NULL);
    }
    packed_list_close(&list);
    return fits;
}

static void packed_lists_are_their_maps(void **state) {
    (void)state;
    for (unsigned i = 0; i < HISTORIES; i++) {
        struct history history = {.ticks = 1000, .is_whole = true};
        seed_prng(&history.prng, "packed_lists", i);
        init_positions();
        history.is_at_ends = prng_below(&history.prng, 2) == 0;
        history.raises = prng_below(&history.prng, 2) == 0;
        history.value_kind = (unsigned)prng_below(&history.prng, 3);
        history.pause = prng_below(&history.prng, 2) == 0 ? 0 : 4096000;
        history.pause_max =
            prng_below(&history.prng, 2) == 0 ? 0 : UINT64_C(1) << prng_below(&history.prng, 44);
        if (!history.raises) {
            history.others = (unsigned)prng_below(&history.prng, 9);
        }
        for (unsigned k = 0; k < STEPS_MAX && step(&history); k++) {
        }
        ordered_map_free(&history.model, NULL, NULL);
        buffer_deinit(&history.packed);
    }
    /* It was tried. */
    assert_true(pushes_count - told_pushes_count > HISTORIES / 4);
    assert_true(told_pushes_count > HISTORIES / 4);
    assert_true(told_pops_count > HISTORIES / 4);
    assert_true(changes_count[false][true] > HISTORIES / 4);
    assert_true(changes_count[true][false] > HISTORIES / 4);
    assert_true(changes_count[true][true] > HISTORIES / 4);
}

/* The last element that is changed when a list is too large keeps the stamp of its change. */
static void a_list_that_is_taken_has_the_stamps_of_its_changes(void **state) {
    (void)state;
    struct packed_list list;
    struct ordered_map_cursor cursor;
    packed_list_open(&list, authors, SLICE(""), true);
    for (unsigned i = 0; i < 3; i++) {
        char name = (char)('a' + i);
        uint64_t stamp = stamp_make(10 + i, 1);
        struct ordered_map_element element = {.name = slice_make(&name, 1), .value = SLICE("v")};
        element.stamp = packed_list_stamp(&list, stamp);
        assert_true(ordered_map_insert(&list.map, &element));
        if (i < 2) {
            packed_list_raise(&list, stamp);
        }
    }
    struct ordered_map *map = packed_list_take(&list, SLICE("c"), stamp_make(12, 1));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(ordered_map_at(map, i, &cursor));
        assert_int_equal(stamp_ticks(cursor.element.stamp), i < 2 ? 11 : 12);
    }
    ordered_map_free(&map, NULL, NULL);
    packed_list_close(&list);
}

/* Ten values of ten bytes that one replica pushed, in one command or in ten: what they have in
 * common is told once. */
static void runs_of_pushes_are_short(void **state) {
    (void)state;
    enum { ELEMENTS = 10, VALUE_BYTES = 10, HEAD_BYTES = 1 + 1 + 8 + 1 + 1 + 16 };
    for (unsigned end = 0; end < 2; end++) {
        for (unsigned pause = 1; pause <= 4096000; pause *= 4096) {
            struct packed_list list;
            struct buffer packed = {0};
            uint64_t ticks = 1000;
            init_positions();
            packed_list_open(&list, authors, SLICE(""), true);
            for (unsigned i = 0; i < ELEMENTS; i++) {
                struct ordered_map_cursor cursor;
                struct list_position position;
                struct slice none = SLICE(""), beside = none;
                if (end == 0 ? ordered_map_first(list.map, &cursor)
                             : ordered_map_last(list.map, &cursor)) {
                    beside = cursor.element.name;
                }
                init_positions(); /* it was not remembered */
                ticks += pause;
                assert_int_equal(
                    list_position_between(&positions[1], ticks, end == 0 ? none : beside,
                                          end == 0 ? beside : none, list.is_whole, &position),
                    LIST_POSITION_OK);
                struct ordered_map_element element = {.name = list_position_slice(&position),
                                                      .value = SLICE("0123456789")};
                element.stamp = packed_list_stamp(&list, stamp_make(ticks, 1));
                assert_true(ordered_map_insert(&list.map, &element));
                packed_list_raise(&list, stamp_make(ticks, 1));
            }
            packed_list_put(&packed, &list);
            assert_int_equal(packed.size, HEAD_BYTES + ELEMENTS * VALUE_BYTES);
            packed_list_close(&list);
            buffer_deinit(&packed);
        }
    }
}

/* ---- sizes ---- */

enum { VALUE_BYTES = 10, HEAD_BYTES = 1 + 1 + 8 };

/* The replica in that slot pushes, as the node in slot 1 does it, or learns of it. */
static void push(struct buffer *packed, unsigned slot, bool is_first, uint64_t ticks) {
    struct slice before = packed->size > 0 ? buffer_slice(packed) : SLICE(""), none = SLICE("");
    struct buffer out = {0};
    struct list_position position;
    struct packed_list list;
    struct packed_list_end end;
    struct ordered_map_cursor cursor;
    packed_list_open(&list, authors, before, false);
    bool is_there =
        is_first ? ordered_map_first(list.map, &cursor) : ordered_map_last(list.map, &cursor);
    struct slice beside = is_there ? cursor.element.name : none;
    assert_int_equal(list_position_between(&positions[slot], ticks, is_first ? none : beside,
                                           is_first ? beside : none, slot == 1 && list.is_whole,
                                           &position),
                     LIST_POSITION_OK);
    struct ordered_map_element element = {.name = list_position_slice(&position),
                                          .stamp = stamp_make(ticks, slot),
                                          .value = SLICE("0123456789")};
    if (slot != 1 || !is_there || !packed_list_end(authors, before, is_first, &end) ||
        !packed_list_push(&out, authors, before, &end, &element, false)) {
        assert_true(ordered_map_insert(&list.map, &element));
        list.is_whole = list.is_whole && slot == 1;
        packed_list_put(&out, &list);
    }
    packed_list_close(&list);
    buffer_deinit(packed);
    *packed = out;
}

/* Ten values that one replica pushed, seconds apart, at either end: each takes 4 bytes more, and 5
 * where counters are high. */
static void slow_pushes_are_short(void **state) {
    (void)state;
    enum { ELEMENTS = 10 };
    for (unsigned slot = 1; slot <= 2; slot++) {
        for (unsigned end = 0; end < 2; end++) {
            for (unsigned counter = 3; counter < 4096; counter += 3000) {
                struct buffer packed = {0};
                init_positions();
                for (uint64_t i = 0; i < ELEMENTS; i++) {
                    push(&packed, slot, end == 0, (1000000 + 2500 * i) << 12 | counter);
                }
                /* What the first one has more are the 2 bytes of an index, and its stamp: that is
                 * told in full with LPUSH, where it is the newest. */
                size_t each = counter < 256 ? 1 + 3 : 1 + 4;
                size_t first = end == 0 ? each + 2 : 1 + 1 + 2;
                assert_int_equal(packed.size, HEAD_BYTES + 1 + first + (ELEMENTS - 1) * each +
                                                  ELEMENTS * VALUE_BYTES);
                buffer_deinit(&packed);
            }
        }
    }
}

/* Ten values that ten writers of three replicas pushed at about the same time: a position for each,
 * but not a byte of it is told. */
static void lists_of_many_writers_are_short(void **state) {
    (void)state;
    enum { WRITERS = 10, ROUNDS = 1000, FIRST_BYTES = 1 + 1 + 2, ELEMENT_BYTES_MAX = 1 + 4 };
    struct prng prng;
    seed_prng(&prng, "packed_lists_of_many", 0);
    size_t longest = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct buffer packed = {0};
        uint64_t ms = 1000000;
        for (unsigned writer = 0; writer < WRITERS; writer++) {
            init_positions(); /* many other lists were pushed to meanwhile */
            ms += prng_below(&prng, 30000);
            push(&packed, 1 + (unsigned)prng_below(&prng, 3), false,
                 ms << 12 | prng_below(&prng, 4096));
        }
        longest = packed.size > longest ? packed.size : longest;
        /* A node learns of them in any order. */
        struct ordered_map_block block;
        struct ordered_map_cursor cursor;
        const struct ordered_map *map = packed_list_map(authors, buffer_slice(&packed), &block);
        struct packed_list list;
        struct buffer again = {0};
        packed_list_open(&list, authors, SLICE(""), false);
        for (unsigned k = 0; k < WRITERS; k++) {
            assert_true(ordered_map_at(map, (k * 7 + i) % WRITERS, &cursor));
            assert_true(ordered_map_insert(&list.map, &cursor.element));
            buffer_clear(&again);
            packed_list_put(&again, &list);
            packed_list_close(&list);
            packed_list_open(&list, authors, buffer_slice(&again), false);
        }
        same_map(list.map, map);
        longest = again.size > longest ? again.size : longest;
        packed_list_close(&list);
        buffer_deinit(&again);
        buffer_deinit(&packed);
    }
    print_message("ten values of ten writers: at most %zu bytes\n", longest);
    /* With the key's 30 bytes beside them that is just in the allocator's class of 192. */
    assert_in_range(longest, 1,
                    HEAD_BYTES + 1 + FIRST_BYTES + (WRITERS - 1) * ELEMENT_BYTES_MAX +
                        WRITERS * VALUE_BYTES);
}

/* Numbers stay what they are. When there are no more, lists are told in the other way. */
static void authors_keep_their_numbers(void **state) {
    (void)state;
    struct packed_authors *kept = authors;
    authors = packed_authors_new();
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < PACKED_AUTHORS_MAX; i++) {
            /* Some refs end alike, and some have several slots. */
            uint64_t ref = (uint64_t)(i / 3) << (i % 2 == 0 ? 0 : 40);
            unsigned number = packed_authors_number(authors, ref, i % 1024);
            assert_in_range(number, 1, i + 1);
            struct packed_author author = packed_authors_at(authors, number);
            assert_true(author.ref == ref);
            assert_int_equal(author.slot, i % 1024);
        }
    }
    for (uint64_t ref = 1; authors->count < PACKED_AUTHORS_MAX; ref++) {
        assert_int_not_equal(packed_authors_number(authors, ref << 50, 5), 0);
    }
    assert_int_equal(packed_authors_number(authors, UINT64_MAX, 5), 0);
    assert_int_equal(packed_authors_number(authors, 0, 0), 1);
    struct buffer packed = {0};
    init_positions();
    for (unsigned i = 0; i < 6; i++) {
        push(&packed, 1 + i % 2, i % 3 == 0, UINT64_C(5000000) * (1 + i));
        struct ordered_map_block block;
        struct ordered_map_cursor cursor;
        assert_false(packed_list_is_told(buffer_slice(&packed)));
        const struct ordered_map *map = packed_list_map(authors, buffer_slice(&packed), &block);
        assert_int_equal(ordered_map_count(map), i + 1);
        assert_true(i % 3 == 0 ? ordered_map_first(map, &cursor) : ordered_map_last(map, &cursor));
        assert_true(cursor.element.stamp == stamp_make(UINT64_C(5000000) * (1 + i), 1 + i % 2));
    }
    buffer_deinit(&packed);
    packed_authors_free(authors);
    authors = kept;
}

/* Of one stamp, the first element tells it in full where it is read: by then it may be a longer
 * one. */
static void what_is_packed_fits_with_any_stamp(void **state) {
    (void)state;
    enum { ELEMENTS = 12, VALUE_BYTES = 30, LAST_BYTES_MAX = 120 };
    static const char LETTERS[LAST_BYTES_MAX + 1] = "";
    unsigned fitted = 0;
    for (size_t last = 1; last <= LAST_BYTES_MAX; last++) {
        struct packed_list list;
        struct buffer packed = {0};
        packed_list_open(&list, authors, SLICE(""), true);
        for (unsigned i = 0; i < ELEMENTS; i++) {
            char name[] = {'n', (char)('a' + i), '-'};
            struct ordered_map_element element = {
                .name = slice_make(name, sizeof(name)),
                .value = slice_make(LETTERS, i + 1 < ELEMENTS ? VALUE_BYTES : last)};
            element.stamp = packed_list_stamp(&list, stamp_make(1, 1));
            assert_true(ordered_map_insert(&list.map, &element));
        }
        packed_list_raise(&list, stamp_make(STAMP_TICKS_MAX, 1));
        if (packed_list_fits(&list)) {
            struct ordered_map_block block;
            packed_list_put(&packed, &list);
            const struct ordered_map *map = packed_list_map(authors, buffer_slice(&packed), &block);
            assert_int_equal(ordered_map_count(map), ELEMENTS);
            fitted++;
        }
        buffer_deinit(&packed);
        packed_list_close(&list);
    }
    assert_in_range(fitted, 1, LAST_BYTES_MAX - 1);
}

int main(void) {
    authors = packed_authors_new();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_lists_are_their_maps),
        cmocka_unit_test(a_list_that_is_taken_has_the_stamps_of_its_changes),
        cmocka_unit_test(runs_of_pushes_are_short),
        cmocka_unit_test(slow_pushes_are_short),
        cmocka_unit_test(lists_of_many_writers_are_short),
        cmocka_unit_test(authors_keep_their_numbers),
        cmocka_unit_test(what_is_packed_fits_with_any_stamp),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    packed_authors_free(authors);
    return failed;
}
