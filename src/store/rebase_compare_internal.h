/* SPDX-License-Identifier: BSD-3-Clause */
/* Comparing one key, between the files that do it: rebase_compare.c decides, rebase_numbers.c knows
 * of counters whose parts were folded or taken off, rebase_edits.c of strings that were edited. */
#ifndef STORE_REBASE_COMPARE_INTERNAL_H
#define STORE_REBASE_COMPARE_INTERNAL_H

#include "store/rebase_compare.h"

/* What a client would see of an entry. */
struct rebase_view {
    bool is_there, is_integer, is_number;
    struct slice bytes;
    int64_t integer;
    long double number;
    uint64_t expire_unix_ms;
    struct entry_scratch scratch;
};

void rebase_view_init(struct rebase_view *view, const struct store *store,
                      const struct entry *entry);
/* Is there a register with these ticks? */
bool rebase_has_register(const struct contested *contested, uint64_t ticks);
/* False when memory is out. */
bool rebase_add_copy(const struct state_merge *merge, struct contested *contested,
                     const struct contested_register *reg);

/* ---- rebase_numbers.c ---- */

/* Parts of which the mesh saw the beginning and has nothing: rebase.h. `is_any` when one was left
 * out. False when memory is out. */
bool rebase_drop_unclear(struct sync *sync, const struct state_merge *merge,
                         const struct rebase_place *place, struct contested *contested,
                         const struct contested *there, bool *is_any);
/* Both sides have folded a part, and one of them a lower one, too: then their numbers have one
 * stamp. What the mesh has folded and was not seen here is not to be taken away from it, so its
 * number counts, with the parts that it has yet to fold. Where it lacks some of what is folded here
 * (`*is_unclear`) that cannot be told apart, and is left out. False when memory is out. */
bool rebase_take_number(const struct state_merge *merge, struct contested *contested,
                        const struct contested *there, bool *is_unclear);
/* Parts that the mesh has seen to their ends and folded are in its register, which may hold others
 * that were never seen here. Folded here, they would get a register of the same stamp without
 * those, and the difference would take them away. False when memory is out. */
bool rebase_take_folded(const struct sync *sync, const struct state_merge *merge,
                        struct contested *contested, const struct contested *there);
/* Of which replicas are parts here? */
void rebase_note_parts(const struct contested *contested, bool is_here[STAMP_SLOTS_COUNT]);
/* Parts that were removed here, as far as they had been seen: nothing is left of that once it has
 * settled. The mesh has more of them by now; the log has what they were. The same for parts that
 * somebody has made again, as far as they had been seen as they were (made_counters.h). */
void rebase_take_off_removed(const struct sync *sync, const struct state_merge *merge,
                             const struct rebase_place *place, struct contested *wanted,
                             const bool is_here[STAMP_SLOTS_COUNT]);

/* Appends the part to `offs` if anything was taken off of it. */
void rebase_note_off(const struct contested_part *part, struct buffer *offs);
/* The parts that were noted are others' to make again, and the mesh has the beginning of some: what
 * was taken off of it here goes on being that. */
void rebase_take_off_again(struct contested *wanted, struct slice offs);

/* What was seen here of the mesh's parts and removed, and the mesh still counts. */
struct rebase_taken {
    struct buffer takes; /* as the value of a TAKE */
    int64_t total;
    long double float_total;
    bool is_float; /* some are */
    bool is_all;   /* the mesh's value has nothing else */
};

/* Notes it. Told as a TAKE, what two nodes make again of one removal takes off once; a difference
 * would twice. */
void rebase_note_taken(const struct sync *sync, const struct state_merge *merge,
                       const struct contested *wanted, const struct contested *there,
                       struct rebase_taken *taken);

/* ---- rebase_edits.c ---- */

/* Both sides may have folded edits below one and the same into their registers, or one has not
 * folded that one: then the mesh's value has what was never seen here, and counts. What it lacks
 * the log tells, or nothing does. Numbers are no such registers. False when memory is out. */
bool rebase_take_edited(const struct state_merge *merge, struct contested *contested,
                        const struct contested *there);
/* Notes the edits that the mesh lacks. False where they are no patches. */
bool rebase_note_edits(const struct state_merge *merge, const struct contested *wanted,
                       struct buffer *edits);
/* Likewise. False where it lacks more than patches. */
bool rebase_note_patches(const struct state_merge *merge, const struct contested *wanted,
                         struct buffer *patches);
/* Several HyperLogLogs, of writers that had begun one each: nobody's registers are lost. */
bool rebase_join_hyperloglogs(const struct store *store, struct contested *contested);
/* Are the bytes the same, but for where the edits are? */
bool rebase_differ_by_edits(struct slice wanted, struct slice theirs, struct slice edits);
/* Where nothing but edits was done to a string here, these are made again, whatever has become of
 * their stamps. HyperLogLogs are joined. False: it is neither. */
bool rebase_judge_edits(struct sync *sync, const struct rebase_place *place,
                        const struct rebase_view *ours, const struct rebase_view *wanted,
                        const struct rebase_view *theirs, struct rebase_verdict *verdict);

#endif
