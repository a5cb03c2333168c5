/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers against a plain array: random appends, formats and consumption. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/check.h"
#include "unit/seed.h"

static void an_empty_buffer_has_no_memory(void **state) {
    (void)state;
    struct buffer buffer = {0};
    buffer_append(&buffer, NULL, 0);
    buffer_consume(&buffer, 0);
    buffer_clear(&buffer);
    assert_null(buffer.data);
    assert_int_equal(buffer_slice(&buffer).size, 0);
    buffer_deinit(&buffer);
    assert_string_equal(buffer_text(&buffer), "");
    buffer_deinit(&buffer);
}

static void formats_of_any_length(void **state) {
    (void)state;
    struct buffer buffer = {0};
    char expected[400];
    for (int width = 0; width < 300; width++) {
        buffer_clear(&buffer);
        if (width % 2 == 0) {
            buffer_deinit(&buffer);
        }
        (void)snprintf(expected, sizeof(expected), "%0*d|%s", width, 7, "end");
        buffer_printf(&buffer, "%0*d|", width, 7);
        buffer_printf(&buffer, "%s", "end");
        assert_int_equal(buffer.size, strlen(expected));
        assert_string_equal(buffer_text(&buffer), expected);
        assert_int_equal(buffer.size, strlen(expected));
    }
    buffer_deinit(&buffer);
}

static void random_use(void **state) {
    (void)state;
    enum { MODEL_BYTES = 1 << 20 };
    static char model[MODEL_BYTES];
    struct prng prng;
    seed_prng(&prng, "random_use", 0);
    struct buffer buffer = {0};
    size_t size = 0;
    for (unsigned step = 0; step < 20000; step++) {
        char bytes[300];
        size_t count = prng_below(&prng, sizeof(bytes));
        uint64_t way = prng_below(&prng, 8);
        memset(bytes, (int)step, sizeof(bytes));
        if (size + count > MODEL_BYTES || way == 0) {
            count = prng_below(&prng, size + 1);
            buffer_consume(&buffer, count);
            memmove(model, model + count, size - count);
            size -= count;
        } else if (way == 1) {
            buffer_append_byte(&buffer, (uint8_t)step);
            model[size++] = (char)step;
        } else if (way == 2) {
            char *at = buffer_reserve(&buffer, count);
            require(buffer.capacity - buffer.size >= count);
            require(count == 0 || at == buffer.data + buffer.size);
        } else {
            buffer_append(&buffer, bytes, count);
            memcpy(model + size, bytes, count);
            size += count;
        }
        require(buffer.size == size);
        require(buffer.capacity >= size);
        if (step % 50 == 0) {
            require(slice_equal(buffer_slice(&buffer), slice_make(model, size)));
        }
    }
    /* Doubling: no more than twice what it held at its largest. */
    assert_true(buffer.capacity <= 2 * (size_t)MODEL_BYTES);
    buffer_deinit(&buffer);
}

/* Not inlined: the compiler would look into constants and warn of what cannot happen. */
static __attribute__((noinline)) bool is_word(struct slice text, const char *lower) {
    return slice_is_word(text, lower);
}

static void slices_compare(void **state) {
    (void)state;
    assert_true(slice_compare(SLICE("a"), SLICE("b")) < 0);
    assert_true(slice_compare(SLICE("a"), SLICE("ab")) < 0);
    assert_true(slice_compare(SLICE("ab"), SLICE("a")) > 0);
    assert_true(slice_compare(SLICE(""), SLICE("")) == 0);
    assert_true(slice_compare(SLICE("\xFF"), SLICE("a")) > 0);
    assert_true(is_word(SLICE("GeT"), "get"));
    assert_false(is_word(SLICE("get\0"), "get"));
    assert_false(is_word(SLICE("ge"), "get"));
    assert_false(is_word(SLICE("gets"), "get"));
    assert_false(is_word(SLICE("[et"), "{et"));
    assert_true(is_word((struct slice){0}, ""));
    assert_true(slice_equal((struct slice){0}, SLICE("")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_has_no_memory),
        cmocka_unit_test(formats_of_any_length),
        cmocka_unit_test(random_use),
        cmocka_unit_test(slices_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
