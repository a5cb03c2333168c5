/* SPDX-License-Identifier: BSD-3-Clause */
/* HMAC-SHA256 against the vectors of RFC 4231. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "platform/secret.h"

static void expect(struct slice key, struct slice text, const char *expected) {
    uint8_t digest[SECRET_HMAC_BYTES];
    char hex[2 * SECRET_HMAC_BYTES + 1];
    secret_hmac_sha256(key, text, digest);
    for (int i = 0; i < SECRET_HMAC_BYTES; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    assert_string_equal(hex, expected);
}

static void test_vectors(void **state) {
    (void)state;
    char key[131], text[50];
    memset(key, 0x0b, 20);
    expect(slice_make(key, 20), SLICE("Hi There"),
           "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    expect(SLICE("Jefe"), SLICE("what do ya want for nothing?"),
           "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, 131);
    memset(text, 0xdd, 50);
    expect(slice_make(key, 20), slice_make(text, 50),
           "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    expect(slice_make(key, 131), SLICE("Test Using Larger Than Block-Size Key - Hash Key First"),
           "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* An empty key is a key, and not the one of last time. */
static void test_empty_key(void **state) {
    (void)state;
    expect(SLICE("other"), SLICE(""),
           "0f56482ea4cbfcfaf3234385a4a55a997f0d9de2cf95c28f22c2024efcb7bd92");
    expect(SLICE(""), SLICE(""),
           "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_empty_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
