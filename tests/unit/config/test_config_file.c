/* SPDX-License-Identifier: BSD-3-Clause */
/* Files and the command line: syntax, includes and their limits, what wins over what, and
 * messages that say where and why. */
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

static void load(const char *text) {
    if (config_load_text(&options, slice_of(text), "test.conf", NULL, &error) != CONFIG_OK) {
        fail_msg("%s", buffer_text(&error));
    }
}

static void check_refused(const char *text, const char *expected) {
    assert_int_equal(config_load_text(&options, slice_of(text), "test.conf", NULL, &error),
                     CONFIG_INVALID);
    check_text_is(&error, expected);
}

static void test_load(void **state) {
    (void)state;
    load("# a comment\n"
         "\n"
         "   # another\n"
         "port 7001\r\n"
         "  MAXMEMORY   2gb\t\n"
         "\"hz\" 20\n"
         "requirepass \"with blank and \\x41\\n\"\n"
         "logfile 'a b'\n"
         "slave-read-only no\n"
         "hash-max-ziplist-entries 7\n"
         "bind 127.0.0.1 -::1\n"
         "list-max-ziplist-entries 5\n"
         "unixsocketperm 700\n"
         "rename-command CONFIG \"\"\n"
         "rename-command DEBUG secret\n"
         "replicaof no one\n"
         "shutdown-on-sigterm nosave now\n"
         "appendonly yes"); /* the last line has no end */
    check_value(&options, "port", "7001");
    check_value(&options, "maxmemory", "2147483648");
    check_value(&options, "hz", "20");
    check_value(&options, "requirepass", "with blank and A\n");
    check_value(&options, "logfile", "a b");
    check_value(&options, "replica-read-only", "no");
    check_value(&options, "hash-max-listpack-entries", "7");
    check_value(&options, "bind", "127.0.0.1 -::1");
    check_value(&options, "unixsocketperm", "700");
    check_value(&options, "replicaof", "");
    check_value(&options, "appendonly", "yes");
    check_value(&options, "shutdown-on-sigterm", "nosave now");
    assert_int_equal(options.unixsocketperm, 0700);
    assert_int_equal(options.rename_command.count, 4);
    assert_string_equal(options.rename_command.words[0], "CONFIG");
    assert_string_equal(options.rename_command.words[1], "");
    assert_string_equal(options.rename_command.words[3], "secret");
}

static void test_save(void **state) {
    (void)state;
    load("hz 5\n");
    check_value(&options, "save", "3600 1 300 100 60 10000");
    load("save 100 1\nsave 200 2\n");
    check_value(&options, "save", "100 1 200 2");
    load("save 100 1 300 3\n");
    check_value(&options, "save", "100 1 300 3");
    load("save \"900 1\"\nsave \"60 2 30 3\"\n");
    check_value(&options, "save", "900 1 60 2 30 3");
    load("save 100 1\nsave \"\"\n");
    check_value(&options, "save", "");
    load("save 100 1\nsave \"\"\nsave 5 5\n");
    check_value(&options, "save", "5 5");
}

static void test_output_limits(void **state) {
    (void)state;
    load("client-output-buffer-limit normal 1mb 2mb 3\n"
         "client-output-buffer-limit replica 1kb 2k 3\n");
    check_value(&options, "client-output-buffer-limit",
                "normal 1048576 2097152 3 slave 1024 2000 3 pubsub 33554432 8388608 60");
}

static void test_messages(void **state) {
    (void)state;
    check_refused("\nport 1\nport abc\nport 2\n",
                  "test.conf, line 3: 'port abc': argument couldn't be parsed into an integer");
    check_value(&options, "port", "1");
    check_refused("maxmemroy 5", "test.conf, line 1: 'maxmemroy 5': unknown option 'maxmemroy', "
                                 "did you mean 'maxmemory'?");
    check_refused("maxmemory_samples 5",
                  "test.conf, line 1: 'maxmemory_samples 5': unknown option 'maxmemory_samples', "
                  "did you mean 'maxmemory-samples'?");
    check_refused("slave-read-onyl no",
                  "test.conf, line 1: 'slave-read-onyl no': unknown option 'slave-read-onyl', "
                  "did you mean 'slave-read-only'?");
    check_refused("and 1", "test.conf, line 1: 'and 1': unknown option 'and'");
    check_refused("quux 1", "test.conf, line 1: 'quux 1': unknown option 'quux'");
    check_refused("\r\n  hz x \r\n",
                  "test.conf, line 2: 'hz x': argument couldn't be parsed into an "
                  "integer");
    check_refused("hz", "test.conf, line 1: 'hz': wrong number of arguments");
    check_refused("hz 10 11", "test.conf, line 1: 'hz 10 11': wrong number of arguments");
    check_refused("hz 5 # x", "test.conf, line 1: 'hz 5 # x': wrong number of arguments");
    check_refused("hz \"10", "test.conf, line 1: 'hz \"10': unbalanced quotes");
    check_refused("hz \"10\"x", "test.conf, line 1: 'hz \"10\"x': unbalanced quotes");
    check_refused("save 1", "test.conf, line 1: 'save 1': Invalid save parameters");
    check_refused("unixsocketperm 999", "test.conf, line 1: 'unixsocketperm 999': argument "
                                        "couldn't be parsed as an octal number");
    check_refused("unixsocketperm 1000", "test.conf, line 1: 'unixsocketperm 1000': argument must "
                                         "be between 0 and 777 inclusive");
    check_refused("rename-command GET",
                  "test.conf, line 1: 'rename-command GET': wrong number of arguments");
    check_refused("replicaof a", "test.conf, line 1: 'replicaof a': wrong number of arguments");
    check_refused("replicaof a b", "test.conf, line 1: 'replicaof a b': Invalid master port");
    check_refused("loadmodule /x.so",
                  "test.conf, line 1: 'loadmodule /x.so': modules are not supported");
    check_refused("user default off",
                  "test.conf, line 1: 'user default off': access lists are not enforced by this "
                  "version, and unsafe to ignore");
    check_refused("aclfile /x", "test.conf, line 1: 'aclfile /x': not supported by this version, "
                                "and unsafe to ignore");
    load("aclfile \"\"");
    check_refused("include x", "test.conf, line 1: 'include x': include is not possible here");
    check_refused("hz \x01\x02", "test.conf, line 1: 'hz \\x01\\x02': argument couldn't be parsed "
                                 "into an integer");
}

static void test_long_line_is_cut(void **state) {
    (void)state;
    struct buffer line = {0};
    buffer_append_slice(&line, SLICE("hz "));
    for (int i = 0; i < 100000; i++) {
        buffer_append_byte(&line, 'x');
    }
    assert_int_equal(config_load_text(&options, buffer_slice(&line), "test.conf", NULL, &error),
                     CONFIG_INVALID);
    assert_true(error.size < 400);
    assert_non_null(strstr(buffer_text(&error), "xxx...': "));
    buffer_deinit(&line);
}

/* ---- Includes ---- */

static void test_include(void **state) {
    (void)state;
    struct fixture_file files[] = {
        {"a.conf", "hz 20\nsave 5 5\n"},
        {"d/1.conf", "port 1\ntimeout 1\n"},
        {"d/2.conf", "port 2\ninclude a.conf\n"},
        {"bad.conf", "\nhz x\n"},
        {NULL, NULL},
    };
    struct config_reader reader = fixture_reader(files);
    struct slice text = SLICE("hz 10\nsave 1 1\ninclude d/*.conf\ninclude none*.conf\n");
    assert_int_equal(config_load_text(&options, text, "main", &reader, &error), CONFIG_OK);
    check_value(&options, "hz", "20");
    check_value(&options, "port", "2");
    check_value(&options, "timeout", "1");
    check_value(&options, "save", "1 1 5 5");
    text = SLICE("include bad.conf\n");
    assert_int_equal(config_load_text(&options, text, "main", &reader, &error), CONFIG_INVALID);
    check_text_is(&error, "bad.conf, line 2: 'hz x': argument couldn't be parsed into an integer");
    text = SLICE("hz 1\ninclude missing.conf\n");
    assert_int_equal(config_load_text(&options, text, "main", &reader, &error), CONFIG_INVALID);
    check_text_is(&error, "main, line 2: 'include missing.conf': No such file or directory");
    text = SLICE("include\n");
    assert_int_equal(config_load_text(&options, text, "main", &reader, &error), CONFIG_INVALID);
    check_text_is(&error, "main, line 1: 'include': wrong number of arguments");
    text = SLICE("include \"\"\n");
    assert_int_equal(config_load_text(&options, text, "main", &reader, &error), CONFIG_INVALID);
    check_text_is(&error, "main, line 1: 'include \"\"': not a path");
}

static void test_include_limits(void **state) {
    (void)state;
    struct fixture_file loop[] = {{"self.conf", "hz 7\ninclude self.conf\n"}, {NULL, NULL}};
    struct config_reader reader = fixture_reader(loop);
    struct slice text = SLICE("include self.conf\n");
    assert_int_equal(config_load_text(&options, text, "main", &reader, &error), CONFIG_INVALID);
    check_text_is(&error, "self.conf, line 2: 'include self.conf': includes are nested deeper than "
                          "16; does a file include itself?");
    /* Sixteen deep is allowed: each file includes the next. */
    char paths[CONFIG_INCLUDE_DEPTH_MAX][16];
    char texts[CONFIG_INCLUDE_DEPTH_MAX][64];
    struct fixture_file chain[CONFIG_INCLUDE_DEPTH_MAX + 1] = {{NULL, NULL}};
    for (int i = 0; i < CONFIG_INCLUDE_DEPTH_MAX; i++) {
        bool is_last = i == CONFIG_INCLUDE_DEPTH_MAX - 1;
        snprintf(paths[i], sizeof(paths[i]), "f%d", i);
        snprintf(texts[i], sizeof(texts[i]), is_last ? "port %d\n" : "include f%d\n", i + 1);
        chain[i] = (struct fixture_file){paths[i], texts[i]};
    }
    reader = fixture_reader(chain);
    text = SLICE("include f0\n");
    assert_int_equal(config_load_text(&options, text, "main", &reader, &error), CONFIG_OK);
    check_value(&options, "port", "16");
    /* Two includes in each file of a tree would be 2^16 files. */
    for (int i = 0; i < CONFIG_INCLUDE_DEPTH_MAX - 1; i++) {
        snprintf(texts[i], sizeof(texts[i]), "include f%d\ninclude f%d\n", i + 1, i + 1);
    }
    assert_int_equal(config_load_text(&options, text, "main", &reader, &error), CONFIG_INVALID);
    assert_non_null(strstr(buffer_text(&error), "more than 1024 files are included"));
}

/* ---- The command line ---- */

static enum config_status parse(struct fixture_file *files, const char *const *words) {
    struct config_reader reader = fixture_reader(files);
    char *argv[32] = {"starling-server"};
    int argc = 1;
    for (; *words != NULL; words++) {
        argv[argc++] = (char *)(uintptr_t)*words;
    }
    return config_parse_arguments(&options, argc, argv, &reader, &error);
}

#define PARSE(files, ...) parse(files, (const char *const[]){__VA_ARGS__, NULL})

static void check_parsed(enum config_status status) {
    if (status != CONFIG_OK) {
        fail_msg("%s", buffer_text(&error));
    }
}

static void test_arguments(void **state) {
    (void)state;
    struct fixture_file none[] = {{NULL, NULL}};
    char *argv[] = {"starling-server", NULL};
    assert_int_equal(config_parse_arguments(&options, 1, argv, NULL, &error), CONFIG_OK);
    check_parsed(PARSE(none, "--port", "7001", "--bind", "127.0.0.1", "::1", "--save", "900", "1",
                       "--save", "60", "100", "--list-max-listpack-size", "-5", "--mesh-seeds",
                       "127.0.0.1:17002 eu.example.org:17001", "[::1]:17003"));
    check_value(&options, "mesh-seeds", "127.0.0.1:17002 eu.example.org:17001 [::1]:17003");
    check_value(&options, "port", "7001");
    check_value(&options, "bind", "127.0.0.1 ::1");
    check_value(&options, "save", "900 1 60 100");
    check_value(&options, "list-max-listpack-size", "-5");
    check_parsed(PARSE(none, "--save", ""));
    check_value(&options, "save", "");
    check_parsed(PARSE(none, "--save", "60 5"));
    check_value(&options, "save", "60 5");
    check_parsed(PARSE(none, "--save", "--port", "7002"));
    check_value(&options, "save", "");
    check_value(&options, "port", "7002");
    check_parsed(PARSE(none, "--logfile", "--odd", "--port", "7003"));
    check_value(&options, "logfile", "--odd");
    check_value(&options, "port", "7003");
    check_parsed(PARSE(none, "--maxmemory 1mb", "--save '60 5'", "--port", "7004"));
    check_value(&options, "maxmemory", "1048576");
    check_value(&options, "save", "60 5");
    check_value(&options, "port", "7004");
    struct fixture_file empty[] = {{"empty", ""}, {NULL, NULL}};
    check_parsed(PARSE(empty, "empty", "port", "7005", "--hz 20"));
    check_value(&options, "port", "7005");
    check_value(&options, "hz", "20");
    check_parsed(PARSE(none, "--client-output-buffer-limit", "normal", "1", "2", "3",
                       "--client-output-buffer-limit", "pubsub", "4", "5", "6"));
    check_value(&options, "client-output-buffer-limit",
                "normal 1 2 3 slave 268435456 67108864 60 pubsub 4 5 6");
}

static void test_arguments_win(void **state) {
    (void)state;
    struct fixture_file files[] = {
        {"my.conf", "port 1\nsave 1 1\nsave 2 2\nhz 20\ninclude more.conf\n"},
        {"more.conf", "timeout 3\n"},
        {"-", "port 5\nhz 30\n"},
        {NULL, NULL},
    };
    check_parsed(PARSE(files, "my.conf", "--port", "2", "--save", "3", "3"));
    check_value(&options, "port", "2");
    check_value(&options, "save", "1 1 2 2 3 3"); /* adds, as a further line would */
    check_value(&options, "hz", "20");
    check_value(&options, "timeout", "3");
    assert_string_equal(options.config_file, "my.conf");
    check_parsed(PARSE(files, "-", "--port", "6"));
    check_value(&options, "port", "6");
    check_value(&options, "hz", "30");
    assert_string_equal(options.config_file, "");
    check_parsed(PARSE(files, "my.conf", "--timeout", "9", "-"));
    check_value(&options, "hz", "30");
    check_value(&options, "port", "5");
    check_value(&options, "timeout", "9");
    assert_string_equal(options.config_file, "my.conf");
}

static void test_arguments_refused(void **state) {
    (void)state;
    struct fixture_file none[] = {{"empty", ""}, {NULL, NULL}};
    assert_int_equal(PARSE(none, "--port"), CONFIG_INVALID);
    check_text_is(&error, "command line: 'port': wrong number of arguments");
    assert_int_equal(PARSE(none, "--port", "70000"), CONFIG_INVALID);
    check_text_is(&error, "command line: 'port \"70000\"': argument must be between 0 and 65535 "
                          "inclusive");
    assert_int_equal(PARSE(none, "--prot", "7000"), CONFIG_INVALID);
    check_text_is(&error,
                  "command line: 'prot \"7000\"': unknown option 'prot', did you mean 'port'?");
    assert_int_equal(PARSE(none, "--maxmemory", "1mb", "2mb"), CONFIG_INVALID);
    check_text_is(&error, "command line: 'maxmemory \"1mb\" \"2mb\"': wrong number of arguments");
    assert_int_equal(PARSE(none, "missing.conf"), CONFIG_INVALID);
    check_text_is(&error, "command line: 'missing.conf': No such file or directory");
    assert_int_equal(PARSE(none, "empty", "prot", "7000"), CONFIG_INVALID);
    check_text_is(&error, "command line: 'prot': an option begins with --");
}

static void test_modes(void **state) {
    (void)state;
    const char *directory = NULL;
    char *help[] = {"x", "--help"};
    char *version[] = {"x", "-v"};
    char *check[] = {"x", "--check", "/data"};
    char *repair[] = {"x", "--repair"};
    char *print[] = {"x", "--print-config"};
    char *serve[] = {"x", "--port", "1"};
    assert_int_equal(config_arguments_mode(2, help, &directory), CONFIG_MODE_HELP);
    assert_int_equal(config_arguments_mode(2, version, &directory), CONFIG_MODE_VERSION);
    assert_int_equal(config_arguments_mode(2, repair, &directory), CONFIG_MODE_INVALID);
    assert_int_equal(config_arguments_mode(2, print, &directory), CONFIG_MODE_PRINT_CONFIG);
    assert_int_equal(config_arguments_mode(3, serve, &directory), CONFIG_MODE_SERVE);
    assert_int_equal(config_arguments_mode(1, serve, &directory), CONFIG_MODE_SERVE);
    assert_null(directory);
    assert_int_equal(config_arguments_mode(3, check, &directory), CONFIG_MODE_CHECK);
    assert_string_equal(directory, "/data");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_load),
        TEST(test_save),
        TEST(test_output_limits),
        TEST(test_messages),
        TEST(test_long_line_is_cut),
        TEST(test_include),
        TEST(test_include_limits),
        TEST(test_arguments),
        TEST(test_arguments_win),
        TEST(test_arguments_refused),
        TEST(test_modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
