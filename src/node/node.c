/* SPDX-License-Identifier: BSD-3-Clause */
/* The node's life: making, starting, stopping, and what options change. */
#include "node/node.h"

#include <stdio.h>

#include "base/memory.h"
#include "node/node_mesh.h"
#include "node/publish.h"
#include "node/transaction.h"
#include "node/turn.h"

static void node_log_message(void *udata, enum log_level level, const char *text) {
    struct node *node = (struct node *)udata;
    node->host.message(node->host.udata, level, text);
}

void node_message(struct node *node, enum log_level level, const char *format, ...) {
    struct buffer text = {0};
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    node->host.message(node->host.udata, level, buffer_text(&text));
    buffer_deinit(&text);
}

static bool node_recovering(void *udata, const struct log_progress *progress) {
    struct node *node = (struct node *)udata;
    node->reading.progress = *progress;
    if (node->options->key_load_delay > 0 && node->host.sleep_us != NULL) {
        node->host.sleep_us(node->host.udata, (uint64_t)node->options->key_load_delay);
    }
    return node->host.serve_while_reading == NULL ||
           node->host.serve_while_reading(node->host.udata);
}

/* To look at fewer elements is a matter of microseconds. */
enum { LARGE_ELEMENTS_MIN = 1024 };

static void node_journal_full(void *udata) {
    log_collect(((struct node *)udata)->log);
}

static void node_touch(void *udata, const struct key *key, enum store_touch touch) {
    struct node *node = (struct node *)udata;
    if (node->watching_count > 0) {
        transaction_touch(node, key, touch);
    }
    if (node->blocking.requests_count > 0) {
        blocking_touch(node, key, touch);
    }
    if (node->migrations.in_flight_count > 0) {
        migrations_touch(node, key, touch);
    }
}

static void node_free_later(void *udata, void (*free_fn)(void *object), void *object) {
    struct node *node = (struct node *)udata;
    node->stats.freed_later++;
    node->host.free_later(node->host.udata, free_fn, object);
}

/* ---- options ---- */

static enum eviction_policy eviction_of_option(int policy) {
    switch ((enum option_maxmemory_policy)policy) {
    case OPTION_MAXMEMORY_VOLATILE_LRU:
        return EVICTION_VOLATILE_LRU;
    case OPTION_MAXMEMORY_VOLATILE_LFU:
        return EVICTION_VOLATILE_LFU;
    case OPTION_MAXMEMORY_VOLATILE_RANDOM:
        return EVICTION_VOLATILE_RANDOM;
    case OPTION_MAXMEMORY_VOLATILE_TTL:
        return EVICTION_VOLATILE_TTL;
    case OPTION_MAXMEMORY_ALLKEYS_LRU:
        return EVICTION_ALL_LRU;
    case OPTION_MAXMEMORY_ALLKEYS_LFU:
        return EVICTION_ALL_LFU;
    case OPTION_MAXMEMORY_ALLKEYS_RANDOM:
        return EVICTION_ALL_RANDOM;
    case OPTION_MAXMEMORY_NOEVICTION:
        break;
    }
    return EVICTION_NONE;
}

static enum log_fsync fsync_of_option(int policy) {
    switch ((enum option_appendfsync)policy) {
    case OPTION_APPENDFSYNC_ALWAYS:
        return LOG_FSYNC_ALWAYS;
    case OPTION_APPENDFSYNC_NO:
        return LOG_FSYNC_NO;
    case OPTION_APPENDFSYNC_EVERYSEC:
        break;
    }
    return LOG_FSYNC_EVERYSEC;
}

/* Up to where collections are packed; those that are there keep their form until they are written
 * to. */
static void node_take_packing(struct node *node) {
    const struct options *options = node->options;
    node->store.packing[VALUE_HASH] = (struct store_packing){
        .entries_max = (uint64_t)options->hash_max_listpack_entries,
        .bytes_max = (uint64_t)options->hash_max_listpack_value,
    };
    node->store.packing[VALUE_SET] = (struct store_packing){
        .entries_max = (uint64_t)options->set_max_listpack_entries,
        .integers_max = (uint64_t)options->set_max_intset_entries,
        .bytes_max = (uint64_t)options->set_max_listpack_value,
    };
    node->store.packing[VALUE_SORTED_SET] = (struct store_packing){
        .entries_max = (uint64_t)options->zset_max_listpack_entries,
        .bytes_max = (uint64_t)options->zset_max_listpack_value,
    };
    /* Streams have one form; this is what a rough trim takes for a node. */
    node->store.packing[VALUE_STREAM] = (struct store_packing){
        .entries_max = (uint64_t)options->stream_node_max_entries,
        .bytes_max = (uint64_t)options->stream_node_max_bytes,
    };
}

/* This says what OBJECT ENCODING calls lists, and how many elements are packed at most; how many
 * bytes are is the store's own limit. */
static void node_take_list_limits(struct node *node) {
    enum { PIECE_BYTES = 4096, PIECE_SIZES = 5, COUNTED_BYTES = 8192 };
    int64_t size = node->options->list_max_listpack_size;
    struct store_packing *packing = &node->store.packing[VALUE_LIST];
    if (size >= 0) {
        *packing = (struct store_packing){.entries_max = size > 0 ? (uint64_t)size : 1,
                                          .bytes_max = COUNTED_BYTES};
    } else {
        unsigned shift = (unsigned)(size < -PIECE_SIZES ? PIECE_SIZES : -size) - 1;
        *packing = (struct store_packing){.entries_max = UINT64_MAX,
                                          .bytes_max = (uint64_t)PIECE_BYTES << shift};
    }
}

/* Takes over what the node itself reads often or hands to its parts. */
static void node_take_options(struct node *node) {
    const struct options *options = node->options;
    node->limits = (struct command_limits){
        .value_bytes_max = (uint64_t)options->proto_max_bulk_len,
        .hll_sparse_bytes_max = (uint64_t)options->hll_sparse_max_bytes,
    };
    enum eviction_policy policy = eviction_of_option(options->maxmemory_policy);
    if (policy != node->eviction_policy) {
        node->eviction_policy = policy;
        node->eviction_pool.count = 0;
    }
    node->store.uses_lfu = policy == EVICTION_ALL_LFU || policy == EVICTION_VOLATILE_LFU;
    bool uses_lru = policy == EVICTION_ALL_LRU || policy == EVICTION_VOLATILE_LRU;
    node->limits.shows_shared_integers =
        options->maxmemory == 0 || (!uses_lru && !node->store.uses_lfu);
    node_take_packing(node);
    node_take_list_limits(node);
    node->store.lfu_log_factor = (unsigned)options->lfu_log_factor;
    node->store.lfu_decay_minutes = (unsigned)options->lfu_decay_time;
    log_set_fsync(node->log, fsync_of_option(options->appendfsync));
    log_set_segment_bytes(node->log, (uint64_t)options->log_segment_size);
    log_set_retention_bytes(node->log, (uint64_t)options->log_retention_size);
    log_set_snapshot_compression(node->log, options->rdbcompression);
}

bool node_apply_options(void *udata, const struct options *options,
                        const struct config_change *changed, struct buffer *error,
                        enum option_id *guilty) {
    struct node *node = (struct node *)udata;
    node_take_options(node);
    publish_configure(node);
    if (options->appendonly != log_is_on(node->log) &&
        log_set_on(node->log, options->appendonly, node->now_ms, node->now_us) != LOG_OK) {
        buffer_printf(error, "Unable to turn on AOF: %s", log_error(node->log));
        *guilty = OPTION_appendonly;
        return false;
    }
    return node_mesh_configure(node, changed, true, error, guilty) &&
           node->host.apply_options(node->host.udata, changed, error, guilty) &&
           node_mesh_configure(node, changed, false, error, guilty);
}

/* ---- lifecycle ---- */

static void node_add_families(struct node *node) {
    const struct command_family *families[] = {
        &cmd_string_family,
        &cmd_bitmap_family,
        &cmd_hyperloglog_family,
        &cmd_lcs_family,
        &cmd_key_family,
        &cmd_expire_family,
        &cmd_scan_family,
        &cmd_object_family,
        &cmd_dump_family,
        &cmd_database_family,
        &cmd_server_family,
        &cmd_connection_family,
        &cmd_client_family,
        &cmd_config_family,
        &cmd_transaction_family,
        &cmd_command_family,
        &cmd_memory_family,
        &cmd_slowlog_family,
        &cmd_latency_family,
        &cmd_acl_family,
        &cmd_module_family,
        &cmd_cluster_family,
        &cmd_debug_family,
        &cmd_persistence_family,
        &cmd_mesh_family,
        &cmd_hash_family,
        &cmd_hash_expire_family,
        &cmd_set_family,
        &cmd_set_random_family,
        &cmd_set_algebra_family,
        &cmd_sorted_set_family,
        &cmd_sorted_set_range_family,
        &cmd_sorted_set_algebra_family,
        &cmd_geo_family,
        &cmd_sort_family,
        &cmd_pubsub_family,
        &cmd_migrate_family,
        &cmd_list_family,
        &cmd_stream_family,
        &cmd_stream_read_family,
        &cmd_stream_group_family,
        &cmd_stream_pending_family,
        &cmd_stream_info_family,
    };
    command_table_init(&node->commands);
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        command_table_add(&node->commands, families[i]);
    }
    node->command_stats = memory_alloc_zero(node->commands.count * sizeof(node->command_stats[0]));
}

struct node *node_new(const struct node_opts *opts) {
    struct node *node = memory_alloc_zero(sizeof(*node));
    node->host = opts->host;
    node->mesh_host = opts->mesh_host;
    node->migrations.host = opts->migration_host;
    node->options = opts->options;
    node->next_client_id = 1;
    node->last_save_unix_ms = opts->now_ms;
    prng_init(&node->prng, opts->entropy[2]);
    struct store_opts store_opts = {.dbs_count = (unsigned)opts->options->databases,
                                    .seed = opts->entropy[3]};
    store_init(&node->store, &store_opts);
    node->store.untold_elements_min = node->store.grave_elements_min = LARGE_ELEMENTS_MIN;
    pubsub_init(&node->pubsub, node->store.seed);
    blocking_init(node);
    node->store.udata = node;
    node->store.touch = node_touch;
    node->store.notify = publish_key_event;
    node->store.free_later = node_free_later;
    node->store.journal_full = node_journal_full;
    struct log_opts log_opts = {
        .disk = opts->disk,
        .store = &node->store,
        .entropy = {opts->entropy[0], opts->entropy[1]},
        .fsync = fsync_of_option(opts->options->appendfsync),
        .segment_bytes = (uint64_t)opts->options->log_segment_size,
        .retention_bytes = (uint64_t)opts->options->log_retention_size,
        .compresses_snapshots = opts->options->rdbcompression,
        .begins_replica = node->mesh_host.dial != NULL && node_mesh_port(opts->options) != 0,
        .message = node_log_message,
        .recovering = node_recovering,
        .udata = node,
    };
    node->log = log_new(&log_opts);
    node_take_options(node);
    node_add_families(node);
    node_set_time(node, opts->now_ms, node->host.monotonic_us(node->host.udata));
    node->started_ms = opts->now_ms;
    return node;
}

/* rename-command: false, with a message, when a command is unknown or a new name taken. */
static bool node_rename_commands(struct node *node) {
    const struct option_words *renames = &node->options->rename_command;
    for (size_t i = 0; i + 1 < renames->count; i += 2) {
        if (!command_table_rename(&node->commands, slice_of(renames->words[i]),
                                  renames->words[i + 1])) {
            node_message(node, LOG_LEVEL_WARNING,
                         "rename-command: there is no command '%s', or '%s' is taken",
                         renames->words[i], renames->words[i + 1]);
            return false;
        }
    }
    return true;
}

bool node_start(struct node *node) {
    if (!node_rename_commands(node)) {
        return false;
    }
    struct log_recovery recovery = {0};
    uint64_t began_us = node->host.monotonic_us(node->host.udata);
    node->memory_startup_bytes = node->host.memory_used(node->host.udata);
    /* What expired while the node was away is removed by active expiry, recorded. */
    node->store.expiry_is_paused = true;
    enum log_status status = log_open(node->log, node->now_ms);
    if (status == LOG_OK) {
        node->reading.is_on = true;
        node->reading.since_ms = node->now_ms;
        status = log_recover(node->log, &recovery);
        node->reading.is_on = false;
    }
    if (status != LOG_OK ||
        log_start(node->log, node->options->appendonly, node->now_ms, began_us) != LOG_OK) {
        node_message(node, LOG_LEVEL_WARNING, "%s", log_error(node->log));
        return false;
    }
    node->store.expiry_is_paused = false;
    node->store.stats.dirty = 0;
    uint64_t keys = 0;
    for (unsigned db = 0; db < node->store.dbs_count; db++) {
        keys += store_visible_count(&node->store, db);
    }
    uint64_t took_us = node->host.monotonic_us(node->host.udata) - began_us;
    if (keys > 0 || recovery.changes_count > 0) {
        node_message(node, LOG_LEVEL_NOTICE, "DB loaded from disk: %.3f seconds, %llu keys",
                     (double)took_us / 1e6, (unsigned long long)keys);
    }
    publish_configure(node);
    return node_mesh_start(node);
}

bool node_stop(struct node *node, bool saves) {
    bool is_complete = log_is_on(node->log) || node->store.stats.dirty == 0;
    if (saves && node_mesh_is_joining(node)) {
        node_message(node, LOG_LEVEL_WARNING,
                     "No snapshot is saved: the state of the mesh was not "
                     "taken over to its end. The next start begins again.");
        saves = false;
    }
    if (saves) {
        node_message(node, LOG_LEVEL_NOTICE, "Saving the final snapshot before exiting.");
        log_snapshot_cancel(node->log, node->now_ms, node->now_us);
        if (log_snapshot_save(node->log, node->now_ms, node->now_us) != LOG_OK) {
            node_message(node, LOG_LEVEL_WARNING, "Error trying to save the DB, can't exit: %s",
                         log_error(node->log));
            return false;
        }
        is_complete = true;
    }
    if (log_close(node->log, is_complete, node->now_ms) != LOG_OK) {
        node_message(node, LOG_LEVEL_WARNING, "%s", log_error(node->log));
        return false;
    }
    return true;
}

void node_free(struct node *node) {
    while (node->clients != NULL) {
        node_client_free(node->clients);
    }
    migrations_deinit(node);
    node_mesh_free(node);
    log_free(node->log);
    slowlog_reset(node);
    for (size_t i = 0; i < node->commands.count; i++) {
        memory_free(node->command_stats[i].histogram);
    }
    memory_free(node->command_stats);
    command_table_deinit(&node->commands);
    store_deinit(&node->store);
    turn_deinit(node);
    blocking_deinit(node);
    pubsub_deinit(&node->pubsub);
    memory_free(node->watched_buckets);
    memory_free(node);
}

void node_set_time(struct node *node, int64_t now_ms, uint64_t now_us) {
    node->now_ms = now_ms + node->clock_offset_ms;
    node->now_us = now_us;
    store_set_now(&node->store, node->now_ms);
    node_mesh_set_time(node);
}

void node_wake(struct node *node) {
    if (unlikely(node->slept_ms != 0)) {
        int64_t now_ms = node->now_ms - node->clock_offset_ms + node->slept_ms;
        node->slept_ms = 0;
        node_set_time(node, now_ms, node->host.monotonic_us(node->host.udata));
    }
}

bool node_write_is_denied(struct node *node, struct buffer *why) {
    const char *words;
    if (log_is_failing(node->log, &words)) {
        buffer_printf(why, "MISCONF Errors writing to the AOF file: %s", words);
        return true;
    }
    if (node->last_save_failed && node->options->stop_writes_on_bgsave_error &&
        node->options->save.count > 0) {
        buffer_printf(why, "MISCONF Redis is configured to save RDB snapshots, but it's currently "
                           "unable to persist to disk. Commands that may modify the data set are "
                           "disabled, because this instance is configured to report errors during "
                           "writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). "
                           "Please check the Redis logs for details about the RDB error.");
        return true;
    }
    return false;
}
