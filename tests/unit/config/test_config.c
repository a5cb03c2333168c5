/* SPDX-License-Identifier: BSD-3-Clause */
/* CONFIG GET and SET: every row survives GET, SET, GET; sets are all or nothing; the texts of
 * refusals are those that Redis 7 gives. */
#include "config_fixture.h"

static struct options options;
static struct buffer error;

static int setup(void **state) {
    (void)state;
    options_init(&options);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    options_deinit(&options);
    buffer_deinit(&error);
    error = (struct buffer){0};
    return 0;
}

/* ---- GET ---- */

struct seen {
    struct buffer text; /* "name=value;" for each visit */
    size_t count;
};

static void see(void *udata, struct slice name, struct slice value) {
    struct seen *seen = udata;
    buffer_append_slice(&seen->text, name);
    buffer_append_byte(&seen->text, '=');
    buffer_append_slice(&seen->text, value);
    buffer_append_byte(&seen->text, ';');
    seen->count++;
}

static void expect_get(const struct slice *patterns, size_t count, const char *expected) {
    struct seen seen = {0};
    config_get(&options, patterns, count, see, &seen);
    check_text_is(&seen.text, expected);
    buffer_deinit(&seen.text);
}

#define EXPECT_GET(expected, ...)                                                                  \
    do {                                                                                           \
        const struct slice patterns[] = {__VA_ARGS__};                                             \
        expect_get(patterns, sizeof(patterns) / sizeof(patterns[0]), expected);                    \
    } while (0)

static void test_get(void **state) {
    (void)state;
    EXPECT_GET("port=6379;", SLICE("port"));
    EXPECT_GET("Port=6379;", SLICE("Port"));
    EXPECT_GET("", SLICE("nosuch"));
    EXPECT_GET("", SLICE(""));
    EXPECT_GET("hz=10;dynamic-hz=yes;", SLICE("hz"), SLICE("h?"), SLICE("*-hz"), SLICE("nosuch"));
    EXPECT_GET("maxmemory=0;maxmemory-policy=noeviction;maxmemory-samples=5;", SLICE("maxmemor[y]"),
               SLICE("maxmemory-[ps]*"));
    EXPECT_GET("replica-priority=100;slave-priority=100;", SLICE("*a[v]e-priority"),
               SLICE("replica-p*"));
}

static void test_get_hidden(void **state) {
    (void)state;
    EXPECT_GET("watchdog-period=0;", SLICE("watchdog-period"));
    EXPECT_GET("", SLICE("watchdog*"));
    EXPECT_GET("", SLICE("rename-command"));
    EXPECT_GET("", SLICE("include"));
}

static void test_get_all(void **state) {
    (void)state;
    struct seen seen = {0};
    struct slice all = SLICE("*");
    config_get(&options, &all, 1, see, &seen);
    size_t expected = 0;
    for (int id = 0; id < OPTIONS_COUNT; id++) {
        const struct option_row *row = option_row((enum option_id)id);
        if (!(row->flags & (OPT_HIDDEN | OPT_FILE_ONLY))) {
            expected += 1 + (row->alias != NULL);
        }
    }
    assert_int_equal(seen.count, expected);
    assert_true(seen.count > 190);
    buffer_deinit(&seen.text);
}

/* ---- SET ---- */

static enum config_status set_pairs(const char *const *texts, size_t pairs, config_apply apply,
                                    void *udata, struct config_change *changed) {
    struct slice slices[16];
    for (size_t i = 0; i < 2 * pairs; i++) {
        slices[i] = slice_of(texts[i]);
    }
    struct config_set_request request = {
        .names_values = slices, .pairs_count = pairs, .apply = apply, .udata = udata};
    return config_set_many(&options, &request, changed, &error);
}

static enum config_status set(const char *name, const char *value) {
    const char *const texts[] = {name, value};
    return set_pairs(texts, 1, NULL, NULL, NULL);
}

static void test_set_every_row_again(void **state) {
    (void)state;
    struct options before;
    options.enable_protected_configs = OPTION_ACCESS_YES;
    options_dup(&options, &before);
    for (int id = 0; id < OPTIONS_COUNT; id++) {
        const struct option_row *row = option_row((enum option_id)id);
        struct buffer value = {0};
        config_format(&options, (enum option_id)id, &value);
        enum config_status status = set(row->name, buffer_text(&value));
        if (row->flags & OPT_FILE_ONLY) {
            assert_int_equal(status, CONFIG_INVALID);
            assert_non_null(strstr(buffer_text(&error), "Unknown option"));
        } else if (row->flags & OPT_START) {
            assert_int_equal(status, CONFIG_INVALID);
            assert_non_null(strstr(buffer_text(&error), "can't set immutable config"));
        } else if (status != CONFIG_OK) {
            fail_msg("%s '%s': %s", row->name, buffer_text(&value), buffer_text(&error));
        }
        buffer_clear(&error);
        assert_true(option_is_equal(&options, &before, (enum option_id)id));
        buffer_deinit(&value);
    }
    options_deinit(&before);
}

/* A value that is not the default, for each row that may be set, goes through GET, SET, GET. */
static void other_value(const struct option_row *row, enum option_id id, struct buffer *value) {
    switch (row->kind) {
    case OPTION_KIND_BOOL:
        buffer_append_slice(value, slice_of(strcmp(row->value, "yes") == 0 ? "no" : "yes"));
        return;
    case OPTION_KIND_INT:
    case OPTION_KIND_MEMORY: {
        int64_t now = *(const int64_t *)option_field_const(&options, id);
        buffer_printf(value, "%lld", (long long)(now < row->max ? now + 1 : now - 1));
        return;
    }
    case OPTION_KIND_SHARE:
        buffer_append_slice(value, SLICE("7%"));
        return;
    case OPTION_KIND_OCTAL:
        buffer_append_slice(value, SLICE("755"));
        return;
    case OPTION_KIND_ENUM: {
        size_t size = strcspn(row->words, " ");
        const char *second = row->words + size + 1;
        bool is_first = strncmp(row->words, row->value, size) == 0 && row->value[size] == '\0';
        buffer_append(value, is_first ? second : row->words,
                      is_first ? strcspn(second, " ") : size);
        return;
    }
    case OPTION_KIND_TEXT:
        buffer_append_slice(value, id == OPTION_proc_title_template ? SLICE("x {port} y")
                                   : id == OPTION_cluster_announce_hostname
                                       ? SLICE("host.example")
                                       : SLICE("with blank \"and\" quote"));
        return;
    case OPTION_KIND_words:
        buffer_append_slice(value, id == OPTION_replicaof    ? SLICE("host 6379")
                                   : id == OPTION_mesh_seeds ? SLICE("127.0.0.1:1 [::1]:2")
                                                             : SLICE("127.0.0.1 -::1"));
        return;
    case OPTION_KIND_renames:
        return;
    case OPTION_KIND_save_points:
        buffer_append_slice(value, SLICE("60 1 30 2"));
        return;
    case OPTION_KIND_output_limits:
        buffer_append_slice(value, SLICE("normal 1 2 3 slave 4 5 6 pubsub 7 8 9"));
        return;
    case OPTION_KIND_percentiles:
        buffer_append_slice(value, SLICE("0.1 99.999 100"));
        return;
    case OPTION_KIND_oom_scores:
        buffer_append_slice(value, SLICE("-5 0 2000"));
        return;
    case OPTION_KIND_notify_events:
        buffer_append_slice(value, SLICE("g$lnKEm"));
        return;
    case OPTION_KIND_shutdown_flags:
        buffer_append_slice(value, SLICE("nosave now force"));
        return;
    }
}

static void test_set_every_row_anew(void **state) {
    (void)state;
    options.enable_protected_configs = OPTION_ACCESS_YES;
    for (int id = 0; id < OPTIONS_COUNT; id++) {
        const struct option_row *row = option_row((enum option_id)id);
        struct buffer value = {0};
        if ((row->flags & (OPT_FILE_ONLY | OPT_REFUSED)) || id == OPTION_activedefrag) {
            continue;
        }
        other_value(row, (enum option_id)id, &value);
        if (row->flags & OPT_START) {
            assert_int_equal(
                config_set_text(&options, (enum option_id)id, buffer_slice(&value), &error),
                CONFIG_OK);
        } else if (set(row->name, buffer_text(&value)) != CONFIG_OK) {
            fail_msg("%s '%s': %s", row->name, buffer_text(&value), buffer_text(&error));
        }
        check_value(&options, row->name, buffer_text(&value));
        buffer_deinit(&value);
    }
}

static void test_set_errors(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"port", "abc", "argument couldn't be parsed into an integer"},
        {"port", "", "argument couldn't be parsed into an integer"},
        {"hz", "+5", "argument couldn't be parsed into an integer"},
        {"hz", "007", "argument couldn't be parsed into an integer"},
        {"hz", " 10", "argument couldn't be parsed into an integer"},
        {"hz", "10 11", "argument couldn't be parsed into an integer"},
        {"port", "70000", "argument must be between 0 and 65535 inclusive"},
        {"maxclients", "0", "argument must be between 1 and 4294967295 inclusive"},
        {"maxmemory-eviction-tenacity", "101", "argument must be between 0 and 100 inclusive"},
        {"slowlog-log-slower-than", "-5",
         "argument must be between -1 and 9223372036854775807 inclusive"},
        {"client-query-buffer-limit", "1",
         "argument must be between 1048576 and 9223372036854775807 inclusive"},
        {"maxmemory", "foo", "argument must be a memory value"},
        {"maxmemory", "1k2", "argument must be a memory value"},
        {"maxmemory", "-1", "argument must be a memory value"},
        {"maxmemory", "1.5mb", "argument must be a memory value"},
        {"maxmemory", "1 kb", "argument must be a memory value"},
        {"maxmemory", "kb", "argument must be a memory value"},
        {"maxmemory", "5%", "argument must be a memory value"},
        {"maxmemory", "9223372036854775808", "argument must be a memory value"},
        {"maxmemory", "8589934592gb", "argument must be a memory value"},
        {"maxmemory-clients", "x", "argument must be a memory or percent value"},
        {"maxmemory-clients", "-1%", "argument must be a memory or percent value"},
        {"maxmemory-clients", "101%", "percentage argument must be less or equal to 100"},
        {"appendonly", "maybe", "argument must be 'yes' or 'no'"},
        {"lazyfree-lazy-user-del", "", "argument must be 'yes' or 'no'"},
        {"appendfsync", "x", "argument(s) must be one of the following: everysec, always, no"},
        {"maxmemory-policy", "x",
         "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, "
         "volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction"},
        {"oom-score-adj", "maybe",
         "argument(s) must be one of the following: no, yes, relative, absolute"},
        {"activedefrag", "yes",
         "Active defragmentation cannot be enabled: the allocator does not support it"},
        {"databases", "4", "can't set immutable config"},
        {"unixsocketperm", "700", "can't set immutable config"},
        {"enable-debug-command", "yes", "can't set immutable config"},
        {"dir", "/tmp", "can't set protected config"},
        {"dbfilename", "x", "can't set protected config"},
        {"save", "1", "Invalid save parameters"},
        {"save", "a b", "Invalid save parameters"},
        {"save", "0 1", "Invalid save parameters"},
        {"save", "10 -1", "Invalid save parameters"},
        {"client-output-buffer-limit", "foo 1 2 3",
         "Invalid client class specified in buffer limit configuration."},
        {"client-output-buffer-limit", "normal 1 2",
         "Wrong number of arguments in buffer limit configuration."},
        {"client-output-buffer-limit", "normal 1 2 x",
         "Error in hard, soft or soft_seconds setting in buffer limit configuration."},
        {"client-output-buffer-limit", "normal 1mb -2 4",
         "Error in hard, soft or soft_seconds setting in buffer limit configuration."},
        {"notify-keyspace-events", "foo", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."},
        {"oom-score-adj-values", "0 1", "wrong number of arguments"},
        {"oom-score-adj-values", "3000 1 2",
         "Invalid oom-score-adj-values, elements must be between -2000 and 2000."},
        {"latency-tracking-info-percentiles", "101",
         "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"},
        {"latency-tracking-info-percentiles", "abc",
         "Invalid latency-tracking-info-percentiles parameters"},
        {"shutdown-on-sigterm", "foo",
         "argument(s) must be one of the following: default, save, nosave, now, force"},
        {"shutdown-on-sigterm", "",
         "argument(s) must be one of the following: default, save, nosave, now, force"},
        {"shutdown-on-sigterm", "save nosave",
         "shutdown options SAVE and NOSAVE can't be used simultaneously"},
        {"proc-title-template", "{foo}",
         "template format is invalid or contains unknown variables"},
        {"proc-title-template", "{title",
         "template format is invalid or contains unknown variables"},
        {"proc-title-template", "", "template format is invalid or contains unknown variables"},
        {"cluster-announce-hostname", "a b",
         "Hostnames may only contain alphanumeric characters, hyphens or dots"},
        {"bind", "a b c d e f g h i j k l m n o p q", "Too many bind addresses specified."},
        {"mesh-bind", "a b c d e f g h i j k l m n o p q", "Too many bind addresses specified."},
        {"mesh-seeds", "example.org", "A seed is written as host:port."},
        {"mesh-seeds", "a:1 b:65536", "A seed is written as host:port."},
        {"mesh-seeds", ":17001", "A seed is written as host:port."},
        {"mesh-seeds", "::1:17001", "A seed is written as host:port."},
    };
    struct options before;
    options_dup(&options, &before);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[512];
        snprintf(expected, sizeof(expected),
                 "CONFIG SET failed (possibly related to argument '%s') - %s", cases[i][0],
                 cases[i][2]);
        assert_int_equal(set(cases[i][0], cases[i][1]), CONFIG_INVALID);
        check_text_is(&error, expected);
        enum option_id id = option_find(slice_of(cases[i][0]));
        assert_true(option_is_equal(&options, &before, id));
    }
    options_deinit(&before);
}

static void test_set_names(void **state) {
    (void)state;
    assert_int_equal(set("nosuch", "1"), CONFIG_INVALID);
    check_text_is(&error, "Unknown option or number of arguments for CONFIG SET - 'nosuch'");
    assert_int_equal(set("rename-command", "a b"), CONFIG_INVALID);
    check_text_is(&error,
                  "Unknown option or number of arguments for CONFIG SET - 'rename-command'");
    assert_int_equal(set("HZ", "abc"), CONFIG_INVALID);
    check_text_is(&error,
                  "CONFIG SET failed (possibly related to argument 'hz') - argument couldn't "
                  "be parsed into an integer");
    assert_int_equal(set("SLAVE-priority", "x"), CONFIG_INVALID);
    check_text_is(&error, "CONFIG SET failed (possibly related to argument 'slave-priority') - "
                          "argument couldn't be parsed into an integer");
    const char *const twice[] = {"hz", "10", "HZ", "11"};
    assert_int_equal(set_pairs(twice, 2, NULL, NULL, NULL), CONFIG_INVALID);
    check_text_is(&error, "CONFIG SET failed (possibly related to argument 'HZ') - duplicate "
                          "parameter");
    const char *const both[] = {"slave-priority", "1", "replica-priority", "2"};
    assert_int_equal(set_pairs(both, 2, NULL, NULL, NULL), CONFIG_OK);
    assert_int_equal(options.replica_priority, 2);
    /* Names are looked at before values. */
    const char *const order[] = {"hz", "abc", "nosuch", "1"};
    assert_int_equal(set_pairs(order, 2, NULL, NULL, NULL), CONFIG_INVALID);
    check_text_is(&error, "Unknown option or number of arguments for CONFIG SET - 'nosuch'");
}

static void test_set_many(void **state) {
    (void)state;
    struct config_change changed;
    const char *const good[] = {"maxmemory", "100mb", "hz", "10", "save", "", "appendonly", "YES"};
    assert_int_equal(set_pairs(good, 4, NULL, NULL, &changed), CONFIG_OK);
    assert_int_equal(options.maxmemory, 100 << 20);
    assert_int_equal(options.save.count, 0);
    assert_true(options.appendonly);
    assert_true(config_has_changed(&changed, OPTION_maxmemory));
    assert_true(config_has_changed(&changed, OPTION_save));
    assert_true(config_has_changed(&changed, OPTION_appendonly));
    assert_false(config_has_changed(&changed, OPTION_hz));
    assert_false(config_has_changed(&changed, OPTION_port));
    const char *const bad[] = {"maxmemory", "1", "requirepass", "x", "timeout", "-1"};
    assert_int_equal(set_pairs(bad, 3, NULL, NULL, &changed), CONFIG_INVALID);
    assert_int_equal(options.maxmemory, 100 << 20);
    assert_string_equal(options.requirepass, "");
    check_text_is(&error, "CONFIG SET failed (possibly related to argument 'timeout') - argument "
                          "must be between 0 and 2147483647 inclusive");
}

static void test_set_brings_into_range(void **state) {
    (void)state;
    assert_int_equal(set("hz", "0"), CONFIG_OK);
    assert_int_equal(options.hz, 1);
    assert_int_equal(set("hz", "100000"), CONFIG_OK);
    assert_int_equal(options.hz, 500);
    assert_int_equal(set("repl-backlog-size", "1"), CONFIG_OK);
    assert_int_equal(options.repl_backlog_size, 16384);
}

static void test_set_values(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"maxmemory", "1k", "1000"},
        {"maxmemory", "1kb", "1024"},
        {"maxmemory", "1M", "1000000"},
        {"maxmemory", "1mB", "1048576"},
        {"maxmemory", "2g", "2000000000"},
        {"maxmemory", "2GB", "2147483648"},
        {"maxmemory", "5b", "5"},
        {"maxmemory", "007", "7"},
        {"maxmemory", "9223372036854775807", "9223372036854775807"},
        {"maxmemory-clients", "5%", "5%"},
        {"maxmemory-clients", "0%", "0"},
        {"maxmemory-clients", "1mb", "1048576"},
        {"notify-keyspace-events", "KEA", "AKE"},
        {"notify-keyspace-events", "gxE", "gxE"},
        {"notify-keyspace-events", "g$lshzxetdKm", "AKm"},
        {"notify-keyspace-events", "KEmn", "nKEm"},
        {"notify-keyspace-events", "", ""},
        {"client-output-buffer-limit", "replica 1mb 2kb 5 NORMAL 1 2 3",
         "normal 1 2 3 slave 1048576 2048 5 pubsub 33554432 8388608 60"},
        {"client-output-buffer-limit", "normal 1 2 3 normal 4 5 6",
         "normal 4 5 6 slave 1048576 2048 5 pubsub 33554432 8388608 60"},
        {"client-output-buffer-limit", "",
         "normal 4 5 6 slave 1048576 2048 5 pubsub 33554432 8388608 60"},
        {"latency-tracking-info-percentiles", "50.5 99.99 1e1", "50.5 99.99 10"},
        {"latency-tracking-info-percentiles", "", ""},
        {"shutdown-on-sigint", "now default save", "save now"},
        {"save", "60 1 30 2", "60 1 30 2"},
        {"bind", "", ""},
        {"mesh-seeds", "", ""},
        {"mesh-seeds", "[::1]:17001 eu.example.org:1", "[::1]:17001 eu.example.org:1"},
        {"mesh-max-frame", "16kb", "16384"},
        {"bind", "127.0.0.1 ::1", "127.0.0.1 ::1"},
        {"requirepass", "a b", "a b"},
        {"loglevel", "DEBUG", "debug"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (set(cases[i][0], cases[i][1]) != CONFIG_OK) {
            fail_msg("%s '%s': %s", cases[i][0], cases[i][1], buffer_text(&error));
        }
        check_value(&options, cases[i][0], cases[i][2]);
    }
}

static void test_set_zero_byte(void **state) {
    (void)state;
    const struct slice pair[] = {SLICE("requirepass"), slice_make("a\0b", 3)};
    struct config_set_request request = {.names_values = pair, .pairs_count = 1};
    assert_int_equal(config_set_many(&options, &request, NULL, &error), CONFIG_INVALID);
    assert_string_equal(options.requirepass, "");
    buffer_clear(&error);
}

static void test_set_protected(void **state) {
    (void)state;
    const struct slice pair[] = {SLICE("dir"), SLICE("/tmp")};
    struct config_set_request request = {.names_values = pair, .pairs_count = 1};
    options.enable_protected_configs = OPTION_ACCESS_LOCAL;
    assert_int_equal(config_set_many(&options, &request, NULL, &error), CONFIG_INVALID);
    buffer_clear(&error);
    request.is_local = true;
    assert_int_equal(config_set_many(&options, &request, NULL, &error), CONFIG_OK);
    assert_string_equal(options.dir, "/tmp");
    options.enable_protected_configs = OPTION_ACCESS_YES;
    request.is_local = false;
    assert_int_equal(config_set_many(&options, &request, NULL, &error), CONFIG_OK);
    const struct slice path[] = {SLICE("dbfilename"), SLICE("a/b")};
    request.names_values = path;
    assert_int_equal(config_set_many(&options, &request, NULL, &error), CONFIG_INVALID);
    check_text_is(&error, "CONFIG SET failed (possibly related to argument 'dbfilename') - "
                          "dbfilename can't be a path, just a filename");
}

/* ---- The hook ---- */

struct world {
    int64_t port;
    char requirepass[32];
    int calls;
    enum option_id guilty;
};

/* Takes everything over but ports above 9000. */
static bool world_apply(void *udata, const struct options *now, const struct config_change *changed,
                        struct buffer *reason, enum option_id *guilty) {
    struct world *world = udata;
    world->calls++;
    if (config_has_changed(changed, OPTION_requirepass)) {
        snprintf(world->requirepass, sizeof(world->requirepass), "%s", now->requirepass);
    }
    if (config_has_changed(changed, OPTION_port)) {
        if (now->port > 9000) {
            buffer_append_slice(reason, SLICE("Unable to listen on this port. Check server logs."));
            *guilty = world->guilty;
            return false;
        }
        world->port = now->port;
    }
    return true;
}

static void test_hook(void **state) {
    (void)state;
    struct world world = {.port = 6379, .guilty = OPTION_port};
    const char *const good[] = {"port", "7000", "requirepass", "old"};
    assert_int_equal(set_pairs(good, 2, world_apply, &world, NULL), CONFIG_OK);
    assert_int_equal(world.port, 7000);
    assert_int_equal(world.calls, 1);
    const char *const bad[] = {"requirepass", "new", "port", "9999"};
    assert_int_equal(set_pairs(bad, 2, world_apply, &world, NULL), CONFIG_INVALID);
    check_text_is(&error, "CONFIG SET failed (possibly related to argument 'port') - Unable to "
                          "listen on this port. Check server logs.");
    assert_int_equal(options.port, 7000);
    assert_string_equal(options.requirepass, "old");
    assert_string_equal(world.requirepass, "old");
    assert_int_equal(world.port, 7000);
    assert_int_equal(world.calls, 3);
    world.guilty = OPTIONS_COUNT;
    assert_int_equal(set_pairs(bad, 2, world_apply, &world, NULL), CONFIG_INVALID);
    check_text_is(&error, "CONFIG SET failed - Unable to listen on this port. Check server logs.");
}

static void test_hook_not_called_without_change(void **state) {
    (void)state;
    struct world world = {0};
    const char *const same[] = {"port", "6379"};
    assert_int_equal(set_pairs(same, 1, world_apply, &world, NULL), CONFIG_OK);
    assert_int_equal(world.calls, 0);
}

/* A text that a set did not touch stays where it was. */
static void test_untouched_text_stays(void **state) {
    (void)state;
    const char *before = options.requirepass;
    assert_int_equal(set("hz", "20"), CONFIG_OK);
    assert_ptr_equal(options.requirepass, before);
}

static void test_sensitive(void **state) {
    (void)state;
    assert_true(config_is_sensitive(SLICE("RequirePass")));
    assert_true(config_is_sensitive(SLICE("masterauth")));
    assert_true(config_is_sensitive(SLICE("tls-key-file-pass")));
    assert_false(config_is_sensitive(SLICE("port")));
    assert_false(config_is_sensitive(SLICE("nosuch")));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_get),
        TEST(test_get_hidden),
        TEST(test_get_all),
        TEST(test_set_every_row_again),
        TEST(test_set_every_row_anew),
        TEST(test_set_errors),
        TEST(test_set_names),
        TEST(test_set_many),
        TEST(test_set_brings_into_range),
        TEST(test_set_values),
        TEST(test_set_zero_byte),
        TEST(test_set_protected),
        TEST(test_hook),
        TEST(test_hook_not_called_without_change),
        TEST(test_untouched_text_stays),
        TEST(test_sensitive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
