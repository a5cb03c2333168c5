/* SPDX-License-Identifier: BSD-3-Clause */
#include "platform/network_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/util.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/memory.h"

enum {
    /* Of one encrypted connection in one call: a socket's buffers, which bound it otherwise, are
     * filled and emptied by the other side meanwhile. */
    ENCRYPTED_BYTES_MAX = 1 << 20,
    TLS_RECORD_BYTES = 16 << 10,
    EXACT_WAIT_US_MAX = 10000, /* longer waits are exact enough by the loop's own timers */
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

void network_free(struct network *network) {
    network_cancel_lookups(network);
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
    if (network->watches_count == NETWORK_WATCHES_MAX) {
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

void connection_set_keepalive(int descriptor, int seconds) {
    int on = 1, interval = seconds / 3 > 0 ? seconds / 3 : 1, probes = 3;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

static void connection_on_writable(evutil_socket_t descriptor, short what, void *udata);

void connection_watch_room(struct connection *connection) {
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

void connection_on_readable(evutil_socket_t descriptor, short what, void *udata) {
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

void connection_note_pending(struct connection *connection) {
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
