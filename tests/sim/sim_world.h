/* SPDX-License-Identifier: BSD-3-Clause */
/* A world: nodes with their disks, connections and clients, under one virtual clock.
 *
 * The nodes are the code that ships, up to node/. Everything around them is here: time moves from
 * event to event, chance comes from the seed, so one seed is one history, event by event. The
 * trace, a hash of all that happens, tells whether two runs were the same. */
#ifndef TESTS_SIM_SIM_WORLD_H
#define TESTS_SIM_SIM_WORLD_H

#include "base/buffer.h"
#include "base/hash.h"
#include "base/prng.h"
#include "config/options.h"
#include "node/node.h"
#include "sim/sim_disk.h"

#define SIM_START_MS INT64_C(1800000000000)
#define SIM_NEVER UINT64_MAX
#define SIM_SECOND UINT64_C(1000000)
#define SIM_MS UINT64_C(1000)

enum { SIM_FAILURE_BYTES = 1024 };

struct sim_world;
struct sim_node;
struct sim_end;
struct sim_connection;

typedef void (*sim_event_fn)(struct sim_world *world, void *object, uint64_t number);

struct sim_event {
    uint64_t at_us, order;
    sim_event_fn fn;
    void *object;
    uint64_t number;
};

/* ---- replies and clients: sim_client.c ---- */

struct sim_reply {
    char type;    /* '+', '-', ':', '$', '*'; 0: the connection was lost before it came */
    bool is_null; /* with type 0: there was no connection, nothing was sent */
    int64_t integer;
    struct slice text;
    unsigned count;
    struct sim_reply *items;
    uint64_t asked_us; /* when the request was sent */
};

typedef void (*sim_reply_fn)(struct sim_world *world, void *udata, uint64_t number,
                             const struct sim_reply *reply);

struct sim_client {
    struct sim_node *node;
    struct client *client;
    struct buffer received;
    unsigned waits_for; /* replies to come; 0: idle */
    bool is_closing;
    unsigned db;
    uint64_t asked_us;
    sim_reply_fn fn;
    void *udata;
    uint64_t number;
    struct sim_client *next;
};

/* ---- nodes ---- */

struct sim_node {
    struct sim_world *world;
    unsigned index;
    struct node *node; /* NULL while it is down */
    struct options options;
    struct sim_disk disk;
    struct sim_disk copy; /* of the directory, for a restore */
    bool has_copy;
    unsigned boots;        /* how often it was started */
    uint64_t turn_us;      /* when the next turn is due */
    uint64_t monotonic_us; /* newest that was handed out */
    uint64_t slow_us;      /* each turn is late by up to so much */
    int64_t clock_offset_ms;
    uint64_t memory_base_bytes, memory_key_bytes; /* what the node believes to use */
    struct sim_client *clients;
    struct sim_end **ends; /* of its connections */
    unsigned ends_count, ends_capacity;
    uint64_t *sends; /* ends that got something to send in this turn */
    unsigned sends_count, sends_capacity;
    bool is_out; /* left or was forgotten: not asked to agree with the others */
    char address[32];
    char node_id[40];             /* of its last life */
    uint64_t bytes_in, bytes_out; /* of its connections */
};

/* What may happen between two nodes; 0 everywhere: nothing bad. */
struct sim_path {
    bool is_cut;
    uint32_t delay_us; /* on top of the usual */
};

struct sim_world {
    uint64_t seed;
    struct prng prng;
    uint64_t now_us, order;
    uint64_t events_count;
    struct sim_event *heap;
    size_t heap_count, heap_capacity;
    struct sim_node *nodes;
    unsigned nodes_count;
    uint64_t trace;
    bool is_verbose;
    char failure[SIM_FAILURE_BYTES]; /* "" while all is well */

    /* sim_network.c */
    struct sim_connection **connections; /* by number; NULL once gone */
    size_t connections_count, connections_capacity;
    struct sim_path *paths; /* from * nodes_count + to */
    uint32_t delay_us_min, delay_us_max;
    uint32_t bytes_per_ms;
    unsigned frame_faults_per_10000;
    uint64_t frame_faults;
};

void sim_world_init(struct sim_world *world, uint64_t seed, unsigned nodes_count);
void sim_world_deinit(struct sim_world *world);
/* Calls `fn` at that time, or now if it has passed. */
void sim_at(struct sim_world *world, uint64_t at_us, sim_event_fn fn, void *object,
            uint64_t number);
/* Lets things happen up to that time; stops early on a failure. */
void sim_run_until(struct sim_world *world, uint64_t until_us);
static inline void sim_run_for(struct sim_world *world, uint64_t us) {
    sim_run_until(world, world->now_us + us);
}
/* One event; false when there is none before `until_us`. */
bool sim_step(struct sim_world *world, uint64_t until_us);
void sim_trace(struct sim_world *world, uint64_t value);
/* Notes what went wrong; the first time counts. */
void sim_fail(struct sim_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A line with the time, if the world is verbose. */
void sim_note(struct sim_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static inline bool sim_has_failed(const struct sim_world *world) {
    return world->failure[0] != '\0';
}
static inline uint64_t sim_between(struct sim_world *world, uint64_t low, uint64_t high) {
    return low + prng_below(&world->prng, high - low + 1);
}

/* Directives, as in a file, for a node that is not started yet, or for its next start. */
void sim_configure(struct sim_node *node, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Starts a node on what its disk has. A node that refuses to start is a failure. */
void sim_start(struct sim_node *node);
/* kill -9: what was written stays. */
void sim_kill(struct sim_node *node);
/* The power goes: what was not synced is lost, or torn. */
void sim_lose_power(struct sim_node *node);
/* An orderly end, as after SIGTERM. */
void sim_stop(struct sim_node *node);
/* Sees to it that the node has a turn soon. */
void sim_wake(struct sim_node *node, uint64_t in_us);
/* Tells the node the time; before calling anything of it outside a turn. */
void sim_set_time(struct sim_node *node);
static inline int64_t sim_unix_ms(const struct sim_node *node) {
    return SIM_START_MS + (int64_t)(node->world->now_us / 1000) + node->clock_offset_ms;
}

/* ---- sim_client.c ---- */

/* Sends commands, separated by ';', words by blanks, over a connection of their own; `fn` gets the
 * last reply, at once with type 0 when the node is down. `db` is selected before. */
void sim_call(struct sim_node *node, unsigned db, sim_reply_fn fn, void *udata, uint64_t number,
              const char *format, ...) __attribute__((format(printf, 6, 7)));
/* The node sent something or closed the connection. */
void sim_client_flush(struct sim_node *node, struct client *client);
/* All connections are gone, with the node or without. */
void sim_clients_drop(struct sim_node *node);

/* ---- sim_network.c ---- */

void sim_network_init(struct sim_world *world);
void sim_network_deinit(struct sim_world *world);
/* Fills what the node asks of the network. */
struct mesh_host;
void sim_network_host(struct sim_node *node, struct mesh_host *host);
/* After a turn: what is to be sent leaves, what had no room is tried again. */
void sim_network_flush(struct sim_node *node);
/* The node is gone. Its peers hear of it after a moment, or, without power, by silence. */
void sim_network_drop(struct sim_node *node, bool is_silent);
/* Resets all connections between two nodes, losing what is under way. */
void sim_network_reset(struct sim_world *world, unsigned a, unsigned b);
/* Bytes from `from` to `to` stop, or go on. */
void sim_network_cut(struct sim_world *world, unsigned from, unsigned to, bool is_cut);
static inline struct sim_path *sim_path(struct sim_world *world, unsigned from, unsigned to) {
    return &world->paths[(size_t)from * world->nodes_count + to];
}

#endif
