/* SPDX-License-Identifier: BSD-3-Clause */
/* ACL: who may do what. There is one user, "default", who may do everything, and whose password is
 * requirepass; so questions are answered as Redis answers them then, and changes are refused. */
#include "base/sha256.h"
#include "node/command_category.h"
#include "node/help.h"
#include "node/node.h"

enum {
    GENPASS_BITS_DEFAULT = 256,
    GENPASS_BITS_MAX = 4096,
    PASSWORD_HASH_DIGITS = 2 * SHA256_BYTES,
    QUOTED_BYTES_MAX = 128,
};

static const char DEFAULT_USER[] = "default";

static void acl_write_hex(char *text, const uint8_t *bytes, size_t digits_count) {
    for (size_t i = 0; i < digits_count; i++) {
        text[i] = "0123456789abcdef"[i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15];
    }
}

/* The hash of requirepass in hexadecimal; false when there is no password. */
static bool acl_password_hash(const struct node *node, char text[static PASSWORD_HASH_DIGITS]) {
    struct slice password = slice_of(node->options->requirepass);
    uint8_t digest[SHA256_BYTES];
    if (password.size == 0) {
        return false;
    }
    sha256(password, digest);
    acl_write_hex(text, digest, PASSWORD_HASH_DIGITS);
    return true;
}

/* ---- the user ---- */

/* ACL WHOAMI */
static void cmd_acl_whoami(struct command_context *ctx) {
    reply_bulk_text(ctx->reply, DEFAULT_USER);
}

/* ACL USERS */
static void cmd_acl_users(struct command_context *ctx) {
    reply_array(ctx->reply, 1);
    reply_bulk_text(ctx->reply, DEFAULT_USER);
}

/* ACL LIST: a line as a file of users has it. */
static void cmd_acl_list(struct command_context *ctx) {
    char hash[PASSWORD_HASH_DIGITS];
    bool has_password = acl_password_hash(ctx->node, hash);
    reply_array(ctx->reply, 1);
    if (has_password) {
        reply_bulk_printf(ctx->reply, "user %s on sanitize-payload #%.*s ~* &* +@all", DEFAULT_USER,
                          PASSWORD_HASH_DIGITS, hash);
    } else {
        reply_bulk_printf(ctx->reply, "user %s on nopass sanitize-payload ~* &* +@all",
                          DEFAULT_USER);
    }
}

/* ACL GETUSER username */
static void cmd_acl_getuser(struct command_context *ctx) {
    struct reply *reply = ctx->reply;
    char hash[PASSWORD_HASH_DIGITS];
    if (!slice_equal(ctx->args[2], slice_of(DEFAULT_USER))) {
        reply_null(reply);
        return;
    }
    bool has_password = acl_password_hash(ctx->node, hash);
    reply_map(reply, 6);
    reply_bulk_text(reply, "flags");
    reply_set(reply, has_password ? 2 : 3);
    reply_bulk_text(reply, "on");
    if (!has_password) {
        reply_bulk_text(reply, "nopass");
    }
    reply_bulk_text(reply, "sanitize-payload");
    reply_bulk_text(reply, "passwords");
    reply_array(reply, has_password);
    if (has_password) {
        reply_bulk(reply, slice_make(hash, PASSWORD_HASH_DIGITS));
    }
    reply_bulk_text(reply, "commands");
    reply_bulk_text(reply, "+@all");
    reply_bulk_text(reply, "keys");
    reply_bulk_text(reply, "~*");
    reply_bulk_text(reply, "channels");
    reply_bulk_text(reply, "&*");
    reply_bulk_text(reply, "selectors");
    reply_array(reply, 0);
}

/* ACL SETUSER, DELUSER, DRYRUN, LOAD, SAVE: what would only make sense with more users. */
static void cmd_acl_refused(struct command_context *ctx) {
    reply_error(ctx->reply, "ERR ACL users are not supported: there is only the user 'default', "
                            "who may do everything");
}

/* ---- CAT, GENPASS, LOG ---- */

/* False after an error reply: one argument at most may follow the subcommand. */
static bool acl_takes_arguments(struct command_context *ctx) {
    if (ctx->args_count <= 3) {
        return true;
    }
    reply_errorf(ctx->reply,
                 "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try ACL HELP.",
                 (int)ctx->args[1].size, ctx->args[1].data);
    return false;
}

/* ACL CAT [category] */
static void cmd_acl_cat(struct command_context *ctx) {
    struct reply *reply = ctx->reply;
    if (!acl_takes_arguments(ctx)) {
        return;
    }
    if (ctx->args_count == 2) {
        reply_array(reply, COMMAND_CATEGORIES_COUNT);
        for (int i = 0; i < COMMAND_CATEGORIES_COUNT; i++) {
            reply_bulk_text(reply, command_category_name((enum command_category)i));
        }
        return;
    }
    struct slice name = ctx->args[2];
    enum command_category category = command_category_find(name);
    if (category == COMMAND_CATEGORIES_COUNT) {
        reply_errorf(reply, "ERR Unknown category '%.*s'",
                     (int)(name.size < QUOTED_BYTES_MAX ? name.size : QUOTED_BYTES_MAX), name.data);
        return;
    }
    const struct command_table *table = &ctx->node->commands;
    size_t begin = reply_deferred_begin(reply), count = 0;
    for (size_t i = 0; i < table->count; i++) {
        if (command_category_has(category, table->rows[i])) {
            struct buffer full_name = {0};
            command_table_full_name(table->rows[i], &full_name);
            reply_bulk(reply, buffer_slice(&full_name));
            buffer_deinit(&full_name);
            count++;
        }
    }
    reply_deferred_array(reply, begin, count);
}

/* ACL GENPASS [bits]: so many bits that nobody can guess, rounded up to whole digits. */
static void cmd_acl_genpass(struct command_context *ctx) {
    const struct node_host *host = &ctx->node->host;
    uint8_t bytes[GENPASS_BITS_MAX / 8];
    char text[GENPASS_BITS_MAX / 4];
    int64_t bits = GENPASS_BITS_DEFAULT;
    if (!acl_takes_arguments(ctx) ||
        (ctx->args_count == 3 && !command_integer(ctx, 2, &bits, NULL))) {
        return;
    }
    if (bits < 1 || bits > GENPASS_BITS_MAX) {
        reply_errorf(ctx->reply,
                     "ERR ACL GENPASS argument must be the number of bits for the output password, "
                     "a positive number up to %d",
                     GENPASS_BITS_MAX);
        return;
    }
    size_t digits_count = ((size_t)bits + 3) / 4;
    if (host->entropy == NULL || !host->entropy(host->udata, bytes, (digits_count + 1) / 2)) {
        reply_error(ctx->reply, "ERR The system has no random bits to give");
        return;
    }
    acl_write_hex(text, bytes, digits_count);
    reply_bulk(ctx->reply, slice_make(text, digits_count));
}

/* ACL LOG [count | RESET]: who may do everything is never refused. */
static void cmd_acl_log(struct command_context *ctx) {
    int64_t count;
    if (!acl_takes_arguments(ctx)) {
        return;
    }
    if (ctx->args_count == 3 && command_word(ctx, 2, "reset")) {
        reply_ok(ctx->reply);
    } else if (ctx->args_count == 2 || command_integer(ctx, 2, &count, NULL)) {
        reply_array(ctx->reply, 0);
    }
}

/* ACL HELP */
static void cmd_acl_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "CAT [<category>]",
        "    Name the categories of commands, or the commands in <category>.",
        "DELUSER <username> [<username> ...]",
        "    Refused: there is only the user 'default'.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Refused: there is only the user 'default'.",
        "GENPASS [<bits>]",
        "    Make a password of <bits> random bits (256 by default) in hexadecimal digits.",
        "GETUSER <username>",
        "    Show what a user may do.",
        "LIST",
        "    Show the users as lines of a configuration file.",
        "LOAD",
        "    Refused: there is only the user 'default'.",
        "LOG [<count> | RESET]",
        "    Show what was refused for want of permission: nothing.",
        "SAVE",
        "    Refused: there is only the user 'default'.",
        "SETUSER <username> <attribute> [<attribute> ...]",
        "    Refused: there is only the user 'default'. Its password is requirepass.",
        "USERS",
        "    Name the users.",
        "WHOAMI",
        "    Name the user of this connection.",
    };
    HELP_REPLY(ctx, LINES);
}

/* ---- rows ---- */

#define ACL_ROW .parent = "acl", .flags = CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE, .group = "server"
#define ACL_ADMIN_ROW                                                                              \
    .parent = "acl", .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE, .group = "server"

static const struct command cmd_acl_rows[] = {
    {.name = "acl",
     .arity = -2,
     .group = "server",
     .since = "6.0.0",
     .cost = "Depends on subcommand.",
     .summary = "A container for commands about users."},
    {ACL_ROW, .name = "cat", .handler = cmd_acl_cat, .arity = -2, .since = "6.0.0",
     .cost = "O(1) since the categories and commands are a fixed set.", .syntax = "[category]",
     .summary = "Names the categories of commands, or the commands in one."},
    {ACL_ADMIN_ROW, .name = "deluser", .handler = cmd_acl_refused, .arity = -3, .since = "6.0.0",
     .cost = "O(1)", .syntax = "username [username ...]",
     .summary = "Refused: there is only the user 'default'."},
    {ACL_ADMIN_ROW, .name = "dryrun", .handler = cmd_acl_refused, .arity = -4, .since = "7.0.0",
     .cost = "O(1)", .syntax = "username command [arg [arg ...]]",
     .summary = "Refused: there is only the user 'default'."},
    {ACL_ROW, .name = "genpass", .handler = cmd_acl_genpass, .arity = -2, .since = "6.0.0",
     .cost = "O(1)", .syntax = "[bits]", .summary = "Makes a password that nobody can guess."},
    {ACL_ADMIN_ROW, .name = "getuser", .handler = cmd_acl_getuser, .arity = 3, .since = "6.0.0",
     .cost = "O(1)", .syntax = "username", .summary = "Returns what a user may do."},
    {.name = "help",
     .parent = "acl",
     .handler = cmd_acl_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .group = "server",
     .since = "6.0.0",
     .cost = "O(1)",
     .summary = "Lists the subcommands."},
    {ACL_ADMIN_ROW, .name = "list", .handler = cmd_acl_list, .arity = 2, .since = "6.0.0",
     .cost = "O(1)", .summary = "Returns the users as lines of a configuration file."},
    {ACL_ADMIN_ROW, .name = "load", .handler = cmd_acl_refused, .arity = 2, .since = "6.0.0",
     .cost = "O(1)", .summary = "Refused: there is only the user 'default'."},
    {ACL_ADMIN_ROW, .name = "log", .handler = cmd_acl_log, .arity = -2, .since = "6.0.0",
     .cost = "O(1)", .syntax = "[count | RESET]",
     .summary = "Returns what was refused for want of permission: nothing."},
    {ACL_ADMIN_ROW, .name = "save", .handler = cmd_acl_refused, .arity = 2, .since = "6.0.0",
     .cost = "O(1)", .summary = "Refused: there is only the user 'default'."},
    {ACL_ADMIN_ROW, .name = "setuser", .handler = cmd_acl_refused, .arity = -3, .since = "6.0.0",
     .cost = "O(1)", .syntax = "username [rule [rule ...]]",
     .summary = "Refused: there is only the user 'default'."},
    {ACL_ADMIN_ROW, .name = "users", .handler = cmd_acl_users, .arity = 2, .since = "6.0.0",
     .cost = "O(1)", .summary = "Names the users."},
    {ACL_ROW, .name = "whoami", .handler = cmd_acl_whoami, .arity = 2, .since = "6.0.0",
     .cost = "O(1)", .summary = "Names the user of the connection."},
};

COMMAND_FAMILY(cmd_acl_family, cmd_acl_rows);
