/* SPDX-License-Identifier: BSD-3-Clause */
#include "node/session_token.h"

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "base/varint.h"

enum {
    TOKEN_VERSION = 1,
    TOKEN_REF_BYTES = 8,
    TOKEN_SUM_BYTES = 4,
    TOKEN_VARINT_BYTES_MAX = 10,
    TOKEN_TEXT_BYTES_MAX = 64 << 10, /* more than all slots can fill */
};

struct token_part {
    uint64_t ref, ticks;
};

struct session_token {
    size_t parts_count; /* that are not known to be seen */
    struct token_part parts[];
};

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* ---- text ---- */

static void put_base64(struct buffer *text, struct slice bytes) {
    uint32_t bits = 0;
    unsigned bits_count = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        bits = bits << 8 | (uint8_t)bytes.data[i];
        for (bits_count += 8; bits_count >= 6; bits_count -= 6) {
            buffer_append_byte(text, (uint8_t)DIGITS[bits >> (bits_count - 6) & 63]);
        }
    }
    if (bits_count > 0) {
        buffer_append_byte(text, (uint8_t)DIGITS[bits << (6 - bits_count) & 63]);
    }
}

static bool take_base64(struct slice text, struct buffer *bytes) {
    uint32_t bits = 0;
    unsigned bits_count = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = text.data[i] != '\0' ? strchr(DIGITS, text.data[i]) : NULL;
        if (digit == NULL) {
            return false;
        }
        bits = bits << 6 | (uint32_t)(digit - DIGITS);
        bits_count += 6;
        if (bits_count >= 8) {
            bits_count -= 8;
            buffer_append_byte(bytes, (uint8_t)(bits >> bits_count));
        }
    }
    /* Only one text stands for these bytes: nothing may be left over. */
    return bits_count < 6 && (bits & ((1U << bits_count) - 1)) == 0;
}

static void put_fixed(struct buffer *out, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) {
        buffer_append_byte(out, (uint8_t)(value >> (8 * i)));
    }
}

static uint64_t fixed_at(const char *at, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)(uint8_t)at[i] << (8 * i);
    }
    return value;
}

/* ---- tokens ---- */

void session_token_write(const struct store *store, struct buffer *text) {
    const struct replicas *replicas = &store->replicas;
    struct buffer bytes = {0};
    uint64_t count = 0;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        count += replicas->slots[slot].ref != 0 && store->context.stamps[slot] != 0;
    }
    buffer_append_byte(&bytes, TOKEN_VERSION);
    codec_put_varint(&bytes, count);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (replicas->slots[slot].ref != 0 && store->context.stamps[slot] != 0) {
            put_fixed(&bytes, replicas->slots[slot].ref, TOKEN_REF_BYTES);
            codec_put_varint(&bytes, stamp_ticks(store->context.stamps[slot]));
        }
    }
    put_fixed(&bytes, crc32c(0, buffer_slice(&bytes)), TOKEN_SUM_BYTES);
    put_base64(text, buffer_slice(&bytes));
    buffer_deinit(&bytes);
}

static struct session_token *token_parse(struct slice bytes) {
    uint64_t count;
    if (bytes.size < 1 + TOKEN_SUM_BYTES || bytes.data[0] != TOKEN_VERSION) {
        return NULL;
    }
    struct slice body = slice_make(bytes.data, bytes.size - TOKEN_SUM_BYTES);
    if (crc32c(0, body) != fixed_at(bytes.data + body.size, TOKEN_SUM_BYTES)) {
        return NULL;
    }
    body = slice_skip(body, 1);
    if (!varint_take(&body, &count) || count > body.size / TOKEN_REF_BYTES) {
        return NULL;
    }
    struct session_token *token =
        memory_alloc(sizeof(*token) + (size_t)count * sizeof(struct token_part));
    token->parts_count = (size_t)count;
    bool is_whole = true;
    for (size_t i = 0; i < count && is_whole; i++) {
        is_whole = body.size >= TOKEN_REF_BYTES;
        if (is_whole) {
            token->parts[i].ref = fixed_at(body.data, TOKEN_REF_BYTES);
            body = slice_skip(body, TOKEN_REF_BYTES);
            is_whole = varint_take(&body, &token->parts[i].ticks);
        }
    }
    if (!is_whole || body.size > 0) {
        memory_free(token);
        return NULL;
    }
    return token;
}

struct session_token *session_token_read(struct slice text) {
    struct buffer bytes = {0};
    struct session_token *token = NULL;
    if (text.size <= TOKEN_TEXT_BYTES_MAX && take_base64(text, &bytes)) {
        token = token_parse(buffer_slice(&bytes));
    }
    buffer_deinit(&bytes);
    return token;
}

void session_token_free(struct session_token *token) {
    memory_free(token);
}

static bool part_is_seen(const struct token_part *part, const struct store *store) {
    unsigned slot = replicas_find(&store->replicas, part->ref);
    if (slot != 0) {
        /* What is void comes in another life, as far as it was made again, and has come if that
         * has. What came later in a life that was put back is lost. */
        return stamp_ticks(store->context.stamps[slot]) >= part->ticks ||
               (replicas_is_void(&store->replicas, stamp_make(part->ticks, slot)) &&
                store->replicas.slots[slot].made_ticks >= part->ticks);
    }
    const struct retired_replica *retired = replicas_find_retired(&store->replicas, part->ref);
    return retired != NULL && retired->ticks >= part->ticks;
}

bool session_token_is_covered(struct session_token *token, const struct store *store) {
    while (token->parts_count > 0 && part_is_seen(&token->parts[token->parts_count - 1], store)) {
        token->parts_count--;
    }
    return token->parts_count == 0;
}
