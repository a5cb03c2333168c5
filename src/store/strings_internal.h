/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of strings share: strings.c sets and adds, strings_edit.c patches large values and
 * raises registers of HyperLogLogs, strings_apply.c puts what was recorded. The put_ functions take
 * the stamp: local writes and recorded changes meet in them. They record nothing. */
#ifndef STORE_STRINGS_INTERNAL_H
#define STORE_STRINGS_INTERNAL_H

#include "store/merge.h"
#include "store/strings.h"

/* Does a local write have to go the long way? */
static inline bool strings_is_intricate(const struct store *store, const uint64_t *slot) {
    return unlikely(!store->is_alone) && slot != NULL &&
           merge_is_intricate(store, table_item(*slot));
}

static inline bool strings_is_string(const struct entry *entry) {
    return entry_kind(entry) < ENTRY_CONTESTED || entry_type(entry) == VALUE_STRING;
}

/* ---- strings.c ---- */

/* The entry at `slot`, treating an expired one as absent: it is removed first, recorded. A hidden
 * one counts as absent, too, but keeps its slot: it is intricate. */
struct entry *strings_current(struct store *store, const struct key *key, uint64_t **slot);
/* Fills in expiry and access as the new entry shall have them. */
void strings_inherit(const struct store *store, const struct entry *old, struct entry_parts *parts,
                     uint64_t expire_unix_ms);
/* Puts a register: the whole value, with `expire_unix_ms` as strings_set() takes it. `flags` is 0
 * or ENTRY_EDITED. */
enum store_status strings_put_register(struct store *store, const struct key *key, uint64_t *slot,
                                       uint64_t stamp, struct slice value, uint64_t expire_unix_ms,
                                       uint32_t flags);
/* Puts this replica's part of an integer counter; at `slot` is an integer of some kind, or none. */
void strings_put_counter(struct store *store, const struct key *key, uint64_t *slot, uint64_t stamp,
                         uint64_t start_ticks, int64_t total);
/* What a float counter would take over from the entry, its register and the part so far; false: it
 * is no number. */
bool strings_float_base(const struct entry *entry, struct entry_parts *parts);
/* Puts this replica's part of a float counter: `parts` has its stamp and what strings_float_base()
 * fills in. */
void strings_put_float_counter(struct store *store, const struct key *key, uint64_t *slot,
                               struct entry_parts *parts);

/* ---- strings_edit.c ---- */

/* Puts bytes from `offset` on into what becomes, or is, a large value. OUT_OF_MEMORY: nothing
 * changed. */
enum store_status strings_put_patch(struct store *store, const struct key *key, uint64_t *slot,
                                    uint64_t stamp, uint64_t offset, struct slice bytes);
/* Raises registers of the HyperLogLog at `slot`: dense ones in place. MALFORMED: there is none, or
 * `pairs` are not those of one. */
enum store_status strings_put_registers(struct store *store, const struct key *key, uint64_t *slot,
                                        uint64_t stamp, struct slice pairs);

#endif
