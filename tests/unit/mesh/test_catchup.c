/* SPDX-License-Identifier: BSD-3-Clause */
/* Catching up: who joins, parts from several peers at once, peers that die, stall or say "again",
 * and that nobody takes a snapshot who could be served by a log.
 *
 * A part is one key of the world's data. A joiner takes of it what all parts have seen, the rest
 * comes by streams. */
#include "mesh/membership_state.h"
#include "mesh/catchup_void.h"
#include "mesh_world.h"

enum {
    FILLING_BYTES = 4096, /* of a read that brings nothing, so that parts take time */
    AWAY_MS = 60000,      /* so long one that is dead is given to come back */
};

/* What one node serves and takes. */
struct side {
    bool is_stalled; /* parts that it serves never end */
    unsigned cancels;
    unsigned again_count; /* so many parts end with AGAIN */
    unsigned reads;       /* it takes so many to get a part */
    unsigned served;      /* parts, whole */
    unsigned begins;      /* sync_begin() */
    bool rebased, merged;
    bool refuses; /* it takes the first parts only, unless it merges */
    bool lacks;   /* parts showed what nobody has: it is not ready before it compares */
    bool is_open[WORLD_KEYS], is_done[WORLD_KEYS];
    unsigned done_count;
    struct context least; /* of all parts */
    struct data_cell cells[WORLD_NODES_MAX][WORLD_KEYS];
};

struct walk {
    struct world_node *node;
    unsigned part, reads;
};

static struct side sides[WORLD_NODES_MAX];

static struct side *side_of(void *udata) {
    return &sides[((struct world_node *)udata)->index];
}

/* ---- serving ---- */

static void *part_open_(void *udata, unsigned part, unsigned parts_count, struct buffer *header) {
    struct world_node *node = udata;
    assert_int_equal(parts_count, CATCHUP_PARTS);
    assert_false(mesh_is_joining(node->mesh));
    for (unsigned slot = 1; slot < node->replicas.slots_count; slot++) {
        if (node->replicas.slots[slot].ref != 0) {
            uint64_t ticks = stamp_ticks(node->context.stamps[slot]);
            buffer_append(header, &node->replicas.slots[slot].id, sizeof(struct replica_id));
            buffer_append(header, &ticks, sizeof(ticks));
        }
    }
    struct walk *walk = memory_alloc(sizeof(*walk));
    *walk = (struct walk){.node = node, .part = part};
    return walk;
}

static enum mesh_part part_read_(void *udata, void *at, struct buffer *out, size_t bytes_max) {
    struct side *side = side_of(udata);
    struct walk *walk = at;
    (void)bytes_max;
    if (side->is_stalled) {
        return MESH_PART_MORE;
    }
    if (side->again_count > 0) {
        side->again_count--;
        return MESH_PART_AGAIN;
    }
    if (walk->reads++ < side->reads) {
        memset(buffer_reserve(out, FILLING_BYTES), 0xFF, FILLING_BYTES);
        out->size += FILLING_BYTES;
        return MESH_PART_MORE;
    }
    for (unsigned i = 0; i < WORLD_NODES_MAX; i++) {
        buffer_append_byte(out, (uint8_t)i);
        buffer_append(out, &walk->node->cells[i][walk->part], sizeof(struct data_cell));
    }
    side->served++;
    return MESH_PART_DONE;
}

static void part_close_(void *udata, void *walk) {
    (void)udata;
    memory_free(walk);
}

/* ---- joining ---- */

static void sync_begin_(void *udata, enum mesh_join mode) {
    struct side *side = side_of(udata);
    side->begins++;
    side->rebased |= mode == MESH_JOIN_REBASE;
    side->merged |= mode == MESH_JOIN_MERGE;
    side->done_count = 0;
    memset(side->is_done, 0, sizeof(side->is_done));
    memset(side->is_open, 0, sizeof(side->is_open));
    memset(side->cells, 0, sizeof(side->cells));
    memset(&side->least, 0xFF, sizeof(side->least));
    assert_true(mesh_is_joining(((struct world_node *)udata)->mesh));
}

static bool takes_seed_(void *udata, const uint64_t seed[2]) {
    (void)udata;
    return seed[0] == 1 && seed[1] == 2;
}

static enum mesh_part sync_part_begin_(void *udata, unsigned part, unsigned count,
                                       struct slice header) {
    struct world_node *node = udata;
    struct side *side = side_of(udata);
    struct context seen = {0};
    assert_int_equal(count, CATCHUP_PARTS);
    assert_false(side->is_done[part]);
    if (side->refuses && !side->merged && part >= 4) {
        return MESH_PART_REFUSED;
    }
    while (header.size > 0) {
        struct replica_id id;
        uint64_t ticks;
        assert_true(header.size >= sizeof(id) + sizeof(ticks));
        memcpy(&id, header.data, sizeof(id));
        memcpy(&ticks, header.data + sizeof(id), sizeof(ticks));
        header = slice_skip(header, sizeof(id) + sizeof(ticks));
        unsigned slot = replicas_add(&node->replicas, &id);
        seen.stamps[slot] = ticks == 0 ? 0 : stamp_make(ticks, slot);
    }
    for (unsigned slot = 0; slot < STAMP_SLOTS_COUNT; slot++) {
        if (seen.stamps[slot] < side->least.stamps[slot]) {
            side->least.stamps[slot] = seen.stamps[slot];
        }
    }
    side->is_open[part] = true;
    return MESH_PART_DONE;
}

static enum mesh_part sync_part_data_(void *udata, unsigned part, struct slice bytes) {
    struct side *side = side_of(udata);
    assert_true(side->is_open[part]);
    while (bytes.size > 0 && (uint8_t)bytes.data[0] != 0xFF) {
        unsigned column = (uint8_t)bytes.data[0];
        if (column >= WORLD_NODES_MAX || bytes.size < 1 + sizeof(struct data_cell)) {
            return MESH_PART_BAD;
        }
        memcpy(&side->cells[column][part], bytes.data + 1, sizeof(struct data_cell));
        bytes = slice_skip(bytes, 1 + sizeof(struct data_cell));
    }
    return MESH_PART_DONE;
}

static enum mesh_part sync_part_end_(void *udata, unsigned part) {
    struct side *side = side_of(udata);
    assert_true(side->is_open[part]);
    side->is_open[part] = false;
    side->is_done[part] = true;
    side->done_count++;
    return MESH_PART_DONE;
}

static enum mesh_part sync_end_(void *udata) {
    struct world_node *node = udata;
    struct side *side = side_of(udata);
    assert_int_equal(side->done_count, CATCHUP_PARTS);
    if (side->rebased) {
        memset(node->cells, 0, sizeof(node->cells));
        memset(&node->context, 0, sizeof(node->context));
        memset(node->trimmed_ticks, 0, sizeof(node->trimmed_ticks));
        node->log_base = node->log_count; /* the log begins anew */
    }
    (void)replicas_clip_void(&node->replicas, &node->context);
    for (unsigned slot = 1; slot < node->replicas.slots_count; slot++) {
        uint64_t least = side->least.stamps[slot];
        unsigned column = node->replicas.slots[slot].id.node[15];
        context_add(&node->context, least);
        for (unsigned key = 0; key < WORLD_KEYS && least != 0; key++) {
            const struct data_cell *cell = &side->cells[column][key];
            if (cell->ticks <= stamp_ticks(least) && cell->ticks > node->cells[column][key].ticks) {
                node->cells[column][key] = *cell;
            }
        }
        /* Its log has nothing of that. */
        if (stamp_ticks(least) > node->trimmed_ticks[slot]) {
            node->trimmed_ticks[slot] = stamp_ticks(least);
        }
        if (stamp_ticks(least) > node->clock_ticks) {
            node->clock_ticks = stamp_ticks(least);
        }
    }
    return MESH_PART_DONE;
}

static bool sync_is_ready_(void *udata) {
    const struct side *side = side_of(udata);
    return !side->lacks || side->rebased;
}

static bool is_never_ready(void *udata) {
    (void)udata;
    return false;
}

static const struct context *sync_goal_(void *udata) {
    static struct context goal;
    goal = (struct context){0};
    context_add(&goal, stamp_make(STAMP_TICKS_ACCEPTED_MAX, 1));
    return sync_is_ready_(udata) ? NULL : &goal;
}

static bool sync_cancel_(void *udata) {
    struct side *side = side_of(udata);
    side->cancels++;
    return true;
}

static void set_hooks(struct world *world, unsigned index) {
    struct mesh_data *data = &world->nodes[index].mesh->data;
    data->part_open = part_open_;
    data->part_read = part_read_;
    data->part_close = part_close_;
    data->sync_begin = sync_begin_;
    data->sync_takes_seed = takes_seed_;
    data->sync_part_begin = sync_part_begin_;
    data->sync_part_data = sync_part_data_;
    data->sync_part_end = sync_part_end_;
    data->sync_end = sync_end_;
    data->sync_goal = sync_goal_;
    data->sync_is_ready = sync_is_ready_;
    data->sync_cancel = sync_cancel_;
}

static void start(struct world *world, unsigned index) {
    world_start(world, index);
    set_hooks(world, index);
}

static struct world *begin_world(unsigned count, unsigned started, uint64_t seed) {
    struct world *world = world_new(count, seed);
    memset(sides, 0, sizeof(sides));
    for (unsigned i = 0; i < started; i++) {
        start(world, i);
    }
    assert_true(world_links(world, 6000));
    return world;
}

static struct mesh_stats stats_of(const struct world *world, unsigned index) {
    struct mesh_stats stats;
    mesh_get_stats(world->nodes[index].mesh, &stats);
    return stats;
}

static void write_all(struct world *world, unsigned nodes, unsigned keys, unsigned value) {
    for (unsigned key = 0; key < keys; key++) {
        for (unsigned i = 0; i < nodes; i++) {
            world_write(&world->nodes[i], key, value + key);
        }
        world_step(world);
    }
    assert_true(world_converges(world, 3000));
    world_run_ms(world, 100);
}

static bool becomes_ready(struct world *world, unsigned index, uint64_t within_ms) {
    for (uint64_t end_us = world->now_us + within_ms * 1000; world->now_us < end_us;) {
        world_step(world);
        if (!mesh_is_joining(world->nodes[index].mesh)) {
            return true;
        }
    }
    return false;
}

/* Until a node has been joining for so long. */
static void run_until(struct world *world, unsigned index, uint64_t ms) {
    uint64_t end_us = world->nodes[index].mesh->catchup.started_us + ms * 1000;
    while (world->now_us < end_us) {
        world_step(world);
    }
}

static struct mesh_link *link_to(struct world *world, unsigned from, unsigned to) {
    struct mesh_link *link = world->nodes[from].mesh->links;
    while (link != NULL && link->peer.node[15] != to) {
        link = link->next;
    }
    assert_non_null(link);
    return link;
}

/* ---- who joins, and who need not ---- */

static void fresh_nodes_begin(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sides[i].begins, 0);
        assert_int_equal(stats_of(world, i).syncs_snapshot, 0);
    }
    world_free(world);
}

static void a_node_that_reaches_nobody_begins(void **state) {
    (void)state;
    struct world *world = world_new(2, 2);
    memset(sides, 0, sizeof(sides));
    start(world, 0);
    world_run_ms(world, 1000);
    assert_true(mesh_is_joining(world->nodes[0].mesh));
    assert_true(becomes_ready(world, 0, 3000));
    world_free(world);
}

/* Mesh row 3: inside the log, changes; outside, a snapshot. */
static void logs_serve_who_is_inside(void **state) {
    (void)state;
    struct world *world = begin_world(3, 2, 3);
    write_all(world, 2, 50, 1);
    start(world, 2);
    assert_true(mesh_is_joining(world->nodes[2].mesh));
    assert_true(becomes_ready(world, 2, 5000));
    assert_true(world_is_equal(world));
    assert_int_equal(sides[2].begins, 0);
    assert_int_equal(stats_of(world, 2).syncs_log, 1);
    assert_int_equal(stats_of(world, 2).syncs_snapshot, 0);
    world_free(world);
}

/* Mesh rows 12 and 13. */
static void a_snapshot_comes_from_several(void **state) {
    (void)state;
    struct world *world = begin_world(4, 3, 4);
    write_all(world, 3, 200, 1);
    for (unsigned i = 0; i < 3; i++) {
        world_trim(&world->nodes[i], 5);
        sides[i].reads = 30;
    }
    start(world, 3);
    for (unsigned i = 0; i < 50; i++) { /* the others go on */
        assert_true(mesh_is_joining(world->nodes[3].mesh));
        world_write(&world->nodes[i % 3], i, 1000 + i);
        world_step(world);
    }
    assert_true(becomes_ready(world, 3, 20000));
    assert_true(world_converges(world, 3000));
    assert_int_equal(sides[3].begins, 1);
    assert_int_equal(stats_of(world, 3).syncs_snapshot, 1);
    assert_int_equal(stats_of(world, 3).parts_in, CATCHUP_PARTS);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(sides[i].served > CATCHUP_PARTS / 10);
        assert_int_equal(stats_of(world, i).parts_out, sides[i].served);
        assert_true(stats_of(world, i).syncs_served > 0);
    }
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[i % 4], i, 5000 + i);
        world_step(world);
    }
    assert_true(world_converges(world, 3000));
    assert_int_equal(stats_of(world, 3).syncs_snapshot, 1);
    world_free(world);
}

/* A step is one way: of 256 small parts most are asked for while others are on their way. */
static void small_parts_do_not_wait_for_each_other(void **state) {
    (void)state;
    struct world *world = begin_world(2, 1, 8);
    write_all(world, 1, 200, 1);
    world_trim(&world->nodes[0], 5);
    start(world, 1);
    while (sides[0].served == 0) {
        world_step(world);
    }
    unsigned steps = 0;
    while (mesh_is_joining(world->nodes[1].mesh)) {
        world_step(world);
        steps++;
    }
    assert_int_equal(stats_of(world, 1).parts_in, CATCHUP_PARTS);
    assert_in_range(steps, 1, CATCHUP_PARTS / 2);
    assert_true(world_converges(world, 3000));
    world_free(world);
}

/* Between regions a round trip is longer than a part takes: so many are under way that the link is
 * not idle. */
static void large_parts_fill_a_long_link(void **state) {
    (void)state;
    struct world *world = begin_world(2, 1, 8);
    write_all(world, 1, 200, 1);
    world_trim(&world->nodes[0], 5);
    sides[0].reads = 20;
    world->delay_us = 40000;
    start(world, 1);
    while (sides[0].served == 0) {
        world_step(world);
    }
    uint64_t begin_us = world->now_us;
    while (mesh_is_joining(world->nodes[1].mesh)) {
        world_step(world);
    }
    assert_int_equal(stats_of(world, 1).parts_in, CATCHUP_PARTS);
    /* With two under way it would be 256 / 2 round trips. */
    assert_in_range(world->now_us - begin_us, 1, (uint64_t)CATCHUP_PARTS / 6 * 2 * world->delay_us);
    assert_true(world_converges(world, 3000));
    world_free(world);
}

static void a_serving_peer_dies(void **state) {
    (void)state;
    struct world *world = begin_world(3, 2, 5);
    write_all(world, 2, 200, 1);
    for (unsigned i = 0; i < 2; i++) {
        world_trim(&world->nodes[i], 5);
        sides[i].reads = 100;
    }
    start(world, 2);
    while (sides[1].served < 5) {
        world_step(world);
    }
    world_stop(world, 1);
    assert_true(becomes_ready(world, 2, 60000));
    assert_true(stats_of(world, 2).parts_resumed > 0);
    assert_true(world_converges(world, 3000));
    world_free(world);
}

static void a_stalled_peer_is_passed_over(void **state) {
    (void)state;
    struct world *world = begin_world(3, 2, 6);
    write_all(world, 2, 100, 1);
    world_trim(&world->nodes[0], 5);
    world_trim(&world->nodes[1], 5);
    sides[1].is_stalled = true;
    start(world, 2);
    assert_true(becomes_ready(world, 2, 20000));
    assert_int_equal(sides[1].served, 0);
    assert_true(sides[0].served >= CATCHUP_PARTS);
    assert_true(world_converges(world, 3000));
    world_free(world);
}

static void a_cancelled_walk_is_asked_for_again(void **state) {
    (void)state;
    struct world *world = begin_world(2, 1, 7);
    write_all(world, 1, 100, 1);
    world_trim(&world->nodes[0], 5);
    sides[0].again_count = 20;
    start(world, 1);
    assert_true(becomes_ready(world, 1, 20000));
    assert_true(world_converges(world, 3000));
    world_free(world);
}

/* Away for too long; its own log still has what only it knows. */
static void the_lagging_side_joins(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 8);
    write_all(world, 3, 50, 1);
    mesh_cut(world->nodes[2].mesh, "ALL");
    world_run_ms(world, 200);
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[i % 2], i, 900 + i);
        world_step(world);
    }
    world_write(&world->nodes[2], 200, 77);
    world_trim(&world->nodes[0], 5);
    world_trim(&world->nodes[1], 5);
    mesh_heal(world->nodes[2].mesh, "ALL");
    assert_true(world_converges(world, 20000));
    assert_int_equal(sides[2].begins, 1);
    assert_false(sides[2].rebased);
    assert_int_equal(sides[0].begins + sides[1].begins, 0);
    assert_true(world->nodes[0].cells[2][200].value != 0);
    assert_int_equal(world->nodes[2].generations, 0);
    world_free(world);
}

/* Neither log reaches the other side's place: one of them joins and merges what only it knew. Then
 * it has all, and the other one takes that over. */
static void one_of_two_merges(void **state) {
    (void)state;
    struct world *world = begin_world(2, 2, 9);
    write_all(world, 2, 50, 1);
    mesh_cut(world->nodes[1].mesh, "ALL");
    world_run_ms(world, 200);
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[0], i, 900 + i);
        world_write(&world->nodes[1], i % 70, 1900 + i);
        world_step(world);
    }
    world_trim(&world->nodes[0], 5);
    world_trim(&world->nodes[1], 5);
    mesh_heal(world->nodes[1].mesh, "ALL");
    /* There is nobody else to wait for. */
    assert_true(world_converges(world, 2 * CATCHUP_SURE_MS + 8000));
    assert_int_equal(sides[0].begins, 1);
    assert_int_equal(sides[1].begins, 1);
    assert_false(sides[0].merged); /* it has more keys */
    assert_true(sides[1].merged);
    assert_false(sides[0].rebased || sides[1].rebased);
    assert_int_equal(world->nodes[1].generations, 0);
    /* And life goes on. */
    assert_true(world_links(world, 5000));
    world_write(&world->nodes[1], 5, 1);
    world_write(&world->nodes[0], 6, 1);
    assert_true(world_converges(world, 3000));
    world_free(world);
}

/* The log of one peer does not serve. That of another, which lives but is not linked yet, does. */
static void who_is_not_linked_yet_is_waited_for(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 10);
    write_all(world, 3, 20, 1);
    mesh_cut(world->nodes[1].mesh, "ALL");
    world_run_ms(world, 200);
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[0], i, 900 + i);
        world_step(world);
    }
    world_trim(&world->nodes[0], 5);
    world_block(world, 1, 2, true);
    mesh_heal(world->nodes[1].mesh, "ALL");
    while (world_links_up(&world->nodes[1]) < 1) {
        world_step(world);
    }
    world_run_ms(world, 2 * CATCHUP_SURE_MS);
    assert_int_equal(sides[1].begins, 0);
    world_block(world, 1, 2, false);
    assert_true(world_converges(world, 10000));
    assert_int_equal(sides[1].begins, 0);
    world_free(world);
}

/* Parts that it merged showed what nobody has any more: merging again would keep it. */
static void who_merged_what_is_lost_compares(void **state) {
    (void)state;
    struct world *world = begin_world(2, 2, 9);
    write_all(world, 2, 50, 1);
    mesh_cut(world->nodes[1].mesh, "ALL");
    world_run_ms(world, 200);
    for (unsigned i = 0; i < 100; i++) {
        world_write(&world->nodes[0], i, 900 + i);
        world_write(&world->nodes[1], i % 70, 1900 + i);
        world_step(world);
    }
    world_trim(&world->nodes[0], 5);
    world_trim(&world->nodes[1], 5);
    sides[1].lacks = true;
    mesh_heal(world->nodes[1].mesh, "ALL");
    for (unsigned i = 0; i < 100 && !sides[1].merged; i++) {
        world_run_ms(world, CATCHUP_MERGE_MS / 50);
    }
    assert_true(sides[1].merged);
    world_run_ms(world, CATCHUP_SOURCELESS_MS - 1000);
    assert_int_equal(sides[1].begins, 1);
    assert_false(becomes_ready(world, 1, 500));
    assert_true(becomes_ready(world, 1, 5000 + CATCHUP_REBASE_MAX_MS));
    assert_true(sides[1].rebased);
    assert_false(sides[0].rebased);
    world_free(world);
}

/* ---- patience ---- */

/* Every record of node 0 vanishes on its way meanwhile. */
static void step_without_records(struct world *world) {
    world->drop_data_from = 1;
    world_step(world);
}

/* Node 0 alone has a key, and node 2, which starts, hears of it; node 1 lacks it. Node 2 has data
 * of an earlier life, or is fresh. */
static struct world *begin_with_a_key_that_does_not_come(bool is_fresh, uint64_t seed) {
    struct world *world = begin_world(3, is_fresh ? 2 : 3, seed);
    if (!is_fresh) {
        write_all(world, 3, 1, 1);
        world_stop(world, 2);
    }
    world_block(world, 0, 1, true);
    world_write(&world->nodes[0], 9, 9);
    if (!is_fresh) {
        (void)data_new_generation(&world->nodes[2], world->nodes[2].generation + 1);
    }
    start(world, 2);
    const struct mesh *mesh = world->nodes[2].mesh;
    uint64_t ref = world->nodes[0].replicas.slots[world->nodes[0].replicas.self].ref;
    for (unsigned slot = 0; mesh->catchup.goal->stamps[slot] == 0 || slot == 0;) {
        step_without_records(world);
        assert_true(mesh_is_joining(mesh));
        slot = replicas_find(&world->nodes[2].replicas, ref);
    }
    while (world_links_up(&world->nodes[2]) < 2) {
        step_without_records(world);
    }
    assert_true(mesh_is_joining(mesh));
    return world;
}

static bool is_joining_after(struct world *world, uint64_t ms) {
    uint64_t end_us = world->nodes[2].mesh->catchup.started_us + ms * 1000;
    while (world->now_us < end_us) {
        step_without_records(world);
    }
    return mesh_is_joining(world->nodes[2].mesh);
}

/* Who has what others lack is gone: a fresh node waits half a minute for it to come back, one with
 * data not at all. */
static void who_had_more_is_gone(void **state) {
    (void)state;
    for (unsigned is_fresh = 0; is_fresh < 2; is_fresh++) {
        struct world *world = begin_with_a_key_that_does_not_come(is_fresh, 11);
        world_stop(world, 0);
        assert_int_equal(is_joining_after(world, CATCHUP_ALONE_MS + 500), is_fresh);
        assert_int_equal(is_joining_after(world, CATCHUP_MERGE_MS - 100), is_fresh);
        assert_false(is_joining_after(world, CATCHUP_MERGE_MS + 100));
        assert_int_equal(world->nodes[2].cells[0][9].ticks, 0);
        assert_int_equal(sides[2].begins, 0);
        world_free(world);
    }
}

/* Only a joiner has it, which may itself wait for this node: likewise half a minute, with data or
 * without. */
static void only_a_joiner_has_more(void **state) {
    (void)state;
    for (unsigned is_fresh = 0; is_fresh < 2; is_fresh++) {
        struct world *world = begin_with_a_key_that_does_not_come(is_fresh, 12);
        struct catchup *other = &world->nodes[0].mesh->catchup;
        other->state = CATCHUP_WAITING;
        other->is_fresh = true;
        other->goal = memory_alloc_zero(sizeof(*other->goal));
        for (unsigned slot = 1; slot < STAMP_SLOTS_COUNT; slot++) {
            other->goal->stamps[slot] = stamp_make(STAMP_TICKS_ACCEPTED_MAX, slot);
        }
        uint64_t end_us =
            world->nodes[2].mesh->catchup.started_us + (CATCHUP_MERGE_MS - 100) * UINT64_C(1000);
        while (world->now_us < end_us) {
            other->started_us = world->now_us; /* as long as this one may wait */
            step_without_records(world);
            assert_true(mesh_is_joining(world->nodes[2].mesh));
        }
        assert_true(mesh_is_joining(world->nodes[0].mesh));
        assert_false(is_joining_after(world, CATCHUP_MERGE_MS + 100));
        assert_true(mesh_is_joining(world->nodes[0].mesh));
        world_free(world);
    }
}

/* Who has it is there, and no joiner: it is waited for as long as it takes. */
static void what_a_peer_has_is_waited_for(void **state) {
    (void)state;
    for (unsigned is_fresh = 0; is_fresh < 2; is_fresh++) {
        struct world *world = begin_with_a_key_that_does_not_come(is_fresh, 13);
        assert_true(is_joining_after(world, 2 * CATCHUP_MERGE_MS));
        world->drop_data_from = 0;
        assert_true(becomes_ready(world, 2, 5000));
        assert_true(world->nodes[2].cells[0][9].ticks != 0);
        world_free(world);
    }
}

/* A node has retired a replica, as all have, and has a slot for it again, with nothing seen: the
 * peer has seen all of it, but there is nothing to wait for. */
static void what_was_retired_is_not_waited_for(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 31);
    write_all(world, 3, 5, 1);
    world_run_ms(world, 3000);
    struct world_node *node = &world->nodes[0], *peer = &world->nodes[1];
    uint64_t ref = world->nodes[2].replicas.slots[world->nodes[2].replicas.self].ref;
    struct replica_id id = node->replicas.slots[replicas_find(&node->replicas, ref)].id;
    world_stop(world, 2);
    world_run_ms(world, 40000);
    assert_true(mesh_forget(node->mesh, world->nodes[2].node_id));
    assert_true(mesh_forget(peer->mesh, world->nodes[2].node_id));
    world_run_ms(world, 20000);
    const struct retired_replica *retired = replicas_find_retired(&node->replicas, ref);
    assert_non_null(retired);
    assert_true(retired->ticks > 0);
    assert_int_equal(replicas_find(&peer->replicas, ref), 0);

    unsigned slot = replicas_add(&node->replicas, &id);
    assert_int_equal(node->context.stamps[slot], 0);
    struct mesh_link *link = node->mesh->links;
    membership_note_retired(&node->mesh->membership, &node->replicas,
                            &(struct stream_mark){.ref = ref, .ticks = retired->ticks},
                            link->member);
    catchup_wait(link);
    assert_true(mesh_is_joining(node->mesh));
    assert_true(becomes_ready(world, 0, 5000));

    /* More than was retired is waited for: somebody has it. */
    membership_note_seen(link->member, stamp_make(retired->ticks + 1, slot));
    catchup_wait(link);
    assert_false(becomes_ready(world, 0, 2000));
    world_free(world);
}

/* The peer had more of a life and told so, then it took over a state without that. */
static void what_a_peer_dropped_is_not_waited_for(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 32);
    write_all(world, 3, 5, 1);
    world_run_ms(world, 3000);
    struct world_node *node = &world->nodes[0];
    struct mesh_link *link = node->mesh->links, *back;
    struct world_node *peer = &world->nodes[link->peer.node[15]];
    for (back = peer->mesh->links; back->peer.node[15] != 0; back = back->next) {
    }
    unsigned index = 3 - peer->index; /* of the third */
    unsigned slot = replicas_find(
        &node->replicas, world->nodes[index].replicas.slots[world->nodes[index].replicas.self].ref);
    uint64_t ticks = stamp_ticks(node->context.stamps[slot]);
    membership_note_seen(link->member, stamp_make(ticks + 1, slot));
    catchup_wait(link);
    assert_false(becomes_ready(world, 0, 5000));
    handshake_send_context(back);
    assert_true(becomes_ready(world, 0, 1000));
    assert_true(stamp_ticks(member_seen(link->member, slot)) == ticks);
    /* But nobody else is to make again what an author has dropped, and makes again itself. */
    assert_true(stamp_ticks(member_has_had(link->member, slot)) == ticks + 1);
    world_free(world);
}

/* ---- joiners that wait for each other ---- */

enum rank { BY_ID, BY_KEYS, BY_COMPANY };

/* All three begin to join at the same moment, and were told by one another what each has to give:
 * as much, so that the ids rank them 0, 1, 2, or node 0 more keys or company than the others. */
static struct world *begin_tied(enum rank rank, uint64_t seed) {
    struct world *world = begin_world(3, 3, seed);
    write_all(world, 3, 20, 1);
    world_run_ms(world, 3000);
    for (unsigned i = 0; i < 3; i++) {
        for (struct mesh_link *link = world->nodes[i].mesh->links; link; link = link->next) {
            int more = i == 0 ? -1 : link->peer.node[15] == 0 ? 1 : 0;
            link->peer_members = catchup_company(link) + (uint64_t)(rank == BY_COMPANY ? more : 0);
            link->peer_keys = data_keys(&world->nodes[i]) + (uint64_t)(rank == BY_KEYS ? more : 0);
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        catchup_consider(world->nodes[i].mesh->links, true, false);
        assert_int_equal(world->nodes[i].mesh->catchup.state, CATCHUP_PULLING);
    }
    return world;
}

/* Until one of them is ready; which one, and after how many milliseconds. */
static unsigned first_ready(struct world *world, uint64_t *ms) {
    uint64_t begin_us = world->now_us;
    for (;;) {
        world_step(world);
        *ms = (world->now_us - begin_us) / 1000;
        assert_true(*ms < 20000);
        for (unsigned i = 0; i < 3; i++) {
            if (!mesh_is_joining(world->nodes[i].mesh)) {
                return i;
            }
        }
    }
}

static void the_best_joiner_gives(void **state) {
    (void)state;
    for (unsigned rank = BY_ID; rank <= BY_COMPANY; rank++) {
        struct world *world = begin_tied(rank, 14);
        unsigned best = rank == BY_ID ? 2 : 0;
        uint64_t ms;
        assert_int_equal(first_ready(world, &ms), best);
        assert_in_range(ms, CATCHUP_TIED_MS, CATCHUP_TIED_MS + 200);
        for (unsigned i = 0; i < 3; i++) {
            assert_true(mesh_is_joining(world->nodes[i].mesh) == (i != best));
        }
        /* The others take what it has before their own time comes. */
        for (unsigned i = 0; i < 3; i++) {
            assert_true(becomes_ready(world, i, 10000));
            assert_int_equal(sides[i].begins, i != best);
            assert_int_equal(world_said(&world->nodes[i], "has the most to give"), i == best);
        }
        assert_true(world_is_equal(world));
        world_free(world);
    }
}

/* Who has taken over some parts already has nothing whole to give: the next one does, in its time.
 */
static void the_next_joiner_gives(void **state) {
    (void)state;
    struct world *world = begin_tied(BY_ID, 15);
    struct mesh *best = world->nodes[2].mesh;
    streamer_pause(best);
    sync_begin_(&world->nodes[2], MESH_JOIN_TAKE);
    best->catchup.has_begun = best->catchup.has_sync = true;
    uint64_t ms;
    assert_int_equal(first_ready(world, &ms), 1);
    assert_in_range(ms, 2 * CATCHUP_TIED_MS, 2 * CATCHUP_TIED_MS + 200);
    assert_true(becomes_ready(world, 0, 10000));
    assert_true(becomes_ready(world, 2, 10000));
    assert_int_equal(sides[1].begins, 0);
    assert_true(world_is_equal(world));
    world_free(world);
}

/* Some parts fit, the others do not, however often: then it merges. */
static void who_is_refused_again_merges(void **state) {
    (void)state;
    struct world *world = begin_world(2, 1, 16);
    write_all(world, 1, 100, 1);
    world_trim(&world->nodes[0], 5);
    sides[1].refuses = true;
    start(world, 1);
    assert_true(becomes_ready(world, 1, 3 * CATCHUP_REFUSED_MS));
    assert_int_equal(sides[1].begins, 3);
    assert_true(sides[1].merged);
    assert_false(sides[1].rebased);
    assert_true(world_converges(world, 3000));
    world_free(world);
}

/* Nodes 0 and 1 join, and each is the only one who has what the other one needs; node 2 is ready
 * and lacks both. A joiner serves nobody: after a while what node 2 has is taken. */
static void joiners_that_need_each_other_end(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 17);
    write_all(world, 3, 20, 1);
    world_run_ms(world, 3000);
    for (unsigned i = 0; i < 2; i++) {
        struct mesh *mesh = world->nodes[i].mesh;
        struct mesh_link *link = link_to(world, i, 1 - i);
        unsigned slot = replicas_find(&world->nodes[i].replicas, link->member->ref);
        uint64_t more = stamp_make(STAMP_TICKS_ACCEPTED_MAX, slot);
        membership_note_seen(link->member, more);
        catchup_consider(mesh->links, true, false);
        assert_int_equal(mesh->catchup.state, CATCHUP_PULLING);
        assert_true(mesh->catchup.needed->stamps[slot] == more);
    }
    run_until(world, 0, CATCHUP_JOINER_MS + CATCHUP_SOURCELESS_MS - 100);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(mesh_is_joining(world->nodes[i].mesh));
        assert_int_equal(sides[i].begins, 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_true(becomes_ready(world, i, 2000));
        assert_int_equal(sides[i].begins, 1);
    }
    assert_true(sides[2].served >= 2 * CATCHUP_PARTS);
    assert_true(world_is_equal(world));
    world_free(world);
}

/* ---- who was forgotten ---- */

/* Node 2 was forgotten, and has two earlier lives; of the first node 0 has seen so much, of the
 * second node 1. */
static struct world *begin_forgotten(uint64_t seen_by_0, uint64_t seen_by_1, uint64_t seed) {
    struct world *world = begin_world(3, 3, seed);
    struct world_node *node = &world->nodes[2];
    write_all(world, 3, 20, 1);
    world_run_ms(world, 3000);
    for (unsigned i = 0; i < 2; i++) {
        struct replica_id life = {.generation = 10 + i};
        memcpy(life.node, node->node_id, sizeof(life.node));
        unsigned slot = replicas_add(&node->replicas, &life);
        uint64_t seen = i == 0 ? seen_by_0 : seen_by_1;
        if (seen != 0) {
            membership_note_seen(link_to(world, 2, i)->member, stamp_make(seen, slot));
        }
    }
    node->mesh->was_forgotten = true;
    while (node->mesh->catchup.state != CATCHUP_PULLING) {
        world_step(world);
    }
    assert_int_equal(node->mesh->catchup.mode, MESH_JOIN_REBASE);
    return world;
}

/* Nobody has more of its lives than another one: it compares once others had time to come back. */
static void who_was_forgotten_waits(void **state) {
    (void)state;
    struct world *world = begin_forgotten(0, 0, 18);
    world->nodes[2].mesh->was_forgotten = true; /* the other peer says so, too */
    run_until(world, 2, CATCHUP_REBASE_MS - 50);
    assert_int_equal(sides[2].begins, 0);
    assert_true(becomes_ready(world, 2, 1000));
    assert_true(sides[2].rebased);
    assert_true(sides[0].served > 0 && sides[1].served > 0);
    world_run_ms(world, 1000);
    assert_false(mesh_is_joining(world->nodes[2].mesh));
    assert_int_equal(sides[2].begins, 1);
    world_free(world);
}

/* It compares with who has all of its lives that anybody has. */
static void who_was_forgotten_asks_who_knows_its_lives(void **state) {
    (void)state;
    struct world *world = begin_forgotten(7, 0, 19);
    run_until(world, 2, CATCHUP_REBASE_MS - 50);
    assert_int_equal(sides[2].begins, 0);
    assert_true(becomes_ready(world, 2, 1000));
    assert_true(sides[2].rebased);
    assert_int_equal(sides[0].served, CATCHUP_PARTS);
    assert_int_equal(sides[1].served, 0);
    world_free(world);
}

/* Each of its peers lacks what the other one has of its lives: that is waited for, not forever. */
static void who_was_forgotten_does_not_wait_forever(void **state) {
    (void)state;
    struct world *world = begin_forgotten(7, 7, 20);
    run_until(world, 2, CATCHUP_REBASE_MAX_MS - 50);
    assert_true(mesh_is_joining(world->nodes[2].mesh));
    assert_int_equal(sides[2].begins, 0);
    assert_true(becomes_ready(world, 2, 1000));
    assert_true(sides[2].rebased);
    world_free(world);
}

/* Node 0 was forgotten, too, and its id is smaller: it compares first, and node 2 when node 1 has
 * what node 0 has made again. */
static void the_forgotten_compare_one_after_the_other(void **state) {
    (void)state;
    struct world *world = begin_forgotten(7, 0, 21);
    world->nodes[0].mesh->was_forgotten = true;
    run_until(world, 2, CATCHUP_REBASE_MS - 50);
    assert_int_equal(sides[0].begins + sides[2].begins, 0);
    assert_true(becomes_ready(world, 0, 2000));
    assert_true(sides[0].rebased);
    assert_int_equal(sides[2].begins, 0);
    world_write(&world->nodes[0], 3, 3);
    assert_true(becomes_ready(world, 2, 3 * MESH_PING_MS));
    assert_true(sides[2].rebased);
    world_free(world);
}

/* Node 0 does not come to an end with it: that is not waited for forever. */
static void the_forgotten_do_not_wait_forever(void **state) {
    (void)state;
    struct world *world = begin_forgotten(0, 0, 26);
    world->nodes[0].mesh->was_forgotten = true;
    sides[0].lacks = true;
    world->nodes[0].mesh->data.sync_is_ready = is_never_ready;
    run_until(world, 2, CATCHUP_REBASE_MAX_MS + CATCHUP_FIRST_MS - 50);
    assert_int_equal(sides[0].begins > 0, 1);
    assert_int_equal(sides[2].begins, 0);
    assert_true(becomes_ready(world, 2, 1000));
    assert_true(sides[2].rebased);
    assert_true(mesh_is_joining(world->nodes[0].mesh));
    world_free(world);
}

/* It alone has the last that another node wrote, who is dead. That may come back and deliver it: it
 * is given a minute since it was heard. Then nobody else would make it known. */
static void who_was_forgotten_waits_for_the_dead(void **state) {
    (void)state;
    struct world *world = begin_forgotten(0, 0, 24);
    struct world_node *node = &world->nodes[2];
    const struct member *author = link_to(world, 2, 1)->member;
    unsigned slot = replicas_find(&node->replicas, author->ref);
    uint64_t last = stamp_make(stamp_ticks(node->context.stamps[slot]) + 1, slot);
    context_add(&node->context, last);
    world_stop(world, 1);
    uint64_t heard_ms = author->heard_ms;
    while (mesh_now_ms(node->mesh) - heard_ms < AWAY_MS - 50) {
        world_step(world);
    }
    assert_int_equal(author->heard_ms, heard_ms);
    assert_int_equal(sides[2].begins, 0);
    assert_true(mesh_awaits_author(node->mesh, last));
    assert_true(becomes_ready(world, 2, 1000));
    assert_true(sides[2].rebased);
    assert_false(mesh_has_author(node->mesh, last));
    world_free(world);
}

/* What only this node has of another one's changes, that one makes known itself if it lives, and
 * has them still. If it was heard within the last minute it may come back to do so. */
static void authors_make_their_changes_known(void **state) {
    (void)state;
    struct world *world = begin_world(3, 3, 22);
    write_all(world, 3, 20, 1);
    const struct mesh *mesh = world->nodes[0].mesh;
    const struct member *author = link_to(world, 0, 1)->member;
    unsigned slot = replicas_find(&world->nodes[0].replicas, author->ref);
    uint64_t newest = world->nodes[0].context.stamps[slot];
    uint64_t beyond = stamp_make(stamp_ticks(newest) + 1, slot);
    uint64_t own = world->nodes[0].context.stamps[world->nodes[0].replicas.self];
    world_run_ms(world, 3000);
    assert_true(mesh_has_author(mesh, newest));
    assert_true(mesh_has_author(mesh, beyond)); /* whether it told so or not */
    assert_true(mesh_has_author(mesh, own));
    assert_false(mesh_awaits_author(mesh, newest));
    /* Of an earlier life it may have lost the end. */
    struct replica_id life = world->nodes[0].replicas.slots[slot].id;
    life.generation--;
    unsigned earlier = replicas_add(&world->nodes[0].replicas, &life);
    membership_note_seen(link_to(world, 0, 1)->member, stamp_make(5, earlier));
    assert_true(mesh_has_author(mesh, stamp_make(5, earlier)));
    assert_false(mesh_has_author(mesh, stamp_make(6, earlier)));
    world_stop(world, 1);
    uint64_t heard_ms = author->heard_ms;
    while (author->state != MEMBER_SUSPECT) {
        world_step(world);
    }
    assert_true(mesh_awaits_author(mesh, newest));
    while (author->state != MEMBER_DEAD) {
        world_step(world);
    }
    assert_false(mesh_has_author(mesh, newest));
    assert_true(mesh_awaits_author(mesh, newest));
    assert_false(mesh_awaits_author(mesh, stamp_make(6, earlier)));
    while (mesh_now_ms(mesh) - heard_ms < AWAY_MS - 50) {
        world_step(world);
    }
    assert_int_equal(author->heard_ms, heard_ms);
    assert_true(mesh_awaits_author(mesh, newest));
    world_run_ms(world, 100);
    assert_false(mesh_awaits_author(mesh, newest));
    assert_false(mesh_has_author(mesh, newest));
    assert_true(mesh_has_author(mesh, own));
    /* To node 2 that is node 0's, whose id is smaller. */
    const struct world_node *third = &world->nodes[2];
    unsigned there = replicas_find(&third->replicas, author->ref);
    assert_true(mesh_has_author(third->mesh, third->context.stamps[there]));
    assert_false(mesh_has_author(third->mesh, third->context.stamps[there] + (1 << 20)));
    /* Who is gone for good makes nothing known, however short ago it was heard. */
    struct member *other = link_to(world, 0, 2)->member;
    slot = replicas_find(&world->nodes[0].replicas, other->ref);
    newest = world->nodes[0].context.stamps[slot];
    assert_true(mesh_has_author(mesh, newest));
    membership_forget(&world->nodes[0].mesh->membership, other, mesh_now_ms(mesh));
    assert_false(mesh_has_author(mesh, newest));
    world_free(world);
}

/* ---- what is void ---- */

/* All have seen an earlier life of node 1 to its end, and that it ended before. */
static struct world *begin_void(uint64_t ticks, uint64_t *ref, uint64_t seed) {
    struct world *world = begin_world(3, 3, seed);
    write_all(world, 3, 20, 1);
    struct replica_id life = {.generation = 1};
    world_node_id(1, life.node);
    *ref = replica_ref(&life);
    for (unsigned i = 0; i < 3; i++) {
        unsigned slot = replicas_add(&world->nodes[i].replicas, &life);
        context_add(&world->nodes[i].context, stamp_make(ticks, slot));
        replicas_note_ended(&world->nodes[i].replicas,
                            &(struct ended_replica){.ref = *ref, .ticks = ticks - 1});
    }
    return world;
}

static void tell_contexts(struct world *world) {
    for (unsigned i = 0; i < 3; i++) {
        world_reset(world, i, (i + 1) % 3);
    }
    assert_true(world_links(world, 6000));
}

/* Node 1 was forgotten, and has made again what nodes 0 and 2 have of it. */
static void what_is_void_is_given_up(void **state) {
    (void)state;
    enum { TICKS = 10 };
    uint64_t ref;
    struct world *world = begin_void(TICKS, &ref, 23);
    unsigned there = replicas_find(&world->nodes[1].replicas, ref);
    world->nodes[1].context.stamps[there] = stamp_make(TICKS - 1, there);
    tell_contexts(world);
    world_run_ms(world, 5000);
    for (unsigned i = 0; i < 3; i++) {
        const struct world_node *node = &world->nodes[i];
        assert_int_equal(sides[i].begins, i != 1);
        assert_false(sides[i].rebased);
        assert_int_equal(world_said(node, "has written again what this one has"), i != 1);
        assert_false(mesh_is_joining(node->mesh));
    }
    assert_true(sides[1].served >= CATCHUP_PARTS);
    world_free(world);
}

/* The only one without what is void goes away while they take over its state: they go on as they
 * were, until it comes back. */
static void what_is_void_waits_for_who_is_without(void **state) {
    (void)state;
    enum { TICKS = 10 };
    uint64_t ref;
    struct world *world = begin_void(TICKS, &ref, 25);
    unsigned there = replicas_find(&world->nodes[1].replicas, ref);
    world->nodes[1].context.stamps[there] = stamp_make(TICKS - 1, there);
    sides[1].is_stalled = true;
    for (unsigned i = 0; i < 3; i++) {
        world_reset(world, i, (i + 1) % 3);
    }
    world_run_ms(world, 3000);
    for (unsigned i = 0; i < 3; i += 2) {
        assert_true(mesh_is_joining(world->nodes[i].mesh));
        assert_int_equal(sides[i].cancels, 0);
    }
    world_stop(world, 1);
    world_run_ms(world, 3000);
    for (unsigned i = 0; i < 3; i += 2) {
        assert_false(mesh_is_joining(world->nodes[i].mesh));
        assert_int_equal(sides[i].cancels, 1);
    }
    /* It comes back, and both give up what is void after all. */
    sides[1].is_stalled = false;
    start(world, 1);
    world_run_ms(world, 20000);
    for (unsigned i = 0; i < 3; i += 2) {
        assert_false(mesh_is_joining(world->nodes[i].mesh));
        assert_int_equal(sides[i].begins, 2);
        unsigned here = replicas_find(&world->nodes[i].replicas, ref);
        assert_true(stamp_ticks(world->nodes[i].context.stamps[here]) < TICKS);
    }
    world_free(world);
}

/* Node 1 knows of the end, and nodes 0 and 2 do not: no log brings it to them. They are told so,
 * and node 1, which they hold for forgotten, takes over nothing of theirs. */
static void who_has_what_is_void_is_told(void **state) {
    (void)state;
    enum { TICKS = 10 };
    uint64_t ref;
    struct world *world = begin_void(TICKS, &ref, 27);
    unsigned there = replicas_find(&world->nodes[1].replicas, ref);
    world->nodes[1].context.stamps[there] = stamp_make(TICKS - 1, there);
    for (unsigned i = 0; i < 3; i += 2) {
        replicas_drop_ended(&world->nodes[i].replicas, ref);
    }
    tell_contexts(world);
    struct mesh_link *link = link_to(world, 1, 0);
    assert_true(catchup_peer_has_void(link));
    catchup_consider(link, true, true);
    assert_false(mesh_is_joining(world->nodes[1].mesh));
    world_run_ms(world, 5000);
    for (unsigned i = 0; i < 3; i++) {
        const struct world_node *node = &world->nodes[i];
        assert_int_equal(sides[i].begins, i != 1);
        assert_int_equal(node->replicas.ended_count, 1);
        assert_false(mesh_is_joining(node->mesh));
        unsigned here = replicas_find(&node->replicas, ref);
        assert_true(stamp_ticks(node->context.stamps[here]) < TICKS);
    }
    assert_false(catchup_peer_has_void(link_to(world, 1, 0)));
    /* Nobody has anything void any more, and nobody is told again. */
    uint64_t frames = world->frames_by_type[MESH_FRAME_ENDS];
    assert_true(frames >= 2);
    world_run_ms(world, 5000);
    assert_int_equal(world->frames_by_type[MESH_FRAME_ENDS], frames);
    world_free(world);
}

/* It joins already, and finds that all whom it could take over from have what is void. */
static void who_joins_beside_what_is_void_stops(void **state) {
    (void)state;
    enum { TICKS = 10 };
    uint64_t ref;
    struct world *world = begin_void(TICKS, &ref, 28);
    unsigned there = replicas_find(&world->nodes[1].replicas, ref);
    world->nodes[1].context.stamps[there] = stamp_make(TICKS - 1, there);
    for (unsigned i = 0; i < 3; i += 2) {
        replicas_drop_ended(&world->nodes[i].replicas, ref);
    }
    world->nodes[1].mesh->was_forgotten = true;
    world_run_ms(world, 60);
    assert_true(mesh_is_joining(world->nodes[1].mesh));
    tell_contexts(world);
    world_run_ms(world, CATCHUP_STUCK_MS + 8000);
    assert_true(world_said(&world->nodes[1], "and take that over") > 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(mesh_is_joining(world->nodes[i].mesh));
        assert_int_equal(sides[i].begins > 0, i != 1);
    }
    world_free(world);
}

/* Nobody's state would do: they go on as they are. */
static void what_is_void_everywhere_stays(void **state) {
    (void)state;
    uint64_t ref;
    struct world *world = begin_void(10, &ref, 24);
    tell_contexts(world);
    world_run_ms(world, 1000);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sides[i].begins, 0);
        assert_false(mesh_is_joining(world->nodes[i].mesh));
    }
    world_free(world);
}

/* ---- nonsense ---- */

static void nonsense_ends_the_link(void **state) {
    (void)state;
    static const struct {
        enum mesh_frame type;
        struct slice payload;
        bool is_nonsense;
    } frames[] = {
        {MESH_FRAME_PART_PULL, {"\x05\x03", 2}, true},         /* no power of two */
        {MESH_FRAME_PART_PULL, {"\x08\x08", 2}, true},         /* no such part */
        {MESH_FRAME_PART_PULL, {"\x00\x80\x80\x08", 4}, true}, /* too many */
        {MESH_FRAME_PART_PULL, {"\x01", 1}, true},             /* cut short */
        {MESH_FRAME_PART_DATA, {"\xff\xff\x03", 3}, true},     /* no such part */
        {MESH_FRAME_PART_DATA, {"", 0}, true},                 /* cut short */
        {MESH_FRAME_PART_DATA,
         {"\x01"
          "abc",
          4},
         false},                                       /* of a part called off */
        {MESH_FRAME_PART_END, {"\x01\x00", 2}, false}, /* likewise */
        {MESH_FRAME_PART_BEGIN, {"\x01", 1}, false},   /* likewise */
    };
    struct world *world = begin_world(2, 2, 10);
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        struct mesh_link *link = world->nodes[0].mesh->links;
        assert_int_equal(catchup_frame(link, frames[i].type, frames[i].payload),
                         !frames[i].is_nonsense);
        catchup_link_closed(link);
    }
    world_free(world);
}

static void nonsense_about_ends_ends_the_link(void **state) {
    (void)state;
    static const struct {
        struct slice payload;
        bool is_nonsense;
    } frames[] = {
        {{"\x00", 1}, false},
        {{"\x01\x01\x02\x03\x04\x05\x06\x07\x08\x05\x06", 11}, false},
        {{"", 0}, true},
        {{"\x00\x00", 2}, true},                                      /* more than it says */
        {{"\x02\x01\x02\x03\x04\x05\x06\x07\x08\x05\x06", 11}, true}, /* less */
        {{"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x05\x06", 11}, true}, /* no life */
        {{"\x01\x01\x02\x03\x04\x05\x06\x07\x08\x05", 10}, true},     /* cut short */
        {{"\x81\x20", 2}, true},                                      /* too many */
        {{"\x01\x01\x02\x03\x04\x05\x06\x07\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x06", 19},
         true}, /* beyond all ticks */
    };
    struct world *world = begin_world(2, 2, 11);
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        assert_int_equal(catchup_ends_frame(world->nodes[0].mesh->links, frames[i].payload),
                         !frames[i].is_nonsense);
    }
    assert_int_equal(world->nodes[0].replicas.ended_count, 1);
    assert_int_equal(world->nodes[0].replicas.ended[0].ticks, 5);
    assert_int_equal(world->nodes[0].replicas.ended[0].made_ticks, 6);
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_nodes_begin),
        cmocka_unit_test(a_node_that_reaches_nobody_begins),
        cmocka_unit_test(logs_serve_who_is_inside),
        cmocka_unit_test(a_snapshot_comes_from_several),
        cmocka_unit_test(small_parts_do_not_wait_for_each_other),
        cmocka_unit_test(large_parts_fill_a_long_link),
        cmocka_unit_test(a_serving_peer_dies),
        cmocka_unit_test(a_stalled_peer_is_passed_over),
        cmocka_unit_test(a_cancelled_walk_is_asked_for_again),
        cmocka_unit_test(the_lagging_side_joins),
        cmocka_unit_test(one_of_two_merges),
        cmocka_unit_test(who_is_not_linked_yet_is_waited_for),
        cmocka_unit_test(who_merged_what_is_lost_compares),
        cmocka_unit_test(who_had_more_is_gone),
        cmocka_unit_test(only_a_joiner_has_more),
        cmocka_unit_test(what_a_peer_has_is_waited_for),
        cmocka_unit_test(what_was_retired_is_not_waited_for),
        cmocka_unit_test(what_a_peer_dropped_is_not_waited_for),
        cmocka_unit_test(the_best_joiner_gives),
        cmocka_unit_test(the_next_joiner_gives),
        cmocka_unit_test(who_is_refused_again_merges),
        cmocka_unit_test(joiners_that_need_each_other_end),
        cmocka_unit_test(who_was_forgotten_waits),
        cmocka_unit_test(who_was_forgotten_asks_who_knows_its_lives),
        cmocka_unit_test(who_was_forgotten_does_not_wait_forever),
        cmocka_unit_test(the_forgotten_compare_one_after_the_other),
        cmocka_unit_test(the_forgotten_do_not_wait_forever),
        cmocka_unit_test(who_was_forgotten_waits_for_the_dead),
        cmocka_unit_test(authors_make_their_changes_known),
        cmocka_unit_test(what_is_void_is_given_up),
        cmocka_unit_test(what_is_void_waits_for_who_is_without),
        cmocka_unit_test(who_has_what_is_void_is_told),
        cmocka_unit_test(who_joins_beside_what_is_void_stops),
        cmocka_unit_test(what_is_void_everywhere_stays),
        cmocka_unit_test(nonsense_about_ends_ends_the_link),
        cmocka_unit_test(nonsense_ends_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
