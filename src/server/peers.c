/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/peers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "node/node_mesh.h"
#include "platform/process.h"
#include "platform/secret.h"

enum {
    LISTENERS_MAX = 16,
    ADDRESS_BYTES = 128,
    BACKLOG = 128,
    KEEPALIVE_SECONDS = 30, /* the mesh sees silence itself; this is for half-open sockets */
    READ_BYTES_PER_TURN = 256 << 10, /* of one peer, then others get their turn */
    LOOKUP_TOLD_US = 60000000,       /* a name that cannot be looked up is told of so often */
};

/* A connection with another node, made or taken. */
struct peer {
    struct peer *next, *previous;
    struct peers *peers;
    struct connection *connection;
    struct mesh_link *link;
    bool has_output; /* in the list of those with something to send */
    bool is_stopped; /* not read: the mesh has no room */
    bool has_spoken; /* bytes have come */
    struct peer *next_output;
};

struct peers {
    struct network *network;
    const struct options *options;
    const struct tls *tls;
    struct mesh *mesh;
    struct connection_handlers handlers;
    struct listener *listeners[LISTENERS_MAX];
    size_t listeners_count;
    struct peer *peers, *output;
    unsigned stopped_count;
    struct {
        uint64_t name_hash, told_us;
    } failed_lookups[MESH_SEEDS_MAX]; /* the newest ones that were told */
    unsigned failed_next;
    peers_say_fn say;
    void *udata;
};

static void say(const struct peers *peers, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(const struct peers *peers, enum log_level level, const char *format, ...) {
    struct buffer text = {0};
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    peers->say(peers->udata, level, buffer_text(&text));
    buffer_deinit(&text);
}

/* ---- peers ---- */

static struct peer *peer_new(struct peers *peers) {
    struct peer *peer = memory_alloc_zero(sizeof(*peer));
    peer->peers = peers;
    peer->next = peers->peers;
    if (peers->peers != NULL) {
        peers->peers->previous = peer;
    }
    peers->peers = peer;
    return peer;
}

/* Closes the connection and forgets the peer. */
static void peer_free(struct peer *peer) {
    struct peers *peers = peer->peers;
    if (peer->has_output) {
        struct peer **at = &peers->output;
        while (*at != peer) {
            at = &(*at)->next_output;
        }
        *at = peer->next_output;
    }
    peers->stopped_count -= peer->is_stopped;
    *(peer->previous != NULL ? &peer->previous->next : &peers->peers) = peer->next;
    if (peer->next != NULL) {
        peer->next->previous = peer->previous;
    }
    if (peer->connection != NULL) {
        connection_close(peer->connection);
    }
    memory_free(peer);
}

/* Ends a link because of TLS; the mesh closes the connection by host_close(). */
static void peer_refused(struct peer *peer, const struct tls_failure *failure) {
    static const enum mesh_reason REASONS[] = {
        [TLS_FAULT_NONE] = MESH_REASON_CLOSED,
        [TLS_FAULT_CLOSED] = MESH_REASON_CLOSED,
        [TLS_FAULT_NOT_TLS] = MESH_REASON_TLS,
        [TLS_FAULT_PROTOCOL] = MESH_REASON_TLS,
        [TLS_FAULT_CERTIFICATE] = MESH_REASON_CERTIFICATE,
    };
    struct tls_failure copy = *failure; /* it goes with the connection */
    bool is_plain = copy.fault == TLS_FAULT_NOT_TLS;
    if (is_plain) {
        /* The other side may be a node without TLS: it understands a refusal in plain. */
        connection_end_encryption(peer->connection);
    }
    mesh_link_refused(peer->link, REASONS[copy.fault], copy.text, copy.is_by_peer, is_plain);
}

/* The connection ended by itself. */
static void peer_lost(struct peer *peer) {
    struct mesh_link *link = peer->link;
    const struct tls_failure *failure =
        peer->connection != NULL ? connection_failure(peer->connection) : NULL;
    if (failure != NULL && failure->fault != TLS_FAULT_CLOSED) {
        peer_refused(peer, failure);
        return;
    }
    peer_free(peer);
    mesh_link_closed(link, MESH_REASON_CLOSED);
}

static struct peer *peer_of(const struct peers *peers, const struct mesh_link *link) {
    struct peer *peer = peers->peers;
    while (peer != NULL && peer->link != link) {
        peer = peer->next;
    }
    return peer;
}

/* Sends what the socket takes; false when the connection is gone, which the mesh was not told. */
static bool peer_send(struct peer *peer) {
    for (;;) {
        struct slice pieces[CONNECTION_PIECES_MAX];
        size_t count = mesh_link_output_pieces(peer->link, pieces, CONNECTION_PIECES_MAX);
        if (count == 0) {
            connection_watch_writable(peer->connection, false);
            return true;
        }
        size_t size = 0;
        for (size_t i = 0; i < count; i++) {
            size += pieces[i].size;
        }
        int64_t sent = connection_send_pieces(peer->connection, pieces, count);
        if (sent == CONNECTION_CLOSED) {
            return false;
        }
        if (sent != CONNECTION_AGAIN) {
            mesh_link_sent(peer->link, (size_t)sent);
        }
        if (sent == CONNECTION_AGAIN || (size_t)sent < size) {
            connection_watch_writable(peer->connection, true);
            return true;
        }
    }
}

/* ---- what happens on connections ---- */

/* Does nothing tell nodes of this mesh from anybody else? */
static bool is_unprotected(const struct peers *peers) {
    const struct options *options = peers->options;
    return options->protected_mode && options->mesh_auth[0] == '\0' && !options->mesh_tls;
}

static struct peer *peer_accept(struct peers *peers, struct connection *connection,
                                const char *address) {
    struct peer *peer = peer_new(peers);
    peer->connection = connection;
    connection_set_owner(connection, peer);
    peer->link = mesh_accept(peers->mesh, peer, address);
    return peer;
}

static void on_accepted(void *udata, struct connection *connection) {
    struct peers *peers = (struct peers *)udata;
    char address[ADDRESS_BYTES];
    connection_address(connection, false, address, sizeof(address));
    if (is_unprotected(peers) && !connection_is_local(connection)) {
        say(peers, LOG_LEVEL_WARNING,
            "A node at %s was refused: protected-mode is on, mesh-auth is empty and mesh-tls is "
            "off, so only nodes on this machine are let in. Set mesh-auth to the same secret on "
            "all "
            "nodes, or turn mesh-tls on.",
            address);
        static const char REFUSAL[] =
            "-DENIED protected-mode is on, mesh-auth is empty and mesh-tls is off\r\n";
        (void)connection_send(connection, REFUSAL, sizeof(REFUSAL) - 1);
        connection_close(connection);
        return;
    }
    /* Its handshake may have begun before mesh-tls was turned off. */
    if (peers->mesh == NULL || connection_is_encrypted(connection) != peers->options->mesh_tls) {
        connection_close(connection);
        return;
    }
    (void)peer_accept(peers, connection, address);
}

/* It connected, and did not get through the handshake of TLS: the mesh remembers why. */
static void on_rejected(void *udata, struct connection *connection, int failure) {
    struct peers *peers = (struct peers *)udata;
    const struct tls_failure *why = connection_failure(connection);
    char address[ADDRESS_BYTES];
    if (peers->mesh == NULL || failure == ENOMEM) {
        connection_close(connection);
        return;
    }
    connection_address(connection, false, address, sizeof(address));
    struct peer *peer = peer_accept(peers, connection, address);
    if (failure == EPROTO && why != NULL) {
        peer_lost(peer);
    } else if (failure == EMFILE) {
        mesh_link_refused(peer->link, MESH_REASON_LIMIT, "too many handshakes of TLS at once",
                          false, false);
    } else {
        struct mesh_link *link = peer->link;
        peer_free(peer);
        mesh_link_closed(link, MESH_REASON_TIMEOUT);
    }
}

static void on_connected(void *udata, struct connection *connection, void *owner, int failure) {
    struct peer *peer = (struct peer *)owner;
    (void)udata;
    (void)connection;
    if (failure != 0) {
        peer_lost(peer);
    } else {
        mesh_link_opened(peer->link, peer);
    }
}

/* A plain connection begins with a handshake of TLS: without this it would be called garbage. */
static bool is_tls(const struct peer *peer, const char *bytes, int64_t size) {
    return !peer->has_spoken && !connection_is_encrypted(peer->connection) && size >= 2 &&
           bytes[0] == 0x16 && bytes[1] == 3;
}

static void on_readable(void *udata, struct connection *connection, void *owner) {
    struct peers *peers = (struct peers *)udata;
    struct peer *peer = (struct peer *)owner;
    for (size_t total = 0; total < READ_BYTES_PER_TURN;) {
        size_t room;
        char *at = mesh_link_input_space(peer->link, &room);
        if (at == NULL) {
            peer->is_stopped = true;
            peers->stopped_count++;
            connection_watch_readable(connection, false);
            return;
        }
        int64_t size = connection_read(connection, at, room);
        if (size == CONNECTION_CLOSED) {
            peer_lost(peer);
            return;
        }
        if (size == CONNECTION_AGAIN) {
            return;
        }
        if (is_tls(peer, at, size)) {
            mesh_link_refused(peer->link, MESH_REASON_TLS, "it speaks TLS, this node does not",
                              false, true);
            return;
        }
        peer->has_spoken = true;
        mesh_link_input(peer->link, (size_t)size);
        if ((size_t)size < room) {
            return;
        }
        total += (size_t)size;
    }
}

static void on_writable(void *udata, struct connection *connection, void *owner) {
    struct peer *peer = (struct peer *)owner;
    (void)udata;
    (void)connection;
    if (!peer_send(peer)) {
        peer_lost(peer);
    }
}

void peers_flush(struct peers *peers) {
    while (peers->output != NULL) {
        struct peer *peer = peers->output;
        peers->output = peer->next_output;
        peer->has_output = false;
        if (!peer_send(peer)) {
            peer_lost(peer);
        }
    }
    if (peers->stopped_count == 0) {
        return;
    }
    for (struct peer *peer = peers->peers; peer != NULL; peer = peer->next) {
        size_t room;
        if (peer->is_stopped && mesh_link_input_space(peer->link, &room) != NULL) {
            peer->is_stopped = false;
            peers->stopped_count--;
            connection_watch_readable(peer->connection, true);
        }
    }
}

/* ---- what the mesh asks for ---- */

static void host_dial(void *udata, struct mesh_link *link, const char *address) {
    struct peers *peers = (struct peers *)udata;
    struct peer *peer = peer_new(peers);
    struct connect_opts opts = {.handlers = &peers->handlers,
                                .address = address,
                                .owner = peer,
                                .keepalive_seconds = KEEPALIVE_SECONDS,
                                .tls = peers->options->mesh_tls ? peers->tls : NULL};
    int failure = 0;
    peer->link = link;
    peer->connection = network_connect(peers->network, &opts, &failure);
    if (peer->connection == NULL) {
        say(peers, LOG_LEVEL_VERBOSE, "Cannot connect to %s: %s", address, strerror(failure));
        peer_lost(peer);
    }
}

static void host_send(void *udata, struct mesh_link *link) {
    struct peers *peers = (struct peers *)udata;
    struct peer *peer = (struct peer *)mesh_link_connection(link);
    if (peer != NULL && !peer->has_output) {
        peer->has_output = true;
        peer->next_output = peers->output;
        peers->output = peer;
    }
}

static void host_close(void *udata, struct mesh_link *link) {
    struct peer *peer = (struct peer *)mesh_link_connection(link);
    if (peer == NULL) {
        peer = peer_of((const struct peers *)udata, link);
    } else {
        /* The last words, such as a reason: whether they arrive does not matter. */
        (void)peer_send(peer);
    }
    if (peer != NULL) {
        peer_free(peer);
    }
}

/* Was this failure told of just now? Notes that it is. */
static bool lookup_was_told(struct peers *peers, const char *name, unsigned port) {
    static const struct hash_seed SEED = {1, 2};
    uint64_t hash = hash_bytes(SEED, slice_of(name)) + port;
    uint64_t now_us = process_monotonic_us();
    for (unsigned i = 0; i < MESH_SEEDS_MAX; i++) {
        if (peers->failed_lookups[i].name_hash == hash) {
            bool was_told = now_us - peers->failed_lookups[i].told_us < LOOKUP_TOLD_US;
            peers->failed_lookups[i].told_us = was_told ? peers->failed_lookups[i].told_us : now_us;
            return was_told;
        }
    }
    peers->failed_lookups[peers->failed_next].name_hash = hash;
    peers->failed_lookups[peers->failed_next].told_us = now_us;
    peers->failed_next = (peers->failed_next + 1) % MESH_SEEDS_MAX;
    return false;
}

static void on_resolved(void *udata, const char *name, unsigned port, const char *const *addresses,
                        size_t count, const char *failure) {
    struct peers *peers = (struct peers *)udata;
    if (count == 0) {
        say(peers, lookup_was_told(peers, name, port) ? LOG_LEVEL_VERBOSE : LOG_LEVEL_WARNING,
            "The seed %s:%u cannot be looked up: %s", name, port, failure);
    }
    if (peers->mesh != NULL) {
        mesh_resolved(peers->mesh, name, port, addresses, count);
    }
}

static void host_resolve(void *udata, const char *name, unsigned port) {
    struct peers *peers = (struct peers *)udata;
    network_resolve(peers->network, name, port, on_resolved, peers);
}

static void host_hmac_sha256(void *udata, struct slice key, struct slice text, uint8_t digest[32]) {
    (void)udata;
    secret_hmac_sha256(key, text, digest);
}

static void host_message(void *udata, enum mesh_level level, const char *text) {
    static const enum log_level LEVELS[] = {[MESH_LEVEL_DEBUG] = LOG_LEVEL_DEBUG,
                                            [MESH_LEVEL_VERBOSE] = LOG_LEVEL_VERBOSE,
                                            [MESH_LEVEL_NOTICE] = LOG_LEVEL_NOTICE,
                                            [MESH_LEVEL_WARNING] = LOG_LEVEL_WARNING};
    const struct peers *peers = (const struct peers *)udata;
    peers->say(peers->udata, LEVELS[level], text);
}

void peers_host(struct peers *peers, struct mesh_host *host) {
    *host = (struct mesh_host){.udata = peers,
                               .dial = host_dial,
                               .send = host_send,
                               .close = host_close,
                               .resolve = host_resolve,
                               .hmac_sha256 = host_hmac_sha256,
                               .message = host_message};
}

void peers_set_mesh(struct peers *peers, struct mesh *mesh) {
    peers->mesh = mesh;
    for (size_t i = 0; i < peers->listeners_count; i++) {
        listener_pause(peers->listeners[i], mesh == NULL);
    }
}

/* ---- listening ---- */

static const struct option_words *peers_addresses(const struct peers *peers) {
    return peers->options->mesh_bind.count > 0 ? &peers->options->mesh_bind : &peers->options->bind;
}

static void listeners_close(struct peers *peers) {
    for (size_t i = 0; i < peers->listeners_count; i++) {
        listener_free(peers->listeners[i]);
    }
    peers->listeners_count = 0;
}

bool peers_listen(struct peers *peers, struct buffer *error) {
    const struct option_words *addresses = peers_addresses(peers);
    unsigned port = node_mesh_port(peers->options);
    listeners_close(peers);
    for (size_t i = 0; port != 0 && port <= 65535 && i < addresses->count; i++) {
        bool is_optional = addresses->words[i][0] == '-', is_missing = false;
        struct listener_opts opts = {.handlers = &peers->handlers,
                                     .address = addresses->words[i] + (is_optional ? 1 : 0),
                                     .port = (int)port,
                                     .backlog = BACKLOG,
                                     .keepalive_seconds = KEEPALIVE_SECONDS,
                                     .tls = peers->options->mesh_tls ? peers->tls : NULL,
                                     .tls_role = TLS_ACCEPTOR};
        char words[ADDRESS_BYTES];
        is_optional = is_optional || strcmp(opts.address, "::*") == 0;
        struct listener *listener =
            network_listen(peers->network, &opts, words, sizeof(words), &is_missing);
        if (listener != NULL) {
            listener_pause(listener, peers->mesh == NULL);
            peers->listeners[peers->listeners_count++] = listener;
        } else if (!is_optional || !is_missing) {
            buffer_printf(error, "Could not listen for other nodes on %s:%u: %s", opts.address,
                          port, words);
            listeners_close(peers);
            return false;
        }
    }
    return true;
}

/* A plain link where TLS is wanted, or the other way round. */
static struct peer *find_unlike(const struct peers *peers) {
    struct peer *peer = peers->peers;
    while (peer != NULL && (peer->connection == NULL || connection_is_encrypted(peer->connection) ==
                                                            peers->options->mesh_tls)) {
        peer = peer->next;
    }
    return peer;
}

void peers_follow_tls(struct peers *peers) {
    struct peer *peer;
    for (size_t i = 0; i < peers->listeners_count; i++) {
        listener_set_tls(peers->listeners[i], peers->options->mesh_tls ? peers->tls : NULL,
                         TLS_ACCEPTOR);
    }
    /* Closing one may make the mesh close others: begins anew after each. */
    while ((peer = find_unlike(peers)) != NULL) {
        peer_lost(peer);
    }
}

void peers_host_name(const struct peers *peers, char *text, size_t text_bytes) {
    const struct option_words *addresses = peers_addresses(peers);
    (void)snprintf(text, text_bytes, "127.0.0.1");
    for (size_t i = 0; i < addresses->count; i++) {
        const char *address = addresses->words[i] + (addresses->words[i][0] == '-');
        if (strchr(address, '*') == NULL) {
            (void)snprintf(text, text_bytes, "%s", address);
            return;
        }
    }
    /* All addresses: while only this machine's nodes are let in, they know the loopback one. */
    if (!is_unprotected(peers)) {
        const struct option_words *seeds = &peers->options->mesh_seeds;
        const char *seed = seeds->count > 0 ? seeds->words[0] : NULL;
        network_own_address(seed, text, text_bytes);
    }
}

/* ---- lifecycle ---- */

struct peers *peers_new(struct network *network, const struct options *options,
                        const struct tls *tls, peers_say_fn say_fn, void *udata) {
    struct peers *peers = memory_alloc_zero(sizeof(*peers));
    peers->network = network;
    peers->options = options;
    peers->tls = tls;
    peers->say = say_fn;
    peers->udata = udata;
    peers->handlers = (struct connection_handlers){.udata = peers,
                                                   .accepted = on_accepted,
                                                   .rejected = on_rejected,
                                                   .connected = on_connected,
                                                   .readable = on_readable,
                                                   .writable = on_writable};
    return peers;
}

void peers_free(struct peers *peers) {
    listeners_close(peers);
    while (peers->peers != NULL) {
        peer_free(peers->peers);
    }
    memory_free(peers);
}
