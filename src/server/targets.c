/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/targets.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"

enum {
    KEEPALIVE_SECONDS = 15,
    READ_BYTES_PER_TURN = 64 << 10, /* of one target: answers are short */
    /* At a time. One that nobody waits for any more goes on until it ends; with more the next one
     * fails. */
    LOOKUPS_MAX = 32,
};

/* A connection with another server, wanted or there. */
struct target {
    struct target *next, *previous;
    struct targets *targets;
    struct migration_link *link;   /* NULL: closed by the node while its name is looked up */
    struct connection *connection; /* NULL: there is none so far */
    struct buffer addresses;       /* those still to be tried, each with its terminator */
    bool is_looked_up;             /* the lookup is under way */
    bool has_failed;               /* the node is to be told, at the end of the turn */
    bool has_output;               /* or is to be looked at, at the end of the turn */
};

struct targets {
    struct network *network;
    struct connection_handlers handlers;
    struct target *first;
    unsigned lookups_count;
};

static struct target *target_new(struct targets *targets, struct migration_link *link) {
    struct target *target = memory_alloc_zero(sizeof(*target));
    target->targets = targets;
    target->link = link;
    target->next = targets->first;
    if (targets->first != NULL) {
        targets->first->previous = target;
    }
    targets->first = target;
    return target;
}

static void target_free(struct target *target) {
    *(target->previous != NULL ? &target->previous->next : &target->targets->first) = target->next;
    if (target->next != NULL) {
        target->next->previous = target->previous;
    }
    if (target->connection != NULL) {
        connection_close(target->connection);
    }
    buffer_deinit(&target->addresses);
    memory_free(target);
}

/* The connection ended by itself, or never was. */
static void target_lost(struct target *target) {
    struct migration_link *link = target->link;
    target_free(target);
    migration_link_closed(link);
}

/* ---- connecting ---- */

/* Begins to connect; false with an errno. */
static bool target_connect(struct target *target, const char *address, int *failure) {
    struct connect_opts opts = {.handlers = &target->targets->handlers,
                                .address = address,
                                .owner = target,
                                .keepalive_seconds = KEEPALIVE_SECONDS};
    target->connection = network_connect(target->targets->network, &opts, failure);
    return target->connection != NULL;
}

/* Tries the addresses that are left until one of them takes its time; false when none does. */
static bool target_connect_next(struct target *target) {
    int failure;
    while (target->addresses.size > 0) {
        struct buffer address = {0};
        buffer_append_slice(&address, slice_of(target->addresses.data));
        buffer_consume(&target->addresses, address.size + 1);
        bool is_begun = target_connect(target, buffer_text(&address), &failure);
        buffer_deinit(&address);
        if (is_begun) {
            return true;
        }
    }
    return false;
}

static void on_resolved(void *udata, const char *name, unsigned port, const char *const *addresses,
                        size_t count, const char *failure) {
    struct target *target = (struct target *)udata;
    (void)name;
    (void)port;
    (void)failure;
    target->is_looked_up = false;
    target->targets->lookups_count--;
    if (target->link == NULL) {
        target_free(target);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        buffer_append(&target->addresses, addresses[i], strlen(addresses[i]) + 1);
    }
    target->has_failed = !target_connect_next(target);
}

/* Begins to look the name up; the answer may come from within. */
static void target_look_up(struct target *target, const char *name, unsigned port) {
    struct targets *targets = target->targets;
    if (name[0] == '\0' || targets->lookups_count == LOOKUPS_MAX) {
        target->has_failed = true;
        return;
    }
    targets->lookups_count++;
    target->is_looked_up = true;
    network_resolve(targets->network, name, port, on_resolved, target);
}

static void *host_dial(void *udata, struct migration_link *link, const char *name, unsigned port) {
    struct targets *targets = (struct targets *)udata;
    struct target *target = target_new(targets, link);
    struct buffer address = {0};
    int failure = 0;
    bool is_ipv6 = strchr(name, ':') != NULL && name[0] != '[';
    buffer_printf(&address, is_ipv6 ? "[%s]:%u" : "%s:%u", name, port);
    if (!target_connect(target, buffer_text(&address), &failure)) {
        if (failure == EINVAL) { /* no address: a name */
            target_look_up(target, name, port);
        } else {
            target->has_failed = true;
        }
    }
    buffer_deinit(&address);
    return target;
}

static void on_connected(void *udata, struct connection *connection, void *owner, int failure) {
    struct target *target = (struct target *)owner;
    (void)udata;
    if (failure == 0) {
        migration_link_opened(target->link);
        return;
    }
    connection_close(connection);
    target->connection = NULL;
    if (!target_connect_next(target)) {
        target_lost(target);
    }
}

/* ---- bytes ---- */

/* Sends what the socket takes; false when the connection is gone. */
static bool target_send(struct target *target) {
    for (;;) {
        struct slice output = migration_link_output(target->link);
        if (output.size == 0) {
            connection_watch_writable(target->connection, false);
            return true;
        }
        int64_t sent = connection_send(target->connection, output.data, output.size);
        if (sent == CONNECTION_CLOSED) {
            return false;
        }
        if (sent != CONNECTION_AGAIN) {
            migration_link_sent(target->link, (size_t)sent);
        }
        if (sent == CONNECTION_AGAIN || (size_t)sent < output.size) {
            connection_watch_writable(target->connection, true);
            return true;
        }
    }
}

static void on_readable(void *udata, struct connection *connection, void *owner) {
    struct target *target = (struct target *)owner;
    (void)udata;
    for (size_t total = 0; total < READ_BYTES_PER_TURN;) {
        size_t room;
        char *at = migration_link_input_space(target->link, &room);
        int64_t size = connection_read(connection, at, room);
        if (size == CONNECTION_CLOSED) {
            target_lost(target);
            return;
        }
        if (size == CONNECTION_AGAIN) {
            return;
        }
        if (!migration_link_input(target->link, (size_t)size)) {
            target_lost(target);
            return;
        }
        if ((size_t)size < room) {
            return;
        }
        total += (size_t)size;
    }
}

static void on_writable(void *udata, struct connection *connection, void *owner) {
    struct target *target = (struct target *)owner;
    (void)udata;
    (void)connection;
    /* When it is gone, there is what it said before to be read, and then its end. */
    if (!target_send(target)) {
        connection_watch_writable(target->connection, false);
    }
}

void targets_flush(struct targets *targets) {
    for (struct target *target = targets->first; target != NULL;) {
        struct target *next = target->next;
        if (target->has_failed) {
            target_lost(target);
        } else if (target->has_output) {
            target->has_output = false;
            on_writable(targets, target->connection, target);
        }
        target = next;
    }
}

/* ---- what the node asks for ---- */

static void host_send(void *udata, void *connection) {
    (void)udata;
    ((struct target *)connection)->has_output = true;
}

static void host_close(void *udata, void *connection) {
    struct target *target = (struct target *)connection;
    (void)udata;
    if (target->is_looked_up) {
        target->link = NULL; /* a lookup cannot be called back: it ends when it ends */
    } else {
        target_free(target);
    }
}

void targets_host(struct targets *targets, struct migration_host *host) {
    *host = (struct migration_host){
        .udata = targets, .dial = host_dial, .send = host_send, .close = host_close};
}

/* ---- lifecycle ---- */

struct targets *targets_new(struct network *network) {
    struct targets *targets = memory_alloc_zero(sizeof(*targets));
    targets->network = network;
    targets->handlers = (struct connection_handlers){.udata = targets,
                                                     .connected = on_connected,
                                                     .readable = on_readable,
                                                     .writable = on_writable};
    return targets;
}

void targets_free(struct targets *targets) {
    while (targets->first != NULL) {
        target_free(targets->first);
    }
    memory_free(targets);
}
