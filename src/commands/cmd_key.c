/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on whole keys, whatever they hold: is it there, remove it, give it another name. */
#include "commands/command.h"

/* DEL key [key ...], UNLINK key [key ...]: one thing here, since the store frees what is big in the
 * background in any case. */
static void cmd_del(struct command_context *ctx) {
    int64_t count = 0;
    for (size_t i = 1; i < ctx->args_count; i++) {
        struct key key = command_key(ctx, i);
        if (store_delete(ctx->store, &key)) {
            store_notify(ctx->store, NOTIFY_GENERIC, "del", &key);
            count++;
        }
    }
    reply_integer(ctx->reply, count);
}

/* EXISTS key [key ...] */
static void cmd_exists(struct command_context *ctx) {
    int64_t count = 0;
    for (size_t i = 1; i < ctx->args_count; i++) {
        count += command_look(ctx, i) != NULL;
    }
    reply_integer(ctx->reply, count);
}

/* TOUCH key [key ...]: marks as used even for a client that asked for NO-TOUCH. */
static void cmd_touch(struct command_context *ctx) {
    int64_t count = 0;
    bool no_touch = ctx->store->no_touch;
    ctx->store->no_touch = false;
    for (size_t i = 1; i < ctx->args_count; i++) {
        struct key key = command_key(ctx, i);
        count += store_read(ctx->store, &key) != NULL;
    }
    ctx->store->no_touch = no_touch;
    reply_integer(ctx->reply, count);
}

/* TYPE key */
static void cmd_type(struct command_context *ctx) {
    const struct entry *entry = command_look(ctx, 1);
    reply_simple(ctx->reply, entry == NULL ? "none" : command_type_name(entry));
}

/* Is there something at `to` that another key's value will replace, which counts as a new key? Only
 * asked for the sake of telling. */
static bool notify_replaces(struct command_context *ctx, const struct key *to) {
    return ctx->store->notify_classes != 0 && store_peek(ctx->store, to) != NULL;
}

/* Tells that a key went elsewhere. */
static void notify_moved(struct command_context *ctx, const struct key *from,
                         const char *from_event, const struct key *to, const char *to_event) {
    store_notify(ctx->store, NOTIFY_GENERIC, from_event, from);
    store_notify(ctx->store, NOTIFY_GENERIC, to_event, to);
}

/* RENAME key newkey */
static void cmd_rename(struct command_context *ctx) {
    struct key from = command_key(ctx, 1);
    struct key to = command_key(ctx, 2);
    enum store_status status = STORE_OK;
    bool is_there = store_peek_to_write(ctx->store, &from) != NULL;
    if (!slice_equal(from.name, to.name)) {
        bool replaces = notify_replaces(ctx, &to);
        status = store_rename(ctx->store, &from, &to);
        if (status == STORE_OK) {
            if (replaces) {
                store_notify(ctx->store, NOTIFY_NEW, "new", &to);
            }
            notify_moved(ctx, &from, "rename_from", &to, "rename_to");
        }
    } else if (!is_there) {
        status = STORE_ABSENT;
    }
    if (status == STORE_OK) {
        reply_ok(ctx->reply);
    } else {
        command_reply_status(ctx, status);
    }
}

/* RENAMENX key newkey */
static void cmd_renamenx(struct command_context *ctx) {
    struct key from = command_key(ctx, 1);
    struct key to = command_key(ctx, 2);
    if (store_peek_to_write(ctx->store, &from) == NULL) {
        command_reply_status(ctx, STORE_ABSENT);
        return;
    }
    if (store_peek_to_write(ctx->store, &to) != NULL) { /* also when both are one key */
        reply_integer(ctx->reply, 0);
        return;
    }
    enum store_status status = store_rename(ctx->store, &from, &to);
    if (status == STORE_OK) {
        notify_moved(ctx, &from, "rename_from", &to, "rename_to");
        reply_integer(ctx->reply, 1);
    } else {
        command_reply_status(ctx, status);
    }
}

/* Are they the same key of the same database? Then writes the error. */
static bool key_is_same(struct command_context *ctx, const struct key *from, const struct key *to) {
    if (from->db != to->db || !slice_equal(from->name, to->name)) {
        return false;
    }
    reply_error(ctx->reply, "ERR source and destination objects are the same");
    return true;
}

/* Reads argument `index` as the number of a database; writes the error and returns false when it is
 * none or out of range. */
static bool key_parse_db(struct command_context *ctx, size_t index, unsigned *db) {
    int64_t number;
    if (!command_integer(ctx, index, &number, NULL)) {
        return false;
    }
    if (number < INT32_MIN || number > INT32_MAX) {
        reply_errorf(ctx->reply, "ERR value is out of range, value must between %d and %d",
                     INT32_MIN, INT32_MAX);
        return false;
    }
    if (number < 0 || number >= (int64_t)ctx->store->dbs_count) {
        reply_error(ctx->reply, "ERR DB index is out of range");
        return false;
    }
    *db = (unsigned)number;
    return true;
}

/* MOVE key db */
static void cmd_move(struct command_context *ctx) {
    struct key from = command_key(ctx, 1);
    struct key to = from; /* the hash does not depend on the database */
    if (!key_parse_db(ctx, 2, &to.db) || key_is_same(ctx, &from, &to)) {
        return;
    }
    if (store_peek_to_write(ctx->store, &from) == NULL ||
        store_peek_to_write(ctx->store, &to) != NULL) {
        reply_integer(ctx->reply, 0);
        return;
    }
    enum store_status status = store_rename(ctx->store, &from, &to);
    if (status == STORE_OK) {
        notify_moved(ctx, &from, "move_from", &to, "move_to");
        reply_integer(ctx->reply, 1);
    } else {
        command_reply_status(ctx, status);
    }
}

/* COPY source destination [DB destination-db] [REPLACE] */
static void cmd_copy(struct command_context *ctx) {
    struct key from = command_key(ctx, 1);
    struct key to = command_key(ctx, 2);
    bool replace = false;
    for (size_t i = 3; i < ctx->args_count; i++) {
        if (command_word(ctx, i, "replace")) {
            replace = true;
        } else if (command_word(ctx, i, "db") && i + 1 < ctx->args_count) {
            if (!key_parse_db(ctx, ++i, &to.db)) {
                return;
            }
        } else {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return;
        }
    }
    if (key_is_same(ctx, &from, &to)) {
        return;
    }
    if (store_read(ctx->store, &from) == NULL ||
        (!replace && store_peek_to_write(ctx->store, &to) != NULL)) {
        reply_integer(ctx->reply, 0);
        return;
    }
    bool replaces = notify_replaces(ctx, &to);
    enum store_status status = store_copy(ctx->store, &from, &to);
    if (status == STORE_OK) {
        if (replaces) {
            store_notify(ctx->store, NOTIFY_NEW, "new", &to);
        }
        store_notify(ctx->store, NOTIFY_GENERIC, "copy_to", &to);
        reply_integer(ctx->reply, 1);
    } else {
        command_reply_status(ctx, status);
    }
}

static const struct command cmd_key_rows[] = {
    {.name = "del",
     .handler = cmd_del,
     .arity = -2,
     .flags = CMD_WRITE,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, -1, 1},
     .key_flags = KEY_REMOVE | KEY_DELETE,
     .group = "generic",
     .since = "1.0.0",
     .cost = "O(N) where N is the number of keys. Large values are freed in the background.",
     .syntax = "key [key ...]",
     .summary = "Removes keys and tells how many there were."},
    {.name = "unlink",
     .handler = cmd_del,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, -1, 1},
     .key_flags = KEY_REMOVE | KEY_DELETE,
     .group = "generic",
     .since = "4.0.0",
     .cost = "O(1) for each key. Large values are freed in the background.",
     .syntax = "key [key ...]",
     .summary = "Removes keys without waiting for their memory to be freed."},
    {.name = "exists",
     .handler = cmd_exists,
     .arity = -2,
     .flags = CMD_READ | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, -1, 1},
     .key_flags = KEY_READ_ONLY,
     .group = "generic",
     .since = "1.0.0",
     .cost = "O(N) where N is the number of keys.",
     .syntax = "key [key ...]",
     .summary = "Counts which of the keys exist; a key named twice counts twice."},
    {.name = "touch",
     .handler = cmd_touch,
     .arity = -2,
     .flags = CMD_READ | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, -1, 1},
     .key_flags = KEY_READ_ONLY,
     .group = "generic",
     .since = "3.2.1",
     .cost = "O(N) where N is the number of keys.",
     .syntax = "key [key ...]",
     .summary = "Marks keys as just used and tells how many exist."},
    {.name = "type",
     .handler = cmd_type,
     .arity = 2,
     .flags = CMD_READ | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY,
     .group = "generic",
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "key",
     .summary = "Names the type of the value at a key, or none."},
    {.name = "rename",
     .handler = cmd_rename,
     .arity = 3,
     .flags = CMD_WRITE,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE,
     .more_keys = {2, 2, 1},
     .more_key_flags = KEY_OVERWRITE | KEY_UPDATE,
     .group = "generic",
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "key newkey",
     .summary = "Gives a key another name, replacing what has that name."},
    {.name = "renamenx",
     .handler = cmd_renamenx,
     .arity = 3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE,
     .more_keys = {2, 2, 1},
     .more_key_flags = KEY_OVERWRITE | KEY_INSERT,
     .group = "generic",
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "key newkey",
     .summary = "Gives a key another name unless that name is taken."},
    {.name = "move",
     .handler = cmd_move,
     .arity = 3,
     .flags = CMD_WRITE | CMD_FAST,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_UPDATE,
     .group = "generic",
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "key db",
     .summary = "Moves a key to another database, unless it is there already."},
    {.name = "copy",
     .handler = cmd_copy,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENY_OOM,
     .categories = CATEGORY_KEYSPACE,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .more_keys = {2, 2, 1},
     .more_key_flags = KEY_OVERWRITE | KEY_UPDATE,
     .group = "generic",
     .since = "6.2.0",
     .cost = "O(N) where N is the size of the value.",
     .syntax = "source destination [DB destination-db] [REPLACE]",
     .summary = "Copies a value to another key, also of another database."},
};

COMMAND_FAMILY(cmd_key_family, cmd_key_rows);
