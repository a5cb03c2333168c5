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
#include "base/prng.h"
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
}

void membership_note_claim(struct membership *membership, struct member *member,
                           struct member_claim *claim) {
    require(member->claim == NULL || claim->version > member->claim->version);
    put_claim(&member->claim, claim);
    member_claim_unref(claim);
    member->claim_number = membership_change(membership);
    if (member->is_self) {
        return;
    }
    if (member->pending == NULL || member->pending->is_stale ||
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

void membership_set_changed(struct membership *membership) {
    uint64_t hash = 0;
    for (size_t i = 0; i < membership->members_count; i++) {
        const struct member *member = membership->members[i];
        if (member->is_counted) {
            uint64_t state = member->ref;
            hash ^= prng_splitmix(&state);
        }
    }
    membership->set_hash = hash;
    membership->is_frontier_current = false;
    /* A claim of another set stays stale even if this set comes back: in between somebody may have
     * come, written, and gone. */
    for (size_t i = 1; i < membership->members_count; i++) {
        struct member *member = membership->members[i];
        struct member_claim *claims[] = {member->claim, member->pending, member->trusted};
        for (int j = 0; j < 3; j++) {
            if (claims[j] != NULL && claims[j]->set_hash != hash) {
                claims[j]->is_stale = true;
            }
        }
    }
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

void membership_note_context(struct member *member, const struct context *context) {
    for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
        uint64_t stamp = context->stamps[slot];
        if (stamp != 0 && stamp > member_seen(member, slot)) {
            member_stamps_raise(&member->seen, stamp);
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
    if (claim == NULL || claim->is_stale || claim->set_hash != judgement->membership->set_hash) {
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
        member->was_forgotten = false;
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

/* Lowers the stamps of `least` to those of the claim. */
static void lower(struct context *least, unsigned slots_count, const struct member_stamps *claim) {
    unsigned place = 0;
    for (unsigned slot = 1; slot < slots_count; slot++) {
        uint64_t stamp = 0;
        if (place < claim->count && stamp_slot(claim->items[place]) == slot) {
            stamp = claim->items[place++];
        }
        if (stamp < least->stamps[slot]) {
            least->stamps[slot] = stamp;
        }
    }
}

/* Has this node seen all that the claim speaks of? */
static bool is_covered(struct member_claim *claim, const struct replicas *replicas,
                       const struct context *context) {
    member_claim_look_up(claim, replicas);
    for (unsigned i = 0; i < claim->stamps.count; i++) {
        if (!context_covers(context, claim->stamps.items[i])) {
            return false;
        }
    }
    return claim->foreign_count == 0;
}

/* Looks for a claim that the teller has made since it retired the replica: that one does not
 * mention it. */
static void find_claim(const struct membership *membership, struct membership_retired *retired,
                       const struct replicas *replicas, unsigned slot) {
    const struct member *teller = membership_find_ref(membership, retired->teller);
    if (retired->claim != NULL || teller == NULL || teller->claim == NULL) {
        return;
    }
    member_claim_look_up(teller->claim, replicas);
    if (member_stamps_get(&teller->claim->stamps, slot) == 0) {
        retired->claim = member_claim_ref(teller->claim);
    }
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
        find_claim(membership, &retired, replicas, slot);
        uint64_t stamp = stamp_make(retired.ticks, slot);
        if (stamp <= context->stamps[slot] && retired.claim != NULL &&
            is_covered(retired.claim, replicas, context)) {
            context_add(&membership->frontier, stamp);
        }
        membership->retired[kept++] = retired;
    }
    membership->retired_count = kept;
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
    struct context least = *context;
    bool is_current = true;
    for (size_t i = 1; i < membership->members_count; i++) {
        struct member *member = membership->members[i];
        if (!member->is_counted) {
            continue;
        }
        judge_claims(&judgement, member);
        struct member_claim *trusted = member->trusted;
        if (trusted == NULL || trusted->is_stale || trusted->set_hash != membership->set_hash) {
            is_current = false;
        } else if (is_current) {
            /* Refs of others may have got a slot since. */
            member_claim_look_up(trusted, replicas);
            lower(&least, slots_count, &trusted->stamps);
        }
    }
    for (unsigned slot = 1; slot < slots_count && is_current; slot++) {
        if (least.stamps[slot] > membership->frontier.stamps[slot]) {
            membership->frontier.stamps[slot] = least.stamps[slot];
        }
    }
    raise_retired(membership, replicas, context);
    membership->is_frontier_current = is_current;
    *frontier = membership->frontier;
}

/* Is it a life that its node has begun since it was last heard of here? */
static bool is_yet_to_come(const struct membership *membership, const struct replica_id *id) {
    const struct member *member = membership_find(membership, id->node);
    return member == NULL || id->generation > member->generation;
}

bool membership_retirable(const struct membership *membership, const struct replicas *replicas,
                          const struct context *context, unsigned slot) {
    require(slot < replicas->slots_count);
    uint64_t ref = replicas->slots[slot].ref, settled = membership->frontier.stamps[slot];
    if (ref == 0 || slot == replicas->self || is_live_ref(membership, ref) ||
        is_yet_to_come(membership, &replicas->slots[slot].id) || context->stamps[slot] > settled) {
        return false;
    }
    for (size_t i = 0; i < membership->retired_count; i++) {
        if (membership->retired[i].ref == ref &&
            membership->retired[i].ticks <= stamp_ticks(settled)) {
            return true;
        }
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
    }
    for (size_t i = 0; i < membership->retired_count; i++) {
        if (membership->retired[i].claim != NULL) {
            member_stamps_remove(&membership->retired[i].claim->stamps, slot);
        }
    }
}
