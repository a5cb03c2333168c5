/* SPDX-License-Identifier: BSD-3-Clause */
/* The network: connections between nodes as two streams of bytes, each first in, first out, with
 * a delay and a bandwidth.
 *
 * As with TCP, a cut does not lose bytes by itself: they stop, and go on after it, unless somebody
 * gave the connection up meanwhile. A reset loses what is under way. On top of what TCP can do,
 * single frames can be lost, doubled or swapped: what a mistake in a sender would look like. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "mesh/mesh_state.h"
#include "sim/sim_frame.h"
#include "sim/sim_world.h"

enum {
    UNDER_WAY_MAX = 256 << 10, /* of one direction: then the sender's buffer is full */
    DIAL_TIMEOUT_US = 5 * 1000 * 1000,
    RETRY_US = 50 * 1000, /* to pass bytes on that a cut or a full receiver stopped */
};

/* The kinds of frames whose loss the protocol has to notice and make good. */
static const uint8_t FRAMES_MAY_FAIL[] = {MESH_FRAME_DATA, MESH_FRAME_ACK, MESH_FRAME_DIGEST};

struct piece {
    uint64_t arrives_us;
    size_t size;
    bool is_end; /* the connection ends here */
};

/* One end, and the direction that begins at it. */
struct sim_end {
    struct sim_connection *connection;
    unsigned side;
    struct sim_node *node;
    struct mesh_link *link; /* NULL: this end is closed, or not open yet */
    bool is_closed;
    bool is_ended;       /* nothing more will be sent */
    bool wants_send;     /* the link has output */
    bool is_send_due;    /* it is in node->sends */
    bool is_call_due;    /* an event for the first piece is on its way */
    uint32_t delay_us;   /* of this direction */
    struct buffer bytes; /* under way to the other end, from bytes_start on */
    size_t bytes_start;
    struct piece *pieces; /* a queue */
    size_t pieces_first, pieces_count, pieces_capacity;
    uint64_t arrives_us; /* when the last of them does */
    struct buffer whole; /* frame faults: what is cut into frames */
    uint64_t open_types;
    struct buffer held; /* and a frame that waits for the next to overtake it */
};

struct sim_connection {
    size_t number;
    bool is_open; /* both sides know each other */
    bool has_frame_faults;
    struct sim_end ends[2]; /* who dialled, and who was dialled */
};

static struct sim_end *end_other(struct sim_end *end) {
    return &end->connection->ends[1 - end->side];
}

/* Events carry the number of a connection and a side: the connection may be gone by then. */
static struct sim_end *end_of(struct sim_world *world, uint64_t number) {
    struct sim_connection *connection = world->connections[number >> 1];
    return connection != NULL ? &connection->ends[number & 1] : NULL;
}

static uint64_t end_number(const struct sim_end *end) {
    return (uint64_t)end->connection->number << 1 | end->side;
}

static bool is_cut(struct sim_world *world, const struct sim_node *from,
                   const struct sim_node *to) {
    return sim_path(world, from->index, to->index)->is_cut;
}

/* ---- lists ---- */

static void node_add_end(struct sim_node *node, struct sim_end *end) {
    if (node->ends_count == node->ends_capacity) {
        node->ends_capacity = node->ends_capacity == 0 ? 8 : 2 * node->ends_capacity;
        node->ends = memory_resize(node->ends, node->ends_capacity * sizeof(node->ends[0]));
    }
    node->ends[node->ends_count++] = end;
}

static void node_remove_end(struct sim_node *node, const struct sim_end *end) {
    for (unsigned i = 0; i < node->ends_count; i++) {
        if (node->ends[i] == end) {
            /* In order: what happens must not depend on how ends come and go. */
            memmove(&node->ends[i], &node->ends[i + 1],
                    (node->ends_count - i - 1) * sizeof(node->ends[0]));
            node->ends_count--;
            return;
        }
    }
}

static struct sim_connection *connection_new(struct sim_world *world, struct sim_node *from,
                                             struct sim_node *to) {
    struct sim_connection *connection = memory_alloc_zero(sizeof(*connection));
    if (world->connections_count == world->connections_capacity) {
        world->connections_capacity =
            world->connections_capacity == 0 ? 64 : 2 * world->connections_capacity;
        world->connections = memory_resize(world->connections, world->connections_capacity *
                                                                   sizeof(world->connections[0]));
    }
    connection->number = world->connections_count++;
    connection->has_frame_faults = world->frame_faults_per_10000 > 0;
    world->connections[connection->number] = connection;
    struct sim_node *nodes[2] = {from, to};
    for (unsigned side = 0; side < 2; side++) {
        struct sim_end *end = &connection->ends[side];
        end->connection = connection;
        end->side = side;
        end->node = nodes[side];
        end->delay_us = (uint32_t)sim_between(world, world->delay_us_min, world->delay_us_max);
        node_add_end(nodes[side], end);
    }
    return connection;
}

static void connection_free(struct sim_world *world, struct sim_connection *connection) {
    world->connections[connection->number] = NULL;
    for (unsigned side = 0; side < 2; side++) {
        struct sim_end *end = &connection->ends[side];
        node_remove_end(end->node, end);
        buffer_deinit(&end->bytes);
        buffer_deinit(&end->whole);
        buffer_deinit(&end->held);
        memory_free(end->pieces);
    }
    memory_free(connection);
}

/* Frees the connection once nobody has any use for it. */
static void connection_review(struct sim_world *world, struct sim_connection *connection) {
    if (connection->ends[0].is_closed && connection->ends[1].is_closed) {
        connection_free(world, connection);
    }
}

/* ---- bytes under way ---- */

static void end_deliver(struct sim_world *world, void *object, uint64_t number);

static uint64_t end_delay_us(struct sim_world *world, struct sim_end *end) {
    return end->delay_us + prng_below(&world->prng, end->delay_us / 8 + 1) +
           sim_path(world, end->node->index, end_other(end)->node->index)->delay_us;
}

static void end_schedule(struct sim_world *world, struct sim_end *end, uint64_t at_us) {
    if (!end->is_call_due) {
        end->is_call_due = true;
        sim_at(world, at_us, end_deliver, NULL, end_number(end));
    }
}

static void end_put_piece(struct sim_world *world, struct sim_end *end, size_t size, bool is_end) {
    uint64_t at_us =
        world->now_us + end_delay_us(world, end) + size * 1000 / (world->bytes_per_ms + 1);
    end->arrives_us = at_us > end->arrives_us ? at_us : end->arrives_us;
    if (end->pieces_first > 0 && end->pieces_first == end->pieces_count) {
        end->pieces_first = end->pieces_count = 0;
    }
    if (end->pieces_count == end->pieces_capacity) {
        end->pieces_capacity = end->pieces_capacity == 0 ? 8 : 2 * end->pieces_capacity;
        end->pieces = memory_resize(end->pieces, end->pieces_capacity * sizeof(end->pieces[0]));
    }
    end->pieces[end->pieces_count++] =
        (struct piece){.arrives_us = end->arrives_us, .size = size, .is_end = is_end};
    end_schedule(world, end, end->pieces[end->pieces_first].arrives_us);
}

static void end_put_bytes(struct sim_world *world, struct sim_end *end, struct slice bytes) {
    if (bytes.size > 0) {
        buffer_append_slice(&end->bytes, bytes);
        end_put_piece(world, end, bytes.size, false);
    }
}

/* ---- frame faults ---- */

static void end_put_frame(struct sim_world *world, struct sim_end *end, struct slice frame,
                          bool may_fail) {
    if (!may_fail || prng_below(&world->prng, 10000) >= world->frame_faults_per_10000) {
        end_put_bytes(world, end, frame);
        end_put_bytes(world, end, buffer_slice(&end->held));
        buffer_clear(&end->held);
        return;
    }
    world->frame_faults++;
    switch (prng_below(&world->prng, 3)) {
    case 0:
        sim_note(world, "a frame from %u to %u is lost", end->node->index,
                 end_other(end)->node->index);
        break;
    case 1:
        sim_note(world, "a frame from %u to %u comes twice", end->node->index,
                 end_other(end)->node->index);
        end_put_bytes(world, end, frame);
        end_put_bytes(world, end, frame);
        break;
    default:
        if (end->held.size == 0) {
            sim_note(world, "a frame from %u to %u is overtaken", end->node->index,
                     end_other(end)->node->index);
            buffer_append_slice(&end->held, frame);
        } else {
            end_put_bytes(world, end, frame);
        }
    }
}

static void end_put_output(struct sim_world *world, struct sim_end *end, struct slice bytes) {
    if (!end->connection->has_frame_faults) {
        end_put_bytes(world, end, bytes);
        return;
    }
    buffer_append_slice(&end->whole, bytes);
    struct slice rest = buffer_slice(&end->whole);
    size_t size;
    while ((size = sim_frame_size(rest)) > 0 && size <= rest.size) {
        struct slice frame = slice_make(rest.data, size);
        end_put_frame(
            world, end, frame,
            sim_frame_may_fail(frame, FRAMES_MAY_FAIL, sizeof(FRAMES_MAY_FAIL), &end->open_types));
        rest = slice_skip(rest, size);
    }
    buffer_consume(&end->whole, end->whole.size - rest.size);
}

/* ---- sending ---- */

static void end_send(struct sim_world *world, struct sim_end *end) {
    while (end->link != NULL && end->wants_send && end->connection->is_open) {
        struct slice out = mesh_link_output(end->link);
        size_t under_way = end->bytes.size - end->bytes_start;
        if (out.size == 0) {
            end->wants_send = false;
            return;
        }
        if (under_way >= UNDER_WAY_MAX) {
            return;
        }
        if (out.size > UNDER_WAY_MAX - under_way) {
            out.size = UNDER_WAY_MAX - under_way;
        }
        end->node->bytes_out += out.size;
        end_put_output(world, end, out);
        mesh_link_sent(end->link, out.size);
    }
}

/* The other side sees the end of the connection after what is under way. */
static void end_finish(struct sim_world *world, struct sim_end *end) {
    if (!end->is_ended) {
        end->is_ended = true;
        end_put_piece(world, end, 0, true);
    }
}

static void end_close(struct sim_world *world, struct sim_end *end, enum mesh_reason reason) {
    struct mesh_link *link = end->link;
    end->is_closed = true;
    end->link = NULL;
    if (link != NULL) {
        sim_set_time(end->node);
        mesh_link_closed(link, reason);
        sim_wake(end->node, 0);
    }
    (void)world;
}

/* sim_network_flush() sends, at the end of the turn. */
static void end_want_send(struct sim_end *end) {
    struct sim_node *node = end->node;
    end->wants_send = true;
    if (end->is_send_due) {
        return;
    }
    end->is_send_due = true;
    if (node->sends_count == node->sends_capacity) {
        node->sends_capacity = node->sends_capacity == 0 ? 8 : 2 * node->sends_capacity;
        node->sends = memory_resize(node->sends, node->sends_capacity * sizeof(node->sends[0]));
    }
    node->sends[node->sends_count++] = end_number(end);
}

/* ---- receiving ---- */

/* Takes as many of the bytes as the link has room for. */
static size_t end_input(struct sim_end *end, struct slice bytes) {
    size_t taken = 0;
    while (bytes.size > 0) {
        size_t room = 0;
        char *at = mesh_link_input_space(end->link, &room);
        if (at == NULL || room == 0) {
            break;
        }
        size_t size = bytes.size < room ? bytes.size : room;
        memcpy(at, bytes.data, size);
        mesh_link_input(end->link, size);
        bytes = slice_skip(bytes, size);
        taken += size;
    }
    end->node->bytes_in += taken;
    return taken;
}

/* The first piece of a direction arrives. */
static void end_deliver(struct sim_world *world, void *object, uint64_t number) {
    (void)object;
    struct sim_end *end = end_of(world, number);
    if (end == NULL) {
        return;
    }
    struct sim_end *other = end_other(end);
    end->is_call_due = false;
    bool is_any = false;
    while (end->pieces_first < end->pieces_count) {
        struct piece *piece = &end->pieces[end->pieces_first];
        if (is_cut(world, end->node, other->node)) {
            end_schedule(world, end, world->now_us + RETRY_US);
            break;
        }
        if (piece->arrives_us > world->now_us) {
            end_schedule(world, end, piece->arrives_us);
            break;
        }
        if (piece->is_end) {
            end->pieces_first++;
            end_close(world, other, MESH_REASON_CLOSED);
            end->is_closed = true;
            break;
        }
        struct slice bytes = slice_make(end->bytes.data + end->bytes_start, piece->size);
        size_t taken = bytes.size;
        if (other->link != NULL) {
            sim_set_time(other->node);
            taken = end_input(other, bytes);
            sim_trace(world, hash_bytes((struct hash_seed){3, 4}, slice_make(bytes.data, taken)));
            is_any = is_any || taken > 0;
        }
        piece->size -= taken;
        end->bytes_start += taken;
        if (piece->size > 0) {
            end_schedule(world, end, world->now_us + RETRY_US / 50);
            break;
        }
        end->pieces_first++;
    }
    if (end->bytes_start == end->bytes.size) {
        buffer_clear(&end->bytes);
        end->bytes_start = 0;
    } else if (end->bytes_start >= UNDER_WAY_MAX) {
        buffer_consume(&end->bytes, end->bytes_start);
        end->bytes_start = 0;
    }
    if (is_any && other->node->node != NULL) {
        sim_wake(other->node, 0);
    }
    if (end->node->node != NULL) {
        end_send(world, end);
    }
    connection_review(world, end->connection);
}

/* ---- dialling ---- */

static bool node_listens(const struct sim_node *node) {
    return node->node != NULL && node->node->mesh != NULL;
}

/* A first packet and its answer went through, or did not. */
static void dial_ends(struct sim_world *world, void *object, uint64_t number) {
    (void)object;
    struct sim_end *end = end_of(world, number);
    if (end == NULL) {
        return;
    }
    struct sim_connection *connection = end->connection;
    struct sim_end *other = end_other(end);
    if (end->link == NULL) {
        /* Given up. */
        other->is_closed = true;
        end->is_closed = true;
    } else if (!node_listens(other->node) || is_cut(world, end->node, other->node) ||
               is_cut(world, other->node, end->node)) {
        other->is_closed = true;
        end_close(world, end, node_listens(other->node) ? MESH_REASON_TIMEOUT : MESH_REASON_CLOSED);
    } else {
        connection->is_open = true;
        sim_set_time(other->node);
        char address[48];
        (void)snprintf(address, sizeof(address), "%.*s:%u", (int)strcspn(end->node->address, ":"),
                       end->node->address, 20000 + (unsigned)(connection->number % 40000));
        other->link = mesh_accept(other->node->node->mesh, other, address);
        sim_wake(other->node, 0);
        sim_set_time(end->node);
        mesh_link_opened(end->link, end);
        sim_wake(end->node, 0);
        end_send(world, end);
        end_send(world, other);
    }
    connection_review(world, connection);
}

/* ---- what the mesh asks for ---- */

static struct sim_node *node_at(struct sim_world *world, const char *address) {
    unsigned high, low, port;
    if (sscanf(address, "10.0.%u.%u:%u", &high, &low, &port) != 3 || low < 1 || port != 17000) {
        return NULL;
    }
    unsigned index = high * 250 + low - 1;
    return index < world->nodes_count ? &world->nodes[index] : NULL;
}

static void host_dial(void *udata, struct mesh_link *link, const char *address) {
    struct sim_node *node = (struct sim_node *)udata;
    struct sim_world *world = node->world;
    struct sim_node *to = node_at(world, address);
    if (to == NULL) {
        mesh_link_closed(link, MESH_REASON_CLOSED);
        return;
    }
    struct sim_connection *connection = connection_new(world, node, to);
    struct sim_end *end = &connection->ends[0];
    end->link = link;
    uint64_t took_us = end_delay_us(world, end) + end_delay_us(world, &connection->ends[1]);
    if (is_cut(world, node, to) || is_cut(world, to, node)) {
        took_us = DIAL_TIMEOUT_US;
    }
    sim_at(world, world->now_us + took_us, dial_ends, NULL, end_number(end));
}

static struct sim_end *end_of_link(struct sim_node *node, const struct mesh_link *link) {
    struct sim_end *end = (struct sim_end *)mesh_link_connection(link);
    if (node->node == NULL) {
        return NULL; /* its ends have no links any more */
    }
    if (end != NULL) {
        return end->link == link ? end : NULL;
    }
    for (unsigned i = 0; i < node->ends_count; i++) {
        if (node->ends[i]->link == link) {
            return node->ends[i];
        }
    }
    return NULL;
}

static void host_send(void *udata, struct mesh_link *link) {
    struct sim_end *end = end_of_link((struct sim_node *)udata, link);
    if (end != NULL) {
        end_want_send(end);
    }
}

static void host_close(void *udata, struct mesh_link *link) {
    struct sim_node *node = (struct sim_node *)udata;
    struct sim_world *world = node->world;
    struct sim_end *end = end_of_link(node, link);
    if (end == NULL) {
        return;
    }
    if (!end->connection->is_open) {
        end->link = NULL; /* dial_ends() cleans up */
        return;
    }
    end->wants_send = true;
    end_send(world, end);
    end->link = NULL;
    end->is_closed = true;
    end_finish(world, end);
}

static void host_hmac_sha256(void *udata, struct slice key, struct slice text, uint8_t digest[32]) {
    (void)udata;
    /* Any keyed function will do here: nobody in this world attacks it. */
    for (uint64_t i = 0; i < 4; i++) {
        struct hash_seed seed = {hash_bytes((struct hash_seed){i, 5}, key), i};
        uint64_t word = hash_bytes(seed, text);
        memcpy(digest + i * 8, &word, 8);
    }
}

static void host_message(void *udata, enum mesh_level level, const char *text) {
    const struct sim_node *node = (const struct sim_node *)udata;
    if (level > MESH_LEVEL_DEBUG) {
        sim_note(node->world, "node %u: %s", node->index, text);
    }
}

void sim_network_host(struct sim_node *node, struct mesh_host *host) {
    *host = (struct mesh_host){.udata = node,
                               .dial = host_dial,
                               .send = host_send,
                               .close = host_close,
                               .hmac_sha256 = host_hmac_sha256,
                               .message = host_message};
}

/* ---- for the world ---- */

static int compare_numbers(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void sim_network_flush(struct sim_node *node) {
    if (node->sends_count > 1) {
        qsort(node->sends, node->sends_count, sizeof(node->sends[0]), compare_numbers);
    }
    for (unsigned i = 0; i < node->sends_count; i++) {
        struct sim_end *end = end_of(node->world, node->sends[i]);
        if (end != NULL) {
            end->is_send_due = false;
            end_send(node->world, end);
        }
    }
    node->sends_count = 0;
}

static void silence_ends(struct sim_world *world, void *object, uint64_t number) {
    (void)object;
    struct sim_end *end = end_of(world, number);
    if (end != NULL) {
        struct sim_connection *connection = end->connection;
        end->is_closed = true;
        end_close(world, end_other(end), MESH_REASON_TIMEOUT);
        connection_review(world, connection);
    }
}

void sim_network_drop(struct sim_node *node, bool is_silent) {
    struct sim_world *world = node->world;
    for (unsigned i = node->ends_count; i-- > 0;) {
        struct sim_end *end = node->ends[i];
        struct sim_connection *connection = end->connection;
        end->link = NULL;
        end->wants_send = false;
        if (end->is_closed || !connection->is_open) {
            continue;
        }
        end->is_closed = true;
        /* What was sent is still on its way; without power some of it, too. */
        if (is_silent) {
            end->is_ended = true;
            sim_at(world, world->now_us + 20 * SIM_SECOND, silence_ends, NULL, end_number(end));
        } else {
            end_finish(world, end);
        }
    }
    for (unsigned i = node->ends_count; i-- > 0;) {
        if (i < node->ends_count) { /* both ends of one may have been here */
            connection_review(world, node->ends[i]->connection);
        }
    }
}

void sim_network_reset(struct sim_world *world, unsigned a, unsigned b) {
    struct sim_node *node = &world->nodes[a];
    for (unsigned i = node->ends_count; i-- > 0;) {
        struct sim_end *end = i < node->ends_count ? node->ends[i] : NULL;
        if (end == NULL || end_other(end)->node->index != b || !end->connection->is_open) {
            continue;
        }
        struct sim_connection *connection = end->connection;
        end_close(world, end, MESH_REASON_CLOSED);
        end_close(world, end_other(end), MESH_REASON_CLOSED);
        connection_review(world, connection);
    }
}

void sim_network_cut(struct sim_world *world, unsigned from, unsigned to, bool is_now_cut) {
    sim_path(world, from, to)->is_cut = is_now_cut;
}

void sim_network_init(struct sim_world *world) {
    size_t pairs = (size_t)world->nodes_count * world->nodes_count;
    world->paths = memory_alloc_zero(pairs * sizeof(world->paths[0]));
    world->delay_us_min = 200;
    world->delay_us_max = 2000;
    world->bytes_per_ms = 10000;
}

void sim_network_deinit(struct sim_world *world) {
    for (size_t i = 0; i < world->connections_count; i++) {
        if (world->connections[i] != NULL) {
            connection_free(world, world->connections[i]);
        }
    }
    memory_free(world->connections);
    memory_free(world->paths);
}
