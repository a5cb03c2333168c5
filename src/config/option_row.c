/* SPDX-License-Identifier: BSD-3-Clause */
/* What each type of option can do. Parsing goes into a local first and into the field only when
 * all of it was right, so a refused value leaves the old one. The error texts are Redis's. */
#include "config/option_row.h"

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

static const char notify_classes[] = "g$lshzxetd";
static const char *const shutdown_words[] = {"save", "nosave", "now", "force"};
static const char *const client_class_names[OPTION_CLIENT_CLASSES] = {"normal", "slave", "pubsub"};

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

/* Takes the next word off `rest`, a text with single blanks; false at its end. */
static bool next_enum_word(const char **rest, struct slice *word) {
    if (**rest == '\0') {
        return false;
    }
    size_t size = strcspn(*rest, " ");
    *word = slice_make(*rest, size);
    *rest += size;
    *rest += **rest == ' ';
    return true;
}

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
    for (int i = 0; next_enum_word(&rest, &word); i++) {
        if (is_same_nocase(text, word)) {
            *field = i;
            return true;
        }
    }
    refuse(error, "argument(s) must be one of the following: ");
    rest = row->words;
    for (int i = 0; next_enum_word(&rest, &word); i++) {
        buffer_printf(error, "%s%.*s", i == 0 ? "" : ", ", (int)word.size, word.data);
    }
    return false;
}

static struct slice enum_word(const struct option_row *row, int index) {
    const char *rest = row->words;
    struct slice word = {0};
    for (int i = 0; i <= index; i++) {
        bool has_word = next_enum_word(&rest, &word);
        require(has_word);
    }
    return word;
}

/* ---- Texts ---- */

static char *copy_text(struct slice bytes) {
    char *text = memory_alloc(bytes.size + 1);
    if (bytes.size > 0) {
        memcpy(text, bytes.data, bytes.size);
    }
    text[bytes.size] = '\0';
    return text;
}

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
    *field = copy_text(text);
    return true;
}

/* ---- Lists of words: bind, replicaof, rename-command ---- */

static void release_words(struct option_words *list) {
    for (size_t i = 0; i < list->count; i++) {
        memory_free(list->words[i]);
    }
    memory_free(list->words);
    *list = (struct option_words){0};
}

static void append_words(struct option_words *list, const struct slice *words, size_t count) {
    if (count == 0) {
        return;
    }
    list->words = memory_resize(list->words, (list->count + count) * sizeof(list->words[0]));
    for (size_t i = 0; i < count; i++) {
        list->words[list->count++] = copy_text(words[i]);
    }
}

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
    release_words(field);
    append_words(field, words, is_empty ? 0 : count);
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
    append_words(field, words, count);
    return true;
}

static void format_words(const struct option_words *list, struct buffer *text) {
    for (size_t i = 0; i < list->count; i++) {
        buffer_printf(text, "%s%s", i == 0 ? "" : " ", list->words[i]);
    }
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
        if (slice_is_word(word, client_class_names[i])) {
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

/* The form that Redis answers: A or the classes, then n, K, E and m. */
static void format_notify(uint32_t bits, struct buffer *text) {
    static const uint32_t class_bits[] = {
        OPTION_NOTIFY_GENERIC, OPTION_NOTIFY_STRING, OPTION_NOTIFY_LIST,    OPTION_NOTIFY_SET,
        OPTION_NOTIFY_HASH,    OPTION_NOTIFY_ZSET,   OPTION_NOTIFY_EXPIRED, OPTION_NOTIFY_EVICTED,
        OPTION_NOTIFY_STREAM,  OPTION_NOTIFY_MODULE};
    bool is_all = (bits & OPTION_NOTIFY_ALL) == OPTION_NOTIFY_ALL;
    if (is_all) {
        buffer_append_byte(text, 'A');
    }
    for (size_t i = 0; !is_all && notify_classes[i] != '\0'; i++) {
        if (bits & class_bits[i]) {
            buffer_append_byte(text, (uint8_t)notify_classes[i]);
        }
    }
    buffer_printf(text, "%s%s%s%s", bits & OPTION_NOTIFY_NEW ? "n" : "",
                  bits & OPTION_NOTIFY_KEYSPACE ? "K" : "",
                  bits & OPTION_NOTIFY_KEYEVENT ? "E" : "", bits & OPTION_NOTIFY_MISS ? "m" : "");
}

static bool parse_shutdown(const struct slice *words, size_t count,
                           struct option_shutdown_flags *field, struct buffer *error) {
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_known = slice_is_word(words[i], "default");
        for (unsigned w = 0; w < 4; w++) {
            if (slice_is_word(words[i], shutdown_words[w])) {
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

static void format_shutdown(uint32_t bits, struct buffer *text) {
    const char *separator = "";
    if (bits == 0) {
        buffer_append_slice(text, SLICE("default"));
    }
    for (unsigned w = 0; w < 4; w++) {
        if (bits & (1U << w)) {
            buffer_printf(text, "%s%s", separator, shutdown_words[w]);
            separator = " ";
        }
    }
}

static void format_percentiles(const struct option_percentiles *list, struct buffer *text) {
    for (size_t i = 0; i < list->count; i++) {
        char number[64];
        size_t size = number_format_double(number, list->values[i]);
        buffer_printf(text, "%s%.*s", i == 0 ? "" : " ", (int)size, number);
    }
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

void option_format(const struct options *options, enum option_id id, struct buffer *text) {
    const struct option_row *row = option_row(id);
    const void *field = option_field_const(options, id);
    switch (row->kind) {
    case OPTION_KIND_BOOL:
        buffer_append_slice(text, *(const bool *)field ? SLICE("yes") : SLICE("no"));
        return;
    case OPTION_KIND_INT:
    case OPTION_KIND_MEMORY:
        buffer_printf(text, "%lld", (long long)*(const int64_t *)field);
        return;
    case OPTION_KIND_SHARE: {
        int64_t value = *(const int64_t *)field;
        buffer_printf(text, value < 0 ? "%lld%%" : "%lld", (long long)(value < 0 ? -value : value));
        return;
    }
    case OPTION_KIND_OCTAL:
        buffer_printf(text, "%llo", (unsigned long long)*(const int64_t *)field);
        return;
    case OPTION_KIND_ENUM:
        buffer_append_slice(text, enum_word(row, *(const int *)field));
        return;
    case OPTION_KIND_TEXT:
        buffer_append_slice(text, slice_of(*(char *const *)field));
        return;
    case OPTION_KIND_words:
    case OPTION_KIND_renames:
        format_words(field, text);
        return;
    case OPTION_KIND_save_points: {
        const struct option_save_points *list = field;
        for (size_t i = 0; i < list->count; i++) {
            buffer_printf(text, "%s%lld %lld", i == 0 ? "" : " ",
                          (long long)list->points[i].seconds, (long long)list->points[i].changes);
        }
        return;
    }
    case OPTION_KIND_output_limits: {
        const struct option_output_limits *limits = field;
        for (int i = 0; i < OPTION_CLIENT_CLASSES; i++) {
            buffer_printf(text, "%s%s %lld %lld %lld", i == 0 ? "" : " ", client_class_names[i],
                          (long long)limits->classes[i].hard_bytes,
                          (long long)limits->classes[i].soft_bytes,
                          (long long)limits->classes[i].soft_seconds);
        }
        return;
    }
    case OPTION_KIND_percentiles:
        format_percentiles(field, text);
        return;
    case OPTION_KIND_oom_scores: {
        const struct option_oom_scores *scores = field;
        buffer_printf(text, "%lld %lld %lld", (long long)scores->values[0],
                      (long long)scores->values[1], (long long)scores->values[2]);
        return;
    }
    case OPTION_KIND_notify_events:
        format_notify(((const struct option_notify_events *)field)->bits, text);
        return;
    case OPTION_KIND_shutdown_flags:
        format_shutdown(((const struct option_shutdown_flags *)field)->bits, text);
        return;
    }
    impossible("an option of no kind");
}

/* ---- Lines of a file ---- */

void option_append_quoted(struct buffer *text, struct slice bytes) {
    buffer_append_byte(text, '"');
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = (uint8_t)bytes.data[i];
        const char *const named = "\nn\rr\tt\aa\bb";
        const char *found = byte != 0 && byte < ' ' ? strchr(named, byte) : NULL;
        if (byte == '"' || byte == '\\') {
            buffer_printf(text, "\\%c", byte);
        } else if (found != NULL) {
            buffer_printf(text, "\\%c", found[1]);
        } else if (byte < ' ' || byte >= 0x7f) {
            buffer_printf(text, "\\x%02x", byte);
        } else {
            buffer_append_byte(text, byte);
        }
    }
    buffer_append_byte(text, '"');
}

/* The shortest exact form: 64mb, 1000000. */
static void write_memory(struct buffer *text, int64_t bytes) {
    static const char *const suffixes[] = {"", "kb", "mb", "gb"};
    int unit = 0;
    while (unit < 3 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    buffer_printf(text, "%lld%s", (long long)bytes, suffixes[unit]);
}

static void write_output_limits(const char *name, const struct option_output_limits *limits,
                                struct buffer *text) {
    for (int i = 0; i < OPTION_CLIENT_CLASSES; i++) {
        buffer_printf(text, "%s %s ", name,
                      i == OPTION_CLIENT_REPLICA ? "replica" : client_class_names[i]);
        write_memory(text, limits->classes[i].hard_bytes);
        buffer_append_byte(text, ' ');
        write_memory(text, limits->classes[i].soft_bytes);
        buffer_printf(text, " %lld\n", (long long)limits->classes[i].soft_seconds);
    }
}

static bool is_plain(struct slice word) {
    for (size_t i = 0; i < word.size; i++) {
        uint8_t byte = (uint8_t)word.data[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '\'' || byte == '\\') {
            return false;
        }
    }
    return word.size > 0;
}

static void write_words(const char *name, const struct option_words *list, struct buffer *text) {
    buffer_append_slice(text, slice_of(name));
    for (size_t i = 0; i < list->count; i++) {
        struct slice word = slice_of(list->words[i]);
        buffer_append_byte(text, ' ');
        if (is_plain(word)) {
            buffer_append_slice(text, word);
        } else {
            option_append_quoted(text, word);
        }
    }
    buffer_append_slice(text, list->count == 0 ? SLICE(" \"\"\n") : SLICE("\n"));
}

void option_write_lines(const struct options *options, enum option_id id, struct buffer *text) {
    const struct option_row *row = option_row(id);
    const void *field = option_field_const(options, id);
    switch (row->kind) {
    case OPTION_KIND_BOOL:
    case OPTION_KIND_INT:
    case OPTION_KIND_OCTAL:
    case OPTION_KIND_ENUM:
    case OPTION_KIND_oom_scores:
    case OPTION_KIND_shutdown_flags:
        buffer_printf(text, "%s ", row->name);
        option_format(options, id, text);
        break;
    case OPTION_KIND_MEMORY:
        buffer_printf(text, "%s ", row->name);
        write_memory(text, *(const int64_t *)field);
        break;
    case OPTION_KIND_SHARE:
        buffer_printf(text, "%s ", row->name);
        if (*(const int64_t *)field < 0) {
            option_format(options, id, text);
        } else {
            write_memory(text, *(const int64_t *)field);
        }
        break;
    case OPTION_KIND_TEXT:
        buffer_printf(text, "%s ", row->name);
        option_append_quoted(text, slice_of(*(char *const *)field));
        break;
    case OPTION_KIND_notify_events:
    case OPTION_KIND_percentiles: {
        struct buffer value = {0};
        option_format(options, id, &value);
        buffer_printf(text, "%s ", row->name);
        if (row->kind == OPTION_KIND_percentiles && value.size > 0) {
            buffer_append_slice(text, buffer_slice(&value));
        } else {
            option_append_quoted(text, buffer_slice(&value));
        }
        buffer_deinit(&value);
        break;
    }
    case OPTION_KIND_words:
        /* Redis has a way of its own to say that there is no primary. */
        if (id == OPTION_replicaof && options->replicaof.count == 0) {
            buffer_printf(text, "%s no one\n", row->name);
        } else {
            write_words(row->name, field, text);
        }
        return;
    case OPTION_KIND_renames: {
        const struct option_words *list = field;
        for (size_t i = 0; i + 1 < list->count; i += 2) {
            buffer_printf(text, "%s ", row->name);
            option_append_quoted(text, slice_of(list->words[i]));
            buffer_append_byte(text, ' ');
            option_append_quoted(text, slice_of(list->words[i + 1]));
            buffer_append_byte(text, '\n');
        }
        return;
    }
    case OPTION_KIND_save_points: {
        const struct option_save_points *list = field;
        for (size_t i = 0; i < list->count; i++) {
            buffer_printf(text, "%s %lld %lld\n", row->name, (long long)list->points[i].seconds,
                          (long long)list->points[i].changes);
        }
        if (list->count == 0) {
            buffer_printf(text, "%s \"\"\n", row->name);
        }
        return;
    }
    case OPTION_KIND_output_limits:
        write_output_limits(row->name, field, text);
        return;
    }
    buffer_append_byte(text, '\n');
}

/* ---- Copies ---- */

/* A file's lines say all there is to a value, so equal lines are equal values. */
bool option_is_equal(const struct options *a, const struct options *b, enum option_id id) {
    struct buffer left = {0};
    struct buffer right = {0};
    option_write_lines(a, id, &left);
    option_write_lines(b, id, &right);
    bool is_equal = slice_equal(buffer_slice(&left), buffer_slice(&right));
    buffer_deinit(&left);
    buffer_deinit(&right);
    return is_equal;
}

void option_copy(const struct options *from, struct options *to, enum option_id id) {
    const struct option_row *row = option_row(id);
    if (row->kind == OPTION_KIND_TEXT) {
        char *const *text = option_field_const(from, id);
        *(char **)option_field(to, id) = memory_copy_text(*text);
    } else if (row->kind == OPTION_KIND_words || row->kind == OPTION_KIND_renames) {
        const struct option_words *list = option_field_const(from, id);
        struct option_words *copy = option_field(to, id);
        *copy = (struct option_words){0};
        for (size_t i = 0; i < list->count; i++) {
            struct slice word = slice_of(list->words[i]);
            append_words(copy, &word, 1);
        }
    } else {
        memcpy(option_field(to, id), option_field_const(from, id), row->size);
    }
}

void option_release(struct options *options, enum option_id id) {
    const struct option_row *row = option_row(id);
    if (row->kind == OPTION_KIND_TEXT) {
        char **text = option_field(options, id);
        memory_free(*text);
        *text = NULL;
    } else if (row->kind == OPTION_KIND_words || row->kind == OPTION_KIND_renames) {
        release_words(option_field(options, id));
    }
}
