/* SPDX-License-Identifier: BSD-3-Clause */
/* SHA-256 (FIPS 180-4), of bytes that are all there. For what is shown, such as the hash of a
 * password in ACL LIST: links between nodes prove their secret by the host's library. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include "base/slice.h"

enum { SHA256_BYTES = 32 };

void sha256(struct slice bytes, uint8_t digest[static SHA256_BYTES]);

#endif
