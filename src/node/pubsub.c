/* SPDX-License-Identifier: BSD-3-Clause */
#include "node/pubsub.h"

#include "base/memory.h"

/* ---- the tables ---- */

static uint64_t topic_hash(const void *item, const void *udata) {
    (void)udata;
    return ((const struct pubsub_topic *)item)->hash;
}

static bool topic_match(const void *item, const void *udata) {
    const struct slice *name = (const struct slice *)udata;
    return slice_equal(pubsub_topic_name((const struct pubsub_topic *)item), *name);
}

static uint64_t hash_of_pair(const struct pubsub *pubsub, const struct pubsub_topic *topic,
                             const struct pubsub_subscriber *subscriber) {
    /* A channel and a pattern of one name have one hash: the kind tells them apart. */
    uint64_t place = topic->hash + topic->kind;
    return hash_fold(place ^ pubsub->seed.a, (subscriber->id ^ pubsub->seed.b) | 1);
}

static uint64_t subscription_hash(const void *item, const void *udata) {
    const struct pubsub_subscription *subscription = (const struct pubsub_subscription *)item;
    return hash_of_pair((const struct pubsub *)udata, subscription->topic,
                        subscription->subscriber);
}

struct pubsub_pair {
    const struct pubsub_topic *topic;
    const struct pubsub_subscriber *subscriber;
};

static bool subscription_match(const void *item, const void *udata) {
    const struct pubsub_subscription *subscription = (const struct pubsub_subscription *)item;
    const struct pubsub_pair *pair = (const struct pubsub_pair *)udata;
    return subscription->topic == pair->topic && subscription->subscriber == pair->subscriber;
}

void pubsub_init(struct pubsub *pubsub, struct hash_seed seed) {
    *pubsub = (struct pubsub){.seed = seed};
    for (unsigned kind = 0; kind < PUBSUB_KINDS; kind++) {
        table_init(&pubsub->topics[kind].table, topic_hash, NULL);
    }
    table_init(&pubsub->subscriptions, subscription_hash, pubsub);
}

void pubsub_deinit(struct pubsub *pubsub) {
    require(pubsub->subscriptions.count == 0);
    for (unsigned kind = 0; kind < PUBSUB_KINDS; kind++) {
        ensure(pubsub->topics[kind].first == NULL);
        table_deinit(&pubsub->topics[kind].table);
    }
    table_deinit(&pubsub->subscriptions);
}

/* ---- finding ---- */

static uint64_t *topic_slot(const struct pubsub *pubsub, enum pubsub_kind kind, uint64_t hash,
                            const struct slice *name) {
    return table_find(&pubsub->topics[kind].table, hash, topic_match, name);
}

const struct pubsub_topic *pubsub_find(const struct pubsub *pubsub, enum pubsub_kind kind,
                                       struct slice name) {
    if (pubsub->topics[kind].table.count == 0) {
        return NULL;
    }
    const uint64_t *slot = topic_slot(pubsub, kind, hash_bytes(pubsub->seed, name), &name);
    return slot != NULL ? table_item(*slot) : NULL;
}

static uint64_t *subscription_slot(const struct pubsub *pubsub, const struct pubsub_topic *topic,
                                   const struct pubsub_subscriber *subscriber) {
    struct pubsub_pair pair = {.topic = topic, .subscriber = subscriber};
    return table_find(&pubsub->subscriptions, hash_of_pair(pubsub, topic, subscriber),
                      subscription_match, &pair);
}

/* ---- topics ---- */

static struct pubsub_topic *topic_add(struct pubsub *pubsub, enum pubsub_kind kind, uint64_t hash,
                                      struct slice name) {
    struct pubsub_topics *topics = &pubsub->topics[kind];
    struct pubsub_topic *topic = memory_try_alloc(sizeof(*topic) + name.size);
    if (topic == NULL) {
        return NULL;
    }
    *topic = (struct pubsub_topic){
        .previous = topics->last, .hash = hash, .kind = kind, .name_bytes = name.size};
    if (name.size > 0) {
        memcpy(topic->name, name.data, name.size);
    }
    *(topics->last != NULL ? &topics->last->next : &topics->first) = topic;
    topics->last = topic;
    table_insert(&topics->table, hash, topic, false);
    return topic;
}

static void topic_remove(struct pubsub *pubsub, struct pubsub_topic *topic) {
    struct pubsub_topics *topics = &pubsub->topics[topic->kind];
    struct slice name = pubsub_topic_name(topic);
    *(topic->previous != NULL ? &topic->previous->next : &topics->first) = topic->next;
    *(topic->next != NULL ? &topic->next->previous : &topics->last) = topic->previous;
    table_remove(&topics->table, topic->hash, topic_slot(pubsub, topic->kind, topic->hash, &name));
    table_shrink_segment(&topics->table, topic->hash);
    memory_free(topic);
}

/* ---- subscriptions ---- */

/* What a subscription is counted as: its topic as well, though others may share that. */
static size_t subscription_bytes(const struct pubsub_topic *topic) {
    return sizeof(struct pubsub_subscription) + sizeof(*topic) + topic->name_bytes;
}

enum pubsub_added pubsub_add(struct pubsub *pubsub, enum pubsub_kind kind,
                             struct pubsub_subscriber *subscriber, struct slice name) {
    uint64_t hash = hash_bytes(pubsub->seed, name);
    const uint64_t *slot = topic_slot(pubsub, kind, hash, &name);
    struct pubsub_topic *topic = slot != NULL ? table_item(*slot) : NULL;
    if (topic == NULL) {
        topic = topic_add(pubsub, kind, hash, name);
        if (topic == NULL) {
            return PUBSUB_OUT_OF_MEMORY;
        }
    } else if (subscription_slot(pubsub, topic, subscriber) != NULL) {
        return PUBSUB_WAS_THERE;
    }
    struct pubsub_subscription *subscription = memory_alloc(sizeof(*subscription));
    *subscription = (struct pubsub_subscription){.topic = topic,
                                                 .subscriber = subscriber,
                                                 .previous_of_topic = topic->last,
                                                 .previous_of_subscriber = subscriber->last[kind]};
    *(topic->last != NULL ? &topic->last->next_of_topic : &topic->first) = subscription;
    topic->last = subscription;
    topic->subscribers_count++;
    *(subscriber->last[kind] != NULL ? &subscriber->last[kind]->next_of_subscriber
                                     : &subscriber->first[kind]) = subscription;
    subscriber->last[kind] = subscription;
    subscriber->count[kind]++;
    subscriber->bytes += subscription_bytes(topic);
    table_insert(&pubsub->subscriptions, hash_of_pair(pubsub, topic, subscriber), subscription,
                 false);
    return PUBSUB_ADDED;
}

static void subscription_remove(struct pubsub *pubsub, struct pubsub_subscription *subscription) {
    struct pubsub_topic *topic = subscription->topic;
    struct pubsub_subscriber *subscriber = subscription->subscriber;
    struct pubsub_subscription *previous = subscription->previous_of_topic;
    struct pubsub_subscription *next = subscription->next_of_topic;
    *(previous != NULL ? &previous->next_of_topic : &topic->first) = next;
    *(next != NULL ? &next->previous_of_topic : &topic->last) = previous;
    topic->subscribers_count--;
    previous = subscription->previous_of_subscriber;
    next = subscription->next_of_subscriber;
    *(previous != NULL ? &previous->next_of_subscriber : &subscriber->first[topic->kind]) = next;
    *(next != NULL ? &next->previous_of_subscriber : &subscriber->last[topic->kind]) = previous;
    subscriber->count[topic->kind]--;
    subscriber->bytes -= subscription_bytes(topic);
    uint64_t hash = hash_of_pair(pubsub, topic, subscriber);
    table_remove(&pubsub->subscriptions, hash, subscription_slot(pubsub, topic, subscriber));
    table_shrink_segment(&pubsub->subscriptions, hash);
    memory_free(subscription);
    if (topic->subscribers_count == 0) {
        topic_remove(pubsub, topic);
    }
}

bool pubsub_remove(struct pubsub *pubsub, enum pubsub_kind kind,
                   struct pubsub_subscriber *subscriber, struct slice name) {
    const struct pubsub_topic *topic = pubsub_find(pubsub, kind, name);
    const uint64_t *slot = topic != NULL ? subscription_slot(pubsub, topic, subscriber) : NULL;
    if (slot == NULL) {
        return false;
    }
    subscription_remove(pubsub, table_item(*slot));
    return true;
}

void pubsub_remove_all(struct pubsub *pubsub, struct pubsub_subscriber *subscriber) {
    for (unsigned kind = 0; kind < PUBSUB_KINDS; kind++) {
        while (subscriber->first[kind] != NULL) {
            subscription_remove(pubsub, subscriber->first[kind]);
        }
    }
    ensure(subscriber->bytes == 0);
}

/* ---- introspection ---- */

void pubsub_check(const struct pubsub *pubsub) {
    uint64_t subscriptions_count = 0;
    table_check(&pubsub->subscriptions);
    for (unsigned kind = 0; kind < PUBSUB_KINDS; kind++) {
        const struct pubsub_topics *topics = &pubsub->topics[kind];
        const struct pubsub_topic *previous_topic = NULL;
        uint64_t topics_count = 0;
        table_check(&topics->table);
        for (const struct pubsub_topic *topic = topics->first; topic != NULL; topic = topic->next) {
            require(topic->previous == previous_topic);
            require(topic->kind == kind);
            require(pubsub_find(pubsub, topic->kind, pubsub_topic_name(topic)) == topic);
            const struct pubsub_subscription *previous = NULL;
            uint64_t count = 0;
            for (const struct pubsub_subscription *at = topic->first; at != NULL;
                 at = at->next_of_topic) {
                require(at->previous_of_topic == previous);
                require(at->topic == topic);
                const uint64_t *slot = subscription_slot(pubsub, topic, at->subscriber);
                require(slot != NULL);
                require(table_item(*slot) == at);
                previous = at;
                count++;
            }
            require(topic->last == previous);
            require(topic->subscribers_count == count);
            require(count > 0);
            subscriptions_count += count;
            previous_topic = topic;
            topics_count++;
        }
        require(topics->last == previous_topic);
        require(topics->table.count == topics_count);
    }
    require(pubsub->subscriptions.count == subscriptions_count);
}
