/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC-64 with the polynomial of D. T. Jones (0xAD93D23594C935A9, reflected, no inversions), which
 * guards Redis's serialised values. The checksum of "123456789" is 0xE9C6D914C4B8D9CA. */
#ifndef BASE_CRC64_H
#define BASE_CRC64_H

#include "base/slice.h"

/* The checksum of `bytes` following on `crc`, which is 0 at the start. */
uint64_t crc64(uint64_t crc, struct slice bytes);

#endif
