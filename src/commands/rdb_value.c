/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/rdb_value.h"

#include "base/check.h"
#include "base/crc64.h"
#include "base/lzf.h"
#include "base/memory.h"
#include "base/number.h"
#include "commands/rdb_bytes.h"

/* The first byte of a length or string. */
enum {
    RDB_KIND_MASK = 0xC0,
    RDB_KIND_6_BITS = 0x00,
    RDB_KIND_14_BITS = 0x40,
    RDB_KIND_SPECIAL = 0xC0,
    RDB_LENGTH_32_BITS = 0x80,
    RDB_LENGTH_64_BITS = 0x81,
    RDB_STRING_INT8 = 0xC0,
    RDB_STRING_INT16 = 0xC1,
    RDB_STRING_INT32 = 0xC2,
    RDB_STRING_LZF = 0xC3,
};

enum {
    RDB_INTEGER_TEXT_BYTES_MAX = 11, /* "-2147483648" */
    RDB_COMPRESS_BYTES_MIN = 21,     /* shorter strings gain nothing */
    RDB_COMPRESS_GAIN_MIN = 4,
};

/* ---- writing ---- */

void rdb_value_put_length(struct buffer *out, uint64_t length) {
    if (length < 1 << 6) {
        buffer_append_byte(out, (uint8_t)length);
    } else if (length < 1 << 14) {
        rdb_put_big_endian(out, (uint64_t)RDB_KIND_14_BITS << 8 | length, 2);
    } else if (length <= UINT32_MAX) {
        buffer_append_byte(out, RDB_LENGTH_32_BITS);
        rdb_put_big_endian(out, length, 4);
    } else {
        buffer_append_byte(out, RDB_LENGTH_64_BITS);
        rdb_put_big_endian(out, length, 8);
    }
}

/* Writes the integer that `bytes` spell, if they do and it fits 32 bits. */
static bool put_integer(struct buffer *out, struct slice bytes) {
    int64_t value;
    if (bytes.size > RDB_INTEGER_TEXT_BYTES_MAX || !number_parse_integer(bytes, &value)) {
        return false;
    }
    if (value >= INT8_MIN && value <= INT8_MAX) {
        buffer_append_byte(out, RDB_STRING_INT8);
        rdb_put_little_endian(out, (uint64_t)value, 1);
    } else if (value >= INT16_MIN && value <= INT16_MAX) {
        buffer_append_byte(out, RDB_STRING_INT16);
        rdb_put_little_endian(out, (uint64_t)value, 2);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        buffer_append_byte(out, RDB_STRING_INT32);
        rdb_put_little_endian(out, (uint64_t)value, 4);
    } else {
        return false;
    }
    return true;
}

/* Writes `bytes` compressed, if that is worth it. */
static bool put_compressed(struct buffer *out, struct slice bytes) {
    if (bytes.size < RDB_COMPRESS_BYTES_MIN || bytes.size >= UINT32_MAX) {
        return false;
    }
    size_t room = bytes.size - RDB_COMPRESS_GAIN_MIN;
    char *compressed = memory_try_alloc(room);
    if (compressed == NULL) {
        return false;
    }
    size_t size = lzf_compress(bytes, compressed, room);
    if (size > 0) {
        buffer_append_byte(out, RDB_STRING_LZF);
        rdb_value_put_length(out, size);
        rdb_value_put_length(out, bytes.size);
        buffer_append(out, compressed, size);
    }
    memory_free(compressed);
    return size > 0;
}

void rdb_value_put_string(struct buffer *out, struct slice bytes, bool compress) {
    if (put_integer(out, bytes) || (compress && put_compressed(out, bytes))) {
        return;
    }
    rdb_value_put_length(out, bytes.size);
    buffer_append_slice(out, bytes);
}

void rdb_value_put_footer_of(struct buffer *out, unsigned version) {
    rdb_put_little_endian(out, version, 2);
    rdb_put_little_endian(out, crc64(0, buffer_slice(out)), 8);
}

void rdb_value_put_footer(struct buffer *out) {
    rdb_value_put_footer_of(out, RDB_VALUE_VERSION_WRITTEN);
}

/* ---- reading ---- */

enum rdb_value_status rdb_value_check_footer(struct slice *payload) {
    if (payload->size < RDB_VALUE_FOOTER_BYTES) {
        return RDB_VALUE_BAD_FOOTER;
    }
    size_t value_bytes = payload->size - RDB_VALUE_FOOTER_BYTES;
    const char *footer = payload->data + value_bytes;
    if (rdb_load_little_endian(footer, 2) > RDB_VALUE_VERSION_READ_MAX ||
        rdb_load_little_endian(footer + 2, 8) !=
            crc64(0, slice_make(payload->data, value_bytes + 2))) {
        return RDB_VALUE_BAD_FOOTER;
    }
    payload->size = value_bytes;
    return RDB_VALUE_OK;
}

/* Reads `count` big-endian bytes after the first one, as a length whose first byte contributes
 * `high`. */
static bool take_length_bytes(struct slice *bytes, unsigned count, uint64_t high,
                              uint64_t *length) {
    if (bytes->size < 1 + count) {
        return false;
    }
    uint64_t low = rdb_load_big_endian(bytes->data + 1, count);
    *length = count == 8 ? low : high << (8 * count) | low;
    *bytes = slice_skip(*bytes, 1 + count);
    return true;
}

bool rdb_value_take_length(struct slice *bytes, uint64_t *length) {
    if (bytes->size == 0) {
        return false;
    }
    uint8_t first = (uint8_t)bytes->data[0];
    switch (first & RDB_KIND_MASK) {
    case RDB_KIND_6_BITS:
        return take_length_bytes(bytes, 0, first, length);
    case RDB_KIND_14_BITS:
        return take_length_bytes(bytes, 1, first & ~RDB_KIND_MASK, length);
    case RDB_KIND_SPECIAL:
        return false;
    default:
        break;
    }
    if (first == RDB_LENGTH_32_BITS) {
        return take_length_bytes(bytes, 4, 0, length);
    }
    return first == RDB_LENGTH_64_BITS && take_length_bytes(bytes, 8, 0, length);
}

static enum rdb_value_status take_plain(struct slice *bytes, uint64_t bytes_max,
                                        struct rdb_value_string *string) {
    uint64_t size;
    if (!rdb_value_take_length(bytes, &size) || size > bytes->size || size > bytes_max) {
        return RDB_VALUE_MALFORMED;
    }
    string->bytes = slice_make(bytes->data, (size_t)size);
    *bytes = slice_skip(*bytes, (size_t)size);
    return RDB_VALUE_OK;
}

static enum rdb_value_status take_integer(struct slice *bytes, unsigned width,
                                          struct rdb_value_string *string) {
    if (bytes->size < 1 + width) {
        return RDB_VALUE_MALFORMED;
    }
    uint64_t raw = rdb_load_little_endian(bytes->data + 1, width);
    int64_t value = rdb_sign_extend(raw, 8 * width);
    string->bytes = slice_make(string->digits, number_format_integer(string->digits, value));
    *bytes = slice_skip(*bytes, 1 + width);
    return RDB_VALUE_OK;
}

/* Makes room for `size` bytes; what was there is lost. */
static bool reserve(struct rdb_value_string *string, size_t size) {
    if (string->owned_bytes >= size) {
        return true;
    }
    rdb_value_string_deinit(string);
    string->owned = memory_try_alloc(size);
    if (string->owned == NULL) {
        return false;
    }
    string->owned_bytes = size;
    return true;
}

static enum rdb_value_status take_compressed(struct slice *bytes, uint64_t bytes_max,
                                             struct rdb_value_string *string) {
    uint64_t compressed, size;
    *bytes = slice_skip(*bytes, 1);
    if (!rdb_value_take_length(bytes, &compressed) || !rdb_value_take_length(bytes, &size)) {
        return RDB_VALUE_MALFORMED;
    }
    /* A size that the compressed bytes cannot give is refused before anything is allocated. */
    if (compressed > bytes->size || size == 0 || size > bytes_max ||
        size / LZF_EXPANSION_MAX > compressed) {
        return RDB_VALUE_MALFORMED;
    }
    if (!reserve(string, (size_t)size)) {
        return RDB_VALUE_OUT_OF_MEMORY;
    }
    struct slice input = slice_make(bytes->data, (size_t)compressed);
    if (!lzf_expand(input, string->owned, (size_t)size)) {
        return RDB_VALUE_MALFORMED;
    }
    string->bytes = slice_make(string->owned, (size_t)size);
    *bytes = slice_skip(*bytes, (size_t)compressed);
    return RDB_VALUE_OK;
}

enum rdb_value_status rdb_value_take_string(struct slice *bytes, uint64_t bytes_max,
                                            struct rdb_value_string *string) {
    string->bytes = SLICE("");
    if (bytes->size == 0) {
        return RDB_VALUE_MALFORMED;
    }
    switch ((uint8_t)bytes->data[0]) {
    case RDB_STRING_INT8:
        return take_integer(bytes, 1, string);
    case RDB_STRING_INT16:
        return take_integer(bytes, 2, string);
    case RDB_STRING_INT32:
        return take_integer(bytes, 4, string);
    case RDB_STRING_LZF:
        return take_compressed(bytes, bytes_max, string);
    default:
        return take_plain(bytes, bytes_max, string);
    }
}

void rdb_value_string_deinit(struct rdb_value_string *string) {
    memory_free(string->owned);
    string->owned = NULL;
    string->owned_bytes = 0;
}
