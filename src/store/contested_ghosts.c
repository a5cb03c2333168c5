/* SPDX-License-Identifier: BSD-3-Clause */
/* What a DELETE leaves of a value of which it takes everything off: ghosts of others' parts, put
 * where the value is. The same as contested_open(), the rule of merge.c and contested_close(), for
 * the one case of which there may be millions at once (collection_delete.c). */
#include "store/contested.h"
#include "store/mutate.h"

enum contested_rest contested_rest(const struct store *store, const struct contested *contested,
                                   unsigned author) {
    if (contested->collections != NULL || contested->edits_count > 0 ||
        contested->expiries_count > 0) {
        return CONTESTED_RESTS_OTHERWISE;
    }
    bool has_effect = contested->registers_count > 0;
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (!mutate_has_seen(store, author, contested->registers[i].stamp)) {
            return CONTESTED_RESTS_OTHERWISE;
        }
    }
    unsigned ghosts = 0;
    for (unsigned i = 0; i < contested->parts_count; i++) {
        const struct contested_part *part = &contested->parts[i];
        bool is_own = stamp_slot(part->stamp) == author;
        if (!is_own && !contested_part_is_ghost(part)) {
            if (!mutate_has_seen(store, author, part->stamp)) {
                return CONTESTED_RESTS_OTHERWISE;
            }
            has_effect = true;
        }
        has_effect = has_effect || is_own;
        ghosts += !is_own;
    }
    if (!has_effect) {
        return CONTESTED_RESTS_AS_IT_IS;
    }
    return ghosts > 0 ? CONTESTED_RESTS_IN_GHOSTS : CONTESTED_RESTS_OTHERWISE;
}

static void take_off(struct contested_part *part, uint64_t stamp) {
    part->off = part->total;
    part->float_off = part->float_total;
    part->off_seen = part->stamp;
    part->off_by = stamp;
}

/* The header of an entry that is hidden since the change with this stamp. */
static void hide_entry(const struct store *store, struct contested *contested, uint64_t stamp) {
    struct entry *entry = contested->entry;
    unsigned char *expiry = (unsigned char *)entry + ENTRY_TAIL_OFFSET;
    entry->stamp = stamp;
    entry_store64(expiry, 0);
    entry_store64(expiry + 8, stamp);
    if (!store->uses_lfu) {
        entry_set_access(entry, mutate_first_access(store));
    }
    contested->horizon_ticks =
        stamp_ticks(stamp) > store->clock.ticks ? stamp_ticks(stamp) : store->clock.ticks;
}

void contested_leave_ghosts(struct store *store, struct keyspace *space,
                            struct contested *contested, uint64_t stamp) {
    require(contested->overlay == NULL);
    space->hidden_count += contested->shown != CONTESTED_HIDDEN;
    while (contested->registers_count > 0) {
        contested_drop_register(contested, contested->registers_count - 1);
    }
    contested->overlay_is_stale = false; /* there is none */
    for (unsigned i = contested->parts_count; i-- > 0;) {
        struct contested_part *part = &contested->parts[i];
        if (stamp_slot(part->stamp) == stamp_slot(stamp)) {
            contested_drop_part(contested, i);
        } else if (!contested_part_is_ghost(part)) {
            take_off(part, stamp);
        }
    }
    contested->shown = CONTESTED_HIDDEN;
    hide_entry(store, contested, stamp);
    if (!contested->is_listed) {
        contested_requeue(store, contested);
    }
}

struct contested *contested_spell_out_ghost(const struct store *store, struct entry *old,
                                            unsigned database, uint64_t stamp) {
    struct entry_parts of;
    entry_take_apart(old, &of);
    if ((of.kind != ENTRY_COUNTER && of.kind != ENTRY_COUNTER_REGISTER &&
         of.kind != ENTRY_FLOAT_COUNTER) ||
        stamp_slot(of.stamp) == stamp_slot(stamp)) {
        return NULL;
    }
    struct contested *contested = contested_new();
    struct entry_parts parts = {.kind = ENTRY_CONTESTED,
                                .stamp = stamp,
                                .key = of.key,
                                .access = of.access,
                                .contested = contested};
    contested->database = database;
    struct contested_part *part = contested_need_part(store, contested, stamp_slot(of.stamp));
    part->start_ticks = of.start_ticks;
    part->stamp = of.stamp;
    part->is_float = of.kind == ENTRY_FLOAT_COUNTER;
    part->total = of.total;
    part->float_total = of.float_total;
    take_off(part, stamp);
    contested->entry = entry_new(&parts);
    require(contested->entry != NULL);
    hide_entry(store, contested, stamp);
    memory_free_sized(old, entry_block_bytes(old));
    return contested;
}

bool contested_take_all_off(const struct store *store, struct contested *contested,
                            uint64_t stamp) {
    while (contested->edits_count > 0) {
        contested_drop_edit(contested, contested->edits_count - 1);
    }
    while (contested->registers_count > 0) {
        contested_drop_register(contested, contested->registers_count - 1);
    }
    while (contested->expiries_count > 0) {
        contested_drop_expiry(contested, contested->expiries_count - 1);
    }
    contested_forget_overlay(contested);
    for (unsigned i = contested->parts_count; i-- > 0;) {
        struct contested_part *part = &contested->parts[i];
        if (stamp_slot(part->stamp) == stamp_slot(stamp)) {
            contested_drop_part(contested, i);
        } else if (!contested_part_is_ghost(part)) {
            take_off(part, stamp);
        }
    }
    contested->shown = CONTESTED_HIDDEN;
    hide_entry(store, contested, stamp);
    return contested->parts_count > 0;
}

void contested_leave_ghost(struct store *store, const struct key *key, uint64_t *slot,
                           uint64_t stamp) {
    struct contested *contested =
        contested_spell_out_ghost(store, table_item(*slot), store->dbs[key->db].number, stamp);
    require(contested != NULL);
    table_replace(slot, contested->entry);
    contested_adopt(store, key, contested);
    contested_requeue(store, contested);
}
