/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: their entries. Reading on from an id is in cmd_stream_read.c, groups are in
 * cmd_stream_group.c and cmd_stream_pending.c. */
#include "base/codec.h"
#include "commands/stream_help.h"

#define STREAM_ID_TOO_SMALL                                                                        \
    "ERR The ID specified in XADD is equal or smaller than the target stream top item"

/* ---- XADD ---- */

struct xadd {
    bool no_make;         /* NOMKSTREAM */
    bool is_auto;         /* "*" */
    bool is_auto_in_ms;   /* "ms-*" */
    struct xstream_id id; /* else; of "ms-*" the milliseconds */
    struct xstream_trim trim;
    size_t fields_at; /* argument of the first name */
};

static bool parse_xadd_id(struct command_context *ctx, size_t index, struct xadd *xadd) {
    struct slice text = ctx->args[index];
    xadd->is_auto = slice_equal(text, SLICE("*"));
    if (xadd->is_auto) {
        return true;
    }
    if (text.size > 2 && text.data[text.size - 1] == '*' && text.data[text.size - 2] == '-') {
        xadd->is_auto_in_ms = true;
        text.size -= 2;
    }
    bool is_end = text.size == 1 && (text.data[0] == '-' || text.data[0] == '+');
    bool has_dash = memchr(text.data, '-', text.size) != NULL;
    if (is_end || (xadd->is_auto_in_ms && has_dash) || !stream_parse_id(text, 0, &xadd->id)) {
        reply_error(ctx->reply, STREAM_BAD_ID);
        return false;
    }
    return true;
}

/* Reads all arguments; writes the error and returns false when they are wrong. */
static bool parse_xadd(struct command_context *ctx, struct xadd *xadd) {
    bool has_limit = false;
    size_t i = 2;
    *xadd = (struct xadd){0};
    for (;;) {
        size_t begin = i;
        if (i < ctx->args_count && command_word(ctx, i, "nomkstream")) {
            xadd->no_make = true;
            i++;
            continue;
        }
        if (i < ctx->args_count && !stream_trim_option(ctx, &i, &xadd->trim, &has_limit)) {
            return false;
        }
        if (i == begin) {
            break;
        }
    }
    if (i < ctx->args_count && !parse_xadd_id(ctx, i, xadd)) {
        return false;
    }
    if (!stream_trim_complete(ctx, &xadd->trim, has_limit)) {
        return false;
    }
    xadd->fields_at = i + 1; /* beyond the last argument when the options are all there is */
    size_t left = ctx->args_count > xadd->fields_at ? ctx->args_count - xadd->fields_at : 0;
    if (left < 2 || left % 2 != 0) {
        reply_error(ctx->reply, "ERR wrong number of arguments for 'xadd' command");
        return false;
    }
    if (!xadd->is_auto && !xadd->is_auto_in_ms && xadd->id.ms == 0 && xadd->id.sequence == 0) {
        reply_error(ctx->reply, "ERR The ID specified in XADD must be greater than 0-0");
        return false;
    }
    return true;
}

/* The id of the new entry; false, with the error written, when there is none. */
static bool choose_id(struct command_context *ctx, struct elements_writer *writer,
                      struct xadd *xadd) {
    struct xstream_id last = xstream_last_id(xstream_of_writer(writer));
    if (xstream_id_compare(last, XSTREAM_ID_MAX) == 0) {
        reply_error(ctx->reply, "ERR The stream has exhausted the last possible ID, unable to add "
                                "more items");
        return false;
    }
    if (xadd->is_auto || xadd->is_auto_in_ms) {
        uint64_t ms = xadd->is_auto ? (uint64_t)ctx->store->now_ms : xadd->id.ms;
        if (xstream_make_id(writer, last, ms, xadd->is_auto_in_ms, &xadd->id)) {
            return true;
        }
    } else if (xstream_id_compare(xadd->id, last) > 0) {
        return true;
    }
    reply_error(ctx->reply, STREAM_ID_TOO_SMALL);
    return false;
}

/* The fields as the entry has them. */
static void encode_fields(const struct command_context *ctx, size_t at, struct buffer *out) {
    codec_put_varint(out, (ctx->args_count - at) / 2);
    for (; at < ctx->args_count; at++) {
        codec_put_slice(out, ctx->args[at]);
    }
}

/* Would the fields be longer than a string may be? */
static bool is_too_long(const struct command_context *ctx, size_t at) {
    uint64_t bytes = VARINT_BYTES_MAX + XSTREAM_ORIGIN_BYTES;
    for (; at < ctx->args_count; at++) {
        bytes += ctx->args[at].size + VARINT_BYTES_MAX;
    }
    return bytes > ORDERED_MAP_VALUE_BYTES_MAX || bytes > ctx->limits->value_bytes_max;
}

/* XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value ... */
static void cmd_xadd(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct elements_writer writer;
    struct xadd xadd;
    if (!parse_xadd(ctx, &xadd)) {
        return;
    }
    if (is_too_long(ctx, xadd.fields_at)) {
        reply_error(ctx->reply, COMMAND_TOO_LONG);
        return;
    }
    if (!stream_open(ctx, &key, &writer)) {
        return;
    }
    if (writer.is_key_fresh && xadd.no_make) {
        elements_close(&writer);
        reply_null(ctx->reply);
        return;
    }
    if (!choose_id(ctx, &writer, &xadd)) {
        elements_close(&writer);
        return;
    }
    struct buffer fields = {0};
    encode_fields(ctx, xadd.fields_at, &fields);
    enum store_status status = xstream_add(&writer, xadd.id, &fields);
    buffer_deinit(&fields);
    uint64_t trimmed = 0;
    if (status == STORE_OK && xadd.trim.by != XSTREAM_TRIM_NOT) {
        trimmed = xstream_trim(&writer, &xadd.trim);
    }
    elements_close(&writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    stream_notify(ctx, &key, "xadd");
    if (trimmed > 0) {
        stream_notify(ctx, &key, "xtrim");
    }
    stream_reply_id(ctx, xadd.id);
}

/* ---- reading ---- */

/* XLEN key */
static void cmd_xlen(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct xstream_view view;
    if (stream_read(ctx, &key, &view)) {
        reply_integer(ctx->reply, (int64_t)xstream_length(view));
    }
}

static void range(struct command_context *ctx, bool is_backwards) {
    struct key key = command_key(ctx, 1);
    struct xstream_id start, end;
    struct xstream_view view;
    int64_t count = -1;
    size_t start_at = is_backwards ? 3 : 2, end_at = is_backwards ? 2 : 3;
    if (!stream_interval_id(ctx, start_at, true, &start) ||
        !stream_interval_id(ctx, end_at, false, &end)) {
        return;
    }
    for (size_t i = 4; i < ctx->args_count; i += 2) {
        if (i + 1 >= ctx->args_count || !command_word(ctx, i, "count")) {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return;
        }
        if (!command_integer(ctx, i + 1, &count, NULL)) {
            return;
        }
        count = count < 0 ? 0 : count;
    }
    if (!stream_read(ctx, &key, &view)) {
        return;
    }
    if (view.collection != NULL && count == 0) {
        reply_null_array(ctx->reply);
        return;
    }
    stream_reply_range(ctx, view, start, end, count < 0 ? 0 : (uint64_t)count, is_backwards);
}

/* XRANGE key start end [COUNT count] */
static void cmd_xrange(struct command_context *ctx) {
    range(ctx, false);
}

/* XREVRANGE key end start [COUNT count] */
static void cmd_xrevrange(struct command_context *ctx) {
    range(ctx, true);
}

/* ---- removing ---- */

/* XDEL key id [id ...] */
static void cmd_xdel(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct elements_writer writer;
    struct elements elements;
    size_t count = ctx->args_count - 2;
    enum store_status status = elements_look(ctx->store, &key, VALUE_STREAM, &elements);
    if (status == STORE_WRONG_TYPE) {
        command_reply_status(ctx, status);
        return;
    }
    if (status == STORE_ABSENT) {
        /* Whatever the ids are. */
        reply_integer(ctx->reply, 0);
        return;
    }
    struct xstream_id *ids = memory_try_alloc(count * sizeof(*ids));
    if (ids == NULL) {
        command_reply_status(ctx, STORE_OUT_OF_MEMORY);
        return;
    }
    bool is_sound = true;
    for (size_t i = 0; i < count && is_sound; i++) {
        is_sound = stream_id(ctx, 2 + i, 0, true, &ids[i]);
    }
    if (is_sound && stream_open(ctx, &key, &writer)) {
        uint64_t removed = xstream_delete(&writer, ids, count);
        elements_close(&writer);
        if (removed > 0) {
            stream_notify(ctx, &key, "xdel");
        }
        reply_integer(ctx->reply, (int64_t)removed);
    }
    memory_free(ids);
}

/* XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count] */
static void cmd_xtrim(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct elements_writer writer;
    struct xstream_trim trim = {0};
    bool has_limit = false;
    for (size_t i = 2; i < ctx->args_count;) {
        size_t begin = i;
        if (!stream_trim_option(ctx, &i, &trim, &has_limit)) {
            return;
        }
        if (i == begin) {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return;
        }
    }
    if (trim.by == XSTREAM_TRIM_NOT && !has_limit) {
        reply_error(ctx->reply,
                    "ERR syntax error, XTRIM called without an option to trim the stream");
        return;
    }
    if (!stream_trim_complete(ctx, &trim, has_limit) || !stream_open(ctx, &key, &writer)) {
        return;
    }
    uint64_t removed = writer.is_key_fresh ? 0 : xstream_trim(&writer, &trim);
    elements_close(&writer);
    if (removed > 0) {
        stream_notify(ctx, &key, "xtrim");
    }
    reply_integer(ctx->reply, (int64_t)removed);
}

/* ---- XSETID ---- */

static bool parse_xsetid(struct command_context *ctx, struct xstream_new_facts *facts) {
    *facts = (struct xstream_new_facts){0};
    if (!stream_id(ctx, 2, 0, true, &facts->last_id)) {
        return false;
    }
    for (size_t i = 3; i < ctx->args_count; i += 2) {
        bool has_more = i + 1 < ctx->args_count;
        if (has_more && command_word(ctx, i, "entriesadded")) {
            int64_t count;
            if (!command_integer(ctx, i + 1, &count, NULL)) {
                return false;
            }
            if (count < 0) {
                reply_error(ctx->reply, "ERR entries_added must be positive");
                return false;
            }
            facts->has_entries_added = true;
            facts->entries_added = (uint64_t)count;
        } else if (has_more && command_word(ctx, i, "maxdeletedid")) {
            if (!stream_id(ctx, i + 1, 0, true, &facts->deleted_id_max)) {
                return false;
            }
            if (xstream_id_compare(facts->last_id, facts->deleted_id_max) < 0) {
                reply_error(ctx->reply, "ERR The ID specified in XSETID is smaller than the "
                                        "provided max_deleted_entry_id");
                return false;
            }
            facts->has_deleted_id_max =
                xstream_id_compare(facts->deleted_id_max, XSTREAM_ID_MIN) > 0;
        } else {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return false;
        }
    }
    return true;
}

/* Why the stream cannot have these; NULL: it can. */
static const char *xsetid_error(struct elements_writer *writer,
                                const struct xstream_new_facts *facts) {
    struct xstream_facts old;
    struct xstream_view view = xstream_of_writer(writer);
    struct xstream_cursor last;
    xstream_facts(view, &old);
    if (xstream_seek_back(view, XSTREAM_ID_MAX, &last) &&
        xstream_id_compare(facts->last_id, last.name.id) < 0) {
        return "ERR The ID specified in XSETID is smaller than the target stream top item";
    }
    if (xstream_id_compare(facts->last_id, old.deleted_id_max) < 0) {
        return "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    }
    if (facts->has_entries_added && facts->entries_added < old.length) {
        return "ERR The entries_added specified in XSETID is smaller than the target stream "
               "length";
    }
    return NULL;
}

/* XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id] */
static void cmd_xsetid(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct elements_writer writer;
    struct xstream_new_facts facts;
    if (!parse_xsetid(ctx, &facts) || !stream_open(ctx, &key, &writer)) {
        return;
    }
    const char *error = writer.is_key_fresh ? COMMAND_NO_KEY : xsetid_error(&writer, &facts);
    enum store_status status = STORE_OK;
    if (error == NULL) {
        status = xstream_set_facts(&writer, &facts);
    }
    elements_close(&writer);
    if (error != NULL) {
        reply_error(ctx->reply, error);
    } else if (status != STORE_OK) {
        command_reply_status(ctx, status);
    } else {
        stream_notify(ctx, &key, "xsetid");
        reply_ok(ctx->reply);
    }
}

#define STREAM_COMMAND(name_, handler_, arity_, flags_, key_flags_, since_, cost_, syntax_,        \
                       summary_)                                                                   \
    {                                                                                              \
        .name = (name_), .handler = (handler_), .arity = (arity_), .flags = (flags_),              \
        .keys = {1, 1, 1}, .key_flags = (key_flags_), .element_arg = COMMAND_FETCHES_ENDS,         \
        .group = "stream", .since = (since_), .cost = (cost_), .syntax = (syntax_),                \
        .summary = (summary_)                                                                      \
    }

static const struct command cmd_stream_rows[] = {
    STREAM_COMMAND("xadd", cmd_xadd, -5, CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
                   KEY_READ_WRITE | KEY_UPDATE, "5.0.0",
                   "O(1) for a new entry, O(N) when trimming, where N is the number of entries "
                   "removed.",
                   "key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> "
                   "field value [field value ...]",
                   "Appends an entry to a stream."),
    STREAM_COMMAND("xlen", cmd_xlen, 2, CMD_READ | CMD_FAST, KEY_READ_ONLY, "5.0.0", "O(log(N))",
                   "key", "Tells how many entries a stream has."),
    STREAM_COMMAND("xrange", cmd_xrange, -4, CMD_READ, KEY_READ_ONLY | KEY_ACCESS, "5.0.0",
                   "O(log(N)+M) where N is the length of the stream and M that of the range.",
                   "key start end [COUNT count]",
                   "Returns the entries of a stream between two ids."),
    STREAM_COMMAND("xrevrange", cmd_xrevrange, -4, CMD_READ, KEY_READ_ONLY | KEY_ACCESS, "5.0.0",
                   "O(log(N)+M) where N is the length of the stream and M that of the range.",
                   "key end start [COUNT count]",
                   "Returns the entries of a stream between two ids, the newest first."),
    STREAM_COMMAND("xdel", cmd_xdel, -3, CMD_WRITE | CMD_FAST, KEY_READ_WRITE | KEY_DELETE, "5.0.0",
                   "O(log(N)) for each id.", "key id [id ...]",
                   "Removes entries from a stream by their ids."),
    STREAM_COMMAND("xtrim", cmd_xtrim, -4, CMD_WRITE, KEY_READ_WRITE | KEY_DELETE, "5.0.0",
                   "O(N) where N is the number of entries removed.",
                   "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]",
                   "Removes the oldest entries of a stream."),
    STREAM_COMMAND("xsetid", cmd_xsetid, -3, CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
                   KEY_READ_WRITE | KEY_UPDATE, "5.0.0", "O(1)",
                   "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
                   "Sets the last id of a stream, and its counts."),
};

COMMAND_FAMILY(cmd_stream_family, cmd_stream_rows);
