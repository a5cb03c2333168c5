/* SPDX-License-Identifier: BSD-3-Clause */
/* What a DELETE of a large collection took off counters, told only where somebody has to know.
 *
 * A DELETE takes off what its writer had seen of each counter. A reader who has nothing beyond that
 * takes off all there is, and needs no numbers. Only who has increments that the writer had not
 * seen must know how much there was without them. With millions of counters it would take a second
 * to name all amounts, and nobody would read most of them. So such a DELETE is "untold"
 * (crdt/change.h), and its reader
 *
 *   1  looks for counters of which he has more (amounts_add()), before he applies anything of the
 *      unit, and asks whom the record came from: who has applied it has ghosts;
 *   2  keeps the answers (amounts_answered()) until all that is missing is there;
 *   3  puts them as TAKEs before the DELETE, into the very record. That is what he applies, logs,
 *      and passes on: so his log is whole by itself, and the unit is applied all or none.
 *
 * Whoever applies his own log to another state (the replay of node_mesh_join.c) asks himself,
 * before that takes the place of his own (amounts_remember()).
 *
 *   question: author ref u64 | ticks of the DELETE (varint) | database (varint) | key | type byte |
 *             name...
 *   answer:   author ref u64 | ticks (varint) | type byte | (name | list of crdt/change.h)...
 *   key, name, list: length (varint) | bytes
 *
 * A list has all parts of the element of which anything is taken off; none: it is empty. */
#ifndef STORE_AMOUNTS_H
#define STORE_AMOUNTS_H

#include "crdt/stream.h"
#include "store/store.h"

/* Lists by where they belong. A zeroed struct is empty. */
struct amounts {
    struct amounts_item **cells;
    size_t capacity, count;
    uint64_t bytes;
};

void amounts_deinit(struct amounts *amounts);

/* ---- of who reads an untold DELETE ---- */

enum amounts_status {
    AMOUNTS_NONE,    /* there is nothing to add */
    AMOUNTS_ADDED,   /* `out` has more than was read */
    AMOUNTS_MISSING, /* questions were appended */
    AMOUNTS_MALFORMED,
};

/* One unit on its way through amounts_add(), record by record. */
struct amounts_unit {
    struct store *store;
    unsigned author; /* its slot */
    /* Where answers are: those that were got, or, where that is set, remembered ones; then what is
     * not there is nothing. */
    const struct amounts *answers;
    bool is_remembered;
    uint64_t seen[STAMP_SLOTS_COUNT]; /* what the records' marks say */
    struct buffer *questions;         /* each with its length (varint) */
    struct amounts given;             /* by who passed the unit on */
    uint64_t ticks;                   /* of its last change so far */
};

void amounts_unit_deinit(struct amounts_unit *unit);

/* Appends the record to `out` with what has to be added: one or more, each with its length
 * (varint). With MISSING and MALFORMED `out` is of no use. The record was read through before. */
enum amounts_status amounts_add(struct amounts_unit *unit, struct slice record, struct buffer *out);
/* Is a DELETE of the batch untold? */
bool amounts_are_asked(struct slice batch);
/* Keeps an answer; false when it makes no sense. */
bool amounts_answered(struct amounts *answers, struct slice answer);

/* ---- of who is asked ---- */

/* Appends the answer; nothing where the DELETE has not been applied here. False: the question makes
 * no sense. */
bool amounts_answer(const struct store *store, struct slice question, struct buffer *answer);

/* ---- of one's own ---- */

/* Keeps what is taken off here under the keys that the record deletes untold. */
void amounts_remember(struct amounts *amounts, struct store *store,
                      const struct stream_record *record);
typedef void (*amounts_each_fn)(void *udata, enum value_type type, struct slice name,
                                struct slice list);
/* Calls `each` for what is taken off here of counters among the elements of the key. `number` is
 * that of a database. */
void amounts_walk(struct store *store, unsigned number, struct slice key, amounts_each_fn each,
                  void *udata);

#endif
