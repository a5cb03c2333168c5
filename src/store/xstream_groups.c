/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/xstreams.h"

#include "base/codec.h"
#include "store/xstreams_internal.h"

/* ---- reading ---- */

static void group_here(struct xstream_cursor *cursor, struct xstream_group *group) {
    uint64_t count = xstream_count_take(xstream_value(cursor));
    group->last_id = cursor->name.id;
    group->entries_read = count > (uint64_t)INT64_MAX + 1 ? -1 : (int64_t)(count - 1);
    group->label.size = cursor->name.group.size;
    memmove(group->label.bytes, cursor->name.group.data, cursor->name.group.size);
}

bool xstream_find_group(struct xstream_view view, const struct xstream_label *label,
                        struct xstream_group *group) {
    struct xstream_cursor cursor;
    struct xstream_name prefix;
    xstream_name_of_group(&prefix, XSTREAM_GROUP, label);
    if (!xstream_seek_last(view, &prefix, &cursor)) {
        return false;
    }
    group_here(&cursor, group);
    return true;
}

bool xstream_next_group(struct xstream_view view, bool is_first, struct xstream_group *group) {
    struct xstream_cursor cursor;
    struct xstream_name prefix, from;
    xstream_name_begin(&prefix, XSTREAM_GROUP);
    xstream_name_begin(&from, XSTREAM_GROUP);
    if (!is_first) {
        xstream_name_add_label(&from, xstream_label_slice(&group->label));
        xstream_name_pass(&from);
    }
    if (!xstream_seek_name(view, &prefix, &from, &cursor)) {
        return false;
    }
    /* Of several ids the greatest counts. */
    group_here(&cursor, group);
    struct xstream_label label = group->label;
    bool is_there = xstream_find_group(view, &label, group);
    ensure(is_there);
    return true;
}

void xstream_consumer_here(struct xstream_cursor *cursor, struct xstream_consumer *consumer) {
    struct ordered_map_cursor seen;
    xstream_consumer_take(xstream_value(cursor), consumer);
    if (ordered_map_find(cursor->view.collection->seen, cursor->at.element.name, &seen)) {
        uint64_t seen_unix_ms = xstream_count_take(seen.element.value);
        if (seen_unix_ms > consumer->seen_unix_ms) {
            consumer->seen_unix_ms = seen_unix_ms;
        }
    }
}

static void name_consumer(struct xstream_name *name, const struct xstream_label *group,
                          const struct xstream_label *label) {
    xstream_name_begin(name, XSTREAM_CONSUMER);
    xstream_name_add_label(name, xstream_label_slice(group));
    xstream_name_add_label(name, xstream_label_slice(label));
}

static void name_pending(struct xstream_name *name, const struct xstream_label *group,
                         struct xstream_id id) {
    xstream_name_begin(name, XSTREAM_PENDING);
    xstream_name_add_label(name, xstream_label_slice(group));
    xstream_name_add_id(name, id);
}

bool xstream_find_consumer(struct xstream_view view, const struct xstream_label *group,
                           const struct xstream_label *label, struct xstream_consumer *consumer) {
    struct xstream_cursor cursor;
    struct xstream_name name;
    name_consumer(&name, group, label);
    if (!xstream_find_name(view, &name, &cursor)) {
        return false;
    }
    xstream_consumer_here(&cursor, consumer);
    return true;
}

bool xstream_find_pending(struct xstream_view view, const struct xstream_label *group,
                          struct xstream_id id, struct xstream_pending *pending) {
    struct xstream_cursor cursor;
    struct xstream_name name;
    name_pending(&name, group, id);
    if (!xstream_find_name(view, &name, &cursor)) {
        return false;
    }
    xstream_pending_take(xstream_value(&cursor), pending);
    return true;
}

/* ---- writing ---- */

static enum store_status put_group(struct elements_writer *writer,
                                   const struct xstream_group *group,
                                   const struct xstream_progress *progress) {
    struct xstream_name prefix;
    struct buffer value = {0};
    codec_put_varint(&value, (uint64_t)group->entries_read + 1);
    if (!xstream_progress_is_plain(progress, group->last_id)) {
        xstream_progress_put(&value, progress);
    }
    xstream_name_of_group(&prefix, XSTREAM_GROUP, &group->label);
    enum store_status status =
        xstream_put_greatest(writer, &prefix, group->last_id, buffer_slice(&value));
    buffer_deinit(&value);
    return status;
}

/* Delivers all that is here up to that id. */
static void reach_all(struct xstream_view view, struct xstream_id last_id,
                      struct xstream_progress *progress) {
    struct xstream_cursor cursor;
    for (bool is_there = xstream_seek(view, XSTREAM_ID_MIN, &cursor);
         is_there && xstream_id_compare(cursor.name.id, last_id) <= 0;
         is_there = xstream_next(&cursor)) {
        struct xstream_id id = cursor.name.id;
        xstream_progress_reach(progress, xstream_origin(id, xstream_value(&cursor)), id);
        xstream_fold_progress(view.store, progress, id);
    }
}

enum store_status xstream_set_group(struct elements_writer *writer,
                                    const struct xstream_group *group, enum xstream_from from) {
    struct xstream_progress progress = {0};
    if (from == XSTREAM_FROM_HERE && !writer->store->is_alone) {
        reach_all(xstream_of_writer(writer), group->last_id, &progress);
    } else {
        xstream_progress_raise_floor(&progress, group->last_id);
    }
    enum store_status status = put_group(writer, group, &progress);
    xstream_progress_deinit(&progress);
    xstream_unread_forget(elements_writer_collection(writer), &group->label);
    return status;
}

enum store_status xstream_say_group(struct elements_writer *writer,
                                    const struct xstream_group *group) {
    struct xstream_view view = xstream_of_writer(writer);
    struct xstream_progress progress = {0};
    struct xstream_group there;
    xstream_join_progress(view, &group->label, &progress);
    if (xstream_find_group(view, &group->label, &there) &&
        xstream_id_compare(group->last_id, there.last_id) > 0) {
        xstream_progress_raise_floor(&progress, group->last_id);
    }
    enum store_status status = put_group(writer, group, &progress);
    xstream_progress_deinit(&progress);
    return status;
}

enum store_status xstream_set_read(struct elements_writer *writer,
                                   const struct xstream_group *group,
                                   const struct xstream_unread *unread) {
    return put_group(writer, group, &unread->progress);
}

static void forget_seen(struct elements_writer *writer, struct slice name) {
    struct ordered_map_cursor cursor;
    struct collection *collection = elements_writer_collection(writer);
    if (ordered_map_find(collection->seen, name, &cursor)) {
        (void)ordered_map_remove(&collection->seen, &cursor);
    }
}

/* Removes the consumers and what is pending. */
static void remove_parts(struct elements_writer *writer, const struct xstream_label *group) {
    struct xstream_cursor cursor;
    struct xstream_name prefix;
    for (bool is_there = xstream_seek_consumer(xstream_of_writer(writer), group, &cursor); is_there;
         is_there = xstream_next(&cursor)) {
        forget_seen(writer, cursor.at.element.name);
    }
    xstream_name_of_group(&prefix, XSTREAM_CONSUMER, group);
    (void)xstream_remove_all(writer, &prefix, NULL);
    xstream_name_of_group(&prefix, XSTREAM_PENDING, group);
    xstream_pending_drop(elements_writer_collection(writer));
    (void)xstream_remove_all(writer, &prefix, NULL);
}

enum store_status xstream_create_group(struct elements_writer *writer,
                                       const struct xstream_group *group, enum xstream_from from) {
    enum store_status status = xstream_set_group(writer, group, from);
    if (status == STORE_OK) {
        remove_parts(writer, &group->label);
    }
    return status;
}

void xstream_destroy_group(struct elements_writer *writer, const struct xstream_label *group) {
    struct xstream_name prefix;
    struct xstream_view view = xstream_of_writer(writer);
    struct xstream_id last = xstream_last_id(view);
    /* A stream that has no other element is there nevertheless. */
    if (xstream_length(view) == 0) {
        xstream_keep(writer, last);
    }
    remove_parts(writer, group);
    xstream_name_of_group(&prefix, XSTREAM_GROUP, group);
    (void)xstream_remove_all(writer, &prefix, NULL);
    xstream_unread_forget(elements_writer_collection(writer), group);
}

enum store_status xstream_set_consumer(struct elements_writer *writer,
                                       const struct xstream_label *group,
                                       const struct xstream_label *label,
                                       const struct xstream_consumer *consumer) {
    struct xstream_name name;
    char value[XSTREAM_CONSUMER_BYTES_MAX];
    size_t size = xstream_consumer_put(value, consumer);
    name_consumer(&name, group, label);
    return xstream_put(writer, &name, slice_make(value, size));
}

void xstream_note_seen(struct elements_writer *writer, const struct xstream_label *group,
                       const struct xstream_label *label) {
    struct collection *collection = elements_writer_collection(writer);
    struct ordered_map_cursor cursor;
    struct xstream_name name;
    char value[VARINT_BYTES_MAX];
    size_t size = xstream_count_put(value, (uint64_t)writer->store->now_ms);
    name_consumer(&name, group, label);
    struct ordered_map_element element = {.name = xstream_name_slice(&name),
                                          .value = slice_make(value, size)};
    bool is_done = ordered_map_find(collection->seen, element.name, &cursor)
                       ? ordered_map_replace(&collection->seen, &cursor, 0, 0, element.value)
                       : ordered_map_insert(&collection->seen, &element);
    ensure(is_done); /* it has no block of its own */
}

uint64_t xstream_delete_consumer(struct elements_writer *writer, const struct xstream_label *group,
                                 const struct xstream_label *label) {
    struct xstream_cursor cursor;
    struct xstream_owned owned;
    struct xstream_name name;
    struct buffer ids = {0};
    for (bool is_there =
             xstream_owned_begin(xstream_of_writer(writer), group, label, XSTREAM_ID_MIN, &owned);
         is_there; is_there = xstream_owned_next(&owned)) {
        buffer_append(&ids, &owned.cursor.name.id, sizeof(struct xstream_id));
    }
    xstream_owned_forget(elements_writer_collection(writer), group, label);
    size_t count = ids.size / sizeof(struct xstream_id);
    uint64_t removed =
        xstream_delete_pending(writer, group, (const struct xstream_id *)(void *)ids.data, count);
    ensure(removed == count);
    buffer_deinit(&ids);
    name_consumer(&name, group, label);
    forget_seen(writer, xstream_name_slice(&name));
    if (xstream_find_name(xstream_of_writer(writer), &name, &cursor)) {
        (void)sequence_write_remove(writer, &cursor.at);
    }
    return removed;
}

enum store_status xstream_set_pending(struct elements_writer *writer,
                                      const struct xstream_label *group, struct xstream_id id,
                                      const struct xstream_pending *pending) {
    struct xstream_name name;
    char value[XSTREAM_PENDING_BYTES_MAX];
    size_t size = xstream_pending_put(value, pending);
    name_pending(&name, group, id);
    return xstream_put(writer, &name, slice_make(value, size));
}

uint64_t xstream_delete_pending(struct elements_writer *writer, const struct xstream_label *group,
                                const struct xstream_id *ids, size_t count) {
    struct xstream_cursor cursor;
    struct xstream_name name;
    uint64_t removed = 0;
    bool is_there = false; /* is the cursor on an element? */
    for (size_t i = 0; i < count; i++) {
        name_pending(&name, group, ids[i]);
        /* Often the next one follows the one before. */
        if ((is_there && slice_equal(cursor.at.element.name, xstream_name_slice(&name))) ||
            xstream_find_name(xstream_of_writer(writer), &name, &cursor)) {
            is_there = sequence_write_remove(writer, &cursor.at);
            removed++;
        } else {
            is_there = false;
        }
    }
    return removed;
}
