/* SPDX-License-Identifier: BSD-3-Clause */
/* What the modes of the simulator share. */
#ifndef TESTS_SIM_SIM_MAIN_H
#define TESTS_SIM_SIM_MAIN_H

#include "sim/sim_run.h"

extern const char *sim_program; /* as it was called */
extern unsigned sim_mutation;   /* 0: none */

/* Runs seeds from `seed` on in `jobs` processes; stops early after `failures_max` failures. */
void sim_run_many(uint64_t seed, uint64_t runs, unsigned jobs, const struct plan_opts *opts,
                  unsigned failures_max);
uint64_t sim_failed_count(void);
uint64_t sim_passed_count(void);
/* The first failure that was found, and its seed; NULL when there is none. */
const char *sim_first_failure(uint64_t *seed);
void sim_shared_reset(uint64_t first_seed);

/* Each returns the exit status and prints `N passed, N failed`. */
int sim_stories(const char *only, bool is_verbose);
int sim_large(uint64_t seed, unsigned nodes_count, bool is_verbose);
int sim_mutations(uint64_t runs, unsigned jobs, const struct plan_opts *opts);
/* Turns a mutation of the code on, in a build that has them. */
void sim_select_mutation(unsigned number);

#endif
