/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh/catchup_void.h"

static const struct replicas *get_replicas(const struct mesh *mesh) {
    return mesh->data.replicas(mesh->data.udata);
}

/* Has the peer seen nothing that is void here? What it has seen of that which only it finds void
 * does not matter: it says so itself. */
static bool is_without_void(const struct mesh_link *link) {
    const struct replicas *replicas = get_replicas(link->mesh);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (replicas->slots[slot].is_ended &&
            replicas_is_void(replicas, member_seen(link->member, slot))) {
            return false;
        }
    }
    return true;
}

struct mesh_link *catchup_find_without_void(const struct mesh *mesh) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link) && link->member != NULL && !link->peer_is_joining &&
            is_without_void(link)) {
            return link;
        }
    }
    return NULL;
}

void catchup_own_context(const struct mesh *mesh, struct context *own) {
    *own = *mesh->data.context(mesh->data.udata);
    (void)replicas_clip_void(get_replicas(mesh), own);
}
