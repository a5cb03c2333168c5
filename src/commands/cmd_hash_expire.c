/* SPDX-License-Identifier: BSD-3-Clause */
/* Expiries of the fields of hashes, as Redis 7.4 has them. Inside, a time is always Unix
 * milliseconds. Each of these commands answers with one number for each field. */
#include "commands/command.h"

/* Redis keeps times of fields in 46 bits, and refuses greater ones. */
#define FIELD_EXPIRE_UNIX_MS_MAX ((INT64_C(1) << 46) - 1)

/* What is answered for a field. */
enum {
    FIELD_ABSENT = -2,
    FIELD_WITHOUT_EXPIRY = -1, /* to HTTL and HPERSIST */
    FIELD_CONDITION_NOT_MET = 0,
    FIELD_DONE = 1,
    FIELD_DELETED = 2, /* its new time has passed already */
};

enum condition { ALWAYS, ONLY_WITHOUT, ONLY_WITH, ONLY_LATER, ONLY_EARLIER };

/* Reads FIELDS numfields field ... from argument `at` on, to the end; writes the error and returns
 * false when it is not that. The fields begin at `at` + 2. */
static bool parse_fields(struct command_context *ctx, size_t at) {
    int64_t count;
    if (at + 1 >= ctx->args_count || !command_word(ctx, at, "fields")) {
        reply_error(ctx->reply,
                    "ERR Mandatory argument FIELDS is missing or not at the right position");
        return false;
    }
    if (!number_parse_integer(ctx->args[at + 1], &count) || count < 1 || count > UINT32_MAX) {
        reply_error(ctx->reply, "ERR Parameter `numFields` should be greater than 0");
        return false;
    }
    if ((uint64_t)count != ctx->args_count - at - 2) {
        reply_error(ctx->reply, "ERR The `numfields` parameter must match the number of arguments");
        return false;
    }
    return true;
}

/* The status of a hash that was read or opened: false, with the error written, if it is none. */
static bool is_hash(struct command_context *ctx, enum store_status status) {
    if (status == STORE_WRONG_TYPE) {
        command_reply_status(ctx, status);
    }
    return status != STORE_WRONG_TYPE;
}

static void notify(struct command_context *ctx, const struct key *key, const char *event) {
    store_notify(ctx->store, NOTIFY_HASH, event, key);
}

/* ---- setting ---- */

/* Reads the time in argument 2; writes the error and returns false when it is none. */
static bool parse_time(struct command_context *ctx, bool is_seconds, bool is_absolute,
                       uint64_t *expire_unix_ms) {
    int64_t time;
    if (!command_integer(ctx, 2, &time, NULL)) {
        return false;
    }
    if (time < 0) {
        reply_error(ctx->reply, "ERR invalid expire time, must be >= 0");
        return false;
    }
    if ((is_seconds && __builtin_mul_overflow(time, INT64_C(1000), &time)) ||
        (!is_absolute && __builtin_add_overflow(time, ctx->store->now_ms, &time)) ||
        time > FIELD_EXPIRE_UNIX_MS_MAX) {
        reply_errorf(ctx->reply, "ERR invalid expire time in '%s' command", ctx->row->name);
        return false;
    }
    *expire_unix_ms = (uint64_t)time;
    return true;
}

/* Reads the condition in argument `*at`, if one is there, and moves `*at` behind it. */
static enum condition parse_condition(const struct command_context *ctx, size_t *at) {
    static const char *const WORDS[] = {NULL, "nx", "xx", "gt", "lt"};
    for (unsigned i = ONLY_WITHOUT; i <= ONLY_EARLIER; i++) {
        if (command_word(ctx, *at, WORDS[i])) {
            (*at)++;
            return (enum condition)i;
        }
    }
    return ALWAYS;
}

/* May a field's expiry (0: it has none) become the other one? A field without one lives for
 * ever. */
static bool condition_is_met(enum condition condition, uint64_t present, uint64_t wanted) {
    switch (condition) {
    case ALWAYS:
        return true;
    case ONLY_WITHOUT:
        return present == 0;
    case ONLY_WITH:
        return present != 0;
    case ONLY_LATER:
        return present != 0 && wanted > present;
    case ONLY_EARLIER:
        return present == 0 || wanted < present;
    }
    impossible("all conditions are listed");
}

static int64_t expire_field(struct elements_writer *writer, struct slice name,
                            enum condition condition, uint64_t expire_unix_ms) {
    struct elements elements;
    struct element element;
    elements_written(writer, &elements);
    if (!elements_find(writer->store, &elements, name, &element)) {
        return FIELD_ABSENT;
    }
    if (!condition_is_met(condition, element.expire_unix_ms, expire_unix_ms)) {
        return FIELD_CONDITION_NOT_MET;
    }
    if ((int64_t)expire_unix_ms <= writer->store->now_ms) {
        (void)element_delete(writer, name);
        return FIELD_DELETED;
    }
    (void)element_expire(writer, name, expire_unix_ms);
    return FIELD_DONE;
}

static void hexpire(struct command_context *ctx, bool is_seconds, bool is_absolute) {
    struct elements_writer writer;
    struct key key = command_key(ctx, 1);
    uint64_t expire_unix_ms;
    if (!parse_time(ctx, is_seconds, is_absolute, &expire_unix_ms)) {
        return;
    }
    size_t at = 3;
    enum condition condition = parse_condition(ctx, &at);
    if (!parse_fields(ctx, at) ||
        !is_hash(ctx, elements_open(ctx->store, &key, VALUE_HASH, &writer))) {
        return;
    }
    uint64_t done_count = 0, deleted_count = 0;
    reply_array(ctx->reply, ctx->args_count - at - 2);
    for (size_t i = at + 2; i < ctx->args_count; i++) {
        int64_t answer = expire_field(&writer, ctx->args[i], condition, expire_unix_ms);
        done_count += answer == FIELD_DONE;
        deleted_count += answer == FIELD_DELETED;
        reply_integer(ctx->reply, answer);
    }
    elements_close(&writer);
    if (done_count > 0) {
        notify(ctx, &key, "hexpire");
    }
    if (deleted_count > 0) {
        bool is_expired;
        notify(ctx, &key, "hdel");
        if (!store_holds(ctx->store, &key, &is_expired)) {
            store_notify(ctx->store, NOTIFY_GENERIC, "del", &key);
        }
    }
}

/* HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...] */
static void cmd_hexpire(struct command_context *ctx) {
    hexpire(ctx, true, false);
}

/* HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...] */
static void cmd_hpexpire(struct command_context *ctx) {
    hexpire(ctx, false, false);
}

/* HEXPIREAT key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...] */
static void cmd_hexpireat(struct command_context *ctx) {
    hexpire(ctx, true, true);
}

/* HPEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...] */
static void cmd_hpexpireat(struct command_context *ctx) {
    hexpire(ctx, false, true);
}

/* HPERSIST key FIELDS numfields field [field ...] */
static void cmd_hpersist(struct command_context *ctx) {
    struct elements_writer writer;
    struct elements elements;
    struct element element;
    struct key key = command_key(ctx, 1);
    if (!parse_fields(ctx, 2) ||
        !is_hash(ctx, elements_open(ctx->store, &key, VALUE_HASH, &writer))) {
        return;
    }
    bool has_changed = false;
    reply_array(ctx->reply, ctx->args_count - 4);
    for (size_t i = 4; i < ctx->args_count; i++) {
        int64_t answer = FIELD_ABSENT;
        elements_written(&writer, &elements);
        if (elements_find(ctx->store, &elements, ctx->args[i], &element)) {
            answer = element_expire(&writer, ctx->args[i], 0) ? FIELD_DONE : FIELD_WITHOUT_EXPIRY;
        }
        has_changed |= answer == FIELD_DONE;
        reply_integer(ctx->reply, answer);
    }
    elements_close(&writer);
    if (has_changed) {
        notify(ctx, &key, "hpersist");
    }
}

/* ---- asking ---- */

static void hash_times(struct command_context *ctx, bool in_seconds, bool is_absolute) {
    enum { MS_BEFORE_SECOND = 999 }; /* seconds are rounded up */
    struct elements elements;
    struct element element;
    struct key key = command_key(ctx, 1);
    if (!parse_fields(ctx, 2) ||
        !is_hash(ctx, elements_read(ctx->store, &key, VALUE_HASH, &elements))) {
        return;
    }
    reply_array(ctx->reply, ctx->args_count - 4);
    for (size_t i = 4; i < ctx->args_count; i++) {
        int64_t answer = FIELD_ABSENT;
        if (elements_find(ctx->store, &elements, ctx->args[i], &element)) {
            answer = FIELD_WITHOUT_EXPIRY;
            if (element.expire_unix_ms != 0) {
                answer = (int64_t)element.expire_unix_ms - (is_absolute ? 0 : ctx->store->now_ms);
                answer = in_seconds ? (answer + MS_BEFORE_SECOND) / 1000 : answer;
            }
        }
        reply_integer(ctx->reply, answer);
    }
}

/* HTTL key FIELDS numfields field [field ...] */
static void cmd_httl(struct command_context *ctx) {
    hash_times(ctx, true, false);
}

/* HPTTL key FIELDS numfields field [field ...] */
static void cmd_hpttl(struct command_context *ctx) {
    hash_times(ctx, false, false);
}

/* HEXPIRETIME key FIELDS numfields field [field ...] */
static void cmd_hexpiretime(struct command_context *ctx) {
    hash_times(ctx, true, true);
}

/* HPEXPIRETIME key FIELDS numfields field [field ...] */
static void cmd_hpexpiretime(struct command_context *ctx) {
    hash_times(ctx, false, true);
}

#define FIELD_EXPIRE(name_, handler_, time_, summary_)                                             \
    {                                                                                              \
        .name = (name_), .handler = (handler_), .arity = -6,                                       \
        .flags = CMD_WRITE | CMD_DENY_OOM | CMD_FAST, .keys = {1, 1, 1},                           \
        .key_flags = KEY_READ_WRITE | KEY_UPDATE, .group = "hash", .since = "7.4.0",               \
        .cost = "O(N) where N is the number of fields given.",                                     \
        .syntax = "key " time_ " [NX | XX | GT | LT] FIELDS numfields field [field ...]",          \
        .summary = (summary_)                                                                      \
    }

#define FIELD_TIME(name_, handler_, summary_)                                                      \
    {                                                                                              \
        .name = (name_), .handler = (handler_), .arity = -5, .flags = CMD_READ | CMD_FAST,         \
        .keys = {1, 1, 1}, .key_flags = KEY_READ_ONLY | KEY_ACCESS, .group = "hash",               \
        .since = "7.4.0", .cost = "O(N) where N is the number of fields given.",                   \
        .syntax = "key FIELDS numfields field [field ...]", .summary = (summary_)                  \
    }

static const struct command cmd_hash_expire_rows[] = {
    FIELD_EXPIRE("hexpire", cmd_hexpire, "seconds",
                 "Sets the time that fields of a hash have left, in seconds."),
    FIELD_EXPIRE("hpexpire", cmd_hpexpire, "milliseconds",
                 "Sets the time that fields of a hash have left, in milliseconds."),
    FIELD_EXPIRE("hexpireat", cmd_hexpireat, "unix-time-seconds",
                 "Sets the time at which fields of a hash expire, in Unix seconds."),
    FIELD_EXPIRE("hpexpireat", cmd_hpexpireat, "unix-time-milliseconds",
                 "Sets the time at which fields of a hash expire, in Unix milliseconds."),
    FIELD_TIME("httl", cmd_httl, "Tells the time that fields of a hash have left, in seconds."),
    FIELD_TIME("hpttl", cmd_hpttl,
               "Tells the time that fields of a hash have left, in milliseconds."),
    FIELD_TIME("hexpiretime", cmd_hexpiretime,
               "Tells the time at which fields of a hash expire, in Unix seconds."),
    FIELD_TIME("hpexpiretime", cmd_hpexpiretime,
               "Tells the time at which fields of a hash expire, in Unix milliseconds."),
    {.name = "hpersist",
     .handler = cmd_hpersist,
     .arity = -5,
     .flags = CMD_WRITE | CMD_FAST,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_UPDATE,
     .group = "hash",
     .since = "7.4.0",
     .cost = "O(N) where N is the number of fields given.",
     .syntax = "key FIELDS numfields field [field ...]",
     .summary = "Lets fields of a hash live for ever."},
};

COMMAND_FAMILY(cmd_hash_expire_family, cmd_hash_expire_rows);
