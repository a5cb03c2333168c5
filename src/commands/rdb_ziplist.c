/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/rdb_ziplist.h"

#include "commands/rdb_bytes.h"

enum {
    ZIPLIST_HEAD_BYTES = 10,
    ZIPLIST_END = 255,
    ZIPLIST_COUNT_UNKNOWN = UINT16_MAX,
    ZIPLIST_PREVIOUS_32_BITS = 254,
    ZIPLIST_STRING_14_BITS = 0x40,
    ZIPLIST_STRING_32_BITS = 0x80,
    ZIPLIST_INTEGER_16_BITS = 0xC0,
    ZIPLIST_INTEGER_32_BITS = 0xD0,
    ZIPLIST_INTEGER_64_BITS = 0xE0,
    ZIPLIST_INTEGER_24_BITS = 0xF0,
    ZIPLIST_INTEGER_0 = 0xF1,
    ZIPLIST_INTEGER_12 = 0xFD,
    ZIPLIST_INTEGER_8_BITS = 0xFE,
};

static bool take_previous(struct slice *entries, uint64_t *previous) {
    if (entries->size == 0) {
        return false;
    }
    uint8_t first = (uint8_t)entries->data[0];
    if (first < ZIPLIST_PREVIOUS_32_BITS) {
        *previous = first;
        *entries = slice_skip(*entries, 1);
        return true;
    }
    if (first == ZIPLIST_END || entries->size < 5) {
        return false;
    }
    *previous = rdb_load_little_endian(entries->data + 1, 4);
    *entries = slice_skip(*entries, 5);
    return true;
}

/* Reads a string whose length is in the `head` first bytes. */
static bool take_string(struct slice *entries, size_t head, uint64_t length,
                        struct rdb_packed_item *item) {
    if (length > entries->size - head) {
        return false;
    }
    *item = (struct rdb_packed_item){.bytes = slice_make(entries->data + head, (size_t)length)};
    *entries = slice_skip(*entries, head + (size_t)length);
    return true;
}

static unsigned integer_bytes(uint8_t first) {
    switch (first) {
    case ZIPLIST_INTEGER_8_BITS:
        return 1;
    case ZIPLIST_INTEGER_16_BITS:
        return 2;
    case ZIPLIST_INTEGER_24_BITS:
        return 3;
    case ZIPLIST_INTEGER_32_BITS:
        return 4;
    case ZIPLIST_INTEGER_64_BITS:
        return 8;
    default:
        return 0;
    }
}

static bool take_integer(struct slice *entries, uint8_t first, struct rdb_packed_item *item) {
    *item = (struct rdb_packed_item){.is_integer = true};
    if (first >= ZIPLIST_INTEGER_0 && first <= ZIPLIST_INTEGER_12) {
        item->integer = first - ZIPLIST_INTEGER_0;
        *entries = slice_skip(*entries, 1);
        return true;
    }
    unsigned bytes = integer_bytes(first);
    if (bytes == 0 || entries->size < 1 + bytes) {
        return false;
    }
    item->integer = rdb_sign_extend(rdb_load_little_endian(entries->data + 1, bytes), 8 * bytes);
    *entries = slice_skip(*entries, 1 + bytes);
    return true;
}

static bool take_entry(struct slice *entries, struct rdb_packed_item *item, uint64_t *previous) {
    if (!take_previous(entries, previous) || entries->size == 0) {
        return false;
    }
    uint8_t first = (uint8_t)entries->data[0];
    if (first < ZIPLIST_STRING_14_BITS) {
        return take_string(entries, 1, first, item);
    }
    if (first < ZIPLIST_STRING_32_BITS) {
        return entries->size >= 2 &&
               take_string(entries, 2, rdb_load_big_endian(entries->data, 2) & 0x3FFF, item);
    }
    if (first == ZIPLIST_STRING_32_BITS) {
        return entries->size >= 5 &&
               take_string(entries, 5, rdb_load_big_endian(entries->data + 1, 4), item);
    }
    return take_integer(entries, first, item);
}

bool rdb_ziplist_take(struct slice *entries, struct rdb_packed_item *item) {
    uint64_t previous;
    return take_entry(entries, item, &previous);
}

bool rdb_ziplist_check(struct slice bytes, struct slice *entries, uint64_t *count) {
    if (bytes.size < ZIPLIST_HEAD_BYTES + 1 ||
        rdb_load_little_endian(bytes.data, 4) != bytes.size ||
        (uint8_t)bytes.data[bytes.size - 1] != ZIPLIST_END) {
        return false;
    }
    uint64_t tail = rdb_load_little_endian(bytes.data + 4, 4);
    uint64_t claimed = rdb_load_little_endian(bytes.data + 8, 2);
    *entries = slice_make(bytes.data + ZIPLIST_HEAD_BYTES, bytes.size - ZIPLIST_HEAD_BYTES - 1);
    *count = 0;
    struct slice walk = *entries;
    size_t last_size = 0, last_at = ZIPLIST_HEAD_BYTES;
    for (; walk.size > 0; (*count)++) {
        const char *start = walk.data;
        struct rdb_packed_item item;
        uint64_t previous;
        if (!take_entry(&walk, &item, &previous) || previous != last_size) {
            return false;
        }
        last_size = (size_t)(walk.data - start);
        last_at = (size_t)(start - bytes.data);
    }
    return tail == last_at && (claimed == ZIPLIST_COUNT_UNKNOWN || claimed == *count);
}
