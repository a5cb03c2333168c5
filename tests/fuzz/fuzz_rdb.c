/* SPDX-License-Identifier: BSD-3-Clause */
/* What RESTORE reads, for all types: the input is a value without its footer, and its last byte
 * chooses how it is written. Reading must stay inside; what is read must be written, under any
 * limits, as the same value. */
#include "unit/commands/rdb_text.h"

static const struct rdb_writer_limits LIMITS[] = {
    {.list_listpack_size = 1, .stream_node_entries_max = 1},
    {.compress = true,
     .hash_listpack_entries_max = 3,
     .hash_listpack_value_bytes_max = 5,
     .zset_listpack_entries_max = 3,
     .zset_listpack_value_bytes_max = 5,
     .set_intset_entries_max = 3,
     .list_listpack_size = 3,
     .stream_node_bytes_max = 60},
    {.hash_listpack_entries_max = UINT64_MAX,
     .hash_listpack_value_bytes_max = UINT64_MAX,
     .zset_listpack_entries_max = UINT64_MAX,
     .zset_listpack_value_bytes_max = UINT64_MAX,
     .set_intset_entries_max = UINT64_MAX,
     .list_listpack_size = -5},
};

static void read_and_write(struct slice value, const struct rdb_writer_limits *limits) {
    struct buffer before = {0}, after = {0}, written = {0};
    if (rdb_text(&before, value, RDB_TEXT_VERSION_10) == RDB_VALUE_OK) {
        rdb_text_rewrite(&written, value, limits);
        struct slice payload = buffer_slice(&written);
        require(rdb_value_check_footer(&payload) == RDB_VALUE_OK);
        require(rdb_text(&after, payload, RDB_TEXT_VERSION_10) == RDB_VALUE_OK);
        require(slice_equal(buffer_slice(&before), buffer_slice(&after)));
    }
    buffer_deinit(&before);
    buffer_deinit(&after);
    buffer_deinit(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    /* A copy in a block of exactly its size, so that the sanitizer sees a byte too far. */
    char *block = memory_alloc(size);
    memcpy(block, data, size);
    const size_t limits_count = sizeof(LIMITS) / sizeof(*LIMITS);
    read_and_write(slice_make(block, size), &LIMITS[data[size - 1] % limits_count]);
    memory_free(block);
    return 0;
}
