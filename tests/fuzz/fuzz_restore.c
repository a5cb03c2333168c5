/* SPDX-License-Identifier: BSD-3-Clause */
/* What RESTORE reads: payloads, with and without a right footer, and LZF. A value that the store
 * has is restored, dumped and restored again, which must give the same value.
 *
 * The first byte chooses what the rest is: a whole payload; a value, to which a right footer is
 * added so that the fuzzer need not guess checksums; or a string to write and read back. Reading
 * must stay inside, and what is read must survive being written and read again. */
#include <stdlib.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/lzf.h"
#include "base/memory.h"
#include "commands/value_codec.h"

enum { BYTES_MAX = 1 << 20 };

/* Writes `bytes` and reads them back. */
static void round_trip(struct slice bytes, bool compress) {
    struct buffer out = {0};
    buffer_append_byte(&out, RDB_TYPE_STRING);
    rdb_value_put_string(&out, bytes, compress);
    rdb_value_put_footer(&out);
    struct slice payload = buffer_slice(&out);
    require(rdb_value_check_footer(&payload) == RDB_VALUE_OK);
    require(payload.data[0] == RDB_TYPE_STRING);
    payload = slice_skip(payload, 1);
    struct rdb_value_string string = {0};
    require(rdb_value_take_string(&payload, bytes.size, &string) == RDB_VALUE_OK);
    require(payload.size == 0);
    require(slice_equal(string.bytes, bytes));
    rdb_value_string_deinit(&string);
    buffer_deinit(&out);
}

/* Puts the value into `store` under `name`; false when it is none. */
static bool restore(struct store *store, struct slice name, struct slice value) {
    struct rdb_reader reader = {0};
    struct key key = store_key(store, 0, name);
    bool is_read = rdb_reader_open(&reader, value, BYTES_MAX, store->seed) == RDB_VALUE_OK;
    if (is_read) {
        require(value_restore(store, &key, &reader, 0) == STORE_OK);
    }
    rdb_reader_deinit(&reader);
    return is_read;
}

static void require_equal(const struct store *store, const struct entry *a, const struct entry *b) {
    struct entry_scratch scratch_a, scratch_b;
    uint8_t digest_a[20], digest_b[20];
    require(b != NULL);
    require(entry_type(a) == entry_type(b));
    if (entry_type(a) == VALUE_STRING) {
        require(slice_equal(entry_value(a, &scratch_a), entry_value(b, &scratch_b)));
        return;
    }
    store_value_digest(store, a, digest_a);
    store_value_digest(store, b, digest_b);
    require(memcmp(digest_a, digest_b, sizeof(digest_a)) == 0);
}

/* When a consumer was active is not in what we write (rdb_writer.h). */
static bool reads_back(const struct entry *entry) {
    return entry_type(entry) != VALUE_STREAM;
}

static void restore_and_dump(struct slice value) {
    static const struct slice FIRST = {"first", 5}, SECOND = {"second", 6};
    struct store store;
    struct store_opts opts = {.dbs_count = 1, .seed = 1};
    static const struct replica_id SELF = {.node = {1}};
    store_init(&store, &opts);
    require(replicas_add_at(&store.replicas, STAMP_SLOT_SELF, &SELF));
    store.is_alone = true;
    for (unsigned type = 0; type < VALUE_TYPES_COUNT; type++) {
        store.packing[type] = (struct store_packing){4, 6, 8};
    }
    store_set_now(&store, 1000);
    bool is_read = restore(&store, FIRST, value);
    store_check(&store);
    struct key key = store_key(&store, 0, FIRST);
    const struct entry *entry = store_peek(&store, &key);
    if (is_read && entry != NULL) { /* not a hash whose fields all have expired */
        struct buffer dumped = {0};
        require(value_dump(&store, entry, &RDB_WRITER_LIMITS_DEFAULT, &dumped));
        struct slice again = buffer_slice(&dumped);
        require(rdb_value_check_footer(&again) == RDB_VALUE_OK);
        require(restore(&store, SECOND, again));
        store_check(&store);
        key = store_key(&store, 0, SECOND);
        const struct entry *second = store_peek(&store, &key);
        if (reads_back(entry)) {
            require_equal(&store, entry, second);
        } else {
            struct buffer twice = {0};
            require(second != NULL);
            require(value_dump(&store, second, &RDB_WRITER_LIMITS_DEFAULT, &twice));
            require(slice_equal(buffer_slice(&dumped), buffer_slice(&twice)));
            buffer_deinit(&twice);
        }
        buffer_deinit(&dumped);
    }
    store_deinit(&store);
}

static void read_payload(struct slice payload) {
    if (rdb_value_check_footer(&payload) != RDB_VALUE_OK || payload.size == 0) {
        return;
    }
    restore_and_dump(payload);
    payload = slice_skip(payload, 1);
    struct rdb_value_string string = {0};
    if (rdb_value_take_string(&payload, BYTES_MAX, &string) == RDB_VALUE_OK) {
        require(string.bytes.size <= BYTES_MAX);
        round_trip(string.bytes, true);
    }
    rdb_value_string_deinit(&string);
}

/* A copy in a block of exactly its size, so that the sanitizer sees a byte too far. */
static void read_exact(struct slice payload) {
    char *block = memory_alloc(payload.size + 1);
    if (payload.size > 0) {
        memcpy(block + 1, payload.data, payload.size);
    }
    read_payload(slice_make(block + 1, payload.size));
    memory_free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct slice rest = slice_make(data + 1, size - 1);
    switch (data[0] & 3) {
    case 0:
        read_exact(rest);
        break;
    case 1: {
        struct buffer out = {0};
        buffer_append_slice(&out, rest);
        rdb_value_put_footer(&out);
        read_exact(buffer_slice(&out));
        buffer_deinit(&out);
        break;
    }
    case 2:
        round_trip(rest, true);
        round_trip(rest, false);
        break;
    case 3: { /* expansion to a size that the input chooses */
        size_t out_size = rest.size > 0 ? (size_t)(uint8_t)rest.data[0] * 4 : 0;
        char *out = memory_alloc(out_size + 1);
        if (rest.size > 0) {
            (void)lzf_expand(slice_skip(rest, 1), out + 1, out_size);
        }
        memory_free(out);
        break;
    }
    }
    return 0;
}
