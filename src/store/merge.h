/* SPDX-License-Identifier: BSD-3-Clause */
/* Merging: applying changes to keys whose state is more than a compact entry can say.
 *
 * The one rule: a change supersedes exactly what its writer had seen at its place, and adds what it
 * says. merge_apply() is that rule for every kind of change and every state of a key, element by
 * element; strings.c and store.c keep shorter ways for compact entries that are covered as a whole.
 * Local writes have seen everything here, so they are the same rule with this node as the writer.
 * For the files of store/ only. */
#ifndef STORE_MERGE_H
#define STORE_MERGE_H

#include "store/collection.h"
#include "store/contested.h"
#include "store/mutate.h"

/* Does a local write to this entry need more than the shorter ways: is it contested, a counter with
 * a part of somebody else, or a collection with elements that may be one of these? */
static inline bool merge_is_intricate(const struct store *store, const struct entry *entry) {
    if (store->is_alone) {
        return false;
    }
    enum entry_kind kind = entry_kind(entry);
    if (unlikely(kind == ENTRY_COLLECTION)) {
        const struct collection *collection = entry_collection(entry);
        return collection->contested_count > 0 || collection->grave != NULL ||
               collection_has_parts_beside(collection, store->replicas.self);
    }
    return kind == ENTRY_CONTESTED || ((kind == ENTRY_COUNTER || kind == ENTRY_COUNTER_REGISTER ||
                                        kind == ENTRY_FLOAT_COUNTER) &&
                                       stamp_slot(entry->stamp) != store->replicas.self);
}

/* Applies a change of one key; FLUSH counts as DELETE. One that has no effect touches nothing.
 * OUT_OF_MEMORY: nothing changed. */
enum store_status merge_apply(struct store *store, const struct key *key,
                              const struct change *change);

/* What a change of an element of `except` does to its key beside that: takes away what its writer
 * had seen of other types, and of expiries where it is fresh. */
void merge_drop_types(struct store *store, struct contested *contested,
                      const struct collection *except, const struct change *change);
/* Tells of a key that has got values of more than one type by the change with `stamp`. */
void merge_report_types(struct store *store, const struct key *key,
                        const struct contested *contested, uint64_t stamp);
/* Forgets how far retiring a slot has come in the collection. */
void retire_forget_collection(struct collection *collection);
/* Makes part number `i` one with the shown register. A text that is no number hides it for good. */
void retire_fold_part(const struct store *store, struct contested *contested, unsigned i);
/* The stamp of the register that this part of `contested` becomes one with. */
uint64_t retire_folded_stamp(const struct contested *contested, const struct contested_part *part);
/* Settles the elements of a replica that is retired, up to these ticks; but for its part. */
void retire_stamps(struct contested *contested, unsigned slot, uint64_t ticks_max);

/* ---- local writes: they record what they do ---- */

/* The part that this node goes on with, or NULL: a part that was taken off as a whole is over. */
const struct contested_part *merge_own_part(const struct store *store, const struct entry *entry);
/* Appends what is here of others' parts of one counter, for the value of a TAKE. */
void merge_put_takes(const struct store *store, struct buffer *list, const struct entry *entry);
/* Appends that so much of the part had been seen, as one who takes it off tells it. */
void merge_put_take(const struct store *store, struct buffer *list,
                    const struct contested_part *part, uint64_t seen, int64_t total,
                    long double float_total);
/* Takes off what is here of others' parts, as SET and DELETE must first; of elements it is only
 * recorded, see collection_take(). */
void merge_take(struct store *store, const struct key *key);
/* Takes off what is here of others' parts of other types than that of `except` (NULL: a string), as
 * a change of one type must first where there are several. */
void merge_take_types(struct store *store, const struct key *key, const struct collection *except);
/* Applies and records a change that has its stamp. OUT_OF_MEMORY: neither. */
enum store_status merge_write(struct store *store, const struct key *key, struct change *change);
/* Stamps, applies and records a change of a string after merge_take_types(). OUT_OF_MEMORY: none of
 * all that was done. */
enum store_status merge_write_over_types(struct store *store, const struct key *key,
                                         struct change *change);
/* Sets the value; `expire_unix_ms` as in strings_set(). */
enum store_status merge_set(struct store *store, const struct key *key, struct slice value,
                            uint64_t expire_unix_ms);
/* Deletes the key, a large collection with counters, without naming these (amounts.h); false: it is
 * none. `key->name` may lie in the entry. */
bool merge_delete_untold(struct store *store, const struct key *key);
/* Deletes the key; `key->name` may lie in the entry. */
void merge_delete(struct store *store, const struct key *key);

#endif
