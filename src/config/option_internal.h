/* SPDX-License-Identifier: BSD-3-Clause */
/* What reading and writing the types of options share: option_parse.c reads, option_row.c writes
 * and copies. */
#ifndef CONFIG_OPTION_INTERNAL_H
#define CONFIG_OPTION_INTERNAL_H

#include "config/option_row.h"

extern const char *const option_shutdown_words[4]; /* by bit */
extern const char *const option_client_class_names[OPTION_CLIENT_CLASSES];

/* Takes the next word off `rest`, a text with single blanks; false at its end. */
bool option_next_word(const char **rest, struct slice *word);
/* A copy that ends with a zero byte; the caller's. */
char *option_copy_text(struct slice bytes);
/* Appends copies of the words. */
void option_append_words(struct option_words *list, const struct slice *words, size_t count);
/* Frees the words; the list is empty then. */
void option_release_words(struct option_words *list);

#endif
