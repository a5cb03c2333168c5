/* SPDX-License-Identifier: BSD-3-Clause */
/* Retiring a slot: the number of a replica that is gone for good becomes free for another one.
 *
 * Everybody has seen all that the replica wrote, so nobody has to know any more who wrote it: its
 * stamps get slot 0, settled, and its part of a counter becomes part of the register below it. A
 * walk by hash, some buckets a call, does that to one entry after another.
 *
 * Entries that settling has still to shorten are left alone, and the walk begins again until there
 * are none. It waits while a snapshot walk runs: one that began before would take a settled stamp
 * for one that it has seen.
 *
 * A node that has retired a replica cannot tell any more that it had seen what that wrote. So it
 * must have told before: its own mark, which its newest record brought to the others. One that has
 * written nothing since says so with a change that changes nothing.
 *
 * Its ref is noted as retired before the first entry changes: entries of a replica that is so noted
 * and has a slot may be either way, here and in snapshots.
 *
 * Invariant: what is shown stays the same, and so does what later changes make of it. A part that
 * was folded is superseded with its register, by whoever writes from now on; for a node that still
 * has the part, its writer has seen it (merge.c). */
#include "store/merge.h"

struct retire_walk {
    struct store *store;
    unsigned slot;
    struct buffer entries; /* addresses of those that take more than another stamp */
};

static bool has_slot(uint64_t stamp, unsigned slot) {
    return stamp_slot(stamp) == slot;
}

static void settle_stamp(uint64_t *stamp, unsigned slot) {
    if (has_slot(*stamp, slot)) {
        *stamp = stamp_make(stamp_ticks(*stamp), STAMP_SLOT_SETTLED);
    }
}

static void settle_stamp_up_to(uint64_t *stamp, unsigned slot, uint64_t ticks_max) {
    if (stamp_ticks(*stamp) <= ticks_max) {
        settle_stamp(stamp, slot);
    }
}

static void settle_stamp_at(unsigned char *at, unsigned slot) {
    uint64_t stamp = entry_load64(at);
    settle_stamp(&stamp, slot);
    entry_store64(at, stamp);
}

/* ---- entries ---- */

static bool is_counter(const struct entry *entry) {
    enum entry_kind kind = entry_kind(entry);
    return kind == ENTRY_COUNTER || kind == ENTRY_COUNTER_REGISTER || kind == ENTRY_FLOAT_COUNTER;
}

static bool contested_has_slot(const struct contested *contested, unsigned slot) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (has_slot(contested->registers[i].stamp, slot)) {
            return true;
        }
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        if (has_slot(contested->edits[i].stamp, slot)) {
            return true;
        }
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        if (has_slot(contested->parts[i].stamp, slot) ||
            has_slot(contested->parts[i].off_by, slot)) {
            return true;
        }
    }
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        if (has_slot(contested->expiries[i].stamp, slot)) {
            return true;
        }
    }
    return has_slot(contested->entry->stamp, slot);
}

static void settle_header(struct entry *entry, unsigned slot) {
    settle_stamp(&entry->stamp, slot);
    if ((entry->meta & ENTRY_HAS_EXPIRY_STAMP) != 0) {
        settle_stamp_at((unsigned char *)entry + ENTRY_TAIL_OFFSET + 8, slot);
    }
}

/* Settles what can be done in place, and notes the entry if that is not all. */
static void retire_visit(void *item, void *udata) {
    struct retire_walk *walk = (struct retire_walk *)udata;
    struct entry *entry = (struct entry *)item;
    bool is_contested = entry_kind(entry) == ENTRY_CONTESTED;
    if (is_contested ? contested_has_slot(entry_contested(entry), walk->slot)
                     : is_counter(entry) && has_slot(entry->stamp, walk->slot)) {
        buffer_append(&walk->entries, &entry, sizeof(entry));
        return;
    }
    settle_header(entry, walk->slot);
    if (entry_kind(entry) == ENTRY_COUNTER_REGISTER) {
        settle_stamp_at(entry_body(entry) + 16, walk->slot);
    } else if (entry_kind(entry) == ENTRY_FLOAT_COUNTER) {
        settle_stamp_at(entry_body(entry) + 24, walk->slot);
    }
}

/* ---- parts ---- */

/* What an integer part adds to the register, as text; false when one of them is no integer. A sum
 * beyond 64 bits saturates, as it does when it is shown. */
static bool fold_integer(struct slice base, const struct contested_part *part, char *text,
                         size_t *size) {
    int64_t number = 0;
    if (part->is_float || (base.size > 0 && !number_parse_integer(base, &number))) {
        return false;
    }
    __int128 sum = (__int128)number + part->total - part->off;
    number = sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : (int64_t)sum;
    *size = number_format_integer(text, number);
    return true;
}

static long double part_value(const struct contested_part *part) {
    return part->is_float ? part->float_total - part->float_off
                          : (long double)part->total - (long double)part->off;
}

/* Makes the part one with the register. A text that is no number hides it for good. */
static void fold_part(const struct store *store, struct contested *contested, unsigned i) {
    struct contested_part part = contested->parts[i];
    bool is_ghost = contested_part_is_ghost(&part);
    contested_drop_part(contested, i);
    if (is_ghost) {
        return;
    }
    struct contested_register *top = contested_top(contested);
    uint64_t ticks = stamp_ticks(part.stamp);
    char text[NUMBER_INTEGER_BYTES_MAX];
    size_t size;
    struct entry_scratch scratch;
    struct slice base = {0};
    if (top != NULL) {
        base = contested_register_bytes(top, &scratch);
        ticks = stamp_ticks(top->stamp) > ticks ? stamp_ticks(top->stamp) : ticks;
    }
    uint64_t stamp = stamp_make(ticks, STAMP_SLOT_SETTLED);
    bool is_number = top != NULL && top->form == CONTESTED_NUMBER;
    bool is_integer =
        !is_number && (top == NULL || base.size > 0) && fold_integer(base, &part, text, &size);
    long double number = is_number ? top->number : 0;
    if (!is_integer && !is_number && top != NULL && !number_parse_float(base, &number)) {
        return;
    }
    if (top != NULL) {
        contested_drop_register(contested, contested->registers_count - 1);
    }
    if (is_integer) {
        bool has_memory = contested_add_register(store, contested, stamp, slice_make(text, size));
        require(has_memory);
    } else {
        contested_add_number(store, contested, stamp, number + part_value(&part));
    }
}

/* ---- what needs more than a stamp ---- */

/* Is there nothing left to settle? A register that not all have seen would be taken for settled, if
 * a part became one with it. */
static bool is_quiet(const struct contested *contested, const struct context *frontier) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (!context_covers(frontier, contested->registers[i].stamp)) {
            return false;
        }
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        if (contested_part_is_ghost(&contested->parts[i])) {
            return false;
        }
    }
    return contested->registers_count <= 1 && contested->edits_count == 0 &&
           contested->expiries_count <= 1 && contested->shown != CONTESTED_HIDDEN;
}

void retire_elements(struct store *store, struct contested *contested, unsigned slot,
                     uint64_t ticks_max) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        settle_stamp_up_to(&contested->registers[i].stamp, slot, ticks_max);
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        settle_stamp_up_to(&contested->edits[i].stamp, slot, ticks_max);
    }
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        settle_stamp_up_to(&contested->expiries[i].stamp, slot, ticks_max);
    }
    for (unsigned i = contested->parts_count; i-- > 0;) {
        uint64_t stamp = contested->parts[i].stamp;
        settle_stamp_up_to(&contested->parts[i].off_by, slot, ticks_max);
        if (has_slot(stamp, slot) && stamp_ticks(stamp) <= ticks_max) {
            fold_part(store, contested, i);
        }
    }
}

/* False: the entry is not ready yet. */
static bool retire_entry(struct store *store, unsigned db, struct entry *entry, unsigned slot,
                         const struct context *frontier) {
    struct entry_parts parts;
    if (entry_kind(entry) == ENTRY_CONTESTED) {
        if (!is_quiet(entry_contested(entry), frontier)) {
            return false;
        }
    } else {
        entry_take_apart(entry, &parts);
        if (!context_covers(frontier, parts.register_stamp)) {
            return false;
        }
    }
    struct buffer name = {0};
    buffer_append_slice(&name, entry_key(entry));
    struct key key = store_key(store, db, name.size > 0 ? buffer_slice(&name) : SLICE(""));
    struct contested *contested = contested_open(store, &key, mutate_slot(store, &key));
    retire_elements(store, contested, slot, STAMP_TICKS_MAX);
    settle_header(contested->entry, slot);
    contested_close(store, &key, 0);
    buffer_deinit(&name);
    return true;
}

/* Do all others know from this node's records that it has seen all of the replica? */
static bool retire_is_told(struct store *store, unsigned slot) {
    const struct replica *self = &store->replicas.slots[store->replicas.self];
    uint64_t told = slot < self->mark_count ? self->mark[slot] : 0;
    if (told >= store->context.stamps[slot] || !store->journal.is_on) {
        return true;
    }
    if (!store->retirement.has_told && store->journal.bytes.size == 0) {
        struct change nothing = {.kind = CHANGE_TAKE, .stamp = mutate_stamp(store)};
        mutate_record(store, &nothing);
        store_end_unit(store);
        store->retirement.has_told = true;
    }
    return false;
}

static void retire_bucket(struct store *store, unsigned slot, const struct context *frontier) {
    struct store_retirement *retirement = &store->retirement;
    unsigned db = retirement->db;
    struct retire_walk walk = {.store = store, .slot = slot};
    retirement->position =
        table_walk(&store->dbs[db].table, retirement->position, retire_visit, &walk);
    for (size_t i = 0; i < walk.entries.size; i += sizeof(struct entry *)) {
        struct entry *entry;
        memcpy(&entry, walk.entries.data + i, sizeof(entry));
        if (!retire_entry(store, db, entry, slot, frontier)) {
            retirement->has_left_some = true;
        }
    }
    buffer_deinit(&walk.entries);
    if (retirement->position == 0) {
        retirement->db++;
    }
}

bool store_retire_some(struct store *store, unsigned slot, const struct context *frontier,
                       unsigned buckets_max) {
    struct store_retirement *retirement = &store->retirement;
    require(slot != STAMP_SLOT_SETTLED);
    require(slot != store->replicas.self);
    require(slot < store->replicas.slots_count);
    if (store->walk != NULL || store->sync != NULL) {
        return false;
    }
    if (retirement->slot != slot) {
        *retirement = (struct store_retirement){.slot = slot};
    }
    if (!retire_is_told(store, slot)) {
        return false;
    }
    /* From now on some keys are without it, and whoever looks at this state has to know that. */
    replicas_note_retired(&store->replicas, store->replicas.slots[slot].ref,
                          stamp_ticks(store->context.stamps[slot]));
    for (unsigned i = 0; i < buckets_max && retirement->db < store->dbs_count; i++) {
        retire_bucket(store, slot, frontier);
    }
    if (retirement->db < store->dbs_count) {
        return false;
    }
    if (retirement->has_left_some) {
        *retirement = (struct store_retirement){.slot = slot};
        return false;
    }
    *retirement = (struct store_retirement){0};
    settle_stamp(&store->order_stamp, slot);
    uint64_t ticks = stamp_ticks(store->context.stamps[slot]);
    store->context.stamps[slot] = 0;
    replicas_retire(&store->replicas, slot, ticks);
    return true;
}
