/* SPDX-License-Identifier: BSD-3-Clause */
/* Stream records of three replicas, as a peer or a segment brings them: raw bytes, and batches that
 * are made to fit into their streams. A record that is not applied changes nothing; the store stays
 * sound whatever comes. */
#include "base/codec.h"
#include "base/check.h"
#include "base/memory.h"
#include "base/varint.h"
#include "store/receive.h"

enum {
    DBS = 4,
    REPLICAS = 3,
    /* The fuzzer shall not run out of memory. */
    PATCH_END_MAX = 1 << 16,
    KEPT_BYTES_MAX = 1 << 20,
};

static struct slice input;

static uint8_t take8(void) {
    if (input.size == 0) {
        return 0;
    }
    uint8_t byte = (uint8_t)input.data[0];
    input = slice_skip(input, 1);
    return byte;
}

static struct slice take_some(void) {
    size_t size = take8();
    size = size < input.size ? size : input.size;
    struct slice some = slice_make(input.data, size);
    input = slice_skip(input, size);
    return some;
}

/* Reads the batch; the ticks of its last change, or 0 when it is of no use here. */
static uint64_t batch_end(struct slice batch) {
    struct change_reader reader;
    struct change change;
    uint64_t ticks = 0;
    if (!change_reader_init(&reader, batch, 1)) {
        return 0;
    }
    enum change_status status;
    while ((status = change_reader_next(&reader, &change)) == CHANGE_OK) {
        if (change.kind == CHANGE_PATCH && change.offset > PATCH_END_MAX) {
            return 0;
        }
        ticks = stamp_ticks(change.stamp);
    }
    return ticks;
}

/* A record of the replica in `slot` that follows on what is here, more or less. */
static bool make_record(const struct receiver *receiver, unsigned slot, struct buffer *record) {
    const struct store *store = receiver->store;
    uint64_t ticks = receiver_ticks(receiver, slot);
    struct stream_mark marks[4];
    uint8_t how = take8();
    unsigned marks_count = how & 3;
    for (unsigned i = 0; i < marks_count; i++) {
        unsigned other = 1 + take8() % REPLICAS;
        marks[i].ref = store->replicas.slots[other].ref;
        marks[i].ticks = stamp_ticks(store->context.stamps[other]) + ((how & 0x80) != 0);
    }
    struct buffer batch = {0};
    batch.size = varint_put(buffer_reserve(&batch, VARINT_BYTES_MAX), ticks + 1 + (how >> 5 & 1));
    buffer_append_slice(&batch, take_some());
    struct stream_record head = {.ref = store->replicas.slots[slot].ref,
                                 .previous_ticks = ticks + (how >> 6 & 1),
                                 .last_ticks = batch_end(buffer_slice(&batch))};
    bool is_usable = head.last_ticks >= head.previous_ticks;
    if (is_usable) {
        stream_record_put_head(record, &head, marks, marks_count);
        buffer_append_slice(record, buffer_slice(&batch));
    }
    buffer_deinit(&batch);
    return is_usable;
}

static void note_applied(void *udata, struct slice record) {
    unsigned *applied_count = (unsigned *)udata;
    struct stream_record taken;
    require(stream_record_take(record, &taken));
    (*applied_count)++;
}

static void take_record(struct receiver *receiver, struct slice bytes) {
    struct store *store = receiver->store;
    struct stream_record record;
    if (stream_record_take(bytes, &record) && record.batch.size > 0 &&
        batch_end(record.batch) == 0) {
        return;
    }
    uint8_t before[20], after[20];
    struct context context = store->context;
    uint64_t records_count = receiver->records_count, kept_bytes = receiver->kept_bytes;
    store_digest(store, before);
    char *block = memory_alloc(bytes.size);
    memcpy(block, bytes.data, bytes.size);
    enum receive_status status = receiver_take(receiver, slice_make(block, bytes.size));
    memory_free(block);
    if (status == RECEIVE_OK || status == RECEIVE_MALFORMED || status == RECEIVE_OUT_OF_MEMORY) {
        require(status != RECEIVE_OK || receiver->records_count > records_count ||
                receiver->kept_bytes > kept_bytes);
        return; /* a change that the store refuses may come after others */
    }
    store_digest(store, after);
    require(memcmp(before, after, sizeof(before)) == 0);
    require(memcmp(&context, &store->context, sizeof(context)) == 0);
    require(receiver->records_count == records_count);
    require(status != RECEIVE_EARLY || receiver->missing_ref != 0);
}

/* An answer to whatever is asked about the replica's records, and a question of somebody else. */
static void answer_and_ask(struct receiver *receiver, unsigned slot) {
    struct buffer bytes = {0}, answer = {0};
    codec_put_u64(&bytes, receiver->store->replicas.slots[slot].ref);
    buffer_append_slice(&bytes, take_some());
    (void)receiver_answered(receiver, buffer_slice(&bytes));
    buffer_clear(&bytes);
    codec_put_u64(&bytes, receiver->store->replicas.slots[slot].ref);
    buffer_append_slice(&bytes, take_some());
    (void)amounts_answer(receiver->store, buffer_slice(&bytes), &answer);
    buffer_deinit(&bytes);
    buffer_deinit(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct store_opts opts = {.dbs_count = DBS, .seed = 1};
    struct store store;
    unsigned applied_count = 0;
    store_init(&store, &opts);
    store.is_alone = false;
    store.untold_elements_min = store.grave_elements_min = 1;
    struct receiver receiver = {
        .store = &store, .applied = note_applied, .udata = &applied_count, .asks = true};
    for (unsigned i = 0; i < REPLICAS; i++) {
        struct replica_id id = {.generation = i};
        require(replicas_add(&store.replicas, &id) == i + 1);
    }
    input = slice_make(data, size);
    while (input.size > 0 && receiver.kept_bytes < KEPT_BYTES_MAX) {
        uint8_t op = take8();
        unsigned slot = 1 + (op & 3) % REPLICAS;
        struct buffer record = {0};
        if ((op & 0xF0) == 0xF0) {
            receiver_forget_unit(&receiver, slot);
        } else if ((op & 0xF0) == 0xE0) {
            struct context frontier = store.context;
            (void)store_settle(&store, &frontier, op & 0x0F);
        } else if ((op & 0xF0) == 0xD0) {
            answer_and_ask(&receiver, slot);
        } else if ((op & 4) != 0) {
            uint64_t ref = store.replicas.slots[slot].ref + ((op & 8) != 0);
            buffer_append(&record, &ref, sizeof(ref));
            buffer_append_slice(&record, take_some());
            take_record(&receiver, buffer_slice(&record));
        } else if (make_record(&receiver, slot, &record)) {
            take_record(&receiver, buffer_slice(&record));
            take_record(&receiver, buffer_slice(&record));
        }
        buffer_deinit(&record);
    }
    require(applied_count == receiver.records_count);
    store_check(&store);
    receiver_deinit(&receiver);
    require(receiver.kept_bytes == 0);
    store_deinit(&store);
    return 0;
}
