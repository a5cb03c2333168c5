/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh/catchup_serve.h"

#include <string.h>

#include "base/codec.h"
#include "base/varint.h"

enum {
    /* A frame of data is small, so that requests of clients come between. */
    DATA_BYTES = 8 << 10,
    /* Of a link's output, beyond which nothing more of a part is read. */
    OUT_BYTES_MAX = MESH_LINK_OUT_BYTES_MAX / 2,
};

struct buffer *catchup_frame_begin(struct mesh *mesh, uint64_t part) {
    struct buffer *frame = &mesh->catchup.frame;
    buffer_clear(frame);
    frame->size += varint_put(buffer_reserve(frame, VARINT_BYTES_MAX), part);
    return frame;
}

static void send_end(struct mesh_link *link, unsigned part, enum catchup_end status) {
    struct buffer *frame = catchup_frame_begin(link->mesh, part);
    buffer_append_byte(frame, (char)status);
    link_send(link, MESH_FRAME_PART_END, buffer_slice(frame));
}

static void close_part(struct mesh_link *link) {
    if (link->catchup.served != NULL) {
        link->mesh->data.part_close(link->mesh->data.udata, link->catchup.served);
        link->catchup.served = NULL;
        link->mesh->catchup.served_count--;
    }
}

void catchup_stop_serving(struct mesh_link *link) {
    close_part(link);
    link->catchup.waiting_count = 0;
}

void catchup_serve_nobody(struct mesh *mesh) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link->catchup.served != NULL) {
            send_end(link, link->catchup.served_part, CATCHUP_END_JOINING);
            catchup_stop_serving(link);
        }
    }
}

/* False: not now. */
static bool open_part(struct mesh_link *link, const struct catchup_pull *pull) {
    struct mesh *mesh = link->mesh;
    struct buffer header = {0};
    uint64_t seed[2];
    link->catchup.served =
        mesh->data.part_open(mesh->data.udata, pull->part, pull->parts_count, &header);
    if (link->catchup.served == NULL) {
        buffer_deinit(&header);
        return false;
    }
    mesh->catchup.served_count++;
    link->catchup.served_part = pull->part;
    mesh->data.hash_seed(mesh->data.udata, seed);
    struct buffer *frame = catchup_frame_begin(mesh, pull->part);
    codec_put_u64(frame, seed[0]);
    codec_put_u64(frame, seed[1]);
    buffer_append_slice(frame, buffer_slice(&header));
    buffer_deinit(&header);
    link_send(link, MESH_FRAME_PART_BEGIN, buffer_slice(frame));
    mesh->stats.syncs_served += !link->catchup.was_served;
    link->catchup.was_served = true;
    return true;
}

/* Begins with the first part that waits, if that can be. */
static void open_next(struct mesh_link *link) {
    struct link_catchup *catchup = &link->catchup;
    struct catchup_pull next = catchup->waiting[0];
    if (open_part(link, &next)) {
        catchup->waiting_count--;
        memmove(catchup->waiting, catchup->waiting + 1,
                catchup->waiting_count * sizeof(catchup->waiting[0]));
    }
}

void catchup_serve_waiting(struct mesh *mesh) {
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link->catchup.served == NULL && link->catchup.waiting_count > 0 && link_is_up(link) &&
            !catchup_is_joining(&mesh->catchup)) {
            open_next(link);
        }
    }
}

bool catchup_pull_frame(struct mesh_link *link, struct slice payload) {
    struct link_catchup *catchup = &link->catchup;
    uint64_t part, count;
    if (!varint_take(&payload, &part) || !varint_take(&payload, &count) || payload.size != 0 ||
        count > CATCHUP_PARTS_MAX || (count & (count - 1)) != 0 || (count > 0 && part >= count)) {
        return false;
    }
    if (count == 0) {
        catchup_stop_serving(link);
        return true;
    }
    catchup->pulls = link->peer_is_joining = true;
    struct catchup_pull pull = {.part = (uint16_t)part, .parts_count = (uint16_t)count};
    if (catchup_is_joining(&link->mesh->catchup)) {
        send_end(link, pull.part, CATCHUP_END_JOINING);
    } else if (catchup->served == NULL && catchup->waiting_count == 0 && open_part(link, &pull)) {
        return true;
    } else if (catchup->waiting_count < CATCHUP_PULLS_MAX) {
        catchup->waiting[catchup->waiting_count++] = pull;
    } /* else it will be asked for again */
    return true;
}

/* The part goes out no more: the next one does. */
static void end_part(struct mesh_link *link, enum catchup_end status) {
    struct link_catchup *catchup = &link->catchup;
    send_end(link, catchup->served_part, status);
    close_part(link);
    if (catchup->waiting_count > 0) {
        open_next(link);
    }
}

/* Reads and sends one frame's worth. */
static void serve_some(struct mesh_link *link) {
    struct mesh *mesh = link->mesh;
    struct link_catchup *catchup = &link->catchup;
    size_t limit = mesh->settings.max_frame_bytes < DATA_BYTES
                       ? (size_t)mesh->settings.max_frame_bytes
                       : DATA_BYTES;
    struct buffer *frame = catchup_frame_begin(mesh, catchup->served_part);
    size_t head = frame->size;
    enum mesh_part status = mesh->data.part_read(mesh->data.udata, catchup->served, frame, limit);
    size_t size = frame->size - head;
    if (size > 0 && (status == MESH_PART_MORE || status == MESH_PART_DONE)) {
        link_send(link, MESH_FRAME_PART_DATA, buffer_slice(frame));
    }
    if (status != MESH_PART_MORE) {
        bool is_done = status == MESH_PART_DONE;
        mesh->stats.parts_out += is_done;
        end_part(link, is_done ? CATCHUP_END_DONE : CATCHUP_END_AGAIN);
    }
}

static bool can_serve(const struct mesh_link *link) {
    return link->catchup.served != NULL && link_is_up(link) && link_out_bytes(link) < OUT_BYTES_MAX;
}

/* Of those that take more the one whose turn is the longest ago, so that none waits for another;
 * NULL: there is none. */
static struct mesh_link *next_to_serve(const struct mesh *mesh) {
    struct mesh_link *next = NULL, *link = mesh->catchup.served_count > 0 ? mesh->links : NULL;
    for (; link != NULL; link = link->next) {
        if (can_serve(link) && (next == NULL || link->catchup.turn < next->catchup.turn)) {
            next = link;
        }
    }
    return next;
}

bool mesh_has_to_serve(const struct mesh *mesh) {
    return next_to_serve(mesh) != NULL;
}

bool mesh_serve(struct mesh *mesh) {
    mesh_enter(mesh);
    struct mesh_link *link = next_to_serve(mesh);
    if (link != NULL) {
        link->catchup.turn = ++mesh->catchup.turns_count;
        serve_some(link);
    }
    mesh_exit(mesh);
    return mesh_has_to_serve(mesh);
}
