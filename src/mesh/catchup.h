/* SPDX-License-Identifier: BSD-3-Clause */
/* Catching up by a snapshot: joining and serving, part by part.
 *
 * The state is cut into parts by hash. A joiner pulls parts from all linked peers that are ready,
 * one after the other from each, and some ahead of that; what a broken link leaves undone is pulled
 * from somebody else. Each part comes with the context it shows. Who joins:
 *
 *   - a node that peers' logs no longer serve (LOST), for a while, or since it lacks what is
 * settled there and no log can tell. It takes their state and applies its own log (MESH_JOIN_TAKE);
 * if that does not reach back to any peer's place, one of the two merges: that with fewer living
 *     nodes on its side, then fewer keys, then the smaller id (MESH_JOIN_MERGE);
 *   - a node that was forgotten, in its next life: it rebases (MESH_JOIN_REBASE);
 *   - a node that has seeds and starts, until it has what its peers had when they were linked, by
 *     their logs, or knows that there is nothing to take over.
 *
 *   IDLE       -> WAITING     it starts, or has to catch up before it writes (admission.h)
 *   any        -> PULLING     it is decided that a snapshot is needed
 *   WAITING    -> IDLE        what the peers had is here, all are empty, or nobody answers
 *   PULLING    -> IDLE        all peers are joining, too, and this one has the most to give
 *   PULLING    -> ADVANCING   all parts are in, records are taken again
 *   ADVANCING  -> IDLE        the context covers all parts, and what was to be issued again is
 *   ADVANCING  -> PULLING     a log has been overtaken meanwhile
 *
 * In all states but IDLE the node is joining: it serves no parts, and clients are told LOADING. */
#ifndef MESH_CATCHUP_H
#define MESH_CATCHUP_H

#include "base/buffer.h"
#include "crdt/context.h"
#include "mesh/mesh.h"

enum {
    CATCHUP_PARTS = 256,
    CATCHUP_PARTS_MAX = 4096,      /* more are not served */
    CATCHUP_PULLS_MAX = 16,        /* asked for on one link at a time */
    CATCHUP_PATIENCE_MS = 5000,    /* without bytes of a part: it is pulled from somebody else */
    CATCHUP_RETRY_MS = 500,        /* before a peer that could not serve is asked again */
    CATCHUP_ANEW_MS = 1000,        /* after its beginning, before it is begun anew */
    CATCHUP_LOST_MS = 9000,        /* of one peer's log that does not serve: others' may do ... */
    CATCHUP_SURE_MS = 2000,        /* ... unless it is plain that none does */
    CATCHUP_SOURCELESS_MS = 10000, /* then anybody's state is taken */
    CATCHUP_JOINER_MS = 40000,     /* who joins itself is no source after that */
    CATCHUP_MERGE_MS = 30000,   /* of no peer that has seen what only this node's log could tell */
    CATCHUP_REFUSED_MS = 15000, /* of parts that do not fit, then values are compared */
    CATCHUP_REBASE_MS = 10000,  /* before a state is compared, for others to come back, too ... */
    CATCHUP_REBASE_MAX_MS = 40000, /* ... and to tell each other what they have of this node's */
    CATCHUP_STUCK_MS = 2000,       /* of all peers having what is void: this node need not join */
    CATCHUP_FIRST_MS = 20000,      /* of another one that compares first */
    CATCHUP_ALONE_MS = 3000,       /* a fresh node that reaches nobody begins by itself */
    CATCHUP_TIED_MS =
        2000, /* of all peers joining, before one of them stops: for each that has more ... */
    CATCHUP_UNLINKED_MS = 10000, /* ... and this long for somebody who lives and is not linked */
};

/* A part that a peer asked for. */
struct catchup_pull {
    uint16_t part, parts_count;
};

/* Of one link. */
struct link_catchup {
    /* Parts that were asked for here, in the order in which they come; the first may have begun. */
    uint16_t asked[CATCHUP_PULLS_MAX];
    unsigned asked_count;
    bool has_begun;
    bool has_small_parts;   /* the one before was small */
    uint64_t part_bytes;    /* that have come of it */
    uint64_t part_began_us; /* when the first bytes of it came */
    uint64_t part_took_us;  /* the one before, from first to last; 0: there was none */
    bool is_foreign;        /* other hash seed: parts from here do not fit */
    bool is_counted;        /* WAITING: what the peer has is in the goal */
    uint64_t refused_us;    /* when what came from here did not fit to what this node has */
    uint64_t lost_us, lost_since_us; /* when its log was said not to serve us: last, and first */
    uint64_t ends_told_us;           /* when it was last told which lives are ended */
    bool rebases;                    /* the peer compares, or makes again what is missing */
    bool has_rebased;                /* it has done so while this node joined, or before */
    bool compares;                   /* it has begun to */
    uint64_t rank, told_rank;        /* catchup_tell_rank(): the peer's, and what it was told */
    bool pulls;                      /* the peer takes over the state of this node, among others */
    uint64_t pulled_us;              /* when the last bytes of a part came */
    uint64_t retry_us;               /* not to be asked before */
    void *served;                    /* the walk of a part that goes out, or NULL */
    unsigned served_part;
    struct catchup_pull waiting[CATCHUP_PULLS_MAX]; /* behind it */
    unsigned waiting_count;
    uint64_t turn;   /* when it was last served: catchup.turns_count then */
    bool was_served; /* counted in stats.syncs_served */
};

enum catchup_state { CATCHUP_IDLE, CATCHUP_WAITING, CATCHUP_PULLING, CATCHUP_ADVANCING };

struct catchup {
    enum catchup_state state;
    unsigned served_count; /* links that are served a part */
    uint64_t turns_count;  /* frames of parts that were sent */
    enum mesh_join mode;
    bool is_fresh;     /* WAITING: it has no data, and does without none that peers may have */
    bool has_begun;    /* the data were told: sync_begin() */
    bool has_sync;     /* they were, by now or before it was begun anew: that has to be finished */
    bool is_comparing; /* what is here with parts, or made again what came of that */
    bool was_refused;  /* begun anew once, since parts that fitted did not go with what peers had */
    bool was_merging;  /* MERGE was tried in place of REBASE, since it was put back */
    bool leaves_void;  /* it was begun for what is void: catchup_void.h */
    bool has_seed;     /* `seed` is that of all parts */
    uint64_t seed[2];
    unsigned parts_done;
    uint8_t *part_states; /* 0 open, 1 under way, 2 done */
    uint64_t started_us;
    uint64_t begun_us;    /* or begun anew */
    bool wants_anew;      /* ADVANCING: the peers' logs have gone on beyond what came */
    uint64_t stuck_us;    /* since when all linked peers have seen what is void; 0: they have not */
    uint64_t tied_us;     /* since when all peers are joining, too; 0: they are not */
    uint64_t warned_us;   /* when it was last said that it takes long */
    struct context *goal; /* WAITING: what the peers had when they were linked */
    /* PULLING: what the peer had whose log did not serve; who has less is not asked. NULL: anybody
     * is. */
    struct context *needed;
    /* What one peer alone had of that, where `needed` is of all: enough if nobody has all. */
    struct context *needed_of_one;
    /* REBASE: who had forgotten this node; `needed` is what that one has, NULL until it is linked.
     * A peer that was forgotten with this node has nothing that could be compared. */
    uint8_t teller[REPLICA_NODE_ID_BYTES];
    bool has_teller;
    uint64_t sourceless_us; /* since when nobody is linked who has that; 0: somebody is */
    bool had_peers_data;
    struct buffer frame; /* being made */
};

/* At the start, after settings and data are there: a node that has seeds waits. */
void catchup_init(struct mesh *mesh);
void catchup_deinit(struct mesh *mesh);
static inline bool catchup_is_joining(const struct catchup *catchup) {
    return catchup->state != CATCHUP_IDLE;
}
/* Will it drop what it knows of others' lives, for them to make it again? */
static inline bool catchup_is_rebasing(const struct catchup *catchup) {
    return catchup->state == CATCHUP_PULLING && catchup->mode == MESH_JOIN_REBASE;
}
/* Was this node told that it was forgotten, in this life or one before, and has not compared since?
 * It may have heard meanwhile what others had settled, and looks as if it had when it wrote. It is
 * noted as a departed life of its own, which a restart finds. */
bool catchup_owes_comparing(const struct mesh *mesh);
/* How much this node has seen: more than another one if it has seen all that that one has, and not
 * the other way round. For the link's peer, which is told so; 0 while it compares nothing. */
uint64_t catchup_tell_rank(struct mesh_link *link);
/* Of this node and the link's peer, both forgotten, does the peer compare first? It does if it has
 * begun to, and this node has not; else by rank. Who has seen more has deleted some of it, perhaps,
 * and makes that known so; what the other one made again it would not know for that. By what they
 * have told each other, so that the peer comes to the opposite result, and of several each knows
 * its place: by what each knows of others' contexts, all of them may wait for each other. */
bool catchup_compares_first(const struct mesh_link *link);
/* The link's peer cannot serve us from its log: decides who joins. `lacks_settled`: no log can,
 * since this node has not seen all that is settled there; `was_forgotten`: what this node wrote may
 * not have seen that. */
void catchup_consider(struct mesh_link *link, bool lacks_settled, bool was_forgotten);
/* The link's peer serves us from its log, but nothing may be written here before we have caught up:
 * admission.h. */
void catchup_wait(struct mesh_link *link);
/* How many nodes live on this side of a link, as far as this one hears: itself, and others than the
 * peer. */
uint64_t catchup_company(const struct mesh_link *link);
/* A PART_* frame came. False: it makes no sense. */
bool catchup_frame(struct mesh_link *link, unsigned type, struct slice payload);
/* The peer said whether it joins, and whether it will drop what it knows, or has begun to. */
void catchup_note_peer(struct mesh_link *link, bool is_joining, bool is_rebasing);
/* The peer told its context: it takes over nobody's state (any more). */
void catchup_peer_is_back(struct mesh_link *link);
void catchup_link_closed(struct mesh_link *link);
/* Pulls what is to be pulled. */
void catchup_run(struct mesh *mesh);
void catchup_tick(struct mesh *mesh);
/* All parts are in, and what follows them is not over: catchup_run() wants to be called soon
 * although nothing comes in. */
bool catchup_is_busy(const struct mesh *mesh);

#endif
