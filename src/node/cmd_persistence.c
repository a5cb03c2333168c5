/* SPDX-License-Identifier: BSD-3-Clause */
/* SAVE, BGSAVE, BGREWRITEAOF and LASTSAVE. There is one kind of snapshot here: it is the dump that
 * SAVE and BGSAVE ask for, and what BGREWRITEAOF rewrites the log into. */
#include "node/node.h"

#define PERSISTENCE_BUSY "ERR Background save already in progress"
#define SAVING_SCHEDULED "Background saving scheduled"
#define REWRITING_SCHEDULED "Background append only file rewriting scheduled"

static void persistence_reply_failure(struct command_context *ctx) {
    reply_errorf(ctx->reply, "ERR %s", log_error(ctx->node->log));
}

enum log_status node_snapshot_save(struct node *node, bool cancels) {
    if (cancels && log_snapshot_is_running(node->log)) {
        log_snapshot_cancel(node->log, node->now_ms, node->now_us);
    }
    /* What the store has journaled so far is before the snapshot. */
    store_end_unit(&node->store);
    log_collect(node->log);
    uint64_t dirty = node->store.stats.dirty;
    node->last_save_attempt_ms = node->now_ms;
    enum log_status status = log_snapshot_save(node->log, node->now_ms, node->now_us);
    node->last_save_failed = status != LOG_OK;
    if (status == LOG_OK) {
        node->store.stats.dirty -= dirty;
        node->dirty_at_save = 0;
        node->last_save_unix_ms = node->now_ms;
        node_message(node, LOG_LEVEL_NOTICE, "DB saved on disk");
    }
    return status;
}

/* SAVE */
static void cmd_save(struct command_context *ctx) {
    if (log_snapshot_is_running(ctx->node->log)) {
        reply_error(ctx->reply, PERSISTENCE_BUSY);
    } else if (node_snapshot_save(ctx->node, false) != LOG_OK) {
        persistence_reply_failure(ctx);
    } else {
        reply_ok(ctx->reply);
    }
}

/* Has a snapshot begun later, and writes the reply. */
static void persistence_schedule(struct command_context *ctx, const char *scheduled) {
    ctx->node->snapshot_wanted = true;
    reply_simple(ctx->reply, scheduled);
}

/* Begins a snapshot, or has it begun after the running transaction, and writes the reply. */
static void persistence_begin(struct command_context *ctx, bool is_save_point, const char *started,
                              const char *scheduled) {
    struct node *node = ctx->node;
    if (ctx->in_transaction) {
        /* A snapshot stands between two units, so it begins once EXEC is through. */
        persistence_schedule(ctx, scheduled);
        return;
    }
    if (node_snapshot_begin(node) != LOG_OK) {
        persistence_reply_failure(ctx);
        return;
    }
    node->snapshot_is_save_point = is_save_point;
    reply_simple(ctx->reply, started);
}

/* BGSAVE [SCHEDULE] */
static void cmd_bgsave(struct command_context *ctx) {
    struct node *node = ctx->node;
    bool may_wait = ctx->args_count == 2 && command_word(ctx, 1, "schedule");
    if (ctx->args_count > 2 || (ctx->args_count == 2 && !may_wait)) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if (!log_snapshot_is_running(node->log)) {
        persistence_begin(ctx, true, "Background saving started", SAVING_SCHEDULED);
    } else if (node->snapshot_is_save_point) {
        reply_error(ctx->reply, PERSISTENCE_BUSY);
    } else if (may_wait) {
        persistence_schedule(ctx, SAVING_SCHEDULED);
    } else {
        reply_error(ctx->reply,
                    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use "
                    "BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.");
    }
}

/* BGREWRITEAOF */
static void cmd_bgrewriteaof(struct command_context *ctx) {
    struct node *node = ctx->node;
    if (!log_snapshot_is_running(node->log)) {
        persistence_begin(ctx, false, "Background append only file rewriting started",
                          REWRITING_SCHEDULED);
    } else if (node->snapshot_is_save_point) {
        persistence_schedule(ctx, REWRITING_SCHEDULED);
    } else {
        reply_error(ctx->reply, "ERR Background append only file rewriting already in progress");
    }
}

/* LASTSAVE */
static void cmd_lastsave(struct command_context *ctx) {
    reply_integer(ctx->reply, ctx->node->last_save_unix_ms / 1000);
}

static const struct command cmd_persistence_rows[] = {
    {.name = "save",
     .handler = cmd_save,
     .arity = 1,
     .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_NO_ASYNC_LOADING | CMD_NO_MULTI,
     .group = "server",
     .since = "1.0.0",
     .cost = "O(N) where N is the total number of keys in all databases",
     .summary = "Writes a snapshot while all clients wait."},
    {.name = "bgsave",
     .handler = cmd_bgsave,
     .arity = -1,
     .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_NO_ASYNC_LOADING,
     .group = "server",
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "[SCHEDULE]",
     .summary = "Writes a snapshot in the background."},
    {.name = "bgrewriteaof",
     .handler = cmd_bgrewriteaof,
     .arity = 1,
     .flags = CMD_ADMIN | CMD_NO_SCRIPT | CMD_NO_ASYNC_LOADING,
     .group = "server",
     .since = "1.0.0",
     .cost = "O(1)",
     .summary = "Replaces the log so far by a snapshot, in the background."},
    {.name = "lastsave",
     .handler = cmd_lastsave,
     .arity = 1,
     .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
     .categories = CATEGORY_ADMIN | CATEGORY_DANGEROUS,
     .group = "server",
     .since = "1.0.0",
     .cost = "O(1)",
     .summary = "Returns the Unix time of the last good snapshot."},
};

COMMAND_FAMILY(cmd_persistence_family, cmd_persistence_rows);
