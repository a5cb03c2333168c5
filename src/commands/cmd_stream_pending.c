/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: what is pending in a group, and taking it over. */
#include "commands/stream_help.h"

static void reply_no_group(struct command_context *ctx) {
    reply_errorf(ctx->reply, "NOGROUP No such key '%.*s' or consumer group '%.*s'",
                 (int)ctx->args[1].size, ctx->args[1].data, (int)ctx->args[2].size,
                 ctx->args[2].data);
}

static uint64_t idle_ms(const struct command_context *ctx, const struct xstream_pending *pending) {
    uint64_t now = (uint64_t)ctx->store->now_ms;
    return now > pending->delivered_unix_ms ? now - pending->delivered_unix_ms : 0;
}

/* ---- XPENDING ---- */

static void pending_summary(struct command_context *ctx, struct xstream_view view,
                            const struct xstream_label *group) {
    struct xstream_pending_facts facts;
    struct buffer gathered = {0};
    xstream_pending_facts(view, group, &facts);
    reply_array(ctx->reply, 4);
    reply_integer(ctx->reply, (int64_t)facts.count);
    if (facts.count == 0) {
        reply_null(ctx->reply);
        reply_null(ctx->reply);
        reply_null_array(ctx->reply);
        return;
    }
    stream_reply_id(ctx, facts.first_id);
    stream_reply_id(ctx, facts.last_id);
    size_t count = xstream_shares(view, group, &gathered);
    const struct xstream_share *shares = (const struct xstream_share *)(void *)gathered.data;
    reply_array(ctx->reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_array(ctx->reply, 2);
        stream_reply_label(ctx, shares[i].consumer);
        reply_bulk_integer(ctx->reply, (int64_t)shares[i].count);
    }
    buffer_deinit(&gathered);
}

struct xpending {
    int64_t idle_min_ms;
    struct xstream_id start, end;
    int64_t count;
    size_t consumer_at; /* 0: any */
};

static bool parse_xpending(struct command_context *ctx, struct xpending *xpending) {
    enum { ARGUMENTS_MAX = 9 }; /* with IDLE; Redis does not count without it */
    size_t at = 3;
    *xpending = (struct xpending){0};
    if (ctx->args_count < 6 || ctx->args_count > ARGUMENTS_MAX) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    if (ctx->args_count > 4 && command_word(ctx, 3, "idle")) {
        if (!command_integer(ctx, 4, &xpending->idle_min_ms, NULL)) {
            return false;
        }
        at = 5;
    }
    size_t left = ctx->args_count - at;
    if (left < 3) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    xpending->consumer_at = left > 3 ? at + 3 : 0;
    if (!command_integer(ctx, at + 2, &xpending->count, NULL) ||
        !stream_interval_id(ctx, at, true, &xpending->start) ||
        !stream_interval_id(ctx, at + 1, false, &xpending->end)) {
        return false;
    }
    xpending->count = xpending->count < 0 ? 0 : xpending->count;
    return true;
}

/* Replies with a pending entry, if it is idle for long enough. */
static bool reply_pending(struct command_context *ctx, struct xstream_id id,
                          const struct xstream_pending *pending, int64_t idle_min_ms) {
    uint64_t idle = idle_ms(ctx, pending);
    if (idle_min_ms > 0 && idle < (uint64_t)idle_min_ms) {
        return false;
    }
    reply_array(ctx->reply, 4);
    stream_reply_id(ctx, id);
    stream_reply_label(ctx, pending->consumer);
    reply_integer(ctx->reply, (int64_t)idle);
    reply_integer(ctx->reply, (int64_t)pending->deliveries_count);
    return true;
}

static int64_t pending_of_all(struct command_context *ctx, struct xstream_view view,
                              const struct xstream_label *group, const struct xpending *xpending) {
    struct xstream_cursor cursor;
    int64_t told = 0;
    for (bool is_there = xstream_seek_pending(view, group, xpending->start, &cursor);
         is_there && told < xpending->count &&
         xstream_id_compare(cursor.name.id, xpending->end) <= 0;
         is_there = xstream_next(&cursor)) {
        struct xstream_pending pending;
        xstream_pending_take(xstream_value(&cursor), &pending);
        told += reply_pending(ctx, cursor.name.id, &pending, xpending->idle_min_ms);
    }
    return told;
}

static int64_t pending_of_one(struct command_context *ctx, struct xstream_view view,
                              const struct xstream_label *group, const struct xpending *xpending) {
    struct xstream_owned owned;
    struct xstream_label label;
    int64_t told = 0;
    if (!stream_find_label(ctx, xpending->consumer_at, &label)) {
        return 0;
    }
    for (bool is_there = xpending->count > 0 &&
                         xstream_owned_begin(view, group, &label, xpending->start, &owned);
         is_there && xstream_id_compare(owned.cursor.name.id, xpending->end) <= 0;
         is_there = told < xpending->count && xstream_owned_next(&owned)) {
        told += reply_pending(ctx, owned.cursor.name.id, &owned.pending, xpending->idle_min_ms);
    }
    return told;
}

static void pending_range(struct command_context *ctx, struct xstream_view view,
                          const struct xstream_label *group, const struct xpending *xpending) {
    size_t begin = reply_deferred_begin(ctx->reply);
    int64_t told = xpending->consumer_at != 0 ? pending_of_one(ctx, view, group, xpending)
                                              : pending_of_all(ctx, view, group, xpending);
    reply_deferred_array(ctx->reply, begin, (size_t)told);
}

/* XPENDING key group [[IDLE min-idle-time] start end count [consumer]] */
static void cmd_xpending(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct xpending xpending;
    struct xstream_view view;
    struct xstream_label label;
    struct xstream_group group;
    bool is_summary = ctx->args_count == 3;
    if ((!is_summary && !parse_xpending(ctx, &xpending)) || !stream_read(ctx, &key, &view)) {
        return;
    }
    if (!stream_find_label(ctx, 2, &label) || !xstream_find_group(view, &label, &group)) {
        reply_no_group(ctx);
    } else if (is_summary) {
        pending_summary(ctx, view, &label);
    } else {
        pending_range(ctx, view, &label, &xpending);
    }
}

/* ---- taking over ---- */

/* What XCLAIM and XAUTOCLAIM share. */
struct claim {
    struct elements_writer writer;
    struct xstream_group group;
    struct xstream_label label; /* of the consumer */
    struct xstream_consumer consumer;
    int64_t idle_min_ms;
    int64_t delivered_unix_ms;
    int64_t deliveries_count; /* below 0: one more, unless only ids are asked for */
    bool only_ids;            /* JUSTID */
    uint64_t claimed;
};

static struct claim new_claim(const struct command_context *ctx) {
    return (struct claim){.delivered_unix_ms = ctx->store->now_ms, .deliveries_count = -1};
}

/* Opens the stream and the group; false, with the error written, when one is not there. */
static bool open_claim(struct command_context *ctx, struct claim *claim) {
    struct key key = command_key(ctx, 1);
    struct xstream_label label;
    (void)store_read(ctx->store, &key); /* for Redis, this is a read first of all */
    if (!stream_open(ctx, &key, &claim->writer)) {
        return false;
    }
    if (!stream_find_label(ctx, 2, &label) ||
        !xstream_find_group(xstream_of_writer(&claim->writer), &label, &claim->group)) {
        reply_no_group(ctx);
    } else if (stream_label(ctx, 3, &claim->label)) {
        return true;
    }
    elements_close(&claim->writer);
    return false;
}

/* Gives the entry of that id to the consumer and replies with it. */
static enum store_status claim_one(struct command_context *ctx, struct claim *claim,
                                   struct xstream_id id, struct xstream_pending *pending) {
    struct xstream_cursor entry;
    enum store_status status = STORE_OK;
    pending->delivered_unix_ms = (uint64_t)claim->delivered_unix_ms;
    pending->consumer = xstream_label_slice(&claim->label);
    if (claim->deliveries_count >= 0) {
        pending->deliveries_count = (uint64_t)claim->deliveries_count;
    } else if (!claim->only_ids && pending->deliveries_count < INT64_MAX) {
        pending->deliveries_count++;
    }
    if (claim->claimed == 0) {
        claim->consumer.active_unix_ms = ctx->store->now_ms;
        status = xstream_say_group(&claim->writer, &claim->group);
        if (status == STORE_OK) {
            status = xstream_set_consumer(&claim->writer, &claim->group.label, &claim->label,
                                          &claim->consumer);
        }
    }
    if (status == STORE_OK) {
        status = xstream_set_pending(&claim->writer, &claim->group.label, id, pending);
    }
    if (status != STORE_OK) {
        return status;
    }
    claim->claimed++;
    if (claim->only_ids) {
        stream_reply_id(ctx, id);
    } else {
        bool is_there = xstream_seek(xstream_of_writer(&claim->writer), id, &entry);
        ensure(is_there);
        stream_reply_entry(ctx, &entry);
    }
    return STORE_OK;
}

static bool parse_idle_min(struct command_context *ctx, const char *name, int64_t *idle_min_ms) {
    if (!number_parse_integer(ctx->args[4], idle_min_ms)) {
        reply_errorf(ctx->reply, "ERR Invalid min-idle-time argument for %s", name);
        return false;
    }
    *idle_min_ms = *idle_min_ms < 0 ? 0 : *idle_min_ms;
    return true;
}

static bool is_idle(const struct command_context *ctx, const struct claim *claim,
                    const struct xstream_pending *pending) {
    return idle_ms(ctx, pending) >= (uint64_t)claim->idle_min_ms;
}

/* ---- XCLAIM ---- */

struct xclaim {
    size_t ids_end; /* argument behind the last id */
    bool force;
    bool has_last_id;
    struct xstream_id last_id;
};

/* A number behind an option of XCLAIM. */
static bool parse_claim_number(struct command_context *ctx, size_t index, const char *option,
                               int64_t *number) {
    if (number_parse_integer(ctx->args[index], number)) {
        return true;
    }
    reply_errorf(ctx->reply, "ERR Invalid %s option argument for XCLAIM", option);
    return false;
}

static bool parse_xclaim_options(struct command_context *ctx, struct claim *claim,
                                 struct xclaim *xclaim) {
    int64_t now = ctx->store->now_ms, number;
    for (size_t i = xclaim->ids_end; i < ctx->args_count; i++) {
        bool has_more = i + 1 < ctx->args_count;
        if (command_word(ctx, i, "force")) {
            xclaim->force = true;
        } else if (command_word(ctx, i, "justid")) {
            claim->only_ids = true;
        } else if (has_more && command_word(ctx, i, "idle")) {
            if (!parse_claim_number(ctx, ++i, "IDLE", &number)) {
                return false;
            }
            if (__builtin_sub_overflow(now, number, &claim->delivered_unix_ms)) {
                claim->delivered_unix_ms = now;
            }
        } else if (has_more && command_word(ctx, i, "time")) {
            if (!parse_claim_number(ctx, ++i, "TIME", &claim->delivered_unix_ms)) {
                return false;
            }
        } else if (has_more && command_word(ctx, i, "retrycount")) {
            if (!parse_claim_number(ctx, ++i, "RETRYCOUNT", &claim->deliveries_count)) {
                return false;
            }
        } else if (has_more && command_word(ctx, i, "lastid")) {
            xclaim->has_last_id = true;
            if (!stream_id(ctx, ++i, 0, true, &xclaim->last_id)) {
                return false;
            }
        } else {
            reply_errorf(ctx->reply, "ERR Unrecognized XCLAIM option '%.*s'",
                         (int)ctx->args[i].size, ctx->args[i].data);
            return false;
        }
    }
    /* A time that cannot be is now. */
    if (claim->delivered_unix_ms < 0 || claim->delivered_unix_ms > now) {
        claim->delivered_unix_ms = now;
    }
    return true;
}

static bool parse_xclaim(struct command_context *ctx, struct claim *claim, struct xclaim *xclaim) {
    struct xstream_id id;
    *xclaim = (struct xclaim){.ids_end = 5};
    if (!parse_idle_min(ctx, "XCLAIM", &claim->idle_min_ms)) {
        return false;
    }
    while (xclaim->ids_end < ctx->args_count) {
        struct slice text = ctx->args[xclaim->ids_end];
        if (slice_equal(text, SLICE("-")) || slice_equal(text, SLICE("+")) ||
            !stream_parse_id(text, 0, &id)) {
            break;
        }
        xclaim->ids_end++;
    }
    return parse_xclaim_options(ctx, claim, xclaim);
}

/* The entry of one id, if it is the consumer's to have. */
static enum store_status xclaim_id(struct command_context *ctx, struct claim *claim, bool force,
                                   struct xstream_id id) {
    struct xstream_view view = xstream_of_writer(&claim->writer);
    struct xstream_pending pending;
    bool is_pending = xstream_find_pending(view, &claim->group.label, id, &pending);
    if (!is_pending) {
        /* What FORCE makes counts as delivered once, before it is claimed. */
        pending = (struct xstream_pending){.deliveries_count = 1};
    }
    if (!xstream_has_entry(view, id)) {
        /* It was deleted: nobody can have it. */
        if (is_pending) {
            (void)xstream_delete_pending(&claim->writer, &claim->group.label, &id, 1);
        }
        return STORE_OK;
    }
    if (!is_pending && !force) {
        return STORE_OK;
    }
    if (is_pending && !is_idle(ctx, claim, &pending)) {
        return STORE_OK;
    }
    return claim_one(ctx, claim, id, &pending);
}

/* XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-ms]
 * [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid] */
static void cmd_xclaim(struct command_context *ctx) {
    struct claim claim = new_claim(ctx);
    struct xclaim xclaim;
    struct xstream_id id;
    if (!open_claim(ctx, &claim)) {
        return;
    }
    if (!parse_xclaim(ctx, &claim, &xclaim)) {
        elements_close(&claim.writer);
        return;
    }
    size_t begin = reply_deferred_begin(ctx->reply);
    enum store_status status = STORE_OK;
    if (xclaim.has_last_id && xstream_id_compare(xclaim.last_id, claim.group.last_id) > 0) {
        claim.group.last_id = xclaim.last_id;
        status = xstream_say_group(&claim.writer, &claim.group);
    }
    if (status == STORE_OK) {
        status =
            stream_need_consumer(ctx, &claim.writer, &claim.group, &claim.label, &claim.consumer);
    }
    for (size_t i = 5; i < xclaim.ids_end && status == STORE_OK; i++) {
        (void)stream_parse_id(ctx->args[i], 0, &id);
        status = xclaim_id(ctx, &claim, xclaim.force, id);
    }
    elements_close(&claim.writer);
    if (status != STORE_OK) {
        ctx->reply->out->size = begin;
        command_reply_status(ctx, status);
        return;
    }
    reply_deferred_array(ctx->reply, begin, claim.claimed);
}

/* ---- XAUTOCLAIM ---- */

static bool parse_xautoclaim(struct command_context *ctx, struct claim *claim,
                             struct xstream_id *start, int64_t *count) {
    enum { ID_BYTES = 16 }; /* Redis has room for so many ids */
    *count = 100;
    if (!parse_idle_min(ctx, "XAUTOCLAIM", &claim->idle_min_ms) ||
        !stream_interval_id(ctx, 5, true, start)) {
        return false;
    }
    for (size_t i = 6; i < ctx->args_count; i++) {
        if (i + 1 < ctx->args_count && command_word(ctx, i, "count")) {
            static const char ERROR[] = "ERR COUNT must be > 0";
            if (!command_integer(ctx, ++i, count, ERROR)) {
                return false;
            }
            if (*count < 1 || *count > INT64_MAX / ID_BYTES) {
                reply_error(ctx->reply, ERROR);
                return false;
            }
        } else if (command_word(ctx, i, "justid")) {
            claim->only_ids = true;
        } else {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return false;
        }
    }
    return true;
}

/* XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID] */
static void cmd_xautoclaim(struct command_context *ctx) {
    struct claim claim = new_claim(ctx);
    struct xstream_id id;
    struct xstream_cursor cursor;
    struct buffer deleted = {0};
    int64_t count;
    if (!parse_xautoclaim(ctx, &claim, &id, &count) || !open_claim(ctx, &claim)) {
        return;
    }
    size_t begin = ctx->reply->out->size;
    enum store_status status =
        stream_need_consumer(ctx, &claim.writer, &claim.group, &claim.label, &claim.consumer);
    size_t entries_begin = reply_deferred_begin(ctx->reply);
    /* So much work at most, whatever is found. */
    int64_t looks = count * 10;
    bool is_there = false, is_through = false;
    while (status == STORE_OK && !is_through) {
        struct xstream_view view = xstream_of_writer(&claim.writer);
        is_there = xstream_seek_pending(view, &claim.group.label, id, &cursor);
        if (!is_there || count == 0 || looks-- == 0) {
            break;
        }
        struct xstream_pending pending;
        id = cursor.name.id;
        xstream_pending_take(xstream_value(&cursor), &pending);
        if (!xstream_has_entry(view, id)) {
            (void)xstream_delete_pending(&claim.writer, &claim.group.label, &id, 1);
            buffer_append(&deleted, &id, sizeof(id));
            count--;
        } else if (is_idle(ctx, &claim, &pending)) {
            status = claim_one(ctx, &claim, id, &pending);
            count--;
        }
        is_through = !xstream_id_increment(&id);
        is_there = false;
    }
    elements_close(&claim.writer);
    if (status != STORE_OK) {
        ctx->reply->out->size = begin;
        command_reply_status(ctx, status);
        buffer_deinit(&deleted);
        return;
    }
    reply_deferred_array(ctx->reply, entries_begin, claim.claimed);
    struct buffer entries = {0};
    buffer_append(&entries, ctx->reply->out->data + begin, ctx->reply->out->size - begin);
    ctx->reply->out->size = begin;
    reply_array(ctx->reply, 3);
    stream_reply_id(ctx, is_there ? cursor.name.id : XSTREAM_ID_MIN);
    reply_raw(ctx->reply, buffer_slice(&entries));
    reply_array(ctx->reply, deleted.size / sizeof(id));
    for (size_t i = 0; i < deleted.size; i += sizeof(id)) {
        memcpy(&id, deleted.data + i, sizeof(id));
        stream_reply_id(ctx, id);
    }
    buffer_deinit(&entries);
    buffer_deinit(&deleted);
}

#define PENDING_COMMAND(name_, handler_, arity_, flags_, key_flags_, since_, cost_, syntax_,       \
                        summary_)                                                                  \
    {                                                                                              \
        .name = (name_), .handler = (handler_), .arity = (arity_), .flags = (flags_),              \
        .keys = {1, 1, 1}, .key_flags = (key_flags_), .group = "stream", .since = (since_),        \
        .cost = (cost_), .syntax = (syntax_), .summary = (summary_)                                \
    }

static const struct command cmd_stream_pending_rows[] = {
    PENDING_COMMAND("xpending", cmd_xpending, -3, CMD_READ, KEY_READ_ONLY | KEY_ACCESS, "5.0.0",
                    "O(N) where N is the number of entries returned, or of consumers without a "
                    "range; of those looked at with IDLE.",
                    "key group [[IDLE min-idle-time] start end count [consumer]]",
                    "Tells what is pending in a consumer group."),
    PENDING_COMMAND("xclaim", cmd_xclaim, -6, CMD_WRITE | CMD_FAST, KEY_READ_WRITE | KEY_UPDATE,
                    "5.0.0", "O(log(N)) for each id.",
                    "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME "
                    "unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
                    "Makes pending entries those of another consumer."),
    PENDING_COMMAND("xautoclaim", cmd_xautoclaim, -6, CMD_WRITE | CMD_FAST,
                    KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE, "6.2.0",
                    "O(log(N)) for each of up to 10 times COUNT entries.",
                    "key group consumer min-idle-time start [COUNT count] [JUSTID]",
                    "Makes entries that are pending for long those of another consumer."),
};

COMMAND_FAMILY(cmd_stream_pending_family, cmd_stream_pending_rows);
