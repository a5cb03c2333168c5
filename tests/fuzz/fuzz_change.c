/* SPDX-License-Identifier: BSD-3-Clause */
/* Batches of changes, as a log record or a peer brings them. Reading stays inside; what is read can
 * be written and read again; a store that applies it stays sound, or says what is malformed. */
#include "base/check.h"
#include "base/memory.h"
#include "crdt/change.h"
#include "store/store.h"

enum {
    SLOT = 2,
    /* The fuzzer shall not run out of memory. */
    PATCH_END_MAX = 1 << 20,
};

static void assert_equal(const struct change *a, const struct change *b) {
    require(a->kind == b->kind);
    require(a->db == b->db);
    require(a->goes_on == b->goes_on);
    require(a->stamp == b->stamp);
    require(slice_equal(a->key, b->key));
    require(slice_equal(a->value, b->value));
    require(a->expire_unix_ms == b->expire_unix_ms);
    require(a->start_ticks == b->start_ticks);
    require(a->total == b->total);
    require(a->offset == b->offset);
    require(a->is_fresh == b->is_fresh);
}

static void write_again(const struct change *change) {
    struct change_writer writer = {.is_on = true};
    struct change_reader reader;
    struct change again;
    change_writer_add(&writer, change);
    if (!change->goes_on) {
        change_writer_end_unit(&writer);
    }
    require(change_reader_init(&reader, buffer_slice(&writer.bytes), SLOT));
    require(change_reader_next(&reader, &again) == CHANGE_OK);
    assert_equal(change, &again);
    require(change_reader_next(&reader, &again) == CHANGE_END);
    change_writer_deinit(&writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *block = memory_alloc(size);
    if (size > 0) {
        memcpy(block, data, size);
    }
    struct store_opts opts = {.dbs_count = 4, .seed = 1};
    struct store store;
    store_init(&store, &opts);
    struct change_reader reader;
    if (change_reader_init(&reader, slice_make(block, size), SLOT)) {
        struct change change;
        while (change_reader_next(&reader, &change) == CHANGE_OK) {
            write_again(&change);
            if (change.kind != CHANGE_PATCH || change.offset < PATCH_END_MAX) {
                (void)store_apply(&store, &change);
            }
        }
    }
    uint8_t digest[20];
    store_check(&store);
    store_digest(&store, digest);
    store_deinit(&store);
    memory_free(block);
    return 0;
}
