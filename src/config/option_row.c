/* SPDX-License-Identifier: BSD-3-Clause */
/* What each type of option can do with a value that was read: show it, write the lines of a file
 * that set it, copy it, free it. */
#include "config/option_internal.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/number.h"

static const char notify_classes[] = "g$lshzxetd";
const char *const option_shutdown_words[4] = {"save", "nosave", "now", "force"};
const char *const option_client_class_names[OPTION_CLIENT_CLASSES] = {"normal", "slave", "pubsub"};

/* ---- Words ---- */

bool option_next_word(const char **rest, struct slice *word) {
    if (**rest == '\0') {
        return false;
    }
    size_t size = strcspn(*rest, " ");
    *word = slice_make(*rest, size);
    *rest += size;
    *rest += **rest == ' ';
    return true;
}

static struct slice enum_word(const struct option_row *row, int index) {
    const char *rest = row->words;
    struct slice word = {0};
    for (int i = 0; i <= index; i++) {
        bool has_word = option_next_word(&rest, &word);
        require(has_word);
    }
    return word;
}

char *option_copy_text(struct slice bytes) {
    char *text = memory_alloc(bytes.size + 1);
    if (bytes.size > 0) {
        memcpy(text, bytes.data, bytes.size);
    }
    text[bytes.size] = '\0';
    return text;
}

void option_release_words(struct option_words *list) {
    for (size_t i = 0; i < list->count; i++) {
        memory_free(list->words[i]);
    }
    memory_free(list->words);
    *list = (struct option_words){0};
}

void option_append_words(struct option_words *list, const struct slice *words, size_t count) {
    if (count == 0) {
        return;
    }
    list->words = memory_resize(list->words, (list->count + count) * sizeof(list->words[0]));
    for (size_t i = 0; i < count; i++) {
        list->words[list->count++] = option_copy_text(words[i]);
    }
}

/* ---- What CONFIG GET shows ---- */

static void format_words(const struct option_words *list, struct buffer *text) {
    for (size_t i = 0; i < list->count; i++) {
        buffer_printf(text, "%s%s", i == 0 ? "" : " ", list->words[i]);
    }
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

static void format_shutdown(uint32_t bits, struct buffer *text) {
    const char *separator = "";
    if (bits == 0) {
        buffer_append_slice(text, SLICE("default"));
    }
    for (unsigned w = 0; w < 4; w++) {
        if (bits & (1U << w)) {
            buffer_printf(text, "%s%s", separator, option_shutdown_words[w]);
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
            buffer_printf(text, "%s%s %lld %lld %lld", i == 0 ? "" : " ",
                          option_client_class_names[i], (long long)limits->classes[i].hard_bytes,
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
                      i == OPTION_CLIENT_REPLICA ? "replica" : option_client_class_names[i]);
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
            option_append_words(copy, &word, 1);
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
        option_release_words(option_field(options, id));
    }
}
