/* SPDX-License-Identifier: BSD-3-Clause */
/* hiredis, its blocking interface: every type of reply, pipelines, large values, the Unix socket,
 * timeouts, and reconnecting to a server that was killed. */
#include "clients/server_process.h"

#include <hiredis/hiredis.h>

static struct server_process server;
static const char *const options[] = {"--save", "", "--appendonly", "yes", NULL};

static redisContext *connect_client(void) {
    redisContext *c = redisConnect("127.0.0.1", server.port);
    REQUIRE(c != NULL);
    REQUIRE(c->err == 0);
    return c;
}

static bool is_text(const redisReply *reply, int type, const char *text) {
    if (reply == NULL || reply->type != type || strcmp(reply->str, text) != 0) {
        printf("expected %s, got %s\n", text,
               reply == NULL ? "nothing" : (reply->str != NULL ? reply->str : "another type"));
        return false;
    }
    return true;
}

static bool is_integer(const redisReply *reply, long long value) {
    if (reply == NULL || reply->type != REDIS_REPLY_INTEGER || reply->integer != value) {
        printf("expected %lld\n", value);
        return false;
    }
    return true;
}

#define CHECK_REPLY(expectation, ...)                                                              \
    do {                                                                                           \
        redisReply *reply = redisCommand(c, __VA_ARGS__);                                          \
        REQUIRE(reply != NULL);                                                                    \
        CHECK(expectation);                                                                        \
        freeReplyObject(reply);                                                                    \
    } while (0)

static void replies_of_each_type(void) {
    redisContext *c = connect_client();
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "FLUSHALL");
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "PONG"), "PING");
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "SET %s %s", "key", "value with spaces");
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STRING, "value with spaces"), "GET key");
    CHECK_REPLY(reply->type == REDIS_REPLY_NIL, "GET none");
    CHECK_REPLY(is_integer(reply, 1), "INCR counter");
    CHECK_REPLY(is_integer(reply, -9223372036854775807LL), "INCRBY counter -9223372036854775808");
    CHECK_REPLY(is_text(reply, REDIS_REPLY_ERROR, "ERR value is not an integer or out of range"),
                "INCR key");
    CHECK_REPLY(reply->type == REDIS_REPLY_ERROR &&
                    strncmp(reply->str, "ERR unknown command", 19) == 0,
                "NOSUCHCOMMAND");
    CHECK_REPLY(reply->type == REDIS_REPLY_ARRAY && reply->elements == 0, "KEYS nothing*");
    redisReply *reply = redisCommand(c, "MGET key none counter");
    REQUIRE(reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 3);
    CHECK(is_text(reply->element[0], REDIS_REPLY_STRING, "value with spaces"));
    CHECK(reply->element[1]->type == REDIS_REPLY_NIL);
    CHECK(is_text(reply->element[2], REDIS_REPLY_STRING, "-9223372036854775807"));
    freeReplyObject(reply);
    redisFree(c);
}

static void bytes_of_any_value(void) {
    redisContext *c = connect_client();
    char key[256], value[256];
    for (size_t i = 0; i < 256; i++) {
        key[i] = (char)(255 - i);
        value[i] = (char)i;
    }
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "SET %b %b", key, sizeof(key), value,
                sizeof(value));
    CHECK_REPLY(reply->type == REDIS_REPLY_STRING && reply->len == sizeof(value) &&
                    memcmp(reply->str, value, sizeof(value)) == 0,
                "GET %b", key, sizeof(key));
    CHECK_REPLY(is_integer(reply, 1), "EXISTS %b", key, sizeof(key));
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "SET empty %b", "", (size_t)0);
    CHECK_REPLY(reply->type == REDIS_REPLY_STRING && reply->len == 0, "GET empty");
    redisFree(c);
}

static void a_transaction(void) {
    redisContext *c = connect_client();
    redisContext *other = connect_client();
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "MULTI");
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "QUEUED"), "SET t 1");
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "QUEUED"), "INCR t");
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "QUEUED"), "MGET t none");
    redisReply *reply = redisCommand(c, "EXEC");
    REQUIRE(reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 3);
    CHECK(is_integer(reply->element[1], 2));
    CHECK(reply->element[2]->elements == 2);
    CHECK(reply->element[2]->element[1]->type == REDIS_REPLY_NIL);
    freeReplyObject(reply);

    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "WATCH t");
    freeReplyObject(redisCommand(other, "SET t 5"));
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "MULTI");
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "QUEUED"), "SET t 6");
    CHECK_REPLY(reply->type == REDIS_REPLY_NIL, "EXEC");
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STRING, "5"), "GET t");
    redisFree(other);
    redisFree(c);
}

static void a_pipeline_of_200000(void) {
    enum { COUNT = 100000 };
    redisContext *c = connect_client();
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "SET n 0");
    for (int i = 0; i < COUNT; i++) {
        REQUIRE(redisAppendCommand(c, "INCR n") == REDIS_OK);
        REQUIRE(redisAppendCommand(c, "SET p:%d v%d", i % 1000, i) == REDIS_OK);
    }
    int wrong = 0;
    for (int i = 0; i < COUNT; i++) {
        redisReply *reply = NULL;
        REQUIRE(redisGetReply(c, (void **)&reply) == REDIS_OK);
        wrong += reply->type != REDIS_REPLY_INTEGER || reply->integer != i + 1;
        freeReplyObject(reply);
        REQUIRE(redisGetReply(c, (void **)&reply) == REDIS_OK);
        wrong += reply->type != REDIS_REPLY_STATUS;
        freeReplyObject(reply);
    }
    CHECK(wrong == 0);
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STRING, "v99999"), "GET p:999");
    redisFree(c);
}

static void large_values(void) {
    static const size_t sizes[] = {4095, 4096, 4097, 65536, 1048575, 1048577, 33554432};
    redisContext *c = connect_client();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t size = sizes[i];
        char *value = malloc(size);
        REQUIRE(value != NULL);
        for (size_t at = 0; at < size; at++) {
            value[at] = (char)(at * 31 + (at >> 12) + i);
        }
        CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "SET large %b", value, size);
        CHECK_REPLY(is_integer(reply, (long long)size + 1), "APPEND large x");
        CHECK_REPLY(is_integer(reply, (long long)size + 1), "SETRANGE large %d yz", 4000);
        value[4000] = 'y';
        value[4001] = 'z';
        CHECK_REPLY(reply->type == REDIS_REPLY_STRING && reply->len == size + 1 &&
                        memcmp(reply->str, value, size) == 0 && reply->str[size] == 'x',
                    "GET large");
        free(value);
    }
    CHECK_REPLY(is_integer(reply, 1), "DEL large");
    redisFree(c);
}

static void the_unix_socket(void) {
    redisContext *c = redisConnectUnix(server.socket_path);
    REQUIRE(c != NULL && c->err == 0);
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "SET unix 1");
    CHECK_REPLY(is_integer(reply, 2), "INCR unix");
    char expected[256];
    snprintf(expected, sizeof(expected), "addr=%s:0 laddr=%s:0", server.socket_path,
             server.socket_path);
    CHECK_REPLY(reply->type == REDIS_REPLY_STRING && strstr(reply->str, expected) != NULL,
                "CLIENT INFO");
    CHECK_REPLY(reply->type == REDIS_REPLY_STRING && strstr(reply->str, " flags=U ") != NULL,
                "CLIENT INFO");
    redisFree(c);
}

static void a_timeout_and_after_it(void) {
    redisContext *c = redisConnectWithTimeout("127.0.0.1", server.port, (struct timeval){5, 0});
    REQUIRE(c != NULL && c->err == 0);
    REQUIRE(redisSetTimeout(c, (struct timeval){0, 100000}) == REDIS_OK);
    redisReply *reply = redisCommand(c, "WAIT 1 5000");
    CHECK(reply == NULL);
    CHECK(c->err == REDIS_ERR_IO);
    freeReplyObject(reply);
    REQUIRE(redisReconnect(c) == REDIS_OK);
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "PONG"), "PING");
    redisFree(c);
}

static void quit_ends_the_connection(void) {
    redisContext *c = connect_client();
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "QUIT");
    redisReply *reply = redisCommand(c, "PING");
    CHECK(reply == NULL);
    CHECK(c->err == REDIS_ERR_EOF || c->err == REDIS_ERR_IO);
    freeReplyObject(reply);
    redisFree(c);
}

/* Reads exactly as many bytes as `expected` has and compares them. */
static bool reads(int fd, const char *expected) {
    char bytes[256];
    size_t size = strlen(expected), at = 0;
    while (at < size) {
        ssize_t got = read(fd, bytes + at, size - at);
        if (got <= 0) {
            return false;
        }
        at += (size_t)got;
    }
    return memcmp(bytes, expected, size) == 0;
}

/* Debian's hiredis 0.14 speaks RESP2 only, so the bytes of RESP3 are looked at here. */
static void resp3(void) {
    redisContext *c = connect_client();
    static const char request[] = "HELLO 3 SETNAME me\r\nECHO end\r\nGET none\r\nCLIENT GETNAME\r\n"
                                  "CONFIG GET maxmemory\r\nHELLO 2\r\n";
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "PONG"), "PING");
    REQUIRE(write(c->fd, request, sizeof(request) - 1) == (ssize_t)sizeof(request) - 1);
    CHECK(reads(c->fd, "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n"));
    char byte, tail[16] = "";
    while (memcmp(tail, "modules\r\n*0\r\n", 13) != 0 && read(c->fd, &byte, 1) == 1) {
        memmove(tail, tail + 1, 12);
        tail[12] = byte;
    }
    CHECK(
        reads(c->fd, "$3\r\nend\r\n_\r\n$2\r\nme\r\n%1\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n*14\r\n"));
    redisFree(c);
}

static void reconnecting_to_a_killed_server(void) {
    redisContext *c = connect_client();
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "SET survives yes");
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "SET volatile v EX 1000");
    for (int round = 0; round < 3; round++) {
        server_stop(&server, SIGKILL);
        redisReply *reply = redisCommand(c, "PING");
        CHECK(reply == NULL);
        CHECK(c->err != 0);
        freeReplyObject(reply);
        CHECK(redisReconnect(c) == REDIS_ERR);
        server_start(&server, options);
        REQUIRE(redisReconnect(c) == REDIS_OK);
        CHECK_REPLY(is_text(reply, REDIS_REPLY_STRING, "yes"), "GET survives");
        CHECK_REPLY(reply->type == REDIS_REPLY_INTEGER && reply->integer > 900, "TTL volatile");
        CHECK_REPLY(is_integer(reply, round + 1), "INCR rounds");
    }
    redisFree(c);
}

static void many_connections_come_and_go(void) {
    for (int i = 0; i < 2000; i++) {
        redisContext *c = connect_client();
        CHECK_REPLY(is_integer(reply, i + 1), "INCR connections");
        redisFree(c);
    }
}

static void a_password(void) {
    redisContext *c = connect_client();
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "CONFIG SET requirepass secret");
    redisContext *stranger = connect_client();
    redisReply *reply = redisCommand(stranger, "GET key");
    CHECK(is_text(reply, REDIS_REPLY_ERROR, "NOAUTH Authentication required."));
    freeReplyObject(reply);
    reply = redisCommand(stranger, "AUTH secret");
    CHECK(is_text(reply, REDIS_REPLY_STATUS, "OK"));
    freeReplyObject(reply);
    reply = redisCommand(stranger, "PING");
    CHECK(is_text(reply, REDIS_REPLY_STATUS, "PONG"));
    freeReplyObject(reply);
    redisFree(stranger);
    CHECK_REPLY(is_text(reply, REDIS_REPLY_STATUS, "OK"), "CONFIG SET requirepass %b", "",
                (size_t)0);
    redisFree(c);
}

int main(int argc, char **argv) {
    server_program(argc, argv);
    server_start(&server, options);
    RUN(replies_of_each_type);
    RUN(bytes_of_any_value);
    RUN(a_transaction);
    RUN(a_pipeline_of_200000);
    RUN(large_values);
    RUN(the_unix_socket);
    RUN(a_timeout_and_after_it);
    RUN(quit_ends_the_connection);
    RUN(resp3);
    RUN(many_connections_come_and_go);
    RUN(a_password);
    RUN(reconnecting_to_a_killed_server);
    server_stop(&server, SIGTERM);
    server_remove(&server);
    return server_summary();
}
