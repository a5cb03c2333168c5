/* SPDX-License-Identifier: BSD-3-Clause */
/* What xstreams.c, xstream_groups.c and xstream_unread.c share. For these only. */
#ifndef STORE_XSTREAMS_INTERNAL_H
#define STORE_XSTREAMS_INTERNAL_H

#include "store/sequence_write.h"
#include "store/xstreams.h"

/* ---- walking over what has a prefix ---- */

/* The first one with that name or a greater one. */
bool xstream_seek_name(struct xstream_view view, const struct xstream_name *prefix,
                       const struct xstream_name *from, struct xstream_cursor *cursor);
bool xstream_seek_first(struct xstream_view view, const struct xstream_name *prefix,
                        struct xstream_cursor *cursor);
bool xstream_seek_last(struct xstream_view view, const struct xstream_name *prefix,
                       struct xstream_cursor *cursor);
/* The prefix of what the group has of that kind. */
void xstream_name_of_group(struct xstream_name *name, enum xstream_kind kind,
                           const struct xstream_label *group);
/* The element of that very name. */
bool xstream_find_name(struct xstream_view view, const struct xstream_name *name,
                       struct xstream_cursor *cursor);
/* The greatest id of that kind; 0-0 without any. */
struct xstream_id xstream_greatest(struct xstream_view view, enum xstream_kind kind);

/* ---- progress of groups ---- */

/* Joins what all elements of the group say. */
void xstream_join_progress(struct xstream_view view, const struct xstream_label *group,
                           struct xstream_progress *progress);
/* Whatever is here up to `id` is delivered: folds origins, where there are many. */
void xstream_fold_progress(const struct store *store, struct xstream_progress *progress,
                           struct xstream_id id);
/* This node forgets where walks over what is unread may begin. */
void xstream_unread_forget(struct collection *collection, const struct xstream_label *group);

/* ---- writing ---- */

/* Adds or sets an element; alone, one that is what it should be is left as it is. */
enum store_status xstream_put(struct elements_writer *writer, const struct xstream_name *name,
                              struct slice value);
/* Removes all that the prefix begins, but `except` (NULL: all); returns how many. */
uint64_t xstream_remove_all(struct elements_writer *writer, const struct xstream_name *prefix,
                            const struct xstream_name *except);
/* Gives the stream an element that says its last id, if it has none. */
void xstream_keep(struct elements_writer *writer, struct xstream_id last);
/* Puts the prefix with that id, and removes the others with that prefix. */
enum store_status xstream_put_greatest(struct elements_writer *writer,
                                       const struct xstream_name *prefix, struct xstream_id id,
                                       struct slice value);

#endif
