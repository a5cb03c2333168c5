/* SPDX-License-Identifier: BSD-3-Clause */
/* Who waits for which keys: a queue for each key, served in the order of coming.
 *
 * A waiter stands in the queues of one or more keys at once, at their ends when it comes. A key
 * that changed is marked as ready; ready keys are taken in the order in which they were marked, and
 * the waiters of each are gone through from the longest waiting on. Whoever is served leaves all
 * its queues in one step; the others keep their places.
 *
 *     queues --> queue "a" --> place of 1 --> place of 2
 *                queue "b" --> place of 2 --> place of 3
 *
 * Keys are found by name in a hash table; they are also in a list, oldest first, since nothing that
 * leaves a node may depend on hashes. Nothing here knows a client. One thread.
 *
 * Invariants:
 *   I1  a queue has at least one place, but for the one being gone through.
 *   I2  a waiter has at most one place in a queue.
 *   I3  `ready` is rising by the numbers that marking gave. */
#ifndef NODE_KEY_QUEUES_H
#define NODE_KEY_QUEUES_H

#include "base/hash.h"
#include "containers/table.h"

struct key_waiter;

struct key_place {
    struct key_queue *queue;
    struct key_waiter *waiter;
    struct key_place *previous, *next; /* in the queue, longest waiting first */
};

/* One that waits. `places` is the owner's, with room for one for each key it adds. */
struct key_waiter {
    bool wants_any; /* to be told of whatever happens to a key, its removal included */
    size_t places_count;
    struct key_place *places;
};

/* A key that somebody waits for. */
struct key_queue {
    struct key_queue *previous, *next; /* oldest first */
    struct key_queue *previous_ready, *next_ready;
    uint64_t ready_number; /* rising with each marking; 0: not ready */
    struct key_place *first, *last;
    uint64_t wants_any_count; /* waiters with `wants_any` */
    uint64_t hash;            /* of the name */
    unsigned db;
    size_t name_bytes;
    char name[];
};

struct key_queues {
    struct hash_seed seed;
    struct table table;
    struct key_queue *first, *last;
    struct key_queue *ready, *ready_last;
    uint64_t ready_number;    /* the newest that was given */
    struct key_queue *taken;  /* being gone through; NULL: none */
    struct key_place *cursor; /* ... and where that goes on */
    uint64_t wants_any_count; /* queues with a waiter that has `wants_any` */
};

/* ---- lifecycle ---- */

void key_queues_init(struct key_queues *queues, struct hash_seed seed);
/* Nobody waits any more. */
void key_queues_deinit(struct key_queues *queues);
/* From now on names are hashed by `seed`. */
void key_queues_take_seed(struct key_queues *queues, struct hash_seed seed);

/* ---- waiting ---- */

/* Puts the waiter at the end of the key's queue, unless it stands there already; `hash` is that of
 * the name by the seed. False, with nothing changed, when memory is out. */
bool key_queues_add(struct key_queues *queues, struct key_waiter *waiter, unsigned db,
                    struct slice name, uint64_t hash);
/* Takes the waiter out of all its queues. May be called while they are gone through. */
void key_queues_remove(struct key_queues *queues, struct key_waiter *waiter);
/* Bytes of memory that the waiter's keys take; those it shares with others are counted in full. */
size_t key_queues_bytes(const struct key_waiter *waiter);

/* ---- being ready ---- */

/* The key changed. */
void key_queues_mark(struct key_queues *queues, unsigned db, struct slice name, uint64_t hash);
/* All keys of the database changed, oldest first. They went (`is_gone`): that is told only to those
 * who want to know. */
void key_queues_mark_database(struct key_queues *queues, unsigned db, bool is_gone);
static inline bool key_queues_has_ready(const struct key_queues *queues) {
    return queues->ready != NULL;
}
/* Begins to go through the waiters of the key that is ready for the longest time, which becomes not
 * ready; NULL when there is none. key_queues_end() ends it. */
const struct key_queue *key_queues_begin(struct key_queues *queues);
/* The next one; NULL when through. */
struct key_waiter *key_queues_next(struct key_queues *queues);
void key_queues_end(struct key_queues *queues);
/* Takes back all markings after that with the number `ready_number`. */
void key_queues_unmark_after(struct key_queues *queues, uint64_t ready_number);

/* ---- introspection ---- */

static inline uint64_t key_queues_count(const struct key_queues *queues) {
    return queues->table.count;
}
static inline struct slice key_queue_name(const struct key_queue *queue) {
    return slice_make(queue->name, queue->name_bytes);
}
/* Walks everything and asserts I1 to I3, and that counts and table agree. */
void key_queues_check(const struct key_queues *queues);

#endif
