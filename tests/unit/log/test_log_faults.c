/* SPDX-License-Identifier: BSD-3-Clause */
/* Disks that fail: every call of a scenario fails once in every way (full, error, short), or is the
 * last one before the power goes; then the process is killed, or the power goes, and the node
 * starts again. Whatever happened:
 *   - the start succeeds: no crash makes damage;
 *   - the state is the one after some unit of the history, never another;
 *   - it has every unit that was acknowledged before: after a kill under any policy, after a power
 *     loss under `always`, and as far as it was synced under the others;
 *   - likewise that a node is gone, which is a unit here and changes no data;
 *   - the clock is above every stamp that was given, though the wall clock went back an hour;
 *   - the node goes on from there: it writes, takes a snapshot, and starts once more. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit/log/log_world.h"

enum { UNITS_MAX = 200, TURNS = 44, TURN_US = 310 * 1000 };

struct past {
    struct world_digest digests[UNITS_MAX + 1]; /* after that many units */
    uint64_t positions[UNITS_MAX + 1];
    unsigned departed[UNITS_MAX + 1]; /* nodes that are gone */
    unsigned units;
    unsigned acknowledged; /* units whose replies went out */
    unsigned durable;      /* units that were synced */
    uint64_t newest_ticks;
    struct world_author *author; /* NULL: all units are own */
};

struct plan {
    uint64_t seed;
    enum log_fsync fsync;
    enum memory_fault fault;
    uint64_t fault_at, fault_count, fault_sync_at;
    bool drops_dirty_pages;
    bool loses_power, tears;
    bool has_foreign; /* every other unit is another node's */
    bool
        switches; /* the log goes off and on again on the way: acknowledgements are not looked at */
};

static char failure[512];

#define EXPECT(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            int size_ = snprintf(failure, sizeof(failure), "%s: ", #condition);                    \
            (void)snprintf(failure + size_, sizeof(failure) - (size_t)size_, __VA_ARGS__);         \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

/* What a node may tell its clients now. */
static void note_progress(struct world *world, struct past *past,
                          const struct memory_disk *memory) {
    if (memory->is_off) {
        return;
    }
    uint64_t acknowledged = log_acknowledged_position(world->log);
    uint64_t synced = log_synced_position(world->log);
    for (unsigned i = 1; i <= past->units; i++) {
        if (i > past->acknowledged && !log_is_in_doubt(world->log, past->positions[i]) &&
            past->positions[i] <= acknowledged) {
            past->acknowledged = i;
        }
        if (i > past->durable && past->positions[i] <= synced) {
            past->durable = i;
        }
    }
    past->newest_ticks = stamp_ticks(world->store.context.stamps[world->store.replicas.self]);
}

static void do_units(struct world *world, struct past *past, struct prng *prng, unsigned turn) {
    /* A node refuses writes while the log fails; what expires goes all the same. */
    uint64_t units = log_is_failing(world->log, NULL) ? turn % 3 == 0 : 1 + prng_below(prng, 2);
    unsigned first = past->units + 1;
    for (uint64_t i = 0; i < units && past->units < UNITS_MAX; i++) {
        if (past->author != NULL && prng_below(prng, 2) == 0) {
            world_author_unit(past->author, world->unix_ms, prng, 40);
        } else {
            world_random_unit(world, prng, 40);
        }
        past->digests[++past->units] = world_digest(world);
        past->departed[past->units] = past->departed[past->units - 1];
    }
    if (turn % 5 == 2 && past->units < UNITS_MAX) {
        unsigned count = past->departed[past->units] + 1;
        struct departed_life life = {.id = {.node = {(uint8_t)count}, .generation = count}};
        replicas_note_departed(&world->store.replicas, &life);
        past->digests[++past->units] = world_digest(world);
        past->departed[past->units] = count;
    }
    world_turn(world, TURN_US);
    for (unsigned i = first; i <= past->units; i++) {
        past->positions[i] = log_position(world->log);
    }
}

static void run_turns(struct world *world, struct past *past, const struct plan *plan,
                      struct memory_disk *memory) {
    struct prng prng;
    prng_init(&prng, plan->seed);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        do_units(world, past, &prng, turn);
        note_progress(world, past, memory);
        if (turn == 12 || turn == 30) {
            enum log_status unused =
                log_snapshot_begin(world->log, world->unix_ms, world->monotonic_us);
            (void)unused;
        }
        if (plan->switches && (turn == 20 || turn == 23)) {
            enum log_status unused =
                log_set_on(world->log, turn == 23, world->unix_ms, world->monotonic_us);
            (void)unused;
        }
        (void)log_snapshot_step(world->log, 8, world->unix_ms, world->monotonic_us);
        for (int i = 0; i < 2; i++) {
            struct disk_job *job = turn % 4 == 3 ? NULL : memory->disk.methods->wait(world->disk);
            if (job != NULL) {
                log_disk_done(world->log, job, world->unix_ms, world->monotonic_us);
                note_progress(world, past, memory);
            }
        }
    }
}

static void set_opts(struct world *world, const struct plan *plan) {
    world->opts.fsync = plan->fsync;
    world->opts.segment_bytes = 1500;
    world->opts.compresses_snapshots = true;
    world->opts.begins_replica = plan->has_foreign;
}

static bool check_recovered(struct world *again, const struct past *past, const struct plan *plan,
                            unsigned acknowledged) {
    struct world_digest digest = world_digest(again);
    bool is_prefix = false;
    unsigned units = 0;
    for (unsigned i = past->units + 1; i-- > 0 && !is_prefix;) {
        is_prefix = world_digest_equal(digest, past->digests[i]);
        units = i;
    }
    store_check(&again->store);
    EXPECT(is_prefix, "a state that never was");
    const struct replicas *replicas = &again->store.replicas;
    for (size_t i = 0; i < replicas->departed_count; i++) {
        EXPECT(replicas->departed[i].id.generation == i + 1, "another one is gone");
    }
    if (!plan->switches) {
        EXPECT(units >= acknowledged, "%u of %u units, %u promised", units, past->units,
               acknowledged);
        EXPECT(replicas->departed_count >= past->departed[acknowledged],
               "%u are gone, %u were promised", (unsigned)replicas->departed_count,
               past->departed[acknowledged]);
    }
    /* In a mesh each life is another replica: there only stamps that are still known matter. */
    EXPECT(plan->has_foreign || again->store.clock.ticks >= past->newest_ticks,
           "the clock went back");
    return true;
}

/* The node after its trouble: it works as if nothing had been. */
static bool check_goes_on(struct memory_disk *memory, const struct past *past,
                          const struct plan *plan, unsigned acknowledged) {
    struct world again = {.unix_ms = WORLD_START_MS - 3600 * 1000};
    set_opts(&again, plan);
    enum log_status status = world_start(&again, &memory->disk, true);
    EXPECT(status == LOG_OK, "%s", log_error(again.log));
    if (!check_recovered(&again, past, plan, acknowledged)) {
        return false;
    }
    struct prng prng;
    prng_init(&prng, plan->seed + 1);
    struct world_digest before = world_digest(&again);
    for (int i = 0; i < 12; i++) {
        world_random_unit(&again, &prng, 40);
        world_turn(&again, TURN_US);
        world_settle(&again);
        before = world_digest(&again);
        if (i == 6) {
            EXPECT(world_snapshot(&again) == LOG_OK, "%s", log_error(again.log));
        }
    }
    if (plan->seed % 2 == 0) {
        EXPECT(world_close(&again, true) == LOG_OK, "close");
    } else {
        world_kill(&again);
    }
    struct world third = {0};
    set_opts(&third, plan);
    status = world_start(&third, &memory->disk, true);
    EXPECT(status == LOG_OK, "third start: %s", log_error(third.log));
    EXPECT(world_digest_equal(world_digest(&third), before), "other data after the third start");
    world_kill(&third);
    return true;
}

/* Runs one plan; `*calls`, `*syncs` get how many calls it made. */
static bool run_plan(const struct plan *plan, uint64_t *calls, uint64_t *syncs) {
    struct memory_disk *memory = memory_alloc(sizeof(*memory));
    memory_disk_init(memory, plan->seed + plan->fault_at);
    memory->fault = plan->fault;
    memory->fault_at = plan->fault_at;
    memory->fault_count = plan->fault_count;
    memory->fault_sync_at = plan->fault_sync_at;
    memory->drops_dirty_pages = plan->drops_dirty_pages;
    struct past *past = memory_alloc_zero(sizeof(*past));
    struct world world = {0};
    set_opts(&world, plan);
    if (world_start(&world, &memory->disk, true) == LOG_OK) {
        struct world_author author;
        if (plan->has_foreign) {
            world_author_init(&author, &world);
            past->author = &author;
            log_set_ring_bytes(world.log, 10000);
        }
        run_turns(&world, past, plan, memory);
        if (plan->has_foreign) {
            world_author_deinit(&author);
        }
    }
    *calls = memory->calls;
    *syncs = memory->sync_calls;
    bool loses_power = plan->loses_power || memory->is_off;
    if (loses_power) {
        /* Nothing that the dying process still does reaches the disk. */
        memory->is_off = true;
    }
    world_kill(&world);
    unsigned acknowledged = past->acknowledged;
    if (loses_power) {
        memory_disk_power_loss(memory, plan->tears);
    }
    if (loses_power || plan->drops_dirty_pages) {
        acknowledged = plan->fsync == LOG_FSYNC_ALWAYS ? past->acknowledged : past->durable;
    }
    memory_disk_clean_up(memory);
    bool good = check_goes_on(memory, past, plan, acknowledged);
    memory_disk_deinit(memory);
    memory_free(memory);
    memory_free(past);
    return good;
}

/* Again alone: PLAN='...' VERBOSE=1 build/tests/unit/log/test_log_faults */
static void must_run(const struct plan *plan) {
    uint64_t calls, syncs;
    if (!run_plan(plan, &calls, &syncs)) {
        fail_msg("PLAN='%d %d %d %d %d %d %d %d %d %d %d': %s", (int)plan->seed, plan->fsync,
                 plan->fault, (int)plan->fault_at, (int)plan->fault_count, (int)plan->fault_sync_at,
                 plan->drops_dirty_pages, plan->loses_power, plan->tears, plan->switches,
                 plan->has_foreign, failure);
    }
}

/* Under a sanitizer, which is slow, every so many calls stand for all; the release build tries
 * each.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CALLS_STEP = 7 };
#else
enum { CALLS_STEP = 1 };
#endif

static const enum log_fsync POLICIES[] = {LOG_FSYNC_ALWAYS, LOG_FSYNC_EVERYSEC, LOG_FSYNC_NO};

/* Calls `each` with every call number that the plan makes when nothing fails. */
static void for_each_call(struct plan plan, bool counts_syncs, void (*each)(struct plan plan)) {
    uint64_t calls, syncs;
    struct plan smooth = {.seed = plan.seed,
                          .fsync = plan.fsync,
                          .switches = plan.switches,
                          .has_foreign = plan.has_foreign};
    assert_true(run_plan(&smooth, &calls, &syncs));
    assert_true(calls > 60);
    for (uint64_t at = 1; at <= (counts_syncs ? syncs : calls); at += CALLS_STEP) {
        if (counts_syncs) {
            plan.fault_sync_at = at;
        } else {
            plan.fault_at = at;
        }
        each(plan);
    }
}

static void each_fault(struct plan plan) {
    static const enum memory_fault faults[] = {MEMORY_FAULT_FULL, MEMORY_FAULT_IO,
                                               MEMORY_FAULT_SHORT, MEMORY_FAULT_SHORT_FULL};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        plan.fault = faults[i];
        plan.fault_count = 1;
        must_run(&plan);
        plan.fault_count = 9;
        plan.loses_power = plan.fault_at % 2 == 0;
        plan.tears = plan.fault_at % 3 == 0;
        must_run(&plan);
    }
}

static void test_every_call_fails(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(POLICIES) / sizeof(POLICIES[0]); i++) {
        for_each_call((struct plan){.seed = 1 + i, .fsync = POLICIES[i]}, false, each_fault);
    }
}

static void each_sync_fault(struct plan plan) {
    for (int variant = 0; variant < 8; variant++) {
        plan.drops_dirty_pages = (variant & 1) != 0;
        plan.loses_power = (variant & 2) != 0;
        plan.tears = (variant & 4) != 0;
        must_run(&plan);
    }
}

static void test_every_sync_fails(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(POLICIES) / sizeof(POLICIES[0]); i++) {
        for_each_call((struct plan){.seed = 11 + i, .fsync = POLICIES[i]}, true, each_sync_fault);
    }
}

static void each_power_loss(struct plan plan) {
    plan.fault = MEMORY_FAULT_POWER;
    for (uint64_t round = 0; round < 6; round++) {
        plan.tears = round > 0;
        must_run(&plan);
    }
}

static void test_power_goes_at_every_call(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(POLICIES) / sizeof(POLICIES[0]); i++) {
        for_each_call((struct plan){.seed = 21 + i, .fsync = POLICIES[i]}, false, each_power_loss);
    }
}

static void each_switched(struct plan plan) {
    plan.fault = MEMORY_FAULT_FULL;
    must_run(&plan);
    plan.fault = MEMORY_FAULT_POWER;
    plan.tears = true;
    must_run(&plan);
}

/* A log that is switched off and on again is not joined over the gap. */
static void test_switching_off_and_on(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(POLICIES) / sizeof(POLICIES[0]); i++) {
        for_each_call((struct plan){.seed = 31 + i, .fsync = POLICIES[i], .switches = true}, false,
                      each_switched);
    }
}

static void each_foreign(struct plan plan) {
    plan.fault = MEMORY_FAULT_IO;
    plan.fault_count = 9;
    must_run(&plan);
    plan.fault = MEMORY_FAULT_SHORT_FULL;
    must_run(&plan);
    plan.fault = MEMORY_FAULT_POWER;
    must_run(&plan);
    plan.tears = true;
    must_run(&plan);
}

/* Records of another node among the own ones, some of which end inside a unit. */
static void test_records_of_others(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(POLICIES) / sizeof(POLICIES[0]); i++) {
        struct plan plan = {.seed = 41 + i, .fsync = POLICIES[i], .has_foreign = true};
        for_each_call(plan, false, each_foreign);
        for_each_call(plan, true, each_sync_fault);
    }
}

/* Full for a while, with room again later: refused, then accepted, nothing lost. */
static void test_full_disk_and_back(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world world = {0};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    world_set(&world, 1, "one");
    world_turn(&world, 1000);
    memory.capacity = memory_used(&memory) + 20;
    world_set(&world, 2, "a value that does not fit");
    uint64_t before = log_position(world.log);
    world_turn(&world, 1000);
    const char *why = NULL;
    assert_true(log_is_failing(world.log, &why));
    assert_string_equal(why, "no space left on the disk");
    assert_int_equal(log_acknowledged_position(world.log) < log_position(world.log), true);
    assert_true(log_position(world.log) > before);
    memory.capacity = 0;
    log_tick(world.log, world.unix_ms, world.monotonic_us + 50 * 1000);
    assert_true(log_is_failing(world.log, NULL)); /* it waits a little between two tries */
    log_tick(world.log, world.unix_ms, world.monotonic_us + 100 * 1000);
    assert_false(log_is_failing(world.log, NULL));
    assert_int_equal(log_acknowledged_position(world.log), log_position(world.log));
    assert_false(log_is_in_doubt(world.log, log_position(world.log)));
    world_kill(&world);
    struct world again = {0};
    assert_int_equal(world_start(&again, &memory.disk, true), LOG_OK);
    assert_string_equal(world_get(&again, 2), "a value that does not fit");
    world_kill(&again);
    memory_disk_deinit(&memory);
}

/* Switched off while the disk is full: what did not get there is not acknowledged by that. */
static void test_switched_off_on_a_full_disk(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world world = {.opts.fsync = LOG_FSYNC_EVERYSEC};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    world_set(&world, 1, "written");
    world_turn(&world, 1000);
    uint64_t written = log_position(world.log);
    memory.capacity = memory_used(&memory) + 20;
    world_set(&world, 2, "not written");
    world_turn(&world, 1000);
    uint64_t waiting = log_position(world.log);
    assert_true(log_acknowledged_position(world.log) < waiting);
    log_suspend(world.log, world.unix_ms, world.monotonic_us);
    assert_true(log_is_in_doubt(world.log, waiting));
    assert_false(log_is_in_doubt(world.log, written));
    world_set(&world, 3, "afterwards");
    world_turn(&world, 1000);
    assert_false(log_is_in_doubt(world.log, log_position(world.log)));
    world_kill(&world);
    memory_disk_deinit(&memory);
}

/* fsyncgate: the second fsync succeeds, and yet nothing is claimed until a snapshot is durable. */
static void test_failed_sync_is_not_forgotten(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    memory.drops_dirty_pages = true;
    struct world world = {.opts.fsync = LOG_FSYNC_ALWAYS};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    world_set(&world, 1, "durable");
    world_turn(&world, 1000);
    world_settle(&world);
    assert_int_equal(log_acknowledged_position(world.log), log_position(world.log));
    world_set(&world, 2, "in doubt");
    world_turn(&world, 1000);
    uint64_t doubtful = log_position(world.log);
    memory.fault_sync_at = memory.sync_calls + 1;
    struct disk_job *job = memory.disk.methods->wait(&memory.disk);
    log_disk_done(world.log, job, world.unix_ms, world.monotonic_us);
    assert_true(log_is_failing(world.log, NULL));
    assert_true(log_is_in_doubt(world.log, doubtful));
    assert_true(log_acknowledged_position(world.log) < doubtful);
    /* Other files sync well meanwhile; that says nothing about this one. */
    world_turn(&world, 200 * 1000);
    assert_true(log_is_failing(world.log, NULL));
    for (int i = 0; i < 100 && log_is_failing(world.log, NULL); i++) {
        (void)log_snapshot_step(world.log, 100, world.unix_ms, world.monotonic_us);
        world_settle(&world);
        world_turn(&world, 200 * 1000);
    }
    assert_false(log_is_failing(world.log, NULL));
    assert_true(log_acknowledged_position(world.log) >= doubtful);
    world_set(&world, 3, "after it");
    world_turn(&world, 1000);
    world_settle(&world);
    assert_int_equal(log_acknowledged_position(world.log), log_position(world.log));
    memory.is_off = true;
    world_kill(&world);
    memory_disk_power_loss(&memory, false);
    struct world again = {0};
    assert_int_equal(world_start(&again, &memory.disk, true), LOG_OK);
    assert_string_equal(world_get(&again, 1), "durable");
    assert_string_equal(world_get(&again, 2), "in doubt");
    assert_string_equal(world_get(&again, 3), "after it");
    world_kill(&again);
    memory_disk_deinit(&memory);
}

/* A full disk for so long that too much waits: the log begins anew, with bounded memory. */
static void test_too_much_waits(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world world = {0};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    memory.capacity = memory_used(&memory) + 20;
    char *value = memory_alloc_zero(4 << 20);
    for (unsigned i = 0; i < 24; i++) {
        char text[32];
        struct key key = world_key(&world, 0, i, text);
        assert_int_equal(strings_set(&world.store, &key, slice_make(value, 4 << 20), 0), STORE_OK);
        store_end_unit(&world.store);
        world_turn(&world, 1000);
        world_settle(&world);
    }
    memory_free(value);
    struct log_stats stats;
    log_get_stats(world.log, &stats);
    assert_true(stats.pending_bytes <= (72 << 20));
    assert_true(log_is_failing(world.log, NULL));
    memory.capacity = 0;
    for (int i = 0; i < 2000 && log_is_failing(world.log, NULL); i++) {
        (void)log_snapshot_step(world.log, 100, world.unix_ms, world.monotonic_us);
        world_settle(&world);
        world_turn(&world, 200 * 1000);
    }
    assert_false(log_is_failing(world.log, NULL));
    struct world_digest digest = world_digest(&world);
    world_kill(&world);
    struct world again = {0};
    assert_int_equal(world_start(&again, &memory.disk, true), LOG_OK);
    assert_true(world_digest_equal(world_digest(&again), digest));
    world_kill(&again);
    memory_disk_deinit(&memory);
}

static void test_one_plan(void **state) {
    (void)state;
    int n[11] = {0};
    const char *text = getenv("PLAN");
    assert_int_equal(sscanf(text, "%d %d %d %d %d %d %d %d %d %d %d", &n[0], &n[1], &n[2], &n[3],
                            &n[4], &n[5], &n[6], &n[7], &n[8], &n[9], &n[10]),
                     11);
    struct plan plan = {.seed = (uint64_t)n[0],
                        .fsync = (enum log_fsync)n[1],
                        .fault = (enum memory_fault)n[2],
                        .fault_at = (uint64_t)n[3],
                        .fault_count = (uint64_t)n[4],
                        .fault_sync_at = (uint64_t)n[5],
                        .drops_dirty_pages = n[6] != 0,
                        .loses_power = n[7] != 0,
                        .tears = n[8] != 0,
                        .switches = n[9] != 0,
                        .has_foreign = n[10] != 0};
    must_run(&plan);
}

int main(void) {
    if (getenv("PLAN") != NULL) {
        const struct CMUnitTest one[] = {cmocka_unit_test(test_one_plan)};
        return cmocka_run_group_tests(one, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk_and_back),
        cmocka_unit_test(test_switched_off_on_a_full_disk),
        cmocka_unit_test(test_failed_sync_is_not_forgotten),
        cmocka_unit_test(test_too_much_waits),
        cmocka_unit_test(test_every_call_fails),
        cmocka_unit_test(test_every_sync_fails),
        cmocka_unit_test(test_power_goes_at_every_call),
        cmocka_unit_test(test_switching_off_and_on),
        cmocka_unit_test(test_records_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
