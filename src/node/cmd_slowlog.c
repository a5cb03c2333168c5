/* SPDX-License-Identifier: BSD-3-Clause */
/* SLOWLOG: the requests that took long. */
#include "node/help.h"
#include "node/node.h"

enum { SLOWLOG_GET_DEFAULT = 10 };

static void slowlog_reply_entry(struct reply *reply, const struct slowlog_entry *entry) {
    reply_array(reply, 6);
    reply_integer(reply, entry->id);
    reply_integer(reply, entry->unix_seconds);
    reply_integer(reply, (int64_t)entry->duration_us);
    reply_array(reply, entry->args_count);
    for (size_t i = 0; i < entry->args_count; i++) {
        reply_bulk(reply, entry->args[i]);
    }
    reply_bulk_text(reply, entry->address);
    reply_bulk_text(reply, entry->client_name);
}

/* SLOWLOG GET [count]: newest first; -1 is all. */
static void cmd_slowlog_get(struct command_context *ctx) {
    static const char RANGE_ERROR[] = "ERR count should be greater than or equal to -1";
    int64_t count = SLOWLOG_GET_DEFAULT;
    if (ctx->args_count > 3) {
        reply_errorf(
            ctx->reply,
            "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try SLOWLOG HELP.",
            (int)ctx->args[1].size, ctx->args[1].data);
        return;
    }
    if (ctx->args_count == 3) {
        if (!command_integer(ctx, 2, &count, RANGE_ERROR)) {
            return;
        }
        if (count < -1) {
            reply_error(ctx->reply, RANGE_ERROR);
            return;
        }
    }
    const struct node *node = ctx->node;
    size_t shown = node->slowlog_count;
    if (count >= 0 && (uint64_t)count < shown) {
        shown = (size_t)count;
    }
    reply_array(ctx->reply, shown);
    for (size_t i = 0; i < shown; i++) {
        size_t at = node->slowlog_first + node->slowlog_count - 1 - i;
        slowlog_reply_entry(ctx->reply, &node->slowlog[at % node->slowlog_capacity]);
    }
}

/* SLOWLOG LEN */
static void cmd_slowlog_len(struct command_context *ctx) {
    reply_integer(ctx->reply, (int64_t)ctx->node->slowlog_count);
}

/* SLOWLOG RESET */
static void cmd_slowlog_reset(struct command_context *ctx) {
    slowlog_reset(ctx->node);
    reply_ok(ctx->reply);
}

/* SLOWLOG HELP */
static void cmd_slowlog_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "GET [<count>]",
        "    Show the newest <count> entries (10 by default, -1 is all), each with its id, Unix",
        "    time, duration in microseconds, arguments, client address and client name.",
        "LEN",
        "    Tell how many entries there are.",
        "RESET",
        "    Remove all entries.",
    };
    HELP_REPLY(ctx, LINES);
}

#define SLOWLOG_ROW                                                                                \
    .parent = "slowlog", .flags = CMD_ADMIN | CMD_LOADING | CMD_STALE, .group = "server"

static const struct command cmd_slowlog_rows[] = {
    {.name = "slowlog",
     .arity = -2,
     .group = "server",
     .since = "2.2.12",
     .cost = "Depends on subcommand.",
     .summary = "A container for commands about the slow log."},
    {SLOWLOG_ROW, .name = "get", .handler = cmd_slowlog_get, .arity = -2, .since = "2.2.12",
     .cost = "O(N) where N is the number of entries returned", .syntax = "[count]",
     .summary = "Returns the newest entries of the slow log."},
    {SLOWLOG_ROW, .name = "len", .handler = cmd_slowlog_len, .arity = 2, .since = "2.2.12",
     .cost = "O(1)", .summary = "Counts the entries of the slow log."},
    {SLOWLOG_ROW, .name = "reset", .handler = cmd_slowlog_reset, .arity = 2, .since = "2.2.12",
     .cost = "O(N) where N is the number of entries in the slowlog",
     .summary = "Removes all entries of the slow log."},
    {.name = "help",
     .parent = "slowlog",
     .handler = cmd_slowlog_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .group = "server",
     .since = "6.2.0",
     .cost = "O(1)",
     .summary = "Lists the subcommands."},
};

COMMAND_FAMILY(cmd_slowlog_family, cmd_slowlog_rows);
