/* SPDX-License-Identifier: BSD-3-Clause */
/* A part of the state on its way to a joiner: the keys of one range of hashes, in all databases, as
 * they were at one moment, with the context of that moment.
 *
 * Parts are cut by the top bits of the hash, so all nodes with one hash seed cut alike and a joiner
 * may take each part from somebody else (sync.h). The walk behind a part is exact: what a write
 * changes ahead of it goes out first, as it was. A flush or a swap of databases ends it: the part
 * has to be asked for AGAIN.
 *
 * A large collection comes in pieces, between which others may come (snapshot_elements.h).
 *
 *   header:  version byte | hash seed (16 bytes) | part, parts count | databases count |
 *            replicas count | replica... | retired count |
 *            (ref u64, last ticks, ticks when it began or 0)... |
 *            ends (replicas_put_ends()) |
 *            stamp of the databases' order (ticks, slot) | the order (databases.h), with its length
 *   replica: slot | node id (16 bytes) | generation | last ticks seen | marks count |
 *            (slot, ticks)...
 *   data:    batch...: length (u32) | pieces (state.h), with the slots of the header
 *
 * Numbers are varints unless said otherwise. A batch is whole pieces, about PART_BATCH_BYTES of
 * them, or one piece that is larger; whoever carries the data may cut it anywhere. */
#ifndef STORE_PART_H
#define STORE_PART_H

#include "store/store.h"

enum {
    PART_VERSION = 4,
    PART_COUNT_MAX = 65536,
    PART_BATCH_BYTES = 16 << 10,
    PART_BATCH_BYTES_MAX = 256 << 20, /* a batch that claims more is refused */
};

enum part_status {
    PART_MORE,  /* call again */
    PART_DONE,  /* that was all */
    PART_AGAIN, /* the walk ended before its time: what was read is worth nothing */
};

struct part_source;

/* The hashes that belong to a part: from *first to *last, both included. The count is a power of
 * two, at most PART_COUNT_MAX. */
void part_range(unsigned part, unsigned parts_count, uint64_t *first, uint64_t *last);
/* The part of a hash. */
static inline unsigned part_of(uint64_t hash, unsigned parts_count) {
    return (unsigned)(((__uint128_t)hash * parts_count) >> 64);
}

/* Begins to read a part and appends its header. The store outlives the source. */
struct part_source *part_open(struct store *store, unsigned part, unsigned parts_count,
                              struct buffer *header);
/* Appends about `bytes_max` bytes of data to `out`, never more. */
enum part_status part_read(struct part_source *source, struct buffer *out, size_t bytes_max);
/* Ends the walk, done or not. */
void part_close(struct part_source *source);

#endif
