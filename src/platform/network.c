/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/memory.h"

enum {
    WATCHES_MAX = 16,
    ACCEPTS_PER_EVENT = 256, /* then others get their turn */
    NAME_BYTES_MAX = 255,
    ADDRESS_BYTES = 64, /* of a numeric address with its port */
    /* Of one encrypted connection in one call: a socket's buffers, which bound it otherwise, are
     * filled and emptied by the other side meanwhile. */
    ENCRYPTED_BYTES_MAX = 1 << 20,
    TLS_RECORD_BYTES = 16 << 10,
    EXACT_WAIT_US_MAX = 10000, /* longer waits are exact enough by the loop's own timers */
};

struct watch {
    struct event event;
    network_watch_fn handler;
    void *udata;
};

/* A lookup under way. */
struct lookup {
    struct lookup *next;
    struct network *network;
    network_resolved_fn resolved;
    void *udata;
    struct evdns_getaddrinfo_request *request;
    unsigned port;
    bool is_cancelled;
    char name[NAME_BYTES_MAX + 1];
};

struct network {
    struct event_base *base;
    struct connection *pending; /* something to read lies in their sessions, not in the socket */
    unsigned shakes_count;      /* steps of handshakes in this turn */
    struct evdns_base *dns;     /* made when it is first needed */
    struct lookup *lookups;
    struct event timer;
    int exact_timer; /* a descriptor */
    struct event exact_event;
    struct watch *watches[WATCHES_MAX];
    size_t watches_count;
};

struct listener {
    struct network *network;
    struct connection_handlers handlers;
    struct event event;
    int descriptor;
    int keepalive_seconds;
    char *path;
    const struct tls *tls;
    enum tls_role tls_role;
    unsigned handshakes_max;
    struct connection *shaking; /* in their handshake, not handed over yet */
    unsigned shaking_count;
};

/* The handshake of a connection: of one that was taken, in a list of its listener. */
struct handshake {
    struct connection *next, *previous;
    struct listener *listener; /* NULL: this side has connected */
    struct event timer;        /* only with a listener */
};

struct connection {
    struct network *network;
    struct connection_handlers handlers;
    void *owner;
    int descriptor;
    bool is_unix;
    bool is_connecting;
    bool waits_to_write; /* as the owner wants it */
    bool waits_to_read;
    bool watches_room;                                        /* write_event is added */
    struct tls_session *tls;                                  /* NULL: plain */
    struct handshake *handshake;                              /* under way */
    bool shake_wants_room, read_wants_room, send_wants_bytes; /* what TLS waits for */
    bool is_pending;                                          /* in the network's list */
    struct connection *next_pending;
    struct event read_event;
    struct event *write_event; /* made when it is first needed */
};

/* ---- the loop ---- */

static void network_on_exact_timer(evutil_socket_t descriptor, short what, void *udata) {
    uint64_t expirations;
    ssize_t size = read(descriptor, &expirations, sizeof(expirations));
    (void)size;
    (void)what;
    (void)udata;
}

static void network_on_timer(evutil_socket_t descriptor, short what, void *udata) {
    (void)descriptor;
    (void)what;
    (void)udata;
}

struct network *network_new(void) {
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
    (void)event_assign(&network->timer, base, -1, 0, network_on_timer, network);
    network->exact_timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (network->exact_timer < 0) {
        event_base_free(base);
        memory_free(network);
        return NULL;
    }
    (void)event_assign(&network->exact_event, base, network->exact_timer, EV_READ | EV_PERSIST,
                       network_on_exact_timer, network);
    (void)event_add(&network->exact_event, NULL);
    return network;
}

static void lookups_cancel(struct network *network);

void network_free(struct network *network) {
    lookups_cancel(network);
    for (size_t i = 0; i < network->watches_count; i++) {
        (void)event_del(&network->watches[i]->event);
        memory_free(network->watches[i]);
    }
    (void)event_del(&network->timer);
    (void)event_del(&network->exact_event);
    (void)close(network->exact_timer);
    event_base_free(network->base);
    memory_free(network);
}

/* What lies in sessions is handled in this turn, together with what comes from sockets. */
static void pending_activate(struct network *network) {
    while (network->pending != NULL) {
        struct connection *connection = network->pending;
        network->pending = connection->next_pending;
        connection->is_pending = false;
        event_active(&connection->read_event, EV_READ, 0);
    }
}

void network_wait(struct network *network, uint64_t timeout_us) {
    network->shakes_count = 0;
    pending_activate(network);
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

void network_wait_exactly(struct network *network, uint64_t timeout_us) {
    if (timeout_us > 0 && timeout_us < EXACT_WAIT_US_MAX) {
        struct itimerspec time = {.it_value.tv_nsec = (long)timeout_us * 1000};
        (void)timerfd_settime(network->exact_timer, 0, &time, NULL);
    }
    network_wait(network, timeout_us);
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

static void connection_on_writable(evutil_socket_t descriptor, short what, void *udata);

/* Waits for room in the socket for whoever needs it: the owner or TLS. */
static void connection_watch_room(struct connection *connection) {
    bool is_wanted = (connection->waits_to_write && !connection->send_wants_bytes) ||
                     connection->shake_wants_room || connection->read_wants_room;
    if (connection->watches_room == is_wanted) {
        return;
    }
    if (connection->write_event == NULL) {
        connection->write_event = memory_alloc_zero(sizeof(struct event));
        (void)event_assign(connection->write_event, connection->network->base,
                           connection->descriptor, EV_WRITE | EV_PERSIST, connection_on_writable,
                           connection);
    }
    connection->watches_room = is_wanted;
    if (is_wanted) {
        (void)event_add(connection->write_event, NULL);
    } else {
        (void)event_del(connection->write_event);
    }
}

static void connection_shake(struct connection *connection);

static void connection_on_readable(evutil_socket_t descriptor, short what, void *udata) {
    struct connection *connection = (struct connection *)udata;
    (void)descriptor;
    (void)what;
    if (connection->handshake != NULL) {
        connection_shake(connection);
        return;
    }
    if (connection->send_wants_bytes) {
        connection->send_wants_bytes = false;
        connection_watch_room(connection);
    }
    connection->handlers.readable(connection->handlers.udata, connection, connection->owner);
}

/* The connection stands, or cannot be made. */
static void connection_end_connecting(struct connection *connection) {
    int failure = 0;
    socklen_t size = sizeof(failure);
    if (getsockopt(connection->descriptor, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) {
        failure = errno;
    }
    connection->is_connecting = false;
    connection_watch_writable(connection, false);
    if (failure == 0) {
        connection_watch_readable(connection, true);
        if (connection->handshake != NULL) {
            connection_shake(connection);
            return;
        }
    }
    connection->handlers.connected(connection->handlers.udata, connection, connection->owner,
                                   failure);
}

static void connection_on_writable(evutil_socket_t descriptor, short what, void *udata) {
    struct connection *connection = (struct connection *)udata;
    (void)descriptor;
    (void)what;
    if (connection->is_connecting) {
        connection_end_connecting(connection);
        return;
    }
    if (connection->handshake != NULL) {
        connection_shake(connection);
        return;
    }
    if (connection->read_wants_room) {
        connection->read_wants_room = false;
        connection_watch_room(connection);
        connection->handlers.readable(connection->handlers.udata, connection, connection->owner);
        return; /* it may be closed; if not, and its owner waits for room, the loop comes again */
    }
    connection->handlers.writable(connection->handlers.udata, connection, connection->owner);
}

/* Looks at a session after it was used: what it holds has to be asked for. */
static void connection_note_pending(struct connection *connection) {
    struct network *network = connection->network;
    if (connection->tls != NULL && connection->handshake == NULL && !connection->is_pending &&
        connection->waits_to_read && tls_session_has_pending(connection->tls)) {
        connection->is_pending = true;
        connection->next_pending = network->pending;
        network->pending = connection;
    }
}

static void connection_forget_pending(struct connection *connection) {
    struct connection **at = &connection->network->pending;
    if (connection->is_pending) {
        while (*at != connection) {
            at = &(*at)->next_pending;
        }
        *at = connection->next_pending;
        connection->is_pending = false;
    }
}

/* ---- handshakes ---- */

static void handshake_free(struct connection *connection) {
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

static void connection_shake(struct connection *connection) {
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

static struct handshake *handshake_new(struct connection *connection, struct listener *listener) {
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

static struct connection *connection_new(struct network *network,
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
            set_keepalive(descriptor, keepalive_seconds);
        }
    }
    (void)event_assign(&connection->read_event, network->base, descriptor, EV_READ | EV_PERSIST,
                       connection_on_readable, connection);
    return connection;
}

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

/* ---- connections ---- */

struct connection *network_connect(struct network *network, const struct connect_opts *opts,
                                   int *failure) {
    struct sockaddr_storage address;
    int size = sizeof(address);
    if (evutil_parse_sockaddr_port(opts->address, (struct sockaddr *)&address, &size) != 0) {
        *failure = EINVAL;
        return NULL;
    }
    int descriptor = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        *failure = errno;
        return NULL;
    }
    if (connect(descriptor, (struct sockaddr *)&address, (socklen_t)size) != 0 &&
        errno != EINPROGRESS && errno != EINTR) {
        *failure = errno;
        (void)close(descriptor);
        return NULL;
    }
    struct connection *connection =
        connection_new(network, opts->handlers, descriptor, false, opts->keepalive_seconds);
    if (opts->tls != NULL) {
        connection->tls = tls_session_new(opts->tls, descriptor, TLS_DIALLER);
        if (connection->tls == NULL) {
            *failure = ENOMEM;
            connection_close(connection);
            return NULL;
        }
        (void)handshake_new(connection, NULL);
    }
    connection->owner = opts->owner;
    connection->is_connecting = true;
    /* Even when the socket stands already, its owner hears of it from the loop. */
    connection_watch_writable(connection, true);
    return connection;
}

void connection_set_owner(struct connection *connection, void *owner) {
    connection->owner = owner;
}

static int64_t read_encrypted(struct connection *connection, char *at, size_t room) {
    enum tls_step step;
    size_t size = tls_session_read(connection->tls, at,
                                   room < ENCRYPTED_BYTES_MAX ? room : ENCRYPTED_BYTES_MAX, &step);
    connection_note_pending(connection);
    if (size == 0 && step == TLS_WANTS_WRITE) {
        connection->read_wants_room = true;
        connection_watch_room(connection);
    }
    if (size == 0) {
        return step == TLS_FAILED ? CONNECTION_CLOSED : CONNECTION_AGAIN;
    }
    return (int64_t)size;
}

static int64_t send_encrypted(struct connection *connection, const char *bytes, size_t size) {
    enum tls_step step;
    size_t sent = tls_session_send(connection->tls, bytes,
                                   size < ENCRYPTED_BYTES_MAX ? size : ENCRYPTED_BYTES_MAX, &step);
    if (sent == 0 && step == TLS_WANTS_READ) {
        connection->send_wants_bytes = true;
        connection_watch_room(connection);
    }
    if (sent == 0 && size > 0) {
        return step == TLS_FAILED ? CONNECTION_CLOSED : CONNECTION_AGAIN;
    }
    return (int64_t)sent;
}

int64_t connection_read(struct connection *connection, char *at, size_t room) {
    if (connection->tls != NULL) {
        return read_encrypted(connection, at, room);
    }
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

/* What a call that sends has come to; false: it is to be made again. */
static bool has_sent(ssize_t size, int64_t *sent) {
    if (size >= 0) {
        *sent = size;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        *sent = CONNECTION_AGAIN;
    } else {
        *sent = CONNECTION_CLOSED;
        return errno != EINTR;
    }
    return true;
}

int64_t connection_send(struct connection *connection, const char *bytes, size_t size) {
    if (connection->tls != NULL) {
        return connection->handshake == NULL ? send_encrypted(connection, bytes, size)
                                             : CONNECTION_AGAIN;
    }
    int64_t sent;
    while (!has_sent(send(connection->descriptor, bytes, size, MSG_NOSIGNAL), &sent)) {
    }
    return sent;
}

/* The next bytes of the pieces behind `offset`: those of a long piece where they lie, short ones
 * together in `scratch`, since each call becomes a record with bytes of its own. */
static struct slice next_of_pieces(const struct slice *pieces, size_t count, size_t offset,
                                   char *scratch) {
    size_t size = 0;
    for (size_t i = 0; i < count && size < TLS_RECORD_BYTES; i++) {
        if (offset >= pieces[i].size) {
            offset -= pieces[i].size;
            continue;
        }
        struct slice piece = slice_skip(pieces[i], offset);
        offset = 0;
        if (size == 0 && (piece.size >= TLS_RECORD_BYTES || i + 1 == count)) {
            return piece;
        }
        size_t room = TLS_RECORD_BYTES - size;
        size_t taken = piece.size < room ? piece.size : room;
        memcpy(scratch + size, piece.data, taken);
        size += taken;
    }
    return slice_make(scratch, size);
}

static int64_t send_pieces_encrypted(struct connection *connection, const struct slice *pieces,
                                     size_t count) {
    char scratch[TLS_RECORD_BYTES];
    size_t total = 0;
    for (;;) {
        struct slice next = next_of_pieces(pieces, count, total, scratch);
        int64_t sent =
            next.size > 0 ? connection_send(connection, next.data, next.size) : CONNECTION_AGAIN;
        if (sent < 0) {
            return total > 0 ? (int64_t)total : sent; /* it will say so again */
        }
        total += (size_t)sent;
        if ((size_t)sent < next.size) {
            return (int64_t)total;
        }
    }
}

int64_t connection_send_pieces(struct connection *connection, const struct slice *pieces,
                               size_t count) {
    require(count > 0);
    require(count <= CONNECTION_PIECES_MAX);
    if (connection->tls != NULL) {
        return send_pieces_encrypted(connection, pieces, count);
    }
    struct iovec vectors[CONNECTION_PIECES_MAX];
    for (size_t i = 0; i < count; i++) {
        vectors[i] = (struct iovec){.iov_base = (void *)(uintptr_t)pieces[i].data,
                                    .iov_len = pieces[i].size};
    }
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
    int64_t sent;
    while (!has_sent(sendmsg(connection->descriptor, &message, MSG_NOSIGNAL), &sent)) {
    }
    return sent;
}

void connection_watch_writable(struct connection *connection, bool is_wanted) {
    connection->waits_to_write = is_wanted;
    connection_watch_room(connection);
}

void connection_watch_readable(struct connection *connection, bool is_wanted) {
    if (connection->waits_to_read == is_wanted) {
        return;
    }
    connection->waits_to_read = is_wanted;
    if (is_wanted) {
        (void)event_add(&connection->read_event, NULL);
        connection_note_pending(connection);
    } else {
        (void)event_del(&connection->read_event);
        connection_forget_pending(connection);
    }
}

static void connection_free_session(struct connection *connection) {
    if (connection->handshake != NULL) {
        handshake_free(connection);
    }
    if (connection->tls != NULL) {
        connection_forget_pending(connection);
        tls_session_free(connection->tls);
        connection->tls = NULL;
    }
    connection->shake_wants_room = connection->read_wants_room = false;
    connection->send_wants_bytes = false;
}

void connection_close(struct connection *connection) {
    connection_watch_readable(connection, false);
    connection_free_session(connection);
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

bool connection_is_encrypted(const struct connection *connection) {
    return connection->tls != NULL;
}

const struct tls_failure *connection_failure(const struct connection *connection) {
    const struct tls_failure *failure =
        connection->tls != NULL ? tls_session_failure(connection->tls) : NULL;
    return failure != NULL && failure->fault != TLS_FAULT_NONE ? failure : NULL;
}

void connection_end_encryption(struct connection *connection) {
    connection_free_session(connection);
    connection_watch_room(connection);
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

/* ---- names ---- */

static void lookup_end(struct lookup *lookup) {
    struct lookup **at = &lookup->network->lookups;
    while (*at != lookup) {
        at = &(*at)->next;
    }
    *at = lookup->next;
    memory_free(lookup);
}

static void lookup_done(int status, struct evutil_addrinfo *found, void *udata) {
    struct lookup *lookup = (struct lookup *)udata;
    char texts[NETWORK_ADDRESSES_MAX][ADDRESS_BYTES];
    const char *addresses[NETWORK_ADDRESSES_MAX];
    size_t count = 0;
    for (const struct evutil_addrinfo *at = found; at != NULL && count < NETWORK_ADDRESSES_MAX;
         at = at->ai_next) {
        char host[INET6_ADDRSTRLEN];
        bool is_ipv6 = at->ai_family == AF_INET6;
        const void *bytes = is_ipv6 ? (const void *)&((struct sockaddr_in6 *)at->ai_addr)->sin6_addr
                                    : (const void *)&((struct sockaddr_in *)at->ai_addr)->sin_addr;
        if ((is_ipv6 || at->ai_family == AF_INET) &&
            inet_ntop(at->ai_family, bytes, host, sizeof(host)) != NULL) {
            (void)snprintf(texts[count], ADDRESS_BYTES, is_ipv6 ? "[%s]:%u" : "%s:%u", host,
                           lookup->port);
            addresses[count] = texts[count];
            count++;
        }
    }
    if (found != NULL) {
        evutil_freeaddrinfo(found);
    }
    if (!lookup->is_cancelled) {
        lookup->resolved(lookup->udata, lookup->name, lookup->port, addresses, count,
                         count > 0 ? NULL : evutil_gai_strerror(status));
    }
    lookup_end(lookup);
}

/* The resolver as the system is configured now, or NULL. */
static struct evdns_base *lookups_resolver(struct network *network) {
    if (network->dns != NULL && network->lookups == NULL) {
        evdns_base_free(network->dns, 0);
        network->dns = NULL;
    }
    if (network->dns == NULL) {
        network->dns = evdns_base_new(network->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (network->dns != NULL) {
            /* What fails to be read leaves the defaults: a resolver on this machine. */
            (void)evdns_base_resolv_conf_parse(network->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
        }
    }
    return network->dns;
}

void network_resolve(struct network *network, const char *name, unsigned port,
                     network_resolved_fn resolved, void *udata) {
    struct evdns_base *dns = strlen(name) <= NAME_BYTES_MAX ? lookups_resolver(network) : NULL;
    if (dns == NULL) {
        resolved(udata, name, port, NULL, 0, evutil_gai_strerror(EVUTIL_EAI_FAIL));
        return;
    }
    struct lookup *lookup = memory_alloc_zero(sizeof(*lookup));
    lookup->network = network;
    lookup->resolved = resolved;
    lookup->udata = udata;
    lookup->port = port;
    (void)snprintf(lookup->name, sizeof(lookup->name), "%s", name);
    lookup->next = network->lookups;
    network->lookups = lookup;
    struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(dns, name, NULL, &hints, lookup_done, lookup);
    /* NULL: answered from within, and the lookup is gone. */
    if (request != NULL) {
        lookup->request = request;
    }
}

/* Answers of what is given up come through the loop. */
static void lookups_cancel(struct network *network) {
    for (struct lookup *lookup = network->lookups; lookup != NULL; lookup = lookup->next) {
        lookup->is_cancelled = true;
        if (lookup->request != NULL) {
            evdns_getaddrinfo_cancel(lookup->request);
        }
    }
    for (int i = 0; i < 4 && network->lookups != NULL; i++) {
        (void)event_base_loop(network->base, EVLOOP_NONBLOCK);
    }
    if (network->dns != NULL) {
        evdns_base_free(network->dns, 0);
    }
}

void network_own_address(const char *address, char *text, size_t text_bytes) {
    /* A datagram socket that is connected sends nothing, but knows its way. The address of the
     * default is one that is reserved for documentation. */
    struct sockaddr_storage there, here;
    int size = sizeof(there);
    socklen_t here_size = sizeof(here);
    char host[INET6_ADDRSTRLEN];
    (void)snprintf(text, text_bytes, "127.0.0.1");
    if (evutil_parse_sockaddr_port(address != NULL ? address : "192.0.2.1:9",
                                   (struct sockaddr *)&there, &size) != 0) {
        return;
    }
    int descriptor = socket(there.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return;
    }
    bool is_known = connect(descriptor, (struct sockaddr *)&there, (socklen_t)size) == 0 &&
                    getsockname(descriptor, (struct sockaddr *)&here, &here_size) == 0;
    (void)close(descriptor);
    bool is_ipv6 = is_known && here.ss_family == AF_INET6;
    const void *bytes = is_ipv6 ? (const void *)&((struct sockaddr_in6 *)&here)->sin6_addr
                                : (const void *)&((struct sockaddr_in *)&here)->sin_addr;
    if (is_known && inet_ntop(here.ss_family, bytes, host, sizeof(host)) != NULL) {
        (void)snprintf(text, text_bytes, is_ipv6 ? "[%s]" : "%s", host);
    }
}
