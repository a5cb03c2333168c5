/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh/catchup.h"

#include "base/memory.h"
#include "mesh/catchup_internal.h"
#include "mesh/catchup_serve.h"
#include "mesh/catchup_void.h"

enum { WARN_MS = 10000 };

/* ---- lifecycle ---- */

void catchup_init(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    *catchup = (struct catchup){0};
    if (mesh->settings.seeds_count > 0) {
        catchup->is_fresh = mesh->data.keys_count(mesh->data.udata) == 0 &&
                            context_is_empty(mesh->data.context(mesh->data.udata));
        catchup_begin_waiting(mesh);
    }
}

void catchup_deinit(struct mesh *mesh) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        catchup_stop_serving(link);
    }
    memory_free(mesh->catchup.part_states);
    memory_free(mesh->catchup.goal);
    catchup_need_nothing(&mesh->catchup);
    buffer_deinit(&mesh->catchup.frame);
    mesh->catchup = (struct catchup){0};
}

bool catchup_is_busy(const struct mesh *mesh) {
    return mesh->catchup.state == CATCHUP_PULLING && mesh->catchup.parts_done == CATCHUP_PARTS;
}

void catchup_note_peer(struct mesh_link *link, bool is_joining, bool is_rebasing) {
    if (is_joining) {
        link->peer_is_joining = true;
    } else {
        catchup_peer_is_back(link);
    }
    link->peer_is_rebasing = is_rebasing;
    link->catchup.has_rebased |= link->catchup.rebases && !is_joining;
    link->catchup.rebases = is_rebasing || (link->catchup.rebases && is_joining);
}

void catchup_peer_is_back(struct mesh_link *link) {
    link->catchup.pulls = link->peer_is_joining = false;
}

void catchup_link_closed(struct mesh_link *link) {
    catchup_give_up_parts(link, false);
    catchup_stop_serving(link);
}

/* ---- what may go wrong ---- */

/* Is there somebody who lives, and is not linked so far? */
static bool is_any_out_of_reach(const struct mesh *mesh) {
    const struct membership *membership = &mesh->membership;
    if (dials_are_partial(mesh)) {
        return false; /* that is as it should be */
    }
    for (size_t i = 0; i < membership->members_count; i++) {
        const struct member *member = membership->members[i];
        if (!member->is_self && member->state <= MEMBER_SUSPECT) {
            const struct mesh_link *link = mesh_find_link(mesh, member);
            if (link == NULL || !link_is_up(link)) {
                return true;
            }
        }
    }
    return false;
}

/* All linked peers are joining, too: one must not, or nobody has anything to take over. The one
 * with most to give ends first; who has nothing left to give, since parts came, does not. Somebody
 * who is not linked yet may be ready, or have more: for him it waits longer. */
static void look_for_tie(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    unsigned up = 0, better = 0;
    bool is_any_ready = false;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link)) {
            up++;
            is_any_ready |= !link->peer_is_joining;
            better += catchup_compare_as_told(link) < 0;
        }
    }
    if (up == 0 || is_any_ready || catchup->has_sync) {
        catchup->tied_us = 0;
        return;
    }
    if (catchup->tied_us == 0) {
        catchup->tied_us = mesh->monotonic_us;
    }
    uint64_t wait_ms = (1 + better) * (uint64_t)CATCHUP_TIED_MS +
                       (is_any_out_of_reach(mesh) ? CATCHUP_UNLINKED_MS : 0);
    if (mesh->monotonic_us - catchup->tied_us >= wait_ms * 1000) {
        mesh_say(mesh, MESH_LEVEL_NOTICE,
                 "Mesh: all peers are joining, and this node has the most to give: ready");
        catchup_owe_comparing(mesh, false);
        catchup_stop_joining(mesh);
        catchup_tell_peers(mesh);
    }
}

/* ---- a fresh node waits ---- */

static void note_peer(struct catchup *catchup, struct mesh_link *link) {
    struct context seen;
    link->catchup.is_counted = true;
    if (catchup_peer_has_void(link)) {
        return; /* it is going to take over another state */
    }
    catchup_seen_context(link, &seen);
    context_join(catchup->goal, &seen);
    catchup->had_peers_data |= !context_is_empty(&seen);
}

/* Who had what is missing may be gone, or have begun anew without it: a node with data waits only
 * for what is to be had, a fresh one longer. And who has it may be joining, and wait for this node:
 * then that one merges, and brings it afterwards. */
static void lower_goal(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    bool is_patient = mesh->monotonic_us - catchup->started_us < CATCHUP_MERGE_MS * UINT64_C(1000);
    if (catchup->is_fresh && is_patient) {
        return;
    }
    struct context all;
    catchup_seen_by_links(mesh, is_patient, &all);
    context_meet(catchup->goal, &all);
}

static void wait_for_peers(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    unsigned up = 0, coming = 0;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link)) {
            up++;
            if (!link->catchup.is_counted) {
                note_peer(catchup, link);
            }
        } else if (!link->is_closing) {
            coming++;
        }
    }
    bool is_patient = mesh->monotonic_us - catchup->started_us < CATCHUP_ALONE_MS * 1000ULL;
    if (is_patient && (up == 0 || coming > 0)) {
        return;
    }
    lower_goal(mesh);
    if (!catchup_has_seen(mesh, catchup->goal)) {
        return; /* the logs of the peers bring it, or say that they cannot */
    }
    mesh->is_admitted = up > 0;
    mesh->stats.syncs_log += catchup->had_peers_data;
    mesh->stats.last_sync_seconds = catchup_seconds_since(mesh, catchup->started_us);
    mesh_say(mesh, MESH_LEVEL_NOTICE, "Mesh: ready, %s",
             catchup->had_peers_data ? "with all that the peers' logs had"
             : up > 0                ? "no peer has data"
                                     : "though no peer could be reached so far");
    catchup_become_ready(mesh);
}

/* ---- who is gone ---- */

/* Is who had forgotten this node linked? It is to be compared with what that one has, or more; not
 * if that one compares, too, and does so next. */
static void look_for_teller(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    const struct member *teller = membership_find(&mesh->membership, catchup->teller);
    const struct mesh_link *link = teller == NULL ? NULL : mesh_find_link(mesh, teller);
    if (link == NULL || !link_is_up(link)) {
        return;
    }
    if (link->catchup.rebases && !catchup_compares_first(link)) {
        catchup_need_nothing(catchup);
        return;
    }
    struct context seen;
    catchup_seen_context(link, &seen);
    catchup_need(catchup, &seen, NULL);
    catchup->has_teller = true;
}

/* Those who have what is needed may be gone for good. */
static void look_for_source(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    if (catchup->has_teller) {
        look_for_teller(mesh);
    }
    /* Two joiners may each be the only one who has what the other one needs. */
    bool is_long = mesh->monotonic_us - catchup->started_us >= CATCHUP_JOINER_MS * UINT64_C(1000);
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (catchup_has_needed(link) && !(link->peer_is_joining && is_long)) {
            catchup->sourceless_us = 0;
            return;
        }
    }
    if (catchup->sourceless_us == 0) {
        catchup->sourceless_us = mesh->monotonic_us;
    } else if (mesh->monotonic_us - catchup->sourceless_us >=
               CATCHUP_SOURCELESS_MS * UINT64_C(1000)) {
        catchup_need_less(catchup);
    }
}

/* A peer that crashed may have shown in a part what it, and everybody, has no more. */
static void look_for_rest(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    const struct context *goal =
        mesh->data.sync_goal == NULL ? NULL : mesh->data.sync_goal(mesh->data.udata);
    struct context all;
    catchup_seen_by_links(mesh, true, &all);
    context_join(&all, mesh->data.context(mesh->data.udata));
    if (goal == NULL || context_covers_all(&all, goal)) {
        catchup->sourceless_us = 0;
    } else if (catchup->sourceless_us == 0) {
        catchup->sourceless_us = mesh->monotonic_us;
    } else if (mesh->monotonic_us - catchup->sourceless_us >=
               CATCHUP_SOURCELESS_MS * UINT64_C(1000)) {
        catchup_need_nothing(catchup);
        catchup_begin_without(mesh);
    }
}

/* ---- turns ---- */

static void warn_if_slow(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    if (mesh->monotonic_us - catchup->warned_us < WARN_MS * 1000ULL) {
        return;
    }
    catchup->warned_us = mesh->monotonic_us;
    mesh_say(mesh, MESH_LEVEL_WARNING,
             "Mesh: still joining after %.0f s: %u of %u parts are here%s",
             catchup_seconds_since(mesh, catchup->started_us), catchup->parts_done,
             (unsigned)CATCHUP_PARTS,
             catchup->state == CATCHUP_ADVANCING ? ", changes made meanwhile are not" : "");
}

void catchup_run(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    switch (catchup->state) {
    case CATCHUP_IDLE:
        break;
    case CATCHUP_WAITING:
        wait_for_peers(mesh);
        break;
    case CATCHUP_PULLING:
        if (catchup->parts_done == CATCHUP_PARTS) {
            catchup_finish_parts(mesh);
        } else {
            catchup_hand_out_parts(mesh);
        }
        break;
    case CATCHUP_ADVANCING:
        catchup_try_to_end(mesh);
        break;
    }
}

/* Has it by now all that one of its peers has? Then this life is admitted, wherever it began. */
static void look_for_admission(struct mesh *mesh) {
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        struct context seen;
        if (link_is_up(link) && link->member != NULL && !link->peer_is_joining) {
            catchup_seen_context(link, &seen);
            mesh->is_admitted |= catchup_has_seen(mesh, &seen);
        }
    }
}

/* Takes over the state of somebody who is without what is void here. Nobody may be, for now: then
 * this node goes on as it is. */
static void look_for_void(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    struct mesh_link *link = catchup_find_without_void(mesh);
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    const struct context *context = mesh->data.context(mesh->data.udata);
    if (catchup->state == CATCHUP_IDLE && link != NULL && !mesh->is_leaving &&
        replicas_has_void(replicas, context)) {
        struct context needed;
        catchup_seen_context(link, &needed);
        catchup_need(catchup, &needed, NULL);
        bool is_unmade = replicas_has_unmade(replicas, context);
        mesh_say(mesh, MESH_LEVEL_NOTICE,
                 "Mesh: a node that was forgotten has written again what this one has, too%s",
                 is_unmade ? ", but not all of it" : "");
        catchup_begin(mesh, is_unmade ? MESH_JOIN_REBASE : MESH_JOIN_TAKE);
        catchup->leaves_void = true;
    } else if (catchup->state == CATCHUP_IDLE && replicas->slots[replicas->self].is_ended &&
               mesh->generation_wanted == 0) {
        mesh_want_generation(mesh, 0); /* whatever it wrote now would be void, too */
    } else if (catchup->state == CATCHUP_PULLING && link == NULL && catchup->leaves_void &&
               catchup->mode == MESH_JOIN_TAKE && catchup->parts_done < CATCHUP_PARTS &&
               catchup_cancel_sync(mesh)) {
        catchup_stop_joining(mesh);
    }
}

/* All linked peers have seen what is void: they have to take over the state of this node, so it
 * must not join. */
static void look_for_stuck(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    bool is_any = false, is_stuck = catchup->state == CATCHUP_PULLING && !catchup->is_fresh &&
                                    catchup->parts_done < CATCHUP_PARTS;
    for (const struct mesh_link *link = mesh->links; link != NULL && is_stuck; link = link->next) {
        is_any |= link_is_up(link);
        is_stuck = !link_is_up(link) || catchup_peer_has_void(link);
    }
    if (!is_stuck || !is_any) {
        catchup->stuck_us = 0;
    } else if (catchup->stuck_us == 0) {
        catchup->stuck_us = mesh->monotonic_us;
    } else if (mesh->monotonic_us - catchup->stuck_us >= CATCHUP_STUCK_MS * UINT64_C(1000) &&
               catchup_cancel_sync(mesh)) {
        mesh_say(mesh, MESH_LEVEL_NOTICE,
                 "Mesh: all peers have what is written again here, and take that over");
        catchup_stop_joining(mesh);
    }
}

void catchup_tick(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    if (mesh->data.replicas(mesh->data.udata)->ended_count > 0) {
        catchup_tell_ends(mesh);
        look_for_void(mesh);
        look_for_stuck(mesh);
    }
    if (catchup_is_rebasing(catchup)) {
        mesh->was_forgotten = false; /* another peer said so, too: once is enough */
    }
    if (mesh->was_forgotten && catchup->state == CATCHUP_IDLE && mesh->generation_wanted == 0) {
        catchup_begin(mesh, MESH_JOIN_REBASE);
        catchup->has_teller = true;
    }
    if (catchup_is_rebasing(catchup) && !catchup->has_begun && !catchup->was_merging &&
        mesh->monotonic_us - catchup->started_us >= CATCHUP_REBASE_MS * UINT64_C(1000) &&
        catchup_is_put_back(mesh)) {
        catchup->was_merging = true; /* if that is refused, it is compared after all */
        catchup_begin(mesh, MESH_JOIN_MERGE);
    }
    if (catchup->state == CATCHUP_PULLING) {
        for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
            if (link->catchup.asked_count > 0 &&
                mesh->monotonic_us - link->catchup.pulled_us >= CATCHUP_PATIENCE_MS * 1000ULL) {
                catchup_give_up_parts(link, true);
                link->catchup.retry_us = mesh->monotonic_us + CATCHUP_PATIENCE_MS * 1000ULL;
            }
        }
        look_for_source(mesh);
        look_for_tie(mesh);
        if (catchup->state == CATCHUP_PULLING && catchup_must_change_seed(mesh)) {
            for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
                catchup_give_up_parts(link, true);
            }
            catchup_begin(mesh, catchup->mode);
        }
    }
    if (catchup->state == CATCHUP_ADVANCING && catchup->wants_anew &&
        mesh->monotonic_us - catchup->begun_us >= CATCHUP_ANEW_MS * UINT64_C(1000)) {
        catchup_begin_anew(mesh);
    }
    if (catchup->state == CATCHUP_ADVANCING) {
        look_for_rest(mesh);
    }
    if (catchup->state == CATCHUP_IDLE && !mesh->is_admitted) {
        look_for_admission(mesh);
    }
    if (catchup->state == CATCHUP_WAITING && !catchup->is_fresh) {
        look_for_tie(mesh);
    }
    if (catchup->state == CATCHUP_PULLING || catchup->state == CATCHUP_ADVANCING) {
        warn_if_slow(mesh);
    }
    catchup_run(mesh);
    catchup_serve_waiting(mesh);
}
