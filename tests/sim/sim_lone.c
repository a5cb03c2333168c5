/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/sim_world.h"
#include "base/memory.h"
void sim_network_init(struct sim_world *world) {
    world->paths =
        memory_alloc_zero(world->nodes_count * world->nodes_count * sizeof(world->paths[0]));
}
void sim_network_deinit(struct sim_world *world) {
    memory_free(world->paths);
}
void sim_network_flush(struct sim_node *node) {
    (void)node;
}
void sim_network_drop(struct sim_node *node, bool s) {
    (void)node;
    (void)s;
}
void sim_network_reset(struct sim_world *world, unsigned a, unsigned b) {
    (void)world;
    (void)a;
    (void)b;
}
void sim_network_cut(struct sim_world *world, unsigned a, unsigned b, bool c) {
    (void)world;
    (void)a;
    (void)b;
    (void)c;
}
#include "sim/sim_main.h"
int sim_stories(const char *only, bool v) {
    (void)only;
    (void)v;
    return 2;
}
int sim_large(uint64_t seed, unsigned n, bool v) {
    (void)seed;
    (void)n;
    (void)v;
    return 2;
}
int sim_mutations(uint64_t runs, unsigned jobs, const struct plan_opts *opts) {
    (void)runs;
    (void)jobs;
    (void)opts;
    return 2;
}
void sim_select_mutation(unsigned n) {
    (void)n;
}
