/* SPDX-License-Identifier: BSD-3-Clause */
/* MEMORY: what takes how much of it. */
#include <stdio.h>

#include "node/help.h"
#include "node/memory_overview.h"
#include "node/node.h"

/* MEMORY USAGE key [SAMPLES count]: the sample size is for types that have elements. */
static void cmd_memory_usage(struct command_context *ctx) {
    int64_t samples = ENTRY_MEMORY_SAMPLES;
    for (size_t i = 3; i < ctx->args_count; i += 2) {
        if (!command_word(ctx, i, "samples") || i + 1 >= ctx->args_count) {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return;
        }
        if (!command_integer(ctx, i + 1, &samples, NULL)) {
            return;
        }
        if (samples < 0) {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return;
        }
    }
    struct key key = command_key(ctx, 2);
    const struct entry *entry = store_peek(ctx->store, &key);
    if (entry == NULL) {
        reply_null(ctx->reply);
        return;
    }
    const struct table *table = &ctx->store->dbs[ctx->db].table;
    uint64_t slot_bytes = memory_overview_table_bytes(table) / table->count;
    uint64_t bytes =
        entry_memory_bytes_sampled(entry, samples == 0 ? UINT64_MAX : (uint64_t)samples);
    reply_integer(ctx->reply, (int64_t)(bytes + (slot_bytes < 16 ? slot_bytes : 16)));
}

static void memory_reply_count(struct reply *reply, const char *name, uint64_t value) {
    reply_bulk_text(reply, name);
    reply_integer(reply, (int64_t)value);
}

static void memory_reply_double(struct reply *reply, const char *name, double value) {
    reply_bulk_text(reply, name);
    reply_double(reply, value);
}

static size_t memory_reply_databases(struct command_context *ctx) {
    size_t count = 0;
    for (unsigned db = 0; db < ctx->store->dbs_count; db++) {
        const struct table *table = &ctx->store->dbs[db].table;
        if (table->count == 0) {
            continue;
        }
        reply_bulk_printf(ctx->reply, "db.%u", db);
        reply_map(ctx->reply, 3);
        memory_reply_count(ctx->reply, "overhead.hashtable.main",
                           memory_overview_table_bytes(table));
        memory_reply_count(ctx->reply, "overhead.hashtable.expires", 0);
        memory_reply_count(ctx->reply, "overhead.hashtable.slot-to-keys", 0);
        count++;
    }
    return count;
}

/* MEMORY STATS */
static void cmd_memory_stats(struct command_context *ctx) {
    struct memory_overview overview;
    memory_overview_take(ctx->node, &overview);
    struct reply *reply = ctx->reply;
    uint64_t net = overview.used_bytes > overview.startup_bytes
                       ? overview.used_bytes - overview.startup_bytes
                       : 0;
    size_t begin = reply_deferred_begin(reply);
    memory_reply_count(reply, "peak.allocated", overview.peak_bytes);
    memory_reply_count(reply, "total.allocated", overview.used_bytes);
    memory_reply_count(reply, "startup.allocated", overview.startup_bytes);
    memory_reply_count(reply, "replication.backlog", overview.backlog_bytes);
    memory_reply_count(reply, "clients.slaves", 0);
    memory_reply_count(reply, "clients.normal", overview.clients_bytes);
    memory_reply_count(reply, "cluster.links", 0);
    memory_reply_count(reply, "aof.buffer", overview.log_bytes);
    memory_reply_count(reply, "lua.caches", 0);
    memory_reply_count(reply, "functions.caches", 0);
    size_t count = 10 + memory_reply_databases(ctx);
    memory_reply_count(reply, "overhead.total", overview.overhead_bytes);
    memory_reply_count(reply, "keys.count", overview.keys_count);
    memory_reply_count(reply, "keys.bytes-per-key",
                       overview.keys_count > 0 ? net / overview.keys_count : 0);
    memory_reply_count(reply, "dataset.bytes", overview.dataset_bytes);
    memory_reply_double(reply, "dataset.percentage", overview.dataset_percent);
    memory_reply_double(reply, "peak.percentage", overview.peak_percent);
    memory_reply_count(reply, "allocator.allocated", overview.facts.allocated_bytes);
    memory_reply_count(reply, "allocator.active", overview.facts.active_bytes);
    memory_reply_count(reply, "allocator.resident", overview.facts.allocator_resident_bytes);
    memory_reply_double(reply, "allocator-fragmentation.ratio",
                        overview.allocator_fragmentation_ratio);
    memory_reply_count(reply, "allocator-fragmentation.bytes",
                       (uint64_t)overview.allocator_fragmentation_bytes);
    memory_reply_double(reply, "allocator-rss.ratio", overview.allocator_rss_ratio);
    memory_reply_count(reply, "allocator-rss.bytes", (uint64_t)overview.allocator_rss_bytes);
    memory_reply_double(reply, "rss-overhead.ratio", overview.rss_overhead_ratio);
    memory_reply_count(reply, "rss-overhead.bytes", (uint64_t)overview.rss_overhead_bytes);
    memory_reply_double(reply, "fragmentation", overview.fragmentation_ratio);
    memory_reply_count(reply, "fragmentation.bytes", (uint64_t)overview.fragmentation_bytes);
    reply_deferred_map(reply, begin, count + 17);
}

/* MEMORY DOCTOR: below a few megabytes no figure means much. */
static void cmd_memory_doctor(struct command_context *ctx) {
    enum { DOCTOR_BYTES_MIN = 5 << 20, DOCTOR_WASTE_BYTES_MIN = 10 << 20 };
    struct memory_overview overview;
    memory_overview_take(ctx->node, &overview);
    struct buffer text = {0};
    if (overview.used_bytes < DOCTOR_BYTES_MIN) {
        buffer_printf(&text, "There is very little data here, too little to say anything about "
                             "its memory.\n");
    } else {
        if (overview.peak_percent < 67) {
            buffer_printf(&text,
                          "* Peak: at its peak the server used %llu bytes, now %.0f%% of that. The "
                          "allocator may keep what was freed; MEMORY PURGE asks it to return it.\n",
                          (unsigned long long)overview.peak_bytes, overview.peak_percent);
        }
        if (overview.allocator_fragmentation_ratio > 1.1 &&
            overview.allocator_fragmentation_bytes > DOCTOR_WASTE_BYTES_MIN) {
            buffer_printf(&text,
                          "* Fragmentation: pages in use are %.2f times the bytes in them. It "
                          "comes from values of changing sizes; a restart packs them anew.\n",
                          overview.allocator_fragmentation_ratio);
        }
        if (overview.allocator_rss_ratio > 1.1 &&
            overview.allocator_rss_bytes > DOCTOR_WASTE_BYTES_MIN) {
            buffer_printf(&text,
                          "* Kept pages: the allocator keeps %.2f times the pages that are in use. "
                          "MEMORY PURGE asks it to return them.\n",
                          overview.allocator_rss_ratio);
        }
        if (overview.rss_overhead_ratio > 1.1 &&
            overview.rss_overhead_bytes > DOCTOR_WASTE_BYTES_MIN) {
            buffer_printf(&text,
                          "* Process: it takes %.2f times the memory that the allocator knows of; "
                          "code, stacks and libraries are the rest.\n",
                          overview.rss_overhead_ratio);
        }
        unsigned clients_count = ctx->node->clients_count;
        if (clients_count > 0 && overview.clients_bytes / clients_count > 200 * 1024) {
            buffer_printf(&text,
                          "* Clients: their buffers take %llu bytes each on average. CLIENT LIST "
                          "shows which ones do not read their replies.\n",
                          (unsigned long long)(overview.clients_bytes / clients_count));
        }
        if (text.size == 0) {
            buffer_printf(&text, "Nothing about the memory of this server looks wrong.\n");
        }
    }
    reply_verbatim(ctx->reply, "txt", buffer_slice(&text));
    buffer_deinit(&text);
}

/* MEMORY MALLOC-STATS */
static void cmd_memory_malloc_stats(struct command_context *ctx) {
    struct memory_overview overview;
    memory_overview_take(ctx->node, &overview);
    const struct host_facts *facts = &overview.facts;
    struct buffer text = {0};
    buffer_printf(&text,
                  "Allocator: %s\nAllocated: %llu, active: %llu, resident: %llu, retained: %llu\n",
                  facts->allocator, (unsigned long long)facts->allocated_bytes,
                  (unsigned long long)facts->active_bytes,
                  (unsigned long long)facts->allocator_resident_bytes,
                  (unsigned long long)facts->retained_bytes);
    reply_verbatim(ctx->reply, "txt", buffer_slice(&text));
    buffer_deinit(&text);
}

/* MEMORY PURGE */
static void cmd_memory_purge(struct command_context *ctx) {
    ctx->node->host.memory_purge(ctx->node->host.udata);
    reply_ok(ctx->reply);
}

/* MEMORY HELP */
static void cmd_memory_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "DOCTOR",
        "    Explain in words what looks wrong about the memory.",
        "MALLOC-STATS",
        "    Show the figures of the memory allocator.",
        "PURGE",
        "    Ask the allocator to return the pages that it does not need.",
        "STATS",
        "    Show where the memory goes.",
        "USAGE <key> [SAMPLES <count>]",
        "    Tell how many bytes <key> and its value take. SAMPLES is for values with elements.",
    };
    HELP_REPLY(ctx, LINES);
}

#define MEMORY_ROW .parent = "memory", .group = "server", .since = "4.0.0"

static const struct command cmd_memory_rows[] = {
    {.name = "memory",
     .arity = -2,
     .group = "server",
     .since = "4.0.0",
     .cost = "Depends on subcommand.",
     .summary = "A container for commands about memory."},
    {MEMORY_ROW, .name = "doctor", .handler = cmd_memory_doctor, .arity = 2, .cost = "O(1)",
     .summary = "Explains in words what looks wrong about the memory."},
    {MEMORY_ROW, .name = "malloc-stats", .handler = cmd_memory_malloc_stats, .arity = 2,
     .cost = "Depends on how much memory is allocated, could be slow",
     .summary = "Returns the figures of the memory allocator."},
    {MEMORY_ROW, .name = "purge", .handler = cmd_memory_purge, .arity = 2,
     .cost = "Depends on how much memory is allocated, could be slow",
     .summary = "Asks the memory allocator to return what it does not need."},
    {MEMORY_ROW, .name = "stats", .handler = cmd_memory_stats, .arity = 2, .cost = "O(1)",
     .summary = "Returns where the memory goes."},
    {MEMORY_ROW, .name = "usage", .handler = cmd_memory_usage, .arity = -3, .flags = CMD_READ,
     .keys = {2, 2, 1}, .key_flags = KEY_READ_ONLY,
     .cost = "O(N) where N is the number of samples.", .syntax = "key [SAMPLES count]",
     .summary = "Estimates the memory that a key takes."},
    {MEMORY_ROW, .name = "help", .handler = cmd_memory_help, .arity = 2,
     .flags = CMD_LOADING | CMD_STALE, .cost = "O(1)", .summary = "Lists the subcommands."},
};

COMMAND_FAMILY(cmd_memory_family, cmd_memory_rows);
