/* SPDX-License-Identifier: BSD-3-Clause */
/* What a node does by itself: expiry, snapshots, limits of time. Everything here is cut into
 * slices of well under a millisecond, so that it never delays a request by more. */
#include "base/memory.h"
#include "node/node_mesh.h"
#include "node/turn.h"

enum {
    SNAPSHOT_SLICE_US = 120,
    SNAPSHOT_PAUSE_US = 450, /* between slices, while there are requests: a fifth of the time */
    SNAPSHOT_STEP_ENTRIES = 64,
    EXPIRE_SLICE_US = 500,
    EXPIRE_STEP_BUCKETS = 64,
    EXPIRE_STALE_PERCENT = 5, /* above this share of stale keys, expiry goes on at once ... */
    EXPIRE_PAUSE_FACTOR = 3,  /* ... with pauses of so many times the work: a quarter of the CPU */
    SAVE_RETRY_MS = 5000,
    TICK_MS = 100,
};

static uint64_t clock_us(const struct node *node) {
    return node->host.monotonic_us(node->host.udata);
}

/* ---- expiry ---- */

/* One slice of active expiry; sets when the next one is due. */
static void tick_expire(struct node *node) {
    if (node->active_expire_is_off || node->store.expiry_is_paused ||
        node->pause_until_ms > node->now_ms || clock_us(node) < node->next_expire_us) {
        return;
    }
    uint64_t began_us = clock_us(node), took_us = 0;
    uint64_t slice_us = (uint64_t)EXPIRE_SLICE_US * (uint64_t)node->options->active_expire_effort;
    uint64_t seen = 0, removed = 0;
    bool pass_done = false;
    while (!pass_done && took_us < slice_us) {
        uint64_t seen_now;
        removed += store_expire_some(&node->store, EXPIRE_STEP_BUCKETS, &seen_now, &pass_done);
        seen += seen_now;
        took_us = clock_us(node) - began_us;
    }
    /* Fields of hashes have a slice of their own: many keys shall not keep them. */
    uint64_t fields_removed = 0, both_us = took_us;
    bool fields_done = false;
    while (!fields_done && both_us - took_us < slice_us) {
        fields_removed += elements_expire_some(&node->store, &fields_done);
        both_us = clock_us(node) - began_us;
    }
    uint64_t hz_us = 1000000 / (uint64_t)(node->options->hz > 0 ? node->options->hz : 10);
    bool is_stale = seen > 0 && removed * 100 > seen * EXPIRE_STALE_PERCENT;
    bool is_done = pass_done && fields_done;
    if (is_stale || (!fields_done && fields_removed > 0)) {
        node->next_expire_us = began_us + both_us * (1 + EXPIRE_PAUSE_FACTOR);
    } else if (is_done) {
        node->next_expire_us = began_us + hz_us;
    } else {
        /* Little is stale, but the walk is not through: a pass takes about a second. */
        node->next_expire_us = began_us + hz_us / 10;
    }
    double stale = seen > 0 ? 100.0 * (double)removed / (double)seen : 0;
    node->store.stats.expired_stale_percent =
        node->store.stats.expired_stale_percent * 0.95 + stale * 0.05;
    node->stats.active_expire_removed += removed;
    node->stats.expire_cycle_us += both_us;
    node->stats.expired_time_cap_reached += !is_done && both_us >= slice_us;
    if (removed + fields_removed > 0) {
        node_latency_add(node, "expire-cycle", both_us);
    }
}

/* ---- snapshots ---- */

enum log_status node_snapshot_begin(struct node *node) {
    enum log_status status = log_snapshot_begin(node->log, node->now_ms, node->now_us);
    if (status == LOG_OK) {
        node->dirty_at_save = node->store.stats.dirty;
        node->snapshot_is_save_point = true;
        node->last_save_attempt_ms = node->now_ms;
    }
    return status;
}

/* Works on a running snapshot for a slice, and says when the next one is due; false when there is
 * nothing to do until the disk has caught up. While requests come in, slices are apart: the thread
 * that compresses and writes shall have its turn in the pauses, not in the middle of a request. */
static bool tick_snapshot(struct node *node) {
    if (!log_snapshot_is_running(node->log)) {
        return false;
    }
    uint64_t began_us = clock_us(node), now_us = began_us;
    bool is_busy = node->stats.commands_processed != node->snapshot_commands;
    if (is_busy && began_us < node->next_snapshot_us) {
        return true;
    }
    node->snapshot_commands = node->stats.commands_processed;
    bool has_more = true;
    while (has_more && now_us - began_us < SNAPSHOT_SLICE_US) {
        has_more = log_snapshot_step(node->log, SNAPSHOT_STEP_ENTRIES, node->now_ms, now_us);
        now_us = clock_us(node);
    }
    node->next_snapshot_us = is_busy ? now_us + SNAPSHOT_PAUSE_US : now_us;
    return has_more;
}

/* Notices that a snapshot ended, however it did. */
static void tick_snapshot_end(struct node *node) {
    if (!node->snapshot_is_save_point || log_snapshot_is_running(node->log)) {
        return;
    }
    node->snapshot_is_save_point = false;
    struct log_stats stats;
    log_get_stats(node->log, &stats);
    node->last_save_failed = stats.snapshot_status != LOG_OK;
    if (node->last_save_failed) {
        node_message(node, LOG_LEVEL_WARNING, "Background saving error: %s", log_error(node->log));
        return;
    }
    node->store.stats.dirty -= node->dirty_at_save;
    node->dirty_at_save = 0;
    node->last_save_unix_ms = node->now_ms;
    node_message(node, LOG_LEVEL_NOTICE, "Background saving terminated with success");
}

static bool save_point_is_due(const struct node *node) {
    const struct option_save_points *save = &node->options->save;
    if (node->last_save_failed && node->now_ms - node->last_save_attempt_ms < SAVE_RETRY_MS) {
        return false;
    }
    for (size_t i = 0; i < save->count; i++) {
        if (node->store.stats.dirty >= (uint64_t)save->points[i].changes &&
            node->now_ms - node->last_save_unix_ms > save->points[i].seconds * 1000) {
            return true;
        }
    }
    return false;
}

static bool log_rewrite_is_due(const struct node *node) {
    if (!log_is_on(node->log) || node->options->auto_aof_rewrite_percentage == 0) {
        return false;
    }
    struct log_stats stats;
    log_get_stats(node->log, &stats);
    uint64_t base = stats.base_bytes > 0 ? stats.base_bytes : 1;
    return stats.current_bytes > (uint64_t)node->options->auto_aof_rewrite_min_size &&
           stats.current_bytes > base &&
           (stats.current_bytes - base) / base * 100 +
                   (stats.current_bytes - base) % base * 100 / base >=
               (uint64_t)node->options->auto_aof_rewrite_percentage;
}

/* Who saves by snapshots alone shall not find again after a crash what FLUSHALL removed, nor wait
 * for a node that is gone. */
static bool removal_is_to_be_saved(struct node *node) {
    bool is_new = node->store.stats.flushes_all != node->flushes_all_saved ||
                  node->store.replicas.departed_version != node->departed_saved;
    node->flushes_all_saved = node->store.stats.flushes_all;
    node->departed_saved = node->store.replicas.departed_version;
    return is_new && node->options->save.count > 0 && !log_is_on(node->log);
}

static void tick_save(struct node *node) {
    tick_snapshot_end(node);
    if (log_snapshot_is_running(node->log) || node_mesh_is_joining(node)) {
        return;
    }
    if (removal_is_to_be_saved(node) || node->snapshot_wanted || save_point_is_due(node) ||
        log_rewrite_is_due(node)) {
        node->snapshot_wanted = false;
        node->last_save_attempt_ms = node->now_ms;
        if (node_snapshot_begin(node) != LOG_OK) {
            node->last_save_failed = true;
            node_message(node, LOG_LEVEL_WARNING, "Background saving error: %s",
                         log_error(node->log));
        }
    }
}

/* ---- clients ---- */

/* The limits that a client can break by doing nothing; once a second. */
static void tick_client(struct node *node, struct client *client) {
    int64_t timeout_ms = node->options->timeout * 1000;
    if (timeout_ms > 0 &&
        (client->flags & (CLIENT_BLOCKED | CLIENT_MONITOR | CLIENT_PUBSUB)) == 0 &&
        node->now_ms - client->active_ms > timeout_ms) {
        node_message(node, LOG_LEVEL_VERBOSE, "Closing idle client");
        node_client_close(client, false);
        return;
    }
    bool is_pubsub = (client->flags & CLIENT_PUBSUB) != 0;
    enum option_client_class class = is_pubsub ? OPTION_CLIENT_PUBSUB : OPTION_CLIENT_NORMAL;
    int64_t soft = node->options->client_output_buffer_limit.classes[class].soft_bytes;
    int64_t seconds = node->options->client_output_buffer_limit.classes[class].soft_seconds;
    if (soft == 0 || client->out.size - client->out_start <= (uint64_t)soft) {
        client->soft_limit_since_ms = 0;
    } else if (client->soft_limit_since_ms == 0) {
        client->soft_limit_since_ms = node->now_ms;
    } else if (node->now_ms - client->soft_limit_since_ms > seconds * 1000) {
        node->stats.output_limit_disconnections++;
        node_client_close(client, false);
    }
}

/* Lets go of clients whose wait is over. Whatever ends one but the time (an acknowledgement, a
 * record, the disk) comes with a turn of its own, so nobody has to look in between: returns after
 * how many milliseconds the next one gives up, or INT64_MAX. */
static int64_t tick_blocked(struct node *node) {
    int64_t wait_ms = INT64_MAX;
    for (struct client *client = node->clients; client != NULL; client = client->next) {
        if ((client->flags & CLIENT_BLOCKED) == 0 || client->wait == CLIENT_WAIT_KEYS ||
            client->wait == CLIENT_WAIT_MIGRATION) {
            continue;
        }
        if ((client->block_until_ms != 0 && client->block_until_ms <= node->now_ms) ||
            cmd_server_wait_is_over(client)) {
            cmd_server_wait_timeout(client);
            node_client_unblock(client);
        } else if (client->block_until_ms != 0 && client->block_until_ms - node->now_ms < wait_ms) {
            wait_ms = client->block_until_ms - node->now_ms;
        }
    }
    return wait_ms;
}

void node_end_pause(struct node *node) {
    node->pause_until_ms = 0;
    node->store.expiry_is_paused = node_mesh_is_joining(node);
    for (struct client *client = node->clients; client != NULL; client = client->next) {
        if ((client->flags & CLIENT_PAUSED) != 0) {
            client->flags &= ~(uint32_t)CLIENT_PAUSED;
            node->paused_count--;
            turn_make_ready(client);
        }
    }
}

/* ---- the tick ---- */

static void tick_periodic(struct node *node) {
    log_tick(node->log, node->now_ms, node->now_us);
    tick_save(node);
    rate_sample(&node->commands_rate, node->stats.commands_processed, node->now_ms);
    rate_sample(&node->input_rate, node->stats.input_bytes, node->now_ms);
    rate_sample(&node->output_rate, node->stats.output_bytes, node->now_ms);
    rate_sample(&node->turns_rate, node->stats.turns, node->now_ms);
    rate_sample(&node->turns_us_rate, node->stats.turns_us, node->now_ms);
    uint64_t used = node->host.memory_used(node->host.udata);
    if (used > node->stats.memory_peak_bytes) {
        node->stats.memory_peak_bytes = used;
    }
    if (!node->tick_is_paused) {
        node_recount_client_memory(node);
    }
    store_age_some(&node->store);
    if (node->now_ms - node->last_second_ms >= 1000 && !node->tick_is_paused) {
        node->last_second_ms = node->now_ms;
        for (struct client *client = node->clients; client != NULL; client = client->next) {
            tick_client(node, client);
        }
    }
    /* maxmemory may have been lowered, or buffers may have grown: do not wait for a write. */
    (void)node_make_room(node);
    node->stats.cron_loops++;
}

/* The turn ends here. */
static void count_turn(struct node *node, uint64_t now_us) {
    struct node_stats *stats = &node->stats;
    uint64_t turn_us = now_us - node->turn_began_us;
    uint64_t commands = stats->commands_processed - stats->turn_first_command;
    stats->turns_us += turn_us;
    stats->turn_us_max = turn_us > stats->turn_us_max ? turn_us : stats->turn_us_max;
    stats->turn_commands_max =
        commands > stats->turn_commands_max ? commands : stats->turn_commands_max;
    node->turn_began_us = now_us;
}

uint64_t node_tick(struct node *node) {
    bool is_due = node->now_us - node->last_tick_us >= TICK_MS * 1000;
    if (is_due) {
        uint64_t began_us = clock_us(node);
        node->last_tick_us = node->now_us;
        tick_periodic(node);
        node->stats.cron_us += clock_us(node) - began_us;
    }
    if (node->pause_until_ms != 0 && node->pause_until_ms <= node->now_ms) {
        node_end_pause(node);
    }
    /* Who joins writes nothing, not even that something has expired: it may be an old value here,
     * and of the new one it has not seen that it lives on. */
    node->store.expiry_is_paused =
        node->pause_until_ms > node->now_ms || node_mesh_is_joining(node);
    tick_expire(node);
    bool snapshot_has_more = tick_snapshot(node);
    node->wants_exact_wait = snapshot_has_more;
    uint64_t mesh_wait_us = node_mesh_tick(node);
    /* What came by the mesh, or waited for the end of a pause, is for clients that wait, too. */
    bool holds = !log_is_failing(node->log, NULL);
    bool has_served = key_queues_has_ready(&node->blocking.queues) && blocking_serve(node);
    /* Removals of keys are changes, too: they reach the log, and the peers, now. */
    turn_write_log(node);
    node_mesh_push(node);
    if (has_served && holds) {
        turn_hold_output(node);
    }
    /* After all that may end a wait. */
    bool has_waits = node->blocked_count > node->blocking.requests_count + node->migrations.count;
    int64_t blocked_ms = has_waits ? tick_blocked(node) : INT64_MAX;
    uint64_t request_us = blocking_tick(node);
    uint64_t migration_us = migrations_tick(node);
    request_us = migration_us < request_us ? migration_us : request_us;
    if (node->held != NULL) {
        turn_release_holds(node);
    }
    uint64_t now_us = clock_us(node);
    count_turn(node, now_us);
    if (node->ready != NULL) {
        return 0;
    }
    uint64_t next_us = node->last_tick_us + TICK_MS * 1000;
    if (snapshot_has_more && node->next_snapshot_us < next_us) {
        next_us = node->next_snapshot_us;
    }
    if (node->next_expire_us > now_us && node->next_expire_us < next_us) {
        next_us = node->next_expire_us;
    }
    if (blocked_ms < TICK_MS && now_us + (uint64_t)blocked_ms * 1000 < next_us) {
        next_us = now_us + (uint64_t)blocked_ms * 1000;
    }
    if (request_us < next_us && node->now_us + request_us < next_us) {
        next_us = node->now_us + request_us;
    }
    uint64_t wait_us = next_us > now_us ? next_us - now_us : 0;
    return wait_us < mesh_wait_us ? wait_us : mesh_wait_us;
}

/* ---- MONITOR ---- */

static void monitor_append_quoted(struct buffer *line, struct slice bytes) {
    buffer_append_byte(line, '"');
    for (size_t i = 0; i < bytes.size; i++) {
        static const char codes[] = "\n\r\t\a\b\\\"", letters[] = "nrtab\\\"";
        char c = bytes.data[i];
        const char *code = c != '\0' ? strchr(codes, c) : NULL;
        if (code != NULL) {
            buffer_printf(line, "\\%c", letters[code - codes]);
        } else if (c >= ' ' && c <= '~') {
            buffer_append_byte(line, (uint8_t)c);
        } else {
            buffer_printf(line, "\\x%02x", (uint8_t)c);
        }
    }
    buffer_append_byte(line, '"');
}

void node_feed_monitors(struct node *node, const struct client *client, const struct slice *args,
                        size_t args_count) {
    struct buffer line = {0};
    buffer_printf(&line, "+%lld.%06lld [%u %s]", (long long)(node->now_ms / 1000),
                  (long long)(node->now_ms % 1000 * 1000 + (int64_t)(node->now_us % 1000)),
                  client->db, client->address);
    for (size_t i = 0; i < args_count; i++) {
        buffer_append_byte(&line, ' ');
        monitor_append_quoted(&line, slowlog_is_secret(args, args_count, i) ? SLICE("(redacted)")
                                                                            : args[i]);
    }
    buffer_append_slice(&line, SLICE("\r\n"));
    for (struct client *monitor = node->clients; monitor != NULL; monitor = monitor->next) {
        if ((monitor->flags & CLIENT_MONITOR) != 0) {
            node_client_push(monitor, buffer_slice(&line));
        }
    }
    buffer_deinit(&line);
}
