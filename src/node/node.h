/* SPDX-License-Identifier: BSD-3-Clause */
/* A node: one complete server as a deterministic machine.
 *
 * It is handed bytes, times and completions, and hands back output: it has no socket, no clock, no
 * thread. One turn of the event loop:
 *
 *   node_set_time(now)
 *   for each connection that has bytes: node_client_input_space(), node_client_input()
 *   node_run()                 parses and executes all, writes the log
 *   for each client of node_take_output(): send client_sendable_bytes(), node_client_sent()
 *   node_tick()                at least ten times a second
 *
 * What it cannot do itself it asks of its host: struct node_host. Everything about one node is in
 * struct node; a process may hold several. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "commands/command.h"
#include "config/config.h"
#include "log/log.h"
#include "mesh/mesh.h"
#include "node/blocking.h"
#include "node/client.h"
#include "node/command_table.h"
#include "node/migration.h"
#include "node/pubsub.h"

/* Figures about the process, for INFO and MEMORY. */
struct host_facts {
    int64_t process_id;
    const char *executable, *config_file, *os, *arch, *compiler, *allocator;
    uint64_t resident_bytes, system_memory_bytes;
    /* of the allocator: handed out, in pages of these, mapped, kept */
    uint64_t allocated_bytes, active_bytes, allocator_resident_bytes, retained_bytes;
    double cpu_user_seconds, cpu_system_seconds;           /* of the process */
    double cpu_user_main_seconds, cpu_system_main_seconds; /* of the thread that runs the node */
    uint64_t input_bytes_total, output_bytes_total;
    int64_t tls_ends_unix_seconds; /* of the certificate in use; 0: none */
};

/* What a node needs from the outside world. All functions get `udata`. */
struct node_host {
    void *udata;
    uint64_t (*monotonic_us)(void *udata);
    /* Bytes of memory in use, cheap enough to be asked before each write. */
    uint64_t (*memory_used)(void *udata);
    void (*memory_purge)(void *udata);
    void (*facts)(void *udata, struct host_facts *facts);
    /* Calls free_fn(object) in due course, perhaps on another thread. */
    void (*free_later)(void *udata, void (*free_fn)(void *object), void *object);
    uint64_t (*free_later_pending)(void *udata);
    void (*message)(void *udata, enum log_level level, const char *text);
    /* Applies options that concern the outside (port, bind, maxclients, logfile, ...). False with
     * words in `error` when it cannot. */
    bool (*apply_options)(void *udata, const struct config_change *changed, struct buffer *error,
                          enum option_id *guilty);
    /* The configuration file's text, and its replacement. */
    bool (*read_config)(void *udata, struct buffer *text, struct buffer *error);
    bool (*write_config)(void *udata, struct slice text, struct buffer *error);
    /* DEBUG SLEEP, DEBUG SEGFAULT and kin: stops the process for a while, or for good. */
    void (*sleep_us)(void *udata, uint64_t us);
    void (*crash)(void *udata, const char *how);
    /* While the node's files are read: serves clients by node_run_while_reading(), if it is time
     * for that. False: the reading is to stop, and with it the start. NULL: nobody is served. */
    bool (*serve_while_reading)(void *udata);
    /* Where other nodes reach this one ("host", no port) when mesh-announce-addr is empty. NULL:
     * 127.0.0.1. */
    void (*mesh_host_name)(void *udata, char *text, size_t text_bytes);
    /* Fills `bytes` with what nobody can guess; false when there is nothing. NULL: never. */
    bool (*entropy)(void *udata, void *bytes, size_t size);
};

struct slowlog_entry {
    int64_t id, unix_seconds;
    uint64_t duration_us;
    struct slice *args; /* one block, as queued_request has it */
    size_t args_count;
    char *address, *client_name;
};

enum { LATENCY_HISTORY = 160, LATENCY_EVENTS_MAX = 16, HISTOGRAM_BUCKETS = 160 };

struct latency_event {
    const char *name; /* NULL: unused */
    struct {
        int64_t unix_seconds;
        uint32_t duration_ms;
    } samples[LATENCY_HISTORY]; /* a ring */
    unsigned next;
    uint32_t max_ms;
};

/* Per command row, by its index in the command table. */
struct command_stats {
    uint64_t calls, rejected, failed, duration_us;
    uint64_t *histogram; /* see histogram.h; NULL before the first call */
};

struct error_stat {
    char code[32];
    uint64_t count;
};
enum { ERROR_STATS_MAX = 128 };

struct node_stats {
    uint64_t connections_received, connections_rejected, commands_processed;
    uint64_t input_bytes, output_bytes;
    uint64_t unexpected_error_replies, total_error_replies;
    uint64_t late_records; /* of nodes that were forgotten: is_late() in node_mesh.c */
    uint64_t evicted_clients, output_limit_disconnections, query_limit_disconnections;
    uint64_t reads_processed, writes_processed;
    uint64_t expired_time_cap_reached, expire_cycle_us, eviction_us;
    uint64_t memory_peak_bytes;
    uint64_t active_expire_removed;
    uint64_t freed_later; /* objects handed to host.free_later() */
    uint64_t cron_loops, turns;
    uint64_t turns_us, turn_us_max; /* from the input to the end of the tick */
    uint64_t turn_first_command, turn_commands_max;
    uint64_t log_us, cron_us; /* of turns_us: handing on what the log has, the periodic work */
    uint64_t dump_payload_sanitizations;
};

/* Operations per second over the last samples, one each 100 ms. */
enum { RATE_SAMPLES = 16 };
struct rate {
    uint64_t samples[RATE_SAMPLES];
    unsigned next;
    uint64_t last_count;
    int64_t last_ms;
};

enum shutdown_state { SHUTDOWN_NONE, SHUTDOWN_WANTED };

enum { PUBLISH_FORMS = 2 }; /* of a message: for RESP2 and RESP3 */

struct node {
    struct node_host host;
    struct options *options; /* owned by the caller, changed by CONFIG SET */
    struct store store;
    struct log *log;
    struct mesh_host mesh_host;
    struct mesh *mesh;           /* NULL: the node is alone */
    struct node_mesh *mesh_data; /* what the mesh needs of the node: node_mesh.h */
    int64_t clock_offset_ms;     /* DEBUG CLOCK-OFFSET */
    struct command_table commands;
    struct command_limits limits;
    struct command_stats *command_stats; /* one for each row of the table */
    struct error_stat errors[ERROR_STATS_MAX];
    unsigned errors_count;
    struct node_stats stats;
    struct rate commands_rate, input_rate, output_rate, turns_rate, turns_us_rate;

    /* The node's own files are read: clients are told LOADING. */
    struct {
        bool is_on;
        int64_t since_ms;
        struct log_progress progress;
    } reading;

    int64_t now_ms, started_ms;
    uint64_t now_us; /* monotonic, at the beginning of the turn or of the running command */
    uint64_t turn_began_us;
    int64_t slept_ms; /* by DEBUG SLEEP in a transaction: passes at its end */

    struct client *clients, *clients_last;
    unsigned clients_count, monitors_count, blocked_count, paused_count, watching_count;
    uint64_t next_client_id;
    struct client *ready, *ready_last; /* with input to look at */
    struct client *output, *output_last;
    struct client *held;          /* whose output waits for the log */
    struct batch_request *batch;  /* requests parsed but not yet executed: see turn.c */
    struct buffer *spare_buffers; /* the pool */
    unsigned spare_count;

    uint64_t clients_bytes; /* of all clients' counted_bytes, while maxmemory-clients is set ... */
    uint64_t counted_limit; /* ... to this many bytes */

    struct watched_key **watched_buckets; /* hash table of watched keys */
    struct blocking blocking;
    struct migrations migrations;

    struct pubsub pubsub;
    unsigned pubsub_clients_count;
    struct buffer publish_forms[PUBLISH_FORMS], publish_channel; /* scratch */
    struct client *running;       /* whose request is being executed */
    struct buffer running_pushes; /* messages to it: they come after its reply */

    struct lent_block *lent;       /* the block that the running request came in, or NULL */
    struct request_args turn_args; /* scratch of the running batch */
    struct buffer turn_scratch;

    int64_t pause_until_ms; /* CLIENT PAUSE */
    bool pause_all;         /* of all commands, not only of writes */

    struct slowlog_entry *slowlog; /* a ring of slowlog-max-len entries, newest last */
    size_t slowlog_count, slowlog_capacity, slowlog_first;
    int64_t slowlog_next_id;
    struct latency_event latency[LATENCY_EVENTS_MAX];

    struct eviction_pool eviction_pool;
    enum eviction_policy eviction_policy;
    uint64_t dirty_at_save;      /* store.stats.dirty when the running or last snapshot began */
    bool snapshot_is_save_point; /* the running one was asked for by a client or a save point */
    uint64_t flushes_all_saved;  /* of the store's, those that a snapshot was begun for */
    uint64_t departed_saved;     /* version of the departed lives, likewise */
    bool snapshot_wanted;        /* BGSAVE SCHEDULE, BGREWRITEAOF while one ran */
    int64_t last_save_unix_ms, last_save_attempt_ms;
    bool last_save_failed;
    uint64_t last_tick_us, next_expire_us, next_snapshot_us;
    bool wants_exact_wait;      /* after a tick: its wait is a pause between slices of work */
    uint64_t snapshot_commands; /* commands processed when the last slice of a snapshot began */
    int64_t last_second_ms;

    enum shutdown_state shutdown;
    bool shutdown_saves; /* whether to take a snapshot first */
    bool shutdown_forced;
    bool active_expire_is_off;     /* DEBUG SET-ACTIVE-EXPIRE 0 */
    bool tick_is_paused;           /* DEBUG PAUSE-CRON 1 */
    uint64_t memory_startup_bytes; /* in use when the node was ready to serve */
    char node_title[64];
    struct prng prng;
};

struct node_opts {
    struct node_host host;
    struct mesh_host mesh_host; /* without `dial` there is no mesh, whatever the options say */
    struct migration_host migration_host; /* without `dial` no other server is reached */
    struct options *options;              /* outlives the node */
    struct disk *disk;
    uint64_t entropy[4];
    int64_t now_ms;
};

/* ---- lifecycle ---- */

struct node *node_new(const struct node_opts *opts);
/* Recovers from the data directory and begins to log. False when the start must not go on; the
 * reason was told by host.message. */
bool node_start(struct node *node);
/* Ends orderly: the last snapshot if `saves`, the log's end. False when that failed (the node can
 * go on unless the caller insists). */
bool node_stop(struct node *node, bool saves);
void node_free(struct node *node);

/* ---- a turn ---- */

void node_set_time(struct node *node, int64_t now_ms, uint64_t now_us);
/* Lets the time that DEBUG SLEEP took pass for what is still to run in this turn. */
void node_wake(struct node *node);

struct client_opts {
    void *connection;
    const char *address, *local_address; /* copied */
    int descriptor;
    bool is_unix_socket, is_local;
};
/* A new client, or NULL when maxclients or protected mode forbid it: then `refusal` is the reply to
 * send before closing. */
struct client *node_client_open(struct node *node, const struct client_opts *opts,
                                const char **refusal);
/* Room for bytes from the connection: at least 16 KiB, more for a large argument under way. */
char *node_client_input_space(struct client *client, size_t *room);
/* Is what was read just now one large request, whole? Then it is to be executed before more is
 * read: its block is free to become that of a value. */
bool node_client_has_large_request(const struct client *client);
/* `size` bytes were put there. */
void node_client_input(struct client *client, size_t size);
/* Parses and executes what came in, then writes the log. */
void node_run(struct node *node);
/* In place of node_run() while node_start() reads files: commands that need no data are executed,
 * the others are told LOADING. */
void node_run_while_reading(struct node *node);
/* Takes the next client off the list of those with something to send or to close; NULL when done.
 * One with CLIENT_CLOSE_NOW is to be closed and freed; one with CLIENT_CLOSE_AFTER_REPLY likewise,
 * once client->out is empty. */
struct client *node_take_output(struct node *node);
/* `size` bytes from client->out.data + client->out_start on were sent. */
void node_client_sent(struct client *client, size_t size);
/* The connection is gone: forgets the client. Not while node_run() is under way. */
void node_client_free(struct client *client);
/* Periodic work; returns the microseconds until it wants to be called again, 0 when it has work to
 * go on with at once (a snapshot walk, much to expire). It may be a millisecond late, unless
 * node->wants_exact_wait. */
uint64_t node_tick(struct node *node);
void node_disk_done(struct node *node, struct disk_job *job);

/* ---- for the handlers in node/ ---- */

/* Closes a client: at once, or after its output was sent. */
void node_client_close(struct client *client, bool after_reply);
/* Puts the client on the output list; call after appending to another client's output. */
void node_client_wants_output(struct client *client);
/* Sends the client bytes that are no reply to a request of its own. They come after the reply to
 * the request that it is being executed for, if there is one; a client that is closed, or whose
 * output reaches its limit by them, and so is closed now, gets nothing. */
void node_client_push(struct client *client, struct slice bytes);
/* The hard limit of output of the client's class, 0: none. */
const int64_t *node_output_bytes_max(const struct client *client);
/* Begins to block the client; node_client_unblock() ends it, after its reply was written. */
void node_client_block(struct client *client, int64_t until_ms);
void node_client_unblock(struct client *client);
/* Executes one command as if the client had sent it, without the checks of node_dispatch(). */
void node_call(struct node *node, struct client *client, const struct command *row,
               const struct slice *args, size_t args_count, uint64_t first_key_hash,
               bool has_first_key_hash);
/* Executes the request of a parked client again, as `key` has changed. False: it found nothing and
 * stays parked; else it has its reply. */
bool node_call_again(struct node *node, struct client *client, const struct key *key);
/* Counts a request of the client that got its reply: statistics, slow log, latency. Errors count
 * from `errors_before` on. */
void node_count_call(struct node *node, struct client *client, const struct command *row,
                     const struct slice *args, size_t args_count, uint64_t duration_us,
                     unsigned errors_before);
/* All checks, then queueing or node_call(). */
void node_dispatch(struct node *node, struct client *client, const struct slice *args,
                   size_t args_count, const struct command *row, uint64_t first_key_hash,
                   bool has_first_key_hash);
/* maxmemory-clients: counts the bytes of one client, of all, or of one no longer; the first two
 * close the largest clients when there are too many bytes. */
void node_count_client_memory(struct client *client);
void node_recount_client_memory(struct node *node);
void node_forget_client_memory(struct client *client);
/* Ends CLIENT PAUSE: the requests held back are looked at again. */
void node_end_pause(struct node *node);
/* Forgets what the client watches. */
void node_unwatch_all(struct client *client);
/* True with an error text when writes must be refused now (MISCONF). */
bool node_write_is_denied(struct node *node, struct buffer *why);
/* The same, and also for want of peers (NOQUORUM). */
bool node_refuses_writes(struct node *node, struct buffer *why);
/* What counts towards maxmemory: the memory used, but for what the backlog keeps beyond its limit
 * for peers that read. To evict for that would make more changes for them to read. */
uint64_t node_memory_counted(const struct node *node);
/* Evicts until below maxmemory; false when that is not possible. */
bool node_make_room(struct node *node);
/* Takes over changed options (CONFIG SET): the config_apply hook. */
bool node_apply_options(void *udata, const struct options *options,
                        const struct config_change *changed, struct buffer *error,
                        enum option_id *guilty);
void node_message(struct node *node, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds a sample to an event's history if it reaches latency-monitor-threshold. */
void node_latency_add(struct node *node, const char *event, uint64_t duration_us);
/* Begins a snapshot for a client or a save point. */
enum log_status node_snapshot_begin(struct node *node);
uint64_t node_rate_per_second(const struct rate *rate);
/* Takes a sample of a counter: call it ten times a second. */
void rate_sample(struct rate *rate, uint64_t count, int64_t now_ms);
/* Shows the request to all clients in MONITOR. */
void node_feed_monitors(struct node *node, const struct client *client, const struct slice *args,
                        size_t args_count);
/* Ends what a blocked client waits for with its reply: when its time is over, or once
 * cmd_server_wait_is_over() says that there is nothing left to wait for. */
void cmd_server_wait_timeout(struct client *client);
bool cmd_server_wait_is_over(struct client *client);
/* The same for what MESH commands wait for. */
void cmd_mesh_wait_end(struct client *client);
bool cmd_mesh_wait_is_over(struct client *client);
/* The shutdown that was wanted will not be: tells those who wait for it. */
void cmd_server_shutdown_failed(struct node *node);
/* Adds the request to the slow log, whatever its duration. */
void slowlog_add(struct node *node, struct client *client, const struct slice *args,
                 size_t args_count, uint64_t duration_us);
/* Empties the slow log and frees it. */
void slowlog_reset(struct node *node);
/* Is this argument a secret, such as AUTH's password? The slow log and MONITOR show "(redacted)" in
 * its place. */
bool slowlog_is_secret(const struct slice *args, size_t args_count, size_t index);
/* SAVE: a snapshot while all wait; a running one is given up first if `cancels`. */
enum log_status node_snapshot_save(struct node *node, bool cancels);
/* Resets what CONFIG RESETSTAT resets. */
void node_reset_stats(struct node *node);

extern const struct command_family cmd_connection_family;
extern const struct command_family cmd_client_family;
extern const struct command_family cmd_transaction_family;
extern const struct command_family cmd_server_family;
extern const struct command_family cmd_config_family;
extern const struct command_family cmd_command_family;
extern const struct command_family cmd_memory_family;
extern const struct command_family cmd_slowlog_family;
extern const struct command_family cmd_latency_family;
extern const struct command_family cmd_acl_family;
extern const struct command_family cmd_module_family;
extern const struct command_family cmd_cluster_family;
extern const struct command_family cmd_debug_family;
extern const struct command_family cmd_persistence_family;
extern const struct command_family cmd_mesh_family;
extern const struct command_family cmd_pubsub_family;
extern const struct command_family cmd_migrate_family;

/* Is this argument of a MIGRATE a name or a password? */
bool cmd_migrate_is_secret(const struct slice *args, size_t args_count, size_t index);

#endif
