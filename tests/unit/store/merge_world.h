/* SPDX-License-Identifier: BSD-3-Clause */
/* Three stores, each a replica, that exchange their records in causal order, and the law itself as
 * a model: every change that was ever made, with what its writer had seen. What survives is said by
 * one sentence, without parts, ghosts, siblings or settling: a change supersedes exactly what its
 * writer had seen at its place, and adds what it says. TAKE is not even looked at: an increment is
 * an element like any other. */
#ifndef TESTS_UNIT_STORE_MERGE_WORLD_H
#define TESTS_UNIT_STORE_MERGE_WORLD_H

#include <math.h>

#include "crdt/hyperloglog.h"
#include "store/contested.h"
#include "unit/seed.h"
#include "unit/store/streams.h"

enum { WORLD_NODES = 3, WORLD_RECORDS_MAX = 400, WORLD_OPS_MAX = 1000, WORLD_KEYS = 3 };

static const char *const world_names[WORLD_KEYS] = {"a", "b", "c"};

/* One change, as the model keeps it. */
struct world_op {
    struct change change; /* its slices point into the record */
    unsigned author;
    uint64_t ref, ticks;
    uint64_t seen[WORLD_NODES]; /* ticks of what its writer had seen, its own included */
    bool is_float;
    int64_t delta; /* of increments */
    long double float_delta;
};

struct world_digest_heard {
    uint64_t ticks[WORLD_NODES];
};

struct world {
    struct node_store nodes[WORLD_NODES];
    struct buffer records[WORLD_NODES][WORLD_RECORDS_MAX];
    unsigned records_count[WORLD_NODES];
    unsigned delivered[WORLD_NODES][WORLD_NODES]; /* [author][reader] */
    struct world_op ops[WORLD_OPS_MAX];
    unsigned ops_count;
    /* [who][of whom]: the newest context that was heard, and the newest that may be trusted. */
    struct world_digest_heard heard[WORLD_NODES][WORLD_NODES], trusted[WORLD_NODES][WORLD_NODES];
    unsigned conflicts[WORLD_NODES];
};

static inline void world_conflict(void *udata, const struct key *key, enum store_conflict conflict,
                                  uint64_t winner, uint64_t loser) {
    (void)key;
    (void)conflict;
    require(winner != loser);
    (*(unsigned *)udata)++;
}

static inline void world_init(struct world *world) {
    memset(world, 0, sizeof(*world));
    for (unsigned i = 0; i < WORLD_NODES; i++) {
        streams_init(&world->nodes[i], i, WORLD_NODES);
        world->nodes[i].receiver.applied = NULL;
        world->nodes[i].store.conflict = world_conflict;
        world->nodes[i].store.udata = &world->conflicts[i];
    }
}

static inline void world_deinit(struct world *world) {
    for (unsigned i = 0; i < WORLD_NODES; i++) {
        streams_deinit(&world->nodes[i]);
        for (unsigned r = 0; r < world->records_count[i]; r++) {
            buffer_deinit(&world->records[i][r]);
        }
    }
}

static inline struct key world_key(struct world *world, unsigned node, unsigned key) {
    return store_key(&world->nodes[node].store, 0, slice_of(world_names[key]));
}

static inline uint64_t world_ticks(const struct world *world, unsigned node, unsigned of) {
    const struct store *store = &world->nodes[node].store;
    unsigned slot = replicas_find(&store->replicas, world->nodes[of].ref);
    return stamp_ticks(store->context.stamps[slot]);
}

/* ---- the model ---- */

/* What an increment adds to what its writer's part was before. */
static inline void world_note_delta(struct world *world, struct world_op *op) {
    const struct world_op *before = NULL;
    for (unsigned i = 0; i < world->ops_count; i++) {
        const struct world_op *other = &world->ops[i];
        if (other->author == op->author &&
            (other->change.kind == CHANGE_COUNTER || other->change.kind == CHANGE_FLOAT_COUNTER) &&
            other->change.start_ticks == op->change.start_ticks &&
            other->change.type == op->change.type &&
            slice_equal(other->change.element, op->change.element) &&
            slice_equal(other->change.key, op->change.key)) {
            before = other;
        }
    }
    long double total = 0, total_before = 0;
    op->is_float = op->change.kind == CHANGE_FLOAT_COUNTER;
    if (op->is_float) {
        require(number_parse_float(op->change.value, &total));
    }
    if (before != NULL && before->change.kind == CHANGE_FLOAT_COUNTER) {
        require(number_parse_float(before->change.value, &total_before));
        op->is_float = true;
    } else if (before != NULL) {
        total_before = (long double)before->change.total;
    }
    op->delta = op->change.total - (before != NULL ? before->change.total : 0);
    op->float_delta =
        (op->change.kind == CHANGE_FLOAT_COUNTER ? total : (long double)op->change.total) -
        total_before;
}

/* Notes the changes of a record that `node` has just made. */
static inline void world_note(struct world *world, unsigned node, const uint64_t *seen,
                              struct slice bytes) {
    struct stream_record record;
    struct change_reader reader;
    require(stream_record_take(bytes, &record));
    require(change_reader_init(&reader, record.batch, 1));
    struct change change;
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        struct world_op op = {.change = change,
                              .author = node,
                              .ref = world->nodes[node].ref,
                              .ticks = stamp_ticks(change.stamp)};
        memcpy(op.seen, seen, sizeof(op.seen));
        op.seen[node] = op.ticks - 1;
        if (change.kind == CHANGE_COUNTER || change.kind == CHANGE_FLOAT_COUNTER) {
            world_note_delta(world, &op);
        }
        require(world->ops_count < WORLD_OPS_MAX);
        world->ops[world->ops_count++] = op;
    }
}

static inline bool world_is_register(enum change_kind kind) {
    return kind == CHANGE_SET || kind == CHANGE_SET_EXPIRING || kind == CHANGE_SET_KEEPING;
}

static inline bool world_takes_value(const struct world_op *op) {
    enum change_kind kind = op->change.kind;
    return world_is_register(kind) || kind == CHANGE_DELETE || kind == CHANGE_FLUSH ||
           kind == CHANGE_FLUSH_ALL;
}

static inline bool world_takes_expiry(const struct world_op *op) {
    enum change_kind kind = op->change.kind;
    return (world_takes_value(op) && kind != CHANGE_SET_KEEPING) || kind == CHANGE_EXPIRE ||
           op->change.is_fresh;
}

static inline bool world_is_at(const struct world_op *op, struct slice key) {
    return op->change.kind == CHANGE_FLUSH || op->change.kind == CHANGE_FLUSH_ALL ||
           slice_equal(op->change.key, key);
}

/* Has nobody who had seen it superseded it? */
static inline bool world_survives(const struct world *world, const struct world_op *op,
                                  struct slice key, bool (*takes)(const struct world_op *)) {
    for (unsigned i = 0; i < world->ops_count; i++) {
        const struct world_op *other = &world->ops[i];
        if (other != op && takes(other) && world_is_at(other, key) &&
            other->seen[op->author] >= op->ticks) {
            return false;
        }
    }
    return true;
}

static inline bool world_is_before(const struct world_op *a, const struct world_op *b) {
    return a->ticks != b->ticks ? a->ticks < b->ticks : a->ref < b->ref;
}

struct world_value {
    bool is_there, is_float, is_raised;
    struct buffer bytes;
    long double number;
    uint64_t expire_unix_ms;
};

/* Puts surviving edits over the value, in the order of their stamps. */
static inline void world_edit(struct world *world, struct slice key, struct world_value *value) {
    const struct world_op *last = NULL;
    for (;;) {
        const struct world_op *next = NULL;
        for (unsigned i = 0; i < world->ops_count; i++) {
            const struct world_op *op = &world->ops[i];
            if ((op->change.kind == CHANGE_PATCH || op->change.kind == CHANGE_REGISTERS) &&
                slice_equal(op->change.key, key) && (last == NULL || world_is_before(last, op)) &&
                (next == NULL || world_is_before(op, next)) &&
                world_survives(world, op, key, world_takes_value)) {
                next = op;
            }
        }
        if (next == NULL) {
            return;
        }
        last = next;
        if (next->change.kind == CHANGE_PATCH) {
            size_t end = next->change.offset + next->change.value.size;
            while (value->bytes.size < end) {
                buffer_append_byte(&value->bytes, 0);
            }
            memcpy(value->bytes.data + next->change.offset, next->change.value.data,
                   next->change.value.size);
        } else {
            if (!value->is_there && value->bytes.size == 0) {
                hyperloglog_init(&value->bytes);
            }
            struct buffer raised = {0};
            static uint8_t unused[HYPERLOGLOG_REGISTERS_COUNT];
            if (hyperloglog_check(buffer_slice(&value->bytes)) == HYPERLOGLOG_OK &&
                hyperloglog_join(unused, buffer_slice(&value->bytes)) == HYPERLOGLOG_OK &&
                hyperloglog_raise_pairs(&raised, buffer_slice(&value->bytes), next->change.value)) {
                buffer_deinit(&value->bytes);
                value->bytes = raised;
                raised = (struct buffer){0};
            }
            buffer_deinit(&raised);
            value->is_raised = true;
        }
        value->is_there = true;
    }
}

/* What the law makes of all changes to the key. */
static inline void world_expect(struct world *world, struct slice key, struct world_value *value) {
    *value = (struct world_value){0};
    const struct world_op *shown = NULL, *expiry = NULL;
    __int128 sum = 0;
    long double float_sum = 0;
    bool has_float = false, has_increment = false;
    for (unsigned i = 0; i < world->ops_count; i++) {
        const struct world_op *op = &world->ops[i];
        if (!world_is_at(op, key)) {
            continue;
        }
        bool survives = world_survives(world, op, key, world_takes_value);
        if (world_is_register(op->change.kind) && survives &&
            (shown == NULL || world_is_before(shown, op))) {
            shown = op;
        }
        if ((op->change.kind == CHANGE_COUNTER || op->change.kind == CHANGE_FLOAT_COUNTER) &&
            survives) {
            has_increment = true;
            has_float = has_float || op->is_float;
            sum += op->delta;
            float_sum += op->float_delta;
        }
        if ((op->change.kind == CHANGE_EXPIRE || op->change.kind == CHANGE_SET_EXPIRING) &&
            world_survives(world, op, key, world_takes_expiry) &&
            (expiry == NULL || op->change.expire_unix_ms - 1 > expiry->change.expire_unix_ms - 1)) {
            expiry = op;
        }
    }
    if (shown != NULL) {
        buffer_append_slice(&value->bytes, shown->change.value);
        value->is_there = true;
    }
    world_edit(world, key, value);
    if (has_increment) {
        int64_t base = 0;
        long double float_base = 0;
        struct slice text = value->bytes.size > 0 ? buffer_slice(&value->bytes) : SLICE("");
        bool is_integer = !value->is_there || number_parse_integer(text, &base);
        bool is_number = !value->is_there || number_parse_float(text, &float_base);
        if (is_integer && !has_float) {
            __int128 total = sum + base;
            char digits[NUMBER_INTEGER_BYTES_MAX];
            int64_t clamped = total > INT64_MAX   ? INT64_MAX
                              : total < INT64_MIN ? INT64_MIN
                                                  : (int64_t)total;
            buffer_clear(&value->bytes);
            buffer_append(&value->bytes, digits, number_format_integer(digits, clamped));
            value->is_there = true;
        } else if (is_number) {
            value->is_float = true;
            value->number = float_base + float_sum;
            value->is_there = true;
        }
    }
    value->expire_unix_ms = value->is_there && expiry != NULL ? expiry->change.expire_unix_ms : 0;
}

/* ---- what nodes do ---- */

/* Ends the command that the node has just executed: its changes become a record. */
static inline void world_end(struct world *world, unsigned node) {
    struct store *store = &world->nodes[node].store;
    store_end_unit(store);
    if (store->journal.bytes.size == 0) {
        return;
    }
    uint64_t seen[WORLD_NODES];
    for (unsigned i = 0; i < WORLD_NODES; i++) {
        seen[i] = world_ticks(world, node, i);
    }
    require(world->records_count[node] < WORLD_RECORDS_MAX);
    struct buffer *record = &world->records[node][world->records_count[node]++];
    streams_collect(&world->nodes[node], WORLD_NODES, record);
    world_note(world, node, seen, buffer_slice(record));
    world->delivered[node][node]++;
}

/* Hands the author's next record to the reader; false when there is none or it must wait. */
static inline bool world_deliver(struct world *world, unsigned author, unsigned reader) {
    unsigned next = world->delivered[author][reader];
    if (author == reader || next == world->records_count[author]) {
        return false;
    }
    enum receive_status status =
        streams_take(&world->nodes[reader], buffer_slice(&world->records[author][next]));
    require(status == RECEIVE_OK || status == RECEIVE_EARLY);
    if (status == RECEIVE_OK) {
        world->delivered[author][reader]++;
    }
    return status == RECEIVE_OK;
}

static inline void world_deliver_all(struct world *world) {
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned author = 0; author < WORLD_NODES; author++) {
            for (unsigned reader = 0; reader < WORLD_NODES; reader++) {
                while (world_deliver(world, author, reader)) {
                    moved = true;
                }
            }
        }
    }
}

static inline void world_hear(struct world *world, unsigned node, unsigned of) {
    for (unsigned i = 0; i < WORLD_NODES; i++) {
        world->heard[node][of].ticks[i] = world_ticks(world, of, i);
    }
}

/* The strict frontier: a digest counts once all that its sender had written by then is here. */
static inline void world_frontier(struct world *world, unsigned node, struct context *frontier) {
    const struct store *store = &world->nodes[node].store;
    memset(frontier, 0, sizeof(*frontier));
    for (unsigned of = 0; of < WORLD_NODES; of++) {
        if (world->heard[node][of].ticks[of] <= world_ticks(world, node, of)) {
            world->trusted[node][of] = world->heard[node][of];
        }
    }
    for (unsigned i = 0; i < WORLD_NODES; i++) {
        unsigned slot = replicas_find(&store->replicas, world->nodes[i].ref);
        uint64_t ticks = world_ticks(world, node, i);
        for (unsigned of = 0; of < WORLD_NODES; of++) {
            if (of != node && world->trusted[node][of].ticks[i] < ticks) {
                ticks = world->trusted[node][of].ticks[i];
            }
        }
        frontier->stamps[slot] = ticks == 0 ? 0 : stamp_make(ticks, slot);
    }
}

static inline bool world_same_digest(struct world *world, unsigned a, unsigned b) {
    uint8_t digest_a[20], digest_b[20];
    store_digest(&world->nodes[a].store, digest_a);
    store_digest(&world->nodes[b].store, digest_b);
    return memcmp(digest_a, digest_b, 20) == 0;
}

/* Settling shows nothing. */
static inline void world_settle(struct world *world, unsigned node) {
    struct store *store = &world->nodes[node].store;
    struct context frontier;
    uint8_t before[20], after[20];
    world_frontier(world, node, &frontier);
    store_digest(store, before);
    (void)store_settle(store, &frontier, 1000);
    store_digest(store, after);
    require(memcmp(before, after, 20) == 0);
    store_check(store);
}

/* ---- what must hold ---- */

static inline void world_compare_key(struct world *world, unsigned node, unsigned k) {
    struct key key = world_key(world, node, k);
    struct entry_scratch scratch;
    struct world_value value;
    world_expect(world, key.name, &value);
    struct entry *entry = store_peek(&world->nodes[node].store, &key);
    require((entry != NULL) == value.is_there);
    if (entry != NULL) {
        struct slice shown = entry_value(entry, &scratch);
        struct slice bytes = value.bytes.size > 0 ? buffer_slice(&value.bytes) : SLICE("");
        require(entry_value_bytes(entry) == shown.size);
        require(entry_expire_unix_ms(entry) == value.expire_unix_ms);
        if (value.is_float) {
            long double number;
            require(number_parse_float(shown, &number));
            require(fabsl(number - value.number) <= 1e-14L * (1 + fabsl(value.number)));
        } else if (hyperloglog_check(bytes) == HYPERLOGLOG_OK) {
            static uint8_t a[HYPERLOGLOG_REGISTERS_COUNT], b[HYPERLOGLOG_REGISTERS_COUNT];
            memset(a, 0, sizeof(a));
            memset(b, 0, sizeof(b));
            /* How the registers are written is left open, unless they are broken. */
            bool is_sound = hyperloglog_join(a, bytes) == HYPERLOGLOG_OK;
            require((hyperloglog_join(b, shown) == HYPERLOGLOG_OK) == is_sound);
            require(is_sound ? memcmp(a, b, sizeof(a)) == 0 : slice_equal(shown, bytes));
        } else {
            require(slice_equal(shown, bytes));
        }
    }
    buffer_deinit(&value.bytes);
}

/* All changes go everywhere: all nodes are equal, and as the law says; so they are when all has
 * settled, and nothing is left to settle then. */
static inline void world_converge(struct world *world) {
    world_deliver_all(world);
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        store_check(&world->nodes[node].store);
        require(world_same_digest(world, 0, node));
        for (unsigned k = 0; k < WORLD_KEYS; k++) {
            world_compare_key(world, node, k);
        }
    }
    for (unsigned node = 0; node < WORLD_NODES; node++) {
        for (unsigned of = 0; of < WORLD_NODES; of++) {
            world_hear(world, node, of);
        }
        world_settle(world, node);
        require(world->nodes[node].store.unsettled_count == 0);
        require(world->nodes[node].store.dbs[0].hidden_count == 0);
    }
}

#endif
