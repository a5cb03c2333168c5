/* SPDX-License-Identifier: BSD-3-Clause */
/* Members with scores: as the commands of sorted sets and places gather, reply and store them. */
#ifndef COMMANDS_SCORED_MEMBERS_H
#define COMMANDS_SCORED_MEMBERS_H

#include "commands/command.h"
#include "store/sorted_set.h"

/* ---- replies ---- */

/* Begins a reply of `count` members. With scores it has pairs in RESP3, and is flat in RESP2. */
void scored_reply_begin(struct reply *reply, uint64_t count, bool with_scores);
void scored_reply_member(struct reply *reply, struct slice name, double score, bool with_scores);

/* ---- lists ---- */

struct scored_member {
    struct slice name; /* lies in the sorted set or set that it was read from */
    double score;
    uint32_t input; /* which of several it came from */
};

/* A zeroed one is empty. */
struct scored_members {
    struct scored_member *items;
    size_t count, capacity;
    bool is_out_of_memory; /* something could not be added: the list is of no use */
};

void scored_members_deinit(struct scored_members *members);
void scored_members_add(struct scored_members *members, const struct scored_member *member);
/* By score, then by name. */
void scored_members_sort(struct scored_members *members);
/* By name, then by input. */
void scored_members_sort_by_name(struct scored_members *members);
/* Makes a sorted set of them in the place of whatever is at the key named by argument `index`,
 * which is removed if there are none; tells `event`, or that it is gone; replies with their number.
 * Each name occurs once. */
void scored_members_store(struct command_context *ctx, size_t index,
                          const struct scored_members *members, const char *event);

/* ---- adding ---- */

/* Options of ZADD; GEOADD has the first three. */
enum {
    SORTED_SET_ADD_NX = 1 << 0,
    SORTED_SET_ADD_XX = 1 << 1,
    SORTED_SET_ADD_CH = 1 << 2,
    SORTED_SET_ADD_GT = 1 << 3,
    SORTED_SET_ADD_LT = 1 << 4,
    SORTED_SET_ADD_INCR = 1 << 5,
};
/* Reads options from argument 2 on, up to that of `last`; returns where they end. */
size_t sorted_set_add_options(struct command_context *ctx, unsigned last, unsigned *flags);
/* Adds `count` members, whose names are argument `name_at` and each `step`th after it, to the key
 * named by argument 1, and replies as ZADD does. */
void sorted_set_add(struct command_context *ctx, unsigned flags, const double *scores,
                    size_t name_at, size_t step, size_t count);

/* ---- arguments ---- */

/* The positions of keys that a number at `at` counts, and of one before them if `first` is not 0:
 * for rows' find_keys. */
int command_counted_keys(const struct slice *args, size_t args_count, size_t first, size_t at,
                         int *positions, size_t room);

/* After a command removed elements: tells `event`, and that the key is gone if it is. */
void command_notify_removed(struct command_context *ctx, const struct key *key,
                            enum notify_class class_bit, const char *event);

#endif
