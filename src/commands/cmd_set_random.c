/* SPDX-License-Identifier: BSD-3-Clause */
/* Random members of sets: SPOP takes them out, SRANDMEMBER looks at them. */
#include "commands/command.h"

#include "store/elements_sample.h"

/* ---- names that outlive their elements ---- */

static void names_visit(void *udata, const struct element *element) {
    struct buffer *names = (struct buffer *)udata;
    buffer_append(names, &element->name.size, sizeof(element->name.size));
    buffer_append_slice(names, element->name);
}

/* Reads the next name; false at the end. */
static bool names_next(const struct buffer *names, size_t *at, struct slice *name) {
    if (*at == names->size) {
        return false;
    }
    memcpy(&name->size, names->data + *at, sizeof(name->size));
    *at += sizeof(name->size);
    name->data = names->data + *at;
    *at += name->size;
    return true;
}

/* ---- SPOP ---- */

/* Removes the members in `names` from the set at `key`; the set has others, unless `is_last`. */
static void spop_remove(struct command_context *ctx, const struct key *key,
                        const struct buffer *names, bool is_last) {
    struct elements_writer writer;
    enum store_status status = elements_open(ctx->store, key, VALUE_SET, &writer);
    struct slice name;
    ensure(status == STORE_OK);
    for (size_t at = 0; names_next(names, &at, &name);) {
        (void)element_delete(&writer, name);
    }
    elements_close(&writer);
    store_notify(ctx->store, NOTIFY_SET, "spop", key);
    if (is_last) {
        store_notify(ctx->store, NOTIFY_GENERIC, "del", key);
    }
}

static void spop_one(struct command_context *ctx, const struct key *key,
                     const struct elements *elements) {
    struct buffer names = {0};
    struct element element;
    if (!elements_random(ctx->store, elements, &element)) {
        reply_null(ctx->reply);
        return;
    }
    reply_bulk(ctx->reply, element.name);
    names_visit(&names, &element);
    spop_remove(ctx, key, &names, elements->count == 1);
    buffer_deinit(&names);
}

static void random_reply_visit(void *udata, const struct element *element) {
    reply_bulk((struct reply *)udata, element->name);
}

static void spop_all(struct command_context *ctx, const struct key *key,
                     const struct elements *elements) {
    reply_set(ctx->reply, elements->count);
    elements_each(ctx->store, elements, random_reply_visit, ctx->reply);
    (void)store_delete(ctx->store, key);
    store_notify(ctx->store, NOTIFY_SET, "spop", key);
    store_notify(ctx->store, NOTIFY_GENERIC, "del", key);
}

static void spop_some(struct command_context *ctx, const struct key *key,
                      const struct elements *elements, uint64_t count) {
    struct buffer names = {0};
    struct slice name;
    enum store_status status = elements_sample(ctx->store, elements, count, names_visit, &names);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    reply_set(ctx->reply, count);
    for (size_t at = 0; names_next(&names, &at, &name);) {
        reply_bulk(ctx->reply, name);
    }
    spop_remove(ctx, key, &names, false);
    buffer_deinit(&names);
}

/* SPOP key [count] */
static void cmd_spop(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct elements elements;
    bool has_count = ctx->args_count > 2;
    int64_t count = 1;
    static const char *const NEGATIVE = "ERR value is out of range, must be positive";
    if (ctx->args_count > 3) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if (has_count && !command_integer(ctx, 2, &count, NEGATIVE)) {
        return;
    }
    if (count < 0) {
        reply_error(ctx->reply, NEGATIVE);
        return;
    }
    enum store_status status = elements_look(ctx->store, &key, VALUE_SET, &elements);
    if (status == STORE_WRONG_TYPE) {
        command_reply_status(ctx, status);
    } else if (!has_count) {
        spop_one(ctx, &key, &elements);
    } else if (elements.count == 0 || count == 0) {
        reply_set(ctx->reply, 0);
    } else if ((uint64_t)count >= elements.count) {
        spop_all(ctx, &key, &elements);
    } else {
        spop_some(ctx, &key, &elements, (uint64_t)count);
    }
}

/* ---- SRANDMEMBER ---- */

/* The same member may come many times, and as many as were asked for come. */
static void srandmember_repeated(struct command_context *ctx, const struct elements *elements,
                                 uint64_t count) {
    struct element element;
    size_t begin = ctx->reply->out->size;
    reply_array(ctx->reply, count);
    for (uint64_t i = 0; i < count; i++) {
        if (!elements_random(ctx->store, elements, &element)) {
            ctx->reply->out->size = begin;
            reply_array(ctx->reply, 0);
            return;
        }
        reply_bulk(ctx->reply, element.name);
        if (command_reply_is_too_long(ctx, begin)) {
            return;
        }
    }
}

static void srandmember_count(struct command_context *ctx, const struct elements *elements,
                              int64_t count) {
    if (elements->count == 0 || count == 0) {
        reply_array(ctx->reply, 0);
        return;
    }
    if (count < 0) {
        srandmember_repeated(ctx, elements, (uint64_t)-count);
        return;
    }
    uint64_t wanted = (uint64_t)count < elements->count ? (uint64_t)count : elements->count;
    size_t begin = ctx->reply->out->size;
    reply_array(ctx->reply, wanted);
    enum store_status status =
        elements_sample(ctx->store, elements, wanted, random_reply_visit, ctx->reply);
    if (status != STORE_OK) {
        ctx->reply->out->size = begin;
        command_reply_status(ctx, status);
    }
}

/* SRANDMEMBER key [count] */
static void cmd_srandmember(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct elements elements;
    struct element element;
    int64_t count = 0;
    if (ctx->args_count > 3) {
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return;
    }
    if (ctx->args_count == 3) {
        if (!command_signed_count(ctx, 2, &count)) {
            return;
        }
    }
    enum store_status status = elements_read(ctx->store, &key, VALUE_SET, &elements);
    if (status == STORE_WRONG_TYPE) {
        command_reply_status(ctx, status);
    } else if (ctx->args_count == 3) {
        srandmember_count(ctx, &elements, count);
    } else if (elements_random(ctx->store, &elements, &element)) {
        reply_bulk(ctx->reply, element.name);
    } else {
        reply_null(ctx->reply);
    }
}

static const struct command cmd_set_random_rows[] = {
    {.name = "spop",
     .handler = cmd_spop,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_DELETE,
     .group = "set",
     .since = "1.0.0",
     .cost = "O(1) without a count, else O(N) where N is the count.",
     .syntax = "key [count]",
     .summary = "Removes random members from a set and returns them."},
    {.name = "srandmember",
     .handler = cmd_srandmember,
     .arity = -2,
     .flags = CMD_READ,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "set",
     .since = "1.0.0",
     .cost = "O(1) without a count, else O(N) where N is the count without its sign.",
     .syntax = "key [count]",
     .summary = "Returns random members of a set: distinct ones, or with a negative count any."},
};

COMMAND_FAMILY(cmd_set_random_family, cmd_set_random_rows);
