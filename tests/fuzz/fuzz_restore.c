/* SPDX-License-Identifier: BSD-3-Clause */
/* What RESTORE reads: payloads, with and without a right footer, and LZF.
 *
 * The first byte chooses what the rest is: a whole payload; a value, to which a right footer is
 * added so that the fuzzer need not guess checksums; or a string to write and read back. Reading
 * must stay inside, and what is read must survive being written and read again. */
#include <stdlib.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/lzf.h"
#include "base/memory.h"
#include "commands/rdb_value.h"

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

static void read_payload(struct slice payload) {
    if (rdb_value_check_footer(&payload) != RDB_VALUE_OK || payload.size == 0) {
        return;
    }
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
