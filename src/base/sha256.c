/* SPDX-License-Identifier: BSD-3-Clause */
/* The text is cut into blocks of 64 bytes, the last one or two filled up with a bit, zeroes and the
 * text's length in bits. Each block is spread over 64 words, and 64 rounds stir these into a state
 * of eight words. The names a to h, and the amounts by which words are turned, are the standard's.
 */
#include "base/sha256.h"

#include <string.h>

enum {
    SHA256_BLOCK_BYTES = 64,
    SHA256_STATE_WORDS = SHA256_BYTES / 4,
    SHA256_ROUNDS = 64,
    SHA256_LENGTH_BYTES = 8,
};

/* The first 32 bits behind the point of the cube roots of the first 64 primes. */
static const uint32_t SHA256_ROUND_WORDS[SHA256_ROUNDS] = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
    0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
    0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
    0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
};

/* The same of the square roots of the first eight. */
static const uint32_t SHA256_FIRST_STATE[SHA256_STATE_WORDS] = {
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
};

static uint32_t turned(uint32_t word, unsigned by) {
    return word >> by | word << (32 - by);
}

static void sha256_block(uint32_t state[static SHA256_STATE_WORDS], const uint8_t *block) {
    uint32_t words[SHA256_ROUNDS];
    for (unsigned i = 0; i < 16; i++) {
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (unsigned i = 16; i < SHA256_ROUNDS; i++) {
        uint32_t early = words[i - 15], late = words[i - 2];
        words[i] = words[i - 16] + words[i - 7] +
                   (turned(early, 7) ^ turned(early, 18) ^ early >> 3) +
                   (turned(late, 17) ^ turned(late, 19) ^ late >> 10);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (unsigned i = 0; i < SHA256_ROUNDS; i++) {
        uint32_t chosen = (e & f) ^ (~e & g), majority = (a & b) ^ (a & c) ^ (b & c);
        uint32_t first = h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + chosen +
                         SHA256_ROUND_WORDS[i] + words[i];
        uint32_t second = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + majority;
        h = g, g = f, f = e, e = d + first;
        d = c, c = b, b = a, a = first + second;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void sha256(struct slice bytes, uint8_t digest[static SHA256_BYTES]) {
    uint32_t state[SHA256_STATE_WORDS];
    memcpy(state, SHA256_FIRST_STATE, sizeof(state));
    uint64_t bits = (uint64_t)bytes.size * 8;
    for (; bytes.size >= SHA256_BLOCK_BYTES; bytes = slice_skip(bytes, SHA256_BLOCK_BYTES)) {
        sha256_block(state, (const uint8_t *)bytes.data);
    }
    /* Two blocks when the length does not fit behind what is left and the bit. */
    uint8_t end[2 * SHA256_BLOCK_BYTES] = {0};
    size_t end_bytes = bytes.size + 1 + SHA256_LENGTH_BYTES <= SHA256_BLOCK_BYTES
                           ? SHA256_BLOCK_BYTES
                           : 2 * SHA256_BLOCK_BYTES;
    if (bytes.size > 0) {
        memcpy(end, bytes.data, bytes.size);
    }
    end[bytes.size] = 0x80;
    for (size_t i = 0; i < SHA256_LENGTH_BYTES; i++) {
        end[end_bytes - 1 - i] = (uint8_t)(bits >> (8 * i));
    }
    for (size_t at = 0; at < end_bytes; at += SHA256_BLOCK_BYTES) {
        sha256_block(state, end + at);
    }
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
    }
}
