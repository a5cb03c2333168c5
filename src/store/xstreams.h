/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams, as XADD and its kin have them: reading them, and writing them through a struct
 * elements_writer of VALUE_STREAM. crdt/xstream.h says what their elements are.
 *
 * Every write of an element is a change of its own; all changes of one writer are one unit. An
 * entry that is added is one change and nothing else. What is said of a group says its last
 * delivered id again (but for XACK and XGROUP DELCONSUMER, which only remove), so that the group
 * as a whole survives an XGROUP DESTROY that had not seen it; and who says of a consumer that
 * something is pending for it says the consumer again.
 *
 * When a consumer was last seen without getting anything is this node's own: collection->seen. A
 * reader that polls would else write to the log, and bring back what another node deletes. So is
 * from where on a group has to look for entries that it has not delivered (xstream_unread.c). */
#ifndef STORE_XSTREAMS_H
#define STORE_XSTREAMS_H

#include "crdt/xstream.h"
#include "crdt/xstream_progress.h"
#include "store/elements.h"

/* A stream to read from; ends with any change of it. */
struct xstream_view {
    const struct store *store;
    struct collection *collection; /* NULL: it is absent, and empty */
};

struct xstream_view xstream_of(const struct store *store, const struct elements *elements);
/* As it is now. */
struct xstream_view xstream_of_writer(struct elements_writer *writer);

/* ---- facts ---- */

struct xstream_facts {
    uint64_t length;
    struct xstream_id first_id; /* of the first entry; 0-0 without any */
    struct xstream_id last_id;  /* the greatest that an entry ever had */
    struct xstream_id deleted_id_max;
    uint64_t entries_added; /* at most INT64_MAX */
};

void xstream_facts(struct xstream_view view, struct xstream_facts *facts);
/* How many entries were ever added up to that id, if that can be told: else -1. */
int64_t xstream_entries_up_to(const struct xstream_facts *facts, struct xstream_id id);
/* Was one of the entries from that id on deleted, as far as the greatest deleted id tells? */
bool xstream_has_gap_from(const struct xstream_facts *facts, struct xstream_id id);
/* O(log n), as xstream_last_id(). */
uint64_t xstream_length(struct xstream_view view);
struct xstream_id xstream_last_id(struct xstream_view view);

/* ---- walking over elements of one kind ---- */

struct xstream_cursor {
    struct xstream_view view;
    struct ordered_map_cursor at;
    struct xstream_name_parts name; /* of the element here; slices lie in the cursor */
    struct xstream_name prefix;     /* of those that it walks over */
    struct entry_scratch scratch;
};

/* Each puts the cursor on an element, or returns false. */

/* The first entry with that id or a greater one, and the last with that or a smaller one. */
bool xstream_seek(struct xstream_view view, struct xstream_id id, struct xstream_cursor *cursor);
bool xstream_seek_back(struct xstream_view view, struct xstream_id id,
                       struct xstream_cursor *cursor);
/* The first pending entry of the group with that id or a greater one. */
bool xstream_seek_pending(struct xstream_view view, const struct xstream_label *group,
                          struct xstream_id id, struct xstream_cursor *cursor);
/* The group's first consumer, by name. */
bool xstream_seek_consumer(struct xstream_view view, const struct xstream_label *group,
                           struct xstream_cursor *cursor);
bool xstream_next(struct xstream_cursor *cursor);
bool xstream_previous(struct xstream_cursor *cursor);
/* The value of the element here; valid as long as the cursor stays. */
struct slice xstream_value(struct xstream_cursor *cursor);
/* Is there an entry of that id? */
bool xstream_has_entry(struct xstream_view view, struct xstream_id id);

/* ---- groups ---- */

struct xstream_group {
    struct xstream_label label;
    struct xstream_id last_id; /* delivered last */
    int64_t entries_read;      /* -1: unknown */
};

bool xstream_find_group(struct xstream_view view, const struct xstream_label *label,
                        struct xstream_group *group);
/* The group after that one by name, or with `is_first` the first. */
bool xstream_next_group(struct xstream_view view, bool is_first, struct xstream_group *group);
bool xstream_find_consumer(struct xstream_view view, const struct xstream_label *group,
                           const struct xstream_label *label, struct xstream_consumer *consumer);
/* The consumer that a cursor from xstream_seek_consumer() is on. */
void xstream_consumer_here(struct xstream_cursor *cursor, struct xstream_consumer *consumer);
/* What is pending in the group, and how many consumers it has. O(log n). */
struct xstream_pending_facts {
    uint64_t count;
    struct xstream_id first_id, last_id; /* 0-0 without any */
};
void xstream_pending_facts(struct xstream_view view, const struct xstream_label *group,
                           struct xstream_pending_facts *facts);
uint64_t xstream_consumers_count(struct xstream_view view, const struct xstream_label *group);
/* The pending entry of that id; its slice lies in the stream. */
bool xstream_find_pending(struct xstream_view view, const struct xstream_label *group,
                          struct xstream_id id, struct xstream_pending *pending);

/* ---- what is pending, by consumer (xstream_pending.c) ---- */

/* Walks over what is pending for one consumer of a group, by id. O(log n) for each step, but for
 * the first walk, which may look at all that is pending. */
struct xstream_owned {
    struct xstream_cursor cursor;      /* on the pending entry here */
    struct xstream_pending pending;    /* it; slices lie in the stream */
    const struct xstream_label *group; /* the caller's, as the consumer's label */
    struct slice consumer;
    uint64_t looks;                /* at what is another consumer's */
    const struct ordered_map *ids; /* the consumer's in the index, and where it is there; or NULL */
    struct ordered_map_cursor at;
};

/* Puts it on the first one with that id or a greater one; false: there is none. */
bool xstream_owned_begin(struct xstream_view view, const struct xstream_label *group,
                         const struct xstream_label *consumer, struct xstream_id id,
                         struct xstream_owned *owned);
bool xstream_owned_next(struct xstream_owned *owned);

/* The consumer is about to lose all of it: its ids are not kept any more. */
void xstream_owned_forget(struct collection *collection, const struct xstream_label *group,
                          const struct xstream_label *consumer);

/* How much is pending for a consumer, whether or not the group has it. */
struct xstream_share {
    struct slice consumer; /* coded label, in the stream */
    uint64_t count;        /* not 0 */
};

/* Appends them, by label, and returns how many. O(1) for each, but for the first time, which may
 * look at all that is pending. */
size_t xstream_shares(struct xstream_view view, const struct xstream_label *group,
                      struct buffer *shares);

/* Nothing is pending in the collection, which is new: it is kept by consumer from now on. */
void xstream_pending_begin(struct collection *collection);
/* An element of that name was put in, or is one of the map again. */
void xstream_pending_note(struct collection *collection, struct slice name, struct slice value);
/* The element at the cursor, which is in the map, is about to go, or to be changed elsewhere. */
void xstream_pending_forget(const struct store *store, struct collection *collection,
                            const struct ordered_map_cursor *cursor);
/* The plain element at the cursor is about to have that value. */
void xstream_pending_change(struct collection *collection, const struct ordered_map_cursor *cursor,
                            struct slice value);
/* Much is about to change: what is pending is not kept by consumer any more. */
void xstream_pending_drop(struct collection *collection);
uint64_t xstream_pending_memory_bytes(const struct collection *collection);
/* Asserts that what is kept by consumer is what is pending. */
void xstream_pending_check(const struct store *store, const struct collection *collection);

/* ---- what a group has not delivered ---- */

/* Walks over the entries that a group has not delivered, by id, in whatever order they arrived. */
struct xstream_unread {
    struct xstream_label label;   /* of the group, which is there */
    struct xstream_cursor cursor; /* on the entry here */
    struct xstream_progress progress;
    struct xstream_id start; /* all entries below are delivered */
};

/* Puts it on the first such entry; false: there is none. In any case for xstream_unread_deinit().
 * O(log n), and O(entries since the oldest one that arrived late) where some did; O(entries) for
 * the first time in a mesh. */
bool xstream_unread_begin(struct xstream_view view, const struct xstream_label *group,
                          struct xstream_unread *unread);
/* Delivers the entry here and goes on to the next one; false: there is none. */
bool xstream_unread_next(struct xstream_unread *unread);
/* How many there are. As xstream_unread_begin(), and O(how many came late). */
uint64_t xstream_unread_count(struct xstream_view view, const struct xstream_group *group);
void xstream_unread_deinit(struct xstream_unread *unread);
/* Notes on this node where the next walk may begin. */
void xstream_unread_note(struct elements_writer *writer, const struct xstream_unread *unread);
/* An entry of that name was added or set, maybe below where walks begin. */
void xstream_unread_added(struct collection *collection, struct slice name);
/* Asserts that walks begin above nothing that was not delivered. */
void xstream_unread_check(const struct store *store, const struct collection *collection);

/* ---- writing entries ---- */

/* An id for a new entry at `ms` or later, or, `is_in_ms`, at just these; `last` is
 * xstream_last_id(). */
bool xstream_make_id(struct elements_writer *writer, struct xstream_id last, uint64_t ms,
                     bool is_in_ms, struct xstream_id *id);
/* Adds an entry, whose id is above xstream_last_id(); `value`: its fields, coded, with room for
 * XSTREAM_ORIGIN_BYTES below the longest value; its origin is put behind them where it has to be.
 * OUT_OF_MEMORY: nothing changed. */
enum store_status xstream_add(struct elements_writer *writer, struct xstream_id id,
                              struct buffer *value);
/* Removes those that are there; returns how many. */
uint64_t xstream_delete(struct elements_writer *writer, const struct xstream_id *ids, size_t count);

struct xstream_trim {
    enum xstream_trim_by { XSTREAM_TRIM_NOT, XSTREAM_TRIM_LENGTH, XSTREAM_TRIM_ID } by;
    uint64_t length_max;
    struct xstream_id id_min;
    bool is_rough;  /* whole nodes, as Redis would have them */
    uint64_t limit; /* of entries, where it is rough; 0: none */
};

/* Removes the oldest entries; returns how many. */
uint64_t xstream_trim(struct elements_writer *writer, const struct xstream_trim *trim);

struct xstream_new_facts {
    struct xstream_id last_id; /* at or above that of the last entry */
    bool has_entries_added;
    uint64_t entries_added; /* at least the length */
    bool has_deleted_id_max;
    struct xstream_id deleted_id_max;
};

enum store_status xstream_set_facts(struct elements_writer *writer,
                                    const struct xstream_new_facts *facts);

/* ---- writing groups ---- */

/* What a group has delivered when it is made, or set. */
enum xstream_from {
    XSTREAM_FROM_ID,  /* all up to its last id, whatever may still arrive */
    XSTREAM_FROM_HERE /* all that is here up to its last id, and nothing that arrives later ("$");
                         in a mesh O(entries) */
};

/* Makes the group, or sets what there is of it. */
enum store_status xstream_set_group(struct elements_writer *writer,
                                    const struct xstream_group *group, enum xstream_from from);
/* Says again what the group, which is there, has delivered; with a greater last id: all up to it.
 */
enum store_status xstream_say_group(struct elements_writer *writer,
                                    const struct xstream_group *group);
/* Puts down what a walk has delivered, with the group's last id and entries read. */
enum store_status xstream_set_read(struct elements_writer *writer,
                                   const struct xstream_group *group,
                                   const struct xstream_unread *unread);
/* Makes a new one: what is left of an older one goes. */
enum store_status xstream_create_group(struct elements_writer *writer,
                                       const struct xstream_group *group, enum xstream_from from);
/* Removes it with its consumers and all that is pending. */
void xstream_destroy_group(struct elements_writer *writer, const struct xstream_label *group);
enum store_status xstream_set_consumer(struct elements_writer *writer,
                                       const struct xstream_label *group,
                                       const struct xstream_label *label,
                                       const struct xstream_consumer *consumer);
/* Notes that the consumer, which is there, was seen now; on this node only. */
void xstream_note_seen(struct elements_writer *writer, const struct xstream_label *group,
                       const struct xstream_label *label);
/* Removes a consumer with what is pending for it; returns how much that was. */
uint64_t xstream_delete_consumer(struct elements_writer *writer, const struct xstream_label *group,
                                 const struct xstream_label *label);
/* `pending` does not lie in the stream. */
enum store_status xstream_set_pending(struct elements_writer *writer,
                                      const struct xstream_label *group, struct xstream_id id,
                                      const struct xstream_pending *pending);
/* Removes those that are there; returns how many. */
uint64_t xstream_delete_pending(struct elements_writer *writer, const struct xstream_label *group,
                                const struct xstream_id *ids, size_t count);

#endif
