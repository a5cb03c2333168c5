/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands/command.h"

#include <inttypes.h>
#include <math.h>

#include "proto/request.h"

struct key command_key(const struct command_context *ctx, size_t index) {
    if (ctx->has_first_key_hash && (int)index == ctx->row->keys.first) {
        return (struct key){.name = ctx->args[index], .hash = ctx->first_key_hash, .db = ctx->db};
    }
    return store_key(ctx->store, ctx->db, ctx->args[index]);
}

void command_reply_status(struct command_context *ctx, enum store_status status) {
    switch (status) {
    case STORE_OK:
        break;
    case STORE_ABSENT:
        reply_error(ctx->reply, COMMAND_NO_KEY);
        return;
    case STORE_EXISTS:
        reply_error(ctx->reply, "BUSYKEY Target key name already exists.");
        return;
    case STORE_WRONG_TYPE:
        reply_error(ctx->reply, COMMAND_WRONG_TYPE);
        return;
    case STORE_NOT_INTEGER:
        reply_error(ctx->reply, COMMAND_NOT_INTEGER);
        return;
    case STORE_NOT_FLOAT:
        reply_error(ctx->reply, COMMAND_NOT_FLOAT);
        return;
    case STORE_OVERFLOW:
        reply_error(ctx->reply, "ERR increment or decrement would overflow");
        return;
    case STORE_NOT_FINITE:
        reply_error(ctx->reply, "ERR increment would produce NaN or Infinity");
        return;
    case STORE_OUT_OF_MEMORY:
        reply_error(ctx->reply, "OOM not enough memory for the value");
        return;
    case STORE_MALFORMED:
        reply_error(ctx->reply, "ERR Bad data format");
        return;
    case STORE_NO_ROOM:
        reply_error(ctx->reply, "ERR the list has no room between these elements; push at its "
                                "ends, or copy it");
        return;
    }
    impossible("a status that is no error has its own reply");
}

bool command_integer(struct command_context *ctx, size_t index, int64_t *value, const char *error) {
    if (number_parse_integer(ctx->args[index], value)) {
        return true;
    }
    reply_error(ctx->reply, error != NULL ? error : COMMAND_NOT_INTEGER);
    return false;
}

bool command_signed_count(struct command_context *ctx, size_t index, int64_t *count) {
    if (!command_integer(ctx, index, count, NULL)) {
        return false;
    }
    if (*count == INT64_MIN) {
        reply_errorf(ctx->reply,
                     "ERR value is out of range, value must between -%" PRId64 " and %" PRId64,
                     INT64_MAX, INT64_MAX);
        return false;
    }
    return true;
}

bool command_integer_from(struct command_context *ctx, size_t index, int64_t min, int64_t *value,
                          const char *error) {
    if (!command_integer(ctx, index, value, error)) {
        return false;
    }
    if (*value < min) {
        reply_error(ctx->reply, error);
        return false;
    }
    return true;
}

bool command_reply_is_too_long(struct command_context *ctx, size_t begin) {
    size_t bytes = ctx->reply->out->size - begin;
    int64_t output_bytes_max = *ctx->output_bytes_max;
    if (output_bytes_max > 0 && bytes > (uint64_t)output_bytes_max) {
        return true;
    }
    if (bytes <= ctx->limits->value_bytes_max) {
        return false;
    }
    ctx->reply->out->size = begin;
    reply_error(ctx->reply, "ERR the reply would be longer than proto-max-bulk-len");
    return true;
}

bool command_timeout(struct command_context *ctx, size_t index, int64_t *timeout_ms) {
    /* The next float is beyond 64 bits. */
    static const long double MAX_MS = 9223372036854775807.0L;
    long double seconds;
    if (!number_parse_float(ctx->args[index], &seconds)) {
        reply_error(ctx->reply, "ERR timeout is not a float or out of range");
        return false;
    }
    long double ms = ceill(seconds * 1000);
    if (ms < 0) {
        reply_error(ctx->reply, "ERR timeout is negative");
        return false;
    }
    if (ms >= MAX_MS || (int64_t)ms > INT64_MAX - ctx->store->now_ms) {
        reply_error(ctx->reply, "ERR timeout is out of range");
        return false;
    }
    *timeout_ms = (int64_t)ms;
    return true;
}

bool command_block(struct command_context *ctx, const struct command_wait *wait) {
    if (ctx->in_transaction) {
        return false;
    }
    *ctx->wait = *wait;
    ctx->wait->args = NULL;
    ctx->wait->args_kept = NULL;
    ctx->is_blocked = true;
    if (ctx->ready_key == NULL) {
        /* Else it is kept already. */
        ctx->wait->args_kept = request_args_copy(wait->args != NULL ? wait->args : ctx->args,
                                                 ctx->args_count, &ctx->wait->args_kept_bytes);
    }
    return true;
}

enum store_status command_read_string(struct command_context *ctx, size_t index,
                                      struct entry_scratch *scratch, struct slice *value) {
    struct key key = command_key(ctx, index);
    const struct entry *entry = store_read(ctx->store, &key);
    if (entry == NULL) {
        return STORE_ABSENT;
    }
    if (!command_is_string(entry)) {
        return STORE_WRONG_TYPE;
    }
    *value = entry_value(entry, scratch);
    return STORE_OK;
}

bool command_expire_time(struct command_context *ctx, size_t index, bool is_seconds,
                         bool is_absolute, uint64_t *expire_unix_ms) {
    int64_t time;
    if (!command_integer(ctx, index, &time, NULL)) {
        return false;
    }
    bool is_bad = time <= 0;
    if (is_seconds) {
        is_bad = is_bad || __builtin_mul_overflow(time, 1000, &time);
    }
    if (!is_absolute) {
        is_bad = is_bad || __builtin_add_overflow(time, ctx->store->now_ms, &time);
    }
    if (is_bad) {
        const char *parent = ctx->row->parent;
        reply_errorf(ctx->reply, "ERR invalid expire time in '%s%s%s' command",
                     parent != NULL ? parent : "", parent != NULL ? "|" : "", ctx->row->name);
        return false;
    }
    *expire_unix_ms = (uint64_t)time;
    return true;
}

void command_notify_expiry(struct command_context *ctx, const struct key *key,
                           uint64_t expire_unix_ms) {
    if (ctx->store->notify_classes == 0) {
        return;
    }
    bool is_expired;
    bool is_there = store_holds(ctx->store, key, &is_expired);
    store_notify(ctx->store, NOTIFY_GENERIC,
                 !is_there             ? "del"
                 : expire_unix_ms == 0 ? "persist"
                                       : "expire",
                 key);
}
