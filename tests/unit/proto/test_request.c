/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests: whatever the cuts, a stream gives the same requests; errors with Redis's texts; quoting
 * in inline requests; and what is claimed but has not arrived costs nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/memory.h"
#include "proto/request.h"
#include "unit/seed.h"

static const struct request_limits LIMITS = {.bulk_bytes_max = 512 << 20, .is_authenticated = true};

/* ---- a connection ---- */

struct connection {
    struct request_parser parser;
    struct request_args args;
    struct buffer scratch;
    struct buffer kept; /* bytes of the request that is not complete */
    struct buffer out;  /* what was read, as text */
    struct request_limits limits;
    uint64_t calls_count;
    bool is_invalid;
};

static void connection_init(struct connection *connection) {
    *connection = (struct connection){.limits = LIMITS};
}

static void connection_deinit(struct connection *connection) {
    request_parser_deinit(&connection->parser);
    request_args_deinit(&connection->args);
    buffer_deinit(&connection->scratch);
    buffer_deinit(&connection->kept);
    buffer_deinit(&connection->out);
}

/* Writes down the arguments from `first` on. */
static void connection_note(struct connection *connection, size_t first) {
    const struct request_args *args = &connection->args;
    buffer_printf(&connection->out, "%zu", args->count - first);
    for (size_t i = first; i < args->count; i++) {
        buffer_printf(&connection->out, " %zu:", args->items[i].size);
        buffer_append_slice(&connection->out, args->items[i]);
    }
    buffer_append_byte(&connection->out, '\n');
}

/* More bytes arrive: they and what was kept lie in a new block of exactly their size. */
static void connection_feed(struct connection *connection, struct slice bytes) {
    buffer_append_slice(&connection->kept, bytes);
    size_t size = connection->kept.size, begin = 0;
    char *block = memory_alloc(size);
    if (size > 0) {
        memcpy(block, connection->kept.data, size);
    }
    /* Where each request's arguments begin: they are all looked at in the end, as a batch. */
    size_t firsts[64], batch = 0;
    bool is_over = connection->is_invalid;
    while (!is_over) {
        char error[REQUEST_ERROR_BYTES_MAX];
        size_t used = 0, first = connection->args.count;
        enum request_status status = request_parse(
            &connection->parser, slice_make(block + begin, size - begin), &connection->limits,
            &connection->args, &used, &connection->scratch, error);
        connection->calls_count++;
        bool is_batch_over = status != REQUEST_COMPLETE && status != REQUEST_EMPTY;
        if (status == REQUEST_COMPLETE) {
            firsts[batch++] = first;
            is_batch_over = batch == 64;
        } else {
            require(connection->args.count == first);
        }
        if (is_batch_over) {
            size_t count = connection->args.count;
            for (size_t i = 0; i < batch; i++) {
                connection->args.count = i + 1 < batch ? firsts[i + 1] : count;
                connection_note(connection, firsts[i]);
            }
            connection->args.count = batch = 0;
            buffer_clear(&connection->scratch);
        }
        if (status == REQUEST_COMPLETE || status == REQUEST_EMPTY) {
            require(used > 0 && used <= size - begin);
            require(connection->parser.args_total == 0 && connection->parser.position == 0);
            begin += used;
        } else if (status == REQUEST_INVALID) {
            buffer_printf(&connection->out, "! %s\n", error);
            connection->is_invalid = true;
        }
        is_over = status == REQUEST_INCOMPLETE || status == REQUEST_INVALID;
    }
    buffer_consume(&connection->kept, begin);
    memory_free(block);
}

static void assert_text(struct connection *connection, const char *expected) {
    assert_string_equal(buffer_text(&connection->out), expected);
}

/* Reads `stream` at once and byte by byte; both must give `expected`. */
static void assert_reads(struct slice stream, const struct request_limits *limits,
                         const char *expected) {
    for (int by_byte = 0; by_byte < 2; by_byte++) {
        struct connection connection;
        connection_init(&connection);
        connection.limits = *limits;
        for (size_t at = 0; at < stream.size; at += by_byte ? 1 : stream.size) {
            connection_feed(&connection, slice_make(stream.data + at, by_byte ? 1 : stream.size));
        }
        assert_text(&connection, expected);
        connection_deinit(&connection);
    }
}

/* ---- single cases ---- */

static void arrays(void **state) {
    (void)state;
    static const struct {
        struct slice stream;
        const char *expected;
    } cases[] = {
#define CASE(stream, expected) {{stream, sizeof(stream) - 1}, expected}
        CASE("*1\r\n$4\r\nPING\r\n", "1 4:PING\n"),
        CASE("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "2 3:GET 0:\n"),
        CASE("*2\r\n$4\r\nECHO\r\n$4\r\n\r\n*1\r\n", "2 4:ECHO 4:\r\n*1\n"),
        CASE("*0\r\n*-1\r\n*-5\r\n*1\r\n$1\r\na\r\n", "1 1:a\n"),
        CASE("*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\nPING\r\n*1\r\n$1\r\nc\r\n",
             "1 1:a\n1 1:b\n1 4:PING\n1 1:c\n"),
        CASE("*12\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n"
             "$1\r\n7\r\n$1\r\n8\r\n$1\r\n9\r\n$1\r\na\r\n$1\r\nb\r\n",
             "12 1:0 1:1 1:2 1:3 1:4 1:5 1:6 1:7 1:8 1:9 1:a 1:b\n"),
        CASE("*1\r\n$1\r\na", ""),
        CASE("*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\n", ""),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_reads(cases[i].stream, &LIMITS, cases[i].expected);
    }
}

static void errors_have_the_texts_of_redis(void **state) {
    (void)state;
    static const struct {
        struct slice stream;
        const char *expected;
    } cases[] = {
        CASE("*x\r\n", "! ERR Protocol error: invalid multibulk length\n"),
        CASE("*\r\n", "! ERR Protocol error: invalid multibulk length\n"),
        CASE("*1 \r\n", "! ERR Protocol error: invalid multibulk length\n"),
        CASE("*01\r\n$1\r\na\r\n", "! ERR Protocol error: invalid multibulk length\n"),
        CASE("*+1\r\n", "! ERR Protocol error: invalid multibulk length\n"),
        CASE("*20000000000\r\n", "! ERR Protocol error: invalid multibulk length\n"),
        CASE("*99999999999999999999\r\n", "! ERR Protocol error: invalid multibulk length\n"),
        CASE("*1\r\nPING\r\n", "! ERR Protocol error: expected '$', got 'P'\n"),
        CASE("*2\r\n$1\r\na\r\n:1\r\n", "! ERR Protocol error: expected '$', got ':'\n"),
        CASE("*1\r\n$x\r\n", "! ERR Protocol error: invalid bulk length\n"),
        CASE("*1\r\n$\r\n", "! ERR Protocol error: invalid bulk length\n"),
        CASE("*1\r\n$-1\r\n", "! ERR Protocol error: invalid bulk length\n"),
        CASE("*1\r\n$00\r\n", "! ERR Protocol error: invalid bulk length\n"),
        CASE("*1\r\n$536870913\r\n", "! ERR Protocol error: invalid bulk length\n"),
        CASE("*1\r\n$9223372036854775808\r\n", "! ERR Protocol error: invalid bulk length\n"),
        CASE("*1\r\n$1\r\na\r\nSET \"a\r\n",
             "1 1:a\n! ERR Protocol error: unbalanced quotes in request\n"),
        CASE("SET 'a\r\n", "! ERR Protocol error: unbalanced quotes in request\n"),
        CASE("SET \"a\"b\r\n", "! ERR Protocol error: unbalanced quotes in request\n"),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_reads(cases[i].stream, &LIMITS, cases[i].expected);
    }
}

static void strangers_have_small_limits(void **state) {
    (void)state;
    static const struct request_limits stranger = {.bulk_bytes_max = 512 << 20};
    static const struct {
        struct slice stream;
        const char *expected;
    } cases[] = {
        CASE("*11\r\n", "! ERR Protocol error: unauthenticated multibulk length\n"),
        CASE("*1\r\n$16385\r\n", "! ERR Protocol error: unauthenticated bulk length\n"),
        CASE("*10\r\n$16384\r\n", ""),
        CASE("*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n", "2 4:AUTH 1:p\n"),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_reads(cases[i].stream, &stranger, cases[i].expected);
    }
}

static void inline_requests(void **state) {
    (void)state;
    static const struct {
        struct slice stream;
        const char *expected;
    } cases[] = {
        CASE("PING\r\n", "1 4:PING\n"),
        CASE("PING\n", "1 4:PING\n"),
        CASE("\r\n\n  \r\n\t\r\nPING\r\n", "1 4:PING\n"),
        CASE("  SET  key\tvalue  \r\n", "3 3:SET 3:key 5:value\n"),
        CASE("SET k \"\"\r\n", "3 3:SET 1:k 0:\n"),
        CASE("\v E a\vb\fc \f\r\n", "2 1:E 5:a\vb\fc\n"),
        CASE("SET k ''\r\n", "3 3:SET 1:k 0:\n"),
        CASE("SET k \"a b\" 'c d'\r\n", "4 3:SET 1:k 3:a b 3:c d\n"),
        CASE("E \"\\x41\\x6a\\x6A\\xzz\\n\\r\\t\\b\\a\\q\\\\\\\"\"\r\n",
             "2 1:E 14:Ajjxzz\n\r\t\b\aq\\\"\n"),
        CASE("E 'a\\'b\\n\\x41'\r\n", "2 1:E 9:a'b\\n\\x41\n"),
        CASE("E a\"b c\"\r\n", "2 1:E 4:ab c\n"),
        CASE("E a'b c' d\r\n", "3 1:E 4:ab c 1:d\n"),
        CASE("E \"\\x4\"\r\n", "2 1:E 2:x4\n"),
        CASE("+OK\r\n", "1 3:+OK\n"),
        CASE("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "3 3:GET 1:/ 8:HTTP/1.1\n2 5:Host: 1:x\n"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_reads(cases[i].stream, &LIMITS, cases[i].expected);
    }
}

/* Zeros are bytes like others in arrays, and end no text. */
static void zeros_are_bytes(void **state) {
    (void)state;
    struct connection connection;
    connection_init(&connection);
    connection_feed(&connection, SLICE("*1\r\n$5\r\na\0b\0c\r\n"));
    assert_int_equal(connection.out.size, 10);
    assert_memory_equal(connection.out.data, "1 5:a\0b\0c\n", 10);
    connection_deinit(&connection);
}

/* ---- limits ---- */

static void long_lines_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *begin;
        char filling;
        const char *expected;
    } cases[] = {
        {"", 'x', "! ERR Protocol error: too big inline request\n"},
        {"*", '1', "! ERR Protocol error: too big mbulk count string\n"},
        {"*1\r\n$", '1', "! ERR Protocol error: too big bulk count string\n"},
    };
    static char filling[REQUEST_INLINE_BYTES_MAX];
    for (size_t i = 0; i < 3; i++) {
        struct connection connection;
        connection_init(&connection);
        memset(filling, cases[i].filling, sizeof(filling));
        connection_feed(&connection, slice_of(cases[i].begin));
        connection_feed(&connection, slice_make(filling, sizeof(filling)));
        assert_text(&connection, "");
        connection_feed(&connection, slice_make(filling, 1));
        assert_text(&connection, cases[i].expected);
        connection_deinit(&connection);
    }
}

/* An inline request of just the greatest length. */
static void the_longest_line(void **state) {
    (void)state;
    struct connection connection;
    static char line[REQUEST_INLINE_BYTES_MAX + 1];
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    connection_init(&connection);
    connection_feed(&connection, slice_make(line, sizeof(line) - 1));
    connection_feed(&connection, slice_make(line + sizeof(line) - 1, 1));
    assert_int_equal(connection.is_invalid, false);
    assert_memory_equal(connection.out.data, "1 65536:xxx", 11);
    connection_deinit(&connection);
}

static void the_largest_bulk_there_can_be(void **state) {
    (void)state;
    struct connection connection;
    connection_init(&connection);
    connection.limits.bulk_bytes_max = INT64_MAX;
    connection_feed(&connection, SLICE("*1\r\n$9223372036854775807\r\nabc"));
    assert_text(&connection, "");
    assert_int_equal(request_look_ahead(&connection.parser, buffer_slice(&connection.kept)).missing,
                     (size_t)INT64_MAX + 2 - 3);
    connection_deinit(&connection);
}

static void missing_bytes_are_told(void **state) {
    (void)state;
    struct connection connection;
    connection_init(&connection);
    connection_feed(&connection, SLICE("*2\r\n$100\r\nabc"));
    assert_int_equal(request_look_ahead(&connection.parser, buffer_slice(&connection.kept)).missing,
                     99);
    connection_feed(&connection, SLICE("d"));
    assert_int_equal(request_look_ahead(&connection.parser, buffer_slice(&connection.kept)).missing,
                     98);
    connection_deinit(&connection);
}

static struct request_outlook look(struct slice bytes) {
    struct request_parser parser = {0};
    return request_look_ahead(&parser, bytes);
}

/* Also of what was not parsed yet. */
static void what_comes_is_seen_ahead(void **state) {
    (void)state;
    static const char set[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n";
    size_t size = sizeof(set) - 1, value = size - 7;
    for (size_t i = 0; i < size; i++) {
        struct request_outlook outlook = look(slice_make(set, i));
        assert_int_equal(outlook.end, 0);
        if (i >= value) {
            assert_int_equal(outlook.missing, size - i);
        }
    }
    assert_int_equal(look(slice_make(set, size)).end, size);
    assert_int_equal(look(SLICE("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPI")).end, 14);
    assert_int_equal(look(SLICE("*2\r\n$100\r\nabc")).missing, 99);
    assert_int_equal(look(SLICE("*2\r\n$1\r\na\r\n")).missing, 0);
    assert_int_equal(look(SLICE("*0\r\n")).end, 4);
    static const char *const unknown[] = {
        "", "*", "*2", "*-1\r\n", "*x\r\n", "*1\r\n$-1\r\n", "*1\r\n:1\r\n", "SET k v\r\n"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        struct request_outlook outlook = look(slice_of(unknown[i]));
        assert_int_equal(outlook.end, 0);
        assert_int_equal(outlook.missing, 0);
    }
}

/* A header that claims a million arguments takes no room for them. */
static void claims_cost_nothing(void **state) {
    (void)state;
    struct connection connection;
    connection_init(&connection);
    connection_feed(&connection, SLICE("*1048576\r\n$536870912\r\nabc"));
    assert_text(&connection, "");
    assert_true(connection.args.capacity <= 64);
    assert_true(connection.parser.saved_capacity <= 64);
    connection_feed(&connection, SLICE("d"));
    assert_true(connection.args.capacity <= 64);
    connection_deinit(&connection);
    connection_init(&connection);
    connection_feed(&connection, SLICE("*2147483648\r\n"));
    assert_text(&connection, "! ERR Protocol error: invalid multibulk length\n");
    connection_deinit(&connection);
}

/* Many arguments, byte by byte: if each byte cost as much as all before it, this would not end. */
static void many_arguments_byte_by_byte(void **state) {
    (void)state;
    enum { ARGS = 1 << 18 };
    struct buffer stream = {0}, scratch = {0};
    struct request_parser parser = {0};
    struct request_args args = {0};
    char error[REQUEST_ERROR_BYTES_MAX];
    size_t used;
    buffer_printf(&stream, "*%d\r\n", ARGS);
    for (unsigned i = 0; i < ARGS; i++) {
        buffer_append_slice(&stream, SLICE("$1\r\na\r\n"));
        stream.data[stream.size - 3] = (char)('a' + i % 26);
    }
    for (size_t size = 1; size < stream.size; size++) {
        require(request_parse(&parser, slice_make(stream.data, size), &LIMITS, &args, &used,
                              &scratch, error) == REQUEST_INCOMPLETE);
    }
    assert_int_equal(
        request_parse(&parser, buffer_slice(&stream), &LIMITS, &args, &used, &scratch, error),
        REQUEST_COMPLETE);
    assert_int_equal(args.count, ARGS);
    assert_int_equal(used, stream.size);
    for (unsigned i = 0; i < ARGS; i++) {
        require(args.items[i].size == 1 && args.items[i].data[0] == (char)('a' + i % 26));
    }
    assert_null(parser.saved);
    request_args_deinit(&args);
    buffer_deinit(&stream);
    buffer_deinit(&scratch);
}

/* ---- random ---- */

/* Appends a random request to `stream` and what should be read of it to `expected`. */
static void random_request(struct prng *prng, struct buffer *stream, struct buffer *expected) {
    static const char plain[] = "abcXYZ0123456789:/-_*$+";
    char bytes[600];
    uint64_t way = prng_below(prng, 8);
    if (way == 0) {
        buffer_append_slice(stream, prng_below(prng, 2) == 0 ? SLICE("*0\r\n") : SLICE("\r\n"));
        return;
    }
    unsigned count = 1 + (unsigned)prng_below(prng, prng_below(prng, 20) == 0 ? 100 : 5);
    buffer_printf(expected, "%u", count);
    if (way > 2) {
        buffer_printf(stream, "*%u\r\n", count);
    }
    for (unsigned i = 0; i < count; i++) {
        size_t size = prng_below(prng, prng_below(prng, 10) == 0 ? sizeof(bytes) : 12);
        /* An inline request's first byte may not make an array of it. */
        size = way <= 2 && i == 0 && size == 0 ? 1 : size;
        for (size_t j = 0; j < size; j++) {
            bytes[j] = way > 1 ? (char)prng_next(prng) : plain[prng_below(prng, 19)];
        }
        buffer_printf(expected, " %zu:", size);
        buffer_append(expected, bytes, size);
        if (way > 2) {
            buffer_printf(stream, "$%zu\r\n", size);
            buffer_append(stream, bytes, size);
            buffer_append_slice(stream, SLICE("\r\n"));
        } else if (way == 2 || size == 0) {
            buffer_append_slice(stream, i == 0 ? SLICE("\"") : SLICE(" \""));
            for (size_t j = 0; j < size; j++) {
                buffer_printf(stream, "\\x%02x", (uint8_t)bytes[j]);
            }
            buffer_append_byte(stream, '"');
        } else {
            buffer_append_slice(stream, i == 0 ? SLICE("") : SLICE("  "));
            buffer_append(stream, bytes, size);
        }
    }
    if (way <= 2) {
        buffer_append_slice(stream, prng_below(prng, 2) == 0 ? SLICE("\n") : SLICE("\r\n"));
    }
    buffer_append_byte(expected, '\n');
}

static void any_cut_gives_the_same_requests(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "any_cut_gives_the_same_requests", 0);
    for (unsigned round = 0; round < 100; round++) {
        struct buffer stream = {0}, expected = {0};
        for (uint64_t i = 1 + prng_below(&prng, 80); i > 0; i--) {
            random_request(&prng, &stream, &expected);
        }
        static const size_t parts[] = {1, 3, 20, 300, 1 << 20};
        for (unsigned way = 0; way < 5; way++) {
            struct connection connection;
            connection_init(&connection);
            for (size_t at = 0; at < stream.size;) {
                size_t size = 1 + prng_below(&prng, parts[way]);
                size = size < stream.size - at ? size : stream.size - at;
                connection_feed(&connection, slice_make(stream.data + at, size));
                at += size;
            }
            require(slice_equal(buffer_slice(&connection.out), buffer_slice(&expected)));
            require(connection.kept.size == 0);
            connection_deinit(&connection);
        }
        buffer_deinit(&stream);
        buffer_deinit(&expected);
    }
}

/* Damaged streams: the end is the same at any cut, be it an error or waiting. */
static void damaged_streams_end_alike(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "damaged_streams_end_alike", 0);
    for (unsigned round = 0; round < 1500; round++) {
        struct buffer stream = {0}, expected = {0};
        for (uint64_t i = 1 + prng_below(&prng, 6); i > 0; i--) {
            random_request(&prng, &stream, &expected);
        }
        for (uint64_t i = prng_below(&prng, 3); i > 0; i--) {
            static const char likely[] = "*$\r\n-0123456789 \"'\\";
            stream.data[prng_below(&prng, stream.size)] = likely[prng_below(&prng, 18)];
        }
        struct connection whole, cut;
        connection_init(&whole);
        connection_init(&cut);
        connection_feed(&whole, buffer_slice(&stream));
        for (size_t at = 0; at < stream.size;) {
            size_t size = 1 + prng_below(&prng, 5);
            size = size < stream.size - at ? size : stream.size - at;
            connection_feed(&cut, slice_make(stream.data + at, size));
            at += size;
        }
        require(slice_equal(buffer_slice(&whole.out), buffer_slice(&cut.out)));
        require(whole.is_invalid == cut.is_invalid);
        require(whole.is_invalid || whole.kept.size == cut.kept.size);
        connection_deinit(&whole);
        connection_deinit(&cut);
        buffer_deinit(&stream);
        buffer_deinit(&expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays),
        cmocka_unit_test(errors_have_the_texts_of_redis),
        cmocka_unit_test(strangers_have_small_limits),
        cmocka_unit_test(inline_requests),
        cmocka_unit_test(zeros_are_bytes),
        cmocka_unit_test(long_lines_are_refused),
        cmocka_unit_test(the_longest_line),
        cmocka_unit_test(the_largest_bulk_there_can_be),
        cmocka_unit_test(missing_bytes_are_told),
        cmocka_unit_test(what_comes_is_seen_ahead),
        cmocka_unit_test(claims_cost_nothing),
        cmocka_unit_test(many_arguments_byte_by_byte),
        cmocka_unit_test(any_cut_gives_the_same_requests),
        cmocka_unit_test(damaged_streams_end_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
