/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh/broadcast.h"

#include <assert.h>

#include "base/check.h"
#include "base/memory.h"
#include "mesh/mesh_state.h"

enum {
    BROADCAST_RELAY = 1,                  /* flag: the origin has no link with somebody */
    BROADCAST_BATCH_BYTES_MAX = 1 << 20,  /* a longer batch goes out at once */
    BROADCAST_KEPT_BYTES_MAX = 256 << 10, /* buffers that grew beyond give their memory back */
    BROADCAST_HEAD_BYTES_MAX = 8 + VARINT_BYTES_MAX + 1 + VARINT_BYTES_MAX,
};

static_assert(BROADCAST_BYTES_MAX + BROADCAST_BATCH_BYTES_MAX + BROADCAST_HEAD_BYTES_MAX <
                  FRAME_PAYLOAD_BYTES_MAX / 2,
              "a payload leaves room for one of records among its pieces");

/* A payload that waits in one link or more. */
struct broadcast_payload {
    unsigned refs;
    uint64_t count; /* broadcasts in it */
    size_t size;
    char bytes[];
};

/* Room for a broadcast of a client's or peer's size; false when memory is out. */
static bool make_room(struct buffer *buffer, size_t size) {
    size_t needed = buffer->size + size;
    if (buffer->capacity >= needed || size <= BROADCAST_KEPT_BYTES_MAX) {
        return true; /* growing by little is the buffer's affair */
    }
    char *data = memory_try_resize(buffer->data, needed);
    if (data == NULL) {
        return false;
    }
    buffer->data = data;
    buffer->capacity = needed;
    return true;
}

static void clear_scratch(struct buffer *buffer) {
    buffer_clear(buffer);
    if (buffer->capacity > BROADCAST_KEPT_BYTES_MAX) {
        buffer_deinit(buffer);
        *buffer = (struct buffer){0};
    }
}

/* ---- what was seen ---- */

bool broadcast_window_add(struct broadcast_window *window, uint64_t number) {
    if (number > window->newest) {
        uint64_t distance = number - window->newest;
        if (distance >= BROADCAST_WINDOW) {
            memset(window->seen, 0, sizeof(window->seen));
        } else {
            for (uint64_t skipped = window->newest + 1; skipped < number; skipped++) {
                window->seen[skipped % BROADCAST_WINDOW / 64] &= ~(UINT64_C(1) << skipped % 64);
            }
        }
        window->newest = number;
    } else if (window->newest - number >= BROADCAST_WINDOW ||
               (window->seen[number % BROADCAST_WINDOW / 64] >> number % 64 & 1) != 0) {
        return false;
    }
    window->seen[number % BROADCAST_WINDOW / 64] |= UINT64_C(1) << number % 64;
    return true;
}

static struct broadcast_window *window_of(struct mesh *mesh, unsigned slot, uint64_t ref) {
    struct broadcast *broadcast = &mesh->broadcast;
    if (slot >= broadcast->windows_count) {
        unsigned count = slot + 1;
        broadcast->windows =
            memory_resize(broadcast->windows, count * sizeof(broadcast->windows[0]));
        memset(broadcast->windows + broadcast->windows_count, 0,
               (count - broadcast->windows_count) * sizeof(broadcast->windows[0]));
        broadcast->windows_count = count;
    }
    if (broadcast->windows[slot] == NULL) {
        broadcast->windows[slot] = memory_alloc_zero(sizeof(struct broadcast_window));
    }
    if (broadcast->windows[slot]->ref != ref) {
        /* The slot is somebody else's now. */
        *broadcast->windows[slot] = (struct broadcast_window){.ref = ref};
    }
    return broadcast->windows[slot];
}

/* ---- links ---- */

static void payload_unref(struct broadcast_payload *payload) {
    if (--payload->refs == 0) {
        memory_free(payload);
    }
}

static void queue_shift(struct mesh_link *link) {
    struct link_broadcast *state = &link->broadcast;
    link->mesh->broadcast.waiting_count--;
    payload_unref(state->queue[0]);
    state->count--;
    memmove(state->queue, state->queue + 1, state->count * sizeof(state->queue[0]));
    state->waiting_bytes -= state->count > 0 ? state->queue[0]->size : 0;
    state->sent = 0;
}

void broadcast_link_closed(struct mesh_link *link) {
    while (link->broadcast.count > 0) {
        queue_shift(link);
    }
    memory_free(link->broadcast.queue);
    link->broadcast = (struct link_broadcast){0};
}

/* Goes on with what waits while there is room. */
static void queue_run(struct mesh_link *link) {
    struct link_broadcast *state = &link->broadcast;
    while (state->count > 0 && link_is_up(link) && link_out_bytes(link) < MESH_LINK_OUT_BYTES_MAX) {
        struct broadcast_payload *payload = state->queue[0];
        struct slice rest = slice_make(payload->bytes + state->sent, payload->size - state->sent);
        state->is_begun = link_send_piece(link, MESH_FRAME_BROADCAST, &rest);
        state->sent = payload->size - rest.size;
        if (!state->is_begun) {
            link->mesh->stats.broadcasts_out += payload->count;
            queue_shift(link);
        }
    }
}

/* Sends a payload to one link, or lets it wait, or drops it. `*shared` is its copy for all links
 * that need one. */
static void send_to_link(struct mesh_link *link, struct slice bytes, uint64_t count,
                         struct broadcast_payload **shared) {
    struct link_broadcast *state = &link->broadcast;
    struct mesh *mesh = link->mesh;
    bool waits = state->count > 0;
    if (waits ? bytes.size > BROADCAST_WAITING_BYTES_MAX - state->waiting_bytes
              : link_out_bytes(link) >= MESH_LINK_OUT_BYTES_MAX) {
        mesh->stats.broadcasts_dropped += count;
        return;
    }
    if (!waits && bytes.size <= mesh->settings.max_frame_bytes) {
        link_send(link, MESH_FRAME_BROADCAST, bytes);
        mesh->stats.broadcasts_out += count;
        return;
    }
    if (*shared == NULL) {
        *shared = memory_try_alloc(sizeof(**shared) + bytes.size);
        if (*shared == NULL) {
            mesh->stats.broadcasts_dropped += count;
            return;
        }
        **shared = (struct broadcast_payload){.count = count, .size = bytes.size};
        memcpy((*shared)->bytes, bytes.data, bytes.size);
    }
    if (state->count == state->capacity) {
        state->capacity = state->capacity == 0 ? 4 : 2 * state->capacity;
        state->queue = memory_resize(state->queue, state->capacity * sizeof(state->queue[0]));
    }
    (*shared)->refs++;
    state->queue[state->count++] = *shared;
    mesh->broadcast.waiting_count++;
    state->waiting_bytes += waits ? bytes.size : 0;
    queue_run(link);
}

/* Sends a payload to all links but `except`. */
static void send_to_links(struct mesh *mesh, struct slice bytes, uint64_t count,
                          const struct mesh_link *except) {
    struct broadcast_payload *shared = NULL;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link != except && link_is_up(link)) {
            send_to_link(link, bytes, count, &shared);
        }
    }
    /* What went out as a whole already is in nobody's queue. */
    if (shared != NULL && shared->refs == 0) {
        memory_free(shared);
    }
}

/* ---- in ---- */

struct broadcast_head {
    uint64_t ref, number;
    unsigned flags;
    struct slice bytes;
};

static bool take_broadcast(struct slice *payload, struct broadcast_head *head) {
    if (!codec_take_u64(payload, &head->ref) || !varint_take(payload, &head->number) ||
        payload->size == 0 || head->ref == 0 || head->number == 0) {
        return false;
    }
    head->flags = (uint8_t)payload->data[0];
    *payload = slice_skip(*payload, 1);
    return varint_take_slice(payload, &head->bytes) && head->bytes.size <= BROADCAST_BYTES_MAX;
}

static void put_head(struct buffer *out, uint64_t ref, uint64_t number, unsigned flags,
                     size_t size) {
    codec_put_u64(out, ref);
    codec_put_varint(out, number);
    buffer_append_byte(out, (uint8_t)flags);
    codec_put_varint(out, size);
}

/* Is it new here? Then notes it. */
static bool is_news(struct mesh *mesh, const struct broadcast_head *head, unsigned slot) {
    if (slot == 0) {
        /* Its origin was not introduced: there was no room for one more replica. */
        mesh->stats.broadcasts_dropped++;
        return false;
    }
    if (mesh_is_own_slot(mesh, slot) ||
        !broadcast_window_add(window_of(mesh, slot, head->ref), head->number)) {
        mesh->stats.broadcasts_duplicate++;
        return false;
    }
    mesh->stats.broadcasts_in++;
    return true;
}

/* Passes on to all links but that which they came by. */
static void send_relay(struct mesh_link *link, uint64_t *count) {
    struct mesh *mesh = link->mesh;
    if (*count > 0) {
        mesh->stats.broadcasts_relayed += *count;
        send_to_links(mesh, buffer_slice(&mesh->broadcast.relay), *count, link);
        *count = 0;
    }
    clear_scratch(&mesh->broadcast.relay);
}

/* Takes it along for the other links. */
static void add_to_relay(struct mesh_link *link, const struct broadcast_head *head, unsigned slot,
                         uint64_t *count) {
    struct mesh *mesh = link->mesh;
    struct buffer *relay = &mesh->broadcast.relay;
    if (!make_room(relay, BROADCAST_HEAD_BYTES_MAX + head->bytes.size)) {
        mesh->stats.broadcasts_dropped++;
        return;
    }
    for (struct mesh_link *other = mesh->links; other != NULL; other = other->next) {
        if (other != link && link_is_up(other)) {
            link_introduce(other, slot);
        }
    }
    put_head(relay, head->ref, head->number, head->flags, head->bytes.size);
    buffer_append_slice(relay, head->bytes);
    ++*count;
    if (relay->size >= BROADCAST_BATCH_BYTES_MAX) {
        send_relay(link, count);
    }
}

bool broadcast_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    uint64_t relayed_count = 0;
    bool is_sound = true;
    while (payload.size > 0 && is_sound) {
        struct broadcast_head head;
        is_sound = take_broadcast(&payload, &head);
        unsigned slot =
            is_sound ? replicas_find(mesh->data.replicas(mesh->data.udata), head.ref) : 0;
        if (!is_sound || !is_news(mesh, &head, slot)) {
            continue;
        }
        if (mesh->data.broadcast != NULL) {
            is_sound = mesh->data.broadcast(mesh->data.udata, head.bytes);
        }
        if (is_sound && (head.flags & BROADCAST_RELAY) != 0) {
            add_to_relay(link, &head, slot, &relayed_count);
        }
    }
    send_relay(link, &relayed_count);
    return is_sound;
}

/* ---- out ---- */

static bool is_living_peer(const struct member *member) {
    return !member->is_self && (member->state == MEMBER_NEW || member->state == MEMBER_ALIVE ||
                                member->state == MEMBER_SUSPECT);
}

/* Is there a node that lives, as far as is known, and has no link with this one? */
static bool lacks_link(const struct mesh *mesh) {
    size_t living = 0, linked = 0;
    for (size_t i = 0; i < mesh->membership.members_count; i++) {
        living += is_living_peer(mesh->membership.members[i]);
    }
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        linked += link_is_up(link) && link->member != NULL && is_living_peer(link->member);
    }
    return linked < living;
}

static bool has_links(const struct mesh *mesh) {
    for (const struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link)) {
            return true;
        }
    }
    return false;
}

static void send_batch(struct mesh *mesh) {
    struct broadcast *broadcast = &mesh->broadcast;
    if (broadcast->batch_count == 0) {
        return;
    }
    unsigned self = mesh->data.replicas(mesh->data.udata)->self;
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link)) {
            link_introduce(link, self);
        }
    }
    send_to_links(mesh, buffer_slice(&broadcast->batch), broadcast->batch_count, NULL);
    broadcast->batch_count = 0;
    clear_scratch(&broadcast->batch);
}

void mesh_broadcast(struct mesh *mesh, const struct slice *parts, size_t parts_count) {
    struct broadcast *broadcast = &mesh->broadcast;
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    size_t size = 0;
    for (size_t i = 0; i < parts_count; i++) {
        size += parts[i].size;
    }
    if (!has_links(mesh)) {
        return;
    }
    if (size > BROADCAST_BYTES_MAX ||
        !make_room(&broadcast->batch, BROADCAST_HEAD_BYTES_MAX + size)) {
        mesh->stats.broadcasts_dropped++;
        return;
    }
    if (broadcast->batch_count == 0) {
        broadcast->is_relayed = lacks_link(mesh);
    }
    put_head(&broadcast->batch, replicas->slots[replicas->self].ref, ++broadcast->number,
             broadcast->is_relayed ? BROADCAST_RELAY : 0, size);
    for (size_t i = 0; i < parts_count; i++) {
        buffer_append_slice(&broadcast->batch, parts[i]);
    }
    broadcast->batch_count++;
    if (broadcast->batch.size >= BROADCAST_BATCH_BYTES_MAX) {
        mesh_enter(mesh);
        send_batch(mesh);
        mesh_exit(mesh);
    }
}

void broadcast_push(struct mesh *mesh) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link->broadcast.count > 0) {
            queue_run(link);
        }
    }
    send_batch(mesh);
}

void broadcast_deinit(struct mesh *mesh) {
    struct broadcast *broadcast = &mesh->broadcast;
    for (unsigned slot = 0; slot < broadcast->windows_count; slot++) {
        memory_free(broadcast->windows[slot]);
    }
    memory_free(broadcast->windows);
    buffer_deinit(&broadcast->batch);
    buffer_deinit(&broadcast->relay);
    *broadcast = (struct broadcast){0};
}
