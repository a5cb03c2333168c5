/* SPDX-License-Identifier: BSD-3-Clause */
/* The wiring: sockets to the node, the node's output to sockets, the disk's completions to the
 * log, signals to an orderly end. Decisions are the node's; this file only carries. */
#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/node_mesh.h"
#include "platform/background.h"
#include "platform/counter_clock.h"
#include "platform/disk_posix.h"
#include "platform/memory_usage.h"
#include "platform/network.h"
#include "platform/process.h"
#include "server/certificates.h"
#include "server/message_log.h"
#include "server/oom_score.h"
#include "server/peers.h"
#include "server/targets.h"

enum {
    LISTENERS_MAX = 33, /* sixteen addresses, plain and with TLS, and a Unix socket */
    /* A burst of clients is as usual here as it is odd between nodes. */
    CLIENT_HANDSHAKES_MAX = 4096,
    ADDRESS_BYTES = 128,
    DESCRIPTORS_RESERVED = 32 + MIGRATION_LINKS_MAX, /* for files and targets, beside the clients */
    CALIBRATE_US = 100000,
    SERVES_WHILE_READING_US = 10000,
    /* Of one client, then others get their turn. What was read but not executed counts as used
     * memory, so it is kept small against any sensible maxmemory. */
    READ_BYTES_PER_TURN = 64 << 10,
};

struct server {
    struct options *options;
    struct connection_handlers client_handlers;
    char **argv;
    struct node *node;
    struct network *network;
    struct counter_clock clock;
    struct certificates *certificates;
    struct peers *peers;
    struct targets *targets;
    struct disk_posix *disk;
    struct background *background;
    struct listener *listeners[LISTENERS_MAX];
    size_t listeners_count;
    struct memory_thread_usage main_usage;
    int64_t memory_offset; /* what the allocator says, less what the threads' books say */
    uint64_t calibrated_us;
    uint64_t served_us; /* when clients were last served while files are read */
    struct process_facts facts;
    char *executable, *config_file;
    const char *restart; /* asked for by DEBUG RESTART */
    struct oom_score oom_score;
    bool is_stopping;
};

static void server_say(struct server *server, enum log_level level, const char *text) {
    message_log_write(server->options, level, text);
}

/* ---- what the node asks of its host ---- */

static uint64_t host_monotonic_us(void *udata) {
    return counter_clock_us(&((struct server *)udata)->clock);
}

static int64_t threads_bytes(const struct server *server) {
    return memory_thread_usage_bytes(&server->main_usage) +
           background_allocated_bytes(server->background);
}

/* The threads' books are exact and cheap, but not complete: other threads hand memory over, too.
 * Now and then the difference to the allocator's total is taken. */
static void memory_calibrate(struct server *server) {
    struct memory_figures figures;
    memory_usage_figures(&figures);
    server->memory_offset = (int64_t)figures.allocated_bytes - threads_bytes(server);
}

static uint64_t host_memory_used(void *udata) {
    const struct server *server = (const struct server *)udata;
    if (server->main_usage.allocated == NULL) {
        /* An allocator without books for each thread: the slow way, every time. */
        struct memory_figures figures;
        memory_usage_figures(&figures);
        return figures.allocated_bytes;
    }
    int64_t bytes = threads_bytes(server) + server->memory_offset;
    return bytes > 0 ? (uint64_t)bytes : 0;
}

static void host_memory_purge(void *udata) {
    (void)udata;
    memory_usage_purge();
}

static void host_facts(void *udata, struct host_facts *facts) {
    struct server *server = (struct server *)udata;
    struct memory_figures figures;
    process_facts(&server->facts);
    memory_usage_figures(&figures);
    *facts = (struct host_facts){
        .process_id = server->facts.process_id,
        .executable = server->executable,
        .config_file = server->config_file,
        .os = server->facts.os,
        .arch = server->facts.arch,
        .compiler = __VERSION__,
        .allocator = memory_usage_allocator(),
        .resident_bytes = server->facts.resident_bytes,
        .system_memory_bytes = server->facts.system_memory_bytes,
        .allocated_bytes = figures.allocated_bytes,
        .active_bytes = figures.active_bytes,
        .allocator_resident_bytes = figures.resident_bytes,
        .retained_bytes = figures.retained_bytes,
        .cpu_user_seconds = server->facts.cpu_user_seconds,
        .cpu_system_seconds = server->facts.cpu_system_seconds,
        .cpu_user_main_seconds = server->facts.cpu_user_main_seconds,
        .cpu_system_main_seconds = server->facts.cpu_system_main_seconds,
        .input_bytes_total = server->node->stats.input_bytes,
        .output_bytes_total = server->node->stats.output_bytes,
        .tls_ends_unix_seconds = tls_ends_unix_seconds(certificates_tls(server->certificates)),
    };
}

static void host_free_later(void *udata, void (*free_fn)(void *object), void *object) {
    background_add(((struct server *)udata)->background, free_fn, object);
}

static uint64_t host_free_later_pending(void *udata) {
    return background_pending(((struct server *)udata)->background);
}

static void host_message(void *udata, enum log_level level, const char *text) {
    server_say((struct server *)udata, level, text);
}

static void host_mesh_host_name(void *udata, char *text, size_t text_bytes) {
    peers_host_name(((struct server *)udata)->peers, text, text_bytes);
}

static bool host_entropy(void *udata, void *bytes, size_t size) {
    (void)udata;
    return process_entropy(bytes, size);
}

static bool host_read_config(void *udata, struct buffer *text, struct buffer *error) {
    const struct server *server = (const struct server *)udata;
    return process_read_file(server->config_file, text, error);
}

static bool host_write_config(void *udata, struct slice text, struct buffer *error) {
    const struct server *server = (const struct server *)udata;
    return process_write_file(server->config_file, text, error);
}

static void host_sleep_us(void *udata, uint64_t us) {
    (void)udata;
    process_sleep_us(us);
}

static void host_crash(void *udata, const char *how) {
    struct server *server = (struct server *)udata;
    if (strcmp(how, "restart") == 0) {
        server->restart = how;
        return;
    }
    if (strcmp(how, "segfault") == 0) {
        (void)raise(SIGSEGV);
    }
    abort();
}

/* ---- listening ---- */

static void listeners_close(struct server *server) {
    for (size_t i = 0; i < server->listeners_count; i++) {
        listener_free(server->listeners[i]);
    }
    server->listeners_count = 0;
}

/* Opens one listener; an address with a leading '-' may be missing. */
static bool listen_one(struct server *server, const struct listener_opts *opts, bool is_optional,
                       struct buffer *error) {
    char words[ADDRESS_BYTES];
    bool is_missing = false;
    if (server->listeners_count == LISTENERS_MAX) {
        buffer_printf(error, "Too many addresses to listen on");
        return false;
    }
    struct listener *listener =
        network_listen(server->network, opts, words, sizeof(words), &is_missing);
    if (listener != NULL) {
        server->listeners[server->listeners_count++] = listener;
        return true;
    }
    if (is_optional && is_missing) {
        return true;
    }
    if (opts->path != NULL) {
        buffer_printf(error, "Failed opening Unix socket %s: %s", opts->path, words);
    } else {
        buffer_printf(error, "Could not create server TCP listening socket %s:%d: %s",
                      opts->address, opts->port, words);
    }
    return false;
}

static enum tls_role clients_role(const struct options *options) {
    return options->tls_auth_clients == OPTION_TLS_AUTH_CLIENTS_NO    ? TLS_ACCEPTOR_OPEN
           : options->tls_auth_clients == OPTION_TLS_AUTH_CLIENTS_YES ? TLS_ACCEPTOR
                                                                      : TLS_ACCEPTOR_OPTIONAL;
}

/* On all addresses; `tls` is NULL for a plain port. */
static bool listen_tcp(struct server *server, int64_t port, const struct tls *tls,
                       struct buffer *error) {
    const struct options *options = server->options;
    bool is_open = true;
    for (size_t i = 0; port != 0 && is_open && i < options->bind.count; i++) {
        const char *address = options->bind.words[i];
        bool is_optional = address[0] == '-';
        struct listener_opts opts = {.handlers = &server->client_handlers,
                                     .address = address + (is_optional ? 1 : 0),
                                     .port = (int)port,
                                     .backlog = (int)options->tcp_backlog,
                                     .keepalive_seconds = (int)options->tcp_keepalive,
                                     .tls = tls,
                                     .tls_role = clients_role(options),
                                     .handshakes_max = CLIENT_HANDSHAKES_MAX};
        /* An IPv6 wildcard on a machine without IPv6 is no reason to give up. */
        is_optional = is_optional || strcmp(opts.address, "::*") == 0;
        is_open = listen_one(server, &opts, is_optional, error);
    }
    return is_open;
}

static bool listeners_open(struct server *server, struct buffer *error) {
    const struct options *options = server->options;
    bool is_open =
        listen_tcp(server, options->port, NULL, error) &&
        listen_tcp(server, options->tls_port, certificates_tls(server->certificates), error);
    if (is_open && options->unixsocket[0] != '\0') {
        struct listener_opts opts = {.handlers = &server->client_handlers,
                                     .path = options->unixsocket,
                                     .path_permissions = (unsigned)options->unixsocketperm,
                                     .backlog = (int)options->tcp_backlog};
        is_open = listen_one(server, &opts, false, error);
    }
    if (!is_open) {
        listeners_close(server);
    }
    return is_open;
}

static bool mesh_listeners_change(const struct config_change *changed) {
    return config_has_changed(changed, OPTION_mesh_port) ||
           config_has_changed(changed, OPTION_mesh_bind) ||
           config_has_changed(changed, OPTION_mesh_seeds) ||
           config_has_changed(changed, OPTION_port) ||
           config_has_changed(changed, OPTION_tls_port) || config_has_changed(changed, OPTION_bind);
}

static bool listeners_change(const struct config_change *changed) {
    return config_has_changed(changed, OPTION_port) || config_has_changed(changed, OPTION_bind) ||
           config_has_changed(changed, OPTION_tls_port) ||
           config_has_changed(changed, OPTION_tls_auth_clients);
}

static bool host_apply_options(void *udata, const struct config_change *changed,
                               struct buffer *error, enum option_id *guilty) {
    struct server *server = (struct server *)udata;
    if (config_has_changed(changed, OPTION_maxclients)) {
        uint64_t wanted = (uint64_t)server->options->maxclients + DESCRIPTORS_RESERVED;
        if (process_raise_descriptors(wanted) < wanted) {
            buffer_printf(error, "The operating system is not able to handle the specified "
                                 "number of clients");
            *guilty = OPTION_maxclients;
            return false;
        }
    }
    if (config_has_changed(changed, OPTION_dir) &&
        !process_change_directory(server->options->dir, error)) {
        *guilty = OPTION_dir;
        return false;
    }
    if ((config_has_changed(changed, OPTION_oom_score_adj) ||
         config_has_changed(changed, OPTION_oom_score_adj_values)) &&
        !oom_score_follow_options(&server->oom_score, server->options, error)) {
        *guilty = config_has_changed(changed, OPTION_oom_score_adj) ? OPTION_oom_score_adj
                                                                    : OPTION_oom_score_adj_values;
        return false;
    }
    if (listeners_change(changed)) {
        listeners_close(server);
        if (!listeners_open(server, error)) {
            *guilty = config_has_changed(changed, OPTION_port)       ? OPTION_port
                      : config_has_changed(changed, OPTION_tls_port) ? OPTION_tls_port
                                                                     : OPTION_bind;
            buffer_clear(error);
            buffer_printf(error, *guilty != OPTION_bind ? "Unable to listen on this port. Check "
                                                          "server logs."
                                                        : "Failed to bind to specified addresses.");
            return false;
        }
    }
    if (mesh_listeners_change(changed) && !peers_listen(server->peers, error)) {
        *guilty = config_has_changed(changed, OPTION_mesh_bind)    ? OPTION_mesh_bind
                  : config_has_changed(changed, OPTION_mesh_port)  ? OPTION_mesh_port
                  : config_has_changed(changed, OPTION_mesh_seeds) ? OPTION_mesh_seeds
                  : config_has_changed(changed, OPTION_port)       ? OPTION_port
                  : config_has_changed(changed, OPTION_tls_port)   ? OPTION_tls_port
                                                                   : OPTION_bind;
        return false;
    }
    /* Last, since what it had loaded before might not be there any more. */
    if (!certificates_follow_options(server->certificates, error, guilty)) {
        return false;
    }
    if (config_has_changed(changed, OPTION_mesh_tls)) {
        peers_follow_tls(server->peers);
    }
    for (size_t i = 0; i < server->listeners_count; i++) {
        listener_set_keepalive(server->listeners[i], (int)server->options->tcp_keepalive);
    }
    return true;
}

/* ---- connections ---- */

static void connection_drop(struct connection *connection, struct client *client) {
    node_client_free(client);
    connection_close(connection);
}

static void on_accepted(void *udata, struct connection *connection) {
    struct server *server = (struct server *)udata;
    char address[ADDRESS_BYTES], local_address[ADDRESS_BYTES];
    connection_address(connection, false, address, sizeof(address));
    connection_address(connection, true, local_address, sizeof(local_address));
    struct client_opts opts = {.connection = connection,
                               .address = address,
                               .local_address = local_address,
                               .descriptor = connection_descriptor(connection),
                               .is_unix_socket = connection_is_unix(connection),
                               .is_local = connection_is_local(connection)};
    const char *refusal = NULL;
    struct client *client = node_client_open(server->node, &opts, &refusal);
    if (client == NULL) {
        /* A courtesy: whether it arrives does not matter. */
        (void)connection_send(connection, refusal, strlen(refusal));
        connection_close(connection);
        return;
    }
    connection_set_owner(connection, client);
}

/* It did not get through the handshake of TLS. */
static void on_rejected(void *udata, struct connection *connection, int failure) {
    struct server *server = (struct server *)udata;
    const struct tls_failure *why = connection_failure(connection);
    char address[ADDRESS_BYTES];
    struct buffer text = {0};
    connection_address(connection, false, address, sizeof(address));
    buffer_printf(&text, "Error accepting a client connection: %s (addr=%s)",
                  failure == EPROTO && why != NULL ? why->text : strerror(failure), address);
    server_say(server, LOG_LEVEL_VERBOSE, buffer_text(&text));
    buffer_deinit(&text);
    server->node->stats.connections_rejected++;
    connection_close(connection);
}

static void on_readable(void *udata, struct connection *connection, void *owner) {
    struct client *client = (struct client *)owner;
    (void)udata;
    if ((client->flags & (CLIENT_CLOSE_AFTER_REPLY | CLIENT_CLOSE_NOW)) != 0) {
        /* What it still says is of no interest; only its end is. */
        char ignored[4096];
        if (connection_read(connection, ignored, sizeof(ignored)) == CONNECTION_CLOSED) {
            connection_drop(connection, client);
        }
        return;
    }
    /* One read is the rule; a client that sends more than the buffer holds is read on, so that
     * large requests do not take a turn for each piece. */
    for (size_t total = 0; total < READ_BYTES_PER_TURN;) {
        size_t room;
        char *at = node_client_input_space(client, &room);
        int64_t size = connection_read(connection, at, room);
        if (size == CONNECTION_CLOSED) {
            connection_drop(connection, client);
            return;
        }
        if (size == CONNECTION_AGAIN) {
            node_client_input(client, 0);
            return;
        }
        node_client_input(client, (size_t)size);
        if ((size_t)size < room || (client->flags & CLIENT_CLOSE_NOW) != 0 ||
            node_client_has_large_request(client)) {
            return;
        }
        total += (size_t)size;
    }
}

/* Sends what a client may get now; false when the connection is gone. */
static bool client_send(struct server *server, struct client *client) {
    struct connection *connection = (struct connection *)client->connection;
    if ((client->flags & CLIENT_CLOSE_NOW) != 0) {
        connection_drop(connection, client);
        return false;
    }
    for (;;) {
        size_t size = client_sendable_bytes(client, log_acknowledged_position(server->node->log));
        if (size == 0) {
            break;
        }
        int64_t sent = connection_send(connection, client->out.data + client->out_start, size);
        if (sent == CONNECTION_CLOSED) {
            connection_drop(connection, client);
            return false;
        }
        if (sent == CONNECTION_AGAIN) {
            connection_watch_writable(connection, true);
            return true;
        }
        node_client_sent(client, (size_t)sent);
        if ((size_t)sent < size) {
            connection_watch_writable(connection, true);
            return true;
        }
    }
    connection_watch_writable(connection, false);
    if ((client->flags & CLIENT_CLOSE_AFTER_REPLY) != 0 && client->out.size == 0) {
        connection_drop(connection, client);
        return false;
    }
    return true;
}

static void on_writable(void *udata, struct connection *connection, void *owner) {
    (void)connection;
    (void)client_send((struct server *)udata, (struct client *)owner);
}

static void on_disk_done(void *udata, int descriptor) {
    struct server *server = (struct server *)udata;
    (void)descriptor;
    node_set_time(server->node, process_unix_ms(), counter_clock_anchor(&server->clock));
    struct disk_job *job;
    while ((job = disk_posix_take_completion(server->disk)) != NULL) {
        node_disk_done(server->node, job);
    }
}

/* Between two records of the node's files: clients are told LOADING, and may ask how far it is. */
static bool host_serve_while_reading(void *udata) {
    struct server *server = (struct server *)udata;
    struct node *node = server->node;
    uint64_t now_us = counter_clock_anchor(&server->clock);
    if (now_us - server->served_us < SERVES_WHILE_READING_US) {
        return true;
    }
    server->served_us = now_us;
    network_wait(server->network, 0);
    node_set_time(node, process_unix_ms(), now_us);
    node_run_while_reading(node);
    struct client *client;
    while ((client = node_take_output(node)) != NULL) {
        (void)client_send(server, client);
    }
    return node->shutdown == SHUTDOWN_NONE;
}

/* ---- the end ---- */

static void on_signal(void *udata, int number) {
    struct server *server = (struct server *)udata;
    const struct options *options = server->options;
    server_say(server, LOG_LEVEL_WARNING,
               number == SIGINT ? "Received SIGINT scheduling shutdown..."
                                : "Received SIGTERM scheduling shutdown...");
    uint32_t bits =
        number == SIGINT ? options->shutdown_on_sigint.bits : options->shutdown_on_sigterm.bits;
    /* A second signal while the first is being obeyed means it. */
    bool is_repeated = server->node->shutdown != SHUTDOWN_NONE;
    server->node->shutdown = SHUTDOWN_WANTED;
    server->node->shutdown_saves =
        (bits & OPTION_SHUTDOWN_SAVE) != 0 ||
        ((bits & OPTION_SHUTDOWN_NOSAVE) == 0 && options->save.count > 0);
    server->node->shutdown_forced = is_repeated || (bits & OPTION_SHUTDOWN_FORCE) != 0;
}

static void server_shutdown(struct server *server) {
    struct node *node = server->node;
    server_say(server, LOG_LEVEL_WARNING, "User requested shutdown...");
    if (!node_stop(node, node->shutdown_saves) && !node->shutdown_forced) {
        server_say(server, LOG_LEVEL_WARNING,
                   "Errors trying to shut down the server. Check the logs for more information.");
        cmd_server_shutdown_failed(node);
        return;
    }
    server->is_stopping = true;
}

/* ---- the loop ---- */

static void server_turn(struct server *server, uint64_t *wait_us) {
    struct node *node = server->node;
    if (node->wants_exact_wait) {
        network_wait_exactly(server->network, *wait_us);
    } else {
        network_wait(server->network, *wait_us);
    }
    uint64_t now_us = counter_clock_anchor(&server->clock);
    node_set_time(node, process_unix_ms(), now_us);
    if (now_us - server->calibrated_us > CALIBRATE_US) {
        server->calibrated_us = now_us;
        memory_calibrate(server);
    }
    node_run(node);
    *wait_us = node_tick(node);
    certificates_tick(server->certificates, now_us);
    struct client *client;
    while ((client = node_take_output(node)) != NULL) {
        (void)client_send(server, client);
    }
    peers_flush(server->peers);
    targets_flush(server->targets);
    if (node->ready != NULL || migrations_has_work(node)) {
        *wait_us = 0;
    }
    if (node->shutdown != SHUTDOWN_NONE || server->restart != NULL) {
        server_shutdown(server);
    }
}

static bool certificates_start(struct server *server, struct buffer *error) {
    struct buffer reason = {0};
    enum option_id guilty;
    bool is_loaded = certificates_follow_options(server->certificates, &reason, &guilty);
    if (!is_loaded) {
        buffer_printf(error, "TLS cannot be set up: %s: %s", options_name(guilty),
                      buffer_text(&reason));
    }
    buffer_deinit(&reason);
    return is_loaded;
}

/* Everything but the node's data: false, with a message, when that cannot be. */
static bool server_open(struct server *server) {
    struct options *options = server->options;
    struct buffer error = {0};
    int failure = 0;
    uint64_t entropy[4];
    uint64_t wanted = (uint64_t)options->maxclients + DESCRIPTORS_RESERVED;
    uint64_t descriptors = process_raise_descriptors(wanted);
    if (descriptors < wanted) {
        options->maxclients = descriptors > 2 * DESCRIPTORS_RESERVED
                                  ? (int64_t)(descriptors - DESCRIPTORS_RESERVED)
                                  : 1;
        server_say(server, LOG_LEVEL_WARNING,
                   "The limit of open files is too low: maxclients was reduced.");
    }
    if (!oom_score_follow_options(&server->oom_score, options, &error)) {
        server_say(server, LOG_LEVEL_WARNING, buffer_text(&error));
        buffer_clear(&error);
    }
    counter_clock_init(&server->clock);
    server->network = network_new();
    server->certificates = certificates_new(options, host_message, server);
    if (server->network != NULL) {
        server->peers = peers_new(server->network, options, certificates_tls(server->certificates),
                                  host_message, server);
        server->targets = targets_new(server->network);
    }
    server->disk = disk_posix_new(options->dir, &failure);
    if (server->disk == NULL) {
        buffer_printf(&error, "Can't open the directory '%s': %s", options->dir, strerror(failure));
        server_say(server, LOG_LEVEL_WARNING, buffer_text(&error));
    } else if (server->network == NULL || !process_entropy(entropy, sizeof(entropy))) {
        server_say(server, LOG_LEVEL_WARNING, "The system offers no events or no random bytes.");
    } else if (!certificates_start(server, &error)) {
        server_say(server, LOG_LEVEL_WARNING, buffer_text(&error));
    } else if (!listeners_open(server, &error) || !peers_listen(server->peers, &error)) {
        server_say(server, LOG_LEVEL_WARNING, buffer_text(&error));
    } else {
        struct node_opts opts = {
            .host = {.udata = server,
                     .monotonic_us = host_monotonic_us,
                     .memory_used = host_memory_used,
                     .memory_purge = host_memory_purge,
                     .facts = host_facts,
                     .free_later = host_free_later,
                     .free_later_pending = host_free_later_pending,
                     .message = host_message,
                     .apply_options = host_apply_options,
                     .read_config = host_read_config,
                     .write_config = host_write_config,
                     .sleep_us = host_sleep_us,
                     .crash = host_crash,
                     .serve_while_reading = host_serve_while_reading,
                     .mesh_host_name = host_mesh_host_name,
                     .entropy = host_entropy},
            .options = options,
            .disk = disk_posix_disk(server->disk),
            .entropy = {entropy[0], entropy[1], entropy[2], entropy[3]},
            .now_ms = process_unix_ms(),
        };
        peers_host(server->peers, &opts.mesh_host);
        targets_host(server->targets, &opts.migration_host);
        server->node = node_new(&opts);
        memory_calibrate(server);
    }
    buffer_deinit(&error);
    return server->node != NULL;
}

static void write_pid_file(struct server *server) {
    struct buffer text = {0}, error = {0};
    buffer_printf(&text, "%ld\n", (long)getpid());
    if (!process_write_file(server->options->pidfile, buffer_slice(&text), &error)) {
        buffer_clear(&text);
        buffer_printf(&text, "Failed to write PID file: %s", buffer_text(&error));
        server_say(server, LOG_LEVEL_WARNING, buffer_text(&text));
    }
    buffer_deinit(&text);
    buffer_deinit(&error);
}

/* Says each line of the text by itself. */
static void server_say_lines(struct server *server, struct buffer *text) {
    (void)buffer_text(text);
    for (char *line = text->data, *end = line + text->size; line < end;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *line_end = newline != NULL ? newline : end;
        *line_end = '\0';
        if (line_end > line) {
            server_say(server, LOG_LEVEL_NOTICE, line);
        }
        line = line_end + 1;
    }
}

static void server_greet(struct server *server) {
    struct buffer text = {0};
    config_write_warnings(server->options, &text);
    server_say_lines(server, &text);
    buffer_clear(&text);
    buffer_printf(&text, "Starling " STARLING_VERSION " on port %lld, PID: %ld",
                  (long long)server->options->port, (long)getpid());
    server_say(server, LOG_LEVEL_NOTICE, buffer_text(&text));
    buffer_deinit(&text);
    server_say(server, LOG_LEVEL_NOTICE, "Server initialized");
    server_say(server, LOG_LEVEL_NOTICE, "Ready to accept connections");
}

static void server_free(struct server *server) {
    listeners_close(server);
    if (server->node != NULL) {
        for (struct client *client = server->node->clients; client != NULL;) {
            struct client *next = client->next;
            connection_drop((struct connection *)client->connection, client);
            client = next;
        }
        peers_set_mesh(server->peers, NULL);
        node_free(server->node);
    }
    if (server->peers != NULL) {
        peers_free(server->peers);
        targets_free(server->targets);
    }
    certificates_free(server->certificates);
    if (server->disk != NULL) {
        disk_posix_free(server->disk);
    }
    if (server->network != NULL) {
        network_free(server->network);
    }
    background_free(server->background);
    oom_score_restore(&server->oom_score); /* for the program that is started in place of us */
    memory_free(server->executable);
    memory_free(server->config_file);
}

/* Reads the node's files and serves until the end; false, with a message, when they cannot be. */
static bool server_serve(struct server *server) {
    bool is_started = node_start(server->node);
    bool is_stopped = server->node->shutdown != SHUTDOWN_NONE;
    if (is_started) {
        peers_set_mesh(server->peers, server->node->mesh);
        (void)network_watch_descriptor(server->network, disk_posix_completion_fd(server->disk),
                                       on_disk_done, server);
        server_greet(server);
        for (uint64_t wait_us = 0; !server->is_stopping;) {
            server_turn(server, &wait_us);
        }
    }
    if (is_started || is_stopped) {
        server_say(server, LOG_LEVEL_WARNING, "Starling is now ready to exit, bye bye...");
    }
    return is_started || is_stopped;
}

int server_run(struct options *options, char **argv) {
    struct server server = {.options = options, .argv = argv};
    server.client_handlers = (struct connection_handlers){.udata = &server,
                                                          .accepted = on_accepted,
                                                          .rejected = on_rejected,
                                                          .readable = on_readable,
                                                          .writable = on_writable};
    if (options->daemonize && !process_daemonize()) {
        server_say(&server, LOG_LEVEL_WARNING, "Can't go on in the background.");
        return 1;
    }
    process_hold_signals(true); /* until somebody listens to them */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    memory_usage_init();
    server.main_usage = memory_thread_usage_here();
    server.background = background_new();
    server.executable = process_absolute_path("/proc/self/exe");
    server.config_file = memory_copy_text(options->config_file);
    bool is_good = server_open(&server);
    if (is_good) {
        (void)network_watch_signal(server.network, SIGINT, on_signal, &server);
        (void)network_watch_signal(server.network, SIGTERM, on_signal, &server);
        process_hold_signals(false);
        if (options->pidfile[0] != '\0') {
            write_pid_file(&server);
        }
        is_good = server_serve(&server);
        if (options->pidfile[0] != '\0') {
            process_remove_file(options->pidfile);
        }
    }
    bool restarts = server.restart != NULL;
    server_free(&server);
    if (restarts) {
        process_restart(argv);
    }
    return is_good ? 0 : 1;
}
