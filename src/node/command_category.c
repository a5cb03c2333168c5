/* SPDX-License-Identifier: BSD-3-Clause */
/* Categories follow from the flags, the group, and what the row adds. */
#include "node/command_category.h"

#include <string.h>

#include "base/check.h"

static const char *const COMMAND_CATEGORY_NAMES[COMMAND_CATEGORIES_COUNT] = {
    "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
    "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting",
};

const char *command_category_name(enum command_category category) {
    require(category < COMMAND_CATEGORIES_COUNT);
    return COMMAND_CATEGORY_NAMES[category];
}

enum command_category command_category_find(struct slice name) {
    int category = 0;
    while (category < COMMAND_CATEGORIES_COUNT &&
           !slice_is_word(name, COMMAND_CATEGORY_NAMES[category])) {
        category++;
    }
    return (enum command_category)category;
}

/* A mere container has no type of its own: its subcommands have. */
static bool row_is_of(const struct command *row, const char *group, uint32_t category) {
    return (row->categories & category) != 0 ||
           (row->handler != NULL && strcmp(row->group, group) == 0);
}

bool command_category_has(enum command_category category, const struct command *row) {
    uint32_t flags = row->flags, more = row->categories;
    switch (category) {
    case COMMAND_CATEGORY_KEYSPACE:
        return (more & CATEGORY_KEYSPACE) != 0;
    case COMMAND_CATEGORY_READ:
        return (flags & CMD_READ) != 0 && strcmp(row->group, "scripting") != 0;
    case COMMAND_CATEGORY_WRITE:
        return (flags & CMD_WRITE) != 0;
    case COMMAND_CATEGORY_SET:
        return row_is_of(row, "set", CATEGORY_SET);
    case COMMAND_CATEGORY_SORTED_SET:
        return row_is_of(row, "sorted-set", CATEGORY_SORTED_SET);
    case COMMAND_CATEGORY_LIST:
        return row_is_of(row, "list", CATEGORY_LIST);
    case COMMAND_CATEGORY_HASH:
        return row_is_of(row, "hash", CATEGORY_HASH);
    case COMMAND_CATEGORY_STRING:
        return row_is_of(row, "string", CATEGORY_STRING);
    case COMMAND_CATEGORY_BITMAP:
        return row_is_of(row, "bitmap", CATEGORY_BITMAP);
    case COMMAND_CATEGORY_HYPERLOGLOG:
        return row_is_of(row, "hyperloglog", CATEGORY_HYPERLOGLOG);
    case COMMAND_CATEGORY_GEO:
        return row_is_of(row, "geo", CATEGORY_GEO);
    case COMMAND_CATEGORY_STREAM:
        return row_is_of(row, "stream", CATEGORY_STREAM);
    case COMMAND_CATEGORY_PUBSUB:
        return (flags & CMD_PUBSUB) != 0;
    case COMMAND_CATEGORY_ADMIN:
        return (flags & CMD_ADMIN) != 0 || (more & CATEGORY_ADMIN) != 0;
    case COMMAND_CATEGORY_FAST:
        return (flags & CMD_FAST) != 0;
    case COMMAND_CATEGORY_SLOW:
        return (flags & CMD_FAST) == 0;
    case COMMAND_CATEGORY_BLOCKING:
        return (flags & CMD_BLOCKING) != 0;
    case COMMAND_CATEGORY_DANGEROUS:
        return (flags & CMD_ADMIN) != 0 || (more & CATEGORY_DANGEROUS) != 0;
    case COMMAND_CATEGORY_CONNECTION:
        return (more & CATEGORY_CONNECTION) != 0;
    case COMMAND_CATEGORY_TRANSACTION:
        return (more & CATEGORY_TRANSACTION) != 0;
    case COMMAND_CATEGORY_SCRIPTING:
        return (more & CATEGORY_SCRIPTING) != 0;
    case COMMAND_CATEGORIES_COUNT:
        break;
    }
    impossible("not a category");
}
