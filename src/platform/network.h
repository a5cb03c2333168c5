/* SPDX-License-Identifier: BSD-3-Clause */
/* The event loop and its sockets, on libevent: listening, accepting, connecting, reading, sending,
 * and names to addresses.
 *
 * The loop turns once per network_wait(): it waits for events, calls the handlers for all that are
 * there, and returns, so that its owner can work on all of them together. Connections are read when
 * there is something to read; sending is tried at once by connection_send(), and the loop is only
 * asked to watch for room when the socket is full. One thread.
 *
 * A connection may be encrypted, for its owner like any other: it is handed over once the handshake
 * of TLS is through. Of connections that are taken, handshakes last NETWORK_HANDSHAKE_MS at most
 * and are so many at a time for each listener; a few of their steps, which are what costs, are done
 * in a turn. */
#ifndef PLATFORM_NETWORK_H
#define PLATFORM_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/tls.h"

struct network;
struct listener;
struct connection;

enum {
    NETWORK_HANDSHAKE_MS = 5000,
    NETWORK_HANDSHAKES_MAX = 128,  /* of one listener, unless it says otherwise */
    NETWORK_HANDSHAKES_A_TURN = 4, /* steps, which take up to some milliseconds each */
};

/* What happens on connections, by the kind that the owner gives them: those that a listener takes
 * have the listener's handlers. */
struct connection_handlers {
    void *udata;
    /* A new connection. The handler keeps it or closes it. */
    void (*accepted)(void *udata, struct connection *connection);
    /* A new connection did not get through its handshake: ETIMEDOUT; EMFILE when there were too
     * many at once; or EPROTO, see connection_failure(). The handler closes it. NULL: it is closed.
     */
    void (*rejected)(void *udata, struct connection *connection, int failure);
    /* network_connect() came to its end: `failure` is 0, or an errno (EPROTO: the handshake, see
     * connection_failure()), and then the handler closes the connection. May be NULL for
     * connections that are only accepted. */
    void (*connected)(void *udata, struct connection *connection, void *owner, int failure);
    /* There is something to read, or the end. `owner` is what connection_set_owner() was given. */
    void (*readable)(void *udata, struct connection *connection, void *owner);
    /* There is room to send again, after connection_watch_writable(). */
    void (*writable)(void *udata, struct connection *connection, void *owner);
};

/* NULL when the system has no event mechanism to offer. */
struct network *network_new(void);
/* All listeners and connections were closed before; lookups that are under way are given up. */
void network_free(struct network *network);
/* Waits for events for at most `timeout_us` (0: does not wait), and handles all that are there. */
void network_wait(struct network *network, uint64_t timeout_us);
/* Likewise, where network_wait() may be a millisecond late; it costs a system call. */
void network_wait_exactly(struct network *network, uint64_t timeout_us);
/* Calls `handler(udata, number)` when descriptor `number` is readable, or when the signal arrives.
 */
typedef void (*network_watch_fn)(void *udata, int number);
bool network_watch_descriptor(struct network *network, int descriptor, network_watch_fn handler,
                              void *udata);
bool network_watch_signal(struct network *network, int number, network_watch_fn handler,
                          void *udata);

struct listener_opts {
    const struct connection_handlers *handlers; /* copied */
    const char *address; /* "127.0.0.1", "::1", "*" for all of IPv4, "::*" for all of IPv6 */
    int port;
    const char *path;          /* a Unix socket instead */
    unsigned path_permissions; /* 0: as the umask says */
    int backlog;
    int keepalive_seconds; /* for its connections; 0: none */
    const struct tls *tls; /* outlives the listener; NULL: its connections are plain */
    enum tls_role tls_role;
    unsigned handshakes_max; /* at a time: the next one is rejected; 0: NETWORK_HANDSHAKES_MAX */
};

/* Begins to listen; NULL with words in `error` when that fails. `*is_missing` (may be NULL) says
 * that the machine has no such address or protocol. */
struct listener *network_listen(struct network *network, const struct listener_opts *opts,
                                char *error, size_t error_bytes, bool *is_missing);
void listener_free(struct listener *listener);
/* Lets connections wait to be accepted, or accepts them again. */
void listener_pause(struct listener *listener, bool is_paused);
void listener_set_keepalive(struct listener *listener, int keepalive_seconds);
/* For connections from now on. */
void listener_set_tls(struct listener *listener, const struct tls *tls, enum tls_role role);

/* ---- connections ---- */

struct connect_opts {
    const struct connection_handlers *handlers; /* copied */
    const char *address;                        /* "127.0.0.1:17001", "[::1]:17001" */
    void *owner;
    int keepalive_seconds; /* 0: none */
    const struct tls *tls; /* NULL: plain */
};
/* Begins to connect; ends in handlers->connected(), never from within. The owner sets a limit of
 * time. NULL with an errno in `*failure` when it cannot even begin. */
struct connection *network_connect(struct network *network, const struct connect_opts *opts,
                                   int *failure);

enum { CONNECTION_CLOSED = -1, CONNECTION_AGAIN = -2, CONNECTION_PIECES_MAX = 16 };

void connection_set_owner(struct connection *connection, void *owner);
/* Up to `room` bytes into `at`: how many, or CLOSED (end or error), or AGAIN. */
int64_t connection_read(struct connection *connection, char *at, size_t room);
/* Sends what the socket takes of the bytes: how many, or CLOSED, or AGAIN. After less than all of
 * them the next call begins with the rest. */
int64_t connection_send(struct connection *connection, const char *bytes, size_t size);
/* The same for CONNECTION_PIECES_MAX pieces at most that follow each other. */
int64_t connection_send_pieces(struct connection *connection, const struct slice *pieces,
                               size_t count);
void connection_watch_writable(struct connection *connection, bool is_wanted);
/* Stops or goes on calling `readable`. */
void connection_watch_readable(struct connection *connection, bool is_wanted);
/* Closes and frees it. */
void connection_close(struct connection *connection);
int connection_descriptor(const struct connection *connection);
bool connection_is_encrypted(const struct connection *connection);
/* Why TLS ended the connection; NULL when it is plain or has not failed. */
const struct tls_failure *connection_failure(const struct connection *connection);
/* Goes on without TLS, to tell something to one who does not speak it. */
void connection_end_encryption(struct connection *connection);
bool connection_is_unix(const struct connection *connection);
/* Does the other end sit on this machine: loopback or Unix socket? */
bool connection_is_local(const struct connection *connection);
/* "127.0.0.1:50000", "[::1]:50000", "/path:0": of the other end, or of ours. */
void connection_address(const struct connection *connection, bool is_ours, char *text,
                        size_t text_bytes);

/* ---- names ---- */

enum { NETWORK_ADDRESSES_MAX = 64 };
/* Gets all addresses of a name, as "address:port" each; none, with words in `failure`, when the
 * lookup failed. */
typedef void (*network_resolved_fn)(void *udata, const char *name, unsigned port,
                                    const char *const *addresses, size_t count,
                                    const char *failure);
/* Looks up a name without blocking; the configuration of the system's resolver is read anew. The
 * answer may come from within the call. */
void network_resolve(struct network *network, const char *name, unsigned port,
                     network_resolved_fn resolved, void *udata);
/* The address that this machine has towards `address` ("host:port", numeric), or towards the rest
 * of the world with NULL; "127.0.0.1" when there is none. */
void network_own_address(const char *address, char *text, size_t text_bytes);

#endif
