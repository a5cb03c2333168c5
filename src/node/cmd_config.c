/* SPDX-License-Identifier: BSD-3-Clause */
/* CONFIG: the options of the running server, over config/. */
#include "node/help.h"
#include "node/node.h"

struct config_get_state {
    struct reply *reply;
    size_t count;
};

static void config_get_one(void *udata, struct slice name, struct slice value) {
    struct config_get_state *state = udata;
    reply_bulk(state->reply, name);
    reply_bulk(state->reply, value);
    state->count++;
}

/* CONFIG GET pattern [pattern ...] */
static void cmd_config_get(struct command_context *ctx) {
    struct config_get_state state = {.reply = ctx->reply};
    size_t begin = reply_deferred_begin(ctx->reply);
    config_get(ctx->node->options, ctx->args + 2, ctx->args_count - 2, config_get_one, &state);
    reply_deferred_map(ctx->reply, begin, state.count);
}

/* CONFIG SET parameter value [parameter value ...] */
static void cmd_config_set(struct command_context *ctx) {
    if (ctx->args_count % 2 != 0) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    struct config_set_request request = {
        .names_values = ctx->args + 2,
        .pairs_count = (ctx->args_count - 2) / 2,
        .is_local = (ctx->client->flags & CLIENT_LOCAL) != 0,
        .apply = node_apply_options,
        .udata = ctx->node,
    };
    struct buffer error = {0};
    if (config_set_many(ctx->node->options, &request, NULL, &error) == CONFIG_OK) {
        reply_ok(ctx->reply);
    } else {
        reply_errorf(ctx->reply, "ERR %s", buffer_text(&error));
    }
    buffer_deinit(&error);
}

/* CONFIG REWRITE */
static void cmd_config_rewrite(struct command_context *ctx) {
    struct node *node = ctx->node;
    if (node->options->config_file == NULL || node->options->config_file[0] == '\0') {
        reply_error(ctx->reply, "ERR The server is running without a config file");
        return;
    }
    struct buffer old_text = {0}, new_text = {0}, error = {0};
    bool is_done = node->host.read_config(node->host.udata, &old_text, &error);
    if (is_done) {
        config_rewrite(node->options, buffer_slice(&old_text), &new_text);
        is_done = node->host.write_config(node->host.udata, buffer_slice(&new_text), &error);
    }
    if (is_done) {
        node_message(node, LOG_LEVEL_NOTICE, "CONFIG REWRITE executed with success.");
        reply_ok(ctx->reply);
    } else {
        node_message(node, LOG_LEVEL_WARNING, "CONFIG REWRITE failed: %s", buffer_text(&error));
        reply_errorf(ctx->reply, "ERR Rewriting config file: %s", buffer_text(&error));
    }
    buffer_deinit(&old_text);
    buffer_deinit(&new_text);
    buffer_deinit(&error);
}

/* CONFIG RESETSTAT */
static void cmd_config_resetstat(struct command_context *ctx) {
    node_reset_stats(ctx->node);
    reply_ok(ctx->reply);
}

/* CONFIG HELP */
static void cmd_config_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "GET <pattern> [<pattern> ...]",
        "    Show the options whose names match a glob-like <pattern>, and their values.",
        "SET <option> <value> [<option> <value> ...]",
        "    Change options, all of them or none.",
        "RESETSTAT",
        "    Set the statistics that INFO shows back to zero.",
        "REWRITE",
        "    Bring the configuration file up to date with the running configuration.",
    };
    HELP_REPLY(ctx, LINES);
}

#define CONFIG_FLAGS (CMD_ADMIN | CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE)
#define CONFIG_ROW .parent = "config", .flags = CONFIG_FLAGS, .group = "server"
#define CONFIG_ROW_CHANGES                                                                         \
    .parent = "config", .flags = CONFIG_FLAGS | CMD_NEEDS_START, .group = "server"

static const struct command cmd_config_rows[] = {
    {.name = "config",
     .arity = -2,
     .group = "server",
     .since = "2.0.0",
     .cost = "Depends on subcommand.",
     .summary = "A container for commands about the server's options."},
    {CONFIG_ROW, .name = "get", .handler = cmd_config_get, .arity = -3, .since = "2.0.0",
     .cost = "O(N) when N is the number of configuration parameters provided",
     .syntax = "parameter [parameter ...]", .summary = "Returns the values of options."},
    {CONFIG_ROW_CHANGES, .name = "set", .handler = cmd_config_set, .arity = -4, .since = "2.0.0",
     .cost = "O(N) when N is the number of configuration parameters provided",
     .syntax = "parameter value [parameter value ...]",
     .summary = "Changes options of the running server."},
    {CONFIG_ROW_CHANGES, .name = "rewrite", .handler = cmd_config_rewrite, .arity = 2,
     .since = "2.8.0", .cost = "O(1)",
     .summary = "Writes the options of the running server to its configuration file."},
    {CONFIG_ROW, .name = "resetstat", .handler = cmd_config_resetstat, .arity = 2, .since = "2.0.0",
     .cost = "O(1)", .summary = "Sets the server's statistics back to zero."},
    {.name = "help",
     .parent = "config",
     .handler = cmd_config_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .group = "server",
     .since = "5.0.0",
     .cost = "O(1)",
     .summary = "Lists the subcommands."},
};

COMMAND_FAMILY(cmd_config_family, cmd_config_rows);
