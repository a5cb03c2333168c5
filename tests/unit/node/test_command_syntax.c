/* SPDX-License-Identifier: BSD-3-Clause */
/* Syntax texts become trees of arguments: exact cases, written out as text; malformed ones; random
 * ones, which must give a sound tree or be refused; and the rows of all commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "node/command_syntax.h"
#include "node/node.h"
#include "unit/seed.h"

/* "TOKEN=name:type#spec?*T", a group as "{...}:type". */
static void render(struct buffer *text, const struct command_syntax *syntax, int first) {
    for (int i = first; i >= 0; i = syntax->arguments[i].next) {
        assert_true((size_t)i < syntax->arguments_count);
        const struct command_argument *argument = &syntax->arguments[i];
        if (i != first) {
            buffer_append_byte(text, ' ');
        }
        if (argument->token.size > 0) {
            buffer_append_slice(text, argument->token);
            buffer_append_byte(text, '=');
        }
        if (argument->first_child >= 0) {
            buffer_append_byte(text, '{');
            render(text, syntax, argument->first_child);
            buffer_append_byte(text, '}');
        } else {
            buffer_append_slice(text, argument->name);
        }
        buffer_printf(text, ":%s", command_syntax_type_name(argument->type));
        if (argument->key_spec_index >= 0) {
            buffer_printf(text, "#%d", argument->key_spec_index);
        }
        buffer_printf(text, "%s%s%s", (argument->flags & ARGUMENT_OPTIONAL) != 0 ? "?" : "",
                      (argument->flags & ARGUMENT_MULTIPLE) != 0 ? "*" : "",
                      (argument->flags & ARGUMENT_MULTIPLE_TOKEN) != 0 ? "T" : "");
    }
}

static void test_exact(void **state) {
    (void)state;
    static const struct {
        const char *command, *syntax;
        int key_specs_count;
        const char *tree;
    } cases[] = {
        {"ping", "", 0, ""},
        {"get", "key", 1, "key:key#0"},
        {"del", "key [key ...]", 1, "key:key#0*"},
        {"mset", "key value [key value ...]", 1, "{key:key#0 value:string}:block*"},
        {"rename", "key newkey", 2, "key:key#0 newkey:key#1"},
        {"lcs", "key1 key2 [LEN]", 1, "key1:key#0 key2:key#0 LEN=LEN:pure-token?"},
        {"ping", "[message]", 0, "message:string?"},
        {"pfadd", "key [element [element ...]]", 1, "key:key#0 element:string?*"},
        {"sort", "key [BY by-pattern] [GET get-pattern] [STORE destination]", 3,
         "key:key#0 BY=by-pattern:pattern#1? GET=get-pattern:pattern#1? "
         "STORE=destination:key#2?"},
        {"zcount", "key min max", 1, "key:key#0 min:double max:double"},
        {"zlexcount", "key min max", 1, "key:key#0 min:string max:string"},
        {"expire", "key seconds [NX | XX]", 1,
         "key:key#0 seconds:integer {NX=NX:pure-token XX=XX:pure-token}:oneof?"},
        {"getex", "key [EX seconds | EXAT unix-time-seconds | PERSIST]", 1,
         "key:key#0 {EX=seconds:integer EXAT=unix-time-seconds:unix-time "
         "PERSIST=PERSIST:pure-token}:oneof?"},
        {"bitop", "AND | OR | NOT destkey key [key ...]", 2,
         "{AND=AND:pure-token OR=OR:pure-token NOT=NOT:pure-token}:oneof destkey:key#0 key:key#1*"},
        {"bitcount", "key [start end [BYTE | BIT]]", 1,
         "key:key#0 {start:integer end:integer {BYTE=BYTE:pure-token BIT=BIT:pure-token}:oneof?}"
         ":block?"},
        {"bitfield_ro", "key [GET encoding offset [GET encoding offset ...]]", 1,
         "key:key#0 GET={encoding:string offset:integer}:block?*T"},
        {"command|list", "[FILTERBY <MODULE module-name | PATTERN pattern>]", 0,
         "FILTERBY={MODULE=module-name:string PATTERN=pattern:pattern}:oneof?"},
        {"client|list", "[ID client-id [client-id ...]]", 0, "ID={client-id:integer*}:block?"},
        {"x", "[A a | B b [A a | B b ...]]", 0, "{A=a:string B=b:string}:oneof?*"},
        {"hello", "[protover [AUTH username password]]", 0,
         "{protover:integer AUTH={username:string password:string}:block?}:block?"},
        {"migrate", "port <key | \"\"> [KEYS key [key ...]]", 2,
         "port:integer {key:key#0 \"\"=\"\":pure-token}:oneof KEYS={key:key#1*}:block?"},
        {"incrby", "key increment", 1, "key:key#0 increment:integer"},
        {"incrbyfloat", "key increment", 1, "key:key#0 increment:double"},
        {"setbit", "key offset value", 1, "key:key#0 offset:integer value:integer"},
        {"set", "key value", 1, "key:key#0 value:string"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct command_syntax syntax;
        struct buffer tree = {0};
        assert_true(command_syntax_parse(&syntax, cases[i].command, cases[i].syntax,
                                         cases[i].key_specs_count));
        render(&tree, &syntax, syntax.first);
        assert_string_equal(buffer_text(&tree), cases[i].tree);
        buffer_deinit(&tree);
    }
}

static void test_malformed(void **state) {
    (void)state;
    static const char *const texts[] = {
        "[key",
        "key]",
        "<A | B",
        "A >",
        "key ...",
        "[]",
        "[A | ]",
        "| A",
        "<>",
        "[<key]>",
        "[[[[[[[[[[[[[key]]]]]]]]]]]]]",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct command_syntax syntax;
        assert_false(command_syntax_parse(&syntax, "x", texts[i], 1));
    }
    struct buffer many = {0};
    for (int i = 0; i <= COMMAND_SYNTAX_ARGUMENTS_MAX; i++) {
        buffer_printf(&many, "a%d ", i);
    }
    struct command_syntax syntax;
    assert_false(command_syntax_parse(&syntax, "x", buffer_text(&many), 1));
    buffer_deinit(&many);
}

static void test_random(void **state) {
    (void)state;
    static const char *const words[] = {"[",  "]",   "<",  ">",     "|", "...", "key",
                                        "AB", "key", "CD", "value", "[", "]",   "ID"};
    struct prng prng;
    seed_prng(&prng, "command_syntax", 0);
    unsigned accepted = 0;
    for (int round = 0; round < 200000; round++) {
        struct buffer text = {0}, tree = {0};
        for (uint64_t left = prng_below(&prng, 12); left > 0; left--) {
            buffer_printf(&text, "%s ", words[prng_below(&prng, sizeof(words) / sizeof(words[0]))]);
        }
        struct command_syntax syntax;
        if (command_syntax_parse(&syntax, "x", buffer_text(&text), 1)) {
            render(&tree, &syntax, syntax.first);
            accepted++;
        }
        buffer_deinit(&text);
        buffer_deinit(&tree);
    }
    assert_true(accepted > 1000);
}

static void test_all_commands(void **state) {
    (void)state;
    const struct command_family *families[] = {
        &cmd_string_family,   &cmd_bitmap_family, &cmd_hyperloglog_family,
        &cmd_lcs_family,      &cmd_key_family,    &cmd_expire_family,
        &cmd_scan_family,     &cmd_object_family, &cmd_dump_family,
        &cmd_database_family, &cmd_server_family, &cmd_connection_family,
        &cmd_client_family,   &cmd_config_family, &cmd_transaction_family,
        &cmd_command_family,  &cmd_memory_family, &cmd_slowlog_family,
        &cmd_latency_family,  &cmd_debug_family,  &cmd_persistence_family,
        &cmd_acl_family,      &cmd_module_family,
    };
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        for (size_t j = 0; j < families[i]->count; j++) {
            const struct command *row = &families[i]->rows[j];
            struct command_syntax syntax;
            if (!command_syntax_parse(&syntax, row->name, row->syntax, 1)) {
                fail_msg("%s: %s", row->name, row->syntax);
            }
            /* A command that takes arguments says which. */
            if (row->handler != NULL && row->parent == NULL && row->arity > 1) {
                assert_true(syntax.first >= 0);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_all_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
