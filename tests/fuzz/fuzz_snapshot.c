/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a snapshot file, or as records of one: loading it succeeds or fails in words. The
 * end record's sum is put right, too; a first byte of 'n' leaves out that help. */
#include "base/crc32c.h"
#include "fuzz/log_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The sum over the checksums of the records in the file. */
static uint32_t sum_records(struct slice file) {
    uint32_t crc = 0;
    for (size_t at = RECORD_SNAPSHOT_HEADER_BYTES; at + RECORD_HEADER_BYTES <= file.size;) {
        crc = crc32c(crc, slice_make(file.data + at + 4, 4));
        at += RECORD_HEADER_BYTES + record_take32(file.data + at);
    }
    return crc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buffer file = {0};
    if (size > 0 && data[0] == 'r') {
        buffer_append(&file, data + 1, size - 1);
    } else if (size > 0) {
        struct record_snapshot_header header = {.generation = 1, .sequence = 1, .dbs_count = 4};
        char *at = buffer_reserve(&file, RECORD_SNAPSHOT_HEADER_BYTES);
        record_put_snapshot_header(at, &header);
        file.size = RECORD_SNAPSHOT_HEADER_BYTES;
        log_fuzz_put_records(&file, data + 1, size - 1);
        if (data[0] != 'n') {
            char end[RECORD_END_PAYLOAD_BYTES];
            record_put64(end, data[0]);
            record_put32(end + 8, sum_records(buffer_slice(&file)));
            record_append(&file, RECORD_END, slice_make(end, sizeof(end)));
        }
    }
    log_fuzz_file("snapshot-0000000000000001.snapshot", buffer_slice(&file));
    buffer_deinit(&file);
    return 0;
}
