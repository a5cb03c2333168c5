/* SPDX-License-Identifier: BSD-3-Clause */
/* MIGRATE: keys on their way to another server.
 *
 * A transfer belongs to a client, which is blocked meanwhile; everybody else is served. Transfers
 * run one at a time, in the order in which they were asked for. Each uses a link, a connection to
 * its target that the host makes; a link that has served is kept for the next transfer with the
 * same target and password for a while.
 *
 *   waits in line -> connects -> greets (AUTH, SELECT) -> sends, until every key has its answer
 *
 * The rule for a key: it is removed here only if the target said OK to it and nothing has touched
 * it since it was serialised. One that was touched is sent again, in place of what the target took
 * before; after MIGRATION_ROUNDS_MAX times it stays, and the client gets an error. So whatever goes
 * wrong, each key is here, or there, or at both, and a write that was answered here is not lost.
 *
 * Keys are sent round by round: in the first all of them, in each further one those that were
 * touched. Within a round they are serialised as the link takes them, so that a transfer needs the
 * memory of what is under way, not of all keys. */
#ifndef NODE_MIGRATION_H
#define NODE_MIGRATION_H

#include "commands/command.h"

enum {
    MIGRATION_ROUNDS_MAX = 16,
    MIGRATION_IN_FLIGHT_MAX = 1024,     /* keys without an answer; also the table that finds them */
    MIGRATION_OUTPUT_BYTES = 256 << 10, /* no more keys are serialised while so much is unsent */
    MIGRATION_STEP_KEYS = 256,          /* sent in one turn, and answers looked at */
    MIGRATION_LINKS_MAX = 16,           /* idle ones that are kept ... */
    MIGRATION_LINK_IDLE_US = 10000000,  /* ... for so long */
};

struct migration_link;

/* What transfers need from the outside world. All functions get `udata`. */
struct migration_host {
    void *udata;
    /* Begins to connect to a name or an address: ends in migration_link_opened() or
     * migration_link_closed(), never from within. Returns the connection. NULL: there are no
     * connections to be had. */
    void *(*dial)(void *udata, struct migration_link *link, const char *name, unsigned port);
    /* There is something to send. */
    void (*send)(void *udata, void *connection);
    /* Ends the connection, open or not: no call about its link comes any more. */
    void (*close)(void *udata, void *connection);
};

/* What MIGRATE was asked for, as positions in its arguments. */
struct migration_request {
    unsigned port;
    int64_t target_db, timeout_ms;
    bool copies, replaces;
    size_t user, password; /* 0: none was given */
    size_t keys_first, keys_count;
};

struct migration;

/* Of a node. */
struct migrations {
    struct migration_host host;
    struct migration *first, *last; /* the first is under way, the others wait in line */
    unsigned count;
    struct migration_link *idle; /* the one that served last comes first */
    unsigned idle_count;
    struct migration_key **in_flight; /* of the first, by hash; NULL until it is needed */
    unsigned in_flight_count;         /* of those in the table */
    bool is_pending;                  /* there is something to do in the next turn */
    uint64_t began_us;                /* when the step under way began */
    struct buffer payload;            /* scratch */
};

/* All clients are gone. */
void migrations_deinit(struct node *node);

/* Begins a transfer for the client of `ctx`, and blocks it. False, after an error reply, when
 * memory is out. */
bool migration_begin(struct command_context *ctx, const struct migration_request *request);
/* Its beginning took so long: that counts as a part of the transfer. */
void migration_count_begin(struct migration *migration, uint64_t duration_us);
/* Ends the client's transfer, if there is one, without a reply: the client is gone. */
void migration_abort(struct client *client);
/* What the transfer takes beside its link. */
size_t migration_bytes(const struct migration *migration);

/* Goes on with what is under way, if there is anything to do: in each turn, after requests and
 * records of peers. */
void migrations_run(struct node *node);
/* Ends what takes too long, and links that nobody has used for a while. Returns in how many
 * microseconds it wants to be called again, at most; UINT64_MAX: no matter when. */
uint64_t migrations_tick(struct node *node);
/* Is there something to do without another event? Then the next turn shall not wait. */
bool migrations_has_work(const struct node *node);
/* The store's touch hook, as far as keys under way are concerned. */
void migrations_touch(struct node *node, const struct key *key, enum store_touch touch);
/* Links there are. */
unsigned migrations_links_count(const struct node *node);

/* ---- what the host tells of links ---- */

void migration_link_opened(struct migration_link *link);
/* It could not be opened, or has ended; the host has forgotten it. */
void migration_link_closed(struct migration_link *link);
/* What is to be sent; `migration_link_sent()` says how much of it was. */
struct slice migration_link_output(const struct migration_link *link);
void migration_link_sent(struct migration_link *link, size_t size);
/* Room for bytes that have come, and how many were put there. False when there are more than
 * answers can be: the host shall end the connection. */
char *migration_link_input_space(struct migration_link *link, size_t *room);
bool migration_link_input(struct migration_link *link, size_t size);

#endif
