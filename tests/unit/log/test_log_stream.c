/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: whatever a reader has seen, it gets exactly what it lacks, in the order of the log, from
 * the ring, from segments, across rotations, snapshots and lives, or is told that it is lost. */
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/ring.h"
#include "unit/log/log_flock.h"

static uint64_t seen_ticks(const struct flock_node *node, const struct context *seen,
                           uint64_t ref) {
    unsigned slot = replicas_find(&node->world.store.replicas, ref);
    assert_int_not_equal(slot, 0);
    return stamp_ticks(seen->stamps[slot]);
}

static bool is_wanted_record(const struct flock_node *node, const struct context *seen,
                             const bool *is_wanted, uint64_t ref, uint64_t last_ticks) {
    unsigned slot = replicas_find(&node->world.store.replicas, ref);
    return (is_wanted == NULL || is_wanted[slot]) && last_ticks > seen_ticks(node, seen, ref);
}

/* Any vector will do: each author's entry is one of its records, nothing, or all. */
static void random_context(struct flock_node *node, struct prng *prng, struct context *seen) {
    *seen = (struct context){0};
    uint64_t style = prng_below(prng, 4);
    size_t from = style == 0 && node->records_count > 20 ? node->records_count - 20 : 0;
    if (style == 1) {
        return;
    }
    for (int tries = 0; tries < 12; tries++) {
        size_t span = node->records_count - from;
        if (span == 0) {
            return;
        }
        const struct flock_record *record = &node->records[from + prng_below(prng, span)];
        unsigned slot = replicas_find(&node->world.store.replicas, record->ref);
        seen->stamps[slot] = stamp_make(record->last_ticks, slot);
    }
    if (style == 0) { /* a reader that is nearly there */
        for (size_t i = 0; i < node->records_count; i++) {
            const struct flock_record *record = &node->records[i];
            unsigned slot = replicas_find(&node->world.store.replicas, record->ref);
            if (i < from) {
                context_add(seen, stamp_make(record->last_ticks, slot));
            }
        }
    }
}

/* Reads all; the records that count are those of the list. False when it is lost on the way. */
static bool read_and_compare(struct flock *flock, struct flock_node *node,
                             struct log_stream *stream, const struct context *seen,
                             const bool *is_wanted, bool writes) {
    size_t at = 0;
    for (unsigned step = 0;; step++) {
        assert_true(step < 200000);
        struct stream_record record;
        struct slice bytes;
        enum log_stream_status status = log_stream_next(stream, &record, &bytes);
        if (status == LOG_STREAM_LOST) {
            return false;
        }
        if (status == LOG_STREAM_END) {
            break;
        }
        if (status == LOG_STREAM_WAIT) {
            if (writes && step % 3 == 0) { /* the log goes on while the disk is at work */
                world_random_unit(&node->world, &flock->prng, 60);
                world_turn(&node->world, 5000);
                flock_listen(node);
            }
            assert_true(log_stream_is_waiting(stream));
            world_settle(&node->world);
            assert_false(log_stream_is_waiting(stream));
            continue;
        }
        if (!is_wanted_record(node, seen, is_wanted, record.ref, record.last_ticks)) {
            continue;
        }
        while (at < node->records_count &&
               !is_wanted_record(node, seen, is_wanted, node->records[at].ref,
                                 node->records[at].last_ticks)) {
            at++;
        }
        assert_true(at < node->records_count);
        const struct buffer *expected = &node->records[at++].bytes;
        assert_int_equal(bytes.size, expected->size);
        assert_memory_equal(bytes.data, expected->data, bytes.size);
    }
    for (; at < node->records_count; at++) {
        if (is_wanted_record(node, seen, is_wanted, node->records[at].ref,
                             node->records[at].last_ticks)) {
            fail_msg("record %zu of %zu is missing", at, node->records_count);
        }
    }
    return true;
}

/* Seeks a random place; true when the log reached back. */
static bool seek_once(struct flock *flock, unsigned index, bool writes) {
    struct flock_node *node = &flock->nodes[index];
    struct context seen;
    bool wanted[STAMP_SLOTS_COUNT];
    random_context(node, &flock->prng, &seen);
    for (unsigned slot = 0; slot < STAMP_SLOTS_COUNT; slot++) {
        wanted[slot] = prng_below(&flock->prng, 2) == 0;
    }
    const bool *is_wanted = prng_below(&flock->prng, 2) == 0 ? wanted : NULL;
    struct log_stream *stream = log_stream_new(node->world.log);
    bool reaches = log_reaches_back(node->world.log, &seen, is_wanted);
    bool is_found = log_stream_seek(stream, &seen, is_wanted) == LOG_STREAM_END;
    assert_int_equal(is_found, reaches);
    if (is_found && !read_and_compare(flock, node, stream, &seen, is_wanted, writes)) {
        is_found = false;
    }
    if (is_found) {
        assert_int_equal(log_stream_lag_bytes(stream), 0);
    }
    log_stream_free(stream);
    return is_found;
}

struct plan {
    uint64_t ring_bytes, segment_bytes, retention_bytes;
    bool is_on, writes, snapshots, restarts;
    bool may_be_lost;
};

static void set_opts(struct world *world, const struct plan *plan) {
    int64_t unix_ms = world->unix_ms;
    uint64_t monotonic_us = world->monotonic_us;
    *world = (struct world){.unix_ms = unix_ms, .monotonic_us = monotonic_us};
    world->opts.segment_bytes = plan->segment_bytes;
    world->opts.retention_bytes = plan->retention_bytes;
    world->opts.compresses_snapshots = true;
    world->opts.fsync = LOG_FSYNC_EVERYSEC;
}

/* What a store knows of replicas. */
struct knowledge {
    struct context context;
    struct replicas replicas;
    struct world_digest digest;
    uint64_t order_stamp;
};

static void knowledge_take(struct knowledge *knowledge, const struct store *store) {
    knowledge->context = store->context;
    store_digest(store, knowledge->digest.bytes);
    knowledge->order_stamp = store->order_stamp;
    struct replicas *copy = &knowledge->replicas;
    replicas_init(copy);
    for (unsigned slot = 1; slot < store->replicas.slots_count; slot++) {
        const struct replica *replica = &store->replicas.slots[slot];
        assert_true(replicas_add_at(copy, slot, &replica->id));
        for (unsigned seen = 1; seen < replica->mark_count; seen++) {
            replicas_raise_mark(copy, slot, replica->mark[seen]);
        }
    }
}

/* All of it came back; what the new life begins with is its own slot. */
static void knowledge_compare(struct knowledge *old, const struct store *store) {
    struct world_digest digest;
    store_digest(store, digest.bytes);
    assert_true(world_digest_equal(digest, old->digest));
    assert_true(store->order_stamp == old->order_stamp);
    assert_memory_equal(&store->context, &old->context, sizeof(old->context));
    for (unsigned slot = 1; slot < old->replicas.slots_count; slot++) {
        const struct replica *before = &old->replicas.slots[slot];
        const struct replica *now = &store->replicas.slots[slot];
        assert_true(now->ref == before->ref);
        for (unsigned seen = 1; seen < STAMP_SLOTS_COUNT; seen++) {
            uint64_t mark_before = seen < before->mark_count ? before->mark[seen] : 0;
            uint64_t mark_now = seen < now->mark_count ? now->mark[seen] : 0;
            assert_true(stamp_ticks(mark_now) == stamp_ticks(mark_before));
        }
    }
    assert_int_equal(store->replicas.self, old->replicas.slots_count);
    assert_int_equal(store->replicas.slots_count, old->replicas.slots_count + 1);
    assert_false(store->is_alone);
    replicas_deinit(&old->replicas);
}

static void restart(struct flock *flock, unsigned index, const struct plan *plan) {
    struct flock_node *node = &flock->nodes[index];
    struct knowledge knowledge;
    flock_turn(flock);
    world_turn(&node->world, 1000); /* whatever others' turns made it apply */
    flock_listen(node);
    knowledge_take(&knowledge, &node->world.store);
    flock_stop(flock, index);
    if (prng_below(&flock->prng, 2) == 0) {
        assert_int_equal(world_close(&node->world, true), LOG_OK);
    } else {
        world_kill(&node->world);
    }
    set_opts(&node->world, plan);
    flock_start(flock, index, plan->is_on);
    knowledge_compare(&knowledge, &node->world.store);
    store_check(&node->world.store);
}

static void run_plan(const struct plan *plan, uint64_t seed) {
    struct flock *flock = memory_alloc(sizeof(*flock));
    flock_init(flock, 3, plan->ring_bytes, seed);
    flock->may_be_lost = plan->may_be_lost;
    for (unsigned i = 0; i < flock->count; i++) {
        set_opts(&flock->nodes[i].world, plan);
        flock_start(flock, i, plan->is_on);
    }
    unsigned found = 0, sought = 0;
    for (int turn = 0; turn < 120; turn++) {
        flock_turn(flock);
        unsigned index = (unsigned)prng_below(&flock->prng, flock->count);
        sought++;
        found += seek_once(flock, index, plan->writes);
        if (plan->snapshots && turn % 25 == 24) {
            assert_int_equal(world_snapshot(&flock->nodes[index].world), LOG_OK);
        }
        if (plan->restarts && turn % 40 == 39) {
            restart(flock, index, plan);
        }
    }
    if (!plan->may_be_lost) {
        assert_int_equal(found, sought);
    }
    assert_true(found > 0);
    struct log_ring_stats stats;
    log_get_ring_stats(flock->nodes[0].world.log, &stats);
    if (plan->ring_bytes > 0) {
        /* The newest chunk always stays, and what is still to be read for a while. */
        uint64_t most = plan->is_on ? plan->ring_bytes : RING_NEEDED_FACTOR * plan->ring_bytes;
        assert_true(stats.bytes <= most + 32000);
    }
    for (unsigned i = 0; i < flock->count; i++) {
        flock_stop(flock, i);
        world_kill(&flock->nodes[i].world);
    }
    flock_deinit(flock);
    memory_free(flock);
}

static void run_plans(const struct plan *plan) {
    for (uint64_t seed = 1; seed <= 8; seed++) {
        run_plan(plan, seed);
    }
}

static void test_large_ring(void **state) {
    (void)state;
    run_plans(&(struct plan){.ring_bytes = 64 << 20, .segment_bytes = 1 << 20, .is_on = false});
}

static void test_ring_that_overflows(void **state) {
    (void)state;
    run_plans(&(struct plan){.ring_bytes = 100000, .is_on = false, .may_be_lost = true});
}

static void test_from_ring_to_segments(void **state) {
    (void)state;
    run_plans(&(struct plan){.ring_bytes = 10000,
                             .segment_bytes = 6000,
                             .retention_bytes = 1 << 30,
                             .is_on = true,
                             .writes = true});
}

static void test_across_snapshots(void **state) {
    (void)state;
    run_plans(&(struct plan){.ring_bytes = 10000,
                             .segment_bytes = 20000,
                             .retention_bytes = 1 << 30,
                             .is_on = true,
                             .writes = true,
                             .snapshots = true});
}

static void test_across_lives(void **state) {
    (void)state;
    run_plans(&(struct plan){.ring_bytes = 10000,
                             .segment_bytes = 20000,
                             .retention_bytes = 1 << 30,
                             .is_on = true,
                             .writes = true,
                             .snapshots = true,
                             .restarts = true});
}

static void test_little_is_retained(void **state) {
    (void)state;
    run_plans(&(struct plan){.ring_bytes = 10000,
                             .segment_bytes = 20000,
                             .retention_bytes = 40000,
                             .is_on = true,
                             .writes = true,
                             .snapshots = true,
                             .restarts = true,
                             .may_be_lost = true});
}

/* ---- one node: what goes wrong, what changes on the way ---- */

struct lone {
    struct flock flock;
    struct flock_node *node;
    struct plan plan;
};

static struct lone *lone_new(const struct plan *plan) {
    struct lone *lone = memory_alloc_zero(sizeof(*lone));
    lone->plan = *plan;
    flock_init(&lone->flock, 1, plan->ring_bytes, 5);
    lone->node = &lone->flock.nodes[0];
    set_opts(&lone->node->world, plan);
    flock_start(&lone->flock, 0, plan->is_on);
    return lone;
}

static void lone_free(struct lone *lone) {
    flock_stop(&lone->flock, 0);
    world_kill(&lone->node->world);
    flock_deinit(&lone->flock);
    memory_free(lone);
}

static void lone_write(struct lone *lone, unsigned turns) {
    for (unsigned i = 0; i < turns; i++) {
        flock_turn(&lone->flock);
    }
    world_settle(&lone->node->world);
}

static const struct plan ON_DISK = {
    .ring_bytes = 4000, .segment_bytes = 6000, .retention_bytes = 1 << 30, .is_on = true};

/* Reads the log from its beginning. */
static bool reads_all(struct lone *lone) {
    struct context nothing = {{0}};
    struct log_stream *stream = log_stream_new(lone->node->world.log);
    bool is_good = log_stream_seek(stream, &nothing, NULL) == LOG_STREAM_END &&
                   read_and_compare(&lone->flock, lone->node, stream, &nothing, NULL, false);
    log_stream_free(stream);
    return is_good;
}

/* How many records come from the oldest place on; 0: there is none. */
static unsigned count_from_oldest(struct lone *lone) {
    struct log_stream *stream = log_stream_new(lone->node->world.log);
    enum log_stream_status status = log_stream_seek_oldest(stream);
    struct stream_record record;
    struct slice bytes;
    unsigned count = 0;
    uint64_t ticks = 0;
    while (status != LOG_STREAM_LOST &&
           (status = log_stream_next(stream, &record, &bytes)) != LOG_STREAM_END) {
        world_settle(&lone->node->world);
        if (status == LOG_STREAM_RECORD) {
            assert_true(count == 0 || record.previous_ticks == ticks);
            ticks = record.last_ticks;
            count++;
        }
    }
    log_stream_free(stream);
    return count;
}

/* From files all that was ever written, from memory alone what is still there. */
static void test_from_the_oldest(void **state) {
    (void)state;
    struct log_ring_stats stats;
    struct lone *lone = lone_new(&ON_DISK);
    lone_write(lone, 120);
    assert_true(reads_all(lone));
    log_get_ring_stats(lone->node->world.log, &stats);
    unsigned count = count_from_oldest(lone);
    assert_true(count > stats.records_count);
    lone_free(lone);

    struct plan plan = ON_DISK;
    plan.is_on = false;
    lone = lone_new(&plan);
    lone_write(lone, 120);
    assert_false(reads_all(lone));
    log_get_ring_stats(lone->node->world.log, &stats);
    assert_int_equal(count_from_oldest(lone), stats.records_count);
    log_set_ring_bytes(lone->node->world.log, 0);
    assert_int_equal(count_from_oldest(lone), 0);
    lone_free(lone);
}

/* Every read of the disk fails once: the stream is lost, and another try succeeds. */
static void test_reads_that_fail(void **state) {
    (void)state;
    struct lone *lone = lone_new(&ON_DISK);
    struct memory_disk *memory = &lone->node->memory;
    lone_write(lone, 120);
    uint64_t before = memory->reads;
    assert_true(reads_all(lone));
    uint64_t reads = memory->reads - before;
    assert_true(reads > 8);
    unsigned lost = 0;
    for (uint64_t at = 1; at <= reads; at++) {
        memory->fault_read_at = memory->reads + at;
        lost += !reads_all(lone);
        memory->fault_read_at = 0;
    }
    assert_int_equal(lost, reads);
    assert_true(reads_all(lone));
    lone_free(lone);
}

/* A segment is removed under a stream that reads it: it reads to the end of what it has open, and
 * is lost where a file is gone. A record that was damaged is no record. */
static void test_files_that_go(void **state) {
    (void)state;
    struct lone *lone = lone_new(&ON_DISK);
    struct memory_disk *memory = &lone->node->memory;
    lone_write(lone, 40);
    struct disk *disk = &memory->disk;
    struct buffer *bytes = memory_disk_bytes(memory, "log-0000000000000002.segment");
    bytes->data[bytes->size / 2] ^= 1;
    assert_false(reads_all(lone));
    bytes->data[bytes->size / 2] ^= 1;
    assert_true(reads_all(lone));
    struct context nothing = {{0}};
    struct log_stream *stream = log_stream_new(lone->node->world.log);
    assert_int_equal(log_stream_seek(stream, &nothing, NULL), LOG_STREAM_END);
    struct stream_record record;
    struct slice slice;
    assert_int_equal(log_stream_next(stream, &record, &slice), LOG_STREAM_WAIT);
    world_settle(&lone->node->world);
    assert_int_equal(log_stream_next(stream, &record, &slice), LOG_STREAM_RECORD);
    assert_int_equal(disk->methods->remove(disk, "log-0000000000000001.segment"), DISK_OK);
    assert_int_equal(disk->methods->remove(disk, "log-0000000000000003.segment"), DISK_OK);
    unsigned records = 1;
    enum log_stream_status status;
    while ((status = log_stream_next(stream, &record, &slice)) != LOG_STREAM_LOST) {
        records += status == LOG_STREAM_RECORD;
        world_settle(&lone->node->world);
    }
    assert_true(records > 2);
    assert_int_equal(log_stream_next(stream, &record, &slice), LOG_STREAM_LOST);
    log_stream_free(stream);
    lone_free(lone);
}

/* More streams than may read at a time, some of which take nothing; one is freed while its job is
 * under way. */
static void test_many_streams(void **state) {
    (void)state;
    enum { STREAMS = 30 };
    struct lone *lone = lone_new(&ON_DISK);
    struct world *world = &lone->node->world;
    lone_write(lone, 40);
    struct context nothing = {{0}};
    struct log_stream *streams[STREAMS];
    size_t read[STREAMS] = {0};
    for (unsigned i = 0; i < STREAMS; i++) {
        streams[i] = log_stream_new(world->log);
        assert_int_equal(log_stream_seek(streams[i], &nothing, NULL), LOG_STREAM_END);
    }
    struct log_ring_stats stats;
    log_get_ring_stats(world->log, &stats);
    assert_int_equal(stats.streams_count, STREAMS + 1);
    unsigned done = 0;
    for (unsigned round = 0; done < STREAMS - 4; round++) {
        assert_true(round < 100000);
        done = 0;
        for (unsigned i = 0; i < STREAMS; i++) {
            struct stream_record record;
            struct slice bytes;
            if (i < 4 && read[i] > 3) {
                continue; /* its peer is slow */
            }
            enum log_stream_status status = log_stream_next(streams[i], &record, &bytes);
            assert_int_not_equal(status, LOG_STREAM_LOST);
            if (status == LOG_STREAM_RECORD) {
                const struct buffer *expected = &lone->node->records[read[i]++].bytes;
                assert_int_equal(bytes.size, expected->size);
                assert_memory_equal(bytes.data, expected->data, bytes.size);
            }
            done += status == LOG_STREAM_END;
        }
        struct disk_job *job = world->disk->methods->wait(world->disk);
        if (job != NULL) {
            log_disk_done(world->log, job, world->unix_ms, world->monotonic_us);
        }
        world_turn(world, 1000);
    }
    for (unsigned i = 4; i < STREAMS; i++) {
        assert_int_equal(read[i], lone->node->records_count);
    }
    for (unsigned i = 0; i < 4; i++) { /* the slow ones go on where they were */
        struct stream_record record;
        struct slice bytes;
        enum log_stream_status status;
        while ((status = log_stream_next(streams[i], &record, &bytes)) != LOG_STREAM_END) {
            if (status == LOG_STREAM_RECORD) {
                const struct buffer *expected = &lone->node->records[read[i]++].bytes;
                assert_int_equal(bytes.size, expected->size);
            } else {
                world_settle(world);
            }
        }
        assert_int_equal(read[i], lone->node->records_count);
    }
    struct stream_record record;
    struct slice bytes;
    assert_int_equal(log_stream_seek(streams[0], &nothing, NULL), LOG_STREAM_END);
    assert_int_equal(log_stream_next(streams[0], &record, &bytes), LOG_STREAM_WAIT);
    for (unsigned i = 0; i < STREAMS; i++) {
        log_stream_free(streams[i]);
    }
    world_settle(world);
    lone_free(lone);
}

/* Ring and log are switched off and on under a stream. */
static void finish_snapshot(struct world *world) {
    for (int i = 0; i < 1000 && log_snapshot_is_running(world->log); i++) {
        (void)log_snapshot_step(world->log, 100, world->unix_ms, world->monotonic_us);
        world_settle(world);
    }
}

static void test_switches(void **state) {
    (void)state;
    struct lone *lone = lone_new(&ON_DISK);
    struct world *world = &lone->node->world;
    lone_write(lone, 20);
    log_set_ring_bytes(world->log, 0);
    lone_write(lone, 20); /* the tap goes on from files */
    assert_true(reads_all(lone));
    log_set_ring_bytes(world->log, 4000);
    lone_write(lone, 20);
    assert_true(reads_all(lone));
    /* With the ring large enough nothing is missing while the log is off. */
    log_set_ring_bytes(world->log, 1 << 20);
    lone_write(lone, 2);
    assert_int_equal(log_set_on(world->log, false, world->unix_ms, world->monotonic_us), LOG_OK);
    lone_write(lone, 10);
    assert_true(reads_all(lone));
    assert_int_equal(log_set_on(world->log, true, world->unix_ms, world->monotonic_us), LOG_OK);
    finish_snapshot(world);
    lone_write(lone, 10);
    assert_true(reads_all(lone)); /* from segments over the ring */
    /* Without either there is a hole, and it is told. */
    log_set_ring_bytes(world->log, 0);
    assert_int_equal(log_set_on(world->log, false, world->unix_ms, world->monotonic_us), LOG_OK);
    assert_false(world->store.journal.is_on);
    assert_false(reads_all(lone));
    world_set(world, 1, "not recorded");
    log_set_ring_bytes(world->log, 1 << 20);
    struct stream_record record;
    struct slice bytes;
    assert_int_equal(log_stream_next(lone->node->tap, &record, &bytes), LOG_STREAM_LOST);
    assert_int_equal(log_stream_seek(lone->node->tap, &world->store.context, NULL), LOG_STREAM_END);
    assert_false(reads_all(lone));
    lone_write(lone, 5);
    lone_free(lone);
}

/* Suspended, the log keeps the old state; resumed, the new one. */
/* Reads up to `count` records; false when the stream is lost. */
static bool read_some(struct log_stream *stream, unsigned count) {
    enum log_stream_status status = LOG_STREAM_RECORD;
    while (count-- > 0 && status == LOG_STREAM_RECORD) {
        struct stream_record record;
        struct slice bytes;
        status = log_stream_next(stream, &record, &bytes);
    }
    return status != LOG_STREAM_LOST;
}

/* Writes values of a thousand bytes, each in a turn of its own. */
static void write_bytes(struct world *world, size_t bytes) {
    char value[1000] = {0};
    memset(value, 'x', sizeof(value) - 1);
    for (unsigned i = 0; i < bytes / sizeof(value); i++) {
        world_set(world, i, value);
        world_turn(world, 1000);
        world_settle(world);
    }
}

/* Without segments a reader keeps its place while it reads, though others write, up to twice the
 * ring's limit; a reader of segments costs the ring nothing. */
static void test_a_reader_keeps_its_place(void **state) {
    (void)state;
    enum { RING_BYTES = 100000 };
    for (int is_on = 0; is_on < 2; is_on++) {
        struct plan plan = ON_DISK;
        plan.ring_bytes = RING_BYTES;
        plan.is_on = is_on == 1;
        struct lone *lone = lone_new(&plan);
        struct world *world = &lone->node->world;
        struct log_ring_stats stats;
        log_get_ring_stats(world->log, &stats);
        struct log_stream *stream = lone->node->tap;
        assert_int_equal(log_stream_seek(stream, &world->store.context, NULL), LOG_STREAM_END);
        write_bytes(world, 3 * RING_BYTES / 2);
        log_get_ring_stats(world->log, &stats);
        assert_int_equal(stats.bytes > RING_BYTES, !plan.is_on);
        if (!plan.is_on) {
            assert_true(read_some(stream, 1));
            write_bytes(world, RING_BYTES);
            assert_false(read_some(stream, 1)); /* a reader that stands still costs no more */
        }
        log_get_ring_stats(world->log, &stats);
        assert_true(stats.bytes <= RING_NEEDED_FACTOR * RING_BYTES + 32000);
        world_turn(world, 1000);
        log_get_ring_stats(world->log, &stats);
        assert_true(stats.bytes <= RING_BYTES);
        lone_free(lone);
    }
}

/* What was read goes in the next turn; also while the log is switched on. */
static void test_what_was_read_goes(void **state) {
    (void)state;
    enum { RING_BYTES = 100000 };
    struct plan plan = {.ring_bytes = RING_BYTES, .is_on = false};
    struct lone *lone = lone_new(&plan);
    struct world *world = &lone->node->world;
    struct log_stream *stream = lone->node->tap;
    assert_int_equal(log_stream_seek(stream, &world->store.context, NULL), LOG_STREAM_END);
    write_bytes(world, 3 * RING_BYTES / 2);
    /* Segments that begin now do not have what it has yet to read. */
    assert_int_equal(log_set_on(world->log, true, world->unix_ms, world->monotonic_us), LOG_OK);
    finish_snapshot(world);
    world_turn(world, 1000);
    assert_true(read_some(stream, UINT_MAX));
    struct log_ring_stats stats;
    log_get_ring_stats(world->log, &stats);
    assert_true(stats.bytes > RING_BYTES);
    world_turn(world, 1000);
    log_get_ring_stats(world->log, &stats);
    assert_true(stats.bytes <= RING_BYTES);
    lone_free(lone);
}

static void test_suspension(void **state) {
    (void)state;
    for (int resumes = 0; resumes < 2; resumes++) {
        struct lone *lone = lone_new(&ON_DISK);
        struct world *world = &lone->node->world;
        lone_write(lone, 20);
        struct world_digest before = world_digest(world);
        log_suspend(world->log, world->unix_ms, world->monotonic_us);
        assert_false(world->store.journal.is_on);
        struct stream_record record;
        struct slice bytes;
        assert_int_equal(log_stream_next(lone->node->tap, &record, &bytes), LOG_STREAM_LOST);
        assert_false(log_reaches_back(world->log, &world->store.context, NULL));
        for (unsigned i = 0; i < 50; i++) {
            world_set(world, i, "comes from elsewhere");
            world_turn(world, 100000);
            world_settle(world);
        }
        struct world_digest after = world_digest(world);
        assert_false(world_digest_equal(before, after));
        if (resumes == 1) {
            assert_int_equal(
                log_resume_with_snapshot(world->log, world->unix_ms, world->monotonic_us), LOG_OK);
            assert_int_equal(log_stream_seek(lone->node->tap, &world->store.context, NULL),
                             LOG_STREAM_END);
            for (int i = 0; i < 1000; i++) {
                (void)log_snapshot_step(world->log, 100, world->unix_ms, world->monotonic_us);
                world_settle(world);
                world_turn(world, 1000);
            }
            struct log_stats stats;
            log_get_stats(world->log, &stats);
            assert_true(stats.is_on);
            assert_false(stats.snapshot_is_required);
            struct context nothing = {{0}};
            assert_false(log_reaches_back(world->log, &nothing, NULL));
            assert_true(log_reaches_back(world->log, &world->store.context, NULL));
            world_set(world, 7, "written after it");
            world_turn(world, 1000);
            after = world_digest(world);
        }
        flock_stop(&lone->flock, 0);
        world_kill(world);
        set_opts(world, &lone->plan);
        flock_start(&lone->flock, 0, true);
        assert_true(world_digest_equal(world_digest(world), resumes == 1 ? after : before));
        lone_free(lone);
    }
}

/* Another replica at run time: its records name it, and a start knows both. */
static void test_another_replica(void **state) {
    (void)state;
    struct lone *lone = lone_new(&ON_DISK);
    struct world *world = &lone->node->world;
    lone_write(lone, 5);
    world_set(world, 1, "by the first");
    uint64_t first = log_generation(world->log);
    unsigned slot = world->store.replicas.self;
    assert_int_equal(log_begin_replica(world->log, first + 100), LOG_OK);
    assert_int_equal(log_generation(world->log), first + 100);
    assert_int_not_equal(world->store.replicas.self, slot);
    world_set(world, 2, "by the second");
    lone_write(lone, 3);
    assert_true(reads_all(lone));
    size_t last = lone->node->records_count - 1;
    assert_true(lone->node->records[last].ref ==
                world->store.replicas.slots[world->store.replicas.self].ref);
    assert_true(lone->node->records[0].ref == world->store.replicas.slots[slot].ref);
    assert_int_equal(log_begin_replica(world->log, 1), LOG_OK);
    /* Where it cannot be what was asked for, it is not what a copy would come to. */
    uint64_t third = log_generation(world->log);
    assert_in_range(third, first + 101, first + 101 + UINT16_MAX);
    assert_int_equal(third - first - 101, world->opts.entropy[0] % (1 << 16));
    assert_memory_equal(log_node_id_bytes(world->log), world->store.replicas.slots[slot].id.node,
                        REPLICA_NODE_ID_BYTES);
    world_set(world, 3, "by the third");
    restart(&lone->flock, 0, &lone->plan);
    assert_true(log_generation(world->log) > third);
    assert_true(reads_all(lone));
    lone_free(lone);
}

/* The first record of a life, and that after a state was taken over, and only those, say what was
 * retired before them, and all else that was seen. */
static void test_retired_before(void **state) {
    (void)state;
    struct lone *lone = lone_new(&ON_DISK);
    struct world *world = &lone->node->world;
    world_set(world, 1, "of the life before");
    assert_int_equal(log_begin_replica(world->log, log_generation(world->log) + 1), LOG_OK);
    replicas_note_retired(&world->store.replicas,
                          &(struct retired_replica){.ref = 0xABCDEF, .ticks = 77});
    unsigned slot = world->store.replicas.self;
    struct log_stream *stream = log_stream_new(world->log);
    struct context seen = {0};
    assert_true(log_stream_seek(stream, &seen, NULL));
    log_collect(world->log);
    world_set(world, 2, "first");
    log_collect(world->log);
    world_set(world, 3, "second");
    log_collect(world->log);
    world->store.replicas.tells_anew = true;
    world_set(world, 4, "taken over");
    log_collect(world->log);
    world_set(world, 5, "last");
    log_collect(world->log);
    unsigned told = 0, told_lives = 0, count = 0;
    struct stream_record record;
    struct slice bytes;
    while (log_stream_next(stream, &record, &bytes) == LOG_STREAM_RECORD) {
        struct stream_mark mark;
        while (stream_mark_next(&record.marks, &mark)) {
            bool is_it = mark.ref == 0xABCDEF && mark.ticks == 77;
            assert_int_equal(record.ref, world->store.replicas.slots[slot].ref);
            assert_true(record.previous_ticks == 0 || count == 3);
            told += is_it;
            told_lives += !is_it;
        }
        count++;
    }
    assert_int_equal(count, 5);
    assert_int_equal(told, 2);
    assert_int_equal(told_lives, 2); /* the one before */
    log_stream_free(stream);
    lone_free(lone);
}

/* Others took this node for gone, and ended its life. It goes on writing until it begins another
 * one; a start brings back what it wrote, for it to make that again. */
static void test_what_is_void_comes_back(void **state) {
    (void)state;
    enum { NUMBER = 50 };
    struct lone *lone = lone_new(&ON_DISK);
    struct world *world = &lone->node->world;
    struct world_author author;
    world_author_init(&author, world);
    world_set(world, NUMBER, "before");
    world_turn(world, 1000);
    const struct replicas *replicas = &world->store.replicas;
    uint64_t ticks = stamp_ticks(world->store.context.stamps[replicas->self]);
    struct ended_replica end = {
        .ref = replicas->slots[replicas->self].ref, .ticks = ticks, .made_ticks = ticks};
    struct store *other = &author.world.store;
    struct buffer bytes = {0};
    store_end_life(other, &end, (struct slice){0});
    store_end_unit(other);
    struct stream_record record = {.ref = other->replicas.slots[1].ref,
                                   .last_ticks = other->journal.last_ticks};
    stream_record_put_head(&bytes, &record, NULL, 0);
    buffer_append_slice(&bytes, buffer_slice(&other->journal.bytes));
    change_writer_clear(&other->journal);
    assert_int_equal(receiver_take(&author.receiver, buffer_slice(&bytes)), RECEIVE_OK);
    buffer_deinit(&bytes);
    assert_int_equal(replicas->ended_count, 1);
    world_set(world, NUMBER, "after");
    world_turn(world, 1000);
    world_author_deinit(&author);
    for (unsigned starts = 0; starts < 2; starts++) {
        flock_stop(&lone->flock, 0);
        world_kill(world);
        set_opts(world, &lone->plan);
        flock_start(&lone->flock, 0, true);
        assert_int_equal(world->store.replicas.ended_count, 1);
        assert_true(store_has_void(&world->store));
        assert_string_equal(world_get(world, NUMBER), "after");
        if (starts == 0) { /* and from a snapshot */
            assert_int_equal(world_snapshot(world), LOG_OK);
        }
    }
    lone_free(lone);
}

/* Changes are counted as they are appended, own ones and others', and again as the log is read at
 * the start of another life; not across a suspension. */
static void test_counts_of_changes(void **state) {
    (void)state;
    struct lone *lone = lone_new(&ON_DISK);
    struct world *world = &lone->node->world;
    struct replicas *replicas = &world->store.replicas;
    unsigned self = replicas->self;
    uint64_t ref = replicas->slots[self].ref;
    world_set(world, 1, "before");
    world_turn(world, 1000);
    uint64_t begin = world->store.context.stamps[self];
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(log_changes_since(world->log, begin), i);
        world_set(world, i, "v"); /* counts before it is collected, too */
        if (i % 3 == 0) {
            world_turn(world, 1000);
        }
    }
    uint64_t end = world->store.context.stamps[self];
    world_turn(world, 1000);
    assert_int_equal(log_changes_since(world->log, begin), 30);
    assert_int_equal(log_changes_since(world->log, end), 0);
    struct prng prng;
    prng_init(&prng, 5);
    struct world_author author;
    world_author_init(&author, world);
    unsigned slot = replicas_find(replicas, author.world.store.replicas.slots[1].ref);
    uint64_t author_ref = replicas->slots[slot].ref;
    for (unsigned i = 0; i < 20; i++) {
        uint64_t seen = world->store.context.stamps[slot];
        uint64_t before = author.receiver.changes_count;
        world_author_unit(&author, world->unix_ms, &prng, 40);
        assert_int_equal(log_changes_since(world->log, stamp_make(stamp_ticks(seen), slot)),
                         author.receiver.changes_count - before);
    }
    uint64_t changes = author.receiver.changes_count;
    assert_true(changes > 20);
    assert_int_equal(log_changes_since(world->log, stamp_make(0, slot)), changes);
    assert_int_equal(log_changes_since(world->log, begin), 30);
    world_turn(world, 1000);
    world_author_deinit(&author);
    flock_stop(&lone->flock, 0);
    world_kill(world);
    set_opts(world, &lone->plan);
    flock_start(&lone->flock, 0, true);
    /* The same, by names, since slots need not be the same. */
    self = replicas_find(replicas, ref);
    slot = replicas_find(replicas, author_ref);
    assert_int_not_equal(self, replicas->self);
    assert_int_equal(log_changes_since(world->log, stamp_make(stamp_ticks(begin), self)), 30);
    assert_int_equal(log_changes_since(world->log, stamp_make(0, slot)), changes);
    assert_int_equal(log_changes_since(world->log, stamp_make(0, replicas->self)), 0);
    /* A slot that changes hands. */
    replicas_retire(replicas, slot, 1);
    world->store.context.stamps[slot] = 0;
    world_set(world, 1, "v");
    log_collect(world->log);
    assert_int_equal(log_changes_since(world->log, stamp_make(0, slot)), 0);
    assert_int_equal(log_changes_since(world->log, stamp_make(stamp_ticks(begin), self)), 30);
    log_suspend(world->log, world->unix_ms, world->monotonic_us);
    world_set(world, 1, "not recorded");
    assert_int_equal(log_changes_since(world->log, stamp_make(stamp_ticks(begin), self)), 0);
    log_resume_ring(world->log, &world->store.context);
    world_set(world, 1, "recorded again");
    assert_int_equal(log_changes_since(world->log, stamp_make(0, replicas->self)), 1);
    lone_free(lone);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_ring),
        cmocka_unit_test(test_ring_that_overflows),
        cmocka_unit_test(test_from_ring_to_segments),
        cmocka_unit_test(test_across_snapshots),
        cmocka_unit_test(test_across_lives),
        cmocka_unit_test(test_little_is_retained),
        cmocka_unit_test(test_from_the_oldest),
        cmocka_unit_test(test_reads_that_fail),
        cmocka_unit_test(test_files_that_go),
        cmocka_unit_test(test_many_streams),
        cmocka_unit_test(test_switches),
        cmocka_unit_test(test_a_reader_keeps_its_place),
        cmocka_unit_test(test_what_was_read_goes),
        cmocka_unit_test(test_suspension),
        cmocka_unit_test(test_another_replica),
        cmocka_unit_test(test_retired_before),
        cmocka_unit_test(test_what_is_void_comes_back),
        cmocka_unit_test(test_counts_of_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
