/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), by SSE 4.2 where the processor has it. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/slice.h"

/* The checksum of `bytes` following on `crc`, which is 0 at the start. */
uint32_t crc32c(uint32_t crc, struct slice bytes);
/* The same by table, for processors without the instruction and for tests. */
uint32_t crc32c_portable(uint32_t crc, struct slice bytes);

#endif
