/* SPDX-License-Identifier: BSD-3-Clause */
/* Strings: SET and GET in all their forms, ranges, counters. */
#include "commands/command.h"

/* ---- SET and its relatives ---- */

enum {
    SET_IF_ABSENT = 1 << 0,
    SET_IF_PRESENT = 1 << 1,
    SET_GET = 1 << 2,
    SET_KEEP_TTL = 1 << 3,
    SET_PERSIST = 1 << 4,
    SET_EXPIRE = 1 << 5, /* one of EX, PX, EXAT, PXAT */
};

struct set_options {
    unsigned flags;
    size_t time_index; /* argument that holds the time of EX and its like */
    bool is_seconds, is_absolute;
};

/* Reads EX, PX, EXAT and PXAT, of which the same may stand more than once: the last counts. False
 * when argument `i` is none of them, or another than before, or has no time after it. */
static bool set_time_option(const struct command_context *ctx, size_t i,
                            struct set_options *options) {
    static const struct {
        const char *word;
        bool is_seconds, is_absolute;
    } words[] = {
        {"ex", true, false}, {"px", false, false}, {"exat", true, true}, {"pxat", false, true}};
    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
        if (command_word(ctx, i, words[w].word)) {
            if ((options->flags & SET_EXPIRE) != 0 &&
                (options->is_seconds != words[w].is_seconds ||
                 options->is_absolute != words[w].is_absolute)) {
                return false;
            }
            options->flags |= SET_EXPIRE;
            options->time_index = i + 1;
            options->is_seconds = words[w].is_seconds;
            options->is_absolute = words[w].is_absolute;
            return i + 1 < ctx->args_count;
        }
    }
    return false;
}

/* Parses the options of SET (`allowed` as far as they apply) from argument `first` on; on a syntax
 * error replies and returns false. */
static bool set_parse_options(struct command_context *ctx, size_t first, unsigned allowed,
                              struct set_options *options) {
    static const struct {
        const char *word;
        unsigned flag, excludes;
    } words[] = {
        {"nx", SET_IF_ABSENT, SET_IF_PRESENT},
        {"xx", SET_IF_PRESENT, SET_IF_ABSENT},
        {"get", SET_GET, 0},
        {"keepttl", SET_KEEP_TTL, SET_EXPIRE | SET_PERSIST},
        {"persist", SET_PERSIST, SET_EXPIRE | SET_KEEP_TTL},
    };
    *options = (struct set_options){0};
    for (size_t i = first; i < ctx->args_count; i++) {
        unsigned flag = 0;
        for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
            if ((allowed & words[w].flag) != 0 && command_word(ctx, i, words[w].word) &&
                (options->flags & words[w].excludes) == 0) {
                flag = words[w].flag;
            }
        }
        if (flag == 0 && (options->flags & (SET_KEEP_TTL | SET_PERSIST)) == 0 &&
            set_time_option(ctx, i, options)) {
            i++;
            continue;
        }
        if (flag == 0) {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return false;
        }
        options->flags |= flag;
    }
    return true;
}

static void reply_old_value(struct command_context *ctx, const struct entry *entry) {
    if (entry == NULL) {
        reply_null(ctx->reply);
        return;
    }
    struct entry_scratch scratch;
    reply_bulk(ctx->reply, entry_value(entry, &scratch));
}

/* Tells that a key was set, and given an expiry. */
static void notify_set(struct command_context *ctx, const struct key *key,
                       uint64_t expire_unix_ms) {
    store_notify(ctx->store, NOTIFY_STRING, "set", key);
    if (expire_unix_ms != 0 && expire_unix_ms != STRINGS_KEEP_EXPIRY) {
        store_notify(ctx->store, NOTIFY_GENERIC, "expire", key);
    }
}

/* SET with options already known. */
static void set_generic(struct command_context *ctx, struct slice value, unsigned flags,
                        uint64_t expire_unix_ms) {
    struct key key = command_key(ctx, 1);
    if ((flags & (SET_IF_ABSENT | SET_IF_PRESENT | SET_GET)) != 0) {
        const struct entry *old = (flags & SET_GET) != 0 ? store_read(ctx->store, &key)
                                                         : store_peek_to_write(ctx->store, &key);
        if ((flags & SET_GET) != 0) {
            if (old != NULL && !command_is_string(old)) {
                reply_error(ctx->reply, COMMAND_WRONG_TYPE);
                return;
            }
            reply_old_value(ctx, old);
        }
        if ((old != NULL && (flags & SET_IF_ABSENT) != 0) ||
            (old == NULL && (flags & SET_IF_PRESENT) != 0)) {
            if ((flags & SET_GET) == 0) {
                reply_null(ctx->reply);
            }
            return;
        }
    }
    enum store_status status = strings_set_lent(ctx->store, &key, value, expire_unix_ms, ctx->lent);
    if (status == STORE_OK) {
        notify_set(ctx, &key, expire_unix_ms);
    }
    if ((flags & SET_GET) != 0) {
        return;
    }
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    reply_ok(ctx->reply);
}

/* SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] */
static void cmd_set(struct command_context *ctx) {
    if (likely(ctx->args_count == 3)) {
        set_generic(ctx, ctx->args[2], 0, 0);
        return;
    }
    struct set_options options;
    if (!set_parse_options(ctx, 3, SET_IF_ABSENT | SET_IF_PRESENT | SET_GET | SET_KEEP_TTL,
                           &options)) {
        return;
    }
    uint64_t expire_unix_ms = (options.flags & SET_KEEP_TTL) != 0 ? STRINGS_KEEP_EXPIRY : 0;
    if ((options.flags & SET_EXPIRE) != 0 &&
        !command_expire_time(ctx, options.time_index, options.is_seconds, options.is_absolute,
                             &expire_unix_ms)) {
        return;
    }
    set_generic(ctx, ctx->args[2], options.flags, expire_unix_ms);
}

/* SETEX key seconds value, PSETEX key milliseconds value */
static void set_expiring(struct command_context *ctx, bool is_seconds) {
    uint64_t expire_unix_ms;
    if (command_expire_time(ctx, 2, is_seconds, false, &expire_unix_ms)) {
        set_generic(ctx, ctx->args[3], 0, expire_unix_ms);
    }
}

static void cmd_setex(struct command_context *ctx) {
    set_expiring(ctx, true);
}

static void cmd_psetex(struct command_context *ctx) {
    set_expiring(ctx, false);
}

static void cmd_setnx(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    if (store_peek_to_write(ctx->store, &key) != NULL) {
        reply_integer(ctx->reply, 0);
        return;
    }
    enum store_status status = strings_set_lent(ctx->store, &key, ctx->args[2], 0, ctx->lent);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    notify_set(ctx, &key, 0);
    reply_integer(ctx->reply, 1);
}

static void cmd_getset(struct command_context *ctx) {
    set_generic(ctx, ctx->args[2], SET_GET, 0);
}

/* ---- GET and its relatives ---- */

/* The entry of a string to read; replies null or the error and returns NULL when there is none. */
static struct entry *get_entry(struct command_context *ctx, const struct key *key) {
    struct entry *entry = store_read(ctx->store, key);
    if (entry == NULL) {
        reply_null(ctx->reply);
        return NULL;
    }
    if (!command_is_string(entry)) {
        reply_error(ctx->reply, COMMAND_WRONG_TYPE);
        return NULL;
    }
    return entry;
}

static void cmd_get(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    const struct entry *entry = get_entry(ctx, &key);
    if (entry != NULL) {
        reply_old_value(ctx, entry);
    }
}

static void cmd_getdel(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    const struct entry *entry = get_entry(ctx, &key);
    if (entry != NULL) {
        reply_old_value(ctx, entry);
        (void)store_delete(ctx->store, &key);
        store_notify(ctx->store, NOTIFY_GENERIC, "del", &key);
    }
}

/* GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] */
static void cmd_getex(struct command_context *ctx) {
    struct set_options options;
    if (!set_parse_options(ctx, 2, SET_PERSIST, &options)) {
        return;
    }
    struct key key = command_key(ctx, 1);
    const struct entry *entry = get_entry(ctx, &key);
    if (entry == NULL) {
        return;
    }
    uint64_t expire_unix_ms = 0;
    if ((options.flags & SET_EXPIRE) != 0 &&
        !command_expire_time(ctx, options.time_index, options.is_seconds, options.is_absolute,
                             &expire_unix_ms)) {
        return;
    }
    reply_old_value(ctx, entry);
    if ((options.flags & (SET_EXPIRE | SET_PERSIST)) != 0 &&
        store_expire(ctx->store, &key, expire_unix_ms)) {
        command_notify_expiry(ctx, &key, expire_unix_ms);
    }
}

static void cmd_strlen(struct command_context *ctx) {
    struct entry_scratch scratch;
    struct slice value = {0};
    enum store_status status = command_read_string(ctx, 1, &scratch, &value);
    if (status == STORE_WRONG_TYPE) {
        command_reply_status(ctx, status);
        return;
    }
    reply_integer(ctx->reply, status == STORE_OK ? (int64_t)value.size : 0);
}

/* ---- many keys ---- */

static void cmd_mget(struct command_context *ctx) {
    reply_array(ctx->reply, ctx->args_count - 1);
    for (size_t i = 1; i < ctx->args_count; i++) {
        struct key key = command_key(ctx, i);
        const struct entry *entry = store_read(ctx->store, &key);
        if (entry == NULL || !command_is_string(entry)) {
            reply_null(ctx->reply);
        } else {
            reply_old_value(ctx, entry);
        }
    }
}

/* Sets all pairs; false after an error reply. */
static bool mset_pairs(struct command_context *ctx) {
    if (ctx->args_count > 3) {
        store_spread_unit(ctx->store);
    }
    for (size_t i = 1; i < ctx->args_count; i += 2) {
        struct key key = command_key(ctx, i);
        enum store_status status = strings_set(ctx->store, &key, ctx->args[i + 1], 0);
        if (status != STORE_OK) {
            command_reply_status(ctx, status);
            return false;
        }
        notify_set(ctx, &key, 0);
    }
    return true;
}

static bool mset_is_paired(struct command_context *ctx) {
    if (ctx->args_count % 2 == 0) {
        reply_errorf(ctx->reply, "ERR wrong number of arguments for '%s' command", ctx->row->name);
        return false;
    }
    return true;
}

static void cmd_mset(struct command_context *ctx) {
    if (mset_is_paired(ctx) && mset_pairs(ctx)) {
        reply_ok(ctx->reply);
    }
}

static void cmd_msetnx(struct command_context *ctx) {
    if (!mset_is_paired(ctx)) {
        return;
    }
    for (size_t i = 1; i < ctx->args_count; i += 2) {
        struct key key = command_key(ctx, i);
        if (store_peek_to_write(ctx->store, &key) != NULL) {
            reply_integer(ctx->reply, 0);
            return;
        }
    }
    if (mset_pairs(ctx)) {
        reply_integer(ctx->reply, 1);
    }
}

/* ---- parts of strings ---- */

/* Writes `bytes` at `offset`, within the length limit, tells of `event` and replies the new length.
 */
static void patch_and_reply(struct command_context *ctx, const struct key *key, uint64_t offset,
                            struct slice bytes, const char *event) {
    if (offset + bytes.size > ctx->limits->value_bytes_max || offset + bytes.size < offset) {
        reply_error(ctx->reply, COMMAND_TOO_LONG);
        return;
    }
    uint64_t size;
    enum store_status status = strings_patch(ctx->store, key, offset, bytes, &size);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    store_notify(ctx->store, NOTIFY_STRING, event, key);
    reply_integer(ctx->reply, (int64_t)size);
}

static void cmd_append(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    const struct entry *entry = store_peek_to_write(ctx->store, &key);
    if (entry != NULL && !command_is_string(entry)) {
        reply_error(ctx->reply, COMMAND_WRONG_TYPE);
        return;
    }
    if (entry == NULL) {
        /* The first APPEND is a SET: the value is as if set, integer encoding and all. */
        enum store_status status = strings_set_lent(ctx->store, &key, ctx->args[2], 0, ctx->lent);
        if (status != STORE_OK) {
            command_reply_status(ctx, status);
            return;
        }
        store_notify(ctx->store, NOTIFY_STRING, "append", &key);
        reply_integer(ctx->reply, (int64_t)ctx->args[2].size);
        return;
    }
    patch_and_reply(ctx, &key, entry_value_bytes(entry), ctx->args[2], "append");
}

static void cmd_setrange(struct command_context *ctx) {
    int64_t offset;
    if (!command_integer(ctx, 2, &offset, NULL)) {
        return;
    }
    if (offset < 0) {
        reply_error(ctx->reply, "ERR offset is out of range");
        return;
    }
    struct key key = command_key(ctx, 1);
    const struct entry *entry = store_peek_to_write(ctx->store, &key);
    if (entry != NULL && !command_is_string(entry)) {
        reply_error(ctx->reply, COMMAND_WRONG_TYPE);
        return;
    }
    if (ctx->args[3].size == 0) {
        reply_integer(ctx->reply, entry != NULL ? (int64_t)entry_value_bytes(entry) : 0);
        return;
    }
    patch_and_reply(ctx, &key, (uint64_t)offset, ctx->args[3], "setrange");
}

/* GETRANGE key start end, and its old name SUBSTR */
static void cmd_getrange(struct command_context *ctx) {
    int64_t start, end;
    if (!command_integer(ctx, 2, &start, NULL) || !command_integer(ctx, 3, &end, NULL)) {
        return;
    }
    struct entry_scratch scratch;
    struct slice value = {0};
    enum store_status status = command_read_string(ctx, 1, &scratch, &value);
    if (status == STORE_WRONG_TYPE) {
        command_reply_status(ctx, status);
        return;
    }
    int64_t size = (int64_t)value.size;
    /* Two negative ends in the wrong order are empty, before they are brought into range. */
    bool is_empty = status != STORE_OK || (start < 0 && end < 0 && start > end);
    start = start < 0 ? start + size : start;
    end = end < 0 ? end + size : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end;
    end = end >= size ? size - 1 : end;
    if (is_empty || size == 0 || start > end) {
        reply_bulk(ctx->reply, slice_make("", 0));
        return;
    }
    reply_bulk(ctx->reply, slice_make(value.data + start, (size_t)(end - start + 1)));
}

/* ---- counters ---- */

static void add_and_reply(struct command_context *ctx, int64_t delta) {
    struct key key = command_key(ctx, 1);
    int64_t result;
    enum store_status status = strings_add_integer(ctx->store, &key, delta, &result);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    store_notify(ctx->store, NOTIFY_STRING, "incrby", &key);
    reply_integer(ctx->reply, result);
}

static void cmd_incr(struct command_context *ctx) {
    add_and_reply(ctx, 1);
}

static void cmd_decr(struct command_context *ctx) {
    add_and_reply(ctx, -1);
}

static void cmd_incrby(struct command_context *ctx) {
    int64_t delta;
    if (command_integer(ctx, 2, &delta, NULL)) {
        add_and_reply(ctx, delta);
    }
}

static void cmd_decrby(struct command_context *ctx) {
    int64_t delta;
    if (!command_integer(ctx, 2, &delta, NULL)) {
        return;
    }
    if (delta == INT64_MIN) {
        reply_error(ctx->reply, "ERR decrement would overflow");
        return;
    }
    add_and_reply(ctx, -delta);
}

static void cmd_incrbyfloat(struct command_context *ctx) {
    long double delta, result;
    struct key key = command_key(ctx, 1);
    const struct entry *entry = store_peek_to_write(ctx->store, &key);
    if (entry != NULL && !command_is_string(entry)) {
        reply_error(ctx->reply, COMMAND_WRONG_TYPE);
        return;
    }
    if (!number_parse_float(ctx->args[2], &delta)) {
        reply_error(ctx->reply, COMMAND_NOT_FLOAT);
        return;
    }
    enum store_status status = strings_add_float(ctx->store, &key, delta, &result);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    store_notify(ctx->store, NOTIFY_STRING, "incrbyfloat", &key);
    char text[NUMBER_FLOAT_BYTES_MAX];
    reply_bulk(ctx->reply, slice_make(text, number_format_float(text, result)));
}

/* ---- rows ---- */

#define STRING_ROW .group = "string"
#define ONE_KEY                                                                                    \
    { 1, 1, 1 }

static const struct key_spec set_specs[] = {
    KEY_SPEC_ONE(1, KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE), KEY_SPEC_END};

static const struct command string_rows[] = {
    {"append", .handler = cmd_append, .arity = 3, .flags = CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
     .keys = ONE_KEY, .key_flags = KEY_READ_WRITE | KEY_INSERT, STRING_ROW, .since = "2.0.0",
     .cost = "O(1). The amortized time complexity is O(1) assuming the appended value is small and "
             "the already present value is of any size.",
     .syntax = "key value",
     .summary = "Adds a string to the end of a value, creating the key if needed."},
    {"decr", .handler = cmd_decr, .arity = 2, .flags = CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
     .keys = ONE_KEY, .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE, STRING_ROW,
     .since = "1.0.0", .cost = "O(1)", .syntax = "key",
     .summary = "Lowers an integer by one, counting an absent key as 0."},
    {"decrby", .handler = cmd_decrby, .arity = 3, .flags = CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
     .keys = ONE_KEY, .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE, STRING_ROW,
     .since = "1.0.0", .cost = "O(1)", .syntax = "key decrement",
     .summary = "Lowers an integer by a number, counting an absent key as 0."},
    {"get", .handler = cmd_get, .arity = 2, .flags = CMD_READ | CMD_FAST, .keys = ONE_KEY,
     .key_flags = KEY_READ_ONLY | KEY_ACCESS, STRING_ROW, .since = "1.0.0", .cost = "O(1)",
     .syntax = "key", .summary = "Returns the string value of a key."},
    {"getdel", .handler = cmd_getdel, .arity = 2, .flags = CMD_WRITE | CMD_FAST, .keys = ONE_KEY,
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE, STRING_ROW, .since = "6.2.0",
     .cost = "O(1)", .syntax = "key",
     .summary = "Returns the string value of a key and deletes the key."},
    {"getex", .handler = cmd_getex, .arity = -2, .flags = CMD_WRITE | CMD_FAST, .keys = ONE_KEY,
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE, STRING_ROW, .since = "6.2.0",
     .cost = "O(1)",
     .syntax = "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT "
               "unix-time-milliseconds | PERSIST]",
     .summary = "Returns the string value of a key and sets or removes its expiration."},
    {"getrange", .handler = cmd_getrange, .arity = 4, .flags = CMD_READ, .keys = ONE_KEY,
     .key_flags = KEY_READ_ONLY | KEY_ACCESS, STRING_ROW, .since = "2.4.0",
     .cost = "O(N) where N is the length of the returned string. The complexity is ultimately "
             "determined by the returned length, but because creating a substring from an existing "
             "string is very cheap, it can be considered O(1) for small strings.",
     .syntax = "key start end", .summary = "Returns a part of the string value of a key."},
    {"getset", .handler = cmd_getset, .arity = 3, .flags = CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
     .keys = ONE_KEY, .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE, STRING_ROW,
     .since = "1.0.0", .cost = "O(1)", .syntax = "key value",
     .summary = "Sets a key to a new value and returns the previous one."},
    {"incr", .handler = cmd_incr, .arity = 2, .flags = CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
     .keys = ONE_KEY, .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE, STRING_ROW,
     .since = "1.0.0", .cost = "O(1)", .syntax = "key",
     .summary = "Raises an integer by one, counting an absent key as 0."},
    {"incrby", .handler = cmd_incrby, .arity = 3, .flags = CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
     .keys = ONE_KEY, .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE, STRING_ROW,
     .since = "1.0.0", .cost = "O(1)", .syntax = "key increment",
     .summary = "Raises an integer by a number, counting an absent key as 0."},
    {"incrbyfloat", .handler = cmd_incrbyfloat, .arity = 3,
     .flags = CMD_WRITE | CMD_DENY_OOM | CMD_FAST, .keys = ONE_KEY,
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE, STRING_ROW, .since = "2.6.0",
     .cost = "O(1)", .syntax = "key increment",
     .summary = "Raises a float by a number, counting an absent key as 0."},
    {"mget", .handler = cmd_mget, .arity = -2, .flags = CMD_READ | CMD_FAST, .keys = {1, -1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS, STRING_ROW, .since = "1.0.0",
     .cost = "O(N) where N is the number of keys to retrieve.", .syntax = "key [key ...]",
     .summary = "Returns the string values of several keys at one moment."},
    {"mset", .handler = cmd_mset, .arity = -3, .flags = CMD_WRITE | CMD_DENY_OOM,
     .keys = {1, -1, 2}, .key_flags = KEY_OVERWRITE | KEY_UPDATE, STRING_ROW, .since = "1.0.1",
     .cost = "O(N) where N is the number of keys to set.", .syntax = "key value [key value ...]",
     .summary = "Sets several keys in one step."},
    {"msetnx", .handler = cmd_msetnx, .arity = -3, .flags = CMD_WRITE | CMD_DENY_OOM,
     .keys = {1, -1, 2}, .key_flags = KEY_OVERWRITE | KEY_INSERT, STRING_ROW, .since = "1.0.1",
     .cost = "O(N) where N is the number of keys to set.", .syntax = "key value [key value ...]",
     .summary = "Sets several keys in one step, unless one of them exists."},
    {"psetex", .handler = cmd_psetex, .arity = 4, .flags = CMD_WRITE | CMD_DENY_OOM,
     .keys = ONE_KEY, .key_flags = KEY_OVERWRITE | KEY_UPDATE, STRING_ROW, .since = "2.6.0",
     .cost = "O(1)", .syntax = "key milliseconds value",
     .summary = "Sets a key with an expiration time in milliseconds."},
    {"set", .handler = cmd_set, .arity = -3, .flags = CMD_WRITE | CMD_DENY_OOM, .keys = ONE_KEY,
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE, .key_specs = set_specs, STRING_ROW,
     .since = "1.0.0", .cost = "O(1)",
     .syntax = "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
               "PXAT unix-time-milliseconds | KEEPTTL]",
     .summary = "Sets the string value of a key, whatever it held before."},
    {"setex", .handler = cmd_setex, .arity = 4, .flags = CMD_WRITE | CMD_DENY_OOM, .keys = ONE_KEY,
     .key_flags = KEY_OVERWRITE | KEY_UPDATE, STRING_ROW, .since = "2.0.0", .cost = "O(1)",
     .syntax = "key seconds value", .summary = "Sets a key with an expiration time in seconds."},
    {"setnx", .handler = cmd_setnx, .arity = 3, .flags = CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
     .keys = ONE_KEY, .key_flags = KEY_OVERWRITE | KEY_INSERT, STRING_ROW, .since = "1.0.0",
     .cost = "O(1)", .syntax = "key value", .summary = "Sets a key unless it exists."},
    {"setrange", .handler = cmd_setrange, .arity = 4, .flags = CMD_WRITE | CMD_DENY_OOM,
     .keys = ONE_KEY, .key_flags = KEY_READ_WRITE | KEY_UPDATE, STRING_ROW, .since = "2.2.0",
     .cost = "O(1), not counting the time taken to copy the new string in place. Usually, this "
             "string is very small so the amortized complexity is O(1). Otherwise, complexity is "
             "O(M) with M being the length of the value argument.",
     .syntax = "key offset value",
     .summary = "Overwrites a part of a value from an offset on, creating the key if needed."},
    {"strlen", .handler = cmd_strlen, .arity = 2, .flags = CMD_READ | CMD_FAST, .keys = ONE_KEY,
     .key_flags = KEY_READ_ONLY, STRING_ROW, .since = "2.2.0", .cost = "O(1)", .syntax = "key",
     .summary = "Returns the length of a value."},
    {"substr", .handler = cmd_getrange, .arity = 4, .flags = CMD_READ, .keys = ONE_KEY,
     .key_flags = KEY_READ_ONLY | KEY_ACCESS, STRING_ROW, .since = "1.0.0",
     .cost = "O(N) where N is the length of the returned string. The complexity is ultimately "
             "determined by the returned length, but because creating a substring from an existing "
             "string is very cheap, it can be considered O(1) for small strings.",
     .syntax = "key start end", .summary = "Returns a part of the string value of a key."},
};

COMMAND_FAMILY(cmd_string_family, string_rows);
