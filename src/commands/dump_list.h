/* SPDX-License-Identifier: BSD-3-Clause */
/* DUMP and RESTORE of a list. */
#ifndef COMMANDS_DUMP_LIST_H
#define COMMANDS_DUMP_LIST_H

#include "commands/command.h"
#include "commands/rdb_reader.h"
#include "commands/rdb_writer.h"

/* Writes all elements as one value. */
void dump_list_write(const struct store *store, const struct elements *elements,
                     struct rdb_writer *writer);
/* Puts the elements that the reader delivers in the place of the key's value. OUT_OF_MEMORY: the
 * key is gone. */
enum store_status dump_list_read(struct store *store, const struct key *key,
                                 struct rdb_reader *reader);

#endif
