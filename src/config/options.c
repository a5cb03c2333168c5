/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/options.h"

#include <assert.h>

#include "base/check.h"
#include "base/memory.h"
#include "config/option_row.h"

/* OPT_ENUM fields are int; the enumerations in options.h name their values. */
static_assert(OPTION_MAXMEMORY_NOEVICTION == 7, "eight policies, in the order of the row");
static_assert(OPTIONS_COUNT < 1024, "config_change is a small value");

#define ROW(FIELD, NAME, ALIAS, VALUE, KIND, FLAGS, HELP, ...)                                     \
    [OPTION_##FIELD] = {.name = NAME,                                                              \
                        .alias = ALIAS,                                                            \
                        .value = VALUE,                                                            \
                        .kind = OPTION_KIND_##KIND,                                                \
                        .flags = FLAGS,                                                            \
                        .help = HELP,                                                              \
                        .unit = "",                                                                \
                        .offset = offsetof(struct options, FIELD),                                 \
                        .size = sizeof(((struct options *)0)->FIELD)},
#define ROW_BOUNDED(FIELD, NAME, ALIAS, VALUE, MIN, MAX, KIND, FLAGS, UNIT, HELP)                  \
    [OPTION_##FIELD] = {.name = NAME,                                                              \
                        .alias = ALIAS,                                                            \
                        .value = VALUE,                                                            \
                        .kind = OPTION_KIND_##KIND,                                                \
                        .min = MIN,                                                                \
                        .max = MAX,                                                                \
                        .flags = FLAGS,                                                            \
                        .unit = UNIT,                                                              \
                        .help = HELP,                                                              \
                        .offset = offsetof(struct options, FIELD),                                 \
                        .size = sizeof(((struct options *)0)->FIELD)},
#define ROW_ENUM(FIELD, NAME, ALIAS, VALUE, WORDS, FLAGS, HELP)                                    \
    [OPTION_##FIELD] = {.name = NAME,                                                              \
                        .alias = ALIAS,                                                            \
                        .value = VALUE,                                                            \
                        .kind = OPTION_KIND_ENUM,                                                  \
                        .words = WORDS,                                                            \
                        .flags = FLAGS,                                                            \
                        .unit = "",                                                                \
                        .help = HELP,                                                              \
                        .offset = offsetof(struct options, FIELD),                                 \
                        .size = sizeof(((struct options *)0)->FIELD)},

static const struct option_row rows[OPTIONS_COUNT] = {
#define OPT_BOOL(field, name, alias, value, flags, help)                                           \
    ROW(field, name, alias, value, BOOL, flags, help)
#define OPT_INT(field, name, alias, value, min, max, flags, unit, help)                            \
    ROW_BOUNDED(field, name, alias, value, min, max, INT, flags, unit, help)
#define OPT_MEMORY(field, name, alias, value, min, max, flags, help)                               \
    ROW_BOUNDED(field, name, alias, value, min, max, MEMORY, flags, "bytes", help)
#define OPT_SHARE(field, name, alias, value, flags, help)                                          \
    ROW(field, name, alias, value, SHARE, flags, help)
#define OPT_OCTAL(field, name, alias, value, flags, help)                                          \
    ROW_BOUNDED(field, name, alias, value, 0, 0777, OCTAL, flags, "", help)
#define OPT_ENUM ROW_ENUM
#define OPT_TEXT(field, name, alias, value, flags, help)                                           \
    ROW(field, name, alias, value, TEXT, flags, help)
#define OPT_CUSTOM(field, name, alias, value, class, flags, help)                                  \
    ROW(field, name, alias, value, class, flags, help)
#include "config/options.def"
};

const struct option_row *option_row(enum option_id id) {
    require((size_t)id < OPTIONS_COUNT);
    return &rows[id];
}

const char *options_name(enum option_id id) {
    return option_row(id)->name;
}

static bool is_same_word(struct slice name, const char *lower) {
    return lower != NULL && slice_is_word(name, lower);
}

enum option_id option_find(struct slice name) {
    for (size_t id = 0; id < OPTIONS_COUNT; id++) {
        if (is_same_word(name, rows[id].name) || is_same_word(name, rows[id].alias)) {
            return (enum option_id)id;
        }
    }
    return OPTIONS_COUNT;
}

void *option_field(struct options *options, enum option_id id) {
    return (char *)options + option_row(id)->offset;
}

const void *option_field_const(const struct options *options, enum option_id id) {
    return (const char *)options + option_row(id)->offset;
}

void option_swap(struct options *a, struct options *b, enum option_id id) {
    char *left = option_field(a, id);
    char *right = option_field(b, id);
    for (size_t i = 0; i < rows[id].size; i++) {
        char byte = left[i];
        left[i] = right[i];
        right[i] = byte;
    }
}

/* Defaults are parsed like any text, so a row cannot hold one that its own type would refuse. */
void options_init(struct options *options) {
    struct buffer error = {0};
    memset(options, 0, sizeof(*options));
    for (size_t id = 0; id < OPTIONS_COUNT; id++) {
        bool is_valid = true;
        if (rows[id].kind != OPTION_KIND_renames) {
            struct slice value = slice_of(rows[id].value);
            is_valid = option_parse(options, (enum option_id)id, &value, 1, false, &error);
        }
        ensure(is_valid);
    }
    options->config_file = memory_copy_text("");
    buffer_deinit(&error);
}

void options_deinit(struct options *options) {
    for (size_t id = 0; id < OPTIONS_COUNT; id++) {
        option_release(options, (enum option_id)id);
    }
    memory_free(options->config_file);
    options->config_file = NULL;
}

void options_dup(const struct options *from, struct options *to) {
    memset(to, 0, sizeof(*to));
    for (size_t id = 0; id < OPTIONS_COUNT; id++) {
        option_copy(from, to, (enum option_id)id);
    }
    to->config_file = memory_copy_text(from->config_file);
}

void options_set_config_file(struct options *options, const char *path) {
    char *copy = memory_copy_text(path);
    memory_free(options->config_file);
    options->config_file = copy;
}
