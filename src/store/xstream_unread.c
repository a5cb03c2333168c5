/* SPDX-License-Identifier: BSD-3-Clause */
/* What a group of a stream has not delivered, where entries can arrive behind others.
 *
 * What was delivered says the group's progress (crdt/xstream_progress.h), entry by entry; a walk
 * over all of them would find the next one. So each node remembers, for each group that is read
 * there, an id below which all entries are delivered, and the progress by which they are. The
 * memory holds as long as the group's progress covers that one, which XGROUP SETID can end; an
 * entry that arrives below it lowers it. Thus a walk begins behind what was read last, or at the
 * oldest entry that came late. The memory is not data: without it a walk begins at the floor.
 *
 * It lies in collection->seen, under the group's name without an id:
 *
 *   ms | sequence (varints) | progress (xstream_progress_put()) */
#include "base/codec.h"
#include "store/xstreams.h"
#include "store/xstreams_internal.h"

/* ---- progress ---- */

void xstream_join_progress(struct xstream_view view, const struct xstream_label *group,
                           struct xstream_progress *progress) {
    struct xstream_cursor cursor;
    struct xstream_name prefix;
    xstream_name_of_group(&prefix, XSTREAM_GROUP, group);
    for (bool is_there = xstream_seek_first(view, &prefix, &cursor); is_there;
         is_there = xstream_next(&cursor)) {
        struct slice value = xstream_value(&cursor);
        uint64_t entries_read;
        if (!varint_take(&value, &entries_read)) {
            value.size = 0;
        }
        xstream_progress_join(progress, cursor.name.id, value);
    }
}

/* May an entry of that origin still be added? */
static bool can_write(void *udata, uint64_t origin) {
    const struct replicas *replicas = (const struct replicas *)udata;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        uint64_t ref = replicas->slots[slot].ref;
        if (ref != 0 && (ref == origin || xstream_replica_bits(ref) == origin)) {
            return true;
        }
    }
    return false;
}

void xstream_fold_progress(const struct store *store, struct xstream_progress *progress,
                           struct xstream_id id) {
    if (xstream_progress_is_full(progress)) {
        xstream_progress_fold(progress, id, can_write, (void *)(uintptr_t)&store->replicas);
    }
}

/* ---- where walks begin ---- */

/* Reads what is remembered. */
static bool take_memory(struct slice value, struct xstream_id *start,
                        struct xstream_progress *progress) {
    if (!varint_take(&value, &start->ms) || !varint_take(&value, &start->sequence)) {
        return false;
    }
    xstream_progress_join(progress, XSTREAM_ID_MIN, value);
    return true;
}

static void put_memory(struct collection *collection, struct slice name, struct xstream_id start,
                       const struct xstream_progress *progress) {
    struct ordered_map_cursor cursor;
    struct buffer value = {0};
    codec_put_varint(&value, start.ms);
    codec_put_varint(&value, start.sequence);
    xstream_progress_put(&value, progress);
    struct ordered_map_element element = {.name = name, .value = buffer_slice(&value)};
    bool is_there = ordered_map_find(collection->seen, name, &cursor);
    bool is_done = is_there ? ordered_map_replace(&collection->seen, &cursor, 0, 0, element.value)
                            : ordered_map_insert(&collection->seen, &element);
    if (!is_done && is_there) {
        (void)ordered_map_remove(&collection->seen, &cursor); /* old, it would be wrong */
    }
    buffer_deinit(&value);
}

/* The id at which a walk begins. */
static struct xstream_id find_start(struct xstream_view view, const struct xstream_label *group,
                                    const struct xstream_progress *progress) {
    struct ordered_map_cursor cursor;
    struct xstream_name name;
    struct xstream_progress then = {0};
    struct xstream_id start = progress->floor, known;
    (void)xstream_id_increment(&start);
    xstream_name_of_group(&name, XSTREAM_GROUP, group);
    if (view.store->is_alone || view.collection == NULL ||
        !ordered_map_find(view.collection->seen, xstream_name_slice(&name), &cursor)) {
        return start;
    }
    if (take_memory(cursor.element.value, &known, &then) && xstream_id_compare(known, start) > 0 &&
        xstream_progress_covers(progress, &then)) {
        start = known;
    }
    xstream_progress_deinit(&then);
    return start;
}

void xstream_unread_forget(struct collection *collection, const struct xstream_label *group) {
    struct ordered_map_cursor cursor;
    struct xstream_name name;
    xstream_name_of_group(&name, XSTREAM_GROUP, group);
    if (ordered_map_find(collection->seen, xstream_name_slice(&name), &cursor)) {
        (void)ordered_map_remove(&collection->seen, &cursor);
    }
}

void xstream_unread_note(struct elements_writer *writer, const struct xstream_unread *unread) {
    struct xstream_name name;
    if (!writer->store->is_alone) {
        xstream_name_of_group(&name, XSTREAM_GROUP, &unread->label);
        put_memory(elements_writer_collection(writer), xstream_name_slice(&name), unread->start,
                   &unread->progress);
    }
}

static bool is_memory(const struct ordered_map_cursor *cursor) {
    return cursor->element.name.size > 0 && cursor->element.name.data[0] == XSTREAM_GROUP;
}

void xstream_unread_added(struct collection *collection, struct slice name) {
    struct xstream_name_parts parts;
    struct ordered_map_cursor cursor;
    struct xstream_name group;
    if (name.size == 0 || name.data[0] != XSTREAM_ENTRY || !xstream_name_parse(name, &parts)) {
        return;
    }
    xstream_name_begin(&group, XSTREAM_GROUP);
    bool is_there = ordered_map_lower_bound(collection->seen, xstream_name_slice(&group), &cursor);
    while (is_there && is_memory(&cursor)) {
        struct xstream_progress progress = {0};
        struct xstream_id start;
        if (take_memory(cursor.element.value, &start, &progress) &&
            xstream_id_compare(parts.id, start) < 0) {
            memcpy(group.bytes, cursor.element.name.data, cursor.element.name.size);
            group.size = cursor.element.name.size;
            put_memory(collection, xstream_name_slice(&group), parts.id, &progress);
            xstream_name_pass(&group);
            is_there =
                ordered_map_lower_bound(collection->seen, xstream_name_slice(&group), &cursor);
        } else {
            is_there = ordered_map_next(collection->seen, &cursor);
        }
        xstream_progress_deinit(&progress);
    }
}

/* ---- walking ---- */

/* Goes on to an entry that was not delivered; `is_there`: the cursor is on one. */
static bool find_unread(struct xstream_unread *unread, bool is_there) {
    struct xstream_cursor *cursor = &unread->cursor;
    while (is_there) {
        struct xstream_id id = cursor->name.id;
        if (!xstream_progress_has(&unread->progress, xstream_origin(id, xstream_value(cursor)),
                                  id)) {
            return true;
        }
        /* At the greatest id of all it stays: what is there is looked at again. */
        unread->start = id;
        (void)xstream_id_increment(&unread->start);
        is_there = xstream_next(cursor);
    }
    return false;
}

bool xstream_unread_begin(struct xstream_view view, const struct xstream_label *group,
                          struct xstream_unread *unread) {
    unread->label = *group;
    unread->progress = (struct xstream_progress){0};
    xstream_join_progress(view, group, &unread->progress);
    unread->start = find_start(view, group, &unread->progress);
    return find_unread(unread, xstream_seek(view, unread->start, &unread->cursor));
}

bool xstream_unread_next(struct xstream_unread *unread) {
    const struct store *store = unread->cursor.view.store;
    struct xstream_id id = unread->cursor.name.id;
    if (store->is_alone) {
        /* Nothing can arrive behind it. */
        xstream_progress_raise_floor(&unread->progress, id);
    } else {
        uint64_t origin = xstream_origin(id, xstream_value(&unread->cursor));
        xstream_progress_reach(&unread->progress, origin, id);
        xstream_fold_progress(store, &unread->progress, id);
    }
    return find_unread(unread, true);
}

uint64_t xstream_unread_count(struct xstream_view view, const struct xstream_group *group) {
    struct xstream_unread *unread = memory_alloc(sizeof(*unread));
    uint64_t count = 0;
    bool is_there = xstream_unread_begin(view, &group->label, unread);
    while (is_there && xstream_id_compare(unread->cursor.name.id, group->last_id) <= 0) {
        count++;
        is_there = find_unread(unread, xstream_next(&unread->cursor));
    }
    if (is_there) { /* nothing behind the last id was delivered */
        const struct ordered_map *map = view.collection->map;
        count += ordered_map_count(map) - ordered_map_rank(map, &unread->cursor.at);
    }
    xstream_unread_deinit(unread);
    memory_free(unread);
    return count;
}

void xstream_unread_deinit(struct xstream_unread *unread) {
    xstream_progress_deinit(&unread->progress);
}

/* ---- introspection ---- */

void xstream_unread_check(const struct store *store, const struct collection *collection) {
    struct ordered_map_cursor memory;
    struct xstream_name group;
    struct xstream_view view = {.store = store,
                                .collection = (struct collection *)(uintptr_t)collection};
    xstream_name_begin(&group, XSTREAM_GROUP);
    for (bool is_there =
             ordered_map_lower_bound(collection->seen, xstream_name_slice(&group), &memory);
         is_there && is_memory(&memory); is_there = ordered_map_next(collection->seen, &memory)) {
        struct xstream_cursor cursor;
        struct xstream_progress progress = {0};
        struct xstream_id start;
        bool is_sound = take_memory(memory.element.value, &start, &progress);
        require(is_sound);
        xstream_progress_check(&progress);
        for (bool is_here = xstream_seek(view, XSTREAM_ID_MIN, &cursor);
             is_here && xstream_id_compare(cursor.name.id, start) < 0;
             is_here = xstream_next(&cursor)) {
            struct xstream_id id = cursor.name.id;
            require(
                xstream_progress_has(&progress, xstream_origin(id, xstream_value(&cursor)), id));
        }
        xstream_progress_deinit(&progress);
    }
}
