/* SPDX-License-Identifier: BSD-3-Clause */
/* CONFIG GET and CONFIG SET.
 *
 * A set is first done on a copy of all options. Only when every value was right do the changed
 * fields trade places with the copy, so a refused set has touched nothing, and a set that the
 * hook vetoes is undone by trading back. */
#include "config/config.h"

#include "base/glob.h"
#include "config/option_row.h"

/* ---- GET ---- */

static bool have_globs(const struct slice *patterns, size_t count) {
    bool are_literal = true;
    for (size_t i = 0; i < count; i++) {
        are_literal &= glob_is_literal(patterns[i]);
    }
    return !are_literal;
}

/* The name under which `candidate` is asked for, as it was typed; false when it is not. */
static bool is_asked_for(const struct slice *patterns, size_t count, bool has_globs,
                         const char *candidate, bool is_hidden, struct slice *name) {
    for (size_t i = 0; candidate != NULL && i < count; i++) {
        if (slice_is_word(patterns[i], candidate)) {
            *name = patterns[i];
            return true;
        }
        if (has_globs && !is_hidden && !glob_is_literal(patterns[i]) &&
            glob_match(patterns[i], slice_of(candidate), true)) {
            *name = slice_of(candidate);
            return true;
        }
    }
    return false;
}

void config_get(const struct options *options, const struct slice *patterns, size_t patterns_count,
                config_visit visit, void *udata) {
    struct buffer value = {0};
    bool has_globs = have_globs(patterns, patterns_count);
    for (int id = 0; id < OPTIONS_COUNT; id++) {
        const struct option_row *row = option_row((enum option_id)id);
        const char *const names[] = {row->name, row->alias};
        bool is_hidden = (row->flags & OPT_HIDDEN) != 0;
        for (int i = 0; i < 2 && !(row->flags & OPT_FILE_ONLY); i++) {
            struct slice name;
            if (is_asked_for(patterns, patterns_count, has_globs, names[i], is_hidden, &name)) {
                buffer_clear(&value);
                option_format(options, (enum option_id)id, &value);
                visit(udata, name, slice_of(buffer_text(&value)));
            }
        }
    }
    buffer_deinit(&value);
}

void config_format(const struct options *options, enum option_id id, struct buffer *value) {
    option_format(options, id, value);
}

bool config_is_sensitive(struct slice name) {
    enum option_id id = option_find(name);
    return id != OPTIONS_COUNT && (option_row(id)->flags & OPT_SENSITIVE);
}

/* ---- SET ---- */

static void explain_failure(struct buffer *error, struct slice name, struct slice reason) {
    buffer_append_slice(error, SLICE("CONFIG SET failed"));
    if (name.size > 0) {
        buffer_append_slice(error, SLICE(" (possibly related to argument '"));
        buffer_append_slice(error, name);
        buffer_append_slice(error, SLICE("')"));
    }
    buffer_append_slice(error, SLICE(" - "));
    buffer_append_slice(error, reason);
}

/* The name in the table, or the alias, that `typed` stands for. */
static struct slice table_name(const struct option_row *row, struct slice typed) {
    bool is_alias = row->alias != NULL && slice_is_word(typed, row->alias);
    return slice_of(is_alias ? row->alias : row->name);
}

static bool may_set_protected(const struct options *options, bool is_local) {
    return options->enable_protected_configs == OPTION_ACCESS_YES ||
           (options->enable_protected_configs == OPTION_ACCESS_LOCAL && is_local);
}

/* What can be said against a name before any value is looked at. `seen` has two bits for each
 * row, since Redis lets one command set an option by its name and by its alias. */
static bool check_name(const struct options *options, const struct config_set_request *request,
                       struct slice typed, uint8_t *seen, struct buffer *error) {
    enum option_id id = option_find(typed);
    if (id == OPTIONS_COUNT || (option_row(id)->flags & OPT_FILE_ONLY)) {
        buffer_append_slice(error,
                            SLICE("Unknown option or number of arguments for CONFIG SET - '"));
        buffer_append_slice(error, typed);
        buffer_append_byte(error, '\'');
        return false;
    }
    const struct option_row *row = option_row(id);
    struct slice name = table_name(row, typed);
    uint8_t bit = name.data == row->name ? 1 : 2;
    if (row->flags & OPT_START) {
        explain_failure(error, name, SLICE("can't set immutable config"));
        return false;
    }
    if ((row->flags & OPT_PROTECTED) && !may_set_protected(options, request->is_local)) {
        explain_failure(error, name, SLICE("can't set protected config"));
        return false;
    }
    if (seen[id] & bit) {
        explain_failure(error, typed, SLICE("duplicate parameter"));
        return false;
    }
    seen[id] |= bit;
    return true;
}

static bool check_names(const struct options *options, const struct config_set_request *request,
                        struct buffer *error) {
    uint8_t seen[OPTIONS_COUNT] = {0};
    for (size_t i = 0; i < request->pairs_count; i++) {
        if (!check_name(options, request, request->names_values[2 * i], seen, error)) {
            return false;
        }
    }
    return true;
}

static bool parse_values(struct options *next, const struct config_set_request *request,
                         struct buffer *error) {
    struct buffer reason = {0};
    bool is_valid = true;
    for (size_t i = 0; is_valid && i < request->pairs_count; i++) {
        struct slice typed = request->names_values[2 * i];
        enum option_id id = option_find(typed);
        is_valid = option_parse(next, id, &request->names_values[2 * i + 1], 1, false, &reason);
        /* A file may ask for it, but tools that ask at run time, as Redis's own tests do, go on to
         * measure what it did; Redis on a plain allocator refuses too. */
        if (is_valid && id == OPTION_activedefrag && next->activedefrag) {
            buffer_append_slice(&reason, SLICE("Active defragmentation cannot be enabled: the "
                                               "allocator does not support it"));
            is_valid = false;
        }
        if (!is_valid) {
            explain_failure(error, table_name(option_row(id), typed), buffer_slice(&reason));
        }
    }
    buffer_deinit(&reason);
    return is_valid;
}

static void swap_changed(struct options *options, struct options *next,
                         const struct config_change *changed) {
    for (int id = 0; id < OPTIONS_COUNT; id++) {
        if (config_has_changed(changed, (enum option_id)id)) {
            option_swap(options, next, (enum option_id)id);
        }
    }
}

/* The name to blame for a veto: the option told, else the only one that was set. */
static struct slice guilty_name(const struct config_set_request *request, enum option_id guilty) {
    for (size_t i = 0; i < request->pairs_count; i++) {
        struct slice typed = request->names_values[2 * i];
        enum option_id id = option_find(typed);
        if (id == guilty || (guilty == OPTIONS_COUNT && request->pairs_count == 1)) {
            return table_name(option_row(id), typed);
        }
    }
    return guilty == OPTIONS_COUNT ? SLICE("") : slice_of(options_name(guilty));
}

static bool apply_changes(struct options *options, struct options *next,
                          const struct config_set_request *request,
                          const struct config_change *changed, struct buffer *error) {
    struct buffer reason = {0};
    enum option_id guilty = OPTIONS_COUNT;
    swap_changed(options, next, changed);
    bool is_applied = request->apply == NULL ||
                      request->apply(request->udata, options, changed, &reason, &guilty);
    if (!is_applied) {
        struct buffer ignored = {0};
        enum option_id ignored_guilty = OPTIONS_COUNT;
        swap_changed(options, next, changed);
        (void)request->apply(request->udata, options, changed, &ignored, &ignored_guilty);
        buffer_deinit(&ignored);
        explain_failure(error, guilty_name(request, guilty), buffer_slice(&reason));
    }
    buffer_deinit(&reason);
    return is_applied;
}

enum config_status config_set_many(struct options *options,
                                   const struct config_set_request *request,
                                   struct config_change *changed, struct buffer *error) {
    struct config_change differing = {0};
    struct options next;
    bool is_set = false;
    if (!check_names(options, request, error)) {
        return CONFIG_INVALID;
    }
    options_dup(options, &next);
    if (parse_values(&next, request, error)) {
        bool is_different = false;
        for (size_t i = 0; i < request->pairs_count; i++) {
            enum option_id id = option_find(request->names_values[2 * i]);
            if (!option_is_equal(options, &next, id)) {
                config_mark_changed(&differing, id);
                is_different = true;
            }
        }
        is_set = !is_different || apply_changes(options, &next, request, &differing, error);
    }
    options_deinit(&next);
    if (is_set && changed != NULL) {
        *changed = differing;
    }
    return is_set ? CONFIG_OK : CONFIG_INVALID;
}

enum config_status config_set_text(struct options *options, enum option_id id, struct slice value,
                                   struct buffer *error) {
    return option_parse(options, id, &value, 1, false, error) ? CONFIG_OK : CONFIG_INVALID;
}
