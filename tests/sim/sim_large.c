/* SPDX-License-Identifier: BSD-3-Clause */
/* A large mesh: how many rounds until all know one another, and until a write is everywhere; and
 * how many bytes that costs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "mesh/mesh_state.h"
#include "sim/sim_main.h"

enum {
    SEEDS = 3,
    MEET_SECONDS_MAX = 600,
    IDLE_SECONDS = 10,
    WRITES = 10,
    SPREAD_SECONDS_MAX = 120,
    /* Bytes a second and node that an idle mesh may cost, and its size. */
    IDLE_BUDGETS = 4,
};

static const struct {
    unsigned nodes_count;
    double bytes_per_second;
} IDLE_BUDGET[IDLE_BUDGETS] = {{10, 15e3}, {20, 25e3}, {40, 50e3}, {100, 120e3}};

struct count {
    uint64_t bytes_out;
    uint64_t events;
};

static struct count count_all(const struct sim_world *world) {
    struct count count = {.events = world->events_count};
    for (unsigned i = 0; i < world->nodes_count; i++) {
        count.bytes_out += world->nodes[i].bytes_out;
    }
    return count;
}

/* How many nodes know all others, alive. */
static unsigned count_knowing(struct sim_world *world, unsigned *least, unsigned *who) {
    unsigned knowing = 0;
    *least = world->nodes_count;
    *who = 0;
    for (unsigned i = 0; i < world->nodes_count; i++) {
        const struct node *node = world->nodes[i].node;
        unsigned known =
            node == NULL ? 0
                         : (unsigned)membership_count(&node->mesh->membership, MEMBER_ALIVE) + 1;
        knowing += known >= world->nodes_count;
        *who = known < *least ? i : *who;
        *least = known < *least ? known : *least;
    }
    return knowing;
}

static void start_event(struct sim_world *world, void *object, uint64_t number) {
    (void)object;
    sim_start(&world->nodes[number]);
}

static void on_reply(struct sim_world *world, void *udata, uint64_t number,
                     const struct sim_reply *reply) {
    (void)udata;
    if (reply->type != '+') {
        sim_fail(world, "node %u refuses a write: %.*s", (unsigned)number, (int)reply->text.size,
                 reply->text.data);
    }
}

static bool all_have(const struct sim_world *world, uint64_t keys) {
    for (unsigned i = 0; i < world->nodes_count; i++) {
        if (store_count(&world->nodes[i].node->store, 0) < keys) {
            return false;
        }
    }
    return true;
}

/* For whoever looks for the reason. */
static void note_node(struct sim_world *world, unsigned index) {
    struct mesh_stats stats;
    if (!world->is_verbose || world->nodes[index].node == NULL) {
        return;
    }
    const struct mesh *mesh = world->nodes[index].node->mesh;
    mesh_get_stats(mesh, &stats);
    sim_note(world,
             "node %u: %zu members, %u alive, %u suspect, %u dead; %u links, %llu digests in, "
             "%llu out",
             index, mesh->membership.members_count, stats.alive, stats.suspect, stats.dead,
             stats.links_up, (unsigned long long)stats.digests_in,
             (unsigned long long)stats.digests_out);
}

static void meet(struct sim_world *world) {
    unsigned least = 0, knowing = 0, who = 0;
    struct count before = count_all(world);
    uint64_t began_us = world->now_us;
    while (!sim_has_failed(world) && knowing < world->nodes_count) {
        sim_run_for(world, SIM_SECOND);
        knowing = count_knowing(world, &least, &who);
        if (world->now_us - began_us > MEET_SECONDS_MAX * SIM_SECOND) {
            sim_fail(world, "only %u nodes know all others; one knows %u", knowing, least);
        }
        sim_note(world, "%u nodes know all others; node %u knows %u", knowing, who, least);
        note_node(world, who);
    }
    struct count after = count_all(world);
    (void)printf("%u nodes know one another, alive, after %.0f rounds; %.0f kB a node\n",
                 world->nodes_count, (double)(world->now_us - began_us) / 1e6,
                 (double)(after.bytes_out - before.bytes_out) / 1e3 / world->nodes_count);
}

static void idle(struct sim_world *world) {
    struct count before = count_all(world);
    sim_run_for(world, IDLE_SECONDS * SIM_SECOND);
    struct count after = count_all(world);
    double rate = (double)(after.bytes_out - before.bytes_out) / world->nodes_count / IDLE_SECONDS;
    (void)printf("idle: %.1f kB/s a node\n", rate / 1e3);
    for (unsigned i = 0; i < IDLE_BUDGETS; i++) {
        if (world->nodes_count == IDLE_BUDGET[i].nodes_count &&
            rate > IDLE_BUDGET[i].bytes_per_second) {
            sim_fail(world, "idle traffic is %.1f kB/s a node, %.1f are allowed", rate / 1e3,
                     IDLE_BUDGET[i].bytes_per_second / 1e3);
        }
    }
}

static void trickle(struct sim_world *world) {
    uint64_t sum_us = 0, most_us = 0;
    struct count before = count_all(world);
    uint64_t began_us = world->now_us;
    for (unsigned i = 0; i < WRITES && !sim_has_failed(world); i++) {
        unsigned node = (unsigned)prng_below(&world->prng, world->nodes_count);
        uint64_t from_us = world->now_us;
        sim_call(&world->nodes[node], 0, on_reply, NULL, node, "SET trickle:%u %u", i, node);
        while (!sim_has_failed(world) && !all_have(world, i + 1)) {
            sim_run_for(world, 100 * SIM_MS);
            if (world->now_us - from_us > SPREAD_SECONDS_MAX * SIM_SECOND) {
                sim_fail(world, "a write of node %u is not everywhere", node);
            }
        }
        uint64_t took_us = world->now_us - from_us;
        sum_us += took_us;
        most_us = took_us > most_us ? took_us : most_us;
        sim_run_for(world, SIM_SECOND);
    }
    struct count after = count_all(world);
    (void)printf("a write is everywhere after %.1f rounds, %.1f at most; %.1f kB/s a node "
                 "meanwhile\n",
                 (double)sum_us / 1e6 / WRITES, (double)most_us / 1e6,
                 (double)(after.bytes_out - before.bytes_out) / 1e3 / world->nodes_count /
                     ((double)(world->now_us - began_us) / 1e6));
}

int sim_large(uint64_t seed, unsigned nodes_count, bool is_verbose) {
    static struct sim_world world;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    sim_world_init(&world, seed, nodes_count);
    world.is_verbose = is_verbose;
    for (unsigned i = 0; i < nodes_count; i++) {
        struct sim_node *node = &world.nodes[i];
        sim_configure(node,
                      "databases 1\nsave \"\"\nmesh-port 17000\nmesh-announce-addr %s\n"
                      "mesh-seeds %s %s %s\nmesh-backlog-size 64kb\n",
                      node->address, world.nodes[0].address, world.nodes[nodes_count / 3].address,
                      world.nodes[nodes_count / 2].address);
        sim_at(&world, sim_between(&world, 0, SIM_SECOND), start_event, NULL, i);
    }
    sim_run_for(&world, 2 * SIM_SECOND);
    meet(&world);
    if (!sim_has_failed(&world)) {
        sim_run_for(&world, 5 * SIM_SECOND);
        idle(&world);
    }
    if (!sim_has_failed(&world)) {
        trickle(&world);
    }
    bool is_good = !sim_has_failed(&world) && sim_has_converged(&world);
    if (!is_good) {
        (void)printf("%s\n", sim_has_failed(&world) ? world.failure : "the nodes do not agree");
    }
    (void)printf("trace %016" PRIx64 ", %" PRIu64 " events\n", world.trace, world.events_count);
    sim_world_deinit(&world);
    (void)printf("%d passed, %d failed\n", is_good, !is_good);
    return !is_good;
}
