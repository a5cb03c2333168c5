/* SPDX-License-Identifier: BSD-3-Clause */
/* A hash table that keeps its items in the order of their hash.
 *
 * The idea: the place of an item is a monotone function of its hash, at every level. The top bits
 * choose a segment through a directory, the next TABLE_TAG_BITS bits (the tag) choose the home
 * bucket inside it by multiplication, home = tag * buckets / 2^TABLE_TAG_BITS. So walking the
 * table visits items by rising hash, whatever its size is at the moment: a position in a walk is
 * just a hash, and survives any growth or shrinking. SCAN cursors, the snapshot walk and expiry
 * all rest on that.
 *
 *   directory           segment (one block)
 *   +----------+        +--------+----------+----------+-----+----------+
 *   | block|nb | -----> | header | bucket 0 | bucket 1 | ... | nb+spill |
 *   +----------+        +--------+----------+----------+-----+----------+
 *                                  8 slots of 64 bits: one cache line
 *
 *   slot: tag (19 bits) | mark (1 bit) | item address / 16 (44 bits); 0 is empty
 *
 * A bucket that is full overflows into the next one (linear probing by buckets); the last buckets
 * of a segment are spill room that no tag calls home. A segment grows by size classes of about a
 * fifth, without touching the items, since the tags suffice; beyond the largest class it splits in
 * two, and the directory doubles when needed. So growth costs at most one segment of some 1,500
 * items at a time, and the load stays between 0.75 and 0.9: about 10 bytes a key. Where items crowd
 * together, since they come in the order of their hash, a segment splits earlier than that.
 *
 * Invariants, checked by table_check():
 *   I1  occupied slots of a bucket come first.
 *   I2  an item sits at its home bucket or a few after it, and every bucket between is full.
 *   I3  2^(depth - local depth) consecutive directory cells point to one segment.
 *   I4  each segment knows the number of its items and of its marked items.
 *
 * The mark is one bit per item for the owner's use: it lets a walk find the few marked items
 * (keys with an expiry) without looking at the others.
 *
 * Items are opaque addresses aligned to 16 bytes, below 2^48. The table owns its slots, never the
 * items. One thread at a time. */
#ifndef CONTAINERS_TABLE_H
#define CONTAINERS_TABLE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/prefetch.h"
#include "base/prng.h"

enum {
    TABLE_TAG_BITS = 19,
    TABLE_POINTER_BITS = 44,
    TABLE_BUCKET_SLOTS = 8,
    TABLE_DEPTH_MAX = 36,
};

static_assert(TABLE_TAG_BITS + 1 + TABLE_POINTER_BITS == 64, "a slot is 64 bits");

#define TABLE_MARK ((uint64_t)1 << TABLE_POINTER_BITS)
#define TABLE_POINTER_MASK (TABLE_MARK - 1)
#define TABLE_CELL_POINTER ((UINT64_C(1) << 48) - 1)

/* Recomputes the hash of an item: needed when a segment splits. */
typedef uint64_t (*table_hash_fn)(const void *item, const void *udata);

struct table {
    uint64_t *directory; /* cells: segment address | its depth << 48 | its home buckets << 56 */
    unsigned depth;      /* the directory has 2^depth cells */
    uint64_t count;
    uint64_t marked_count;
    uint64_t slots_count; /* slots of all segments, spill included */
    uint64_t segments_count;
    table_hash_fn hash;
    const void *udata;
};

/* ---- lifecycle ---- */

/* An empty table takes one small segment. `hash` is called with `udata`. */
void table_init(struct table *table, table_hash_fn hash, const void *udata);
/* Frees the slots; the items stay the caller's. */
void table_deinit(struct table *table);

/* ---- lookup ---- */

static inline void *table_item(uint64_t slot) {
    return (void *)(uintptr_t)((slot & TABLE_POINTER_MASK) << 4);
}

static inline uint64_t table_cell(const struct table *table, uint64_t hash) {
    /* Two shifts, since a shift by 64 at depth 0 would be undefined. */
    return table->directory[(hash >> 1) >> (63 - table->depth)];
}

static inline uint64_t table_tag(uint64_t hash, unsigned depth) {
    return (hash << depth) >> (64 - TABLE_TAG_BITS);
}

struct table_segment {
    uint16_t homes;   /* buckets that tags call home */
    uint16_t buckets; /* homes and spill */
    uint16_t count;
    uint16_t marked_count;
    uint8_t depth;      /* how many top bits of the hash all its items share */
    uint8_t size_class; /* index into the sizes in table.c */
    uint8_t unused[54];
    uint64_t slots[]; /* buckets * TABLE_BUCKET_SLOTS */
};

static_assert(sizeof(struct table_segment) == 64, "slots start on a cache line");

static inline struct table_segment *table_cell_segment(uint64_t cell) {
    return (struct table_segment *)(uintptr_t)(cell & TABLE_CELL_POINTER);
}

/* The home bucket and the tag of `hash`. The cell repeats the segment's depth and size, so that a
 * lookup does not touch the segment's header. */
static inline uint64_t *table_home(const struct table *table, uint64_t hash, uint64_t *tag) {
    uint64_t cell = table_cell(table, hash);
    *tag = table_tag(hash, (cell >> 48) & 0xFF);
    uint64_t home = (*tag * (cell >> 56)) >> TABLE_TAG_BITS;
    return table_cell_segment(cell)->slots + home * TABLE_BUCKET_SLOTS;
}

/* Asks the processor for the bucket of `hash`. */
static inline void table_prefetch(const struct table *table, uint64_t hash) {
    uint64_t tag;
    prefetch(table_home(table, hash, &tag));
}

/* The item that `hash` probably leads to, without a look at it; NULL: there is probably none. Its
 * bucket should be in cache. */
static inline void *table_probable_item(const struct table *table, uint64_t hash) {
    uint64_t tag;
    const uint64_t *bucket = table_home(table, hash, &tag);
    for (unsigned i = 0; i < TABLE_BUCKET_SLOTS && bucket[i] != 0; i++) {
        if (bucket[i] >> (64 - TABLE_TAG_BITS) == tag) {
            return table_item(bucket[i]);
        }
    }
    return NULL;
}

/* The slot of the first item with `hash` that `match(item, udata)` accepts, or NULL. Valid until
 * the table changes. Inlined so that a constant `match` is, too. */
static inline __attribute__((always_inline)) uint64_t *
table_find(const struct table *table, uint64_t hash, bool (*match)(const void *, const void *),
           const void *udata) {
    uint64_t tag;
    uint64_t *bucket = table_home(table, hash, &tag);
    for (;; bucket += TABLE_BUCKET_SLOTS) {
        for (unsigned i = 0; i < TABLE_BUCKET_SLOTS; i++) {
            uint64_t slot = bucket[i];
            if (slot == 0) {
                return NULL;
            }
            if (slot >> (64 - TABLE_TAG_BITS) == tag && match(table_item(slot), udata)) {
                return bucket + i;
            }
        }
    }
}

/* ---- changes ---- */

/* Adds an item whose key is not in the table. */
void table_insert(struct table *table, uint64_t hash, void *item, bool is_marked);
/* Takes the item at `slot`, which belongs to `hash`, out of the table. Never moves memory. */
void table_remove(struct table *table, uint64_t hash, uint64_t *slot);
/* Puts another item with the same key into `slot`, keeping the mark. */
static inline void table_replace(uint64_t *slot, void *item) {
    *slot = (*slot & ~TABLE_POINTER_MASK) | (uint64_t)(uintptr_t)item >> 4;
}
/* Sets or clears the mark of the item at `slot`. */
void table_mark(struct table *table, uint64_t hash, uint64_t *slot, bool is_marked);
/* Makes room for about `count` items, so that loading them does not grow step by step. */
void table_expect(struct table *table, uint64_t count);
/* Gives back what one sparse segment at `hash` does not need; call it on removal-heavy paths. */
void table_shrink_segment(struct table *table, uint64_t hash);

/* ---- walking ---- */

typedef void (*table_visit_fn)(void *item, void *udata);

/* Visits all items of one home bucket, the one that `position` falls in, as far as their hash is
 * at or above it (to the precision of the tag), and returns the position where the next call goes
 * on; 0 when the walk is through. An item that is in the table during the whole walk is visited
 * exactly once. The visitor may not change the table. */
uint64_t table_walk(const struct table *table, uint64_t position, table_visit_fn visit,
                    void *udata);
/* As table_walk(), for marked items only; passes over segments without any in one step. At most
 * `buckets_max` buckets a call. */
uint64_t table_walk_marked(const struct table *table, uint64_t position, unsigned buckets_max,
                           table_visit_fn visit, void *udata);
/* Has a walk that stands at `position` passed `hash`? Exact for positions that table_walk() gave,
 * since segments split but never merge. */
static inline bool table_walk_passed(uint64_t hash, uint64_t position) {
    return hash < position;
}
/* An item chosen almost uniformly; NULL when empty. With `only_marked`, among marked items. */
void *table_random(const struct table *table, struct prng *prng, bool only_marked);
/* Visits up to `count` items from a random place on, for sampling. */
void table_sample(const struct table *table, struct prng *prng, bool only_marked, unsigned count,
                  table_visit_fn visit, void *udata);

/* ---- introspection ---- */

/* Bytes of directory and segments. */
uint64_t table_memory_bytes(const struct table *table);
/* Walks everything and asserts I1 to I4. */
void table_check(const struct table *table);

#endif
