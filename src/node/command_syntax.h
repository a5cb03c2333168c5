/* SPDX-License-Identifier: BSD-3-Clause */
/* The arguments of a command as a tree, read from the syntax text of its row: what COMMAND DOCS
 * tells clients, and what redis-cli shows as hints.
 *
 *   key                     an argument; its name tells its type
 *   EX seconds              an argument, or several, behind a token
 *   NX                      a token alone
 *   [...]                   optional
 *   <A | B>, [A | B]        one of several
 *   key value [key value ...]   the arguments before it, repeated
 *
 * A struct command_syntax borrows the text. */
#ifndef NODE_COMMAND_SYNTAX_H
#define NODE_COMMAND_SYNTAX_H

#include "base/slice.h"

enum command_argument_type {
    ARGUMENT_STRING,
    ARGUMENT_INTEGER,
    ARGUMENT_DOUBLE,
    ARGUMENT_KEY,
    ARGUMENT_PATTERN,
    ARGUMENT_UNIX_TIME,
    ARGUMENT_PURE_TOKEN,
    ARGUMENT_ONEOF,
    ARGUMENT_BLOCK,
};

enum {
    ARGUMENT_OPTIONAL = 1 << 0,
    ARGUMENT_MULTIPLE = 1 << 1,
    ARGUMENT_MULTIPLE_TOKEN = 1 << 2, /* each repetition has the token again */
};

enum { COMMAND_SYNTAX_ARGUMENTS_MAX = 96, COMMAND_SYNTAX_DEPTH_MAX = 12 };

struct command_argument {
    struct slice name;  /* empty for BLOCK and ONEOF; of a token the token itself */
    struct slice token; /* empty for none */
    enum command_argument_type type;
    unsigned flags;
    int key_spec_index; /* of KEY, and of patterns that lead to keys; else -1 */
    int first_child;    /* of BLOCK and ONEOF: index of the first, -1 for none */
    int next;           /* the next one on the same level, -1 for none */
    size_t begin;       /* where its text begins */
};

struct command_syntax {
    struct command_argument arguments[COMMAND_SYNTAX_ARGUMENTS_MAX];
    size_t arguments_count;
    int first; /* -1 without arguments */
};

/* Reads the syntax of the command with that full name ("client|kill"), whose keys are described by
 * `key_specs_count` runs. False when the text is not well formed or too long. */
bool command_syntax_parse(struct command_syntax *syntax, const char *full_name, const char *text,
                          int key_specs_count);
/* The word for a type in COMMAND DOCS. */
const char *command_syntax_type_name(enum command_argument_type type);

#endif
