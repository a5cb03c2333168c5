/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh/catchup.h"

#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "base/varint.h"
#include "mesh/catchup_serve.h"
#include "mesh/catchup_void.h"

enum {
    PART_OPEN,
    PART_UNDER_WAY,
    PART_HERE,

    /* After a part of more bytes fewer are asked for ahead: another link may be faster. */
    SMALL_PART_BYTES = 64 << 10,
    LARGE_PULLS_MAX = 2,
    WARN_MS = 10000,
};

/* ---- lifecycle ---- */

static void begin_waiting(struct mesh *mesh) {
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

void catchup_init(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    *catchup = (struct catchup){0};
    if (mesh->settings.seeds_count > 0) {
        catchup->is_fresh = mesh->data.keys_count(mesh->data.udata) == 0 &&
                            context_is_empty(mesh->data.context(mesh->data.udata));
        begin_waiting(mesh);
    }
}

void catchup_deinit(struct mesh *mesh) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        catchup_stop_serving(link);
    }
    memory_free(mesh->catchup.part_states);
    memory_free(mesh->catchup.goal);
    memory_free(mesh->catchup.needed);
    buffer_deinit(&mesh->catchup.frame);
    mesh->catchup = (struct catchup){0};
}

/* ---- frames out ---- */

/* A count of 0 calls off all that was asked for. */
static void send_pull(struct mesh_link *link, unsigned part, unsigned parts_count) {
    struct buffer *frame = catchup_frame_begin(link->mesh, part);
    frame->size += varint_put(buffer_reserve(frame, VARINT_BYTES_MAX), parts_count);
    link_send(link, MESH_FRAME_PART_PULL, buffer_slice(frame));
}

bool catchup_is_busy(const struct mesh *mesh) {
    return mesh->catchup.state == CATCHUP_PULLING && mesh->catchup.parts_done == CATCHUP_PARTS;
}

/* ---- joining: deciding ---- */

/* Whatever was asked for on the link and has not come is open again. */
static void give_up_parts(struct mesh_link *link, bool tells) {
    struct link_catchup *pull = &link->catchup;
    struct catchup *catchup = &link->mesh->catchup;
    if (pull->asked_count == 0) {
        return;
    }
    link->mesh->stats.parts_resumed += pull->has_begun;
    for (unsigned i = 0; i < pull->asked_count && catchup->state == CATCHUP_PULLING; i++) {
        catchup->part_states[pull->asked[i]] = PART_OPEN;
    }
    if (tells) {
        send_pull(link, pull->asked[0], 0);
    }
    pull->asked_count = 0;
    pull->has_begun = false;
    pull->retry_us = link->mesh->monotonic_us + CATCHUP_RETRY_MS * 1000ULL;
}

/* Has this node written anything in its present life? */
static bool has_written(const struct mesh *mesh) {
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    return mesh->data.context(mesh->data.udata)->stamps[replicas->self] != 0;
}

static void begin(struct mesh *mesh, enum mesh_join mode) {
    struct catchup *catchup = &mesh->catchup;
    if (catchup->state == CATCHUP_IDLE || mode != catchup->mode) {
        catchup->started_us = mesh->monotonic_us;
    }
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        give_up_parts(link, true);
    }
    catchup->state = CATCHUP_PULLING;
    catchup->mode = mode;
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

/* Parts came, but what they lack cannot be had from those who are asked: they are pulled again.
 * What rebasing has kept aside stays. */
static void begin_anew(struct mesh *mesh) {
    enum mesh_join mode = mesh->catchup.mode;
    begin(mesh, mode == MESH_JOIN_REBASE ? MESH_JOIN_TAKE : mode);
}

/* Likewise, and nobody has it. What parts showed of it is in the state here: merging would leave it
 * there, and whoever pulls that state would refuse what it has not seen. */
static void begin_without(struct mesh *mesh) {
    if (mesh->catchup.mode == MESH_JOIN_MERGE) {
        begin(mesh, MESH_JOIN_REBASE);
    } else {
        begin_anew(mesh);
    }
}

/* What the link's peer has seen, less what is void. */
static void seen_context(const struct mesh_link *link, struct context *seen) {
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
        seen_context(link, &seen);
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

/* Below 0: this node has less to give than the peer, whose LOST told of it. */
static int compare_with_peer(const struct mesh_link *link) {
    const struct mesh *mesh = link->mesh;
    uint64_t company = catchup_company(link);
    uint64_t keys = mesh->data.keys_count(mesh->data.udata);
    if (company != link->peer_members && link->peer_members != 0) {
        return company < link->peer_members ? -1 : 1;
    }
    if (keys != link->peer_keys) {
        return keys < link->peer_keys ? -1 : 1;
    }
    return memcmp(mesh->opts.node_id, link->peer.node, REPLICA_NODE_ID_BYTES);
}

/* Has this node seen all of that? What it has retired and has a slot again, since a snapshot of
 * before or a peer named it, was seen, too: no log brings that any more. */
static bool has_seen(struct mesh *mesh, const struct context *wanted) {
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

static void need(struct catchup *catchup, const struct context *needed) {
    if (catchup->needed == NULL) {
        catchup->needed = memory_alloc(sizeof(*catchup->needed));
    }
    *catchup->needed = *needed;
}

/* Has this node written what the peer has not seen, in lives of this generation or later? */
static bool has_unsent(const struct mesh_link *link, uint64_t generation) {
    struct mesh *mesh = link->mesh;
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    struct context seen, own;
    catchup_own_context(mesh, &own);
    seen_context(link, &seen);
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
    seen_context(link, &seen);
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

/* All that any of the linked peers has seen, those that are joining left out if so wanted. */
static void seen_by_links(struct mesh *mesh, bool has_joining, struct context *all) {
    *all = (struct context){0};
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        struct context seen;
        if (!link_is_up(link) || link->member == NULL || (link->peer_is_joining && !has_joining) ||
            catchup_peer_has_void(link)) {
            continue;
        }
        seen_context(link, &seen);
        context_join(all, &seen);
    }
}

void catchup_wait(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    if (catchup_peer_has_void(link)) {
        return;
    }
    if (has_unsent(link, 0)) {
        catchup_consider(link, true, true);
        return;
    }
    if (mesh->catchup.state == CATCHUP_IDLE && !mesh->is_leaving) {
        mesh_say(mesh, MESH_LEVEL_NOTICE, "Mesh: %s says that this node is behind: it catches up",
                 link->peer_address);
        mesh->is_admitted = false;
        catchup_serve_nobody(mesh);
        begin_waiting(mesh);
    }
}

/* Has the peer retired a life of which there is more here, and seen all that is settled here? Then
 * it is this node that joins, if no more nodes live on its side. Else who was forgotten, and has
 * more keys, would have the other one compare, and that has settled by now what it deleted: what
 * was unsent here of counters would bring back what they were then. */
static bool is_joiner_by_right(const struct mesh_link *link) {
    struct context seen;
    seen_context(link, &seen);
    return link->was_retired && catchup_company(link) == link->peer_members &&
           !link->peer_lacks_retired && !link->peer_was_forgotten &&
           context_covers_all(&seen, &link->mesh->frontier);
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
    seen_context(link, &seen);
    bool is_sure = since_ms >= CATCHUP_SURE_MS && is_surely_lost(mesh, &seen);
    if (!is_urgent && ((since_ms < CATCHUP_LOST_MS && !is_sure) || has_seen(mesh, &seen))) {
        return;
    }
    if (catchup->state == CATCHUP_ADVANCING) {
        /* While parts came, the peers' logs went on beyond the first of them. */
        need(catchup, &seen);
        catchup->wants_anew = true;
        return;
    }
    if (catchup->state == CATCHUP_IDLE && is_source(mesh)) {
        return; /* first the other one, else both would wait for each other; it will be said again
                 */
    }
    struct context needed = seen;
    if (lacks_settled || was_forgotten) {
        seen_by_links(mesh, true, &needed); /* each of them wants it to have seen all that it has */
    }
    was_forgotten |= lacks_settled && has_unsent(link, 0);
    if (was_forgotten && compare_with_peer(link) > 0 && !is_joiner_by_right(link)) {
        /* Neither side has seen what is settled at the other: it is the smaller one that joins. */
        link->peer_was_forgotten = true;
        streamer_out_seek(link);
        return;
    }
    if (was_forgotten) {
        need(catchup, &needed);
        begin(mesh, MESH_JOIN_REBASE);
    } else if (has_source(mesh, &needed)) {
        need(catchup, &needed);
        begin(mesh, MESH_JOIN_TAKE);
    } else if ((since_ms >= CATCHUP_MERGE_MS || is_sure) && compare_with_peer(link) < 0) {
        need(catchup, &needed);
        begin(mesh, MESH_JOIN_MERGE); /* neither log reaches back, and it is this node that joins */
    }
}

/* ---- joining: the parts ---- */

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
    give_up_parts(link, false);
    catchup_stop_serving(link);
}

/* The parts are cut by one hash seed: that of the first to come. */
static bool settle_seed(struct mesh_link *link, const uint64_t seed[2]) {
    struct mesh *mesh = link->mesh;
    struct catchup *catchup = &mesh->catchup;
    memcpy(link->peer_seed, seed, sizeof(link->peer_seed));
    if (!catchup->has_begun) {
        streamer_pause(mesh);
        mesh->data.sync_begin(mesh->data.udata, catchup->mode);
        catchup->has_begun = catchup->has_sync = true;
    }
    if (!catchup->has_seed) {
        if (!mesh->data.sync_takes_seed(mesh->data.udata, seed)) {
            return false;
        }
        catchup->has_seed = true;
        memcpy(catchup->seed, seed, sizeof(catchup->seed));
    }
    link->catchup.is_foreign = memcmp(catchup->seed, seed, sizeof(catchup->seed)) != 0;
    return !link->catchup.is_foreign;
}

/* Has the link's peer what this node joins for? */
static bool has_needed(const struct mesh_link *link) {
    struct context seen;
    if (!link_is_up(link)) {
        return false;
    }
    if (link->mesh->catchup.needed == NULL) {
        return true;
    }
    seen_context(link, &seen);
    return context_covers_all(&seen, link->mesh->catchup.needed);
}

/* May it be asked for parts? */
static bool is_eligible(const struct mesh_link *link) {
    return !link->catchup.is_foreign && has_needed(link) && !catchup_peer_has_void(link);
}

/* Did what came from the link not fit just now? */
static bool is_refused(const struct mesh_link *link) {
    return link->catchup.refused_us != 0 && link->mesh->monotonic_us - link->catchup.refused_us <
                                                CATCHUP_PATIENCE_MS * UINT64_C(1000);
}

/* The peer is behind this node in what is settled, or this node's log does not reach back to what
 * the peer has. Where all are like that, states are merged, or where that is not to be either,
 * compared; not at once if some parts fitted. */
static void refuse_part(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    bool is_any_left = false;
    give_up_parts(link, true);
    link->catchup.refused_us = mesh->monotonic_us;
    for (const struct mesh_link *other = mesh->links; other != NULL; other = other->next) {
        is_any_left |= is_eligible(other) && !other->peer_is_joining && !is_refused(other);
    }
    bool is_patient =
        mesh->monotonic_us - mesh->catchup.started_us < CATCHUP_REFUSED_MS * UINT64_C(1000);
    if (is_any_left || is_patient) {
        return;
    }
    if (mesh->catchup.parts_done > 0 &&
        (mesh->catchup.mode != MESH_JOIN_TAKE || !mesh->catchup.was_refused)) {
        /* What fitted does not go with what the peers have by now. */
        mesh->catchup.was_refused = true;
        mesh->catchup.started_us = mesh->monotonic_us;
        begin(mesh, mesh->catchup.mode);
    } else if (mesh->catchup.mode != MESH_JOIN_REBASE) {
        begin(mesh, mesh->catchup.mode == MESH_JOIN_TAKE ? MESH_JOIN_MERGE : MESH_JOIN_REBASE);
    }
}

/* False: the peer sent nonsense. */
static bool part_came(struct mesh_link *link, enum mesh_part status) {
    switch (status) {
    case MESH_PART_MORE:
    case MESH_PART_DONE:
        return true;
    case MESH_PART_AGAIN:
        give_up_parts(link, true);
        return true;
    case MESH_PART_REFUSED:
        refuse_part(link);
        return true;
    case MESH_PART_BAD:
        break;
    }
    give_up_parts(link, false);
    return false;
}

static bool begin_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    uint64_t seed[2];
    if (!codec_take_u64(&payload, &seed[0]) || !codec_take_u64(&payload, &seed[1])) {
        return false;
    }
    if (!settle_seed(link, seed)) {
        give_up_parts(link, true);
        return true;
    }
    link->catchup.has_begun = true;
    link->catchup.part_bytes = payload.size;
    link->catchup.part_began_us = mesh->monotonic_us;
    link->peer_is_joining = false;
    return part_came(link, mesh->data.sync_part_begin(mesh->data.udata, link->catchup.asked[0],
                                                      CATCHUP_PARTS, payload));
}

/* The part at the front of those asked for is through: the next one comes. */
static void end_part(struct mesh_link *link, uint8_t state) {
    struct link_catchup *pull = &link->catchup;
    link->mesh->catchup.part_states[pull->asked[0]] = state;
    pull->asked_count--;
    memmove(pull->asked, pull->asked + 1, pull->asked_count * sizeof(pull->asked[0]));
    pull->has_begun = false;
}

static bool end_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    struct catchup *catchup = &mesh->catchup;
    unsigned part = link->catchup.asked[0];
    if (payload.size != 1 || (uint8_t)payload.data[0] > CATCHUP_END_JOINING) {
        return false;
    }
    if (payload.data[0] == CATCHUP_END_JOINING) {
        link->peer_is_joining = true;
        give_up_parts(link, true);
        return true;
    }
    if (payload.data[0] == CATCHUP_END_AGAIN) {
        mesh->stats.parts_resumed += link->catchup.has_begun;
        end_part(link, PART_OPEN);
        return true;
    }
    if (!link->catchup.has_begun) {
        return true; /* of the time before it was called off and asked for again */
    }
    enum mesh_part status = mesh->data.sync_part_end(mesh->data.udata, part);
    if (status != MESH_PART_DONE) {
        return part_came(link, status);
    }
    end_part(link, PART_HERE);
    link->catchup.has_small_parts = link->catchup.part_bytes <= SMALL_PART_BYTES;
    /* It may have come within one turn. */
    link->catchup.part_took_us = mesh->monotonic_us - link->catchup.part_began_us + 1;
    catchup->parts_done++;
    mesh->stats.parts_in++;
    return true;
}

bool catchup_frame(struct mesh_link *link, unsigned type, struct slice payload) {
    struct mesh *mesh = link->mesh;
    struct link_catchup *pull = &link->catchup;
    if (type == MESH_FRAME_PART_PULL) {
        return catchup_pull_frame(link, payload);
    }
    uint64_t part;
    if (!varint_take(&payload, &part) || part >= CATCHUP_PARTS) {
        return false;
    }
    if (mesh->catchup.state != CATCHUP_PULLING || pull->asked_count == 0 ||
        part != pull->asked[0]) {
        return true; /* of a part that was called off */
    }
    pull->pulled_us = mesh->monotonic_us;
    if (type == MESH_FRAME_PART_BEGIN) {
        return begin_frame(link, payload);
    }
    if (type == MESH_FRAME_PART_END) {
        return end_frame(link, payload);
    }
    /* Data of a part that was called off and asked for again come before its new beginning. */
    pull->part_bytes += payload.size;
    return !pull->has_begun ||
           part_came(link, mesh->data.sync_part_data(mesh->data.udata, pull->asked[0], payload));
}

static unsigned find_open_part(const struct catchup *catchup) {
    unsigned part = 0;
    while (part < CATCHUP_PARTS && catchup->part_states[part] != PART_OPEN) {
        part++;
    }
    return part;
}

/* Will the member, if it is linked, drop what it knows of this node's lives? */
static bool is_rebasing(const struct mesh *mesh, const struct member *member) {
    const struct mesh_link *link = mesh_find_link(mesh, member);
    return link != NULL && link_is_up(link) && link->peer_is_rebasing;
}

/* Has the link's peer all that any living member has of this node's lives? Who rebases compares
 * with what the peer has; what another one has beyond would be made again and come by streams, too.
 * They tell each other. One that rebases itself has not heard of it by then. And where the peer
 * takes what lives before wrote, has it all that is here of those? */
static bool knows_own_lives(const struct mesh *mesh, const struct mesh_link *link) {
    const struct membership *membership = &mesh->membership;
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    unsigned count = replicas->slots_count;
    struct context context, own;
    catchup_own_context(mesh, &own);
    seen_context(link, &context);
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
    seen_context(link, &seen);
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
    seen_context(link, &seen);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (own.stamps[slot] > seen.stamps[slot] && mesh_awaits_author(mesh, own.stamps[slot])) {
            return true;
        }
    }
    return false;
}

/* Is there a peer that was forgotten, too, and compares first? What two of them make again of one
 * value at the same time is not the sum of what each of them knows of it: so one after the other,
 * and the second one with what the first has made again. */
static bool awaits_first(const struct mesh *mesh, const struct mesh_link *link) {
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    struct context seen;
    seen_context(link, &seen);
    for (const struct mesh_link *first = mesh->links; first != NULL; first = first->next) {
        if (first == link || !link_is_up(first) || first->member == NULL ||
            memcmp(first->peer.node, mesh->opts.node_id, REPLICA_NODE_ID_BYTES) > 0) {
            continue;
        }
        unsigned slot = replicas_find(replicas, first->member->ref);
        if (first->catchup.rebases || (first->catchup.has_rebased && slot != 0 &&
                                       member_seen(first->member, slot) > seen.stamps[slot])) {
            return true;
        }
    }
    return false;
}

/* Was this node put back, so that what its lives wrote before is taken by the linked peers as it
 * is, and has it written nothing since? Then it is merged, under the stamps that it has, where no
 * log brings it to them. Made again it would be something that nobody has seen: what others had
 * seen and deleted would be there again. */
static bool is_put_back(const struct mesh *mesh) {
    bool is_any_lost = false;
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (!link_is_up(link) || link->peer_is_joining) {
            continue;
        }
        if (link->owes_from == 0 || has_unsent(link, link->owes_from)) {
            return false;
        }
        is_any_lost |= link->stream.state == STREAM_LOST;
    }
    return is_any_lost;
}

/* How many parts may be under way? Some are ahead of the one that comes, so that small ones do not
 * cost a round trip each; and so many that the link is not idle for one. */
static unsigned pulls_max(const struct mesh_link *link) {
    const struct link_catchup *pull = &link->catchup;
    if (pull->has_small_parts) {
        return CATCHUP_PULLS_MAX;
    }
    uint64_t ahead = pull->part_took_us == 0 ? 0 : link->round_trip_min_us / pull->part_took_us;
    return ahead < CATCHUP_PULLS_MAX - LARGE_PULLS_MAX ? LARGE_PULLS_MAX + (unsigned)ahead
                                                       : CATCHUP_PULLS_MAX;
}

/* May one more part be asked for?
 *
 * A node that was forgotten has time: others may be coming back with it, and have records of its
 * that the peers lack. What is compared before they told so would be made again, and come, too. But
 * peers may each lack what another one has, and not take it: that is not waited for forever. Nor is
 * who has died: a minute. */
static bool wants_part(const struct mesh *mesh, const struct mesh_link *link) {
    const struct link_catchup *pull = &link->catchup;
    uint64_t waited_ms = (mesh->monotonic_us - mesh->catchup.started_us) / 1000;
    return pull->asked_count < pulls_max(link) && pull->retry_us <= mesh->monotonic_us &&
           is_eligible(link) && !is_refused(link) &&
           (mesh->catchup.mode != MESH_JOIN_REBASE ||
            (waited_ms >= CATCHUP_REBASE_MS && !awaits_authors(mesh, link) &&
             (waited_ms >= CATCHUP_REBASE_MAX_MS + CATCHUP_FIRST_MS || !awaits_first(mesh, link)) &&
             (waited_ms >= CATCHUP_REBASE_MAX_MS ||
              (knows_own_lives(mesh, link) && has_causes(mesh, link)))));
}

/* One to each link in turn, as long as any wants more. */
static void hand_out_parts(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    bool any = mesh->generation_wanted == 0; /* the new life begins first */
    while (any) {
        any = false;
        for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
            struct link_catchup *pull = &link->catchup;
            unsigned part = find_open_part(catchup);
            if (part == CATCHUP_PARTS) {
                return;
            }
            if (wants_part(mesh, link)) {
                if (pull->asked_count == 0) {
                    pull->has_begun = false;
                    pull->pulled_us = mesh->monotonic_us;
                }
                pull->asked[pull->asked_count++] = (uint16_t)part;
                catchup->part_states[part] = PART_UNDER_WAY;
                send_pull(link, part, CATCHUP_PARTS);
                any = true;
            }
        }
    }
}

/* ---- joining: the ends ---- */

static double seconds_since(const struct mesh *mesh, uint64_t started_us) {
    return (double)(mesh->monotonic_us - started_us) / 1e6;
}

static void become_ready(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    catchup->state = CATCHUP_IDLE;
    catchup->mode = MESH_JOIN_TAKE;
    catchup->is_fresh = catchup->has_sync = catchup->was_refused = catchup->leaves_void =
        catchup->was_merging = false;
    memory_free(catchup->part_states);
    catchup->part_states = NULL;
    memory_free(catchup->goal);
    memory_free(catchup->needed);
    catchup->goal = catchup->needed = NULL;
    catchup->sourceless_us = catchup->stuck_us = 0;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        link->catchup.has_rebased = false;
    }
}

static void stop_joining(struct mesh *mesh) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        give_up_parts(link, true);
    }
    if (mesh->data.sync_is_ready(mesh->data.udata)) {
        become_ready(mesh);
    } else {
        mesh->catchup.state = CATCHUP_ADVANCING; /* its log has to begin with a snapshot */
    }
}

/* All parts are in. */
static void finish_parts(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    switch (mesh->data.sync_end(mesh->data.udata)) {
    case MESH_PART_DONE:
        break;
    case MESH_PART_MORE:
        return;
    case MESH_PART_AGAIN:
    case MESH_PART_BAD:
        begin(mesh, catchup->mode);
        return;
    case MESH_PART_REFUSED:
        begin(mesh, catchup->mode == MESH_JOIN_TAKE ? MESH_JOIN_MERGE : catchup->mode);
        return;
    }
    /* It stands on the mesh's state: what it had settled by itself is nobody's concern any more. */
    for (size_t i = 0; i < mesh->membership.members_count; i++) {
        membership_admit_life(mesh->membership.members[i]);
    }
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        link->peer_was_forgotten = link->peer_was_retired = link->peer_is_behind = false;
    }
    membership_limit_frontier(&mesh->membership, mesh->data.context(mesh->data.udata));
    catchup->state = CATCHUP_ADVANCING;
    catchup->warned_us = mesh->monotonic_us;
    mesh_say(mesh, MESH_LEVEL_VERBOSE, "Mesh: %u parts are here after %.3f s; the rest by streams",
             catchup->parts_done, seconds_since(mesh, catchup->started_us));
    streamer_resume(mesh);
}

static void try_to_end(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    if (catchup->wants_anew || !mesh->data.sync_is_ready(mesh->data.udata)) {
        return;
    }
    mesh->is_admitted = true;
    mesh->stats.syncs_snapshot++;
    mesh->stats.rebases += catchup->mode == MESH_JOIN_REBASE;
    mesh->stats.last_sync_seconds = seconds_since(mesh, catchup->started_us);
    mesh_say(mesh, MESH_LEVEL_NOTICE,
             "Mesh: ready after %.3f s, %u parts, %llu keys; %llu parts had to be resumed so far",
             mesh->stats.last_sync_seconds, catchup->parts_done,
             (unsigned long long)mesh->data.keys_count(mesh->data.udata),
             (unsigned long long)mesh->stats.parts_resumed);
    become_ready(mesh);
}

/* The peers whose parts fit have become joiners themselves, or are gone, and those that are ready
 * cut their parts by another seed: it is begun anew, by theirs. */
static bool must_change_seed(const struct mesh *mesh) {
    bool is_any_foreign = false;
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        bool is_eligible_now =
            has_needed(link) && !link->peer_is_joining && !is_refused(link) &&
            !catchup_peer_has_void(link) &&
            (mesh->catchup.mode != MESH_JOIN_REBASE || knows_own_lives(mesh, link));
        if (!is_eligible_now) {
            continue;
        }
        if (!link->catchup.is_foreign) {
            return false;
        }
        is_any_foreign = true;
    }
    return is_any_foreign && mesh->catchup.parts_done < CATCHUP_PARTS;
}

/* All linked peers are joining, too: one must not, or nobody has anything to take over. The one
 * with most to give ends first; who has nothing left to give, since parts came, does not. */
static void look_for_tie(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    unsigned up = 0, better = 0;
    bool is_any_ready = false;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link)) {
            up++;
            is_any_ready |= !link->peer_is_joining;
            better += compare_with_peer(link) < 0;
        }
    }
    if (up == 0 || is_any_ready || catchup->has_sync) {
        catchup->tied_us = 0;
        return;
    }
    if (catchup->tied_us == 0) {
        catchup->tied_us = mesh->monotonic_us;
    }
    if (mesh->monotonic_us - catchup->tied_us >= (1 + better) * CATCHUP_TIED_MS * 1000ULL) {
        mesh_say(mesh, MESH_LEVEL_NOTICE,
                 "Mesh: all peers are joining, and this node has the most to give: ready");
        stop_joining(mesh);
    }
}

/* ---- joining: a fresh node waits ---- */

static void note_peer(struct catchup *catchup, struct mesh_link *link) {
    struct context seen;
    link->catchup.is_counted = true;
    if (catchup_peer_has_void(link)) {
        return; /* it is going to take over another state */
    }
    seen_context(link, &seen);
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
    seen_by_links(mesh, is_patient, &all);
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
    if (!has_seen(mesh, catchup->goal)) {
        return; /* the logs of the peers bring it, or say that they cannot */
    }
    mesh->is_admitted = up > 0;
    mesh->stats.syncs_log += catchup->had_peers_data;
    mesh->stats.last_sync_seconds = seconds_since(mesh, catchup->started_us);
    mesh_say(mesh, MESH_LEVEL_NOTICE, "Mesh: ready, %s",
             catchup->had_peers_data ? "with all that the peers' logs had"
             : up > 0                ? "no peer has data"
                                     : "though no peer could be reached so far");
    become_ready(mesh);
}

/* Those who have what is needed may be gone for good. */
static void look_for_source(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    /* Two joiners may each be the only one who has what the other one needs. */
    bool is_long = mesh->monotonic_us - catchup->started_us >= CATCHUP_JOINER_MS * UINT64_C(1000);
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (has_needed(link) && !(link->peer_is_joining && is_long)) {
            catchup->sourceless_us = 0;
            return;
        }
    }
    if (catchup->sourceless_us == 0) {
        catchup->sourceless_us = mesh->monotonic_us;
    } else if (mesh->monotonic_us - catchup->sourceless_us >=
               CATCHUP_SOURCELESS_MS * UINT64_C(1000)) {
        memory_free(catchup->needed);
        catchup->needed = NULL;
    }
}

/* A peer that crashed may have shown in a part what it, and everybody, has no more. */
static void look_for_rest(struct mesh *mesh) {
    struct catchup *catchup = &mesh->catchup;
    const struct context *goal =
        mesh->data.sync_goal == NULL ? NULL : mesh->data.sync_goal(mesh->data.udata);
    struct context all;
    seen_by_links(mesh, true, &all);
    context_join(&all, mesh->data.context(mesh->data.udata));
    if (goal == NULL || context_covers_all(&all, goal)) {
        catchup->sourceless_us = 0;
    } else if (catchup->sourceless_us == 0) {
        catchup->sourceless_us = mesh->monotonic_us;
    } else if (mesh->monotonic_us - catchup->sourceless_us >=
               CATCHUP_SOURCELESS_MS * UINT64_C(1000)) {
        memory_free(catchup->needed);
        catchup->needed = NULL;
        catchup->sourceless_us = 0;
        begin_without(mesh);
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
             seconds_since(mesh, catchup->started_us), catchup->parts_done, (unsigned)CATCHUP_PARTS,
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
            finish_parts(mesh);
        } else {
            hand_out_parts(mesh);
        }
        break;
    case CATCHUP_ADVANCING:
        try_to_end(mesh);
        break;
    }
}

/* Has it by now all that one of its peers has? Then this life is admitted, wherever it began. */
static void look_for_admission(struct mesh *mesh) {
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        struct context seen;
        if (link_is_up(link) && link->member != NULL && !link->peer_is_joining) {
            seen_context(link, &seen);
            mesh->is_admitted |= has_seen(mesh, &seen);
        }
    }
}

/* False: what has begun has to go on. */
static bool cancel_sync(struct mesh *mesh) {
    if (!mesh->catchup.has_sync) {
        return true;
    }
    if (mesh->data.sync_cancel == NULL || !mesh->data.sync_cancel(mesh->data.udata)) {
        return false;
    }
    streamer_resume(mesh);
    return true;
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
        seen_context(link, &needed);
        need(catchup, &needed);
        bool is_unmade = replicas_has_unmade(replicas, context);
        mesh_say(mesh, MESH_LEVEL_NOTICE,
                 "Mesh: a node that was forgotten has written again what this one has, too%s",
                 is_unmade ? ", but not all of it" : "");
        begin(mesh, is_unmade ? MESH_JOIN_REBASE : MESH_JOIN_TAKE);
        catchup->leaves_void = true;
    } else if (catchup->state == CATCHUP_IDLE && replicas->slots[replicas->self].is_ended &&
               mesh->generation_wanted == 0) {
        mesh_want_generation(mesh, 0); /* whatever it wrote now would be void, too */
    } else if (catchup->state == CATCHUP_PULLING && link == NULL && catchup->leaves_void &&
               catchup->mode == MESH_JOIN_TAKE && catchup->parts_done < CATCHUP_PARTS &&
               cancel_sync(mesh)) {
        stop_joining(mesh);
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
               cancel_sync(mesh)) {
        mesh_say(mesh, MESH_LEVEL_NOTICE,
                 "Mesh: all peers have what is written again here, and take that over");
        stop_joining(mesh);
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
        begin(mesh, MESH_JOIN_REBASE);
    }
    if (catchup_is_rebasing(catchup) && !catchup->has_begun && !catchup->was_merging &&
        mesh->monotonic_us - catchup->started_us >= CATCHUP_REBASE_MS * UINT64_C(1000) &&
        is_put_back(mesh)) {
        catchup->was_merging = true; /* if that is refused, it is compared after all */
        begin(mesh, MESH_JOIN_MERGE);
    }
    if (catchup->state == CATCHUP_PULLING) {
        for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
            if (link->catchup.asked_count > 0 &&
                mesh->monotonic_us - link->catchup.pulled_us >= CATCHUP_PATIENCE_MS * 1000ULL) {
                give_up_parts(link, true);
                link->catchup.retry_us = mesh->monotonic_us + CATCHUP_PATIENCE_MS * 1000ULL;
            }
        }
        look_for_source(mesh);
        look_for_tie(mesh);
        if (catchup->state == CATCHUP_PULLING && must_change_seed(mesh)) {
            for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
                give_up_parts(link, true);
            }
            begin(mesh, catchup->mode);
        }
    }
    if (catchup->state == CATCHUP_ADVANCING && catchup->wants_anew &&
        mesh->monotonic_us - catchup->begun_us >= CATCHUP_ANEW_MS * UINT64_C(1000)) {
        begin_anew(mesh);
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
}
