/* SPDX-License-Identifier: BSD-3-Clause */
/* Some nodes with logs and rings on memory disks, which read one another's logs: what a mesh does,
 * without the mesh. Each node keeps a plain list of all that its log recorded, to compare with. */
#ifndef TESTS_UNIT_LOG_LOG_FLOCK_H
#define TESTS_UNIT_LOG_LOG_FLOCK_H

#include "log/log_stream.h"
#include "store/receive.h"
#include "unit/log/log_world.h"

enum { FLOCK_NODES_MAX = 4 };

struct flock_record {
    struct buffer bytes;
    uint64_t ref, last_ticks;
};

struct flock_node {
    struct memory_disk memory;
    struct world world;
    struct receiver receiver;
    struct log_stream *from[FLOCK_NODES_MAX]; /* of the others' logs */
    struct log_stream *tap;                   /* of its own */
    struct flock_record *records;
    size_t records_count, records_capacity;
};

struct flock {
    struct flock_node nodes[FLOCK_NODES_MAX];
    unsigned count;
    uint64_t ring_bytes;
    bool may_be_lost; /* rings are small, and there are no files */
    struct prng prng;
};

static inline void flock_applied(void *udata, struct slice record) {
    struct flock_node *node = udata;
    log_append_record(node->world.log, record, node->receiver.record_changes);
}

static inline void flock_before_apply(void *udata) {
    struct flock_node *node = udata;
    log_collect(node->world.log);
}

static inline void flock_note(struct flock_node *node, const struct stream_record *record,
                              struct slice bytes) {
    if (node->records_count == node->records_capacity) {
        node->records_capacity = node->records_capacity == 0 ? 64 : 2 * node->records_capacity;
        node->records =
            memory_resize(node->records, node->records_capacity * sizeof(node->records[0]));
    }
    struct flock_record *copy = &node->records[node->records_count++];
    *copy = (struct flock_record){.ref = record->ref, .last_ticks = record->last_ticks};
    buffer_append_slice(&copy->bytes, bytes);
}

/* Whatever the log recorded since the last call goes to the list. */
static inline void flock_listen(struct flock_node *node) {
    struct stream_record record;
    struct slice bytes;
    enum log_stream_status status;
    log_collect(node->world.log);
    while ((status = log_stream_next(node->tap, &record, &bytes)) != LOG_STREAM_END) {
        if (status == LOG_STREAM_RECORD) {
            flock_note(node, &record, bytes);
        } else {
            assert_int_equal(status, LOG_STREAM_WAIT);
            world_settle(&node->world);
        }
    }
}

/* The beginning of a life, after world.opts were set. */
static inline void flock_start(struct flock *flock, unsigned index, bool is_on) {
    struct flock_node *node = &flock->nodes[index];
    node->world.node = index;
    node->world.opts.begins_replica = true;
    if (world_start(&node->world, &node->memory.disk, is_on) != LOG_OK) {
        fail_msg("node %u: %s", index, log_error(node->world.log));
    }
    log_set_ring_bytes(node->world.log, flock->ring_bytes);
    node->world.store.is_alone = false;
    node->receiver = (struct receiver){.store = &node->world.store,
                                       .applied = flock_applied,
                                       .before_apply = flock_before_apply,
                                       .udata = node};
    node->tap = log_stream_new(node->world.log);
    assert_int_equal(log_stream_seek(node->tap, &node->world.store.context, NULL), LOG_STREAM_END);
}

/* Before a life ends: streams of and from its log go. */
static inline void flock_stop(struct flock *flock, unsigned index) {
    struct flock_node *node = &flock->nodes[index];
    log_stream_free(node->tap);
    node->tap = NULL;
    for (unsigned i = 0; i < flock->count; i++) {
        log_stream_free(flock->nodes[i].from[index]);
        flock->nodes[i].from[index] = NULL;
    }
    receiver_deinit(&node->receiver);
}

static inline void flock_init(struct flock *flock, unsigned count, uint64_t ring_bytes,
                              uint64_t seed) {
    *flock = (struct flock){.count = count, .ring_bytes = ring_bytes};
    prng_init(&flock->prng, seed);
    for (unsigned i = 0; i < count; i++) {
        memory_disk_init(&flock->nodes[i].memory, seed + i);
    }
}

static inline void flock_deinit(struct flock *flock) {
    for (unsigned i = 0; i < flock->count; i++) {
        struct flock_node *node = &flock->nodes[i];
        for (size_t j = 0; j < node->records_count; j++) {
            buffer_deinit(&node->records[j].bytes);
        }
        memory_free(node->records);
        memory_disk_deinit(&node->memory);
    }
}

/* The context of `reader` in the slots of `teller`; all replicas of the one become known to the
 * other, as introductions would do it. */
static inline void flock_translate(const struct flock_node *reader, struct flock_node *teller,
                                   struct context *seen) {
    *seen = (struct context){0};
    const struct replicas *known = &reader->world.store.replicas;
    for (unsigned slot = 1; slot < known->slots_count; slot++) {
        if (known->slots[slot].ref != 0) {
            unsigned other = replicas_add(&teller->world.store.replicas, &known->slots[slot].id);
            assert_int_not_equal(other, 0);
            context_add(seen,
                        stamp_make(stamp_ticks(reader->world.store.context.stamps[slot]), other));
        }
    }
}

static inline void flock_lost(struct flock *flock, unsigned to, unsigned from) {
    if (!flock->may_be_lost) {
        fail_msg("node %u cannot read the log of node %u", to, from);
    }
    log_stream_free(flock->nodes[to].from[from]);
    flock->nodes[to].from[from] = NULL;
}

/* One node reads some records of another one's log. */
static inline void flock_pull(struct flock *flock, unsigned to, unsigned from,
                              unsigned records_max) {
    struct flock_node *reader = &flock->nodes[to], *teller = &flock->nodes[from];
    if (reader->from[from] == NULL) {
        struct context seen;
        reader->from[from] = log_stream_new(teller->world.log);
        flock_translate(reader, teller, &seen);
        if (log_stream_seek(reader->from[from], &seen, NULL) != LOG_STREAM_END) {
            flock_lost(flock, to, from);
            return;
        }
    }
    for (unsigned i = 0; i < records_max; i++) {
        struct stream_record record;
        struct slice bytes;
        enum log_stream_status status = log_stream_next(reader->from[from], &record, &bytes);
        if (status == LOG_STREAM_WAIT) {
            world_settle(&teller->world);
            continue;
        }
        if (status == LOG_STREAM_LOST) {
            flock_lost(flock, to, from);
        }
        if (status != LOG_STREAM_RECORD) {
            return;
        }
        struct replicas *known = &teller->world.store.replicas;
        unsigned author = replicas_find(known, record.ref);
        assert_int_not_equal(author, 0);
        unsigned slot = replicas_add(&reader->world.store.replicas, &known->slots[author].id);
        if (record.last_ticks <= stamp_ticks(reader->world.store.context.stamps[slot])) {
            continue;
        }
        enum receive_status taken = receiver_take(&reader->receiver, bytes);
        if (taken != RECEIVE_OK && taken != RECEIVE_DUPLICATE) {
            fail_msg("node %u takes a record of node %u: %d", to, from, taken);
        }
    }
}

/* Some writes everywhere, some reading, the end of the turn. */
static inline void flock_turn(struct flock *flock) {
    for (unsigned i = 0; i < flock->count; i++) {
        struct flock_node *node = &flock->nodes[i];
        if (node->world.log == NULL) {
            continue;
        }
        for (uint64_t units = prng_below(&flock->prng, 4); units > 0; units--) {
            world_random_unit(&node->world, &flock->prng, 60);
            unsigned from = (unsigned)prng_below(&flock->prng, flock->count);
            if (from != i && flock->nodes[from].world.log != NULL &&
                prng_below(&flock->prng, 3) == 0) {
                flock_pull(flock, i, from, (unsigned)prng_below(&flock->prng, 12));
            }
            flock_listen(node);
        }
        world_turn(&node->world, prng_below(&flock->prng, 40) * 1000);
        flock_listen(node);
        if (prng_below(&flock->prng, 3) == 0) {
            world_settle(&node->world);
        }
    }
}

#endif
