/* SPDX-License-Identifier: BSD-3-Clause */
/* Subscribing and publishing, and PUBSUB, which tells of subscriptions.
 *
 * The answer of a subscription is a message like others: a push in RESP3, one for each channel, and
 * it goes out even while CLIENT REPLY is off. */
#include "base/glob.h"
#include "base/memory.h"
#include "node/help.h"
#include "node/node.h"
#include "node/publish.h"

/* ---- subscribing ---- */

/* What the commands call a subscription of each kind, and its end. */
static const struct {
    const char *added, *removed;
} PUBSUB_WORDS[PUBSUB_KINDS] = {
    [PUBSUB_CHANNEL] = {"subscribe", "unsubscribe"},
    [PUBSUB_PATTERN] = {"psubscribe", "punsubscribe"},
    [PUBSUB_SHARD_CHANNEL] = {"ssubscribe", "sunsubscribe"},
};

/* Where messages about the client's own subscriptions go: into its reply, unless that is dropped.
 */
static struct reply pubsub_own_messages(struct command_context *ctx) {
    struct reply reply = *ctx->reply;
    if ((ctx->client->flags & (CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP)) != 0) {
        reply.out = &ctx->node->running_pushes;
    }
    return reply;
}

/* The number that such a message ends with: shard channels have one of their own. */
static int64_t pubsub_own_count(const struct client *client, enum pubsub_kind kind) {
    const struct pubsub_subscriber *subscriber = client->subscriber;
    if (subscriber == NULL) {
        return 0;
    }
    return (int64_t)(kind == PUBSUB_SHARD_CHANNEL
                         ? subscriber->count[PUBSUB_SHARD_CHANNEL]
                         : subscriber->count[PUBSUB_CHANNEL] + subscriber->count[PUBSUB_PATTERN]);
}

static void pubsub_tell(struct command_context *ctx, enum pubsub_kind kind, const char *word,
                        const struct slice *name) {
    struct reply reply = pubsub_own_messages(ctx);
    reply_push(&reply, 3);
    reply_bulk_text(&reply, word);
    if (name != NULL) {
        reply_bulk(&reply, *name);
    } else {
        reply_null(&reply);
    }
    reply_integer(&reply, pubsub_own_count(ctx->client, kind));
}

/* The client's subscriptions, for which there is room from its first one on. */
static struct pubsub_subscriber *pubsub_subscriber_of(struct client *client) {
    if (client->subscriber == NULL) {
        client->subscriber = memory_alloc_zero(sizeof(*client->subscriber));
        client->subscriber->id = client->id;
        client->subscriber->owner = client;
        client->flags |= CLIENT_PUBSUB;
        client->node->pubsub_clients_count++;
    }
    return client->subscriber;
}

static void pubsub_forget_if_empty(struct client *client) {
    if (client->subscriber != NULL && pubsub_subscriber_count(client->subscriber) == 0) {
        publish_forget_client(client);
    }
}

static void pubsub_subscribe(struct command_context *ctx, enum pubsub_kind kind) {
    struct client *client = ctx->client;
    for (size_t i = 1; i < ctx->args_count; i++) {
        struct pubsub_subscriber *subscriber = pubsub_subscriber_of(client);
        if (pubsub_add(&ctx->node->pubsub, kind, subscriber, ctx->args[i]) ==
            PUBSUB_OUT_OF_MEMORY) {
            pubsub_forget_if_empty(client);
            reply_error(ctx->reply, "OOM there is no memory for the subscription");
            return;
        }
        pubsub_tell(ctx, kind, PUBSUB_WORDS[kind].added, &ctx->args[i]);
    }
}

/* Without names: all of the kind, oldest first. */
static void pubsub_unsubscribe(struct command_context *ctx, enum pubsub_kind kind) {
    struct client *client = ctx->client;
    struct pubsub *pubsub = &ctx->node->pubsub;
    const char *word = PUBSUB_WORDS[kind].removed;
    for (size_t i = 1; i < ctx->args_count; i++) {
        if (client->subscriber != NULL) {
            (void)pubsub_remove(pubsub, kind, client->subscriber, ctx->args[i]);
        }
        pubsub_tell(ctx, kind, word, &ctx->args[i]);
    }
    if (ctx->args_count == 1) {
        if (client->subscriber == NULL || client->subscriber->first[kind] == NULL) {
            pubsub_tell(ctx, kind, word, NULL);
        }
        while (client->subscriber != NULL && client->subscriber->first[kind] != NULL) {
            struct buffer name = {0};
            buffer_append_slice(&name, pubsub_topic_name(client->subscriber->first[kind]->topic));
            struct slice bytes = buffer_slice(&name);
            (void)pubsub_remove(pubsub, kind, client->subscriber, bytes);
            pubsub_tell(ctx, kind, word, &bytes);
            buffer_deinit(&name);
        }
    }
    pubsub_forget_if_empty(client);
}

/* SUBSCRIBE channel [channel ...] */
static void cmd_subscribe(struct command_context *ctx) {
    pubsub_subscribe(ctx, PUBSUB_CHANNEL);
}

/* UNSUBSCRIBE [channel [channel ...]] */
static void cmd_unsubscribe(struct command_context *ctx) {
    pubsub_unsubscribe(ctx, PUBSUB_CHANNEL);
}

/* PSUBSCRIBE pattern [pattern ...] */
static void cmd_psubscribe(struct command_context *ctx) {
    pubsub_subscribe(ctx, PUBSUB_PATTERN);
}

/* PUNSUBSCRIBE [pattern [pattern ...]] */
static void cmd_punsubscribe(struct command_context *ctx) {
    pubsub_unsubscribe(ctx, PUBSUB_PATTERN);
}

/* SSUBSCRIBE shardchannel [shardchannel ...] */
static void cmd_ssubscribe(struct command_context *ctx) {
    /* The other kinds may, for the sake of old clients. */
    if (ctx->in_transaction) {
        reply_error(ctx->reply, "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
        return;
    }
    pubsub_subscribe(ctx, PUBSUB_SHARD_CHANNEL);
}

/* SUNSUBSCRIBE [shardchannel [shardchannel ...]] */
static void cmd_sunsubscribe(struct command_context *ctx) {
    pubsub_unsubscribe(ctx, PUBSUB_SHARD_CHANNEL);
}

bool publish_allows_command(const struct command *row) {
    static const command_fn ALLOWED[] = {cmd_subscribe,    cmd_unsubscribe, cmd_psubscribe,
                                         cmd_punsubscribe, cmd_ssubscribe,  cmd_sunsubscribe};
    for (size_t i = 0; i < sizeof(ALLOWED) / sizeof(ALLOWED[0]); i++) {
        if (row->handler == ALLOWED[i]) {
            return true;
        }
    }
    return row->parent == NULL &&
           (strcmp(row->name, "ping") == 0 || strcmp(row->name, "quit") == 0 ||
            strcmp(row->name, "reset") == 0);
}

/* ---- publishing ---- */

/* PUBLISH channel message */
static void cmd_publish(struct command_context *ctx) {
    reply_integer(ctx->reply, (int64_t)publish_everywhere(ctx->node, PUBSUB_CHANNEL, ctx->args[1],
                                                          ctx->args[2]));
}

/* SPUBLISH shardchannel message */
static void cmd_spublish(struct command_context *ctx) {
    reply_integer(ctx->reply, (int64_t)publish_everywhere(ctx->node, PUBSUB_SHARD_CHANNEL,
                                                          ctx->args[1], ctx->args[2]));
}

/* ---- PUBSUB ---- */

static void pubsub_reply_channels(struct command_context *ctx, enum pubsub_kind kind) {
    if (ctx->args_count > 3) {
        reply_errorf(ctx->reply,
                     "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try PUBSUB "
                     "HELP.",
                     (int)ctx->args[1].size, ctx->args[1].data);
        return;
    }
    size_t count = 0, begin = reply_deferred_begin(ctx->reply);
    for (const struct pubsub_topic *topic = ctx->node->pubsub.topics[kind].first; topic != NULL;
         topic = topic->next) {
        struct slice name = pubsub_topic_name(topic);
        if (ctx->args_count == 2 || glob_match(ctx->args[2], name, false)) {
            reply_bulk(ctx->reply, name);
            count++;
        }
    }
    reply_deferred_array(ctx->reply, begin, count);
}

static void pubsub_reply_counts(struct command_context *ctx, enum pubsub_kind kind) {
    reply_array(ctx->reply, 2 * (ctx->args_count - 2));
    for (size_t i = 2; i < ctx->args_count; i++) {
        const struct pubsub_topic *topic = pubsub_find(&ctx->node->pubsub, kind, ctx->args[i]);
        reply_bulk(ctx->reply, ctx->args[i]);
        reply_integer(ctx->reply, topic != NULL ? (int64_t)topic->subscribers_count : 0);
    }
}

/* PUBSUB CHANNELS [pattern] */
static void cmd_pubsub_channels(struct command_context *ctx) {
    pubsub_reply_channels(ctx, PUBSUB_CHANNEL);
}

/* PUBSUB NUMSUB [channel [channel ...]] */
static void cmd_pubsub_numsub(struct command_context *ctx) {
    pubsub_reply_counts(ctx, PUBSUB_CHANNEL);
}

/* PUBSUB NUMPAT */
static void cmd_pubsub_numpat(struct command_context *ctx) {
    reply_integer(ctx->reply, (int64_t)pubsub_count(&ctx->node->pubsub, PUBSUB_PATTERN));
}

/* PUBSUB SHARDCHANNELS [pattern] */
static void cmd_pubsub_shardchannels(struct command_context *ctx) {
    pubsub_reply_channels(ctx, PUBSUB_SHARD_CHANNEL);
}

/* PUBSUB SHARDNUMSUB [shardchannel [shardchannel ...]] */
static void cmd_pubsub_shardnumsub(struct command_context *ctx) {
    pubsub_reply_counts(ctx, PUBSUB_SHARD_CHANNEL);
}

/* PUBSUB HELP */
static void cmd_pubsub_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "CHANNELS [<pattern>]",
        "    Return the channels of this node that have subscribers and match <pattern> (all).",
        "NUMPAT",
        "    Return how many patterns have subscribers.",
        "NUMSUB [<channel> ...]",
        "    Return how many subscribers of this node each channel has, patterns not counted.",
        "SHARDCHANNELS [<pattern>]",
        "    Return the shard channels that have subscribers and match <pattern> (all).",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return how many subscribers each shard channel has.",
    };
    help_reply(ctx, LINES, sizeof(LINES) / sizeof(LINES[0]));
}

/* ---- rows ---- */

#define PUBSUB_SUBSCRIBES                                                                          \
    .flags = CMD_PUBSUB | CMD_NO_SCRIPT | CMD_LOADING | CMD_STALE, .group = "pubsub"
#define PUBSUB_PUBLISHES .flags = CMD_PUBSUB | CMD_LOADING | CMD_STALE | CMD_FAST, .group = "pubsub"
#define PUBSUB_SUB(word, fn)                                                                       \
    word, .parent = "pubsub", .handler = (fn), .flags = CMD_PUBSUB | CMD_LOADING | CMD_STALE,      \
          .group = "pubsub"
/* Positions that a cluster would look at; they name no keys. */
#define SHARD_CHANNELS .keys = {1, -1, 1}, .key_flags = KEY_NOT_KEY

static const struct command pubsub_rows[] = {
    {"subscribe", .handler = cmd_subscribe, .arity = -2, PUBSUB_SUBSCRIBES, .since = "2.0.0",
     .cost = "O(N) where N is the number of channels to subscribe to.",
     .syntax = "channel [channel ...]", .summary = "Listens to channels."},
    {"unsubscribe", .handler = cmd_unsubscribe, .arity = -1, PUBSUB_SUBSCRIBES, .since = "2.0.0",
     .cost = "O(N) where N is the number of channels to unsubscribe.",
     .syntax = "[channel [channel ...]]", .summary = "Stops listening to channels, or to all."},
    {"psubscribe", .handler = cmd_psubscribe, .arity = -2, PUBSUB_SUBSCRIBES, .since = "2.0.0",
     .cost = "O(N) where N is the number of patterns to subscribe to.",
     .syntax = "pattern [pattern ...]", .summary = "Listens to all channels that match patterns."},
    {"punsubscribe", .handler = cmd_punsubscribe, .arity = -1, PUBSUB_SUBSCRIBES, .since = "2.0.0",
     .cost = "O(N) where N is the number of patterns to unsubscribe.",
     .syntax = "[pattern [pattern ...]]",
     .summary = "Stops listening to what matches patterns, or to all patterns."},
    {"ssubscribe", .handler = cmd_ssubscribe, .arity = -2, PUBSUB_SUBSCRIBES, SHARD_CHANNELS,
     .since = "7.0.0", .cost = "O(N) where N is the number of shard channels to subscribe to.",
     .syntax = "shardchannel [shardchannel ...]", .summary = "Listens to shard channels."},
    {"sunsubscribe", .handler = cmd_sunsubscribe, .arity = -1, PUBSUB_SUBSCRIBES, SHARD_CHANNELS,
     .since = "7.0.0", .cost = "O(N) where N is the number of shard channels to unsubscribe.",
     .syntax = "[shardchannel [shardchannel ...]]",
     .summary = "Stops listening to shard channels, or to all."},
    {"publish", .handler = cmd_publish, .arity = 3, PUBSUB_PUBLISHES, .since = "2.0.0",
     .cost = "O(N+M) where N is the number of clients subscribed to the receiving channel and M is "
             "the total number of subscribed patterns (by any client).",
     .syntax = "channel message",
     .summary = "Sends a message to a channel and tells how many on this node got it."},
    {"spublish", .handler = cmd_spublish, .arity = 3, PUBSUB_PUBLISHES, .keys = {1, 1, 1},
     .key_flags = KEY_NOT_KEY, .since = "7.0.0",
     .cost = "O(N) where N is the number of clients subscribed to the receiving shard channel.",
     .syntax = "shardchannel message",
     .summary = "Sends a message to a shard channel and tells how many on this node got it."},
    {"pubsub", .arity = -2, .group = "pubsub", .since = "2.8.0", .cost = "Depends on subcommand.",
     .summary = "A container for commands about subscriptions."},
    {PUBSUB_SUB("channels", cmd_pubsub_channels), .arity = -2, .since = "2.8.0",
     .cost = "O(N) where N is the number of active channels, and assuming constant time pattern "
             "matching (relatively short channels and patterns)",
     .syntax = "[pattern]", .summary = "Lists the channels that have subscribers."},
    {"help", .parent = "pubsub", .handler = cmd_pubsub_help, .arity = 2,
     .flags = CMD_LOADING | CMD_STALE, .group = "pubsub", .since = "6.2.0", .cost = "O(1)",
     .syntax = "", .summary = "Explains the subcommands."},
    {PUBSUB_SUB("numpat", cmd_pubsub_numpat), .arity = 2, .since = "2.8.0", .cost = "O(1)",
     .syntax = "", .summary = "Counts the patterns that have subscribers."},
    {PUBSUB_SUB("numsub", cmd_pubsub_numsub), .arity = -2, .since = "2.8.0",
     .cost = "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
     .syntax = "[channel [channel ...]]", .summary = "Counts the subscribers of channels."},
    {PUBSUB_SUB("shardchannels", cmd_pubsub_shardchannels), .arity = -2, .since = "7.0.0",
     .cost = "O(N) where N is the number of active shard channels, and assuming constant time "
             "pattern matching (relatively short shard channels).",
     .syntax = "[pattern]", .summary = "Lists the shard channels that have subscribers."},
    {PUBSUB_SUB("shardnumsub", cmd_pubsub_shardnumsub), .arity = -2, .since = "7.0.0",
     .cost = "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard "
             "channels",
     .syntax = "[shardchannel [shardchannel ...]]",
     .summary = "Counts the subscribers of shard channels."},
};

COMMAND_FAMILY(cmd_pubsub_family, pubsub_rows);
