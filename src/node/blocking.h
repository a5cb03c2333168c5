/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocking commands: BLPOP and its kin.
 *
 * A handler that has found nothing asks for it (command_block()); its client is parked with a copy
 * of the request. Whatever changes a key that somebody waits for, a client's command or a peer's
 * unit, marks it as ready, by the hook that WATCH has, too. Between commands, transactions and
 * units, never inside one, ready keys are served: the request is executed again for each client
 * that waits, the longest waiting first. A request that finds nothing again keeps its place. One
 * that gets its reply is accounted then, as one call that took as long as all its executions
 * together. */
#ifndef NODE_BLOCKING_H
#define NODE_BLOCKING_H

#include "commands/command.h"
#include "containers/deadlines.h"
#include "node/key_queues.h"

struct blocking {
    struct key_queues queues;
    struct deadlines deadlines;
    unsigned requests_count;  /* parked */
    struct command_wait wait; /* of the running command */
};

/* A parked request: one block, with the places behind it; its arguments are another. */
struct blocked_request {
    struct client *client;
    const struct command *row;
    struct slice *args;
    size_t args_count;
    enum value_type type; /* a key that holds this serves it */
    bool skips_reply;     /* CLIENT REPLY SKIP came before it */
    size_t bytes;         /* of memory, its keys included */
    uint64_t duration_us; /* of its executions so far */
    struct deadline deadline;
    struct key_waiter waiter;
    struct key_place places[];
};

void blocking_init(struct node *node);
/* All clients are gone. */
void blocking_deinit(struct node *node);
/* Parks the client, whose request asked for it by `*ctx->wait`, and takes the arguments kept there.
 * False, with nothing else changed, when memory is out. */
bool blocking_park(const struct command_context *ctx, uint64_t duration_us);
/* Ends the wait of a parked client without a reply; no effect on another. node_client_unblock()
 * does this, too. */
void blocking_stop(struct client *client);
/* Writes the reply to a parked request that ends without being executed: the error, or null for
 * NULL, when its time is over; and accounts it. */
void blocking_end(struct client *client, const char *error);
/* The store's touch hook, as far as parked requests are concerned. */
void blocking_touch(struct node *node, const struct key *key, enum store_touch touch);
/* Serves the keys that are ready, unless clients are paused or the data are not complete: then they
 * stay ready. Only between units. False when there was nothing to do. */
bool blocking_serve(struct node *node);
/* Ends the waits that are too long. Returns in how many microseconds the next one is, or
 * UINT64_MAX. */
uint64_t blocking_tick(struct node *node);

#endif
