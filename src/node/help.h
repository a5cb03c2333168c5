/* SPDX-License-Identifier: BSD-3-Clause */
/* The reply to the HELP subcommand of a container command. */
#ifndef NODE_HELP_H
#define NODE_HELP_H

#include "commands/command.h"

/* Writes "<COMMAND> <subcommand> ...", the lines, and the lines about HELP itself. */
void help_reply(struct command_context *ctx, const char *const *lines, size_t count);

#define HELP_REPLY(ctx, lines) help_reply((ctx), (lines), sizeof(lines) / sizeof((lines)[0]))

#endif
