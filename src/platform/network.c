/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"

enum {
    WATCHES_MAX = 16,
    ACCEPTS_PER_EVENT = 256, /* then others get their turn */
};

struct watch {
    struct event event;
    network_watch_fn handler;
    void *udata;
};

struct network {
    struct event_base *base;
    struct network_handlers handlers;
    struct event timer;
    struct watch *watches[WATCHES_MAX];
    size_t watches_count;
};

struct listener {
    struct network *network;
    struct event event;
    int descriptor;
    int keepalive_seconds;
    char *path;
};

struct connection {
    struct network *network;
    void *owner;
    int descriptor;
    bool is_unix;
    bool waits_to_write;
    bool waits_to_read;
    struct event read_event;
    struct event *write_event; /* made when it is first needed */
};

/* ---- the loop ---- */

static void network_on_timer(evutil_socket_t descriptor, short what, void *udata) {
    (void)descriptor;
    (void)what;
    (void)udata;
}

struct network *network_new(const struct network_handlers *handlers) {
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    /* All changes come from one thread, and clocks to the millisecond are fine enough here. */
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    if (base == NULL) {
        return NULL;
    }
    struct network *network = memory_alloc_zero(sizeof(*network));
    network->base = base;
    network->handlers = *handlers;
    (void)event_assign(&network->timer, base, -1, 0, network_on_timer, network);
    return network;
}

void network_free(struct network *network) {
    for (size_t i = 0; i < network->watches_count; i++) {
        (void)event_del(&network->watches[i]->event);
        memory_free(network->watches[i]);
    }
    (void)event_del(&network->timer);
    event_base_free(network->base);
    memory_free(network);
}

void network_wait(struct network *network, uint64_t timeout_us) {
    if (timeout_us == 0) {
        /* Without ONCE it would go round while anything is readable. */
        (void)event_base_loop(network->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        return;
    }
    struct timeval timeout = {.tv_sec = (time_t)(timeout_us / 1000000),
                              .tv_usec = (suseconds_t)(timeout_us % 1000000)};
    (void)event_add(&network->timer, &timeout);
    (void)event_base_loop(network->base, EVLOOP_ONCE);
}

static void network_on_watch(evutil_socket_t descriptor, short what, void *udata) {
    const struct watch *watch = (const struct watch *)udata;
    (void)what;
    watch->handler(watch->udata, (int)descriptor);
}

static bool network_watch(struct network *network, int number, short what, network_watch_fn handler,
                          void *udata) {
    if (network->watches_count == WATCHES_MAX) {
        return false;
    }
    struct watch *watch = memory_alloc_zero(sizeof(*watch));
    watch->handler = handler;
    watch->udata = udata;
    (void)event_assign(&watch->event, network->base, number, what, network_on_watch, watch);
    if (event_add(&watch->event, NULL) != 0) {
        memory_free(watch);
        return false;
    }
    network->watches[network->watches_count++] = watch;
    return true;
}

bool network_watch_descriptor(struct network *network, int descriptor, network_watch_fn handler,
                              void *udata) {
    return network_watch(network, descriptor, EV_READ | EV_PERSIST, handler, udata);
}

bool network_watch_signal(struct network *network, int number, network_watch_fn handler,
                          void *udata) {
    return network_watch(network, number, EV_SIGNAL | EV_PERSIST, handler, udata);
}

/* ---- listening ---- */

static void set_keepalive(int descriptor, int seconds) {
    int on = 1, interval = seconds / 3 > 0 ? seconds / 3 : 1, probes = 3;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

static void connection_on_readable(evutil_socket_t descriptor, short what, void *udata) {
    struct connection *connection = (struct connection *)udata;
    (void)descriptor;
    (void)what;
    const struct network_handlers *handlers = &connection->network->handlers;
    handlers->readable(handlers->udata, connection, connection->owner);
}

static void connection_on_writable(evutil_socket_t descriptor, short what, void *udata) {
    struct connection *connection = (struct connection *)udata;
    (void)descriptor;
    (void)what;
    const struct network_handlers *handlers = &connection->network->handlers;
    handlers->writable(handlers->udata, connection, connection->owner);
}

static void listener_take(struct listener *listener, int descriptor) {
    struct network *network = listener->network;
    struct connection *connection = memory_alloc_zero(sizeof(*connection));
    connection->network = network;
    connection->descriptor = descriptor;
    connection->is_unix = listener->path != NULL;
    if (!connection->is_unix) {
        int on = 1;
        (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (listener->keepalive_seconds > 0) {
            set_keepalive(descriptor, listener->keepalive_seconds);
        }
    }
    (void)event_assign(&connection->read_event, network->base, descriptor, EV_READ | EV_PERSIST,
                       connection_on_readable, connection);
    connection_watch_readable(connection, true);
    network->handlers.accepted(network->handlers.udata, connection);
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
    listener->descriptor = descriptor;
    listener->keepalive_seconds = opts->keepalive_seconds;
    listener->path = opts->path != NULL ? memory_copy_text(opts->path) : NULL;
    (void)event_assign(&listener->event, network->base, descriptor, EV_READ | EV_PERSIST,
                       listener_on_readable, listener);
    (void)event_add(&listener->event, NULL);
    return listener;
}

void listener_free(struct listener *listener) {
    (void)event_del(&listener->event);
    (void)close(listener->descriptor);
    if (listener->path != NULL) {
        (void)unlink(listener->path);
        memory_free(listener->path);
    }
    memory_free(listener);
}

void listener_set_keepalive(struct listener *listener, int keepalive_seconds) {
    listener->keepalive_seconds = keepalive_seconds;
}

/* ---- connections ---- */

void connection_set_owner(struct connection *connection, void *owner) {
    connection->owner = owner;
}

int64_t connection_read(struct connection *connection, char *at, size_t room) {
    for (;;) {
        ssize_t size = recv(connection->descriptor, at, room, 0);
        if (size > 0) {
            return size;
        }
        if (size == 0) {
            return CONNECTION_CLOSED;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return CONNECTION_AGAIN;
        }
        if (errno != EINTR) {
            return CONNECTION_CLOSED;
        }
    }
}

int64_t connection_send(struct connection *connection, const char *bytes, size_t size) {
    for (;;) {
        ssize_t sent = send(connection->descriptor, bytes, size, MSG_NOSIGNAL);
        if (sent >= 0) {
            return sent;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return CONNECTION_AGAIN;
        }
        if (errno != EINTR) {
            return CONNECTION_CLOSED;
        }
    }
}

void connection_watch_writable(struct connection *connection, bool is_wanted) {
    if (connection->waits_to_write == is_wanted) {
        return;
    }
    if (connection->write_event == NULL) {
        connection->write_event = memory_alloc_zero(sizeof(struct event));
        (void)event_assign(connection->write_event, connection->network->base,
                           connection->descriptor, EV_WRITE | EV_PERSIST, connection_on_writable,
                           connection);
    }
    connection->waits_to_write = is_wanted;
    if (is_wanted) {
        (void)event_add(connection->write_event, NULL);
    } else {
        (void)event_del(connection->write_event);
    }
}

void connection_watch_readable(struct connection *connection, bool is_wanted) {
    if (connection->waits_to_read == is_wanted) {
        return;
    }
    connection->waits_to_read = is_wanted;
    if (is_wanted) {
        (void)event_add(&connection->read_event, NULL);
    } else {
        (void)event_del(&connection->read_event);
    }
}

void connection_close(struct connection *connection) {
    connection_watch_readable(connection, false);
    if (connection->write_event != NULL) {
        connection_watch_writable(connection, false);
        memory_free(connection->write_event);
    }
    (void)close(connection->descriptor);
    memory_free(connection);
}

int connection_descriptor(const struct connection *connection) {
    return connection->descriptor;
}

bool connection_is_unix(const struct connection *connection) {
    return connection->is_unix;
}

static bool connection_name(const struct connection *connection, bool is_ours,
                            struct sockaddr_storage *address) {
    socklen_t size = sizeof(*address);
    return (is_ours ? getsockname : getpeername)(connection->descriptor, (struct sockaddr *)address,
                                                 &size) == 0;
}

bool connection_is_local(const struct connection *connection) {
    struct sockaddr_storage address;
    if (connection->is_unix) {
        return true;
    }
    if (!connection_name(connection, false, &address)) {
        return false;
    }
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&address;
        return ntohl(ipv4->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&address;
    return address.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&ipv6->sin6_addr);
}

void connection_address(const struct connection *connection, bool is_ours, char *text,
                        size_t text_bytes) {
    struct sockaddr_storage address;
    char host[INET6_ADDRSTRLEN] = "?";
    if (!connection_name(connection, is_ours, &address)) {
        (void)snprintf(text, text_bytes, "?:0");
    } else if (address.ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&address;
        (void)inet_ntop(AF_INET, &ipv4->sin_addr, host, sizeof(host));
        (void)snprintf(text, text_bytes, "%s:%u", host, ntohs(ipv4->sin_port));
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&address;
        (void)inet_ntop(AF_INET6, &ipv6->sin6_addr, host, sizeof(host));
        (void)snprintf(text, text_bytes, "[%s]:%u", host, ntohs(ipv6->sin6_port));
    } else {
        /* The other end of a Unix socket has no name: both show ours. */
        (void)connection_name(connection, true, &address);
        (void)snprintf(text, text_bytes, "%s:0", ((const struct sockaddr_un *)&address)->sun_path);
    }
}
