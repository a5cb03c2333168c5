/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crc32c.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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
enum { LANE_BYTES = 256 };

/* The instruction takes three cycles and can begin in each: three lanes at a time. A lane's sum
 * times x^(8n), which n bytes behind it make of it, is what the instruction makes of its carry-less
 * product with x^(8n - 33), modulo the polynomial; bits are reflected. */
#define LANE_SHIFT UINT64_C(0xb9e02b86)  /* n = LANE_BYTES */
#define LANES_SHIFT UINT64_C(0xdd7e3b0c) /* n = 2 LANE_BYTES */

__attribute__((target("sse4.2,pclmul"))) static uint64_t add_lanes(uint64_t state, const char *at) {
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < LANE_BYTES; i += 8) {
        uint64_t words[3];
        memcpy(&words[0], at + i, 8);
        memcpy(&words[1], at + LANE_BYTES + i, 8);
        memcpy(&words[2], at + 2 * LANE_BYTES + i, 8);
        state = __builtin_ia32_crc32di(state, words[0]);
        second = __builtin_ia32_crc32di(second, words[1]);
        third = __builtin_ia32_crc32di(third, words[2]);
    }
    __m128i product =
        _mm_xor_si128(_mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)state),
                                           _mm_cvtsi64_si128((int64_t)LANES_SHIFT), 0),
                      _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)second),
                                           _mm_cvtsi64_si128((int64_t)LANE_SHIFT), 0));
    return __builtin_ia32_crc32di(0, (uint64_t)_mm_cvtsi128_si64(product)) ^ third;
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc32c_lanes(uint32_t crc,
                                                                      struct slice *bytes) {
    uint64_t state = ~crc;
    while (bytes->size >= 3 * LANE_BYTES) {
        state = add_lanes(state, bytes->data);
        *bytes = slice_skip(*bytes, 3 * LANE_BYTES);
    }
    return ~(uint32_t)state;
}

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
    if (bytes.size >= 3 * LANE_BYTES && __builtin_cpu_supports("pclmul") &&
        __builtin_cpu_supports("sse4.2")) {
        crc = crc32c_lanes(crc, &bytes);
    }
    if (__builtin_cpu_supports("sse4.2")) {
        return crc32c_sse42(crc, bytes);
    }
#endif
    return crc32c_portable(crc, bytes);
}
