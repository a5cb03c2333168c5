/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the tests of config/: values as text, and files that live in an array. */
#ifndef TESTS_CONFIG_FIXTURE_H
#define TESTS_CONFIG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/glob.h"
#include "config/config.h"
#include "config/option_row.h"

/* Fails unless `text` holds exactly `expected`; forgets the text. */
static inline void check_text_is(struct buffer *text, const char *expected) {
    assert_string_equal(buffer_text(text), expected);
    buffer_clear(text);
}

static inline void check_value(const struct options *options, const char *name,
                               const char *expected) {
    struct buffer value = {0};
    enum option_id id = option_find(slice_of(name));
    if (id == OPTIONS_COUNT) {
        fail_msg("no option '%s'", name);
    }
    config_format(options, id, &value);
    if (!slice_equal(buffer_slice(&value), slice_of(expected))) {
        fail_msg("%s is '%s' instead of '%s'", name, buffer_text(&value), expected);
    }
    buffer_deinit(&value);
}

struct fixture_file {
    const char *path;
    const char *text;
};

/* A config_reader over files; udata is an array that ends with a NULL path. */
static inline bool fixture_read(void *udata, const char *path, struct buffer *text,
                                struct buffer *error) {
    for (const struct fixture_file *file = udata; file->path != NULL; file++) {
        if (strcmp(file->path, path) == 0) {
            buffer_append_slice(text, slice_of(file->text));
            return true;
        }
    }
    buffer_append_slice(error, SLICE("No such file or directory"));
    return false;
}

static inline bool fixture_expand(void *udata, const char *pattern, struct buffer *paths,
                                  struct buffer *error) {
    (void)error;
    for (const struct fixture_file *file = udata; file->path != NULL; file++) {
        if (glob_match(slice_of(pattern), slice_of(file->path), false)) {
            buffer_append(paths, file->path, strlen(file->path) + 1);
        }
    }
    return true;
}

static inline struct config_reader fixture_reader(struct fixture_file *files) {
    return (struct config_reader){.read = fixture_read, .expand = fixture_expand, .udata = files};
}

#endif
