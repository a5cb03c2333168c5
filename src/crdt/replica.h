/* SPDX-License-Identifier: BSD-3-Clause */
/* Replicas: who writes. A replica is one writing life of a node: node id and generation.
 *
 * On disk and on the wire a replica is called by its `ref`, 64 bits made of both, so that bytes
 * written by one node mean the same to all. Inside a node it has a slot, a small number that fits
 * into stamps (stamp.h). This table leads from one to the other.
 *
 * For each replica the table keeps its mark: the context that its newest applied record was
 * written in. A change supersedes what its writer had seen, and the mark says what that was.
 *
 * A replica that is gone for good and whose every change has settled is retired: its slot is free
 * for another one, and only its ref, its last ticks and when it began are remembered.
 *
 * A replica is ended when somebody makes again, as his own changes, what it wrote after some ticks:
 * its node in a later life, or who has them while that node is gone (store/sync.h: REBASE). The
 * changes above those ticks are void: whoever has the originals, too, would count them twice. Its
 * node may come back with more than was made again, and makes that again itself.
 *
 * A life is departed when its node left the mesh in it, or was forgotten: nobody waits for it any
 * more, whether it is retired yet or not. One for each node is remembered, until a later life of
 * the node is heard of.
 *
 * The order of replicas, which breaks ties between equal clocks, is the order of their refs. */
#ifndef CRDT_REPLICA_H
#define CRDT_REPLICA_H

#include "base/buffer.h"
#include "base/mutation.h"
#include "crdt/context.h"
#include "crdt/packed_authors.h"

enum {
    REPLICA_NODE_ID_BYTES = 16,
    REPLICA_RETIRED_MAX = 65536,    /* the oldest are forgotten beyond that */
    REPLICA_ENDED_MAX = 4096,       /* likewise */
    REPLICA_MAKERS_SEEN_MAX = 8192, /* with more, no maker is known any more */
    REPLICA_DEPARTED_MAX = 1024,    /* likewise; first those that have no slot: fewer have one */
};

struct replica_id {
    uint8_t node[REPLICA_NODE_ID_BYTES];
    uint64_t generation;
};

struct replica {
    struct replica_id id;
    uint64_t ref; /* 0: the slot is free */
    /* By slot, stamps: what the writer of its newest applied record had seen; shorter than the
     * table where the rest is 0. */
    uint64_t *mark;
    unsigned mark_count;
    /* Free, but the log still calls the replica that had it by this slot: the version of the table
     * when it was retired. 0: it is not held. */
    uint64_t held_version;
    bool is_ended; /* what it wrote above `ended_ticks` is void */
    uint64_t ended_ticks, made_ticks, made_from_ticks, maker_ref;
    bool is_retired; /* it is noted as such, at `retired_ticks`, and has its slot still, or again */
    uint64_t retired_ticks;
};

struct retired_replica {
    uint64_t ref, ticks;
    uint64_t born_ticks; /* replica_born_ticks() */
};

struct ended_replica {
    uint64_t ref;
    uint64_t ticks;      /* what came later is void */
    uint64_t made_ticks; /* and was made again up to here */
    /* By whom, and from where on, if several made some of it: the one who came that far. */
    uint64_t maker_ref; /* 0: not known */
    uint64_t made_from_ticks;
};

/* Up to where somebody who made lives again had seen another one, of which those he made them again
 * for had seen less: his mark does not say so. */
struct maker_seen {
    uint64_t maker_ref, ref, ticks;
};

struct departed_life {
    struct replica_id id;
    bool is_forgotten;
    uint64_t left_ticks; /* of one that left: the last it wrote */
    uint64_t unix_ms;    /* when that was noted first; 0: not known */
};

struct replicas {
    struct replica *slots; /* by slot; [0] is never used */
    unsigned slots_count;  /* highest slot in use, and one */
    unsigned slots_capacity;
    unsigned self;                   /* slot of this node's present life */
    bool tells_anew;                 /* its next record says all that it has seen */
    struct retired_replica *retired; /* oldest first */
    size_t retired_count;
    struct ended_replica *ended; /* oldest first */
    size_t ended_count;
    struct maker_seen *makers_seen;
    size_t makers_seen_count;
    struct departed_life *departed; /* oldest first */
    size_t departed_count;
    uint64_t departed_version; /* moves whenever those change */
    uint64_t version;          /* moves then, and whenever a replica is added, retired or ended */
    /* Slots by their refs: a table with open addressing, at most half full; 0 is free. A slot that
     * is given up leaves its place taken until the index is made anew. */
    uint16_t *index;
    unsigned index_capacity; /* a power of 2, or 0 */
    unsigned index_used;
    /* What packed lists call them; the same in all copies of this struct. */
    struct packed_authors *authors;
};

/* The name of a replica for everybody; never 0. */
uint64_t replica_ref(const struct replica_id *id);
/* When it began, by the clock of its node, which generations in a mesh are if they are even; it
 * wrote nothing before. 0: its generation does not say, since the clock had been turned back. */
uint64_t replica_born_ticks(const struct replica_id *id);

void replicas_init(struct replicas *replicas);
void replicas_deinit(struct replicas *replicas);
/* The slot of a replica, added if it is new; 0 when all slots are taken. */
unsigned replicas_add(struct replicas *replicas, const struct replica_id *id);
/* As replicas_add(), into this very slot, as it stood in a file; false when another replica has it
 * or the number is out of range. */
bool replicas_add_at(struct replicas *replicas, unsigned slot, const struct replica_id *id);
/* What is in `slot` goes by this name from now on. */
void replicas_rename(struct replicas *replicas, unsigned slot, const struct replica_id *id);
/* The slot of `ref`, or 0. */
unsigned replicas_find(const struct replicas *replicas, uint64_t ref);
/* The retired replica of that ref, or NULL. */
const struct retired_replica *replicas_find_retired(const struct replicas *replicas, uint64_t ref);
/* Frees the slot and remembers `ticks`, the last that the replica wrote. The caller has settled all
 * stamps with this slot, and cleared it in contexts. Nobody gets the slot before
 * replicas_release(). */
void replicas_retire(struct replicas *replicas, unsigned slot, uint64_t ticks);
/* The log begins with a snapshot from when the table had this version, or later: slots that were
 * retired by then may go to others. How many are still held? */
unsigned replicas_release(struct replicas *replicas, uint64_t version_max);
/* Remembers a retired replica that was heard of, or more of it. */
void replicas_note_retired(struct replicas *replicas, const struct retired_replica *retired);
/* No more was seen of this retired replica than that, whatever was noted. */
void replicas_limit_retired(struct replicas *replicas, const struct retired_replica *limit);
/* What the replica of `end->ref` wrote above `end->ticks` is void. Of two ends the earlier one
 * counts, and the later `made_ticks`. */
void replicas_note_ended(struct replicas *replicas, const struct ended_replica *end);
/* It is as if its end had not been noted. */
void replicas_drop_ended(struct replicas *replicas, uint64_t ref);
/* Remembers it, or more of it. */
void replicas_note_maker_seen(struct replicas *replicas, const struct maker_seen *seen);
/* Had the maker seen that change? False where only his mark would tell. */
bool replicas_maker_saw(const struct replicas *replicas, uint64_t maker_ref, uint64_t ref,
                        uint64_t ticks);
/* All ends, and what makers had seen, on the wire and in files. */
void replicas_put_ends(struct buffer *out, const struct replicas *replicas);
/* Reads them from the front of `bytes`, and notes them unless `replicas` is NULL. False where they
 * make no sense: some may be noted then. Older files have no makers. */
bool replicas_take_ends(struct slice *bytes, bool has_makers, struct replicas *replicas);
/* The departed life of that node, or NULL. */
const struct departed_life *replicas_find_departed(const struct replicas *replicas,
                                                   const uint8_t node[REPLICA_NODE_ID_BYTES]);
/* Remembers it, in place of an earlier life of its node. Who left may be forgotten later. */
void replicas_note_departed(struct replicas *replicas, const struct departed_life *departed);
/* The node is here in this life: neither it nor one before it is departed. */
void replicas_drop_departed(struct replicas *replicas, const struct replica_id *id);
/* Forgets all of them. */
void replicas_clear_departed(struct replicas *replicas);
/* Is the change with this stamp void? */
static inline bool replicas_is_void(const struct replicas *replicas, uint64_t stamp) {
    unsigned slot = stamp_slot(stamp);
    return replicas->ended_count > 0 && slot != STAMP_SLOT_SETTLED &&
           slot < replicas->slots_count && replicas->slots[slot].is_ended &&
           stamp_ticks(stamp) > replicas->slots[slot].ended_ticks;
}
/* Is it void, of this node, and nobody has made it again? */
bool replicas_is_unmade(const struct replicas *replicas, uint64_t stamp);
/* Is the change with this stamp of a replica that was retired without it? `seen` is what is here of
 * that one: nothing beyond its end, or the end was not that of all. */
static inline bool replicas_is_beyond_retired(const struct replicas *replicas, uint64_t stamp,
                                              uint64_t seen) {
    const struct replica *replica = &replicas->slots[stamp_slot(stamp)];
    return replica->is_retired && stamp_ticks(stamp) > replica->retired_ticks &&
           stamp_ticks(seen) <= replica->retired_ticks;
}
/* Is anything in the context void? */
bool replicas_has_void(const struct replicas *replicas, const struct context *context);
/* Is anything in it as replicas_is_unmade() says? */
bool replicas_has_unmade(const struct replicas *replicas, const struct context *context);
/* Raises `context` to what of `seen` is void: nobody has to be told of that any more. */
void replicas_pass_void(const struct replicas *replicas, const struct context *seen,
                        struct context *context);
/* Leaves out of the context what is void; true when anything was. */
bool replicas_clip_void(const struct replicas *replicas, struct context *context);

/* Raises the mark of the replica in `slot` for the stamp's slot. */
void replicas_raise_mark(struct replicas *replicas, unsigned slot, uint64_t stamp);

/* Had the replica in `author` seen `stamp` when it wrote its newest applied record? Its own stamps
 * and settled ones always. */
static inline bool replicas_has_seen(const struct replicas *replicas, unsigned author,
                                     uint64_t stamp) {
    unsigned slot = stamp_slot(stamp);
    if (slot == STAMP_SLOT_SETTLED || slot == author || mutation(DELETE_UNSEEN)) {
        return true;
    }
    const struct replica *replica = &replicas->slots[author];
    return slot < replica->mark_count && stamp <= replica->mark[slot];
}

/* Had it seen anything of the replica in `slot`? Its own and settled stamps always. */
static inline bool replicas_saw_slot(const struct replicas *replicas, unsigned author,
                                     unsigned slot) {
    const struct replica *replica = &replicas->slots[author];
    return slot == STAMP_SLOT_SETTLED || slot == author || author == replicas->self ||
           (slot < replica->mark_count && replica->mark[slot] != 0);
}

/* Is it a life of this node: its present one, or one before? */
static inline bool replicas_is_of_self(const struct replicas *replicas, unsigned slot) {
    return slot == replicas->self || replicas->slots == NULL ||
           memcmp(replicas->slots[slot].id.node, replicas->slots[replicas->self].id.node,
                  REPLICA_NODE_ID_BYTES) == 0;
}

/* Orders stamps: by ticks, equal ones by the refs of their replicas. Below, at or above 0. */
int replicas_compare_stamps(const struct replicas *replicas, uint64_t a, uint64_t b);

#endif
