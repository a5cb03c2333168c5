/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/sim_world.h"

#include <stdio.h>

#include "base/check.h"
#include "base/memory.h"
#include "mesh/mesh.h"

enum {
    TURN_DELAY_US = 20,      /* from input to the turn that looks at it */
    TURN_US_MAX = 100 * 1000 /* between two turns */
};

/* ---- events: a heap by time, then by order ---- */

static bool is_before(const struct sim_event *a, const struct sim_event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void sim_at(struct sim_world *world, uint64_t at_us, sim_event_fn fn, void *object,
            uint64_t number) {
    struct sim_event event = {.at_us = at_us > world->now_us ? at_us : world->now_us,
                              .order = world->order++,
                              .fn = fn,
                              .object = object,
                              .number = number};
    if (world->heap_count == world->heap_capacity) {
        world->heap_capacity = world->heap_capacity == 0 ? 256 : 2 * world->heap_capacity;
        world->heap = memory_resize(world->heap, world->heap_capacity * sizeof(world->heap[0]));
    }
    size_t at = world->heap_count++;
    while (at > 0 && is_before(&event, &world->heap[(at - 1) / 2])) {
        world->heap[at] = world->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    world->heap[at] = event;
}

static struct sim_event heap_take(struct sim_world *world) {
    struct sim_event first = world->heap[0], last = world->heap[--world->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= world->heap_count) {
            break;
        }
        if (child + 1 < world->heap_count &&
            is_before(&world->heap[child + 1], &world->heap[child])) {
            child++;
        }
        if (!is_before(&world->heap[child], &last)) {
            break;
        }
        world->heap[at] = world->heap[child];
        at = child;
    }
    world->heap[at] = last;
    return first;
}

bool sim_step(struct sim_world *world, uint64_t until_us) {
    if (world->heap_count == 0 || world->heap[0].at_us > until_us) {
        return false;
    }
    struct sim_event event = heap_take(world);
    world->now_us = event.at_us;
    world->events_count++;
    sim_trace(world, event.at_us ^ event.order << 32);
    event.fn(world, event.object, event.number);
    return true;
}

void sim_run_until(struct sim_world *world, uint64_t until_us) {
    while (!sim_has_failed(world) && sim_step(world, until_us)) {
    }
    if (world->now_us < until_us) {
        world->now_us = until_us;
    }
}

void sim_trace(struct sim_world *world, uint64_t value) {
    uint64_t state = world->trace ^ value;
    world->trace = prng_splitmix(&state);
}

void sim_note(struct sim_world *world, const char *format, ...) {
    if (!world->is_verbose) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)printf("%10.6f  ", (double)world->now_us / 1e6);
    (void)vprintf(format, args);
    (void)putchar('\n');
    va_end(args);
}

void sim_fail(struct sim_world *world, const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (!sim_has_failed(world)) {
        int size = snprintf(world->failure, sizeof(world->failure),
                            "at %.6f s: ", (double)world->now_us / 1e6);
        (void)vsnprintf(world->failure + size, sizeof(world->failure) - (size_t)size, format, args);
        sim_note(world, "FAILED %s", world->failure);
    }
    va_end(args);
}

/* ---- what a node asks of its host ---- */

/* Each look at the clock costs a microsecond, so that loops with a time limit end. */
static uint64_t host_monotonic_us(void *udata) {
    struct sim_node *node = (struct sim_node *)udata;
    uint64_t now_us = node->world->now_us + SIM_SECOND;
    node->monotonic_us = node->monotonic_us >= now_us ? node->monotonic_us + 1 : now_us;
    return node->monotonic_us;
}

static uint64_t host_memory_used(void *udata) {
    const struct sim_node *node = (const struct sim_node *)udata;
    uint64_t keys = 0;
    if (node->memory_key_bytes > 0 && node->node != NULL) {
        for (unsigned db = 0; db < node->node->store.dbs_count; db++) {
            keys += store_count(&node->node->store, db);
        }
    }
    return node->memory_base_bytes + keys * node->memory_key_bytes;
}

static void host_memory_purge(void *udata) {
    (void)udata;
}

static void host_facts(void *udata, struct host_facts *facts) {
    (void)udata;
    *facts = (struct host_facts){
        .executable = "", .config_file = "", .os = "", .arch = "", .compiler = "", .allocator = ""};
}

static void host_free_later(void *udata, void (*free_fn)(void *object), void *object) {
    (void)udata;
    free_fn(object);
}

static uint64_t host_free_later_pending(void *udata) {
    (void)udata;
    return 0;
}

static void host_message(void *udata, enum log_level level, const char *text) {
    const struct sim_node *node = (const struct sim_node *)udata;
    (void)level;
    sim_note(node->world, "node %u: %s", node->index, text);
}

static bool host_apply_options(void *udata, const struct config_change *changed,
                               struct buffer *error, enum option_id *guilty) {
    (void)udata;
    (void)changed;
    (void)error;
    (void)guilty;
    return true;
}

static bool host_no_config(void *udata, struct buffer *text, struct buffer *error) {
    (void)udata;
    (void)text;
    buffer_printf(error, "there is no file");
    return false;
}

static bool host_no_write_config(void *udata, struct slice text, struct buffer *error) {
    (void)udata;
    (void)text;
    buffer_printf(error, "there is no file");
    return false;
}

static void host_sleep_us(void *udata, uint64_t us) {
    (void)udata;
    (void)us;
}

static void host_crash(void *udata, const char *how) {
    (void)udata;
    impossible(how);
}

/* ---- turns ---- */

void sim_set_time(struct sim_node *node) {
    node_set_time(node->node, sim_unix_ms(node), host_monotonic_us(node));
}

static void node_turn(struct sim_world *world, void *object, uint64_t number) {
    struct sim_node *node = (struct sim_node *)object;
    (void)number;
    if (node->node == NULL || node->turn_us != world->now_us) {
        return; /* an earlier one came instead */
    }
    node->turn_us = SIM_NEVER;
    sim_set_time(node);
    node_run(node->node);
    uint64_t wait_us = node_tick(node->node);
    struct client *client;
    while ((client = node_take_output(node->node)) != NULL) {
        sim_client_flush(node, client);
    }
    sim_network_flush(node);
    if (node->node->ready != NULL) {
        wait_us = 0;
    }
    sim_wake(node, wait_us);
}

void sim_wake(struct sim_node *node, uint64_t in_us) {
    struct sim_world *world = node->world;
    uint64_t late_us = TURN_DELAY_US;
    if (node->slow_us > 0) {
        late_us += prng_below(&world->prng, node->slow_us);
    }
    uint64_t at_us = world->now_us + (in_us < TURN_US_MAX ? in_us : TURN_US_MAX) + late_us;
    if (node->node != NULL && at_us < node->turn_us) {
        node->turn_us = at_us;
        sim_at(world, at_us, node_turn, node, 0);
    }
}

/* ---- the disk's jobs ---- */

static void disk_call(struct sim_world *world, void *object, uint64_t number) {
    struct sim_node *node = (struct sim_node *)object;
    (void)world;
    (void)number;
    if (node->node == NULL) {
        return;
    }
    struct disk_job *job;
    bool is_any = false;
    sim_set_time(node);
    while ((job = sim_disk_take_done(&node->disk)) != NULL) {
        node_disk_done(node->node, job);
        is_any = true;
    }
    if (is_any) {
        sim_wake(node, 0);
    }
}

static void disk_wants_call(void *udata, uint64_t at_us) {
    struct sim_node *node = (struct sim_node *)udata;
    sim_at(node->world, at_us, disk_call, node, 0);
}

static uint64_t disk_now_us(void *udata) {
    return ((struct sim_node *)udata)->world->now_us;
}

/* ---- the life of a node ---- */

void sim_configure(struct sim_node *node, const char *format, ...) {
    struct buffer text = {0}, error = {0};
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    if (config_load_text(&node->options, buffer_slice(&text), "sim", NULL, &error) != CONFIG_OK) {
        sim_fail(node->world, "configuration: %s", buffer_text(&error));
    }
    buffer_deinit(&text);
    buffer_deinit(&error);
}

static void node_end(struct sim_node *node, bool is_silent) {
    struct node *dying = node->node;
    node->disk.is_off = true;
    node->node = NULL;
    node->turn_us = SIM_NEVER;
    sim_network_drop(node, is_silent);
    sim_clients_drop(node);
    node_free(dying);
}

void sim_start(struct sim_node *node) {
    struct sim_world *world = node->world;
    require(node->node == NULL);
    struct node_opts opts = {
        .host = {.udata = node,
                 .monotonic_us = host_monotonic_us,
                 .memory_used = host_memory_used,
                 .memory_purge = host_memory_purge,
                 .facts = host_facts,
                 .free_later = host_free_later,
                 .free_later_pending = host_free_later_pending,
                 .message = host_message,
                 .apply_options = host_apply_options,
                 .read_config = host_no_config,
                 .write_config = host_no_write_config,
                 .sleep_us = host_sleep_us,
                 .crash = host_crash},
        .options = &node->options,
        .disk = &node->disk.disk,
        .now_ms = sim_unix_ms(node),
    };
    for (unsigned i = 0; i < sizeof(opts.entropy) / sizeof(opts.entropy[0]); i++) {
        opts.entropy[i] = prng_next(&world->prng);
    }
    sim_network_host(node, &opts.mesh_host);
    sim_note(world, "node %u starts", node->index);
    node->boots++;
    node->turn_us = SIM_NEVER;
    node->node = node_new(&opts);
    node->node->store.untold_elements_min = node->node->store.grave_elements_min = 1;
    node->node->store.pending_looks_max = 0; /* the shortest history has what long ones have */
    if (!node_start(node->node)) {
        if (node->disk.capacity > 0) {
            /* It says so and ends; somebody will start it again when there is room. */
            node_end(node, true);
            sim_disk_kill(&node->disk);
            return;
        }
        sim_fail(world, "node %u does not start: %s", node->index, log_error(node->node->log));
    }
    (void)snprintf(node->node_id, sizeof(node->node_id), "%s", log_node_id(node->node->log));
    sim_wake(node, 0);
}

void sim_kill(struct sim_node *node) {
    sim_note(node->world, "node %u is killed", node->index);
    node_end(node, false);
    sim_disk_kill(&node->disk);
}

void sim_lose_power(struct sim_node *node) {
    sim_note(node->world, "node %u loses power", node->index);
    node_end(node, true);
    sim_disk_lose_power(&node->disk);
}

void sim_stop(struct sim_node *node) {
    sim_note(node->world, "node %u stops", node->index);
    sim_set_time(node);
    if (!node_stop(node->node, false)) {
        sim_note(node->world, "node %u does not stop in order", node->index);
    }
    node_end(node, false);
    sim_disk_kill(&node->disk);
}

/* ---- the world ---- */

void sim_world_init(struct sim_world *world, uint64_t seed, unsigned nodes_count) {
    /* Parsing a hundred defaults costs more than copying them. */
    static struct options defaults;
    if (defaults.dir == NULL) {
        options_init(&defaults);
    }
    *world = (struct sim_world){.seed = seed, .nodes_count = nodes_count};
    prng_init(&world->prng, seed);
    world->nodes = memory_alloc_zero(nodes_count * sizeof(world->nodes[0]));
    for (unsigned i = 0; i < nodes_count; i++) {
        struct sim_node *node = &world->nodes[i];
        node->world = world;
        node->index = i;
        node->turn_us = SIM_NEVER;
        node->memory_base_bytes = 1 << 20;
        options_dup(&defaults, &node->options);
        sim_disk_init(&node->disk, prng_next(&world->prng));
        sim_disk_init(&node->copy, 0);
        node->disk.wants_call = disk_wants_call;
        node->disk.now_us = disk_now_us;
        node->disk.udata = node;
        (void)snprintf(node->address, sizeof(node->address), "10.0.%u.%u:17000", i / 250,
                       i % 250 + 1);
    }
    sim_network_init(world);
}

void sim_world_deinit(struct sim_world *world) {
    for (unsigned i = 0; i < world->nodes_count; i++) {
        struct sim_node *node = &world->nodes[i];
        if (node->node != NULL) {
            node_end(node, true);
        }
        sim_disk_kill(&node->disk);
        sim_disk_deinit(&node->disk);
        sim_disk_deinit(&node->copy);
        options_deinit(&node->options);
    }
    sim_network_deinit(world);
    for (unsigned i = 0; i < world->nodes_count; i++) {
        memory_free(world->nodes[i].ends);
        memory_free(world->nodes[i].sends);
    }
    memory_free(world->nodes);
    memory_free(world->heap);
}
