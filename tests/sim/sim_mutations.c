/* SPDX-License-Identifier: BSD-3-Clause */
/* Does the simulator find bugs? Mistakes that are built into merge, log and membership code, and
 * compiled in with -DSTARLING_MUTATIONS only, one at a time: each must be caught. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mutation.h"
#include "sim/sim_main.h"

#ifdef STARLING_MUTATIONS

unsigned mutation_chosen;

void sim_select_mutation(unsigned number) {
    mutation_chosen = number;
}

int sim_mutations(uint64_t runs, unsigned jobs, const struct plan_opts *opts) {
    static const char *const names[] = {
        [MUTATION_NONE] = "none",
#define MUTATION(name, words) [MUTATION_##name] = words,
#include "base/mutations.def"
    };
    unsigned passed = 0, failed = 0;
    for (unsigned i = MUTATION_NONE + 1; i < MUTATIONS_COUNT; i++) {
        uint64_t seed = 0;
        sim_mutation = i;
        sim_select_mutation(i);
        sim_run_many(1, runs, jobs, opts, 1);
        const char *failure = sim_first_failure(&seed);
        if (failure != NULL) {
            (void)printf("%2u %s: caught, seed %" PRIu64 ": %s\n", i, names[i], seed, failure);
            passed++;
        } else {
            (void)printf("%2u %s: NOT caught by %" PRIu64 " seeds\n", i, names[i], runs);
            failed++;
        }
        (void)fflush(stdout);
    }
    (void)printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 || passed == 0;
}

#else

void sim_select_mutation(unsigned number) {
    (void)number;
}

int sim_mutations(uint64_t runs, unsigned jobs, const struct plan_opts *opts) {
    (void)runs;
    (void)jobs;
    (void)opts;
    (void)fprintf(stderr, "sim: this build has no mutations: make test-sim-mutations\n");
    return 2;
}

#endif
