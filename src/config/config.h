/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading and changing options: files in redis.conf syntax, the command line, and what CONFIG
 * GET, SET and REWRITE need.
 *
 * Nothing here touches a file: text comes in through a slice or the caller's struct
 * config_reader, and goes out into buffers. Errors are words appended to a buffer, without a
 * final newline and without an error code; the caller adds "ERR " or a log prefix. No state
 * outside struct options. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/buffer.h"
#include "base/slice.h"
#include "config/options.h"

#define CONFIG_INCLUDE_DEPTH_MAX 16
#define CONFIG_ARGUMENTS_MAX 1024     /* words on one line */
#define CONFIG_SUGGEST_DISTANCE_MAX 4 /* how far a "did you mean" may be from what was typed */

enum config_status {
    CONFIG_OK = 0,
    CONFIG_INVALID /* the reason is in the error buffer; no option was changed by CONFIG SET */
};

/* How files are reached. Both functions return false with a reason in `error`. */
struct config_reader {
    /* Appends the whole text of `path` to `text`; "-" is standard input. */
    bool (*read)(void *udata, const char *path, struct buffer *text, struct buffer *error);
    /* Appends each path that matches the shell pattern, sorted, each with its terminator. */
    bool (*expand)(void *udata, const char *pattern, struct buffer *paths, struct buffer *error);
    void *udata;
};

/* A set of options. */
struct config_change {
    uint64_t bits[(OPTIONS_COUNT + 63) / 64];
};

static inline bool config_has_changed(const struct config_change *change, enum option_id id) {
    return (change->bits[id / 64] >> (id % 64)) & 1;
}

static inline void config_mark_changed(struct config_change *change, enum option_id id) {
    change->bits[id / 64] |= (uint64_t)1 << (id % 64);
}

/* ---- Files and the command line ---- */

/* Reads `text` line by line into options; `source_name` is for messages. On CONFIG_INVALID the
 * lines before the bad one have been applied. `reader` may be NULL, then include is an error. */
enum config_status config_load_text(struct options *options, struct slice text,
                                    const char *source_name, const struct config_reader *reader,
                                    struct buffer *error) __attribute__((warn_unused_result));

/* What the command line asks for. */
enum config_mode {
    CONFIG_MODE_SERVE,        /* the usual: call config_parse_arguments() */
    CONFIG_MODE_HELP,         /* -h, --help */
    CONFIG_MODE_VERSION,      /* -v, --version */
    CONFIG_MODE_PRINT_CONFIG, /* --print-config */
    CONFIG_MODE_CHECK,        /* --check DIR */
    CONFIG_MODE_REPAIR,       /* --repair DIR */
    CONFIG_MODE_INVALID       /* --check or --repair without a directory */
};

/* Looks at argv[1] alone; sets *directory for CHECK and REPAIR. */
enum config_mode config_arguments_mode(int argc, char **argv, const char **directory);

/* `program [file.conf|-] [--option value ...]`: reads the file through `reader`, then the
 * options after it, which win. Sets options->config_file. */
enum config_status config_parse_arguments(struct options *options, int argc, char **argv,
                                          const struct config_reader *reader, struct buffer *error)
    __attribute__((warn_unused_result));

/* ---- CONFIG GET, SET, REWRITE ---- */

typedef void (*config_visit)(void *udata, struct slice name, struct slice value);

/* Visits each option whose name or alias matches one of the patterns, once for each of the
 * names that match, as CONFIG GET does. The slices live until the visit returns. */
void config_get(const struct options *options, const struct slice *patterns, size_t patterns_count,
                config_visit visit, void *udata);

/* The value of one option as CONFIG GET shows it, appended to `value`. */
void config_format(const struct options *options, enum option_id id, struct buffer *value);

/* Called after the new values are in place, with the options that really changed. Returning
 * false, with a reason and perhaps the guilty option (else OPTIONS_COUNT) told, undoes all:
 * the old values are put back and the hook is called once more, its result then unused. */
typedef bool (*config_apply)(void *udata, const struct options *options,
                             const struct config_change *changed, struct buffer *error,
                             enum option_id *guilty);

struct config_set_request {
    const struct slice *names_values; /* name, value, name, value ... */
    size_t pairs_count;
    bool is_local;      /* the client is on this machine: enable-protected-configs local */
    config_apply apply; /* may be NULL */
    void *udata;
};

/* All or nothing, with Redis 7's error texts. `changed` may be NULL; it is set, not added to. */
enum config_status config_set_many(struct options *options,
                                   const struct config_set_request *request,
                                   struct config_change *changed, struct buffer *error)
    __attribute__((warn_unused_result));

/* Sets one option from text at start-up, whatever its flags. */
enum config_status config_set_text(struct options *options, enum option_id id, struct slice value,
                                   struct buffer *error) __attribute__((warn_unused_result));

/* True when the value of the option with that name or alias is a secret. */
bool config_is_sensitive(struct slice name);

/* CONFIG REWRITE: old_text with values brought up to date, its comments and order kept, and new
 * lines at the end; appended to new_text. Rewriting twice changes nothing more. */
void config_rewrite(const struct options *options, struct slice old_text, struct buffer *new_text);

/* ---- For people ---- */

/* The explained configuration with every directive at its default: conf/starling.conf. */
void config_write_reference(struct buffer *text);
/* What --help prints after the usage lines: every option with its default. */
void config_write_help(struct buffer *text);
/* One line for each option that was set but changes nothing here; nothing if there is none. */
void config_write_warnings(const struct options *options, struct buffer *text);

#endif
