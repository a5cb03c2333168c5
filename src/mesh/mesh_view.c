/* SPDX-License-Identifier: BSD-3-Clause */
/* What commands and INFO ask of the mesh; nothing here changes it. */
#include <stdio.h>

#include "base/check.h"
#include "mesh/mesh_state.h"

/* A dead node that was heard this lately is given time to come back and deliver what it wrote. */
enum { AUTHOR_AWAY_MS = 60000 };

static const struct replicas *get_replicas(const struct mesh *mesh) {
    return mesh->data.replicas(mesh->data.udata);
}

static const struct context *get_context(const struct mesh *mesh) {
    return mesh->data.context(mesh->data.udata);
}

static bool is_peer(const struct member *member) {
    return !member->is_self && member->state != MEMBER_LEFT && member->state != MEMBER_FORGOTTEN;
}

unsigned mesh_acknowledged_count(const struct mesh *mesh, uint64_t stamp) {
    unsigned count = 0;
    for (size_t i = 0; i < mesh->membership.members_count; i++) {
        const struct member *member = mesh->membership.members[i];
        count += is_peer(member) && member_seen(member, stamp_slot(stamp)) >= stamp;
    }
    return count;
}

static bool is_heard(const struct member *member) {
    return member->state == MEMBER_ALIVE || member->state == MEMBER_SUSPECT ||
           member->state == MEMBER_NEW;
}

bool mesh_is_replica_alive(const struct mesh *mesh, unsigned slot, uint64_t within_ms) {
    const struct replicas *replicas = get_replicas(mesh);
    if (slot == STAMP_SLOT_SETTLED || slot >= replicas->slots_count ||
        replicas->slots[slot].ref == 0) {
        return false;
    }
    const struct member *member = membership_find(&mesh->membership, replicas->slots[slot].id.node);
    if (member == NULL || member->state == MEMBER_LEFT || member->state == MEMBER_FORGOTTEN) {
        return false;
    }
    return member->is_self || is_heard(member) ||
           (member->heard_ms != 0 && mesh_now_ms(mesh) - member->heard_ms <= within_ms);
}

/* Was the member forgotten, too, and compares after this node, with what that makes again? Then
 * what is here of it is made again here: one side may have folded it away, or seen and deleted it,
 * which cannot be told from two halves that each make again their own. */
static bool compares_next(const struct mesh *mesh, const struct member *member) {
    const struct mesh_link *link = mesh_find_link(mesh, member);
    return catchup_is_rebasing(&mesh->catchup) && link != NULL && link_is_up(link) &&
           link->catchup.rebases && !catchup_compares_first(link);
}

/* Does a living node with a smaller id have it, or had it until it took over another state? It is
 * enough if one of those makes it known. */
static bool is_known_by_smaller(const struct mesh *mesh, uint64_t stamp) {
    for (size_t i = 0; i < mesh->membership.members_count; i++) {
        const struct member *member = mesh->membership.members[i];
        if (!member->is_self && is_heard(member) && member->heard_ms != 0 &&
            !compares_next(mesh, member) &&
            memcmp(member->node_id, mesh->opts.node_id, REPLICA_NODE_ID_BYTES) < 0 &&
            member_has_had(member, stamp_slot(stamp)) >= stamp) {
            return true;
        }
    }
    return false;
}

/* Does its node make known itself what a replica wrote, if it was there within that time? */
static bool is_known_by_author(const struct mesh *mesh, uint64_t stamp, uint64_t within_ms) {
    const struct replicas *replicas = get_replicas(mesh);
    unsigned slot = stamp_slot(stamp);
    if (!mesh_is_replica_alive(mesh, slot, within_ms)) {
        return false;
    }
    const struct member *member = membership_find(&mesh->membership, replicas->slots[slot].id.node);
    if (compares_next(mesh, member)) {
        return false;
    }
    /* What it wrote in a life in which it was heard it has, whether it told so or not. */
    bool is_its_life = member->ref == replicas->slots[slot].ref && member->heard_ms != 0;
    return member->is_self || is_its_life || member_has_had(member, slot) >= stamp;
}

bool mesh_has_author(const struct mesh *mesh, uint64_t stamp) {
    return is_known_by_author(mesh, stamp, 0) || is_known_by_smaller(mesh, stamp);
}

bool mesh_awaits_author(const struct mesh *mesh, uint64_t stamp) {
    if (!is_known_by_author(mesh, stamp, AUTHOR_AWAY_MS) || is_known_by_smaller(mesh, stamp)) {
        return false;
    }
    const struct replica *life = &get_replicas(mesh)->slots[stamp_slot(stamp)];
    const struct member *author = membership_find(&mesh->membership, life->id.node);
    return author->state == MEMBER_SUSPECT || author->state == MEMBER_DEAD;
}

unsigned mesh_alive_count(const struct mesh *mesh) {
    return (unsigned)(membership_count(&mesh->membership, MEMBER_ALIVE) +
                      membership_count(&mesh->membership, MEMBER_SUSPECT));
}

bool mesh_is_joining(const struct mesh *mesh) {
    return catchup_is_joining(&mesh->catchup);
}

void mesh_frontier(const struct mesh *mesh, struct context *frontier) {
    *frontier = mesh->frontier;
}

/* ---- lags ---- */

static uint64_t milliseconds_between(uint64_t newer, uint64_t older) {
    int64_t from = older != 0 ? stamp_unix_ms(older) : stamp_unix_ms(newer);
    return newer > older && stamp_unix_ms(newer) > from ? (uint64_t)(stamp_unix_ms(newer) - from)
                                                        : 0;
}

/* Goes through stamps by rising slots. */
struct stamps_cursor {
    const struct member_stamps *stamps; /* or NULL */
    unsigned place;
};

static uint64_t cursor_stamp(struct stamps_cursor *cursor, unsigned slot) {
    const struct member_stamps *stamps = cursor->stamps;
    while (stamps != NULL && cursor->place < stamps->count &&
           stamp_slot(stamps->items[cursor->place]) < slot) {
        cursor->place++;
    }
    bool is_there = stamps != NULL && cursor->place < stamps->count &&
                    stamp_slot(stamps->items[cursor->place]) == slot;
    return is_there ? stamps->items[cursor->place] : 0;
}

static void raise_to(uint64_t *most, uint64_t value) {
    *most = value > *most ? value : *most;
}

struct lags {
    uint64_t out_ms, in_ms; /* of the slot where that is most; at least 1 when anything lacks */
    uint64_t out_changes;   /* of all slots; at least 1 for each of which anything lacks */
};

static uint64_t at_least_one(uint64_t count) {
    return count > 0 ? count : 1;
}

/* What the member does not speak of may be retired there, and not here yet: then it was seen. */
static uint64_t retired_stamp(const struct mesh *mesh, const struct member *member, unsigned slot) {
    const struct membership *membership = &mesh->membership;
    uint64_t ref = get_replicas(mesh)->slots[slot].ref;
    for (size_t i = 0; i < membership->retired_count && member->claim != NULL; i++) {
        if (membership->retired[i].ref == ref) {
            return stamp_make(membership->retired[i].ticks, slot);
        }
    }
    return 0;
}

static struct lags measure_lags(const struct mesh *mesh, const struct member *member) {
    const struct replicas *replicas = get_replicas(mesh);
    const struct context *context = get_context(mesh);
    struct stamps_cursor seen = {&member->seen, 0};
    struct stamps_cursor claimed = {member->claim != NULL ? &member->claim->stamps : NULL, 0};
    struct lags lags = {0};
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        uint64_t here = context->stamps[slot];
        uint64_t there = cursor_stamp(&seen, slot), claim = cursor_stamp(&claimed, slot);
        if (replicas->slots[slot].ref == 0) {
            continue;
        }
        raise_to(&there, claim);
        if (here > there && claim == 0) {
            raise_to(&there, retired_stamp(mesh, member, slot));
        }
        /* Its own newest changes are here before it can say so. */
        bool is_its_own =
            memcmp(replicas->slots[slot].id.node, member->node_id, REPLICA_NODE_ID_BYTES) == 0;
        if (here > there && !is_its_own) {
            raise_to(&lags.out_ms, milliseconds_between(here, there) + 1);
            lags.out_changes += at_least_one(
                mesh->data.changes_since(mesh->data.udata, stamp_make(stamp_ticks(there), slot)));
        } else if (there > here) {
            raise_to(&lags.in_ms, milliseconds_between(there, here) + 1);
        }
    }
    return lags;
}

uint64_t mesh_lag_changes(const struct mesh *mesh, const struct member *member) {
    return measure_lags(mesh, member).out_changes;
}

/* ---- nodes ---- */

static enum mesh_state state_of(const struct mesh *mesh, const struct member *member) {
    if (member->is_self) {
        return mesh_is_joining(mesh) ? MESH_JOINING : MESH_ALIVE;
    }
    switch (member->state) {
    case MEMBER_ALIVE:
        return MESH_ALIVE;
    case MEMBER_NEW:
    case MEMBER_SUSPECT:
        return MESH_SUSPECT;
    case MEMBER_DEAD:
        return MESH_DEAD;
    case MEMBER_LEFT:
    case MEMBER_FORGOTTEN:
        return MESH_LEFT;
    }
    impossible("a member in no state");
}

static const struct mesh_link *any_link(const struct mesh *mesh, const struct member *member) {
    const struct mesh_link *found = NULL;
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        bool is_its = link->member == member ||
                      (link->member == NULL && link->is_dialled && member->address[0] != '\0' &&
                       strcmp(link->address, member->address) == 0);
        if (is_its && (found == NULL || link->state == MESH_LINK_UP)) {
            found = link;
        }
    }
    return found;
}

static void describe_link(const struct mesh *mesh, const struct member *member,
                          struct mesh_node_info *info) {
    const struct mesh_link *link = any_link(mesh, member);
    if (link != NULL) {
        info->link = link->state;
        info->round_trip_us = link->round_trip_us;
        info->lag_in_changes = link->lag_heard;
        info->lag_out_bytes = link_out_bytes(link) + link->large.size - link->large_start;
        if (link->state == MESH_LINK_UP && link->peer_is_joining && info->state == MESH_ALIVE &&
            link->stream.state == STREAM_OFF) {
            info->state = MESH_JOINING;
        }
    }
    if (link == NULL || link->state != MESH_LINK_UP) {
        info->reason = dials_refusal(mesh, member->address);
        if (dials_is_cut(mesh, member->address)) {
            info->link = MESH_LINK_CUT;
            info->reason = MESH_REASON_CUT;
        } else if (info->reason != MESH_REASON_NONE) {
            info->link = MESH_LINK_REFUSED;
        }
    }
}

void mesh_visit_nodes(const struct mesh *mesh,
                      void (*visit)(void *udata, const struct mesh_node_info *info), void *udata) {
    for (size_t i = 0; i < mesh->membership.members_count; i++) {
        const struct member *member = mesh->membership.members[i];
        if (member->state == MEMBER_FORGOTTEN) {
            continue;
        }
        struct mesh_node_info info = {.is_self = member->is_self,
                                      .generation = member->generation,
                                      .state = state_of(mesh, member),
                                      .clock_offset_ms = member->clock_offset_ms};
        memcpy(info.node_id, member->node_id, REPLICA_NODE_ID_BYTES);
        (void)snprintf(info.address, sizeof(info.address), "%s", member->address);
        (void)snprintf(info.version, sizeof(info.version), "%s", member->version);
        if (member->is_self) {
            info.last_heard_ms = mesh->unix_ms;
        } else {
            info.phi = membership_phi(&mesh->membership, member, mesh_now_ms(mesh));
            if (member->heard_ms != 0) {
                info.last_heard_ms =
                    mesh->unix_ms - (int64_t)(mesh_now_ms(mesh) - member->heard_ms);
            }
            struct lags lags = measure_lags(mesh, member);
            info.lag_out_ms = lags.out_ms;
            info.lag_in_ms = lags.in_ms;
            info.lag_out_changes =
                member->is_context_known ? (int64_t)lags.out_changes : MESH_LAG_UNKNOWN;
            info.lag_in_changes = MESH_LAG_UNKNOWN;
            describe_link(mesh, member, &info);
        }
        visit(udata, &info);
    }
    dials_visit_refused(mesh, visit, udata);
}

/* ---- numbers ---- */

/* Now minus the oldest entry of the frontier that holds something back. */
static int64_t frontier_age_ms(const struct mesh *mesh) {
    const struct replicas *replicas = get_replicas(mesh);
    const struct context *context = get_context(mesh);
    int64_t age_ms = 0;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        uint64_t settled = mesh->frontier.stamps[slot];
        if (context->stamps[slot] > settled) {
            int64_t since_ms = settled != 0 ? stamp_unix_ms(settled) : STAMP_EPOCH_MS;
            age_ms = mesh->unix_ms - since_ms > age_ms ? mesh->unix_ms - since_ms : age_ms;
        }
    }
    return age_ms;
}

void mesh_get_stats(const struct mesh *mesh, struct mesh_stats *stats) {
    const struct membership *membership = &mesh->membership;
    *stats = mesh->stats;
    stats->members = 0;
    stats->alive = (unsigned)membership_count(membership, MEMBER_ALIVE);
    stats->suspect = (unsigned)(membership_count(membership, MEMBER_SUSPECT) +
                                membership_count(membership, MEMBER_NEW));
    stats->dead = (unsigned)membership_count(membership, MEMBER_DEAD);
    stats->links_up = 0;
    stats->lag_in_changes_max = 0;
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        stats->links_up += link_is_up(link);
        if (link_is_up(link) && link->lag_heard != MESH_LAG_UNKNOWN) {
            raise_to(&stats->lag_in_changes_max, (uint64_t)link->lag_heard);
        }
    }
    stats->has_quorum = membership_has_quorum(membership);
    stats->is_joining = mesh_is_joining(mesh);
    stats->waiting_records = mesh->streamer.waiting_records;
    stats->waiting_bytes = mesh->streamer.waiting_bytes;
    stats->lag_out_ms_max = stats->lag_in_ms_max = stats->lag_out_changes_max = 0;
    for (size_t i = 0; i < membership->members_count; i++) {
        const struct member *member = membership->members[i];
        if (member->state == MEMBER_FORGOTTEN) {
            continue;
        }
        stats->members++;
        if (!is_peer(member)) {
            continue;
        }
        struct lags lags = measure_lags(mesh, member);
        raise_to(&stats->lag_out_ms_max, lags.out_ms);
        raise_to(&stats->lag_in_ms_max, lags.in_ms);
        raise_to(&stats->lag_out_changes_max, lags.out_changes);
    }
    stats->frontier_age_ms = frontier_age_ms(mesh);
}
