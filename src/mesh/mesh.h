/* SPDX-License-Identifier: BSD-3-Clause */
/* The mesh: one node's side of it. Who the others are and whether they live, connections with
 * them, records out and in, and catching up.
 *
 * A state machine that is handed bytes, times and events and hands back output. It opens no record:
 * what data are, and where they lie, is behind struct mesh_data, which node/ fills; sockets and
 * names are behind struct mesh_host. So the same code runs on libevent and in the simulator.
 *
 * One turn:
 *   mesh_link_opened(), mesh_link_input(), mesh_link_closed()   as it happens
 *   mesh_run()     parses what came in, applies it, acknowledges
 *   ... the log is written ...
 *   mesh_push()    what the log has new goes into the links' output
 *   host.send()    was called for each link with output
 *   mesh_tick()    at least ten times a second: gossip, dialling, timeouts, settling
 *
 * Parts of this room: membership (who lives, digests, the frontier), link (one connection: its
 * handshake and frames), streamer (records out and in), catchup (snapshots in parts). */
#ifndef MESH_MESH_H
#define MESH_MESH_H

#include "base/buffer.h"
#include "crdt/replica.h"
#include "crdt/stream.h"

struct mesh;
struct mesh_link;

enum {
    MESH_PROTOCOL_VERSION = 6,
    MESH_ADDRESS_BYTES = 280,
    MESH_SEEDS_MAX = 64,
    MESH_DETAIL_BYTES = 192, /* of what is said about a refusal; the rest is cut off */
};

enum mesh_level { MESH_LEVEL_DEBUG, MESH_LEVEL_VERBOSE, MESH_LEVEL_NOTICE, MESH_LEVEL_WARNING };

/* What a link's end, or a refusal, was about; the names are in mesh_reason_name(). */
enum mesh_reason {
    MESH_REASON_NONE,
    MESH_REASON_CLOSED,    /* by the other side, or the network */
    MESH_REASON_TIMEOUT,   /* silence, or a handshake that takes too long */
    MESH_REASON_SECRET,    /* mesh-auth differs, or only one side has it */
    MESH_REASON_CLUSTER,   /* another mesh-cluster-id */
    MESH_REASON_VERSION,   /* another major version of the protocol */
    MESH_REASON_CLOCK,     /* clocks too far apart */
    MESH_REASON_DATABASES, /* another number of databases */
    MESH_REASON_SELF,      /* it is this node */
    MESH_REASON_DUPLICATE, /* a second connection of the same pair */
    MESH_REASON_FORGOTTEN, /* this life of the node was forgotten: it must begin a new one */
    MESH_REASON_CUT,       /* DEBUG MESH CUT */
    MESH_REASON_GARBAGE,   /* bytes that are no frame, or a frame that makes no sense */
    MESH_REASON_LIMIT,     /* a frame or number beyond a limit */
    MESH_REASON_LEAVING,   /* the node leaves the mesh or stops */
    /* By the host, before a handshake here. */
    MESH_REASON_TLS,         /* one side speaks it, or they find no common version or cipher */
    MESH_REASON_CERTIFICATE, /* none, or one that is not accepted */
    MESH_REASONS_COUNT
};
const char *mesh_reason_name(enum mesh_reason reason);

/* The outside world. All functions get `udata`. */
struct mesh_host {
    void *udata;
    /* Begins to connect to a numeric "address:port". Ends in mesh_link_opened() or
     * mesh_link_closed(), which may be called from within. `link->connection` is the host's. */
    void (*dial)(void *udata, struct mesh_link *link, const char *address);
    /* The link has output: mesh_link_output(). Called once until it was taken. */
    void (*send)(void *udata, struct mesh_link *link);
    /* Closes the connection after what is in its output was tried once; the link is freed after
     * the call, the host forgets it. */
    void (*close)(void *udata, struct mesh_link *link);
    /* Looks up all addresses of a name; ends in mesh_resolved(). NULL: only numeric addresses. */
    void (*resolve)(void *udata, const char *name, unsigned port);
    void (*hmac_sha256)(void *udata, struct slice key, struct slice text, uint8_t digest[32]);
    void (*message)(void *udata, enum mesh_level level, const char *text);
};

enum mesh_apply {
    MESH_APPLY_OK,
    MESH_APPLY_DUPLICATE,
    MESH_APPLY_GAP,
    MESH_APPLY_EARLY,   /* `missing` says which replica must come first */
    MESH_APPLY_ASK,     /* a peer that has it must answer questions() first */
    MESH_APPLY_UNKNOWN, /* the author was not introduced */
    MESH_APPLY_MALFORMED,
    MESH_APPLY_BUSY, /* no room (maxmemory and its reserve, a full disk): try again later */
};

enum mesh_read { MESH_READ_RECORD, MESH_READ_END, MESH_READ_WAIT, MESH_READ_LOST };
enum mesh_part {
    MESH_PART_MORE,
    MESH_PART_DONE,
    MESH_PART_AGAIN,
    MESH_PART_BAD,
    MESH_PART_REFUSED, /* it does not fit to what this node has: only another one's may */
};

/* How a node takes over the state of the mesh, and what becomes of what only it knows. */
enum mesh_join {
    MESH_JOIN_TAKE,   /* its log has that, and it is applied again */
    MESH_JOIN_MERGE,  /* its state is merged */
    MESH_JOIN_REBASE, /* it is made again by a new replica */
};

/* A record as it lies in memory, until the next call to the data. */
struct stream_bytes {
    struct slice record;
    /* Who holds the block may use it for longer: a varint that is the record's length, and the
     * record. NULL, and none: that is not possible. */
    struct shared_block *block;
    struct slice framed;
};

/* The data. All functions get `udata`. */
struct mesh_data {
    void *udata;
    struct replicas *(*replicas)(void *udata);
    const struct context *(*context)(void *udata);
    /* Applies a record, or says why not. `missing` is set with EARLY. */
    enum mesh_apply (*apply)(void *udata, struct slice record, struct stream_mark *missing);
    /* The last ticks of an author's stream that were taken, kept parts of units included. */
    uint64_t (*received_ticks)(void *udata, unsigned slot);
    /* Forgets the open unit of an author whose stream was interrupted. */
    void (*forget_unit)(void *udata, unsigned slot);
    /* A reader of the log: log/log_stream.h. */
    void *(*stream_new)(void *udata);
    void (*stream_free)(void *udata, void *stream);
    bool (*stream_seek)(void *udata, void *stream, const struct context *seen,
                        const bool *is_wanted);
    enum mesh_read (*stream_next)(void *udata, void *stream, struct stream_record *record,
                                  struct stream_bytes *bytes);
    /* Could a stream serve one who has seen `seen`? */
    bool (*reaches_back)(void *udata, const struct context *seen, const bool *is_wanted);
    /* How many changes of the stamp's replica are here that came after it, as far as is known. */
    uint64_t (*changes_since)(void *udata, uint64_t stamp);
    /* Everything that these stamps cover is settled: see membership.h. Called on ticks. */
    void (*settle)(void *udata, const struct context *frontier);
    /* A replica is gone for good and settled everywhere: its slot may be recycled. True once it is
     * free; until then it is asked again, as long as that holds. */
    bool (*retire)(void *udata, unsigned slot);
    /* This node goes on as a new replica (generation); own changes so far are recorded before.
     * False: that cannot be noted, the disk is full perhaps; it is still the old one. */
    bool (*new_generation)(void *udata, uint64_t generation);
    uint64_t (*keys_count)(void *udata);
    unsigned (*databases_count)(void *udata);
    void (*hash_seed)(void *udata, uint64_t seed[2]);
    /* Sums of the data by ranges of a hash that all nodes share, `ranges` of them, 8 bytes each. */
    void (*range_digests)(void *udata, unsigned ranges, uint64_t *digests);

    /* Serving a part of the state: store/part.h. NULL: not now, to be tried again on the next tick.
     */
    void *(*part_open)(void *udata, unsigned part, unsigned parts_count, struct buffer *header);
    enum mesh_part (*part_read)(void *udata, void *walk, struct buffer *out, size_t bytes_max);
    void (*part_close)(void *udata, void *walk);

    /* Joining: store/sync.h. Between sync_begin and sync_end no record is applied and clients are
     * told LOADING. `parts_count` is 1 when hash seeds differ. */
    void (*sync_begin)(void *udata, enum mesh_join mode);
    /* May the node take over this hash seed (it is empty) or has it already? */
    bool (*sync_takes_seed)(void *udata, const uint64_t seed[2]);
    enum mesh_part (*sync_part_begin)(void *udata, unsigned part, unsigned parts_count,
                                      struct slice header);
    enum mesh_part (*sync_part_data)(void *udata, unsigned part, struct slice bytes);
    enum mesh_part (*sync_part_end)(void *udata, unsigned part);
    /* All parts are in: sets the context, and applies to them what only this node knows. MORE: to
     * be called again; DONE: records are taken again; AGAIN: the parts have to be pulled anew;
     * REFUSED: what only this node knows cannot be applied, so nothing was replaced: to be merged.
     */
    enum mesh_part (*sync_end)(void *udata);
    /* Is the node ready: the context covers all parts, what was to be re-issued is? */
    bool (*sync_is_ready)(void *udata);

    /* A broadcast of another node came: mesh_broadcast(). False: it makes no sense. NULL: nobody
     * wants to know. */
    bool (*broadcast)(void *udata, struct slice bytes);
    /* Between sync_end and sync_is_ready: what has the context to cover? NULL: nothing, also where
     * the function is NULL. */
    const struct context *(*sync_goal)(void *udata);
    /* Ends a joining of which not all parts are in: nothing of it stays. sync_is_ready() tells when
     * the node goes on as before. False, also where the function is NULL: it has to go on. */
    bool (*sync_cancel)(void *udata);

    /* After ASK: what is to be asked, each with its length (varint). Then an answer, which is for
     * the author of that record; false: it makes no sense. store/amounts.h */
    struct slice (*questions)(void *udata);
    bool (*answered)(void *udata, struct slice answer);
    /* Appends the answer to a question; nothing where it is not known. False: it makes no sense. */
    bool (*answer)(void *udata, struct slice question, struct buffer *answer);
};

struct mesh_opts {
    struct mesh_host host;
    struct mesh_data data;
    uint8_t node_id[REPLICA_NODE_ID_BYTES];
    uint64_t generation;
    uint64_t seed;       /* of the mesh's own random numbers */
    const char *version; /* of the server */
};

/* What may change while it runs; strings are copied. */
struct mesh_settings {
    const char *cluster_id;
    const char *announce_address; /* "host:port" that others reach this node by */
    const char *const *seeds;     /* "host:port" */
    size_t seeds_count;
    struct slice secret; /* mesh-auth; empty: none */
    uint64_t gossip_interval_ms, forget_after_ms, retire_after_ms, max_clock_drift_ms;
    uint64_t max_frame_bytes, max_waiting_bytes;
    unsigned full_links;
    enum { MESH_COMPRESSION_NO, MESH_COMPRESSION_YES, MESH_COMPRESSION_AUTO } compression;
};

/* ---- lifecycle ---- */

struct mesh *mesh_new(const struct mesh_opts *opts, const struct mesh_settings *settings);
void mesh_free(struct mesh *mesh);
void mesh_configure(struct mesh *mesh, const struct mesh_settings *settings);
void mesh_set_time(struct mesh *mesh, int64_t unix_ms, uint64_t monotonic_us);

/* ---- connections ---- */

/* Somebody connected from `address`. Never NULL. */
struct mesh_link *mesh_accept(struct mesh *mesh, void *connection, const char *address);
void mesh_link_opened(struct mesh_link *link, void *connection);
/* Room for bytes from the connection, NULL while none are wanted (too much waits); then how many
 * were put there. */
char *mesh_link_input_space(struct mesh_link *link, size_t *room);
void mesh_link_input(struct mesh_link *link, size_t size);
/* The connection ended, or could not be made: the link is freed. */
void mesh_link_closed(struct mesh_link *link, enum mesh_reason reason);
/* The host does not let the link be, or (`by_peer`) the other side's does not: it is remembered as
 * refused, `detail` is for the log. If the other side shall hear of it (`tells`), that goes into
 * the output. The host is asked to close the connection, and the link is freed. */
void mesh_link_refused(struct mesh_link *link, enum mesh_reason reason, const char *detail,
                       bool by_peer, bool tells);
/* What is to be sent next, of what may be more; then how much of it was. */
struct slice mesh_link_output(const struct mesh_link *link);
/* The same in pieces that are sent one behind the other, at most so many; how many there are. */
size_t mesh_link_output_pieces(const struct mesh_link *link, struct slice *pieces,
                               size_t pieces_max);
void mesh_link_sent(struct mesh_link *link, size_t size);
void *mesh_link_connection(const struct mesh_link *link);
/* Addresses of a name, numeric "address:port" each. */
void mesh_resolved(struct mesh *mesh, const char *name, unsigned port, const char *const *addresses,
                   size_t count);

/* ---- a turn ---- */

/* Parses and applies what came in. */
void mesh_run(struct mesh *mesh);
/* Moves new records of the log into the links' output. */
void mesh_push(struct mesh *mesh);
/* Somebody waits for peers: asks those for an ACK that owe one. */
void mesh_ask_for_acks(struct mesh *mesh);
/* Has mesh_push() something to do even if the log is as it was when it was last called? */
bool mesh_wants_push(const struct mesh *mesh);
/* Sends a frame's worth of the parts that peers pull; true when there is more to send now. */
bool mesh_serve(struct mesh *mesh);
bool mesh_has_to_serve(const struct mesh *mesh);
/* Periodic work; returns the microseconds until it wants to be called again. */
uint64_t mesh_tick(struct mesh *mesh);

/* ---- for commands ---- */

void mesh_meet(struct mesh *mesh, const char *address);
/* Tells all peers that this node leaves and what its last stamp is. True once that has been sent
 * and every alive peer has acknowledged all that this node wrote; call again until then. */
bool mesh_leave(struct mesh *mesh);
/* Forgets a node that is dead or left: false when it is unknown, or alive. */
bool mesh_forget(struct mesh *mesh, const uint8_t node_id[REPLICA_NODE_ID_BYTES]);
/* DEBUG MESH CUT and HEAL, by the peer's announced address; "ALL" for all. */
void mesh_cut(struct mesh *mesh, const char *address);
void mesh_heal(struct mesh *mesh, const char *address);

/* Sends the parts, as one run of bytes, to all other nodes that can be reached now: at most once to
 * each, kept nowhere. Goes out with the next mesh_push(), behind the records. */
void mesh_broadcast(struct mesh *mesh, const struct slice *parts, size_t parts_count);

/* How many peers have acknowledged this stamp of mine. */
unsigned mesh_acknowledged_count(const struct mesh *mesh, uint64_t stamp);
/* Is the node owning this replica alive (self included), or was it within the last `ms`? */
bool mesh_is_replica_alive(const struct mesh *mesh, unsigned slot, uint64_t within_ms);
/* Does somebody else make known what a replica wrote, up to this stamp? Its node, if it lives and
 * has told that it has it, or had it and makes it again; or another living one that has or had it,
 * with a smaller id than this one's: one of them is enough. */
bool mesh_has_author(const struct mesh *mesh, uint64_t stamp);
/* Would its node alone make it known, which is not heard now, but was within the last minute? */
bool mesh_awaits_author(const struct mesh *mesh, uint64_t stamp);
unsigned mesh_alive_count(const struct mesh *mesh); /* peers, this node not included */
/* Is it joining: clients are told LOADING. */
bool mesh_is_joining(const struct mesh *mesh);
/* The context below which everything is settled. */
void mesh_frontier(const struct mesh *mesh, struct context *frontier);
/* Begins a comparison of range digests with all linked peers; mesh_check_done() answers when all
 * have replied or `timeout_ms` passed, with lines of text. */
void mesh_check_begin(struct mesh *mesh);
bool mesh_check_done(struct mesh *mesh, uint64_t timeout_ms, struct buffer *lines);

enum mesh_state { MESH_ALIVE, MESH_SUSPECT, MESH_DEAD, MESH_LEFT, MESH_JOINING };
enum mesh_link_state {
    MESH_LINK_NONE,
    MESH_LINK_DIALLING,
    MESH_LINK_HANDSHAKE,
    MESH_LINK_UP,
    MESH_LINK_CUT,
    MESH_LINK_REFUSED
};

enum { MESH_LAG_UNKNOWN = -1 };

struct mesh_node_info {
    uint8_t node_id[REPLICA_NODE_ID_BYTES];
    bool is_self;
    uint64_t generation;
    char address[MESH_ADDRESS_BYTES];
    char version[32];
    enum mesh_state state;
    double phi;
    enum mesh_link_state link;
    enum mesh_reason reason; /* of the last end or refusal */
    int64_t clock_offset_ms;
    uint64_t round_trip_us;
    /* Lag each way: what it has not acknowledged of what is here, and what it has that is not here
     * yet. Milliseconds are between newest stamps. Changes in are what it said of its lag out in
     * its last gossip round. MESH_LAG_UNKNOWN: nobody has told yet what it has seen; on the link
     * that there is now it has not said yet, or there is no link. */
    uint64_t lag_out_ms, lag_in_ms;
    int64_t lag_out_changes, lag_in_changes;
    uint64_t lag_out_bytes; /* of log that its stream has still to read */
    int64_t last_heard_ms;
};
/* Calls visit for self and every known node, refused addresses (zero id) included. */
void mesh_visit_nodes(const struct mesh *mesh,
                      void (*visit)(void *udata, const struct mesh_node_info *info), void *udata);

struct mesh_stats {
    unsigned members, alive, suspect, dead, links_up;
    bool has_quorum; /* hears at least half of the known nodes, itself included */
    bool is_joining;
    uint64_t bytes_in, bytes_out, frames_in, frames_out;
    uint64_t records_in, records_out, records_relayed, changes_coalesced;
    uint64_t questions_out, answers_out;
    uint64_t duplicates, gaps, early, waiting_records, waiting_bytes, waiting_dropped;
    uint64_t digests_in, digests_out, acks_in, acks_out;
    uint64_t syncs_log, syncs_snapshot, syncs_served, parts_in, parts_out, parts_resumed, rebases;
    uint64_t compressed_in_bytes, compressed_out_bytes; /* before compression */
    /* Broadcasts that came for the first time, sent (to each link), passed on, dropped for want of
     * room, and that came again. */
    uint64_t broadcasts_in, broadcasts_out, broadcasts_relayed, broadcasts_dropped;
    uint64_t broadcasts_duplicate;
    uint64_t refused[MESH_REASONS_COUNT];
    uint64_t lag_out_ms_max, lag_in_ms_max;
    uint64_t lag_out_changes_max, lag_in_changes_max;
    int64_t frontier_age_ms; /* now minus the oldest entry of the frontier */
    double last_sync_seconds;
};
void mesh_get_stats(const struct mesh *mesh, struct mesh_stats *stats);

#endif
