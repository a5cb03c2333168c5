/* SPDX-License-Identifier: BSD-3-Clause */
/* What SCAN, HSCAN, SSCAN and ZSCAN have in common: cursors and options.
 *
 * A cursor is a position in the walk of an ordered table, without its low bits: it needs no memory
 * on the server, survives growth, and what stays is reported exactly once. */
#ifndef COMMANDS_SCAN_OPTIONS_H
#define COMMANDS_SCAN_OPTIONS_H

#include "commands/command.h"

enum {
    SCAN_CURSOR_SHIFT = 8, /* positions of table_walk() are multiples of this power of two */
    SCAN_COUNT_DEFAULT = 10,
    SCAN_BUCKETS_FACTOR = 10, /* a call looks at no more than this times COUNT buckets */
};

/* Which options a command takes beside COUNT and MATCH. */
enum { SCAN_TAKES_TYPE = 1, SCAN_TAKES_NOVALUES = 2 };

struct scan_options {
    uint64_t position; /* to go on from */
    bool is_foreign;   /* no cursor of ours: nothing comes after it */
    uint64_t count;    /* to look at in this call */
    bool has_pattern;
    struct slice pattern;
    bool has_type;
    struct slice type;
    bool has_no_values;
};

/* Reads the cursor in argument `cursor_index` and the options after it; writes the error and
 * returns false when they are wrong. */
bool scan_parse_options(struct command_context *ctx, size_t cursor_index, unsigned takes,
                        struct scan_options *options);
/* Likewise for HSCAN, SSCAN and ZSCAN, which want elements of `type`, and the elements. False as
 * well when the reply is written because there are none, and then the options are not looked at. */
bool scan_parse(struct command_context *ctx, enum value_type type, unsigned takes,
                struct scan_options *options, struct elements *elements);
/* How many buckets the call may look at. */
uint64_t scan_buckets_max(const struct scan_options *options);
/* Writes the head of the reply: an array of two, of which the first is the cursor. */
void scan_reply_cursor(struct command_context *ctx, uint64_t position);

/* All of HSCAN, SSCAN and ZSCAN after their options: `write` writes one element as one or more
 * replies and returns how many. */
typedef size_t (*scan_write_fn)(struct command_context *ctx, const struct scan_options *options,
                                const struct element *element);
void scan_elements(struct command_context *ctx, const struct elements *elements,
                   struct scan_options *options, scan_write_fn write);

#endif
