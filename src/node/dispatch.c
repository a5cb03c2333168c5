/* SPDX-License-Identifier: BSD-3-Clause */
/* From arguments to a reply: all checks that a request has to pass, once for all commands, and the
 * accounting around the handler. */
#include <stdio.h>

#include "base/memory.h"
#include "log/log_stream.h"
#include "node/histogram.h"
#include "node/node_mesh.h"
#include "node/publish.h"
#include "node/transaction.h"

enum { UNKNOWN_ARGS_BYTES_MAX = 128 };

/* Into the path of every request, also where there is a second, rare caller. */
#define HOT_INLINE inline __attribute__((always_inline))

/* ---- refusals ---- */

static void count_error(struct node *node, struct slice line) {
    node->stats.total_error_replies++;
    size_t size = 0;
    while (size < line.size && line.data[size] != ' ' && line.data[size] != '\r') {
        size++;
    }
    struct error_stat *stat = NULL;
    for (unsigned i = 0; i < node->errors_count; i++) {
        if (strlen(node->errors[i].code) == size &&
            memcmp(node->errors[i].code, line.data, size) == 0) {
            stat = &node->errors[i];
        }
    }
    /* Codes come from our own tables, so a full list means a bug, not an attack. */
    if (stat == NULL && node->errors_count < ERROR_STATS_MAX && size < sizeof(stat->code)) {
        stat = &node->errors[node->errors_count++];
        memcpy(stat->code, line.data, size);
        stat->code[size] = '\0';
        stat->count = 0;
    }
    if (stat != NULL) {
        stat->count++;
    }
}

/* Counts the error replies written since there were `before`. */
static bool count_errors(struct node *node, struct client *client, unsigned before) {
    if (likely(client->reply.errors_count == before)) {
        return false;
    }
    client->errors_counted = client->reply.errors_count;
    const struct buffer *out = client->reply.out;
    count_error(node, slice_make(out->data + client->reply.error_offset + 1,
                                 out->size - client->reply.error_offset - 1));
    return true;
}

/* A refused EXEC ends its transaction; its error says so under a code of its own. */
static void refuse_exec(struct client *client) {
    struct buffer *out = client->reply.out;
    struct buffer why = {0};
    struct slice line = slice_make(out->data + client->reply.error_offset + 1,
                                   out->size - client->reply.error_offset - 3);
    size_t code_size = line.size >= 4 && memcmp(line.data, "ERR ", 4) == 0 ? 4 : 0;
    buffer_append(&why, line.data + code_size, line.size - code_size);
    out->size = client->reply.error_offset;
    client->reply.errors_count--;
    reply_errorf(&client->reply, "EXECABORT Transaction discarded because of: %s",
                 buffer_text(&why));
    buffer_deinit(&why);
    node_unwatch_all(client);
    client_discard_transaction(client);
}

/* After an error reply to a request that is not executed: a transaction under way is lost. `row` is
 * NULL for an unknown command. */
static void refuse(struct node *node, struct client *client, const struct command *row,
                   unsigned errors_before) {
    if (row != NULL && row->handler == cmd_exec) {
        refuse_exec(client);
    }
    (void)count_errors(node, client, errors_before);
    if (row != NULL) {
        node->command_stats[command_table_index(&node->commands, row)].rejected++;
    }
    if ((client->flags & CLIENT_IN_TRANSACTION) != 0) {
        client->flags |= CLIENT_TRANSACTION_FAILED;
    }
}

/* Whoever looks on was shown MULTI, and is shown how it ends. */
static void show_refused_exec(struct node *node, const struct client *client,
                              const struct command *row, const struct slice *args,
                              size_t args_count) {
    if (node->monitors_count > 0 && row != NULL && row->handler == cmd_exec) {
        node_feed_monitors(node, client, args, args_count);
    }
}

static void reply_unknown(struct client *client, const struct slice *args, size_t args_count) {
    struct buffer text = {0};
    for (size_t i = 1; i < args_count && text.size < UNKNOWN_ARGS_BYTES_MAX; i++) {
        size_t room = UNKNOWN_ARGS_BYTES_MAX - text.size;
        size_t size = args[i].size < room ? args[i].size : room;
        buffer_append_byte(&text, '\'');
        buffer_append(&text, args[i].data, size);
        buffer_append_slice(&text, SLICE("' "));
    }
    int name_size = args[0].size < 128 ? (int)args[0].size : 128;
    reply_errorf(&client->reply, "ERR unknown command '%.*s', with args beginning with: %s",
                 name_size, args[0].data, buffer_text(&text));
    buffer_deinit(&text);
}

static void reply_arity(struct client *client, const struct command *row) {
    struct buffer name = {0};
    command_table_full_name(row, &name);
    reply_errorf(&client->reply, "ERR wrong number of arguments for '%s' command",
                 buffer_text(&name));
    buffer_deinit(&name);
}

static bool arity_fits(const struct command *row, size_t args_count) {
    return row->arity >= 0 ? args_count == (size_t)row->arity : args_count >= (size_t)-row->arity;
}

/* A web page made a browser talk to us: its request's body must not be executed. */
static bool is_from_browser(struct slice name) {
    return slice_is_word(name, "post") || slice_is_word(name, "host:");
}

/* The row that the request means, down to the subcommand; NULL after an error reply, with
 * `*refused` the row whose arity does not fit. */
static const struct command *resolve(struct node *node, struct client *client,
                                     const struct command *row, const struct slice *args,
                                     size_t args_count, const struct command **refused) {
    if (row == NULL && is_from_browser(args[0])) {
        node_message(node, LOG_LEVEL_WARNING,
                     "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or "
                     "Host: commands. Connection from %s aborted.",
                     client->address);
        node_client_close(client, false);
        return NULL;
    }
    if (row == NULL) {
        reply_unknown(client, args, args_count);
        return NULL;
    }
    if (args_count >= 2 && (row->handler == NULL || row->arity < 0) && row->keys.first == 0 &&
        command_table_is_container(&node->commands, row)) {
        const struct command *sub = command_table_find_sub(&node->commands, row, args[1]);
        if (sub == NULL) {
            int size = args[1].size < 128 ? (int)args[1].size : 128;
            /* The name it was called by: it may be a new one. */
            char upper[128];
            size_t i = 0;
            for (; i < sizeof(upper) - 1 && i < args[0].size; i++) {
                char c = args[0].data[i];
                upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
            }
            upper[i] = '\0';
            reply_errorf(&client->reply, "ERR unknown subcommand '%.*s'. Try %s HELP.", size,
                         args[1].data, upper);
            return NULL;
        }
        row = sub;
    }
    if (!arity_fits(row, args_count)) {
        reply_arity(client, row);
        *refused = row;
        return NULL;
    }
    return row;
}

/* ---- memory ---- */

uint64_t node_memory_counted(const struct node *node) {
    uint64_t used = node->host.memory_used(node->host.udata);
    uint64_t excess = log_ring_excess_bytes(node->log);
    return used > excess ? used - excess : 0;
}

bool node_make_room(struct node *node) {
    uint64_t limit = (uint64_t)node->options->maxmemory;
    if (limit == 0 || node->pause_until_ms > node->now_ms || node_is_loading(node)) {
        return true;
    }
    uint64_t used = node_memory_counted(node);
    if (likely(used <= limit)) {
        return true;
    }
    uint64_t began_us = node->host.monotonic_us(node->host.udata);
    uint64_t evicted = 0;
    bool has_room = false;
    while (!has_room) {
        if (!store_evict(&node->store, &node->eviction_pool, node->eviction_policy,
                         (unsigned)node->options->maxmemory_samples)) {
            break;
        }
        used = node_memory_counted(node);
        has_room = used <= limit;
        /* Much to evict (maxmemory was lowered): the rest goes with the next commands, so that no
         * single one stops the server. */
        if (++evicted % 64 == 0 && !has_room &&
            node->host.monotonic_us(node->host.udata) - began_us > 2000) {
            has_room = true;
        }
    }
    uint64_t took_us = node->host.monotonic_us(node->host.udata) - began_us;
    node->stats.eviction_us += took_us;
    node_latency_add(node, "eviction-cycle", took_us);
    return has_room;
}

/* ---- checks ---- */

static bool may_write_now(const struct command *row, const struct client *client) {
    return (row->flags & CMD_WRITE) != 0 ||
           (row->handler == cmd_exec && (client->queue_flags & CMD_WRITE) != 0);
}

/* Would it reach replicas, if there were any, besides the writes? */
static bool may_replicate(const struct command *row) {
    return (row->flags & CMD_TOUCHES_ARBITRARY_KEYS) != 0 || strcmp(row->name, "pfcount") == 0 ||
           strcmp(row->name, "publish") == 0 || strcmp(row->name, "spublish") == 0;
}

/* Does CLIENT PAUSE hold the request back? */
static bool is_paused(const struct node *node, const struct client *client,
                      const struct command *row) {
    if (likely(node->pause_until_ms <= node->now_ms)) {
        return false;
    }
    return node->pause_all || may_write_now(row, client) || may_replicate(row);
}

static bool is_transaction_control(const struct command *row) {
    return row->handler == cmd_exec || row->handler == cmd_discard || row->handler == cmd_multi ||
           row->handler == cmd_watch ||
           (row->parent == NULL &&
            (strcmp(row->name, "quit") == 0 || strcmp(row->name, "reset") == 0));
}

/* May it be executed while the data are not there yet? */
static bool is_for_loading(const struct command *row, const struct client *client) {
    return (row->flags & CMD_LOADING) != 0 &&
           !(client->node->reading.is_on && (row->flags & CMD_NEEDS_START) != 0) &&
           !(row->handler == cmd_exec && client->queue_denies_loading);
}

/* Is there anything for which node_refuses_writes() has to be asked? */
static HOT_INLINE bool may_refuse_writes(const struct node *node) {
    const char *unused;
    return node->options->mesh_min_peers_to_write > 0 || log_is_failing(node->log, &unused) ||
           node->last_save_failed;
}

bool node_refuses_writes(struct node *node, struct buffer *why) {
    if (node->options->mesh_min_peers_to_write > 0 && node_mesh_lacks_quorum(node)) {
        buffer_printf(why, "NOQUORUM Not enough good peers to write.");
        return true;
    }
    return may_refuse_writes(node) && node_write_is_denied(node, why);
}

/* True after an error reply that refuses the request. */
static HOT_INLINE bool check_refuses(struct node *node, struct client *client,
                                     const struct command *row) {
    struct reply *reply = &client->reply;
    if ((client->flags & CLIENT_AUTHENTICATED) == 0 && (row->flags & CMD_NO_AUTH) == 0) {
        reply_error(reply, "NOAUTH Authentication required.");
        return true;
    }
    if ((client->flags & CLIENT_IN_TRANSACTION) != 0 && (row->flags & CMD_NO_MULTI) != 0) {
        reply_error(reply, "ERR Command not allowed inside a transaction");
        return true;
    }
    if (unlikely((client->flags & CLIENT_PUBSUB) != 0) && reply->protocol == 2 &&
        !publish_allows_command(row)) {
        struct buffer name = {0};
        command_table_full_name(row, &name);
        reply_errorf(reply,
                     "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT "
                     "/ RESET are allowed in this context",
                     buffer_text(&name));
        buffer_deinit(&name);
        return true;
    }
    if (unlikely((client->flags & CLIENT_MONITOR) != 0) &&
        ((row->flags & (CMD_READ | CMD_WRITE)) != 0 || may_replicate(row))) {
        reply_error(reply, "ERR Replica can't interact with the keyspace");
        return true;
    }
    bool writes = may_write_now(row, client);
    if (unlikely(node->mesh != NULL || node->reading.is_on) && node_is_loading(node) &&
        !is_for_loading(row, client)) {
        reply_error(reply, "LOADING Redis is loading the dataset in memory");
        return true;
    }
    if (node->options->maxmemory > 0) {
        bool has_room = node_make_room(node);
        /* What is queued takes memory, too, whatever it does later. */
        bool queues = (client->flags & CLIENT_IN_TRANSACTION) != 0 && !is_transaction_control(row);
        bool denies = queues || (row->flags & CMD_DENY_OOM) != 0 ||
                      (row->handler == cmd_exec && (client->queue_flags & CMD_DENY_OOM) != 0);
        if (!has_room && denies) {
            reply_error(reply, "OOM command not allowed when used memory > 'maxmemory'.");
            return true;
        }
    }
    if (writes && unlikely(may_refuse_writes(node))) {
        struct buffer why = {0};
        bool is_refused = node_refuses_writes(node, &why);
        if (is_refused) {
            reply_error(reply, buffer_text(&why));
        }
        buffer_deinit(&why);
        return is_refused;
    }
    return false;
}

/* Keys and values that no record could hold are refused before they are stored. */
static bool check_key_sizes(struct client *client, const struct command *row,
                            const struct slice *args, size_t args_count) {
    if ((row->flags & CMD_WRITE) == 0 || row->keys.first == 0) {
        return true;
    }
    for (size_t i = 1; i < args_count; i++) {
        if (unlikely(args[i].size > CHANGE_KEY_BYTES_MAX)) {
            int positions[64];
            int count = command_table_keys(row, args, args_count, positions, 64);
            for (int k = 0; k < count && k < 64; k++) {
                if (args[positions[k]].size > CHANGE_KEY_BYTES_MAX) {
                    reply_error(&client->reply, "ERR key is too long (maximum is 32 MiB)");
                    return false;
                }
            }
            return true;
        }
    }
    return true;
}

void node_dispatch(struct node *node, struct client *client, const struct slice *args,
                   size_t args_count, const struct command *row, uint64_t first_key_hash,
                   bool has_first_key_hash) {
    unsigned errors_before = client->reply.errors_count;
    const struct command *refused = NULL;
    const struct command *meant = resolve(node, client, row, args, args_count, &refused);
    client->last_row = meant != NULL ? meant : refused; /* whatever comes of it */
    if (unlikely(meant == NULL)) {
        refuse(node, client, refused, errors_before);
        show_refused_exec(node, client, refused, args, args_count);
        return;
    }
    if (unlikely(check_refuses(node, client, meant)) ||
        unlikely(!check_key_sizes(client, meant, args, args_count))) {
        refuse(node, client, meant, errors_before);
        show_refused_exec(node, client, meant, args, args_count);
        return;
    }
    if (unlikely((client->flags & CLIENT_IN_TRANSACTION) != 0) && !is_transaction_control(meant)) {
        if (unlikely(!transaction_queue(client, meant, args, args_count))) {
            reply_error(&client->reply, "OOM not enough memory for the request");
            refuse(node, client, meant, errors_before);
            return;
        }
        reply_simple(&client->reply, "QUEUED");
        return;
    }
    if (unlikely(is_paused(node, client, meant))) {
        client->flags |= CLIENT_PAUSED;
        node->paused_count++;
        return;
    }
    node_call(node, client, meant, args, args_count, first_key_hash, has_first_key_hash);
    store_end_unit(&node->store);
}

/* ---- the call ---- */

static void count_duration(struct node *node, struct client *client, const struct command *row,
                           const struct slice *args, size_t args_count, struct command_stats *stats,
                           uint64_t duration_us) {
    stats->duration_us += duration_us;
    if (node->options->latency_tracking) {
        if (unlikely(stats->histogram == NULL)) {
            stats->histogram = memory_alloc_zero(HISTOGRAM_BUCKETS * sizeof(uint64_t));
        }
        histogram_add(stats->histogram, duration_us);
    }
    int64_t slower_than = node->options->slowlog_log_slower_than;
    if (unlikely(slower_than >= 0 && duration_us >= (uint64_t)slower_than) &&
        (row->flags & CMD_SKIP_SLOWLOG) == 0) {
        slowlog_add(node, client, args, args_count, duration_us);
    }
    int64_t threshold_ms = node->options->latency_monitor_threshold;
    if (unlikely(threshold_ms > 0 && duration_us >= (uint64_t)threshold_ms * 1000)) {
        node_latency_add(node, (row->flags & CMD_FAST) != 0 ? "fast-command" : "command",
                         duration_us);
    }
}

static HOT_INLINE void count_call(struct node *node, struct client *client,
                                  const struct command *row, const struct slice *args,
                                  size_t args_count, uint64_t duration_us, unsigned errors_before) {
    struct command_stats *stats = &node->command_stats[command_table_index(&node->commands, row)];
    stats->calls++;
    node->stats.commands_processed++;
    client->commands_count++;
    /* Inside EXEC the errors of what it executed were counted as theirs. */
    if (unlikely(client->errors_counted > errors_before)) {
        errors_before = client->errors_counted;
    }
    if (unlikely(count_errors(node, client, errors_before))) {
        stats->failed++;
    }
    count_duration(node, client, row, args, args_count, stats, duration_us);
}

void node_count_call(struct node *node, struct client *client, const struct command *row,
                     const struct slice *args, size_t args_count, uint64_t duration_us,
                     unsigned errors_before) {
    count_call(node, client, row, args, args_count, duration_us, errors_before);
}

/* Parks the client, or lets it stay parked; false, after an error reply, when memory is out. */
static bool park(struct command_context *ctx, uint64_t duration_us) {
    if (ctx->client->migration != NULL) {
        migration_count_begin(ctx->client->migration, duration_us);
        return true;
    }
    if (ctx->client->blocked != NULL) {
        ctx->client->blocked->duration_us = duration_us;
        return true;
    }
    if (blocking_park(ctx, duration_us)) {
        return true;
    }
    reply_error(ctx->reply, "OOM not enough memory for the request");
    return false;
}

/* Calls the handler, and accounts the request unless it waits now. `earlier_us` is how long it took
 * before. */
static HOT_INLINE void call(struct command_context *ctx, uint64_t earlier_us) {
    struct node *node = ctx->node;
    struct client *client = ctx->client;
    const struct command *row = ctx->row;
    unsigned errors_before = client->reply.errors_count;
    node->store.no_touch =
        (client->flags & CLIENT_NO_TOUCH) != 0 && strcmp(row->name, "touch") != 0;
    uint64_t began_us = node->now_us;
    const uint64_t *own_stamp = &node->store.context.stamps[node->store.replicas.self];
    uint64_t stamp_before = *own_stamp;
    row->handler(ctx);
    if (*own_stamp != stamp_before) {
        client->write_stamp = *own_stamp;
    }
    /* Afterwards, so that EXEC comes after what it executed. */
    if (unlikely(node->monitors_count > 0) && (row->flags & (CMD_SKIP_MONITOR | CMD_ADMIN)) == 0 &&
        ctx->ready_key == NULL) {
        node_feed_monitors(node, client, ctx->args, ctx->args_count);
    }
    /* The end of one command is the beginning of the next: one look at the clock for each. */
    node->now_us = node->host.monotonic_us(node->host.udata);
    uint64_t duration_us = earlier_us + node->now_us - began_us;
    if (unlikely(ctx->is_blocked) && park(ctx, duration_us)) {
        return;
    }
    count_call(node, client, row, ctx->args, ctx->args_count, duration_us, errors_before);
}

void node_call(struct node *node, struct client *client, const struct command *row,
               const struct slice *args, size_t args_count, uint64_t first_key_hash,
               bool has_first_key_hash) {
    struct command_context ctx = {
        .store = &node->store,
        .node = node,
        .client = client,
        .row = row,
        .args = args,
        .args_count = args_count,
        .db = client->db,
        .reply = &client->reply,
        .limits = &node->limits,
        .output_bytes_max = node_output_bytes_max(client),
        .first_key_hash = first_key_hash,
        .has_first_key_hash = has_first_key_hash && row->keys.first > 0,
        .in_transaction = (client->flags & CLIENT_IN_TRANSACTION) != 0,
        .is_blocked = false,
        .lent = node->lent,
        .wait = &node->blocking.wait,
        .ready_key = NULL,
    };
    call(&ctx, 0);
}

bool node_call_again(struct node *node, struct client *client, const struct key *key) {
    const struct blocked_request *request = client->blocked;
    unsigned errors_before = client->reply.errors_count;
    if (check_refuses(node, client, request->row)) {
        refuse(node, client, request->row, errors_before);
        return true;
    }
    struct command_context ctx = {
        .store = &node->store,
        .node = node,
        .client = client,
        .row = request->row,
        .args = request->args,
        .args_count = request->args_count,
        .db = client->db,
        .reply = &client->reply,
        .limits = &node->limits,
        .output_bytes_max = node_output_bytes_max(client),
        .wait = &node->blocking.wait,
        .ready_key = key,
    };
    call(&ctx, request->duration_us);
    store_end_unit(&node->store);
    return !ctx.is_blocked;
}
