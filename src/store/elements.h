/* SPDX-License-Identifier: BSD-3-Clause */
/* Elements of hashes, sets and sorted sets: reading and writing them, packed or not.
 *
 * A writer is opened for a key, its calls each stamp, apply and record one change of one element,
 * and closing it puts the key right: a key without elements is gone, one that was absent is there.
 * Open it, write, close it within one command, with no other call about that key in between. */
#ifndef STORE_ELEMENTS_H
#define STORE_ELEMENTS_H

#include "crdt/packed_list.h"
#include "store/collection.h"
#include "store/store.h"

/* ---- reading ---- */

/* The elements of one key. Valid until the key changes. */
struct elements {
    enum value_type type;
    uint64_t count;
    struct slice packed;           /* in this form, */
    struct collection *collection; /* or in this one; NULL: packed, or none at all */
    const struct ordered_map *map; /* or, of a list that is being written, in this one */
};

/* One element as it is shown; slices are valid until it changes, or the view is used again. Those
 * of a packed list that elements_each() or elements_scan() shows are, during that call only. */
struct element {
    struct slice name;
    struct slice value;      /* of a hash */
    double score;            /* of a sorted set */
    uint64_t expire_unix_ms; /* of a field; 0: never */
    struct entry_scratch scratch;
};

/* The key's elements: OK; ABSENT, with no elements; or WRONG_TYPE. Counts as a read. */
enum store_status elements_read(struct store *store, const struct key *key, enum value_type type,
                                struct elements *elements);
/* The same for who is about to change them: neither hit nor miss. */
enum store_status elements_look(struct store *store, const struct key *key, enum value_type type,
                                struct elements *elements);
/* The elements of an entry that has them. */
void elements_of(const struct entry *entry, struct elements *elements);
/* The element of that name; false when there is none, or its time has come. Not of lists. */
bool elements_find(const struct store *store, const struct elements *elements, struct slice name,
                   struct element *element);
typedef void (*element_fn)(void *udata, const struct element *element);
/* Calls `each` for all elements: a packed sorted set's by order, else in no order. It may not
 * change the key. */
void elements_each(const struct store *store, const struct elements *elements, element_fn each,
                   void *udata);
/* As elements_each(), also for those whose time has come and that nobody has removed yet: what has
 * been written, whatever the time is. */
void elements_each_written(const struct store *store, const struct elements *elements,
                           element_fn each, void *udata);
/* As elements_each() for some elements from `position` on, which is 0 at the beginning; returns the
 * next position, 0 at the end. An element that stays is seen, whatever comes and goes meanwhile.
 * Positions are those of table_walk(). */
uint64_t elements_scan(const struct store *store, const struct elements *elements,
                       uint64_t position, element_fn each, void *udata);
/* One element, chosen nearly uniformly; false when there is none. */
bool elements_random(struct store *store, const struct elements *elements, struct element *element);
/* Shows the entry of an element that is not packed. */
void element_view(const struct entry *entry, enum value_type type, struct element *element);
/* Of a set: are all members integers, and were they since it is packed? */
bool elements_are_integers(const struct store *store, const struct elements *elements);

/* ---- writing ---- */

struct elements_writer {
    struct store *store;
    struct key key;
    enum value_type type;
    struct collection *collection; /* once it is known not to be packed */
    uint64_t *slot;    /* of an entry that was there, until it is first looked for; else NULL */
    bool is_key_fresh; /* there was no value */
    bool has_written;
    bool gathers; /* gathered.h */
    /* A list that is packed is changed here, and packed again when the writer closes. */
    bool has_list;
    uint64_t list_stamp; /* of the last change of it; 0: none */
    struct packed_list list;
    uint64_t list_count; /* of a packed list that is not open, after a push; 0: to be looked up */
    bool hides_new; /* closing does not tell that the key is new: its owner does, or it is not */
};

/* OK, or WRONG_TYPE: then nothing is open. Whether the key is there says `writer->is_key_fresh`. A
 * key that has expired is removed; one that is there counts as accessed, changed or not.
 * `key->name` lives as long as the writer, and not in the entry. */
enum store_status elements_open(struct store *store, const struct key *key, enum value_type type,
                                struct elements_writer *writer);
/* As many new elements as that follow, or fewer; no name comes twice, if `are_distinct`. Where
 * there are none so far, they are packed all together; or not at first, if they would be too many:
 * each would be looked for among those before. */
void elements_expect(struct elements_writer *writer, uint64_t count, bool are_distinct);
/* What is there now. */
void elements_written(struct elements_writer *writer, struct elements *elements);
/* Sets a field, or adds a member (value: empty); `*is_new`: there was no such element. The expiry
 * of a field goes, unless `keeps_expiry`. OUT_OF_MEMORY: nothing changed. */
enum store_status element_set(struct elements_writer *writer, struct slice name, struct slice value,
                              bool keeps_expiry, bool *is_new);
/* Sets a member's score, which is a number. */
enum store_status element_set_score(struct elements_writer *writer, struct slice name, double score,
                                    bool *is_new);
/* Removes an element; false when there is none. */
bool element_delete(struct elements_writer *writer, struct slice name);
/* Takes off parts of a counter, as in the value of a TAKE. */
void element_take(struct elements_writer *writer, struct slice name, struct slice takes);
/* Adds to a field as an integer: as strings_add_integer(). */
enum store_status element_add_integer(struct elements_writer *writer, struct slice name,
                                      int64_t delta, int64_t *result);
/* Adds to a field as a float: as strings_add_float(). */
enum store_status element_add_float(struct elements_writer *writer, struct slice name,
                                    long double delta, long double *result);
/* Adds to a score. NOT_FINITE: it would be no number; nothing changed. */
enum store_status element_add_score(struct elements_writer *writer, struct slice name, double delta,
                                    double *result);
/* Sets a field's expiry (Unix milliseconds), or removes it with 0; a time that has passed deletes
 * the field. False when there is no such field, or, with 0, no expiry. */
bool element_expire(struct elements_writer *writer, struct slice name, uint64_t expire_unix_ms);
void elements_close(struct elements_writer *writer);

/* Copies all elements of `from` to `to`, with the key's and their own expiries, in the place of
 * whatever is there. OK or ABSENT. */
enum store_status elements_copy(struct store *store, const struct key *from, const struct key *to);
/* As elements_copy() and deleting `from`, where the collection can be put under the other key as it
 * is: at once where nobody has to be told of it, else told element by element. False, with nothing
 * changed, where it cannot. */
bool elements_rename(struct store *store, const struct key *from, const struct key *to);
/* Looks for fields whose time has come at up to 16 places of hashes that have such, removes them,
 * and tells how many; `*pass_done`: all hashes were looked through once. */
uint64_t elements_expire_some(struct store *store, bool *pass_done);

#endif
