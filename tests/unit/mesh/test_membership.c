/* SPDX-License-Identifier: BSD-3-Clause */
/* Membership: nodes in memory exchange digests. They come to know each other in spite of losses,
 * notice who stops and nobody else, forget and readmit, stay within their budget of bytes, and take
 * no bytes that make no sense. The frontier has a test of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/memory.h"
#include "mesh/membership.h"
#include "mesh/membership_state.h"
#include "unit/seed.h"

enum { NODES_MAX = 128, INTERVAL_MS = 1000, FORGET_MS = 600000 };

struct node {
    struct membership membership;
    struct replicas replicas;
    struct context context;
    bool is_down;
    unsigned events[MEMBERSHIP_OVERTAKEN + 1];
    unsigned offset_ms; /* of its rounds */
};

struct world {
    struct node nodes[NODES_MAX];
    int count;
    uint64_t now_ms;
    struct prng prng;
    unsigned loss_percent;
    uint64_t bytes, digests;
    size_t digest_bytes_max;
};

static struct replica_id make_id(int number, uint64_t generation) {
    struct replica_id id = {.generation = generation};
    /* Their order is not that of their numbers. */
    id.node[0] = (uint8_t)(number * 151);
    id.node[1] = (uint8_t)number;
    id.node[2] = (uint8_t)(number >> 8);
    return id;
}

static void count_event(void *udata, enum membership_event event, struct member *member) {
    struct node *node = udata;
    assert_non_null(member);
    node->events[event]++;
}

static void node_start(struct world *world, int number, uint64_t generation) {
    struct node *node = &world->nodes[number];
    char address[64];
    snprintf(address, sizeof(address), "10.0.%d.%d:7379", number / 256, number % 256);
    struct replica_id id = make_id(number, generation);
    struct membership_opts opts = {.generation = generation,
                                   .address = address,
                                   .version = "0.1.0",
                                   .gossip_interval_ms = INTERVAL_MS,
                                   .forget_after_ms = FORGET_MS,
                                   .event = count_event,
                                   .udata = node};
    memcpy(opts.node_id, id.node, sizeof(opts.node_id));
    *node = (struct node){.offset_ms = (unsigned)prng_below(&world->prng, INTERVAL_MS)};
    membership_init(&node->membership, &opts, world->now_ms);
    replicas_init(&node->replicas);
    node->replicas.self = replicas_add(&node->replicas, &id);
}

static void node_stop(struct node *node) {
    membership_deinit(&node->membership);
    replicas_deinit(&node->replicas);
}

static struct member *member_of(struct world *world, int number, int other) {
    struct replica_id id = make_id(other, 0);
    return membership_find(&world->nodes[number].membership, id.node);
}

static enum member_state state_of(struct world *world, int number, int other) {
    struct member *member = member_of(world, number, other);
    assert_non_null(member);
    return member->state;
}

/* One node's HELLO reaches the other. */
static enum membership_admission hello(struct world *world, int from, int to) {
    struct member *self = membership_self(&world->nodes[from].membership), *member = NULL;
    struct replica_id id = {.generation = self->generation};
    memcpy(id.node, self->node_id, sizeof(id.node));
    enum membership_admission admission =
        membership_admit(&world->nodes[to].membership, &id, slice_of(self->address),
                         slice_of(self->version), world->now_ms, &member);
    if (admission == MEMBERSHIP_ADMITTED) {
        assert_non_null(member);
        (void)replicas_add(&world->nodes[to].replicas, &id);
        membership_link_began(&world->nodes[to].membership, member);
    }
    return admission;
}

static void link_up(struct world *world, int a, int b) {
    assert_int_equal(hello(world, a, b), MEMBERSHIP_ADMITTED);
    assert_int_equal(hello(world, b, a), MEMBERSHIP_ADMITTED);
}

static void world_init(struct world *world, int count, uint64_t seed) {
    *world = (struct world){.count = count, .now_ms = 1000000};
    prng_init(&world->prng, seed);
    for (int i = 0; i < count; i++) {
        node_start(world, i, 1);
    }
}

static void world_deinit(struct world *world) {
    for (int i = 0; i < world->count; i++) {
        membership_check(&world->nodes[i].membership);
        node_stop(&world->nodes[i]);
    }
}

/* A digest from one node to another; a lost one breaks the link, which is up again at once. */
static void gossip(struct world *world, int from, int to, size_t budget) {
    struct node *sender = &world->nodes[from], *receiver = &world->nodes[to];
    struct member *peer = member_of(world, from, to), *source = member_of(world, to, from);
    if (peer == NULL || peer->state == MEMBER_FORGOTTEN || receiver->is_down) {
        return;
    }
    if (source == NULL) {
        link_up(world, from, to);
        source = member_of(world, to, from);
    }
    struct buffer digest = {0};
    membership_digest_put(&sender->membership, peer, &sender->replicas, budget, &digest);
    world->bytes += digest.size;
    world->digests++;
    if (digest.size > world->digest_bytes_max) {
        world->digest_bytes_max = digest.size;
    }
    if (prng_below(&world->prng, 100) < world->loss_percent) {
        membership_link_began(&sender->membership, peer);
    } else if (source->state != MEMBER_FORGOTTEN) {
        assert_true(membership_digest_take(&receiver->membership, source, &receiver->replicas,
                                           buffer_slice(&digest), world->now_ms));
    }
    buffer_deinit(&digest);
}

/* A node's turn: it judges, and tells three others that it knows, the dead more rarely. */
static void node_round(struct world *world, int number) {
    struct node *node = &world->nodes[number];
    membership_tick(&node->membership, &node->replicas, &node->context, world->now_ms);
    membership_beat(&node->membership, &node->replicas, &node->context);
    size_t count = node->membership.members_count, told = 0;
    size_t place = count > 1 ? prng_below(&world->prng, count - 1) : 0;
    /* Three in a row of a random place; and one that may be dead. */
    for (size_t i = 1; i < count && told < 3; i++) {
        struct member *member = node->membership.members[1 + (place + i) % (count - 1)];
        if (member->state != MEMBER_DEAD || prng_below(&world->prng, 8) == 0) {
            gossip(world, number, member->node_id[1], MEMBERSHIP_DIGEST_BYTES);
            told++;
        }
    }
}

static void run_ms(struct world *world, uint64_t ms) {
    for (uint64_t end = world->now_ms + ms; world->now_ms < end; world->now_ms += 100) {
        for (int i = 0; i < world->count; i++) {
            struct node *node = &world->nodes[i];
            if (node->is_down) {
                continue;
            }
            if ((world->now_ms + node->offset_ms) / 100 % (INTERVAL_MS / 100) == 0) {
                node_round(world, i);
            } else {
                membership_tick(&node->membership, &node->replicas, &node->context, world->now_ms);
            }
        }
    }
}

static unsigned deaths(const struct world *world) {
    unsigned count = 0;
    for (int i = 0; i < world->count; i++) {
        count += world->nodes[i].events[MEMBERSHIP_DEAD];
    }
    return count;
}

static bool all_alive(struct world *world) {
    for (int i = 0; i < world->count; i++) {
        if (membership_count(&world->nodes[i].membership, MEMBER_ALIVE) !=
            (size_t)world->count - 1) {
            return false;
        }
    }
    return true;
}

/* ---- tests ---- */

/* All know one node only, a third of the digests is lost: all come to know all. */
static void all_come_to_know_all(void **state) {
    (void)state;
    static struct world world;
    for (int count = 2; count <= 40; count += count < 5 ? 1 : 7) {
        world_init(&world, count, (uint64_t)count);
        world.loss_percent = 33;
        for (int i = 1; i < count; i++) {
            link_up(&world, i, 0);
        }
        run_ms(&world, 20000);
        assert_true(all_alive(&world));
        for (int i = 0; i < count; i++) {
            struct membership *membership = &world.nodes[i].membership;
            assert_true(membership->set_hash == world.nodes[0].membership.set_hash);
            assert_int_equal(world.nodes[i].events[MEMBERSHIP_JOINED], count - 1);
            assert_true(membership_has_quorum(membership));
            for (int j = 0; j < count; j++) {
                char address[64];
                snprintf(address, sizeof(address), "10.0.%d.%d:7379", j / 256, j % 256);
                assert_string_equal(member_of(&world, i, j)->address, address);
                assert_string_equal(member_of(&world, i, j)->version, "0.1.0");
            }
        }
        assert_int_equal(deaths(&world), 0);
        world_deinit(&world);
    }
}

/* Row 6 in a mesh: alive from the third heartbeat; half of all digests lost for 30 s: no death; a
 * node that stops is dead for all within 10 s of the last heartbeat that they heard. */
static void the_living_and_the_dead(void **state) {
    (void)state;
    static struct world world;
    enum { COUNT = 5, SEEDS = 60 };
    unsigned noticed_ms_max = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        world_init(&world, COUNT, 1000 + seed);
        for (int i = 1; i < COUNT; i++) {
            link_up(&world, i, 0);
        }
        run_ms(&world, 1000);
        assert_int_equal(membership_count(&world.nodes[0].membership, MEMBER_ALIVE), 0);
        run_ms(&world, 60000);
        assert_true(all_alive(&world));
        world.loss_percent = 50;
        run_ms(&world, 30000);
        assert_int_equal(deaths(&world), 0);
        world.loss_percent = 0;
        run_ms(&world, 30000);
        assert_int_equal(deaths(&world), 0);
        world.nodes[COUNT - 1].is_down = true;
        uint64_t stopped_ms = world.now_ms;
        while (deaths(&world) < COUNT - 1 && world.now_ms < stopped_ms + 60000) {
            run_ms(&world, 100);
            for (int i = 0; i < COUNT - 1; i++) {
                struct member *member = member_of(&world, i, COUNT - 1);
                assert_true(member->state == MEMBER_DEAD ||
                            world.now_ms - member->heard_ms <= 10200);
            }
        }
        unsigned noticed_ms = (unsigned)(world.now_ms - stopped_ms);
        noticed_ms_max = noticed_ms > noticed_ms_max ? noticed_ms : noticed_ms_max;
        world_deinit(&world);
    }
    printf("%d meshes of %d nodes: a stop was noticed by all within %u ms\n", SEEDS, COUNT,
           noticed_ms_max);
    assert_true(noticed_ms_max <= 12000);
}

/* Who begins hears from others of one who is gone: that they had heard it once is no sign of life,
 * and of one who lives more is heard soon. */
static void the_hearsay(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 4, 7);
    for (int i = 1; i < 4; i++) {
        link_up(&world, i, 0);
    }
    run_ms(&world, 20000);
    assert_true(all_alive(&world));
    world.nodes[3].is_down = true;
    run_ms(&world, 5000);
    node_stop(&world.nodes[2]);
    node_start(&world, 2, world.now_ms);
    link_up(&world, 0, 2);
    run_ms(&world, 10000);
    assert_true(member_of(&world, 2, 3)->heartbeat > 0);
    assert_int_equal(member_of(&world, 2, 3)->heard_ms, 0);
    assert_true(world.now_ms - member_of(&world, 2, 1)->heard_ms < 5000);
    world_deinit(&world);
}

/* A pause of one's own process kills nobody. */
static void pauses_are_forgiven(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 3, 5);
    link_up(&world, 0, 1);
    link_up(&world, 0, 2);
    run_ms(&world, 30000);
    world.nodes[0].is_down = true;
    run_ms(&world, 60000);
    assert_int_equal(state_of(&world, 1, 0), MEMBER_DEAD);
    world.nodes[0].is_down = false;
    run_ms(&world, 10000);
    assert_int_equal(world.nodes[0].events[MEMBERSHIP_DEAD], 0);
    assert_true(all_alive(&world));
    world_deinit(&world);
}

/* Row 16. */
static void the_forgotten(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 4, 3);
    for (int i = 1; i < 4; i++) {
        link_up(&world, i, 0);
    }
    run_ms(&world, 20000);
    uint64_t all = world.nodes[0].membership.set_hash;
    world.nodes[3].is_down = true;
    run_ms(&world, 15000);
    assert_int_equal(state_of(&world, 0, 3), MEMBER_DEAD);
    assert_true(world.nodes[0].membership.set_hash == all);

    /* Node 0 forgets it; node 1 has kept silent, and gossips the old heartbeat still. */
    world.nodes[1].is_down = true;
    membership_forget(&world.nodes[0].membership, member_of(&world, 0, 3), world.now_ms);
    assert_int_equal(state_of(&world, 0, 3), MEMBER_FORGOTTEN);
    assert_true(world.nodes[0].membership.set_hash != all);
    membership_link_began(&world.nodes[1].membership, member_of(&world, 1, 0));
    gossip(&world, 1, 0, MEMBERSHIP_DIGEST_BYTES);
    assert_int_equal(state_of(&world, 0, 3), MEMBER_FORGOTTEN);
    assert_int_equal(hello(&world, 3, 0), MEMBERSHIP_IS_FORGOTTEN);
    assert_int_equal(world.nodes[0].events[MEMBERSHIP_JOINED], 3);
    world.nodes[1].is_down = false;

    /* The others do not hear it: they follow. */
    run_ms(&world, 10000);
    assert_int_equal(state_of(&world, 1, 3), MEMBER_FORGOTTEN);
    assert_int_equal(state_of(&world, 2, 3), MEMBER_FORGOTTEN);
    assert_true(world.nodes[1].membership.set_hash == world.nodes[0].membership.set_hash);

    /* A new generation is admitted, through one node, by all. */
    world.nodes[3].is_down = false;
    membership_set_generation(&world.nodes[3].membership, 2);
    assert_int_equal(hello(&world, 3, 0), MEMBERSHIP_ADMITTED);
    run_ms(&world, 10000);
    assert_true(all_alive(&world));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(member_of(&world, i, 3)->generation, 2);
        assert_true(world.nodes[i].membership.set_hash == world.nodes[3].membership.set_hash);
        assert_int_equal(world.nodes[i].membership.forgotten_count, 0);
    }
    world_deinit(&world);
}

/* A newcomer is told who is forgotten before the state that it takes over names them: it must not
 * count them then, since nobody would say so again. */
static void the_forgotten_of_before(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 4, 5);
    for (int i = 1; i < 4; i++) {
        link_up(&world, i, 0);
    }
    run_ms(&world, 20000);
    world.nodes[3].is_down = true;
    run_ms(&world, 15000);
    membership_forget(&world.nodes[0].membership, member_of(&world, 0, 3), world.now_ms);
    run_ms(&world, 10000);
    node_stop(&world.nodes[2]);
    node_start(&world, 2, 2);
    link_up(&world, 0, 2);
    run_ms(&world, 5000);
    assert_int_equal(world.nodes[2].events[MEMBERSHIP_FORGOTTEN], 0);
    assert_int_equal(world.nodes[2].events[MEMBERSHIP_WAS_FORGOTTEN], 1);
    struct replica_id gone = make_id(3, 1);
    (void)replicas_add(&world.nodes[2].replicas, &gone);
    membership_recall_all(&world.nodes[2].membership, &world.nodes[2].replicas);
    run_ms(&world, 20000);
    assert_int_equal(state_of(&world, 2, 3), MEMBER_FORGOTTEN);
    assert_true(world.nodes[2].membership.set_hash == world.nodes[0].membership.set_hash);
    assert_true(world.nodes[2].membership.set_hash == world.nodes[1].membership.set_hash);
    /* It may come back in a new life, as at all others. */
    world.nodes[3].is_down = false;
    assert_int_equal(hello(&world, 3, 2), MEMBERSHIP_IS_FORGOTTEN);
    membership_set_generation(&world.nodes[3].membership, 2);
    link_up(&world, 3, 0);
    run_ms(&world, 10000);
    assert_true(all_alive(&world));
    assert_int_equal(world.nodes[2].membership.forgotten_count, 0);
    world_deinit(&world);
}

/* Node 2 goes on in a new process, which is told by the last one who was gone. */
static void start_again(struct world *world, const struct departed_life *departed) {
    struct replica_id gone = make_id(3, 1);
    node_stop(&world->nodes[2]);
    node_start(world, 2, world->now_ms);
    (void)replicas_add(&world->nodes[2].replicas, &gone);
    if (departed != NULL) {
        membership_recall_departed(&world->nodes[2].membership, departed, world->now_ms);
    }
    membership_recall_all(&world->nodes[2].membership, &world->nodes[2].replicas);
    link_up(world, 0, 2);
}

/* What a node was told of one who is gone outlives it: none of those here is waited for. */
static void the_departed(void **state) {
    (void)state;
    for (int forgotten = 0; forgotten < 2; forgotten++) {
        static struct world world;
        world_init(&world, 4, 12);
        for (int i = 1; i < 4; i++) {
            link_up(&world, i, 0);
        }
        run_ms(&world, 20000);
        world.nodes[3].is_down = true;
        enum member_state expected = forgotten != 0 ? MEMBER_FORGOTTEN : MEMBER_LEFT;
        struct departed_life departed = {
            .id = make_id(3, 1), .is_forgotten = forgotten != 0, .left_ticks = 77};
        start_again(&world, &departed);
        assert_int_equal(state_of(&world, 2, 3), expected);
        assert_int_equal(world.nodes[2].membership.forgotten_count, forgotten);
        assert_int_equal(member_of(&world, 2, 3)->is_counted, forgotten == 0);
        /* Who left is counted until all that it wrote is here. */
        unsigned slot = replicas_find(&world.nodes[2].replicas, member_of(&world, 2, 3)->ref);
        context_add(&world.nodes[2].context, stamp_make(77, slot));
        run_ms(&world, 20000);
        assert_int_equal(state_of(&world, 2, 3), expected);
        assert_false(member_of(&world, 2, 3)->is_counted);
        /* The others are told. */
        assert_int_equal(state_of(&world, 0, 3), expected);
        assert_int_equal(state_of(&world, 1, 3), expected);
        assert_int_equal(world.nodes[0].events[MEMBERSHIP_LEFT], forgotten == 0);
        /* It may come back in a new life, which has to see what was settled without it. */
        world.nodes[3].is_down = false;
        assert_int_equal(hello(&world, 3, 2),
                         forgotten != 0 ? MEMBERSHIP_IS_FORGOTTEN : MEMBERSHIP_IS_LEFT);
        membership_set_generation(&world.nodes[3].membership, 2);
        link_up(&world, 3, 2);
        assert_true(member_of(&world, 2, 3)->owes_all);
        assert_true(member_of(&world, 2, 3)->is_counted);
        assert_int_equal(world.nodes[2].membership.forgotten_count, 0);
        world_deinit(&world);
    }
}

/* A node that does not know it, from an old copy, is told by those who ceased to speak of it. */
static void the_departed_of_long_ago(void **state) {
    (void)state;
    for (int forgotten = 0; forgotten < 2; forgotten++) {
        static struct world world;
        world_init(&world, 4, 13);
        for (int i = 1; i < 4; i++) {
            link_up(&world, i, 0);
        }
        run_ms(&world, 20000);
        world.nodes[3].is_down = true;
        for (int i = 0; i < 3; i++) {
            struct member *member = member_of(&world, i, 3);
            if (forgotten != 0) {
                membership_forget(&world.nodes[i].membership, member, world.now_ms);
            } else {
                membership_note_left(&world.nodes[i].membership, member, 0, world.now_ms);
            }
        }
        run_ms(&world, FORGET_MS / 2 + 60000);
        assert_true(membership_is_left_out(&world.nodes[0].membership, member_of(&world, 0, 3)));
        uint64_t since_ms = member_of(&world, 0, 3)->state_ms;
        start_again(&world, NULL);
        assert_int_equal(state_of(&world, 2, 3), MEMBER_NEW);
        run_ms(&world, 5000);
        assert_int_equal(state_of(&world, 2, 3), forgotten != 0 ? MEMBER_FORGOTTEN : MEMBER_LEFT);
        assert_true(world.nodes[2].membership.set_hash == world.nodes[0].membership.set_hash);
        assert_int_equal(member_of(&world, 0, 3)->state_ms, since_ms);
        world_deinit(&world);
    }
}

/* A newcomer is going to hear of what one did who was forgotten long ago, while the table of
 * replicas names him: so of him, too, at once, lest he come back by the newcomer as somebody new.
 */
static void a_newcomer_hears_of_the_forgotten(void **state) {
    (void)state;
    for (int is_named = 0; is_named < 2; is_named++) {
        static struct world world;
        struct replica_id gone = make_id(3, 1);
        world_init(&world, 4, 14);
        for (int i = 1; i < 4; i++) {
            link_up(&world, i, 0);
        }
        run_ms(&world, 20000);
        world.nodes[3].is_down = world.nodes[2].is_down = true;
        membership_forget(&world.nodes[0].membership, member_of(&world, 0, 3), world.now_ms);
        membership_forget(&world.nodes[0].membership, member_of(&world, 0, 2), world.now_ms);
        run_ms(&world, FORGET_MS / 2 + 60000);
        replicas_deinit(&world.nodes[0].replicas);
        replicas_init(&world.nodes[0].replicas);
        if (is_named) {
            (void)replicas_add(&world.nodes[0].replicas, &gone);
        }
        node_stop(&world.nodes[2]);
        node_start(&world, 2, world.now_ms);
        link_up(&world, 0, 2);
        gossip(&world, 0, 2, MEMBERSHIP_DIGEST_BYTES);
        assert_int_equal(member_of(&world, 2, 3) != NULL, is_named);
        if (is_named) {
            assert_int_equal(state_of(&world, 2, 3), MEMBER_FORGOTTEN);
        }
        world_deinit(&world);
    }
}

/* The dead are forgotten after a while, and left out of digests after half of it. */
static void the_long_dead(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 4, 4);
    link_up(&world, 0, 1);
    link_up(&world, 0, 2);
    world.nodes[3].is_down = true;
    run_ms(&world, 20000);
    world.nodes[2].is_down = true;
    run_ms(&world, FORGET_MS / 2 - 60000);
    /* A newcomer hears of it ... */
    world.nodes[3].is_down = false;
    link_up(&world, 0, 3);
    run_ms(&world, 5000);
    assert_non_null(member_of(&world, 3, 2));
    world.nodes[3].is_down = true;
    run_ms(&world, 120000);
    /* ... a later one does not. */
    node_stop(&world.nodes[3]);
    node_start(&world, 3, 2);
    link_up(&world, 0, 3);
    run_ms(&world, 20000);
    assert_null(member_of(&world, 3, 2));
    assert_int_equal(state_of(&world, 0, 2), MEMBER_DEAD);
    run_ms(&world, FORGET_MS / 2);
    assert_int_equal(state_of(&world, 0, 2), MEMBER_FORGOTTEN);
    assert_int_equal(state_of(&world, 1, 2), MEMBER_FORGOTTEN);
    assert_true(world.nodes[0].membership.set_hash == world.nodes[3].membership.set_hash);
    /* One that was left out and comes back is told of again. */
    world.nodes[2].is_down = false;
    membership_set_generation(&world.nodes[2].membership, 2);
    link_up(&world, 2, 1);
    run_ms(&world, 20000);
    assert_int_equal(state_of(&world, 3, 2), MEMBER_ALIVE);
    world_deinit(&world);
}

/* Who leaves is counted until all that it wrote is here, and does not come back in this life. */
static void the_leaving(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 3, 6);
    link_up(&world, 0, 1);
    link_up(&world, 0, 2);
    run_ms(&world, 10000);
    struct node *node = &world.nodes[0];
    unsigned slot = replicas_find(&node->replicas, member_of(&world, 0, 2)->ref);
    assert_true(slot != 0);
    context_add(&node->context, stamp_make(70, slot));
    membership_leave(&world.nodes[2].membership, 77, world.now_ms);
    run_ms(&world, 3000);
    assert_int_equal(state_of(&world, 0, 2), MEMBER_LEFT);
    assert_int_equal(state_of(&world, 1, 2), MEMBER_LEFT);
    assert_int_equal(node->events[MEMBERSHIP_LEFT], 1);
    assert_true(member_of(&world, 0, 2)->is_counted);
    world.nodes[2].is_down = true;
    context_add(&node->context, stamp_make(77, slot));
    run_ms(&world, 20000);
    assert_false(member_of(&world, 0, 2)->is_counted);
    assert_int_equal(state_of(&world, 0, 2), MEMBER_LEFT);
    assert_int_equal(node->events[MEMBERSHIP_DEAD], 0);
    assert_true(membership_has_quorum(&node->membership));
    assert_int_equal(hello(&world, 2, 0), MEMBERSHIP_IS_LEFT);
    membership_set_generation(&world.nodes[2].membership, 5);
    assert_int_equal(hello(&world, 2, 0), MEMBERSHIP_ADMITTED);
    assert_true(member_of(&world, 0, 2)->is_counted);
    world_deinit(&world);
}

static void admissions(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 2, 7);
    assert_int_equal(hello(&world, 0, 0), MEMBERSHIP_IS_SELF);
    assert_int_equal(hello(&world, 1, 0), MEMBERSHIP_ADMITTED);
    uint64_t before = world.nodes[0].membership.set_hash;
    membership_set_generation(&world.nodes[1].membership, 9);
    assert_int_equal(hello(&world, 1, 0), MEMBERSHIP_ADMITTED);
    assert_int_equal(world.nodes[0].events[MEMBERSHIP_RESTARTED], 1);
    assert_true(world.nodes[0].membership.set_hash != before);
    struct replica_id old = make_id(1, 8);
    struct member *member;
    assert_int_equal(membership_admit(&world.nodes[0].membership, &old, SLICE(""), SLICE(""),
                                      world.now_ms, &member),
                     MEMBERSHIP_IS_OLD);
    /* An address may change; others hear it. */
    node_stop(&world.nodes[1]);
    node_start(&world, 1, 10);
    link_up(&world, 0, 1);
    run_ms(&world, 5000);
    membership_configure(&world.nodes[1].membership, INTERVAL_MS, FORGET_MS, "other:1");
    run_ms(&world, 5000);
    assert_string_equal(member_of(&world, 0, 1)->address, "other:1");
    world_deinit(&world);
}

/* Somebody knows a later life of this node, or holds that this one is over. */
static void being_overtaken(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 3, 8);
    link_up(&world, 0, 1);
    link_up(&world, 1, 2);
    link_up(&world, 0, 2);
    run_ms(&world, 5000);
    struct replica_id later = make_id(0, 50);
    struct member *member;
    assert_int_equal(membership_admit(&world.nodes[2].membership, &later, SLICE(""), SLICE(""),
                                      world.now_ms, &member),
                     MEMBERSHIP_ADMITTED);
    gossip(&world, 2, 1, MEMBERSHIP_DIGEST_BYTES);
    assert_int_equal(member_of(&world, 1, 0)->generation, 50);
    gossip(&world, 1, 0, MEMBERSHIP_DIGEST_BYTES);
    /* A peer is not told about itself; node 0 hears of it from somebody who links it as another. */
    assert_int_equal(world.nodes[0].events[MEMBERSHIP_OVERTAKEN], 0);
    struct buffer digest = {0};
    membership_link_began(&world.nodes[2].membership, member_of(&world, 2, 1));
    membership_digest_put(&world.nodes[2].membership, member_of(&world, 2, 1),
                          &world.nodes[2].replicas, MEMBERSHIP_DIGEST_BYTES, &digest);
    for (int i = 0; i < 2; i++) {
        assert_true(membership_digest_take(&world.nodes[0].membership, member_of(&world, 0, 2),
                                           &world.nodes[0].replicas, buffer_slice(&digest),
                                           world.now_ms));
    }
    assert_int_equal(world.nodes[0].events[MEMBERSHIP_OVERTAKEN], 1);
    assert_int_equal(world.nodes[0].membership.generation_known, 50);
    membership_set_generation(&world.nodes[0].membership, 51);
    run_ms(&world, 10000);
    assert_int_equal(member_of(&world, 2, 0)->generation, 51);
    assert_true(all_alive(&world));
    buffer_deinit(&digest);
    world_deinit(&world);
}

static void quorum(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 5, 9);
    for (int i = 1; i < 5; i++) {
        link_up(&world, i, 0);
    }
    run_ms(&world, 20000);
    world.nodes[4].is_down = world.nodes[3].is_down = true;
    run_ms(&world, 20000);
    assert_true(membership_has_quorum(&world.nodes[0].membership));
    world.nodes[2].is_down = true;
    run_ms(&world, 20000);
    assert_false(membership_has_quorum(&world.nodes[0].membership));
    membership_forget(&world.nodes[0].membership, member_of(&world, 0, 4), world.now_ms);
    assert_true(membership_has_quorum(&world.nodes[0].membership));
    world_deinit(&world);
}

/* Row 17: what an idle node sends and receives in digests. */
static void idle_bytes(void **state) {
    (void)state;
    static struct world world;
    static const struct {
        int nodes, bytes_max;
    } rows[] = {{10, 15000}, {20, 25000}, {40, 50000}, {100, 120000}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        world_init(&world, rows[i].nodes, 10 + i);
        for (int j = 1; j < world.count; j++) {
            link_up(&world, j, 0);
        }
        /* Everybody has written, and everybody has seen it. */
        for (int j = 0; j < world.count; j++) {
            for (int k = 0; k < world.count; k++) {
                struct replica_id id = make_id(k, 1);
                unsigned slot = replicas_add(&world.nodes[j].replicas, &id);
                context_add(&world.nodes[j].context,
                            stamp_make(((uint64_t)k * 7919 + 1) << 26, slot));
            }
        }
        run_ms(&world, 30000);
        assert_true(all_alive(&world));
        world.bytes = 0;
        run_ms(&world, 128000);
        /* Sent, and as much received. */
        uint64_t per_second = 2 * world.bytes / (uint64_t)world.count / 128;
        printf("%d idle nodes: %" PRIu64 " bytes/s sent and received by each\n", world.count,
               per_second);
        assert_true(per_second < (uint64_t)rows[i].bytes_max / 3);
        for (int j = 0; j < world.count; j++) {
            struct context frontier;
            struct node *node = &world.nodes[j];
            membership_frontier(&node->membership, &node->replicas, &node->context, &frontier);
            assert_memory_equal(&frontier, &node->context, sizeof(frontier));
        }
        world_deinit(&world);
    }
}

/* Gives a node a thousand members who all wrote and have seen one another's changes. */
static void populate(struct world *world, int count, int writers) {
    struct node *node = &world->nodes[0];
    for (int i = 1; i <= count; i++) {
        struct replica_id id = make_id(i, 1);
        struct member *member;
        char address[64];
        snprintf(address, sizeof(address), "node-%d.example.net:7379", i);
        assert_int_equal(membership_admit(&node->membership, &id, slice_of(address), SLICE("0.1.0"),
                                          world->now_ms, &member),
                         MEMBERSHIP_ADMITTED);
    }
    for (int i = 1; i <= writers; i++) {
        struct replica_id id = make_id(i, 1);
        unsigned slot = replicas_add(&node->replicas, &id);
        assert_true(slot != 0);
        context_add(&node->context,
                    stamp_make(UINT64_C(1) << 36 | prng_below(&world->prng, 1 << 30), slot));
    }
}

/* Digests of 600 members to one that knows nobody stay within the budget, and tell it all. */
static void the_budget(void **state) {
    (void)state;
    static struct world world;
    for (size_t budget = 1024; budget <= 16384; budget *= 4) {
        enum { COUNT = 600 };
        world_init(&world, 2, 11);
        populate(&world, COUNT, COUNT);
        struct node *a = &world.nodes[0], *b = &world.nodes[1];
        assert_int_equal(hello(&world, 0, 1), MEMBERSHIP_ADMITTED);
        struct member *peer = member_of(&world, 0, 1), *source = member_of(&world, 1, 0);
        uint64_t beats = 0;
        bool is_told = false;
        size_t size_max = 0;
        while (!is_told && beats < 2000) {
            struct buffer digest = {0};
            /* Heartbeats come to node 0 meanwhile, for each member another time. */
            if (beats % 3 == 0) {
                for (size_t i = 2; i < a->membership.members_count; i++) {
                    struct member *member = a->membership.members[i];
                    member->heartbeat++;
                    member->heartbeat_number = ++a->membership.number;
                }
            }
            beats++;
            world.now_ms += 1000;
            membership_beat(&a->membership, &a->replicas, &a->context);
            membership_digest_put(&a->membership, peer, &a->replicas, budget, &digest);
            size_max = digest.size > size_max ? digest.size : size_max;
            assert_true(membership_digest_take(&b->membership, source, &b->replicas,
                                               buffer_slice(&digest), world.now_ms));
            is_told = b->membership.members_count == COUNT + 1;
            for (size_t i = 1; i < b->membership.members_count && is_told; i++) {
                struct member *member = b->membership.members[i];
                is_told = member->is_self || member->heartbeat > 2;
            }
            is_told = is_told && source->claim != NULL;
            buffer_deinit(&digest);
        }
        printf("budget %zu: %d members told in %" PRIu64 " digests of at most %zu bytes\n", budget,
               COUNT, beats, size_max);
        assert_true(is_told);
        /* One context of 600 entries comes on top: 19 bytes for each. */
        assert_true(size_max <= budget + 19 * COUNT + 64);
        assert_int_equal(source->claim->foreign_count, COUNT - 1);
        assert_int_equal(source->claim->stamps.count, 1);
        membership_check(&b->membership);
        world_deinit(&world);
    }
}

static void memory_of_a_thousand(void **state) {
    (void)state;
    static struct world world;
    static const int writers[] = {10, 1000};
    for (int i = 0; i < 2; i++) {
        world_init(&world, 1, 12);
        populate(&world, 1000, writers[i]);
        struct node *node = &world.nodes[0];
        for (size_t j = 1; j < node->membership.members_count; j++) {
            struct member *member = node->membership.members[j];
            membership_note_context(member, &node->context);
            struct context seen;
            member_seen_context(member, &seen);
            assert_memory_equal(&seen, &node->context, sizeof(seen));
        }
        for (int second = 0; second < 1100; second++) {
            world.now_ms += 1000;
            for (size_t j = 1; j < node->membership.members_count; j++) {
                detector_heartbeat(&node->membership.members[j]->detector, world.now_ms);
            }
        }
        size_t bytes = membership_memory_bytes(&node->membership);
        printf("1000 members, %d writers, detectors' windows full: %zu bytes for each\n",
               writers[i], bytes / 1000);
        assert_true(bytes / 1000 < (i == 0 ? 3000U : 14000U));
        world_deinit(&world);
    }
}

/* No prefix and no changed byte of a digest does harm. */
static void digests_that_make_no_sense(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 3, 13);
    populate(&world, 20, 20);
    struct buffer digest = {0};
    struct node *a = &world.nodes[0], *b = &world.nodes[2];
    struct replica_id gone = make_id(60, 1);
    unsigned slot = replicas_add(&a->replicas, &gone);
    replicas_retire(&a->replicas, slot, 99);
    membership_beat(&a->membership, &a->replicas, &a->context);
    membership_digest_put(&a->membership, member_of(&world, 0, 1), &a->replicas, 16384, &digest);
    assert_int_equal(hello(&world, 0, 2), MEMBERSHIP_ADMITTED);
    struct member *source = member_of(&world, 2, 0);
    unsigned refused = 0;
    for (size_t size = 0; size < digest.size; size++) {
        char *copy = memory_alloc(size + 1);
        memcpy(copy, digest.data, size);
        refused += !membership_digest_take(&b->membership, source, &b->replicas,
                                           slice_make(copy, size), world.now_ms);
        memory_free(copy);
    }
    assert_true(refused > digest.size * 9 / 10);
    struct prng prng;
    seed_prng(&prng, "digests_that_make_no_sense", 1);
    for (int i = 0; i < 20000; i++) {
        size_t place = prng_below(&prng, digest.size);
        char before = digest.data[place];
        digest.data[place] = (char)prng_next(&prng);
        (void)membership_digest_take(&b->membership, source, &b->replicas, buffer_slice(&digest),
                                     world.now_ms);
        digest.data[place] = before;
        if (i % 1000 == 0) {
            membership_check(&b->membership);
        }
    }
    buffer_deinit(&digest);
    world_deinit(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_come_to_know_all),
        cmocka_unit_test(the_living_and_the_dead),
        cmocka_unit_test(the_hearsay),
        cmocka_unit_test(pauses_are_forgiven),
        cmocka_unit_test(the_forgotten),
        cmocka_unit_test(the_forgotten_of_before),
        cmocka_unit_test(the_departed),
        cmocka_unit_test(the_departed_of_long_ago),
        cmocka_unit_test(a_newcomer_hears_of_the_forgotten),
        cmocka_unit_test(the_long_dead),
        cmocka_unit_test(the_leaving),
        cmocka_unit_test(admissions),
        cmocka_unit_test(being_overtaken),
        cmocka_unit_test(quorum),
        cmocka_unit_test(idle_bytes),
        cmocka_unit_test(the_budget),
        cmocka_unit_test(memory_of_a_thousand),
        cmocka_unit_test(digests_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
