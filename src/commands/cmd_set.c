/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets: members come, go, move, and are asked for. Random ones are in cmd_set_random.c, what
 * combines sets in cmd_set_algebra.c. */
#include "commands/scan_options.h"

/* ---- adding and removing ---- */

/* SADD key member [member ...]: adding what is there says again that it shall be there, which
 * matters to who removes it meanwhile; the reply counts the new ones. */
static void cmd_sadd(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct elements_writer writer;
    enum store_status status = elements_open(ctx->store, &key, VALUE_SET, &writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    int64_t added = 0;
    elements_expect(&writer, ctx->args_count - 2, false);
    for (size_t i = 2; i < ctx->args_count && status == STORE_OK; i++) {
        bool is_new = false;
        status = element_set(&writer, ctx->args[i], SLICE(""), false, &is_new);
        added += status == STORE_OK && is_new;
    }
    elements_close(&writer);
    if (added > 0) {
        store_notify(ctx->store, NOTIFY_SET, "sadd", &key);
    }
    if (status == STORE_OK) {
        reply_integer(ctx->reply, added);
    } else {
        command_reply_status(ctx, status);
    }
}

/* Closes the writer; true when the last member has gone, and the key with it. */
static bool set_close(struct elements_writer *writer) {
    struct elements left;
    elements_written(writer, &left);
    elements_close(writer);
    return left.count == 0;
}

/* SREM key member [member ...] */
static void cmd_srem(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct elements_writer writer;
    enum store_status status = elements_open(ctx->store, &key, VALUE_SET, &writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    int64_t removed = 0;
    for (size_t i = 2; i < ctx->args_count; i++) {
        removed += element_delete(&writer, ctx->args[i]);
    }
    bool is_gone = set_close(&writer);
    if (removed > 0) {
        store_notify(ctx->store, NOTIFY_SET, "srem", &key);
        if (is_gone) {
            store_notify(ctx->store, NOTIFY_GENERIC, "del", &key);
        }
    }
    reply_integer(ctx->reply, removed);
}

/* Takes a member out of the set at `key`; false when it is not there. */
static bool smove_take(struct command_context *ctx, const struct key *key, struct slice member) {
    struct elements_writer writer;
    if (elements_open(ctx->store, key, VALUE_SET, &writer) != STORE_OK) {
        return false;
    }
    bool is_removed = element_delete(&writer, member);
    bool is_gone = set_close(&writer);
    if (is_removed) {
        store_notify(ctx->store, NOTIFY_SET, "srem", key);
        if (is_gone) {
            store_notify(ctx->store, NOTIFY_GENERIC, "del", key);
        }
    }
    return is_removed;
}

/* SMOVE source destination member */
static void cmd_smove(struct command_context *ctx) {
    struct key from = command_key(ctx, 1);
    struct key to = command_key(ctx, 2);
    struct slice member = ctx->args[3];
    struct elements elements;
    struct element element;
    enum store_status status = elements_look(ctx->store, &from, VALUE_SET, &elements);
    if (status == STORE_ABSENT) {
        reply_integer(ctx->reply, 0);
        return;
    }
    const struct entry *target = store_peek(ctx->store, &to);
    if (status == STORE_WRONG_TYPE || (target != NULL && entry_type(target) != VALUE_SET)) {
        command_reply_status(ctx, STORE_WRONG_TYPE);
        return;
    }
    if (slice_equal(from.name, to.name)) {
        reply_integer(ctx->reply, elements_find(ctx->store, &elements, member, &element));
        return;
    }
    /* It is put before it is taken: what is refused for want of memory is still where it was. */
    if (!elements_find(ctx->store, &elements, member, &element)) {
        reply_integer(ctx->reply, 0);
        return;
    }
    struct elements_writer writer;
    bool is_new = false;
    status = elements_open(ctx->store, &to, VALUE_SET, &writer);
    ensure(status == STORE_OK);
    writer.hides_new = true;
    status = element_set(&writer, member, SLICE(""), false, &is_new);
    elements_close(&writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    bool is_taken = smove_take(ctx, &from, member);
    ensure(is_taken);
    if (target == NULL) {
        store_notify(ctx->store, NOTIFY_NEW, "new", &to);
    }
    if (is_new) {
        store_notify(ctx->store, NOTIFY_SET, "sadd", &to);
    }
    reply_integer(ctx->reply, 1);
}

/* ---- asking ---- */

/* Reads the set at argument 1, which may be absent; writes the error and returns false when it is
 * none. */
static bool set_read(struct command_context *ctx, struct elements *elements) {
    struct key key = command_key(ctx, 1);
    enum store_status status = elements_read(ctx->store, &key, VALUE_SET, elements);
    if (status == STORE_WRONG_TYPE) {
        command_reply_status(ctx, status);
        return false;
    }
    return true;
}

/* SCARD key */
static void cmd_scard(struct command_context *ctx) {
    struct elements elements;
    if (set_read(ctx, &elements)) {
        reply_integer(ctx->reply, (int64_t)elements.count);
    }
}

/* SISMEMBER key member */
static void cmd_sismember(struct command_context *ctx) {
    struct elements elements;
    struct element element;
    if (set_read(ctx, &elements)) {
        reply_integer(ctx->reply, elements_find(ctx->store, &elements, ctx->args[2], &element));
    }
}

/* SMISMEMBER key member [member ...] */
static void cmd_smismember(struct command_context *ctx) {
    struct elements elements;
    struct element element;
    if (!set_read(ctx, &elements)) {
        return;
    }
    reply_array(ctx->reply, ctx->args_count - 2);
    for (size_t i = 2; i < ctx->args_count; i++) {
        reply_integer(ctx->reply, elements_find(ctx->store, &elements, ctx->args[i], &element));
    }
}

static void smembers_visit(void *udata, const struct element *element) {
    reply_bulk((struct reply *)udata, element->name);
}

/* SMEMBERS key */
static void cmd_smembers(struct command_context *ctx) {
    struct elements elements;
    if (set_read(ctx, &elements)) {
        reply_set(ctx->reply, elements.count);
        elements_each(ctx->store, &elements, smembers_visit, ctx->reply);
    }
}

static size_t sscan_write(struct command_context *ctx, const struct scan_options *options,
                          const struct element *element) {
    (void)options;
    reply_bulk(ctx->reply, element->name);
    return 1;
}

/* SSCAN key cursor [MATCH pattern] [COUNT count] */
static void cmd_sscan(struct command_context *ctx) {
    struct scan_options options;
    struct elements elements;
    if (scan_parse(ctx, VALUE_SET, 0, &options, &elements)) {
        scan_elements(ctx, &elements, &options, sscan_write);
    }
}

/* What the rows share: one key. */
#define SET_ROW(flags_, key_flags_)                                                                \
    .flags = (flags_), .keys = {1, 1, 1}, .key_flags = (key_flags_), .element_arg = 2,             \
    .group = "set"
#define SOME_MEMBERS "key member [member ...]"

static const struct command cmd_set_rows[] = {
    {.name = "sadd",
     .handler = cmd_sadd,
     .arity = -3,
     SET_ROW(CMD_WRITE | CMD_DENY_OOM | CMD_FAST, KEY_READ_WRITE | KEY_INSERT),
     .since = "1.0.0",
     .cost = "O(N) where N is the number of members to be added.",
     .syntax = SOME_MEMBERS,
     .summary = "Adds members to a set and tells how many were new."},
    {.name = "srem",
     .handler = cmd_srem,
     .arity = -3,
     SET_ROW(CMD_WRITE | CMD_FAST, KEY_READ_WRITE | KEY_DELETE),
     .since = "1.0.0",
     .cost = "O(N) where N is the number of members to be removed.",
     .syntax = SOME_MEMBERS,
     .summary = "Removes members from a set and tells how many there were."},
    {.name = "smove",
     .handler = cmd_smove,
     .arity = 4,
     SET_ROW(CMD_WRITE | CMD_FAST, KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE),
     .more_keys = {2, 2, 1},
     .more_key_flags = KEY_READ_WRITE | KEY_INSERT,
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "source destination member",
     .summary = "Moves a member from one set to another."},
    {.name = "scard",
     .handler = cmd_scard,
     .arity = 2,
     SET_ROW(CMD_READ | CMD_FAST, KEY_READ_ONLY),
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "key",
     .summary = "Returns the number of members in a set."},
    {.name = "sismember",
     .handler = cmd_sismember,
     .arity = 3,
     SET_ROW(CMD_READ | CMD_FAST, KEY_READ_ONLY),
     .since = "1.0.0",
     .cost = "O(1)",
     .syntax = "key member",
     .summary = "Tells whether a set has a member."},
    {.name = "smismember",
     .handler = cmd_smismember,
     .arity = -3,
     SET_ROW(CMD_READ | CMD_FAST, KEY_READ_ONLY | KEY_ACCESS),
     .since = "6.2.0",
     .cost = "O(N) where N is the number of members asked about.",
     .syntax = SOME_MEMBERS,
     .summary = "Tells of each of several members whether a set has it."},
    {.name = "smembers",
     .handler = cmd_smembers,
     .arity = 2,
     SET_ROW(CMD_READ, KEY_READ_ONLY | KEY_ACCESS),
     .since = "1.0.0",
     .cost = "O(N) where N is the number of members.",
     .syntax = "key",
     .summary = "Lists all members of a set."},
    {.name = "sscan",
     .handler = cmd_sscan,
     .arity = -3,
     SET_ROW(CMD_READ, KEY_READ_ONLY | KEY_ACCESS),
     .since = "2.8.0",
     .cost = "O(1) for a call, O(N) for a whole walk over N members.",
     .syntax = "key cursor [MATCH pattern] [COUNT count]",
     .summary = "Lists the members of a set, some with each call."},
};

COMMAND_FAMILY(cmd_set_family, cmd_set_rows);
