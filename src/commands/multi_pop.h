/* SPDX-License-Identifier: BSD-3-Clause */
/* What LMPOP, ZMPOP and their blocking forms have in common: "numkeys key [key ...] <this end | that
 * end> [COUNT count]". */
#ifndef COMMANDS_MULTI_POP_H
#define COMMANDS_MULTI_POP_H

#include "commands/command.h"

struct multi_pop {
    size_t keys_first, keys_count; /* arguments */
    bool is_second_end;
    uint64_t count; /* at least 1 */
};

/* Reads the arguments from numkeys, at `index`, on; the words are those of the ends, in lower case.
 * False with the error written. */
bool multi_pop_parse(struct command_context *ctx, size_t index, const char *first_end,
                     const char *second_end, struct multi_pop *pop);
/* Where the keys are, for rows' find_keys: numkeys is the first argument, or behind a timeout. */
int multi_pop_keys(const struct slice *args, size_t args_count, int *positions, size_t room);
int multi_pop_blocking_keys(const struct slice *args, size_t args_count, int *positions,
                            size_t room);
/* Nothing was found: blocks, if there is a timeout, else replies null. */
void multi_pop_found_nothing(struct command_context *ctx, const struct multi_pop *pop,
                             enum value_type type, const int64_t *timeout_ms);

#endif
