/* SPDX-License-Identifier: BSD-3-Clause */
/* Files in redis.conf syntax, and the command line, which is read as lines too.
 *
 * A directive that may be repeated (save) replaces the default at its first line and adds at the
 * next; each source begins anew, so `--save` on the command line replaces what the file said.
 * Includes are read where they stand, in the source that names them. */
#include "config/config.h"

#include "config/config_words.h"
#include "config/option_row.h"

#define LINE_SHOWN_BYTES_MAX 160
#define INCLUDES_MAX 1024

struct config_loader {
    struct options *options;
    const struct config_reader *reader; /* may be NULL */
    struct buffer *error;
    const char *source;
    size_t line;             /* 0 on the command line */
    unsigned depth;          /* of includes */
    unsigned includes_count; /* in all, so that includes of includes cannot explode */
    struct config_change seen;
};

/* ---- Errors ---- */

/* Edit distance, or something above CONFIG_SUGGEST_DISTANCE_MAX when it is certain to be. */
static size_t edit_distance(struct slice a, const char *b) {
    size_t columns = strlen(b);
    size_t row[64];
    if (columns >= sizeof(row) / sizeof(row[0]) || a.size > 64) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= columns; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        char byte = a.data[i - 1];
        byte = byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte == '_' ? '-' : byte;
        row[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t above = row[j];
            size_t best = diagonal + (byte != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[columns];
}

/* The known name nearest to `name`, or NULL when none is near. */
static const char *nearest_name(struct slice name) {
    const char *nearest = NULL;
    /* About a third of the letters may differ; more, and the suggestion only puzzles. */
    size_t allowed = name.size <= 3 ? 1 : name.size / 3 + 1;
    size_t best =
        1 + (allowed < CONFIG_SUGGEST_DISTANCE_MAX ? allowed : CONFIG_SUGGEST_DISTANCE_MAX);
    for (int id = 0; id < OPTIONS_COUNT; id++) {
        const struct option_row *row = option_row((enum option_id)id);
        const char *const names[] = {row->name, row->alias};
        for (int i = 0; i < 2; i++) {
            size_t distance = names[i] != NULL ? edit_distance(name, names[i]) : SIZE_MAX;
            if (distance < best) {
                best = distance;
                nearest = names[i];
            }
        }
    }
    return nearest;
}

/* Appends text from outside: one line, printable, of bounded length. */
static void append_shown(struct buffer *text, struct slice bytes) {
    for (size_t i = 0; i < bytes.size && i < LINE_SHOWN_BYTES_MAX; i++) {
        uint8_t byte = (uint8_t)bytes.data[i];
        if (byte < ' ' || byte == 0x7f) {
            buffer_printf(text, "\\x%02x", byte);
        } else {
            buffer_append_byte(text, byte);
        }
    }
    if (bytes.size > LINE_SHOWN_BYTES_MAX) {
        buffer_append_slice(text, SLICE("..."));
    }
}

static struct slice without_blank_ends(struct slice line) {
    while (line.size > 0 && strchr(" \t\r", line.data[0]) != NULL && line.data[0] != '\0') {
        line = slice_skip(line, 1);
    }
    while (line.size > 0 && strchr(" \t\r", line.data[line.size - 1]) != NULL &&
           line.data[line.size - 1] != '\0') {
        line.size--;
    }
    return line;
}

/* "file, line 3: 'hz abc': why not". */
static bool refuse_line(struct config_loader *loader, struct slice line, struct slice reason) {
    buffer_append_slice(loader->error, slice_of(loader->source));
    if (loader->line > 0) {
        buffer_printf(loader->error, ", line %zu", loader->line);
    }
    buffer_append_slice(loader->error, SLICE(": '"));
    append_shown(loader->error, without_blank_ends(line));
    buffer_append_slice(loader->error, SLICE("': "));
    buffer_append_slice(loader->error, reason);
    return false;
}

static bool refuse_unknown(struct config_loader *loader, struct slice line, struct slice name) {
    struct buffer reason = {0};
    const char *nearest = nearest_name(name);
    buffer_append_slice(&reason, SLICE("unknown option '"));
    append_shown(&reason, name);
    buffer_append_byte(&reason, '\'');
    if (nearest != NULL) {
        buffer_printf(&reason, ", did you mean '%s'?", nearest);
    }
    refuse_line(loader, line, buffer_slice(&reason));
    buffer_deinit(&reason);
    return false;
}

/* ---- Directives ---- */

static bool load_text(struct config_loader *loader, struct slice text, const char *source);

/* Reads one file; the loader goes on in the including file afterwards. */
static bool include_file(struct config_loader *loader, struct slice line, const char *path) {
    struct buffer text = {0};
    struct buffer reason = {0};
    bool is_loaded = false;
    if (loader->depth == CONFIG_INCLUDE_DEPTH_MAX) {
        buffer_printf(&reason, "includes are nested deeper than %d; does a file include itself?",
                      CONFIG_INCLUDE_DEPTH_MAX);
        refuse_line(loader, line, buffer_slice(&reason));
    } else if (loader->includes_count == INCLUDES_MAX) {
        refuse_line(loader, line, SLICE("more than 1024 files are included"));
    } else if (!loader->reader->read(loader->reader->udata, path, &text, &reason)) {
        refuse_line(loader, line, buffer_slice(&reason));
    } else {
        loader->depth++;
        loader->includes_count++;
        is_loaded = load_text(loader, buffer_slice(&text), path);
        loader->depth--;
    }
    buffer_deinit(&text);
    buffer_deinit(&reason);
    return is_loaded;
}

static bool include_pattern(struct config_loader *loader, struct slice line, const char *pattern) {
    struct buffer paths = {0};
    struct buffer reason = {0};
    bool is_loaded = loader->reader->expand(loader->reader->udata, pattern, &paths, &reason);
    if (!is_loaded) {
        refuse_line(loader, line, buffer_slice(&reason));
    }
    for (size_t at = 0; is_loaded && at < paths.size; at += strlen(paths.data + at) + 1) {
        is_loaded = include_file(loader, line, paths.data + at);
    }
    buffer_deinit(&paths);
    buffer_deinit(&reason);
    return is_loaded;
}

static bool load_include(struct config_loader *loader, struct slice line, struct slice path) {
    struct buffer text = {0};
    bool is_loaded = false;
    buffer_append_slice(&text, path);
    const char *name = buffer_text(&text);
    if (loader->reader == NULL) {
        refuse_line(loader, line, SLICE("include is not possible here"));
    } else if (path.size == 0 || strlen(name) != path.size) {
        refuse_line(loader, line, SLICE("not a path"));
    } else if (strpbrk(name, "*?[") != NULL) {
        is_loaded = include_pattern(loader, line, name);
    } else {
        is_loaded = include_file(loader, line, name);
    }
    buffer_deinit(&text);
    return is_loaded;
}

/* Directives that are not options. True when `name` was one of them. */
static bool load_directive(struct config_loader *loader, struct slice line,
                           const struct slice *words, size_t count, bool *is_loaded) {
    static const struct {
        const char *name;
        const char *reason; /* NULL: Redis ignores it, and so do we */
    } directives[] = {
        {"list-max-ziplist-entries", NULL},
        {"list-max-ziplist-value", NULL},
        {"user", "access lists are not enforced by this version, and unsafe to ignore"},
        {"loadmodule", "modules are not supported"},
    };
    if (slice_is_word(words[0], "include")) {
        *is_loaded = count == 2 ? load_include(loader, line, words[1])
                                : refuse_line(loader, line, SLICE("wrong number of arguments"));
        return true;
    }
    for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        if (slice_is_word(words[0], directives[i].name)) {
            *is_loaded = directives[i].reason == NULL ||
                         refuse_line(loader, line, slice_of(directives[i].reason));
            return true;
        }
    }
    return false;
}

static bool load_words(struct config_loader *loader, struct slice line, const struct slice *words,
                       size_t count) {
    bool is_loaded = false;
    if (load_directive(loader, line, words, count, &is_loaded)) {
        return is_loaded;
    }
    enum option_id id = option_find(words[0]);
    if (id == OPTIONS_COUNT) {
        return refuse_unknown(loader, line, words[0]);
    }
    struct buffer reason = {0};
    bool adds = config_has_changed(&loader->seen, id);
    is_loaded = option_parse(loader->options, id, words + 1, count - 1, adds, &reason);
    if (is_loaded) {
        config_mark_changed(&loader->seen, id);
    } else {
        refuse_line(loader, line, buffer_slice(&reason));
    }
    buffer_deinit(&reason);
    return is_loaded;
}

/* ---- Files ---- */

static bool load_line(struct config_loader *loader, struct slice line) {
    struct config_words words = {0};
    bool is_loaded = true;
    switch (config_words_split(&words, line)) {
    case CONFIG_WORDS_OK:
        is_loaded = words.count == 0 || words.words[0].size == 0 ||
                    load_words(loader, line, words.words, words.count);
        break;
    case CONFIG_WORDS_UNBALANCED:
        is_loaded = refuse_line(loader, line, SLICE("unbalanced quotes"));
        break;
    case CONFIG_WORDS_TOO_MANY:
        is_loaded = refuse_line(loader, line, SLICE("too many words"));
        break;
    }
    config_words_deinit(&words);
    return is_loaded;
}

static bool load_text(struct config_loader *loader, struct slice text, const char *source) {
    const char *outer_source = loader->source;
    size_t outer_line = loader->line;
    bool is_loaded = true;
    loader->source = source;
    loader->line = 0;
    while (is_loaded && text.size > 0) {
        struct slice line = config_line_take(&text);
        loader->line++;
        is_loaded = config_line_is_comment(line) || load_line(loader, line);
    }
    loader->source = outer_source;
    loader->line = outer_line;
    return is_loaded;
}

enum config_status config_load_text(struct options *options, struct slice text,
                                    const char *source_name, const struct config_reader *reader,
                                    struct buffer *error) {
    struct config_loader loader = {.options = options, .reader = reader, .error = error};
    return load_text(&loader, text, source_name) ? CONFIG_OK : CONFIG_INVALID;
}

/* ---- The command line ---- */

enum config_mode config_arguments_mode(int argc, char **argv, const char **directory) {
    static const struct {
        const char *word;
        enum config_mode mode;
    } words[] = {{"-h", CONFIG_MODE_HELP},
                 {"--help", CONFIG_MODE_HELP},
                 {"-v", CONFIG_MODE_VERSION},
                 {"--version", CONFIG_MODE_VERSION},
                 {"--check", CONFIG_MODE_CHECK},
                 {"--repair", CONFIG_MODE_REPAIR},
                 {"--print-config", CONFIG_MODE_PRINT_CONFIG}};
    for (size_t i = 0; argc > 1 && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(argv[1], words[i].word) != 0) {
            continue;
        }
        enum config_mode mode = words[i].mode;
        if (mode == CONFIG_MODE_CHECK || mode == CONFIG_MODE_REPAIR) {
            if (argc != 3) {
                return CONFIG_MODE_INVALID;
            }
            *directory = argv[2];
        }
        return mode;
    }
    return CONFIG_MODE_SERVE;
}

/* "--name" in either of its roles: after an option that has no value yet it is a value, whatever it
 * says (`--logfile --odd`). Only `--save` may stand without one, as Redis has it. */
static bool is_option_word(const char *word, bool is_value) {
    return strncmp(word, "--", 2) == 0 && !is_value;
}

static bool load_arguments(struct config_loader *loader, int count, char **arguments) {
    struct slice words[CONFIG_ARGUMENTS_MAX];
    loader->source = "command line";
    loader->line = 0;
    for (int at = 0; at < count;) {
        /* Redis takes a first option without its dashes, too. */
        bool has_dashes = is_option_word(arguments[at], false);
        if (!has_dashes && (at > 0 || option_find(slice_of(arguments[at])) == OPTIONS_COUNT)) {
            return refuse_line(loader, slice_of(arguments[at]), SLICE("an option begins with --"));
        }
        struct buffer line = {0};
        size_t words_count = 0;
        /* "--maxmemory 700mb" in one argument is name and value. */
        struct slice first = slice_of(arguments[at++] + (has_dashes ? 2 : 0));
        buffer_append_slice(&line, first);
        struct config_words parts = {0};
        if (config_words_split(&parts, first) == CONFIG_WORDS_OK && parts.count > 1) {
            for (size_t i = 0; i < parts.count && words_count < CONFIG_ARGUMENTS_MAX; i++) {
                words[words_count++] = parts.words[i];
            }
        } else {
            words[words_count++] = first;
        }
        bool is_save = slice_is_word(words[0], "save");
        while (at < count && words_count < CONFIG_ARGUMENTS_MAX &&
               !is_option_word(arguments[at], words_count == 1 && !is_save)) {
            buffer_printf(&line, " \"%s\"", arguments[at]);
            words[words_count++] = slice_of(arguments[at++]);
        }
        if (is_save && words_count == 1) {
            words[words_count++] = (struct slice){.data = ""};
        }
        bool is_loaded = load_words(loader, buffer_slice(&line), words, words_count);
        config_words_deinit(&parts);
        buffer_deinit(&line);
        if (!is_loaded) {
            return false;
        }
    }
    return true;
}

/* Reads a file that the command line names; "-" is standard input. */
static bool load_named_file(struct config_loader *loader, const char *path) {
    struct buffer text = {0};
    struct buffer reason = {0};
    bool is_loaded = false;
    loader->source = "command line";
    if (loader->reader == NULL) {
        refuse_line(loader, slice_of(path), SLICE("files cannot be read here"));
    } else if (!loader->reader->read(loader->reader->udata, path, &text, &reason)) {
        refuse_line(loader, slice_of(path), buffer_slice(&reason));
    } else {
        is_loaded = load_text(loader, buffer_slice(&text),
                              strcmp(path, "-") == 0 ? "standard input" : path);
    }
    buffer_deinit(&text);
    buffer_deinit(&reason);
    return is_loaded;
}

enum config_status config_parse_arguments(struct options *options, int argc, char **argv,
                                          const struct config_reader *reader,
                                          struct buffer *error) {
    struct config_loader loader = {.options = options, .reader = reader, .error = error};
    int first = 1;
    int end = argc;
    if (argc > 1 && strncmp(argv[1], "--", 2) != 0) {
        if (!load_named_file(&loader, argv[1])) {
            return CONFIG_INVALID;
        }
        options_set_config_file(options, strcmp(argv[1], "-") == 0 ? "" : argv[1]);
        first = 2;
    }
    /* Redis takes the dash at the end as well. */
    if (end > first && strcmp(argv[end - 1], "-") == 0) {
        end--;
        if (!load_named_file(&loader, "-")) {
            return CONFIG_INVALID;
        }
    }
    return load_arguments(&loader, end - first, argv + first) ? CONFIG_OK : CONFIG_INVALID;
}
