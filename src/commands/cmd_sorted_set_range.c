/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranges of sorted sets: by rank, score and name, forward and backward; counting, returning,
 * storing and removing them. All of them are ranges of ranks first. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "commands/scored_members.h"

#define BAD_SCORES "ERR min or max is not a float"
#define BAD_NAMES "ERR min or max not valid string range item"

enum range_kind { RANGE_UNKNOWN, RANGE_RANK, RANGE_SCORE, RANGE_NAME };
enum range_direction { DIRECTION_UNKNOWN, DIRECTION_FORWARD, DIRECTION_BACKWARD };

/* What a range command asks for. */
struct range_request {
    enum range_kind kind;
    enum range_direction direction;
    int64_t start, stop; /* RANK */
    struct score_range scores;
    struct name_range names;
    int64_t offset, limit; /* SCORE, NAME; a limit below 0: none */
    bool with_scores;
};

/* ---- bounds ---- */

/* A score, maybe infinite; "(" before it excludes it. What is empty or too large is read as
 * strtod() does. */
static bool parse_score(struct slice text, double *score, bool *is_exclusive) {
    char copy[512], *end;
    *is_exclusive = text.size > 0 && text.data[0] == '(';
    text = slice_skip(text, *is_exclusive);
    if (text.size >= sizeof(copy) || (text.size > 0 && memchr(text.data, '\0', text.size))) {
        return false;
    }
    memcpy(copy, text.size > 0 ? text.data : "", text.size);
    copy[text.size] = '\0';
    *score = strtod(copy, &end);
    return *end == '\0' && !isnan(*score);
}

static bool parse_scores(struct command_context *ctx, size_t min, size_t max,
                         struct score_range *range) {
    if (parse_score(ctx->args[min], &range->min, &range->is_min_exclusive) &&
        parse_score(ctx->args[max], &range->max, &range->is_max_exclusive)) {
        return true;
    }
    reply_error(ctx->reply, BAD_SCORES);
    return false;
}

static bool parse_name(struct slice text, struct slice *name, enum name_limit *limit) {
    char first = text.size > 0 ? text.data[0] : '\0';
    *limit = first == '-'   ? NAME_LOWEST
             : first == '+' ? NAME_HIGHEST
             : first == '(' ? NAME_EXCLUSIVE
                            : NAME_INCLUSIVE;
    *name = slice_skip(text, text.size > 0);
    return first == '(' || first == '[' || ((first == '-' || first == '+') && text.size == 1);
}

static bool parse_names(struct command_context *ctx, size_t min, size_t max,
                        struct name_range *range) {
    if (parse_name(ctx->args[min], &range->min, &range->min_limit) &&
        parse_name(ctx->args[max], &range->max, &range->max_limit)) {
        return true;
    }
    reply_error(ctx->reply, BAD_NAMES);
    return false;
}

/* Reads the bounds at arguments `first` and the next; of scores and names the higher one comes
 * first when going backward. */
static bool parse_bounds(struct command_context *ctx, size_t first, struct range_request *request) {
    bool is_backward = request->direction == DIRECTION_BACKWARD;
    size_t min = first + is_backward, max = first + !is_backward;
    switch (request->kind) {
    case RANGE_SCORE:
        return parse_scores(ctx, min, max, &request->scores);
    case RANGE_NAME:
        return parse_names(ctx, min, max, &request->names);
    case RANGE_RANK:
    case RANGE_UNKNOWN:
        break;
    }
    return command_integer(ctx, first, &request->start, NULL) &&
           command_integer(ctx, first + 1, &request->stop, NULL);
}

/* ---- ranks ---- */

/* Ranks as Redis counts them: from the end, if negative; from the last one, if backward. */
static struct rank_range ranks_of(int64_t start, int64_t stop, uint64_t members_count,
                                  bool is_backward) {
    int64_t count = (int64_t)members_count;
    start = start < 0 ? start + count : start;
    stop = stop < 0 ? stop + count : stop;
    start = start < 0 ? 0 : start;
    stop = stop >= count ? count - 1 : stop;
    if (start > stop || start >= count) {
        return (struct rank_range){0};
    }
    if (is_backward) {
        return (struct rank_range){.from = (uint64_t)(count - 1 - stop),
                                   .to = (uint64_t)(count - start)};
    }
    return (struct rank_range){.from = (uint64_t)start, .to = (uint64_t)stop + 1};
}

/* Keeps of the range what is left by offset and limit, which count in the direction of the walk. */
static struct rank_range range_limit(struct rank_range range, const struct range_request *request) {
    uint64_t count = rank_range_count(range);
    if (request->offset < 0 || (uint64_t)request->offset >= count) {
        return (struct rank_range){0};
    }
    count -= (uint64_t)request->offset;
    if (request->limit >= 0 && (uint64_t)request->limit < count) {
        count = (uint64_t)request->limit;
    }
    if (request->direction == DIRECTION_BACKWARD) {
        range.to -= (uint64_t)request->offset;
        range.from = range.to - count;
    } else {
        range.from += (uint64_t)request->offset;
        range.to = range.from + count;
    }
    return range;
}

static struct rank_range find_range(const struct elements *elements,
                                    const struct range_request *request) {
    switch (request->kind) {
    case RANGE_SCORE:
        return range_limit(sorted_set_by_score(elements, &request->scores), request);
    case RANGE_NAME:
        return range_limit(sorted_set_by_name(elements, &request->names), request);
    case RANGE_RANK:
    case RANGE_UNKNOWN:
        break;
    }
    return ranks_of(request->start, request->stop, elements->count,
                    request->direction == DIRECTION_BACKWARD);
}

/* ---- options ---- */

/* Reads the words from argument `at` on. What is decided, by the command itself or by a word
 * before, is no option any more. */
static bool parse_options(struct command_context *ctx, size_t at, bool stores,
                          struct range_request *request) {
    request->limit = -1;
    for (; at < ctx->args_count; at++) {
        if (!stores && command_word(ctx, at, "withscores")) {
            request->with_scores = true;
        } else if (command_word(ctx, at, "limit") && at + 2 < ctx->args_count) {
            if (!command_integer(ctx, at + 1, &request->offset, NULL) ||
                !command_integer(ctx, at + 2, &request->limit, NULL)) {
                return false;
            }
            at += 2;
        } else if (request->direction == DIRECTION_UNKNOWN && command_word(ctx, at, "rev")) {
            request->direction = DIRECTION_BACKWARD;
        } else if (request->kind == RANGE_UNKNOWN && command_word(ctx, at, "bylex")) {
            request->kind = RANGE_NAME;
        } else if (request->kind == RANGE_UNKNOWN && command_word(ctx, at, "byscore")) {
            request->kind = RANGE_SCORE;
        } else {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return false;
        }
    }
    if (request->kind == RANGE_UNKNOWN) {
        request->kind = RANGE_RANK;
    }
    if (request->limit != -1 && request->kind == RANGE_RANK) {
        reply_error(ctx->reply, "ERR syntax error, LIMIT is only supported in combination with "
                                "either BYSCORE or BYLEX");
        return false;
    }
    if (request->with_scores && request->kind == RANGE_NAME) {
        reply_error(ctx->reply,
                    "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
        return false;
    }
    return true;
}

/* ---- returning and storing ---- */

static void reply_range(struct command_context *ctx, const struct elements *elements,
                        const struct range_request *request) {
    struct rank_range range = find_range(elements, request);
    struct sorted_set_walk walk;
    struct slice name;
    double score;
    scored_reply_begin(ctx->reply, rank_range_count(range), request->with_scores);
    sorted_set_walk_init(&walk, elements, range, request->direction == DIRECTION_BACKWARD);
    while (sorted_set_walk_next(&walk, &name, &score)) {
        scored_reply_member(ctx->reply, name, score, request->with_scores);
    }
}

static void store_range(struct command_context *ctx, const struct elements *elements,
                        const struct range_request *request) {
    struct scored_members members = {0};
    struct scored_member member = {.score = 0};
    struct sorted_set_walk walk;
    /* In order, whatever the direction: what is stored is the same. */
    sorted_set_walk_init(&walk, elements, find_range(elements, request), false);
    while (sorted_set_walk_next(&walk, &member.name, &member.score)) {
        scored_members_add(&members, &member);
    }
    scored_members_store(ctx, 1, &members, "zrangestore");
    scored_members_deinit(&members);
}

/* A range command whose key is argument `key_at`, before the bounds. */
static void range_command(struct command_context *ctx, size_t key_at, enum range_kind kind,
                          enum range_direction direction) {
    struct range_request request = {.kind = kind, .direction = direction};
    bool stores = key_at > 1;
    if (!parse_options(ctx, key_at + 3, stores, &request) ||
        !parse_bounds(ctx, key_at + 1, &request)) {
        return;
    }
    struct key key = command_key(ctx, key_at);
    struct elements elements;
    if (elements_read(ctx->store, &key, VALUE_SORTED_SET, &elements) == STORE_WRONG_TYPE) {
        command_reply_status(ctx, STORE_WRONG_TYPE);
    } else if (stores) {
        store_range(ctx, &elements, &request);
    } else {
        reply_range(ctx, &elements, &request);
    }
}

/* ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES] */
static void cmd_zrange(struct command_context *ctx) {
    range_command(ctx, 1, RANGE_UNKNOWN, DIRECTION_UNKNOWN);
}

/* ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count] */
static void cmd_zrangestore(struct command_context *ctx) {
    range_command(ctx, 2, RANGE_UNKNOWN, DIRECTION_UNKNOWN);
}

/* ZREVRANGE key start stop [WITHSCORES] */
static void cmd_zrevrange(struct command_context *ctx) {
    range_command(ctx, 1, RANGE_RANK, DIRECTION_BACKWARD);
}

/* ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count] */
static void cmd_zrangebyscore(struct command_context *ctx) {
    range_command(ctx, 1, RANGE_SCORE, DIRECTION_FORWARD);
}

/* ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count] */
static void cmd_zrevrangebyscore(struct command_context *ctx) {
    range_command(ctx, 1, RANGE_SCORE, DIRECTION_BACKWARD);
}

/* ZRANGEBYLEX key min max [LIMIT offset count] */
static void cmd_zrangebylex(struct command_context *ctx) {
    range_command(ctx, 1, RANGE_NAME, DIRECTION_FORWARD);
}

/* ZREVRANGEBYLEX key max min [LIMIT offset count] */
static void cmd_zrevrangebylex(struct command_context *ctx) {
    range_command(ctx, 1, RANGE_NAME, DIRECTION_BACKWARD);
}

/* ---- counting and removing ---- */

static void count_range(struct command_context *ctx, enum range_kind kind) {
    struct range_request request = {.kind = kind, .direction = DIRECTION_FORWARD, .limit = -1};
    struct key key = command_key(ctx, 1);
    struct elements elements;
    if (!parse_bounds(ctx, 2, &request)) {
        return;
    }
    if (elements_read(ctx->store, &key, VALUE_SORTED_SET, &elements) == STORE_WRONG_TYPE) {
        command_reply_status(ctx, STORE_WRONG_TYPE);
        return;
    }
    reply_integer(ctx->reply, (int64_t)rank_range_count(find_range(&elements, &request)));
}

/* ZCOUNT key min max */
static void cmd_zcount(struct command_context *ctx) {
    count_range(ctx, RANGE_SCORE);
}

/* ZLEXCOUNT key min max */
static void cmd_zlexcount(struct command_context *ctx) {
    count_range(ctx, RANGE_NAME);
}

static void remove_range(struct command_context *ctx, enum range_kind kind, const char *event) {
    struct range_request request = {.kind = kind, .direction = DIRECTION_FORWARD, .limit = -1};
    struct key key = command_key(ctx, 1);
    struct elements_writer writer;
    struct elements elements;
    if (!parse_bounds(ctx, 2, &request)) {
        return;
    }
    if (elements_open(ctx->store, &key, VALUE_SORTED_SET, &writer) != STORE_OK) {
        command_reply_status(ctx, STORE_WRONG_TYPE);
        return;
    }
    elements_written(&writer, &elements);
    struct rank_range range = find_range(&elements, &request);
    uint64_t removed = rank_range_count(range);
    if (removed > 0 && removed == elements.count) {
        /* One change, and a large set is freed in the background. */
        elements_close(&writer);
        (void)store_delete(ctx->store, &key);
    } else {
        removed = sorted_set_remove(&writer, range, false, NULL, NULL);
        elements_close(&writer);
    }
    if (removed > 0) {
        command_notify_removed(ctx, &key, NOTIFY_ZSET, event);
    }
    reply_integer(ctx->reply, (int64_t)removed);
}

/* ZREMRANGEBYRANK key start stop */
static void cmd_zremrangebyrank(struct command_context *ctx) {
    remove_range(ctx, RANGE_RANK, "zremrangebyrank");
}

/* ZREMRANGEBYSCORE key min max */
static void cmd_zremrangebyscore(struct command_context *ctx) {
    remove_range(ctx, RANGE_SCORE, "zremrangebyscore");
}

/* ZREMRANGEBYLEX key min max */
static void cmd_zremrangebylex(struct command_context *ctx) {
    remove_range(ctx, RANGE_NAME, "zremrangebylex");
}

#define RANGE_ROW                                                                                  \
    .flags = CMD_READ, .key_flags = KEY_READ_ONLY | KEY_ACCESS, .keys = {1, 1, 1},                 \
    .group = "sorted-set",                                                                         \
    .cost = "O(log(N)+M) where N is the number of members and M that of members returned."
#define COUNT_ROW                                                                                  \
    .flags = CMD_READ | CMD_FAST, .key_flags = KEY_READ_ONLY | KEY_ACCESS, .keys = {1, 1, 1},      \
    .group = "sorted-set", .cost = "O(log(N)) where N is the number of members of the sorted set."
#define REMOVE_ROW                                                                                 \
    .flags = CMD_WRITE, .key_flags = KEY_READ_WRITE | KEY_DELETE, .keys = {1, 1, 1},               \
    .group = "sorted-set",                                                                         \
    .cost = "O(log(N)+M) where N is the number of members and M that of members removed."

/* clang-format off */
static const struct command cmd_sorted_set_range_rows[] = {
    {.name = "zrange", .handler = cmd_zrange, .arity = -4, RANGE_ROW, .since = "1.2.0",
     .syntax = "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
     .summary = "Returns members in a range of ranks, scores or names."},
    {.name = "zrangestore", .handler = cmd_zrangestore, .arity = -5,
     .flags = CMD_WRITE | CMD_DENY_OOM, .keys = {1, 1, 1}, .key_flags = KEY_OVERWRITE | KEY_UPDATE,
     .more_keys = {2, 2, 1}, .more_key_flags = KEY_READ_ONLY | KEY_ACCESS, .group = "sorted-set",
     .since = "6.2.0",
     .cost = "O(log(N)+M) where N is the number of members and M that of members stored.",
     .syntax = "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
     .summary = "Stores members in a range of ranks, scores or names at another key."},
    {.name = "zrevrange", .handler = cmd_zrevrange, .arity = -4, RANGE_ROW, .since = "1.2.0",
     .syntax = "key start stop [WITHSCORES]",
     .summary = "Returns members in a range of ranks, counted from the highest score."},
    {.name = "zrangebyscore", .handler = cmd_zrangebyscore, .arity = -4, RANGE_ROW,
     .since = "1.0.5", .syntax = "key min max [WITHSCORES] [LIMIT offset count]",
     .summary = "Returns members in a range of scores."},
    {.name = "zrevrangebyscore", .handler = cmd_zrevrangebyscore, .arity = -4, RANGE_ROW,
     .since = "2.2.0", .syntax = "key max min [WITHSCORES] [LIMIT offset count]",
     .summary = "Returns members in a range of scores, the highest first."},
    {.name = "zrangebylex", .handler = cmd_zrangebylex, .arity = -4, RANGE_ROW, .since = "2.8.9",
     .syntax = "key min max [LIMIT offset count]",
     .summary = "Returns members in a range of names, where all have one score."},
    {.name = "zrevrangebylex", .handler = cmd_zrevrangebylex, .arity = -4, RANGE_ROW,
     .since = "2.8.9", .syntax = "key max min [LIMIT offset count]",
     .summary = "Returns members in a range of names, the last first, where all have one score."},
    {.name = "zcount", .handler = cmd_zcount, .arity = 4, COUNT_ROW, .since = "2.0.0",
     .syntax = "key min max", .summary = "Counts the members in a range of scores."},
    {.name = "zlexcount", .handler = cmd_zlexcount, .arity = 4, COUNT_ROW, .since = "2.8.9",
     .syntax = "key min max",
     .summary = "Counts the members in a range of names, where all have one score."},
    {.name = "zremrangebyrank", .handler = cmd_zremrangebyrank, .arity = 4, REMOVE_ROW,
     .since = "2.0.0", .syntax = "key start stop",
     .summary = "Removes the members in a range of ranks."},
    {.name = "zremrangebyscore", .handler = cmd_zremrangebyscore, .arity = 4, REMOVE_ROW,
     .since = "1.2.0", .syntax = "key min max",
     .summary = "Removes the members in a range of scores."},
    {.name = "zremrangebylex", .handler = cmd_zremrangebylex, .arity = 4, REMOVE_ROW,
     .since = "2.8.9", .syntax = "key min max",
     .summary = "Removes the members in a range of names, where all have one score."},
};
/* clang-format on */

COMMAND_FAMILY(cmd_sorted_set_range_family, cmd_sorted_set_range_rows);
