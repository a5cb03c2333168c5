/* SPDX-License-Identifier: BSD-3-Clause */
/* Random histories: some peers write, hand on, settle, and join or rebase at random moments. In the
 * end all are the same, and what was only ever counted up has the right sum. */
#include "unit/store/sync_world.h"

/* One step of anybody but `away`, who is told nothing either. */
static void random_step(struct prng *prng, unsigned away) {
    unsigned number = (unsigned)prng_below(prng, peers_count);
    if (number == away) {
        return;
    }
    struct peer *peer = &peers[number];
    switch (prng_below(prng, 8)) {
    case 0:
    case 1:
    case 2:
        random_write(peer, prng);
        if (prng_below(prng, 3) > 0) {
            store_end_unit(&peer->store);
        }
        break;
    case 3:
    case 4:
    case 5: {
        unsigned from = (unsigned)prng_below(prng, authors_count);
        collect(peer);
        for (unsigned i = 0; i < peers_count; i++) {
            if (peers[i].author == from && i != away) {
                collect(&peers[i]);
            }
        }
        for (uint64_t left = prng_below(prng, 6); left > 0 && deliver_one(peer, from); left--) {
        }
        break;
    }
    case 6:
        claim(peer);
        break;
    default:
        settle(number);
        break;
    }
}

static unsigned other_peer(struct prng *prng, unsigned than) {
    unsigned other = (unsigned)prng_below(prng, peers_count - 1);
    return other + (other >= than);
}

/* Joins while the others go on. */
static void random_join(struct prng *prng, unsigned number, enum sync_mode mode) {
    struct peer *joiner = &peers[number];
    collect(joiner);
    struct sync *sync = sync_begin(&joiner->store, mode, NULL, NULL);
    bool is_done[PARTS] = {false};
    while (sync_parts_done(sync) < PARTS) {
        unsigned part = (unsigned)prng_below(prng, PARTS);
        if (!is_done[part]) {
            unsigned before = sync_parts_done(sync);
            assert_int_equal(
                pull(sync, &peers[other_peer(prng, number)], part, prng, prng_below(prng, 3) == 0),
                SYNC_OK);
            is_done[part] = sync_parts_done(sync) > before;
        }
        for (uint64_t steps = prng_below(prng, 8); steps > 0; steps--) {
            random_step(prng, number);
        }
    }
    finish(sync, joiner);
    while (!sync_is_caught_up(sync)) {
        random_step(prng, number);
        for (unsigned i = 0; i < peers_count; i++) {
            collect(&peers[i]);
        }
        (void)deliver_one(joiner, (unsigned)prng_below(prng, authors_count));
    }
    assert_true(sync_reissue_some(sync, 1));
    sync_free(sync);
}

static void check_sums(void) {
    for (unsigned db = 0; db < DBS; db++) {
        for (unsigned i = 0; i < NAMES; i++) {
            char name[16];
            (void)snprintf(name, sizeof(name), "sum%u", i);
            struct store *store = &peers[0].store;
            struct key key = store_key(store, store_database_index(store, db), slice_of(name));
            struct entry *entry = store_peek(store, &key);
            int64_t value = 0;
            assert_true(entry == NULL || entry_integer(entry, &value));
            assert_int_equal(value, sums[db][i]);
        }
    }
}

static unsigned histories(unsigned count) {
    const char *chosen = getenv("TEST_RUNS");
    return chosen != NULL ? (unsigned)atoi(chosen) : count;
}

static void random_joins(void **state) {
    (void)state;
    for (unsigned run = 0; run < histories(150); run++) {
        struct prng prng;
        seed_prng(&prng, "random_joins", run);
        memset(sums, 0, sizeof(sums));
        memset(trusted, 0, sizeof(trusted));
        setup(3 + run % 2);
        for (unsigned round = 0; round < 3; round++) {
            unsigned away = 1 + (unsigned)prng_below(&prng, peers_count - 1);
            for (uint64_t steps = 20 + prng_below(&prng, 150); steps > 0; steps--) {
                random_step(&prng, peers_count);
            }
            /* It writes by itself, and misses what the others do. */
            for (uint64_t steps = prng_below(&prng, 100); steps > 0; steps--) {
                random_step(&prng, away);
                if (prng_below(&prng, 6) == 0) {
                    random_write(&peers[away], &prng);
                    store_end_unit(&peers[away].store);
                }
            }
            random_join(&prng, away, run % 3 == 2 ? SYNC_MERGE : SYNC_TAKE);
        }
        deliver_all();
        check_equal();
        check_sums();
        for (unsigned i = 0; i < peers_count; i++) {
            claim(&peers[i]);
        }
        for (unsigned i = 0; i < peers_count; i++) {
            settle(i);
        }
        check_equal();
        check_sums();
        teardown();
    }
}

/* Peers that were forgotten come back with writes that nobody has seen. */
static void random_rebases(void **state) {
    (void)state;
    for (unsigned run = 0; run < histories(100); run++) {
        struct prng prng;
        seed_prng(&prng, "random_rebases", run);
        memset(sums, 0, sizeof(sums));
        memset(trusted, 0, sizeof(trusted));
        setup(3);
        for (uint64_t steps = 20 + prng_below(&prng, 100); steps > 0; steps--) {
            random_step(&prng, peers_count);
        }
        unsigned away = 1 + run % 2;
        for (uint64_t steps = prng_below(&prng, 100); steps > 0; steps--) {
            random_step(&prng, away);
            if (prng_below(&prng, 4) == 0) {
                random_write(&peers[away], &prng);
                store_end_unit(&peers[away].store);
            }
        }
        rejoin(away, 0);
        deliver_all();
        check_equal();
        check_sums();
        teardown();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_joins),
        cmocka_unit_test(random_rebases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
