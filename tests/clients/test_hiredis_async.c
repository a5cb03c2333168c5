/* SPDX-License-Identifier: BSD-3-Clause */
/* hiredis, its asynchronous interface on libevent: many clients with deep pipelines at once, large
 * values both ways, MONITOR, pub/sub, orderly and sudden ends, and reconnecting. */
#include "clients/server_process.h"

#include <event2/event.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

static struct server_process server;
static const char *const options[] = {"--save", "", "--appendonly", "yes", NULL};
static struct event_base *base;

struct async_counts {
    int connected, refused, ended_well, ended_badly;
    int replies, wrong;
};
static struct async_counts counts;

static void on_connect(const redisAsyncContext *c, int status) {
    (void)c;
    if (status == REDIS_OK) {
        counts.connected++;
    } else {
        counts.refused++;
    }
}

static void on_disconnect(const redisAsyncContext *c, int status) {
    (void)c;
    if (status == REDIS_OK) {
        counts.ended_well++;
    } else {
        counts.ended_badly++;
    }
}

static redisAsyncContext *connect_async(void *data) {
    redisAsyncContext *c = redisAsyncConnect("127.0.0.1", server.port);
    REQUIRE(c != NULL);
    REQUIRE(c->err == 0);
    c->data = data;
    REQUIRE(redisLibeventAttach(c, base) == REDIS_OK);
    redisAsyncSetConnectCallback(c, on_connect);
    redisAsyncSetDisconnectCallback(c, on_disconnect);
    return c;
}

static void on_tick(evutil_socket_t fd, short what, void *data) {
    (void)fd;
    (void)what;
    (void)data;
}

/* Runs the loop until that many connections have ended or were refused, or time is up. */
static void run_loop(int ends_expected, int seconds) {
    /* The tick wakes the loop, so that it looks at the time. */
    struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    event_add(tick, &(struct timeval){0, 50000});
    int64_t deadline = server_now_ms() + (int64_t)(seconds * 1000 * server_patience());
    while (counts.ended_well + counts.ended_badly + counts.refused < ends_expected &&
           server_now_ms() < deadline) {
        event_base_loop(base, EVLOOP_ONCE);
    }
    event_free(tick);
}

/* ---- Many clients, each reply in its place ---- */

enum { CLIENTS = 50, COMMANDS = 2000 };

struct sequence {
    int client, next;
};

static void on_sequence(redisAsyncContext *c, void *r, void *data) {
    struct sequence *sequence = c->data;
    redisReply *reply = r;
    int expected = (int)(intptr_t)data;
    counts.replies++;
    counts.wrong += reply == NULL || sequence->next != expected;
    if (reply != NULL) {
        switch (expected % 3) {
        case 0:
            counts.wrong += reply->type != REDIS_REPLY_STATUS;
            break;
        case 1:
            counts.wrong += reply->type != REDIS_REPLY_STRING || atoi(reply->str) != expected - 1;
            break;
        case 2:
            counts.wrong += reply->type != REDIS_REPLY_NIL;
            break;
        }
    }
    sequence->next++;
    if (expected == COMMANDS - 1) {
        redisAsyncDisconnect(c);
    }
}

static void fifty_clients_with_deep_pipelines(void) {
    static struct sequence sequences[CLIENTS];
    counts = (struct async_counts){0};
    for (int i = 0; i < CLIENTS; i++) {
        sequences[i] = (struct sequence){.client = i};
        redisAsyncContext *c = connect_async(&sequences[i]);
        for (int n = 0; n < COMMANDS; n++) {
            void *data = (void *)(intptr_t)n;
            switch (n % 3) {
            case 0:
                redisAsyncCommand(c, on_sequence, data, "SET key:%d:%d %d", i, n, n);
                break;
            case 1:
                redisAsyncCommand(c, on_sequence, data, "GET key:%d:%d", i, n - 1);
                break;
            case 2:
                redisAsyncCommand(c, on_sequence, data, "GET none:%d:%d", i, n);
                break;
            }
        }
    }
    run_loop(CLIENTS, 60);
    CHECK(counts.connected == CLIENTS);
    CHECK(counts.replies == CLIENTS * COMMANDS);
    CHECK(counts.wrong == 0);
    CHECK(counts.ended_well == CLIENTS);
}

/* ---- Large values ---- */

enum { LARGE_BYTES = 1 << 20, LARGE_COUNT = 60 };
static char large[LARGE_BYTES];

static void on_large(redisAsyncContext *c, void *r, void *data) {
    redisReply *reply = r;
    int index = (int)(intptr_t)data;
    counts.replies++;
    counts.wrong += reply == NULL || reply->type != REDIS_REPLY_STRING ||
                    reply->len != LARGE_BYTES || memcmp(reply->str, large, LARGE_BYTES) != 0;
    if (index == LARGE_COUNT - 1) {
        redisAsyncDisconnect(c);
    }
}

static void large_values_both_ways(void) {
    counts = (struct async_counts){0};
    for (size_t i = 0; i < sizeof(large); i++) {
        large[i] = (char)(i * 7 + (i >> 8));
    }
    redisAsyncContext *c = connect_async(NULL);
    for (int i = 0; i < LARGE_COUNT; i++) {
        redisAsyncCommand(c, NULL, NULL, "SET large:%d %b", i % 5, large, sizeof(large));
        redisAsyncCommand(c, on_large, (void *)(intptr_t)i, "GET large:%d", i % 5);
    }
    run_loop(1, 60);
    CHECK(counts.replies == LARGE_COUNT);
    CHECK(counts.wrong == 0);
    CHECK(counts.ended_well == 1);
}

/* ---- MONITOR ---- */

static void on_monitor(redisAsyncContext *c, void *r, void *data) {
    redisReply *reply = r;
    (void)data;
    if (reply == NULL || reply->type != REDIS_REPLY_STATUS) {
        return;
    }
    if (strstr(reply->str, "\"INCR\" \"watched\"") != NULL) {
        counts.replies++;
        if (counts.replies == 100) {
            redisAsyncFree(c);
        }
    }
}

static void on_monitor_ready(redisAsyncContext *c, void *r, void *data) {
    (void)data;
    counts.wrong += r == NULL;
    for (int i = 0; i < 100; i++) {
        redisAsyncCommand(c, NULL, NULL, "INCR watched");
    }
    redisAsyncDisconnect(c);
}

static void monitor_streams(void) {
    counts = (struct async_counts){0};
    redisAsyncContext *monitor = connect_async(NULL);
    redisAsyncCommand(monitor, on_monitor, NULL, "MONITOR");
    redisAsyncContext *c = connect_async(NULL);
    /* The other client begins when MONITOR has surely been seen. */
    redisAsyncCommand(c, on_monitor_ready, NULL, "DEBUG SLEEP 0.2");
    run_loop(2, 20);
    CHECK(counts.wrong == 0);
    CHECK(counts.replies == 100);
}

/* ---- Pub/sub: one listens to a channel and a pattern, another publishes, both leave ---- */

enum { MESSAGES = 1000 };

static void on_publisher_ready(void) {
    redisAsyncContext *c = connect_async(NULL);
    for (int i = 0; i < MESSAGES; i++) {
        redisAsyncCommand(c, NULL, NULL, "PUBLISH news.art %d", i);
    }
    redisAsyncDisconnect(c);
}

static void on_message(redisAsyncContext *c, void *r, void *data) {
    redisReply *reply = r;
    bool is_pattern = data != NULL;
    if (reply == NULL) {
        return; /* the end of the connection */
    }
    counts.wrong += reply->type != REDIS_REPLY_ARRAY;
    const char *word = reply->element[0]->str;
    if (strcmp(word, "psubscribe") == 0) {
        on_publisher_ready();
    } else if (strcmp(word, is_pattern ? "pmessage" : "message") == 0) {
        /* Each of them comes twice, and in order. */
        static int next[2];
        const char *text = reply->element[is_pattern ? 3 : 2]->str;
        counts.wrong += atoi(text) != next[is_pattern]++;
        counts.replies++;
        if (is_pattern && atoi(text) == MESSAGES - 1) {
            redisAsyncCommand(c, NULL, NULL, "PUNSUBSCRIBE");
            redisAsyncCommand(c, NULL, NULL, "UNSUBSCRIBE");
            redisAsyncDisconnect(c);
        }
    }
}

static void a_subscriber_hears_all(void) {
    counts = (struct async_counts){0};
    redisAsyncContext *subscriber = connect_async(NULL);
    redisAsyncCommand(subscriber, on_message, NULL, "SUBSCRIBE news.art");
    redisAsyncCommand(subscriber, on_message, (void *)1, "PSUBSCRIBE news.*");
    run_loop(2, 20);
    CHECK(counts.wrong == 0);
    CHECK(counts.replies == 2 * MESSAGES);
    CHECK(counts.ended_well == 2);
}

/* ---- Ends ---- */

static void on_last(redisAsyncContext *c, void *r, void *data) {
    (void)c;
    (void)data;
    counts.replies += r != NULL;
    counts.wrong += r == NULL;
}

static void a_client_that_says_quit(void) {
    counts = (struct async_counts){0};
    redisAsyncContext *c = connect_async(NULL);
    redisAsyncCommand(c, on_last, NULL, "SET k v");
    redisAsyncCommand(c, on_last, NULL, "QUIT");
    redisAsyncDisconnect(c);
    run_loop(1, 20);
    CHECK(counts.replies == 2);
    CHECK(counts.ended_well == 1);
}

static void on_kill(redisAsyncContext *c, void *r, void *data) {
    (void)data;
    (void)c;
    if (r != NULL && server.pid != 0) {
        server_stop(&server, SIGKILL);
    }
}

static void a_server_that_dies_and_comes_back(void) {
    counts = (struct async_counts){0};
    redisAsyncContext *c = connect_async(NULL);
    redisAsyncCommand(c, on_kill, NULL, "SET survivor yes");
    redisAsyncCommand(c, NULL, NULL, "WAIT 1 0");
    run_loop(1, 20);
    CHECK(counts.connected == 1);
    CHECK(counts.ended_badly == 1);

    c = connect_async(NULL);
    run_loop(2, 20);
    CHECK(counts.refused == 1);

    server_start(&server, options);
    counts = (struct async_counts){0};
    c = connect_async(NULL);
    redisAsyncCommand(c, on_last, NULL, "GET survivor");
    redisAsyncDisconnect(c);
    run_loop(1, 20);
    CHECK(counts.replies == 1);
    CHECK(counts.ended_well == 1);
}

int main(int argc, char **argv) {
    server_program(argc, argv);
    server_start(&server, options);
    base = event_base_new();
    REQUIRE(base != NULL);
    RUN(fifty_clients_with_deep_pipelines);
    RUN(large_values_both_ways);
    RUN(monitor_streams);
    RUN(a_subscriber_hears_all);
    RUN(a_client_that_says_quit);
    RUN(a_server_that_dies_and_comes_back);
    event_base_free(base);
    server_stop(&server, SIGTERM);
    server_remove(&server);
    return server_summary();
}
