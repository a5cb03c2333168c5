/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of the store as serialised ones, and back: where rdb_writer.h and rdb_reader.h meet the
 * store. A type that is added is added in value_dump() and value_restore(). */
#ifndef COMMANDS_VALUE_CODEC_H
#define COMMANDS_VALUE_CODEC_H

#include "commands/rdb_reader.h"
#include "commands/rdb_writer.h"
#include "store/elements.h"

/* Appends the entry's value to `out`, which is empty, with its footer. Fields of a hash whose time
 * has come are left out; false, with nothing appended, when there are no others. */
bool value_dump(const struct store *store, const struct entry *entry,
                const struct rdb_writer_limits *limits, struct buffer *out);
/* Puts what the reader delivers in the place of whatever is at
 * `key`. `expire_unix_ms` 0: never. OK, but there is no key when all fields of a hash have expired.
 * OUT_OF_MEMORY: the key is gone, or for a string as it was. */
enum store_status value_restore(struct store *store, const struct key *key,
                                struct rdb_reader *reader, uint64_t expire_unix_ms);

#endif
