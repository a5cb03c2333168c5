/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading values of all types: what redis-server wrote is what it said it is; values that no server
 * writes are refused, each for one reason; and whatever happens to a byte of a sound value, it is
 * refused or still one that can be read to its end, written and read again. All is read from blocks
 * of exactly its size, so that a sanitizer sees a byte too far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "unit/commands/rdb_bytes_of.h"
#include "unit/commands/rdb_payloads.h"
#include "unit/commands/rdb_text.h"

enum { PAYLOADS_COUNT = sizeof(RDB_PAYLOADS) / sizeof(*RDB_PAYLOADS) };

/* Reads a copy of `value`. */
static enum rdb_value_status text_of(struct buffer *out, struct slice value) {
    char *block = memory_alloc(value.size);
    if (value.size > 0) {
        memcpy(block, value.data, value.size);
    }
    enum rdb_value_status status = rdb_text(out, slice_make(block, value.size), RDB_TEXT_ALL);
    memory_free(block);
    return status;
}

static void payloads_are_read(void **state) {
    (void)state;
    for (size_t i = 0; i < PAYLOADS_COUNT; i++) {
        struct buffer value = {0}, text = {0};
        put_hex(&value, RDB_PAYLOADS[i].hex);
        if (text_of(&text, buffer_slice(&value)) != RDB_VALUE_OK ||
            strcmp(buffer_text(&text), RDB_PAYLOADS[i].text) != 0) {
            fail_msg("%s: %s", RDB_PAYLOADS[i].name, buffer_text(&text));
        }
        buffer_deinit(&value);
        buffer_deinit(&text);
    }
}

/* What is read from `value`, if anything, survives being written and read again. */
static void read_and_rewrite(struct slice value) {
    struct buffer before = {0}, after = {0}, written = {0};
    char *block = memory_alloc(value.size);
    memcpy(block, value.data, value.size);
    value.data = block;
    if (rdb_text(&before, value, RDB_TEXT_VERSION_10) == RDB_VALUE_OK) {
        rdb_text_rewrite(&written, value, &RDB_WRITER_LIMITS_DEFAULT);
        struct slice payload = buffer_slice(&written);
        assert_int_equal(rdb_value_check_footer(&payload), RDB_VALUE_OK);
        assert_int_equal(rdb_text(&after, payload, RDB_TEXT_VERSION_10), RDB_VALUE_OK);
        assert_string_equal(buffer_text(&before), buffer_text(&after));
    }
    memory_free(block);
    buffer_deinit(&before);
    buffer_deinit(&after);
    buffer_deinit(&written);
}

static void damaged_bytes(void **state) {
    (void)state;
    for (size_t i = 0; i < PAYLOADS_COUNT; i++) {
        struct buffer value = {0};
        put_hex(&value, RDB_PAYLOADS[i].hex);
        for (size_t at = 0; at < value.size; at++) {
            char right = value.data[at];
            for (unsigned bit = 0; bit < 8; bit++) {
                value.data[at] = (char)(right ^ (1 << bit));
                read_and_rewrite(buffer_slice(&value));
            }
            value.data[at] = (char)0xFF;
            read_and_rewrite(buffer_slice(&value));
            value.data[at] = 0;
            read_and_rewrite(buffer_slice(&value));
            value.data[at] = right;
        }
        buffer_deinit(&value);
    }
}

static void cut_and_longer_values(void **state) {
    (void)state;
    for (size_t i = 0; i < PAYLOADS_COUNT; i++) {
        struct buffer value = {0}, text = {0};
        put_hex(&value, RDB_PAYLOADS[i].hex);
        for (size_t size = 0; size < value.size; size++) {
            if (text_of(&text, slice_make(value.data, size)) != RDB_VALUE_MALFORMED) {
                fail_msg("%s, %zu bytes of it: %s", RDB_PAYLOADS[i].name, size, buffer_text(&text));
            }
        }
        for (unsigned byte = 0; byte < 256; byte++) {
            size_t size = value.size;
            buffer_append_byte(&value, (uint8_t)byte);
            assert_int_equal(text_of(&text, buffer_slice(&value)), RDB_VALUE_MALFORMED);
            value.size = size;
        }
        buffer_deinit(&value);
        buffer_deinit(&text);
    }
}

/* ---- values that no server writes ---- */

static void expect(const struct buffer *value, bool is_sound, const char *what) {
    struct buffer text = {0};
    enum rdb_value_status status = text_of(&text, buffer_slice(value));
    if (status != (is_sound ? RDB_VALUE_OK : RDB_VALUE_MALFORMED)) {
        fail_msg("%s: %s", what, buffer_text(&text));
    }
    buffer_deinit(&text);
}

static void expect_hex(const char *hex, bool is_sound, const char *what) {
    struct buffer value = {0};
    put_hex(&value, hex);
    expect(&value, is_sound, what);
    buffer_deinit(&value);
}

/* A value of `type` that is one listpack. */
static void expect_listpack(enum rdb_type type, const char *words, bool is_sound) {
    struct buffer value = {0};
    buffer_append_byte(&value, (uint8_t)type);
    put_listpack(&value, words);
    expect(&value, is_sound, words);
    buffer_deinit(&value);
}

static void types(void **state) {
    (void)state;
    expect_hex("", false, "nothing");
    expect_hex("0000", true, "an empty string");
    for (unsigned type = 0; type < 256; type++) {
        bool is_module = type == RDB_TYPE_MODULE || type == RDB_TYPE_MODULE_2;
        if (is_module || type == 8 || type >= RDB_TYPES_COUNT) {
            struct buffer value = {0};
            buffer_append_byte(&value, (uint8_t)type);
            expect(&value, false, "a type alone");
            put_hex(&value, "0000");
            expect(&value, false, "a type that is not known");
            buffer_deinit(&value);
        }
    }
}

static void empty_collections(void **state) {
    (void)state;
    static const char *const EMPTY[] = {
        "0100",
        "0200",
        "0300",
        "0400",
        "0500",
        "0e00",
        "1200",
        "1600",
        "18000000000000000000",
        "090200ff",
        "0a0b0b0000000a0000000000ff",
        "0b080200000000000000",
        "0c0b0b0000000a0000000000ff",
        "0d0b0b0000000a0000000000ff",
        "1007070000000000ff",
        "1107070000000000ff",
        "1407070000000000ff",
        "1707070000000000ff",
        "19000000000000000007070000000000ff",
        "0e010b0b0000000a0000000000ff",
        "12010207070000000000ff",
    };
    for (size_t i = 0; i < sizeof(EMPTY) / sizeof(*EMPTY); i++) {
        expect_hex(EMPTY[i], false, EMPTY[i]);
    }
    expect_hex("12020207070000000000ff0209090000000100"
               "0501ff",
               true, "a list with an empty node");
}

static void names_that_are_there_twice(void **state) {
    (void)state;
    expect_hex("020201610162", true, "a set");
    expect_hex("020201610161", false, "a member twice");
    expect_hex("0202c0050135", false, "a member twice, once as an integer");
    expect_hex("0402016101310162"
               "0131",
               true, "a hash");
    expect_hex("0402016101310161"
               "0132",
               false, "a field twice");
    expect_hex("0302016101310162"
               "0131",
               true, "a sorted set");
    expect_hex("0302016101310161"
               "0132",
               false, "a member twice, text scores");
    expect_hex("0502016100000000000000000162"
               "0000000000000000",
               true, "a sorted set");
    expect_hex("0502016100000000000000000161"
               "0000000000000000",
               false, "a member twice");
    expect_listpack(RDB_TYPE_SET_LISTPACK, "a b", true);
    expect_listpack(RDB_TYPE_SET_LISTPACK, "a a", false);
    expect_listpack(RDB_TYPE_HASH_LISTPACK, "a 1 b 1", true);
    expect_listpack(RDB_TYPE_HASH_LISTPACK, "a 1 a 2", false);
    expect_listpack(RDB_TYPE_ZSET_LISTPACK, "a 1 b 1", true);
    expect_listpack(RDB_TYPE_ZSET_LISTPACK, "a 1 a 2", false);
}

static void pairs_and_scores(void **state) {
    (void)state;
    expect_listpack(RDB_TYPE_HASH_LISTPACK, "a 1 b", false);
    expect_listpack(RDB_TYPE_ZSET_LISTPACK, "a 1 b", false);
    expect_listpack(RDB_TYPE_ZSET_LISTPACK, "a inf b -inf c 2.5 d 1e300", true);
    expect_listpack(RDB_TYPE_ZSET_LISTPACK, "a nan", false);
    expect_listpack(RDB_TYPE_ZSET_LISTPACK, "a one", false);
    expect_listpack(RDB_TYPE_ZSET_LISTPACK, "a 1x", false);
    expect_hex("03010161fe", true, "infinity");
    expect_hex("03010161fd", false, "not a number");
    expect_hex("0301016103"
               "6e616e",
               false, "not a number, in letters");
    expect_hex("0301016100", false, "no number");
    expect_hex("05010161000000000000f07f", true, "infinity");
    expect_hex("05010161000000000000f87f", false, "not a number");
    expect_hex("05010161010000000000f0ff", false, "not a number, another one");
    expect_listpack(RDB_TYPE_HASH_LISTPACK_EX_PRE_GA, "a 1 0", true);
    expect_listpack(RDB_TYPE_HASH_LISTPACK_EX_PRE_GA, "a 1 281474976710655", true);
    expect_listpack(RDB_TYPE_HASH_LISTPACK_EX_PRE_GA, "a 1 281474976710656", false);
    expect_listpack(RDB_TYPE_HASH_LISTPACK_EX_PRE_GA, "a 1 -1", false);
    expect_listpack(RDB_TYPE_HASH_LISTPACK_EX_PRE_GA, "a 1 soon", false);
    expect_listpack(RDB_TYPE_HASH_LISTPACK_EX_PRE_GA, "a 1 0 b 2", false);
    expect_hex("18ffffffffffff0000"
               "0101"
               "0161"
               "0162",
               true, "the last moment");
    expect_hex("18ffffffffffff0000"
               "0102"
               "0161"
               "0162",
               false, "after the last moment");
    expect_hex("180000000000000100"
               "0100"
               "0161"
               "0162",
               true, "no time at all");
    expect_hex("180100000000000100"
               "0100"
               "0161"
               "0162",
               false, "a least time behind never");
    expect_hex("180000000000000100"
               "0101"
               "0161"
               "0162",
               false, "a least time too late");
}

static void claims(void **state) {
    (void)state;
    /* Each claims more than the value has. */
    static const char *const CLAIMS[] = {
        "0081ffffffffffffffff61",
        "000261",
        "0181ffffffffffffffff0161",
        "02030161"
        "0162",
        "0181000000000000000a0161",
        "0f81ffffffffffffffff",
        "0f00000000"
        "81ffffffffffffffff",
        "0f01",
        "1281ffffffffffffffff",
        "12010361",
        "1201"
        "0061",
        "0e018000000000",
        /* LZF: 1 GiB from 3 bytes; more than 3 bytes can give; nothing. */
        "00c30380400000000061c000",
        "00c3034199"
        "0061e0ff00",
        "00c30100"
        "00",
        "00c3050a0061",
        "00c4",
        "00ff",
        "0080",
        "0040",
    };
    for (size_t i = 0; i < sizeof(CLAIMS) / sizeof(*CLAIMS); i++) {
        expect_hex(CLAIMS[i], false, CLAIMS[i]);
    }
    expect_hex("12010161", false, "a plain node without its element");
    expect_hex("1201010161", true, "a plain node");
    expect_hex("1201030161", false, "a node of a third kind");
}

static void strings_above_the_bound(void **state) {
    (void)state;
    static const char *const VALUES[] = {"000461626364", "01010461626364"};
    for (size_t i = 0; i < 2; i++) {
        struct buffer value = {0};
        put_hex(&value, VALUES[i]);
        for (uint64_t bytes_max = 3; bytes_max <= 4; bytes_max++) {
            struct rdb_reader reader;
            enum rdb_value_status status =
                rdb_reader_open(&reader, buffer_slice(&value), bytes_max, RDB_TEXT_SEED);
            assert_int_equal(status, bytes_max == 4 ? RDB_VALUE_OK : RDB_VALUE_MALFORMED);
            rdb_reader_deinit(&reader);
        }
        buffer_deinit(&value);
    }
}

/* ---- streams that no server writes ---- */

/* A stream of two nodes with three entries and a group, with places to go wrong at. */
struct stream_parts {
    uint64_t second_ms;     /* the second node's id */
    const char *first_node; /* listpack */
    const char *second_node;
    uint64_t length, last_ms, added;
    uint64_t pending[3];       /* ms of ids in the group; 0: none */
    uint64_t alice[2], bob[2]; /* at the consumers */
    const char *alice_name, *group_name;
    unsigned groups_count;
};

static const struct stream_parts SOUND = {
    .second_ms = 5,
    .first_node = "2 1 1 f 0 2 0 0 v 4 3 1 0 x 4 0 2 0 2 g w h u 8",
    .second_node = "1 0 1 f 0 2 0 0 v 4",
    .length = 3,
    .last_ms = 5,
    .added = 4,
    .pending = {1, 3, 9},
    .alice = {3, 1},
    .bob = {9},
    .alice_name = "alice",
    .group_name = "g",
    .groups_count = 1,
};

static void put_ids(struct buffer *out, const uint64_t ms[2]) {
    rdb_value_put_length(out, (ms[0] > 0) + (ms[1] > 0));
    for (unsigned i = 0; i < 2 && ms[i] > 0; i++) {
        put_binary_id(out, ms[i], 0);
    }
}

static void put_group(struct buffer *out, const struct stream_parts *parts, const char *name) {
    put_text(out, name);
    put_hex(out, "0500"
                 "03"); /* last id, entries read */
    unsigned count = 0;
    while (count < 3 && parts->pending[count] > 0) {
        count++;
    }
    rdb_value_put_length(out, count);
    for (unsigned i = 0; i < count; i++) {
        put_binary_id(out, parts->pending[i], 0);
        rdb_put_little_endian(out, 1600000000000 + i, 8);
        rdb_value_put_length(out, i + 1);
    }
    rdb_value_put_length(out, 2);
    put_text(out, parts->alice_name);
    rdb_put_little_endian(out, 1600000000005, 8);
    put_ids(out, parts->alice);
    put_text(out, "bob");
    rdb_put_little_endian(out, 1600000000006, 8);
    put_ids(out, parts->bob);
}

static void put_stream(struct buffer *out, const struct stream_parts *parts) {
    put_hex(out, "1302"
                 "10");
    put_binary_id(out, 1, 0);
    put_listpack(out, parts->first_node);
    put_hex(out, "10");
    put_binary_id(out, parts->second_ms, 0);
    put_listpack(out, parts->second_node);
    rdb_value_put_length(out, parts->length);
    rdb_value_put_length(out, parts->last_ms);
    put_hex(out, "00"
                 "0100"
                 "0200"); /* of the last id, the first id, the greatest deleted */
    rdb_value_put_length(out, parts->added);
    rdb_value_put_length(out, parts->groups_count);
    put_group(out, parts, "g");
    if (parts->groups_count > 1) {
        put_group(out, parts, parts->group_name);
    }
}

static void expect_stream(const struct stream_parts *parts, bool is_sound, const char *what) {
    struct buffer value = {0};
    put_stream(&value, parts);
    expect(&value, is_sound, what);
    buffer_deinit(&value);
}

#define EXPECT_STREAM(is_sound, what, ...)                                                         \
    do {                                                                                           \
        struct stream_parts parts = SOUND;                                                         \
        __VA_ARGS__;                                                                               \
        expect_stream(&parts, is_sound, what);                                                     \
    } while (0)

static void a_sound_stream(void **state) {
    (void)state;
    struct buffer value = {0}, text = {0};
    put_stream(&value, &SOUND);
    assert_int_equal(text_of(&text, buffer_slice(&value)), RDB_VALUE_OK);
    assert_string_equal(
        buffer_text(&text),
        "stream 1-0{f=v} 3-0{g=w h=u} 5-0{f=v}; length=3 first=1-0 last=5-0 deleted=2-0 added=4; "
        "group g last=5-0 read=3 pending=3; consumer alice seen=1600000000005 "
        "active=1600000000005 3-0@1600000000001*2 1-0@1600000000000*1; consumer bob "
        "seen=1600000000006 active=1600000000006 9-0@1600000000002*3");
    buffer_deinit(&value);
    buffer_deinit(&text);
}

static void nodes_of_streams(void **state) {
    (void)state;
    EXPECT_STREAM(true, "as it should be", (void)parts);
    EXPECT_STREAM(false, "a node before its predecessor", parts.second_ms = 1);
    EXPECT_STREAM(false, "a length of one more", parts.length = 4);
    EXPECT_STREAM(false, "a length of one less", parts.length = 2);
    EXPECT_STREAM(false, "an entry after the last", parts.last_ms = 4);
    EXPECT_STREAM(true, "a last id later on", parts.last_ms = 6);
    EXPECT_STREAM(false, "fewer added than there are", parts.added = 2);
    static const struct {
        const char *what, *words;
        bool is_sound;
    } NODES[] = {
        {"as it should be", "1 0 1 f 0 2 0 0 v 4", true},
        {"one more live", "2 0 1 f 0 2 0 0 v 4", false},
        {"none live", "0 0 1 f 0 2 0 0 v 4", false},
        {"one more deleted", "1 1 1 f 0 2 0 0 v 4", false},
        {"a deleted one that is not told", "1 0 1 f 0 2 0 0 v 4 3 0 1 v 4", false},
        {"a deleted one above the others", "1 1 1 f 0 3 0 9 v 4 2 0 0 v 4", true},
        {"two with one id", "2 0 1 f 0 2 0 0 v 4 2 0 0 v 4", false},
        {"ids that fall", "2 0 1 f 0 2 0 3 v 4 2 0 2 v 4", false},
        {"below the node", "1 0 1 f 0 2 -1 0 v 4", false},
        {"unknown flags", "1 0 1 f 0 6 0 0 v 4", false},
        {"flags that are no number", "1 0 1 f 0 x 0 0 v 4", false},
        {"a millisecond that is none", "1 0 1 f 0 2 x 0 v 4", false},
        {"a wrong count of items", "1 0 1 f 0 2 0 0 v 5", false},
        {"a count of items that is none", "1 0 1 f 0 2 0 0 v x", false},
        {"a value too few", "1 0 2 f g 0 2 0 0 v 4", false},
        {"a negative count of names", "1 0 -1 0 2 0 0 v 4", false},
        {"more names than there are", "1 0 99 f 0 2 0 0 v 4", false},
        {"a huge count of names", "1 0 9223372036854775807 f 0 2 0 0 v 4", false},
        {"no end of the names", "1 0 1 f 1 2 0 0 v 4", false},
        {"names of its own", "1 0 1 f 0 0 0 0 1 g v 6", true},
        {"a huge count of its own", "1 0 1 f 0 0 0 0 9223372036854775807 g v 6", false},
        {"half as many as that", "1 0 1 f 0 0 0 0 4611686018427387904 g v 6", false},
        {"no fields", "1 0 1 f 0 0 0 0 0 4", false},
        {"no fields, as the first", "1 0 0 0 2 0 0 3", false},
        {"words left over", "1 0 1 f 0 2 0 0 v 4 2", false},
        {"negative counts", "-1 0 1 f 0", false},
        {"no entries", "1 0 1 f 0", false},
        {"nothing", "", false},
    };
    for (size_t i = 0; i < sizeof(NODES) / sizeof(*NODES); i++) {
        EXPECT_STREAM(NODES[i].is_sound, NODES[i].what, parts.second_node = NODES[i].words);
    }
    expect_hex("130000"
               "0000"
               "0000"
               "0000"
               "00"
               "00",
               true, "an empty stream");
    expect_hex("130000"
               "0500"
               "0000"
               "0600"
               "07"
               "00",
               true, "set back behind a deleted one");
    expect_hex("130001"
               "0000"
               "0000"
               "0000"
               "00"
               "00",
               false, "a length without entries");
}

static void groups_of_streams(void **state) {
    (void)state;
    EXPECT_STREAM(true, "ids out of order", parts.pending[0] = 9, parts.pending[2] = 1);
    EXPECT_STREAM(false, "an id twice", parts.pending[2] = 1);
    EXPECT_STREAM(false, "an id twice, side by side", parts.pending[1] = 1);
    EXPECT_STREAM(false, "at no consumer", parts.bob[0] = 0);
    EXPECT_STREAM(false, "at two consumers", parts.bob[1] = 3);
    EXPECT_STREAM(false, "twice at one, none at another", parts.alice[1] = 3);
    EXPECT_STREAM(false, "unknown to the group", parts.bob[0] = 8);
    EXPECT_STREAM(false, "unknown to a group without any", parts.pending[0] = 0);
    EXPECT_STREAM(true, "nothing pending", parts.pending[0] = 0, parts.alice[0] = 0,
                  parts.alice[1] = 0, parts.bob[0] = 0);
    EXPECT_STREAM(false, "two consumers with one name", parts.alice_name = "bob");
    EXPECT_STREAM(true, "a consumer without a name", parts.alice_name = "");
    EXPECT_STREAM(false, "two groups with one name", parts.groups_count = 2);
    EXPECT_STREAM(true, "two groups with the same consumers", parts.groups_count = 2,
                  parts.group_name = "h");
    EXPECT_STREAM(true, "a group with the name of a consumer", parts.groups_count = 2,
                  parts.group_name = "bob");
    EXPECT_STREAM(false, "a group too few", parts.groups_count = 0);
}

/* ---- many ---- */

/* Checking for names that are there twice is no matter of pairs: this would take hours. */
static void a_million_members(void **state) {
    (void)state;
    enum { COUNT = 1000000 };
    struct buffer value = {0};
    buffer_append_byte(&value, RDB_TYPE_SET);
    rdb_value_put_length(&value, COUNT);
    for (uint64_t i = 0; i < COUNT; i++) {
        buffer_append_byte(&value, 8);
        rdb_put_little_endian(&value, i * 0x9E3779B97F4A7C15, 8);
    }
    struct rdb_reader reader;
    assert_int_equal(
        rdb_reader_open(&reader, buffer_slice(&value), RDB_TEXT_BYTES_MAX, RDB_TEXT_SEED),
        RDB_VALUE_OK);
    assert_int_equal(reader.count, COUNT);
    struct rdb_item item;
    uint64_t read = 0;
    while (rdb_reader_next(&reader, &item)) {
        read++;
    }
    assert_int_equal(read, COUNT);
    rdb_reader_deinit(&reader);
    memcpy(value.data + value.size - 8, value.data + value.size - 9 * 777 + 1, 8);
    assert_int_equal(
        rdb_reader_open(&reader, buffer_slice(&value), RDB_TEXT_BYTES_MAX, RDB_TEXT_SEED),
        RDB_VALUE_MALFORMED);
    rdb_reader_deinit(&reader);
    buffer_deinit(&value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads_are_read),       cmocka_unit_test(damaged_bytes),
        cmocka_unit_test(cut_and_longer_values),   cmocka_unit_test(types),
        cmocka_unit_test(empty_collections),       cmocka_unit_test(names_that_are_there_twice),
        cmocka_unit_test(pairs_and_scores),        cmocka_unit_test(claims),
        cmocka_unit_test(strings_above_the_bound), cmocka_unit_test(a_sound_stream),
        cmocka_unit_test(nodes_of_streams),        cmocka_unit_test(groups_of_streams),
        cmocka_unit_test(a_million_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
