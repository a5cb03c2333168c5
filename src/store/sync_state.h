/* SPDX-License-Identifier: BSD-3-Clause */
/* The struct behind sync.h, and what the files share that take over a state: sync.c from the
 * beginning to the end, sync_part.c and sync_part_end.c part by part, rebase.c. */
#ifndef STORE_SYNC_STATE_H
#define STORE_SYNC_STATE_H

#include "store/counter_history.h"
#include "store/made_again.h"
#include "store/made_counters.h"
#include "store/state_merge.h"
#include "store/mutate.h"
#include "store/rebase.h"
#include "store/seen_changes.h"
#include "store/sync.h"
#include "store/unsent_edits.h"

/* What a replica had seen, as a header tells it. */
struct sync_marks {
    uint64_t stamp;  /* of its newest record then; 0: not told */
    uint64_t *marks; /* stamps by slot */
    unsigned count;
};

/* An entry that has not come whole: a large value or collection. */
struct sync_open {
    struct sync_open *next;
    struct entry *entry;
    struct key key; /* its name is in the entry; `db` is an index */
};

/* A part on its way in. */
struct sync_intake {
    struct store staged;    /* the keys that came; unused where they go into the store at once */
    struct buffer bytes;    /* of a batch that is not whole yet */
    struct sync_open *open; /* what has not come whole, newest first */
    uint64_t inserted;      /* entries that went into the store at once */
    uint64_t settled_ticks_here; /* state_merge.h */
    uint64_t settled_ticks_there;
    bool is_retired_there[STAMP_SLOTS_COUNT];
    uint16_t slots[STAMP_SLOTS_COUNT]; /* by the sender's slot: ours */
    struct sync_marks *marks;          /* by our slot */
    unsigned marks_count;
    uint64_t order_stamp;
    struct buffer order;
    struct retired_replica *retired;
    size_t retired_count;
};

/* What becomes of what a replica wrote that the mesh lacks. */
enum sync_slot_fate { SYNC_FATE_OPEN, SYNC_FATE_DROP, SYNC_FATE_REISSUE };

enum sync_part_state { SYNC_PART_OPEN, SYNC_PART_BEGUN, SYNC_PART_DONE };

struct sync_part {
    enum sync_part_state state;
    uint64_t *context; /* that it shows: stamps by slot */
    unsigned context_count;
    struct sync_intake *intake; /* while it is BEGUN, and until it is merged */
};

/* A replica that is retired where a part came from. */
struct sync_retired {
    struct retired_replica replica;
    uint8_t *parts; /* which: a bit for each */
};

struct sync {
    struct store *store;
    enum sync_mode mode;
    bool is_direct; /* nothing was seen here before: entries go into the store at once */
    bool is_finished;
    bool is_sound; /* that was found: sync_is_sound() */
    sync_fate_fn fate;
    void *udata;
    uint8_t *fates;      /* by slot, STAMP_SLOTS_COUNT: as they were found, so that they stay */
    struct context seen; /* CB */
    struct context goal; /* all parts joined */
    struct context left; /* what the store may show of a sync before: sync_keep_goal() */
    unsigned parts_count, parts_done, parts_merged;
    struct sync_part *parts;
    struct sync_marks *marks; /* by slot, STAMP_SLOTS_COUNT: those with the smallest stamp */
    uint64_t order_stamp;     /* the newest that came; 0: none */
    struct buffer order;
    struct sync_retired *retired; /* that the parts told of */
    size_t retired_count;
    struct ended_replica *ends; /* of what is made again here; nobody was told yet */
    size_t ends_count;
    struct buffer seen_beyond; /* what was seen here of lives, and the mesh has less of */
    struct buffer key_scratch;
    struct rebase *rebase;
    struct counter_history *history;     /* NULL: none was handed over */
    struct seen_changes *seen_changes;   /* likewise */
    struct unsent_edits *unsent_edits;   /* likewise */
    struct made_again *made_again;       /* likewise */
    struct made_counters *made_counters; /* likewise */
    struct sync_stats stats;
};

static inline void sync_lower(uint64_t *least, uint64_t value) {
    *least = value < *least ? value : *least;
}

/* ---- sync_part.c ---- */

void sync_intake_free(struct sync_intake *intake, bool is_direct);
/* A part that did not come whole: nothing of it stays. */
void sync_part_reset(struct sync *sync, struct sync_part *part);
/* The part shows the change with that stamp. */
void sync_part_raise_context(struct sync_part *part, uint64_t stamp);

typedef bool (*sync_range_fn)(struct sync *sync, struct sync_part *part, const struct key *key);

/* Calls `each` for all keys of the part that are in `store`, which may remove or replace that key.
 * False as soon as it is. */
bool sync_range_walk(struct sync *sync, struct sync_part *part, struct store *store,
                     sync_range_fn each);
/* For that: removes the key. */
bool sync_range_remove(struct sync *sync, struct sync_part *part, const struct key *key);

/* ---- sync_part_end.c ---- */

/* What state_merge.h wants to know about a part. */
struct state_merge sync_merge_of(struct sync *sync, const struct sync_part *part);
/* Did the part tell that the replica is retired? */
bool sync_has_retired(const struct sync_retired *retired, unsigned part);
void sync_take_retired(struct sync *sync);

/* ---- stores that only hold entries for a while ---- */

/* A store with the hash seed and databases of `store`. */
void sync_aside_init(struct store *aside, const struct store *store);
/* Frees it; its replicas are those of the other store. */
void sync_aside_deinit(struct store *aside);
/* Before anything is done with it: the table of replicas may have moved. */
static inline void sync_aside_lend(struct store *aside, const struct store *store) {
    aside->replicas = store->replicas;
}
/* Puts an entry that is in no table into the store; a contested one is copied and freed. False when
 * memory is out, the entry is then freed. */
bool sync_insert(struct store *store, const struct key *key, struct entry *entry);
/* Puts a copy of these elements where there is no key; collections move over. False when memory is
 * out. */
bool sync_copy(struct store *store, const struct key *key, struct contested *from, uint64_t stamp);
/* Takes the entry out of its table without freeing it; it is compact. */
struct entry *sync_take_out(struct store *store, const struct key *key);
/* `key` with its name copied into `scratch`, so that it outlives its entry. */
struct key sync_keep_key(struct buffer *scratch, const struct key *key);

#endif
