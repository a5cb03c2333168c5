/* SPDX-License-Identifier: BSD-3-Clause */
/* SORT and SORT_RO: the elements of a list, set or sorted set in an order of their own, or in that
 * of values that they lead to.
 *
 * Elements stay where they are; an array of items points to them. What a BY pattern leads to is
 * read once for each, as a number, or as text that is kept in one buffer. Items that compare as
 * equal are in the order of their bytes, so the result does not depend on where they lie.
 *
 * A type that is added is read in sort_load(). The result of STORE is a list: sort_store(). */
#include "commands/command.h"

#include <math.h>
#include <stdlib.h>

#include "store/lists.h"
#include "store/sorted_set.h"

/* A pattern of BY or GET. */
struct sort_pattern {
    bool is_self;  /* "#" */
    bool has_star; /* else it leads nowhere */
    struct slice before, after;
    bool has_field;
    struct slice field;
};

struct sort_options {
    bool has_by;
    bool keeps_order; /* BY a pattern without a star */
    struct sort_pattern by;
    const struct slice *args;
    size_t gets_count; /* GET options among the arguments */
    int64_t offset, count;
    bool is_descending, is_alpha;
    size_t store_index; /* argument with the destination; 0: none */
};

struct sort_item {
    struct slice name;
    double score;
    struct slice text; /* with ALPHA and BY: until all are read, its data is an offset */
    bool has_text;
};

struct sort {
    struct command_context *ctx;
    struct sort_options options;
    struct sort_item *items;
    uint64_t count;         /* of items */
    uint64_t first, last;   /* the items from `first` until before `last` are wanted */
    struct buffer texts;    /* that BY led to */
    struct buffer key_name; /* that a pattern gave */
    struct buffer copies;   /* addresses of values of list elements that lie nowhere for long */
    bool is_packed_list;    /* none of them do */
    bool has_bad_score;
};

/* ---- options ---- */

static struct sort_pattern sort_parse_pattern(struct slice text) {
    struct sort_pattern pattern = {.is_self = slice_equal(text, SLICE("#"))};
    const char *star = text.size > 0 ? memchr(text.data, '*', text.size) : NULL;
    if (star == NULL) {
        return pattern;
    }
    pattern.has_star = true;
    pattern.before = slice_make(text.data, (size_t)(star - text.data));
    pattern.after = slice_skip(text, pattern.before.size + 1);
    for (size_t i = 0; i + 2 < pattern.after.size; i++) {
        if (pattern.after.data[i] == '-' && pattern.after.data[i + 1] == '>') {
            pattern.has_field = true;
            pattern.field = slice_skip(pattern.after, i + 2);
            pattern.after.size = i;
            break;
        }
    }
    return pattern;
}

/* Which option argument `index` is, and how many arguments follow it. */
enum sort_word {
    SORT_NONE,
    SORT_ASC,
    SORT_DESC,
    SORT_ALPHA,
    SORT_LIMIT,
    SORT_STORE,
    SORT_BY,
    SORT_GET,
};

static enum sort_word sort_word(const struct slice *args, size_t args_count, size_t index,
                                size_t *follow) {
    static const struct {
        const char *word;
        size_t follow;
    } WORDS[] = {
        [SORT_ASC] = {"asc", 0},     [SORT_DESC] = {"desc", 0},   [SORT_ALPHA] = {"alpha", 0},
        [SORT_LIMIT] = {"limit", 2}, [SORT_STORE] = {"store", 1}, [SORT_BY] = {"by", 1},
        [SORT_GET] = {"get", 1},
    };
    for (unsigned i = SORT_ASC; i <= SORT_GET; i++) {
        if (slice_is_word(args[index], WORDS[i].word) && WORDS[i].follow < args_count - index) {
            *follow = WORDS[i].follow;
            return (enum sort_word)i;
        }
    }
    *follow = 0;
    return SORT_NONE;
}

/* Reads the options; writes the error and returns false when they are wrong. */
static bool sort_parse_options(struct command_context *ctx, bool is_read_only,
                               struct sort_options *options) {
    size_t follow;
    *options = (struct sort_options){.args = ctx->args, .count = -1};
    for (size_t i = 2; i < ctx->args_count; i += 1 + follow) {
        enum sort_word word = sort_word(ctx->args, ctx->args_count, i, &follow);
        switch (word) {
        case SORT_ASC:
        case SORT_DESC:
            options->is_descending = word == SORT_DESC;
            continue;
        case SORT_ALPHA:
            options->is_alpha = true;
            continue;
        case SORT_LIMIT:
            if (!command_integer(ctx, i + 1, &options->offset, NULL) ||
                !command_integer(ctx, i + 2, &options->count, NULL)) {
                return false;
            }
            continue;
        case SORT_STORE:
            if (is_read_only) {
                break;
            }
            options->store_index = i + 1;
            continue;
        case SORT_BY:
            options->by = sort_parse_pattern(ctx->args[i + 1]);
            options->has_by = options->by.has_star;
            options->keeps_order = options->keeps_order || !options->by.has_star;
            continue;
        case SORT_GET:
            options->gets_count++;
            continue;
        case SORT_NONE:
            break;
        }
        reply_error(ctx->reply, COMMAND_SYNTAX_ERROR);
        return false;
    }
    return true;
}

/* The pattern of the next GET option from argument `*at` on; false when there is none. */
static bool sort_next_get(const struct sort *sort, size_t *at, struct sort_pattern *pattern) {
    while (*at < sort->ctx->args_count) {
        size_t index = *at, follow;
        enum sort_word word = sort_word(sort->ctx->args, sort->ctx->args_count, index, &follow);
        *at += 1 + follow;
        if (word == SORT_GET) {
            *pattern = sort_parse_pattern(sort->ctx->args[index + 1]);
            return true;
        }
    }
    return false;
}

/* ---- what a pattern leads to ---- */

/* The value that the pattern leads to from `name`; false when there is none. Valid until the next
 * call; `element` and `scratch` have to live as long. */
static bool sort_follow(struct sort *sort, const struct sort_pattern *pattern, struct slice name,
                        struct element *element, struct slice *value) {
    struct store *store = sort->ctx->store;
    if (pattern->is_self) {
        *value = name;
        return true;
    }
    if (!pattern->has_star) {
        return false;
    }
    buffer_clear(&sort->key_name);
    buffer_append_slice(&sort->key_name, pattern->before);
    buffer_append_slice(&sort->key_name, name);
    buffer_append_slice(&sort->key_name, pattern->after);
    struct slice key_name =
        sort->key_name.size > 0 ? buffer_slice(&sort->key_name) : slice_make("", 0);
    struct key key = store_key(store, sort->ctx->db, key_name);
    if (pattern->has_field) {
        struct elements elements;
        if (elements_read(store, &key, VALUE_HASH, &elements) != STORE_OK ||
            !elements_find(store, &elements, pattern->field, element)) {
            return false;
        }
        *value = element->value;
        return true;
    }
    const struct entry *entry = store_read(store, &key);
    if (entry == NULL || !command_is_string(entry)) {
        return false;
    }
    *value = entry_value(entry, &element->scratch);
    return true;
}

/* ---- loading ---- */

static void sort_add(struct sort *sort, struct slice name) {
    sort->items[sort->count++] = (struct sort_item){.name = name};
}

static void sort_visit(void *udata, const struct element *element) {
    sort_add((struct sort *)udata, element->name);
}

/* Of `count` elements, which are wanted? */
static void sort_choose(struct sort *sort, uint64_t count) {
    const struct sort_options *options = &sort->options;
    uint64_t first = options->offset < 0 ? 0 : (uint64_t)options->offset;
    sort->first = first < count ? first : count;
    uint64_t left = count - sort->first;
    bool is_limited = options->count >= 0 && (uint64_t)options->count < left;
    sort->last = sort->first + (is_limited ? (uint64_t)options->count : left);
}

/* A value that is text of the moment only is copied. */
static void sort_visit_list(void *udata, const struct element *element) {
    struct sort *sort = (struct sort *)udata;
    struct slice value = element->value;
    if (value.data == element->scratch.bytes || sort->is_packed_list) {
        char *copy = memory_alloc(value.size + 1);
        if (value.size > 0) {
            memcpy(copy, value.data, value.size);
        }
        buffer_append(&sort->copies, &copy, sizeof(copy));
        value.data = copy;
    }
    sort_add(sort, value);
}

static void sort_free_copies(struct sort *sort) {
    for (size_t at = 0; at < sort->copies.size; at += sizeof(char *)) {
        char *copy;
        memcpy(&copy, sort->copies.data + at, sizeof(copy));
        memory_free(copy);
    }
    buffer_deinit(&sort->copies);
}

/* Puts the elements of a list in that range into the items, the last one first if `is_backward`. */
static void sort_load_list(struct sort *sort, const struct elements *elements,
                           struct rank_range range, bool is_backward) {
    struct list_cursor cursor;
    bool is_there = list_seek(sort->ctx->store, elements, range.from, &cursor);
    for (uint64_t i = range.from; is_there && i < range.to; i++) {
        sort_visit_list(sort, &cursor.element);
        is_there = list_step(&cursor, LIST_RIGHT);
    }
    for (uint64_t i = 0, j = sort->count; is_backward && i + 1 < j; i++) {
        struct sort_item item = sort->items[i];
        sort->items[i] = sort->items[--j];
        sort->items[j] = item;
    }
}

/* Puts the elements of a list or sorted set that are wanted into the items, in its order. */
static void sort_load_in_order(struct sort *sort, const struct elements *elements) {
    uint64_t first = sort->first, last = sort->last, count = elements->count;
    bool is_backward = sort->options.is_descending;
    struct rank_range range = is_backward ? (struct rank_range){count - last, count - first}
                                          : (struct rank_range){first, last};
    if (elements->type == VALUE_LIST) {
        sort_load_list(sort, elements, range, is_backward);
    } else {
        struct sorted_set_walk walk;
        struct slice name;
        double score;
        sorted_set_walk_init(&walk, elements, range, is_backward);
        while (sorted_set_walk_next(&walk, &name, &score)) {
            sort_add(sort, name);
        }
    }
    sort->first = 0;
    sort->last = sort->count;
}

/* Makes the items; writes the error and returns false when there is another type, or no memory. An
 * absent key has none. */
static bool sort_load(struct sort *sort) {
    struct command_context *ctx = sort->ctx;
    struct key key = command_key(ctx, 1);
    const struct entry *entry = store_read(ctx->store, &key);
    struct elements elements;
    if (entry == NULL) {
        return true;
    }
    if (entry_type(entry) != VALUE_SET && entry_type(entry) != VALUE_SORTED_SET &&
        entry_type(entry) != VALUE_LIST) {
        command_reply_status(ctx, STORE_WRONG_TYPE);
        return false;
    }
    elements_of(entry, &elements);
    if (elements.type == VALUE_SET && sort->options.keeps_order && sort->options.store_index > 0) {
        /* What is stored shall not depend on where members lie. */
        sort->options.keeps_order = false;
        sort->options.has_by = false;
        sort->options.is_alpha = true;
    }
    sort->items = (struct sort_item *)memory_try_alloc((elements.count + 1) * sizeof(*sort->items));
    if (sort->items == NULL) {
        command_reply_status(ctx, STORE_OUT_OF_MEMORY);
        return false;
    }
    sort_choose(sort, elements.count);
    sort->is_packed_list = elements.type == VALUE_LIST && elements.collection == NULL;
    if (elements.type != VALUE_SET && sort->options.keeps_order) {
        sort_load_in_order(sort, &elements);
    } else {
        elements_each(ctx->store, &elements,
                      elements.type == VALUE_LIST ? sort_visit_list : sort_visit, sort);
        sort->first = sort->first < sort->count ? sort->first : sort->count;
        sort->last = sort->last < sort->count ? sort->last : sort->count;
    }
    return true;
}

/* ---- sorting ---- */

/* As strtod() in the C locale: leading space is skipped, nothing is zero, and a zero byte ends it.
 */
static bool sort_parse_score(struct slice text, double *score) {
    const char *end = text.size > 0 ? memchr(text.data, '\0', text.size) : NULL;
    text.size = end != NULL ? (size_t)(end - text.data) : text.size;
    while (text.size > 0 &&
           (text.data[0] == ' ' || (text.data[0] >= '\t' && text.data[0] <= '\r'))) {
        text = slice_skip(text, 1);
        if (text.size == 0) {
            return false;
        }
    }
    *score = 0;
    /* What is too small to be told exactly counts as out of range there. */
    return text.size == 0 ||
           (number_parse_double(text, score) && fpclassify(*score) != FP_SUBNORMAL);
}

/* Reads what the item is sorted by. */
static void sort_weigh(struct sort *sort, struct sort_item *item) {
    struct element element;
    struct slice value = item->name;
    bool is_there =
        !sort->options.has_by || sort_follow(sort, &sort->options.by, item->name, &element, &value);
    if (!is_there) {
        return;
    }
    if (!sort->options.is_alpha) {
        sort->has_bad_score |= !sort_parse_score(value, &item->score);
    } else if (sort->options.has_by) {
        item->has_text = true;
        item->text =
            (struct slice){.data = (const char *)(uintptr_t)sort->texts.size, .size = value.size};
        buffer_append_slice(&sort->texts, value);
    } else {
        item->has_text = true;
        item->text = value;
    }
}

static int compare_items(const struct sort_item *a, const struct sort_item *b) {
    int order = 0;
    if (a->score != b->score) {
        order = a->score < b->score ? -1 : 1;
    } else if (a->has_text != b->has_text) {
        order = a->has_text ? 1 : -1;
    } else if (a->has_text) {
        order = slice_compare(a->text, b->text);
    }
    return order != 0 ? order : slice_compare(a->name, b->name);
}

static int compare_rising(const void *a, const void *b) {
    return compare_items((const struct sort_item *)a, (const struct sort_item *)b);
}

static int compare_falling(const void *a, const void *b) {
    return compare_items((const struct sort_item *)b, (const struct sort_item *)a);
}

/* Sorts the items; writes the error and returns false when one has no score. */
static bool sort_items(struct sort *sort) {
    for (uint64_t i = 0; i < sort->count; i++) {
        sort_weigh(sort, &sort->items[i]);
    }
    if (sort->has_bad_score) {
        reply_error(sort->ctx->reply, "ERR One or more scores can't be converted into double");
        return false;
    }
    for (uint64_t i = 0; sort->options.has_by && i < sort->count; i++) {
        if (sort->items[i].has_text && sort->options.is_alpha) {
            size_t offset = (size_t)(uintptr_t)sort->items[i].text.data;
            sort->items[i].text.data = sort->texts.size > 0 ? sort->texts.data + offset : "";
        }
    }
    if (sort->count == 0) {
        return true;
    }
    qsort(sort->items, sort->count, sizeof(*sort->items),
          sort->options.is_descending ? compare_falling : compare_rising);
    return true;
}

/* ---- the result ---- */

/* Calls `write` for each value of the result, in order; NULL for what a GET does not lead to. */
static void sort_each(struct sort *sort, void (*write)(void *udata, const struct slice *value),
                      void *udata) {
    struct element element;
    struct sort_pattern pattern;
    for (uint64_t i = sort->first; i < sort->last; i++) {
        struct slice name = sort->items[i].name, value;
        if (sort->options.gets_count == 0) {
            write(udata, &name);
        }
        for (size_t at = 2; sort_next_get(sort, &at, &pattern);) {
            bool is_there = sort_follow(sort, &pattern, name, &element, &value);
            write(udata, is_there ? &value : NULL);
        }
    }
}

static void sort_write_reply(void *udata, const struct slice *value) {
    if (value != NULL) {
        reply_bulk((struct reply *)udata, *value);
    } else {
        reply_null((struct reply *)udata);
    }
}

/* Values of a result that outlive what they were read from. */
static void sort_keep(void *udata, const struct slice *value) {
    struct buffer *values = (struct buffer *)udata;
    size_t size = value != NULL ? value->size : 0;
    buffer_append(values, &size, sizeof(size));
    if (size > 0) {
        buffer_append(values, value->data, size);
    }
}

static enum store_status sort_push_all(struct elements_writer *writer, const struct buffer *values,
                                       uint64_t *count) {
    enum store_status status = STORE_OK;
    struct list_pusher pusher;
    list_push_begin(&pusher, writer, LIST_RIGHT, values->size);
    for (size_t at = 0; at < values->size && status == STORE_OK; (*count)++) {
        size_t size;
        memcpy(&size, values->data + at, sizeof(size));
        at += sizeof(size);
        status = list_push_next(&pusher, slice_make(values->data + at, size));
        at += size;
    }
    list_push_end(&pusher);
    return status;
}

/* Stores the result at the destination, in the place of what is there. */
static void sort_store(struct sort *sort) {
    struct command_context *ctx = sort->ctx;
    struct key key = command_key(ctx, sort->options.store_index);
    struct elements_writer writer;
    struct buffer values = {0};
    uint64_t count = 0;
    /* The destination may be what is sorted. */
    sort_each(sort, sort_keep, &values);
    bool was_there = store_delete(ctx->store, &key);
    if (values.size == 0) {
        if (was_there) {
            store_notify(ctx->store, NOTIFY_GENERIC, "del", &key);
        }
        reply_integer(ctx->reply, 0);
        return;
    }
    enum store_status status = elements_open(ctx->store, &key, VALUE_LIST, &writer);
    ensure(status == STORE_OK);
    writer.hides_new = was_there;
    status = sort_push_all(&writer, &values, &count);
    elements_close(&writer);
    buffer_deinit(&values);
    if (status != STORE_OK) {
        command_reply_status(ctx, status);
        return;
    }
    store_notify(ctx->store, NOTIFY_LIST, "sortstore", &key);
    reply_integer(ctx->reply, (int64_t)count);
}

static void sort_run(struct command_context *ctx, bool is_read_only) {
    struct sort sort = {.ctx = ctx};
    if (!sort_parse_options(ctx, is_read_only, &sort.options)) {
        return;
    }
    if (sort_load(&sort) && (sort.options.keeps_order || sort_items(&sort))) {
        if (sort.options.store_index > 0) {
            sort_store(&sort);
        } else {
            size_t gets = sort.options.gets_count > 0 ? sort.options.gets_count : 1;
            reply_array(ctx->reply, (sort.last - sort.first) * gets);
            sort_each(&sort, sort_write_reply, ctx->reply);
        }
    }
    memory_free(sort.items);
    buffer_deinit(&sort.texts);
    sort_free_copies(&sort);
    buffer_deinit(&sort.key_name);
}

/* SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA]
 * [STORE destination] */
static void cmd_sort(struct command_context *ctx) {
    sort_run(ctx, false);
}

/* SORT_RO: the same without STORE. */
static void cmd_sort_ro(struct command_context *ctx) {
    sort_run(ctx, true);
}

/* The key, and the last destination. */
static int sort_find_keys(const struct slice *args, size_t args_count, int *positions,
                          size_t room) {
    int store = 0;
    size_t follow;
    if (args_count < 2) {
        return -1;
    }
    for (size_t i = 2; i < args_count; i += 1 + follow) {
        if (sort_word(args, args_count, i, &follow) == SORT_STORE) {
            store = (int)i + 1;
        }
    }
    if (room > 0) {
        positions[0] = 1;
    }
    if (store > 0 && room > 1) {
        positions[1] = store;
    }
    return store > 0 ? 2 : 1;
}

/* What BY and GET lead to depends on the elements, and STORE can be anywhere. */
#define UNKNOWN_SPEC(flags_)                                                                       \
    { .flags = (flags_), .begin = KEY_BEGIN_UNKNOWN, .find = KEY_FIND_UNKNOWN }
static const struct key_spec sort_specs[] = {
    KEY_SPEC_ONE(1, KEY_READ_ONLY | KEY_ACCESS), UNKNOWN_SPEC(KEY_READ_ONLY | KEY_ACCESS),
    UNKNOWN_SPEC(KEY_OVERWRITE | KEY_UPDATE), KEY_SPEC_END};
static const struct key_spec sort_ro_specs[] = {KEY_SPEC_ONE(1, KEY_READ_ONLY | KEY_ACCESS),
                                                UNKNOWN_SPEC(KEY_READ_ONLY | KEY_ACCESS),
                                                KEY_SPEC_END};

static const struct command cmd_sort_rows[] = {
    {.name = "sort",
     .handler = cmd_sort,
     .arity = -2,
     .flags = CMD_WRITE | CMD_DENY_OOM | CMD_MOVABLE_KEYS,
     .categories = CATEGORY_SET | CATEGORY_SORTED_SET | CATEGORY_LIST | CATEGORY_DANGEROUS,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .more_key_flags = KEY_OVERWRITE | KEY_UPDATE,
     .find_keys = sort_find_keys,
     .key_specs = sort_specs,
     .group = "generic",
     .since = "1.0.0",
     .cost = "O(N+M*log(M)) where N is the number of elements and M the number returned.",
     .syntax = "key [BY by-pattern] [LIMIT offset count] [GET get-pattern [GET get-pattern ...]] "
               "[ASC | DESC] [ALPHA] [STORE destination]",
     .summary = "Sorts elements of a set or sorted set, and returns or stores them."},
    {.name = "sort_ro",
     .handler = cmd_sort_ro,
     .arity = -2,
     .flags = CMD_READ | CMD_MOVABLE_KEYS,
     .categories = CATEGORY_SET | CATEGORY_SORTED_SET | CATEGORY_LIST | CATEGORY_DANGEROUS,
     .keys = {1, 1, 1},
     .key_flags = KEY_READ_ONLY | KEY_ACCESS,
     .key_specs = sort_ro_specs,
     .group = "generic",
     .since = "7.0.0",
     .cost = "O(N+M*log(M)) where N is the number of elements and M the number returned.",
     .syntax = "key [BY by-pattern] [LIMIT offset count] [GET get-pattern [GET get-pattern ...]] "
               "[ASC | DESC] [ALPHA]",
     .summary = "Returns elements of a set or sorted set sorted."},
};

COMMAND_FAMILY(cmd_sort_family, cmd_sort_rows);
