/* SPDX-License-Identifier: BSD-3-Clause */
/* MULTI and WATCH: what dispatch and node.c need of cmd_transaction.c. */
#ifndef NODE_TRANSACTION_H
#define NODE_TRANSACTION_H

#include "node/client.h"

void cmd_exec(struct command_context *ctx);
void cmd_discard(struct command_context *ctx);
void cmd_multi(struct command_context *ctx);
void cmd_watch(struct command_context *ctx);

/* Copies a request to the end of the client's queue, unless it is known that EXEC will fail; false
 * when memory is out. */
bool transaction_queue(struct client *client, const struct command *row, const struct slice *args,
                       size_t args_count);
/* The store's touch hook while anybody watches: marks the transactions of all who watch the key. */
void transaction_touch(struct node *node, const struct key *key, enum store_touch touch);

#endif
