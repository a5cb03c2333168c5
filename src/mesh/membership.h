/* SPDX-License-Identifier: BSD-3-Clause */
/* Membership: who the others are, whether they live, what they have seen, and so what is settled.
 * It knows no link and no data: digests go out and come in as bytes.
 *
 * Every node has a heartbeat, a number that grows by one each gossip interval, and tells its peers
 * in digests about itself and everybody that it knows: who they are, their heartbeats, and their
 * contexts. What is newer wins: the generation, then the heartbeat; a context by its version.
 *
 * The frontier. Below it everything is settled: every member has seen it, and nothing can still
 * arrive whose writer had not. It is the minimum of this node's context and a claim of each member.
 * A claim is the context that a member told, with its member set at that time. It counts when
 *
 *   I1  the claimer's member set was that of this node as it is now: else somebody may be missing
 *       in the minimum, or somebody who was dropped may still have sent changes to the claimer;
 *   I2  this node has seen all that the claimer had written by then: else a change of its past
 *       could still arrive that had not seen what is settled here;
 *   I3  likewise of replicas that no member lives as now (older generations, forgotten, left):
 *       nobody's claim stands for these any more.
 *
 * What was once below the frontier stays below it: so that holds while claims are renewed after a
 * change of the set. It is sound if a node, in each life, begins to write only with a context that
 * covers what a member had seen when it took that node up; and if one that is not known, known by
 * its replicas only (never heard), left or forgotten writes again, as new changes, what it alone
 * has. A peer whose context does not cover the frontier here is such a one.
 *
 * A member that leaves is counted until this node has all that it wrote. One that is silent for
 * long is forgotten; its id is remembered, so that gossip of its old life does not bring it back.
 * It may come again in a new generation only. The owner keeps both beyond this process, in the
 * table of replicas (departed lives): else all would wait again for who is gone once all restart.
 *
 * The owner closes links of a member's old life on RESTARTED, LEFT and FORGOTTEN, before the next
 * beat: I3 needs that. Times are milliseconds of a clock that never goes back. */
#ifndef MESH_MEMBERSHIP_H
#define MESH_MEMBERSHIP_H

#include "crdt/replica.h"
#include "crdt/stream.h"
#include "mesh/detector.h"
#include "mesh/member_claim.h"

enum {
    MEMBERSHIP_MEMBERS_MAX = 8192,   /* others are not taken in, and counted */
    MEMBERSHIP_FORGOTTEN_MAX = 1024, /* remembered; the longest forgotten go */
    MEMBERSHIP_RETIRED_MAX = 1024,   /* retirements heard of and not carried out yet */
    MEMBERSHIP_DIGEST_BYTES = 16384, /* a sensible budget */
    MEMBER_ADDRESS_BYTES_MAX = 279,
    MEMBER_VERSION_BYTES_MAX = 31,
};

enum member_state {
    MEMBER_NEW, /* fewer than three heartbeats were heard */
    MEMBER_ALIVE,
    MEMBER_SUSPECT,
    MEMBER_DEAD,
    MEMBER_LEFT,
    MEMBER_FORGOTTEN,
};
enum { MEMBER_STATES_COUNT = MEMBER_FORGOTTEN + 1 };

/* Where a walk over all members stands that tells one peer what changed. */
struct member_pass {
    uint64_t told;  /* changes up to this number are told */
    uint64_t begun; /* the number when the walk began; 0: none is under way */
    size_t cursor;  /* the member whose turn it is */
    size_t left;    /* members still to be looked at */
};

struct member {
    uint8_t node_id[REPLICA_NODE_ID_BYTES];
    uint64_t generation;
    uint64_t ref; /* of its present replica */
    uint64_t heartbeat;
    enum member_state state;
    bool is_self;
    bool is_counted; /* in the member set and the frontier */
    /* What its present life has to have seen before its changes are taken, by slot; NULL: nothing,
     * or nothing any more. OWES_ALL: whatever this node has, for its owner to put. admission.h */
    struct context *owed;
    bool owes_all;
    bool came_back; /* it had left, or was forgotten here, and owes what it missed since */
    /* The generation from which on its lives owe that: those before were counted here, and what
     * they wrote is taken as ever. */
    uint64_t owes_from;
    bool is_unwanted;        /* others have forgotten it: so will we, once it is not alive here */
    uint64_t state_ms;       /* since when it is in that state */
    uint64_t heard_ms;       /* newest sign of life, from whomever; 0: none */
    uint64_t told_again_ms;  /* when that it is gone became news again; 0: never */
    uint64_t left_ticks;     /* LEFT: the last it wrote */
    int64_t clock_offset_ms; /* for the owner */
    char *address;           /* "host:port" that it announces, or "" */
    char *version;           /* of its server, or "" */
    uint64_t texts_version;  /* its heartbeat when address or version changed */
    struct detector detector;

    /* The rest is for membership.c. */
    struct member_claim *claim;   /* the newest */
    struct member_claim *pending; /* an older one that may be trusted first, or NULL */
    struct member_claim *trusted; /* the newest that counts */
    struct member_stamps seen;    /* what acknowledgements told beyond `claim` */
    struct member_stamps dropped; /* what it had before it took another state over */
    bool is_context_known;        /* somebody told what it has seen, be it nothing; else there is no
                                     telling */
    uint64_t row_number, claim_number, heartbeat_number;        /* of the newest change of each */
    struct member_pass told_rows, told_claims, told_heartbeats; /* what this peer was told */
    unsigned told_retired;
    uint64_t told_epoch;
};

enum membership_event {
    MEMBERSHIP_JOINED, /* it was not known before, or was forgotten */
    MEMBERSHIP_ALIVE,
    MEMBERSHIP_SUSPECT,
    MEMBERSHIP_DEAD,
    MEMBERSHIP_RESTARTED, /* it has a new generation */
    MEMBERSHIP_LEFT,
    MEMBERSHIP_FORGOTTEN,
    MEMBERSHIP_WAS_FORGOTTEN, /* by others, before it was heard of here */
    /* Somebody knows this node in a newer generation, or this one as left or forgotten (`member` is
     * self): it must go on in a new one, above `membership.generation_known`. */
    MEMBERSHIP_OVERTAKEN,
};

struct membership_opts {
    uint8_t node_id[REPLICA_NODE_ID_BYTES];
    uint64_t generation;
    const char *address, *version;
    uint64_t gossip_interval_ms, forget_after_ms;
    /* Called from within the other functions; it must not call them. */
    void (*event)(void *udata, enum membership_event event, struct member *member);
    void *udata;
};

/* A replica that a member has retired. It is settled here, too, once this node has seen all that
 * the member had seen by then. */
struct membership_retired {
    uint64_t ref, ticks;
    uint64_t teller;            /* the member's ref */
    struct member_claim *claim; /* one that it made since, or NULL */
};

struct member_ref {
    uint64_t ref;
    struct member *member;
};

struct membership {
    struct membership_opts opts; /* its texts are those of self */
    /* In the order that they were added, [0] is self; forgotten ones included. Members stay where
     * they are in memory until a forgotten one is dropped. */
    struct member **members;
    size_t members_count, members_capacity;
    struct member **by_id;     /* the same, sorted */
    struct member_ref *by_ref; /* likewise; looked through for each heartbeat of each digest */
    size_t forgotten_count;
    uint64_t number;           /* of the newest change here */
    uint64_t rows_number;      /* of the newest change of who somebody is */
    uint64_t epoch;            /* grows when places in `members` move */
    uint64_t set_hash;         /* of the counted members' replicas */
    uint64_t set_number;       /* how often that changed */
    uint64_t tick_ms;          /* of the tick before; 0: none */
    uint64_t refused_count;    /* members not taken in for want of room */
    uint64_t generation_known; /* the highest that others know of this node, if above its own */
    struct membership_retired *retired; /* that others have retired, and this node not yet */
    size_t retired_count;
    uint64_t table_version; /* of the table of replicas whose nodes were recalled, and one */
    bool is_renewal_wanted; /* a peer asks for this node's claim again */
    struct context frontier;
    bool is_frontier_current; /* every counted member's claim was good when it was last asked for */
};

/* ---- lifecycle ---- */

void membership_init(struct membership *membership, const struct membership_opts *opts,
                     uint64_t now_ms);
void membership_deinit(struct membership *membership);
/* Takes over what may change while it runs. */
void membership_configure(struct membership *membership, uint64_t gossip_interval_ms,
                          uint64_t forget_after_ms, const char *address);
/* This node goes on in a new, greater generation. */
void membership_set_generation(struct membership *membership, uint64_t generation);

/* ---- members ---- */

static inline struct member *membership_self(const struct membership *membership) {
    return membership->members[0];
}
/* NULL when unknown; forgotten ones are found. */
struct member *membership_find(const struct membership *membership,
                               const uint8_t node_id[REPLICA_NODE_ID_BYTES]);
/* The member whose present replica this is, or NULL. */
struct member *membership_find_ref(const struct membership *membership, uint64_t ref);
/* A node that this one knew in an earlier life, by its replica of the highest generation: nothing
 * settles until it is heard or forgotten. */
void membership_recall(struct membership *membership, const struct replica_id *id, uint64_t now_ms);
/* A node that had left, or was forgotten, in an earlier life of this one. */
void membership_recall_departed(struct membership *membership, const struct departed_life *departed,
                                uint64_t now_ms);
/* Recalls all nodes that have replicas in the table and are no members, known from an earlier life
 * or from a state that was taken over. membership_frontier() sees to it. */
void membership_recall_all(struct membership *membership, const struct replicas *replicas);

enum membership_admission {
    MEMBERSHIP_ADMITTED,
    MEMBERSHIP_IS_SELF,
    MEMBERSHIP_IS_OLD,       /* a newer generation of the node is known */
    MEMBERSHIP_IS_LEFT,      /* this generation has left */
    MEMBERSHIP_IS_FORGOTTEN, /* this generation was forgotten */
    MEMBERSHIP_IS_FULL,
};
/* A node introduced itself (HELLO). When it is admitted it is a member, `*member`. */
enum membership_admission membership_admit(struct membership *membership,
                                           const struct replica_id *id, struct slice address,
                                           struct slice version, uint64_t now_ms,
                                           struct member **member);
/* A link with this member is up: it was told nothing yet. */
void membership_link_began(struct membership *membership, struct member *member);
/* Something came from it directly. */
void membership_sign(struct member *member, uint64_t now_ms);
/* It is leaving, and this is the last it wrote. */
void membership_note_left(struct membership *membership, struct member *member, uint64_t last_ticks,
                          uint64_t now_ms);
/* This node leaves: digests say so from now on. */
void membership_leave(struct membership *membership, uint64_t last_ticks, uint64_t now_ms);
/* Forgets a member (not self), whatever its state. Others that do not hear it follow. */
void membership_forget(struct membership *membership, struct member *member, uint64_t now_ms);
/* How suspicious its silence is. */
double membership_phi(const struct membership *membership, const struct member *member,
                      uint64_t now_ms);
/* How many other members are in that state. */
size_t membership_count(const struct membership *membership, enum member_state state);
/* Are at least half of the counted nodes heard, this one included? */
bool membership_has_quorum(const struct membership *membership);
/* Judges who lives and forgets the long dead. At least each gossip interval. */
void membership_tick(struct membership *membership, const struct replicas *replicas,
                     const struct context *context, uint64_t now_ms);

/* ---- what members have seen ---- */

/* It has seen this stamp, from an ACK. */
void membership_note_seen(struct member *member, uint64_t stamp);
/* It has seen just this, from a CONTEXT: what it had before and has dropped, since it took another
 * state over, it can give to nobody. */
void membership_note_context(struct member *member, const struct context *context);
/* The newest stamp with that slot that it is known to have seen, 0 for none. */
uint64_t member_seen(const struct member *member, unsigned slot);
/* The same, of what it had at any time: who dropped it makes it again, if it is its own. */
uint64_t member_has_had(const struct member *member, unsigned slot);
/* All of that. */
void member_seen_context(const struct member *member, struct context *context);
/* And what it no longer speaks of, since it was retired where it is heard. */
void membership_seen_context(const struct membership *membership, const struct replicas *replicas,
                             const struct member *member, struct context *context);

/* ---- digests ---- */

/* Begins a round: the heartbeat grows and this node claims `context`, its own as of now with its
 * own last ticks. Once each gossip interval, before the digests go out. */
void membership_beat(struct membership *membership, const struct replicas *replicas,
                     const struct context *context);
/* Appends a digest for `peer`: new members, contexts that changed, heartbeats in turn; what it was
 * told before is left out. At most `bytes_max` (1 KiB at least); one context that would not fit
 * into half of that may come on top. */
void membership_digest_put(struct membership *membership, struct member *peer,
                           const struct replicas *replicas, size_t bytes_max, struct buffer *out);
/* Takes a digest of `peer`. False when malformed: what came before the fault was taken. */
bool membership_digest_take(struct membership *membership, struct member *peer,
                            const struct replicas *replicas, struct slice digest, uint64_t now_ms);

/* ---- the frontier ---- */

/* `context` is this node's own. */
void membership_frontier(struct membership *membership, const struct replicas *replicas,
                         const struct context *context, struct context *frontier);
/* The node has taken over another state: of its own, nothing above `context` was settled. */
void membership_limit_frontier(struct membership *membership, const struct context *context);
/* Its present life has to have seen this, too, before its changes are taken; and it has. */
void membership_owe(struct member *member, const struct context *context);
void membership_admit_life(struct member *member);
/* Is the replica in `slot` nobody's present one, and all that anybody has of it settled? By the
 * frontier as it was last asked for. */
bool membership_retirable(const struct membership *membership, const struct replicas *replicas,
                          const struct context *context, unsigned slot);
/* Has another member retired that replica? */
bool membership_is_retired_elsewhere(const struct membership *membership, uint64_t ref);
/* The slot was retired: nothing here speaks of it any more. */
void membership_slot_retired(struct membership *membership, unsigned slot);

/* Bytes allocated for all this. */
size_t membership_memory_bytes(const struct membership *membership);
/* Looks at everything; aborts on a fault. */
void membership_check(const struct membership *membership);

#endif
