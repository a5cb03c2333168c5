/* SPDX-License-Identifier: BSD-3-Clause */
/* LZF: what is compressed expands to itself whatever it is; each form of the format by hand; and
 * malformed input is refused without a byte read or written outside (exact blocks, so that a
 * sanitizer sees it). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/lzf.h"
#include "base/memory.h"
#include "base/prng.h"

/* Expands a copy of `input` in a block of exactly its size. */
static bool expands_to(struct slice input, struct slice expected) {
    char *in = memory_alloc(input.size + 1);
    char *out = memory_alloc(expected.size + 1);
    memcpy(in + 1, input.data, input.size);
    bool is_ok = lzf_expand(slice_make(in + 1, input.size), out + 1, expected.size);
    bool is_equal = is_ok && slice_equal(slice_make(out + 1, expected.size), expected);
    memory_free(in);
    memory_free(out);
    return is_equal;
}

static void forms_of_the_format(void **state) {
    (void)state;
    assert_true(expands_to(SLICE(""), SLICE("")));
    assert_true(expands_to(SLICE("\2abc"), SLICE("abc")));
    assert_true(expands_to(SLICE("\2abc\x20\2"), SLICE("abcabc")));
    assert_true(expands_to(SLICE("\0a\x40\0"), SLICE("aaaaa"))); /* overlapping */
    assert_true(expands_to(SLICE("\0a\xE0\3\0"), SLICE("aaaaaaaaaaaaa")));
    /* As Redis 7.0 compresses 21 times "a". */
    assert_true(expands_to(SLICE("\1aa\xE0\12\0\0a"), SLICE("aaaaaaaaaaaaaaaaaaaaaa")));
}

static void malformed_input(void **state) {
    (void)state;
    struct slice three = SLICE("abc");
    assert_false(expands_to(SLICE("\2ab"), three));              /* literals cut short */
    assert_false(expands_to(SLICE("\2"), three));                /* all of them missing */
    assert_false(expands_to(SLICE("\2abcd"), three));            /* more than was said */
    assert_false(expands_to(SLICE("\1ab"), three));              /* less than was said */
    assert_false(expands_to(SLICE("\0a\x20"), three));           /* offset missing */
    assert_false(expands_to(SLICE("\0a\xE0"), three));           /* length missing */
    assert_false(expands_to(SLICE("\0a\xE0\1"), three));         /* offset missing after length */
    assert_false(expands_to(SLICE("\x20\0"), three));            /* a copy of nothing */
    assert_false(expands_to(SLICE("\0a\x20\1"), SLICE("aaaa"))); /* from before the start */
    assert_false(expands_to(SLICE("\0a\x40\0"), SLICE("aaaa"))); /* beyond the end */
    assert_false(expands_to(SLICE("\2abc"), SLICE("")));
}

static void round_trip(struct slice input) {
    size_t room = input.size + input.size / LZF_LITERALS_MAX + 1;
    char *compressed = memory_alloc(room);
    size_t size = lzf_compress(input, compressed, room);
    assert_true(size > 0);
    assert_true(expands_to(slice_make(compressed, size), input));
    /* With a byte less it must say so. */
    char *less = memory_alloc(size);
    assert_int_equal(lzf_compress(input, less, size - 1), 0);
    memory_free(less);
    memory_free(compressed);
}

static void everything_survives(void **state) {
    (void)state;
    uint64_t seed = 11;
    struct prng prng;
    prng_init(&prng, seed);
    enum { BYTES_MAX = 40000 };
    char *bytes = memory_alloc(BYTES_MAX);
    for (unsigned round = 0; round < 600; round++) {
        size_t size = 1 + prng_below(&prng, round < 400 ? 300 : BYTES_MAX);
        uint64_t letters = 1 + prng_below(&prng, round % 3 == 0 ? 256 : 3);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (char)prng_below(&prng, letters);
        }
        if (size > 100 && round % 2 == 0) { /* something to find far back */
            size_t length = size / 3;
            memmove(bytes + size - length, bytes, length);
        }
        round_trip(slice_make(bytes, size));
    }
    memory_free(bytes);
}

static void it_compresses(void **state) {
    (void)state;
    char bytes[10000];
    memset(bytes, 'x', sizeof(bytes));
    char out[200];
    size_t size = lzf_compress(slice_make(bytes, sizeof(bytes)), out, sizeof(out));
    assert_true(size > 0);
    assert_true(expands_to(slice_make(out, size), slice_make(bytes, sizeof(bytes))));
    /* The bound that readers refuse larger claims by. */
    assert_true(sizeof(bytes) <= size * LZF_EXPANSION_MAX);
}

static void random_input_is_harmless(void **state) {
    (void)state;
    struct prng prng;
    prng_init(&prng, 13);
    for (unsigned round = 0; round < 20000; round++) {
        size_t in_size = prng_below(&prng, 40), out_size = prng_below(&prng, 400);
        char *in = memory_alloc(in_size + 1), *out = memory_alloc(out_size + 1);
        for (size_t i = 0; i < in_size; i++) {
            in[i] = (char)prng_next(&prng);
        }
        (void)lzf_expand(slice_make(in, in_size), out, out_size);
        memory_free(in);
        memory_free(out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_of_the_format),      cmocka_unit_test(malformed_input),
        cmocka_unit_test(everything_survives),      cmocka_unit_test(it_compresses),
        cmocka_unit_test(random_input_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
