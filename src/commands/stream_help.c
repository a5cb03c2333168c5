/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/stream_help.h"

#include <stdlib.h>

/* ---- ids ---- */

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Neither leading zeros nor spaces nor a plus sign are errors here. */
static bool parse_number(struct slice text, uint64_t *number) {
    while (text.size > 1 && is_space(text.data[0])) {
        text = slice_skip(text, 1);
    }
    if (text.size > 1 && text.data[0] == '+') {
        text = slice_skip(text, 1);
    }
    while (text.size > 1 && text.data[0] == '0') {
        text = slice_skip(text, 1);
    }
    return number_parse_unsigned(text, number);
}

bool stream_parse_id(struct slice text, uint64_t sequence, struct xstream_id *id) {
    if (slice_equal(text, SLICE("-"))) {
        *id = XSTREAM_ID_MIN;
        return true;
    }
    if (slice_equal(text, SLICE("+"))) {
        *id = XSTREAM_ID_MAX;
        return true;
    }
    const char *dash = text.size > 0 ? memchr(text.data, '-', text.size) : NULL;
    size_t ms_size = dash != NULL ? (size_t)(dash - text.data) : text.size;
    id->sequence = sequence;
    return parse_number(slice_make(text.data, ms_size), &id->ms) &&
           (dash == NULL || parse_number(slice_skip(text, ms_size + 1), &id->sequence));
}

static bool is_end(struct slice text) {
    return slice_equal(text, SLICE("-")) || slice_equal(text, SLICE("+"));
}

bool stream_id(struct command_context *ctx, size_t index, uint64_t sequence, bool is_strict,
               struct xstream_id *id) {
    if ((is_strict && is_end(ctx->args[index])) ||
        !stream_parse_id(ctx->args[index], sequence, id)) {
        reply_error(ctx->reply, STREAM_BAD_ID);
        return false;
    }
    return true;
}

bool stream_interval_id(struct command_context *ctx, size_t index, bool is_start,
                        struct xstream_id *id) {
    struct slice text = ctx->args[index];
    uint64_t sequence = is_start ? 0 : UINT64_MAX;
    if (text.size < 2 || text.data[0] != '(') {
        return stream_id(ctx, index, sequence, false, id);
    }
    text = slice_skip(text, 1);
    if (is_end(text) || !stream_parse_id(text, sequence, id)) {
        reply_error(ctx->reply, STREAM_BAD_ID);
        return false;
    }
    if (is_start ? !xstream_id_increment(id) : !xstream_id_decrement(id)) {
        reply_errorf(ctx->reply, "ERR invalid %s ID for the interval", is_start ? "start" : "end");
        return false;
    }
    return true;
}

/* ---- opening ---- */

bool stream_read(struct command_context *ctx, const struct key *key, struct xstream_view *view) {
    struct elements elements;
    enum store_status status = elements_read(ctx->store, key, VALUE_STREAM, &elements);
    *view = xstream_of(ctx->store, &elements);
    if (status == STORE_WRONG_TYPE) {
        command_reply_status(ctx, status);
        return false;
    }
    return true;
}

bool stream_open(struct command_context *ctx, const struct key *key,
                 struct elements_writer *writer) {
    enum store_status status = elements_open(ctx->store, key, VALUE_STREAM, writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return false;
    }
    return true;
}

bool stream_label(struct command_context *ctx, size_t index, struct xstream_label *label) {
    if (!xstream_label_encode(ctx->args[index], label)) {
        reply_errorf(ctx->reply, "ERR the name of a group or consumer is longer than %d bytes",
                     XSTREAM_LABEL_BYTES_MAX);
        return false;
    }
    return true;
}

/* ---- trimming ---- */

bool stream_trim_option(struct command_context *ctx, size_t *at, struct xstream_trim *trim,
                        bool *has_limit) {
    size_t i = *at;
    int64_t number;
    bool is_length = command_word(ctx, i, "maxlen"), is_id = command_word(ctx, i, "minid");
    bool has_more = i + 1 < ctx->args_count;
    if (has_more && command_word(ctx, i, "limit")) {
        if (!command_integer(ctx, i + 1, &number, NULL)) {
            return false;
        }
        if (number < 0) {
            reply_error(ctx->reply, "ERR The LIMIT argument must be >= 0.");
            return false;
        }
        *has_limit = true;
        trim->limit = (uint64_t)number;
        *at += 2;
        return true;
    }
    if (!has_more || !(is_length || is_id)) {
        return true;
    }
    if (trim->by != XSTREAM_TRIM_NOT) {
        reply_error(ctx->reply, "ERR syntax error, MAXLEN and MINID options at the same time are "
                                "not compatible");
        return false;
    }
    trim->is_rough = false;
    i++;
    if (i + 1 < ctx->args_count &&
        (slice_equal(ctx->args[i], SLICE("~")) || slice_equal(ctx->args[i], SLICE("=")))) {
        trim->is_rough = ctx->args[i].data[0] == '~';
        i++;
    }
    if (is_id) {
        trim->by = XSTREAM_TRIM_ID;
        if (!stream_id(ctx, i, 0, true, &trim->id_min)) {
            return false;
        }
    } else {
        trim->by = XSTREAM_TRIM_LENGTH;
        if (!command_integer(ctx, i, &number, NULL)) {
            return false;
        }
        if (number < 0) {
            reply_error(ctx->reply, "ERR The MAXLEN argument must be >= 0.");
            return false;
        }
        trim->length_max = (uint64_t)number;
    }
    *at = i + 1;
    return true;
}

bool stream_trim_complete(struct command_context *ctx, struct xstream_trim *trim, bool has_limit) {
    enum { NODES_MAX = 100, LIMIT_DEFAULT = 10000, LIMIT_MAX = 1000000 };
    if (has_limit && trim->by == XSTREAM_TRIM_NOT) {
        reply_error(ctx->reply, "ERR syntax error, LIMIT cannot be used without specifying a "
                                "trimming strategy");
        return false;
    }
    if (has_limit && !trim->is_rough) {
        reply_error(ctx->reply,
                    "ERR syntax error, LIMIT cannot be used without the special ~ option");
        return false;
    }
    if (!has_limit && trim->is_rough) {
        uint64_t entries_max = ctx->store->packing[VALUE_STREAM].entries_max;
        trim->limit = entries_max == 0                      ? LIMIT_DEFAULT
                      : entries_max > LIMIT_MAX / NODES_MAX ? LIMIT_MAX
                                                            : entries_max * NODES_MAX;
    }
    return true;
}

/* ---- replies ---- */

size_t stream_format_id(char *at, struct xstream_id id) {
    size_t size = number_format_unsigned(at, id.ms);
    at[size++] = '-';
    return size + number_format_unsigned(at + size, id.sequence);
}

void stream_reply_id(struct command_context *ctx, struct xstream_id id) {
    char text[STREAM_ID_TEXT_BYTES_MAX];
    reply_bulk(ctx->reply, slice_make(text, stream_format_id(text, id)));
}

void stream_reply_entry(struct command_context *ctx, struct xstream_cursor *cursor) {
    struct xstream_fields fields;
    struct slice name, value;
    uint64_t count = xstream_fields_init(&fields, xstream_value(cursor));
    reply_array(ctx->reply, 2);
    stream_reply_id(ctx, cursor->name.id);
    reply_array(ctx->reply, 2 * count);
    while (xstream_fields_next(&fields, &name, &value)) {
        reply_bulk(ctx->reply, name);
        reply_bulk(ctx->reply, value);
    }
}

void stream_reply_label(struct command_context *ctx, struct slice coded) {
    char text[XSTREAM_LABEL_BYTES_MAX];
    reply_bulk(ctx->reply, xstream_label_decode(coded, text));
}

void stream_reply_range(struct command_context *ctx, struct xstream_view view,
                        struct xstream_id start, struct xstream_id end, uint64_t count,
                        bool is_backwards) {
    struct xstream_cursor cursor;
    uint64_t told = 0;
    size_t begin = reply_deferred_begin(ctx->reply);
    bool is_there =
        is_backwards ? xstream_seek_back(view, end, &cursor) : xstream_seek(view, start, &cursor);
    while (is_there && (count == 0 || told < count) &&
           (is_backwards ? xstream_id_compare(cursor.name.id, start) >= 0
                         : xstream_id_compare(cursor.name.id, end) <= 0)) {
        stream_reply_entry(ctx, &cursor);
        told++;
        is_there = is_backwards ? xstream_previous(&cursor) : xstream_next(&cursor);
    }
    reply_deferred_array(ctx->reply, begin, told);
}

/* ---- what is pending ---- */

size_t stream_gather_pending(struct xstream_view view, const struct xstream_label *group,
                             struct buffer *out) {
    struct xstream_cursor cursor;
    for (bool is_there = xstream_seek_pending(view, group, XSTREAM_ID_MIN, &cursor); is_there;
         is_there = xstream_next(&cursor)) {
        struct stream_pending one = {.id = cursor.name.id};
        xstream_pending_take(xstream_value(&cursor), &one.pending);
        buffer_append(out, &one, sizeof(one));
    }
    return out->size / sizeof(struct stream_pending);
}

static int compare_pending(const void *a, const void *b) {
    const struct stream_pending *one = a, *other = b;
    int order = slice_compare(one->pending.consumer, other->pending.consumer);
    return order != 0 ? order : xstream_id_compare(one->id, other->id);
}

void stream_sort_pending(struct buffer *gathered) {
    size_t count = gathered->size / sizeof(struct stream_pending);
    if (count > 1) {
        qsort(gathered->data, count, sizeof(struct stream_pending), compare_pending);
    }
}

/* ---- consumers ---- */

enum store_status stream_need_consumer(struct command_context *ctx, struct elements_writer *writer,
                                       const struct xstream_group *group,
                                       const struct xstream_label *label,
                                       struct xstream_consumer *consumer) {
    if (xstream_find_consumer(xstream_of_writer(writer), &group->label, label, consumer)) {
        consumer->seen_unix_ms = (uint64_t)ctx->store->now_ms;
        xstream_note_seen(writer, &group->label, label);
        return STORE_OK;
    }
    *consumer = (struct xstream_consumer){.seen_unix_ms = (uint64_t)ctx->store->now_ms,
                                          .active_unix_ms = -1};
    enum store_status status = xstream_say_group(writer, group);
    if (status == STORE_OK) {
        status = xstream_set_consumer(writer, &group->label, label, consumer);
    }
    if (status == STORE_OK) {
        stream_notify(ctx, &writer->key, "xgroup-createconsumer");
    }
    return status;
}
