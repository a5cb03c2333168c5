/* SPDX-License-Identifier: BSD-3-Clause */
/* COMMAND: what the commands are. Everything is read off their rows. */
#include "base/glob.h"
#include "node/command_category.h"
#include "node/command_syntax.h"
#include "node/help.h"
#include "node/node.h"

struct command_word_bit {
    uint32_t bit;
    const char *word;
};

static const struct command_word_bit COMMAND_FLAGS[] = {
    {CMD_WRITE, "write"},
    {CMD_READ, "readonly"},
    {CMD_DENY_OOM, "denyoom"},
    {CMD_ADMIN, "admin"},
    {CMD_PUBSUB, "pubsub"},
    {CMD_NO_SCRIPT, "noscript"},
    {CMD_BLOCKING, "blocking"},
    {CMD_LOADING, "loading"},
    {CMD_STALE, "stale"},
    {CMD_SKIP_MONITOR, "skip_monitor"},
    {CMD_SKIP_SLOWLOG, "skip_slowlog"},
    {CMD_ASKING, "asking"},
    {CMD_FAST, "fast"},
    {CMD_NO_AUTH, "no_auth"},
    {CMD_NO_ASYNC_LOADING, "no_async_loading"},
    {CMD_NO_MULTI, "no_multi"},
    {CMD_MOVABLE_KEYS, "movablekeys"},
    {CMD_ALLOW_BUSY, "allow_busy"},
};

static const struct command_word_bit COMMAND_KEY_FLAGS[] = {
    {KEY_READ_ONLY, "RO"},          {KEY_READ_WRITE, "RW"},
    {KEY_OVERWRITE, "OW"},          {KEY_REMOVE, "RM"},
    {KEY_ACCESS, "access"},         {KEY_UPDATE, "update"},
    {KEY_INSERT, "insert"},         {KEY_DELETE, "delete"},
    {KEY_NOT_KEY, "not_key"},       {KEY_VARIABLE, "variable_flags"},
    {KEY_INCOMPLETE, "incomplete"},
};

/* Is the row the subcommand of `parent`? */
static bool command_is_sub(const struct command *row, const struct command *parent) {
    return row->parent != NULL && parent->parent == NULL && strcmp(row->parent, parent->name) == 0;
}

static size_t command_subs_count(const struct command_table *table, const struct command *parent) {
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++) {
        count += command_is_sub(table->rows[i], parent);
    }
    return count;
}

static size_t command_top_count(const struct command_table *table) {
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++) {
        count += table->rows[i]->parent == NULL;
    }
    return count;
}

/* The row with that full name, "get" or "config|get", or NULL. */
static const struct command *command_find_full(const struct command_table *table,
                                               struct slice name) {
    const char *bar = name.size > 0 ? memchr(name.data, '|', name.size) : NULL;
    if (bar == NULL) {
        return command_table_find(table, name);
    }
    size_t size = (size_t)(bar - name.data);
    const struct command *parent = command_table_find(table, slice_make(name.data, size));
    return parent == NULL ? NULL
                          : command_table_find_sub(table, parent, slice_skip(name, size + 1));
}

static void command_reply_full_name(struct reply *reply, const struct command *row) {
    struct buffer name = {0};
    command_table_full_name(row, &name);
    reply_bulk(reply, buffer_slice(&name));
    buffer_deinit(&name);
}

static void command_reply_words(struct reply *reply, const struct command_word_bit *words,
                                size_t words_count, uint32_t bits) {
    size_t count = 0;
    for (size_t i = 0; i < words_count; i++) {
        count += (bits & words[i].bit) != 0;
    }
    reply_set(reply, count);
    for (size_t i = 0; i < words_count; i++) {
        if ((bits & words[i].bit) != 0) {
            reply_simple(reply, words[i].word);
        }
    }
}

#define COMMAND_REPLY_WORDS(reply, words, bits)                                                    \
    command_reply_words((reply), (words), sizeof(words) / sizeof((words)[0]), (bits))

/* ---- COMMAND, COMMAND INFO ---- */

/* The head of one half of a key spec: how keys are searched for, or what is found there. */
static void command_reply_spec_head(struct reply *reply, const char *half, const char *type,
                                    size_t fields_count) {
    reply_bulk_text(reply, half);
    reply_map(reply, 2);
    reply_bulk_text(reply, "type");
    reply_bulk_text(reply, type);
    reply_bulk_text(reply, "spec");
    reply_map(reply, fields_count);
}

static void command_reply_spec_field(struct reply *reply, const char *name, int value) {
    reply_bulk_text(reply, name);
    reply_integer(reply, value);
}

static void command_reply_key_spec(struct reply *reply, const struct key_spec *spec) {
    reply_map(reply, 3);
    reply_bulk_text(reply, "flags");
    COMMAND_REPLY_WORDS(reply, COMMAND_KEY_FLAGS, spec->flags);
    switch (spec->begin) {
    case KEY_BEGIN_INDEX:
        command_reply_spec_head(reply, "begin_search", "index", 1);
        command_reply_spec_field(reply, "index", spec->index);
        break;
    case KEY_BEGIN_KEYWORD:
        command_reply_spec_head(reply, "begin_search", "keyword", 2);
        reply_bulk_text(reply, "keyword");
        reply_bulk_text(reply, spec->keyword);
        command_reply_spec_field(reply, "startfrom", spec->index);
        break;
    case KEY_BEGIN_UNKNOWN:
        command_reply_spec_head(reply, "begin_search", "unknown", 0);
        break;
    }
    switch (spec->find) {
    case KEY_FIND_RANGE:
        command_reply_spec_head(reply, "find_keys", "range", 3);
        command_reply_spec_field(reply, "lastkey", spec->last);
        command_reply_spec_field(reply, "keystep", spec->step);
        command_reply_spec_field(reply, "limit", spec->limit);
        break;
    case KEY_FIND_COUNTED:
        command_reply_spec_head(reply, "find_keys", "keynum", 3);
        command_reply_spec_field(reply, "keynumidx", 0);
        command_reply_spec_field(reply, "firstkey", 1);
        command_reply_spec_field(reply, "keystep", 1);
        break;
    case KEY_FIND_UNKNOWN:
        command_reply_spec_head(reply, "find_keys", "unknown", 0);
        break;
    }
}

static struct key_spec command_spec_of_range(const struct command_keys *keys, uint32_t flags) {
    return (struct key_spec){
        .flags = flags,
        .index = keys->first,
        .last = keys->last < 0 ? keys->last : keys->last - keys->first,
        .step = keys->step,
    };
}

/* The specs of a command; `ranges` has room for those that follow from its runs of keys. */
static const struct key_spec *command_key_specs(const struct command *row,
                                                struct key_spec ranges[static 2], int *count) {
    *count = 0;
    if (row->key_specs != NULL) {
        while (row->key_specs[*count].flags != 0) {
            ++*count;
        }
        return row->key_specs;
    }
    if (row->keys.first != 0) {
        ranges[(*count)++] = command_spec_of_range(&row->keys, row->key_flags);
    }
    if (row->more_keys.first != 0) {
        ranges[(*count)++] = command_spec_of_range(&row->more_keys, row->more_key_flags);
    }
    return ranges;
}

static void command_reply_key_specs(struct reply *reply, const struct command *row) {
    struct key_spec ranges[2];
    int count;
    const struct key_spec *specs = command_key_specs(row, ranges, &count);
    reply_set(reply, (size_t)count);
    for (int i = 0; i < count; i++) {
        command_reply_key_spec(reply, &specs[i]);
    }
}

static void command_reply_info(struct command_context *ctx, const struct command *row) {
    struct reply *reply = ctx->reply;
    reply_array(reply, 10);
    command_reply_full_name(reply, row);
    reply_integer(reply, row->arity);
    COMMAND_REPLY_WORDS(reply, COMMAND_FLAGS, row->flags);
    /* Where there are two runs of keys, the old form tells of both as if they were one. */
    reply_integer(reply, row->keys.first);
    reply_integer(reply, row->more_keys.first != 0 ? row->more_keys.last : row->keys.last);
    reply_integer(reply, row->keys.step);
    size_t count = 0;
    for (int i = 0; i < COMMAND_CATEGORIES_COUNT; i++) {
        count += command_category_has((enum command_category)i, row);
    }
    reply_set(reply, count);
    for (int i = 0; i < COMMAND_CATEGORIES_COUNT; i++) {
        if (command_category_has((enum command_category)i, row)) {
            reply_raw(reply, SLICE("+@"));
            reply_raw(reply, slice_of(command_category_name((enum command_category)i)));
            reply_raw(reply, SLICE("\r\n"));
        }
    }
    reply_set(reply, 0); /* tips */
    command_reply_key_specs(reply, row);
    const struct command_table *table = &ctx->node->commands;
    size_t subs_count = command_subs_count(table, row);
    if (subs_count == 0) {
        reply_set(reply, 0);
        return;
    }
    reply_array(reply, subs_count);
    for (size_t i = 0; i < table->count; i++) {
        /* One level deep: subcommands have none of their own. */
        if (command_is_sub(table->rows[i], row)) {
            command_reply_info(ctx, table->rows[i]);
        }
    }
}

/* COMMAND */
static void cmd_command(struct command_context *ctx) {
    const struct command_table *table = &ctx->node->commands;
    reply_array(ctx->reply, command_top_count(table));
    for (size_t i = 0; i < table->count; i++) {
        if (table->rows[i]->parent == NULL) {
            command_reply_info(ctx, table->rows[i]);
        }
    }
}

/* COMMAND INFO [command-name ...] */
static void cmd_command_info(struct command_context *ctx) {
    if (ctx->args_count == 2) {
        cmd_command(ctx);
        return;
    }
    reply_array(ctx->reply, ctx->args_count - 2);
    for (size_t i = 2; i < ctx->args_count; i++) {
        const struct command *row = command_find_full(&ctx->node->commands, ctx->args[i]);
        if (row == NULL) {
            reply_null(ctx->reply);
        } else {
            command_reply_info(ctx, row);
        }
    }
}

/* COMMAND COUNT */
static void cmd_command_count(struct command_context *ctx) {
    reply_integer(ctx->reply, (int64_t)command_top_count(&ctx->node->commands));
}

/* ---- COMMAND DOCS ---- */

static void command_append_lower(struct buffer *text, struct slice word) {
    for (size_t i = 0; i < word.size; i++) {
        char c = word.data[i];
        buffer_append_byte(text, (uint8_t)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
    }
}

/* A block or choice has no name in the syntax: it gets those of its parts. */
static void command_append_argument_name(struct buffer *text, const struct command_syntax *syntax,
                                         const struct command_argument *argument) {
    if (argument->name.size > 0) {
        command_append_lower(text, argument->name);
        return;
    }
    for (int i = argument->first_child; i >= 0; i = syntax->arguments[i].next) {
        const struct command_argument *child = &syntax->arguments[i];
        if (i != argument->first_child) {
            buffer_append_byte(text, '_');
        }
        if (child->token.size > 0) {
            command_append_lower(text, child->token);
        } else {
            command_append_argument_name(text, syntax, child);
        }
    }
}

static void command_reply_arguments(struct reply *reply, const struct command_syntax *syntax,
                                    int first);

static void command_reply_argument(struct reply *reply, const struct command_syntax *syntax,
                                   const struct command_argument *argument) {
    static const struct command_word_bit FLAGS[] = {
        {ARGUMENT_OPTIONAL, "optional"},
        {ARGUMENT_MULTIPLE, "multiple"},
        {ARGUMENT_MULTIPLE_TOKEN, "multiple_token"},
    };
    bool is_group = argument->first_child >= 0;
    struct buffer name = {0};
    command_append_argument_name(&name, syntax, argument);
    reply_map(reply, 3 + (argument->key_spec_index >= 0) + (argument->token.size > 0) +
                         (argument->flags != 0));
    reply_bulk_text(reply, "name");
    reply_bulk(reply, buffer_slice(&name));
    reply_bulk_text(reply, "type");
    reply_bulk_text(reply, command_syntax_type_name(argument->type));
    if (!is_group) {
        reply_bulk_text(reply, "display_text");
        reply_bulk(reply, buffer_slice(&name));
    }
    if (argument->key_spec_index >= 0) {
        reply_bulk_text(reply, "key_spec_index");
        reply_integer(reply, argument->key_spec_index);
    }
    if (argument->token.size > 0) {
        reply_bulk_text(reply, "token");
        reply_bulk(reply, argument->token);
    }
    if (argument->flags != 0) {
        reply_bulk_text(reply, "flags");
        COMMAND_REPLY_WORDS(reply, FLAGS, argument->flags);
    }
    if (is_group) {
        reply_bulk_text(reply, "arguments");
        command_reply_arguments(reply, syntax, argument->first_child);
    }
    buffer_deinit(&name);
}

/* As deep as the syntax, which COMMAND_SYNTAX_DEPTH_MAX bounds. */
static void command_reply_arguments(struct reply *reply, const struct command_syntax *syntax,
                                    int first) {
    size_t count = 0;
    for (int i = first; i >= 0; i = syntax->arguments[i].next) {
        count++;
    }
    reply_array(reply, count);
    for (int i = first; i >= 0; i = syntax->arguments[i].next) {
        command_reply_argument(reply, syntax, &syntax->arguments[i]);
    }
}

/* What COMMAND DOCS says of a command besides what its row has: since when another one is to be
 * used, or, without that, that it is for tests. */
struct command_notice {
    const char *name; /* the full one */
    const char *deprecated_since, *replaced_by;
};

static const struct command_notice *command_find_notice(const struct command *row) {
    static const struct command_notice NOTICES[] = {
        {"brpoplpush", "6.2.0", "`BLMOVE` with `RIGHT` and `LEFT`"},
        {"cluster|slaves", "5.0.0", "`CLUSTER REPLICAS`"},
        {"cluster|slots", "7.0.0", "`CLUSTER SHARDS`"},
        {"debug", NULL, NULL},
        {"georadius", "6.2.0", "`GEOSEARCH` or `GEOSEARCHSTORE` with `BYRADIUS`"},
        {"georadius_ro", "6.2.0", "`GEOSEARCH` with `BYRADIUS`"},
        {"georadiusbymember", "6.2.0",
         "`GEOSEARCH` or `GEOSEARCHSTORE` with `BYRADIUS` and `FROMMEMBER`"},
        {"georadiusbymember_ro", "6.2.0", "`GEOSEARCH` with `BYRADIUS` and `FROMMEMBER`"},
        {"getset", "6.2.0", "`SET` with `GET`"},
        {"hmset", "4.0.0", "`HSET` with several fields"},
        {"pfdebug", NULL, NULL},
        {"pfselftest", NULL, NULL},
        {"quit", "7.2.0", "closing the connection"},
        {"restore-asking", NULL, NULL},
        {"rpoplpush", "6.2.0", "`LMOVE` with `RIGHT` and `LEFT`"},
        {"substr", "2.0.0", "`GETRANGE`"},
        {"zrangebylex", "6.2.0", "`ZRANGE` with `BYLEX`"},
        {"zrangebyscore", "6.2.0", "`ZRANGE` with `BYSCORE`"},
        {"zrevrange", "6.2.0", "`ZRANGE` with `REV`"},
        {"zrevrangebylex", "6.2.0", "`ZRANGE` with `REV` and `BYLEX`"},
        {"zrevrangebyscore", "6.2.0", "`ZRANGE` with `REV` and `BYSCORE`"},
    };
    struct buffer name = {0};
    command_table_full_name(row, &name);
    const struct command_notice *found = NULL;
    for (size_t i = 0; found == NULL && i < sizeof(NOTICES) / sizeof(NOTICES[0]); i++) {
        if (slice_equal(buffer_slice(&name), slice_of(NOTICES[i].name))) {
            found = &NOTICES[i];
        }
    }
    buffer_deinit(&name);
    return found;
}

static void command_reply_notice(struct reply *reply, const struct command_notice *notice) {
    reply_bulk_text(reply, "doc_flags");
    reply_set(reply, 1);
    reply_simple(reply, notice->deprecated_since != NULL ? "deprecated" : "syscmd");
    if (notice->deprecated_since != NULL) {
        reply_bulk_text(reply, "deprecated_since");
        reply_bulk_text(reply, notice->deprecated_since);
        reply_bulk_text(reply, "replaced_by");
        reply_bulk_text(reply, notice->replaced_by);
    }
}

static void command_reply_docs(struct command_context *ctx, const struct command *row) {
    const struct command_table *table = &ctx->node->commands;
    struct reply *reply = ctx->reply;
    struct buffer full_name = {0};
    command_table_full_name(row, &full_name);
    reply_bulk(reply, buffer_slice(&full_name));
    struct command_syntax syntax;
    struct key_spec ranges[2];
    int specs_count;
    (void)command_key_specs(row, ranges, &specs_count);
    bool has_arguments =
        command_syntax_parse(&syntax, buffer_text(&full_name), row->syntax, specs_count) &&
        syntax.first >= 0;
    buffer_deinit(&full_name);
    size_t subs_count = command_subs_count(table, row);
    bool has_cost = row->cost != NULL && row->cost[0] != '\0';
    const struct command_notice *notice = command_find_notice(row);
    size_t notices_count = notice == NULL ? 0 : notice->deprecated_since != NULL ? 3 : 1;
    reply_map(reply, 3 + has_cost + notices_count + has_arguments + (subs_count > 0));
    reply_bulk_text(reply, "summary");
    reply_bulk_text(reply, row->summary);
    reply_bulk_text(reply, "since");
    reply_bulk_text(reply, row->since);
    reply_bulk_text(reply, "group");
    reply_bulk_text(reply, row->group);
    if (has_cost) {
        reply_bulk_text(reply, "complexity");
        reply_bulk_text(reply, row->cost);
    }
    if (notice != NULL) {
        command_reply_notice(reply, notice);
    }
    if (has_arguments) {
        reply_bulk_text(reply, "arguments");
        command_reply_arguments(reply, &syntax, syntax.first);
    }
    if (subs_count > 0) {
        reply_bulk_text(reply, "subcommands");
        reply_map(reply, subs_count);
        for (size_t i = 0; i < table->count; i++) {
            if (command_is_sub(table->rows[i], row)) {
                command_reply_docs(ctx, table->rows[i]);
            }
        }
    }
}

/* COMMAND DOCS [command-name ...] */
static void cmd_command_docs(struct command_context *ctx) {
    const struct command_table *table = &ctx->node->commands;
    size_t begin = reply_deferred_begin(ctx->reply);
    size_t count = 0;
    for (size_t i = 2; i < ctx->args_count; i++) {
        const struct command *row = command_find_full(table, ctx->args[i]);
        if (row != NULL) {
            command_reply_docs(ctx, row);
            count++;
        }
    }
    for (size_t i = 0; ctx->args_count == 2 && i < table->count; i++) {
        if (table->rows[i]->parent == NULL) {
            command_reply_docs(ctx, table->rows[i]);
            count++;
        }
    }
    reply_deferred_map(ctx->reply, begin, count);
}

/* ---- COMMAND LIST ---- */

enum command_filter { FILTER_NONE, FILTER_MODULE, FILTER_CATEGORY, FILTER_PATTERN };

static bool command_passes(const struct command *row, enum command_filter filter,
                           struct slice argument) {
    switch (filter) {
    case FILTER_NONE:
        return true;
    case FILTER_MODULE:
        return false; /* no command comes from a module */
    case FILTER_CATEGORY: {
        enum command_category category = command_category_find(argument);
        return category != COMMAND_CATEGORIES_COUNT && command_category_has(category, row);
    }
    case FILTER_PATTERN: {
        struct buffer name = {0};
        command_table_full_name(row, &name);
        bool is_match = glob_match(argument, buffer_slice(&name), true);
        buffer_deinit(&name);
        return is_match;
    }
    }
    impossible("unknown filter");
}

/* COMMAND LIST [FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>] */
static void cmd_command_list(struct command_context *ctx) {
    enum command_filter filter = FILTER_NONE;
    struct slice argument = {0};
    if (ctx->args_count == 5 && command_word(ctx, 2, "filterby")) {
        filter = command_word(ctx, 3, "module")    ? FILTER_MODULE
                 : command_word(ctx, 3, "aclcat")  ? FILTER_CATEGORY
                 : command_word(ctx, 3, "pattern") ? FILTER_PATTERN
                                                   : FILTER_NONE;
        argument = ctx->args[4];
    }
    if (ctx->args_count > 2 && filter == FILTER_NONE) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    const struct command_table *table = &ctx->node->commands;
    size_t begin = reply_deferred_begin(ctx->reply);
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++) {
        if (command_passes(table->rows[i], filter, argument)) {
            command_reply_full_name(ctx->reply, table->rows[i]);
            count++;
        }
    }
    reply_deferred_array(ctx->reply, begin, count);
}

/* ---- COMMAND GETKEYS, GETKEYSANDFLAGS ---- */

/* The row that a whole request names, or NULL. */
static const struct command *command_of_request(const struct command_table *table,
                                                const struct slice *args, size_t args_count) {
    const struct command *row = command_table_find(table, args[0]);
    if (row != NULL && args_count >= 2 && command_table_is_container(table, row)) {
        return command_table_find_sub(table, row, args[1]);
    }
    return row;
}

static bool command_has_option(const struct slice *args, size_t args_count, const char *lower) {
    for (size_t i = 1; i < args_count; i++) {
        if (slice_is_word(args[i], lower)) {
            return true;
        }
    }
    return false;
}

/* Is that BITFIELD nothing but GET? What makes no sense may write. */
static bool command_only_gets_fields(const struct slice *args, size_t args_count) {
    size_t i = 2;
    while (i < args_count) {
        size_t follow = slice_is_word(args[i], "get")        ? 2
                        : slice_is_word(args[i], "overflow") ? 1
                                                             : args_count;
        if (follow >= args_count - i) {
            return false;
        }
        i += 1 + follow;
    }
    return true;
}

/* What the request does with that key. With two commands it depends on their options, which come
 * after the fixed arguments. */
static uint32_t command_flags_of_key(const struct command *row, const struct slice *args,
                                     size_t args_count, int position) {
    if (row->parent == NULL && strcmp(row->name, "set") == 0 &&
        !command_has_option(args + 2, args_count - 2, "get")) {
        return KEY_OVERWRITE | KEY_UPDATE;
    }
    if (row->parent == NULL && strcmp(row->name, "bitfield") == 0 &&
        command_only_gets_fields(args, args_count)) {
        return KEY_READ_ONLY | KEY_ACCESS;
    }
    bool is_second = row->more_keys.first != 0
                         ? position >= row->more_keys.first
                         : row->more_key_flags != 0 && position != row->keys.first;
    return is_second ? row->more_key_flags : row->key_flags;
}

static void command_reply_keys(struct command_context *ctx, bool with_flags) {
    const struct slice *args = ctx->args + 2;
    size_t args_count = ctx->args_count - 2;
    const struct command *row = command_of_request(&ctx->node->commands, args, args_count);
    if (row == NULL) {
        reply_error(ctx->reply, "ERR Invalid command specified");
        return;
    }
    if ((row->keys.first == 0 && row->find_keys == NULL) || (row->key_flags & KEY_NOT_KEY) != 0) {
        reply_error(ctx->reply, "ERR The command has no key arguments");
        return;
    }
    if (row->arity >= 0 ? args_count != (size_t)row->arity : args_count < (size_t)-row->arity) {
        reply_error(ctx->reply, "ERR Invalid number of arguments specified for command");
        return;
    }
    int *positions = memory_alloc(args_count * sizeof(*positions));
    int count = command_table_keys(row, args, args_count, positions, args_count);
    if (count < 0 || (count == 0 && (row->flags & CMD_NO_MANDATORY_KEYS) == 0)) {
        reply_error(ctx->reply, "ERR Invalid arguments specified for command");
        count = -1;
    } else {
        reply_array(ctx->reply, (size_t)count);
    }
    for (int i = 0; i < count; i++) {
        if (with_flags) {
            reply_array(ctx->reply, 2);
        }
        reply_bulk(ctx->reply, args[positions[i]]);
        if (with_flags) {
            COMMAND_REPLY_WORDS(ctx->reply, COMMAND_KEY_FLAGS,
                                command_flags_of_key(row, args, args_count, positions[i]));
        }
    }
    memory_free(positions);
}

/* COMMAND GETKEYS command [argument ...] */
static void cmd_command_getkeys(struct command_context *ctx) {
    command_reply_keys(ctx, false);
}

/* COMMAND GETKEYSANDFLAGS command [argument ...] */
static void cmd_command_getkeysandflags(struct command_context *ctx) {
    command_reply_keys(ctx, true);
}

/* COMMAND HELP */
static void cmd_command_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "(no subcommand)",
        "    Describe all commands.",
        "COUNT",
        "    Tell how many commands there are.",
        "LIST [FILTERBY <MODULE module | ACLCAT category | PATTERN pattern>]",
        "    Name the commands, all or some of them.",
        "INFO [<command> ...]",
        "    Describe some commands, or all.",
        "DOCS [<command> ...]",
        "    Show the documentation of some commands, or of all.",
        "GETKEYS <full-command>",
        "    Show the keys in a whole request.",
        "GETKEYSANDFLAGS <full-command>",
        "    Show the keys in a whole request, and what is done with each.",
    };
    HELP_REPLY(ctx, LINES);
}

#define COMMAND_ROW .parent = "command", .flags = CMD_LOADING | CMD_STALE, .group = "server"

static const struct command cmd_command_rows[] = {
    {.name = "command",
     .handler = cmd_command,
     .arity = -1,
     .flags = CMD_LOADING | CMD_STALE,
     .categories = CATEGORY_CONNECTION,
     .group = "server",
     .since = "2.8.13",
     .cost = "O(N) where N is the total number of Redis commands",
     .summary = "Describes all commands."},
    {COMMAND_ROW, .name = "count", .handler = cmd_command_count, .arity = 2,
     .categories = CATEGORY_CONNECTION, .since = "2.8.13", .cost = "O(1)",
     .summary = "Counts the commands."},
    {COMMAND_ROW, .name = "docs", .handler = cmd_command_docs, .arity = -2,
     .categories = CATEGORY_CONNECTION, .since = "7.0.0",
     .cost = "O(N) where N is the number of commands to look up",
     .syntax = "[command-name [command-name ...]]",
     .summary = "Returns the documentation of commands."},
    {COMMAND_ROW, .name = "getkeys", .handler = cmd_command_getkeys, .arity = -3,
     .categories = CATEGORY_CONNECTION, .since = "2.8.13",
     .cost = "O(N) where N is the number of arguments to the command",
     .syntax = "command [arg [arg ...]]", .summary = "Returns the keys in a whole request."},
    {COMMAND_ROW, .name = "getkeysandflags", .handler = cmd_command_getkeysandflags, .arity = -3,
     .categories = CATEGORY_CONNECTION, .since = "7.0.0",
     .cost = "O(N) where N is the number of arguments to the command",
     .syntax = "command [arg [arg ...]]",
     .summary = "Returns the keys in a whole request, and what is done with each."},
    {COMMAND_ROW, .name = "help", .handler = cmd_command_help, .arity = 2,
     .categories = CATEGORY_CONNECTION, .since = "5.0.0", .cost = "O(1)",
     .summary = "Lists the subcommands."},
    {COMMAND_ROW, .name = "info", .handler = cmd_command_info, .arity = -2,
     .categories = CATEGORY_CONNECTION, .since = "2.8.13",
     .cost = "O(N) where N is the number of commands to look up",
     .syntax = "[command-name [command-name ...]]", .summary = "Describes some commands, or all."},
    {COMMAND_ROW, .name = "list", .handler = cmd_command_list, .arity = -2,
     .categories = CATEGORY_CONNECTION, .since = "7.0.0",
     .cost = "O(N) where N is the total number of Redis commands",
     .syntax = "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
     .summary = "Names the commands, all or some of them."},
};

COMMAND_FAMILY(cmd_command_family, cmd_command_rows);
