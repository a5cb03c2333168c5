/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads one serialised value of any type, whatever layout Redis 2 to 7.4 gave it, as a series of
 * items that no longer show the layout:
 *
 *   string      one RDB_ITEM_STRING
 *   list        RDB_ITEM_ELEMENT..., from head to tail
 *   set         RDB_ITEM_MEMBER..., in no order
 *   hash        RDB_ITEM_FIELD..., in no order, with the time at which the field expires
 *   sorted set  RDB_ITEM_SCORED..., in no order
 *   stream      RDB_ITEM_ENTRY..., by rising id; one RDB_ITEM_STREAM; then for each group an
 *               RDB_ITEM_GROUP, for each of its consumers an RDB_ITEM_CONSUMER, and after each of
 *               those its RDB_ITEM_PENDING...
 *
 * Opening a reader walks all of the value once and refuses what no server wrote: sizes and counts
 * that do not agree, bytes left over, empty collections (but streams), members, fields, groups and
 * consumers that are there twice, scores that are not numbers, entries of a stream out of order, an
 * entry that is pending at two consumers or at none. After that every item is delivered and nothing
 * can fail: the second walk needs no memory that the first did not get.
 *
 * Work is linear in the size of the value and of what it expands to. Memory beside it: the largest
 * compressed part; some 20 to 60 bytes for each member, field or name of a group or consumer
 * while opening; 40 bytes for each pending entry of a group. Modules' values are refused as
 * malformed. */
#ifndef COMMANDS_RDB_READER_H
#define COMMANDS_RDB_READER_H

#include "base/hash.h"
#include "commands/rdb_packed.h"
#include "commands/rdb_stream.h"
#include "commands/rdb_value.h"

/* The fields of a stream's entry that were not read. */
struct rdb_entry_fields {
    bool is_like_first; /* the names are those of the node's first entry */
    uint64_t left;
    struct rdb_packed names; /* if so */
    struct rdb_packed rest;  /* values; and names, if not */
    char name_digits[NUMBER_INTEGER_BYTES_MAX], value_digits[NUMBER_INTEGER_BYTES_MAX];
};

struct rdb_entry {
    struct rdb_stream_id id;
    struct rdb_entry_fields fields; /* at least one */
};

enum rdb_item_kind {
    RDB_ITEM_STRING,
    RDB_ITEM_ELEMENT,
    RDB_ITEM_MEMBER,
    RDB_ITEM_FIELD,
    RDB_ITEM_SCORED,
    RDB_ITEM_ENTRY,
    RDB_ITEM_STREAM,
    RDB_ITEM_GROUP,
    RDB_ITEM_CONSUMER,
    RDB_ITEM_PENDING,
};

/* One part of a value. Slices live until the next item is asked for. */
struct rdb_item {
    enum rdb_item_kind kind;
    struct slice name;       /* the string, element, member, or name of the field */
    struct slice value;      /* FIELD */
    uint64_t expire_unix_ms; /* FIELD; 0: never */
    double score;            /* SCORED; infinite or a number */
    union {
        struct rdb_entry entry;       /* ENTRY */
        struct rdb_stream stream;     /* STREAM */
        struct rdb_group group;       /* GROUP */
        struct rdb_consumer consumer; /* CONSUMER */
        struct rdb_pending pending;   /* PENDING */
    };
};

/* Where a walk through a stream stands (rdb_reader_stream.c). */
struct rdb_reader_stream {
    enum { RDB_AT_NODES, RDB_AT_GROUPS, RDB_AT_CONSUMERS, RDB_AT_PENDING, RDB_AT_END } at;
    uint64_t nodes_left, groups_left, consumers_left, pending_left;
    /* The node whose entries are being read. */
    struct rdb_stream_id node_id;
    bool is_in_node;
    uint64_t first_fields_count, live_left, deleted_left;
    struct rdb_packed first_fields;
    /* What came so far. */
    uint64_t length;
    struct rdb_stream_id first_id, last_id;
    uint64_t group_number;
    /* The pending entries of the group, by rising id. */
    struct rdb_pending *pending;
    uint64_t pending_count, pending_room, owned_count;
};

struct rdb_reader {
    enum rdb_kind kind;
    uint64_t count; /* of items of a collection, or entries of a stream */
    /* The rest is the reader's own. */
    enum rdb_type type;
    bool is_checked;         /* all of it was read once */
    struct slice body, rest; /* all after the type byte; what was not read of it */
    uint64_t bytes_max;
    uint64_t left; /* elements that were not read, or nodes that were not opened */
    uint64_t expire_base_ms;
    struct rdb_packed packed; /* the node or collection that is being read */
    struct rdb_value_string name, value, node;
    struct rdb_reader_stream stream;
};

/* Opens `value`, a type byte and what follows it without the footer, and checks all of it. No
 * string in it may be above `bytes_max`. `seed` is secret: who can tell it could make a value that
 * is refused because two names seem equal. RDB_VALUE_OK, MALFORMED or OUT_OF_MEMORY; whatever comes
 * out, deinit the reader. The bytes must stay as they are until then. */
enum rdb_value_status rdb_reader_open(struct rdb_reader *reader, struct slice value,
                                      uint64_t bytes_max, struct hash_seed seed);
void rdb_reader_deinit(struct rdb_reader *reader);
/* Delivers the next item of a reader that is open; false at the end. */
bool rdb_reader_next(struct rdb_reader *reader, struct rdb_item *item);
/* Reads the next field of a stream's entry; false at the end. The slices live until the next call,
 * and may point into `fields`. */
bool rdb_entry_fields_next(struct rdb_entry_fields *fields, struct slice *name,
                           struct slice *value);

#endif
