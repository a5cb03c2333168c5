/* SPDX-License-Identifier: BSD-3-Clause */
/* Comparing one key, or one element, for rebasing (rebase.h): what would merging show, and what has
 * to be written so that the mesh shows it, too? */
#ifndef STORE_REBASE_COMPARE_H
#define STORE_REBASE_COMPARE_H

#include "store/sync_state.h"

/* Where the two sides lie, under one key; either may be absent. What merging makes of them comes to
 * lie in `aside`, under the same key. Both sides may be spelled out by it. */
struct rebase_place {
    const struct key *key;
    /* Of which `key` is an element, or `key` itself. */
    const struct key *owner;
    enum value_type type; /* of the owner, where it is an element; else VALUE_STRING */
    struct store *ours, *theirs, *aside;
    bool can_patch; /* the verdict may be PATCH */
};

enum rebase_kind {
    REBASE_NOTHING,
    REBASE_DELETE,
    REBASE_SET, /* to the value in `aside` */
    REBASE_EXPIRE,
    REBASE_INCREMENT,
    REBASE_FLOAT_INCREMENT,
    REBASE_PATCH,
};

struct rebase_verdict {
    enum rebase_kind kind;
    bool was_there;          /* the mesh had it */
    bool sets_expiry;        /* INCREMENT, PATCH: the expiry differs, too */
    uint64_t expire_unix_ms; /* wanted: 0 for none */
    int64_t delta;           /* INCREMENT */
    struct buffer
        takes; /* for *INCREMENT: parts that are taken off, too, as in a TAKE; the caller's */
    long double float_delta; /* FLOAT_INCREMENT */
    /* SET, DELETE: what does the same to numbers, should the mesh have written to them since:
     * *INCREMENT, or NOTHING; as long as they stand on the register with these ticks. */
    enum rebase_kind otherwise;
    uint64_t register_ticks;
    struct buffer patches; /* PATCH: rebase_next_patch(); the caller's */
};

/* Takes the next one off `patches`; false at their end. */
bool rebase_next_patch(struct slice *patches, uint64_t *offset, struct slice *bytes);

/* False when memory is out. Only for a SET something is left in `aside`. */
bool rebase_compare(struct sync *sync, const struct state_merge *merge,
                    const struct rebase_place *place, struct rebase_verdict *verdict);
/* Of the register that a string, or element, shows, or that its number stands on; 0: none. */
uint64_t rebase_register_ticks(const struct entry *entry);
/* As if merging had left our side, which is in `aside` by now. */
void rebase_judge_kept(struct sync *sync, const struct rebase_place *place,
                       struct rebase_verdict *verdict);
/* Is a change that the mesh lacks made again by this node? */
bool rebase_is_ours(const struct sync *sync, uint64_t stamp);
/* Had this node seen the beginning of a part of a counter, and not all that the mesh has of it? */
bool rebase_was_begun(const struct state_merge *merge, uint64_t start_ticks, uint64_t stamp);
/* Has the log a change of the key, or of an element (`type` is the owner's, else VALUE_STRING),
 * with the ticks of this stamp? */
bool rebase_was_logged(const struct sync *sync, const struct key *key, enum value_type type,
                       struct slice element, uint64_t stamp);
/* Has it all that is settled of this entry, and that cannot otherwise be told to have been seen
 * here? False for one that is contested, or has elements. */
bool rebase_all_was_logged(const struct sync *sync, const struct state_merge *merge,
                           const struct key *key, enum value_type type, struct slice element,
                           const struct entry *entry);
/* Has the log edits of the string that the mesh lacks, and nothing else that was done to it? */
bool rebase_is_edited(const struct sync *sync, const struct key *key);
struct entry *rebase_entry_at(const struct store *store, const struct key *key);
/* Removes what is in the store under the key, if anything. */
void rebase_drop(struct store *store, const struct key *key);

#endif
