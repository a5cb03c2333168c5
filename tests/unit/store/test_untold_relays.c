/* SPDX-License-Identifier: BSD-3-Clause */
/* An untold DELETE that is passed on by two nodes, each of which has asked about what it had more
 * of, and has put the answers before it: they cut the unit into records in different places. Who
 * gets the beginning from the one, and the rest from the other, must not take for given what he
 * passes over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/varint.h"
#include "store/elements.h"
#include "unit/store/streams.h"

enum {
    A, /* deletes */
    B, /* passes it on, and has counted in few elements */
    C, /* likewise, in so many that what it passes on is of several records */
    D, /* gets it from both */
    NODES,
    FEW = 50,
    MANY = 40000,
    ROUNDS_MAX = 10,
};

static struct node_store nodes[NODES];

static struct slice element_name(char writer, unsigned number, char text[64]) {
    return slice_make(
        text, (size_t)snprintf(text, 64, "%c-element-with-a-long-name-%020u", writer, number));
}

static struct key key_of(unsigned node) {
    return store_key(&nodes[node].store, 0, SLICE("z"));
}

static void count(unsigned node, char writer, unsigned elements_count, struct buffer *record) {
    struct key key = key_of(node);
    struct elements_writer elements;
    char text[64];
    double score;
    assert_int_equal(elements_open(&nodes[node].store, &key, VALUE_SORTED_SET, &elements),
                     STORE_OK);
    for (unsigned i = 0; i < elements_count; i++) {
        assert_int_equal(element_add_score(&elements, element_name(writer, i, text), 1, &score),
                         STORE_OK);
    }
    elements_close(&elements);
    store_end_unit(&nodes[node].store);
    buffer_clear(record);
    streams_collect(&nodes[node], NODES, record);
}

static void give(const struct buffer *record, unsigned to) {
    assert_int_equal(streams_take(&nodes[to], buffer_slice(record)), RECEIVE_OK);
}

/* The same, and `source` answers. */
static void give_and_answer(struct slice record, unsigned to, unsigned source) {
    enum receive_status status;
    for (unsigned round = 0; (status = streams_take(&nodes[to], record)) == RECEIVE_ASK; round++) {
        assert_true(round < ROUNDS_MAX);
        struct slice questions = buffer_slice(&nodes[to].receiver.questions), question;
        while (varint_take_slice(&questions, &question)) {
            struct buffer answer = {0};
            assert_true(amounts_answer(&nodes[source].store, question, &answer));
            assert_true(receiver_answered(&nodes[to].receiver, buffer_slice(&answer)));
            buffer_deinit(&answer);
        }
    }
    assert_int_equal(status, RECEIVE_OK);
}

/* What a node has passed on: each record with its size before it. */
static bool take_applied(struct slice *applied, struct slice *record) {
    size_t size;
    if (applied->size == 0) {
        return false;
    }
    memcpy(&size, applied->data, sizeof(size));
    *record = slice_make(applied->data + sizeof(size), size);
    *applied = slice_skip(*applied, sizeof(size) + size);
    return true;
}

static void expect_one_of_each(char writer, unsigned elements_count) {
    struct key key = key_of(D);
    struct elements elements;
    struct element element;
    char text[64];
    assert_int_equal(elements_read(&nodes[D].store, &key, VALUE_SORTED_SET, &elements), STORE_OK);
    for (unsigned i = 0; i < elements_count; i++) {
        assert_true(
            elements_find(&nodes[D].store, &elements, element_name(writer, i, text), &element));
        assert_true(element.score == 1);
    }
}

static void one_begins_and_another_ends(void **state) {
    (void)state;
    struct buffer record = {0};
    for (unsigned i = 0; i < NODES; i++) {
        streams_init(&nodes[i], i, NODES);
        nodes[i].receiver.asks = true;
        nodes[i].store.untold_elements_min = 1024;
    }
    count(C, 'c', MANY, &record);
    give(&record, A);
    give(&record, B);
    give(&record, D);
    count(B, 'b', FEW, &record);
    give(&record, A);
    give(&record, C);
    give(&record, D);
    /* These A has not seen, and only D has all. */
    count(C, 'c', MANY, &record);
    give(&record, D);
    count(B, 'b', FEW, &record);
    give(&record, D);
    struct key key = key_of(A);
    assert_true(store_delete(&nodes[A].store, &key));
    store_end_unit(&nodes[A].store);
    buffer_clear(&record);
    streams_collect(&nodes[A], NODES, &record);
    buffer_clear(&nodes[B].applied);
    buffer_clear(&nodes[C].applied);
    give_and_answer(buffer_slice(&record), B, A);
    give_and_answer(buffer_slice(&record), C, A);
    struct slice from_c = buffer_slice(&nodes[C].applied), from_b = buffer_slice(&nodes[B].applied);
    struct slice first, next;
    assert_true(take_applied(&from_c, &first));
    assert_true(from_c.size > 0); /* more would follow */
    give_and_answer(first, D, C);
    while (take_applied(&from_b, &next)) {
        give_and_answer(next, D, B);
    }
    expect_one_of_each('b', FEW);
    expect_one_of_each('c', MANY);
    for (unsigned i = 0; i < NODES; i++) {
        streams_deinit(&nodes[i]);
    }
    buffer_deinit(&record);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_begins_and_another_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
