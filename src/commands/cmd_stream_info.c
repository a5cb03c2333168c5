/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: XINFO. Trees and their nodes are Redis's: what is told of them is what it would need. */
#include <stdlib.h>

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

/* ---- what is pending for each consumer ---- */

struct consumer_pending {
    struct slice label; /* coded */
    struct xstream_consumer consumer;
    uint64_t count;
};

struct consumers {
    struct buffer names; /* the bytes that the slices lie in */
    struct consumer_pending *all;
    size_t count;
    uint64_t pending_count; /* of all of the group */
};

static int compare_consumers(const void *a, const void *b) {
    return slice_compare(((const struct consumer_pending *)a)->label,
                         ((const struct consumer_pending *)b)->label);
}

static void count_pending(struct consumers *consumers, struct xstream_view view,
                          const struct xstream_label *group) {
    struct xstream_cursor cursor;
    struct consumer_pending *found = NULL;
    for (bool is_there = xstream_seek_pending(view, group, XSTREAM_ID_MIN, &cursor); is_there;
         is_there = xstream_next(&cursor)) {
        struct xstream_pending pending;
        xstream_pending_take(xstream_value(&cursor), &pending);
        consumers->pending_count++;
        if (found == NULL || !slice_equal(found->label, pending.consumer)) {
            struct consumer_pending wanted = {.label = pending.consumer};
            found = consumers->count == 0 ? NULL
                                          : bsearch(&wanted, consumers->all, consumers->count,
                                                    sizeof(wanted), compare_consumers);
        }
        if (found != NULL) {
            found->count++;
        }
    }
}

/* All consumers of the group, by name. */
static void consumers_init(struct consumers *consumers, struct xstream_view view,
                           const struct xstream_label *group) {
    struct xstream_cursor cursor;
    *consumers = (struct consumers){0};
    for (bool is_there = xstream_seek_consumer(view, group, &cursor); is_there;
         is_there = xstream_next(&cursor)) {
        buffer_append_slice(&consumers->names, cursor.name.consumer);
        consumers->count++;
    }
    consumers->all =
        memory_alloc((consumers->count + 1) * sizeof(*consumers->all)); /* never nothing */
    size_t at = 0, i = 0;
    for (bool is_there = xstream_seek_consumer(view, group, &cursor); is_there;
         is_there = xstream_next(&cursor), i++) {
        struct consumer_pending *one = &consumers->all[i];
        *one = (struct consumer_pending){
            .label = slice_make(consumers->names.data + at, cursor.name.consumer.size)};
        at += one->label.size;
        xstream_consumer_here(&cursor, &one->consumer);
    }
    count_pending(consumers, view, group);
}

static void consumers_deinit(struct consumers *consumers) {
    memory_free(consumers->all);
    buffer_deinit(&consumers->names);
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

/* Up to `count` (0: all) of what is pending; `is_of_group`: with the consumers. */
static void put_pending(struct command_context *ctx, const struct stream_pending *pending,
                        size_t pending_count, uint64_t count, bool is_of_group) {
    size_t told = count > 0 && count < pending_count ? (size_t)count : pending_count;
    reply_array(ctx->reply, told);
    for (size_t i = 0; i < told; i++) {
        reply_array(ctx->reply, is_of_group ? 4 : 3);
        stream_reply_id(ctx, pending[i].id);
        if (is_of_group) {
            stream_reply_label(ctx, pending[i].pending.consumer);
        }
        reply_integer(ctx->reply, (int64_t)pending[i].pending.delivered_unix_ms);
        reply_integer(ctx->reply, (int64_t)pending[i].pending.deliveries_count);
    }
}

static void put_full_group(struct command_context *ctx, struct xstream_view view,
                           const struct xstream_facts *facts, const struct xstream_group *group,
                           uint64_t count) {
    struct consumers consumers;
    consumers_init(&consumers, view, &group->label);
    reply_map(ctx->reply, 7);
    reply_bulk_text(ctx->reply, "name");
    stream_reply_label(ctx, xstream_label_slice(&group->label));
    put_id(ctx, "last-delivered-id", group->last_id);
    put_count(ctx, "entries-read", group->entries_read);
    put_lag(ctx, view, facts, group);
    put_integer(ctx, "pel-count", (int64_t)consumers.pending_count);
    reply_bulk_text(ctx->reply, "pending");
    struct buffer pending = {0};
    size_t pending_count = stream_gather_pending(view, &group->label, &pending), at = 0;
    put_pending(ctx, stream_pending_at(&pending, 0), pending_count, count, true);
    stream_sort_pending(&pending);
    reply_bulk_text(ctx->reply, "consumers");
    reply_array(ctx->reply, consumers.count);
    for (size_t i = 0; i < consumers.count; i++) {
        const struct consumer_pending *one = &consumers.all[i];
        reply_map(ctx->reply, 5);
        reply_bulk_text(ctx->reply, "name");
        stream_reply_label(ctx, one->label);
        put_integer(ctx, "seen-time", (int64_t)one->consumer.seen_unix_ms);
        put_integer(ctx, "active-time", one->consumer.active_unix_ms);
        put_integer(ctx, "pel-count", (int64_t)one->count);
        reply_bulk_text(ctx->reply, "pending");
        while (at < pending_count &&
               slice_compare(stream_pending_at(&pending, at)->pending.consumer, one->label) < 0) {
            at++;
        }
        put_pending(ctx, stream_pending_at(&pending, at), (size_t)one->count, count, false);
    }
    consumers_deinit(&consumers);
    buffer_deinit(&pending);
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
        put_integer(ctx, "consumers", (int64_t)xstream_consumers_count(view, &group.label));
        put_integer(ctx, "pending", (int64_t)xstream_pending_count(view, &group.label));
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
    struct consumers consumers;
    if (!info_stream(ctx, &view)) {
        return;
    }
    if (!stream_find_label(ctx, 3, &label) || !xstream_find_group(view, &label, &group)) {
        reply_errorf(ctx->reply, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                     (int)ctx->args[3].size, ctx->args[3].data, (int)ctx->args[2].size,
                     ctx->args[2].data);
        return;
    }
    consumers_init(&consumers, view, &label);
    reply_array(ctx->reply, consumers.count);
    for (size_t i = 0; i < consumers.count; i++) {
        const struct consumer_pending *one = &consumers.all[i];
        int64_t active = one->consumer.active_unix_ms;
        reply_map(ctx->reply, 4);
        reply_bulk_text(ctx->reply, "name");
        stream_reply_label(ctx, one->label);
        put_integer(ctx, "pending", (int64_t)one->count);
        put_integer(ctx, "idle", since(ctx, one->consumer.seen_unix_ms));
        put_integer(ctx, "inactive", active < 0 ? -1 : since(ctx, (uint64_t)active));
    }
    consumers_deinit(&consumers);
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
                  "O(N) where N is the number of groups, consumers and pending entries.", "key",
                  "Lists the consumer groups of a stream."),
    XINFO_COMMAND("consumers", cmd_xinfo_consumers, 4,
                  "O(N) where N is the number of consumers and pending entries.", "key group",
                  "Lists the consumers of a consumer group."),
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
