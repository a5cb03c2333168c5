/* SPDX-License-Identifier: BSD-3-Clause */
/* A store with its log on a memory disk, and random work for it. */
#ifndef TESTS_UNIT_LOG_LOG_WORLD_H
#define TESTS_UNIT_LOG_LOG_WORLD_H

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "log/log_stream.h"
#include "store/receive.h"
#include "store/strings.h"
#include "unit/log/memory_disk.h"

#define WORLD_START_MS (STAMP_EPOCH_MS + INT64_C(1000) * 1000)

struct world {
    struct disk *disk;
    struct store store;
    struct log *log;
    struct log_opts opts;
    int64_t unix_ms;
    uint64_t monotonic_us;
    struct log_recovery recovery;
    enum log_status status; /* of the start */
    bool is_quiet;
    uint64_t node;      /* tells nodes apart */
    unsigned first_key; /* of random changes */
    bool never_flushes;
};

static inline void world_message(void *udata, enum log_level level, const char *text) {
    const struct world *world = udata;
    if (!world->is_quiet && getenv("VERBOSE") != NULL) {
        print_message("        [%d] %s\n", level, text);
    }
}

static inline void world_clock(struct world *world) {
    store_set_now(&world->store, world->unix_ms);
    hybrid_clock_set_wall(&world->store.clock, world->unix_ms);
}

/* Opens and recovers, without beginning to log; the status is kept. */
static inline enum log_status world_recover(struct world *world, struct disk *disk) {
    world->disk = disk;
    struct store_opts store_opts = {.dbs_count = 4, .seed = 7};
    store_init(&world->store, &store_opts);
    world->opts.disk = disk;
    world->opts.store = &world->store;
    world->opts.message = world_message;
    world->opts.udata = world;
    world->opts.entropy[0] = 0x1122334455667788 + world->node;
    world->opts.entropy[1] = 0x99AABBCCDDEEFF00;
    if (world->opts.segment_bytes == 0) {
        world->opts.segment_bytes = 1 << 20;
    }
    if (world->unix_ms == 0) {
        world->unix_ms = WORLD_START_MS;
    }
    world->log = log_new(&world->opts);
    world->status = log_open(world->log, world->unix_ms);
    if (world->status == LOG_OK) {
        world->status = log_recover(world->log, &world->recovery);
    }
    world_clock(world);
    return world->status;
}

static inline enum log_status world_start(struct world *world, struct disk *disk, bool is_on) {
    if (world_recover(world, disk) == LOG_OK) {
        world->status = log_start(world->log, is_on, world->unix_ms, world->monotonic_us);
    }
    return world->status;
}

/* Ends the process without a word: what is in memory is gone. */
static inline void world_kill(struct world *world) {
    log_free(world->log);
    store_deinit(&world->store);
    world->log = NULL;
}

static inline enum log_status world_close(struct world *world, bool is_complete) {
    enum log_status status = log_close(world->log, is_complete, world->unix_ms);
    world_kill(world);
    return status;
}

/* Lets the disk finish what it has been given. */
static inline void world_settle(struct world *world) {
    struct disk_job *job;
    while ((job = world->disk->methods->wait(world->disk)) != NULL) {
        log_disk_done(world->log, job, world->unix_ms, world->monotonic_us);
    }
}

/* The end of a turn, `us` microseconds later. */
static inline void world_turn(struct world *world, uint64_t us) {
    world->monotonic_us += us;
    world->unix_ms += (int64_t)(us / 1000);
    world_clock(world);
    log_tick(world->log, world->unix_ms, world->monotonic_us);
    log_write(world->log, world->monotonic_us);
}

static inline struct key world_key(struct world *world, unsigned db, unsigned number,
                                   char text[32]) {
    int size = snprintf(text, 32, "key:%u", number);
    return store_key(&world->store, db, slice_make(text, (size_t)size));
}

static inline void world_set(struct world *world, unsigned number, const char *value) {
    char text[32];
    struct key key = world_key(world, 0, number, text);
    assert_int_equal(strings_set(&world->store, &key, slice_of(value), 0), STORE_OK);
    store_end_unit(&world->store);
}

/* The value of a key of database 0, or NULL; valid until the next call. */
static inline const char *world_get(struct world *world, unsigned number) {
    static char value[256];
    char text[32];
    struct key key = world_key(world, 0, number, text);
    const struct entry *entry = store_peek(&world->store, &key);
    if (entry == NULL) {
        return NULL;
    }
    struct entry_scratch scratch;
    struct slice bytes = entry_value(entry, &scratch);
    (void)snprintf(value, sizeof(value), "%.*s", (int)bytes.size, bytes.data);
    return value;
}

/* One random change, of any kind, leaving the unit open. */
static inline void world_random_change(struct world *world, struct prng *prng, unsigned keys) {
    struct store *store = &world->store;
    char text[32], value[9000];
    unsigned db = (unsigned)prng_below(prng, 2);
    struct key key =
        world_key(world, db, world->first_key + (unsigned)prng_below(prng, keys), text);
    size_t size = (size_t)prng_below(prng, prng_below(prng, 20) == 0 ? sizeof(value) : 60);
    for (size_t i = 0; i < size; i++) {
        value[i] = (char)('a' + prng_below(prng, 26));
    }
    struct slice bytes = slice_make(value, size);
    uint64_t far = (uint64_t)world->unix_ms + 1000000 + prng_below(prng, 1000);
    int64_t integer;
    long double real;
    switch (prng_below(prng, 14)) {
    case 0:
        (void)store_delete(store, &key);
        break;
    case 1:
        (void)strings_add_integer(store, &key, (int64_t)prng_below(prng, 100), &integer);
        break;
    case 2:
        (void)strings_add_float(store, &key, 0.5L, &real);
        break;
    case 3:
        (void)strings_patch(store, &key, prng_below(prng, 6000), bytes, NULL);
        break;
    case 4:
        (void)store_expire(store, &key, far);
        break;
    case 5:
        (void)store_expire(store, &key, 0);
        break;
    case 6:
        (void)strings_set(store, &key, bytes, far);
        break;
    case 7:
        (void)strings_set(store, &key, bytes, STRINGS_KEEP_EXPIRY);
        break;
    case 8:
        (void)strings_set(store, &key, SLICE("1234"), 0);
        break;
    case 9:
        if (prng_below(prng, 60) == 0 && !world->never_flushes) {
            (void)store_flush(store, db);
        } else if (prng_below(prng, 60) == 0) {
            store_swap(store, 0, 1);
        }
        break;
    default:
        (void)strings_set(store, &key, bytes, 0);
    }
}

static inline void world_random_unit(struct world *world, struct prng *prng, unsigned keys) {
    uint64_t changes = prng_below(prng, 5) == 0 ? 1 + prng_below(prng, 6) : 1;
    for (uint64_t i = 0; i < changes; i++) {
        world_random_change(world, prng, keys);
    }
    store_end_unit(&world->store);
}

/* ---- another node, as far as its records go: it writes and sees nothing of others ---- */

struct world_author {
    struct world world;       /* its store; it has no log */
    struct receiver receiver; /* of the node that gets its records */
    struct log *log;
};

static inline void world_author_applied(void *udata, struct slice record) {
    struct world_author *author = udata;
    log_append_record(author->log, record, author->receiver.record_changes);
}

static inline void world_author_before(void *udata) {
    log_collect(((struct world_author *)udata)->log);
}

static inline void world_author_init(struct world_author *author, struct world *reader) {
    *author = (struct world_author){.log = reader->log};
    author->world.unix_ms = reader->unix_ms;
    author->world.first_key = 5000;
    author->world.never_flushes = true;
    struct store_opts opts = {.dbs_count = 4, .seed = 11};
    struct store *store = &author->world.store;
    store_init(store, &opts);
    struct replica_id id = {.node = {0xF0}, .generation = 1};
    assert_true(store_begin_replica(store, &id));
    assert_int_not_equal(replicas_add(&reader->store.replicas, &id), 0);
    reader->store.is_alone = false;
    store->journal.is_on = true;
    author->receiver = (struct receiver){.store = &reader->store,
                                         .applied = world_author_applied,
                                         .before_apply = world_author_before,
                                         .udata = author};
}

static inline void world_author_deinit(struct world_author *author) {
    receiver_deinit(&author->receiver);
    store_deinit(&author->world.store);
}

/* It writes a unit, in one record or cut into two, and the node gets them. */
static inline void world_author_unit(struct world_author *author, int64_t unix_ms,
                                     struct prng *prng, unsigned keys) {
    struct store *store = &author->world.store;
    struct change_writer *journal = &store->journal;
    author->world.unix_ms = unix_ms;
    world_clock(&author->world);
    uint64_t previous = stamp_ticks(store->context.stamps[1]);
    for (int part = 0; part < 2; part++) {
        if (part == 0 && prng_below(prng, 3) != 0) {
            continue;
        }
        world_random_change(&author->world, prng, keys);
        if (part == 1) {
            char text[32];
            struct key key = world_key(&author->world, 0, 6000, text);
            assert_int_equal(strings_set(store, &key, SLICE("the end of a unit"), 0), STORE_OK);
            store_end_unit(store);
        }
        if (journal->bytes.size == 0) {
            continue;
        }
        struct stream_record record = {.ref = store->replicas.slots[1].ref,
                                       .previous_ticks = previous,
                                       .last_ticks = journal->last_ticks};
        previous = journal->last_ticks;
        struct buffer bytes = {0};
        stream_record_put_head(&bytes, &record, NULL, 0);
        buffer_append_slice(&bytes, buffer_slice(&journal->bytes));
        change_writer_clear(journal);
        assert_int_equal(receiver_take(&author->receiver, buffer_slice(&bytes)), RECEIVE_OK);
        buffer_deinit(&bytes);
    }
}

struct world_digest {
    uint8_t bytes[20];
};

static inline struct world_digest world_digest(const struct world *world) {
    struct world_digest digest;
    store_digest(&world->store, digest.bytes);
    return digest;
}

static inline bool world_digest_equal(struct world_digest a, struct world_digest b) {
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

/* Takes a whole snapshot, letting the disk work in between. */
static inline enum log_status world_snapshot(struct world *world) {
    enum log_status status = log_snapshot_begin(world->log, world->unix_ms, world->monotonic_us);
    if (status != LOG_OK) {
        return status;
    }
    for (int i = 0; i < 100000 && log_snapshot_is_running(world->log); i++) {
        (void)log_snapshot_step(world->log, 64, world->unix_ms, world->monotonic_us);
        world_settle(world);
    }
    assert_false(log_snapshot_is_running(world->log));
    struct log_stats stats;
    log_get_stats(world->log, &stats);
    return stats.snapshot_status;
}

#endif
