/* SPDX-License-Identifier: BSD-3-Clause */
/* Two nodes as machines, joined by a link, and a client of the first: the host, the network and the
 * clock are the test's. */
#ifndef UNIT_NODE_TWO_NODES_H
#define UNIT_NODE_TWO_NODES_H

#include "config/config.h"
#include "config/options.h"
#include "node/node.h"
#include "unit/log/memory_disk.h"
#include "unit/node/node_host.h"

enum { STEP_US = 50 };

struct world;

struct side {
    struct world *world;
    struct memory_disk disk;
    struct options options;
    struct node *node;
    struct mesh_link *link; /* its end of the connection; NULL: there is none */
    bool has_input;
    uint64_t tick_us; /* when it wants to be called again */
};

struct world {
    struct side sides[2]; /* [0] writes */
    struct client *client;
    bool other_joins;
    int64_t now_ms;
    uint64_t now_us;
    uint64_t output_us;   /* what output for a peer takes of the writer's time */
    uint64_t records_out; /* of the writer */
    uint64_t moved_bytes; /* from the writer to the other one, in the last step */
};

/* ---- hosts ---- */

static inline uint64_t host_monotonic_us(void *udata) {
    return ((struct side *)udata)->world->now_us;
}

/* The writer dials; there is only one connection. */
static inline void mesh_dial(void *udata, struct mesh_link *link, const char *address) {
    struct side *side = udata;
    (void)address;
    if (side != &side->world->sides[0] || side->link != NULL) {
        mesh_link_closed(link, MESH_REASON_CLOSED);
        return;
    }
    side->link = link;
}

static inline void mesh_send(void *udata, struct mesh_link *link) {
    struct side *side = udata;
    (void)link; /* it is looked at in each step */
    side->world->now_us += side == &side->world->sides[0] ? side->world->output_us : 0;
}

static inline void mesh_close(void *udata, struct mesh_link *link) {
    struct side *side = udata;
    require(link != side->link); /* none ends before the test does */
}

static inline void mesh_hmac(void *udata, struct slice key, struct slice text, uint8_t digest[32]) {
    (void)udata, (void)key, (void)text;
    memset(digest, 0, 32);
}

static inline void mesh_message(void *udata, enum mesh_level level, const char *text) {
    (void)udata, (void)level, (void)text;
}

/* ---- the world ---- */

static inline void boot(struct side *side, unsigned index) {
    memory_disk_init(&side->disk, 1 + index);
    options_init(&side->options);
    side->options.appendonly = false;
    side->options.mesh_port = 17000 + index;
    if (side->world->other_joins) {
        side->options.mesh_backlog_size = 64
                                          << 10; /* the log does not reach back to the beginning */
    }
    struct buffer error = {0};
    if (index == 1 && side->world->other_joins) {
        require(config_set_text(&side->options, OPTION_mesh_seeds, SLICE("127.0.0.1:17000"),
                                &error) == CONFIG_OK);
    }
    struct node_opts opts = {
        .host = host_of_nothing(side, host_monotonic_us),
        .mesh_host = {.udata = side,
                      .dial = mesh_dial,
                      .send = mesh_send,
                      .close = mesh_close,
                      .hmac_sha256 = mesh_hmac,
                      .message = mesh_message},
        .options = &side->options,
        .disk = &side->disk.disk,
        .entropy = {1 + index, 2, 3, 4},
        .now_ms = side->world->now_ms,
    };
    side->node = node_new(&opts);
    require(node_start(side->node));
}

static inline void move_bytes(struct side *from, struct side *to) {
    struct slice out = mesh_link_output(from->link);
    while (out.size > 0) {
        size_t room;
        char *space = mesh_link_input_space(to->link, &room);
        require(space != NULL);
        size_t size = out.size < room ? out.size : room;
        memcpy(space, out.data, size);
        mesh_link_input(to->link, size);
        to->has_input = true;
        mesh_link_sent(from->link, size);
        out = mesh_link_output(from->link);
    }
}

static inline void take_replies(struct world *world) {
    struct client *client;
    while ((client = node_take_output(world->sides[0].node)) != NULL) {
        size_t size =
            client_sendable_bytes(client, log_acknowledged_position(world->sides[0].node->log));
        if (size > 0) {
            node_client_sent(client, size);
        }
    }
}

static inline void set_times(struct world *world) {
    for (unsigned i = 0; i < 2; i++) {
        node_set_time(world->sides[i].node, world->now_ms, world->now_us);
    }
}

/* As a host does it: a turn when something came in, a tick when that was wished for. */
static inline void turn(struct world *world, struct side *side) {
    if (side->has_input) {
        node_run(side->node);
        side->tick_us = world->now_us;
    }
    side->has_input = false;
    if (world->now_us >= side->tick_us) {
        side->tick_us = world->now_us + node_tick(side->node);
    }
}

/* A turn with this input; were changes pushed in it? Then the time goes on. */
static inline bool step(struct world *world, struct slice input) {
    set_times(world);
    while (input.size > 0) {
        size_t room;
        char *at = node_client_input_space(world->client, &room);
        require(room > 0);
        size_t size = input.size < room ? input.size : room;
        memcpy(at, input.data, size);
        node_client_input(world->client, size);
        input = slice_skip(input, size);
        world->sides[0].has_input = true;
    }
    turn(world, &world->sides[0]);
    take_replies(world);
    struct mesh_stats stats;
    mesh_get_stats(world->sides[0].node->mesh, &stats);
    bool has_pushed = stats.records_out > world->records_out;
    world->records_out = stats.records_out;
    world->moved_bytes = 0;
    if (world->sides[0].link != NULL) {
        struct mesh_stats before = stats;
        move_bytes(&world->sides[0], &world->sides[1]);
        mesh_get_stats(world->sides[0].node->mesh, &stats);
        world->moved_bytes = stats.bytes_out - before.bytes_out;
    }
    turn(world, &world->sides[1]);
    if (world->sides[0].link != NULL) {
        move_bytes(&world->sides[1], &world->sides[0]);
    }
    world->now_us += STEP_US;
    world->now_ms += world->now_us % 1000 == 0;
    return has_pushed;
}

static inline bool write_one(struct world *world) {
    return step(world, SLICE("SET k v\r\n"));
}

/* Rests until nothing is left to be done. */
static inline void rest(struct world *world) {
    for (unsigned i = 0; i < 200; i++) {
        (void)step(world, (struct slice){0});
    }
}

/* Two nodes that know nothing of each other; `other_joins`: the second is told of the first. */
static inline struct world *begin_apart(bool other_joins) {
    struct world *world = memory_alloc_zero(sizeof(*world));
    world->now_ms = INT64_C(1800000000000);
    world->now_us = 1000000;
    world->other_joins = other_joins;
    for (unsigned i = 0; i < 2; i++) {
        world->sides[i].world = world;
        boot(&world->sides[i], i);
    }
    struct client_opts client = {.connection = world,
                                 .address = "127.0.0.1:1000",
                                 .local_address = "127.0.0.1:6379",
                                 .is_local = true};
    const char *refusal = NULL;
    world->client = node_client_open(world->sides[0].node, &client, &refusal);
    require(world->client != NULL);
    set_times(world);
    return world;
}

static inline void link_both(struct world *world) {
    mesh_meet(world->sides[0].node->mesh, "127.0.0.1:17001");
    for (unsigned i = 0; world->sides[0].link == NULL; i++) {
        require(i < 100);
        (void)node_tick(world->sides[0].node);
        world->now_us += 100000;
        world->now_ms += 100;
        set_times(world);
    }
    world->sides[1].link = mesh_accept(world->sides[1].node->mesh, world, "127.0.0.1:50000");
    mesh_link_opened(world->sides[0].link, world);
}

static inline struct world *begin(void) {
    struct world *world = begin_apart(false);
    link_both(world);
    for (unsigned i = 0; !write_one(world); i++) { /* the link is up once something goes out */
        require(i < 10000);
    }
    rest(world);
    return world;
}

static inline void end(struct world *world) {
    node_client_free(world->client);
    for (unsigned i = 0; i < 2; i++) {
        world->sides[i].link = NULL;
        node_free(world->sides[i].node);
        options_deinit(&world->sides[i].options);
        memory_disk_deinit(&world->sides[i].disk);
    }
    memory_free(world);
}

#endif
