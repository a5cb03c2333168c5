/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream as a queue, on the mesh that a run leaves behind: entries are added at all nodes, with
 * ids that nodes or clients chose, and a group is read, while links are cut and nodes killed. Then
 * all heals, and the group is read until nothing comes: whatever was acknowledged has been
 * delivered, and but once where one node alone reads.
 *
 * It comes behind everything else of the run, so that nothing there depends on it. */
#include "sim/sim_run.h"

enum {
    QUEUE_STEPS = 50,
    QUEUE_ENTRIES_MAX = QUEUE_STEPS,
    QUEUE_READS_MAX = 1000,
    QUEUE_COUNT_MAX = 6, /* entries in a reply */
    QUEUE_WAIT_US_MAX = 30 * 1000 * 1000,
    QUEUE_AGREE_US_MAX = 300 * 1000 * 1000,
};

struct queue {
    struct sim_world *world;
    unsigned reader; /* the node that reads; nodes_count: any */
    unsigned added;
    bool is_acknowledged[QUEUE_ENTRIES_MAX];
    unsigned delivered[QUEUE_ENTRIES_MAX];
    /* of the call under way */
    bool is_done, is_ok;
    uint64_t call;
    unsigned got;
};

static void note_entry(struct queue *queue, const struct sim_reply *entry) {
    int64_t number = -1;
    if (entry->count == 2 && entry->items[1].count == 2 &&
        number_parse_integer(entry->items[1].items[1].text, &number) && number >= 0 &&
        number < queue->added) {
        queue->delivered[number]++;
        queue->got++;
    } else {
        sim_fail(queue->world, "an entry of the queue that nobody added");
    }
}

static void on_reply(struct sim_world *world, void *udata, uint64_t number,
                     const struct sim_reply *reply) {
    struct queue *queue = (struct queue *)udata;
    (void)world;
    if (number != queue->call || queue->is_done) {
        return; /* it came when its time was up */
    }
    queue->is_done = true;
    queue->is_ok = reply->type != '-' && reply->type != 0;
    if (reply->type == '*' && reply->count == 1 && reply->items[0].count == 2) {
        const struct sim_reply *entries = &reply->items[0].items[1];
        for (unsigned i = 0; i < entries->count; i++) {
            note_entry(queue, &entries->items[i]);
        }
    }
}

#define CALL(queue, node, ...)                                                                     \
    (begin_call(queue),                                                                            \
     sim_call(&(queue)->world->nodes[node], 0, on_reply, queue, (queue)->call, __VA_ARGS__),       \
     end_call(queue))

static void begin_call(struct queue *queue) {
    queue->is_done = queue->is_ok = false;
    queue->got = 0;
    queue->call++;
}

/* Waits for the reply; was it one, and no error? */
static bool end_call(struct queue *queue) {
    uint64_t until_us = queue->world->now_us + QUEUE_WAIT_US_MAX;
    while (!queue->is_done && sim_step(queue->world, until_us)) {
    }
    if (!queue->is_done) {
        sim_fail(queue->world, "a command about the queue is not answered");
    }
    return queue->is_ok;
}

static bool agree(struct queue *queue) {
    struct sim_world *world = queue->world;
    uint64_t until_us = world->now_us + QUEUE_AGREE_US_MAX;
    sim_run_for(world, SIM_SECOND);
    while (!sim_has_failed(world) && !sim_has_converged(world)) {
        if (world->now_us > until_us) {
            sim_fail(world, "the nodes do not agree about the queue");
            sim_dump_nodes(world);
        }
        sim_run_for(world, SIM_SECOND);
    }
    return !sim_has_failed(world);
}

/* A node that runs and belongs to the mesh. */
static unsigned some_node(struct queue *queue) {
    struct sim_world *world = queue->world;
    unsigned index;
    do {
        index = (unsigned)prng_below(&world->prng, world->nodes_count);
    } while (world->nodes[index].node == NULL || world->nodes[index].is_out);
    return index;
}

static void add(struct queue *queue) {
    unsigned node = some_node(queue), number = queue->added++;
    struct prng *prng = &queue->world->prng;
    if (prng_below(prng, 4) == 0) {
        long long ms = sim_unix_ms(&queue->world->nodes[node]) + (long long)prng_below(prng, 3000);
        queue->is_acknowledged[number] =
            CALL(queue, node, "XADD queue %lld-%u n %u", ms, 1 + number, number);
    } else {
        queue->is_acknowledged[number] = CALL(queue, node, "XADD queue * n %u", number);
    }
}

static void read_some(struct queue *queue, unsigned node) {
    (void)CALL(queue, node, "XREADGROUP GROUP g c COUNT %u STREAMS queue >",
               1 + (unsigned)prng_below(&queue->world->prng, QUEUE_COUNT_MAX));
}

static void cut(struct queue *queue, bool is_cut) {
    struct sim_world *world = queue->world;
    unsigned a = (unsigned)prng_below(&world->prng, world->nodes_count);
    for (unsigned b = 0; b < world->nodes_count; b++) {
        if (b != a && (!is_cut || prng_below(&world->prng, 3) > 0)) {
            sim_network_cut(world, a, b, is_cut);
            sim_network_cut(world, b, a, is_cut);
        }
    }
}

static void step(struct queue *queue) {
    struct sim_world *world = queue->world;
    unsigned kind = (unsigned)prng_below(&world->prng, 100);
    if (kind < 45) {
        add(queue);
    } else if (kind < 70) {
        read_some(queue, queue->reader < world->nodes_count ? queue->reader : some_node(queue));
    } else if (kind < 80) {
        cut(queue, true);
    } else if (kind < 85) {
        cut(queue, false);
    } else if (kind < 88) {
        unsigned node = some_node(queue);
        sim_kill(&world->nodes[node]);
        sim_start(&world->nodes[node]);
    } else {
        sim_run_for(world, prng_below(&world->prng, 3000) * SIM_MS);
    }
}

static void heal(struct queue *queue) {
    struct sim_world *world = queue->world;
    for (unsigned i = 0; i < world->nodes_count; i++) {
        for (unsigned j = 0; j < world->nodes_count; j++) {
            *sim_path(world, i, j) = (struct sim_path){0};
        }
    }
}

static void judge(struct queue *queue) {
    bool is_once = queue->reader < queue->world->nodes_count;
    for (unsigned i = 0; i < queue->added && !sim_has_failed(queue->world); i++) {
        if (queue->is_acknowledged[i] && queue->delivered[i] == 0) {
            sim_fail(queue->world, "entry %u of the queue was never delivered", i);
        }
        if (is_once && queue->delivered[i] > 1) {
            sim_fail(queue->world, "entry %u of the queue was delivered %u times by one node", i,
                     queue->delivered[i]);
        }
    }
}

void run_queue(struct sim_run *run) {
    struct sim_world *world = &run->world;
    struct queue queue = {.world = world};
    if (run->plan->is_alone || sim_has_failed(world) || !agree(&queue)) {
        return;
    }
    unsigned first = some_node(&queue);
    queue.reader = prng_below(&world->prng, 2) == 0 ? first : world->nodes_count;
    (void)CALL(&queue, first, "DEL queue");
    if (!CALL(&queue, first, "XGROUP CREATE queue g 0 MKSTREAM")) {
        sim_fail(world, "the queue cannot be made");
    }
    if (!agree(&queue)) {
        return;
    }
    for (unsigned i = 0; i < QUEUE_STEPS && !sim_has_failed(world); i++) {
        step(&queue);
    }
    heal(&queue);
    if (!agree(&queue)) {
        return;
    }
    for (unsigned i = 0; i < QUEUE_READS_MAX && !sim_has_failed(world); i++) {
        read_some(&queue, first);
        if (queue.got == 0) {
            break;
        }
    }
    judge(&queue);
}
