/* SPDX-License-Identifier: BSD-3-Clause */
/* When changes go to peers: at once after a pause, then 300 us apart, and 5 us more for each
 * request since, up to 2 ms; what waits goes without another request; and at once when it is much,
 * or while a client waits for peers. Two nodes as machines, joined by a link; the one writes, the
 * other only listens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "config/options.h"
#include "node/node.h"
#include "unit/log/memory_disk.h"
#include "unit/node/node_host.h"

enum {
    GAP_US = 300,
    GAP_REQUEST_US = 5,
    GAP_US_MAX = 2000,
    STEP_US = 50,
};

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
    int64_t now_ms;
    uint64_t now_us;
    uint64_t records_out; /* of the writer */
};

/* ---- hosts ---- */

static uint64_t host_monotonic_us(void *udata) {
    return ((struct side *)udata)->world->now_us;
}

/* The writer dials; there is only one connection. */
static void mesh_dial(void *udata, struct mesh_link *link, const char *address) {
    struct side *side = udata;
    (void)address;
    if (side != &side->world->sides[0] || side->link != NULL) {
        mesh_link_closed(link, MESH_REASON_CLOSED);
        return;
    }
    side->link = link;
}

static void mesh_send(void *udata, struct mesh_link *link) {
    (void)udata, (void)link; /* it is looked at in each step */
}

static void mesh_close(void *udata, struct mesh_link *link) {
    struct side *side = udata;
    require(link != side->link); /* none ends before the test does */
}

static void mesh_hmac(void *udata, struct slice key, struct slice text, uint8_t digest[32]) {
    (void)udata, (void)key, (void)text;
    memset(digest, 0, 32);
}

static void mesh_message(void *udata, enum mesh_level level, const char *text) {
    (void)udata, (void)level, (void)text;
}

/* ---- the world ---- */

static void boot(struct side *side, unsigned index) {
    memory_disk_init(&side->disk, 1 + index);
    options_init(&side->options);
    side->options.appendonly = false;
    side->options.mesh_port = 17000 + index;
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

static void move_bytes(struct side *from, struct side *to) {
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

static void take_replies(struct world *world) {
    struct client *client;
    while ((client = node_take_output(world->sides[0].node)) != NULL) {
        size_t size =
            client_sendable_bytes(client, log_acknowledged_position(world->sides[0].node->log));
        if (size > 0) {
            node_client_sent(client, size);
        }
    }
}

static void set_times(struct world *world) {
    for (unsigned i = 0; i < 2; i++) {
        node_set_time(world->sides[i].node, world->now_ms, world->now_us);
    }
}

/* As a host does it: a turn when something came in, a tick when that was wished for. */
static void turn(struct world *world, struct side *side) {
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
static bool step(struct world *world, struct slice input) {
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
    move_bytes(&world->sides[0], &world->sides[1]);
    turn(world, &world->sides[1]);
    move_bytes(&world->sides[1], &world->sides[0]);
    world->now_us += STEP_US;
    world->now_ms += world->now_us % 1000 == 0;
    return has_pushed;
}

static bool write_one(struct world *world) {
    return step(world, SLICE("SET k v\r\n"));
}

/* Rests until nothing is left to be done. */
static void rest(struct world *world) {
    for (unsigned i = 0; i < 200; i++) {
        (void)step(world, (struct slice){0});
    }
}

static struct world *begin(void) {
    struct world *world = memory_alloc_zero(sizeof(*world));
    world->now_ms = INT64_C(1800000000000);
    world->now_us = 1000000;
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
    for (unsigned i = 0; !write_one(world); i++) { /* the link is up once something goes out */
        require(i < 10000);
    }
    rest(world);
    return world;
}

static void end(struct world *world) {
    node_client_free(world->client);
    for (unsigned i = 0; i < 2; i++) {
        world->sides[i].link = NULL;
        node_free(world->sides[i].node);
        options_deinit(&world->sides[i].options);
        memory_disk_deinit(&world->sides[i].disk);
    }
    memory_free(world);
}

/* ---- tests ---- */

static void at_once_after_a_pause(void **state) {
    (void)state;
    struct world *world = begin();
    for (unsigned i = 0; i < 50; i++) {
        assert_true(write_one(world));
        for (unsigned pause_us = STEP_US; pause_us < GAP_US + 2 * GAP_REQUEST_US;
             pause_us += STEP_US) {
            assert_false(step(world, (struct slice){0})); /* nothing is left */
        }
    }
    end(world);
}

/* Writes `count` requests in each step for a while; the shortest and longest times between pushes.
 */
static void measure(struct world *world, unsigned count, uint64_t *least_us, uint64_t *most_us) {
    struct buffer input = {0};
    for (unsigned i = 0; i < count; i++) {
        buffer_append_slice(&input, SLICE("SET k v\r\n"));
    }
    uint64_t pushed_us = 0;
    *least_us = UINT64_MAX;
    *most_us = 0;
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t now_us = world->now_us;
        if (!step(world, buffer_slice(&input))) {
            continue;
        }
        uint64_t since_us = now_us - pushed_us;
        if (pushed_us != 0) {
            *least_us = since_us < *least_us ? since_us : *least_us;
            *most_us = since_us > *most_us ? since_us : *most_us;
        }
        pushed_us = now_us;
    }
    buffer_deinit(&input);
    rest(world);
}

static void apart_under_load(void **state) {
    (void)state;
    struct world *world = begin();
    uint64_t least_us, most_us;
    /* One in each step: seven of them, which is 335 us. */
    measure(world, 1, &least_us, &most_us);
    assert_int_equal(least_us, 350);
    assert_int_equal(most_us, 350);
    /* Four, which makes 40 in 500 us. */
    measure(world, 4, &least_us, &most_us);
    assert_int_equal(least_us, 500);
    assert_int_equal(most_us, 500);
    /* So many that it reaches the greatest gap. */
    measure(world, 100, &least_us, &most_us);
    assert_int_equal(least_us, GAP_US_MAX);
    assert_int_equal(most_us, GAP_US_MAX);
    end(world);
}

/* The last of a burst does not wait for a request that never comes: the node asks to be called. */
static void what_waits_goes_by_itself(void **state) {
    (void)state;
    struct world *world = begin();
    for (unsigned i = 0; i < 50; i++) {
        assert_true(write_one(world));
        uint64_t pushed_us = world->now_us - STEP_US;
        assert_false(write_one(world));
        while (!step(world, (struct slice){0})) {
            assert_true(world->now_us - pushed_us < GAP_US_MAX);
        }
        assert_int_equal(world->now_us - STEP_US - pushed_us, GAP_US + STEP_US);
        rest(world);
    }
    end(world);
}

/* Much goes at once: it would only get cold. */
static void at_once_when_it_is_much(void **state) {
    (void)state;
    enum { VALUE_BYTES = 28000, WRITES_MAX = 5 }; /* by the clock it would be seven */
    struct world *world = begin();
    struct buffer input = {0};
    buffer_append_slice(&input, SLICE("SET k "));
    for (unsigned i = 0; i < VALUE_BYTES; i++) {
        buffer_append_byte(&input, 'v');
    }
    buffer_append_slice(&input, SLICE("\r\n"));
    assert_true(write_one(world));
    for (unsigned i = 0; i < 20; i++) {
        unsigned writes = 1;
        while (!step(world, buffer_slice(&input))) {
            writes++;
        }
        assert_true(writes <= WRITES_MAX);
    }
    buffer_deinit(&input);
    end(world);
}

/* A client that waits for peers makes all pushes go at once. */
static void at_once_for_who_waits(void **state) {
    (void)state;
    struct world *world = begin();
    assert_true(write_one(world));
    assert_false(write_one(world));
    assert_true(step(world, SLICE("SET k v\r\nWAIT 2 0\r\n"))); /* there is only one peer */
    struct client_opts opts = {.connection = world,
                               .address = "127.0.0.1:1001",
                               .local_address = "127.0.0.1:6379",
                               .is_local = true};
    const char *refusal = NULL;
    struct client *waiting = world->client;
    world->client = node_client_open(world->sides[0].node, &opts, &refusal);
    for (unsigned i = 0; i < 20; i++) {
        assert_true(write_one(world));
    }
    node_client_free(waiting);
    assert_true(!write_one(world) || !write_one(world));
    rest(world);
    end(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_once_after_a_pause),     cmocka_unit_test(apart_under_load),
        cmocka_unit_test(what_waits_goes_by_itself), cmocka_unit_test(at_once_when_it_is_much),
        cmocka_unit_test(at_once_for_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
