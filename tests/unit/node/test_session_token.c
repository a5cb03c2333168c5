/* SPDX-License-Identifier: BSD-3-Clause */
/* Session tokens: one is covered by a store that has seen all that the giver had, and by no other;
 * what is no token is told apart, whatever byte of it was changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "node/session_token.h"
#include "unit/seed.h"

static void store_begin(struct store *store) {
    const struct store_opts opts = {.dbs_count = 1, .seed = 1};
    store_init(store, &opts);
    store->replicas.self = 0;
    memset(&store->context, 0, sizeof(store->context));
}

/* Replica `number` was seen up to `ticks`; the stores have it in different slots. */
static void see(struct store *store, unsigned number, uint64_t ticks) {
    struct replica_id id = {.generation = number};
    id.node[0] = (uint8_t)number;
    unsigned slot = replicas_add(&store->replicas, &id);
    assert_true(slot > 0);
    store->context.stamps[slot] = stamp_make(ticks, slot);
}

static bool is_covered(struct slice text, const struct store *store) {
    struct session_token *token = session_token_read(text);
    assert_non_null(token);
    bool is = session_token_is_covered(token, store);
    assert_int_equal(session_token_is_covered(token, store), is);
    session_token_free(token);
    return is;
}

static void test_covered(void **state) {
    (void)state;
    static struct store giver, taker;
    struct buffer text = {0};
    store_begin(&giver);
    store_begin(&taker);
    session_token_write(&giver, &text);
    assert_true(is_covered(buffer_slice(&text), &taker));
    buffer_clear(&text);
    see(&giver, 1, 1000);
    see(&giver, 2, UINT64_C(1) << 50);
    see(&giver, 3, 7);
    session_token_write(&giver, &text);
    assert_true(is_covered(buffer_slice(&text), &giver));
    assert_false(is_covered(buffer_slice(&text), &taker));
    see(&taker, 3, 7);
    see(&taker, 2, UINT64_C(1) << 51);
    assert_false(is_covered(buffer_slice(&text), &taker));
    see(&taker, 1, 999);
    assert_false(is_covered(buffer_slice(&text), &taker));
    see(&taker, 1, 1000);
    assert_true(is_covered(buffer_slice(&text), &taker));
    /* A replica that is retired was seen to its end. */
    struct replica_id id = {.generation = 1, .node = {1}};
    unsigned slot = replicas_find(&taker.replicas, replica_ref(&id));
    replicas_retire(&taker.replicas, slot, 1000);
    taker.context.stamps[slot] = 0;
    assert_true(is_covered(buffer_slice(&text), &taker));
    buffer_deinit(&text);
    store_deinit(&giver);
    store_deinit(&taker);
}

/* What was written again in another life has come, or is about to; what a life wrote that was put
 * back to before that is lost, and nobody is to believe that it has come. */
static void test_void(void **state) {
    (void)state;
    static struct store giver, taker;
    struct buffer text = {0};
    store_begin(&giver);
    store_begin(&taker);
    see(&giver, 1, 1000);
    session_token_write(&giver, &text);
    see(&taker, 1, 500);
    struct replica_id id = {.generation = 1, .node = {1}};
    struct ended_replica end = {.ref = replica_ref(&id), .ticks = 500, .made_ticks = 999};
    replicas_note_ended(&taker.replicas, &end);
    assert_false(is_covered(buffer_slice(&text), &taker));
    end.made_ticks = 1000;
    replicas_note_ended(&taker.replicas, &end);
    assert_true(is_covered(buffer_slice(&text), &taker));
    buffer_deinit(&text);
    store_deinit(&giver);
    store_deinit(&taker);
}

static void test_damaged(void **state) {
    (void)state;
    static struct store giver;
    struct buffer text = {0};
    store_begin(&giver);
    see(&giver, 1, 123456789);
    see(&giver, 2, 42);
    session_token_write(&giver, &text);
    struct slice whole = buffer_slice(&text);
    for (size_t size = 0; size < whole.size; size++) {
        assert_null(session_token_read(slice_make(whole.data, size)));
    }
    struct prng prng;
    seed_prng(&prng, "session_token", 0);
    for (size_t i = 0; i < whole.size; i++) {
        for (int round = 0; round < 20; round++) {
            char before = text.data[i];
            text.data[i] = (char)prng_below(&prng, 256);
            if (text.data[i] != before) {
                assert_null(session_token_read(whole));
            }
            text.data[i] = before;
        }
    }
    struct session_token *token = session_token_read(whole);
    assert_non_null(token);
    session_token_free(token);
    assert_null(session_token_read(SLICE("nonsense")));
    buffer_deinit(&text);
    store_deinit(&giver);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_covered),
        cmocka_unit_test(test_void),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
