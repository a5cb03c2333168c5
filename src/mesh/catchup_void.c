/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh/catchup_void.h"

enum { ENDS_TOLD_US = 1000000 };

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

bool catchup_peer_has_void(const struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    const struct replicas *replicas = get_replicas(mesh);
    return replicas->ended_count > 0 && link_is_up(link) && link->member != NULL &&
           !is_without_void(link) &&
           !replicas_has_void(replicas, mesh->data.context(mesh->data.udata));
}

static void send_ends(struct mesh_link *link) {
    const struct replicas *replicas = get_replicas(link->mesh);
    struct buffer payload = {0};
    replicas_put_ends(&payload, replicas);
    link_send(link, MESH_FRAME_ENDS, buffer_slice(&payload));
    buffer_deinit(&payload);
}

void catchup_tell_ends(struct mesh *mesh) {
    if (get_replicas(mesh)->ended_count == 0 || mesh->catchup.state == CATCHUP_ADVANCING) {
        return; /* what it ends itself is not told before it is ready: it may begin anew without */
    }
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        uint64_t *told_us = &link->catchup.ends_told_us;
        if (link_is_up(link) && link->member != NULL && !is_without_void(link) &&
            (*told_us == 0 || mesh->monotonic_us - *told_us >= ENDS_TOLD_US)) {
            *told_us = mesh->monotonic_us;
            send_ends(link);
        }
    }
}

bool catchup_ends_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    if (!replicas_take_ends(&payload, true, mesh->data.replicas(mesh->data.udata))) {
        return false;
    }
    return payload.size == 0;
}

void catchup_own_context(const struct mesh *mesh, struct context *own) {
    *own = *mesh->data.context(mesh->data.udata);
    (void)replicas_clip_void(get_replicas(mesh), own);
}
