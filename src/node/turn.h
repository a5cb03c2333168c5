/* SPDX-License-Identifier: BSD-3-Clause */
/* The turn: what the rest of node/ needs of turn.c. */
#ifndef NODE_TURN_H
#define NODE_TURN_H

#include "node/node.h"

/* Frees the scratch memory of turns. */
void turn_deinit(struct node *node);
/* Puts a client on the list of those whose input is looked at in the next node_run(). */
void turn_make_ready(struct client *client);
/* Executes the request of a parked client again, as `key` has changed. False: it found nothing and
 * stays parked; else its reply is on its way. */
bool turn_run_again(struct client *client, const struct key *key);
/* Makes the output that is new since the last call wait for the log to reach where it is now. */
void turn_hold_output(struct node *node);
/* Sends what the log has acknowledged since, and drops the clients whose writes are in doubt. */
void turn_release_holds(struct node *node);
/* Hands on what the log has. */
void turn_write_log(struct node *node);

#endif
