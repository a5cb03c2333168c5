/* SPDX-License-Identifier: BSD-3-Clause */
/* CLIENT: what a connection may know and change about itself, and about the others. */
#include "base/memory.h"
#include "node/connection.h"
#include "node/help.h"
#include "node/node.h"
#include "node/publish.h"

enum { OUTPUT_STATIC_BYTES = 16 << 10, ERROR_ARG_BYTES_MAX = 128 };

static int shown_size(struct slice text) {
    return text.size < ERROR_ARG_BYTES_MAX ? (int)text.size : ERROR_ARG_BYTES_MAX;
}

static void client_reply_too_many(struct command_context *ctx) {
    reply_errorf(ctx->reply,
                 "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
                 shown_size(ctx->args[1]), ctx->args[1].data);
}

/* ---- CLIENT LIST, INFO ---- */

static const char *text_or_empty(const char *text) {
    return text != NULL ? text : "";
}

/* The letters of `flags=`. */
static void client_append_flags(const struct client *client, struct buffer *line) {
    static const struct {
        uint32_t flag;
        char letter;
    } LETTERS[] = {
        {CLIENT_MONITOR, 'O'},        {CLIENT_PUBSUB, 'P'},
        {CLIENT_IN_TRANSACTION, 'x'}, {CLIENT_BLOCKED, 'b'},
        {CLIENT_WATCH_BROKEN, 'd'},   {CLIENT_PAUSED, 'b'},
        {CLIENT_CLOSE_NOW, 'A'},      {CLIENT_CLOSE_AFTER_REPLY, 'c'},
        {CLIENT_UNIX_SOCKET, 'U'},    {CLIENT_NO_EVICT, 'e'},
        {CLIENT_NO_TOUCH, 'T'},
    };
    size_t size_before = line->size;
    for (size_t i = 0; i < sizeof(LETTERS) / sizeof(LETTERS[0]); i++) {
        if ((client->flags & LETTERS[i].flag) != 0) {
            buffer_append_byte(line, (uint8_t)LETTERS[i].letter);
        }
    }
    if (line->size == size_before) {
        buffer_append_byte(line, 'N');
    }
}

/* Appends the line about one client. `ctx` is that of the running command: only its own arguments
 * are apart from the input bytes. */
static void client_append_line(const struct command_context *ctx, const struct client *client,
                               struct buffer *line) {
    int64_t now_ms = ctx->node->now_ms;
    size_t pending = client->out.size - client->out_start;
    bool is_long = pending > OUTPUT_STATIC_BYTES;
    size_t args_bytes = client->blocked != NULL ? client->blocked->bytes : 0;
    args_bytes += client->migration != NULL ? migration_bytes(client->migration) : 0;
    if (client == ctx->client) {
        for (size_t i = 0; i < ctx->args_count; i++) {
            args_bytes += ctx->args[i].size;
        }
    }
    buffer_printf(line, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=",
                  (unsigned long long)client->id, client->address, client->local_address,
                  client->descriptor, text_or_empty(client->name),
                  (long long)(now_ms - client->created_ms) / 1000,
                  (long long)(now_ms - client->active_ms) / 1000);
    client_append_flags(client, line);
    static const uint64_t NONE[PUBSUB_KINDS];
    const uint64_t *counts = client->subscriber != NULL ? client->subscriber->count : NONE;
    buffer_printf(
        line, " db=%u sub=%llu psub=%llu ssub=%llu multi=%lld", client->db,
        (unsigned long long)counts[PUBSUB_CHANNEL], (unsigned long long)counts[PUBSUB_PATTERN],
        (unsigned long long)counts[PUBSUB_SHARD_CHANNEL],
        (client->flags & CLIENT_IN_TRANSACTION) != 0 ? (long long)client->queue_count : -1LL);
    /* Of a request that is still coming in, what is understood counts as arguments. */
    size_t understood = client->parser.position;
    buffer_printf(line, " qbuf=%zu qbuf-free=%zu argv-mem=%zu multi-mem=%zu",
                  client->in.size - client->in_used - understood,
                  client->in.capacity - client->in.size, args_bytes + understood,
                  client->queue_bytes);
    /* Redis counts replies in a fixed buffer first, then in a list of blocks. */
    buffer_printf(line, " rbs=%zu rbp=%zu obl=%zu oll=%zu omem=%zu tot-mem=%zu",
                  client->out.capacity, client->out.capacity, is_long ? 0 : pending,
                  is_long ? (pending + OUTPUT_STATIC_BYTES - 1) / OUTPUT_STATIC_BYTES : 0,
                  is_long ? pending : 0, client_memory_bytes(client));
    buffer_printf(line, " events=%s cmd=", client != ctx->client && pending > 0 ? "rw" : "r");
    if (client->last_row != NULL) {
        command_table_full_name(client->last_row, line);
    } else {
        buffer_append_slice(line, SLICE("NULL"));
    }
    buffer_printf(line, " user=%s redir=-1 resp=%u lib-name=%s lib-ver=%s\n",
                  (client->flags & CLIENT_AUTHENTICATED) != 0 ? "default" : "(superuser)",
                  client->reply.protocol, text_or_empty(client->library_name),
                  text_or_empty(client->library_version));
}

/* Kinds of clients, as TYPE names them. There are no masters or replicas so far. */
enum client_type { CLIENT_TYPE_NORMAL, CLIENT_TYPE_PUBSUB, CLIENT_TYPE_OTHER };

static enum client_type client_type_of(const struct client *client) {
    return (client->flags & CLIENT_PUBSUB) != 0 ? CLIENT_TYPE_PUBSUB : CLIENT_TYPE_NORMAL;
}

/* Reads a type; writes an error and returns false when it is none. */
static bool client_parse_type(struct command_context *ctx, size_t index, enum client_type *type) {
    if (command_word(ctx, index, "normal")) {
        *type = CLIENT_TYPE_NORMAL;
    } else if (command_word(ctx, index, "pubsub")) {
        *type = CLIENT_TYPE_PUBSUB;
    } else if (command_word(ctx, index, "master") || command_word(ctx, index, "replica") ||
               command_word(ctx, index, "slave")) {
        *type = CLIENT_TYPE_OTHER;
    } else {
        reply_errorf(ctx->reply, "ERR Unknown client type '%.*s'", shown_size(ctx->args[index]),
                     ctx->args[index].data);
        return false;
    }
    return true;
}

/* The client with this id, unless it is closed already, or NULL. */
static struct client *client_find(const struct node *node, uint64_t id) {
    for (struct client *client = node->clients; client != NULL; client = client->next) {
        if (client->id == id) {
            return (client->flags & CLIENT_CLOSE_NOW) == 0 ? client : NULL;
        }
    }
    return NULL;
}

static bool client_list_ids(struct command_context *ctx, struct buffer *text) {
    for (size_t i = 3; i < ctx->args_count; i++) {
        int64_t id;
        if (!command_integer(ctx, i, &id, "ERR Invalid client ID")) {
            return false;
        }
        const struct client *client = client_find(ctx->node, (uint64_t)id);
        if (client != NULL) {
            client_append_line(ctx, client, text);
        }
    }
    return true;
}

/* CLIENT LIST [TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id [client-id ...]] */
static void cmd_client_list(struct command_context *ctx) {
    enum client_type type = CLIENT_TYPE_NORMAL;
    struct buffer text = {0};
    bool is_valid = true, has_type = false;
    bool has_ids = ctx->args_count > 3 && command_word(ctx, 2, "id");
    if (has_ids) {
        is_valid = client_list_ids(ctx, &text);
    } else if (ctx->args_count == 4 && command_word(ctx, 2, "type")) {
        is_valid = client_parse_type(ctx, 3, &type);
        has_type = true;
    } else if (ctx->args_count != 2) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        is_valid = false;
    }
    if (is_valid && !has_ids) {
        for (const struct client *client = ctx->node->clients; client != NULL;
             client = client->next) {
            if ((client->flags & CLIENT_CLOSE_NOW) == 0 &&
                (!has_type || client_type_of(client) == type)) {
                client_append_line(ctx, client, &text);
            }
        }
    }
    if (is_valid) {
        reply_verbatim(ctx->reply, "txt", buffer_slice(&text));
    }
    buffer_deinit(&text);
}

/* CLIENT INFO */
static void cmd_client_info(struct command_context *ctx) {
    struct buffer text = {0};
    client_append_line(ctx, ctx->client, &text);
    reply_verbatim(ctx->reply, "txt", buffer_slice(&text));
    buffer_deinit(&text);
}

/* ---- about the connection itself ---- */

/* CLIENT ID */
static void cmd_client_id(struct command_context *ctx) {
    reply_integer(ctx->reply, (int64_t)ctx->client->id);
}

/* CLIENT GETNAME */
static void cmd_client_getname(struct command_context *ctx) {
    if (ctx->client->name == NULL) {
        reply_null(ctx->reply);
    } else {
        reply_bulk_text(ctx->reply, ctx->client->name);
    }
}

/* CLIENT SETNAME connection-name */
static void cmd_client_setname(struct command_context *ctx) {
    if (connection_set_name(ctx, ctx->args[2])) {
        reply_ok(ctx->reply);
    }
}

/* CLIENT SETINFO LIB-NAME libname | LIB-VER libver */
static void cmd_client_setinfo(struct command_context *ctx) {
    bool is_name = command_word(ctx, 2, "lib-name");
    if (!is_name && !command_word(ctx, 2, "lib-ver")) {
        reply_errorf(ctx->reply, "ERR Unrecognized option '%.*s'", shown_size(ctx->args[2]),
                     ctx->args[2].data);
        return;
    }
    if (!connection_is_printable(ctx->args[3])) {
        reply_errorf(ctx->reply, "ERR %s cannot contain spaces, newlines or special characters.",
                     is_name ? "lib-name" : "lib-ver");
        return;
    }
    struct client *client = ctx->client;
    connection_set_text(is_name ? &client->library_name : &client->library_version, ctx->args[3]);
    reply_ok(ctx->reply);
}

/* CLIENT REPLY ON | OFF | SKIP: the turn drops the replies by these flags. */
static void cmd_client_reply(struct command_context *ctx) {
    uint32_t *flags = &ctx->client->flags;
    if (command_word(ctx, 2, "on")) {
        *flags &= ~(uint32_t)(CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP);
        reply_ok(ctx->reply);
    } else if (command_word(ctx, 2, "off")) {
        *flags |= CLIENT_REPLY_OFF;
    } else if (command_word(ctx, 2, "skip")) {
        *flags |= (*flags & CLIENT_REPLY_OFF) == 0 ? (uint32_t)CLIENT_REPLY_SKIP_NEXT : 0;
    } else {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
    }
}

static void client_switch(struct command_context *ctx, uint32_t flag) {
    if (command_word(ctx, 2, "on")) {
        ctx->client->flags |= flag;
    } else if (command_word(ctx, 2, "off")) {
        ctx->client->flags &= ~flag;
    } else {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    reply_ok(ctx->reply);
}

/* CLIENT NO-EVICT ON | OFF */
static void cmd_client_no_evict(struct command_context *ctx) {
    client_switch(ctx, CLIENT_NO_EVICT);
}

/* CLIENT NO-TOUCH ON | OFF */
static void cmd_client_no_touch(struct command_context *ctx) {
    client_switch(ctx, CLIENT_NO_TOUCH);
}

/* ---- tracking: there is none yet ---- */

/* CLIENT GETREDIR */
static void cmd_client_getredir(struct command_context *ctx) {
    reply_integer(ctx->reply, -1);
}

/* CLIENT TRACKINGINFO */
static void cmd_client_trackinginfo(struct command_context *ctx) {
    reply_map(ctx->reply, 3);
    reply_bulk_text(ctx->reply, "flags");
    reply_set(ctx->reply, 1);
    reply_bulk_text(ctx->reply, "off");
    reply_bulk_text(ctx->reply, "redirect");
    reply_integer(ctx->reply, -1);
    reply_bulk_text(ctx->reply, "prefixes");
    reply_array(ctx->reply, 0);
}

/* CLIENT CACHING YES | NO */
static void cmd_client_caching(struct command_context *ctx) {
    reply_error(ctx->reply, "ERR CLIENT CACHING can be called only when the client is in tracking "
                            "mode with OPTIN or OPTOUT mode enabled");
}

/* CLIENT TRACKING ON | OFF [REDIRECT client-id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT]
 * [NOLOOP] */
static void cmd_client_tracking(struct command_context *ctx) {
    for (size_t i = 3; i < ctx->args_count; i++) {
        bool has_value = i + 1 < ctx->args_count;
        if (has_value && (command_word(ctx, i, "redirect") || command_word(ctx, i, "prefix"))) {
            i++;
        } else if (!command_word(ctx, i, "bcast") && !command_word(ctx, i, "optin") &&
                   !command_word(ctx, i, "optout") && !command_word(ctx, i, "noloop")) {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return;
        }
    }
    if (command_word(ctx, 2, "on")) {
        reply_error(ctx->reply, "ERR CLIENT TRACKING ON is not supported by this server");
    } else if (command_word(ctx, 2, "off")) {
        reply_ok(ctx->reply);
    } else {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
    }
}

/* ---- CLIENT KILL ---- */

struct kill_filter {
    uint64_t id; /* 0: any */
    bool has_type;
    enum client_type type;
    struct slice address, local_address; /* NULL data: any */
    int64_t age_seconds_min;             /* 0: any */
    bool skips_me;
};

static bool kill_filter_matches(const struct kill_filter *filter, const struct client *client) {
    if (filter->id != 0 && client->id != filter->id) {
        return false;
    }
    if (filter->has_type && filter->type != client_type_of(client)) {
        return false;
    }
    if (filter->address.data != NULL && !slice_equal(slice_of(client->address), filter->address)) {
        return false;
    }
    if (filter->age_seconds_min != 0 &&
        (client->node->now_ms - client->created_ms) / 1000 < filter->age_seconds_min) {
        return false;
    }
    return filter->local_address.data == NULL ||
           slice_equal(slice_of(client->local_address), filter->local_address);
}

/* Reads one filter and its value; writes an error and returns false when it makes no sense. */
static bool kill_parse_filter(struct command_context *ctx, size_t index,
                              struct kill_filter *filter) {
    size_t value = index + 1;
    if (value >= ctx->args_count) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    if (command_word(ctx, index, "id")) {
        static const char ID_ERROR[] = "ERR client-id should be greater than 0";
        int64_t id;
        if (!command_integer(ctx, value, &id, ID_ERROR)) {
            return false;
        }
        if (id < 1) {
            reply_error(ctx->reply, ID_ERROR);
            return false;
        }
        filter->id = (uint64_t)id;
    } else if (command_word(ctx, index, "type")) {
        filter->has_type = true;
        return client_parse_type(ctx, value, &filter->type);
    } else if (command_word(ctx, index, "addr")) {
        filter->address = ctx->args[value];
    } else if (command_word(ctx, index, "laddr")) {
        filter->local_address = ctx->args[value];
    } else if (command_word(ctx, index, "user")) {
        if (!slice_equal(ctx->args[value], SLICE("default"))) {
            reply_errorf(ctx->reply, "ERR No such user '%.*s'", shown_size(ctx->args[value]),
                         ctx->args[value].data);
            return false;
        }
    } else if (command_word(ctx, index, "maxage")) {
        if (!command_integer(ctx, value, &filter->age_seconds_min,
                             "ERR maxage is not an integer or out of range")) {
            return false;
        }
        if (filter->age_seconds_min < 1) {
            reply_error(ctx->reply, "ERR maxage should be greater than 0");
            return false;
        }
    } else if (command_word(ctx, index, "skipme") && command_word(ctx, value, "yes")) {
        filter->skips_me = true;
    } else if (command_word(ctx, index, "skipme") && command_word(ctx, value, "no")) {
        filter->skips_me = false;
    } else {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    return true;
}

/* CLIENT KILL address | filter value [filter value ...]: the old form tells whether there was such
 * a client, and may end its own; the new one counts. */
static void cmd_client_kill(struct command_context *ctx) {
    bool is_old = ctx->args_count == 3;
    struct kill_filter filter = {.skips_me = !is_old};
    if (is_old) {
        filter.address = ctx->args[2];
    }
    for (size_t i = 2; !is_old && i < ctx->args_count; i += 2) {
        if (!kill_parse_filter(ctx, i, &filter)) {
            return;
        }
    }
    int64_t killed = 0;
    for (struct client *client = ctx->node->clients; client != NULL; client = client->next) {
        if ((client->flags & CLIENT_CLOSE_NOW) != 0 || !kill_filter_matches(&filter, client) ||
            (filter.skips_me && client == ctx->client)) {
            continue;
        }
        bool is_self = client == ctx->client;
        if (!is_self) {
            publish_forget_client(client); /* from now on it counts as no subscriber */
        }
        node_client_close(client, is_self);
        killed++;
    }
    if (!is_old) {
        reply_integer(ctx->reply, killed);
    } else if (killed > 0) {
        reply_ok(ctx->reply);
    } else {
        reply_error(ctx->reply, "ERR No such client");
    }
}

/* ---- CLIENT PAUSE, UNPAUSE, UNBLOCK ---- */

/* CLIENT PAUSE timeout [WRITE | ALL]: a pause under way is never shortened nor weakened. */
static void cmd_client_pause(struct command_context *ctx) {
    struct node *node = ctx->node;
    bool is_all = true;
    int64_t timeout_ms;
    if (ctx->args_count > 4) {
        client_reply_too_many(ctx);
        return;
    }
    if (ctx->args_count == 4) {
        is_all = command_word(ctx, 3, "all");
        if (!is_all && !command_word(ctx, 3, "write")) {
            reply_error(ctx->reply, "ERR CLIENT PAUSE mode must be WRITE or ALL");
            return;
        }
    }
    if (!command_integer(ctx, 2, &timeout_ms, "ERR timeout is not an integer or out of range")) {
        return;
    }
    if (timeout_ms < 0) {
        reply_error(ctx->reply, "ERR timeout is negative");
        return;
    }
    if (timeout_ms > INT64_MAX - node->now_ms) {
        reply_error(ctx->reply, "ERR timeout is out of range");
        return;
    }
    bool is_paused = node->pause_until_ms > node->now_ms;
    node->pause_all = is_all || (is_paused && node->pause_all);
    if (node->now_ms + timeout_ms > node->pause_until_ms) {
        node->pause_until_ms = node->now_ms + timeout_ms;
    }
    /* Keys stay as they are during a pause: neither expiry nor eviction writes. */
    node->store.expiry_is_paused = true;
    reply_ok(ctx->reply);
}

/* CLIENT UNPAUSE */
static void cmd_client_unpause(struct command_context *ctx) {
    node_end_pause(ctx->node);
    reply_ok(ctx->reply);
}

/* CLIENT UNBLOCK client-id [TIMEOUT | ERROR] */
static void cmd_client_unblock(struct command_context *ctx) {
    bool has_error = false;
    int64_t id;
    if (ctx->args_count > 4) {
        client_reply_too_many(ctx);
        return;
    }
    if (ctx->args_count == 4) {
        has_error = command_word(ctx, 3, "error");
        if (!has_error && !command_word(ctx, 3, "timeout")) {
            reply_error(ctx->reply, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
            return;
        }
    }
    if (!command_integer(ctx, 2, &id, NULL)) {
        return;
    }
    struct client *client = client_find(ctx->node, (uint64_t)id);
    /* What a transfer has begun cannot be taken back, and it has a time limit of its own. */
    if (client == NULL || (client->flags & CLIENT_BLOCKED) == 0 ||
        client->wait == CLIENT_WAIT_MIGRATION) {
        reply_integer(ctx->reply, 0);
        return;
    }
    static const char ERROR[] = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    if (has_error && client->wait == CLIENT_WAIT_KEYS) {
        blocking_end(client, ERROR);
    } else if (has_error) {
        reply_error(&client->reply, ERROR);
    } else {
        cmd_server_wait_timeout(client);
    }
    node_client_unblock(client);
    reply_integer(ctx->reply, 1);
}

/* CLIENT HELP */
static void cmd_client_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "CACHING (YES|NO)",
        "    Turn tracking of the next command's keys on or off (OPTIN, OPTOUT).",
        "GETNAME",
        "    Return this connection's name.",
        "GETREDIR",
        "    Return the id of the client that gets this one's invalidations.",
        "ID",
        "    Return this connection's id.",
        "INFO",
        "    Return facts about this connection.",
        "KILL <ip:port>",
        "    Close the connection from <ip:port>.",
        "KILL <filter> <value> [<filter> <value> [...]]",
        "    Close all connections that match every filter:",
        "    * ADDR (<ip:port>|<unixsocket>:0): of this address.",
        "    * LADDR (<ip:port>|<unixsocket>:0): connected to this local address.",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB): of this type.",
        "    * USER <username>: of this user.",
        "    * SKIPME (YES|NO): leave out this connection (default: yes).",
        "    * ID <client-id>: with this id.",
        "    * MAXAGE <seconds>: at least this old.",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> [...]]",
        "    Return facts about connections, all or those named.",
        "NO-EVICT (ON|OFF)",
        "    Keep this connection open when clients take too much memory.",
        "NO-TOUCH (ON|OFF)",
        "    Let this connection's commands leave keys' access times alone.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Hold back all commands, or those that write, for <timeout> milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Turn replies to this connection on or off, or leave out the next one.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Tell which client library this is, and its version.",
        "SETNAME <name>",
        "    Give this connection a name.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
        "         [OPTIN] [OPTOUT] [NOLOOP]",
        "    Turn client-side caching on or off.",
        "TRACKINGINFO",
        "    Return how client-side caching is set up.",
        "UNBLOCK <client-id> [TIMEOUT|ERROR]",
        "    End the blocking command of a client, as if its time were over or by an error.",
        "UNPAUSE",
        "    End a pause.",
    };
    HELP_REPLY(ctx, LINES);
}

/* ---- rows ---- */

#define SELF_FLAGS (CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE)
#define OTHERS_FLAGS (CMD_ADMIN | CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE)

/* The facts that all subcommands share. */
#define CLIENT_ROW(word, function)                                                                 \
    .name = (word), .parent = "client", .handler = (function), .categories = CATEGORY_CONNECTION,  \
    .group = "connection"

static const struct command client_rows[] = {
    {.name = "client",
     .arity = -2,
     .group = "connection",
     .since = "2.4.0",
     .cost = "Depends on subcommand.",
     .syntax = "",
     .summary = "A container for commands about connections."},
    {CLIENT_ROW("caching", cmd_client_caching), .arity = 3, .flags = SELF_FLAGS, .since = "6.0.0",
     .cost = "O(1)", .syntax = "<YES | NO>",
     .summary = "Says whether the next command's keys are tracked."},
    {CLIENT_ROW("getname", cmd_client_getname), .arity = 2, .flags = SELF_FLAGS, .since = "2.6.9",
     .cost = "O(1)", .syntax = "", .summary = "Returns the connection's name."},
    {CLIENT_ROW("getredir", cmd_client_getredir), .arity = 2, .flags = SELF_FLAGS, .since = "6.0.0",
     .cost = "O(1)", .syntax = "",
     .summary = "Returns who gets the connection's invalidation messages."},
    {CLIENT_ROW("help", cmd_client_help), .arity = 2, .flags = CMD_LOADING | CMD_STALE,
     .since = "5.0.0", .cost = "O(1)", .syntax = "", .summary = "Describes the subcommands."},
    {CLIENT_ROW("id", cmd_client_id), .arity = 2, .flags = SELF_FLAGS, .since = "5.0.0",
     .cost = "O(1)", .syntax = "", .summary = "Returns the connection's id."},
    {CLIENT_ROW("info", cmd_client_info), .arity = 2, .flags = SELF_FLAGS, .since = "6.2.0",
     .cost = "O(1)", .syntax = "", .summary = "Returns facts about the connection."},
    {CLIENT_ROW("kill", cmd_client_kill), .arity = -3, .flags = OTHERS_FLAGS, .since = "2.4.0",
     .cost = "O(N) where N is the number of client connections",
     .syntax = "<ip:port | <[ID client-id] | [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | "
               "[USER username] | [ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>] "
               "[[ID client-id] | [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | "
               "[USER username] | [ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>] ...]>>",
     .summary = "Closes connections."},
    {CLIENT_ROW("list", cmd_client_list), .arity = -2, .flags = OTHERS_FLAGS, .since = "2.4.0",
     .cost = "O(N) where N is the number of client connections",
     .syntax = "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
     .summary = "Returns facts about all connections, or some."},
    {CLIENT_ROW("no-evict", cmd_client_no_evict), .arity = 3, .flags = OTHERS_FLAGS,
     .since = "7.0.0", .cost = "O(1)", .syntax = "<ON | OFF>",
     .summary = "Keeps the connection open when clients take too much memory."},
    {CLIENT_ROW("no-touch", cmd_client_no_touch), .arity = 3, .flags = SELF_FLAGS, .since = "7.2.0",
     .cost = "O(1)", .syntax = "<ON | OFF>",
     .summary = "Lets the connection's commands leave access times alone."},
    {CLIENT_ROW("pause", cmd_client_pause), .arity = -3, .flags = OTHERS_FLAGS, .since = "3.0.0",
     .cost = "O(1)", .syntax = "timeout [WRITE | ALL]",
     .summary = "Holds commands back for a while."},
    {CLIENT_ROW("reply", cmd_client_reply), .arity = 3, .flags = SELF_FLAGS, .since = "3.2.0",
     .cost = "O(1)", .syntax = "<ON | OFF | SKIP>",
     .summary = "Says whether the server replies to the connection."},
    {CLIENT_ROW("setinfo", cmd_client_setinfo), .arity = 4, .flags = SELF_FLAGS, .since = "7.2.0",
     .cost = "O(1)", .syntax = "<LIB-NAME libname | LIB-VER libver>",
     .summary = "Says which client library is at the other end."},
    {CLIENT_ROW("setname", cmd_client_setname), .arity = 3, .flags = SELF_FLAGS, .since = "2.6.9",
     .cost = "O(1)", .syntax = "connection-name", .summary = "Names the connection."},
    {CLIENT_ROW("tracking", cmd_client_tracking), .arity = -3, .flags = SELF_FLAGS,
     .since = "6.0.0", .cost = "O(1). Some options may introduce additional complexity.",
     .syntax = "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] "
               "[OPTIN] [OPTOUT] [NOLOOP]",
     .summary = "Turns client-side caching on or off."},
    {CLIENT_ROW("trackinginfo", cmd_client_trackinginfo), .arity = 2, .flags = SELF_FLAGS,
     .since = "6.2.0", .cost = "O(1)", .syntax = "",
     .summary = "Returns how client-side caching is set up."},
    {CLIENT_ROW("unblock", cmd_client_unblock), .arity = -3, .flags = OTHERS_FLAGS,
     .since = "5.0.0", .cost = "O(log N) where N is the number of client connections",
     .syntax = "client-id [TIMEOUT | ERROR]",
     .summary = "Ends the blocking command of another client."},
    {CLIENT_ROW("unpause", cmd_client_unpause), .arity = 2, .flags = OTHERS_FLAGS, .since = "6.2.0",
     .cost = "O(N) Where N is the number of paused clients", .syntax = "",
     .summary = "Ends a pause."},
};

COMMAND_FAMILY(cmd_client_family, client_rows);
