/* SPDX-License-Identifier: BSD-3-Clause */
/* Hashes: fields with values and counters. Expiries of fields are in cmd_hash_expire.c. */
#include "commands/command.h"
#include "commands/scan_options.h"
#include "store/elements_sample.h"

/* Reads the hash in argument 1; false, with the error written, when it is no hash. One that is
 * absent has no fields. */
static bool read_hash(struct command_context *ctx, struct elements *elements) {
    struct key key = command_key(ctx, 1);
    enum store_status status = elements_read(ctx->store, &key, VALUE_HASH, elements);
    if (status == STORE_WRONG_TYPE) {
        command_reply_status(ctx, status);
        return false;
    }
    return true;
}

/* Opens the hash in argument 1 for writing; false likewise. */
static bool open_hash(struct command_context *ctx, struct elements_writer *writer) {
    struct key key = command_key(ctx, 1);
    enum store_status status = elements_open(ctx->store, &key, VALUE_HASH, writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return false;
    }
    return true;
}

static void notify(struct command_context *ctx, const struct elements_writer *writer,
                   const char *event) {
    store_notify(ctx->store, NOTIFY_HASH, event, &writer->key);
}

/* ---- setting ---- */

/* Sets the fields from argument 2 on, in pairs; false when memory is out. */
static bool set_pairs(struct command_context *ctx, int64_t *new_count) {
    struct elements_writer writer;
    enum store_status status = STORE_OK;
    *new_count = 0;
    if (!open_hash(ctx, &writer)) {
        return false;
    }
    elements_expect(&writer, ctx->args_count / 2 - 1, false);
    for (size_t i = 2; i < ctx->args_count && status == STORE_OK; i += 2) {
        bool is_new = false;
        status = element_set(&writer, ctx->args[i], ctx->args[i + 1], false, &is_new);
        *new_count += is_new && status == STORE_OK;
    }
    elements_close(&writer);
    notify(ctx, &writer, "hset");
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
    }
    return status == STORE_OK;
}

static void reply_arity(struct command_context *ctx) {
    reply_errorf(ctx->reply, "ERR wrong number of arguments for '%s' command", ctx->row->name);
}

/* HSET key field value [field value ...] */
static void cmd_hset(struct command_context *ctx) {
    int64_t new_count;
    if (ctx->args_count % 2 != 0) {
        reply_arity(ctx);
    } else if (set_pairs(ctx, &new_count)) {
        reply_integer(ctx->reply, new_count);
    }
}

/* HMSET key field value [field value ...] */
static void cmd_hmset(struct command_context *ctx) {
    int64_t new_count;
    if (ctx->args_count % 2 != 0) {
        reply_arity(ctx);
    } else if (set_pairs(ctx, &new_count)) {
        reply_ok(ctx->reply);
    }
}

/* HSETNX key field value */
static void cmd_hsetnx(struct command_context *ctx) {
    struct elements_writer writer;
    struct elements elements;
    struct element element;
    bool is_new;
    if (!open_hash(ctx, &writer)) {
        return;
    }
    elements_written(&writer, &elements);
    if (elements_find(ctx->store, &elements, ctx->args[2], &element)) {
        elements_close(&writer);
        reply_integer(ctx->reply, 0);
        return;
    }
    enum store_status status = element_set(&writer, ctx->args[2], ctx->args[3], false, &is_new);
    elements_close(&writer);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    notify(ctx, &writer, "hset");
    reply_integer(ctx->reply, 1);
}

/* HDEL key field [field ...] */
static void cmd_hdel(struct command_context *ctx) {
    struct elements_writer writer;
    int64_t count = 0;
    if (!open_hash(ctx, &writer)) {
        return;
    }
    for (size_t i = 2; i < ctx->args_count && !writer.is_key_fresh; i++) {
        count += element_delete(&writer, ctx->args[i]);
    }
    elements_close(&writer);
    if (count > 0) {
        bool is_expired;
        notify(ctx, &writer, "hdel");
        if (!store_holds(ctx->store, &writer.key, &is_expired)) {
            store_notify(ctx->store, NOTIFY_GENERIC, "del", &writer.key);
        }
    }
    reply_integer(ctx->reply, count);
}

/* HINCRBY key field increment */
static void cmd_hincrby(struct command_context *ctx) {
    struct elements_writer writer;
    int64_t delta, result;
    if (!command_integer(ctx, 3, &delta, NULL) || !open_hash(ctx, &writer)) {
        return;
    }
    enum store_status status = element_add_integer(&writer, ctx->args[2], delta, &result);
    elements_close(&writer);
    if (status == STORE_NOT_INTEGER) {
        reply_error(ctx->reply, "ERR hash value is not an integer");
    } else if (status != STORE_OK) {
        command_reply_status(ctx, status);
    } else {
        notify(ctx, &writer, "hincrby");
        reply_integer(ctx->reply, result);
    }
}

/* HINCRBYFLOAT key field increment */
static void cmd_hincrbyfloat(struct command_context *ctx) {
    struct elements_writer writer;
    long double delta, result;
    if (!number_parse_float(ctx->args[3], &delta)) {
        reply_error(ctx->reply, COMMAND_NOT_FLOAT);
        return;
    }
    if (delta - delta != 0) {
        reply_error(ctx->reply, "ERR value is NaN or Infinity");
        return;
    }
    if (!open_hash(ctx, &writer)) {
        return;
    }
    enum store_status status = element_add_float(&writer, ctx->args[2], delta, &result);
    elements_close(&writer);
    if (status == STORE_NOT_FLOAT) {
        reply_error(ctx->reply, "ERR hash value is not a float");
    } else if (status != STORE_OK) {
        command_reply_status(ctx, status);
    } else {
        char text[NUMBER_FLOAT_BYTES_MAX];
        notify(ctx, &writer, "hincrbyfloat");
        reply_bulk(ctx->reply, slice_make(text, number_format_float(text, result)));
    }
}

/* ---- one field, or some ---- */

/* HGET key field */
static void cmd_hget(struct command_context *ctx) {
    struct elements elements;
    struct element element;
    if (!read_hash(ctx, &elements)) {
        return;
    }
    if (elements_find(ctx->store, &elements, ctx->args[2], &element)) {
        reply_bulk(ctx->reply, element.value);
    } else {
        reply_null(ctx->reply);
    }
}

/* HMGET key field [field ...] */
static void cmd_hmget(struct command_context *ctx) {
    struct elements elements;
    struct element element;
    if (!read_hash(ctx, &elements)) {
        return;
    }
    reply_array(ctx->reply, ctx->args_count - 2);
    for (size_t i = 2; i < ctx->args_count; i++) {
        if (elements_find(ctx->store, &elements, ctx->args[i], &element)) {
            reply_bulk(ctx->reply, element.value);
        } else {
            reply_null(ctx->reply);
        }
    }
}

/* HEXISTS key field */
static void cmd_hexists(struct command_context *ctx) {
    struct elements elements;
    struct element element;
    if (read_hash(ctx, &elements)) {
        reply_integer(ctx->reply, elements_find(ctx->store, &elements, ctx->args[2], &element));
    }
}

/* HSTRLEN key field */
static void cmd_hstrlen(struct command_context *ctx) {
    struct elements elements;
    struct element element;
    if (read_hash(ctx, &elements)) {
        bool is_there = elements_find(ctx->store, &elements, ctx->args[2], &element);
        reply_integer(ctx->reply, is_there ? (int64_t)element.value.size : 0);
    }
}

/* HLEN key */
static void cmd_hlen(struct command_context *ctx) {
    struct elements elements;
    if (read_hash(ctx, &elements)) {
        reply_integer(ctx->reply, (int64_t)elements.count);
    }
}

/* ---- all fields ---- */

enum { WRITES_NAMES = 1, WRITES_VALUES = 2 };

struct fields_writer {
    struct reply *reply;
    unsigned writes;
    bool is_nested; /* RESP3: a pair is an array of its own */
    size_t count;
};

static void write_field(void *udata, const struct element *element) {
    struct fields_writer *fields = (struct fields_writer *)udata;
    if (fields->is_nested) {
        reply_array(fields->reply, 2);
    }
    if ((fields->writes & WRITES_NAMES) != 0) {
        reply_bulk(fields->reply, element->name);
    }
    if ((fields->writes & WRITES_VALUES) != 0) {
        reply_bulk(fields->reply, element->value);
    }
    fields->count++;
}

static void reply_fields(struct command_context *ctx, unsigned writes) {
    struct elements elements;
    if (!read_hash(ctx, &elements)) {
        return;
    }
    struct fields_writer fields = {.reply = ctx->reply, .writes = writes};
    size_t begin = reply_deferred_begin(ctx->reply);
    elements_each(ctx->store, &elements, write_field, &fields);
    if (writes == (WRITES_NAMES | WRITES_VALUES)) {
        reply_deferred_map(ctx->reply, begin, fields.count);
    } else {
        reply_deferred_array(ctx->reply, begin, fields.count);
    }
}

/* HGETALL key */
static void cmd_hgetall(struct command_context *ctx) {
    reply_fields(ctx, WRITES_NAMES | WRITES_VALUES);
}

/* HKEYS key */
static void cmd_hkeys(struct command_context *ctx) {
    reply_fields(ctx, WRITES_NAMES);
}

/* HVALS key */
static void cmd_hvals(struct command_context *ctx) {
    reply_fields(ctx, WRITES_VALUES);
}

static size_t write_scanned(struct command_context *ctx, const struct scan_options *options,
                            const struct element *element) {
    reply_bulk(ctx->reply, element->name);
    if (options->has_no_values) {
        return 1;
    }
    reply_bulk(ctx->reply, element->value);
    return 2;
}

/* HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES] */
static void cmd_hscan(struct command_context *ctx) {
    struct scan_options options;
    struct elements elements;
    if (scan_parse(ctx, VALUE_HASH, SCAN_TAKES_NOVALUES, &options, &elements)) {
        scan_elements(ctx, &elements, &options, write_scanned);
    }
}

/* ---- random fields ---- */

/* The same field may come many times, and as many as were asked for come. */
static void reply_repeated(struct command_context *ctx, const struct elements *elements,
                           struct fields_writer *fields, uint64_t count) {
    struct element element;
    size_t begin = reply_deferred_begin(ctx->reply);
    uint64_t i = 0;
    while (i < count && elements_random(ctx->store, elements, &element)) {
        write_field(fields, &element);
        i++;
        if (command_reply_is_too_long(ctx, begin)) {
            return;
        }
    }
    size_t flat = fields->writes == WRITES_NAMES || fields->is_nested ? 1 : 2;
    reply_deferred_array(ctx->reply, begin, (size_t)i * flat);
}

/* HRANDFIELD key [count [WITHVALUES]] */
static void cmd_hrandfield(struct command_context *ctx) {
    struct elements elements;
    struct element element;
    int64_t count = 1;
    bool has_values = ctx->args_count == 4;
    if (ctx->args_count > 2 && !command_signed_count(ctx, 2, &count)) {
        return;
    }
    if (ctx->args_count > 4 || (has_values && !command_word(ctx, 3, "withvalues"))) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if (has_values && (count < -(INT64_MAX / 2) || count > INT64_MAX / 2)) {
        reply_error(ctx->reply, "ERR value is out of range");
        return;
    }
    if (!read_hash(ctx, &elements)) {
        return;
    }
    if (ctx->args_count == 2) {
        if (elements_random(ctx->store, &elements, &element)) {
            reply_bulk(ctx->reply, element.name);
        } else {
            reply_null(ctx->reply);
        }
        return;
    }
    struct fields_writer fields = {
        .reply = ctx->reply,
        .writes = has_values ? WRITES_NAMES | WRITES_VALUES : WRITES_NAMES,
        .is_nested = has_values && ctx->reply->protocol == 3,
    };
    if (count < 0) {
        reply_repeated(ctx, &elements, &fields, (uint64_t)-count);
        return;
    }
    size_t flat = has_values && !fields.is_nested ? 2 : 1;
    size_t begin = reply_deferred_begin(ctx->reply);
    if (elements_sample(ctx->store, &elements, (uint64_t)count, write_field, &fields) != STORE_OK) {
        fields.count = 0;
    }
    reply_deferred_array(ctx->reply, begin, fields.count * flat);
}

#define HASH_ASK(name_, handler_, arity_, flags_, key_flags_, since_, cost_, syntax_, summary_)    \
    {                                                                                              \
        .name = (name_), .handler = (handler_), .arity = (arity_), .flags = CMD_READ | (flags_),   \
        .keys = {1, 1, 1}, .key_flags = KEY_READ_ONLY | (key_flags_), .element_arg = 2,            \
        .group = "hash", .since = (since_), .cost = (cost_), .syntax = (syntax_),                  \
        .summary = (summary_)                                                                      \
    }

#define HASH_READ(name_, handler_, arity_, flags_, since_, cost_, syntax_, summary_)               \
    HASH_ASK(name_, handler_, arity_, flags_, KEY_ACCESS, since_, cost_, syntax_, summary_)

#define HASH_WRITE(name_, handler_, arity_, flags_, key_flags_, since_, cost_, syntax_, summary_)  \
    {                                                                                              \
        .name = (name_), .handler = (handler_), .arity = (arity_),                                 \
        .flags = CMD_WRITE | CMD_FAST | (flags_), .keys = {1, 1, 1},                               \
        .key_flags = KEY_READ_WRITE | (key_flags_), .element_arg = 2, .group = "hash",             \
        .since = (since_), .cost = (cost_), .syntax = (syntax_), .summary = (summary_)             \
    }

static const struct command cmd_hash_rows[] = {
    HASH_WRITE("hset", cmd_hset, -4, CMD_DENY_OOM, KEY_UPDATE, "2.0.0", "O(1) for each field.",
               "key field value [field value ...]",
               "Sets fields of a hash, and tells how many are new."),
    HASH_WRITE("hmset", cmd_hmset, -4, CMD_DENY_OOM, KEY_UPDATE, "2.0.0", "O(1) for each field.",
               "key field value [field value ...]", "Sets fields of a hash."),
    HASH_WRITE("hsetnx", cmd_hsetnx, 4, CMD_DENY_OOM, KEY_INSERT, "2.0.0", "O(1)",
               "key field value", "Sets a field of a hash that is not there yet."),
    HASH_WRITE("hdel", cmd_hdel, -3, 0, KEY_DELETE, "2.0.0", "O(1) for each field.",
               "key field [field ...]", "Removes fields of a hash, and tells how many were there."),
    HASH_WRITE("hincrby", cmd_hincrby, 4, CMD_DENY_OOM, KEY_ACCESS | KEY_UPDATE, "2.0.0", "O(1)",
               "key field increment", "Adds to a field of a hash as an integer."),
    HASH_WRITE("hincrbyfloat", cmd_hincrbyfloat, 4, CMD_DENY_OOM, KEY_ACCESS | KEY_UPDATE, "2.6.0",
               "O(1)", "key field increment",
               "Adds to a field of a hash as a floating-point number."),
    HASH_READ("hget", cmd_hget, 3, CMD_FAST, "2.0.0", "O(1)", "key field",
              "Returns the value of a field of a hash."),
    HASH_READ("hmget", cmd_hmget, -3, CMD_FAST, "2.0.0", "O(1) for each field.",
              "key field [field ...]", "Returns the values of fields of a hash."),
    HASH_ASK("hexists", cmd_hexists, 3, CMD_FAST, 0, "2.0.0", "O(1)", "key field",
             "Tells whether a hash has a field."),
    HASH_ASK("hstrlen", cmd_hstrlen, 3, CMD_FAST, 0, "3.2.0", "O(1)", "key field",
             "Tells how many bytes the value of a field of a hash has."),
    HASH_ASK("hlen", cmd_hlen, 2, CMD_FAST, 0, "2.0.0", "O(1)", "key",
             "Tells how many fields a hash has."),
    HASH_READ("hgetall", cmd_hgetall, 2, 0, "2.0.0", "O(N) where N is the size of the hash.", "key",
              "Returns all fields of a hash with their values."),
    HASH_READ("hkeys", cmd_hkeys, 2, 0, "2.0.0", "O(N) where N is the size of the hash.", "key",
              "Returns the names of all fields of a hash."),
    HASH_READ("hvals", cmd_hvals, 2, 0, "2.0.0", "O(N) where N is the size of the hash.", "key",
              "Returns the values of all fields of a hash."),
    HASH_READ("hscan", cmd_hscan, -3, 0, "2.8.0",
              "O(1) for a call, O(N) for a whole walk over N fields.",
              "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
              "Lists the fields of a hash, some with each call."),
    HASH_READ("hrandfield", cmd_hrandfield, -2, 0, "6.2.0",
              "O(N) where N is the number of fields returned.", "key [count [WITHVALUES]]",
              "Returns random fields of a hash."),
};

COMMAND_FAMILY(cmd_hash_family, cmd_hash_rows);
