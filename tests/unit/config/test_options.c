/* SPDX-License-Identifier: BSD-3-Clause */
/* The table: its rows make sense, defaults are Redis's, copies are independent. */
#include "config_fixture.h"

static void test_rows(void **state) {
    (void)state;
    for (int id = 0; id < OPTIONS_COUNT; id++) {
        const struct option_row *row = option_row((enum option_id)id);
        if (option_find(slice_of(row->name)) != (enum option_id)id) {
            fail_msg("two options are called '%s'", row->name);
        }
        if (row->alias != NULL && option_find(slice_of(row->alias)) != (enum option_id)id) {
            fail_msg("two options are called '%s'", row->alias);
        }
        size_t help_size = strlen(row->help);
        if (help_size < 10 || row->help[help_size - 1] != '.') {
            fail_msg("'%s' has no sentence of help", row->name);
        }
        if (strlen(row->name) > 60) {
            fail_msg("'%s' is too long for suggestions", row->name);
        }
        assert_true(row->min <= row->max);
    }
}

/* A line for each default that programs rely on. */
static void test_defaults(void **state) {
    (void)state;
    struct options options;
    options_init(&options);
    static const char *const expected[][2] = {
        {"bind", "* -::*"},
        {"port", "6379"},
        {"maxclients", "10000"},
        {"databases", "16"},
        {"save", "3600 1 300 100 60 10000"},
        {"appendonly", "no"},
        {"appendfsync", "everysec"},
        {"maxmemory", "0"},
        {"maxmemory-policy", "noeviction"},
        {"client-output-buffer-limit",
         "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"},
        {"proto-max-bulk-len", "536870912"},
        {"client-query-buffer-limit", "1073741824"},
        {"auto-aof-rewrite-min-size", "67108864"},
        {"unixsocketperm", "0"},
        {"notify-keyspace-events", ""},
        {"latency-tracking-info-percentiles", "50 99 99.9"},
        {"oom-score-adj-values", "0 200 800"},
        {"shutdown-on-sigterm", "default"},
        {"hash-max-ziplist-entries", "512"},
        {"hash-max-listpack-value", "64"},
        {"slave-priority", "100"},
        {"lua-time-limit", "5000"},
        {"enable-debug-command", "no"},
        {"requirepass", ""},
        {"mesh-port", "0"},
        {"mesh-cluster-id", "starling"},
        {"mesh-backlog-size", "67108864"},
        {"mesh-min-peers-to-write", "0"},
        {"loglevel", "notice"},
        {"replicaof", ""},
        {"maxmemory-clients", "0"},
        {"log-segment-size", "67108864"},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        check_value(&options, expected[i][0], expected[i][1]);
    }
    assert_int_equal(options.port, 6379);
    assert_int_equal(options.bind.count, 2);
    assert_string_equal(options.bind.words[1], "-::*");
    assert_int_equal(options.save.count, 3);
    assert_int_equal(options.save.points[1].seconds, 300);
    assert_int_equal(options.save.points[1].changes, 100);
    assert_int_equal(options.client_output_buffer_limit.classes[OPTION_CLIENT_PUBSUB].hard_bytes,
                     32 << 20);
    assert_string_equal(options.config_file, "");
    options_deinit(&options);
}

/* The enumerations that code uses agree with the words of the rows. */
static void test_enumerations(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *word;
        int value;
    } words[] = {
        {"loglevel", "debug", OPTION_LOGLEVEL_DEBUG},
        {"loglevel", "verbose", OPTION_LOGLEVEL_VERBOSE},
        {"loglevel", "notice", OPTION_LOGLEVEL_NOTICE},
        {"loglevel", "warning", OPTION_LOGLEVEL_WARNING},
        {"loglevel", "nothing", OPTION_LOGLEVEL_NOTHING},
        {"appendfsync", "everysec", OPTION_APPENDFSYNC_EVERYSEC},
        {"appendfsync", "always", OPTION_APPENDFSYNC_ALWAYS},
        {"appendfsync", "no", OPTION_APPENDFSYNC_NO},
        {"maxmemory-policy", "volatile-lru", OPTION_MAXMEMORY_VOLATILE_LRU},
        {"maxmemory-policy", "volatile-lfu", OPTION_MAXMEMORY_VOLATILE_LFU},
        {"maxmemory-policy", "volatile-random", OPTION_MAXMEMORY_VOLATILE_RANDOM},
        {"maxmemory-policy", "volatile-ttl", OPTION_MAXMEMORY_VOLATILE_TTL},
        {"maxmemory-policy", "allkeys-lru", OPTION_MAXMEMORY_ALLKEYS_LRU},
        {"maxmemory-policy", "allkeys-lfu", OPTION_MAXMEMORY_ALLKEYS_LFU},
        {"maxmemory-policy", "allkeys-random", OPTION_MAXMEMORY_ALLKEYS_RANDOM},
        {"maxmemory-policy", "noeviction", OPTION_MAXMEMORY_NOEVICTION},
        {"tls-auth-clients", "no", OPTION_TLS_AUTH_CLIENTS_NO},
        {"tls-auth-clients", "yes", OPTION_TLS_AUTH_CLIENTS_YES},
        {"tls-auth-clients", "optional", OPTION_TLS_AUTH_CLIENTS_OPTIONAL},
        {"enable-debug-command", "no", OPTION_ACCESS_NO},
        {"enable-debug-command", "yes", OPTION_ACCESS_YES},
        {"enable-debug-command", "local", OPTION_ACCESS_LOCAL},
        {"enable-protected-configs", "local", OPTION_ACCESS_LOCAL},
    };
    struct options options;
    struct buffer error = {0};
    options_init(&options);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        enum option_id id = option_find(slice_of(words[i].name));
        assert_int_equal(config_set_text(&options, id, slice_of(words[i].word), &error), CONFIG_OK);
        assert_int_equal(*(int *)option_field(&options, id), words[i].value);
        check_value(&options, words[i].name, words[i].word);
    }
    options_deinit(&options);
}

static void test_dup(void **state) {
    (void)state;
    struct options options;
    struct options copy;
    struct buffer error = {0};
    options_init(&options);
    options_set_config_file(&options, "/etc/starling.conf");
    assert_int_equal(config_set_text(&options, OPTION_requirepass, SLICE("secret"), &error), 0);
    options_dup(&options, &copy);
    for (int id = 0; id < OPTIONS_COUNT; id++) {
        assert_true(option_is_equal(&options, &copy, (enum option_id)id));
    }
    assert_int_equal(config_set_text(&options, OPTION_bind, SLICE("::1"), &error), 0);
    options_deinit(&options);
    assert_string_equal(copy.requirepass, "secret");
    assert_string_equal(copy.config_file, "/etc/starling.conf");
    assert_int_equal(copy.bind.count, 2);
    assert_false(copy.requirepass == NULL);
    options_deinit(&copy);
}

static void test_find(void **state) {
    (void)state;
    assert_int_equal(option_find(SLICE("MaxMemory")), OPTION_maxmemory);
    assert_int_equal(option_find(SLICE("slave-read-only")), OPTION_replica_read_only);
    assert_int_equal(option_find(SLICE("maxmemor")), OPTIONS_COUNT);
    assert_int_equal(option_find(SLICE("")), OPTIONS_COUNT);
    assert_string_equal(options_name(OPTION_busy_reply_threshold), "busy-reply-threshold");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_enumerations), cmocka_unit_test(test_dup),
        cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
