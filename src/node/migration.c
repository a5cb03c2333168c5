/* SPDX-License-Identifier: BSD-3-Clause */
/* Transfers and their links. Bytes of a link are only taken in when they come; what they mean is
 * looked at in migrations_run(), with the turn's time and between units. */
#include "node/migration.h"

#include "base/memory.h"
#include "commands/value_codec.h"
#include "node/node_mesh.h"
#include "proto/reply_line.h"

enum {
    INPUT_BYTES_STEP = 16 << 10,
    INPUT_BYTES_MAX = 1 << 20, /* of answers: a kibibyte for each key that can be under way */
    PAYLOAD_KEPT_BYTES = 64 << 10,
};

static_assert(INPUT_BYTES_MAX > 2 * REPLY_LINE_BYTES_MAX, "a line fits, with the next one");

struct migration_link {
    struct migration_link *next; /* idle */
    struct node *node;
    void *connection;       /* the host's; NULL: it is closed */
    struct buffer identity; /* name, port, user and password: what makes it fit for a transfer */
    bool is_open;
    bool is_reused;    /* has served another transfer */
    bool has_answered; /* in the running transfer */
    bool has_moved;    /* it was opened, or bytes came or went, since the last turn */
    bool has_db;       /* a database was selected: `db` */
    int64_t db;
    struct buffer out, in;
    size_t out_start;     /* bytes of `out` that were sent */
    uint64_t progress_us; /* when it last moved, or began to serve or to be idle */
};

enum key_state {
    KEY_WAITS,     /* to be sent in this round */
    KEY_IN_FLIGHT, /* sent, without an answer */
    KEY_TOUCHED,   /* the target has an older value: to be sent in the next round */
    KEY_DONE,
};

struct migration_key {
    struct migration_key *next; /* in the table of those in flight */
    uint64_t hash;
    uint64_t expire_unix_ms; /* of what was sent; 0: never */
    enum key_state state;
    bool is_in_table;
    bool is_touched; /* IN_FLIGHT: since it was sent */
};

enum migration_state { MIGRATION_WAITS, MIGRATION_CONNECTS, MIGRATION_GREETS, MIGRATION_SENDS };

struct migration {
    struct migration *next;
    struct client *client;
    const struct command *row;
    struct slice *args; /* one block, as request_args_copy() makes it */
    size_t args_count, bytes;
    struct migration_request request;
    unsigned db;      /* where the keys are here */
    bool skips_reply; /* CLIENT REPLY SKIP came before it */
    enum migration_state state;
    struct migration_link *link;
    unsigned answers_due;  /* GREETS */
    unsigned round;        /* SENDS: from 0 on */
    size_t sent, answered; /* keys of this round before these are sent, have their answers */
    size_t in_flight;
    bool has_moved; /* the target took a key */
    struct buffer error;
    uint64_t duration_us; /* of its work so far */
    struct migration_key keys[];
};

/* ---- links ---- */

static void link_free(struct migration_link *link) {
    struct migrations *migrations = &link->node->migrations;
    if (link->connection != NULL) {
        migrations->host.close(migrations->host.udata, link->connection);
    }
    buffer_deinit(&link->identity);
    buffer_deinit(&link->out);
    buffer_deinit(&link->in);
    memory_free(link);
}

static void idle_remove(struct migrations *migrations, struct migration_link *link) {
    struct migration_link **at = &migrations->idle;
    while (*at != link) {
        at = &(*at)->next;
    }
    *at = link->next;
    link->next = NULL;
    migrations->idle_count--;
}

static struct migration_link *idle_last(const struct migrations *migrations) {
    struct migration_link *link = migrations->idle;
    while (link->next != NULL) {
        link = link->next;
    }
    return link;
}

/* Keeps the link for the next transfer; the one that was idle longest makes room. */
static void idle_add(struct migrations *migrations, struct migration_link *link) {
    link->is_reused = true;
    link->progress_us = link->node->now_us;
    link->next = migrations->idle;
    migrations->idle = link;
    if (++migrations->idle_count > MIGRATION_LINKS_MAX) {
        struct migration_link *oldest = idle_last(migrations);
        idle_remove(migrations, oldest);
        link_free(oldest);
    }
}

/* Takes an idle link that fits, or makes one; its identity is taken over. */
static struct migration_link *link_get(struct node *node, struct buffer *identity, const char *name,
                                       unsigned port, bool may_reuse) {
    struct migrations *migrations = &node->migrations;
    struct migration_link *link = may_reuse ? migrations->idle : NULL;
    while (link != NULL && (link->connection == NULL ||
                            !slice_equal(buffer_slice(&link->identity), buffer_slice(identity)))) {
        link = link->next;
    }
    if (link != NULL) {
        idle_remove(migrations, link);
        buffer_deinit(identity);
    } else {
        link = memory_alloc_zero(sizeof(*link));
        link->node = node;
        link->identity = *identity;
        if (migrations->host.dial != NULL) {
            link->connection = migrations->host.dial(migrations->host.udata, link, name, port);
        }
    }
    *identity = (struct buffer){0};
    link->has_answered = false;
    link->progress_us = node->now_us;
    return link;
}

/* Nothing is under way on it. */
static bool link_is_clean(const struct migration_link *link) {
    return link->connection != NULL && link->is_open && link->out.size == 0 && link->in.size == 0;
}

/* There is something to look at in this turn. */
static void link_moved(struct migration_link *link) {
    link->has_moved = true;
    link->node->migrations.is_pending = true;
}

void migration_link_opened(struct migration_link *link) {
    link->is_open = true;
    link_moved(link);
}

void migration_link_closed(struct migration_link *link) {
    link->connection = NULL;
    link->node->migrations.is_pending = true;
}

struct slice migration_link_output(const struct migration_link *link) {
    return link->out.size > 0 ? slice_skip(buffer_slice(&link->out), link->out_start)
                              : (struct slice){0};
}

void migration_link_sent(struct migration_link *link, size_t size) {
    link->out_start += size;
    if (link->out_start == link->out.size) {
        buffer_deinit(&link->out); /* it may have been one large value */
        link->out = (struct buffer){0};
        link->out_start = 0;
    } else if (link->out_start >= link->out.size - link->out_start) {
        buffer_consume(&link->out, link->out_start);
        link->out_start = 0;
    }
    link_moved(link);
}

char *migration_link_input_space(struct migration_link *link, size_t *room) {
    char *at = buffer_reserve(&link->in, INPUT_BYTES_STEP);
    *room = INPUT_BYTES_STEP;
    return at;
}

bool migration_link_input(struct migration_link *link, size_t size) {
    link->in.size += size;
    link_moved(link);
    return link->in.size <= INPUT_BYTES_MAX;
}

/* ---- keys under way ---- */

static struct key key_of(const struct migration *migration, const struct migration_key *item) {
    size_t index = (size_t)(item - migration->keys);
    return (struct key){.name = migration->args[migration->request.keys_first + index],
                        .hash = item->hash,
                        .db = migration->db};
}

static struct migration_key **bucket_of(const struct node *node, uint64_t hash) {
    return &node->migrations.in_flight[hash % MIGRATION_IN_FLIGHT_MAX];
}

static struct migration_key *find_in_flight(const struct node *node, const struct key *key) {
    const struct migration *migration = node->migrations.first;
    if (node->migrations.in_flight_count == 0 || key->db != migration->db) {
        return NULL;
    }
    struct migration_key *item = *bucket_of(node, key->hash);
    while (item != NULL &&
           (item->hash != key->hash || !slice_equal(key_of(migration, item).name, key->name))) {
        item = item->next;
    }
    return item;
}

/* From here on touching the key is noticed. */
static void flight_add(struct node *node, struct migration_key *item) {
    struct migrations *migrations = &node->migrations;
    if (migrations->in_flight == NULL) {
        migrations->in_flight =
            memory_alloc_zero(MIGRATION_IN_FLIGHT_MAX * sizeof(migrations->in_flight[0]));
    }
    struct migration_key **bucket = bucket_of(node, item->hash);
    item->next = *bucket;
    item->is_in_table = true;
    item->is_touched = false;
    *bucket = item;
    migrations->in_flight_count++;
    node->store.watchers_count++;
}

static void flight_remove(struct node *node, struct migration_key *item) {
    if (item->is_in_table) {
        struct migration_key **at = bucket_of(node, item->hash);
        while (*at != item) {
            at = &(*at)->next;
        }
        *at = item->next;
        item->is_in_table = false;
        node->migrations.in_flight_count--;
        node->store.watchers_count--;
    }
}

static void touch_all(struct node *node) {
    for (size_t i = 0; node->migrations.in_flight_count > 0 && i < MIGRATION_IN_FLIGHT_MAX; i++) {
        for (struct migration_key *item = node->migrations.in_flight[i]; item != NULL;
             item = item->next) {
            item->is_touched = true;
        }
    }
}

void migrations_touch(struct node *node, const struct key *key, enum store_touch touch) {
    if (touch == STORE_TOUCH_KEY) {
        struct migration_key *item = find_in_flight(node, key);
        if (item != NULL) {
            item->is_touched = true;
        }
    } else if (node->migrations.first != NULL && node->migrations.first->db == key->db) {
        touch_all(node);
    }
}

/* ---- the end of a transfer ---- */

/* Takes the transfer out of the line; its keys under way are forgotten, its link is kept if
 * nothing is under way there. */
static void migration_leave(struct node *node, struct migration *migration) {
    struct migrations *migrations = &node->migrations;
    struct migration *before = NULL;
    for (struct migration *at = migrations->first; at != migration; at = at->next) {
        before = at;
    }
    if (before == NULL) {
        for (size_t i = 0; i < migration->request.keys_count; i++) {
            flight_remove(node, &migration->keys[i]);
        }
        migrations->first = migration->next;
        migrations->is_pending = true;
    } else {
        before->next = migration->next;
    }
    if (migrations->last == migration) {
        migrations->last = before;
    }
    migrations->count--;
    struct migration_link *link = migration->link;
    if (link != NULL && migration->in_flight == 0 && migration->answers_due == 0 &&
        link_is_clean(link)) {
        idle_add(migrations, link);
    } else if (link != NULL) {
        link_free(link);
    }
    migration->link = NULL;
}

static void migration_free(struct migration *migration) {
    memory_free(migration->args);
    buffer_deinit(&migration->error);
    memory_free(migration);
}

void migration_abort(struct client *client) {
    struct migration *migration = client->migration;
    if (migration != NULL) {
        client->migration = NULL;
        migration_leave(client->node, migration);
        migration_free(migration);
    }
}

/* The first error is the one that the client gets. */
static void note_error(struct migration *migration, const char *words, struct slice text) {
    if (migration->error.size == 0) {
        buffer_append_slice(&migration->error, slice_of(words));
        buffer_append_slice(&migration->error, text);
    }
}

static void migration_end(struct node *node, struct migration *migration) {
    const struct migrations *migrations = &node->migrations;
    struct client *client = migration->client;
    struct reply *reply = &client->reply;
    size_t out_before = client->out.size;
    unsigned errors_before = reply->errors_count;
    migration_leave(node, migration);
    migration->duration_us += node->host.monotonic_us(node->host.udata) - migrations->began_us;
    if (migration->error.size > 0) {
        reply_error(reply, buffer_text(&migration->error));
    } else {
        reply_simple(reply, migration->has_moved ? "OK" : "NOKEY");
    }
    node_count_call(node, client, migration->row, migration->args, migration->args_count,
                    migration->duration_us, errors_before);
    if (migration->skips_reply || (client->flags & CLIENT_REPLY_OFF) != 0) {
        client->out.size = out_before;
    }
    client->migration = NULL;
    migration_free(migration);
    node_client_unblock(client);
}

/* The link is of no use any more: the keys under way stay here. `words` is NULL where there is an
 * error already. */
static void migration_fail(struct node *node, struct migration *migration, const char *words) {
    if (words != NULL) {
        note_error(migration, words, SLICE(""));
    }
    if (migration->link != NULL) {
        link_free(migration->link);
        migration->link = NULL;
    }
    migration_end(node, migration);
}

static const char *failure_words(const struct migration *migration) {
    if (migration->state == MIGRATION_WAITS || migration->state == MIGRATION_CONNECTS) {
        return "IOERR error or timeout connecting to the client";
    }
    return migration_link_output(migration->link).size > 0
               ? "IOERR error or timeout writing to target instance"
               : "IOERR error or timeout reading to target instance";
}

/* ---- connecting and greeting ---- */

static void write_identity(const struct migration *migration, struct buffer *identity) {
    const struct migration_request *request = &migration->request;
    const size_t positions[] = {1, request->user, request->password};
    buffer_printf(identity, "%u", request->port);
    for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
        /* Lengths keep apart what could be read in two ways; no password is not an empty one. */
        struct slice part = positions[i] > 0 ? migration->args[positions[i]] : SLICE("");
        buffer_printf(identity, " %d:%zu:", positions[i] > 0, part.size);
        buffer_append_slice(identity, part);
    }
}

static void migration_connect(struct node *node, struct migration *migration, bool may_reuse) {
    struct buffer identity = {0}, name = {0};
    write_identity(migration, &identity);
    buffer_append_slice(&name, migration->args[1]);
    migration->link =
        link_get(node, &identity, buffer_text(&name), migration->request.port, may_reuse);
    migration->state = MIGRATION_CONNECTS;
    migration->sent = migration->answered = 0;
    buffer_deinit(&name);
}

static void write_command(struct buffer *out, const struct slice *parts, size_t parts_count) {
    struct reply request = {.out = out, .protocol = 2};
    reply_array(&request, parts_count);
    for (size_t i = 0; i < parts_count; i++) {
        reply_bulk(&request, parts[i]);
    }
}

/* What follows waits for the answers: a key must not get into another database, or be read by
 * somebody who was not let in. */
static void migration_greet(struct node *node, struct migration *migration) {
    struct migration_link *link = migration->link;
    const struct migration_request *request = &migration->request;
    if (request->password > 0) { /* each time, as Redis does: it may be another one by now */
        struct slice parts[3] = {SLICE("AUTH")};
        size_t count = 1;
        if (request->user > 0) {
            parts[count++] = migration->args[request->user];
        }
        parts[count++] = migration->args[request->password];
        write_command(&link->out, parts, count);
        migration->answers_due++;
    }
    if (!link->has_db || link->db != request->target_db) {
        char digits[NUMBER_INTEGER_BYTES_MAX];
        size_t size = number_format_integer(digits, request->target_db);
        struct slice parts[] = {SLICE("SELECT"), slice_make(digits, size)};
        write_command(&link->out, parts, 2);
        migration->answers_due++;
    }
    link->has_db = true;
    link->db = request->target_db;
    migration->state = MIGRATION_GREETS;
    if (migration->answers_due > 0 && link->connection != NULL) {
        node->migrations.host.send(node->migrations.host.udata, link->connection);
    }
}

/* ---- sending ---- */

/* Serialises the key; false when there is none (any more). */
static bool key_dump(struct node *node, struct migration_key *item, const struct key *key) {
    const struct entry *entry = store_peek(&node->store, key);
    struct buffer *payload = &node->migrations.payload;
    buffer_clear(payload);
    if (entry == NULL || !value_dump(&node->store, entry, &RDB_WRITER_LIMITS_DEFAULT, payload)) {
        return false;
    }
    item->expire_unix_ms = entry_expire_unix_ms(entry);
    return true;
}

static void write_restore(struct node *node, struct migration *migration,
                          const struct migration_key *item, const struct key *key) {
    struct buffer *out = &migration->link->out;
    struct buffer *payload = &node->migrations.payload;
    char digits[NUMBER_INTEGER_BYTES_MAX];
    int64_t ttl_ms = 0;
    if (item->expire_unix_ms != 0) {
        ttl_ms = (int64_t)item->expire_unix_ms - node->store.now_ms;
        ttl_ms = ttl_ms > 1 ? ttl_ms : 1;
    }
    struct slice parts[5] = {SLICE("RESTORE"), key->name,
                             slice_make(digits, number_format_integer(digits, ttl_ms)),
                             buffer_slice(payload), SLICE("REPLACE")};
    write_command(out, parts, migration->request.replaces || migration->round > 0 ? 5 : 4);
    if (payload->capacity > PAYLOAD_KEPT_BYTES) {
        buffer_deinit(payload);
        *payload = (struct buffer){0};
    }
}

/* The key went while the target took it. Its expiry goes there, too; but who deleted it here shall
 * not think that it is nowhere. To delete it there as well would be wrong where it was another
 * transfer that took it away, from another node. */
static void note_gone(const struct node *node, struct migration *migration,
                      const struct migration_key *item) {
    if (item->expire_unix_ms == 0 || (int64_t)item->expire_unix_ms > node->store.now_ms) {
        note_error(migration,
                   "IOERR a key was removed here while it was sent: the target instance has it",
                   SLICE(""));
    }
}

static void send_key(struct node *node, struct migration *migration, struct migration_key *item) {
    struct key key = store_key(&node->store, migration->db, key_of(migration, item).name);
    item->hash = key.hash;
    if (find_in_flight(node, &key) != NULL) {
        item->state = KEY_DONE; /* named twice */
        return;
    }
    if (!key_dump(node, item, &key)) {
        item->state = KEY_DONE;
        if (migration->round > 0) {
            note_gone(node, migration, item);
        }
        return;
    }
    write_restore(node, migration, item, &key);
    item->state = KEY_IN_FLIGHT;
    migration->in_flight++;
    if (!migration->request.copies) {
        flight_add(node, item);
    }
}

/* Sends keys of this round while there is room. */
static void send_keys(struct node *node, struct migration *migration) {
    struct migration_link *link = migration->link;
    size_t out_before = link->out.size;
    unsigned looked_at = 0;
    while (migration->sent < migration->request.keys_count &&
           migration->in_flight < MIGRATION_IN_FLIGHT_MAX &&
           link->out.size - link->out_start < MIGRATION_OUTPUT_BYTES) {
        struct migration_key *item = &migration->keys[migration->sent];
        if (item->state == KEY_WAITS && looked_at++ == MIGRATION_STEP_KEYS) {
            node->migrations.is_pending = true;
            break;
        }
        migration->sent++;
        if (item->state == KEY_WAITS) {
            send_key(node, migration, item);
        }
    }
    if (link->out.size != out_before) {
        node->migrations.host.send(node->migrations.host.udata, link->connection);
    }
}

/* ---- answers ---- */

/* The target has the key as it was sent: removes it here, unless it was touched since. */
static void key_taken(struct node *node, struct migration *migration, struct migration_key *item,
                      bool is_touched) {
    struct key key = store_key(&node->store, migration->db, key_of(migration, item).name);
    migration->has_moved = true;
    if (migration->request.copies) {
        return;
    }
    if (store_peek(&node->store, &key) == NULL) {
        note_gone(node, migration, item);
    } else if (is_touched) {
        item->state = KEY_TOUCHED;
    } else {
        struct buffer why = {0};
        if (node_refuses_writes(node, &why)) {
            note_error(migration, buffer_text(&why), SLICE(""));
        } else if (store_delete(&node->store, &key)) {
            store_notify(&node->store, NOTIFY_GENERIC, "del", &key);
        }
        buffer_deinit(&why);
    }
    store_end_unit(&node->store);
}

static void take_answer(struct node *node, struct migration *migration, enum reply_line_kind kind,
                        struct slice text) {
    if (kind == REPLY_LINE_ERROR) {
        note_error(migration, "ERR Target instance replied with error: ", text);
    }
    if (migration->state == MIGRATION_GREETS) {
        migration->answers_due--;
        migration->link->has_db &= kind != REPLY_LINE_ERROR;
        return;
    }
    struct migration_key *item = &migration->keys[migration->answered];
    while (item->state != KEY_IN_FLIGHT) {
        item++;
    }
    migration->answered = (size_t)(item - migration->keys) + 1;
    migration->in_flight--;
    bool is_touched = item->is_touched;
    item->state = KEY_DONE;
    flight_remove(node, item);
    if (kind == REPLY_LINE_STATUS) {
        key_taken(node, migration, item, is_touched);
    }
}

/* Looks at what came; false when it makes no sense. */
static bool take_answers(struct node *node, struct migration *migration) {
    struct migration_link *link = migration->link;
    const uint64_t *own_stamp = &node->store.context.stamps[node->store.replicas.self];
    uint64_t stamp_before = *own_stamp;
    size_t used_all = 0, used = 0;
    bool makes_sense = true;
    for (unsigned i = 0; makes_sense; i++) {
        struct slice text = {0}, rest = slice_skip(buffer_slice(&link->in), used_all);
        enum reply_line_kind kind = reply_line_read(rest, &text, &used);
        if (kind == REPLY_LINE_PARTIAL) {
            break;
        }
        if (i == MIGRATION_STEP_KEYS) {
            link_moved(link);
            break;
        }
        bool is_due = migration->state == MIGRATION_GREETS ? migration->answers_due > 0
                                                           : migration->in_flight > 0;
        makes_sense = is_due && (kind == REPLY_LINE_ERROR ||
                                 (kind == REPLY_LINE_STATUS && slice_equal(text, SLICE("OK"))));
        if (makes_sense) {
            take_answer(node, migration, kind, text);
            used_all += used;
            link->has_answered = true;
        }
    }
    if (used_all > 0) {
        buffer_consume(&link->in, used_all);
    }
    if (*own_stamp != stamp_before) {
        migration->client->write_stamp = *own_stamp;
    }
    return makes_sense;
}

/* Begins another round with the keys that were touched; false when there are none, or when it was
 * tried often enough. */
static bool begin_round(struct migration *migration) {
    bool has_keys = false;
    for (size_t i = 0; i < migration->request.keys_count; i++) {
        if (migration->keys[i].state == KEY_TOUCHED) {
            migration->keys[i].state = KEY_WAITS;
            has_keys = true;
        }
    }
    if (has_keys && migration->round + 1 == MIGRATION_ROUNDS_MAX) {
        note_error(migration,
                   "IOERR a key was changed here each time it was sent: it stays here, and the "
                   "target instance has an older value",
                   SLICE(""));
        return false;
    }
    migration->round += has_keys;
    migration->sent = migration->answered = 0;
    return has_keys;
}

/* ---- a step ---- */

/* The connection ended. A link that was idle may have ended just when it was to be used again: then
 * there is a second try. */
static void migration_lost(struct node *node, struct migration *migration) {
    struct migration_link *link = migration->link;
    if (!link->is_reused || link->has_answered) {
        migration_fail(node, migration, failure_words(migration));
        return;
    }
    for (size_t i = 0; i < migration->request.keys_count; i++) {
        if (migration->keys[i].state == KEY_IN_FLIGHT) {
            flight_remove(node, &migration->keys[i]);
            migration->keys[i].state = KEY_WAITS;
        }
    }
    migration->in_flight = 0;
    migration->answers_due = 0;
    link_free(link);
    migration_connect(node, migration, false);
}

/* All keys have their answers, or have none to get. */
static bool round_is_over(const struct migration *migration) {
    return migration->state == MIGRATION_SENDS &&
           migration->sent == migration->request.keys_count && migration->in_flight == 0;
}

/* True when the transfer has come to its end, that of its connection included. */
static bool migration_is_over(struct node *node, struct migration *migration) {
    bool is_closed = migration->link->connection == NULL;
    while (round_is_over(migration)) {
        if (!begin_round(migration)) {
            return true;
        }
        if (!is_closed) {
            send_keys(node, migration);
        }
    }
    return false;
}

static void migration_step(struct node *node, struct migration *migration) {
    if (migration->state == MIGRATION_WAITS) {
        migration_connect(node, migration, true);
    }
    struct migration_link *link = migration->link;
    if (migration->state == MIGRATION_CONNECTS && link->connection != NULL && !link->is_open) {
        return;
    }
    if (migration->state == MIGRATION_CONNECTS && link->is_open) {
        migration_greet(node, migration);
    }
    /* What came before the end of the connection counts. */
    if (!take_answers(node, migration)) {
        migration_fail(node, migration, "IOERR error or timeout reading to target instance");
        return;
    }
    if (migration->state == MIGRATION_GREETS && migration->answers_due == 0) {
        if (migration->error.size > 0) {
            migration_fail(node, migration, NULL);
            return;
        }
        migration->state = MIGRATION_SENDS;
    }
    if (migration->state == MIGRATION_SENDS && link->connection != NULL) {
        send_keys(node, migration);
    }
    if (migration_is_over(node, migration)) {
        migration_end(node, migration);
    } else if (link->connection == NULL && !link->has_moved) {
        migration_lost(node, migration);
    }
}

/* May keys leave now? */
static bool is_held(const struct node *node) {
    return node->pause_until_ms > node->now_ms || node_mesh_is_joining(node);
}

/* Idle links on which something came or that ended are of no use. */
static void idle_check(struct node *node, uint64_t idle_us_max) {
    for (struct migration_link *link = node->migrations.idle; link != NULL;) {
        struct migration_link *next = link->next;
        if (!link_is_clean(link) || node->now_us - link->progress_us >= idle_us_max) {
            idle_remove(&node->migrations, link);
            link_free(link);
        }
        link = next;
    }
}

void migrations_run(struct node *node) {
    struct migrations *migrations = &node->migrations;
    if (likely(!migrations->is_pending)) {
        return;
    }
    idle_check(node, UINT64_MAX);
    if (is_held(node)) {
        return;
    }
    migrations->is_pending = false;
    struct migration *migration = migrations->first;
    if (migration == NULL) {
        return;
    }
    if (migration->link != NULL && migration->link->has_moved) {
        migration->link->has_moved = false;
        migration->link->progress_us = node->now_us;
    }
    const unsigned count = migrations->count;
    migrations->began_us = node->host.monotonic_us(node->host.udata);
    migration_step(node, migration);
    if (migrations->count == count) {
        migration->duration_us += node->host.monotonic_us(node->host.udata) - migrations->began_us;
    }
}

uint64_t migrations_tick(struct node *node) {
    struct migrations *migrations = &node->migrations;
    struct migration *migration = migrations->first;
    if (migrations->idle != NULL) {
        idle_check(node, MIGRATION_LINK_IDLE_US);
    }
    if (migration == NULL || migration->link == NULL) {
        return UINT64_MAX;
    }
    struct migration_link *link = migration->link;
    if (is_held(node) || link->has_moved) {
        link->progress_us = node->now_us; /* it is not the target that takes so long */
    }
    uint64_t timeout_us = (uint64_t)migration->request.timeout_ms;
    if (__builtin_mul_overflow(timeout_us, UINT64_C(1000), &timeout_us)) {
        return UINT64_MAX;
    }
    uint64_t passed_us = node->now_us - link->progress_us;
    if (passed_us < timeout_us) {
        return timeout_us - passed_us;
    }
    migrations->began_us = node->host.monotonic_us(node->host.udata);
    migration_fail(node, migration, failure_words(migration));
    return 0;
}

bool migrations_has_work(const struct node *node) {
    return node->migrations.is_pending && !is_held(node);
}

unsigned migrations_links_count(const struct node *node) {
    const struct migrations *migrations = &node->migrations;
    return migrations->idle_count +
           (migrations->first != NULL && migrations->first->link != NULL ? 1 : 0);
}

/* ---- lifecycle ---- */

bool migration_begin(struct command_context *ctx, const struct migration_request *request) {
    struct node *node = ctx->node;
    struct migrations *migrations = &node->migrations;
    size_t args_bytes = 0, keys_bytes = request->keys_count * sizeof(struct migration_key);
    struct slice *args = request_args_copy(ctx->args, ctx->args_count, &args_bytes);
    struct migration *migration =
        args != NULL ? memory_try_alloc_zero(sizeof(*migration) + keys_bytes) : NULL;
    if (migration == NULL) {
        memory_free(args);
        reply_error(ctx->reply, "OOM not enough memory for the request");
        return false;
    }
    migration->client = ctx->client;
    migration->row = ctx->row;
    migration->args = args;
    migration->args_count = ctx->args_count;
    migration->bytes = sizeof(*migration) + keys_bytes + args_bytes;
    migration->request = *request;
    migration->db = ctx->db;
    migration->skips_reply = (ctx->client->flags & CLIENT_REPLY_SKIP) != 0;
    *(migrations->last != NULL ? &migrations->last->next : &migrations->first) = migration;
    migrations->last = migration;
    migrations->count++;
    migrations->is_pending = true;
    ctx->client->migration = migration;
    ctx->client->wait = CLIENT_WAIT_MIGRATION;
    node_client_block(ctx->client, 0);
    ctx->is_blocked = true; /* it is accounted when it ends */
    return true;
}

void migration_count_begin(struct migration *migration, uint64_t duration_us) {
    migration->duration_us += duration_us;
}

size_t migration_bytes(const struct migration *migration) {
    return migration->bytes + (migration->link != NULL
                                   ? migration->link->out.capacity + migration->link->in.capacity
                                   : 0);
}

void migrations_deinit(struct node *node) {
    struct migrations *migrations = &node->migrations;
    require(migrations->first == NULL);
    while (migrations->idle != NULL) {
        struct migration_link *link = migrations->idle;
        idle_remove(migrations, link);
        link_free(link);
    }
    memory_free(migrations->in_flight);
    buffer_deinit(&migrations->payload);
}
