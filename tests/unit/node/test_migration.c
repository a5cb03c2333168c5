/* SPDX-License-Identifier: BSD-3-Clause */
/* MIGRATE with a node as a machine: the test is the network, the target and the clock. What is
 * sent, and when; what happens to a key that changes while it is under way; each way in which a
 * transfer can end; and, over random histories, that no write that was answered is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/memory.h"
#include "config/options.h"
#include "node/node.h"
#include "unit/log/memory_disk.h"
#include "unit/node/node_host.h"
#include "unit/seed.h"

enum { CLIENTS = 3, TARGETS_MAX = 64 };

struct end {
    struct client *client;
    struct buffer received;
};

/* A connection that the node asked for. */
struct target {
    struct migration_link *link; /* NULL: there is none any more */
    bool is_open, is_closed_by_node;
    char name[64];
    unsigned port;
    struct buffer received;
};

struct world {
    struct memory_disk disk;
    struct options options;
    struct node *node;
    struct end ends[CLIENTS];
    struct target targets[TARGETS_MAX];
    unsigned targets_count;
    int64_t now_ms;
    bool disk_rests;  /* nothing gets onto it */
    uint64_t tick_us; /* when the node wants to be called again, at most */
};

/* ---- hosts ---- */

static uint64_t host_monotonic_us(void *udata) {
    return (uint64_t)((struct world *)udata)->now_ms * 1000;
}

static void *migration_dial(void *udata, struct migration_link *link, const char *name,
                            unsigned port) {
    struct world *world = (struct world *)udata;
    require(world->targets_count < TARGETS_MAX);
    struct target *target = &world->targets[world->targets_count++];
    *target = (struct target){.link = link, .port = port};
    (void)snprintf(target->name, sizeof(target->name), "%s", name);
    return target;
}

static void migration_send(void *udata, void *connection) {
    (void)udata;
    require(((struct target *)connection)->link != NULL);
}

static void migration_close(void *udata, void *connection) {
    struct target *target = (struct target *)connection;
    (void)udata;
    require(target->link != NULL);
    target->link = NULL;
    target->is_closed_by_node = true;
}

/* ---- the world ---- */

static void world_begin(struct world *world, bool logs) {
    *world = (struct world){.now_ms = INT64_C(1800000000000)};
    memory_disk_init(&world->disk, 1);
    options_init(&world->options);
    world->options.appendonly = logs;
    world->options.appendfsync = OPTION_APPENDFSYNC_ALWAYS;
    struct node_opts opts = {
        .host = host_of_nothing(world, host_monotonic_us),
        .migration_host = {.udata = world,
                           .dial = migration_dial,
                           .send = migration_send,
                           .close = migration_close},
        .options = &world->options,
        .disk = &world->disk.disk,
        .entropy = {1, 2, 3, 4},
        .now_ms = world->now_ms,
    };
    world->node = node_new(&opts);
    require(node_start(world->node));
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client_opts client = {.connection = &world->ends[i],
                                     .address = "127.0.0.1:1000",
                                     .local_address = "127.0.0.1:6379",
                                     .is_local = true};
        const char *refusal = NULL;
        world->ends[i].client = node_client_open(world->node, &client, &refusal);
        require(world->ends[i].client != NULL);
    }
}

static void world_init(struct world *world) {
    world_begin(world, false);
}

static void world_deinit(struct world *world) {
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (world->ends[i].client != NULL) {
            node_client_free(world->ends[i].client);
        }
        buffer_deinit(&world->ends[i].received);
    }
    store_check(&world->node->store);
    node_free(world->node);
    for (unsigned i = 0; i < world->targets_count; i++) {
        /* None is left open. */
        assert_null(world->targets[i].link);
        buffer_deinit(&world->targets[i].received);
    }
    options_deinit(&world->options);
    memory_disk_deinit(&world->disk);
}

/* Takes what the node has for its targets. */
static void world_carry(struct world *world) {
    for (unsigned i = 0; i < world->targets_count; i++) {
        struct target *target = &world->targets[i];
        struct slice output =
            target->link != NULL ? migration_link_output(target->link) : (struct slice){0};
        if (output.size > 0) {
            buffer_append_slice(&target->received, output);
            migration_link_sent(target->link, output.size);
        }
    }
}

static void world_deliver(struct world *world) {
    struct client *client;
    while ((client = node_take_output(world->node)) != NULL) {
        struct end *end = (struct end *)client->connection;
        if ((client->flags & CLIENT_CLOSE_NOW) != 0) {
            node_client_free(client);
            end->client = NULL;
            continue;
        }
        size_t size = client_sendable_bytes(client, log_acknowledged_position(world->node->log));
        if (size > 0) {
            buffer_append(&end->received, client->out.data + client->out_start, size);
            node_client_sent(client, size);
        }
    }
}

/* As many turns as there is something to do without an event. */
static void world_run(struct world *world) {
    struct node *node = world->node;
    do {
        node_set_time(node, world->now_ms, host_monotonic_us(world));
        node_run(node);
        world->tick_us = node_tick(node);
        world_deliver(world);
        struct disk_job *job;
        while (!world->disk_rests &&
               (job = world->disk.disk.methods->wait(&world->disk.disk)) != NULL) {
            node_disk_done(node, job);
            world_deliver(world);
        }
        world_carry(world);
    } while (node->ready != NULL || migrations_has_work(node));
}

static void say(struct world *world, unsigned i, const char *text) {
    struct slice bytes = slice_of(text);
    while (bytes.size > 0) {
        size_t room;
        char *at = node_client_input_space(world->ends[i].client, &room);
        size_t size = bytes.size < room ? bytes.size : room;
        memcpy(at, bytes.data, size);
        node_client_input(world->ends[i].client, size);
        bytes = slice_skip(bytes, size);
    }
    world_run(world);
}

static void heard(struct world *world, unsigned i, const char *expected) {
    assert_string_equal(buffer_text(&world->ends[i].received), expected);
    buffer_clear(&world->ends[i].received);
}

/* A client's request and its reply. */
static void ask(struct world *world, unsigned i, const char *text, const char *expected) {
    say(world, i, text);
    heard(world, i, expected);
}

/* ---- a target ---- */

static struct target *target_last(struct world *world) {
    return &world->targets[world->targets_count - 1];
}

static void target_open(struct world *world) {
    target_last(world)->is_open = true;
    migration_link_opened(target_last(world)->link);
    world_run(world);
}

static void target_says(struct world *world, const char *text) {
    struct target *target = target_last(world);
    size_t room, size = strlen(text);
    char *at = migration_link_input_space(target->link, &room);
    require(size <= room);
    memcpy(at, text, size);
    if (!migration_link_input(target->link, size)) {
        struct migration_link *link = target->link;
        target->link = NULL;
        migration_link_closed(link);
    }
    world_run(world);
}

static void target_closes(struct world *world) {
    struct migration_link *link = target_last(world)->link;
    target_last(world)->link = NULL;
    migration_link_closed(link);
    world_run(world);
}

/* Takes a request out of what the target got, as its words with blanks between them; bytes that do
 * not show are left out of it, which makes a payload of a short text that text. Empty: there is no
 * request. */
static const char *target_takes(struct world *world) {
    static char words[512];
    struct target *target = target_last(world);
    const char *at = buffer_text(&target->received);
    size_t used = 0;
    words[0] = '\0';
    if (target->received.size == 0) {
        return words;
    }
    require(*at == '*');
    unsigned long count = strtoul(at + 1, NULL, 10);
    used = (size_t)(strchr(at, '\n') + 1 - at);
    for (unsigned long i = 0; i < count; i++) {
        require(at[used] == '$');
        size_t size = strtoul(at + used + 1, NULL, 10), end = strlen(words);
        const char *bytes = strchr(at + used, '\n') + 1;
        /* Of a payload neither the type and length before nor the footer behind the text. */
        bool is_payload = i == 3;
        if (i > 0) {
            words[end++] = ' ';
        }
        for (size_t j = is_payload ? 2 : 0; j + (is_payload ? 10 : 0) < size; j++) {
            words[end++] = bytes[j];
        }
        words[end] = '\0';
        used = (size_t)(bytes - at) + size + 2;
    }
    buffer_consume(&target->received, used);
    return words;
}

/* The target gets exactly this. */
static void target_gets(struct world *world, const char *expected) {
    assert_string_equal(target_takes(world), expected);
}

/* From MIGRATE of one key up to where its answer is due. */
static void begin(struct world *world, const char *request, const char *restore) {
    say(world, 0, request);
    heard(world, 0, "");
    target_open(world);
    target_gets(world, "SELECT 0");
    target_gets(world, "");
    target_says(world, "+OK\r\n");
    target_gets(world, restore);
    target_gets(world, "");
}

/* ---- cases ---- */

static void a_key_moves(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    ask(&world, 0, "SET a text\r\nPEXPIRE a 5000\r\n", "+OK\r\n:1\r\n");
    say(&world, 0, "MIGRATE there 7000 a 3 1000\r\nPING\r\n");
    assert_string_equal(world.targets[0].name, "there");
    assert_int_equal(world.targets[0].port, 7000);
    target_open(&world);
    target_gets(&world, "SELECT 3");
    target_gets(&world, "");
    world.now_ms += 100;
    target_says(&world, "+OK\r\n");
    target_gets(&world, "RESTORE a 4900 text");
    ask(&world, 1, "GET a\r\n", "$4\r\ntext\r\n");
    /* However the answer is cut. */
    for (const char *c = "+OK\r"; *c != '\0'; c++) {
        target_says(&world, (char[]){*c, '\0'});
        heard(&world, 0, "");
    }
    ask(&world, 1, "GET a\r\n", "$4\r\ntext\r\n");
    target_says(&world, "\n");
    heard(&world, 0, "+OK\r\n+PONG\r\n");
    ask(&world, 1, "GET a\r\n", "$-1\r\n");
    target_gets(&world, "");
    world_deinit(&world);
}

static void links_are_used_again(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    ask(&world, 0, "MSET a 1.5 b 2.5 c 3.5 d 4.5 e 5.5\r\n", "+OK\r\n");
    begin(&world, "MIGRATE h 1 a 0 1000\r\n", "RESTORE a 0 1.5");
    target_says(&world, "+OK\r\n");
    heard(&world, 0, "+OK\r\n");
    /* Same target and database: nothing comes before the key. */
    say(&world, 0, "MIGRATE h 1 b 0 1000 COPY REPLACE\r\n");
    target_gets(&world, "RESTORE b 0 2.5 REPLACE");
    target_says(&world, "+OK\r\n");
    heard(&world, 0, "+OK\r\n");
    ask(&world, 0, "EXISTS a b\r\n", ":1\r\n");
    say(&world, 0, "MIGRATE h 1 b 1 1000\r\n");
    target_gets(&world, "SELECT 1");
    target_says(&world, "+OK\r\n");
    target_gets(&world, "RESTORE b 0 2.5");
    target_says(&world, "+OK\r\n");
    heard(&world, 0, "+OK\r\n");
    assert_int_equal(world.targets_count, 1);
    /* Who gives a password does not get the connection of who gave none, nor the other way. */
    say(&world, 0, "MIGRATE h 1 c 1 1000 AUTH secret\r\n");
    assert_int_equal(world.targets_count, 2);
    target_open(&world);
    target_gets(&world, "AUTH secret");
    target_gets(&world, "SELECT 1");
    target_gets(&world, "");
    target_says(&world, "+OK\r\n+OK\r\n");
    target_gets(&world, "RESTORE c 0 3.5");
    target_says(&world, "+OK\r\n");
    heard(&world, 0, "+OK\r\n");
    say(&world, 0, "MIGRATE h 1 d 1 1000 AUTH2 me secret\r\n");
    assert_int_equal(world.targets_count, 3);
    target_open(&world);
    target_gets(&world, "AUTH me secret");
    target_gets(&world, "SELECT 1");
    target_says(&world, "+OK\r\n+OK\r\n");
    target_gets(&world, "RESTORE d 0 4.5");
    target_says(&world, "+OK\r\n");
    heard(&world, 0, "+OK\r\n");
    say(&world, 0, "MIGRATE h 1 e 1 1000 AUTH2 me secret\r\n");
    assert_int_equal(world.targets_count, 3);
    /* It may have another one by now. */
    target_gets(&world, "AUTH me secret");
    target_gets(&world, "");
    target_says(&world, "+OK\r\n");
    target_gets(&world, "RESTORE e 0 5.5");
    target_says(&world, "+OK\r\n");
    heard(&world, 0, "+OK\r\n");
    assert_int_equal(migrations_links_count(world.node), 3);
    /* They are closed when nobody has used them for ten seconds. */
    world.now_ms += 9999;
    world_run(&world);
    assert_int_equal(migrations_links_count(world.node), 3);
    world.now_ms += 1;
    world_run(&world);
    assert_int_equal(migrations_links_count(world.node), 0);
    world_deinit(&world);
}

static void idle_links_are_bounded(void **state) {
    (void)state;
    static struct world world;
    char text[80];
    world_init(&world);
    for (unsigned i = 0; i < MIGRATION_LINKS_MAX + 5; i++) {
        ask(&world, 0, "SET a text\r\n", "+OK\r\n");
        (void)snprintf(text, sizeof(text), "MIGRATE h %u a 0 1000\r\n", i + 1);
        begin(&world, text, "RESTORE a 0 text");
        target_says(&world, "+OK\r\n");
        heard(&world, 0, "+OK\r\n");
    }
    assert_int_equal(migrations_links_count(world.node), MIGRATION_LINKS_MAX);
    /* The oldest went. */
    for (unsigned i = 0; i < MIGRATION_LINKS_MAX + 5; i++) {
        assert_int_equal(world.targets[i].link == NULL, i < 5);
    }
    /* An idle one on which something comes, or that ends, goes. */
    target_says(&world, "+OK\r\n");
    assert_int_equal(migrations_links_count(world.node), MIGRATION_LINKS_MAX - 1);
    struct target *other = &world.targets[8];
    struct migration_link *link = other->link;
    other->link = NULL;
    migration_link_closed(link);
    world_run(&world);
    assert_int_equal(migrations_links_count(world.node), MIGRATION_LINKS_MAX - 2);
    world_deinit(&world);
}

/* A link that ended just when it was to be used again. */
static void an_ended_link_is_no_error(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    ask(&world, 0, "MSET a text b text\r\n", "+OK\r\n");
    begin(&world, "MIGRATE h 1 a 0 1000\r\n", "RESTORE a 0 text");
    target_says(&world, "+OK\r\n");
    heard(&world, 0, "+OK\r\n");
    say(&world, 0, "MIGRATE h 1 b 0 1000\r\n");
    target_gets(&world, "RESTORE b 0 text");
    target_closes(&world);
    heard(&world, 0, "");
    assert_int_equal(world.targets_count, 2);
    target_open(&world);
    target_gets(&world, "SELECT 0");
    target_says(&world, "+OK\r\n");
    target_gets(&world, "RESTORE b 0 text");
    /* There is no third try. */
    target_closes(&world);
    heard(&world, 0, "-IOERR error or timeout reading to target instance\r\n");
    ask(&world, 0, "EXISTS b\r\n", ":1\r\n");
    world_deinit(&world);
}

static const char CHANGED[] = "-IOERR a key was changed here each time it was sent: it stays here, "
                              "and the target instance has an older value\r\n";
static const char GONE[] =
    "-IOERR a key was removed here while it was sent: the target instance has it\r\n";

static void a_changed_key_is_sent_again(void **state) {
    (void)state;
    static const struct {
        const char *command, *reply, *restore;
    } cases[] = {
        {"SET a other\r\n", "+OK\r\n", "RESTORE a 0 other REPLACE"},
        /* The same value again: who did it may mean it, and be the target. */
        {"SET a text\r\n", "+OK\r\n", "RESTORE a 0 text REPLACE"},
        {"APPEND a s\r\n", ":5\r\n", "RESTORE a 0 texts REPLACE"},
        {"EXPIRE a 100\r\n", ":1\r\n", "RESTORE a 100000 text REPLACE"},
        {"RENAME b a\r\n", "+OK\r\n", "RESTORE a 0 more REPLACE"},
        {"FLUSHALL\r\nSET a new\r\n", "+OK\r\n+OK\r\n", "RESTORE a 0 new REPLACE"},
        {"DEL a\r\nSET a new\r\n", ":1\r\n+OK\r\n", "RESTORE a 0 new REPLACE"},
        {"SWAPDB 0 1\r\n", "+OK\r\n", "RESTORE a 0 next REPLACE"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static struct world world;
        world_init(&world);
        ask(&world, 1, "SELECT 1\r\nSET a next\r\nSELECT 0\r\n", "+OK\r\n+OK\r\n+OK\r\n");
        ask(&world, 1, "MSET a text b more\r\n", "+OK\r\n");
        begin(&world, "MIGRATE h 1 a 0 1000\r\n", "RESTORE a 0 text");
        ask(&world, 1, cases[i].command, cases[i].reply);
        target_says(&world, "+OK\r\n");
        heard(&world, 0, "");
        target_gets(&world, cases[i].restore);
        ask(&world, 1, "EXISTS a\r\n", ":1\r\n");
        target_says(&world, "+OK\r\n");
        heard(&world, 0, "+OK\r\n");
        ask(&world, 1, "EXISTS a\r\n", ":0\r\n");
        world_deinit(&world);
    }
}

static void other_changes_are_not_its_business(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    ask(&world, 1, "MSET a text b more\r\n", "+OK\r\n");
    begin(&world, "MIGRATE h 1 a 0 1000\r\n", "RESTORE a 0 text");
    ask(&world, 1, "SET b 1\r\nSELECT 1\r\nSET a 1\r\nFLUSHDB\r\nSELECT 0\r\nGET a\r\n",
        "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n$4\r\ntext\r\n");
    target_says(&world, "+OK\r\n");
    heard(&world, 0, "+OK\r\n");
    ask(&world, 1, "EXISTS a\r\n", ":0\r\n");
    assert_int_equal(world.node->store.watchers_count, 0);
    world_deinit(&world);
}

static void a_key_that_always_changes_stays(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    ask(&world, 1, "MSET n text b more\r\n", "+OK\r\n");
    say(&world, 0, "MIGRATE h 1 \"\" 0 1000 KEYS n b\r\n");
    target_open(&world);
    target_says(&world, "+OK\r\n");
    for (unsigned i = 0; i < MIGRATION_ROUNDS_MAX; i++) {
        say(&world, 1, "APPEND n s\r\n");
        target_says(&world, i == 0 ? "+OK\r\n+OK\r\n" : "+OK\r\n");
        buffer_clear(&world.ends[1].received);
    }
    heard(&world, 0, CHANGED);
    target_gets(&world, "SELECT 0");
    target_gets(&world, "RESTORE n 0 text");
    target_gets(&world, "RESTORE b 0 more");
    for (unsigned i = 1; i < MIGRATION_ROUNDS_MAX; i++) {
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "RESTORE n 0 text%.*s REPLACE", (int)i,
                       "ssssssssssssssss");
        target_gets(&world, expected);
    }
    target_gets(&world, "");
    ask(&world, 1, "EXISTS n b\r\n", ":1\r\n");
    ask(&world, 1, "STRLEN n\r\n", ":20\r\n");
    /* Nothing is under way: the link serves again. */
    say(&world, 0, "MIGRATE h 1 n 0 1000 REPLACE\r\n");
    assert_int_equal(world.targets_count, 1);
    target_says(&world, "+OK\r\n");
    heard(&world, 0, "+OK\r\n");
    world_deinit(&world);
}

static void a_removed_key_is_told_of(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    ask(&world, 1, "MSET a text b text c text\r\nPEXPIRE b 500\r\n", "+OK\r\n:1\r\n");
    begin(&world, "MIGRATE h 1 a 0 1000\r\n", "RESTORE a 0 text");
    ask(&world, 1, "DEL a\r\n", ":1\r\n");
    target_says(&world, "+OK\r\n");
    heard(&world, 0, GONE);
    /* One that expired has expired there, too. */
    say(&world, 0, "MIGRATE h 1 b 0 1000\r\n");
    target_gets(&world, "RESTORE b 500 text");
    world.now_ms += 500;
    target_says(&world, "+OK\r\n");
    heard(&world, 0, "+OK\r\n");
    /* In a later round, too. */
    say(&world, 0, "MIGRATE h 1 c 0 1000\r\n");
    ask(&world, 1, "SET c other\r\n", "+OK\r\n");
    target_says(&world, "+OK\r\n");
    ask(&world, 1, "DEL c\r\n", ":1\r\n");
    target_says(&world, "+OK\r\n");
    heard(&world, 0, GONE);
    world_deinit(&world);
}

static void each_key_has_its_own_fate(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    ask(&world, 0, "MSET a text b text c text d text\r\n", "+OK\r\n");
    begin(&world, "MIGRATE h 1 \"\" 0 1000 KEYS d\r\n", "RESTORE d 0 text");
    target_says(&world, "+OK\r\n");
    heard(&world, 0, "+OK\r\n");
    say(&world, 0, "MIGRATE h 1 \"\" 0 1000 KEYS a none b c a\r\n");
    target_gets(&world, "RESTORE a 0 text");
    target_gets(&world, "RESTORE b 0 text");
    target_gets(&world, "RESTORE c 0 text");
    target_gets(&world, "");
    target_says(&world, "+OK\r\n-BUSYKEY Target key name already exists.\r\n");
    ask(&world, 1, "EXISTS a\r\nEXISTS b\r\nEXISTS c\r\n", ":0\r\n:1\r\n:1\r\n");
    target_says(&world, "+OK\r\n");
    heard(&world, 0,
          "-ERR Target instance replied with error: BUSYKEY Target key name already exists.\r\n");
    ask(&world, 1, "EXISTS a\r\nEXISTS b\r\nEXISTS c\r\n", ":0\r\n:1\r\n:0\r\n");
    /* The connection ends in the middle: what was taken is gone, the rest is here. */
    ask(&world, 0, "MSET a text b text c text\r\n", "+OK\r\n");
    say(&world, 0, "MIGRATE h 1 \"\" 0 1000 KEYS a b c\r\n");
    target_says(&world, "+OK\r\n+O");
    target_closes(&world);
    heard(&world, 0, "-IOERR error or timeout reading to target instance\r\n");
    ask(&world, 1, "EXISTS a\r\nEXISTS b\r\nEXISTS c\r\n", ":0\r\n:1\r\n:1\r\n");
    assert_int_equal(world.node->store.watchers_count, 0);
    world_deinit(&world);
}

/* The last answer and the end of the connection come together. */
static void an_answer_counts_before_the_end(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    ask(&world, 0, "SET a text\r\n", "+OK\r\n");
    begin(&world, "MIGRATE h 1 a 0 1000\r\n", "RESTORE a 0 text");
    struct migration_link *link = target_last(&world)->link;
    size_t room;
    memcpy(migration_link_input_space(link, &room), "+OK\r\n", 5);
    assert_true(migration_link_input(link, 5));
    target_closes(&world);
    heard(&world, 0, "+OK\r\n");
    ask(&world, 0, "EXISTS a\r\n", ":0\r\n");
    world_deinit(&world);
}

static void strange_targets(void **state) {
    (void)state;
    static const struct {
        const char *answer, *reply;
    } cases[] = {
        {"garbage\r\n", "-IOERR error or timeout reading to target instance\r\n"},
        {":1\r\n", "-IOERR error or timeout reading to target instance\r\n"},
        {"+QUEUED\r\n", "-IOERR error or timeout reading to target instance\r\n"},
        {"-ERR a\x07\r\n", "-ERR Target instance replied with error: ERR a\x07\r\n"},
        {"-\r\n", "-ERR Target instance replied with error: \r\n"},
    };
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        static struct world world;
        world_init(&world);
        ask(&world, 0, "SET a text\r\n", "+OK\r\n");
        if (i % 2 == 0) { /* in place of the answer to SELECT: nothing follows */
            say(&world, 0, "MIGRATE h 1 a 0 1000\r\n");
            target_open(&world);
            target_gets(&world, "SELECT 0");
        } else {
            begin(&world, "MIGRATE h 1 a 0 1000\r\n", "RESTORE a 0 text");
        }
        target_says(&world, cases[i / 2].answer);
        heard(&world, 0, cases[i / 2].reply);
        target_gets(&world, "");
        ask(&world, 0, "EXISTS a\r\n", ":1\r\n");
        world_deinit(&world);
    }
    /* It speaks first, and hangs up, as a full server does. */
    static struct world world;
    world_init(&world);
    ask(&world, 0, "SET a text\r\n", "+OK\r\n");
    say(&world, 0, "MIGRATE h 1 a 0 1000\r\n");
    migration_link_opened(target_last(&world)->link);
    size_t room;
    memcpy(migration_link_input_space(target_last(&world)->link, &room), "-ERR full\r\n", 11);
    assert_true(migration_link_input(target_last(&world)->link, 11));
    target_closes(&world);
    heard(&world, 0, "-ERR Target instance replied with error: ERR full\r\n");
    /* More than was asked for. */
    begin(&world, "MIGRATE h 1 a 0 1000\r\n", "RESTORE a 0 text");
    target_says(&world, "-ERR no\r\n+OK\r\n");
    heard(&world, 0, "-ERR Target instance replied with error: ERR no\r\n");
    world_deinit(&world);
}

static void timeouts(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    ask(&world, 0, "SET a text\r\n", "+OK\r\n");
    say(&world, 0, "MIGRATE h 1 a 0 300\r\n");
    assert_true(world.tick_us <= 300000);
    world.now_ms += 299;
    world_run(&world);
    heard(&world, 0, "");
    world.now_ms += 1;
    world_run(&world);
    heard(&world, 0, "-IOERR error or timeout connecting to the client\r\n");
    /* Whatever moves begins the time anew. */
    say(&world, 0, "MIGRATE h 1 a 0 300\r\n");
    world.now_ms += 299;
    target_open(&world);
    world.now_ms += 299;
    target_says(&world, "+OK\r\n");
    world.now_ms += 299;
    world_run(&world);
    heard(&world, 0, "");
    world.now_ms += 1;
    world_run(&world);
    heard(&world, 0, "-IOERR error or timeout reading to target instance\r\n");
    assert_true(target_last(&world)->is_closed_by_node);
    /* 1000 is what 0 and less mean. */
    say(&world, 0, "MIGRATE h 1 a 0 -7\r\n");
    world.now_ms += 999;
    world_run(&world);
    heard(&world, 0, "");
    world.now_ms += 1;
    world_run(&world);
    heard(&world, 0, "-IOERR error or timeout connecting to the client\r\n");
    say(&world, 0, "MIGRATE h 1 a 0 9223372036854775807\r\n");
    world.now_ms += INT64_C(1000000000);
    world_run(&world);
    heard(&world, 0, "");
    ask(&world, 1, "EXISTS a\r\n", ":1\r\n");
    target_closes(&world);
    heard(&world, 0, "-IOERR error or timeout connecting to the client\r\n");
    world_deinit(&world);
}

static void transfers_wait_in_line(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    ask(&world, 0, "MSET a text b text c text\r\n", "+OK\r\n");
    begin(&world, "MIGRATE h 1 a 0 1000\r\n", "RESTORE a 0 text");
    say(&world, 1, "MIGRATE h 1 a 0 1000 REPLACE\r\n");
    say(&world, 2, "MIGRATE h 1 b 0 1000\r\n");
    target_gets(&world, "");
    assert_int_equal(world.node->migrations.count, 3);
    /* Whoever goes leaves the line. */
    node_client_free(world.ends[1].client);
    world.ends[1].client = NULL;
    world_run(&world);
    assert_int_equal(world.node->migrations.count, 2);
    /* The one under way: what has no answer is here, and the next one begins elsewhere. */
    node_client_free(world.ends[0].client);
    world.ends[0].client = NULL;
    assert_true(target_last(&world)->is_closed_by_node);
    world_run(&world);
    assert_int_equal(world.node->store.watchers_count, 0);
    assert_int_equal(world.targets_count, 2);
    target_open(&world);
    target_gets(&world, "SELECT 0");
    target_says(&world, "+OK\r\n");
    target_gets(&world, "RESTORE b 0 text");
    target_says(&world, "+OK\r\n");
    heard(&world, 2, "+OK\r\n");
    ask(&world, 2, "EXISTS a b c\r\n", ":2\r\n");
    assert_int_equal(world.node->blocked_count, 0);
    world_deinit(&world);
}

/* The first has moved what the second asks for when its turn comes. */
static void the_second_finds_nothing(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    ask(&world, 0, "SET a text\r\n", "+OK\r\n");
    begin(&world, "MIGRATE h 1 a 0 1000\r\n", "RESTORE a 0 text");
    say(&world, 1, "MIGRATE h 1 a 0 1000 REPLACE\r\n");
    target_says(&world, "+OK\r\n");
    heard(&world, 0, "+OK\r\n");
    heard(&world, 1, "+NOKEY\r\n");
    target_gets(&world, "");
    world_deinit(&world);
}

static void nothing_leaves_in_a_pause(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    ask(&world, 0, "MSET a text b text\r\n", "+OK\r\n");
    begin(&world, "MIGRATE h 1 a 0 300\r\n", "RESTORE a 0 text");
    ask(&world, 1, "CLIENT PAUSE 1000 WRITE\r\n", "+OK\r\n");
    target_says(&world, "+OK\r\n");
    world.now_ms += 900;
    world_run(&world);
    heard(&world, 0, "");
    ask(&world, 1, "EXISTS a\r\n", ":1\r\n");
    world.now_ms += 100;
    world_run(&world);
    heard(&world, 0, "+OK\r\n");
    ask(&world, 1, "EXISTS a\r\n", ":0\r\n");
    /* A flood meanwhile is no reason to keep it all. */
    static char flood[8192];
    memset(flood, '+', sizeof(flood) - 1);
    say(&world, 0, "MIGRATE h 1 b 0 300\r\n");
    ask(&world, 1, "CLIENT PAUSE 1000 WRITE\r\n", "+OK\r\n");
    for (unsigned i = 0; target_last(&world)->link != NULL; i++) {
        require(i < 1000);
        target_says(&world, flood);
    }
    ask(&world, 1, "CLIENT UNPAUSE\r\nEXISTS b\r\n", "+OK\r\n:1\r\n");
    heard(&world, 0, "-IOERR error or timeout reading to target instance\r\n");
    world_deinit(&world);
}

/* That a key is gone is told once it is on the disk that it is. */
static void the_answer_waits_for_the_disk(void **state) {
    (void)state;
    static struct world world;
    world_begin(&world, true);
    ask(&world, 1, "SET a text\r\n", "+OK\r\n");
    begin(&world, "MIGRATE h 1 a 0 1000\r\n", "RESTORE a 0 text");
    world.disk_rests = true;
    target_says(&world, "+OK\r\n");
    assert_int_equal(world.node->migrations.count, 0);
    heard(&world, 0, "");
    world.disk_rests = false;
    world_run(&world);
    heard(&world, 0, "+OK\r\n");
    world_deinit(&world);
}

/* More keys than may be under way, more bytes than may lie unsent. */
static void many_keys(void **state) {
    (void)state;
    enum { KEYS = 3000 };
    static struct world world;
    struct buffer request = {0};
    world_init(&world);
    buffer_printf(&request, "MIGRATE h 1 \"\" 0 1000 KEYS");
    for (unsigned i = 0; i < KEYS; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "SETRANGE key:%u 999 x\r\n", i);
        ask(&world, 0, text, ":1000\r\n");
        buffer_printf(&request, " key:%u", i);
    }
    buffer_printf(&request, "\r\n");
    say(&world, 0, buffer_text(&request));
    target_open(&world);
    target_gets(&world, "SELECT 0");
    target_says(&world, "+OK\r\n");
    unsigned answered = 0, requests = 0;
    while (answered < KEYS) {
        const struct buffer *received = &target_last(&world)->received;
        for (size_t i = 0; i + 7 < received->size; i++) {
            requests += memcmp(received->data + i, "RESTORE", 7) == 0;
        }
        buffer_clear(&target_last(&world)->received);
        assert_true(requests > answered);
        assert_true(requests - answered <= MIGRATION_IN_FLIGHT_MAX);
        for (; answered < requests; answered++) {
            target_says(&world, "+OK\r\n");
        }
    }
    assert_int_equal(requests, KEYS);
    heard(&world, 0, "+OK\r\n");
    ask(&world, 0, "DBSIZE\r\n", ":0\r\n");
    buffer_deinit(&request);
    world_deinit(&world);
}

static void no_host_no_connection(void **state) {
    (void)state;
    static struct world world;
    world_init(&world);
    world.node->migrations.host = (struct migration_host){0};
    ask(&world, 0, "SET a text\r\nMIGRATE h 1 a 0 1000\r\n",
        "+OK\r\n-IOERR error or timeout connecting to the client\r\n");
    world_deinit(&world);
}

/* ---- random histories ---- */

enum { RANDOM_KEYS = 6, RANDOM_STEPS = 3000 };

/* What the target has under each key, and what was last written here: numbers that rise, since each
 * write is another one. 0: nothing. */
struct model {
    unsigned there[RANDOM_KEYS], written[RANDOM_KEYS];
    bool was_deleted[RANDOM_KEYS];
};

/* The target executes one request and answers; false when there is none. */
static bool model_serve(struct world *world, struct model *model, struct prng *prng) {
    unsigned key, value;
    char replace[16] = "", words[512];
    (void)snprintf(words, sizeof(words), "%s", target_takes(world));
    if (words[0] == '\0') {
        return false;
    }
    if (sscanf(words, "RESTORE k%u 0 v%u %15s", &key, &value, replace) >= 2) {
        if (model->there[key] != 0 && replace[0] == '\0') {
            target_says(world, "-BUSYKEY Target key name already exists.\r\n");
            return true;
        }
        if (prng_below(prng, 10) == 0) {
            target_says(world, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
            return true;
        }
        model->there[key] = value;
        if (prng_below(prng, 10) == 0) { /* and its answer is lost */
            target_closes(world);
            return true;
        }
    }
    target_says(world, "+OK\r\n");
    return true;
}

static void model_write(struct world *world, struct model *model, struct prng *prng,
                        unsigned value) {
    unsigned key = (unsigned)prng_below(prng, RANDOM_KEYS);
    char text[64];
    if (prng_below(prng, 8) == 0) {
        (void)snprintf(text, sizeof(text), "DEL k%u\r\n", key);
        model->was_deleted[key] = true;
    } else {
        (void)snprintf(text, sizeof(text), "SET k%u v%u\r\n", key, value);
        model->was_deleted[key] = false;
        model->written[key] = value;
    }
    say(world, 1, text);
    buffer_clear(&world->ends[1].received);
}

/* Each value that was written last and not deleted is here or there. */
static void model_check(struct world *world, const struct model *model) {
    for (unsigned key = 0; key < RANDOM_KEYS; key++) {
        char text[64], expected[128];
        (void)snprintf(text, sizeof(text), "GET k%u\r\n", key);
        say(world, 2, text);
        if (model->written[key] != 0 && !model->was_deleted[key] &&
            model->there[key] != model->written[key]) {
            (void)snprintf(text, sizeof(text), "v%u", model->written[key]);
            (void)snprintf(expected, sizeof(expected), "$%zu\r\n%s\r\n", strlen(text), text);
            heard(world, 2, expected);
        }
        buffer_clear(&world->ends[2].received);
    }
}

static void nothing_is_lost(void **state) {
    (void)state;
    for (unsigned part = 0; part < 20; part++) {
        struct prng prng;
        struct model model = {0};
        static struct world world;
        seed_prng(&prng, "nothing_is_lost", part);
        world_init(&world);
        for (unsigned step = 1; step <= RANDOM_STEPS && world.targets_count < TARGETS_MAX - 2;
             step++) {
            bool has_target = world.targets_count > 0 && target_last(&world)->link != NULL;
            bool is_blocked = (world.ends[0].client->flags & CLIENT_BLOCKED) != 0;
            switch (prng_below(&prng, 8)) {
            case 0:
            case 1:
                model_write(&world, &model, &prng, step);
                break;
            case 2:
                if (!is_blocked) {
                    say(&world, 0,
                        prng_below(&prng, 2) == 0
                            ? "MIGRATE h 1 \"\" 0 1000 KEYS k0 k1 k2 k3 k4 k5\r\n"
                            : "MIGRATE h 1 \"\" 0 1000 REPLACE KEYS k0 k1 k2 k3 k4 k5\r\n");
                }
                break;
            case 3:
                if (prng_below(&prng, 10) == 0) {
                    world.now_ms += (int64_t)prng_below(&prng, 1500);
                    world_run(&world);
                }
                break;
            default:
                if (has_target && !target_last(&world)->is_open) {
                    target_open(&world);
                } else if (has_target) {
                    (void)model_serve(&world, &model, &prng);
                }
                break;
            }
            model_check(&world, &model);
        }
        world_deinit(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_moves),
        cmocka_unit_test(links_are_used_again),
        cmocka_unit_test(idle_links_are_bounded),
        cmocka_unit_test(an_ended_link_is_no_error),
        cmocka_unit_test(a_changed_key_is_sent_again),
        cmocka_unit_test(other_changes_are_not_its_business),
        cmocka_unit_test(a_key_that_always_changes_stays),
        cmocka_unit_test(a_removed_key_is_told_of),
        cmocka_unit_test(each_key_has_its_own_fate),
        cmocka_unit_test(an_answer_counts_before_the_end),
        cmocka_unit_test(strange_targets),
        cmocka_unit_test(timeouts),
        cmocka_unit_test(transfers_wait_in_line),
        cmocka_unit_test(the_second_finds_nothing),
        cmocka_unit_test(nothing_leaves_in_a_pause),
        cmocka_unit_test(the_answer_waits_for_the_disk),
        cmocka_unit_test(many_keys),
        cmocka_unit_test(no_host_no_connection),
        cmocka_unit_test(nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
