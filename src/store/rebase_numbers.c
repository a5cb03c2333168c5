/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters, for rebasing: what of a part the mesh has, where it has folded it, or it was taken off.
 */
#include "store/rebase_compare_internal.h"

#include "store/merge.h"

/* ---- parts of which the mesh has seen the beginning ---- */

/* The number that is shown below the parts, 0 without one; false when it is no number. */
static bool shown_number(const struct contested *contested, uint64_t *stamp, long double *number) {
    struct entry_scratch scratch;
    *stamp = 0;
    *number = 0;
    if (contested->edits_count > 0) {
        return false;
    }
    if (contested->registers_count == 0) {
        return true;
    }
    const struct contested_register *reg = &contested->registers[contested->registers_count - 1];
    *stamp = reg->stamp;
    if (reg->form == CONTESTED_NUMBER) {
        *number = reg->number;
        return true;
    }
    return number_parse_float(contested_register_bytes(reg, &scratch), number);
}

static bool are_registers_there(const struct state_merge *merge,
                                const struct contested *contested) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (!state_merge_covers_there(merge, contested->registers[i].stamp)) {
            return false;
        }
    }
    return true;
}

/* May the register be what the mesh made of what it saw of the part? Its ticks are then those of
 * the part, unless those of the register below were greater. */
static bool may_hold_part(const struct state_merge *merge, const struct contested_part *part,
                          const struct contested_register *reg) {
    unsigned slot = stamp_slot(part->stamp);
    uint64_t seen_there = slot < merge->seen_there_count ? merge->seen_there[slot] : 0;
    uint64_t ticks = stamp_ticks(reg->stamp);
    return stamp_slot(reg->stamp) == STAMP_SLOT_SETTLED && part->off_seen == 0 &&
           ticks >= part->start_ticks && ticks <= stamp_ticks(seen_there);
}

/* The mesh has folded what it saw of the part into its register, and nothing else happened to that:
 * then the difference of the registers is what it saw. Leaves the rest in the part. Ours need not
 * be settled, since whoever wrote it may live, and there may be siblings; but the mesh had them
 * all. */
static bool split_part(const struct state_merge *merge, struct contested *contested,
                       struct contested_part *part, const struct contested *there) {
    uint64_t our_stamp, their_stamp;
    long double ours, theirs;
    if (there == NULL || there->registers_count != 1 || part->off_seen != 0 ||
        !shown_number(contested, &our_stamp, &ours) ||
        !shown_number(there, &their_stamp, &theirs) ||
        stamp_slot(their_stamp) != STAMP_SLOT_SETTLED || !are_registers_there(merge, contested)) {
        return false;
    }
    if (stamp_ticks(their_stamp) != stamp_ticks(our_stamp) &&
        !may_hold_part(merge, part, &there->registers[0])) {
        return false;
    }
    if (part->is_float) {
        part->float_total -= theirs - ours;
    } else {
        part->total -= (int64_t)(theirs - ours);
    }
    while (contested->registers_count > 0) {
        contested_drop_register(contested, 0);
    }
    return rebase_add_copy(merge, contested, &there->registers[0]);
}

/* Takes over from the mesh what the part may be folded into: it has ticks that were seen here, and
 * would be taken for a register that was here and was removed. False when memory is out. */
static bool keep_folded(const struct state_merge *merge, struct contested *contested,
                        const struct contested_part *part, const struct contested *there) {
    bool is_done = true;
    for (unsigned i = 0; there != NULL && i < there->registers_count; i++) {
        const struct contested_register *reg = &there->registers[i];
        if (may_hold_part(merge, part, reg) &&
            !rebase_has_register(contested, stamp_ticks(reg->stamp))) {
            is_done &= rebase_add_copy(merge, contested, reg);
        }
    }
    return is_done;
}

/* Has somebody made some of the part again, and not all that is here of it? */
static bool is_made_in_part(const struct sync *sync, const struct contested_part *part) {
    const struct replicas *replicas = &sync->store->replicas;
    return replicas_is_void(replicas, part->stamp) &&
           part->start_ticks <= replicas->slots[stamp_slot(part->stamp)].made_ticks;
}

/* The total that the log has of a part; false: it is not known. */
static bool find_total(const struct sync *sync, const struct rebase_place *place, unsigned slot,
                       uint64_t start_ticks, struct counter_total *total) {
    struct counter_place at = {.ref = sync->store->replicas.slots[slot].ref,
                               .number = sync->store->dbs[place->owner->db].number,
                               .type = place->type,
                               .key = place->owner->name,
                               .start_ticks = start_ticks};
    if (place->type != VALUE_STRING) {
        at.element = place->key->name;
    }
    return sync->history != NULL && counter_history_find(sync->history, &at, total);
}

/* The log has the total of the part that the mesh saw, or that somebody has made again. Leaves the
 * rest in the part, whatever became of what was seen. */
static bool split_noted(struct sync *sync, const struct state_merge *merge,
                        const struct rebase_place *place, struct contested *contested,
                        struct contested_part *part, const struct contested *there) {
    struct counter_total seen;
    if (!find_total(sync, place, stamp_slot(part->stamp), part->start_ticks, &seen) ||
        (seen.is_float && !part->is_float)) {
        return false;
    }
    /* Taken off here is all up to a moment, which may be later. */
    uint64_t known_ticks = 0;
    bool is_known = sync_known_ticks(sync, stamp_slot(part->stamp), &known_ticks);
    if (is_known && part->off_seen != 0 && stamp_ticks(part->off_seen) > known_ticks) {
        part->total -= part->off;
        part->float_total -= part->float_off;
    } else if (part->is_float) {
        part->float_total -= seen.is_float ? seen.float_total : (long double)seen.total;
    } else {
        part->total -= seen.total;
    }
    part->off = 0;
    part->float_off = 0;
    part->off_seen = part->off_by = 0;
    const struct contested_part *kept =
        there != NULL ? contested_find_part(there, stamp_slot(part->stamp)) : NULL;
    if (kept != NULL) {
        part->total += kept->is_float ? (int64_t)kept->float_total : kept->total;
        part->float_total += kept->is_float ? kept->float_total : (long double)kept->total;
        part->off = kept->off;
        part->float_off = kept->float_off;
        part->off_seen = kept->off_seen;
        part->off_by = kept->off_by;
        return kept->start_ticks == part->start_ticks && kept->is_float == part->is_float;
    }
    bool is_theirs = there != NULL && there->registers_count == 1 && there->edits_count == 0 &&
                     stamp_slot(there->registers[0].stamp) == STAMP_SLOT_SETTLED &&
                     contested->edits_count == 0 && are_registers_there(merge, contested);
    if (!is_theirs) {
        return keep_folded(merge, contested, part, there);
    }
    while (contested->registers_count > 0) {
        contested_drop_register(contested, 0);
    }
    return rebase_add_copy(merge, contested, &there->registers[0]);
}

static bool is_unclear(const struct sync *sync, const struct state_merge *merge,
                       const struct contested_part *part, const struct contested *there) {
    unsigned slot = stamp_slot(part->stamp);
    if (is_made_in_part(sync, part)) {
        return true;
    }
    return (there == NULL || contested_find_part(there, slot) == NULL) &&
           !state_merge_covers_there(merge, part->stamp) &&
           state_merge_covers_there(merge, stamp_make(part->start_ticks, slot));
}

bool rebase_drop_unclear(struct sync *sync, const struct state_merge *merge,
                         const struct rebase_place *place, struct contested *contested,
                         const struct contested *there, bool *is_any) {
    bool is_done = true, is_split[STAMP_SLOTS_COUNT] = {false};
    unsigned count = 0;
    *is_any = false;
    for (unsigned i = 0; i < contested->parts_count; i++) {
        struct contested_part *part = &contested->parts[i];
        if (is_unclear(sync, merge, part, there)) {
            is_split[stamp_slot(part->stamp)] =
                split_noted(sync, merge, place, contested, part, there);
            count++; /* the registers tell only of one that is folded alone */
        }
    }
    for (unsigned i = contested->parts_count; i-- > 0;) {
        struct contested_part *part = &contested->parts[i];
        if (!is_split[stamp_slot(part->stamp)] && is_unclear(sync, merge, part, there) &&
            (count > 1 || is_made_in_part(sync, part) ||
             !split_part(merge, contested, part, there))) {
            is_done &= keep_folded(merge, contested, part, there);
            contested_drop_part(contested, i);
            *is_any = true;
        }
    }
    return is_done;
}

/* ---- numbers that both sides have ---- */

/* Has the mesh seen all of the part, and folded it? */
static bool is_folded_there(const struct state_merge *merge, const struct contested_part *part,
                            const struct contested *there) {
    unsigned slot = stamp_slot(part->stamp);
    return merge->is_retired_there[slot] && state_merge_covers_there(merge, part->stamp) &&
           contested_find_part(there, slot) == NULL;
}

/* Does the mesh's number hold all that is folded here, or would be, and is nothing to be told from
 * the difference of the two? */
static bool is_number_there(const struct sync *sync, const struct state_merge *merge,
                            const struct contested *contested, const struct contested *there) {
    const struct contested_register *top = contested_top(contested);
    if (contested->edits_count > 0 ||
        (top != NULL && !state_merge_covers_there(merge, top->stamp))) {
        return false;
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        const struct contested_part *part = &contested->parts[i];
        if (is_unclear(sync, merge, part, there) ||
            (part->off_seen != 0 && is_folded_there(merge, part, there))) {
            return false;
        }
    }
    for (unsigned i = 0; i < there->parts_count; i++) {
        uint64_t stamp = there->parts[i].stamp;
        if (contested_find_part(contested, stamp_slot(stamp)) == NULL &&
            state_merge_covers_here(merge, stamp)) {
            return false; /* folded here, but not there */
        }
    }
    return true;
}

/* The register with these ticks becomes the one that the mesh has. False when memory is out. */
static bool take_register(const struct state_merge *merge, struct contested *contested,
                          uint64_t ticks, const struct contested *there) {
    bool is_done = true;
    for (unsigned i = contested->registers_count; i-- > 0;) {
        if (stamp_ticks(contested->registers[i].stamp) == ticks) {
            contested_drop_register(contested, i);
        }
    }
    for (unsigned i = 0; i < there->registers_count; i++) {
        if (stamp_ticks(there->registers[i].stamp) == ticks) {
            is_done &= rebase_add_copy(merge, contested, &there->registers[i]);
        }
    }
    return is_done;
}

static bool is_settled_number(const struct contested_register *reg, long double *number) {
    struct entry_scratch scratch;
    *number = reg->number;
    return stamp_slot(reg->stamp) == STAMP_SLOT_SETTLED &&
           (reg->form == CONTESTED_NUMBER ||
            number_parse_float(contested_register_bytes(reg, &scratch), number));
}

/* Do both sides have a settled number with the same ticks, and another one? */
static bool differ_settled(const struct contested *contested, const struct contested *there,
                           uint64_t *ticks) {
    long double ours, theirs;
    for (unsigned i = 0; i < contested->registers_count; i++) {
        *ticks = stamp_ticks(contested->registers[i].stamp);
        for (unsigned j = 0; j < there->registers_count; j++) {
            if (stamp_ticks(there->registers[j].stamp) == *ticks &&
                is_settled_number(&contested->registers[i], &ours) &&
                is_settled_number(&there->registers[j], &theirs) && ours != theirs) {
                return true;
            }
        }
    }
    return false;
}

bool rebase_take_number(const struct state_merge *merge, struct contested *contested,
                        const struct contested *there, bool *is_unclear) {
    uint64_t ticks;
    if (there == NULL || !merge->has_unseen_there || contested->edits_count > 0 ||
        there->edits_count > 0 || !differ_settled(contested, there, &ticks)) {
        return true;
    }
    *is_unclear |= merge->settled_ticks_there != UINT64_MAX;
    for (unsigned i = 0; i < there->parts_count; i++) {
        unsigned slot = stamp_slot(there->parts[i].stamp);
        if (contested_find_part(contested, slot) == NULL) {
            *contested_need_part(merge->store, contested, slot) = there->parts[i];
        }
    }
    return take_register(merge, contested, ticks, there);
}

bool rebase_take_folded(const struct sync *sync, const struct state_merge *merge,
                        struct contested *contested, const struct contested *there) {
    bool is_done = true, is_any = false;
    if (there == NULL || !is_number_there(sync, merge, contested, there)) {
        return true;
    }
    for (unsigned i = 0; i < contested->parts_count && !is_any; i++) {
        const struct contested_part *part = &contested->parts[i];
        uint64_t ticks = stamp_ticks(retire_folded_stamp(contested, part));
        if (is_folded_there(merge, part, there) && rebase_has_register(there, ticks)) {
            is_done = take_register(merge, contested, ticks, there);
            is_any = true;
        }
    }
    for (unsigned i = contested->parts_count; i-- > 0 && is_any;) {
        if (is_folded_there(merge, &contested->parts[i], there)) {
            contested_drop_part(contested, i);
        }
    }
    return is_done;
}

void rebase_note_parts(const struct contested *contested, bool is_here[STAMP_SLOTS_COUNT]) {
    memset(is_here, 0, STAMP_SLOTS_COUNT * sizeof(is_here[0]));
    for (unsigned i = 0; i < contested->parts_count; i++) {
        is_here[stamp_slot(contested->parts[i].stamp)] = true;
    }
}

/* Takes off of a part, which somebody has made again, what had been taken off here of that: as one
 * who had seen its beginning, which was written for that (rebase.c), and nothing that came later.
 */
static void take_off_made(const struct sync *sync, const struct rebase_place *place,
                          struct contested_part *part) {
    struct seen_place at = {.number = sync->store->dbs[place->owner->db].number,
                            .type = place->type,
                            .key = place->owner->name};
    if (place->type != VALUE_STRING) {
        at.element = place->key->name;
    }
    unsigned slot = stamp_slot(part->stamp);
    uint64_t start = stamp_make(part->start_ticks, slot);
    long double amount, total = part->is_float ? part->float_total : (long double)part->total;
    if (part->off_seen != 0 ||
        !made_counters_find(sync->made_counters, &at, sync->store->replicas.slots[slot].ref,
                            &amount) ||
        (start == part->stamp && amount != total)) {
        return;
    }
    part->off_seen = part->off_by = amount == total ? part->stamp : start;
    part->off = (int64_t)amount;
    part->float_off = amount;
}

void rebase_take_off_removed(const struct sync *sync, const struct state_merge *merge,
                             const struct rebase_place *place, struct contested *wanted,
                             const bool is_here[STAMP_SLOTS_COUNT]) {
    for (unsigned i = 0; i < wanted->parts_count; i++) {
        struct contested_part *part = &wanted->parts[i];
        unsigned slot = stamp_slot(part->stamp);
        uint64_t seen = merge->seen_here->stamps[slot];
        struct counter_total total;
        if (!is_here[slot] && seen == 0) {
            take_off_made(sync, place, part);
            continue;
        }
        if (is_here[slot] || part->off_seen >= seen ||
            !rebase_was_begun(merge, part->start_ticks, part->stamp) ||
            replicas_is_void(&sync->store->replicas, seen) ||
            !find_total(sync, place, slot, part->start_ticks, &total) ||
            (total.is_float && !part->is_float)) {
            continue;
        }
        part->off = total.total;
        part->float_off = total.is_float ? total.float_total : (long double)total.total;
        part->off_seen = part->off_by = seen;
    }
}

void rebase_note_off(const struct contested_part *part, struct buffer *offs) {
    if (part->off_seen != 0) {
        buffer_append(offs, part, sizeof(*part));
    }
}

void rebase_take_off_again(struct contested *wanted, struct slice offs) {
    struct contested_part off;
    for (size_t at = 0; at < offs.size; at += sizeof(off)) {
        memcpy(&off, offs.data + at, sizeof(off));
        const struct contested_part *found = contested_find_part(wanted, stamp_slot(off.stamp));
        if (found == NULL || found->start_ticks != off.start_ticks ||
            found->is_float != off.is_float || found->off_seen >= off.off_seen) {
            continue;
        }
        struct contested_part *part = &wanted->parts[found - wanted->parts];
        bool is_all = part->stamp < off.off_seen;
        part->off = is_all ? part->total : off.off;
        part->float_off = is_all ? part->float_total : off.float_off;
        part->off_seen = is_all ? part->stamp : off.off_seen;
        part->off_by = off.off_by;
    }
}

void rebase_note_taken(const struct sync *sync, const struct state_merge *merge,
                       const struct contested *wanted, const struct contested *there,
                       struct rebase_taken *taken) {
    *taken =
        (struct rebase_taken){.is_all = there->registers_count == 0 && there->edits_count == 0};
    for (unsigned i = 0; i < there->parts_count; i++) {
        const struct contested_part *part = &there->parts[i];
        const struct contested_part *kept = contested_find_part(wanted, stamp_slot(part->stamp));
        uint64_t seen = part->stamp;
        int64_t total = part->total;
        long double float_total = part->float_total;
        if (contested_part_is_ghost(part)) {
            continue;
        }
        /* One that began anew has nothing of the one before. */
        bool is_gone = kept == NULL || kept->start_ticks != part->start_ticks;
        if (!is_gone && kept->off_seen < seen) {
            seen = kept->off_seen;
            total = kept->off;
            float_total = kept->float_off;
        }
        if (is_gone ? !state_merge_covers_here(merge, part->stamp)
                    : kept->is_float != part->is_float || seen <= part->off_seen) {
            taken->is_all = false;
            continue;
        }
        taken->is_all &= seen == part->stamp;
        taken->is_float |= part->is_float;
        taken->total += total - part->off;
        taken->float_total +=
            part->is_float ? float_total - part->float_off : (long double)(total - part->off);
        merge_put_take(sync->store, &taken->takes, part, seen, total, float_total);
    }
}
