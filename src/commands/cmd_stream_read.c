/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: reading on from an id, by oneself (XREAD) or as a consumer of a group (XREADGROUP). */
#include "commands/stream_help.h"

/* What the arguments before and behind STREAMS say. */
struct xread {
    bool is_group;
    size_t group_at; /* argument of the group, the consumer behind it */
    struct xstream_label group, consumer;
    bool no_ack;
    bool blocks;
    int64_t timeout_ms;
    uint64_t count; /* 0: all */
    size_t keys_at; /* argument of the first key */
    size_t keys_count;
};

/* ---- arguments ---- */

static bool parse_group_option(struct command_context *ctx, size_t *at, struct xread *xread) {
    if (!xread->is_group) {
        reply_error(ctx->reply, "ERR The GROUP option is only supported by XREADGROUP. You called "
                                "XREAD instead.");
        return false;
    }
    xread->group_at = *at + 1;
    *at += 2;
    return true;
}

static bool parse_block(struct command_context *ctx, size_t index, struct xread *xread) {
    xread->blocks = true;
    if (!command_integer(ctx, index, &xread->timeout_ms,
                         "ERR timeout is not an integer or out of range")) {
        return false;
    }
    if (xread->timeout_ms < 0) {
        reply_error(ctx->reply, "ERR timeout is negative");
        return false;
    }
    if (xread->timeout_ms > INT64_MAX - ctx->store->now_ms) {
        reply_error(ctx->reply, "ERR timeout is out of range");
        return false;
    }
    return true;
}

/* Reads the options from argument *at on, up to STREAMS. */
static bool parse_options(struct command_context *ctx, struct xread *xread) {
    for (size_t i = 1; i < ctx->args_count; i++) {
        size_t more = ctx->args_count - i - 1;
        int64_t number;
        if (command_word(ctx, i, "count") && more >= 1) {
            if (!command_integer(ctx, ++i, &number, NULL)) {
                return false;
            }
            xread->count = number < 0 ? 0 : (uint64_t)number;
        } else if (command_word(ctx, i, "block") && more >= 1) {
            if (!parse_block(ctx, ++i, xread)) {
                return false;
            }
        } else if (command_word(ctx, i, "group") && more >= 2) {
            if (!parse_group_option(ctx, &i, xread)) {
                return false;
            }
        } else if (command_word(ctx, i, "noack")) {
            if (!xread->is_group) {
                reply_error(ctx->reply, "ERR The NOACK option is only supported by XREADGROUP. "
                                        "You called XREAD instead.");
                return false;
            }
            xread->no_ack = true;
        } else if (command_word(ctx, i, "streams") && more >= 1) {
            xread->keys_at = i + 1;
            xread->keys_count = more / 2;
            if (more % 2 != 0) {
                reply_errorf(ctx->reply,
                             "ERR Unbalanced '%s' list of streams: for each stream key an ID or "
                             "'%c' must be specified.",
                             ctx->row->name, xread->is_group ? '>' : '$');
                return false;
            }
            return true;
        } else {
            break;
        }
    }
    reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
    return false;
}

/* Of XREADGROUP; the greatest id there is means the same. */
static bool is_new_only(const struct command_context *ctx, size_t at) {
    struct xstream_id id;
    return slice_equal(ctx->args[at], SLICE(">")) ||
           (stream_parse_id(ctx->args[at], 0, &id) && xstream_id_compare(id, XSTREAM_ID_MAX) == 0);
}

static bool check_id(struct command_context *ctx, const struct xread *xread, size_t at) {
    struct xstream_id id;
    if (slice_equal(ctx->args[at], SLICE("$"))) {
        if (xread->is_group) {
            reply_error(ctx->reply,
                        "ERR The $ ID is meaningless in the context of XREADGROUP: you want to "
                        "read the history of this consumer by specifying a proper ID, or use "
                        "the > ID to get new messages. The $ ID would just return an empty "
                        "result set.");
            return false;
        }
        return true;
    }
    if (slice_equal(ctx->args[at], SLICE(">"))) {
        if (!xread->is_group) {
            reply_error(ctx->reply,
                        "ERR The > ID can be specified only when calling XREADGROUP using the "
                        "GROUP <group> <consumer> option.");
            return false;
        }
        return true;
    }
    return stream_id(ctx, at, 0, true, &id);
}

/* Argument `at` has to be a stream, if it is a key, and to have the group, if there is one. */
static bool check_stream(struct command_context *ctx, struct xread *xread, size_t at) {
    struct xstream_view view;
    struct xstream_group group;
    struct key key = command_key(ctx, at);
    if (!stream_read(ctx, &key, &view)) {
        return false;
    }
    if (!xread->is_group) {
        return true;
    }
    if (!stream_find_label(ctx, xread->group_at, &xread->group) ||
        !xstream_find_group(view, &xread->group, &group)) {
        struct slice name = ctx->args[xread->group_at];
        reply_errorf(ctx->reply,
                     "NOGROUP No such key '%.*s' or consumer group '%.*s' in XREADGROUP with "
                     "GROUP option",
                     (int)key.name.size, key.name.data, (int)name.size, name.data);
        return false;
    }
    return true;
}

/* One stream after the other: the first mistake counts. */
static bool check_streams(struct command_context *ctx, struct xread *xread) {
    for (size_t i = 0; i < xread->keys_count; i++) {
        size_t at = xread->keys_at + i;
        if (!check_stream(ctx, xread, at) || !check_id(ctx, xread, at + xread->keys_count)) {
            return false;
        }
    }
    return !xread->is_group || stream_label(ctx, xread->group_at + 1, &xread->consumer);
}

/* Reads all arguments; false, with the error written, when they are wrong. */
static bool parse_xread(struct command_context *ctx, bool is_group, struct xread *xread) {
    *xread = (struct xread){.is_group = is_group};
    if (!parse_options(ctx, xread)) {
        return false;
    }
    if (is_group && xread->group_at == 0) {
        reply_error(ctx->reply, "ERR Missing GROUP option for XREADGROUP");
        return false;
    }
    return check_streams(ctx, xread);
}

static int xread_keys(const struct slice *args, size_t args_count, int *positions, size_t room) {
    size_t at = 1;
    while (at < args_count && !slice_is_word(args[at], "streams")) {
        bool has_two = slice_is_word(args[at], "group");
        bool has_one = slice_is_word(args[at], "count") || slice_is_word(args[at], "block");
        at += has_two ? 3 : has_one ? 2 : 1;
    }
    if (at + 1 >= args_count || (args_count - at - 1) % 2 != 0) {
        return -1;
    }
    size_t count = (args_count - at - 1) / 2;
    for (size_t i = 0; i < count && i < room; i++) {
        positions[i] = (int)(at + 1 + i);
    }
    return (int)count;
}

/* ---- the reply: pairs of a key and its entries ---- */

struct xread_reply {
    size_t begin;
    size_t served;
};

static void begin_served(struct command_context *ctx, struct xread_reply *out, size_t key_at) {
    if (out->served == 0) {
        out->begin = reply_deferred_begin(ctx->reply);
    }
    out->served++;
    if (ctx->reply->protocol < 3) {
        reply_array(ctx->reply, 2);
    }
    reply_bulk(ctx->reply, ctx->args[key_at]);
}

static void end_served(struct command_context *ctx, const struct xread_reply *out) {
    if (ctx->reply->protocol < 3) {
        reply_deferred_array(ctx->reply, out->begin, out->served);
    } else {
        reply_deferred_map(ctx->reply, out->begin, out->served);
    }
}

/* Nothing was found: waits for it, if that is wanted and may be. A group that goes is news, too. */
static void found_nothing(struct command_context *ctx, const struct xread *xread,
                          const struct slice *args) {
    struct command_wait wait = {.wants_any = xread->is_group,
                                .type = VALUE_STREAM,
                                .keys_first = xread->keys_at,
                                .keys_count = xread->keys_count,
                                .timeout_ms = xread->timeout_ms,
                                .args = args};
    if (!xread->blocks || !command_block(ctx, &wait)) {
        reply_null_array(ctx->reply);
    }
}

/* ---- XREAD ---- */

/* The request with the ids that "$" stands for now: later it would be others. */
static void block_xread(struct command_context *ctx, const struct xread *xread) {
    struct slice *args = memory_alloc(ctx->args_count * sizeof(*args));
    char *texts = memory_alloc(xread->keys_count * STREAM_ID_TEXT_BYTES_MAX);
    memcpy(args, ctx->args, ctx->args_count * sizeof(*args));
    for (size_t i = 0; i < xread->keys_count; i++) {
        size_t at = xread->keys_at + i;
        struct slice *id = &args[at + xread->keys_count];
        struct key key = command_key(ctx, at);
        struct elements elements;
        if (slice_equal(*id, SLICE("$"))) {
            /* It was read, and is a stream or nothing. */
            char *text = texts + i * STREAM_ID_TEXT_BYTES_MAX;
            (void)elements_look(ctx->store, &key, VALUE_STREAM, &elements);
            struct xstream_id last = xstream_last_id(xstream_of(ctx->store, &elements));
            *id = slice_make(text, stream_format_id(text, last));
        }
    }
    found_nothing(ctx, xread, args);
    memory_free(texts);
    memory_free(args);
}

/* XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...] */
static void cmd_xread(struct command_context *ctx) {
    struct xread xread;
    struct xread_reply out = {0};
    struct xstream_view view;
    if (!parse_xread(ctx, false, &xread)) {
        return;
    }
    for (size_t i = 0; i < xread.keys_count; i++) {
        size_t at = xread.keys_at + i;
        struct key key = command_key(ctx, at);
        struct xstream_id id;
        struct xstream_cursor cursor;
        struct slice text = ctx->args[at + xread.keys_count];
        bool is_there = stream_read(ctx, &key, &view);
        ensure(is_there);
        if (slice_equal(text, SLICE("$"))) {
            continue;
        }
        (void)stream_parse_id(text, 0, &id);
        if (xstream_id_increment(&id) && xstream_seek(view, id, &cursor)) {
            begin_served(ctx, &out, at);
            stream_reply_range(ctx, view, id, XSTREAM_ID_MAX, xread.count, false);
        }
    }
    if (out.served > 0) {
        end_served(ctx, &out);
    } else if (xread.blocks) {
        block_xread(ctx, &xread);
    } else {
        reply_null_array(ctx->reply);
    }
}

/* ---- XREADGROUP ---- */

/* One stream of it. */
struct group_read {
    struct command_context *ctx;
    const struct xread *xread;
    struct elements_writer writer;
    struct xstream_group group;
    struct xstream_consumer consumer;
    struct buffer ids; /* struct xstream_id of what goes to the consumer */
    struct buffer counts;
};

static size_t ids_count(const struct group_read *read) {
    return read->ids.size / sizeof(struct xstream_id);
}

static struct xstream_id id_at(const struct group_read *read, size_t i) {
    struct xstream_id id;
    memcpy(&id, read->ids.data + i * sizeof(id), sizeof(id));
    return id;
}

/* Puts down that the consumer has got the entries; `unread`: for the first time. */
static enum store_status write_pending(struct group_read *read,
                                       const struct xstream_unread *unread) {
    struct elements_writer *writer = &read->writer;
    const struct xread *xread = read->xread;
    enum store_status status = unread != NULL ? xstream_set_read(writer, &read->group, unread)
                                              : xstream_say_group(writer, &read->group);
    if (status == STORE_OK) {
        status =
            xstream_set_consumer(writer, &read->group.label, &xread->consumer, &read->consumer);
    }
    struct xstream_pending pending = {
        .delivered_unix_ms = (uint64_t)read->ctx->store->now_ms,
        .deliveries_count = 1,
        .consumer = xstream_label_slice(&xread->consumer),
    };
    size_t count = unread != NULL && xread->no_ack ? 0 : ids_count(read);
    for (size_t i = 0; i < count && status == STORE_OK; i++) {
        if (unread == NULL) {
            memcpy(&pending.deliveries_count, read->counts.data + i * sizeof(uint64_t),
                   sizeof(uint64_t));
            pending.deliveries_count += pending.deliveries_count < INT64_MAX;
        }
        status = xstream_set_pending(writer, &read->group.label, id_at(read, i), &pending);
    }
    return status;
}

/* Counts an entry more that the group has read. One that came late has no place in the count; nor
 * is it known how many were deleted or trimmed between the last one and this. */
static void count_read(struct xstream_group *group, const struct xstream_facts *facts,
                       struct xstream_id id) {
    bool is_behind = xstream_id_compare(id, group->last_id) > 0;
    bool is_gapless = xstream_id_compare(group->last_id, facts->first_id) >= 0 &&
                      !xstream_has_gap_from(facts, group->last_id);
    if (group->entries_read >= 0 && is_gapless) {
        group->entries_read += group->entries_read < INT64_MAX;
    } else if (is_behind) {
        group->entries_read = xstream_entries_up_to(facts, id);
    }
    group->last_id = is_behind ? id : group->last_id;
}

/* Replies with entries that the group has not delivered, from where the walk is. */
static void reply_unread(struct group_read *read, struct xread_reply *out, size_t at,
                         struct xstream_unread *unread) {
    struct command_context *ctx = read->ctx;
    struct xstream_facts facts;
    xstream_facts(xstream_of_writer(&read->writer), &facts);
    begin_served(ctx, out, at);
    size_t begin = reply_deferred_begin(ctx->reply);
    uint64_t count = 0;
    bool is_there = true;
    for (; is_there && (read->xread->count == 0 || count < read->xread->count); count++) {
        struct xstream_id id = unread->cursor.name.id;
        stream_reply_entry(ctx, &unread->cursor);
        buffer_append(&read->ids, &id, sizeof(id));
        count_read(&read->group, &facts, id);
        is_there = xstream_unread_next(unread);
    }
    reply_deferred_array(ctx->reply, begin, count);
}

static enum store_status serve_new(struct group_read *read, struct xread_reply *out, size_t at) {
    struct xstream_unread unread;
    enum store_status status = STORE_OK;
    if (xstream_unread_begin(xstream_of_writer(&read->writer), &read->group.label, &unread)) {
        reply_unread(read, out, at, &unread);
        read->consumer.active_unix_ms = read->ctx->store->now_ms;
        status = write_pending(read, &unread);
    }
    if (status == STORE_OK) {
        xstream_unread_note(&read->writer, &unread);
    }
    xstream_unread_deinit(&unread);
    return status;
}

/* Replies with what the consumer got before and did not acknowledge. */
static enum store_status serve_history(struct group_read *read, struct xread_reply *out,
                                       size_t at) {
    struct command_context *ctx = read->ctx;
    struct xstream_view view = xstream_of_writer(&read->writer);
    struct xstream_cursor entry;
    struct xstream_owned owned;
    struct xstream_id id;
    uint64_t count = 0;
    (void)stream_parse_id(ctx->args[at + read->xread->keys_count], 0, &id);
    begin_served(ctx, out, at);
    size_t begin = reply_deferred_begin(ctx->reply);
    bool is_there =
        xstream_id_increment(&id) &&
        xstream_owned_begin(view, &read->group.label, &read->xread->consumer, id, &owned);
    while (is_there) {
        id = owned.cursor.name.id;
        count++;
        if (xstream_seek(view, id, &entry) && xstream_id_compare(entry.name.id, id) == 0) {
            stream_reply_entry(ctx, &entry);
            buffer_append(&read->ids, &id, sizeof(id));
            buffer_append(&read->counts, &owned.pending.deliveries_count, sizeof(uint64_t));
        } else {
            reply_array(ctx->reply, 2);
            stream_reply_id(ctx, id);
            reply_null_array(ctx->reply);
        }
        is_there = count != read->xread->count && xstream_owned_next(&owned);
    }
    reply_deferred_array(ctx->reply, begin, count);
    return ids_count(read) > 0 ? write_pending(read, NULL) : STORE_OK;
}

/* One stream, whose group is there. */
static enum store_status serve_group(struct command_context *ctx, const struct xread *xread,
                                     struct xread_reply *out, size_t at) {
    struct group_read read = {.ctx = ctx, .xread = xread};
    struct key key = command_key(ctx, at);
    enum store_status status = elements_open(ctx->store, &key, VALUE_STREAM, &read.writer);
    ensure(status == STORE_OK);
    bool is_there = xstream_find_group(xstream_of_writer(&read.writer), &xread->group, &read.group);
    ensure(is_there);
    status = stream_need_consumer(ctx, &read.writer, &read.group, &xread->consumer, &read.consumer);
    if (status == STORE_OK) {
        status = is_new_only(ctx, at + xread->keys_count) ? serve_new(&read, out, at)
                                                          : serve_history(&read, out, at);
    }
    elements_close(&read.writer);
    buffer_deinit(&read.ids);
    buffer_deinit(&read.counts);
    return status;
}

/* XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...]
 * id [id ...] */
static void cmd_xreadgroup(struct command_context *ctx) {
    struct xread xread;
    struct xread_reply out = {0};
    if (!parse_xread(ctx, true, &xread)) {
        return;
    }
    size_t begin = ctx->reply->out->size;
    for (size_t i = 0; i < xread.keys_count; i++) {
        enum store_status status = serve_group(ctx, &xread, &out, xread.keys_at + i);
        if (status != STORE_OK) {
            /* Only memory can have run out: what was replied so far is not shown. */
            ctx->reply->out->size = begin;
            command_reply_status(ctx, status);
            return;
        }
    }
    if (out.served > 0) {
        end_served(ctx, &out);
    } else {
        found_nothing(ctx, &xread, NULL);
    }
}

/* Half of what follows the word are keys. */
#define STREAMS_SPEC(from_)                                                                        \
    {                                                                                              \
        {.flags = KEY_READ_ONLY | KEY_ACCESS,                                                      \
         .begin = KEY_BEGIN_KEYWORD,                                                               \
         .keyword = "STREAMS",                                                                     \
         .index = (from_),                                                                         \
         .find = KEY_FIND_RANGE,                                                                   \
         .last = -1,                                                                               \
         .step = 1,                                                                                \
         .limit = 2},                                                                              \
            KEY_SPEC_END                                                                           \
    }

static const struct key_spec xread_specs[] = STREAMS_SPEC(1);
static const struct key_spec xreadgroup_specs[] = STREAMS_SPEC(4);

static const struct command cmd_stream_read_rows[] = {
    {.name = "xread",
     .handler = cmd_xread,
     .arity = -4,
     .flags = CMD_READ | CMD_BLOCKING | CMD_MOVABLE_KEYS,
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .find_keys = xread_keys,
     .key_specs = xread_specs,
     .group = "stream",
     .since = "5.0.0",
     .cost = "O(log(N)+M) for each stream, where N is its length and M the number of entries "
             "returned.",
     .syntax = "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
     .summary = "Returns entries of streams behind given ids."},
    {.name = "xreadgroup",
     .handler = cmd_xreadgroup,
     .arity = -7,
     .flags = CMD_WRITE | CMD_BLOCKING | CMD_MOVABLE_KEYS,
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .find_keys = xread_keys,
     .key_specs = xreadgroup_specs,
     .group = "stream",
     .since = "5.0.0",
     .cost = "O(log(N)+M) for each stream, where N is its length and M the number of entries "
             "returned.",
     .syntax = "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key "
               "[key ...] id [id ...]",
     .summary = "Returns entries of streams that a group has not delivered, or that are pending "
                "for a consumer."},
};

COMMAND_FAMILY(cmd_stream_read_family, cmd_stream_read_rows);
