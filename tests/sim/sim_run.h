/* SPDX-License-Identifier: BSD-3-Clause */
/* One run: a plan made from a seed, carried out in a world, watched by an oracle.
 *
 * The plan is a list of operations of clients and a list of faults, both with their times, made
 * before anything happens. So a failing run can be tried again with fewer of them. */
#ifndef TESTS_SIM_SIM_RUN_H
#define TESTS_SIM_SIM_RUN_H

#include "sim/sim_world.h"

enum {
    RUN_NODES_MAX = 8,
    RUN_OPS_MAX = 2000,
    RUN_FAULTS_MAX = 64,
    RUN_COUNTERS = 4,
    RUN_BITS_MAX = 60,       /* increments of one counter: each has a bit of its own */
    RUN_FLOAT_BITS_MAX = 30, /* of a float: replies have 17 digits */
    RUN_MESS_KEYS = 5,
    RUN_LARGE_BYTES = 70000,
};

/* ---- the plan ---- */

enum op_kind {
    OP_COUNT_UP,   /* INCRBY of a bit of its own */
    OP_COUNT_DOWN, /* DECRBY likewise */
    OP_COUNT_FLOAT,
    OP_COUNT_PAIR,  /* two counters in one unit */
    OP_COUNT_TAKEN, /* INCRBY of a counter that one node resets */
    OP_TAKE,        /* it does, and is told what it takes off */
    OP_ONCE,        /* SET of a key that nobody else ever writes */
    OP_TOKEN,       /* the same, then read it at another node with a token */
    OP_CAUSE,       /* a key here; once it is seen elsewhere, another one there */
    OP_DIE,         /* a key that is deleted by somebody who saw it */
    OP_PAIR,        /* two keys in one unit */
    OP_LARGE,       /* a byte of a large string */
    OP_HYPERLOGLOG,
    OP_MESS, /* anything on a few keys */
    OP_WILD, /* whole databases */
    OPS_COUNT
};

struct plan_op {
    uint64_t at_us;
    enum op_kind kind;
    unsigned node, other_node;
    unsigned key;    /* which counter, pair or key */
    unsigned number; /* which of that kind: bits, names of keys */
    uint64_t random;
};

enum fault_kind {
    FAULT_CUT,       /* a pair, both ways */
    FAULT_CUT_ONE,   /* one way */
    FAULT_PARTITION, /* a set of nodes from the others */
    FAULT_RESET,
    FAULT_DELAY,
    FAULT_KILL,
    FAULT_POWER,
    FAULT_STOP,
    FAULT_RESTORE, /* of an older copy of the directory */
    FAULT_WIPE,    /* a new node takes its place */
    FAULT_FORGET,  /* it is down, the others forget it, it comes back */
    FAULT_SKEW,
    FAULT_STEP,
    FAULT_SLOW,
    FAULT_DISK_FULL,
    FAULT_DISK_SLOW,
    FAULT_MEMORY,
    FAULT_APART, /* all, or two sides, lose each other for so long that they forget each other */
    FAULTS_COUNT
};

struct plan_fault {
    uint64_t at_us, until_us;
    enum fault_kind kind;
    unsigned a, b;
    uint64_t value;
};

struct plan {
    uint64_t seed;
    unsigned nodes_count;
    uint64_t busy_us; /* until then operations and faults come; then all is healed */
    struct plan_op ops[RUN_OPS_MAX];
    unsigned ops_count;
    struct plan_fault faults[RUN_FAULTS_MAX];
    unsigned faults_count;
    bool is_wild; /* FLUSHALL and SWAPDB may hit all keys: less can be promised */
    bool is_alone;
    bool is_apart;      /* nodes that lose each other forget each other soon */
    bool has_small_log; /* catching up takes snapshots */
    bool has_frame_faults;
    bool has_eviction;
    bool has_big_units;      /* longer than a record */
    unsigned always_percent; /* of nodes with appendfsync always */
};

struct plan_opts {
    unsigned nodes_count; /* 0: chosen */
    unsigned ops_count;
    uint64_t faults_percent; /* of the usual number */
    bool is_alone;
    bool is_apart;
};

void plan_make(struct plan *plan, uint64_t seed, const struct plan_opts *opts);
const char *fault_name(enum fault_kind kind);
const char *op_name(enum op_kind kind);

/* ---- the oracle ---- */

/* What became of a write: the client knows, or does not. */
enum outcome { OUTCOME_NONE, OUTCOME_OPEN, OUTCOME_DONE, OUTCOME_REFUSED, OUTCOME_DOUBTFUL };

struct oracle_counter {
    uint64_t done, doubtful;      /* bits */
    uint64_t seen[RUN_NODES_MAX]; /* bits that each node has shown since it lost nothing */
    uint64_t seen_us[RUN_NODES_MAX];
    uint64_t taken;    /* TAKEN: bits that were taken off */
    bool is_unclear;   /* nobody knows what was */
    uint64_t taken_us; /* when some last were */
};

enum counter_kind {
    COUNTER_UP,
    COUNTER_DOWN,
    COUNTER_FLOAT,
    COUNTER_PAIR,
    COUNTER_TAKEN,
    COUNTER_KINDS
};

struct oracle_key {
    enum outcome set, deleted;          /* or the second key of a cause */
    unsigned char shown[RUN_NODES_MAX]; /* 0 nothing yet, 1 the value, 2 absent after it */
    uint64_t shown_us[RUN_NODES_MAX];
};

/* A write that was acknowledged: a loss of power there may undo it. */
struct oracle_ack {
    uint64_t at_us;
    unsigned node, boots;
    enum op_kind kind;
    unsigned key, number;
    bool is_second; /* the deletion, the second key */
};

struct oracle {
    struct oracle_counter counters[COUNTER_KINDS][RUN_COUNTERS];
    struct oracle_key once[RUN_OPS_MAX], die[RUN_OPS_MAX], cause[RUN_OPS_MAX];
    enum outcome large[RUN_OPS_MAX], hyperloglog[RUN_OPS_MAX];
    unsigned once_count, die_count, cause_count, large_count, hyperloglog_count;
    struct oracle_ack *acks;
    size_t acks_count, acks_capacity;
    uint64_t reads, reads_with_value; /* so that nobody believes in a run that saw nothing */
};

/* ---- the run ---- */

struct sim_run {
    struct sim_world world;
    struct plan *plan;
    struct oracle oracle;
    int64_t clock_offset_ms_max;             /* of any node, ever */
    uint64_t disk_trouble_us[RUN_NODES_MAX]; /* when the disk last was full or slow */
    uint64_t copied_us[RUN_NODES_MAX];
    bool is_healed;
    uint64_t heal_us, converged_us;
    uint64_t acknowledged, refused, doubtful;
};

static inline struct sim_run *run_of(struct sim_world *world) {
    return (struct sim_run *)world; /* it is the first member */
}

/* Carries the plan out; what went wrong is in run->world.failure. */
void run_begin(struct sim_run *run, struct plan *plan, bool is_verbose);
void run_carry_out(struct sim_run *run);
void run_end(struct sim_run *run);

/* sim_workload.c. Appends a command about the key of that name and number, or about a field with
 * that name. */
void workload_place(struct buffer *out, const char *key_command, const char *field_command,
                    const char *name, unsigned number);
/* Begins an operation. */
void workload_begin(struct sim_run *run, struct plan_op *op);
/* Reads something at a node and has the oracle look at it. */
void workload_sample(struct sim_run *run, struct sim_node *node);

/* sim_faults.c */
void fault_begin(struct sim_run *run, const struct plan_fault *fault);
void fault_end(struct sim_run *run, const struct plan_fault *fault);
/* Everything works again: links, disks, memory, clocks (all of them jump to the latest). */
void faults_heal(struct sim_run *run);
/* An event: node `number` starts, if it is down. */
void run_restart(struct sim_world *world, void *object, uint64_t number);

/* sim_queue.c. A stream is read by a group, after all else, and nothing is left out. */
void run_queue(struct sim_run *run);

/* sim_oracle.c */
void oracle_acknowledge(struct sim_run *run, const struct sim_node *node, const struct plan_op *op,
                        bool is_second);
void oracle_set(struct sim_run *run, const struct plan_op *op, bool is_second,
                enum outcome outcome);
/* What the node acknowledged after that time may be lost; what it showed may be gone. */
void oracle_lose(struct sim_run *run, const struct sim_node *node, uint64_t since_us);
void oracle_saw_counter(struct sim_run *run, const struct sim_node *node, enum counter_kind kind,
                        unsigned key, const struct sim_reply *reply);
/* The node whose turn it is has reset a counter, with this answer. */
void oracle_took(struct sim_run *run, const struct sim_node *node, unsigned key,
                 const struct sim_reply *reply);
void oracle_saw_key(struct sim_run *run, const struct sim_node *node, const char *what,
                    struct oracle_key *key, unsigned number, const struct sim_reply *reply);
/* All nodes agree: is it what was promised? Asks node `node`. */
void oracle_check_end(struct sim_run *run, struct sim_node *node);
void oracle_deinit(struct sim_run *run);

/* Sends commands and lets the world go on until the answer is there; a copy in `text`, "" for
 * null. False for an error or a lost connection. */
bool sim_ask(struct sim_node *node, unsigned db, struct buffer *text, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Do all nodes that are up, and belong to the mesh, hold equal data? */
bool sim_has_converged(struct sim_world *world);
/* What all nodes hold, for whoever looks for the difference; if it is verbose. */
void sim_dump_nodes(struct sim_world *world);

#endif
