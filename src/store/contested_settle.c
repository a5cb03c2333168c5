/* SPDX-License-Identifier: BSD-3-Clause */
/* Settling: what everybody has seen need not be kept apart any more.
 *
 * Whoever writes from now on has seen all stamps at or below the frontier, and supersedes them all
 * or none of them: so of registers the greatest is enough, of expiries the shown one, edits become
 * part of the value below them, and ghosts of parts go.
 *
 * Invisible: what is shown stays the same, and so does what later changes make of it.
 *   - Losers among the registers go when all of them are settled: one that is not may be removed by
 *     somebody who has not seen the others.
 *   - Edits are folded from the oldest on, and when all registers are settled: those that stay lie
 *     above what is folded, and those that still come have seen it.
 *   - A ghost goes when the change that took it off is settled: then its replica has seen that,
 * too, and its next increment begins a new part.
 *   - An expiry without a value goes when everything is settled that was known when the key was
 *     touched last: a writer for whom a value is still there would keep the expiry. One for whom
 *     there is none says so (change.h, "fresh"), so whether it still has the expiry is all one. */
#include "store/graves.h"
#include "store/merge.h"

#include "base/mutation.h"

static bool is_settled(const struct context *frontier, uint64_t stamp) {
    return context_covers(frontier, stamp);
}

/* Has the frontier passed everything with ticks up to `ticks` that this store knows? */
static bool has_passed(const struct store *store, const struct context *frontier, uint64_t ticks) {
    for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
        if (frontier->stamps[slot] < store->context.stamps[slot] &&
            stamp_ticks(frontier->stamps[slot]) < ticks) {
            return false;
        }
    }
    return true;
}

static bool settle_parts(struct contested *contested, const struct context *frontier) {
    bool changed = false;
    for (unsigned i = contested->parts_count; i-- > 0;) {
        const struct contested_part *part = &contested->parts[i];
        if (contested_part_is_ghost(part) &&
            (mutation(DROP_GHOSTS) || is_settled(frontier, part->off_by))) {
            contested_drop_part(contested, i);
            changed = true;
        }
    }
    return changed;
}

static bool settle_value(const struct store *store, struct contested *contested,
                         const struct context *frontier) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (!is_settled(frontier, contested->registers[i].stamp)) {
            return false;
        }
    }
    bool changed = contested->registers_count > 1;
    while (contested->registers_count > 1) {
        contested_drop_register(contested, 0);
    }
    unsigned count = 0;
    while (count < contested->edits_count && is_settled(frontier, contested->edits[count].stamp)) {
        count++;
    }
    if (count > 0) {
        contested_fold_edits(store, contested, count);
        changed = true;
    }
    return changed;
}

static bool settle_expiries(const struct store *store, struct contested *contested,
                            const struct context *frontier) {
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        if (!is_settled(frontier, contested->expiries[i].stamp)) {
            return false;
        }
    }
    bool is_hidden = contested->shown == CONTESTED_HIDDEN;
    if (is_hidden ? !has_passed(store, frontier, contested->horizon_ticks)
                  : contested->expiries_count < 2) {
        return false;
    }
    const struct contested_expiry *shown = is_hidden ? NULL : contested_shown_expiry(contested);
    uint64_t winner = shown != NULL ? shown->stamp : 0;
    bool changed = false;
    for (unsigned i = contested->expiries_count; i-- > 0;) {
        if (contested->expiries[i].stamp != winner) {
            contested_drop_expiry(contested, i);
            changed = true;
        }
    }
    return changed;
}

static bool is_value_settled(const struct contested *contested, const struct context *frontier) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (!is_settled(frontier, contested->registers[i].stamp)) {
            return false;
        }
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        if (!is_settled(frontier, contested->edits[i].stamp)) {
            return false;
        }
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        if (!is_settled(frontier, contested->parts[i].stamp) ||
            !is_settled(frontier, contested->parts[i].off_by)) {
            return false;
        }
    }
    return true;
}

static bool are_collections_settled(const struct contested *contested,
                                    const struct context *frontier) {
    for (const struct collection *collection = contested->collections; collection != NULL;
         collection = collection->next) {
        for (unsigned i = 0; i < collection->newest_count; i++) {
            if (!is_settled(frontier, collection->newest[i].stamp)) {
                return false;
            }
        }
    }
    return true;
}

/* Of several types only the shown one stays, once all of them are settled: whoever writes from now
 * on has seen them all, and a change of one type takes the others away. */
static bool settle_types(struct store *store, struct contested *contested,
                         const struct context *frontier) {
    if (!contested_has_types(contested) || contested->shown == CONTESTED_HIDDEN ||
        !is_value_settled(contested, frontier) || !are_collections_settled(contested, frontier)) {
        return false;
    }
    struct collection *shown =
        contested->shown == CONTESTED_SHOWS_COLLECTION ? contested->shown_collection : NULL;
    for (struct collection **at = &contested->collections; *at != NULL;) {
        struct collection *collection = *at;
        if (collection == shown) {
            at = &collection->next;
            continue;
        }
        *at = collection->next;
        collection_detach(store, collection);
        collection_release(store, collection);
    }
    if (shown != NULL) {
        contested_drop_value(contested);
    }
    return true;
}

/* Settles what it can of one value, which may then be freed. `key` is its place. */
static void settle_at(struct store *store, const struct key *key, struct contested *contested,
                      const struct context *frontier) {
    bool changed = settle_parts(contested, frontier);
    changed = settle_value(store, contested, frontier) || changed;
    changed = settle_expiries(store, contested, frontier) || changed;
    changed = settle_types(store, contested, frontier) || changed;
    if (changed || !contested_can_settle(contested)) {
        (void)contested_close(store, key, 0);
    }
}

static void settle(struct store *store, struct contested *contested,
                   const struct context *frontier) {
    struct buffer name = {0};
    struct collection *owner = contested->owner;
    buffer_append_slice(&name, entry_key(contested->entry));
    struct slice bytes = name.size > 0 ? buffer_slice(&name) : slice_make("", 0);
    unsigned db = store_database_index(store, contested->database);
    if (owner == NULL) {
        struct key key = store_key(store, db, bytes);
        settle_at(store, &key, contested, frontier);
    } else {
        struct key key = collection_key(store, owner, db, bytes);
        uint64_t visible_count = collection_visible_count(owner);
        collection_before(store, &key);
        settle_at(store, &key, contested, frontier);
        collection_after(store, &key, 0);
        /* Beside other types, to find out what is shown is to look at all elements; but what is
         * shown of this one has not changed. */
        if (entry_kind(owner->entry) != ENTRY_CONTESTED || collection_count(owner) == 0 ||
            collection_visible_count(owner) != visible_count) {
            collection_finish(store, owner, 0);
        }
    }
    buffer_deinit(&name);
}

bool store_settle(struct store *store, const struct context *frontier, unsigned entries_max) {
    if (store->walk != NULL) {
        return true;
    }
    bool is_done = graves_settle(store, frontier, entries_max);
    uint64_t count = store->unsettled_count < entries_max ? store->unsettled_count : entries_max;
    bool is_through = count == store->unsettled_count;
    /* Of several types the losing ones take elements with them that are listed, too. */
    for (uint64_t i = 0; i < count && store->unsettled != NULL; i++) {
        struct contested *contested = store->unsettled;
        /* What stays comes last in the next round. */
        contested_requeue(store, contested);
        if (unlikely(graves_have(contested))) {
            graves_open_element(store, contested);
        } else {
            settle(store, contested, frontier);
        }
    }
    return is_through && is_done;
}
