/* SPDX-License-Identifier: BSD-3-Clause */
/* The frontier, against a naive model that knows the whole truth.
 *
 * Nodes write, changes travel in causal order from whoever has them, digests travel with delays and
 * losses; nodes join, crash and come again in a new generation, leave, and are forgotten, at each
 * other node at another time. Whenever a node asks for its frontier:
 *
 *   - every living node has seen all below it;
 *   - every change that the node has not seen, and some living node has, was written with all below
 *     it seen: what could still arrive had seen what is settled.
 *
 * And a replica is retired only when all living nodes have all of it. In the end everything that
 * was written is below the frontier of all. */
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

enum {
    NODES = 5,
    LIVES = 64, /* replicas in all */
    CHANGES = 400,
    QUEUE = 6, /* digests under way from one node to another */
    FORGET_MS = 1000000000,
};

/* What somebody has seen: of each replica, how many changes; by the replica's number. */
struct truth {
    uint16_t seen[LIVES];
};

struct written {
    struct truth before; /* what its writer had seen */
    uint64_t ticks;
};

struct life {
    struct replica_id id;
    struct written changes[CHANGES];
    unsigned count;
};

enum status { ABSENT, UP, CRASHED, GONE };

struct node {
    enum status status;
    struct membership membership;
    struct replicas replicas;
    struct context context; /* own slots */
    struct truth truth;
    struct context frontier; /* the last, by own slots */
    unsigned life;           /* its present replica */
};

struct queue {
    struct buffer digests[QUEUE];
    unsigned count;
};

static struct world {
    struct node nodes[NODES];
    struct life lives[LIVES];
    unsigned lives_count;
    struct queue queues[NODES][NODES];
    uint64_t now_ms, ticks;
    struct prng prng;
    unsigned checks, advances, retired, joins, restarts, leaves;
} world;

static unsigned below(unsigned bound) {
    return (unsigned)prng_below(&world.prng, bound);
}

static unsigned life_of(const struct node *node, unsigned slot) {
    for (unsigned life = 0; life < world.lives_count; life++) {
        if (node->replicas.slots[slot].ref == replica_ref(&world.lives[life].id)) {
            return life;
        }
    }
    fail();
    return 0;
}

/* How many changes of a life have stamps up to this one. */
static unsigned count_up_to(unsigned life, uint64_t stamp) {
    unsigned count = 0;
    while (count < world.lives[life].count &&
           world.lives[life].changes[count].ticks <= stamp_ticks(stamp)) {
        count++;
    }
    return count;
}

/* Writes down in the node's own terms that it has seen `count` changes of a life. */
static void see(struct node *node, unsigned life, unsigned count) {
    node->truth.seen[life] = (uint16_t)count;
    uint64_t ref = replica_ref(&world.lives[life].id);
    if (count == 0 || replicas_find_retired(&node->replicas, ref) != NULL) {
        return;
    }
    unsigned slot = replicas_add(&node->replicas, &world.lives[life].id);
    context_add(&node->context, stamp_make(world.lives[life].changes[count - 1].ticks, slot));
}

static void new_life(int number) {
    struct node *node = &world.nodes[number];
    assert_true(world.lives_count < LIVES);
    struct life *life = &world.lives[world.lives_count];
    life->count = 0;
    life->id = (struct replica_id){.generation = world.lives_count + 1};
    life->id.node[0] = (uint8_t)(7 * number + 1);
    node->life = world.lives_count++;
}

static void node_init(int number) {
    struct node *node = &world.nodes[number];
    *node = (struct node){.status = UP};
    new_life(number);
    const struct replica_id *id = &world.lives[node->life].id;
    struct membership_opts opts = {.generation = id->generation,
                                   .address = "a:1",
                                   .version = "1",
                                   .gossip_interval_ms = 1000,
                                   .forget_after_ms = FORGET_MS};
    memcpy(opts.node_id, id->node, sizeof(opts.node_id));
    membership_init(&node->membership, &opts, world.now_ms);
    replicas_init(&node->replicas);
    /* Slots differ from node to node. */
    for (int i = number; i > 0; i--) {
        struct replica_id filler = {.generation = 1000 + (uint64_t)i};
        (void)replicas_add(&node->replicas, &filler);
    }
    node->replicas.self = replicas_add(&node->replicas, id);
    for (unsigned slot = 1; slot < node->replicas.slots_count; slot++) {
        if (slot != node->replicas.self) {
            replicas_retire(&node->replicas, slot, 0);
        }
    }
}

static void drop_queue(int from, int to) {
    struct queue *queue = &world.queues[from][to];
    for (unsigned i = 0; i < queue->count; i++) {
        buffer_deinit(&queue->digests[i]);
    }
    queue->count = 0;
}

static void node_deinit(int number) {
    struct node *node = &world.nodes[number];
    if (node->status != ABSENT) {
        membership_check(&node->membership);
        membership_deinit(&node->membership);
        replicas_deinit(&node->replicas);
    }
    node->status = ABSENT;
}

static struct member *member_of(struct node *node, int other) {
    uint8_t id[REPLICA_NODE_ID_BYTES] = {(uint8_t)(7 * other + 1)};
    return membership_find(&node->membership, id);
}

static enum membership_admission hello(int from, int to, struct member **member) {
    struct node *node = &world.nodes[to];
    const struct replica_id *id = &world.lives[world.nodes[from].life].id;
    enum membership_admission admission =
        membership_admit(&node->membership, id, SLICE("a:1"), SLICE("1"), world.now_ms, member);
    if (admission == MEMBERSHIP_ADMITTED) {
        membership_link_began(&node->membership, *member);
        (void)replicas_add(&node->replicas, id);
    }
    return admission;
}

/* Has `to` the other node as it lives now, so that digests pass? */
static bool is_linked(int from, int to) {
    struct member *member = member_of(&world.nodes[to], from);
    const struct replica_id *id = &world.lives[world.nodes[from].life].id;
    return member != NULL && member->generation == id->generation &&
           member->state != MEMBER_FORGOTTEN && member->state != MEMBER_LEFT;
}

static void reset_link(int a, int b) {
    drop_queue(a, b);
    drop_queue(b, a);
}

/* A handshake; who is new to the other, or was forgotten, takes over what it has seen. */
static void link_up(int a, int b) {
    struct member *member;
    reset_link(a, b);
    if (hello(a, b, &member) == MEMBERSHIP_ADMITTED) {
        (void)hello(b, a, &member);
    }
}

static void take_state(struct node *to, const struct node *from) {
    for (unsigned life = 0; life < world.lives_count; life++) {
        if (from->truth.seen[life] > to->truth.seen[life]) {
            see(to, life, from->truth.seen[life]);
        }
    }
}

/* ---- the checks ---- */

static void check_frontier(int number) {
    struct node *node = &world.nodes[number];
    struct context frontier;
    membership_frontier(&node->membership, &node->replicas, &node->context, &frontier);
    world.checks++;
    struct truth least = {0};
    for (unsigned slot = 1; slot < node->replicas.slots_count; slot++) {
        assert_true(frontier.stamps[slot] >= node->frontier.stamps[slot]);
        if (frontier.stamps[slot] != 0) {
            unsigned life = life_of(node, slot);
            least.seen[life] = (uint16_t)count_up_to(life, frontier.stamps[slot]);
        }
        world.advances += frontier.stamps[slot] > node->frontier.stamps[slot];
    }
    node->frontier = frontier;
    for (int other = 0; other < NODES; other++) {
        const struct node *witness = &world.nodes[other];
        if (witness->status != UP) {
            continue;
        }
        for (unsigned life = 0; life < world.lives_count; life++) {
            assert_true(least.seen[life] <= witness->truth.seen[life]);
            for (unsigned i = node->truth.seen[life]; i < witness->truth.seen[life]; i++) {
                const struct written *change = &world.lives[life].changes[i];
                for (unsigned below = 0; below < world.lives_count; below++) {
                    assert_true(least.seen[below] <= change->before.seen[below]);
                }
            }
        }
    }
}

static void retire_what_can_be(int number) {
    struct node *node = &world.nodes[number];
    for (unsigned slot = 1; slot < node->replicas.slots_count; slot++) {
        if (node->replicas.slots[slot].ref == 0 ||
            !membership_retirable(&node->membership, &node->replicas, &node->context, slot)) {
            continue;
        }
        unsigned life = life_of(node, slot);
        for (int other = 0; other < NODES; other++) {
            const struct node *witness = &world.nodes[other];
            if (witness->status == UP) {
                assert_int_equal(witness->truth.seen[life], node->truth.seen[life]);
                assert_true(witness->life != life);
            }
        }
        replicas_retire(&node->replicas, slot, stamp_ticks(node->context.stamps[slot]));
        node->context.stamps[slot] = 0;
        node->frontier.stamps[slot] = 0;
        membership_slot_retired(&node->membership, slot);
        world.retired++;
    }
}

/* ---- what happens ---- */

static void write_change(int number) {
    struct node *node = &world.nodes[number];
    struct life *life = &world.lives[node->life];
    if (life->count == CHANGES) {
        return;
    }
    life->changes[life->count] = (struct written){.before = node->truth, .ticks = ++world.ticks};
    life->count++;
    see(node, node->life, life->count);
}

/* The next change of some life passes from one node to another. */
static void deliver(int from, int to, unsigned life) {
    struct node *source = &world.nodes[from], *target = &world.nodes[to];
    unsigned next = target->truth.seen[life];
    if (!is_linked(from, to) || !is_linked(to, from) || source->truth.seen[life] <= next) {
        return;
    }
    const struct written *change = &world.lives[life].changes[next];
    for (unsigned other = 0; other < world.lives_count; other++) {
        if (other != life && change->before.seen[other] > target->truth.seen[other]) {
            return;
        }
    }
    see(target, life, next + 1);
}

static void send_digest(int from, int to) {
    struct node *node = &world.nodes[from];
    struct queue *queue = &world.queues[from][to];
    struct member *peer = member_of(node, to);
    if (peer == NULL || !is_linked(to, from) || queue->count == QUEUE) {
        return;
    }
    struct buffer digest = {0};
    membership_digest_put(&node->membership, peer, &node->replicas, 1024 + below(3) * 1000,
                          &digest);
    queue->digests[queue->count++] = digest;
}

static void receive_digest(int from, int to) {
    struct node *node = &world.nodes[to];
    struct queue *queue = &world.queues[from][to];
    if (queue->count == 0) {
        return;
    }
    struct member *peer = member_of(node, from);
    if (peer != NULL && is_linked(from, to)) {
        assert_true(membership_digest_take(&node->membership, peer, &node->replicas,
                                           buffer_slice(&queue->digests[0]), world.now_ms));
    }
    buffer_deinit(&queue->digests[0]);
    memmove(queue->digests, queue->digests + 1, (queue->count - 1) * sizeof(queue->digests[0]));
    queue->count--;
}

/* A connection breaks and is there again. */
static void reconnect(int a, int b) {
    if (is_linked(a, b) && is_linked(b, a)) {
        link_up(a, b);
    }
}

static void beat(int number) {
    struct node *node = &world.nodes[number];
    membership_tick(&node->membership, &node->replicas, &node->context, world.now_ms);
    membership_beat(&node->membership, &node->replicas, &node->context);
}

static int some_up(void) {
    int number = (int)below(NODES);
    for (int i = 0; i < NODES; i++) {
        if (world.nodes[(number + i) % NODES].status == UP) {
            return (number + i) % NODES;
        }
    }
    return -1;
}

static unsigned up_count(void) {
    unsigned count = 0;
    for (int i = 0; i < NODES; i++) {
        count += world.nodes[i].status == UP;
    }
    return count;
}

static void join(int number, int by) {
    if (world.lives_count == LIVES) {
        return;
    }
    node_init(number);
    link_up(number, by);
    take_state(&world.nodes[number], &world.nodes[by]);
    world.joins++;
}

static void crash(int number) {
    world.nodes[number].status = CRASHED;
    for (int i = 0; i < NODES; i++) {
        reset_link(number, i);
    }
}

/* Do all living nodes know one another? */
static bool is_one_mesh(void) {
    for (int i = 0; i < NODES * NODES; i++) {
        int from = i / NODES, to = i % NODES;
        if (from != to && world.nodes[from].status == UP && world.nodes[to].status == UP &&
            !is_linked(from, to)) {
            return false;
        }
    }
    return true;
}

/* It has kept everything, and begins a new life. Where it is not known, or only
 * by its replicas, or was forgotten, it begins anew with
 * what the other has: what it alone knew would be written again as new changes. */
static void restart(int number, int by) {
    struct node *node = &world.nodes[number];
    if (world.lives_count == LIVES) {
        return;
    }
    struct member *known = member_of(&world.nodes[by], number);
    if (known == NULL || known->heard_ms == 0 || known->state == MEMBER_FORGOTTEN ||
        known->state == MEMBER_LEFT) {
        if (is_one_mesh()) {
            world.restarts++;
            node_deinit(number);
            join(number, by);
        }
        return;
    }
    world.restarts++;
    new_life(number);
    node->status = UP;
    membership_set_generation(&node->membership, world.lives[node->life].id.generation);
    node->replicas.self = replicas_add(&node->replicas, &world.lives[node->life].id);
    link_up(number, by);
}

/* All others have what it wrote, and hear that it leaves. */
static void leave(int number) {
    struct node *node = &world.nodes[number];
    for (int i = 0; i < NODES; i++) {
        const struct node *other = &world.nodes[i];
        if (other->status == UP && other->truth.seen[node->life] != world.lives[node->life].count) {
            return;
        }
    }
    unsigned count = world.lives[node->life].count;
    membership_leave(&node->membership,
                     count == 0 ? 0 : world.lives[node->life].changes[count - 1].ticks,
                     world.now_ms);
    for (int i = 0; i < NODES; i++) {
        if (i != number && world.nodes[i].status == UP && is_linked(number, i) && below(2) == 0) {
            beat(number);
            send_digest(number, i);
            while (world.queues[number][i].count > 0) {
                receive_digest(number, i);
            }
        }
    }
    node->status = GONE;
    for (int i = 0; i < NODES; i++) {
        reset_link(number, i);
    }
    world.leaves++;
}

/* Some living node forgets some other that is not there. That takes a day: by then the living have
 * found one another. */
static void forget(int number, int other) {
    if (!is_one_mesh()) {
        return;
    }
    struct member *member = member_of(&world.nodes[number], other);
    if (member != NULL && world.nodes[other].status != UP) {
        membership_forget(&world.nodes[number].membership, member, world.now_ms);
    }
}

static void rare_event(int number, int other) {
    struct node *node = &world.nodes[other];
    if (number == other) {
        return;
    }
    switch (node->status) {
    case ABSENT:
        join(other, number);
        break;
    case CRASHED:
    case GONE:
        if (below(3) == 0) {
            restart(other, number);
        } else {
            forget(number, other);
        }
        break;
    case UP:
        if (up_count() > 2 && below(2) == 0) {
            below(2) == 0 ? crash(other) : leave(other);
        } else {
            reconnect(number, other);
        }
        break;
    }
}

static void step(bool is_calm) {
    int number = some_up(), other = some_up();
    unsigned roll = below(100);
    world.now_ms += below(20);
    if (number == other && roll >= 20) {
        return;
    }
    if (roll < 12) {
        if (!is_calm) {
            write_change(number);
        }
    } else if (roll < 20) {
        beat(number);
    } else if (roll < 45) {
        deliver(number, other, below(world.lives_count));
    } else if (roll < 60) {
        send_digest(number, other);
    } else if (roll < 78) {
        receive_digest(number, other);
    } else if (roll < 90) {
        check_frontier(number);
    } else if (roll < 95) {
        retire_what_can_be(number);
    } else if (roll < 97 && !is_calm) {
        rare_event(number, (int)below(NODES));
    } else if (is_calm || roll == 97) {
        /* Whoever knows of the other dials it. */
        if (member_of(&world.nodes[number], other) != NULL &&
            (!is_linked(number, other) || !is_linked(other, number))) {
            link_up(number, other);
        }
    }
}

/* Everybody is told everything: then all that was written is settled at all. */
static void settle_all(void) {
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < NODES * NODES && round >= 6; i++) {
            int number = i / NODES, other = i % NODES;
            if (world.nodes[number].status == UP && world.nodes[other].status != UP) {
                forget(number, other);
            }
        }
        for (int i = 0; i < NODES * NODES; i++) {
            int from = i / NODES, to = i % NODES;
            if (from == to || world.nodes[from].status != UP || world.nodes[to].status != UP) {
                continue;
            }
            if (!is_linked(from, to) || !is_linked(to, from)) {
                link_up(from, to);
            }
            for (int j = 0; j < (int)world.lives_count * 4; j++) {
                for (unsigned life = 0; life < world.lives_count; life++) {
                    deliver(from, to, life);
                }
            }
            beat(from);
            while (world.queues[from][to].count > 0) {
                receive_digest(from, to);
            }
            for (int j = 0; j < 3; j++) {
                send_digest(from, to);
                receive_digest(from, to);
            }
            check_frontier(to);
            retire_what_can_be(to);
        }
    }
    for (int i = 0; i < NODES; i++) {
        struct node *node = &world.nodes[i];
        if (node->status == UP) {
            assert_true(node->membership.is_frontier_current);
            assert_memory_equal(&node->frontier, &node->context, sizeof(node->context));
            /* Only present replicas are left. */
            for (unsigned slot = 1; slot < node->replicas.slots_count; slot++) {
                if (node->replicas.slots[slot].ref != 0) {
                    unsigned life = life_of(node, slot);
                    bool is_present = false;
                    for (int j = 0; j < NODES; j++) {
                        is_present |= world.nodes[j].status == UP && world.nodes[j].life == life;
                    }
                    assert_true(is_present);
                }
            }
        }
    }
}

static void run_history(uint64_t seed, int steps) {
    memset(world.nodes, 0, sizeof(world.nodes));
    world.lives_count = 0;
    world.now_ms = 1000;
    world.ticks = 1000;
    prng_init(&world.prng, seed);
    node_init(0);
    int first = 1 + (int)below(NODES - 1);
    for (int i = 1; i <= first; i++) {
        join(i, 0);
    }
    for (int i = 0; i < steps; i++) {
        step(false);
    }
    settle_all();
    for (int i = 0; i < NODES; i++) {
        for (int j = 0; j < NODES; j++) {
            drop_queue(i, j);
        }
    }
    for (int i = 0; i < NODES; i++) {
        node_deinit(i);
    }
}

static void random_histories(void **state) {
    (void)state;
    struct prng prng;
    seed_prng(&prng, "random_histories", 1);
    const char *runs = getenv("TEST_RUNS");
    int count = runs != NULL ? atoi(runs) : 300;
    for (int i = 0; i < count; i++) {
        uint64_t seed = prng_next(&prng);
        if (getenv("TEST_LOUD") != NULL) {
            printf("history %d\n", i);
        }
        run_history(seed, 200 + (int)prng_below(&prng, 2000));
    }
    printf("%u looks at frontiers, %u entries moved; %u joins, %u restarts, %u leaves, %u slots "
           "retired\n",
           world.checks, world.advances, world.joins, world.restarts, world.leaves, world.retired);
    assert_true(world.advances > 1000);
    assert_true(world.retired > 100);
}

/* A digest that came before the changes that it speaks of counts once these are here. */
static void claims_wait_for_their_changes(void **state) {
    (void)state;
    world.lives_count = 0;
    world.now_ms = 1000;
    world.ticks = 1000;
    node_init(0);
    join(1, 0);
    write_change(0);
    deliver(0, 1, 0);
    write_change(1);
    beat(0);
    beat(1);
    for (int i = 0; i < 2; i++) {
        send_digest(0, 1);
        receive_digest(0, 1);
        send_digest(1, 0);
        receive_digest(1, 0);
    }
    check_frontier(0);
    unsigned slot = world.nodes[0].replicas.self;
    assert_true(world.nodes[0].frontier.stamps[slot] == 0);
    /* The writer goes on: claims are always ahead of what is here, and yet some count. */
    for (int i = 0; i < 10; i++) {
        deliver(1, 0, 1);
        write_change(1);
        beat(1);
        send_digest(1, 0);
        receive_digest(1, 0);
        check_frontier(0);
    }
    assert_true(world.nodes[0].frontier.stamps[slot] == world.nodes[0].context.stamps[slot]);
    unsigned other = replicas_find(&world.nodes[0].replicas, replica_ref(&world.lives[1].id));
    assert_true(count_up_to(1, world.nodes[0].frontier.stamps[other]) >= 8);
    node_deinit(0);
    node_deinit(1);
}

/* A node known from an earlier life holds everything back until it is heard or forgotten. */
static void the_recalled_hold_back(void **state) {
    (void)state;
    world.lives_count = 0;
    world.now_ms = 1000;
    node_init(0);
    struct replica_id other = {.node = {77}, .generation = 3};
    (void)replicas_add(&world.nodes[0].replicas, &other);
    write_change(0);
    check_frontier(0);
    unsigned slot = world.nodes[0].replicas.self;
    assert_true(world.nodes[0].frontier.stamps[slot] == 0);
    membership_forget(&world.nodes[0].membership,
                      membership_find(&world.nodes[0].membership, other.node), world.now_ms);
    check_frontier(0);
    assert_true(world.nodes[0].frontier.stamps[slot] == world.nodes[0].context.stamps[slot]);
    node_deinit(0);
}

static void claim_and_tell(int from, int to) {
    beat(from);
    send_digest(from, to);
    receive_digest(from, to);
}

/* Node 1 has retired a replica that node 0 still has. */
static uint64_t begin_retired(void) {
    world.lives_count = 0;
    world.now_ms = 1000;
    world.ticks = 1000;
    node_init(0);
    join(1, 0);
    struct node *node = &world.nodes[0];
    struct replica_id gone = {.node = {77}, .generation = 3};
    uint64_t stamp = stamp_make(500, replicas_add(&node->replicas, &gone));
    context_add(&node->context, stamp);
    struct stream_mark mark = {.ref = replica_ref(&gone), .ticks = 500};
    membership_note_retired(&node->membership, &node->replicas, &mark, member_of(node, 1));
    return stamp;
}

static bool is_settled_at_0(uint64_t stamp) {
    struct node *node = &world.nodes[0];
    struct context frontier;
    membership_frontier(&node->membership, &node->replicas, &node->context, &frontier);
    assert_true(frontier.stamps[stamp_slot(stamp)] <= stamp);
    return frontier.stamps[stamp_slot(stamp)] == stamp;
}

/* Of a teller that goes on writing the first claim since the retirement is kept: the newest is
 * always ahead of what is here. */
static void retirements_settle_on_the_first_claim(void **state) {
    (void)state;
    uint64_t stamp = begin_retired();
    write_change(1);
    claim_and_tell(1, 0);
    assert_false(is_settled_at_0(stamp)); /* the change is still to come */
    write_change(1);
    claim_and_tell(1, 0);
    deliver(1, 0, 1);
    assert_true(world.nodes[0].truth.seen[1] < world.nodes[1].truth.seen[1]);
    assert_true(is_settled_at_0(stamp));
    node_deinit(0);
    node_deinit(1);
}

/* What the first claim speaks of ended with its life before anybody else had it, and the teller
 * does not speak of it any more: a later claim settles the retirement. */
static void retirements_settle_on_a_later_claim(void **state) {
    (void)state;
    uint64_t stamp = begin_retired();
    struct node *teller = &world.nodes[1];
    struct replica_id ended = {.node = {88}, .generation = 4};
    unsigned slot = replicas_add(&teller->replicas, &ended);
    context_add(&teller->context, stamp_make(600, slot));
    claim_and_tell(1, 0);
    assert_false(is_settled_at_0(stamp));
    replicas_retire(&teller->replicas, slot, 600);
    teller->context.stamps[slot] = 0;
    membership_slot_retired(&teller->membership, slot);
    write_change(1);
    deliver(1, 0, 1);
    claim_and_tell(1, 0);
    assert_true(is_settled_at_0(stamp));
    node_deinit(0);
    node_deinit(1);
}

/* Whoever told of it claims no more: its life is over, and what it spoke of may be gone. It was
 * retired here, too, before a log was replayed; not of what is not here again yet. */
static void retirements_that_were_made_here_settle(void **state) {
    (void)state;
    uint64_t stamp = begin_retired();
    struct node *node = &world.nodes[0];
    struct retired_replica retired = {.ref = node->replicas.slots[stamp_slot(stamp)].ref,
                                      .ticks = stamp_ticks(stamp)};
    claim_and_tell(1, 0);
    node->membership.retired[0].teller++; /* somebody who is not there any more */
    member_claim_unref(node->membership.retired[0].claim);
    node->membership.retired[0].claim = NULL;
    assert_false(is_settled_at_0(stamp));
    retired.ticks++;
    replicas_note_retired(&node->replicas, &retired);
    assert_false(is_settled_at_0(stamp));
    stamp = stamp_make(stamp_ticks(stamp) + 1, stamp_slot(stamp));
    context_add(&node->context, stamp);
    assert_true(is_settled_at_0(stamp));
    node_deinit(0);
    node_deinit(1);
}

/* A snapshot from before, or a peer, has given it a slot again: whose claims speak of it is no
 * witness that it is settled. */
static void who_has_it_again_tells_no_retirement(void **state) {
    (void)state;
    world.lives_count = 0;
    world.now_ms = 1000;
    world.ticks = 1000;
    node_init(0);
    join(1, 0);
    struct node *node = &world.nodes[0], *teller = &world.nodes[1];
    struct replica_id again = {.node = {77}, .generation = 3};
    struct replica_id gone = {.node = {78}, .generation = 3};
    (void)replicas_add(&node->replicas, &again);
    (void)replicas_add(&node->replicas, &gone);
    (void)replicas_add(&teller->replicas, &again);
    replicas_note_retired(&teller->replicas,
                          &(struct retired_replica){.ref = replica_ref(&again), .ticks = 500});
    for (unsigned i = 0; i < 3; i++) {
        claim_and_tell(1, 0);
        assert_int_equal(node->membership.retired_count, 0);
    }
    replicas_note_retired(&teller->replicas,
                          &(struct retired_replica){.ref = replica_ref(&gone), .ticks = 600});
    for (unsigned i = 0; i < 3; i++) {
        claim_and_tell(1, 0);
    }
    assert_int_equal(node->membership.retired_count, 1);
    assert_true(node->membership.retired[0].ref == replica_ref(&gone));
    node_deinit(0);
    node_deinit(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_it_again_tells_no_retirement),
        cmocka_unit_test(random_histories),
        cmocka_unit_test(claims_wait_for_their_changes),
        cmocka_unit_test(the_recalled_hold_back),
        cmocka_unit_test(retirements_settle_on_the_first_claim),
        cmocka_unit_test(retirements_settle_on_a_later_claim),
        cmocka_unit_test(retirements_that_were_made_here_settle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
