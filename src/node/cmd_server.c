/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands about the server as a whole: INFO, TIME, ROLE, MONITOR, WAIT, SHUTDOWN, and the two that
 * nobody needs but everybody calls: LOLWUT, and FUNCTION FLUSH before there are functions. */
#include "node/help.h"
#include "node/info.h"
#include "node/lolwut.h"
#include "node/node_mesh.h"
#include "node/session_token.h"

/* INFO [section ...] */
static void cmd_info(struct command_context *ctx) {
    struct buffer text = {0};
    info_write(ctx->node, ctx->args + 1, ctx->args_count - 1, &text);
    reply_verbatim(ctx->reply, "txt", buffer_slice(&text));
    buffer_deinit(&text);
}

/* TIME */
static void cmd_time(struct command_context *ctx) {
    /* The wall clock is known to the millisecond; the monotonic one gives the digits below, which
     * only ever have to be plausible. */
    const struct node *node = ctx->node;
    reply_array(ctx->reply, 2);
    reply_bulk_integer(ctx->reply, node->now_ms / 1000);
    reply_bulk_integer(ctx->reply, node->now_ms % 1000 * 1000 + (int64_t)(node->now_us % 1000));
}

/* ROLE: a primary without replicas. */
static void cmd_role(struct command_context *ctx) {
    reply_array(ctx->reply, 3);
    reply_bulk_text(ctx->reply, "master");
    reply_integer(ctx->reply, 0);
    reply_array(ctx->reply, 0);
}

/* MONITOR */
static void cmd_monitor(struct command_context *ctx) {
    if (ctx->in_transaction) {
        reply_error(ctx->reply, "ERR MONITOR isn't allowed for DENY BLOCKING client");
        return;
    }
    if ((ctx->client->flags & CLIENT_MONITOR) == 0) {
        ctx->client->flags |= CLIENT_MONITOR;
        ctx->node->monitors_count++;
    }
    reply_ok(ctx->reply);
}

/* ---- WAIT, WAITAOF ---- */

/* Reads the timeout in milliseconds; writes an error and returns false when it is none. */
static bool server_read_timeout(struct command_context *ctx, size_t index, int64_t *timeout_ms) {
    static const char RANGE_ERROR[] = "ERR timeout is not an integer or out of range";
    if (!command_integer(ctx, index, timeout_ms, RANGE_ERROR)) {
        return false;
    }
    if (*timeout_ms < 0) {
        reply_error(ctx->reply, "ERR timeout is negative");
        return false;
    }
    if (*timeout_ms > INT64_MAX - ctx->node->now_ms) {
        reply_error(ctx->reply, "ERR timeout is out of range");
        return false;
    }
    return true;
}

static void server_block(struct command_context *ctx, enum client_wait wait, int64_t timeout_ms) {
    ctx->client->wait = wait;
    node_client_block(ctx->client, timeout_ms == 0 ? 0 : ctx->node->now_ms + timeout_ms);
}

static unsigned server_acknowledged(const struct client *client) {
    return node_mesh_acknowledged_count(client->node, client->write_stamp);
}

/* WAIT numreplicas timeout: until so many peers have applied what this client wrote. */
static void cmd_wait(struct command_context *ctx) {
    int64_t replicas, timeout_ms;
    if (!command_integer(ctx, 1, &replicas, NULL) || !server_read_timeout(ctx, 2, &timeout_ms)) {
        return;
    }
    unsigned acknowledged = server_acknowledged(ctx->client);
    if (replicas <= (int64_t)acknowledged || ctx->in_transaction) {
        reply_integer(ctx->reply, acknowledged);
        return;
    }
    ctx->client->wait_peers = (uint64_t)replicas;
    server_block(ctx, CLIENT_WAIT_PEERS, timeout_ms);
}

static const char WAITAOF_OFF_ERROR[] =
    "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

/* Whoever waits for this node's disk would wait in vain: the log was switched off. */
static bool waitaof_is_off(const struct client *client) {
    return client->wait_local && !client->node->options->appendonly;
}

static void server_reply_waitaof(struct client *client, struct reply *reply) {
    if (waitaof_is_off(client)) {
        reply_error(reply, WAITAOF_OFF_ERROR);
        return;
    }
    bool is_local = log_synced_position(client->node->log) >= client->wait_position;
    reply_array(reply, 2);
    reply_integer(reply, is_local ? 1 : 0);
    reply_integer(reply, 0);
}

/* WAITAOF numlocal numreplicas timeout: until all writes so far are on this node's disk. What is on
 * the disks of others nobody tells: their number is 0. */
static void cmd_waitaof(struct command_context *ctx) {
    struct node *node = ctx->node;
    int64_t local, replicas, timeout_ms;
    if (!command_integer(ctx, 1, &local, NULL) || !command_integer(ctx, 2, &replicas, NULL)) {
        return;
    }
    if (local < 0 || local > 1) {
        reply_error(ctx->reply, "ERR value is out of range, value must between 0 and 1");
        return;
    }
    if (replicas < 0) {
        reply_error(ctx->reply, "ERR value is out of range, must be positive");
        return;
    }
    if (!server_read_timeout(ctx, 3, &timeout_ms)) {
        return;
    }
    if (local > 0 && !log_is_on(node->log)) {
        reply_error(ctx->reply, WAITAOF_OFF_ERROR);
        return;
    }
    struct client *client = ctx->client;
    if (!ctx->in_transaction) {
        store_end_unit(&node->store);
        log_collect(node->log);
    }
    client->wait_position = log_is_on(node->log) ? log_position(node->log) : UINT64_MAX;
    client->wait_peers = (uint64_t)replicas;
    client->wait_local = local > 0;
    client->wait = CLIENT_WAIT_LOG; /* what is over is asked of it */
    if (ctx->in_transaction || cmd_server_wait_is_over(client)) {
        server_reply_waitaof(client, ctx->reply);
    } else {
        server_block(ctx, CLIENT_WAIT_LOG, timeout_ms);
    }
}

bool cmd_server_wait_is_over(struct client *client) {
    switch (client->wait) {
    case CLIENT_WAIT_PEERS:
        return server_acknowledged(client) >= client->wait_peers;
    case CLIENT_WAIT_LOG:
        return waitaof_is_off(client) ||
               (client->wait_peers == 0 &&
                (!client->wait_local ||
                 log_synced_position(client->node->log) >= client->wait_position));
    case CLIENT_WAIT_SHUTDOWN:
    case CLIENT_WAIT_KEYS:
    case CLIENT_WAIT_MIGRATION:
        return false;
    case CLIENT_WAIT_TOKEN:
    case CLIENT_WAIT_LEAVE:
    case CLIENT_WAIT_CHECK:
        break;
    }
    return cmd_mesh_wait_is_over(client);
}

void cmd_server_wait_timeout(struct client *client) {
    switch (client->wait) {
    case CLIENT_WAIT_PEERS:
        reply_integer(&client->reply, server_acknowledged(client));
        return;
    case CLIENT_WAIT_LOG:
        server_reply_waitaof(client, &client->reply);
        return;
    case CLIENT_WAIT_SHUTDOWN:
        reply_error(&client->reply, "ERR Errors trying to SHUTDOWN. Check logs.");
        return;
    case CLIENT_WAIT_KEYS:
        blocking_end(client, NULL);
        return;
    case CLIENT_WAIT_MIGRATION:
        impossible("it has a time limit of its own");
    case CLIENT_WAIT_TOKEN:
    case CLIENT_WAIT_LEAVE:
    case CLIENT_WAIT_CHECK:
        break;
    }
    cmd_mesh_wait_end(client);
}

/* ---- SHUTDOWN ---- */

/* SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]: nothing is replied, the connection just ends. */
static void cmd_shutdown(struct command_context *ctx) {
    struct node *node = ctx->node;
    bool saves = false, does_not_save = false, is_forced = false, is_abort = false, is_now = false;
    for (size_t i = 1; i < ctx->args_count; i++) {
        if (command_word(ctx, i, "nosave")) {
            does_not_save = true;
        } else if (command_word(ctx, i, "save")) {
            saves = true;
        } else if (command_word(ctx, i, "now")) {
            is_now = true; /* there are no replicas to wait for */
        } else if (command_word(ctx, i, "force")) {
            is_forced = true;
        } else if (command_word(ctx, i, "abort")) {
            is_abort = true;
        } else {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return;
        }
    }
    if ((saves && does_not_save) || (is_abort && (saves || does_not_save || is_forced || is_now))) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if (is_abort) {
        if (node->shutdown == SHUTDOWN_NONE) {
            reply_error(ctx->reply, "ERR No shutdown in progress.");
            return;
        }
        node_message(node, LOG_LEVEL_NOTICE, "Shutdown manually aborted");
        cmd_server_shutdown_failed(node);
        reply_ok(ctx->reply);
        return;
    }
    node->shutdown = SHUTDOWN_WANTED;
    node->shutdown_saves = saves || (!does_not_save && node->options->save.count > 0);
    node->shutdown_forced = is_forced;
    /* It happens at the end of the turn; nothing more is read from this client before. */
    server_block(ctx, CLIENT_WAIT_SHUTDOWN, 0);
}

void cmd_server_shutdown_failed(struct node *node) {
    node->shutdown = SHUTDOWN_NONE;
    for (struct client *client = node->clients; client != NULL; client = client->next) {
        if ((client->flags & CLIENT_BLOCKED) != 0 && client->wait == CLIENT_WAIT_SHUTDOWN) {
            cmd_server_wait_timeout(client);
            node_client_unblock(client);
        }
    }
}

/* ---- LOLWUT, FUNCTION FLUSH ---- */

/* LOLWUT [VERSION version] [columns [rows]] */
static void cmd_lolwut(struct command_context *ctx) {
    int64_t columns = 72, rows = 18, version;
    size_t next = 1;
    if (ctx->args_count >= 3 && command_word(ctx, 1, "version")) {
        if (!command_integer(ctx, 2, &version, NULL)) {
            return;
        }
        next = 3; /* every version draws the same way */
    }
    if ((next < ctx->args_count && !command_integer(ctx, next, &columns, NULL)) ||
        (next + 1 < ctx->args_count && !command_integer(ctx, next + 1, &rows, NULL))) {
        return;
    }
    columns = columns < 1 ? 1 : columns > LOLWUT_COLUMNS_MAX ? LOLWUT_COLUMNS_MAX : columns;
    rows = rows < 1 ? 1 : rows > LOLWUT_ROWS_MAX ? LOLWUT_ROWS_MAX : rows;
    struct buffer text = {0};
    lolwut_draw(&ctx->node->prng, (unsigned)columns, (unsigned)rows, &text);
    buffer_printf(&text, "\nA murmuration of starlings. Redis ver. %s, Starling ver. %s\n",
                  INFO_REDIS_VERSION, STARLING_VERSION);
    reply_verbatim(ctx->reply, "txt", buffer_slice(&text));
    buffer_deinit(&text);
}

/* FUNCTION FLUSH [ASYNC | SYNC]: there are no functions, so there is nothing to remove. */
static void cmd_function_flush(struct command_context *ctx) {
    if (ctx->args_count > 3) {
        reply_errorf(ctx->reply,
                     "ERR unknown subcommand or wrong number of arguments for '%.*s'. "
                     "Try FUNCTION HELP.",
                     (int)ctx->args[1].size, ctx->args[1].data);
        return;
    }
    if (ctx->args_count == 3 && !command_word(ctx, 2, "async") && !command_word(ctx, 2, "sync")) {
        reply_error(ctx->reply, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
        return;
    }
    reply_ok(ctx->reply);
}

static const struct command cmd_server_rows[] = {
    {.name = "info",
     .handler = cmd_info,
     .arity = -1,
     .flags = CMD_LOADING | CMD_STALE,
     .categories = CATEGORY_DANGEROUS,
     .group = "server",
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "[section [section ...]]",
     .summary = "Returns facts and figures about the server."},
    {.name = "time",
     .handler = cmd_time,
     .arity = 1,
     .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
     .group = "server",
     .since = "2.6.0",
     .cost = "O(1)",
     .summary = "Returns the server's time."},
    {.name = "role",
     .handler = cmd_role,
     .arity = 1,
     .flags = CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST,
     .categories = CATEGORY_ADMIN | CATEGORY_DANGEROUS,
     .group = "server",
     .since = "2.8.12",
     .cost = "O(1)",
     .summary = "Returns the server's part in replication."},
    {.name = "monitor",
     .handler = cmd_monitor,
     .arity = 1,
     .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE,
     .group = "server",
     .since = "1.0.0",
     .cost = "O(1)",
     .summary = "Shows every request that the server gets, as it gets it."},
    {.name = "shutdown",
     .handler = cmd_shutdown,
     .arity = -1,
     .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE | CMD_NO_MULTI | CMD_ALLOW_BUSY,
     .group = "server",
     .since = "1.0.0",
     .cost = "O(N) when saving, where N is the total number of keys in all databases when saving "
             "data, otherwise O(1)",
     .syntax = "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
     .summary = "Saves what there is to save and ends the server."},
    {.name = "lolwut",
     .handler = cmd_lolwut,
     .arity = -1,
     .flags = CMD_READ | CMD_FAST,
     .group = "server",
     .since = "5.0.0",
     .cost = "O(N), N being the size of the picture",
     .syntax = "[VERSION version]",
     .summary = "Draws a picture and tells the version."},
    {.name = "wait",
     .handler = cmd_wait,
     .arity = 3,
     .flags = CMD_BLOCKING,
     .categories = CATEGORY_CONNECTION,
     .group = "generic",
     .since = "3.0.0",
     .cost = "O(1)",
     .syntax = "numreplicas timeout",
     .summary = "Waits until peers have the client's writes so far."},
    {.name = "waitaof",
     .handler = cmd_waitaof,
     .arity = 4,
     .flags = CMD_BLOCKING,
     .categories = CATEGORY_CONNECTION,
     .group = "generic",
     .since = "7.2.0",
     .cost = "O(1)",
     .syntax = "numlocal numreplicas timeout",
     .summary = "Waits until the writes so far are on disk."},
    {.name = "function",
     .arity = -2,
     .group = "scripting",
     .since = "7.0.0",
     .cost = "Depends on subcommand.",
     .summary = "A container for commands about functions."},
    {.name = "flush",
     .parent = "function",
     .handler = cmd_function_flush,
     .arity = -2,
     .flags = CMD_WRITE | CMD_NO_SCRIPT,
     .categories = CATEGORY_SCRIPTING,
     .group = "scripting",
     .since = "7.0.0",
     .cost = "O(N) where N is the number of functions deleted",
     .syntax = "[ASYNC | SYNC]",
     .summary = "Removes all functions."},
};

COMMAND_FAMILY(cmd_server_family, cmd_server_rows);
