/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a configuration file, with an include that reads the same bytes again. Whatever
 * could be loaded must be said by the options in full: a rewrite of the bytes is read back to the
 * same options, and rewriting that again changes nothing. */
#include "base/check.h"
#include "config/config.h"
#include "config/option_row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
    struct slice text;
    unsigned reads_left; /* an include reads a file this often, then it is missing */
};

static bool read_again(void *udata, const char *path, struct buffer *text, struct buffer *error) {
    struct source *source = udata;
    (void)path;
    if (source->reads_left == 0) {
        buffer_append_slice(error, SLICE("missing"));
        return false;
    }
    source->reads_left--;
    buffer_append_slice(text, source->text);
    return true;
}

static bool expand_twice(void *udata, const char *pattern, struct buffer *paths,
                         struct buffer *error) {
    (void)udata;
    (void)pattern;
    (void)error;
    buffer_append(paths, "a\0b", 4);
    return true;
}

static void check_rewrite(const struct options *options, struct slice text) {
    struct options again;
    struct buffer once = {0};
    struct buffer twice = {0};
    struct buffer error = {0};
    config_rewrite(options, text, &once);
    options_init(&again);
    enum config_status status =
        config_load_text(&again, buffer_slice(&once), "rewritten", NULL, &error);
    require(status == CONFIG_OK);
    for (int id = 0; id < OPTIONS_COUNT; id++) {
        require(option_is_equal(options, &again, (enum option_id)id));
    }
    config_rewrite(&again, buffer_slice(&once), &twice);
    require(slice_equal(buffer_slice(&once), buffer_slice(&twice)));
    options_deinit(&again);
    buffer_deinit(&once);
    buffer_deinit(&twice);
    buffer_deinit(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct options options;
    struct buffer error = {0};
    struct slice text = slice_make(data, size);
    struct source source = {.text = text, .reads_left = 20};
    struct config_reader reader = {.read = read_again, .expand = expand_twice, .udata = &source};
    options_init(&options);
    enum config_status status = config_load_text(&options, text, "fuzz", &reader, &error);
    require((status == CONFIG_OK) == (error.size == 0));
    options_deinit(&options);

    options_init(&options);
    buffer_clear(&error);
    if (config_load_text(&options, text, "fuzz", NULL, &error) == CONFIG_OK) {
        check_rewrite(&options, text);
    }
    options_deinit(&options);
    buffer_deinit(&error);
    return 0;
}
