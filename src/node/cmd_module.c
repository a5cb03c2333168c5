/* SPDX-License-Identifier: BSD-3-Clause */
/* MODULE: there are none, and none can be loaded. */
#include "node/help.h"
#include "node/node.h"

/* MODULE LIST */
static void cmd_module_list(struct command_context *ctx) {
    reply_array(ctx->reply, 0);
}

/* MODULE LOAD, LOADEX, UNLOAD */
static void cmd_module_refused(struct command_context *ctx) {
    reply_error(ctx->reply, "ERR Modules are not supported");
}

/* MODULE HELP */
static void cmd_module_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "LIST",
        "    Name the modules: there are none.",
        "LOAD <path> [<arg> ...]",
        "    Refused: modules are not supported.",
        "LOADEX <path> [CONFIG <name> <value> [CONFIG <name> <value> ...]] [ARGS <arg> ...]",
        "    Refused: modules are not supported.",
        "UNLOAD <name>",
        "    Refused: modules are not supported.",
    };
    HELP_REPLY(ctx, LINES);
}

#define MODULE_CHANGE_ROW                                                                          \
    .parent = "module", .handler = cmd_module_refused,                                             \
    .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_NO_ASYNC_LOADING, .group = "server", .cost = "O(1)",  \
    .summary = "Refused: modules are not supported."

static const struct command cmd_module_rows[] = {
    {.name = "module",
     .arity = -2,
     .group = "server",
     .since = "4.0.0",
     .cost = "Depends on subcommand.",
     .summary = "A container for commands about modules."},
    {.name = "help",
     .parent = "module",
     .handler = cmd_module_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .group = "server",
     .since = "5.0.0",
     .cost = "O(1)",
     .summary = "Lists the subcommands."},
    {.name = "list",
     .parent = "module",
     .handler = cmd_module_list,
     .arity = 2,
     .flags = CMD_ADMIN | CMD_NO_SCRIPT,
     .group = "server",
     .since = "4.0.0",
     .cost = "O(1)",
     .summary = "Names the modules: there are none."},
    {MODULE_CHANGE_ROW, .name = "load", .arity = -3, .since = "4.0.0",
     .syntax = "path [arg [arg ...]]"},
    {MODULE_CHANGE_ROW, .name = "loadex", .arity = -3, .since = "7.0.0",
     .syntax = "path [CONFIG name value [CONFIG name value ...]] [ARGS args [args ...]]"},
    {MODULE_CHANGE_ROW, .name = "unload", .arity = 3, .since = "4.0.0", .syntax = "name"},
};

COMMAND_FAMILY(cmd_module_family, cmd_module_rows);
