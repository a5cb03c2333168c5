/* SPDX-License-Identifier: BSD-3-Clause */
/* Digests from a peer. Taking stays inside and the membership sound; what was taken can be told on,
 * to a node that takes all of it. */
#include "base/check.h"
#include "base/memory.h"
#include "mesh/membership.h"

struct node {
    struct membership membership;
    struct replicas replicas;
    struct context context, frontier;
    uint64_t now_ms;
};

static struct replica_id id_of(uint8_t number) {
    return (struct replica_id){.node = {number}, .generation = 1};
}

static void node_init(struct node *node, uint8_t number) {
    *node = (struct node){.now_ms = 1000};
    struct replica_id id = id_of(number);
    struct membership_opts opts = {.generation = 1,
                                   .address = "a:1",
                                   .version = "1",
                                   .gossip_interval_ms = 1000,
                                   .forget_after_ms = 100000};
    memcpy(opts.node_id, id.node, sizeof(opts.node_id));
    membership_init(&node->membership, &opts, node->now_ms);
    replicas_init(&node->replicas);
    node->replicas.self = replicas_add(&node->replicas, &id);
    context_add(&node->context, stamp_make(100, node->replicas.self));
}

static void node_deinit(struct node *node) {
    membership_check(&node->membership);
    membership_deinit(&node->membership);
    replicas_deinit(&node->replicas);
}

static struct member *meet(struct node *node, uint8_t number) {
    struct replica_id id = id_of(number);
    struct member *member = NULL;
    (void)replicas_add(&node->replicas, &id);
    require(membership_admit(&node->membership, &id, SLICE("b:1"), SLICE("1"), node->now_ms,
                             &member) == MEMBERSHIP_ADMITTED);
    membership_link_began(&node->membership, member);
    return member;
}

static void tell_on(struct node *node) {
    struct node other;
    struct buffer digest = {0};
    node_init(&other, 9);
    struct member *source = meet(&other, 1);
    struct member *peer = meet(node, 9);
    membership_beat(&node->membership, &node->replicas, &node->context);
    for (int i = 0; i < 3; i++) {
        buffer_clear(&digest);
        membership_digest_put(&node->membership, peer, &node->replicas, 2048, &digest);
        require(membership_digest_take(&other.membership, source, &other.replicas,
                                       buffer_slice(&digest), other.now_ms));
    }
    buffer_deinit(&digest);
    node_deinit(&other);
}

/* Input: (length u16, bytes of a digest)... */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct node node;
    node_init(&node, 1);
    struct member *peer = meet(&node, 2);
    (void)meet(&node, 3);
    struct slice rest = slice_make(data, size);
    while (rest.size >= 2 && peer->state != MEMBER_FORGOTTEN) {
        size_t length = (size_t)(uint8_t)rest.data[0] | (size_t)(uint8_t)rest.data[1] << 8;
        rest = slice_skip(rest, 2);
        length = length < rest.size ? length : rest.size;
        char *block = memory_alloc(length);
        memcpy(block, rest.data, length);
        (void)membership_digest_take(&node.membership, peer, &node.replicas,
                                     slice_make(block, length), node.now_ms);
        memory_free(block);
        rest = slice_skip(rest, length);
        node.now_ms += 20000;
        membership_tick(&node.membership, &node.replicas, &node.context, node.now_ms);
        membership_frontier(&node.membership, &node.replicas, &node.context, &node.frontier);
        membership_check(&node.membership);
    }
    if (membership_find(&node.membership, id_of(9).node) == NULL) {
        tell_on(&node);
    }
    node_deinit(&node);
    return 0;
}
