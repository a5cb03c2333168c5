/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a value of each type of option. Parsing goes into a local first and into the field only
 * when all of it was right, so a refused value leaves the old one. The error texts are Redis's. */
#include "config/option_internal.h"

#include <stdio.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/number.h"

#define BIND_ADDRESSES_MAX 16
#define MESH_SEEDS_MAX 64
#define MESH_HOST_BYTES_MAX 255
#define HZ_MIN 1
#define HZ_MAX 500
#define BACKLOG_BYTES_MIN 16384
#define OOM_SCORE_MAX 2000

static bool refuse(struct buffer *error, const char *reason) {
    buffer_append_slice(error, slice_of(reason));
    return false;
}

/* ---- Numbers ---- */

/* Reads "64", "64b", "64k", "64kb" and so on; k is 1000 and kb 1024. */
static bool parse_memory(struct slice text, int64_t *bytes) {
    static const struct {
        const char *suffix;
        int64_t factor;
    } units[] = {{"", 1},           {"b", 1},
                 {"k", 1000},       {"kb", INT64_C(1) << 10},
                 {"m", 1000000},    {"mb", INT64_C(1) << 20},
                 {"g", 1000000000}, {"gb", INT64_C(1) << 30}};
    int64_t value = 0;
    size_t digits = 0;
    for (; digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9'; digits++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text.data[digits] - '0', &value)) {
            return false;
        }
    }
    for (size_t i = 0; digits > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (slice_is_word(slice_skip(text, digits), units[i].suffix)) {
            return !__builtin_mul_overflow(value, units[i].factor, bytes);
        }
    }
    return false;
}

static bool check_bounds(const struct option_row *row, int64_t value, struct buffer *error) {
    if (value >= row->min && value <= row->max) {
        return true;
    }
    const char *format = row->kind == OPTION_KIND_OCTAL
                             ? "argument must be between %llo and %llo inclusive"
                             : "argument must be between %lld and %lld inclusive";
    char reason[128];
    snprintf(reason, sizeof(reason), format, (long long)row->min, (long long)row->max);
    return refuse(error, reason);
}

static bool parse_int(const struct option_row *row, struct slice text, int64_t *field,
                      struct buffer *error) {
    int64_t value = 0;
    if (!number_parse_integer(text, &value)) {
        return refuse(error, "argument couldn't be parsed into an integer");
    }
    if (!check_bounds(row, value, error)) {
        return false;
    }
    *field = value;
    return true;
}

static bool parse_memory_option(const struct option_row *row, struct slice text, int64_t *field,
                                struct buffer *error) {
    int64_t value = 0;
    if (!parse_memory(text, &value)) {
        return refuse(error, "argument must be a memory value");
    }
    if (!check_bounds(row, value, error)) {
        return false;
    }
    *field = value;
    return true;
}

static bool parse_share(struct slice text, int64_t *field, struct buffer *error) {
    int64_t value = 0;
    if (text.size > 0 && text.data[text.size - 1] == '%') {
        uint64_t percent = 0;
        if (!number_parse_unsigned(slice_make(text.data, text.size - 1), &percent)) {
            return refuse(error, "argument must be a memory or percent value");
        }
        if (percent > 100) {
            return refuse(error, "percentage argument must be less or equal to 100");
        }
        value = -(int64_t)percent;
    } else if (!parse_memory(text, &value)) {
        return refuse(error, "argument must be a memory or percent value");
    }
    *field = value;
    return true;
}

static bool parse_octal(const struct option_row *row, struct slice text, int64_t *field,
                        struct buffer *error) {
    int64_t value = 0;
    bool is_valid = text.size > 0 && text.size <= 20;
    for (size_t i = 0; is_valid && i < text.size; i++) {
        is_valid = text.data[i] >= '0' && text.data[i] <= '7';
        value = value * 8 + (text.data[i] - '0');
    }
    if (!is_valid) {
        return refuse(error, "argument couldn't be parsed as an octal number");
    }
    if (!check_bounds(row, value, error)) {
        return false;
    }
    *field = value;
    return true;
}

static bool parse_bool(struct slice text, bool *field, struct buffer *error) {
    bool is_yes = slice_is_word(text, "yes");
    if (!is_yes && !slice_is_word(text, "no")) {
        return refuse(error, "argument must be 'yes' or 'no'");
    }
    *field = is_yes;
    return true;
}

/* ---- Words of an enumeration ---- */

static bool is_same_nocase(struct slice a, struct slice lower) {
    char text[64];
    require(lower.size < sizeof(text));
    memcpy(text, lower.data, lower.size);
    text[lower.size] = '\0';
    return slice_is_word(a, text);
}

static bool parse_enum(const struct option_row *row, struct slice text, int *field,
                       struct buffer *error) {
    const char *rest = row->words;
    struct slice word;
    for (int i = 0; option_next_word(&rest, &word); i++) {
        if (is_same_nocase(text, word)) {
            *field = i;
            return true;
        }
    }
    refuse(error, "argument(s) must be one of the following: ");
    rest = row->words;
    for (int i = 0; option_next_word(&rest, &word); i++) {
        buffer_printf(error, "%s%.*s", i == 0 ? "" : ", ", (int)word.size, word.data);
    }
    return false;
}

/* ---- Texts ---- */

static bool is_file_name(struct slice text) {
    return text.size == 0 || memchr(text.data, '/', text.size) == NULL;
}

static bool is_host_name(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '.') {
            return false;
        }
    }
    return true;
}

/* Each {word} of a title must be a variable that is known. */
static bool is_title_template(struct slice text) {
    static const char *const variables[] = {"title",    "listen-addr", "server-mode", "port",
                                            "tls-port", "unixsocket",  "config-file"};
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '{') {
            continue;
        }
        const char *end = memchr(text.data + i, '}', text.size - i);
        bool is_known = false;
        for (size_t v = 0; end != NULL && v < sizeof(variables) / sizeof(variables[0]); v++) {
            struct slice word = slice_make(text.data + i + 1, (size_t)(end - text.data) - i - 1);
            is_known |= slice_equal(word, slice_of(variables[v]));
        }
        if (!is_known) {
            return false;
        }
    }
    return text.size > 0;
}

static bool check_text(enum option_id id, struct slice text, struct buffer *error) {
    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL) {
        return refuse(error, "argument must not contain a zero byte");
    }
    bool is_name =
        id == OPTION_dbfilename || id == OPTION_appendfilename || id == OPTION_appenddirname;
    if (is_name && !is_file_name(text)) {
        buffer_printf(error, "%s can't be a path, just a %s", options_name(id),
                      id == OPTION_appenddirname ? "dirname" : "filename");
        return false;
    }
    if (id == OPTION_cluster_announce_hostname && !is_host_name(text)) {
        return refuse(error, "Hostnames may only contain alphanumeric characters, hyphens or dots");
    }
    if (id == OPTION_proc_title_template && !is_title_template(text)) {
        return refuse(error, "template format is invalid or contains unknown variables");
    }
    return true;
}

static bool parse_text(enum option_id id, struct slice text, char **field, struct buffer *error) {
    if (!check_text(id, text, error)) {
        return false;
    }
    memory_free(*field);
    *field = option_copy_text(text);
    return true;
}

/* ---- Lists of words: bind, replicaof, rename-command ---- */

/* "example.org:17001", "10.0.0.1:17001" or "[::1]:17001". */
static bool is_host_and_port(struct slice text) {
    size_t host_size = text.size;
    while (host_size > 0 && text.data[host_size - 1] != ':') {
        host_size--;
    }
    int64_t port = 0;
    if (host_size < 2 || host_size - 1 > MESH_HOST_BYTES_MAX ||
        !number_parse_integer(slice_make(text.data + host_size, text.size - host_size), &port)) {
        return false;
    }
    bool is_bracketed = text.data[0] == '[' && text.data[host_size - 2] == ']';
    return port > 0 && port <= 65535 &&
           (is_bracketed || memchr(text.data, ':', host_size - 1) == NULL);
}

/* Cuts words at blanks; stops at `room` of them. */
static size_t split_words(const struct slice *words, size_t count, struct slice *parts,
                          size_t room) {
    size_t parts_count = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < words[i].size && parts_count < room;) {
            size_t end = at;
            while (end < words[i].size && words[i].data[end] != ' ') {
                end++;
            }
            if (end > at) {
                parts[parts_count++] = slice_make(words[i].data + at, end - at);
            }
            at = end + 1;
        }
    }
    return parts_count;
}

static bool check_words(enum option_id id, const struct slice *words, size_t count,
                        struct buffer *error) {
    for (size_t i = 0; i < count; i++) {
        if (!check_text(id, words[i], error)) {
            return false;
        }
    }
    if ((id == OPTION_bind || id == OPTION_mesh_bind) && count > BIND_ADDRESSES_MAX) {
        return refuse(error, "Too many bind addresses specified.");
    }
    if (id == OPTION_mesh_seeds && count > MESH_SEEDS_MAX) {
        return refuse(error, "Too many seeds specified.");
    }
    for (size_t i = 0; id == OPTION_mesh_seeds && i < count; i++) {
        if (!is_host_and_port(words[i])) {
            return refuse(error, "A seed is written as host:port.");
        }
    }
    if (id == OPTION_replicaof) {
        int64_t port = 0;
        if (count != 2) {
            return refuse(error, "wrong number of arguments");
        }
        if (!is_same_nocase(words[1], SLICE("one")) &&
            (!number_parse_integer(words[1], &port) || port < 0 || port > 65535)) {
            return refuse(error, "Invalid master port");
        }
    }
    return true;
}

static bool parse_words(enum option_id id, const struct slice *words, size_t count,
                        struct option_words *field, struct buffer *error) {
    struct slice seeds[MESH_SEEDS_MAX + 1];
    if (id == OPTION_mesh_seeds) {
        /* Several may come in one argument of the command line. */
        count = split_words(words, count, seeds, MESH_SEEDS_MAX + 1);
        words = seeds;
    }
    bool is_empty = count == 0 || (count == 1 && words[0].size == 0) ||
                    (id == OPTION_replicaof && count == 2 && slice_is_word(words[0], "no") &&
                     slice_is_word(words[1], "one"));
    if (!is_empty && !check_words(id, words, count, error)) {
        return false;
    }
    option_release_words(field);
    option_append_words(field, words, is_empty ? 0 : count);
    return true;
}

static bool parse_renames(enum option_id id, const struct slice *words, size_t count,
                          struct option_words *field, struct buffer *error) {
    if (count != 2 || words[0].size == 0) {
        return refuse(error, "wrong number of arguments");
    }
    if (field->count / 2 >= OPTION_RENAMES_MAX) {
        return refuse(error, "too many commands are renamed");
    }
    if (!check_words(id, words, count, error)) {
        return false;
    }
    option_append_words(field, words, count);
    return true;
}

/* ---- Structured values ---- */

static bool parse_save_points(const struct slice *words, size_t count, bool adds,
                              struct option_save_points *field, struct buffer *error) {
    struct option_save_points parsed = {0};
    bool is_empty = count == 0 || (count == 1 && words[0].size == 0);
    if (adds && !is_empty) {
        parsed = *field;
    }
    if (!is_empty && count % 2 != 0) {
        return refuse(error, "Invalid save parameters");
    }
    for (size_t i = 0; !is_empty && i < count; i += 2) {
        int64_t seconds = 0;
        int64_t changes = 0;
        if (!number_parse_integer(words[i], &seconds) ||
            !number_parse_integer(words[i + 1], &changes) || seconds < 1 || changes < 0 ||
            seconds > INT32_MAX || changes > INT32_MAX) {
            return refuse(error, "Invalid save parameters");
        }
        if (parsed.count == OPTION_SAVE_POINTS_MAX) {
            return refuse(error, "Too many save points");
        }
        parsed.points[parsed.count].seconds = seconds;
        parsed.points[parsed.count].changes = changes;
        parsed.count++;
    }
    *field = parsed;
    return true;
}

static int client_class(struct slice word) {
    if (slice_is_word(word, "replica")) {
        return OPTION_CLIENT_REPLICA;
    }
    for (int i = 0; i < OPTION_CLIENT_CLASSES; i++) {
        if (slice_is_word(word, option_client_class_names[i])) {
            return i;
        }
    }
    return -1;
}

/* Classes that are not named keep their limits. */
static bool parse_output_limits(const struct slice *words, size_t count,
                                struct option_output_limits *field, struct buffer *error) {
    struct option_output_limits parsed = *field;
    if (count == 1 && words[0].size == 0) {
        count = 0;
    }
    if (count % 4 != 0) {
        return refuse(error, "Wrong number of arguments in buffer limit configuration.");
    }
    for (size_t i = 0; i < count; i += 4) {
        int class = client_class(words[i]);
        if (class < 0) {
            return refuse(error, "Invalid client class specified in buffer limit configuration.");
        }
        int64_t seconds = 0;
        if (!parse_memory(words[i + 1], &parsed.classes[class].hard_bytes) ||
            !parse_memory(words[i + 2], &parsed.classes[class].soft_bytes) ||
            !number_parse_integer(words[i + 3], &seconds) || seconds < 0 || seconds > INT32_MAX) {
            return refuse(error, "Error in hard, soft or soft_seconds setting in buffer limit "
                                 "configuration.");
        }
        parsed.classes[class].soft_seconds = seconds;
    }
    *field = parsed;
    return true;
}

static bool parse_percentiles(const struct slice *words, size_t count,
                              struct option_percentiles *field, struct buffer *error) {
    struct option_percentiles parsed = {0};
    if (count == 1 && words[0].size == 0) {
        count = 0;
    }
    if (count > OPTION_PERCENTILES_MAX) {
        return refuse(error, "Too many latency-tracking-info-percentiles parameters");
    }
    for (size_t i = 0; i < count; i++) {
        double value = 0;
        if (!number_parse_double(words[i], &value)) {
            return refuse(error, "Invalid latency-tracking-info-percentiles parameters");
        }
        if (!(value >= 0.0 && value <= 100.0)) {
            return refuse(error, "latency-tracking-info-percentiles parameters should sit between "
                                 "[0.0,100.0]");
        }
        parsed.values[parsed.count++] = value;
    }
    *field = parsed;
    return true;
}

static bool parse_oom_scores(const struct slice *words, size_t count,
                             struct option_oom_scores *field, struct buffer *error) {
    struct option_oom_scores parsed = {0};
    if (count != 3) {
        return refuse(error, "wrong number of arguments");
    }
    for (size_t i = 0; i < 3; i++) {
        if (!number_parse_integer(words[i], &parsed.values[i]) ||
            parsed.values[i] < -OOM_SCORE_MAX || parsed.values[i] > OOM_SCORE_MAX) {
            return refuse(error, "Invalid oom-score-adj-values, elements must be between -2000 and "
                                 "2000.");
        }
    }
    *field = parsed;
    return true;
}

static bool parse_notify(struct slice text, struct option_notify_events *field,
                         struct buffer *error) {
    static const char letters[] = "KEg$lshzxetmdn";
    uint32_t bits = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char *found = text.data[i] != '\0' ? strchr(letters, text.data[i]) : NULL;
        if (text.data[i] == 'A') {
            bits |= OPTION_NOTIFY_ALL;
        } else if (found != NULL) {
            bits |= 1U << (found - letters);
        } else {
            return refuse(error, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        }
    }
    field->bits = bits;
    return true;
}

static bool parse_shutdown(const struct slice *words, size_t count,
                           struct option_shutdown_flags *field, struct buffer *error) {
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_known = slice_is_word(words[i], "default");
        for (unsigned w = 0; w < 4; w++) {
            if (slice_is_word(words[i], option_shutdown_words[w])) {
                bits |= 1U << w;
                is_known = true;
            }
        }
        if (!is_known) {
            count = 0;
        }
    }
    if (count == 0) {
        return refuse(error, "argument(s) must be one of the following: default, save, nosave, "
                             "now, force");
    }
    if ((bits & OPTION_SHUTDOWN_SAVE) && (bits & OPTION_SHUTDOWN_NOSAVE)) {
        return refuse(error, "shutdown options SAVE and NOSAVE can't be used simultaneously");
    }
    field->bits = bits;
    return true;
}

/* ---- All types together ---- */

static bool parse_one(struct options *options, enum option_id id, const struct slice *words,
                      size_t count, bool adds, struct buffer *error) {
    const struct option_row *row = option_row(id);
    void *field = option_field(options, id);
    if (!(row->flags & OPT_MULTI) && count != 1) {
        return refuse(error, "wrong number of arguments");
    }
    switch (row->kind) {
    case OPTION_KIND_BOOL:
        return parse_bool(words[0], field, error);
    case OPTION_KIND_INT:
        return parse_int(row, words[0], field, error);
    case OPTION_KIND_MEMORY:
        return parse_memory_option(row, words[0], field, error);
    case OPTION_KIND_SHARE:
        return parse_share(words[0], field, error);
    case OPTION_KIND_OCTAL:
        return parse_octal(row, words[0], field, error);
    case OPTION_KIND_ENUM:
        return parse_enum(row, words[0], field, error);
    case OPTION_KIND_TEXT:
        return parse_text(id, words[0], field, error);
    case OPTION_KIND_words:
        return parse_words(id, words, count, field, error);
    case OPTION_KIND_renames:
        return parse_renames(id, words, count, field, error);
    case OPTION_KIND_save_points:
        return parse_save_points(words, count, adds, field, error);
    case OPTION_KIND_output_limits:
        return parse_output_limits(words, count, field, error);
    case OPTION_KIND_percentiles:
        return parse_percentiles(words, count, field, error);
    case OPTION_KIND_oom_scores:
        return parse_oom_scores(words, count, field, error);
    case OPTION_KIND_notify_events:
        return parse_notify(words[0], field, error);
    case OPTION_KIND_shutdown_flags:
        return parse_shutdown(words, count, field, error);
    }
    impossible("an option of no kind");
}

/* Cuts `text` at blanks, for rows that take several words. */
static bool parse_split(struct options *options, enum option_id id, struct slice text, bool adds,
                        struct buffer *error) {
    struct slice words[OPTION_WORDS_MAX];
    size_t count = 0;
    for (size_t at = 0; at < text.size;) {
        const char *blank = memchr(text.data + at, ' ', text.size - at);
        size_t end = blank != NULL ? (size_t)(blank - text.data) : text.size;
        if (end > at) {
            if (count == OPTION_WORDS_MAX) {
                return refuse(error, "too many words");
            }
            words[count++] = slice_make(text.data + at, end - at);
        }
        at = end + 1;
    }
    return parse_one(options, id, words, count, adds, error);
}

/* Two options take any number and silently keep a sensible one, as in Redis. */
static void bring_into_range(struct options *options, enum option_id id) {
    if (id == OPTION_hz) {
        options->hz = options->hz < HZ_MIN ? HZ_MIN : options->hz > HZ_MAX ? HZ_MAX : options->hz;
    } else if (id == OPTION_repl_backlog_size && options->repl_backlog_size < BACKLOG_BYTES_MIN) {
        options->repl_backlog_size = BACKLOG_BYTES_MIN;
    }
}

bool option_parse(struct options *options, enum option_id id, const struct slice *words,
                  size_t words_count, bool adds, struct buffer *error) {
    const struct option_row *row = option_row(id);
    bool is_refused = (row->flags & OPT_REFUSED) != 0;
    if (is_refused && words_count == 1 && !slice_equal(words[0], slice_of(row->value))) {
        return refuse(error, "not supported by this version, and unsafe to ignore");
    }
    /* One quoted text may hold all the words, as it must in CONFIG SET. */
    if ((row->flags & OPT_MULTI) && !(row->flags & OPT_FILE_ONLY) && words_count == 1) {
        return parse_split(options, id, words[0], adds, error);
    }
    if (!parse_one(options, id, words, words_count, adds, error)) {
        return false;
    }
    bring_into_range(options, id);
    return true;
}
