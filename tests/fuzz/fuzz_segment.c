/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a segment file, or as records of one: a start from it succeeds or fails in words,
 * and a second start finds what the first one had. */
#include "fuzz/log_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void log_fuzz_put_replicas(struct buffer *file) {
    struct store store;
    struct buffer payload = {0};
    log_fuzz_init_store(&store);
    replicas_record_put(&payload, &store, &store.context, false);
    record_append(file, RECORD_REPLICAS, buffer_slice(&payload));
    buffer_deinit(&payload);
    store_deinit(&store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buffer file = {0};
    if (size > 0 && data[0] == 'r') {
        buffer_append(&file, data + 1, size - 1);
    } else {
        struct record_segment_header header = {
            .start = RECORD_START_EMPTY, .generation = 1, .sequence = 1, .dbs_count = 4};
        char *at = buffer_reserve(&file, RECORD_SEGMENT_HEADER_BYTES);
        record_put_segment_header(at, &header);
        file.size = RECORD_SEGMENT_HEADER_BYTES;
        log_fuzz_put_replicas(&file);
        log_fuzz_put_records(&file, data, size);
    }
    log_fuzz_file("log-0000000000000001.segment", buffer_slice(&file));
    buffer_deinit(&file);
    return 0;
}
