/* SPDX-License-Identifier: BSD-3-Clause */
/* The categories of access control, and which commands are in them, for COMMAND and ACL. */
#ifndef NODE_COMMAND_CATEGORY_H
#define NODE_COMMAND_CATEGORY_H

#include "commands/command.h"

/* In the order in which they are listed. */
enum command_category {
    COMMAND_CATEGORY_KEYSPACE,
    COMMAND_CATEGORY_READ,
    COMMAND_CATEGORY_WRITE,
    COMMAND_CATEGORY_SET,
    COMMAND_CATEGORY_SORTED_SET,
    COMMAND_CATEGORY_LIST,
    COMMAND_CATEGORY_HASH,
    COMMAND_CATEGORY_STRING,
    COMMAND_CATEGORY_BITMAP,
    COMMAND_CATEGORY_HYPERLOGLOG,
    COMMAND_CATEGORY_GEO,
    COMMAND_CATEGORY_STREAM,
    COMMAND_CATEGORY_PUBSUB,
    COMMAND_CATEGORY_ADMIN,
    COMMAND_CATEGORY_FAST,
    COMMAND_CATEGORY_SLOW,
    COMMAND_CATEGORY_BLOCKING,
    COMMAND_CATEGORY_DANGEROUS,
    COMMAND_CATEGORY_CONNECTION,
    COMMAND_CATEGORY_TRANSACTION,
    COMMAND_CATEGORY_SCRIPTING,
    COMMAND_CATEGORIES_COUNT
};

/* In lower case, without the "@" of rules. */
const char *command_category_name(enum command_category category);
/* The category with that name in any case, COMMAND_CATEGORIES_COUNT when there is none. */
enum command_category command_category_find(struct slice name);
/* Is the command or subcommand in it? */
bool command_category_has(enum command_category category, const struct command *row);

#endif
