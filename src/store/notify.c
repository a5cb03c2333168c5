/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/notify.h"

#include "store/contested.h"
#include "store/mutate.h"

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

static void notify_expiry(struct store *store, const struct key *key,
                          const struct notify_shown *before, const struct notify_shown *after) {
    if (after->is_there && before->expire_unix_ms != after->expire_unix_ms) {
        store_notify(store, NOTIFY_GENERIC, after->expire_unix_ms != 0 ? "expire" : "persist", key);
    }
}

static void notify_value(struct store *store, const struct key *key, const char *event,
                         const struct notify_shown *before, const struct notify_shown *after) {
    if (after->is_there && is_other_value(before, after, true)) {
        store_notify(store, NOTIFY_STRING, event, key);
    }
}

void notify_applied(struct store *store, const struct key *key, const struct change *change,
                    const struct notify_shown *before) {
    struct notify_shown after;
    notify_look(store, key, &after);
    /* A SET or DELETE takes off increments of others first: what then is shown no more was there
     * before it. */
    bool was_there =
        before->is_there || (store->notify_taken.is_set && store->notify_taken.hash == key->hash &&
                             store->notify_taken.db == key->db);
    store->notify_taken.is_set = false;
    switch (change->kind) {
    case CHANGE_SET:
    case CHANGE_SET_EXPIRING:
    case CHANGE_SET_KEEPING:
        if (!after.is_there ||
            (after.stamp != change->stamp && !is_other_value(before, &after, false))) {
            break;
        }
        store_notify(store, NOTIFY_STRING, "set", key);
        if (change->kind == CHANGE_SET_EXPIRING) {
            notify_expiry(store, key, before, &after);
        }
        break;
    case CHANGE_DELETE:
        if (!after.is_there) {
            if (was_there) {
                store_notify(store, NOTIFY_GENERIC, "del", key);
            }
        } else {
            /* What its writer had not seen is left, and may be another value. */
            notify_value(store, key, "set", before, &after);
        }
        break;
    case CHANGE_EXPIRE:
        notify_expiry(store, key, before, &after);
        break;
    case CHANGE_COUNTER:
        notify_value(store, key, "incrby", before, &after);
        break;
    case CHANGE_FLOAT_COUNTER:
        notify_value(store, key, "incrbyfloat", before, &after);
        break;
    case CHANGE_PATCH:
        notify_value(store, key, "setrange", before, &after);
        break;
    case CHANGE_REGISTERS:
        notify_value(store, key, "pfadd", before, &after);
        break;
    case CHANGE_TAKE:
        store->notify_taken.is_set = was_there && !after.is_there;
        store->notify_taken.hash = key->hash;
        store->notify_taken.db = key->db;
        break;
    case CHANGE_MORE: /* the rest of a value whose SET was told */
    case CHANGE_FLUSH:
    case CHANGE_FLUSH_ALL:
    case CHANGE_SWAP:
        break;
    }
}
