/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: making, changing and removing consumer groups, and acknowledging. */
#include "commands/stream_help.h"

#define XGROUP_NO_KEY                                                                              \
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to "   \
    "use the MKSTREAM option to create an empty stream automatically."

/* Opens the stream, which has to be there, for XGROUP. */
static bool open_there(struct command_context *ctx, const struct key *key,
                       struct elements_writer *writer) {
    if (!stream_open(ctx, key, writer)) {
        return false;
    }
    if (writer->is_key_fresh) {
        elements_close(writer);
        reply_error(ctx->reply, XGROUP_NO_KEY);
        return false;
    }
    return true;
}

static void reply_no_group(struct command_context *ctx) {
    reply_errorf(ctx->reply, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                 (int)ctx->args[3].size, ctx->args[3].data, (int)ctx->args[2].size,
                 ctx->args[2].data);
}

/* The group of argument 3; closes the writer when there is none. */
static bool find_group(struct command_context *ctx, struct elements_writer *writer,
                       struct xstream_group *group) {
    struct xstream_label label;
    if (stream_find_label(ctx, 3, &label) &&
        xstream_find_group(xstream_of_writer(writer), &label, group)) {
        return true;
    }
    elements_close(writer);
    reply_no_group(ctx);
    return false;
}

struct xgroup {
    bool is_last; /* "$" */
    struct xstream_id id;
    int64_t entries_read;
    bool makes_stream;
};

static void reply_wrong_count(struct command_context *ctx) {
    reply_errorf(ctx->reply,
                 "ERR unknown subcommand or wrong number of arguments for '%.*s'. "
                 "Try XGROUP HELP.",
                 (int)ctx->args[1].size, ctx->args[1].data);
}

static bool parse_xgroup(struct command_context *ctx, bool may_make, struct xgroup *xgroup) {
    *xgroup = (struct xgroup){.entries_read = -1};
    for (size_t i = 5; i < ctx->args_count; i++) {
        if (may_make && command_word(ctx, i, "mkstream")) {
            xgroup->makes_stream = true;
        } else if (i + 1 < ctx->args_count && command_word(ctx, i, "entriesread")) {
            if (!command_integer(ctx, ++i, &xgroup->entries_read, NULL)) {
                return false;
            }
            if (xgroup->entries_read < -1) {
                reply_error(ctx->reply, "ERR value for ENTRIESREAD must be positive or -1");
                return false;
            }
        } else {
            reply_wrong_count(ctx);
            return false;
        }
    }
    return true;
}

/* The id, once stream and group are known to be what they have to be; closes the writer when it is
 * none. */
static bool parse_group_id(struct command_context *ctx, struct elements_writer *writer,
                           bool is_strict, struct xgroup *xgroup) {
    if (ctx->args_count > (is_strict ? 8 : 7)) { /* with one of each option */
        elements_close(writer);
        reply_wrong_count(ctx);
        return false;
    }
    xgroup->is_last = slice_equal(ctx->args[4], SLICE("$"));
    if (xgroup->is_last || stream_id(ctx, 4, 0, is_strict, &xgroup->id)) {
        return true;
    }
    elements_close(writer);
    return false;
}

/* XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD entries-read] */
static void cmd_xgroup_create(struct command_context *ctx) {
    struct key key = command_key(ctx, 2);
    struct elements_writer writer;
    struct xgroup xgroup;
    struct xstream_group group, old;
    if (!parse_xgroup(ctx, true, &xgroup) || !stream_label(ctx, 3, &group.label) ||
        !(xgroup.makes_stream ? stream_open(ctx, &key, &writer) : open_there(ctx, &key, &writer)) ||
        !parse_group_id(ctx, &writer, true, &xgroup)) {
        return;
    }
    struct xstream_view view = xstream_of_writer(&writer);
    if (xstream_find_group(view, &group.label, &old)) {
        elements_close(&writer);
        reply_error(ctx->reply, "BUSYGROUP Consumer Group name already exists");
        return;
    }
    group.last_id = xgroup.is_last ? xstream_last_id(view) : xgroup.id;
    group.entries_read = xgroup.entries_read;
    enum store_status status =
        xstream_create_group(&writer, &group, xgroup.is_last ? XSTREAM_FROM_HERE : XSTREAM_FROM_ID);
    elements_close(&writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    stream_notify(ctx, &key, "xgroup-create");
    reply_ok(ctx->reply);
}

/* XGROUP SETID key group id | $ [ENTRIESREAD entries-read] */
static void cmd_xgroup_setid(struct command_context *ctx) {
    struct key key = command_key(ctx, 2);
    struct elements_writer writer;
    struct xgroup xgroup;
    struct xstream_group group;
    if (!parse_xgroup(ctx, false, &xgroup) || !open_there(ctx, &key, &writer) ||
        !find_group(ctx, &writer, &group) ||
        /* It takes "-", too. */
        !parse_group_id(ctx, &writer, false, &xgroup)) {
        return;
    }
    group.last_id = xgroup.is_last ? xstream_last_id(xstream_of_writer(&writer)) : xgroup.id;
    group.entries_read = xgroup.entries_read;
    enum store_status status =
        xstream_set_group(&writer, &group, xgroup.is_last ? XSTREAM_FROM_HERE : XSTREAM_FROM_ID);
    elements_close(&writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    stream_notify(ctx, &key, "xgroup-setid");
    reply_ok(ctx->reply);
}

/* XGROUP DESTROY key group */
static void cmd_xgroup_destroy(struct command_context *ctx) {
    struct key key = command_key(ctx, 2);
    struct elements_writer writer;
    struct xstream_label label;
    struct xstream_group group;
    if (!open_there(ctx, &key, &writer)) {
        return;
    }
    bool is_there = stream_find_label(ctx, 3, &label) &&
                    xstream_find_group(xstream_of_writer(&writer), &label, &group);
    if (is_there) {
        xstream_destroy_group(&writer, &label);
    }
    elements_close(&writer);
    if (is_there) {
        stream_notify(ctx, &key, "xgroup-destroy");
    }
    reply_integer(ctx->reply, is_there);
}

/* XGROUP CREATECONSUMER key group consumer */
static void cmd_xgroup_createconsumer(struct command_context *ctx) {
    struct key key = command_key(ctx, 2);
    struct elements_writer writer;
    struct xstream_group group;
    struct xstream_label label;
    struct xstream_consumer consumer;
    if (!stream_label(ctx, 4, &label) || !open_there(ctx, &key, &writer) ||
        !find_group(ctx, &writer, &group)) {
        return;
    }
    enum store_status status = STORE_OK;
    bool is_there =
        xstream_find_consumer(xstream_of_writer(&writer), &group.label, &label, &consumer);
    if (!is_there) {
        status = stream_need_consumer(ctx, &writer, &group, &label, &consumer);
    }
    elements_close(&writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    reply_integer(ctx->reply, !is_there);
}

/* XGROUP DELCONSUMER key group consumer */
static void cmd_xgroup_delconsumer(struct command_context *ctx) {
    struct key key = command_key(ctx, 2);
    struct elements_writer writer;
    struct xstream_group group;
    struct xstream_label label;
    struct xstream_consumer consumer;
    if (!open_there(ctx, &key, &writer) || !find_group(ctx, &writer, &group)) {
        return;
    }
    uint64_t removed = 0;
    bool is_there =
        stream_find_label(ctx, 4, &label) &&
        xstream_find_consumer(xstream_of_writer(&writer), &group.label, &label, &consumer);
    if (is_there) {
        removed = xstream_delete_consumer(&writer, &group.label, &label);
    }
    elements_close(&writer);
    if (is_there) {
        stream_notify(ctx, &key, "xgroup-delconsumer");
    }
    reply_integer(ctx->reply, (int64_t)removed);
}

/* XGROUP HELP */
static void cmd_xgroup_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Make a consumer group. Options are:",
        "    * MKSTREAM",
        "      Make an empty stream where there is none.",
        "    * ENTRIESREAD entries_read",
        "      Say how many entries the group has read.",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Make a consumer of a group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove a consumer of a group, and tell how many entries were pending there.",
        "DESTROY <key> <groupname>",
        "    Remove a group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the last id that a group has delivered.",
        "HELP",
        "    Print this help.",
    };
    const size_t count = sizeof(LINES) / sizeof(LINES[0]);
    reply_array(ctx->reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_simple(ctx->reply, LINES[i]);
    }
}

/* XACK key group id [id ...] */
static void cmd_xack(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct elements_writer writer;
    struct xstream_label label;
    struct xstream_group group;
    struct xstream_id id;
    struct buffer ids = {0};
    (void)store_read(ctx->store, &key); /* for Redis, this is a read first of all */
    if (!stream_open(ctx, &key, &writer)) {
        return;
    }
    bool is_there = stream_find_label(ctx, 2, &label) &&
                    xstream_find_group(xstream_of_writer(&writer), &label, &group);
    bool are_sound = true;
    for (size_t i = 3; is_there && are_sound && i < ctx->args_count; i++) {
        are_sound = stream_id(ctx, i, 0, true, &id);
        buffer_append(&ids, &id, sizeof(id));
    }
    if (are_sound) {
        uint64_t removed = xstream_delete_pending(
            &writer, &label, (const struct xstream_id *)(void *)ids.data, ids.size / sizeof(id));
        reply_integer(ctx->reply, (int64_t)removed);
    }
    elements_close(&writer);
    buffer_deinit(&ids);
}

#define XGROUP_COMMAND(name_, handler_, arity_, flags_, key_flags_, since_, cost_, syntax_,        \
                       summary_)                                                                   \
    {                                                                                              \
        .name = (name_), .parent = "xgroup", .handler = (handler_), .arity = (arity_),             \
        .flags = (flags_), .keys = {2, 2, 1}, .key_flags = (key_flags_), .group = "stream",        \
        .since = (since_), .cost = (cost_), .syntax = (syntax_), .summary = (summary_)             \
    }

static const struct command cmd_stream_group_rows[] = {
    {.name = "xgroup",
     .arity = -2,
     .group = "stream",
     .since = "5.0.0",
     .cost = "Depends on subcommand.",
     .summary = "A container for commands about consumer groups."},
    XGROUP_COMMAND("create", cmd_xgroup_create, -5, CMD_WRITE | CMD_DENY_OOM,
                   KEY_READ_WRITE | KEY_INSERT, "5.0.0", "O(1)",
                   "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
                   "Makes a consumer group."),
    XGROUP_COMMAND("setid", cmd_xgroup_setid, -5, CMD_WRITE, KEY_READ_WRITE | KEY_UPDATE, "5.0.0",
                   "O(1)", "key group <id | $> [ENTRIESREAD entries-read]",
                   "Sets the last id that a consumer group has delivered."),
    XGROUP_COMMAND("destroy", cmd_xgroup_destroy, 4, CMD_WRITE, KEY_READ_WRITE | KEY_DELETE,
                   "5.0.0", "O(N) where N is the number of pending entries.", "key group",
                   "Removes a consumer group."),
    XGROUP_COMMAND("createconsumer", cmd_xgroup_createconsumer, 5, CMD_WRITE | CMD_DENY_OOM,
                   KEY_READ_WRITE | KEY_INSERT, "6.2.0", "O(1)", "key group consumer",
                   "Makes a consumer of a consumer group."),
    XGROUP_COMMAND("delconsumer", cmd_xgroup_delconsumer, 5, CMD_WRITE, KEY_READ_WRITE | KEY_DELETE,
                   "5.0.0", "O(N) where N is the number of pending entries of the group.",
                   "key group consumer", "Removes a consumer of a consumer group."),
    {.name = "help",
     .parent = "xgroup",
     .handler = cmd_xgroup_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .group = "stream",
     .since = "5.0.0",
     .cost = "O(1)",
     .summary = "Lists the subcommands."},
    {.name = "xack",
     .handler = cmd_xack,
     .arity = -4,
     .flags = CMD_WRITE | CMD_FAST,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_UPDATE,
     .group = "stream",
     .since = "5.0.0",
     .cost = "O(log(N)) for each id.",
     .syntax = "key group id [id ...]",
     .summary = "Acknowledges entries that are pending in a consumer group."},
};

COMMAND_FAMILY(cmd_stream_group_family, cmd_stream_group_rows);
