/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes that were recorded: from the log, or other replicas. */
#include "base/mutation.h"
#include "store/databases.h"
#include "store/elements.h"
#include "store/merge.h"
#include "store/mutate.h"
#include "store/notify.h"
#include "store/strings.h"
#include "store/sync.h"

enum store_status mutate_apply_place(struct store *store, const struct key *key,
                                     const struct change *change) {
    uint64_t *slot;
    unsigned author = stamp_slot(change->stamp);
    switch (change->kind) {
    case CHANGE_DELETE:
        slot = mutate_slot(store, key);
        if (slot == NULL) {
            return STORE_OK;
        }
        if (!store->is_alone && !strings_is_covered(store, table_item(*slot), author)) {
            return merge_apply(store, key, change);
        }
        mutate_remove(store, key, slot);
        return STORE_OK;
    case CHANGE_EXPIRE:
        slot = mutate_slot(store, key);
        if (!store->is_alone &&
            (slot == NULL || !strings_expiry_is_covered(store, table_item(*slot), author))) {
            return merge_apply(store, key, change);
        }
        if (slot != NULL) {
            mutate_put_expiry(store, key, slot, change->stamp, change->expire_unix_ms);
        }
        return STORE_OK;
    case CHANGE_SET:
    case CHANGE_SET_EXPIRING:
    case CHANGE_SET_KEEPING:
    case CHANGE_COUNTER:
    case CHANGE_FLOAT_COUNTER:
    case CHANGE_PATCH:
    case CHANGE_REGISTERS:
    case CHANGE_TAKE:
    case CHANGE_MORE:
        return strings_apply(store, key, change);
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
    case CHANGE_SWAP:
    case CHANGE_LIFE_END:
        break;
    }
    impossible("changes of whole databases are handled by the caller");
}

/* TAKEs of many elements, of which none can be without the others. */
static enum store_status apply_element_takes(struct store *store, const struct key *key,
                                             const struct change *takes) {
    struct slice rest = takes->value;
    struct change change = {
        .kind = CHANGE_TAKE, .db = takes->db, .stamp = takes->stamp, .key = takes->key};
    enum store_status status = STORE_OK;
    if (!change_element_takes_begin(&rest, &change.type)) {
        return STORE_MALFORMED;
    }
    while (status == STORE_OK && change_element_takes_next(&rest, &change.element, &change.value)) {
        status = elements_apply(store, key, &change);
    }
    return status;
}

static enum store_status store_apply_key(struct store *store, const struct change *change) {
    struct key key = store_key(store, change->db, change->key);
    if (change_takes_elements(change)) {
        return apply_element_takes(store, &key, change);
    }
    return change->type == VALUE_STRING ? mutate_apply_place(store, &key, change)
                                        : elements_apply(store, &key, change);
}

/* Applies a change of one key and tells of it. */
static enum store_status store_apply_telling(struct store *store, const struct change *change) {
    struct key key = store_key(store, change->db, change->key);
    struct notify_shown before;
    notify_look(store, &key, &before);
    if (change->type != VALUE_STRING) {
        struct notify_element element;
        notify_look_at_element(store, &key, change, &element);
        enum store_status applied = store_apply_key(store, change);
        if (applied == STORE_OK) {
            notify_element_applied(store, &key, change, &element, before.is_there);
        }
        return applied;
    }
    enum store_status status = store_apply_key(store, change);
    if (status == STORE_OK) {
        notify_applied(store, &key, change, &before);
    }
    return status;
}

static void note_seen(struct replicas *replicas, uint64_t maker_ref, struct slice told) {
    struct maker_seen seen = {.maker_ref = maker_ref};
    while (change_life_end_next_seen(&told, &seen.ref, &seen.ticks)) {
        replicas_note_maker_seen(replicas, &seen);
    }
}

static enum store_status apply_life_end(struct store *store, const struct change *change) {
    struct change_life_end end;
    if (!change_life_end_take(change->value, &end)) {
        return STORE_MALFORMED;
    }
    if (replicas_find(&store->replicas, end.ref) == stamp_slot(change->stamp)) {
        return STORE_MALFORMED; /* no life ends itself */
    }
    struct replicas *replicas = &store->replicas;
    unsigned maker = stamp_slot(change->stamp);
    uint64_t maker_ref = maker < replicas->slots_count && replicas->slots != NULL
                             ? replicas->slots[maker].ref
                             : 0; /* a store that is alone has none */
    struct ended_replica ended = {.ref = end.ref,
                                  .ticks = end.ticks,
                                  .made_ticks = end.made_ticks,
                                  .maker_ref = end.has_seen ? maker_ref : 0,
                                  .made_from_ticks = end.ticks};
    /* The maker had seen who made some of it again before. */
    unsigned slot = replicas_find(replicas, end.ref);
    if (slot != 0 && replicas->slots[slot].made_ticks > end.ticks) {
        ended.made_from_ticks = replicas->slots[slot].made_ticks;
    }
    replicas_note_ended(replicas, &ended);
    if (maker_ref != 0) {
        note_seen(replicas, maker_ref, end.seen);
    }
    return STORE_OK;
}

void store_end_life(struct store *store, const struct ended_replica *ended, struct slice seen) {
    struct change_life_end end = {
        .ref = ended->ref, .ticks = ended->ticks, .made_ticks = ended->made_ticks, .seen = seen};
    struct buffer value = {0};
    require(end.ref != store->replicas.slots[store->replicas.self].ref);
    change_life_end_put(&value, &end);
    struct change change = {
        .kind = CHANGE_LIFE_END, .stamp = mutate_stamp(store), .value = buffer_slice(&value)};
    mutate_record(store, NULL, &change);
    struct ended_replica told = *ended;
    told.maker_ref = store->replicas.slots[store->replicas.self].ref;
    replicas_note_ended(&store->replicas, &told);
    note_seen(&store->replicas, told.maker_ref, seen);
    buffer_deinit(&value);
}

bool store_has_void(const struct store *store) {
    return replicas_has_void(&store->replicas, &store->context);
}

enum store_status store_apply(struct store *store, const struct change *recorded) {
    if (recorded->db >= store->dbs_count) {
        return STORE_MALFORMED;
    }
    struct change change = *recorded;
    change.db = store_database_index(store, recorded->db);
    enum store_status status = STORE_OK;
    switch (change.kind) {
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
        store->notify_taken.is_set = false;
        flush_apply(store, &change);
        break;
    case CHANGE_SWAP:
        status = databases_apply_swap(store, &change);
        break;
    case CHANGE_LIFE_END:
        status = apply_life_end(store, &change);
        break;
    case CHANGE_SET:
    case CHANGE_SET_EXPIRING:
    case CHANGE_SET_KEEPING:
    case CHANGE_DELETE:
    case CHANGE_EXPIRE:
    case CHANGE_COUNTER:
    case CHANGE_FLOAT_COUNTER:
    case CHANGE_PATCH:
    case CHANGE_REGISTERS:
    case CHANGE_TAKE:
    case CHANGE_MORE:
        /* While it catches up, a key may have come in a state that the change is part of. */
        if (likely(store->sync == NULL) || !sync_has_seen(store->sync, store, &change)) {
            status = likely(store->notify_classes == 0) ? store_apply_key(store, &change)
                                                        : store_apply_telling(store, &change);
        }
        break;
    }
    if (status == STORE_OK) {
        context_add(&store->context, change.stamp);
        hybrid_clock_observe(&store->clock, stamp_ticks(change.stamp));
    }
    return status;
}

bool store_has_seen(const struct store *store, const struct change *change) {
    return context_covers(&store->context, change->stamp) ||
           (store->sync != NULL && sync_has_seen(store->sync, store, change));
}
