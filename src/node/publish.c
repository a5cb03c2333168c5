/* SPDX-License-Identifier: BSD-3-Clause */
#include "node/publish.h"

#include "base/codec.h"
#include "base/glob.h"
#include "base/memory.h"
#include "node/node_mesh.h"
#include "store/notify.h"

enum {
    FORM_KEPT_BYTES_MAX = 64 << 10, /* scratch that grew beyond gives its memory back */
    NOTIFY_CHANNELS = OPTION_NOTIFY_KEYSPACE | OPTION_NOTIFY_KEYEVENT,
};

static_assert((int)NOTIFY_GENERIC == (int)OPTION_NOTIFY_GENERIC, "one numbering of classes");
static_assert((int)NOTIFY_STRING == (int)OPTION_NOTIFY_STRING, "one numbering of classes");
static_assert((int)NOTIFY_LIST == (int)OPTION_NOTIFY_LIST, "one numbering of classes");
static_assert((int)NOTIFY_SET == (int)OPTION_NOTIFY_SET, "one numbering of classes");
static_assert((int)NOTIFY_HASH == (int)OPTION_NOTIFY_HASH, "one numbering of classes");
static_assert((int)NOTIFY_ZSET == (int)OPTION_NOTIFY_ZSET, "one numbering of classes");
static_assert((int)NOTIFY_EXPIRED == (int)OPTION_NOTIFY_EXPIRED, "one numbering of classes");
static_assert((int)NOTIFY_EVICTED == (int)OPTION_NOTIFY_EVICTED, "one numbering of classes");
static_assert((int)NOTIFY_STREAM == (int)OPTION_NOTIFY_STREAM, "one numbering of classes");
static_assert((int)NOTIFY_MISS == (int)OPTION_NOTIFY_MISS, "one numbering of classes");
static_assert((int)NOTIFY_NEW == (int)OPTION_NOTIFY_NEW, "one numbering of classes");

static void give_back(struct buffer *scratch) {
    buffer_clear(scratch);
    if (scratch->capacity > FORM_KEPT_BYTES_MAX) {
        buffer_deinit(scratch);
        *scratch = (struct buffer){0};
    }
}

/* ---- to subscribers ---- */

/* A message as the subscribers of one topic get it. */
struct publish_message {
    const char *word;     /* "message", "pmessage", "smessage" */
    struct slice pattern; /* of "pmessage"; NULL data otherwise */
    struct slice channel, bytes;
};

/* Puts the message into bytes of one version of the protocol. */
static void put_message(struct buffer *out, unsigned protocol,
                        const struct publish_message *message) {
    struct reply reply = {.out = out, .protocol = protocol};
    buffer_clear(out);
    bool has_pattern = message->pattern.data != NULL;
    reply_push(&reply, has_pattern ? 4 : 3);
    reply_bulk_text(&reply, message->word);
    if (has_pattern) {
        reply_bulk(&reply, message->pattern);
    }
    reply_bulk(&reply, message->channel);
    reply_bulk(&reply, message->bytes);
}

static void publish_to_topic(struct node *node, const struct pubsub_topic *topic,
                             const struct publish_message *message) {
    bool is_put[PUBLISH_FORMS] = {false};
    for (const struct pubsub_subscription *at = topic->first; at != NULL; at = at->next_of_topic) {
        struct client *client = (struct client *)at->subscriber->owner;
        unsigned form = client->reply.protocol >= 3;
        if (!is_put[form]) {
            is_put[form] = true;
            put_message(&node->publish_forms[form], client->reply.protocol, message);
        }
        node_client_push(client, buffer_slice(&node->publish_forms[form]));
    }
    for (unsigned form = 0; form < PUBLISH_FORMS; form++) {
        give_back(&node->publish_forms[form]);
    }
}

uint64_t publish_here(struct node *node, enum pubsub_kind kind, struct slice channel,
                      struct slice bytes) {
    uint64_t count = 0;
    require(kind != PUBSUB_PATTERN);
    struct publish_message message = {.word = kind == PUBSUB_CHANNEL ? "message" : "smessage",
                                      .channel = channel,
                                      .bytes = bytes};
    const struct pubsub_topic *topic = pubsub_find(&node->pubsub, kind, channel);
    if (topic != NULL) {
        count += topic->subscribers_count;
        publish_to_topic(node, topic, &message);
    }
    if (kind != PUBSUB_CHANNEL) {
        return count;
    }
    message.word = "pmessage";
    for (topic = node->pubsub.topics[PUBSUB_PATTERN].first; topic != NULL; topic = topic->next) {
        if (glob_match(pubsub_topic_name(topic), channel, false)) {
            count += topic->subscribers_count;
            message.pattern = pubsub_topic_name(topic);
            publish_to_topic(node, topic, &message);
        }
    }
    return count;
}

void publish_forget_client(struct client *client) {
    struct node *node = client->node;
    if (client->subscriber != NULL) {
        pubsub_remove_all(&node->pubsub, client->subscriber);
        memory_free(client->subscriber);
        client->subscriber = NULL;
        client->flags &= ~(uint32_t)CLIENT_PUBSUB;
        node->pubsub_clients_count--;
    }
}

/* ---- to peers, and from them: kind byte | channel | message ---- */

enum { PEER_CHANNEL = 0, PEER_SHARD_CHANNEL = 1 };

uint64_t publish_everywhere(struct node *node, enum pubsub_kind kind, struct slice channel,
                            struct slice message) {
    if (node->mesh != NULL) {
        char head[1 + VARINT_BYTES_MAX];
        head[0] = kind == PUBSUB_CHANNEL ? PEER_CHANNEL : PEER_SHARD_CHANNEL;
        size_t head_size = 1 + varint_put(head + 1, channel.size);
        const struct slice parts[] = {slice_make(head, head_size), channel, message};
        mesh_broadcast(node->mesh, parts, sizeof(parts) / sizeof(parts[0]));
    }
    return publish_here(node, kind, channel, message);
}

bool publish_from_peer(struct node *node, struct slice bytes) {
    if (bytes.size == 0) {
        return false;
    }
    unsigned kind = (uint8_t)bytes.data[0];
    struct slice channel;
    bytes = slice_skip(bytes, 1);
    if (!varint_take_slice(&bytes, &channel)) {
        return false;
    }
    if (kind <= PEER_SHARD_CHANNEL) { /* else of a newer version */
        (void)publish_here(node, kind == PEER_CHANNEL ? PUBSUB_CHANNEL : PUBSUB_SHARD_CHANNEL,
                           channel, bytes);
    }
    return true;
}

/* ---- about keys ---- */

void publish_configure(struct node *node) {
    uint32_t bits = node->options->notify_keyspace_events.bits;
    bool has_channels = (bits & NOTIFY_CHANNELS) != 0;
    node->store.notify_classes = has_channels ? bits & ~(uint32_t)NOTIFY_CHANNELS : 0;
}

void publish_key_event(void *udata, uint32_t class_bit, const char *event, const struct key *key) {
    struct node *node = (struct node *)udata;
    uint32_t bits = node->options->notify_keyspace_events.bits;
    (void)class_bit;
    /* What it takes over from the mesh did not happen now. */
    if (node->pubsub.subscriptions.count == 0 || node_mesh_is_joining(node)) {
        return;
    }
    struct buffer *channel = &node->publish_channel;
    if ((bits & OPTION_NOTIFY_KEYSPACE) != 0) {
        buffer_printf(channel, "__keyspace@%u__:", key->db);
        buffer_append_slice(channel, key->name);
        (void)publish_here(node, PUBSUB_CHANNEL, buffer_slice(channel), slice_of(event));
        buffer_clear(channel);
    }
    if ((bits & OPTION_NOTIFY_KEYEVENT) != 0) {
        buffer_printf(channel, "__keyevent@%u__:%s", key->db, event);
        (void)publish_here(node, PUBSUB_CHANNEL, buffer_slice(channel), key->name);
    }
    give_back(channel);
}
