/* SPDX-License-Identifier: BSD-3-Clause */
/* The string mutators: each stamps, applies and records one change. A string is a register of
 * bytes, an integer or float counter, or a large value that is patched block by block. */
#ifndef STORE_STRINGS_H
#define STORE_STRINGS_H

#include "store/store.h"

/* Sets the value. `expire_unix_ms` 0 removes any expiry; STRINGS_KEEP_EXPIRY leaves it. */
#define STRINGS_KEEP_EXPIRY UINT64_MAX
enum store_status strings_set(struct store *store, const struct key *key, struct slice value,
                              uint64_t expire_unix_ms);
enum { LENT_WASTE_DIVISOR = 16 /* so much of a block, at most, may be no part of the value */ };

/* A block from memory_alloc() that an argument came in, and that may become that of a value. */
struct lent_block {
    char *data;
    size_t capacity;
    bool is_taken; /* who lent it has it no more */
};
/* The same for a value that lies in `lent`: it may take that over instead of copying itself. What
 * else lies in there, such as the key's name, stays readable as long as the entry lives. NULL: as
 * strings_set(). */
enum store_status strings_set_lent(struct store *store, const struct key *key, struct slice value,
                                   uint64_t expire_unix_ms, struct lent_block *lent);
/* strings_set() where there is no entry, not even a hidden one, no walk is running, and the value
 * has at most ENTRY_INLINE_VALUE_BYTES_MAX. Returns the entry. */
struct entry *strings_add(struct store *store, const struct key *key, struct slice value);
/* Adds to an integer (an absent key counts as 0); `*result` is the new value. NOT_INTEGER,
 * OVERFLOW, WRONG_TYPE: nothing changed. */
enum store_status strings_add_integer(struct store *store, const struct key *key, int64_t delta,
                                      int64_t *result);
/* Adds to a float; `*result` is the new value, as number_format_float() prints it. NOT_FLOAT,
 * NOT_FINITE, WRONG_TYPE: nothing changed. */
enum store_status strings_add_float(struct store *store, const struct key *key, long double delta,
                                    long double *result);
/* Overwrites bytes from `offset` on, extending with zeros as needed (an absent key is empty): for
 * APPEND, SETRANGE, SETBIT, BITFIELD. Large values record just the patch. The caller has checked
 * that offset + size is within proto-max-bulk-len. `*size` is the new length; may be NULL. */
enum store_status strings_patch(struct store *store, const struct key *key, uint64_t offset,
                                struct slice bytes, uint64_t *size);
/* Replaces the value by that of a HyperLogLog whose registers in `pairs` rose. `pairs` has 3 bytes
 * for each, in the order in which they rose: index (16 bits, little endian) and value. `value` is
 * the whole new string; the expiry stays. Where raising `pairs` makes `value` of the old string,
 * byte for byte, they alone are recorded if they are shorter; a caller for whom they do not (the
 * key is new, the encoding changed) leaves them empty. */
enum store_status strings_set_registers(struct store *store, const struct key *key,
                                        struct slice value, struct slice pairs);

#endif
