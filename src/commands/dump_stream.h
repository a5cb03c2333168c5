/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams as serialised values, and back: for value_codec.c. */
#ifndef COMMANDS_DUMP_STREAM_H
#define COMMANDS_DUMP_STREAM_H

#include "commands/rdb_reader.h"
#include "commands/rdb_writer.h"
#include "store/elements.h"

void dump_stream_write(const struct store *store, const struct elements *elements,
                       struct rdb_writer *writer);
/* Puts the stream in the place of what is at `key`. OUT_OF_MEMORY: the key is gone. */
enum store_status dump_stream_read(struct store *store, const struct key *key,
                                   struct rdb_reader *reader);

#endif
