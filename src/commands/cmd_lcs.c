/* SPDX-License-Identifier: BSD-3-Clause */
/* LCS: the longest common subsequence of two strings, by the table of Wagner and Fischer.
 *
 * Cell (i, j) is the length for the first i bytes of one and j bytes of the other. A row needs only
 * the one before, so just one is kept; to find the way back from the last cell, one bit for each
 * cell says which neighbour it came from. Redis keeps the whole table of 32-bit cells and refuses
 * one longer than proto-max-bulk-len: so do we, with a 32nd of the memory. */
#include "base/memory.h"
#include "commands/command.h"

struct lcs_options {
    bool wants_length;
    bool wants_indexes;
    bool wants_match_length;
    int64_t match_length_min;
};

struct lcs {
    struct slice a, b;
    uint32_t *row;   /* b.size + 1 lengths */
    uint8_t *ups;    /* a bit for each cell: its length is that of the row before, not the column */
    size_t ups_size; /* bytes of one row of them */
};

static bool lcs_read_options(struct command_context *ctx, struct lcs_options *options) {
    *options = (struct lcs_options){0};
    for (size_t i = 3; i < ctx->args_count; i++) {
        if (command_word(ctx, i, "idx")) {
            options->wants_indexes = true;
        } else if (command_word(ctx, i, "len")) {
            options->wants_length = true;
        } else if (command_word(ctx, i, "withmatchlen")) {
            options->wants_match_length = true;
        } else if (command_word(ctx, i, "minmatchlen") && i + 1 < ctx->args_count) {
            if (!command_integer(ctx, ++i, &options->match_length_min, NULL)) {
                return false;
            }
        } else {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return false;
        }
    }
    if (options->wants_length && options->wants_indexes) {
        reply_error(ctx->reply,
                    "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

/* Is the table within bounds? Writes the error if not. */
static bool lcs_fits(struct command_context *ctx, const struct lcs *lcs) {
    if (lcs->a.size >= UINT32_MAX - 1 || lcs->b.size >= UINT32_MAX - 1) {
        reply_error(ctx->reply, "ERR String too long for LCS");
        return false;
    }
    unsigned __int128 table =
        (unsigned __int128)(lcs->a.size + 1) * (lcs->b.size + 1) * sizeof(uint32_t);
    if (table > ctx->limits->value_bytes_max) {
        reply_error(ctx->reply, "ERR Insufficient memory, transient memory for LCS exceeds "
                                "proto-max-bulk-len");
        return false;
    }
    return true;
}

/* Fills in the table; returns the length. */
static uint32_t lcs_fill(struct lcs *lcs) {
    for (size_t i = 0; i < lcs->a.size; i++) {
        uint32_t diagonal = 0, left = 0;
        uint8_t *ups = lcs->ups != NULL ? lcs->ups + i * lcs->ups_size : NULL;
        char byte = lcs->a.data[i];
        for (size_t j = 0; j < lcs->b.size; j++) {
            uint32_t up = lcs->row[j + 1];
            if (byte == lcs->b.data[j]) {
                left = diagonal + 1;
            } else if (up > left) {
                left = up;
                if (ups != NULL) {
                    ups[j / 8] |= (uint8_t)(1 << j % 8);
                }
            }
            diagonal = up;
            lcs->row[j + 1] = left;
        }
    }
    return lcs->row[lcs->b.size];
}

/* Replies with one run of equal bytes that ends before a[a_end] and b[b_end]. */
static size_t lcs_reply_match(struct command_context *ctx, const struct lcs_options *options,
                              size_t a_end, size_t b_end, size_t size) {
    if (size == 0 || (int64_t)size < options->match_length_min) {
        return 0;
    }
    reply_array(ctx->reply, options->wants_match_length ? 3 : 2);
    reply_array(ctx->reply, 2);
    reply_integer(ctx->reply, (int64_t)(a_end - size));
    reply_integer(ctx->reply, (int64_t)(a_end - 1));
    reply_array(ctx->reply, 2);
    reply_integer(ctx->reply, (int64_t)(b_end - size));
    reply_integer(ctx->reply, (int64_t)(b_end - 1));
    if (options->wants_match_length) {
        reply_integer(ctx->reply, (int64_t)size);
    }
    return 1;
}

/* Walks the way back from the last cell: writes the subsequence to `text`, which has room for it,
 * or, with `text` NULL, replies with the matches, last ones first, and returns how many. */
static size_t lcs_walk(struct command_context *ctx, const struct lcs *lcs,
                       const struct lcs_options *options, char *text, size_t text_size) {
    size_t i = lcs->a.size, j = lcs->b.size, matches_count = 0, size = 0;
    while (i > 0 && j > 0) {
        if (lcs->a.data[i - 1] == lcs->b.data[j - 1]) {
            i--;
            j--;
            size++;
            if (text != NULL) {
                text[text_size - size] = lcs->a.data[i];
            }
            continue;
        }
        if (text == NULL) {
            matches_count += lcs_reply_match(ctx, options, i + size, j + size, size);
            size = 0;
        }
        if ((lcs->ups[(i - 1) * lcs->ups_size + (j - 1) / 8] >> (j - 1) % 8 & 1) != 0) {
            i--;
        } else {
            j--;
        }
    }
    if (text == NULL) {
        matches_count += lcs_reply_match(ctx, options, i + size, j + size, size);
    }
    return matches_count;
}

static void lcs_reply_indexes(struct command_context *ctx, const struct lcs *lcs,
                              const struct lcs_options *options, uint32_t length) {
    reply_map(ctx->reply, 2);
    reply_bulk_text(ctx->reply, "matches");
    size_t begin = reply_deferred_begin(ctx->reply);
    size_t matches_count = lcs_walk(ctx, lcs, options, NULL, 0);
    reply_deferred_array(ctx->reply, begin, matches_count);
    reply_bulk_text(ctx->reply, "len");
    reply_integer(ctx->reply, length);
}

/* Fills in the table and replies; false when memory is out. */
static bool lcs_run(struct command_context *ctx, struct lcs *lcs,
                    const struct lcs_options *options) {
    lcs->row = memory_try_alloc_zero((lcs->b.size + 1) * sizeof(uint32_t));
    if (lcs->row == NULL) {
        return false;
    }
    if (!options->wants_length) {
        lcs->ups_size = lcs->b.size / 8 + 1;
        lcs->ups = memory_try_alloc_zero((lcs->a.size + 1) * lcs->ups_size);
        if (lcs->ups == NULL) {
            return false;
        }
    }
    uint32_t length = lcs_fill(lcs);
    if (options->wants_length) {
        reply_integer(ctx->reply, length);
        return true;
    }
    if (options->wants_indexes) {
        lcs_reply_indexes(ctx, lcs, options, length);
        return true;
    }
    char *text = memory_try_alloc(length > 0 ? length : 1);
    if (text == NULL) {
        return false;
    }
    (void)lcs_walk(ctx, lcs, options, text, length);
    reply_bulk(ctx->reply, slice_make(text, length));
    memory_free(text);
    return true;
}

/* LCS key1 key2 [LEN] [IDX] [MINMATCHLEN length] [WITHMATCHLEN] */
static void cmd_lcs(struct command_context *ctx) {
    struct entry_scratch scratches[2];
    struct lcs lcs = {.a = slice_make("", 0), .b = slice_make("", 0)};
    enum store_status first = command_read_string(ctx, 1, &scratches[0], &lcs.a);
    enum store_status second = command_read_string(ctx, 2, &scratches[1], &lcs.b);
    if (first == STORE_WRONG_TYPE || second == STORE_WRONG_TYPE) {
        reply_error(ctx->reply, "ERR The specified keys must contain string values");
        return;
    }
    struct lcs_options options;
    if (!lcs_read_options(ctx, &options) || !lcs_fits(ctx, &lcs)) {
        return;
    }
    if (!lcs_run(ctx, &lcs, &options)) {
        reply_error(ctx->reply, "ERR Insufficient memory, failed allocating transient memory for "
                                "LCS");
    }
    memory_free(lcs.ups);
    memory_free(lcs.row);
}

/* ---- rows ---- */

static const struct command rows[] = {
    {.name = "lcs",
     .handler = cmd_lcs,
     .arity = -3,
     .flags = CMD_READ,
     .categories = CATEGORY_STRING,
     .keys = {1, 2, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "string",
     .since = "7.0.0",
     .cost = "O(N*M) where N and M are the lengths of s1 and s2, respectively",
     .syntax = "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
     .summary = "Finds the longest common subsequence of two strings."},
};

COMMAND_FAMILY(cmd_lcs_family, rows);
