/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes wrong, and how it ends. */
#include "base/check.h"
#include "sim/sim_run.h"

enum {
    /* Under `everysec` a loss of power may cost so much of the newest: a second until the sync
     * begins, a tick, and what the disk takes. */
    EVERYSEC_LOSS_US = 2 * 1000 * 1000,
    MEMORY_KEY_BYTES = 64 << 10,
};

static struct sim_node *fault_node(struct sim_run *run, unsigned index) {
    return &run->world.nodes[index];
}

/* Between two sides, by a bit for each node; 0: between each node and each other one. */
static void cut_all(struct sim_run *run, const struct plan_fault *fault, bool is_cut) {
    unsigned count = run->plan->nodes_count;
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < count; j++) {
            bool is_between = (fault->value >> i & 1) != (fault->value >> j & 1);
            if (i != j && (is_between || fault->value == 0)) {
                sim_network_cut(&run->world, i, j, is_cut);
            }
        }
    }
}

/* From when on may this node have lost what it acknowledged? */
static uint64_t loss_since(struct sim_run *run, const struct sim_node *node) {
    uint64_t now_us = run->world.now_us, trouble_us = run->disk_trouble_us[node->index];
    if (node->options.appendfsync == OPTION_APPENDFSYNC_ALWAYS) {
        return SIM_NEVER;
    }
    uint64_t since_us = now_us > EVERYSEC_LOSS_US ? now_us - EVERYSEC_LOSS_US : 0;
    /* While the disk was slow or full, syncs took longer. */
    if (trouble_us > 0 && trouble_us < since_us && node->disk.is_slow) {
        since_us = trouble_us > EVERYSEC_LOSS_US ? trouble_us - EVERYSEC_LOSS_US : 0;
    }
    return since_us;
}

static void power_off(struct sim_run *run, struct sim_node *node) {
    oracle_lose(run, node, loss_since(run, node));
    sim_lose_power(node);
}

/* The process ends. While the disk refuses writes, what it holds in memory is shown, and is not
 * acknowledged: that goes. */
static void end_process(struct sim_run *run, struct sim_node *node, bool is_orderly) {
    if (node->node == NULL) {
        return;
    }
    if (log_is_failing(node->node->log, NULL)) {
        oracle_lose(run, node, SIM_NEVER);
    }
    if (is_orderly) {
        sim_stop(node);
    } else {
        sim_kill(node);
    }
}

static void on_forgotten(struct sim_world *world, void *udata, uint64_t number,
                         const struct sim_reply *reply) {
    (void)udata;
    sim_note(world, "MESH FORGET at node %u: %c%.*s", (unsigned)number, reply->type,
             (int)reply->text.size, reply->text.data);
}

/* All others that are up forget the node, which is down. */
static void forget(struct sim_run *run, const struct plan_fault *fault) {
    struct sim_node *node = fault_node(run, fault->a);
    if (node->node != NULL || node->node_id[0] == '\0') {
        return;
    }
    for (unsigned i = 0; i < run->plan->nodes_count; i++) {
        struct sim_node *other = fault_node(run, i);
        if (other->node != NULL) {
            sim_call(other, 0, on_forgotten, run, i, "MESH FORGET %s", node->node_id);
        }
    }
}

void fault_begin(struct sim_run *run, const struct plan_fault *fault) {
    struct sim_world *world = &run->world;
    struct sim_node *node = fault_node(run, fault->a);
    sim_note(world, "fault: %s %u %u until %.3f", fault_name(fault->kind), fault->a, fault->b,
             (double)fault->until_us / 1e6);
    sim_trace(world, fault->kind);
    switch (fault->kind) {
    case FAULT_CUT:
        sim_network_cut(world, fault->a, fault->b, true);
        sim_network_cut(world, fault->b, fault->a, true);
        break;
    case FAULT_CUT_ONE:
        sim_network_cut(world, fault->a, fault->b, true);
        break;
    case FAULT_PARTITION:
    case FAULT_APART:
        cut_all(run, fault, true);
        break;
    case FAULT_RESET:
        sim_network_reset(world, fault->a, fault->b);
        break;
    case FAULT_DELAY:
        sim_path(world, fault->a, fault->b)->delay_us = 1000 + fault->value % (5 * SIM_SECOND);
        break;
    case FAULT_KILL:
    case FAULT_FORGET:
        end_process(run, node, false);
        break;
    case FAULT_POWER:
        if (node->node != NULL) {
            power_off(run, node);
        }
        break;
    case FAULT_STOP:
        end_process(run, node, true);
        break;
    case FAULT_RESTORE:
        /* A copy now, as a backup does that just copies files; it comes back at the end. */
        sim_disk_copy(&node->copy, &node->disk);
        node->has_copy = true;
        run->copied_us[fault->a] = world->now_us;
        break;
    case FAULT_WIPE:
        end_process(run, node, false);
        break;
    case FAULT_SKEW:
        node->clock_offset_ms += fault->value % 3 == 0 ? (int64_t)(fault->value % 600000) - 300000
                                                       : (int64_t)(fault->value % 4000) - 2000;
        break;
    case FAULT_STEP:
        node->clock_offset_ms += fault->value % 2 == 0 ? 3600 * 1000 : -3600 * 1000;
        break;
    case FAULT_SLOW:
        node->slow_us = 1000 + fault->value % 500000;
        break;
    case FAULT_DISK_FULL:
        run->disk_trouble_us[fault->a] = world->now_us;
        node->disk.capacity = node->disk.used + fault->value % 2000;
        break;
    case FAULT_DISK_SLOW:
        run->disk_trouble_us[fault->a] = world->now_us;
        node->disk.is_slow = true;
        break;
    case FAULT_MEMORY:
        sim_configure(node, "maxmemory %llu\n",
                      (1ULL << 20) + MEMORY_KEY_BYTES * (fault->value % 40));
        node->memory_key_bytes = MEMORY_KEY_BYTES;
        break;
    case FAULTS_COUNT:
        impossible("no fault");
    }
    run->clock_offset_ms_max = node->clock_offset_ms > run->clock_offset_ms_max
                                   ? node->clock_offset_ms
                                   : run->clock_offset_ms_max;
}

static void restart(struct sim_node *node) {
    if (node->node == NULL && !sim_has_failed(node->world)) {
        sim_start(node);
    }
}

void fault_end(struct sim_run *run, const struct plan_fault *fault) {
    struct sim_world *world = &run->world;
    struct sim_node *node = fault_node(run, fault->a);
    sim_note(world, "fault ends: %s %u %u", fault_name(fault->kind), fault->a, fault->b);
    switch (fault->kind) {
    case FAULT_CUT:
        sim_network_cut(world, fault->a, fault->b, false);
        sim_network_cut(world, fault->b, fault->a, false);
        break;
    case FAULT_CUT_ONE:
        sim_network_cut(world, fault->a, fault->b, false);
        break;
    case FAULT_PARTITION:
    case FAULT_APART:
        cut_all(run, fault, false);
        break;
    case FAULT_RESET:
        sim_network_reset(world, fault->a, fault->b);
        break;
    case FAULT_DELAY:
        sim_path(world, fault->a, fault->b)->delay_us = 0;
        break;
    case FAULT_KILL:
    case FAULT_POWER:
    case FAULT_STOP:
        restart(node);
        break;
    case FAULT_FORGET:
        forget(run, fault);
        /* Back a second later, when the others have heard. */
        sim_at(world, world->now_us + SIM_SECOND, run_restart, run, fault->a);
        break;
    case FAULT_RESTORE:
        if (!node->has_copy) {
            break;
        }
        end_process(run, node, false);
        sim_note(world, "node %u gets its directory of %.3f back", fault->a,
                 (double)run->copied_us[fault->a] / 1e6);
        oracle_lose(run, node, run->copied_us[fault->a]);
        sim_disk_copy(&node->disk, &node->copy);
        node->has_copy = false;
        restart(node);
        break;
    case FAULT_WIPE:
        if (node->node == NULL) {
            oracle_lose(run, node, 0);
            sim_disk_wipe(&node->disk);
            node->has_copy = false;
            restart(node);
        }
        break;
    case FAULT_SKEW:
    case FAULT_STEP:
        break; /* clocks are put right at the end only */
    case FAULT_SLOW:
        node->slow_us = 0;
        break;
    case FAULT_DISK_FULL:
        node->disk.capacity = 0;
        break;
    case FAULT_DISK_SLOW:
        node->disk.is_slow = false;
        break;
    case FAULT_MEMORY:
        sim_configure(node, "maxmemory 0\n");
        node->memory_key_bytes = 0;
        break;
    case FAULTS_COUNT:
        impossible("no fault");
    }
}

void run_restart(struct sim_world *world, void *object, uint64_t number) {
    (void)object;
    restart(&world->nodes[number]);
}

void faults_heal(struct sim_run *run) {
    struct sim_world *world = &run->world;
    unsigned count = world->nodes_count;
    sim_note(world, "all heals");
    world->frame_faults_per_10000 = 0;
    for (unsigned i = 0; i < count; i++) {
        struct sim_node *node = &world->nodes[i];
        for (unsigned j = 0; j < count; j++) {
            *sim_path(world, i, j) = (struct sim_path){0};
        }
        /* Never back: what was stamped in the future would wait until that comes. */
        node->clock_offset_ms = run->clock_offset_ms_max;
        node->slow_us = 0;
        node->disk.capacity = 0;
        node->disk.is_slow = false;
        node->memory_key_bytes = 0;
        sim_configure(node, "maxmemory 0\n");
        restart(node);
    }
}
