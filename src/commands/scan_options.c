/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/scan_options.h"

#include "base/glob.h"

static_assert(64 - TABLE_DEPTH_MAX - TABLE_TAG_BITS >= SCAN_CURSOR_SHIFT,
              "a cursor keeps all of a position");

/* A cursor is digits only; none at all and leading zeros are accepted, as Redis does. */
static bool parse_cursor(struct slice text, uint64_t *cursor) {
    *cursor = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)(uint8_t)text.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(*cursor, UINT64_C(10), cursor) ||
            __builtin_add_overflow(*cursor, (uint64_t)digit, cursor)) {
            return false;
        }
    }
    return true;
}

/* Reads the option at argument `*i`, and moves `*i` to its last word. */
static bool parse_option(struct command_context *ctx, unsigned takes, struct scan_options *options,
                         size_t *i) {
    if ((takes & SCAN_TAKES_NOVALUES) != 0 && command_word(ctx, *i, "novalues")) {
        options->has_no_values = true;
        return true;
    }
    if (*i + 1 == ctx->args_count) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    size_t word = (*i)++;
    if (command_word(ctx, word, "count")) {
        int64_t count;
        if (!command_integer(ctx, *i, &count, NULL)) {
            return false;
        }
        if (count < 1) {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return false;
        }
        options->count = (uint64_t)count;
    } else if (command_word(ctx, word, "match")) {
        options->pattern = ctx->args[*i];
        options->has_pattern = !slice_equal(options->pattern, SLICE("*"));
    } else if ((takes & SCAN_TAKES_TYPE) != 0 && command_word(ctx, word, "type")) {
        options->type = ctx->args[*i];
        options->has_type = true;
    } else {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    return true;
}

/* Begins the options with the cursor. */
static bool read_cursor(struct command_context *ctx, size_t index, struct scan_options *options) {
    uint64_t cursor;
    *options = (struct scan_options){.count = SCAN_COUNT_DEFAULT};
    if (!parse_cursor(ctx->args[index], &cursor)) {
        reply_error(ctx->reply, "ERR invalid cursor");
        return false;
    }
    options->is_foreign = cursor >> (64 - SCAN_CURSOR_SHIFT) != 0;
    options->position = options->is_foreign ? 0 : cursor << SCAN_CURSOR_SHIFT;
    return true;
}

static bool read_options(struct command_context *ctx, size_t at, unsigned takes,
                         struct scan_options *options) {
    for (; at < ctx->args_count; at++) {
        if (!parse_option(ctx, takes, options, &at)) {
            return false;
        }
    }
    return true;
}

bool scan_parse_options(struct command_context *ctx, size_t cursor_index, unsigned takes,
                        struct scan_options *options) {
    return read_cursor(ctx, cursor_index, options) &&
           read_options(ctx, cursor_index + 1, takes, options);
}

bool scan_parse(struct command_context *ctx, enum value_type type, unsigned takes,
                struct scan_options *options, struct elements *elements) {
    struct key key = command_key(ctx, 1);
    if (!read_cursor(ctx, 2, options)) {
        return false;
    }
    switch (elements_read(ctx->store, &key, type, elements)) {
    case STORE_OK:
        break;
    case STORE_ABSENT:
        scan_reply_cursor(ctx, 0);
        reply_array(ctx->reply, 0);
        return false;
    default:
        command_reply_status(ctx, STORE_WRONG_TYPE);
        return false;
    }
    return read_options(ctx, 3, takes, options);
}

uint64_t scan_buckets_max(const struct scan_options *options) {
    if (options->is_foreign) {
        return 0;
    }
    return options->count > UINT64_MAX / SCAN_BUCKETS_FACTOR ? UINT64_MAX
                                                             : options->count * SCAN_BUCKETS_FACTOR;
}

void scan_reply_cursor(struct command_context *ctx, uint64_t position) {
    char cursor[NUMBER_INTEGER_BYTES_MAX];
    reply_array(ctx->reply, 2);
    reply_bulk(ctx->reply,
               slice_make(cursor, number_format_unsigned(cursor, position >> SCAN_CURSOR_SHIFT)));
}

/* ---- elements ---- */

struct scan_walk {
    struct command_context *ctx;
    const struct scan_options *options;
    scan_write_fn write;
    uint64_t seen_count;
    size_t written;
    bool is_dry; /* how far does it go? */
};

static void scan_visit(void *udata, const struct element *element) {
    struct scan_walk *walk = (struct scan_walk *)udata;
    walk->seen_count++;
    if (!walk->is_dry &&
        (!walk->options->has_pattern || glob_match(walk->options->pattern, element->name, false))) {
        walk->written += walk->write(walk->ctx, walk->options, element);
    }
}

static uint64_t walk_some(struct scan_walk *walk, const struct elements *elements) {
    const struct scan_options *options = walk->options;
    uint64_t position = options->position, buckets_max = scan_buckets_max(options);
    if (elements->packed.size > 0) {
        buckets_max = UINT64_MAX; /* all at once, whatever the cursor */
    }
    walk->seen_count = 0;
    for (uint64_t used = 0; used < buckets_max; used++) {
        position = elements_scan(walk->ctx->store, elements, position, scan_visit, walk);
        if (position == 0 || walk->seen_count >= options->count) {
            break;
        }
    }
    return position;
}

void scan_elements(struct command_context *ctx, const struct elements *elements,
                   struct scan_options *options, scan_write_fn write) {
    struct scan_walk walk = {.ctx = ctx, .options = options, .write = write, .is_dry = true};
    /* The cursor comes first, so the walk is made twice: once to see where it ends. */
    scan_reply_cursor(ctx, walk_some(&walk, elements));
    walk.is_dry = false;
    size_t begin = reply_deferred_begin(ctx->reply);
    (void)walk_some(&walk, elements);
    reply_deferred_array(ctx->reply, begin, walk.written);
}
