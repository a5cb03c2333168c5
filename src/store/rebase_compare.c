/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/rebase_compare.h"

#include "base/codec.h"
#include "base/varint.h"
#include "crdt/hyperloglog.h"
#include "store/merge.h"
#include "store/strings.h"

/* ---- what is shown ---- */

/* What a client would see of an entry. */
struct view {
    bool is_there, is_integer, is_number;
    struct slice bytes;
    int64_t integer;
    long double number;
    uint64_t expire_unix_ms;
    struct entry_scratch scratch;
};

static void view_init(struct view *view, const struct store *store, const struct entry *entry) {
    *view = (struct view){0};
    if (entry == NULL || entry_is_hidden(entry) || mutate_is_expired(store, entry)) {
        return;
    }
    view->is_there = true;
    view->bytes = entry_value(entry, &view->scratch);
    view->is_integer = entry_integer(entry, &view->integer);
    view->is_number = number_parse_float(view->bytes, &view->number);
    view->expire_unix_ms = entry_expire_unix_ms(entry);
}

struct entry *rebase_entry_at(const struct store *store, const struct key *key) {
    uint64_t *slot = mutate_slot(store, key);
    return slot == NULL ? NULL : table_item(*slot);
}

/* ---- what would be, had nothing been forgotten ---- */

bool rebase_is_ours(const struct sync *sync, uint64_t stamp) {
    const struct replicas *replicas = &sync->store->replicas;
    unsigned slot = stamp_slot(stamp);
    if (slot == STAMP_SLOT_SETTLED || slot == replicas->self || replicas->slots == NULL) {
        return true;
    }
    if (replicas_is_void(replicas, stamp)) {
        return replicas_is_unmade(replicas, stamp); /* else it was made again before */
    }
    return sync_makes_again(sync, slot);
}

bool rebase_was_begun(const struct state_merge *merge, uint64_t start_ticks, uint64_t stamp) {
    return !state_merge_covers_here(merge, stamp) &&
           state_merge_covers_here(merge, stamp_make(start_ticks, stamp_slot(stamp)));
}

bool rebase_was_logged(const struct sync *sync, const struct key *key, enum value_type type,
                       struct slice element, uint64_t stamp) {
    struct seen_place place = {.number = sync->store->dbs[key->db].number,
                               .type = type,
                               .key = key->name,
                               .element = element};
    return sync->seen_changes != NULL &&
           seen_changes_has(sync->seen_changes, &place, stamp_ticks(stamp));
}

bool rebase_all_was_logged(const struct sync *sync, const struct state_merge *merge,
                           const struct key *key, enum value_type type, struct slice element,
                           const struct entry *entry) {
    uint64_t stamps[STATE_MERGE_STAMPS_MAX];
    unsigned count = state_merge_stamps(entry, stamps);
    for (unsigned i = 0; i < count; i++) {
        if (stamp_slot(stamps[i]) == STAMP_SLOT_SETTLED &&
            stamp_ticks(stamps[i]) > merge->settled_ticks_here &&
            !rebase_was_logged(sync, key, type, element, stamps[i])) {
            return false;
        }
    }
    return count > 0;
}

static bool is_dropped(const struct sync *sync, const struct state_merge *merge, uint64_t stamp) {
    return !state_merge_covers_there(merge, stamp) && !rebase_is_ours(sync, stamp);
}

/* Takes out what others will deliver or make again. True when anything went. */
static bool drop_others(const struct sync *sync, const struct state_merge *merge,
                        struct contested *contested) {
    unsigned before = contested->registers_count + contested->edits_count +
                      contested->expiries_count + contested->parts_count;
    for (unsigned i = contested->registers_count; i-- > 0;) {
        if (is_dropped(sync, merge, contested->registers[i].stamp)) {
            contested_drop_register(contested, i);
        }
    }
    for (unsigned i = contested->edits_count; i-- > 0;) {
        if (is_dropped(sync, merge, contested->edits[i].stamp)) {
            contested_drop_edit(contested, i);
        }
    }
    for (unsigned i = contested->expiries_count; i-- > 0;) {
        if (is_dropped(sync, merge, contested->expiries[i].stamp)) {
            contested_drop_expiry(contested, i);
        }
    }
    for (unsigned i = contested->parts_count; i-- > 0;) {
        if (is_dropped(sync, merge, contested->parts[i].stamp)) {
            contested_drop_part(contested, i);
        }
    }
    return contested->registers_count + contested->edits_count + contested->expiries_count +
               contested->parts_count <
           before;
}

static bool has_register(const struct contested *contested, uint64_t ticks) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (stamp_ticks(contested->registers[i].stamp) == ticks) {
            return true;
        }
    }
    return false;
}

/* Takes out what is settled there, too: into one register the mesh has perhaps folded more, some of
 * a part that was taken out here. */
static void drop_settled(struct contested *contested, const struct contested *there) {
    for (unsigned i = contested->registers_count; i-- > 0;) {
        uint64_t stamp = contested->registers[i].stamp;
        if (there != NULL && stamp_slot(stamp) == STAMP_SLOT_SETTLED &&
            has_register(there, stamp_ticks(stamp))) {
            contested_drop_register(contested, i);
        }
    }
}

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

static bool add_copy(const struct state_merge *merge, struct contested *contested,
                     const struct contested_register *reg) {
    if (reg->form == CONTESTED_NUMBER) {
        contested_add_number(merge->store, contested, reg->stamp, reg->number);
        return true;
    }
    struct entry_scratch scratch;
    return contested_add_register(merge->store, contested, reg->stamp,
                                  contested_register_bytes(reg, &scratch));
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
    return add_copy(merge, contested, &there->registers[0]);
}

/* Takes over from the mesh what the part may be folded into: it has ticks that were seen here, and
 * would be taken for a register that was here and was removed. False when memory is out. */
static bool keep_folded(const struct state_merge *merge, struct contested *contested,
                        const struct contested_part *part, const struct contested *there) {
    bool is_done = true;
    for (unsigned i = 0; there != NULL && i < there->registers_count; i++) {
        const struct contested_register *reg = &there->registers[i];
        if (may_hold_part(merge, part, reg) && !has_register(contested, stamp_ticks(reg->stamp))) {
            is_done &= add_copy(merge, contested, reg);
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
    if (part->off_seen != 0) {
        return false;
    }
    if (!find_total(sync, place, stamp_slot(part->stamp), part->start_ticks, &seen) ||
        (seen.is_float && !part->is_float)) {
        return false;
    }
    if (part->is_float) {
        part->float_total -= seen.is_float ? seen.float_total : (long double)seen.total;
    } else {
        part->total -= seen.total;
    }
    const struct contested_part *kept =
        there != NULL ? contested_find_part(there, stamp_slot(part->stamp)) : NULL;
    if (kept != NULL) {
        part->total += kept->is_float ? (int64_t)kept->float_total : kept->total;
        part->float_total += kept->is_float ? kept->float_total : (long double)kept->total;
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
    return add_copy(merge, contested, &there->registers[0]);
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

/* Parts of which the mesh saw the beginning and has nothing: rebase.h. `is_any` when one was left
 * out. False when memory is out. */
static bool drop_unclear(struct sync *sync, const struct state_merge *merge,
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
            is_done &= add_copy(merge, contested, &there->registers[i]);
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

/* Both sides have folded a part, and one of them a lower one, too: then their numbers have one
 * stamp. What the mesh has folded and was not seen here is not to be taken away from it, so its
 * number counts, with the parts that it has yet to fold. Where it lacks some of what is folded here
 * (`*is_unclear`) that cannot be told apart, and is left out. False when memory is out. */
static bool take_number(const struct state_merge *merge, struct contested *contested,
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

/* Parts that the mesh has seen to their ends and folded are in its register, which may hold others
 * that were never seen here. Folded here, they would get a register of the same stamp without
 * those, and the difference would take them away. False when memory is out. */
static bool take_folded(const struct sync *sync, const struct state_merge *merge,
                        struct contested *contested, const struct contested *there) {
    bool is_done = true, is_any = false;
    if (there == NULL || !is_number_there(sync, merge, contested, there)) {
        return true;
    }
    for (unsigned i = 0; i < contested->parts_count && !is_any; i++) {
        const struct contested_part *part = &contested->parts[i];
        uint64_t ticks = stamp_ticks(retire_folded_stamp(contested, part));
        if (is_folded_there(merge, part, there) && has_register(there, ticks)) {
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

static bool has_same_register(const struct contested *contested, uint64_t stamp) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (state_merge_is_same(contested->registers[i].stamp, stamp)) {
            return true;
        }
    }
    return false;
}

static bool has_edit(const struct contested *contested, uint64_t stamp) {
    for (unsigned i = 0; i < contested->edits_count; i++) {
        if (state_merge_is_same(contested->edits[i].stamp, stamp)) {
            return true;
        }
    }
    return false;
}

/* What the mesh has of the register with that stamp: that, or if it has it as an edit, all that was
 * seen here, which is in the register here. False when memory is out. */
static bool take_form(const struct state_merge *merge, struct contested *contested, uint64_t stamp,
                      const struct contested *there) {
    bool is_edit = has_edit(there, stamp), is_done = true;
    for (unsigned i = 0; i < there->registers_count; i++) {
        const struct contested_register *reg = &there->registers[i];
        if (state_merge_is_same(reg->stamp, stamp) ||
            (is_edit && state_merge_covers_here(merge, reg->stamp))) {
            is_done &= add_copy(merge, contested, reg);
        }
    }
    for (unsigned i = 0; i < there->edits_count && is_edit; i++) {
        const struct contested_edit *edit = &there->edits[i];
        if (state_merge_covers_here(merge, edit->stamp) && !has_edit(contested, edit->stamp)) {
            is_done &= contested_add_edit(merge->store, contested, edit);
        }
    }
    return is_done;
}

/* Both sides may have folded edits below one and the same into their registers, or one has not
 * folded that one: then the mesh's value has what was never seen here, and counts. What it lacks
 * the log tells, or nothing does. Numbers are no such registers. False when memory is out. */
static bool take_edited(const struct state_merge *merge, struct contested *contested,
                        const struct contested *there) {
    bool is_done = true;
    for (unsigned i = there != NULL ? contested->registers_count : 0; i-- > 0;) {
        const struct contested_register *reg = &contested->registers[i];
        uint64_t stamp = reg->stamp;
        struct entry_scratch scratch;
        long double number;
        bool is_number = reg->form == CONTESTED_NUMBER ||
                         number_parse_float(contested_register_bytes(reg, &scratch), &number);
        if (!is_number && (has_same_register(there, stamp) || has_edit(there, stamp))) {
            contested_drop_register(contested, i);
            is_done &= take_form(merge, contested, stamp, there);
        }
    }
    return is_done;
}

/* Has the mesh written nothing to the key that was not seen here? */
static bool was_all_seen(const struct sync *sync, const struct state_merge *merge,
                         const struct entry *there) {
    return there != NULL && merge->settled_ticks_here == UINT64_MAX &&
           state_merge_entry_is_covered(sync->store, there, sync->seen.stamps, STAMP_SLOTS_COUNT);
}

static uint64_t shown_register(const struct contested *contested) {
    return contested == NULL || contested->registers_count == 0
               ? 0
               : contested->registers[contested->registers_count - 1].stamp;
}

struct difference {
    bool is_memory_out;
    bool is_unclear;       /* a part's share could not be told */
    bool is_same_register; /* both sides' numbers stand on one register */
    bool can_patch;        /* the mesh lacks `patches`, and nothing else that is known */
    bool is_patched;       /* and both sides' bytes are the same without them */
    struct buffer patches; /* what of edits the mesh lacks */
    struct buffer edits;   /* that, and what others are to make again */
};

bool rebase_next_patch(struct slice *patches, uint64_t *offset, struct slice *bytes) {
    return varint_take(patches, offset) && varint_take_slice(patches, bytes);
}

/* Notes the edits that the mesh lacks. False where they are no patches. */
static bool note_edits(const struct state_merge *merge, const struct contested *wanted,
                       struct buffer *edits) {
    for (unsigned i = 0; i < wanted->edits_count; i++) {
        const struct contested_edit *edit = &wanted->edits[i];
        if (state_merge_covers_there(merge, edit->stamp)) {
            continue;
        }
        if (edit->is_raise) {
            return false;
        }
        codec_put_varint(edits, edit->offset);
        codec_put_slice(edits, slice_make(edit->bytes, edit->size));
    }
    return true;
}

/* Likewise. False where it lacks more than patches. */
static bool note_patches(const struct state_merge *merge, const struct contested *wanted,
                         struct buffer *patches) {
    for (unsigned i = 0; i < wanted->registers_count; i++) {
        if (!state_merge_covers_there(merge, wanted->registers[i].stamp)) {
            return false;
        }
    }
    return note_edits(merge, wanted, patches) && wanted->parts_count == 0 && patches->size > 0;
}

/* Several HyperLogLogs, of writers that had begun one each: nobody's registers are lost. */
static bool join_hyperloglogs(const struct store *store, struct contested *contested) {
    struct entry_scratch scratch;
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    bool is_dense = false, is_done = true;
    if (contested->registers_count < 2) {
        return true;
    }
    for (unsigned i = 0; i < contested->registers_count; i++) {
        struct slice bytes = contested_register_bytes(&contested->registers[i], &scratch);
        if (!contested_is_hyperloglog(bytes) ||
            hyperloglog_join(registers, bytes) != HYPERLOGLOG_OK) {
            return true;
        }
        is_dense |= hyperloglog_is_dense(bytes);
    }
    struct buffer joined = {0};
    uint64_t stamp = contested_top(contested)->stamp;
    hyperloglog_set_registers(&joined, registers, is_dense, HYPERLOGLOG_SPARSE_BYTES_LIMIT);
    while (contested->registers_count > 0) {
        contested_drop_register(contested, 0);
    }
    is_done = contested_add_register(store, contested, stamp, buffer_slice(&joined));
    buffer_deinit(&joined);
    return is_done;
}

/* Of which replicas are parts here? */
static void note_parts(const struct contested *contested, bool is_here[STAMP_SLOTS_COUNT]) {
    memset(is_here, 0, STAMP_SLOTS_COUNT * sizeof(is_here[0]));
    for (unsigned i = 0; i < contested->parts_count; i++) {
        is_here[stamp_slot(contested->parts[i].stamp)] = true;
    }
}

/* Parts that were removed here, as far as they had been seen: nothing is left of that once it has
 * settled. The mesh has more of them by now; the log has what they were. */
static void take_off_removed(const struct sync *sync, const struct state_merge *merge,
                             const struct rebase_place *place, struct contested *wanted,
                             const bool is_here[STAMP_SLOTS_COUNT]) {
    for (unsigned i = 0; i < wanted->parts_count; i++) {
        struct contested_part *part = &wanted->parts[i];
        unsigned slot = stamp_slot(part->stamp);
        uint64_t seen = merge->seen_here->stamps[slot];
        struct counter_total total;
        if (is_here[slot] || rebase_is_ours(sync, part->stamp) || part->off_seen >= seen ||
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

/* Leaves in the store aside what merging would make of the key. */
static struct difference merge_aside(struct sync *sync, const struct state_merge *merge,
                                     const struct rebase_place *place) {
    const struct key *key = place->key;
    struct store *aside = place->aside, *staged = place->theirs;
    struct difference difference = {0};
    uint64_t *there = mutate_slot(staged, key);
    uint64_t their_stamp = there != NULL ? ((struct entry *)table_item(*there))->stamp : 0;
    uint64_t stamp = their_stamp;
    struct contested *theirs = there == NULL ? NULL : contested_open(staged, key, there);
    struct contested *wanted = contested_open(aside, key, NULL);
    static const struct context nothing;
    uint64_t *here = mutate_slot(place->ours, key);
    if (here != NULL) {
        struct state_merge copy = {.store = aside, .seen_here = &nothing};
        uint64_t our_stamp = ((struct entry *)table_item(*here))->stamp;
        stamp = our_stamp > stamp ? our_stamp : stamp;
        struct contested *ours = contested_open(place->ours, key, here);
        difference.is_memory_out |= !state_merge_elements(&copy, wanted, ours);
        contested_close(place->ours, key, our_stamp);
    }
    bool is_left_out = false, is_here[STAMP_SLOTS_COUNT];
    note_parts(wanted, is_here);
    bool has_patches = note_edits(merge, wanted, &difference.edits);
    difference.is_memory_out |= !take_number(merge, wanted, theirs, &is_left_out) ||
                                !take_folded(sync, merge, wanted, theirs) ||
                                !take_edited(merge, wanted, theirs);
    state_merge_retire(merge, wanted, staged, theirs);
    struct state_merge rest = *merge;
    if (drop_others(sync, merge, wanted)) {
        /* What those superseded is theirs to take away: not seen here as long as they are not. */
        rest.seen_here = &nothing;
        rest.settled_ticks_here = 0;
        drop_settled(wanted, theirs);
    }
    difference.is_memory_out |=
        !drop_unclear(sync, merge, place, wanted, theirs, &difference.is_unclear);
    difference.is_unclear |= is_left_out;
    difference.can_patch = place->can_patch && has_patches && theirs != NULL &&
                           theirs->parts_count == 0 &&
                           note_patches(merge, wanted, &difference.patches);
    difference.is_memory_out |=
        !state_merge_elements(&rest, wanted, theirs) || !join_hyperloglogs(aside, wanted);
    take_off_removed(sync, merge, place, wanted, is_here);
    difference.is_same_register = wanted->edits_count == 0 &&
                                  (theirs == NULL || theirs->edits_count == 0) &&
                                  shown_register(wanted) == shown_register(theirs);
    difference.is_patched =
        difference.can_patch && shown_register(wanted) == shown_register(theirs);
    contested_close(aside, key, stamp);
    if (theirs != NULL) {
        contested_close(staged, key, their_stamp);
    }
    return difference;
}

/* ---- judging ---- */

/* Are the bytes the same, but for where the edits are? */
static bool differ_by_edits(struct slice wanted, struct slice theirs, struct slice edits) {
    if (theirs.size > wanted.size) {
        return false;
    }
    char *made = memory_try_alloc(wanted.size + 1);
    if (made == NULL) {
        return false;
    }
    memset(made, 0, wanted.size);
    if (theirs.size > 0) {
        memcpy(made, theirs.data, theirs.size);
    }
    struct slice bytes;
    uint64_t offset;
    while (rebase_next_patch(&edits, &offset, &bytes)) {
        if (offset < wanted.size) {
            size_t rest = wanted.size - (size_t)offset;
            memcpy(made + offset, wanted.data + offset, bytes.size < rest ? bytes.size : rest);
        }
    }
    bool is_same = slice_equal(slice_make(made, wanted.size), wanted);
    memory_free(made);
    return is_same;
}

void rebase_drop(struct store *store, const struct key *key) {
    uint64_t *slot = mutate_slot(store, key);
    if (slot != NULL) {
        mutate_remove(store, key, slot);
    }
}

static bool is_sub_exact(int64_t a, int64_t b, int64_t *difference) {
    return !__builtin_sub_overflow(a, b, difference);
}

/* The difference of numbers that stand on one register is what is to be added. */
static bool judge_increment(const struct view *wanted, const struct view *theirs,
                            struct rebase_verdict *verdict) {
    if (wanted->is_integer && (theirs->is_integer || !theirs->is_there) &&
        is_sub_exact(wanted->integer, theirs->integer, &verdict->delta)) {
        verdict->kind = REBASE_INCREMENT;
        return true;
    }
    if (wanted->is_number && (theirs->is_number || !theirs->is_there)) {
        verdict->kind = REBASE_FLOAT_INCREMENT;
        verdict->float_delta = wanted->number - (theirs->is_there ? theirs->number : 0);
        return true;
    }
    return false;
}

static void judge(const struct view *wanted, const struct view *theirs,
                  const struct difference *difference, struct rebase_verdict *verdict) {
    bool is_expiry_same = wanted->expire_unix_ms == theirs->expire_unix_ms;
    *verdict = (struct rebase_verdict){.was_there = theirs->is_there,
                                       .expire_unix_ms = wanted->expire_unix_ms};
    if (!wanted->is_there) {
        verdict->kind = theirs->is_there ? REBASE_DELETE : REBASE_NOTHING;
    } else if (theirs->is_there && slice_equal(wanted->bytes, theirs->bytes)) {
        verdict->kind = is_expiry_same ? REBASE_NOTHING : REBASE_EXPIRE;
    } else if (difference->is_same_register && judge_increment(wanted, theirs, verdict)) {
        verdict->sets_expiry = !is_expiry_same;
    } else if (difference->is_patched && theirs->is_there) {
        verdict->kind = REBASE_PATCH;
        verdict->sets_expiry = !is_expiry_same;
    } else {
        verdict->kind = REBASE_SET;
    }
}

/* The difference of the values as they are is what the mesh lacks. */
static void judge_plain(const struct view *ours, const struct view *theirs,
                        struct rebase_verdict *verdict) {
    *verdict =
        (struct rebase_verdict){.kind = REBASE_NOTHING,
                                .was_there = true,
                                .expire_unix_ms = ours->expire_unix_ms,
                                .sets_expiry = ours->expire_unix_ms != theirs->expire_unix_ms};
    if (is_sub_exact(ours->integer, theirs->integer, &verdict->delta) &&
        (verdict->delta != 0 || verdict->sets_expiry)) {
        verdict->kind = REBASE_INCREMENT;
    }
}

/* Leaves `value` in the store aside, to be set. False when memory is out. */
static bool put_wanted(const struct rebase_place *place, struct slice value, uint64_t stamp) {
    rebase_drop(place->aside, place->key);
    struct contested *wanted = contested_open(place->aside, place->key, NULL);
    bool is_done = contested_add_register(place->aside, wanted, stamp, value);
    contested_close(place->aside, place->key, stamp);
    return is_done;
}

/* The HyperLogLog that the mesh has, with what was added here, or if that is not known with all
 * that is here. False: there is none on both sides, or memory is out. */
static bool judge_hyperloglogs(const struct rebase_place *place, const struct view *ours,
                               const struct view *theirs, struct slice pairs,
                               struct rebase_verdict *verdict) {
    uint8_t registers[HYPERLOGLOG_REGISTERS_COUNT] = {0};
    struct buffer raised = {0};
    bool is_done = contested_is_hyperloglog(theirs->bytes);
    if (is_done && pairs.size > 0) {
        is_done = hyperloglog_raise_pairs(&raised, theirs->bytes, pairs);
    } else if (is_done) {
        is_done = contested_is_hyperloglog(ours->bytes) &&
                  hyperloglog_join(registers, theirs->bytes) == HYPERLOGLOG_OK &&
                  hyperloglog_join(registers, ours->bytes) == HYPERLOGLOG_OK;
        hyperloglog_set_registers(&raised, registers, hyperloglog_is_dense(theirs->bytes),
                                  HYPERLOGLOG_SPARSE_BYTES_LIMIT);
    }
    if (is_done && !slice_equal(buffer_slice(&raised), theirs->bytes)) {
        const struct entry *entry = rebase_entry_at(place->theirs, place->key);
        is_done = put_wanted(place, buffer_slice(&raised), entry->stamp);
        verdict->kind = REBASE_SET;
    }
    buffer_deinit(&raised);
    return is_done;
}

/* Where nothing but edits was done to a string here, these are made again, whatever has become of
 * their stamps. HyperLogLogs are joined. False: it is neither. */
static bool judge_edits(struct sync *sync, const struct rebase_place *place,
                        const struct view *ours, const struct view *wanted,
                        const struct view *theirs, struct rebase_verdict *verdict) {
    struct slice patches = {0}, pairs = {0};
    if (!place->can_patch || !ours->is_there || !theirs->is_there) {
        return false;
    }
    bool is_edited = unsent_edits_find(sync->unsent_edits, sync->store->dbs[place->key->db].number,
                                       place->key->name, &patches, &pairs);
    if (!is_edited && !contested_is_hyperloglog(ours->bytes)) {
        return false;
    }
    uint64_t expire_unix_ms = wanted->is_there ? wanted->expire_unix_ms : theirs->expire_unix_ms;
    bool is_expiry_same = expire_unix_ms == theirs->expire_unix_ms;
    *verdict = (struct rebase_verdict){.kind = is_expiry_same ? REBASE_NOTHING : REBASE_EXPIRE,
                                       .was_there = true,
                                       .expire_unix_ms = expire_unix_ms};
    if (patches.size == 0) {
        return judge_hyperloglogs(place, ours, theirs, pairs, verdict);
    }
    if (pairs.size == 0) {
        verdict->kind = REBASE_PATCH;
        verdict->sets_expiry = !is_expiry_same;
        buffer_append_slice(&verdict->patches, patches);
    }
    return pairs.size == 0;
}

bool rebase_is_edited(const struct sync *sync, const struct key *key) {
    struct slice patches, pairs;
    return unsent_edits_find(sync->unsent_edits, sync->store->dbs[key->db].number, key->name,
                             &patches, &pairs);
}

bool rebase_compare(struct sync *sync, const struct state_merge *merge,
                    const struct rebase_place *place, struct rebase_verdict *verdict) {
    const struct entry *their_entry = rebase_entry_at(place->theirs, place->key);
    struct view ours, wanted, theirs;
    bool was_seen = was_all_seen(sync, merge, their_entry);
    struct difference difference = merge_aside(sync, merge, place);
    if (difference.is_memory_out) {
        buffer_deinit(&difference.patches);
        buffer_deinit(&difference.edits);
        return false;
    }
    view_init(&ours, sync->store, rebase_entry_at(place->ours, place->key)); /* it may have moved */
    view_init(&wanted, sync->store, rebase_entry_at(place->aside, place->key));
    view_init(&theirs, sync->store, rebase_entry_at(place->theirs, place->key));
    /* What is a register on the one side may be an edit on the other: then the bytes tell. The
     * whole value, written again, would supersede what others patched in other places. */
    if (difference.can_patch && !difference.is_patched && theirs.is_there && wanted.is_there) {
        difference.is_patched =
            differ_by_edits(wanted.bytes, theirs.bytes, buffer_slice(&difference.edits));
    }
    buffer_deinit(&difference.edits);
    if (judge_edits(sync, place, &ours, &wanted, &theirs, verdict)) {
        sync->stats.keys_merged++;
        buffer_deinit(&difference.patches);
        difference.patches = verdict->patches;
    } else if (difference.is_unclear && was_seen && ours.is_integer && theirs.is_integer) {
        judge_plain(&ours, &theirs, verdict);
    } else {
        sync->stats.keys_unclear += difference.is_unclear;
        sync->stats.keys_merged++;
        judge(&wanted, &theirs, &difference, verdict);
    }
    if (verdict->kind == REBASE_PATCH) {
        verdict->patches = difference.patches;
    } else {
        buffer_deinit(&difference.patches);
    }
    if (verdict->kind != REBASE_SET) {
        rebase_drop(place->aside, place->key);
    }
    return true;
}

void rebase_judge_kept(struct sync *sync, const struct rebase_place *place,
                       struct rebase_verdict *verdict) {
    static const struct difference all;
    struct view wanted, theirs;
    view_init(&wanted, sync->store, rebase_entry_at(place->aside, place->key));
    view_init(&theirs, sync->store, NULL);
    judge(&wanted, &theirs, &all, verdict);
    if (verdict->kind != REBASE_SET) {
        rebase_drop(place->aside, place->key);
    }
}
