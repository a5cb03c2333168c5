/* SPDX-License-Identifier: BSD-3-Clause */
/* Who subscribed to what: channels, patterns and shard channels, each with its subscribers.
 *
 * A topic is a channel or pattern that somebody subscribed to; it goes with its last subscription.
 * Topics are found by name, subscriptions by subscriber and topic, both in hash tables, so that
 * neither a channel with many subscribers nor a subscriber to many channels makes one of them slow.
 * Both are also in lists, oldest first: what leaves a node depends on no hash.
 *
 * Nothing here knows a client: what a subscriber is, is its owner's affair. One thread. */
#ifndef NODE_PUBSUB_H
#define NODE_PUBSUB_H

#include "base/hash.h"
#include "containers/table.h"

enum pubsub_kind {
    PUBSUB_CHANNEL,       /* SUBSCRIBE */
    PUBSUB_PATTERN,       /* PSUBSCRIBE */
    PUBSUB_SHARD_CHANNEL, /* SSUBSCRIBE */
    PUBSUB_KINDS
};

struct pubsub_subscription;

/* A channel or pattern with at least one subscriber. */
struct pubsub_topic {
    struct pubsub_topic *previous, *next; /* of its kind, oldest first */
    struct pubsub_subscription *first, *last;
    uint64_t hash;
    uint64_t subscribers_count;
    enum pubsub_kind kind;
    size_t name_bytes;
    char name[];
};

/* One with at least one subscription. A zeroed struct with `id` and `owner` has none. */
struct pubsub_subscriber {
    uint64_t id; /* different from that of any other subscriber of the same struct pubsub */
    void *owner;
    struct pubsub_subscription *first[PUBSUB_KINDS], *last[PUBSUB_KINDS];
    uint64_t count[PUBSUB_KINDS];
    size_t bytes; /* of memory that its subscriptions take */
};

struct pubsub_subscription {
    struct pubsub_topic *topic;
    struct pubsub_subscriber *subscriber;
    struct pubsub_subscription *previous_of_topic, *next_of_topic;
    struct pubsub_subscription *previous_of_subscriber, *next_of_subscriber;
};

struct pubsub {
    struct hash_seed seed;
    struct pubsub_topics {
        struct table table;
        struct pubsub_topic *first, *last;
    } topics[PUBSUB_KINDS];
    struct table subscriptions;
};

/* ---- lifecycle ---- */

void pubsub_init(struct pubsub *pubsub, struct hash_seed seed);
/* There are no subscriptions any more. */
void pubsub_deinit(struct pubsub *pubsub);

/* ---- changes ---- */

enum pubsub_added { PUBSUB_ADDED, PUBSUB_WAS_THERE, PUBSUB_OUT_OF_MEMORY };
enum pubsub_added pubsub_add(struct pubsub *pubsub, enum pubsub_kind kind,
                             struct pubsub_subscriber *subscriber, struct slice name);
/* False: there was none. */
bool pubsub_remove(struct pubsub *pubsub, enum pubsub_kind kind,
                   struct pubsub_subscriber *subscriber, struct slice name);
/* Ends all subscriptions of the subscriber. */
void pubsub_remove_all(struct pubsub *pubsub, struct pubsub_subscriber *subscriber);

/* ---- questions ---- */

/* The topic of that name, or NULL when nobody subscribed to it. */
const struct pubsub_topic *pubsub_find(const struct pubsub *pubsub, enum pubsub_kind kind,
                                       struct slice name);
static inline uint64_t pubsub_count(const struct pubsub *pubsub, enum pubsub_kind kind) {
    return pubsub->topics[kind].table.count;
}
static inline struct slice pubsub_topic_name(const struct pubsub_topic *topic) {
    return slice_make(topic->name, topic->name_bytes);
}
/* Subscriptions of all kinds. */
static inline uint64_t pubsub_subscriber_count(const struct pubsub_subscriber *subscriber) {
    uint64_t count = 0;
    for (unsigned kind = 0; kind < PUBSUB_KINDS; kind++) {
        count += subscriber->count[kind];
    }
    return count;
}
/* Walks everything and asserts that tables, lists and counts agree. */
void pubsub_check(const struct pubsub *pubsub);

#endif
