/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/rdb_packed.h"

#include "base/check.h"
#include "commands/rdb_bytes.h"
#include "commands/rdb_listpack.h"
#include "commands/rdb_ziplist.h"

/* ---- intset ---- */

enum { INTSET_HEAD_BYTES = 8 };

static int64_t intset_load(const char *at, unsigned width) {
    return rdb_sign_extend(rdb_load_little_endian(at, width), 8 * width);
}

static bool intset_open(struct rdb_packed *packed, struct slice bytes) {
    if (bytes.size < INTSET_HEAD_BYTES) {
        return false;
    }
    uint64_t width = rdb_load_little_endian(bytes.data, 4);
    uint64_t count = rdb_load_little_endian(bytes.data + 4, 4);
    if (width != 2 && width != 4 && width != 8) {
        return false;
    }
    packed->width = (uint8_t)width;
    packed->rest = slice_skip(bytes, INTSET_HEAD_BYTES);
    packed->left = count;
    if (packed->rest.size != count * width) {
        return false;
    }
    for (uint64_t i = 1; i < count; i++) {
        const char *at = packed->rest.data + i * width;
        if (intset_load(at - width, (unsigned)width) >= intset_load(at, (unsigned)width)) {
            return false; /* a set, in order */
        }
    }
    return true;
}

static bool intset_take(struct rdb_packed *packed, struct rdb_packed_item *item) {
    *item = (struct rdb_packed_item){.is_integer = true,
                                     .integer = intset_load(packed->rest.data, packed->width)};
    packed->rest = slice_skip(packed->rest, packed->width);
    return true;
}

/* ---- zipmap ---- */

enum { ZIPMAP_LENGTH_32_BITS = 254, ZIPMAP_COUNT_UNKNOWN = 254, ZIPMAP_END = 255 };

static bool zipmap_take_length(struct slice *bytes, uint64_t *length) {
    if (bytes->size == 0) {
        return false;
    }
    uint8_t first = (uint8_t)bytes->data[0];
    if (first < ZIPMAP_LENGTH_32_BITS) {
        *length = first;
        *bytes = slice_skip(*bytes, 1);
        return true;
    }
    if (first == ZIPMAP_END || bytes->size < 5) {
        return false;
    }
    *length = rdb_load_little_endian(bytes->data + 1, 4);
    *bytes = slice_skip(*bytes, 5);
    return true;
}

/* Reads a key, or a value with the bytes after it that are not in use. */
static bool zipmap_take(struct slice *bytes, bool is_value, struct rdb_packed_item *item) {
    uint64_t length, unused = 0;
    if (!zipmap_take_length(bytes, &length)) {
        return false;
    }
    if (is_value) {
        if (bytes->size == 0) {
            return false;
        }
        unused = (uint8_t)bytes->data[0];
        *bytes = slice_skip(*bytes, 1);
    }
    if (length + unused > bytes->size) {
        return false;
    }
    *item = (struct rdb_packed_item){.bytes = slice_make(bytes->data, (size_t)length)};
    *bytes = slice_skip(*bytes, (size_t)(length + unused));
    return true;
}

static bool zipmap_open(struct rdb_packed *packed, struct slice bytes) {
    if (bytes.size < 2 || (uint8_t)bytes.data[bytes.size - 1] != ZIPMAP_END) {
        return false;
    }
    uint8_t claimed = (uint8_t)bytes.data[0];
    packed->rest = slice_make(bytes.data + 1, bytes.size - 2);
    packed->left = 0;
    struct slice walk = packed->rest;
    while (walk.size > 0) {
        struct rdb_packed_item item;
        if (!zipmap_take(&walk, packed->left % 2 == 1, &item)) {
            return false;
        }
        packed->left++;
    }
    return packed->left % 2 == 0 &&
           (claimed == ZIPMAP_COUNT_UNKNOWN || claimed == packed->left / 2);
}

/* ---- all of them ---- */

bool rdb_packed_open(struct rdb_packed *packed, enum rdb_packed_kind kind, struct slice bytes) {
    *packed = (struct rdb_packed){.kind = kind};
    switch (kind) {
    case RDB_PACKED_LISTPACK:
        return rdb_listpack_check(bytes, &packed->rest, &packed->left);
    case RDB_PACKED_ZIPLIST:
        return rdb_ziplist_check(bytes, &packed->rest, &packed->left);
    case RDB_PACKED_INTSET:
        return intset_open(packed, bytes);
    case RDB_PACKED_ZIPMAP:
        return zipmap_open(packed, bytes);
    }
    impossible("a kind without a case");
}

void rdb_packed_open_again(struct rdb_packed *packed, enum rdb_packed_kind kind,
                           struct slice bytes) {
    if (kind == RDB_PACKED_LISTPACK) {
        *packed = (struct rdb_packed){.kind = kind};
        if (rdb_listpack_open(bytes, &packed->rest, &packed->left)) {
            return;
        }
    }
    bool is_open = rdb_packed_open(packed, kind, bytes);
    ensure(is_open);
}

static bool take(struct rdb_packed *packed, struct rdb_packed_item *item) {
    switch (packed->kind) {
    case RDB_PACKED_LISTPACK:
        return rdb_listpack_take(&packed->rest, item);
    case RDB_PACKED_ZIPLIST:
        return rdb_ziplist_take(&packed->rest, item);
    case RDB_PACKED_INTSET:
        return intset_take(packed, item);
    case RDB_PACKED_ZIPMAP:
        return zipmap_take(&packed->rest, packed->left % 2 == 1, item);
    }
    impossible("a kind without a case");
}

bool rdb_packed_next(struct rdb_packed *packed, struct rdb_packed_item *item) {
    if (packed->left == 0) {
        return false;
    }
    bool is_taken = take(packed, item);
    ensure(is_taken); /* all of it was checked */
    packed->left--;
    return true;
}

bool rdb_packed_skip(struct rdb_packed *packed, uint64_t count) {
    if (count > packed->left) {
        return false;
    }
    struct rdb_packed_item item;
    for (; count > 0; count--) {
        (void)rdb_packed_next(packed, &item);
    }
    return true;
}
