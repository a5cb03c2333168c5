/* SPDX-License-Identifier: BSD-3-Clause */
/* Set algebra: SINTER, SUNION, SDIFF, what they store, and SINTERCARD.
 *
 * The sets of a command are read first, all of them, so that one of another type is an error
 * wherever it stands. Members then go to a sink as they are found: the reply, a count, or names
 * that are kept until the destination, which may be one of the sets, is replaced.
 *
 * A packed set is searched from its front. Where one is asked about many members, an index of its
 * names is made first, so two sets of n packed members cost n and not n^2. */
#include "commands/command.h"

#include <stdlib.h>

#include "containers/slice_set.h"

enum {
    /* Packed sets of so many members are indexed when at least so many are looked up in them. */
    ALGEBRA_INDEXED_COUNT_MIN = 16,
    ALGEBRA_LOOKUPS_MIN = 8,
};

/* One of the sets. */
struct algebra_set {
    struct elements elements;
    struct slice_set index; /* of the names, where has_index */
    bool has_index;
};

struct algebra {
    struct store *store;
    struct algebra_set *sets;
    size_t count;
    /* The sink: counts members up to `limit`, and hands them to one of these, if there is one. */
    uint64_t found_count;
    uint64_t limit;
    struct reply *reply;
    struct buffer *names;
    bool is_out_of_memory;
};

/* ---- reading ---- */

static void algebra_close(struct algebra *algebra) {
    for (size_t i = 0; i < algebra->count; i++) {
        slice_set_deinit(&algebra->sets[i].index);
    }
    memory_free(algebra->sets);
}

/* Reads `count` sets from argument `first` on; writes the error and returns false when one is no
 * set, and then there is nothing to close. */
static bool algebra_open(struct command_context *ctx, size_t first, size_t count,
                         struct algebra *algebra) {
    *algebra = (struct algebra){.store = ctx->store, .limit = UINT64_MAX};
    algebra->sets = memory_try_alloc(count * sizeof(algebra->sets[0]));
    if (algebra->sets == NULL) {
        command_reply_status(ctx, STORE_OUT_OF_MEMORY);
        return false;
    }
    for (; algebra->count < count; algebra->count++) {
        struct key key = command_key(ctx, first + algebra->count);
        struct algebra_set *set = &algebra->sets[algebra->count];
        set->has_index = false;
        slice_set_init(&set->index, ctx->store->element_seed);
        if (elements_read(ctx->store, &key, VALUE_SET, &set->elements) == STORE_WRONG_TYPE) {
            command_reply_status(ctx, STORE_WRONG_TYPE);
            algebra_close(algebra);
            return false;
        }
    }
    return true;
}

static void index_visit(void *udata, const struct element *element) {
    (void)slice_set_add((struct slice_set *)udata, element->name);
}

/* Puts the set's members into an index that is empty. */
static void algebra_fill(struct algebra *algebra, const struct algebra_set *set,
                         struct slice_set *index) {
    slice_set_expect(index, set->elements.count);
    elements_each(algebra->store, &set->elements, index_visit, index);
    algebra->is_out_of_memory |= index->is_out_of_memory;
}

/* Makes ready for so many lookups in the set. */
static void algebra_prepare(struct algebra *algebra, struct algebra_set *set, uint64_t lookups) {
    if (set->elements.collection == NULL && set->elements.count >= ALGEBRA_INDEXED_COUNT_MIN &&
        lookups >= ALGEBRA_LOOKUPS_MIN) {
        algebra_fill(algebra, set, &set->index);
        set->has_index = true;
    }
}

static bool algebra_has(const struct algebra *algebra, const struct algebra_set *set,
                        struct slice name) {
    struct element element;
    return set->has_index ? slice_set_has(&set->index, name)
                          : elements_find(algebra->store, &set->elements, name, &element);
}

/* ---- the sink ---- */

static void algebra_emit(struct algebra *algebra, struct slice name) {
    if (algebra->found_count == algebra->limit) {
        return;
    }
    algebra->found_count++;
    if (algebra->reply != NULL) {
        reply_bulk(algebra->reply, name);
    } else if (algebra->names != NULL) {
        buffer_append(algebra->names, &name.size, sizeof(name.size));
        buffer_append_slice(algebra->names, name);
    }
}

/* Calls `each` with `algebra` for the members of the set until there are enough. */
static void algebra_each(struct algebra *algebra, const struct algebra_set *set, element_fn each) {
    uint64_t position = 0;
    do {
        position = elements_scan(algebra->store, &set->elements, position, each, algebra);
    } while (position != 0 && algebra->found_count < algebra->limit && !algebra->is_out_of_memory);
}

/* ---- intersection ---- */

static int compare_rising(const void *a, const void *b) {
    uint64_t count_a = ((const struct algebra_set *)a)->elements.count;
    uint64_t count_b = ((const struct algebra_set *)b)->elements.count;
    return count_a < count_b ? -1 : count_a > count_b;
}

static int compare_falling(const void *a, const void *b) {
    return compare_rising(b, a);
}

static void intersect_visit(void *udata, const struct element *element) {
    struct algebra *algebra = (struct algebra *)udata;
    for (size_t i = 1; i < algebra->count; i++) {
        if (!algebra_has(algebra, &algebra->sets[i], element->name)) {
            return;
        }
    }
    algebra_emit(algebra, element->name);
}

/* The members of the smallest set that are in all others, of which the next smallest, which is most
 * likely to lack one, is asked first. */
static void algebra_intersect(struct algebra *algebra) {
    qsort(algebra->sets, algebra->count, sizeof(algebra->sets[0]), compare_rising);
    for (size_t i = 1; i < algebra->count; i++) {
        algebra_prepare(algebra, &algebra->sets[i], algebra->sets[0].elements.count);
    }
    algebra_each(algebra, &algebra->sets[0], intersect_visit);
}

/* ---- union ---- */

static void union_visit(void *udata, const struct element *element) {
    struct algebra *algebra = (struct algebra *)udata;
    struct slice_set *seen = &algebra->sets[0].index;
    if (slice_set_add(seen, element->name)) {
        algebra_emit(algebra, element->name);
    }
    algebra->is_out_of_memory |= seen->is_out_of_memory;
}

static void emit_visit(void *udata, const struct element *element) {
    algebra_emit((struct algebra *)udata, element->name);
}

static void algebra_unite(struct algebra *algebra) {
    if (algebra->count == 1) {
        algebra_each(algebra, &algebra->sets[0], emit_visit);
        return;
    }
    /* There are at least as many as in the largest. */
    qsort(algebra->sets, algebra->count, sizeof(algebra->sets[0]), compare_falling);
    slice_set_expect(&algebra->sets[0].index, algebra->sets[0].elements.count);
    for (size_t i = 0; i < algebra->count; i++) {
        algebra_each(algebra, &algebra->sets[i], union_visit);
    }
}

/* ---- difference ---- */

static void difference_visit(void *udata, const struct element *element) {
    struct algebra *algebra = (struct algebra *)udata;
    for (size_t i = 1; i < algebra->count; i++) {
        if (algebra_has(algebra, &algebra->sets[i], element->name)) {
            return;
        }
    }
    algebra_emit(algebra, element->name);
}

static void remove_visit(void *udata, const struct element *element) {
    (void)slice_set_remove(&((struct algebra *)udata)->sets[0].index, element->name);
}

static void remaining_visit(void *udata, const struct element *element) {
    struct algebra *algebra = (struct algebra *)udata;
    if (slice_set_has(&algebra->sets[0].index, element->name)) {
        algebra_emit(algebra, element->name);
    }
}

/* Either each member of the first set is looked for in the others: work as large as the first set
 * times their number, but often less, since it ends where one has it. Or all members of the others
 * are taken out of the first: work as large as all sets together. */
static void algebra_subtract(struct algebra *algebra) {
    struct algebra_set *first = &algebra->sets[0];
    uint64_t lookups = 0, removals = 0;
    for (size_t i = 0; i < algebra->count; i++) {
        lookups += first->elements.count;
        removals += algebra->sets[i].elements.count;
    }
    if (first->elements.count == 0) {
        return;
    }
    if (lookups / 2 <= removals) {
        qsort(first + 1, algebra->count - 1, sizeof(*first), compare_falling);
        for (size_t i = 1; i < algebra->count; i++) {
            algebra_prepare(algebra, &algebra->sets[i], first->elements.count);
        }
        algebra_each(algebra, first, difference_visit);
        return;
    }
    algebra_fill(algebra, first, &first->index);
    first->has_index = true;
    for (size_t i = 1; i < algebra->count && first->index.count > 0; i++) {
        algebra_each(algebra, &algebra->sets[i], remove_visit);
    }
    if (!algebra->is_out_of_memory) {
        algebra_each(algebra, first, remaining_visit);
    }
}

/* ---- the commands ---- */

typedef void (*algebra_fn)(struct algebra *algebra);

/* Replies the set that `combine` makes of the sets from argument 1 on. */
static void algebra_reply(struct command_context *ctx, algebra_fn combine) {
    struct algebra algebra;
    if (!algebra_open(ctx, 1, ctx->args_count - 1, &algebra)) {
        return;
    }
    size_t begin = reply_deferred_begin(ctx->reply);
    algebra.reply = ctx->reply;
    combine(&algebra);
    if (algebra.is_out_of_memory) {
        ctx->reply->out->size = begin;
        command_reply_status(ctx, STORE_OUT_OF_MEMORY);
    } else {
        reply_deferred_set(ctx->reply, begin, algebra.found_count);
    }
    algebra_close(&algebra);
}

/* Puts the members in `names` in the place of the key's value, whatever that is. */
static enum store_status algebra_replace(struct command_context *ctx, const struct key *key,
                                         const struct buffer *names, uint64_t count,
                                         const char *event) {
    struct elements_writer writer;
    bool is_deleted = store_delete(ctx->store, key);
    if (names->size == 0) {
        if (is_deleted) {
            store_notify(ctx->store, NOTIFY_GENERIC, "del", key);
        }
        return STORE_OK;
    }
    enum store_status status = elements_open(ctx->store, key, VALUE_SET, &writer);
    ensure(status == STORE_OK);
    writer.hides_new = is_deleted;
    elements_expect(&writer, count, true);
    for (size_t at = 0; at < names->size && status == STORE_OK;) {
        struct slice name;
        bool is_new;
        memcpy(&name.size, names->data + at, sizeof(name.size));
        name.data = names->data + at + sizeof(name.size);
        at += sizeof(name.size) + name.size;
        status = element_set(&writer, name, SLICE(""), false, &is_new);
    }
    elements_close(&writer);
    store_notify(ctx->store, NOTIFY_SET, event, key);
    return status;
}

/* Stores the set that `combine` makes of the sets from argument 2 on at argument 1. */
static void algebra_store(struct command_context *ctx, algebra_fn combine, const char *event) {
    struct key key = command_key(ctx, 1);
    struct algebra algebra;
    struct buffer names = {0};
    if (!algebra_open(ctx, 2, ctx->args_count - 2, &algebra)) {
        return;
    }
    algebra.names = &names;
    combine(&algebra);
    enum store_status status = STORE_OUT_OF_MEMORY;
    if (!algebra.is_out_of_memory) {
        status = algebra_replace(ctx, &key, &names, algebra.found_count, event);
    }
    if (status == STORE_OK) {
        reply_integer(ctx->reply, (int64_t)algebra.found_count);
    } else {
        command_reply_status(ctx, status);
    }
    algebra_close(&algebra);
    buffer_deinit(&names);
}

/* SINTER key [key ...] */
static void cmd_sinter(struct command_context *ctx) {
    algebra_reply(ctx, algebra_intersect);
}

/* SINTERSTORE destination key [key ...] */
static void cmd_sinterstore(struct command_context *ctx) {
    algebra_store(ctx, algebra_intersect, "sinterstore");
}

/* SUNION key [key ...] */
static void cmd_sunion(struct command_context *ctx) {
    algebra_reply(ctx, algebra_unite);
}

/* SUNIONSTORE destination key [key ...] */
static void cmd_sunionstore(struct command_context *ctx) {
    algebra_store(ctx, algebra_unite, "sunionstore");
}

/* SDIFF key [key ...] */
static void cmd_sdiff(struct command_context *ctx) {
    algebra_reply(ctx, algebra_subtract);
}

/* SDIFFSTORE destination key [key ...] */
static void cmd_sdiffstore(struct command_context *ctx) {
    algebra_store(ctx, algebra_subtract, "sdiffstore");
}

/* Reads the options of SINTERCARD behind the keys; writes the error and returns false when they are
 * wrong. No limit is UINT64_MAX, and so is 0. */
static bool sintercard_parse_options(struct command_context *ctx, size_t first, uint64_t *limit) {
    int64_t value = 0;
    for (size_t i = first; i < ctx->args_count; i += 2) {
        if (!command_word(ctx, i, "limit") || i + 1 == ctx->args_count) {
            reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
            return false;
        }
        if (!command_integer(ctx, i + 1, &value, "ERR LIMIT can't be negative")) {
            return false;
        }
        if (value < 0) {
            reply_error(ctx->reply, "ERR LIMIT can't be negative");
            return false;
        }
    }
    *limit = value == 0 ? UINT64_MAX : (uint64_t)value;
    return true;
}

/* SINTERCARD numkeys key [key ...] [LIMIT limit] */
static void cmd_sintercard(struct command_context *ctx) {
    static const char *const NO_KEYS = "ERR numkeys should be greater than 0";
    int64_t keys_count;
    uint64_t limit;
    struct algebra algebra;
    if (!command_integer(ctx, 1, &keys_count, NO_KEYS)) {
        return;
    }
    if (keys_count < 1) {
        reply_error(ctx->reply, NO_KEYS);
        return;
    }
    if ((uint64_t)keys_count > ctx->args_count - 2) {
        reply_error(ctx->reply, "ERR Number of keys can't be greater than number of args");
        return;
    }
    if (!sintercard_parse_options(ctx, 2 + (size_t)keys_count, &limit) ||
        !algebra_open(ctx, 2, (size_t)keys_count, &algebra)) {
        return;
    }
    algebra.limit = limit;
    algebra_intersect(&algebra);
    if (algebra.is_out_of_memory) {
        command_reply_status(ctx, STORE_OUT_OF_MEMORY);
    } else {
        reply_integer(ctx->reply, (int64_t)algebra.found_count);
    }
    algebra_close(&algebra);
}

static int sintercard_find_keys(const struct slice *args, size_t args_count, int *positions,
                                size_t room) {
    int64_t keys_count;
    if (args_count < 3 || !number_parse_integer(args[1], &keys_count) || keys_count < 1 ||
        (uint64_t)keys_count > args_count - 2) {
        return -1;
    }
    for (size_t i = 0; i < (size_t)keys_count && i < room; i++) {
        positions[i] = (int)i + 2;
    }
    return (int)keys_count;
}

static const struct key_spec sintercard_specs[] = {KEY_SPEC_COUNTED(1, KEY_READ_ONLY | KEY_ACCESS),
                                                   KEY_SPEC_END};

/* What the rows share: all keys are sources, or the first is the destination. */
#define SOURCES_ROW                                                                                \
    .arity = -2, .flags = CMD_READ, .keys = {1, -1, 1}, .key_flags = KEY_READ_ONLY | KEY_ACCESS,   \
    .group = "set", .since = "1.0.0", .syntax = "key [key ...]"
#define STORE_ROW(key_flags_)                                                                      \
    .arity = -3, .flags = CMD_WRITE | CMD_DENY_OOM, .keys = {1, 1, 1},                             \
    .key_flags = (key_flags_) | KEY_UPDATE, .more_keys = {2, -1, 1},                               \
    .more_key_flags = KEY_READ_ONLY | KEY_ACCESS, .group = "set", .since = "1.0.0",                \
    .syntax = "destination key [key ...]"
#define INTERSECTION_COST                                                                          \
    "O(N*M) at worst, where N is the size of the smallest set and M the number of sets."
#define ALL_COST "O(N) where N is the size of all sets together."

static const struct command cmd_set_algebra_rows[] = {
    {.name = "sinter",
     .handler = cmd_sinter,
     SOURCES_ROW,
     .cost = INTERSECTION_COST,
     .summary = "Lists the members that all of the sets have."},
    {.name = "sinterstore",
     .handler = cmd_sinterstore,
     STORE_ROW(KEY_READ_WRITE),
     .cost = INTERSECTION_COST,
     .summary = "Stores the members that all of the sets have, and counts them."},
    {.name = "sintercard",
     .handler = cmd_sintercard,
     .arity = -3,
     .flags = CMD_READ | CMD_MOVABLE_KEYS,
     .find_keys = sintercard_find_keys,
     .key_specs = sintercard_specs,
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .group = "set",
     .since = "7.0.0",
     .cost = INTERSECTION_COST,
     .syntax = "numkeys key [key ...] [LIMIT limit]",
     .summary = "Counts the members that all of the sets have, up to a limit."},
    {.name = "sunion",
     .handler = cmd_sunion,
     SOURCES_ROW,
     .cost = ALL_COST,
     .summary = "Lists the members that any of the sets has."},
    {.name = "sunionstore",
     .handler = cmd_sunionstore,
     STORE_ROW(KEY_OVERWRITE),
     .cost = ALL_COST,
     .summary = "Stores the members that any of the sets has, and counts them."},
    {.name = "sdiff",
     .handler = cmd_sdiff,
     SOURCES_ROW,
     .cost = ALL_COST,
     .summary = "Lists the members of the first set that none of the others has."},
    {.name = "sdiffstore",
     .handler = cmd_sdiffstore,
     STORE_ROW(KEY_OVERWRITE),
     .cost = ALL_COST,
     .summary =
         "Stores the members of the first set that none of the others has, and counts them."},
};

COMMAND_FAMILY(cmd_set_algebra_family, cmd_set_algebra_rows);
