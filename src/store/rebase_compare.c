/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/rebase_compare_internal.h"

#include <math.h>

#include "store/merge.h"
#include "store/strings.h"

#define FLOAT_NOISE 1e-15L

/* ---- what is shown ---- */

void rebase_view_init(struct rebase_view *view, const struct store *store,
                      const struct entry *entry) {
    *view = (struct rebase_view){0};
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

bool rebase_has_register(const struct contested *contested, uint64_t ticks) {
    for (unsigned i = 0; i < contested->registers_count; i++) {
        if (stamp_ticks(contested->registers[i].stamp) == ticks) {
            return true;
        }
    }
    return false;
}

bool rebase_add_copy(const struct state_merge *merge, struct contested *contested,
                     const struct contested_register *reg) {
    if (reg->form == CONTESTED_NUMBER) {
        contested_add_number(merge->store, contested, reg->stamp, reg->number);
        return true;
    }
    struct entry_scratch scratch;
    return contested_add_register(merge->store, contested, reg->stamp,
                                  contested_register_bytes(reg, &scratch));
}

uint64_t rebase_register_ticks(const struct entry *entry) {
    struct entry_parts parts;
    switch (entry_kind(entry)) {
    case ENTRY_COUNTER:
    case ENTRY_COUNTER_REGISTER:
    case ENTRY_FLOAT_COUNTER:
        entry_take_apart(entry, &parts);
        return stamp_ticks(parts.register_stamp);
    case ENTRY_CONTESTED: {
        const struct contested_register *top = contested_top(entry_contested(entry));
        return top != NULL ? stamp_ticks(top->stamp) : 0;
    }
    default:
        return stamp_ticks(entry->stamp);
    }
}

static bool is_dropped(const struct sync *sync, const struct state_merge *merge, uint64_t stamp) {
    return !state_merge_covers_there(merge, stamp) && !rebase_is_ours(sync, stamp);
}

enum dropped { DROPPED_NOTHING, DROPPED_PARTS, DROPPED_OTHERS };

/* Takes out what others will deliver or make again; `seen` is without the replicas of parts. What
 * had been taken off of these is appended to `offs`. */
static enum dropped drop_others(const struct sync *sync, const struct state_merge *merge,
                                struct contested *contested, struct context *seen,
                                struct buffer *offs) {
    unsigned before =
        contested->registers_count + contested->edits_count + contested->expiries_count;
    bool is_any_part = false;
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
            seen->stamps[stamp_slot(contested->parts[i].stamp)] = 0;
            rebase_note_off(&contested->parts[i], offs);
            contested_drop_part(contested, i);
            is_any_part = true;
        }
    }
    return contested->registers_count + contested->edits_count + contested->expiries_count < before
               ? DROPPED_OTHERS
           : is_any_part ? DROPPED_PARTS
                         : DROPPED_NOTHING;
}

/* Takes out what is settled there, too: into one register the mesh has perhaps folded more, some of
 * a part that was taken out here. */
static void drop_settled(struct contested *contested, const struct contested *there) {
    for (unsigned i = contested->registers_count; i-- > 0;) {
        uint64_t stamp = contested->registers[i].stamp;
        if (there != NULL && stamp_slot(stamp) == STAMP_SLOT_SETTLED &&
            rebase_has_register(there, stamp_ticks(stamp))) {
            contested_drop_register(contested, i);
        }
    }
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
    bool is_unclear;         /* a part's share could not be told */
    bool is_same_register;   /* both sides' numbers stand on one register */
    uint64_t their_register; /* 0: none */
    bool can_patch;          /* the mesh lacks `patches`, and nothing else that is known */
    bool is_patched;         /* and both sides' bytes are the same without them */
    struct rebase_taken taken;
    struct buffer patches; /* what of edits the mesh lacks */
    struct buffer edits;   /* that, and what others are to make again */
};

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
    rebase_note_parts(wanted, is_here);
    bool has_patches = rebase_note_edits(merge, wanted, &difference.edits);
    difference.is_memory_out |= !rebase_take_number(merge, wanted, theirs, &is_left_out) ||
                                !rebase_take_folded(sync, merge, wanted, theirs) ||
                                !rebase_take_edited(merge, wanted, theirs);
    state_merge_retire(merge, wanted, staged, theirs);
    struct state_merge rest = *merge;
    struct context seen = *merge->seen_here;
    struct buffer offs = {0};
    enum dropped dropped = drop_others(sync, merge, wanted, &seen, &offs);
    if (dropped != DROPPED_NOTHING) {
        /* What those superseded is theirs to take away: not seen here as long as they are not. A
         * part has superseded nothing, but the mesh may have the beginning of it. */
        rest.seen_here = dropped == DROPPED_PARTS ? &seen : &nothing;
        rest.settled_ticks_here = 0;
        drop_settled(wanted, theirs);
    }
    difference.is_memory_out |=
        !rebase_drop_unclear(sync, merge, place, wanted, theirs, &difference.is_unclear);
    difference.is_unclear |= is_left_out;
    difference.can_patch = place->can_patch && has_patches && theirs != NULL &&
                           theirs->parts_count == 0 &&
                           rebase_note_patches(merge, wanted, &difference.patches);
    difference.is_memory_out |=
        !state_merge_elements(&rest, wanted, theirs) || !rebase_join_hyperloglogs(aside, wanted);
    rebase_take_off_removed(sync, merge, place, wanted, is_here);
    rebase_take_off_again(wanted, buffer_slice(&offs));
    buffer_deinit(&offs);
    difference.is_same_register = wanted->edits_count == 0 &&
                                  (theirs == NULL || theirs->edits_count == 0) &&
                                  shown_register(wanted) == shown_register(theirs);
    difference.their_register = shown_register(theirs);
    if (theirs != NULL) {
        rebase_note_taken(sync, merge, wanted, theirs, &difference.taken);
    }
    difference.is_patched =
        difference.can_patch && shown_register(wanted) == shown_register(theirs);
    contested_close(aside, key, stamp);
    if (theirs != NULL) {
        contested_close(staged, key, their_stamp);
    }
    return difference;
}

/* ---- judging ---- */

void rebase_drop(struct store *store, const struct key *key) {
    uint64_t *slot = mutate_slot(store, key);
    if (slot != NULL) {
        mutate_remove(store, key, slot);
    }
}

static bool is_sub_exact(int64_t a, int64_t b, int64_t *difference) {
    return !__builtin_sub_overflow(a, b, difference);
}

/* The difference of numbers that stand on one register is what is to be added, but for what is
 * taken off. */
static bool judge_increment(const struct rebase_view *wanted, const struct rebase_view *theirs,
                            const struct rebase_taken *taken, struct rebase_verdict *verdict) {
    if (wanted->is_integer && (theirs->is_integer || !theirs->is_there) && !taken->is_float &&
        is_sub_exact(wanted->integer, theirs->integer, &verdict->delta) &&
        !__builtin_add_overflow(verdict->delta, taken->total, &verdict->delta)) {
        verdict->kind = REBASE_INCREMENT;
        return true;
    }
    if (wanted->is_number && (theirs->is_number || !theirs->is_there)) {
        long double number = theirs->is_there ? theirs->number : 0;
        long double rest = wanted->number - number + taken->float_total;
        /* What is shown has seventeen digits: what lies below is nobody's increment. */
        long double noise = (fabsl(wanted->number) + fabsl(number)) * FLOAT_NOISE;
        verdict->kind = REBASE_FLOAT_INCREMENT;
        verdict->float_delta = taken->takes.size > 0 && fabsl(rest) <= noise ? 0 : rest;
        return true;
    }
    return false;
}

static void judge(const struct rebase_view *wanted, const struct rebase_view *theirs,
                  const struct difference *difference, struct rebase_verdict *verdict) {
    bool is_expiry_same = wanted->expire_unix_ms == theirs->expire_unix_ms;
    *verdict = (struct rebase_verdict){.was_there = theirs->is_there,
                                       .expire_unix_ms = wanted->expire_unix_ms};
    bool takes = difference->taken.takes.size > 0;
    if (!wanted->is_there && theirs->is_there && takes && difference->taken.is_all) {
        verdict->kind = REBASE_INCREMENT; /* by nothing: what others add meanwhile stays */
    } else if (!wanted->is_there) {
        verdict->kind = theirs->is_there ? REBASE_DELETE : REBASE_NOTHING;
    } else if (theirs->is_there && slice_equal(wanted->bytes, theirs->bytes) && !takes) {
        verdict->kind = is_expiry_same ? REBASE_NOTHING : REBASE_EXPIRE;
    } else if (difference->is_same_register &&
               judge_increment(wanted, theirs, &difference->taken, verdict)) {
        verdict->sets_expiry = !is_expiry_same;
    } else if (difference->is_patched && theirs->is_there) {
        verdict->kind = REBASE_PATCH;
        verdict->sets_expiry = !is_expiry_same;
    } else {
        verdict->kind = REBASE_SET;
    }
}

/* What is to be done in place of a SET or DELETE where others have added something since. */
static void judge_otherwise(const struct rebase_view *wanted, const struct rebase_view *theirs,
                            const struct difference *difference, struct rebase_verdict *verdict) {
    static const struct rebase_view zero = {.is_integer = true, .is_number = true};
    enum rebase_kind kind = verdict->kind;
    if (difference->taken.takes.size > 0 &&
        judge_increment(wanted->is_there ? wanted : &zero, theirs, &difference->taken, verdict)) {
        verdict->otherwise = verdict->kind;
        verdict->register_ticks = stamp_ticks(difference->their_register);
    }
    verdict->kind = kind;
}

/* The difference of the values as they are is what the mesh lacks. */
static void judge_plain(const struct rebase_view *ours, const struct rebase_view *theirs,
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

bool rebase_compare(struct sync *sync, const struct state_merge *merge,
                    const struct rebase_place *place, struct rebase_verdict *verdict) {
    const struct entry *their_entry = rebase_entry_at(place->theirs, place->key);
    struct rebase_view ours, wanted, theirs;
    bool was_seen = was_all_seen(sync, merge, their_entry), is_judged_plain = false;
    struct difference difference = merge_aside(sync, merge, place);
    if (difference.is_memory_out) {
        buffer_deinit(&difference.patches);
        buffer_deinit(&difference.edits);
        buffer_deinit(&difference.taken.takes);
        return false;
    }
    rebase_view_init(&ours, sync->store,
                     rebase_entry_at(place->ours, place->key)); /* it may have moved */
    rebase_view_init(&wanted, sync->store, rebase_entry_at(place->aside, place->key));
    rebase_view_init(&theirs, sync->store, rebase_entry_at(place->theirs, place->key));
    /* What is a register on the one side may be an edit on the other: then the bytes tell. The
     * whole value, written again, would supersede what others patched in other places. */
    if (difference.can_patch && !difference.is_patched && theirs.is_there && wanted.is_there) {
        difference.is_patched =
            rebase_differ_by_edits(wanted.bytes, theirs.bytes, buffer_slice(&difference.edits));
    }
    buffer_deinit(&difference.edits);
    if (rebase_judge_edits(sync, place, &ours, &wanted, &theirs, verdict)) {
        sync->stats.keys_merged++;
        buffer_deinit(&difference.patches);
        difference.patches = verdict->patches;
    } else if (difference.is_unclear && was_seen && ours.is_integer && theirs.is_integer) {
        is_judged_plain = true;
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
    if (verdict->kind == REBASE_SET || verdict->kind == REBASE_DELETE) {
        judge_otherwise(&wanted, &theirs, &difference, verdict);
    }
    bool is_plain = verdict->kind != REBASE_INCREMENT && verdict->kind != REBASE_FLOAT_INCREMENT &&
                    verdict->otherwise == REBASE_NOTHING;
    if (is_plain || is_judged_plain) {
        buffer_deinit(&difference.taken.takes);
    } else {
        verdict->takes = difference.taken.takes;
    }
    if (verdict->kind != REBASE_SET) {
        rebase_drop(place->aside, place->key);
    }
    return true;
}

void rebase_judge_kept(struct sync *sync, const struct rebase_place *place,
                       struct rebase_verdict *verdict) {
    static const struct difference all;
    struct rebase_view wanted, theirs;
    rebase_view_init(&wanted, sync->store, rebase_entry_at(place->aside, place->key));
    rebase_view_init(&theirs, sync->store, NULL);
    judge(&wanted, &theirs, &all, verdict);
    if (verdict->kind != REBASE_SET) {
        rebase_drop(place->aside, place->key);
    }
}
