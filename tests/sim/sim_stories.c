/* SPDX-License-Identifier: BSD-3-Clause */
/* Telling the stories, each in a process of its own: sim_story.h has their words. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/sim_story.h"

static const struct story_list *const LISTS[] = {&sim_stories_values, &sim_stories_mesh,
                                                 &sim_stories_gone, &sim_stories_forgotten};

/* In a process of its own: an assertion of a node ends only this story. */
static bool story_succeeds(const struct story_row *row, bool is_verbose) {
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        static struct story story;
        (void)alarm(60);
        sim_world_init(&story.world, 1, row->nodes_count);
        story.world.is_verbose = is_verbose;
        for (unsigned node = 0; node < row->nodes_count; node++) {
            configure(&story, node, row->nodes_count);
        }
        row->tell(&story);
        for (unsigned node = 0; node < row->nodes_count; node++) {
            if (story.world.nodes[node].node != NULL && !sim_has_failed(&story.world)) {
                store_check(&story.world.nodes[node].node->store);
            }
        }
        bool is_good = !sim_has_failed(&story.world);
        if (!is_good) {
            (void)printf("%s: %s\n", row->name, story.world.failure);
            (void)printf("    again: %s --stories --only %s --verbose\n", sim_program, row->name);
        }
        buffer_deinit(&story.text);
        sim_world_deinit(&story.world);
        (void)fflush(stdout);
        _exit(is_good ? 0 : 1);
    }
    int status = 0;
    bool is_over = child > 0 && waitpid(child, &status, 0) == child;
    if (is_over && WIFSIGNALED(status)) {
        (void)printf("%s: ended by signal %d\n", row->name, WTERMSIG(status));
    }
    return is_over && status == 0;
}

int sim_stories(const char *only, bool is_verbose) {
    unsigned passed = 0, failed = 0;
    for (size_t list = 0; list < sizeof(LISTS) / sizeof(LISTS[0]); list++) {
        for (size_t i = 0; i < LISTS[list]->count; i++) {
            const struct story_row *row = &LISTS[list]->rows[i];
            if (only == NULL || strstr(row->name, only) != NULL) {
                bool is_good = story_succeeds(row, is_verbose);
                passed += is_good;
                failed += !is_good;
            }
        }
    }
    (void)printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
