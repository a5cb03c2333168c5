/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing values of all types: what redis-server wrote comes out as its bytes where there is one
 * way to write them, and as the same value under any limits; each limit decides where it says;
 * random collections are read back as they were given. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "unit/commands/rdb_bytes_of.h"
#include "unit/commands/rdb_payloads.h"
#include "unit/commands/rdb_text.h"
#include "unit/seed.h"

enum { PAYLOADS_COUNT = sizeof(RDB_PAYLOADS) / sizeof(*RDB_PAYLOADS) };

/* Nothing is packed that need not be; lists and streams have a node for each part. */
static const struct rdb_writer_limits PLAIN_LIMITS = {
    .list_listpack_size = 1,
    .stream_node_entries_max = 1,
};

/* All is packed. */
static const struct rdb_writer_limits PACKED_LIMITS = {
    .compress = true,
    .hash_listpack_entries_max = UINT64_MAX,
    .hash_listpack_value_bytes_max = UINT64_MAX,
    .zset_listpack_entries_max = UINT64_MAX,
    .zset_listpack_value_bytes_max = UINT64_MAX,
    .set_intset_entries_max = UINT64_MAX,
    .list_listpack_size = -5,
};

static void expect_same_value(const struct rdb_payload *payload,
                              const struct rdb_writer_limits *limits) {
    struct buffer value = {0}, written = {0}, before = {0}, after = {0};
    put_hex(&value, payload->hex);
    rdb_text_rewrite(&written, buffer_slice(&value), limits);
    struct slice read = buffer_slice(&written);
    assert_int_equal(rdb_value_check_footer(&read), RDB_VALUE_OK);
    assert_int_equal(rdb_text(&after, read, RDB_TEXT_VERSION_10), RDB_VALUE_OK);
    assert_int_equal(rdb_text(&before, buffer_slice(&value), RDB_TEXT_VERSION_10), RDB_VALUE_OK);
    assert_string_equal(buffer_text(&after), buffer_text(&before));
    buffer_deinit(&value);
    buffer_deinit(&written);
    buffer_deinit(&before);
    buffer_deinit(&after);
}

static void values_stay_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < PAYLOADS_COUNT; i++) {
        expect_same_value(&RDB_PAYLOADS[i], &RDB_WRITER_LIMITS_DEFAULT);
        expect_same_value(&RDB_PAYLOADS[i], &PLAIN_LIMITS);
        expect_same_value(&RDB_PAYLOADS[i], &PACKED_LIMITS);
    }
}

/* Those where redis-server has no choice, and we have made none but its own. */
static void bytes_of_redis(void **state) {
    (void)state;
    static const char *const SAME[] = {
        "string_raw",
        "string_empty",
        "string_int8",
        "string_int16",
        "string_int32",
        "list_listpack_texts_raw",
        "list_listpack_integers_raw",
        "list_listpack_string_125",
        "list_listpack_string_126",
        "list_listpack_string_4095",
        "list_listpack_string_4096",
        "list_listpack_nodes",
        "set_intset_16",
        "set_intset_32",
        "set_intset_64_raw",
        "set_plain_raw",
        "hash_listpack",
        "hash_plain_raw",
        "zset_listpack_raw",
        "stream_groups_raw",
        "stream_empty",
        "stream_extreme_ids",
    };
    for (size_t i = 0; i < sizeof(SAME) / sizeof(*SAME); i++) {
        size_t at = 0;
        while (strcmp(RDB_PAYLOADS[at].name, SAME[i]) != 0) {
            at++;
            assert_true(at < PAYLOADS_COUNT);
        }
        struct rdb_writer_limits limits = RDB_WRITER_LIMITS_DEFAULT;
        limits.compress = false;
        if (strcmp(SAME[i], "list_listpack_nodes") == 0) {
            limits.list_listpack_size = 2;
        }
        struct buffer value = {0}, written = {0};
        put_hex(&value, RDB_PAYLOADS[at].hex);
        rdb_text_rewrite(&written, buffer_slice(&value), &limits);
        struct slice read = buffer_slice(&written);
        assert_int_equal(rdb_value_check_footer(&read), RDB_VALUE_OK);
        if (!slice_equal(read, buffer_slice(&value))) {
            fail_msg("%s has other bytes", SAME[i]);
        }
        buffer_deinit(&value);
        buffer_deinit(&written);
    }
}

/* ---- limits ---- */

struct world {
    struct rdb_writer writer;
    struct buffer out;
    struct rdb_writer_limits limits;
};

static struct rdb_writer *begin(struct world *world) {
    *world = (struct world){.limits = RDB_WRITER_LIMITS_DEFAULT};
    rdb_writer_init(&world->writer, &world->out, &world->limits);
    return &world->writer;
}

/* Ends the value and tells its type. */
static enum rdb_type end(struct world *world) {
    assert_true(rdb_writer_end(&world->writer));
    struct slice value = buffer_slice(&world->out);
    assert_int_equal(rdb_value_check_footer(&value), RDB_VALUE_OK);
    struct buffer text = {0};
    assert_int_equal(rdb_text(&text, value, RDB_TEXT_ALL), RDB_VALUE_OK);
    enum rdb_type type = (enum rdb_type)(uint8_t)value.data[0];
    buffer_deinit(&text);
    buffer_deinit(&world->out);
    rdb_writer_deinit(&world->writer);
    return type;
}

static struct slice numbered(char text[32], unsigned number) {
    return slice_make(text, (size_t)snprintf(text, 32, "m%u", number));
}

static void limits_of_hashes(void **state) {
    (void)state;
    char long_text[65] = {0}, name[32];
    memset(long_text, 'x', sizeof(long_text));
    struct world world;
    for (unsigned count = 127; count <= 129; count++) {
        struct rdb_writer *writer = begin(&world);
        rdb_writer_begin_hash(writer, count);
        for (unsigned i = 0; i < count; i++) {
            rdb_writer_field(writer, numbered(name, i), SLICE("7"));
        }
        assert_int_equal(end(&world), count <= 128 ? RDB_TYPE_HASH_LISTPACK : RDB_TYPE_HASH);
    }
    for (unsigned at = 0; at < 4; at++) {
        for (size_t size = 64; size <= 65; size++) {
            struct rdb_writer *writer = begin(&world);
            struct slice text = slice_make(long_text, size);
            rdb_writer_begin_hash(writer, 2);
            rdb_writer_field(writer, at == 0 ? text : SLICE("1"), at == 1 ? text : SLICE("2"));
            rdb_writer_field(writer, at == 2 ? text : SLICE("3"), at == 3 ? text : SLICE("4"));
            assert_int_equal(end(&world), size == 64 ? RDB_TYPE_HASH_LISTPACK : RDB_TYPE_HASH);
        }
    }
}

/* Fields that expire and fields that do not, small and large: what is read is what was written. */
static void expiring_hashes(void **state) {
    (void)state;
    static const uint64_t FIRST[] = {1, 1000, UINT64_C(1) << 41, (UINT64_C(1) << 46) - 1};
    char name[32];
    for (unsigned i = 0; i < sizeof(FIRST) / sizeof(FIRST[0]); i++) {
        struct world world;
        struct rdb_writer *writer = begin(&world);
        struct rdb_reader reader;
        struct rdb_item item;
        rdb_writer_begin_hash_expiring(writer, 3, FIRST[i]);
        rdb_writer_field_expiring(writer, SLICE("never"), SLICE("v"), 0);
        rdb_writer_field_expiring(writer, SLICE("first"), SLICE("1"), FIRST[i]);
        rdb_writer_field_expiring(writer, numbered(name, 7), SLICE(""), FIRST[i] + 1);
        assert_true(rdb_writer_end(writer));
        struct slice payload = buffer_slice(writer->out);
        assert_int_equal(payload.data[payload.size - RDB_VALUE_FOOTER_BYTES],
                         RDB_VALUE_VERSION_EXPIRING);
        assert_int_equal(rdb_value_check_footer(&payload), RDB_VALUE_OK);
        assert_int_equal(rdb_reader_open(&reader, payload, RDB_TEXT_BYTES_MAX, RDB_TEXT_SEED),
                         RDB_VALUE_OK);
        assert_int_equal(reader.count, 3);
        for (unsigned at = 0; at < 3; at++) {
            assert_true(rdb_reader_next(&reader, &item));
            assert_int_equal(item.kind, RDB_ITEM_FIELD);
            assert_int_equal(item.expire_unix_ms, at == 0 ? 0 : FIRST[i] + at - 1);
        }
        assert_false(rdb_reader_next(&reader, &item));
        rdb_reader_deinit(&reader);
        /* A hash without them that follows is of the common version again. */
        buffer_clear(writer->out);
        rdb_writer_begin_hash(writer, 1);
        rdb_writer_field(writer, SLICE("f"), SLICE("v"));
        assert_int_equal(end(&world), RDB_TYPE_HASH_LISTPACK);
    }
}

static void limits_of_sorted_sets(void **state) {
    (void)state;
    char long_text[65], name[32];
    memset(long_text, 'x', sizeof(long_text));
    struct world world;
    for (unsigned count = 127; count <= 129; count++) {
        struct rdb_writer *writer = begin(&world);
        rdb_writer_begin_sorted_set(writer, count);
        for (unsigned i = 0; i < count; i++) {
            rdb_writer_scored(writer, numbered(name, i), i / 3.0);
        }
        assert_int_equal(end(&world), count <= 128 ? RDB_TYPE_ZSET_LISTPACK : RDB_TYPE_ZSET_2);
    }
    for (size_t size = 64; size <= 65; size++) {
        struct rdb_writer *writer = begin(&world);
        rdb_writer_begin_sorted_set(writer, 3);
        rdb_writer_scored(writer, SLICE("a"), -1e300);
        rdb_writer_scored(writer, slice_make(long_text, size), 0.1);
        rdb_writer_scored(writer, SLICE("b"), 1);
        assert_int_equal(end(&world), size == 64 ? RDB_TYPE_ZSET_LISTPACK : RDB_TYPE_ZSET_2);
    }
}

static void limits_of_sets(void **state) {
    (void)state;
    char name[32];
    struct world world;
    for (unsigned count = 511; count <= 513; count++) {
        struct rdb_writer *writer = begin(&world);
        rdb_writer_begin_set(writer, count);
        for (unsigned i = 0; i < count; i++) {
            rdb_writer_member(writer, slice_skip(numbered(name, 7 * i), 1));
        }
        assert_int_equal(end(&world), count <= 512 ? RDB_TYPE_SET_INTSET : RDB_TYPE_SET);
    }
    struct rdb_writer *writer = begin(&world);
    rdb_writer_begin_set(writer, 3);
    rdb_writer_member(writer, SLICE("5"));
    rdb_writer_member(writer, SLICE("05"));
    rdb_writer_member(writer, SLICE("6"));
    assert_int_equal(end(&world), RDB_TYPE_SET);
}

/* How many nodes has a list or stream? Its count comes after the type. */
static uint64_t nodes_count(struct world *world) {
    assert_true(rdb_writer_end(&world->writer));
    struct slice value = slice_skip(buffer_slice(&world->out), 1);
    uint64_t count;
    assert_true(rdb_value_take_length(&value, &count));
    buffer_deinit(&world->out);
    rdb_writer_deinit(&world->writer);
    return count;
}

static uint64_t list_nodes_count(int64_t listpack_size, size_t element_bytes, unsigned count) {
    struct world world;
    struct rdb_writer *writer = begin(&world);
    world.limits.list_listpack_size = listpack_size;
    char *text = memory_alloc(element_bytes);
    memset(text, 'x', element_bytes);
    rdb_writer_begin_list(writer);
    for (unsigned i = 0; i < count; i++) {
        rdb_writer_element(writer, slice_make(text, element_bytes));
    }
    memory_free(text);
    return nodes_count(&world);
}

static void nodes_of_lists(void **state) {
    (void)state;
    assert_int_equal(list_nodes_count(1, 1, 5), 5);
    assert_int_equal(list_nodes_count(2, 1, 5), 3);
    assert_int_equal(list_nodes_count(0, 1, 5), 5);
    assert_int_equal(list_nodes_count(1000, 5000, 4), 4); /* 8 KiB all the same */
    assert_int_equal(list_nodes_count(-1, 1000, 8), 2);   /* 4 KiB */
    assert_int_equal(list_nodes_count(-2, 1000, 16), 2);
    assert_int_equal(list_nodes_count(-3, 1000, 32), 2);
    assert_int_equal(list_nodes_count(-4, 1000, 64), 2);
    assert_int_equal(list_nodes_count(-5, 1000, 130), 2);
    assert_int_equal(list_nodes_count(-99, 1000, 130), 2);
    assert_int_equal(list_nodes_count(-2, 100000, 3), 3);
    assert_int_equal(list_nodes_count(1, 1, 20000), 20000);
}

static uint64_t stream_nodes_count(uint64_t bytes_max, uint64_t entries_max, unsigned count) {
    struct world world;
    struct rdb_writer *writer = begin(&world);
    world.limits.stream_node_bytes_max = bytes_max;
    world.limits.stream_node_entries_max = entries_max;
    rdb_writer_begin_stream(writer);
    for (unsigned i = 0; i < count; i++) {
        struct slice fields[2] = {SLICE("name"), SLICE("a value of 20 bytes.")};
        rdb_writer_entry(writer, (struct rdb_stream_id){1, i + 1}, fields, 1);
    }
    struct rdb_stream stream = {.last_id = {1, count}, .entries_added = count};
    rdb_writer_stream(writer, &stream);
    return nodes_count(&world);
}

static void nodes_of_streams(void **state) {
    (void)state;
    assert_int_equal(stream_nodes_count(4096, 100, 100), 1);
    assert_int_equal(stream_nodes_count(4096, 100, 101), 2);
    assert_int_equal(stream_nodes_count(4096, 0, 200), 2);
    assert_int_equal(stream_nodes_count(0, 0, 10000), 1);
    assert_int_equal(stream_nodes_count(1, 100, 10), 10);
    assert_int_equal(stream_nodes_count(0, 1, 300), 300);
}

/* ---- random collections ---- */

enum { PARTS_MAX = 700 };

struct part {
    struct slice name, value;
    double score;
};

/* A name that no other number has. */
static struct slice random_name(struct prng *prng, uint64_t number) {
    char text[64];
    static const char *const FORMATS[] = {"%" PRIu64, "-%" PRIu64, "0%" PRIu64, "name %" PRIu64,
                                          "\xFF\x01%" PRIu64};
    size_t form = prng_below(prng, sizeof(FORMATS) / sizeof(*FORMATS));
    /* Numbers rise by more than what a form makes of one. */
    uint64_t spread = (number + 1) * (prng_below(prng, 2) == 0 ? 1 : UINT64_C(1) << 45);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t size = (size_t)snprintf(text, sizeof(text), FORMATS[form], spread);
#pragma GCC diagnostic pop
    return rdb_text_copy(slice_make(text, size));
}

static struct slice random_value(struct prng *prng) {
    size_t size = prng_below(prng, 40) == 0 ? prng_below(prng, 20000) : prng_below(prng, 70);
    char *text = memory_alloc(size + 1);
    uint64_t letters = 1 + prng_below(prng, 256);
    for (size_t i = 0; i < size; i++) {
        text[i] = (char)prng_below(prng, letters);
    }
    return slice_make(text, size);
}

static double random_score(struct prng *prng) {
    switch (prng_below(prng, 5)) {
    case 0:
        return (double)(int64_t)prng_below(prng, 1000) - 500;
    case 1:
        return (double)prng_below(prng, 1000) / 7;
    case 2:
        return (double)(int64_t)prng_next(prng);
    case 3:
        return prng_unit(prng) * 1e-300;
    default:
        return prng_below(prng, 2) == 0 ? (double)INFINITY : -(double)INFINITY;
    }
}

static int compare_parts(const void *a, const void *b) {
    const struct part *left = a, *right = b;
    if (left->score != right->score) {
        return left->score < right->score ? -1 : 1;
    }
    return slice_compare(left->name, right->name);
}

static void write_parts(struct rdb_writer *writer, enum rdb_kind kind, const struct part *parts,
                        size_t count) {
    if (kind == RDB_KIND_LIST) {
        rdb_writer_begin_list(writer);
    } else if (kind == RDB_KIND_SET) {
        rdb_writer_begin_set(writer, count);
    } else if (kind == RDB_KIND_HASH) {
        rdb_writer_begin_hash(writer, count);
    } else {
        rdb_writer_begin_sorted_set(writer, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (kind == RDB_KIND_LIST) {
            rdb_writer_element(writer, parts[i].name);
        } else if (kind == RDB_KIND_SET) {
            rdb_writer_member(writer, parts[i].name);
        } else if (kind == RDB_KIND_HASH) {
            rdb_writer_field(writer, parts[i].name, parts[i].value);
        } else {
            rdb_writer_scored(writer, parts[i].name, parts[i].score);
        }
    }
}

/* Reads `payload` and compares; the order is that of writing, but for a packed set. */
static void expect_parts(struct slice payload, enum rdb_kind kind, const struct part *parts,
                         size_t count) {
    struct rdb_reader reader;
    assert_int_equal(rdb_value_check_footer(&payload), RDB_VALUE_OK);
    assert_int_equal(rdb_reader_open(&reader, payload, RDB_TEXT_BYTES_MAX, RDB_TEXT_SEED),
                     RDB_VALUE_OK);
    assert_int_equal(reader.kind, kind);
    assert_int_equal(reader.count, count);
    bool is_intset = (uint8_t)payload.data[0] == RDB_TYPE_SET_INTSET;
    bool *was_seen = memory_alloc_zero(count);
    struct rdb_item item;
    for (size_t i = 0; rdb_reader_next(&reader, &item); i++) {
        size_t at = i;
        if (is_intset) {
            at = 0;
            while (!slice_equal(item.name, parts[at].name)) {
                at++;
                assert_true(at < count);
            }
        }
        assert_false(was_seen[at]);
        was_seen[at] = true;
        assert_true(slice_equal(item.name, parts[at].name));
        assert_true(kind != RDB_KIND_HASH || slice_equal(item.value, parts[at].value));
        assert_true(kind != RDB_KIND_SORTED_SET || item.score == parts[at].score);
    }
    for (size_t i = 0; i < count; i++) {
        assert_true(was_seen[i]);
    }
    memory_free(was_seen);
    rdb_reader_deinit(&reader);
}

static void random_collections(void **state) {
    (void)state;
    struct part *parts = memory_alloc(PARTS_MAX * sizeof(*parts));
    struct prng prng;
    for (unsigned round = 0; round < 400; round++) {
        seed_prng(&prng, "random_collections", round);
        enum rdb_kind kind = RDB_KIND_LIST + round % 4;
        bool is_integers = prng_below(&prng, 3) == 0;
        size_t count = 1 + prng_below(&prng, round % 3 == 0 ? PARTS_MAX : 60);
        for (size_t i = 0; i < count; i++) {
            char digits[32];
            int64_t integer = (int64_t)(i * (UINT64_C(1) << prng_below(&prng, 2) * 40)) -
                              (int64_t)(i % 2 * 2 * i);
            size_t size = (size_t)snprintf(digits, sizeof(digits), "%" PRId64 "%03zu", integer, i);
            parts[i].name = is_integers && integer != 0 ? rdb_text_copy(slice_make(digits, size))
                                                        : random_name(&prng, i);
            parts[i].value = random_value(&prng);
            parts[i].score = random_score(&prng);
        }
        if (kind == RDB_KIND_SORTED_SET) {
            qsort(parts, count, sizeof(*parts), compare_parts);
        }
        const struct rdb_writer_limits *limits[] = {&RDB_WRITER_LIMITS_DEFAULT, &PLAIN_LIMITS,
                                                    &PACKED_LIMITS};
        struct buffer out = {0};
        struct rdb_writer writer;
        rdb_writer_init(&writer, &out, limits[prng_below(&prng, 3)]);
        write_parts(&writer, kind, parts, count);
        assert_true(rdb_writer_end(&writer));
        expect_parts(buffer_slice(&out), kind, parts, count);
        rdb_writer_deinit(&writer);
        buffer_deinit(&out);
        for (size_t i = 0; i < count; i++) {
            memory_free((char *)parts[i].name.data);
            memory_free((char *)parts[i].value.data);
        }
    }
    memory_free(parts);
}

/* ---- random streams ---- */

/* Writes a random stream and, in the words of rdb_text.h, what it is. */
static void write_stream(struct rdb_writer *writer, struct prng *prng, struct buffer *text) {
    struct rdb_stream stream = {.groups_count = prng_below(prng, 4)};
    uint64_t length = prng_below(prng, 300);
    struct rdb_stream_id id = {prng_below(prng, 2) == 0 ? 0 : prng_next(prng) >> 2, 0};
    buffer_append_slice(text, SLICE("stream"));
    rdb_writer_begin_stream(writer);
    for (uint64_t i = 0; i < length; i++) {
        bool is_later = prng_below(prng, 2) == 0;
        id.ms += is_later ? 1 + prng_below(prng, 100000) : 0;
        id.sequence = is_later ? prng_below(prng, 1000) : id.sequence + 1 + prng_below(prng, 9);
        stream.first_id = i == 0 ? id : stream.first_id;
        static const char *const NAMES[] = {"name", "12", "another name", "\x80"};
        struct slice fields[6], own[6];
        size_t count = 1 + prng_below(prng, 2);
        buffer_append_byte(text, ' ');
        rdb_text_id(text, id);
        for (size_t j = 0; j < count; j++) {
            fields[2 * j] = slice_of(NAMES[prng_below(prng, 4)]);
            fields[2 * j + 1] = own[j] = random_value(prng);
            buffer_append_byte(text, j == 0 ? '{' : ' ');
            rdb_text_bytes(text, fields[2 * j]);
            buffer_append_byte(text, '=');
            rdb_text_bytes(text, own[j]);
        }
        buffer_append_byte(text, '}');
        rdb_writer_entry(writer, id, fields, count);
        for (size_t j = 0; j < count; j++) {
            memory_free((char *)own[j].data);
        }
    }
    stream.length = length;
    stream.last_id = (struct rdb_stream_id){id.ms + prng_below(prng, 2), id.sequence};
    stream.deleted_id_max = (struct rdb_stream_id){prng_below(prng, 9), prng_below(prng, 9)};
    stream.entries_added = length + prng_below(prng, 100);
    rdb_writer_stream(writer, &stream);
    rdb_text_stream(text, &stream);
    for (uint64_t g = 0; g < stream.groups_count; g++) {
        enum { PENDING_MAX = 50, CONSUMERS_MAX = 4 };
        struct rdb_pending pending[PENDING_MAX];
        uint64_t owners[PENDING_MAX];
        char name[32];
        struct rdb_group group = {.name = numbered(name, (unsigned)g),
                                  .last_id = {prng_below(prng, 99), 0},
                                  .entries_read = (int64_t)prng_below(prng, 9) - 1,
                                  .pending_count = prng_below(prng, PENDING_MAX),
                                  .consumers_count = 1 + prng_below(prng, CONSUMERS_MAX)};
        struct rdb_item item = {.kind = RDB_ITEM_GROUP, .group = group};
        rdb_text_item(text, &item, RDB_TEXT_ALL);
        rdb_writer_group(writer, &group);
        for (uint64_t i = 0; i < group.pending_count; i++) {
            pending[i] = (struct rdb_pending){.id = {1 + i / 2, i},
                                              .delivered_unix_ms = (int64_t)prng_below(prng, 99),
                                              .deliveries_count = prng_below(prng, 99)};
            owners[i] = prng_below(prng, group.consumers_count);
            rdb_writer_group_pending(writer, &pending[i]);
        }
        for (uint64_t c = 0; c < group.consumers_count; c++) {
            struct rdb_consumer consumer = {.name = numbered(name, (unsigned)c),
                                            .seen_unix_ms = 1600000000000,
                                            .active_unix_ms = 1600000000000};
            for (uint64_t i = 0; i < group.pending_count; i++) {
                consumer.pending_count += owners[i] == c;
            }
            item = (struct rdb_item){.kind = RDB_ITEM_CONSUMER, .consumer = consumer};
            rdb_text_item(text, &item, RDB_TEXT_ALL);
            rdb_writer_consumer(writer, &consumer);
            for (uint64_t i = 0; i < group.pending_count; i++) {
                if (owners[i] == c) {
                    item = (struct rdb_item){.kind = RDB_ITEM_PENDING, .pending = pending[i]};
                    rdb_text_item(text, &item, RDB_TEXT_ALL);
                    rdb_writer_consumer_pending(writer, pending[i].id);
                }
            }
        }
    }
}

static void random_streams(void **state) {
    (void)state;
    struct prng prng;
    for (unsigned round = 0; round < 150; round++) {
        seed_prng(&prng, "random_streams", round);
        const struct rdb_writer_limits *limits[] = {&RDB_WRITER_LIMITS_DEFAULT, &PLAIN_LIMITS,
                                                    &PACKED_LIMITS};
        struct buffer out = {0}, expected = {0}, text = {0};
        struct rdb_writer writer;
        rdb_writer_init(&writer, &out, limits[round % 3]);
        write_stream(&writer, &prng, &expected);
        assert_true(rdb_writer_end(&writer));
        struct slice payload = buffer_slice(&out);
        assert_int_equal(rdb_value_check_footer(&payload), RDB_VALUE_OK);
        assert_int_equal(rdb_text(&text, payload, RDB_TEXT_ALL), RDB_VALUE_OK);
        assert_string_equal(buffer_text(&text), buffer_text(&expected));
        rdb_writer_deinit(&writer);
        buffer_deinit(&out);
        buffer_deinit(&expected);
        buffer_deinit(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_stay_the_same),  cmocka_unit_test(bytes_of_redis),
        cmocka_unit_test(limits_of_hashes),      cmocka_unit_test(expiring_hashes),
        cmocka_unit_test(limits_of_sorted_sets), cmocka_unit_test(limits_of_sets),
        cmocka_unit_test(nodes_of_lists),        cmocka_unit_test(nodes_of_streams),
        cmocka_unit_test(random_collections),    cmocka_unit_test(random_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
