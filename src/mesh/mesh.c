/* SPDX-License-Identifier: BSD-3-Clause */
/* The mesh as a whole: its life, its turns, gossip, settling, leaving, and new generations.
 *
 * Calls from outside may nest: the host may close a link from within send() or dial(). So links are
 * only marked inside, and freed when the outermost call ends. */
#include "mesh/mesh.h"

#include "base/check.h"
#include "base/memory.h"
#include "mesh/admission.h"
#include "mesh/mesh_state.h"

enum {
    TICK_US_MAX = 100000,
    LINKS_TICK_US = 50000,         /* between two looks at what time does to links and dials */
    GENERATION_RETRY_US = 1000000, /* when a new generation could not be noted */
    LEAVE_US = 10000000,           /* who leaves does not come again before, and can be stopped */
    GOSSIP_LINKS = 3,              /* that get a digest each interval */
    GOSSIP_ANSWERS = 16,           /* to digests, in a large mesh; a hub may get hundreds */
    MAX_FRAME_BYTES_MIN = 4096,
};

const char *mesh_reason_name(enum mesh_reason reason) {
    static const char *const names[MESH_REASONS_COUNT] = {
        [MESH_REASON_NONE] = "none",
        [MESH_REASON_CLOSED] = "closed",
        [MESH_REASON_TIMEOUT] = "timeout",
        [MESH_REASON_SECRET] = "secret",
        [MESH_REASON_CLUSTER] = "cluster",
        [MESH_REASON_VERSION] = "version",
        [MESH_REASON_CLOCK] = "clock",
        [MESH_REASON_DATABASES] = "databases",
        [MESH_REASON_SELF] = "self",
        [MESH_REASON_DUPLICATE] = "duplicate",
        [MESH_REASON_FORGOTTEN] = "forgotten",
        [MESH_REASON_CUT] = "cut",
        [MESH_REASON_GARBAGE] = "garbage",
        [MESH_REASON_LIMIT] = "limit",
        [MESH_REASON_LEAVING] = "leaving",
        [MESH_REASON_TLS] = "tls",
        [MESH_REASON_CERTIFICATE] = "certificate",
    };
    require(reason < MESH_REASONS_COUNT);
    return names[reason];
}

void mesh_say(struct mesh *mesh, enum mesh_level level, const char *format, ...) {
    if (mesh->host.message == NULL) {
        return;
    }
    struct buffer text = {0};
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    mesh->host.message(mesh->host.udata, level, buffer_text(&text));
    buffer_deinit(&text);
}

static struct replicas *get_replicas(const struct mesh *mesh) {
    return mesh->data.replicas(mesh->data.udata);
}

static const struct context *get_context(const struct mesh *mesh) {
    return mesh->data.context(mesh->data.udata);
}

/* ---- calls from outside ---- */

/* A slot was given up since the last call, at whose end the data had it still: nothing here may
 * speak of it any more. */
static void follow_retired_slots(struct mesh *mesh) {
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    if (replicas->version == mesh->slots_version) {
        return;
    }
    mesh->slots_version = replicas->version;
    if (replicas->slots_count > mesh->slot_refs_count) {
        mesh->slot_refs =
            memory_resize(mesh->slot_refs, replicas->slots_count * sizeof(mesh->slot_refs[0]));
        memset(mesh->slot_refs + mesh->slot_refs_count, 0,
               (replicas->slots_count - mesh->slot_refs_count) * sizeof(mesh->slot_refs[0]));
        mesh->slot_refs_count = replicas->slots_count;
    }
    for (unsigned slot = 1; slot < mesh->slot_refs_count; slot++) {
        uint64_t ref = slot < replicas->slots_count ? replicas->slots[slot].ref : 0;
        if (mesh->slot_refs[slot] != 0 && mesh->slot_refs[slot] != ref) {
            streamer_forget_slot(mesh, slot);
            membership_slot_retired(&mesh->membership, slot);
            mesh->floor.stamps[slot] = 0;
        }
        mesh->slot_refs[slot] = ref;
    }
}

void mesh_enter(struct mesh *mesh) {
    if (mesh->depth++ == 0 && mesh->has_started) {
        follow_retired_slots(mesh);
    }
}

void mesh_exit(struct mesh *mesh) {
    require(mesh->depth > 0);
    if (mesh->depth == 1) {
        mesh_reap_links(mesh);
    }
    mesh->depth--;
}

/* ---- settings ---- */

static void free_settings(struct mesh_settings *settings) {
    memory_free((char *)settings->cluster_id);
    memory_free((char *)settings->announce_address);
    for (size_t i = 0; i < settings->seeds_count; i++) {
        memory_free((char *)settings->seeds[i]);
    }
    memory_free((void *)settings->seeds);
    memory_free((char *)settings->secret.data);
    *settings = (struct mesh_settings){0};
}

static const char *copy_text(const char *text) {
    return memory_copy_text(text != NULL ? text : "");
}

static void copy_settings(struct mesh_settings *into, const struct mesh_settings *from) {
    *into = *from;
    into->cluster_id = copy_text(from->cluster_id);
    into->announce_address = copy_text(from->announce_address);
    into->seeds_count =
        from->seeds_count < MESH_SEEDS_MAX ? from->seeds_count : (size_t)MESH_SEEDS_MAX;
    const char **seeds = memory_alloc((into->seeds_count + 1) * sizeof(seeds[0]));
    for (size_t i = 0; i < into->seeds_count; i++) {
        seeds[i] = copy_text(from->seeds[i]);
    }
    into->seeds = seeds;
    char *secret = memory_alloc(from->secret.size + 1);
    if (from->secret.size > 0) {
        memcpy(secret, from->secret.data, from->secret.size);
    }
    into->secret = slice_make(secret, from->secret.size);
    if (into->max_frame_bytes < MAX_FRAME_BYTES_MIN) {
        into->max_frame_bytes = MAX_FRAME_BYTES_MIN;
    }
    if (into->gossip_interval_ms == 0) {
        into->gossip_interval_ms = 1;
    }
}

void mesh_configure(struct mesh *mesh, const struct mesh_settings *settings) {
    struct mesh_settings old = mesh->settings;
    mesh_enter(mesh);
    copy_settings(&mesh->settings, settings);
    membership_configure(&mesh->membership, mesh->settings.gossip_interval_ms,
                         mesh->settings.forget_after_ms, mesh->settings.announce_address);
    dials_configure(mesh);
    free_settings(&old);
    mesh_exit(mesh);
}

/* ---- lifecycle ---- */

/* A start shall know that a node is gone, or that it came back. */
static void keep_departure(struct mesh *mesh, enum membership_event event,
                           const struct member *member) {
    struct replicas *replicas = get_replicas(mesh);
    struct departed_life life = {.id.generation = member->generation,
                                 .unix_ms = mesh->unix_ms > 0 ? (uint64_t)mesh->unix_ms : 0};
    memcpy(life.id.node, member->node_id, REPLICA_NODE_ID_BYTES);
    switch (event) {
    case MEMBERSHIP_JOINED:
    case MEMBERSHIP_RESTARTED:
        replicas_drop_departed(replicas, &life.id);
        break;
    case MEMBERSHIP_LEFT:
        life.left_ticks = member->left_ticks;
        replicas_note_departed(replicas, &life);
        break;
    case MEMBERSHIP_FORGOTTEN:
    case MEMBERSHIP_WAS_FORGOTTEN:
        life.is_forgotten = true;
        replicas_note_departed(replicas, &life);
        break;
    case MEMBERSHIP_ALIVE:
    case MEMBERSHIP_SUSPECT:
    case MEMBERSHIP_DEAD:
    case MEMBERSHIP_OVERTAKEN:
        break;
    }
}

/* From within membership: closes what the event makes void. */
static void member_event(void *udata, enum membership_event event, struct member *member) {
    struct mesh *mesh = udata;
    static const char *const words[] = {
        [MEMBERSHIP_JOINED] = "is new",          [MEMBERSHIP_ALIVE] = "is alive",
        [MEMBERSHIP_SUSPECT] = "is suspect",     [MEMBERSHIP_DEAD] = "is dead",
        [MEMBERSHIP_RESTARTED] = "restarted",    [MEMBERSHIP_LEFT] = "leaves",
        [MEMBERSHIP_FORGOTTEN] = "is forgotten", [MEMBERSHIP_OVERTAKEN] = "is overtaken"};
    if (event == MEMBERSHIP_OVERTAKEN) {
        mesh_want_generation(mesh, mesh->membership.generation_known + 1);
        return;
    }
    keep_departure(mesh, event, member);
    if (event == MEMBERSHIP_WAS_FORGOTTEN) {
        return;
    }
    admission_note_life(mesh, member, event == MEMBERSHIP_JOINED);
    if (event == MEMBERSHIP_JOINED || event == MEMBERSHIP_RESTARTED) {
        streamer_drop_early(mesh, member->node_id, member->generation);
    }
    mesh_say(mesh, event == MEMBERSHIP_SUSPECT ? MESH_LEVEL_VERBOSE : MESH_LEVEL_NOTICE,
             "Mesh: node %02x%02x%02x%02x... at %s %s", member->node_id[0], member->node_id[1],
             member->node_id[2], member->node_id[3],
             member->address[0] != '\0' ? member->address : "an unknown address", words[event]);
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link->member != member) {
            continue;
        }
        if (event == MEMBERSHIP_RESTARTED && link->peer.generation != member->generation) {
            link_close(link, MESH_REASON_NONE, true);
        } else if (event == MEMBERSHIP_FORGOTTEN) {
            link_close(link, MESH_REASON_FORGOTTEN, true);
            link->member = NULL;
        }
    }
}

static bool has_later_life(const struct replicas *replicas, const struct replica_id *id) {
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        const struct replica *replica = &replicas->slots[slot];
        if (replica->ref != 0 && replica->id.generation > id->generation &&
            memcmp(replica->id.node, id->node, REPLICA_NODE_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

/* Nodes that an earlier life of this one knew: nothing settles without them, but for those that
 * were gone by then. */
static void recall_members(struct mesh *mesh) {
    const struct replicas *replicas = get_replicas(mesh);
    for (size_t i = 0; i < replicas->departed_count; i++) {
        if (!has_later_life(replicas, &replicas->departed[i].id)) {
            membership_recall_departed(&mesh->membership, &replicas->departed[i],
                                       mesh_now_ms(mesh));
        }
    }
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        const struct replica *replica = &replicas->slots[slot];
        bool is_newest = replica->ref != 0 &&
                         memcmp(replica->id.node, mesh->opts.node_id, REPLICA_NODE_ID_BYTES) != 0;
        for (unsigned other = 1; other < replicas->slots_count && is_newest; other++) {
            is_newest = replicas->slots[other].ref == 0 ||
                        memcmp(replicas->slots[other].id.node, replica->id.node,
                               REPLICA_NODE_ID_BYTES) != 0 ||
                        replicas->slots[other].id.generation <= replica->id.generation;
        }
        if (is_newest) {
            membership_recall(&mesh->membership, &replica->id, mesh_now_ms(mesh));
        }
    }
}

struct mesh *mesh_new(const struct mesh_opts *opts, const struct mesh_settings *settings) {
    struct mesh *mesh = memory_alloc_zero(sizeof(*mesh));
    mesh->opts = *opts;
    mesh->host = opts->host;
    mesh->data = opts->data;
    mesh->opts.version = copy_text(opts->version);
    mesh->had_quorum = true;
    prng_init(&mesh->prng, opts->seed);
    copy_settings(&mesh->settings, settings);
    struct membership_opts member_opts = {
        .generation = opts->generation,
        .address = mesh->settings.announce_address,
        .version = mesh->opts.version,
        .gossip_interval_ms = mesh->settings.gossip_interval_ms,
        .forget_after_ms = mesh->settings.forget_after_ms,
        .event = member_event,
        .udata = mesh,
    };
    memcpy(member_opts.node_id, opts->node_id, REPLICA_NODE_ID_BYTES);
    mesh->member_opts = member_opts;
    membership_init(&mesh->membership, &mesh->member_opts, 0);
    streamer_init(mesh);
    dials_init(mesh);
    dials_configure(mesh);
    return mesh;
}

/* What counts from now on could not begin before the time was known. */
static void start(struct mesh *mesh) {
    mesh->has_started = true;
    membership_deinit(&mesh->membership);
    mesh->member_opts.address = mesh->settings.announce_address;
    mesh->member_opts.gossip_interval_ms = mesh->settings.gossip_interval_ms;
    mesh->member_opts.forget_after_ms = mesh->settings.forget_after_ms;
    membership_init(&mesh->membership, &mesh->member_opts, mesh_now_ms(mesh));
    recall_members(mesh);
    catchup_init(mesh);
}

void mesh_free(struct mesh *mesh) {
    mesh_enter(mesh);
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        link_close(link, MESH_REASON_LEAVING, true);
    }
    mesh_exit(mesh);
    ensure(mesh->links == NULL);
    mesh_check_deinit(mesh);
    broadcast_deinit(mesh);
    catchup_deinit(mesh);
    dials_deinit(mesh);
    streamer_deinit(mesh);
    membership_deinit(&mesh->membership);
    free_settings(&mesh->settings);
    memory_free((char *)mesh->opts.version);
    memory_free(mesh->slot_refs);
    memory_free(mesh);
}

void mesh_set_time(struct mesh *mesh, int64_t unix_ms, uint64_t monotonic_us) {
    mesh->unix_ms = unix_ms;
    mesh->monotonic_us = monotonic_us;
    if (!mesh->has_started) {
        start(mesh);
    }
}

/* ---- replicas ---- */

unsigned mesh_learn_replica(struct mesh *mesh, const struct replica_id *id) {
    struct replicas *replicas = get_replicas(mesh);
    uint64_t ref = replica_ref(id);
    unsigned slot = replicas_find(replicas, ref);
    if (slot != 0) {
        return slot;
    }
    if (replicas_find_retired(replicas, ref) != NULL) {
        return 0;
    }
    slot = replicas_add(replicas, id);
    if (slot == 0) {
        mesh_say(mesh, MESH_LEVEL_WARNING,
                 "Mesh: %d replicas are known, no more can be taken in: MESH FORGET those that are "
                 "gone for good",
                 STAMP_SLOTS_COUNT - 1);
    }
    return slot;
}

bool mesh_is_own_slot(const struct mesh *mesh, unsigned slot) {
    const struct replica *replica = &get_replicas(mesh)->slots[slot];
    return replica->ref != 0 &&
           memcmp(replica->id.node, mesh->opts.node_id, REPLICA_NODE_ID_BYTES) == 0;
}

void mesh_want_generation(struct mesh *mesh, uint64_t generation) {
    if (generation == 0) {
        generation = 1;
    }
    if (generation > mesh->generation_wanted) {
        mesh->generation_wanted = generation;
    }
}

static bool is_generation_due(const struct mesh *mesh) {
    return mesh->generation_wanted != 0 && mesh->monotonic_us >= mesh->generation_us;
}

/* Goes on as a new replica. Peers hear of it with the next digests, and connect anew. */
static void begin_generation(struct mesh *mesh) {
    uint64_t generation = mesh->generation_wanted;
    if (generation <= mesh->opts.generation) {
        generation = mesh->opts.generation + 1;
    }
    if (mesh->unix_ms > 0 && generation < (uint64_t)mesh->unix_ms) {
        generation = (uint64_t)mesh->unix_ms;
    }
    if (!mesh->data.new_generation(mesh->data.udata, generation)) {
        mesh->generation_us = mesh->monotonic_us + GENERATION_RETRY_US;
        return;
    }
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    generation = replicas->slots[replicas->self].id.generation; /* or a later one */
    mesh->generation_wanted = 0;
    mesh->is_leaving = false;
    mesh->opts.generation = generation;
    membership_set_generation(&mesh->membership, generation);
    mesh_say(mesh, MESH_LEVEL_NOTICE,
             "Mesh: peers know more of this node's last life, or forgot it: it goes on as "
             "generation %llu",
             (unsigned long long)generation);
    mesh->next_gossip_us = 0;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        link_want_digest(link);
    }
}

/* ---- turns ---- */

void mesh_run(struct mesh *mesh) {
    mesh_enter(mesh);
    links_run(mesh);
    catchup_run(mesh);
    streamer_run(mesh);
    if (is_generation_due(mesh)) {
        begin_generation(mesh);
    }
    mesh_exit(mesh);
}

void mesh_push(struct mesh *mesh) {
    mesh_enter(mesh);
    streamer_push(mesh);
    broadcast_push(mesh);
    mesh_exit(mesh);
}

void mesh_ask_for_acks(struct mesh *mesh) {
    mesh_enter(mesh);
    streamer_ask_for_acks(mesh);
    mesh_exit(mesh);
}

bool mesh_wants_push(const struct mesh *mesh) {
    return mesh->streamer.wants_push || mesh->broadcast.batch_count > 0 ||
           mesh->broadcast.waiting_count > 0;
}

static void send_digest(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct buffer payload = {0};
    link->wants_digest = false;
    link->digest_us = mesh->monotonic_us;
    link_introduce_all(link);
    codec_put_varint(&payload, (uint64_t)mesh->unix_ms);
    membership_digest_put(&mesh->membership, link->member, get_replicas(mesh),
                          MEMBERSHIP_DIGEST_BYTES, &payload);
    link_send(link, MESH_FRAME_DIGEST, buffer_slice(&payload));
    buffer_deinit(&payload);
    mesh->stats.digests_out++;
}

/* Where all are linked with all, everybody gets as many digests as it sends. Links chosen at random
 * leave some nodes linked mostly with others that have many more, and choose them hardly ever. */
void mesh_answer_digest(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    uint64_t pause_us = mesh->settings.gossip_interval_ms * 500;
    if (mesh->answers_left > 0 && mesh->monotonic_us - link->digest_us >= pause_us) {
        mesh->answers_left--;
        link_want_digest(link);
    }
}

static bool takes_digest(const struct mesh_link *link) {
    return link_is_up(link) && link_out_bytes(link) < MESH_LINK_OUT_BYTES_MAX;
}

/* To each link that came up, and to a few others, chosen anew each time. */
static void send_digests(struct mesh *mesh) {
    struct mesh_link *chosen[GOSSIP_LINKS];
    uint64_t seen = 0;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (!takes_digest(link)) {
            continue;
        }
        if (link->wants_digest) {
            send_digest(link);
            continue;
        }
        uint64_t place = seen < GOSSIP_LINKS ? seen : prng_below(&mesh->prng, seen + 1);
        if (place < GOSSIP_LINKS) {
            chosen[place] = link;
        }
        seen++;
    }
    for (uint64_t i = 0; i < seen && i < GOSSIP_LINKS; i++) {
        send_digest(chosen[i]);
    }
}

/* A peer cannot know itself what it lacks; least of all one whose output is full. On a new link it
 * is told also that nothing lacks: until then it does not know. */
static void tell_lags(struct mesh *mesh) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (!link_is_up(link)) {
            continue;
        }
        uint64_t changes = mesh_lag_changes(mesh, link->member);
        if ((int64_t)changes != link->lag_told) {
            struct buffer payload = {0};
            link->lag_told = (int64_t)changes;
            codec_put_varint(&payload, changes);
            link_send(link, MESH_FRAME_LAG, buffer_slice(&payload));
            buffer_deinit(&payload);
        }
    }
}

/* Goes on with the slot that is being retired. All of it was settled when that began, and stays so.
 */
static void retire_on(struct mesh *mesh) {
    const struct replicas *replicas = get_replicas(mesh);
    unsigned slot = mesh->retiring_slot;
    if (slot == replicas->self || replicas->slots[slot].ref != mesh->retiring_ref) {
        mesh->retiring_slot = 0;
        return;
    }
    streamer_forget_slot(mesh, slot);
    if (mesh->data.retire(mesh->data.udata, slot)) {
        membership_slot_retired(&mesh->membership, slot);
        mesh->retiring_slot = 0;
    }
}

/* Was a node forgotten that may live, alone or with others, and come back? */
static bool awaits_forgotten(const struct mesh *mesh) {
    const struct replicas *replicas = get_replicas(mesh);
    for (size_t i = 0; i < replicas->departed_count; i++) {
        const struct departed_life *life = &replicas->departed[i];
        if (life->is_forgotten && life->unix_ms > 0 &&
            (uint64_t)mesh->unix_ms < life->unix_ms + mesh->settings.retire_after_ms) {
            return true;
        }
    }
    return false;
}

/* Does a peer compare what it has with what others have, or is it going to? What it takes off of a
 * counter is told by part, and would find a number. */
static bool is_any_comparing(const struct mesh *mesh, bool has_begun) {
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        bool is_going_to = !has_begun && link->peer_is_rebasing;
        if (link_is_up(link) && (link->catchup.compares || is_going_to)) {
            return true;
        }
    }
    return false;
}

/* May a slot be given up now, for all that peers do? What somebody has retired all others retire
 * before a peer begins to compare, if they can: else it finds parts that are numbers there. */
static bool is_time_to_retire(const struct mesh *mesh, uint64_t ref) {
    return !is_any_comparing(mesh, membership_is_retired_elsewhere(&mesh->membership, ref));
}

/* A life that nobody has admitted yet may have to compare what it has with what peers have, and
 * who lives apart from nodes that have forgotten him will. For that both have to know who wrote
 * what: a counter of which each has folded the other's part into a number cannot be told apart. So
 * they wait, but where slots run out; what others have retired is retired here in any case. */
static bool may_retire(const struct mesh *mesh, unsigned slot, bool awaits) {
    const struct replicas *replicas = get_replicas(mesh);
    if (replicas->slots_count > STAMP_SLOTS_COUNT / 2) {
        return true;
    }
    return (mesh->is_admitted || mesh->settings.seeds_count == 0) &&
           (slot == mesh->retiring_slot ||
            membership_is_retired_elsewhere(&mesh->membership, replicas->slots[slot].ref) ||
            !awaits);
}

/* What is below the frontier is settled; replicas that are gone for good give up their slots. */
static void settle(struct mesh *mesh) {
    struct replicas *replicas = get_replicas(mesh);
    membership_frontier(&mesh->membership, replicas, get_context(mesh), &mesh->frontier);
    context_join(&mesh->floor, &mesh->frontier);
    if (mesh_is_joining(mesh)) {
        return;
    }
    mesh->data.settle(mesh->data.udata, &mesh->frontier);
    bool awaits = awaits_forgotten(mesh);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (mesh->retiring_slot == 0 && replicas->slots[slot].ref != 0 && slot != replicas->self &&
            may_retire(mesh, slot, awaits) &&
            membership_retirable(&mesh->membership, replicas, get_context(mesh), slot) &&
            is_time_to_retire(mesh, replicas->slots[slot].ref)) {
            mesh->retiring_slot = slot;
            mesh->retiring_ref = replicas->slots[slot].ref;
        }
        if (slot == mesh->retiring_slot && may_retire(mesh, slot, awaits)) {
            retire_on(mesh);
        }
    }
}

/* Links of nodes that left end once all that they wrote is here. */
static void close_left(struct mesh *mesh) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link->member == NULL || link->member->state != MEMBER_LEFT) {
            continue;
        }
        unsigned slot = replicas_find(get_replicas(mesh), link->member->ref);
        if (slot == 0 || stamp_ticks(get_context(mesh)->stamps[slot]) >= link->member->left_ticks) {
            link_close(link, MESH_REASON_LEAVING, false);
        }
    }
}

static void watch_quorum(struct mesh *mesh) {
    bool has_quorum = membership_has_quorum(&mesh->membership);
    if (has_quorum != mesh->had_quorum) {
        mesh->had_quorum = has_quorum;
        mesh_say(mesh, has_quorum ? MESH_LEVEL_NOTICE : MESH_LEVEL_WARNING,
                 has_quorum ? "Mesh: at least half of the known nodes are heard again"
                            : "Mesh: fewer than half of the known nodes are heard: this side may "
                              "be the smaller part of a partition");
    }
}

static void gossip(struct mesh *mesh) {
    mesh->answers_left = dials_are_partial(mesh) ? GOSSIP_ANSWERS : 0;
    close_left(mesh);
    membership_beat(&mesh->membership, get_replicas(mesh), get_context(mesh));
    send_digests(mesh);
    tell_lags(mesh);
    membership_tick(&mesh->membership, get_replicas(mesh), get_context(mesh), mesh_now_ms(mesh));
    streamer_relay_round(mesh);
    streamer_out_rest(mesh->streamer.out);
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        link_rest(link);
    }
    settle(mesh);
    watch_quorum(mesh);
}

/* Digests for links that came up or are to hear of something now. */
static void send_wished_digests(struct mesh *mesh) {
    mesh->has_digest_wishes = false;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link->wants_digest && takes_digest(link)) {
            send_digest(link);
        } else if (link->wants_digest) {
            mesh->has_digest_wishes = true;
        }
    }
}

uint64_t mesh_tick(struct mesh *mesh) {
    mesh_enter(mesh);
    bool are_links_due = mesh->monotonic_us >= mesh->next_links_us;
    if (are_links_due) {
        mesh->next_links_us = mesh->monotonic_us + LINKS_TICK_US;
        for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
            link_tick(link);
            streamer_tick_link(link);
        }
    }
    streamer_tick(mesh);
    catchup_tick(mesh);
    if (is_generation_due(mesh)) {
        begin_generation(mesh);
    }
    if (mesh->monotonic_us >= mesh->next_gossip_us) {
        uint64_t interval_us = mesh->settings.gossip_interval_ms * 1000;
        mesh->next_gossip_us += interval_us;
        if (mesh->next_gossip_us <= mesh->monotonic_us) {
            mesh->next_gossip_us = mesh->monotonic_us + interval_us;
        }
        gossip(mesh);
    } else if (mesh->has_digest_wishes) {
        send_wished_digests(mesh);
    }
    if (are_links_due || mesh->next_links_us == 0) {
        dials_tick(mesh);
    }
    mesh_exit(mesh);
    if (catchup_is_busy(mesh)) {
        return 0;
    }
    uint64_t pause_us = mesh->next_gossip_us - mesh->monotonic_us;
    uint64_t ack_us = streamer_ack_wait_us(mesh);
    pause_us = ack_us < pause_us ? ack_us : pause_us;
    return pause_us < TICK_US_MAX ? pause_us : TICK_US_MAX;
}

/* ---- leaving ---- */

static bool has_acknowledged(const struct mesh *mesh, const struct member *member) {
    unsigned self = get_replicas(mesh)->self;
    return member_seen(member, self) >= get_context(mesh)->stamps[self];
}

static void tell_leaving(struct mesh *mesh) {
    uint64_t last_ticks = stamp_ticks(get_context(mesh)->stamps[get_replicas(mesh)->self]);
    struct buffer payload = {0};
    mesh->is_leaving = true;
    mesh->generation_us = mesh->monotonic_us + LEAVE_US;
    membership_leave(&mesh->membership, last_ticks, mesh_now_ms(mesh));
    codec_put_varint(&payload, last_ticks);
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link)) {
            link_want_digest(link);
            link_send(link, MESH_FRAME_LEAVE, buffer_slice(&payload));
            link->leave_out_bytes = link_out_bytes(link);
        }
    }
    buffer_deinit(&payload);
}

bool mesh_leave(struct mesh *mesh) {
    bool is_done = true;
    mesh_enter(mesh);
    if (!mesh->is_leaving) {
        tell_leaving(mesh);
    }
    /* Who has the answer stops this process, perhaps before its loop comes to the links. */
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        is_done = is_done && (!link_is_up(link) || link->leave_out_bytes == 0);
    }
    for (size_t i = 0; i < mesh->membership.members_count; i++) {
        const struct member *member = mesh->membership.members[i];
        bool is_heard = member->state == MEMBER_ALIVE || member->state == MEMBER_SUSPECT ||
                        member->state == MEMBER_NEW;
        if (!member->is_self && is_heard && !has_acknowledged(mesh, member)) {
            is_done = false;
        }
    }
    mesh_exit(mesh);
    return is_done;
}

bool mesh_forget(struct mesh *mesh, const uint8_t node_id[REPLICA_NODE_ID_BYTES]) {
    struct member *member = membership_find(&mesh->membership, node_id);
    if (member == NULL || member->is_self ||
        (member->state != MEMBER_DEAD && member->state != MEMBER_LEFT)) {
        return false;
    }
    mesh_enter(mesh);
    membership_forget(&mesh->membership, member, mesh_now_ms(mesh));
    mesh_exit(mesh);
    return true;
}
