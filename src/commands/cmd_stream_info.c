/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: XINFO. Trees and their nodes are Redis's: what is told of them is what it would need. */
#include "commands/stream_help.h"

/* The stream of argument 2; false, with the error written, when there is none. */
static bool info_stream(struct command_context *ctx, struct xstream_view *view) {
    struct key key = command_key(ctx, 2);
    if (!stream_read(ctx, &key, view)) {
        return false;
    }
    if (view->collection == NULL) {
        reply_error(ctx->reply, COMMAND_NO_KEY);
        return false;
    }
    return true;
}

static void put_integer(struct command_context *ctx, const char *name, int64_t value) {
    reply_bulk_text(ctx->reply, name);
    reply_integer(ctx->reply, value);
}

static void put_id(struct command_context *ctx, const char *name, struct xstream_id id) {
    reply_bulk_text(ctx->reply, name);
    stream_reply_id(ctx, id);
}

/* -1 is nothing. */
static void put_count(struct command_context *ctx, const char *name, int64_t count) {
    reply_bulk_text(ctx->reply, name);
    if (count < 0) {
        reply_null(ctx->reply);
    } else {
        reply_integer(ctx->reply, count);
    }
}

/* How many entries the group has still to read; null where nobody knows. In a mesh they are
 * counted: what others read at the same time would be wrong in any difference. */
static void put_lag(struct command_context *ctx, struct xstream_view view,
                    const struct xstream_facts *facts, const struct xstream_group *group) {
    int64_t read = group->entries_read;
    if (!ctx->store->is_alone) {
        put_integer(ctx, "lag", (int64_t)xstream_unread_count(view, group));
        return;
    }
    if (facts->entries_added > 0 && (read < 0 || xstream_has_gap_from(facts, group->last_id))) {
        read = xstream_entries_up_to(facts, group->last_id);
    }
    int64_t lag = facts->entries_added > 0 ? (int64_t)facts->entries_added - read : 0;
    reply_bulk_text(ctx->reply, "lag");
    if (facts->entries_added > 0 && read < 0) {
        reply_null(ctx->reply);
    } else {
        reply_integer(ctx->reply, lag); /* below 0 it is what XGROUP SETID said of entries read */
    }
}

/* ---- consumers, and what is pending for each ---- */

/* Walks over the consumers of a group. */
struct consumer_walk {
    struct xstream_cursor cursor;
    struct xstream_consumer consumer;
    uint64_t pending_count;
    struct buffer shares;
    size_t shares_count, at; /* of shares: those of lesser labels are behind */
};

/* Is the cursor on a consumer? Then it is told what is pending for it. */
static bool consumer_here(struct consumer_walk *walk, bool is_there) {
    if (!is_there) {
        return false;
    }
    const struct xstream_share *shares = (const struct xstream_share *)(void *)walk->shares.data;
    struct slice label = walk->cursor.name.consumer;
    xstream_consumer_here(&walk->cursor, &walk->consumer);
    while (walk->at < walk->shares_count && slice_compare(shares[walk->at].consumer, label) < 0) {
        walk->at++; /* of none that the group has */
    }
    bool has_share = walk->at < walk->shares_count && slice_equal(shares[walk->at].consumer, label);
    walk->pending_count = has_share ? shares[walk->at].count : 0;
    return true;
}

/* Puts it on the first one; false: there is none. */
static bool consumers_begin(struct consumer_walk *walk, struct xstream_view view,
                            const struct xstream_label *group) {
    walk->shares = (struct buffer){0};
    walk->shares_count = xstream_shares(view, group, &walk->shares);
    walk->at = 0;
    return consumer_here(walk, xstream_seek_consumer(view, group, &walk->cursor));
}

static bool consumers_next(struct consumer_walk *walk) {
    return consumer_here(walk, xstream_next(&walk->cursor));
}

static void consumers_end(struct consumer_walk *walk) {
    buffer_deinit(&walk->shares);
}

/* ---- XINFO STREAM ---- */

static void put_facts(struct command_context *ctx, const struct xstream_facts *facts) {
    uint64_t in_node = ctx->store->packing[VALUE_STREAM].entries_max;
    uint64_t nodes = in_node == 0 ? facts->length > 0 : (facts->length + in_node - 1) / in_node;
    put_integer(ctx, "length", (int64_t)facts->length);
    put_integer(ctx, "radix-tree-keys", (int64_t)nodes);
    put_integer(ctx, "radix-tree-nodes", (int64_t)nodes + 1);
    put_id(ctx, "last-generated-id", facts->last_id);
    put_id(ctx, "max-deleted-entry-id", facts->deleted_id_max);
    put_integer(ctx, "entries-added", (int64_t)facts->entries_added);
    put_id(ctx, "recorded-first-entry-id", facts->first_id);
}

static uint64_t count_groups(struct xstream_view view) {
    struct xstream_group group;
    uint64_t count = 0;
    for (bool is_there = xstream_next_group(view, true, &group); is_there;
         is_there = xstream_next_group(view, false, &group)) {
        count++;
    }
    return count;
}

static void put_entry(struct command_context *ctx, const char *name, bool is_there,
                      struct xstream_cursor *cursor) {
    reply_bulk_text(ctx->reply, name);
    if (is_there) {
        stream_reply_entry(ctx, cursor);
    } else {
        reply_null(ctx->reply);
    }
}

static void info_short(struct command_context *ctx, struct xstream_view view,
                       const struct xstream_facts *facts) {
    struct xstream_cursor cursor;
    reply_map(ctx->reply, 10);
    put_facts(ctx, facts);
    put_integer(ctx, "groups", (int64_t)count_groups(view));
    put_entry(ctx, "first-entry", xstream_seek(view, XSTREAM_ID_MIN, &cursor), &cursor);
    put_entry(ctx, "last-entry", xstream_seek_back(view, XSTREAM_ID_MAX, &cursor), &cursor);
}

static void put_pending(struct command_context *ctx, struct xstream_id id,
                        const struct xstream_pending *pending, bool with_consumer) {
    reply_array(ctx->reply, with_consumer ? 4 : 3);
    stream_reply_id(ctx, id);
    if (with_consumer) {
        stream_reply_label(ctx, pending->consumer);
    }
    reply_integer(ctx->reply, (int64_t)pending->delivered_unix_ms);
    reply_integer(ctx->reply, (int64_t)pending->deliveries_count);
}

/* Up to `count` (0: all) of what is pending in the group. */
static void put_group_pending(struct command_context *ctx, struct xstream_view view,
                              const struct xstream_label *group, uint64_t count) {
    struct xstream_cursor cursor;
    uint64_t told = 0;
    reply_bulk_text(ctx->reply, "pending");
    size_t begin = reply_deferred_begin(ctx->reply);
    for (bool is_there = xstream_seek_pending(view, group, XSTREAM_ID_MIN, &cursor); is_there;
         is_there = told != count && xstream_next(&cursor)) {
        struct xstream_pending pending;
        xstream_pending_take(xstream_value(&cursor), &pending);
        put_pending(ctx, cursor.name.id, &pending, true);
        told++;
    }
    reply_deferred_array(ctx->reply, begin, told);
}

/* Likewise, for one consumer, for whom something is. */
static uint64_t put_owned(struct command_context *ctx, struct xstream_view view,
                          const struct xstream_label *group, struct slice consumer,
                          uint64_t count) {
    struct xstream_owned *owned = memory_alloc(sizeof(*owned));
    struct xstream_label label = {.size = consumer.size};
    uint64_t told = 0;
    memcpy(label.bytes, consumer.data, consumer.size);
    for (bool is_there = xstream_owned_begin(view, group, &label, XSTREAM_ID_MIN, owned); is_there;
         is_there = told != count && xstream_owned_next(owned)) {
        put_pending(ctx, owned->cursor.name.id, &owned->pending, false);
        told++;
    }
    memory_free(owned);
    return told;
}

static void put_full_consumer(struct command_context *ctx, struct xstream_view view,
                              const struct xstream_label *group, const struct consumer_walk *walk,
                              uint64_t count) {
    struct slice label = walk->cursor.name.consumer;
    uint64_t told = 0;
    reply_map(ctx->reply, 5);
    reply_bulk_text(ctx->reply, "name");
    stream_reply_label(ctx, label);
    put_integer(ctx, "seen-time", (int64_t)walk->consumer.seen_unix_ms);
    put_integer(ctx, "active-time", walk->consumer.active_unix_ms);
    put_integer(ctx, "pel-count", (int64_t)walk->pending_count);
    reply_bulk_text(ctx->reply, "pending");
    size_t begin = reply_deferred_begin(ctx->reply);
    if (walk->pending_count > 0) {
        told = put_owned(ctx, view, group, label, count);
    }
    reply_deferred_array(ctx->reply, begin, told);
}

static void put_full_group(struct command_context *ctx, struct xstream_view view,
                           const struct xstream_facts *facts, const struct xstream_group *group,
                           uint64_t count) {
    struct xstream_pending_facts pending;
    struct consumer_walk walk;
    xstream_pending_facts(view, &group->label, &pending);
    reply_map(ctx->reply, 7);
    reply_bulk_text(ctx->reply, "name");
    stream_reply_label(ctx, xstream_label_slice(&group->label));
    put_id(ctx, "last-delivered-id", group->last_id);
    put_count(ctx, "entries-read", group->entries_read);
    put_lag(ctx, view, facts, group);
    put_integer(ctx, "pel-count", (int64_t)pending.count);
    put_group_pending(ctx, view, &group->label, count);
    reply_bulk_text(ctx->reply, "consumers");
    reply_array(ctx->reply, xstream_consumers_count(view, &group->label));
    for (bool is_there = consumers_begin(&walk, view, &group->label); is_there;
         is_there = consumers_next(&walk)) {
        put_full_consumer(ctx, view, &group->label, &walk, count);
    }
    consumers_end(&walk);
}

static void info_full(struct command_context *ctx, struct xstream_view view,
                      const struct xstream_facts *facts, uint64_t count) {
    struct xstream_group group;
    reply_map(ctx->reply, 9);
    put_facts(ctx, facts);
    reply_bulk_text(ctx->reply, "entries");
    stream_reply_range(ctx, view, XSTREAM_ID_MIN, XSTREAM_ID_MAX, count, false);
    reply_bulk_text(ctx->reply, "groups");
    reply_array(ctx->reply, count_groups(view));
    for (bool is_there = xstream_next_group(view, true, &group); is_there;
         is_there = xstream_next_group(view, false, &group)) {
        put_full_group(ctx, view, facts, &group, count);
    }
}

/* XINFO STREAM key [FULL [COUNT count]] */
static void cmd_xinfo_stream(struct command_context *ctx) {
    enum { COUNT_DEFAULT = 10 };
    struct xstream_view view;
    struct xstream_facts facts;
    int64_t count = COUNT_DEFAULT;
    bool is_full = ctx->args_count > 3;
    if (!info_stream(ctx, &view)) {
        return;
    }
    if ((is_full && !command_word(ctx, 3, "full")) ||
        (ctx->args_count != 3 && ctx->args_count != 4 && ctx->args_count != 6) ||
        (ctx->args_count == 6 && !command_word(ctx, 4, "count"))) {
        reply_errorf(ctx->reply,
                     "ERR unknown subcommand or wrong number of arguments for '%.*s'. "
                     "Try XINFO HELP.",
                     (int)ctx->args[1].size, ctx->args[1].data);
        return;
    }
    if (ctx->args_count == 6 && !command_integer(ctx, 5, &count, NULL)) {
        return;
    }
    count = count < 0 ? COUNT_DEFAULT : count;
    xstream_facts(view, &facts);
    if (is_full) {
        info_full(ctx, view, &facts, (uint64_t)count);
    } else {
        info_short(ctx, view, &facts);
    }
}

/* ---- XINFO GROUPS, CONSUMERS ---- */

/* XINFO GROUPS key */
static void cmd_xinfo_groups(struct command_context *ctx) {
    struct xstream_view view;
    struct xstream_facts facts;
    struct xstream_group group;
    if (!info_stream(ctx, &view)) {
        return;
    }
    xstream_facts(view, &facts);
    reply_array(ctx->reply, count_groups(view));
    for (bool is_there = xstream_next_group(view, true, &group); is_there;
         is_there = xstream_next_group(view, false, &group)) {
        reply_map(ctx->reply, 6);
        reply_bulk_text(ctx->reply, "name");
        stream_reply_label(ctx, xstream_label_slice(&group.label));
        struct xstream_pending_facts pending;
        xstream_pending_facts(view, &group.label, &pending);
        put_integer(ctx, "consumers", (int64_t)xstream_consumers_count(view, &group.label));
        put_integer(ctx, "pending", (int64_t)pending.count);
        put_id(ctx, "last-delivered-id", group.last_id);
        put_count(ctx, "entries-read", group.entries_read);
        put_lag(ctx, view, &facts, &group);
    }
}

/* How long that time is gone. */
static int64_t since(const struct command_context *ctx, uint64_t unix_ms) {
    uint64_t now = (uint64_t)ctx->store->now_ms;
    return now > unix_ms ? (int64_t)(now - unix_ms) : 0;
}

/* XINFO CONSUMERS key group */
static void cmd_xinfo_consumers(struct command_context *ctx) {
    struct xstream_view view;
    struct xstream_label label;
    struct xstream_group group;
    struct consumer_walk walk;
    if (!info_stream(ctx, &view)) {
        return;
    }
    if (!stream_find_label(ctx, 3, &label) || !xstream_find_group(view, &label, &group)) {
        reply_errorf(ctx->reply, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                     (int)ctx->args[3].size, ctx->args[3].data, (int)ctx->args[2].size,
                     ctx->args[2].data);
        return;
    }
    reply_array(ctx->reply, xstream_consumers_count(view, &label));
    for (bool is_there = consumers_begin(&walk, view, &label); is_there;
         is_there = consumers_next(&walk)) {
        int64_t active = walk.consumer.active_unix_ms;
        reply_map(ctx->reply, 4);
        reply_bulk_text(ctx->reply, "name");
        stream_reply_label(ctx, walk.cursor.name.consumer);
        put_integer(ctx, "pending", (int64_t)walk.pending_count);
        put_integer(ctx, "idle", since(ctx, walk.consumer.seen_unix_ms));
        put_integer(ctx, "inactive", active < 0 ? -1 : since(ctx, (uint64_t)active));
    }
    consumers_end(&walk);
}

/* XINFO HELP */
static void cmd_xinfo_help(struct command_context *ctx) {
    static const char *const LINES[] = {
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    List the consumers of a group.",
        "GROUPS <key>",
        "    List the consumer groups of a stream.",
        "STREAM <key> [FULL [COUNT <count>]]",
        "    Tell about a stream; FULL: with its entries and all about its groups, up to <count>",
        "    (10; 0 is all) of each.",
        "HELP",
        "    Print this help.",
    };
    const size_t count = sizeof(LINES) / sizeof(LINES[0]);
    reply_array(ctx->reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_simple(ctx->reply, LINES[i]);
    }
}

#define XINFO_COMMAND(name_, handler_, arity_, cost_, syntax_, summary_)                           \
    {                                                                                              \
        .name = (name_), .parent = "xinfo", .handler = (handler_), .arity = (arity_),              \
        .flags = CMD_READ, .keys = {2, 2, 1}, .key_flags = KEY_READ_ONLY | KEY_ACCESS,             \
        .group = "stream", .since = "5.0.0", .cost = (cost_), .syntax = (syntax_),                 \
        .summary = (summary_)                                                                      \
    }

static const struct command cmd_stream_info_rows[] = {
    {.name = "xinfo",
     .arity = -2,
     .group = "stream",
     .since = "5.0.0",
     .cost = "Depends on subcommand.",
     .summary = "A container for questions about streams."},
    XINFO_COMMAND("stream", cmd_xinfo_stream, -3, "O(log(N)), or O(M) for what FULL returns.",
                  "key [FULL [COUNT count]]", "Tells about a stream."),
    XINFO_COMMAND("groups", cmd_xinfo_groups, 3,
                  "O(N*log(M)) where N is the number of groups, M that of pending entries.", "key",
                  "Lists the consumer groups of a stream."),
    XINFO_COMMAND("consumers", cmd_xinfo_consumers, 4,
                  "O(N*log(M)) where N is the number of consumers, M that of pending entries.",
                  "key group", "Lists the consumers of a consumer group."),
    {.name = "help",
     .parent = "xinfo",
     .handler = cmd_xinfo_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .group = "stream",
     .since = "5.0.0",
     .cost = "O(1)",
     .summary = "Lists the subcommands."},
};

COMMAND_FAMILY(cmd_stream_info_family, cmd_stream_info_rows);
