/* SPDX-License-Identifier: BSD-3-Clause */
/* Transactions: MULTI queues, EXEC runs all as one unit, WATCH makes it conditional.
 *
 * Watched keys are in a hash table of the node while anybody watches; the store tells of each
 * change then. The unit is whole because dispatch ends it only after EXEC itself. */
#include "base/memory.h"
#include "node/node.h"
#include "node/transaction.h"

enum { WATCHED_BUCKETS = 1024 };

/* ---- queue ---- */

bool transaction_queue(struct client *client, const struct command *row, const struct slice *args,
                       size_t args_count) {
    if ((client->flags & (CLIENT_TRANSACTION_FAILED | CLIENT_WATCH_BROKEN)) != 0) {
        return true;
    }
    size_t bytes;
    struct slice *block = request_args_copy(args, args_count, &bytes);
    if (block == NULL) {
        return false;
    }
    if (client->queue_count == client->queue_capacity) {
        client->queue_capacity = client->queue_capacity == 0 ? 8 : 2 * client->queue_capacity;
        client->queue =
            memory_resize(client->queue, client->queue_capacity * sizeof(client->queue[0]));
    }
    client->queue[client->queue_count++] =
        (struct queued_request){.row = row, .args_count = args_count, .args = block};
    client->queue_bytes += bytes;
    client->queue_flags |= row->flags;
    client->queue_denies_loading |= (row->flags & CMD_LOADING) == 0;
    return true;
}

void cmd_multi(struct command_context *ctx) {
    struct client *client = ctx->client;
    if ((client->flags & CLIENT_IN_TRANSACTION) != 0) {
        reply_error(ctx->reply, "ERR MULTI calls can not be nested");
        return;
    }
    client->flags |= CLIENT_IN_TRANSACTION;
    reply_ok(ctx->reply);
}

void cmd_discard(struct command_context *ctx) {
    struct client *client = ctx->client;
    if ((client->flags & CLIENT_IN_TRANSACTION) == 0) {
        reply_error(ctx->reply, "ERR DISCARD without MULTI");
        return;
    }
    node_unwatch_all(client);
    client_discard_transaction(client);
    reply_ok(ctx->reply);
}

/* Has a watched key that was alive expired meanwhile? Its removal may not have come yet. */
static bool watch_has_expired(struct node *node, const struct client *client) {
    for (struct watched_key *watched = client->watched; watched != NULL;
         watched = watched->next_of_client) {
        struct key key = {.name = slice_make(watched->name, watched->name_bytes),
                          .hash = watched->hash,
                          .db = watched->db};
        if (watched->came_expired) {
            continue;
        }
        uint64_t expired_before = node->store.stats.expired;
        (void)store_peek(&node->store, &key);
        if (node->store.stats.expired != expired_before) {
            return true;
        }
    }
    return false;
}

void cmd_exec(struct command_context *ctx) {
    struct client *client = ctx->client;
    struct node *node = ctx->node;
    if ((client->flags & CLIENT_IN_TRANSACTION) == 0) {
        reply_error(ctx->reply, "ERR EXEC without MULTI");
        return;
    }
    if ((client->flags & CLIENT_TRANSACTION_FAILED) != 0) {
        node_unwatch_all(client);
        client_discard_transaction(client);
        reply_error(ctx->reply, "EXECABORT Transaction discarded because of previous errors.");
        return;
    }
    bool is_broken = watch_has_expired(node, client) || (client->flags & CLIENT_WATCH_BROKEN) != 0;
    node_unwatch_all(client);
    if (is_broken) {
        client_discard_transaction(client);
        reply_null_array(ctx->reply);
        return;
    }
    reply_array(ctx->reply, client->queue_count);
    if (client->queue_count > 1) {
        store_spread_unit(&node->store);
    }
    for (size_t i = 0; i < client->queue_count; i++) {
        const struct queued_request *request = &client->queue[i];
        node_call(node, client, request->row, request->args, request->args_count, 0, false);
    }
    client_discard_transaction(client);
    node_wake(node);
}

/* ---- watching ---- */

static struct watched_key **watched_bucket(struct node *node, uint64_t hash) {
    return &node->watched_buckets[hash % WATCHED_BUCKETS];
}

static void watch_key(struct node *node, struct client *client, unsigned db, struct slice name) {
    struct key key = store_key(&node->store, db, name);
    for (struct watched_key *old = client->watched; old != NULL; old = old->next_of_client) {
        if (old->db == db && slice_equal(slice_make(old->name, old->name_bytes), name)) {
            return;
        }
    }
    if (node->watched_buckets == NULL) {
        node->watched_buckets = memory_alloc_zero(WATCHED_BUCKETS * sizeof(struct watched_key *));
    }
    /* An expired key goes now: its removal later would count as a change. */
    (void)store_peek(&node->store, &key);
    struct watched_key *watched = memory_alloc(sizeof(*watched) + name.size);
    *watched = (struct watched_key){.next_of_client = client->watched,
                                    .client = client,
                                    .db = db,
                                    .hash = key.hash,
                                    .name_bytes = name.size};
    memcpy(watched->name, name.data, name.size);
    client->watched_bytes += sizeof(*watched) + name.size;
    struct watched_key **bucket = watched_bucket(node, key.hash);
    watched->next_of_key = *bucket;
    *bucket = watched;
    if (client->watched == NULL) {
        node->watching_count++;
    }
    client->watched = watched;
    node->store.watchers_count++;
}

void node_unwatch_all(struct client *client) {
    struct node *node = client->node;
    if (client->watched != NULL) {
        node->watching_count--;
    }
    while (client->watched != NULL) {
        struct watched_key *watched = client->watched;
        client->watched = watched->next_of_client;
        struct watched_key **at = watched_bucket(node, watched->hash);
        while (*at != watched) {
            at = &(*at)->next_of_key;
        }
        *at = watched->next_of_key;
        memory_free(watched);
        node->store.watchers_count--;
    }
    client->watched_bytes = 0;
    client->flags &= ~(uint32_t)CLIENT_WATCH_BROKEN;
}

/* A watched key is told of a flush or a swap: what it means depends on what is in the table. */
static void watch_touch_all(struct node *node, struct watched_key *watched,
                            enum store_touch touch) {
    struct key key = {.name = slice_make(watched->name, watched->name_bytes),
                      .hash = watched->hash,
                      .db = watched->db};
    bool is_expired;
    /* Not through store_peek(): this is called while the store changes. */
    bool is_held = store_holds(&node->store, &key, &is_expired);
    if (touch == STORE_TOUCH_ALL_CAME) {
        watched->came_expired = is_held && is_expired;
        is_held = is_held && !is_expired;
    }
    if (is_held && !watched->came_expired) {
        watched->client->flags |= CLIENT_WATCH_BROKEN;
    }
}

void transaction_touch(struct node *node, const struct key *key, enum store_touch touch) {
    if (touch == STORE_TOUCH_GROUPS) {
        return; /* as in Redis: who reads a stream by a group stops no transaction */
    }
    if (touch != STORE_TOUCH_KEY) {
        for (unsigned i = 0; i < WATCHED_BUCKETS; i++) {
            for (struct watched_key *watched = node->watched_buckets[i]; watched != NULL;
                 watched = watched->next_of_key) {
                if (watched->db == key->db) {
                    watch_touch_all(node, watched, touch);
                }
            }
        }
        return;
    }
    for (struct watched_key *watched = *watched_bucket(node, key->hash); watched != NULL;
         watched = watched->next_of_key) {
        if (watched->db == key->db && watched->hash == key->hash &&
            slice_equal(slice_make(watched->name, watched->name_bytes), key->name)) {
            watched->client->flags |= watched->came_expired ? 0 : (uint32_t)CLIENT_WATCH_BROKEN;
            watched->came_expired = false;
        }
    }
}

void cmd_watch(struct command_context *ctx) {
    struct client *client = ctx->client;
    if ((client->flags & CLIENT_IN_TRANSACTION) != 0) {
        reply_error(ctx->reply, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    /* Already lost: what else is watched makes no difference. */
    if ((client->flags & CLIENT_WATCH_BROKEN) == 0) {
        for (size_t i = 1; i < ctx->args_count; i++) {
            watch_key(ctx->node, client, ctx->db, ctx->args[i]);
        }
    }
    reply_ok(ctx->reply);
}

static void cmd_unwatch(struct command_context *ctx) {
    node_unwatch_all(ctx->client);
    reply_ok(ctx->reply);
}

/* ---- rows ---- */

#define CONTROL_FLAGS (CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_ALLOW_BUSY)

static const struct command transaction_rows[] = {
    {"discard", .handler = cmd_discard, .arity = 1, .flags = CONTROL_FLAGS,
     .categories = CATEGORY_TRANSACTION, .group = "transactions", .since = "2.0.0",
     .cost = "O(N), when N is the number of queued commands", .syntax = "",
     .summary = "Drops the queued commands of a transaction."},
    {"exec", .handler = cmd_exec, .arity = 1,
     .flags = CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE | CMD_SKIP_SLOWLOG,
     .categories = CATEGORY_TRANSACTION, .group = "transactions", .since = "1.2.0",
     .cost = "Depends on commands in the transaction", .syntax = "",
     .summary = "Executes all queued commands of a transaction as one step."},
    {"multi", .handler = cmd_multi, .arity = 1, .flags = CONTROL_FLAGS,
     .categories = CATEGORY_TRANSACTION, .group = "transactions", .since = "1.2.0", .cost = "O(1)",
     .syntax = "", .summary = "Begins a transaction: what follows is queued."},
    {"unwatch", .handler = cmd_unwatch, .arity = 1, .flags = CONTROL_FLAGS,
     .categories = CATEGORY_TRANSACTION, .group = "transactions", .since = "2.2.0", .cost = "O(1)",
     .syntax = "", .summary = "Forgets all watched keys."},
    {"watch", .handler = cmd_watch, .arity = -2, .flags = CONTROL_FLAGS,
     .categories = CATEGORY_TRANSACTION, .keys = {1, -1, 1}, .key_flags = KEY_READ_ONLY,
     .group = "transactions", .since = "2.2.0", .cost = "O(1) for every key.",
     .syntax = "key [key ...]",
     .summary = "Makes the next transaction depend on keys staying unchanged."},
};

COMMAND_FAMILY(cmd_transaction_family, transaction_rows);
