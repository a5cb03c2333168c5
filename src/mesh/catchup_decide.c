/* SPDX-License-Identifier: BSD-3-Clause */
/* Who joins when a log does not serve a peer, and in which way. */
#include "mesh/catchup_internal.h"

#include <string.h>

#include "base/memory.h"
#include "mesh/catchup_serve.h"
#include "mesh/catchup_void.h"

void catchup_seen_context(const struct mesh_link *link, struct context *seen) {
    struct mesh *mesh = link->mesh;
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    membership_seen_context(&mesh->membership, replicas, link->member, seen);
    (void)replicas_clip_void(replicas, seen);
}

/* Is there a peer whose state can be taken as it is, and would do: has it seen all that is here,
 * but for what this node's log has, and all that is needed? */
static bool has_source(struct mesh *mesh, const struct context *needed) {
    struct context own;
    catchup_own_context(mesh, &own);
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        struct context seen;
        if (!link_is_up(link) || link->peer_is_joining || catchup_peer_has_void(link)) {
            continue;
        }
        catchup_seen_context(link, &seen);
        if (!context_covers_all(&seen, needed)) {
            continue;
        }
        if (context_covers_all(&seen, &own)) {
            return true;
        }
        replicas_pass_void(mesh->data.replicas(mesh->data.udata),
                           mesh->data.context(mesh->data.udata), &seen);
        if (mesh->data.reaches_back(mesh->data.udata, &seen, NULL)) {
            return true;
        }
    }
    return false;
}

/* Does somebody take over the state of this node? */
static bool is_source(const struct mesh *mesh) {
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link) && link->catchup.pulls) {
            return true;
        }
    }
    return false;
}

uint64_t catchup_company(const struct mesh_link *link) {
    const struct membership *membership = &link->mesh->membership;
    uint64_t count = 1;
    for (size_t i = 0; i < membership->members_count; i++) {
        const struct member *member = membership->members[i];
        count += !member->is_self && member != link->member &&
                 (member->state == MEMBER_ALIVE || member->state == MEMBER_SUSPECT);
    }
    return count;
}

static int compare(const struct mesh_link *link, uint64_t company, uint64_t keys) {
    if (company != link->peer_members && link->peer_members != 0) {
        return company < link->peer_members ? -1 : 1;
    }
    if (keys != link->peer_keys) {
        return keys < link->peer_keys ? -1 : 1;
    }
    return memcmp(link->mesh->opts.node_id, link->peer.node, REPLICA_NODE_ID_BYTES);
}

int catchup_compare_with_peer(const struct mesh_link *link) {
    const struct mesh *mesh = link->mesh;
    return compare(link, catchup_company(link), mesh->data.keys_count(mesh->data.udata));
}

int catchup_compare_as_told(const struct mesh_link *link) {
    return compare(link, link->told_members, link->told_keys);
}

bool catchup_has_seen(struct mesh *mesh, const struct context *wanted) {
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    const struct context *context = mesh->data.context(mesh->data.udata);
    for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
        if (wanted->stamps[slot] <= context->stamps[slot]) {
            continue;
        }
        const struct retired_replica *retired =
            slot < replicas->slots_count && replicas->slots[slot].ref != 0
                ? replicas_find_retired(replicas, replicas->slots[slot].ref)
                : NULL;
        if (retired == NULL || stamp_ticks(wanted->stamps[slot]) > retired->ticks) {
            return false;
        }
    }
    return true;
}

bool catchup_has_unsent(const struct mesh_link *link, uint64_t generation) {
    struct mesh *mesh = link->mesh;
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    struct context seen, own;
    catchup_own_context(mesh, &own);
    catchup_seen_context(link, &seen);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (mesh_is_own_slot(mesh, slot) && replicas->slots[slot].id.generation >= generation &&
            own.stamps[slot] > seen.stamps[slot]) {
            return true;
        }
    }
    return false;
}

/* For how long has the peer said that its log does not serve this node? Meanwhile others deliver
 * what they have, too. */
static uint64_t lost_ms(struct mesh_link *link) {
    struct link_catchup *lost = &link->catchup;
    uint64_t now_us = link->mesh->monotonic_us;
    if (lost->lost_since_us == 0 || now_us - lost->lost_us >= CATCHUP_LOST_MS * UINT64_C(1000)) {
        lost->lost_since_us = now_us;
    }
    lost->lost_us = now_us;
    return (now_us - lost->lost_since_us) / 1000;
}

/* Did the link's peer say so lately? */
static bool is_lost(const struct mesh_link *link) {
    return link->catchup.lost_us != 0 &&
           link->mesh->monotonic_us - link->catchup.lost_us < CATCHUP_LOST_MS * UINT64_C(1000);
}

/* Does no peer's log serve this node? */
static bool all_lost(const struct mesh *mesh) {
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link) && !is_lost(link)) {
            return false;
        }
    }
    return true;
}

/* Has the link's peer something that `wanted` has, and this node has not? */
static bool has_some_of(const struct mesh_link *link, const struct context *wanted) {
    const struct mesh *mesh = link->mesh;
    const struct context *context = mesh->data.context(mesh->data.udata);
    struct context seen;
    catchup_seen_context(link, &seen);
    for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
        if (wanted->stamps[slot] > context->stamps[slot] &&
            seen.stamps[slot] > context->stamps[slot]) {
            return true;
        }
    }
    return false;
}

/* Is it plain that no log brings what is `wanted`: is each living node linked, and does its log not
 * serve, or has it none of that either? One that joins will have it, and then its log may do. */
static bool is_surely_lost(const struct mesh *mesh, const struct context *wanted) {
    const struct membership *membership = &mesh->membership;
    for (size_t i = 0; i < membership->members_count; i++) {
        const struct member *member = membership->members[i];
        if (member->is_self || member->state > MEMBER_SUSPECT) {
            continue;
        }
        const struct mesh_link *link = mesh_find_link(mesh, member);
        if (link == NULL || !link_is_up(link) || link->peer_is_joining ||
            (!is_lost(link) && has_some_of(link, wanted))) {
            return false;
        }
    }
    return true;
}

void catchup_seen_by_links(struct mesh *mesh, bool has_joining, struct context *all) {
    *all = (struct context){0};
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        struct context seen;
        if (!link_is_up(link) || link->member == NULL || (link->peer_is_joining && !has_joining) ||
            catchup_peer_has_void(link)) {
            continue;
        }
        catchup_seen_context(link, &seen);
        context_join(all, &seen);
    }
}

void catchup_wait(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    if (catchup_peer_has_void(link)) {
        return;
    }
    if (catchup_has_unsent(link, 0)) {
        catchup_consider(link, true, true);
        return;
    }
    if (mesh->catchup.state == CATCHUP_IDLE && !mesh->is_leaving) {
        mesh_say(mesh, MESH_LEVEL_NOTICE, "Mesh: %s says that this node is behind: it catches up",
                 link->peer_address);
        mesh->is_admitted = false;
        catchup_serve_nobody(mesh);
        catchup_begin_waiting(mesh);
    }
}

/* Had the peer forgotten this node, or retired a life of which there is more here, and has it seen
 * all that is settled here? Then it is this node that joins, if no more nodes live on its side.
 * Else who was forgotten, and has more keys, would have the other one compare, and that has settled
 * by now what it deleted: what was unsent here of counters would bring back what they were then. */
static bool is_joiner_by_right(const struct mesh_link *link) {
    struct context seen;
    catchup_seen_context(link, &seen);
    return link->was_retired && catchup_company(link) == link->peer_members &&
           !link->peer_lacks_retired && !link->peer_was_forgotten &&
           context_covers_all(&seen, &link->mesh->floor);
}

/* Neither log reaches back: is it this node that merges? Who joins already, or waits for what no
 * log brings, serves nobody, so that the other one would have nothing to merge. */
static bool is_merger(const struct mesh_link *link) {
    bool is_waiting = catchup_is_joining(&link->mesh->catchup);
    return is_waiting == link->peer_is_joining ? catchup_compare_with_peer(link) < 0 : is_waiting;
}

void catchup_consider(struct mesh_link *link, bool lacks_settled, bool was_forgotten) {
    struct mesh *mesh = link->mesh;
    struct catchup *catchup = &mesh->catchup;
    if (catchup->state == CATCHUP_PULLING || mesh->is_leaving || catchup_peer_has_void(link)) {
        return;
    }
    uint64_t since_ms = lost_ms(link);
    bool is_urgent = lacks_settled || was_forgotten ||
                     (catchup->state == CATCHUP_WAITING && (catchup->is_fresh || all_lost(mesh)));
    struct context seen;
    catchup_seen_context(link, &seen);
    bool is_sure = since_ms >= CATCHUP_SURE_MS && is_surely_lost(mesh, &seen);
    if (!is_urgent && ((since_ms < CATCHUP_LOST_MS && !is_sure) || catchup_has_seen(mesh, &seen))) {
        return;
    }
    if (catchup->state == CATCHUP_ADVANCING) {
        if (was_forgotten || (catchup->mode == MESH_JOIN_REBASE &&
                              !context_covers_all(&seen, mesh->data.context(mesh->data.udata)))) {
            /* It is on another side than those whose state this node takes over: what is there is
             * compared, not merged. Or it is on the side that this node has left, and follows. */
            return;
        }
        /* While parts came, the peers' logs went on beyond the first of them. */
        catchup_need(catchup, &seen, NULL);
        catchup->wants_anew = true;
        return;
    }
    if (catchup->state == CATCHUP_IDLE && is_source(mesh)) {
        return; /* first the other one, else both would wait for each other; it will be said again
                 */
    }
    struct context needed = seen;
    if (lacks_settled || was_forgotten) {
        catchup_seen_by_links(mesh, true,
                              &needed); /* each of them wants it to have seen all that it has */
    }
    /* Who was told that before, and has restarted since, has yet to compare, whoever says what. */
    was_forgotten |= (lacks_settled && catchup_has_unsent(link, 0)) ||
                     (catchup_owes_comparing(mesh) && !catchup->is_comparing);
    if (was_forgotten && catchup_compare_with_peer(link) > 0 && !is_joiner_by_right(link)) {
        /* Neither side has seen what is settled at the other: it is the smaller one that joins. */
        link->peer_was_forgotten = true;
        if (catchup_owes_comparing(mesh)) {
            catchup_owe_comparing(mesh, false);
            handshake_send_context(link);
        }
        streamer_out_seek(link);
        return;
    }
    if (was_forgotten) {
        catchup_need(catchup, &needed, &seen);
        catchup_begin(mesh, MESH_JOIN_REBASE);
    } else if (has_source(mesh, &needed)) {
        catchup_need(catchup, &needed, NULL);
        catchup_begin(mesh, MESH_JOIN_TAKE);
    } else if ((since_ms >= CATCHUP_MERGE_MS || is_sure) && is_merger(link)) {
        catchup_need(catchup, &needed, NULL);
        catchup_begin(mesh, MESH_JOIN_MERGE);
    }
}
