/* SPDX-License-Identifier: BSD-3-Clause */
/* Making a plan from a seed. */
#include "base/check.h"
#include "sim/sim_run.h"

static const char *const OP_NAMES[OPS_COUNT] = {
    [OP_COUNT_UP] = "count-up",
    [OP_COUNT_DOWN] = "count-down",
    [OP_COUNT_FLOAT] = "count-float",
    [OP_COUNT_PAIR] = "count-pair",
    [OP_COUNT_TAKEN] = "count-taken",
    [OP_TAKE] = "take",
    [OP_ONCE] = "once",
    [OP_TOKEN] = "token",
    [OP_CAUSE] = "cause",
    [OP_DIE] = "die",
    [OP_PAIR] = "pair",
    [OP_LARGE] = "large",
    [OP_HYPERLOGLOG] = "hyperloglog",
    [OP_MESS] = "mess",
    [OP_WILD] = "wild",
};

static const char *const FAULT_NAMES[FAULTS_COUNT] = {
    [FAULT_CUT] = "cut",
    [FAULT_CUT_ONE] = "cut-one-way",
    [FAULT_PARTITION] = "partition",
    [FAULT_RESET] = "reset",
    [FAULT_DELAY] = "delay",
    [FAULT_KILL] = "kill",
    [FAULT_POWER] = "power",
    [FAULT_STOP] = "stop",
    [FAULT_RESTORE] = "restore",
    [FAULT_WIPE] = "wipe",
    [FAULT_FORGET] = "forget",
    [FAULT_SKEW] = "skew",
    [FAULT_STEP] = "step",
    [FAULT_SLOW] = "slow",
    [FAULT_DISK_FULL] = "disk-full",
    [FAULT_DISK_SLOW] = "disk-slow",
    [FAULT_MEMORY] = "memory",
    [FAULT_APART] = "apart",
};

const char *op_name(enum op_kind kind) {
    return OP_NAMES[kind];
}

const char *fault_name(enum fault_kind kind) {
    return FAULT_NAMES[kind];
}

/* How often each comes, of the sum of all. */
static const unsigned char OP_WEIGHTS[OPS_COUNT] = {
    [OP_COUNT_UP] = 20,    [OP_COUNT_DOWN] = 8, [OP_COUNT_FLOAT] = 8, [OP_COUNT_PAIR] = 10,
    [OP_COUNT_TAKEN] = 14, [OP_TAKE] = 6,       [OP_ONCE] = 14,       [OP_TOKEN] = 8,
    [OP_CAUSE] = 8,        [OP_DIE] = 12,       [OP_PAIR] = 20,       [OP_LARGE] = 6,
    [OP_HYPERLOGLOG] = 6,  [OP_MESS] = 80,      [OP_WILD] = 0,
};

static const unsigned char FAULT_WEIGHTS[FAULTS_COUNT] = {
    [FAULT_CUT] = 12,    [FAULT_CUT_ONE] = 6, [FAULT_PARTITION] = 10, [FAULT_RESET] = 10,
    [FAULT_DELAY] = 8,   [FAULT_KILL] = 12,   [FAULT_POWER] = 6,      [FAULT_STOP] = 4,
    [FAULT_RESTORE] = 4, [FAULT_WIPE] = 2,    [FAULT_FORGET] = 3,     [FAULT_SKEW] = 6,
    [FAULT_STEP] = 4,    [FAULT_SLOW] = 6,    [FAULT_DISK_FULL] = 4,  [FAULT_DISK_SLOW] = 4,
    [FAULT_MEMORY] = 3,
};

static unsigned pick(struct prng *prng, const unsigned char *weights, unsigned count) {
    unsigned sum = 0;
    for (unsigned i = 0; i < count; i++) {
        sum += weights[i];
    }
    unsigned at = (unsigned)prng_below(prng, sum);
    for (unsigned i = 0; i < count; i++) {
        if (at < weights[i]) {
            return i;
        }
        at -= weights[i];
    }
    impossible("weights do not add up");
}

static void sort_by_time(struct plan *plan) {
    for (unsigned i = 1; i < plan->faults_count; i++) {
        struct plan_fault fault = plan->faults[i];
        unsigned at = i;
        for (; at > 0 && plan->faults[at - 1].at_us > fault.at_us; at--) {
            plan->faults[at] = plan->faults[at - 1];
        }
        plan->faults[at] = fault;
    }
}

static void make_ops(struct plan *plan, struct prng *prng, unsigned count) {
    unsigned char weights[OPS_COUNT];
    for (unsigned i = 0; i < OPS_COUNT; i++) {
        weights[i] = OP_WEIGHTS[i];
    }
    weights[OP_WILD] = plan->is_wild ? 6 : 0;
    if (plan->is_alone) {
        weights[OP_TOKEN] = weights[OP_CAUSE] = 0;
    }
    unsigned numbers[OPS_COUNT] = {0}, bits[COUNTER_KINDS][RUN_COUNTERS] = {{0}};
    require(count <= RUN_OPS_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct plan_op *op = &plan->ops[i];
        op->at_us = SIM_SECOND + (plan->busy_us - 2 * SIM_SECOND) * i / count;
        op->kind = (enum op_kind)pick(prng, weights, OPS_COUNT);
        op->node = (unsigned)prng_below(prng, plan->nodes_count);
        op->other_node = (unsigned)prng_below(prng, plan->nodes_count);
        op->random = prng_next(prng);
        op->key = (unsigned)prng_below(prng, RUN_COUNTERS);
        if (op->kind <= OP_COUNT_TAKEN) {
            op->number = bits[op->kind][op->key]++;
            unsigned bits_max = op->kind == OP_COUNT_FLOAT ? RUN_FLOAT_BITS_MAX : RUN_BITS_MAX;
            if (op->number >= bits_max) {
                op->kind = OP_MESS;
            }
        } else {
            op->number = numbers[op->kind]++;
        }
        if (op->kind == OP_TOKEN) {
            /* These keys are numbered together. */
            op->number = 1000 + op->number;
        }
    }
    plan->ops_count = count;
}

static void make_faults(struct plan *plan, struct prng *prng, unsigned count) {
    unsigned char weights[FAULTS_COUNT];
    for (unsigned i = 0; i < FAULTS_COUNT; i++) {
        bool is_of_mesh = i <= FAULT_DELAY || i == FAULT_WIPE || i == FAULT_FORGET;
        weights[i] = plan->is_alone && (is_of_mesh || i == FAULT_RESTORE) ? 0 : FAULT_WEIGHTS[i];
    }
    if (!plan->has_eviction) {
        weights[FAULT_MEMORY] = weights[FAULT_MEMORY] / 2;
    }
    require(count <= RUN_FAULTS_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct plan_fault *fault = &plan->faults[i];
        fault->kind = (enum fault_kind)pick(prng, weights, FAULTS_COUNT);
        fault->at_us = SIM_SECOND + prng_below(prng, plan->busy_us - 2 * SIM_SECOND);
        uint64_t longest_us = prng_below(prng, 4) == 0 ? plan->busy_us : 8 * SIM_SECOND;
        fault->until_us = fault->at_us + 50 * SIM_MS + prng_below(prng, longest_us);
        if (fault->until_us > plan->busy_us) {
            fault->until_us = plan->busy_us;
        }
        fault->a = (unsigned)prng_below(prng, plan->nodes_count);
        fault->b = plan->nodes_count > 1
                       ? (fault->a + 1 + (unsigned)prng_below(prng, plan->nodes_count - 1)) %
                             plan->nodes_count
                       : fault->a;
        fault->value = prng_next(prng);
    }
    plan->faults_count = count;
    sort_by_time(plan);
}

static void make_apart(struct plan *plan, struct prng *prng) {
    struct plan_fault *fault = &plan->faults[plan->faults_count++];
    uint64_t at_us = 2 * SIM_SECOND + prng_below(prng, 6 * SIM_SECOND);
    *fault =
        (struct plan_fault){.kind = FAULT_APART,
                            .at_us = at_us,
                            .until_us = at_us + 15 * SIM_SECOND + prng_below(prng, 15 * SIM_SECOND),
                            .value = prng_below(prng, 2) == 0 ? 0 : prng_next(prng)};
    sort_by_time(plan);
}

void plan_make(struct plan *plan, uint64_t seed, const struct plan_opts *opts) {
    struct prng prng;
    prng_init(&prng, seed * 2 + 1);
    plan->seed = seed;
    plan->is_alone = opts->is_alone;
    plan->nodes_count = opts->nodes_count;
    if (plan->nodes_count == 0) {
        static const unsigned char sizes[] = {2, 3, 3, 4, 5, 5, 5, 5, 5, 7};
        plan->nodes_count = plan->is_alone ? 1 : sizes[prng_below(&prng, sizeof(sizes))];
    }
    plan->busy_us = 40 * SIM_SECOND;
    plan->is_wild = prng_below(&prng, 6) == 0;
    plan->has_small_log = prng_below(&prng, 4) == 0;
    plan->has_frame_faults = prng_below(&prng, 5) == 0;
    plan->has_eviction = prng_below(&prng, 8) == 0;
    plan->has_big_units = prng_below(&prng, 10) == 0;
    plan->always_percent = (unsigned)prng_below(&prng, 3) * 50;
    unsigned faults = (unsigned)(prng_below(&prng, 16) * opts->faults_percent / 100);
    make_ops(plan, &prng, opts->ops_count);
    plan->is_apart = opts->is_apart;
    make_faults(plan, &prng, faults < RUN_FAULTS_MAX ? faults : RUN_FAULTS_MAX - 1);
    if (plan->is_apart) {
        make_apart(plan, &prng);
    }
}
