/* SPDX-License-Identifier: BSD-3-Clause */
/* Packed sequences: each encoding by hand at both ends of its range, the sizes at which a
 * listpack's back length grows, and sequences whose sizes, counts and steps do not agree. All are
 * read from blocks of exactly their size, so that a sanitizer sees a byte too far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/memory.h"
#include "commands/rdb_packed.h"
#include "unit/commands/rdb_bytes_of.h"

/* Opens a copy of `bytes` and appends the items' text, a space after each. */
static bool read_all(enum rdb_packed_kind kind, struct slice bytes, struct buffer *out) {
    char *block = memory_alloc(bytes.size);
    memcpy(block, bytes.data, bytes.size);
    struct rdb_packed packed;
    bool is_sound = rdb_packed_open(&packed, kind, slice_make(block, bytes.size));
    if (is_sound) {
        uint64_t count = packed.left, read = 0;
        struct rdb_packed_item item;
        char digits[NUMBER_INTEGER_BYTES_MAX];
        for (; rdb_packed_next(&packed, &item); read++) {
            buffer_append_slice(out, rdb_packed_text(&item, digits));
            buffer_append_byte(out, ' ');
        }
        assert_int_equal(read, count);
    }
    memory_free(block);
    return is_sound;
}

static void expect_hex(enum rdb_packed_kind kind, const char *hex, const char *text) {
    struct buffer bytes = {0}, read = {0};
    put_hex(&bytes, hex);
    bool is_sound = read_all(kind, buffer_slice(&bytes), &read);
    if (is_sound != (text != NULL)) {
        print_error("%s\n", hex);
    }
    assert_int_equal(is_sound, text != NULL);
    if (text != NULL) {
        assert_string_equal(buffer_text(&read), text);
    }
    buffer_deinit(&bytes);
    buffer_deinit(&read);
}

/* ---- listpacks ---- */

static const int64_t EDGES[] = {
    0,           127,      128,       -1,        4095,      4096,      -4096,
    -4097,       32767,    32768,     -32768,    -32769,    8388607,   8388608,
    -8388608,    -8388609, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 2147483648L,
    -2147483649, 63,       64,        1000000,   -1000000,  123456789, -123456789,
};

static void listpack_integers(void **state) {
    (void)state;
    struct buffer listpack = {0}, read = {0}, expected = {0};
    rdb_listpack_begin(&listpack);
    uint64_t count = 0;
    for (; count < sizeof(EDGES) / sizeof(*EDGES); count++) {
        rdb_listpack_put_integer(&listpack, EDGES[count]);
        buffer_printf(&expected, "%lld ", (long long)EDGES[count]);
    }
    rdb_listpack_end(&listpack, 0, count);
    assert_true(read_all(RDB_PACKED_LISTPACK, buffer_slice(&listpack), &read));
    assert_string_equal(buffer_text(&read), buffer_text(&expected));
    buffer_deinit(&listpack);
    buffer_deinit(&read);
    buffer_deinit(&expected);
}

/* The bytes of an entry and its back length, as redis-server 7.0.15 has them. */
static void listpack_back_lengths(void **state) {
    (void)state;
    static const struct {
        size_t string_bytes;
        const char *back; /* and the end */
    } SIZES[] = {
        {125, "7fff"},       {126, "0180ff"},       {16377, "7ffeff"},       {16378, "00ffffff"},
        {16379, "018080ff"}, {2097145, "7ffffeff"}, {2097146, "00ffffffff"},
    };
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(*SIZES); i++) {
        size_t size = SIZES[i].string_bytes;
        char *text = memory_alloc(size);
        memset(text, 'x', size);
        struct buffer listpack = {0}, read = {0}, back = {0};
        rdb_listpack_begin(&listpack);
        rdb_listpack_put(&listpack, slice_make(text, size));
        rdb_listpack_end(&listpack, 0, 1);
        put_hex(&back, SIZES[i].back);
        assert_memory_equal(listpack.data + listpack.size - back.size, back.data, back.size);
        assert_int_equal(listpack.data[listpack.size - back.size - 1], 'x');
        assert_true(read_all(RDB_PACKED_LISTPACK, buffer_slice(&listpack), &read));
        assert_int_equal(read.size, size + 1);
        memory_free(text);
        buffer_deinit(&listpack);
        buffer_deinit(&read);
        buffer_deinit(&back);
    }
}

static void listpacks_by_hand(void **state) {
    (void)state;
    const enum rdb_packed_kind kind = RDB_PACKED_LISTPACK;
    expect_hex(kind, "070000000000ff", "");
    expect_hex(kind, "0c0000000200826162030501ff", NULL); /* of one byte more */
    expect_hex(kind, "0d0000000200826162030501ff", "ab 5 ");
    expect_hex(kind, "0d000000ffff826162030501ff", "ab 5 "); /* uncounted */
    expect_hex(kind, "0d0000000100826162030501ff", NULL);
    expect_hex(kind, "0d0000000300826162030501ff", NULL);
    expect_hex(kind, "0d0000000200826162040501ff", NULL); /* wrong back length */
    expect_hex(kind, "0d0000000200826162030501fe", NULL); /* no end */
    expect_hex(kind, "0d0000000200ff6162030501ff", NULL); /* an end inside */
    expect_hex(kind, "0d0000000200f56162030501ff", NULL); /* no such encoding */
    expect_hex(kind, "0e0000000200826162030501ffff", NULL);
    expect_hex(kind, "090000000100dfff02ff", NULL); /* cut after its size */
    expect_hex(kind, "0a0000000100dfff02ff", "-1 ");
    expect_hex(kind, "0a0000000100d00002ff", "-4096 ");
    expect_hex(kind, "0a0000000100cfff02ff", "4095 ");
    expect_hex(kind, "0b0000000100f1008003ff", "-32768 ");
    expect_hex(kind, "0c0000000100f200008004ff", "-8388608 ");
    expect_hex(kind, "0d0000000100f30000008005ff", "-2147483648 ");
    expect_hex(kind, "110000000100f4000000000000008009ff", "-9223372036854775808 ");
    expect_hex(kind, "0b0000000100e0016103ff", "a "); /* a long form of a short string */
    expect_hex(kind, "0e0000000100f0010000006106ff", "a ");
    expect_hex(kind, "0e0000000100f0ffffffff6106ff", NULL);
    expect_hex(kind, "0e0000000100f0020000006106ff", NULL);
    expect_hex(kind, "0800000001008501ff", NULL);
    expect_hex(kind, "0600000000ff", NULL);
    expect_hex(kind, "080000000100f1ff", NULL);
    expect_hex(kind, "080000000100c0ff", NULL);
}

/* ---- ziplists ---- */

static void ziplists_by_hand(void **state) {
    (void)state;
    const enum rdb_packed_kind kind = RDB_PACKED_ZIPLIST;
    expect_hex(kind, "0b0000000a0000000000ff", "");
    expect_hex(kind, "0b0000000b0000000000ff", NULL); /* the last entry of none */
    expect_hex(kind,
               "100000000d0000000200000161"
               "03f1ff",
               "a 0 ");
    expect_hex(kind, "100000000d000000ffff00016103f1ff", "a 0 ");
    expect_hex(kind, "100000000d000000010000016103f1ff", NULL);
    expect_hex(kind, "110000000d000000020000016103f1ff", NULL);
    expect_hex(kind, "100000000a000000020000016103f1ff", NULL); /* not the last one */
    expect_hex(kind, "100000000d000000020000016104f1ff", NULL); /* not the size before */
    expect_hex(kind, "100000000d000000020001016103f1ff", NULL);
    expect_hex(kind, "100000000d000000020000016103f1fe", NULL);
    expect_hex(kind, "140000000d0000000200000161fe03000000fdff", "a 12 ");
    expect_hex(kind,
               "0d0000000a0000000100"
               "00f1ff",
               "0 ");
    expect_hex(kind,
               "0e0000000a0000000100"
               "00fe80ff",
               "-128 ");
    expect_hex(kind,
               "0f0000000a0000000100"
               "00c00080ff",
               "-32768 ");
    expect_hex(kind,
               "100000000a0000000100"
               "00f0000080ff",
               "-8388608 ");
    expect_hex(kind,
               "110000000a0000000100"
               "00d000000080ff",
               "-2147483648 ");
    expect_hex(kind,
               "150000000a0000000100"
               "00e00000000000000080ff",
               "-9223372036854775808 ");
    expect_hex(kind,
               "0f0000000a0000000100"
               "00400161ff",
               "a ");
    expect_hex(kind,
               "120000000a0000000100"
               "00800000000161ff",
               "a ");
    expect_hex(kind,
               "120000000a0000000100"
               "0080ffffffff61ff",
               NULL);
    expect_hex(kind,
               "120000000a0000000100"
               "00810000000161ff",
               NULL);
    expect_hex(kind,
               "0d0000000a0000000100"
               "00ffff",
               NULL);
    expect_hex(kind,
               "0d0000000a0000000100"
               "00c1ff",
               NULL);
    expect_hex(kind,
               "0d0000000a0000000100"
               "0001ff",
               NULL); /* a string without its byte */
    expect_hex(kind,
               "0c0000000a0000000100"
               "00ff",
               NULL);
    expect_hex(kind, "0a0000000a0000000000", NULL);
}

/* ---- intsets and zipmaps ---- */

static void intsets_by_hand(void **state) {
    (void)state;
    const enum rdb_packed_kind kind = RDB_PACKED_INTSET;
    expect_hex(kind, "0200000000000000", "");
    expect_hex(kind,
               "0200000003000000"
               "feff00000100",
               "-2 0 1 ");
    expect_hex(kind,
               "0400000002000000"
               "00000080ffffff7f",
               "-2147483648 2147483647 ");
    expect_hex(kind,
               "0800000001000000"
               "0000000000000080",
               "-9223372036854775808 ");
    expect_hex(kind,
               "0200000003000000"
               "000000000100",
               NULL); /* one twice */
    expect_hex(kind,
               "0200000003000000"
               "0000feff0100",
               NULL); /* out of order */
    expect_hex(kind,
               "0200000002000000"
               "feff00000100",
               NULL);
    expect_hex(kind,
               "0200000004000000"
               "feff00000100",
               NULL);
    expect_hex(kind,
               "0300000002000000"
               "feff00000100",
               NULL);
    expect_hex(kind, "0000000000000000", NULL);
    expect_hex(kind, "08000000000000e0", NULL);
    expect_hex(kind, "02000000000000", NULL);
}

static void zipmaps_by_hand(void **state) {
    (void)state;
    const enum rdb_packed_kind kind = RDB_PACKED_ZIPMAP;
    expect_hex(kind, "00ff", "");
    expect_hex(kind,
               "01016101"
               "0062ff",
               "a b ");
    expect_hex(kind, "0101610102620000ff", "a b "); /* two bytes that are not in use */
    expect_hex(kind,
               "fe016101"
               "0062ff",
               "a b "); /* uncounted */
    expect_hex(kind,
               "01fe010000006101"
               "0062ff",
               "a b ");
    expect_hex(kind,
               "ff016101"
               "0062ff",
               NULL);
    expect_hex(kind,
               "02016101"
               "0062ff",
               NULL);
    expect_hex(kind, "0101610103620000ff", NULL);
    expect_hex(kind, "010161ff", NULL);
    expect_hex(kind, "01016101ff", NULL);
    expect_hex(kind,
               "01016101"
               "0062fe",
               NULL);
    expect_hex(kind, "01feffffffff61010062ff", NULL);
    expect_hex(kind, "01fe0100ff", NULL);
    expect_hex(kind, "ff", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listpack_integers), cmocka_unit_test(listpack_back_lengths),
        cmocka_unit_test(listpacks_by_hand), cmocka_unit_test(ziplists_by_hand),
        cmocka_unit_test(intsets_by_hand),   cmocka_unit_test(zipmaps_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
