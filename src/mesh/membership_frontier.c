/* SPDX-License-Identifier: BSD-3-Clause */
/* The frontier: see membership.h for what makes a claim count (I1 to I3).
 *
 * Of each member at most three claims are kept: the newest, the newest that counts, and one between
 * them. Under steady writing the newest always says a little more than this node has received, so
 * it would never count; the one between waits until it does, and only then is followed by what is
 * newest by then. */
#include "mesh/membership.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/mutation.h"
#include "mesh/membership_state.h"

/* ---- claims come and go ---- */

static void put_claim(struct member_claim **place, struct member_claim *claim) {
    if (*place != claim) {
        member_claim_unref(*place);
        *place = member_claim_ref(claim);
    }
}

void member_drop_claims(struct member *member) {
    put_claim(&member->claim, NULL);
    put_claim(&member->pending, NULL);
    put_claim(&member->trusted, NULL);
    member_stamps_deinit(&member->seen);
    member_stamps_deinit(&member->dropped);
    member->is_context_known = false;
}

void membership_note_claim(struct membership *membership, struct member *member,
                           struct member_claim *claim) {
    require(member->claim == NULL || claim->version > member->claim->version);
    put_claim(&member->claim, claim);
    member_claim_unref(claim);
    member->is_context_known = true;
    claim->set_number = membership->set_number;
    member->claim_number = membership_change(membership);
    if (member->is_self) {
        return;
    }
    if (member->pending == NULL || membership_is_stale(membership, member->pending) ||
        member->pending->set_hash != membership->set_hash) {
        put_claim(&member->pending, claim);
    }
    /* Acknowledgements tell less by now. */
    unsigned kept = 0;
    for (unsigned i = 0; i < member->seen.count; i++) {
        uint64_t stamp = member->seen.items[i];
        if (stamp > member_stamps_get(&claim->stamps, stamp_slot(stamp))) {
            member->seen.items[kept++] = stamp;
        }
    }
    member->seen.count = kept;
}

void membership_set_changed(struct membership *membership, uint64_t hash_change) {
    membership->is_frontier_current = false;
    if (hash_change != 0) {
        membership->set_hash ^= hash_change;
        membership->set_number++;
    }
}

bool membership_is_stale(const struct membership *membership, const struct member_claim *claim) {
    /* One that came with the set that this node has had since is good. It stays stale even if its
     * set comes back: in between somebody may have come, written, and gone. */
    uint64_t sets = membership->set_number - claim->set_number;
    return sets > 1 || (sets == 1 && claim->set_hash != membership->set_hash);
}

static bool is_of_this_set(const struct membership *membership, const struct member_claim *claim) {
    return claim->set_hash == membership->set_hash && !membership_is_stale(membership, claim);
}

void membership_note_retired(struct membership *membership, const struct replicas *replicas,
                             const struct stream_mark *retired, const struct member *teller) {
    if (replicas_find(replicas, retired->ref) == 0) {
        return;
    }
    for (size_t i = 0; i < membership->retired_count; i++) {
        if (membership->retired[i].ref == retired->ref) {
            if (membership->retired[i].claim == NULL) {
                membership->retired[i].teller = teller->ref;
            }
            return;
        }
    }
    if (membership->retired_count < MEMBERSHIP_RETIRED_MAX) {
        membership->retired = memory_resize(
            membership->retired, (membership->retired_count + 1) * sizeof(membership->retired[0]));
        membership->retired[membership->retired_count++] = (struct membership_retired){
            .ref = retired->ref, .ticks = retired->ticks, .teller = teller->ref};
    }
}

void membership_drop_retired(struct membership *membership) {
    for (size_t i = 0; i < membership->retired_count; i++) {
        member_claim_unref(membership->retired[i].claim);
    }
    memory_free(membership->retired);
    membership->retired = NULL;
    membership->retired_count = 0;
}

/* ---- what members have seen ---- */

uint64_t member_seen(const struct member *member, unsigned slot) {
    uint64_t seen = member_stamps_get(&member->seen, slot);
    uint64_t claimed = member->claim == NULL ? 0 : member_stamps_get(&member->claim->stamps, slot);
    return claimed > seen ? claimed : seen;
}

void membership_note_seen(struct member *member, uint64_t stamp) {
    member->is_context_known = true;
    if (stamp > member_seen(member, stamp_slot(stamp))) {
        member_stamps_raise(&member->seen, stamp);
    }
}

uint64_t member_has_had(const struct member *member, unsigned slot) {
    uint64_t seen = member_seen(member, slot);
    uint64_t dropped = member_stamps_get(&member->dropped, slot);
    return dropped > seen ? dropped : seen;
}

void membership_note_context(struct member *member, const struct context *context) {
    for (unsigned i = 0; i < member->seen.count; i++) {
        uint64_t stamp = member->seen.items[i];
        if (stamp > context->stamps[stamp_slot(stamp)]) {
            member_stamps_raise(&member->dropped, stamp);
        }
    }
    member_stamps_deinit(&member->seen);
    member->is_context_known = true;
    for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
        if (context->stamps[slot] != 0) {
            membership_note_seen(member, context->stamps[slot]);
        }
    }
}

void member_seen_context(const struct member *member, struct context *context) {
    const struct member_stamps *all[] = {&member->seen,
                                         member->claim == NULL ? NULL : &member->claim->stamps};
    *context = (struct context){0};
    for (int i = 0; i < 2; i++) {
        for (unsigned j = 0; all[i] != NULL && j < all[i]->count; j++) {
            context_add(context, all[i]->items[j]);
        }
    }
}

void membership_seen_context(const struct membership *membership, const struct replicas *replicas,
                             const struct member *member, struct context *context) {
    member_seen_context(member, context);
    for (size_t i = 0; i < membership->retired_count && member->claim != NULL; i++) {
        const struct membership_retired *retired = &membership->retired[i];
        unsigned slot = replicas_find(replicas, retired->ref);
        if (slot != 0 && retired->ticks > 0 &&
            member_stamps_get(&member->claim->stamps, slot) == 0) {
            context_add(context, stamp_make(retired->ticks, slot));
        }
    }
}

/* ---- trust ---- */

/* What one look at all claims needs. */
struct judgement {
    const struct membership *membership;
    const struct replicas *replicas;
    const struct context *context;
    bool is_live[STAMP_SLOTS_COUNT]; /* by slot: a counted member lives as that replica */
};

static bool is_live_ref(const struct membership *membership, uint64_t ref) {
    const struct member *member = membership_find_ref(membership, ref);
    return member != NULL && member->is_counted;
}

static bool is_trusted(const struct judgement *judgement, const struct member *member,
                       struct member_claim *claim) {
    if (claim == NULL || !is_of_this_set(judgement->membership, claim)) {
        return false;
    }
    member_claim_look_up(claim, judgement->replicas);
    for (unsigned i = 0; i < claim->foreign_count; i++) {
        uint64_t ref = claim->foreign[i].ref;
        if (ref == member->ref || !is_live_ref(judgement->membership, ref)) {
            return false;
        }
    }
    for (unsigned i = 0; i < claim->stamps.count; i++) {
        uint64_t stamp = claim->stamps.items[i];
        unsigned slot = stamp_slot(stamp);
        if (stamp > judgement->context->stamps[slot] && !mutation(LOOSE_FRONTIER) &&
            (!judgement->is_live[slot] || judgement->replicas->slots[slot].ref == member->ref)) {
            return false;
        }
    }
    return true;
}

/* Sees which claim of the member counts by now. */
static void judge_claims(const struct judgement *judgement, struct member *member) {
    if (member->claim == NULL || member->claim == member->trusted) {
        return;
    }
    if (is_trusted(judgement, member, member->claim)) {
        put_claim(&member->trusted, member->claim);
        put_claim(&member->pending, NULL);
        return;
    }
    if (member->pending != member->claim && is_trusted(judgement, member, member->pending)) {
        put_claim(&member->trusted, member->pending);
        put_claim(&member->pending, member->claim);
    }
}

/* ---- the frontier ---- */

/* What all have seen, as far as it was looked at: stamps that are not 0, by rising slots. Most
 * replicas of a large mesh have not written, so this is short. */
struct least {
    uint64_t stamps[STAMP_SLOTS_COUNT];
    unsigned count;
};

static void least_init(struct least *least, const struct context *context, unsigned slots_count) {
    least->count = 0;
    for (unsigned slot = 1; slot < slots_count; slot++) {
        if (context->stamps[slot] != 0) {
            least->stamps[least->count++] = context->stamps[slot];
        }
    }
}

/* Lowers the stamps to those of the claim. */
static void lower(struct least *least, const struct member_stamps *claim) {
    unsigned kept = 0, place = 0;
    for (unsigned i = 0; i < least->count; i++) {
        uint64_t stamp = least->stamps[i];
        while (place < claim->count && stamp_slot(claim->items[place]) < stamp_slot(stamp)) {
            place++;
        }
        if (place < claim->count && stamp_slot(claim->items[place]) == stamp_slot(stamp)) {
            uint64_t claimed = claim->items[place];
            least->stamps[kept++] = claimed < stamp ? claimed : stamp;
        }
    }
    least->count = kept;
}

/* Has this node seen all that the claim speaks of, and that is not void? */
static bool is_covered(struct member_claim *claim, const struct replicas *replicas,
                       const struct context *context) {
    member_claim_look_up(claim, replicas);
    for (unsigned i = 0; i < claim->stamps.count; i++) {
        if (!context_covers(context, claim->stamps.items[i]) &&
            !replicas_is_void(replicas, claim->stamps.items[i])) {
            return false;
        }
    }
    return claim->foreign_count == 0;
}

/* The teller's claim, if it no longer mentions the replica that he has retired; else NULL. */
static struct member_claim *claim_without(const struct membership *membership,
                                          const struct membership_retired *retired,
                                          const struct replicas *replicas, unsigned slot) {
    const struct member *teller = membership_find_ref(membership, retired->teller);
    if (teller == NULL || teller->claim == NULL) {
        return NULL;
    }
    member_claim_look_up(teller->claim, replicas);
    return member_stamps_get(&teller->claim->stamps, slot) == 0 ? teller->claim : NULL;
}

/* Has this node seen all that the teller spoke of in a claim since it retired the replica, which
 * such a claim does not mention? The first one is kept, and covered soon; but what it speaks of may
 * be gone, with a life that ended before anybody else had it. Then a later one will do. */
static bool is_retirement_covered(const struct membership *membership,
                                  const struct membership_retired *retired,
                                  const struct replicas *replicas, const struct context *context,
                                  unsigned slot) {
    struct member_claim *newest = claim_without(membership, retired, replicas, slot);
    return (retired->claim != NULL && is_covered(retired->claim, replicas, context)) ||
           (newest != NULL && newest != retired->claim && is_covered(newest, replicas, context));
}

/* Raises the frontier by what others have settled and no longer mention. Their frontier may have
 * been ahead: they had seen changes, written without what they settled then, that are still to
 * come here. */
static void raise_retired(struct membership *membership, const struct replicas *replicas,
                          const struct context *context) {
    size_t kept = 0;
    for (size_t i = 0; i < membership->retired_count; i++) {
        struct membership_retired retired = membership->retired[i];
        unsigned slot = replicas_find(replicas, retired.ref);
        if (slot == 0) {
            member_claim_unref(retired.claim);
            continue;
        }
        uint64_t stamp = stamp_make(retired.ticks, slot);
        struct member_claim *newest = claim_without(membership, &retired, replicas, slot);
        if (retired.claim == NULL && newest != NULL) {
            retired.claim = member_claim_ref(newest);
        }
        if (is_retirement_covered(membership, &retired, replicas, context, slot) &&
            stamp <= context->stamps[slot]) {
            context_add(&membership->frontier, stamp);
        }
        membership->retired[kept++] = retired;
    }
    membership->retired_count = kept;
    /* What is noted as retired here was settled here, or in a state that was taken over, before its
     * slot was there again: since a log was replayed, or a peer named it. Whoever told of it first
     * may live no more, and be asked in vain. */
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        const struct replica *replica = &replicas->slots[slot];
        uint64_t stamp = stamp_make(replica->retired_ticks, slot);
        if (replica->ref != 0 && replica->is_retired && replica->retired_ticks > 0 &&
            stamp <= context->stamps[slot]) {
            context_add(&membership->frontier, stamp);
        }
    }
}

void membership_frontier(struct membership *membership, const struct replicas *replicas,
                         const struct context *context, struct context *frontier) {
    struct judgement judgement = {
        .membership = membership, .replicas = replicas, .context = context};
    membership_recall_all(membership, replicas);
    unsigned slots_count = replicas->slots_count;
    for (unsigned slot = 1; slot < slots_count; slot++) {
        uint64_t ref = replicas->slots[slot].ref;
        judgement.is_live[slot] = ref != 0 && is_live_ref(membership, ref);
    }
    struct least least;
    least_init(&least, context, slots_count);
    bool is_current = true;
    for (size_t i = 1; i < membership->members_count; i++) {
        struct member *member = membership->members[i];
        if (!member->is_counted) {
            continue;
        }
        judge_claims(&judgement, member);
        struct member_claim *trusted = member->trusted;
        if (trusted == NULL || !is_of_this_set(membership, trusted)) {
            is_current = false;
        } else if (is_current) {
            /* Refs of others may have got a slot since. */
            member_claim_look_up(trusted, replicas);
            lower(&least, &trusted->stamps);
        }
    }
    for (unsigned i = 0; i < least.count && is_current; i++) {
        context_add(&membership->frontier, least.stamps[i]);
    }
    raise_retired(membership, replicas, context);
    membership->is_frontier_current = is_current;
    *frontier = membership->frontier;
}

void membership_limit_frontier(struct membership *membership, const struct context *context) {
    context_meet(&membership->frontier, context);
}

/* Is it a life that its node has begun since it was last heard of here? */
static bool is_yet_to_come(const struct membership *membership, const struct replica_id *id) {
    const struct member *member = membership_find(membership, id->node);
    return member == NULL || id->generation > member->generation;
}

/* Has another member retired the replica? NULL: none has. */
static const struct membership_retired *find_retired(const struct membership *membership,
                                                     uint64_t ref) {
    for (size_t i = 0; i < membership->retired_count; i++) {
        if (membership->retired[i].ref == ref) {
            return &membership->retired[i];
        }
    }
    return NULL;
}

bool membership_is_retired_elsewhere(const struct membership *membership, uint64_t ref) {
    return find_retired(membership, ref) != NULL;
}

bool membership_retirable(const struct membership *membership, const struct replicas *replicas,
                          const struct context *context, unsigned slot) {
    require(slot < replicas->slots_count);
    uint64_t ref = replicas->slots[slot].ref, settled = membership->frontier.stamps[slot];
    if (ref == 0 || slot == replicas->self || is_live_ref(membership, ref) ||
        is_yet_to_come(membership, &replicas->slots[slot].id) || context->stamps[slot] > settled) {
        return false;
    }
    const struct membership_retired *retired = find_retired(membership, ref);
    if (retired != NULL && retired->ticks <= stamp_ticks(settled)) {
        /* Not before what they had settled then: somebody who joined may have taken off some of it.
         */
        return is_retirement_covered(membership, retired, replicas, context, slot);
    }
    for (size_t i = 1; i < membership->members_count; i++) {
        const struct member *member = membership->members[i];
        /* Nor by one that had it and has lost it again: no log could tell it any more. */
        if (member->is_counted && (member_seen(member, slot) > settled ||
                                   member_seen(member, slot) < context->stamps[slot])) {
            return false;
        }
    }
    return membership->is_frontier_current;
}

void membership_slot_retired(struct membership *membership, unsigned slot) {
    membership->frontier.stamps[slot] = 0;
    /* Others shall see that this node speaks of it no more. */
    membership->is_renewal_wanted = true;
    for (size_t i = 0; i < membership->members_count; i++) {
        struct member *member = membership->members[i];
        struct member_claim *claims[] = {member->claim, member->pending, member->trusted};
        for (int j = 0; j < 3; j++) {
            if (claims[j] != NULL) {
                member_stamps_remove(&claims[j]->stamps, slot);
            }
        }
        member_stamps_remove(&member->seen, slot);
        member_stamps_remove(&member->dropped, slot);
        if (member->owed != NULL) {
            member->owed->stamps[slot] = 0;
        }
    }
    for (size_t i = 0; i < membership->retired_count; i++) {
        if (membership->retired[i].claim != NULL) {
            member_stamps_remove(&membership->retired[i].claim->stamps, slot);
        }
    }
}
