/* SPDX-License-Identifier: BSD-3-Clause */
#include "node/debug_reload.h"

#include "store/state.h"

struct debug_reload_walk {
    struct buffer state;
    const struct store *store;
    unsigned number; /* of the database */
};

/* All pieces stay in one buffer. */
static void debug_reload_flush(void *udata) {
    (void)udata;
}

static void debug_reload_visit(void *item, void *udata) {
    struct debug_reload_walk *walk = udata;
    state_encode(&walk->state, walk->store, walk->number, item, debug_reload_flush, NULL);
}

enum store_status debug_reload_store(struct store *store) {
    struct debug_reload_walk walk = {.store = store};
    for (unsigned db = 0; db < store->dbs_count; db++) {
        uint64_t position = 0;
        walk.number = store->dbs[db].number;
        do {
            position = table_walk(&store->dbs[db].table, position, debug_reload_visit, &walk);
        } while (position != 0);
    }
    /* What comes back is what was there: no change to record, none to save. A flush would be one:
     * in a mesh it leaves ghosts of counters behind. */
    uint32_t notify_classes = store->notify_classes;
    uint64_t dirty = store->stats.dirty;
    store->notify_classes = 0;
    store_take_out_all(store);
    store->stats.dirty = dirty;
    struct slice rest = buffer_slice(&walk.state);
    enum store_status status = STORE_OK;
    while (rest.size > 0 && status == STORE_OK) {
        status = state_load(store, &rest);
    }
    store->notify_classes = notify_classes;
    buffer_deinit(&walk.state);
    return status;
}
