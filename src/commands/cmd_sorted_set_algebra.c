/* SPDX-License-Identifier: BSD-3-Clause */
/* Unions, intersections and differences of sorted sets, and of sets, whose members score 1.
 *
 * A union gathers all members, sorts them by name, and makes one of those that are equal; the
 * others look up the members of one input in the rest. Inputs are taken smallest first, which
 * decides in which order scores are added. */
#include <math.h>
#include <stdlib.h>

#include "commands/scored_members.h"

enum operation { OPERATION_UNION, OPERATION_INTER, OPERATION_DIFF };
enum aggregate { AGGREGATE_SUM, AGGREGATE_MIN, AGGREGATE_MAX };

struct algebra_input {
    struct elements elements;
    double weight;
};

struct algebra {
    struct store *store;
    enum operation operation;
    enum aggregate aggregate;
    struct algebra_input *inputs;
    size_t inputs_count;
    bool stores, counts; /* Z...STORE, ZINTERCARD; else the result is the reply */
    bool with_scores;
    uint64_t limit; /* of ZINTERCARD; 0: none */
    struct scored_members members;
    size_t input; /* where members come from at the moment */
};

/* ---- scores ---- */

/* Not a number for zero times infinity. */
static double weighted_score(const struct algebra_input *input, const struct element *element) {
    return input->weight * (input->elements.type == VALUE_SET ? 1 : element->score);
}

static double input_score(const struct algebra_input *input, const struct element *element) {
    double score = weighted_score(input, element);
    return isnan(score) ? 0 : score;
}

static double aggregate(enum aggregate how, double a, double b) {
    switch (how) {
    case AGGREGATE_SUM:
        return isnan(a + b) ? 0 : a + b; /* infinities of both signs */
    case AGGREGATE_MIN:
        return b < a ? b : a;
    case AGGREGATE_MAX:
        return b > a ? b : a;
    }
    impossible("an aggregate is one of three");
}

/* ---- the operations ---- */

static void union_visit(void *udata, const struct element *element) {
    struct algebra *algebra = udata;
    struct scored_member member = {.name = element->name,
                                   .score = input_score(&algebra->inputs[algebra->input], element),
                                   .input = (uint32_t)algebra->input};
    scored_members_add(&algebra->members, &member);
}

static void compute_union(struct algebra *algebra) {
    struct scored_members *members = &algebra->members;
    for (algebra->input = 0; algebra->input < algebra->inputs_count; algebra->input++) {
        elements_each(algebra->store, &algebra->inputs[algebra->input].elements, union_visit,
                      algebra);
    }
    if (algebra->inputs_count == 1 || members->count == 0) {
        return;
    }
    scored_members_sort_by_name(members);
    size_t last = 0;
    for (size_t i = 1; i < members->count; i++) {
        if (slice_equal(members->items[i].name, members->items[last].name)) {
            members->items[last].score =
                aggregate(algebra->aggregate, members->items[last].score, members->items[i].score);
        } else {
            members->items[++last] = members->items[i];
        }
    }
    members->count = last + 1;
}

/* Is the result of ZINTERCARD known? */
static bool has_enough(const struct algebra *algebra) {
    return algebra->limit > 0 && algebra->members.count >= algebra->limit;
}

/* A member of the first input: is it in all others (INTER), in none of them (DIFF)? */
static void first_visit(void *udata, const struct element *element) {
    struct algebra *algebra = udata;
    bool is_inter = algebra->operation == OPERATION_INTER;
    struct scored_member member = {.name = element->name,
                                   .score = input_score(&algebra->inputs[0], element)};
    if (has_enough(algebra)) {
        return;
    }
    for (size_t i = 1; i < algebra->inputs_count; i++) {
        const struct algebra_input *input = &algebra->inputs[i];
        struct element other;
        if (elements_find(algebra->store, &input->elements, element->name, &other) != is_inter) {
            return;
        }
        if (is_inter) {
            /* Only of the first input is a score that is no number taken for 0: a later one makes
             * the sum 0, and is never the least or the greatest. */
            member.score =
                aggregate(algebra->aggregate, member.score, weighted_score(input, &other));
        }
    }
    scored_members_add(&algebra->members, &member);
}

static void compute_from_first(struct algebra *algebra) {
    const struct elements *first = &algebra->inputs[0].elements;
    uint64_t position = 0;
    do {
        position = elements_scan(algebra->store, first, position, first_visit, algebra);
    } while (position != 0 && !has_enough(algebra));
}

static int compare_inputs(const void *left, const void *right) {
    const struct algebra_input *a = left, *b = right;
    return a->elements.count < b->elements.count ? -1 : a->elements.count > b->elements.count;
}

static void compute(struct algebra *algebra) {
    if (algebra->operation != OPERATION_DIFF) {
        qsort(algebra->inputs, algebra->inputs_count, sizeof(algebra->inputs[0]), compare_inputs);
    }
    if (algebra->operation == OPERATION_UNION) {
        compute_union(algebra);
    } else {
        compute_from_first(algebra);
    }
}

/* ---- arguments ---- */

/* Reads the inputs, whose number is argument `at`; writes the error and returns false when it is
 * wrong, or one is neither a sorted set nor a set. */
static bool read_inputs(struct command_context *ctx, size_t at, struct algebra *algebra) {
    int64_t count;
    if (!command_integer(ctx, at, &count, NULL)) {
        return false;
    }
    if (count < 1) {
        reply_errorf(ctx->reply, "ERR at least 1 input key is needed for '%s' command",
                     ctx->row->name);
        return false;
    }
    if ((uint64_t)count > ctx->args_count - at - 1) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    algebra->inputs_count = (size_t)count;
    algebra->inputs = memory_alloc_zero((size_t)count * sizeof(algebra->inputs[0]));
    for (size_t i = 0; i < algebra->inputs_count; i++) {
        struct key key = command_key(ctx, at + 1 + i);
        const struct entry *entry = store_read(ctx->store, &key);
        algebra->inputs[i] =
            (struct algebra_input){.elements = {.type = VALUE_SORTED_SET}, .weight = 1};
        if (entry == NULL) {
            continue;
        }
        if (entry_type(entry) != VALUE_SORTED_SET && entry_type(entry) != VALUE_SET) {
            command_reply_status(ctx, STORE_WRONG_TYPE);
            return false;
        }
        elements_of(entry, &algebra->inputs[i].elements);
    }
    return true;
}

static bool parse_weights(struct command_context *ctx, size_t at, struct algebra *algebra) {
    for (size_t i = 0; i < algebra->inputs_count; i++) {
        if (!number_parse_double(ctx->args[at + i], &algebra->inputs[i].weight)) {
            reply_error(ctx->reply, "ERR weight value is not a float");
            return false;
        }
    }
    return true;
}

static bool parse_aggregate(struct command_context *ctx, size_t at, enum aggregate *aggregate) {
    if (command_word(ctx, at, "sum")) {
        *aggregate = AGGREGATE_SUM;
    } else if (command_word(ctx, at, "min")) {
        *aggregate = AGGREGATE_MIN;
    } else if (command_word(ctx, at, "max")) {
        *aggregate = AGGREGATE_MAX;
    } else {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    return true;
}

static bool parse_limit(struct command_context *ctx, size_t at, uint64_t *limit) {
    int64_t value;
    if (!number_parse_integer(ctx->args[at], &value) || value < 0) {
        reply_error(ctx->reply, "ERR LIMIT can't be negative");
        return false;
    }
    *limit = (uint64_t)value;
    return true;
}

static bool parse_options(struct command_context *ctx, size_t at, struct algebra *algebra) {
    bool combines = algebra->operation != OPERATION_DIFF && !algebra->counts;
    while (at < ctx->args_count) {
        size_t rest = ctx->args_count - at;
        if (combines && rest > algebra->inputs_count && command_word(ctx, at, "weights")) {
            if (!parse_weights(ctx, at + 1, algebra)) {
                return false;
            }
            at += 1 + algebra->inputs_count;
        } else if (combines && rest >= 2 && command_word(ctx, at, "aggregate")) {
            if (!parse_aggregate(ctx, at + 1, &algebra->aggregate)) {
                return false;
            }
            at += 2;
        } else if (!algebra->stores && !algebra->counts && command_word(ctx, at, "withscores")) {
            algebra->with_scores = true;
            at++;
        } else if (algebra->counts && rest >= 2 && command_word(ctx, at, "limit")) {
            if (!parse_limit(ctx, at + 1, &algebra->limit)) {
                return false;
            }
            at += 2;
        } else {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return false;
        }
    }
    return true;
}

/* ---- commands ---- */

static void reply_members(struct command_context *ctx, const struct algebra *algebra) {
    const struct scored_members *members = &algebra->members;
    scored_reply_begin(ctx->reply, members->count, algebra->with_scores);
    for (size_t i = 0; i < members->count; i++) {
        scored_reply_member(ctx->reply, members->items[i].name, members->items[i].score,
                            algebra->with_scores);
    }
}

static void finish(struct command_context *ctx, struct algebra *algebra, const char *event) {
    compute(algebra);
    if (!algebra->counts) {
        scored_members_sort(&algebra->members);
    }
    if (algebra->members.is_out_of_memory) {
        command_reply_status(ctx, STORE_OUT_OF_MEMORY);
    } else if (algebra->counts) {
        reply_integer(ctx->reply, (int64_t)algebra->members.count);
    } else if (algebra->stores) {
        scored_members_store(ctx, 1, &algebra->members, event);
    } else {
        reply_members(ctx, algebra);
    }
}

/* The number of keys is argument `keys_at`; `event` is NULL unless the result is stored. */
static void algebra_command(struct command_context *ctx, enum operation operation, size_t keys_at,
                            bool counts, const char *event) {
    struct algebra algebra = {
        .store = ctx->store, .operation = operation, .stores = event != NULL, .counts = counts};
    if (read_inputs(ctx, keys_at, &algebra) &&
        parse_options(ctx, keys_at + 1 + algebra.inputs_count, &algebra)) {
        finish(ctx, &algebra, event);
    }
    scored_members_deinit(&algebra.members);
    memory_free(algebra.inputs);
}

/* ZUNION numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE ...] [WITHSCORES] */
static void cmd_zunion(struct command_context *ctx) {
    algebra_command(ctx, OPERATION_UNION, 1, false, NULL);
}

/* ZINTER numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE ...] [WITHSCORES] */
static void cmd_zinter(struct command_context *ctx) {
    algebra_command(ctx, OPERATION_INTER, 1, false, NULL);
}

/* ZDIFF numkeys key [key ...] [WITHSCORES] */
static void cmd_zdiff(struct command_context *ctx) {
    algebra_command(ctx, OPERATION_DIFF, 1, false, NULL);
}

/* ZINTERCARD numkeys key [key ...] [LIMIT limit] */
static void cmd_zintercard(struct command_context *ctx) {
    algebra_command(ctx, OPERATION_INTER, 1, true, NULL);
}

/* ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE ...] */
static void cmd_zunionstore(struct command_context *ctx) {
    algebra_command(ctx, OPERATION_UNION, 2, false, "zunionstore");
}

/* ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE ...] */
static void cmd_zinterstore(struct command_context *ctx) {
    algebra_command(ctx, OPERATION_INTER, 2, false, "zinterstore");
}

/* ZDIFFSTORE destination numkeys key [key ...] */
static void cmd_zdiffstore(struct command_context *ctx) {
    algebra_command(ctx, OPERATION_DIFF, 2, false, "zdiffstore");
}

static int read_keys(const struct slice *args, size_t args_count, int *positions, size_t room) {
    return command_counted_keys(args, args_count, 0, 1, positions, room);
}

static int store_keys(const struct slice *args, size_t args_count, int *positions, size_t room) {
    return command_counted_keys(args, args_count, 1, 2, positions, room);
}

static const struct key_spec read_specs[] = {KEY_SPEC_COUNTED(1, KEY_READ_ONLY | KEY_ACCESS),
                                             KEY_SPEC_END};
static const struct key_spec store_specs[] = {KEY_SPEC_ONE(1, KEY_OVERWRITE | KEY_UPDATE),
                                              KEY_SPEC_COUNTED(2, KEY_READ_ONLY | KEY_ACCESS),
                                              KEY_SPEC_END};

#define READ_ROW                                                                                   \
    .flags = CMD_READ | CMD_MOVABLE_KEYS, .key_flags = KEY_READ_ONLY | KEY_ACCESS,                 \
    .find_keys = read_keys, .key_specs = read_specs, .group = "sorted-set"
#define STORE_ROW                                                                                  \
    .flags = CMD_WRITE | CMD_DENY_OOM | CMD_MOVABLE_KEYS, .keys = {1, 1, 1},                       \
    .key_flags = KEY_OVERWRITE | KEY_UPDATE, .more_key_flags = KEY_READ_ONLY | KEY_ACCESS,         \
    .find_keys = store_keys, .key_specs = store_specs, .group = "sorted-set"
#define UNION_COST "O(N*log(N)) where N is the number of members of all inputs."
#define INTER_COST                                                                                 \
    "O(N*K)+O(M*log(M)) where N is the number of members of the smallest input, K "                \
    "that of inputs and M that of members of the result."
#define DIFF_COST                                                                                  \
    "O(N*K)+O(M*log(M)) where N is the number of members of the first input, K "                   \
    "that of inputs and M that of members of the result."

/* clang-format off */
static const struct command cmd_sorted_set_algebra_rows[] = {
    {.name = "zunion", .handler = cmd_zunion, .arity = -3, READ_ROW, .since = "6.2.0",
     .cost = UNION_COST,
     .syntax = "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] "
               "[WITHSCORES]",
     .summary = "Returns the union of sorted sets."},
    {.name = "zinter", .handler = cmd_zinter, .arity = -3, READ_ROW, .since = "6.2.0",
     .cost = INTER_COST,
     .syntax = "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] "
               "[WITHSCORES]",
     .summary = "Returns the intersection of sorted sets."},
    {.name = "zdiff", .handler = cmd_zdiff, .arity = -3, READ_ROW, .since = "6.2.0",
     .cost = DIFF_COST, .syntax = "numkeys key [key ...] [WITHSCORES]",
     .summary = "Returns what is in the first sorted set and in none of the others."},
    {.name = "zintercard", .handler = cmd_zintercard, .arity = -3, READ_ROW, .since = "7.0.0",
     .cost = "O(N*K) where N is the number of members of the smallest input and K that of inputs.",
     .syntax = "numkeys key [key ...] [LIMIT limit]",
     .summary = "Counts the members of the intersection of sorted sets."},
    {.name = "zunionstore", .handler = cmd_zunionstore, .arity = -4, STORE_ROW, .since = "2.0.0",
     .cost = UNION_COST,
     .syntax = "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] "
               "[AGGREGATE <SUM | MIN | MAX>]",
     .summary = "Stores the union of sorted sets at a key."},
    {.name = "zinterstore", .handler = cmd_zinterstore, .arity = -4, STORE_ROW, .since = "2.0.0",
     .cost = INTER_COST,
     .syntax = "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] "
               "[AGGREGATE <SUM | MIN | MAX>]",
     .summary = "Stores the intersection of sorted sets at a key."},
    {.name = "zdiffstore", .handler = cmd_zdiffstore, .arity = -4, STORE_ROW, .since = "6.2.0",
     .cost = DIFF_COST, .syntax = "destination numkeys key [key ...]",
     .summary = "Stores the difference of sorted sets at a key."},
};
/* clang-format on */

COMMAND_FAMILY(cmd_sorted_set_algebra_family, cmd_sorted_set_algebra_rows);
