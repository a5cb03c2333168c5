/* SPDX-License-Identifier: BSD-3-Clause */
/* Seeds for random tests: the same in every run, another one by `TEST_SEED=n`. It is printed, so
 * that the log of a failure has it. */
#ifndef TESTS_UNIT_SEED_H
#define TESTS_UNIT_SEED_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"

/* Seeds `prng` for the part `part` of the test `name`. */
static inline void seed_prng(struct prng *prng, const char *name, uint64_t part) {
    const char *chosen = getenv("TEST_SEED");
    uint64_t seed = chosen != NULL ? strtoull(chosen, NULL, 10) : 1;
    printf("%s, part %" PRIu64 ": TEST_SEED=%" PRIu64 "\n", name, part, seed);
    (void)fflush(stdout);
    prng_init(prng, seed * 1000003 + part);
}

#endif
