/* SPDX-License-Identifier: BSD-3-Clause */
/* Mistakes on purpose, for the simulator to catch: mutation(NAME) is true where that mistake is to
 * be made. Only a build with -DSTARLING_MUTATIONS has any; in all others it is the constant false,
 * and nothing of it is left in the program. tests/sim/sim_mutations.c tries one after the other. */
#ifndef BASE_MUTATION_H
#define BASE_MUTATION_H

#include <stdbool.h>

enum mutation_number {
    MUTATION_NONE,
#define MUTATION(name, words) MUTATION_##name,
#include "base/mutations.def"
    MUTATIONS_COUNT
};

#ifdef STARLING_MUTATIONS
extern unsigned mutation_chosen; /* of the test program */
#define mutation(name) (mutation_chosen == MUTATION_##name)
#else
#define mutation(name) false
#endif

#endif
