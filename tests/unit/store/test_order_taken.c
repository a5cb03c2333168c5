/* SPDX-License-Identifier: BSD-3-Clause */
/* A peer deletes a sorted set in which both had counted. Where each member is taken off first, the
 * order is not kept up meanwhile; what stays is in order all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "store/collection.h"
#include "store/elements.h"
#include "store/sorted_set.h"
#include "unit/store/streams.h"

enum { MEMBERS = 600 };

static struct node_store nodes[2];

static struct key ranking(unsigned node) {
    return store_key(&nodes[node].store, 0, SLICE("ranking"));
}

static void count(unsigned node, unsigned first, unsigned members, double delta) {
    struct elements_writer writer;
    struct key key = ranking(node);
    require(elements_open(&nodes[node].store, &key, VALUE_SORTED_SET, &writer) == STORE_OK);
    for (unsigned i = first; i < first + members; i++) {
        char name[16];
        double score;
        (void)snprintf(name, sizeof(name), "m%u", i);
        require(element_add_score(&writer, slice_of(name), delta, &score) == STORE_OK);
    }
    elements_close(&writer);
    store_end_unit(&nodes[node].store);
}

static void ship(unsigned from) {
    struct buffer record = {0};
    streams_collect(&nodes[from], 2, &record);
    require(streams_take(&nodes[1 - from], buffer_slice(&record)) == RECEIVE_OK);
    buffer_deinit(&record);
}

static struct collection *collection_of(unsigned node) {
    struct elements elements;
    struct key key = ranking(node);
    require(elements_read(&nodes[node].store, &key, VALUE_SORTED_SET, &elements) == STORE_OK);
    require(elements.collection != NULL);
    return elements.collection;
}

/* The members and scores in order, as text. */
static void print(unsigned node, struct buffer *out) {
    struct elements elements;
    struct key key = ranking(node);
    struct sorted_set_walk walk;
    struct slice name;
    double score;
    require(elements_read(&nodes[node].store, &key, VALUE_SORTED_SET, &elements) == STORE_OK);
    sorted_set_walk_init(&walk, &elements, (struct rank_range){.from = 0, .to = elements.count},
                         false);
    while (sorted_set_walk_next(&walk, &name, &score)) {
        char text[64];
        buffer_append(
            out, text,
            (size_t)snprintf(text, sizeof(text), "%.*s %g\n", (int)name.size, name.data, score));
    }
}

static void what_stays_is_in_order(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        streams_init(&nodes[i], i, 2);
        nodes[i].receiver.applied = NULL;
    }
    count(0, 0, MEMBERS, 1);
    ship(0);
    count(1, 0, MEMBERS, 2);
    ship(1);

    /* Not seen by who deletes. */
    count(1, MEMBERS - 3, 6, 10);
    struct key key = ranking(0);
    require(store_delete(&nodes[0].store, &key));
    store_end_unit(&nodes[0].store);
    ship(0);
    require(collection_of(1)->is_order_stale);
    store_check(&nodes[1].store);
    ship(1);
    store_check(&nodes[0].store);

    struct buffer shown[2] = {{0}, {0}};
    for (unsigned i = 0; i < 2; i++) {
        print(i, &shown[i]);
        assert_true(slice_equal(buffer_slice(&shown[i]), SLICE("m597 10\nm598 10\nm599 10\n"
                                                               "m600 10\nm601 10\nm602 10\n")));
        buffer_deinit(&shown[i]);
    }
    require(!collection_of(1)->is_order_stale);

    /* It is kept up again. */
    count(1, MEMBERS, 1, -5);
    uint64_t rank;
    double score;
    struct elements elements;
    key = ranking(1);
    require(elements_read(&nodes[1].store, &key, VALUE_SORTED_SET, &elements) == STORE_OK);
    assert_true(sorted_set_rank(&nodes[1].store, &elements, SLICE("m600"), &rank, &score));
    assert_int_equal(rank, 0);
    store_check(&nodes[1].store);
    for (unsigned i = 0; i < 2; i++) {
        streams_deinit(&nodes[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_stays_is_in_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
