/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole collection goes in which several nodes had counted. What the delete had not seen stays,
 * to the digit, whatever comes first where; and the work for the rest is as little as it can be:
 * noting what was seen touches nothing here, a reader does not look at what it need not, and ghosts
 * come into being where the counters are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "store/collection.h"
#include "store/elements.h"
#include "unit/store/streams.h"

enum {
    NODES = 3,
    MEMBERS = 600, /* more than are packed */
    LONE = MEMBERS,
    PLAIN = 2 * MEMBERS, /* counted by one other node only; not counted at all */
    ALL = 3 * MEMBERS,
    UNSEEN_FIRST = MEMBERS - 3, /* what the delete has not seen */
    UNSEEN_COUNT = 6,
};

static struct node_store nodes[NODES];

static const enum value_type TYPES[] = {VALUE_HASH, VALUE_SORTED_SET};

static struct key big(unsigned node) {
    return store_key(&nodes[node].store, 0, SLICE("big"));
}

static struct slice name_of(char text[24], unsigned number) {
    return slice_make(text, (size_t)snprintf(text, 24, "member:%u", number));
}

static void count(unsigned node, enum value_type type, unsigned first, unsigned members,
                  int delta) {
    struct elements_writer writer;
    struct key key = big(node);
    require(elements_open(&nodes[node].store, &key, type, &writer) == STORE_OK);
    for (unsigned i = first; i < first + members; i++) {
        char text[24];
        double score;
        int64_t sum;
        require((type == VALUE_SORTED_SET
                     ? element_add_score(&writer, name_of(text, i), delta + 0.5, &score)
                     : element_add_integer(&writer, name_of(text, i), delta, &sum)) == STORE_OK);
    }
    elements_close(&writer);
    store_end_unit(&nodes[node].store);
}

static void set(unsigned node, enum value_type type, unsigned first, unsigned members) {
    struct elements_writer writer;
    struct key key = big(node);
    require(elements_open(&nodes[node].store, &key, type, &writer) == STORE_OK);
    for (unsigned i = first; i < first + members; i++) {
        char text[24];
        bool is_new;
        require((type == VALUE_SORTED_SET ? element_set_score(&writer, name_of(text, i), 7, &is_new)
                                          : element_set(&writer, name_of(text, i), SLICE("7"),
                                                        false, &is_new)) == STORE_OK);
    }
    elements_close(&writer);
    store_end_unit(&nodes[node].store);
}

static void deliver(unsigned to, const struct buffer *record) {
    require(streams_take(&nodes[to], buffer_slice(record)) == RECEIVE_OK);
}

/* A record of what the node wrote, delivered to nobody. */
static struct buffer record_of(unsigned node) {
    struct buffer record = {0};
    streams_collect(&nodes[node], NODES, &record);
    return record;
}

static void ship(unsigned from) {
    struct buffer record = record_of(from);
    for (unsigned i = 0; i < NODES; i++) {
        if (i != from) {
            deliver(i, &record);
        }
    }
    buffer_deinit(&record);
}

/* Nodes 0 and 1 have counted, each in some members alone and in others on top of what was set; all
 * have seen all of it. */
static void begin(enum value_type type) {
    for (unsigned i = 0; i < NODES; i++) {
        streams_init(&nodes[i], i, NODES);
        nodes[i].receiver.applied = NULL;
    }
    set(0, type, MEMBERS / 2, MEMBERS / 2);
    count(0, type, 0, MEMBERS, 1);
    ship(0);
    count(1, type, 0, MEMBERS, 2);
    count(1, type, LONE, MEMBERS, 3);
    ship(1);
    set(0, type, PLAIN, MEMBERS);
    ship(0);
}

static void end(void) {
    for (unsigned i = 0; i < NODES; i++) {
        streams_deinit(&nodes[i]);
    }
}

static struct elements elements_at(unsigned node, enum value_type type) {
    struct elements elements;
    struct key key = big(node);
    require(elements_read(&nodes[node].store, &key, type, &elements) == STORE_OK);
    require(elements.collection != NULL);
    return elements;
}

static double number_at(unsigned node, enum value_type type, unsigned member) {
    char text[24];
    struct element element;
    struct elements elements = elements_at(node, type);
    long double number = 0;
    if (!elements_find(&nodes[node].store, &elements, name_of(text, member), &element)) {
        return 0;
    }
    if (type == VALUE_SORTED_SET) {
        return element.score;
    }
    require(number_parse_float(element.value, &number));
    return (double)number;
}

static void assert_same(void) {
    uint8_t digests[NODES][20];
    for (unsigned i = 0; i < NODES; i++) {
        store_check(&nodes[i].store);
        store_digest(&nodes[i].store, digests[i]);
        assert_memory_equal(digests[0], digests[i], sizeof(digests[0]));
    }
}

/* All is seen by all: what need not be kept apart any more goes. */
static void settle(void) {
    for (unsigned i = 0; i < NODES; i++) {
        struct store *store = &nodes[i].store;
        struct context frontier = store->context;
        while (!store_settle(store, &frontier, 64)) {
        }
        (void)store_settle(store, &frontier, UINT32_MAX);
        assert_int_equal(store->unsettled_count, 0);
        store_check(store);
    }
}

/* ---- what stays ---- */

enum way { WAY_DELETE, WAY_SET, WAY_EXPIRE, WAY_FLUSH, WAYS_COUNT };

static void remove_by(unsigned node, enum way way) {
    struct store *store = &nodes[node].store;
    struct key key = big(node);
    switch (way) {
    case WAY_DELETE:
        require(store_delete(store, &key));
        break;
    case WAY_SET:
        require(strings_set(store, &key, SLICE("x"), 0) == STORE_OK);
        require(store_delete(store, &key));
        break;
    case WAY_EXPIRE:
        require(store_expire(store, &key, (uint64_t)store->now_ms + 1));
        store_set_now(store, store->now_ms + 2);
        require(store_peek(store, &key) == NULL);
        break;
    case WAY_FLUSH:
        require(store_flush_all(store) > 0);
        break;
    case WAYS_COUNT:
        break;
    }
    store_end_unit(store);
}

static void what_was_not_seen_stays(void **state) {
    (void)state;
    for (unsigned at = 0; at < 2 * WAYS_COUNT; at++) {
        enum value_type type = TYPES[at % 2];
        double expected = type == VALUE_SORTED_SET ? 10.5 : 10;
        begin(type);
        count(1, type, UNSEEN_FIRST, UNSEEN_COUNT, 10);
        struct buffer unseen = record_of(1);
        remove_by(0, (enum way)(at / 2));
        struct buffer removal = record_of(0);

        deliver(0, &unseen); /* after the removal here, before it at one of the others, */
        deliver(1, &removal);
        deliver(2, &removal); /* and after it at the other */
        deliver(2, &unseen);
        assert_same();
        for (unsigned i = 0; i < NODES; i++) {
            assert_int_equal(elements_at(i, type).count, UNSEEN_COUNT);
            for (unsigned member = 0; member < ALL; member++) {
                bool is_unseen = member >= UNSEEN_FIRST && member < UNSEEN_FIRST + UNSEEN_COUNT;
                assert_true(number_at(i, type, member) == (is_unseen ? expected : 0));
            }
        }
        count(2, type, UNSEEN_FIRST, MEMBERS, 1);
        ship(2);
        assert_same();
        settle();
        assert_same();
        buffer_deinit(&unseen);
        buffer_deinit(&removal);
        end();
    }
}

/* ---- how much is done ---- */

static struct entry *entry_at(unsigned node, enum value_type type, unsigned member) {
    char text[24];
    struct collection *collection = elements_at(node, type).collection;
    struct key place = collection_key(&nodes[node].store, collection, 0, name_of(text, member));
    uint64_t *slot = mutate_slot(&nodes[node].store, &place);
    return slot != NULL ? table_item(*slot) : NULL;
}

static void noting_touches_nothing(void **state) {
    (void)state;
    for (unsigned at = 0; at < 2; at++) {
        enum value_type type = TYPES[at];
        begin(type);
        struct store *store = &nodes[0].store;
        struct collection *collection = elements_at(0, type).collection;
        uint64_t dirty = store->stats.dirty;
        collection_take(store, collection);
        assert_int_equal(store->journal.changes_count, 2 * MEMBERS); /* of node 1's parts */
        assert_int_equal(store->stats.dirty, dirty);
        assert_int_equal(store->unsettled_count, 0);
        assert_int_equal(elements_at(0, type).count, ALL);

        /* Nor does a reader look at them, where no increment is that was not seen: not even for
         * their place in the order. */
        store_end_unit(store);
        struct buffer record = record_of(0);
        count(1, type, 0, UNSEEN_COUNT, 10);
        for (unsigned node = 1; node < NODES; node++) {
            dirty = nodes[node].store.stats.dirty;
            deliver(node, &record);
            /* Those of which more is here than was seen are taken off, up to there. */
            assert_int_equal(nodes[node].store.stats.dirty - dirty, node == 1 ? UNSEEN_COUNT : 0);
            assert_false(elements_at(node, type).collection->is_order_stale);
        }
        buffer_deinit(&record);
        end();
    }
}

static void ghosts_come_where_the_counters_are(void **state) {
    (void)state;
    for (unsigned at = 0; at < 2; at++) {
        enum value_type type = TYPES[at];
        begin(type);
        /* What keeps the key, so that the elements can be looked at. */
        count(1, type, LONE, 1, 10);
        struct buffer unseen = record_of(1);
        deliver(2, &unseen);
        remove_by(0, WAY_DELETE);
        struct entry *before[MEMBERS];
        for (unsigned i = 0; i < MEMBERS; i++) {
            before[i] = entry_at(2, type, i);
            assert_int_equal(entry_kind(before[i]), ENTRY_CONTESTED);
        }
        struct buffer removal = record_of(0);
        deliver(1, &removal);
        deliver(2, &removal);
        for (unsigned i = 0; i < MEMBERS; i++) {
            assert_ptr_equal(entry_at(2, type, i), before[i]);
            assert_true(entry_is_hidden(before[i]));
            /* The writer's own part needs no ghost. */
            assert_int_equal(entry_contested(before[i])->parts_count, 1);
        }
        assert_int_equal(nodes[2].store.unsettled_count, 2 * MEMBERS - 1);
        assert_null(entry_at(2, type, PLAIN));
        store_check(&nodes[2].store);

        /* A second removal has nothing to do there. */
        uint64_t dirty = nodes[2].store.stats.dirty;
        deliver(0, &unseen);
        remove_by(0, WAY_DELETE);
        ship(0);
        assert_int_equal(nodes[2].store.stats.dirty - dirty, 2); /* the member, and the key */
        store_check(&nodes[2].store);
        buffer_deinit(&unseen);
        buffer_deinit(&removal);
        end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_seen_stays),
        cmocka_unit_test(noting_touches_nothing),
        cmocka_unit_test(ghosts_come_where_the_counters_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
