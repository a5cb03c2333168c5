/* SPDX-License-Identifier: BSD-3-Clause */
/* The words in which stories are told, on nodes A, B and C, some on more or fewer.
 *
 * Each begins with nodes that are linked and hold nothing. `apart` cuts all links, `together` heals
 * them and waits until all agree. Names are those of the table of concurrent operations in
 * docs/mesh.md; M is its list of how the mesh behaves. */
#ifndef TESTS_SIM_SIM_STORY_H
#define TESTS_SIM_SIM_STORY_H

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "mesh/mesh.h"
#include "sim/sim_main.h"

enum { A, B, C, D, E };
enum { STORY_NODES_MAX = 5, AGREE_US_MAX = 60 * 1000 * 1000 };

struct story {
    struct sim_world world;
    struct buffer text; /* the last answer */
};

static inline struct sim_node *at(struct story *story, unsigned node) {
    return &story->world.nodes[node];
}

static inline void wait_ms(struct story *story, uint64_t ms) {
    sim_run_for(&story->world, ms * SIM_MS);
}

static inline void configure(struct story *story, unsigned i, unsigned seeds) {
    struct sim_node *node = at(story, i);
    sim_configure(node,
                  "databases 4\nappendonly yes\nappendfsync always\nsave \"\"\n"
                  "mesh-port 17000\nmesh-announce-addr %s\n",
                  node->address);
    struct buffer line = {0};
    for (unsigned seed = 0; seed < seeds; seed++) {
        buffer_printf(&line, " %s", at(story, seed)->address);
    }
    sim_configure(node, "mesh-seeds%s\n", buffer_text(&line));
    buffer_deinit(&line);
}

static inline bool is_linked(struct story *story, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        struct mesh_stats stats;
        if (at(story, i)->node == NULL || at(story, i)->node->mesh == NULL) {
            return false;
        }
        mesh_get_stats(at(story, i)->node->mesh, &stats);
        if (stats.alive < count - 1 || stats.links_up < count - 1 || stats.is_joining) {
            return false;
        }
    }
    return true;
}

/* Waits until the first `count` nodes are linked with one another, and live. */
static inline void link_all(struct story *story, unsigned count) {
    uint64_t until_us = story->world.now_us + AGREE_US_MAX;
    while (!is_linked(story, count) && !sim_has_failed(&story->world)) {
        if (story->world.now_us > until_us) {
            sim_fail(&story->world, "the nodes do not find one another");
        }
        wait_ms(story, 100);
    }
}

static inline void start(struct story *story, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        sim_start(at(story, i));
    }
    link_all(story, count);
}

static inline void cut(struct story *story, unsigned a, unsigned b) {
    sim_network_cut(&story->world, a, b, true);
    sim_network_cut(&story->world, b, a, true);
}

static inline void mend(struct story *story, unsigned a, unsigned b) {
    sim_network_cut(&story->world, a, b, false);
    sim_network_cut(&story->world, b, a, false);
}

static inline void for_pairs(struct story *story,
                             void (*what)(struct story *, unsigned, unsigned)) {
    for (unsigned a = 0; a < story->world.nodes_count; a++) {
        for (unsigned b = 0; b < a; b++) {
            what(story, a, b);
        }
    }
}

static inline void apart(struct story *story) {
    for_pairs(story, cut);
}

static inline void agree(struct story *story) {
    uint64_t until_us = story->world.now_us + AGREE_US_MAX;
    wait_ms(story, 3000);
    while (!sim_has_converged(&story->world) && !sim_has_failed(&story->world)) {
        if (story->world.now_us > until_us) {
            sim_fail(&story->world, "the nodes do not agree");
        }
        wait_ms(story, 500);
    }
}

static inline void together(struct story *story) {
    for_pairs(story, mend);
    agree(story);
}

/* A command of one word after another; errors are failures. The answer is in story->text. */
static inline const char *say(struct story *story, unsigned node, const char *command) {
    sim_note(&story->world, "%c: %s", 'A' + (int)node, command);
    if (!sim_has_failed(&story->world) &&
        !sim_ask(at(story, node), 0, &story->text, "%s", command)) {
        sim_fail(&story->world, "%c answers %s with an error: %s", 'A' + (int)node, command,
                 buffer_text(&story->text));
    }
    wait_ms(story, 2); /* so that stamps have an order in time */
    return buffer_text(&story->text);
}

/* What the node answers must be this; "" is null. */
static inline void expect(struct story *story, unsigned node, const char *command,
                          const char *expected) {
    if (sim_has_failed(&story->world)) {
        return;
    }
    (void)sim_ask(at(story, node), 0, &story->text, "%s", command);
    if (strcmp(buffer_text(&story->text), expected) != 0) {
        sim_fail(&story->world, "%c answers %s with '%s', not '%s'", 'A' + (int)node, command,
                 buffer_text(&story->text), expected);
    }
}

static inline void expect_all(struct story *story, const char *command, const char *expected) {
    for (unsigned i = 0; i < story->world.nodes_count; i++) {
        if (at(story, i)->node != NULL) {
            expect(story, i, command, expected);
        }
    }
}

static inline void expect_error(struct story *story, unsigned node, const char *command,
                                const char *code) {
    if (!sim_has_failed(&story->world) &&
        (sim_ask(at(story, node), 0, &story->text, "%s", command) ||
         strncmp(buffer_text(&story->text), code, strlen(code)) != 0)) {
        sim_fail(&story->world, "%c answers %s with '%s', not -%s", 'A' + (int)node, command,
                 buffer_text(&story->text), code);
    }
}

static inline long long number(struct story *story, unsigned node, const char *command) {
    return strtoll(say(story, node, command), NULL, 10);
}

static inline struct mesh_stats stats_of(struct story *story, unsigned node) {
    struct mesh_stats stats = {0};
    mesh_get_stats(at(story, node)->node->mesh, &stats);
    return stats;
}

static inline void restart(struct story *story, unsigned node) {
    sim_start(at(story, node));
    link_all(story, story->world.nodes_count);
}

/* Waits until nobody joins any more. */
static inline void wait_until_ready(struct story *story, unsigned count) {
    uint64_t until_us = story->world.now_us + 2 * AGREE_US_MAX;
    while (!is_linked(story, count) && !sim_has_failed(&story->world)) {
        if (story->world.now_us > until_us) {
            sim_fail(&story->world, "somebody goes on joining");
        }
        wait_ms(story, 100);
    }
}

/* Before, A and B, after. */
static inline void plain(struct story *story, const char *before, const char *of_a,
                         const char *of_b, const char *asked, const char *expected) {
    start(story, 3);
    if (before != NULL) {
        (void)say(story, A, before);
        agree(story);
    }
    apart(story);
    (void)say(story, A, of_a);
    wait_ms(story, 20);
    (void)say(story, B, of_b);
    together(story);
    expect_all(story, asked, expected);
}

static inline void on_nothing(struct sim_world *world, void *udata, uint64_t at_number,
                              const struct sim_reply *reply) {
    (void)world;
    (void)at_number;
    *(bool *)udata = reply->is_null;
}

static inline unsigned state_of(struct story *story, unsigned node, enum mesh_state state) {
    struct mesh_stats stats = stats_of(story, node);
    return state == MESH_ALIVE ? stats.alive : state == MESH_SUSPECT ? stats.suspect : stats.dead;
}

/* `from` sees to it that `whom` is dead, and forgets it. */
static inline void forget(struct story *story, unsigned from, unsigned whom) {
    char command[80];
    for (unsigned i = 0; i < 300 && state_of(story, from, MESH_DEAD) == 0; i++) {
        wait_ms(story, 100);
    }
    (void)snprintf(command, sizeof(command), "MESH FORGET %s", at(story, whom)->node_id);
    (void)say(story, from, command);
}

/* ---- lists of stories ---- */

struct story_row {
    const char *name;
    void (*tell)(struct story *story);
    unsigned nodes_count;
};

#define STORY(name)                                                                                \
    { #name, name, 3 }

struct story_list {
    const struct story_row *rows;
    size_t count;
};

extern const struct story_list sim_stories_values, sim_stories_mesh, sim_stories_gone,
    sim_stories_forgotten;

#endif
