/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients: commands in, replies out, over connections that take no time. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "sim/sim_world.h"

/* ---- replies ---- */

enum { ITEMS_MAX = 64, COMMAND_BYTES_MAX = 16384 };

struct reply_reader {
    struct slice rest;
    struct sim_reply items[ITEMS_MAX];
    unsigned used;
};

/* Reads one reply; false when it is not whole yet. */
static bool read_reply(struct reply_reader *reader, struct sim_reply *reply) {
    const char *end =
        reader->rest.size > 0 ? memchr(reader->rest.data, '\n', reader->rest.size) : NULL;
    if (end == NULL) {
        return false;
    }
    struct slice line = slice_make(reader->rest.data + 1, (size_t)(end - reader->rest.data) - 2);
    *reply = (struct sim_reply){.type = reader->rest.data[0], .text = line};
    reader->rest = slice_skip(reader->rest, line.size + 3);
    reply->integer = strtoll(line.data, NULL, 10);
    switch (reply->type) {
    case '+':
    case '-':
    case ':':
        return true;
    case '$':
        reply->is_null = reply->integer < 0;
        if (reply->is_null) {
            return true;
        }
        if (reader->rest.size < (size_t)reply->integer + 2) {
            return false;
        }
        reply->text = slice_make(reader->rest.data, (size_t)reply->integer);
        reader->rest = slice_skip(reader->rest, (size_t)reply->integer + 2);
        return true;
    case '*':
        reply->is_null = reply->integer < 0;
        reply->count = reply->is_null ? 0 : (unsigned)reply->integer;
        require(reader->used + reply->count <= ITEMS_MAX);
        reply->items = &reader->items[reader->used];
        reader->used += reply->count;
        for (unsigned i = 0; i < reply->count; i++) {
            if (!read_reply(reader, &reply->items[i])) {
                return false;
            }
        }
        return true;
    default:
        impossible("a reply of unknown type");
    }
}

/* ---- connections ---- */

static void client_answer(struct sim_client *client, struct sim_reply *reply) {
    struct sim_world *world = client->node->world;
    sim_reply_fn fn = client->fn;
    reply->asked_us = client->asked_us;
    client->waits_for = 0;
    client->fn = NULL;
    if (fn != NULL) {
        fn(world, client->udata, client->number, reply);
    }
}

static void client_remove(struct sim_client *client) {
    struct sim_client **at = &client->node->clients;
    while (*at != client) {
        at = &(*at)->next;
    }
    *at = client->next;
    if (client->waits_for > 0) {
        client_answer(client, &(struct sim_reply){0});
    }
    buffer_deinit(&client->received);
    memory_free(client);
}

static struct sim_client *client_open(struct sim_node *node) {
    struct sim_client *client = memory_alloc_zero(sizeof(*client));
    struct client_opts opts = {.connection = client,
                               .address = "10.1.0.1:40000",
                               .local_address = "10.1.0.2:6379",
                               .is_local = true};
    const char *refusal = NULL;
    client->node = node;
    client->client = node_client_open(node->node, &opts, &refusal);
    require(client->client != NULL);
    client->next = node->clients;
    node->clients = client;
    return client;
}

static void client_take_replies(struct sim_client *client) {
    struct reply_reader reader = {.rest = buffer_slice(&client->received)};
    struct sim_reply reply;
    while (client->waits_for > 0) {
        struct slice before = reader.rest;
        reader.used = 0;
        if (!read_reply(&reader, &reply)) {
            buffer_consume(&client->received, client->received.size - before.size);
            return;
        }
        sim_trace(client->node->world,
                  hash_bytes((struct hash_seed){1, 2},
                             slice_make(before.data, before.size - reader.rest.size)));
        if (client->waits_for > 1) {
            if (reply.type == '-') {
                client->db = UINT_MAX; /* it may have been the SELECT */
            }
            client->waits_for--;
            continue;
        }
        /* The callback may use this connection again: nothing more is to come of this call. */
        struct buffer done = client->received;
        client->received = (struct buffer){0};
        ensure(reader.rest.size == 0);
        client_answer(client, &reply);
        buffer_deinit(&done);
        return;
    }
    buffer_clear(&client->received);
}

void sim_client_flush(struct sim_node *node, struct client *client) {
    struct sim_client *sim = (struct sim_client *)client->connection;
    size_t size = 0;
    if ((client->flags & CLIENT_CLOSE_NOW) == 0) {
        size = client_sendable_bytes(client, log_acknowledged_position(node->node->log));
    }
    if (size > 0) {
        buffer_append(&sim->received, client->out.data + client->out_start, size);
        node_client_sent(client, size);
    }
    bool is_over = (client->flags & CLIENT_CLOSE_NOW) != 0 ||
                   ((client->flags & CLIENT_CLOSE_AFTER_REPLY) != 0 && client->out.size == 0);
    if (is_over) {
        node_client_free(client);
        sim->client = NULL;
    }
    if (sim->received.size > 0) {
        client_take_replies(sim);
    }
    if (is_over) {
        client_remove(sim);
    }
}

void sim_clients_drop(struct sim_node *node) {
    while (node->clients != NULL) {
        struct sim_client *client = node->clients;
        if (client->client != NULL) {
            node_client_free(client->client);
            client->client = NULL;
        }
        client_remove(client);
    }
}

/* ---- requests ---- */

static void put_number(struct buffer *out, char type, size_t value) {
    char digits[24];
    size_t at = sizeof(digits);
    digits[--at] = '\n';
    digits[--at] = '\r';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    digits[--at] = type;
    buffer_append(out, digits + at, sizeof(digits) - at);
}

/* One command as an array of its words; returns what follows its ';'. */
static const char *put_command(struct buffer *out, const char *text) {
    struct slice words[ITEMS_MAX];
    unsigned count = 0;
    for (;;) {
        const char *end = text;
        while (*end != ' ' && *end != ';' && *end != '\0') {
            end++;
        }
        if (end > text) {
            require(count < ITEMS_MAX);
            words[count++] = slice_make(text, (size_t)(end - text));
        }
        text = *end == '\0' ? end : end + 1;
        if (*end != ' ') {
            break;
        }
    }
    require(count > 0);
    put_number(out, '*', count);
    for (unsigned i = 0; i < count; i++) {
        put_number(out, '$', words[i].size);
        buffer_append_slice(out, words[i]);
        buffer_append(out, "\r\n", 2);
    }
    return text;
}

static void client_input(struct sim_client *client, struct slice bytes) {
    while (bytes.size > 0) {
        size_t room;
        char *at = node_client_input_space(client->client, &room);
        size_t size = bytes.size < room ? bytes.size : room;
        require(room > 0);
        memcpy(at, bytes.data, size);
        node_client_input(client->client, size);
        bytes = slice_skip(bytes, size);
    }
}

static struct sim_client *client_idle(struct sim_node *node) {
    for (struct sim_client *client = node->clients; client != NULL; client = client->next) {
        if (client->waits_for == 0 && client->client != NULL &&
            (client->client->flags & (CLIENT_CLOSE_NOW | CLIENT_CLOSE_AFTER_REPLY)) == 0) {
            return client;
        }
    }
    return client_open(node);
}

void sim_call(struct sim_node *node, unsigned db, sim_reply_fn fn, void *udata, uint64_t number,
              const char *format, ...) {
    if (node->node == NULL) {
        fn(node->world, udata, number, &(struct sim_reply){.is_null = true});
        return;
    }
    char text[COMMAND_BYTES_MAX];
    struct buffer bytes = {0};
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    require(size > 0 && (size_t)size < sizeof(text));
    sim_set_time(node);
    struct sim_client *client = client_idle(node);
    client->fn = fn;
    client->udata = udata;
    client->number = number;
    client->asked_us = node->world->now_us;
    client->waits_for = 0;
    if (client->db != db) {
        char select[32];
        (void)snprintf(select, sizeof(select), "SELECT %u", db);
        (void)put_command(&bytes, select);
        client->db = db;
        client->waits_for++;
    }
    for (const char *command = text; *command != '\0';) {
        command = put_command(&bytes, command);
        client->waits_for++;
    }
    client_input(client, buffer_slice(&bytes));
    sim_wake(node, 0);
    buffer_deinit(&bytes);
}
