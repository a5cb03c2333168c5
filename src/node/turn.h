/* SPDX-License-Identifier: BSD-3-Clause */
/* The turn: what the rest of node/ needs of turn.c. */
#ifndef NODE_TURN_H
#define NODE_TURN_H

#include "node/node.h"

/* Frees the scratch memory of turns. */
void turn_deinit(struct node *node);
/* Puts a client on the list of those whose input is looked at in the next node_run(). */
void turn_make_ready(struct client *client);
/* Sends what the log has acknowledged since, and drops the clients whose writes are in doubt. */
void turn_release_holds(struct node *node);

#endif
