/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands about the connection itself: who it is (AUTH, HELLO), where it is (SELECT), and whether
 * it lives (PING, ECHO, QUIT, RESET). */
#include "base/memory.h"
#include "node/connection.h"
#include "node/info.h"
#include "node/publish.h"

static const char WRONG_PASSWORD[] =
    "WRONGPASS invalid username-password pair or user is disabled.";

/* ---- AUTH ---- */

/* Compares in a time that depends on the size of `given` alone, which its sender knows anyway. */
static bool secret_equal(struct slice given, struct slice secret) {
    unsigned difference = given.size != secret.size;
    for (size_t i = 0; i < given.size; i++) {
        char expected = secret.size > 0 ? secret.data[i % secret.size] : '\0';
        difference |= (unsigned)(unsigned char)(given.data[i] ^ expected);
    }
    return difference == 0;
}

/* Authenticates the client, or writes an error and returns false. There is one user, and without a
 * requirepass every password is right. */
static bool connection_authenticate(struct command_context *ctx, struct slice user,
                                    struct slice password) {
    struct slice secret = slice_of(ctx->node->options->requirepass);
    bool is_right = secret.size == 0 || secret_equal(password, secret);
    if (!slice_equal(user, SLICE("default")) || !is_right) {
        reply_error(ctx->reply, WRONG_PASSWORD);
        return false;
    }
    ctx->client->flags |= CLIENT_AUTHENTICATED;
    return true;
}

/* AUTH [username] password */
static void cmd_auth(struct command_context *ctx) {
    if (ctx->args_count > 3) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if (ctx->args_count == 2 && ctx->node->options->requirepass[0] == '\0') {
        reply_error(ctx->reply,
                    "ERR AUTH <password> called without any password configured for the default "
                    "user. Are you sure your configuration is correct?");
        return;
    }
    bool has_user = ctx->args_count == 3;
    if (connection_authenticate(ctx, has_user ? ctx->args[1] : SLICE("default"),
                                ctx->args[has_user ? 2 : 1])) {
        reply_ok(ctx->reply);
    }
}

/* ---- names ---- */

/* False after an error reply. */
static bool connection_check_name(struct command_context *ctx, struct slice name) {
    if (!connection_is_printable(name)) {
        reply_error(ctx->reply, "ERR Client names cannot contain spaces, newlines or special "
                                "characters.");
        return false;
    }
    return true;
}

bool connection_set_name(struct command_context *ctx, struct slice name) {
    if (!connection_check_name(ctx, name)) {
        return false;
    }
    connection_set_text(&ctx->client->name, name);
    return true;
}

bool connection_is_printable(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '!' || text.data[i] > '~') {
            return false;
        }
    }
    return true;
}

void connection_set_text(char **field, struct slice text) {
    memory_free(*field);
    *field = NULL;
    if (text.size > 0) {
        *field = memory_alloc(text.size + 1);
        memcpy(*field, text.data, text.size);
        (*field)[text.size] = '\0';
    }
}

/* ---- HELLO ---- */

struct hello {
    int64_t protocol; /* 0: not asked for */
    bool has_user, has_name;
    struct slice user, password, name;
};

/* Reads HELLO's arguments; writes an error and returns false when they make no sense. */
static bool hello_parse(struct command_context *ctx, struct hello *hello) {
    if (ctx->args_count == 1) {
        return true;
    }
    if (!command_integer(ctx, 1, &hello->protocol,
                         "ERR Protocol version is not an integer or out of range")) {
        return false;
    }
    if (hello->protocol < 2 || hello->protocol > 3) {
        reply_error(ctx->reply, "NOPROTO unsupported protocol version");
        return false;
    }
    for (size_t i = 2; i < ctx->args_count; i++) {
        size_t rest = ctx->args_count - i - 1;
        if (command_word(ctx, i, "auth") && rest >= 2) {
            hello->has_user = true;
            hello->user = ctx->args[i + 1];
            hello->password = ctx->args[i + 2];
            i += 2;
        } else if (command_word(ctx, i, "setname") && rest >= 1) {
            hello->has_name = true;
            hello->name = ctx->args[i + 1];
            if (!connection_check_name(ctx, hello->name)) {
                return false;
            }
            i++;
        } else {
            int size = ctx->args[i].size < 128 ? (int)ctx->args[i].size : 128;
            reply_errorf(ctx->reply, "ERR Syntax error in HELLO option '%.*s'", size,
                         ctx->args[i].data);
            return false;
        }
    }
    return true;
}

/* HELLO [protover [AUTH username password] [SETNAME clientname]] */
static void cmd_hello(struct command_context *ctx) {
    struct client *client = ctx->client;
    struct reply *reply = ctx->reply;
    struct hello hello = {0};
    if (!hello_parse(ctx, &hello)) {
        return;
    }
    if (hello.has_user && !connection_authenticate(ctx, hello.user, hello.password)) {
        return;
    }
    if ((client->flags & CLIENT_AUTHENTICATED) == 0) {
        reply_error(reply, "NOAUTH HELLO must be called with the client already authenticated, "
                           "otherwise the HELLO <proto> AUTH <user> <pass> option can be used to "
                           "authenticate the client and select the RESP protocol version at the "
                           "same time");
        return;
    }
    if (hello.has_name) {
        (void)connection_set_name(ctx, hello.name);
    }
    if (hello.protocol != 0) {
        reply->protocol = (unsigned)hello.protocol;
    }
    reply_map(reply, 7);
    reply_bulk_text(reply, "server");
    reply_bulk_text(reply, "redis");
    reply_bulk_text(reply, "version");
    reply_bulk_text(reply, INFO_REDIS_VERSION);
    reply_bulk_text(reply, "proto");
    reply_integer(reply, reply->protocol);
    reply_bulk_text(reply, "id");
    reply_integer(reply, (int64_t)client->id);
    reply_bulk_text(reply, "mode");
    reply_bulk_text(reply, "standalone");
    reply_bulk_text(reply, "role");
    reply_bulk_text(reply, "master");
    reply_bulk_text(reply, "modules");
    reply_array(reply, 0);
}

/* ---- PING, ECHO, SELECT ---- */

/* PING [message] */
static void cmd_ping(struct command_context *ctx) {
    if (ctx->args_count > 2) {
        reply_error(ctx->reply, "ERR wrong number of arguments for 'ping' command");
        return;
    }
    if ((ctx->client->flags & CLIENT_PUBSUB) != 0 && ctx->reply->protocol == 2) {
        /* Among messages a reply has to look like one. */
        reply_array(ctx->reply, 2);
        reply_bulk_text(ctx->reply, "pong");
        reply_bulk(ctx->reply, ctx->args_count == 2 ? ctx->args[1] : SLICE(""));
    } else if (ctx->args_count == 2) {
        reply_bulk(ctx->reply, ctx->args[1]);
    } else {
        reply_simple(ctx->reply, "PONG");
    }
}

/* ECHO message */
static void cmd_echo(struct command_context *ctx) {
    reply_bulk(ctx->reply, ctx->args[1]);
}

/* SELECT index */
static void cmd_select(struct command_context *ctx) {
    int64_t db;
    if (!command_integer(ctx, 1, &db, NULL)) {
        return;
    }
    if (db < INT32_MIN || db > INT32_MAX) {
        reply_errorf(ctx->reply, "ERR value is out of range, value must between %d and %d",
                     INT32_MIN, INT32_MAX);
        return;
    }
    if (db < 0 || db >= ctx->store->dbs_count) {
        reply_error(ctx->reply, "ERR DB index is out of range");
        return;
    }
    ctx->client->db = (unsigned)db;
    reply_ok(ctx->reply);
}

/* ---- QUIT, RESET ---- */

static void cmd_quit(struct command_context *ctx) {
    reply_ok(ctx->reply);
    node_client_close(ctx->client, true);
}

/* RESET: the connection becomes what it was when it was new. */
static void cmd_reset(struct command_context *ctx) {
    struct client *client = ctx->client;
    node_unwatch_all(client);
    publish_forget_client(client);
    client_discard_transaction(client);
    if ((client->flags & CLIENT_MONITOR) != 0) {
        ctx->node->monitors_count--;
    }
    client->flags &= ~(uint32_t)(CLIENT_MONITOR | CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP |
                                 CLIENT_REPLY_SKIP_NEXT | CLIENT_NO_EVICT | CLIENT_NO_TOUCH);
    if (ctx->node->options->requirepass[0] != '\0') {
        client->flags &= ~(uint32_t)CLIENT_AUTHENTICATED;
    } else {
        client->flags |= CLIENT_AUTHENTICATED;
    }
    client->db = 0;
    client->reply.protocol = 2;
    connection_set_text(&client->name, SLICE(""));
    reply_simple(ctx->reply, "RESET");
}

/* ---- rows ---- */

#define HANDSHAKE_FLAGS                                                                            \
    (CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_NO_AUTH | CMD_ALLOW_BUSY)

static const struct command connection_rows[] = {
    {.name = "auth",
     .handler = cmd_auth,
     .arity = -2,
     .flags = HANDSHAKE_FLAGS,
     .categories = CATEGORY_CONNECTION,
     .group = "connection",
     .since = "1.0.0",
     .cost = "O(N) where N is the number of passwords defined for the user",
     .syntax = "[username] password",
     .summary = "Proves who the client is."},
    {.name = "echo",
     .handler = cmd_echo,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
     .categories = CATEGORY_CONNECTION,
     .group = "connection",
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "message",
     .summary = "Returns its argument."},
    {.name = "hello",
     .handler = cmd_hello,
     .arity = -1,
     .flags = HANDSHAKE_FLAGS,
     .categories = CATEGORY_CONNECTION,
     .group = "connection",
     .since = "6.0.0",
     .cost = "O(1)",
     .syntax = "[protover [AUTH username password] [SETNAME clientname]]",
     .summary = "Greets the server and agrees on a protocol version."},
    {.name = "ping",
     .handler = cmd_ping,
     .arity = -1,
     .flags = CMD_FAST,
     .categories = CATEGORY_CONNECTION,
     .group = "connection",
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "[message]",
     .summary = "Returns a sign of life."},
    {.name = "quit",
     .handler = cmd_quit,
     .arity = -1,
     .flags = HANDSHAKE_FLAGS,
     .categories = CATEGORY_CONNECTION,
     .group = "connection",
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "",
     .summary = "Closes the connection once the replies so far are sent."},
    {.name = "reset",
     .handler = cmd_reset,
     .arity = 1,
     .flags = HANDSHAKE_FLAGS,
     .categories = CATEGORY_CONNECTION,
     .group = "connection",
     .since = "6.2.0",
     .cost = "O(1)",
     .syntax = "",
     .summary = "Makes the connection as good as new."},
    {.name = "select",
     .handler = cmd_select,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
     .categories = CATEGORY_CONNECTION,
     .group = "connection",
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "index",
     .summary = "Changes the connection's database."},
};

COMMAND_FAMILY(cmd_connection_family, connection_rows);
