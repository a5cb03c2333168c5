/* SPDX-License-Identifier: BSD-3-Clause */
/* The table against naive arrays, with hashes of all kinds: even, clustered, at either end of their
 * segments, all the same. (There is a limit: no segment can hold 40 items whose hashes begin with
 * the same 55 bits. The hash of the store is seeded, so that nobody can choose such keys.) Walks
 * visit what stays exactly once, whatever comes and goes meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/memory.h"
#include "containers/table.h"
#include "unit/seed.h"

struct item {
    uint64_t hash;
    uint32_t number;
    uint32_t visits; /* by the walk under test */
    bool is_in, is_marked;
    bool stayed; /* in the table since the walk began */
};

static uint64_t item_hash(const void *item, const void *udata) {
    (void)udata;
    return ((const struct item *)item)->hash;
}

static bool item_is(const void *item, const void *udata) {
    return item == udata;
}

/* ---- a table beside its model ---- */

enum { ITEMS_MAX = 40000 };

struct pair {
    struct table table;
    struct prng prng;
    struct item *items; /* ITEMS_MAX blocks, each aligned to 16 */
    unsigned items_count;
    uint64_t count, marked_count;
};

enum hash_shape {
    HASH_EVEN,
    HASH_SEQUENTIAL_TOP, /* 0, 1, 2, ... in the top bits */
    HASH_ONE_TOP,        /* the top 14 bits are equal */
    HASH_CLUSTERED,      /* the top 13 bits have but a few values */
    HASH_LOW_TAGS,       /* zeros after the first bits: each segment fills from its front */
    HASH_HIGH_TAGS,      /* ones: from its end */
    HASH_SHAPES,
};

static uint64_t pick_hash(struct pair *pair, enum hash_shape shape, unsigned number) {
    uint64_t random = prng_next(&pair->prng);
    switch (shape) {
    case HASH_EVEN:
    case HASH_SHAPES:
        break;
    case HASH_SEQUENTIAL_TOP:
        return (uint64_t)number << 44;
    case HASH_ONE_TOP:
        return UINT64_C(0x2AAB) << 50 | random >> 14;
    case HASH_CLUSTERED:
        return prng_below(&pair->prng, 7) * UINT64_C(0x2492492492492492) + (random >> 13);
    case HASH_LOW_TAGS:
        return random & UINT64_C(0xFFE000000000FFFF);
    case HASH_HIGH_TAGS:
        return random | UINT64_C(0x001FFFFFFFFF0000);
    }
    return random;
}

static void pair_init(struct pair *pair, struct prng *prng, unsigned items_count,
                      enum hash_shape shape) {
    *pair = (struct pair){.items_count = items_count};
    prng_init(&pair->prng, prng_next(prng));
    table_init(&pair->table, item_hash, NULL);
    static_assert(sizeof(struct item) % 16 == 8 || sizeof(struct item) % 16 == 0, "alignment");
    pair->items = memory_alloc_zero(items_count * 2 * sizeof(struct item));
    for (unsigned i = 0; i < items_count; i++) {
        pair->items[2 * i] = (struct item){.hash = pick_hash(pair, shape, i), .number = i};
    }
}

static struct item *pair_item(struct pair *pair, unsigned i) {
    return &pair->items[2 * (size_t)i];
}

static void pair_deinit(struct pair *pair) {
    table_deinit(&pair->table);
    memory_free(pair->items);
}

static uint64_t *pair_find(struct pair *pair, struct item *item) {
    return table_find(&pair->table, item->hash, item_is, item);
}

static void pair_insert(struct pair *pair, struct item *item) {
    bool is_marked = prng_below(&pair->prng, 8) == 0;
    table_insert(&pair->table, item->hash, item, is_marked);
    item->is_in = true;
    item->stayed = false;
    item->is_marked = is_marked;
    pair->count++;
    pair->marked_count += is_marked;
}

static void pair_remove(struct pair *pair, struct item *item) {
    uint64_t *slot = pair_find(pair, item);
    require(slot != NULL);
    require(table_item(*slot) == item);
    table_remove(&pair->table, item->hash, slot);
    pair->count--;
    pair->marked_count -= item->is_marked;
    item->is_in = false;
    item->stayed = false;
    if (prng_below(&pair->prng, 4) > 0) {
        table_shrink_segment(&pair->table, item->hash);
    }
}

/* One random change; `grow_percent` of them insertions. */
static void pair_step(struct pair *pair, unsigned grow_percent) {
    struct item *item = pair_item(pair, (unsigned)prng_below(&pair->prng, pair->items_count));
    bool grows = prng_below(&pair->prng, 100) < grow_percent;
    if (item->is_in && prng_below(&pair->prng, 10) == 0) {
        uint64_t *slot = pair_find(pair, item);
        require(slot != NULL);
        pair->marked_count -= item->is_marked;
        item->is_marked = !item->is_marked;
        pair->marked_count += item->is_marked;
        table_mark(&pair->table, item->hash, slot, item->is_marked);
        require(((*slot & TABLE_MARK) != 0) == item->is_marked);
    } else if (item->is_in && !grows) {
        pair_remove(pair, item);
    } else if (!item->is_in && grows) {
        pair_insert(pair, item);
    }
    require(pair->table.count == pair->count);
    require(pair->table.marked_count == pair->marked_count);
}

static void visit_item(void *item, void *udata) {
    struct item *visited = (struct item *)item;
    uint64_t *visits = (uint64_t *)udata;
    visited->visits++;
    (*visits)++;
}

static void pair_clear_visits(struct pair *pair) {
    for (unsigned i = 0; i < pair->items_count; i++) {
        struct item *item = pair_item(pair, i);
        item->visits = 0;
        item->stayed = item->is_in;
    }
}

/* All items are found, and the walks see each once. */
static void pair_compare(struct pair *pair) {
    table_check(&pair->table);
    pair_clear_visits(pair);
    uint64_t visits = 0, position = 0;
    do {
        uint64_t next = table_walk(&pair->table, position, visit_item, &visits);
        require(next == 0 || next > position);
        position = next;
    } while (position != 0);
    require(visits == pair->count);
    for (unsigned i = 0; i < pair->items_count; i++) {
        struct item *item = pair_item(pair, i);
        require(item->visits == item->is_in);
        require((pair_find(pair, item) != NULL) == item->is_in);
    }
    pair_clear_visits(pair);
    visits = 0;
    do {
        position =
            table_walk_marked(&pair->table, position, 1 + (unsigned)prng_below(&pair->prng, 100),
                              visit_item, &visits);
    } while (position != 0);
    require(visits == pair->marked_count);
    for (unsigned i = 0; i < pair->items_count; i++) {
        struct item *item = pair_item(pair, i);
        require(item->visits == (item->is_in && item->is_marked));
    }
}

/* ---- random ---- */

static void tables_hold_what_the_model_holds(void **state) {
    (void)state;
    for (unsigned shape = 0; shape < HASH_SHAPES; shape++) {
        struct prng prng;
        seed_prng(&prng, "tables_hold_what_the_model_holds", shape);
        struct pair pair;
        pair_init(&pair, &prng, 12000, (enum hash_shape)shape);
        static const unsigned phases[] = {95, 60, 5, 50, 80, 30, 90, 1};
        for (unsigned phase = 0; phase < 8; phase++) {
            for (unsigned step = 0; step < 15000; step++) {
                pair_step(&pair, phases[phase]);
                if (step < 200 && phase == 0) {
                    table_check(&pair.table);
                }
            }
            pair_compare(&pair);
        }
        /* Down to nothing. */
        for (unsigned i = 0; i < pair.items_count; i++) {
            if (pair_item(&pair, i)->is_in) {
                pair_remove(&pair, pair_item(&pair, i));
            }
        }
        pair_compare(&pair);
        assert_int_equal(pair.table.count, 0);
        pair_deinit(&pair);
    }
}

/* Few items, so that each step can be followed by a whole check. */
static void small_tables_are_sound_at_each_step(void **state) {
    (void)state;
    for (unsigned shape = 0; shape < HASH_SHAPES; shape++) {
        struct prng prng;
        seed_prng(&prng, "small_tables_are_sound_at_each_step", shape);
        for (unsigned round = 0; round < 3; round++) {
            struct pair pair;
            pair_init(&pair, &prng, 20u << (2 * round), (enum hash_shape)shape);
            for (unsigned step = 0; step < 1500; step++) {
                pair_step(&pair, step % 600 < 300 ? 70 : 30);
                if (step % (1 + 10 * round) == 0) {
                    pair_compare(&pair);
                }
            }
            pair_deinit(&pair);
        }
    }
}

/* The whole hash is the same: 30 fit behind the home bucket of any segment. */
static void equal_hashes(void **state) {
    (void)state;
    static const uint64_t hashes[] = {0, UINT64_MAX, UINT64_C(0x8000000000000000), 12345,
                                      UINT64_C(0x7FFFFFFFFFFFFFFF)};
    for (unsigned i = 0; i < 5; i++) {
        struct prng prng;
        seed_prng(&prng, "equal_hashes", i);
        struct pair pair;
        pair_init(&pair, &prng, 3000, HASH_EVEN);
        for (unsigned j = 0; j < 30; j++) {
            pair_item(&pair, j)->hash = hashes[i];
            pair_insert(&pair, pair_item(&pair, j));
            table_check(&pair.table);
        }
        for (unsigned step = 0; step < 20000; step++) {
            pair_step(&pair, step < 10000 ? 90 : 10);
        }
        pair_compare(&pair);
        pair_deinit(&pair);
    }
}

static int compare_hashes(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* As when a client scans one database and moves what it finds to another: the new table sees the
 * keys by rising hash, from any point on. */
static void keys_in_the_order_of_their_hash(void **state) {
    (void)state;
    for (unsigned part = 0; part < 8; part++) {
        struct prng prng;
        seed_prng(&prng, "keys_in_the_order_of_their_hash", part);
        struct pair pair;
        pair_init(&pair, &prng, 20000, HASH_EVEN);
        uint64_t *hashes = memory_alloc(20000 * sizeof(uint64_t));
        uint64_t start = prng_next(&prng), range = UINT64_MAX >> (2 * part);
        for (unsigned i = 0; i < 20000; i++) {
            hashes[i] = start + prng_below(&prng, range);
        }
        qsort(hashes, 20000, sizeof(uint64_t), compare_hashes);
        for (unsigned i = 0; i < 20000; i++) {
            pair_item(&pair, i)->hash = hashes[i];
            pair_insert(&pair, pair_item(&pair, i));
            if (i == 3000) {
                pair_compare(&pair);
            }
        }
        pair_compare(&pair);
        memory_free(hashes);
        pair_deinit(&pair);
    }
}

/* ---- walks among changes ---- */

/* SCAN's guarantee: what is there from beginning to end is visited, and here just once. */
static void walks_miss_nothing_that_stays(void **state) {
    (void)state;
    for (unsigned part = 0; part < 12; part++) {
        struct prng prng;
        seed_prng(&prng, "walks_miss_nothing_that_stays", part);
        struct pair pair;
        pair_init(&pair, &prng, 20000, (enum hash_shape)(part % HASH_SHAPES));
        unsigned filling = part < 6 ? 2000 : 30000, changes = part < 6 ? 200 : 20;
        for (unsigned step = 0; step < filling; step++) {
            pair_step(&pair, 90);
        }
        for (unsigned walk = 0; walk < 4; walk++) {
            pair_clear_visits(&pair);
            uint64_t position = 0, visits = 0;
            unsigned steps = 0;
            do {
                uint64_t next = table_walk(&pair.table, position, visit_item, &visits);
                require(next == 0 || next > position);
                position = next;
                /* Growing through one walk, shrinking through the next. */
                for (unsigned i = 0; i < changes && steps < 60000; i++, steps++) {
                    pair_step(&pair, walk % 2 == 0 ? 95 : 10);
                }
            } while (position != 0);
            for (unsigned i = 0; i < pair.items_count; i++) {
                struct item *item = pair_item(&pair, i);
                require(!item->stayed || item->visits == 1);
            }
            table_check(&pair.table);
        }
        pair_deinit(&pair);
    }
}

/* Where a walk stands, table_walk_passed() tells what it has seen. */
static void positions_divide_the_items(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "positions_divide_the_items", 0);
    struct pair pair;
    pair_init(&pair, &prng, 3000, HASH_EVEN);
    for (unsigned step = 0; step < 4000; step++) {
        pair_step(&pair, 95);
    }
    pair_clear_visits(&pair);
    uint64_t position = 0, visits = 0;
    do {
        for (unsigned i = 0; i < pair.items_count; i++) {
            struct item *item = pair_item(&pair, i);
            require(!item->stayed || table_walk_passed(item->hash, position) == item->visits);
        }
        position = table_walk(&pair.table, position, visit_item, &visits);
        for (unsigned i = 0; i < 30; i++) {
            pair_step(&pair, 70);
        }
    } while (position != 0);
    pair_deinit(&pair);
}

/* A client may make up a cursor: any number is a position. */
static void any_number_is_a_position(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "any_number_is_a_position", 0);
    struct pair pair;
    pair_init(&pair, &prng, 5000, HASH_EVEN);
    for (unsigned step = 0; step < 6000; step++) {
        uint64_t position = prng_next(&prng) >> prng_below(&prng, 64), visits = 0;
        if (step % 4 == 0) {
            position = UINT64_MAX - position;
        }
        uint64_t next = table_walk(&pair.table, position, visit_item, &visits);
        require(next == 0 || next > position);
        next = table_walk_marked(&pair.table, position, 3, visit_item, &visits);
        require(next == 0 || next > position);
        pair_step(&pair, 90);
    }
    pair_deinit(&pair);
}

/* ---- the rest ---- */

static void expecting_makes_room(void **state) {
    (void)state;
    static const uint64_t counts[] = {0, 1, 1023, 1024, 1577, 1578, 5000, 39999};
    for (unsigned i = 0; i < 8; i++) {
        struct prng prng;
        seed_prng(&prng, "expecting_makes_room", i);
        struct pair pair;
        pair_init(&pair, &prng, ITEMS_MAX, HASH_EVEN);
        table_expect(&pair.table, counts[i]);
        table_check(&pair.table);
        uint64_t segments = pair.table.segments_count;
        for (unsigned j = 0; j < counts[i]; j++) {
            pair_insert(&pair, pair_item(&pair, j));
        }
        pair_compare(&pair);
        /* Next to nothing had to split. */
        assert_true(counts[i] < 1024 || pair.table.segments_count <= segments * 11 / 10 + 1);
        /* With items in it, it is a hint that comes too late. */
        table_expect(&pair.table, 1000000);
        table_check(&pair.table);
        for (unsigned j = (unsigned)counts[i]; j < ITEMS_MAX; j++) {
            pair_insert(&pair, pair_item(&pair, j));
        }
        pair_compare(&pair);
        pair_deinit(&pair);
    }
}

static void replacing_keeps_the_mark(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "replacing_keeps_the_mark", 0);
    struct pair pair;
    pair_init(&pair, &prng, 3, HASH_EVEN);
    struct item *first = pair_item(&pair, 0), *second = pair_item(&pair, 1);
    second->hash = first->hash;
    for (int is_marked = 0; is_marked < 2; is_marked++) {
        table_insert(&pair.table, first->hash, first, is_marked);
        table_replace(pair_find(&pair, first), second);
        assert_null(pair_find(&pair, first));
        uint64_t *slot = pair_find(&pair, second);
        assert_int_equal((*slot & TABLE_MARK) != 0, is_marked);
        assert_ptr_equal(table_item(*slot), second);
        table_check(&pair.table);
        table_remove(&pair.table, first->hash, slot);
    }
    pair_deinit(&pair);
}

/* Memory stays near what the items need, also after most of them went. */
static void memory_follows_the_count(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "memory_follows_the_count", 0);
    struct pair pair;
    pair_init(&pair, &prng, ITEMS_MAX, HASH_EVEN);
    double worst = 0;
    for (unsigned i = 0; i < ITEMS_MAX; i++) {
        pair_insert(&pair, pair_item(&pair, i));
        double bytes = (double)table_memory_bytes(&pair.table) / (i + 1);
        worst = i > 2000 && bytes > worst ? bytes : worst;
    }
    printf("at worst %.2f bytes an item while growing\n", worst);
    assert_true(worst < 13);
    uint64_t full = table_memory_bytes(&pair.table);
    for (unsigned i = 0; i < ITEMS_MAX - 1000; i++) {
        struct item *item = pair_item(&pair, i);
        table_remove(&pair.table, item->hash, pair_find(&pair, item));
        table_shrink_segment(&pair.table, item->hash);
    }
    printf("%.3f of it after removing all but 1000\n",
           (double)table_memory_bytes(&pair.table) / (double)full);
    assert_true(table_memory_bytes(&pair.table) < full / 10);
    table_check(&pair.table);
    pair_deinit(&pair);
}

static void random_items_are_about_uniform(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "random_items_are_about_uniform", 0);
    struct pair pair;
    pair_init(&pair, &prng, 2000, HASH_EVEN);
    assert_null(table_random(&pair.table, &prng, false));
    for (unsigned i = 0; i < 2000; i++) {
        struct item *item = pair_item(&pair, i);
        table_insert(&pair.table, item->hash, item, i % 10 == 0);
        item->is_marked = i % 10 == 0;
        assert_int_equal(table_random(&pair.table, &prng, true) != NULL, true);
    }
    for (int only_marked = 0; only_marked < 2; only_marked++) {
        pair_clear_visits(&pair);
        unsigned items = only_marked ? 200 : 2000, draws = items * 100;
        for (unsigned draw = 0; draw < draws; draw++) {
            struct item *item = table_random(&pair.table, &prng, only_marked);
            assert_true(!only_marked || item->is_marked);
            item->visits++;
        }
        for (unsigned i = 0; i < 2000; i++) {
            const struct item *item = pair_item(&pair, i);
            if (!only_marked || item->is_marked) {
                assert_true(item->visits > 30 && item->visits < 300);
            }
        }
    }
    pair_deinit(&pair);
}

static void samples_are_as_asked(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "samples_are_as_asked", 0);
    struct pair pair;
    pair_init(&pair, &prng, 5000, HASH_EVEN);
    for (unsigned step = 0; step < 6000; step++) {
        bool only_marked = prng_below(&prng, 2) == 0;
        unsigned wanted = 1 + (unsigned)prng_below(&prng, 10);
        uint64_t visits = 0, there = only_marked ? pair.marked_count : pair.count;
        pair_clear_visits(&pair);
        table_sample(&pair.table, &prng, only_marked, wanted, visit_item, &visits);
        require(visits <= wanted && visits <= there);
        require((visits > 0) == (there > 0));
        require(pair.table.segments_count > 1 || visits == (wanted < there ? wanted : there));
        for (unsigned i = 0; i < pair.items_count; i += 7) {
            const struct item *item = pair_item(&pair, i);
            require(item->visits <= (item->is_in && (!only_marked || item->is_marked)));
        }
        for (unsigned i = 0; i < 3; i++) {
            pair_step(&pair, step % 3000 < 2000 ? 80 : 0);
        }
    }
    pair_deinit(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_hold_what_the_model_holds),
        cmocka_unit_test(small_tables_are_sound_at_each_step),
        cmocka_unit_test(equal_hashes),
        cmocka_unit_test(keys_in_the_order_of_their_hash),
        cmocka_unit_test(walks_miss_nothing_that_stays),
        cmocka_unit_test(positions_divide_the_items),
        cmocka_unit_test(any_number_is_a_position),
        cmocka_unit_test(expecting_makes_room),
        cmocka_unit_test(replacing_keeps_the_mark),
        cmocka_unit_test(memory_follows_the_count),
        cmocka_unit_test(random_items_are_about_uniform),
        cmocka_unit_test(samples_are_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
