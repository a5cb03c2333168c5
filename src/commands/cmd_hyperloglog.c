/* SPDX-License-Identifier: BSD-3-Clause */
/* HyperLogLog commands: a string of a certain form (crdt/hyperloglog.h) whose registers rise. */
#include "base/check.h"
#include "commands/command.h"
#include "crdt/hyperloglog.h"

#define HYPERLOGLOG_FOREIGN_ERROR "WRONGTYPE Key is not a valid HyperLogLog string value."
#define HYPERLOGLOG_CORRUPTED_ERROR "INVALIDOBJ Corrupted HLL object detected"

static void reply_corrupted(struct command_context *ctx) {
    reply_error(ctx->reply, HYPERLOGLOG_CORRUPTED_ERROR);
}

/* Looks at what a lookup of a key found: OK with a HyperLogLog in `value`, ABSENT, or anything else
 * with the error written. */
static enum store_status accept_value(struct command_context *ctx, enum store_status status,
                                      struct slice value) {
    if (status == STORE_ABSENT) {
        return status;
    }
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return status;
    }
    if (hyperloglog_check(value) != HYPERLOGLOG_OK) {
        reply_error(ctx->reply, HYPERLOGLOG_FOREIGN_ERROR);
        return STORE_WRONG_TYPE;
    }
    return STORE_OK;
}

/* The HyperLogLog at the key named by argument `index`, for reading. */
static enum store_status read_value(struct command_context *ctx, size_t index,
                                    struct slice *value) {
    struct entry_scratch scratch; /* only numbers need it, which are refused */
    enum store_status status = command_read_string(ctx, index, &scratch, value);
    return accept_value(ctx, status, *value);
}

/* The same before a write, which does not count as a read. */
static enum store_status peek_value(struct command_context *ctx, const struct key *key,
                                    struct slice *value) {
    const struct entry *entry = store_peek_to_write(ctx->store, key);
    if (entry == NULL) {
        return STORE_ABSENT;
    }
    if (!command_is_string(entry)) {
        return accept_value(ctx, STORE_WRONG_TYPE, *value);
    }
    struct entry_scratch scratch;
    *value = entry_value(entry, &scratch);
    return accept_value(ctx, STORE_OK, *value);
}

/* ---- PFADD ---- */

/* A HyperLogLog that elements are added to: copied from the store by the first that counts. */
struct addition {
    struct slice stored; /* in the store; empty when the key is new */
    struct buffer value; /* the copy, once there is one */
    struct buffer pairs; /* registers that rose */
};

static void addition_deinit(struct addition *addition) {
    buffer_deinit(&addition->value);
    buffer_deinit(&addition->pairs);
}

/* Adds one element; false when the stored value is corrupted. */
static bool addition_add(struct addition *addition, struct slice element, size_t sparse_bytes_max) {
    struct hyperloglog_place place = hyperloglog_place(element);
    if (addition->value.size == 0) {
        unsigned rank;
        if (hyperloglog_get(addition->stored, place.index, &rank) != HYPERLOGLOG_OK) {
            return false;
        }
        if (rank >= place.rank) {
            return true;
        }
        /* No whole HyperLogLog is longer: what is goes wrong further on. */
        if (addition->stored.size > HYPERLOGLOG_SPARSE_BYTES_LIMIT) {
            return false;
        }
        buffer_append_slice(&addition->value, addition->stored);
    }
    switch (hyperloglog_raise(&addition->value, place, sparse_bytes_max)) {
    case HYPERLOGLOG_OK:
        return true;
    case HYPERLOGLOG_RAISED:
        hyperloglog_pair_put(&addition->pairs, place);
        return true;
    case HYPERLOGLOG_FOREIGN:
    case HYPERLOGLOG_CORRUPTED:
        break;
    }
    return false;
}

/* PFADD key [element ...] */
static void cmd_pfadd(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    struct addition addition = {0};
    switch (peek_value(ctx, &key, &addition.stored)) {
    case STORE_OK:
        break;
    case STORE_ABSENT:
        hyperloglog_init(&addition.value);
        break;
    default:
        return; /* the error is written */
    }
    bool is_sound = true;
    for (size_t i = 2; i < ctx->args_count && is_sound; i++) {
        is_sound = addition_add(&addition, ctx->args[i], ctx->limits->hll_sparse_bytes_max);
    }
    enum store_status status = STORE_OK;
    if (is_sound && addition.value.size > 0) {
        bool is_new = addition.stored.size == 0;
        if (is_new || hyperloglog_is_dense(addition.stored) !=
                          hyperloglog_is_dense(buffer_slice(&addition.value))) {
            buffer_clear(&addition.pairs); /* they do not say all */
        }
        status = strings_set_registers(ctx->store, &key, buffer_slice(&addition.value),
                                       buffer_slice(&addition.pairs));
    }
    if (!is_sound) {
        reply_corrupted(ctx);
    } else if (status != STORE_OK) {
        command_reply_status(ctx, status);
    } else {
        if (addition.value.size > 0) {
            store_notify(ctx->store, NOTIFY_STRING, "pfadd", &key);
        }
        reply_integer(ctx->reply, addition.value.size > 0);
    }
    addition_deinit(&addition);
}

/* ---- PFCOUNT, PFMERGE ---- */

static void count_one(struct command_context *ctx) {
    struct slice value = {0};
    enum store_status status = read_value(ctx, 1, &value);
    if (status == STORE_ABSENT) {
        reply_integer(ctx->reply, 0);
    }
    if (status != STORE_OK) {
        return;
    }
    uint64_t count;
    if (!hyperloglog_cached(value, &count)) {
        if (hyperloglog_count(value, &count) != HYPERLOGLOG_OK) {
            reply_corrupted(ctx);
            return;
        }
        /* The count follows from the registers. To keep it is no change of the value: nothing is
         * recorded, and whoever else has the registers comes to the same count. */
        hyperloglog_cache((char *)(uintptr_t)value.data, count);
    }
    reply_integer(ctx->reply, (int64_t)count);
}

/* PFCOUNT key [key ...] */
static void cmd_pfcount(struct command_context *ctx) {
    if (ctx->args_count == 2) {
        count_one(ctx);
        return;
    }
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    for (size_t i = 1; i < ctx->args_count; i++) {
        struct slice value = {0};
        enum store_status status = read_value(ctx, i, &value);
        if (status == STORE_ABSENT) {
            continue;
        }
        if (status != STORE_OK) {
            return;
        }
        if (hyperloglog_join(registers, value) != HYPERLOGLOG_OK) {
            reply_corrupted(ctx);
            return;
        }
    }
    reply_integer(ctx->reply, (int64_t)hyperloglog_count_registers(registers));
}

/* Joins the HyperLogLogs of all keys but the destination's. False, the error written, when one is
 * none. `*is_any_dense` is set if one is dense. */
static bool join_sources(struct command_context *ctx, uint8_t *registers, bool *is_any_dense) {
    for (size_t i = 2; i < ctx->args_count; i++) {
        struct slice value = {0};
        enum store_status status = read_value(ctx, i, &value);
        if (status == STORE_ABSENT) {
            continue;
        }
        if (status != STORE_OK) {
            return false;
        }
        if (hyperloglog_join(registers, value) != HYPERLOGLOG_OK) {
            reply_corrupted(ctx);
            return false;
        }
        *is_any_dense |= hyperloglog_is_dense(value);
    }
    return true;
}

/* PFMERGE destkey [sourcekey ...] */
static void cmd_pfmerge(struct command_context *ctx) {
    struct key key = command_key(ctx, 1);
    uint8_t old[HYPERLOGLOG_REGISTERS_COUNT] = {0}, merged[HYPERLOGLOG_REGISTERS_COUNT];
    struct slice stored = {0};
    enum store_status status = read_value(ctx, 1, &stored); /* a source like the others */
    bool is_new = status == STORE_ABSENT;
    if (!is_new && status != STORE_OK) {
        return;
    }
    if (!is_new && hyperloglog_join(old, stored) != HYPERLOGLOG_OK) {
        reply_corrupted(ctx);
        return;
    }
    memcpy(merged, old, sizeof(merged));
    bool was_dense = !is_new && hyperloglog_is_dense(stored), is_dense = was_dense;
    if (!join_sources(ctx, merged, &is_dense)) {
        return;
    }
    struct buffer pairs = {0}, value = {0};
    for (unsigned i = 0; was_dense && i < HYPERLOGLOG_REGISTERS_COUNT; i++) {
        if (merged[i] > old[i]) {
            hyperloglog_pair_put(&pairs, (struct hyperloglog_place){.index = i, .rank = merged[i]});
        }
    }
    status = STORE_OK;
    if (is_new || is_dense != was_dense || memcmp(old, merged, sizeof(old)) != 0) {
        hyperloglog_set_registers(&value, merged, is_dense, ctx->limits->hll_sparse_bytes_max);
        status =
            strings_set_registers(ctx->store, &key, buffer_slice(&value), buffer_slice(&pairs));
    }
    if (status == STORE_OK) {
        store_notify(ctx->store, NOTIFY_STRING, "pfadd", &key);
        reply_ok(ctx->reply);
    } else {
        command_reply_status(ctx, status);
    }
    buffer_deinit(&pairs);
    buffer_deinit(&value);
}

/* ---- PFDEBUG, PFSELFTEST ---- */

static void debug_registers(struct command_context *ctx, struct slice value) {
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    if (hyperloglog_join(registers, value) != HYPERLOGLOG_OK) {
        reply_corrupted(ctx);
        return;
    }
    reply_array(ctx->reply, HYPERLOGLOG_REGISTERS_COUNT);
    for (unsigned i = 0; i < HYPERLOGLOG_REGISTERS_COUNT; i++) {
        reply_integer(ctx->reply, registers[i]);
    }
}

static void debug_decode(struct command_context *ctx, struct slice value) {
    if (hyperloglog_is_dense(value)) {
        reply_error(ctx->reply, "ERR HLL encoding is not sparse");
        return;
    }
    struct buffer text = {0};
    if (hyperloglog_describe(value, &text) == HYPERLOGLOG_OK) {
        reply_bulk(ctx->reply, buffer_slice(&text));
    } else {
        reply_corrupted(ctx);
    }
    buffer_deinit(&text);
}

static void debug_make_dense(struct command_context *ctx, const struct key *key,
                             struct slice stored) {
    if (hyperloglog_is_dense(stored)) {
        reply_integer(ctx->reply, 0);
        return;
    }
    struct buffer value = {0};
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    if (hyperloglog_join(registers, stored) != HYPERLOGLOG_OK) {
        reply_corrupted(ctx);
        return;
    }
    hyperloglog_set_registers(&value, registers, true, 0);
    enum store_status status =
        strings_set_registers(ctx->store, key, buffer_slice(&value), (struct slice){0});
    if (status == STORE_OK) {
        reply_integer(ctx->reply, 1);
    } else {
        command_reply_status(ctx, status);
    }
    buffer_deinit(&value);
}

/* PFDEBUG GETREG | DECODE | ENCODING | TODENSE key */
static void cmd_pfdebug(struct command_context *ctx) {
    struct key key = command_key(ctx, 2);
    struct slice value = {0};
    enum store_status status = peek_value(ctx, &key, &value);
    if (status == STORE_ABSENT) {
        reply_error(ctx->reply, "ERR The specified key does not exist");
    }
    if (status != STORE_OK) {
        return;
    }
    if (command_word(ctx, 1, "getreg")) {
        debug_registers(ctx, value);
    } else if (command_word(ctx, 1, "decode")) {
        debug_decode(ctx, value);
    } else if (command_word(ctx, 1, "encoding")) {
        reply_simple(ctx->reply, hyperloglog_is_dense(value) ? "dense" : "sparse");
    } else if (command_word(ctx, 1, "todense")) {
        debug_make_dense(ctx, &key, value);
    } else {
        reply_errorf(ctx->reply, "ERR Unknown PFDEBUG subcommand '%.*s'",
                     (int)(ctx->args[1].size < 128 ? ctx->args[1].size : 128), ctx->args[1].data);
    }
}

enum { SELF_TEST_ELEMENTS = 1000000 };

/* Counts distinct numbers in both encodings at once and looks at powers of ten: equal registers,
 * and an estimate within five standard errors (0.81 %), or one element where that is less. */
static bool self_test(struct command_context *ctx, struct buffer *sparse, struct buffer *dense) {
    uint64_t salt = ctx->store->seed.a, check_at = 1;
    for (uint64_t i = 1; i <= SELF_TEST_ELEMENTS; i++) {
        uint64_t element = salt + i;
        struct hyperloglog_place place = hyperloglog_place(slice_make(&element, sizeof(element)));
        (void)hyperloglog_raise(sparse, place, ctx->limits->hll_sparse_bytes_max);
        (void)hyperloglog_raise(dense, place, 0);
        unsigned rank = 0;
        (void)hyperloglog_get(buffer_slice(dense), place.index, &rank);
        if (rank < place.rank) {
            reply_errorf(ctx->reply, "TESTFAILED Register %u has rank %u, not at least %u",
                         place.index, rank, place.rank);
            return false;
        }
        if (i != check_at) {
            continue;
        }
        check_at *= 10;
        uint8_t in_sparse[HYPERLOGLOG_REGISTERS_COUNT] = {0};
        uint8_t in_dense[HYPERLOGLOG_REGISTERS_COUNT] = {0};
        uint64_t count = 0;
        if (hyperloglog_join(in_sparse, buffer_slice(sparse)) != HYPERLOGLOG_OK ||
            hyperloglog_join(in_dense, buffer_slice(dense)) != HYPERLOGLOG_OK ||
            memcmp(in_sparse, in_dense, sizeof(in_dense)) != 0) {
            reply_error(ctx->reply, "TESTFAILED Sparse and dense registers differ");
            return false;
        }
        (void)hyperloglog_count(buffer_slice(dense), &count);
        double difference = (double)count - (double)i;
        double bound = (double)i * 0.0081 * 5;
        bound = bound < 1 ? 1 : bound;
        if (difference > bound || difference < -bound) {
            reply_errorf(ctx->reply, "TESTFAILED Too big error: %lld counted as %lld", (long long)i,
                         (long long)count);
            return false;
        }
    }
    return true;
}

/* PFSELFTEST */
static void cmd_pfselftest(struct command_context *ctx) {
    struct buffer sparse = {0}, dense = {0};
    hyperloglog_init(&sparse);
    hyperloglog_init(&dense);
    enum hyperloglog_status status = hyperloglog_make_dense(&dense);
    ensure(status == HYPERLOGLOG_OK);
    if (self_test(ctx, &sparse, &dense)) {
        reply_ok(ctx->reply);
    }
    buffer_deinit(&sparse);
    buffer_deinit(&dense);
}

/* ---- rows ---- */

static const struct command rows[] = {
    {.name = "pfadd",
     .handler = cmd_pfadd,
     .arity = -2,
     .flags = CMD_WRITE | CMD_DENY_OOM | CMD_FAST,
     .categories = CATEGORY_HYPERLOGLOG,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_INSERT,
     .group = "hyperloglog",
     .since = "2.8.9",
     .cost = "O(1) to add every element.",
     .syntax = "key [element [element ...]]",
     .summary = "Counts elements in with a HyperLogLog, which is created if there is none."},
    {.name = "pfcount",
     .handler = cmd_pfcount,
     .arity = -2,
     .flags = CMD_READ,
     .categories = CATEGORY_HYPERLOGLOG,
     .keys = {1, -1, 1},
     .key_flags = KEY_READ_WRITE | KEY_ACCESS,
     .group = "hyperloglog",
     .since = "2.8.9",
     .cost = "O(1) with a very small average constant time when called with a single key. O(N) "
             "with N being the number of keys, and much bigger constant times, when called "
             "with multiple keys.",
     .syntax = "key [key ...]",
     .summary = "Estimates how many distinct elements one or several HyperLogLogs have seen."},
    {.name = "pfmerge",
     .handler = cmd_pfmerge,
     .arity = -2,
     .flags = CMD_WRITE | CMD_DENY_OOM,
     .categories = CATEGORY_HYPERLOGLOG,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_WRITE | KEY_ACCESS | KEY_INSERT,
     .more_keys = {2, -1, 1},
     .more_key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "hyperloglog",
     .since = "2.8.9",
     .cost = "O(N) to merge N HyperLogLogs, but with high constant times.",
     .syntax = "destkey [sourcekey [sourcekey ...]]",
     .summary = "Merges HyperLogLogs into the one at destkey."},
    {.name = "pfdebug",
     .handler = cmd_pfdebug,
     .arity = 3,
     .flags = CMD_WRITE | CMD_DENY_OOM | CMD_ADMIN,
     .categories = CATEGORY_HYPERLOGLOG,
     .keys = {2, 2, 1},
     .key_flags = KEY_READ_WRITE | KEY_ACCESS,
     .group = "hyperloglog",
     .since = "2.8.9",
     .cost = "N/A",
     .syntax = "subcommand key",
     .summary = "Shows the inside of a HyperLogLog, or makes it dense."},
    {.name = "pfselftest",
     .handler = cmd_pfselftest,
     .arity = 1,
     .flags = CMD_ADMIN,
     .categories = CATEGORY_HYPERLOGLOG,
     .group = "hyperloglog",
     .since = "2.8.9",
     .cost = "N/A",
     .syntax = "",
     .summary = "Checks that HyperLogLogs of this build keep registers and estimate well."},
};

COMMAND_FAMILY(cmd_hyperloglog_family, rows);
