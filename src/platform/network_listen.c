/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking connections, and their handshakes. */
#include "platform/network_internal.h"

#include <errno.h>
#include <event2/util.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/memory.h"

enum { ACCEPTS_PER_EVENT = 256 }; /* then others get their turn */

/* ---- handshakes ---- */

void handshake_free(struct connection *connection) {
    struct handshake *handshake = connection->handshake;
    struct listener *listener = handshake->listener;
    if (listener != NULL) {
        (void)event_del(&handshake->timer);
        *(handshake->previous != NULL ? &handshake->previous->handshake->next
                                      : &listener->shaking) = handshake->next;
        if (handshake->next != NULL) {
            handshake->next->handshake->previous = handshake->previous;
        }
        listener->shaking_count--;
    }
    connection->handshake = NULL;
    memory_free(handshake);
}

static void connection_reject(struct connection *connection, int failure) {
    if (connection->handlers.rejected != NULL) {
        connection->handlers.rejected(connection->handlers.udata, connection, failure);
    } else {
        connection_close(connection);
    }
}

/* The handshake is through, or has failed. */
static void connection_end_shaking(struct connection *connection, int failure) {
    bool was_taken = connection->handshake->listener != NULL;
    handshake_free(connection);
    connection->shake_wants_room = false;
    connection_watch_room(connection);
    if (failure == 0) {
        connection_note_pending(connection);
    } else {
        connection_watch_readable(connection, false);
    }
    if (!was_taken) {
        connection->handlers.connected(connection->handlers.udata, connection, connection->owner,
                                       failure);
    } else if (failure == 0) {
        connection->handlers.accepted(connection->handlers.udata, connection);
    } else {
        connection_reject(connection, failure);
    }
}

void connection_shake(struct connection *connection) {
    struct network *network = connection->network;
    if (network->shakes_count >= NETWORK_HANDSHAKES_A_TURN) {
        connection->shake_wants_room = true; /* there is: in the next turn */
        connection_watch_room(connection);
        return;
    }
    network->shakes_count++;
    enum tls_step step = tls_session_shake(connection->tls);
    if (step == TLS_DONE || step == TLS_FAILED) {
        connection_end_shaking(connection, step == TLS_DONE ? 0 : EPROTO);
        return;
    }
    connection->shake_wants_room = step == TLS_WANTS_WRITE;
    connection_watch_room(connection);
}

static void handshake_on_timer(evutil_socket_t descriptor, short what, void *udata) {
    (void)descriptor;
    (void)what;
    connection_end_shaking((struct connection *)udata, ETIMEDOUT);
}

struct handshake *handshake_new(struct connection *connection, struct listener *listener) {
    struct handshake *handshake = memory_alloc_zero(sizeof(*handshake));
    connection->handshake = handshake;
    handshake->listener = listener;
    if (listener != NULL) {
        struct timeval limit = {.tv_sec = NETWORK_HANDSHAKE_MS / 1000,
                                .tv_usec = NETWORK_HANDSHAKE_MS % 1000 * 1000};
        (void)event_assign(&handshake->timer, connection->network->base, -1, 0, handshake_on_timer,
                           connection);
        (void)event_add(&handshake->timer, &limit);
        handshake->next = listener->shaking;
        if (handshake->next != NULL) {
            handshake->next->handshake->previous = connection;
        }
        listener->shaking = connection;
        listener->shaking_count++;
    }
    return handshake;
}

struct connection *connection_new(struct network *network,
                                  const struct connection_handlers *handlers, int descriptor,
                                  bool is_unix, int keepalive_seconds) {
    struct connection *connection = memory_alloc_zero(sizeof(*connection));
    connection->network = network;
    connection->handlers = *handlers;
    connection->descriptor = descriptor;
    connection->is_unix = is_unix;
    if (!is_unix) {
        int on = 1;
        (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (keepalive_seconds > 0) {
            connection_set_keepalive(descriptor, keepalive_seconds);
        }
    }
    (void)event_assign(&connection->read_event, network->base, descriptor, EV_READ | EV_PERSIST,
                       connection_on_readable, connection);
    return connection;
}

/* ---- listening ---- */

static void listener_take(struct listener *listener, int descriptor) {
    struct connection *connection =
        connection_new(listener->network, &listener->handlers, descriptor, listener->path != NULL,
                       listener->keepalive_seconds);
    if (listener->tls == NULL) {
        connection_watch_readable(connection, true);
        listener->handlers.accepted(listener->handlers.udata, connection);
        return;
    }
    bool is_full = listener->shaking_count >= listener->handshakes_max;
    connection->tls =
        is_full ? NULL : tls_session_new(listener->tls, descriptor, listener->tls_role);
    if (connection->tls == NULL) {
        connection_reject(connection, is_full ? EMFILE : ENOMEM);
        return;
    }
    (void)handshake_new(connection, listener);
    connection_watch_readable(connection, true);
}

static void listener_on_readable(evutil_socket_t socket, short what, void *udata) {
    struct listener *listener = (struct listener *)udata;
    (void)what;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        int descriptor = accept4(socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) {
            listener_take(listener, descriptor);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static int listen_unix(const struct listener_opts *opts) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(opts->path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", opts->path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return -1;
    }
    /* A socket left by an earlier run would be in the way. */
    (void)unlink(opts->path);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        (opts->path_permissions != 0 && chmod(opts->path, opts->path_permissions) != 0)) {
        int saved = errno;
        (void)close(descriptor);
        errno = saved;
        return -1;
    }
    return descriptor;
}

static int listen_tcp(const struct listener_opts *opts, const char **failure) {
    bool all_ipv4 = strcmp(opts->address, "*") == 0, all_ipv6 = strcmp(opts->address, "::*") == 0;
    char port[16];
    (void)snprintf(port, sizeof(port), "%d", opts->port);
    struct addrinfo hints = {.ai_family = all_ipv4   ? AF_INET
                                          : all_ipv6 ? AF_INET6
                                                     : AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(all_ipv4 || all_ipv6 ? NULL : opts->address, port, &hints, &found);
    if (status != 0) {
        *failure = gai_strerror(status);
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int descriptor = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (descriptor >= 0) {
        (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (found->ai_family == AF_INET6) {
            /* IPv4 has a socket of its own. */
            (void)setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
        }
        if (bind(descriptor, found->ai_addr, found->ai_addrlen) != 0) {
            int saved = errno;
            (void)close(descriptor);
            errno = saved;
            descriptor = -1;
        }
    }
    int saved = errno;
    freeaddrinfo(found);
    errno = saved;
    return descriptor;
}

struct listener *network_listen(struct network *network, const struct listener_opts *opts,
                                char *error, size_t error_bytes, bool *is_missing) {
    const char *failure = NULL;
    int descriptor = opts->path != NULL ? listen_unix(opts) : listen_tcp(opts, &failure);
    if (descriptor >= 0 && listen(descriptor, opts->backlog) != 0) {
        int saved = errno;
        (void)close(descriptor);
        errno = saved;
        descriptor = -1;
    }
    if (descriptor < 0) {
        if (is_missing != NULL) {
            *is_missing = errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT || errno == ENOPROTOOPT ||
                          errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT ||
                          errno == EPFNOSUPPORT;
        }
        (void)snprintf(error, error_bytes, "%s", failure != NULL ? failure : strerror(errno));
        return NULL;
    }
    struct listener *listener = memory_alloc_zero(sizeof(*listener));
    listener->network = network;
    listener->handlers = *opts->handlers;
    listener->descriptor = descriptor;
    listener->keepalive_seconds = opts->keepalive_seconds;
    listener->path = opts->path != NULL ? memory_copy_text(opts->path) : NULL;
    listener->tls = opts->tls;
    listener->tls_role = opts->tls_role;
    listener->handshakes_max =
        opts->handshakes_max > 0 ? opts->handshakes_max : (unsigned)NETWORK_HANDSHAKES_MAX;
    (void)event_assign(&listener->event, network->base, descriptor, EV_READ | EV_PERSIST,
                       listener_on_readable, listener);
    (void)event_add(&listener->event, NULL);
    return listener;
}

void listener_free(struct listener *listener) {
    while (listener->shaking != NULL) {
        connection_close(listener->shaking);
    }
    (void)event_del(&listener->event);
    (void)close(listener->descriptor);
    if (listener->path != NULL) {
        (void)unlink(listener->path);
        memory_free(listener->path);
    }
    memory_free(listener);
}

void listener_pause(struct listener *listener, bool is_paused) {
    if (is_paused) {
        (void)event_del(&listener->event);
    } else {
        (void)event_add(&listener->event, NULL);
    }
}

void listener_set_keepalive(struct listener *listener, int keepalive_seconds) {
    listener->keepalive_seconds = keepalive_seconds;
}

void listener_set_tls(struct listener *listener, const struct tls *tls, enum tls_role role) {
    listener->tls = tls;
    listener->tls_role = role;
}
