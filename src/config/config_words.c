/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/config_words.h"

#include "base/memory.h"
#include "config/config.h"

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n' || byte == '\0';
}

static int hex_digit(char byte) {
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    if (byte >= 'a' && byte <= 'f') {
        return byte - 'a' + 10;
    }
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

static char escaped_byte(char letter) {
    switch (letter) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    }
    return letter;
}

/* Appends what stands between double quotes from line[at] on; the place after the closing quote,
 * or 0 without one. */
static size_t take_double_quoted(struct buffer *bytes, struct slice line, size_t at) {
    while (at < line.size) {
        char byte = line.data[at];
        if (byte == '"') {
            return at + 1;
        }
        if (byte == '\\' && at + 3 < line.size && line.data[at + 1] == 'x' &&
            hex_digit(line.data[at + 2]) >= 0 && hex_digit(line.data[at + 3]) >= 0) {
            int value = hex_digit(line.data[at + 2]) * 16 + hex_digit(line.data[at + 3]);
            buffer_append_byte(bytes, (uint8_t)value);
            at += 4;
        } else if (byte == '\\' && at + 1 < line.size) {
            buffer_append_byte(bytes, (uint8_t)escaped_byte(line.data[at + 1]));
            at += 2;
        } else {
            buffer_append_byte(bytes, (uint8_t)byte);
            at++;
        }
    }
    return 0;
}

/* The same for single quotes, where only \' is special. */
static size_t take_single_quoted(struct buffer *bytes, struct slice line, size_t at) {
    while (at < line.size) {
        char byte = line.data[at];
        if (byte == '\'') {
            return at + 1;
        }
        if (byte == '\\' && at + 1 < line.size && line.data[at + 1] == '\'') {
            byte = '\'';
            at++;
        }
        buffer_append_byte(bytes, (uint8_t)byte);
        at++;
    }
    return 0;
}

/* Appends the word at line[at]; the place after it, or 0 for unbalanced quotes. */
static size_t take_word(struct buffer *bytes, struct slice line, size_t at) {
    while (at < line.size && !is_blank(line.data[at])) {
        char byte = line.data[at];
        if (byte == '"' || byte == '\'') {
            at = byte == '"' ? take_double_quoted(bytes, line, at + 1)
                             : take_single_quoted(bytes, line, at + 1);
            if (at == 0 || (at < line.size && !is_blank(line.data[at]))) {
                return 0;
            }
            return at;
        }
        buffer_append_byte(bytes, (uint8_t)byte);
        at++;
    }
    return at;
}

static void add_word(struct config_words *words, size_t size) {
    if (words->count == words->capacity) {
        words->capacity = words->capacity == 0 ? 8 : words->capacity * 2;
        words->words = memory_resize(words->words, words->capacity * sizeof(words->words[0]));
    }
    words->words[words->count++] = slice_make(NULL, size);
}

enum config_words_status config_words_split(struct config_words *words, struct slice line) {
    size_t at = 0;
    words->count = 0;
    buffer_clear(&words->bytes);
    for (;;) {
        while (at < line.size && is_blank(line.data[at])) {
            at++;
        }
        if (at == line.size) {
            break;
        }
        if (words->count == CONFIG_ARGUMENTS_MAX) {
            return CONFIG_WORDS_TOO_MANY;
        }
        size_t begin = words->bytes.size;
        at = take_word(&words->bytes, line, at);
        if (at == 0) {
            return CONFIG_WORDS_UNBALANCED;
        }
        add_word(words, words->bytes.size - begin);
    }
    /* The bytes may have moved while they grew, so the words are pointed at them only now. */
    const char *data = words->bytes.data != NULL ? words->bytes.data : "";
    for (size_t i = 0; i < words->count; i++) {
        words->words[i].data = data;
        data += words->words[i].size;
    }
    return CONFIG_WORDS_OK;
}

void config_words_deinit(struct config_words *words) {
    memory_free(words->words);
    buffer_deinit(&words->bytes);
    *words = (struct config_words){0};
}

struct slice config_line_take(struct slice *text) {
    const char *end = memchr(text->data, '\n', text->size);
    size_t size = end != NULL ? (size_t)(end - text->data) : text->size;
    struct slice line = slice_make(text->data, size);
    *text = slice_skip(*text, end != NULL ? size + 1 : size);
    return line;
}

bool config_line_is_comment(struct slice line) {
    size_t at = 0;
    while (at < line.size && is_blank(line.data[at])) {
        at++;
    }
    return at == line.size || line.data[at] == '#';
}
