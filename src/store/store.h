/* SPDX-License-Identifier: BSD-3-Clause */
/* The store: all databases of one node, their clock, and the record of every change.
 *
 * A mutator here does the whole job: it stamps the change with the hybrid clock, applies it,
 * records it in the journal, hands what a running snapshot walk still needs to it, counts it, and
 * tells whoever watches the key. Callers have no second chore. Time is a field set once per
 * event-loop turn; randomness is the store's own generator.
 *
 * Pointers to entries are valid until the next mutation of the same key. One thread. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/hash.h"
#include "base/prng.h"
#include "containers/table.h"
#include "crdt/change.h"
#include "crdt/context.h"
#include "crdt/hybrid_clock.h"
#include "crdt/replica.h"
#include "store/access.h"
#include "store/entry.h"

struct snapshot_walk;

enum store_status {
    STORE_OK,
    STORE_ABSENT,        /* there is no such key */
    STORE_EXISTS,        /* the target is there already */
    STORE_WRONG_TYPE,    /* the key holds another type */
    STORE_NOT_INTEGER,   /* the value is no 64-bit integer */
    STORE_NOT_FLOAT,     /* the value is no float */
    STORE_OVERFLOW,      /* the result does not fit 64 bits */
    STORE_NOT_FINITE,    /* the result is NaN or infinite */
    STORE_OUT_OF_MEMORY, /* a client-sized allocation failed; nothing changed */
    STORE_MALFORMED,     /* bytes from outside make no sense */
    STORE_NO_ROOM,       /* there is no list position between two elements; nothing changed */
};

struct collection;

/* A key of one database with its hash: made once per command. Or an element of a collection, which
 * has all that a key has, in a table of its own (collection.h). */
struct key {
    struct slice name;
    uint64_t hash;
    /* Before `db`: behind it the compiler writes padding and half of this at once, and what is read
     * the next moment waits for both writes to reach the cache. */
    struct collection *in; /* whose element it is; NULL: a key */
    unsigned db;           /* of an element: of its key */
};

struct store_opts {
    unsigned dbs_count;
    uint64_t seed; /* for hashing and sampling */
};

struct store_stats {
    uint64_t dirty;               /* changes since the last snapshot began */
    uint64_t flushes_all;         /* by this node, where there was something */
    uint64_t hits, misses;        /* of reads */
    uint64_t expired;             /* keys removed because their time had come */
    uint64_t expired_fields;      /* of hashes, likewise */
    uint64_t evicted;             /* keys removed for memory */
    uint64_t expire_passes;       /* completed walks of active expiry */
    double expired_stale_percent; /* estimate of the share of expired keys still held */
};

struct keyspace {
    struct table table;    /* of struct entry; marked are those with an expiry */
    unsigned number;       /* its name in changes and state: never changes, whatever is swapped */
    uint64_t hidden_count; /* entries of the table without a visible value: contested.h */
    uint64_t expire_position; /* where active expiry goes on */
    uint64_t age_position;    /* and store_age_some() */
    int64_t average_ttl_ms;   /* estimate from the last pass of active expiry */
};

/* Called for each key that changed, while `watchers_count` is above zero; GROUPS: only consumer
 * groups of the stream, which is no change for WATCH. A flush or swap of databases comes as one
 * call with an empty key name for all keys that are about to leave the database, and one for all
 * that have come into it. */
enum store_touch {
    STORE_TOUCH_KEY,
    STORE_TOUCH_GROUPS,
    STORE_TOUCH_ALL_LEAVE,
    STORE_TOUCH_ALL_CAME
};
typedef void (*store_touch_fn)(void *udata, const struct key *key, enum store_touch touch);
/* Told of what happened to a key, for the classes in `notify_classes`: notify.h. */
typedef void (*store_notify_fn)(void *udata, uint32_t class_bit, const char *event,
                                const struct key *key);
/* Asked to free something big in due course, perhaps on another thread: call `free_fn(object)`. */
typedef void (*store_free_later_fn)(void *udata, void (*free_fn)(void *object), void *object);

/* Asked to hand on the journal's batch, which has grown past CHANGE_BATCH_BYTES in the middle of a
 * unit: write store.journal.bytes to the log and clear it. */
typedef void (*store_journal_full_fn)(void *udata);

enum store_conflict {
    STORE_CONFLICT_VALUE,  /* two values were set at the same time: the greater stamp is shown */
    STORE_CONFLICT_NUMBER, /* increments of what is no number any more */
    STORE_CONFLICT_TYPE,   /* values of two types */
    STORE_CONFLICT_SWAP,   /* two orders of the databases */
};
/* Called for each conflict that a change from a peer made: stamps of what is shown and of what is
 * not. */
typedef void (*store_conflict_fn)(void *udata, const struct key *key, enum store_conflict conflict,
                                  uint64_t winner, uint64_t loser);
/* May this node remove what has expired by a register with this stamp? Its writer does; others only
 * when it has been gone for a while. */
typedef bool (*store_may_expire_fn)(void *udata, uint64_t stamp);

/* How far store_retire_some() has come. */
struct store_retirement {
    unsigned slot; /* 0: none is under way */
    unsigned db;
    uint64_t position;
    uint64_t elements;  /* of collections that were looked at */
    bool has_told;      /* a change was recorded so that the others learn what this node has seen */
    bool has_left_some; /* that have to settle first: another walk is needed */
};

/* What is shown of a key, as far as telling of changes needs it: notify.h. */
struct notify_shown {
    bool is_there; /* expired or not, but not hidden */
    bool is_hashed;
    uint64_t expire_unix_ms;
    uint64_t value_hash; /* where is_hashed: long values are not read through */
    uint64_t stamp;      /* of the shown register; 0: there is none */
};

struct contested;
struct gathered;
struct list_positions;
struct sync;

/* Up to where collections of one type are packed. */
struct store_packing {
    uint64_t entries_max;
    uint64_t integers_max; /* SET: of integers only */
    uint64_t bytes_max;    /* of a name or a value; LIST: of all, as Redis would pack them */
};

struct store {
    struct keyspace *dbs;
    unsigned dbs_count;
    struct hash_seed seed;
    struct hash_seed element_seed; /* of elements: stays the same when `seed` is a peer's */
    struct store_packing packing[VALUE_TYPES_COUNT];
    struct list_positions *list_positions; /* of this replica's runs; NULL until it pushes */
    struct prng prng;
    struct hybrid_clock clock;
    struct context context;   /* what this node has seen */
    struct replicas replicas; /* who writes; .self is who this node is now */
    /* There never was a peer: all is settled at once, and nothing is kept for merging. */
    bool is_alone;
    uint64_t order_stamp; /* of the newest order of the databases; 0: as they were numbered */
    /* Contested entries that settling has still to look at, oldest first. */
    struct contested *unsettled, *unsettled_last;
    uint64_t unsettled_count, contested_count;
    struct grave *graves; /* graves.h */
    bool opens_graves;    /* somebody waits until there is none */
    uint64_t conflicts_count;
    /* Collections with elements that have an expiry; where active expiry goes on among them. */
    struct collection *expiring, *expiring_next;
    struct store_retirement retirement;
    uint64_t retirements_begun;
    store_conflict_fn conflict;     /* may be NULL */
    store_may_expire_fn may_expire; /* NULL: always */
    /* While a snapshot is taken over in parts: changes that a part has seen are skipped for its
     * keys (sync.h). NULL otherwise. */
    const struct sync *sync;
    /* Records of this node's own log are applied to a state that came from elsewhere: what their
     * writer had seen is told by its marks, also where that was this node. */
    bool is_replaying;
    struct change_writer journal; /* the batch being collected; node/ hands it to the log */
    struct buffer packed_scratch; /* for the bytes of packed elements, within one call */
    struct gathered *gathered;    /* NULL until many elements come at once */
    struct snapshot_walk *walk;   /* running walks, a list; NULL without any */
    /* So many elements of a collection are worked on at once in the background; walks emit larger
     * ones in pieces. */
    uint64_t elements_a_step;
    /* At so much that is pending for others one looks before it is kept by consumer; 0: from the
     * beginning on (xstream_pending.c). */
    uint64_t pending_looks_max;
    /* A DELETE of a collection with so many elements leaves untold what it takes off of counters
     * (amounts.h); 0: none does, since nobody could be asked. */
    uint64_t untold_elements_min;
    /* A collection with so many elements is put aside as a whole when it is deleted; 0: none. */
    uint64_t grave_elements_min;
    int64_t now_ms;        /* Unix milliseconds, set by store_set_now() */
    int64_t loaded_ms;     /* when the snapshot that is being loaded was written; 0: none is */
    bool expiry_is_paused; /* expired keys are hidden but not removed: loading, pause */
    bool uses_lfu;         /* the access field is a frequency, not a time */
    bool no_touch;         /* reads leave the access field alone (CLIENT NO-TOUCH) */
    unsigned lfu_log_factor, lfu_decay_minutes;
    uint64_t watchers_count;
    store_touch_fn touch;
    uint32_t notify_classes; /* enum notify_class; 0: nobody wants to know */
    store_notify_fn notify;
    struct {
        bool is_set;
        unsigned db;
        uint64_t hash;
        struct notify_shown before;
    } notify_taken; /* what was shown of a key before the change applied last, a TAKE */
    struct {
        const char *event;
        unsigned db;
        uint64_t hash, stamp;
    } notify_told;                      /* of the newest change of an element from a peer */
    store_free_later_fn free_later;     /* NULL: free at once */
    store_journal_full_fn journal_full; /* NULL: let it grow */
    void *udata;
    struct store_stats stats;
};

/* ---- lifecycle ---- */

void store_init(struct store *store, const struct store_opts *opts);
void store_deinit(struct store *store);
void store_set_now(struct store *store, int64_t now_ms);
/* The unit that begins here may set several keys: as long as none of it was changed. */
void store_spread_unit(struct store *store);
/* Ends the unit that the changes since the last call form: after each command or transaction. */
static inline void store_end_unit(struct store *store) {
    if (store->journal.is_unit_open) {
        change_writer_end_unit(&store->journal);
    }
}

/* ---- keys ---- */

static inline uint64_t store_hash(const struct store *store, struct slice name) {
    return hash_bytes(store->seed, name);
}

static inline struct key store_key(const struct store *store, unsigned db, struct slice name) {
    return (struct key){.name = name, .hash = store_hash(store, name), .db = db};
}

/* The entry to read, or NULL when absent, hidden or expired (an expired one is removed, if that is
 * this node's to do). Counts a hit or miss and updates the access field. */
struct entry *store_read(struct store *store, const struct key *key);
/* The entry, or NULL, without any trace: for questions about a key, and what is no command's. An
 * expired one is removed. */
struct entry *store_peek(struct store *store, const struct key *key);
/* The entry for a command that writes: updates the access field, whether or not it will be changed.
 */
struct entry *store_peek_to_write(struct store *store, const struct key *key);
/* Counts an access of the entry, unless the client wants none. */
void store_touch_access(struct store *store, struct entry *entry);
/* Is the key there, and is it expired? Changes nothing. */
bool store_holds(const struct store *store, const struct key *key, bool *is_expired);
/* Removes the key, freeing its value (later, if large). False when absent. */
bool store_delete(struct store *store, const struct key *key);
/* Sets the expiry to a Unix time in milliseconds, or removes it with 0; a time that has passed
 * deletes the key. False when absent, or, with 0, when there was none. */
bool store_expire(struct store *store, const struct key *key, uint64_t expire_unix_ms);
/* Copies the value of `from` to `to`, with expiry and access time, replacing what is there. */
enum store_status store_copy(struct store *store, const struct key *from, const struct key *to);
/* The same as copy and delete, but the value moves. */
enum store_status store_rename(struct store *store, const struct key *from, const struct key *to);
/* Removes all keys of a database, or of all. The memory is freed later where that is possible.
 * Returns how many there were. */
uint64_t store_flush(struct store *store, unsigned db);
uint64_t store_flush_all(struct store *store);
/* Takes out all that there is, ghosts and hidden keys included, as if it had never been: that is no
 * change, nothing is recorded. For who puts it back at once. */
void store_take_out_all(struct store *store);
void store_swap(struct store *store, unsigned db, unsigned other_db);
/* Records that what a replica wrote above some ticks is void, since it is going to be made again
 * here (crdt/replica.h). `seen`: of other lives, as change_life_end_next_seen() reads it. */
void store_end_life(struct store *store, const struct ended_replica *ended, struct slice seen);
/* Is something here that is void? Then its effects are, too, and the state has to be taken over
 * from somebody who is without them. */
bool store_has_void(const struct store *store);
/* A random key's entry, or NULL. Not an expired one, unless hardly any other is left while this
 * node may not remove them. */
struct entry *store_random(struct store *store, unsigned db);
/* Entries of a database, expired and hidden ones included. */
uint64_t store_count(const struct store *store, unsigned db);

/* ---- access time and frequency (maxmemory policies, OBJECT IDLETIME and FREQ) ---- */

/* Time since the last access, in ticks of access.h and in seconds. */
uint64_t store_idle_ticks(const struct store *store, const struct entry *entry);
uint64_t store_idle_seconds(const struct store *store, const struct entry *entry);
/* The logarithmic access counter, 0 to 255, decayed to now. */
unsigned store_frequency(const struct store *store, const struct entry *entry);
void store_set_idle_seconds(struct store *store, struct entry *entry, uint64_t seconds);
void store_set_frequency(struct store *store, struct entry *entry, unsigned frequency);

/* The access field of an entry that is loaded, so that the time at which it was saved counts. */
uint32_t store_loaded_access(const struct store *store, uint32_t access);

/* ---- background work ---- */

/* Makes times of old accesses coarse: access.h. Ten times a second. */
void store_age_some(struct store *store);

/* Walks at most `buckets_max` buckets of the databases for expired keys and removes them. Returns
 * how many went; `*volatile_seen` counts the keys with an expiry it looked at, `*pass_done` says
 * whether all databases were walked once. */
uint64_t store_expire_some(struct store *store, unsigned buckets_max, uint64_t *volatile_seen,
                           bool *pass_done);

enum eviction_policy {
    EVICTION_NONE,
    EVICTION_ALL_LRU,
    EVICTION_ALL_LFU,
    EVICTION_ALL_RANDOM,
    EVICTION_VOLATILE_LRU,
    EVICTION_VOLATILE_LFU,
    EVICTION_VOLATILE_RANDOM,
    EVICTION_VOLATILE_TTL,
};

/* The best candidates seen in past samples; a zeroed struct is empty. See eviction.c. */
enum { EVICTION_POOL_SIZE = 16 };
struct eviction_candidate {
    uint64_t score;
    uint64_t hash;
    unsigned db;
};
struct eviction_pool {
    struct eviction_candidate candidates[EVICTION_POOL_SIZE]; /* rising scores */
    unsigned count;
};
/* Evicts the best of a sample by `policy`; false when nothing qualifies. */
bool store_evict(struct store *store, struct eviction_pool *pool, enum eviction_policy policy,
                 unsigned samples);

/* ---- changes from the log or a peer ---- */

/* Applies a recorded change, of this node or another, by the one rule: it supersedes what its
 * writer had seen at its place (replicas_has_seen(), with the mark already moved to its record's),
 * and adds what it says. Records nothing. The change counts as seen. MALFORMED for what no writer
 * can have written (a database out of range). Databases of changes are numbers, not indexes. */
enum store_status store_apply(struct store *store, const struct change *change);
/* Is the change's stamp one that this store need not apply any more (context, parts of a sync)? */
bool store_has_seen(const struct store *store, const struct change *change);

/* ---- settling ---- */

/* Looks at up to `entries_max` unsettled entries; those whose stamps are all at or below `frontier`
 * become plain ones again. Does nothing while a walk runs. Invisible: values stay what they are.
 * True when it came to the end of the list. */
bool store_settle(struct store *store, const struct context *frontier, unsigned entries_max);
/* Removes the slot of a replica that will never write again and whose stamps are all settled from
 * all entries, some buckets a call; true once it is through: then the slot is retired. What it
 * becomes one with has to be below the frontier, too. */
bool store_retire_some(struct store *store, unsigned slot, const struct context *frontier,
                       unsigned buckets_max);
/* This node goes on as another replica: later changes carry its slot. 0 slots left: false. */
bool store_begin_replica(struct store *store, const struct replica_id *id);
/* The index of the database with this number. */
unsigned store_database_index(const struct store *store, unsigned number);
/* Keys of a database that are not hidden; expired ones count. */
uint64_t store_visible_count(const struct store *store, unsigned db);

/* ---- introspection ---- */

/* 20 bytes that are equal when two stores hold equal data, in whatever order it came. */
void store_digest(const struct store *store, uint8_t digest[20]);
/* The share of one entry in store_digest(). */
void store_entry_digest(const struct store *store, unsigned db, const struct entry *entry,
                        uint8_t digest[20]);
/* Of a collection's elements alone: equal for equal ones, whatever key they are under. */
void store_value_digest(const struct store *store, const struct entry *entry, uint8_t digest[20]);
/* Walks all and asserts the invariants of tables and entries. */
void store_check(const struct store *store);

#endif
