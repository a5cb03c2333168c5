/* SPDX-License-Identifier: BSD-3-Clause */
/* INFO: Redis 7.2's sections and field names, since tools look for them. A field whose matter does
 * not exist here (forks, replicas, scripts) is 0; what exists only here stands under names of its
 * own, which begin with "starling_" or "log_". */
#include "node/info.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/number.h"
#include "log/log_stream.h"
#include "node/histogram.h"
#include "node/memory_overview.h"
#include "node/node_mesh.h"

struct info_writer {
    struct node *node;
    struct buffer *text;
    struct memory_overview memory; /* taken once for all sections */
};

/* Monitoring asks often, and there are hundreds of fields: most of them are put without printf().
 */
static void put_text(struct info_writer *w, const char *text) {
    buffer_append(w->text, text, strlen(text));
}

static void info_text(struct info_writer *w, const char *name, const char *value) {
    put_text(w, name);
    put_text(w, ":");
    put_text(w, value);
    put_text(w, "\r\n");
}

static void info_signed(struct info_writer *w, const char *name, int64_t value) {
    char digits[NUMBER_INTEGER_BYTES_MAX + 1];
    digits[number_format_integer(digits, value)] = '\0';
    info_text(w, name, digits);
}

static void info_count(struct info_writer *w, const char *name, uint64_t value) {
    char digits[NUMBER_INTEGER_BYTES_MAX + 1];
    digits[number_format_unsigned(digits, value)] = '\0';
    info_text(w, name, digits);
}

/* The number with so many digits behind the point, as printf() has it, up to the last digit. */
static const char *info_fixed(char text[64], double value, unsigned decimals) {
    enum { DECIMALS_MAX = 6 };
    static const uint64_t SCALES[DECIMALS_MAX + 1] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    require(decimals <= DECIMALS_MAX);
    if (!(value >= 0 && value < 1e12)) {
        (void)snprintf(text, 64, "%.*f", (int)decimals, value);
        return text;
    }
    uint64_t scaled = (uint64_t)(value * (double)SCALES[decimals] + 0.5);
    size_t size = number_format_integer(text, (int64_t)(scaled / SCALES[decimals]));
    uint64_t rest = scaled % SCALES[decimals];
    if (decimals > 0) {
        text[size++] = '.';
    }
    for (unsigned i = decimals; i-- > 0; rest %= SCALES[i]) {
        text[size++] = (char)('0' + rest / SCALES[i]);
    }
    text[size] = '\0';
    return text;
}

static void info_real(struct info_writer *w, const char *name, double value, unsigned decimals) {
    char text[64];
    info_text(w, name, info_fixed(text, value, decimals));
}

/* A number of bytes, and the same for people. */
static void info_bytes(struct info_writer *w, const char *name, uint64_t bytes) {
    static const char UNITS[] = "BKMGTPE";
    info_count(w, name, bytes);
    double value = (double)bytes;
    unsigned unit = 0;
    while (value >= 1024 && unit < sizeof(UNITS) - 2) {
        value /= 1024;
        unit++;
    }
    char text[64];
    put_text(w, name);
    put_text(w, "_human:");
    put_text(w, info_fixed(text, value, unit == 0 ? 0 : 2));
    buffer_append(w->text, &UNITS[unit], 1);
    put_text(w, "\r\n");
}

static void info_zeros(struct info_writer *w, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        info_count(w, names[i], 0);
    }
}

#define INFO_ZEROS(w, ...)                                                                         \
    info_zeros((w), (const char *const[]){__VA_ARGS__},                                            \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static const char *info_status(bool is_ok) {
    return is_ok ? "ok" : "err";
}

static void info_tcp_listener(struct info_writer *w, unsigned number, const char *name,
                              int64_t port) {
    const struct option_words *bind = &w->node->options->bind;
    buffer_printf(w->text, "listener%u:name=%s,bind=", number, name);
    for (size_t i = 0; i < bind->count; i++) {
        buffer_printf(w->text, "%s%s", i > 0 ? ",bind=" : "", bind->words[i]);
    }
    buffer_printf(w->text, ",port=%" PRId64 "\r\n", port);
}

static void info_listeners(struct info_writer *w) {
    const struct options *options = w->node->options;
    unsigned number = 0;
    if (options->port != 0) {
        info_tcp_listener(w, number++, "tcp", options->port);
    }
    if (options->unixsocket[0] != '\0') {
        buffer_printf(w->text, "listener%u:name=unix,bind=%s\r\n", number++, options->unixsocket);
    }
    if (options->tls_port != 0) {
        info_tcp_listener(w, number, "tls", options->tls_port);
    }
}

static void info_server(struct info_writer *w) {
    struct node *node = w->node;
    const struct host_facts *facts = &w->memory.facts;
    int64_t uptime = (node->now_ms - node->started_ms) / 1000;
    uptime = uptime < 0 ? 0 : uptime;
    const char *id = log_node_id(node->log);
    info_text(w, "redis_version", INFO_REDIS_VERSION);
    info_text(w, "starling_version", STARLING_VERSION);
    info_text(w, "redis_git_sha1", "00000000");
    info_count(w, "redis_git_dirty", 0);
    info_text(w, "redis_build_id", STARLING_BUILD);
    info_text(w, "redis_mode", "standalone");
    info_text(w, "os", facts->os);
    info_count(w, "arch_bits", sizeof(void *) * 8);
    info_text(w, "monotonic_clock", "POSIX clock_gettime");
    info_text(w, "multiplexing_api", "epoll");
    info_text(w, "atomicvar_api", "c11-builtin");
    info_text(w, "gcc_version", facts->compiler);
    info_signed(w, "process_id", facts->process_id);
    info_text(w, "process_supervised", "no");
    /* Redis has 40 digits for a run; ours are the node's id and its generation. */
    buffer_printf(w->text, "run_id:%.32s%08" PRIx32 "\r\n", id,
                  (uint32_t)log_generation(node->log));
    info_signed(w, "tcp_port",
                node->options->port != 0 ? node->options->port : node->options->tls_port);
    info_signed(w, "server_time_usec", node->now_ms * 1000 + (int64_t)(node->now_us % 1000));
    info_signed(w, "uptime_in_seconds", uptime);
    info_signed(w, "uptime_in_days", uptime / 86400);
    info_signed(w, "hz", node->options->hz);
    info_signed(w, "configured_hz", node->options->hz);
    info_signed(w, "lru_clock", node->now_ms / 1000 & 0xFFFFFF);
    info_text(w, "executable", facts->executable);
    info_text(w, "config_file", facts->config_file);
    info_count(w, "io_threads_active", 0);
    info_text(w, "starling_node_id", id);
    info_count(w, "starling_generation", log_generation(node->log));
    info_listeners(w);
}

static void info_clients(struct info_writer *w) {
    const struct node *node = w->node;
    size_t input_max = 0, output_max = 0;
    unsigned timed_count = 0, watching_count = 0, watched_count = 0;
    for (const struct client *client = node->clients; client != NULL; client = client->next) {
        input_max = client->in.capacity > input_max ? client->in.capacity : input_max;
        output_max = client->out.capacity > output_max ? client->out.capacity : output_max;
        timed_count += (client->flags & CLIENT_BLOCKED) != 0 &&
                       (client->block_until_ms != 0 ||
                        (client->blocked != NULL && client->blocked->deadline.place != 0));
        watching_count += client->watched != NULL;
        for (const struct watched_key *key = client->watched; key != NULL;
             key = key->next_of_client) {
            watched_count++;
        }
    }
    info_count(w, "connected_clients", node->clients_count);
    info_count(w, "cluster_connections", 0);
    info_signed(w, "maxclients", node->options->maxclients);
    info_count(w, "client_recent_max_input_buffer", input_max);
    info_count(w, "client_recent_max_output_buffer", output_max);
    info_count(w, "blocked_clients", node->blocked_count + node->paused_count);
    info_count(w, "tracking_clients", 0);
    info_count(w, "pubsub_clients", node->pubsub_clients_count);
    info_count(w, "watching_clients", watching_count);
    info_count(w, "clients_in_timeout_table", timed_count);
    info_count(w, "total_watched_keys", watched_count);
    info_count(w, "total_blocking_keys", key_queues_count(&node->blocking.queues));
    info_count(w, "total_blocking_keys_on_nokey", node->blocking.queues.wants_any_count);
}

static void info_memory(struct info_writer *w) {
    const struct memory_overview *memory = &w->memory;
    const struct host_facts *facts = &memory->facts;
    struct node *node = w->node;
    info_bytes(w, "used_memory", memory->used_bytes);
    info_bytes(w, "used_memory_rss", facts->resident_bytes);
    info_bytes(w, "used_memory_peak", memory->peak_bytes);
    buffer_printf(w->text, "used_memory_peak_perc:%.2f%%\r\n", memory->peak_percent);
    info_count(w, "used_memory_overhead", memory->overhead_bytes);
    info_count(w, "used_memory_startup", memory->startup_bytes);
    info_count(w, "used_memory_dataset", memory->dataset_bytes);
    buffer_printf(w->text, "used_memory_dataset_perc:%.2f%%\r\n", memory->dataset_percent);
    info_count(w, "allocator_allocated", facts->allocated_bytes);
    info_count(w, "allocator_active", facts->active_bytes);
    info_count(w, "allocator_resident", facts->allocator_resident_bytes);
    info_bytes(w, "total_system_memory", facts->system_memory_bytes);
    info_count(w, "used_memory_lua", 0);
    info_count(w, "used_memory_vm_eval", 0);
    info_text(w, "used_memory_lua_human", "0B");
    INFO_ZEROS(w, "used_memory_scripts_eval", "number_of_cached_scripts", "number_of_functions",
               "number_of_libraries", "used_memory_vm_functions");
    info_bytes(w, "used_memory_vm_total", 0);
    info_count(w, "used_memory_functions", 0);
    info_bytes(w, "used_memory_scripts", 0);
    info_bytes(w, "maxmemory", (uint64_t)node->options->maxmemory);
    struct buffer policy = {0};
    config_format(node->options, OPTION_maxmemory_policy, &policy);
    info_text(w, "maxmemory_policy", buffer_text(&policy));
    buffer_deinit(&policy);
    info_real(w, "allocator_frag_ratio", memory->allocator_fragmentation_ratio, 2);
    info_signed(w, "allocator_frag_bytes", memory->allocator_fragmentation_bytes);
    info_real(w, "allocator_rss_ratio", memory->allocator_rss_ratio, 2);
    info_signed(w, "allocator_rss_bytes", memory->allocator_rss_bytes);
    info_real(w, "rss_overhead_ratio", memory->rss_overhead_ratio, 2);
    info_signed(w, "rss_overhead_bytes", memory->rss_overhead_bytes);
    info_real(w, "mem_fragmentation_ratio", memory->fragmentation_ratio, 2);
    info_signed(w, "mem_fragmentation_bytes", memory->fragmentation_bytes);
    info_count(w, "mem_not_counted_for_evict", log_ring_excess_bytes(node->log));
    info_count(w, "mem_replication_backlog", memory->backlog_bytes);
    INFO_ZEROS(w, "mem_total_replication_buffers", "mem_clients_slaves");
    info_count(w, "mem_clients_normal", memory->clients_bytes);
    info_count(w, "mem_cluster_links", 0);
    info_count(w, "mem_aof_buffer", memory->log_bytes);
    info_text(w, "mem_allocator", facts->allocator);
    info_count(w, "active_defrag_running", 0);
    uint64_t pending = node->host.free_later_pending(node->host.udata);
    info_count(w, "lazyfree_pending_objects", pending);
    info_count(w, "lazyfreed_objects", node->stats.freed_later - pending);
}

/* Seconds that the running snapshot has taken so far, -1 without one. */
static int64_t info_snapshot_seconds(const struct node *node, const struct log_stats *stats,
                                     bool is_meant) {
    if (!stats->snapshot_is_running || !is_meant) {
        return -1;
    }
    return (node->now_ms - stats->snapshot_started_ms) / 1000;
}

/* While files are read: since when, how much there is, how far it is, and how long it will take. */
static void info_reading(struct info_writer *w) {
    const struct node *node = w->node;
    uint64_t total = node->reading.progress.bytes_total, done = node->reading.progress.bytes_done;
    done = done < total ? done : total;
    uint64_t elapsed_ms = (uint64_t)(node->now_ms - node->reading.since_ms);
    uint64_t eta_ms = done > 0 ? elapsed_ms * (total - done) / done : 0;
    info_signed(w, "loading_start_time", node->reading.since_ms / 1000);
    info_count(w, "loading_total_bytes", total);
    info_count(w, "loading_rdb_used_mem", 0);
    info_count(w, "loading_loaded_bytes", done);
    info_real(w, "loading_loaded_perc", total > 0 ? 100.0 * (double)done / (double)total : 0, 2);
    info_count(w, "loading_eta_seconds", (eta_ms + 999) / 1000);
}

static void info_persistence(struct info_writer *w) {
    const struct node *node = w->node;
    struct log_stats stats;
    log_get_stats(node->log, &stats);
    bool rewrites = stats.snapshot_is_running && !node->snapshot_is_save_point;
    bool saves = stats.snapshot_is_running && node->snapshot_is_save_point;
    int64_t last_seconds = stats.snapshot_ms_last < 0 ? -1 : stats.snapshot_ms_last / 1000;
    info_count(w, "loading", node_is_loading(node));
    INFO_ZEROS(w, "async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age");
    info_real(w, "current_fork_perc", 0, 2);
    info_count(w, "current_save_keys_processed",
               stats.snapshot_is_running ? stats.snapshot_keys_done : 0);
    info_count(w, "current_save_keys_total",
               stats.snapshot_is_running ? stats.snapshot_keys_total : 0);
    info_count(w, "rdb_changes_since_last_save", node->store.stats.dirty);
    info_count(w, "rdb_bgsave_in_progress", saves);
    info_signed(w, "rdb_last_save_time", node->last_save_unix_ms / 1000);
    info_text(w, "rdb_last_bgsave_status", info_status(!node->last_save_failed));
    info_signed(w, "rdb_last_bgsave_time_sec", last_seconds);
    info_signed(w, "rdb_current_bgsave_time_sec", info_snapshot_seconds(node, &stats, saves));
    info_count(w, "rdb_saves", stats.snapshots_done);
    info_count(w, "rdb_last_cow_size", 0);
    info_count(w, "rdb_last_load_keys_expired", 0);
    info_count(w, "rdb_last_load_keys_loaded", stats.recovery.snapshot_keys);
    info_count(w, "aof_enabled", stats.is_on);
    info_count(w, "aof_rewrite_in_progress", rewrites);
    info_count(w, "aof_rewrite_scheduled", node->snapshot_wanted);
    info_signed(w, "aof_last_rewrite_time_sec", last_seconds);
    info_signed(w, "aof_current_rewrite_time_sec", info_snapshot_seconds(node, &stats, rewrites));
    info_text(w, "aof_last_bgrewrite_status", info_status(stats.snapshot_status == LOG_OK));
    info_count(w, "aof_rewrites", stats.snapshots_done);
    info_count(w, "aof_rewrites_consecutive_failures", 0);
    info_text(w, "aof_last_write_status",
              info_status(stats.write_status == DISK_OK && stats.sync_status == DISK_OK));
    INFO_ZEROS(w, "aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size");
    if (stats.is_on) {
        info_count(w, "aof_current_size", stats.current_bytes);
        info_count(w, "aof_base_size", stats.base_bytes);
        info_count(w, "aof_pending_rewrite", stats.snapshot_is_required);
        info_count(w, "aof_buffer_length", stats.pending_bytes);
        info_count(w, "aof_pending_bio_fsync", stats.is_syncing);
        info_count(w, "aof_delayed_fsync", stats.delayed_syncs);
    }
    info_count(w, "log_segments", stats.segments_count);
    info_count(w, "log_segments_bytes", stats.segments_bytes);
    info_count(w, "log_position", log_position(node->log));
    info_count(w, "log_written_position", log_written_position(node->log));
    info_count(w, "log_synced_position", log_synced_position(node->log));
    info_count(w, "log_syncs", stats.syncs);
    info_count(w, "log_sync_errors", stats.sync_errors);
    info_count(w, "log_write_errors", stats.write_errors);
    info_count(w, "log_sync_last_usec", stats.sync_us_last);
    info_count(w, "log_sync_max_usec", stats.sync_us_max);
    info_count(w, "log_snapshot_sequence", stats.snapshot_sequence);
    info_count(w, "log_snapshot_bytes", stats.snapshot_bytes);
    info_count(w, "log_snapshots_failed", stats.snapshots_failed);
    if (node->reading.is_on) {
        info_reading(w);
    }
}

/* All commands but EXEC, whose time is that of those in it. */
static uint64_t commands_us(const struct node *node) {
    uint64_t us = 0;
    for (size_t i = 0; i < node->commands.count; i++) {
        const struct command *row = node->commands.rows[i];
        us += strcmp(row->name, "exec") != 0 ? node->command_stats[i].duration_us : 0;
    }
    return us;
}

static void info_stats(struct info_writer *w) {
    const struct node *node = w->node;
    const struct node_stats *stats = &node->stats;
    const struct store_stats *store = &node->store.stats;
    info_count(w, "total_connections_received", stats->connections_received);
    info_count(w, "total_commands_processed", stats->commands_processed);
    info_count(w, "instantaneous_ops_per_sec", node_rate_per_second(&node->commands_rate));
    info_count(w, "total_net_input_bytes", stats->input_bytes);
    info_count(w, "total_net_output_bytes", stats->output_bytes);
    INFO_ZEROS(w, "total_net_repl_input_bytes", "total_net_repl_output_bytes");
    info_real(w, "instantaneous_input_kbps", (double)node_rate_per_second(&node->input_rate) / 1024,
              2);
    info_real(w, "instantaneous_output_kbps",
              (double)node_rate_per_second(&node->output_rate) / 1024, 2);
    info_real(w, "instantaneous_input_repl_kbps", 0, 2);
    info_real(w, "instantaneous_output_repl_kbps", 0, 2);
    info_count(w, "rejected_connections", stats->connections_rejected);
    INFO_ZEROS(w, "sync_full", "sync_partial_ok", "sync_partial_err");
    info_count(w, "expired_subkeys", store->expired_fields);
    info_count(w, "expired_keys", store->expired);
    info_real(w, "expired_stale_perc", store->expired_stale_percent, 2);
    info_count(w, "expired_time_cap_reached_count", stats->expired_time_cap_reached);
    info_count(w, "expire_cycle_cpu_milliseconds", stats->expire_cycle_us / 1000);
    info_count(w, "evicted_keys", store->evicted);
    info_count(w, "evicted_clients", stats->evicted_clients);
    info_count(w, "total_eviction_exceeded_time", stats->eviction_us / 1000);
    info_count(w, "current_eviction_exceeded_time", 0);
    info_count(w, "keyspace_hits", store->hits);
    info_count(w, "keyspace_misses", store->misses);
    info_count(w, "pubsub_channels", pubsub_count(&node->pubsub, PUBSUB_CHANNEL));
    info_count(w, "pubsub_patterns", pubsub_count(&node->pubsub, PUBSUB_PATTERN));
    info_count(w, "pubsubshard_channels", pubsub_count(&node->pubsub, PUBSUB_SHARD_CHANNEL));
    INFO_ZEROS(w, "latest_fork_usec", "total_forks");
    info_count(w, "migrate_cached_sockets", migrations_links_count(node));
    INFO_ZEROS(w, "slave_expires_tracked_keys", "active_defrag_hits", "active_defrag_misses",
               "active_defrag_key_hits", "active_defrag_key_misses", "total_active_defrag_time",
               "current_active_defrag_time", "tracking_total_keys", "tracking_total_items",
               "tracking_total_prefixes");
    info_count(w, "unexpected_error_replies", stats->unexpected_error_replies);
    info_count(w, "total_error_replies", stats->total_error_replies);
    info_count(w, "dump_payload_sanitizations", stats->dump_payload_sanitizations);
    info_count(w, "total_reads_processed", stats->reads_processed);
    info_count(w, "total_writes_processed", stats->writes_processed);
    INFO_ZEROS(w, "io_threaded_reads_processed", "io_threaded_writes_processed",
               "reply_buffer_shrinks", "reply_buffer_expands");
    uint64_t turns_per_second = node_rate_per_second(&node->turns_rate);
    info_count(w, "eventloop_cycles", stats->turns);
    info_count(w, "eventloop_duration_sum", stats->turns_us);
    info_count(w, "eventloop_duration_cmd_sum", commands_us(node));
    info_count(w, "instantaneous_eventloop_cycles_per_sec", turns_per_second);
    info_count(w, "instantaneous_eventloop_duration_usec",
               turns_per_second > 0 ? node_rate_per_second(&node->turns_us_rate) / turns_per_second
                                    : 0);
    INFO_ZEROS(w, "acl_access_denied_auth", "acl_access_denied_cmd", "acl_access_denied_key",
               "acl_access_denied_channel");
    info_count(w, "client_query_buffer_limit_disconnections", stats->query_limit_disconnections);
    info_count(w, "client_output_buffer_limit_disconnections", stats->output_limit_disconnections);
}

static void info_replication(struct info_writer *w) {
    const struct node *node = w->node;
    const char *id = log_node_id(node->log);
    info_text(w, "role", "master");
    info_count(w, "connected_slaves", 0);
    info_text(w, "master_failover_state", "no-failover");
    buffer_printf(w->text, "master_replid:%.32s%08" PRIx32 "\r\n", id,
                  (uint32_t)log_generation(node->log));
    info_text(w, "master_replid2", "0000000000000000000000000000000000000000");
    info_count(w, "master_repl_offset", 0);
    info_signed(w, "second_repl_offset", -1);
    info_count(w, "repl_backlog_active", 0);
    info_signed(w, "repl_backlog_size", node->options->repl_backlog_size);
    INFO_ZEROS(w, "repl_backlog_first_byte_offset", "repl_backlog_histlen");
}

/* The mesh: one row for each number of struct mesh_stats. */
static void info_mesh(struct info_writer *w) {
    const struct node *node = w->node;
    struct mesh_stats stats;
    struct log_ring_stats ring;
    info_count(w, "mesh_enabled", node->mesh != NULL);
    if (node->mesh == NULL) {
        return;
    }
    mesh_get_stats(node->mesh, &stats);
    log_get_ring_stats(node->log, &ring);
    info_text(w, "mesh_cluster_id", node->options->mesh_cluster_id);
    info_text(w, "mesh_node_id", log_node_id(node->log));
    info_count(w, "mesh_generation", log_generation(node->log));
    info_text(w, "mesh_address", node_mesh_address(node));
    info_count(w, "mesh_nodes_known", stats.members);
    info_count(w, "mesh_nodes_alive", stats.alive);
    info_count(w, "mesh_nodes_suspect", stats.suspect);
    info_count(w, "mesh_nodes_dead", stats.dead);
    info_count(w, "mesh_links_up", stats.links_up);
    info_count(w, "mesh_tls", node->options->mesh_tls);
    info_signed(
        w, "mesh_tls_certificate_seconds",
        node->options->mesh_tls ? w->memory.facts.tls_ends_unix_seconds - node->now_ms / 1000 : 0);
    info_count(w, "mesh_has_quorum", stats.has_quorum);
    info_count(w, "mesh_joining", node_mesh_is_joining(node));
    info_count(w, "mesh_lag_out_ms_max", stats.lag_out_ms_max);
    info_count(w, "mesh_lag_in_ms_max", stats.lag_in_ms_max);
    info_count(w, "mesh_lag_out_changes_max", stats.lag_out_changes_max);
    info_count(w, "mesh_lag_in_changes_max", stats.lag_in_changes_max);
    info_signed(w, "mesh_frontier_age_ms", stats.frontier_age_ms);
    info_count(w, "mesh_conflicts", node->store.conflicts_count);
    info_count(w, "mesh_keys_unsettled", node->store.unsettled_count);
    info_count(w, "mesh_keys_contested", node->store.contested_count);
    info_count(w, "mesh_bytes_in", stats.bytes_in);
    info_count(w, "mesh_bytes_out", stats.bytes_out);
    info_count(w, "mesh_frames_in", stats.frames_in);
    info_count(w, "mesh_frames_out", stats.frames_out);
    info_count(w, "mesh_compressed_in_bytes", stats.compressed_in_bytes);
    info_count(w, "mesh_compressed_out_bytes", stats.compressed_out_bytes);
    info_count(w, "mesh_records_in", stats.records_in);
    info_count(w, "mesh_records_out", stats.records_out);
    info_count(w, "mesh_records_relayed", stats.records_relayed);
    info_count(w, "mesh_changes_coalesced", stats.changes_coalesced);
    info_count(w, "mesh_duplicates", stats.duplicates);
    info_count(w, "mesh_gaps", stats.gaps);
    info_count(w, "mesh_early", stats.early);
    info_count(w, "mesh_questions_out", stats.questions_out);
    info_count(w, "mesh_answers_out", stats.answers_out);
    info_count(w, "mesh_late", node->stats.late_records);
    info_count(w, "mesh_waiting_records", stats.waiting_records);
    info_count(w, "mesh_waiting_bytes", stats.waiting_bytes);
    info_count(w, "mesh_waiting_dropped", stats.waiting_dropped);
    info_count(w, "mesh_digests_in", stats.digests_in);
    info_count(w, "mesh_digests_out", stats.digests_out);
    info_count(w, "mesh_acks_in", stats.acks_in);
    info_count(w, "mesh_acks_out", stats.acks_out);
    info_count(w, "mesh_backlog_bytes", ring.bytes);
    info_count(w, "mesh_backlog_disk_reads", ring.disk_reads);
    info_count(w, "mesh_syncs_log", stats.syncs_log);
    info_count(w, "mesh_syncs_snapshot", stats.syncs_snapshot);
    info_count(w, "mesh_syncs_served", stats.syncs_served);
    info_count(w, "mesh_parts_in", stats.parts_in);
    info_count(w, "mesh_parts_out", stats.parts_out);
    info_count(w, "mesh_parts_resumed", stats.parts_resumed);
    info_count(w, "mesh_rebases", stats.rebases);
    info_real(w, "mesh_last_sync_seconds", stats.last_sync_seconds, 3);
    info_count(w, "mesh_broadcasts_in", stats.broadcasts_in);
    info_count(w, "mesh_broadcasts_out", stats.broadcasts_out);
    info_count(w, "mesh_broadcasts_relayed", stats.broadcasts_relayed);
    info_count(w, "mesh_broadcasts_dropped", stats.broadcasts_dropped);
    info_count(w, "mesh_broadcasts_duplicate", stats.broadcasts_duplicate);
    for (int reason = MESH_REASON_NONE + 1; reason < MESH_REASONS_COUNT; reason++) {
        buffer_printf(w->text, "mesh_refused_%s:%" PRIu64 "\r\n",
                      mesh_reason_name((enum mesh_reason)reason), stats.refused[reason]);
    }
}

static void info_cpu(struct info_writer *w) {
    const struct host_facts *facts = &w->memory.facts;
    info_real(w, "used_cpu_sys", facts->cpu_system_seconds, 6);
    info_real(w, "used_cpu_user", facts->cpu_user_seconds, 6);
    info_real(w, "used_cpu_sys_children", 0, 6);
    info_real(w, "used_cpu_user_children", 0, 6);
    info_real(w, "used_cpu_sys_main_thread", facts->cpu_system_main_seconds, 6);
    info_real(w, "used_cpu_user_main_thread", facts->cpu_user_main_seconds, 6);
}

static void info_modules(struct info_writer *w) {
    (void)w; /* there are none */
}

static void info_commandstats(struct info_writer *w) {
    const struct node *node = w->node;
    for (size_t i = 0; i < node->commands.count; i++) {
        const struct command_stats *stats = &node->command_stats[i];
        if (stats->calls == 0 && stats->rejected == 0 && stats->failed == 0) {
            continue;
        }
        buffer_printf(w->text, "cmdstat_");
        command_table_full_name(node->commands.rows[i], w->text);
        buffer_printf(w->text,
                      ":calls=%" PRIu64 ",usec=%" PRIu64
                      ",usec_per_call=%.2f,rejected_calls=%" PRIu64 ",failed_calls=%" PRIu64 "\r\n",
                      stats->calls, stats->duration_us,
                      stats->calls > 0 ? (double)stats->duration_us / (double)stats->calls : 0.0,
                      stats->rejected, stats->failed);
    }
}

static void info_errorstats(struct info_writer *w) {
    const struct node *node = w->node;
    for (unsigned i = 0; i < node->errors_count; i++) {
        buffer_printf(w->text, "errorstat_%s:count=%" PRIu64 "\r\n", node->errors[i].code,
                      node->errors[i].count);
    }
}

static void info_latencystats(struct info_writer *w) {
    const struct node *node = w->node;
    const struct option_percentiles *percentiles =
        &node->options->latency_tracking_info_percentiles;
    if (!node->options->latency_tracking) {
        return;
    }
    for (size_t i = 0; i < node->commands.count; i++) {
        const uint64_t *buckets = node->command_stats[i].histogram;
        if (buckets == NULL) {
            continue;
        }
        buffer_printf(w->text, "latency_percentiles_usec_");
        command_table_full_name(node->commands.rows[i], w->text);
        for (size_t j = 0; j < percentiles->count; j++) {
            buffer_printf(w->text, "%cp%.10g=%.3f", j == 0 ? ':' : ',', percentiles->values[j],
                          (double)histogram_percentile_us(buckets, percentiles->values[j]));
        }
        buffer_printf(w->text, "\r\n");
    }
}

static void info_cluster(struct info_writer *w) {
    info_count(w, "cluster_enabled", 0);
}

static void info_keyspace(struct info_writer *w) {
    const struct node *node = w->node;
    for (unsigned db = 0; db < node->store.dbs_count; db++) {
        const struct keyspace *keyspace = &node->store.dbs[db];
        uint64_t keys = store_visible_count(&node->store, db);
        if (keys > 0) {
            buffer_printf(w->text,
                          "db%u:keys=%" PRIu64 ",expires=%" PRIu64 ",avg_ttl=%" PRId64 "\r\n", db,
                          keys, keyspace->table.marked_count, keyspace->average_ttl_ms);
        }
    }
}

static void info_debug(struct info_writer *w) {
    const struct node_stats *stats = &w->node->stats;
    info_count(w, "eventloop_duration_aof_sum", stats->log_us);
    info_count(w, "eventloop_duration_cron_sum", stats->cron_us);
    info_count(w, "eventloop_duration_max", stats->turn_us_max);
    info_count(w, "eventloop_cmd_per_cycle_max", stats->turn_commands_max);
}

static const struct info_section {
    const char *name, *title;
    enum { BY_DEFAULT, WITH_ALL, BY_NAME } shown;
    void (*write)(struct info_writer *w);
} INFO_SECTIONS[] = {
    {"server", "Server", BY_DEFAULT, info_server},
    {"clients", "Clients", BY_DEFAULT, info_clients},
    {"memory", "Memory", BY_DEFAULT, info_memory},
    {"persistence", "Persistence", BY_DEFAULT, info_persistence},
    {"stats", "Stats", BY_DEFAULT, info_stats},
    {"replication", "Replication", BY_DEFAULT, info_replication},
    {"mesh", "Mesh", BY_DEFAULT, info_mesh},
    {"cpu", "CPU", BY_DEFAULT, info_cpu},
    {"modules", "Modules", BY_DEFAULT, info_modules},
    {"commandstats", "Commandstats", WITH_ALL, info_commandstats},
    {"errorstats", "Errorstats", BY_DEFAULT, info_errorstats},
    {"latencystats", "Latencystats", WITH_ALL, info_latencystats},
    {"cluster", "Cluster", BY_DEFAULT, info_cluster},
    {"keyspace", "Keyspace", BY_DEFAULT, info_keyspace},
    {"debug", "Debug", BY_NAME, info_debug},
};

enum { INFO_SECTIONS_COUNT = sizeof(INFO_SECTIONS) / sizeof(INFO_SECTIONS[0]) };

static bool info_is_meant(const struct info_section *section, const struct slice *words,
                          size_t words_count) {
    if (words_count == 0) {
        return section->shown == BY_DEFAULT;
    }
    for (size_t i = 0; i < words_count; i++) {
        bool is_all = slice_is_word(words[i], "all") || slice_is_word(words[i], "everything");
        if (slice_is_word(words[i], section->name) || (section->shown != BY_NAME && is_all) ||
            (section->shown == BY_DEFAULT && slice_is_word(words[i], "default"))) {
            return true;
        }
    }
    return false;
}

void info_write(struct node *node, const struct slice *words, size_t words_count,
                struct buffer *text) {
    enum { TEXT_BYTES = 8192 }; /* mostly it is a little less */
    struct info_writer writer = {.node = node, .text = text};
    (void)buffer_reserve(text, words_count == 0 ? TEXT_BYTES : 0);
    memory_overview_take(node, &writer.memory);
    for (size_t i = 0; i < INFO_SECTIONS_COUNT; i++) {
        const struct info_section *section = &INFO_SECTIONS[i];
        if (info_is_meant(section, words, words_count)) {
            buffer_printf(text, "%s# %s\r\n", text->size > 0 ? "\r\n" : "", section->title);
            section->write(&writer);
        }
    }
}
