/* SPDX-License-Identifier: BSD-3-Clause */
/* MESH CHECK: do nodes that have seen the same changes hold the same data? Each peer answers with
 * sums of its data by ranges of a hash that all nodes share, and with its context. Only where the
 * contexts are equal do different sums mean a fault; else changes are still under way. */
#include <stdio.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/varint.h"
#include "mesh/mesh_state.h"

enum { CHECK_RANGES_SHOWN_MAX = 8 };

enum check_state { CHECK_ASKED, CHECK_EQUAL, CHECK_DIFFERENT, CHECK_UNDER_WAY, CHECK_ENDED };

struct check_peer {
    struct mesh_link *link; /* NULL: it ended */
    char address[MESH_ADDRESS_BYTES];
    enum check_state state;
    unsigned different_count;
    unsigned different[CHECK_RANGES_SHOWN_MAX];
};

struct mesh_check {
    uint64_t number, begun_us;
    size_t count;
    struct check_peer peers[];
};

void mesh_check_deinit(struct mesh *mesh) {
    memory_free(mesh->check);
    mesh->check = NULL;
}

void mesh_check_begin(struct mesh *mesh) {
    static const unsigned ranges = MESH_CHECK_RANGES;
    uint64_t number = mesh->check != NULL ? mesh->check->number + 1 : 1;
    size_t size = sizeof(struct mesh_check) + mesh->links_count * sizeof(struct check_peer);
    struct buffer payload = {0};
    mesh_check_deinit(mesh);
    mesh_enter(mesh);
    mesh->check = memory_alloc_zero(size);
    mesh->check->number = number;
    mesh->check->begun_us = mesh->monotonic_us;
    codec_put_varint(&payload, number);
    codec_put_varint(&payload, ranges);
    for (struct mesh_link *link = mesh->links; link != NULL; link = link->next) {
        if (link_is_up(link)) {
            struct check_peer *peer = &mesh->check->peers[mesh->check->count++];
            peer->link = link;
            (void)snprintf(peer->address, sizeof(peer->address), "%s", link->peer_address);
            link_send(link, MESH_FRAME_CHECK_PULL, buffer_slice(&payload));
        }
    }
    buffer_deinit(&payload);
    mesh_exit(mesh);
}

bool mesh_check_pull_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    uint64_t number, ranges;
    if (!varint_take(&payload, &number) || !varint_take(&payload, &ranges) || ranges == 0 ||
        ranges > MESH_CHECK_RANGES_MAX) {
        return false;
    }
    struct buffer answer = {0};
    uint64_t *digests = memory_alloc_zero((size_t)ranges * sizeof(digests[0]));
    mesh->data.range_digests(mesh->data.udata, (unsigned)ranges, digests);
    link_introduce_all(link);
    codec_put_varint(&answer, number);
    mesh_put_context(&answer, mesh->data.replicas(mesh->data.udata),
                     mesh->data.context(mesh->data.udata));
    codec_put_varint(&answer, ranges);
    for (uint64_t i = 0; i < ranges; i++) {
        codec_put_u64(&answer, digests[i]);
    }
    link_send(link, MESH_FRAME_CHECK, buffer_slice(&answer));
    memory_free(digests);
    buffer_deinit(&answer);
    return true;
}

/* Have both seen the same? Entries of replicas that one side has retired do not count. */
static bool is_same_context(const struct mesh *mesh, const struct context *theirs) {
    const struct context *mine = mesh->data.context(mesh->data.udata);
    const struct replicas *replicas = mesh->data.replicas(mesh->data.udata);
    for (unsigned slot = 1; slot < replicas->slots_count; slot++) {
        if (mine->stamps[slot] != theirs->stamps[slot]) {
            return false;
        }
    }
    return true;
}

static void compare(const struct mesh *mesh, struct check_peer *peer, const struct context *context,
                    struct slice theirs) {
    uint64_t mine[MESH_CHECK_RANGES] = {0};
    mesh->data.range_digests(mesh->data.udata, MESH_CHECK_RANGES, mine);
    peer->different_count = 0;
    for (unsigned i = 0; i < MESH_CHECK_RANGES; i++) {
        uint64_t digest;
        bool is_there = codec_take_u64(&theirs, &digest);
        require(is_there);
        if (digest != mine[i]) {
            if (peer->different_count < CHECK_RANGES_SHOWN_MAX) {
                peer->different[peer->different_count] = i;
            }
            peer->different_count++;
        }
    }
    if (peer->different_count == 0) {
        peer->state = CHECK_EQUAL;
    } else {
        peer->state = is_same_context(mesh, context) ? CHECK_DIFFERENT : CHECK_UNDER_WAY;
    }
}

bool mesh_check_frame(struct mesh_link *link, struct slice payload) {
    struct mesh *mesh = link->mesh;
    struct mesh_check *check = mesh->check;
    struct context context;
    uint64_t number, ranges;
    unsigned unknown;
    if (!varint_take(&payload, &number) ||
        !mesh_take_context(&payload, mesh->data.replicas(mesh->data.udata), &context, &unknown) ||
        !varint_take(&payload, &ranges) || ranges > MESH_CHECK_RANGES_MAX ||
        payload.size != ranges * 8) {
        return false;
    }
    if (check == NULL || check->number != number || ranges != MESH_CHECK_RANGES) {
        return true; /* of an older check */
    }
    for (size_t i = 0; i < check->count; i++) {
        if (check->peers[i].link == link && check->peers[i].state == CHECK_ASKED) {
            compare(mesh, &check->peers[i], &context, payload);
        }
    }
    return true;
}

void mesh_check_link_closed(struct mesh_link *link) {
    struct mesh_check *check = link->mesh->check;
    for (size_t i = 0; check != NULL && i < check->count; i++) {
        if (check->peers[i].link == link) {
            check->peers[i].link = NULL;
            if (check->peers[i].state == CHECK_ASKED) {
                check->peers[i].state = CHECK_ENDED;
            }
        }
    }
}

static void describe(const struct check_peer *peer, struct buffer *lines) {
    buffer_printf(lines, "%s ", peer->address);
    switch (peer->state) {
    case CHECK_ASKED:
        buffer_printf(lines, "no answer");
        break;
    case CHECK_EQUAL:
        buffer_printf(lines, "equal");
        break;
    case CHECK_UNDER_WAY:
        buffer_printf(lines, "changes under way in %u of %u ranges", peer->different_count,
                      (unsigned)MESH_CHECK_RANGES);
        break;
    case CHECK_ENDED:
        buffer_printf(lines, "link lost");
        break;
    case CHECK_DIFFERENT:
        buffer_printf(lines, "DIFFERENT in %u of %u ranges:", peer->different_count,
                      (unsigned)MESH_CHECK_RANGES);
        for (unsigned i = 0; i < peer->different_count && i < CHECK_RANGES_SHOWN_MAX; i++) {
            buffer_printf(lines, " %u", peer->different[i]);
        }
        break;
    }
    buffer_append_byte(lines, '\n');
}

bool mesh_check_done(struct mesh *mesh, uint64_t timeout_ms, struct buffer *lines) {
    const struct mesh_check *check = mesh->check;
    if (check == NULL) {
        return true;
    }
    bool is_late = mesh->monotonic_us - check->begun_us >= timeout_ms * 1000;
    for (size_t i = 0; i < check->count && !is_late; i++) {
        if (check->peers[i].state == CHECK_ASKED) {
            return false;
        }
    }
    for (size_t i = 0; i < check->count; i++) {
        describe(&check->peers[i], lines);
    }
    return true;
}
