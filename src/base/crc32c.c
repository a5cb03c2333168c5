/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crc32c.h"

/* Four bits at a time: sixteen entries are cheap to derive and to keep in cache; the portable
 * path only matters on processors that lack the instruction. */
static const uint32_t CRC32C_NIBBLES[16] = {
    0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
    0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
};

uint32_t crc32c_portable(uint32_t crc, struct slice bytes) {
    crc = ~crc;
    for (size_t i = 0; i < bytes.size; i++) {
        crc ^= (uint8_t)bytes.data[i];
        crc = (crc >> 4) ^ CRC32C_NIBBLES[crc & 15];
        crc = (crc >> 4) ^ CRC32C_NIBBLES[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, struct slice bytes) {
    uint64_t state = ~crc;
    const char *at = bytes.data;
    size_t left = bytes.size;
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        state = __builtin_ia32_crc32di(state, word);
    }
    uint32_t narrow = (uint32_t)state;
    for (; left > 0; at++, left--) {
        narrow = __builtin_ia32_crc32qi(narrow, (unsigned char)*at);
    }
    return ~narrow;
}
#endif

uint32_t crc32c(uint32_t crc, struct slice bytes) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return crc32c_sse42(crc, bytes);
    }
#endif
    return crc32c_portable(crc, bytes);
}
