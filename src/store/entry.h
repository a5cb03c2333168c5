/* SPDX-License-Identifier: BSD-3-Clause */
/* An entry is one key with its value and stamps: one allocation.
 *
 *   offset  size
 *   0       8     stamp of the newest change of the value
 *   8       4     meta: bits 0-4 kind, 5 has expiry, 6 expiry has a stamp of its own, 7 edited,
 *                 8-31 access (LRU clock or LFU counter)
 *   12      0|8   expiry, Unix milliseconds (0: none, but the stamp below matters)
 *           0|8   stamp of the expiry, where it differs from the value's
 *           1|5   key length (255: a 32-bit length follows)
 *           n     key
 *           m     body, by kind
 *
 *   kind               body
 *   BYTES              length 1|3|5 (254: 16 bits follow, 255: 32 bits), bytes
 *   INTEGER            int64: a register that is a canonical integer
 *   COUNTER            start ticks u64 | total i64
 *   COUNTER_REGISTER   start ticks u64 | total i64 | register stamp u64 | register i64
 *   FLOAT_COUNTER      start ticks u64 | total | register stamp u64 (0: none) | register
 *                      (both long double, 16 bytes)
 *   LARGE              address of a struct large_string: its own allocation
 *   CONTESTED          address of a struct contested: all else (contested.h)
 *   PACKED             as BYTES: a small collection (crdt/packed.h)
 *   COLLECTION         address of a struct collection: a larger one (collection.h)
 *
 * A counter's value is register + total, where the total is the sum of this replica's increments
 * since `start` (crdt/change.h); the entry's stamp is that of its newest increment. Reads and
 * writes of multi-byte fields are unaligned. Entries are allocated in size classes, so an update
 * that stays in its class happens in place. */
#ifndef STORE_ENTRY_H
#define STORE_ENTRY_H

#include <assert.h>

#include "base/memory.h"
#include "base/number.h"
#include "base/slice.h"
#include "crdt/packed.h"

enum entry_kind {
    ENTRY_BYTES = 0,
    ENTRY_INTEGER,
    ENTRY_COUNTER,
    ENTRY_COUNTER_REGISTER,
    ENTRY_FLOAT_COUNTER,
    ENTRY_LARGE,
    ENTRY_CONTESTED,
    ENTRY_PACKED,
    ENTRY_COLLECTION,
};

enum {
    ENTRY_KIND_MASK = 0x1F,
    ENTRY_HAS_EXPIRY = 0x20,
    ENTRY_HAS_EXPIRY_STAMP = 0x40,
    ENTRY_EDITED = 0x80, /* changed in part since it was set: its encoding is then "raw" */
    ENTRY_ACCESS_SHIFT = 8,
    ENTRY_TAIL_OFFSET = 12,
    /* Longer values live in an allocation of their own. */
    ENTRY_INLINE_VALUE_BYTES_MAX = 4000,
};

struct entry {
    uint64_t stamp;
    uint32_t meta;
    unsigned char tail[4]; /* at ENTRY_TAIL_OFFSET; really as long as needed */
};

static_assert(offsetof(struct entry, tail) == ENTRY_TAIL_OFFSET, "layout");

/* A long value; it is patched in place. Its bytes lie behind it, or in a block of their own, not
 * necessarily at its beginning: one in which they came. */
struct large_string {
    size_t size;
    size_t capacity;
    char *bytes;
    void *block; /* or NULL: behind */
};

struct contested;
struct collection;

/* What an entry is made of, for building a new one. */
struct entry_parts {
    enum entry_kind kind;
    uint64_t stamp;
    uint32_t flags;  /* ENTRY_EDITED or 0 */
    uint32_t access; /* 24 bits */
    struct slice key;
    bool has_expiry;
    uint64_t expire_unix_ms;
    uint64_t expire_stamp; /* 0 or `stamp`: none of its own */
    struct slice bytes;    /* BYTES, PACKED */
    int64_t integer;       /* INTEGER: the value; COUNTER*: the register */
    uint64_t start_ticks;  /* COUNTER*, FLOAT_COUNTER */
    int64_t total;         /* COUNTER* */
    uint64_t register_stamp;
    long double float_total;
    long double float_register;
    struct large_string *large;    /* LARGE: moves into the entry */
    struct contested *contested;   /* CONTESTED: likewise */
    struct collection *collection; /* COLLECTION: likewise */
};

/* Room for the text of a number; reading a value may need one. */
struct entry_scratch {
    char bytes[NUMBER_FLOAT_BYTES_MAX];
};

static inline enum entry_kind entry_kind(const struct entry *entry) {
    return (enum entry_kind)(entry->meta & ENTRY_KIND_MASK);
}

static inline uint32_t entry_access(const struct entry *entry) {
    return entry->meta >> ENTRY_ACCESS_SHIFT;
}

static inline void entry_set_access(struct entry *entry, uint32_t access) {
    entry->meta = (entry->meta & 0xFF) | access << ENTRY_ACCESS_SHIFT;
}

static inline uint64_t entry_load64(const unsigned char *at) {
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static inline void entry_store64(unsigned char *at, uint64_t value) {
    memcpy(at, &value, sizeof(value));
}

/* Where the key's length is. */
static inline const unsigned char *entry_key_field(const struct entry *entry) {
    const unsigned char *at = (const unsigned char *)entry + ENTRY_TAIL_OFFSET;
    /* Branch-free: each flag adds eight bytes. */
    return at + ((entry->meta & ENTRY_HAS_EXPIRY) >> 2) +
           ((entry->meta & ENTRY_HAS_EXPIRY_STAMP) >> 3);
}

static inline struct slice entry_key(const struct entry *entry) {
    const unsigned char *at = entry_key_field(entry);
    if (at[0] != 255) {
        return slice_make(at + 1, at[0]);
    }
    uint32_t size;
    memcpy(&size, at + 1, sizeof(size));
    return slice_make(at + 5, size);
}

/* Where the body begins. */
static inline unsigned char *entry_body(const struct entry *entry) {
    struct slice key = entry_key(entry);
    return (unsigned char *)key.data + key.size;
}

/* Unix milliseconds, or 0 without an expiry. */
static inline uint64_t entry_expire_unix_ms(const struct entry *entry) {
    return (entry->meta & ENTRY_HAS_EXPIRY) == 0
               ? 0
               : entry_load64((const unsigned char *)entry + ENTRY_TAIL_OFFSET);
}

/* The stamp of the expiry's register: the value's where there is no other. */
static inline uint64_t entry_expire_stamp(const struct entry *entry) {
    return (entry->meta & ENTRY_HAS_EXPIRY_STAMP) == 0
               ? entry->stamp
               : entry_load64((const unsigned char *)entry + ENTRY_TAIL_OFFSET + 8);
}

/* The newest stamp of anything in the entry. */
static inline uint64_t entry_newest_stamp(const struct entry *entry) {
    uint64_t expire = entry_expire_stamp(entry);
    return expire > entry->stamp ? expire : entry->stamp;
}

/* A new entry; the caller owns it. A collection then knows it as its own. NULL when memory for a
 * large one is out. */
struct entry *entry_new(const struct entry_parts *parts);
/* Reads an entry back into parts; the slices point into it. */
void entry_take_apart(const struct entry *entry, struct entry_parts *parts);
/* Frees the entry and what it owns. */
void entry_free(struct entry *entry);
/* Overwrites a BYTES entry's value in place if the new one stays in its size class and the entry
 * has no expiry; false, with nothing changed, if not. */
bool entry_overwrite_bytes(struct entry *entry, struct slice value);
/* Bytes of the entry's own block. */
size_t entry_block_bytes(const struct entry *entry);
/* Bytes of all the entry's memory; of a collection estimated from so many elements, or from
 * ENTRY_MEMORY_SAMPLES. */
enum { ENTRY_MEMORY_SAMPLES = 32 };
size_t entry_memory_bytes(const struct entry *entry);
size_t entry_memory_bytes_sampled(const struct entry *entry, uint64_t samples);

/* Overwrites the packed collection in place if the new one stays in its size class; false, with
 * nothing changed, if not. */
bool entry_overwrite_packed(struct entry *entry, struct slice packed);
/* The bytes of a PACKED entry. */
struct slice entry_packed(const struct entry *entry);
/* What the key holds, as commands see it; VALUE_STRING of a hidden one. */
enum value_type entry_type(const struct entry *entry);

/* The value of a string as bytes (empty for other types): a slice of the entry itself where it
 * holds bytes, else text in `scratch`. */
struct slice entry_value(const struct entry *entry, struct entry_scratch *scratch);
size_t entry_value_bytes(const struct entry *entry);
/* The value as an integer: exact for INTEGER and COUNTER kinds, parsed otherwise; false when it is
 * none. */
bool entry_integer(const struct entry *entry, int64_t *value);
static inline struct large_string *entry_large(const struct entry *entry) {
    return (struct large_string *)(uintptr_t)entry_load64(entry_body(entry));
}
static inline struct contested *entry_contested(const struct entry *entry) {
    return (struct contested *)(uintptr_t)entry_load64(entry_body(entry));
}
static inline struct collection *entry_collection(const struct entry *entry) {
    return (struct collection *)(uintptr_t)entry_load64(entry_body(entry));
}
/* A large string with room for `capacity` bytes, or NULL; freed by large_string_free(). */
struct large_string *large_string_new(size_t size, size_t capacity);
/* The same of zeros, by the system where it is large: pages that nobody touches cost nothing. */
struct large_string *large_string_new_zero(size_t size);
/* One with a copy of the bytes, and no more room; or NULL. */
struct large_string *large_string_copy(struct slice bytes);
/* One of bytes that lie in `block`, which it takes over, with so much room from there on. */
struct large_string *large_string_adopt(void *block, char *bytes, size_t size, size_t capacity);
/* Gives it room for `size` bytes, and more to grow; false, with nothing changed, when memory is
 * out.
 */
bool large_string_reserve(struct large_string **at, size_t size);
/* Lengthens it to `size` bytes, for which there is room, by zeros. */
void large_string_extend(struct large_string *large, size_t size);
void large_string_free(struct large_string *large);

#endif
