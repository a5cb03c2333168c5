/* SPDX-License-Identifier: BSD-3-Clause */
/* The course of a joining: how it begins, is begun anew, and ends. */
#include "mesh/catchup_internal.h"

#include <string.h>

#include "base/memory.h"
#include "mesh/catchup_serve.h"

void catchup_begin_waiting(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    catchup->state = CATCHUP_WAITING;
    catchup->mode = MESH_JOIN_TAKE;
    catchup->started_us = mesh->monotonic_us;
    catchup->had_peers_data = false;
    if (catchup->goal == NULL) {
        catchup->goal = memory_alloc(sizeof(*catchup->goal));
    }
    memset(catchup->goal, 0, sizeof(*catchup->goal));
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        link->catchup.is_counted = false;
    }
}

/* Has this node written anything in its present life? */
static bool has_written(const struct mesh *mesh) {
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    return mesh->data.context(mesh->data.udata)->stamps[replicas->self] != 0;
}

/* Did a peer say that it takes what was written before this node was put back? */
static bool was_put_back(const struct mesh *mesh) {
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link) && link->owes_from > 0) {
            return true;
        }
    }
    return false;
}

void catchup_begin(struct mesh *mesh, enum mesh_join mode) {
    struct catchup *catchup = &mesh->catchup;
    if (catchup->state == CATCHUP_IDLE || mode != catchup->mode) {
        catchup->started_us = mesh->monotonic_us;
    }
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        catchup_give_up_parts(link, true);
    }
    catchup->state = CATCHUP_PULLING;
    catchup->mode = mode;
    if (mode == MESH_JOIN_REBASE && !was_put_back(mesh)) {
        catchup_owe_comparing(mesh, true);
    }
    catchup->begun_us = mesh->monotonic_us;
    catchup->wants_anew = false;
    mesh->retiring_slot = 0;
    catchup->has_begun = catchup->has_seed = false;
    catchup->parts_done = 0;
    catchup->tied_us = 0;
    catchup->warned_us = mesh->monotonic_us;
    memory_free(catchup->part_states);
    catchup->part_states = memory_alloc_zero(CATCHUP_PARTS);
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        link->catchup.is_foreign = false;
        link->catchup.retry_us = 0;
    }
    catchup_serve_nobody(mesh);
    if (mode == MESH_JOIN_REBASE && !mesh->was_forgotten && has_written(mesh)) {
        /* What is issued again comes from a new life; the present one ends with what is known. */
        mesh_want_generation(mesh, 0);
    }
    mesh->was_forgotten = false;
    mesh_say(mesh, MESH_LEVEL_NOTICE, "Mesh: taking over the state from peers%s",
             mode == MESH_JOIN_REBASE  ? ", to write again what only this node knows"
             : mode == MESH_JOIN_MERGE ? ", to merge it with what only this node knows"
                                       : "");
}

void catchup_tell_peers(struct mesh *mesh) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link)) {
            link_ping(link);
        }
    }
}

void catchup_begin_anew(struct mesh *mesh) {
    enum mesh_join mode = mesh->catchup.mode;
    catchup_begin(mesh, mode == MESH_JOIN_REBASE ? MESH_JOIN_TAKE : mode);
}

void catchup_begin_without(struct mesh *mesh) {
    if (mesh->catchup.mode == MESH_JOIN_MERGE) {
        catchup_begin(mesh, MESH_JOIN_REBASE);
    } else {
        catchup_begin_anew(mesh);
    }
}

static void put_context(struct context **place, const struct context *context) {
    if (*place == NULL) {
        *place = memory_alloc(sizeof(**place));
    }
    **place = *context;
}

void catchup_need(struct catchup *catchup, const struct context *needed,
                  const struct context *of_one) {
    catchup->has_teller = false;
    put_context(&catchup->needed, needed);
    memory_free(catchup->needed_of_one);
    catchup->needed_of_one = NULL;
    if (of_one != NULL) {
        put_context(&catchup->needed_of_one, of_one);
    }
}

void catchup_need_less(struct catchup *catchup) {
    struct context *less = catchup->needed_of_one;
    catchup->needed_of_one = NULL;
    catchup_need_nothing(catchup);
    catchup->needed = less;
}

void catchup_need_nothing(struct catchup *catchup) {
    memory_free(catchup->needed);
    memory_free(catchup->needed_of_one);
    catchup->needed = catchup->needed_of_one = NULL;
    catchup->has_teller = false;
    catchup->sourceless_us = 0;
}

double catchup_seconds_since(const struct mesh *mesh, uint64_t started_us) {
    return (double)(mesh->monotonic_us - started_us) / 1e6;
}

void catchup_become_ready(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    catchup->state = CATCHUP_IDLE;
    catchup->mode = MESH_JOIN_TAKE;
    bool has_compared = catchup->is_comparing;
    catchup->is_fresh = catchup->has_sync = catchup->is_comparing = catchup->was_refused =
        catchup->leaves_void = catchup->was_merging = false;
    memory_free(catchup->part_states);
    catchup->part_states = NULL;
    memory_free(catchup->goal);
    catchup->goal = NULL;
    catchup_need_nothing(catchup);
    catchup->stuck_us = 0;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        link->catchup.has_rebased = false;
    }
    if (has_compared) {
        catchup_owe_comparing(mesh, false);
        catchup_tell_peers(mesh);
    }
}

void catchup_stop_joining(struct mesh *mesh) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        catchup_give_up_parts(link, true);
    }
    if (mesh->data.sync_is_ready(mesh->data.udata)) {
        catchup_become_ready(mesh);
    } else {
        mesh->catchup.state = CATCHUP_ADVANCING; /* its log has to begin with a snapshot */
    }
}

bool catchup_cancel_sync(struct mesh *mesh) {
    if (!mesh->catchup.has_sync) {
        return true;
    }
    if (mesh->data.sync_cancel == NULL || !mesh->data.sync_cancel(mesh->data.udata)) {
        return false;
    }
    streamer_resume(mesh);
    return true;
}

void catchup_finish_parts(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    switch (mesh->data.sync_end(mesh->data.udata)) {
    case MESH_PART_DONE:
        break;
    case MESH_PART_MORE:
        return;
    case MESH_PART_AGAIN:
    case MESH_PART_BAD:
        catchup_begin(mesh, catchup->mode);
        return;
    case MESH_PART_REFUSED:
        catchup_begin(mesh, catchup->mode == MESH_JOIN_TAKE ? MESH_JOIN_MERGE : catchup->mode);
        return;
    }
    /* It stands on the mesh's state: what it had settled by itself is nobody's concern any more. If
     * others had forgotten it, or it them, they have not settled what it has, and may have seen
     * nothing of it. */
    for (size_t i = 0; i < mesh->membership.members_count; i++) {
        membership_admit_life(mesh->membership.members[i]);
    }
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        link->peer_was_forgotten = link->peer_was_retired = link->peer_is_behind = false;
    }
    static const struct context nothing;
    const struct context *context = mesh->data.context(mesh->data.udata);
    membership_limit_frontier(&mesh->membership,
                              catchup->mode == MESH_JOIN_TAKE ? context : &nothing);
    context_meet(&mesh->floor, context);
    catchup->state = CATCHUP_ADVANCING;
    catchup->warned_us = mesh->monotonic_us;
    mesh_say(mesh, MESH_LEVEL_VERBOSE, "Mesh: %u parts are here after %.3f s; the rest by streams",
             catchup->parts_done, catchup_seconds_since(mesh, catchup->started_us));
    streamer_resume(mesh);
}

void catchup_try_to_end(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    if (catchup->wants_anew || !mesh->data.sync_is_ready(mesh->data.udata)) {
        return;
    }
    mesh->is_admitted = true;
    mesh->stats.syncs_snapshot++;
    mesh->stats.rebases += catchup->mode == MESH_JOIN_REBASE;
    mesh->stats.last_sync_seconds = catchup_seconds_since(mesh, catchup->started_us);
    mesh_say(mesh, MESH_LEVEL_NOTICE,
             "Mesh: ready after %.3f s, %u parts, %llu keys; %llu parts had to be resumed so far",
             mesh->stats.last_sync_seconds, catchup->parts_done,
             (unsigned long long)mesh->data.keys_count(mesh->data.udata),
             (unsigned long long)mesh->stats.parts_resumed);
    catchup_become_ready(mesh);
}
