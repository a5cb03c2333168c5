/* SPDX-License-Identifier: BSD-3-Clause */
/* What clients do, and what they read in between.
 *
 * Keys of database 0, by what is promised of them: up:, down:, float: counters, px: py: counters
 * in one unit, once: (die:, cause:, effect:) keys that are written once, x: y: pairs in one unit,
 * large, hll. Counters and keys with odd numbers are fields of the hash `fields` (or `dying`, from
 * which fields go), with the same names: what holds for a key holds for them. Databases 1 to 3 are
 * a mess: any command on few keys, for which only one thing is promised, that all nodes end with
 * the same. Streams have keys of their own among it, with few ids, groups and consumers. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "sim/sim_run.h"
#include "store/mutate.h"

enum {
    CAUSE_POLLS_MAX = 60,
    CAUSE_POLL_US = 150 * 1000,
    TOKEN_WAIT_MS = 15000,
    BULK_BYTES_MAX = 9000,
    BIG_UNIT_COPIES = 18,
};

/* ---- replies to writes ---- */

/* Errors that a healthy client may be told; the command was not executed. */
static bool is_refusal(struct slice text) {
    static const char *const codes[] = {"LOADING", "MISCONF", "OOM", "NOQUORUM", "EXECABORT"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        size_t size = strlen(codes[i]);
        if (text.size > size && memcmp(text.data, codes[i], size) == 0) {
            return true;
        }
    }
    return false;
}

static bool reply_is_done(struct sim_run *run, const struct sim_reply *reply, const char *what) {
    if (reply->type != '-' && reply->type != 0) {
        return true;
    }
    if (reply->type == '-' && !is_refusal(reply->text)) {
        sim_fail(&run->world, "%s: -%.*s", what, (int)reply->text.size, reply->text.data);
    }
    return false;
}

/* Keeps what came of a write. True when it was acknowledged. */
static bool take_outcome(struct sim_run *run, const struct sim_node *node, const struct plan_op *op,
                         bool is_second, const struct sim_reply *reply) {
    if (reply_is_done(run, reply, op_name(op->kind))) {
        oracle_acknowledge(run, node, op, is_second);
        return true;
    }
    bool is_doubtful = reply->type == 0 && !reply->is_null;
    oracle_set(run, op, is_second, is_doubtful ? OUTCOME_DOUBTFUL : OUTCOME_REFUSED);
    return false;
}

static struct sim_node *node_of(struct sim_run *run, const struct plan_op *op) {
    return &run->world.nodes[op->node];
}

static struct sim_node *other_of(struct sim_run *run, const struct plan_op *op) {
    return &run->world.nodes[op->other_node];
}

static const struct plan_op *op_at(struct sim_run *run, uint64_t number) {
    return &run->plan->ops[number];
}

static uint64_t op_index(const struct sim_run *run, const struct plan_op *op) {
    return (uint64_t)(op - run->plan->ops);
}

/* A write of one step was answered. */
static void on_written(struct sim_world *world, void *udata, uint64_t number,
                       const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    const struct plan_op *op = op_at(run, number);
    (void)world;
    (void)take_outcome(run, node_of(run, op), op, false, reply);
}

static void on_ignored(struct sim_world *world, void *udata, uint64_t number,
                       const struct sim_reply *reply) {
    (void)world;
    (void)udata;
    (void)number;
    (void)reply;
}

/* ---- places: a key, or a field with its name ---- */

/* One counter that is reset is so with its whole hash. */
static bool is_alone_in_hash(const char *name, unsigned number) {
    return strcmp(name, "taken") == 0 && number == RUN_COUNTERS - 1;
}

void workload_place(struct buffer *out, const char *key_command, const char *field_command,
                    const char *name, unsigned number) {
    const char *hash = strcmp(name, "die") == 0         ? "dying"
                       : is_alone_in_hash(name, number) ? "alone"
                                                        : "fields";
    if (number % 2 == 0) {
        buffer_printf(out, "%s %s:%u", key_command, name, number);
    } else {
        buffer_printf(out, "%s %s %s:%u", field_command, hash, name, number);
    }
}

/* Sends the command about a key, or the one about a field, with the text after its name. */
static void call_place(struct sim_run *run, struct sim_node *node, sim_reply_fn then,
                       uint64_t number, const char *commands[2], const char *name, unsigned which,
                       const char *rest) {
    struct buffer text = {0};
    workload_place(&text, commands[0], commands[1], name, which);
    buffer_printf(&text, "%s", rest);
    sim_call(node, 0, then, run, number, "%s", buffer_text(&text));
    buffer_deinit(&text);
}

static const char *SETS[2] = {"SET", "HSET"}, *GETS[2] = {"GET", "HGET"},
                  *DELS[2] = {"DEL", "HDEL"};

static void call_set(struct sim_run *run, struct sim_node *node, sim_reply_fn then, uint64_t number,
                     const char *name, unsigned which) {
    char rest[32];
    (void)snprintf(rest, sizeof(rest), " v%u", which);
    call_place(run, node, then, number, SETS, name, which, rest);
}

static void call_get(struct sim_run *run, struct sim_node *node, sim_reply_fn then, uint64_t number,
                     const char *name, unsigned which) {
    call_place(run, node, then, number, GETS, name, which, "");
}

/* ---- tokens: read your own write somewhere else ---- */

static void on_token_read(struct sim_world *world, void *udata, uint64_t number,
                          const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    const struct plan_op *op = op_at(run, number);
    if (!reply_is_done(run, reply, "GET")) {
        return;
    }
    run->oracle.reads++;
    if (reply->is_null && !run->plan->is_wild) {
        sim_fail(world, "node %u does not show once:%u, although it had seen all of its token",
                 op->other_node, op->number);
    }
}

static void on_token_waited(struct sim_world *world, void *udata, uint64_t number,
                            const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    const struct plan_op *op = op_at(run, number);
    (void)world;
    if (reply->type == ':' && reply->integer == 1) {
        call_get(run, other_of(run, op), on_token_read, number, "once", op->number);
    }
}

static void on_token(struct sim_world *world, void *udata, uint64_t number,
                     const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    const struct plan_op *op = op_at(run, number);
    (void)world;
    if (reply_is_done(run, reply, "MESH TOKEN")) {
        sim_call(other_of(run, op), 0, on_token_waited, run, number, "MESH WAITTOKEN %.*s %u",
                 (int)reply->text.size, reply->text.data, (unsigned)TOKEN_WAIT_MS);
    }
}

static void on_token_written(struct sim_world *world, void *udata, uint64_t number,
                             const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    const struct plan_op *op = op_at(run, number);
    (void)world;
    if (take_outcome(run, node_of(run, op), op, false, reply)) {
        sim_call(node_of(run, op), 0, on_token, run, number, "MESH TOKEN");
    }
}

/* ---- causes and effects ---- */

static void cause_poll(struct sim_world *world, void *object, uint64_t number);

static void on_effect_written(struct sim_world *world, void *udata, uint64_t number,
                              const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    const struct plan_op *op = op_at(run, number);
    (void)world;
    (void)take_outcome(run, other_of(run, op), op, true, reply);
}

static void on_cause_polled(struct sim_world *world, void *udata, uint64_t number,
                            const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    const struct plan_op *op = op_at(run, number % RUN_OPS_MAX);
    if (reply->type == '$' && !reply->is_null) {
        oracle_set(run, op, true, OUTCOME_OPEN);
        sim_call(other_of(run, op), 0, on_effect_written, run, number % RUN_OPS_MAX,
                 "SET effect:%u v%u", op->number, op->number);
    } else if (number / RUN_OPS_MAX < CAUSE_POLLS_MAX && !run->is_healed) {
        sim_at(world, world->now_us + CAUSE_POLL_US, cause_poll, run, number + RUN_OPS_MAX);
    }
}

static void cause_poll(struct sim_world *world, void *object, uint64_t number) {
    struct sim_run *run = (struct sim_run *)object;
    const struct plan_op *op = op_at(run, number % RUN_OPS_MAX);
    (void)world;
    sim_call(other_of(run, op), 0, on_cause_polled, run, number, "GET cause:%u", op->number);
}

static void on_cause_written(struct sim_world *world, void *udata, uint64_t number,
                             const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    const struct plan_op *op = op_at(run, number);
    if (take_outcome(run, node_of(run, op), op, false, reply)) {
        cause_poll(world, run, number);
    }
}

/* ---- keys that are deleted by somebody who saw them ---- */

static void die_try(struct sim_world *world, void *object, uint64_t number);

static void on_deleted(struct sim_world *world, void *udata, uint64_t number,
                       const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    uint64_t index = number % RUN_OPS_MAX;
    const struct plan_op *op = op_at(run, index);
    struct oracle_key *key = &run->oracle.die[op->number];
    if (reply->type == ':' && reply->integer == 1) {
        oracle_acknowledge(run, other_of(run, op), op, true);
        return;
    }
    if (reply->type == 0 && !reply->is_null) {
        oracle_set(run, op, true, OUTCOME_DOUBTFUL);
        return;
    }
    (void)reply_is_done(run, reply, "DEL");
    if (key->deleted == OUTCOME_OPEN) {
        key->deleted = OUTCOME_REFUSED;
    }
    if (number / RUN_OPS_MAX < CAUSE_POLLS_MAX / 4 && !run->is_healed) {
        sim_at(world, world->now_us + 4 * CAUSE_POLL_US, die_try, run, number + RUN_OPS_MAX);
    }
}

static void die_try(struct sim_world *world, void *object, uint64_t number) {
    struct sim_run *run = (struct sim_run *)object;
    const struct plan_op *op = op_at(run, number % RUN_OPS_MAX);
    (void)world;
    oracle_set(run, op, true, OUTCOME_OPEN);
    call_place(run, other_of(run, op), on_deleted, number, DELS, "die", op->number, "");
}

static void on_die_written(struct sim_world *world, void *udata, uint64_t number,
                           const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    const struct plan_op *op = op_at(run, number);
    if (take_outcome(run, node_of(run, op), op, false, reply)) {
        sim_at(world, world->now_us + op->random % (4 * SIM_SECOND), die_try, run, number);
    }
}

/* ---- counters that are reset ---- */

static void on_taken(struct sim_world *world, void *udata, uint64_t number,
                     const struct sim_reply *reply) {
    (void)world;
    struct sim_run *run = (struct sim_run *)udata;
    const struct plan_op *op = op_at(run, number);
    const struct sim_node *node = &run->world.nodes[op->key % run->plan->nodes_count];
    struct sim_reply taken = *reply;
    if (reply->type == '*' && reply->count > 0) { /* of a unit: the first one's */
        taken = reply->items[0];
        taken.asked_us = reply->asked_us;
    }
    if (taken.type != '-') {
        oracle_took(run, node, op->key, &taken);
    }
}

/* Each of these counters is reset by one node alone, so that each reset has seen the one before:
 * what they take off is told, and adds up. */
static void begin_take(struct sim_run *run, const struct plan_op *op) {
    struct sim_node *node = &run->world.nodes[op->key % run->plan->nodes_count];
    if (node->node == NULL) {
        return;
    }
    sim_note(&run->world, "node %u: take %u", node->index, op->key);
    bool sets = op->random % 2 == 0; /* to 0, or deletes it */
    if (op->key % 2 == 0) {
        sim_call(node, 0, on_taken, run, op_index(run, op),
                 sets ? "GETSET taken:%u 0" : "GETDEL taken:%u", op->key);
    } else if (is_alone_in_hash("taken", op->key)) {
        sim_call(node, 0, on_taken, run, op_index(run, op), "MULTI;HGET alone taken:%u;%s;EXEC",
                 op->key, sets ? "DEL alone" : "RENAME alone m:0");
    } else {
        sim_call(node, 0, on_taken, run, op_index(run, op),
                 sets ? "MULTI;HGET fields taken:%u;HSET fields taken:%u 0;EXEC"
                      : "MULTI;HGET fields taken:%u;HDEL fields taken:%u;EXEC",
                 op->key, op->key);
    }
}

/* ---- the large string ---- */

static void on_large_size(struct sim_world *world, void *udata, uint64_t number,
                          const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    const struct plan_op *op = op_at(run, number);
    (void)world;
    /* Only where it has arrived: else this would make another, small one. */
    if (reply->type == ':' && reply->integer >= RUN_LARGE_BYTES) {
        oracle_set(run, op, false, OUTCOME_OPEN);
        sim_call(node_of(run, op), 0, on_written, run, number, "SETRANGE large %u y",
                 op->number * 97);
    }
}

/* ---- the mess ---- */

static unsigned mess_key(struct prng *prng) {
    return (unsigned)prng_below(prng, RUN_MESS_KEYS);
}

/* Commands of collections, on keys that strings share with them. */
static void mess_elements(struct prng *prng, struct buffer *out, unsigned a, unsigned b,
                          unsigned n) {
    unsigned f = n % 4;
    switch (prng_below(prng, 40)) {
    case 24:
    case 25:
        buffer_printf(out, "RPUSH m:%u l%u l%u", a, n, n % 9);
        break;
    case 26:
        buffer_printf(out, "LPUSH m:%u l%u l%u", a, n, n % 9);
        break;
    case 27:
        buffer_printf(out, "LSET m:%u %u t%u", a, n % 3, n);
        break;
    case 28:
        buffer_printf(out, "LREM m:%u 1 l%u", a, n % 9);
        break;
    case 29:
        buffer_printf(out, "LINSERT m:%u BEFORE l%u i%u", a, n % 9, n);
        break;
    case 30:
        buffer_printf(out, "LTRIM m:%u %u %u", a, n % 2, 3 + n % 9);
        break;
    case 31:
        buffer_printf(out, "LMOVE m:%u m:%u LEFT RIGHT", a, b);
        break;
    case 32:
        buffer_printf(out, "RPOP m:%u", a);
        break;
    case 33:
        buffer_printf(out, "SORT m:%u ALPHA STORE m:%u", a, b);
        break;
    case 34: /* who waits is served by others, of this node or of another */
    case 35:
        buffer_printf(out, "RPUSH q:%u j%u j%u", a % 2, n, n % 9);
        break;
    case 36:
        buffer_printf(out, "BLPOP q:%u q:%u m:%u 3.%u", a % 2, b % 2, a, n % 10);
        break;
    case 37:
        buffer_printf(out, "BLMOVE q:%u q:%u RIGHT LEFT 2.5", a % 2, b % 2);
        break;
    case 38:
        buffer_printf(out, "BLMPOP 4 2 q:0 q:1 RIGHT COUNT %u", 1 + n % 3);
        break;
    case 39:
        buffer_printf(out, "BZPOPMAX m:%u q:0 m:%u 2", a, b);
        break;
    case 12:
    case 13:
        buffer_printf(out, "SADD m:%u s%u s%u", a, n % 9, n % 5);
        break;
    case 14:
        buffer_printf(out, "SREM m:%u s%u s%u", a, n % 9, n % 5);
        break;
    case 15:
        buffer_printf(out, "SMOVE m:%u m:%u s%u", a, b, n % 9);
        break;
    case 16:
        buffer_printf(out, "SUNIONSTORE m:%u m:%u m:%u", a, a, b);
        break;
    case 17:
        buffer_printf(out, "SPOP m:%u", a);
        break;
    case 18:
    case 19:
        buffer_printf(out, "ZADD m:%u %u z%u", a, n, n % 7);
        break;
    case 20:
    case 21:
        buffer_printf(out, "ZINCRBY m:%u %u.5 z%u", a, n % 9, n % 7);
        break;
    case 22:
        buffer_printf(out, "ZREM m:%u z%u", a, n % 7);
        break;
    case 23:
        buffer_printf(out, "ZPOPMIN m:%u", a);
        break;
    case 0:
    case 1:
        buffer_printf(out, "HSET m:%u f%u v%u", a, f, n);
        break;
    case 2:
        buffer_printf(out, "HSET m:%u f%u %u f%u w%u f9 z", a, f, n, (f + 1) % 4, n);
        break;
    case 3:
    case 4:
        buffer_printf(out, "HDEL m:%u f%u f%u", a, f, (f + 1) % 4);
        break;
    case 5:
    case 6:
        buffer_printf(out, "HINCRBY m:%u f%u %u", a, f, n);
        break;
    case 7:
        buffer_printf(out, "HINCRBYFLOAT m:%u f%u %u.%u", a, f, n % 7, n % 4 * 25);
        break;
    case 8:
        buffer_printf(out, "HSETNX m:%u f%u n%u", a, f, n);
        break;
    case 9:
        buffer_printf(out, "MULTI;HSET m:%u f%u %u;HDEL m:%u f%u;DEL m:%u;HINCRBY m:%u f1 2;EXEC",
                      a, f, n, b, f, b, b);
        break;
    case 10:
        buffer_printf(out, "DEL m:%u", a);
        break;
    default:
        buffer_printf(out, "COPY m:%u m:%u REPLACE", a, b);
        break;
    }
}

/* Commands of streams, on two keys of their own, and seldom on one that others have. */
static void mess_stream(struct prng *prng, struct buffer *out, unsigned a, unsigned n) {
    char key[16], group[32];
    (void)snprintf(key, sizeof(key), prng_below(prng, 8) == 0 ? "m:%u" : "st:%u", a % 2);
    (void)snprintf(group, sizeof(group), "%s g%u", key, n % 2);
    switch (prng_below(prng, 28)) {
    case 0:
    case 1:
    case 2:
        buffer_printf(out, "XADD %s * f%u v%u", key, n % 3, n);
        break;
    case 3:
        buffer_printf(out, "XADD %s MAXLEN %s %u * f v%u", key, n % 2 == 0 ? "~" : "=", n % 12, n);
        break;
    case 4:
        buffer_printf(out, "XADD %s %u-* f v%u g w", key, n % 20, n);
        break;
    case 5:
        buffer_printf(out, "XADD %s %u-%u f v%u", key, n % 20, n % 3, n);
        break;
    case 6:
        buffer_printf(out, "XDEL %s %u-%u %u-%u", key, n % 20, n % 3, (n + 1) % 20, n % 2);
        break;
    case 7:
        buffer_printf(out, "XTRIM %s MAXLEN %u", key, n % 10);
        break;
    case 8:
        buffer_printf(out, "XTRIM %s MINID %u", key, n % 20);
        break;
    case 9:
        buffer_printf(out, "XSETID %s 9999999999999-%u ENTRIESADDED %u", key, n % 5, n);
        break;
    case 10:
    case 11:
        buffer_printf(out, "XGROUP CREATE %s %s MKSTREAM", group, n % 3 == 0 ? "$" : "0");
        break;
    case 12:
        buffer_printf(out, "XGROUP SETID %s %u", group, n % 20);
        break;
    case 13:
        buffer_printf(out, "XGROUP DESTROY %s", group);
        break;
    case 14:
        buffer_printf(out, "XGROUP DELCONSUMER %s c%u", group, n % 3);
        break;
    case 15:
    case 16:
    case 17:
        buffer_printf(out, "XREADGROUP GROUP g%u c%u COUNT %u STREAMS %s >", n % 2, n % 3,
                      1 + n % 4, key);
        break;
    case 18:
        buffer_printf(out, "XREADGROUP GROUP g%u c%u STREAMS %s 0", n % 2, n % 3, key);
        break;
    case 19:
        buffer_printf(out, "XACK %s %u-%u %u-0", group, n % 20, n % 3, (n + 1) % 20);
        break;
    case 20:
        buffer_printf(out, "XAUTOCLAIM %s c%u %u - COUNT 3", group, n % 3, n);
        break;
    case 21:
        buffer_printf(out, "XCLAIM %s c%u 0 %u-%u FORCE", group, n % 3, n % 20, n % 3);
        break;
    case 22:
        buffer_printf(out, "MULTI;XADD %s * f %u;XTRIM %s MAXLEN 3;XADD %s * g %u;EXEC", key, n,
                      key, key, n);
        break;
    case 23:
        buffer_printf(out, n % 2 == 0 ? "DEL %s" : "RENAME %s st:2", key);
        break;
    case 24:
        buffer_printf(out, "XREAD COUNT 2 BLOCK %u STREAMS %s st:2 $ 0", 100 + 4 * n, key);
        break;
    case 25:
    case 26:
        buffer_printf(out, "XREADGROUP GROUP g%u c%u BLOCK %u STREAMS %s >", n % 2, n % 3,
                      100 + 4 * n, key);
        break;
    default:
        buffer_printf(out, "EXPIRE %s %u", key, 1 + n % 60);
        break;
    }
}

static void mess_command(struct prng *prng, struct buffer *out, bool is_wild) {
    unsigned a = mess_key(prng), b = mess_key(prng), n = (unsigned)prng_below(prng, 1000);
    if (prng_below(prng, 5) == 0) {
        mess_stream(prng, out, a, n);
        return;
    }
    if (prng_below(prng, 2) == 0) {
        mess_elements(prng, out, a, b, n);
        return;
    }
    switch (prng_below(prng, is_wild ? 29 : 27)) {
    case 0:
        buffer_printf(out, "SET m:%u v%u", a, n);
        break;
    case 1:
        buffer_printf(out, "SET m:%u %u", a, n);
        break;
    case 2:
        buffer_printf(out, "SETEX m:%u %u v%u", a, 1 + n % 40, n);
        break;
    case 3:
        buffer_printf(out, "SET m:%u %u KEEPTTL", a, n);
        break;
    case 4:
        buffer_printf(out, "SET m:%u w%u NX", a, n);
        break;
    case 5:
    case 6:
        buffer_printf(out, "DEL m:%u m:%u", a, b);
        break;
    case 7:
    case 8:
        buffer_printf(out, "INCRBY m:%u %u", a, n);
        break;
    case 9:
        buffer_printf(out, "DECRBY m:%u %u", a, n);
        break;
    case 10:
        buffer_printf(out, "INCRBYFLOAT m:%u %u.%u", a, n % 7, n % 4 * 25);
        break;
    case 11:
        buffer_printf(out, "APPEND m:%u x%u", a, n);
        break;
    case 12:
        buffer_printf(out, "SETRANGE m:%u %u yy%u", a, n % 50, n);
        break;
    case 13:
        buffer_printf(out, "SETBIT m:%u %u 1", a, n * 97);
        break;
    case 14:
        buffer_printf(out, "PFADD h:%u e%u f%u", a % 2, n, b);
        break;
    case 15:
    case 16:
        buffer_printf(out, "EXPIRE m:%u %u", a, 1 + n % 60);
        break;
    case 17:
        buffer_printf(out, "PERSIST m:%u", a);
        break;
    case 18:
        buffer_printf(out, "RENAME m:%u m:%u", a, b);
        break;
    case 19:
        buffer_printf(out, "COPY m:%u m:%u REPLACE", a, b);
        break;
    case 20:
        buffer_printf(out, "MOVE m:%u %u", a, 1 + n % 3);
        break;
    case 21:
        buffer_printf(out, "MSET m:%u %u m:%u t%u", a, n, b, n);
        break;
    case 22:
        buffer_printf(out, "MULTI;INCR m:%u;DEL m:%u;SET m:%u %u;EXEC", a, b, a, n);
        break;
    case 23:
        buffer_printf(out, "GETDEL m:%u", a);
        break;
    case 24:
        buffer_printf(out, "PFMERGE h:0 h:1");
        break;
    case 25:
        buffer_printf(out, "GETEX m:%u PX %u", a, 1 + n * 20);
        break;
    case 26:
        buffer_printf(out, "MULTI;SET m:%u q%u;EXPIRE m:%u %u;APPEND m:%u z;EXEC", a, n, a,
                      1 + n % 30, a);
        break;
    case 27:
        buffer_printf(out, n % 2 == 0 ? "FLUSHDB" : "SWAPDB 1 2");
        break;
    default:
        buffer_printf(out, n % 2 == 0 ? "SWAPDB 2 3" : "FLUSHDB");
        break;
    }
}

static void begin_mess(struct sim_run *run, const struct plan_op *op) {
    struct prng prng;
    struct buffer text = {0};
    prng_init(&prng, op->random);
    if (run->plan->has_small_log && prng_below(&prng, 2) == 0) {
        /* So that others fall behind what the log keeps. */
        char value[BULK_BYTES_MAX];
        memset(value, 'b', sizeof(value));
        sim_call(node_of(run, op), 3, on_ignored, run, 0, "SET b:%u %.*s", mess_key(&prng),
                 (int)prng_below(&prng, sizeof(value)) + 1, value);
        return;
    }
    unsigned db = 1 + (unsigned)prng_below(&prng, 2);
    mess_command(&prng, &text, prng_below(&prng, 8) == 0);
    sim_note(&run->world, "node %u db %u: %s", op->node, db, buffer_text(&text));
    sim_call(node_of(run, op), db, on_ignored, run, 0, "%s", buffer_text(&text));
    buffer_deinit(&text);
}

static void begin_wild(struct sim_run *run, const struct plan_op *op) {
    static const char *const commands[] = {"FLUSHALL", "SWAPDB 0 1", "FLUSHDB", "SWAPDB 0 2"};
    const char *command = commands[op->random % 4];
    sim_note(&run->world, "node %u: %s", op->node, command);
    sim_call(node_of(run, op), 0, on_ignored, run, 0, "%s", command);
}

/* ---- a pair in a unit of more than a megabyte: it goes on from record to record ---- */

static void begin_big_pair(struct sim_run *run, const struct plan_op *op) {
    struct buffer text = {0};
    buffer_printf(&text, "MULTI;SET x:%u %u", op->key, op->number);
    for (unsigned i = 0; i < BIG_UNIT_COPIES; i++) {
        buffer_printf(&text, ";COPY large copy:%u REPLACE", i % 4);
    }
    buffer_printf(&text, ";SET y:%u %u;EXEC", op->key, op->number);
    sim_call(node_of(run, op), 0, on_ignored, run, op_index(run, op), "%s", buffer_text(&text));
    buffer_deinit(&text);
}

/* ---- beginning ---- */

void workload_begin(struct sim_run *run, struct plan_op *op) {
    /* A client that finds its node down tries the next ones. */
    for (unsigned i = 0; i < run->plan->nodes_count && node_of(run, op)->node == NULL; i++) {
        op->node = (op->node + 1) % run->plan->nodes_count;
    }
    struct sim_node *node = node_of(run, op);
    uint64_t index = op_index(run, op);
    unsigned long long amount = 1ULL << (op->number % 64);
    static const char *ADDS[2] = {"INCRBY", "HINCRBY"};
    static const char *FLOAT_ADDS[2] = {"INCRBYFLOAT", "HINCRBYFLOAT"};
    char rest[64];
    if (op->kind != OP_MESS && op->kind != OP_WILD && op->kind != OP_LARGE && op->kind != OP_TAKE) {
        oracle_set(run, op, false, OUTCOME_OPEN);
        sim_note(&run->world, "node %u: %s %u %u", op->node, op_name(op->kind), op->key,
                 op->number);
    }
    switch (op->kind) {
    case OP_COUNT_UP:
        (void)snprintf(rest, sizeof(rest), " %llu", amount);
        call_place(run, node, on_written, index, ADDS, "up", op->key, rest);
        break;
    case OP_COUNT_DOWN:
        (void)snprintf(rest, sizeof(rest), " -%llu", amount);
        call_place(run, node, on_written, index, ADDS, "down", op->key, rest);
        break;
    case OP_COUNT_FLOAT:
        /* Powers of two: sums are exact. */
        (void)snprintf(rest, sizeof(rest), " %.10f", (double)(1ULL << op->number) / 1024);
        call_place(run, node, on_written, index, FLOAT_ADDS, "float", op->key, rest);
        break;
    case OP_COUNT_PAIR:
        sim_call(node, 0, on_written, run, index, "MULTI;INCRBY px:%u %llu;INCRBY py:%u %llu;EXEC",
                 op->key, amount, op->key, amount);
        break;
    case OP_COUNT_TAKEN:
        (void)snprintf(rest, sizeof(rest), " %llu", amount);
        call_place(run, node, on_written, index, ADDS, "taken", op->key, rest);
        break;
    case OP_TAKE:
        begin_take(run, op);
        break;
    case OP_ONCE:
        call_set(run, node, on_written, index, "once", op->number);
        break;
    case OP_TOKEN:
        call_set(run, node, on_token_written, index, "once", op->number);
        break;
    case OP_CAUSE:
        sim_call(node, 0, on_cause_written, run, index, "SET cause:%u v%u", op->number, op->number);
        break;
    case OP_DIE:
        call_set(run, node, on_die_written, index, "die", op->number);
        break;
    case OP_PAIR:
        if (run->plan->has_big_units && op->number % 8 == 1) {
            begin_big_pair(run, op);
        } else if (op->random % 5 == 0) {
            sim_call(node, 0, on_ignored, run, index, "DEL x:%u y:%u", op->key, op->key);
        } else if (op->random % 2 == 0) {
            sim_call(node, 0, on_ignored, run, index, "MSET x:%u %u y:%u %u", op->key, op->number,
                     op->key, op->number);
        } else {
            sim_call(node, 0, on_ignored, run, index, "MULTI;SET x:%u %u;SET y:%u %u;EXEC", op->key,
                     op->number, op->key, op->number);
        }
        break;
    case OP_LARGE:
        sim_call(node, 0, on_large_size, run, index, "STRLEN large");
        break;
    case OP_HYPERLOGLOG:
        sim_call(node, 0, on_written, run, index, "PFADD hll e%u", op->number);
        break;
    case OP_MESS:
        begin_mess(run, op);
        break;
    case OP_WILD:
        begin_wild(run, op);
        break;
    case OPS_COUNT:
        impossible("no operation");
    }
}

/* ---- reading in between ---- */

static void on_sample_counter(struct sim_world *world, void *udata, uint64_t number,
                              const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    if (reply->type == '$' && !run->plan->is_wild) {
        oracle_saw_counter(run, &world->nodes[number >> 16],
                           (enum counter_kind)(number >> 8 & 0xFF), (unsigned)(number & 0xFF),
                           reply);
    }
}

/* In the number of a sample: of x and y, not of px and py. */
#define SAMPLE_REGISTERS (UINT64_C(1) << 32)

static uint64_t stamp_of(const struct sim_node *node, char letter, unsigned number) {
    char name[32];
    const struct store *store = &node->node->store;
    (void)snprintf(name, sizeof(name), "%c:%u", letter, number);
    struct key key = store_key(store, 0, slice_of(name));
    const uint64_t *slot = mutate_slot(store, &key);
    return slot != NULL ? ((const struct entry *)table_item(*slot))->stamp : 0;
}

/* Of two transactions that have not seen each other the newer change wins for each key. One that is
 * long may have begun before the other and ended after it: then x is the other's, and y its own. */
static bool may_be_mixed(const struct sim_run *run, const struct sim_node *node, unsigned key,
                         const struct sim_reply *y) {
    unsigned long number = strtoul(y->text.data, NULL, 10);
    return run->plan->has_big_units && !y->is_null && number % 8 == 1 && node->node != NULL &&
           stamp_ticks(stamp_of(node, 'y', key)) > stamp_ticks(stamp_of(node, 'x', key));
}

/* MULTI, GET, GET, EXEC: both or none, and the same. */
static void on_sample_pair(struct sim_world *world, void *udata, uint64_t number,
                           const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    if (reply->type != '*' || reply->count != 2) {
        return;
    }
    const struct sim_reply *x = &reply->items[0], *y = &reply->items[1];
    run->oracle.reads++;
    run->oracle.reads_with_value += !x->is_null;
    unsigned index = (unsigned)(number >> 16 & 0xFFFF), key = (unsigned)(number & 0xFF);
    bool is_same = x->is_null == y->is_null && (x->is_null || slice_equal(x->text, y->text));
    bool may_differ =
        (number & SAMPLE_REGISTERS) != 0 && may_be_mixed(run, &world->nodes[index], key, y);
    if (!is_same && !may_differ) {
        sim_fail(world, "node %u shows half a unit: pair %u is '%.*s' and '%.*s'", index, key,
                 x->is_null ? 0 : (int)x->text.size, x->text.data,
                 y->is_null ? 0 : (int)y->text.size, y->text.data);
    }
}

static void on_sample_cause(struct sim_world *world, void *udata, uint64_t number,
                            const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    if (reply->type != '*' || reply->count != 2 || run->plan->is_wild) {
        return;
    }
    run->oracle.reads++;
    run->oracle.reads_with_value += !reply->items[0].is_null;
    if (!reply->items[0].is_null && reply->items[1].is_null) {
        sim_fail(world, "node %u shows effect:%u without its cause", (unsigned)(number >> 16),
                 (unsigned)(number & 0xFFFF));
    }
}

static void on_sample_key(struct sim_world *world, void *udata, uint64_t number,
                          const struct sim_reply *reply) {
    struct sim_run *run = (struct sim_run *)udata;
    unsigned index = (unsigned)(number & 0xFFFF);
    bool is_die = (number >> 32) != 0;
    if (reply->type == '$' && !run->plan->is_wild) {
        oracle_saw_key(run, &world->nodes[number >> 16 & 0xFFFF], is_die ? "die" : "once",
                       is_die ? &run->oracle.die[index] : &run->oracle.once[index], index, reply);
    }
}

/* A key that was written already, the newer the likelier. */
static unsigned sample_number(struct sim_world *world, unsigned count) {
    unsigned back =
        (unsigned)prng_below(&world->prng, prng_below(&world->prng, 2) == 0 ? 5 : count);
    return back < count ? count - 1 - back : 0;
}

void workload_sample(struct sim_run *run, struct sim_node *node) {
    static const char *const names[] = {"up", "down", "float", "px", "taken"};
    struct sim_world *world = &run->world;
    uint64_t at = (uint64_t)node->index << 16;
    unsigned key = (unsigned)prng_below(&world->prng, RUN_COUNTERS);
    unsigned kind = (unsigned)prng_below(&world->prng, COUNTER_KINDS);
    unsigned begun[OPS_COUNT] = {0};
    if (node->node == NULL) {
        return;
    }
    for (unsigned i = 0; i < run->plan->ops_count; i++) {
        const struct plan_op *op = &run->plan->ops[i];
        if (op->at_us < world->now_us && op->number < 1000 && op->number >= begun[op->kind]) {
            begun[op->kind] = op->number + 1;
        }
    }
    if (kind == COUNTER_PAIR) {
        sim_call(node, 0, on_sample_counter, run, at | kind << 8 | key, "GET px:%u", key);
    } else {
        call_get(run, node, on_sample_counter, at | kind << 8 | key, names[kind], key);
    }
    sim_call(node, 0, on_sample_pair, run, at | key, "MULTI;GET px:%u;GET py:%u;EXEC", key, key);
    sim_call(node, 0, on_sample_pair, run, at | key | SAMPLE_REGISTERS,
             "MULTI;GET x:%u;GET y:%u;EXEC", key, key);
    if (begun[OP_CAUSE] > 0) {
        unsigned number = sample_number(world, begun[OP_CAUSE]);
        sim_call(node, 0, on_sample_cause, run, at | number,
                 "MULTI;GET effect:%u;GET cause:%u;EXEC", number, number);
    }
    if (begun[OP_ONCE] > 0) {
        unsigned number = sample_number(world, begun[OP_ONCE]);
        call_get(run, node, on_sample_key, at | number, "once", number);
    }
    if (begun[OP_DIE] > 0) {
        unsigned number = sample_number(world, begun[OP_DIE]);
        call_get(run, node, on_sample_key, at | number | (uint64_t)1 << 32, "die", number);
    }
}
