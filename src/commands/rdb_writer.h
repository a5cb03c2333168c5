/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes one value of any type as DUMP gives it: in layouts of version 10, which Redis 7.0 and all
 * later ones read.
 *
 *   string      STRING
 *   list        LIST_QUICKLIST_2
 *   set         SET_INTSET while it is small and all integers, else SET (SET_LISTPACK needs
 *               version 11)
 *   hash        HASH_LISTPACK while it is small, else HASH; where fields expire HASH_METADATA, of
 *               version 12: Redis 7.4 reads it, earlier ones know no such fields
 *   sorted set  ZSET_LISTPACK while it is small, else ZSET_2
 *   stream      STREAM_LISTPACKS_2 (STREAM_LISTPACKS_3 needs version 11); when a consumer was
 *               active is lost
 *
 * Begin a value, give its parts one by one, end it. A collection is packed until a part does not
 * fit; then what was packed is written out, so its owner walks it once. Memory beside the output:
 * at most one packed collection or node. */
#ifndef COMMANDS_RDB_WRITER_H
#define COMMANDS_RDB_WRITER_H

#include "base/buffer.h"
#include "commands/rdb_stream.h"
#include "commands/rdb_value.h"

/* What is small; named after the options of Redis. */
struct rdb_writer_limits {
    bool compress;
    uint64_t hash_listpack_entries_max, hash_listpack_value_bytes_max;
    uint64_t zset_listpack_entries_max, zset_listpack_value_bytes_max;
    uint64_t set_intset_entries_max;
    int64_t list_listpack_size;       /* of a node: entries, or -1 to -5 for 4 to 64 KiB */
    uint64_t stream_node_bytes_max;   /* 0: any */
    uint64_t stream_node_entries_max; /* 0: any */
};

/* The defaults of Redis 7.0. */
extern const struct rdb_writer_limits RDB_WRITER_LIMITS_DEFAULT;

struct rdb_writer {
    struct buffer *out;
    const struct rdb_writer_limits *limits;
    enum rdb_kind kind;   /* of the value that was begun */
    bool is_packed;       /* the collection, so far */
    bool is_too_large;    /* a part cannot be written */
    struct buffer packed; /* listpack, entries of a node, or integers of a set */
    struct buffer names;  /* of the first entry of a stream's node, as a listpack has them */
    struct buffer other;
    uint64_t packed_count;       /* parts in `packed`: elements, members, pairs or entries */
    uint64_t packed_items_count; /* items of a listpack that a node's entries are */
    uint64_t names_count;
    uint64_t count;              /* of the collection, or entries of the stream */
    uint64_t expire_unix_ms_min; /* of a hash's fields; 0: they do not expire */
    size_t nodes_at;             /* where the number of nodes goes */
    uint64_t nodes_count;        /* that were written */
    struct rdb_stream_id node_id, first_id;
    uint64_t pending_left, consumers_count; /* of the group */
};

/* `out` and `limits` must outlive the writer. A writer may write several values. */
void rdb_writer_init(struct rdb_writer *writer, struct buffer *out,
                     const struct rdb_writer_limits *limits);
void rdb_writer_deinit(struct rdb_writer *writer);

/* ---- one of these begins a value, all after type byte to the footer ---- */

void rdb_writer_string(struct rdb_writer *writer, struct slice bytes);
/* Elements from head to tail. */
void rdb_writer_begin_list(struct rdb_writer *writer);
void rdb_writer_element(struct rdb_writer *writer, struct slice element);
/* `count` members, in any order. */
void rdb_writer_begin_set(struct rdb_writer *writer, uint64_t count);
void rdb_writer_member(struct rdb_writer *writer, struct slice member);
/* `count` fields, in any order. */
void rdb_writer_begin_hash(struct rdb_writer *writer, uint64_t count);
void rdb_writer_field(struct rdb_writer *writer, struct slice name, struct slice value);
/* `count` fields of which some expire, the first of them at `expire_unix_ms_min`, which is not 0.
 */
void rdb_writer_begin_hash_expiring(struct rdb_writer *writer, uint64_t count,
                                    uint64_t expire_unix_ms_min);
/* `expire_unix_ms` 0: never. */
void rdb_writer_field_expiring(struct rdb_writer *writer, struct slice name, struct slice value,
                               uint64_t expire_unix_ms);
/* `count` members by rising score, then by rising bytes: Redis takes a listpack as it is. */
void rdb_writer_begin_sorted_set(struct rdb_writer *writer, uint64_t count);
void rdb_writer_scored(struct rdb_writer *writer, struct slice member, double score);
/* Entries by rising id; then the stream's facts; then each group, with all that is pending in it by
 * rising id, then each of its consumers, with the ids that are pending there. */
void rdb_writer_begin_stream(struct rdb_writer *writer);
/* `fields_count` times name and value; at least once. */
void rdb_writer_entry(struct rdb_writer *writer, struct rdb_stream_id id,
                      const struct slice *names_and_values, size_t fields_count);
/* Length and first id are the writer's to know. */
void rdb_writer_stream(struct rdb_writer *writer, const struct rdb_stream *stream);
void rdb_writer_group(struct rdb_writer *writer, const struct rdb_group *group);
void rdb_writer_group_pending(struct rdb_writer *writer, const struct rdb_pending *pending);
void rdb_writer_consumer(struct rdb_writer *writer, const struct rdb_consumer *consumer);
void rdb_writer_consumer_pending(struct rdb_writer *writer, struct rdb_stream_id id);

/* ---- the end ---- */

/* Ends the value and appends the footer for all of `out`. False when an entry of a stream is above
 * what a listpack can hold, a gibibyte: `out` then holds no value. */
bool rdb_writer_end(struct rdb_writer *writer);

#endif
