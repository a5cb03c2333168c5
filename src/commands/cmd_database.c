/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on whole databases. SELECT, which changes the client, is the node's. */
#include "commands/command.h"

/* DBSIZE: counts also keys that have expired but were not yet removed. */
static void cmd_dbsize(struct command_context *ctx) {
    reply_integer(ctx->reply, (int64_t)store_visible_count(ctx->store, ctx->db));
}

/* Accepts nothing, ASYNC or SYNC. They make no difference, since flushing never takes long: the
 * memory is always freed in the background. */
static bool database_parse_flush(struct command_context *ctx) {
    if (ctx->args_count == 1 ||
        (ctx->args_count == 2 && (command_word(ctx, 1, "async") || command_word(ctx, 1, "sync")))) {
        return true;
    }
    reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
    return false;
}

/* FLUSHDB [ASYNC | SYNC] */
static void cmd_flushdb(struct command_context *ctx) {
    if (database_parse_flush(ctx)) {
        (void)store_flush(ctx->store, ctx->db);
        reply_ok(ctx->reply);
    }
}

/* FLUSHALL [ASYNC | SYNC] */
static void cmd_flushall(struct command_context *ctx) {
    if (database_parse_flush(ctx)) {
        (void)store_flush_all(ctx->store);
        reply_ok(ctx->reply);
    }
}

/* SWAPDB index1 index2 */
static void cmd_swapdb(struct command_context *ctx) {
    static const char *const ERRORS[] = {"ERR invalid first DB index",
                                         "ERR invalid second DB index"};
    int64_t dbs[2];
    for (size_t i = 0; i < 2; i++) {
        if (!number_parse_integer(ctx->args[i + 1], &dbs[i]) || dbs[i] < INT32_MIN ||
            dbs[i] > INT32_MAX) {
            reply_error(ctx->reply, ERRORS[i]);
            return;
        }
    }
    for (size_t i = 0; i < 2; i++) {
        if (dbs[i] < 0 || dbs[i] >= (int64_t)ctx->store->dbs_count) {
            reply_error(ctx->reply, "ERR DB index is out of range");
            return;
        }
    }
    if (dbs[0] != dbs[1]) {
        store_swap(ctx->store, (unsigned)dbs[0], (unsigned)dbs[1]);
    }
    reply_ok(ctx->reply);
}

static const struct command cmd_database_rows[] = {
    {.name = "dbsize",
     .handler = cmd_dbsize,
     .arity = 1,
     .flags = CMD_READ | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .group = "server",
     .since = "1.0.0",
     .cost = "O(1)",
     .summary = "Counts the keys of the database."},
    {.name = "flushdb",
     .handler = cmd_flushdb,
     .arity = -1,
     .flags = CMD_WRITE,
     .categories = CATEGORY_KEYSPACE | CATEGORY_DANGEROUS,
     .group = "server",
     .since = "1.0.0",
     .cost = "O(1). The memory of the N keys is freed in the background.",
     .syntax = "[ASYNC | SYNC]",
     .summary = "Removes all keys of the database."},
    {.name = "flushall",
     .handler = cmd_flushall,
     .arity = -1,
     .flags = CMD_WRITE,
     .categories = CATEGORY_KEYSPACE | CATEGORY_DANGEROUS,
     .group = "server",
     .since = "1.0.0",
     .cost = "O(D) where D is the number of databases. Memory is freed in the background.",
     .syntax = "[ASYNC | SYNC]",
     .summary = "Removes all keys of all databases."},
    {.name = "swapdb",
     .handler = cmd_swapdb,
     .arity = 3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CATEGORY_KEYSPACE | CATEGORY_DANGEROUS,
     .group = "server",
     .since = "4.0.0",
     .cost = "O(N) where N is the number of clients that watch keys.",
     .syntax = "index1 index2",
     .summary = "Exchanges the contents of two databases."},
};

COMMAND_FAMILY(cmd_database_family, cmd_database_rows);
