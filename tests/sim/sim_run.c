/* SPDX-License-Identifier: BSD-3-Clause */
/* One run from its beginning to the verdict. */

#include "sim/sim_run.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/memory.h"
#include "mesh/mesh.h"
#include "store/contested.h"

enum {
    SAMPLE_US = 400 * 1000,
    CONVERGE_US_MAX = 600 * 1000 * 1000, /* ten minutes after healing */
    RUN_US_MIN = 60 * 1000 * 1000,
    SETTLE_US = 15 * 1000 * 1000, /* after converging: nothing is contested any more */
    LOOKS_MAX = 4,                /* for agreement, that far apart */
    UNSETTLED_MS_MAX = 10 * 1000, /* after the last change of a key, when all is well */
    ASK_US_MAX = 30 * 1000 * 1000,
};

/* ---- asking ---- */

struct ask {
    bool is_done, is_ok;
    struct buffer *text;
};

static void on_asked(struct sim_world *world, void *udata, uint64_t number,
                     const struct sim_reply *reply) {
    struct ask *ask = (struct ask *)udata;
    (void)world;
    (void)number;
    ask->is_done = true;
    ask->is_ok = reply->type != '-' && reply->type != 0;
    if (!reply->is_null && reply->type != '*') {
        buffer_append_slice(ask->text, reply->text);
    }
    for (unsigned i = 0; i < reply->count; i++) {
        buffer_append_slice(ask->text, i > 0 ? SLICE(" ") : SLICE(""));
        buffer_append_slice(ask->text, reply->items[i].is_null ? SLICE("-") : reply->items[i].text);
    }
}

bool sim_ask(struct sim_node *node, unsigned db, struct buffer *text, const char *format, ...) {
    struct sim_world *world = node->world;
    struct buffer command = {0};
    /* An answer that comes after the time is up goes nowhere. */
    struct ask *ask = memory_alloc_zero(sizeof(*ask));
    va_list args;
    va_start(args, format);
    buffer_vprintf(&command, format, args);
    va_end(args);
    buffer_clear(text);
    ask->text = text;
    sim_call(node, db, on_asked, ask, 0, "%s", buffer_text(&command));
    uint64_t until_us = world->now_us + ASK_US_MAX;
    while (!ask->is_done && sim_step(world, until_us)) {
    }
    bool is_ok = ask->is_done && ask->is_ok;
    if (ask->is_done) {
        memory_free(ask);
    } else {
        sim_fail(world, "node %u does not answer %s", node->index, buffer_text(&command));
    }
    buffer_deinit(&command);
    return is_ok;
}

/* ---- convergence ---- */

static void node_digest(const struct sim_node *node, uint8_t digest[20]) {
    store_digest(&node->node->store, digest);
}

bool sim_has_converged(struct sim_world *world) {
    uint8_t first[20], other[20];
    bool is_any = false;
    for (unsigned i = 0; i < world->nodes_count; i++) {
        const struct sim_node *node = &world->nodes[i];
        if (node->node != NULL && !node->is_out && node->node->mesh != NULL &&
            mesh_is_joining(node->node->mesh)) {
            return false;
        }
    }
    for (unsigned i = 0; i < world->nodes_count; i++) {
        struct sim_node *node = &world->nodes[i];
        if (node->node == NULL || node->is_out) {
            continue;
        }
        node_digest(node, is_any ? other : first);
        if (is_any && memcmp(first, other, sizeof(first)) != 0) {
            return false;
        }
        is_any = true;
    }
    return is_any;
}

/* Settling, now and as far as it can be: no value changes by it. */
static void check_settling(struct sim_node *node) {
    if (node->node == NULL || node->node->mesh == NULL || mesh_is_joining(node->node->mesh) ||
        node->node->store.unsettled_count == 0) {
        return;
    }
    uint8_t before[20], after[20];
    struct context *frontier = memory_alloc(sizeof(*frontier));
    sim_set_time(node);
    mesh_frontier(node->node->mesh, frontier);
    node_digest(node, before);
    (void)store_settle(&node->node->store, frontier, 1000);
    node_digest(node, after);
    if (memcmp(before, after, sizeof(before)) != 0) {
        sim_fail(node->world, "settling at node %u changes what it shows", node->index);
    }
    memory_free(frontier);
}
/* Keys that have been unsettled for long. What has just expired is removed by a change, and that
 * has to be seen by all first. */
static unsigned count_left_unsettled(const struct sim_node *node) {
    unsigned count = 0;
    for (const struct contested *contested = node->node->store.unsettled; contested != NULL;
         contested = contested->next) {
        uint64_t ticks = stamp_ticks(contested->entry->stamp);
        ticks = contested->horizon_ticks > ticks ? contested->horizon_ticks : ticks;
        count += stamp_unix_ms(stamp_make(ticks, 0)) + UNSETTLED_MS_MAX < node->node->now_ms;
    }
    return count;
}

/* Nothing is left of what was in the way. */
static void check_bounds(struct sim_node *node) {
    struct sim_run *run = run_of(node->world);
    struct mesh_stats stats;
    if (node->node->mesh == NULL) {
        return;
    }
    mesh_get_stats(node->node->mesh, &stats);
    /* A node that is gone for good is waited for until it is forgotten; so is what it took along of
     * that on which records build whose author is gone, too. */
    bool is_complete = true, has_all = true;
    for (unsigned i = 0; i < run->plan->faults_count; i++) {
        enum fault_kind kind = run->plan->faults[i].kind;
        is_complete =
            is_complete && kind != FAULT_WIPE && kind != FAULT_FORGET && kind != FAULT_APART;
        has_all = has_all && kind != FAULT_WIPE;
    }
    if (has_all && (stats.waiting_records > 0 || stats.waiting_bytes > 0)) {
        sim_fail(node->world, "node %u: %llu records still wait", node->index,
                 (unsigned long long)stats.waiting_records);
    }
    unsigned unsettled = is_complete ? count_left_unsettled(node) : 0;
    if (unsettled > 0) {
        sim_fail(node->world, "node %u: %u keys are still unsettled, %.0f s after all agreed",
                 node->index, unsettled, (double)(node->world->now_us - run->converged_us) / 1e6);
    }
}

/* ---- what happens when ---- */

static void op_event(struct sim_world *world, void *object, uint64_t number) {
    struct sim_run *run = run_of(world);
    (void)number;
    workload_begin(run, (struct plan_op *)object);
}

static void fault_event(struct sim_world *world, void *object, uint64_t number) {
    struct sim_run *run = run_of(world);
    if (number == 0) {
        fault_begin(run, (const struct plan_fault *)object);
    } else {
        fault_end(run, (const struct plan_fault *)object);
    }
}

static void sample_event(struct sim_world *world, void *object, uint64_t number) {
    struct sim_run *run = run_of(world);
    (void)object;
    struct sim_node *node = &world->nodes[prng_below(&world->prng, world->nodes_count)];
    if (prng_below(&world->prng, 8) == 0) {
        check_settling(node);
    }
    workload_sample(run, node);
    if (!run->is_healed) {
        sim_at(world, world->now_us + SAMPLE_US, sample_event, NULL, number + 1);
    }
}

static void first_write(struct sim_world *world, void *object, uint64_t number);

static void on_first(struct sim_world *world, void *udata, uint64_t number,
                     const struct sim_reply *reply) {
    (void)udata;
    if (reply->type != ':') {
        sim_at(world, world->now_us + 100 * SIM_MS, first_write, NULL, number + 1);
    }
}

/* The large string is made by one node, once it is ready. */
static void first_write(struct sim_world *world, void *object, uint64_t number) {
    (void)object;
    if (!run_of(world)->is_healed) {
        sim_call(&world->nodes[0], 0, on_first, NULL, number, "SETRANGE large %u x",
                 (unsigned)RUN_LARGE_BYTES - 1);
    }
}

static bool forgets_nodes(const struct plan *plan) {
    bool forgets = false;
    for (unsigned i = 0; i < plan->faults_count; i++) {
        forgets |= plan->faults[i].kind == FAULT_FORGET || plan->faults[i].kind == FAULT_APART;
    }
    return forgets;
}

static void node_options(struct sim_run *run, struct sim_node *node) {
    const struct plan *plan = run->plan;
    bool is_always = prng_below(&run->world.prng, 100) < plan->always_percent;
    sim_configure(
        node,
        "databases 4\nappendonly yes\nappendfsync %s\nsave \"\"\nnotify-keyspace-events KEA\n"
        "enable-debug-command yes\n",
        is_always ? "always" : "everysec");
    if (plan->is_apart) {
        sim_configure(node, "mesh-forget-after 3\n");
    } else if (plan->seed % 2 == 0) {
        sim_configure(node, "mesh-retire-after 0\n");
    }
    if (plan->has_eviction) {
        sim_configure(node, "maxmemory-policy volatile-random\n");
    }
    if (plan->has_small_log) {
        /* Who comes back after being forgotten needs a log that reaches back (docs/mesh.md). */
        sim_configure(node,
                      "log-segment-size 64kb\nlog-retention-size %s\n"
                      "auto-aof-rewrite-min-size 8kb\nmesh-backlog-size 64kb\n",
                      forgets_nodes(plan) ? "4mb" : "0");
    }
    if ((plan->seed + (uint64_t)(node - run->world.nodes)) % 3 == 0) {
        /* Some nodes have in tables what others have packed. */
        sim_configure(node, "hash-max-listpack-entries 1\nset-max-listpack-entries 1\n"
                            "set-max-intset-entries 1\nzset-max-listpack-entries 1\n"
                            "list-max-listpack-size 1\n");
    }
    if (!plan->is_alone) {
        sim_configure(node, "mesh-port 17000\nmesh-announce-addr %s\nmesh-seeds %s %s\n",
                      node->address, run->world.nodes[0].address, run->world.nodes[1].address);
    }
}

void run_begin(struct sim_run *run, struct plan *plan, bool is_verbose) {
    *run = (struct sim_run){.plan = plan};
    struct sim_world *world = &run->world;
    sim_world_init(world, plan->seed, plan->nodes_count);
    world->is_verbose = is_verbose;
    world->delay_us_max = prng_below(&world->prng, 3) == 0 ? 100000 : 3000;
    world->frame_faults_per_10000 = plan->has_frame_faults ? 50 : 0;
    for (unsigned i = 0; i < plan->nodes_count; i++) {
        node_options(run, &world->nodes[i]);
        sim_at(world, sim_between(world, 0, 300 * SIM_MS), run_restart, NULL, i);
    }
    for (unsigned i = 0; i < plan->ops_count; i++) {
        sim_at(world, plan->ops[i].at_us, op_event, &plan->ops[i], 0);
    }
    for (unsigned i = 0; i < plan->faults_count; i++) {
        sim_at(world, plan->faults[i].at_us, fault_event, &plan->faults[i], 0);
        sim_at(world, plan->faults[i].until_us, fault_event, &plan->faults[i], 1);
    }
    sim_at(world, SIM_SECOND / 2, first_write, NULL, 0);
    sim_at(world, SIM_SECOND, sample_event, NULL, 0);
}

struct dump {
    const struct sim_node *node;
    unsigned db;
};

static void dump_entry(struct sim_world *world, const struct entry *entry);

static void dump_element(void *item, void *udata) {
    dump_entry((struct sim_world *)udata, (const struct entry *)item);
}

/* Elements of lists and streams; names are not text. */
static void dump_map(struct sim_world *world, const struct ordered_map *map) {
    struct ordered_map_cursor cursor;
    for (bool is_there = ordered_map_first(map, &cursor); is_there;
         is_there = ordered_map_next(map, &cursor)) {
        struct buffer name = {0};
        for (size_t i = 0; i < cursor.element.name.size; i++) {
            buffer_printf(&name, "%02x", (uint8_t)cursor.element.name.data[i]);
        }
        sim_note(world, "        %s: flags %u, stamp %" PRIx64 ", %.*s", buffer_text(&name),
                 cursor.element.flags, cursor.element.stamp,
                 cursor.element.value.size > 40 ? 40 : (int)cursor.element.value.size,
                 cursor.element.value.data);
        buffer_deinit(&name);
    }
}

static void dump_contested(struct sim_world *world, const struct contested *contested) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        const struct contested_register *reg = &contested->registers[i];
        sim_note(world, "        register %" PRIx64 ": %.*s", reg->stamp, (int)reg->size,
                 reg->size > 0 ? reg->bytes : "");
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        sim_note(world, "        edit %" PRIx64, contested->edits[i].stamp);
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        const struct contested_part *part = &contested->parts[i];
        sim_note(world,
                 "        part %" PRIx64 " from %" PRIx64 ": %" PRId64 " (%Lg) off %" PRId64
                 " (%Lg), seen %" PRIx64 " by %" PRIx64,
                 part->stamp, part->start_ticks, part->total, part->float_total, part->off,
                 part->float_off, part->off_seen, part->off_by);
    }
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        sim_note(world, "        expiry %" PRIx64 ": %" PRIu64, contested->expiries[i].stamp,
                 contested->expiries[i].unix_ms);
    }
}

static void dump_entry(struct sim_world *world, const struct entry *entry) {
    struct entry_scratch scratch;
    struct slice name = entry_key(entry);
    struct slice value = slice_of("");
    if (entry_kind(entry) != ENTRY_COLLECTION && !entry_is_hidden(entry) &&
        entry_kind(entry) != ENTRY_PACKED &&
        !(entry_kind(entry) == ENTRY_CONTESTED &&
          entry_contested(entry)->shown == CONTESTED_SHOWS_COLLECTION)) {
        value = entry_value(entry, &scratch);
    }
    sim_note(world, "      %.*s: kind %d, stamp %" PRIx64 ", expires %" PRIu64 ", %.*s",
             (int)name.size, name.data, (int)entry_kind(entry), entry->stamp,
             entry_expire_unix_ms(entry), value.size > 40 ? 40 : (int)value.size, value.data);
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        dump_contested(world, entry_contested(entry));
    }
    struct collection *collection = NULL;
    if (entry_kind(entry) == ENTRY_COLLECTION) {
        collection = entry_collection(entry);
    } else if (entry_kind(entry) == ENTRY_CONTESTED) {
        collection = entry_contested(entry)->collections;
    }
    for (; collection != NULL; collection = collection->next) {
        sim_note(world, "        collection of type %d", (int)collection->type);
        uint64_t position = 0;
        dump_map(world, collection->map);
        do {
            position = table_walk(&collection->space.table, position, dump_element, world);
        } while (position != 0);
    }
}

static void dump_visit(void *item, void *udata) {
    const struct dump *dump = (const struct dump *)udata;
    const struct entry *entry = (const struct entry *)item;
    struct slice name = entry_key(entry);
    uint8_t digest[20];
    store_entry_digest(&dump->node->node->store, dump->db, entry, digest);
    sim_note(dump->node->world, "    node %u db %u %.*s: digest %02x%02x%02x%02x",
             dump->node->index, dump->db, (int)name.size, name.data, digest[0], digest[1],
             digest[2], digest[3]);
    dump_entry(dump->node->world, entry);
}

/* What a node has seen of each life of each node. */
static void dump_context(struct sim_world *world, const struct sim_node *node) {
    const struct store *store = &node->node->store;
    struct mesh_stats stats = {0};
    if (node->node->mesh != NULL) {
        mesh_get_stats(node->node->mesh, &stats);
    }
    sim_note(world, "    node %u: %llu records wait, %llu gaps, %llu early, joining %d",
             node->index, (unsigned long long)stats.waiting_records, (unsigned long long)stats.gaps,
             (unsigned long long)stats.early, stats.is_joining);
    for (unsigned slot = 1; slot < store->replicas.slots_count; slot++) {
        const struct replica *replica = &store->replicas.slots[slot];
        if (replica->ref != 0) {
            sim_note(world, "    node %u has of %02x%02x life %llu: %llu%s", node->index,
                     replica->id.node[0], replica->id.node[1],
                     (unsigned long long)replica->id.generation,
                     (unsigned long long)stamp_ticks(store->context.stamps[slot]),
                     slot == store->replicas.self ? ", its own" : "");
        }
    }
}

/* What a node holds, for whoever looks for the difference. */
static void dump_node(struct sim_world *world, const struct sim_node *node) {
    if (!world->is_verbose || node->node == NULL) {
        return;
    }
    dump_context(world, node);
    for (unsigned db = 0; db < node->node->store.dbs_count; db++) {
        struct dump dump = {node, db};
        uint64_t position = 0;
        do {
            position = table_walk(&node->node->store.dbs[db].table, position, dump_visit, &dump);
        } while (position != 0);
    }
}

void sim_dump_nodes(struct sim_world *world) {
    for (unsigned i = 0; i < world->nodes_count; i++) {
        dump_node(world, &world->nodes[i]);
    }
}

/* Until all agree, then until nothing is contested. */
static void run_converge(struct sim_run *run) {
    struct sim_world *world = &run->world;
    uint64_t until_us = world->now_us + CONVERGE_US_MAX;
    while (!sim_has_failed(world) && !sim_has_converged(world)) {
        if (world->now_us >= until_us) {
            sim_fail(world, "the nodes do not agree, ten minutes after all was healed");
            sim_dump_nodes(world);
            return;
        }
        sim_run_for(world, SIM_SECOND);
    }
    run->converged_us = world->now_us;
    uint64_t end_us = run->converged_us + SETTLE_US;
    sim_run_until(world, end_us > RUN_US_MIN ? end_us : RUN_US_MIN);
    /* Expiries travel, too, and one may be on its way whenever it is looked. */
    unsigned looks = 0;
    while (!sim_has_failed(world) && !sim_has_converged(world)) {
        if (++looks == LOOKS_MAX) {
            sim_fail(world, "the nodes agreed and then no more");
            sim_dump_nodes(world);
            return;
        }
        sim_run_for(world, SETTLE_US);
    }
}

/* A restart shows what was there. */
static void check_recovery(struct sim_run *run) {
    struct sim_world *world = &run->world;
    struct sim_node *node = &world->nodes[prng_below(&world->prng, world->nodes_count)];
    uint8_t before[20], after[20];
    if (node->node == NULL || sim_has_failed(world)) {
        return;
    }
    sim_set_time(node);
    node_digest(node, before);
    dump_node(world, node);
    sim_kill(node);
    sim_start(node);
    if (sim_has_failed(world)) {
        return;
    }
    sim_set_time(node);
    node_digest(node, after);
    if (memcmp(before, after, sizeof(before)) != 0) {
        sim_fail(world, "node %u holds something else after kill -9 and restart", node->index);
        dump_node(world, node);
    }
}

/* Has a node lost what it had seen, or been forgotten, or is a new one there, which may have
 * written before it met the others? */
static bool loses_what_was_seen(const struct plan *plan) {
    for (unsigned i = 0; i < plan->faults_count; i++) {
        switch (plan->faults[i].kind) {
        case FAULT_POWER:
        case FAULT_RESTORE:
        case FAULT_WIPE:
        case FAULT_FORGET:
        case FAULT_DISK_FULL:
        case FAULT_APART:
            return true;
        default:
            break;
        }
    }
    return false;
}

static void check_nodes(struct sim_run *run) {
    struct sim_world *world = &run->world;
    for (unsigned i = 0; i < world->nodes_count; i++) {
        struct sim_node *node = &world->nodes[i];
        if (node->node == NULL) {
            continue;
        }
        store_check(&node->node->store);
        check_settling(node);
        check_bounds(node);
        /* The frontier is strict: nothing comes whose author had not seen what is settled. */
        if (node->node->stats.late_records > 0 && !loses_what_was_seen(run->plan)) {
            sim_fail(world, "node %u has taken %" PRIu64 " late records", node->index,
                     node->node->stats.late_records);
        }
    }
}

void run_carry_out(struct sim_run *run) {
    struct sim_world *world = &run->world;
    sim_run_until(world, run->plan->busy_us);
    if (sim_has_failed(world)) {
        return;
    }
    run->is_healed = true;
    run->heal_us = world->now_us;
    faults_heal(run);
    run_converge(run);
    if (!sim_has_failed(world)) {
        check_nodes(run);
    }
    if (!sim_has_failed(world)) {
        oracle_check_end(run, &world->nodes[prng_below(&world->prng, world->nodes_count)]);
    }
    check_recovery(run);
    run_queue(run);
}

void run_end(struct sim_run *run) {
    oracle_deinit(run);
    sim_world_deinit(&run->world);
}
