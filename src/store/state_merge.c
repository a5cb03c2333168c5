/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/state_merge.h"

#include "crdt/packed_list.h"
#include "store/collection.h"
#include "store/merge.h"

static bool covers(const uint64_t *seen, unsigned count, uint64_t stamp) {
    unsigned slot = stamp_slot(stamp);
    return slot < count && stamp <= seen[slot];
}

bool state_merge_covers_here(const struct state_merge *merge, uint64_t stamp) {
    return stamp_slot(stamp) == STAMP_SLOT_SETTLED ? stamp_ticks(stamp) <= merge->settled_ticks_here
                                                   : context_covers(merge->seen_here, stamp);
}

bool state_merge_covers_there(const struct state_merge *merge, uint64_t stamp) {
    return stamp_slot(stamp) == STAMP_SLOT_SETTLED
               ? stamp_ticks(stamp) <= merge->settled_ticks_there
               : covers(merge->seen_there, merge->seen_there_count, stamp);
}

bool state_merge_is_same(uint64_t a, uint64_t b) {
    return a == b || (stamp_ticks(a) == stamp_ticks(b) &&
                      (stamp_slot(a) == STAMP_SLOT_SETTLED || stamp_slot(b) == STAMP_SLOT_SETTLED));
}

/* ---- at a glance ---- */

unsigned state_merge_stamps(const struct entry *entry, uint64_t stamps[STATE_MERGE_STAMPS_MAX]) {
    struct entry_parts parts;
    unsigned count = 0;
    if (entry_kind(entry) >= ENTRY_CONTESTED) {
        return 0;
    }
    entry_take_apart(entry, &parts);
    stamps[count++] = entry->stamp;
    if (entry_expire_stamp(entry) != entry->stamp) {
        stamps[count++] = entry_expire_stamp(entry);
    }
    switch (parts.kind) {
    case ENTRY_BYTES:
    case ENTRY_INTEGER:
    case ENTRY_COUNTER:
    case ENTRY_LARGE:
    case ENTRY_CONTESTED:
    case ENTRY_PACKED:
    case ENTRY_COLLECTION:
        break;
    case ENTRY_COUNTER_REGISTER:
    case ENTRY_FLOAT_COUNTER:
        if (parts.register_stamp != 0) {
            stamps[count++] = parts.register_stamp;
        }
        break;
    }
    return count;
}

static unsigned count_covered(const struct state_merge *merge, const uint64_t *stamps,
                              unsigned count,
                              bool (*is_covered)(const struct state_merge *, uint64_t)) {
    unsigned covered = 0;
    for (unsigned i = 0; i < count; i++) {
        covered += is_covered(merge, stamps[i]);
    }
    return covered;
}

static bool share_a_stamp(const uint64_t *a, unsigned a_count, const uint64_t *b,
                          unsigned b_count) {
    for (unsigned i = 0; i < a_count; i++) {
        for (unsigned j = 0; j < b_count; j++) {
            if (state_merge_is_same(a[i], b[j])) {
                return true;
            }
        }
    }
    return false;
}

bool state_merge_is_equal(const struct entry *a, const struct entry *b) {
    uint64_t first[STATE_MERGE_STAMPS_MAX], second[STATE_MERGE_STAMPS_MAX];
    unsigned count = state_merge_stamps(a, first);
    return count > 0 && entry_kind(a) == entry_kind(b) && state_merge_stamps(b, second) == count &&
           memcmp(first, second, count * sizeof(first[0])) == 0;
}

enum state_merge_quick state_merge_quick(const struct state_merge *merge, const struct entry *here,
                                         const struct entry *there) {
    uint64_t ours[STATE_MERGE_STAMPS_MAX], theirs[STATE_MERGE_STAMPS_MAX];
    unsigned ours_count = 0, theirs_count = 0;
    require(here != NULL || there != NULL);
    if ((here != NULL && (ours_count = state_merge_stamps(here, ours)) == 0) ||
        (there != NULL && (theirs_count = state_merge_stamps(there, theirs)) == 0)) {
        return STATE_MERGE_DEEP;
    }
    unsigned gone = count_covered(merge, ours, ours_count, state_merge_covers_there);
    unsigned known = count_covered(merge, theirs, theirs_count, state_merge_covers_here);
    if (here == NULL) {
        return known == theirs_count ? STATE_MERGE_KEEP
               : known == 0          ? STATE_MERGE_TAKE
                                     : STATE_MERGE_DEEP;
    }
    if (there == NULL) {
        return gone == ours_count ? STATE_MERGE_DROP
               : gone == 0        ? STATE_MERGE_KEEP
                                  : STATE_MERGE_DEEP;
    }
    if (state_merge_is_equal(here, there)) {
        return STATE_MERGE_KEEP;
    }
    if (share_a_stamp(ours, ours_count, theirs, theirs_count)) {
        return STATE_MERGE_DEEP;
    }
    if (gone == ours_count && known == 0) {
        return STATE_MERGE_TAKE;
    }
    if (gone == 0 && known == theirs_count) {
        return STATE_MERGE_KEEP;
    }
    return STATE_MERGE_DEEP;
}

/* ---- registers and edits ---- */

bool state_merge_has_register(const struct contested *contested, uint64_t stamp) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (state_merge_is_same(contested->registers[i].stamp, stamp)) {
            return true;
        }
    }
    return false;
}

/* They may be many, and have rising ticks. */
bool state_merge_has_edit(const struct contested *contested, uint64_t stamp) {
    unsigned low = 0, high = contested->edits_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (stamp_ticks(contested->edits[middle].stamp) < stamp_ticks(stamp)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < contested->edits_count &&
           stamp_ticks(contested->edits[low].stamp) == stamp_ticks(stamp);
         low++) {
        if (state_merge_is_same(contested->edits[low].stamp, stamp)) {
            return true;
        }
    }
    return false;
}

static bool add_register(const struct state_merge *merge, struct contested *here,
                         const struct contested_register *reg) {
    if (reg->form == CONTESTED_NUMBER) {
        contested_add_number(merge->store, here, reg->stamp, reg->number);
        return true;
    }
    struct entry_scratch scratch;
    return contested_add_register(merge->store, here, reg->stamp,
                                  contested_register_bytes(reg, &scratch));
}

/* Registers of both sides with one stamp: those of the side that has folded hold more. */
static bool take_folded(const struct state_merge *merge, struct contested *here,
                        const struct contested *there) {
    for (unsigned i = here->registers_count; i-- > 0;) {
        for (unsigned j = 0; j < there->registers_count; j++) {
            if (state_merge_is_same(here->registers[i].stamp, there->registers[j].stamp)) {
                contested_drop_register(here, i);
                if (!add_register(merge, here, &there->registers[j])) {
                    return false;
                }
                break;
            }
        }
    }
    return true;
}

/* Edits here that are registers there: the folded form is taken although its stamp was seen here.
 * The edits go afterwards, since the other side no longer has them as such. */
static bool take_folded_edits(const struct state_merge *merge, struct contested *here,
                              const struct contested *there) {
    for (unsigned i = 0; i < there->registers_count; i++) {
        if (state_merge_has_edit(here, there->registers[i].stamp) &&
            !add_register(merge, here, &there->registers[i])) {
            return false;
        }
    }
    return true;
}

/* What of the registers and edits here is superseded there, or folded, goes. True when edits or
 * parts went that the other side has seen and no longer has by themselves. */
static bool drop_superseded(const struct state_merge *merge, struct contested *here,
                            const struct contested *there) {
    bool were_folded = false;
    for (unsigned i = here->registers_count; i-- > 0;) {
        uint64_t stamp = here->registers[i].stamp;
        if (!state_merge_has_register(there, stamp) && !state_merge_has_edit(there, stamp) &&
            state_merge_covers_there(merge, stamp)) {
            contested_drop_register(here, i);
        }
    }
    for (unsigned i = here->edits_count; i-- > 0;) {
        uint64_t stamp = here->edits[i].stamp;
        if (state_merge_has_edit(there, stamp)) {
            continue;
        }
        if (state_merge_has_register(there, stamp)) {
            contested_drop_edit(here, i);
        } else if (state_merge_covers_there(merge, stamp)) {
            contested_drop_edit(here, i);
            were_folded = true;
        }
    }
    return were_folded;
}

static bool add_missing(const struct state_merge *merge, struct contested *here,
                        const struct contested *there) {
    for (unsigned i = 0; i < there->registers_count; i++) {
        const struct contested_register *reg = &there->registers[i];
        if (!state_merge_has_register(here, reg->stamp) &&
            !state_merge_covers_here(merge, reg->stamp) && !add_register(merge, here, reg)) {
            return false;
        }
    }
    for (unsigned i = 0; i < there->edits_count; i++) {
        const struct contested_edit *edit = &there->edits[i];
        if (!state_merge_has_register(here, edit->stamp) &&
            !state_merge_has_edit(here, edit->stamp) &&
            !state_merge_covers_here(merge, edit->stamp) &&
            !contested_add_edit(merge->store, here, edit)) {
            return false;
        }
    }
    return true;
}

/* ---- expiries ---- */

static bool has_expiry(const struct contested *contested, uint64_t stamp) {
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        if (state_merge_is_same(contested->expiries[i].stamp, stamp)) {
            return true;
        }
    }
    return false;
}

static void merge_expiries(const struct state_merge *merge, struct contested *here,
                           const struct contested *there) {
    for (unsigned i = here->expiries_count; i-- > 0;) {
        uint64_t stamp = here->expiries[i].stamp;
        if (!has_expiry(there, stamp) && state_merge_covers_there(merge, stamp)) {
            contested_drop_expiry(here, i);
        }
    }
    for (unsigned i = 0; i < there->expiries_count; i++) {
        uint64_t stamp = there->expiries[i].stamp;
        if (!has_expiry(here, stamp) && !state_merge_covers_here(merge, stamp)) {
            contested_add_expiry(here, stamp, there->expiries[i].unix_ms);
        }
    }
}

/* ---- parts ---- */

static void part_make_float(struct contested_part *part) {
    if (!part->is_float) {
        part->is_float = true;
        part->float_total = (long double)part->total;
        part->float_off = (long double)part->off;
    }
}

/* Two states of one replica's part with one start. */
static void merge_part(const struct state_merge *merge, struct contested_part *here,
                       const struct contested_part *there) {
    struct contested_part other = *there;
    if (here->is_float || other.is_float) {
        part_make_float(here);
        part_make_float(&other);
    }
    if (other.stamp > here->stamp) {
        here->stamp = other.stamp;
        here->total = other.total;
        here->float_total = other.float_total;
    }
    if (other.off_seen > here->off_seen) {
        here->off_seen = other.off_seen;
        here->off = other.off;
        here->float_off = other.float_off;
        here->off_by = other.off_by;
    } else if (other.off_seen == here->off_seen && other.off_by != 0 &&
               replicas_compare_stamps(&merge->store->replicas, other.off_by, here->off_by) > 0) {
        here->off_by = other.off_by;
    }
}

/* True when a part went that the other side has folded into its register. */
static bool merge_parts(const struct state_merge *merge, struct contested *here,
                        const struct contested *there) {
    bool were_folded = false;
    for (unsigned i = here->parts_count; i-- > 0;) {
        uint64_t stamp = here->parts[i].stamp;
        unsigned slot = stamp_slot(stamp);
        if (contested_find_part(there, slot) == NULL && state_merge_covers_there(merge, stamp)) {
            were_folded |= merge->is_retired_there != NULL && merge->is_retired_there[slot];
            contested_drop_part(here, i);
        }
    }
    for (unsigned i = 0; i < there->parts_count; i++) {
        const struct contested_part *part = &there->parts[i];
        unsigned slot = stamp_slot(part->stamp);
        struct contested_part *mine = contested_find_part(here, slot);
        if (mine == NULL) {
            if (state_merge_covers_here(merge, part->stamp)) {
                continue;
            }
            *contested_need_part(merge->store, here, slot) = *part;
        } else if (mine->start_ticks == part->start_ticks) {
            merge_part(merge, mine, part);
        } else if (part->start_ticks > mine->start_ticks) {
            *mine = *part;
        }
    }
    return were_folded;
}

/* Is the replica in the slot retired on one side, or is that under way? Then keys may be either
 * way, on both sides. */
static bool is_retired_somewhere(const struct state_merge *merge, unsigned slot) {
    const struct replicas *replicas = &merge->store->replicas;
    uint64_t ref = replicas->slots[slot].ref;
    return ref != 0 &&
           ((merge->is_retired_there != NULL && merge->is_retired_there[slot]) ||
            (replicas->retired_count > 0 && replicas_find_retired(replicas, ref) != NULL));
}

/* The part of a retired replica becomes one with the register where the other side has that
 * register. Else it stays: as a part where both have it, since the register below may be one that
 * the other side lacks; to be dropped where the other side has seen it and taken it off. */
static void fold_as_other(const struct store *store, struct contested *contested, unsigned slot,
                          uint64_t ticks_max, const struct contested *other) {
    const struct contested_part *part = contested_find_part(contested, slot);
    if (part != NULL && stamp_ticks(part->stamp) <= ticks_max &&
        contested_find_part(other, slot) == NULL &&
        state_merge_has_register(other, retire_folded_stamp(contested, part))) {
        retire_fold_part(store, contested, (unsigned)(part - contested->parts));
    }
}

/* The number of a settled register that is on top; false: there is none. */
static bool settled_number(const struct contested *contested, uint64_t *stamp,
                           long double *number) {
    struct entry_scratch scratch;
    const struct contested_register *top = contested_top(contested);
    if (top == NULL || stamp_slot(top->stamp) != STAMP_SLOT_SETTLED || contested->edits_count > 0) {
        return false;
    }
    *stamp = top->stamp;
    *number = top->number;
    return top->form == CONTESTED_NUMBER ||
           number_parse_float(contested_register_bytes(top, &scratch), number);
}

static bool is_retired_alone(const struct state_merge *merge, const struct contested_part *part,
                             const uint64_t *seen, unsigned seen_count,
                             const struct contested *other) {
    unsigned slot = stamp_slot(part->stamp);
    return is_retired_somewhere(merge, slot) && contested_find_part(other, slot) == NULL &&
           slot < seen_count && part->stamp <= seen[slot];
}

/* Both sides have registers with one stamp, that of the newest part that was folded into them. The
 * other side may have folded lower ones, too, or have taken them off before: its number tells. */
static void fold_lower(const struct state_merge *merge, const struct store *store,
                       struct contested *contested, const uint64_t *seen, unsigned seen_count,
                       const struct contested *other) {
    uint64_t stamp, other_stamp;
    long double number, other_number;
    if (!settled_number(contested, &stamp, &number) ||
        !settled_number(other, &other_stamp, &other_number) || stamp != other_stamp ||
        number == other_number) {
        return;
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        const struct contested_part *part = &contested->parts[i];
        if (is_retired_alone(merge, part, seen, seen_count, other)) {
            number += part->is_float ? part->float_total - part->float_off
                                     : (long double)(part->total - part->off);
        }
    }
    for (unsigned i = contested->parts_count; i-- > 0 && number == other_number;) {
        if (is_retired_alone(merge, &contested->parts[i], seen, seen_count, other)) {
            retire_fold_part(store, contested, i);
        }
    }
}

void state_merge_retire(const struct state_merge *merge, struct contested *here,
                        struct store *staged, struct contested *there) {
    bool is_any = false;
    for (unsigned slot = 1; slot < merge->store->replicas.slots_count; slot++) {
        if (!is_retired_somewhere(merge, slot)) {
            continue;
        }
        /* What one side has not seen is not retired for it. */
        uint64_t here_max =
            slot < merge->seen_there_count ? stamp_ticks(merge->seen_there[slot]) : 0;
        uint64_t there_max = stamp_ticks(merge->seen_here->stamps[slot]);
        retire_stamps(here, slot, here_max);
        if (there != NULL) {
            retire_stamps(there, slot, there_max);
            fold_as_other(merge->store, here, slot, here_max, there);
            fold_as_other(staged, there, slot, there_max, here);
            is_any = true;
        }
    }
    if (is_any) {
        fold_lower(merge, merge->store, here, merge->seen_there, merge->seen_there_count, there);
        fold_lower(merge, staged, there, merge->seen_here->stamps, STAMP_SLOTS_COUNT, here);
    }
}

bool state_merge_elements(const struct state_merge *merge, struct contested *here,
                          const struct contested *there) {
    static const struct contested nothing;
    if (there == NULL) {
        there = &nothing;
    }
    bool is_done = take_folded_edits(merge, here, there);
    bool were_folded = drop_superseded(merge, here, there);
    were_folded |= merge_parts(merge, here, there);
    merge_expiries(merge, here, there);
    return is_done && (!were_folded || take_folded(merge, here, there)) &&
           add_missing(merge, here, there);
}

/* ---- checking what came ---- */

static bool is_covered(const uint64_t *seen, unsigned count, uint64_t stamp) {
    return stamp_slot(stamp) == STAMP_SLOT_SETTLED || covers(seen, count, stamp);
}

static bool packed_is_covered(const struct store *store, struct slice packed, const uint64_t *seen,
                              unsigned count) {
    struct packed_walk walk;
    struct packed_element element;
    packed_walk_init(&walk, store->replicas.authors, packed);
    while (packed_walk_next(&walk, &element)) {
        if (!is_covered(seen, count, element.stamp)) {
            return false;
        }
    }
    return true;
}

struct below_walk {
    const uint64_t *seen;
    unsigned count;
    bool is_covered;
};

static void below_visit(void *item, void *udata) {
    struct below_walk *walk = (struct below_walk *)udata;
    /* No element is packed: whose it is does not matter. */
    walk->is_covered &=
        state_merge_entry_is_covered(NULL, (const struct entry *)item, walk->seen, walk->count);
}

static bool collection_is_below(const struct collection *collection, const uint64_t *seen,
                                unsigned count) {
    struct below_walk walk = {.seen = seen, .count = count, .is_covered = true};
    struct ordered_map_cursor cursor;
    uint64_t position = 0;
    for (bool is_there = ordered_map_first(collection->map, &cursor); is_there;
         is_there = ordered_map_next(collection->map, &cursor)) {
        walk.is_covered &=
            cursor.element.flags != 0 || is_covered(seen, count, cursor.element.stamp);
    }
    do {
        position = table_walk(&collection->space.table, position, below_visit, &walk);
    } while (position != 0);
    return walk.is_covered;
}

static bool contested_is_covered(const struct contested *contested, const uint64_t *seen,
                                 unsigned count) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (!is_covered(seen, count, contested->registers[i].stamp)) {
            return false;
        }
    }
    for (unsigned i = 0; i < contested->edits_count; i++) {
        if (!is_covered(seen, count, contested->edits[i].stamp)) {
            return false;
        }
    }
    for (unsigned i = 0; i < contested->expiries_count; i++) {
        if (!is_covered(seen, count, contested->expiries[i].stamp)) {
            return false;
        }
    }
    for (unsigned i = 0; i < contested->parts_count; i++) {
        const struct contested_part *part = &contested->parts[i];
        if (!is_covered(seen, count, part->stamp) || !is_covered(seen, count, part->off_seen) ||
            !is_covered(seen, count, part->off_by)) {
            return false;
        }
    }
    for (const struct collection *collection = contested->collections; collection != NULL;
         collection = collection->next) {
        if (!collection_is_below(collection, seen, count)) {
            return false;
        }
    }
    return true;
}

bool state_merge_entry_is_covered(const struct store *store, const struct entry *entry,
                                  const uint64_t *seen, unsigned seen_count) {
    struct entry_parts parts;
    if (!is_covered(seen, seen_count, entry->stamp) ||
        !is_covered(seen, seen_count, entry_expire_stamp(entry))) {
        return false;
    }
    switch (entry_kind(entry)) {
    case ENTRY_BYTES:
    case ENTRY_INTEGER:
    case ENTRY_COUNTER:
    case ENTRY_LARGE:
        return true;
    case ENTRY_COUNTER_REGISTER:
    case ENTRY_FLOAT_COUNTER:
        entry_take_apart(entry, &parts);
        return is_covered(seen, seen_count, parts.register_stamp);
    case ENTRY_CONTESTED:
        return contested_is_covered(entry_contested(entry), seen, seen_count);
    case ENTRY_PACKED:
        return packed_is_covered(store, entry_packed(entry), seen, seen_count);
    case ENTRY_COLLECTION:
        return collection_is_below(entry_collection(entry), seen, seen_count);
    }
    impossible("an entry has a kind");
}
