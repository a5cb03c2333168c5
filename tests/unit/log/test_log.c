/* SPDX-License-Identifier: BSD-3-Clause */
/* The log as a whole, on a memory disk: what is written is recovered, with and without snapshots,
 * across rotations and restarts, and random histories come back byte for byte. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/part.h"
#include "base/crc32c.h"
#include "log/record.h"
#include "log/replicas_record.h"
#include "unit/log/log_world.h"

static void test_empty_start(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world world = {0};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    assert_int_equal(log_generation(world.log), 1);
    assert_string_equal(log_node_id(world.log), "887766554433221100ffeeddccbbaa99");
    assert_int_equal(world_close(&world, true), LOG_OK);
    struct world again = {0};
    assert_int_equal(world_start(&again, &memory.disk, true), LOG_OK);
    assert_int_equal(log_generation(again.log), 1);
    assert_int_equal(store_count(&again.store, 0), 0);
    world_kill(&again);
    memory_disk_deinit(&memory);
}

/* kill -9: everything that log_write() wrote is there, whatever the policy. */
static void test_kill_loses_nothing_written(void **state) {
    (void)state;
    for (int fsync = LOG_FSYNC_EVERYSEC; fsync <= LOG_FSYNC_NO; fsync++) {
        struct memory_disk memory;
        memory_disk_init(&memory, 1);
        struct world world = {.opts.fsync = (enum log_fsync)fsync};
        assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
        for (unsigned i = 0; i < 100; i++) {
            world_set(&world, i, "value");
            world_turn(&world, 1000);
        }
        world_set(&world, 1000, "never written");
        world_kill(&world);
        struct world again = {.opts.fsync = (enum log_fsync)fsync};
        assert_int_equal(world_start(&again, &memory.disk, true), LOG_OK);
        assert_int_equal(store_count(&again.store, 0), 100);
        assert_string_equal(world_get(&again, 99), "value");
        assert_null(world_get(&again, 1000));
        assert_int_equal(again.recovery.changes_count, 100);
        /* `always` proves that all it ever acknowledged was recovered; the others do not. */
        assert_int_equal(log_generation(again.log), fsync == LOG_FSYNC_ALWAYS ? 1 : 2);
        world_kill(&again);
        memory_disk_deinit(&memory);
    }
}

static void test_snapshot_and_segments_after_it(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world world = {.opts.compresses_snapshots = true};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    for (unsigned i = 0; i < 5000; i++) {
        world_set(&world, i, "before the snapshot");
    }
    world_turn(&world, 1000);
    assert_int_equal(world_snapshot(&world), LOG_OK);
    world_set(&world, 1, "after the snapshot");
    world_turn(&world, 1000);
    struct log_stats stats;
    log_get_stats(world.log, &stats);
    assert_int_equal(stats.segments_count, 1); /* the older one went */
    assert_int_equal(stats.snapshot_keys_done, 5000);
    struct world_digest before = world_digest(&world);
    world_kill(&world);
    struct world again = {0};
    assert_int_equal(world_start(&again, &memory.disk, true), LOG_OK);
    assert_int_equal(again.recovery.snapshot_keys, 5000);
    assert_int_equal(again.recovery.changes_count, 1);
    assert_true(world_digest_equal(world_digest(&again), before));
    assert_string_equal(world_get(&again, 1), "after the snapshot");
    world_kill(&again);
    memory_disk_deinit(&memory);
}

/* A peer is being given a part of the state when the snapshot begins: both show their moment. */
static void test_snapshot_beside_a_part(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world world = {0};
    struct buffer header = {0}, part = {0};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    for (unsigned i = 0; i < 5000; i++) {
        world_set(&world, i, "before the part");
    }
    world_turn(&world, 1000);
    struct part_source *source = part_open(&world.store, 0, 1, &header);
    assert_int_equal(part_read(source, &part, 1024), PART_MORE);
    world_set(&world, 1, "after it");
    world_turn(&world, 1000);
    struct world_digest before = world_digest(&world);
    assert_int_equal(world_snapshot(&world), LOG_OK);
    enum part_status status;
    while ((status = part_read(source, &part, 1024)) == PART_MORE) {
    }
    assert_int_equal(status, PART_DONE);
    part_close(source);
    assert_true(part.size > 5000 * sizeof("before the part"));
    world_kill(&world);
    struct world again = {0};
    assert_int_equal(world_start(&again, &memory.disk, true), LOG_OK);
    assert_int_equal(again.recovery.snapshot_keys, 5000);
    assert_true(world_digest_equal(world_digest(&again), before));
    world_kill(&again);
    buffer_deinit(&header);
    buffer_deinit(&part);
    memory_disk_deinit(&memory);
}

/* Half a unit is on the disk: it is dropped, and what comes next is by another replica, so that
 * nobody takes it for the other half. */
static void test_half_a_unit(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world world = {.opts.fsync = LOG_FSYNC_ALWAYS};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    world_set(&world, 1, "whole");
    world_turn(&world, 1000);
    char text[32];
    struct key key = world_key(&world, 0, 2, text);
    assert_int_equal(strings_set(&world.store, &key, SLICE("half"), 0), STORE_OK);
    log_collect(world.log);
    log_write(world.log, 1);
    uint64_t ref = world.store.replicas.slots[1].ref;
    world_kill(&world);
    for (int life = 0; life < 3; life++) {
        struct world again = {.opts.fsync = LOG_FSYNC_ALWAYS};
        assert_int_equal(world_start(&again, &memory.disk, true), LOG_OK);
        assert_string_equal(world_get(&again, 1), "whole");
        assert_null(world_get(&again, 2));
        assert_int_equal(log_generation(again.log), 2);
        assert_int_equal(again.store.replicas.self, 1);
        assert_int_equal(again.store.replicas.slots_count, 2);
        assert_true(again.store.replicas.slots[1].ref != ref);
        assert_true(again.store.is_alone);
        world_set(&again, 10, "goes on");
        world_turn(&again, 1000);
        world_kill(&again);
    }
    memory_disk_deinit(&memory);
}

/* A node that comes into a mesh keeps what it was as another replica; from then on each life is
 * one, and stays one when the mesh is switched off again. */
static void test_lives_in_a_mesh(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world_digest digest = {{0}};
    uint64_t generation = 0, newest_ticks = 0;
    for (unsigned life = 1; life <= 5; life++) {
        bool is_lone = life == 1;
        struct world world = {.unix_ms = WORLD_START_MS - life * 1000};
        world.opts.begins_replica = life == 2 || life == 4;
        assert_int_equal(world_start(&world, &memory.disk, life != 3), LOG_OK);
        const struct replicas *replicas = &world.store.replicas;
        assert_true(world_digest_equal(world_digest(&world), digest) || is_lone);
        assert_int_equal(replicas->self, life);
        assert_int_equal(replicas->slots_count, life + 1);
        assert_int_equal(world.store.is_alone, is_lone);
        assert_true(log_generation(world.log) > generation);
        assert_true(is_lone || (int64_t)log_generation(world.log) >= world.unix_ms);
        assert_true(replicas->slots[life].id.generation == log_generation(world.log));
        /* From the third life on the clock is behind the one before. */
        assert_true(is_lone || log_generation(world.log) % 2 == (life > 2));
        generation = log_generation(world.log);
        world_set(&world, life, "of this life");
        assert_true(stamp_ticks(world.store.context.stamps[life]) > newest_ticks);
        newest_ticks = stamp_ticks(world.store.context.stamps[life]);
        world_turn(&world, 1000);
        assert_int_equal(world_snapshot(&world), LOG_OK);
        digest = world_digest(&world);
        if (life % 2 == 0) {
            assert_int_equal(world_close(&world, true), LOG_OK);
        } else {
            world_kill(&world);
        }
    }
    memory_disk_deinit(&memory);
}

static unsigned introduce(struct world *world, uint8_t number) {
    struct replica_id id = {.node = {number}, .generation = UINT64_C(1800000000000)};
    unsigned slot = replicas_add(&world->store.replicas, &id);
    assert_int_not_equal(slot, 0);
    world_set(world, number, "the log tells the table before this");
    world_turn(world, 1000);
    return slot;
}

static void retire(struct world *world, unsigned slot) {
    world->store.context.stamps[slot] = 0;
    replicas_retire(&world->store.replicas, slot, 77);
    world_set(world, 9, "and again before this");
    world_turn(world, 1000);
}

static void depart(struct world *world, uint8_t number, bool is_forgotten) {
    struct departed_life life = {.id = {.node = {number}, .generation = 10U + number},
                                 .is_forgotten = is_forgotten,
                                 .left_ticks = is_forgotten ? 0 : number,
                                 .unix_ms = UINT64_C(1700000000000) + number};
    replicas_note_departed(&world->store.replicas, &life);
}

static void start_again(struct world *world, struct memory_disk *memory) {
    world_kill(world);
    *world = (struct world){.opts.begins_replica = true, .opts.segment_bytes = 1500};
    assert_int_equal(world_start(world, &memory->disk, true), LOG_OK);
}

static void expect_departed(struct world *world, unsigned count) {
    const struct replicas *replicas = &world->store.replicas;
    assert_int_equal(replicas->departed_count, count);
    for (unsigned i = 0; i < count; i++) {
        const struct departed_life *life = &replicas->departed[i];
        assert_int_equal(life->id.generation, 10 + life->id.node[0]);
        assert_int_equal(life->left_ticks, life->is_forgotten ? 0 : life->id.node[0]);
        assert_int_equal(life->is_forgotten, life->id.node[0] % 2 == 0);
        assert_int_equal(life->unix_ms, UINT64_C(1700000000000) + life->id.node[0]);
    }
}

/* Who is gone is known to a start though no change was written since, over snapshots and trimmed
 * segments; and who came back likewise. */
static void test_departed_lives(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world world = {.opts.begins_replica = true, .opts.segment_bytes = 1500};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    world_set(&world, 1, "value");
    world_turn(&world, 1000);
    uint64_t position = log_position(world.log);
    depart(&world, 1, false);
    depart(&world, 2, true);
    world_turn(&world, 1000);
    assert_true(log_position(world.log) > position);
    position = log_position(world.log);
    world_turn(&world, 1000);
    assert_int_equal(log_position(world.log), position);
    start_again(&world, &memory);
    expect_departed(&world, 2);
    /* In the middle of a transaction. */
    world_set(&world, 2, "value");
    depart(&world, 3, false);
    log_collect(world.log);
    depart(&world, 4, true);
    world_turn(&world, 1000);
    assert_int_equal(world_snapshot(&world), LOG_OK);
    for (unsigned i = 0; i < 100; i++) {
        world_set(&world, i, "so that there are many segments, and the first ones can be removed");
        world_turn(&world, 1000);
        world_settle(&world);
    }
    assert_int_equal(world_snapshot(&world), LOG_OK);
    world_turn(&world, 1000);
    world_settle(&world);
    start_again(&world, &memory);
    expect_departed(&world, 4);
    struct replica_id back = {.node = {1}, .generation = 99};
    replicas_drop_departed(&world.store.replicas, &back);
    world_turn(&world, 1000);
    start_again(&world, &memory);
    expect_departed(&world, 3);
    assert_null(replicas_find_departed(&world.store.replicas, back.node));
    world_kill(&world);
    memory_disk_deinit(&memory);
}

/* While the state of others is taken over the table is not that of the log. */
static void test_departed_while_held(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world world = {.opts.begins_replica = true};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    log_hold(world.log, true, world.unix_ms, world.monotonic_us);
    depart(&world, 2, true);
    uint64_t position = log_position(world.log);
    world_turn(&world, 1000);
    assert_int_equal(log_position(world.log), position);
    log_hold(world.log, false, world.unix_ms, world.monotonic_us);
    world_turn(&world, 1000);
    assert_true(log_position(world.log) > position);
    start_again(&world, &memory);
    expect_departed(&world, 1);
    world_kill(&world);
    memory_disk_deinit(&memory);
}

/* Random bytes make no table, and every table is read as it was written. */
static void test_table_of_replicas(void **state) {
    (void)state;
    struct world world = {0};
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    for (uint8_t i = 0; i < 20; i++) {
        depart(&world, i, i % 2 == 0);
    }
    struct buffer bytes = {0}, again = {0};
    replicas_record_put(&bytes, &world.store, &world.store.context, false);
    for (size_t size = 0; size < bytes.size; size++) {
        struct replicas_record record;
        char *copy = memory_alloc(size + 1);
        memcpy(copy, bytes.data, size);
        struct slice cut = slice_make(copy, size);
        assert_false(replicas_record_take(&cut, &record));
        memory_free(copy);
    }
    struct store other;
    struct store_opts opts = {.dbs_count = 4, .seed = 7};
    store_init(&other, &opts);
    struct replicas_record record;
    struct slice whole = buffer_slice(&bytes);
    assert_true(replicas_record_take(&whole, &record));
    assert_int_equal(whole.size, 0);
    assert_null(replicas_record_load(&record, &other));
    replicas_record_put(&again, &other, &other.context, false);
    assert_true(slice_equal(buffer_slice(&bytes), buffer_slice(&again)));
    replicas_record_deinit(&record);
    buffer_deinit(&bytes);
    buffer_deinit(&again);
    store_deinit(&other);
    world_kill(&world);
    memory_disk_deinit(&memory);
}

/* A slot goes to another replica only when no start would meet the one that had it. */
static void test_retired_slots(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world world = {.opts.begins_replica = true};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    unsigned first = introduce(&world, 1);
    uint64_t first_ref = world.store.replicas.slots[first].ref;
    uint64_t born = replica_born_ticks(&world.store.replicas.slots[first].id);
    retire(&world, first);
    unsigned second = introduce(&world, 2);
    assert_int_not_equal(second, first);
    uint64_t second_ref = world.store.replicas.slots[second].ref;
    struct world_digest digest = world_digest(&world);
    world_kill(&world);
    /* Replay has not settled what the first one wrote, so it is there again. */
    struct world again = {.opts.begins_replica = true};
    assert_int_equal(world_start(&again, &memory.disk, true), LOG_OK);
    assert_true(world_digest_equal(world_digest(&again), digest));
    assert_true(again.store.replicas.slots[first].ref == first_ref);
    assert_true(again.store.replicas.slots[second].ref == second_ref);
    retire(&again, first);
    assert_int_equal(world_snapshot(&again), LOG_OK);
    assert_int_equal(introduce(&again, 3), first);
    digest = world_digest(&again);
    world_kill(&again);
    struct world third = {.opts.begins_replica = true};
    assert_int_equal(world_start(&third, &memory.disk, true), LOG_OK);
    assert_true(world_digest_equal(world_digest(&third), digest));
    assert_true(third.store.replicas.slots[first].ref != first_ref);
    const struct retired_replica *retired = replicas_find_retired(&third.store.replicas, first_ref);
    assert_non_null(retired);
    assert_true(born > 0 && retired->born_ticks == born);
    /* Too many of them bring about a snapshot. */
    for (uint8_t i = 0; i < 254; i++) {
        struct replica_id id = {.node = {i, 1}, .generation = 1};
        unsigned slot = replicas_add(&third.store.replicas, &id);
        replicas_retire(&third.store.replicas, slot, 1);
    }
    retire(&third, first);
    world_turn(&third, 1000);
    assert_false(log_snapshot_is_running(third.log));
    retire(&third, second);
    retire(&third, introduce(&third, 4));
    world_turn(&third, 1000);
    assert_true(log_snapshot_is_running(third.log));
    for (int i = 0; i < 100 && log_snapshot_is_running(third.log); i++) {
        (void)log_snapshot_step(third.log, 64, third.unix_ms, third.monotonic_us);
        world_settle(&third);
    }
    assert_int_equal(introduce(&third, 5), first);
    world_kill(&third);
    memory_disk_deinit(&memory);
}

/* A snapshot knows a replica that was heard of after the segment behind it had begun, in which
 * nothing is written yet: that one's table, which a start reads after the snapshot, has to know it.
 */
static void test_introduced_before_a_snapshot(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world world = {.opts.begins_replica = true};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    world_set(&world, 1, "value");
    world_turn(&world, 1000);
    assert_int_equal(world_snapshot(&world), LOG_OK);
    for (uint8_t i = 1; i < 4; i++) {
        struct replica_id id = {.node = {i}, .generation = UINT64_C(1800000000000)};
        assert_int_not_equal(replicas_add(&world.store.replicas, &id), 0);
        if (i == 3) {
            depart(&world, 2, true);
        }
        assert_int_equal(world_snapshot(&world), LOG_OK);
        struct world_digest digest = world_digest(&world);
        world_kill(&world);
        world = (struct world){.opts.begins_replica = true};
        assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
        assert_true(world_digest_equal(world_digest(&world), digest));
        assert_int_not_equal(replicas_find(&world.store.replicas, replica_ref(&id)), 0);
        assert_int_equal(world.store.replicas.departed_count, i == 3);
        assert_int_equal(world_snapshot(&world), LOG_OK);
    }
    world_kill(&world);
    memory_disk_deinit(&memory);
}

static void rewrite_version(struct memory_disk *memory, uint32_t version) {
    struct buffer *bytes = memory_disk_bytes(memory, "log-0000000000000001.segment");
    record_put32(bytes->data + 8, version);
    record_put32(bytes->data + 60, crc32c(0, slice_make(bytes->data, 60)));
}

/* One that has other records is refused by name; that without departed lives is read. */
static void test_another_version(void **state) {
    (void)state;
    struct memory_disk memory;
    memory_disk_init(&memory, 1);
    struct world world = {0};
    assert_int_equal(world_start(&world, &memory.disk, true), LOG_OK);
    world_set(&world, 1, "value");
    world_turn(&world, 1000);
    world_kill(&world);
    static const uint32_t others[] = {1, RECORD_FORMAT_VERSION_MIN - 1, RECORD_FORMAT_VERSION + 1};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        rewrite_version(&memory, others[i]);
        struct world again = {0};
        assert_int_equal(world_start(&again, &memory.disk, true), LOG_DAMAGED);
        assert_non_null(strstr(log_error(again.log), "format version"));
        world_kill(&again);
    }
    rewrite_version(&memory, RECORD_FORMAT_VERSION_MIN);
    for (int life = 0; life < 2; life++) { /* its segment is followed by one of this version */
        struct world again = {0};
        assert_int_equal(world_start(&again, &memory.disk, true), LOG_OK);
        assert_string_equal(world_get(&again, 1), "value");
        world_kill(&again);
    }
    memory_disk_deinit(&memory);
}

/* Random work, snapshots that run while it goes on, rotations, kills and clean ends. */
static void random_history(uint64_t seed) {
    struct prng prng;
    prng_init(&prng, seed);
    struct memory_disk memory;
    memory_disk_init(&memory, seed);
    memory.read_limit = prng_below(&prng, 2) == 0 ? 777 : 0;
    struct world_digest digest = {{0}};
    int64_t unix_ms = WORLD_START_MS;
    uint64_t newest_stamp = 0;
    for (int life = 0; life < 6; life++) {
        struct world world = {.unix_ms = unix_ms};
        world.opts.fsync = (enum log_fsync)prng_below(&prng, 3);
        world.opts.segment_bytes = 2000 + prng_below(&prng, 100000);
        world.opts.retention_bytes = prng_below(&prng, 2) * 50000;
        world.opts.compresses_snapshots = prng_below(&prng, 2) == 0;
        if (world_start(&world, &memory.disk, true) != LOG_OK) {
            fail_msg("seed %llu life %d: %s", (unsigned long long)seed, life, log_error(world.log));
        }
        if (!world_digest_equal(world_digest(&world), digest)) {
            fail_msg("seed %llu life %d: other data", (unsigned long long)seed, life);
        }
        store_check(&world.store);
        uint64_t turns = prng_below(&prng, 400);
        for (uint64_t turn = 0; turn < turns; turn++) {
            uint64_t units = prng_below(&prng, 8);
            for (uint64_t i = 0; i < units; i++) {
                world_random_unit(&world, &prng, 300);
                if (prng_below(&prng, 4) == 0) {
                    log_collect(world.log);
                }
            }
            world_turn(&world, prng_below(&prng, 300000));
            if (prng_below(&prng, 40) == 0) {
                enum log_status begun =
                    log_snapshot_begin(world.log, world.unix_ms, world.monotonic_us);
                assert_int_not_equal(begun, LOG_FAILED);
            }
            (void)log_snapshot_step(world.log, 1 + (unsigned)prng_below(&prng, 50), world.unix_ms,
                                    world.monotonic_us);
            if (prng_below(&prng, 3) == 0) {
                struct disk_job *job = memory.disk.methods->wait(&memory.disk);
                if (job != NULL) {
                    log_disk_done(world.log, job, world.unix_ms, world.monotonic_us);
                }
            }
        }
        digest = world_digest(&world);
        uint64_t stamp = world.store.context.stamps[STAMP_SLOT_SELF];
        assert_true(stamp >= newest_stamp);
        newest_stamp = stamp;
        unix_ms = world.unix_ms - (life == 2 ? 3600 * 1000 : 0); /* the clock steps back */
        if (prng_below(&prng, 3) == 0) {
            assert_int_equal(world_close(&world, true), LOG_OK);
        } else {
            world_kill(&world);
        }
    }
    memory_disk_deinit(&memory);
}

static void test_random_histories(void **state) {
    (void)state;
    const char *one = getenv("SEED");
    if (one != NULL) {
        random_history(strtoull(one, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= 60; seed++) {
        random_history(seed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_start),
        cmocka_unit_test(test_kill_loses_nothing_written),
        cmocka_unit_test(test_snapshot_and_segments_after_it),
        cmocka_unit_test(test_snapshot_beside_a_part),
        cmocka_unit_test(test_half_a_unit),
        cmocka_unit_test(test_lives_in_a_mesh),
        cmocka_unit_test(test_retired_slots),
        cmocka_unit_test(test_introduced_before_a_snapshot),
        cmocka_unit_test(test_departed_lives),
        cmocka_unit_test(test_departed_while_held),
        cmocka_unit_test(test_table_of_replicas),
        cmocka_unit_test(test_another_version),
        cmocka_unit_test(test_random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
