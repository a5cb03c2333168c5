/* SPDX-License-Identifier: BSD-3-Clause */
/* A recursive descent over the words of the text. Repetition is found by comparing text: the inside
 * of "[key value ...]" is what stands right before it. */
#include "node/command_syntax.h"

#include "base/check.h"

struct syntax_reader {
    struct command_syntax *syntax;
    const char *full_name;
    struct slice text;
    size_t at;
    int keys_seen, key_specs_count;
    unsigned depth;
    /* Of the alternatives being read at each depth. */
    struct {
        size_t begin;
        bool repeats; /* their whole text came again, with "..." */
    } levels[COMMAND_SYNTAX_DEPTH_MAX + 1];
    bool has_failed;
};

/* ---- words ---- */

static bool syntax_is_bracket(char c) {
    return c == '[' || c == ']' || c == '<' || c == '>' || c == '|';
}

/* The next word without taking it; empty at the end. */
static struct slice syntax_peek(struct syntax_reader *reader) {
    while (reader->at < reader->text.size && reader->text.data[reader->at] == ' ') {
        reader->at++;
    }
    struct slice rest = slice_skip(reader->text, reader->at);
    if (rest.size == 0 || syntax_is_bracket(rest.data[0])) {
        return slice_make(rest.data, rest.size == 0 ? 0 : 1);
    }
    size_t size = 0;
    while (size < rest.size && rest.data[size] != ' ' && !syntax_is_bracket(rest.data[size])) {
        size++;
    }
    return slice_make(rest.data, size);
}

static struct slice syntax_take(struct syntax_reader *reader) {
    struct slice word = syntax_peek(reader);
    reader->at += word.size;
    return word;
}

static bool syntax_next_is(struct syntax_reader *reader, char c) {
    struct slice word = syntax_peek(reader);
    return word.size == 1 && word.data[0] == c;
}

static bool syntax_is_name(struct slice word) {
    return word.size > 0 && !syntax_is_bracket(word.data[0]) && !slice_equal(word, SLICE("..."));
}

/* Tokens have no lower case letter, and at least one upper case one or a sign of their own. */
static bool syntax_is_token(struct slice word) {
    if (!syntax_is_name(word)) {
        return false;
    }
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] >= 'a' && word.data[i] <= 'z') {
            return false;
        }
    }
    return true;
}

/* ---- arguments ---- */

static const struct {
    const char *name;
    enum command_argument_type type;
} SYNTAX_TYPES[] = {
    {"key", ARGUMENT_KEY},
    {"key1", ARGUMENT_KEY},
    {"key2", ARGUMENT_KEY},
    {"newkey", ARGUMENT_KEY},
    {"destkey", ARGUMENT_KEY},
    {"sourcekey", ARGUMENT_KEY},
    {"source", ARGUMENT_KEY},
    {"destination", ARGUMENT_KEY},
    {"dst", ARGUMENT_KEY},
    {"src", ARGUMENT_KEY},
    {"pattern", ARGUMENT_PATTERN},
    {"by-pattern", ARGUMENT_PATTERN},
    {"get-pattern", ARGUMENT_PATTERN},
    {"unix-time-seconds", ARGUMENT_UNIX_TIME},
    {"unix-time-milliseconds", ARGUMENT_UNIX_TIME},
    {"seconds", ARGUMENT_INTEGER},
    {"milliseconds", ARGUMENT_INTEGER},
    {"ttl", ARGUMENT_INTEGER},
    {"increment", ARGUMENT_INTEGER},
    {"decrement", ARGUMENT_INTEGER},
    {"offset", ARGUMENT_INTEGER},
    {"start", ARGUMENT_INTEGER},
    {"end", ARGUMENT_INTEGER},
    {"stop", ARGUMENT_INTEGER},
    {"limit", ARGUMENT_INTEGER},
    {"numkeys", ARGUMENT_INTEGER},
    {"slot", ARGUMENT_INTEGER},
    {"start-slot", ARGUMENT_INTEGER},
    {"end-slot", ARGUMENT_INTEGER},
    {"config-epoch", ARGUMENT_INTEGER},
    {"cluster-bus-port", ARGUMENT_INTEGER},
    {"rank", ARGUMENT_INTEGER},
    {"num-matches", ARGUMENT_INTEGER},
    {"bit", ARGUMENT_INTEGER},
    {"bits", ARGUMENT_INTEGER},
    {"count", ARGUMENT_INTEGER},
    {"cursor", ARGUMENT_INTEGER},
    {"index", ARGUMENT_INTEGER},
    {"index1", ARGUMENT_INTEGER},
    {"index2", ARGUMENT_INTEGER},
    {"db", ARGUMENT_INTEGER},
    {"destination-db", ARGUMENT_INTEGER},
    {"timeout", ARGUMENT_DOUBLE},
    {"numreplicas", ARGUMENT_INTEGER},
    {"numlocal", ARGUMENT_INTEGER},
    {"frequency", ARGUMENT_INTEGER},
    {"min-match-len", ARGUMENT_INTEGER},
    {"len", ARGUMENT_INTEGER},
    {"client-id", ARGUMENT_INTEGER},
    {"protover", ARGUMENT_INTEGER},
    {"version", ARGUMENT_INTEGER},
    {"score", ARGUMENT_DOUBLE},
    {"min", ARGUMENT_DOUBLE},
    {"max", ARGUMENT_DOUBLE},
    {"longitude", ARGUMENT_DOUBLE},
    {"latitude", ARGUMENT_DOUBLE},
    {"radius", ARGUMENT_DOUBLE},
    {"width", ARGUMENT_DOUBLE},
    {"height", ARGUMENT_DOUBLE},
};

/* Arguments whose names mean something else in one command. */
static const struct {
    const char *full_name, *name;
    enum command_argument_type type;
} SYNTAX_TYPES_OF[] = {
    {"incrbyfloat", "increment", ARGUMENT_DOUBLE},
    {"hincrbyfloat", "increment", ARGUMENT_DOUBLE},
    {"cluster|keyslot", "key", ARGUMENT_STRING},
    {"zrange", "start", ARGUMENT_STRING},
    {"zrange", "stop", ARGUMENT_STRING},
    {"zrangestore", "min", ARGUMENT_STRING},
    {"zrangestore", "max", ARGUMENT_STRING},
    {"zlexcount", "min", ARGUMENT_STRING},
    {"zlexcount", "max", ARGUMENT_STRING},
    {"zrangebylex", "min", ARGUMENT_STRING},
    {"zrangebylex", "max", ARGUMENT_STRING},
    {"zrevrangebylex", "min", ARGUMENT_STRING},
    {"zrevrangebylex", "max", ARGUMENT_STRING},
    {"zremrangebylex", "min", ARGUMENT_STRING},
    {"zremrangebylex", "max", ARGUMENT_STRING},
    {"setbit", "value", ARGUMENT_INTEGER},
    {"bitfield", "value", ARGUMENT_INTEGER},
    {"cluster|meet", "port", ARGUMENT_INTEGER},
    {"migrate", "port", ARGUMENT_INTEGER},
    {"wait", "timeout", ARGUMENT_INTEGER},
    {"waitaof", "timeout", ARGUMENT_INTEGER},
    {"client|pause", "timeout", ARGUMENT_INTEGER},
    {"xrange", "start", ARGUMENT_STRING},
    {"xrange", "end", ARGUMENT_STRING},
    {"xrevrange", "end", ARGUMENT_STRING},
    {"xrevrange", "start", ARGUMENT_STRING},
    {"xpending", "start", ARGUMENT_STRING},
    {"xpending", "end", ARGUMENT_STRING},
    {"xpending", "min-idle-time", ARGUMENT_INTEGER},
    {"xautoclaim", "start", ARGUMENT_STRING},
    {"xclaim", "ms", ARGUMENT_INTEGER},
    {"xsetid", "entries-added", ARGUMENT_INTEGER},
    {"xgroup|create", "entries-read", ARGUMENT_INTEGER},
    {"xgroup|setid", "entries-read", ARGUMENT_INTEGER},
    {"zunion", "weight", ARGUMENT_INTEGER},
    {"zinter", "weight", ARGUMENT_INTEGER},
    {"zunionstore", "weight", ARGUMENT_INTEGER},
    {"zinterstore", "weight", ARGUMENT_INTEGER},
};

static enum command_argument_type syntax_type(const struct syntax_reader *reader,
                                              struct slice name) {
    for (size_t i = 0; i < sizeof(SYNTAX_TYPES_OF) / sizeof(SYNTAX_TYPES_OF[0]); i++) {
        if (strcmp(SYNTAX_TYPES_OF[i].full_name, reader->full_name) == 0 &&
            slice_equal(slice_of(SYNTAX_TYPES_OF[i].name), name)) {
            return SYNTAX_TYPES_OF[i].type;
        }
    }
    for (size_t i = 0; i < sizeof(SYNTAX_TYPES) / sizeof(SYNTAX_TYPES[0]); i++) {
        if (slice_equal(slice_of(SYNTAX_TYPES[i].name), name)) {
            return SYNTAX_TYPES[i].type;
        }
    }
    return ARGUMENT_STRING;
}

static struct command_argument *syntax_argument(struct syntax_reader *reader, int index) {
    return &reader->syntax->arguments[index];
}

/* A new argument, or -1 when there are too many. */
static int syntax_new(struct syntax_reader *reader, enum command_argument_type type, size_t begin) {
    struct command_syntax *syntax = reader->syntax;
    if (syntax->arguments_count == COMMAND_SYNTAX_ARGUMENTS_MAX) {
        reader->has_failed = true;
        return -1;
    }
    int index = (int)syntax->arguments_count++;
    syntax->arguments[index] = (struct command_argument){
        .type = type, .key_spec_index = -1, .first_child = -1, .next = -1, .begin = begin};
    return index;
}

static int syntax_last(struct syntax_reader *reader, int first) {
    int index = first;
    while (index >= 0 && syntax_argument(reader, index)->next >= 0) {
        index = syntax_argument(reader, index)->next;
    }
    return index;
}

static void syntax_append(struct syntax_reader *reader, int *first, int index) {
    int last = syntax_last(reader, *first);
    if (index < 0) {
        return;
    }
    if (last < 0) {
        *first = index;
    } else {
        syntax_argument(reader, last)->next = index;
    }
}

/* One argument out of a list: the only one itself, or a block of all. */
static int syntax_group(struct syntax_reader *reader, int first, size_t begin) {
    if (first < 0) {
        reader->has_failed = true;
        return -1;
    }
    if (syntax_argument(reader, first)->next < 0) {
        return first;
    }
    int block = syntax_new(reader, ARGUMENT_BLOCK, begin);
    if (block >= 0) {
        syntax_argument(reader, block)->first_child = first;
    }
    return block;
}

/* ---- grammar ---- */

static int syntax_read_sequence(struct syntax_reader *reader, bool is_top, bool *repeats);

/* Sequences with bars between them, up to the closing bracket, which is taken. */
static int syntax_read_alternatives(struct syntax_reader *reader, char closing, bool *repeats) {
    if (reader->depth == COMMAND_SYNTAX_DEPTH_MAX) {
        reader->has_failed = true;
        return -1;
    }
    reader->depth++;
    size_t begin = reader->at;
    reader->levels[reader->depth].begin = begin;
    reader->levels[reader->depth].repeats = false;
    int first = -1;
    bool is_choice = false;
    while (!reader->has_failed) {
        size_t sequence_begin = reader->at;
        int sequence = syntax_read_sequence(reader, false, repeats);
        if (is_choice || syntax_next_is(reader, '|')) {
            sequence = syntax_group(reader, sequence, sequence_begin);
        }
        syntax_append(reader, &first, sequence);
        if (!syntax_next_is(reader, '|')) {
            break;
        }
        is_choice = true;
        (void)syntax_take(reader);
    }
    if (!syntax_next_is(reader, closing)) {
        reader->has_failed = true;
    }
    (void)syntax_take(reader);
    bool is_repeated = reader->levels[reader->depth].repeats;
    reader->depth--;
    if (reader->has_failed) {
        return -1;
    }
    if (!is_choice) {
        return first;
    }
    int choice = syntax_new(reader, ARGUMENT_ONEOF, begin);
    if (choice >= 0) {
        syntax_argument(reader, choice)->first_child = first;
        syntax_argument(reader, choice)->flags = is_repeated ? ARGUMENT_MULTIPLE : 0;
    }
    return choice;
}

static int syntax_read_plain(struct syntax_reader *reader) {
    struct slice name = syntax_take(reader);
    int index =
        syntax_new(reader, syntax_type(reader, name), (size_t)(name.data - reader->text.data));
    if (index < 0) {
        return -1;
    }
    struct command_argument *argument = syntax_argument(reader, index);
    argument->name = name;
    int last_spec = reader->key_specs_count - 1;
    if (argument->type == ARGUMENT_KEY) {
        argument->key_spec_index = reader->keys_seen < last_spec ? reader->keys_seen : last_spec;
        reader->keys_seen++;
    } else if (slice_equal(name, SLICE("by-pattern")) || slice_equal(name, SLICE("get-pattern"))) {
        /* What they lead to are keys as well: the second spec is that of both. */
        argument->key_spec_index = last_spec < 1 ? last_spec : 1;
        reader->keys_seen = 2;
    }
    return index;
}

/* A token with the arguments that belong to it: names right behind it, or one choice. */
static int syntax_read_token(struct syntax_reader *reader, bool is_top) {
    struct slice token = syntax_take(reader);
    size_t begin = (size_t)(token.data - reader->text.data);
    int first = -1;
    /* At the top a bar joins single words: the names behind the last one stand for themselves. */
    size_t before = begin;
    while (before > 0 && reader->text.data[before - 1] == ' ') {
        before--;
    }
    bool is_joined = is_top && ((before > 0 && reader->text.data[before - 1] == '|') ||
                                syntax_next_is(reader, '|'));
    if (!is_joined && syntax_next_is(reader, '<')) {
        (void)syntax_take(reader);
        bool repeats = false;
        first = syntax_read_alternatives(reader, '>', &repeats);
    }
    while (!is_joined && syntax_is_name(syntax_peek(reader)) &&
           !syntax_is_token(syntax_peek(reader))) {
        syntax_append(reader, &first, syntax_read_plain(reader));
    }
    int index = first >= 0 ? syntax_group(reader, first, begin)
                           : syntax_new(reader, ARGUMENT_PURE_TOKEN, begin);
    if (index >= 0) {
        struct command_argument *argument = syntax_argument(reader, index);
        argument->token = token;
        argument->begin = begin;
        if (argument->type == ARGUMENT_PURE_TOKEN) {
            argument->name = token;
        }
    }
    return index;
}

/* Is the text from `begin` to `end`, without blanks around it, `inside`? */
static bool syntax_is_same(const struct syntax_reader *reader, size_t begin, size_t end,
                           struct slice inside) {
    const char *text = reader->text.data;
    while (begin < end && text[begin] == ' ') {
        begin++;
    }
    while (end > begin && text[end - 1] == ' ') {
        end--;
    }
    return slice_equal(slice_make(text + begin, end - begin), inside);
}

/* The argument of `first`'s list whose text, up to the bracket at `end`, is `inside`; -1 without.
 */
static int syntax_find_repeated(struct syntax_reader *reader, int first, struct slice inside,
                                size_t end) {
    for (int i = first; i >= 0; i = syntax_argument(reader, i)->next) {
        size_t begin = syntax_argument(reader, i)->begin;
        if (begin <= end && syntax_is_same(reader, begin, end, inside)) {
            return i;
        }
    }
    return -1;
}

/* "ID client-id [client-id ...]": what comes again is the argument behind the token. Makes a block
 * of it; false when this is something else. */
static bool syntax_repeat_behind_token(struct syntax_reader *reader, int first,
                                       struct slice inside) {
    int last = syntax_last(reader, first);
    if (last < 0) {
        return false;
    }
    struct command_argument *argument = syntax_argument(reader, last);
    if (argument->token.size == 0 || argument->first_child >= 0 ||
        argument->type == ARGUMENT_PURE_TOKEN || !slice_equal(argument->name, inside)) {
        return false;
    }
    int child = syntax_new(reader, argument->type, argument->begin);
    if (child < 0) {
        return false;
    }
    *syntax_argument(reader, child) = *argument;
    syntax_argument(reader, child)->token = (struct slice){0};
    syntax_argument(reader, child)->flags = ARGUMENT_MULTIPLE;
    argument->type = ARGUMENT_BLOCK;
    argument->name = (struct slice){0};
    argument->key_spec_index = -1;
    argument->first_child = child;
    return true;
}

static void syntax_mark_repeated(struct command_argument *argument) {
    argument->flags |= ARGUMENT_MULTIPLE;
    if (argument->token.size > 0) {
        argument->flags |= ARGUMENT_MULTIPLE_TOKEN;
    }
}

/* Makes one argument of the list's end, from `from` on, and marks it as repeated. */
static void syntax_repeat(struct syntax_reader *reader, int *first, int from) {
    int before = *first;
    while (before != from && before >= 0 && syntax_argument(reader, before)->next != from) {
        before = syntax_argument(reader, before)->next;
    }
    int group = syntax_group(reader, from, syntax_argument(reader, from)->begin);
    if (group < 0) {
        return;
    }
    if (from == *first) {
        *first = group;
    } else {
        syntax_argument(reader, before)->next = group;
    }
    syntax_mark_repeated(syntax_argument(reader, group));
}

/* The text of the brackets that were just read, from `begin` on, without its "...". */
static struct slice syntax_repeated_text(const struct syntax_reader *reader, size_t begin) {
    const char *text = reader->text.data;
    size_t end = reader->at - 1; /* the closing bracket */
    while (end > begin && (text[end - 1] == ' ' || text[end - 1] == '.')) {
        end--;
    }
    return slice_make(text + begin, end - begin);
}

/* "[...]": an optional argument, or the repetition of what stands before it. */
static void syntax_read_optional(struct syntax_reader *reader, int *first) {
    size_t open = reader->at;
    (void)syntax_take(reader);
    size_t inside_begin = reader->at;
    size_t count_before = reader->syntax->arguments_count;
    int keys_before = reader->keys_seen;
    bool repeats = false;
    int inside = syntax_read_alternatives(reader, ']', &repeats);
    if (reader->has_failed) {
        return;
    }
    if (repeats) {
        struct slice text = syntax_repeated_text(reader, inside_begin);
        size_t count_after = reader->syntax->arguments_count;
        /* What was read inside stands for what is there already. */
        reader->syntax->arguments_count = count_before;
        reader->keys_seen = keys_before;
        int from = syntax_find_repeated(reader, *first, text, open);
        if (from >= 0) {
            syntax_repeat(reader, first, from);
            return;
        }
        if (syntax_repeat_behind_token(reader, *first, text)) {
            return;
        }
        if (reader->depth > 0 &&
            syntax_is_same(reader, reader->levels[reader->depth].begin, open, text)) {
            reader->levels[reader->depth].repeats = true;
            return;
        }
        reader->syntax->arguments_count = count_after;
    }
    int index = syntax_group(reader, inside, open);
    if (index < 0) {
        return;
    }
    struct command_argument *argument = syntax_argument(reader, index);
    argument->flags |= ARGUMENT_OPTIONAL;
    argument->begin = open;
    if (repeats) {
        syntax_mark_repeated(argument);
    }
    syntax_append(reader, first, index);
}

/* At the top: joins what was just read with the choice before it. */
static void syntax_join(struct syntax_reader *reader, int *first, int index) {
    int last = syntax_last(reader, *first);
    if (last < 0 || index < 0) {
        reader->has_failed = true;
        return;
    }
    struct command_argument *argument = syntax_argument(reader, last);
    if (argument->type == ARGUMENT_ONEOF && argument->token.size == 0) {
        syntax_append(reader, &argument->first_child, index);
        return;
    }
    int moved = syntax_new(reader, argument->type, argument->begin);
    if (moved < 0) {
        return;
    }
    *syntax_argument(reader, moved) = *argument;
    syntax_argument(reader, moved)->next = index;
    *argument = (struct command_argument){.type = ARGUMENT_ONEOF,
                                          .key_spec_index = -1,
                                          .first_child = moved,
                                          .next = -1,
                                          .begin = argument->begin};
}

/* Arguments up to a closing bracket, a bar or the end. `*repeats`: it ended with "...". */
static int syntax_read_sequence(struct syntax_reader *reader, bool is_top, bool *repeats) {
    int first = -1;
    bool joins = false;
    while (!reader->has_failed) {
        struct slice word = syntax_peek(reader);
        int index = -1;
        if (word.size == 0 || word.data[0] == ']' || word.data[0] == '>' ||
            (word.data[0] == '|' && !is_top)) {
            break;
        }
        if (word.data[0] == '|') {
            (void)syntax_take(reader);
            joins = true;
            continue;
        }
        if (slice_equal(word, SLICE("..."))) {
            (void)syntax_take(reader);
            *repeats = true;
            continue;
        }
        if (word.data[0] == '[') {
            syntax_read_optional(reader, &first);
            continue;
        }
        if (word.data[0] == '<') {
            bool inner_repeats = false;
            size_t begin = reader->at;
            (void)syntax_take(reader);
            index =
                syntax_group(reader, syntax_read_alternatives(reader, '>', &inner_repeats), begin);
            if (index >= 0) {
                syntax_argument(reader, index)->begin = begin;
            }
        } else {
            index = syntax_is_token(word) ? syntax_read_token(reader, is_top)
                                          : syntax_read_plain(reader);
        }
        if (joins) {
            syntax_join(reader, &first, index);
            joins = false;
        } else {
            syntax_append(reader, &first, index);
        }
    }
    return first;
}

bool command_syntax_parse(struct command_syntax *syntax, const char *full_name, const char *text,
                          int key_specs_count) {
    require(syntax != NULL);
    syntax->arguments_count = 0;
    syntax->first = -1;
    if (text == NULL) {
        return true;
    }
    struct syntax_reader reader = {.syntax = syntax,
                                   .full_name = full_name,
                                   .text = slice_of(text),
                                   .key_specs_count = key_specs_count};
    bool repeats = false;
    syntax->first = syntax_read_sequence(&reader, true, &repeats);
    return !reader.has_failed && !repeats && syntax_peek(&reader).size == 0;
}

const char *command_syntax_type_name(enum command_argument_type type) {
    switch (type) {
    case ARGUMENT_STRING:
        return "string";
    case ARGUMENT_INTEGER:
        return "integer";
    case ARGUMENT_DOUBLE:
        return "double";
    case ARGUMENT_KEY:
        return "key";
    case ARGUMENT_PATTERN:
        return "pattern";
    case ARGUMENT_UNIX_TIME:
        return "unix-time";
    case ARGUMENT_PURE_TOKEN:
        return "pure-token";
    case ARGUMENT_ONEOF:
        return "oneof";
    case ARGUMENT_BLOCK:
        return "block";
    }
    impossible("unknown argument type");
}
