/* SPDX-License-Identifier: BSD-3-Clause */
/* A world whose nodes serve parts of their state and take over that of others.
 *
 * A part is one key of the world's data. A joiner takes of it what all parts have seen, the rest
 * comes by streams. */
#ifndef TESTS_UNIT_MESH_CATCHUP_WORLD_H
#define TESTS_UNIT_MESH_CATCHUP_WORLD_H

#include "mesh/catchup_void.h"
#include "mesh/membership_state.h"
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

static inline struct side *side_of(void *udata) {
    return &sides[((struct world_node *)udata)->index];
}

/* ---- serving ---- */

static inline void *part_open_(void *udata, unsigned part, unsigned parts_count,
                               struct buffer *header) {
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

static inline enum mesh_part part_read_(void *udata, void *at, struct buffer *out,
                                        size_t bytes_max) {
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

static inline void part_close_(void *udata, void *walk) {
    (void)udata;
    memory_free(walk);
}

/* ---- joining ---- */

static inline void sync_begin_(void *udata, enum mesh_join mode) {
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

static inline bool takes_seed_(void *udata, const uint64_t seed[2]) {
    (void)udata;
    return seed[0] == 1 && seed[1] == 2;
}

static inline enum mesh_part sync_part_begin_(void *udata, unsigned part, unsigned count,
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

static inline enum mesh_part sync_part_data_(void *udata, unsigned part, struct slice bytes) {
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

static inline enum mesh_part sync_part_end_(void *udata, unsigned part) {
    struct side *side = side_of(udata);
    assert_true(side->is_open[part]);
    side->is_open[part] = false;
    side->is_done[part] = true;
    side->done_count++;
    return MESH_PART_DONE;
}

static inline enum mesh_part sync_end_(void *udata) {
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

static inline bool sync_is_ready_(void *udata) {
    const struct side *side = side_of(udata);
    return !side->lacks || side->rebased;
}

static inline bool is_never_ready(void *udata) {
    (void)udata;
    return false;
}

static inline const struct context *sync_goal_(void *udata) {
    static struct context goal;
    goal = (struct context){0};
    context_add(&goal, stamp_make(STAMP_TICKS_ACCEPTED_MAX, 1));
    return sync_is_ready_(udata) ? NULL : &goal;
}

static inline bool sync_cancel_(void *udata) {
    struct side *side = side_of(udata);
    side->cancels++;
    return true;
}

static inline void set_hooks(struct world *world, unsigned index) {
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

static inline void start(struct world *world, unsigned index) {
    world_start(world, index);
    set_hooks(world, index);
}

static inline struct world *begin_world(unsigned count, unsigned started, uint64_t seed) {
    struct world *world = world_new(count, seed);
    memset(sides, 0, sizeof(sides));
    for (unsigned i = 0; i < started; i++) {
        start(world, i);
    }
    assert_true(world_links(world, 6000));
    return world;
}

static inline struct mesh_stats stats_of(const struct world *world, unsigned index) {
    struct mesh_stats stats;
    mesh_get_stats(world->nodes[index].mesh, &stats);
    return stats;
}

static inline void write_all(struct world *world, unsigned nodes, unsigned keys, unsigned value) {
    for (unsigned key = 0; key < keys; key++) {
        for (unsigned i = 0; i < nodes; i++) {
            world_write(&world->nodes[i], key, value + key);
        }
        world_step(world);
    }
    assert_true(world_converges(world, 3000));
    world_run_ms(world, 100);
}

static inline bool becomes_ready(struct world *world, unsigned index, uint64_t within_ms) {
    for (uint64_t end_us = world->now_us + within_ms * 1000; world->now_us < end_us;) {
        world_step(world);
        if (!mesh_is_joining(world->nodes[index].mesh)) {
            return true;
        }
    }
    return false;
}

/* Until a node has been joining for so long. */
static inline void run_until(struct world *world, unsigned index, uint64_t ms) {
    uint64_t end_us = world->nodes[index].mesh->catchup.started_us + ms * 1000;
    while (world->now_us < end_us) {
        world_step(world);
    }
}

static inline struct mesh_link *link_to(struct world *world, unsigned from, unsigned to) {
    struct mesh_link *link = world->nodes[from].mesh->links;
    while (link != NULL && link->peer.node[15] != to) {
        link = link->next;
    }
    assert_non_null(link);
    return link;
}

#endif
