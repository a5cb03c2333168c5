/* SPDX-License-Identifier: BSD-3-Clause */
/* Proofs of a shared secret, by OpenSSL. */
#ifndef PLATFORM_SECRET_H
#define PLATFORM_SECRET_H

#include "base/slice.h"

enum { SECRET_HMAC_BYTES = 32 };

/* HMAC-SHA256 of `text` under `key` (RFC 2104). Ends the process where the library has none. */
void secret_hmac_sha256(struct slice key, struct slice text, uint8_t digest[SECRET_HMAC_BYTES]);

#endif
