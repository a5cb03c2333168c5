/* SPDX-License-Identifier: BSD-3-Clause */
/* What a peer may send: frames with any payloads, in any order, before the handshake and after it.
 * The first byte says how far the handshake went before the input begins: not at all, up to HELLO,
 * or all of it; and whether there is a second peer, which gets what is passed on, and whether that
 * one reads. Then the input is (type, length, payload)..., or raw bytes; one type is a broadcast of
 * the node's own. The node must stay sound whatever comes; only this link may end. */
#include "base/check.h"
#include "base/memory.h"
#include "base/varint.h"
#include "mesh/mesh_state.h"

enum { NOW_MS_SINCE_EPOCH = 1000000000, RECORDS_MAX = 64, APPLIED_MAX = 1000, OWN_BROADCAST = 23 };

/* Data that are a context and a list of records. */
struct data {
    struct replicas replicas;
    struct context context;
    struct buffer records[RECORDS_MAX];
    size_t count;
    unsigned applied;
    struct mesh_link *closed;
    struct mesh_link *other; /* of the second peer, or NULL */
    bool other_reads;
};

struct reader {
    size_t at;
};

static struct replicas *get_replicas(void *udata) {
    return &((struct data *)udata)->replicas;
}

static const struct context *get_context(void *udata) {
    return &((struct data *)udata)->context;
}

static enum mesh_apply apply(void *udata, struct slice bytes, struct stream_mark *missing) {
    struct data *data = udata;
    struct stream_record record;
    if (!stream_record_take(bytes, &record)) {
        return MESH_APPLY_MALFORMED;
    }
    unsigned slot = replicas_find(&data->replicas, record.ref);
    if (slot == 0) {
        return MESH_APPLY_UNKNOWN;
    }
    if (record.last_ticks <= stamp_ticks(data->context.stamps[slot])) {
        return MESH_APPLY_DUPLICATE;
    }
    if (record.previous_ticks > stamp_ticks(data->context.stamps[slot])) {
        return MESH_APPLY_GAP;
    }
    while (stream_mark_next(&record.marks, missing)) {
        unsigned other = replicas_find(&data->replicas, missing->ref);
        if (other == 0 || missing->ticks > stamp_ticks(data->context.stamps[other])) {
            return MESH_APPLY_EARLY;
        }
    }
    if (data->applied % 5 == 4) {
        data->applied++;
        return MESH_APPLY_ASK;
    }
    if (++data->applied % 7 == 0) {
        return MESH_APPLY_BUSY;
    }
    data->context.stamps[slot] = stamp_make(record.last_ticks, slot);
    if (data->count < RECORDS_MAX) {
        buffer_append_slice(&data->records[data->count++], bytes);
    }
    return MESH_APPLY_OK;
}

static uint64_t received_ticks(void *udata, unsigned slot) {
    return stamp_ticks(((struct data *)udata)->context.stamps[slot]);
}

static void forget_unit(void *udata, unsigned slot) {
    (void)udata;
    require(slot != 0);
}

static void *stream_new(void *udata) {
    (void)udata;
    return memory_alloc_zero(sizeof(struct reader));
}

static void stream_free(void *udata, void *stream) {
    (void)udata;
    memory_free(stream);
}

static bool stream_seek(void *udata, void *stream, const struct context *seen,
                        const bool *is_wanted) {
    (void)udata, (void)is_wanted;
    ((struct reader *)stream)->at = 0;
    /* One peer in eight is beyond the log. */
    return seen->stamps[1] % 8192 / 1024 != 7;
}

static enum mesh_read stream_next(void *udata, void *stream, struct stream_record *record,
                                  struct stream_bytes *bytes) {
    struct data *data = udata;
    struct reader *reader = stream;
    if (reader->at == data->count) {
        return MESH_READ_END;
    }
    *bytes = (struct stream_bytes){.record = buffer_slice(&data->records[reader->at++])};
    require(stream_record_take(bytes->record, record));
    return MESH_READ_RECORD;
}

static bool reaches_back(void *udata, const struct context *seen, const bool *is_wanted) {
    (void)udata, (void)seen, (void)is_wanted;
    return true;
}

static uint64_t changes_since(void *udata, uint64_t stamp) {
    return stamp_ticks(((struct data *)udata)->context.stamps[stamp_slot(stamp)]) -
           stamp_ticks(stamp);
}

static void settle(void *udata, const struct context *frontier) {
    (void)udata, (void)frontier;
}

static bool retire(void *udata, unsigned slot) {
    struct data *data = udata;
    replicas_retire(&data->replicas, slot, stamp_ticks(data->context.stamps[slot]));
    data->context.stamps[slot] = 0;
    return true;
}

static bool new_generation(void *udata, uint64_t generation) {
    struct data *data = udata;
    struct replica_id id = {.node = {1}, .generation = generation};
    unsigned slot = replicas_add(&data->replicas, &id);
    if (slot != 0) {
        data->replicas.self = slot;
    }
    return slot != 0;
}

static uint64_t keys_count(void *udata) {
    return ((struct data *)udata)->count;
}

static unsigned databases_count(void *udata) {
    (void)udata;
    return 16;
}

static void hash_seed(void *udata, uint64_t seed[2]) {
    (void)udata;
    seed[0] = seed[1] = 1;
}

static void range_digests(void *udata, unsigned ranges, uint64_t *digests) {
    (void)udata;
    memset(digests, 0, ranges * sizeof(digests[0]));
}

static void *part_open(void *udata, unsigned part, unsigned count, struct buffer *header) {
    (void)udata;
    require(part < count);
    buffer_append_byte(header, 1);
    return memory_alloc_zero(1);
}

static enum mesh_part part_read(void *udata, void *walk, struct buffer *out, size_t bytes_max) {
    (void)udata, (void)walk, (void)bytes_max;
    buffer_append_byte(out, 1);
    return MESH_PART_DONE;
}

static void part_close(void *udata, void *walk) {
    (void)udata;
    memory_free(walk);
}

static void sync_begin(void *udata, enum mesh_join mode) {
    (void)udata, (void)mode;
}

static bool sync_takes_seed(void *udata, const uint64_t seed[2]) {
    (void)udata;
    return seed[0] != 0;
}

static enum mesh_part sync_part_begin(void *udata, unsigned part, unsigned count,
                                      struct slice header) {
    (void)udata, (void)part, (void)count;
    return header.size % 5 == 4 ? MESH_PART_BAD : MESH_PART_MORE;
}

static enum mesh_part sync_part_data(void *udata, unsigned part, struct slice bytes) {
    (void)udata, (void)part;
    return bytes.size % 5 == 4 ? MESH_PART_BAD : MESH_PART_MORE;
}

static enum mesh_part sync_part_end(void *udata, unsigned part) {
    (void)udata;
    return part % 5 == 4 ? MESH_PART_AGAIN : MESH_PART_DONE;
}

static enum mesh_part sync_end(void *udata) {
    (void)udata;
    return MESH_PART_DONE;
}

static bool sync_is_ready(void *udata) {
    (void)udata;
    return true;
}

static bool broadcast(void *udata, struct slice bytes) {
    (void)udata;
    return bytes.size % 5 != 4;
}

static void dial(void *udata, struct mesh_link *link, const char *address) {
    (void)udata, (void)address;
    mesh_link_closed(link, MESH_REASON_CLOSED);
}

static void send(void *udata, struct mesh_link *link) {
    (void)udata, (void)link;
}

static void close_link(void *udata, struct mesh_link *link) {
    require(link != ((struct data *)udata)->other);
    ((struct data *)udata)->closed = link;
}

static void hmac_sha256(void *udata, struct slice key, struct slice text, uint8_t digest[32]) {
    (void)udata, (void)key, (void)text;
    memset(digest, 7, 32);
}

static void message(void *udata, enum mesh_level level, const char *text) {
    (void)udata, (void)level;
    require(strlen(text) > 0);
}

static void put_bytes(struct data *data, struct mesh_link *link, struct slice bytes) {
    while (bytes.size > 0 && data->closed != link) {
        size_t room;
        char *space = mesh_link_input_space(link, &room);
        if (space == NULL) {
            return;
        }
        size_t size = bytes.size < room ? bytes.size : room;
        memcpy(space, bytes.data, size);
        mesh_link_input(link, size);
        bytes = slice_skip(bytes, size);
    }
}

static void put_frame(struct data *data, struct mesh_link *link, unsigned type,
                      struct slice payload) {
    struct buffer bytes = {0};
    struct frame_opts opts = {.max_frame_bytes = 1 << 20, .compresses = payload.size % 2 == 1};
    (void)frame_put(&bytes, (uint8_t)type, payload, &opts);
    put_bytes(data, link, buffer_slice(&bytes));
    buffer_deinit(&bytes);
}

static void send_all(struct mesh_link *link) {
    for (struct slice out; (out = mesh_link_output(link)).size > 0;) {
        mesh_link_sent(link, out.size);
    }
}

static void turn(struct mesh *mesh, struct data *data, struct mesh_link *link, uint64_t *now_us) {
    *now_us += 50000;
    if (data->other != NULL) {
        /* A peer that is silent for too long would lose its link. */
        static const char PING[] = {1, 1};
        put_frame(data, data->other, MESH_FRAME_PING, slice_make(PING, sizeof(PING)));
    }
    mesh_set_time(mesh, STAMP_EPOCH_MS + NOW_MS_SINCE_EPOCH + (int64_t)(*now_us / 1000), *now_us);
    mesh_run(mesh);
    mesh_push(mesh);
    (void)mesh_serve(mesh);
    (void)mesh_tick(mesh);
    if (data->closed != link) {
        send_all(link);
    }
    if (data->other != NULL && data->other_reads) {
        send_all(data->other);
    }
}

static void put_hello(struct data *data, struct mesh_link *link, char id) {
    struct buffer hello = {0};
    char zeros[MESH_NONCE_BYTES] = {id};
    buffer_append_slice(&hello, SLICE("STAR"));
    codec_put_varint(&hello, MESH_PROTOCOL_VERSION);
    codec_put_varint(&hello, 0);
    codec_put_slice(&hello, SLICE("flock"));
    buffer_append(&hello, zeros, MESH_NONCE_BYTES);
    buffer_append(&hello, zeros, REPLICA_NODE_ID_BYTES);
    codec_put_varint(&hello, 7);
    codec_put_varint(&hello, (uint64_t)STAMP_EPOCH_MS + NOW_MS_SINCE_EPOCH + 100);
    codec_put_slice(&hello, SLICE("10.0.0.2:17001"));
    codec_put_varint(&hello, 16);
    codec_put_u64(&hello, 1);
    codec_put_u64(&hello, 1);
    codec_put_slice(&hello, SLICE("1"));
    codec_put_varint(&hello, 1);
    codec_put_varint(&hello, 0);
    codec_put_varint(&hello, 0);
    put_frame(data, link, MESH_FRAME_HELLO, buffer_slice(&hello));
    buffer_deinit(&hello);
}

static void put_context(struct data *data, struct mesh_link *link, char first) {
    struct buffer payload = {0};
    char id[REPLICA_NODE_ID_BYTES] = {first};
    codec_put_varint(&payload, (uint64_t)STAMP_EPOCH_MS + NOW_MS_SINCE_EPOCH + 150);
    buffer_append_byte(&payload, 0);
    codec_put_varint(&payload, 1);
    buffer_append(&payload, id, sizeof(id));
    codec_put_varint(&payload, 7);
    codec_put_varint(&payload, 0);
    put_frame(data, link, MESH_FRAME_CONTEXT, buffer_slice(&payload));
    buffer_deinit(&payload);
}

static const struct context *sync_goal(void *udata) {
    return &((struct data *)udata)->context;
}

static bool sync_cancel(void *udata) {
    (void)udata;
    return true;
}

static struct slice questions(void *udata) {
    (void)udata;
    return SLICE("\1a\2bc");
}

static bool answered(void *udata, struct slice bytes) {
    (void)udata;
    return bytes.size % 5 != 0;
}

static bool answer(void *udata, struct slice question, struct buffer *bytes) {
    (void)udata;
    if (question.size % 2 == 0) {
        buffer_append_slice(bytes, question);
    }
    return question.size % 5 != 0;
}

static struct mesh *make_mesh(struct data *data) {
    struct mesh_opts opts = {
        .host = {data, dial, send, close_link, NULL, hmac_sha256, message},
        .data = {data,           get_replicas,    get_context, apply,           received_ticks,
                 forget_unit,    stream_new,      stream_free, stream_seek,     stream_next,
                 reaches_back,   changes_since,   settle,      retire,          new_generation,
                 keys_count,     databases_count, hash_seed,   range_digests,   part_open,
                 part_read,      part_close,      sync_begin,  sync_takes_seed, sync_part_begin,
                 sync_part_data, sync_part_end,   sync_end,    sync_is_ready,   broadcast,
                 sync_goal,      sync_cancel,     questions,   answered,        answer},
        .node_id = {1},
        .generation = 5,
        .seed = 1,
        .version = "1",
    };
    struct mesh_settings settings = {.cluster_id = "flock",
                                     .announce_address = "10.0.0.1:17001",
                                     .gossip_interval_ms = 100,
                                     .forget_after_ms = 86400000,
                                     .max_clock_drift_ms = 5000,
                                     .max_frame_bytes = 8192,
                                     .max_waiting_bytes = 65536,
                                     .full_links = 32,
                                     .compression = MESH_COMPRESSION_YES};
    return mesh_new(&opts, &settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct data data = {0};
    struct slice input = slice_make(bytes, size);
    uint64_t now_us = 0;
    if (size < 1) {
        return 0;
    }
    replicas_init(&data.replicas);
    (void)new_generation(&data, 5);
    struct mesh *mesh = make_mesh(&data);
    mesh_set_time(mesh, STAMP_EPOCH_MS + NOW_MS_SINCE_EPOCH, 0);
    unsigned way = (uint8_t)input.data[0];
    input = slice_skip(input, 1);
    if ((way & 8) != 0) {
        struct mesh_link *other = mesh_accept(mesh, &data, "10.0.0.3:1");
        put_hello(&data, other, 3);
        turn(mesh, &data, other, &now_us);
        put_context(&data, other, 3);
        turn(mesh, &data, other, &now_us);
        require(link_is_up(other));
        data.other = other;
        data.other_reads = (way & 16) != 0;
    }
    struct mesh_link *link = mesh_accept(mesh, &data, "10.0.0.2:1");
    if (way % 4 != 0) {
        put_hello(&data, link, 2);
        turn(mesh, &data, link, &now_us);
    }
    if (way % 4 >= 2) {
        put_context(&data, link, 2);
        turn(mesh, &data, link, &now_us);
        require(data.closed != link);
        require(link_is_up(link));
    }
    while (input.size > 0 && data.closed != link) {
        if (way % 4 == 3 && (way & 4) != 0) {
            put_bytes(&data, link, input);
            input.size = 0;
        } else {
            unsigned type = (uint8_t)input.data[0] % 24;
            size_t length = input.size > 1 ? (uint8_t)input.data[1] : 0;
            input = slice_skip(input, input.size > 1 ? 2 : 1);
            length = length < input.size ? length : input.size;
            struct slice payload = slice_make(input.data, length);
            if (type == OWN_BROADCAST) {
                mesh_broadcast(mesh, &payload, 1);
            } else {
                put_frame(&data, link, type, payload);
            }
            input = slice_skip(input, length);
        }
        turn(mesh, &data, link, &now_us);
        membership_check(&mesh->membership);
    }
    turn(mesh, &data, link, &now_us);
    struct mesh_stats stats;
    mesh_get_stats(mesh, &stats);
    require(stats.waiting_bytes <= 65536);
    data.other = NULL;
    mesh_free(mesh);
    for (size_t i = 0; i < data.count; i++) {
        buffer_deinit(&data.records[i]);
    }
    replicas_deinit(&data.replicas);
    return 0;
}
