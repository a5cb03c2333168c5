/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages on their way to subscribers: of PUBLISH, of peers, and about keys that change.
 *
 * A message is put into bytes once for each version of the protocol, whatever the number of its
 * subscribers. It is neither stored nor waited for: a subscriber whose output has reached its limit
 * (client-output-buffer-limit, class pubsub) is cut. */
#ifndef NODE_PUBLISH_H
#define NODE_PUBLISH_H

#include "node/node.h"

/* Hands a message to the subscribers on this node, of a shard channel or of a channel and the
 * patterns that match it; returns how many there were. */
uint64_t publish_here(struct node *node, enum pubsub_kind kind, struct slice channel,
                      struct slice message);
/* The same, and sends it to the peers. */
uint64_t publish_everywhere(struct node *node, enum pubsub_kind kind, struct slice channel,
                            struct slice message);
/* A message from a peer, as publish_everywhere() made it: false when it makes no sense. */
bool publish_from_peer(struct node *node, struct slice bytes);
/* Something happened to a key: the store's hook, for notify-keyspace-events. */
void publish_key_event(void *udata, uint32_t class_bit, const char *event, const struct key *key);
/* Takes over notify-keyspace-events. */
void publish_configure(struct node *node);

/* Ends all subscriptions of a client. */
void publish_forget_client(struct client *client);
/* May a client of RESP2 that has subscriptions give this command? */
bool publish_allows_command(const struct command *row);

#endif
