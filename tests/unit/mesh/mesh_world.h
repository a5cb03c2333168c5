/* SPDX-License-Identifier: BSD-3-Clause */
/* A small world for tests of the mesh: a few nodes with data that are no more than a table of keys
 * and a list of records, joined by pipes with delay that can be cut, reset, and drop frames. One
 * virtual clock; every step is deterministic.
 *
 * The data: a key is one byte. A SET of a node goes into that node's own column, newest ticks win,
 * so that two nodes that applied the same records in any order have equal tables. Applying checks
 * gaps and marks as store/receive.h says, and that no change is applied twice. */
#ifndef TESTS_UNIT_MESH_MESH_WORLD_H
#define TESTS_UNIT_MESH_MESH_WORLD_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/varint.h"
#include "mesh/mesh_state.h"
#include "unit/seed.h"

enum {
    WORLD_NODES_MAX = 6,
    WORLD_KEYS = 256,
    WORLD_STEP_US = 5000,
    WORLD_CONNS_MAX = 512,
    WORLD_QUESTIONS = 2
};

struct world;

struct data_record {
    uint64_t ref, last_ticks;
    struct slice bytes; /* owned */
};

struct data_cell {
    uint64_t ticks;
    uint64_t value;
};

struct world_node {
    struct world *world;
    unsigned index;
    bool is_running;
    struct mesh *mesh;
    char address[32], cluster[32], secret[32], seed_texts[WORLD_NODES_MAX][32];
    const char *seeds[WORLD_NODES_MAX];
    size_t seeds_count;
    uint8_t node_id[REPLICA_NODE_ID_BYTES];
    uint64_t generation;
    unsigned databases;
    int64_t clock_skew_ms;
    struct mesh_settings settings;

    struct replicas replicas;
    struct context context;
    uint64_t clock_ticks;
    struct data_record *log;
    struct shared_block *block;                /* of the record that was read last, or NULL */
    size_t log_count, log_base;                /* records before log_base were dropped */
    uint64_t trimmed_ticks[STAMP_SLOTS_COUNT]; /* newest dropped */
    uint64_t told_ticks[STAMP_SLOTS_COUNT];    /* by marks of own records */
    struct data_cell cells[WORLD_NODES_MAX][WORLD_KEYS];
    uint64_t changes_applied, generations, forgets, settles;
    bool is_busy;
    /* It asks two questions about each record of others; it does not answer; what it got: of the
     * record with these ticks. */
    bool asks, is_mute;
    uint64_t asked_ref, asked_ticks, answers_count, questions_count;
    uint64_t passing_ms; /* how long a stream that was placed has to read before the first record */
    struct buffer heard; /* broadcasts, each with a line feed behind it */
    uint64_t heard_count;
    char *said;
    size_t said_size;
};

struct world_stream {
    size_t at;
    uint64_t placed_us;
};

/* One end of a connection. */
struct world_end {
    struct world_conn *conn;
    struct world_node *node;
    struct mesh_link *link; /* NULL: closed */
    bool wants_send;
    struct buffer in; /* on the way to this end: (time, size, bytes)... */
    size_t in_start;
    bool is_eof;
};

struct world_conn {
    bool is_used, is_open, is_black;
    uint64_t opens_us;
    struct world_end ends[2]; /* [0] dialled */
};

struct world {
    uint64_t now_us;
    int64_t unix_ms;
    uint64_t delay_us;
    struct prng prng;
    struct world_node nodes[WORLD_NODES_MAX];
    unsigned count;
    struct world_conn conns[WORLD_CONNS_MAX];
    bool is_blocked[WORLD_NODES_MAX][WORLD_NODES_MAX];
    bool is_deaf[WORLD_NODES_MAX]; /* reads nothing */
    unsigned drop_data_from;       /* 1 + node: its next DATA frame vanishes */
    uint64_t bytes_by_type[64];
    uint64_t frames_by_type[64];
};

static inline void world_node_id(unsigned index, uint8_t id[REPLICA_NODE_ID_BYTES]) {
    memset(id, 0, REPLICA_NODE_ID_BYTES);
    id[0] = (uint8_t)(0x10 + index * 7 % 5 * 16); /* not in the order of the index */
    id[15] = (uint8_t)index;
}

/* ---- data ---- */

static struct replicas *data_replicas(void *udata) {
    return &((struct world_node *)udata)->replicas;
}

static const struct context *data_context(void *udata) {
    return &((struct world_node *)udata)->context;
}

static void data_append(struct world_node *node, uint64_t ref, uint64_t last, struct slice bytes) {
    node->log = memory_resize(node->log, (node->log_count + 1) * sizeof(node->log[0]));
    char *copy = memory_alloc(bytes.size);
    memcpy(copy, bytes.data, bytes.size);
    node->log[node->log_count++] =
        (struct data_record){.ref = ref, .last_ticks = last, .bytes = slice_make(copy, bytes.size)};
}

static void data_apply_batch(struct world_node *node, unsigned slot, struct slice batch) {
    struct change_reader reader;
    struct change change;
    unsigned column = node->replicas.slots[slot].id.node[15];
    assert_true(change_reader_init(&reader, batch, slot));
    while (change_reader_next(&reader, &change) == CHANGE_OK) {
        if (context_covers(&node->context, change.stamp)) {
            continue;
        }
        struct data_cell *cell = &node->cells[column][(uint8_t)change.key.data[0]];
        assert_true(stamp_ticks(change.stamp) > cell->ticks);
        cell->ticks = stamp_ticks(change.stamp);
        cell->value = change.kind == CHANGE_COUNTER
                          ? (uint64_t)change.total
                          : hash_bytes((struct hash_seed){1, 2}, change.value);
        node->changes_applied++;
    }
}

static enum mesh_apply data_apply(void *udata, struct slice bytes, struct stream_mark *missing) {
    struct world_node *node = udata;
    struct stream_record record;
    if (node->is_busy) {
        return MESH_APPLY_BUSY;
    }
    if (!stream_record_take(bytes, &record)) {
        return MESH_APPLY_MALFORMED;
    }
    unsigned slot = replicas_find(&node->replicas, record.ref);
    if (slot == 0) {
        return MESH_APPLY_UNKNOWN;
    }
    uint64_t seen = stamp_ticks(node->context.stamps[slot]);
    if (record.last_ticks <= seen) {
        return MESH_APPLY_DUPLICATE;
    }
    if (record.previous_ticks > seen) {
        return MESH_APPLY_GAP;
    }
    struct slice marks = record.marks;
    while (stream_mark_next(&marks, missing)) {
        unsigned other = replicas_find(&node->replicas, missing->ref);
        if (other == 0 || stamp_ticks(node->context.stamps[other]) < missing->ticks) {
            return MESH_APPLY_EARLY;
        }
    }
    struct change_reader reader;
    struct change change;
    enum change_status status = CHANGE_MALFORMED;
    if (change_reader_init(&reader, record.batch, slot)) {
        while ((status = change_reader_next(&reader, &change)) == CHANGE_OK) {
            if (change.key.size == 0) {
                return MESH_APPLY_MALFORMED;
            }
        }
    }
    if (status != CHANGE_END) {
        return MESH_APPLY_MALFORMED;
    }
    if (node->asks && node->asked_ticks != record.last_ticks) {
        node->asked_ticks = record.last_ticks;
        node->asked_ref = record.ref;
        node->answers_count = 0;
    }
    if (node->asks && node->answers_count < WORLD_QUESTIONS) {
        return MESH_APPLY_ASK;
    }
    data_apply_batch(node, slot, record.batch);
    node->context.stamps[slot] = stamp_make(record.last_ticks, slot);
    if (record.last_ticks > node->clock_ticks) {
        node->clock_ticks = record.last_ticks;
    }
    data_append(node, record.ref, record.last_ticks, bytes);
    return MESH_APPLY_OK;
}

/* Question and answer are the ref of the author of what was asked about last. */
static struct slice data_questions(void *udata) {
    static char bytes[WORLD_QUESTIONS * 9];
    struct world_node *node = udata;
    for (unsigned slot = 1; slot < node->replicas.slots_count; slot++) {
        uint64_t ref = node->replicas.slots[slot].ref;
        if (slot != node->replicas.self && node->asked_ref == ref) {
            for (unsigned i = 0; i < WORLD_QUESTIONS; i++) {
                bytes[9 * i] = 8;
                memcpy(bytes + 9 * i + 1, &ref, 8);
            }
        }
    }
    return slice_make(bytes, sizeof(bytes));
}

static bool data_answered(void *udata, struct slice answer) {
    ((struct world_node *)udata)->answers_count++;
    return answer.size == 8;
}

static bool data_answer(void *udata, struct slice question, struct buffer *answer) {
    struct world_node *node = udata;
    node->questions_count++;
    if (!node->is_mute) {
        buffer_append_slice(answer, question);
    }
    return question.size == 8;
}

static uint64_t data_received(void *udata, unsigned slot) {
    return stamp_ticks(((struct world_node *)udata)->context.stamps[slot]);
}

static void data_forget_unit(void *udata, unsigned slot) {
    (void)slot;
    ((struct world_node *)udata)->forgets++;
}

static void *data_stream_new(void *udata) {
    (void)udata;
    return memory_alloc_zero(sizeof(struct world_stream));
}

static void data_stream_free(void *udata, void *stream) {
    (void)udata;
    memory_free(stream);
}

static bool data_reaches(void *udata, const struct context *seen, const bool *is_wanted) {
    struct world_node *node = udata;
    for (unsigned slot = 1; slot < node->replicas.slots_count; slot++) {
        if ((is_wanted == NULL || is_wanted[slot]) &&
            stamp_ticks(seen->stamps[slot]) < node->trimmed_ticks[slot]) {
            return false;
        }
    }
    return true;
}

static bool data_stream_seek(void *udata, void *stream, const struct context *seen,
                             const bool *is_wanted) {
    struct world_node *node = udata;
    ((struct world_stream *)stream)->at = node->log_base;
    ((struct world_stream *)stream)->placed_us = node->world->now_us;
    return data_reaches(udata, seen, is_wanted);
}

/* Memory that links may hold, as the log's: one of these for each record that is read. */
struct world_block {
    struct shared_block shared;
    struct buffer bytes;
};

static void free_world_block(struct shared_block *shared) {
    struct world_block *block = (struct world_block *)shared;
    buffer_deinit(&block->bytes);
    memory_free(block);
}

static void give_in_block(struct world_node *node, struct stream_bytes *bytes) {
    struct world_block *block = memory_alloc_zero(sizeof(*block));
    block->shared = (struct shared_block){.references = 1, .free = free_world_block};
    codec_put_slice(&block->bytes, bytes->record);
    bytes->block = &block->shared;
    bytes->framed = buffer_slice(&block->bytes);
    shared_block_release(node->block);
    node->block = &block->shared; /* until the next one is read */
}

static enum mesh_read data_stream_next(void *udata, void *stream, struct stream_record *record,
                                       struct stream_bytes *bytes) {
    struct world_node *node = udata;
    struct world_stream *at = stream;
    if (at->at < node->log_base) {
        return MESH_READ_LOST;
    }
    if (node->world->now_us - at->placed_us < node->passing_ms * UINT64_C(1000)) {
        return MESH_READ_WAIT;
    }
    if (at->at == node->log_count) {
        return MESH_READ_END;
    }
    bool is_in_block = at->at / 8 % 2 == 0; /* some here, some there, as from memory and files */
    *bytes = (struct stream_bytes){.record = node->log[at->at++].bytes};
    assert_true(stream_record_take(bytes->record, record));
    if (is_in_block) {
        give_in_block(node, bytes);
    }
    return MESH_READ_RECORD;
}

static uint64_t data_changes_since(void *udata, uint64_t stamp) {
    struct world_node *node = udata;
    unsigned slot = stamp_slot(stamp);
    uint64_t count = 0;
    for (size_t i = node->log_base; i < node->log_count; i++) {
        struct stream_record record;
        struct change_reader reader;
        struct change change;
        assert_true(stream_record_take(node->log[i].bytes, &record));
        if (record.ref != node->replicas.slots[slot].ref ||
            record.last_ticks <= stamp_ticks(stamp)) {
            continue;
        }
        assert_true(change_reader_init(&reader, record.batch, slot));
        while (change_reader_next(&reader, &change) == CHANGE_OK) {
            count += change.stamp > stamp;
        }
    }
    return count;
}

static void data_settle(void *udata, const struct context *frontier) {
    (void)frontier;
    ((struct world_node *)udata)->settles++;
}

static bool data_retire(void *udata, unsigned slot) {
    struct world_node *node = udata;
    replicas_retire(&node->replicas, slot, stamp_ticks(node->context.stamps[slot]));
    node->context.stamps[slot] = 0;
    return true;
}

static bool data_new_generation(void *udata, uint64_t generation) {
    struct world_node *node = udata;
    struct replica_id id = {.generation = generation};
    memcpy(id.node, node->node_id, sizeof(id.node));
    node->replicas.self = replicas_add(&node->replicas, &id);
    node->generation = generation;
    node->generations++;
    memset(node->told_ticks, 0, sizeof(node->told_ticks));
    return true;
}

static uint64_t data_keys(void *udata) {
    struct world_node *node = udata;
    uint64_t count = 0;
    for (unsigned i = 0; i < WORLD_NODES_MAX; i++) {
        for (unsigned key = 0; key < WORLD_KEYS; key++) {
            count += node->cells[i][key].ticks != 0;
        }
    }
    return count;
}

static unsigned data_databases(void *udata) {
    return ((struct world_node *)udata)->databases;
}

static void data_seed(void *udata, uint64_t seed[2]) {
    (void)udata;
    seed[0] = 1;
    seed[1] = 2;
}

static void data_ranges(void *udata, unsigned ranges, uint64_t *digests) {
    struct world_node *node = udata;
    for (unsigned i = 0; i < WORLD_NODES_MAX; i++) {
        for (unsigned key = 0; key < WORLD_KEYS; key++) {
            digests[key % ranges] +=
                node->cells[i][key].ticks * (i + 1) ^ node->cells[i][key].value;
        }
    }
}

/* State does not move in this world: parts are refused, so who joins goes on joining. */
static void *data_part_open(void *udata, unsigned part, unsigned parts_count,
                            struct buffer *header) {
    (void)udata, (void)part, (void)parts_count, (void)header;
    return NULL;
}

static enum mesh_part data_part_read(void *udata, void *walk, struct buffer *out, size_t max) {
    (void)udata, (void)walk, (void)out, (void)max;
    return MESH_PART_AGAIN;
}

static void data_part_close(void *udata, void *walk) {
    (void)udata, (void)walk;
}

static void data_sync_begin(void *udata, enum mesh_join mode) {
    (void)udata, (void)mode;
}

static bool data_sync_takes_seed(void *udata, const uint64_t seed[2]) {
    (void)udata, (void)seed;
    return true;
}

static enum mesh_part data_sync_part_begin(void *udata, unsigned part, unsigned count,
                                           struct slice header) {
    (void)udata, (void)part, (void)count, (void)header;
    return MESH_PART_AGAIN;
}

static enum mesh_part data_sync_part_data(void *udata, unsigned part, struct slice bytes) {
    (void)udata, (void)part, (void)bytes;
    return MESH_PART_AGAIN;
}

static enum mesh_part data_sync_part_end(void *udata, unsigned part) {
    (void)udata, (void)part;
    return MESH_PART_AGAIN;
}

static enum mesh_part data_sync_end(void *udata) {
    (void)udata;
    return MESH_PART_DONE;
}

static bool data_sync_is_ready(void *udata) {
    (void)udata;
    return true;
}

/* Writes `count` values of `size` bytes into keys from `key` on, as one record. */
static bool data_broadcast(void *udata, struct slice bytes) {
    struct world_node *node = udata;
    buffer_append_slice(&node->heard, bytes);
    buffer_append_byte(&node->heard, '\n');
    node->heard_count++;
    return true;
}

static inline void world_write_sized(struct world_node *node, unsigned key, unsigned count,
                                     uint64_t value, size_t size) {
    struct change_writer writer = {.is_on = true};
    unsigned self = node->replicas.self;
    uint64_t previous = stamp_ticks(node->context.stamps[self]);
    uint64_t wall = (uint64_t)(node->world->unix_ms + node->clock_skew_ms - STAMP_EPOCH_MS)
                    << STAMP_COUNTER_BITS;
    char *text = memory_alloc_zero(size);
    memcpy(text, &value, size < sizeof(value) ? size : sizeof(value));
    node->clock_ticks = wall > node->clock_ticks ? wall : node->clock_ticks;
    for (unsigned i = 0; i < count; i++) {
        char name = (char)(key + i);
        struct change change = {.kind = CHANGE_SET,
                                .key = slice_make(&name, 1),
                                .value = slice_make(text, size),
                                .stamp = stamp_make(++node->clock_ticks, self)};
        change_writer_add(&writer, &change);
        change_writer_end_unit(&writer);
    }
    struct stream_record record = {.ref = node->replicas.slots[self].ref,
                                   .previous_ticks = previous,
                                   .last_ticks = node->clock_ticks};
    struct stream_mark marks[STAMP_SLOTS_COUNT];
    size_t marks_count = 0;
    for (unsigned slot = 1; slot < node->replicas.slots_count; slot++) {
        uint64_t ticks = stamp_ticks(node->context.stamps[slot]);
        if (slot != self && ticks > node->told_ticks[slot]) {
            node->told_ticks[slot] = ticks;
            marks[marks_count++] =
                (struct stream_mark){.ref = node->replicas.slots[slot].ref, .ticks = ticks};
        }
    }
    struct buffer bytes = {0};
    stream_record_put_head(&bytes, &record, marks, marks_count);
    buffer_append_slice(&bytes, buffer_slice(&writer.bytes));
    data_apply_batch(node, self, buffer_slice(&writer.bytes));
    node->context.stamps[self] = stamp_make(record.last_ticks, self);
    data_append(node, record.ref, record.last_ticks, buffer_slice(&bytes));
    buffer_deinit(&bytes);
    change_writer_deinit(&writer);
    memory_free(text);
}

static inline void world_write(struct world_node *node, unsigned key, uint64_t value) {
    world_write_sized(node, key, 1, value, sizeof(value));
}

/* Forgets all but the newest `keep` records of the log. */
static inline void world_trim(struct world_node *node, size_t keep) {
    while (node->log_count - node->log_base > keep) {
        struct data_record *record = &node->log[node->log_base++];
        unsigned slot = replicas_find(&node->replicas, record->ref);
        node->trimmed_ticks[slot] = record->last_ticks;
    }
}

/* ---- network ---- */

static struct world_end *end_of(struct mesh_link *link) {
    return mesh_link_connection(link);
}

static void host_dial(void *udata, struct mesh_link *link, const char *address) {
    struct world_node *node = udata;
    struct world *world = node->world;
    unsigned to = WORLD_NODES_MAX;
    if (sscanf(address, "10.0.0.%u:", &to) != 1 || to >= world->count) {
        mesh_link_closed(link, MESH_REASON_CLOSED);
        return;
    }
    for (unsigned i = 0; i < WORLD_CONNS_MAX; i++) {
        struct world_conn *conn = &world->conns[i];
        if (!conn->is_used) {
            *conn = (struct world_conn){.is_used = true,
                                        .opens_us = world->now_us + 2 * world->delay_us};
            conn->ends[0] = (struct world_end){.conn = conn, .node = node, .link = link};
            conn->ends[1] = (struct world_end){.conn = conn, .node = &world->nodes[to]};
            link->connection = &conn->ends[0];
            return;
        }
    }
    fail_msg("too many connections");
}

static void host_send(void *udata, struct mesh_link *link) {
    (void)udata;
    end_of(link)->wants_send = true;
}

static void pipe_put(struct world *world, struct world_end *to, const char *data, size_t size) {
    uint64_t head[2] = {world->now_us + world->delay_us, size};
    buffer_append(&to->in, head, sizeof(head));
    buffer_append(&to->in, data, size);
}

/* Counts frames, and loses one DATA frame if that was asked for. */
static void pipe_frames(struct world *world, struct world_end *from, struct world_end *to,
                        struct slice bytes) {
    while (bytes.size >= FRAME_HEADER_BYTES) {
        uint32_t length;
        memcpy(&length, bytes.data, sizeof(length));
        size_t whole = FRAME_HEADER_BYTES + (size_t)length;
        uint8_t type = (uint8_t)bytes.data[8];
        if (whole > bytes.size) {
            break;
        }
        world->bytes_by_type[type % 64] += whole;
        world->frames_by_type[type % 64]++;
        if (type == MESH_FRAME_DATA && world->drop_data_from == 1 + from->node->index) {
            world->drop_data_from = 0;
        } else {
            pipe_put(world, to, bytes.data, whole);
        }
        bytes = slice_skip(bytes, whole);
    }
    if (bytes.size > 0) {
        pipe_put(world, to, bytes.data, bytes.size);
    }
}

static void end_flush(struct world *world, struct world_end *end) {
    struct world_conn *conn = end->conn;
    struct world_end *other = &conn->ends[end == &conn->ends[0]];
    /* A receiver that reads nothing lets the sender's socket fill. */
    if (world->is_deaf[other->node->index] && other->in.size - other->in_start > 256 << 10) {
        return;
    }
    end->wants_send = false;
    for (struct slice out; (out = mesh_link_output(end->link)).size > 0;) {
        if (!conn->is_black && other->link != NULL) {
            pipe_frames(world, end, other, out);
        }
        mesh_link_sent(end->link, out.size);
    }
}

static void host_close(void *udata, struct mesh_link *link) {
    struct world_node *node = udata;
    struct world_end *end = end_of(link);
    if (end != NULL) {
        end_flush(node->world, end);
        end->link = NULL;
        end->conn->ends[end == &end->conn->ends[0]].is_eof = true;
    }
}

static void host_hmac(void *udata, struct slice key, struct slice text, uint8_t digest[32]) {
    (void)udata;
    for (uint64_t i = 0; i < 4; i++) {
        struct hash_seed seed = {.a = hash_bytes((struct hash_seed){i, 77}, key), .b = i};
        uint64_t word = hash_bytes(seed, text);
        memcpy(digest + 8 * i, &word, 8);
    }
}

static void host_message(void *udata, enum mesh_level level, const char *text) {
    struct world_node *node = udata;
    (void)level;
    if (getenv("MESH_VERBOSE") != NULL) {
        printf("%8.3f n%u %s\n", (double)node->world->now_us / 1e6, node->index, text);
    }
    size_t size = strlen(text) + 1;
    node->said = memory_resize(node->said, node->said_size + size + 1);
    memcpy(node->said + node->said_size, text, size - 1);
    node->said[node->said_size + size - 1] = '\n';
    node->said[node->said_size + size] = '\0';
    node->said_size += size;
}

/* How often a text was said. */
static inline unsigned world_said(const struct world_node *node, const char *text) {
    unsigned count = 0;
    for (const char *at = node->said; at != NULL && (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

static void conn_reap(struct world_conn *conn) {
    if (conn->is_used && conn->ends[0].link == NULL && conn->ends[1].link == NULL) {
        buffer_deinit(&conn->ends[0].in);
        buffer_deinit(&conn->ends[1].in);
        *conn = (struct world_conn){0};
    }
}

static void end_lost(struct world_end *end) {
    struct mesh_link *link = end->link;
    end->link = NULL;
    if (link != NULL) {
        mesh_link_closed(link, MESH_REASON_CLOSED);
    }
}

/* Both ends learn that the connection is gone. */
static inline void world_reset(struct world *world, unsigned a, unsigned b) {
    for (unsigned i = 0; i < WORLD_CONNS_MAX; i++) {
        struct world_conn *conn = &world->conns[i];
        unsigned x = conn->is_used ? conn->ends[0].node->index : 0;
        unsigned y = conn->is_used ? conn->ends[1].node->index : 0;
        if (conn->is_used && ((x == a && y == b) || (x == b && y == a))) {
            end_lost(&conn->ends[0]);
            end_lost(&conn->ends[1]);
            conn_reap(conn);
        }
    }
}

/* Nothing passes between the two any more, and nobody is told; or it does again. */
static inline void world_block(struct world *world, unsigned a, unsigned b, bool is_blocked) {
    world->is_blocked[a][b] = world->is_blocked[b][a] = is_blocked;
    for (unsigned i = 0; i < WORLD_CONNS_MAX; i++) {
        struct world_conn *conn = &world->conns[i];
        unsigned x = conn->is_used ? conn->ends[0].node->index : 0;
        unsigned y = conn->is_used ? conn->ends[1].node->index : 0;
        if (conn->is_used && ((x == a && y == b) || (x == b && y == a))) {
            conn->is_black = conn->is_black || is_blocked;
        }
    }
}

static void end_receive(struct world *world, struct world_end *end) {
    while (end->link != NULL && end->in.size - end->in_start > 0 &&
           !world->is_deaf[end->node->index]) {
        uint64_t head[2];
        memcpy(head, end->in.data + end->in_start, sizeof(head));
        size_t room;
        char *space = mesh_link_input_space(end->link, &room);
        if (head[0] > world->now_us || space == NULL) {
            return;
        }
        size_t size = head[1] < room ? (size_t)head[1] : room;
        memcpy(space, end->in.data + end->in_start + sizeof(head), size);
        mesh_link_input(end->link, size);
        head[1] -= size;
        if (head[1] == 0) {
            end->in_start += sizeof(head) + size;
        } else {
            end->in_start += size;
            memcpy(end->in.data + end->in_start, head, sizeof(head));
        }
        if (end->in_start == end->in.size) {
            end->in.size = end->in_start = 0;
        }
        /* What came in is handled before more is read, as in a turn. */
        mesh_run(end->node->mesh);
    }
}

static void conn_step(struct world *world, struct world_conn *conn) {
    struct world_end *a = &conn->ends[0], *b = &conn->ends[1];
    if (!conn->is_used) {
        return;
    }
    if (!conn->is_open && a->link != NULL && world->now_us >= conn->opens_us) {
        if (world->is_blocked[a->node->index][b->node->index] || conn->is_black) {
            return; /* no answer ever */
        }
        if (!b->node->is_running) {
            end_lost(a);
            conn_reap(conn);
            return;
        }
        char from[32];
        (void)snprintf(from, sizeof(from), "10.0.0.%u:50000", a->node->index);
        conn->is_open = true;
        b->link = mesh_accept(b->node->mesh, b, from);
        mesh_link_opened(a->link, a);
    }
    for (int i = 0; i < 2; i++) {
        struct world_end *end = &conn->ends[i];
        if (!conn->is_black) {
            end_receive(world, end);
        }
        if (end->link != NULL && end->is_eof && !conn->is_black && end->in.size == end->in_start) {
            end_lost(end);
        }
    }
    conn_reap(conn);
}

/* ---- the world ---- */

static inline void world_settings(struct world_node *node) {
    node->settings.cluster_id = node->cluster;
    node->settings.announce_address = node->address;
    node->settings.seeds = node->seeds;
    node->settings.seeds_count = node->seeds_count;
    node->settings.secret = slice_of(node->secret);
}

static inline void world_start(struct world *world, unsigned index) {
    struct world_node *node = &world->nodes[index];
    struct mesh_opts opts = {
        .host = {.udata = node,
                 .dial = host_dial,
                 .send = host_send,
                 .close = host_close,
                 .hmac_sha256 = host_hmac,
                 .message = host_message},
        .data = {.udata = node,
                 .replicas = data_replicas,
                 .context = data_context,
                 .apply = data_apply,
                 .received_ticks = data_received,
                 .forget_unit = data_forget_unit,
                 .questions = data_questions,
                 .answered = data_answered,
                 .answer = data_answer,
                 .stream_new = data_stream_new,
                 .stream_free = data_stream_free,
                 .stream_seek = data_stream_seek,
                 .stream_next = data_stream_next,
                 .reaches_back = data_reaches,
                 .changes_since = data_changes_since,
                 .settle = data_settle,
                 .retire = data_retire,
                 .new_generation = data_new_generation,
                 .keys_count = data_keys,
                 .databases_count = data_databases,
                 .hash_seed = data_seed,
                 .range_digests = data_ranges,
                 .part_open = data_part_open,
                 .part_read = data_part_read,
                 .part_close = data_part_close,
                 .sync_begin = data_sync_begin,
                 .sync_takes_seed = data_sync_takes_seed,
                 .sync_part_begin = data_sync_part_begin,
                 .sync_part_data = data_sync_part_data,
                 .sync_part_end = data_sync_part_end,
                 .sync_end = data_sync_end,
                 .sync_is_ready = data_sync_is_ready,
                 .broadcast = data_broadcast},
        .generation = node->generation,
        .seed = prng_next(&world->prng),
        .version = "0.1.0",
    };
    memcpy(opts.node_id, node->node_id, sizeof(opts.node_id));
    world_settings(node);
    node->mesh = mesh_new(&opts, &node->settings);
    node->is_running = true;
    mesh_set_time(node->mesh, world->unix_ms + node->clock_skew_ms, world->now_us);
}

/* Ends the process of a node; what it had in its log stays. */
static inline void world_stop(struct world *world, unsigned index) {
    struct world_node *node = &world->nodes[index];
    node->is_running = false;
    for (unsigned i = 0; i < WORLD_CONNS_MAX; i++) {
        struct world_conn *conn = &world->conns[i];
        if (conn->is_used && (conn->ends[0].node == node || conn->ends[1].node == node)) {
            end_lost(&conn->ends[0]);
            end_lost(&conn->ends[1]);
            conn_reap(conn);
        }
    }
    mesh_free(node->mesh);
    node->mesh = NULL;
}

/* Another life of the node. */
static inline void world_restart(struct world *world, unsigned index) {
    world_stop(world, index);
    (void)data_new_generation(&world->nodes[index], world->nodes[index].generation + 1);
    world_start(world, index);
}

/* Nodes that have all others as seeds, not yet started. */
static inline struct world *world_new(unsigned count, uint64_t seed) {
    struct world *world = memory_alloc_zero(sizeof(*world));
    world->count = count;
    world->now_us = 1000000000;
    world->unix_ms = STAMP_EPOCH_MS + INT64_C(1000000000);
    world->delay_us = 1000;
    prng_init(&world->prng, seed);
    for (unsigned i = 0; i < count; i++) {
        struct world_node *node = &world->nodes[i];
        *node = (struct world_node){.world = world, .index = i, .databases = 16};
        (void)snprintf(node->address, sizeof(node->address), "10.0.0.%u:17001", i);
        (void)snprintf(node->cluster, sizeof(node->cluster), "flock");
        for (unsigned other = 0; other < count; other++) {
            if (other != i) {
                (void)snprintf(node->seed_texts[node->seeds_count], 32, "10.0.0.%u:17001", other);
                node->seeds[node->seeds_count] = node->seed_texts[node->seeds_count];
                node->seeds_count++;
            }
        }
        world_node_id(i, node->node_id);
        node->settings = (struct mesh_settings){.gossip_interval_ms = 1000,
                                                .forget_after_ms = 24 * 3600 * 1000,
                                                .max_clock_drift_ms = 5000,
                                                .max_frame_bytes = 64 << 10,
                                                .max_waiting_bytes = 1 << 20,
                                                .full_links = 32,
                                                .compression = MESH_COMPRESSION_AUTO};
        replicas_init(&node->replicas);
        (void)data_new_generation(node, 100 + i);
        node->generations = 0;
    }
    return world;
}

static inline struct world *world_started(unsigned count, uint64_t seed) {
    struct world *world = world_new(count, seed);
    for (unsigned i = 0; i < count; i++) {
        world_start(world, i);
    }
    return world;
}

static inline void world_free(struct world *world) {
    for (unsigned i = 0; i < world->count; i++) {
        struct world_node *node = &world->nodes[i];
        if (node->is_running) {
            world_stop(world, i);
        }
        for (size_t record = 0; record < node->log_count; record++) {
            memory_free((char *)node->log[record].bytes.data);
        }
        memory_free(node->log);
        shared_block_release(node->block);
        memory_free(node->said);
        buffer_deinit(&node->heard);
        replicas_deinit(&node->replicas);
    }
    for (unsigned i = 0; i < WORLD_CONNS_MAX; i++) {
        conn_reap(&world->conns[i]);
    }
    memory_free(world);
}

static inline void world_step_us(struct world *world, uint64_t us) {
    int64_t ms = (int64_t)((world->now_us + us) / 1000 - world->now_us / 1000);
    world->now_us += us;
    world->unix_ms += ms;
    for (unsigned i = 0; i < world->count; i++) {
        struct world_node *node = &world->nodes[i];
        if (node->is_running) {
            mesh_set_time(node->mesh, world->unix_ms + node->clock_skew_ms, world->now_us);
        }
    }
    for (unsigned i = 0; i < WORLD_CONNS_MAX; i++) {
        conn_step(world, &world->conns[i]);
    }
    for (unsigned i = 0; i < world->count; i++) {
        struct world_node *node = &world->nodes[i];
        if (node->is_running) {
            mesh_run(node->mesh);
            mesh_push(node->mesh);
            for (unsigned frame = 0; frame < 16 && mesh_serve(node->mesh); frame++) {
            }
            if (world->now_us / WORLD_STEP_US % 4 == i % 4) {
                (void)mesh_tick(node->mesh);
            }
            membership_check(&node->mesh->membership);
        }
    }
    for (unsigned i = 0; i < WORLD_CONNS_MAX; i++) {
        for (int side = 0; side < 2; side++) {
            struct world_end *end = &world->conns[i].ends[side];
            if (end->link != NULL && end->wants_send) {
                end_flush(world, end);
            }
        }
    }
}

static inline void world_step(struct world *world) {
    world_step_us(world, WORLD_STEP_US);
}

static inline void world_run_ms(struct world *world, uint64_t ms) {
    for (uint64_t end_us = world->now_us + ms * 1000; world->now_us < end_us;) {
        world_step(world);
    }
}

/* Do all running nodes hold the same? */
static inline bool world_is_equal(const struct world *world) {
    const struct world_node *first = NULL;
    for (unsigned i = 0; i < world->count; i++) {
        const struct world_node *node = &world->nodes[i];
        if (!node->is_running) {
            continue;
        }
        if (first == NULL) {
            first = node;
        } else if (memcmp(first->cells, node->cells, sizeof(first->cells)) != 0) {
            return false;
        }
    }
    return true;
}

/* Until all nodes hold the same; false when that takes longer. */
static inline bool world_converges(struct world *world, uint64_t within_ms) {
    for (uint64_t end_us = world->now_us + within_ms * 1000; world->now_us < end_us;) {
        world_step(world);
        if (world_is_equal(world)) {
            return true;
        }
    }
    return false;
}

static inline unsigned world_links_up(const struct world_node *node) {
    struct mesh_stats stats;
    mesh_get_stats(node->mesh, &stats);
    return stats.links_up;
}

/* Until each running node has a link with each other one. */
static inline bool world_links(struct world *world, uint64_t within_ms) {
    unsigned running = 0;
    for (unsigned i = 0; i < world->count; i++) {
        running += world->nodes[i].is_running;
    }
    for (uint64_t end_us = world->now_us + within_ms * 1000; world->now_us < end_us;) {
        world_step(world);
        unsigned whole = 0;
        for (unsigned i = 0; i < world->count; i++) {
            whole += world->nodes[i].is_running &&
                     world_links_up(&world->nodes[i]) == running - 1 &&
                     !mesh_is_joining(world->nodes[i].mesh);
        }
        if (whole == running) {
            return true;
        }
    }
    return false;
}

#endif
