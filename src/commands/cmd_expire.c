/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands about the time at which keys expire. Inside, a time is always Unix milliseconds. */
#include "commands/command.h"

enum { EXPIRE_OPTION_BYTES_SHOWN = 128 }; /* of an unknown option, in the error */

/* ---- setting ---- */

/* What the options of EXPIRE and its kin demand of the present expiry. */
struct expire_options {
    bool only_without; /* NX */
    bool only_with;    /* XX */
    bool only_later;   /* GT */
    bool only_earlier; /* LT */
};

/* Reads the options; writes the error and returns false when they are wrong. */
static bool expire_parse_options(struct command_context *ctx, struct expire_options *options) {
    for (size_t i = 3; i < ctx->args_count; i++) {
        if (command_word(ctx, i, "nx")) {
            options->only_without = true;
        } else if (command_word(ctx, i, "xx")) {
            options->only_with = true;
        } else if (command_word(ctx, i, "gt")) {
            options->only_later = true;
        } else if (command_word(ctx, i, "lt")) {
            options->only_earlier = true;
        } else {
            size_t shown = ctx->args[i].size < EXPIRE_OPTION_BYTES_SHOWN
                               ? ctx->args[i].size
                               : EXPIRE_OPTION_BYTES_SHOWN;
            reply_errorf(ctx->reply, "ERR Unsupported option %.*s", (int)shown, ctx->args[i].data);
            return false;
        }
    }
    if (options->only_without &&
        (options->only_with || options->only_later || options->only_earlier)) {
        reply_error(ctx->reply, "ERR NX and XX, GT or LT options at the same time are not "
                                "compatible");
        return false;
    }
    if (options->only_later && options->only_earlier) {
        reply_error(ctx->reply, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* May the expiry become `when_ms`, given that it is `now_ms` (0: none, which counts as never)? */
static bool expire_options_allow(const struct expire_options *options, uint64_t present_ms,
                                 int64_t when_ms) {
    bool is_set = present_ms != 0;
    if ((options->only_without && is_set) || (options->only_with && !is_set)) {
        return false;
    }
    if (options->only_later && (!is_set || when_ms <= (int64_t)present_ms)) {
        return false;
    }
    return !options->only_earlier || !is_set || when_ms < (int64_t)present_ms;
}

/* Reads the time of a command; may be negative or past. Writes the error and returns false when it
 * is no integer or leaves 64 bits on the way. */
static bool expire_parse_time(struct command_context *ctx, bool is_seconds, bool is_absolute,
                              int64_t *when_ms) {
    int64_t time;
    if (!command_integer(ctx, 2, &time, NULL)) {
        return false;
    }
    if ((is_seconds && __builtin_mul_overflow(time, INT64_C(1000), &time)) ||
        (!is_absolute && __builtin_add_overflow(time, ctx->store->now_ms, &time))) {
        reply_errorf(ctx->reply, "ERR invalid expire time in '%s' command", ctx->row->name);
        return false;
    }
    *when_ms = time;
    return true;
}

static void expire_set(struct command_context *ctx, bool is_seconds, bool is_absolute) {
    struct expire_options options = {0};
    int64_t when_ms;
    if (!expire_parse_options(ctx, &options) ||
        !expire_parse_time(ctx, is_seconds, is_absolute, &when_ms)) {
        return;
    }
    struct key key = command_key(ctx, 1);
    const struct entry *entry = store_peek_to_write(ctx->store, &key);
    if (entry == NULL || !expire_options_allow(&options, entry_expire_unix_ms(entry), when_ms)) {
        reply_integer(ctx->reply, 0);
        return;
    }
    /* The store takes zero for "never"; what is before 1970 is past by any clock. */
    bool is_done = when_ms <= 0 ? store_delete(ctx->store, &key)
                                : store_expire(ctx->store, &key, (uint64_t)when_ms);
    if (is_done) {
        command_notify_expiry(ctx, &key, (uint64_t)when_ms);
    }
    reply_integer(ctx->reply, is_done);
}

/* EXPIRE key seconds [NX | XX | GT | LT] */
static void cmd_expire(struct command_context *ctx) {
    expire_set(ctx, true, false);
}

/* PEXPIRE key milliseconds [NX | XX | GT | LT] */
static void cmd_pexpire(struct command_context *ctx) {
    expire_set(ctx, false, false);
}

/* EXPIREAT key unix-time-seconds [NX | XX | GT | LT] */
static void cmd_expireat(struct command_context *ctx) {
    expire_set(ctx, true, true);
}

/* PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] */
static void cmd_pexpireat(struct command_context *ctx) {
    expire_set(ctx, false, true);
}

/* PERSIST key */
static void cmd_persist(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    bool is_done =
        store_peek_to_write(ctx->store, &key) != NULL && store_expire(ctx->store, &key, 0);
    if (is_done) {
        command_notify_expiry(ctx, &key, 0);
    }
    reply_integer(ctx->reply, is_done);
}

/* ---- asking ---- */

enum { EXPIRE_NO_KEY = -2, EXPIRE_NEVER = -1 };

/* Replies with the key's expiry, absolute or as what is left of it. */
static void expire_tell(struct command_context *ctx, bool is_seconds, bool is_absolute) {
    const struct entry *entry = command_look(ctx, 1);
    uint64_t time_ms = entry == NULL ? 0 : entry_expire_unix_ms(entry);
    if (time_ms == 0) {
        reply_integer(ctx->reply, entry == NULL ? EXPIRE_NO_KEY : EXPIRE_NEVER);
        return;
    }
    if (!is_absolute) {
        uint64_t now_ms = (uint64_t)ctx->store->now_ms;
        time_ms = time_ms > now_ms ? time_ms - now_ms : 0;
    }
    reply_integer(ctx->reply, (int64_t)(is_seconds ? (time_ms + 500) / 1000 : time_ms));
}

/* TTL key */
static void cmd_ttl(struct command_context *ctx) {
    expire_tell(ctx, true, false);
}

/* PTTL key */
static void cmd_pttl(struct command_context *ctx) {
    expire_tell(ctx, false, false);
}

/* EXPIRETIME key */
static void cmd_expiretime(struct command_context *ctx) {
    expire_tell(ctx, true, true);
}

/* PEXPIRETIME key */
static void cmd_pexpiretime(struct command_context *ctx) {
    expire_tell(ctx, false, true);
}

static const struct command cmd_expire_rows[] = {
    {.name = "expire",
     .handler = cmd_expire,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_UPDATE,
     .group = "generic",
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "key seconds [NX | XX | GT | LT]",
     .summary = "Lets a key expire after some seconds."},
    {.name = "pexpire",
     .handler = cmd_pexpire,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_UPDATE,
     .group = "generic",
     .since = "2.6.0",
     .cost = "O(1)",
     .syntax = "key milliseconds [NX | XX | GT | LT]",
     .summary = "Lets a key expire after some milliseconds."},
    {.name = "expireat",
     .handler = cmd_expireat,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_UPDATE,
     .group = "generic",
     .since = "1.2.0",
     .cost = "O(1)",
     .syntax = "key unix-time-seconds [NX | XX | GT | LT]",
     .summary = "Lets a key expire at a Unix time in seconds."},
    {.name = "pexpireat",
     .handler = cmd_pexpireat,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_UPDATE,
     .group = "generic",
     .since = "2.6.0",
     .cost = "O(1)",
     .syntax = "key unix-time-milliseconds [NX | XX | GT | LT]",
     .summary = "Lets a key expire at a Unix time in milliseconds."},
    {.name = "persist",
     .handler = cmd_persist,
     .arity = 2,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_UPDATE,
     .group = "generic",
     .since = "2.2.0",
     .cost = "O(1)",
     .syntax = "key",
     .summary = "Removes the expiry of a key."},
    {.name = "ttl",
     .handler = cmd_ttl,
     .arity = 2,
     .flags = CMD_READ | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "generic",
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "key",
     .summary = "Tells in how many seconds a key expires."},
    {.name = "pttl",
     .handler = cmd_pttl,
     .arity = 2,
     .flags = CMD_READ | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "generic",
     .since = "2.6.0",
     .cost = "O(1)",
     .syntax = "key",
     .summary = "Tells in how many milliseconds a key expires."},
    {.name = "expiretime",
     .handler = cmd_expiretime,
     .arity = 2,
     .flags = CMD_READ | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "generic",
     .since = "7.0.0",
     .cost = "O(1)",
     .syntax = "key",
     .summary = "Tells the Unix time in seconds at which a key expires."},
    {.name = "pexpiretime",
     .handler = cmd_pexpiretime,
     .arity = 2,
     .flags = CMD_READ | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "generic",
     .since = "7.0.0",
     .cost = "O(1)",
     .syntax = "key",
     .summary = "Tells the Unix time in milliseconds at which a key expires."},
};

COMMAND_FAMILY(cmd_expire_family, cmd_expire_rows);
