/* SPDX-License-Identifier: BSD-3-Clause */
/* The option table as data, and what each type of option can do: parse, format, copy.
 *
 * Only files of this room include this header. A `field` is the place of a row's value inside a
 * struct options. */
#ifndef CONFIG_OPTION_ROW_H
#define CONFIG_OPTION_ROW_H

#include "base/buffer.h"
#include "config/options.h"

enum option_kind {
    OPTION_KIND_BOOL,
    OPTION_KIND_INT,
    OPTION_KIND_MEMORY,
    OPTION_KIND_SHARE,
    OPTION_KIND_OCTAL,
    OPTION_KIND_ENUM,
    OPTION_KIND_TEXT,
    OPTION_KIND_words,
    OPTION_KIND_renames,
    OPTION_KIND_save_points,
    OPTION_KIND_output_limits,
    OPTION_KIND_percentiles,
    OPTION_KIND_oom_scores,
    OPTION_KIND_notify_events,
    OPTION_KIND_shutdown_flags
};

struct option_row {
    const char *name;
    const char *alias; /* an older name, or NULL */
    const char *value; /* the default, as in a file */
    const char *words; /* OPTION_KIND_ENUM: the words, with blanks between */
    const char *unit;  /* "" when there is none to tell */
    const char *help;
    int64_t min;
    int64_t max;
    enum option_kind kind;
    unsigned flags;
    size_t offset; /* of the field in struct options */
    size_t size;   /* of the field */
};

const struct option_row *option_row(enum option_id id);
/* The row with that name or alias, in any case; OPTIONS_COUNT when there is none. */
enum option_id option_find(struct slice name);
void *option_field(struct options *options, enum option_id id);
const void *option_field_const(const struct options *options, enum option_id id);

/* Sets the field from the words of a line, or from the one text of CONFIG SET, which is cut at
 * blanks for a row with OPT_MULTI; `adds` makes a row with OPT_REPEAT keep what it has. False with
 * a reason in `error`; then the field is as before. */
bool option_parse(struct options *options, enum option_id id, const struct slice *words,
                  size_t words_count, bool adds, struct buffer *error);
/* Appends the value as CONFIG GET shows it. */
void option_format(const struct options *options, enum option_id id, struct buffer *text);
/* Appends the line, or lines, that set the value in a file. */
void option_write_lines(const struct options *options, enum option_id id, struct buffer *text);
bool option_is_equal(const struct options *a, const struct options *b, enum option_id id);
/* Deep copy into a field that holds nothing. */
void option_copy(const struct options *from, struct options *to, enum option_id id);
/* Frees what the field owns and leaves it empty. */
void option_release(struct options *options, enum option_id id);
/* Exchanges the values of one option. */
void option_swap(struct options *a, struct options *b, enum option_id id);

/* Appends bytes in double quotes, with escapes, so that a file reads them back. */
void option_append_quoted(struct buffer *text, struct slice bytes);

#endif
