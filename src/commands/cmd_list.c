/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists: pushing, popping, and elements by index and value. */
#include "commands/multi_pop.h"
#include "store/lists.h"

#define COUNT_NOT_POSITIVE "ERR value is out of range, must be positive"

/* Reads the list at `key`; false, with the error written, when it is none. One that is absent has
 * no elements. */
static bool read_list_at(struct command_context *ctx, const struct key *key,
                         struct elements *elements) {
    enum store_status status = elements_read(ctx->store, key, VALUE_LIST, elements);
    if (status == STORE_WRONG_TYPE) {
        command_reply_status(ctx, status);
        return false;
    }
    return true;
}

static bool read_list(struct command_context *ctx, struct elements *elements) {
    struct key key = command_key(ctx, 1);
    return read_list_at(ctx, &key, elements);
}

/* Opens the list for writing; false likewise. */
static bool open_list_at(struct command_context *ctx, const struct key *key,
                         struct elements_writer *writer) {
    enum store_status status = elements_open(ctx->store, key, VALUE_LIST, writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return false;
    }
    return true;
}

static bool open_list(struct command_context *ctx, struct elements_writer *writer) {
    struct key key = command_key(ctx, 1);
    return open_list_at(ctx, &key, writer);
}

static uint64_t count_of(struct elements_writer *writer) {
    return list_count(writer);
}

static void notify(struct command_context *ctx, const struct key *key, const char *event) {
    store_notify(ctx->store, NOTIFY_LIST, event, key);
}

/* Elements were removed: tells that, and that the key went if it did. */
static void notify_removed(struct command_context *ctx, const struct key *key, const char *event) {
    bool is_expired;
    if (likely(ctx->store->notify_classes == 0)) {
        return;
    }
    notify(ctx, key, event);
    if (!store_holds(ctx->store, key, &is_expired)) {
        store_notify(ctx->store, NOTIFY_GENERIC, "del", key);
    }
}

static const char *push_event(enum list_end end) {
    return end == LIST_LEFT ? "lpush" : "rpush";
}

static const char *pop_event(enum list_end end) {
    return end == LIST_LEFT ? "lpop" : "rpop";
}

/* The index from the left of one that may count from the right; false when it is beyond. */
static bool index_of(int64_t index, uint64_t count, uint64_t *from_left) {
    if (index >= 0) {
        *from_left = (uint64_t)index;
        return *from_left < count;
    }
    uint64_t from_right = (uint64_t) - (index + 1); /* 0: the last */
    *from_left = count - 1 - from_right;
    return from_right < count;
}

/* The range that start and stop mean; false when it is empty. */
static bool range_of(int64_t start, int64_t stop, uint64_t count, uint64_t *first, uint64_t *size) {
    uint64_t last;
    if (count == 0 || (!index_of(start, count, first) && start >= 0)) {
        return false;
    }
    if (start < 0 && (uint64_t) - (start + 1) >= count) {
        *first = 0;
    }
    if (!index_of(stop, count, &last)) {
        if (stop < 0) {
            return false;
        }
        last = count - 1;
    }
    if (*first > last) {
        return false;
    }
    *size = last - *first + 1;
    return true;
}

/* Writes `count` elements from the one at `index` on, which are there, and where each ends. */
static void write_elements(struct reply *reply, const struct store *store,
                           const struct elements *elements, uint64_t index, uint64_t count,
                           size_t *ends) {
    struct list_cursor cursor;
    bool is_there = count > 0 && list_seek(store, elements, index, &cursor);
    for (uint64_t i = 0; i < count; i++) {
        require(is_there);
        reply_bulk(reply, cursor.element.value);
        if (ends != NULL) {
            ends[i] = reply->out->size;
        }
        is_there = list_step(&cursor, LIST_RIGHT);
    }
}

/* Replies with the last `count` elements, the last one first. Steps to the left cost more than
 * those to the right: it goes by pieces, each written to the right and turned round. */
static void reply_backward(struct command_context *ctx, const struct elements *elements,
                           uint64_t count) {
    enum { PIECE = 64 };
    struct buffer bytes = {0};
    struct reply piece = {.out = &bytes, .protocol = ctx->reply->protocol};
    size_t ends[PIECE + 1] = {0};
    reply_array(ctx->reply, count);
    for (uint64_t end = elements->count, left = count; left > 0;) {
        uint64_t size = left < PIECE ? left : PIECE;
        buffer_clear(&bytes);
        write_elements(&piece, ctx->store, elements, end - size, size, ends + 1);
        for (uint64_t i = size; i > 0; i--) {
            reply_raw(ctx->reply, slice_make(bytes.data + ends[i - 1], ends[i] - ends[i - 1]));
        }
        end -= size;
        left -= size;
    }
    buffer_deinit(&bytes);
}

/* ---- pushing ---- */

static enum store_status push_many(struct command_context *ctx, struct elements_writer *writer,
                                   enum list_end end) {
    enum store_status status = STORE_OK;
    struct list_pusher pusher;
    uint64_t bytes = 0;
    for (size_t i = 2; i < ctx->args_count; i++) {
        bytes += ctx->args[i].size + 1;
    }
    list_push_begin(&pusher, writer, end, bytes);
    for (size_t i = 2; i < ctx->args_count && status == STORE_OK; i++) {
        status = list_push_next(&pusher, ctx->args[i]);
    }
    list_push_end(&pusher);
    return status;
}

static void push_all(struct command_context *ctx, enum list_end end, bool only_if_there) {
    struct elements_writer writer;
    enum store_status status = STORE_OK;
    if (!open_list(ctx, &writer)) {
        return;
    }
    if (only_if_there && writer.is_key_fresh) {
        elements_close(&writer);
        reply_integer(ctx->reply, 0);
        return;
    }
    if (ctx->args_count == 3) {
        status = list_push(&writer, end, ctx->args[2]);
    } else {
        status = push_many(ctx, &writer, end);
    }
    uint64_t count = count_of(&writer);
    elements_close(&writer);
    if (writer.has_written) {
        notify(ctx, &writer.key, push_event(end));
    }
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
    } else {
        reply_integer(ctx->reply, (int64_t)count);
    }
}

/* LPUSH key element [element ...] */
static void cmd_lpush(struct command_context *ctx) {
    push_all(ctx, LIST_LEFT, false);
}

/* RPUSH key element [element ...] */
static void cmd_rpush(struct command_context *ctx) {
    push_all(ctx, LIST_RIGHT, false);
}

/* LPUSHX key element [element ...] */
static void cmd_lpushx(struct command_context *ctx) {
    push_all(ctx, LIST_LEFT, true);
}

/* RPUSHX key element [element ...] */
static void cmd_rpushx(struct command_context *ctx) {
    push_all(ctx, LIST_RIGHT, true);
}

/* LINSERT key BEFORE|AFTER pivot element */
static void cmd_linsert(struct command_context *ctx) {
    struct elements_writer writer;
    struct elements elements;
    struct list_cursor cursor;
    bool is_after = command_word(ctx, 2, "after");
    if (!is_after && !command_word(ctx, 2, "before")) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if (!open_list(ctx, &writer)) {
        return;
    }
    elements_written(&writer, &elements);
    uint64_t index = 0;
    bool is_there = list_seek(ctx->store, &elements, 0, &cursor);
    while (is_there && !slice_equal(cursor.element.value, ctx->args[3])) {
        is_there = list_step(&cursor, LIST_RIGHT);
        index++;
    }
    if (!is_there) {
        elements_close(&writer);
        reply_integer(ctx->reply, writer.is_key_fresh ? 0 : -1);
        return;
    }
    enum store_status status = list_insert(&writer, index + is_after, ctx->args[4]);
    elements_close(&writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    notify(ctx, &writer.key, "linsert");
    reply_integer(ctx->reply, (int64_t)elements.count + 1);
}

/* LSET key index element */
static void cmd_lset(struct command_context *ctx) {
    struct elements_writer writer;
    int64_t index;
    uint64_t at;
    if (!open_list(ctx, &writer)) {
        return;
    }
    if (writer.is_key_fresh) {
        elements_close(&writer);
        reply_error(ctx->reply, COMMAND_NO_KEY);
        return;
    }
    if (!command_integer(ctx, 2, &index, NULL)) {
        elements_close(&writer);
        return;
    }
    if (!index_of(index, count_of(&writer), &at)) {
        elements_close(&writer);
        reply_error(ctx->reply, "ERR index out of range");
        return;
    }
    enum store_status status = list_set(&writer, at, ctx->args[3]);
    elements_close(&writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    notify(ctx, &writer.key, "lset");
    reply_ok(ctx->reply);
}

/* ---- removing ---- */

/* Replies with up to `count` elements from an end on, which go. */
static void pop_some(struct command_context *ctx, struct elements_writer *writer, enum list_end end,
                     uint64_t count) {
    struct elements elements;
    elements_written(writer, &elements);
    count = count < elements.count ? count : elements.count;
    if (end == LIST_LEFT) {
        reply_array(ctx->reply, count);
        write_elements(ctx->reply, ctx->store, &elements, 0, count, NULL);
    } else {
        reply_backward(ctx, &elements, count);
    }
    if (count > 0) {
        list_remove(writer, end == LIST_LEFT ? 0 : elements.count - count, count);
    }
    elements_close(writer);
    if (count > 0) {
        notify_removed(ctx, &writer->key, pop_event(end));
    }
}

static void reply_value(void *udata, struct slice value) {
    reply_bulk(((struct command_context *)udata)->reply, value);
}

/* Replies with the element at an end, which goes. */
static void pop_one(struct command_context *ctx, struct elements_writer *writer,
                    enum list_end end) {
    list_pop(writer, end, reply_value, ctx);
    elements_close(writer);
    notify_removed(ctx, &writer->key, pop_event(end));
}

static void pop(struct command_context *ctx, enum list_end end) {
    struct elements_writer writer;
    int64_t count = 1;
    bool has_count = ctx->args_count > 2;
    if (ctx->args_count > 3) {
        reply_errorf(ctx->reply, "ERR wrong number of arguments for '%s' command", ctx->row->name);
        return;
    }
    if (has_count && !command_integer(ctx, 2, &count, COUNT_NOT_POSITIVE)) {
        return;
    }
    if (count < 0) {
        reply_error(ctx->reply, COUNT_NOT_POSITIVE);
        return;
    }
    if (!open_list(ctx, &writer)) {
        return;
    }
    if (writer.is_key_fresh) {
        elements_close(&writer);
        if (has_count) {
            reply_null_array(ctx->reply);
        } else {
            reply_null(ctx->reply);
        }
        return;
    }
    if (has_count) {
        pop_some(ctx, &writer, end, (uint64_t)count);
    } else {
        pop_one(ctx, &writer, end);
    }
}

/* LPOP key [count] */
static void cmd_lpop(struct command_context *ctx) {
    pop(ctx, LIST_LEFT);
}

/* RPOP key [count] */
static void cmd_rpop(struct command_context *ctx) {
    pop(ctx, LIST_RIGHT);
}

/* Reads LEFT or RIGHT; false, with the error written, when it is neither. */
static bool parse_end(struct command_context *ctx, size_t index, enum list_end *end) {
    *end = LIST_RIGHT;
    if (command_word(ctx, index, "left")) {
        *end = LIST_LEFT;
    } else if (!command_word(ctx, index, "right")) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    return true;
}

/* Opens the list at argument `index` if a pop is to look at it; `*is_done` when it is not a list
 * and the error is written. */
static bool open_filled(struct command_context *ctx, size_t index, struct elements_writer *writer,
                        bool *is_done) {
    struct key key = command_key(ctx, index);
    *is_done = false;
    if (!command_looks_at(ctx, &key)) {
        return false;
    }
    if (!open_list_at(ctx, &key, writer)) {
        *is_done = true;
        return false;
    }
    if (writer->is_key_fresh) {
        elements_close(writer);
        return false;
    }
    return true;
}

/* BLPOP and BRPOP: from the first list that has any. */
static void blocking_pop(struct command_context *ctx, enum list_end end) {
    struct elements_writer writer;
    struct command_wait wait = {
        .type = VALUE_LIST, .keys_first = 1, .keys_count = ctx->args_count - 2};
    if (!command_timeout(ctx, ctx->args_count - 1, &wait.timeout_ms)) {
        return;
    }
    for (size_t i = 1; i <= wait.keys_count; i++) {
        bool is_done;
        if (open_filled(ctx, i, &writer, &is_done)) {
            reply_array(ctx->reply, 2);
            reply_bulk(ctx->reply, ctx->args[i]);
            pop_one(ctx, &writer, end);
            return;
        }
        if (is_done) {
            return;
        }
    }
    if (!command_block(ctx, &wait)) {
        reply_null_array(ctx->reply);
    }
}

/* BLPOP key [key ...] timeout */
static void cmd_blpop(struct command_context *ctx) {
    blocking_pop(ctx, LIST_LEFT);
}

/* BRPOP key [key ...] timeout */
static void cmd_brpop(struct command_context *ctx) {
    blocking_pop(ctx, LIST_RIGHT);
}

static void multi_pop(struct command_context *ctx, bool blocks) {
    struct multi_pop pop;
    if (!multi_pop_parse(ctx, blocks, "left", "right", &pop)) {
        return;
    }
    for (size_t i = pop.keys_first; i < pop.keys_first + pop.keys_count; i++) {
        struct elements_writer writer;
        bool is_done;
        if (open_filled(ctx, i, &writer, &is_done)) {
            reply_array(ctx->reply, 2);
            reply_bulk(ctx->reply, ctx->args[i]);
            pop_some(ctx, &writer, pop.is_second_end ? LIST_RIGHT : LIST_LEFT, pop.count);
            return;
        }
        if (is_done) {
            return;
        }
    }
    multi_pop_found_nothing(ctx, &pop, VALUE_LIST);
}

/* LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count] */
static void cmd_lmpop(struct command_context *ctx) {
    multi_pop(ctx, false);
}

/* BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count] */
static void cmd_blmpop(struct command_context *ctx) {
    multi_pop(ctx, true);
}

/* LREM key count element */
static void cmd_lrem(struct command_context *ctx) {
    struct elements_writer writer;
    int64_t count;
    if (!command_integer(ctx, 2, &count, NULL) || !open_list(ctx, &writer)) {
        return;
    }
    uint64_t removed = 0;
    if (!writer.is_key_fresh) {
        uint64_t count_max = count == 0  ? UINT64_MAX
                             : count < 0 ? -(uint64_t)count
                                         : (uint64_t)count;
        removed =
            list_remove_value(&writer, ctx->args[3], count_max, count < 0 ? LIST_RIGHT : LIST_LEFT);
    }
    elements_close(&writer);
    if (removed > 0) {
        notify_removed(ctx, &writer.key, "lrem");
    }
    reply_integer(ctx->reply, (int64_t)removed);
}

/* LTRIM key start stop */
static void cmd_ltrim(struct command_context *ctx) {
    struct elements_writer writer;
    int64_t start, stop;
    if (!command_integer(ctx, 2, &start, NULL) || !command_integer(ctx, 3, &stop, NULL) ||
        !open_list(ctx, &writer)) {
        return;
    }
    if (!writer.is_key_fresh) {
        uint64_t count = count_of(&writer), first, size;
        if (!range_of(start, stop, count, &first, &size)) {
            first = size = 0;
        }
        uint64_t behind = count - first - size;
        if (behind > 0) {
            list_remove(&writer, first + size, behind);
        }
        if (first > 0) {
            list_remove(&writer, 0, first);
        }
    }
    elements_close(&writer);
    if (!writer.is_key_fresh) {
        notify_removed(ctx, &writer.key, "ltrim");
    }
    reply_ok(ctx->reply);
}

/* ---- moving ---- */

/* Within one list: what it holds never goes below one element, so the key and its expiry stay. */
static void rotate(struct command_context *ctx, struct elements_writer *writer, enum list_end from,
                   enum list_end to, struct slice value) {
    uint64_t count = count_of(writer);
    enum store_status status = list_push(writer, to, value);
    if (status == STORE_OK) {
        uint64_t index = from == LIST_LEFT ? 0 : count - 1;
        list_remove(writer, to == LIST_LEFT ? index + 1 : index, 1);
    }
    elements_close(writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    notify(ctx, &writer->key, push_event(to));
    notify(ctx, &writer->key, pop_event(from));
    reply_bulk(ctx->reply, value);
}

/* `writer` is that of the source, and closed. */
static void move_between(struct command_context *ctx, struct elements_writer *writer,
                         const struct key *destination, enum list_end from, enum list_end to,
                         struct slice value) {
    struct elements_writer other;
    if (!open_list_at(ctx, destination, &other)) {
        return;
    }
    enum store_status status = list_push(&other, to, value);
    elements_close(&other);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    notify(ctx, destination, push_event(to));
    struct key source = writer->key;
    status = elements_open(ctx->store, &source, VALUE_LIST, writer);
    ensure(status == STORE_OK);
    list_remove(writer, from == LIST_LEFT ? 0 : count_of(writer) - 1, 1);
    elements_close(writer);
    notify_removed(ctx, &writer->key, pop_event(from));
    reply_bulk(ctx->reply, value);
}

/* With a timeout it waits for an element of the source. */
static void move(struct command_context *ctx, enum list_end from, enum list_end to,
                 const int64_t *timeout_ms) {
    struct elements_writer writer;
    struct elements elements;
    struct list_cursor cursor;
    struct key destination = command_key(ctx, 2);
    if (!open_list(ctx, &writer)) {
        return;
    }
    if (writer.is_key_fresh) {
        struct command_wait wait = {.type = VALUE_LIST,
                                    .keys_first = 1,
                                    .keys_count = 1,
                                    .timeout_ms = timeout_ms != NULL ? *timeout_ms : 0};
        elements_close(&writer);
        if (timeout_ms == NULL || !command_block(ctx, &wait)) {
            reply_null(ctx->reply);
        }
        return;
    }
    elements_written(&writer, &elements);
    bool is_there =
        list_seek(ctx->store, &elements, from == LIST_LEFT ? 0 : elements.count - 1, &cursor);
    ensure(is_there);
    /* The value lies where the list is about to change. */
    struct buffer copy = {0};
    buffer_append_slice(&copy, cursor.element.value);
    struct slice value = copy.size > 0 ? buffer_slice(&copy) : slice_make("", 0);
    if (slice_equal(ctx->args[1], ctx->args[2])) {
        rotate(ctx, &writer, from, to, value);
    } else {
        elements_close(&writer);
        move_between(ctx, &writer, &destination, from, to, value);
    }
    buffer_deinit(&copy);
}

/* LMOVE source destination LEFT|RIGHT LEFT|RIGHT */
static void cmd_lmove(struct command_context *ctx) {
    enum list_end from, to;
    if (parse_end(ctx, 3, &from) && parse_end(ctx, 4, &to)) {
        move(ctx, from, to, NULL);
    }
}

/* BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout */
static void cmd_blmove(struct command_context *ctx) {
    enum list_end from, to;
    int64_t timeout_ms;
    if (parse_end(ctx, 3, &from) && parse_end(ctx, 4, &to) &&
        command_timeout(ctx, 5, &timeout_ms)) {
        move(ctx, from, to, &timeout_ms);
    }
}

/* RPOPLPUSH source destination */
static void cmd_rpoplpush(struct command_context *ctx) {
    move(ctx, LIST_RIGHT, LIST_LEFT, NULL);
}

/* BRPOPLPUSH source destination timeout */
static void cmd_brpoplpush(struct command_context *ctx) {
    int64_t timeout_ms;
    if (command_timeout(ctx, 3, &timeout_ms)) {
        move(ctx, LIST_RIGHT, LIST_LEFT, &timeout_ms);
    }
}

/* ---- reading ---- */

/* LLEN key */
static void cmd_llen(struct command_context *ctx) {
    struct elements elements;
    if (read_list(ctx, &elements)) {
        reply_integer(ctx->reply, (int64_t)elements.count);
    }
}

/* LINDEX key index */
static void cmd_lindex(struct command_context *ctx) {
    struct elements elements;
    struct list_cursor cursor;
    int64_t index;
    uint64_t at;
    if (!read_list(ctx, &elements)) {
        return;
    }
    if (elements.count == 0) {
        reply_null(ctx->reply);
        return;
    }
    if (!command_integer(ctx, 2, &index, NULL)) {
        return;
    }
    if (index_of(index, elements.count, &at) && list_seek(ctx->store, &elements, at, &cursor)) {
        reply_bulk(ctx->reply, cursor.element.value);
    } else {
        reply_null(ctx->reply);
    }
}

/* LRANGE key start stop */
static void cmd_lrange(struct command_context *ctx) {
    struct elements elements;
    int64_t start, stop;
    uint64_t first, size;
    if (!command_integer(ctx, 2, &start, NULL) || !command_integer(ctx, 3, &stop, NULL) ||
        !read_list(ctx, &elements)) {
        return;
    }
    if (!range_of(start, stop, elements.count, &first, &size)) {
        first = size = 0;
    }
    reply_array(ctx->reply, size);
    write_elements(ctx->reply, ctx->store, &elements, first, size, NULL);
}

struct lpos_options {
    int64_t rank, count, compared_max; /* 0 compared: no limit; count -1: not given */
};

static bool parse_lpos(struct command_context *ctx, struct lpos_options *options) {
    *options = (struct lpos_options){.rank = 1, .count = -1};
    for (size_t i = 3; i < ctx->args_count; i += 2) {
        bool is_rank = command_word(ctx, i, "rank"), is_count = command_word(ctx, i, "count");
        if (i + 1 >= ctx->args_count ||
            (!is_rank && !is_count && !command_word(ctx, i, "maxlen"))) {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return false;
        }
        if (is_rank) {
            if (!command_signed_count(ctx, i + 1, &options->rank)) {
                return false;
            }
            if (options->rank == 0) {
                reply_error(ctx->reply,
                            "ERR RANK can't be zero: use 1 to start from the first match, 2 from "
                            "the second ... or use negative to start from the end of the list");
                return false;
            }
            continue;
        }
        const char *error =
            is_count ? "ERR COUNT can't be negative" : "ERR MAXLEN can't be negative";
        int64_t *number = is_count ? &options->count : &options->compared_max;
        if (!command_integer_from(ctx, i + 1, 0, number, error)) {
            return false;
        }
    }
    return true;
}

/* LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len] */
static void cmd_lpos(struct command_context *ctx) {
    struct lpos_options options;
    struct elements elements;
    struct list_cursor cursor;
    if (!parse_lpos(ctx, &options) || !read_list(ctx, &elements)) {
        return;
    }
    bool from_right = options.rank < 0, has_count = options.count >= 0;
    uint64_t skipped = (uint64_t)(from_right ? -options.rank : options.rank) - 1;
    uint64_t count_max = options.count > 0 ? (uint64_t)options.count : has_count ? UINT64_MAX : 1;
    uint64_t compared_max = options.compared_max > 0 ? (uint64_t)options.compared_max : UINT64_MAX;
    uint64_t index = from_right ? elements.count - 1 : 0, found = 0;
    size_t begin = has_count ? reply_deferred_begin(ctx->reply) : 0;
    bool is_there = list_seek(ctx->store, &elements, index, &cursor);
    for (uint64_t i = 0; is_there && i < compared_max && found < count_max; i++) {
        if (slice_equal(cursor.element.value, ctx->args[2])) {
            if (skipped > 0) {
                skipped--;
            } else {
                reply_integer(ctx->reply, (int64_t)index);
                found++;
            }
        }
        index += from_right ? (uint64_t)-1 : 1;
        is_there = list_step(&cursor, from_right ? LIST_LEFT : LIST_RIGHT);
    }
    if (has_count) {
        reply_deferred_array(ctx->reply, begin, found);
    } else if (found == 0) {
        reply_null(ctx->reply);
    }
}

#define LIST_COMMAND(name_, handler_, arity_, flags_, key_flags_, since_, cost_, syntax_,          \
                     summary_)                                                                     \
    {                                                                                              \
        .name = (name_), .handler = (handler_), .arity = (arity_), .flags = (flags_),              \
        .keys = {1, 1, 1}, .key_flags = (key_flags_), .element_arg = COMMAND_FETCHES_ENDS,         \
        .group = "list", .since = (since_), .cost = (cost_), .syntax = (syntax_),                  \
        .summary = (summary_)                                                                      \
    }

#define BLOCKING_FLAGS (CMD_WRITE | CMD_NO_SCRIPT | CMD_BLOCKING)

#define LIST_MOVE(name_, handler_, arity_, flags_, since_, syntax_, summary_)                      \
    {                                                                                              \
        .name = (name_), .handler = (handler_), .arity = (arity_),                                 \
        .flags = CMD_WRITE | CMD_DENY_OOM | (flags_), .keys = {1, 1, 1},                           \
        .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE, .more_keys = {2, 2, 1},             \
        .more_key_flags = KEY_READ_WRITE | KEY_INSERT, .element_arg = COMMAND_FETCHES_ENDS,        \
        .group = "list", .since = (since_), .cost = "O(1)", .syntax = (syntax_),                   \
        .summary = (summary_)                                                                      \
    }

static const struct key_spec lmpop_specs[] = {
    KEY_SPEC_COUNTED(1, KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE), KEY_SPEC_END};
static const struct key_spec blmpop_specs[] = {
    KEY_SPEC_COUNTED(2, KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE), KEY_SPEC_END};

#define LIST_POP_WAITING(name_, handler_, summary_)                                                \
    {                                                                                              \
        .name = (name_), .handler = (handler_), .arity = -3, .flags = BLOCKING_FLAGS,              \
        .keys = {1, -2, 1}, .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE,                 \
        .group = "list", .since = "2.0.0", .cost = "O(N) where N is the number of keys.",          \
        .syntax = "key [key ...] timeout", .summary = (summary_)                                   \
    }

static const struct command cmd_list_rows[] = {
    LIST_COMMAND("lpush", cmd_lpush, -3, CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
                 KEY_READ_WRITE | KEY_INSERT, "1.0.0", "O(1) for each element.",
                 "key element [element ...]",
                 "Adds elements at the left end of a list, and tells how long it is."),
    LIST_COMMAND("rpush", cmd_rpush, -3, CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
                 KEY_READ_WRITE | KEY_INSERT, "1.0.0", "O(1) for each element.",
                 "key element [element ...]",
                 "Adds elements at the right end of a list, and tells how long it is."),
    LIST_COMMAND("lpushx", cmd_lpushx, -3, CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
                 KEY_READ_WRITE | KEY_INSERT, "2.2.0", "O(1) for each element.",
                 "key element [element ...]",
                 "Adds elements at the left end of a list that is there already."),
    LIST_COMMAND("rpushx", cmd_rpushx, -3, CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
                 KEY_READ_WRITE | KEY_INSERT, "2.2.0", "O(1) for each element.",
                 "key element [element ...]",
                 "Adds elements at the right end of a list that is there already."),
    LIST_COMMAND("linsert", cmd_linsert, 5, CMD_WRITE | CMD_DENY_OOM, KEY_READ_WRITE | KEY_INSERT,
                 "2.2.0", "O(N) where N is the number of elements before the pivot.",
                 "key <BEFORE | AFTER> pivot element",
                 "Adds an element to a list before or after another one."),
    LIST_COMMAND("lset", cmd_lset, 4, CMD_WRITE | CMD_DENY_OOM, KEY_READ_WRITE | KEY_UPDATE,
                 "1.0.0", "O(log(N)) where N is the length of the list.", "key index element",
                 "Sets the element of a list at an index."),
    LIST_COMMAND("lpop", cmd_lpop, -2, CMD_WRITE | CMD_FAST,
                 KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE, "1.0.0",
                 "O(N) where N is the number of elements returned.", "key [count]",
                 "Removes elements from the left end of a list and returns them."),
    LIST_COMMAND("rpop", cmd_rpop, -2, CMD_WRITE | CMD_FAST,
                 KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE, "1.0.0",
                 "O(N) where N is the number of elements returned.", "key [count]",
                 "Removes elements from the right end of a list and returns them."),
    {.name = "lmpop",
     .handler = cmd_lmpop,
     .arity = -4,
     .flags = CMD_WRITE | CMD_MOVABLE_KEYS,
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE,
     .find_keys = multi_pop_keys,
     .key_specs = lmpop_specs,
     .group = "list",
     .since = "7.0.0",
     .cost = "O(N+M) where N is the number of keys and M that of the elements returned.",
     .syntax = "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
     .summary = "Removes elements from the first of some lists that is not empty."},
    LIST_POP_WAITING("blpop", cmd_blpop,
                     "Removes the first element of the first of some lists that has any, once one "
                     "has."),
    LIST_POP_WAITING("brpop", cmd_brpop,
                     "Removes the last element of the first of some lists that has any, once one "
                     "has."),
    {.name = "blmpop",
     .handler = cmd_blmpop,
     .arity = -5,
     .flags = CMD_WRITE | CMD_BLOCKING | CMD_MOVABLE_KEYS,
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE,
     .find_keys = multi_pop_blocking_keys,
     .key_specs = blmpop_specs,
     .group = "list",
     .since = "7.0.0",
     .cost = "O(N+M) where N is the number of keys and M that of the elements returned.",
     .syntax = "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
     .summary = "Removes elements from the first of some lists that has any, once one has."},
    LIST_COMMAND("lrem", cmd_lrem, 4, CMD_WRITE, KEY_READ_WRITE | KEY_DELETE, "1.0.0",
                 "O(N) where N is the length of the list.", "key count element",
                 "Removes elements of a list that equal a value."),
    LIST_COMMAND("ltrim", cmd_ltrim, 4, CMD_WRITE, KEY_READ_WRITE | KEY_DELETE, "1.0.0",
                 "O(N) where N is the number of elements removed.", "key start stop",
                 "Removes the elements of a list outside a range."),
    LIST_MOVE("lmove", cmd_lmove, 5, 0, "6.2.0", "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
              "Moves an element from an end of one list to an end of another."),
    LIST_MOVE("rpoplpush", cmd_rpoplpush, 3, 0, "1.2.0", "source destination",
              "Moves the last element of a list to the front of another."),
    LIST_MOVE("blmove", cmd_blmove, 6, BLOCKING_FLAGS, "6.2.0",
              "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
              "Moves an element from an end of one list to an end of another, once there is one."),
    LIST_MOVE("brpoplpush", cmd_brpoplpush, 4, BLOCKING_FLAGS, "2.2.0",
              "source destination timeout",
              "Moves the last element of a list to the front of another, once there is one."),
    LIST_COMMAND("llen", cmd_llen, 2, CMD_READ | CMD_FAST, KEY_READ_ONLY, "1.0.0", "O(1)", "key",
                 "Tells how many elements a list has."),
    LIST_COMMAND("lindex", cmd_lindex, 3, CMD_READ, KEY_READ_ONLY | KEY_ACCESS, "1.0.0",
                 "O(log(N)) where N is the length of the list.", "key index",
                 "Returns the element of a list at an index."),
    LIST_COMMAND("lrange", cmd_lrange, 4, CMD_READ, KEY_READ_ONLY | KEY_ACCESS, "1.0.0",
                 "O(log(N)+M) where N is the length of the list and M that of the range.",
                 "key start stop", "Returns a range of elements of a list."),
    LIST_COMMAND("lpos", cmd_lpos, -3, CMD_READ, KEY_READ_ONLY | KEY_ACCESS, "6.0.6",
                 "O(N) where N is the number of elements compared.",
                 "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
                 "Tells at which indexes of a list a value is."),
};

COMMAND_FAMILY(cmd_list_family, cmd_list_rows);
