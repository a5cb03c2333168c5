/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/rdb_listpack.h"

#include "base/check.h"
#include "commands/rdb_bytes.h"

enum {
    LISTPACK_END = 255,
    LISTPACK_COUNT_UNKNOWN = UINT16_MAX,
    LISTPACK_STRING_6_BITS = 0x80,
    LISTPACK_INTEGER_13_BITS = 0xC0,
    LISTPACK_STRING_12_BITS = 0xE0,
    LISTPACK_STRING_32_BITS = 0xF0,
    LISTPACK_INTEGER_16_BITS = 0xF1,
    LISTPACK_INTEGER_24_BITS = 0xF2,
    LISTPACK_INTEGER_32_BITS = 0xF3,
    LISTPACK_INTEGER_64_BITS = 0xF4,
    BACK_LENGTH_BYTES_MAX = 5,
    BACK_LENGTH_SHORT_MAX = 127, /* up to here it is one byte */
};

/* Writes the back length of an entry of `size` bytes and returns how many bytes it took. From two
 * bytes on, the largest number that would fit is written with a byte more: Redis does so and
 * derives its steps from that. */
static size_t back_length(char at[BACK_LENGTH_BYTES_MAX], uint64_t size) {
    unsigned bytes = size <= BACK_LENGTH_SHORT_MAX ? 1
                     : size < 16383                ? 2
                     : size < 2097151              ? 3
                     : size < 268435455u           ? 4
                                                   : 5;
    for (unsigned i = 0; i < bytes; i++) {
        unsigned group = (unsigned)(size >> (7 * (bytes - 1 - i))) & 127;
        at[i] = (char)(i == 0 ? group : group | 128);
    }
    return bytes;
}

/* ---- reading ---- */

/* Reads the encoding at the front of `entries`: where the string begins and its size, or the
 * integer. Returns the bytes before the string, 0 when there are too few or no such encoding. */
static size_t take_encoding(struct slice entries, struct rdb_packed_item *item) {
    const char *at = entries.data;
    size_t room = entries.size;
    if (room == 0) {
        return 0;
    }
    uint8_t first = (uint8_t)at[0];
    *item = (struct rdb_packed_item){.is_integer = true};
    if (first < LISTPACK_STRING_6_BITS) {
        item->integer = first;
        return 1;
    }
    if (first < LISTPACK_INTEGER_13_BITS) {
        *item = (struct rdb_packed_item){.bytes.size = first & 63};
        return 1;
    }
    if (first < LISTPACK_STRING_32_BITS) {
        if (room < 2) {
            return 0;
        }
        uint64_t both = rdb_load_big_endian(at, 2);
        if (first < LISTPACK_STRING_12_BITS) {
            item->integer = rdb_sign_extend(both & 0x1FFF, 13);
        } else {
            *item = (struct rdb_packed_item){.bytes.size = both & 0xFFF};
        }
        return 2;
    }
    if (first > LISTPACK_INTEGER_64_BITS) {
        return 0;
    }
    static const uint8_t WIDTHS[] = {4, 2, 3, 4, 8};
    unsigned width = WIDTHS[first - LISTPACK_STRING_32_BITS];
    if (room < 1 + width) {
        return 0;
    }
    uint64_t raw = rdb_load_little_endian(at + 1, width);
    if (first == LISTPACK_STRING_32_BITS) {
        *item = (struct rdb_packed_item){.bytes.size = (size_t)raw};
    } else {
        item->integer = rdb_sign_extend(raw, 8 * width);
    }
    return 1 + width;
}

bool rdb_listpack_take(struct slice *entries, struct rdb_packed_item *item) {
    size_t head = take_encoding(*entries, item);
    if (head == 0 || item->bytes.size > entries->size - head) {
        return false;
    }
    size_t size = head + item->bytes.size;
    item->bytes.data = entries->data + head;
    if (likely(size <= BACK_LENGTH_SHORT_MAX)) {
        if (entries->size == size || (uint8_t)entries->data[size] != size) {
            return false;
        }
        *entries = slice_skip(*entries, size + 1);
        return true;
    }
    char back[BACK_LENGTH_BYTES_MAX];
    size_t back_bytes = back_length(back, size);
    if (entries->size - size < back_bytes || entries->data[size] != back[0] ||
        (back_bytes > 1 && memcmp(entries->data + size, back, back_bytes) != 0)) {
        return false;
    }
    *entries = slice_skip(*entries, size + back_bytes);
    return true;
}

bool rdb_listpack_open(struct slice bytes, struct slice *entries, uint64_t *count) {
    require(bytes.size >= RDB_LISTPACK_HEAD_BYTES + 1);
    *entries =
        slice_make(bytes.data + RDB_LISTPACK_HEAD_BYTES, bytes.size - RDB_LISTPACK_HEAD_BYTES - 1);
    *count = rdb_load_little_endian(bytes.data + 4, 2);
    return *count != LISTPACK_COUNT_UNKNOWN;
}

bool rdb_listpack_check(struct slice bytes, struct slice *entries, uint64_t *count) {
    if (bytes.size < RDB_LISTPACK_HEAD_BYTES + 1 ||
        rdb_load_little_endian(bytes.data, 4) != bytes.size ||
        (uint8_t)bytes.data[bytes.size - 1] != LISTPACK_END) {
        return false;
    }
    uint64_t claimed;
    bool is_told = rdb_listpack_open(bytes, entries, &claimed);
    *count = 0;
    for (struct slice walk = *entries; walk.size > 0; (*count)++) {
        struct rdb_packed_item item;
        if (!rdb_listpack_take(&walk, &item)) {
            return false;
        }
    }
    return !is_told || claimed == *count;
}

/* ---- writing ---- */

static void put_back_length(struct buffer *out, size_t size) {
    out->size += back_length(buffer_reserve(out, BACK_LENGTH_BYTES_MAX), size);
}

static bool fits(int64_t integer, unsigned bits) {
    int64_t bound = (int64_t)1 << (bits - 1);
    return integer >= -bound && integer < bound;
}

void rdb_listpack_put_integer(struct buffer *out, int64_t integer) {
    size_t start = out->size;
    uint64_t raw = (uint64_t)integer;
    if (integer >= 0 && integer < LISTPACK_STRING_6_BITS) {
        buffer_append_byte(out, (uint8_t)raw);
    } else if (fits(integer, 13)) {
        rdb_put_big_endian(out, (uint64_t)LISTPACK_INTEGER_13_BITS << 8 | (raw & 0x1FFF), 2);
    } else if (fits(integer, 16)) {
        buffer_append_byte(out, LISTPACK_INTEGER_16_BITS);
        rdb_put_little_endian(out, raw, 2);
    } else if (fits(integer, 24)) {
        buffer_append_byte(out, LISTPACK_INTEGER_24_BITS);
        rdb_put_little_endian(out, raw, 3);
    } else if (fits(integer, 32)) {
        buffer_append_byte(out, LISTPACK_INTEGER_32_BITS);
        rdb_put_little_endian(out, raw, 4);
    } else {
        buffer_append_byte(out, LISTPACK_INTEGER_64_BITS);
        rdb_put_little_endian(out, raw, 8);
    }
    put_back_length(out, out->size - start);
}

void rdb_listpack_put(struct buffer *out, struct slice bytes) {
    int64_t integer;
    if (number_parse_integer(bytes, &integer)) {
        rdb_listpack_put_integer(out, integer);
        return;
    }
    size_t start = out->size;
    if (bytes.size < 64) {
        buffer_append_byte(out, (uint8_t)(LISTPACK_STRING_6_BITS | bytes.size));
    } else if (bytes.size < 4096) {
        rdb_put_big_endian(out, (uint64_t)LISTPACK_STRING_12_BITS << 8 | bytes.size, 2);
    } else {
        buffer_append_byte(out, LISTPACK_STRING_32_BITS);
        rdb_put_little_endian(out, bytes.size, 4);
    }
    buffer_append_slice(out, bytes);
    put_back_length(out, out->size - start);
}

void rdb_listpack_begin(struct buffer *out) {
    memset(buffer_reserve(out, RDB_LISTPACK_HEAD_BYTES), 0, RDB_LISTPACK_HEAD_BYTES);
    out->size += RDB_LISTPACK_HEAD_BYTES;
}

void rdb_listpack_end(struct buffer *out, size_t start, uint64_t count) {
    buffer_append_byte(out, LISTPACK_END);
    size_t size = out->size - start;
    require(size <= UINT32_MAX);
    uint64_t told = count < LISTPACK_COUNT_UNKNOWN ? count : LISTPACK_COUNT_UNKNOWN;
    for (unsigned i = 0; i < 4; i++) {
        out->data[start + i] = (char)(size >> (8 * i));
    }
    out->data[start + 4] = (char)told;
    out->data[start + 5] = (char)(told >> 8);
}
