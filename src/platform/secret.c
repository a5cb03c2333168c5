/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform/secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/check.h"

void secret_hmac_sha256(struct slice key, struct slice text, uint8_t digest[SECRET_HMAC_BYTES]) {
    unsigned size = 0;
    /* A NULL key would mean "the one of last time". */
    const void *key_bytes = key.size > 0 ? (const void *)key.data : "";
    const unsigned char *result = HMAC(EVP_sha256(), key_bytes, (int)key.size,
                                       (const unsigned char *)text.data, text.size, digest, &size);
    ensure(result != NULL);
    ensure(size == SECRET_HMAC_BYTES);
}
