/* SPDX-License-Identifier: BSD-3-Clause */
/* What connections are called: shared by HELLO, RESET and CLIENT. */
#ifndef NODE_CONNECTION_H
#define NODE_CONNECTION_H

#include "node/client.h"

/* Has the text neither spaces nor control or high bytes, so that CLIENT LIST stays readable? */
bool connection_is_printable(struct slice text);
/* Replaces one of a client's texts by a copy; an empty one becomes NULL. */
void connection_set_text(char **field, struct slice text);
/* Names the client, or takes its name away if empty; writes an error and returns false when the
 * name is not printable. */
bool connection_set_name(struct command_context *ctx, struct slice name);

#endif
