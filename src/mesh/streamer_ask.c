/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is asked for which records. */
#include "base/varint.h"
#include "mesh/streamer_internal.h"

enum {
    STALLED_ROUNDS_MAX = 2, /* without any move, then somebody else is asked */
    QUESTIONS_OPEN_MAX = 4,
    ANSWER_PATIENCE_MS = 3000, /* to find what to ask may take long, and to answer */
};

/* ---- asking ---- */

static void send_refs(struct mesh_link *link, enum mesh_frame type, uint64_t ref, uint64_t ticks) {
    struct buffer payload = {0};
    codec_put_varint(&payload, 1);
    codec_put_u64(&payload, ref);
    if (type == MESH_FRAME_SUBSCRIBE) {
        codec_put_varint(&payload, ticks);
    }
    link_send(link, type, buffer_slice(&payload));
    buffer_deinit(&payload);
}

void streamer_subscribe(struct mesh_link *link, unsigned slot, uint64_t ticks) {
    struct mesh *mesh = link->mesh;
    const struct replicas *replicas = streamer_replicas(mesh);
    if (!link_is_up(link) || mesh->streamer.is_paused || slot == replicas->self) {
        return;
    }
    struct link_slot *known = streamer_slot(link, slot);
    uint64_t pause_us = MESH_EARLY_PATIENCE_MS * 1000ULL + 2 * link->round_trip_us;
    if (known->asked_us != 0 && mesh->monotonic_us - known->asked_us < pause_us) {
        return;
    }
    known->asked_us = mesh->monotonic_us != 0 ? mesh->monotonic_us : 1;
    if (!streamer_is_node_of(link, &replicas->slots[slot])) {
        known->is_subscribed = streamer_author(mesh, slot)->has_relay = true;
    }
    send_refs(link, MESH_FRAME_SUBSCRIBE, replicas->slots[slot].ref, ticks);
}

static void unsubscribe(struct mesh_link *link, unsigned slot) {
    struct link_slot *known = streamer_slot(link, slot);
    known->is_subscribed = false;
    known->asked_us = 0;
    send_refs(link, MESH_FRAME_UNSUBSCRIBE, known->ref, 0);
}

/* Has its peer more, of what is not void? */
static bool is_ahead(const struct mesh_link *link, unsigned slot, uint64_t ticks) {
    const struct replica *replica = &streamer_replicas(link->mesh)->slots[slot];
    return stamp_ticks(member_seen(link->member, slot)) > ticks &&
           !(replica->is_ended && ticks >= replica->ended_ticks);
}

/* A link at which the author's records above `ticks` are, the author's own before others, `but`
 * only when there is no other; NULL when there is none. */
static struct mesh_link *find_source(struct mesh *mesh, unsigned slot, uint64_t ticks,
                                     const struct mesh_link *but) {
    const struct replica *replica = &streamer_replicas(mesh)->slots[slot];
    struct mesh_link *found = NULL, *last = NULL;
    uint64_t count = 0;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (!link_is_up(link) || !is_ahead(link, slot, ticks)) {
            continue;
        }
        if (link == but) {
            last = link;
            continue;
        }
        if (streamer_is_node_of(link, replica)) {
            return link;
        }
        if (prng_below(&mesh->prng, ++count) == 0) {
            found = link;
        }
    }
    return found != NULL ? found : last;
}

/* ---- questions ---- */

/* Sends what may be under way; false: all is answered. */
static bool send_questions(struct mesh *mesh, struct stream_author *author) {
    struct slice rest = slice_skip(buffer_slice(&author->questions), author->questions_start);
    struct slice question;
    while (author->questions_open < QUESTIONS_OPEN_MAX && varint_take_slice(&rest, &question)) {
        link_send(author->asked, MESH_FRAME_ASK, question);
        author->questions_open++;
        mesh->stats.questions_out++;
    }
    author->questions_start = author->questions.size - rest.size;
    return author->questions_open > 0;
}

void streamer_stop_asking(struct stream_author *author) {
    author->is_asking = author->is_answered = false;
    author->asked = NULL;
    author->questions_open = 0;
    author->questions_start = 0;
    buffer_deinit(&author->questions);
    author->questions = (struct buffer){0};
}

void streamer_ask_questions(struct mesh *mesh, unsigned slot) {
    struct stream_author *author = streamer_author(mesh, slot);
    struct mesh_link *link = author->first->from;
    /* Who does not answer does not know, perhaps. */
    if (link == NULL || !link_is_up(link) || author->asked_rounds % 2 == 1) {
        link = find_source(mesh, slot, streamer_received_ticks(mesh, slot), link);
    }
    streamer_stop_asking(author);
    author->is_asking = true;
    author->asked = link;
    author->asked_rounds++;
    author->waiting_since_us = mesh->monotonic_us;
    if (link != NULL) {
        buffer_append_slice(&author->questions, mesh->data.questions(mesh->data.udata));
        (void)send_questions(mesh, author);
    }
}

bool streamer_answer_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    struct slice rest = payload;
    uint64_t ref;
    if (!codec_take_u64(&rest, &ref)) {
        return false;
    }
    unsigned slot = replicas_find(streamer_replicas(mesh), ref);
    struct stream_author *author = slot != 0 ? streamer_author(mesh, slot) : NULL;
    if (author == NULL || author->first == NULL || author->asked != link ||
        author->questions_open == 0) {
        return true; /* too late */
    }
    if (!mesh->data.answered(mesh->data.udata, payload)) {
        return false;
    }
    author->questions_open--;
    author->waiting_since_us = mesh->monotonic_us;
    if (!send_questions(mesh, author)) {
        author->asked = NULL;
        author->is_answered = true;
        streamer_drain(mesh);
    }
    return true;
}

bool streamer_ask_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    struct buffer answer = {0};
    bool is_sound = mesh->data.answer(mesh->data.udata, payload, &answer);
    if (is_sound && answer.size > 0) {
        link_send(link, MESH_FRAME_ANSWER, buffer_slice(&answer));
        mesh->stats.answers_out++;
    }
    buffer_deinit(&answer);
    return is_sound;
}

/* ---- what waits, or was dropped ---- */

void streamer_ask_for_missing(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    for (unsigned slot = 1; slot < streamer->authors_count; slot++) {
        struct stream_author *author = &streamer->authors[slot];
        uint64_t patience_ms = author->is_asking ? ANSWER_PATIENCE_MS : MESH_EARLY_PATIENCE_MS;
        if (author->first == NULL ||
            mesh->monotonic_us - author->waiting_since_us < patience_ms * 1000) {
            continue;
        }
        author->waiting_since_us = mesh->monotonic_us;
        if (author->is_asking) {
            author->is_answered = true; /* streamer_drain() asks again */
            continue;
        }
        struct mesh_link *from = author->first->from;
        unsigned missing = replicas_find(streamer_replicas(mesh), author->missing_ref);
        if (missing == 0) {
            /* Never introduced: whoever has the record can. */
            if (from != NULL && link_is_up(from)) {
                send_refs(from, MESH_FRAME_SUBSCRIBE, author->missing_ref, 0);
            }
            continue;
        }
        if (streamer_author(mesh, missing)->first != NULL) {
            continue; /* it is here, and waits itself */
        }
        uint64_t ticks = streamer_received_ticks(mesh, missing);
        if (from == NULL || !link_is_up(from)) {
            from = find_source(mesh, missing, ticks, NULL);
        }
        if (from != NULL) {
            streamer_subscribe(from, missing, ticks);
        }
    }
}

void streamer_ask_for_dropped(struct mesh *mesh) {
    struct streamer *streamer = &mesh->streamer;
    bool has_more = false;
    for (unsigned slot = 1; slot < streamer->authors_count; slot++) {
        struct stream_author *author = &streamer->authors[slot];
        if (!author->is_dropped || author->first != NULL || author->ref == 0 ||
            streamer->waiting_bytes > mesh->settings.max_waiting_bytes / 2) {
            has_more = has_more || author->is_dropped;
            continue;
        }
        uint64_t ticks = streamer_received_ticks(mesh, slot);
        struct mesh_link *source = find_source(mesh, slot, ticks, NULL);
        if (source == NULL) {
            /* Nobody was heard to have more: whoever delivers it knows better. */
            for (source = mesh->links; source != NULL; source = source->next) {
                if (link_is_up(source) &&
                    streamer_is_node_of(source, &streamer_replicas(mesh)->slots[slot])) {
                    break;
                }
            }
        }
        if (source != NULL) {
            streamer_slot(source, slot)->asked_us = 0;
            streamer_subscribe(source, slot, ticks);
            author->is_dropped = false;
        }
        has_more = has_more || author->is_dropped;
    }
    streamer->has_dropped = has_more;
}

/* ---- relays ---- */

static struct mesh_link *find_author_link(struct mesh *mesh, unsigned slot) {
    const struct replica *replica = &streamer_replicas(mesh)->slots[slot];
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link) && streamer_is_node_of(link, replica)) {
            return link;
        }
    }
    return NULL;
}

static struct mesh_link *find_subscribed(struct mesh *mesh, unsigned slot) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link) && streamer_slot(link, slot)->is_subscribed) {
            return link;
        }
    }
    return NULL;
}

static void relay_slot(struct mesh *mesh, unsigned slot, uint64_t ticks, bool is_any_ahead) {
    struct stream_author *author = streamer_author(mesh, slot);
    bool has_moved = ticks != author->received_ticks;
    author->received_ticks = ticks;
    if (!is_any_ahead && !author->has_relay) {
        author->stalled_rounds = 0;
        return;
    }
    struct mesh_link *relay = author->has_relay ? find_subscribed(mesh, slot) : NULL;
    struct mesh_link *direct = find_author_link(mesh, slot);
    struct mesh_link *source =
        is_any_ahead && author->first == NULL ? find_source(mesh, slot, ticks, NULL) : NULL;
    author->has_relay = relay != NULL;
    if (source == NULL || has_moved) {
        author->stalled_rounds = 0;
        /* The author delivers: for a while both do, so that nothing stops in between. */
        if (relay != NULL && direct != NULL && source == NULL) {
            unsubscribe(relay, slot);
        }
        return;
    }
    author->stalled_rounds++;
    if (relay == NULL && direct == NULL) {
        streamer_subscribe(source, slot, ticks);
        author->stalled_rounds = 0;
    } else if (author->stalled_rounds >= STALLED_ROUNDS_MAX) {
        author->stalled_rounds = 0;
        if (relay != NULL) {
            source = find_source(mesh, slot, ticks, relay);
            unsubscribe(relay, slot);
        } else if (source == direct) {
            /* It was asked before, or should have sent it by itself: somebody else may do. */
            struct mesh_link *other = find_source(mesh, slot, ticks, direct);
            source = streamer_slot(direct, slot)->asked_us != 0 && other != NULL ? other : direct;
        }
        streamer_slot(source, slot)->asked_us = 0;
        streamer_subscribe(source, slot, ticks);
    }
}

/* Marks the slots of which one of `stamps` is newer than what was received. */
static void mark_ahead(const struct member_stamps *stamps, const uint64_t *received,
                       unsigned slots_count, bool *is_ahead_of) {
    for (unsigned i = 0; i < stamps->count; i++) {
        unsigned slot = stamp_slot(stamps->items[i]);
        if (slot < slots_count && stamp_ticks(stamps->items[i]) > received[slot]) {
            is_ahead_of[slot] = true;
        }
    }
}

void streamer_relay_round(struct mesh *mesh) {
    if (mesh->streamer.is_paused) {
        return;
    }
    const struct replicas *replicas = streamer_replicas(mesh);
    unsigned slots_count = replicas->slots_count;
    uint64_t received[STAMP_SLOTS_COUNT];
    bool is_ahead_of[STAMP_SLOTS_COUNT]; /* somebody linked is */
    memset(is_ahead_of, 0, slots_count * sizeof(is_ahead_of[0]));
    for (unsigned slot = 1; slot < slots_count; slot++) {
        received[slot] = replicas->slots[slot].ref != 0 ? streamer_received_ticks(mesh, slot) : 0;
    }
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link)) {
            mark_ahead(&link->member->seen, received, slots_count, is_ahead_of);
            if (link->member->claim != NULL) {
                mark_ahead(&link->member->claim->stamps, received, slots_count, is_ahead_of);
            }
        }
    }
    for (unsigned slot = 1; slot < slots_count; slot++) {
        const struct replica *replica = &replicas->slots[slot];
        if (replica->ref != 0 && slot != replicas->self) {
            bool is_all = replica->is_ended && received[slot] >= replica->ended_ticks;
            relay_slot(mesh, slot, received[slot], is_ahead_of[slot] && !is_all);
        }
    }
}
