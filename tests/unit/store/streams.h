/* SPDX-License-Identifier: BSD-3-Clause */
/* Several nodes without a network: a store each, and what turns its journal into stream records. */
#ifndef TESTS_UNIT_STORE_STREAMS_H
#define TESTS_UNIT_STORE_STREAMS_H

#include "base/buffer.h"
#include "base/memory.h"
#include "store/mutate.h"
#include "store/receive.h"
#include "store/strings.h"

enum { STREAMS_DBS = 4, STREAMS_NODES_MAX = 8 };

struct node_store {
    struct store store;
    struct receiver receiver;
    uint64_t ref;
    uint64_t previous_ticks;          /* of its newest record */
    uint64_t told[STREAMS_NODES_MAX]; /* marks so far: ticks by node */
    struct buffer applied;            /* what the receiver passed on, each after its size */
    unsigned applied_count, before_count;
};

static inline struct replica_id streams_id(unsigned node) {
    struct replica_id id = {.generation = 7};
    memset(id.node, (int)('A' + node), sizeof(id.node));
    return id;
}

static inline void streams_applied(void *udata, struct slice record) {
    struct node_store *node = (struct node_store *)udata;
    buffer_append(&node->applied, &record.size, sizeof(record.size));
    buffer_append_slice(&node->applied, record);
    node->applied_count++;
}

static inline void streams_before(void *udata) {
    ((struct node_store *)udata)->before_count++;
}

/* Node `self` of `count`. Each gives the others other slots than they do. */
static inline void streams_init(struct node_store *node, unsigned self, unsigned count) {
    *node = (struct node_store){0};
    struct store_opts opts = {.dbs_count = STREAMS_DBS, .seed = 100 + self};
    store_init(&node->store, &opts);
    node->store.is_alone = false;
    node->store.journal.is_on = true;
    store_set_now(&node->store, INT64_C(1800000000000));
    struct replica_id id = streams_id(self);
    require(store_begin_replica(&node->store, &id));
    node->ref = replica_ref(&id);
    for (unsigned i = 1; i < count; i++) {
        id = streams_id((self + i) % count);
        require(replicas_add(&node->store.replicas, &id) != 0);
    }
    node->receiver = (struct receiver){.store = &node->store,
                                       .applied = streams_applied,
                                       .before_apply = streams_before,
                                       .udata = node};
}

static inline void streams_deinit(struct node_store *node) {
    receiver_deinit(&node->receiver);
    require(node->receiver.kept_bytes == 0);
    store_deinit(&node->store);
    buffer_deinit(&node->applied);
}

/* Makes a record of what the journal holds and appends it to `out`: whole units, or the beginning
 * of one that goes on. */
static inline void streams_collect(struct node_store *node, unsigned count, struct buffer *out) {
    struct store *store = &node->store;
    require(store->journal.bytes.size > 0);
    struct stream_mark marks[STREAMS_NODES_MAX];
    size_t marks_count = 0;
    for (unsigned i = 0; i < count; i++) {
        struct replica_id id = streams_id(i);
        uint64_t ref = replica_ref(&id);
        unsigned slot = replicas_find(&store->replicas, ref);
        uint64_t ticks = slot != 0 ? stamp_ticks(store->context.stamps[slot]) : 0;
        if (ref != node->ref && ticks > node->told[i]) {
            marks[marks_count++] = (struct stream_mark){.ref = ref, .ticks = ticks};
            node->told[i] = ticks;
            replicas_raise_mark(&store->replicas, store->replicas.self, stamp_make(ticks, slot));
        }
    }
    struct stream_record record = {.ref = node->ref,
                                   .previous_ticks = node->previous_ticks,
                                   .last_ticks = store->journal.last_ticks};
    node->previous_ticks = record.last_ticks;
    stream_record_put_head(out, &record, marks, marks_count);
    buffer_append_slice(out, buffer_slice(&store->journal.bytes));
    change_writer_clear(&store->journal);
}

/* Hands over a copy of exactly its size, which shows a byte read too far. */
static inline enum receive_status streams_take(struct node_store *node, struct slice record) {
    char *bytes = memory_alloc(record.size);
    memcpy(bytes, record.data, record.size);
    enum receive_status status = receiver_take(&node->receiver, slice_make(bytes, record.size));
    memory_free(bytes);
    return status;
}

#endif
