/* SPDX-License-Identifier: BSD-3-Clause */
/* Whom to connect to, and when.
 *
 * Addresses come from seeds, from MESH MEET, from the names among these (each address of a name is
 * somebody of its own, and the name is looked up again for every retry), and from members that
 * have no link. Each is tried again with a pause that doubles, with jitter, so that nodes that
 * come up together do not stay in step. Where a pair could dial each other, the node with the
 * smaller id is a little faster, since its connection would survive anyway.
 *
 * With more members than settings.full_links not all are linked: a random part is, which changes
 * slowly, and the rest is reached through relays and gossip.
 *
 * Refusals are remembered by address, so that they are told once and can be shown. */
#include <stdio.h>

#include "base/check.h"
#include "base/memory.h"
#include "mesh/mesh_state.h"

enum {
    DIAL_SEED = 1,
    DIAL_MET = 2,
    DIAL_MEMBER = 4,
    DIAL_RESOLVED = 8, /* an address of a name */

    DIALS_MAX = 1024,
    CUTS_MAX = 256,
    REFUSALS_MAX = 128, /* the oldest goes */
    BACKOFF_MS_MIN = 100,
    BACKOFF_MS_MAX = 5000,
    SELF_RETRY_MS = 60000,
    DUPLICATE_RETRY_MS = 1000,
    RESOLVE_AGAIN_MS = 30000, /* while an address of the name is linked */
    RESOLVE_PATIENCE_MS = 10000,
    REFUSAL_TOLD_MS = 60000,   /* each reason not more often, when it changes to and fro */
    RESOLVED_KEPT_MS = 120000, /* after a name was last seen to have that address */
    MEMBER_KEPT_MS = 60000,
    PARTIAL_LINKS_MIN = 8,
    ROTATE_MS = 60000,
    LARGER_ID_DELAY_MS = 300,
};

struct mesh_dial {
    struct mesh_dial *next;
    char address[MESH_ADDRESS_BYTES];
    unsigned kinds;
    bool is_name, is_resolving, is_self, has_node;
    uint8_t node_id[REPLICA_NODE_ID_BYTES]; /* who was found there */
    struct mesh_link *link;
    uint64_t backoff_ms, next_us;
    uint64_t seen_us; /* RESOLVED: when the name had it; MEMBER: when it was last wanted */
};

struct refusal {
    char address[MESH_ADDRESS_BYTES];
    char version[32];
    enum mesh_reason reason;
    char detail[MESH_DETAIL_BYTES];       /* that was told of last */
    uint64_t told_us[MESH_REASONS_COUNT]; /* 0: never */
    int64_t clock_offset_ms, unix_ms;
};

struct mesh_dials {
    struct mesh_dial *first;
    size_t count;
    char (*cuts)[MESH_ADDRESS_BYTES];
    size_t cuts_count;
    bool cuts_all;
    struct refusal *refusals;
    size_t refusals_count;
    uint64_t next_rotation_us;
};

/* ---- addresses ---- */

/* A name has to be looked up: not four numbers, and not an IPv6 address in brackets. */
static bool is_name(const char *address) {
    const char *colon = strrchr(address, ':');
    size_t size = colon != NULL ? (size_t)(colon - address) : strlen(address);
    if (size == 0 || address[0] == '[' || memchr(address, ':', size) != NULL) {
        return false;
    }
    return strspn(address, "0123456789.") < size;
}

static unsigned port_of(const char *address) {
    const char *colon = strrchr(address, ':');
    unsigned port = 0;
    for (const char *at = colon != NULL ? colon + 1 : ""; *at >= '0' && *at <= '9'; at++) {
        port = port * 10 + (unsigned)(*at - '0');
        if (port > 65535) {
            return 0;
        }
    }
    return port;
}

static struct mesh_dial *find_dial(const struct mesh *mesh, const char *address) {
    struct mesh_dial *dial = mesh->dials->first;
    while (dial != NULL && strcmp(dial->address, address) != 0) {
        dial = dial->next;
    }
    return dial;
}

static struct mesh_dial *add_dial(struct mesh *mesh, const char *address, unsigned kind) {
    struct mesh_dial *dial = find_dial(mesh, address);
    if (dial == NULL) {
        if (mesh->dials->count >= DIALS_MAX || strlen(address) >= MESH_ADDRESS_BYTES) {
            return NULL;
        }
        dial = memory_alloc_zero(sizeof(*dial));
        (void)snprintf(dial->address, sizeof(dial->address), "%s", address);
        dial->is_name = is_name(address) && mesh->host.resolve != NULL;
        dial->next = mesh->dials->first;
        mesh->dials->first = dial;
        mesh->dials->count++;
    }
    dial->kinds |= kind;
    return dial;
}

static void remove_dial(struct mesh *mesh, struct mesh_dial *gone) {
    struct mesh_dial **at = &mesh->dials->first;
    while (*at != gone) {
        at = &(*at)->next;
    }
    *at = gone->next;
    mesh->dials->count--;
    if (gone->link != NULL) {
        gone->link->dial = NULL;
    }
    memory_free(gone);
}

static uint64_t jittered_us(struct mesh *mesh, uint64_t ms) {
    return ms * 750 + prng_below(&mesh->prng, ms * 500 + 1);
}

static void try_later(struct mesh *mesh, struct mesh_dial *dial) {
    dial->backoff_ms = dial->backoff_ms == 0 ? BACKOFF_MS_MIN : 2 * dial->backoff_ms;
    if (dial->backoff_ms > BACKOFF_MS_MAX) {
        dial->backoff_ms = BACKOFF_MS_MAX;
    }
    dial->next_us = mesh->monotonic_us + jittered_us(mesh, dial->backoff_ms);
}

/* ---- lifecycle ---- */

void dials_init(struct mesh *mesh) {
    mesh->dials = memory_alloc_zero(sizeof(*mesh->dials));
    mesh->dials->next_rotation_us = mesh->monotonic_us + ROTATE_MS * 1000ULL;
}

void dials_deinit(struct mesh *mesh) {
    while (mesh->dials->first != NULL) {
        remove_dial(mesh, mesh->dials->first);
    }
    memory_free(mesh->dials->cuts);
    memory_free(mesh->dials->refusals);
    memory_free(mesh->dials);
    mesh->dials = NULL;
}

void dials_configure(struct mesh *mesh) {
    for (struct mesh_dial *dial = mesh->dials->first; dial != NULL; dial = dial->next) {
        dial->kinds &= ~(unsigned)DIAL_SEED;
    }
    for (size_t i = 0; i < mesh->settings.seeds_count; i++) {
        (void)add_dial(mesh, mesh->settings.seeds[i], DIAL_SEED);
    }
}

void mesh_meet(struct mesh *mesh, const char *address) {
    mesh_enter(mesh);
    struct mesh_dial *dial = add_dial(mesh, address, DIAL_MET);
    if (dial != NULL) {
        dial->next_us = 0;
        dial->backoff_ms = 0;
        dial->is_self = false;
    }
    mesh_exit(mesh);
}

void mesh_resolved(struct mesh *mesh, const char *name, unsigned port, const char *const *addresses,
                   size_t count) {
    char whole[MESH_ADDRESS_BYTES];
    (void)snprintf(whole, sizeof(whole), "%s:%u", name, port);
    mesh_enter(mesh);
    struct mesh_dial *from = find_dial(mesh, whole);
    if (from != NULL) {
        from->is_resolving = false;
        bool is_linked = false;
        for (size_t i = 0; i < count; i++) {
            struct mesh_dial *dial = add_dial(mesh, addresses[i], DIAL_RESOLVED);
            if (dial != NULL) {
                dial->is_name = false;
                dial->seen_us = mesh->monotonic_us;
                is_linked = is_linked || (dial->link != NULL && link_is_up(dial->link));
            }
        }
        if (is_linked) {
            from->backoff_ms = 0;
            from->next_us = mesh->monotonic_us + jittered_us(mesh, RESOLVE_AGAIN_MS);
        } else {
            try_later(mesh, from);
        }
    }
    mesh_exit(mesh);
}

/* ---- how links end ---- */

void dials_link_ended(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct mesh_dial *dial = link->dial;
    if (dial == NULL) {
        return;
    }
    dial->link = NULL;
    link->dial = NULL;
    if ((link->handshake & HANDSHAKE_HELLO_TAKEN) != 0) {
        dial->has_node = true;
        memcpy(dial->node_id, link->peer.node, REPLICA_NODE_ID_BYTES);
        dial->is_self = link->reason == MESH_REASON_SELF ||
                        memcmp(link->peer.node, mesh->opts.node_id, REPLICA_NODE_ID_BYTES) == 0;
    }
    if (dial->is_self) {
        dial->next_us = mesh->monotonic_us + jittered_us(mesh, SELF_RETRY_MS);
    } else if (link->reason == MESH_REASON_DUPLICATE) {
        dial->next_us = mesh->monotonic_us + jittered_us(mesh, DUPLICATE_RETRY_MS);
    } else {
        if ((link->handshake & HANDSHAKE_CONTEXT_TAKEN) != 0) {
            dial->backoff_ms = 0; /* it worked */
        }
        try_later(mesh, dial);
    }
}

/* The port of one who connected says nothing. */
static const char *host_of(const struct mesh_link *link, char *into, size_t room) {
    const char *colon = strrchr(link->address, ':');
    size_t size = colon != NULL ? (size_t)(colon - link->address) : strlen(link->address);
    (void)snprintf(into, room, "%.*s", (int)size, link->address);
    return into;
}

static const char *refusal_key(const struct mesh_link *link, char *into, size_t room) {
    if (link->is_dialled) {
        return link->address;
    }
    return link->peer_address[0] != '\0' ? link->peer_address : host_of(link, into, room);
}

static struct refusal *find_refusal(const struct mesh *mesh, const char *address) {
    for (size_t i = 0; i < mesh->dials->refusals_count; i++) {
        if (strcmp(mesh->dials->refusals[i].address, address) == 0) {
            return &mesh->dials->refusals[i];
        }
    }
    return NULL;
}

static struct refusal *add_refusal(struct mesh *mesh, const char *address) {
    struct mesh_dials *dials = mesh->dials;
    if (dials->refusals_count == REFUSALS_MAX) {
        memmove(dials->refusals, dials->refusals + 1,
                (REFUSALS_MAX - 1) * sizeof(dials->refusals[0]));
        dials->refusals_count--;
    }
    dials->refusals =
        memory_resize(dials->refusals, (dials->refusals_count + 1) * sizeof(dials->refusals[0]));
    struct refusal *refusal = &dials->refusals[dials->refusals_count++];
    *refusal = (struct refusal){0};
    (void)snprintf(refusal->address, sizeof(refusal->address), "%s", address);
    return refusal;
}

/* Is this to be told? It is, when it is new; and when it is not what was told last, but now and
 * then only: several nodes may hide behind one address. */
static bool has_news(const struct mesh_link *link, const struct refusal *refusal,
                     enum mesh_reason reason) {
    const char *detail = link->detail != NULL ? link->detail : "";
    bool is_same = refusal->reason == reason &&
                   strncmp(refusal->detail, detail, sizeof(refusal->detail) - 1) == 0;
    uint64_t told_us = refusal->told_us[reason];
    return told_us == 0 ||
           (!is_same && link->mesh->monotonic_us - told_us >= REFUSAL_TOLD_MS * 1000ULL);
}

static void say_refusal(const struct mesh_link *link, struct refusal *refusal,
                        enum mesh_reason reason, bool by_peer) {
    char clock[64] = "";
    if (reason == MESH_REASON_CLOCK && link->clock_offset_ms != 0) {
        (void)snprintf(clock, sizeof(clock), ", its clock is off by %lld ms",
                       (long long)link->clock_offset_ms);
    }
    (void)snprintf(refusal->detail, sizeof(refusal->detail), "%s",
                   link->detail != NULL ? link->detail : "");
    refusal->told_us[reason] = link->mesh->monotonic_us > 0 ? link->mesh->monotonic_us : 1;
    mesh_say(link->mesh, MESH_LEVEL_WARNING,
             by_peer ? "Mesh: %s refuses this node: %s%s%s%s" : "Mesh: %s is refused: %s%s%s%s",
             refusal->address, mesh_reason_name(reason), clock,
             refusal->detail[0] != '\0' ? ": " : "", refusal->detail);
}

void dials_note_refusal(struct mesh_link *link, enum mesh_reason reason, bool by_peer) {
    struct mesh *mesh = link->mesh;
    mesh->stats.refused[reason]++;
    if (reason == MESH_REASON_DUPLICATE || reason == MESH_REASON_SELF) {
        return; /* a seed that is this node, or both sides dialled: nothing is wrong */
    }
    char room[MESH_ADDRESS_BYTES];
    const char *key = refusal_key(link, room, sizeof(room));
    struct refusal *refusal = find_refusal(mesh, key);
    if (refusal == NULL) {
        refusal = add_refusal(mesh, key);
    }
    if (has_news(link, refusal, reason)) {
        say_refusal(link, refusal, reason, by_peer);
    }
    refusal->reason = reason;
    refusal->unix_ms = mesh->unix_ms;
    if (link->clock_offset_ms != 0) {
        refusal->clock_offset_ms = link->clock_offset_ms;
    }
    (void)snprintf(refusal->version, sizeof(refusal->version), "%s", link->peer_version);
}

enum mesh_reason dials_refusal(const struct mesh *mesh, const char *address) {
    const struct refusal *refusal = find_refusal(mesh, address);
    return refusal != NULL ? refusal->reason : MESH_REASON_NONE;
}

void dials_link_up(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    char host[MESH_ADDRESS_BYTES];
    const char *addresses[] = {link->address, host_of(link, host, sizeof(host)),
                               link->peer_address};
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        struct refusal *refusal = find_refusal(mesh, addresses[i]);
        if (refusal != NULL) {
            struct refusal *end = mesh->dials->refusals + mesh->dials->refusals_count;
            memmove(refusal, refusal + 1, (size_t)(end - refusal - 1) * sizeof(*refusal));
            mesh->dials->refusals_count--;
        }
    }
    if (link->dial != NULL) {
        link->dial->has_node = true;
        link->dial->is_self = false;
        link->dial->backoff_ms = 0;
        memcpy(link->dial->node_id, link->peer.node, REPLICA_NODE_ID_BYTES);
    }
}

static bool is_member_address(const struct mesh *mesh, const char *address) {
    for (size_t i = 0; i < mesh->membership.members_count; i++) {
        if (strcmp(mesh->membership.members[i]->address, address) == 0) {
            return true;
        }
    }
    return false;
}

void dials_visit_refused(const struct mesh *mesh,
                         void (*visit)(void *udata, const struct mesh_node_info *info),
                         void *udata) {
    for (size_t i = 0; i < mesh->dials->refusals_count; i++) {
        const struct refusal *refusal = &mesh->dials->refusals[i];
        if (is_member_address(mesh, refusal->address)) {
            continue;
        }
        struct mesh_node_info info = {.state = MESH_DEAD,
                                      .link = MESH_LINK_REFUSED,
                                      .reason = refusal->reason,
                                      .clock_offset_ms = refusal->clock_offset_ms,
                                      .lag_out_changes = MESH_LAG_UNKNOWN,
                                      .lag_in_changes = MESH_LAG_UNKNOWN,
                                      .last_heard_ms = refusal->unix_ms};
        (void)snprintf(info.address, sizeof(info.address), "%s", refusal->address);
        (void)snprintf(info.version, sizeof(info.version), "%s", refusal->version);
        visit(udata, &info);
    }
}

/* ---- cuts ---- */

bool dials_is_cut(const struct mesh *mesh, const char *address) {
    for (size_t i = 0; i < mesh->dials->cuts_count; i++) {
        if (strcmp(mesh->dials->cuts[i], address) == 0) {
            return true;
        }
    }
    return mesh->dials->cuts_all;
}

static bool is_all(const char *address) {
    return slice_is_word(slice_of(address), "all");
}

void mesh_cut(struct mesh *mesh, const char *address) {
    struct mesh_dials *dials = mesh->dials;
    mesh_enter(mesh);
    if (is_all(address)) {
        dials->cuts_all = true;
    } else if (!dials_is_cut(mesh, address) && dials->cuts_count < CUTS_MAX) {
        dials->cuts = memory_resize(dials->cuts, (dials->cuts_count + 1) * sizeof(dials->cuts[0]));
        (void)snprintf(dials->cuts[dials->cuts_count++], sizeof(dials->cuts[0]), "%s", address);
    }
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (dials_is_cut(mesh, link->peer_address) ||
            (link->is_dialled && dials_is_cut(mesh, link->address))) {
            link_close(link, MESH_REASON_CUT, true);
        }
    }
    mesh_exit(mesh);
}

void mesh_heal(struct mesh *mesh, const char *address) {
    struct mesh_dials *dials = mesh->dials;
    mesh_enter(mesh);
    if (is_all(address)) {
        dials->cuts_all = false;
        dials->cuts_count = 0;
    }
    for (size_t i = dials->cuts_count; i-- > 0;) {
        if (strcmp(dials->cuts[i], address) == 0) {
            memmove(dials->cuts[i], dials->cuts[dials->cuts_count - 1], sizeof(dials->cuts[0]));
            dials->cuts_count--;
        }
    }
    for (struct mesh_dial *dial = dials->first; dial != NULL; dial = dial->next) {
        if (dial->link == NULL && !dial->is_self && !dials_is_cut(mesh, dial->address)) {
            dial->next_us = 0;
            dial->backoff_ms = 0;
        }
    }
    mesh_exit(mesh);
}

/* ---- dialling ---- */

static bool is_linkable(const struct member *member) {
    return !member->is_self && member->state != MEMBER_LEFT && member->state != MEMBER_FORGOTTEN &&
           member->address != NULL && member->address[0] != '\0';
}

/* A link with it, whatever its state; or a dial under way to where it was found. */
static bool has_link(const struct mesh *mesh, const uint8_t node_id[REPLICA_NODE_ID_BYTES]) {
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (!link->is_closing && !link->is_gone && link->member != NULL &&
            memcmp(link->member->node_id, node_id, REPLICA_NODE_ID_BYTES) == 0) {
            return true;
        }
    }
    for (const struct mesh_dial *dial = mesh->dials->first; dial != NULL; dial = dial->next) {
        if (dial->link != NULL && dial->has_node &&
            memcmp(dial->node_id, node_id, REPLICA_NODE_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

static void dial_now(struct mesh *mesh, struct mesh_dial *dial) {
    if (dial->is_name) {
        if (dial->is_resolving && mesh->monotonic_us < dial->next_us) {
            return;
        }
        char name[MESH_ADDRESS_BYTES];
        const char *colon = strrchr(dial->address, ':');
        (void)snprintf(name, sizeof(name), "%.*s", (int)(colon != NULL ? colon - dial->address : 0),
                       dial->address);
        dial->is_resolving = true;
        dial->next_us = mesh->monotonic_us + RESOLVE_PATIENCE_MS * 1000ULL;
        mesh->host.resolve(mesh->host.udata, name, port_of(dial->address));
        return;
    }
    struct mesh_link *link = link_new(mesh, dial->address, true);
    link->dial = dial;
    dial->link = link;
    mesh->host.dial(mesh->host.udata, link, link->address);
}

bool dials_are_partial(const struct mesh *mesh) {
    return mesh->membership.members_count - mesh->membership.forgotten_count - 1 >
           mesh->settings.full_links;
}

static size_t wanted_links(const struct mesh *mesh) {
    size_t others = mesh->membership.members_count - 1;
    if (!dials_are_partial(mesh)) {
        return others;
    }
    size_t part = mesh->settings.full_links / 2;
    return part > PARTIAL_LINKS_MIN ? part : PARTIAL_LINKS_MIN;
}

/* Links that are up or may come up. */
static size_t present_links(const struct mesh *mesh) {
    size_t count = 0;
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        count += !link->is_closing && !link->is_gone && (link->member != NULL || link->is_dialled);
    }
    return count;
}

/* Members without a link get a dial, as many as are wanted. */
static void want_members(struct mesh *mesh, size_t missing) {
    struct membership *membership = &mesh->membership;
    size_t count = membership->members_count;
    size_t start = (size_t)prng_below(&mesh->prng, count);
    for (size_t i = 0; i < count && missing > 0; i++) {
        struct member *member = membership->members[(start + i) % count];
        if (!is_linkable(member) || dials_is_cut(mesh, member->address) ||
            has_link(mesh, member->node_id)) {
            continue;
        }
        struct mesh_dial *dial = find_dial(mesh, member->address);
        if (dial == NULL || (dial->kinds & DIAL_MEMBER) == 0) {
            bool is_new = dial == NULL;
            dial = add_dial(mesh, member->address, DIAL_MEMBER);
            if (dial == NULL) {
                return;
            }
            bool is_smaller =
                memcmp(mesh->opts.node_id, member->node_id, REPLICA_NODE_ID_BYTES) < 0;
            if (is_new && !is_smaller) {
                dial->next_us = mesh->monotonic_us + jittered_us(mesh, LARGER_ID_DELAY_MS);
            }
        }
        dial->has_node = true;
        memcpy(dial->node_id, member->node_id, REPLICA_NODE_ID_BYTES);
        dial->seen_us = mesh->monotonic_us;
        missing--;
    }
}

/* Is the dial of use no more? */
static bool is_stale(const struct mesh *mesh, const struct mesh_dial *dial) {
    uint64_t idle_us = mesh->monotonic_us - dial->seen_us;
    unsigned kinds = dial->kinds;
    if (dial->link != NULL || (kinds & (DIAL_SEED | DIAL_MET)) != 0) {
        return false;
    }
    if ((kinds & DIAL_MEMBER) != 0 && idle_us < MEMBER_KEPT_MS * 1000ULL) {
        return false;
    }
    return (kinds & DIAL_RESOLVED) == 0 || idle_us >= RESOLVED_KEPT_MS * 1000ULL;
}

/* Now and then another part of a large mesh is linked. */
static void rotate(struct mesh *mesh) {
    struct mesh_dials *dials = mesh->dials;
    if (mesh->monotonic_us < dials->next_rotation_us) {
        return;
    }
    dials->next_rotation_us = mesh->monotonic_us + jittered_us(mesh, ROTATE_MS);
    if (!dials_are_partial(mesh) || present_links(mesh) < wanted_links(mesh)) {
        return;
    }
    struct mesh_link *chosen = NULL;
    uint64_t count = 0;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link) && link->is_dialled && link->catchup.asked_count == 0 &&
            link->catchup.served == NULL && prng_below(&mesh->prng, ++count) == 0) {
            chosen = link;
        }
    }
    if (chosen != NULL) {
        link_close(chosen, MESH_REASON_NONE, true);
    }
}

void dials_tick(struct mesh *mesh) {
    size_t present = present_links(mesh), wanted = wanted_links(mesh);
    bool is_full = dials_are_partial(mesh) && present >= wanted;
    rotate(mesh);
    if (present < wanted && !mesh->is_leaving) {
        want_members(mesh, dials_are_partial(mesh) ? wanted - present : wanted);
    }
    struct mesh_dial *next;
    for (struct mesh_dial *dial = mesh->dials->first; dial != NULL; dial = next) {
        next = dial->next;
        if (is_stale(mesh, dial)) {
            remove_dial(mesh, dial);
            continue;
        }
        if (dial->link != NULL || mesh->monotonic_us < dial->next_us || mesh->is_leaving ||
            is_full || dials_is_cut(mesh, dial->address) ||
            (dial->has_node && !dial->is_self && has_link(mesh, dial->node_id))) {
            continue;
        }
        if (dial->has_node && !dial->is_self &&
            (dial->kinds & (DIAL_SEED | DIAL_MET | DIAL_RESOLVED)) == 0) {
            const struct member *member = membership_find(&mesh->membership, dial->node_id);
            if (member == NULL || !is_linkable(member)) {
                continue;
            }
        }
        if (dials_are_partial(mesh) && ++present > wanted) {
            is_full = true;
            continue;
        }
        dial_now(mesh, dial);
    }
}
