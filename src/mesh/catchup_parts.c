/* SPDX-License-Identifier: BSD-3-Clause */
/* Pulling the parts of a state from peers. */
#include "mesh/catchup_internal.h"

#include <string.h>

#include "base/codec.h"
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
};

/* A count of 0 calls off all that was asked for. */
static void send_pull(struct mesh_link *link, unsigned part, unsigned parts_count) {
    struct buffer *frame = catchup_frame_begin(link->mesh, part);
    frame->size += varint_put(buffer_reserve(frame, VARINT_BYTES_MAX), parts_count);
    link_send(link, MESH_FRAME_PART_PULL, buffer_slice(frame));
}

void catchup_give_up_parts(struct mesh_link *link, bool tells) {
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

/* The parts are cut by one hash seed: that of the first to come. */
static bool settle_seed(struct mesh_link *link, const uint64_t seed[2]) {
    struct mesh *mesh = link->mesh;
    struct catchup *catchup = &mesh->catchup;
    memcpy(link->peer_seed, seed, sizeof(link->peer_seed));
    if (!catchup->has_begun) {
        streamer_pause(mesh);
        mesh->data.sync_begin(mesh->data.udata, catchup->mode);
        catchup->has_begun = catchup->has_sync = true;
        if (catchup->mode == MESH_JOIN_REBASE && !catchup->is_comparing) {
            catchup->is_comparing = true;
            catchup_tell_peers(mesh);
        }
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

bool catchup_has_needed(const struct mesh_link *link) {
    struct context seen;
    if (!link_is_up(link)) {
        return false;
    }
    if (link->mesh->catchup.needed == NULL) {
        return !link->mesh->catchup.has_teller;
    }
    catchup_seen_context(link, &seen);
    return context_covers_all(&seen, link->mesh->catchup.needed);
}

/* May it be asked for parts? */
static bool is_eligible(const struct mesh_link *link) {
    return !link->catchup.is_foreign && catchup_has_needed(link) && !catchup_peer_has_void(link);
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
    catchup_give_up_parts(link, true);
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
        catchup_begin(mesh, mesh->catchup.mode);
    } else if (mesh->catchup.mode != MESH_JOIN_REBASE) {
        catchup_begin(mesh,
                      mesh->catchup.mode == MESH_JOIN_TAKE ? MESH_JOIN_MERGE : MESH_JOIN_REBASE);
    }
}

/* False: the peer sent nonsense. */
static bool part_came(struct mesh_link *link, enum mesh_part status) {
    switch (status) {
    case MESH_PART_MORE:
    case MESH_PART_DONE:
        return true;
    case MESH_PART_AGAIN:
        catchup_give_up_parts(link, true);
        return true;
    case MESH_PART_REFUSED:
        refuse_part(link);
        return true;
    case MESH_PART_BAD:
        break;
    }
    catchup_give_up_parts(link, false);
    return false;
}

static bool begin_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    uint64_t seed[2];
    if (!codec_take_u64(&payload, &seed[0]) || !codec_take_u64(&payload, &seed[1])) {
        return false;
    }
    if (!settle_seed(link, seed)) {
        catchup_give_up_parts(link, true);
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
        catchup_give_up_parts(link, true);
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

/* May one more part be asked for? */
static bool wants_part(const struct mesh *mesh, const struct mesh_link *link) {
    const struct link_catchup *pull = &link->catchup;
    return pull->asked_count < pulls_max(link) && pull->retry_us <= mesh->monotonic_us &&
           is_eligible(link) && !is_refused(link) &&
           (mesh->catchup.mode != MESH_JOIN_REBASE || catchup_may_compare(mesh, link));
}

void catchup_hand_out_parts(struct mesh *mesh) {
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

bool catchup_must_change_seed(const struct mesh *mesh) {
    bool is_any_foreign = false;
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        bool is_eligible_now =
            catchup_has_needed(link) && !link->peer_is_joining && !is_refused(link) &&
            !catchup_peer_has_void(link) &&
            (mesh->catchup.mode != MESH_JOIN_REBASE || catchup_knows_own_lives(mesh, link));
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
