/* SPDX-License-Identifier: BSD-3-Clause */
/* conf/starling.conf is what the table generates, explains every directive and holds defaults.
 * Run from the top of the tree, or with STARLING_CONF naming the file. When it differs:
 *
 *   build/starling-server --print-config >conf/starling.conf */
#include "config_fixture.h"

#include <stdlib.h>

#include "config/config_words.h"

static void read_file(struct buffer *text) {
    const char *path = getenv("STARLING_CONF");
    FILE *file = fopen(path != NULL ? path : "conf/starling.conf", "rb");
    char chunk[4096];
    size_t size = 0;
    if (file == NULL) {
        fail_msg("conf/starling.conf cannot be opened; run from the top of the tree");
        return;
    }
    while ((size = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        buffer_append(text, chunk, size);
    }
    fclose(file);
}

static void test_file_is_generated(void **state) {
    (void)state;
    struct buffer file = {0};
    struct buffer generated = {0};
    read_file(&file);
    config_write_reference(&generated);
    struct slice left = buffer_slice(&file);
    struct slice right = buffer_slice(&generated);
    for (int line = 1; left.size > 0 && right.size > 0; line++) {
        struct slice a = config_line_take(&left);
        struct slice b = config_line_take(&right);
        if (!slice_equal(a, b)) {
            fail_msg("conf/starling.conf, line %d: '%.*s' should be '%.*s'", line, (int)a.size,
                     a.data, (int)b.size, b.data);
        }
    }
    assert_int_equal(file.size, generated.size);
    buffer_deinit(&file);
    buffer_deinit(&generated);
}

/* Each directive stands in the text, right after a comment. */
static void test_every_option_is_explained(void **state) {
    (void)state;
    struct buffer text = {0};
    config_write_reference(&text);
    for (int id = 0; id < OPTIONS_COUNT; id++) {
        const struct option_row *row = option_row((enum option_id)id);
        bool is_comment = (row->flags & OPT_FILE_ONLY) != 0;
        char needle[128];
        if (row->flags & OPT_HIDDEN) {
            continue;
        }
        snprintf(needle, sizeof(needle), "\n%s%s ", is_comment ? "# " : "", row->name);
        const char *found = strstr(buffer_text(&text), needle);
        if (found == NULL) {
            fail_msg("%s is missing", row->name);
            return;
        }
        const char *before = found;
        while (before > text.data && before[-1] != '\n') {
            before--;
        }
        if (strncmp(before, "# ", 2) != 0) {
            fail_msg("%s is not explained", row->name);
        }
    }
    buffer_deinit(&text);
}

static void test_reference_holds_defaults(void **state) {
    (void)state;
    struct options defaults;
    struct options loaded;
    struct buffer text = {0};
    struct buffer error = {0};
    options_init(&defaults);
    options_init(&loaded);
    config_write_reference(&text);
    if (config_load_text(&loaded, buffer_slice(&text), "reference", NULL, &error) != CONFIG_OK) {
        fail_msg("%s", buffer_text(&error));
    }
    for (int id = 0; id < OPTIONS_COUNT; id++) {
        assert_true(option_is_equal(&defaults, &loaded, (enum option_id)id));
    }
    /* And a rewrite of it with nothing changed is the very same text. */
    struct buffer rewritten = {0};
    config_rewrite(&defaults, buffer_slice(&text), &rewritten);
    assert_true(slice_equal(buffer_slice(&text), buffer_slice(&rewritten)));
    options_deinit(&defaults);
    options_deinit(&loaded);
    buffer_deinit(&text);
    buffer_deinit(&rewritten);
}

static void test_lines_are_short(void **state) {
    (void)state;
    struct buffer text = {0};
    config_write_reference(&text);
    config_write_help(&text);
    struct slice rest = buffer_slice(&text);
    while (rest.size > 0) {
        struct slice line = config_line_take(&rest);
        if (line.size > 100) {
            fail_msg("too long: %.*s", (int)line.size, line.data);
        }
    }
    buffer_deinit(&text);
}

static void test_help(void **state) {
    (void)state;
    struct buffer text = {0};
    config_write_help(&text);
    const char *help = buffer_text(&text);
    assert_non_null(strstr(help, "\nNetwork\n"));
    assert_non_null(strstr(help, "  --port 6379\n        TCP port to listen on"));
    assert_non_null(strstr(help, "  --requirepass \"\"\n"));
    assert_null(strstr(help, "--cluster-enabled"));
    assert_null(strstr(help, "\nRedis Cluster\n"));
    buffer_deinit(&text);
}

static void test_warnings(void **state) {
    (void)state;
    struct options options;
    struct buffer text = {0};
    struct buffer error = {0};
    options_init(&options);
    config_write_warnings(&options, &text);
    check_text_is(&text, "");
    struct slice conf = SLICE("cluster-enabled yes\nport 1\ntls-cluster yes\nio-threads 1\n");
    assert_int_equal(config_load_text(&options, conf, "test", NULL, &error), CONFIG_OK);
    config_write_warnings(&options, &text);
    check_text_is(&text, "option 'cluster-enabled' is accepted but changes nothing here\n"
                         "option 'tls-cluster' is accepted but changes nothing here\n");
    options_deinit(&options);
    buffer_deinit(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_is_generated),
        cmocka_unit_test(test_every_option_is_explained),
        cmocka_unit_test(test_reference_holds_defaults),
        cmocka_unit_test(test_lines_are_short),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_warnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
