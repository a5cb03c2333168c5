/* SPDX-License-Identifier: BSD-3-Clause */
/* Loop, listeners and connections, between the files that make them: network.h. */
#ifndef PLATFORM_NETWORK_INTERNAL_H
#define PLATFORM_NETWORK_INTERNAL_H

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#include "platform/network.h"

enum {
    NETWORK_WATCHES_MAX = 16,
    NETWORK_NAME_BYTES_MAX = 255,
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
    char name[NETWORK_NAME_BYTES_MAX + 1];
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
    struct watch *watches[NETWORK_WATCHES_MAX];
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

/* ---- network.c ---- */

void connection_set_keepalive(int descriptor, int seconds);
/* Waits for room in the socket for whoever needs it: the owner or TLS. */
void connection_watch_room(struct connection *connection);
/* The event of a socket that has something to read. */
void connection_on_readable(evutil_socket_t descriptor, short what, void *udata);
/* Looks at a session after it was used: what it holds has to be asked for. */
void connection_note_pending(struct connection *connection);

/* ---- network_listen.c ---- */

/* Owns the descriptor from now on. */
struct connection *connection_new(struct network *network,
                                  const struct connection_handlers *handlers, int descriptor,
                                  bool is_unix, int keepalive_seconds);
/* Begins a handshake; `listener`: that has taken the connection, or NULL. */
struct handshake *handshake_new(struct connection *connection, struct listener *listener);
/* Goes on with the handshake, as far as it can. */
void connection_shake(struct connection *connection);
void handshake_free(struct connection *connection);

/* ---- network_names.c ---- */

/* Answers of what is given up come through the loop. */
void network_cancel_lookups(struct network *network);

#endif
