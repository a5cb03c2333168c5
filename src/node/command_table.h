/* SPDX-License-Identifier: BSD-3-Clause */
/* All commands of a node, by name. Built once from the families; rows are constant. */
#ifndef NODE_COMMAND_TABLE_H
#define NODE_COMMAND_TABLE_H

#include "commands/command.h"

/* The name of a top-level command, as lookups compare it. */
struct command_slot {
    uint64_t low, high; /* of its bytes, in lower case */
    size_t size;
    uint32_t index; /* into rows, plus 1; 0: none */
    bool is_unsure; /* another name may have the same words */
};

/* The subcommands of a row are a chain; indexes into rows, plus 1; 0: none. */
struct command_subs {
    uint32_t first; /* of its own */
    uint32_t next;  /* of its parent's, after it */
};

struct command_table {
    const struct command **rows; /* commands and subcommands, in the order of the families */
    size_t count, capacity;
    struct command_slot *slots; /* open addressing by name */
    size_t slots_count;
    uint32_t *row_slots;       /* the same by the row's address: slots_count of them */
    struct command_subs *subs; /* beside rows */
    const char **names; /* likewise: the name clients use, "" for none, NULL for the row's own */
};

void command_table_init(struct command_table *table);
void command_table_deinit(struct command_table *table);
void command_table_add(struct command_table *table, const struct command_family *family);
/* Gives a top-level command another name, or with "" none at all (rename-command). `to` is kept
 * by reference. False when there is no command `from`, or `to` is taken. */
bool command_table_rename(struct command_table *table, struct slice from, const char *to);
/* The row of a top-level command by its name in any case, or NULL. */
const struct command *command_table_find(const struct command_table *table, struct slice name);
/* The row of a subcommand, or NULL. */
const struct command *command_table_find_sub(const struct command_table *table,
                                             const struct command *parent, struct slice name);
/* Has the command subcommands? */
bool command_table_is_container(const struct command_table *table, const struct command *row);
/* Its place in `rows`: for arrays that run beside the table. */
size_t command_table_index(const struct command_table *table, const struct command *row);
/* "get" or "config|get". */
void command_table_full_name(const struct command *row, struct buffer *name);
/* Positions of the keys in a request, as `find_keys` of a row tells them; -1 when the arguments
 * make no sense. Writes up to `room`. */
int command_table_keys(const struct command *row, const struct slice *args, size_t args_count,
                       int *positions, size_t room);

#endif
