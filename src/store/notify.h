/* SPDX-License-Identifier: BSD-3-Clause */
/* Telling of what happened to keys (notify-keyspace-events).
 *
 * Who writes tells by its command's event: one call of store_notify() in the handler, after the
 * store has done it; a branch while nobody wants to know. What the store does by itself (expiry,
 * eviction, a key that comes into being, a read that misses) is told here, and so is what comes
 * from peers: by the kind of change, and only if what is shown changed. */
#ifndef STORE_NOTIFY_H
#define STORE_NOTIFY_H

#include "store/store.h"

/* Classes of events, by their letters in the option; K and E, which are none, have bits 0 and 1. */
enum notify_class {
    NOTIFY_GENERIC = 1 << 2, /* g */
    NOTIFY_STRING = 1 << 3,  /* $ */
    NOTIFY_LIST = 1 << 4,    /* l */
    NOTIFY_SET = 1 << 5,     /* s */
    NOTIFY_HASH = 1 << 6,    /* h */
    NOTIFY_ZSET = 1 << 7,    /* z */
    NOTIFY_EXPIRED = 1 << 8, /* x */
    NOTIFY_EVICTED = 1 << 9, /* e */
    NOTIFY_STREAM = 1 << 10, /* t */
    NOTIFY_MISS = 1 << 11,   /* m */
    NOTIFY_NEW = 1 << 13,    /* n */
};

/* Tells that `event` happened to the key, if its class is wanted. The hook changes nothing in the
 * store; `key->name` has to be valid during the call only. */
static inline void store_notify(struct store *store, enum notify_class class_bit, const char *event,
                                const struct key *key) {
    if (unlikely((store->notify_classes & (uint32_t)class_bit) != 0)) {
        store->notify(store->udata, (uint32_t)class_bit, event, key);
    }
}

/* Of an element of a collection, as far as telling needs it. */
struct notify_element {
    bool is_there;
    uint64_t hash;           /* of value or score */
    uint64_t expire_unix_ms; /* of a field; 0: never */
};

void notify_look(const struct store *store, const struct key *key, struct notify_shown *shown);
/* The element that the change is about, as it is shown. */
void notify_look_at_element(const struct store *store, const struct key *key,
                            const struct change *change, struct notify_element *shown);
/* A change of an element from a peer was applied; `before` is what was shown before it. */
void notify_element_applied(struct store *store, const struct key *key, const struct change *change,
                            const struct notify_element *before, bool key_was_there);
/* A change from a peer was applied; `before` is what was shown before it. */
void notify_applied(struct store *store, const struct key *key, const struct change *change,
                    const struct notify_shown *before);

#endif
