/* SPDX-License-Identifier: BSD-3-Clause */
/* MESH: who the other nodes are, how they are doing, and waiting for them. */
#include <inttypes.h>

#include "log/log_stream.h"
#include "node/help.h"
#include "node/info.h"
#include "node/node_mesh.h"
#include "node/session_token.h"

enum {
    CHECK_TIMEOUT_MS = 5000,
    CONFLICTS_COUNT_DEFAULT = 10,
    HOST_BYTES_MAX = 255,
    ID_TEXT_BYTES = 2 * REPLICA_NODE_ID_BYTES,
};

/* ---- helpers ---- */

/* False after an error reply when there is no mesh. */
static bool mesh_is_on(struct command_context *ctx) {
    if (ctx->node->mesh != NULL) {
        return true;
    }
    reply_error(ctx->reply, "ERR This node is in no mesh: it was started without mesh-port and "
                            "mesh-seeds");
    return false;
}

static void reply_field_text(struct reply *reply, const char *name, const char *value) {
    reply_bulk_text(reply, name);
    reply_bulk_text(reply, value);
}

static void reply_field_integer(struct reply *reply, const char *name, int64_t value) {
    reply_bulk_text(reply, name);
    reply_integer(reply, value);
}

static void reply_node_id(struct reply *reply, const char *name,
                          const uint8_t id[REPLICA_NODE_ID_BYTES]) {
    char text[ID_TEXT_BYTES];
    bool is_known = false;
    for (size_t i = 0; i < REPLICA_NODE_ID_BYTES; i++) {
        text[2 * i] = "0123456789abcdef"[id[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[id[i] & 15];
        is_known |= id[i] != 0;
    }
    reply_bulk_text(reply, name);
    reply_bulk(reply, slice_make(text, is_known ? sizeof(text) : 0));
}

static bool read_node_id(struct slice text, uint8_t id[REPLICA_NODE_ID_BYTES]) {
    if (text.size != ID_TEXT_BYTES) {
        return false;
    }
    for (size_t i = 0; i < ID_TEXT_BYTES; i++) {
        char c = text.data[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return false;
        }
        id[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : id[i / 2] | digit);
    }
    return true;
}

/* ---- MESH NODES, INFO ---- */

static const char *state_name(enum mesh_state state) {
    switch (state) {
    case MESH_ALIVE:
        return "alive";
    case MESH_SUSPECT:
        return "suspect";
    case MESH_DEAD:
        return "dead";
    case MESH_LEFT:
        return "left";
    case MESH_JOINING:
        break;
    }
    return "joining";
}

static const char *link_name(enum mesh_link_state state) {
    switch (state) {
    case MESH_LINK_NONE:
        return "none";
    case MESH_LINK_DIALLING:
        return "dialling";
    case MESH_LINK_HANDSHAKE:
        return "handshake";
    case MESH_LINK_UP:
        return "up";
    case MESH_LINK_CUT:
        return "cut";
    case MESH_LINK_REFUSED:
        break;
    }
    return "refused";
}

struct nodes_reply {
    struct reply *reply;
    size_t count;
};

static void visit_node(void *udata, const struct mesh_node_info *info) {
    struct nodes_reply *nodes = (struct nodes_reply *)udata;
    struct reply *reply = nodes->reply;
    nodes->count++;
    reply_map(reply, 17);
    reply_node_id(reply, "id", info->node_id);
    reply_field_integer(reply, "self", info->is_self);
    reply_field_integer(reply, "generation", (int64_t)info->generation);
    reply_field_text(reply, "address", info->address);
    reply_field_text(reply, "version", info->version);
    reply_field_text(reply, "state", state_name(info->state));
    reply_bulk_text(reply, "phi");
    reply_double(reply, info->phi);
    reply_field_text(reply, "link", info->is_self ? "self" : link_name(info->link));
    reply_field_text(reply, "reason", mesh_reason_name(info->reason));
    reply_field_integer(reply, "clock-offset-ms", info->clock_offset_ms);
    reply_field_integer(reply, "round-trip-us", (int64_t)info->round_trip_us);
    reply_field_integer(reply, "lag-out-ms", (int64_t)info->lag_out_ms);
    reply_field_integer(reply, "lag-out-changes", info->lag_out_changes);
    reply_field_integer(reply, "lag-out-bytes", (int64_t)info->lag_out_bytes);
    reply_field_integer(reply, "lag-in-ms", (int64_t)info->lag_in_ms);
    reply_field_integer(reply, "lag-in-changes", info->lag_in_changes);
    reply_field_integer(reply, "last-heard-ms", info->last_heard_ms);
}

/* MESH NODES: this node, all that it knows, and addresses that were refused (without an id). */
static void cmd_mesh_nodes(struct command_context *ctx) {
    if (!mesh_is_on(ctx)) {
        return;
    }
    struct nodes_reply nodes = {.reply = ctx->reply};
    size_t begin = ctx->reply->out->size;
    mesh_visit_nodes(ctx->node->mesh, visit_node, &nodes);
    reply_deferred_array(ctx->reply, begin, nodes.count);
}

/* MESH INFO: the fields of INFO mesh as a map. */
static void cmd_mesh_info(struct command_context *ctx) {
    static const struct slice SECTION = {"mesh", 4};
    struct buffer text = {0};
    info_write(ctx->node, &SECTION, 1, &text);
    size_t begin = ctx->reply->out->size, count = 0;
    for (struct slice rest = buffer_slice(&text); rest.size > 0;) {
        const char *end = memchr(rest.data, '\n', rest.size);
        size_t size = end != NULL ? (size_t)(end - rest.data) : rest.size;
        struct slice line = slice_make(rest.data, size > 0 ? size - 1 : 0); /* ends in "\r\n" */
        const char *colon = line.size > 0 ? memchr(line.data, ':', line.size) : NULL;
        int64_t number;
        if (colon != NULL) {
            size_t name_size = (size_t)(colon - line.data);
            struct slice value = slice_skip(line, name_size + 1);
            reply_bulk(ctx->reply, slice_skip(slice_make(line.data, name_size), strlen("mesh_")));
            if (number_parse_integer(value, &number)) {
                reply_integer(ctx->reply, number);
            } else {
                reply_bulk(ctx->reply, value);
            }
            count++;
        }
        rest = slice_skip(rest, end != NULL ? size + 1 : size);
    }
    reply_deferred_map(ctx->reply, begin, count);
    buffer_deinit(&text);
}

/* ---- MESH MEET, LEAVE, FORGET ---- */

/* MESH MEET host port */
static void cmd_mesh_meet(struct command_context *ctx) {
    struct slice host = ctx->args[2];
    int64_t port;
    if (!mesh_is_on(ctx) || !command_integer(ctx, 3, &port, "ERR Invalid port")) {
        return;
    }
    if (port < 1 || port > 65535) {
        reply_error(ctx->reply, "ERR Invalid port");
        return;
    }
    bool is_bracketed = host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    bool is_ipv6 = !is_bracketed && host.size > 0 && memchr(host.data, ':', host.size) != NULL;
    if (host.size == 0 || host.size > HOST_BYTES_MAX ||
        memchr(host.data, '\0', host.size) != NULL || memchr(host.data, ' ', host.size) != NULL) {
        reply_error(ctx->reply, "ERR Invalid host");
        return;
    }
    struct buffer address = {0};
    buffer_printf(&address, is_ipv6 ? "[%.*s]:%d" : "%.*s:%d", (int)host.size, host.data,
                  (int)port);
    mesh_meet(ctx->node->mesh, buffer_text(&address));
    buffer_deinit(&address);
    reply_ok(ctx->reply);
}

static void mesh_block(struct command_context *ctx, enum client_wait wait, int64_t timeout_ms) {
    ctx->client->wait = wait;
    node_client_block(ctx->client, timeout_ms == 0 ? 0 : ctx->node->now_ms + timeout_ms);
}

/* MESH LEAVE: answers once all live peers have everything that this node wrote. */
static void cmd_mesh_leave(struct command_context *ctx) {
    struct node *node = ctx->node;
    if (!mesh_is_on(ctx)) {
        return;
    }
    store_end_unit(&node->store);
    log_collect(node->log);
    node_message(node, LOG_LEVEL_NOTICE, "Leaving the mesh, as asked by MESH LEAVE");
    if (mesh_leave(node->mesh)) {
        reply_ok(ctx->reply);
    } else {
        mesh_block(ctx, CLIENT_WAIT_LEAVE, 0);
    }
}

/* MESH FORGET id: of a node that lives, others would settle what it has not seen while it writes.
 * It is as durable as a write, and as little acknowledged where it cannot be. */
static void cmd_mesh_forget(struct command_context *ctx) {
    uint8_t id[REPLICA_NODE_ID_BYTES];
    if (!mesh_is_on(ctx)) {
        return;
    }
    struct buffer why = {0};
    if (node_write_is_denied(ctx->node, &why)) {
        reply_error(ctx->reply, buffer_text(&why));
    } else if (!read_node_id(ctx->args[2], id)) {
        reply_error(ctx->reply, "ERR Invalid node id: 32 hexadecimal digits are expected");
    } else if (!mesh_forget(ctx->node->mesh, id)) {
        reply_error(ctx->reply,
                    "ERR There is no such node, or it is alive: stop it first, and wait "
                    "until it is dead here");
    } else {
        node_message(ctx->node, LOG_LEVEL_NOTICE, "Node %.*s was forgotten by MESH FORGET",
                     ID_TEXT_BYTES, ctx->args[2].data);
        reply_ok(ctx->reply);
    }
    buffer_deinit(&why);
}

/* ---- MESH DIGEST, BACKLOG, CONFLICTS ---- */

/* MESH DIGEST: for each replica how far this node has seen it, and how far all have. */
static void cmd_mesh_digest(struct command_context *ctx) {
    if (!mesh_is_on(ctx)) {
        return;
    }
    const struct store *store = ctx->store;
    const struct replicas *replicas = &store->replicas;
    struct context frontier;
    mesh_frontier(ctx->node->mesh, &frontier);
    size_t begin = ctx->reply->out->size, count = 0;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (replicas->slots[slot].ref == 0) {
            continue;
        }
        uint64_t seen = store->context.stamps[slot], settled = frontier.stamps[slot];
        reply_map(ctx->reply, 7);
        reply_node_id(ctx->reply, "id", replicas->slots[slot].id.node);
        reply_field_integer(ctx->reply, "generation", (int64_t)replicas->slots[slot].id.generation);
        reply_field_integer(ctx->reply, "self", slot == replicas->self);
        reply_field_integer(ctx->reply, "seen-ticks", (int64_t)stamp_ticks(seen));
        reply_field_integer(ctx->reply, "seen-ms", seen != 0 ? stamp_unix_ms(seen) : 0);
        reply_field_integer(ctx->reply, "settled-ticks", (int64_t)stamp_ticks(settled));
        reply_field_integer(ctx->reply, "settled-ms", settled != 0 ? stamp_unix_ms(settled) : 0);
        count++;
    }
    reply_deferred_array(ctx->reply, begin, count);
}

/* MESH BACKLOG: the part of the log that is kept in memory for peers. */
static void cmd_mesh_backlog(struct command_context *ctx) {
    if (!mesh_is_on(ctx)) {
        return;
    }
    struct log_ring_stats stats;
    log_get_ring_stats(ctx->node->log, &stats);
    reply_map(ctx->reply, 6);
    reply_field_integer(ctx->reply, "bytes", (int64_t)stats.bytes);
    reply_field_integer(ctx->reply, "bytes-max", (int64_t)stats.bytes_max);
    reply_field_integer(ctx->reply, "records", (int64_t)stats.records_count);
    reply_field_integer(ctx->reply, "streams", (int64_t)stats.streams_count);
    reply_field_integer(ctx->reply, "disk-reads", (int64_t)stats.disk_reads);
    reply_field_integer(ctx->reply, "oldest-ms", stats.oldest_unix_ms);
}

static const char *conflict_name(enum store_conflict kind) {
    switch (kind) {
    case STORE_CONFLICT_VALUE:
        return "value";
    case STORE_CONFLICT_NUMBER:
        return "number";
    case STORE_CONFLICT_TYPE:
        return "type";
    case STORE_CONFLICT_SWAP:
        break;
    }
    return "swapdb";
}

/* MESH CONFLICTS [COUNT n]: newest first. */
static void cmd_mesh_conflicts(struct command_context *ctx) {
    int64_t wanted = CONFLICTS_COUNT_DEFAULT;
    const struct node *node = ctx->node;
    if (ctx->args_count != 2 && (ctx->args_count != 4 || !command_word(ctx, 2, "count"))) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if (ctx->args_count == 4 && !command_integer(ctx, 3, &wanted, NULL)) {
        return;
    }
    if (wanted < 0) {
        reply_error(ctx->reply, "ERR COUNT must not be negative");
        return;
    }
    if (!mesh_is_on(ctx)) {
        return;
    }
    size_t count = node_mesh_conflicts_count(node);
    count = (uint64_t)wanted < count ? (size_t)wanted : count;
    reply_array(ctx->reply, count);
    for (size_t i = 0; i < count; i++) {
        const struct node_conflict *conflict = node_mesh_conflict(node, i);
        size_t size = conflict->key_bytes < sizeof(conflict->key) ? conflict->key_bytes
                                                                  : sizeof(conflict->key);
        reply_map(ctx->reply, 8);
        reply_field_integer(ctx->reply, "time-ms", conflict->unix_ms);
        reply_field_integer(ctx->reply, "db", conflict->db);
        reply_bulk_text(ctx->reply, "key");
        reply_bulk(ctx->reply, slice_make(conflict->key, size));
        reply_field_text(ctx->reply, "kind", conflict_name(conflict->kind));
        reply_node_id(ctx->reply, "winner", conflict->winner_id.node);
        reply_field_integer(ctx->reply, "winner-ms", stamp_unix_ms(conflict->winner));
        reply_node_id(ctx->reply, "loser", conflict->loser_id.node);
        reply_field_integer(ctx->reply, "loser-ms", stamp_unix_ms(conflict->loser));
    }
}

/* ---- MESH TOKEN, WAITTOKEN, CHECK ---- */

/* MESH TOKEN */
static void cmd_mesh_token(struct command_context *ctx) {
    struct buffer text = {0};
    if (!mesh_is_on(ctx)) {
        return;
    }
    session_token_write(ctx->store, &text);
    reply_bulk(ctx->reply, buffer_slice(&text));
    buffer_deinit(&text);
}

/* MESH WAITTOKEN token milliseconds: 1 once this node has seen all of it, 0 when the time is over
 * (0: never). */
static void cmd_mesh_waittoken(struct command_context *ctx) {
    static const char RANGE_ERROR[] = "ERR timeout is not an integer or out of range";
    int64_t timeout_ms;
    if (!mesh_is_on(ctx) || !command_integer(ctx, 3, &timeout_ms, RANGE_ERROR)) {
        return;
    }
    if (timeout_ms < 0 || timeout_ms > INT64_MAX - ctx->node->now_ms) {
        reply_error(ctx->reply,
                    timeout_ms < 0 ? "ERR timeout is negative" : "ERR timeout is out of range");
        return;
    }
    struct session_token *token = session_token_read(ctx->args[2]);
    if (token == NULL) {
        reply_error(ctx->reply, "ERR Invalid token");
        return;
    }
    bool is_covered = session_token_is_covered(token, ctx->store);
    if (is_covered || ctx->in_transaction) {
        session_token_free(token);
        reply_integer(ctx->reply, is_covered);
        return;
    }
    ctx->client->wait_token = token;
    mesh_block(ctx, CLIENT_WAIT_TOKEN, timeout_ms);
}

/* MESH CHECK: compares the data with those of all linked peers, range by range. */
static void cmd_mesh_check(struct command_context *ctx) {
    if (!mesh_is_on(ctx)) {
        return;
    }
    for (const struct client *client = ctx->node->clients; client != NULL; client = client->next) {
        if ((client->flags & CLIENT_BLOCKED) != 0 && client->wait == CLIENT_WAIT_CHECK) {
            reply_error(ctx->reply, "ERR A check is under way for another client");
            return;
        }
    }
    store_end_unit(ctx->store);
    mesh_check_begin(ctx->node->mesh);
    mesh_block(ctx, CLIENT_WAIT_CHECK, 0);
}

static bool reply_check(struct client *client, uint64_t timeout_ms) {
    struct buffer lines = {0};
    bool is_done = mesh_check_done(client->node->mesh, timeout_ms, &lines);
    if (is_done) {
        reply_verbatim(&client->reply, "txt", buffer_slice(&lines));
    }
    buffer_deinit(&lines);
    return is_done;
}

bool cmd_mesh_wait_is_over(struct client *client) {
    struct node *node = client->node;
    switch (client->wait) {
    case CLIENT_WAIT_TOKEN:
        return session_token_is_covered(client->wait_token, &node->store);
    case CLIENT_WAIT_LEAVE:
        return mesh_leave(node->mesh);
    case CLIENT_WAIT_CHECK:
        /* It has a time limit of its own, and its reply comes with its end. */
        client->wait_is_replied = reply_check(client, CHECK_TIMEOUT_MS);
        return client->wait_is_replied;
    case CLIENT_WAIT_PEERS:
    case CLIENT_WAIT_LOG:
    case CLIENT_WAIT_SHUTDOWN:
    case CLIENT_WAIT_KEYS:
    case CLIENT_WAIT_MIGRATION:
        break;
    }
    impossible("waits for something else");
}

void cmd_mesh_wait_end(struct client *client) {
    switch (client->wait) {
    case CLIENT_WAIT_TOKEN:
        reply_integer(&client->reply,
                      session_token_is_covered(client->wait_token, &client->node->store));
        return;
    case CLIENT_WAIT_LEAVE:
        if (mesh_leave(client->node->mesh)) {
            reply_ok(&client->reply);
        } else {
            reply_error(&client->reply, "ERR Not all peers have acknowledged all changes yet");
        }
        return;
    case CLIENT_WAIT_CHECK:
        if (!client->wait_is_replied && !reply_check(client, 0)) {
            reply_error(&client->reply, "ERR The check is not through");
        }
        client->wait_is_replied = false;
        return;
    case CLIENT_WAIT_PEERS:
    case CLIENT_WAIT_LOG:
    case CLIENT_WAIT_SHUTDOWN:
    case CLIENT_WAIT_KEYS:
    case CLIENT_WAIT_MIGRATION:
        break;
    }
    impossible("waits for something else");
}

/* ---- the table ---- */

/* MESH HELP */
static void cmd_mesh_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "NODES",
        "    Show this node and all that it knows: state, link, lag, clock.",
        "INFO",
        "    Show the figures of INFO mesh.",
        "MEET <host> <port>",
        "    Connect with the node whose mesh-port that is.",
        "LEAVE",
        "    Leave the mesh, once the others have all that was written here.",
        "FORGET <id>",
        "    Keep nothing for that node any more; it has to be dead, or left.",
        "DIGEST",
        "    Show how far each replica was seen here, and by all.",
        "BACKLOG",
        "    Show the part of the log that is kept in memory for others.",
        "CONFLICTS [COUNT <count>]",
        "    Show the newest <count> conflicts (10 by default) that were resolved.",
        "TOKEN",
        "    Return a token of what this node has seen.",
        "WAITTOKEN <token> <milliseconds>",
        "    Wait until this node has seen all of a token: 1; 0 when the time is over (0: never).",
        "CHECK",
        "    Compare the data with those of all linked nodes.",
    };
    HELP_REPLY(ctx, LINES);
}

#define MESH_ROW                                                                                   \
    .parent = "mesh",                                                                              \
    .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE | CMD_NEEDS_START,                \
    .group = "mesh", .since = "0.2.0"
#define MESH_ROW_FOR_ALL .parent = "mesh", .group = "mesh", .since = "0.2.0"

static const struct command cmd_mesh_rows[] = {
    {.name = "mesh",
     .arity = -2,
     .group = "mesh",
     .since = "0.2.0",
     .cost = "Depends on subcommand.",
     .summary = "A container for commands about the mesh of nodes."},
    {MESH_ROW, .name = "nodes", .handler = cmd_mesh_nodes, .arity = 2,
     .cost = "O(N) where N is the number of nodes", .summary = "Lists the nodes of the mesh."},
    {MESH_ROW, .name = "info", .handler = cmd_mesh_info, .arity = 2, .cost = "O(1)",
     .summary = "Returns the figures of the mesh."},
    {MESH_ROW, .name = "meet", .handler = cmd_mesh_meet, .arity = 4, .cost = "O(1)",
     .syntax = "host port", .summary = "Connects with another node."},
    {.parent = "mesh",
     .group = "mesh",
     .since = "0.2.0",
     .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_NO_MULTI | CMD_BLOCKING,
     .name = "leave",
     .handler = cmd_mesh_leave,
     .arity = 2,
     .cost = "O(1)",
     .summary = "Leaves the mesh once the others have all that was written here."},
    {MESH_ROW, .name = "forget", .handler = cmd_mesh_forget, .arity = 3, .cost = "O(1)",
     .syntax = "id", .summary = "Forgets a node that will not come back."},
    {MESH_ROW, .name = "digest", .handler = cmd_mesh_digest, .arity = 2,
     .cost = "O(N) where N is the number of replicas",
     .summary = "Tells how far each replica was seen here, and by all."},
    {MESH_ROW, .name = "backlog", .handler = cmd_mesh_backlog, .arity = 2, .cost = "O(1)",
     .summary = "Describes the part of the log that is kept in memory for others."},
    {MESH_ROW, .name = "conflicts", .handler = cmd_mesh_conflicts, .arity = -2,
     .cost = "O(N) where N is the number of conflicts returned", .syntax = "[COUNT count]",
     .summary = "Returns the newest conflicts that were resolved."},
    {MESH_ROW_FOR_ALL, .flags = CMD_FAST, .name = "token", .handler = cmd_mesh_token, .arity = 2,
     .cost = "O(N) where N is the number of replicas",
     .summary = "Returns a token of what this node has seen."},
    {MESH_ROW_FOR_ALL, .flags = CMD_BLOCKING | CMD_NO_SCRIPT, .name = "waittoken",
     .handler = cmd_mesh_waittoken, .arity = 4, .cost = "O(N) where N is the number of replicas",
     .syntax = "token milliseconds", .summary = "Waits until this node has seen all of a token."},
    {.parent = "mesh",
     .group = "mesh",
     .since = "0.2.0",
     .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_NO_MULTI | CMD_BLOCKING,
     .name = "check",
     .handler = cmd_mesh_check,
     .arity = 2,
     .cost = "O(N) where N is the number of keys",
     .summary = "Compares the data with those of all linked nodes."},
    {.name = "help",
     .parent = "mesh",
     .handler = cmd_mesh_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .group = "mesh",
     .since = "0.2.0",
     .cost = "O(1)",
     .summary = "Lists the subcommands."},
};

COMMAND_FAMILY(cmd_mesh_family, cmd_mesh_rows);
