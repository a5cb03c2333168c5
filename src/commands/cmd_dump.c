/* SPDX-License-Identifier: BSD-3-Clause */
/* DUMP and RESTORE: a value as bytes that Redis servers understand, and back. */
#include "commands/command.h"

#include "commands/value_codec.h"

/* DUMP key */
static void cmd_dump(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    const struct entry *entry = store_read(ctx->store, &key);
    struct buffer payload = {0};
    if (entry != NULL && value_dump(ctx->store, entry, &RDB_WRITER_LIMITS_DEFAULT, &payload)) {
        reply_bulk(ctx->reply, buffer_slice(&payload));
    } else {
        reply_null(ctx->reply);
    }
    buffer_deinit(&payload);
}

/* ---- RESTORE ---- */

enum {
    RESTORE_FREQUENCY_MAX = 255,
};

struct restore_options {
    bool replace;
    bool is_absolute;        /* the time is a Unix time */
    uint64_t expire_unix_ms; /* 0: none */
    int64_t idle_seconds;    /* -1: not given */
    int64_t frequency;       /* -1: not given */
};

/* Reads the options behind the payload; writes the error and returns false when they are wrong. */
static bool restore_parse_options(struct command_context *ctx, struct restore_options *options) {
    for (size_t i = 4; i < ctx->args_count; i++) {
        bool has_value = i + 1 < ctx->args_count;
        if (command_word(ctx, i, "replace")) {
            options->replace = true;
        } else if (command_word(ctx, i, "absttl")) {
            options->is_absolute = true;
        } else if (command_word(ctx, i, "idletime") && has_value && options->frequency < 0) {
            if (!command_integer(ctx, ++i, &options->idle_seconds, NULL)) {
                return false;
            }
            if (options->idle_seconds < 0) {
                reply_error(ctx->reply, "ERR Invalid IDLETIME value, must be >= 0");
                return false;
            }
        } else if (command_word(ctx, i, "freq") && has_value && options->idle_seconds < 0) {
            if (!command_integer(ctx, ++i, &options->frequency, NULL)) {
                return false;
            }
            if (options->frequency < 0 || options->frequency > RESTORE_FREQUENCY_MAX) {
                reply_error(ctx->reply, "ERR Invalid FREQ value, must be >= 0 and <= 255");
                return false;
            }
        } else {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return false;
        }
    }
    return true;
}

/* Reads the time to live; writes the error and returns false when it is wrong. */
static bool restore_parse_ttl(struct command_context *ctx, struct restore_options *options) {
    int64_t ttl_ms;
    if (!command_integer(ctx, 2, &ttl_ms, NULL)) {
        return false;
    }
    if (ttl_ms < 0) {
        reply_error(ctx->reply, "ERR Invalid TTL value, must be >= 0");
        return false;
    }
    if (ttl_ms != 0 && !options->is_absolute &&
        __builtin_add_overflow(ttl_ms, ctx->store->now_ms, &ttl_ms)) {
        reply_errorf(ctx->reply, "ERR invalid expire time in '%s' command", ctx->row->name);
        return false;
    }
    options->expire_unix_ms = (uint64_t)ttl_ms;
    return true;
}

/* Opens argument 3 for reading; writes the error and returns false when that fails. The reader is
 * to be deinited in any case. */
static bool restore_open(struct command_context *ctx, struct rdb_reader *reader) {
    struct slice payload = ctx->args[3];
    enum rdb_value_status status = rdb_value_check_footer(&payload);
    if (status == RDB_VALUE_OK) {
        status = rdb_reader_open(reader, payload, ctx->limits->value_bytes_max, ctx->store->seed);
    }
    switch (status) {
    case RDB_VALUE_OK:
        return true;
    case RDB_VALUE_BAD_FOOTER:
        reply_error(ctx->reply, "ERR DUMP payload version or checksum are wrong");
        return false;
    case RDB_VALUE_MALFORMED:
        reply_error(ctx->reply, "ERR Bad data format");
        return false;
    case RDB_VALUE_OUT_OF_MEMORY:
        command_reply_status(ctx, STORE_OUT_OF_MEMORY);
        return false;
    }
    impossible("a status without a case");
}

/* Puts the value in place and writes the reply. */
static void restore_apply(struct command_context *ctx, const struct restore_options *options,
                          struct rdb_reader *reader) {
    struct key key = command_key(ctx, 1);
    if (options->expire_unix_ms != 0 && (int64_t)options->expire_unix_ms <= ctx->store->now_ms) {
        if (store_delete(ctx->store, &key)) { /* it would expire at once */
            store_notify(ctx->store, NOTIFY_GENERIC, "del", &key);
        }
        reply_ok(ctx->reply);
        return;
    }
    /* A string is put in the place of what is there, any other value comes into being. */
    bool replaces = ctx->store->notify_classes != 0 && reader->kind == RDB_KIND_STRING &&
                    store_peek(ctx->store, &key) != NULL;
    enum store_status status = value_restore(ctx->store, &key, reader, options->expire_unix_ms);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    if (replaces) {
        store_notify(ctx->store, NOTIFY_NEW, "new", &key);
    }
    struct entry *entry = store_peek(ctx->store, &key);
    if (entry == NULL) { /* all fields of a hash had expired */
        reply_ok(ctx->reply);
        return;
    }
    store_notify(ctx->store, NOTIFY_GENERIC, "restore", &key);
    if (options->idle_seconds >= 0) {
        store_set_idle_seconds(ctx->store, entry, (uint64_t)options->idle_seconds);
    }
    if (options->frequency >= 0) {
        store_set_frequency(ctx->store, entry, (unsigned)options->frequency);
    }
    reply_ok(ctx->reply);
}

/* RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency] */
static void cmd_restore(struct command_context *ctx) {
    struct restore_options options = {.idle_seconds = -1, .frequency = -1};
    if (!restore_parse_options(ctx, &options)) {
        return;
    }
    struct key key = command_key(ctx, 1);
    if (!options.replace && store_peek(ctx->store, &key) != NULL) {
        reply_error(ctx->reply, "BUSYKEY Target key name already exists.");
        return;
    }
    struct rdb_reader reader = {0};
    if (restore_parse_ttl(ctx, &options) && restore_open(ctx, &reader)) {
        restore_apply(ctx, &options, &reader);
    }
    rdb_reader_deinit(&reader);
}

#define RESTORE_ROW                                                                                \
    .handler = cmd_restore, .arity = -4, .categories = CATEGORY_KEYSPACE | CATEGORY_DANGEROUS,     \
    .keys = {1, 1, 1}, .key_flags = KEY_OVERWRITE | KEY_UPDATE,                                    \
    .cost = "O(N) where N is the size of the value.",                                              \
    .syntax = "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]"

static const struct command cmd_dump_rows[] = {
    {.name = "dump",
     .handler = cmd_dump,
     .arity = 2,
     .flags = CMD_READ,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "generic",
     .since = "2.6.0",
     .cost = "O(N) where N is the size of the value.",
     .syntax = "key",
     .summary = "Serialises the value at a key in Redis's own format."},
    {RESTORE_ROW, .name = "restore", .flags = CMD_WRITE | CMD_DENY_OOM, .group = "generic",
     .since = "2.6.0", .summary = "Creates a key from a value that DUMP serialised."},
    /* What MIGRATE of a cluster's node sends. */
    {RESTORE_ROW, .name = "restore-asking", .flags = CMD_WRITE | CMD_DENY_OOM | CMD_ASKING,
     .group = "server", .since = "3.0.0",
     .summary = "The same as RESTORE, for MIGRATE from a node of a cluster."},
};

COMMAND_FAMILY(cmd_dump_family, cmd_dump_rows);
