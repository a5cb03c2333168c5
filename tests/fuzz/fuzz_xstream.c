/* SPDX-License-Identifier: BSD-3-Clause */
/* The elements of a stream, as a peer or a file brings them: a name that parses is made again from
 * what it says, and what two values say of a group's progress joins in any order, and comes back
 * from its own encoding.
 *
 *   size of the name (1) | name | size of the first value (1) | values */
#include "base/check.h"
#include "crdt/xstream_progress.h"

static void check_name(struct slice bytes) {
    struct xstream_name_parts parts;
    struct xstream_name name;
    if (!xstream_name_parse(bytes, &parts)) {
        return;
    }
    xstream_name_begin(&name, parts.kind);
    xstream_name_add_label(&name, parts.group);
    xstream_name_add_label(&name, parts.consumer);
    if (parts.kind == XSTREAM_REMOVED) {
        xstream_name_add_ref(&name, parts.ref);
    } else if (parts.kind != XSTREAM_CONSUMER) {
        xstream_name_add_id(&name, parts.id);
    }
    require(slice_equal(xstream_name_slice(&name), bytes));
}

static void check_entry(struct slice value) {
    struct xstream_fields fields;
    struct slice name, text;
    struct xstream_id id = {1, UINT64_MAX};
    uint64_t count = xstream_fields_init(&fields, value);
    while (xstream_fields_next(&fields, &name, &text)) {
        count--;
    }
    require(count == 0);
    uint64_t origin = xstream_origin(id, value);
    require(origin == xstream_replica_bits(id.sequence) || value.size > XSTREAM_ORIGIN_BYTES);
}

static void join(struct xstream_progress *progress, struct slice value) {
    xstream_progress_join(progress, (struct xstream_id){5, 5}, value);
    xstream_progress_check(progress);
}

static void require_same(const struct xstream_progress *a, const struct xstream_progress *b) {
    require(xstream_progress_covers(a, b));
    require(xstream_progress_covers(b, a));
}

static void check_progress(struct slice one, struct slice other) {
    struct xstream_progress both = {0}, turned = {0}, again = {0}, alone = {0};
    struct buffer bytes = {0};
    join(&both, one);
    join(&both, other);
    join(&turned, other);
    join(&turned, one);
    require_same(&both, &turned);
    join(&alone, one);
    require(xstream_progress_covers(&both, &alone));
    xstream_progress_put(&bytes, &both);
    join(&again, buffer_slice(&bytes));
    require_same(&again, &both);
    buffer_deinit(&bytes);
    xstream_progress_deinit(&both);
    xstream_progress_deinit(&turned);
    xstream_progress_deinit(&again);
    xstream_progress_deinit(&alone);
}

static struct slice take(struct slice *bytes) {
    size_t size = bytes->size > 0 ? (uint8_t)bytes->data[0] : 0;
    struct slice rest = slice_skip(*bytes, bytes->size > 0);
    size = size < rest.size ? size : rest.size;
    *bytes = slice_skip(rest, size);
    return slice_make(rest.data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice rest = slice_make(size > 0 ? (const char *)data : "", size);
    check_name(take(&rest));
    struct slice one = take(&rest);
    check_entry(one);
    check_entry(rest);
    check_progress(one, rest);
    return 0;
}
