/* SPDX-License-Identifier: BSD-3-Clause */
/* What the handlers of streams share: ids as text, opening a stream or group, replies. Each that
 * returns false has written the error. */
#ifndef COMMANDS_STREAM_HELP_H
#define COMMANDS_STREAM_HELP_H

#include "commands/command.h"
#include "store/xstreams.h"

#define STREAM_BAD_ID "ERR Invalid stream ID specified as stream command argument"

/* ---- ids ---- */

/* Reads ms or ms-sequence, or "-" and "+" for the least and greatest; the sequence of one that has
 * none is `sequence`. Writes nothing. */
bool stream_parse_id(struct slice text, uint64_t sequence, struct xstream_id *id);
/* The same for argument `index`; "-" and "+" are none, where `is_strict`. */
bool stream_id(struct command_context *ctx, size_t index, uint64_t sequence, bool is_strict,
               struct xstream_id *id);
/* Reads an end of an interval, which may be exclusive: "(id"; the id is then the next one inside,
 * `is_start` says which. */
bool stream_interval_id(struct command_context *ctx, size_t index, bool is_start,
                        struct xstream_id *id);

/* ---- opening ---- */

/* For reading; an absent stream is empty: `view->collection` NULL. */
bool stream_read(struct command_context *ctx, const struct key *key, struct xstream_view *view);
/* For writing. */
bool stream_open(struct command_context *ctx, const struct key *key,
                 struct elements_writer *writer);
/* The coded label of the name in argument `index`, which is not too long. */
bool stream_label(struct command_context *ctx, size_t index, struct xstream_label *label);
/* The same for a name that may be too long to be there: false, with nothing written. */
static inline bool stream_find_label(const struct command_context *ctx, size_t index,
                                     struct xstream_label *label) {
    return xstream_label_encode(ctx->args[index], label);
}

/* ---- trimming ---- */

/* Reads MAXLEN or MINID with what follows from argument *at on, and moves *at behind it; leaves it
 * where neither is. LIMIT may follow. */
bool stream_trim_option(struct command_context *ctx, size_t *at, struct xstream_trim *trim,
                        bool *has_limit);
/* After all options were read: checks them against each other, and sets the limit that was not
 * given. */
bool stream_trim_complete(struct command_context *ctx, struct xstream_trim *trim, bool has_limit);

/* ---- replies ---- */

enum { STREAM_ID_TEXT_BYTES_MAX = 2 * NUMBER_INTEGER_BYTES_MAX + 1 };
/* Writes the id at `at`, which has STREAM_ID_TEXT_BYTES_MAX; returns the bytes used. */
size_t stream_format_id(char *at, struct xstream_id id);
void stream_reply_id(struct command_context *ctx, struct xstream_id id);
/* The entry at the cursor: id and fields. */
void stream_reply_entry(struct command_context *ctx, struct xstream_cursor *cursor);
/* The name that a coded label says. */
void stream_reply_label(struct command_context *ctx, struct slice coded);
/* Up to `count` entries (0: all) from `start` to `end`, or backwards; an array. */
void stream_reply_range(struct command_context *ctx, struct xstream_view view,
                        struct xstream_id start, struct xstream_id end, uint64_t count,
                        bool is_backwards);
static inline void stream_notify(struct command_context *ctx, const struct key *key,
                                 const char *event) {
    store_notify(ctx->store, NOTIFY_STREAM, event, key);
}

/* ---- what is pending ---- */

/* One pending entry; its consumer's label lies in the stream. */
struct stream_pending {
    struct xstream_id id;
    struct xstream_pending pending;
};

/* Appends all that is pending in the group, by id; returns how much that is. */
size_t stream_gather_pending(struct xstream_view view, const struct xstream_label *group,
                             struct buffer *out);
/* Puts it in the order of consumers, and of ids for each. */
void stream_sort_pending(struct buffer *gathered);
static inline struct stream_pending *stream_pending_at(const struct buffer *gathered, size_t i) {
    return (struct stream_pending *)(void *)gathered->data + i;
}

/* ---- consumers ---- */

/* Makes the consumer that is absent, or notes that it was seen; `*consumer` is what it is then. */
enum store_status stream_need_consumer(struct command_context *ctx, struct elements_writer *writer,
                                       const struct xstream_group *group,
                                       const struct xstream_label *label,
                                       struct xstream_consumer *consumer);

#endif
