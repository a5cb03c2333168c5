/* SPDX-License-Identifier: BSD-3-Clause */
/* Sorted sets: members one by one, popping, drawing and scanning. Ranges are in
 * cmd_sorted_set_range.c, unions and their like in cmd_sorted_set_algebra.c. */
#include <math.h>

#include "commands/scan_options.h"
#include "commands/multi_pop.h"
#include "commands/scored_members.h"

#define NOT_A_NUMBER "ERR resulting score is not a number (NaN)"
#define OUT_OF_RANGE "ERR value is out of range"

/* ---- ZADD and ZINCRBY ---- */

enum { SCORES_INLINE = 32 }; /* more are allocated */

/* One ZADD: what is asked, and what has happened. */
struct zadd {
    struct elements_writer writer;
    unsigned flags;
    uint64_t added_count, updated_count;
    bool is_done;  /* INCR: not kept from it by a condition */
    double result; /* INCR: the new score */
};

size_t sorted_set_add_options(struct command_context *ctx, unsigned last, unsigned *flags) {
    static const char *const WORDS[] = {"nx", "xx", "ch", "gt", "lt", "incr"};
    size_t at = 2;
    for (*flags = 0; at < ctx->args_count; at++) {
        unsigned word = 0;
        while ((1U << word) <= last && !command_word(ctx, at, WORDS[word])) {
            word++;
        }
        if ((1U << word) > last) {
            break;
        }
        *flags |= 1U << word;
    }
    return at;
}

/* Writes the error and returns false when the options do not go together. */
static bool zadd_check(struct command_context *ctx, unsigned flags, size_t scores_at) {
    size_t rest = ctx->args_count - scores_at;
    bool has_gt = (flags & SORTED_SET_ADD_GT) != 0, has_lt = (flags & SORTED_SET_ADD_LT) != 0;
    const char *error = NULL;
    if (rest == 0 || rest % 2 != 0) {
        error = COMMAND_SYNTAX_ERROR;
    } else if ((flags & SORTED_SET_ADD_NX) != 0 && (flags & SORTED_SET_ADD_XX) != 0) {
        error = "ERR XX and NX options at the same time are not compatible";
    } else if ((has_gt && has_lt) || ((flags & SORTED_SET_ADD_NX) != 0 && (has_gt || has_lt))) {
        error = "ERR GT, LT, and/or NX options at the same time are not compatible";
    } else if ((flags & SORTED_SET_ADD_INCR) != 0 && rest > 2) {
        error = "ERR INCR option supports a single increment-element pair";
    } else {
        return true;
    }
    reply_error(ctx->reply, error);
    return false;
}

/* Do the conditions allow the new score? */
static bool zadd_allows(unsigned flags, bool is_there, double old_score, double score) {
    if (!is_there) {
        return (flags & SORTED_SET_ADD_XX) == 0;
    }
    return (flags & SORTED_SET_ADD_NX) == 0 &&
           ((flags & SORTED_SET_ADD_GT) == 0 || score > old_score) &&
           ((flags & SORTED_SET_ADD_LT) == 0 || score < old_score);
}

static enum store_status zadd_one(struct zadd *add, struct slice name, double score) {
    struct element element = {.score = 0};
    bool is_there = false, is_new;
    /* Else nobody asks what the score was. */
    bool has_to_look = (add->flags & ~(unsigned)SORTED_SET_ADD_INCR) != 0 ||
                       add->writer.store->notify_classes != 0;
    if (has_to_look) {
        struct elements elements;
        elements_written(&add->writer, &elements);
        is_there = elements_find(add->writer.store, &elements, name, &element);
        double wanted = (add->flags & SORTED_SET_ADD_INCR) != 0 ? element.score + score : score;
        if (isnan(wanted) && (!is_there || (add->flags & SORTED_SET_ADD_NX) == 0)) {
            return STORE_NOT_FINITE;
        }
        if (!zadd_allows(add->flags, is_there, element.score, wanted)) {
            return STORE_OK;
        }
    }
    enum store_status status;
    add->result = score;
    if ((add->flags & SORTED_SET_ADD_INCR) != 0) {
        status = element_add_score(&add->writer, name, score, &add->result);
        is_new = !is_there;
    } else {
        status = element_set_score(&add->writer, name, score, &is_new);
    }
    if (status == STORE_OK) {
        add->is_done = true;
        add->added_count += is_new;
        add->updated_count += !is_new && (!has_to_look || add->result != element.score);
    }
    return status;
}

static void zadd_reply(struct command_context *ctx, const struct zadd *add,
                       enum store_status status) {
    if (status == STORE_NOT_FINITE) {
        reply_error(ctx->reply, NOT_A_NUMBER);
    } else if (status != STORE_OK) {
        command_reply_status(ctx, status);
    } else if ((add->flags & SORTED_SET_ADD_INCR) == 0) {
        reply_integer(ctx->reply,
                      (int64_t)(add->added_count +
                                ((add->flags & SORTED_SET_ADD_CH) != 0 ? add->updated_count : 0)));
    } else if (add->is_done) {
        reply_double(ctx->reply, add->result);
    } else {
        reply_null(ctx->reply);
    }
}

void sorted_set_add(struct command_context *ctx, unsigned flags, const double *scores,
                    size_t name_at, size_t step, size_t count) {
    struct key key = command_key(ctx, 1);
    struct zadd add = {.flags = flags};
    enum store_status status = elements_open(ctx->store, &key, VALUE_SORTED_SET, &add.writer);
    if (status == STORE_OK) {
        elements_expect(&add.writer, (flags & SORTED_SET_ADD_XX) == 0 ? count : 0, false);
        for (size_t i = 0; i < count && status == STORE_OK; i++) {
            status = zadd_one(&add, ctx->args[name_at + step * i], scores[i]);
        }
        elements_close(&add.writer);
        if (add.added_count + add.updated_count > 0) {
            store_notify(ctx->store, NOTIFY_ZSET,
                         (flags & SORTED_SET_ADD_INCR) != 0 ? "zincr" : "zadd", &key);
        }
    }
    zadd_reply(ctx, &add, status);
}

/* Adds by pairs of scores and names from argument `scores_at` on. */
static void zadd_pairs(struct command_context *ctx, unsigned flags, size_t scores_at) {
    double scores_inline[SCORES_INLINE], *scores = scores_inline;
    size_t count = (ctx->args_count - scores_at) / 2, read = 0;
    if (count > SCORES_INLINE) {
        scores = memory_alloc(count * sizeof(*scores));
    }
    while (read < count && number_parse_double(ctx->args[scores_at + 2 * read], &scores[read])) {
        read++;
    }
    if (read == count) {
        sorted_set_add(ctx, flags, scores, scores_at + 1, 2, count);
    } else {
        reply_error(ctx->reply, COMMAND_NOT_FLOAT);
    }
    if (scores != scores_inline) {
        memory_free(scores);
    }
}

/* ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...] */
static void cmd_zadd(struct command_context *ctx) {
    unsigned flags;
    size_t scores_at = sorted_set_add_options(ctx, SORTED_SET_ADD_INCR, &flags);
    if (zadd_check(ctx, flags, scores_at)) {
        zadd_pairs(ctx, flags, scores_at);
    }
}

/* ZINCRBY key increment member */
static void cmd_zincrby(struct command_context *ctx) {
    zadd_pairs(ctx, SORTED_SET_ADD_INCR, 2);
}

/* ---- members ---- */

/* Reads the sorted set at argument `index`; who pops from it is no reader. False when it is absent,
 * with nothing replied and no elements, or of another type, which is replied: `*is_done`. */
static bool read_sorted_set(struct command_context *ctx, size_t index, struct elements *elements,
                            bool *is_done) {
    struct key key = command_key(ctx, index);
    enum store_status status = (ctx->row->flags & CMD_WRITE) != 0
                                   ? elements_look(ctx->store, &key, VALUE_SORTED_SET, elements)
                                   : elements_read(ctx->store, &key, VALUE_SORTED_SET, elements);
    *is_done = status == STORE_WRONG_TYPE;
    if (*is_done) {
        command_reply_status(ctx, status);
    }
    return status == STORE_OK;
}

/* ZREM key member [member ...] */
static void cmd_zrem(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct elements_writer writer;
    int64_t removed = 0;
    enum store_status status = elements_open(ctx->store, &key, VALUE_SORTED_SET, &writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    for (size_t i = 2; i < ctx->args_count; i++) {
        removed += element_delete(&writer, ctx->args[i]);
    }
    elements_close(&writer);
    if (removed > 0) {
        command_notify_removed(ctx, &key, NOTIFY_ZSET, "zrem");
    }
    reply_integer(ctx->reply, removed);
}

/* ZCARD key */
static void cmd_zcard(struct command_context *ctx) {
    struct elements elements;
    bool is_done;
    (void)read_sorted_set(ctx, 1, &elements, &is_done);
    if (!is_done) {
        reply_integer(ctx->reply, (int64_t)elements.count);
    }
}

static void reply_score(struct command_context *ctx, const struct elements *elements,
                        size_t index) {
    struct element element;
    if (elements_find(ctx->store, elements, ctx->args[index], &element)) {
        reply_double(ctx->reply, element.score);
    } else {
        reply_null(ctx->reply);
    }
}

/* ZSCORE key member */
static void cmd_zscore(struct command_context *ctx) {
    struct elements elements;
    bool is_done;
    (void)read_sorted_set(ctx, 1, &elements, &is_done);
    if (!is_done) {
        reply_score(ctx, &elements, 2);
    }
}

/* ZMSCORE key member [member ...] */
static void cmd_zmscore(struct command_context *ctx) {
    struct elements elements;
    bool is_done;
    (void)read_sorted_set(ctx, 1, &elements, &is_done);
    if (is_done) {
        return;
    }
    reply_array(ctx->reply, ctx->args_count - 2);
    for (size_t i = 2; i < ctx->args_count; i++) {
        reply_score(ctx, &elements, i);
    }
}

static void reply_rank(struct command_context *ctx, bool is_reverse) {
    struct elements elements;
    uint64_t rank = 0;
    double score = 0;
    bool is_done, with_score = ctx->args_count == 4;
    if (ctx->args_count > 4) {
        reply_errorf(ctx->reply, "ERR wrong number of arguments for '%s' command", ctx->row->name);
        return;
    }
    if (with_score && !command_word(ctx, 3, "withscore")) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    (void)read_sorted_set(ctx, 1, &elements, &is_done);
    if (is_done) {
        return;
    }
    if (!sorted_set_rank(ctx->store, &elements, ctx->args[2], &rank, &score)) {
        with_score ? reply_null_array(ctx->reply) : reply_null(ctx->reply);
        return;
    }
    if (with_score) {
        reply_array(ctx->reply, 2);
    }
    reply_integer(ctx->reply, (int64_t)(is_reverse ? elements.count - 1 - rank : rank));
    if (with_score) {
        reply_double(ctx->reply, score);
    }
}

/* ZRANK key member [WITHSCORE] */
static void cmd_zrank(struct command_context *ctx) {
    reply_rank(ctx, false);
}

/* ZREVRANK key member [WITHSCORE] */
static void cmd_zrevrank(struct command_context *ctx) {
    reply_rank(ctx, true);
}

/* ---- popping ---- */

static void pop_reply_pair(void *udata, struct slice name, double score) {
    scored_reply_member(udata, name, score, true);
}

static void pop_reply_nested(void *udata, struct slice name, double score) {
    struct reply *reply = udata;
    reply_array(reply, 2);
    reply_bulk(reply, name);
    reply_double(reply, score);
}

static void pop_reply_flat(void *udata, struct slice name, double score) {
    struct reply *reply = udata;
    reply_bulk(reply, name);
    reply_double(reply, score);
}

/* Removes up to `count` members from one end of the sorted set at `key`, which is there with
 * `members_count`; replies each by `reply_member`. The head of the reply is the caller's. */
static void pop(struct command_context *ctx, const struct key *key, bool is_max, uint64_t count,
                uint64_t members_count, sorted_set_removed_fn reply_member) {
    struct elements_writer writer;
    enum store_status status = elements_open(ctx->store, key, VALUE_SORTED_SET, &writer);
    ensure(status == STORE_OK);
    struct rank_range range = {.from = 0, .to = count};
    if (is_max) {
        range = (struct rank_range){.from = members_count - count, .to = members_count};
    }
    uint64_t removed = sorted_set_remove(&writer, range, is_max, reply_member, ctx->reply);
    elements_close(&writer);
    if (removed > 0) {
        command_notify_removed(ctx, key, NOTIFY_ZSET, is_max ? "zpopmax" : "zpopmin");
    }
}

static void pop_command(struct command_context *ctx, bool is_max) {
    struct elements elements;
    int64_t count = 1;
    bool is_done, has_count = ctx->args_count > 2;
    if (ctx->args_count > 3) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if (has_count && (!number_parse_integer(ctx->args[2], &count) || count < 0)) {
        reply_error(ctx->reply, "ERR value is out of range, must be positive");
        return;
    }
    if (!read_sorted_set(ctx, 1, &elements, &is_done) || count == 0) {
        if (!is_done) {
            reply_array(ctx->reply, 0);
        }
        return;
    }
    struct key key = command_key(ctx, 1);
    uint64_t popped = (uint64_t)count < elements.count ? (uint64_t)count : elements.count;
    if (has_count) {
        scored_reply_begin(ctx->reply, popped, true);
    } else {
        reply_array(ctx->reply, 2);
    }
    pop(ctx, &key, is_max, popped, elements.count, has_count ? pop_reply_pair : pop_reply_flat);
}

/* ZPOPMIN key [count] */
static void cmd_zpopmin(struct command_context *ctx) {
    pop_command(ctx, false);
}

/* ZPOPMAX key [count] */
static void cmd_zpopmax(struct command_context *ctx) {
    pop_command(ctx, true);
}

/* Looks at argument `index` as read_sorted_set() does, if a pop is to look at it. */
static bool read_filled(struct command_context *ctx, size_t index, struct elements *elements,
                        bool *is_done) {
    struct key key = command_key(ctx, index);
    *is_done = false;
    return command_looks_at(ctx, &key) && read_sorted_set(ctx, index, elements, is_done);
}

/* BZPOPMIN and BZPOPMAX: from the first sorted set that has any. */
static void blocking_pop(struct command_context *ctx, bool is_max) {
    struct command_wait wait = {
        .type = VALUE_SORTED_SET, .keys_first = 1, .keys_count = ctx->args_count - 2};
    if (!command_timeout(ctx, ctx->args_count - 1, &wait.timeout_ms)) {
        return;
    }
    for (size_t i = 1; i <= wait.keys_count; i++) {
        struct elements elements;
        bool is_done;
        if (read_filled(ctx, i, &elements, &is_done)) {
            struct key key = command_key(ctx, i);
            reply_array(ctx->reply, 3);
            reply_bulk(ctx->reply, key.name);
            pop(ctx, &key, is_max, 1, elements.count, pop_reply_flat);
            return;
        }
        if (is_done) {
            return;
        }
    }
    if (!command_block(ctx, &wait)) {
        reply_null_array(ctx->reply);
    }
}

/* BZPOPMIN key [key ...] timeout */
static void cmd_bzpopmin(struct command_context *ctx) {
    blocking_pop(ctx, false);
}

/* BZPOPMAX key [key ...] timeout */
static void cmd_bzpopmax(struct command_context *ctx) {
    blocking_pop(ctx, true);
}

static void multi_pop(struct command_context *ctx, bool blocks) {
    struct multi_pop arguments;
    if (!multi_pop_parse(ctx, blocks, "min", "max", &arguments)) {
        return;
    }
    for (size_t i = 0; i < arguments.keys_count; i++) {
        struct elements elements;
        bool is_done;
        if (read_filled(ctx, arguments.keys_first + i, &elements, &is_done)) {
            struct key key = command_key(ctx, arguments.keys_first + i);
            uint64_t popped = arguments.count < elements.count ? arguments.count : elements.count;
            reply_array(ctx->reply, 2);
            reply_bulk(ctx->reply, key.name);
            reply_array(ctx->reply, popped);
            pop(ctx, &key, arguments.is_second_end, popped, elements.count, pop_reply_nested);
            return;
        }
        if (is_done) {
            return;
        }
    }
    multi_pop_found_nothing(ctx, &arguments, VALUE_SORTED_SET);
}

/* ZMPOP numkeys key [key ...] <MIN | MAX> [COUNT count] */
static void cmd_zmpop(struct command_context *ctx) {
    multi_pop(ctx, false);
}

/* BZMPOP timeout numkeys key [key ...] <MIN | MAX> [COUNT count] */
static void cmd_bzmpop(struct command_context *ctx) {
    multi_pop(ctx, true);
}

/* ---- drawing ---- */

/* `count` members, each drawn from all; there are some. */
static void draw_repeated(struct command_context *ctx, const struct elements *elements,
                          uint64_t count, bool with_scores) {
    size_t begin = ctx->reply->out->size;
    scored_reply_begin(ctx->reply, count, with_scores);
    for (uint64_t i = 0; i < count && !command_reply_is_too_long(ctx, begin); i++) {
        struct slice name;
        double score;
        sorted_set_at(elements, prng_below(&ctx->store->prng, elements->count), &name, &score);
        scored_reply_member(ctx->reply, name, score, with_scores);
    }
}

/* `count` different ones of many more: ranks are drawn again where one came before. A set of ranks
 * with open addressing remembers them. False when memory is out. */
static bool draw_few(struct command_context *ctx, const struct elements *elements, uint64_t count,
                     bool with_scores) {
    size_t places = 16;
    while (places < 2 * count) {
        places *= 2;
    }
    uint64_t *drawn = memory_try_alloc_zero(places * sizeof(*drawn)); /* ranks plus one */
    if (drawn == NULL) {
        return false;
    }
    scored_reply_begin(ctx->reply, count, with_scores);
    for (uint64_t i = 0; i < count;) {
        uint64_t rank = prng_below(&ctx->store->prng, elements->count);
        size_t place = (size_t)(rank * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (places - 1);
        while (drawn[place] != 0 && drawn[place] != rank + 1) {
            place = (place + 1) & (places - 1);
        }
        if (drawn[place] == 0) {
            struct slice name;
            double score;
            drawn[place] = rank + 1;
            sorted_set_at(elements, rank, &name, &score);
            scored_reply_member(ctx->reply, name, score, with_scores);
            i++;
        }
    }
    memory_free(drawn);
    return true;
}

/* `count` different ones, by going through all: each is taken with the chance that is left. */
static void draw_many(struct command_context *ctx, const struct elements *elements, uint64_t count,
                      bool with_scores) {
    struct sorted_set_walk walk;
    struct slice name;
    double score;
    uint64_t left = elements->count, wanted = count < left ? count : left;
    scored_reply_begin(ctx->reply, wanted, with_scores);
    sorted_set_walk_init(&walk, elements, (struct rank_range){.to = left}, false);
    for (; wanted > 0 && sorted_set_walk_next(&walk, &name, &score); left--) {
        if (prng_below(&ctx->store->prng, left) < wanted) {
            scored_reply_member(ctx->reply, name, score, with_scores);
            wanted--;
        }
    }
}

/* ZRANDMEMBER key [count [WITHSCORES]] */
static void cmd_zrandmember(struct command_context *ctx) {
    struct elements elements;
    int64_t count = 0;
    bool is_done, has_count = ctx->args_count > 2, with_scores = ctx->args_count > 3;
    if (has_count && !command_signed_count(ctx, 2, &count)) {
        return;
    }
    if (ctx->args_count > 4 || (with_scores && !command_word(ctx, 3, "withscores"))) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if (with_scores && (count < -(INT64_MAX / 2) || count > INT64_MAX / 2)) {
        reply_error(ctx->reply, OUT_OF_RANGE);
        return;
    }
    if (!read_sorted_set(ctx, 1, &elements, &is_done)) {
        if (!is_done) {
            has_count ? reply_array(ctx->reply, 0) : reply_null(ctx->reply);
        }
    } else if (!has_count) {
        struct slice name;
        double score;
        sorted_set_at(&elements, prng_below(&ctx->store->prng, elements.count), &name, &score);
        reply_bulk(ctx->reply, name);
    } else if (count < 0) {
        draw_repeated(ctx, &elements, (uint64_t)-count, with_scores);
    } else if (elements.collection == NULL || (uint64_t)count >= elements.count / 4) {
        draw_many(ctx, &elements, (uint64_t)count, with_scores);
    } else if (!draw_few(ctx, &elements, (uint64_t)count, with_scores)) {
        command_reply_status(ctx, STORE_OUT_OF_MEMORY);
    }
}

/* ---- scanning ---- */

static size_t scan_write(struct command_context *ctx, const struct scan_options *options,
                         const struct element *element) {
    (void)options;
    char text[64];
    reply_bulk(ctx->reply, element->name);
    reply_bulk(ctx->reply, slice_make(text, number_format_double(text, element->score)));
    return 2;
}

/* ZSCAN key cursor [MATCH pattern] [COUNT count] */
static void cmd_zscan(struct command_context *ctx) {
    struct scan_options options;
    struct elements elements;
    if (scan_parse(ctx, VALUE_SORTED_SET, 0, &options, &elements)) {
        scan_elements(ctx, &elements, &options, scan_write);
    }
}

static const struct key_spec zmpop_specs[] = {
    KEY_SPEC_COUNTED(1, KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE), KEY_SPEC_END};
static const struct key_spec bzmpop_specs[] = {
    KEY_SPEC_COUNTED(2, KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE), KEY_SPEC_END};

#define SORTED_SET_ROW .keys = {1, 1, 1}, .group = "sorted-set"

/* clang-format off */
static const struct command cmd_sorted_set_rows[] = {
    {.name = "zadd", .element_arg = 3, .handler = cmd_zadd, .arity = -4, .flags = CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
     .key_flags = KEY_READ_WRITE | KEY_UPDATE, SORTED_SET_ROW, .since = "1.2.0",
     .cost = "O(log(N)) for each member, where N is the number of members of the sorted set.",
     .syntax = "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
     .summary = "Adds members to a sorted set, or changes their scores."},
    {.name = "zincrby", .element_arg = 3, .handler = cmd_zincrby, .arity = 4,
     .flags = CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE, SORTED_SET_ROW, .since = "1.2.0",
     .cost = "O(log(N)) where N is the number of members of the sorted set.",
     .syntax = "key increment member", .summary = "Adds to the score of a member."},
    {.name = "zrem", .element_arg = 2, .handler = cmd_zrem, .arity = -3, .flags = CMD_WRITE | CMD_FAST,
     .key_flags = KEY_READ_WRITE | KEY_DELETE, SORTED_SET_ROW, .since = "1.2.0",
     .cost = "O(M*log(N)) where N is the number of members and M that of members removed.",
     .syntax = "key member [member ...]", .summary = "Removes members from a sorted set."},
    {.name = "zcard", .handler = cmd_zcard, .arity = 2, .flags = CMD_READ | CMD_FAST,
     .key_flags = KEY_READ_ONLY, SORTED_SET_ROW, .since = "1.2.0", .cost = "O(1)",
     .syntax = "key", .summary = "Returns the number of members of a sorted set."},
    {.name = "zscore", .element_arg = 2, .handler = cmd_zscore, .arity = 3, .flags = CMD_READ | CMD_FAST,
     .key_flags = KEY_READ_ONLY | KEY_ACCESS, SORTED_SET_ROW, .since = "1.2.0", .cost = "O(1)",
     .syntax = "key member", .summary = "Returns the score of a member."},
    {.name = "zmscore", .element_arg = 2, .handler = cmd_zmscore, .arity = -3, .flags = CMD_READ | CMD_FAST,
     .key_flags = KEY_READ_ONLY | KEY_ACCESS, SORTED_SET_ROW, .since = "6.2.0",
     .cost = "O(N) where N is the number of members asked for.",
     .syntax = "key member [member ...]", .summary = "Returns the scores of members."},
    {.name = "zrank", .element_arg = 2, .handler = cmd_zrank, .arity = -3, .flags = CMD_READ | CMD_FAST,
     .key_flags = KEY_READ_ONLY | KEY_ACCESS, SORTED_SET_ROW, .since = "2.0.0",
     .cost = "O(log(N)) where N is the number of members of the sorted set.",
     .syntax = "key member [WITHSCORE]",
     .summary = "Tells how many members come before one in the order of a sorted set."},
    {.name = "zrevrank", .element_arg = 2, .handler = cmd_zrevrank, .arity = -3, .flags = CMD_READ | CMD_FAST,
     .key_flags = KEY_READ_ONLY | KEY_ACCESS, SORTED_SET_ROW, .since = "2.0.0",
     .cost = "O(log(N)) where N is the number of members of the sorted set.",
     .syntax = "key member [WITHSCORE]",
     .summary = "Tells how many members come after one in the order of a sorted set."},
    {.name = "zpopmin", .element_arg = COMMAND_FETCHES_ENDS, .handler = cmd_zpopmin, .arity = -2, .flags = CMD_WRITE | CMD_FAST,
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE, SORTED_SET_ROW, .since = "5.0.0",
     .cost = "O(M*log(N)) where N is the number of members and M that of members popped.",
     .syntax = "key [count]",
     .summary = "Removes and returns the members with the lowest scores."},
    {.name = "zpopmax", .element_arg = COMMAND_FETCHES_ENDS, .handler = cmd_zpopmax, .arity = -2, .flags = CMD_WRITE | CMD_FAST,
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE, SORTED_SET_ROW, .since = "5.0.0",
     .cost = "O(M*log(N)) where N is the number of members and M that of members popped.",
     .syntax = "key [count]",
     .summary = "Removes and returns the members with the highest scores."},
    {.name = "zmpop", .handler = cmd_zmpop, .arity = -4, .flags = CMD_WRITE | CMD_MOVABLE_KEYS,
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE, .find_keys = multi_pop_keys,
     .key_specs = zmpop_specs,
     .group = "sorted-set", .since = "7.0.0",
     .cost = "O(K) + O(M*log(N)) where K is the number of keys, N that of members and M that of "
             "members popped.",
     .syntax = "numkeys key [key ...] <MIN | MAX> [COUNT count]",
     .summary = "Removes and returns members of the first sorted set that has any."},
    {.name = "bzpopmin", .handler = cmd_bzpopmin, .arity = -3,
     .flags = CMD_WRITE | CMD_NO_SCRIPT | CMD_BLOCKING | CMD_FAST,
     .keys = {1, -2, 1}, .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE,
     .group = "sorted-set", .since = "5.0.0",
     .cost = "O(K) + O(log(N)) where K is the number of keys and N that of members.",
     .syntax = "key [key ...] timeout",
     .summary = "Removes and returns the member with the lowest score of the first sorted set that "
                "has any, once one has."},
    {.name = "bzpopmax", .handler = cmd_bzpopmax, .arity = -3,
     .flags = CMD_WRITE | CMD_NO_SCRIPT | CMD_BLOCKING | CMD_FAST,
     .keys = {1, -2, 1}, .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE,
     .group = "sorted-set", .since = "5.0.0",
     .cost = "O(K) + O(log(N)) where K is the number of keys and N that of members.",
     .syntax = "key [key ...] timeout",
     .summary = "Removes and returns the member with the highest score of the first sorted set that "
                "has any, once one has."},
    {.name = "bzmpop", .handler = cmd_bzmpop, .arity = -5,
     .flags = CMD_WRITE | CMD_BLOCKING | CMD_MOVABLE_KEYS,
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE, .find_keys = multi_pop_blocking_keys,
     .key_specs = bzmpop_specs,
     .group = "sorted-set", .since = "7.0.0",
     .cost = "O(K) + O(M*log(N)) where K is the number of keys, N that of members and M that of "
             "members popped.",
     .syntax = "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
     .summary = "Removes and returns members of the first sorted set that has any, once one has."},
    {.name = "zrandmember", .handler = cmd_zrandmember, .arity = -2, .flags = CMD_READ,
     .key_flags = KEY_READ_ONLY | KEY_ACCESS, SORTED_SET_ROW, .since = "6.2.0",
     .cost = "O(M*log(N)) where N is the number of members and M that of members returned.",
     .syntax = "key [count [WITHSCORES]]", .summary = "Returns members chosen at random."},
    {.name = "zscan", .handler = cmd_zscan, .arity = -3, .flags = CMD_READ,
     .key_flags = KEY_READ_ONLY | KEY_ACCESS, SORTED_SET_ROW, .since = "2.8.0",
     .cost = "O(1) for a call, O(N) for a whole walk over N members.",
     .syntax = "key cursor [MATCH pattern] [COUNT count]",
     .summary = "Lists members with their scores, some with each call."},
};
/* clang-format on */

COMMAND_FAMILY(cmd_sorted_set_family, cmd_sorted_set_rows);
