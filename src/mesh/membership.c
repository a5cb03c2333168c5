/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh/membership.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/prng.h"
#include "mesh/membership_state.h"

/* The detector's prior interval is that many gossip intervals. */
enum { PRIOR_INTERVALS = 5 };

static uint64_t prior_ms(const struct membership *membership) {
    return PRIOR_INTERVALS * membership->opts.gossip_interval_ms;
}

static void tell(struct membership *membership, enum membership_event event,
                 struct member *member) {
    if (membership->opts.event != NULL) {
        membership->opts.event(membership->opts.udata, event, member);
    }
}

static void row_changed(struct membership *membership, struct member *member) {
    member->row_number = membership->rows_number = membership_change(membership);
}

/* ---- finding ---- */

/* The place of that node in by_id, or where it would be. */
static size_t id_place(const struct membership *membership, const uint8_t *node_id) {
    size_t low = 0, high = membership->members_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memcmp(membership->by_id[middle]->node_id, node_id, REPLICA_NODE_ID_BYTES) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* As id_place(), in the first `count` of by_ref. */
static size_t ref_place(const struct membership *membership, size_t count, uint64_t ref) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (membership->by_ref[middle].ref < ref) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct member *membership_find(const struct membership *membership,
                               const uint8_t node_id[REPLICA_NODE_ID_BYTES]) {
    size_t place = id_place(membership, node_id);
    if (place < membership->members_count &&
        memcmp(membership->by_id[place]->node_id, node_id, REPLICA_NODE_ID_BYTES) == 0) {
        return membership->by_id[place];
    }
    return NULL;
}

struct member *membership_find_ref(const struct membership *membership, uint64_t ref) {
    size_t place = ref_place(membership, membership->members_count, ref);
    if (place < membership->members_count && membership->by_ref[place].ref == ref) {
        return membership->by_ref[place].member;
    }
    return NULL;
}

/* What the member adds to the hash of the member set. */
static uint64_t hash_share(const struct member *member) {
    uint64_t state = member->ref;
    return member->is_counted ? prng_splitmix(&state) : 0;
}

/* ---- the arrays ---- */

static void insert_at(struct member **places, size_t count, size_t place, struct member *member) {
    memmove(places + place + 1, places + place, (count - place) * sizeof(struct member *));
    places[place] = member;
}

static void remove_from(struct member **places, size_t count, const struct member *member) {
    size_t place = 0;
    while (places[place] != member) {
        place++;
        require(place < count);
    }
    memmove(places + place, places + place + 1, (count - place - 1) * sizeof(struct member *));
}

/* by_ref has `count` entries before. */
static void insert_ref(struct membership *membership, size_t count, struct member *member) {
    size_t place = ref_place(membership, count, member->ref);
    struct member_ref *at = membership->by_ref + place;
    memmove(at + 1, at, (count - place) * sizeof(*at));
    *at = (struct member_ref){.ref = member->ref, .member = member};
}

static void remove_ref(struct membership *membership, size_t count, const struct member *member) {
    size_t place = ref_place(membership, count, member->ref);
    while (membership->by_ref[place].member != member) {
        place++; /* another node whose ref is the same */
        require(place < count);
    }
    struct member_ref *at = membership->by_ref + place;
    memmove(at, at + 1, (count - place - 1) * sizeof(*at));
}

static void grow_arrays(struct membership *membership) {
    if (membership->members_count == membership->members_capacity) {
        size_t capacity = membership->members_capacity == 0 ? 8 : 2 * membership->members_capacity;
        size_t bytes = capacity * sizeof(struct member *);
        membership->members = memory_resize(membership->members, bytes);
        membership->by_id = memory_resize(membership->by_id, bytes);
        membership->by_ref =
            memory_resize(membership->by_ref, capacity * sizeof(membership->by_ref[0]));
        membership->members_capacity = capacity;
    }
}

static uint64_t ref_of(const struct member *member) {
    struct replica_id id = {.generation = member->generation};
    memcpy(id.node, member->node_id, REPLICA_NODE_ID_BYTES);
    return replica_ref(&id);
}

/* Moves the member to where its generation's ref belongs. */
static void set_generation(struct membership *membership, struct member *member,
                           uint64_t generation) {
    size_t count = membership->members_count;
    remove_ref(membership, count, member);
    member->generation = generation;
    member->ref = ref_of(member);
    insert_ref(membership, count - 1, member);
}

static void set_text(char **text, struct slice value) {
    memory_free(*text);
    *text = memory_alloc(value.size + 1);
    if (value.size > 0) {
        memcpy(*text, value.data, value.size);
    }
    (*text)[value.size] = '\0';
}

static struct member *add_member(struct membership *membership, const struct replica_id *id,
                                 uint64_t now_ms) {
    if (membership->members_count - membership->forgotten_count >= MEMBERSHIP_MEMBERS_MAX) {
        membership->refused_count++;
        return NULL;
    }
    grow_arrays(membership);
    struct member *member = memory_alloc_zero(sizeof(*member));
    memcpy(member->node_id, id->node, REPLICA_NODE_ID_BYTES);
    member->generation = id->generation;
    member->ref = replica_ref(id);
    member->state_ms = now_ms;
    member->is_counted = true;
    row_changed(membership, member);
    set_text(&member->address, SLICE(""));
    set_text(&member->version, SLICE(""));
    detector_reset(&member->detector, now_ms);
    size_t count = membership->members_count;
    insert_at(membership->by_id, count, id_place(membership, id->node), member);
    insert_ref(membership, count, member);
    membership->members[count] = member;
    membership->members_count++;
    membership_set_changed(membership, hash_share(member));
    return member;
}

static void free_member(struct member *member) {
    member_drop_claims(member);
    detector_deinit(&member->detector);
    memory_free(member->owed);
    memory_free(member->address);
    memory_free(member->version);
    memory_free(member);
}

/* Drops the one that was forgotten longest ago, once there are too many. */
static void drop_forgotten(struct membership *membership) {
    if (membership->forgotten_count <= MEMBERSHIP_FORGOTTEN_MAX) {
        return;
    }
    struct member *oldest = NULL;
    for (size_t i = 0; i < membership->members_count; i++) {
        struct member *member = membership->members[i];
        if (member->state == MEMBER_FORGOTTEN &&
            (oldest == NULL || member->state_ms < oldest->state_ms)) {
            oldest = member;
        }
    }
    require(oldest != NULL);
    remove_from(membership->members, membership->members_count, oldest);
    remove_from(membership->by_id, membership->members_count, oldest);
    remove_ref(membership, membership->members_count, oldest);
    membership->members_count--;
    membership->forgotten_count--;
    membership->epoch++;
    free_member(oldest);
}

/* ---- lifecycle ---- */

void membership_init(struct membership *membership, const struct membership_opts *opts,
                     uint64_t now_ms) {
    require(opts->gossip_interval_ms > 0);
    *membership = (struct membership){.opts = *opts};
    struct replica_id id = {.generation = opts->generation};
    memcpy(id.node, opts->node_id, REPLICA_NODE_ID_BYTES);
    struct member *self = add_member(membership, &id, now_ms);
    self->is_self = true;
    self->texts_version = 1;
    self->state = MEMBER_ALIVE;
    require(strlen(opts->address) <= MEMBER_ADDRESS_BYTES_MAX);
    set_text(&self->address, slice_of(opts->address));
    struct slice version = slice_of(opts->version);
    version.size =
        version.size < MEMBER_VERSION_BYTES_MAX ? version.size : MEMBER_VERSION_BYTES_MAX;
    set_text(&self->version, version);
    membership->opts.address = self->address;
    membership->opts.version = self->version;
}

void membership_deinit(struct membership *membership) {
    for (size_t i = 0; i < membership->members_count; i++) {
        free_member(membership->members[i]);
    }
    memory_free(membership->members);
    memory_free(membership->by_id);
    memory_free(membership->by_ref);
    membership_drop_retired(membership);
    *membership = (struct membership){0};
}

void membership_configure(struct membership *membership, uint64_t gossip_interval_ms,
                          uint64_t forget_after_ms, const char *address) {
    require(gossip_interval_ms > 0);
    require(strlen(address) <= MEMBER_ADDRESS_BYTES_MAX);
    struct member *self = membership_self(membership);
    membership->opts.gossip_interval_ms = gossip_interval_ms;
    membership->opts.forget_after_ms = forget_after_ms;
    if (strcmp(self->address, address) != 0) {
        set_text(&self->address, slice_of(address));
        membership->opts.address = self->address;
        self->texts_version = self->heartbeat + 1;
        row_changed(membership, self);
    }
}

void membership_set_generation(struct membership *membership, uint64_t generation) {
    struct member *self = membership_self(membership);
    require(generation > self->generation);
    uint64_t share = hash_share(self);
    member_drop_claims(self);
    set_generation(membership, self, generation);
    membership->opts.generation = generation;
    self->state = MEMBER_ALIVE;
    row_changed(membership, self);
    membership_set_changed(membership, share ^ hash_share(self));
}

/* ---- what becomes of a member ---- */

static void set_state(struct membership *membership, struct member *member, enum member_state state,
                      uint64_t now_ms) {
    static const enum membership_event events[MEMBER_STATES_COUNT] = {
        [MEMBER_ALIVE] = MEMBERSHIP_ALIVE,         [MEMBER_SUSPECT] = MEMBERSHIP_SUSPECT,
        [MEMBER_DEAD] = MEMBERSHIP_DEAD,           [MEMBER_LEFT] = MEMBERSHIP_LEFT,
        [MEMBER_FORGOTTEN] = MEMBERSHIP_FORGOTTEN,
    };
    require(!member->is_self);
    require(state != MEMBER_NEW);
    bool was_left_out = membership_is_left_out(membership, member);
    member->state = state;
    member->state_ms = now_ms;
    if (was_left_out || state == MEMBER_LEFT || state == MEMBER_FORGOTTEN) {
        row_changed(membership, member);
        member->claim_number = membership_change(membership);
    }
    tell(membership, events[state], member);
}

static void set_counted(struct membership *membership, struct member *member, bool is_counted) {
    if (member->is_counted != is_counted) {
        uint64_t share = hash_share(member);
        member->is_counted = is_counted;
        membership_set_changed(membership, share ^ hash_share(member));
    }
}

void membership_owe(struct member *member, const struct context *context) {
    if (member->owed == NULL) {
        member->owed = memory_alloc_zero(sizeof(*member->owed));
    }
    context_join(member->owed, context);
}

void membership_admit_life(struct member *member) {
    memory_free(member->owed);
    member->owed = NULL;
    member->came_back = false;
}

/* A life of the node begins that was not known. */
static void begin_life(struct membership *membership, struct member *member, uint64_t generation,
                       uint64_t now_ms) {
    bool was_forgotten = member->state == MEMBER_FORGOTTEN;
    /* Since it had left, more was settled than it had claimed to have seen. */
    bool had_left = member->state == MEMBER_LEFT;
    uint64_t share = hash_share(member);
    struct context claimed;
    if (was_forgotten || had_left) {
        member->owes_all = member->came_back = true;
    } else if (member->claim != NULL) {
        if (member->owed == NULL) {
            member->owes_from = member->generation + 1;
        }
        member_seen_context(member, &claimed);
        membership_owe(member, &claimed);
    }
    member_drop_claims(member);
    if (generation != member->generation) {
        set_generation(membership, member, generation);
    }
    membership->forgotten_count -= was_forgotten;
    member->state = MEMBER_NEW;
    member->state_ms = now_ms;
    member->heartbeat = 0;
    member->left_ticks = 0;
    member->texts_version = 0;
    member->is_unwanted = false;
    member->is_counted = true;
    row_changed(membership, member);
    detector_reset(&member->detector, now_ms);
    membership_set_changed(membership, share ^ hash_share(member));
    tell(membership, was_forgotten ? MEMBERSHIP_JOINED : MEMBERSHIP_RESTARTED, member);
}

void membership_forget(struct membership *membership, struct member *member, uint64_t now_ms) {
    if (member->is_self || member->state == MEMBER_FORGOTTEN) {
        return;
    }
    member_drop_claims(member);
    detector_deinit(&member->detector);
    membership->forgotten_count++;
    set_counted(membership, member, false);
    set_state(membership, member, MEMBER_FORGOTTEN, now_ms);
    drop_forgotten(membership);
}

void membership_note_left(struct membership *membership, struct member *member, uint64_t last_ticks,
                          uint64_t now_ms) {
    if (member->is_self || member->state == MEMBER_LEFT || member->state == MEMBER_FORGOTTEN) {
        return;
    }
    member->left_ticks = last_ticks;
    detector_reset(&member->detector, now_ms);
    set_state(membership, member, MEMBER_LEFT, now_ms);
}

void membership_leave(struct membership *membership, uint64_t last_ticks, uint64_t now_ms) {
    struct member *self = membership_self(membership);
    self->state = MEMBER_LEFT;
    self->state_ms = now_ms;
    self->left_ticks = last_ticks;
    row_changed(membership, self);
}

bool membership_is_left_out(const struct membership *membership, const struct member *member) {
    if (member->is_self || (member->state != MEMBER_DEAD && member->state != MEMBER_LEFT &&
                            member->state != MEMBER_FORGOTTEN)) {
        return false;
    }
    uint64_t since_ms =
        member->told_again_ms > member->state_ms ? member->told_again_ms : member->state_ms;
    uint64_t now_ms = membership->tick_ms > since_ms ? membership->tick_ms : since_ms;
    return now_ms - since_ms > membership->opts.forget_after_ms / 2;
}

/* Remembers a node that is forgotten already. The table of replicas may still name it, or come to
 * by a state that is taken over, and nobody would say so again: it would be recalled as a member of
 * whom nothing is heard, and hold up the settling of the whole mesh. */
static struct member *remember_forgotten(struct membership *membership, const struct replica_id *id,
                                         uint64_t now_ms) {
    struct member *member = add_member(membership, id, now_ms);
    if (member != NULL) {
        detector_deinit(&member->detector);
        set_counted(membership, member, false);
        member->state = MEMBER_FORGOTTEN;
        membership->forgotten_count++;
        row_changed(membership, member);
    }
    return member;
}

/* Others have forgotten it before this node heard of it. */
static void note_was_forgotten(struct membership *membership, const struct replica_id *id,
                               uint64_t now_ms) {
    struct member *member = remember_forgotten(membership, id, now_ms);
    if (member != NULL) {
        tell(membership, MEMBERSHIP_WAS_FORGOTTEN, member);
        drop_forgotten(membership);
    }
}

/* The replica of the same node with the highest generation. */
static const struct replica *newest_life(const struct replicas *replicas, unsigned slot) {
    const struct replica *newest = &replicas->slots[slot];
    for (unsigned other = 1; other < replicas->slots_count; other++) {
        const struct replica *replica = &replicas->slots[other];
        if (replica->ref != 0 && replica->id.generation > newest->id.generation &&
            memcmp(replica->id.node, newest->id.node, REPLICA_NODE_ID_BYTES) == 0) {
            newest = replica;
        }
    }
    return newest;
}

void membership_recall(struct membership *membership, const struct replica_id *id,
                       uint64_t now_ms) {
    if (membership_find(membership, id->node) == NULL) {
        (void)add_member(membership, id, now_ms);
    }
}

void membership_recall_departed(struct membership *membership, const struct departed_life *departed,
                                uint64_t now_ms) {
    if (membership_find(membership, departed->id.node) != NULL) {
        return;
    }
    if (departed->is_forgotten) {
        (void)remember_forgotten(membership, &departed->id, now_ms);
        drop_forgotten(membership);
        return;
    }
    struct member *member = add_member(membership, &departed->id, now_ms);
    if (member != NULL) {
        member->state = MEMBER_LEFT;
        member->left_ticks = departed->left_ticks;
    }
}

void membership_recall_all(struct membership *membership, const struct replicas *replicas) {
    if (membership->table_version == replicas->version + 1) {
        return;
    }
    membership->table_version = replicas->version + 1;
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        const struct replica *replica = &replicas->slots[slot];
        if (replica->ref != 0 && membership_find(membership, replica->id.node) == NULL) {
            membership_recall(membership, &newest_life(replicas, slot)->id, membership->tick_ms);
        }
    }
}

static void note_texts(struct membership *membership, struct member *member, struct slice address,
                       struct slice version) {
    if (address.size > MEMBER_ADDRESS_BYTES_MAX || version.size > MEMBER_VERSION_BYTES_MAX) {
        return;
    }
    if (address.size > 0 && !slice_equal(address, slice_of(member->address))) {
        set_text(&member->address, address);
        row_changed(membership, member);
    }
    if (version.size > 0 && !slice_equal(version, slice_of(member->version))) {
        set_text(&member->version, version);
        row_changed(membership, member);
    }
}

enum membership_admission membership_admit(struct membership *membership,
                                           const struct replica_id *id, struct slice address,
                                           struct slice version, uint64_t now_ms,
                                           struct member **member) {
    struct member *found = membership_find(membership, id->node);
    if (found == NULL) {
        found = add_member(membership, id, now_ms);
        if (found == NULL) {
            return MEMBERSHIP_IS_FULL;
        }
        tell(membership, MEMBERSHIP_JOINED, found);
    } else if (found->is_self) {
        return MEMBERSHIP_IS_SELF;
    } else if (id->generation < found->generation) {
        return MEMBERSHIP_IS_OLD;
    } else if (id->generation > found->generation) {
        begin_life(membership, found, id->generation, now_ms);
    } else if (found->state == MEMBER_FORGOTTEN) {
        return MEMBERSHIP_IS_FORGOTTEN;
    } else if (found->state == MEMBER_LEFT) {
        return MEMBERSHIP_IS_LEFT;
    }
    note_texts(membership, found, address, version);
    membership_sign(found, now_ms);
    *member = found;
    return MEMBERSHIP_ADMITTED;
}

void membership_link_began(struct membership *membership, struct member *member) {
    member->told_rows = member->told_claims = member->told_heartbeats = (struct member_pass){0};
    member->told_retired = 0;
    member->told_epoch = membership->epoch;
}

void membership_sign(struct member *member, uint64_t now_ms) {
    member->heard_ms = now_ms;
    detector_sign(&member->detector, now_ms);
}

/* ---- what digests tell ---- */

void membership_note_heartbeat(struct membership *membership, struct member *member,
                               uint64_t heartbeat, uint64_t now_ms) {
    if (member->is_self || heartbeat <= member->heartbeat || member->state == MEMBER_LEFT ||
        member->state == MEMBER_FORGOTTEN) {
        return;
    }
    /* The first one may be long past, and told by somebody who has not noticed: that it lives is
     * shown by the next. */
    if (member->heartbeat != 0) {
        member->heard_ms = now_ms;
    }
    member->heartbeat = heartbeat;
    member->heartbeat_number = membership_change(membership);
    detector_heartbeat(&member->detector, now_ms);
}

/* Others know this node in a later life, or hold that this one is over. */
static void note_self(struct membership *membership, const struct membership_row *row) {
    const struct member *self = membership_self(membership);
    bool is_over = row->status != MEMBERSHIP_ROW_PRESENT && self->state != MEMBER_LEFT;
    if (row->id.generation < self->generation ||
        (row->id.generation == self->generation && !is_over)) {
        return;
    }
    if (row->id.generation > membership->generation_known) {
        membership->generation_known = row->id.generation;
        tell(membership, MEMBERSHIP_OVERTAKEN, membership_self(membership));
    }
}

/* Others have forgotten the member: so will this node, unless it hears it itself. */
static void note_unwanted(struct membership *membership, struct member *member, uint64_t now_ms) {
    member->is_unwanted = true;
    if (member->state == MEMBER_NEW || member->state == MEMBER_DEAD ||
        (member->state == MEMBER_LEFT && !member->is_counted)) {
        membership_forget(membership, member, now_ms);
    }
}

/* Somebody speaks of its life as if it went on, an old copy of a node perhaps: that it is over is
 * told once more, however long ago it was. He would wait for it, and all others for him. */
static void tell_again(struct membership *membership, struct member *member, uint64_t now_ms) {
    if (membership_is_left_out(membership, member)) {
        member->told_again_ms = now_ms;
        row_changed(membership, member);
    }
}

void membership_note_row(struct membership *membership, const struct membership_row *row,
                         uint64_t now_ms) {
    struct member *member = membership_find(membership, row->id.node);
    if (member != NULL && member->is_self) {
        note_self(membership, row);
        return;
    }
    bool is_over =
        member != NULL && (member->state == MEMBER_FORGOTTEN || member->state == MEMBER_LEFT);
    if (is_over && row->status == MEMBERSHIP_ROW_PRESENT &&
        row->id.generation <= member->generation) {
        tell_again(membership, member, now_ms);
    }
    if (row->status == MEMBERSHIP_ROW_FORGOTTEN) {
        if (member == NULL) {
            note_was_forgotten(membership, &row->id, now_ms);
        } else if (row->id.generation >= member->generation) {
            note_unwanted(membership, member, now_ms);
        }
        return;
    }
    if (member == NULL) {
        member = add_member(membership, &row->id, now_ms);
        if (member == NULL) {
            return;
        }
        tell(membership, MEMBERSHIP_JOINED, member);
    } else if (row->id.generation > member->generation) {
        begin_life(membership, member, row->id.generation, now_ms);
    } else if (row->id.generation < member->generation || member->state == MEMBER_FORGOTTEN) {
        return;
    }
    if (row->texts_version > member->texts_version) {
        member->texts_version = row->texts_version;
        row_changed(membership, member); /* texts that HELLO brought had no version */
        note_texts(membership, member, row->address, row->version);
    }
    membership_note_heartbeat(membership, member, row->heartbeat, now_ms);
    if (row->status == MEMBERSHIP_ROW_LEFT) {
        membership_note_left(membership, member, row->left_ticks, now_ms);
    }
}

/* ---- time passes ---- */

double membership_phi(const struct membership *membership, const struct member *member,
                      uint64_t now_ms) {
    return member->is_self ? 0 : detector_phi(&member->detector, prior_ms(membership), now_ms);
}

static void judge(struct membership *membership, struct member *member, uint64_t now_ms) {
    switch (detector_judge(&member->detector, prior_ms(membership), now_ms)) {
    case DETECTOR_NEW:
        break;
    case DETECTOR_ALIVE:
        if (member->state != MEMBER_ALIVE) {
            member->is_unwanted = false;
            set_state(membership, member, MEMBER_ALIVE, now_ms);
        }
        break;
    case DETECTOR_SUSPECT:
        if (member->state == MEMBER_ALIVE) {
            set_state(membership, member, MEMBER_SUSPECT, now_ms);
        }
        break;
    case DETECTOR_DEAD:
        /* It is alive again from its third heartbeat on. */
        detector_reset(&member->detector, now_ms);
        if (member->state != MEMBER_DEAD) {
            set_state(membership, member, MEMBER_DEAD, now_ms);
        }
        break;
    }
}

/* Does this node have all that the member wrote before it left? */
static bool has_all_of(const struct member *member, const struct replicas *replicas,
                       const struct context *context) {
    unsigned slot = replicas_find(replicas, member->ref);
    return member->left_ticks == 0 ||
           (slot != 0 && stamp_ticks(context->stamps[slot]) >= member->left_ticks) ||
           replicas_find_retired(replicas, member->ref) != NULL;
}

/* A pause of this process is no silence of others. */
static void forgive(struct membership *membership, uint64_t now_ms) {
    uint64_t pause_ms = membership->tick_ms == 0 ? 0 : now_ms - membership->tick_ms;
    if (pause_ms > prior_ms(membership) / 2) {
        for (size_t i = 1; i < membership->members_count; i++) {
            struct member *member = membership->members[i];
            if (member->state != MEMBER_FORGOTTEN) {
                detector_forgive(&member->detector, pause_ms, now_ms);
            }
        }
    }
    membership->tick_ms = now_ms;
}

void membership_tick(struct membership *membership, const struct replicas *replicas,
                     const struct context *context, uint64_t now_ms) {
    require(now_ms >= membership->tick_ms);
    forgive(membership, now_ms);
    /* Forgetting may drop one that was forgotten before, and move the others down by one: each is
     * then looked at once more or on the next tick. */
    for (size_t i = membership->members_count; i-- > 1;) {
        if (i >= membership->members_count) {
            continue;
        }
        struct member *member = membership->members[i];
        if (member->state == MEMBER_FORGOTTEN) {
            continue;
        }
        if (member->state == MEMBER_LEFT) {
            if (member->is_counted && has_all_of(member, replicas, context)) {
                set_counted(membership, member, false);
            }
        } else {
            judge(membership, member, now_ms);
        }
        bool is_gone = member->state == MEMBER_DEAD || member->state == MEMBER_LEFT;
        bool is_due =
            now_ms - member->state_ms >= membership->opts.forget_after_ms ||
            (member->is_unwanted && (member->state == MEMBER_DEAD || !member->is_counted));
        if (is_gone && is_due) {
            membership_forget(membership, member, now_ms);
        }
    }
}

size_t membership_count(const struct membership *membership, enum member_state state) {
    size_t count = 0;
    for (size_t i = 1; i < membership->members_count; i++) {
        count += membership->members[i]->state == state;
    }
    return count;
}

bool membership_has_quorum(const struct membership *membership) {
    size_t counted = 1, heard = 1;
    for (size_t i = 1; i < membership->members_count; i++) {
        const struct member *member = membership->members[i];
        if (member->state != MEMBER_LEFT && member->state != MEMBER_FORGOTTEN) {
            counted++;
            heard += member->state == MEMBER_ALIVE || member->state == MEMBER_SUSPECT;
        }
    }
    return 2 * heard >= counted;
}

/* ---- introspection ---- */

size_t membership_memory_bytes(const struct membership *membership) {
    size_t bytes = membership->members_capacity *
                       (2 * sizeof(struct member *) + sizeof(membership->by_ref[0])) +
                   membership->retired_count * sizeof(membership->retired[0]);
    for (size_t i = 0; i < membership->members_count; i++) {
        const struct member *member = membership->members[i];
        const struct member_claim *claims[] = {member->claim, member->pending, member->trusted};
        bytes += sizeof(*member) + strlen(member->address) + strlen(member->version) + 2 +
                 member->detector.capacity * sizeof(member->detector.intervals[0]) +
                 member->seen.capacity * sizeof(member->seen.items[0]) +
                 member->dropped.capacity * sizeof(member->dropped.items[0]);
        for (int j = 0; j < 3; j++) {
            /* A claim is held by up to three places. */
            bytes += claims[j] == NULL
                         ? 0
                         : member_claim_memory_bytes(claims[j]) / claims[j]->holders_count;
        }
    }
    return bytes;
}

static void check_stamps(const struct member_stamps *stamps) {
    require(stamps->count <= stamps->capacity);
    for (unsigned i = 0; i < stamps->count; i++) {
        require(stamp_slot(stamps->items[i]) != STAMP_SLOT_SETTLED);
        require(i == 0 || stamp_slot(stamps->items[i - 1]) < stamp_slot(stamps->items[i]));
    }
}

static void check_member(const struct membership *membership, const struct member *member) {
    const struct member_claim *claims[] = {member->claim, member->pending, member->trusted};
    require(membership_find(membership, member->node_id) == member);
    require(membership_find_ref(membership, member->ref) == member);
    require(member->ref == ref_of(member));
    require(member->state != MEMBER_FORGOTTEN || !member->is_counted);
    require(member->is_counted || member->state == MEMBER_LEFT ||
            member->state == MEMBER_FORGOTTEN);
    require(member->row_number <= membership->number);
    require(member->claim_number <= membership->number);
    require(member->heartbeat_number <= membership->number);
    check_stamps(&member->seen);
    check_stamps(&member->dropped);
    for (int i = 0; i < 3; i++) {
        if (claims[i] != NULL) {
            unsigned holders = 0;
            for (int j = 0; j < 3; j++) {
                holders += claims[j] == claims[i];
            }
            require(claims[i]->holders_count >= holders);
            require(claims[i]->version <= member->claim->version);
            check_stamps(&claims[i]->stamps);
        }
    }
}

void membership_check(const struct membership *membership) {
    size_t forgotten = 0;
    uint64_t hash = 0;
    require(membership->members_count > 0);
    require(membership->members_count <= membership->members_capacity);
    for (size_t i = 0; i < membership->members_count; i++) {
        const struct member *member = membership->members[i];
        require(member->is_self == (i == 0));
        check_member(membership, member);
        forgotten += member->state == MEMBER_FORGOTTEN;
        hash ^= hash_share(member);
    }
    require(forgotten == membership->forgotten_count);
    require(hash == membership->set_hash);
}
