/* SPDX-License-Identifier: BSD-3-Clause */
/* Replies: the exact bytes of each call in both protocols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <math.h>
#include <cmocka.h>

#include "base/memory.h"
#include "proto/reply.h"

static struct buffer out;

/* The bytes since the last call are `expected`. */
static void assert_bytes(const char *expected) {
    assert_int_equal(out.size, strlen(expected));
    assert_memory_equal(out.data, expected, out.size);
    buffer_clear(&out);
}

static void both_protocols_alike(void **state) {
    (void)state;
    for (unsigned protocol = 2; protocol <= 3; protocol++) {
        struct reply reply = {.out = &out, .protocol = protocol};
        reply_ok(&reply);
        assert_bytes("+OK\r\n");
        reply_simple(&reply, "PONG");
        assert_bytes("+PONG\r\n");
        reply_integer(&reply, 0);
        reply_integer(&reply, 9);
        reply_integer(&reply, 10);
        reply_integer(&reply, -1);
        reply_integer(&reply, INT64_MIN);
        reply_integer(&reply, INT64_MAX);
        assert_bytes(":0\r\n:9\r\n:10\r\n:-1\r\n:-9223372036854775808\r\n:9223372036854775807\r\n");
        reply_bulk(&reply, SLICE(""));
        reply_bulk(&reply, (struct slice){0});
        reply_bulk(&reply, SLICE("a\r\nb"));
        reply_bulk_text(&reply, "text");
        reply_bulk_printf(&reply, "%d-%s", 5, "x");
        reply_bulk_integer(&reply, -12);
        assert_bytes(
            "$0\r\n\r\n$0\r\n\r\n$4\r\na\r\nb\r\n$4\r\ntext\r\n$3\r\n5-x\r\n$3\r\n-12\r\n");
        reply_array(&reply, 0);
        reply_array(&reply, 12);
        assert_bytes("*0\r\n*12\r\n");
    }
    buffer_deinit(&out);
}

static void what_differs(void **state) {
    (void)state;
    static const char *const expected[] = {
        "*4\r\n*2\r\n*3\r\n$-1\r\n*-1\r\n:1\r\n:0\r\n$3\r\n1.5\r\n$3\r\ninf\r\n$2\r\n-0\r\n$"
        "3\r\nabc\r\n",
        "%2\r\n~2\r\n>3\r\n_\r\n_\r\n#t\r\n#f\r\n,1.5\r\n,inf\r\n,-0\r\n=7\r\ntxt:abc\r\n",
    };
    for (unsigned protocol = 2; protocol <= 3; protocol++) {
        struct reply reply = {.out = &out, .protocol = protocol};
        reply_map(&reply, 2);
        reply_set(&reply, 2);
        reply_push(&reply, 3);
        reply_null(&reply);
        reply_null_array(&reply);
        reply_bool(&reply, true);
        reply_bool(&reply, false);
        reply_double(&reply, 1.5);
        reply_double(&reply, INFINITY);
        reply_double(&reply, -0.0);
        reply_verbatim(&reply, "txt", SLICE("abc"));
        assert_bytes(expected[protocol - 2]);
        assert_int_equal(reply.errors_count, 0);
    }
    buffer_deinit(&out);
}

static void errors_are_one_line_and_counted(void **state) {
    (void)state;
    struct reply reply = {.out = &out, .protocol = 2};
    reply_ok(&reply);
    reply_error(&reply, "ERR syntax error");
    assert_int_equal(reply.errors_count, 1);
    assert_int_equal(reply.error_offset, 5);
    reply_errorf(&reply, "ERR unknown command '%s', %d", "a\r\nb", 5);
    assert_int_equal(reply.errors_count, 2);
    assert_int_equal(reply.error_offset, 24);
    reply_errorf(&reply, "ERR Unsupported option %s", "a\nb\r\n");
    assert_bytes("+OK\r\n-ERR syntax error\r\n-ERR unknown command 'a  b', 5\r\n"
                 "-ERR Unsupported option a b\r\n");
    buffer_deinit(&out);
}

static void headers_that_come_at_the_end(void **state) {
    (void)state;
    for (unsigned protocol = 2; protocol <= 3; protocol++) {
        struct reply reply = {.out = &out, .protocol = protocol};
        reply_ok(&reply);
        size_t outer = reply_deferred_begin(&reply);
        reply_integer(&reply, 1);
        size_t inner = reply_deferred_begin(&reply);
        reply_deferred_array(&reply, inner, 0);
        size_t map = reply_deferred_begin(&reply);
        reply_bulk_text(&reply, "k");
        reply_error(&reply, "ERR e");
        reply_deferred_map(&reply, map, 1);
        reply_deferred_array(&reply, outer, 3);
        size_t at = reply.error_offset;
        assert_memory_equal(out.data + at, "-ERR e\r\n", 8);
        assert_bytes(protocol == 2 ? "+OK\r\n*3\r\n:1\r\n*0\r\n*2\r\n$1\r\nk\r\n-ERR e\r\n"
                                   : "+OK\r\n*3\r\n:1\r\n*0\r\n%1\r\n$1\r\nk\r\n-ERR e\r\n");
    }
    buffer_deinit(&out);
}

/* An error before the deferred part stays where it is. */
static void errors_before_a_deferred_header(void **state) {
    (void)state;
    struct reply reply = {.out = &out, .protocol = 2};
    reply_error(&reply, "ERR e");
    size_t begin = reply_deferred_begin(&reply);
    reply_integer(&reply, 1);
    reply_deferred_array(&reply, begin, 1);
    assert_int_equal(reply.error_offset, 0);
    assert_bytes("-ERR e\r\n*1\r\n:1\r\n");
    buffer_deinit(&out);
}

/* Growth on the way never loses a byte: a reply of many parts, from an empty buffer. */
static void long_replies(void **state) {
    (void)state;
    struct reply reply = {.out = &out, .protocol = 3};
    size_t begin = reply_deferred_begin(&reply);
    for (int i = 0; i < 10000; i++) {
        reply_integer(&reply, i);
        reply_bulk_integer(&reply, i);
    }
    reply_deferred_array(&reply, begin, 20000);
    char expected[32], *at = out.data + 8;
    assert_memory_equal(out.data, "*20000\r\n", 8);
    for (int i = 0; i < 10000; i++) {
        int digits = snprintf(NULL, 0, "%d", i);
        int size = snprintf(expected, sizeof(expected), ":%d\r\n$%d\r\n%d\r\n", i, digits, i);
        assert_memory_equal(at, expected, (size_t)size);
        at += size;
    }
    assert_ptr_equal(at, out.data + out.size);
    buffer_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_protocols_alike),
        cmocka_unit_test(what_differs),
        cmocka_unit_test(errors_are_one_line_and_counted),
        cmocka_unit_test(headers_that_come_at_the_end),
        cmocka_unit_test(errors_before_a_deferred_header),
        cmocka_unit_test(long_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
