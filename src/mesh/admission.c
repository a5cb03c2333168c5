/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh/admission.h"

#include <string.h>

#include "base/memory.h"
#include "mesh/catchup_internal.h"

/* What this node has. Who joins is going to have what its peers have, too, and may not let in by
 * then who lacks what they have settled: but for what that one's own lives wrote. */
static void own_and_coming(struct mesh *mesh, const struct member *member, struct context *all) {
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    const struct context *own = mesh->data.context(mesh->data.udata);
    *all = *own;
    if (!mesh_is_joining(mesh)) {
        return;
    }
    catchup_seen_by_links(mesh, true, all);
    context_join(all, own);
    if (mesh->catchup.goal != NULL) {
        context_join(all, mesh->catchup.goal); /* of peers that it has no link with by now, too */
    }
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (memcmp(replicas->slots[slot].id.node, member->node_id, REPLICA_NODE_ID_BYTES) == 0) {
            all->stamps[slot] = own->stamps[slot];
        }
    }
}

void admission_note_life(struct mesh *mesh, struct member *member, bool is_new) {
    struct context own;
    own_and_coming(mesh, member, &own);
    if (member->owes_all) {
        member->owes_all = false;
        member->owes_from = 0;
        membership_owe(member, &own);
    } else if (is_new && member->owed == NULL) {
        member->owes_from = 0;
        membership_owe(member, &mesh->floor);
    }
    /* Nobody who counts this node has settled what it has not seen: changes of the member's own
     * earlier lives, most of all, that it may have made anew. */
    if (member->owed != NULL) {
        context_meet(member->owed, &own);
    }
}

void admission_judge(struct mesh_link *link, const struct context *context, unsigned unknown,
                     bool is_admitted) {
    struct mesh *mesh = link->mesh;
    struct member *member = link->member;
    link->peer_is_behind = false;
    link->peer_owes_from = 0;
    if (member->owed == NULL) {
        return;
    }
    if (context_covers_all(context, member->owed) ||
        (is_admitted && context_covers_all(context, &mesh->floor))) {
        membership_admit_life(member);
        return;
    }
    const struct context *own = mesh->data.context(mesh->data.udata);
    bool has_more = unknown > 0 || !context_covers_all(own, context);
    link->peer_owes_from = has_more && !link->peer_was_forgotten ? member->owes_from : 0;
    link->peer_was_forgotten |= has_more;
    link->peer_is_behind = !has_more;
}

bool admission_refuses(struct mesh_link *link, unsigned slot) {
    struct mesh *mesh = link->mesh;
    struct member *member = link->member;
    if (member->owed == NULL) {
        return false;
    }
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    const struct replica_id *author = &replicas->slots[slot].id;
    if (author->generation < member->owes_from ||
        memcmp(author->node, link->peer.node, REPLICA_NODE_ID_BYTES) != 0) {
        return false;
    }
    struct context seen;
    membership_seen_context(&mesh->membership, replicas, member, &seen);
    if (!context_covers_all(&seen, member->owed)) {
        return true;
    }
    membership_admit_life(member);
    return false;
}
