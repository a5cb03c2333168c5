/* SPDX-License-Identifier: BSD-3-Clause */
/* The order tree against a sorted array: scores of all kinds, names that matter and names that do
 * not, items that come in order and in none. Whatever was done, order_tree_check() holds, and rank,
 * place and every seek agree with the array. Memory stays within what the header promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "containers/order_tree.h"
#include "unit/seed.h"

struct item {
    double score;
    uint8_t name_size;
    char name[23];
};

static struct slice item_name(const void *item) {
    const struct item *named = item;
    return slice_make(named->name, named->name_size);
}

/* ---- a tree beside its model ---- */

enum { ITEMS_MAX = 20000 };

struct pair {
    struct order_tree tree;
    struct prng prng;
    struct item **items; /* in order */
    uint64_t count;
    uint64_t serial; /* of names made so far */
};

enum shape {
    SHAPE_RANDOM,     /* scores of all kinds, few ties */
    SHAPE_TIES,       /* some ten scores */
    SHAPE_LEX,        /* one score */
    SHAPE_EXTREMES,   /* infinities, zeros of both signs, the smallest and the largest */
    SHAPE_ASCENDING,  /* each item above all before it */
    SHAPE_DESCENDING, /* below */
    SHAPES,
};

static double pick_score(struct pair *pair, enum shape shape) {
    static const double extremes[] = {INFINITY,
                                      -INFINITY,
                                      0.0,
                                      -0.0,
                                      5e-324,
                                      -5e-324,
                                      1.7976931348623157e308,
                                      -1.7976931348623157e308,
                                      1.0,
                                      -1.0};
    switch (shape) {
    case SHAPE_RANDOM:
    case SHAPES:
        break;
    case SHAPE_TIES:
        return (double)prng_below(&pair->prng, 10) / 4;
    case SHAPE_LEX:
        return 0.5;
    case SHAPE_EXTREMES:
        return extremes[prng_below(&pair->prng, 10)];
    case SHAPE_ASCENDING:
        return (double)pair->serial;
    case SHAPE_DESCENDING:
        return -(double)pair->serial;
    }
    return (prng_unit(&pair->prng) - 0.5) * 1e6;
}

/* Names share beginnings, differ in size, hold zeros and high bytes; most are new. */
static void pick_name(struct pair *pair, struct item *item) {
    static const char bytes[] = {'\0', 'a', 'b', '\x7f', '\x80', '\xff'};
    item->name_size = (uint8_t)prng_below(&pair->prng, sizeof(item->name) / 2);
    for (unsigned i = 0; i < item->name_size; i++) {
        item->name[i] = bytes[prng_below(&pair->prng, sizeof(bytes))];
    }
}

static int item_compare(const struct item *a, double score, struct slice name) {
    if (a->score != score) {
        return a->score < score ? -1 : 1;
    }
    return slice_compare(item_name(a), name);
}

/* How many items of the model are below (score, name), or equal to it as well. */
static uint64_t pair_below(const struct pair *pair, double score, struct slice name,
                           bool or_equal) {
    uint64_t low = 0, high = pair->count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        int order = item_compare(pair->items[middle], score, name);
        if (order < 0 || (or_equal && order == 0)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void pair_init(struct pair *pair, const char *name, uint64_t part) {
    *pair = (struct pair){.items = memory_alloc(ITEMS_MAX * sizeof(struct item *))};
    seed_prng(&pair->prng, name, part);
    order_tree_init(&pair->tree, item_name);
}

static void pair_deinit(struct pair *pair) {
    for (uint64_t i = 0; i < pair->count; i++) {
        memory_free(pair->items[i]);
    }
    memory_free(pair->items);
    order_tree_deinit(&pair->tree);
    require(order_tree_memory_bytes(&pair->tree) == 0);
}

/* A new item, put into the model only; NULL if there is one like it, or no room. */
static struct item *model_insert(struct pair *pair, enum shape shape) {
    struct item *item = memory_alloc_zero(sizeof(struct item));
    item->score = pick_score(pair, shape);
    pair->serial++;
    pick_name(pair, item);
    uint64_t at = pair_below(pair, item->score, item_name(item), false);
    bool is_known =
        at < pair->count && item_compare(pair->items[at], item->score, item_name(item)) == 0;
    if (is_known || pair->count == ITEMS_MAX) {
        memory_free(item);
        return NULL;
    }
    memmove(pair->items + at + 1, pair->items + at, (pair->count - at) * sizeof(struct item *));
    pair->items[at] = item;
    pair->count++;
    return item;
}

static void pair_insert(struct pair *pair, enum shape shape) {
    struct item *item = model_insert(pair, shape);
    if (item != NULL) {
        order_tree_insert(&pair->tree, item->score, item);
    }
    require(pair->tree.count == pair->count);
}

static void pair_remove(struct pair *pair) {
    if (pair->count == 0) {
        return;
    }
    uint64_t at = prng_below(&pair->prng, pair->count);
    struct item *item = pair->items[at];
    void *removed = order_tree_remove(&pair->tree, item->score, item_name(item));
    require(removed == item);
    pair->count--;
    memmove(pair->items + at, pair->items + at + 1, (pair->count - at) * sizeof(struct item *));
    removed = order_tree_remove(&pair->tree, item->score, item_name(item));
    require(removed == NULL);
    require(pair->tree.count == pair->count);
    memory_free(item);
}

/* The old block is given back, so that a separator that still had it would be seen by ASan. */
static void pair_replace(struct pair *pair) {
    if (pair->count == 0) {
        return;
    }
    uint64_t at = prng_below(&pair->prng, 3) == 0 ? 0 : prng_below(&pair->prng, pair->count);
    struct item *old = pair->items[at], *item = memory_alloc(sizeof(struct item));
    *item = *old;
    void *replaced = order_tree_replace(&pair->tree, old->score, item_name(old), item);
    require(replaced == old);
    pair->items[at] = item;
    memset(old, 'x', sizeof(struct item));
    memory_free(old);
}

struct visits {
    struct pair *pair;
    uint64_t next; /* rank of the item that comes next */
};

static void visit_removed(void *item, double score, void *udata) {
    struct visits *visits = udata;
    require(visits->pair->items[visits->next] == item);
    require(visits->pair->items[visits->next]->score == score);
    visits->next++;
    memset(item, 'x', sizeof(struct item));
    memory_free(item);
}

static void pair_remove_ranks(struct pair *pair, uint64_t from, uint64_t to) {
    struct visits visits = {.pair = pair, .next = from};
    uint64_t end = to < pair->count ? to : pair->count;
    uint64_t expected = from < end ? end - from : 0;
    uint64_t removed = order_tree_remove_ranks(&pair->tree, from, to, visit_removed, &visits);
    require(removed == expected);
    require(visits.next == from + expected);
    if (expected > 0) {
        memmove(pair->items + from, pair->items + end, (pair->count - end) * sizeof(struct item *));
        pair->count -= expected;
    }
    require(pair->tree.count == pair->count);
}

static void cursor_is_at(const struct pair *pair, const struct order_cursor *cursor,
                         uint64_t rank) {
    require(cursor->rank == rank);
    require((cursor->pair == NULL) == (rank == pair->count));
    require(cursor->pair == NULL || cursor->pair->item == pair->items[rank]);
    require(cursor->pair == NULL || cursor->pair->score == pair->items[rank]->score);
}

/* What is sought: an item that is there, or something near one. */
static void pair_compare_seek(struct pair *pair, enum shape shape) {
    struct item sought = {.score = pick_score(pair, shape)};
    pick_name(pair, &sought);
    if (pair->count > 0 && prng_below(&pair->prng, 2) == 0) {
        const struct item *known = pair->items[prng_below(&pair->prng, pair->count)];
        sought.score = known->score;
        if (prng_below(&pair->prng, 3) > 0) {
            sought = *known;
        }
        if (prng_below(&pair->prng, 4) == 0 && sought.name_size > 0) {
            sought.name_size--;
        }
    }
    struct slice name = item_name(&sought);
    uint64_t at = pair_below(pair, sought.score, name, false), rank = UINT64_MAX;
    uint64_t after = pair_below(pair, sought.score, name, true);
    bool is_there = order_tree_rank(&pair->tree, sought.score, name, &rank);
    require(is_there == (after > at));
    require(!is_there || rank == at);
    if (!is_there) {
        require(order_tree_remove(&pair->tree, sought.score, name) == NULL);
        require(order_tree_replace(&pair->tree, sought.score, name, &sought) == NULL);
    }
    struct order_cursor cursor = order_tree_seek(&pair->tree, sought.score, name, ORDER_AT);
    cursor_is_at(pair, &cursor, at);
    cursor = order_tree_seek(&pair->tree, sought.score, name, ORDER_AFTER);
    cursor_is_at(pair, &cursor, after);
    if (shape == SHAPE_LEX) {
        cursor = order_tree_seek_name(&pair->tree, name, ORDER_AT);
        cursor_is_at(pair, &cursor, at);
        cursor = order_tree_seek_name(&pair->tree, name, ORDER_AFTER);
        cursor_is_at(pair, &cursor, after);
    }
    /* By score alone: past names that are below all, and above all that occur. */
    char high[sizeof(sought.name)];
    memset(high, 0xff, sizeof(high));
    cursor = order_tree_seek_score(&pair->tree, sought.score, ORDER_AT);
    cursor_is_at(pair, &cursor, pair_below(pair, sought.score, slice_make("", 0), false));
    cursor = order_tree_seek_score(&pair->tree, sought.score, ORDER_AFTER);
    cursor_is_at(pair, &cursor,
                 pair_below(pair, sought.score, slice_make(high, sizeof(high)), true));
    /* And by rank, a little past the end as well. */
    rank = prng_below(&pair->prng, pair->count + 2);
    cursor = order_tree_seek_rank(&pair->tree, rank);
    cursor_is_at(pair, &cursor, rank < pair->count ? rank : pair->count);
    require(order_tree_at(&pair->tree, rank) == cursor.pair);
}

/* All of it, forward and backward. */
static void pair_compare(struct pair *pair) {
    order_tree_check(&pair->tree);
    require(pair->tree.count == pair->count);
    struct order_cursor cursor = order_tree_seek_rank(&pair->tree, 0);
    for (uint64_t i = 0; i < pair->count; i++) {
        cursor_is_at(pair, &cursor, i);
        order_cursor_next(&cursor);
    }
    cursor_is_at(pair, &cursor, pair->count);
    for (uint64_t i = pair->count; i-- > 0;) {
        require(order_cursor_previous(&cursor));
        cursor_is_at(pair, &cursor, i);
    }
    require(!order_cursor_previous(&cursor));
    cursor_is_at(pair, &cursor, 0);
}

static void pair_step(struct pair *pair, enum shape shape, unsigned grow_percent) {
    if (prng_below(&pair->prng, 100) < grow_percent) {
        pair_insert(pair, shape);
    } else {
        pair_remove(pair);
    }
    if (prng_below(&pair->prng, 8) == 0) {
        pair_replace(pair);
    }
    if (prng_below(&pair->prng, 4) == 0) {
        pair_compare_seek(pair, shape);
    }
}

/* ---- random ---- */

static void trees_hold_what_the_model_holds(void **state) {
    (void)state;
    for (unsigned shape = 0; shape < SHAPES; shape++) {
        struct pair pair;
        pair_init(&pair, "trees_hold_what_the_model_holds", shape);
        static const unsigned phases[] = {95, 60, 10, 50, 80, 30, 95, 2};
        for (unsigned phase = 0; phase < 8; phase++) {
            for (unsigned step = 0; step < 8000; step++) {
                pair_step(&pair, (enum shape)shape, phases[phase]);
            }
            pair_compare(&pair);
        }
        while (pair.count > 0) {
            pair_remove(&pair);
        }
        pair_compare(&pair);
        assert_null(pair.tree.root);
        pair_deinit(&pair);
    }
}

static void small_trees_are_sound_at_each_step(void **state) {
    (void)state;
    for (unsigned shape = 0; shape < SHAPES; shape++) {
        struct pair pair;
        pair_init(&pair, "small_trees_are_sound_at_each_step", shape);
        for (unsigned step = 0; step < 4000; step++) {
            pair_step(&pair, (enum shape)shape, step % 1000 < 550 ? 85 : 10);
            pair_compare(&pair);
        }
        pair_deinit(&pair);
    }
}

/* Short ranges, long ones, ends, all; small trees and large ones. */
static void ranges_of_ranks_go(void **state) {
    (void)state;
    for (unsigned part = 0; part < 2 * SHAPES; part++) {
        struct pair pair;
        pair_init(&pair, "ranges_of_ranks_go", part);
        uint64_t size = part % 2 == 0 ? 300 : 12000;
        for (unsigned round = 0; round < (part % 2 == 0 ? 600 : 40); round++) {
            for (uint64_t i = 0; i < size && (pair.count < size / 8 || i < size / 16); i++) {
                pair_insert(&pair, (enum shape)(part / 2));
            }
            for (unsigned i = 0; i < 12; i++) {
                uint64_t from = prng_below(&pair.prng, pair.count + 2);
                uint64_t most = pair.count >> (2 * prng_below(&pair.prng, 5));
                uint64_t to = from + prng_below(&pair.prng, most + 2);
                if (prng_below(&pair.prng, 16) == 0) {
                    to = UINT64_MAX;
                }
                pair_remove_ranks(&pair, from, to);
                order_tree_check(&pair.tree);
                pair_compare_seek(&pair, (enum shape)(part / 2));
            }
            pair_compare(&pair);
            if (round % 7 == 0) {
                pair_remove_ranks(&pair, 0,
                                  prng_below(&pair.prng, 2) == 0 ? UINT64_MAX : pair.count);
                assert_null(pair.tree.root);
                pair_compare(&pair);
            }
        }
        pair_deinit(&pair);
    }
}

/* Comb: of each run of items all go but one, so that every node is cut down and has to merge. */
static void combs_leave_no_sparse_nodes(void **state) {
    (void)state;
    for (uint64_t tooth = 2; tooth < 400; tooth = tooth * 3 / 2 + 1) {
        struct pair pair;
        pair_init(&pair, "combs_leave_no_sparse_nodes", tooth);
        while (pair.count < ITEMS_MAX) {
            pair_insert(&pair, SHAPE_RANDOM);
        }
        for (uint64_t at = 0; at < pair.count; at++) {
            pair_remove_ranks(&pair, at + 1, at + tooth);
        }
        pair_compare(&pair);
        assert_int_equal(pair.count, (ITEMS_MAX + tooth - 1) / tooth);
        assert_true(order_tree_memory_bytes(&pair.tree) <= 26 * pair.count + 256);
        pair_deinit(&pair);
    }
}

/* ---- building ---- */

static void built_trees_are_like_grown_ones(void **state) {
    (void)state;
    static const uint64_t counts[] = {0,    1,    2,    62,   63,   64,   65,    126,   127,
                                      1000, 3968, 3969, 3970, 4032, 4033, 10000, 15000, 19999};
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct pair pair;
        pair_init(&pair, "built_trees_are_like_grown_ones", i);
        enum shape shape = i % 2 == 0 ? SHAPE_RANDOM : SHAPE_ASCENDING;
        while (pair.count < counts[i]) {
            (void)model_insert(&pair, shape);
        }
        struct order_pair *pairs = memory_alloc((pair.count + 1) * sizeof(struct order_pair));
        for (uint64_t j = 0; j < pair.count; j++) {
            pairs[j] = (struct order_pair){.score = pair.items[j]->score, .item = pair.items[j]};
        }
        order_tree_build(&pair.tree, pairs, pair.count);
        memory_free(pairs);
        pair_compare(&pair);
        assert_true(order_tree_memory_bytes(&pair.tree) <= 20 * pair.count + 128);
        for (unsigned step = 0; step < 3000; step++) {
            pair_step(&pair, shape, step < 1500 ? 80 : 20);
        }
        pair_compare(&pair);
        pair_deinit(&pair);
    }
}

/* Every shape that building can give up to four levels: only the pairs matter, not their names. */
static void any_count_can_be_built(void **state) {
    (void)state;
    enum { COUNT_MAX = 300000 };
    struct order_pair *pairs = memory_alloc(COUNT_MAX * sizeof(struct order_pair));
    static struct item item;
    for (unsigned i = 0; i < COUNT_MAX; i++) {
        pairs[i] = (struct order_pair){.score = i, .item = &item};
    }
    struct order_tree tree;
    order_tree_init(&tree, item_name);
    for (uint64_t count = 1; count <= COUNT_MAX; count += count < 4500 ? 1 : count / 61) {
        order_tree_build(&tree, pairs, count);
        order_tree_check(&tree);
        for (uint64_t rank = 0; rank < count; rank += 1 + count / 50) {
            assert_true(order_tree_at(&tree, rank)->score == (double)rank);
        }
        order_tree_deinit(&tree);
    }
    memory_free(pairs);
}

/* ---- memory ---- */

enum { MANY = 200000 };

static double bytes_per_item(enum shape shape) {
    struct prng prng;
    seed_prng(&prng, "bytes_per_item", shape);
    static struct item item;
    struct order_tree tree;
    order_tree_init(&tree, item_name);
    for (unsigned i = 0; i < MANY; i++) {
        double score = prng_unit(&prng);
        if (shape != SHAPE_RANDOM) {
            score = shape == SHAPE_ASCENDING ? i : -(double)i;
        }
        order_tree_insert(&tree, score, &item);
    }
    order_tree_check(&tree);
    double bytes = (double)order_tree_memory_bytes(&tree) / MANY;
    printf("shape %d: %.2f bytes an item\n", shape, bytes);
    /* Of three quarters that go, the room goes as well. */
    for (unsigned i = 0; i < MANY * 3 / 4; i++) {
        const struct order_pair *pair = order_tree_at(&tree, prng_below(&prng, tree.count));
        assert_ptr_equal(order_tree_remove(&tree, pair->score, item_name(&item)), &item);
    }
    order_tree_check(&tree);
    printf("          %.2f after removals\n",
           (double)order_tree_memory_bytes(&tree) / (double)tree.count);
    assert_true(order_tree_memory_bytes(&tree) <= 26 * tree.count);
    order_tree_deinit(&tree);
    return bytes;
}

static void memory_is_as_promised(void **state) {
    (void)state;
    assert_true(bytes_per_item(SHAPE_RANDOM) <= 20);
    assert_true(bytes_per_item(SHAPE_ASCENDING) <= 17);
    assert_true(bytes_per_item(SHAPE_DESCENDING) <= 17);
}

static void small_trees_take_little(void **state) {
    (void)state;
    struct pair pair;
    pair_init(&pair, "small_trees_take_little", 0);
    assert_int_equal(order_tree_memory_bytes(&pair.tree), 0);
    for (uint64_t count = 1; count <= 500; count++) {
        pair_insert(&pair, SHAPE_ASCENDING);
        /* A header, a class that is not full, and beyond one leaf the half-empty last one. */
        assert_true(order_tree_memory_bytes(&pair.tree) <=
                    pair.count * 20 + (pair.count <= 63 ? 32 : 1024));
    }
    pair_deinit(&pair);
}

/* ---- exact ---- */

static struct item *new_item(double score, const char *name) {
    struct item *item = memory_alloc_zero(sizeof(struct item));
    item->score = score;
    item->name_size = (uint8_t)strlen(name);
    memcpy(item->name, name, item->name_size);
    return item;
}

static void zeros_are_equal_and_infinities_are_last(void **state) {
    (void)state;
    struct order_tree tree;
    order_tree_init(&tree, item_name);
    static const double scores[] = {INFINITY, 0.0, -0.0, -INFINITY, 0.0};
    static const char *const names[] = {"a", "c", "b", "z", "ba"};
    struct item *items[5];
    for (unsigned i = 0; i < 5; i++) {
        items[i] = new_item(scores[i], names[i]);
        order_tree_insert(&tree, scores[i], items[i]);
    }
    static const char *const expected[] = {"z", "b", "ba", "c", "a"};
    for (unsigned i = 0; i < 5; i++) {
        struct slice name = item_name(order_tree_at(&tree, i)->item);
        assert_true(slice_equal(name, slice_of(expected[i])));
    }
    uint64_t rank;
    assert_true(order_tree_rank(&tree, 0.0, SLICE("b"), &rank));
    assert_int_equal(rank, 1);
    assert_true(order_tree_rank(&tree, -0.0, SLICE("c"), &rank));
    assert_int_equal(rank, 3);
    assert_false(order_tree_rank(&tree, 0.0, SLICE("z"), &rank));
    assert_int_equal(order_tree_seek_score(&tree, -0.0, ORDER_AT).rank, 1);
    assert_int_equal(order_tree_seek_score(&tree, -0.0, ORDER_AFTER).rank, 4);
    assert_int_equal(order_tree_seek_score(&tree, INFINITY, ORDER_AFTER).rank, 5);
    assert_null(order_tree_seek_score(&tree, INFINITY, ORDER_AFTER).pair);
    assert_int_equal(order_tree_seek_score(&tree, -INFINITY, ORDER_AT).rank, 0);
    assert_ptr_equal(order_tree_remove(&tree, 0.0, SLICE("b")), items[2]);
    assert_null(order_tree_remove(&tree, 1.0, SLICE("c")));
    order_tree_deinit(&tree);
    for (unsigned i = 0; i < 5; i++) {
        memory_free(items[i]);
    }
}

static void empty_trees_answer(void **state) {
    (void)state;
    struct order_tree tree;
    order_tree_init(&tree, item_name);
    uint64_t rank;
    assert_false(order_tree_rank(&tree, 1, SLICE("a"), &rank));
    assert_null(order_tree_at(&tree, 0));
    assert_null(order_tree_remove(&tree, 1, SLICE("a")));
    assert_null(order_tree_replace(&tree, 1, SLICE("a"), &tree));
    struct order_cursor cursor = order_tree_seek_name(&tree, SLICE("a"), ORDER_AT);
    assert_null(cursor.pair);
    assert_false(order_cursor_previous(&cursor));
    assert_null(order_tree_seek(&tree, 1, SLICE("a"), ORDER_AFTER).pair);
    assert_int_equal(order_tree_remove_ranks(&tree, 0, 5, NULL, NULL), 0);
    order_tree_check(&tree);
    order_tree_deinit(&tree);
}

/* Items that are gone already are told by their addresses: where many share a score, and where they
 * are the first below an inner node. */
static void items_that_are_gone_can_be_taken_out(void **state) {
    (void)state;
    enum { COUNT = 5000 };
    struct order_tree tree;
    static struct item *items[COUNT];
    order_tree_init(&tree, item_name);
    for (unsigned i = 0; i < COUNT; i++) {
        items[i] = memory_alloc_zero(sizeof(*items[i]));
        items[i]->score = i % 3;
        items[i]->name_size =
            (uint8_t)snprintf(items[i]->name, sizeof(items[i]->name), "%u", i * 7919 % COUNT);
        order_tree_insert(&tree, items[i]->score, items[i]);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        struct item copy = *items[i];
        struct slice name = item_name(&copy);
        void *gone = items[i];
        memory_free(items[i]);
        if (i % 2 == 0) {
            assert_ptr_equal(order_tree_remove_known(&tree, copy.score, name, gone), gone);
            items[i] = NULL;
            continue;
        }
        items[i] = memory_alloc(sizeof(copy));
        *items[i] = copy;
        assert_ptr_equal(order_tree_replace_known(&tree, copy.score, name, gone, items[i]), gone);
    }
    order_tree_check(&tree);
    assert_int_equal(tree.count, COUNT / 2);
    for (unsigned i = 1; i < COUNT; i += 2) {
        uint64_t rank;
        assert_true(order_tree_rank(&tree, items[i]->score, item_name(items[i]), &rank));
        assert_ptr_equal(order_tree_at(&tree, rank)->item, items[i]);
    }
    order_tree_deinit(&tree);
    for (unsigned i = 1; i < COUNT; i += 2) {
        memory_free(items[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_hold_what_the_model_holds),
        cmocka_unit_test(small_trees_are_sound_at_each_step),
        cmocka_unit_test(ranges_of_ranks_go),
        cmocka_unit_test(combs_leave_no_sparse_nodes),
        cmocka_unit_test(built_trees_are_like_grown_ones),
        cmocka_unit_test(any_count_can_be_built),
        cmocka_unit_test(memory_is_as_promised),
        cmocka_unit_test(small_trees_take_little),
        cmocka_unit_test(zeros_are_equal_and_infinities_are_last),
        cmocka_unit_test(empty_trees_answer),
        cmocka_unit_test(items_that_are_gone_can_be_taken_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
