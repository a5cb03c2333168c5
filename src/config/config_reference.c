/* SPDX-License-Identifier: BSD-3-Clause */
/* The option table written for people: conf/starling.conf, --help, and start-up warnings. */
#include "config/config.h"

#include <stdio.h>

#include "config/option_row.h"

#define REFERENCE_COLUMNS 90
#define HELP_COLUMNS 96

/* Appends `prose` broken at blanks, each line after `prefix` and within `columns`. */
static void append_wrapped(struct buffer *text, const char *prefix, size_t columns,
                           const char *prose) {
    size_t used = 0;
    while (*prose != '\0') {
        size_t size = strcspn(prose, " ");
        if (used > 0 && used + 1 + size > columns) {
            buffer_append_byte(text, '\n');
            used = 0;
        }
        if (used == 0) {
            buffer_append_slice(text, slice_of(prefix));
            used = strlen(prefix);
        } else {
            buffer_append_byte(text, ' ');
            used++;
        }
        buffer_append(text, prose, size);
        used += size;
        prose += size + (prose[size] == ' ');
    }
    buffer_append_byte(text, '\n');
}

static void append_number(struct buffer *text, const struct option_row *row, int64_t value) {
    if (row->kind == OPTION_KIND_OCTAL) {
        buffer_printf(text, "%llo", (unsigned long long)value);
    } else {
        buffer_printf(text, "%lld", (long long)value);
    }
}

/* "From 0 to 100. Unit: percent." and the like; bounds that only the type sets go unsaid. */
static void append_type(struct buffer *text, const struct option_row *row) {
    bool is_bounded = row->max != INT64_MAX && row->max != INT32_MAX && row->max != UINT32_MAX;
    switch (row->kind) {
    case OPTION_KIND_INT:
    case OPTION_KIND_MEMORY:
    case OPTION_KIND_OCTAL:
        if (is_bounded || row->min > 0) {
            buffer_append_slice(text, is_bounded ? SLICE(" From ") : SLICE(" At least "));
            append_number(text, row, row->min);
        }
        if (is_bounded) {
            buffer_append_slice(text, SLICE(" to "));
            append_number(text, row, row->max);
        }
        if (is_bounded || row->min > 0) {
            buffer_append_byte(text, '.');
        }
        if (row->unit[0] != '\0') {
            buffer_printf(text, " Unit: %s.", row->unit);
        }
        return;
    case OPTION_KIND_ENUM:
        buffer_append_slice(text, SLICE(" One of: "));
        for (const char *at = row->words; *at != '\0'; at++) {
            if (*at == ' ') {
                buffer_append_byte(text, ',');
            }
            buffer_append_byte(text, (uint8_t)*at);
        }
        buffer_append_byte(text, '.');
        return;
    case OPTION_KIND_BOOL:
    case OPTION_KIND_SHARE:
    case OPTION_KIND_TEXT:
    case OPTION_KIND_words:
    case OPTION_KIND_renames:
    case OPTION_KIND_save_points:
    case OPTION_KIND_output_limits:
    case OPTION_KIND_percentiles:
    case OPTION_KIND_oom_scores:
    case OPTION_KIND_notify_events:
    case OPTION_KIND_shutdown_flags:
        return;
    }
}

/* All that there is to say about a row, in sentences. */
static void append_explanation(struct buffer *text, const struct option_row *row) {
    buffer_append_slice(text, slice_of(row->help));
    append_type(text, row);
    if (row->flags & OPT_START) {
        buffer_append_slice(text, SLICE(" Fixed at the start."));
    }
    if (row->flags & OPT_PROTECTED) {
        buffer_append_slice(text, SLICE(" CONFIG SET needs enable-protected-configs."));
    }
    if (row->alias != NULL) {
        buffer_printf(text, " Also called %s.", row->alias);
    }
    if (row->flags & OPT_ACCEPTED) {
        buffer_append_slice(text, SLICE(" Accepted for Redis's sake, changes nothing here."));
    }
}

static void write_option(struct buffer *text, const struct options *defaults, enum option_id id) {
    const struct option_row *row = option_row(id);
    struct buffer explanation = {0};
    if (row->flags & OPT_HIDDEN) {
        return;
    }
    append_explanation(&explanation, row);
    buffer_append_byte(text, '\n');
    append_wrapped(text, "# ", REFERENCE_COLUMNS, buffer_text(&explanation));
    if (row->flags & OPT_FILE_ONLY) {
        buffer_printf(text, "# %s FLUSHALL \"\"\n", row->name);
    } else {
        option_write_lines(defaults, id, text);
    }
    buffer_deinit(&explanation);
}

static void write_heading(struct buffer *text, const char *title) {
    size_t begin = text->size;
    buffer_printf(text, "\n# ---- %s ", title);
    while (text->size - begin < REFERENCE_COLUMNS) {
        buffer_append_byte(text, '-');
    }
    buffer_append_byte(text, '\n');
}

static const char preamble[] =
    "# Starling's options, each with its default. Generated from src/config/options.def with\n"
    "# starling-server --print-config; a file needs only the lines that differ.\n"
    "#\n"
    "#     starling-server path/to/starling.conf --port 7001\n"
    "#\n"
    "# The syntax is that of redis.conf. A line is a name and its values, separated by blanks. A\n"
    "# line that begins with '#' is a comment. A value with blanks is quoted: \"...\" understands\n"
    "# \\n, \\r, \\t, \\b, \\a, \\xHH and \\ before any other byte, '...' only \\'. Memory is "
    "written\n"
    "# in bytes or with a unit, in any case:\n"
    "#\n"
    "#     1k = 1000    1kb = 1024    1m = 1000000    1mb = 1048576    1g, 1gb likewise\n"
    "#\n"
    "# A later line wins over an earlier one, and the command line over the file. Options can be\n"
    "# read with CONFIG GET, and changed with CONFIG SET where they are not fixed at the start;\n"
    "# CONFIG REWRITE brings the file up to date and keeps its comments.\n"
    "#\n"
    "# Other files are read in place, patterns in alphabetical order:\n"
    "#\n"
    "# include /path/to/more.conf\n"
    "# include /path/to/conf.d/*.conf\n";

void config_write_reference(struct buffer *text) {
    struct options defaults;
    options_init(&defaults);
    buffer_append_slice(text, slice_of(preamble));
#define OPT_SECTION(title) write_heading(text, title);
#define OPT_BOOL(field, ...) write_option(text, &defaults, OPTION_##field);
#define OPT_INT OPT_BOOL
#define OPT_MEMORY OPT_BOOL
#define OPT_SHARE OPT_BOOL
#define OPT_OCTAL OPT_BOOL
#define OPT_ENUM OPT_BOOL
#define OPT_TEXT OPT_BOOL
#define OPT_CUSTOM OPT_BOOL
#include "config/options.def"
    options_deinit(&defaults);
}

static void write_help_section(struct buffer *text, const char *title) {
    buffer_printf(text, "\n%s\n", title);
}

/* The accepted rows are many and do nothing; conf/starling.conf has them. */
static void write_help_option(struct buffer *text, enum option_id id) {
    const struct option_row *row = option_row(id);
    struct buffer explanation = {0};
    if (row->flags & (OPT_HIDDEN | OPT_ACCEPTED)) {
        return;
    }
    buffer_printf(text, "  --%s %s\n", row->name, row->value[0] != '\0' ? row->value : "\"\"");
    append_explanation(&explanation, row);
    append_wrapped(text, "        ", HELP_COLUMNS, buffer_text(&explanation));
    buffer_deinit(&explanation);
}

void config_write_help(struct buffer *text) {
    struct buffer section = {0};
    const char *title = "";
    /* A section of accepted rows alone has no heading. */
#define OPT_SECTION(name)                                                                          \
    if (section.size > 0) {                                                                        \
        write_help_section(text, title);                                                           \
        buffer_append_slice(text, buffer_slice(&section));                                         \
        buffer_clear(&section);                                                                    \
    }                                                                                              \
    title = name;
#define OPT_BOOL(field, ...) write_help_option(&section, OPTION_##field);
#define OPT_INT OPT_BOOL
#define OPT_MEMORY OPT_BOOL
#define OPT_SHARE OPT_BOOL
#define OPT_OCTAL OPT_BOOL
#define OPT_ENUM OPT_BOOL
#define OPT_TEXT OPT_BOOL
#define OPT_CUSTOM OPT_BOOL
#include "config/options.def"
    if (section.size > 0) {
        write_help_section(text, title);
        buffer_append_slice(text, buffer_slice(&section));
    }
    buffer_deinit(&section);
}

void config_write_warnings(const struct options *options, struct buffer *text) {
    struct options defaults;
    options_init(&defaults);
    for (int id = 0; id < OPTIONS_COUNT; id++) {
        const struct option_row *row = option_row((enum option_id)id);
        if ((row->flags & OPT_ACCEPTED) &&
            !option_is_equal(options, &defaults, (enum option_id)id)) {
            buffer_printf(text, "option '%s' is accepted but changes nothing here\n", row->name);
        }
    }
    options_deinit(&defaults);
}
