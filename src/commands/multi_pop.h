/* SPDX-License-Identifier: BSD-3-Clause */
/* What LMPOP, ZMPOP and their blocking forms have in common: "[timeout] numkeys key [key ...] <this
 * end | that end> [COUNT count]". */
#ifndef COMMANDS_MULTI_POP_H
#define COMMANDS_MULTI_POP_H

#include "commands/command.h"

struct multi_pop {
    size_t keys_first, keys_count; /* arguments */
    bool is_second_end;
    uint64_t count; /* at least 1 */
    bool blocks;    /* has a timeout */
    int64_t timeout_ms;
};

/* Reads the arguments; the words are those of the ends, in lower case. False with the error
 * written.
 */
bool multi_pop_parse(struct command_context *ctx, bool blocks, const char *first_end,
                     const char *second_end, struct multi_pop *pop);
/* Where the keys are, for rows' find_keys. */
int multi_pop_keys(const struct slice *args, size_t args_count, int *positions, size_t room);
int multi_pop_blocking_keys(const struct slice *args, size_t args_count, int *positions,
                            size_t room);
/* There was nothing to pop: blocks, or replies null. */
void multi_pop_found_nothing(struct command_context *ctx, const struct multi_pop *pop,
                             enum value_type type);

#endif
