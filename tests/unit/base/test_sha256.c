/* SPDX-License-Identifier: BSD-3-Clause */
/* sha256() against published digests, and against the library's for every size up to a few blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/sha.h>
#include <stdio.h>

#include "base/prng.h"
#include "base/sha256.h"

static void assert_digest(struct slice bytes, const char *expected) {
    uint8_t digest[SHA256_BYTES];
    char text[2 * SHA256_BYTES + 1];
    sha256(bytes, digest);
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    assert_string_equal(text, expected);
}

static void published_digests(void **state) {
    (void)state;
    assert_digest(SLICE(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest(SLICE("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_digest(SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* 55, 56 and 64 bytes are where another block begins. */
static void every_size(void **state) {
    (void)state;
    uint8_t bytes[300], digest[SHA256_BYTES], expected[SHA256_BYTES];
    struct prng prng;
    prng_init(&prng, 7);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)prng_next(&prng);
    }
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        sha256(slice_make(bytes, size), digest);
        (void)SHA256(bytes, size, expected);
        assert_memory_equal(digest, expected, SHA256_BYTES);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_digests),
        cmocka_unit_test(every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
