/* SPDX-License-Identifier: BSD-3-Clause */
/* When a node that was forgotten may compare what it has with the state of a peer. */
#include "mesh/catchup_internal.h"

#include <string.h>

#include "mesh/catchup_void.h"

/* Will the member, if it is linked, drop what it knows of this node's lives? */
static bool is_rebasing(const struct mesh *mesh, const struct member *member) {
    const struct mesh_link *link = mesh_find_link(mesh, member);
    return link != NULL && link_is_up(link) && link->peer_is_rebasing;
}

bool catchup_knows_own_lives(const struct mesh *mesh, const struct mesh_link *link) {
    const struct membership *membership = &mesh->membership;
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    unsigned count = replicas->slots_count;
    struct context context, own;
    catchup_own_context(mesh, &own);
    catchup_seen_context(link, &context);
    for (unsigned slot = 1; slot < count; slot++) {
        if (!mesh_is_own_slot(mesh, slot)) {
            continue;
        }
        uint64_t seen = context.stamps[slot];
        if (replicas->slots[slot].id.generation < link->owes_from &&
            link->stream.state != STREAM_LOST && own.stamps[slot] > seen) {
            return false;
        }
        for (size_t i = 0; i < membership->members_count; i++) {
            const struct member *member = membership->members[i];
            bool lives = !member->is_self && member->state <= MEMBER_SUSPECT;
            if (lives && member_seen(member, slot) > seen && !is_rebasing(mesh, member)) {
                return false;
            }
        }
    }
    return true;
}

/* Has the link's peer what this node had seen when it wrote last what the peer lacks, as far as
 * living nodes bring that? What was deleted here would come to the peer afterwards, and nothing of
 * the delete is left by then: it was here as little as there. */
static bool has_causes(const struct mesh *mesh, const struct mesh_link *link) {
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    struct context seen, own;
    catchup_own_context(mesh, &own);
    catchup_seen_context(link, &seen);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        const struct replica *life = &replicas->slots[slot];
        if (!mesh_is_own_slot(mesh, slot) || own.stamps[slot] <= seen.stamps[slot]) {
            continue;
        }
        for (unsigned other = 1; other < life->mark_count; other++) {
            uint64_t mark = life->mark[other];
            if (mark > seen.stamps[other] && !mesh_is_own_slot(mesh, other) &&
                replicas->slots[other].ref != 0 && mesh_has_author(mesh, mark)) {
                return false;
            }
        }
    }
    return true;
}

/* Is anything of what the link's peer lacks to be had from its author alone, who was heard a moment
 * ago and is not now? If that comes back it delivers it; if not, it is to be made again here. */
static bool awaits_authors(const struct mesh *mesh, const struct mesh_link *link) {
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    struct context seen, own;
    catchup_own_context(mesh, &own);
    catchup_seen_context(link, &seen);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (own.stamps[slot] > seen.stamps[slot] && mesh_awaits_author(mesh, own.stamps[slot])) {
            return true;
        }
    }
    return false;
}

bool catchup_owes_comparing(const struct mesh *mesh) {
    return replicas_find_departed(mesh->data.replicas(mesh->data.udata), mesh->opts.node_id) !=
           NULL;
}

void catchup_owe_comparing(struct mesh *mesh, bool owes) {
    struct departed_life life = {.id.generation = mesh->opts.generation, .is_forgotten = true};
    memcpy(life.id.node, mesh->opts.node_id, REPLICA_NODE_ID_BYTES);
    struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    if (owes && !catchup_owes_comparing(mesh)) {
        replicas_note_departed(replicas, &life);
    } else if (!owes) {
        replicas_drop_departed(replicas, &life.id);
    }
}

uint64_t catchup_tell_rank(struct mesh_link *link) {
    const struct mesh *mesh = link->mesh;
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    struct context own;
    uint64_t rank = 0;
    link->catchup.told_rank = 0;
    if (!catchup_is_rebasing(&mesh->catchup) && !mesh->catchup.is_comparing) {
        return 0; /* nobody asks */
    }
    catchup_own_context(mesh, &own);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        rank += stamp_ticks(own.stamps[slot]);
    }
    for (size_t i = 0; i < replicas->retired_count; i++) {
        const struct retired_replica *retired = &replicas->retired[i];
        unsigned slot = replicas_find(replicas, retired->ref);
        rank += slot == 0 || own.stamps[slot] == 0 ? retired->ticks : 0;
    }
    link->catchup.told_rank = rank;
    return rank;
}

bool catchup_compares_first(const struct mesh_link *link) {
    const struct mesh *mesh = link->mesh;
    const struct link_catchup *peer = &link->catchup;
    if (mesh->catchup.is_comparing != peer->compares) {
        return peer->compares;
    }
    return peer->rank != peer->told_rank
               ? peer->rank > peer->told_rank
               : memcmp(link->peer.node, mesh->opts.node_id, REPLICA_NODE_ID_BYTES) < 0;
}

/* Is there a peer that was forgotten, too, and compares first? What two of them make again of one
 * value at the same time is not the sum of what each of them knows of it: so one after the other,
 * and the second one with what the first has made again. */
static bool awaits_first(const struct mesh *mesh, const struct mesh_link *link) {
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    struct context seen;
    catchup_seen_context(link, &seen);
    for (const struct mesh_link *first = mesh->links; first != NULL; first = first->next) {
        if (first == link || !link_is_up(first) || first->member == NULL) {
            continue;
        }
        unsigned slot = replicas_find(replicas, first->member->ref);
        bool is_made = first->catchup.has_rebased && slot != 0 &&
                       member_seen(first->member, slot) > seen.stamps[slot];
        if (is_made || (first->catchup.rebases && catchup_compares_first(first))) {
            return true;
        }
    }
    return false;
}

bool catchup_may_compare(const struct mesh *mesh, const struct mesh_link *link) {
    uint64_t waited_ms = (mesh->monotonic_us - mesh->catchup.started_us) / 1000;
    return waited_ms >= CATCHUP_REBASE_MS && !awaits_authors(mesh, link) &&
           (waited_ms >= CATCHUP_REBASE_MAX_MS + CATCHUP_FIRST_MS || !awaits_first(mesh, link)) &&
           (waited_ms >= CATCHUP_REBASE_MAX_MS ||
            (catchup_knows_own_lives(mesh, link) && has_causes(mesh, link)));
}

bool catchup_is_put_back(const struct mesh *mesh) {
    bool is_any_lost = false;
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (!link_is_up(link) || link->peer_is_joining) {
            continue;
        }
        if (link->owes_from == 0 || catchup_has_unsent(link, link->owes_from)) {
            return false;
        }
        is_any_lost |= link->stream.state == STREAM_LOST;
    }
    return is_any_lost;
}
