/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/notify.h"

#include "store/contested.h"
#include "store/elements.h"
#include "store/mutate.h"
#include "store/sequence.h"
#include "store/xstreams.h"

enum { HASHED_BYTES_MAX = 64 << 10 };

void notify_look(const struct store *store, const struct key *key, struct notify_shown *shown) {
    const uint64_t *slot = mutate_slot(store, key);
    const struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    *shown = (struct notify_shown){0};
    if (entry == NULL || entry_is_hidden(entry)) {
        return;
    }
    shown->is_there = true;
    shown->expire_unix_ms = entry_expire_unix_ms(entry);
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        const struct contested_register *top = contested_top(entry_contested(entry));
        shown->stamp = top != NULL ? top->stamp : 0;
    } else {
        shown->stamp = entry->stamp;
    }
    if (entry_value_bytes(entry) <= HASHED_BYTES_MAX) {
        struct entry_scratch scratch;
        shown->is_hashed = true;
        shown->value_hash = hash_bytes(store->seed, entry_value(entry, &scratch));
    }
}

/* Is another value shown, as far as can be told? `or_long`: the answer for long ones. */
static bool is_other_value(const struct notify_shown *before, const struct notify_shown *after,
                           bool or_long) {
    if (before->is_there != after->is_there) {
        return true;
    }
    return before->is_hashed && after->is_hashed ? before->value_hash != after->value_hash
                                                 : or_long || before->is_hashed != after->is_hashed;
}

/* Tells of a value, if another is shown. */
static bool notify_value(struct store *store, const struct key *key, const char *event,
                         const struct notify_shown *before, const struct notify_shown *after) {
    if (!after->is_there || !is_other_value(before, after, true)) {
        return false;
    }
    store_notify(store, NOTIFY_STRING, event, key);
    return true;
}

/* A SET that loses against a concurrent one may still be seen, by what it superseded. */
static bool notify_set(struct store *store, const struct key *key, const struct change *change,
                       const struct notify_shown *before, const struct notify_shown *after) {
    if (!after->is_there ||
        (after->stamp != change->stamp && !is_other_value(before, after, false))) {
        return false;
    }
    store_notify(store, NOTIFY_STRING, "set", key);
    return true;
}

/* What its writer had not seen is left of a deleted key, and may be another value. */
static bool notify_delete(struct store *store, const struct key *key,
                          const struct notify_shown *before, const struct notify_shown *after) {
    if (after->is_there) {
        return notify_value(store, key, "set", before, after);
    }
    if (before->is_there) {
        store_notify(store, NOTIFY_GENERIC, "del", key);
    }
    return before->is_there;
}

void notify_applied(struct store *store, const struct key *key, const struct change *change,
                    const struct notify_shown *seen_before) {
    struct notify_shown after, before = *seen_before;
    notify_look(store, key, &after);
    /* A SET or DELETE takes off increments of others first, as a change of its own: what counts is
     * what was shown before that. */
    if (store->notify_taken.is_set && store->notify_taken.hash == key->hash &&
        store->notify_taken.db == key->db) {
        before = store->notify_taken.before;
    }
    store->notify_taken.is_set = false;
    bool is_told = false, tells_expiry = true;
    switch (change->kind) {
    case CHANGE_SET:
    case CHANGE_SET_KEEPING:
        is_told = notify_set(store, key, change, &before, &after);
        break;
    case CHANGE_SET_EXPIRING:
        (void)notify_set(store, key, change, &before, &after);
        break;
    case CHANGE_DELETE:
        is_told = notify_delete(store, key, &before, &after);
        break;
    case CHANGE_COUNTER:
        is_told = notify_value(store, key, "incrby", &before, &after);
        break;
    case CHANGE_FLOAT_COUNTER:
        is_told = notify_value(store, key, "incrbyfloat", &before, &after);
        break;
    case CHANGE_PATCH:
        is_told = notify_value(store, key, "setrange", &before, &after);
        break;
    case CHANGE_REGISTERS:
        is_told = notify_value(store, key, "pfadd", &before, &after);
        break;
    case CHANGE_EXPIRE:
        break;
    case CHANGE_TAKE:
        store->notify_taken.is_set = true;
        store->notify_taken.hash = key->hash;
        store->notify_taken.db = key->db;
        store->notify_taken.before = before;
        tells_expiry = false;
        break;
    case CHANGE_MORE: /* the rest of a value whose SET was told */
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
    case CHANGE_SWAP:
    case CHANGE_LIFE_END:
        tells_expiry = false;
        break;
    }
    /* A value that is new says enough of its expiry, too. */
    if (tells_expiry && !is_told && after.is_there &&
        before.expire_unix_ms != after.expire_unix_ms) {
        store_notify(store, NOTIFY_GENERIC, after.expire_unix_ms != 0 ? "expire" : "persist", key);
    }
}

/* ---- elements ---- */

/* An element of a list is found by its position, which is its name. */
static void look_at_list_element(const struct store *store, const struct elements *elements,
                                 struct slice name, struct notify_element *shown) {
    struct collection *collection = elements->collection;
    struct ordered_map_block block;
    struct ordered_map_cursor cursor;
    const struct ordered_map *map =
        collection != NULL ? collection->map
                           : packed_list_map(store->replicas.authors, elements->packed, &block);
    if (!ordered_map_find(map, name, &cursor)) {
        return;
    }
    struct slice value = cursor.element.value;
    struct entry_scratch scratch;
    if (cursor.element.flags != 0) {
        struct entry *entry = sequence_intricate(store, collection, &cursor);
        if (entry == NULL || entry_is_hidden(entry)) {
            return;
        }
        value = entry_value(entry, &scratch);
    }
    shown->is_there = true;
    shown->hash = hash_bytes(store->seed, value);
}

/* Of a stream are told: entries, consumers, whatever is said of them, and groups, which are there
 * under any last id. */
static void look_at_stream_element(const struct store *store, const struct elements *elements,
                                   struct slice name, struct notify_element *shown) {
    struct collection *collection = elements->collection;
    struct xstream_view view = {.store = store, .collection = collection};
    struct xstream_name_parts parts;
    struct xstream_group group;
    struct ordered_map_cursor cursor;
    if (collection == NULL || !xstream_name_parse(name, &parts)) {
        return;
    }
    switch (parts.kind) {
    case XSTREAM_ENTRY:
        look_at_list_element(store, elements, name, shown);
        break;
    case XSTREAM_CONSUMER:
        shown->is_there = ordered_map_find(collection->map, name, &cursor);
        break;
    case XSTREAM_GROUP:
        group.label.size = parts.group.size;
        memcpy(group.label.bytes, parts.group.data, parts.group.size);
        shown->is_there = xstream_find_group(view, &group.label, &group);
        break;
    case XSTREAM_LAST:
    case XSTREAM_DELETED:
    case XSTREAM_TRIMMED:
    case XSTREAM_REMOVED:
    case XSTREAM_PENDING:
        break;
    }
}

void notify_look_at_element(const struct store *store, const struct key *key,
                            const struct change *change, struct notify_element *shown) {
    const uint64_t *slot = mutate_slot(store, key);
    const struct entry *entry = slot != NULL ? table_item(*slot) : NULL;
    struct elements elements;
    struct element element;
    *shown = (struct notify_element){0};
    if (entry == NULL || entry_is_hidden(entry) || entry_type(entry) != change->type) {
        return;
    }
    elements_of(entry, &elements);
    if (change->type == VALUE_STREAM) {
        look_at_stream_element(store, &elements, change->element, shown);
        return;
    }
    if (change->type == VALUE_LIST) {
        look_at_list_element(store, &elements, change->element, shown);
        return;
    }
    if (!elements_find(store, &elements, change->element, &element)) {
        return;
    }
    shown->is_there = true;
    shown->expire_unix_ms = element.expire_unix_ms;
    shown->hash = hash_bytes(store->seed, element.value) ^
                  hash_bytes(store->seed, slice_make(&element.score, sizeof(element.score)));
}

struct element_events {
    enum notify_class class_bit;
    const char *set, *replace, *add, *add_float, *remove;
};

static const struct element_events *events_of(const struct change *change) {
    static const struct element_events HASH = {NOTIFY_HASH, "hset",         "hset",
                                               "hincrby",   "hincrbyfloat", "hdel"};
    static const struct element_events SET = {NOTIFY_SET, "sadd", "sadd", "sadd", "sadd", "srem"};
    static const struct element_events ZSET = {NOTIFY_ZSET, "zadd",  "zadd",
                                               "zincr",     "zincr", "zrem"};
    static const struct element_events LIST = {NOTIFY_LIST, "rpush", "lset",
                                               "lset",      "lset",  "lrem"};
    static const struct element_events STREAM = {NOTIFY_STREAM, "xadd", "xadd",
                                                 "xadd",        "xadd", "xdel"};
    static const struct element_events GROUP = {NOTIFY_STREAM,   "xgroup-create", "xgroup-create",
                                                "xgroup-create", "xgroup-create", "xgroup-destroy"};
    static const struct element_events CONSUMER = {NOTIFY_STREAM,           "xgroup-createconsumer",
                                                   "xgroup-createconsumer", "xgroup-createconsumer",
                                                   "xgroup-createconsumer", "xgroup-delconsumer"};
    struct xstream_name_parts parts;
    switch (change->type) {
    case VALUE_STREAM:
        if (!xstream_name_parse(change->element, &parts) || parts.kind == XSTREAM_ENTRY) {
            return &STREAM;
        }
        return parts.kind == XSTREAM_GROUP ? &GROUP : &CONSUMER;
    case VALUE_HASH:
        return &HASH;
    case VALUE_SET:
        return &SET;
    case VALUE_LIST:
        return &LIST;
    default:
        return &ZSET;
    }
}

/* The changes of one command follow one another: they are one event. */
static void notify_once(struct store *store, const struct key *key, const struct change *change,
                        enum notify_class class_bit, const char *event) {
    bool is_told = store->notify_told.event == event && store->notify_told.hash == key->hash &&
                   store->notify_told.db == key->db &&
                   store->notify_told.stamp + (1U << STAMP_SLOT_BITS) == change->stamp;
    if (!is_told) {
        store_notify(store, class_bit, event, key);
    }
    store->notify_told.event = event;
    store->notify_told.hash = key->hash;
    store->notify_told.db = key->db;
    store->notify_told.stamp = change->stamp;
}

static const char *event_of_change(const struct element_events *events, const struct change *change,
                                   bool was_there, bool is_there) {
    if (!is_there) {
        return events->remove;
    }
    switch (change->kind) {
    case CHANGE_FLOAT_COUNTER:
        return events->add_float;
    case CHANGE_COUNTER:
        return events->add;
    default:
        return was_there ? events->replace : events->set;
    }
}

void notify_element_applied(struct store *store, const struct key *key, const struct change *change,
                            const struct notify_element *before, bool key_was_there) {
    const struct element_events *events = events_of(change);
    struct notify_element after;
    struct notify_shown shown;
    notify_look_at_element(store, key, change, &after);
    notify_look(store, key, &shown);
    if (after.is_there != before->is_there || after.hash != before->hash) {
        notify_once(store, key, change, events->class_bit,
                    event_of_change(events, change, before->is_there, after.is_there));
    } else if (after.is_there && after.expire_unix_ms != before->expire_unix_ms) {
        notify_once(store, key, change, events->class_bit,
                    after.expire_unix_ms != 0 ? "hexpire" : "hpersist");
    }
    if (key_was_there && !shown.is_there) {
        store_notify(store, NOTIFY_GENERIC, "del", key);
    }
}
