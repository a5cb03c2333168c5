/* SPDX-License-Identifier: BSD-3-Clause */
/* A node as a machine: bytes in, bytes out, on a host of nothing and a disk in memory. The replies
 * are the same however the bytes are cut; transactions are whole; replies to writes wait for the
 * disk, those to blocked clients, too; and what was acknowledged is there after a restart. */
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
#include "unit/seed.h"

/* ---- a host of nothing ---- */

static uint64_t host_monotonic_us(void *udata) {
    (void)udata;
    return 1000000;
}

/* ---- a node with clients ---- */

enum { CLIENTS = 3 };

struct end {
    struct client *client; /* NULL once closed */
    struct buffer received;
};

struct world {
    struct memory_disk disk;
    struct options options;
    struct node *node;
    struct end ends[CLIENTS];
};

static void world_boot(struct world *world) {
    struct node_opts opts = {
        .host = host_of_nothing(NULL, host_monotonic_us),
        .options = &world->options,
        .disk = &world->disk.disk,
        .entropy = {1, 2, 3, 4},
        .now_ms = INT64_C(1800000000000),
    };
    world->node = node_new(&opts);
    require(node_start(world->node));
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client_opts client = {.connection = &world->ends[i],
                                     .address = "127.0.0.1:1000",
                                     .local_address = "127.0.0.1:6379",
                                     .is_local = true};
        const char *refusal = NULL;
        world->ends[i] = (struct end){0};
        world->ends[i].client = node_client_open(world->node, &client, &refusal);
        require(world->ends[i].client != NULL);
    }
}

static void world_init(struct world *world, bool logs) {
    *world = (struct world){0};
    memory_disk_init(&world->disk, 1);
    options_init(&world->options);
    world->options.appendonly = logs;
    world->options.appendfsync = OPTION_APPENDFSYNC_ALWAYS;
    world_boot(world);
}

/* As when the process is killed. */
static void world_halt(struct world *world) {
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (world->ends[i].client != NULL) {
            node_client_free(world->ends[i].client);
        }
        buffer_deinit(&world->ends[i].received);
    }
    node_free(world->node);
}

static void world_deinit(struct world *world) {
    world_halt(world);
    options_deinit(&world->options);
    memory_disk_deinit(&world->disk);
}

/* Sends what may be sent. */
static void world_deliver(struct world *world) {
    struct client *client;
    while ((client = node_take_output(world->node)) != NULL) {
        struct end *end = (struct end *)client->connection;
        size_t size = 0;
        if ((client->flags & CLIENT_CLOSE_NOW) == 0) {
            size = client_sendable_bytes(client, log_acknowledged_position(world->node->log));
        }
        if (size > 0) {
            buffer_append(&end->received, client->out.data + client->out_start, size);
            node_client_sent(client, size);
        }
        if ((client->flags & CLIENT_CLOSE_NOW) != 0 ||
            ((client->flags & CLIENT_CLOSE_AFTER_REPLY) != 0 && client->out.size == 0)) {
            node_client_free(client);
            end->client = NULL;
        }
    }
}

/* Puts bytes into a client's input, as often as it takes. */
static void world_input(struct world *world, unsigned i, struct slice bytes) {
    while (bytes.size > 0 && world->ends[i].client != NULL) {
        size_t room;
        char *at = node_client_input_space(world->ends[i].client, &room);
        size_t size = bytes.size < room ? bytes.size : room;
        require(room > 0);
        memcpy(at, bytes.data, size);
        node_client_input(world->ends[i].client, size);
        bytes = slice_skip(bytes, size);
    }
}

/* A turn; the disk does its jobs afterwards if `syncs`. */
static void world_turn(struct world *world, bool syncs) {
    node_set_time(world->node, INT64_C(1800000000000), 1000000);
    node_run(world->node);
    world_deliver(world);
    struct disk_job *job;
    while (syncs && (job = world->disk.disk.methods->wait(&world->disk.disk)) != NULL) {
        node_disk_done(world->node, job);
        world_deliver(world);
    }
}

/* As many turns as it takes. */
static void world_run(struct world *world, bool syncs) {
    do {
        world_turn(world, syncs);
    } while (world->node->ready != NULL);
}

static void say(struct world *world, unsigned i, const char *text) {
    world_input(world, i, slice_of(text));
}

static void assert_received(struct world *world, unsigned i, const char *expected) {
    assert_string_equal(buffer_text(&world->ends[i].received), expected);
    buffer_clear(&world->ends[i].received);
}

/* ---- random ---- */

/* A random command; its keys are this client's own, so that the others' timing does not matter. */
static void random_command(struct prng *prng, unsigned i, struct buffer *stream) {
    static const char *const formats[] = {
        "SET %u:%u v%u",
        "GET %u:%u",
        "INCR %u:%u",
        "APPEND %u:%u x%u",
        "DEL %u:%u",
        "STRLEN %u:%u",
        "SETRANGE %u:%u %u yy",
        "GETRANGE %u:%u 0 %u",
        "EXPIRE %u:%u 100",
        "TTL %u:%u",
        "INCRBYFLOAT %u:%u 0.5",
        "NOSUCH %u:%u",
        "MULTI",
        "EXEC",
        "DISCARD",
        "WATCH %u:%u",
        "PING",
        "MGET %u:%u a",
        "SETBIT %u:%u %u 1",
        "GET %u:%u b",
        "ECHO \"a \\x00 %u\"",
        "PERSIST %u:%u",
        "GETDEL %u:%u",
        "SET %u:%u v NX",
    };
    char line[100], *words[8];
    unsigned form = (unsigned)prng_below(prng, sizeof(formats) / sizeof(formats[0]));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(line, sizeof(line), formats[form], i, (unsigned)prng_below(prng, 8),
                   (unsigned)prng_below(prng, 5000));
#pragma GCC diagnostic pop
    if (prng_below(prng, 4) == 0 || strchr(line, '"') != NULL) {
        buffer_printf(stream, "%s\r\n", line);
        return;
    }
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        words[count++] = word;
    }
    buffer_printf(stream, "*%zu\r\n", count);
    for (size_t w = 0; w < count; w++) {
        buffer_printf(stream, "$%zu\r\n%s\r\n", strlen(words[w]), words[w]);
    }
}

static void any_cut_gives_the_same_replies(void **state) {
    (void)state;
    for (unsigned part = 0; part < 12; part++) {
        struct prng prng;
        seed_prng(&prng, "any_cut_gives_the_same_replies", part);
        struct buffer streams[CLIENTS] = {{0}};
        static struct world whole, cut;
        world_init(&whole, part % 2 == 1);
        world_init(&cut, part % 2 == 1);
        for (unsigned i = 0; i < CLIENTS; i++) {
            for (unsigned j = 0; j < 400; j++) {
                random_command(&prng, i, &streams[i]);
            }
            world_input(&whole, i, buffer_slice(&streams[i]));
        }
        world_run(&whole, true);
        size_t at[CLIENTS] = {0}, piece_max = part < 6 ? 20 : 2000;
        for (bool is_over = false; !is_over;) {
            is_over = true;
            for (unsigned i = 0; i < CLIENTS; i++) {
                size_t size = prng_below(&prng, piece_max + 1), left = streams[i].size - at[i];
                size = size < left ? size : left;
                world_input(&cut, i, slice_make(streams[i].data + at[i], size));
                at[i] += size;
                is_over = is_over && at[i] == streams[i].size;
            }
            world_run(&cut, prng_below(&prng, 3) == 0);
        }
        world_run(&cut, true);
        for (unsigned i = 0; i < CLIENTS; i++) {
            assert_true(whole.ends[i].received.size > 1000);
            assert_true(slice_equal(buffer_slice(&whole.ends[i].received),
                                    buffer_slice(&cut.ends[i].received)));
            buffer_deinit(&streams[i]);
        }
        uint8_t digest[20], digest_cut[20];
        store_digest(&whole.node->store, digest);
        store_digest(&cut.node->store, digest_cut);
        assert_memory_equal(digest, digest_cut, sizeof(digest));
        store_check(&cut.node->store);
        world_deinit(&whole);
        /* The log holds the same. */
        if (part % 2 == 1) {
            world_halt(&cut);
            world_boot(&cut);
            store_digest(&cut.node->store, digest_cut);
            assert_memory_equal(digest, digest_cut, sizeof(digest));
        }
        world_deinit(&cut);
    }
}

/* ---- single cases ---- */

static void transactions_are_whole(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, false);
    say(&world, 0, "MULTI\r\nSET a 1\r\nINCR a\r\n");
    say(&world, 1, "GET a\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    assert_received(&world, 1, "$-1\r\n");
    say(&world, 0, "EXEC\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "*2\r\n+OK\r\n:2\r\n");
    /* A change by somebody else breaks WATCH. */
    say(&world, 0, "WATCH a\r\nMULTI\r\nSET a 5\r\n");
    world_run(&world, true);
    say(&world, 1, "SET a 3\r\n");
    world_run(&world, true);
    say(&world, 0, "EXEC\r\nGET a\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n$1\r\n3\r\n");
    /* A command that cannot be queued spoils it. */
    say(&world, 0, "MULTI\r\nSET a\r\nSET a 9\r\nEXEC\r\nGET a\r\nEXEC\r\n");
    world_run(&world, true);
    assert_received(&world, 0,
                    "+OK\r\n-ERR wrong number of arguments for 'set' command\r\n+QUEUED\r\n"
                    "-EXECABORT Transaction discarded because of previous errors.\r\n"
                    "$1\r\n3\r\n-ERR EXEC without MULTI\r\n");
    world_deinit(&world);
}

/* Under appendfsync always a write's reply waits for the disk. So does all that anybody is told
 * until then, since it may show what is not on disk yet. */
static void replies_wait_for_the_disk(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, true);
    world_run(&world, true);
    say(&world, 0, "PING\r\n");
    world_run(&world, false);
    assert_received(&world, 0, "+PONG\r\n");
    say(&world, 0, "SET a 1\r\n");
    world_run(&world, false);
    say(&world, 0, "PING\r\n");
    say(&world, 2, "GET a\r\n");
    world_run(&world, false);
    assert_received(&world, 0, "");
    assert_received(&world, 2, "");
    world_run(&world, true);
    assert_received(&world, 0, "+OK\r\n+PONG\r\n");
    assert_received(&world, 2, "$1\r\n1\r\n");
    /* A client that goes away while its reply is held does no harm. */
    say(&world, 1, "SET b 1\r\n");
    world_run(&world, false);
    assert_received(&world, 1, "");
    node_client_free(world.ends[1].client);
    world.ends[1].client = NULL;
    world_run(&world, true);
    say(&world, 0, "GET b\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "$1\r\n1\r\n");
    world_deinit(&world);
}

/* The power goes at any moment: what was acknowledged is there, and transactions are whole. */
static void acknowledged_writes_survive(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "acknowledged_writes_survive", 0);
    static struct world world;
    world_init(&world, true);
    unsigned acknowledged = 0;
    for (unsigned round = 0; round < 60; round++) {
        unsigned sent = acknowledged, turns = 1 + (unsigned)prng_below(&prng, 8);
        for (unsigned turn = 0; turn < turns; turn++) {
            say(&world, 0, "MULTI\r\nINCR a\r\nINCR b\r\nEXEC\r\n");
            sent++;
            world_run(&world, prng_below(&prng, 2) == 0);
        }
        /* Each EXEC's reply has two integers in two lines. */
        size_t size = world.ends[0].received.size;
        const char *text = buffer_text(&world.ends[0].received);
        for (const char *at = text; (at = memchr(at, '*', size - (size_t)(at - text))) != NULL;
             at++) {
            acknowledged++;
        }
        world_halt(&world);
        memory_disk_power_loss(&world.disk, true);
        world_boot(&world);
        say(&world, 0, "INCRBY a 0\r\nINCRBY b 0\r\n");
        world_run(&world, true);
        int a = 0, b = -1;
        assert_int_equal(sscanf(buffer_text(&world.ends[0].received), ":%d\r\n:%d\r\n", &a, &b), 2);
        assert_int_equal(a, b);
        assert_in_range(a, acknowledged, sent);
        acknowledged = (unsigned)a;
        buffer_clear(&world.ends[0].received);
    }
    assert_true(acknowledged > 60);
    world_deinit(&world);
}

static void quitting_closes_after_the_reply(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, false);
    say(&world, 0, "SET a 1\r\nQUIT\r\nSET a 2\r\n");
    say(&world, 1, "*1\r\n$x\r\nPING\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "+OK\r\n+OK\r\n");
    assert_received(&world, 1, "-ERR Protocol error: invalid bulk length\r\n");
    assert_null(world.ends[0].client);
    assert_null(world.ends[1].client);
    say(&world, 2, "GET a\r\n");
    world_run(&world, true);
    assert_received(&world, 2, "$1\r\n1\r\n");
    world_deinit(&world);
}

/* With the time of a pause ends all of it: a write finds no key that has expired meanwhile. */
static void a_pause_ends_before_requests(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, false);
    say(&world, 0, "RPUSH k a\r\nPEXPIRE k 500\r\nCLIENT PAUSE 1000 WRITE\r\n");
    world_run(&world, true);
    assert_received(&world, 0, ":1\r\n:1\r\n+OK\r\n");
    say(&world, 0, "RPUSH k b\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "");
    say(&world, 1, "RPUSH k c\r\n");
    node_set_time(world.node, INT64_C(1800000002000), 3000000);
    node_run(world.node);
    world_deliver(&world);
    node_set_time(world.node, INT64_C(1800000002000), 3000000);
    (void)node_tick(world.node);
    world_run(&world, true);
    say(&world, 2, "LLEN k\r\nPTTL k\r\n");
    world_run(&world, true);
    assert_received(&world, 2, ":2\r\n:-1\r\n");
    world_deinit(&world);
}

/* What many requests change goes into the log, and to peers, while it is still in the cache, and
 * while a small backlog still has it. */
static void enough_changes_end_a_turn(void **state) {
    (void)state;
    enum { REQUESTS = 8000, VALUE_BYTES = 100, TURN_BYTES_MAX = 220 << 10 };
    for (unsigned logs = 0; logs < 3; logs++) {
        static struct world world;
        world_init(&world, logs > 0);
        world.options.mesh_backlog_size = logs == 2 ? 64 << 10 : 64 << 20;
        uint64_t bytes_max = logs == 2 ? 50 << 10 : TURN_BYTES_MAX;
        struct buffer input = {0}, value = {0};
        for (unsigned i = 0; i < VALUE_BYTES; i++) {
            buffer_append_byte(&value, 'v');
        }
        for (unsigned i = 0; i < REQUESTS; i++) {
            buffer_printf(&input, "SET k%u %s\r\n", i, buffer_text(&value));
        }
        world_input(&world, 0, buffer_slice(&input));
        unsigned turns = 0;
        do {
            uint64_t before = log_position(world.node->log);
            world_turn(&world, true);
            assert_true(log_position(world.node->log) - before < bytes_max);
            turns++;
        } while (world.node->ready != NULL);
        assert_int_equal(world.ends[0].received.size, REQUESTS * (sizeof("+OK\r\n") - 1));
        assert_true(logs > 0 ? turns > 2 : turns == 1);
        buffer_deinit(&input);
        buffer_deinit(&value);
        world_deinit(&world);
    }
}

/* ---- clients that wait ---- */

static void blocked_clients_are_served_in_their_order(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, false);
    /* What comes behind a blocking command is put back, and executed once that is through; all of
     * this is one turn. */
    say(&world, 0, "BLPOP k 0\r\nLLEN k\r\n");
    say(&world, 1, "BRPOP j k 0\r\nPING\r\n");
    say(&world, 2, "RPUSH k a b c\r\nLLEN k\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "*2\r\n$1\r\nk\r\n$1\r\na\r\n:1\r\n");
    assert_received(&world, 1, "*2\r\n$1\r\nk\r\n$1\r\nc\r\n+PONG\r\n");
    assert_received(&world, 2, ":3\r\n:1\r\n");
    /* A chain: whoever pushes serves the next one. */
    say(&world, 0, "BLMOVE m n LEFT RIGHT 0\r\n");
    say(&world, 1, "BLMPOP 0 2 o n RIGHT\r\n");
    say(&world, 2, "MULTI\r\nRPUSH m x\r\nRPUSH m y\r\nLPOP m\r\nEXEC\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "$1\r\ny\r\n");
    assert_received(&world, 1, "*2\r\n$1\r\nn\r\n*1\r\n$1\r\ny\r\n");
    key_queues_check(&world.node->blocking.queues);
    assert_int_equal(world.node->blocked_count, 0);
    assert_int_equal(world.node->store.watchers_count, 0);
    world_deinit(&world);
}

/* As of any other write, nobody hears of a pop that may still be lost. */
static void pops_of_blocked_clients_wait_for_the_disk(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, true);
    world_run(&world, true);
    say(&world, 0, "BLPOP k 0\r\n");
    world_run(&world, true);
    say(&world, 1, "RPUSH k a b\r\n");
    world_run(&world, false);
    assert_received(&world, 0, "");
    assert_received(&world, 1, "");
    world_run(&world, true);
    assert_received(&world, 0, "*2\r\n$1\r\nk\r\n$1\r\na\r\n");
    assert_received(&world, 1, ":2\r\n");
    /* The same for one that is served by a tick, after a pause. */
    say(&world, 0, "BLPOP q 0\r\n");
    world_run(&world, true);
    say(&world, 1, "MULTI\r\nRPUSH q a\r\nCLIENT PAUSE 1000 WRITE\r\nEXEC\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "");
    assert_received(&world, 1, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n+OK\r\n");
    node_set_time(world.node, INT64_C(1800000002000), 3000000);
    (void)node_tick(world.node);
    world_deliver(&world);
    assert_received(&world, 0, "");
    world_run(&world, true);
    assert_received(&world, 0, "*2\r\n$1\r\nq\r\n$1\r\na\r\n");
    world_halt(&world);
    world_boot(&world);
    say(&world, 0, "LRANGE k 0 -1\r\nEXISTS q\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "*1\r\n$1\r\nb\r\n:0\r\n");
    world_deinit(&world);
}

static void waiting_ends_with_its_time(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, false);
    say(&world, 0, "BLPOP k 0.5\r\nPING\r\n");
    say(&world, 1, "BZPOPMIN k 0.25\r\n");
    say(&world, 2, "BLPOP k 0\r\n");
    world_run(&world, true);
    /* Times are those of the clock that nobody sets. */
    node_set_time(world.node, INT64_C(1900000000000), 1249999);
    assert_true(node_tick(world.node) <= 100000);
    world_deliver(&world);
    assert_received(&world, 1, "");
    node_set_time(world.node, INT64_C(1800000000000), 1250000);
    (void)node_tick(world.node);
    world_deliver(&world);
    assert_received(&world, 0, "");
    assert_received(&world, 1, "*-1\r\n");
    node_set_time(world.node, INT64_C(1800000000000), 2000000);
    (void)node_tick(world.node);
    world_run(&world, true);
    assert_received(&world, 0, "*-1\r\n+PONG\r\n");
    assert_int_equal(world.node->blocked_count, 1);
    say(&world, 1, "RPUSH k a\r\n");
    world_run(&world, true);
    assert_received(&world, 2, "*2\r\n$1\r\nk\r\n$1\r\na\r\n");
    world_deinit(&world);
}

/* Connections end at any moment; whoever is next gets the element. */
static void blocked_clients_may_go(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, false);
    say(&world, 0, "BLPOP a b c 5\r\n");
    say(&world, 1, "BLPOP c b 0\r\n");
    world_run(&world, true);
    assert_int_equal(key_queues_count(&world.node->blocking.queues), 3);
    node_client_free(world.ends[0].client);
    world.ends[0].client = NULL;
    key_queues_check(&world.node->blocking.queues);
    assert_int_equal(key_queues_count(&world.node->blocking.queues), 2);
    say(&world, 2, "RPUSH b x\r\nRPUSH a y\r\nLLEN a\r\n");
    world_run(&world, true);
    assert_received(&world, 1, "*2\r\n$1\r\nb\r\n$1\r\nx\r\n");
    assert_received(&world, 2, ":1\r\n:1\r\n:1\r\n");
    /* Cut by its own reply's size while it is served. */
    world.options.client_output_buffer_limit.classes[OPTION_CLIENT_NORMAL].hard_bytes = 100;
    say(&world, 1, "BLPOP d 0\r\n");
    world_run(&world, true);
    struct buffer text = {0};
    buffer_printf(&text, "RPUSH d %0200d\r\nLLEN d\r\n", 0);
    say(&world, 2, buffer_text(&text));
    world_run(&world, true);
    assert_null(world.ends[1].client);
    assert_received(&world, 2, ":1\r\n:0\r\n");
    assert_int_equal(world.node->blocked_count, 0);
    buffer_deinit(&text);
    /* The rest goes with the node. */
    say(&world, 2, "BLPOP d 7\r\n");
    world_run(&world, true);
    world_deinit(&world);
}

/* A command as those of groups of consumers will be: it wants to be told of everything, changes its
 * key each time, and has its argument replaced: WAITGONE key, then "WAITGONE key again". */
static void handle_waitgone(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    int64_t count;
    bool is_again = ctx->ready_key != NULL;
    assert_int_equal(slice_equal(ctx->args[2], SLICE("again")), is_again);
    enum store_status status = STORE_ABSENT;
    if (!is_again || store_peek(ctx->store, &key) != NULL) {
        status = strings_add_integer(ctx->store, &key, 1, &count);
    }
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    struct slice args[3] = {ctx->args[0], ctx->args[1], SLICE("again")};
    struct command_wait wait = {
        .wants_any = true, .keys_first = 1, .keys_count = 1, .timeout_ms = 1000, .args = args};
    if (!command_block(ctx, &wait)) {
        reply_null_array(ctx->reply);
    }
}

static const struct command waiting_rows[] = {
    {.name = "waitgone",
     .handler = handle_waitgone,
     .arity = 3,
     .flags = CMD_WRITE | CMD_BLOCKING,
     .keys = {1, 1, 1}},
};

COMMAND_FAMILY(waiting_family, waiting_rows);

static void waiting_for_anything(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, false);
    struct node *node = world.node;
    size_t count_before = node->commands.count;
    command_table_add(&node->commands, &waiting_family);
    node->command_stats =
        memory_resize(node->command_stats, node->commands.count * sizeof(node->command_stats[0]));
    memset(node->command_stats + count_before, 0, sizeof(node->command_stats[0]));
    const struct command_stats *stats = &node->command_stats[count_before];
    say(&world, 0, "MULTI\r\nWAITGONE a x\r\nEXEC\r\n");
    say(&world, 1, "WAITGONE k x\r\n");
    say(&world, 2, "WAITGONE k x\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "+OK\r\n+QUEUED\r\n*1\r\n*-1\r\n");
    assert_int_equal(node->blocking.queues.wants_any_count, 1);
    /* Executed once more each, as the second one changed the key while the first one waited; and
     * what they change when they find nothing wakes nobody. */
    say(&world, 0, "GET k\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "$1\r\n4\r\n");
    say(&world, 0, "SET k 10\r\nGET k\r\n");
    world_run(&world, true);
    assert_received(&world, 0, "+OK\r\n$2\r\n12\r\n");
    /* They are told of another type, here by an error, and the first one's going is no matter. */
    node_client_free(world.ends[2].client);
    world.ends[2].client = NULL;
    say(&world, 0, "MULTI\r\nDEL k\r\nRPUSH k a\r\nEXEC\r\n");
    world_run(&world, true);
    assert_received(&world, 1,
                    "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    assert_int_equal(stats->calls, 2);
    assert_int_equal(stats->failed, 1);
    /* Of a removal, and of a flush. */
    buffer_clear(&world.ends[0].received);
    say(&world, 1, "WAITGONE a x\r\n");
    say(&world, 0, "DEL a\r\n");
    world_run(&world, true);
    assert_received(&world, 0, ":1\r\n");
    assert_received(&world, 1, "-ERR no such key\r\n");
    say(&world, 1, "WAITGONE b x\r\n");
    world_run(&world, true);
    say(&world, 0, "FLUSHALL\r\n");
    world_run(&world, true);
    assert_received(&world, 1, "-ERR no such key\r\n");
    key_queues_check(&node->blocking.queues);
    assert_int_equal(node->blocking.queues.wants_any_count, 0);
    world_deinit(&world);
}

/* However a large argument arrives, its buffer is hardly larger than what came; it goes with the
 * request. */
static void a_large_argument_takes_its_size(void **state) {
    (void)state;
    struct prng prng;
    static struct world world;
    struct buffer request = {0};
    world_init(&world, false);
    for (unsigned part = 0; part < 40; part++) {
        seed_prng(&prng, "a_large_argument_takes_its_size", part);
        size_t size = part < 20 ? 100000 : 400000;
        size += prng_below(&prng, 700000);
        buffer_clear(&request);
        buffer_printf(&request, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", size);
        memset(buffer_reserve(&request, size + 2), 'x', size);
        memcpy(request.data + request.size + size, "\r\n", 2);
        request.size += size + 2;
        struct client *client = world.ends[0].client;
        for (size_t at = 0; at < request.size;) {
            size_t piece = 1 + prng_below(&prng, part % 2 == 0 ? 65536 : 9000);
            piece = piece < request.size - at ? piece : request.size - at;
            world_input(&world, 0, slice_make(request.data + at, piece));
            assert_true(client->in.capacity <= request.size + 20000);
            world_run(&world, false);
            at += piece;
        }
        assert_received(&world, 0, "+OK\r\n");
        assert_true(client->in.capacity <= 20000);
        buffer_clear(&world.ends[0].received);
    }
    buffer_deinit(&request);
    world_deinit(&world);
}

static const struct entry *entry_of(struct world *world, const char *name) {
    struct store *store = &world->node->store;
    struct key key = {.name = slice_of(name), .hash = store_hash(store, slice_of(name))};
    return store_peek(store, &key);
}

/* Puts a request in as a connection does, which reads until there is no more or a large one is
 * whole; returns the block that it came in. */
static const char *input_as_read(struct world *world, struct slice bytes, size_t *block_bytes) {
    struct client *client = world->ends[0].client;
    while (bytes.size > 0) {
        size_t room;
        char *at = node_client_input_space(client, &room);
        size_t size = bytes.size < room ? bytes.size : room;
        memcpy(at, bytes.data, size);
        node_client_input(client, size);
        bytes = slice_skip(bytes, size);
        if (node_client_has_large_request(client)) {
            break;
        }
    }
    assert_int_equal(bytes.size, 0);
    *block_bytes = client->in.capacity;
    return client->in.data;
}

static void put_argument(struct buffer *request, size_t size, char byte) {
    buffer_printf(request, "$%zu\r\n", size);
    memset(buffer_reserve(request, size), byte, size);
    request->size += size;
    buffer_append(request, "\r\n", 2);
}

/* The block that a large value came in becomes the value's, with options behind it as well; not
 * where another request lies in there, nor where it would be much larger than the value. */
static void a_large_value_keeps_its_block(void **state) {
    (void)state;
    static const struct {
        const char *before, *after, *reply;
        size_t size;
        bool keeps;
    } cases[] = {
        {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", "", "+OK\r\n", 40000, true},
        {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", "", "+OK\r\n", 1000000, true},
        {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", "", "+OK\r\n", 30000, false},
        {"*5\r\n$3\r\nSET\r\n$1\r\nk\r\n", "$2\r\nEX\r\n$2\r\n10\r\n", "+OK\r\n", 90000, true},
        {"*4\r\n$5\r\nSETEX\r\n$1\r\nk\r\n$2\r\n10\r\n", "", "+OK\r\n", 90000, true},
        {"*3\r\n$5\r\nSETNX\r\n$1\r\nk\r\n", "", ":1\r\n", 90000, true},
        {"*3\r\n$6\r\nGETSET\r\n$1\r\nk\r\n", "", "$-1\r\n", 90000, true},
        {"*3\r\n$6\r\nAPPEND\r\n$1\r\nk\r\n", "", ":90000\r\n", 90000, true},
        {"*5\r\n$4\r\nMSET\r\n$1\r\nk\r\n", "$1\r\nj\r\n$1\r\nv\r\n", "+OK\r\n", 90000, false},
        {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", "*1\r\n$4\r\nPING\r\n", "+OK\r\n+PONG\r\n", 90000,
         false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static struct world world;
        world_init(&world, false);
        struct buffer request = {0};
        buffer_append_slice(&request, slice_of(cases[i].before));
        put_argument(&request, cases[i].size, 'v');
        buffer_append_slice(&request, slice_of(cases[i].after));
        struct client *client = world.ends[0].client;
        const char *block;
        size_t block_bytes = 0, head = request.size - strlen(cases[i].after);
        if (strcmp(cases[i].after, "") == 0 || cases[i].keeps) {
            block = input_as_read(&world, slice_make(request.data, head), &block_bytes);
            if (head < request.size) {
                block =
                    input_as_read(&world, slice_skip(buffer_slice(&request), head), &block_bytes);
            }
        } else {
            world_input(&world, 0, buffer_slice(&request));
            block = client->in.data;
            block_bytes = client->in.capacity;
        }
        world_run(&world, false);
        assert_received(&world, 0, cases[i].reply);
        struct entry_scratch scratch;
        struct slice value = entry_value(entry_of(&world, "k"), &scratch);
        assert_int_equal(value.size, cases[i].size);
        for (size_t at = 0; at < value.size; at++) {
            assert_int_equal(value.data[at], 'v');
        }
        uintptr_t begin = (uintptr_t)block, at = (uintptr_t)value.data;
        assert_int_equal(at >= begin && at < begin + block_bytes, cases[i].keeps);
        if (cases[i].keeps) {
            assert_int_equal(client->in.capacity, 0);
        }
        say(&world, 0, "DEL k\r\nPING\r\n");
        world_run(&world, false);
        assert_received(&world, 0, ":1\r\n+PONG\r\n");
        buffer_deinit(&request);
        world_deinit(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_value_keeps_its_block),
        cmocka_unit_test(a_large_argument_takes_its_size),
        cmocka_unit_test(any_cut_gives_the_same_replies),
        cmocka_unit_test(transactions_are_whole),
        cmocka_unit_test(replies_wait_for_the_disk),
        cmocka_unit_test(acknowledged_writes_survive),
        cmocka_unit_test(quitting_closes_after_the_reply),
        cmocka_unit_test(a_pause_ends_before_requests),
        cmocka_unit_test(enough_changes_end_a_turn),
        cmocka_unit_test(blocked_clients_are_served_in_their_order),
        cmocka_unit_test(pops_of_blocked_clients_wait_for_the_disk),
        cmocka_unit_test(waiting_ends_with_its_time),
        cmocka_unit_test(blocked_clients_may_go),
        cmocka_unit_test(waiting_for_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
