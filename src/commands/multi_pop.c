/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/multi_pop.h"

#include "commands/scored_members.h"

bool multi_pop_parse(struct command_context *ctx, bool blocks, const char *first_end,
                     const char *second_end, struct multi_pop *pop) {
    size_t index = blocks ? 2 : 1; /* of numkeys */
    int64_t keys_count, count = 1;
    if (!command_integer_from(ctx, index, 1, &keys_count, "ERR numkeys should be greater than 0")) {
        return false;
    }
    /* The end is behind the keys. */
    if ((uint64_t)keys_count >= ctx->args_count - index - 1) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    *pop = (struct multi_pop){
        .keys_first = index + 1, .keys_count = (size_t)keys_count, .blocks = blocks};
    size_t end = pop->keys_first + pop->keys_count;
    pop->is_second_end = command_word(ctx, end, second_end);
    if (!pop->is_second_end && !command_word(ctx, end, first_end)) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    bool has_count = false;
    for (size_t i = end + 1; i < ctx->args_count; i += 2, has_count = true) {
        if (has_count || !command_word(ctx, i, "count") || i + 1 == ctx->args_count) {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return false;
        }
        if (!command_integer_from(ctx, i + 1, 1, &count, "ERR count should be greater than 0")) {
            return false;
        }
    }
    pop->count = (uint64_t)count;
    return !blocks || command_timeout(ctx, 1, &pop->timeout_ms);
}

int multi_pop_keys(const struct slice *args, size_t args_count, int *positions, size_t room) {
    return command_counted_keys(args, args_count, 0, 1, positions, room);
}

int multi_pop_blocking_keys(const struct slice *args, size_t args_count, int *positions,
                            size_t room) {
    return command_counted_keys(args, args_count, 0, 2, positions, room);
}

void multi_pop_found_nothing(struct command_context *ctx, const struct multi_pop *pop,
                             enum value_type type) {
    struct command_wait wait = {.type = type,
                                .keys_first = pop->keys_first,
                                .keys_count = pop->keys_count,
                                .timeout_ms = pop->timeout_ms};
    if (!pop->blocks || !command_block(ctx, &wait)) {
        reply_null_array(ctx->reply);
    }
}
