/* SPDX-License-Identifier: BSD-3-Clause */
/* A client: one connection as the node sees it, bytes in and bytes out.
 *
 * The node owns it from node_client_open() until node_client_free(); whoever runs the connection
 * keeps a pointer in `connection`. Buffers for input and output are lent from a pool while they
 * hold something, so an idle client has none. */
#ifndef NODE_CLIENT_H
#define NODE_CLIENT_H

#include "commands/command.h"
#include "proto/request.h"

enum {
    CLIENT_CLOSE_AFTER_REPLY = 1 << 0, /* no more input; close once the output is sent */
    CLIENT_CLOSE_NOW = 1 << 1,         /* closed by the node; waiting for its owner to let go */
    CLIENT_IN_TRANSACTION = 1 << 2,
    CLIENT_TRANSACTION_FAILED = 1 << 3, /* a command could not be queued: EXEC will refuse */
    CLIENT_WATCH_BROKEN = 1 << 4,       /* a watched key changed: EXEC will answer null */
    CLIENT_MONITOR = 1 << 5,
    CLIENT_BLOCKED = 1 << 6, /* WAIT, BLPOP: no requests are read until it ends */
    CLIENT_UNIX_SOCKET = 1 << 7,
    CLIENT_NO_EVICT = 1 << 8,
    CLIENT_NO_TOUCH = 1 << 9,
    CLIENT_REPLY_OFF = 1 << 10,
    CLIENT_REPLY_SKIP = 1 << 11,      /* the current command gets no reply */
    CLIENT_REPLY_SKIP_NEXT = 1 << 12, /* the next one gets none */
    CLIENT_AUTHENTICATED = 1 << 13,
    CLIENT_LOCAL = 1 << 14,      /* connects from this machine: loopback or Unix socket */
    CLIENT_PAUSED = 1 << 15,     /* CLIENT PAUSE holds its next request back */
    CLIENT_IS_READY = 1 << 16,   /* in the node's list of clients with input to look at */
    CLIENT_HAS_OUTPUT = 1 << 17, /* in the node's list of clients with output to send */
    CLIENT_PUBSUB = 1 << 18,     /* has subscriptions */
};

/* What a blocked client waits for. */
enum client_wait {
    CLIENT_WAIT_PEERS,     /* WAIT */
    CLIENT_WAIT_LOG,       /* WAITAOF */
    CLIENT_WAIT_SHUTDOWN,  /* replies only if it fails */
    CLIENT_WAIT_TOKEN,     /* MESH WAITTOKEN */
    CLIENT_WAIT_LEAVE,     /* MESH LEAVE */
    CLIENT_WAIT_CHECK,     /* MESH CHECK */
    CLIENT_WAIT_KEYS,      /* BLPOP and its kin: blocking.h */
    CLIENT_WAIT_MIGRATION, /* MIGRATE: migration.h */
};

/* A request waiting for EXEC: its arguments, copied into one block. */
struct queued_request {
    const struct command *row;
    size_t args_count;
    struct slice *args; /* the block: slices, then their bytes */
};

struct session_token;
struct blocked_request;
struct migration;
struct pubsub_subscriber;

/* A key that WATCH named. */
struct watched_key {
    struct watched_key *next_of_client;
    struct watched_key *next_of_key; /* in the node's table of watched keys */
    struct client *client;
    unsigned db;
    bool came_expired; /* SWAPDB brought it, expired: its removal is no change */
    uint64_t hash;
    size_t name_bytes;
    char name[];
};

/* Output that may go out once the log has reached a position. */
struct client_hold {
    uint64_t output_end; /* in bytes since the connection began */
    uint64_t position;
};

struct client {
    uint64_t id;
    struct node *node;
    void *connection; /* the owner's */
    uint32_t flags;
    unsigned db;
    struct request_parser parser;
    struct buffer in;
    size_t in_used;   /* bytes of `in` already executed */
    size_t in_parsed; /* bytes of `in` cut into requests, executed or not */
    struct buffer out;
    size_t out_start;          /* bytes of `out` already sent */
    struct reply reply;        /* writes to `out` */
    uint64_t output_sent;      /* bytes that left `out` since the connection began */
    struct client_hold *holds; /* rising; NULL while nothing is held */
    size_t holds_count, holds_capacity;

    char *name, *library_name, *library_version; /* "" when unset: NULL */
    char *address, *local_address;               /* "127.0.0.1:50000" */
    int descriptor;                              /* number shown by CLIENT LIST */
    int64_t created_ms, active_ms;               /* Unix time of birth and of the last request */
    const struct command
        *last_row;           /* also of a request that was refused; NULL: of an unknown one */
    unsigned errors_counted; /* of reply.errors_count, those that are in the statistics */
    uint64_t input_bytes_total, commands_count;
    int64_t soft_limit_since_ms; /* output above the soft limit since; 0: is not */

    struct queued_request *queue;
    size_t queue_count, queue_capacity;
    size_t queue_bytes;        /* of all queued arguments */
    uint32_t queue_flags;      /* flags of all queued commands, or'ed */
    bool queue_denies_loading; /* one of them is not for a node that is loading */
    struct watched_key *watched;
    size_t watched_bytes;
    struct pubsub_subscriber *subscriber; /* NULL without subscriptions: pubsub.h */
    size_t counted_bytes;                 /* towards maxmemory-clients */

    uint64_t write_stamp;             /* of its last write; 0: it wrote nothing */
    enum client_wait wait;            /* BLOCKED: for what */
    int64_t block_until_ms;           /* BLOCKED: 0 is for ever; not of KEYS, MIGRATION */
    uint64_t wait_peers;              /* PEERS, LOG: how many of them */
    uint64_t wait_position;           /* LOG: the position to be on disk */
    bool wait_local;                  /* LOG: the client asked for this node's own disk */
    struct session_token *wait_token; /* TOKEN; NULL otherwise */
    bool wait_is_replied;             /* CHECK: its end wrote the reply */
    struct blocked_request *blocked;  /* KEYS; NULL otherwise */
    struct migration *migration;      /* MIGRATION; NULL otherwise */

    struct client *next, *previous; /* all clients, in order of their ids */
    struct client *next_ready;
    struct client *next_output;
    struct client *next_held; /* in the node's list of clients with holds */
};

/* How many bytes from out.data + out_start on may be sent now. */
size_t client_sendable_bytes(const struct client *client, uint64_t acknowledged_position);
/* Bytes of memory that the client's buffers and queues take. */
size_t client_memory_bytes(const struct client *client);
/* Frees queued requests and leaves MULTI; watched keys stay. */
void client_discard_transaction(struct client *client);

#endif
