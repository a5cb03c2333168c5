/* SPDX-License-Identifier: BSD-3-Clause */
/* What a stream is beside its entries, as serialised values have it: for reader and writer. */
#ifndef COMMANDS_RDB_STREAM_H
#define COMMANDS_RDB_STREAM_H

#include "base/slice.h"

struct rdb_stream_id {
    uint64_t ms, sequence;
};

static inline int rdb_stream_id_compare(struct rdb_stream_id a, struct rdb_stream_id b) {
    if (a.ms != b.ms) {
        return a.ms < b.ms ? -1 : 1;
    }
    return a.sequence < b.sequence ? -1 : a.sequence > b.sequence;
}

/* What a stream is beside its entries. */
struct rdb_stream {
    uint64_t length;
    struct rdb_stream_id first_id; /* of the first entry; 0-0 when there is none */
    struct rdb_stream_id last_id;  /* the greatest ever added; entries are at or below it */
    /* May be above last_id: XSETID can go back behind an entry that was deleted. */
    struct rdb_stream_id deleted_id_max;
    uint64_t entries_added;
    uint64_t groups_count;
};

enum { RDB_ENTRIES_READ_UNKNOWN = -1, RDB_NEVER_ACTIVE = -1 };

struct rdb_group {
    struct slice name;
    struct rdb_stream_id last_id; /* delivered last */
    int64_t entries_read;         /* or RDB_ENTRIES_READ_UNKNOWN */
    uint64_t pending_count, consumers_count;
};

struct rdb_consumer {
    struct slice name;
    int64_t seen_unix_ms;
    int64_t active_unix_ms; /* or RDB_NEVER_ACTIVE; before Redis 7.2 as seen_unix_ms */
    uint64_t pending_count;
};

struct rdb_pending {
    struct rdb_stream_id id; /* the entry may have been deleted */
    int64_t delivered_unix_ms;
    uint64_t deliveries_count;
    bool is_owned; /* by a consumer; true for those that an item shows */
};

#endif
