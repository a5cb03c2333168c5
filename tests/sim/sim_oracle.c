/* SPDX-License-Identifier: BSD-3-Clause */
/* What must be true, whatever happens: kept apart from all code that it judges.
 *
 * Each increment of a counter has a bit of its own. So a sum tells which of them counted: each
 * that was acknowledged must, none that was refused may, none may twice. Each key that is written
 * once has its own number; what was deleted by somebody who had seen it must not come back.
 *
 * A write without an answer may or may not have happened. A loss of power may undo what was
 * acknowledged in the last seconds, unless under `always`; such writes become doubtful. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "sim/sim_run.h"

/* ---- what is known of writes ---- */

static struct oracle_counter *counter_of(struct oracle *oracle, enum op_kind kind, unsigned key) {
    return &oracle->counters[kind - OP_COUNT_UP][key];
}

static enum outcome *outcome_of(struct oracle *oracle, enum op_kind kind, unsigned number,
                                bool is_second) {
    switch (kind) {
    case OP_ONCE:
    case OP_TOKEN:
        return &oracle->once[number].set;
    case OP_DIE:
        return is_second ? &oracle->die[number].deleted : &oracle->die[number].set;
    case OP_CAUSE:
        return is_second ? &oracle->cause[number].deleted : &oracle->cause[number].set;
    case OP_LARGE:
        return &oracle->large[number];
    case OP_HYPERLOGLOG:
        return &oracle->hyperloglog[number];
    default:
        return NULL;
    }
}

static void set_outcome(struct oracle *oracle, enum op_kind kind, unsigned key, unsigned number,
                        bool is_second, enum outcome outcome) {
    if (kind <= OP_COUNT_TAKEN) {
        struct oracle_counter *counter = counter_of(oracle, kind, key);
        uint64_t bit = (uint64_t)1 << number;
        counter->done &= ~bit;
        counter->doubtful &= ~bit;
        if (outcome == OUTCOME_DONE) {
            counter->done |= bit;
        } else if (outcome == OUTCOME_DOUBTFUL || outcome == OUTCOME_OPEN) {
            counter->doubtful |= bit;
        }
        return;
    }
    enum outcome *place = outcome_of(oracle, kind, number, is_second);
    if (place != NULL) {
        *place = outcome;
    }
}

void oracle_set(struct sim_run *run, const struct plan_op *op, bool is_second,
                enum outcome outcome) {
    if (outcome == OUTCOME_REFUSED) {
        run->refused++;
    } else if (outcome == OUTCOME_DOUBTFUL) {
        run->doubtful++;
    }
    set_outcome(&run->oracle, op->kind, op->key, op->number, is_second, outcome);
}

void oracle_acknowledge(struct sim_run *run, const struct sim_node *node, const struct plan_op *op,
                        bool is_second) {
    struct oracle *oracle = &run->oracle;
    run->acknowledged++;
    if (oracle->acks_count == oracle->acks_capacity) {
        oracle->acks_capacity = oracle->acks_capacity == 0 ? 64 : 2 * oracle->acks_capacity;
        oracle->acks = memory_resize(oracle->acks, oracle->acks_capacity * sizeof(oracle->acks[0]));
    }
    oracle->acks[oracle->acks_count++] = (struct oracle_ack){.at_us = run->world.now_us,
                                                             .node = node->index,
                                                             .boots = node->boots,
                                                             .kind = op->kind,
                                                             .key = op->key,
                                                             .number = op->number,
                                                             .is_second = is_second};
    set_outcome(oracle, op->kind, op->key, op->number, is_second, OUTCOME_DONE);
}

void oracle_lose(struct sim_run *run, const struct sim_node *node, uint64_t since_us) {
    struct oracle *oracle = &run->oracle;
    for (size_t i = 0; i < oracle->acks_count; i++) {
        const struct oracle_ack *ack = &oracle->acks[i];
        if (ack->node == node->index && ack->at_us >= since_us) {
            set_outcome(oracle, ack->kind, ack->key, ack->number, ack->is_second, OUTCOME_DOUBTFUL);
        }
    }
    for (unsigned kind = 0; kind < COUNTER_KINDS; kind++) {
        for (unsigned key = 0; key < RUN_COUNTERS; key++) {
            struct oracle_counter *counter = &oracle->counters[kind][key];
            counter->seen[node->index] = 0;
            counter->is_unclear |=
                key % run->plan->nodes_count == node->index && counter->taken_us >= since_us;
        }
    }
    for (unsigned i = 0; i < RUN_OPS_MAX; i++) {
        oracle->once[i].shown[node->index] = 0;
        oracle->die[i].shown[node->index] = 0;
        oracle->cause[i].shown[node->index] = 0;
    }
}

void oracle_deinit(struct sim_run *run) {
    memory_free(run->oracle.acks);
}

/* ---- what nodes show ---- */

static const char *const COUNTER_NAMES[] = {"up", "down", "float", "pair", "taken"};

static bool reply_bits(enum counter_kind kind, const struct sim_reply *reply, uint64_t *bits) {
    char text[64];
    *bits = 0;
    if (reply->is_null) {
        return true;
    }
    if (reply->type == ':') {
        *bits = (uint64_t)(kind == COUNTER_DOWN ? -reply->integer : reply->integer);
        return true;
    }
    if (reply->text.size >= sizeof(text)) {
        return false;
    }
    memcpy(text, reply->text.data, reply->text.size);
    text[reply->text.size] = '\0';
    char *end;
    if (kind == COUNTER_FLOAT) {
        long double value = strtold(text, &end) * 1024;
        *bits = (uint64_t)value;
        return *end == '\0' && value >= 0 && (long double)*bits == value;
    }
    long long value = strtoll(text, &end, 10);
    *bits = (uint64_t)(kind == COUNTER_DOWN ? -value : value);
    return *end == '\0';
}

void oracle_saw_counter(struct sim_run *run, const struct sim_node *node, enum counter_kind kind,
                        unsigned key, const struct sim_reply *reply) {
    struct oracle_counter *counter = &run->oracle.counters[kind][key];
    uint64_t bits;
    run->oracle.reads++;
    if (!reply_bits(kind, reply, &bits)) {
        sim_fail(&run->world, "node %u: counter %s:%u is '%.*s'", node->index, COUNTER_NAMES[kind],
                 key, (int)reply->text.size, reply->text.data);
        return;
    }
    run->oracle.reads_with_value += bits != 0;
    sim_note(&run->world, "node %u: counter %s:%u shows %#llx", node->index, COUNTER_NAMES[kind],
             key, (unsigned long long)bits);
    uint64_t wrong = bits & ~(counter->done | counter->doubtful);
    if (wrong != 0 && !counter->is_unclear) {
        sim_fail(&run->world,
                 "node %u: counter %s:%u has increments that nobody made, or twice: %#llx of "
                 "%#llx",
                 node->index, COUNTER_NAMES[kind], key, (unsigned long long)wrong,
                 (unsigned long long)bits);
    }
    /* A question that was asked before the last answer came may be answered by what was before. */
    bool is_newer = reply->asked_us >= counter->seen_us[node->index];
    uint64_t gone = is_newer && kind != COUNTER_TAKEN ? counter->seen[node->index] & ~bits : 0;
    if (gone != 0) {
        sim_fail(&run->world, "node %u: counter %s:%u has lost increments that it had: %#llx",
                 node->index, COUNTER_NAMES[kind], key, (unsigned long long)gone);
    }
    counter->seen[node->index] |= bits;
    counter->seen_us[node->index] = run->world.now_us;
}

void oracle_took(struct sim_run *run, const struct sim_node *node, unsigned key,
                 const struct sim_reply *reply) {
    struct oracle_counter *counter = &run->oracle.counters[COUNTER_TAKEN][key];
    uint64_t bits;
    if (reply->type == 0) {
        counter->is_unclear |= !reply->is_null;
        return;
    }
    if (counter->is_unclear || !reply_bits(COUNTER_TAKEN, reply, &bits)) {
        return;
    }
    oracle_saw_counter(run, node, COUNTER_TAKEN, key, reply);
    if ((counter->taken & bits) != 0) {
        sim_fail(&run->world, "node %u: counter taken:%u had these taken off already: %#llx",
                 node->index, key, (unsigned long long)(counter->taken & bits));
    }
    counter->taken |= bits;
    counter->taken_us = run->world.now_us;
}

void oracle_saw_key(struct sim_run *run, const struct sim_node *node, const char *what,
                    struct oracle_key *key, unsigned number, const struct sim_reply *reply) {
    unsigned char *shown = &key->shown[node->index];
    run->oracle.reads++;
    if (reply->asked_us < key->shown_us[node->index]) {
        return; /* asked before the last answer came: it may be older */
    }
    if (reply->is_null) {
        if (*shown == 1) {
            *shown = 2;
            key->shown_us[node->index] = run->world.now_us;
            if (what[0] != 'd') {
                sim_fail(&run->world, "node %u: %s:%u is gone", node->index, what, number);
            } else if (key->deleted == OUTCOME_NONE || key->deleted == OUTCOME_REFUSED) {
                sim_fail(&run->world, "node %u: %s:%u is gone, and nobody deleted it", node->index,
                         what, number);
            }
        }
        return;
    }
    run->oracle.reads_with_value++;
    char expected[32];
    int size = snprintf(expected, sizeof(expected), "v%u", number);
    if (!slice_equal(reply->text, slice_make(expected, (size_t)size))) {
        sim_fail(&run->world, "node %u: %s:%u is '%.*s'", node->index, what, number,
                 (int)reply->text.size, reply->text.data);
    }
    if (*shown == 2) {
        sim_fail(&run->world, "node %u: %s:%u was gone and is back", node->index, what, number);
    }
    if (key->set == OUTCOME_NONE || key->set == OUTCOME_REFUSED) {
        sim_fail(&run->world, "node %u: %s:%u is there, and nobody wrote it", node->index, what,
                 number);
    }
    *shown = 1;
    key->shown_us[node->index] = run->world.now_us;
}

/* ---- at the end ---- */

static bool ask_place(struct sim_node *node, struct buffer *text, const char *name,
                      unsigned number) {
    struct buffer command = {0};
    workload_place(&command, "GET", "HGET", name, number);
    bool is_answered = sim_ask(node, 0, text, "%s", buffer_text(&command));
    buffer_deinit(&command);
    return is_answered;
}

static void check_counters(struct sim_run *run, struct sim_node *node, struct buffer *text) {
    static const char *const names[] = {"up", "down", "float", "taken", "px", "py"};
    static const enum counter_kind kinds[] = {COUNTER_UP,    COUNTER_DOWN, COUNTER_FLOAT,
                                              COUNTER_TAKEN, COUNTER_PAIR, COUNTER_PAIR};
    for (unsigned i = 0; i < 6; i++) {
        enum counter_kind kind = kinds[i];
        for (unsigned key = 0; key < RUN_COUNTERS && !sim_has_failed(&run->world); key++) {
            const struct oracle_counter *counter = &run->oracle.counters[kind][key];
            if (!(i < 4 ? ask_place(node, text, names[i], key)
                        : sim_ask(node, 0, text, "GET %s:%u", names[i], key))) {
                sim_fail(&run->world, "node %u does not answer at the end: %s", node->index,
                         buffer_text(text));
                return;
            }
            struct sim_reply reply = {.type = '$',
                                      .is_null = text->size == 0,
                                      .text = buffer_slice(text),
                                      .asked_us = run->world.now_us};
            uint64_t bits;
            oracle_saw_counter(run, node, kind, key, &reply);
            if (counter->is_unclear || !reply_bits(kind, &reply, &bits)) {
                continue;
            }
            uint64_t lost = counter->done & ~counter->taken & ~bits;
            if (lost != 0) {
                sim_fail(&run->world, "counter %s:%u lost acknowledged increments: %#llx of %#llx",
                         names[i], key, (unsigned long long)lost,
                         (unsigned long long)counter->done);
            }
            if ((bits & counter->taken) != 0) {
                sim_fail(&run->world, "counter %s:%u has again what was taken off: %#llx of %#llx",
                         names[i], key, (unsigned long long)(bits & counter->taken),
                         (unsigned long long)bits);
            }
        }
    }
}

static void check_once(struct sim_run *run, struct sim_node *node, struct buffer *text) {
    for (unsigned i = 0; i < RUN_OPS_MAX && !sim_has_failed(&run->world); i++) {
        struct oracle_key *key = &run->oracle.once[i];
        if (key->set == OUTCOME_NONE) {
            continue;
        }
        (void)ask_place(node, text, "once", i);
        struct sim_reply reply = {.type = '$',
                                  .is_null = text->size == 0,
                                  .text = buffer_slice(text),
                                  .asked_us = run->world.now_us};
        oracle_saw_key(run, node, "once", key, i, &reply);
        if (reply.is_null && key->set == OUTCOME_DONE) {
            sim_fail(&run->world, "once:%u was acknowledged and is lost", i);
        }
    }
}

static void check_die(struct sim_run *run, struct sim_node *node, struct buffer *text) {
    for (unsigned i = 0; i < RUN_OPS_MAX && !sim_has_failed(&run->world); i++) {
        struct oracle_key *key = &run->oracle.die[i];
        if (key->set == OUTCOME_NONE) {
            continue;
        }
        (void)ask_place(node, text, "die", i);
        struct sim_reply reply = {.type = '$',
                                  .is_null = text->size == 0,
                                  .text = buffer_slice(text),
                                  .asked_us = run->world.now_us};
        oracle_saw_key(run, node, "die", key, i, &reply);
        bool is_deleted = key->deleted == OUTCOME_DONE;
        bool may_be_deleted =
            is_deleted || key->deleted == OUTCOME_DOUBTFUL || key->deleted == OUTCOME_OPEN;
        if (!reply.is_null && is_deleted) {
            sim_fail(&run->world, "die:%u was deleted by somebody who saw it, and is there", i);
        }
        if (reply.is_null && key->set == OUTCOME_DONE && !may_be_deleted) {
            sim_fail(&run->world, "die:%u was acknowledged, not deleted, and is lost", i);
        }
    }
}

static void check_cause(struct sim_run *run, struct sim_node *node, struct buffer *text) {
    for (unsigned i = 0; i < RUN_OPS_MAX && !sim_has_failed(&run->world); i++) {
        const struct oracle_key *key = &run->oracle.cause[i];
        if (key->set == OUTCOME_NONE) {
            continue;
        }
        (void)sim_ask(node, 0, text, "GET cause:%u", i);
        bool has_cause = text->size > 0;
        (void)sim_ask(node, 0, text, "GET effect:%u", i);
        bool has_effect = text->size > 0;
        if (!has_cause && (key->set == OUTCOME_DONE || has_effect)) {
            sim_fail(&run->world, "cause:%u is lost%s", i, has_effect ? ", its effect not" : "");
        }
        if (!has_effect && key->deleted == OUTCOME_DONE) {
            sim_fail(&run->world, "effect:%u was acknowledged and is lost", i);
        }
    }
}

static void check_large(struct sim_run *run, struct sim_node *node, struct buffer *text) {
    for (unsigned i = 0; i < RUN_OPS_MAX && !sim_has_failed(&run->world); i++) {
        if (run->oracle.large[i] != OUTCOME_DONE) {
            continue;
        }
        (void)sim_ask(node, 0, text, "GETRANGE large %u %u", i * 97, i * 97);
        if (!slice_equal(buffer_slice(text), SLICE("y"))) {
            sim_fail(&run->world, "byte %u of the large string was acknowledged and is lost",
                     i * 97);
        }
    }
}

static void check_hyperloglog(struct sim_run *run, struct sim_node *node, struct buffer *text) {
    unsigned done = 0, most = 0;
    for (unsigned i = 0; i < RUN_OPS_MAX; i++) {
        done += run->oracle.hyperloglog[i] == OUTCOME_DONE;
        most += run->oracle.hyperloglog[i] == OUTCOME_DONE ||
                run->oracle.hyperloglog[i] == OUTCOME_DOUBTFUL ||
                run->oracle.hyperloglog[i] == OUTCOME_OPEN;
    }
    (void)sim_ask(node, 0, text, "PFCOUNT hll");
    unsigned count = (unsigned)strtoul(buffer_text(text), NULL, 10);
    /* So few are counted almost exactly. */
    if (count + 1 + done / 50 < done || count > most + 1 + most / 50) {
        sim_fail(&run->world, "%u elements in the HyperLogLog, between %u and %u were added", count,
                 done, most);
    }
}

void oracle_check_end(struct sim_run *run, struct sim_node *node) {
    struct buffer text = {0};
    if (!run->plan->is_wild) {
        check_counters(run, node, &text);
        check_once(run, node, &text);
        check_die(run, node, &text);
        check_cause(run, node, &text);
        check_large(run, node, &text);
        check_hyperloglog(run, node, &text);
    }
    buffer_deinit(&text);
}
