/* SPDX-License-Identifier: BSD-3-Clause */
/* Cuts a configuration line into words: blanks separate, "..." may hold \n \r \t \b \a \xHH and
 * \ before any byte, '...' may hold \'. A closing quote must end its word. */
#ifndef CONFIG_CONFIG_WORDS_H
#define CONFIG_CONFIG_WORDS_H

#include "base/buffer.h"
#include "base/slice.h"

struct config_words {
    struct slice *words; /* into `bytes` */
    size_t count;
    size_t capacity;
    struct buffer bytes;
};

enum config_words_status {
    CONFIG_WORDS_OK = 0,
    CONFIG_WORDS_UNBALANCED, /* a quote is not closed, or is followed by more */
    CONFIG_WORDS_TOO_MANY    /* more than CONFIG_ARGUMENTS_MAX */
};

/* Replaces what `words`, zeroed at first, held. */
enum config_words_status config_words_split(struct config_words *words, struct slice line)
    __attribute__((warn_unused_result));
void config_words_deinit(struct config_words *words);

/* Takes the next line off `text`, without its newline; text is not empty. A carriage return stays,
 * as a blank, so that a rewritten file keeps the line ends it had. */
struct slice config_line_take(struct slice *text);
/* True for a line that is empty, blank or begins with '#'. */
bool config_line_is_comment(struct slice line);

#endif
