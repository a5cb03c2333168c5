/* SPDX-License-Identifier: BSD-3-Clause */
/* What clients send: the first byte says how the rest is cut into pieces. Cut or whole, the same
 * requests come out, from blocks of exactly their size. */
#include "base/check.h"
#include "base/memory.h"
#include "proto/request.h"

/* Writes down what is read; true when more bytes may follow. */
static bool parse_all(struct request_parser *parser, struct slice bytes, bool is_authenticated,
                      size_t *used_all, struct buffer *out) {
    const struct request_limits limits = {.bulk_bytes_max = 1 << 20,
                                          .is_authenticated = is_authenticated};
    struct request_args args = {0};
    struct buffer scratch = {0};
    enum request_status status = REQUEST_AGAIN;
    *used_all = 0;
    while (status != REQUEST_INCOMPLETE && status != REQUEST_INVALID) {
        char error[REQUEST_ERROR_BYTES_MAX];
        size_t used = 0;
        status = request_parse(parser, slice_skip(bytes, *used_all), &limits, &args, &used,
                               &scratch, error);
        if (status == REQUEST_COMPLETE) {
            buffer_append(out, &args.count, sizeof(args.count));
            for (size_t i = 0; i < args.count; i++) {
                buffer_append(out, &args.items[i].size, sizeof(size_t));
                buffer_append_slice(out, args.items[i]);
            }
        } else if (status == REQUEST_INVALID) {
            buffer_append(out, error, strlen(error));
        } else if (status == REQUEST_INCOMPLETE) {
            struct slice rest = slice_skip(bytes, *used_all);
            struct request_outlook outlook = request_look_ahead(parser, rest);
            require(outlook.end == 0); /* it is not whole */
        }
        if (status == REQUEST_COMPLETE || status == REQUEST_EMPTY) {
            require(used > 0 && used <= bytes.size - *used_all);
            *used_all += used;
        }
        args.count = 0;
        buffer_clear(&scratch);
    }
    request_args_deinit(&args);
    buffer_deinit(&scratch);
    return status == REQUEST_INCOMPLETE;
}

/* Feeds `bytes` in pieces of `step` and its neighbours. */
static void parse_cut(struct slice bytes, size_t step, bool is_authenticated, struct buffer *out) {
    struct request_parser parser = {0};
    size_t begin = 0, end = 0;
    bool goes_on = true;
    while (goes_on && end < bytes.size) {
        size_t size = 1 + (end * 7 + step) % step;
        end = size < bytes.size - end ? end + size : bytes.size;
        char *block = memory_alloc(end - begin);
        memcpy(block, bytes.data + begin, end - begin);
        size_t used;
        goes_on = parse_all(&parser, slice_make(block, end - begin), is_authenticated, &used, out);
        begin += used;
        memory_free(block);
    }
    request_parser_deinit(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    struct buffer whole = {0}, cut = {0};
    struct slice bytes = slice_make(data + 1, size - 1);
    bool is_authenticated = (data[0] & 0x80) == 0;
    struct request_parser parser = {0};
    size_t used;
    (void)parse_all(&parser, bytes, is_authenticated, &used, &whole);
    request_parser_deinit(&parser);
    parse_cut(bytes, 1 + (data[0] & 0x7F), is_authenticated, &cut);
    require(slice_equal(buffer_slice(&whole), buffer_slice(&cut)));
    buffer_deinit(&whole);
    buffer_deinit(&cut);
    return 0;
}
