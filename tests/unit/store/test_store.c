/* SPDX-License-Identifier: BSD-3-Clause */
/* The store as a whole: random histories of all mutators against a naive model, each replayed from
 * its journal into a second store, which must come to hold the same; then single cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/store/history.h"

/* ---- random histories ---- */

struct replica {
    struct store store;
    struct store *source;
    unsigned slot;
    unsigned batches_count;
};

static void replica_init(struct replica *replica, struct store *source, unsigned slot) {
    struct store_opts opts = {.dbs_count = source->dbs_count, .seed = 77 + slot};
    *replica = (struct replica){.source = source, .slot = slot};
    store_init(&replica->store, &opts);
}

static void replica_hand_on(void *udata) {
    struct replica *replica = (struct replica *)udata;
    history_replay(&replica->store, buffer_slice(&replica->source->journal.bytes), replica->slot);
    change_writer_clear(&replica->source->journal);
    replica->batches_count++;
}

static void histories_replay_to_the_same(void **state) {
    (void)state;
    for (unsigned part = 0; part < 4; part++) {
        struct prng prng;
        seed_prng(&prng, "histories_replay_to_the_same", part);
        struct history history;
        history_init(&history, prng_next(&prng));
        struct replica replica;
        /* As after a restart, and as a peer would. */
        replica_init(&replica, &history.store, part % 2 == 0 ? STAMP_SLOT_SELF : 2);
        history.store.udata = &replica;
        history.store.journal_full = replica_hand_on;
        for (unsigned step = 0; step < 2500; step++) {
            history_step(&history);
            if (prng_below(&prng, 40) == 0) {
                replica_hand_on(&replica);
                assert_true(history_digests_equal(&history.store, &replica.store));
            }
            if (prng_below(&prng, 200) == 0) {
                history_compare(&history);
                store_check(&history.store);
                store_check(&replica.store);
            }
        }
        history_compare(&history);
        replica_hand_on(&replica);
        assert_true(history_digests_equal(&history.store, &replica.store));
        store_check(&history.store);
        store_check(&replica.store);
        store_deinit(&replica.store);
        history_deinit(&history);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_replay_to_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
